#include "lib/codec/json.h"

#include "lib/base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

/* Writes a tree back in the writer's form, so that a table can compare texts. */
static void write_tree(struct jsonw *w, const struct json *v) {
    switch (v->type) {
    case JSON_NULL:
        jsonw_null(w);
        break;
    case JSON_BOOL:
        jsonw_bool(w, v->boolean);
        break;
    case JSON_NUMBER:
        jsonw_raw(w, v->text);
        break;
    case JSON_STRING:
        jsonw_string(w, v->text);
        break;
    case JSON_ARRAY:
    case JSON_OBJECT:
        (v->type == JSON_ARRAY ? jsonw_array_begin : jsonw_object_begin)(w);
        for (const struct json *m = v->child; m != NULL; m = m->next) {
            if (v->type == JSON_OBJECT) {
                jsonw_name_slice(w, m->name);
            }
            write_tree(w, m);
        }
        (v->type == JSON_ARRAY ? jsonw_array_end : jsonw_object_end)(w);
        break;
    }
}

static const struct {
    const char *text, *written; /* NULL: as read */
} good[] = {
    {"null", NULL},
    {"true", NULL},
    {"false", NULL},
    {" \t\r\n0 \n", "0"},
    {"-0", NULL},
    {"-1.5e+10", NULL},
    {"1E2", NULL},
    {"0.125", NULL},
    {"\"\"", NULL},
    {"[]", NULL},
    {"{}", NULL},
    {"[ ]", "[]"},
    {"{ }", "{}"},
    {"[1,[2,[3]],{\"a\":[]}]", NULL},
    {"{\"a\":1,\"b\":{\"c\":null},\"\":2}", NULL},
    {" { \"a\" : [ 1 , 2 ] , \"b\" : \"x\" } ", "{\"a\":[1,2],\"b\":\"x\"}"},
    {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\\"\\\\/\\b\\f\\n\\r\\t\""},
    {"\"\\u0041\\u00e9\\u20AC\"", "\"A\xc3\xa9\xe2\x82\xac\""},
    {"\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\""},
    {"\"\xf0\x9f\x98\x80 \xef\xbf\xbf \xc2\x80\"", NULL},
    {"\"\\u0000\\u001f\\u007f\"", "\"\\u0000\\u001f\x7f\""},
    {"\"twelve chars \\u00e4 and eight more\"", "\"twelve chars \xc3\xa4 and eight more\""},
};

static void test_good(void **state) {
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct arena a = ARENA_INIT(1024 * 1024);
        struct buf out = BUF_INIT(1024);
        struct sl_error err = {0};
        const struct json *root = NULL;
        if (sl_failed(json_parse(slice_cstr(good[i].text), &a, &err, &root))) {
            fail_msg("%s: %s", good[i].text, err.detail);
        }
        struct jsonw w = jsonw_of(&out);
        write_tree(&w, root);
        buf_putc(&out, 0);
        assert_string_equal(out.ptr, good[i].written ? good[i].written : good[i].text);
        buf_fini(&out);
        arena_fini(&a);
    }
}

static const struct {
    const char *text;
    int offset;
} bad[] = {
    {"", 0},
    {"   ", 3},
    {"nul", 0},
    {"nullx", 4},
    {"True", 0},
    {"NaN", 0},
    {"Infinity", 0},
    {"01", 1},
    {"-", 1},
    {"+1", 0},
    {".5", 0},
    {"1.", 2},
    {"1.e1", 2},
    {"1e", 2},
    {"1e+", 3},
    {"0x10", 1},
    {"1e999", 5},
    {"-1e999", 6},
    {"1 2", 2},
    {"\"", 1},
    {"\"abc", 4},
    {"\"\\", 2},
    {"\"\\x\"", 2},
    {"\"\\u12\"", 2},
    {"\"\\u12g4\"", 2},
    {"\"\\ud800\"", 7},
    {"\"\\ud800\\u0041\"", 7},
    {"\"\\udc00\"", 7},
    {"\"\\ud800\\ud800\"", 7},
    {"\"a\nb\"", 2},
    {"\"\x1f\"", 1},
    {"\"\xff\"", 1},
    {"\"\xc0\x80\"", 1},
    {"\"\xc3\"", 1},
    {"\"\xed\xa0\x80\"", 1},
    {"\"\xf4\x90\x80\x80\"", 1},
    {"\"\xe0\x80\x80\"", 1},
    {"\xef\xbb\xbf{}", 0},
    {"'a'", 0},
    {"[", 1},
    {"[1", 2},
    {"[1,", 3},
    {"[1,]", 3},
    {"[,1]", 1},
    {"[1 2]", 3},
    {"[1}", 2},
    {"]", 0},
    {"{", 1},
    {"{\"a\"", 4},
    {"{\"a\":", 5},
    {"{\"a\":1", 6},
    {"{\"a\":1,", 7},
    {"{\"a\":1,}", 7},
    {"{a:1}", 1},
    {"{1:1}", 1},
    {"{\"a\" 1}", 5},
    {"{\"a\":1 \"b\":2}", 7},
    {"{\"a\":1,\"a\":2}", 13},
    {"{\"a\":1,\"\\u0061\":2}", 18},
    {"[{\"x\":0,\"b\":{},\"x\":null}]", 24},
    {"{}{}", 2},
    {"// c\n1", 0},
};

static void test_bad(void **state) {
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct arena a = ARENA_INIT(1024 * 1024);
        struct sl_error err = {0};
        const struct json *root = NULL;
        enum sl_code code = json_parse(slice_cstr(bad[i].text), &a, &err, &root).code;
        char at[64];
        snprintf(at, sizeof at, "at offset %d", bad[i].offset);
        if (code != SL_E_PARSE || !slice_ends(slice_cstr(err.detail), slice_cstr(at)) ||
            root != NULL) {
            fail_msg("%s: %s %s, wanted %s", bad[i].text, sl_code_info(code)->name, err.detail, at);
        }
        arena_fini(&a);
    }
}

/* A NUL is no end, inside or outside of a string. */
static void test_nul_bytes(void **state) {
    static const struct slice texts[] = {{(const uint8_t *)"1\0", 2},
                                         {(const uint8_t *)"\0", 1},
                                         {(const uint8_t *)"\"\0\"", 3},
                                         {(const uint8_t *)"[1,\0]", 5}};
    for (size_t i = 0; i < 4; i++) {
        struct arena a = ARENA_INIT(1024 * 1024);
        const struct json *root;
        assert_int_equal(json_parse(texts[i], &a, NULL, &root).code, SL_E_PARSE);
        arena_fini(&a);
    }
}

static void test_numbers(void **state) {
    static const struct {
        const char *text;
        bool is_int;
        int64_t integer;
        double real;
    } cases[] = {
        {"0", true, 0, 0},
        {"-0", true, 0, 0},
        {"9223372036854775807", true, INT64_MAX, 9223372036854775807.0},
        {"-9223372036854775808", true, INT64_MIN, -9223372036854775808.0},
        {"9223372036854775808", false, 0, 9223372036854775808.0},
        {"-9223372036854775809", false, 0, -9223372036854775809.0},
        {"100000000000000000000000000", false, 0, 1e26},
        {"1.0", false, 0, 1.0},
        {"1e2", false, 0, 100.0},
        {"-2.5E-3", false, 0, -0.0025},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena a = ARENA_INIT(1024 * 1024);
        const struct json *v;
        assert_int_equal(json_parse(slice_cstr(cases[i].text), &a, NULL, &v).code, SL_CODE_OK);
        assert_int_equal(v->type, JSON_NUMBER);
        assert_int_equal(v->is_int, cases[i].is_int);
        assert_true(!v->is_int || v->integer == cases[i].integer);
        assert_true(v->real == cases[i].real);
        assert_true(slice_eq_cstr(v->text, cases[i].text));
        arena_fini(&a);
    }
    struct arena a = ARENA_INIT(1024 * 1024);
    const struct json *v; /* a number's value does not reach into what follows */
    assert_int_equal(json_parse(SLICE_LIT("[1.5,2.5]"), &a, NULL, &v).code, SL_CODE_OK);
    assert_true(v->child->real == 1.5 && v->child->next->real == 2.5);
    arena_fini(&a);
}

static enum sl_code parse_nested(int depth, uint8_t open, uint8_t close) {
    struct arena a = ARENA_INIT(1024 * 1024);
    struct buf b = BUF_INIT(1024 * 1024);
    for (int i = 0; i < depth; i++) {
        buf_putc(&b, open);
        buf_puts(&b, open == '{' && i + 1 < depth ? "\"a\":" : "");
    }
    for (int i = 0; i < depth; i++) {
        buf_putc(&b, close);
    }
    const struct json *root;
    enum sl_code code = json_parse(buf_slice(&b), &a, NULL, &root).code;
    buf_fini(&b);
    arena_fini(&a);
    return code;
}

static void test_depth(void **state) {
    assert_int_equal(parse_nested(LIMIT_JSON_DEPTH, '[', ']'), SL_CODE_OK);
    assert_int_equal(parse_nested(LIMIT_JSON_DEPTH + 1, '[', ']'), SL_E_PARSE);
    assert_int_equal(parse_nested(LIMIT_JSON_DEPTH, '{', '}'), SL_CODE_OK);
    assert_int_equal(parse_nested(LIMIT_JSON_DEPTH + 1, '{', '}'), SL_E_PARSE);
    assert_int_equal(parse_nested(100000, '[', ']'), SL_E_PARSE);
}

static void test_many_members(void **state) {
    for (int twice = 0; twice < 2; twice++) {
        struct arena a = ARENA_INIT(64 * 1024 * 1024);
        struct buf b = BUF_INIT(4 * 1024 * 1024);
        buf_putc(&b, '{');
        for (int i = 0; i < 50000; i++) {
            buf_printf(&b, "\"m%d\":%d,", i, i);
        }
        buf_puts(&b, twice ? "\"m17\":0}" : "\"last\":0}");
        const struct json *root = NULL;
        assert_int_equal(json_parse(buf_slice(&b), &a, NULL, &root).code,
                         twice ? SL_E_PARSE : SL_CODE_OK);
        if (!twice) {
            assert_int_equal(root->count, 50001);
            assert_int_equal(json_get(root, "m49999")->integer, 49999);
            assert_null(json_get(root, "m50000"));
        }
        buf_fini(&b);
        arena_fini(&a);
    }
}

static void test_arena_cap(void **state) {
    struct arena a = ARENA_INIT(32 * 1024);
    struct buf b = BUF_INIT(64 * 1024);
    buf_putc(&b, '[');
    for (int i = 0; i < 5000; i++) {
        buf_puts(&b, "1,");
    }
    buf_puts(&b, "1]");
    const struct json *root;
    assert_int_equal(json_parse(buf_slice(&b), &a, NULL, &root).code, SL_E_LIMIT);
    buf_fini(&b);
    arena_fini(&a);
}

static void test_get(void **state) {
    struct arena a = ARENA_INIT(1024 * 1024);
    const struct json *root;
    assert_int_equal(json_parse(SLICE_LIT("{\"a\":[1,2],\"b\":\"x\"}"), &a, NULL, &root).code,
                     SL_CODE_OK);
    assert_int_equal(json_get(root, "a")->count, 2);
    assert_int_equal(json_get(root, "b")->type, JSON_STRING);
    assert_null(json_get(root, "A"));
    assert_null(json_get(NULL, "a"));
    assert_null(json_get(json_get(root, "a"), "a"));
    assert_null(json_get(json_get(root, "b"), "a"));
    arena_fini(&a);
}

static void test_writer(void **state) {
    struct buf out = BUF_INIT(1024);
    struct jsonw w = jsonw_of(&out);
    jsonw_object_begin(&w);
    jsonw_name(&w, "t");
    jsonw_epoch_ms(&w, 1795491436007);
    jsonw_name(&w, "old");
    jsonw_epoch_ms(&w, -1500);
    jsonw_name(&w, "b");
    jsonw_base64(&w, SLICE_LIT("\x00\xff"));
    jsonw_name(&w, "list");
    jsonw_array_begin(&w);
    jsonw_int(&w, INT64_MIN);
    jsonw_bool(&w, true);
    jsonw_null(&w);
    jsonw_raw(&w, SLICE_LIT("{\"r\":1}"));
    jsonw_object_begin(&w);
    jsonw_object_end(&w);
    jsonw_array_end(&w);
    jsonw_name(&w, "q\"");
    jsonw_string(&w, SLICE_LIT("ok \xc3\xa9 \xff\xc3 \xed\xa0\x80 </script>\x1b\\"));
    jsonw_object_end(&w);
    buf_putc(&out, 0);
    assert_string_equal(out.ptr,
                        "{\"t\":1795491436.007,\"old\":-1.500,\"b\":\"AP8=\",\"list\":["
                        "-9223372036854775808,true,null,{\"r\":1},{}],\"q\\\"\":\"ok \xc3\xa9 "
                        "\xef\xbf\xbd\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd "
                        "</script>\\u001b\\\\\"}");
    buf_fini(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),      cmocka_unit_test(test_bad),
        cmocka_unit_test(test_nul_bytes), cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_depth),     cmocka_unit_test(test_many_members),
        cmocka_unit_test(test_arena_cap), cmocka_unit_test(test_get),
        cmocka_unit_test(test_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
