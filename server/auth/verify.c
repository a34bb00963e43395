/* SigV4 verification: claim, scope, time, key, signature, in that order. The secret is looked up
 * or kept only until the next change, so a deactivated key stops at once. */
#include "server/auth/auth_in.h"

#include "lib/base/clock.h"
#include "server/store/identity/used.h"
#include "server/store/meta/kept.h"

static bool scope_word(struct slice s) {
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) {
            return false;
        }
    }
    return s.len > 0 && s.len <= 32;
}

static struct sl_rc check_scope(const struct sigv4_claim *c, const char *service, bool s3,
                                struct sl_error *err) {
    enum sl_code code =
        s3 ? (c->kind == SIGV4_QUERY ? SL_E_QUERY_AUTH : SL_E_SCOPE) : SL_E_SIGNATURE;
    bool known = service ? slice_eq_cstr(c->service, service)
                         : slice_eq_cstr(c->service, "kms") || slice_eq_cstr(c->service, "iam") ||
                               slice_eq_cstr(c->service, "sts") ||
                               slice_eq_cstr(c->service, "cloudtrail");
    if (!known && s3) {
        return sl_fail(err, code,
                       "The authorization header is malformed; incorrect service \"%.*s\". This "
                       "endpoint belongs to \"s3\".",
                       SLICE_FMT(c->service));
    }
    ENSURE(known, err, code, "Credential should be scoped to correct service: '%s'. ",
           service ? service : "kms");
    ENSURE(scope_word(c->region), err, code, "Credential should be scoped to a valid region. ");
    struct slice day = slice_sub(c->amz_date, 0, 8);
    if (!slice_eq(c->date, day)) {
        return s3 ? sl_fail(err, code,
                            "Invalid credential date \"%.*s\". This date is not the same as "
                            "X-Amz-Date: \"%.*s\".",
                            SLICE_FMT(c->date), SLICE_FMT(day))
                  : sl_fail(err, code,
                            "Date in Credential scope does not match YYYYMMDD from ISO-8601 "
                            "version of date from HTTP: '%.*s' != '%.*s', from '%.*s'.",
                            SLICE_FMT(c->date), SLICE_FMT(day), SLICE_FMT(c->amz_date));
    }
    return SL_OK;
}

static struct sl_rc skewed(const struct auth_env *env, const struct sigv4_claim *c, bool s3,
                           bool past, struct sl_error *err) {
    if (s3) {
        return sl_fail(err, SL_E_SKEWED, "%s", sl_code_info(SL_E_SKEWED)->text);
    }
    char now[17], bound[17];
    int64_t now_s = env->real_ms / 1000;
    clock_basic(now_s, now);
    clock_basic(past ? now_s - AUTH_SKEW_MS / 1000 : now_s + AUTH_SKEW_MS / 1000, bound);
    return past ? sl_fail(err, SL_E_SKEWED,
                          "Signature expired: %.*s is now earlier than %s (%s - 15 min.)",
                          SLICE_FMT(c->amz_date), bound, now)
                : sl_fail(err, SL_E_SKEWED,
                          "Signature not yet current: %.*s is still later than %s (%s + 15 min.)",
                          SLICE_FMT(c->amz_date), bound, now);
}

static struct sl_rc check_time(const struct auth_env *env, const struct sigv4_claim *c, bool s3,
                               struct sl_error *err) {
    int64_t now_s = env->real_ms / 1000;
    int64_t skew_s = AUTH_SKEW_MS / 1000;
    if (c->kind == SIGV4_QUERY) {
        ENSURE(c->expires_s >= 1 && c->expires_s <= 604800, err, SL_E_QUERY_AUTH,
               "X-Amz-Expires must be between 1 and 604800 seconds");
        ENSURE(c->when_s <= now_s + skew_s, err, SL_E_EXPIRED_REQUEST, "Request is not valid yet");
        ENSURE(now_s <= c->when_s + c->expires_s, err, SL_E_EXPIRED_REQUEST, "Request has expired");
        return SL_OK;
    }
    if (c->when_s < now_s - skew_s) {
        return skewed(env, c, s3, true, err);
    }
    return c->when_s > now_s + skew_s ? skewed(env, c, s3, false, err) : SL_OK;
}

/* The identity and the secret behind the claim's access key. */
static struct sl_rc find_identity(const struct auth_env *env, const struct sigv4_claim *c,
                                  struct arena *a, struct sl_error *err, struct auth_caller *ret,
                                  struct secret *ret_secret) {
    if (!slice_starts(c->access_key_id, SLICE_LIT("ASIA"))) {
        ENSURE(c->session_token.len == 0, err, SL_E_TOKEN_INVALID,
               "The security token included in the request is invalid.");
        return identity_by_access_key(env->db, env->keys, c->access_key_id, a, err, &ret->who,
                                      ret_secret);
    }
    ENSURE(c->session_token.len > 0, err, SL_E_UNKNOWN_KEY_ID, "%s",
           sl_code_info(SL_E_UNKNOWN_KEY_ID)->text);
    struct auth_sts *sts = arena_alloc(a, sizeof *sts);
    struct slice key_id = SLICE_EMPTY;
    struct secret secret = {0};
    ENSURE(sts != NULL, err, SL_E_NOMEM, "Out of memory.");
    TRY(auth_token_open(env, c->session_token, a, err, sts, &key_id, &secret));
    struct sl_rc rc = SL_OK;
    if (!slice_eq(key_id, c->access_key_id)) {
        rc = sl_fail(err, SL_E_TOKEN_INVALID,
                     "The security token included in the request is invalid.");
    } else if (env->now_ms / 1000 >= sts->expires_s) {
        rc = sl_fail(err, SL_E_TOKEN_EXPIRED, "%s", sl_code_info(SL_E_TOKEN_EXPIRED)->text);
    } else {
        rc = auth_sts_caller(env, sts, key_id, a, err, ret);
    }
    if (sl_failed(rc)) {
        secret_fini(&secret);
        return rc;
    }
    *ret_secret = secret;
    return SL_OK;
}

/* A long-term key's owner and its signing key for one day, region and service. */
struct signer {
    struct identity who;
    struct secret key;
};

static void signer_fini(void *value) {
    secret_fini(&((struct signer *)value)->key);
}

static struct sl_rc make_signer(const struct auth_env *env, const struct sigv4_claim *c,
                                struct arena *a, struct sl_error *err, struct signer *ret) {
    SL_CLEANUP(secret_fini) struct secret secret = {0};
    TRY(identity_by_access_key(env->db, env->keys, c->access_key_id, a, err, &ret->who, &secret));
    return sigv4_signing_key(secret_view(&secret), c->date, c->region, c->service, &ret->key);
}

/* From what is kept, or kept for the next request. False when that can't be. */
static bool kept_signer(const struct auth_env *env, const struct sigv4_claim *c, struct arena *a,
                        struct sl_error *err, struct sl_rc *ret_rc, const struct signer **ret) {
    const struct slice runs[] = {
        SLICE_LIT("signer/"), c->access_key_id, SLICE_LIT("/"), c->date,
        SLICE_LIT("/"),       c->region,        SLICE_LIT("/"), c->service};
    struct slice name = arena_join(a, runs, sizeof runs / sizeof *runs);
    if (name.ptr == NULL) {
        return false;
    }
    *ret_rc = SL_OK;
    *ret = kept_find(env->db, name, env->holds);
    if (*ret != NULL) {
        return true;
    }
    struct kept *k = kept_begin(env->db, name, env->holds);
    struct signer *made = k != NULL ? arena_alloc(kept_arena(k), sizeof *made) : NULL;
    if (made == NULL) {
        kept_drop(k);
        return false;
    }
    *ret_rc = make_signer(env, c, kept_arena(k), err, made);
    if (sl_failed(*ret_rc)) {
        kept_drop(k);
    } else {
        kept_put(env->db, k, made, signer_fini, env->holds);
        *ret = made;
    }
    return true;
}

/* Who claims to ask, and the key that proves it. */
static struct sl_rc find_signer(const struct auth_env *env, const struct sigv4_claim *c,
                                struct arena *a, struct sl_error *err, struct auth_caller *ret,
                                struct secret *ret_signing) {
    bool long_term =
        c->session_token.len == 0 && !slice_starts(c->access_key_id, SLICE_LIT("ASIA"));
    const struct signer *signer = NULL;
    struct sl_rc rc;
    if (long_term && kept_signer(env, c, a, err, &rc, &signer)) {
        TRY(rc);
        ret->who = signer->who;
        return secret_from(ret_signing, secret_view(&signer->key));
    }
    SL_CLEANUP(secret_fini) struct secret secret = {0};
    TRY(find_identity(env, c, a, err, ret, &secret));
    return sigv4_signing_key(secret_view(&secret), c->date, c->region, c->service, ret_signing);
}

static struct slice header(const struct sigv4_request *req, const char *name) {
    for (size_t i = 0; i < req->header_count; i++) {
        if (slice_ieq(req->headers[i].name, slice_cstr(name))) {
            return req->headers[i].value;
        }
    }
    return SLICE_EMPTY;
}

struct sl_rc auth_verify(const struct auth_env *env, const struct sigv4_request *req,
                         const char *service, struct slice peer_ip, bool peer_tls, struct arena *a,
                         struct sl_error *err, struct auth_caller *ret,
                         struct secret *ret_signing_key, struct slice *ret_canonical,
                         struct slice *ret_string_to_sign) {
    struct sigv4_claim c = {0};
    struct auth_caller caller = {0};
    bool s3 = service != NULL && strcmp(service, "s3") == 0;
    TRY(sigv4_claim_parse(req, a, err, &c));
    if (c.kind != SIGV4_NONE) {
        TRY(check_scope(&c, service, s3, err));
        TRY(check_time(env, &c, s3, err));
        TRY(sigv4_check_signed(req, &c, err));
        SL_CLEANUP(secret_fini) struct secret signing = {0};
        TRY(find_signer(env, &c, a, err, &caller, &signing));
        TRY(sigv4_verify(req, &c, &signing, a, err, ret_canonical, ret_string_to_sign));
        caller.region = arena_copy(a, c.region);
        caller.service = arena_copy(a, c.service);
        ENSURE(caller.region.ptr && caller.service.ptr, err, SL_E_NOMEM, "Out of memory.");
        bool role = caller.sts != NULL && caller.sts->kind == AUTH_STS_ROLE;
        used_note(env->used, role ? caller.sts->id : caller.who.access_key_id, c.region, c.service,
                  env->now_ms / 1000);
        if (ret_signing_key != NULL) {
            *ret_signing_key = signing;
            signing = (struct secret){0};
        }
    }
    caller.source_ip = peer_ip;
    caller.tls = peer_tls;
    caller.user_agent = header(req, "user-agent");
    caller.referer = header(req, "referer");
    *ret = caller;
    return SL_OK;
}
