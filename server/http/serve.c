/* From a readable connection to a handled request. A head that has not come whole leaves the
 * connection parked, so slow clients hold no worker; from the first byte on it has a deadline. */
#include "server/http/http_in.h"

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/crypto/crypto.h"

#include <stdio.h>

/* Between the events of a request that comes in pieces. */
struct pending {
    size_t scanned;
    int64_t deadline; /* 0 = no byte yet */
    bool skipped;     /* an empty line before the request, which some clients send */
    bool whole_head;  /* the deadline is the body's */
    /* Of an answer that the client did not take at once; and whether it is the last. */
    struct buf unsent;
    bool last;
};

static void pending_free(void *state) {
    struct pending *p = state;
    buf_fini(&p->unsent);
    free(p);
}

/* NULL: no memory. */
static struct pending *pending_of(struct net_conn *c) {
    struct pending *p = net_state(c);
    if (p == NULL && (p = calloc(1, sizeof *p)) != NULL) {
        p->unsent = (struct buf){.max = SIZE_MAX, .wipe = true};
        net_set_state(c, p, pending_free);
    }
    return p;
}

/* The next request begins from nothing. */
static void pending_reset(struct pending *p) {
    *p = (struct pending){.unsent = p->unsent};
}

struct slice http_header(const struct http *h, const char *name) {
    for (size_t i = 0; i < h->header_count; i++) {
        if (slice_eq_cstr(h->headers[i].name, name)) {
            return h->headers[i].value;
        }
    }
    return SLICE_EMPTY;
}

static void fill(struct http *h, const struct head *d) {
    struct http_state *st = h->state;
    h->method = d->method;
    h->path = d->path;
    h->query = d->query;
    h->headers = d->headers;
    h->header_count = d->header_count;
    h->has_length = d->has_length;
    h->length = d->length;
    h->chunked = d->chunked;
    h->head_raw = d->raw;
    st->client_close = d->close;
    st->is_head = slice_eq_cstr(d->method, "HEAD");
    st->expect = d->expect;
    st->body = d->chunked ? BODY_CHUNKED : d->length > 0 ? BODY_LENGTH : BODY_DONE;
    st->body_left = d->length;
}

/* Ends the response if the handler did not, and decides about the connection. */
static enum net_verdict finish(struct http *h, struct net_conn *c) {
    struct http_state *st = h->state;
    if (st->phase == OUT_NONE) {
        sl_log(SL_ERROR, "no_answer", "path=%s id=%s", SL_Q(h->path), h->request_id);
        http_refuse(h, 500);
    }
    if (sl_log_wants(SL_DEBUG)) {
        sl_log(SL_DEBUG, "request", "method=%s path=%s status=%d bytes=%llu ms=%lld id=%s",
               SL_Q(h->method), SL_Q(h->path), st->status, (unsigned long long)st->out_bytes,
               (long long)(clock_mono_ms() - st->started_ms), h->request_id);
    }
    if (st->phase != OUT_DONE || (!st->is_head && st->out_left > 0)) {
        return NET_CLOSE; /* cut, or ended short of the announced length */
    }
    if (st->keep && http_body_drain(h, true)) {
        return NET_KEEP;
    }
    net_linger(c);
    return NET_CLOSE;
}

/* One request whose head is `in`, or the refusal `status` of what can't be read as one. */
static enum net_verdict one(struct net_conn *c, const struct http_service *svc, struct slice in,
                            int status) {
    struct arena arena = ARENA_INIT(LIMIT_REQUEST_ARENA_BYTES);
    arena.wipe = true; /* bodies and headers may hold secrets */
    struct http_state st = {
        .magic = HTTP_STATE_MAGIC,
        .conn = c,
        .stall_ms = svc->stall_ms > 0 ? svc->stall_ms : LIMIT_HTTP_STALL_MS,
        .started_ms = clock_mono_ms(),
        .status = 200,
    };
    struct http h = {.arena = &arena, .peer = net_peer(c), .state = &st};
    struct head d;
    crypto_uuid(h.request_id);
    if (status == HEAD_OK) {
        status = head_parse(in, &arena, &d);
        net_consume(c, in.len);
    }
    if (status == HEAD_OK) {
        fill(&h, &d);
        svc->handle(&h, svc->user);
    } else {
        http_refuse(&h, status);
    }
    enum net_verdict v = finish(&h, c);
    free(st.out);
    arena_fini(&arena);
    return v;
}

/* Sends what is left of an answer; false when the connection is of no more use. */
static bool send_rest(struct net_conn *c, const struct http_service *svc, struct pending *p) {
    struct http_state st = {.magic = HTTP_STATE_MAGIC,
                            .conn = c,
                            .stall_ms = svc->stall_ms > 0 ? svc->stall_ms : LIMIT_HTTP_STALL_MS};
    struct http h = {.state = &st};
    bool sent = sl_is_ok(http_send(&h, buf_slice(&p->unsent)));
    buf_fini(&p->unsent);
    if (sent && p->last) {
        net_linger(c);
    }
    return sent && !p->last;
}

/* Where a client may do so, skips the empty line before a request; true when something was. */
static bool skip_line(struct net_conn *c, struct pending *p, struct slice in) {
    if (p->skipped || in.len < 2 || in.ptr[0] != '\r' || in.ptr[1] != '\n') {
        return false;
    }
    net_consume(c, 2);
    p->scanned = 0;
    p->skipped = true;
    return true;
}

enum net_verdict http_serve(struct net_conn *c, void *service) {
    const struct http_service *svc = service;
    struct pending *p = pending_of(c);
    if (p == NULL || (p->unsent.len > 0 && !send_rest(c, svc, p))) {
        return NET_CLOSE;
    }
    for (;;) {
        struct slice in = net_peek(c);
        if (skip_line(c, p, in)) {
            continue;
        }
        size_t len = 0;
        int status = head_scan(in, &p->scanned, &len);
        if (status == HEAD_OK && p->whole_head && net_expired(c)) {
            status = 408; /* the body did not come */
        }
        if (status != HEAD_MORE) {
            pending_reset(p);
            return one(c, svc, slice_sub(in, 0, len), status);
        }
        if (net_expired(c)) {
            return one(c, svc, SLICE_EMPTY, 408);
        }
        size_t n;
        short want;
        if (sl_failed(net_fill(c, &n, &want)) || (n == 0 && want == 0)) {
            return NET_CLOSE; /* gone, with or without half a head */
        }
        if (want == 0) {
            continue;
        }
        if (in.len == 0) {
            return net_stopping(c) ? NET_CLOSE : NET_KEEP;
        }
        if (p->deadline == 0) {
            p->deadline = clock_mono_ms() + (svc->head_ms > 0 ? svc->head_ms : LIMIT_HTTP_HEAD_MS);
        }
        net_await_more(c, p->deadline);
        return NET_KEEP;
    }
}

/* ---- requests that are taken ---- */

static const char quick_line[] = "POST / HTTP/1.1\r\n";

/* Could it become a request that may be taken? */
static bool begins_quick(struct slice in) {
    size_t n = in.len < sizeof quick_line - 1 ? in.len : sizeof quick_line - 1;
    return n == 0 || memcmp(in.ptr, quick_line, n) == 0;
}

enum offer { OFFER_MORE, OFFER_TAKEN, OFFER_REFUSED };

/* Offers the request whose head is the first head_len bytes of `in`. */
static enum offer offer(struct net_conn *c, const struct http_service *svc, struct slice in,
                        size_t head_len) {
    SL_CLEANUP(arena_fini) struct arena arena = ARENA_INIT(LIMIT_REQUEST_ARENA_BYTES);
    arena.wipe = true;
    struct head d;
    if (head_parse(slice_sub(in, 0, head_len), &arena, &d) != HEAD_OK || d.chunked || d.expect ||
        d.length > LIMIT_HTTP_QUICK_BYTES) {
        return OFFER_REFUSED;
    }
    size_t whole = head_len + (size_t)d.length;
    if (whole > NET_AHEAD_BYTES) {
        return OFFER_REFUSED;
    }
    if (in.len < whole) {
        return OFFER_MORE;
    }
    struct http h = {.arena = &arena,
                     .method = d.method,
                     .path = d.path,
                     .query = d.query,
                     .headers = d.headers,
                     .header_count = d.header_count,
                     .has_length = d.has_length,
                     .length = d.length,
                     .peer = net_peer(c),
                     .head_raw = d.raw};
    if (!svc->take(c, &h, slice_sub(in, head_len, whole), d.close, svc->user)) {
        return OFFER_REFUSED;
    }
    net_consume(c, whole);
    return OFFER_TAKEN;
}

enum net_quick http_quick(struct net_conn *c, void *service) {
    const struct http_service *svc = service;
    struct pending *p = pending_of(c);
    if (p == NULL) {
        return NET_QUICK_CLOSE;
    }
    for (;;) {
        struct slice in = net_peek(c);
        size_t len = 0;
        if (skip_line(c, p, in)) {
            continue;
        }
        if (!begins_quick(in)) {
            return NET_QUICK_SERVE;
        }
        int status = head_scan(in, &p->scanned, &len);
        enum offer offered = status == HEAD_MORE ? OFFER_MORE
                             : status == HEAD_OK ? offer(c, svc, in, len)
                                                 : OFFER_REFUSED;
        if (offered == OFFER_TAKEN) {
            pending_reset(p);
            return NET_QUICK_TAKEN;
        }
        if (offered == OFFER_REFUSED) {
            return NET_QUICK_SERVE;
        }
        size_t n;
        short want;
        if (sl_failed(net_fill(c, &n, &want)) || (n == 0 && want == 0)) {
            /* Gone, with or without half a head; a body that is cut short is refused. */
            return status == HEAD_OK ? NET_QUICK_SERVE : NET_QUICK_CLOSE;
        }
        if (want == 0) {
            continue;
        }
        if (in.len == 0) {
            return net_stopping(c) ? NET_QUICK_CLOSE : NET_QUICK_KEEP;
        }
        if (p->deadline == 0 || (status == HEAD_OK && !p->whole_head)) {
            int head_ms = svc->head_ms > 0 ? svc->head_ms : LIMIT_HTTP_HEAD_MS;
            int body_ms = svc->stall_ms > 0 ? svc->stall_ms : LIMIT_HTTP_STALL_MS;
            p->whole_head = status == HEAD_OK;
            p->deadline = clock_mono_ms() + (p->whole_head ? body_ms : head_ms);
        }
        net_await_more(c, p->deadline);
        return NET_QUICK_KEEP;
    }
}

/* A refusal's answer, into `out`. */
static struct slice refusal(struct arena *a, int status, struct buf *out) {
    struct http *h = http_call_new(a, out);
    if (h != NULL) {
        http_refuse(h, status);
    }
    return buf_slice(out);
}

void http_answer(struct net_conn *c, struct slice answer, bool close, int status) {
    SL_CLEANUP(arena_fini) struct arena arena = ARENA_INIT(LIMIT_REQUEST_ARENA_BYTES);
    SL_CLEANUP(buf_fini) struct buf refused = BUF_INIT(LIMIT_HTTP_HEAD_BYTES);
    struct pending *p = net_state(c);
    if (answer.len == 0) {
        answer = refusal(&arena, status, &refused);
        close = true;
    }
    size_t n = 0;
    short want = 0;
    bool whole = false, failed = answer.len == 0;
    while (!failed && !whole && want == 0) {
        failed = sl_failed(net_try_write(c, answer, &n, &want));
        answer = slice_sub(answer, n, answer.len);
        whole = answer.len == 0;
    }
    if (!failed && !whole) { /* the client is slow: a worker waits for it */
        buf_put(&p->unsent, answer);
        p->last = close;
        failed = p->unsent.failed;
    }
    if (!failed && whole && close) {
        net_linger(c);
    }
    net_answered(c, failed || (whole && close) ? NET_QUICK_CLOSE
                    : whole                    ? NET_QUICK_KEEP
                                               : NET_QUICK_SERVE);
}
