#include "lib/codec/text.h"

#include "lib/base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void test_base64(void **state) {
    static const struct {
        const char *plain, *text;
    } cases[] = {{"", ""},
                 {"f", "Zg=="},
                 {"fo", "Zm8="},
                 {"foo", "Zm9v"},
                 {"foob", "Zm9vYg=="},
                 {"fooba", "Zm9vYmE="},
                 {"foobar", "Zm9vYmFy"},
                 {"\xfb\xff\xbf", "+/+/"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf out = BUF_INIT(64);
        base64_put(&out, slice_cstr(cases[i].plain));
        assert_true(slice_eq_cstr(buf_slice(&out), cases[i].text));
        buf_reset(&out);
        buf_puts(&out, "<");
        assert_int_equal(base64_get(slice_cstr(cases[i].text), &out, NULL).code, SL_CODE_OK);
        assert_true(slice_eq_cstr(slice_sub(buf_slice(&out), 1, out.len), cases[i].plain));
        buf_fini(&out);
    }
}

static void test_base64_refuses(void **state) {
    static const char *const bad[] = {
        "Z",    "Zg",    "Zg=",    "Zg===", "====",     "=Zg=",       "Z===",   "Zg=A", "Zh==",
        "Zm9=", "Zm 9v", "Zm9v\n", "Zm-_",  "Zg==Zg==", "Z\xc3\xa9=", "Zm9vZg", " Zg=", "AAA\x7f"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct buf out = BUF_INIT(64);
        buf_puts(&out, "kept");
        if (base64_get(slice_cstr(bad[i]), &out, NULL).code != SL_E_PARSE ||
            !slice_eq_cstr(buf_slice(&out), "kept")) {
            fail_msg("accepted %s", bad[i]);
        }
        buf_fini(&out);
    }
    struct buf small = BUF_INIT(2);
    assert_int_equal(base64_get(SLICE_LIT("Zm9v"), &small, NULL).code, SL_E_LIMIT);
    buf_fini(&small);
}

static void test_hex(void **state) {
    struct buf out = BUF_INIT(64);
    hex_put(&out, SLICE_LIT("\x00\x1f\xab\xff"));
    assert_true(slice_eq_cstr(buf_slice(&out), "001fabff"));
    buf_reset(&out);
    assert_int_equal(hex_get(SLICE_LIT("001FaBff"), &out, NULL).code, SL_CODE_OK);
    assert_true(slice_eq(buf_slice(&out), SLICE_LIT("\x00\x1f\xab\xff")));
    static const char *const bad[] = {"0", "0g", "g0", "0x10", " 00 ", "00:0"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(hex_get(slice_cstr(bad[i]), &out, NULL).code, SL_E_PARSE);
        assert_int_equal(out.len, 4);
    }
    buf_fini(&out);
}

static void test_uri(void **state) {
    static const struct {
        const char *raw, *all, *slash;
    } cases[] = {
        {"", "", ""},
        {"AZaz09-_.~", "AZaz09-_.~", "AZaz09-_.~"},
        {"a/b c+d", "a%2Fb%20c%2Bd", "a/b%20c%2Bd"},
        {"!*'()%&=?#", "%21%2A%27%28%29%25%26%3D%3F%23", "%21%2A%27%28%29%25%26%3D%3F%23"},
        {"\xc3\xa9\x01\x7f", "%C3%A9%01%7F", "%C3%A9%01%7F"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int keep = 0; keep < 2; keep++) {
            struct arena a = ARENA_INIT(64 * 1024);
            struct buf out = BUF_INIT(1024);
            uri_encode(&out, slice_cstr(cases[i].raw), keep);
            assert_true(slice_eq_cstr(buf_slice(&out), keep ? cases[i].slash : cases[i].all));
            struct slice back;
            assert_int_equal(uri_decode(buf_slice(&out), keep, &a, NULL, &back).code, SL_CODE_OK);
            assert_true(slice_eq_cstr(back, cases[i].raw));
            buf_fini(&out);
            arena_fini(&a);
        }
    }
}

static void test_uri_decode(void **state) {
    struct arena a = ARENA_INIT(64 * 1024);
    struct slice s = SLICE_EMPTY;
    assert_int_equal(uri_decode(SLICE_LIT("a+b%2b%2B%00"), false, &a, NULL, &s).code, SL_CODE_OK);
    assert_true(slice_eq(s, SLICE_LIT("a+b++\0")));
    assert_int_equal(uri_decode(SLICE_LIT("a+b%2b"), true, &a, NULL, &s).code, SL_CODE_OK);
    assert_true(slice_eq_cstr(s, "a b+"));
    static const char *const bad[] = {"%", "%2", "a%2", "%g0", "%0g", "%%41", "%u0041", "ok%"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(uri_decode(slice_cstr(bad[i]), false, &a, NULL, &s).code, SL_E_PARSE);
    }
    struct arena tiny = ARENA_INIT(16);
    assert_int_equal(uri_decode(SLICE_LIT("x"), false, &tiny, NULL, &s).code, SL_E_LIMIT);
    arena_fini(&a);
}

static void test_params(void **state) {
    struct arena a = ARENA_INIT(1024 * 1024);
    struct params p;
    assert_int_equal(
        params_parse(SLICE_LIT("&&uploads&e=&k=a=b&sp=a+b&%6B=2&=v&&"), false, &a, NULL, &p).code,
        SL_CODE_OK);
    static const struct {
        const char *name, *value;
        bool has_value;
    } want[] = {{"uploads", "", false}, {"e", "", true},  {"k", "a=b", true},
                {"sp", "a+b", true},    {"k", "2", true}, {"", "v", true}};
    assert_int_equal(p.count, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_true(slice_eq_cstr(p.items[i].name, want[i].name));
        assert_true(slice_eq_cstr(p.items[i].value, want[i].value));
        assert_int_equal(p.items[i].has_value, want[i].has_value);
    }
    assert_true(slice_eq_cstr(params_get(&p, "k")->value, "a=b"));
    assert_null(params_get(&p, "K"));
    assert_null(params_get(NULL, "k"));
    assert_int_equal(params_parse(SLICE_LIT("a=b+c&d+e=%2B"), true, &a, NULL, &p).code, SL_CODE_OK);
    assert_true(slice_eq_cstr(params_get(&p, "a")->value, "b c"));
    assert_true(slice_eq_cstr(params_get(&p, "d e")->value, "+"));
    assert_int_equal(params_parse(SLICE_EMPTY, true, &a, NULL, &p).code, SL_CODE_OK);
    assert_int_equal(p.count, 0);
    assert_int_equal(params_parse(SLICE_LIT("a=1&b=%x"), true, &a, NULL, &p).code, SL_E_PARSE);
    assert_int_equal(params_parse(SLICE_LIT("%=1"), true, &a, NULL, &p).code, SL_E_PARSE);
    arena_fini(&a);
}

static void test_params_limit(void **state) {
    for (int extra = 0; extra < 2; extra++) {
        struct arena a = ARENA_INIT(1024 * 1024);
        struct buf b = BUF_INIT(64 * 1024);
        for (int i = 0; i < LIMIT_QUERY_PARAMS + extra; i++) {
            buf_puts(&b, "&a=1");
        }
        struct params p;
        assert_int_equal(params_parse(buf_slice(&b), false, &a, NULL, &p).code,
                         extra ? SL_E_LIMIT : SL_CODE_OK);
        buf_fini(&b);
        arena_fini(&a);
    }
}

static void test_utf8(void **state) {
    static const char *const good[] = {"",
                                       "plain ascii, more than eight bytes",
                                       "\x7f",
                                       "\xc2\x80\xdf\xbf",
                                       "\xe0\xa0\x80\xef\xbf\xbf",
                                       "\xed\x9f\xbf\xee\x80\x80",
                                       "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf",
                                       "12345678\xc3\xa9"};
    static const char *const bad[] = {"\x80",
                                      "\xbf",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc2",
                                      "\xc2\x20",
                                      "\xe0\x9f\xbf",
                                      "\xe1\x80",
                                      "\xed\xa0\x80",
                                      "\xed\xbf\xbf",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "\xf0\x90\x80",
                                      "12345678\x80",
                                      "1234567\xc3"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(utf8_valid(slice_cstr(good[i])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (utf8_valid(slice_cstr(bad[i]))) {
            fail_msg("accepted case %zu", i);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base64),       cmocka_unit_test(test_base64_refuses),
        cmocka_unit_test(test_hex),          cmocka_unit_test(test_uri),
        cmocka_unit_test(test_uri_decode),   cmocka_unit_test(test_params),
        cmocka_unit_test(test_params_limit), cmocka_unit_test(test_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
