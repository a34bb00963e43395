/* Authorisation of IAM's operations and what they act on. */
#include "server/api/iam/iam_in.h"

/* Stored tags (under two prefixes), requested ones, aws:TagKeys, policy, boundary. */
enum { KEYS_MAX = 64 * 2 + 50 + 3 };

struct facts {
    struct policy_key *keys;
    struct slice *values;
    size_t n;
};

static void add(struct facts *f, struct slice name, struct slice value) {
    f->values[f->n] = value;
    f->keys[f->n] = (struct policy_key){name, &f->values[f->n], 1};
    f->n++;
}

static struct sl_rc add_tags(struct iam_ctx *x, struct facts *f, const char *prefix,
                             const struct iam_tag *tags, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const char *name = arena_printf(x->a, "%s%.*s", prefix, SLICE_FMT(tags[i].name));
        ENSURE(name != NULL, x->err, SL_E_NOMEM, "Out of memory.");
        add(f, slice_cstr(name), tags[i].value);
    }
    return SL_OK;
}

static struct sl_rc add_tag_keys(struct iam_ctx *x, struct facts *f, const struct iam_facts *in) {
    size_t n = in->tag_count + in->tag_key_count;
    struct slice *names = arena_array(x->a, n + 1, sizeof *names);
    ENSURE(names != NULL, x->err, SL_E_NOMEM, "Out of memory.");
    for (size_t i = 0; i < in->tag_count; i++) {
        names[i] = in->tags[i].name;
    }
    for (size_t i = 0; i < in->tag_key_count; i++) {
        names[in->tag_count + i] = in->tag_keys[i];
    }
    if (n > 0) {
        f->keys[f->n++] = (struct policy_key){SLICE_LIT("aws:TagKeys"), names, n};
    }
    return SL_OK;
}

struct sl_rc iam_allowed(struct iam_ctx *x, struct slice resource, const struct iam_facts *in) {
    struct facts f = {.keys = arena_array(x->a, KEYS_MAX, sizeof *f.keys),
                      .values = arena_array(x->a, KEYS_MAX, sizeof *f.values)};
    const char *action = arena_printf(x->a, "iam:%.*s", SLICE_FMT(x->c->operation));
    ENSURE(f.keys && f.values && action, x->err, SL_E_NOMEM, "Out of memory.");
    struct slice owner = in->entity ? in->entity->id : in->policy_owner;
    if (owner.len > 0) {
        struct iam_tag *tags;
        size_t n;
        TRY(iam_tag_list(x->conn, owner, x->a, x->err, &tags, &n));
        TRY(add_tags(x, &f, "aws:ResourceTag/", tags, n));
        TRY(add_tags(x, &f, "iam:ResourceTag/", tags, n));
    }
    TRY(add_tags(x, &f, "aws:RequestTag/", in->tags, in->tag_count));
    TRY(add_tag_keys(x, &f, in));
    if (in->policy_arn.len > 0) {
        add(&f, SLICE_LIT("iam:PolicyARN"), in->policy_arn);
    }
    struct slice boundary =
        in->boundary.len == 0 && in->entity ? in->entity->boundary : in->boundary;
    if (boundary.len > 0) {
        add(&f, SLICE_LIT("iam:PermissionsBoundary"), boundary);
    }
    sl_assert(f.n <= KEYS_MAX);
    x->c->audit_resource = resource;
    return auth_decide(x->c->env, x->c->caller, slice_cstr(action), resource, x->account, NULL,
                       POLICY_IDENTITY, f.keys, f.n, x->a, x->err);
}

static struct sl_rc target_name(struct iam_ctx *x, enum iam_kind kind, bool optional,
                                struct slice *ret) {
    const char *param = iam_kind_param(kind);
    const struct policy_principal *who = &x->c->caller->who.principal;
    if (optional && !iam_param_given(x, param)) {
        ENSURE(who->type == PRINCIPAL_USER, x->err, SL_E_IAM_VALIDATION,
               "Must specify userName when calling with non-User credentials");
        *ret = who->user_name;
        return SL_OK;
    }
    return iam_param_name(x, param, ret);
}

struct sl_rc iam_target(struct iam_ctx *x, enum iam_kind kind, bool optional,
                        struct iam_facts facts, struct iam_entity *ret) {
    struct slice name;
    struct iam_entity e;
    struct sl_error missing = {0};
    TRY(target_name(x, kind, optional, &name));
    struct sl_rc rc = iam_entity_get(x->conn, x->account, kind, name, x->a, &missing, &e);
    if (sl_failed(rc) && rc.code != SL_E_IAM_NO_SUCH_ENTITY) {
        return sl_fail(x->err, rc.code, "%s", missing.detail);
    }
    struct slice arn =
        sl_is_ok(rc) ? e.arn : iam_arn(x->a, x->account, iam_kind_type(kind), SLICE_LIT("/"), name);
    ENSURE(arn.ptr != NULL, x->err, SL_E_NOMEM, "Out of memory.");
    facts.entity = sl_is_ok(rc) ? &e : NULL;
    TRY(iam_allowed(x, arn, &facts));
    if (sl_failed(rc)) {
        return sl_fail(x->err, rc.code, "%s", missing.detail);
    }
    *ret = e;
    return SL_OK;
}

struct sl_rc iam_policy_arn_valid(struct iam_ctx *x, struct slice arn) {
    ENSURE(slice_starts(arn, SLICE_LIT("arn:aws:iam::")), x->err, SL_E_IAM_VALIDATION,
           "ARN %.*s is not valid.", SLICE_FMT(arn));
    return SL_OK;
}

static bool visible(const struct iam_ctx *x, const struct iam_policy *p) {
    return slice_eq_cstr(p->account, "aws") || slice_eq(p->account, x->account);
}

struct sl_rc iam_no_policy(struct iam_ctx *x, struct slice arn) {
    struct slice version = iam_param(x, "VersionId");
    return version.len > 0
               ? sl_fail(x->err, SL_E_IAM_NO_SUCH_ENTITY,
                         "Policy %.*s version %.*s does not exist or is not attachable.",
                         SLICE_FMT(arn), SLICE_FMT(version))
               : sl_fail(x->err, SL_E_IAM_NO_SUCH_ENTITY, "Policy %.*s was not found.",
                         SLICE_FMT(arn));
}

struct sl_rc iam_target_policy(struct iam_ctx *x, struct iam_facts facts, struct iam_policy *ret) {
    struct slice arn = iam_param(x, "PolicyArn");
    struct iam_policy p;
    struct sl_error missing = {0};
    TRY(iam_policy_arn_valid(x, arn));
    struct sl_rc rc = iam_policy_get(x->conn, arn, x->a, &missing, &p);
    if (sl_failed(rc) && rc.code != SL_E_IAM_NO_SUCH_ENTITY) {
        return sl_fail(x->err, rc.code, "%s", missing.detail);
    }
    bool found = sl_is_ok(rc) && visible(x, &p);
    facts.policy_owner = found ? p.arn : SLICE_EMPTY;
    TRY(iam_allowed(x, arn, &facts));
    if (!found) {
        return iam_no_policy(x, arn);
    }
    TRY(iam_policy_count(x->conn, x->account, &p, x->err));
    *ret = p;
    return SL_OK;
}

struct sl_rc iam_target_own_policy(struct iam_ctx *x, struct iam_facts facts,
                                   struct iam_policy *ret) {
    struct iam_policy p;
    TRY(iam_target_policy(x, facts, &p));
    ENSURE(!slice_eq_cstr(p.account, "aws"), x->err, SL_E_ACCESS_DENIED,
           "Policy is outside your own account.");
    *ret = p;
    return SL_OK;
}

static bool usable(struct iam_ctx *x, struct slice arn) {
    struct iam_policy p;
    return sl_is_ok(iam_policy_get(x->conn, arn, x->a, NULL, &p)) && visible(x, &p);
}

struct sl_rc iam_policy_attachable(struct iam_ctx *x, struct slice arn) {
    ENSURE(usable(x, arn), x->err, SL_E_IAM_NO_SUCH_ENTITY,
           "Policy %.*s does not exist or is not attachable.", SLICE_FMT(arn));
    return SL_OK;
}

/* "arn:aws:iam::<account>:policy/<name>" */
struct sl_rc iam_policy_bounding(struct iam_ctx *x, struct slice arn) {
    struct slice head = SLICE_LIT("arn:aws:iam::"), rest = slice_sub(arn, head.len, arn.len);
    rest = slice_sub(rest, slice_find(rest, ':'), rest.len);
    ENSURE(slice_starts(arn, head) && slice_starts(rest, SLICE_LIT(":policy/")), x->err,
           SL_E_IAM_INVALID_INPUT, "ARN %.*s is not valid.", SLICE_FMT(arn));
    ENSURE(usable(x, arn), x->err, SL_E_IAM_NO_SUCH_ENTITY,
           "Scope ARN: %.*s does not exist or is not attachable.", SLICE_FMT(arn));
    return SL_OK;
}
