/* The recorder; see load_errors.h. Rejects travel in a dynamic shared memory segment as one flat
 * run of bytes. */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/dsm.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "extension/catalog/load_errors.h"
#include "extension/keys/database_key.h"
#include "extension/keys/raise.h"
#include "extension/keys/sealed_blob.h"
#include "lib/base/buf.h"
#include "lib/base/rdr.h"

enum { REJECTS_BYTES_MAX = 512 * 1024 * 1024, TEXTS = 3 };

PG_FUNCTION_INFO_V1(sealift_load_error_text);

PGDLLEXPORT void load_errors_main(Datum arg);

static void put_text(struct buf *out, const char *s) {
    buf_vec16(out, slice_cstr(s));
}

static void put_reject(struct buf *out, const struct copy_reject *r) {
    put_text(out, r->filename);
    buf_u64(out, (uint64_t)r->line_number);
    put_text(out, r->colname);
    put_text(out, r->type);
    put_text(out, r->col_length);
    buf_u32(out, (uint32_t)r->position);
    put_text(out, r->raw_line);
    put_text(out, r->raw_field_value);
    buf_u32(out, (uint32_t)r->err_code);
    put_text(out, r->err_reason);
}

static struct buf encode(const struct copy_result *result, Oid table, int query_id) {
    struct buf out = BUF_INIT(REJECTS_BYTES_MAX);
    buf_u32(&out, MyDatabaseId);
    buf_u32(&out, GetUserId());
    buf_u32(&out, (uint32_t)MyProcPid);
    buf_u32(&out, table);
    buf_u32(&out, (uint32_t)query_id);
    buf_u32(&out, (uint32_t)result->reject_count);
    for (int i = 0; i < result->reject_count; i++) {
        put_reject(&out, &result->rejects[i]);
    }
    return out;
}

void load_errors_record(const struct copy_result *result, Oid table, int query_id) {
    if (result->reject_count == 0) {
        return;
    }
    struct buf flat = encode(result, table, query_id);
    if (flat.failed) {
        buf_fini(&flat);
        ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                        errmsg("too many rejected rows to record")));
    }
    dsm_segment *seg = dsm_create(flat.len + sizeof(uint64), 0);
    uint64 len = flat.len;
    memcpy(dsm_segment_address(seg), &len, sizeof len);
    memcpy((char *)dsm_segment_address(seg) + sizeof len, flat.ptr, flat.len);
    buf_fini(&flat);
    BackgroundWorker w = {.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
                          .bgw_start_time = BgWorkerStart_RecoveryFinished,
                          .bgw_restart_time = BGW_NEVER_RESTART,
                          .bgw_main_arg = UInt32GetDatum(dsm_segment_handle(seg)),
                          .bgw_notify_pid = MyProcPid};
    strlcpy(w.bgw_name, "sealift load error recorder", BGW_MAXLEN);
    strlcpy(w.bgw_type, "sealift load error recorder", BGW_MAXLEN);
    strlcpy(w.bgw_library_name, "sealift", BGW_MAXLEN);
    strlcpy(w.bgw_function_name, "load_errors_main", BGW_MAXLEN);
    BackgroundWorkerHandle *handle;
    if (!RegisterDynamicBackgroundWorker(&w, &handle)) {
        ereport(ERROR, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
                        errmsg("the rejected rows can't be recorded: no worker process is free"),
                        errhint("Try again when fewer loads run.")));
    }
    WaitForBackgroundWorkerShutdown(handle);
    /* The worker clears the length once its transaction is committed. */
    memcpy(&len, dsm_segment_address(seg), sizeof len);
    dsm_detach(seg);
    if (len != 0) {
        ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
                        errmsg("the rejected rows could not be recorded")));
    }
}

/* ---- in the worker
 * ------------------------------------------------------------------------------------------------
 */

struct head {
    Oid user, table;
    int session, query;
};

/* What a sealed text belongs to. */
static struct slice place_of(int32 query, int64 line, struct buf *out) {
    buf_puts(out, "load-error");
    buf_u32(out, (uint32_t)query);
    buf_u64(out, (uint64_t)line);
    return buf_slice(out);
}

/* What holds values of the row, as one sealed blob: raw line, raw field, reason. */
static Datum sealed_datum(struct slice texts[TEXTS], int32 query, int64 line) {
    const struct database_key *database = database_key(true);
    SL_CLEANUP(buf_fini) struct buf plain = {.max = LIMIT_SEALED_BLOB_BYTES, .wipe = true};
    SL_CLEANUP(buf_fini) struct buf blob = BUF_INIT(LIMIT_SEALED_BLOB_BYTES);
    SL_CLEANUP(buf_fini) struct buf place = BUF_INIT(64);
    struct sl_error err = {0};
    for (int i = 0; i < TEXTS; i++) {
        buf_vec16(&plain, texts[i]);
    }
    struct sl_rc rc = buf_check(&plain, &err);
    rc = sl_is_ok(rc)
             ? sealed_blob_make(database->id, secret_view(&database->key),
                                place_of(query, line, &place), buf_slice(&plain), &blob, &err)
             : rc;
    if (sl_failed(rc)) {
        keys_raise(ERROR, rc, &err, "load errors");
    }
    bytea *result = palloc(VARHDRSZ + blob.len);
    SET_VARSIZE(result, VARHDRSZ + blob.len);
    memcpy(VARDATA(result), blob.ptr, blob.len);
    return PointerGetDatum(result);
}

static struct sl_rc text_of(struct slice plain, int which, struct slice *ret,
                            struct sl_error *err) {
    struct rdr r = rdr_of(plain);
    for (int i = 0; i < TEXTS; i++) {
        struct slice s = rdr_vec16(&r);
        *ret = i == which ? s : *ret;
    }
    return rdr_end(&r, err, "load error");
}

/* sealift.load_error_text(sealed, query, line_number, which): for the view, which shows rows to
 * those who may see them. */
Datum sealift_load_error_text(PG_FUNCTION_ARGS) {
    bytea *sealed = PG_GETARG_BYTEA_PP(0);
    const struct database_key *database = database_key(false);
    SL_CLEANUP(buf_fini) struct buf plain = {.max = LIMIT_SEALED_BLOB_BYTES, .wipe = true};
    SL_CLEANUP(buf_fini) struct buf place = BUF_INIT(64);
    struct sl_error err = {0};
    struct slice text = SLICE_EMPTY;
    struct sl_rc rc =
        sealed_blob_open(database->id, secret_view(&database->key),
                         place_of(PG_GETARG_INT32(1), PG_GETARG_INT64(2), &place),
                         slice_of(VARDATA_ANY(sealed), VARSIZE_ANY_EXHDR(sealed)), &plain, &err);
    rc = sl_is_ok(rc) ? text_of(buf_slice(&plain), PG_GETARG_INT32(3), &text, &err) : rc;
    if (sl_failed(rc)) {
        keys_raise(ERROR, rc, &err, "load errors");
    }
    PG_RETURN_TEXT_P(cstring_to_text_with_len((const char *)text.ptr, (int)text.len));
}

static Datum text_datum(struct rdr *r) {
    struct slice s = rdr_vec16(r);
    return PointerGetDatum(cstring_to_text_with_len((const char *)s.ptr, (int)s.len));
}

static void insert_one(struct rdr *r, const struct head *h, TimestampTz now) {
    static const char sql[] =
        "INSERT INTO sealift.load_errors (userid, tbl, starttime, session, query, filename, "
        "line_number, colname, type, col_length,"
        " position, err_code, sealed)"
        " VALUES ($1,$2,$3 AT TIME ZONE 'UTC',$4,$5,$6,$7,$8,$9,$10,$11,$12,$13)";
    Oid types[] = {INT4OID, INT4OID, TIMESTAMPTZOID, INT4OID, INT4OID, TEXTOID, INT8OID,
                   TEXTOID, TEXTOID, TEXTOID,        INT4OID, INT4OID, BYTEAOID};
    struct slice texts[TEXTS];
    Datum v[13] = {Int32GetDatum((int32)h->user), Int32GetDatum((int32)h->table),
                   TimestampTzGetDatum(now), Int32GetDatum(h->session), Int32GetDatum(h->query)};
    v[5] = text_datum(r);
    int64 line = (int64)rdr_u64(r);
    v[6] = Int64GetDatum(line);
    v[7] = text_datum(r);
    v[8] = text_datum(r);
    v[9] = text_datum(r);
    v[10] = Int32GetDatum((int32)rdr_u32(r));
    texts[0] = rdr_vec16(r);
    texts[1] = rdr_vec16(r);
    v[11] = Int32GetDatum((int32)rdr_u32(r));
    texts[2] = rdr_vec16(r);
    v[12] = sealed_datum(texts, h->query, line);
    if (SPI_execute_with_args(sql, 13, types, v, NULL, false, 0) != SPI_OK_INSERT) {
        elog(ERROR, "load errors: insert failed");
    }
}

void load_errors_main(Datum arg) {
    BackgroundWorkerUnblockSignals();
    dsm_segment *seg = dsm_attach(DatumGetUInt32(arg));
    if (seg == NULL) {
        return;
    }
    uint64 len;
    memcpy(&len, dsm_segment_address(seg), sizeof len);
    struct rdr r = rdr_of(slice_of((char *)dsm_segment_address(seg) + sizeof len, len));
    Oid database = rdr_u32(&r);
    struct head h = {.user = rdr_u32(&r)};
    h.session = (int)rdr_u32(&r);
    h.table = rdr_u32(&r);
    h.query = (int)rdr_u32(&r);
    uint32_t count = rdr_u32(&r);
    BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
    StartTransactionCommand();
    PushActiveSnapshot(GetTransactionSnapshot());
    SPI_connect();
    TimestampTz now = GetCurrentTimestamp();
    for (uint32_t i = 0; i < count && !r.bad; i++) {
        insert_one(&r, &h, now);
    }
    SPI_finish();
    PopActiveSnapshot();
    CommitTransactionCommand();
    len = 0;
    memcpy(dsm_segment_address(seg), &len, sizeof len);
    dsm_detach(seg);
}
