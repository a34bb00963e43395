/* STS: who am I, and sessions of roles. */
#include "lib/base/clock.h"
#include "lib/codec/xml.h"
#include "server/api/api.h"

enum {
    DURATION_MIN_S = 900,
    DURATION_MAX_S = 43200,
    DURATION_DEFAULT_S = 3600,
    CHAINED_MAX_S = 3600,
    SESSION_NAME_MAX = 64,
    SESSION_POLICY_MAX = 2048
};

static struct slice param(const struct api_call *c, const char *name) {
    const struct param *p = params_get(&c->form, name);
    return p ? p->value : SLICE_EMPTY;
}

static struct sl_rc sts_get_caller_identity(struct api_call *c) {
    const struct policy_principal *who = &c->caller->who.principal;
    ENSURE(who->account.len > 0, c->err, SL_E_MISSING_TOKEN,
           "Request is missing Authentication Token");
    xmlw_text(c->out, "Arn", who->arn);
    xmlw_text(c->out, "UserId", who->type == PRINCIPAL_ROOT ? who->account : who->user_id);
    xmlw_text(c->out, "Account", who->account);
    return buf_check(c->out, c->err);
}

struct assume {
    struct slice role_arn, session_name, policy, external_id;
    int64_t duration_s;
};

static bool session_name_valid(struct slice s) {
    for (size_t i = 0; i < s.len; i++) {
        uint8_t b = s.ptr[i];
        bool fine = (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9') ||
                    (b != 0 && strchr("_+=,.@-", b) != NULL);
        if (!fine) {
            return false;
        }
    }
    return s.len >= 2 && s.len <= SESSION_NAME_MAX;
}

/* Parameters that would change what the session may do are refused rather than passed over. */
static struct sl_rc refuse_unknown(struct api_call *c) {
    for (size_t i = 0; i < c->form.count; i++) {
        struct slice name = c->form.items[i].name;
        bool other = slice_starts(name, SLICE_LIT("PolicyArns.")) ||
                     slice_starts(name, SLICE_LIT("Tags.")) ||
                     slice_starts(name, SLICE_LIT("TransitiveTagKeys.")) ||
                     slice_starts(name, SLICE_LIT("ProvidedContexts.")) ||
                     slice_eq_cstr(name, "SourceIdentity");
        ENSURE(!other, c->err, SL_E_UNSUPPORTED, "AssumeRole: %.*s is not supported.",
               SLICE_FMT(name));
        ENSURE(!slice_eq_cstr(name, "SerialNumber") && !slice_eq_cstr(name, "TokenCode"), c->err,
               SL_E_ACCESS_DENIED,
               "MultiFactorAuthentication failed with invalid MFA one time pass code.");
    }
    return SL_OK;
}

static struct sl_rc assume_params(struct api_call *c, struct assume *ret) {
    uint64_t duration = DURATION_DEFAULT_S;
    struct assume in = {.role_arn = param(c, "RoleArn"),
                        .session_name = param(c, "RoleSessionName"),
                        .policy = param(c, "Policy"),
                        .external_id = param(c, "ExternalId")};
    struct slice text = param(c, "DurationSeconds");
    ENSURE(in.role_arn.len > 0, c->err, SL_E_IAM_VALIDATION,
           "1 validation error detected: Value null at 'roleArn' failed to satisfy constraint: "
           "Member must not be null");
    ENSURE(in.role_arn.len >= 20 && in.role_arn.len <= 2048 && utf8_valid(in.role_arn), c->err,
           SL_E_IAM_VALIDATION, "%.*s is invalid", SLICE_FMT(in.role_arn));
    ENSURE(session_name_valid(in.session_name), c->err, SL_E_IAM_VALIDATION,
           "1 validation error detected: Value '%.*s' at 'roleSessionName' failed to satisfy "
           "constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]{2,64}",
           SLICE_FMT(in.session_name));
    ENSURE(text.len == 0 || slice_u64(text, INT32_MAX, &duration), c->err, SL_E_IAM_VALIDATION,
           "1 validation error detected: Value '%.*s' at 'durationSeconds' is no number",
           SLICE_FMT(text));
    ENSURE(duration >= DURATION_MIN_S && duration <= DURATION_MAX_S, c->err, SL_E_IAM_VALIDATION,
           "1 validation error detected: Value '%llu' at 'durationSeconds' failed to satisfy "
           "constraint: Member must have value %s than or equal to %d",
           (unsigned long long)duration, duration < DURATION_MIN_S ? "greater" : "less",
           duration < DURATION_MIN_S ? DURATION_MIN_S : DURATION_MAX_S);
    ENSURE(
        in.external_id.len == 0 ||
            (in.external_id.len >= 2 && in.external_id.len <= 1224 && utf8_valid(in.external_id)),
        c->err, SL_E_IAM_VALIDATION,
        "1 validation error detected: Value at 'externalId' failed to satisfy constraint: Member "
        "must have length between 2 and 1224");
    in.duration_s = (int64_t)duration;
    TRY(refuse_unknown(c));
    *ret = in;
    return SL_OK;
}

static struct sl_rc check_session_policy(struct api_call *c, struct slice text) {
    struct sl_error why = {0};
    const struct policy *p;
    if (text.len == 0) {
        return SL_OK;
    }
    ENSURE(text.len <= SESSION_POLICY_MAX, c->err, SL_E_IAM_VALIDATION,
           "1 validation error detected: Value at 'policy' failed to satisfy constraint: Member "
           "must have length less than or equal to %d",
           SESSION_POLICY_MAX);
    struct sl_rc rc = policy_parse(text, POLICY_SESSION, c->arena, &why, &p);
    ENSURE(sl_is_ok(rc), c->err, SL_E_IAM_POLICY, "%s", sl_error_message(&why, rc.code));
    return SL_OK;
}

/* Whoever may not assume a role is not told whether it exists: to another account the text has no
 * reason, to the own one a missing role looks like one that trusts nobody. */
static struct sl_rc refused(struct api_call *c, struct slice role_arn, const char *reason) {
    const struct policy_principal *who = &c->caller->who.principal;
    bool own = slice_eq(slice_sub(role_arn, 13, 25), who->account);
    return sl_fail(c->err, SL_E_ACCESS_DENIED,
                   "User: %.*s is not authorized to perform: sts:AssumeRole on resource: %.*s%s",
                   SLICE_FMT(who->arn), SLICE_FMT(role_arn), own ? reason : "");
}

static struct sl_rc check_trust(struct api_call *c, const struct assume *in,
                                struct identity_role *ret) {
    struct sl_error why = {0};
    struct identity_role role;
    struct sl_rc rc = identity_role_get(c->env->db, in->role_arn, c->arena, &why, &role);
    if (rc.code == SL_E_IAM_NO_SUCH_ENTITY) {
        return refused(c, in->role_arn,
                       " because no role trust policy allows the sts:AssumeRole action");
    }
    if (sl_failed(rc)) {
        return sl_fail(c->err, rc.code, "%s", why.detail);
    }
    struct policy_key keys[2] = {
        {SLICE_LIT("sts:RoleSessionName"), &in->session_name, 1},
        {SLICE_LIT("sts:ExternalId"), &in->external_id, 1},
    };
    rc = auth_decide(c->env, c->caller, SLICE_LIT("sts:AssumeRole"), role.arn, role.account,
                     role.trust, POLICY_TRUST, keys, in->external_id.len > 0 ? 2 : 1, c->arena,
                     &why);
    if (rc.code == SL_E_ACCESS_DENIED) {
        const char *reason = strstr(why.detail, " because ");
        reason = reason ? reason : strstr(why.detail, " with an explicit deny ");
        return refused(c, in->role_arn, reason ? reason : "");
    }
    if (sl_failed(rc)) {
        return sl_fail(c->err, rc.code, "%s", why.detail);
    }
    *ret = role;
    return SL_OK;
}

static void note_assume(struct api_call *c, const struct assume *in) {
    SL_CLEANUP(buf_fini) struct buf text = BUF_INIT(64 * 1024);
    struct jsonw w = jsonw_of(&text);
    jsonw_object_begin(&w);
    jsonw_name(&w, "roleArn");
    jsonw_string(&w, in->role_arn);
    jsonw_name(&w, "roleSessionName");
    jsonw_string(&w, in->session_name);
    jsonw_name(&w, "durationSeconds");
    jsonw_int(&w, in->duration_s);
    if (in->policy.len > 0) {
        jsonw_name(&w, "policy");
        jsonw_string(&w, in->policy);
    }
    if (in->external_id.len > 0) {
        jsonw_name(&w, "externalId");
        jsonw_string(&w, in->external_id);
    }
    jsonw_object_end(&w);
    if (sl_is_ok(buf_check(&text, NULL))) {
        c->audit_request = arena_copy(c->arena, buf_slice(&text));
    }
    c->audit_resource = in->role_arn;
}

static void out_session(struct api_call *c, const struct auth_session *s) {
    char expires[21];
    clock_iso(s->expires_s, expires);
    c->out->wipe = true;
    xmlw_open(c->out, "AssumedRoleUser");
    xmlw_text(c->out, "AssumedRoleId", s->user_id);
    xmlw_text(c->out, "Arn", s->arn);
    xmlw_close(c->out, "AssumedRoleUser");
    xmlw_open(c->out, "Credentials");
    xmlw_text(c->out, "AccessKeyId", s->access_key_id);
    xmlw_text(c->out, "SecretAccessKey", secret_view(&s->secret_access_key));
    xmlw_text(c->out, "SessionToken", s->token);
    xmlw_cstr(c->out, "Expiration", expires);
    xmlw_close(c->out, "Credentials");
    const char *response = arena_printf(
        c->arena,
        "{\"credentials\":{\"accessKeyId\":\"%.*s\",\"expiration\":\"%s\"},\"assumedRoleUser\":"
        "{\"assumedRoleId\":\"%.*s\",\"arn\":\"%.*s\"}}",
        SLICE_FMT(s->access_key_id), expires, SLICE_FMT(s->user_id), SLICE_FMT(s->arn));
    c->audit_response = slice_cstr(response);
}

static struct sl_rc sts_assume_role(struct api_call *c) {
    const struct policy_principal *who = &c->caller->who.principal;
    struct assume in;
    struct identity_role role;
    ENSURE(who->account.len > 0, c->err, SL_E_MISSING_TOKEN,
           "Request is missing Authentication Token");
    TRY(assume_params(c, &in));
    note_assume(c, &in);
    ENSURE(who->type != PRINCIPAL_ROOT, c->err, SL_E_ACCESS_DENIED,
           "Roles may not be assumed by root accounts.");
    TRY(check_trust(c, &in, &role));
    TRY(check_session_policy(c, in.policy));
    ENSURE(who->type != PRINCIPAL_ROLE_SESSION || in.duration_s <= CHAINED_MAX_S, c->err,
           SL_E_IAM_VALIDATION,
           "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by "
           "role chaining.");
    ENSURE(in.duration_s <= role.max_session_s, c->err, SL_E_IAM_VALIDATION,
           "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.");
    struct auth_session s = {0};
    TRY(auth_session_make(c->env, &role, in.session_name, in.policy, in.duration_s, c->arena,
                          c->err, &s));
    out_session(c, &s);
    secret_fini(&s.secret_access_key);
    return buf_check(c->out, c->err);
}

const struct api_operation api_sts_operations[] = {
    {"GetCallerIdentity", sts_get_caller_identity, true, false},
    {"AssumeRole", sts_assume_role, true, false},
    {NULL, NULL, false, false},
};
