#include "lib/crypto/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void zeroed_and_wiped(void **state) {
    struct secret keep = {0};
    struct secret s = {0};
    assert_int_equal(secret_from(&keep, SLICE_LIT("keeps the region mapped")).code, SL_CODE_OK);
    assert_int_equal(secret_from(&s, SLICE_LIT("a secret of some length")).code, SL_CODE_OK);
    const uint8_t *was = s.ptr;
    secret_fini(&s);
    assert_null(s.ptr);
    for (int i = 0; i < 64; i++) {
        assert_int_equal(was[i], 0);
    }
    secret_fini(&s); /* twice is fine, as is NULL */
    secret_fini(NULL);
    assert_int_equal(secret_init(&s, 64).code, SL_CODE_OK);
    for (int i = 0; i < 64; i++) {
        assert_int_equal(s.ptr[i], 0);
    }
    secret_fini(&s);
    assert_memory_equal(keep.ptr, "keeps the region mapped", 23);
    secret_fini(&keep);
}

static void sizes(void **state) {
    struct secret s = {0};
    assert_int_equal(secret_init(&s, SECRET_MAX_BYTES + 1).code, SL_E_LIMIT);
    assert_null(s.ptr);
    static const size_t lens[] = {0, 1, 63, 64, 65, 4096, SECRET_MAX_BYTES};
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        assert_int_equal(secret_random(&s, lens[i]).code, SL_CODE_OK);
        assert_int_equal(secret_view(&s).len, lens[i]);
        assert_non_null(s.ptr);
        secret_fini(&s);
    }
}

/* Many at once never overlap, whatever order they go in. */
static void many(void **state) {
    enum { N = 3000 };
    static struct secret all[N];
    uint32_t seed = 7;
    for (int round = 0; round < 20000; round++) {
        seed = seed * 1664525 + 1013904223;
        int i = (int)((seed >> 8) % N);
        if (all[i].ptr != NULL) {
            for (size_t b = 0; b < all[i].len; b++) {
                assert_int_equal(all[i].ptr[b], (uint8_t)i);
            }
            secret_fini(&all[i]);
        } else {
            assert_int_equal(secret_init(&all[i], (seed >> 20) % 300).code, SL_CODE_OK);
            memset(all[i].ptr, i, all[i].len);
        }
    }
    for (int i = 0; i < N; i++) {
        secret_fini(&all[i]);
    }
}

static void equality(void **state) {
    assert_true(secret_equal(SLICE_LIT("abc"), SLICE_LIT("abc")));
    assert_true(secret_equal(SLICE_EMPTY, SLICE_EMPTY));
    assert_false(secret_equal(SLICE_LIT("abc"), SLICE_LIT("abd")));
    assert_false(secret_equal(SLICE_LIT("abc"), SLICE_LIT("ab")));
}

/* A child reads what it inherited, and disturbs nothing of its parent. */
static void forks(void **state) {
    struct secret s = {0};
    assert_int_equal(secret_from(&s, SLICE_LIT("inherited")).code, SL_CODE_OK);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct secret own = {0};
        bool ok = memcmp(s.ptr, "inherited", 9) == 0 &&
                  sl_is_ok(secret_from(&own, SLICE_LIT("of the child")));
        secret_fini(&s);
        secret_fini(&own);
        _exit(ok ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_memory_equal(s.ptr, "inherited", 9);
    struct secret next = {0};
    assert_int_equal(secret_init(&next, 32).code, SL_CODE_OK);
    for (int i = 0; i < 32; i++) {
        assert_int_equal(next.ptr[i], 0);
    }
    secret_fini(&next);
    secret_fini(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeroed_and_wiped), cmocka_unit_test(sizes), cmocka_unit_test(many),
        cmocka_unit_test(equality),         cmocka_unit_test(forks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
