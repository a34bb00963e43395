/* Inside of lib/columnar: arrays of unsigned integers, the form that codes, differences, lengths
 * and offsets end in. Three forms, the one that promises to be smallest is written: bits packed
 * without gaps; planes of bytes, for the compressor behind; runs of equal values. */
#ifndef SL_COLUMNAR_INTS_IN_H
#define SL_COLUMNAR_INTS_IN_H

#include "lib/base/buf.h"
#include "lib/codec/compress.h"

enum ints_form { INTS_PACKED = 0, INTS_PLANES = 1, INTS_RUNS = 2 };
enum { INTS_MAX = 131072 }; /* values of an array */

/* Scratch of a writer or reader, one thread's. */
struct ints_work {
    struct block_work *block; /* borrowed: probes what compression would give */
    uint64_t *values;         /* of runs */
    uint32_t *lengths;        /* of runs */
    uint8_t *probe;
    size_t loose; /* bytes written since it was zeroed that compression should shrink */
};
/* For arrays of up to `n` values. `room` is borrowed: INTS_ROOM bytes a value, aligned to 8. */
enum { INTS_ROOM = sizeof(uint64_t) + sizeof(uint32_t) };
struct sl_rc ints_work_init(struct ints_work *w, struct block_work *block, void *room, size_t n);
void ints_work_fini(struct ints_work *w);

/* Appends `n` values, all < 2^width (0…64), as u8 width | u8 form | bytes. */
struct sl_rc ints_put32(struct ints_work *w, const uint32_t *v, size_t n, unsigned width,
                        struct buf *out);
struct sl_rc ints_put64(struct ints_work *w, const uint64_t *v, size_t n, unsigned width,
                        struct buf *out);

/* An array in a body, its sizes checked. */
struct ints {
    unsigned width;
    enum ints_form form;
    size_t n;
    struct slice bytes;
};
/* Takes the array of `n` values off the body's front. SL_E_CORRUPT: cut, unknown, or wider than
 * `width_max`. */
struct sl_rc ints_open(struct slice *body, size_t n, unsigned width_max, struct ints *ret,
                       struct sl_error *err);
/* The values; 32: of arrays opened with a width_max of at most 32. `out` has room for n. */
struct sl_rc ints_get32(struct ints_work *w, const struct ints *a, uint32_t *out,
                        struct sl_error *err);
struct sl_rc ints_get64(struct ints_work *w, const struct ints *a, uint64_t *out,
                        struct sl_error *err);

/* Bits that hold `v`. */
static inline unsigned ints_width(uint64_t v) {
    return v == 0 ? 0 : 64 - (unsigned)__builtin_clzll(v);
}

/* The loops below the above, with and without vector instructions: for the tests. */
void ints_unpack32(const uint8_t *p, size_t len, unsigned width, size_t n, uint32_t *out,
                   bool plain);
void ints_merge32(const uint8_t *p, unsigned width, size_t n, uint32_t *out, bool plain);
void ints_merge64(const uint8_t *p, unsigned width, size_t n, uint64_t *out, bool plain);
/* The planes of either v32 or v64. */
void ints_split(const uint32_t *v32, const uint64_t *v64, size_t n, unsigned width, uint8_t *out,
                bool plain);

#endif
