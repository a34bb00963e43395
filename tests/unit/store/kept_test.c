/* Values kept until the next commit: never found after one, never gone while held. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/base/limits.h"
#include "server/store/meta/kept.h"

static char dir[] = "/tmp/kept_test.XXXXXX";
static char path[64];
static _Atomic int ended; /* values whose fini ran */

static struct kms_db *open_db(void) {
    static const char *const schemas[] = {"CREATE TABLE IF NOT EXISTS t (v INTEGER NOT NULL);"
                                          "DELETE FROM t; INSERT INTO t VALUES (0);",
                                          NULL};
    struct kms_db *db = NULL;
    assert_true(sl_is_ok(kms_db_open(path, schemas, &db, NULL)));
    return db;
}

static bool set(struct kms_db *db, int64_t v, bool commit) {
    sqlite3 *conn;
    sqlite3_stmt *st;
    bool row;
    if (sl_failed(kms_db_write(db, &conn, NULL))) {
        return false;
    }
    bool ok = sl_is_ok(db_prepare(conn, "UPDATE t SET v = ?", &st, NULL));
    db_bind_int(st, 1, v);
    ok = ok && sl_is_ok(db_step(st, &row, NULL));
    return sl_is_ok(kms_db_write_end(db, conn, ok && commit, NULL)) && ok;
}

static int64_t get(struct kms_db *db) {
    sqlite3 *conn;
    sqlite3_stmt *st;
    bool row = false;
    int64_t v = -1;
    if (sl_failed(kms_db_read(db, &conn, NULL))) {
        return -1;
    }
    if (sl_is_ok(db_prepare(conn, "SELECT v FROM t", &st, NULL)) &&
        sl_is_ok(db_step(st, &row, NULL)) && row) {
        v = sqlite3_column_int64(st, 0);
    }
    kms_db_read_end(db, conn);
    return v;
}

static void count_end(void *value) {
    *(int64_t *)value = -2; /* seen by whoever still reads it */
    ended++;
}

/* The row through what is kept; *ret_found tells whether it was there. */
static const int64_t *look(struct kms_db *db, const char *name, struct kept_holds *holds,
                           bool *ret_found) {
    const int64_t *v = kept_find(db, slice_cstr(name), holds);
    *ret_found = v != NULL;
    if (v != NULL) {
        return v;
    }
    struct kept *k = kept_begin(db, slice_cstr(name), holds);
    if (k == NULL) {
        return NULL;
    }
    int64_t *made = arena_alloc(kept_arena(k), sizeof *made);
    *made = get(db);
    kept_put(db, k, made, count_end, holds);
    return made;
}

static void until_the_next_commit(void **state) {
    struct kms_db *db = open_db();
    struct kept_holds holds = {0};
    bool found;
    ended = 0;
    assert_int_equal(*look(db, "a", &holds, &found), 0);
    assert_false(found);
    assert_int_equal(*look(db, "a", &holds, &found), 0);
    assert_true(found);
    look(db, "b", &holds, &found);
    assert_false(found);
    kept_release(&holds);
    assert_true(set(db, 7, false)); /* rolled back: nothing has changed */
    const int64_t *held = look(db, "a", &holds, &found);
    assert_true(found);
    assert_true(set(db, 7, true));
    assert_int_equal(ended, 1); /* "b" at once; "a" is held */
    assert_int_equal(*held, 0);
    kept_release(&holds);
    assert_int_equal(ended, 2);
    assert_int_equal(*look(db, "a", &holds, &found), 7);
    assert_false(found);
    kept_release(&holds);
    kms_db_close(db);
    assert_int_equal(ended, 3);
}

/* Rows read before a commit don't count after it, even if the value is put only then. */
static void put_too_late(void **state) {
    struct kms_db *db = open_db();
    struct kept_holds holds = {0};
    struct kept *k = kept_begin(db, SLICE_LIT("a"), &holds);
    int64_t *made = arena_alloc(kept_arena(k), sizeof *made);
    *made = get(db);
    assert_true(set(db, 1, true));
    ended = 0;
    kept_put(db, k, made, count_end, &holds);
    assert_int_equal(*made, 0); /* ours, as long as we hold it */
    assert_null(kept_find(db, SLICE_LIT("a"), &holds));
    kept_release(&holds);
    assert_int_equal(ended, 1);
    kms_db_close(db);
}

static void bounds(void **state) {
    struct kms_db *db = open_db();
    struct kept_holds holds = {0}, other = {0};
    bool found;
    assert_null(kept_find(db, SLICE_LIT("a"), NULL));
    assert_null(kept_begin(db, SLICE_LIT("a"), NULL));
    struct kept *k = kept_begin(db, SLICE_LIT("big"), &holds);
    int64_t *made = arena_alloc(kept_arena(k), LIMIT_KEPT_VALUE_BYTES);
    kept_put(db, k, made, NULL, &holds);
    assert_null(kept_find(db, SLICE_LIT("big"), &holds));
    k = kept_begin(db, SLICE_LIT("own"), &holds);
    kept_hold(k, &holds);
    assert_null(kept_find(db, SLICE_LIT("own"), &holds));
    while (holds.count < KEPT_HOLDS_MAX) {
        look(db, "a", &holds, &found);
    }
    assert_null(look(db, "a", &holds, &found)); /* no room to hold it */
    assert_non_null(look(db, "a", &other, &found));
    assert_true(found);
    kept_release(&holds);
    kept_release(&other);
    /* Far more names than places: old ones leave, held ones stay whole. */
    const int64_t *held = look(db, "a", &other, &found);
    for (int i = 0; i < 8 * LIMIT_KEPT_VALUES; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%d", i);
        look(db, name, &holds, &found);
        kept_release(&holds);
    }
    assert_int_equal(*held, 0);
    kept_release(&other);
    kms_db_close(db);
}

struct shared {
    struct kms_db *db;
    _Atomic int64_t told; /* the last value whose commit was acknowledged */
    atomic_bool stop;
    _Atomic int bad, hits;
};

static void *reader(void *user) {
    struct shared *s = user;
    struct kept_holds holds = {0};
    while (!atomic_load(&s->stop)) {
        bool found;
        int64_t told = atomic_load(&s->told);
        const int64_t *v = look(s->db, "a", &holds, &found);
        s->bad += *v < told;
        s->hits += found;
        kept_release(&holds);
    }
    return NULL;
}

static void no_reader_sees_the_past(void **state) {
    struct shared s = {.db = open_db()};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, reader, &s), 0);
    }
    for (int64_t v = 1; v <= 300; v++) {
        assert_true(set(s.db, v, true));
        s.told = v;
    }
    while (s.hits == 0) {
        usleep(1000);
    }
    s.stop = true;
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(s.bad, 0);
    kms_db_close(s.db);
}

int main(void) {
    if (mkdtemp(dir) == NULL) {
        return 1;
    }
    snprintf(path, sizeof path, "%s/kms.db", dir);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(until_the_next_commit),
        cmocka_unit_test(put_too_late),
        cmocka_unit_test(bounds),
        cmocka_unit_test(no_reader_sees_the_past),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    for (size_t i = 0; i < 3; i++) {
        char name[80];
        snprintf(name, sizeof name, "%s%s", path, (const char *[]){"", "-wal", "-shm"}[i]);
        unlink(name);
    }
    rmdir(dir);
    return rc;
}
