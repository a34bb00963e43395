/* Slices; see slice.h. */
#include "lib/base/slice.h"

static uint8_t lower(uint8_t c) {
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

bool slice_ieq(struct slice a, struct slice b) {
    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        if (lower(a.ptr[i]) != lower(b.ptr[i])) {
            return false;
        }
    }
    return true;
}

int slice_cmp(struct slice a, struct slice b) {
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n ? memcmp(a.ptr, b.ptr, n) : 0;
    if (c != 0) {
        return c;
    }
    return a.len < b.len ? -1 : a.len > b.len;
}

static bool blank(uint8_t c) {
    return c == ' ' || c == '\t';
}

struct slice slice_trim(struct slice a) {
    while (a.len > 0 && blank(a.ptr[0])) {
        a.ptr++;
        a.len--;
    }
    while (a.len > 0 && blank(a.ptr[a.len - 1])) {
        a.len--;
    }
    return a;
}

bool slice_u64(struct slice a, uint64_t max, uint64_t *ret) {
    if (a.len == 0) {
        return false;
    }
    uint64_t v = 0;
    for (size_t i = 0; i < a.len; i++) {
        if (a.ptr[i] < '0' || a.ptr[i] > '9') {
            return false;
        }
        if (__builtin_mul_overflow(v, 10u, &v) ||
            __builtin_add_overflow(v, (uint64_t)(a.ptr[i] - '0'), &v)) {
            return false;
        }
    }
    if (v > max) {
        return false;
    }
    *ret = v;
    return true;
}
