/* AssumeRole: who may take on a role, and what the session carries along. */
#include "server/api/sts/sts_in.h"

#include "lib/base/clock.h"

enum { DURATION_MAX_S = 43200, CHAINED_MAX_S = 3600, NAME_MAX_CHARS = 64, ROLE_TAGS_MAX = 64 };

struct assume {
    struct slice external_id;
    struct auth_sts s; /* as asked for; with what a chain passes on */
    const struct iam_tag *asked_tags;
    size_t asked_tag_count;
    size_t inherited; /* tags from the calling session */
    int64_t duration_s;
};

/* ---- Parameters ---- */

static struct sl_rc external_id(struct api_call *c, struct slice *ret) {
    struct slice v = sts_param(c, "ExternalId");
    bool fine = v.len == 0 || (v.len >= 2 && v.len <= 1224);
    for (size_t i = 0; i < v.len && fine; i++) {
        uint8_t b = v.ptr[i];
        fine = (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9') ||
               (b != 0 && strchr("_+=,.@:/-", b) != NULL);
    }
    ENSURE(
        fine, c->err, SL_E_IAM_VALIDATION,
        "1 validation error detected: Value at 'externalId' failed to satisfy constraint: Member "
        "must satisfy regular expression pattern: [\\w+=,.@:\\/-]{2,1224}");
    *ret = v;
    return SL_OK;
}

static bool provided_contexts(const struct api_call *c) {
    for (size_t i = 0; i < c->form.count; i++) {
        if (slice_starts(c->form.items[i].name, SLICE_LIT("ProvidedContexts."))) {
            return true;
        }
    }
    return false;
}

static struct sl_rc params(struct api_call *c, struct assume *in) {
    struct auth_sts *s = &in->s;
    s->kind = AUTH_STS_ROLE;
    s->role_arn = sts_param(c, "RoleArn");
    s->name = sts_param(c, "RoleSessionName");
    s->source_identity = sts_param(c, "SourceIdentity");
    ENSURE(s->role_arn.len > 0, c->err, SL_E_IAM_VALIDATION,
           "1 validation error detected: Value null at 'roleArn' failed to satisfy constraint: "
           "Member must not be null");
    ENSURE(s->role_arn.len >= 20 && s->role_arn.len <= 2048 && utf8_valid(s->role_arn), c->err,
           SL_E_IAM_VALIDATION, "%.*s is invalid", SLICE_FMT(s->role_arn));
    TRY(sts_word(c, s->name, "roleSessionName", 2, NAME_MAX_CHARS));
    TRY(sts_duration(c, DURATION_MAX_S, STS_DURATION_DEFAULT_S, &in->duration_s));
    TRY(external_id(c, &in->external_id));
    if (params_get(&c->form, "SourceIdentity") != NULL) {
        TRY(sts_word(c, s->source_identity, "sourceIdentity", 2, NAME_MAX_CHARS));
    }
    s->account = slice_sub(s->role_arn, 13, 25);
    TRY(sts_session_params(c, s));
    in->asked_tags = s->tags;
    in->asked_tag_count = s->tag_count;
    /* What would change what the session may do is refused rather than passed over. */
    ENSURE(!provided_contexts(c), c->err, SL_E_IAM_VALIDATION,
           "AssumeRole: ProvidedContexts is not supported.");
    return sts_refuse_mfa(c);
}

/* ---- Chains ---- */

static struct sl_rc inherit_tag(struct api_call *c, struct assume *in, struct slice name,
                                struct iam_tag *tags, struct slice *transitive) {
    const struct auth_sts *from = c->caller->sts;
    for (size_t i = 0; i < in->asked_tag_count; i++) {
        ENSURE(!slice_ieq(in->asked_tags[i].name, name), c->err, SL_E_IAM_VALIDATION,
               "One of the specified transitive tag keys can't be set because it conflicts with a "
               "transitive tag key from the calling session.");
    }
    for (size_t i = 0; i < from->tag_count; i++) {
        if (slice_ieq(from->tags[i].name, name)) {
            ENSURE(in->s.tag_count < AUTH_TAGS_MAX && in->s.transitive_count < AUTH_TAGS_MAX,
                   c->err, SL_E_IAM_VALIDATION, "A session can have at most %d tags.",
                   AUTH_TAGS_MAX);
            tags[in->s.tag_count++] = from->tags[i];
            transitive[in->s.transitive_count++] = name;
            in->inherited++;
        }
    }
    return SL_OK;
}

/* The transitive tags and the source identity of the calling session go on, unchanged. */
static struct sl_rc inherit(struct api_call *c, struct assume *in) {
    const struct auth_sts *from = c->caller->sts;
    if (from == NULL || from->kind != AUTH_STS_ROLE) {
        return SL_OK;
    }
    struct iam_tag *tags = arena_array(c->arena, AUTH_TAGS_MAX, sizeof *tags);
    struct slice *transitive = arena_array(c->arena, AUTH_TAGS_MAX, sizeof *transitive);
    ENSURE(tags != NULL && transitive != NULL, c->err, SL_E_NOMEM, "Out of memory.");
    for (size_t i = 0; i < in->s.tag_count; i++) {
        tags[i] = in->s.tags[i];
    }
    for (size_t i = 0; i < in->s.transitive_count; i++) {
        transitive[i] = in->s.transitive[i];
    }
    in->s.tags = tags;
    in->s.transitive = transitive;
    for (size_t i = 0; i < from->transitive_count; i++) {
        TRY(inherit_tag(c, in, from->transitive[i], tags, transitive));
    }
    if (from->source_identity.len > 0) {
        ENSURE(in->s.source_identity.len == 0 ||
                   slice_eq(in->s.source_identity, from->source_identity),
               c->err, SL_E_ACCESS_DENIED,
               "The source identity of a session can't be changed when it assumes a role.");
        in->s.source_identity = from->source_identity;
    }
    return SL_OK;
}

/* ---- Trust ---- */

struct facts {
    struct policy_key items[8 + AUTH_TAGS_MAX + 2 * ROLE_TAGS_MAX];
    size_t count;
    struct arena *a;
    bool failed;
};

static void add(struct facts *f, const char *name, const struct slice *values, size_t n) {
    f->failed |= name == NULL;
    f->items[f->count++] = (struct policy_key){slice_cstr(name), values, n};
}

static void add_tags(struct facts *f, const char *prefix, const struct iam_tag *tags, size_t n,
                     size_t max) {
    for (size_t i = 0; i < n && i < max; i++) {
        add(f, arena_printf(f->a, "%s%.*s", prefix, SLICE_FMT(tags[i].name)), &tags[i].value, 1);
    }
}

static struct sl_rc gather(struct api_call *c, const struct assume *in,
                           const struct identity_role *role, struct facts *f) {
    struct slice *names = arena_array(c->arena, in->asked_tag_count + 1, sizeof *names);
    ENSURE(names != NULL, c->err, SL_E_NOMEM, "Out of memory.");
    add(f, "sts:RoleSessionName", &in->s.name, 1);
    if (in->external_id.len > 0) {
        add(f, "sts:ExternalId", &in->external_id, 1);
    }
    if (in->s.source_identity.len > 0) {
        add(f, "sts:SourceIdentity", &in->s.source_identity, 1);
    }
    for (size_t i = 0; i < in->asked_tag_count; i++) {
        names[i] = in->asked_tags[i].name;
    }
    if (in->asked_tag_count > 0) {
        add(f, "aws:TagKeys", names, in->asked_tag_count);
    }
    if (in->s.transitive_count > 0) {
        add(f, "sts:TransitiveTagKeys", in->s.transitive, in->s.transitive_count);
    }
    add_tags(f, "aws:RequestTag/", in->asked_tags, in->asked_tag_count, AUTH_TAGS_MAX);
    add_tags(f, "aws:ResourceTag/", role->tags, role->tag_count, ROLE_TAGS_MAX);
    add_tags(f, "iam:ResourceTag/", role->tags, role->tag_count, ROLE_TAGS_MAX);
    ENSURE(!f->failed, c->err, SL_E_NOMEM, "Out of memory.");
    return SL_OK;
}

/* Whoever may not assume a role is not told whether it exists: to another account the text has no
 * reason, to the own one a missing role is a role that trusts nobody. */
static struct sl_rc missing_role(struct api_call *c, struct slice arn, struct identity_role *ret) {
    static const char nobody[] =
        "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Principal\":{"
        "\"Service\":\"nobody.amazonaws.com\"},\"Action\":\"sts:AssumeRole\"}}";
    *ret = (struct identity_role){.arn = arn, .account = slice_sub(arn, 13, 25)};
    return policy_parse(slice_cstr(nobody), POLICY_TRUST, c->arena, c->err, &ret->trust);
}

static struct sl_rc allowed(struct api_call *c, const char *action,
                            const struct identity_role *role, const struct facts *f) {
    struct sl_error why = {0};
    const struct policy_principal *who = &c->caller->who.principal;
    struct sl_rc rc = auth_decide(c->env, c->caller, slice_cstr(action), role->arn, role->account,
                                  role->trust, POLICY_TRUST, f->items, f->count, c->arena, &why);
    if (rc.code == SL_E_ACCESS_DENIED && !slice_eq(role->account, who->account)) {
        return sl_fail(c->err, SL_E_ACCESS_DENIED,
                       "User: %.*s is not authorized to perform: %s on resource: %.*s",
                       SLICE_FMT(who->arn), action, SLICE_FMT(role->arn));
    }
    if (sl_failed(rc)) {
        c->err->denial = why.denial;
        return sl_fail(c->err, rc.code, "%s", why.detail);
    }
    return SL_OK;
}

static struct sl_rc check_trust(struct api_call *c, const struct assume *in,
                                struct identity_role *ret) {
    struct sl_error why = {0};
    struct identity_role role;
    struct facts f = {.a = c->arena};
    struct sl_rc rc = identity_role_get(c->env->db, in->s.role_arn, c->arena, &why, &role);
    if (rc.code == SL_E_IAM_NO_SUCH_ENTITY) {
        rc = missing_role(c, in->s.role_arn, &role);
    }
    if (sl_failed(rc)) {
        return sl_fail(c->err, rc.code, "%s", why.detail);
    }
    TRY(gather(c, in, &role, &f));
    TRY(allowed(c, "sts:AssumeRole", &role, &f));
    if (in->s.tag_count > 0) {
        TRY(allowed(c, "sts:TagSession", &role, &f));
    }
    if (in->s.source_identity.len > 0) {
        TRY(allowed(c, "sts:SetSourceIdentity", &role, &f));
    }
    *ret = role;
    return SL_OK;
}

/* ---- Record and answer ---- */

static void note_list(struct jsonw *w, const char *name, const struct slice *items, size_t n) {
    if (n == 0) {
        return;
    }
    jsonw_name(w, name);
    jsonw_array_begin(w);
    for (size_t i = 0; i < n; i++) {
        jsonw_string(w, items[i]);
    }
    jsonw_array_end(w);
}

static void note_if(struct jsonw *w, const char *name, struct slice v) {
    if (v.len > 0) {
        jsonw_name(w, name);
        jsonw_string(w, v);
    }
}

static void note_assume(struct api_call *c, const struct assume *in) {
    SL_CLEANUP(buf_fini) struct buf text = BUF_INIT(64 * 1024);
    struct jsonw w = jsonw_of(&text);
    jsonw_object_begin(&w);
    note_if(&w, "roleArn", in->s.role_arn);
    note_if(&w, "roleSessionName", in->s.name);
    jsonw_name(&w, "durationSeconds");
    jsonw_int(&w, in->duration_s);
    note_if(&w, "policy", in->s.policy);
    note_list(&w, "policyArns", in->s.policy_arns, in->s.policy_arn_count);
    note_if(&w, "externalId", in->external_id);
    note_if(&w, "sourceIdentity", in->s.source_identity);
    if (in->s.tag_count > 0) {
        jsonw_name(&w, "principalTags");
        jsonw_object_begin(&w);
        for (size_t i = 0; i < in->s.tag_count; i++) {
            jsonw_name_slice(&w, in->s.tags[i].name);
            jsonw_string(&w, in->s.tags[i].value);
        }
        jsonw_object_end(&w);
    }
    note_list(&w, "transitiveTagKeys", in->s.transitive, in->s.transitive_count);
    jsonw_object_end(&w);
    if (sl_is_ok(buf_check(&text, NULL))) {
        c->audit_request = arena_copy(c->arena, buf_slice(&text));
    }
    c->audit_resource = in->s.role_arn;
}

static void out_session(struct api_call *c, const struct auth_session *made,
                        const struct auth_sts *s, int percent) {
    char expires[21];
    clock_iso(made->expires_s, expires);
    xmlw_open(c->out, "AssumedRoleUser");
    xmlw_text(c->out, "AssumedRoleId", made->user_id);
    xmlw_text(c->out, "Arn", made->arn);
    xmlw_close(c->out, "AssumedRoleUser");
    sts_out_credentials(c, made);
    if (percent > 0) {
        xmlw_int(c->out, "PackedPolicySize", percent);
    }
    if (s->source_identity.len > 0) {
        xmlw_text(c->out, "SourceIdentity", s->source_identity);
    }
    const char *response = arena_printf(
        c->arena,
        "{\"credentials\":{\"accessKeyId\":\"%.*s\",\"expiration\":\"%s\"},\"assumedRoleUser\":"
        "{\"assumedRoleId\":\"%.*s\",\"arn\":\"%.*s\"}}",
        SLICE_FMT(made->access_key_id), expires, SLICE_FMT(made->user_id), SLICE_FMT(made->arn));
    c->audit_response = slice_cstr(response);
}

struct sl_rc sts_assume_role(struct api_call *c) {
    const struct policy_principal *who = &c->caller->who.principal;
    struct assume in = {0};
    struct identity_role role;
    int percent;
    ENSURE(who->account.len > 0, c->err, SL_E_MISSING_TOKEN,
           "Request is missing Authentication Token");
    TRY(params(c, &in));
    note_assume(c, &in);
    ENSURE(who->type != PRINCIPAL_ROOT, c->err, SL_E_ACCESS_DENIED,
           "Roles may not be assumed by root accounts.");
    TRY(inherit(c, &in));
    note_assume(c, &in);
    TRY(check_trust(c, &in, &role));
    TRY(sts_session_policies(c, &in.s));
    TRY(sts_packed(c, &in.s, &percent));
    ENSURE(who->type != PRINCIPAL_ROLE_SESSION || in.duration_s <= CHAINED_MAX_S, c->err,
           SL_E_IAM_VALIDATION,
           "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by "
           "role chaining.");
    ENSURE(in.duration_s <= role.max_session_s, c->err, SL_E_IAM_VALIDATION,
           "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.");
    struct auth_session made = {0};
    in.s.role_arn = role.arn;
    in.s.id = role.role_id;
    in.s.account = role.account;
    TRY(auth_session_make(c->env, &in.s, in.duration_s, c->arena, c->err, &made));
    out_session(c, &made, &in.s, percent);
    secret_fini(&made.secret_access_key);
    return buf_check(c->out, c->err);
}
