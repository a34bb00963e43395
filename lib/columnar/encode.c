/* Encodes a column; see encode_in.h. Whatever the kind, a column first becomes either 64-bit
 * integers (integers themselves, scaled or raw floats) or dictionary codes of texts; NULL rows
 * repeat the value before them, which costs least in every encoding. */
#include "lib/columnar/encode_in.h"

#include "lib/base/area.h"
#include "lib/base/limits.h"
#include "lib/columnar/avx2_in.h"

#include <math.h>

enum { ROWS_FIRST = 1024 };

const double encode_powers[SCALE_MAX + 1] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                             1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};

struct sl_rc encode_work_room(struct encode_work *w, struct block_work *block, uint32_t rows) {
    uint32_t most = ROWS_FIRST;
    if (rows <= w->rows && w->rows > 0) {
        return SL_OK;
    }
    encode_work_fini(w);
    while (most < rows) {
        most *= 2;
    }
    w->x = area_new(most * (sizeof *w->x + sizeof *w->wide + sizeof *w->codes + INTS_ROOM));
    ENSURE(w->x != NULL, NULL, SL_E_NOMEM, "encoder");
    w->wide = (uint64_t *)(w->x + most);
    w->codes = (uint32_t *)(w->wide + most);
    TRY(ints_work_init(&w->ints, block, w->codes + most, most));
    TRY(dictionary_init(&w->dictionary, most));
    w->rows = most;
    return SL_OK;
}

void encode_work_fini(struct encode_work *w) {
    ints_work_fini(&w->ints);
    dictionary_fini(&w->dictionary);
    free(w->x);
    *w = (struct encode_work){0};
}

const char *encoding_name(enum encoding encoding) {
    static const char *const names[ENCODING_COUNT] = {
        [ENCODING_CONSTANT] = "constant",     [ENCODING_PLAIN] = "plain",
        [ENCODING_DICTIONARY] = "dictionary", [ENCODING_REFERENCE] = "reference",
        [ENCODING_DELTA] = "delta",           [ENCODING_SCALED] = "scaled",
    };
    return names[encoding];
}

static bool is_float(enum vector_kind kind) {
    return kind == VECTOR_FLOAT32 || kind == VECTOR_FLOAT64;
}

static void put_raw(struct buf *body, const void *p, size_t n) {
    buf_put(body, slice_of(p, n));
}

/* Of up to 8 bytes, `left` at most: the high bit of each that isn't zero. */
static inline uint64_t nonzero(const uint8_t *p, size_t left) {
    uint64_t x = 0, low = 0x7f7f7f7f7f7f7f7fULL;
    memcpy(&x, p, left < sizeof x ? left : sizeof x);
    return (((x & low) + low) | x) & ~low;
}

/* A bit a row, set for NULL; nothing when all rows or none are. */
static void put_nulls(const struct vector *v, uint32_t nulls, struct buf *body) {
    if (nulls == 0 || nulls == v->rows) {
        return;
    }
    size_t len = ((size_t)v->rows + 7) / 8;
    uint8_t *p = buf_reserve(body, len);
    if (p != NULL) {
        for (size_t i = 0; i < len; i++) {
            uint64_t set = nonzero(v->nulls + 8 * i, v->rows - 8 * i) >> 7;
            p[i] = (uint8_t)(set * 0x0102040810204080ULL >> 56); /* byte b becomes bit b */
        }
        body->len += len;
    }
}

/* ---- 64-bit integers ---- */

/* The first row with a value. One is there. */
static uint32_t first_value(const struct vector *v) {
    uint32_t i = 0;
    while (vector_is_null(v, i)) {
        i++;
    }
    return i;
}

#define WIDEN(from)                                                                                \
    do {                                                                                           \
        int64_t last_ = (int64_t)(from)[first_value(v)];                                           \
        for (uint32_t i = 0; v->nulls == NULL && i < v->rows; i++) {                               \
            x[i] = (int64_t)(from)[i];                                                             \
        }                                                                                          \
        for (uint32_t i = 0; v->nulls != NULL && i < v->rows; i++) {                               \
            last_ = v->nulls[i] != 0 ? last_ : (int64_t)(from)[i];                                 \
            x[i] = last_;                                                                          \
        }                                                                                          \
    } while (0)

/* Floats by their bits. 128-bit integers must fit. */
static void widen(const struct vector *v, int64_t *x) {
    switch (v->kind) {
    case VECTOR_BOOL:
        WIDEN((const uint8_t *)v->v.raw);
        break;
    case VECTOR_INT16:
        WIDEN(v->v.i16);
        break;
    case VECTOR_INT32:
        WIDEN(v->v.i32);
        break;
    case VECTOR_INT64:
        WIDEN(v->v.i64);
        break;
    case VECTOR_INT128:
        WIDEN(v->v.i128);
        break;
    case VECTOR_FLOAT32:
        WIDEN((const uint32_t *)v->v.raw);
        break;
    default:
        WIDEN((const uint64_t *)v->v.raw);
    }
}

TWIN void range_body(const int64_t *x, uint32_t n, int64_t *ret_min, int64_t *ret_max) {
    int64_t min = x[0], max = x[0];
    for (uint32_t i = 1; i < n; i++) {
        min = x[i] < min ? x[i] : min;
        max = x[i] > max ? x[i] : max;
    }
    *ret_min = min;
    *ret_max = max;
}

/* Of the differences, none of which overflows; `ret_runs` counts the rows that differ from the one
 * before. */
TWIN void spread_body(const int64_t *x, uint32_t n, int64_t *ret_least, int64_t *ret_most,
                      uint32_t *ret_runs) {
    int64_t least = INT64_MAX, most = INT64_MIN;
    uint64_t runs = 0;
    for (uint32_t i = 1; i < n; i++) {
        int64_t d = x[i] - x[i - 1];
        runs += d != 0;
        least = d < least ? d : least;
        most = d > most ? d : most;
    }
    *ret_least = least;
    *ret_most = most;
    *ret_runs += (uint32_t)runs;
}

static void range_plain(const int64_t *x, uint32_t n, int64_t *min, int64_t *max) {
    range_body(x, n, min, max);
}
AVX2 static void range_avx2(const int64_t *x, uint32_t n, int64_t *min, int64_t *max) {
    range_body(x, n, min, max);
}
static void spread_plain(const int64_t *x, uint32_t n, int64_t *least, int64_t *most,
                         uint32_t *runs) {
    spread_body(x, n, least, most, runs);
}
AVX2 static void spread_avx2(const int64_t *x, uint32_t n, int64_t *least, int64_t *most,
                             uint32_t *runs) {
    spread_body(x, n, least, most, runs);
}

static void range_of(const int64_t *x, uint32_t n, int64_t *min, int64_t *max) {
    (avx2() ? range_avx2 : range_plain)(x, n, min, max);
}

static uint64_t gcd(uint64_t a, uint64_t b) {
    while (b != 0) {
        uint64_t r = a % b;
        a = b;
        b = r;
    }
    return a;
}

/* Division without remainder, by multiplication: q = (d >> twos) * inverse. */
struct exact {
    unsigned twos;
    uint64_t inverse; /* of the odd part, modulo 2^64 */
    uint64_t most;    /* the greatest quotient of a multiple of the odd part */
};

static struct exact exact_of(uint64_t step) {
    unsigned twos = (unsigned)__builtin_ctzll(step);
    uint64_t odd = step >> twos, inverse = odd; /* right in 3 bits; each round doubles them */
    for (int i = 0; i < 5; i++) {
        inverse *= 2 - odd * inverse;
    }
    return (struct exact){twos, inverse, UINT64_MAX / odd};
}

/* The greatest number that divides all x[i] - base. */
static uint64_t step_of(const int64_t *x, uint32_t n, int64_t base) {
    uint64_t step = 0;
    struct exact e = {0};
    for (uint32_t i = 0; i < n && step != 1; i++) {
        uint64_t d = (uint64_t)x[i] - (uint64_t)base;
        if (step == 0) {
            step = d;
            e = step == 0 ? e : exact_of(step);
        } else if ((d & ((1ULL << e.twos) - 1)) != 0 || (d >> e.twos) * e.inverse > e.most) {
            step = gcd(step, d);
            e = exact_of(step);
        }
    }
    return step == 0 ? 1 : step;
}

/* (x[i] - base) / step into codes or wide. `most` is the greatest quotient. */
static struct sl_rc put_steps(struct encode_work *w, const int64_t *x, uint32_t n, int64_t base,
                              uint64_t step, uint64_t most, struct buf *body) {
    struct exact e = exact_of(step);
    if (most <= UINT32_MAX) {
        for (uint32_t i = 0; i < n; i++) {
            w->codes[i] = (uint32_t)((((uint64_t)x[i] - (uint64_t)base) >> e.twos) * e.inverse);
        }
        return ints_put32(&w->ints, w->codes, n, ints_width(most), body);
    }
    for (uint32_t i = 0; i < n; i++) {
        w->wide[i] = (((uint64_t)x[i] - (uint64_t)base) >> e.twos) * e.inverse;
    }
    return ints_put64(&w->ints, w->wide, n, ints_width(most), body);
}

struct facts {
    int64_t min, max;
    uint64_t step, steps; /* steps: from min to max */
    uint32_t runs;
    bool deltas; /* the next two hold: no difference overflows */
    int64_t least, most;
};

static struct facts facts_of(const int64_t *x, uint32_t n) {
    struct facts f = {.runs = 1};
    range_of(x, n, &f.min, &f.max);
    uint64_t range = (uint64_t)f.max - (uint64_t)f.min;
    f.step = step_of(x, n, f.min);
    f.steps = range / f.step;
    f.deltas = range <= INT64_MAX && n > 1;
    if (f.deltas) {
        (avx2() ? spread_avx2 : spread_plain)(x, n, &f.least, &f.most, &f.runs);
    }
    return f;
}

/* Differences in place of values, behind the first. */
static struct sl_rc put_delta(struct encode_work *w, int64_t *x, uint32_t n, const struct facts *f,
                              struct buf *body) {
    uint64_t most = ((uint64_t)f->most - (uint64_t)f->least) / f->step;
    put_raw(body, &x[0], sizeof x[0]);
    put_raw(body, &f->step, sizeof f->step);
    put_raw(body, &f->least, sizeof f->least);
    for (uint32_t i = n - 1; i > 0; i--) {
        x[i] -= x[i - 1];
    }
    return put_steps(w, x + 1, n - 1, f->least, f->step, most, body);
}

/* REFERENCE or DELTA of x, which is changed. */
static struct sl_rc put_numbers(struct encode_work *w, int64_t *x, uint32_t n,
                                const struct facts *f, enum encoding *ret, struct buf *body) {
    uint64_t spread = f->deltas ? ((uint64_t)f->most - (uint64_t)f->least) / f->step : UINT64_MAX;
    if (f->deltas && f->runs > n / 8 && ints_width(spread) + 2 <= ints_width(f->steps)) {
        *ret = ENCODING_DELTA;
        return put_delta(w, x, n, f, body);
    }
    *ret = ENCODING_REFERENCE;
    put_raw(body, &f->min, sizeof f->min);
    put_raw(body, &f->step, sizeof f->step);
    return put_steps(w, x, n, f->min, f->step, f->steps, body);
}

static struct sl_rc put_dictionary(struct encode_work *w, enum vector_kind kind, uint32_t n,
                                   struct buf *body) {
    const struct dictionary *d = &w->dictionary;
    put_raw(body, &d->count, sizeof d->count);
    for (uint32_t i = 0; i < d->count; i++) {
        __int128 value = (int64_t)d->entries[i].head[0];
        put_raw(body, &value, vector_width(kind));
    }
    return ints_put32(&w->ints, w->codes, n, ints_width(d->count - 1), body);
}

static struct sl_rc put_constant(const struct vector *v, struct buf *body, enum encoding *ret) {
    size_t width = vector_width(v->kind);
    *ret = ENCODING_CONSTANT;
    put_raw(body, (const uint8_t *)v->v.raw + first_value(v) * width, width);
    return SL_OK;
}

static struct sl_rc encode_ints(struct encode_work *w, const struct vector *v, struct buf *body,
                                struct encoded *e, struct sl_error *err) {
    widen(v, w->x);
    struct facts f = facts_of(w->x, v->rows);
    ENSURE(v->kind != VECTOR_BOOL || f.max <= 1, err, SL_E_INTERNAL, "a boolean of %d", (int)f.max);
    e->min.i = f.min;
    e->max.i = f.max;
    if (f.min == f.max) {
        return put_constant(v, body, &e->encoding);
    }
    bool runs = f.deltas && f.runs <= v->rows / 8;
    if (f.steps > UINT8_MAX && !runs &&
        dictionary_ints(&w->dictionary, w->x, v->rows, f.min, (uint64_t)f.max - (uint64_t)f.min,
                        (uint32_t *)(void *)w->wide, w->codes)) {
        e->encoding = ENCODING_DICTIONARY;
        return put_dictionary(w, v->kind, v->rows, body);
    }
    return put_numbers(w, w->x, v->rows, &f, &e->encoding, body);
}

/* ---- 128-bit integers ---- */

static void range_of_128(const struct vector *v, __int128 *ret_min, __int128 *ret_max) {
    __int128 min = v->v.i128[first_value(v)], max = min;
    for (uint32_t i = 0; i < v->rows; i++) {
        __int128 x = v->v.i128[i];
        if (!vector_is_null(v, i)) {
            min = x < min ? x : min;
            max = x > max ? x : max;
        }
    }
    *ret_min = min;
    *ret_max = max;
}

/* Those that are too far apart: their low and high halves. */
static struct sl_rc encode_128(struct encode_work *w, const struct vector *v, struct buf *body,
                               struct encoded *e) {
    range_of_128(v, &e->min.i, &e->max.i);
    if (e->min.i >= INT64_MIN && e->max.i <= INT64_MAX) {
        return encode_ints(w, v, body, e, NULL);
    }
    if (e->min.i == e->max.i) {
        return put_constant(v, body, &e->encoding);
    }
    e->encoding = ENCODING_PLAIN;
    for (unsigned half = 0; half < 2; half++) {
        __int128 last = v->v.i128[first_value(v)];
        for (uint32_t i = 0; i < v->rows; i++) {
            last = vector_is_null(v, i) ? last : v->v.i128[i];
            w->wide[i] = (uint64_t)(last >> (64 * half));
        }
        TRY(ints_put64(&w->ints, w->wide, v->rows, 64, body));
    }
    return SL_OK;
}

/* ---- floats ---- */

/* PostgreSQL's order: NaN is the greatest. */
static bool float_less(double a, double b) {
    return isnan(b) ? !isnan(a) : a < b;
}

static double float_at(const struct vector *v, uint32_t i) {
    return v->kind == VECTOR_FLOAT32 ? (double)v->v.f32[i] : v->v.f64[i];
}

static void bounds_of_floats(const struct vector *v, struct encoded *e) {
    e->min.f = e->max.f = float_at(v, first_value(v));
    for (uint32_t i = 0; i < v->rows; i++) {
        double x = float_at(v, i);
        if (!vector_is_null(v, i)) {
            e->min.f = float_less(x, e->min.f) ? x : e->min.f;
            e->max.f = float_less(e->max.f, x) ? x : e->max.f;
        }
    }
}

/* The integer that gives `bits` back when divided by the power, bit for bit. */
static bool scaled(enum vector_kind kind, int64_t bits, double power, int64_t *ret) {
    double x, back;
    float f;
    if (kind == VECTOR_FLOAT32) {
        uint32_t low = (uint32_t)bits;
        memcpy(&f, &low, sizeof f);
        x = (double)f;
    } else {
        memcpy(&x, &bits, sizeof x);
    }
    double y = x * power;
    if (!(y > -0x1p53 && y < 0x1p53)) {
        return false;
    }
    int64_t i = (int64_t)(y + (y < 0 ? -0.5 : 0.5));
    back = (double)i / power;
    if (kind == VECTOR_FLOAT32) {
        uint32_t low;
        f = (float)back;
        memcpy(&low, &f, sizeof low);
        *ret = i;
        return low == (uint32_t)bits;
    }
    int64_t again;
    memcpy(&again, &back, sizeof again);
    *ret = i;
    return again == bits;
}

/* The least power of ten that scales all of w->x, integers into w->wide; or -1. */
static int scale_of(struct encode_work *w, enum vector_kind kind, uint32_t n) {
    uint32_t i = 0;
    int scale = 0;
    while (i < n && scale <= SCALE_MAX) {
        int64_t value;
        if (scaled(kind, w->x[i], encode_powers[scale], &value)) {
            w->wide[i++] = (uint64_t)value;
        } else {
            scale++;
            i = 0;
        }
    }
    return scale <= SCALE_MAX ? scale : -1;
}

static struct sl_rc encode_floats(struct encode_work *w, const struct vector *v, struct buf *body,
                                  struct encoded *e) {
    uint32_t n = v->rows;
    unsigned bits = (unsigned)vector_width(v->kind) * 8;
    int64_t least, most;
    bounds_of_floats(v, e);
    widen(v, w->x);
    range_of(w->x, n, &least, &most);
    if (least == most) {
        return put_constant(v, body, &e->encoding);
    }
    if (dictionary_ints(&w->dictionary, w->x, n, least, (uint64_t)most - (uint64_t)least,
                        (uint32_t *)(void *)w->wide, w->codes)) {
        e->encoding = ENCODING_DICTIONARY;
        return put_dictionary(w, v->kind, n, body);
    }
    int scale = scale_of(w, v->kind, n);
    struct facts f = {0};
    if (scale >= 0) {
        f = facts_of((int64_t *)(void *)w->wide, n);
    }
    if (scale >= 0 && ints_width(f.steps) <= bits * 3 / 4) {
        enum encoding inner;
        e->encoding = ENCODING_SCALED;
        memcpy(w->x, w->wide, n * sizeof *w->x);
        buf_u8(body, (uint8_t)scale);
        size_t at = body->len;
        buf_u8(body, 0);
        TRY(put_numbers(w, w->x, n, &f, &inner, body));
        TRY(buf_check(body, NULL));
        body->ptr[at] = (uint8_t)inner;
        return SL_OK;
    }
    e->encoding = ENCODING_PLAIN;
    return ints_put64(&w->ints, (const uint64_t *)(const void *)w->x, n, bits, body);
}

/* ---- texts ---- */

static void bound_text(struct segment_bound *b, struct slice s) {
    b->cut = s.len > SEGMENT_BOUND_BYTES;
    b->len = (uint8_t)(b->cut ? SEGMENT_BOUND_BYTES : s.len);
    if (b->len > 0) {
        memcpy(b->bytes, s.ptr, b->len);
    }
}

/* Of all rows, or of the dictionary's entries. */
struct texts {
    const struct vector *v;
    const struct dictionary *d; /* or NULL */
    uint32_t n;
};

static bool text_of(const struct texts *t, uint32_t i, struct slice *ret) {
    if (t->d == NULL && vector_is_null(t->v, i)) {
        *ret = SLICE_EMPTY;
        return false;
    }
    *ret = t->d == NULL ? vector_bytes(t->v, i)
                        : slice_of(t->v->heap.ptr + t->d->entries[i].text, t->d->entries[i].len);
    return true;
}

static void bounds_of_texts(const struct texts *t, struct encoded *e) {
    struct slice least = SLICE_EMPTY, most = SLICE_EMPTY, s;
    bool any = false;
    for (uint32_t i = 0; i < t->n; i++) {
        if (text_of(t, i, &s)) {
            least = !any || slice_cmp(s, least) < 0 ? s : least;
            most = !any || slice_cmp(s, most) > 0 ? s : most;
            any = true;
        }
    }
    bound_text(&e->min, least);
    bound_text(&e->max, most);
}

/* Lengths, then the bytes. Uses w->x as scratch. */
static struct sl_rc put_texts(struct encode_work *w, const struct texts *t, struct buf *body) {
    uint32_t *lengths = (uint32_t *)(void *)w->x;
    uint32_t longest = 0;
    size_t sum = 0;
    struct slice s;
    for (uint32_t i = 0; i < t->n; i++) {
        (void)text_of(t, i, &s);
        lengths[i] = (uint32_t)s.len;
        longest |= lengths[i];
        sum += s.len;
    }
    TRY(ints_put32(&w->ints, lengths, t->n, ints_width(longest), body));
    uint8_t *p = buf_reserve(body, sum);
    ENSURE(p != NULL, NULL, SL_E_LIMIT, "texts");
    for (uint32_t i = 0; i < t->n; i++) {
        if (text_of(t, i, &s) && s.len > 0) {
            memcpy(p, s.ptr, s.len);
            p += s.len;
        }
    }
    body->len += sum;
    w->ints.loose += sum;
    return SL_OK;
}

static struct sl_rc encode_texts(struct encode_work *w, const struct vector *v, struct buf *body,
                                 struct encoded *e, struct sl_error *err) {
    struct texts all = {v, NULL, v->rows}, few = {v, &w->dictionary, 0};
    if (!dictionary_texts(&w->dictionary, v, (uint32_t *)(void *)w->wide, w->codes, false)) {
        TRY(vector_check(v, err));
        e->encoding = ENCODING_PLAIN;
        bounds_of_texts(&all, e);
        return put_texts(w, &all, body);
    }
    few.n = w->dictionary.count;
    bounds_of_texts(&few, e);
    if (few.n == 1) {
        struct slice s;
        (void)text_of(&few, 0, &s);
        e->encoding = ENCODING_CONSTANT;
        buf_put(body, s);
        w->ints.loose += s.len;
        return SL_OK;
    }
    e->encoding = ENCODING_DICTIONARY;
    put_raw(body, &few.n, sizeof few.n);
    TRY(put_texts(w, &few, body));
    return ints_put32(&w->ints, w->codes, v->rows, ints_width(few.n - 1), body);
}

static uint32_t count_nulls(const uint8_t *nulls, uint32_t rows) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < rows; i += 8) {
        uint64_t set = nonzero(nulls + i, rows - i) >> 7;
        count += (uint32_t)(set * 0x0101010101010101ULL >> 56); /* their sum */
    }
    return count;
}

struct sl_rc encode_column(struct encode_work *w, const struct vector *v, struct buf *body,
                           struct encoded *ret, struct sl_error *err) {
    ENSURE(v->heap.len <= LIMIT_SEGMENT_HEAP_BYTES, err, SL_E_LIMIT, "texts of %zu bytes",
           v->heap.len);
    struct encoded e = {.encoding = ENCODING_PLAIN};
    struct vector dense = *v;
    e.nulls = v->nulls != NULL ? count_nulls(v->nulls, v->rows) : 0;
    dense.nulls = e.nulls > 0 ? v->nulls : NULL; /* loops without NULLs are faster */
    v = &dense;
    w->ints.loose = 0;
    if (e.nulls < v->rows) {
        e.bounded = true;
        TRY(v->kind == VECTOR_BYTES    ? encode_texts(w, v, body, &e, err)
            : is_float(v->kind)        ? encode_floats(w, v, body, &e)
            : v->kind == VECTOR_INT128 ? encode_128(w, v, body, &e)
                                       : encode_ints(w, v, body, &e, err));
    }
    size_t at = body->len;
    put_nulls(v, e.nulls, body);
    e.loose = w->ints.loose + body->len - at > 0;
    *ret = e;
    return SL_OK;
}
