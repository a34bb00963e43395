/* The instance's CA and server certificate, and the administrator's own certificate. Private keys
 * lie in the database sealed by the keyholder; the public part of a row is the list of host names
 * it was made for, a newline, and the certificate. The CA is constrained to its hosts, so another
 * list of hosts needs another CA. */
#include "server/main/kms_service.h"

#include "lib/base/rdr.h"
#include "lib/crypto/x509.h"
#include "server/store/keys/keys.h"

enum {
    CA_DAYS = 3650,
    SERVER_DAYS = 397,
    RENEW_S = 30 * 24 * 3600,
    CA_RENEW_S = (SERVER_DAYS + 30) * 24 * 3600, /* a CA outlives what it signs */
    PEM_MAX_BYTES = 64 * 1024,
};

struct hosts {
    const char **names;
    size_t count;
    struct slice text; /* separated by blanks */
};

static struct sl_rc all_hosts(struct kms_rpc *r, struct hosts *ret) {
    static const char *const always[] = {"localhost", "127.0.0.1", "::1"};
    const struct conf *conf = r->service->conf;
    struct hosts h = {.names = arena_array(r->arena, conf->host_count + 3, sizeof *h.names)};
    SL_CLEANUP(buf_fini) struct buf text = BUF_INIT(PEM_MAX_BYTES);
    ENSURE(h.names != NULL, &r->err, SL_E_NOMEM, "Out of memory.");
    for (size_t i = 0; i < 3 + conf->host_count; i++) {
        const char *name = i < 3 ? always[i] : conf->hosts[i - 3];
        h.names[h.count++] = name;
        buf_printf(&text, "%s%s", i ? " " : "", name);
    }
    TRY(buf_check(&text, &r->err));
    h.text = arena_copy(r->arena, buf_slice(&text));
    ENSURE(h.text.ptr != NULL, &r->err, SL_E_NOMEM, "Out of memory.");
    *ret = h;
    return SL_OK;
}

struct pair {
    struct slice cert;
    struct secret key;
};

/* ret_ok false: none, for other hosts, or about to expire. */
static struct sl_rc load(struct kms_rpc *r, const char *name, const struct hosts *h,
                         int64_t least_s, bool *ret_ok, struct pair *ret) {
    struct sqlite3 *conn = NULL;
    struct slice public_part = SLICE_EMPTY, sealed = SLICE_EMPTY;
    bool found = false;
    int64_t left_s = 0;
    TRY(kms_db_read(r->env.db, &conn, &r->err));
    struct sl_rc rc = keys_kept_get(conn, name, r->arena, &found, &public_part, &sealed, &r->err);
    kms_db_read_end(r->env.db, conn);
    TRY(rc);
    *ret_ok = false;
    size_t line = slice_find(public_part, '\n');
    if (!found || !slice_eq(slice_sub(public_part, 0, line), h->text)) {
        return SL_OK;
    }
    struct slice cert = slice_sub(public_part, line + 1, public_part.len);
    TRY(x509_valid_for(cert, r->env.real_ms / 1000, &left_s, &r->err));
    if (left_s < least_s) {
        return SL_OK;
    }
    TRY(keyholder_unseal(r->env.keys, "tls", slice_cstr(name), sealed, &ret->key, &r->err));
    ret->cert = cert;
    *ret_ok = true;
    return SL_OK;
}

static struct sl_rc keep(struct kms_rpc *r, const char *name, const struct hosts *h,
                         const struct buf *cert, struct pair *pair) {
    SL_CLEANUP(buf_fini) struct buf public_part = BUF_INIT(PEM_MAX_BYTES);
    SL_CLEANUP(buf_fini) struct buf sealed = BUF_INIT(PEM_MAX_BYTES);
    buf_put(&public_part, h->text);
    buf_putc(&public_part, '\n');
    buf_put(&public_part, buf_slice(cert));
    TRY(buf_check(&public_part, &r->err));
    TRY(keyholder_seal(r->env.keys, "tls", slice_cstr(name), secret_view(&pair->key), &sealed,
                       &r->err));
    struct sqlite3 *conn = NULL;
    TRY(kms_db_write(r->env.db, &conn, &r->err));
    struct sl_rc rc =
        keys_kept_set(conn, name, buf_slice(&public_part), buf_slice(&sealed), &r->err);
    struct sl_rc end = kms_db_write_end(r->env.db, conn, !sl_failed(rc), &r->err);
    TRY(sl_failed(rc) ? rc : end);
    pair->cert = arena_copy(r->arena, buf_slice(cert));
    ENSURE(pair->cert.ptr != NULL, &r->err, SL_E_NOMEM, "Out of memory.");
    return SL_OK;
}

static struct sl_rc get_ca(struct kms_rpc *r, const struct hosts *h, int64_t least_s,
                           struct pair *ret, bool *ret_new) {
    bool ok = false;
    TRY(load(r, "tls-ca", h, least_s, &ok, ret));
    *ret_new = !ok;
    if (ok) {
        return SL_OK;
    }
    SL_CLEANUP(buf_fini) struct buf cert = BUF_INIT(PEM_MAX_BYTES);
    char *name = arena_printf(r->arena, "Sealift CA %.8s", r->service->conf->instance_id);
    ENSURE(name != NULL, &r->err, SL_E_NOMEM, "Out of memory.");
    TRY(x509_make_ca(name, h->names, h->count, CA_DAYS, &cert, &ret->key, &r->err));
    return keep(r, "tls-ca", h, &cert, ret);
}

static struct sl_rc get_server(struct kms_rpc *r, const struct hosts *h, const struct pair *ca,
                               bool anew, struct pair *ret) {
    bool ok = false;
    if (!anew) {
        TRY(load(r, "tls-server", h, RENEW_S, &ok, ret));
    }
    if (ok) {
        return SL_OK;
    }
    SL_CLEANUP(buf_fini) struct buf cert = BUF_INIT(PEM_MAX_BYTES);
    TRY(x509_issue(ca->cert, &ca->key, h->names, h->count, SERVER_DAYS, &cert, &ret->key, &r->err));
    return keep(r, "tls-server", h, &cert, ret);
}

enum want { WANT_SERVER, WANT_CA, WANT_NEW_SERVER };

/* Whoever asks first makes them. Both together, or an old certificate would be served under a new
 * CA. A CA near its end is replaced only when the supervisor asks for it, at a start, as it hands
 * the CA to the clients. */
static struct sl_rc get(struct kms_rpc *r, enum want want, struct pair *ret_ca,
                        struct pair *ret_server) {
    struct hosts h = {0};
    bool ca_new = false;
    TRY(all_hosts(r, &h));
    TRY(get_ca(r, &h, want == WANT_CA ? CA_RENEW_S : 0, ret_ca, &ca_new));
    return get_server(r, &h, ret_ca, ca_new || want == WANT_NEW_SERVER, ret_server);
}

static const char own_name[] = "tls-own";

static struct sl_rc put_own(struct kms_rpc *r, struct buf *out) {
    SL_CLEANUP(secret_fini) struct secret key = {0};
    struct sqlite3 *conn = NULL;
    struct slice chain = SLICE_EMPTY, sealed = SLICE_EMPTY;
    bool found = false;
    TRY(kms_db_read(r->env.db, &conn, &r->err));
    struct sl_rc rc = keys_kept_get(conn, own_name, r->arena, &found, &chain, &sealed, &r->err);
    kms_db_read_end(r->env.db, conn);
    TRY(rc);
    if (chain.len > 0) {
        TRY(keyholder_unseal(r->env.keys, "tls", slice_cstr(own_name), sealed, &key, &r->err));
    }
    buf_vec32(out, chain);
    buf_vec32(out, secret_view(&key));
    return SL_OK;
}

struct sl_rc kms_tls_own(struct kms_rpc *r, struct slice payload, struct buf *out) {
    struct rdr in = rdr_of(payload);
    struct slice chain = rdr_vec32(&in), key = rdr_vec32(&in);
    SL_CLEANUP(buf_fini) struct buf sealed = BUF_INIT(PEM_MAX_BYTES);
    struct sqlite3 *conn = NULL;
    TRY(rdr_end(&in, &r->err, "certificate"));
    ENSURE(chain.len <= PEM_MAX_BYTES && key.len <= PEM_MAX_BYTES, &r->err, SL_E_LIMIT,
           "The certificate or its key is too big.");
    if (chain.len > 0) {
        SL_CLEANUP(secret_fini) struct secret copy = {0};
        TRY(secret_from(&copy, key));
        TRY(x509_check_own(chain, &copy, r->env.real_ms / 1000, &r->err));
        TRY(keyholder_seal(r->env.keys, "tls", slice_cstr(own_name), key, &sealed, &r->err));
    }
    TRY(kms_db_write(r->env.db, &conn, &r->err));
    struct sl_rc rc = keys_kept_set(conn, own_name, chain, buf_slice(&sealed), &r->err);
    struct sl_rc end = kms_db_write_end(r->env.db, conn, !sl_failed(rc), &r->err);
    return sl_failed(rc) ? rc : end;
}

static struct sl_rc answer(struct kms_rpc *r, enum want want, struct buf *out) {
    struct pair ca = {0}, server = {0};
    pthread_mutex_lock(&r->service->tls_mu);
    struct sl_rc rc = get(r, want, &ca, &server);
    pthread_mutex_unlock(&r->service->tls_mu);
    if (!sl_failed(rc) && want == WANT_SERVER) {
        buf_u32(out, (uint32_t)(server.cert.len + ca.cert.len));
        buf_put(out, server.cert);
        buf_put(out, ca.cert);
        buf_vec32(out, secret_view(&server.key));
        rc = put_own(r, out);
    } else if (!sl_failed(rc) && want == WANT_CA) {
        buf_vec32(out, ca.cert);
    }
    secret_fini(&ca.key);
    secret_fini(&server.key);
    return rc;
}

struct sl_rc kms_tls_identity(struct kms_rpc *r, struct slice payload, struct buf *out) {
    return answer(r, WANT_SERVER, out);
}

struct sl_rc kms_tls_ca(struct kms_rpc *r, struct slice payload, struct buf *out) {
    return answer(r, WANT_CA, out);
}

struct sl_rc kms_tls_renew(struct kms_rpc *r, struct slice payload, struct buf *out) {
    return answer(r, WANT_NEW_SERVER, out);
}
