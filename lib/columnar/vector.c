/* Vectors and heaps of datums; see vector.h. */
#include "lib/columnar/vector.h"

size_t vector_width(enum vector_kind kind) {
    static const uint8_t widths[VECTOR_KIND_COUNT] = {
        [VECTOR_BOOL] = 1,    [VECTOR_INT16] = 2,   [VECTOR_INT32] = 4,   [VECTOR_INT64] = 8,
        [VECTOR_INT128] = 16, [VECTOR_FLOAT32] = 4, [VECTOR_FLOAT64] = 8, [VECTOR_BYTES] = 4,
    };
    sl_assert(kind > 0 && kind < VECTOR_KIND_COUNT);
    return widths[kind];
}

struct slice vector_value(struct slice heap, uint32_t at) {
    const uint8_t *p = heap.ptr + at;
    if (*p & 1) {
        return slice_of(p + 1, (size_t)(*p >> 1) - 1);
    }
    uint32_t header;
    memcpy(&header, p, sizeof header);
    return slice_of(p + 4, (size_t)(header >> 2) - 4);
}

uint32_t vector_heap_put(struct buf *heap, struct slice value) {
    uint8_t *p = buf_reserve(heap, value.len + 8);
    if (p == NULL) {
        return 0;
    }
    size_t at = heap->len;
    if (value.len <= 126) {
        *p++ = (uint8_t)((value.len + 1) << 1 | 1);
        heap->len = at + 1 + value.len;
    } else {
        size_t skip = (4 - at % 4) % 4;
        uint32_t header = (uint32_t)(value.len + 4) << 2;
        memset(p, 0, skip);
        memcpy(p + skip, &header, sizeof header);
        at += skip;
        p += skip + 4;
        heap->len = at + 4 + value.len;
    }
    if (value.len > 0) {
        memcpy(p, value.ptr, value.len);
    }
    return (uint32_t)at;
}

bool vector_whole(struct slice heap, uint32_t at) {
    if (at >= heap.len) {
        return false;
    }
    uint8_t first = heap.ptr[at];
    if (first & 1) {
        return first >= 3 && (size_t)(first >> 1) <= heap.len - at;
    }
    uint32_t header;
    if (at % 4 != 0 || heap.len - at < sizeof header) {
        return false;
    }
    memcpy(&header, heap.ptr + at, sizeof header);
    return (header & 3) == 0 && header >> 2 >= 4 && header >> 2 <= heap.len - at;
}

struct sl_rc vector_check(const struct vector *v, struct sl_error *err) {
    for (uint32_t i = 0; v->kind == VECTOR_BYTES && i < v->rows; i++) {
        ENSURE(vector_is_null(v, i) || vector_whole(v->heap, v->v.at[i]), err, SL_E_INTERNAL,
               "row %u: no whole value at offset %u of %zu", i, v->v.at[i], v->heap.len);
    }
    const uint8_t *flags = v->v.raw;
    for (uint32_t i = 0; v->kind == VECTOR_BOOL && i < v->rows; i++) {
        ENSURE(vector_is_null(v, i) || flags[i] <= 1, err, SL_E_INTERNAL, "row %u: a boolean of %u",
               i, flags[i]);
    }
    return SL_OK;
}

void vector_memory_fini(struct vector_memory *m) {
    free(m->values);
    free(m->nulls);
    free(m->heap);
    *m = (struct vector_memory){0};
}
