/* What the gateway asks of PostgreSQL; see lookup.h. The look-ups' connection is made at the first
 * look-up and again after it broke; `mu` is held over the exchange, since one connection serves one
 * question at a time. */
#include "gateway/backend/lookup.h"

#include <pthread.h>

#include "gateway/backend/question.h"
#include "lib/base/clock.h"
#include "lib/codec/text.h"
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

struct verifier {
    struct buf *out;
    bool found;
};

/* NULL where nobody of that name may log in. */
static struct sl_rc take_row(void *ctx, const struct slice *fields, size_t count,
                             struct sl_error *err) {
    struct verifier *v = ctx;
    ENSURE(count == 1, err, SL_E_SQL_PROTOCOL, "a row of %zu columns", count);
    v->found = fields[0].len > 0;
    buf_put(v->out, fields[0]);
    return buf_check(v->out, err);
}

static struct sl_rc lookup_locked(struct lookup *l, struct slice user, struct verifier *v,
                                  struct sl_error *err) {
    int64_t deadline = clock_mono_ms() + LIMIT_SQL_BACKEND_MS;
    struct sl_rc rc = SL_OK;
    for (int attempt = 0; attempt < 2; attempt++) {
        bool fresh = l->conn == NULL;
        if (fresh) {
            TRY(open_conn(l->target, deadline, &l->conn, err));
        }
        buf_reset(v->out);
        v->found = false;
        rc = question_ask_of(l->conn, SLICE_LIT("SELECT sealift.verifier($1)"), user, deadline,
                             SL_E_SQL_NOT_READY, take_row, v, err);
        if (sl_is_ok(rc)) {
            return SL_OK;
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
    struct verifier v = {.out = out};
    if (utf8_valid(user)) { /* a name that is no text in PostgreSQL's encoding is nobody's */
        pthread_mutex_lock(&l->mu);
        struct sl_rc rc = lookup_locked(l, user, &v, err);
        pthread_mutex_unlock(&l->mu);
        TRY(rc);
    }
    *ret_found = v.found;
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
