/* Encodes a column; see encode_in.h. */
#include "lib/columnar/encode_in.h"

#include "lib/base/limits.h"

#include <math.h>

void encode_work_fini(struct encode_work *w) {
    *w = (struct encode_work){0};
}

const char *encoding_name(enum encoding encoding) {
    static const char *const names[ENCODING_COUNT] = {[ENCODING_PLAIN] = "plain"};
    return names[encoding];
}

/* A bit a row, set for NULL; nothing when all rows or none are. */
static void put_nulls(const struct vector *v, uint32_t nulls, struct buf *body) {
    if (nulls == 0 || nulls == v->rows) {
        return;
    }
    size_t len = ((size_t)v->rows + 7) / 8;
    uint8_t *p = buf_reserve(body, len);
    if (p != NULL) {
        memset(p, 0, len);
        for (uint32_t i = 0; i < v->rows; i++) {
            p[i / 8] |= (uint8_t)((v->nulls[i] != 0) << (i % 8));
        }
        body->len += len;
    }
}

static __int128 int_at(const struct vector *v, uint32_t i) {
    switch (v->kind) {
    case VECTOR_BOOL:
        return v->v.b[i];
    case VECTOR_INT16:
        return v->v.i16[i];
    case VECTOR_INT32:
        return v->v.i32[i];
    case VECTOR_INT64:
        return v->v.i64[i];
    default:
        return v->v.i128[i];
    }
}

/* PostgreSQL's order: NaN is the greatest. */
static bool float_less(double a, double b) {
    return isnan(b) ? !isnan(a) : a < b;
}

static void bound_text(struct segment_bound *b, struct slice s) {
    b->cut = s.len > SEGMENT_BOUND_BYTES;
    b->len = (uint8_t)(b->cut ? SEGMENT_BOUND_BYTES : s.len);
    if (b->len > 0) {
        memcpy(b->bytes, s.ptr, b->len);
    }
}

static void bounds_of(const struct vector *v, struct encoded *e) {
    struct slice least = SLICE_EMPTY, most = SLICE_EMPTY;
    e->bounded = false;
    for (uint32_t i = 0; i < v->rows; i++) {
        if (vector_is_null(v, i)) {
            continue;
        }
        bool first = !e->bounded;
        e->bounded = true;
        if (v->kind == VECTOR_BYTES) {
            struct slice s = vector_bytes(v, i);
            least = first || slice_cmp(s, least) < 0 ? s : least;
            most = first || slice_cmp(s, most) > 0 ? s : most;
        } else if (v->kind == VECTOR_FLOAT32 || v->kind == VECTOR_FLOAT64) {
            double x = v->kind == VECTOR_FLOAT32 ? (double)v->v.f32[i] : v->v.f64[i];
            e->min.f = first || float_less(x, e->min.f) ? x : e->min.f;
            e->max.f = first || float_less(e->max.f, x) ? x : e->max.f;
        } else {
            __int128 x = int_at(v, i);
            e->min.i = first || x < e->min.i ? x : e->min.i;
            e->max.i = first || x > e->max.i ? x : e->max.i;
        }
    }
    if (v->kind == VECTOR_BYTES && e->bounded) {
        bound_text(&e->min, least);
        bound_text(&e->max, most);
    }
}

static void put_plain(const struct vector *v, struct buf *body) {
    if (v->kind != VECTOR_BYTES) {
        buf_put(body, slice_of(v->v.raw, v->rows * vector_width(v->kind)));
        return;
    }
    for (uint32_t i = 0; i < v->rows; i++) {
        uint32_t len = vector_is_null(v, i) ? 0 : (uint32_t)vector_bytes(v, i).len;
        buf_put(body, slice_of(&len, sizeof len));
    }
    for (uint32_t i = 0; i < v->rows; i++) {
        if (!vector_is_null(v, i)) {
            buf_put(body, vector_bytes(v, i));
        }
    }
}

struct sl_rc encode_column(struct encode_work *w, const struct vector *v, struct buf *body,
                           struct encoded *ret, struct sl_error *err) {
    TRY(vector_check(v, err));
    ENSURE(v->heap.len <= LIMIT_SEGMENT_HEAP_BYTES, err, SL_E_LIMIT, "texts of %zu bytes",
           v->heap.len);
    struct encoded e = {.encoding = ENCODING_PLAIN};
    for (uint32_t i = 0; v->nulls != NULL && i < v->rows; i++) {
        e.nulls += v->nulls[i] != 0;
    }
    bounds_of(v, &e);
    put_nulls(v, e.nulls, body);
    if (e.nulls < v->rows) {
        put_plain(v, body);
    }
    *ret = e;
    return SL_OK;
}
