#include "lib/codec/xml.h"

#include "lib/base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void write_tree(struct buf *out, const struct xml *x) {
    buf_putc(out, '(');
    buf_put(out, x->name);
    buf_putc(out, '|');
    buf_put(out, x->text);
    for (const struct xml *c = x->child; c != NULL; c = c->next) {
        write_tree(out, c);
    }
    buf_putc(out, ')');
}

static void test_read(void **state) {
    static const struct {
        const char *text, *tree;
    } cases[] = {
        {"<a/>", "(a|)"},
        {"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<a>x</a>\n", "(a|x)"},
        {"\xef\xbb\xbf<a>x</a>", "(a|x)"},
        {"<a>1<b>2</b>3<c/>4</a>", "(a|134(b|2)(c|))"},
        {"<a>&lt;&amp;&gt;&quot;&apos;&#65;&#x42;</a>", "(a|<&>\"'AB)"},
        {"<a><![CDATA[<b>&amp;]]></a>", "(a|<b>&amp;)"},
        {"<a><!-- c --><?pi x?>t</a>", "(a|t)"},
        {"<a xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><b>x</b></a>", "(a|(b|x))"},
        {"<n:a xmlns:n=\"u\"><n:b n:at=\"1\">x</n:b></n:a>", "(a|(b|x))"},
        {"<a>\xc3\xa9\xf0\x9f\x98\x80</a>", "(a|\xc3\xa9\xf0\x9f\x98\x80)"},
        {"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a>\xe9</a>", "(a|\xc3\xa9)"},
        {"<a> b </a>", "(a| b )"},
        {"<D><O><K>k1</K></O><O><K>k2</K></O></D>", "(D|(O|(K|k1))(O|(K|k2)))"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena a = ARENA_INIT(1024 * 1024);
        struct buf out = BUF_INIT(1024);
        struct sl_error err = {0};
        const struct xml *root = NULL;
        if (sl_failed(xml_parse(slice_cstr(cases[i].text), &a, &err, &root))) {
            fail_msg("%s: %s", cases[i].text, err.detail);
        }
        write_tree(&out, root);
        buf_putc(&out, 0);
        assert_string_equal(out.ptr, cases[i].tree);
        buf_fini(&out);
        arena_fini(&a);
    }
}

static void test_refuses(void **state) {
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", "no element found"},
        {"   ", "no element found"},
        {"text", "syntax error"},
        {"<a>", "no element found"},
        {"<a></b>", "mismatched tag"},
        {"<a/><b/>", "junk after document element"},
        {"<a/>x", "junk after document element"},
        {"<a>&undefined;</a>", "undefined entity"},
        {"<a>&#0;</a>", "invalid character"},
        {"<a>\x01</a>", "not well-formed"},
        {"<a>\xff</a>", "not well-formed"},
        {"<a b=1/>", "not well-formed"},
        {"<n:a/>", "unbound prefix"},
        {"<!DOCTYPE a><a/>", "document type"},
        {"<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>", "document type"},
        {"<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>", "document type"},
        {"<?xml version=\"1.0\" encoding=\"klingon\"?><a/>", "unknown encoding"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena a = ARENA_INIT(1024 * 1024);
        struct sl_error err = {0};
        const struct xml *root = NULL;
        enum sl_code code = xml_parse(slice_cstr(cases[i].text), &a, &err, &root).code;
        if (code != SL_E_PARSE || strstr(err.detail, cases[i].why) == NULL || root != NULL) {
            fail_msg("%s: %s", cases[i].text, err.detail);
        }
        arena_fini(&a);
    }
}

static enum sl_code parse_nested(int depth) {
    struct arena a = ARENA_INIT(1024 * 1024);
    struct buf b = BUF_INIT(64 * 1024);
    for (int i = 0; i < depth; i++) {
        xmlw_open(&b, "e");
    }
    for (int i = 0; i < depth; i++) {
        xmlw_close(&b, "e");
    }
    const struct xml *root;
    enum sl_code code = xml_parse(buf_slice(&b), &a, NULL, &root).code;
    buf_fini(&b);
    arena_fini(&a);
    return code;
}

static void test_limits(void **state) {
    assert_int_equal(parse_nested(LIMIT_XML_DEPTH), SL_CODE_OK);
    assert_int_equal(parse_nested(LIMIT_XML_DEPTH + 1), SL_E_PARSE);
    struct arena a = ARENA_INIT(16 * 1024);
    struct buf b = BUF_INIT(64 * 1024);
    xmlw_open(&b, "a");
    for (int i = 0; i < 1000; i++) {
        xmlw_cstr(&b, "b", "");
    }
    xmlw_close(&b, "a");
    const struct xml *root;
    assert_int_equal(xml_parse(buf_slice(&b), &a, NULL, &root).code, SL_E_LIMIT);
    buf_fini(&b);
    arena_fini(&a);
}

static void test_get(void **state) {
    struct arena a = ARENA_INIT(64 * 1024);
    const struct xml *root;
    assert_int_equal(xml_parse(SLICE_LIT("<a><b>1</b><b>2</b><c/></a>"), &a, NULL, &root).code,
                     SL_CODE_OK);
    assert_true(slice_eq_cstr(xml_get(root, "b")->text, "1"));
    assert_non_null(xml_get(root, "c"));
    assert_null(xml_get(root, "a"));
    assert_null(xml_get(xml_get(root, "none"), "b"));
    arena_fini(&a);
}

static void test_write(void **state) {
    struct buf out = BUF_INIT(4096);
    xmlw_decl(&out);
    xmlw_open_ns(&out, "R", "http://x/?a&b");
    xmlw_text(&out, "E",
              SLICE_LIT("\"<&>'\" \t\n\r \x00\x01\x1f\x7f \xc3\xa9 \xff \xef\xbf\xbe\xef\xbf\xbd"));
    xmlw_int(&out, "I", -42);
    xmlw_bool(&out, "B", true);
    xmlw_bool(&out, "B", false);
    xmlw_text(&out, "N", SLICE_EMPTY);
    xmlw_close(&out, "R");
    buf_putc(&out, 0);
    assert_string_equal(
        out.ptr, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<R xmlns=\"http://x/?a&amp;b\"><E>"
                 "&quot;&lt;&amp;&gt;'&quot; \t\n&#xD; &#x0;&#x1;&#x1F;\x7f \xc3\xa9 \xef\xbf\xbd "
                 "&#xFFFE;\xef\xbf\xbd</E><I>-42</I><B>true</B><B>false</B><N></N></R>");
    buf_fini(&out);
}

/* Whatever XML can hold comes back as it was, line ends too. */
static void test_round_trip(void **state) {
    struct slice value = SLICE_LIT("a\r\nb\rc <]]> & \xf0\x9f\x98\x80\t");
    struct arena a = ARENA_INIT(64 * 1024);
    struct buf out = BUF_INIT(4096);
    xmlw_text(&out, "v", value);
    const struct xml *root;
    assert_int_equal(xml_parse(buf_slice(&out), &a, NULL, &root).code, SL_CODE_OK);
    assert_true(slice_eq(root->text, value));
    buf_fini(&out);
    arena_fini(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),   cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_limits), cmocka_unit_test(test_get),
        cmocka_unit_test(test_write),  cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
