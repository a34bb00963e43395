/* The writer: group flush, recovery after a crash, a full disk, segments. */
#include "lib/base/limits.h"
#include "tests/unit/audit/log.h"

#include <errno.h>

/* Failures to come, and what was seen. */
static struct {
    _Atomic int pwrites_before_failure; /* -1: none fails */
    _Atomic int pwrite_error;
    _Atomic bool pwrite_half; /* the failing one first writes some bytes */
    _Atomic bool flush_fails;
    _Atomic int flush_ms;
    _Atomic int flushes;
    _Atomic bool no_reserve;
} fault = {.pwrites_before_failure = -1};

static void no_fault(void) {
    fault.pwrites_before_failure = -1;
    fault.flush_fails = false;
    fault.flush_ms = 0;
    fault.no_reserve = false;
    fault.pwrite_half = false;
}

ssize_t __real_pwrite64(int fd, const void *p, size_t n, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *p, size_t n, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *p, size_t n, off_t at) {
    if (fault.pwrites_before_failure == 0) {
        if (fault.pwrite_half && n > 1) {
            fault.pwrite_half = false;
            return __real_pwrite64(fd, p, n / 2, at);
        }
        errno = fault.pwrite_error;
        return -1;
    }
    fault.pwrites_before_failure -= fault.pwrites_before_failure > 0;
    return __real_pwrite64(fd, p, n, at);
}

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd) {
    fault.flushes++;
    if (fault.flush_ms > 0) {
        usleep((useconds_t)fault.flush_ms * 1000);
    }
    if (fault.flush_fails) {
        errno = EIO;
        return -1;
    }
    return __real_fdatasync(fd);
}

int __real_fallocate64(int fd, int mode, off_t at, off_t n);
int __wrap_fallocate64(int fd, int mode, off_t at, off_t n);
int __wrap_fallocate64(int fd, int mode, off_t at, off_t n) {
    if (fault.no_reserve) {
        errno = ENOSPC;
        return -1;
    }
    return __real_fallocate64(fd, mode, at, n);
}

static void numbered(void **state) {
    struct log_rig l;
    static char mem[16384];
    log_rig_start(&l);
    struct audit *a = log_open(&l, false);
    for (int i = 0; i < 3; i++) {
        OK(put(a, i, i == 1));
    }
    size_t n = log_get(&l, 1, ".log", mem, sizeof mem); /* written, if not flushed */
    assert_true(n > 0 && mem[n - 1] == '\n');
    assert_non_null(strstr(mem, "{\"n\":0}\t2\t"));
    assert_non_null(strstr(mem, "{\"n\":2}\t4\t"));
    static const char *const bad[] = {"", "a\nb", "a\tb"};
    for (int i = 0; i < 3; i++) {
        assert_true(sl_failed(write_one(a, slice_cstr(bad[i]), false)));
    }
    static char long_record[LIMIT_AUDIT_RECORD_BYTES + 1];
    memset(long_record, 'x', sizeof long_record);
    FAILS(write_one(a, slice_of(long_record, sizeof long_record), false), SL_E_LIMIT);
    OK(write_one(a, slice_of(long_record, sizeof long_record - 1), false));
    audit_close(a);
    OK(check(&l, true));
    log_rig_stop(&l);
}

static void second_writer_refused(void **state) {
    struct log_rig l;
    log_rig_start(&l);
    struct audit *a = log_open(&l, false);
    struct audit *b = NULL;
    FAILS(audit_open(l.dir, rig_channel(&l.keys), false, &b, NULL), SL_E_EXISTS);
    audit_close(a);
    log_rig_stop(&l);
}

static void until_flushes(int n) {
    for (int i = 0; i < 10000 && fault.flushes < n; i++) {
        usleep(1000);
    }
    assert_true(fault.flushes >= n);
}

/* Who asks for a head while a flush is under way leaves nothing behind that keeps the next one from
 * coming by itself. */
static void head_during_a_flush(void **state) {
    struct log_rig l;
    struct buf head SL_CLEANUP(buf_fini) = BUF_INIT(AUDIT_HEAD_LINE_MAX);
    log_rig_start(&l);
    struct audit *a = log_open(&l, false);
    fault.flush_ms = 500;
    fault.flushes = 0;
    OK(put(a, 1, false));
    until_flushes(1);
    OK(audit_head(a, &head, NULL));
    usleep(100 * 1000); /* the flusher sleeps again */
    OK(put(a, 2, false));
    until_flushes(2);
    no_fault();
    audit_close(a);
    log_rig_stop(&l);
}

struct caller {
    struct audit *a;
    int n;
    bool flush;
    bool ok;
};

static void *call(void *user) {
    struct caller *c = user;
    c->ok = true;
    for (int i = 0; i < 25; i++) {
        c->ok = c->ok && sl_is_ok(put(c->a, c->n * 100 + i, c->flush));
    }
    return NULL;
}

/* Sixteen callers that wait for the disk share its flushes. */
static void one_flush_serves_many(void **state) {
    struct log_rig l;
    log_rig_start(&l);
    struct audit *a = log_open(&l, false);
    fault.flush_ms = 5;
    fault.flushes = 0;
    struct caller c[16];
    pthread_t t[16];
    for (int i = 0; i < 16; i++) {
        c[i] = (struct caller){a, i, true, false};
        assert_int_equal(pthread_create(&t[i], NULL, call, &c[i]), 0);
    }
    for (int i = 0; i < 16; i++) {
        pthread_join(t[i], NULL);
        assert_true(c[i].ok);
    }
    assert_true(fault.flushes >= 25 && fault.flushes < 16 * 25 / 2);
    no_fault();
    audit_close(a);
    OK(check(&l, true));
    says(&l, "401 record(s)");
    log_rig_stop(&l);
}

static int64_t flushed_after_ms(int before) {
    int64_t start = clock_mono_ms();
    while (fault.flushes == before && clock_mono_ms() - start < 5000) {
        usleep(1000);
    }
    return clock_mono_ms() - start;
}

static void uses_do_not_wait_but_are_flushed_soon(void **state) {
    struct log_rig l;
    log_rig_start(&l);
    struct audit *a = log_open(&l, false);
    int before = fault.flushes;
    OK(put(a, 1, false));
    assert_int_equal(fault.flushes, before);
    int64_t ms = flushed_after_ms(before);
    assert_true(ms >= 20 && ms < 1000); /* 50, give or take a busy machine */
    audit_close(a);
    struct audit *strict = log_open(&l, true);
    before = fault.flushes;
    OK(put(strict, 2, false));
    assert_true(fault.flushes > before);
    audit_close(strict);
    log_rig_stop(&l);
}

/* What a crash leaves: the log as its files stand now, under another folder. */
static void crash(struct log_rig *l, char copy[96]) {
    snprintf(copy, 96, "%s/crash", l->keys.dir);
    char command[600];
    snprintf(command, sizeof command, "rm -rf %s && cp -a %s %s", copy, l->dir, copy);
    assert_int_equal(system(command), 0);
}

static void swap_in(struct log_rig *l, const char *copy) {
    char command[600];
    snprintf(command, sizeof command, "rm -rf %s && mv %s %s", l->dir, copy, l->dir);
    assert_int_equal(system(command), 0);
}

static void torn_tail_is_cut(void **state) {
    struct log_rig l;
    static char mem[16384];
    char copy[96];
    log_rig_start(&l);
    struct audit *a = log_open(&l, false);
    for (int i = 0; i < 3; i++) {
        OK(put(a, i, true));
    }
    crash(&l, copy);
    audit_close(a);
    swap_in(&l, copy);
    size_t n = log_get(&l, 1, ".log", mem, sizeof mem);
    size_t whole = n;
    while (mem[whole - 2] != '\n') {
        whole--;
    }
    whole--; /* without the last line */
    for (size_t cut = n; cut >= whole; cut -= cut > whole + 7 ? 7 : 1) {
        log_set(&l, 1, ".log", mem, cut);
        char path[160];
        log_path(&l, 1, ".head", path);
        unlink(path);
        bool torn = cut < n;
        a = log_open(&l, false);
        OK(put(a, 50, true));
        audit_close(a);
        OK(check(&l, true));
        says(&l, torn ? "records 1 to 4" : "records 1 to 5");
        says(&l, "1 segment(s)");
    }
    log_rig_stop(&l);
}

/* Damage that a crash does not explain is kept for verify. */
static void damage_is_set_aside(void **state) {
    struct log_rig l;
    static char mem[16384];
    char copy[96];
    log_rig_start(&l);
    struct audit *a = log_open(&l, false);
    for (int i = 0; i < 4; i++) {
        OK(put(a, i, true));
    }
    crash(&l, copy);
    audit_close(a);
    swap_in(&l, copy);
    size_t n = log_get(&l, 1, ".log", mem, sizeof mem);
    char *third = strstr(mem, "{\"n\":1}");
    third[0] = '\n';
    log_set(&l, 1, ".log", mem, n);
    a = log_open(&l, false);
    OK(put(a, 9, true));
    audit_close(a);
    FAILS(check(&l, true), SL_E_CORRUPT);
    says(&l, "set aside");
    n = log_get(&l, 1, ".cut", mem, sizeof mem);
    assert_true(n > 0);
    assert_non_null(strstr(mem, "{\"n\":3}\t5\t"));
    log_rig_stop(&l);
}

static void unbegun_segment_is_dropped(void **state) {
    struct log_rig l;
    log_rig_start(&l);
    struct audit *a = log_open(&l, false);
    OK(put(a, 1, true));
    audit_close(a);
    log_set(&l, 3, ".log", "{\"sealiftAudit\":1,", 18);
    a = log_open(&l, false);
    OK(put(a, 2, true));
    audit_close(a);
    OK(check(&l, true));
    says(&l, "segment 2: records 3 to 4, closed, ok");
    /* But one with lines and no header is nobody's crash. */
    log_set(&l, 5, ".log", "x\ny\n", 4);
    FAILS(audit_open(l.dir, rig_channel(&l.keys), false, &a, NULL), SL_E_CORRUPT);
    log_rig_stop(&l);
}

static void failed_write_leaves_nothing(void **state) {
    struct log_rig l;
    log_rig_start(&l);
    struct audit *a = log_open(&l, false);
    OK(put(a, 1, true));
    for (int half = 0; half < 2; half++) {
        fault.pwrite_half = half == 1;
        fault.pwrite_error = EIO;
        fault.pwrites_before_failure = 0;
        FAILS(put(a, 2, true), SL_E_IO);
        no_fault();
        OK(put(a, 3, true));
    }
    audit_close(a);
    OK(check(&l, true));
    says(&l, "records 1 to 4, closed, ok");
    log_rig_stop(&l);
}

/* Bytes that the file's blocks hold beyond its end. */
static off_t reserved(const struct log_rig *l, uint64_t first) {
    char path[160];
    struct stat st;
    log_path(l, first, ".log", path);
    assert_int_equal(stat(path, &st), 0);
    off_t blocks = (off_t)st.st_blocks * 512;
    return blocks > st.st_size ? blocks - st.st_size : 0;
}

/* The open segment owns its reserve; at a roll and over a restart the next one takes over. */
static void reserve_stays_with_the_log(void **state) {
    struct log_rig l;
    log_rig_start(&l);
    struct audit *a = log_open(&l, false);
    assert_true(reserved(&l, 1) >= LIMIT_AUDIT_RESERVE_BYTES);
    static char record[LIMIT_AUDIT_RECORD_BYTES];
    memset(record, 'r', sizeof record);
    for (int i = 0; i < 12; i++) {
        OK(write_one(a, slice_of(record, sizeof record), false));
        OK(put(a, i, false));
        assert_true(reserved(&l, 1) >= LIMIT_AUDIT_RESERVE_BYTES - 2 * (off_t)sizeof record);
    }
    assert_false(audit_is_short(a));
    audit_close(a);
    assert_true(reserved(&l, 1) >= LIMIT_AUDIT_RESERVE_BYTES - 2 * (off_t)sizeof record);
    a = log_open(&l, false);
    assert_true(reserved(&l, 1) < 64 * 1024);
    assert_true(reserved(&l, 26) >= LIMIT_AUDIT_RESERVE_BYTES);
    audit_close(a);
    OK(check(&l, true));
    log_rig_stop(&l);
}

static void full_disk(void **state) {
    struct log_rig l;
    log_rig_start(&l);
    struct audit *a = log_open(&l, false);
    fault.no_reserve = true; /* the disk is full, but blocks are left behind the end */
    static char record[LIMIT_AUDIT_RECORD_BYTES];
    memset(record, 'r', sizeof record);
    for (int i = 0; i < 6; i++) {
        OK(write_one(a, slice_of(record, sizeof record), false));
    }
    assert_true(audit_is_short(a));
    fault.pwrite_error = ENOSPC; /* and now none */
    fault.pwrites_before_failure = 0;
    FAILS(put(a, 1, false), SL_E_FULL);
    FAILS(put(a, 2, true), SL_E_FULL);
    no_fault();
    usleep(1100 * 1000); /* the next try for the reserve */
    OK(put(a, 3, true));
    assert_false(audit_is_short(a));
    assert_true(reserved(&l, 1) >= LIMIT_AUDIT_RESERVE_BYTES);
    audit_close(a);
    OK(check(&l, true));
    says(&l, "records 1 to 8, closed, ok");
    /* A start on a full disk lives on what the closed segment held. */
    fault.no_reserve = true;
    a = log_open(&l, false);
    OK(put(a, 4, true));
    assert_true(audit_is_short(a));
    audit_close(a);
    no_fault();
    OK(check(&l, true));
    log_rig_stop(&l);
}

/* A full segment that can't be followed by one with a reserve is written on. */
static void no_roll_without_room(void **state) {
    struct log_rig l;
    log_rig_start(&l);
    struct audit *a = log_open(&l, false);
    static char record[LIMIT_AUDIT_RECORD_BYTES];
    memset(record, 'r', sizeof record);
    fault.no_reserve = true;
    int n = LIMIT_AUDIT_SEGMENT_BYTES / LIMIT_AUDIT_RECORD_BYTES + 2;
    for (int i = 0; i < n; i++) {
        OK(write_one(a, slice_of(record, sizeof record), false));
    }
    no_fault();
    audit_close(a);
    OK(check(&l, true));
    says(&l, "1 segment(s)");
    log_rig_stop(&l);
}

static void failed_flush_is_final(void **state) {
    struct log_rig l;
    log_rig_start(&l);
    struct audit *a = log_open(&l, false);
    fault.flush_fails = true;
    FAILS(put(a, 1, true), SL_E_IO);
    no_fault();
    FAILS(put(a, 2, true), SL_E_IO);
    FAILS(put(a, 3, false), SL_E_IO);
    audit_close(a);
    a = log_open(&l, false); /* a start reads what is really there */
    OK(put(a, 4, true));
    audit_close(a);
    OK(check(&l, true));
    log_rig_stop(&l);
}

static void lost_keyholder_fails_calls(void **state) {
    struct log_rig l;
    struct audit *a = NULL;
    log_rig_start(&l);
    struct keyholder *mine = rig_channel(&l.keys);
    OK(audit_open(l.dir, mine, false, &a, NULL));
    OK(put(a, 1, true));
    rig_stop(&l.keys);
    assert_true(sl_failed(put(a, 2, true)));
    assert_true(sl_failed(put(a, 3, false)));
    audit_close(a);
    assert_true(rig_start(&l.keys, false));
    OK(check(&l, true));
    says(&l, "records 1 to 2, open, ok");
    log_rig_stop(&l);
}

static void segments_roll(void **state) {
    struct log_rig l;
    log_rig_start(&l);
    struct audit *a = log_open(&l, false);
    static char record[LIMIT_AUDIT_RECORD_BYTES];
    memset(record, 'r', sizeof record);
    int n = LIMIT_AUDIT_SEGMENT_BYTES / LIMIT_AUDIT_RECORD_BYTES + 2;
    for (int i = 0; i < n; i++) {
        OK(write_one(a, slice_of(record, sizeof record), false));
    }
    OK(check(&l, true)); /* while it is open */
    says(&l, "2 segment(s)");
    says(&l, "open, ok");
    audit_close(a);
    OK(check(&l, true));
    OK(check(&l, false));
    log_rig_stop(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbered),
        cmocka_unit_test(second_writer_refused),
        cmocka_unit_test(one_flush_serves_many),
        cmocka_unit_test(uses_do_not_wait_but_are_flushed_soon),
        cmocka_unit_test(head_during_a_flush),
        cmocka_unit_test(torn_tail_is_cut),
        cmocka_unit_test(damage_is_set_aside),
        cmocka_unit_test(unbegun_segment_is_dropped),
        cmocka_unit_test(failed_write_leaves_nothing),
        cmocka_unit_test(reserve_stays_with_the_log),
        cmocka_unit_test(full_disk),
        cmocka_unit_test(no_roll_without_room),
        cmocka_unit_test(failed_flush_is_final),
        cmocka_unit_test(lost_keyholder_fails_calls),
        cmocka_unit_test(segments_roll),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
