/* Segments: there and back, and whatever is changed on the way is refused. */
#include "lib/base/limits.h"
#include "lib/columnar/segment_in.h"
#include "tests/unit/columnar/rig.h"

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

enum { KINDS = VECTOR_KIND_COUNT - 1 };

/* A few columns of each kind with NULLs among them. */
static void some_columns(struct column *c, uint32_t rows) {
    for (int k = 0; k < KINDS; k++) {
        column_init(&c[k], (enum vector_kind)(k + 1), rows);
        for (uint32_t i = 0; i < rows; i++) {
            char text[200];
            snprintf(text, sizeof text, "row %u %*s", i, (int)(i % 7 == 0 ? 150 : i % 3), "x");
            if (k == VECTOR_BYTES - 1) {
                column_text(&c[k], i, slice_cstr(text));
            } else if (k == VECTOR_FLOAT32 - 1 || k == VECTOR_FLOAT64 - 1) {
                column_float(&c[k], i, i * 0.25);
            } else {
                column_int(&c[k], i, k == 0 ? (int)(i % 2) : (int)(i * 7919 % 30000) - 15000);
            }
            if (i % 5 == (uint32_t)k % 5) {
                column_null(&c[k], i);
            }
        }
    }
}

static void vectors_of(const struct column *c, struct vector *v) {
    for (int k = 0; k < KINDS; k++) {
        v[k] = c[k].v;
    }
}

static void columns_done(struct column *c) {
    for (int k = 0; k < KINDS; k++) {
        column_fini(&c[k]);
    }
}

static void test_kinds(void **state) {
    static const uint32_t counts[] = {0, 1, 2, 63, 64, 65, 1000, SEGMENT_ROWS};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct column c[KINDS];
        struct vector v[KINDS];
        some_columns(c, counts[i]);
        vectors_of(c, v);
        seal(&s, v, KINDS, counts[i]);
        same_segment(&s, v);
        columns_done(c);
    }
}

static void test_no_columns(void **state) {
    seal(&s, NULL, 0, 77);
    same_segment(&s, NULL);
}

/* Every byte, flipped: no wrong row comes out. */
static void test_flips(void **state) {
    struct column c[KINDS];
    struct vector v[KINDS];
    struct vector_memory memory = {0};
    some_columns(c, 20);
    vectors_of(c, v);
    seal(&s, v, KINDS, 20);
    for (size_t at = 0; at < s.bytes.len; at++) {
        struct segment *segment = NULL;
        struct vector got;
        bool refused = false;
        s.bytes.ptr[at] ^= (uint8_t)(1 << (at % 8));
        struct sl_rc rc = segment_open_whole(&s.key, &s.ref, buf_slice(&s.bytes), &segment, NULL);
        refused = rc.code == SL_E_CORRUPT;
        for (uint32_t i = 0; sl_is_ok(rc) && i < KINDS; i++) {
            struct sl_rc one = segment_decode(s.work, segment, i,
                                              segment_chunk_of(segment, i, buf_slice(&s.bytes)),
                                              &memory, &got, NULL);
            refused |= one.code == SL_E_CORRUPT;
        }
        assert_true(refused);
        segment_free(segment);
        s.bytes.ptr[at] ^= (uint8_t)(1 << (at % 8));
    }
    same_segment(&s, v);
    vector_memory_fini(&memory);
    columns_done(c);
}

/* Opens `bytes` as s.ref says and decodes all columns: SL_CODE_OK, or the first failure's code. */
static enum sl_code code_of(const struct segment_ref *ref, struct slice bytes,
                            struct sl_error *err) {
    struct segment *segment = NULL;
    struct vector_memory memory = {0};
    struct vector got;
    struct sl_rc rc = segment_open_whole(&s.key, ref, bytes, &segment, err);
    for (uint32_t i = 0; sl_is_ok(rc) && i < ref->columns; i++) {
        rc = segment_decode(s.work, segment, i, segment_chunk_of(segment, i, bytes), &memory, &got,
                            err);
    }
    segment_free(segment);
    vector_memory_fini(&memory);
    return rc.code;
}

static void refused(const struct segment_ref *ref, struct slice bytes, const char *why) {
    struct sl_error err = {0};
    assert_int_equal(code_of(ref, bytes, &err), SL_E_CORRUPT);
    if (strstr(err.detail, why) == NULL) {
        fail_msg("'%s' instead of '%s'", err.detail, why);
    }
}

/* A column of 500 random integers: its chunk's length is the same in every segment. */
static void random_column(struct column *c) {
    column_init(c, VECTOR_INT64, 500);
    crypto_random(c->values, 500 * sizeof(int64_t));
}

static void test_mixed_up(void **state) {
    struct column c[2];
    random_column(&c[0]);
    random_column(&c[1]);
    const struct vector v[] = {c[0].v, c[1].v}, w[] = {c[1].v, c[0].v};
    seal(&s, v, 2, 500);
    struct segment_ref ref = s.ref;
    struct segment *segment;
    assert_int_equal(code_of(&ref, buf_slice(&s.bytes), NULL), SL_CODE_OK);
    assert_true(sl_is_ok(segment_open_whole(&s.key, &ref, buf_slice(&s.bytes), &segment, NULL)));
    struct segment_column one = *segment_column(segment, 0), two = *segment_column(segment, 1);
    segment_free(segment);
    assert_int_equal(one.length, two.length);

    uint8_t *copy = malloc(ref.bytes), *older = malloc(ref.bytes);
    assert_true(copy != NULL && older != NULL);
    struct slice bytes = slice_of(copy, ref.bytes);
    memcpy(older, s.bytes.ptr, ref.bytes);
    memcpy(copy, older, ref.bytes); /* swapped within the segment */
    memcpy(copy + one.offset, older + two.offset, one.length);
    memcpy(copy + two.offset, older + one.offset, one.length);
    refused(&ref, bytes, "column 0: its seal is broken");
    for (uint32_t cut = 0; cut < ref.bytes; cut += 97) { /* cut, the row knowing and not */
        struct segment_ref less = ref;
        less.bytes = cut;
        refused(&ref, slice_of(older, cut), "segment: ");
        refused(&less, slice_of(older, cut), "segment");
    }
    struct segment_ref wrong = ref;
    wrong.storage_id[15] ^= 1;
    refused(&wrong, slice_of(older, ref.bytes), "another's");
    wrong = ref;
    wrong.segment_id[0] ^= 1;
    refused(&wrong, slice_of(older, ref.bytes), "another's");
    wrong = ref;
    wrong.rows--;
    refused(&wrong, slice_of(older, ref.bytes), "rows instead");
    wrong = ref;
    wrong.footer_offset++;
    refused(&wrong, slice_of(older, ref.bytes), "footer");

    /* the same ids sealed again: parts of the older one, and its tag, don't pass */
    struct sl_error err = {0};
    buf_reset(&s.bytes);
    assert_true(sl_is_ok(segment_seal(s.work, &s.key, w, 2, 500, &s.bytes, &s.ref, &err)));
    assert_int_equal(s.ref.bytes, ref.bytes);
    assert_int_equal(code_of(&s.ref, buf_slice(&s.bytes), NULL), SL_CODE_OK);
    refused(&ref, buf_slice(&s.bytes), "footer: its seal is broken"); /* older tag, newer bytes */
    refused(&s.ref, bytes, "footer: its seal is broken");             /* and the reverse */
    memcpy(copy, s.bytes.ptr, ref.bytes);
    memcpy(copy + one.offset, older + one.offset, one.length);
    refused(&s.ref, bytes, "column 0: its seal is broken");
    memcpy(copy, s.bytes.ptr, ref.bytes);
    memcpy(copy, older, SEGMENT_HEADER_LEN);
    refused(&s.ref, bytes, "footer: its seal is broken");

    struct secret mine = s.key;
    assert_true(sl_is_ok(secret_random(&s.key, 32)));
    refused(&s.ref, buf_slice(&s.bytes), "not sealed under this table's key");
    secret_fini(&s.key);
    s.key = mine;
    assert_int_equal(code_of(&s.ref, buf_slice(&s.bytes), NULL), SL_CODE_OK);
    free(copy);
    free(older);
    column_fini(&c[0]);
    column_fini(&c[1]);
}

/* Footers as no writer makes them, behind a seal that fits: none is believed. */
static void test_footers(void **state) {
    struct segment_ref ref = {.columns = 1, .rows = 100, .footer_offset = SEGMENT_HEADER_LEN + 10};
    struct footer_column made = {.encoding = ENCODING_PLAIN,
                                 .shown = {.kind = VECTOR_INT32,
                                           .length = 10,
                                           .plain_bytes = 20,
                                           .bounded = true,
                                           .min.i = -5,
                                           .max.i = 5}};
    struct footer_column got;
    struct buf out = BUF_INIT(10000);
    footer_write(&made, 1, &out);
    assert_true(sl_is_ok(footer_read(buf_slice(&out), &ref, &got, NULL)));
    assert_true(got.shown.min.i == -5 && got.shown.max.i == 5 && got.shown.bounded);
    assert_int_equal(got.shown.offset, SEGMENT_HEADER_LEN);
    for (size_t i = 0; i < out.len; i++) {
        assert_int_equal(footer_read(slice_of(out.ptr, i), &ref, &got, NULL).code, SL_E_CORRUPT);
    }
    buf_u8(&out, 0);
    assert_int_equal(footer_read(buf_slice(&out), &ref, &got, NULL).code, SL_E_CORRUPT);
    out.len--;
    static const struct {
        size_t at;
        uint8_t byte;
    } bad[] = {
        {0, 0},    {0, 9},    /* kind */
        {1, 0},    {1, 99},   /* encoding */
        {2, 3},               /* compression */
        {3, 0},    {3, 2},    /* flags */
        {7, 9},    {7, 11},   /* length: a gap, past the end */
        {11, 9},              /* plain length below the length */
        {8, 0x7f},            /* and far above */
        {15, 100}, {15, 101}, /* NULLs: all, more than rows */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint8_t was = out.ptr[bad[i].at];
        out.ptr[bad[i].at] = bad[i].byte;
        if (footer_read(buf_slice(&out), &ref, &got, NULL).code != SL_E_CORRUPT) {
            fail_msg("byte %zu as %u", bad[i].at, bad[i].byte);
        }
        out.ptr[bad[i].at] = was;
    }
    buf_fini(&out);
}

static struct segment_column bounds_of(const struct column *c) {
    struct segment *segment = NULL;
    seal(&s, &c->v, 1, c->v.rows);
    assert_true(sl_is_ok(segment_open_whole(&s.key, &s.ref, buf_slice(&s.bytes), &segment, NULL)));
    struct segment_column got = *segment_column(segment, 0);
    segment_free(segment);
    return got;
}

static void test_bounds(void **state) {
    struct column c;
    for (enum vector_kind kind = VECTOR_INT16; kind <= VECTOR_INT128; kind++) {
        column_init(&c, kind, 3);
        column_int(&c, 0, -3);
        column_int(&c, 1, -30000);
        column_int(&c, 2, 30000);
        struct segment_column got = bounds_of(&c);
        assert_true(got.bounded && got.min.i == -30000 && got.max.i == 30000 && got.nulls == 0);
        column_null(&c, 2);
        got = bounds_of(&c);
        assert_true(got.bounded && got.max.i == -3 && got.nulls == 1);
        column_null(&c, 0);
        column_null(&c, 1);
        got = bounds_of(&c);
        assert_true(!got.bounded && got.nulls == 3 && got.length == 0);
        column_fini(&c);
    }
    for (enum vector_kind kind = VECTOR_FLOAT32; kind <= VECTOR_FLOAT64; kind++) {
        column_init(&c, kind, 3);
        column_float(&c, 0, NAN);
        column_float(&c, 1, -INFINITY);
        column_float(&c, 2, 1.5);
        struct segment_column got = bounds_of(&c);
        assert_true(isnan(got.max.f) && got.min.f == -INFINITY);
        column_null(&c, 0);
        got = bounds_of(&c);
        assert_true(got.max.f == 1.5 && got.min.f == -INFINITY);
        column_fini(&c);
    }
    column_init(&c, VECTOR_BYTES, 3);
    column_text(&c, 0, SLICE_LIT("b"));
    column_text(&c, 1, SLICE_LIT("bb"));
    column_text(&c, 2, SLICE_LIT("\xff, and then more than thirty-two bytes"));
    struct segment_column got = bounds_of(&c);
    assert_true(slice_eq_cstr(slice_of(got.min.bytes, got.min.len), "b") && !got.min.cut);
    assert_true(got.max.cut && got.max.len == SEGMENT_BOUND_BYTES);
    assert_memory_equal(got.max.bytes, "\xff, and then more than thirty-two bytes",
                        SEGMENT_BOUND_BYTES);
    column_null(&c, 2);
    got = bounds_of(&c);
    assert_true(slice_eq_cstr(slice_of(got.max.bytes, got.max.len), "bb") && !got.max.cut);
    column_fini(&c);
}

/* What is too much is refused, and leaves `out` as it was. */
static void test_limits(void **state) {
    struct column c;
    struct sl_error err = {0};
    struct buf small = BUF_INIT(300);
    column_init(&c, VECTOR_INT64, 1000);
    crypto_random(c.values, 8000);
    buf_puts(&small, "before");
    assert_int_equal(segment_seal(s.work, &s.key, &c.v, 1, 1000, &small, &s.ref, &err).code,
                     SL_E_LIMIT);
    assert_true(slice_eq_cstr(buf_slice(&small), "before") && sl_is_ok(buf_check(&small, NULL)));
    assert_int_equal(
        segment_seal(s.work, &s.key, &c.v, 1, SEGMENT_ROWS + 1, &s.bytes, &s.ref, NULL).code,
        SL_E_LIMIT);
    assert_int_equal(
        segment_seal(s.work, &s.key, &c.v, LIMIT_SEGMENT_COLUMNS + 1, 1000, &s.bytes, &s.ref, NULL)
            .code,
        SL_E_LIMIT);
    assert_int_equal(segment_seal(s.work, &s.key, &c.v, 1, 999, &s.bytes, &s.ref, NULL).code,
                     SL_E_INTERNAL);
    column_fini(&c);
    column_init(&c, VECTOR_BYTES, 2);
    c.v.heap = slice_of("\7ab\7ab", 6); /* the second is cut: its length says three bytes */
    memcpy(c.values, (uint32_t[]){0, 3}, 8);
    assert_true(sl_is_ok(vector_check(&c.v, NULL)));
    c.v.heap.len = 5;
    assert_int_equal(segment_seal(s.work, &s.key, &c.v, 1, 2, &s.bytes, &s.ref, NULL).code,
                     SL_E_INTERNAL);
    c.v.heap.len = (size_t)LIMIT_SEGMENT_HEAP_BYTES + 1;
    assert_int_equal(segment_seal(s.work, &s.key, &c.v, 1, 2, &s.bytes, &s.ref, NULL).code,
                     SL_E_LIMIT);
    column_fini(&c);
    buf_fini(&small);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kinds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_columns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_flips, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_mixed_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_footers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bounds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_limits, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("segment", tests, NULL, NULL);
}
