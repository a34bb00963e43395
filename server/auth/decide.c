/* One decision: gathers the policies that bear on the caller and the global condition keys, asks
 * the policy engine, words the refusal. */
#include "server/auth/auth_in.h"

#include "lib/base/clock.h"

struct key_list {
    struct policy_key *items;
    struct slice *values;
    size_t count;
};

static void add(struct key_list *l, const char *name, struct slice value) {
    l->values[l->count] = value;
    l->items[l->count] = (struct policy_key){slice_cstr(name), &l->values[l->count], 1};
    l->count++;
}

enum { GLOBAL_KEYS = 12 };

static struct sl_rc add_tag(struct key_list *l, const struct iam_tag *tag, struct arena *a,
                            struct sl_error *err) {
    const char *name = arena_printf(a, "aws:PrincipalTag/%.*s", SLICE_FMT(tag->name));
    ENSURE(name != NULL, err, SL_E_NOMEM, "Out of memory.");
    add(l, name, tag->value);
    return SL_OK;
}

static bool has_tag(const struct auth_sts *s, struct slice name) {
    for (size_t i = 0; i < s->tag_count; i++) {
        if (slice_ieq(s->tags[i].name, name)) {
            return true;
        }
    }
    return false;
}

/* aws:PrincipalTag/…: tags of the user or role, those of the session over them. */
static struct sl_rc add_principal_tags(const struct auth_caller *caller, struct arena *a,
                                       struct sl_error *err, struct key_list *l) {
    const struct auth_sts *sts = caller->sts;
    for (size_t i = 0; sts != NULL && i < sts->tag_count; i++) {
        TRY(add_tag(l, &sts->tags[i], a, err));
    }
    for (size_t i = 0; i < caller->who.tag_count && i < AUTH_TAGS_MAX; i++) {
        if (sts == NULL || !has_tag(sts, caller->who.tags[i].name)) {
            TRY(add_tag(l, &caller->who.tags[i], a, err));
        }
    }
    return SL_OK;
}

static struct sl_rc all_keys(const struct auth_env *env, const struct auth_caller *caller,
                             struct slice action, const struct policy_key *keys, size_t key_count,
                             struct arena *a, struct sl_error *err, struct key_list *ret) {
    size_t tags = caller->who.tag_count + (caller->sts != NULL ? caller->sts->tag_count : 0);
    struct key_list l = {
        .items = arena_array(a, GLOBAL_KEYS + tags + key_count, sizeof *l.items),
        .values = arena_array(a, GLOBAL_KEYS + tags, sizeof *l.values),
    };
    char *iso = arena_alloc(a, 21);
    char *epoch = arena_printf(a, "%lld", (long long)(env->now_ms / 1000));
    ENSURE(l.items && l.values && iso && epoch, err, SL_E_NOMEM, "Out of memory.");
    clock_iso(env->now_ms / 1000, iso);
    const struct policy_principal *p = &caller->who.principal;
    if (p->type != PRINCIPAL_SERVICE && caller->source_ip.len > 0) {
        add(&l, "aws:SourceIp", caller->source_ip);
    }
    add(&l, "aws:SecureTransport", caller->tls ? SLICE_LIT("true") : SLICE_LIT("false"));
    add(&l, "aws:CurrentTime", slice_cstr(iso));
    add(&l, "aws:EpochTime", slice_cstr(epoch));
    if (caller->region.len > 0) {
        add(&l, "aws:RequestedRegion", caller->region);
    }
    if (caller->user_agent.len > 0) {
        add(&l, "aws:UserAgent", caller->user_agent);
    }
    if (caller->referer.len > 0) {
        add(&l, "aws:Referer", caller->referer);
    }
    add(&l, "aws:ViaAWSService",
        caller->via_service.len > 0 ? SLICE_LIT("true") : SLICE_LIT("false"));
    if (slice_ieq(slice_sub(action, 0, 4), SLICE_LIT("kms:"))) {
        if (caller->via_service.len > 0) {
            add(&l, "kms:ViaService", caller->via_service);
        }
        if (p->account.len > 0) {
            add(&l, "kms:CallerAccount", p->account);
        }
    }
    if (caller->sts != NULL && caller->sts->source_identity.len > 0) {
        add(&l, "aws:SourceIdentity", caller->sts->source_identity);
    }
    TRY(add_principal_tags(caller, a, err, &l));
    for (size_t i = 0; i < key_count; i++) {
        l.items[l.count++] = keys[i];
    }
    *ret = l;
    return SL_OK;
}

/* The explanation goes to the caller's account. What another account's resource policy said is not
 * for it: policy_explain leaves that out, and a refusal by that side alone gets none. */
static const char *explain(const struct auth_env *env, const struct policy_verdict *v,
                           const struct policy_set *set, const struct policy_request *request,
                           struct arena *a) {
    SL_CLEANUP(buf_fini) struct buf json = BUF_INIT(AUTH_DENIAL_JSON_MAX);
    const char *text = NULL;
    struct slice account = request->principal->account;
    bool foreign =
        request->resource_account.len > 0 && !slice_eq(request->resource_account, account);
    if (account.len == 0 || env->denial_key == NULL || (foreign && v->by == POLICY_BY_RESOURCE) ||
        sl_failed(policy_explain(v, set, request, a, &json, NULL)) ||
        sl_failed(auth_denial_seal(env, account, buf_slice(&json), a, &text))) {
        return NULL;
    }
    return text;
}

struct sl_rc auth_decide(const struct auth_env *env, const struct auth_caller *caller,
                         struct slice action, struct slice resource, struct slice resource_account,
                         const struct policy *resource_policy, enum policy_kind resource_kind,
                         const struct policy_key *keys, size_t key_count, struct arena *a,
                         struct sl_error *err) {
    struct key_list all = {0};
    TRY(all_keys(env, caller, action, keys, key_count, a, err, &all));
    struct policy_set set = {
        .identity = caller->who.policies,
        .identity_names = caller->who.policy_names,
        .identity_count = caller->who.policy_count,
        .boundary = caller->who.boundary,
        .boundary_name = caller->who.boundary_name,
        .session = caller->session,
        .session_names = caller->session_names,
        .session_count = caller->session_count,
        .resource = resource_policy,
        .resource_kind = resource_kind,
        .grant = caller->grant,
    };
    struct policy_request request = {
        .principal = &caller->who.principal,
        .action = action,
        .resource = resource,
        .resource_account = resource_account,
        .keys = all.items,
        .key_count = all.count,
    };
    struct policy_verdict v = policy_decide(&set, &request, a);
    if (v.decision == POLICY_ALLOW) {
        return SL_OK;
    }
    const char *text = policy_denied_message(&v, &request, a);
    if (err != NULL && err->code == SL_CODE_OK) {
        err->denial = explain(env, &v, &set, &request, a);
    }
    return sl_fail(err, SL_E_ACCESS_DENIED, "%s",
                   text ? text : sl_code_info(SL_E_ACCESS_DENIED)->text);
}
