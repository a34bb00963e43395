/* Arrays of unsigned integers; see ints_in.h.
 *
 * Packed: value i lies in the bits from i * width on, low ones first. Planes: a byte of each value
 * after the other, low bytes first; what is left of the width (1 to 7 bits) goes into a plane of 1,
 * 2, 4 or 8 bits a value, where byte b holds, from its low bits on, the values b, b + h, b + 2h, …
 * with h the plane's length, so that both ways are loops over whole vectors. Runs: u32 count, then
 * lengths less one and values, each an array of another form. */
#include "lib/columnar/ints_in.h"

#include "lib/columnar/avx2_in.h"

enum {
    PROBE_BYTES = 8192,
    RUN_LEAST = 6, /* runs pay when they are that long on average */
    SMALL_BYTES = 64,
};

struct sl_rc ints_work_init(struct ints_work *w, struct block_work *block, void *room, size_t n) {
    w->block = block;
    w->values = room;
    w->lengths = (uint32_t *)(w->values + n);
    w->probe = malloc(PROBE_BYTES);
    ENSURE(w->probe != NULL, NULL, SL_E_NOMEM, "integer arrays");
    return SL_OK;
}

void ints_work_fini(struct ints_work *w) {
    free(w->probe);
    *w = (struct ints_work){0};
}

/* ---- sizes ---- */

static size_t packed_len(size_t n, unsigned width) {
    return (n * width + 7) / 8;
}

/* Bits a value in the last plane, which holds width % 8. */
static unsigned rest_bits(unsigned width) {
    static const uint8_t bits[8] = {0, 1, 2, 4, 4, 8, 8, 8};
    return bits[width % 8];
}

static size_t rest_len(size_t n, unsigned width) {
    unsigned bits = rest_bits(width);
    return bits == 0 ? 0 : (n + 8 / bits - 1) / (8 / bits);
}

static size_t planes_len(size_t n, unsigned width) {
    return n * (width / 8) + rest_len(n, width);
}

/* ---- writing ---- */

/* One body for both widths of input: `v32` or `v64` is NULL, known where it is inlined. */
#define AT(i) (v32 != NULL ? (uint64_t)v32[i] : v64[i])

TWIN void split_body(const uint32_t *v32, const uint64_t *v64, size_t n, unsigned width,
                     uint8_t *out) {
    unsigned shift = 0;
    for (; shift + 8 <= width; shift += 8) {
        for (size_t i = 0; i < n; i++) {
            out[i] = (uint8_t)(AT(i) >> shift);
        }
        out += n;
    }
    unsigned bits = rest_bits(width);
    size_t h = rest_len(n, width);
    for (unsigned at = 0; bits > 0 && at < 8; at += bits) {
        size_t first = at / bits * h;
        size_t count = first >= n ? 0 : n - first < h ? n - first : h;
        for (size_t i = 0; i < count; i++) {
            uint8_t part = (uint8_t)(AT(first + i) >> shift << at);
            out[i] = at == 0 ? part : out[i] | part;
        }
    }
}

static void split32(const uint32_t *v, size_t n, unsigned width, uint8_t *out) {
    split_body(v, NULL, n, width, out);
}
static void split64(const uint64_t *v, size_t n, unsigned width, uint8_t *out) {
    split_body(NULL, v, n, width, out);
}
AVX2 static void split32_avx2(const uint32_t *v, size_t n, unsigned width, uint8_t *out) {
    split_body(v, NULL, n, width, out);
}
AVX2 static void split64_avx2(const uint64_t *v, size_t n, unsigned width, uint8_t *out) {
    split_body(NULL, v, n, width, out);
}

void ints_split(const uint32_t *v32, const uint64_t *v64, size_t n, unsigned width, uint8_t *out,
                bool plain) {
    if (v32 != NULL) {
        (!plain && avx2() ? split32_avx2 : split32)(v32, n, width, out);
    } else {
        (!plain && avx2() ? split64_avx2 : split64)(v64, n, width, out);
    }
}

static void pack(const uint32_t *v32, const uint64_t *v64, size_t n, unsigned width, uint8_t *out) {
    unsigned __int128 held = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < n; i++) {
        held |= (unsigned __int128)AT(i) << bits;
        bits += width;
        if (bits >= 64) {
            uint64_t word = (uint64_t)held;
            memcpy(out, &word, sizeof word);
            out += sizeof word;
            held >>= 64;
            bits -= 64;
        }
    }
    for (; bits > 0; bits = bits > 8 ? bits - 8 : 0) {
        *out++ = (uint8_t)held;
        held >>= 8;
    }
}

static size_t runs_of32(const uint32_t *v, size_t n) {
    size_t runs = n > 0;
    for (size_t i = 1; i < n; i++) {
        runs += v[i] != v[i - 1];
    }
    return runs;
}

static size_t runs_of64(const uint64_t *v, size_t n) {
    size_t runs = n > 0;
    for (size_t i = 1; i < n; i++) {
        runs += v[i] != v[i - 1];
    }
    return runs;
}

/* What compression makes of a plane, by a sample of its middle. */
static struct sl_rc probe(struct ints_work *w, struct slice plane, size_t *ret) {
    struct slice sample = plane;
    size_t len = 0;
    if (plane.len > PROBE_BYTES) {
        sample = slice_of(plane.ptr + (plane.len - PROBE_BYTES) / 2, PROBE_BYTES);
    }
    TRY(block_compress(w->block, BLOCK_ZSTD, 1, sample, w->probe, sample.len, &len));
    *ret = len == 0 ? plane.len : plane.len * len / sample.len;
    return SL_OK;
}

static struct sl_rc planes_promise(struct ints_work *w, const uint8_t *planes, size_t n,
                                   unsigned width, size_t *ret) {
    size_t sum = 0, one = 0;
    for (unsigned p = 0; p < width / 8; p++) {
        TRY(probe(w, slice_of(planes + p * n, n), &one));
        sum += one;
    }
    if (rest_bits(width) > 0) {
        TRY(probe(w, slice_of(planes + width / 8 * n, rest_len(n, width)), &one));
        sum += one;
    }
    *ret = sum;
    return SL_OK;
}

static struct sl_rc put_flat(struct ints_work *w, const uint32_t *v32, const uint64_t *v64,
                             size_t n, unsigned width, struct buf *out) {
    size_t packed = packed_len(n, width), planes = planes_len(n, width), promise = SIZE_MAX;
    buf_u8(out, (uint8_t)width);
    size_t form_at = out->len;
    buf_u8(out, INTS_PACKED);
    uint8_t *p = buf_reserve(out, (packed > planes ? packed : planes) + 8);
    TRY(buf_check(out, NULL));
    if (packed > SMALL_BYTES) {
        ints_split(v32, v64, n, width, p, false);
        TRY(planes_promise(w, p, n, width, &promise));
    }
    if (promise < packed - packed / 16) {
        out->ptr[form_at] = INTS_PLANES;
        out->len += planes;
        w->loose += planes;
    } else {
        pack(v32, v64, n, width, p);
        out->len += packed;
    }
    return SL_OK;
}

static struct sl_rc put_runs(struct ints_work *w, const uint32_t *v32, const uint64_t *v64,
                             size_t n, unsigned width, struct buf *out) {
    size_t runs = 0, begin = 0;
    uint64_t longest = 0;
    for (size_t i = 1; i <= n; i++) {
        if (i == n || AT(i) != AT(begin)) {
            w->values[runs] = AT(begin);
            w->lengths[runs] = (uint32_t)(i - begin - 1);
            longest |= w->lengths[runs++];
            begin = i;
        }
    }
    uint32_t count = (uint32_t)runs;
    buf_u8(out, (uint8_t)width);
    buf_u8(out, INTS_RUNS);
    buf_put(out, slice_of(&count, sizeof count));
    TRY(put_flat(w, w->lengths, NULL, runs, ints_width(longest), out));
    return put_flat(w, NULL, w->values, runs, width, out);
}

struct sl_rc ints_put32(struct ints_work *w, const uint32_t *v, size_t n, unsigned width,
                        struct buf *out) {
    bool runs = width > 0 && n >= 2 * RUN_LEAST && runs_of32(v, n) <= n / RUN_LEAST;
    return (runs ? put_runs : put_flat)(w, v, NULL, n, width, out);
}

struct sl_rc ints_put64(struct ints_work *w, const uint64_t *v, size_t n, unsigned width,
                        struct buf *out) {
    bool runs = width > 0 && n >= 2 * RUN_LEAST && runs_of64(v, n) <= n / RUN_LEAST;
    return (runs ? put_runs : put_flat)(w, NULL, v, n, width, out);
}

/* ---- reading ---- */

static struct sl_rc open_flat(struct slice *body, size_t n, unsigned width_max, struct ints *ret,
                              struct sl_error *err) {
    ENSURE(body->len >= 2, err, SL_E_CORRUPT, "an array of integers is cut short");
    unsigned width = body->ptr[0], form = body->ptr[1];
    ENSURE(width <= width_max && form <= INTS_RUNS, err, SL_E_CORRUPT,
           "an array of integers of %u bits, form %u", width, form);
    size_t len = form == INTS_PACKED ? packed_len(n, width) : planes_len(n, width);
    *body = slice_sub(*body, 2, body->len);
    if (form != INTS_RUNS) {
        ENSURE(len <= body->len, err, SL_E_CORRUPT, "an array of integers is cut short");
        *ret = (struct ints){width, (enum ints_form)form, n, slice_sub(*body, 0, len)};
        *body = slice_sub(*body, len, body->len);
        return SL_OK;
    }
    *ret = (struct ints){width, INTS_RUNS, n, *body};
    return SL_OK;
}

/* The two arrays of runs, off the front of *body. */
static struct sl_rc open_runs(struct slice *body, size_t n, unsigned width, struct ints *lengths,
                              struct ints *values, struct sl_error *err) {
    uint32_t count;
    ENSURE(body->len >= sizeof count, err, SL_E_CORRUPT, "runs are cut short");
    memcpy(&count, body->ptr, sizeof count);
    ENSURE(count <= n, err, SL_E_CORRUPT, "%u runs of %zu values", count, n);
    *body = slice_sub(*body, sizeof count, body->len);
    TRY(open_flat(body, count, 17, lengths, err));
    ENSURE(lengths->form != INTS_RUNS, err, SL_E_CORRUPT, "runs in runs");
    TRY(open_flat(body, count, width, values, err));
    ENSURE(values->form != INTS_RUNS, err, SL_E_CORRUPT, "runs in runs");
    return SL_OK;
}

struct sl_rc ints_open(struct slice *body, size_t n, unsigned width_max, struct ints *ret,
                       struct sl_error *err) {
    struct ints a, lengths, values;
    sl_assert(n <= INTS_MAX);
    TRY(open_flat(body, n, width_max, &a, err));
    if (a.form == INTS_RUNS) {
        struct slice rest = *body;
        TRY(open_runs(&rest, n, a.width, &lengths, &values, err));
        a.bytes.len = body->len - rest.len;
        *body = rest;
    }
    *ret = a;
    return SL_OK;
}

/* Up to 16 bytes from `p` on, of `len` that are there. */
static unsigned __int128 load_part(const uint8_t *p, size_t len) {
    unsigned __int128 v = 0;
    memcpy(&v, p, len < sizeof v ? len : sizeof v);
    return v;
}

static uint64_t unpack_one(const uint8_t *p, size_t len, unsigned width, size_t i) {
    size_t bit = i * width;
    uint64_t mask = width == 64 ? UINT64_MAX : (1ULL << width) - 1;
    return width == 0 ? 0 : (uint64_t)(load_part(p + bit / 8, len - bit / 8) >> (bit % 8)) & mask;
}

/* Values from `from` on; while 8 bytes are there a value of up to 57 bits takes one load. */
static void unpack_rest64(const uint8_t *p, size_t len, unsigned width, size_t from, size_t n,
                          uint64_t *out) {
    uint64_t mask = width == 64 ? UINT64_MAX : (1ULL << width) - 1;
    size_t i = from;
    for (; width <= 57 && i < n && i * width / 8 + sizeof(uint64_t) <= len; i++) {
        uint64_t v;
        memcpy(&v, p + i * width / 8, sizeof v);
        out[i] = v >> (i * width % 8) & mask;
    }
    for (; i < n; i++) {
        out[i] = unpack_one(p, len, width, i);
    }
}

static void unpack_rest32(const uint8_t *p, size_t len, unsigned width, size_t from, size_t n,
                          uint32_t *out) {
    uint32_t mask = width == 32 ? UINT32_MAX : (1U << width) - 1;
    size_t i = from;
    for (; i < n && i * width / 8 + sizeof(uint64_t) <= len; i++) {
        uint64_t v;
        memcpy(&v, p + i * width / 8, sizeof v);
        out[i] = (uint32_t)(v >> (i * width % 8)) & mask;
    }
    for (; i < n; i++) {
        out[i] = (uint32_t)unpack_one(p, len, width, i);
    }
}

#if HAVE_AVX2
/* Eight values of up to 25 bits at once: they take `width` bytes, the second four begin in the
 * middle. Each lane gets the four bytes that hold its value, then shifts by its own count. The
 * number of values done. */
AVX2 static size_t unpack_eights(const uint8_t *p, size_t len, unsigned width, size_t n,
                                 uint32_t *out) {
    uint8_t pick[32];
    uint32_t shifts[8];
    for (unsigned k = 0; k < 8; k++) {
        unsigned bit = k < 4 ? k * width : k * width - width / 2 * 8;
        shifts[k] = bit % 8;
        for (unsigned b = 0; b < 4; b++) {
            pick[k * 4 + b] = (uint8_t)(bit / 8 + b);
        }
    }
    __m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)pick);
    __m256i by = _mm256_loadu_si256((const __m256i *)(const void *)shifts);
    __m256i mask = _mm256_set1_epi32((int)((1U << width) - 1));
    size_t i = 0;
    for (; i + 8 <= n && i / 8 * width + width / 2 + 16 <= len; i += 8) {
        const uint8_t *at = p + i / 8 * width;
        __m256i v = _mm256_inserti128_si256(
            _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)at)),
            _mm_loadu_si128((const __m128i *)(const void *)(at + width / 2)), 1);
        v = _mm256_and_si256(_mm256_srlv_epi32(_mm256_shuffle_epi8(v, bytes), by), mask);
        _mm256_storeu_si256((__m256i *)(void *)(out + i), v);
    }
    return i;
}
#endif

void ints_unpack32(const uint8_t *p, size_t len, unsigned width, size_t n, uint32_t *out,
                   bool plain) {
    size_t done = 0;
#if HAVE_AVX2
    if (!plain && width <= 25 && avx2()) {
        done = unpack_eights(p, len, width, n, out);
    }
#endif
    unpack_rest32(p, len, width, done, n, out);
}

#define PUT(i, x)                                                                                  \
    do {                                                                                           \
        if (out32 != NULL) {                                                                       \
            out32[i] = (uint32_t)(x);                                                              \
        } else {                                                                                   \
            out64[i] = (x);                                                                        \
        }                                                                                          \
    } while (0)
#define HAS(i) (out32 != NULL ? (uint64_t)out32[i] : out64[i])

/* The low byte alone starts the values, every further plane is added. */
TWIN void merge_body(const uint8_t *p, unsigned width, size_t n, uint32_t *out32, uint64_t *out64) {
    unsigned shift = 0;
    for (; shift + 8 <= width; shift += 8, p += n) {
        for (size_t i = 0; shift == 0 && i < n; i++) {
            PUT(i, (uint64_t)p[i]);
        }
        for (size_t i = 0; shift > 0 && i < n; i++) {
            PUT(i, HAS(i) | (uint64_t)p[i] << shift);
        }
    }
    unsigned bits = rest_bits(width), mask = (1U << width % 8) - 1;
    size_t h = rest_len(n, width);
    for (unsigned at = 0; bits > 0 && at < 8; at += bits) {
        size_t first = at / bits * h;
        size_t count = first >= n ? 0 : n - first < h ? n - first : h;
        for (size_t i = 0; shift == 0 && i < count; i++) {
            PUT(first + i, (uint64_t)(p[i] >> at & mask));
        }
        for (size_t i = 0; shift > 0 && i < count; i++) {
            PUT(first + i, HAS(first + i) | (uint64_t)(p[i] >> at & mask) << shift);
        }
    }
}

static void merge32(const uint8_t *p, unsigned width, size_t n, uint32_t *out) {
    merge_body(p, width, n, out, NULL);
}
static void merge64(const uint8_t *p, unsigned width, size_t n, uint64_t *out) {
    merge_body(p, width, n, NULL, out);
}
AVX2 static void merge32_avx2(const uint8_t *p, unsigned width, size_t n, uint32_t *out) {
    merge_body(p, width, n, out, NULL);
}
AVX2 static void merge64_avx2(const uint8_t *p, unsigned width, size_t n, uint64_t *out) {
    merge_body(p, width, n, NULL, out);
}

void ints_merge32(const uint8_t *p, unsigned width, size_t n, uint32_t *out, bool plain) {
    (!plain && avx2() ? merge32_avx2 : merge32)(p, width, n, out);
}

void ints_merge64(const uint8_t *p, unsigned width, size_t n, uint64_t *out, bool plain) {
    (!plain && avx2() ? merge64_avx2 : merge64)(p, width, n, out);
}

static void flat32(const struct ints *a, uint32_t *out) {
    if (a->width == 0) {
        memset(out, 0, a->n * sizeof *out);
    } else if (a->form == INTS_PACKED) {
        ints_unpack32(a->bytes.ptr, a->bytes.len, a->width, a->n, out, false);
    } else {
        ints_merge32(a->bytes.ptr, a->width, a->n, out, false);
    }
}

static void flat64(const struct ints *a, uint64_t *out) {
    if (a->width == 0) {
        memset(out, 0, a->n * sizeof *out);
    } else if (a->form == INTS_PACKED) {
        unpack_rest64(a->bytes.ptr, a->bytes.len, a->width, 0, a->n, out);
    } else {
        ints_merge64(a->bytes.ptr, a->width, a->n, out, false);
    }
}

static struct sl_rc get_runs(struct ints_work *w, const struct ints *a, uint32_t *out32,
                             uint64_t *out64, struct sl_error *err) {
    struct ints lengths, values;
    struct slice body = a->bytes;
    size_t done = 0;
    TRY(open_runs(&body, a->n, a->width, &lengths, &values, err));
    flat32(&lengths, w->lengths);
    flat64(&values, w->values);
    for (size_t r = 0; r < lengths.n; r++) {
        size_t len = (size_t)w->lengths[r] + 1;
        uint64_t v = w->values[r];
        ENSURE(len <= a->n - done, err, SL_E_CORRUPT, "runs of more than %zu values", a->n);
        for (size_t i = 0; i < len; i++) {
            PUT(done + i, v);
        }
        done += len;
    }
    ENSURE(done == a->n, err, SL_E_CORRUPT, "runs of %zu values, not %zu", done, a->n);
    return SL_OK;
}

struct sl_rc ints_get32(struct ints_work *w, const struct ints *a, uint32_t *out,
                        struct sl_error *err) {
    sl_assert(a->width <= 32);
    if (a->form == INTS_RUNS) {
        return get_runs(w, a, out, NULL, err);
    }
    flat32(a, out);
    return SL_OK;
}

struct sl_rc ints_get64(struct ints_work *w, const struct ints *a, uint64_t *out,
                        struct sl_error *err) {
    if (a->form == INTS_RUNS) {
        return get_runs(w, a, NULL, out, err);
    }
    flat64(a, out);
    return SL_OK;
}
