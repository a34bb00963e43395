/* A server for the raw-socket tests: argv = folder with cert.pem and key.pem, in which it makes
 * up.sock. Listens plain and with TLS; /up/… is forwarded to a second server on the Unix socket,
 * /fake/… to whatever listens on fake.sock. Prints its ports; SIGTERM ends it. */
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "server/http/http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char *folder;
static struct net_server *front, *back;

static int unix_socket(const char *name, bool listening) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s/%s", folder, name);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    union {
        struct sockaddr_un *in;
        struct sockaddr *out;
    } p = {&a};
    if (fd < 0 || (listening ? bind(fd, p.out, sizeof a) != 0 || listen(fd, 64) != 0
                             : connect(fd, p.out, sizeof a) != 0)) {
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    return fd;
}

static void text(struct http *h, int status, const char *s) {
    http_status(h, status);
    sl_ignore(http_reply(h, slice_cstr(s)));
}

/* Counts the body and sums its bytes. */
static void count(struct http *h) {
    static _Thread_local uint8_t buf[100000];
    unsigned long long n = 0, sum = 0;
    for (;;) {
        size_t got;
        struct sl_rc rc = http_body_read(h, buf, sizeof buf, &got);
        if (sl_failed(rc)) {
            text(h, rc.code == SL_E_TIMEOUT ? 408 : 400, sl_code_info(rc.code)->name);
            return;
        }
        if (got == 0) {
            break;
        }
        n += got;
        for (size_t i = 0; i < got; i += 997) {
            sum += buf[i];
        }
    }
    char out[80];
    snprintf(out, sizeof out, "n=%llu done=%d", n, http_body_done(h));
    text(h, 200, out);
    (void)sum;
}

static void bytes(struct http *h) {
    static const uint8_t block[70000] = {1};
    uint64_t n = 0;
    slice_u64(slice_sub(h->query, 2, h->query.len), UINT64_MAX, &n); /* n=… */
    struct sl_rc rc = http_reply_begin(h, n);
    while (sl_is_ok(rc) && n > 0) {
        size_t k = n < sizeof block ? (size_t)n : sizeof block;
        rc = http_reply_write(h, slice_of(block, k));
        n -= k;
    }
}

static void both_ways(struct http *h) {
    uint8_t buf[30000];
    size_t got;
    struct sl_rc rc = http_reply_begin(h, h->length);
    while (sl_is_ok(rc) && sl_is_ok(rc = http_body_read(h, buf, sizeof buf, &got)) && got > 0) {
        rc = http_reply_write(h, slice_of(buf, got));
    }
}

static void show(struct http *h) {
    char *s = arena_printf(h->arena, "%.*s|%.*s|%.*s|%s|%d|", SLICE_FMT(h->method),
                           SLICE_FMT(h->path), SLICE_FMT(h->query), h->peer->ip, h->peer->tls);
    for (size_t i = 0; i < h->header_count; i++) {
        s = arena_printf(h->arena, "%s%.*s=%.*s|", s, SLICE_FMT(h->headers[i].name),
                         SLICE_FMT(h->headers[i].value));
    }
    http_set_cstr(h, "X-Evil", "a\r\nSet-Cookie: b");
    http_set_cstr(h, "x-request-id", h->request_id);
    http_set_cstr(h, "content-length", "1");
    http_set_printf(h, "X-Many", "%0600d", 7);
    text(h, 200, s);
}

static void all(struct http *h) {
    struct slice s;
    struct sl_rc rc = http_body_all(h, 1000, &s);
    if (sl_failed(rc)) {
        text(h, rc.code == SL_E_LIMIT ? 413 : 400, sl_code_info(rc.code)->name);
    } else {
        http_status(h, 200);
        sl_ignore(http_reply(h, s));
    }
}

static void known_length(struct http *h) {
    http_set_cstr(h, "content-length", "12345");
    sl_ignore(http_reply_head(h));
}

static void not_modified(struct http *h) {
    http_status(h, 304);
    sl_ignore(http_reply_head(h));
}

static void no_content(struct http *h) {
    text(h, 204, "");
}

static void refuse(struct http *h) {
    text(h, 403, "no");
}

static void shorter(struct http *h) {
    sl_ignore(http_reply_begin(h, 10));
    sl_ignore(http_reply_write(h, SLICE_LIT("12345")));
}

static void cut(struct http *h) {
    sl_ignore(http_reply_begin(h, 200000));
    for (int i = 0; i < 3; i++) {
        sl_ignore(http_reply_write(h, slice_of((uint8_t[60000]){0}, 60000)));
    }
    http_abort(h);
}

static void silent(struct http *h) {}

static void hello(struct http *h) {
    text(h, 200, "hello");
}

static void forward(struct http *h, const char *name) {
    int fd = unix_socket(name, false);
    bool reusable;
    if (fd < 0) {
        text(h, 503, "no upstream");
        return;
    }
    if (slice_eq_cstr(slice_cstr(name), "up.sock") && write(fd, "H", 1) != 1) {
        close(fd);
        return;
    }
    struct sl_rc rc = http_forward(h, fd, &reusable);
    printf("forward %s reusable=%d\n", sl_is_ok(rc) ? "ok" : sl_code_info(rc.code)->name, reusable);
    fflush(stdout);
    close(fd);
}

static const struct {
    const char *path;
    void (*fn)(struct http *h);
} routes[] = {
    {"/hello", hello},    {"/count", count},   {"/bytes", bytes},        {"/both", both_ways},
    {"/show", show},      {"/all", all},       {"/known", known_length}, {"/304", not_modified},
    {"/204", no_content}, {"/refuse", refuse}, {"/short", shorter},      {"/cut", cut},
    {"/silent", silent},
};

static void handle(struct http *h, void *user) {
    struct slice path = h->path;
    bool inner = user != NULL;
    if (!inner && slice_starts(path, SLICE_LIT("/up/"))) {
        forward(h, "up.sock");
        return;
    }
    if (!inner && slice_starts(path, SLICE_LIT("/fake/"))) {
        forward(h, "fake.sock");
        return;
    }
    if (inner) {
        path = slice_sub(path, 3, path.len);
    }
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        if (slice_eq_cstr(path, routes[i].path)) {
            routes[i].fn(h);
            return;
        }
    }
    text(h, 404, "nothing here");
}

static struct sl_rc greet(struct net_conn *c, struct net_peer *ret_peer, void *user) {
    char b;
    TRY(net_read_exact(c, &b, 1, clock_mono_ms() + 1000));
    *ret_peer = (struct net_peer){.ip = "192.0.2.7", .edge = 1, .mode = 2};
    return b == 'H' ? SL_OK : sl_rc_of(SL_E_PARSE);
}

static void on_term(int sig) {
    net_stop(front);
    net_stop(back);
}

static struct slice load(const char *name, char *buf, size_t cap) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    sl_assert(f != NULL);
    size_t n = fread(buf, 1, cap, f);
    fclose(f);
    return slice_of(buf, n);
}

static uint16_t listen_on(struct net_tls *tls) {
    struct sl_error err = {0};
    int fd;
    sl_assert(sl_is_ok(net_tcp_listener("127.0.0.1", 0, &fd, &err)));
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
    } a = {0};
    socklen_t len = sizeof a;
    sl_assert(getsockname(fd, &a.any, &len) == 0);
    sl_assert(sl_is_ok(net_listen(front, fd, tls, NULL, &err)));
    return ntohs(a.v4.sin_port);
}

static void *run_back(void *arg) {
    sl_ignore(net_run(back, NULL));
    return NULL;
}

int main(int argc, char **argv) {
    sl_assert(argc == 2);
    folder = argv[1];
    sl_log_init("http-test", SL_WARN);
    char chain[20000], key[20000];
    struct net_tls *tls;
    struct sl_error err = {0};
    sl_assert(sl_is_ok(net_tls_new(load("cert.pem", chain, sizeof chain),
                                   load("key.pem", key, sizeof key), true, &tls, &err)));
    struct http_service outer = {.handle = handle, .head_ms = 1000, .stall_ms = 1500};
    struct http_service inner = {.handle = handle, .user = &inner, .stall_ms = 1500};
    struct net_conf a = {
        .workers = 6, .max_connections = 300, .idle_ms = 1500, .serve = http_serve, .user = &outer};
    struct net_conf b = {.workers = 6, .serve = http_serve, .user = &inner};
    sl_assert(sl_is_ok(net_server_new(&a, &front, &err)));
    sl_assert(sl_is_ok(net_server_new(&b, &back, &err)));
    sl_assert(sl_is_ok(net_listen(back, unix_socket("up.sock", true), NULL, greet, &err)));
    uint16_t plain = listen_on(NULL), secure = listen_on(tls);
    net_tls_free(tls);
    struct sigaction act = {.sa_handler = on_term};
    sigaction(SIGTERM, &act, NULL);
    pthread_t t;
    sl_assert(pthread_create(&t, NULL, run_back, NULL) == 0);
    printf("ports %u %u\n", plain, secure);
    fflush(stdout);
    sl_assert(sl_is_ok(net_run(front, &err)));
    pthread_join(t, NULL);
    net_server_free(front);
    net_server_free(back);
    return 0;
}
