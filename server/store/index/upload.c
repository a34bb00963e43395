/* Multipart uploads: the upload, its parts, and its end as an object or as nothing. */
#include "server/store/index/index_in.h"

static struct sl_rc write_end(struct index *ix, struct sqlite3 *conn, struct sl_rc rc,
                              struct sl_error *err) {
    struct sl_rc end = kms_db_write_end(ix->db, conn, sl_is_ok(rc), err);
    return sl_failed(rc) ? rc : end;
}

struct sl_rc index_upload_create(struct index *ix, const struct blob_id *bucket,
                                 const struct index_upload *u, struct sl_error *err) {
    struct sqlite3 *conn = NULL;
    struct sqlite3_stmt *st;
    TRY(kms_db_write(ix->db, &conn, err));
    struct sl_rc rc = db_prepare(conn,
                                 "INSERT INTO upload (id, bucket, key, created_ms, initiator,"
                                 " checksum_kind, checksum_type, manifest, blob)"
                                 " SELECT ?, id, ?, ?, ?, ?, ?, ?, ? FROM bucket WHERE id = ?",
                                 &st, err);
    if (sl_is_ok(rc)) {
        db_bind_blob(st, 1, blob_id_slice(&u->id));
        db_bind_blob(st, 2, u->key);
        db_bind_int(st, 3, u->created_ms);
        db_bind_slice(st, 4, u->initiator);
        db_bind_int(st, 5, u->checksum_kind);
        db_bind_int(st, 6, u->checksum_type);
        db_bind_blob(st, 7, u->manifest);
        db_bind_blob(st, 8, u->blob);
        db_bind_blob(st, 9, blob_id_slice(bucket));
        rc = index_run(st, err);
    }
    if (sl_is_ok(rc) && sqlite3_changes(conn) == 0) {
        rc = sl_rc_of(SL_E_S3_NO_SUCH_BUCKET); /* deleted in between */
    }
    return write_end(ix, conn, rc, err);
}

#define UPLOAD_COLUMNS                                                                             \
    "id, key, created_ms, initiator, checksum_kind, checksum_type, manifest, blob"

static struct sl_rc upload_row(struct sqlite3_stmt *st, struct arena *a, struct index_upload *ret,
                               struct sl_error *err) {
    struct index_upload u = {0};
    TRY(index_column_id(st, 0, &u.id, err));
    TRY(index_column(st, 1, a, &u.key, err));
    u.created_ms = sqlite3_column_int64(st, 2);
    TRY(index_column(st, 3, a, &u.initiator, err));
    u.checksum_kind = (uint8_t)sqlite3_column_int64(st, 4);
    u.checksum_type = (uint8_t)sqlite3_column_int64(st, 5);
    TRY(index_column(st, 6, a, &u.manifest, err));
    TRY(index_column(st, 7, a, &u.blob, err));
    *ret = u;
    return SL_OK;
}

static struct sl_rc upload_get(struct sqlite3 *conn, const struct blob_id *bucket, struct slice key,
                               const struct blob_id *id, struct arena *a, struct index_upload *ret,
                               struct sl_error *err) {
    struct sqlite3_stmt *st;
    bool row;
    TRY(db_prepare(conn,
                   "SELECT " UPLOAD_COLUMNS " FROM upload WHERE id = ? AND bucket = ? AND key = ?",
                   &st, err));
    db_bind_blob(st, 1, blob_id_slice(id));
    db_bind_blob(st, 2, blob_id_slice(bucket));
    db_bind_blob(st, 3, key);
    TRY(db_step(st, &row, err));
    struct sl_rc rc = row ? upload_row(st, a, ret, err) : sl_rc_of(SL_E_S3_NO_SUCH_UPLOAD);
    db_done(st);
    return rc;
}

struct sl_rc index_upload_get(struct index *ix, const struct blob_id *bucket, struct slice key,
                              const struct blob_id *id, struct arena *a, struct index_upload *ret,
                              struct sl_error *err) {
    struct sqlite3 *conn = NULL;
    TRY(kms_db_read(ix->db, &conn, err));
    struct sl_rc rc = upload_get(conn, bucket, key, id, a, ret, err);
    kms_db_read_end(ix->db, conn);
    return rc;
}

static struct sl_rc file_remove(struct sqlite3 *conn, const struct blob_id *owner,
                                const struct blob_id *part, struct sl_error *err) {
    struct sqlite3_stmt *st;
    TRY(db_prepare(conn, "DELETE FROM file WHERE owner = ? AND part = ?", &st, err));
    db_bind_blob(st, 1, blob_id_slice(owner));
    db_bind_blob(st, 2, blob_id_slice(part));
    return index_run(st, err);
}

static struct sl_rc part_put(struct sqlite3 *conn, const struct blob_id *upload,
                             const struct index_upload_part *p, struct arena *a,
                             struct index_dropped *dropped, struct sl_error *err) {
    struct sqlite3_stmt *st;
    bool row;
    TRY(db_prepare(conn,
                   "SELECT p.part FROM upload u LEFT JOIN upload_part p ON p.upload = u.id"
                   " AND p.number = ? WHERE u.id = ?",
                   &st, err));
    db_bind_int(st, 1, p->number);
    db_bind_blob(st, 2, blob_id_slice(upload));
    TRY(db_step(st, &row, err));
    if (!row) {
        return sl_rc_of(SL_E_S3_NO_SUCH_UPLOAD);
    }
    if (db_column(st, 0).len > 0) {
        struct blob_id *old = arena_alloc(a, sizeof *old);
        ENSURE(old != NULL, err, SL_E_NOMEM, "request needs too much memory");
        TRY(index_column_id(st, 0, old, err));
        db_done(st);
        TRY(file_remove(conn, upload, old, err));
        *dropped = (struct index_dropped){.object = *upload, .parts = old, .count = 1};
    }
    db_done(st);
    TRY(db_prepare(conn,
                   "INSERT OR REPLACE INTO upload_part (upload, number, part, salt, size, etag,"
                   " modified_ms, checksum) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                   &st, err));
    db_bind_blob(st, 1, blob_id_slice(upload));
    db_bind_int(st, 2, p->number);
    db_bind_blob(st, 3, blob_id_slice(&p->file.id));
    db_bind_blob(st, 4, slice_of(p->file.salt, BLOB_SALT_LEN));
    db_bind_int(st, 5, (int64_t)p->file.size);
    db_bind_slice(st, 6, p->etag);
    db_bind_int(st, 7, p->modified_ms);
    db_bind_blob(st, 8, p->checksum);
    TRY(index_run(st, err));
    return index_file_add(conn, upload, &p->file.id, err);
}

struct sl_rc index_upload_part(struct index *ix, const struct blob_id *upload,
                               const struct index_upload_part *p, struct arena *a,
                               struct index_dropped *ret_dropped, struct sl_error *err) {
    struct sqlite3 *conn = NULL;
    struct index_dropped dropped = {0};
    TRY(kms_db_write(ix->db, &conn, err));
    TRY(write_end(ix, conn, part_put(conn, upload, p, a, &dropped, err), err));
    *ret_dropped = dropped;
    return SL_OK;
}

static struct sl_rc part_row(struct sqlite3_stmt *st, struct arena *a,
                             struct index_upload_part *ret, struct sl_error *err) {
    struct index_upload_part p = {.number = (uint32_t)sqlite3_column_int64(st, 0)};
    TRY(index_column_id(st, 1, &p.file.id, err));
    struct slice salt = db_column(st, 2);
    ENSURE(salt.len == BLOB_SALT_LEN, err, SL_E_CORRUPT, "index: a salt of %zu bytes", salt.len);
    memcpy(p.file.salt, salt.ptr, BLOB_SALT_LEN);
    p.file.size = (uint64_t)sqlite3_column_int64(st, 3);
    TRY(index_column(st, 4, a, &p.etag, err));
    p.modified_ms = sqlite3_column_int64(st, 5);
    TRY(index_column(st, 6, a, &p.checksum, err));
    *ret = p;
    return SL_OK;
}

static struct sl_rc parts_rows(struct sqlite3 *conn, const struct blob_id *upload, uint32_t after,
                               size_t max, struct arena *a, struct index_upload_part **ret,
                               size_t *ret_count, bool *ret_truncated, struct sl_error *err) {
    struct sqlite3_stmt *st;
    bool row = false;
    struct index_upload_part *all = arena_array(a, max ? max : 1, sizeof *all);
    ENSURE(all != NULL, err, SL_E_NOMEM, "request needs too much memory");
    TRY(db_prepare(conn,
                   "SELECT number, part, salt, size, etag, modified_ms, checksum FROM upload_part"
                   " WHERE upload = ? AND number > ? ORDER BY number",
                   &st, err));
    db_bind_blob(st, 1, blob_id_slice(upload));
    db_bind_int(st, 2, after);
    size_t n = 0;
    for (;;) {
        TRY(db_step(st, &row, err));
        if (!row || n == max) {
            break;
        }
        TRY(part_row(st, a, &all[n], err));
        n++;
    }
    db_done(st);
    *ret = all;
    *ret_count = n;
    *ret_truncated = row;
    return SL_OK;
}

struct sl_rc index_upload_parts(struct index *ix, const struct blob_id *upload, uint32_t after,
                                size_t max, struct arena *a, struct index_upload_part **ret,
                                size_t *ret_count, bool *ret_truncated, struct sl_error *err) {
    struct sqlite3 *conn = NULL;
    TRY(kms_db_read(ix->db, &conn, err));
    struct sl_rc rc = parts_rows(conn, upload, after, max, a, ret, ret_count, ret_truncated, err);
    kms_db_read_end(ix->db, conn);
    return rc;
}

static struct sl_rc upload_rows_delete(struct sqlite3 *conn, const struct blob_id *id,
                                       struct sl_error *err) {
    struct sqlite3_stmt *st;
    TRY(db_prepare(conn, "DELETE FROM upload_part WHERE upload = ?", &st, err));
    db_bind_blob(st, 1, blob_id_slice(id));
    TRY(index_run(st, err));
    TRY(db_prepare(conn, "DELETE FROM upload WHERE id = ?", &st, err));
    db_bind_blob(st, 1, blob_id_slice(id));
    return index_run(st, err);
}

static int compare_ids(const void *a, const void *b) {
    return memcmp(a, b, BLOB_ID_LEN);
}

/* Of `all`, those not in `used`, whose every member must be in `all`. */
static struct sl_rc unused_parts(const struct index_dropped *all, const struct blob_id *used,
                                 size_t used_count, struct arena *a, struct index_dropped *ret,
                                 struct sl_error *err) {
    struct blob_id *sorted = arena_array(a, used_count ? used_count : 1, sizeof *sorted);
    struct blob_id *rest = arena_array(a, all->count ? all->count : 1, sizeof *rest);
    ENSURE(sorted != NULL && rest != NULL, err, SL_E_NOMEM, "request needs too much memory");
    if (used_count > 0) {
        memcpy(sorted, used, used_count * sizeof *sorted);
        qsort(sorted, used_count, sizeof *sorted, compare_ids);
    }
    size_t hits = 0;
    size_t n = 0;
    for (size_t i = 0; i < all->count; i++) {
        if (bsearch(&all->parts[i], sorted, used_count, sizeof *sorted, compare_ids) != NULL) {
            hits++;
        } else {
            rest[n++] = all->parts[i];
        }
    }
    if (hits != used_count) {
        return sl_rc_of(SL_E_S3_INVALID_PART);
    }
    *ret = (struct index_dropped){.object = all->object, .parts = rest, .count = n};
    return SL_OK;
}

static struct sl_rc complete(struct sqlite3 *conn, const struct blob_id *bucket,
                             const struct index_object *o, const struct blob_id *parts,
                             size_t part_count, const struct index_condition *cond, struct arena *a,
                             struct index_dropped dropped[2], struct sl_error *err) {
    struct index_upload u;
    struct index_dropped all;
    TRY(upload_get(conn, bucket, o->key, &o->id, a, &u, err));
    TRY(index_files(conn, &o->id, a, &all, err));
    TRY(unused_parts(&all, parts, part_count, a, &dropped[0], err));
    for (size_t i = 0; i < dropped[0].count; i++) {
        TRY(file_remove(conn, &o->id, &dropped[0].parts[i], err));
    }
    TRY(upload_rows_delete(conn, &o->id, err));
    return index_object_place(conn, bucket, o, cond, a, &dropped[1], err);
}

struct sl_rc index_upload_complete(struct index *ix, const struct blob_id *bucket,
                                   const struct index_object *o, const struct blob_id *parts,
                                   size_t part_count, const struct index_condition *cond,
                                   struct arena *a, struct index_dropped ret_dropped[2],
                                   struct sl_error *err) {
    struct sqlite3 *conn = NULL;
    struct index_dropped dropped[2] = {0};
    TRY(kms_db_write(ix->db, &conn, err));
    TRY(write_end(ix, conn, complete(conn, bucket, o, parts, part_count, cond, a, dropped, err),
                  err));
    memcpy(ret_dropped, dropped, sizeof dropped);
    return SL_OK;
}

static struct sl_rc abort_upload(struct sqlite3 *conn, const struct blob_id *bucket,
                                 struct slice key, const struct blob_id *id, struct arena *a,
                                 struct index_dropped *dropped, struct sl_error *err) {
    struct index_upload u;
    TRY(upload_get(conn, bucket, key, id, a, &u, err));
    TRY(index_files(conn, id, a, dropped, err));
    TRY(index_files_delete(conn, id, err));
    return upload_rows_delete(conn, id, err);
}

struct sl_rc index_upload_abort(struct index *ix, const struct blob_id *bucket, struct slice key,
                                const struct blob_id *id, struct arena *a,
                                struct index_dropped *ret_dropped, struct sl_error *err) {
    struct sqlite3 *conn = NULL;
    struct index_dropped dropped = {0};
    TRY(kms_db_write(ix->db, &conn, err));
    TRY(write_end(ix, conn, abort_upload(conn, bucket, key, id, a, &dropped, err), err));
    *ret_dropped = dropped;
    return SL_OK;
}

static struct sl_rc upload_rows(struct sqlite3 *conn, const struct blob_id *bucket,
                                struct slice prefix, struct slice key_marker,
                                const struct blob_id *id_marker, size_t max, struct arena *a,
                                struct index_upload **ret, size_t *ret_count, bool *ret_truncated,
                                struct sl_error *err) {
    struct sqlite3_stmt *st;
    bool row = false;
    struct index_upload *all = arena_array(a, max ? max : 1, sizeof *all);
    ENSURE(all != NULL, err, SL_E_NOMEM, "request needs too much memory");
    TRY(db_prepare(conn,
                   "SELECT " UPLOAD_COLUMNS " FROM upload WHERE bucket = ?1 AND key >= ?2"
                   " AND (key > ?3 OR (key = ?3 AND id > ?4)) ORDER BY key, id",
                   &st, err));
    db_bind_blob(st, 1, blob_id_slice(bucket));
    db_bind_blob(st, 2, slice_cmp(prefix, key_marker) > 0 ? prefix : key_marker);
    db_bind_blob(st, 3, key_marker);
    /* Without an id the marker's own key is passed over whole. */
    db_bind_blob(st, 4,
                 id_marker ? blob_id_slice(id_marker)
                           : SLICE_LIT("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
                                       "\xff\xff\xff"));
    size_t n = 0;
    for (;;) {
        TRY(db_step(st, &row, err));
        row = row && slice_starts(db_column(st, 1), prefix);
        if (!row || n == max) {
            break;
        }
        TRY(upload_row(st, a, &all[n], err));
        n++;
    }
    db_done(st);
    *ret = all;
    *ret_count = n;
    *ret_truncated = row;
    return SL_OK;
}

struct sl_rc index_upload_list(struct index *ix, const struct blob_id *bucket, struct slice prefix,
                               struct slice key_marker, const struct blob_id *id_marker, size_t max,
                               struct arena *a, struct index_upload **ret, size_t *ret_count,
                               bool *ret_truncated, struct sl_error *err) {
    struct sqlite3 *conn = NULL;
    TRY(kms_db_read(ix->db, &conn, err));
    struct sl_rc rc = upload_rows(conn, bucket, prefix, key_marker, id_marker, max, a, ret,
                                  ret_count, ret_truncated, err);
    kms_db_read_end(ix->db, conn);
    return rc;
}
