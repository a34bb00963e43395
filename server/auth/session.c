/* Session tokens of STS and forward sessions (docs/decisions/3-forward-sessions.md). Both are blobs
 * that only kms reads; nothing is stored for either. Neither carries a right: the identity behind
 * it is read from the database whenever one is opened. */
#include "server/auth/auth_in.h"

#include "lib/base/limits.h"
#include "lib/base/rdr.h"
#include "lib/codec/text.h"
#include "lib/crypto/crypto.h"
#include "lib/ipc/seam.h"
#include "server/auth/sealed.h"

static const char token_label[] = "sealift/session-token/1";
static const char forward_label[] = "sealift/forward-session/1";

enum { TOKEN_MAX_BYTES = 16 * 1024, USER_AGENT_KEPT = 256 };

static struct slice keep(struct arena *a, struct slice s, bool *failed) {
    struct slice copy = arena_copy(a, s);
    *failed |= copy.ptr == NULL;
    return copy;
}

struct sl_rc auth_token_open(const struct auth_env *env, struct slice text, struct arena *a,
                             struct sl_error *err, struct auth_token *ret) {
    static const char refused[] = "The security token included in the request is invalid.";
    SL_CLEANUP(buf_fini) struct buf blob = BUF_INIT(TOKEN_MAX_BYTES);
    SL_CLEANUP(buf_fini) struct buf plain = {.max = TOKEN_MAX_BYTES, .wipe = true};
    bool ok =
        text.len <= TOKEN_MAX_BYTES && sl_is_ok(base64_get(text, &blob, NULL)) &&
        sl_is_ok(sealed_open(env->token_key, token_label, SLICE_EMPTY, buf_slice(&blob), &plain));
    ENSURE(ok, err, SL_E_TOKEN_INVALID, "%s", refused);
    struct rdr r = rdr_of(buf_slice(&plain));
    struct auth_token t = {0};
    bool failed = false;
    t.role_arn = keep(a, rdr_vec16(&r), &failed);
    t.role_id = keep(a, rdr_vec16(&r), &failed);
    t.session_name = keep(a, rdr_vec16(&r), &failed);
    t.access_key_id = keep(a, rdr_vec16(&r), &failed);
    struct slice key = rdr_vec16(&r);
    t.policy_text = keep(a, rdr_vec16(&r), &failed);
    t.issued_ms = (int64_t)rdr_u64(&r);
    t.expires_s = (int64_t)rdr_u64(&r);
    TRY(rdr_end(&r, err, "session token"));
    ENSURE(!failed, err, SL_E_NOMEM, "Out of memory.");
    TRY(secret_from(&t.secret_access_key, key));
    *ret = t;
    return SL_OK;
}

static struct sl_rc session_policy(struct slice text, struct arena *a, struct sl_error *err,
                                   struct auth_caller *caller) {
    caller->session = NULL;
    caller->session_policy_text = text;
    return text.len == 0 ? SL_OK : policy_parse(text, POLICY_SESSION, a, err, &caller->session);
}

struct sl_rc auth_role_caller(const struct auth_env *env, const struct auth_token *t,
                              struct arena *a, struct sl_error *err, struct auth_caller *ret) {
    static const char refused[] = "The security token included in the request is invalid.";
    struct sl_error why = {0};
    struct auth_caller c = {0};
    struct sl_rc rc = identity_by_role(env->db, t->role_arn, t->session_name, a, &why, &c.who);
    ENSURE(rc.code != SL_E_IAM_NO_SUCH_ENTITY, err, SL_E_TOKEN_INVALID, "%s", refused);
    if (sl_failed(rc)) {
        return sl_fail(err, rc.code, "%s", why.detail);
    }
    /* A role made anew under the same name is another role. */
    struct slice id = c.who.principal.user_id;
    ENSURE(t->role_id.len > 0 && id.len > t->role_id.len && slice_starts(id, t->role_id) &&
               id.ptr[t->role_id.len] == ':',
           err, SL_E_TOKEN_INVALID, "%s", refused);
    c.who.access_key_id = t->access_key_id;
    c.who.principal.token_issued_s = t->issued_ms / 1000;
    c.expires_s = t->expires_s;
    TRY(session_policy(t->policy_text, a, err, &c));
    *ret = c;
    return SL_OK;
}

/* "R" of arn:aws:iam::A:role/path/R. */
static struct slice role_name(struct slice arn) {
    size_t at = arn.len;
    while (at > 0 && arn.ptr[at - 1] != '/') {
        at--;
    }
    return slice_sub(arn, at, arn.len);
}

static void session_key_id(char out[21]) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    uint8_t random[16];
    crypto_random(random, sizeof random);
    memcpy(out, "ASIA", 4);
    for (size_t i = 0; i < sizeof random; i++) {
        out[4 + i] = letters[random[i] & 31];
    }
    out[20] = '\0';
}

/* 30 random bytes are 40 characters of base64: the form of AWS's secrets. */
static struct sl_rc session_secret(struct secret *ret) {
    uint8_t random[30];
    SL_CLEANUP(buf_fini) struct buf text = {.max = 64, .wipe = true};
    crypto_random(random, sizeof random);
    base64_put(&text, slice_of(random, sizeof random));
    secret_wipe(random, sizeof random);
    TRY(buf_check(&text, NULL));
    return secret_from(ret, buf_slice(&text));
}

static struct sl_rc token_make(const struct auth_env *env, const struct auth_token *t,
                               struct arena *a, struct sl_error *err, struct slice *ret) {
    SL_CLEANUP(buf_fini) struct buf plain = {.max = TOKEN_MAX_BYTES / 2, .wipe = true};
    SL_CLEANUP(buf_fini) struct buf blob = BUF_INIT(TOKEN_MAX_BYTES);
    SL_CLEANUP(buf_fini) struct buf text = BUF_INIT(TOKEN_MAX_BYTES);
    buf_vec16(&plain, t->role_arn);
    buf_vec16(&plain, t->role_id);
    buf_vec16(&plain, t->session_name);
    buf_vec16(&plain, t->access_key_id);
    buf_vec16(&plain, secret_view(&t->secret_access_key));
    buf_vec16(&plain, t->policy_text);
    buf_u64(&plain, (uint64_t)t->issued_ms);
    buf_u64(&plain, (uint64_t)t->expires_s);
    TRY(buf_check(&plain, err));
    TRY(sealed_make(env->token_key, token_label, SLICE_EMPTY, buf_slice(&plain), &blob, err));
    base64_put(&text, buf_slice(&blob));
    TRY(buf_check(&text, err));
    *ret = arena_copy(a, buf_slice(&text));
    ENSURE(ret->ptr != NULL, err, SL_E_NOMEM, "Out of memory.");
    return SL_OK;
}

struct sl_rc auth_session_make(const struct auth_env *env, const struct identity_role *role,
                               struct slice session_name, struct slice policy_text,
                               int64_t duration_s, struct arena *a, struct sl_error *err,
                               struct auth_session *ret) {
    char id[21];
    session_key_id(id);
    struct auth_token t = {
        .role_arn = role->arn,
        .role_id = role->role_id,
        .session_name = session_name,
        .access_key_id = arena_copy(a, slice_cstr(id)),
        .policy_text = policy_text,
        .issued_ms = env->now_ms,
        .expires_s = env->now_ms / 1000 + duration_s,
    };
    struct slice name = role_name(role->arn);
    const char *arn =
        arena_printf(a, "arn:aws:sts::%.*s:assumed-role/%.*s/%.*s", SLICE_FMT(role->account),
                     SLICE_FMT(name), SLICE_FMT(session_name));
    const char *user_id =
        arena_printf(a, "%.*s:%.*s", SLICE_FMT(role->role_id), SLICE_FMT(session_name));
    ENSURE(arn && user_id && t.access_key_id.ptr, err, SL_E_NOMEM, "Out of memory.");
    TRY(session_secret(&t.secret_access_key));
    struct slice token = SLICE_EMPTY;
    struct sl_rc rc = token_make(env, &t, a, err, &token);
    if (sl_failed(rc)) {
        secret_fini(&t.secret_access_key);
        return rc;
    }
    *ret = (struct auth_session){
        .access_key_id = t.access_key_id,
        .secret_access_key = t.secret_access_key,
        .token = token,
        .arn = slice_cstr(arn),
        .user_id = slice_cstr(user_id),
        .expires_s = t.expires_s,
    };
    return SL_OK;
}

struct sl_rc auth_forward_make(const struct auth_env *env, const struct auth_caller *caller,
                               uint8_t edge, struct slice service, const char *request_id,
                               struct arena *a, struct sl_error *err, struct slice *ret_session) {
    const struct policy_principal *p = &caller->who.principal;
    SL_CLEANUP(buf_fini) struct buf plain = {.max = SEAM_SESSION_MAX, .wipe = true};
    SL_CLEANUP(buf_fini) struct buf blob = BUF_INIT(SEAM_SESSION_MAX);
    int64_t until_ms = env->now_ms + AUTH_FORWARD_MS;
    if (caller->expires_s != 0 && caller->expires_s * 1000 < until_ms) {
        until_ms = caller->expires_s * 1000;
    }
    struct slice session_name = SLICE_EMPTY, role_id = SLICE_EMPTY;
    if (p->type == PRINCIPAL_ROLE_SESSION) {
        size_t colon = slice_find(p->user_id, ':');
        role_id = slice_sub(p->user_id, 0, colon);
        session_name = slice_sub(p->user_id, colon + 1, p->user_id.len);
    }
    buf_u8(&plain, (uint8_t)p->type);
    buf_vec16(&plain, caller->who.access_key_id);
    buf_vec16(&plain, p->role_arn);
    buf_vec16(&plain, role_id);
    buf_vec16(&plain, session_name);
    buf_u64(&plain, (uint64_t)p->token_issued_s);
    buf_u64(&plain, (uint64_t)caller->expires_s);
    buf_vec16(&plain, caller->session_policy_text);
    buf_vec16(&plain, caller->source_ip);
    buf_u8(&plain, caller->tls ? 1 : 0);
    buf_vec16(&plain, service);
    buf_vec16(&plain, caller->region);
    buf_vec16(&plain, slice_cstr(request_id));
    buf_vec16(&plain, slice_sub(caller->user_agent, 0, USER_AGENT_KEPT));
    buf_u64(&plain, (uint64_t)until_ms);
    TRY(buf_check(&plain, err));
    TRY(sealed_make(env->forward_key, forward_label, slice_of(&edge, 1), buf_slice(&plain), &blob,
                    err));
    struct slice s = arena_copy(a, buf_slice(&blob));
    ENSURE(s.ptr != NULL, err, SL_E_NOMEM, "Out of memory.");
    *ret_session = s;
    return SL_OK;
}

/* The identity behind a forward session, as it is now. */
static struct sl_rc forward_identity(const struct auth_env *env, int type,
                                     const struct auth_token *t, struct arena *a,
                                     struct sl_error *err, struct auth_caller *ret) {
    switch (type) {
    case PRINCIPAL_ANONYMOUS:
        return SL_OK;
    case PRINCIPAL_ROLE_SESSION:
        return auth_role_caller(env, t, a, err, ret);
    case PRINCIPAL_USER:
    case PRINCIPAL_ROOT: {
        struct secret unused = {0};
        struct sl_rc rc = identity_by_access_key(env->db, env->keys, t->access_key_id, a, err,
                                                 &ret->who, &unused);
        secret_fini(&unused);
        return rc;
    }
    default:
        return sl_fail(err, SL_E_TOKEN_INVALID, "The session is not valid.");
    }
}

struct sl_rc auth_forward_open(const struct auth_env *env, struct slice session, uint8_t edge,
                               struct arena *a, struct sl_error *err, struct auth_caller *ret) {
    SL_CLEANUP(buf_fini) struct buf plain = {.max = SEAM_SESSION_MAX, .wipe = true};
    ENSURE(session.len <= SEAM_SESSION_MAX &&
               sl_is_ok(sealed_open(env->forward_key, forward_label, slice_of(&edge, 1), session,
                                    &plain)),
           err, SL_E_TOKEN_INVALID, "The session is not valid.");
    struct slice text = arena_copy(a, buf_slice(&plain));
    ENSURE(text.ptr != NULL, err, SL_E_NOMEM, "Out of memory.");
    struct rdr r = rdr_of(text);
    struct auth_token t = {0};
    int type = rdr_u8(&r);
    t.access_key_id = rdr_vec16(&r);
    t.role_arn = rdr_vec16(&r);
    t.role_id = rdr_vec16(&r);
    t.session_name = rdr_vec16(&r);
    t.issued_ms = (int64_t)rdr_u64(&r) * 1000;
    t.expires_s = (int64_t)rdr_u64(&r);
    t.policy_text = rdr_vec16(&r);
    struct slice ip = rdr_vec16(&r);
    bool tls = rdr_u8(&r) != 0;
    struct slice service = rdr_vec16(&r);
    struct slice region = rdr_vec16(&r);
    (void)rdr_vec16(&r); /* request id: for people who debug */
    struct slice agent = rdr_vec16(&r);
    int64_t until_ms = (int64_t)rdr_u64(&r);
    TRY(rdr_end(&r, err, "session"));
    ENSURE(env->now_ms < until_ms, err, SL_E_TOKEN_EXPIRED, "The session has expired.");
    struct auth_caller c = {0};
    TRY(forward_identity(env, type, &t, a, err, &c));
    const char *via =
        arena_printf(a, "%.*s.%.*s.amazonaws.com", SLICE_FMT(service), SLICE_FMT(region));
    ENSURE(via != NULL, err, SL_E_NOMEM, "Out of memory.");
    c.source_ip = ip;
    c.tls = tls;
    c.region = region;
    c.service = service;
    c.user_agent = agent;
    c.via_service = slice_cstr(via);
    *ret = c;
    return SL_OK;
}
