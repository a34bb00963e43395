/* Forward sessions (docs/decisions/3-forward-sessions.md): blobs that only kms reads, for the later
 * calls of one request. Nothing is stored, and they carry no right: the identity behind one is read
 * from the database whenever it is opened. */
#include "server/auth/auth_in.h"

#include "lib/ipc/seam.h"
#include "server/auth/sealed.h"

static const char forward_label[] = "sealift/forward-session/2";

enum { USER_AGENT_KEPT = 256 };

struct sl_rc auth_forward_make(const struct auth_env *env, const struct auth_caller *caller,
                               uint8_t edge, struct slice service, const char *request_id,
                               struct arena *a, struct sl_error *err, struct slice *ret_session) {
    SL_CLEANUP(buf_fini) struct buf plain = {.max = SEAM_SESSION_MAX, .wipe = true};
    SL_CLEANUP(buf_fini) struct buf blob = BUF_INIT(SEAM_SESSION_MAX);
    buf_u8(&plain, (uint8_t)caller->who.principal.type);
    buf_vec16(&plain, caller->who.access_key_id);
    buf_u8(&plain, caller->sts != NULL);
    if (caller->sts != NULL) {
        auth_sts_put(&plain, caller->sts);
    }
    buf_vec16(&plain, caller->source_ip);
    buf_u8(&plain, caller->tls ? 1 : 0);
    buf_vec16(&plain, service);
    buf_vec16(&plain, caller->region);
    buf_vec16(&plain, slice_cstr(request_id));
    buf_vec16(&plain, slice_sub(caller->user_agent, 0, USER_AGENT_KEPT));
    buf_u64(&plain, (uint64_t)(env->real_ms + AUTH_FORWARD_MS));
    TRY(buf_check(&plain, err));
    TRY(sealed_make(env->forward_key, forward_label, slice_of(&edge, 1), buf_slice(&plain), &blob,
                    err));
    struct slice s = arena_copy(a, buf_slice(&blob));
    ENSURE(s.ptr != NULL, err, SL_E_NOMEM, "Out of memory.");
    *ret_session = s;
    return SL_OK;
}

/* The identity behind a forward session, as it is now. */
static struct sl_rc forward_identity(const struct auth_env *env, int type, struct slice key_id,
                                     const struct auth_sts *sts, struct arena *a,
                                     struct sl_error *err, struct auth_caller *ret) {
    if (sts != NULL) {
        return auth_sts_caller(env, sts, key_id, a, err, ret);
    }
    if (type == PRINCIPAL_ANONYMOUS) {
        return SL_OK;
    }
    ENSURE(type == PRINCIPAL_USER || type == PRINCIPAL_ROOT, err, SL_E_TOKEN_INVALID,
           "The session is not valid.");
    struct secret unused = {0};
    struct sl_rc rc =
        identity_by_access_key(env->db, env->keys, key_id, a, err, &ret->who, &unused);
    secret_fini(&unused);
    return rc;
}

struct sl_rc auth_forward_open(const struct auth_env *env, struct slice session, uint8_t edge,
                               struct arena *a, struct sl_error *err, struct auth_caller *ret) {
    SL_CLEANUP(buf_fini) struct buf plain = {.max = SEAM_SESSION_MAX, .wipe = true};
    ENSURE(session.len <= SEAM_SESSION_MAX &&
               sl_is_ok(sealed_open(env->forward_key, forward_label, slice_of(&edge, 1), session,
                                    &plain)),
           err, SL_E_TOKEN_INVALID, "The session is not valid.");
    struct slice text = arena_copy(a, buf_slice(&plain));
    struct auth_sts *sts = arena_alloc(a, sizeof *sts);
    ENSURE(text.ptr != NULL && sts != NULL, err, SL_E_NOMEM, "Out of memory.");
    struct rdr r = rdr_of(text);
    int type = rdr_u8(&r);
    struct slice key_id = rdr_vec16(&r);
    bool temporary = rdr_u8(&r) != 0;
    if (temporary) {
        auth_sts_get(&r, a, sts);
    }
    struct auth_caller c = {0};
    struct slice ip = rdr_vec16(&r);
    bool tls = rdr_u8(&r) != 0;
    struct slice service = rdr_vec16(&r);
    struct slice region = rdr_vec16(&r);
    (void)rdr_vec16(&r); /* request id: for people who debug */
    struct slice agent = rdr_vec16(&r);
    int64_t until_ms = (int64_t)rdr_u64(&r);
    TRY(rdr_end(&r, err, "session"));
    bool ended = env->real_ms >= until_ms || (temporary && env->now_ms >= sts->expires_s * 1000);
    ENSURE(!ended, err, SL_E_TOKEN_EXPIRED, "The session has expired.");
    TRY(forward_identity(env, type, key_id, temporary ? sts : NULL, a, err, &c));
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
