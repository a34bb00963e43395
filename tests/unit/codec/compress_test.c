/* Blocks through zstd and LZ4: there and back, and whatever doesn't expand to the size that was
 * said is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "lib/codec/compress.h"

#include <cmocka.h>

enum { LEN = 10000 };

static struct block_work *work;
static uint8_t plain[LEN], packed[2 * LEN], back[LEN + 1];

static int set_up(void **state) {
    for (size_t i = 0; i < LEN; i++) {
        plain[i] = (uint8_t)(i * i / 301 % 7 + 'a');
    }
    return sl_is_ok(block_work_new(&work)) ? 0 : -1;
}

static int tear_down(void **state) {
    block_work_free(work);
    return 0;
}

static enum sl_code expand(enum block_method method, size_t packed_len, size_t len) {
    struct sl_error err = {0};
    back[len] = 0xa5;
    struct sl_rc rc = block_expand(work, method, slice_of(packed, packed_len), back, len, &err);
    assert_int_equal(back[len], 0xa5);
    return rc.code;
}

static void test_there_and_back(void **state) {
    for (enum block_method method = BLOCK_LZ4; method <= BLOCK_ZSTD; method++) {
        for (size_t len = 0; len <= LEN; len = len * 3 + 1) {
            size_t n = 0;
            assert_true(block_bound(len) <= sizeof packed);
            assert_true(sl_is_ok(block_compress(work, method, 1, slice_of(plain, len), packed,
                                                block_bound(len), &n)));
            assert_true(n > 0);
            assert_int_equal(expand(method, n, len), SL_CODE_OK);
            assert_memory_equal(back, plain, len);
            assert_int_equal(expand(method, n, len > 0 ? len - 1 : 1), SL_E_CORRUPT);
            assert_int_equal(expand(method, n, LEN), len == LEN ? SL_CODE_OK : SL_E_CORRUPT);
            for (size_t cut = 0; len > 0 && cut < n; cut += 1 + n / 50) {
                assert_int_equal(expand(method, cut, len), SL_E_CORRUPT);
            }
        }
    }
}

/* A cap below what is needed: nothing is written, and it's no error. */
static void test_cap(void **state) {
    for (enum block_method method = BLOCK_LZ4; method <= BLOCK_ZSTD; method++) {
        size_t n = 99;
        assert_true(
            sl_is_ok(block_compress(work, method, 3, slice_of(plain, LEN), packed, 20, &n)));
        assert_int_equal(n, 0);
    }
}

static void test_refusals(void **state) {
    memset(packed, 'x', sizeof packed);
    for (enum block_method method = BLOCK_LZ4; method < BLOCK_METHOD_COUNT; method++) {
        assert_int_equal(expand(method, 100, LEN), SL_E_CORRUPT);
        assert_int_equal(expand(method, 0, 10), SL_E_CORRUPT);
    }
    assert_int_equal(expand(BLOCK_METHOD_COUNT, 100, LEN), SL_E_CORRUPT);
    assert_int_equal(expand(BLOCK_STORED, 100, 99), SL_E_CORRUPT);
    assert_int_equal(expand(BLOCK_STORED, 100, 100), SL_CODE_OK);
    assert_memory_equal(back, packed, 100);
    assert_int_equal(expand(BLOCK_STORED, 0, 0), SL_CODE_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_cap),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests_name("compress", tests, set_up, tear_down);
}
