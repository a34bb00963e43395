/* Segments: there and back, and whatever is changed on the way is refused. */
#include "tests/unit/columnar/rig.h"

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kinds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_columns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_flips, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("segment", tests, NULL, NULL);
}
