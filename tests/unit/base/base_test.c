/* Slices, buffers, readers, arenas, results. */
#include "lib/base/area.h"
#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/log.h"
#include "lib/base/rdr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static void test_slice_compare(void **state) {
    static const struct {
        const char *a, *b;
        int cmp;
        bool ieq, starts, ends;
    } cases[] = {
        {"", "", 0, true, true, true},         {"a", "", 1, false, true, true},
        {"", "a", -1, false, false, false},    {"abc", "abc", 0, true, true, true},
        {"abc", "ab", 1, false, true, false},  {"abc", "bc", -1, false, false, true},
        {"aBc", "AbC", 1, true, false, false}, {"a@", "a`", -1, false, false, false},
        {"\xff", "a", 1, false, false, false}, {"[", "{", -1, false, false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct slice a = slice_cstr(cases[i].a), b = slice_cstr(cases[i].b);
        int c = slice_cmp(a, b);
        assert_int_equal((c > 0) - (c < 0), cases[i].cmp);
        assert_int_equal(slice_eq(a, b), cases[i].cmp == 0);
        assert_int_equal(slice_eq_cstr(a, cases[i].b), cases[i].cmp == 0);
        assert_int_equal(slice_ieq(a, b), cases[i].ieq);
        assert_int_equal(slice_starts(a, b), cases[i].starts);
        assert_int_equal(slice_ends(a, b), cases[i].ends);
    }
    assert_true(slice_eq(SLICE_EMPTY, SLICE_LIT("")));
    assert_true(slice_eq(slice_cstr(NULL), SLICE_EMPTY));
}

static void test_slice_parts(void **state) {
    struct slice s = SLICE_LIT("hello");
    assert_true(slice_eq_cstr(slice_sub(s, 1, 3), "el"));
    assert_true(slice_eq_cstr(slice_sub(s, 3, 99), "lo"));
    assert_int_equal(slice_sub(s, 4, 2).len, 0);
    assert_int_equal(slice_sub(s, 99, 100).len, 0);
    assert_null(slice_sub(SLICE_EMPTY, 1, 2).ptr);
    assert_int_equal(slice_find(s, 'l'), 2);
    assert_int_equal(slice_find(s, 'z'), 5);
    assert_int_equal(slice_find(SLICE_EMPTY, 'z'), 0);
    assert_true(slice_eq_cstr(slice_trim(SLICE_LIT(" \t a b\t ")), "a b"));
    assert_int_equal(slice_trim(SLICE_LIT(" \t ")).len, 0);
    assert_int_equal(slice_trim(SLICE_LIT("\n")).len, 1);
}

static void test_slice_u64(void **state) {
    static const struct {
        const char *text;
        uint64_t max;
        bool ok;
        uint64_t value;
    } cases[] = {
        {"0", 0, true, 0},
        {"007", 9, true, 7},
        {"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
        {"18446744073709551616", UINT64_MAX, false, 0},
        {"99999999999999999999999999", UINT64_MAX, false, 0},
        {"10", 9, false, 0},
        {"", 9, false, 0},
        {"-1", 9, false, 0},
        {"+1", 9, false, 0},
        {" 1", 9, false, 0},
        {"1x", 9, false, 0},
        {"\xb2", 9, false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t v = 77;
        assert_int_equal(slice_u64(slice_cstr(cases[i].text), cases[i].max, &v), cases[i].ok);
        assert_true(v == (cases[i].ok ? cases[i].value : 77));
    }
}

static void test_buf_builds(void **state) {
    struct buf b = BUF_INIT(1024);
    buf_puts(&b, "a");
    buf_putc(&b, 'b');
    buf_put(&b, SLICE_LIT("cd"));
    buf_put(&b, SLICE_EMPTY);
    buf_printf(&b, "%s-%d", "e", 7);
    assert_true(slice_eq_cstr(buf_slice(&b), "abcde-7"));
    buf_reset(&b);
    buf_decimal(&b, 0);
    buf_decimal(&b, 100);
    buf_decimal(&b, UINT64_MAX);
    assert_true(slice_eq_cstr(buf_slice(&b), "010018446744073709551615"));
    buf_reset(&b);
    buf_u8(&b, 1);
    buf_u16(&b, 0x0203);
    buf_u32(&b, 0x04050607);
    buf_u64(&b, 0x08090a0b0c0d0e0f);
    buf_vec16(&b, SLICE_LIT("xy"));
    buf_vec32(&b, SLICE_LIT("z"));
    assert_true(
        slice_eq(buf_slice(&b), SLICE_LIT("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d"
                                          "\x0e\x0f\x00\x02xy\x00\x00\x00\x01z")));
    assert_int_equal(buf_check(&b, NULL).code, SL_CODE_OK);
    buf_fini(&b);
    assert_null(b.ptr);
    buf_fini(NULL);
}

static void test_buf_cap(void **state) {
    struct buf b = BUF_INIT(10);
    buf_puts(&b, "0123456789");
    assert_int_equal(buf_check(&b, NULL).code, SL_CODE_OK);
    buf_putc(&b, 'x');
    buf_puts(&b, ""); /* nothing more comes in, but nothing was taken away */
    struct sl_error err = {0};
    assert_int_equal(buf_check(&b, &err).code, SL_E_LIMIT);
    assert_true(slice_eq_cstr(buf_slice(&b), "0123456789"));
    buf_reset(&b);
    buf_puts(&b, "again");
    assert_int_equal(buf_check(&b, NULL).code, SL_CODE_OK);
    assert_null(buf_reserve(&b, SIZE_MAX));
    assert_true(b.failed);
    buf_fini(&b);

    struct buf none = BUF_INIT(0);
    buf_putc(&none, 'x');
    assert_true(none.failed);
    buf_fini(&none);

    struct buf wide = BUF_INIT(200000);
    static const uint8_t big[65536];
    buf_vec16(&wide, slice_of(big, 65535));
    assert_false(wide.failed);
    buf_vec16(&wide, slice_of(big, 65536));
    assert_true(wide.failed);
    assert_int_equal(wide.len, 65537);
    buf_fini(&wide);
}

static void test_buf_grows(void **state) {
    struct buf b = BUF_INIT(100000);
    b.wipe = true;
    for (uint32_t i = 0; i < 25000; i++) {
        buf_u32(&b, i);
    }
    assert_int_equal(buf_check(&b, NULL).code, SL_CODE_OK);
    struct rdr r = rdr_of(buf_slice(&b));
    for (uint32_t i = 0; i < 25000; i++) {
        assert_int_equal(rdr_u32(&r), i);
    }
    assert_int_equal(rdr_end(&r, NULL, "b").code, SL_CODE_OK);
    buf_u8(&b, 0);
    assert_true(b.failed);
    buf_fini(&b);
    assert_true(b.wipe && b.max == 100000);
}

static void test_rdr(void **state) {
    struct slice s =
        SLICE_LIT("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x00\x02xy\x00"
                  "\x00\x00\x01z");
    struct rdr r = rdr_of(s);
    assert_int_equal(rdr_u8(&r), 1);
    assert_int_equal(rdr_u16(&r), 0x0203);
    assert_int_equal(rdr_u32(&r), 0x04050607);
    assert_true(rdr_u64(&r) == 0x08090a0b0c0d0e0f);
    assert_true(slice_eq_cstr(rdr_vec16(&r), "xy"));
    struct rdr left = r;
    assert_true(slice_eq_cstr(rdr_vec32(&r), "z"));
    assert_int_equal(rdr_end(&r, NULL, "r").code, SL_CODE_OK);
    struct sl_error err = {0};
    assert_int_equal(rdr_end(&left, &err, "left").code, SL_E_PARSE);
    assert_string_equal(err.detail, "left: 5 bytes too many");
}

/* Past the end everything reads as nothing, for good. */
static void test_rdr_short(void **state) {
    static const struct slice cut[] = {
        {(const uint8_t *)"", 0},
        {(const uint8_t *)"\x00", 1},
        {(const uint8_t *)"\x00\x05xyz", 5},
        {(const uint8_t *)"\xff\xffx", 3},
    };
    for (size_t i = 0; i < 4; i++) {
        struct rdr r = rdr_of(cut[i]);
        assert_int_equal(rdr_vec16(&r).len, 0);
        assert_true(r.bad);
        assert_int_equal(rdr_u8(&r), 0);
        assert_int_equal(rdr_bytes(&r, 0).len, 0);
        assert_int_equal(rdr_end(&r, NULL, "r").code, SL_E_PARSE);
    }
    struct rdr r = rdr_of(SLICE_LIT("\xff\xff\xff\xff"));
    assert_int_equal(rdr_vec32(&r).len, 0);
    assert_true(r.bad);
    struct rdr s = rdr_of(SLICE_LIT("abc"));
    assert_int_equal(rdr_u32(&s), 0);
    assert_int_equal(rdr_bytes(&s, SIZE_MAX).len, 0);
    assert_true(s.bad);
}

/* On both sides of the size from which huge pages are asked for: aligned, all of it there. */
static void test_area(void **state) {
    static const size_t sizes[] = {1, 4097, (2 << 20) - 1, 2 << 20, (5 << 20) + 3};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t *p = area_new(sizes[i]);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % AREA_ALIGN, 0);
        memset(p, 0xa5, sizes[i]);
        assert_int_equal(p[sizes[i] - 1], 0xa5);
        free(p);
    }
}

static void test_arena(void **state) {
    struct arena a = ARENA_INIT(64 * 1024);
    for (size_t n = 0; n < 300; n++) {
        uint8_t *p = arena_alloc(&a, n);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(p[i], 0);
        }
        memset(p, 0xff, n);
    }
    arena_reset(&a);
    assert_int_equal(a.used, 0);
    struct slice s = arena_copy(&a, SLICE_LIT("copy"));
    assert_true(slice_eq_cstr(s, "copy"));
    assert_int_equal(s.ptr[4], 0);
    assert_non_null(arena_copy(&a, SLICE_EMPTY).ptr);
    assert_string_equal(arena_cstr(&a, SLICE_LIT("c")), "c");
    assert_string_equal(arena_printf(&a, "%d-%s", 5, "x"), "5-x");
    const struct slice runs[] = {SLICE_LIT("a"), SLICE_EMPTY, SLICE_LIT("b\0c"), SLICE_LIT("d")};
    struct slice joined = arena_join(&a, runs, 4);
    assert_true(slice_eq(joined, SLICE_LIT("ab\0cd")));
    assert_int_equal(joined.ptr[5], 0);
    assert_non_null(arena_join(&a, NULL, 0).ptr);
    assert_non_null(arena_alloc(&a, 20000)); /* larger than a block */
    arena_fini(&a);
}

static void test_arena_cap(void **state) {
    struct arena a = ARENA_INIT(32 * 1024);
    assert_null(arena_alloc(&a, 32 * 1024 + 1));
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_null(arena_alloc(&a, SIZE_MAX - 40));
    assert_null(arena_array(&a, SIZE_MAX / 2, 3));
    assert_null(arena_copy(&a, slice_of("", SIZE_MAX)).ptr);
    const struct slice endless[] = {slice_of("", SIZE_MAX), SLICE_LIT("ab")};
    assert_null(arena_join(&a, endless, 2).ptr);
    size_t got = 0;
    while (arena_alloc(&a, 1000) != NULL) {
        got += 1000;
        assert_true(got <= 32 * 1024);
    }
    assert_true(got >= 24 * 1024);
    assert_true(a.used <= a.max);
    arena_reset(&a);
    assert_non_null(arena_alloc(&a, 32 * 1024));
    assert_null(arena_alloc(&a, 1));
    arena_fini(&a);
}

static void test_errors(void **state) {
    struct sl_error err = {0};
    struct sl_rc rc = sl_fail(&err, SL_E_PARSE, "first %d", 1);
    assert_int_equal(rc.code, SL_E_PARSE);
    rc = sl_fail(&err, SL_E_IO, "second");
    assert_int_equal(rc.code, SL_E_IO);
    assert_int_equal(err.code, SL_E_PARSE); /* the first stays */
    assert_string_equal(sl_error_message(&err, rc.code), "first 1");
    sl_error_clear(&err);
    assert_string_equal(sl_error_message(&err, SL_E_IO), sl_code_info(SL_E_IO)->text);
    assert_true(sl_failed(sl_fail(NULL, SL_E_IO, "nobody listens")));
    for (int c = 0; c < SL_CODE_COUNT; c++) {
        const struct sl_code_info *info = sl_code_info((enum sl_code)c);
        assert_non_null(info->name);
        assert_true(info->http_status >= 200 && info->http_status < 600);
        assert_int_equal(strlen(info->sqlstate), 5);
        assert_true(info->wire[0] != '\0');
    }
    assert_string_equal(sl_code_info(SL_CODE_COUNT)->name, "SL_E_INTERNAL");
}

static void test_quote(void **state) {
    assert_string_equal(SL_Q(SLICE_LIT("a\"b\\c\n\x7f\0")), "\"a\\\"b\\\\c\\x0a\\x7f\\x00\"");
    static uint8_t odd[1000];
    assert_int_equal(strlen(SL_Q(slice_of(odd, sizeof odd))), 2 + 4 * 200);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slice_compare), cmocka_unit_test(test_slice_parts),
        cmocka_unit_test(test_slice_u64),     cmocka_unit_test(test_buf_builds),
        cmocka_unit_test(test_buf_cap),       cmocka_unit_test(test_buf_grows),
        cmocka_unit_test(test_rdr),           cmocka_unit_test(test_rdr_short),
        cmocka_unit_test(test_area),          cmocka_unit_test(test_arena),
        cmocka_unit_test(test_arena_cap),     cmocka_unit_test(test_errors),
        cmocka_unit_test(test_quote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
