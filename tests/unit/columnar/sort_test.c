/* Sorting rows, against a comparison of each pair of neighbours and of what was there before. */
#include "lib/columnar/sort.h"
#include "tests/unit/columnar/rig.h"

#include <math.h>
#include <time.h>

enum { COLUMNS = VECTOR_KIND_COUNT };

static const double floats[] = {0,      -0.0,   1.5,      -1.5,      1e300,
                                -1e300, 1e-300, INFINITY, -INFINITY, NAN};

/* Values that repeat, so that later keys count too. */
static void fill(struct column *c, uint32_t i, unsigned few) {
    unsigned x = (unsigned)rand() % few;
    char text[400];
    switch (c->v.kind) {
    case VECTOR_BYTES: {
        int same = (x % 3) * 20; /* common beginnings, over several words */
        snprintf(text, sizeof text, "%.*s%u%.*s", same,
                 "a common beginning of some eighty bytes, and then some more so that it is long",
                 x * 7919 % few, (int)(x % 4), "    ");
        column_text(c, i, slice_cstr(text));
        break;
    }
    case VECTOR_FLOAT32:
    case VECTOR_FLOAT64:
        column_float(c, i, rand() % 4 ? (double)x - 50 : floats[(unsigned)rand() % 10]);
        break;
    case VECTOR_BOOL:
        column_int(c, i, x % 2);
        break;
    case VECTOR_INT128:
        column_int(c, i, ((__int128)x - few / 2) * (rand() % 2 ? 1 : (__int128)1 << 70));
        break;
    default:
        column_int(c, i, (int)x - (int)few / 2);
    }
}

/* The comparison that sort.h promises, written once more. */
static int reference(const struct vector *v, uint32_t i, uint32_t j) {
    bool a = vector_is_null(v, i), b = vector_is_null(v, j);
    if (a || b) {
        return (int)a - (int)b;
    }
    switch (v->kind) {
    case VECTOR_BYTES: {
        char x[400], y[400];
        snprintf(x, sizeof x, "%.*s", SLICE_FMT(vector_bytes(v, i)));
        snprintf(y, sizeof y, "%.*s", SLICE_FMT(vector_bytes(v, j)));
        for (size_t n = strlen(x); n > 0 && x[n - 1] == ' '; n--) {
            x[n - 1] = '\0';
        }
        for (size_t n = strlen(y); n > 0 && y[n - 1] == ' '; n--) {
            y[n - 1] = '\0';
        }
        return strcmp(x, y);
    }
    case VECTOR_FLOAT32:
    case VECTOR_FLOAT64: {
        double x = v->kind == VECTOR_FLOAT32 ? (double)v->v.f32[i] : v->v.f64[i];
        double y = v->kind == VECTOR_FLOAT32 ? (double)v->v.f32[j] : v->v.f64[j];
        return isnan(x) || isnan(y) ? (int)isnan(x) - (int)isnan(y) : x < y ? -1 : x > y;
    }
    default: {
        __int128 x = 0, y = 0;
        size_t width = vector_width(v->kind);
        memcpy(&x, (const uint8_t *)v->v.raw + i * width, width);
        memcpy(&y, (const uint8_t *)v->v.raw + j * width, width);
        int shift = (int)(128 - 8 * width);
        x = (__int128)((unsigned __int128)x << shift) >> shift;
        y = (__int128)((unsigned __int128)y << shift) >> shift;
        return x < y ? -1 : x > y;
    }
    }
}

static void check_order(const struct vector *v, const uint32_t *keys, uint32_t key_count,
                        const uint32_t *order, uint32_t rows) {
    uint8_t *seen = calloc(rows + 1, 1);
    assert_non_null(seen);
    for (uint32_t i = 0; i < rows; i++) {
        uint32_t at = order != NULL ? order[i] : i;
        assert_true(at < rows && !seen[at]);
        seen[at] = 1;
        int found = 0;
        for (uint32_t k = 0; i > 0 && k < key_count && found == 0; k++) {
            uint32_t before = order != NULL ? order[i - 1] : i - 1;
            found = reference(&v[keys[k]], before, at);
            int again = sort_compare(&v[keys[k]], before, &v[keys[k]], at);
            assert_true((found < 0) == (again < 0) && (found > 0) == (again > 0));
        }
        if (found > 0 || (i > 0 && found == 0 && order != NULL && order[i - 1] > at)) {
            fail_msg("places %u and %u of %u", i - 1, i, rows);
        }
    }
    free(seen);
}

static void check_taken(const struct vector *v, const uint32_t *order, uint32_t rows) {
    struct vector_memory memory = {0};
    for (uint32_t from = 0; from < rows; from += rows / 3 + 1) {
        struct vector got;
        uint32_t count = rows - from < rows / 3 + 1 ? rows - from : rows / 3 + 1;
        size_t width = vector_width(v->kind);
        assert_true(sl_is_ok(sort_take(v, order, from, count, &memory, &got)));
        assert_int_equal(got.rows, count);
        assert_true(sl_is_ok(vector_check(&got, NULL)));
        for (uint32_t i = 0; i < count; i++) {
            uint32_t at = order != NULL ? order[from + i] : from + i;
            assert_int_equal(vector_is_null(&got, i), vector_is_null(v, at));
            assert_memory_equal((const uint8_t *)got.v.raw + i * width,
                                (const uint8_t *)v->v.raw + at * width, width);
        }
    }
    vector_memory_fini(&memory);
}

static void test_random(void **state) {
    static const uint32_t counts[] = {0, 1, 2, 3, 40, 50, 300, 5000};
    struct sort_work w = {0};
    srand(3);
    for (int round = 0; round < 400; round++) {
        uint32_t rows = counts[(unsigned)rand() % 8], keys[3], key_count = 1 + (uint32_t)rand() % 3;
        struct column c[COLUMNS];
        struct vector v[COLUMNS];
        const uint32_t *order = NULL;
        bool nulls = rand() % 2;
        for (int k = 0; k < COLUMNS; k++) {
            column_init(&c[k], k == 0 ? VECTOR_BYTES : (enum vector_kind)k, rows);
            for (uint32_t i = 0; i < rows; i++) {
                fill(&c[k], i, k == 0 ? 3 : 1000);
                if (nulls && rand() % 7 == 0) {
                    column_null(&c[k], i);
                }
            }
            v[k] = c[k].v;
        }
        for (uint32_t k = 0; k < key_count; k++) {
            keys[k] = (uint32_t)rand() % COLUMNS;
        }
        assert_true(sl_is_ok(sort_rows(&w, v, keys, key_count, rows, &order)));
        check_order(v, keys, key_count, order, rows);
        for (int k = 0; k < COLUMNS; k++) {
            check_taken(&v[k], order, rows);
            column_fini(&c[k]);
        }
    }
    sort_work_fini(&w);
}

/* Beyond the bytes that count: as they came. Within: the last byte decides. */
static void test_long_texts(void **state) {
    struct sort_work w = {0};
    struct column c;
    char text[SORT_TEXT_BYTES + 2];
    const uint32_t *order = NULL, key = 0;
    column_init(&c, VECTOR_BYTES, 4);
    memset(text, 'x', sizeof text);
    for (uint32_t i = 0; i < 4; i++) {
        text[SORT_TEXT_BYTES - 1] = (char)('d' - i / 2);
        text[SORT_TEXT_BYTES] = (char)('d' - i);
        column_text(&c, i, slice_of(text, SORT_TEXT_BYTES + 1));
    }
    assert_true(sl_is_ok(sort_rows(&w, &c.v, &key, 1, 4, &order)));
    static const uint32_t want[] = {2, 3, 0, 1};
    assert_memory_equal(order, want, sizeof want);
    column_fini(&c);
    sort_work_fini(&w);
}

/* In order already: no order. */
static void test_sorted(void **state) {
    struct sort_work w = {0};
    struct column c;
    const uint32_t *order = NULL, key = 0;
    column_init(&c, VECTOR_INT32, 100000);
    for (uint32_t i = 0; i < 100000; i++) {
        column_int(&c, i, i / 3);
    }
    assert_true(sl_is_ok(sort_rows(&w, &c.v, &key, 1, 100000, &order)));
    assert_null(order);
    column_int(&c, 99999, -1);
    assert_true(sl_is_ok(sort_rows(&w, &c.v, &key, 1, 100000, &order)));
    assert_non_null(order);
    assert_int_equal(order[0], 99999);
    column_fini(&c);
    sort_work_fini(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random),
                                       cmocka_unit_test(test_long_texts),
                                       cmocka_unit_test(test_sorted)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
