/* Range and conditional headers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/api/s3/range.h"

static void ranges(void **state) {
    static const struct {
        const char *header;
        uint64_t size;
        enum range_kind kind;
        uint64_t from, to;
    } cases[] = {
        {"bytes=0-0", 10, RANGE_PART, 0, 1},
        {"bytes=0-9", 10, RANGE_PART, 0, 10},
        {"bytes=2-", 10, RANGE_PART, 2, 10},
        {"bytes=5-100", 10, RANGE_PART, 5, 10},
        {"bytes=-3", 10, RANGE_PART, 7, 10},
        {"bytes=-30", 10, RANGE_PART, 0, 10},
        {"BYTES=1-2", 10, RANGE_PART, 1, 3},
        {" bytes=1-2 ", 10, RANGE_PART, 1, 3},
        {"bytes=0-18446744073709551615", 10, RANGE_PART, 0, 10},
        {"bytes=10-", 10, RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=10-20", 10, RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=18446744073709551615-", 10, RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=-0", 10, RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=-1", 0, RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=0-0", 0, RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=5-2", 10, RANGE_WHOLE, 0, 0},
        {"bytes=", 10, RANGE_WHOLE, 0, 0},
        {"bytes=-", 10, RANGE_WHOLE, 0, 0},
        {"bytes=1-2,4-5", 10, RANGE_WHOLE, 0, 0},
        {"bytes=a-b", 10, RANGE_WHOLE, 0, 0},
        {"bytes=1", 10, RANGE_WHOLE, 0, 0},
        {"items=0-1", 10, RANGE_WHOLE, 0, 0},
        {"bytes=18446744073709551616-", 10, RANGE_WHOLE, 0, 0},
        {"", 10, RANGE_WHOLE, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t from = 0;
        uint64_t to = 0;
        assert_int_equal(range_parse(slice_cstr(cases[i].header), cases[i].size, &from, &to),
                         cases[i].kind);
        assert_int_equal(from, cases[i].from);
        assert_int_equal(to, cases[i].to);
    }
}

static void etags(void **state) {
    const struct slice etag = SLICE_LIT("abc");
    assert_true(range_etag_in(SLICE_LIT("\"abc\""), etag));
    assert_true(range_etag_in(SLICE_LIT("abc"), etag));
    assert_true(range_etag_in(SLICE_LIT("W/\"abc\""), etag));
    assert_true(range_etag_in(SLICE_LIT("\"x\", \"abc\""), etag));
    assert_true(range_etag_in(SLICE_LIT("*"), etag));
    assert_false(range_etag_in(SLICE_LIT("\"ab\""), etag));
    assert_false(range_etag_in(SLICE_LIT(""), etag));
    assert_false(range_etag_in(SLICE_LIT(",,\"\""), SLICE_EMPTY));
}

static void conditions(void **state) {
    const struct slice old = SLICE_LIT("Tue, 24 Nov 2020 03:37:16 GMT");
    const struct slice young = SLICE_LIT("Tue, 24 Nov 2099 03:37:16 GMT");
    const struct slice yes = SLICE_LIT("\"abc\"");
    const struct slice no = SLICE_LIT("\"xyz\"");
    const struct {
        struct range_conditions c;
        enum range_verdict want;
    } cases[] = {
        {{.if_match.ptr = NULL}, RANGE_PROCEED},
        {{.if_match = yes}, RANGE_PROCEED},
        {{.if_match = no}, RANGE_FAILED},
        {{.if_match = yes, .if_unmodified_since = old}, RANGE_PROCEED},
        {{.if_unmodified_since = old}, RANGE_FAILED},
        {{.if_unmodified_since = young}, RANGE_PROCEED},
        {{.if_none_match = yes}, RANGE_NOT_MODIFIED},
        {{.if_none_match = no}, RANGE_PROCEED},
        {{.if_none_match = no, .if_modified_since = young}, RANGE_PROCEED},
        {{.if_modified_since = young}, RANGE_NOT_MODIFIED},
        {{.if_modified_since = old}, RANGE_PROCEED},
        {{.if_modified_since = SLICE_LIT("yesterday")}, RANGE_PROCEED},
        {{.if_match = no, .if_none_match = yes}, RANGE_FAILED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(range_check(&cases[i].c, SLICE_LIT("abc"), 1700000000), cases[i].want);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges),
        cmocka_unit_test(etags),
        cmocka_unit_test(conditions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
