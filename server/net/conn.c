/* One connection: bytes in and out, plain or TLS, never blocking but in net_wait. The socket is
 * non-blocking; deadlines are poll()'s. Owned by one thread at a time. */
#include "server/net/net_in.h"

#include "lib/base/clock.h"
#include "lib/crypto/secret.h"

#include <stdio.h>
#include <openssl/err.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    AHEAD_BELOW = 4096,         /* reads smaller than this go through the read-ahead buffer */
    AHEAD_MAX = 4 * 1024 * 1024 /* what net_unread may make of it */
};

static void check(const struct net_conn *c) {
    sl_assert(c != NULL && c->magic == NET_CONN_MAGIC);
}

static void peer_of(int fd, struct net_peer *ret) {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_storage room;
    } a = {0};
    socklen_t len = sizeof a;
    if (getpeername(fd, &a.any, &len) != 0) {
        return;
    }
    if (a.any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &a.v4.sin_addr, ret->ip, sizeof ret->ip);
        ret->port = ntohs(a.v4.sin_port);
    } else if (a.any.sa_family == AF_INET6) {
        if (IN6_IS_ADDR_V4MAPPED(&a.v6.sin6_addr)) {
            inet_ntop(AF_INET, &a.v6.sin6_addr.s6_addr[12], ret->ip, sizeof ret->ip);
        } else {
            inet_ntop(AF_INET6, &a.v6.sin6_addr, ret->ip, sizeof ret->ip);
        }
        ret->port = ntohs(a.v6.sin6_port);
    }
}

/* The buffer that was given back last: most connections give theirs back before another needs one,
 * so its bytes are still near the processor. */
static _Atomic(uint8_t *) spare;

/* What was read may hold secrets. */
static void give_back(struct net_wire *w) {
    uint8_t *none = NULL;
    if (w->ptr == NULL) {
        return;
    }
    secret_wipe(w->ptr, w->touched);
    if (w->cap != NET_AHEAD_BYTES || !atomic_compare_exchange_strong(&spare, &none, w->ptr)) {
        free(w->ptr);
    }
    w->ptr = NULL;
    w->pos = w->len = w->cap = w->touched = 0;
}

struct net_conn *conn_new(int fd) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
        return NULL;
    }
    struct net_conn *c = calloc(1, sizeof *c);
    struct net_wire *w = calloc(1, sizeof *w);
    if (c == NULL || w == NULL) {
        free(c);
        free(w);
        return NULL;
    }
    w->fd = fd;
    c->kind = NET_KIND_CONN;
    c->magic = NET_CONN_MAGIC;
    c->w = w;
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* fails on Unix sockets */
    peer_of(fd, &c->peer);
    return c;
}

struct sl_rc net_conn_from_fd(int take_fd, struct net_conn **ret) {
    struct net_conn *c = conn_new(take_fd);
    if (c == NULL) {
        close(take_fd);
        return sl_rc_of(SL_E_NOMEM);
    }
    *ret = c;
    return SL_OK;
}

void net_conn_free(struct net_conn *c) {
    if (c == NULL) {
        return;
    }
    check(c);
    if (c->state_free != NULL) {
        c->state_free(c->state);
    }
    if (c->w->ssl != NULL) {
        conn_end_output(c);
        SSL_free(c->w->ssl);
    }
    close(c->w->fd);
    give_back(c->w);
    free(c->w);
    c->magic = 0;
    free(c);
}

void conn_end_output(struct net_conn *c) {
    if (c->w->ssl != NULL && c->w->failure == SL_CODE_OK && SSL_is_init_finished(c->w->ssl)) {
        ERR_clear_error();
        (void)SSL_shutdown(c->w->ssl);
        ERR_clear_error();
    }
    (void)shutdown(c->w->fd, SHUT_WR);
}

static struct sl_rc fail(struct net_wire *w, enum sl_code code) {
    w->failure = code;
    return sl_rc_of(code);
}

/* What a TLS call that moved nothing means: *ret_want set, the orderly end (*ret_eof), or failure.
 */
static struct sl_rc tls_outcome(struct net_wire *w, int result, short *ret_want, bool *ret_eof) {
    switch (SSL_get_error(w->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        *ret_want = POLLIN;
        return SL_OK;
    case SSL_ERROR_WANT_WRITE:
        *ret_want = POLLOUT;
        return SL_OK;
    case SSL_ERROR_ZERO_RETURN:
        *ret_eof = true;
        return SL_OK;
    default:
        ERR_clear_error();
        return fail(w, SL_E_CLOSED);
    }
}

struct sl_rc conn_tls_begin(struct net_conn *c, struct net_tls *t) {
    ERR_clear_error();
    SSL_CTX *ctx = tls_ctx(t);
    SSL *ssl = SSL_new(ctx);
    SSL_CTX_free(ctx);
    BIO *bio = conn_bio_new(c->w->fd);
    if (ssl == NULL || bio == NULL) {
        SSL_free(ssl);
        BIO_free(bio);
        ERR_clear_error();
        return sl_rc_of(SL_E_NOMEM);
    }
    SSL_set_bio(ssl, bio, bio);
    SSL_set_accept_state(ssl);
    c->w->ssl = ssl;
    return SL_OK;
}

struct sl_rc conn_tls_step(struct net_conn *c, short *ret_want) {
    ERR_clear_error();
    int n = SSL_do_handshake(c->w->ssl);
    *ret_want = 0;
    if (n == 1) {
        c->peer.tls = true;
        c->peer.tls_minor = SSL_version(c->w->ssl) == TLS1_3_VERSION ? 3 : 2;
        snprintf(c->peer.cipher, sizeof c->peer.cipher, "%s", SSL_get_cipher_name(c->w->ssl));
        return SL_OK;
    }
    bool eof = false;
    TRY(tls_outcome(c->w, n, ret_want, &eof));
    return eof ? fail(c->w, SL_E_CLOSED) : SL_OK;
}

struct sl_rc net_conn_tls_accept(struct net_conn *c, struct net_tls *t, int64_t deadline_mono_ms,
                                 struct sl_error *err) {
    check(c);
    ENSURE(c->w->ssl == NULL, err, SL_E_PARSE, "TLS is on already.");
    ENSURE(c->w->pos == c->w->len, err, SL_E_PARSE, "Bytes came before the TLS handshake.");
    TRY(conn_tls_begin(c, t));
    for (;;) {
        short want;
        struct sl_rc rc = conn_tls_step(c, &want);
        ENSURE(sl_is_ok(rc), err, rc.code, "The TLS handshake failed.");
        if (want == 0) {
            return SL_OK;
        }
        rc = net_wait(c, want, deadline_mono_ms);
        if (sl_failed(rc)) {
            return sl_fail(err, fail(c->w, rc.code).code, "The TLS handshake took too long.");
        }
    }
}

/* One attempt at the socket or the TLS layer, past the read-ahead buffer. */
static struct sl_rc read_direct(struct net_wire *w, void *out, size_t cap, size_t *ret_len,
                                short *ret_want) {
    *ret_len = 0;
    *ret_want = 0;
    if (w->failure != SL_CODE_OK) {
        return sl_rc_of(w->failure);
    }
    if (w->eof) {
        return SL_OK;
    }
    if (w->ssl != NULL) {
        ERR_clear_error();
        int n = SSL_read(w->ssl, out, (int)(cap > NET_AHEAD_BYTES ? NET_AHEAD_BYTES : cap));
        if (n > 0) {
            *ret_len = (size_t)n;
            return SL_OK;
        }
        return tls_outcome(w, n, ret_want, &w->eof);
    }
    ssize_t n;
    do {
        n = recv(w->fd, out, cap > NET_AHEAD_BYTES ? NET_AHEAD_BYTES : cap, MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        *ret_want = POLLIN;
        return SL_OK;
    }
    if (n < 0) {
        return fail(w, SL_E_CLOSED);
    }
    w->eof = n == 0;
    *ret_len = (size_t)n;
    return SL_OK;
}

/* Makes ptr hold `cap` bytes, more than it does. */
static bool enlarge(struct net_wire *w, size_t cap) {
    struct net_wire was = *w;
    uint8_t *p = cap == NET_AHEAD_BYTES ? atomic_exchange(&spare, NULL) : NULL;
    p = p != NULL ? p : malloc(cap);
    if (p == NULL) {
        return false;
    }
    if (was.len > 0) {
        memcpy(p, was.ptr, was.len);
    }
    give_back(w);
    w->ptr = p;
    w->cap = cap;
    w->len = w->touched = was.len;
    return true;
}

/* Room for `n` more bytes behind the ones read ahead. */
static bool ahead_room(struct net_wire *w, size_t n) {
    if (w->pos > 0) {
        memmove(w->ptr, w->ptr + w->pos, w->len - w->pos);
        w->len -= w->pos;
        w->pos = 0;
    }
    size_t need = w->len + n;
    if (need <= w->cap) {
        return true;
    }
    if (need > AHEAD_MAX) {
        return false;
    }
    return enlarge(w, need < NET_AHEAD_BYTES ? NET_AHEAD_BYTES : need);
}

/* `n` bytes more are there. */
static void added(struct net_wire *w, size_t n) {
    w->len += n;
    w->touched = w->len > w->touched ? w->len : w->touched;
}

static struct sl_rc fill(struct net_wire *w, size_t *ret_len, short *ret_want) {
    size_t held = w->len - w->pos;
    if (held >= NET_AHEAD_BYTES) {
        return sl_rc_of(SL_E_LIMIT);
    }
    if (!ahead_room(w, NET_AHEAD_BYTES - held)) {
        return sl_rc_of(SL_E_NOMEM);
    }
    size_t n;
    TRY(read_direct(w, w->ptr + w->len, NET_AHEAD_BYTES - held, &n, ret_want));
    added(w, n);
    *ret_len = n;
    return SL_OK;
}

struct sl_rc net_fill(struct net_conn *c, size_t *ret_len, short *ret_want) {
    check(c);
    return fill(c->w, ret_len, ret_want);
}

static size_t take_ahead(struct net_wire *w, void *out, size_t cap) {
    size_t n = w->len - w->pos;
    n = n < cap ? n : cap;
    if (n > 0) {
        memcpy(out, w->ptr + w->pos, n);
        w->pos += n;
    }
    return n;
}

struct sl_rc net_try_read(struct net_conn *c, void *out, size_t cap, size_t *ret_len,
                          short *ret_want) {
    check(c);
    sl_assert(cap > 0);
    struct net_wire *w = c->w;
    if (w->pos == w->len && cap >= AHEAD_BELOW) {
        return read_direct(w, out, cap, ret_len, ret_want);
    }
    *ret_want = 0;
    if (w->pos == w->len) {
        size_t added;
        TRY(fill(w, &added, ret_want));
    }
    *ret_len = take_ahead(w, out, cap);
    return SL_OK;
}

struct sl_rc net_try_write(struct net_conn *c, struct slice s, size_t *ret_len, short *ret_want) {
    check(c);
    *ret_len = 0;
    *ret_want = 0;
    if (c->w->failure != SL_CODE_OK) {
        return sl_rc_of(c->w->failure);
    }
    if (s.len == 0) {
        return SL_OK;
    }
    if (c->w->ssl != NULL) {
        ERR_clear_error();
        int n = SSL_write(c->w->ssl, s.ptr, (int)(s.len > (1 << 20) ? (1 << 20) : s.len));
        if (n > 0) {
            *ret_len = (size_t)n;
            return SL_OK;
        }
        bool eof = false;
        TRY(tls_outcome(c->w, n, ret_want, &eof));
        return eof ? fail(c->w, SL_E_CLOSED) : SL_OK;
    }
    ssize_t n;
    do {
        n = send(c->w->fd, s.ptr, s.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        *ret_want = POLLOUT;
        return SL_OK;
    }
    if (n < 0) {
        return fail(c->w, SL_E_CLOSED);
    }
    *ret_len = (size_t)n;
    return SL_OK;
}

struct sl_rc net_wait(const struct net_conn *c, short want, int64_t deadline_mono_ms) {
    struct pollfd p = {.fd = c->w->fd, .events = want};
    for (;;) {
        int64_t left = deadline_mono_ms - clock_mono_ms();
        left = left < 0 ? 0 : left > 3600000 ? 3600000 : left;
        int n = poll(&p, 1, (int)left);
        if (n > 0) {
            return SL_OK; /* an error or hang-up shows at the next read or write */
        }
        if (n < 0 && errno != EINTR) {
            return sl_rc_of(SL_E_IO);
        }
        if (clock_mono_ms() >= deadline_mono_ms) {
            return sl_rc_of(SL_E_TIMEOUT);
        }
    }
}

struct sl_rc net_read(struct net_conn *c, void *out, size_t cap, int64_t deadline_mono_ms,
                      size_t *ret_len) {
    for (;;) {
        short want;
        size_t n;
        TRY(net_try_read(c, out, cap, &n, &want));
        if (want == 0) {
            *ret_len = n;
            return SL_OK;
        }
        TRY(net_wait(c, want, deadline_mono_ms));
    }
}

struct sl_rc net_read_exact(struct net_conn *c, void *out, size_t n, int64_t deadline_mono_ms) {
    uint8_t *p = out;
    while (n > 0) {
        size_t got;
        TRY(net_read(c, p, n, deadline_mono_ms, &got));
        if (got == 0) {
            return sl_rc_of(SL_E_CLOSED);
        }
        p += got;
        n -= got;
    }
    return SL_OK;
}

struct sl_rc net_write(struct net_conn *c, struct slice s, int64_t deadline_mono_ms) {
    while (s.len > 0) {
        short want;
        size_t n;
        TRY(net_try_write(c, s, &n, &want));
        s = slice_sub(s, n, s.len);
        if (want != 0) {
            struct sl_rc rc = net_wait(c, want, deadline_mono_ms);
            if (sl_failed(rc)) {
                return fail(c->w, rc.code); /* cut within a record or message: of no more use */
            }
        }
    }
    return SL_OK;
}

size_t net_buffered(const struct net_conn *c) {
    check(c);
    struct net_wire *w = c->w;
    size_t n = w->len - w->pos + (w->ssl != NULL ? (size_t)SSL_pending(w->ssl) : 0);
    if (n == 0 && w->ssl != NULL && !w->eof && w->failure == SL_CODE_OK &&
        SSL_has_pending(w->ssl) && SSL_is_init_finished(w->ssl)) {
        /* TLS may hold whole records that it has read ahead but not opened, which no poll would
         * tell of: open one to see. */
        short want;
        sl_ignore(fill(w, &n, &want));
        n = w->len - w->pos;
    }
    return n == 0 && (w->eof || w->failure != SL_CODE_OK) ? 1 : n;
}

void net_unread(struct net_conn *c, struct slice s) {
    check(c);
    struct net_wire *w = c->w;
    if (s.len == 0) {
        return;
    }
    if (w->pos >= s.len) {
        w->pos -= s.len;
    } else {
        size_t held = w->len - w->pos;
        bool room = ahead_room(w, s.len);
        sl_assert(room); /* at most what was read may come back */
        memmove(w->ptr + s.len, w->ptr, held);
        added(w, s.len);
    }
    memmove(w->ptr + w->pos, s.ptr, s.len);
}

struct slice net_peek(const struct net_conn *c) {
    check(c);
    return c->w->len == 0 ? SLICE_EMPTY : slice_of(c->w->ptr + c->w->pos, c->w->len - c->w->pos);
}

void net_consume(struct net_conn *c, size_t n) {
    check(c);
    sl_assert(n <= c->w->len - c->w->pos);
    c->w->pos += n;
}

void conn_trim(struct net_conn *c) {
    if (c->w->pos == c->w->len) {
        give_back(c->w);
    }
}

const struct net_peer *net_peer(const struct net_conn *c) {
    check(c);
    return &c->peer;
}

int net_fd(const struct net_conn *c) {
    check(c);
    return c->w->fd;
}

void net_set_state(struct net_conn *c, void *take_state, void (*free_fn)(void *)) {
    check(c);
    if (c->state_free != NULL) {
        c->state_free(c->state);
    }
    c->state = take_state;
    c->state_free = free_fn;
}

void *net_state(const struct net_conn *c) {
    check(c);
    return c->state;
}

void net_await_more(struct net_conn *c, int64_t deadline_mono_ms) {
    check(c);
    c->await_more = true;
    c->await_until = deadline_mono_ms;
}

bool net_expired(const struct net_conn *c) {
    return c->expired;
}

bool net_stopping(const struct net_conn *c) {
    return c->server != NULL && net_server_stopping(c->server);
}

void net_linger(struct net_conn *c) {
    check(c);
    c->linger = true;
}
