/* Decodes a column; see encode_in.h. The body has passed its seal, and is doubted all the same:
 * every length is checked before it is used, every code before it is looked up. */
#include "lib/base/limits.h"
#include "lib/columnar/encode_in.h"

enum {
    EMPTY_DATUM = 3, /* the first byte of each decoded heap: what NULL rows and empty texts name */
    SHORT_MAX = 126, /* the longest value behind one byte */
    HEAP_MAX = 2 * LIMIT_SEGMENT_HEAP_BYTES
};

/* Memory of at least `n` bytes, its content lost. Some more, so that loops may write past the
 * end. */
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

static struct sl_rc take(struct slice *body, size_t n, const uint8_t **ret, struct sl_error *err) {
    ENSURE(body->len >= n, err, SL_E_CORRUPT, "it is cut short");
    *ret = body->ptr;
    *body = slice_sub(*body, n, body->len);
    return SL_OK;
}

/* From the body's end. */
static struct sl_rc read_nulls(struct slice *body, uint32_t rows, uint32_t nulls,
                               struct vector_memory *m, struct sl_error *err) {
    size_t len = ((size_t)rows + 7) / 8;
    uint32_t count = 0;
    TRY(room(&m->nulls, &m->nulls_cap, rows + 7));
    if (nulls == rows) {
        memset(m->nulls, 1, rows);
        return SL_OK;
    }
    ENSURE(body->len >= len, err, SL_E_CORRUPT, "its NULLs are cut short");
    body->len -= len;
    const uint8_t *bits = body->ptr + body->len;
    for (size_t i = 0; i < len; i++) {
        count += (uint32_t)__builtin_popcount(bits[i]);
        for (unsigned b = 0; b < 8; b++) {
            m->nulls[i * 8 + b] = bits[i] >> b & 1;
        }
    }
    bool tail = rows % 8 != 0 && bits[len - 1] >> rows % 8 != 0;
    ENSURE(count == nulls && !tail, err, SL_E_CORRUPT, "its NULLs are %u, not %u", count, nulls);
    return SL_OK;
}

/* ---- numbers ---- */

#define EACH(type, expression)                                                                     \
    do {                                                                                           \
        type *out_ = (type *)(void *)out;                                                          \
        for (size_t i = 0; i < n; i++) {                                                           \
            out_[i] = (type)(expression);                                                          \
        }                                                                                          \
    } while (0)

/* Integers of `kind` from an expression of i. Floats have their own ways. */
#define EACH_OF_KIND(kind, expression)                                                             \
    do {                                                                                           \
        switch (kind) {                                                                            \
        case VECTOR_BOOL:                                                                          \
            EACH(uint8_t, expression);                                                             \
            break;                                                                                 \
        case VECTOR_INT16:                                                                         \
            EACH(int16_t, expression);                                                             \
            break;                                                                                 \
        case VECTOR_INT32:                                                                         \
        case VECTOR_FLOAT32:                                                                       \
            EACH(int32_t, expression);                                                             \
            break;                                                                                 \
        case VECTOR_INT128:                                                                        \
            EACH(__int128, expression);                                                            \
            break;                                                                                 \
        default:                                                                                   \
            EACH(int64_t, expression);                                                             \
        }                                                                                          \
    } while (0)

#define TWIN static inline __attribute__((always_inline))
#if defined(__x86_64__)
#define AVX2 __attribute__((target("avx2")))
#else
#define AVX2
#endif

/* The loop over all values, compiled with and without vector instructions. */
TWIN void reference_body(const uint32_t *codes, size_t n, int64_t base, uint64_t step,
                         enum vector_kind kind, uint8_t *out) {
    EACH_OF_KIND(kind, (int64_t)((uint64_t)base + step * codes[i]));
}
static void reference_any(const uint32_t *codes, size_t n, int64_t base, uint64_t step,
                          enum vector_kind kind, uint8_t *out) {
    reference_body(codes, n, base, step, kind, out);
}
AVX2 static void reference_avx2(const uint32_t *codes, size_t n, int64_t base, uint64_t step,
                                enum vector_kind kind, uint8_t *out) {
    reference_body(codes, n, base, step, kind, out);
}

static bool avx2(void) {
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx2");
#else
    return false;
#endif
}

void decode_steps(const uint32_t *codes, size_t n, int64_t base, uint64_t step,
                  enum vector_kind kind, uint8_t *out, bool plain) {
    (!plain && avx2() ? reference_avx2 : reference_any)(codes, n, base, step, kind, out);
}

static struct sl_rc read_reference(struct encode_work *w, struct slice *body, size_t n,
                                   enum vector_kind kind, uint8_t *out, struct sl_error *err) {
    const uint8_t *p;
    struct ints a;
    int64_t base;
    uint64_t step;
    TRY(take(body, sizeof base + sizeof step, &p, err));
    memcpy(&base, p, sizeof base);
    memcpy(&step, p + sizeof base, sizeof step);
    TRY(ints_open(body, n, 64, &a, err));
    if (a.width <= 32) {
        TRY(ints_get32(&w->ints, &a, w->codes, err));
        decode_steps(w->codes, n, base, step, kind, out, false);
        return SL_OK;
    }
    TRY(ints_get64(&w->ints, &a, w->wide, err));
    const uint64_t *wide = w->wide;
    EACH_OF_KIND(kind, (int64_t)((uint64_t)base + step * wide[i]));
    return SL_OK;
}

static struct sl_rc read_delta(struct encode_work *w, struct slice *body, size_t n,
                               enum vector_kind kind, uint8_t *out, struct sl_error *err) {
    const uint8_t *p;
    struct ints a;
    uint64_t first, step, least;
    TRY(take(body, 3 * sizeof first, &p, err));
    memcpy(&first, p, sizeof first);
    memcpy(&step, p + 8, sizeof step);
    memcpy(&least, p + 16, sizeof least);
    ENSURE(n > 0, err, SL_E_CORRUPT, "differences of nothing");
    TRY(ints_open(body, n - 1, 64, &a, err));
    TRY(ints_get64(&w->ints, &a, w->wide + 1, err));
    uint64_t *x = w->wide;
    x[0] = first;
    for (size_t i = 1; i < n; i++) {
        x[i] = x[i - 1] + least + step * x[i];
    }
    EACH_OF_KIND(kind, (int64_t)x[i]);
    return SL_OK;
}

static struct sl_rc read_plain(struct encode_work *w, struct slice *body, size_t n,
                               enum vector_kind kind, uint8_t *out, struct sl_error *err) {
    struct ints a, high;
    unsigned bits = kind == VECTOR_INT128 ? 64 : (unsigned)vector_width(kind) * 8;
    TRY(ints_open(body, n, bits, &a, err));
    TRY(ints_get64(&w->ints, &a, w->wide, err));
    const uint64_t *x = w->wide;
    if (kind != VECTOR_INT128) {
        EACH_OF_KIND(kind, (int64_t)x[i]);
        return SL_OK;
    }
    EACH(__int128, x[i]);
    TRY(ints_open(body, n, 64, &high, err));
    TRY(ints_get64(&w->ints, &high, w->wide, err));
    __int128 *whole = (__int128 *)(void *)out;
    for (size_t i = 0; i < n; i++) {
        whole[i] = (__int128)((unsigned __int128)x[i] << 64 | (unsigned __int128)whole[i]);
    }
    return SL_OK;
}

/* Codes, all below `count`. */
static struct sl_rc read_codes(struct encode_work *w, struct slice *body, size_t n, uint32_t count,
                               struct sl_error *err) {
    struct ints a;
    uint32_t most = 0;
    TRY(ints_open(body, n, 32, &a, err));
    TRY(ints_get32(&w->ints, &a, w->codes, err));
    for (size_t i = 0; i < n; i++) {
        most = w->codes[i] > most ? w->codes[i] : most;
    }
    ENSURE(most < count, err, SL_E_CORRUPT, "code %u in a dictionary of %u", most, count);
    return SL_OK;
}

/* No dictionary has more entries than the column has rows. */
static struct sl_rc read_count(struct slice *body, size_t most, uint32_t *ret,
                               struct sl_error *err) {
    const uint8_t *p;
    TRY(take(body, sizeof *ret, &p, err));
    memcpy(ret, p, sizeof *ret);
    ENSURE(*ret <= most, err, SL_E_CORRUPT, "a dictionary of %u", *ret);
    return SL_OK;
}

static struct sl_rc read_dictionary(struct encode_work *w, struct slice *body, size_t n,
                                    enum vector_kind kind, uint8_t *out, struct sl_error *err) {
    __int128 table[DICTIONARY_INTS];
    size_t width = vector_width(kind);
    const uint8_t *p;
    uint32_t count;
    TRY(read_count(body, n < DICTIONARY_INTS ? n : DICTIONARY_INTS, &count, err));
    TRY(take(body, count * width, &p, err));
    for (uint32_t i = 0; i < count; i++) {
        int64_t low = 0;
        memcpy(&low, p + i * width, width < sizeof low ? width : sizeof low);
        table[i] = low;
        if (width > sizeof low) {
            memcpy(&table[i], p + i * width, width);
        }
    }
    TRY(read_codes(w, body, n, count, err));
    const uint32_t *codes = w->codes;
    EACH_OF_KIND(kind, table[codes[i]]);
    return SL_OK;
}

static struct sl_rc read_scaled(struct encode_work *w, struct slice *body, size_t n,
                                enum vector_kind kind, uint8_t *out, struct sl_error *err) {
    const uint8_t *p;
    int64_t *x = w->x;
    TRY(take(body, 2, &p, err));
    ENSURE((kind == VECTOR_FLOAT32 || kind == VECTOR_FLOAT64) && p[0] <= SCALE_MAX &&
               (p[1] == ENCODING_REFERENCE || p[1] == ENCODING_DELTA),
           err, SL_E_CORRUPT, "scaled by %u, encoding %u", p[0], p[1]);
    double power = encode_powers[p[0]];
    TRY((p[1] == ENCODING_DELTA ? read_delta : read_reference)(w, body, n, VECTOR_INT64,
                                                               (uint8_t *)x, err));
    if (kind == VECTOR_FLOAT32) {
        EACH(float, (double)x[i] / power);
    } else {
        EACH(double, (double)x[i] / power);
    }
    return SL_OK;
}

static struct sl_rc read_constant(struct slice *body, size_t n, enum vector_kind kind, uint8_t *out,
                                  struct sl_error *err) {
    const uint8_t *p;
    size_t width = vector_width(kind);
    __int128 value = 0;
    TRY(take(body, width, &p, err));
    memcpy(&value, p, width);
    EACH_OF_KIND(kind, value);
    return SL_OK;
}

static struct sl_rc read_numbers(struct encode_work *w, enum encoding encoding, struct slice *body,
                                 size_t n, enum vector_kind kind, uint8_t *out,
                                 struct sl_error *err) {
    switch (encoding) {
    case ENCODING_CONSTANT:
        TRY(read_constant(body, n, kind, out, err));
        break;
    case ENCODING_PLAIN:
        TRY(read_plain(w, body, n, kind, out, err));
        break;
    case ENCODING_DICTIONARY:
        TRY(read_dictionary(w, body, n, kind, out, err));
        break;
    case ENCODING_SCALED:
        TRY(read_scaled(w, body, n, kind, out, err));
        break;
    default:
        TRY((encoding == ENCODING_DELTA ? read_delta : read_reference)(w, body, n, kind, out, err));
    }
    uint8_t bits = 0;
    for (size_t i = 0; kind == VECTOR_BOOL && i < n; i++) {
        bits |= out[i];
    }
    ENSURE(bits <= 1, err, SL_E_CORRUPT, "a boolean that is neither 0 nor 1");
    return SL_OK;
}

/* ---- texts ---- */

/* The heap that values of these lengths make. */
static struct sl_rc heap_size(const uint32_t *lengths, size_t n, size_t bytes, size_t *ret,
                              struct sl_error *err) {
    uint64_t heap = 1, sum = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t len = lengths[i];
        sum += len;
        heap = len <= SHORT_MAX ? heap + 1 + len : (heap + 3) / 4 * 4 + 4 + len;
    }
    ENSURE(sum <= bytes && heap <= HEAP_MAX, err, SL_E_CORRUPT, "texts of %llu bytes in %zu",
           (unsigned long long)sum, bytes);
    *ret = heap;
    return SL_OK;
}

/* Makes datums of `n` values in the heap; their offsets into `at`. */
static void fill_heap(const uint8_t *from, const uint32_t *lengths, size_t n, uint8_t *heap,
                      uint32_t *at) {
    uint32_t end = 1;
    heap[0] = EMPTY_DATUM;
    for (size_t i = 0; i < n; i++) {
        uint32_t len = lengths[i];
        if (len == 0) {
            at[i] = 0;
            continue;
        }
        if (len <= SHORT_MAX) {
            at[i] = end;
            heap[end++] = (uint8_t)((len + 1) << 1 | 1);
        } else {
            uint32_t header = (len + 4) << 2;
            for (; end % 4 != 0; end++) {
                heap[end] = 0;
            }
            at[i] = end;
            memcpy(heap + end, &header, sizeof header);
            end += 4;
        }
        memcpy(heap + end, from, len);
        from += len;
        end += len;
    }
}

/* `n` texts off the front of the body: lengths, then bytes. */
static struct sl_rc read_texts(struct encode_work *w, struct slice *body, size_t n, uint32_t *at,
                               struct vector_memory *m, size_t *ret_heap, struct sl_error *err) {
    struct ints a;
    const uint8_t *from = NULL;
    uint64_t sum = 0;
    TRY(ints_open(body, n, 32, &a, err));
    TRY(ints_get32(&w->ints, &a, w->codes, err));
    TRY(heap_size(w->codes, n, body->len, ret_heap, err));
    for (size_t i = 0; i < n; i++) {
        sum += w->codes[i];
    }
    TRY(take(body, sum, &from, err));
    TRY(room(&m->heap, &m->heap_cap, *ret_heap));
    fill_heap(from, w->codes, n, m->heap, at);
    return SL_OK;
}

static struct sl_rc read_text_dictionary(struct encode_work *w, struct slice *body, size_t n,
                                         uint32_t *at, struct vector_memory *m, size_t *ret_heap,
                                         struct sl_error *err) {
    uint32_t *table = (uint32_t *)(void *)w->x;
    uint32_t count;
    TRY(read_count(body, n < DICTIONARY_TEXTS ? n : DICTIONARY_TEXTS, &count, err));
    TRY(read_texts(w, body, count, table, m, ret_heap, err));
    TRY(read_codes(w, body, n, count, err));
    for (size_t i = 0; i < n; i++) {
        at[i] = table[w->codes[i]];
    }
    return SL_OK;
}

static struct sl_rc read_text_column(struct encode_work *w, enum encoding encoding,
                                     struct slice *body, size_t n, struct vector_memory *m,
                                     size_t *ret_heap, struct sl_error *err) {
    uint32_t *at = (uint32_t *)(void *)m->values;
    if (encoding == ENCODING_DICTIONARY) {
        return read_text_dictionary(w, body, n, at, m, ret_heap, err);
    }
    if (encoding == ENCODING_PLAIN) {
        return read_texts(w, body, n, at, m, ret_heap, err);
    }
    ENSURE(encoding == ENCODING_CONSTANT, err, SL_E_CORRUPT, "texts in encoding %s",
           encoding_name(encoding));
    uint32_t len = (uint32_t)body->len, one;
    TRY(heap_size(&len, 1, body->len, ret_heap, err));
    TRY(room(&m->heap, &m->heap_cap, *ret_heap));
    fill_heap(body->ptr, &len, 1, m->heap, &one);
    for (size_t i = 0; i < n; i++) {
        at[i] = one;
    }
    *body = SLICE_EMPTY;
    return SL_OK;
}

struct sl_rc decode_column(struct encode_work *w, enum encoding encoding, enum vector_kind kind,
                           uint32_t rows, uint32_t nulls, struct slice body,
                           struct vector_memory *memory, struct vector *ret, struct sl_error *err) {
    size_t heap = 0, len = rows * vector_width(kind);
    sl_assert(rows <= SEGMENT_ROWS && nulls <= rows);
    TRY(room(&memory->values, &memory->values_cap, len));
    if (nulls > 0) {
        TRY(read_nulls(&body, rows, nulls, memory, err));
    }
    if (nulls == rows) {
        memset(memory->values, 0, len);
    } else if (kind == VECTOR_BYTES) {
        TRY(read_text_column(w, encoding, &body, rows, memory, &heap, err));
    } else {
        TRY(read_numbers(w, encoding, &body, rows, kind, memory->values, err));
    }
    ENSURE(body.len == 0, err, SL_E_CORRUPT, "%zu bytes too many", body.len);
    *ret = (struct vector){.kind = kind,
                           .rows = rows,
                           .nulls = nulls > 0 ? memory->nulls : NULL,
                           .v.raw = memory->values,
                           .heap = slice_of(memory->heap, heap)};
    return SL_OK;
}
