/* Decimals: numeric datums to integers and back. The datums are those that PostgreSQL 15 makes of
 * the texts beside them. */
#include "lib/columnar/decimal.h"
#include "tests/unit/columnar/rig.h"

enum { WORDS = 12 };

struct datum_case {
    const char *text; /* of the numeric */
    unsigned precision, scale;
    uint16_t words[WORDS];
    unsigned count;
    __int128 want;
};

#define E18 ((__int128)1000000000000000000)

static const struct datum_case cases[] = {
    {"0", 8, 2, {0x8100}, 1, 0},
    {"12.34", 8, 2, {0x8100, 12, 3400}, 3, 1234},
    {"-12.34", 8, 2, {0xA100, 12, 3400}, 3, -1234},
    {"0.05", 8, 2, {0x8100 | 0x7F, 500}, 2, 5},
    {"-0.05", 8, 2, {0xA100 | 0x7F, 500}, 2, -5},
    {"100.00", 8, 2, {0x8100, 100}, 2, 10000},
    {"10000", 8, 0, {0x8001, 1}, 2, 10000},
    {"99999999", 8, 0, {0x8001, 9999, 9999}, 3, 99999999},
    {"999999.99", 8, 2, {0x8101, 99, 9999, 9900}, 4, 99999999},
    {"1000000000000000", 18, 2, {0x8103, 1000}, 2, E18 / 10},
    {"0.000000000000000001", 18, 18, {0x8900 | 0x7B, 100}, 2, 1},
    {"0.0001", 18, 4, {0x8200 | 0x7F, 1}, 2, 1},
    {"99999999999999999999999999999999999999",
     38,
     0,
     {0x8009, 99, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999},
     11,
     E18 *E18 * 100 - 1},
    {"-99999999999999999999.999999999999999999",
     38,
     18,
     {0xA904, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9900},
     11,
     -(E18 *E18 * 100 - 1)},
    {"NaN", 8, 2, {0xC000}, 1, INT64_MAX},
};

static enum vector_kind kind_of(unsigned precision) {
    return precision <= DECIMAL_INT64_DIGITS ? VECTOR_INT64 : VECTOR_INT128;
}

static void test_datums(void **state) {
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct datum_case *c = &cases[i];
        _Alignas(4) uint8_t out[DECIMAL_DATUM_BYTES];
        __int128 got = 0;
        uint32_t header;
        struct vector v = {.kind = kind_of(c->precision), .rows = 1, .decimal = true};
        v.scale = (uint8_t)c->scale;
        int64_t narrow = (int64_t)c->want;
        v.v.raw = v.kind == VECTOR_INT64 ? (const void *)&narrow : (const void *)&c->want;
        if (!decimal_of_datum(slice_of((const uint8_t *)c->words, 2 * c->count), c->precision,
                              c->scale, v.kind, &got) ||
            got != c->want) {
            fail_msg("%s: not read", c->text);
        }
        decimal_datum(&v, 0, out);
        memcpy(&header, out, sizeof header);
        if (header != (4 + 2 * c->count) << 2 || memcmp(out + 4, c->words, 2 * c->count) != 0) {
            fail_msg("%s: not made", c->text);
        }
    }
}

struct other_case {
    const char *why;
    unsigned precision, scale;
    uint16_t words[WORDS];
    unsigned bytes;
    bool fits;
    int64_t want;
};

static const struct other_case others[] = {
    {"long header", 8, 2, {2, 0, 12, 3400}, 8, true, 1234},
    {"long header, negative", 8, 2, {0x4002, 0, 12, 3400}, 8, true, -1234},
    {"long header, weight below zero", 8, 4, {0x4004, 0xFFFF, 7}, 6, true, -7},
    {"digits of zero behind the scale", 8, 2, {0x8000, 12, 3400, 0, 0}, 10, true, 1234},
    {"a third decimal", 8, 2, {0x8180, 12, 3410}, 6, false, 0},
    {"a decimal far behind the scale", 8, 2, {0x8000, 12, 3400, 1}, 8, false, 0},
    {"only decimals behind the scale", 8, 2, {0x8000 | 0x7E, 1}, 4, false, 0},
    {"nine digits", 8, 0, {0x8002, 1}, 4, false, 0},
    {"eighty digits", 38, 0, {0x8000 | 20, 1}, 4, false, 0},
    {"40 digits",
     38,
     0,
     {0x8009, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999},
     22,
     false,
     0},
    {"a great weight", 38, 38, {0, 0x7FFF, 1}, 6, false, 0},
    {"infinity", 38, 2, {0xD000}, 2, false, 0},
    {"minus infinity", 38, 2, {0xF000}, 2, false, 0},
    {"nothing", 8, 2, {0}, 0, false, 0},
    {"half a word", 8, 2, {0x8100, 12}, 3, false, 0},
    {"half a long header", 8, 2, {2}, 2, false, 0},
};

static void test_others(void **state) {
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        const struct other_case *c = &others[i];
        __int128 got = 0;
        bool fits = decimal_of_datum(slice_of((const uint8_t *)c->words, c->bytes), c->precision,
                                     c->scale, kind_of(c->precision), &got);
        if (fits != c->fits || (fits && got != c->want)) {
            fail_msg("%s", c->why);
        }
    }
}

/* Any integer of any scale comes back, through a segment too. */
static void test_round_trip(void **state) {
    struct sealed s;
    sealed_init(&s);
    srand(1);
    for (unsigned precision = 1; precision <= DECIMAL_DIGITS_MAX; precision++) {
        enum vector_kind kind = kind_of(precision);
        struct column c;
        enum { ROWS = 2000 };
        column_init(&c, kind, ROWS);
        c.v.decimal = true;
        c.v.scale = (uint8_t)((unsigned)rand() % (precision + 1));
        for (uint32_t i = 0; i < ROWS; i++) {
            unsigned __int128 u = 0;
            for (int k = 0; k < 9; k++) {
                u = u << 15 ^ (unsigned)rand();
            }
            __int128 x = (__int128)(u % (unsigned __int128)decimal_power((unsigned)rand() %
                                                                         (precision + 1)));
            x = i % 100 == 7 ? decimal_nan(kind) : i % 2 ? -x : x;
            column_int(&c, i, x);
        }
        seal(&s, &c.v, 1, ROWS);
        same_segment(&s, &c.v);
        struct segment *segment = NULL;
        assert_true(
            sl_is_ok(segment_open_whole(&s.key, &s.ref, buf_slice(&s.bytes), &segment, NULL)));
        assert_true(segment_column(segment, 0)->decimal);
        assert_int_equal(segment_column(segment, 0)->scale, c.v.scale);
        assert_true(segment_column(segment, 0)->max.i == decimal_nan(kind));
        segment_free(segment);
        for (uint32_t i = 0; i < ROWS; i++) {
            _Alignas(4) uint8_t out[DECIMAL_DATUM_BYTES];
            __int128 got = 0, want = 0;
            memcpy(&want, c.values + i * vector_width(kind), vector_width(kind));
            want = kind == VECTOR_INT64 ? (int64_t)want : want;
            decimal_datum(&c.v, i, out);
            assert_true(decimal_of_datum(vector_value(slice_of(out, sizeof out), 0), precision,
                                         c.v.scale, kind, &got));
            assert_true(got == want);
        }
        column_fini(&c);
    }
    sealed_fini(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_datums), cmocka_unit_test(test_others),
                                       cmocka_unit_test(test_round_trip)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
