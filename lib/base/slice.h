/* struct slice: a borrowed run of bytes, passed by value. `char *` is for OS and library edges
 * only. */
#ifndef SL_BASE_SLICE_H
#define SL_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const uint8_t *ptr;
    size_t len;
};

#define SLICE_LIT(lit) ((struct slice){(const uint8_t *)("" lit), sizeof(lit) - 1})
#define SLICE_EMPTY ((struct slice){NULL, 0})
/* For printf: "%.*s", SLICE_FMT(s). */
#define SLICE_FMT(s)                                                                               \
    (int)((s).len > 4096 ? 4096 : (s).len), (const char *)((s).ptr ? (const void *)(s).ptr : "")

static inline struct slice slice_of(const void *ptr, size_t len) {
    return (struct slice){(const uint8_t *)ptr, len};
}
static inline struct slice slice_cstr(const char *s) {
    return (struct slice){(const uint8_t *)s, s ? strlen(s) : 0};
}
static inline bool slice_eq(struct slice a, struct slice b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}
static inline bool slice_eq_cstr(struct slice a, const char *s) {
    if (a.len > 0 && (s == NULL || (uint8_t)s[0] != a.ptr[0])) {
        return false; /* most of a table's, without counting their bytes */
    }
    return slice_eq(a, slice_cstr(s));
}
static inline bool slice_starts(struct slice a, struct slice prefix) {
    return a.len >= prefix.len && (prefix.len == 0 || memcmp(a.ptr, prefix.ptr, prefix.len) == 0);
}
static inline bool slice_ends(struct slice a, struct slice suffix) {
    return a.len >= suffix.len &&
           (suffix.len == 0 || memcmp(a.ptr + a.len - suffix.len, suffix.ptr, suffix.len) == 0);
}
/* Bytes [from, to), both clamped to the slice. */
static inline struct slice slice_sub(struct slice a, size_t from, size_t to) {
    if (to > a.len) {
        to = a.len;
    }
    if (from > to) {
        from = to;
    }
    return (struct slice){a.ptr ? a.ptr + from : NULL, to - from};
}
/* Index of the first `c`, or a.len. */
static inline size_t slice_find(struct slice a, uint8_t c) {
    const void *p = a.len ? memchr(a.ptr, c, a.len) : NULL;
    return p ? (size_t)((const uint8_t *)p - a.ptr) : a.len;
}
/* ASCII case-blind equality. */
bool slice_ieq(struct slice a, struct slice b);
/* memcmp order, shorter first on a tie: <0, 0, >0. */
int slice_cmp(struct slice a, struct slice b);
/* Without leading and trailing blanks and tabs. */
struct slice slice_trim(struct slice a);
/* Decimal without sign into *ret; false when empty, not digits, or above max. */
bool slice_u64(struct slice a, uint64_t max, uint64_t *ret);

#endif
