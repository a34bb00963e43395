/* The load itself; see copy.h. The main thread is the only one that touches PostgreSQL. Where it
 * can (direct.h) it only places the segments that the pipeline's threads have sealed; elsewhere it
 * takes batches, puts rows into slots and inserts them in groups. The pipeline ends
 * before any error goes on: PG_ENSURE_ERROR_CLEANUP covers errors and the backend's exit alike. */
#include "postgres.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "access/heapam.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_trigger.h"
#include "executor/executor.h"
#include "executor/nodeModifyTable.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/wait_event.h"

#include "extension/copy/columns.h"
#include "extension/copy/copy.h"
#include "extension/copy/direct.h"
#include "extension/copy/failure.h"
#include "extension/copy/pipeline.h"
#include "extension/copy/reject_fields.h"
#include "extension/copy/role.h"
#include "lib/codec/json_record.h"
#include "lib/ipc/seam.h"

enum {
    GROUP_ROWS = 1000,
    GROUP_BYTES = 1024 * 1024,
    OWN_DESCRIPTORS = 3, /* the eventfd, S3's and the kms's socket */
    REJECTS_BEFORE_GROWTH = 16,
};

struct load {
    Relation rel;
    const struct copy_spec *spec;
    struct copy_result *ret;
    struct copy_columns columns;
    const struct copy_convert_conf *convert;
    struct direct *direct; /* or NULL: through slots */

    EState *estate;
    ResultRelInfo *target;
    TupleTableSlot *slots[GROUP_ROWS];
    BulkInsertState bulk;
    CommandId cid;
    int options;
    MemoryContext results; /* the caller's */
    MemoryContext group;   /* reset after each group of rows */

    int64_t reject_limit;
    int reject_cap;

    struct json_shape *json; /* or NULL: not JSON */
    struct pipeline *pipeline;
    int wake_fd;
};

static void refuse(Relation rel, const char *why) {
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("cannot copy to table \"%s\": %s", RelationGetRelationName(rel), why)));
}

static void check_target(Relation rel) {
    if (rel->rd_rel->relkind != RELKIND_RELATION) {
        ereport(ERROR,
                (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                 errmsg("cannot copy to \"%s\": it is not a table", RelationGetRelationName(rel))));
    }
    TriggerDesc *t = rel->trigdesc;
    if (t != NULL && (t->trig_insert_before_row || t->trig_insert_after_row)) {
        const char *name = "";
        for (int i = 0; i < t->numtriggers; i++) {
            if (TRIGGER_FOR_ROW(t->triggers[i].tgtype) &&
                TRIGGER_FOR_INSERT(t->triggers[i].tgtype)) {
                name = t->triggers[i].tgname;
                break;
            }
        }
        refuse(rel, psprintf("it has the row trigger \"%s\"", name));
    }
    if (check_enable_rls(RelationGetRelid(rel), InvalidOid, false) == RLS_ENABLED) {
        refuse(rel, "it has row-level security");
    }
    if (GetDatabaseEncoding() != PG_UTF8) {
        refuse(rel, "the database is not encoded in UTF8");
    }
    if (!rel->rd_islocaltemp) {
        PreventCommandIfReadOnly("COPY");
    }
    PreventCommandIfParallelMode("COPY");
}

static void open_target(struct load *l) {
    Relation rel = l->rel;
    l->estate = CreateExecutorState();
    l->target = makeNode(ResultRelInfo);
    InitResultRelInfo(l->target, rel, 0, NULL, 0);
    ExecOpenIndices(l->target, false);
    copy_columns_init(rel, l->spec, &l->columns);
    l->columns.constrained |= rel->rd_rel->relispartition;
    l->direct = l->spec->noload ? NULL : direct_begin(rel, &l->columns, l->spec->running);
    for (int i = 0; i < GROUP_ROWS; i++) {
        l->slots[i] = MakeSingleTupleTableSlot(RelationGetDescr(rel), &TTSOpsVirtual);
    }
    l->bulk = GetBulkInsertState();
    l->cid = GetCurrentCommandId(true);
    /* a table of this transaction has no free space worth a search */
    if (rel->rd_createSubid != InvalidSubTransactionId ||
        rel->rd_firstRelfilenodeSubid != InvalidSubTransactionId) {
        l->options |= TABLE_INSERT_SKIP_FSM;
    }
    /* a first block that holds an ordinary group is kept over resets, and saves giving memory back
     */
    l->group = AllocSetContextCreate(CurrentMemoryContext, "copy rows", GROUP_BYTES, GROUP_BYTES,
                                     ALLOCSET_DEFAULT_MAXSIZE);
}

static void close_target(struct load *l) {
    FreeBulkInsertState(l->bulk);
    table_finish_bulk_insert(l->rel, l->options);
    for (int i = 0; i < GROUP_ROWS; i++) {
        ExecDropSingleTupleTableSlot(l->slots[i]);
    }
    ExecCloseIndices(l->target);
    FreeExecutorState(l->estate);
    MemoryContextDelete(l->group);
}

/* ---- Rows ---- */

static void check_row(struct load *l, TupleTableSlot *slot) {
    TupleDesc desc = RelationGetDescr(l->rel);
    slot->tts_tableOid = RelationGetRelid(l->rel);
    if (desc->constr != NULL && desc->constr->has_generated_stored) {
        ExecComputeStoredGenerated(l->target, l->estate, slot, CMD_INSERT);
    }
    if (desc->constr != NULL) {
        ExecConstraints(l->target, slot, l->estate);
    }
    if (l->rel->rd_rel->relispartition) {
        ExecPartitionCheck(l->target, slot, l->estate, true);
    }
}

static void insert_group(struct load *l, const struct copy_batch *batch, size_t from, int n) {
    MemoryContext before = MemoryContextSwitchTo(l->group);
    copy_columns_fill(&l->columns, l->rel, l->estate, batch, from, n, l->slots);
    if (l->columns.constrained) {
        for (int i = 0; i < n; i++) {
            check_row(l, l->slots[i]);
        }
    }
    table_multi_insert(l->rel, l->slots, n, l->cid, l->options, l->bulk);
    for (int i = 0; i < n; i++) {
        if (l->target->ri_NumIndices > 0) {
            list_free(
                ExecInsertIndexTuples(l->target, l->slots[i], l->estate, false, false, NULL, NIL));
        }
        ExecClearTuple(l->slots[i]);
    }
    l->ret->rows += n;
    watch_rows(l->spec->watch, (uint64_t)n);
    ResetPerTupleExprContext(l->estate);
    MemoryContextSwitchTo(before);
    MemoryContextReset(l->group);
}

static void keep_reject(struct load *l, const struct pipeline_batch *b,
                        const struct copy_bad_row *bad) {
    struct copy_result *ret = l->ret;
    ret->rejected++;
    watch_errors(l->spec->watch, 1);
    if (ret->reject_count == COPY_REJECTS_KEPT) {
        return;
    }
    MemoryContext before = MemoryContextSwitchTo(l->results);
    if (ret->reject_count == l->reject_cap) {
        l->reject_cap = l->reject_cap > 0 ? 2 * l->reject_cap : REJECTS_BEFORE_GROWTH;
        Size size = sizeof *ret->rejects * (Size)l->reject_cap;
        ret->rejects = ret->rejects != NULL ? repalloc(ret->rejects, size) : palloc(size);
    }
    struct copy_reject *r = &ret->rejects[ret->reject_count];
    copy_failure_reject(l->rel, l->spec, &l->columns, b, bad, r);
    if (ret->reject_count < REJECT_FIELDS_ROWS) {
        reject_fields(l->rel, l->convert, &l->columns, &b->bad, bad, r);
    }
    ret->reject_count++;
    MemoryContextSwitchTo(before);
}

/* A file that is not in its ENCODING is refused as a whole, at its first line. */
static void keep_file_reject(struct load *l, const struct pipeline_failure *f) {
    if (f->kind != PIPELINE_ENCODING) {
        return;
    }
    struct pipeline_batch b = {0};
    struct copy_bad_row bad = {.line = 1, .column = -1, .code = COPY_CODE_ENCODING};
    snprintf(bad.reason, sizeof bad.reason, "%s", f->err.detail);
    memcpy(b.object, f->object, sizeof b.object);
    keep_reject(l, &b, &bad);
}

/* False: too many rejects. */
static bool take_batch(struct load *l, const struct pipeline_batch *b) {
    for (size_t i = 0; i < b->bad.count; i++) {
        keep_reject(l, b, &b->bad.rows[i]);
        if (l->ret->rejected >= l->reject_limit) {
            return false;
        }
    }
    for (size_t from = 0; from < b->batch.rows && !l->spec->noload; from += GROUP_ROWS) {
        CHECK_FOR_INTERRUPTS();
        size_t left = b->batch.rows - from;
        insert_group(l, &b->batch, from, left < GROUP_ROWS ? (int)left : GROUP_ROWS);
    }
    return true;
}

static void place_segment(struct load *l, const struct pipeline_segment *s) {
    MemoryContext before = MemoryContextSwitchTo(l->group);
    direct_place(l->direct, l->rel, s, l->cid);
    l->ret->rows += s->ref.rows;
    watch_rows(l->spec->watch, s->ref.rows);
    MemoryContextSwitchTo(before);
    MemoryContextReset(l->group);
}

/* ---- The pipeline's life ---- */

static void stop_pipeline(int code, Datum arg) {
    struct load *l = (struct load *)DatumGetPointer(arg);
    pipeline_stop(l->pipeline);
    l->pipeline = NULL;
    json_shape_free(l->json);
    l->json = NULL;
    if (l->wake_fd >= 0) {
        close(l->wake_fd);
        l->wake_fd = -1;
        for (int i = 0; i < OWN_DESCRIPTORS; i++) {
            ReleaseExternalFD();
        }
    }
}

static void open_wake(struct load *l) {
    l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (l->wake_fd < 0) {
        ereport(ERROR,
                (errcode_for_file_access(), errmsg("could not make an event descriptor: %m")));
    }
    for (int i = 0; i < OWN_DESCRIPTORS; i++) {
        ReserveExternalFD();
    }
}

static void wait_for_work(struct load *l) {
    int events = WaitLatchOrSocket(
        MyLatch, WL_LATCH_SET | WL_SOCKET_READABLE | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, l->wake_fd,
        1000, PG_WAIT_EXTENSION);
    if (events & WL_LATCH_SET) {
        ResetLatch(MyLatch);
    }
    if (events & WL_SOCKET_READABLE) {
        uint64_t count;
        while (read(l->wake_fd, &count, sizeof count) < 0 && errno == EINTR) {
        }
    }
}

/* Members are columns by name, until paths say otherwise. */
static void make_json(struct load *l) {
    struct slice *names = palloc(sizeof *names * (Size)(l->columns.natts + 1));
    for (int i = 0; i < l->columns.natts; i++) {
        names[i] = slice_cstr(
            NameStr(TupleDescAttr(RelationGetDescr(l->rel), l->columns.attnums[i] - 1)->attname));
    }
    l->json = json_shape_new(names, (size_t)l->columns.natts, l->spec->json_ignorecase);
    if (l->json == NULL) {
        ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
    }
    pfree(names);
}

static void run_load(struct load *l, const struct pipeline_conf *conf) {
    struct sl_error err = {0};
    struct sl_rc rc = pipeline_start(conf, &l->pipeline, &err);
    if (sl_failed(rc)) {
        ereport(ERROR,
                (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("%s", sl_error_message(&err, rc.code))));
    }
    while (true) {
        CHECK_FOR_INTERRUPTS();
        struct pipeline_taken taken = {0};
        switch (pipeline_take(l->pipeline, &taken)) {
        case PIPELINE_BATCH:
            if (!take_batch(l, taken.batch)) {
                copy_failure_rejects(l->rel, l->ret);
                return;
            }
            pipeline_give_back(l->pipeline, &taken);
            break;
        case PIPELINE_SEGMENT:
            place_segment(l, taken.segment);
            pipeline_give_back(l->pipeline, &taken);
            break;
        case PIPELINE_WAIT:
            wait_for_work(l);
            break;
        case PIPELINE_FAIL:
            keep_file_reject(l, pipeline_failure(l->pipeline));
            copy_failure_pipeline(l->rel, l->spec, pipeline_failure(l->pipeline), l->ret);
            return;
        case PIPELINE_END:
            return;
        }
    }
}

/* '\0' and '\000' stand for NUL, which a C string can't hold. */
static struct slice null_text(const struct copy_spec *spec) {
    const char *s = spec->null_as != NULL ? spec->null_as : "\\N";
    if (strcmp(s, "\\0") == 0 || strcmp(s, "\\000") == 0) {
        return slice_of("", 1);
    }
    return slice_cstr(s);
}

/* Rows that go through slots keep this thread busy, which needs a processor then. Loads that run at
 * the same time share what there is. */
static unsigned worker_count(const struct load *l) {
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    long most = Min(l->direct != NULL ? cpus : cpus - 1, PIPELINE_WORKERS);
    return (unsigned)Max(most / Max(l->spec->running, 1), 1);
}

void copy_load(Relation rel, const struct copy_spec *spec, struct copy_result *ret) {
    check_target(rel);
    *ret = (struct copy_result){0};
    struct load *l = palloc0(sizeof *l);
    l->rel = rel;
    l->spec = spec;
    l->ret = ret;
    l->results = CurrentMemoryContext;
    l->wake_fd = -1;
    l->reject_limit = spec->ignoreallerrors ? INT64_MAX : spec->maxerror > 1 ? spec->maxerror : 1;
    open_target(l);
    struct role_conf role = {
        .roles = spec->roles,
        .role_count = spec->auth == COPY_AUTH_ROLES ? (size_t)spec->role_count : 0,
        .db_user = spec->db_user,
        .kms_socket = spec->kms_socket,
        .edge_token = spec->edge_token,
        .access_key_id = spec->access_key_id,
        .secret = spec->secret,
        .token = spec->token,
    };
    struct pipeline_conf conf = {
        .s3 = {.endpoint = spec->endpoint,
               .region = spec->region,
               .ca_file = spec->ca_file,
               .stall_timeout_ms = spec->stall_ms},
        .bucket = spec->bucket,
        .prefix = spec->prefix,
        .manifest = spec->manifest,
        .jsonpaths_bucket = spec->jsonpaths_bucket,
        .jsonpaths_key = spec->jsonpaths_key,
        .credentials = role_credentials,
        .credentials_ctx = &role,
        .decode = {.master_key = spec->master_key,
                   .compression = spec->compression,
                   .encoding = spec->encoding},
        .ignoreheader = spec->ignoreheader > 0 ? (uint64_t)spec->ignoreheader : 0,
        .convert = {.split = {.format = spec->format,
                              .delimiter = (uint8_t)copy_delimiter(spec),
                              .quote = (uint8_t)copy_quote(spec),
                              .escape = spec->escape,
                              .removequotes = spec->removequotes,
                              .widths = spec->widths,
                              .width_count = spec->width_count},
                    .date_format = spec->date_format,
                    .time_format = spec->time_format,
                    .null_as = null_text(spec),
                    .options = spec->options,
                    .columns = l->columns.columns,
                    .column_count = (size_t)l->columns.natts,
                    .max_rejects = (size_t)l->reject_limit,
                    .local_is_utc = l->columns.local_is_utc},
        .table = l->direct != NULL ? direct_table(l->direct) : NULL,
        .workers = worker_count(l),
        .watch = spec->watch,
    };
    PG_ENSURE_ERROR_CLEANUP(stop_pipeline, PointerGetDatum(l));
    {
        open_wake(l);
        if (spec->format == DELIMITED_JSON) {
            make_json(l);
            conf.json = l->json;
            conf.convert.split.json = l->json;
        }
        conf.wake_fd = l->wake_fd;
        l->convert = &conf.convert;
        run_load(l, &conf);
        struct pipeline_counts counts = pipeline_counts(l->pipeline);
        ret->files = (int64_t)counts.files;
        ret->bytes = (int64_t)counts.bytes;
    }
    PG_END_ENSURE_ERROR_CLEANUP(stop_pipeline, PointerGetDatum(l));
    stop_pipeline(0, PointerGetDatum(l));
    close_target(l);
    pfree(l);
}
