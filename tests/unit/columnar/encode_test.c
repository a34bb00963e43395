/* Each encoding at its edges, there and back through sealed segments, and that it is chosen where
 * it should be. */
#include "lib/columnar/encode_in.h"
#include "tests/unit/columnar/rig.h"

#include <float.h>
#include <math.h>

static struct sealed s;

static int set_up(void **state) {
    sealed_init(&s);
    return 0;
}

static int tear_down(void **state) {
    sealed_fini(&s);
    return 0;
}

static const enum vector_kind ints[] = {VECTOR_INT16, VECTOR_INT32, VECTOR_INT64, VECTOR_INT128};

static __int128 least_of(enum vector_kind kind) {
    return kind == VECTOR_INT128 ? (__int128)((unsigned __int128)1 << 127)
                                 : -((__int128)1 << (8 * vector_width(kind) - 1));
}

static void expect(const struct column *c, const char *encoding) {
    const char *got = round_trip(&s, c);
    if (encoding != NULL && strcmp(got, encoding) != 0) {
        fail_msg("kind %d, %u rows: %s instead of %s", (int)c->v.kind, c->v.rows, got, encoding);
    }
}

/* Values by a function of the row, for each integer kind. */
typedef __int128 (*value_fn)(enum vector_kind kind, uint32_t row);

static void all_ints(uint32_t rows, value_fn value, uint32_t null_every, const char *encoding) {
    for (size_t k = 0; k < sizeof ints / sizeof ints[0]; k++) {
        struct column c;
        column_init(&c, ints[k], rows);
        for (uint32_t i = 0; i < rows; i++) {
            column_int(&c, i, value(ints[k], i));
            if (null_every > 0 && i % null_every == 0) {
                column_null(&c, i);
            }
        }
        expect(&c, encoding);
        column_fini(&c);
    }
}

static __int128 same(enum vector_kind kind, uint32_t row) {
    return -7;
}
static __int128 extremes(enum vector_kind kind, uint32_t row) {
    return row % 2 ? least_of(kind) : ~least_of(kind);
}
static __int128 few(enum vector_kind kind, uint32_t row) {
    __int128 k = row * 2654435761U >> 28;
    return k * k * k * 7 - 15000;
}
static __int128 rising(enum vector_kind kind, uint32_t row) {
    return (__int128)row / 4 - 1000;
}
static __int128 stepped(enum vector_kind kind, uint32_t row) {
    return (__int128)(row * 2654435761U >> 23) * 100 - 20000;
}

/* Steps above a base, by both loops: each integer kind, its sums wrapping around. */
static void test_step_twins(void **state) {
    enum { N = 333 };
    static uint32_t codes[N];
    static __int128 fast[N + 1], plain[N + 1];
    int64_t base;
    uint64_t step;
    for (size_t n = 1; n <= N; n += n < 40 ? 1 : 67) {
        for (size_t k = 0; k <= sizeof ints / sizeof ints[0]; k++) {
            enum vector_kind kind = k == 0 ? VECTOR_BOOL : ints[k - 1];
            crypto_random(codes, sizeof codes);
            crypto_random(&base, sizeof base);
            crypto_random(&step, sizeof step);
            memset(fast, 1, sizeof fast);
            memset(plain, 1, sizeof plain);
            decode_steps(codes, n, base, step, kind, (uint8_t *)fast, false);
            decode_steps(codes, n, base, step, kind, (uint8_t *)plain, true);
            assert_memory_equal(fast, plain, sizeof fast);
            uint64_t last = (uint64_t)base + step * codes[n - 1];
            size_t width = vector_width(kind);
            assert_memory_equal((uint8_t *)fast + (n - 1) * width, &last, width < 8 ? width : 8);
        }
    }
}

static void test_ints(void **state) {
    all_ints(1, same, 0, "constant");
    all_ints(SEGMENT_ROWS, same, 0, "constant");
    all_ints(5000, same, 3, "constant");
    all_ints(2, extremes, 0, NULL);
    all_ints(SEGMENT_ROWS, extremes, 0, NULL);
    all_ints(1001, extremes, 5, NULL);
    all_ints(SEGMENT_ROWS, few, 0, "dictionary");
    all_ints(4000, few, 7, "dictionary");
    all_ints(20000, rising, 0, "delta");
    all_ints(20000, rising, 11, "delta");
    all_ints(20000, stepped, 0, "reference");
    all_ints(20000, stepped, 2, "reference");
    all_ints(SEGMENT_ROWS, stepped, 0,
             "reference"); /* too many for a dictionary, near each other */
}

static void test_wide(void **state) {
    struct column c;
    column_init(&c, VECTOR_INT64, 3000);
    for (uint32_t i = 0; i < 3000; i++) { /* random, all bits */
        int64_t x;
        crypto_random(&x, sizeof x);
        column_int(&c, i, x);
    }
    expect(&c, "reference");
    for (uint32_t i = 0; i < 3000; i++) { /* sorted timestamps, five seconds apart or so */
        column_int(&c, i, 700000000000000LL + i * 5000000LL + i * 2654435761U % 1000000);
    }
    expect(&c, "delta");
    for (uint32_t i = 0; i < 3000;
         i++) { /* the greatest difference that doesn't overflow, then 1 more */
        column_int(&c, i, i == 1500 ? INT64_MAX : 0);
    }
    expect(&c, NULL);
    column_int(&c, 1501, -1);
    expect(&c, NULL);
    column_fini(&c);
    column_init(&c, VECTOR_INT128, 3000);
    for (uint32_t i = 0; i < 3000; i++) {
        column_int(&c, i, ((__int128)i << 90) - i);
        if (i % 10 < 3) {
            column_null(&c, i);
        }
    }
    expect(&c, "plain");
    for (uint32_t i = 0; i < 3000; i++) {
        column_int(&c, i, least_of(VECTOR_INT128));
    }
    expect(&c, "constant");
    column_fini(&c);
}

static void test_bool(void **state) {
    struct column c;
    for (uint32_t rows = 1; rows < 300; rows += 7) {
        column_init(&c, VECTOR_BOOL, rows);
        for (uint32_t i = 0; i < rows; i++) {
            column_int(&c, i, i % 3 == 1);
        }
        expect(&c, rows == 1 ? "constant" : "reference");
        column_fini(&c);
    }
}

static void test_all_null(void **state) {
    for (enum vector_kind kind = VECTOR_BOOL; kind < VECTOR_KIND_COUNT; kind++) {
        for (uint32_t rows = 1; rows <= SEGMENT_ROWS; rows = rows * 50 + 1) {
            struct column c;
            column_init(&c, kind, rows);
            for (uint32_t i = 0; i < rows; i++) {
                column_null(&c, i);
            }
            expect(&c, NULL);
            /* one value among them, at each end */
            c.nulls[0] = 0;
            if (kind == VECTOR_BYTES) {
                column_text(&c, 0, SLICE_LIT("alone"));
            }
            expect(&c, "constant");
            c.nulls[0] = 1;
            c.nulls[rows - 1] = 0;
            if (kind == VECTOR_BYTES) {
                column_text(&c, rows - 1, SLICE_LIT(""));
            }
            expect(&c, "constant");
            column_fini(&c);
        }
    }
}

/* What stands at NULL rows is nobody's business, even if it is no value at all. */
static void test_null_rubbish(void **state) {
    for (enum vector_kind kind = VECTOR_BOOL; kind < VECTOR_KIND_COUNT; kind++) {
        struct column c;
        column_init(&c, kind, 1000);
        for (uint32_t i = 0; i < 1000; i++) {
            if (i % 2 == 0) {
                column_null(&c, i);
                memset(c.values + i * vector_width(kind), 0xfe, vector_width(kind));
            } else if (kind == VECTOR_BYTES) {
                column_text(&c, i, SLICE_LIT("text"));
            } else {
                column_int(&c, i, kind == VECTOR_BOOL ? i % 3 == 0 : i);
            }
        }
        expect(&c, NULL);
        column_fini(&c);
    }
}

static void floats(enum vector_kind kind, double (*value)(uint32_t), uint32_t rows,
                   const char *encoding) {
    struct column c;
    column_init(&c, kind, rows);
    for (uint32_t i = 0; i < rows; i++) {
        column_float(&c, i, value(i));
    }
    expect(&c, encoding);
    column_null(&c, 0);
    column_null(&c, rows / 2);
    expect(&c, rows > 2 ? encoding : NULL);
    column_fini(&c);
}

static double prices(uint32_t i) {
    return (double)(i * 2654435761U % 100000) / 100;
}
static double wholes(uint32_t i) {
    return (double)i * 3 - 5000;
}
static double odd_ones(uint32_t i) {
    static const double odd[] = {0.0,    -0.0, INFINITY, -INFINITY, DBL_MIN, DBL_MAX, -DBL_MAX,
                                 5e-324, 1e15, -1e15,    0x1p53,    0x1p62,  1.5};
    return i % 20 == 7 ? NAN : odd[i % (sizeof odd / sizeof odd[0])];
}
static double random_ones(uint32_t i) {
    double x;
    crypto_random(&x, sizeof x);
    return x;
}
static double waves(uint32_t i) {
    return sin((double)i / 100);
}
static double minus_zero(uint32_t i) {
    return i == 3000 ? -0.0 : (double)i;
}
static double late_nan(uint32_t i) {
    return i == 3999 ? NAN : (double)i / 10;
}

static void test_floats(void **state) {
    floats(VECTOR_FLOAT64, prices, 20000, "scaled");
    floats(VECTOR_FLOAT32, prices, 20000, "scaled");
    floats(VECTOR_FLOAT64, wholes, 20000, "scaled");
    floats(VECTOR_FLOAT32, wholes, 20000, "scaled");
    floats(VECTOR_FLOAT64, odd_ones, 4000, "dictionary");
    floats(VECTOR_FLOAT32, odd_ones, 4000, "dictionary");
    floats(VECTOR_FLOAT64, odd_ones, 2, NULL);
    floats(VECTOR_FLOAT64, random_ones, 4000, "plain");
    floats(VECTOR_FLOAT32, waves, 4000, "plain");
    floats(VECTOR_FLOAT64, waves, 4000, "plain");
    floats(VECTOR_FLOAT64, minus_zero, 4000, "plain");
    floats(VECTOR_FLOAT64, late_nan, 4000, "plain");
}

/* A NaN with a payload keeps it. */
static void test_nan_bits(void **state) {
    struct column c;
    column_init(&c, VECTOR_FLOAT64, 1000);
    for (uint32_t i = 0; i < 1000; i++) {
        uint64_t bits = 0x7ff8000000000000ULL + i;
        memcpy(c.values + i * 8, &bits, 8);
    }
    expect(&c, "plain");
    column_fini(&c);
}

static void test_texts(void **state) {
    static const uint32_t lengths[] = {0, 1, 7, 8, 9, 15, 16, 17, 125, 126, 127, 128, 5000};
    static uint8_t text[5000];
    for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++) {
        for (int distinct = 0; distinct < 2; distinct++) {
            struct column c;
            column_init(&c, VECTOR_BYTES, 400);
            crypto_random(text, sizeof text);
            for (uint32_t i = 0; i < 400; i++) {
                uint32_t number = distinct ? i : i % 3;
                memcpy(text, &number, sizeof number); /* not all of it, where the text is short */
                column_text(&c, i, slice_of(text, lengths[l]));
            }
            expect(&c, lengths[l] == 0                  ? "constant"
                       : !distinct                      ? "dictionary"
                       : lengths[l] >= sizeof(uint32_t) ? "plain"
                                                        : NULL);
            column_fini(&c);
        }
    }
}

/* Texts that nothing can shrink, and many that differ by their last byte alone. */
static void test_stubborn_texts(void **state) {
    struct column c;
    uint8_t text[300];
    column_init(&c, VECTOR_BYTES, 20000);
    for (uint32_t i = 0; i < 20000; i++) {
        crypto_random(text, sizeof text);
        column_text(&c, i, slice_of(text, i % 300));
    }
    expect(&c, "plain");
    column_fini(&c);
    column_init(&c, VECTOR_BYTES, 20000);
    memset(text, 'a', sizeof text);
    for (uint32_t i = 0; i < 20000; i++) {
        text[199] = (uint8_t)(i % 251);
        text[198] = (uint8_t)(i % 13);
        column_text(&c, i, slice_of(text, 200));
        if (i % 9 == 0) {
            column_null(&c, i);
        }
    }
    expect(&c, "dictionary");
    column_fini(&c);
    column_init(&c, VECTOR_BYTES, SEGMENT_ROWS); /* past what a dictionary holds, but only late */
    for (uint32_t i = 0; i < SEGMENT_ROWS; i++) {
        uint32_t number = i < SEGMENT_ROWS / 2 ? i % 4000 : i;
        column_text(&c, i, slice_of(&number, sizeof number));
    }
    expect(&c, "plain");
    column_fini(&c);
}

/* Rows that share a value in the heap, as decoded dictionaries have it. */
static void test_shared(void **state) {
    struct column c;
    column_init(&c, VECTOR_BYTES, 3000);
    uint32_t a = vector_heap_put(&c.heap, SLICE_LIT("shared by many")),
             b = vector_heap_put(&c.heap, SLICE_LIT("by others"));
    for (uint32_t i = 0; i < 3000; i++) {
        memcpy(c.values + i * 4, i % 10 < 5 ? &a : &b, 4);
    }
    c.v.heap = buf_slice(&c.heap);
    expect(&c, "dictionary");
    /* NULLs, whose offsets are anything, and a value that lies there twice */
    uint32_t twice = vector_heap_put(&c.heap, SLICE_LIT("by others")), far = UINT32_MAX;
    c.v.heap = buf_slice(&c.heap);
    for (uint32_t i = 0; i < 3000; i += 7) {
        memcpy(c.values + i * 4, i % 2 != 0 ? &twice : &far, 4);
        if (i % 2 == 0) {
            column_null(&c, i);
        }
    }
    expect(&c, "dictionary");
    for (uint32_t bad = 1; bad <= c.heap.len; bad += (uint32_t)c.heap.len - 1) {
        struct sl_error err = {0};
        memcpy(c.values + 2999 * 4, &bad, 4); /* in a value, and behind all of them */
        c.v.nulls = NULL;
        for (uint32_t i = 0; i < 2999; i++) {
            memcpy(c.values + i * 4, &a, 4);
        }
        buf_reset(&s.bytes);
        struct sl_rc rc = segment_seal(s.work, &s.key, &c.v, 1, 3000, &s.bytes, &s.ref, &err);
        assert_int_equal(rc.code, SL_E_INTERNAL);
    }
    column_fini(&c);
}

/* Codes by AVX2 are those of the plain loop, whatever is NULL, new or out of the heap. */
static void test_shared_twins(void **state) {
    enum { ROWS = 1003, TEXTS = 60 };
    static uint32_t codes[2][ROWS], scratch[ROWS];
    for (uint32_t round = 0; round < 200; round++) {
        struct column c;
        struct dictionary d = {0};
        uint32_t at[TEXTS], random[ROWS];
        bool bad = round % 5 == 4;
        crypto_random(random, sizeof random);
        column_init(&c, VECTOR_BYTES, ROWS);
        for (uint32_t t = 0; t < TEXTS; t++) {
            at[t] = vector_heap_put(&c.heap, slice_of(&t, t % 3 + 1));
        }
        c.v.heap = buf_slice(&c.heap);
        for (uint32_t i = 0; i < ROWS; i++) {
            memcpy(c.values + i * 4, &at[random[i] % (round % TEXTS + 1)], 4);
            if (random[i] >> 16 < round % 4 * 0x1000 + (i < 40 ? 0x4000 : 0)) {
                column_null(&c, i);
            }
        }
        if (bad) { /* behind the heap, in a row that counts */
            uint32_t far = (uint32_t)c.heap.len + random[0] % 2 * 0x80000000U;
            memcpy(c.values + (ROWS / 2 + round) * 4, &far, 4);
            c.v.nulls = NULL;
        }
        assert_true(sl_is_ok(dictionary_init(&d, ROWS)));
        bool fast = dictionary_texts(&d, &c.v, scratch, codes[0], false);
        uint32_t count = d.count;
        bool plain = dictionary_texts(&d, &c.v, scratch, codes[1], true);
        assert_int_equal(fast, !bad);
        assert_int_equal(plain, fast);
        if (fast) {
            assert_int_equal(count, d.count);
            assert_memory_equal(codes[0], codes[1], sizeof codes[0]);
        }
        dictionary_fini(&d);
        column_fini(&c);
    }
}

/* The compression follows the values: none for what is packed, zstd for uneven codes, LZ4 for
 * repetitions. */
static void test_compression(void **state) {
    static const char *const expected[] = {"none", "zstd", "lz4"};
    for (size_t shape = 0; shape < 3; shape++) {
        struct column c;
        char text[1000];
        uint32_t rows = shape == 2 ? 40 : 20000;
        crypto_random(text, sizeof text);
        column_init(&c, VECTOR_BYTES, rows);
        for (uint32_t i = 0; i < rows; i++) {
            uint32_t random;
            crypto_random(&random, sizeof random);
            random >>= 8;
            if (shape < 2) {
                snprintf(text, sizeof text, "code %u",
                         shape == 0 ? random % 16 : (uint32_t)__builtin_clz(random | 1));
            } else {
                memcpy(text + 500, &i, sizeof i); /* the same page, but for its number */
            }
            column_text(&c, i, shape < 2 ? slice_cstr(text) : slice_of(text, sizeof text));
        }
        round_trip(&s, &c);
        struct segment *segment = NULL;
        assert_true(
            sl_is_ok(segment_open_whole(&s.key, &s.ref, buf_slice(&s.bytes), &segment, NULL)));
        assert_string_equal(segment_column(segment, 0)->compression, expected[shape]);
        segment_free(segment);
        column_fini(&c);
    }
}

/* A single value of 64 MiB. */
static void test_long_text(void **state) {
    enum { LONG = 64 * 1024 * 1024 };
    struct column c;
    uint8_t *text = malloc(LONG);
    assert_non_null(text);
    for (size_t i = 0; i < LONG; i++) {
        text[i] = (uint8_t)(i * i >> 11);
    }
    column_init(&c, VECTOR_BYTES, 1);
    column_text(&c, 0, slice_of(text, LONG));
    expect(&c, "constant");
    column_fini(&c);
    column_init(&c, VECTOR_BYTES, 2);
    column_text(&c, 0, SLICE_LIT("x"));
    column_text(&c, 1, slice_of(text, LONG));
    expect(&c, NULL);
    column_fini(&c);
    free(text);
}

/* Columns from a seed, which is printed: SEALIFT_SEED repeats it. */
static uint64_t seed;

static uint64_t dice(void) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed * 0x2545f4914f6cdd1dULL;
}

static uint64_t below(uint64_t n) {
    return dice() % n;
}

static void random_value(struct column *c, uint32_t row, unsigned shape, unsigned bits) {
    enum vector_kind kind = c->v.kind;
    uint64_t x = shape == 0   ? dice() >> (64 - bits)
                 : shape == 1 ? row * 3 + below(5)
                 : shape == 2 ? below(bits)
                              : row / (bits + 1);
    if (kind == VECTOR_BOOL) {
        column_int(c, row, x & 1);
    } else if (kind == VECTOR_FLOAT32 || kind == VECTOR_FLOAT64) {
        column_float(c, row, shape == 0 ? (double)x / 3 : (double)x / 100);
    } else if (kind == VECTOR_BYTES) {
        char text[400];
        int len =
            snprintf(text, sizeof text, "%0*llx", (int)(bits * (shape + 1)), (unsigned long long)x);
        column_text(c, row, slice_of(text, (size_t)len));
    } else {
        column_int(c, row, (__int128)x * (shape == 2 ? 86400 : 1) - (__int128)bits);
    }
}

static void test_random(void **state) {
    const char *given = getenv("SEALIFT_SEED");
    crypto_random(&seed, sizeof seed);
    seed = given != NULL ? strtoull(given, NULL, 0) : seed | 1;
    print_message("SEALIFT_SEED=%llu\n", (unsigned long long)seed);
    for (int round = 0; round < 400; round++) {
        struct column c;
        enum vector_kind kind = (enum vector_kind)(1 + below(VECTOR_KIND_COUNT - 1));
        uint32_t rows = (uint32_t)(below(10) == 0 ? below(SEGMENT_ROWS + 1) : below(3000));
        unsigned shape = (unsigned)below(4), bits = (unsigned)(1 + below(64));
        unsigned nulls = (unsigned)below(4);
        column_init(&c, kind, rows);
        for (uint32_t i = 0; i < rows; i++) {
            random_value(&c, i, shape, bits);
            if (nulls > 0 && below(nulls == 1 ? 100 : nulls) == 0) {
                column_null(&c, i);
            }
        }
        expect(&c, NULL);
        column_fini(&c);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_step_twins),  cmocka_unit_test(test_ints),
        cmocka_unit_test(test_wide),        cmocka_unit_test(test_bool),
        cmocka_unit_test(test_all_null),    cmocka_unit_test(test_null_rubbish),
        cmocka_unit_test(test_floats),      cmocka_unit_test(test_nan_bits),
        cmocka_unit_test(test_texts),       cmocka_unit_test(test_stubborn_texts),
        cmocka_unit_test(test_shared),      cmocka_unit_test(test_shared_twins),
        cmocka_unit_test(test_compression), cmocka_unit_test(test_long_text),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests_name("encode", tests, set_up, tear_down);
}
