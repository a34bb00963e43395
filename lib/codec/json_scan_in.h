/* Runs of bytes that mean nothing to JSON, sixteen at a time where that is known how (SSE2 is part
 * of x86-64), else one by one. Each returns how many of p[0, n) come before the first byte that
 * counts. */
#ifndef SL_CODEC_JSON_SCAN_IN_H
#define SL_CODEC_JSON_SCAN_IN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

enum json_scan {
    JSON_SCAN_STRING,  /* to a quote, a backslash or a control character */
    JSON_SCAN_QUOTED,  /* to a quote or a backslash */
    JSON_SCAN_OUTSIDE, /* to a quote or a bracket */
    JSON_SCAN_BLANKS   /* to what is no white space */
};

static inline bool json_scan_counts(enum json_scan what, uint8_t c) {
    switch (what) {
    case JSON_SCAN_STRING:
        return c == '"' || c == '\\' || c < 0x20;
    case JSON_SCAN_QUOTED:
        return c == '"' || c == '\\';
    case JSON_SCAN_OUTSIDE:
        return c == '"' || (c | 32) == '{' || (c | 32) == '}'; /* [ and ] are 32 below */
    default:
        return c != ' ' && c != '\n' && c != '\r' && c != '\t';
    }
}

#if defined(__x86_64__)
static inline __m128i json_scan_equal(__m128i v, char c) {
    return _mm_cmpeq_epi8(v, _mm_set1_epi8(c));
}

static inline unsigned json_scan_mask(enum json_scan what, __m128i v) {
    __m128i quote = json_scan_equal(v, '"');
    __m128i low = _mm_or_si128(v, _mm_set1_epi8(32));
    __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
    __m128i hit;
    switch (what) {
    case JSON_SCAN_STRING:
        hit = _mm_or_si128(_mm_or_si128(quote, json_scan_equal(v, '\\')), control);
        break;
    case JSON_SCAN_QUOTED:
        hit = _mm_or_si128(quote, json_scan_equal(v, '\\'));
        break;
    case JSON_SCAN_OUTSIDE:
        hit =
            _mm_or_si128(_mm_or_si128(quote, json_scan_equal(low, '{')), json_scan_equal(low, '}'));
        break;
    default:
        hit = _mm_or_si128(_mm_or_si128(json_scan_equal(v, ' '), json_scan_equal(v, '\n')),
                           _mm_or_si128(json_scan_equal(v, '\r'), json_scan_equal(v, '\t')));
        return ~(unsigned)_mm_movemask_epi8(hit) & 0xffff;
    }
    return (unsigned)_mm_movemask_epi8(hit);
}
#endif

/* `what` is a constant where this is called. */
static inline size_t json_scan(enum json_scan what, const uint8_t *p, size_t n) {
    size_t i = 0;
#if defined(__x86_64__)
    for (; i + 16 <= n; i += 16) {
        unsigned mask =
            json_scan_mask(what, _mm_loadu_si128((const __m128i *)(const void *)(p + i)));
        if (mask != 0) {
            return i + (size_t)__builtin_ctz(mask);
        }
    }
#endif
    while (i < n && !json_scan_counts(what, p[i])) {
        i++;
    }
    return i;
}

#endif
