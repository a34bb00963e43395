/* Column vectors: the values of one column of a row group, as COPY makes them, as segments are
 * sealed from and decoded to, and as scans hand them out.
 *
 * A struct vector only points; the caller of the writer owns what it points to, and what a decoder
 * makes lies in a struct vector_memory. */
#ifndef SL_COLUMNAR_VECTOR_H
#define SL_COLUMNAR_VECTOR_H

#include "lib/base/buf.h"

enum vector_kind {
    VECTOR_BOOL = 1, /* a byte a row, 0 or 1 */
    VECTOR_INT16,
    VECTOR_INT32,
    VECTOR_INT64,  /* with `decimal`: times 10^scale, see decimal.h; INT128 too */
    VECTOR_INT128, /* aligned to 16 bytes */
    VECTOR_FLOAT32,
    VECTOR_FLOAT64,
    VECTOR_BYTES, /* see below */
    VECTOR_KIND_COUNT
};

/* BYTES: a u32 a row, the offset of its value in `heap`. Values there have the form of PostgreSQL's
 * datums on little-endian machines (that of copy_vector's texts): up to 126 bytes behind one byte
 * (length + 1) * 2 + 1; longer ones at a multiple of 4 behind a 32-bit (length + 4) * 4. So heap +
 * offset is a Datum. The heap is aligned to 4 bytes at least. Rows may share a value. */
struct vector {
    enum vector_kind kind;
    bool decimal;         /* INT64, INT128 */
    uint8_t scale;        /* then */
    uint32_t rows;        /* 0 … SEGMENT_ROWS (segment.h) */
    const uint8_t *nulls; /* a byte a row, 0: value, else NULL; the pointer is NULL when there's
                             none */
    union {
        const void *raw;
        const bool *b;
        const int16_t *i16;
        const int32_t *i32;
        const int64_t *i64;
        const __int128 *i128;
        const float *f32;
        const double *f64;
        const uint32_t *at; /* BYTES */
    } v;
    struct slice heap; /* BYTES */
};
/* What stands in `v` at a NULL row: in the writer's input anything, in decoded vectors a value of
 * no meaning (of BYTES a valid offset, if there is a heap at all). */

/* Bytes of a value in `v`: 1, 2, 4, 8, 16. */
size_t vector_width(enum vector_kind kind);

static inline bool vector_is_null(const struct vector *v, uint32_t row) {
    return v->nulls != NULL && v->nulls[row] != 0;
}
/* The datum's first byte, and the value behind its length. BYTES, row is not NULL. */
static inline const uint8_t *vector_datum(const struct vector *v, uint32_t row) {
    return v->heap.ptr + v->v.at[row];
}
struct slice vector_value(struct slice heap, uint32_t at); /* behind the length at that offset */
static inline struct slice vector_bytes(const struct vector *v, uint32_t row) {
    return vector_value(v->heap, v->v.at[row]);
}
/* Does a whole value lie at `at`? */
bool vector_whole(struct slice heap, uint32_t at);

/* Appends a value to a heap under construction (in the form above, alignment included). Its offset.
 * A failure shows in the buf. */
uint32_t vector_heap_put(struct buf *heap, struct slice value);

/* Every offset of a BYTES vector that isn't NULL names a whole value inside the heap; of a BOOL
 * vector every byte is 0 or 1. SL_E_INTERNAL. */
struct sl_rc vector_check(const struct vector *v, struct sl_error *err);

/* The memory behind one decoded vector. Zero-initialise; reuse it for the next segment, so that no
 * fresh page is touched: what was decoded there before is then gone. */
struct vector_memory {
    uint8_t *values, *nulls, *heap;
    size_t values_cap, nulls_cap, heap_cap;
};
void vector_memory_fini(struct vector_memory *m);

#endif
