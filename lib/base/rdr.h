/* struct rdr: reads big-endian integers and length-prefixed runs from a slice, bounds kept inside.
 * A read past the end gives zero or an empty slice and sets `bad`; check once with rdr_end, which
 * also refuses trailing bytes. */
#ifndef SL_BASE_RDR_H
#define SL_BASE_RDR_H

#include "lib/base/rc.h"
#include "lib/base/slice.h"

struct rdr {
    struct slice rest;
    bool bad;
};

static inline struct rdr rdr_of(struct slice s) {
    return (struct rdr){s, false};
}
static inline struct slice rdr_bytes(struct rdr *r, size_t n) {
    if (r->bad || n > r->rest.len) {
        r->bad = true;
        return SLICE_EMPTY;
    }
    struct slice s = {r->rest.ptr, n};
    r->rest = slice_sub(r->rest, n, r->rest.len);
    return s;
}
static inline uint64_t rdr_uint(struct rdr *r, size_t n) {
    struct slice s = rdr_bytes(r, n);
    uint64_t v = 0;
    for (size_t i = 0; i < s.len; i++) {
        v = v << 8 | s.ptr[i];
    }
    return v;
}
static inline uint8_t rdr_u8(struct rdr *r) {
    return (uint8_t)rdr_uint(r, 1);
}
static inline uint16_t rdr_u16(struct rdr *r) {
    return (uint16_t)rdr_uint(r, 2);
}
static inline uint32_t rdr_u32(struct rdr *r) {
    return (uint32_t)rdr_uint(r, 4);
}
static inline uint64_t rdr_u64(struct rdr *r) {
    return rdr_uint(r, 8);
}
static inline struct slice rdr_vec16(struct rdr *r) {
    return rdr_bytes(r, rdr_u16(r));
}
static inline struct slice rdr_vec32(struct rdr *r) {
    return rdr_bytes(r, rdr_u32(r));
}
/* SL_OK when every read fitted and nothing is left over; else SL_E_PARSE. */
static inline struct sl_rc rdr_end(const struct rdr *r, struct sl_error *err, const char *what) {
    ENSURE(!r->bad, err, SL_E_PARSE, "%s: cut short", what);
    ENSURE(r->rest.len == 0, err, SL_E_PARSE, "%s: %zu bytes too many", what, r->rest.len);
    return SL_OK;
}

#endif
