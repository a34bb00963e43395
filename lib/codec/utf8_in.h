/* Inside lib/codec: one UTF-8 sequence at a time, and eight ASCII bytes at a time. */
#ifndef SL_CODEC_UTF8_IN_H
#define SL_CODEC_UTF8_IN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Writes a code point, a surrogate too, and returns what follows it; up to four bytes. */
static inline uint8_t *utf8_put(uint8_t *w, uint32_t c) {
    if (c < 0x80) {
        *w++ = (uint8_t)c;
    } else if (c < 0x800) {
        *w++ = (uint8_t)(0xc0 | c >> 6);
        *w++ = (uint8_t)(0x80 | (c & 63));
    } else if (c < 0x10000) {
        *w++ = (uint8_t)(0xe0 | c >> 12);
        *w++ = (uint8_t)(0x80 | (c >> 6 & 63));
        *w++ = (uint8_t)(0x80 | (c & 63));
    } else {
        *w++ = (uint8_t)(0xf0 | c >> 18);
        *w++ = (uint8_t)(0x80 | (c >> 12 & 63));
        *w++ = (uint8_t)(0x80 | (c >> 6 & 63));
        *w++ = (uint8_t)(0x80 | (c & 63));
    }
    return w;
}

/* Length of the well-formed sequence at p (Unicode table 3-7: no overlong forms, no surrogates, at
 * most U+10FFFF), or 0. n >= 1. */
static inline size_t utf8_step(const uint8_t *p, size_t n) {
    uint8_t c = p[0];
    if (c < 0x80) {
        return 1;
    }
    size_t want = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (c < 0xc2 || c > 0xf4 || n < want) {
        return 0;
    }
    uint8_t low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    uint8_t high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < low || p[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < want; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return want;
}

#define UTF8_EACH(byte) (0x0101010101010101ULL * (uint64_t)(byte))

static inline uint64_t utf8_word(const uint8_t *p) {
    uint64_t w;
    memcpy(&w, p, sizeof w);
    return w;
}

/* Nonzero when one of the eight bytes is zero, for words of ASCII only. */
static inline uint64_t utf8_has_zero(uint64_t w) {
    return (w - UTF8_EACH(0x01)) & ~w & UTF8_EACH(0x80);
}

/* True when all eight bytes are printable ASCII without '"' and '\\' (so plain in JSON). */
static inline int utf8_plain8(const uint8_t *p) {
    uint64_t w = utf8_word(p);
    uint64_t odd = (w & UTF8_EACH(0x80)) | utf8_has_zero(w ^ UTF8_EACH('"')) |
                   utf8_has_zero(w ^ UTF8_EACH('\\')) |
                   ((w - UTF8_EACH(0x20)) & ~w & UTF8_EACH(0x80));
    return odd == 0;
}

#endif
