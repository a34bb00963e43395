#include "lib/crypto/context.h"

#include "lib/base/limits.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define PAIR(n, v)                                                                                 \
    { SLICE_LIT(n), SLICE_LIT(v) }

static struct sl_rc canonical(const struct context_pair *pairs, size_t n, struct buf *out) {
    return context_canonical(&(struct context){pairs, n}, out, NULL);
}

static void exact_bytes(void **state) {
    struct buf b SL_CLEANUP(buf_fini) = BUF_INIT(1024);
    const struct context_pair pairs[] = {PAIR("b", ""), PAIR("a", "xy")};
    assert_int_equal(canonical(pairs, 2, &b).code, SL_CODE_OK);
    assert_true(slice_eq(buf_slice(&b), SLICE_LIT("\0\2\0\1a\0\2xy\0\1b\0\0")));
    buf_reset(&b);
    assert_int_equal(context_canonical(NULL, &b, NULL).code, SL_CODE_OK);
    assert_true(slice_eq(buf_slice(&b), SLICE_LIT("\0\0")));
}

static void order_does_not_matter(void **state) {
    struct buf a SL_CLEANUP(buf_fini) = BUF_INIT(1024);
    struct buf b SL_CLEANUP(buf_fini) = BUF_INIT(1024);
    const struct context_pair up[] = {PAIR("a", "1"), PAIR("ab", "2"), PAIR("b", "3")};
    const struct context_pair down[] = {PAIR("b", "3"), PAIR("ab", "2"), PAIR("a", "1")};
    assert_int_equal(canonical(up, 3, &a).code, SL_CODE_OK);
    assert_int_equal(canonical(down, 3, &b).code, SL_CODE_OK);
    assert_true(slice_eq(buf_slice(&a), buf_slice(&b)));
}

/* Different contexts never share a form, however they are cut. */
static void cuts_matter(void **state) {
    static const struct context_pair sets[][2] = {
        {PAIR("a", "bc")},
        {PAIR("ab", "c")},
        {PAIR("abc", "")},
        {PAIR("", "abc")},
        {PAIR("a", ""), PAIR("b", "c")},
        {PAIR("a", "b"), PAIR("c", "")},
        {PAIR("a", "c"), PAIR("b", "")},
    };
    static const size_t counts[] = {1, 1, 1, 1, 2, 2, 2};
    enum { N = sizeof counts / sizeof counts[0] };
    struct buf b[N];
    for (size_t i = 0; i < N; i++) {
        b[i] = BUF_INIT(1024);
        assert_int_equal(canonical(sets[i], counts[i], &b[i]).code, SL_CODE_OK);
        for (size_t j = 0; j < i; j++) {
            assert_false(slice_eq(buf_slice(&b[i]), buf_slice(&b[j])));
        }
    }
    for (size_t i = 0; i < N; i++) {
        buf_fini(&b[i]);
    }
}

static void refusals(void **state) {
    struct buf b SL_CLEANUP(buf_fini) = BUF_INIT(64 * 1024);
    const struct context_pair twice[] = {PAIR("a", "1"), PAIR("b", "2"), PAIR("a", "1")};
    assert_int_equal(canonical(twice, 3, &b).code, SL_E_VALIDATION);
    static char text[LIMIT_KMS_CONTEXT_BYTES + 1];
    memset(text, 'x', sizeof text);
    struct context_pair one = {SLICE_LIT("n"), slice_of(text, LIMIT_KMS_CONTEXT_BYTES)};
    assert_int_equal(canonical(&one, 1, &b).code, SL_E_VALIDATION);
    one.value.len--;
    assert_int_equal(canonical(&one, 1, &b).code, SL_CODE_OK);
    static char names[LIMIT_KMS_CONTEXT_PAIRS + 1][2];
    static struct context_pair pairs[LIMIT_KMS_CONTEXT_PAIRS + 1];
    for (int i = 0; i <= LIMIT_KMS_CONTEXT_PAIRS; i++) {
        names[i][0] = (char)(i >> 8);
        names[i][1] = (char)i;
        pairs[i].name = slice_of(names[i], 2);
    }
    assert_int_equal(canonical(pairs, LIMIT_KMS_CONTEXT_PAIRS + 1, &b).code, SL_E_VALIDATION);
    assert_int_equal(canonical(pairs, LIMIT_KMS_CONTEXT_PAIRS, &b).code, SL_CODE_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_bytes),
        cmocka_unit_test(order_does_not_matter),
        cmocka_unit_test(cuts_matter),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
