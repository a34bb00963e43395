/* Delete vectors and catalog MACs. */
#include "lib/columnar/catalog_mac.h"
#include "lib/columnar/deletes_in.h"
#include "tests/unit/columnar/rig.h"

static struct secret key;
static struct segment_ref ref;

static int set_up(void **state) {
    crypto_random(&ref, sizeof ref);
    return sl_is_ok(secret_random(&key, 32)) ? 0 : -1;
}

static int tear_down(void **state) {
    secret_fini(&key);
    return 0;
}

/* There and back. The sealed length. */
static size_t there_and_back(const struct deletes *d) {
    struct buf out = BUF_INIT(1 << 20);
    struct deletes got = {0};
    ref.rows = d->rows;
    assert_true(sl_is_ok(deletes_seal(&key, &ref, d, &out, NULL)));
    assert_true(sl_is_ok(deletes_open(&key, &ref, buf_slice(&out), &got, NULL)));
    assert_int_equal(got.count, d->count);
    for (uint32_t i = 0; i < d->rows; i++) {
        assert_int_equal(deletes_test(&got, i), deletes_test(d, i));
    }
    deletes_fini(&got);
    size_t len = out.len;
    buf_fini(&out);
    return len;
}

static void test_forms(void **state) {
    struct deletes d = {0};
    assert_true(sl_is_ok(deletes_init(&d, SEGMENT_ROWS)));
    size_t none = there_and_back(&d);
    assert_true(deletes_set(&d, 5) && !deletes_set(&d, 5) && deletes_set(&d, SEGMENT_ROWS - 1));
    assert_int_equal(d.count, 2);
    assert_in_range(there_and_back(&d), none + 2, none + 4); /* gaps */
    assert_int_equal(deletes_next_live(&d, 5), 6);
    assert_int_equal(deletes_next_live(&d, SEGMENT_ROWS - 1), SEGMENT_ROWS);
    for (uint32_t i = 1000; i < 90000; i++) {
        deletes_set(&d, i);
    }
    assert_in_range(there_and_back(&d), none + 5, none + 16); /* runs */
    assert_int_equal(deletes_next_live(&d, 1000), 90000);
    for (uint32_t i = 0; i < SEGMENT_ROWS; i += 3) {
        deletes_set(&d, i);
    }
    assert_true(there_and_back(&d) <= none + SEGMENT_ROWS / 8); /* bitmap */
    struct deletes copy = {0};
    assert_true(sl_is_ok(deletes_copy(&copy, &d)));
    deletes_set(&d, 1);
    assert_false(deletes_test(&copy, 1));
    assert_int_equal(copy.count + 1, d.count);
    deletes_fini(&copy);
    deletes_fini(&d);
}

static void test_small(void **state) {
    for (uint32_t rows = 0; rows < 200; rows++) {
        struct deletes d = {0};
        assert_true(sl_is_ok(deletes_init(&d, rows)));
        there_and_back(&d);
        for (uint32_t i = 0; i < rows; i += 2) {
            deletes_set(&d, i);
        }
        there_and_back(&d);
        for (uint32_t i = 0; i < rows; i++) {
            deletes_set(&d, i);
        }
        there_and_back(&d);
        assert_int_equal(deletes_next_live(&d, 0), rows);
        deletes_fini(&d);
    }
}

static bool opens(struct slice sealed) {
    struct deletes d = {0};
    struct sl_rc rc = deletes_open(&key, &ref, sealed, &d, NULL);
    assert_true(sl_is_ok(rc) || rc.code == SL_E_CORRUPT);
    deletes_fini(&d);
    return sl_is_ok(rc);
}

static void test_refusals(void **state) {
    struct deletes d = {0};
    struct buf out = BUF_INIT(1 << 20);
    ref.rows = 500;
    assert_true(sl_is_ok(deletes_init(&d, 500)));
    for (uint32_t i = 0; i < 500; i += 50) {
        deletes_set(&d, i);
    }
    assert_true(sl_is_ok(deletes_seal(&key, &ref, &d, &out, NULL)));
    assert_true(opens(buf_slice(&out)));
    for (size_t i = 0; i < out.len; i++) {
        out.ptr[i] ^= 0x10;
        assert_false(opens(buf_slice(&out)));
        out.ptr[i] ^= 0x10;
        assert_false(opens(slice_of(out.ptr, i)));
    }
    ref.storage_id[3] ^= 1;
    assert_false(opens(buf_slice(&out)));
    ref.storage_id[3] ^= 1;
    ref.segment_id[0] ^= 1;
    assert_false(opens(buf_slice(&out)));
    ref.segment_id[0] ^= 1;
    ref.rows++;
    assert_false(opens(buf_slice(&out)));
    ref.rows--;
    assert_true(opens(buf_slice(&out)));
    buf_fini(&out);
    deletes_fini(&d);
}

/* Bodies that no writer makes. */
static void test_bodies(void **state) {
    static const struct {
        const char *what;
        struct slice body;
        bool fine;
    } cases[] = {
        {"gaps", SLICE_LIT("\0\0\0\0\2\1\1"), true},
        {"count too high", SLICE_LIT("\0\0\0\0\3\1\1"), false},
        {"count too low", SLICE_LIT("\0\0\0\0\1\1\1"), false},
        {"past the end", SLICE_LIT("\0\0\0\0\1\144"), false},
        {"the last row", SLICE_LIT("\0\0\0\0\1\143"), true},
        {"a number cut", SLICE_LIT("\0\0\0\0\1\201"), false},
        {"a number too long", SLICE_LIT("\0\0\0\0\1\201\200\200\1"), false},
        {"a number in a longer form", SLICE_LIT("\0\0\0\0\1\201\0"), false},
        {"a run", SLICE_LIT("\1\0\0\0\5\3\5"), true},
        {"an empty run", SLICE_LIT("\1\0\0\0\0\3\0"), false},
        {"a run past the end", SLICE_LIT("\1\0\0\0\5\140\5"), false},
        {"bitmap", SLICE_LIT("\2\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\10"), true},
        {"a bit past the end", SLICE_LIT("\2\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\20"), false},
        {"a short bitmap", SLICE_LIT("\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), false},
        {"unknown form", SLICE_LIT("\3\0\0\0\0"), false},
        {"nothing", SLICE_LIT(""), false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct deletes d = {0};
        assert_true(sl_is_ok(deletes_init(&d, 100)));
        if (sl_is_ok(deletes_read(cases[i].body, &d, NULL)) != cases[i].fine) {
            fail_msg("%s", cases[i].what);
        }
        deletes_fini(&d);
    }
}

static void test_mac(void **state) {
    struct slice row[] = {SLICE_LIT("ab"), SLICE_LIT("c"), SLICE_EMPTY};
    struct slice shifted[] = {SLICE_LIT("a"), SLICE_LIT("bc"), SLICE_EMPTY};
    uint8_t mac[4][CATALOG_MAC_LEN], sum[CATALOG_MAC_LEN] = {0}, zero[CATALOG_MAC_LEN] = {0};
    catalog_mac(&key, SLICE_LIT("segment"), row, 3, mac[0]);
    catalog_mac(&key, SLICE_LIT("segment"), shifted, 3, mac[1]);
    catalog_mac(&key, SLICE_LIT("storage"), row, 3, mac[2]);
    catalog_mac(&key, SLICE_LIT("segment"), row, 2, mac[3]);
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < i; j++) {
            assert_memory_not_equal(mac[i], mac[j], CATALOG_MAC_LEN);
        }
        catalog_sum_add(sum, mac[i]);
    }
    for (int i = 0; i < 4; i++) {
        assert_memory_not_equal(sum, zero, CATALOG_MAC_LEN);
        catalog_sum_sub(sum, mac[(i + 2) % 4]);
    }
    assert_memory_equal(sum, zero, CATALOG_MAC_LEN);
    uint8_t one[CATALOG_MAC_LEN] = {[31] = 1}, most[CATALOG_MAC_LEN];
    catalog_sum_sub(sum, one);
    memset(most, 0xff, sizeof most);
    assert_memory_equal(sum, most, CATALOG_MAC_LEN);
    catalog_sum_add(sum, one);
    assert_memory_equal(sum, zero, CATALOG_MAC_LEN);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_forms, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_small, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refusals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bodies, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_mac, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("deletes", tests, NULL, NULL);
}
