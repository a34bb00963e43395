/* SQLite behind kms_db: one writing connection behind a mutex, reading connections from a bounded
 * pool. Every connection belongs to one thread at a time, so SQLite's own mutexes are off; WAL
 * gives each reader the state as of its first statement. Prepared statements are kept per
 * connection, found through a registry because callers hold the bare sqlite3 handle. */
#include "server/store/meta/meta.h"
#include "server/store/meta/kept.h"

#include "lib/base/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

enum {
    READERS_MAX = 64,
    BUSY_MS = 10 * 1000,
    SLOTS = 512, /* statements kept per connection; a power of two */
};

struct conn {
    sqlite3 *handle;
    struct conn *next_all;  /* registry */
    struct conn *next_idle; /* pool */
    size_t kept;
    struct {
        const char *sql;
        sqlite3_stmt *st;
    } slots[SLOTS];
};

struct kms_db {
    char *path;
    struct conn *writer;
    pthread_mutex_t write_mu; /* held from kms_db_write to kms_db_write_end */
    pthread_mutex_t pool_mu;  /* guards the three below */
    pthread_cond_t pool_free;
    struct conn *idle;
    size_t readers;
    struct kept_store *kept;
};

static pthread_rwlock_t registry_mu = PTHREAD_RWLOCK_INITIALIZER;
static struct conn *registry;

static struct conn *conn_of(sqlite3 *handle) {
    pthread_rwlock_rdlock(&registry_mu);
    struct conn *c = registry;
    while (c != NULL && c->handle != handle) {
        c = c->next_all;
    }
    pthread_rwlock_unlock(&registry_mu);
    sl_assert(c != NULL);
    return c;
}

static struct sl_rc db_fail(sqlite3 *handle, struct sl_error *err, const char *what) {
    int rc = sqlite3_extended_errcode(handle);
    enum sl_code code = SL_E_IO;
    switch (rc & 0xff) {
    case SQLITE_FULL:
        code = SL_E_FULL;
        break;
    case SQLITE_NOMEM:
        code = SL_E_NOMEM;
        break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        code = SL_E_TIMEOUT;
        break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        code = SL_E_CORRUPT;
        break;
    default:
        break;
    }
    if (rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY ||
        rc == SQLITE_CONSTRAINT_ROWID) {
        code = SL_E_EXISTS;
    }
    return sl_fail(err, code, "database: %s: %s", what, sqlite3_errmsg(handle));
}

static struct sl_rc run(sqlite3 *handle, const char *sql, struct sl_error *err) {
    if (sqlite3_exec(handle, sql, NULL, NULL, NULL) != SQLITE_OK) {
        return db_fail(handle, err, "statement failed");
    }
    return SL_OK;
}

static void conn_free(struct conn *c) {
    if (c == NULL) {
        return;
    }
    pthread_rwlock_wrlock(&registry_mu);
    for (struct conn **p = &registry; *p != NULL; p = &(*p)->next_all) {
        if (*p == c) {
            *p = c->next_all;
            break;
        }
    }
    pthread_rwlock_unlock(&registry_mu);
    for (size_t i = 0; i < SLOTS; i++) {
        sqlite3_finalize(c->slots[i].st);
    }
    sqlite3_close_v2(c->handle);
    free(c);
}

static struct sl_rc conn_open(const char *path, bool writer, struct conn **ret,
                              struct sl_error *err) {
    struct conn *c = calloc(1, sizeof *c);
    ENSURE(c != NULL, err, SL_E_NOMEM, "no memory for a database connection");
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READWRITE;
    if (sqlite3_open_v2(path, &c->handle, flags, NULL) != SQLITE_OK) {
        struct sl_rc rc = c->handle ? db_fail(c->handle, err, "open")
                                    : sl_fail(err, SL_E_NOMEM, "no memory for the database");
        conn_free(c);
        return rc;
    }
    pthread_rwlock_wrlock(&registry_mu);
    c->next_all = registry;
    registry = c;
    pthread_rwlock_unlock(&registry_mu);
    sqlite3_extended_result_codes(c->handle, 1);
    sqlite3_busy_timeout(c->handle, BUSY_MS);
    sqlite3_db_config(c->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    /* The readers' pages come from the mapping, so only the writer needs a large cache. */
    struct sl_rc rc = run(
        c->handle,
        writer ? "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
                 "PRAGMA cache_size=-65536; PRAGMA mmap_size=268435456;"
                 "PRAGMA temp_store=MEMORY; PRAGMA trusted_schema=OFF; PRAGMA secure_delete=FAST;"
               : "PRAGMA synchronous=FULL; PRAGMA query_only=ON; PRAGMA cache_size=-8192;"
                 "PRAGMA mmap_size=268435456; PRAGMA temp_store=MEMORY;"
                 "PRAGMA trusted_schema=OFF;",
        err);
    if (sl_failed(rc)) {
        conn_free(c);
        return rc;
    }
    *ret = c;
    return SL_OK;
}

/* SQLite would make the file by the umask; secrets of identities are in it. */
static struct sl_rc make_private(const char *path, struct sl_error *err) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    ENSURE(fd >= 0, err, SL_E_IO, "%s: %s", path, strerror(errno));
    close(fd);
    return folder_sync_of(path, err);
}

static struct sl_rc apply_schemas(sqlite3 *handle, const char *const *schemas,
                                  struct sl_error *err) {
    TRY(run(handle, "BEGIN IMMEDIATE", err));
    for (; schemas != NULL && *schemas != NULL; schemas++) {
        struct sl_rc rc = run(handle, *schemas, err);
        if (sl_failed(rc)) {
            sl_ignore(run(handle, "ROLLBACK", NULL));
            return rc;
        }
    }
    return run(handle, "COMMIT", err);
}

struct sl_rc kms_db_open(const char *path, const char *const *schemas, struct kms_db **ret,
                         struct sl_error *err) {
    TRY(make_private(path, err));
    struct kms_db *db = calloc(1, sizeof *db);
    char *own_path = strdup(path);
    struct kept_store *kept = kept_store_new();
    if (db == NULL || own_path == NULL || kept == NULL) {
        free(db);
        free(own_path);
        kept_store_free(kept);
        return sl_fail(err, SL_E_NOMEM, "no memory for the database");
    }
    db->path = own_path;
    db->kept = kept;
    pthread_mutex_init(&db->write_mu, NULL);
    pthread_mutex_init(&db->pool_mu, NULL);
    pthread_cond_init(&db->pool_free, NULL);
    struct sl_rc rc = conn_open(path, true, &db->writer, err);
    if (sl_is_ok(rc)) {
        rc = apply_schemas(db->writer->handle, schemas, err);
    }
    if (sl_failed(rc)) {
        kms_db_close(db);
        return rc;
    }
    *ret = db;
    return SL_OK;
}

void kms_db_close(struct kms_db *db) {
    if (db == NULL) {
        return;
    }
    size_t closed = 0;
    while (db->idle != NULL) {
        struct conn *c = db->idle;
        db->idle = c->next_idle;
        conn_free(c);
        closed++;
    }
    sl_assert(closed == db->readers);
    conn_free(db->writer);
    pthread_cond_destroy(&db->pool_free);
    pthread_mutex_destroy(&db->pool_mu);
    pthread_mutex_destroy(&db->write_mu);
    kept_store_free(db->kept);
    free(db->path);
    free(db);
}

struct kept_store *kms_db_kept(struct kms_db *db) {
    return db->kept;
}

static void give_back(struct kms_db *db, struct conn *c) {
    pthread_mutex_lock(&db->pool_mu);
    c->next_idle = db->idle;
    db->idle = c;
    pthread_cond_signal(&db->pool_free);
    pthread_mutex_unlock(&db->pool_mu);
}

static struct sl_rc take_reader(struct kms_db *db, struct conn **ret, struct sl_error *err) {
    pthread_mutex_lock(&db->pool_mu);
    while (db->idle == NULL && db->readers >= READERS_MAX) {
        pthread_cond_wait(&db->pool_free, &db->pool_mu);
    }
    struct conn *c = db->idle;
    if (c != NULL) {
        db->idle = c->next_idle;
    } else {
        db->readers++;
    }
    pthread_mutex_unlock(&db->pool_mu);
    if (c == NULL) {
        struct sl_rc rc = conn_open(db->path, false, &c, err);
        if (sl_failed(rc)) {
            pthread_mutex_lock(&db->pool_mu);
            db->readers--;
            pthread_cond_signal(&db->pool_free);
            pthread_mutex_unlock(&db->pool_mu);
            return rc;
        }
    }
    *ret = c;
    return SL_OK;
}

static struct sl_rc step_once(sqlite3 *handle, const char *sql, struct sl_error *err) {
    sqlite3_stmt *st;
    bool row;
    TRY(db_prepare(handle, sql, &st, err));
    struct sl_rc rc = db_step(st, &row, err);
    db_done(st);
    return rc;
}

/* A statement left in the middle would keep its transaction open. */
static void settle(sqlite3 *handle) {
    for (sqlite3_stmt *st = sqlite3_next_stmt(handle, NULL); st != NULL;
         st = sqlite3_next_stmt(handle, st)) {
        if (sqlite3_stmt_busy(st)) {
            db_done(st);
        }
    }
}

struct sl_rc kms_db_read(struct kms_db *db, sqlite3 **ret, struct sl_error *err) {
    struct conn *c = NULL;
    TRY(take_reader(db, &c, err));
    struct sl_rc rc = step_once(c->handle, "BEGIN", err);
    if (sl_failed(rc)) {
        give_back(db, c);
        return rc;
    }
    *ret = c->handle;
    return SL_OK;
}

void kms_db_read_end(struct kms_db *db, sqlite3 *handle) {
    if (handle == NULL) {
        return;
    }
    settle(handle);
    sl_ignore(step_once(handle, "ROLLBACK", NULL));
    give_back(db, conn_of(handle));
}

struct sl_rc kms_db_write(struct kms_db *db, sqlite3 **ret, struct sl_error *err) {
    pthread_mutex_lock(&db->write_mu);
    struct sl_rc rc = step_once(db->writer->handle, "BEGIN IMMEDIATE", err);
    if (sl_failed(rc)) {
        pthread_mutex_unlock(&db->write_mu);
        return rc;
    }
    *ret = db->writer->handle;
    return SL_OK;
}

struct sl_rc kms_db_write_end(struct kms_db *db, sqlite3 *handle, bool commit,
                              struct sl_error *err) {
    if (handle == NULL) {
        return SL_OK;
    }
    sl_assert(handle == db->writer->handle);
    settle(handle);
    struct sl_rc rc = SL_OK;
    if (commit && sqlite3_get_autocommit(handle)) {
        /* SQLite rolls back by itself on some failures; a commit can't be claimed then. */
        rc = sl_fail(err, SL_E_IO, "database: the transaction was rolled back");
    } else if (commit) {
        rc = step_once(handle, "COMMIT", err);
        kept_store_outdate(db->kept);
    }
    if (!sqlite3_get_autocommit(handle)) {
        sl_ignore(step_once(handle, "ROLLBACK", NULL));
    }
    pthread_mutex_unlock(&db->write_mu);
    return rc;
}

static const char *kept_rows(const struct db_keep *const *keep, const char *table) {
    for (; *keep != NULL; keep++) {
        for (const struct db_keep *k = *keep; k->table != NULL; k++) {
            if (strcmp(k->table, table) == 0) {
                return k->rows;
            }
        }
    }
    return "0";
}

static struct sl_rc clear_table(sqlite3 *handle, const char *table, const char *rows,
                                struct sl_error *err) {
    char *sql = sqlite3_mprintf("DELETE FROM \"%w\" WHERE NOT (%s)", table, rows);
    ENSURE(sql != NULL, err, SL_E_NOMEM, "no memory for a statement");
    struct sl_rc rc = run(handle, sql, err);
    sqlite3_free(sql);
    return rc;
}

struct sl_rc kms_db_clear(sqlite3 *handle, const struct db_keep *const *keep,
                          struct sl_error *err) {
    sqlite3_stmt *st;
    bool row;
    /* Rows that refer to each other go in any order. */
    TRY(run(handle, "PRAGMA defer_foreign_keys=ON", err));
    TRY(db_prepare(handle,
                   "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB "
                   "'sqlite_*'",
                   &st, err));
    struct sl_rc rc = db_step(st, &row, err);
    while (sl_is_ok(rc) && row) {
        const char *table = (const char *)sqlite3_column_text(st, 0);
        rc = clear_table(handle, table, kept_rows(keep, table), err);
        rc = sl_is_ok(rc) ? db_step(st, &row, err) : rc;
    }
    db_done(st);
    return rc;
}

struct sl_rc db_prepare(sqlite3 *handle, const char *sql, sqlite3_stmt **ret,
                        struct sl_error *err) {
    struct conn *c = conn_of(handle);
    size_t i = ((uintptr_t)sql * 0x9E3779B97F4A7C15ULL) >> 55; /* top 9 bits: SLOTS */
    for (; c->slots[i].st != NULL; i = (i + 1) % SLOTS) {
        if (c->slots[i].sql == sql && !sqlite3_stmt_busy(c->slots[i].st)) {
            db_done(c->slots[i].st);
            *ret = c->slots[i].st;
            return SL_OK;
        }
    }
    ENSURE(c->kept < SLOTS - 1, err, SL_E_INTERNAL, "too many prepared statements");
    if (sqlite3_prepare_v3(handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &c->slots[i].st, NULL) !=
        SQLITE_OK) {
        return db_fail(handle, err, "prepare");
    }
    c->slots[i].sql = sql;
    c->kept++;
    *ret = c->slots[i].st;
    return SL_OK;
}

/* A failed bind (out of memory) leaves a NULL, which the schemas' NOT NULL columns refuse. */
void db_bind_slice(sqlite3_stmt *st, int index, struct slice s) {
    sqlite3_bind_text64(st, index, s.len ? (const char *)s.ptr : "", s.len, SQLITE_TRANSIENT,
                        SQLITE_UTF8);
}

void db_bind_blob(sqlite3_stmt *st, int index, struct slice s) {
    sqlite3_bind_blob64(st, index, s.len ? (const void *)s.ptr : "", s.len, SQLITE_TRANSIENT);
}

void db_bind_int(sqlite3_stmt *st, int index, int64_t v) {
    sqlite3_bind_int64(st, index, v);
}

struct sl_rc db_step(sqlite3_stmt *st, bool *ret_row, struct sl_error *err) {
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW || rc == SQLITE_DONE) {
        *ret_row = rc == SQLITE_ROW;
        return SL_OK;
    }
    struct sl_rc failure = db_fail(sqlite3_db_handle(st), err, "step");
    sqlite3_reset(st);
    return failure;
}

struct slice db_column(sqlite3_stmt *st, int index) {
    const void *p = sqlite3_column_blob(st, index);
    return slice_of(p, (size_t)sqlite3_column_bytes(st, index));
}

void db_done(sqlite3_stmt *st) {
    if (st != NULL) {
        sqlite3_reset(st);
        sqlite3_clear_bindings(st);
    }
}
