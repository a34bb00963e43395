#include "lib/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

static void test_forms(void **state) {
    static const struct {
        int64_t s;
        const char *basic, *iso, *http;
    } cases[] = {
        {0, "19700101T000000Z", "1970-01-01T00:00:00Z", "Thu, 01 Jan 1970 00:00:00 GMT"},
        {1795491436, "20261124T033716Z", "2026-11-24T03:37:16Z", "Tue, 24 Nov 2026 03:37:16 GMT"},
        {951782399, "20000228T235959Z", "2000-02-28T23:59:59Z", "Mon, 28 Feb 2000 23:59:59 GMT"},
        {951782400, "20000229T000000Z", "2000-02-29T00:00:00Z", "Tue, 29 Feb 2000 00:00:00 GMT"},
        {4102444799, "20991231T235959Z", "2099-12-31T23:59:59Z", "Thu, 31 Dec 2099 23:59:59 GMT"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char basic[17], iso[21], ms[25], http[30], want[64];
        int64_t back[3];
        clock_basic(cases[i].s, basic);
        clock_iso(cases[i].s, iso);
        clock_http(cases[i].s, http);
        clock_iso_ms(cases[i].s * 1000 + 7, ms);
        assert_string_equal(basic, cases[i].basic);
        assert_string_equal(iso, cases[i].iso);
        assert_string_equal(http, cases[i].http);
        snprintf(want, sizeof want, "%.19s.007Z", cases[i].iso);
        assert_string_equal(ms, want);
        assert_true(clock_parse_basic(slice_cstr(basic), &back[0]));
        assert_true(clock_parse_iso(slice_cstr(ms), &back[1]));
        assert_true(clock_parse_http(slice_cstr(http), &back[2]));
        for (int n = 0; n < 3; n++) {
            assert_true(back[n] == cases[i].s);
        }
    }
}

static void test_refuses(void **state) {
    static const struct {
        bool (*parse)(struct slice s, int64_t *ret);
        const char *text;
    } cases[] = {
        {clock_parse_basic, ""},
        {clock_parse_basic, "20261124T033716"},
        {clock_parse_basic, "20261124T033716Z "},
        {clock_parse_basic, "20261124 033716Z"},
        {clock_parse_basic, "20261324T033716Z"},
        {clock_parse_basic, "20260024T033716Z"},
        {clock_parse_basic, "20261100T033716Z"},
        {clock_parse_basic, "20261131T033716Z"},
        {clock_parse_basic, "20260229T033716Z"},
        {clock_parse_basic, "21000229T033716Z"},
        {clock_parse_basic, "20261124T243716Z"},
        {clock_parse_basic, "20261124T036016Z"},
        {clock_parse_basic, "20261124T033761Z"},
        {clock_parse_basic, "2026112+T033716Z"},
        {clock_parse_basic, "-0261124T033716Z"},
        {clock_parse_iso, ""},
        {clock_parse_iso, "2026-11-24T03:37:16"},
        {clock_parse_iso, "2026-11-24 03:37:16Z"},
        {clock_parse_iso, "2026-11-24T03:37:16,5Z"},
        {clock_parse_iso, "2026-11-24T03:37:16.5xZ"},
        {clock_parse_iso, "2026-11-24T03:37:16+00:00Z"},
        {clock_parse_iso, "2026-02-30T03:37:16Z"},
        {clock_parse_iso, "20261124T033716Z....."},
        {clock_parse_http, ""},
        {clock_parse_http, "Tue, 24 Nov 2026 03:37:16 CET"},
        {clock_parse_http, "Tue, 24 Nox 2026 03:37:16 GMT"},
        {clock_parse_http, "Tuesday, 24-Nov-26 03:37:16 G"},
        {clock_parse_http, "Tue, 31 Nov 2026 03:37:16 GMT"},
        {clock_parse_http, "Tue, 24 Nov 2026 03-37-16 GMT"},
        {clock_parse_http, "Tue, 24 Nov 2026 03:37:16 GMT "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t s = 77;
        if (cases[i].parse(slice_cstr(cases[i].text), &s) || s != 77) {
            fail_msg("accepted %s", cases[i].text);
        }
    }
}

/* Every hour of some years, there and back. */
static void test_round_trip(void **state) {
    for (int64_t s = 1700000000; s < 1830000000; s += 3601) {
        char basic[17], http[30];
        int64_t a, b;
        clock_basic(s, basic);
        clock_http(s, http);
        assert_true(clock_parse_basic(slice_cstr(basic), &a) && a == s);
        assert_true(clock_parse_http(slice_cstr(http), &b) && b == s);
    }
}

static void test_no_time_zone(void **state) {
    setenv("TZ", "Asia/Tokyo", 1);
    tzset();
    char iso[21];
    int64_t s;
    clock_iso(0, iso);
    assert_string_equal(iso, "1970-01-01T00:00:00Z");
    assert_true(clock_parse_basic(SLICE_LIT("19700101T000000Z"), &s) && s == 0);
    unsetenv("TZ");
    tzset();
}

static void test_now(void **state) {
    int64_t mono = clock_mono_ms();
    assert_true(clock_mono_ms() >= mono);
    assert_true(clock_real_ms() / 1000 - (int64_t)time(NULL) <= 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),      cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_no_time_zone),
        cmocka_unit_test(test_now),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
