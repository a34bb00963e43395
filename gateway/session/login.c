/* Login; see login.h. */
#include "gateway/session/login.h"

#include "gateway/wire/message.h"
#include "gateway/wire/password.h"
#include "gateway/wire/scram.h"
#include "lib/base/rdr.h"

enum { AUTH_MD5 = 5, AUTH_SASL = 10, AUTH_SASL_CONTINUE = 11, AUTH_SASL_FINAL = 12 };
enum { NONCE_HEX = 36 };

static struct sl_rc wrong(struct slice user, struct sl_error *err) {
    sl_error_clear(err);
    return sl_fail(err, SL_E_SQL_AUTH, "password authentication failed for user \"%.*s\"",
                   SLICE_FMT(user));
}

static struct sl_rc ask(struct net_conn *c, uint32_t kind, struct slice data, int64_t deadline) {
    SL_CLEANUP(buf_fini) struct buf b = BUF_INIT(LIMIT_PG_AUTH_BYTES);
    message_head(&b, 'R', (uint32_t)(4 + data.len));
    buf_u32(&b, kind);
    buf_put(&b, data);
    TRY(buf_check(&b, NULL));
    return net_write(c, buf_slice(&b), deadline);
}

/* The payload of the client's next message, which must be an answer ('p'). */
static struct sl_rc answer(struct net_conn *c, int64_t deadline, struct buf *ret,
                           struct sl_error *err) {
    uint8_t head[5];
    TRY(net_read_exact(c, head, sizeof head, deadline));
    struct rdr r = rdr_of(slice_of(head + 1, 4));
    uint32_t len = rdr_u32(&r);
    ENSURE(head[0] == 'p', err, SL_E_SQL_PROTOCOL,
           "expected password response, got message type %d", head[0]);
    ENSURE(len > 4 && len - 4 <= LIMIT_PG_AUTH_BYTES, err, SL_E_SQL_PROTOCOL,
           "invalid length of password response");
    buf_reset(ret);
    uint8_t *p = buf_reserve(ret, len - 4);
    ENSURE(p != NULL, err, SL_E_NOMEM, "out of memory");
    TRY(net_read_exact(c, p, len - 4, deadline));
    ret->len = len - 4;
    return SL_OK;
}

static struct sl_rc login_md5(struct net_conn *c, struct slice stored, struct slice user,
                              int64_t deadline, struct sl_error *err) {
    uint8_t salt[4];
    char want[PASSWORD_MD5_LEN + 1];
    SL_CLEANUP(buf_fini) struct buf got = BUF_INIT(LIMIT_PG_AUTH_BYTES);
    got.wipe = true;
    crypto_random(salt, sizeof salt);
    TRY(password_md5_answer(stored, salt, want));
    TRY(ask(c, AUTH_MD5, slice_of(salt, sizeof salt), deadline));
    TRY(answer(c, deadline, &got, err));
    /* A C string: the NUL is compared too. */
    bool equal = secret_equal(slice_of(want, sizeof want), buf_slice(&got));
    return equal ? SL_OK : wrong(user, err);
}

/* SASLInitialResponse: mechanism, then the client's first message behind its length. */
static struct sl_rc first_message(struct slice payload, struct slice *ret, struct sl_error *err) {
    size_t n = slice_find(payload, 0);
    struct rdr r = rdr_of(slice_sub(payload, n + 1, payload.len));
    ENSURE(slice_eq_cstr(slice_sub(payload, 0, n), "SCRAM-SHA-256"), err, SL_E_SQL_PROTOCOL,
           "client selected an invalid SASL authentication mechanism");
    *ret = rdr_vec32(&r);
    return rdr_end(&r, err, "SASL response");
}

static struct sl_rc scram_exchange(struct net_conn *c, struct scram *s, int64_t deadline,
                                   struct sl_error *err) {
    SL_CLEANUP(buf_fini) struct buf in = BUF_INIT(LIMIT_PG_AUTH_BYTES);
    SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(LIMIT_PG_AUTH_BYTES / 2);
    in.wipe = true;
    TRY(ask(c, AUTH_SASL, SLICE_LIT("SCRAM-SHA-256\0\0"), deadline));
    TRY(answer(c, deadline, &in, err));
    struct slice first;
    TRY(first_message(buf_slice(&in), &first, err));
    char nonce[NONCE_HEX + 1];
    crypto_random_hex(nonce, NONCE_HEX);
    TRY(scram_first(s, first, slice_cstr(nonce), &out, err));
    TRY(ask(c, AUTH_SASL_CONTINUE, buf_slice(&out), deadline));
    TRY(answer(c, deadline, &in, err));
    buf_reset(&out);
    TRY(scram_final(s, buf_slice(&in), &out, err));
    return ask(c, AUTH_SASL_FINAL, buf_slice(&out), deadline);
}

struct sl_rc login_run(struct net_conn *c, struct lookup *l, const struct secret *fake_key,
                       struct slice user, int64_t deadline, struct sl_error *err) {
    SL_CLEANUP(buf_fini) struct buf stored = BUF_INIT(SCRAM_TEXT_MAX);
    stored.wipe = true;
    bool found;
    TRY(lookup_verifier(l, user, &stored, &found, err));
    found = found && !slice_eq_cstr(user, LOOKUP_ROLE); /* the gateway's own */
    if (found && password_is_md5(buf_slice(&stored))) {
        return login_md5(c, buf_slice(&stored), user, deadline, err);
    }
    SL_CLEANUP(scram_fini) struct scram s = {0};
    bool real = found && sl_is_ok(scram_verifier_parse(buf_slice(&stored), &s.verifier));
    if (!real) {
        scram_verifier_fake(secret_view(fake_key), user, &s.verifier);
    }
    struct sl_rc rc = scram_exchange(c, &s, deadline, err);
    if (rc.code == SL_E_SQL_AUTH || (sl_is_ok(rc) && !real)) {
        return wrong(user, err);
    }
    return rc;
}
