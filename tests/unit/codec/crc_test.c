#include "lib/codec/crc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

enum { DATA_LEN = 5000 };
static uint8_t data[DATA_LEN];

/* The definition, a bit at a time. */
static uint64_t slow(uint64_t crc, uint64_t poly, uint64_t mask, struct slice s) {
    crc ^= mask;
    for (size_t i = 0; i < s.len; i++) {
        crc ^= s.ptr[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc & 1 ? crc >> 1 ^ poly : crc >> 1;
        }
    }
    return crc ^ mask;
}

static uint64_t more32(uint64_t crc, struct slice s) {
    return crc32_more((uint32_t)crc, s);
}
static uint64_t more32c(uint64_t crc, struct slice s) {
    return crc32c_more((uint32_t)crc, s);
}
static uint64_t join32(uint64_t a, uint64_t b, uint64_t len) {
    return crc32_join((uint32_t)a, (uint32_t)b, len);
}
static uint64_t join32c(uint64_t a, uint64_t b, uint64_t len) {
    return crc32c_join((uint32_t)a, (uint32_t)b, len);
}

static const struct {
    uint64_t (*more)(uint64_t crc, struct slice s);
    uint64_t (*join)(uint64_t first, uint64_t second, uint64_t second_len);
    uint64_t poly, mask, check;
} kinds[] = {
    {more32, join32, 0xedb88320u, UINT32_MAX, 0xcbf43926u},
    {more32c, join32c, 0x82f63b78u, UINT32_MAX, 0xe3069283u},
    {crc64nvme_more, crc64nvme_join, 0x9a6c9329ac4bc9b5u, UINT64_MAX, 0xae8b14860a799888u},
};

static void test_check_values(void **state) {
    for (size_t k = 0; k < 3; k++) {
        assert_true(kinds[k].more(0, SLICE_LIT("123456789")) == kinds[k].check);
        assert_true(kinds[k].more(0, SLICE_EMPTY) == 0);
        assert_true(kinds[k].more(kinds[k].check, SLICE_EMPTY) == kinds[k].check);
    }
}

/* All lengths about the sizes of the fast paths, at odd addresses, and in two steps. */
static void test_against_definition(void **state) {
    for (size_t k = 0; k < 3; k++) {
        for (size_t len = 0; len < 400; len++) {
            struct slice s = slice_of(data + len % 17, len);
            uint64_t want = slow(0, kinds[k].poly, kinds[k].mask, s);
            assert_true(kinds[k].more(0, s) == want);
            size_t cut = len * 7 / 11;
            uint64_t first = kinds[k].more(0, slice_sub(s, 0, cut));
            assert_true(kinds[k].more(first, slice_sub(s, cut, len)) == want);
        }
        struct slice all = slice_of(data, DATA_LEN);
        assert_true(kinds[k].more(0, all) == slow(0, kinds[k].poly, kinds[k].mask, all));
    }
}

static void test_join(void **state) {
    struct slice all = slice_of(data, DATA_LEN);
    for (size_t k = 0; k < 3; k++) {
        uint64_t want = kinds[k].more(0, all);
        for (size_t cut = 0; cut <= DATA_LEN; cut += 125) {
            uint64_t first = kinds[k].more(0, slice_sub(all, 0, cut));
            uint64_t second = kinds[k].more(0, slice_sub(all, cut, DATA_LEN));
            assert_true(kinds[k].join(first, second, DATA_LEN - cut) == want);
        }
        /* lengths that no memory holds: (a+b)+c = a+(b+c) */
        uint64_t x = 0x1234567, y = 0x89abcde, z = 0x1357924, n = 1ULL << 42, m = (1ULL << 40) + 13;
        assert_true(kinds[k].join(kinds[k].join(x, y, n), z, m) ==
                    kinds[k].join(x, kinds[k].join(y, z, m), n + m));
    }
}

int main(void) {
    uint32_t seed = 12345;
    for (size_t i = 0; i < DATA_LEN; i++) {
        seed = seed * 1664525u + 1013904223u;
        data[i] = (uint8_t)(seed >> 24);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check_values),
        cmocka_unit_test(test_against_definition),
        cmocka_unit_test(test_join),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
