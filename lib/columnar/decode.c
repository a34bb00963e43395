/* Decodes a column; see encode_in.h. The body has passed its seal, and is doubted all the same:
 * every length is checked before it is used. */
#include "lib/base/limits.h"
#include "lib/columnar/encode_in.h"

enum { EMPTY_DATUM = 3 }; /* the first byte of each decoded heap: what NULL rows point to */

/* Memory of at least `n` bytes, its content lost. A few bytes more, so that loops may write past
 * the end. */
static struct sl_rc room(uint8_t **p, size_t *cap, size_t n) {
    if (*p == NULL || *cap < n) {
        void *fresh = aligned_alloc(64, (n + 128) / 64 * 64);
        ENSURE(fresh != NULL, NULL, SL_E_NOMEM, "decoded column");
        free(*p);
        *p = fresh;
        *cap = n;
    }
    return SL_OK;
}

static struct sl_rc read_nulls(struct slice *body, uint32_t rows, uint32_t nulls,
                               struct vector_memory *m, struct sl_error *err) {
    size_t len = ((size_t)rows + 7) / 8;
    uint32_t count = 0;
    TRY(room(&m->nulls, &m->nulls_cap, rows));
    if (nulls == rows) {
        memset(m->nulls, 1, rows);
        return SL_OK;
    }
    ENSURE(body->len >= len, err, SL_E_CORRUPT, "its NULLs are cut short");
    for (uint32_t i = 0; i < rows; i++) {
        m->nulls[i] = body->ptr[i / 8] >> (i % 8) & 1;
        count += m->nulls[i];
    }
    ENSURE(count == nulls, err, SL_E_CORRUPT, "%u NULLs instead of %u", count, nulls);
    *body = slice_sub(*body, len, body->len);
    return SL_OK;
}

static struct sl_rc texts_size(const uint8_t *lengths, uint32_t rows, size_t bytes, size_t *ret,
                               struct sl_error *err) {
    uint64_t heap = 1, sum = 0;
    for (uint32_t i = 0; i < rows; i++) {
        uint32_t len;
        memcpy(&len, lengths + (size_t)i * sizeof len, sizeof len);
        sum += len;
        heap = len <= 126 ? heap + 1 + len : (heap + 3) / 4 * 4 + 4 + len;
    }
    ENSURE(sum == bytes && heap <= 2 * (uint64_t)LIMIT_SEGMENT_HEAP_BYTES, err, SL_E_CORRUPT,
           "%zu bytes of texts instead of %llu", bytes, (unsigned long long)sum);
    *ret = heap;
    return SL_OK;
}

static struct sl_rc read_texts(struct slice body, uint32_t rows, struct vector_memory *m,
                               size_t *ret_heap, struct sl_error *err) {
    ENSURE(body.len / sizeof(uint32_t) >= rows, err, SL_E_CORRUPT, "its lengths are cut short");
    const uint8_t *from = body.ptr + (size_t)rows * sizeof(uint32_t);
    size_t heap_len;
    TRY(texts_size(body.ptr, rows, body.len - (size_t)rows * sizeof(uint32_t), &heap_len, err));
    TRY(room(&m->heap, &m->heap_cap, heap_len));
    struct buf heap = {.ptr = m->heap, .cap = heap_len + 8, .max = heap_len + 8};
    buf_u8(&heap, EMPTY_DATUM);
    uint32_t *at = (uint32_t *)(void *)m->values;
    for (uint32_t i = 0; i < rows; i++) {
        uint32_t len;
        memcpy(&len, body.ptr + (size_t)i * sizeof len, sizeof len);
        at[i] = len == 0 ? 0 : vector_heap_put(&heap, slice_of(from, len));
        from += len;
    }
    *ret_heap = heap.len;
    return SL_OK;
}

static struct sl_rc read_fixed(struct slice body, enum vector_kind kind, uint32_t rows,
                               struct vector_memory *m, struct sl_error *err) {
    size_t len = rows * vector_width(kind);
    ENSURE(body.len == len, err, SL_E_CORRUPT, "%zu bytes of values instead of %zu", body.len, len);
    if (len > 0) {
        memcpy(m->values, body.ptr, len);
    }
    for (size_t i = 0; kind == VECTOR_BOOL && i < len; i++) {
        ENSURE(m->values[i] <= 1, err, SL_E_CORRUPT, "row %zu: a boolean of %u", i, m->values[i]);
    }
    return SL_OK;
}

struct sl_rc decode_column(struct encode_work *w, enum encoding encoding, enum vector_kind kind,
                           uint32_t rows, uint32_t nulls, struct slice body,
                           struct vector_memory *memory, struct vector *ret, struct sl_error *err) {
    size_t heap = 0;
    TRY(room(&memory->values, &memory->values_cap, rows * vector_width(kind)));
    if (nulls > 0) {
        TRY(read_nulls(&body, rows, nulls, memory, err));
    }
    if (nulls == rows) {
        ENSURE(body.len == 0, err, SL_E_CORRUPT, "values where all is NULL");
        memset(memory->values, 0, rows * vector_width(kind));
    } else if (kind == VECTOR_BYTES) {
        TRY(read_texts(body, rows, memory, &heap, err));
    } else {
        TRY(read_fixed(body, kind, rows, memory, err));
    }
    *ret = (struct vector){.kind = kind,
                           .rows = rows,
                           .nulls = nulls > 0 ? memory->nulls : NULL,
                           .v.raw = memory->values,
                           .heap = slice_of(memory->heap, heap)};
    return SL_OK;
}
