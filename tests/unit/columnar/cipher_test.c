/* Built twice: no value shows in a sealed segment, and in the build without a cipher this test's
 * way of looking finds it. */
#include "tests/unit/columnar/rig.h"

static bool shows(struct slice bytes, const void *canary, size_t len) {
    return memmem(bytes.ptr, bytes.len, canary, len) != NULL;
}

static void test_canaries(void **state) {
    struct sealed s;
    struct column c[2];
    uint8_t text[64];
    int64_t number = 0x1122334455667788;
    sealed_init(&s);
    crypto_random(text, sizeof text);
    column_init(&c[0], VECTOR_BYTES, 1);
    column_text(&c[0], 0, slice_of(text, sizeof text));
    column_init(&c[1], VECTOR_INT64, 1);
    column_int(&c[1], 0, number);
    const struct vector v[] = {c[0].v, c[1].v};
    seal(&s, v, 2, 1);
    same_segment(&s, v);
    assert_int_equal(shows(buf_slice(&s.bytes), text, sizeof text), segment_null_cipher());
    assert_int_equal(shows(buf_slice(&s.bytes), &number, sizeof number), segment_null_cipher());
    column_fini(&c[0]);
    column_fini(&c[1]);
    sealed_fini(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_canaries)};
    return cmocka_run_group_tests_name("cipher", tests, NULL, NULL);
}
