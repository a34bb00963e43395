/* Connections without a server (as the SQL gateway uses them), and what of the server the HTTP
 * tests don't reach: hellos, no descriptors left, stopping. */
#include "server/net/net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/base/limits.h"

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static struct slice chain_pem, key_pem;

/* A key pair and certificate of its own, as PEM. */
static int setup(void **state) {
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -60);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const unsigned char *)"t", -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509_sign(x, key, EVP_sha256());
    static uint8_t chain_bytes[4096], key_bytes[4096];
    BIO *a = BIO_new(BIO_s_mem()), *b = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(a, x);
    PEM_write_bio_PrivateKey(b, key, NULL, NULL, 0, NULL, NULL);
    chain_pem = slice_of(chain_bytes, (size_t)BIO_read(a, chain_bytes, sizeof chain_bytes));
    key_pem = slice_of(key_bytes, (size_t)BIO_read(b, key_bytes, sizeof key_bytes));
    BIO_free(a);
    BIO_free(b);
    X509_free(x);
    EVP_PKEY_free(key);
    return chain_pem.len > 0 && key_pem.len > 0 ? 0 : -1;
}

static struct net_conn *pair(int *ret_other) {
    int fds[2];
    struct net_conn *c;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_true(sl_is_ok(net_conn_from_fd(fds[0], &c)));
    *ret_other = fds[1];
    return c;
}

static int64_t soon(int ms) {
    return clock_mono_ms() + ms;
}

static void test_plain(void **state) {
    int other;
    struct net_conn *c = pair(&other);
    char out[8192];
    size_t n;
    assert_int_equal(net_read(c, out, 1, soon(20), &n).code, SL_E_TIMEOUT);
    assert_int_equal(write(other, "0123456789", 10), 10);
    assert_true(sl_is_ok(net_read_exact(c, out, 3, soon(1000))));
    assert_memory_equal(out, "012", 3);
    assert_int_equal(net_buffered(c), 7); /* small reads read ahead */
    net_unread(c, SLICE_LIT("012"));
    net_unread(c, SLICE_LIT("abc"));
    assert_int_equal(net_buffered(c), 13);
    assert_true(sl_is_ok(net_read(c, out, sizeof out, soon(0), &n)));
    assert_int_equal(n, 13);
    assert_memory_equal(out, "abc0123456789", 13);
    net_unread(c, slice_of(out, 13));
    assert_true(sl_is_ok(net_read_exact(c, out, 13, soon(0))));
    assert_memory_equal(out, "abc0123456789", 13);
    assert_int_equal(net_buffered(c), 0);
    assert_true(sl_is_ok(net_write(c, SLICE_LIT("xyz"), soon(0))));
    assert_int_equal(read(other, out, 8), 3);
    assert_int_equal(write(other, "ab", 2), 2);
    close(other);
    assert_int_equal(net_read_exact(c, out, 3, soon(1000)).code, SL_E_CLOSED);
    assert_int_equal(net_buffered(c), 1); /* the end is known: don't poll */
    assert_true(sl_is_ok(net_read(c, out, 3, soon(0), &n)));
    assert_int_equal(n, 0);
    assert_int_equal(net_write(c, SLICE_LIT("x"), soon(0)).code, SL_E_CLOSED); /* and no SIGPIPE */
    net_conn_free(c);
    net_conn_free(NULL);
}

static void test_write_deadline(void **state) {
    int other;
    struct net_conn *c = pair(&other);
    static uint8_t big[4 << 20];
    assert_int_equal(net_write(c, slice_of(big, sizeof big), soon(50)).code, SL_E_TIMEOUT);
    assert_int_equal(net_write(c, SLICE_LIT("x"), soon(50)).code, SL_E_TIMEOUT); /* cut for good */
    close(other);
    net_conn_free(c);
}

static void test_tls_files(void **state) {
    struct net_tls *t = NULL;
    struct sl_error err = {0};
    assert_true(sl_is_ok(net_tls_new(chain_pem, key_pem, true, &t, &err)));
    net_tls_free(t);
    struct slice bad[][2] = {
        {SLICE_EMPTY, key_pem},
        {chain_pem, SLICE_EMPTY},
        {key_pem, chain_pem},
        {SLICE_LIT("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), key_pem},
        {chain_pem, SLICE_LIT("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        t = NULL;
        sl_error_clear(&err);
        if (sl_is_ok(net_tls_new(bad[i][0], bad[i][1], true, &t, &err)) || t != NULL) {
            fail_msg("case %zu was taken", i);
        }
    }
}

struct client {
    int fd;
    int max_version;
    const char *alpn; /* wire form, or NULL */
    bool ok;
    char chosen[32];
};

/* Handshakes, sends three records at once, reads two bytes, closes orderly. */
static void *tls_client(void *arg) {
    struct client *k = arg;
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(ctx, k->max_version);
    SSL_CTX_set_security_level(ctx, 0);
    if (k->alpn != NULL) {
        SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)k->alpn, (unsigned)strlen(k->alpn));
    }
    SSL *s = SSL_new(ctx);
    SSL_set_fd(s, k->fd);
    char out[2];
    k->ok = SSL_connect(s) == 1 && SSL_write(s, "one", 3) == 3 && SSL_write(s, "two", 3) == 3 &&
            SSL_write(s, "three", 5) == 5 && SSL_read(s, out, 2) == 2 && memcmp(out, "ok", 2) == 0;
    const unsigned char *p;
    unsigned n;
    SSL_get0_alpn_selected(s, &p, &n);
    snprintf(k->chosen, sizeof k->chosen, "%.*s", (int)n, n > 0 ? (const char *)p : "");
    SSL_shutdown(s);
    SSL_free(s);
    SSL_CTX_free(ctx);
    close(k->fd);
    return NULL;
}

static void test_tls(void **state) {
    static const struct {
        int max_version;
        bool http;
        const char *alpn, *chosen;
        bool ok;
    } cases[] = {
        {TLS1_3_VERSION, true, NULL, "", true},
        {TLS1_2_VERSION, true, "\x08http/1.1", "http/1.1", true},
        {TLS1_3_VERSION, true, "\x02h2\x08http/1.1", "http/1.1", true},
        {TLS1_3_VERSION, true, "\x02h2", "", false},
        {TLS1_3_VERSION, false, "\x0apostgresql", "postgresql", true},
        {TLS1_1_VERSION, true, NULL, "", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct net_tls *t;
        struct client k = {.max_version = cases[i].max_version, .alpn = cases[i].alpn};
        struct net_conn *c = pair(&k.fd);
        pthread_t th;
        assert_true(sl_is_ok(net_tls_new(chain_pem, key_pem, cases[i].http, &t, NULL)));
        assert_int_equal(pthread_create(&th, NULL, tls_client, &k), 0);
        struct sl_error err = {0};
        struct sl_rc rc = net_conn_tls_accept(c, t, soon(5000), &err);
        assert_int_equal(sl_is_ok(rc), cases[i].ok);
        if (cases[i].ok) {
            char out[16];
            size_t n;
            assert_true(net_peer(c)->tls);
            assert_true(sl_is_ok(net_read_exact(c, out, 1, soon(1000))));
            usleep(50000); /* the other records are on the socket or read ahead in TLS by now */
            for (size_t got = 1; got < 11; got += n) {
                struct pollfd p = {.fd = net_fd(c), .events = POLLIN};
                /* what a poll would not tell of has to be announced */
                assert_true(net_buffered(c) > 0 || poll(&p, 1, 1000) == 1);
                assert_true(sl_is_ok(net_read(c, out + got, 1, soon(1000), &n)));
            }
            assert_memory_equal(out, "onetwothree", 11);
            assert_true(sl_is_ok(net_write(c, SLICE_LIT("ok"), soon(1000))));
            assert_true(sl_is_ok(net_read(c, out, 16, soon(1000), &n)));
            assert_int_equal(n, 0);
        }
        net_conn_free(c);
        pthread_join(th, NULL);
        assert_int_equal(k.ok, cases[i].ok);
        assert_string_equal(k.chosen, cases[i].chosen);
        net_tls_free(t);
    }
}

static void test_tls_refusals(void **state) {
    struct net_tls *t;
    struct sl_error err = {0};
    int other;
    char b;
    assert_true(sl_is_ok(net_tls_new(chain_pem, key_pem, false, &t, NULL)));
    struct net_conn *c = pair(&other);
    assert_int_equal(net_conn_tls_accept(c, t, soon(30), &err).code, SL_E_TIMEOUT);
    net_conn_free(c);
    close(other);
    c = pair(&other);
    assert_int_equal(write(other, "not a handshake, surely", 23), 23);
    assert_int_equal(net_conn_tls_accept(c, t, soon(1000), NULL).code, SL_E_CLOSED);
    net_conn_free(c);
    close(other);
    c = pair(&other); /* bytes smuggled in before the handshake */
    assert_int_equal(write(other, "SX", 2), 2);
    assert_true(sl_is_ok(net_read_exact(c, &b, 1, soon(1000))));
    assert_int_equal(net_conn_tls_accept(c, t, soon(1000), NULL).code, SL_E_PARSE);
    net_conn_free(c);
    close(other);
    net_tls_free(t);
}

/* ---- the server: each byte is answered by the peer's ip ---- */

static enum net_verdict echo_ip(struct net_conn *c, void *user) {
    char b;
    size_t n;
    if (sl_failed(net_read(c, &b, 1, soon(0), &n)) || n == 0 || b == 'q') {
        return NET_CLOSE;
    }
    if (b == 's') {
        usleep(300000);
    }
    return sl_is_ok(net_write(c, slice_cstr(net_peer(c)->ip), soon(1000))) ? NET_KEEP : NET_CLOSE;
}

static struct sl_rc greet(struct net_conn *c, struct net_peer *ret_peer, void *user) {
    char b;
    TRY(net_read_exact(c, &b, 1, soon(1000)));
    *ret_peer = (struct net_peer){.ip = "::7"};
    return b == 'H' ? SL_OK : sl_rc_of(SL_E_ACCESS_DENIED);
}

static void *run(void *arg) {
    sl_ignore(net_run(arg, NULL));
    return NULL;
}

static int dial(uint16_t port) {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
    } a = {.v4 = {.sin_family = AF_INET,
                  .sin_port = htons(port),
                  .sin_addr = {htonl(INADDR_LOOPBACK)}}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    struct timeval tv = {.tv_sec = 5};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    assert_int_equal(connect(fd, &a.any, sizeof a.v4), 0);
    return fd;
}

static struct net_server *start_as(const struct net_conf *conf, net_hello_fn hello,
                                   uint16_t *ret_port, pthread_t *ret_thread) {
    struct net_server *s;
    int fd;
    assert_true(sl_is_ok(net_server_new(conf, &s, NULL)));
    assert_true(sl_is_ok(net_tcp_listener("127.0.0.1", 0, &fd, NULL)));
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
    } a = {0};
    socklen_t len = sizeof a;
    assert_int_equal(getsockname(fd, &a.any, &len), 0);
    *ret_port = ntohs(a.v4.sin_port);
    assert_true(sl_is_ok(net_listen(s, fd, NULL, hello, NULL)));
    assert_int_equal(pthread_create(ret_thread, NULL, run, s), 0);
    return s;
}

static struct net_server *start(net_hello_fn hello, int workers, uint16_t *ret_port,
                                pthread_t *ret_thread) {
    struct net_conf conf = {.workers = workers, .serve = echo_ip, .idle_ms = 700};
    return start_as(&conf, hello, ret_port, ret_thread);
}

static void finish(struct net_server *s, pthread_t t) {
    net_stop(s);
    pthread_join(t, NULL);
    net_server_free(s);
}

static void expect_answer(int fd, const char *send_this, const char *want) {
    char out[64];
    size_t n = 0, len = strlen(send_this);
    assert_int_equal(write(fd, send_this, len), (ssize_t)len);
    while (n < strlen(want)) {
        ssize_t k = read(fd, out + n, sizeof out - n);
        assert_true(k > 0);
        n += (size_t)k;
    }
    assert_int_equal(n, strlen(want));
    assert_memory_equal(out, want, n);
}

static void test_hello(void **state) {
    uint16_t port;
    pthread_t t;
    struct net_server *s = start(greet, 2, &port, &t);
    char b;
    int good = dial(port), together = dial(port), bad = dial(port);
    expect_answer(together, "Hab", "::7::7"); /* the hello and requests in one piece */
    assert_int_equal(write(good, "H", 1), 1);
    expect_answer(good, "x", "::7");
    assert_int_equal(write(bad, "X", 1), 1);
    assert_int_equal(read(bad, &b, 1), 0);
    usleep(1500000); /* such peers may idle */
    expect_answer(good, "x", "::7");
    finish(s, t);
    assert_int_equal(read(good, &b, 1), 0); /* parked ones are closed by the stop */
    close(good);
    close(together);
    close(bad);
}

static void test_idle_and_stop(void **state) {
    uint16_t port;
    pthread_t t;
    struct net_server *s = start(NULL, 2, &port, &t);
    char b;
    int idle = dial(port);
    expect_answer(idle, "xyz", "127.0.0.1127.0.0.1127.0.0.1");
    assert_int_equal(read(idle, &b, 1), 0); /* within 5 s */
    int busy = dial(port);
    expect_answer(busy, "x", "127.0.0.1");
    assert_int_equal(write(busy, "s", 1), 1);
    usleep(100000);
    net_stop(s); /* the request in progress is finished */
    expect_answer(busy, "", "127.0.0.1");
    assert_int_equal(read(busy, &b, 1), 0);
    finish(s, t);
    close(idle);
    close(busy);
}

static void test_no_descriptors(void **state) {
    uint16_t port;
    pthread_t t;
    struct net_server *s = start(NULL, 2, &port, &t);
    int first = dial(port);
    expect_answer(first, "x", "127.0.0.1");
    struct rlimit old;
    getrlimit(RLIMIT_NOFILE, &old);
    int top = dup(first); /* above all that is open */
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){(rlim_t)top + 1, old.rlim_max});
    close(top); /* one is left, which the client's end takes; accept finds none */
    int third = dial(port);
    assert_int_equal(write(third, "x", 1), 1);
    struct pollfd p = {.fd = third, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 300), 0);
    expect_answer(first, "x", "127.0.0.1"); /* others are served all the same */
    setrlimit(RLIMIT_NOFILE, &old);
    expect_answer(third, "", "127.0.0.1");
    close(first);
    close(third);
    finish(s, t);
}

/* ---- a server with a watching thread: 't' is taken, and answered by way of a pipe ---- */

enum { TAKEN_MAX = 64 };
static struct {
    struct net_conn *taken[TAKEN_MAX];
    size_t count, most; /* the watching thread's */
    int pipe[2];
    struct net_watch watch;
    struct net_server *server;
    bool hold; /* answers wait for a byte from the test */
} quick;

static void answer_taken(void *user) {
    char bytes[TAKEN_MAX];
    assert_true(read(quick.pipe[0], bytes, sizeof bytes) > 0);
    while (quick.count > 0) {
        struct net_conn *c = quick.taken[--quick.count];
        bool ok = sl_is_ok(net_write(c, SLICE_LIT("taken"), soon(1000)));
        net_answered(c, ok ? NET_QUICK_KEEP : NET_QUICK_CLOSE);
    }
}

static enum net_quick quick_look(struct net_conn *c, void *user) {
    size_t n;
    short want;
    if (quick.watch.fn == NULL) {
        quick.watch = (struct net_watch){.fd = quick.pipe[0], .fn = answer_taken};
        assert_true(sl_is_ok(net_watch(quick.server, &quick.watch, NULL)));
    }
    if (net_peek(c).len == 0) {
        if (sl_failed(net_fill(c, &n, &want)) || (n == 0 && want == 0)) {
            return NET_QUICK_CLOSE;
        }
        if (want != 0) {
            return NET_QUICK_KEEP;
        }
    }
    if (net_peek(c).ptr[0] != 't' || quick.count == TAKEN_MAX) {
        return NET_QUICK_SERVE;
    }
    net_consume(c, 1);
    quick.taken[quick.count++] = c;
    quick.most = quick.count > quick.most ? quick.count : quick.most;
    return NET_QUICK_TAKEN;
}

static void looked(void *user) {
    if (quick.count > 0 && !quick.hold) {
        assert_int_equal(write(quick.pipe[1], "!", 1), 1);
    }
}

static void quick_start(uint16_t *ret_port, pthread_t *ret_thread, int workers, bool hold) {
    memset(&quick, 0, sizeof quick);
    quick.hold = hold;
    assert_int_equal(pipe(quick.pipe), 0);
    struct net_conf conf = {.workers = workers,
                            .serve = echo_ip,
                            .quick = quick_look,
                            .looked = looked,
                            .idle_ms = 5000};
    /* Nobody looks before the first client comes. */
    quick.server = start_as(&conf, NULL, ret_port, ret_thread);
}

static void quick_finish(pthread_t t) {
    finish(quick.server, t);
    close(quick.pipe[0]);
    close(quick.pipe[1]);
}

static void *quick_client(void *arg) {
    int fd = dial(*(uint16_t *)arg);
    for (int i = 0; i < 200; i++) {
        expect_answer(fd, "t", "taken");
        expect_answer(fd, i % 3 == 0 ? "x" : "tt", i % 3 == 0 ? "127.0.0.1" : "takentaken");
    }
    close(fd);
    return NULL;
}

/* Taken ones and served ones side by side, also in one piece. */
static void test_taken(void **state) {
    uint16_t port;
    pthread_t t, clients[8];
    quick_start(&port, &t, 3, false);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(pthread_create(&clients[i], NULL, quick_client, &port), 0);
    }
    for (size_t i = 0; i < 8; i++) {
        pthread_join(clients[i], NULL);
    }
    int fd = dial(port);
    expect_answer(fd, "tax", "taken127.0.0.1127.0.0.1");
    close(fd);
    quick_finish(t);
}

/* While every worker is busy, what needs none goes on; and one that comes free serves the rest. */
static void test_taken_beside_busy_workers(void **state) {
    uint16_t port;
    pthread_t t;
    quick_start(&port, &t, 2, false);
    int busy[4], fd = dial(port);
    for (size_t i = 0; i < 4; i++) {
        busy[i] = dial(port);
        assert_int_equal(write(busy[i], "s", 1), 1); /* 300 ms of a worker */
    }
    usleep(50000);
    int64_t begun = clock_mono_ms();
    expect_answer(fd, "t", "taken");
    assert_true(clock_mono_ms() - begun < 150);
    for (size_t i = 0; i < 4; i++) {
        expect_answer(busy[i], "", "127.0.0.1");
        close(busy[i]);
    }
    close(fd);
    quick_finish(t);
}

/* A taken connection is in progress: a stop waits for its answer. */
static void test_taken_and_stop(void **state) {
    uint16_t port;
    pthread_t t;
    char b;
    quick_start(&port, &t, 2, true);
    int fd = dial(port);
    assert_int_equal(write(fd, "t", 1), 1);
    usleep(200000);
    net_stop(quick.server);
    usleep(100000);
    assert_int_equal(write(quick.pipe[1], "!", 1), 1);
    expect_answer(fd, "", "taken");
    assert_int_equal(read(fd, &b, 1), 0);
    close(fd);
    quick_finish(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),          cmocka_unit_test(test_write_deadline),
        cmocka_unit_test(test_tls_files),      cmocka_unit_test(test_tls),
        cmocka_unit_test(test_tls_refusals),   cmocka_unit_test(test_hello),
        cmocka_unit_test(test_idle_and_stop),  cmocka_unit_test(test_no_descriptors),
        cmocka_unit_test(test_taken),          cmocka_unit_test(test_taken_beside_busy_workers),
        cmocka_unit_test(test_taken_and_stop),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
