/* TLS contexts, and the BIO between OpenSSL and a socket. */
#include "server/net/net_in.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <errno.h>
#include <pthread.h>
#include <strings.h>
#include <sys/socket.h>

/* OpenSSL's own socket BIO writes with write(2), which raises SIGPIPE. */
static int bio_write(BIO *b, const char *data, int len) {
    BIO_clear_retry_flags(b);
    ssize_t n;
    do {
        n = send((int)(intptr_t)BIO_get_data(b), data, (size_t)len, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        BIO_set_retry_write(b);
    }
    return (int)n;
}

static int bio_read(BIO *b, char *out, int cap) {
    BIO_clear_retry_flags(b);
    ssize_t n;
    do {
        n = recv((int)(intptr_t)BIO_get_data(b), out, (size_t)cap, 0);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        BIO_set_retry_read(b);
    }
    if (n == 0) {
        BIO_set_flags(b, BIO_FLAGS_IN_EOF);
    }
    return (int)n;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr) {
    switch (cmd) {
    case BIO_CTRL_FLUSH:
        return 1;
    case BIO_CTRL_EOF:
        return BIO_test_flags(b, BIO_FLAGS_IN_EOF) != 0;
    default:
        return 0;
    }
}

static BIO_METHOD *bio_method;
static pthread_once_t bio_once = PTHREAD_ONCE_INIT;

static void bio_make(void) {
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");
    if (m != NULL && BIO_meth_set_write(m, bio_write) == 1 && BIO_meth_set_read(m, bio_read) == 1 &&
        BIO_meth_set_ctrl(m, bio_ctrl) == 1) {
        bio_method = m;
    }
}

BIO *conn_bio_new(int fd) {
    pthread_once(&bio_once, bio_make);
    BIO *b = bio_method == NULL ? NULL : BIO_new(bio_method);
    if (b != NULL) {
        BIO_set_data(b, (void *)(intptr_t)fd);
        BIO_set_init(b, 1);
    }
    return b;
}

static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *in, unsigned int in_len, void *arg) {
    struct slice want = slice_cstr(arg);
    for (unsigned int i = 0; i < in_len && i + 1u + in[i] <= in_len; i += 1u + in[i]) {
        if (slice_eq(slice_of(in + i + 1, in[i]), want)) {
            *out = in + i + 1;
            *out_len = in[i];
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int no_password(char *buf, int size, int rwflag, void *u) {
    return -1;
}

static void bio_fini(BIO **b) {
    BIO_free(*b);
}

static struct sl_rc load_chain(SSL_CTX *ctx, struct slice pem, struct sl_error *err) {
    SL_CLEANUP(bio_fini) BIO *b = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    ENSURE(b != NULL, err, SL_E_NOMEM, "Out of memory.");
    int n = 0;
    for (X509 *x; (x = PEM_read_bio_X509(b, NULL, no_password, NULL)) != NULL; n++) {
        if (n > 0 && SSL_CTX_add0_chain_cert(ctx, x) == 1) {
            continue; /* owned by ctx now */
        }
        bool ok = n == 0 && SSL_CTX_use_certificate(ctx, x) == 1;
        X509_free(x);
        ENSURE(ok, err, SL_E_PARSE, "A certificate of the chain can't be used for TLS.");
    }
    ENSURE(n > 0, err, SL_E_PARSE, "There is no certificate in the chain.");
    ENSURE(ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE, err, SL_E_PARSE,
           "A certificate of the chain is malformed.");
    return SL_OK;
}

static struct sl_rc load_key(SSL_CTX *ctx, struct slice pem, struct sl_error *err) {
    SL_CLEANUP(bio_fini) BIO *b = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    ENSURE(b != NULL, err, SL_E_NOMEM, "Out of memory.");
    EVP_PKEY *key = PEM_read_bio_PrivateKey(b, NULL, no_password, NULL);
    bool ok = key != NULL && SSL_CTX_use_PrivateKey(ctx, key) == 1;
    EVP_PKEY_free(key);
    ENSURE(ok && SSL_CTX_check_private_key(ctx) == 1, err, SL_E_PARSE,
           "The private key is malformed or is not the certificate's.");
    return SL_OK;
}

static struct sl_rc setup(SSL_CTX *ctx, struct slice chain_pem, struct slice key_pem, bool http,
                          struct sl_error *err) {
    static char alpn_http[] = "http/1.1", alpn_sql[] = "postgresql";
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets only */
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_default_read_buffer_len(ctx, NET_AHEAD_BYTES);
    SSL_CTX_set_alpn_select_cb(ctx, select_alpn, http ? alpn_http : alpn_sql);
    ENSURE(SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
               SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1 &&
               SSL_CTX_set_num_tickets(ctx, 1) == 1,
           err, SL_E_INTERNAL, "TLS can't be set up.");
    ENSURE(chain_pem.len <= 1 << 20 && key_pem.len <= 1 << 20, err, SL_E_LIMIT,
           "The certificate or its key is too big.");
    TRY(load_chain(ctx, chain_pem, err));
    return load_key(ctx, key_pem, err);
}

static struct sl_rc make_ctx(struct slice chain_pem, struct slice key_pem, bool http, SSL_CTX **ret,
                             struct sl_error *err) {
    ERR_clear_error();
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    struct sl_rc rc =
        ctx == NULL ? sl_rc_of(SL_E_NOMEM) : setup(ctx, chain_pem, key_pem, http, err);
    ERR_clear_error();
    if (sl_failed(rc)) {
        SSL_CTX_free(ctx);
        return rc;
    }
    *ret = ctx;
    return SL_OK;
}

struct sl_rc net_tls_new(struct slice chain_pem, struct slice key_pem, bool http,
                         struct net_tls **ret, struct sl_error *err) {
    struct net_tls *t = calloc(1, sizeof *t);
    ENSURE(t != NULL, err, SL_E_NOMEM, "Out of memory.");
    struct sl_rc rc = make_ctx(chain_pem, key_pem, http, &t->ctx, err);
    if (sl_failed(rc)) {
        free(t);
        return rc;
    }
    t->http = http;
    atomic_init(&t->refs, 1);
    pthread_mutex_init(&t->mu, NULL);
    *ret = t;
    return SL_OK;
}

/* ---- A second certificate, by name */

static int named_index = -1; /* of the second context, held by the first */
static pthread_once_t named_once = PTHREAD_ONCE_INIT;

static void named_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx, long argl,
                       void *argp) {
    SSL_CTX_free(ptr);
}

static void named_make(void) {
    named_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, named_free);
}

static int by_name(SSL *ssl, int *alert, void *arg) {
    SSL_CTX *named = arg;
    const char *host = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (host != NULL && strcasecmp(host, "localhost") != 0 &&
        X509_check_host(SSL_CTX_get0_certificate(named), host, 0,
                        X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL) == 1) {
        SSL_set_SSL_CTX(ssl, named);
    }
    return SSL_TLSEXT_ERR_OK;
}

static struct sl_rc add_named(SSL_CTX *ctx, const struct net_cert *named, bool http,
                              struct sl_error *err) {
    SSL_CTX *second;
    pthread_once(&named_once, named_make);
    TRY(make_ctx(named->chain_pem, named->key_pem, http, &second, err));
    if (named_index < 0 || SSL_CTX_set_ex_data(ctx, named_index, second) != 1) {
        SSL_CTX_free(second);
        return sl_fail(err, SL_E_NOMEM, "Out of memory.");
    }
    SSL_CTX_set_tlsext_servername_callback(ctx, by_name);
    SSL_CTX_set_tlsext_servername_arg(ctx, second);
    return SL_OK;
}

struct sl_rc net_tls_replace(struct net_tls *t, const struct net_cert *cert,
                             const struct net_cert *named, struct sl_error *err) {
    SSL_CTX *ctx;
    TRY(make_ctx(cert->chain_pem, cert->key_pem, t->http, &ctx, err));
    struct sl_rc rc = named != NULL ? add_named(ctx, named, t->http, err) : SL_OK;
    if (sl_failed(rc)) {
        SSL_CTX_free(ctx);
        return rc;
    }
    pthread_mutex_lock(&t->mu);
    SSL_CTX *old = t->ctx;
    t->ctx = ctx;
    pthread_mutex_unlock(&t->mu);
    SSL_CTX_free(old); /* connections hold references of their own */
    return SL_OK;
}

SSL_CTX *tls_ctx(struct net_tls *t) {
    pthread_mutex_lock(&t->mu);
    SSL_CTX *ctx = t->ctx;
    SSL_CTX_up_ref(ctx);
    pthread_mutex_unlock(&t->mu);
    return ctx;
}

struct net_tls *tls_hold(struct net_tls *t) {
    atomic_fetch_add(&t->refs, 1);
    return t;
}

void net_tls_free(struct net_tls *t) {
    if (t != NULL && atomic_fetch_sub(&t->refs, 1) == 1) {
        SSL_CTX_free(t->ctx);
        pthread_mutex_destroy(&t->mu);
        free(t);
    }
}
