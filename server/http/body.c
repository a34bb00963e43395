/* Request bodies: known length or chunked, read on demand; 100 Continue at the first read. */
#include "server/http/http_in.h"

#include "lib/base/clock.h"
#include "lib/base/limits.h"

struct http_state *http_state_of(const struct http *h) {
    sl_assert(h->state != NULL && h->state->magic == HTTP_STATE_MAGIC);
    return h->state;
}

bool http_rate_ok(const struct http_state *st, int64_t wait_ms, uint64_t bytes) {
    return wait_ms <= st->stall_ms || bytes >= (uint64_t)wait_ms * LIMIT_HTTP_MIN_RATE / 1000;
}

static struct sl_rc body_fail(struct http *h, enum sl_code code, const char *what) {
    h->state->body = BODY_FAILED;
    return sl_fail(&h->err, code, "%s", what);
}

struct sl_rc http_body_try(struct http *h, void *out, size_t cap, size_t *ret_len,
                           short *ret_want) {
    struct http_state *st = http_state_of(h);
    size_t n = 0;
    *ret_want = 0;
    *ret_len = 0;
    switch (st->body) {
    case BODY_DONE:
        return SL_OK;
    case BODY_FAILED:
        return sl_fail(&h->err, SL_E_CLOSED, "The request's body has failed before.");
    case BODY_LENGTH:
    case BODY_CHUNKED:
        break;
    }
    if (st->body == BODY_LENGTH && cap > st->body_left) {
        cap = (size_t)st->body_left;
    }
    size_t body = 0;
    while (body == 0 && st->body != BODY_DONE) {
        if (sl_failed(net_try_read(st->conn, out, cap, &n, ret_want))) {
            return body_fail(h, SL_E_CLOSED, "The connection failed within the request's body.");
        }
        if (*ret_want != 0) {
            return SL_OK;
        }
        if (n == 0) {
            return body_fail(h, SL_E_CLOSED, "The request's body was cut short.");
        }
        if (st->body == BODY_LENGTH) {
            body = n;
            st->body_left -= n;
            st->body = st->body_left == 0 ? BODY_DONE : BODY_LENGTH;
            continue;
        }
        size_t used;
        uint8_t *p = out;
        if (!chunks_feed(&st->chunks, p, n, true, &used, &body)) {
            return body_fail(h, SL_E_PARSE, "The chunked body is malformed.");
        }
        if (st->chunks.done) {
            net_unread(st->conn, slice_of(p + used, n - used));
            st->body = BODY_DONE;
        }
    }
    st->body_bytes += body;
    *ret_len = body;
    return SL_OK;
}

struct sl_rc http_body_read(struct http *h, void *out, size_t cap, size_t *ret_len) {
    struct http_state *st = http_state_of(h);
    sl_assert(cap > 0);
    if (st->expect && st->body != BODY_FAILED) {
        if (st->phase != OUT_NONE) { /* the final answer is out, so no body will come */
            return body_fail(h, SL_E_CLOSED, "The request was answered before its body was read.");
        }
        st->expect = false;
        TRY(http_send(h, SLICE_LIT("HTTP/1.1 100 Continue\r\n\r\n")));
    }
    for (;;) {
        short want;
        size_t n;
        TRY(http_body_try(h, out, cap, &n, &want));
        if (want == 0) {
            *ret_len = n;
            return SL_OK;
        }
        int64_t from = clock_mono_ms();
        struct sl_rc rc = net_wait(st->conn, want, from + st->stall_ms);
        st->body_wait_ms += clock_mono_ms() - from;
        if (sl_failed(rc) || !http_rate_ok(st, st->body_wait_ms, st->body_bytes)) {
            return body_fail(h, SL_E_TIMEOUT, "The request's body came too slowly.");
        }
    }
}

struct sl_rc http_body_all(struct http *h, size_t max, struct slice *ret) {
    ENSURE(!h->has_length || h->length <= max, &h->err, SL_E_LIMIT,
           "The request's body is longer than %zu bytes.", max);
    if (h->state->conn == NULL) {
        *ret = h->state->whole;
        return SL_OK;
    }
    /* One byte more than allowed, so that a longer chunked body shows. */
    size_t cap = h->has_length ? (size_t)h->length + 1 : max + 1, len = 0, n;
    SL_CLEANUP(buf_fini) struct buf b = {.max = cap, .wipe = true};
    do {
        size_t room = h->has_length ? cap - len : 16384;
        uint8_t *p = buf_reserve(&b, room < cap - len ? room : cap - len);
        ENSURE(p != NULL, &h->err, SL_E_NOMEM, "Out of memory.");
        TRY(http_body_read(h, p, room < cap - len ? room : cap - len, &n));
        len = b.len += n;
        ENSURE(len <= max, &h->err, SL_E_LIMIT, "The request's body is longer than %zu bytes.",
               max);
    } while (n > 0);
    struct slice s = arena_copy(h->arena, buf_slice(&b));
    ENSURE(s.ptr != NULL, &h->err, SL_E_NOMEM, "Out of memory.");
    *ret = s;
    return SL_OK;
}

bool http_body_done(const struct http *h) {
    return http_state_of(h)->body == BODY_DONE;
}

bool http_body_drain(struct http *h, bool wait) {
    struct http_state *st = http_state_of(h);
    uint8_t waste[16384];
    uint64_t from = st->body_bytes;
    int64_t deadline = clock_mono_ms() + LIMIT_HTTP_DRAIN_MS;
    while (st->body != BODY_DONE && st->body_bytes - from <= LIMIT_HTTP_DRAIN_BYTES) {
        short want;
        size_t n;
        if (sl_failed(http_body_try(h, waste, sizeof waste, &n, &want)) ||
            (want != 0 && (!wait || sl_failed(net_wait(st->conn, want, deadline))))) {
            break;
        }
    }
    return st->body == BODY_DONE;
}
