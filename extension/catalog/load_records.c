/* See load_records.h. A row is inserted frozen: it belongs to no transaction, so a rollback leaves
 * it, and a crash at worst takes the last ones. Lines are sealed where they are made; the worker,
 * which writes for loads whose transaction can't write any more, passes blobs on. */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/dsm.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "extension/catalog/load_records.h"
#include "extension/copy/failure.h"
#include "extension/keys/database_key.h"
#include "extension/keys/raise.h"
#include "extension/keys/sealed_blob.h"
#include "lib/base/buf.h"
#include "lib/base/rdr.h"

PG_FUNCTION_INFO_V1(sealift_load_lines);
PGDLLEXPORT void load_records_main(Datum arg);

enum {
    RECORDS_BYTES_MAX = 512 * 1024 * 1024,
    PART_BYTES = 1024 * 1024, /* of lines under one seal */
    KEEP_DAYS = 7,
    REMOVE_AT_ONCE = 1000,
    ERRORS_MAX = 100000, /* rejected rows of a load that are kept: as MAXERROR's limit */
    MAX_COLUMNS = 32
};

/* Kinds of lines; their members are columns of the functions in bootstrap.sql. */
enum kind {
    KIND_BEGUN = 'b',
    KIND_LOAD = 'l',
    KIND_FILE = 'f',
    KIND_ERROR = 'e',
    KIND_FIELD = 'v'
};

enum attribute {
    REC_QUERY = 1,
    REC_KIND,
    REC_PART,
    REC_USER,
    REC_SESSION,
    REC_AT,
    REC_SEALED,
    REC_COUNT = REC_SEALED
};

/* ---- Lines, sealed ---- */

/* All records of a load: database, user, session, query, then of each part its kind, number and
 * blob. */
struct records {
    struct buf out;
    struct buf lines; /* of the part at hand */
    enum kind kind;
    uint32_t part;
    int query;
    struct sl_error err;
    struct sl_rc rc;
};

static struct slice place_of(int32 query, uint8_t kind, uint32_t part, struct buf *out) {
    buf_puts(out, "load-records");
    buf_u32(out, (uint32_t)query);
    buf_u8(out, kind);
    buf_u32(out, part);
    return buf_slice(out);
}

static void seal_part(struct records *r) {
    const struct database_key *database = database_key(true);
    SL_CLEANUP(buf_fini) struct buf blob = BUF_INIT(LIMIT_SEALED_BLOB_BYTES);
    SL_CLEANUP(buf_fini) struct buf place = BUF_INIT(64);
    if (r->lines.len == 0 || sl_failed(r->rc)) {
        return;
    }
    r->rc = buf_check(&r->lines, &r->err);
    if (sl_is_ok(r->rc)) {
        r->rc = sealed_blob_make(database->id, secret_view(&database->key),
                                 place_of(r->query, (uint8_t)r->kind, r->part, &place),
                                 buf_slice(&r->lines), &blob, &r->err);
    }
    buf_u8(&r->out, (uint8_t)r->kind);
    buf_u32(&r->out, r->part++);
    buf_vec32(&r->out, buf_slice(&blob));
    buf_reset(&r->lines);
}

static void begin_line(struct records *r, enum kind kind) {
    if (kind != r->kind || r->lines.len > PART_BYTES) {
        seal_part(r);
        r->part = kind == r->kind ? r->part : 0;
        r->kind = kind;
    }
}

/* Cut where it is longer than a line has room for, at a character's begin. */
static void put_text(struct records *r, const char *s) {
    size_t len = strlen(s);
    int cut = len > UINT16_MAX ? pg_mbcliplen(s, (int)Min(len, INT_MAX), UINT16_MAX) : (int)len;
    buf_vec16(&r->lines, slice_of(s, (size_t)cut));
}

static void put_int(struct records *r, int64 v) {
    buf_u64(&r->lines, (uint64_t)v);
}

static TimestampTz of_unix_us(int64 us) {
    return us - (int64)(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
}

static bool was_read(const struct watch_file *f) {
    return f->end_us != 0 || f->fetched > 0;
}

static void put_load(struct records *r, enum kind kind, const struct load_facts *facts,
                     const struct watch *w, const struct copy_result *result, bool aborted) {
    const struct watch_counters *c = w->counters;
    int64 scanned = 0, fetched = 0, plain = 0;
    for (size_t i = 0; i < w->count; i++) {
        scanned += was_read(&w->files[i]);
        fetched += (int64)w->files[i].fetched;
        plain += (int64)w->files[i].plain;
    }
    begin_line(r, kind);
    put_int(r, (int64)facts->xid);
    put_text(r, facts->database);
    put_text(r, aborted ? "aborted" : "completed");
    put_int(r, (int64)facts->table);
    put_text(r, facts->table_name);
    put_int(r, facts->start);
    put_int(r, GetCurrentTimestamp());
    put_text(r, facts->source);
    put_text(r, facts->format);
    put_int(r, aborted ? 0 : result->rows);
    put_int(r, aborted ? 0 : plain);
    put_int(r, (int64)atomic_load(&c->files));
    put_int(r, (int64)atomic_load(&c->size));
    put_int(r, scanned);
    put_int(r, fetched);
    put_int(r, result->rejected);
    put_text(r, result->message != NULL ? result->message : "");
}

struct named_file {
    const char *url;
    size_t at; /* in watch.files */
};

static int by_url(const void *a, const void *b) {
    return strcmp(((const struct named_file *)a)->url, ((const struct named_file *)b)->url);
}

/* Rejected rows of each file. */
static int64 *errors_of_files(const struct watch *w, const struct copy_result *result) {
    int64 *errors = palloc0(sizeof *errors * (w->count + 1));
    struct named_file *files = palloc(sizeof *files * (w->count + 1)), *at = NULL;
    for (size_t i = 0; i < w->count; i++) {
        files[i] = (struct named_file){copy_object_url(w->files[i].object), i};
    }
    qsort(files, w->count, sizeof *files, by_url);
    for (int i = 0; i < result->reject_count; i++) {
        struct named_file wanted = {.url = result->rejects[i].filename};
        if (at == NULL || by_url(at, &wanted) != 0) {
            at = bsearch(&wanted, files, w->count, sizeof *files, by_url);
        }
        if (at != NULL) {
            errors[at->at]++;
        }
    }
    for (size_t i = 0; i < w->count; i++) {
        pfree((void *)(uintptr_t)files[i].url);
    }
    pfree(files);
    return errors;
}

static void put_files(struct records *r, const struct load_facts *facts, const struct watch *w,
                      const struct copy_result *result) {
    int64 *errors = errors_of_files(w, result);
    for (size_t i = 0; i < w->count; i++) {
        const struct watch_file *f = &w->files[i];
        if (!was_read(f)) {
            continue;
        }
        begin_line(r, KIND_FILE);
        put_text(r, copy_object_url(f->object));
        put_int(r, (int64)f->fetched);
        put_int(r, (int64)f->lines);
        put_int(r, errors[i]);
        put_int(r, of_unix_us(f->start_us));
        put_int(r, f->end_us != 0 ? of_unix_us(f->end_us) : GetCurrentTimestamp());
        put_int(r, f->end_us != 0);
        put_text(r, facts->format);
    }
    pfree(errors);
}

static void put_error(struct records *r, const struct load_facts *facts,
                      const struct copy_reject *e) {
    begin_line(r, KIND_ERROR);
    put_int(r, (int64)facts->table);
    put_int(r, facts->start);
    put_text(r, e->filename);
    put_int(r, e->line_number);
    put_text(r, e->colname);
    put_text(r, e->type);
    put_text(r, e->col_length);
    put_int(r, e->position);
    put_text(r, e->raw_line);
    put_text(r, e->raw_field_value);
    put_int(r, e->err_code);
    put_text(r, e->err_reason);
    put_int(r, (int64)facts->xid);
}

static void put_fields(struct records *r, const struct copy_reject *e) {
    for (int i = 0; i < e->field_count; i++) {
        const struct copy_field *f = &e->fields[i];
        begin_line(r, KIND_FIELD);
        put_text(r, e->filename);
        put_int(r, e->line_number);
        put_int(r, f->field);
        put_text(r, f->colname);
        put_text(r, f->value);
        put_int(r, f->is_null);
        put_text(r, f->type);
        put_text(r, f->col_length);
    }
}

static struct records records_begin(const struct load_facts *facts) {
    struct records r = {.out = BUF_INIT(RECORDS_BYTES_MAX),
                        .lines = {.max = LIMIT_SEALED_BLOB_BYTES, .wipe = true},
                        .kind = KIND_LOAD,
                        .query = facts->query};
    buf_u32(&r.out, MyDatabaseId);
    buf_u32(&r.out, facts->user);
    buf_u32(&r.out, (uint32_t)MyProcPid);
    buf_u32(&r.out, (uint32_t)facts->query);
    return r;
}

static void records_end(struct records *r) {
    seal_part(r);
    buf_fini(&r->lines);
    r->rc = sl_is_ok(r->rc) ? buf_check(&r->out, &r->err) : r->rc;
}

/* The records, as the worker gets them and insert_all reads them; made of malloc'ed memory. */
static struct records seal(const struct load_facts *facts, const struct watch *w,
                           const struct copy_result *result, bool aborted) {
    struct records r = records_begin(facts);
    put_load(&r, KIND_LOAD, facts, w, result, aborted);
    put_files(&r, facts, w, result);
    int errors = Min(result->reject_count, ERRORS_MAX);
    for (int i = 0; i < errors; i++) {
        put_error(&r, facts, &result->rejects[i]);
    }
    for (int i = 0; i < errors; i++) {
        put_fields(&r, &result->rejects[i]);
    }
    records_end(&r);
    return r;
}

/* ---- Rows ---- */

static Oid relation_oid(const char *name) {
    return get_relname_relid(name, get_namespace_oid("sealift", false));
}

static void insert_row(Relation rel, CatalogIndexState indexes, Datum *values) {
    bool nulls[REC_COUNT] = {false};
    HeapTuple tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);
    heap_insert(rel, tuple, GetCurrentCommandId(true), HEAP_INSERT_FROZEN, NULL);
    TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(rel), &TTSOpsHeapTuple);
    ExecStoreHeapTuple(tuple, slot, false);
    for (int i = 0; i < indexes->ri_NumIndices; i++) {
        Datum keys[INDEX_MAX_KEYS];
        bool missing[INDEX_MAX_KEYS];
        FormIndexDatum(indexes->ri_IndexRelationInfo[i], slot, NULL, keys, missing);
        index_insert(indexes->ri_IndexRelationDescs[i], keys, missing, &tuple->t_self, rel,
                     UNIQUE_CHECK_NO, false, indexes->ri_IndexRelationInfo[i]);
    }
    ExecDropSingleTupleTableSlot(slot);
    heap_freetuple(tuple);
}

/* Rows that had their time, some at a time. What another session removes at the moment is left to
 * it; in a transaction that is rolled back it is left to the next load. */
static void remove_old(Relation rel, TimestampTz now) {
    ScanKeyData key;
    TM_FailureData failure;
    HeapTuple tuple;
    ScanKeyInit(&key, REC_AT, BTLessStrategyNumber, F_TIMESTAMP_LT,
                TimestampGetDatum(now - (int64)KEEP_DAYS * USECS_PER_DAY));
    Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
    SysScanDesc scan =
        systable_beginscan(rel, relation_oid("load_records_at"), true, snapshot, 1, &key);
    for (int i = 0; i < REMOVE_AT_ONCE && HeapTupleIsValid(tuple = systable_getnext(scan)); i++) {
        (void)heap_delete(rel, &tuple->t_self, GetCurrentCommandId(true), InvalidSnapshot, false,
                          &failure, false);
    }
    systable_endscan(scan);
    UnregisterSnapshot(snapshot);
}

static void insert_all(struct slice records) {
    struct rdr r = rdr_of(records);
    TimestampTz now = GetCurrentTimestamp();
    Datum v[REC_COUNT];
    rdr_u32(&r); /* the database: the worker's */
    v[REC_USER - 1] = Int32GetDatum((int32)rdr_u32(&r));
    v[REC_SESSION - 1] = Int32GetDatum((int32)rdr_u32(&r));
    v[REC_QUERY - 1] = Int32GetDatum((int32)rdr_u32(&r));
    v[REC_AT - 1] = TimestampGetDatum(now);
    Relation rel = table_open(relation_oid("load_records"), RowExclusiveLock);
    CatalogIndexState indexes = CatalogOpenIndexes(rel);
    while (r.rest.len > 0 && !r.bad) {
        v[REC_KIND - 1] = CharGetDatum((char)rdr_u8(&r));
        v[REC_PART - 1] = Int32GetDatum((int32)rdr_u32(&r));
        struct slice blob = rdr_vec32(&r);
        bytea *sealed = palloc(VARHDRSZ + blob.len);
        SET_VARSIZE(sealed, VARHDRSZ + blob.len);
        memcpy(VARDATA(sealed), blob.ptr, blob.len);
        v[REC_SEALED - 1] = PointerGetDatum(sealed);
        insert_row(rel, indexes, v);
        pfree(sealed);
    }
    CatalogCloseIndexes(indexes);
    remove_old(rel, now);
    table_close(rel, NoLock);
}

/* In memory of PostgreSQL's, which goes with the transaction however that ends; `b` is freed. */
static struct slice into_palloc(struct buf *b) {
    size_t len = b->len;
    uint8_t *copy = palloc_extended(len + 1, MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
    if (copy != NULL && len > 0) {
        memcpy(copy, b->ptr, len);
    }
    buf_fini(b);
    if (copy == NULL) {
        ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
    }
    return slice_of(copy, len);
}

static void write_all(struct records *r) {
    if (sl_failed(r->rc)) {
        buf_fini(&r->out);
        keys_raise(ERROR, r->rc, &r->err, "the record of the load");
    }
    struct slice copy = into_palloc(&r->out);
    insert_all(copy);
    pfree((void *)(uintptr_t)copy.ptr);
}

void load_records_begin(const struct load_facts *facts) {
    struct watch_counters none = {0};
    const struct watch watch = {.counters = &none};
    const struct copy_result result = {.message = "the server ended during the load"};
    (void)database_key(true);
    struct records r = records_begin(facts);
    put_load(&r, KIND_BEGUN, facts, &watch, &result, true);
    records_end(&r);
    write_all(&r);
    XLogSetAsyncXactLSN(XactLastRecEnd); /* the WAL writer sees to it soon */
}

void load_records_write(const struct load_facts *facts, const struct watch *watch,
                        const struct copy_result *result) {
    struct records r = seal(facts, watch, result, result->message != NULL);
    write_all(&r);
}

/* ---- The worker ---- */

static bool start_worker(dsm_segment *seg) {
    BackgroundWorker w = {.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
                          .bgw_start_time = BgWorkerStart_RecoveryFinished,
                          .bgw_restart_time = BGW_NEVER_RESTART,
                          .bgw_main_arg = UInt32GetDatum(dsm_segment_handle(seg))};
    strlcpy(w.bgw_name, "sealift load recorder", BGW_MAXLEN);
    strlcpy(w.bgw_type, "sealift load recorder", BGW_MAXLEN);
    strlcpy(w.bgw_library_name, "sealift", BGW_MAXLEN);
    strlcpy(w.bgw_function_name, "load_records_main", BGW_MAXLEN);
    return RegisterDynamicBackgroundWorker(&w, NULL);
}

void load_records_write_later(const struct load_facts *facts, const struct watch *watch,
                              const struct copy_result *result) {
    struct records r = seal(facts, watch, result, true);
    if (sl_failed(r.rc)) {
        ereport(LOG, (errmsg("load %d is not recorded", facts->query)));
        buf_fini(&r.out);
        return;
    }
    struct slice records = into_palloc(&r.out); /* a segment that can't be made is an error */
    uint64 len = records.len;
    dsm_segment *seg = dsm_create(len + sizeof len, DSM_CREATE_NULL_IF_MAXSEGMENTS);
    if (seg == NULL) {
        ereport(LOG, (errmsg("load %d is not recorded", facts->query)));
        return;
    }
    memcpy(dsm_segment_address(seg), &len, sizeof len);
    memcpy((char *)dsm_segment_address(seg) + sizeof len, records.ptr, len);
    dsm_pin_segment(seg); /* until the worker has come */
    if (!start_worker(seg)) {
        dsm_unpin_segment(dsm_segment_handle(seg));
        ereport(LOG, (errmsg("load %d is not recorded: no worker process is free", facts->query)));
    }
    dsm_detach(seg);
}

void load_records_main(Datum arg) {
    BackgroundWorkerUnblockSignals();
    dsm_segment *seg = dsm_attach(DatumGetUInt32(arg));
    if (seg == NULL) {
        return;
    }
    dsm_pin_mapping(seg);
    dsm_unpin_segment(DatumGetUInt32(arg));
    uint64 len;
    memcpy(&len, dsm_segment_address(seg), sizeof len);
    struct slice records = slice_of((char *)dsm_segment_address(seg) + sizeof len, len);
    struct rdr r = rdr_of(records);
    BackgroundWorkerInitializeConnectionByOid(rdr_u32(&r), InvalidOid, 0);
    StartTransactionCommand();
    PushActiveSnapshot(GetTransactionSnapshot());
    insert_all(records);
    PopActiveSnapshot();
    CommitTransactionCommand();
    dsm_detach(seg);
}

/* ---- Lines, read ---- */

static struct sl_rc open_part(FunctionCallInfo fcinfo, const struct database_key *database,
                              struct buf *plain, struct sl_error *err) {
    bytea *sealed = PG_GETARG_BYTEA_PP(3);
    struct slice blob = slice_of(VARDATA_ANY(sealed), VARSIZE_ANY_EXHDR(sealed));
    SL_CLEANUP(buf_fini) struct buf place = BUF_INIT(64);
    if (!sealed_blob_is_of(blob, database->id)) {
        return SL_OK; /* came with the files of the database that this one was made from */
    }
    return sealed_blob_open(database->id, secret_view(&database->key),
                            place_of(PG_GETARG_INT32(0), (uint8_t)PG_GETARG_CHAR(1),
                                     (uint32_t)PG_GETARG_INT32(2), &place),
                            blob, plain, err);
}

/* The lines in memory of PostgreSQL's. */
static struct slice lines_of(FunctionCallInfo fcinfo) {
    const struct database_key *database = database_key(false);
    struct buf plain = {.max = LIMIT_SEALED_BLOB_BYTES, .wipe = true};
    struct sl_error err = {0};
    struct sl_rc rc = open_part(fcinfo, database, &plain, &err);
    if (sl_failed(rc)) {
        buf_fini(&plain);
        keys_raise(ERROR, rc, &err, "the record of a load");
    }
    return into_palloc(&plain);
}

static Datum value_of(struct rdr *r, Oid type) {
    if (type == TEXTOID) {
        struct slice s = rdr_vec16(r);
        return PointerGetDatum(cstring_to_text_with_len((const char *)s.ptr, (int)s.len));
    }
    int64 v = (int64)rdr_u64(r);
    return type == INT4OID ? Int32GetDatum((int32)v) : Int64GetDatum(v); /* a timestamp is one */
}

/* sealift.load_…(query, kind, part, sealed): the lines of a blob. For the views, which show them to
 * those who may see them. */
Datum sealift_load_lines(PG_FUNCTION_ARGS) {
    InitMaterializedSRF(fcinfo, 0);
    ReturnSetInfo *out = (ReturnSetInfo *)fcinfo->resultinfo;
    struct rdr r = rdr_of(lines_of(fcinfo));
    Datum v[MAX_COLUMNS];
    bool nulls[MAX_COLUMNS] = {false};
    while (r.rest.len > 0 && !r.bad) {
        for (int i = 0; i < out->setDesc->natts; i++) {
            v[i] = value_of(&r, TupleDescAttr(out->setDesc, i)->atttypid);
        }
        tuplestore_putvalues(out->setResult, out->setDesc, v, nulls);
    }
    return (Datum)0;
}
