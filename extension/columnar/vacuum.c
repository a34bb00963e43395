/* VACUUM of sealed tables: small segments, those with many deleted rows and those whose ranges of
 * the SORTKEY overlap are written anew as full ones, and several delete vectors of a segment become
 * one. It runs under ShareUpdateExclusiveLock, as UPDATE and DELETE do, so nobody else deletes or
 * moves rows meanwhile; readers go on with the old segments. Their space is used again once no
 * snapshot is left that could want it. */
#include "extension/columnar/table.h"

#include "access/multixact.h"
#include "access/relation.h"
#include "access/xact.h"
#include "commands/vacuum.h"
#include "pgstat.h"
#include "postmaster/autovacuum.h"
#include "storage/lmgr.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "extension/columnar/columnar.h"
#include "extension/columnar/fail.h"
#include "extension/columnar/order.h"
#include "extension/columnar/pending.h"
#include "extension/columnar/reader.h"
#include "extension/columnar/sortkey.h"
#include "extension/columnar/space.h"
#include "extension/columnar/vacuum.h"
#include "extension/columnar/writer.h"
#include "lib/base/limits.h"
#include "lib/columnar/deletes.h"

enum { SMALL_ROWS = SEGMENT_ROWS / 2, SMALL_BYTES = 4 * 1024 * 1024, DEAD_PERCENT = 10 };

/* Lazy VACUUM's transactions are left out of others' snapshots, since those of heap tables write no
 * row that has their xid. Ours does: it becomes an ordinary one, with a snapshot taken as such. */
static void become_ordinary(void) {
    PopActiveSnapshot();
    InvalidateCatalogSnapshot();
    LWLockAcquire(ProcArrayLock, LW_EXCLUSIVE);
    MyProc->statusFlags &= ~PROC_IN_VACUUM;
    ProcGlobal->statusFlags[MyProc->pgxactoff] = MyProc->statusFlags;
    LWLockRelease(ProcArrayLock);
    PushActiveSnapshot(GetTransactionSnapshot());
}

static bool is_small(const struct rows_segment *seg) {
    uint32_t live = seg->ref.rows - reader_deleted(seg);
    return live > 0 && live < SMALL_ROWS && seg->ref.bytes < SMALL_BYTES;
}

static bool is_full_of_holes(const struct rows_segment *seg) {
    return (uint64)reader_deleted(seg) * 100 >= (uint64)seg->ref.rows * DEAD_PERCENT;
}

/* Those with many deleted rows, and small ones where there are several. */
static void choose(const struct rows_list *list, bool *chosen) {
    int small = 0;
    for (int i = 0; i < list->count; i++) {
        small += is_small(&list->segments[i]);
    }
    for (int i = 0; i < list->count; i++) {
        const struct rows_segment *seg = &list->segments[i];
        chosen[i] = is_full_of_holes(seg) || (small > 1 && is_small(seg));
    }
}

static void take_deletes(const uint8_t *id, const struct rows_segment *seg, CommandId cid) {
    for (int d = 0; d < seg->delete_count; d++) {
        rows_deletes_remove(&seg->deletes[d].tid, cid);
        pending_took(id, seg->deletes[d].mac, seg->deletes[d].count, cid, seg->deletes[d].own);
    }
}

static void copy_rows(Relation rel, struct reader *reader, const bool *chosen,
                      struct writer *writer) {
    TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(rel), &TTSOpsVirtual);
    reader_choose(reader, chosen);
    while (reader_next(reader, slot)) {
        vacuum_delay_point();
        writer_add(writer, rel, slot);
    }
    writer_flush(writer, rel);
    ExecDropSingleTupleTableSlot(slot);
}

static void write_anew(Relation rel, struct reader *reader, const bool *chosen,
                       const uint32_t *keys, uint32_t key_count, CommandId cid) {
    const struct rows_list *list = reader_list(reader);
    const uint8_t *id = reader_storage(reader)->id;
    struct writer *writer = writer_new(rel, cid);
    if (key_count > 0) {
        order_rewrite(rel, GetActiveSnapshot(), chosen, keys, key_count, rel, writer);
    } else {
        copy_rows(rel, reader, chosen, writer);
    }
    for (int i = 0; i < list->count; i++) {
        const struct rows_segment *seg = &list->segments[i];
        if (chosen[i]) {
            take_deletes(id, seg, cid);
            rows_segment_remove(&seg->tid, cid);
            pending_took(id, seg->mac, -(int64)seg->ref.rows, cid, seg->own);
        }
    }
    pending_changed(id, cid);
}

/* The rows deleted from a segment, in one vector. */
static void join_deletes(Relation rel, struct reader *reader, int index, CommandId cid) {
    const struct rows_segment *seg = &reader_list(reader)->segments[index];
    const struct rows_storage *s = reader_storage(reader);
    struct rows_deletes joined = {.count = reader_deleted(seg)};
    struct sl_error err = {0};
    struct buf sealed = BUF_INIT(LIMIT_DELETES_BYTES);
    struct sl_rc rc =
        deletes_seal(&s->key, &seg->ref, reader_deletes(reader, index), &sealed, &err);
    if (sl_is_ok(rc)) {
        joined.sealed = slice_of(memcpy(palloc(sealed.len), sealed.ptr, sealed.len), sealed.len);
    }
    buf_fini(&sealed);
    fail_check(rel, rc, &err);
    take_deletes(s->id, seg, cid);
    rows_deletes_add(s, &seg->ref, &joined, cid);
    pending_added(s->id, joined.mac, -(int64)joined.count);
}

/* Tables of the running statement, and what it asks for. */
static List *vacuumed;
static struct vacuum_options options = VACUUM_DEFAULT;

static void remember(Relation rel) {
    MemoryContext before = MemoryContextSwitchTo(TopMemoryContext);
    vacuumed = list_append_unique_oid(vacuumed, RelationGetRelid(rel));
    MemoryContextSwitchTo(before);
}

static void forget(void) {
    list_free(vacuumed);
    vacuumed = NIL;
    options = (struct vacuum_options)VACUUM_DEFAULT;
}

void vacuum_begin_statement(const struct vacuum_options *o) {
    forget();
    options = *o;
}

/* What was replaced is free once the transactions that did it are over, and no snapshot is older.
 */
void vacuum_end_statement(void) {
    ListCell *lc;
    foreach (lc, vacuumed) {
        Oid relid = lfirst_oid(lc);
        if (!ConditionalLockRelationOid(relid, ShareUpdateExclusiveLock)) {
            continue;
        }
        Relation rel = try_relation_open(relid, NoLock);
        if (rel != NULL) {
            space_reclaim(rel);
            relation_close(rel, NoLock);
        }
    }
    forget();
}

static void work(Relation rel) {
    struct reader *reader = reader_open(rel, GetActiveSnapshot(), NULL);
    const struct rows_list *list = reader_list(reader);
    bool *chosen = palloc0((Size)list->count + 1);
    CommandId cid = GetCurrentCommandId(true);
    uint32_t *keys, key_count = sortkey_of(rel, &keys);
    if (options.reclaim) {
        choose(list, chosen);
    }
    if (options.sort && key_count > 0 && !IsAutoVacuumWorkerProcess()) {
        order_choose(reader, keys, key_count, options.percent, chosen);
    }
    bool any = false;
    for (int i = 0; i < list->count; i++) {
        any |= chosen[i];
        if (!chosen[i] && list->segments[i].delete_count > 1) {
            join_deletes(rel, reader, i, cid);
        }
    }
    if (any) {
        write_anew(rel, reader, chosen, keys, key_count, cid);
    }
}

void table_vacuum(Relation rel, struct VacuumParams *params, BufferAccessStrategy strategy) {
    become_ordinary();
    space_reclaim(rel);
    remember(rel);
    MemoryContext own =
        AllocSetContextCreate(CurrentMemoryContext, "sealed vacuum", ALLOCSET_DEFAULT_SIZES);
    MemoryContext before = MemoryContextSwitchTo(own);
    work(rel);
    MemoryContextSwitchTo(before);
    MemoryContextDelete(own);
    double tuples = 0, visible = 0;
    BlockNumber pages = 0;
    table_estimate(rel, NULL, &pages, &tuples, &visible);
    bool frozen = false, minmulti = false;
    vac_update_relstats(rel, pages, tuples, 0, false, InvalidTransactionId, InvalidMultiXactId,
                        &frozen, &minmulti, false);
    pgstat_report_vacuum(RelationGetRelid(rel), rel->rd_rel->relisshared, (PgStat_Counter)tuples,
                         0);
}
