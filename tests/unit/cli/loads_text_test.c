/* Loads as lines of text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/loads_text.h"

static void check(const struct load_line *l, size_t width, const char *want) {
    SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(4096);
    loads_text_put(&out, l, width);
    buf_putc(&out, '\0');
    assert_string_equal((char *)out.ptr, want);
}

static struct load_line line(void) {
    return (struct load_line){.query = SLICE_LIT("104"),
                              .database = SLICE_LIT("dev"),
                              .table = SLICE_LIT("t"),
                              .user = SLICE_LIT("awsuser"),
                              .start = SLICE_LIT("2026-11-24 19:03:12"),
                              .ms = 12345,
                              .rows = 1234567,
                              .bytes = 41200000,
                              .size = 79300000,
                              .done = 3,
                              .files = 8,
                              .percent = 52,
                              .source = SLICE_LIT("s3://b/p")};
}

static void test_running(void **state) {
    (void)state;
    struct load_line l = line();
    l.running = true;
    l.object = SLICE_LIT("s3://b/p3");
    check(&l, 0,
          "2026-11-24 19:03:12  #104  dev.t  [##########..........]  52%  41.2 MB of 79.3 MB, 3 of "
          "8 files, 1,234,567 rows, 12.3 s  s3://b/p3  (awsuser)");
    check(&l, 29, "2026-11-24 19:03:12  #104  de");
    l.size = 0;
    l.percent = 100;
    l.bytes = 999;
    l.done = l.files = l.rows = 1;
    l.errors = 1000;
    check(&l, 0,
          "2026-11-24 19:03:12  #104  dev.t  [####################] 100%  999 B, 1 of 1 file, 1 "
          "rows, 1,000 rejected, 12.3 s  s3://b/p3  (awsuser)");
}

static void test_ended(void **state) {
    (void)state;
    struct load_line l = line();
    l.bytes = 999999;
    check(&l, 0,
          "2026-11-24 19:03:12  #104  dev.t  completed  1.0 MB, 3 files, 1,234,567 rows, 12.3 s  "
          "s3://b/p  (awsuser)");
    l.failed = true;
    l.rows = 0;
    l.message = SLICE_LIT("S3 says no");
    check(&l, 0,
          "2026-11-24 19:03:12  #104  dev.t  failed     1.0 MB, 3 files, 0 rows, 12.3 s  S3 says "
          "no  (awsuser)");
}

/* What stands in a name never steers the terminal; characters are counted, not bytes. */
static void test_control(void **state) {
    (void)state;
    struct load_line l = line();
    l.start = SLICE_LIT("\033[2J\xc2\x9b\x7f\xff\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\n");
    check(&l, 11, "?[2J???\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80?");
    check(&l, 8, "?[2J???\xc3\xa4");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_running), cmocka_unit_test(test_ended),
                                       cmocka_unit_test(test_control)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
