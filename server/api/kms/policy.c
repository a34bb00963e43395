/* Key policies: GetKeyPolicy, PutKeyPolicy, ListKeyPolicies, and what a policy must be to be
 * stored. */
#include "server/api/kms/kms_in.h"

#include "lib/base/limits.h"

struct slice kms_default_policy(struct api_call *c) {
    struct slice account = c->caller->who.principal.account;
    return slice_cstr(
        arena_printf(c->arena,
                     "{\n  \"Version\" : \"2012-10-17\",\n  \"Id\" : \"key-default-1\",\n"
                     "  \"Statement\" : [ {\n    \"Sid\" : \"Enable IAM User Permissions\",\n"
                     "    \"Effect\" : \"Allow\",\n    \"Principal\" : {\n"
                     "      \"AWS\" : \"arn:aws:iam::%.*s:root\"\n    },\n"
                     "    \"Action\" : \"kms:*\",\n    \"Resource\" : \"*\"\n  } ]\n}",
                     SLICE_FMT(account)));
}

/* AWS's layout: objects over lines, arrays inline, " : " between name and value. */
static void pretty(struct buf *out, const struct json *v, int depth) {
    struct jsonw w = jsonw_of(out);
    switch (v->type) {
    case JSON_OBJECT:
        buf_puts(out, v->child ? "{" : "{ ");
        for (const struct json *m = v->child; m != NULL; m = m->next) {
            buf_printf(out, "%s\n%*s", m == v->child ? "" : ",", 2 * (depth + 1), "");
            struct jsonw name = jsonw_of(out);
            jsonw_string(&name, m->name);
            buf_puts(out, " : ");
            pretty(out, m, depth + 1);
        }
        if (v->child != NULL) {
            buf_printf(out, "\n%*s", 2 * depth, "");
        }
        buf_putc(out, '}');
        break;
    case JSON_ARRAY:
        buf_puts(out, "[ ");
        for (const struct json *e = v->child; e != NULL; e = e->next) {
            buf_puts(out, e == v->child ? "" : ", ");
            pretty(out, e, depth);
        }
        buf_puts(out, v->child ? " ]" : "]");
        break;
    case JSON_STRING:
        jsonw_string(&w, v->text);
        break;
    case JSON_NUMBER:
        buf_put(out, v->text);
        break;
    case JSON_BOOL:
        jsonw_bool(&w, v->boolean);
        break;
    default:
        jsonw_null(&w);
        break;
    }
}

/* Account, user and role ARNs of IAM must exist; other forms (services, "*", role sessions, unique
 * ids) are taken as they are. */
static bool principal_known(struct api_call *c, struct slice p) {
    if (slice_starts(p, SLICE_LIT("arn:aws:iam::"))) {
        return identity_exists(c->env->db, p);
    }
    uint64_t digits = 0;
    if (p.len == 12 && slice_u64(p, UINT64_MAX, &digits)) {
        char *root = arena_printf(c->arena, "arn:aws:iam::%.*s:root", SLICE_FMT(p));
        return root != NULL && identity_exists(c->env->db, slice_cstr(root));
    }
    return true;
}

static bool value_known(struct api_call *c, const struct json *v) {
    if (v == NULL || v->type == JSON_STRING) {
        return v == NULL || principal_known(c, v->text);
    }
    for (const struct json *e = v->child; e != NULL; e = e->next) {
        if (e->type != JSON_STRING || !principal_known(c, e->text)) {
            return false;
        }
    }
    return true;
}

static bool statement_known(struct api_call *c, const struct json *s) {
    static const char *const elements[] = {"Principal", "NotPrincipal"};
    for (size_t i = 0; i < 2; i++) {
        const struct json *p = json_get(s, elements[i]);
        if (p != NULL && p->type == JSON_OBJECT && !value_known(c, json_get(p, "AWS"))) {
            return false;
        }
    }
    return true;
}

static bool principals_known(struct api_call *c, const struct json *root) {
    const struct json *s = json_get(root, "Statement");
    if (s != NULL && s->type == JSON_OBJECT) {
        return statement_known(c, s);
    }
    for (const struct json *e = s ? s->child : NULL; e != NULL; e = e->next) {
        if (!statement_known(c, e)) {
            return false;
        }
    }
    return true;
}

/* Would the key policy itself stop the caller from changing it again? So the caller's own policies
 * are taken to allow everything. */
static struct sl_rc lockout(struct api_call *c, const struct policy *p, struct slice arn) {
    const struct policy *all = NULL;
    TRY(policy_parse(SLICE_LIT("{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\","
                               "\"Action\":\"*\",\"Resource\":\"*\"}]}"),
                     POLICY_IDENTITY, c->arena, c->err, &all));
    struct auth_caller able = *c->caller;
    able.who.policies = &all;
    able.who.policy_count = 1;
    able.who.boundary = NULL;
    able.session = NULL;
    struct sl_rc rc =
        auth_decide(c->env, &able, SLICE_LIT("kms:PutKeyPolicy"), arn,
                    c->caller->who.principal.account, p, POLICY_KEY, NULL, 0, c->arena, NULL);
    ENSURE(rc.code != SL_E_ACCESS_DENIED, c->err, SL_E_KMS_POLICY,
           "The new key policy will not allow you to update the key policy in the future.");
    return rc;
}

struct sl_rc kms_policy_accept(struct api_call *c, struct slice text, struct slice arn, bool bypass,
                               struct slice *ret) {
    const struct json *root = NULL;
    const struct policy *p = NULL;
    struct sl_error why = {0};
    ENSURE(text.len <= LIMIT_POLICY_BYTES, c->err, SL_E_KMS_LIMIT,
           "The key policy is larger than %d bytes.", LIMIT_POLICY_BYTES);
    struct sl_rc rc = json_parse(text, c->arena, &why, &root);
    if (!sl_failed(rc)) {
        rc = policy_parse(text, POLICY_KEY, c->arena, &why, &p);
    }
    ENSURE(!sl_failed(rc), c->err, SL_E_KMS_POLICY, "%s", sl_error_message(&why, rc.code));
    ENSURE(principals_known(c, root), c->err, SL_E_KMS_POLICY,
           "Policy contains a statement with one or more invalid principals.");
    if (!bypass) {
        TRY(lockout(c, p, arn));
    }
    SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(16 * LIMIT_POLICY_BYTES);
    pretty(&out, root, 0);
    TRY(buf_check(&out, c->err));
    *ret = arena_copy(c->arena, buf_slice(&out));
    ENSURE(ret->ptr != NULL, c->err, SL_E_NOMEM, "Out of memory.");
    return SL_OK;
}

static struct sl_rc only_default(struct api_call *c) {
    struct slice name = kms_string(c, "PolicyName");
    ENSURE(name.len == 0 || slice_eq_cstr(name, "default"), c->err, SL_E_KMS_NOT_FOUND,
           "No such policy exists");
    return SL_OK;
}

struct sl_rc kms_op_get_policy(struct api_call *c) {
    struct kms_target t = {0};
    TRY(kms_use(c, kms_string(c, "KeyId"), &(struct kms_want){.action = "kms:GetKeyPolicy"}, &t));
    TRY(only_default(c));
    struct jsonw w = jsonw_of(c->out);
    jsonw_object_begin(&w);
    jsonw_name(&w, "Policy");
    jsonw_string(&w, t.row.policy);
    jsonw_name(&w, "PolicyName");
    jsonw_cstr(&w, "default");
    jsonw_object_end(&w);
    return SL_OK;
}

struct sl_rc kms_op_put_policy(struct api_call *c) {
    bool bypass = kms_flag(c, "BypassPolicyLockoutSafetyCheck");
    struct slice bypassed = bypass ? SLICE_LIT("true") : SLICE_LIT("false");
    struct policy_key more = {SLICE_LIT("kms:BypassPolicyLockoutSafetyCheck"), &bypassed, 1};
    struct kms_want want = {.action = "kms:PutKeyPolicy", .more = &more, .more_count = 1};
    struct kms_target t = {0};
    struct slice text = SLICE_EMPTY;
    TRY(kms_use(c, kms_string(c, "KeyId"), &want, &t));
    TRY(only_default(c));
    TRY(kms_policy_accept(c, kms_string(c, "Policy"), t.row.arn, bypass, &text));
    struct sqlite3 *conn = NULL;
    TRY(kms_db_write(c->env->db, &conn, c->err));
    struct sl_rc rc = keys_set_policy(conn, t.row.id, text, c->err);
    struct sl_rc end = kms_db_write_end(c->env->db, conn, !sl_failed(rc), c->err);
    return sl_failed(rc) ? rc : end;
}

struct sl_rc kms_op_list_policies(struct api_call *c) {
    struct kms_target t = {0};
    struct kms_want want = {.action = "kms:ListKeyPolicies"};
    TRY(kms_use(c, kms_string(c, "KeyId"), &want, &t));
    buf_puts(c->out, "{\"PolicyNames\":[\"default\"],\"Truncated\":false}");
    return SL_OK;
}
