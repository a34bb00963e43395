/* A log read from its end: every line once, newest first, from any place on. */
#include "server/audit/backward.h"
#include "tests/unit/audit/log.h"

enum { SEGMENTS = 4 };

struct made {
    struct log_rig l;
    uint64_t last;
};

/* Records from some bytes to the longest, so that they lie across windows. */
static void make(struct made *m) {
    static char filler[LIMIT_AUDIT_RECORD_BYTES];
    memset(m, 0, sizeof *m);
    memset(filler, 'x', sizeof filler);
    log_rig_start(&m->l);
    assert_int_equal(mkdir(m->l.dir, 0700), 0);
    for (int s = 0; s < SEGMENTS; s++) {
        struct buf out SL_CLEANUP(buf_fini) = BUF_INIT(64 * 1024 * 1024);
        uint64_t first = m->last + 1;
        int n = s == 1 ? 1 : 100 + 7 * s;
        for (int i = 0; i < n; i++) {
            size_t len = i % 13 == 0 ? sizeof filler : (size_t)(i * 37 % 3000 + 1);
            struct audit_line line = {.record = slice_of(filler, len), .seq = ++m->last};
            audit_line_put(&out, &line);
        }
        assert_false(out.failed);
        log_set(&m->l, first, ".log", (const char *)out.ptr, out.len);
    }
}

static uint64_t walk(struct made *m, const struct audit_place *from, uint64_t expected, int max,
                     struct audit_place *ret_place) {
    struct audit_backward b SL_CLEANUP(audit_backward_fini) = {.fd = -1};
    OK(audit_backward_open(&b, m->l.dir, from, NULL));
    for (int i = 0; i < max; i++) {
        struct audit_line line;
        bool found;
        OK(audit_backward_next(&b, &found, &line, NULL));
        if (!found) {
            break;
        }
        assert_int_equal(line.seq, expected);
        expected--;
    }
    *ret_place = audit_backward_place(&b);
    return expected;
}

static void all_once(void **state) {
    struct made m;
    struct audit_place place;
    make(&m);
    assert_int_equal(walk(&m, NULL, m.last, 100000, &place), 0);
    for (int page = 1; page < 60; page += 7) {
        uint64_t left = walk(&m, NULL, m.last, page, &place);
        while (left > 0) {
            struct audit_place from = place;
            left = walk(&m, &from, left, page, &place);
        }
    }
    log_rig_stop(&m.l);
}

static void unfinished_end(void **state) {
    struct made m;
    struct audit_place place;
    char path[160];
    make(&m);
    log_path(&m.l, m.last - 120, ".log", path); /* of the last segment */
    FILE *f = fopen(path, "ab");
    assert_non_null(f);
    fputs("{\"half\":", f);
    fclose(f);
    assert_int_equal(walk(&m, NULL, m.last, 100000, &place), 0);
    log_rig_stop(&m.l);
}

static void not_a_place(void **state) {
    struct made m;
    make(&m);
    static const struct audit_place bad[] = {{2, 0}, {1, 7}, {1, UINT64_MAX}, {0, 0}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct audit_backward b SL_CLEANUP(audit_backward_fini) = {.fd = -1};
        FAILS(audit_backward_open(&b, m.l.dir, &bad[i], NULL), SL_E_NOT_FOUND);
    }
    struct audit_backward b SL_CLEANUP(audit_backward_fini) = {.fd = -1};
    FAILS(audit_backward_open(&b, "/nonexistent", NULL, NULL), SL_E_IO);
    log_rig_stop(&m.l);
}

static void empty(void **state) {
    struct log_rig l;
    struct audit_backward b SL_CLEANUP(audit_backward_fini) = {.fd = -1};
    struct audit_line line;
    bool found = true;
    log_rig_start(&l);
    assert_int_equal(mkdir(l.dir, 0700), 0);
    OK(audit_backward_open(&b, l.dir, NULL, NULL));
    OK(audit_backward_next(&b, &found, &line, NULL));
    assert_false(found);
    log_rig_stop(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_once),
        cmocka_unit_test(unfinished_end),
        cmocka_unit_test(not_a_place),
        cmocka_unit_test(empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
