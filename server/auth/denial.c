/* Explanations of denials, sealed for sts:DecodeAuthorizationMessage: version | salt | AEAD over
 * the time and the verdict's JSON, bound to the account, as base64. The key comes from the
 * keyholder, so a message outlives a restart. */
#include "server/auth/auth_in.h"

#include "lib/codec/text.h"
#include "server/auth/sealed.h"

static const char denial_label[] = "sealift/authorization-message/1";

enum { BLOB_MAX = AUTH_DENIAL_JSON_MAX + 256, TEXT_MAX = BLOB_MAX * 4 / 3 + 8 };

struct sl_rc auth_denial_seal(const struct auth_env *env, struct slice account, struct slice json,
                              struct arena *a, const char **ret) {
    SL_CLEANUP(buf_fini) struct buf plain = BUF_INIT(BLOB_MAX);
    SL_CLEANUP(buf_fini) struct buf blob = BUF_INIT(BLOB_MAX);
    SL_CLEANUP(buf_fini) struct buf text = BUF_INIT(TEXT_MAX);
    buf_u64(&plain, (uint64_t)(env->now_ms / 1000));
    buf_put(&plain, json);
    TRY(buf_check(&plain, NULL));
    TRY(sealed_make(env->denial_key, denial_label, account, buf_slice(&plain), &blob, NULL));
    base64_put(&text, buf_slice(&blob));
    TRY(buf_check(&text, NULL));
    const char *kept = arena_cstr(a, buf_slice(&text));
    ENSURE(kept != NULL, NULL, SL_E_NOMEM, "Out of memory.");
    *ret = kept;
    return SL_OK;
}

struct sl_rc auth_denial_open(const struct auth_env *env, struct slice account, struct slice text,
                              struct arena *a, struct sl_error *err, struct slice *ret_json) {
    static const char bad[] = "The encoded authorization message is not valid.";
    SL_CLEANUP(buf_fini) struct buf blob = BUF_INIT(BLOB_MAX);
    SL_CLEANUP(buf_fini) struct buf plain = BUF_INIT(BLOB_MAX);
    bool ok =
        account.len > 0 && sl_is_ok(base64_get(text, &blob, NULL)) &&
        sl_is_ok(sealed_open(env->denial_key, denial_label, account, buf_slice(&blob), &plain));
    ENSURE(ok, err, SL_E_STS_MESSAGE, "%s", bad);
    struct rdr r = rdr_of(buf_slice(&plain));
    int64_t age_s = env->now_ms / 1000 - (int64_t)rdr_u64(&r);
    ENSURE(!r.bad && age_s < AUTH_DENIAL_DAYS * 86400LL, err, SL_E_STS_MESSAGE,
           "The encoded authorization message has expired.");
    struct slice json = arena_copy(a, r.rest);
    ENSURE(json.ptr != NULL, err, SL_E_NOMEM, "Out of memory.");
    *ret_json = json;
    return SL_OK;
}
