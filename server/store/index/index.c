/* Schema, buckets, and what the other files of this folder share. */
#include "server/store/index/index_in.h"

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS bucket ("
    " name TEXT PRIMARY KEY NOT NULL, id BLOB NOT NULL UNIQUE, account TEXT NOT NULL,"
    " region TEXT NOT NULL, created_ms INTEGER NOT NULL, policy TEXT NOT NULL,"
    " sse INTEGER NOT NULL, sse_key TEXT NOT NULL, sse_bucket_key INTEGER NOT NULL"
    ") WITHOUT ROWID;"
    /* What listings read is kept narrow; manifests are long and stand apart. */
    "CREATE TABLE IF NOT EXISTS object ("
    " bucket BLOB NOT NULL, key BLOB NOT NULL, id BLOB NOT NULL, etag TEXT NOT NULL,"
    " size INTEGER NOT NULL, modified_ms INTEGER NOT NULL, checksum_kind INTEGER NOT NULL,"
    " checksum_type INTEGER NOT NULL, PRIMARY KEY (bucket, key)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS body ("
    " id BLOB NOT NULL UNIQUE, manifest BLOB NOT NULL, mac BLOB NOT NULL, blob BLOB NOT NULL);"
    "CREATE TABLE IF NOT EXISTS file ("
    " owner BLOB NOT NULL, part BLOB NOT NULL UNIQUE, PRIMARY KEY (owner, part)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS upload ("
    " id BLOB NOT NULL UNIQUE, bucket BLOB NOT NULL, key BLOB NOT NULL,"
    " created_ms INTEGER NOT NULL, initiator TEXT NOT NULL, checksum_kind INTEGER NOT NULL,"
    " checksum_type INTEGER NOT NULL, manifest BLOB NOT NULL, blob BLOB NOT NULL);"
    "CREATE INDEX IF NOT EXISTS upload_key ON upload (bucket, key, id);"
    "CREATE TABLE IF NOT EXISTS upload_part ("
    " upload BLOB NOT NULL, number INTEGER NOT NULL, part BLOB NOT NULL, salt BLOB NOT NULL,"
    " size INTEGER NOT NULL, etag TEXT NOT NULL, modified_ms INTEGER NOT NULL,"
    " checksum BLOB NOT NULL, PRIMARY KEY (upload, number)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS bucket_tags ("
    " bucket BLOB PRIMARY KEY NOT NULL, tags TEXT NOT NULL) WITHOUT ROWID;";

struct sl_rc index_open(const char *path, struct index **ret, struct sl_error *err) {
    const char *schemas[] = {schema, NULL};
    struct index *ix = calloc(1, sizeof *ix);
    ENSURE(ix != NULL, err, SL_E_NOMEM, "no memory for the index");
    struct sl_rc rc = kms_db_open(path, schemas, &ix->db, err);
    if (sl_failed(rc)) {
        free(ix);
        return rc;
    }
    *ret = ix;
    return SL_OK;
}

void index_close(struct index *ix) {
    if (ix != NULL) {
        kms_db_close(ix->db);
        free(ix);
    }
}

struct sl_rc index_clear(struct index *ix, struct sl_error *err) {
    static const struct db_keep *const nothing[] = {NULL};
    struct sqlite3 *conn = NULL;
    TRY(kms_db_write(ix->db, &conn, err));
    struct sl_rc rc = kms_db_clear(conn, nothing, err);
    struct sl_rc end = kms_db_write_end(ix->db, conn, sl_is_ok(rc), err);
    return sl_failed(rc) ? rc : end;
}

struct sl_rc index_column(struct sqlite3_stmt *st, int i, struct arena *a, struct slice *ret,
                          struct sl_error *err) {
    struct slice copy = arena_copy(a, db_column(st, i));
    ENSURE(copy.ptr != NULL, err, SL_E_NOMEM, "request needs too much memory");
    *ret = copy;
    return SL_OK;
}

struct sl_rc index_column_id(struct sqlite3_stmt *st, int i, struct blob_id *ret,
                             struct sl_error *err) {
    struct slice s = db_column(st, i);
    ENSURE(s.len == BLOB_ID_LEN, err, SL_E_CORRUPT, "index: an id of %zu bytes", s.len);
    memcpy(ret->bytes, s.ptr, BLOB_ID_LEN);
    return SL_OK;
}

struct sl_rc index_run(struct sqlite3_stmt *st, struct sl_error *err) {
    bool row;
    struct sl_rc rc = db_step(st, &row, err);
    db_done(st);
    return rc;
}

struct sl_rc index_part_known(const struct blob_id *part, void *user, bool *ret_known) {
    struct index *ix = user;
    struct sqlite3 *conn = NULL;
    struct sqlite3_stmt *st;
    TRY(kms_db_read(ix->db, &conn, NULL));
    bool row = false;
    struct sl_rc rc = db_prepare(conn, "SELECT 1 FROM file WHERE part = ?", &st, NULL);
    if (sl_is_ok(rc)) {
        db_bind_blob(st, 1, blob_id_slice(part));
        rc = db_step(st, &row, NULL);
        db_done(st);
    }
    kms_db_read_end(ix->db, conn);
    if (sl_is_ok(rc)) {
        *ret_known = row;
    }
    return rc;
}

/* ---- files */

struct sl_rc index_files(struct sqlite3 *conn, const struct blob_id *owner, struct arena *a,
                         struct index_dropped *ret, struct sl_error *err) {
    struct sqlite3_stmt *st;
    bool row;
    TRY(db_prepare(conn, "SELECT count(*) FROM file WHERE owner = ?", &st, err));
    db_bind_blob(st, 1, blob_id_slice(owner));
    TRY(db_step(st, &row, err));
    size_t count = row ? (size_t)sqlite3_column_int64(st, 0) : 0;
    db_done(st);
    struct blob_id *ids = arena_array(a, count ? count : 1, sizeof *ids);
    ENSURE(ids != NULL, err, SL_E_NOMEM, "request needs too much memory");
    TRY(db_prepare(conn, "SELECT part FROM file WHERE owner = ?", &st, err));
    db_bind_blob(st, 1, blob_id_slice(owner));
    for (size_t i = 0; i < count; i++) {
        TRY(db_step(st, &row, err));
        ENSURE(row, err, SL_E_CORRUPT, "index: files of an object changed while being read");
        TRY(index_column_id(st, 0, &ids[i], err));
    }
    db_done(st);
    *ret = (struct index_dropped){.object = *owner, .parts = ids, .count = count};
    return SL_OK;
}

struct sl_rc index_files_delete(struct sqlite3 *conn, const struct blob_id *owner,
                                struct sl_error *err) {
    struct sqlite3_stmt *st;
    TRY(db_prepare(conn, "DELETE FROM file WHERE owner = ?", &st, err));
    db_bind_blob(st, 1, blob_id_slice(owner));
    return index_run(st, err);
}

struct sl_rc index_file_add(struct sqlite3 *conn, const struct blob_id *owner,
                            const struct blob_id *part, struct sl_error *err) {
    struct sqlite3_stmt *st;
    TRY(db_prepare(conn, "INSERT INTO file (owner, part) VALUES (?, ?)", &st, err));
    db_bind_blob(st, 1, blob_id_slice(owner));
    db_bind_blob(st, 2, blob_id_slice(part));
    return index_run(st, err);
}

/* ---- buckets */

#define BUCKET_COLUMNS "name, id, account, region, created_ms, policy, sse, sse_key, sse_bucket_key"

static struct sl_rc bucket_row(struct sqlite3_stmt *st, struct arena *a, struct index_bucket *ret,
                               struct sl_error *err) {
    struct index_bucket b = {0};
    TRY(index_column(st, 0, a, &b.name, err));
    TRY(index_column_id(st, 1, &b.id, err));
    TRY(index_column(st, 2, a, &b.account, err));
    TRY(index_column(st, 3, a, &b.region, err));
    b.created_ms = sqlite3_column_int64(st, 4);
    TRY(index_column(st, 5, a, &b.policy, err));
    b.default_sse = (uint8_t)sqlite3_column_int64(st, 6);
    TRY(index_column(st, 7, a, &b.default_key, err));
    b.default_bucket_key = sqlite3_column_int64(st, 8) != 0;
    *ret = b;
    return SL_OK;
}

static struct sl_rc bucket_insert(struct sqlite3 *conn, const struct index_bucket *b,
                                  struct sl_error *err) {
    struct sqlite3_stmt *st;
    TRY(db_prepare(conn,
                   "INSERT INTO bucket (" BUCKET_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                   &st, err));
    db_bind_slice(st, 1, b->name);
    db_bind_blob(st, 2, blob_id_slice(&b->id));
    db_bind_slice(st, 3, b->account);
    db_bind_slice(st, 4, b->region);
    db_bind_int(st, 5, b->created_ms);
    db_bind_slice(st, 6, b->policy);
    db_bind_int(st, 7, b->default_sse);
    db_bind_slice(st, 8, b->default_key);
    db_bind_int(st, 9, b->default_bucket_key);
    return index_run(st, err);
}

static struct sl_rc put_tags(struct sqlite3 *conn, const struct blob_id *id, struct slice tags,
                             struct sl_error *err) {
    struct sqlite3_stmt *st;
    const char *sql = tags.len > 0
                          ? "INSERT OR REPLACE INTO bucket_tags (bucket, tags) VALUES (?, ?)"
                          : "DELETE FROM bucket_tags WHERE bucket = ?";
    TRY(db_prepare(conn, sql, &st, err));
    db_bind_blob(st, 1, blob_id_slice(id));
    if (tags.len > 0) {
        db_bind_slice(st, 2, tags);
    }
    return index_run(st, err);
}

struct sl_rc index_bucket_set_tags(struct index *ix, const struct blob_id *id, struct slice tags,
                                   struct sl_error *err) {
    struct sqlite3 *conn = NULL;
    TRY(kms_db_write(ix->db, &conn, err));
    struct sl_rc rc = put_tags(conn, id, tags, err);
    struct sl_rc end = kms_db_write_end(ix->db, conn, sl_is_ok(rc), err);
    return sl_failed(rc) ? rc : end;
}

struct sl_rc index_bucket_tags(struct index *ix, const struct blob_id *id, struct arena *a,
                               struct slice *ret, struct sl_error *err) {
    struct sqlite3 *conn = NULL;
    struct sqlite3_stmt *st = NULL;
    bool row = false;
    TRY(kms_db_read(ix->db, &conn, err));
    struct sl_rc rc = db_prepare(conn, "SELECT tags FROM bucket_tags WHERE bucket = ?", &st, err);
    *ret = SLICE_EMPTY;
    if (sl_is_ok(rc)) {
        db_bind_blob(st, 1, blob_id_slice(id));
        rc = db_step(st, &row, err);
    }
    if (sl_is_ok(rc) && row) {
        rc = index_column(st, 0, a, ret, err);
    }
    db_done(st);
    kms_db_read_end(ix->db, conn);
    return rc;
}

struct sl_rc index_bucket_create(struct index *ix, const struct index_bucket *b,
                                 struct sl_error *err) {
    struct sqlite3 *conn = NULL;
    TRY(kms_db_write(ix->db, &conn, err));
    struct sl_rc rc = bucket_insert(conn, b, err);
    if (sl_is_ok(rc) && b->tags.len > 0) {
        rc = put_tags(conn, &b->id, b->tags, err);
    }
    struct sl_rc end = kms_db_write_end(ix->db, conn, sl_is_ok(rc), err);
    return sl_failed(rc) ? rc : end;
}

struct sl_rc index_bucket_get(struct index *ix, struct slice name, struct arena *a,
                              struct index_bucket *ret, struct sl_error *err) {
    struct sqlite3 *conn = NULL;
    struct sqlite3_stmt *st = NULL;
    bool row = false;
    TRY(kms_db_read(ix->db, &conn, err));
    struct sl_rc rc =
        db_prepare(conn, "SELECT " BUCKET_COLUMNS " FROM bucket WHERE name = ?", &st, err);
    if (sl_is_ok(rc)) {
        db_bind_slice(st, 1, name);
        rc = db_step(st, &row, err);
    }
    if (sl_is_ok(rc)) {
        rc = row ? bucket_row(st, a, ret, err) : sl_rc_of(SL_E_NOT_FOUND);
    }
    db_done(st);
    kms_db_read_end(ix->db, conn);
    return rc;
}

static struct sl_rc bucket_rows(struct sqlite3 *conn, struct slice account, struct arena *a,
                                struct index_bucket **ret, size_t *ret_count,
                                struct sl_error *err) {
    struct sqlite3_stmt *st;
    bool row;
    TRY(db_prepare(conn, "SELECT count(*) FROM bucket WHERE account = ?", &st, err));
    db_bind_slice(st, 1, account);
    TRY(db_step(st, &row, err));
    size_t max = row ? (size_t)sqlite3_column_int64(st, 0) : 0;
    db_done(st);
    struct index_bucket *all = arena_array(a, max ? max : 1, sizeof *all);
    ENSURE(all != NULL, err, SL_E_NOMEM, "too many buckets");
    TRY(db_prepare(conn, "SELECT " BUCKET_COLUMNS " FROM bucket WHERE account = ? ORDER BY name",
                   &st, err));
    db_bind_slice(st, 1, account);
    size_t n = 0;
    while (n < max) {
        TRY(db_step(st, &row, err));
        if (!row) {
            break;
        }
        TRY(bucket_row(st, a, &all[n], err));
        n++;
    }
    db_done(st);
    *ret = all;
    *ret_count = n;
    return SL_OK;
}

struct sl_rc index_bucket_list(struct index *ix, struct slice account, struct arena *a,
                               struct index_bucket **ret, size_t *ret_count, struct sl_error *err) {
    struct sqlite3 *conn = NULL;
    TRY(kms_db_read(ix->db, &conn, err));
    struct sl_rc rc = bucket_rows(conn, account, a, ret, ret_count, err);
    kms_db_read_end(ix->db, conn);
    return rc;
}

static struct sl_rc drop_uploads(struct sqlite3 *conn, const struct blob_id *bucket,
                                 struct arena *a, struct index_dropped **ret, size_t *ret_count,
                                 struct sl_error *err) {
    struct sqlite3_stmt *st;
    bool row;
    TRY(db_prepare(conn, "SELECT count(*) FROM upload WHERE bucket = ?", &st, err));
    db_bind_blob(st, 1, blob_id_slice(bucket));
    TRY(db_step(st, &row, err));
    size_t max = row ? (size_t)sqlite3_column_int64(st, 0) : 0;
    db_done(st);
    struct index_dropped *all = arena_array(a, max ? max : 1, sizeof *all);
    ENSURE(all != NULL, err, SL_E_NOMEM, "too many uploads");
    TRY(db_prepare(conn, "SELECT id FROM upload WHERE bucket = ?", &st, err));
    db_bind_blob(st, 1, blob_id_slice(bucket));
    size_t n = 0;
    while (n < max) {
        TRY(db_step(st, &row, err));
        if (!row) {
            break;
        }
        TRY(index_column_id(st, 0, &all[n++].object, err));
    }
    db_done(st);
    for (size_t i = 0; i < n; i++) {
        struct blob_id id = all[i].object;
        TRY(index_files(conn, &id, a, &all[i], err));
        TRY(index_files_delete(conn, &id, err));
        TRY(db_prepare(conn, "DELETE FROM upload_part WHERE upload = ?", &st, err));
        db_bind_blob(st, 1, blob_id_slice(&id));
        TRY(index_run(st, err));
    }
    TRY(db_prepare(conn, "DELETE FROM upload WHERE bucket = ?", &st, err));
    db_bind_blob(st, 1, blob_id_slice(bucket));
    TRY(index_run(st, err));
    *ret = all;
    *ret_count = n;
    return SL_OK;
}

static struct sl_rc bucket_delete(struct sqlite3 *conn, const struct blob_id *id, struct arena *a,
                                  struct index_dropped **ret, size_t *ret_count,
                                  struct sl_error *err) {
    struct sqlite3_stmt *st;
    bool row;
    TRY(db_prepare(conn, "SELECT 1 FROM object WHERE bucket = ? LIMIT 1", &st, err));
    db_bind_blob(st, 1, blob_id_slice(id));
    TRY(db_step(st, &row, err));
    db_done(st);
    if (row) {
        return sl_rc_of(SL_E_S3_BUCKET_NOT_EMPTY);
    }
    TRY(drop_uploads(conn, id, a, ret, ret_count, err));
    TRY(put_tags(conn, id, SLICE_EMPTY, err));
    TRY(db_prepare(conn, "DELETE FROM bucket WHERE id = ?", &st, err));
    db_bind_blob(st, 1, blob_id_slice(id));
    return index_run(st, err);
}

struct sl_rc index_bucket_delete(struct index *ix, const struct blob_id *id, struct arena *a,
                                 struct index_dropped **ret_dropped, size_t *ret_count,
                                 struct sl_error *err) {
    struct sqlite3 *conn = NULL;
    TRY(kms_db_write(ix->db, &conn, err));
    struct sl_rc rc = bucket_delete(conn, id, a, ret_dropped, ret_count, err);
    struct sl_rc end = kms_db_write_end(ix->db, conn, sl_is_ok(rc), err);
    return sl_failed(rc) ? rc : end;
}

struct sl_rc index_bucket_set_policy(struct index *ix, const struct blob_id *id,
                                     struct slice policy, struct sl_error *err) {
    struct sqlite3 *conn = NULL;
    struct sqlite3_stmt *st;
    TRY(kms_db_write(ix->db, &conn, err));
    struct sl_rc rc = db_prepare(conn, "UPDATE bucket SET policy = ? WHERE id = ?", &st, err);
    if (sl_is_ok(rc)) {
        db_bind_slice(st, 1, policy);
        db_bind_blob(st, 2, blob_id_slice(id));
        rc = index_run(st, err);
    }
    struct sl_rc end = kms_db_write_end(ix->db, conn, sl_is_ok(rc), err);
    return sl_failed(rc) ? rc : end;
}

struct sl_rc index_bucket_set_sse(struct index *ix, const struct blob_id *id, uint8_t sse,
                                  struct slice key, bool bucket_key, struct sl_error *err) {
    struct sqlite3 *conn = NULL;
    struct sqlite3_stmt *st;
    TRY(kms_db_write(ix->db, &conn, err));
    struct sl_rc rc = db_prepare(
        conn, "UPDATE bucket SET sse = ?, sse_key = ?, sse_bucket_key = ? WHERE id = ?", &st, err);
    if (sl_is_ok(rc)) {
        db_bind_int(st, 1, sse);
        db_bind_slice(st, 2, key);
        db_bind_int(st, 3, bucket_key);
        db_bind_blob(st, 4, blob_id_slice(id));
        rc = index_run(st, err);
    }
    struct sl_rc end = kms_db_write_end(ix->db, conn, sl_is_ok(rc), err);
    return sl_failed(rc) ? rc : end;
}
