/* What bounds say of comparisons, against a look at every text. */
#include "lib/columnar/bounds.h"
#include "tests/unit/columnar/rig.h"

static struct slice trim(struct slice s) {
    while (s.len > 0 && s.ptr[s.len - 1] == ' ') {
        s.len--;
    }
    return s;
}

static bool meets(struct slice x, enum bounds_test test, struct slice value) {
    int order = slice_cmp(trim(x), trim(value));
    switch (test) {
    case BOUNDS_LESS:
        return order < 0;
    case BOUNDS_LESS_EQUAL:
        return order <= 0;
    case BOUNDS_EQUAL:
        return order == 0;
    case BOUNDS_GREATER_EQUAL:
        return order >= 0;
    case BOUNDS_GREATER:
        return order > 0;
    default:
        return x.len >= value.len && slice_eq(slice_sub(x, 0, value.len), value);
    }
}

/* Texts that differ late, by blanks and by what is less than a blank. */
static struct slice some_text(uint8_t *room, const char *alphabet, size_t longest) {
    size_t len = (size_t)rand() % (longest + 1);
    for (size_t i = 0; i < len; i++) {
        room[i] = (uint8_t)alphabet[(size_t)rand() % strlen(alphabet)];
    }
    return slice_of(room, len);
}

struct kind_of_text {
    const char *alphabet, *rare;
    size_t longest;
};
static const struct kind_of_text kinds[] = {
    {"ab \t", "ab \t", 4},
    {"a \t", "a \t", 6},
    {"aaaaaaaaaaaaaaaa ", "ab\t ", 40}, /* beyond the cut */
    {"a                ", "a \t", 40},
    {"\x7f\xffz ", "\x7f\xffz ", 3},
};

static const struct segment_column *column_of(struct sealed *s, const struct column *c,
                                              struct segment **ret) {
    seal(s, &c->v, 1, c->v.rows);
    assert_true(sl_is_ok(segment_open_whole(&s->key, &s->ref, buf_slice(&s->bytes), ret, NULL)));
    return segment_column(*ret, 0);
}

static void test_never_wrong(void **state) {
    enum { ROUNDS = 4000, ROWS = 4, VALUES = 20 };
    struct sealed s;
    int held = 0, refused = 0;
    sealed_init(&s);
    srand(5);
    for (int round = 0; round < ROUNDS; round++) {
        const struct kind_of_text *k = &kinds[round % (int)(sizeof kinds / sizeof kinds[0])];
        uint8_t room[64];
        struct segment *segment = NULL;
        struct column c;
        column_init(&c, VECTOR_BYTES, ROWS);
        for (uint32_t i = 0; i < ROWS; i++) {
            column_text(&c, i, some_text(room, k->alphabet, k->longest));
        }
        const struct segment_column *column = column_of(&s, &c, &segment);
        for (int v = 0; v < VALUES; v++) {
            struct slice value = some_text(room, v % 2 ? k->alphabet : k->rare, k->longest);
            for (enum bounds_test t = BOUNDS_LESS; t <= BOUNDS_PREFIX; t++) {
                bool any = false, may = bounds_may_hold(column, t, value);
                for (uint32_t i = 0; i < ROWS; i++) {
                    any |= meets(vector_bytes(&c.v, i), t, value);
                }
                if (any && !may) {
                    fail_msg("test %d of '%.*s' is refused", (int)t, SLICE_FMT(value));
                }
                held += may && !any;
                refused += !may;
            }
        }
        segment_free(segment);
        column_fini(&c);
    }
    assert_true(refused > ROUNDS * VALUES); /* of six tests each; nor does it always say yes */
    assert_true(held < refused);
    sealed_fini(&s);
}

/* What skipping is for. */
static void test_sharp(void **state) {
    static const struct {
        const char *min, *max;
        enum bounds_test test;
        const char *value;
        bool may;
    } cases[] = {
        {"California     ", "Colorado       ", BOUNDS_EQUAL, "Alabama", false},
        {"California     ", "Colorado       ", BOUNDS_EQUAL, "Colorado", true},
        {"California     ", "Colorado       ", BOUNDS_EQUAL, "California", true},
        {"California     ", "Colorado       ", BOUNDS_EQUAL, "Florida", false},
        {"California     ", "Colorado       ", BOUNDS_LESS, "California", false},
        {"California     ", "Colorado       ", BOUNDS_LESS_EQUAL, "California", true},
        {"California", "Colorado", BOUNDS_GREATER, "Colorado", false},
        {"California", "Colorado", BOUNDS_GREATER_EQUAL, "Colorado  ", true},
        {"California", "Colorado", BOUNDS_PREFIX, "Co", true},
        {"California", "Colorado", BOUNDS_PREFIX, "D", false},
        {"California", "Colorado", BOUNDS_PREFIX, "Ca", true},
        {"California", "Colorado", BOUNDS_PREFIX, "B", false},
        {"California", "Colorado", BOUNDS_PREFIX, "Colorados", false},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa9",
         BOUNDS_EQUAL, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa5", true},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa9",
         BOUNDS_EQUAL, "b", false},
    };
    struct sealed s;
    sealed_init(&s);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct segment *segment = NULL;
        struct column c;
        column_init(&c, VECTOR_BYTES, 2);
        column_text(&c, 0, slice_cstr(cases[i].max));
        column_text(&c, 1, slice_cstr(cases[i].min));
        if (bounds_may_hold(column_of(&s, &c, &segment), cases[i].test,
                            slice_cstr(cases[i].value)) != cases[i].may) {
            fail_msg("%s … %s, test %d, %s", cases[i].min, cases[i].max, (int)cases[i].test,
                     cases[i].value);
        }
        segment_free(segment);
        column_fini(&c);
    }
    sealed_fini(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_never_wrong),
                                       cmocka_unit_test(test_sharp)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
