/* A load generator for KMS: keeps TLS connections busy, each with one signed request after another
 * (signed afresh every time), and tells what that cost. One thread; blocking handshakes, then
 * epoll. Against any other HTTPS server the same requests go out, for comparison.
 *
 * usage: kms_load PORT CONNECTIONS SECONDS TARGET BODY-FILE PIDS
 *   TARGET "TrentService.Decrypt"; PIDS "1,2,3": processes whose CPU is counted; the access key
 *   stands in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. The server's certificate is not checked.
 * Prints: requests, errors, seconds, rate (1/s), load_us and server_us (CPU for each request), sent
 * and received (bytes for each request, before TLS). */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/crypto/crypto.h"
#include "lib/codec/text.h"
#include "lib/sigv4/sigv4.h"

enum { CONNECTIONS_MAX = 1024, ANSWER_MAX = 64 * 1024, REQUEST_MAX = 64 * 1024, PIDS_MAX = 64 };
enum { WARM_UP_MS = 500, STUCK_MS = 30 * 1000 };

struct conn {
    int fd;
    SSL *ssl;
    size_t got; /* of the answer */
    char answer[ANSWER_MAX];
};

struct load {
    int port;
    int epoll_fd;
    size_t count;
    struct conn *conns[CONNECTIONS_MAX];
    struct slice target, body, key_id;
    char payload_hash[2 * SHA256_LEN + 1];
    char host[32];
    struct secret secret;
    pid_t pids[PIDS_MAX];
    size_t pid_count;

    uint64_t requests, errors, sent, received; /* since the last reset */
};

_Noreturn static void die(const char *what) {
    fprintf(stderr, "kms_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- CPU ---- */

static double own_cpu_s(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* user + system time of all threads, those that ended too */
static double process_cpu_s(pid_t pid) {
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    size_t n = f != NULL ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f != NULL) {
        fclose(f);
    }
    text[n] = '\0';
    const char *p = strrchr(text, ')');
    unsigned long user = 0, sys = 0;
    if (p == NULL ||
        sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &sys) != 2) {
        die(path);
    }
    return (double)(user + sys) / (double)sysconf(_SC_CLK_TCK);
}

static double servers_cpu_s(const struct load *l) {
    double sum = 0;
    for (size_t i = 0; i < l->pid_count; i++) {
        sum += process_cpu_s(l->pids[i]);
    }
    return sum;
}

/* ---- requests ---- */

/* The head and body of one request, signed now. */
static void put_request(struct load *l, struct buf *out) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(256 * 1024);
    SL_CLEANUP(buf_fini) struct buf authorization = BUF_INIT(4096);
    struct sl_error err = {0};
    int64_t now_s = clock_real_ms() / 1000;
    char date[17];
    clock_basic(now_s, date);
    struct sigv4_header headers[] = {
        {SLICE_LIT("host"), slice_cstr(l->host)},
        {SLICE_LIT("content-type"), SLICE_LIT("application/x-amz-json-1.1")},
        {SLICE_LIT("x-amz-date"), slice_cstr(date)},
        {SLICE_LIT("x-amz-target"), l->target},
    };
    struct sigv4_request r = {
        .method = SLICE_LIT("POST"),
        .path = SLICE_LIT("/"),
        .headers = headers,
        .header_count = sizeof headers / sizeof *headers,
        .payload_hash = slice_cstr(l->payload_hash),
    };
    if (sl_failed(sigv4_sign(&r, l->key_id, &l->secret, SLICE_LIT("us-east-1"), SLICE_LIT("kms"),
                             now_s, &a, &authorization, &err))) {
        die(err.detail);
    }
    buf_puts(out, "POST / HTTP/1.1\r\n");
    for (size_t i = 0; i < r.header_count; i++) {
        buf_printf(out, "%.*s: %.*s\r\n", SLICE_FMT(headers[i].name), SLICE_FMT(headers[i].value));
    }
    buf_printf(out, "authorization: %.*s\r\ncontent-length: %zu\r\n\r\n",
               SLICE_FMT(buf_slice(&authorization)), l->body.len);
    buf_put(out, l->body);
}

/* A request is far smaller than a socket's buffer, and nothing else is under way. */
static void send_request(struct load *l, struct conn *c) {
    SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(REQUEST_MAX);
    put_request(l, &out);
    if (SSL_write(c->ssl, out.ptr, (int)out.len) != (int)out.len) {
        die("SSL_write");
    }
    c->got = 0;
    l->sent += out.len;
}

/* The length of the whole answer, 0 while its head is not there. */
static size_t answer_length(const struct conn *c) {
    const char *end = memmem(c->answer, c->got, "\r\n\r\n", 4);
    if (end == NULL) {
        return 0;
    }
    const char *length = strcasestr(c->answer, "\r\ncontent-length:");
    if (length == NULL || length > end) {
        die("an answer without content-length");
    }
    return (size_t)(end + 4 - c->answer) + strtoul(length + 17, NULL, 10);
}

/* True when the answer is complete. */
static bool receive(struct load *l, struct conn *c) {
    int n = SSL_read(c->ssl, c->answer + c->got, (int)(ANSWER_MAX - 1 - c->got));
    if (n <= 0) {
        if (SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_READ) {
            return false;
        }
        die("the server ended a connection");
    }
    c->got += (size_t)n;
    c->answer[c->got] = '\0';
    size_t whole = answer_length(c);
    if (whole == 0 || c->got < whole) {
        return false;
    }
    l->requests++;
    l->received += whole;
    l->errors += strncmp(c->answer, "HTTP/1.1 200 ", 13) != 0;
    if (l->errors == 1 && strncmp(c->answer, "HTTP/1.1 200 ", 13) != 0) {
        fprintf(stderr, "kms_load: first error: %s\n", c->answer);
    }
    return true;
}

/* ---- connections ---- */

static void open_conn(struct load *l, SSL_CTX *ctx) {
    struct conn *c = calloc(1, sizeof *c);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)l->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    union {
        struct sockaddr_in *in;
        struct sockaddr *any;
    } addr = {.in = &to};
    if (c == NULL || (c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0 ||
        connect(c->fd, addr.any, sizeof to) != 0) {
        die("connect");
    }
    int on = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    c->ssl = SSL_new(ctx);
    if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1 || SSL_connect(c->ssl) != 1) {
        die("TLS handshake");
    }
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    if (fcntl(c->fd, F_SETFL, O_NONBLOCK) != 0 ||
        epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, c->fd, &e) != 0) {
        die("epoll");
    }
    l->conns[l->count++] = c;
}

static void run_for(struct load *l, int64_t ms) {
    int64_t until = clock_mono_ms() + ms;
    struct epoll_event events[64];
    while (clock_mono_ms() < until) {
        int n = epoll_wait(l->epoll_fd, events, 64, STUCK_MS);
        if (n <= 0) {
            die("no answer comes");
        }
        for (int i = 0; i < n; i++) {
            if (receive(l, events[i].data.ptr)) {
                send_request(l, events[i].data.ptr);
            }
        }
    }
}

static void measure(struct load *l, int64_t ms) {
    for (size_t i = 0; i < l->count; i++) {
        send_request(l, l->conns[i]);
    }
    run_for(l, WARM_UP_MS);
    l->requests = l->errors = l->sent = l->received = 0;
    double own = own_cpu_s(), servers = servers_cpu_s(l);
    int64_t begun = clock_mono_ms();
    run_for(l, ms);
    double seconds = (double)(clock_mono_ms() - begun) / 1000;
    double n = l->requests > 0 ? (double)l->requests : 1;
    printf("requests=%llu errors=%llu seconds=%.3f rate=%.0f load_us=%.2f server_us=%.2f "
           "load_cores=%.2f sent=%.0f received=%.0f\n",
           (unsigned long long)l->requests, (unsigned long long)l->errors, seconds, n / seconds,
           (own_cpu_s() - own) / n * 1e6, (servers_cpu_s(l) - servers) / n * 1e6,
           (own_cpu_s() - own) / seconds, (double)l->sent / n, (double)l->received / n);
}

/* ---- start ---- */

static void read_body(struct load *l, const char *path, char *room) {
    FILE *f = fopen(path, "r");
    size_t n = f != NULL ? fread(room, 1, REQUEST_MAX / 2, f) : 0;
    if (n == 0) {
        die(path);
    }
    fclose(f);
    l->body = slice_of(room, n);
    uint8_t hash[SHA256_LEN];
    SL_CLEANUP(buf_fini) struct buf hex = BUF_INIT(2 * SHA256_LEN);
    sha256(l->body, hash);
    hex_put(&hex, slice_of(hash, sizeof hash));
    memcpy(l->payload_hash, hex.ptr, 2 * SHA256_LEN);
}

int main(int argc, char **argv) {
    static struct load l;
    static char room[REQUEST_MAX];
    const char *id = getenv("AWS_ACCESS_KEY_ID"), *secret = getenv("AWS_SECRET_ACCESS_KEY");
    if (argc != 7 || id == NULL || secret == NULL) {
        fprintf(stderr, "usage: kms_load PORT CONNECTIONS SECONDS TARGET BODY-FILE PIDS\n");
        return 2;
    }
    l.port = atoi(argv[1]);
    size_t count = strtoul(argv[2], NULL, 10);
    l.target = slice_cstr(argv[4]);
    l.key_id = slice_cstr(id);
    snprintf(l.host, sizeof l.host, "127.0.0.1:%d", l.port);
    read_body(&l, argv[5], room);
    for (char *p = strtok(argv[6], ","); p != NULL && l.pid_count < PIDS_MAX;
         p = strtok(NULL, ",")) {
        l.pids[l.pid_count++] = atoi(p);
    }
    if (sl_failed(secret_from(&l.secret, slice_cstr(secret)))) {
        die("the secret");
    }
    l.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    for (size_t i = 0; i < count && i < CONNECTIONS_MAX; i++) {
        open_conn(&l, ctx);
    }
    measure(&l, (int64_t)(strtod(argv[3], NULL) * 1000));
    secret_fini(&l.secret);
    for (size_t i = 0; i < l.count; i++) { /* the servers need no farewell */
        SSL_free(l.conns[i]->ssl);
        close(l.conns[i]->fd);
        free(l.conns[i]);
    }
    SSL_CTX_free(ctx);
    return l.errors > 0;
}
