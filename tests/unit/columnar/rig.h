/* Columns made by hand or by chance, sealed and opened again. */
#ifndef COLUMNAR_RIG_H
#define COLUMNAR_RIG_H

#include "lib/columnar/segment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* A column under construction: its vector points into it. */
struct column {
    struct vector v;
    uint8_t *values, *nulls;
    struct buf heap;
};

static inline void column_init(struct column *c, enum vector_kind kind, uint32_t rows) {
    *c = (struct column){.heap = BUF_INIT(256 * 1024 * 1024)};
    size_t bytes = (rows * vector_width(kind) + 64) / 64 * 64;
    c->values = aligned_alloc(64, bytes);
    assert_non_null(c->values);
    memset(c->values, 0, bytes);
    c->v = (struct vector){.kind = kind, .rows = rows, .v.raw = c->values};
}

static inline void column_fini(struct column *c) {
    free(c->values);
    free(c->nulls);
    buf_fini(&c->heap);
}

static inline void column_null(struct column *c, uint32_t row) {
    if (c->nulls == NULL) {
        c->nulls = calloc(c->v.rows + 1, 1);
        assert_non_null(c->nulls);
        c->v.nulls = c->nulls;
    }
    c->nulls[row] = 1;
}

static inline void column_int(struct column *c, uint32_t row, __int128 x) {
    /* little-endian: the low bytes come first */
    memcpy(c->values + row * vector_width(c->v.kind), &x, vector_width(c->v.kind));
}

static inline void column_float(struct column *c, uint32_t row, double x) {
    float f = (float)x;
    memcpy(c->values + row * vector_width(c->v.kind),
           c->v.kind == VECTOR_FLOAT32 ? (const void *)&f : (const void *)&x,
           vector_width(c->v.kind));
}

static inline void column_text(struct column *c, uint32_t row, struct slice s) {
    uint32_t at = vector_heap_put(&c->heap, s);
    assert_false(c->heap.failed);
    memcpy(c->values + row * sizeof at, &at, sizeof at);
    c->v.heap = buf_slice(&c->heap);
}

/* Fails the test at the first row that differs, bit for bit. */
static inline void same_vector(const struct vector *a, const struct vector *b) {
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->rows, b->rows);
    assert_int_equal(a->decimal, b->decimal);
    assert_int_equal(a->scale, b->scale);
    size_t width = vector_width(a->kind);
    for (uint32_t i = 0; i < a->rows; i++) {
        bool same = vector_is_null(a, i) == vector_is_null(b, i);
        if (same && !vector_is_null(a, i)) {
            same = a->kind == VECTOR_BYTES
                       ? slice_eq(vector_bytes(a, i), vector_bytes(b, i))
                       : memcmp((const uint8_t *)a->v.raw + i * width,
                                (const uint8_t *)b->v.raw + i * width, width) == 0;
        }
        if (!same) {
            fail_msg("kind %d: row %u of %u differs", (int)a->kind, i, a->rows);
        }
    }
}

struct sealed {
    struct segment_work *work;
    struct secret key;
    struct buf bytes;
    struct segment_ref ref;
};

static inline void sealed_init(struct sealed *s) {
    *s = (struct sealed){.bytes = BUF_INIT(512 * 1024 * 1024)};
    assert_true(sl_is_ok(segment_work_new(&s->work)));
    assert_true(sl_is_ok(secret_random(&s->key, 32)));
    crypto_random(s->ref.storage_id, STORAGE_ID_LEN);
}

static inline void sealed_fini(struct sealed *s) {
    segment_work_free(s->work);
    secret_fini(&s->key);
    buf_fini(&s->bytes);
}

static inline void seal(struct sealed *s, const struct vector *columns, uint32_t count,
                        uint32_t rows) {
    struct sl_error err = {0};
    buf_reset(&s->bytes);
    crypto_random(s->ref.segment_id, SEGMENT_ID_LEN);
    if (sl_failed(segment_seal(s->work, &s->key, columns, count, rows, &s->bytes, &s->ref, &err))) {
        fail_msg("seal: %s", err.detail);
    }
    assert_int_equal(s->bytes.len, s->ref.bytes);
}

/* Opens all and compares with what was sealed. */
static inline void same_segment(struct sealed *s, const struct vector *columns) {
    struct sl_error err = {0};
    struct segment *segment = NULL;
    struct vector_memory memory = {0};
    if (sl_failed(segment_open_whole(&s->key, &s->ref, buf_slice(&s->bytes), &segment, &err))) {
        fail_msg("open: %s", err.detail);
    }
    for (uint32_t i = 0; i < s->ref.columns; i++) {
        struct vector got = {0};
        if (sl_failed(segment_decode(s->work, segment, i,
                                     segment_chunk_of(segment, i, buf_slice(&s->bytes)), &memory,
                                     &got, &err))) {
            fail_msg("decode: %s", err.detail);
        }
        assert_true(sl_is_ok(vector_check(&got, NULL)));
        same_vector(&columns[i], &got);
    }
    vector_memory_fini(&memory);
    segment_free(segment);
}

/* One column there and back. The name of its encoding (static). */
static inline const char *round_trip(struct sealed *s, const struct column *c) {
    seal(s, &c->v, 1, c->v.rows);
    same_segment(s, &c->v);
    struct segment *segment = NULL;
    assert_true(
        sl_is_ok(segment_open_whole(&s->key, &s->ref, buf_slice(&s->bytes), &segment, NULL)));
    const char *name = segment_column(segment, 0)->encoding;
    segment_free(segment);
    return name;
}

#endif
