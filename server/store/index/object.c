/* Objects: put, get, delete. One row for listings, one for the body's manifest, one a file. */
#include "server/store/index/index_in.h"

static struct sl_rc bucket_exists(struct sqlite3 *conn, const struct blob_id *bucket,
                                  struct sl_error *err) {
    struct sqlite3_stmt *st;
    bool row;
    TRY(db_prepare(conn, "SELECT 1 FROM bucket WHERE id = ?", &st, err));
    db_bind_blob(st, 1, blob_id_slice(bucket));
    TRY(db_step(st, &row, err));
    db_done(st);
    return row ? SL_OK : sl_rc_of(SL_E_S3_NO_SUCH_BUCKET);
}

/* The object under this name, if any, measured against the condition. */
static struct sl_rc find(struct sqlite3 *conn, const struct blob_id *bucket, struct slice key,
                         const struct index_condition *cond, bool *ret_found, struct blob_id *ret,
                         struct sl_error *err) {
    struct sqlite3_stmt *st;
    bool row;
    TRY(db_prepare(conn, "SELECT id, etag FROM object WHERE bucket = ? AND key = ?", &st, err));
    db_bind_blob(st, 1, blob_id_slice(bucket));
    db_bind_blob(st, 2, key);
    TRY(db_step(st, &row, err));
    struct sl_rc rc = SL_OK;
    if (row) {
        rc = index_column_id(st, 0, ret, err);
    }
    if (cond != NULL && sl_is_ok(rc)) {
        if (cond->if_match.len > 0 && !row) {
            rc = sl_rc_of(SL_E_S3_NO_SUCH_KEY);
        } else if ((cond->if_absent && row) ||
                   (cond->if_match.len > 0 && !slice_eq(cond->if_match, SLICE_LIT("*")) &&
                    !slice_eq(cond->if_match, db_column(st, 1)))) {
            rc = sl_rc_of(SL_E_S3_PRECONDITION);
        }
    }
    db_done(st);
    *ret_found = row;
    return rc;
}

/* Drops body and files of an object whose name row is replaced or removed by the caller. */
static struct sl_rc drop(struct sqlite3 *conn, const struct blob_id *id, struct arena *a,
                         struct index_dropped *ret, struct sl_error *err) {
    struct sqlite3_stmt *st;
    TRY(index_files(conn, id, a, ret, err));
    TRY(index_files_delete(conn, id, err));
    TRY(db_prepare(conn, "DELETE FROM body WHERE id = ?", &st, err));
    db_bind_blob(st, 1, blob_id_slice(id));
    return index_run(st, err);
}

struct sl_rc index_object_place(struct sqlite3 *conn, const struct blob_id *bucket,
                                const struct index_object *o, const struct index_condition *cond,
                                struct arena *a, struct index_dropped *ret_dropped,
                                struct sl_error *err) {
    struct sqlite3_stmt *st;
    bool found;
    struct blob_id old;
    TRY(bucket_exists(conn, bucket, err));
    TRY(find(conn, bucket, o->key, cond, &found, &old, err));
    if (found) {
        TRY(drop(conn, &old, a, ret_dropped, err));
    }
    TRY(db_prepare(conn,
                   "INSERT OR REPLACE INTO object (bucket, key, id, etag, size, modified_ms,"
                   " checksum_kind, checksum_type) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                   &st, err));
    db_bind_blob(st, 1, blob_id_slice(bucket));
    db_bind_blob(st, 2, o->key);
    db_bind_blob(st, 3, blob_id_slice(&o->id));
    db_bind_slice(st, 4, o->etag);
    db_bind_int(st, 5, (int64_t)o->size);
    db_bind_int(st, 6, o->modified_ms);
    db_bind_int(st, 7, o->checksum_kind);
    db_bind_int(st, 8, o->checksum_type);
    TRY(index_run(st, err));
    TRY(db_prepare(conn, "INSERT INTO body (id, manifest, mac, blob) VALUES (?, ?, ?, ?)", &st,
                   err));
    db_bind_blob(st, 1, blob_id_slice(&o->id));
    db_bind_blob(st, 2, o->manifest);
    db_bind_blob(st, 3, o->mac);
    db_bind_blob(st, 4, o->blob);
    return index_run(st, err);
}

static struct sl_rc put(struct sqlite3 *conn, const struct blob_id *bucket,
                        const struct index_object *o, const struct blob_id *parts,
                        size_t part_count, const struct index_condition *cond, struct arena *a,
                        struct index_dropped *dropped, struct sl_error *err) {
    TRY(index_object_place(conn, bucket, o, cond, a, dropped, err));
    for (size_t i = 0; i < part_count; i++) {
        TRY(index_file_add(conn, &o->id, &parts[i], err));
    }
    return SL_OK;
}

struct sl_rc index_object_put(struct index *ix, const struct blob_id *bucket,
                              const struct index_object *o, const struct blob_id *parts,
                              size_t part_count, const struct index_condition *cond,
                              struct arena *a, struct index_dropped *ret_dropped,
                              struct sl_error *err) {
    struct sqlite3 *conn = NULL;
    struct index_dropped dropped = {0};
    TRY(kms_db_write(ix->db, &conn, err));
    struct sl_rc rc = put(conn, bucket, o, parts, part_count, cond, a, &dropped, err);
    struct sl_rc end = kms_db_write_end(ix->db, conn, sl_is_ok(rc), err);
    TRY(rc);
    TRY(end);
    *ret_dropped = dropped;
    return SL_OK;
}

static struct sl_rc get(struct sqlite3 *conn, const struct blob_id *bucket, struct slice key,
                        struct arena *a, struct index_object *ret, struct sl_error *err) {
    struct sqlite3_stmt *st;
    bool row;
    TRY(db_prepare(conn,
                   "SELECT o.id, o.etag, o.size, o.modified_ms, o.checksum_kind, o.checksum_type,"
                   " b.manifest, b.mac, b.blob FROM object o JOIN body b ON b.id = o.id"
                   " WHERE o.bucket = ? AND o.key = ?",
                   &st, err));
    db_bind_blob(st, 1, blob_id_slice(bucket));
    db_bind_blob(st, 2, key);
    TRY(db_step(st, &row, err));
    if (!row) {
        return sl_rc_of(SL_E_NOT_FOUND);
    }
    struct index_object o = {.key = key};
    TRY(index_column_id(st, 0, &o.id, err));
    TRY(index_column(st, 1, a, &o.etag, err));
    o.size = (uint64_t)sqlite3_column_int64(st, 2);
    o.modified_ms = sqlite3_column_int64(st, 3);
    o.checksum_kind = (uint8_t)sqlite3_column_int64(st, 4);
    o.checksum_type = (uint8_t)sqlite3_column_int64(st, 5);
    TRY(index_column(st, 6, a, &o.manifest, err));
    TRY(index_column(st, 7, a, &o.mac, err));
    TRY(index_column(st, 8, a, &o.blob, err));
    *ret = o;
    return SL_OK;
}

struct sl_rc index_object_get(struct index *ix, const struct blob_id *bucket, struct slice key,
                              struct arena *a, struct index_object *ret, struct sl_error *err) {
    struct sqlite3 *conn = NULL;
    TRY(kms_db_read(ix->db, &conn, err));
    struct sl_rc rc = get(conn, bucket, key, a, ret, err);
    kms_db_read_end(ix->db, conn); /* settles statements that a failure left open */
    return rc;
}

struct sl_rc index_object_current(struct index *ix, const struct blob_id *bucket, struct slice key,
                                  const struct blob_id *id, bool *ret, struct sl_error *err) {
    struct sqlite3 *conn = NULL;
    bool found = false;
    struct blob_id now = {{0}};
    TRY(kms_db_read(ix->db, &conn, err));
    struct sl_rc rc = find(conn, bucket, key, NULL, &found, &now, err);
    kms_db_read_end(ix->db, conn);
    TRY(rc);
    *ret = found && blob_id_eq(&now, id);
    return SL_OK;
}

static struct sl_rc new_manifest(struct sqlite3 *conn, const struct blob_id *id,
                                 struct slice old_mac, struct slice manifest, struct slice mac,
                                 struct sl_error *err) {
    struct sqlite3_stmt *st;
    TRY(db_prepare(conn, "UPDATE body SET manifest = ?, mac = ? WHERE id = ? AND mac = ?", &st,
                   err));
    db_bind_blob(st, 1, manifest);
    db_bind_blob(st, 2, mac);
    db_bind_blob(st, 3, blob_id_slice(id));
    db_bind_blob(st, 4, old_mac);
    TRY(index_run(st, err));
    return sqlite3_changes(conn) == 1 ? SL_OK : sl_rc_of(SL_E_NOT_FOUND);
}

struct sl_rc index_object_manifest(struct index *ix, const struct blob_id *id, struct slice old_mac,
                                   struct slice manifest, struct slice mac, struct sl_error *err) {
    struct sqlite3 *conn = NULL;
    TRY(kms_db_write(ix->db, &conn, err));
    struct sl_rc rc = new_manifest(conn, id, old_mac, manifest, mac, err);
    struct sl_rc end = kms_db_write_end(ix->db, conn, sl_is_ok(rc), err);
    return sl_failed(rc) ? rc : end;
}

static struct sl_rc delete_object(struct sqlite3 *conn, const struct blob_id *bucket,
                                  struct slice key, const struct index_condition *cond,
                                  struct arena *a, struct index_dropped *dropped,
                                  struct sl_error *err) {
    struct sqlite3_stmt *st;
    bool found;
    struct blob_id old;
    TRY(find(conn, bucket, key, cond, &found, &old, err));
    if (!found) {
        return SL_OK;
    }
    TRY(drop(conn, &old, a, dropped, err));
    TRY(db_prepare(conn, "DELETE FROM object WHERE bucket = ? AND key = ?", &st, err));
    db_bind_blob(st, 1, blob_id_slice(bucket));
    db_bind_blob(st, 2, key);
    return index_run(st, err);
}

struct sl_rc index_object_delete(struct index *ix, const struct blob_id *bucket, struct slice key,
                                 const struct index_condition *cond, struct arena *a,
                                 struct index_dropped *ret_dropped, struct sl_error *err) {
    struct sqlite3 *conn = NULL;
    struct index_dropped dropped = {0};
    TRY(kms_db_write(ix->db, &conn, err));
    struct sl_rc rc = delete_object(conn, bucket, key, cond, a, &dropped, err);
    struct sl_rc end = kms_db_write_end(ix->db, conn, sl_is_ok(rc), err);
    TRY(rc);
    TRY(end);
    *ret_dropped = dropped;
    return SL_OK;
}
