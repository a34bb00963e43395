/* The access method's callbacks: scans, fetches and changes of rows. What a row is asked for by its
 * TID (UPDATE, MERGE) comes from one reader a transaction, kept from row to row. */
#include "extension/columnar/table.h"

#include "access/amapi.h"
#include "access/xact.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "pgstat.h"
#include "storage/lmgr.h"
#include "storage/predicate.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "extension/columnar/columnar.h"
#include "extension/columnar/fail.h"
#include "extension/columnar/gather.h"
#include "extension/columnar/pages.h"
#include "extension/columnar/pending.h"
#include "extension/columnar/reader.h"

PG_FUNCTION_INFO_V1(sealift_sealed_handler);

static const TupleTableSlotOps *slot_callbacks(Relation rel) {
    return &TTSOpsVirtual;
}

/* ---- scans ---- */

static TableScanDesc scan_begin(Relation rel, Snapshot snapshot, int nkeys, struct ScanKeyData *key,
                                ParallelTableScanDesc parallel, uint32 flags) {
    struct table_scan *s = palloc0(sizeof *s);
    s->base.rs_rd = rel;
    s->base.rs_snapshot = snapshot;
    s->base.rs_flags = flags;
    s->live_per_block = -1;
    if (parallel != NULL || nkeys != 0) {
        fail_unsupported(rel, "this kind of scan");
    }
    RelationIncrementReferenceCount(rel);
    if (flags & SO_TYPE_SEQSCAN) {
        PredicateLockRelation(rel, snapshot);
        s->reader = reader_open(rel, snapshot, NULL);
        pgstat_count_heap_scan(rel);
    }
    return &s->base;
}

static void scan_end(TableScanDesc base) {
    struct table_scan *s = (struct table_scan *)base;
    if (s->reader != NULL) {
        reader_close(s->reader);
    }
    if (base->rs_flags & SO_TEMP_SNAPSHOT) {
        UnregisterSnapshot(base->rs_snapshot);
    }
    RelationDecrementReferenceCount(base->rs_rd);
    pfree(s);
}

static void scan_rescan(TableScanDesc base, struct ScanKeyData *key, bool set_params,
                        bool allow_strat, bool allow_sync, bool allow_pagemode) {
    struct table_scan *s = (struct table_scan *)base;
    if (s->reader != NULL) {
        reader_rewind(s->reader);
    }
}

static bool scan_next(TableScanDesc base, ScanDirection direction, TupleTableSlot *slot) {
    struct table_scan *s = (struct table_scan *)base;
    if (s->reader == NULL || ScanDirectionIsBackward(direction)) {
        fail_unsupported(base->rs_rd, "this kind of scan");
    }
    return reader_next(s->reader, slot);
}

/* ---- rows by TID ---- */

/* The reader of the row that was fetched last. */
static struct {
    MemoryContext context;
    MemoryContextCallback end;
    struct reader *reader;
    Oid node;
    SubTransactionId sub;
    Snapshot snapshot; /* a copy of its numbers */
} fetched;

static void forget_fetched(void *arg) {
    fetched.context = NULL;
    fetched.reader = NULL;
    fetched.snapshot = NULL;
}

static bool same_snapshot(const SnapshotData *a, const SnapshotData *b) {
    return a->xmin == b->xmin && a->xmax == b->xmax && a->curcid == b->curcid &&
           a->xcnt == b->xcnt && a->subxcnt == b->subxcnt &&
           a->snapXactCompletionCount == b->snapXactCompletionCount;
}

/* Under SnapshotAny, as the executor asks for the old row of an UPDATE: what the statement sees. */
static struct reader *fetch_reader(Relation rel, Snapshot snapshot) {
    Snapshot seen = IsMVCCSnapshot(snapshot) ? snapshot : GetActiveSnapshot();
    if (fetched.reader != NULL && fetched.node == rel->rd_node.relNode &&
        fetched.sub == GetCurrentSubTransactionId() && same_snapshot(fetched.snapshot, seen)) {
        reader_of_relation(fetched.reader, rel);
        return fetched.reader;
    }
    if (fetched.context != NULL) {
        MemoryContextDelete(fetched.context);
    }
    MemoryContext context =
        AllocSetContextCreate(TopTransactionContext, "sealed fetches", ALLOCSET_DEFAULT_SIZES);
    MemoryContext before = MemoryContextSwitchTo(context);
    fetched.context = context;
    fetched.end.func = forget_fetched;
    MemoryContextRegisterResetCallback(context, &fetched.end);
    /* Only its numbers are kept: the list is made now, while the snapshot is registered. */
    fetched.snapshot = palloc(sizeof *fetched.snapshot);
    *fetched.snapshot = *seen;
    fetched.node = rel->rd_node.relNode;
    fetched.sub = GetCurrentSubTransactionId();
    struct reader *reader = reader_open(rel, seen, NULL);
    reader_list(reader);
    fetched.reader = reader;
    MemoryContextSwitchTo(before);
    return reader;
}

static bool fetch_row_version(Relation rel, ItemPointer tid, Snapshot snapshot,
                              TupleTableSlot *slot) {
    bool deleted;
    struct reader *reader = fetch_reader(rel, snapshot);
    if (!reader_fetch(reader, reader_number(tid), slot, &deleted) ||
        (deleted && IsMVCCSnapshot(snapshot))) {
        return false;
    }
    ExecMaterializeSlot(slot); /* the reader goes on to other rows */
    return true;
}

static bool tid_valid(TableScanDesc scan, ItemPointer tid) {
    return ItemPointerIsValid(tid);
}

static void latest_tid(TableScanDesc scan, ItemPointer tid) {
    /* Asked for by WHERE CURRENT OF alone. A row that was changed got a new number, and nothing
     * leads there from the old one. */
    fail_unsupported(scan->rs_rd, "WHERE CURRENT OF");
}

static bool satisfies_snapshot(Relation rel, TupleTableSlot *slot, Snapshot snapshot) {
    bool deleted;
    TupleTableSlot *other = MakeSingleTupleTableSlot(RelationGetDescr(rel), &TTSOpsVirtual);
    bool found =
        reader_fetch(fetch_reader(rel, snapshot), reader_number(&slot->tts_tid), other, &deleted);
    ExecDropSingleTupleTableSlot(other);
    return found && !deleted;
}

static IndexFetchTableData *index_fetch_begin(Relation rel) {
    fail_unsupported(rel, "an index scan");
}
static void index_fetch_reset(IndexFetchTableData *data) {}
static bool index_fetch_tuple(IndexFetchTableData *data, ItemPointer tid, Snapshot snapshot,
                              TupleTableSlot *slot, bool *again, bool *all_dead) {
    fail_unsupported(data->rel, "an index scan");
}
static TransactionId index_delete_tuples(Relation rel, TM_IndexDeleteOp *op) {
    fail_unsupported(rel, "an index");
}

/* ---- changes ---- */

static void tuple_insert(Relation rel, TupleTableSlot *slot, CommandId cid, int options,
                         struct BulkInsertStateData *bulk) {
    CheckForSerializableConflictIn(rel, NULL, InvalidBlockNumber);
    gather_insert(rel, slot, cid);
    /* Its number is not known before it is written; nothing here asks for it (docs/limits.md). */
    ItemPointerSetInvalid(&slot->tts_tid);
    slot->tts_tableOid = RelationGetRelid(rel);
    pgstat_count_heap_insert(rel, 1);
}

static void multi_insert(Relation rel, TupleTableSlot **slots, int count, CommandId cid,
                         int options, struct BulkInsertStateData *bulk) {
    CheckForSerializableConflictIn(rel, NULL, InvalidBlockNumber);
    for (int i = 0; i < count; i++) {
        gather_insert(rel, slots[i], cid);
        ItemPointerSetInvalid(&slots[i]->tts_tid);
        slots[i]->tts_tableOid = RelationGetRelid(rel);
    }
    pgstat_count_heap_insert(rel, count);
}

static void finish_bulk_insert(Relation rel, int options) {
    gather_flush_relation(rel);
}

static void insert_speculative(Relation rel, TupleTableSlot *slot, CommandId cid, int options,
                               struct BulkInsertStateData *bulk, uint32 token) {
    fail_unsupported(rel, "ON CONFLICT");
}
static void complete_speculative(Relation rel, TupleTableSlot *slot, uint32 token, bool ok) {
    fail_unsupported(rel, "ON CONFLICT");
}

/* A row that a later command of this transaction, run by the statement itself, has deleted. */
static bool deleted_meanwhile(Relation rel, const struct rows_storage *s, uint64 number,
                              CommandId cid) {
    if (!pending_changed_after(s->id, cid)) {
        return false;
    }
    bool deleted = true;
    Snapshot now = RegisterSnapshot(GetLatestSnapshot());
    TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(rel), &TTSOpsVirtual);
    struct reader *reader = reader_open(rel, now, NULL);
    bool found = reader_fetch(reader, number, slot, &deleted);
    reader_close(reader);
    ExecDropSingleTupleTableSlot(slot);
    UnregisterSnapshot(now);
    return !found || deleted;
}

static TM_Result delete_row(Relation rel, ItemPointer tid, CommandId cid, Snapshot snapshot,
                            TM_FailureData *failure) {
    if (!CheckRelationLockedByMe(rel, ShareUpdateExclusiveLock, true)) {
        elog(ERROR, "rows of \"%s\" may not be changed without its lock",
             RelationGetRelationName(rel));
    }
    CheckForSerializableConflictIn(rel, NULL, InvalidBlockNumber);
    uint64 number = reader_number(tid);
    struct reader *reader = fetch_reader(rel, snapshot);
    const struct rows_segment *seg = reader_find(reader, number);
    if (seg == NULL) {
        elog(ERROR, "a row of \"%s\" is gone", RelationGetRelationName(rel));
    }
    failure->ctid = *tid;
    failure->xmax = GetCurrentTransactionId();
    if (deleted_meanwhile(rel, reader_storage(reader), number, cid)) {
        failure->cmax = cid + 1;
        return TM_SelfModified;
    }
    failure->cmax = cid;
    return gather_delete(rel, seg, (uint32_t)(number - seg->first_row), cid) ? TM_Ok
                                                                             : TM_SelfModified;
}

static TM_Result tuple_delete(Relation rel, ItemPointer tid, CommandId cid, Snapshot snapshot,
                              Snapshot crosscheck, bool wait, TM_FailureData *failure,
                              bool changing_part) {
    TM_Result result = delete_row(rel, tid, cid, snapshot, failure);
    if (result == TM_Ok) {
        pgstat_count_heap_delete(rel);
    }
    return result;
}

static TM_Result tuple_update(Relation rel, ItemPointer old, TupleTableSlot *slot, CommandId cid,
                              Snapshot snapshot, Snapshot crosscheck, bool wait,
                              TM_FailureData *failure, LockTupleMode *mode, bool *update_indexes) {
    *mode = LockTupleExclusive;
    *update_indexes = false;
    TM_Result result = delete_row(rel, old, cid, snapshot, failure);
    if (result == TM_Ok) {
        gather_insert(rel, slot, cid);
        ItemPointerSetInvalid(&slot->tts_tid);
        pgstat_count_heap_update(rel, false);
    }
    return result;
}

static TM_Result tuple_lock(Relation rel, ItemPointer tid, Snapshot snapshot, TupleTableSlot *slot,
                            CommandId cid, LockTupleMode mode, LockWaitPolicy policy, uint8 flags,
                            TM_FailureData *failure) {
    fail_unsupported(rel, "a row lock");
}

/* ---- what is not done ---- */

static Size parallel_estimate(Relation rel) {
    fail_unsupported(rel, "a parallel scan");
}
static Size parallel_initialize(Relation rel, ParallelTableScanDesc scan) {
    fail_unsupported(rel, "a parallel scan");
}
static void parallel_reinitialize(Relation rel, ParallelTableScanDesc scan) {
    fail_unsupported(rel, "a parallel scan");
}
static double index_build(Relation rel, Relation index, struct IndexInfo *info, bool allow_sync,
                          bool anyvisible, bool progress, BlockNumber start, BlockNumber blocks,
                          IndexBuildCallback callback, void *state, TableScanDesc scan) {
    fail_unsupported(rel, "an index");
}
static void index_validate(Relation rel, Relation index, struct IndexInfo *info, Snapshot snapshot,
                           struct ValidateIndexState *state) {
    fail_unsupported(rel, "an index");
}
static bool sample_block(TableScanDesc scan, struct SampleScanState *state) {
    fail_unsupported(scan->rs_rd, "TABLESAMPLE");
}
static bool sample_tuple(TableScanDesc scan, struct SampleScanState *state, TupleTableSlot *slot) {
    fail_unsupported(scan->rs_rd, "TABLESAMPLE");
}
static bool needs_toast(Relation rel) {
    return false;
}

static const TableAmRoutine sealed_methods = {
    .type = T_TableAmRoutine,
    .slot_callbacks = slot_callbacks,
    .scan_begin = scan_begin,
    .scan_end = scan_end,
    .scan_rescan = scan_rescan,
    .scan_getnextslot = scan_next,
    .parallelscan_estimate = parallel_estimate,
    .parallelscan_initialize = parallel_initialize,
    .parallelscan_reinitialize = parallel_reinitialize,
    .index_fetch_begin = index_fetch_begin,
    .index_fetch_reset = index_fetch_reset,
    .index_fetch_end = index_fetch_reset,
    .index_fetch_tuple = index_fetch_tuple,
    .tuple_fetch_row_version = fetch_row_version,
    .tuple_tid_valid = tid_valid,
    .tuple_get_latest_tid = latest_tid,
    .tuple_satisfies_snapshot = satisfies_snapshot,
    .index_delete_tuples = index_delete_tuples,
    .tuple_insert = tuple_insert,
    .tuple_insert_speculative = insert_speculative,
    .tuple_complete_speculative = complete_speculative,
    .multi_insert = multi_insert,
    .tuple_delete = tuple_delete,
    .tuple_update = tuple_update,
    .tuple_lock = tuple_lock,
    .finish_bulk_insert = finish_bulk_insert,
    .relation_set_new_filenode = table_set_new_filenode,
    .relation_nontransactional_truncate = table_truncate,
    .relation_copy_data = table_copy_data,
    .relation_copy_for_cluster = table_rewrite,
    .relation_vacuum = table_vacuum,
    .scan_analyze_next_block = table_analyze_block,
    .scan_analyze_next_tuple = table_analyze_tuple,
    .index_build_range_scan = index_build,
    .index_validate_scan = index_validate,
    .relation_size = table_size,
    .relation_needs_toast_table = needs_toast,
    .relation_estimate_size = table_estimate,
    .scan_sample_next_block = sample_block,
    .scan_sample_next_tuple = sample_tuple,
};

Datum sealift_sealed_handler(PG_FUNCTION_ARGS) {
    PG_RETURN_POINTER(&sealed_methods);
}

bool columnar_is_sealed(Relation rel) {
    return rel->rd_tableam == &sealed_methods;
}
