/* Growable buffer; see buf.h. */
#include "lib/base/buf.h"

#include <stdarg.h>
#include <stdio.h>

void buf_fini(struct buf *b) {
    if (b == NULL) {
        return;
    }
    if (b->wipe && b->ptr != NULL) {
        explicit_bzero(b->ptr, b->cap);
    }
    free(b->ptr);
    *b = (struct buf){.max = b->max, .wipe = b->wipe};
}

void buf_reset(struct buf *b) {
    b->len = 0;
    b->failed = false;
}

static bool grow(struct buf *b, size_t need) {
    size_t cap = b->cap ? b->cap : 256;
    while (cap < need) {
        cap *= 2;
    }
    if (cap > b->max) {
        cap = b->max;
    }
    uint8_t *p = malloc(cap);
    if (p == NULL) {
        return false;
    }
    if (b->len > 0) {
        memcpy(p, b->ptr, b->len);
    }
    if (b->wipe && b->ptr != NULL) {
        explicit_bzero(b->ptr, b->cap);
    }
    free(b->ptr);
    b->ptr = p;
    b->cap = cap;
    return true;
}

uint8_t *buf_reserve(struct buf *b, size_t n) {
    size_t need;
    if (n == 0 && b->ptr == NULL) {
        n = 1; /* a valid pointer even for nothing */
    }
    if (b->failed || __builtin_add_overflow(b->len, n, &need) || need > b->max ||
        (need > b->cap && !grow(b, need))) {
        b->failed = true;
        return NULL;
    }
    return b->ptr + b->len;
}

void buf_put(struct buf *b, struct slice s) {
    if (s.len == 0) {
        return;
    }
    uint8_t *p = buf_reserve(b, s.len);
    if (p != NULL) {
        memcpy(p, s.ptr, s.len);
        b->len += s.len;
    }
}

void buf_puts(struct buf *b, const char *s) {
    buf_put(b, slice_cstr(s));
}

void buf_decimal(struct buf *b, uint64_t v) {
    uint8_t digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (uint8_t)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    buf_put(b, slice_of(digits + at, sizeof digits - at));
}

void buf_printf(struct buf *b, const char *fmt, ...) {
    size_t room = b->failed ? 0 : b->cap - b->len;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(room > 0 ? (char *)b->ptr + b->len : NULL, room, fmt, ap);
    va_end(ap);
    uint8_t *p = n < 0 ? NULL : buf_reserve(b, (size_t)n + 1);
    if (p == NULL) {
        b->failed = true;
        return;
    }
    if ((size_t)n >= room) {
        va_start(ap, fmt);
        vsnprintf((char *)p, (size_t)n + 1, fmt, ap);
        va_end(ap);
    }
    b->len += (size_t)n;
}

void buf_u8(struct buf *b, uint8_t v) {
    buf_putc(b, v);
}

void buf_u16(struct buf *b, uint16_t v) {
    uint8_t x[2] = {(uint8_t)(v >> 8), (uint8_t)v};
    buf_put(b, slice_of(x, sizeof x));
}

void buf_u32(struct buf *b, uint32_t v) {
    uint8_t x[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
    buf_put(b, slice_of(x, sizeof x));
}

void buf_u64(struct buf *b, uint64_t v) {
    buf_u32(b, (uint32_t)(v >> 32));
    buf_u32(b, (uint32_t)v);
}

void buf_vec16(struct buf *b, struct slice s) {
    if (s.len > UINT16_MAX) {
        b->failed = true;
        return;
    }
    buf_u16(b, (uint16_t)s.len);
    buf_put(b, s);
}

void buf_vec32(struct buf *b, struct slice s) {
    if (s.len > UINT32_MAX) {
        b->failed = true;
        return;
    }
    buf_u32(b, (uint32_t)s.len);
    buf_put(b, s);
}

struct sl_rc buf_check(const struct buf *b, struct sl_error *err) {
    ENSURE(!b->failed, err, SL_E_LIMIT, "output larger than its limit of %zu bytes", b->max);
    return SL_OK;
}
