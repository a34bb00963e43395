/* Arrays of integers: each width in each form, and the vector loops against their plain twins. */
#include "lib/columnar/ints_in.h"
#include "tests/unit/columnar/rig.h"

static struct ints_work work;
static struct block_work *block;
static void *room;

static int set_up(void **state) {
    room = malloc((size_t)INTS_MAX * INTS_ROOM);
    assert_non_null(room);
    assert_true(sl_is_ok(block_work_new(&block)));
    assert_true(sl_is_ok(ints_work_init(&work, block, room, INTS_MAX)));
    return 0;
}

static int tear_down(void **state) {
    ints_work_fini(&work);
    block_work_free(block);
    free(room);
    return 0;
}

static uint64_t mask_of(unsigned width) {
    return width == 64 ? UINT64_MAX : (1ULL << width) - 1;
}

/* There and back as 64-bit and, where they fit, as 32-bit integers. The form. */
static enum ints_form there_and_back(const uint64_t *v, size_t n, unsigned width) {
    struct buf out = BUF_INIT(1 << 24), out32 = BUF_INIT(1 << 24);
    uint64_t *got = calloc(n + 1, sizeof *got);
    uint32_t *low = calloc(n + 1, sizeof *low), *got32 = calloc(n + 1, sizeof *got32);
    struct ints a;
    assert_true(sl_is_ok(ints_put64(&work, v, n, width, &out)));
    struct slice body = buf_slice(&out);
    assert_true(sl_is_ok(ints_open(&body, n, 64, &a, NULL)));
    assert_int_equal(body.len, 0);
    assert_true(sl_is_ok(ints_get64(&work, &a, got, NULL)));
    assert_memory_equal(got, v, n * sizeof *v);
    if (width <= 32) {
        for (size_t i = 0; i < n; i++) {
            low[i] = (uint32_t)v[i];
        }
        assert_true(sl_is_ok(ints_put32(&work, low, n, width, &out32)));
        assert_true(slice_eq(buf_slice(&out), buf_slice(&out32)));
        assert_true(sl_is_ok(ints_get32(&work, &a, got32, NULL)));
        assert_memory_equal(got32, low, n * sizeof *low);
    } else {
        body = buf_slice(&out);
        assert_int_equal(ints_open(&body, n, 32, &a, NULL).code, SL_E_CORRUPT);
    }
    /* cut anywhere it doesn't open */
    for (size_t cut = 0; n > 0 && n < 100 && cut < out.len; cut++) {
        body = slice_of(out.ptr, cut);
        assert_int_equal(ints_open(&body, n, 64, &a, NULL).code, SL_E_CORRUPT);
    }
    enum ints_form form = (enum ints_form)out.ptr[1];
    buf_fini(&out);
    buf_fini(&out32);
    free(got);
    free(low);
    free(got32);
    return form;
}

static void test_widths(void **state) {
    static const size_t counts[] = {0, 1, 2, 7, 8, 9, 15, 63, 64, 65, 1000, 5003};
    static uint64_t v[5003];
    for (unsigned width = 0; width <= 64; width++) {
        for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
            size_t n = counts[c];
            crypto_random(v, sizeof v);
            for (size_t i = 0; i < n; i++) {
                v[i] &= mask_of(width); /* random: compression has nothing to gain */
            }
            assert_int_equal(there_and_back(v, n, width), INTS_PACKED);
            for (size_t i = 0; i < n; i++) {
                v[i] = i % 4 == 0 ? v[i] : mask_of(width) >> width / 2; /* planes */
            }
            enum ints_form form = there_and_back(v, n, width);
            assert_true(n < 5003 || width < 4 || form == INTS_PLANES);
            for (size_t i = 0; i < n; i++) {
                v[i] = v[i / 40 * 40];
            }
            form = there_and_back(v, n, width);
            assert_true(n < 1000 || width < 8 || form == INTS_RUNS);
        }
    }
}

static void test_one_run(void **state) {
    static uint64_t v[INTS_MAX];
    for (size_t i = 0; i < INTS_MAX; i++) {
        v[i] = UINT64_MAX;
    }
    assert_int_equal(there_and_back(v, INTS_MAX, 64), INTS_RUNS);
    v[INTS_MAX - 1] = 0;
    assert_int_equal(there_and_back(v, INTS_MAX, 64), INTS_RUNS);
}

/* The vector loops give what the plain ones do, and never read past the bytes (under ASan). */
static void test_twins(void **state) {
    enum { N = 777 };
    static uint32_t fast[N + 64], plain[N + 64];
    for (unsigned width = 1; width <= 32; width++) {
        for (size_t n = 0; n <= N; n += n < 40 ? 1 : 67) {
            size_t packed = (n * width + 7) / 8, planes = n * ((width + 7) / 8);
            uint8_t *p = malloc(packed + 1), *q = malloc(planes + 1);
            assert_true(p != NULL && q != NULL);
            p = realloc(p, packed > 0 ? packed : 1); /* the true end */
            crypto_random(p, packed);
            crypto_random(q, planes);
            memset(fast, 1, sizeof fast);
            memset(plain, 1, sizeof plain);
            ints_unpack32(p, packed, width, n, fast, false);
            ints_unpack32(p, packed, width, n, plain, true);
            assert_memory_equal(fast, plain, sizeof fast);
            ints_merge32(q, width, n, fast, false);
            ints_merge32(q, width, n, plain, true);
            assert_memory_equal(fast, plain, sizeof fast);
            free(p);
            free(q);
        }
    }
}

/* Planes of both widths of input: written alike, and of random values what merging gives back. */
static void test_plane_twins(void **state) {
    enum { N = 777 };
    static uint32_t narrow[N];
    static uint64_t wide[N], back[N];
    static uint8_t fast[N * 8 + 64], plain[N * 8 + 64];
    for (unsigned width = 1; width <= 64; width++) {
        for (size_t n = 0; n <= N; n += n < 40 ? 1 : 67) {
            crypto_random((uint8_t *)wide, sizeof wide);
            for (size_t i = 0; i < n; i++) {
                wide[i] &= mask_of(width);
                narrow[i] = (uint32_t)wide[i];
            }
            memset(fast, 1, sizeof fast);
            memset(plain, 1, sizeof plain);
            ints_split(NULL, wide, n, width, fast, false);
            ints_split(NULL, wide, n, width, plain, true);
            assert_memory_equal(fast, plain, sizeof fast);
            for (int way = 0; way < 2; way++) {
                memset(back, 1, sizeof back);
                ints_merge64(fast, width, n, back, way == 1);
                assert_memory_equal(back, wide, n * sizeof *wide);
            }
            if (width <= 32) {
                ints_split(narrow, NULL, n, width, plain, false);
                assert_memory_equal(fast, plain, sizeof fast);
                ints_split(narrow, NULL, n, width, plain, true);
                assert_memory_equal(fast, plain, sizeof fast);
            }
        }
    }
}

/* Arrays that no writer makes. */
static void test_refusals(void **state) {
    static const struct {
        const char *what;
        struct slice body;
        size_t n;
        bool opens, reads;
    } cases[] = {
        {"nothing", SLICE_LIT(""), 0, false, false},
        {"no form", SLICE_LIT("\0"), 0, false, false},
        {"empty", SLICE_LIT("\0\0"), 0, true, true},
        {"no bits", SLICE_LIT("\0\0"), 9, true, true},
        {"unknown form", SLICE_LIT("\1\3\0"), 1, false, false},
        {"65 bits", SLICE_LIT("\101\0\0\0\0\0\0\0\0\0\0"), 1, false, false},
        {"one run", SLICE_LIT("\1\2\1\0\0\0\2\0\2\1\0\1"), 3, true, true},
        {"runs too short", SLICE_LIT("\1\2\1\0\0\0\2\0\1\1\0\1"), 3, true, false},
        {"runs too long", SLICE_LIT("\1\2\1\0\0\0\2\0\3\1\0\1"), 3, true, false},
        {"no runs", SLICE_LIT("\1\2\0\0\0\0\2\0\1\0"), 3, true, false},
        {"more runs than values", SLICE_LIT("\1\2\2\0\0\0\0\0\1\0\1"), 1, false, false},
        {"runs of runs", SLICE_LIT("\1\2\1\0\0\0\2\0\2\1\2\1\0\0\0\0\0\1\0\1"), 3, false, false},
        {"lengths as runs", SLICE_LIT("\1\2\1\0\0\0\2\2\1\0\0\0\0\0\2\0\2\1\0\1"), 3, false, false},
        {"lengths of 18 bits", SLICE_LIT("\1\2\1\0\0\0\22\0\2\0\0\1\0\1"), 3, false, false},
        {"values wider than said", SLICE_LIT("\1\2\1\0\0\0\2\0\2\2\0\1"), 3, false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ints a;
        struct slice body = cases[i].body;
        uint64_t out[16];
        struct sl_rc rc = ints_open(&body, cases[i].n, 64, &a, NULL);
        bool opens = sl_is_ok(rc);
        if (opens) {
            rc = ints_get64(&work, &a, out, NULL);
        }
        if (opens != cases[i].opens || sl_is_ok(rc) != cases[i].reads) {
            fail_msg("%s", cases[i].what);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_widths),   cmocka_unit_test(test_one_run),
        cmocka_unit_test(test_twins),    cmocka_unit_test(test_plane_twins),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests_name("ints", tests, set_up, tear_down);
}
