/* From a readable connection to a handled request. A head that has not come whole leaves the
 * connection parked, so slow clients hold no worker; from the first byte on it has a deadline. */
#include "server/http/http_in.h"

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"

#include <stdio.h>
#include <sys/random.h>

/* Between the events of a head that comes in pieces. */
struct pending {
    size_t scanned;
    int64_t deadline; /* 0 = no byte yet */
    bool skipped;     /* an empty line before the request, which some clients send */
};

struct slice http_header(const struct http *h, const char *name) {
    for (size_t i = 0; i < h->header_count; i++) {
        if (slice_eq_cstr(h->headers[i].name, name)) {
            return h->headers[i].value;
        }
    }
    return SLICE_EMPTY;
}

static void make_id(char out[37]) {
    uint8_t r[16] = {0};
    ssize_t n = getrandom(r, sizeof r, 0);
    sl_assert(n == (ssize_t)sizeof r); /* never short up to 256 bytes */
    r[6] = (uint8_t)((r[6] & 0x0f) | 0x40);
    r[8] = (uint8_t)((r[8] & 0x3f) | 0x80);
    static const char hex[] = "0123456789abcdef";
    size_t k = 0;
    for (size_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            out[k++] = '-';
        }
        out[k++] = hex[r[i] >> 4];
        out[k++] = hex[r[i] & 15];
    }
    out[k] = '\0';
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
    make_id(h.request_id);
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

enum net_verdict http_serve(struct net_conn *c, void *service) {
    const struct http_service *svc = service;
    struct pending *p = net_state(c);
    if (p == NULL) {
        p = calloc(1, sizeof *p);
        if (p == NULL) {
            return NET_CLOSE;
        }
        net_set_state(c, p, free);
    }
    for (;;) {
        struct slice in = net_peek(c);
        if (!p->skipped && in.len >= 2 && in.ptr[0] == '\r' && in.ptr[1] == '\n') {
            net_consume(c, 2);
            *p = (struct pending){.deadline = p->deadline, .skipped = true};
            continue;
        }
        size_t len = 0;
        int status = head_scan(in, &p->scanned, &len);
        if (status != HEAD_MORE) {
            *p = (struct pending){0};
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
