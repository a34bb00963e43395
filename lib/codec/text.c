/* Small text encodings; see text.h. */
#include "lib/codec/text.h"

#include "lib/base/limits.h"
#include "lib/codec/utf8_in.h"

static const char base64_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_put(struct buf *out, struct slice bytes) {
    if (bytes.len > SIZE_MAX / 2) {
        out->failed = true;
        return;
    }
    size_t len = (bytes.len + 2) / 3 * 4;
    uint8_t *w = buf_reserve(out, len);
    if (w == NULL) {
        return;
    }
    const uint8_t *p = bytes.ptr;
    size_t left = bytes.len;
    for (; left >= 3; left -= 3, p += 3, w += 4) {
        uint32_t v = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
        w[0] = (uint8_t)base64_alphabet[v >> 18];
        w[1] = (uint8_t)base64_alphabet[v >> 12 & 63];
        w[2] = (uint8_t)base64_alphabet[v >> 6 & 63];
        w[3] = (uint8_t)base64_alphabet[v & 63];
    }
    if (left > 0) {
        uint32_t v = (uint32_t)p[0] << 16 | (left == 2 ? (uint32_t)p[1] << 8 : 0);
        w[0] = (uint8_t)base64_alphabet[v >> 18];
        w[1] = (uint8_t)base64_alphabet[v >> 12 & 63];
        w[2] = left == 2 ? (uint8_t)base64_alphabet[v >> 6 & 63] : '=';
        w[3] = '=';
    }
    out->len += len;
}

/* 0..63, or -1. Branches, not a table: base64 carries keys, and a table would be indexed by them.
 */
static int base64_digit(uint8_t c) {
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

struct sl_rc base64_get(struct slice text, struct buf *out, struct sl_error *err) {
    ENSURE(text.len % 4 == 0, err, SL_E_PARSE, "base64: length is not a multiple of four");
    if (text.len == 0) {
        return SL_OK;
    }
    size_t pad = text.ptr[text.len - 1] != '=' ? 0 : text.ptr[text.len - 2] != '=' ? 1 : 2;
    size_t len = text.len / 4 * 3 - pad;
    uint8_t *w = buf_reserve(out, len);
    ENSURE(w != NULL, err, SL_E_LIMIT, "base64: more than %zu bytes", out->max);
    uint32_t v = 0;
    size_t at = 0;
    for (size_t i = 0; i < text.len; i++) {
        bool is_pad = i >= text.len - pad;
        int d = is_pad ? 0 : base64_digit(text.ptr[i]);
        ENSURE(d >= 0, err, SL_E_PARSE, "base64: bad character at offset %zu", i);
        v = v << 6 | (uint32_t)d;
        if (i % 4 == 3) {
            for (int shift = 16; shift >= 0; shift -= 8) {
                uint8_t byte = (uint8_t)(v >> shift);
                if (at < len) {
                    w[at++] = byte;
                } else {
                    ENSURE(byte == 0, err, SL_E_PARSE, "base64: stray bits at the end");
                }
            }
            v = 0;
        }
    }
    out->len += len;
    return SL_OK;
}

void hex_put(struct buf *out, struct slice bytes) {
    static const char digits[] = "0123456789abcdef";
    size_t len;
    if (__builtin_mul_overflow(bytes.len, (size_t)2, &len)) {
        out->failed = true;
        return;
    }
    uint8_t *w = buf_reserve(out, len);
    if (w == NULL) {
        return;
    }
    for (size_t i = 0; i < bytes.len; i++) {
        w[2 * i] = (uint8_t)digits[bytes.ptr[i] >> 4];
        w[2 * i + 1] = (uint8_t)digits[bytes.ptr[i] & 15];
    }
    out->len += len;
}

static int hex_digit(uint8_t c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

struct sl_rc hex_get(struct slice text, struct buf *out, struct sl_error *err) {
    ENSURE(text.len % 2 == 0, err, SL_E_PARSE, "hex: odd length");
    if (text.len == 0) {
        return SL_OK;
    }
    uint8_t *w = buf_reserve(out, text.len / 2);
    ENSURE(w != NULL, err, SL_E_LIMIT, "hex: more than %zu bytes", out->max);
    for (size_t i = 0; i < text.len; i += 2) {
        int high = hex_digit(text.ptr[i]), low = hex_digit(text.ptr[i + 1]);
        ENSURE(high >= 0 && low >= 0, err, SL_E_PARSE, "hex: bad character at offset %zu", i);
        w[i / 2] = (uint8_t)(high << 4 | low);
    }
    out->len += text.len / 2;
    return SL_OK;
}

static bool unreserved(uint8_t c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '~';
}

void uri_encode(struct buf *out, struct slice raw, bool keep_slash) {
    static const char digits[] = "0123456789ABCDEF";
    for (size_t from = 0; from < raw.len;) {
        size_t to = from;
        while (to < raw.len && (unreserved(raw.ptr[to]) || (keep_slash && raw.ptr[to] == '/'))) {
            to++;
        }
        buf_put(out, slice_sub(raw, from, to));
        if (to < raw.len) {
            uint8_t c = raw.ptr[to++];
            uint8_t esc[3] = {'%', (uint8_t)digits[c >> 4], (uint8_t)digits[c & 15]};
            buf_put(out, slice_of(esc, sizeof esc));
        }
        from = to;
    }
}

struct sl_rc uri_decode(struct slice text, bool plus_is_space, struct arena *a,
                        struct sl_error *err, struct slice *ret) {
    uint8_t *w = text.len < SIZE_MAX ? arena_alloc(a, text.len + 1) : NULL;
    ENSURE(w != NULL, err, SL_E_LIMIT, "encoded text of %zu bytes is too large", text.len);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (c == '%') {
            int high = text.len - i > 2 ? hex_digit(text.ptr[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(text.ptr[i + 2]) : -1;
            ENSURE(low >= 0, err, SL_E_PARSE, "bad percent-encoding at offset %zu", i);
            c = (uint8_t)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        w[len++] = c;
    }
    *ret = slice_of(w, len);
    return SL_OK;
}

struct sl_rc params_parse(struct slice text, bool plus_is_space, struct arena *a,
                          struct sl_error *err, struct params *ret) {
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++) {
        count += text.ptr[i] != '&' && (i == 0 || text.ptr[i - 1] == '&');
    }
    ENSURE(count <= LIMIT_QUERY_PARAMS, err, SL_E_LIMIT, "more than %d parameters",
           LIMIT_QUERY_PARAMS);
    struct param *items = arena_array(a, count, sizeof *items);
    ENSURE(items != NULL, err, SL_E_LIMIT, "too many parameters");
    for (size_t n = 0; n < count;) {
        size_t end = slice_find(text, '&');
        struct slice one = slice_sub(text, 0, end);
        text = slice_sub(text, end + 1, text.len);
        if (one.len == 0) {
            continue;
        }
        size_t eq = slice_find(one, '=');
        struct param *p = &items[n++];
        p->has_value = eq < one.len;
        TRY(uri_decode(slice_sub(one, 0, eq), plus_is_space, a, err, &p->name));
        TRY(uri_decode(slice_sub(one, eq + 1, one.len), plus_is_space, a, err, &p->value));
    }
    *ret = (struct params){items, count};
    return SL_OK;
}

const struct param *params_get(const struct params *p, const char *name) {
    for (size_t i = 0; p != NULL && i < p->count; i++) {
        if (slice_eq_cstr(p->items[i].name, name)) {
            return &p->items[i];
        }
    }
    return NULL;
}

bool utf8_valid(struct slice s) {
    if (s.len == 0) {
        return true;
    }
    const uint8_t *p = s.ptr, *end = p + s.len;
    while (p < end) {
        if (end - p >= 8 && (utf8_word(p) & UTF8_EACH(0x80)) == 0) {
            p += 8;
            continue;
        }
        size_t n = utf8_step(p, (size_t)(end - p));
        if (n == 0) {
            return false;
        }
        p += n;
    }
    return true;
}
