/* Responses: the head and the first bytes of the body leave in one write; the announced length is
 * kept exactly, or the connection is cut. */
#include "server/http/http_in.h"

#include "lib/base/clock.h"
#include "lib/base/limits.h"

#include <llhttp.h>

#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

enum { RESPONSE_HEAD_MAX = 256 * 1024, REPLY_TOGETHER_MAX = 16 * 1024, HEAD_USUAL = 256 };

/* llhttp's names are "NOT_FOUND"; out is "Not Found". */
static void reason(int status, char out[64]) {
    const char *name = "STATUS";
    switch (status) {
#define REASON(num, ident, text)                                                                   \
    case num:                                                                                      \
        name = #ident;                                                                             \
        break;
        HTTP_STATUS_MAP(REASON)
#undef REASON
    default:
        break;
    }
    size_t i = 0;
    bool first = true;
    for (; name[i] != '\0' && i < 63; i++) {
        bool upper = name[i] >= 'A' && name[i] <= 'Z';
        out[i] = name[i] == '_' ? ' ' : upper && !first && status != 200 ? name[i] | 0x20 : name[i];
        first = name[i] == '_';
    }
    out[i] = '\0';
}

void http_status(struct http *h, int status) {
    sl_assert(status >= 200 && status <= 599);
    http_state_of(h)->status = status;
}

void http_set(struct http *h, const char *name, struct slice value) {
    struct http_state *st = http_state_of(h);
    uint8_t *copy = arena_alloc(h->arena, value.len > 0 ? value.len : 1);
    struct http_field **at = &st->fields;
    while (*at != NULL && strcasecmp((*at)->name, name) != 0) {
        at = &(*at)->next;
    }
    if (copy == NULL) {
        st->status = 500; /* a header that must not be missing silently */
        return;
    }
    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = value.ptr[i];
        copy[i] = (c < 0x20 && c != '\t') || c == 0x7f ? ' ' : c;
    }
    if (*at == NULL) {
        struct http_field *f = arena_alloc(h->arena, sizeof *f);
        char *own = arena_cstr(h->arena, slice_cstr(name));
        if (f == NULL || own == NULL) {
            st->status = 500;
            return;
        }
        f->name = own;
        *at = f;
    }
    (*at)->value = slice_of(copy, value.len);
}

void http_set_cstr(struct http *h, const char *name, const char *value) {
    http_set(h, name, slice_cstr(value));
}

void http_set_printf(struct http *h, const char *name, const char *fmt, ...) {
    char small[512];
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(small, sizeof small, fmt, ap);
    va_end(ap);
    if (n >= (int)sizeof small) {
        char *big = arena_alloc(h->arena, (size_t)n + 1);
        if (big != NULL) {
            (void)vsnprintf(big, (size_t)n + 1, fmt, again);
        }
        http_set(h, name, slice_of(big, big != NULL ? (size_t)n : 0));
        if (big == NULL) {
            http_state_of(h)->status = 500;
        }
    } else {
        http_set(h, name, slice_of(small, n > 0 ? (size_t)n : 0));
    }
    va_end(again);
}

struct sl_rc http_send(struct http *h, struct slice s) {
    struct http_state *st = http_state_of(h);
    if (st->conn == NULL) {
        buf_put(st->sink, s);
        return buf_check(st->sink, &h->err);
    }
    while (s.len > 0) {
        short want;
        size_t n;
        struct sl_rc rc = net_try_write(st->conn, s, &n, &want);
        s = slice_sub(s, n, s.len);
        st->out_bytes += n;
        if (sl_is_ok(rc) && want != 0) {
            int64_t from = clock_mono_ms();
            rc = net_wait(st->conn, want, from + st->stall_ms);
            st->out_wait_ms += clock_mono_ms() - from;
            if (sl_is_ok(rc) && !http_rate_ok(st, st->out_wait_ms, st->out_bytes)) {
                rc = sl_rc_of(SL_E_TIMEOUT);
            }
        }
        if (sl_failed(rc)) {
            st->phase = OUT_CUT;
            return sl_fail(&h->err, rc.code, "The response could not be sent.");
        }
    }
    return SL_OK;
}

static struct sl_rc flush(struct http *h) {
    struct http_state *st = h->state;
    struct slice s = slice_of(st->out, st->out_len);
    st->out_len = 0;
    return http_send(h, s);
}

/* Gathers small pieces; big ones go out as they are. */
static struct sl_rc put(struct http *h, struct slice s) {
    struct http_state *st = h->state;
    if (st->out == NULL) {
        st->out = malloc(HTTP_OUT_BYTES);
        if (st->out == NULL) {
            st->phase = OUT_CUT;
            return sl_fail(&h->err, SL_E_NOMEM, "Out of memory.");
        }
    }
    while (s.len > 0) {
        if (st->out_len == 0 && s.len >= HTTP_OUT_BYTES) {
            return http_send(h, s);
        }
        size_t n = HTTP_OUT_BYTES - st->out_len;
        n = n < s.len ? n : s.len;
        memcpy(st->out + st->out_len, s.ptr, n);
        st->out_len += n;
        s = slice_sub(s, n, s.len);
        if (st->out_len == HTTP_OUT_BYTES) {
            TRY(flush(h));
        }
    }
    return SL_OK;
}

/* Whether another request may follow. A short rest of the body will be drained after the answer;
 * for a chunked one that can't be known, so it has to be at hand already. */
static bool may_keep(struct http *h, bool complete) {
    struct http_state *st = h->state;
    if (st->client_close || (st->conn != NULL && net_stopping(st->conn))) {
        return false;
    }
    switch (st->body) {
    case BODY_DONE:
        return true;
    case BODY_LENGTH:
        return !st->expect && st->body_left <= LIMIT_HTTP_DRAIN_BYTES;
    case BODY_CHUNKED:
        return !st->expect && complete && http_body_drain(h, false);
    case BODY_FAILED:
        break;
    }
    return false;
}

/* Made once a second. */
static const char *date_now(void) {
    static _Thread_local char date[30];
    static _Thread_local int64_t of = -1;
    int64_t now = clock_real_ms() / 1000;
    if (now != of) {
        clock_http(now, date);
        of = now;
    }
    return date;
}

static bool ours(const char *name) {
    return strcasecmp(name, "content-length") == 0 || strcasecmp(name, "connection") == 0 ||
           strcasecmp(name, "transfer-encoding") == 0 || strcasecmp(name, "date") == 0;
}

/* Puts the head into `b`. `length` NULL: no Content-Length. */
static struct sl_rc make_head(struct http *h, const uint64_t *length, bool complete,
                              struct buf *b) {
    struct http_state *st = http_state_of(h);
    sl_assert(st->phase == OUT_NONE || st->phase == OUT_CUT);
    if (st->phase == OUT_CUT) {
        return sl_fail(&h->err, SL_E_CLOSED, "The connection was cut.");
    }
    st->keep = may_keep(h, complete);
    char why[64];
    reason(st->status, why);
    buf_puts(b, "HTTP/1.1 ");
    buf_decimal(b, (uint64_t)st->status);
    buf_putc(b, ' ');
    buf_puts(b, why);
    buf_puts(b, "\r\nDate: ");
    buf_puts(b, date_now());
    buf_puts(b, "\r\n");
    bool server = false;
    for (const struct http_field *f = st->fields; f != NULL; f = f->next) {
        if (!ours(f->name)) {
            server = server || strcasecmp(f->name, "server") == 0;
            buf_puts(b, f->name);
            buf_puts(b, ": ");
            buf_put(b, f->value);
            buf_puts(b, "\r\n");
        }
    }
    if (!server) {
        buf_puts(b, "Server: Sealift\r\n");
    }
    if (length != NULL) {
        buf_puts(b, "Content-Length: ");
        buf_decimal(b, *length);
        buf_puts(b, "\r\n");
    }
    buf_puts(b, st->keep ? "\r\n" : "Connection: close\r\n\r\n");
    if (sl_failed(buf_check(b, &h->err))) {
        st->phase = OUT_CUT;
        return sl_rc_of(SL_E_LIMIT);
    }
    st->phase = OUT_BODY;
    return SL_OK;
}

static struct sl_rc begin(struct http *h, const uint64_t *length, bool complete) {
    SL_CLEANUP(buf_fini) struct buf b = BUF_INIT(RESPONSE_HEAD_MAX);
    TRY(make_head(h, length, complete, &b));
    return put(h, buf_slice(&b));
}

static bool bodiless(const struct http_state *st) {
    return st->status == 204 || st->status == 304;
}

struct sl_rc http_reply(struct http *h, struct slice body) {
    struct http_state *st = http_state_of(h);
    sl_assert(!bodiless(st) || body.len == 0);
    uint64_t length = body.len;
    SL_CLEANUP(buf_fini)
    struct buf own = {.max = RESPONSE_HEAD_MAX + REPLY_TOGETHER_MAX, .wipe = true};
    struct buf *b = st->conn != NULL ? &own : st->sink;
    bool together = body.len <= REPLY_TOGETHER_MAX || st->conn == NULL;
    (void)buf_reserve(b, HEAD_USUAL + (together ? body.len : 0)); /* grows once */
    TRY(make_head(h, bodiless(st) ? NULL : &length, true, b));
    if (!st->is_head && together) {
        buf_put(b, body);
        TRY(buf_check(b, &h->err));
    }
    if (st->conn != NULL) {
        TRY(http_send(h, buf_slice(b)));
    }
    if (!st->is_head && !together) {
        TRY(http_send(h, body));
    }
    st->phase = OUT_DONE;
    return SL_OK;
}

struct sl_rc http_reply_begin(struct http *h, uint64_t length) {
    struct http_state *st = http_state_of(h);
    sl_assert(!bodiless(st));
    TRY(begin(h, &length, false));
    st->out_left = length;
    if (st->is_head || length == 0) {
        TRY(flush(h));
        st->phase = OUT_DONE;
    }
    return SL_OK;
}

struct sl_rc http_reply_write(struct http *h, struct slice piece) {
    struct http_state *st = http_state_of(h);
    sl_assert(piece.len <= st->out_left); /* more than announced */
    if (st->phase == OUT_CUT) {
        return sl_fail(&h->err, SL_E_CLOSED, "The connection was cut.");
    }
    sl_assert(st->phase == OUT_BODY || st->phase == OUT_DONE);
    st->out_left -= piece.len;
    if (st->is_head || piece.len == 0) {
        return SL_OK;
    }
    TRY(put(h, piece));
    if (st->out_left == 0) {
        TRY(flush(h));
        st->phase = OUT_DONE;
    }
    return SL_OK;
}

struct sl_rc http_reply_head(struct http *h) {
    struct http_state *st = http_state_of(h);
    uint64_t length = 0;
    if (st->is_head) {
        for (const struct http_field *f = st->fields; f != NULL; f = f->next) {
            if (strcasecmp(f->name, "content-length") == 0) {
                sl_assert(slice_u64(f->value, INT64_MAX, &length));
            }
        }
    }
    TRY(begin(h, bodiless(st) ? NULL : &length, true));
    TRY(flush(h));
    st->phase = OUT_DONE;
    return SL_OK;
}

void http_abort(struct http *h) {
    http_state_of(h)->phase = OUT_CUT;
}

bool http_replied(const struct http *h) {
    return http_state_of(h)->phase != OUT_NONE;
}

void http_refuse(struct http *h, int status) {
    struct http_state *st = http_state_of(h);
    st->fields = NULL;
    st->status = status;
    st->client_close = true;
    sl_ignore(http_reply(h, SLICE_EMPTY));
}
