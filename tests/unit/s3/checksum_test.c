/* Checksums of wholes and of parts put together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/api/s3/checksum.h"

static void of(enum checksum_kind k, struct slice data, uint8_t out[CHECKSUM_MAX_LEN]) {
    struct checksum c;
    assert_true(sl_is_ok(checksum_init(&c, k)));
    checksum_more(&c, data);
    checksum_end(&c, out);
    checksum_fini(&c);
}

static void known_values(void **state) {
    static const struct {
        enum checksum_kind k;
        const char *want;
    } cases[] = {
        /* of "123456789": the check values of the CRC catalogue and of the SHA standards */
        {CHECKSUM_CRC32, "y/Q5Jg=="},
        {CHECKSUM_CRC32C, "4waSgw=="},
        {CHECKSUM_CRC64NVME, "rosUhgp5mIg="},
        {CHECKSUM_SHA1, "98O8HYCOBHMq32eZZczDTKeuNEE="},
        {CHECKSUM_SHA256, "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t sum[CHECKSUM_MAX_LEN];
        struct buf text = BUF_INIT(128);
        of(cases[i].k, SLICE_LIT("123456789"), sum);
        checksum_text(slice_of(sum, checksum_len(cases[i].k)), 0, &text);
        assert_true(slice_eq_cstr(buf_slice(&text), cases[i].want));
        buf_fini(&text);
    }
}

static void joins(void **state) {
    static const enum checksum_kind kinds[] = {CHECKSUM_CRC32, CHECKSUM_CRC32C, CHECKSUM_CRC64NVME};
    for (size_t i = 0; i < 3; i++) {
        uint8_t whole[CHECKSUM_MAX_LEN];
        uint8_t part[CHECKSUM_MAX_LEN];
        uint8_t joined[CHECKSUM_MAX_LEN];
        struct checksum_join j;
        size_t len = checksum_len(kinds[i]);
        of(kinds[i], SLICE_LIT("hello brave world"), whole);
        assert_true(sl_is_ok(checksum_join_init(&j, kinds[i], CHECKSUM_FULL_OBJECT)));
        of(kinds[i], SLICE_LIT("hello "), part);
        checksum_join_part(&j, slice_of(part, len), 6);
        of(kinds[i], SLICE_LIT("brave "), part);
        checksum_join_part(&j, slice_of(part, len), 6);
        of(kinds[i], SLICE_LIT("world"), part);
        checksum_join_part(&j, slice_of(part, len), 5);
        checksum_join_end(&j, joined);
        checksum_join_fini(&j);
        assert_memory_equal(joined, whole, len);
    }
}

static void composites(void **state) {
    uint8_t part[CHECKSUM_MAX_LEN];
    uint8_t both[2 * SHA256_LEN];
    uint8_t want[SHA256_LEN];
    uint8_t got[CHECKSUM_MAX_LEN];
    struct checksum_join j;
    struct buf text = BUF_INIT(128);
    assert_true(sl_is_ok(checksum_join_init(&j, CHECKSUM_SHA256, CHECKSUM_COMPOSITE)));
    for (size_t i = 0; i < 2; i++) {
        of(CHECKSUM_SHA256, i ? SLICE_LIT("b") : SLICE_LIT("a"), part);
        memcpy(both + i * SHA256_LEN, part, SHA256_LEN);
        checksum_join_part(&j, slice_of(part, SHA256_LEN), 1);
    }
    checksum_join_end(&j, got);
    checksum_join_fini(&j);
    sha256(slice_of(both, sizeof both), want);
    assert_memory_equal(got, want, sizeof want);
    checksum_text(slice_of(got, SHA256_LEN), 2, &text);
    assert_true(slice_ends(buf_slice(&text), SLICE_LIT("=-2")));
    buf_fini(&text);
}

static void names(void **state) {
    enum checksum_kind k;
    assert_true(checksum_by_name(SLICE_LIT("crc32c"), &k));
    assert_int_equal(k, CHECKSUM_CRC32C);
    assert_true(checksum_by_header(SLICE_LIT("X-Amz-Checksum-Sha1"), &k));
    assert_int_equal(k, CHECKSUM_SHA1);
    assert_false(checksum_by_name(SLICE_LIT("md5"), &k));
    assert_false(checksum_by_name(SLICE_EMPTY, &k));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_values),
        cmocka_unit_test(joins),
        cmocka_unit_test(composites),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
