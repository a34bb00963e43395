/* What the gateway asks of PostgreSQL; see lookup.h. The look-ups' connection is made at the first
 * look-up and again after it broke; `mu` is held over the exchange, since one connection serves one
 * question at a time. */
#include "gateway/backend/lookup.h"

#include <pthread.h>

#include "gateway/backend/question.h"
#include "gateway/wire/message.h"
#include "lib/base/clock.h"
#include "lib/base/rdr.h"
#include "lib/crypto/crypto.h"
#include "server/net/net.h"

struct lookup {
    const struct backend_target *target;
    pthread_mutex_t mu;
    struct net_conn *conn; /* under mu; NULL when there is none */
};

struct sl_rc lookup_new(const struct backend_target *t, struct lookup **ret) {
    struct lookup *l = calloc(1, sizeof *l);
    if (l == NULL) {
        return sl_rc_of(SL_E_NOMEM);
    }
    l->target = t;
    pthread_mutex_init(&l->mu, NULL);
    *ret = l;
    return SL_OK;
}

void lookup_free(struct lookup *l) {
    if (l != NULL) {
        net_conn_free(l->conn);
        pthread_mutex_destroy(&l->mu);
        free(l);
    }
}

static struct sl_rc login(struct net_conn *c, const struct backend_target *t, int64_t deadline,
                          struct sl_error *err) {
    SL_CLEANUP(secret_fini) struct secret key = {0};
    SL_CLEANUP(buf_fini) struct buf b = BUF_INIT(LIMIT_PG_HELD_BYTES);
    b.wipe = true;
    TRY(secret_random(&key, AES256_KEY_LEN));
    TRY(backend_startup_put(t, SLICE_LIT(LOOKUP_ROLE), SLICE_LIT(LOOKUP_DATABASE), NULL, 0, &key,
                            &b, err));
    TRY(net_write(c, buf_slice(&b), deadline));
    return question_begin(c, deadline, err);
}

static struct sl_rc open_conn(const struct backend_target *t, int64_t deadline,
                              struct net_conn **ret, struct sl_error *err) {
    int fd;
    struct net_conn *c;
    TRY(backend_connect(t, &fd, err));
    TRY(net_conn_from_fd(fd, &c));
    struct sl_rc rc = login(c, t, deadline, err);
    if (sl_failed(rc)) {
        net_conn_free(c);
        return rc;
    }
    *ret = c;
    return SL_OK;
}

static void put_question(struct buf *b, struct slice user) {
    static const char sql[] = "SELECT sealift.verifier($1)";
    enum { OID_TEXT = 25 };
    message_head(b, 'P', 1 + sizeof sql + 2 + 4);
    buf_u8(b, 0);
    buf_put(b, slice_of(sql, sizeof sql));
    buf_u16(b, 1);
    buf_u32(b, OID_TEXT);
    message_head(b, 'B', (uint32_t)(1 + 1 + 2 + 2 + 4 + user.len + 2));
    buf_u16(b, 0); /* names of portal and statement */
    buf_u16(b, 0);
    buf_u16(b, 1);
    buf_vec32(b, user);
    buf_u16(b, 0);
    message_put(b, 'E', SLICE_LIT("\0\0\0\0\0"));
    message_put(b, 'S', SLICE_EMPTY);
}

static struct sl_rc take_row(struct slice row, struct buf *out, bool *ret_found) {
    struct rdr r = rdr_of(row);
    uint16_t columns = rdr_u16(&r);
    uint32_t len = rdr_u32(&r);
    if (r.bad || columns != 1) {
        return sl_rc_of(SL_E_SQL_PROTOCOL);
    }
    if (len != UINT32_MAX) { /* -1 is NULL */
        buf_put(out, rdr_bytes(&r, len));
        *ret_found = true;
    }
    return rdr_end(&r, NULL, "row");
}

static struct sl_rc ask(struct net_conn *c, struct slice user, int64_t deadline, struct buf *out,
                        bool *ret_found, struct sl_error *err) {
    SL_CLEANUP(buf_fini) struct buf b = BUF_INIT(LIMIT_PG_HELD_BYTES);
    b.wipe = true;
    put_question(&b, user);
    TRY(buf_check(&b, err));
    TRY(net_write(c, buf_slice(&b), deadline));
    struct sl_rc rc = SL_OK;
    for (;;) {
        uint8_t type;
        TRY(question_read(c, deadline, &type, &b));
        if (type == 'Z') {
            return rc;
        }
        if (type == 'D') {
            TRY(take_row(buf_slice(&b), out, ret_found));
        } else if (type == 'E') {
            struct slice state = message_error_field(buf_slice(&b), 'C');
            struct slice text = message_error_field(buf_slice(&b), 'M');
            /* A name that is no text in the database's encoding belongs to nobody. */
            if (!slice_eq_cstr(state, "22021")) {
                rc = sl_fail(err, SL_E_SQL_NOT_READY, "%.*s", SLICE_FMT(text));
            }
        }
    }
}

static struct sl_rc lookup_locked(struct lookup *l, struct slice user, struct buf *out,
                                  bool *ret_found, struct sl_error *err) {
    int64_t deadline = clock_mono_ms() + LIMIT_SQL_BACKEND_MS;
    struct sl_rc rc = SL_OK;
    for (int attempt = 0; attempt < 2; attempt++) {
        bool fresh = l->conn == NULL;
        if (fresh) {
            TRY(open_conn(l->target, deadline, &l->conn, err));
        }
        buf_reset(out);
        *ret_found = false;
        rc = ask(l->conn, user, deadline, out, ret_found, err);
        if (sl_is_ok(rc)) {
            return buf_check(out, err);
        }
        net_conn_free(l->conn);
        l->conn = NULL;
        if (fresh) {
            break;
        }
        sl_error_clear(err); /* an old connection may have been dead: once more with a new one */
    }
    return rc;
}

struct sl_rc lookup_verifier(struct lookup *l, struct slice user, struct buf *out, bool *ret_found,
                             struct sl_error *err) {
    bool found = false;
    pthread_mutex_lock(&l->mu);
    struct sl_rc rc = lookup_locked(l, user, out, &found, err);
    pthread_mutex_unlock(&l->mu);
    TRY(rc);
    *ret_found = found;
    return SL_OK;
}

/* On a connection of its own. */
static struct sl_rc run_alone(struct lookup *l, struct slice statement, int64_t timeout_ms,
                              enum sl_code refused, struct sl_error *err) {
    int64_t deadline = clock_mono_ms() + timeout_ms;
    struct net_conn *c = NULL;
    TRY(open_conn(l->target, deadline, &c, err));
    struct sl_rc rc = question_ask(c, statement, deadline, refused, NULL, NULL, err);
    net_conn_free(c);
    return rc;
}

struct sl_rc lookup_rotate(struct lookup *l, struct sl_error *err) {
    return run_alone(l, SLICE_LIT("SELECT sealift.rotate_encryption_key()"), LIMIT_SQL_BACKEND_MS,
                     SL_E_REDSHIFT_CLUSTER_STATE, err);
}

struct sl_rc lookup_reset(struct lookup *l, struct sl_error *err) {
    return run_alone(l, SLICE_LIT("SELECT sealift.reset()"), LIMIT_SQL_RESET_MS, SL_E_SQL_NOT_READY,
                     err);
}
