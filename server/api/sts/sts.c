/* STS: who am I, sessions of users, whose key is this, why was I denied. AssumeRole is in assume.c.
 */
#include "server/api/sts/sts_in.h"

#include "lib/base/clock.h"

enum { USER_DURATION_MAX_S = 129600, USER_DURATION_DEFAULT_S = 43200, MESSAGE_MAX = 10240 };

static struct sl_rc known(struct api_call *c) {
    ENSURE(c->caller->who.principal.account.len > 0, c->err, SL_E_MISSING_TOKEN,
           "Request is missing Authentication Token");
    return SL_OK;
}

/* Operations on nothing in particular: the identity policies decide. A user's session without a
 * second factor may only ask who it is, and assume roles. */
static struct sl_rc allowed(struct api_call *c, const char *action) {
    TRY(known(c));
    ENSURE(c->caller->sts == NULL || c->caller->sts->kind == AUTH_STS_ROLE, c->err,
           SL_E_ACCESS_DENIED, "Cannot call %.*s with session credentials",
           SLICE_FMT(c->operation));
    return auth_decide(c->env, c->caller, slice_cstr(action), SLICE_LIT("*"),
                       c->caller->who.principal.account, NULL, POLICY_IDENTITY, NULL, 0, c->arena,
                       c->err);
}

static struct sl_rc sts_get_caller_identity(struct api_call *c) {
    const struct policy_principal *who = &c->caller->who.principal;
    TRY(known(c));
    xmlw_text(c->out, "Arn", who->arn);
    xmlw_text(c->out, "UserId", who->type == PRINCIPAL_ROOT ? who->account : who->user_id);
    xmlw_text(c->out, "Account", who->account);
    return buf_check(c->out, c->err);
}

/* No permission is needed: the session can do less than its user. */
static struct sl_rc sts_get_session_token(struct api_call *c) {
    const struct policy_principal *who = &c->caller->who.principal;
    struct auth_session made = {0};
    int64_t duration_s;
    TRY(known(c));
    ENSURE(c->caller->sts == NULL && who->type == PRINCIPAL_USER, c->err, SL_E_ACCESS_DENIED,
           "Cannot call GetSessionToken with session credentials");
    TRY(sts_duration(c, USER_DURATION_MAX_S, USER_DURATION_DEFAULT_S, &duration_s));
    TRY(sts_refuse_mfa(c));
    struct auth_sts s = {.kind = AUTH_STS_USER, .account = who->account, .id = who->user_id};
    TRY(auth_session_make(c->env, &s, duration_s, c->arena, c->err, &made));
    sts_out_credentials(c, &made);
    char expires[21];
    clock_iso(made.expires_s, expires);
    c->audit_response = slice_cstr(
        arena_printf(c->arena, "{\"credentials\":{\"accessKeyId\":\"%.*s\",\"expiration\":\"%s\"}}",
                     SLICE_FMT(made.access_key_id), expires));
    secret_fini(&made.secret_access_key);
    return buf_check(c->out, c->err);
}

static struct sl_rc sts_get_access_key_info(struct api_call *c) {
    struct slice id = sts_param(c, "AccessKeyId"), account = SLICE_EMPTY;
    char digits[13];
    TRY(allowed(c, "sts:GetAccessKeyInfo"));
    TRY(sts_word(c, id, "accessKeyId", 16, 128));
    if (auth_session_account(id, digits)) {
        account = slice_cstr(digits);
    } else {
        struct sl_rc rc = identity_key_account(c->env->db, id, c->arena, NULL, &account);
        ENSURE(rc.code != SL_E_IAM_NO_SUCH_ENTITY, c->err, SL_E_IAM_VALIDATION,
               "Access key id is not valid.");
        TRY(rc);
    }
    xmlw_text(c->out, "Account", account);
    return buf_check(c->out, c->err);
}

static struct sl_rc sts_decode_message(struct api_call *c) {
    struct slice text = sts_param(c, "EncodedMessage"), json = SLICE_EMPTY;
    TRY(allowed(c, "sts:DecodeAuthorizationMessage"));
    ENSURE(text.len > 0 && text.len <= MESSAGE_MAX, c->err, SL_E_IAM_VALIDATION,
           "1 validation error detected: Value at 'encodedMessage' failed to satisfy constraint: "
           "Member must have length between 1 and %d",
           MESSAGE_MAX);
    TRY(auth_denial_open(c->env, c->caller->who.principal.account, text, c->arena, c->err, &json));
    xmlw_text(c->out, "DecodedMessage", json);
    return buf_check(c->out, c->err);
}

bool api_sts_knows(struct slice operation, struct slice name) {
    static const struct {
        const char *operation, *members[12];
    } models[] = {
        {"AssumeRole",
         {"RoleArn", "RoleSessionName", "PolicyArns", "Policy", "DurationSeconds", "Tags",
          "TransitiveTagKeys", "ExternalId", "SerialNumber", "TokenCode", "SourceIdentity",
          "ProvidedContexts"}},
        {"GetSessionToken", {"DurationSeconds", "SerialNumber", "TokenCode"}},
        {"GetAccessKeyInfo", {"AccessKeyId"}},
        {"DecodeAuthorizationMessage", {"EncodedMessage"}},
    };
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        for (size_t k = 0; k < 12 && models[i].members[k] != NULL; k++) {
            if (slice_eq_cstr(operation, models[i].operation) &&
                slice_eq_cstr(name, models[i].members[k])) {
                return true;
            }
        }
    }
    return false;
}

const struct api_operation api_sts_operations[] = {
    {"GetCallerIdentity", sts_get_caller_identity, true, false},
    {"AssumeRole", sts_assume_role, true, false},
    {"GetSessionToken", sts_get_session_token, true, false},
    {"GetAccessKeyInfo", sts_get_access_key_info, true, false},
    {"DecodeAuthorizationMessage", sts_decode_message, true, false},
    {NULL, NULL, false, false},
};
