/* The kms database: transactions, isolation of readers, error codes, statement reuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/store/meta/meta.h"

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS t (k TEXT PRIMARY KEY, v INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS child (k TEXT NOT NULL REFERENCES t(k));";
static const char insert_sql[] = "INSERT INTO t (k, v) VALUES (?, ?)";
static const char get_sql[] = "SELECT v FROM t WHERE k = ?";

static char dir[] = "/tmp/meta_test.XXXXXX";
static char path[64];

static struct kms_db *open_db(void) {
    struct kms_db *db = NULL;
    struct sl_error err = {0};
    const char *schemas[] = {schema, NULL};
    if (sl_failed(kms_db_open(path, schemas, &db, &err))) {
        fail_msg("%s", err.detail);
    }
    return db;
}

static struct sl_rc put(sqlite3 *conn, const char *k, int64_t v, struct sl_error *err) {
    sqlite3_stmt *st;
    bool row;
    TRY(db_prepare(conn, insert_sql, &st, err));
    db_bind_slice(st, 1, slice_cstr(k));
    db_bind_int(st, 2, v);
    struct sl_rc rc = db_step(st, &row, err);
    db_done(st);
    return rc;
}

/* The value, or -1 when there is no such row. */
static int64_t get(sqlite3 *conn, const char *k) {
    sqlite3_stmt *st;
    bool row;
    assert_true(sl_is_ok(db_prepare(conn, get_sql, &st, NULL)));
    db_bind_slice(st, 1, slice_cstr(k));
    assert_true(sl_is_ok(db_step(st, &row, NULL)));
    int64_t v = row ? sqlite3_column_int64(st, 0) : -1;
    db_done(st);
    return v;
}

static int64_t get_fresh(struct kms_db *db, const char *k) {
    sqlite3 *r;
    assert_true(sl_is_ok(kms_db_read(db, &r, NULL)));
    int64_t v = get(r, k);
    kms_db_read_end(db, r);
    return v;
}

static void commits_and_rolls_back(void **state) {
    struct kms_db *db = open_db();
    sqlite3 *w;
    assert_true(sl_is_ok(kms_db_write(db, &w, NULL)));
    assert_true(sl_is_ok(put(w, "kept", 1, NULL)));
    assert_true(sl_is_ok(kms_db_write_end(db, w, true, NULL)));
    assert_true(sl_is_ok(kms_db_write(db, &w, NULL)));
    assert_true(sl_is_ok(put(w, "dropped", 2, NULL)));
    assert_true(sl_is_ok(kms_db_write_end(db, w, false, NULL)));
    assert_int_equal(get_fresh(db, "kept"), 1);
    assert_int_equal(get_fresh(db, "dropped"), -1);
    kms_db_close(db);
    db = open_db(); /* schemas are idempotent, data is there */
    assert_int_equal(get_fresh(db, "kept"), 1);
    kms_db_close(db);
}

static void reader_keeps_its_state(void **state) {
    struct kms_db *db = open_db();
    sqlite3 *r, *w;
    assert_true(sl_is_ok(kms_db_read(db, &r, NULL)));
    assert_int_equal(get(r, "iso"), -1);
    assert_true(sl_is_ok(kms_db_write(db, &w, NULL)));
    assert_true(sl_is_ok(put(w, "iso", 5, NULL)));
    assert_true(sl_is_ok(kms_db_write_end(db, w, true, NULL)));
    assert_int_equal(get(r, "iso"), -1);
    kms_db_read_end(db, r);
    assert_int_equal(get_fresh(db, "iso"), 5);
    kms_db_close(db);
}

static void refusals(void **state) {
    struct kms_db *db = open_db();
    sqlite3 *r, *w;
    sqlite3_stmt *st;
    bool row;
    struct sl_error err = {0};
    assert_true(sl_is_ok(kms_db_write(db, &w, NULL)));
    assert_true(sl_is_ok(put(w, "twice", 1, NULL)));
    assert_int_equal(put(w, "twice", 2, &err).code, SL_E_EXISTS);
    assert_true(sl_is_ok(db_prepare(w, "INSERT INTO child (k) VALUES ('nobody')", &st, NULL)));
    sl_error_clear(&err);
    assert_int_equal(db_step(st, &row, &err).code, SL_E_IO);
    assert_non_null(strstr(err.detail, "FOREIGN KEY"));
    assert_int_equal(db_prepare(w, "SELEKT", &st, NULL).code, SL_E_IO);
    assert_true(sl_is_ok(kms_db_write_end(db, w, true, NULL)));
    assert_int_equal(get_fresh(db, "twice"), 1);
    assert_true(sl_is_ok(kms_db_read(db, &r, NULL)));
    assert_true(sl_failed(put(r, "by-reader", 1, NULL)));
    kms_db_read_end(db, r);
    assert_int_equal(get_fresh(db, "by-reader"), -1);
    kms_db_close(db);
    struct kms_db *none = NULL;
    assert_true(sl_failed(kms_db_open("/nonexistent/x.db", NULL, &none, NULL)));
    assert_null(none);
}

static void statements_are_reused_and_nest(void **state) {
    struct kms_db *db = open_db();
    sqlite3 *r;
    sqlite3_stmt *a, *b, *again;
    bool row;
    assert_true(sl_is_ok(kms_db_read(db, &r, NULL)));
    static const char all[] = "SELECT k FROM t ORDER BY k";
    assert_true(sl_is_ok(db_prepare(r, all, &a, NULL)));
    assert_true(sl_is_ok(db_step(a, &row, NULL)));
    assert_true(row);
    assert_true(sl_is_ok(db_prepare(r, all, &b, NULL)));
    assert_ptr_not_equal(a, b); /* the first is still in the middle */
    db_done(a);
    assert_true(sl_is_ok(db_prepare(r, all, &again, NULL)));
    assert_ptr_equal(again, a);
    assert_true(sl_is_ok(db_step(again, &row, NULL))); /* left open on purpose */
    kms_db_read_end(db, r);
    sqlite3 *w;
    assert_true(sl_is_ok(kms_db_write(db, &w, NULL)));
    assert_true(sl_is_ok(put(w, "after", 1, NULL)));
    assert_true(sl_is_ok(kms_db_write_end(db, w, true, NULL)));
    assert_int_equal(get_fresh(db, "after"), 1); /* the pooled reader sees it: no stale snapshot */
    kms_db_close(db);
}

static void blobs_and_empty(void **state) {
    struct kms_db *db = open_db();
    sqlite3 *r;
    sqlite3_stmt *st;
    bool row;
    assert_true(sl_is_ok(kms_db_read(db, &r, NULL)));
    assert_true(sl_is_ok(db_prepare(r, "SELECT ?1, typeof(?1), ?2, typeof(?2)", &st, NULL)));
    db_bind_blob(st, 1, slice_of("a\0b", 3));
    db_bind_slice(st, 2, SLICE_EMPTY);
    assert_true(sl_is_ok(db_step(st, &row, NULL)));
    assert_true(slice_eq(db_column(st, 0), slice_of("a\0b", 3)));
    assert_true(slice_eq_cstr(db_column(st, 1), "blob"));
    assert_int_equal(db_column(st, 2).len, 0);
    assert_true(slice_eq_cstr(db_column(st, 3), "text"));
    kms_db_read_end(db, r);
    kms_db_close(db);
}

static void file_is_private(void **state) {
    struct stat s;
    assert_int_equal(stat(path, &s), 0);
    assert_int_equal(s.st_mode & 077, 0);
}

struct counter {
    struct kms_db *db;
    int fails;
};

static void *count_up(void *user) {
    struct counter *c = user;
    for (int i = 0; i < 50; i++) {
        sqlite3 *w;
        sqlite3_stmt *st;
        bool row;
        if (sl_failed(kms_db_write(c->db, &w, NULL))) {
            c->fails++;
            continue;
        }
        int64_t v = get(w, "count");
        bool ok = sl_is_ok(db_prepare(w, "UPDATE t SET v = ? WHERE k = 'count'", &st, NULL));
        db_bind_int(st, 1, v + 1);
        ok = ok && sl_is_ok(db_step(st, &row, NULL));
        c->fails += !ok || sl_failed(kms_db_write_end(c->db, w, ok, NULL));
        c->fails += get_fresh(c->db, "count") <= v;
    }
    return NULL;
}

static void writers_take_turns(void **state) {
    struct kms_db *db = open_db();
    sqlite3 *w;
    assert_true(sl_is_ok(kms_db_write(db, &w, NULL)));
    assert_true(sl_is_ok(put(w, "count", 0, NULL)));
    assert_true(sl_is_ok(kms_db_write_end(db, w, true, NULL)));
    pthread_t threads[4];
    struct counter c[4];
    for (int i = 0; i < 4; i++) {
        c[i] = (struct counter){db, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, &c[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(c[i].fails, 0);
    }
    assert_int_equal(get_fresh(db, "count"), 200);
    kms_db_close(db);
}

int main(void) {
    if (mkdtemp(dir) == NULL) {
        return 1;
    }
    snprintf(path, sizeof path, "%s/kms.db", dir);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commits_and_rolls_back),
        cmocka_unit_test(reader_keeps_its_state),
        cmocka_unit_test(refusals),
        cmocka_unit_test(statements_are_reused_and_nest),
        cmocka_unit_test(blobs_and_empty),
        cmocka_unit_test(file_is_private),
        cmocka_unit_test(writers_take_turns),
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
