/* The access method's callbacks for whole relations: storages come with a file and its key, and go
 * with them. A storage belongs to one file; DROP, TRUNCATE and rewrites drop it with its catalog
 * rows, which an abort brings back. */
#include "extension/columnar/table.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/multixact.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/smgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "extension/columnar/columnar.h"
#include "extension/columnar/fail.h"
#include "extension/columnar/gather.h"
#include "extension/columnar/order.h"
#include "extension/columnar/pages.h"
#include "extension/columnar/pending.h"
#include "extension/columnar/reader.h"
#include "extension/columnar/rows.h"
#include "extension/columnar/sortkey.h"
#include "extension/keys/table_keys.h"

static object_access_hook_type next_hook;

/* What the file says is believed when it says so under the storage's key, and says it of this file:
 * a head that came from elsewhere must not take another table's rows and key along. */
static bool storage_of_file(Relation rel, uint8_t ret[STORAGE_ID_LEN]) {
    RelFileNode node = rel->rd_node;
    struct secret key = {0};
    if (!pages_file_storage(&node, rel->rd_backend, ret) || !table_key_find(ret, &key)) {
        return false;
    }
    volatile bool sound = false;
    PG_TRY();
    { sound = pages_file_is_under(&node, rel->rd_backend, &key); }
    PG_FINALLY();
    { secret_fini(&key); }
    PG_END_TRY();
    return sound;
}

static void drop_storage(Relation rel) {
    uint8_t id[STORAGE_ID_LEN];
    gather_forget_relation(rel);
    if (storage_of_file(rel, id) && rows_storage_drop(id)) {
        table_key_destroy(id);
        return;
    }
    ereport(WARNING, (errcode(ERRCODE_DATA_CORRUPTED),
                      errmsg("the file of table \"%s\" doesn't say which storage it is",
                             RelationGetRelationName(rel)),
                      errdetail("Its catalog rows and its key go at the warehouse's next start.")));
}

void table_set_new_filenode(Relation rel, const RelFileNode *node, char persistence,
                            TransactionId *freeze, MultiXactId *multi) {
    *freeze = InvalidTransactionId; /* there are no transaction ids in the file */
    *multi = InvalidMultiXactId;
    if (persistence == RELPERSISTENCE_UNLOGGED) {
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("an unlogged sealed table is not supported")));
    }
    if (persistence == RELPERSISTENCE_PERMANENT &&
        strcmp(get_database_name(MyDatabaseId), "template1") == 0) {
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("a sealed table in a template database is not supported")));
    }
    if (node->relNode != rel->rd_node.relNode) {
        drop_storage(rel); /* TRUNCATE: of the file that it has now */
    }
    uint8_t id[STORAGE_ID_LEN];
    crypto_random(id, sizeof id);
    table_key_create(id, persistence);
    struct secret key = {0};
    table_key_open(id, &key);
    PG_TRY();
    {
        pages_create(node, persistence, id, &key);
        rows_storage_add(id, &key);
    }
    PG_FINALLY();
    { secret_fini(&key); }
    PG_END_TRY();
}

/* The file was made by this transaction, or is a temporary table's at commit: its rows go, the
 * storage stays. */
void table_truncate(Relation rel) {
    gather_flush_relation(rel);
    CommandCounterIncrement();
    Snapshot now = RegisterSnapshot(GetLatestSnapshot());
    struct reader *reader = reader_open(rel, now, NULL);
    const struct rows_list *list = reader_list(reader);
    const uint8_t *id = reader_storage(reader)->id;
    CommandId cid = GetCurrentCommandId(true);
    for (int i = 0; i < list->count; i++) {
        const struct rows_segment *seg = &list->segments[i];
        rows_segment_remove(&seg->tid, cid);
        pending_took(id, seg->mac, -(int64)seg->ref.rows, cid, seg->own);
        for (int d = 0; d < seg->delete_count; d++) {
            rows_deletes_remove(&seg->deletes[d].tid, cid);
            pending_took(id, seg->deletes[d].mac, seg->deletes[d].count, cid, seg->deletes[d].own);
        }
    }
    pending_changed(id, cid);
    reader_close(reader);
    UnregisterSnapshot(now);
    if (gather_is_committing()) {
        pending_write_sums();
    }
}

void table_copy_data(Relation rel, const RelFileNode *node) {
    fail_unsupported(rel, "SET TABLESPACE");
}

static double copy_rows(Relation from, Snapshot snapshot, Relation to, CommandId cid) {
    double count = 0;
    TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(from), &TTSOpsVirtual);
    struct reader *reader = reader_open(from, snapshot, NULL);
    while (reader_next(reader, slot)) {
        CHECK_FOR_INTERRUPTS();
        gather_insert(to, slot, cid);
        count++;
    }
    reader_close(reader);
    ExecDropSingleTupleTableSlot(slot);
    gather_flush_relation(to);
    return count;
}

/* VACUUM FULL: all live rows into full segments of a new storage. */
void table_rewrite(Relation from, Relation to, Relation index, bool sort, TransactionId horizon,
                   TransactionId *xid_cutoff, MultiXactId *multi_cutoff, double *tuples,
                   double *vacuumed, double *recently_dead) {
    *xid_cutoff = InvalidTransactionId;
    *multi_cutoff = InvalidMultiXactId;
    *tuples = *vacuumed = *recently_dead = 0;
    Snapshot now = RegisterSnapshot(GetLatestSnapshot());
    CommandId cid = GetCurrentCommandId(true);
    uint32_t *keys, key_count = sortkey_of(from, &keys);
    if (key_count > 0) {
        MemoryContext own =
            AllocSetContextCreate(CurrentMemoryContext, "sealed rewrite", ALLOCSET_DEFAULT_SIZES);
        MemoryContext before = MemoryContextSwitchTo(own);
        *tuples = (double)order_rewrite(from, now, NULL, keys, key_count, to, writer_new(to, cid));
        MemoryContextSwitchTo(before);
        MemoryContextDelete(own);
    } else {
        *tuples = copy_rows(from, now, to, cid);
    }
    UnregisterSnapshot(now);
}

/* ---- sizes ---- */

uint64 table_size(Relation rel, ForkNumber fork) {
    SMgrRelation smgr = RelationGetSmgr(rel);
    uint64 blocks = 0;
    for (int f = 0; f <= MAX_FORKNUM; f++) {
        if ((fork == InvalidForkNumber || fork == f) && smgrexists(smgr, f)) {
            blocks += smgrnblocks(smgr, f);
        }
    }
    return blocks * BLCKSZ;
}

static double live_rows(Relation rel) {
    struct rows_counts counts = {0};
    Snapshot now = RegisterSnapshot(GetLatestSnapshot());
    struct rows_storage *s = rows_storage_open(rel);
    double rows = rows_counts(rel, s, now, &counts) ? (double)counts.rows : 0;
    rows += (double)pending_rows(s->id);
    rows_storage_close(s);
    UnregisterSnapshot(now);
    return Max(rows, 0);
}

void table_estimate(Relation rel, int32 *widths, BlockNumber *pages, double *tuples,
                    double *all_visible) {
    *pages = (BlockNumber)(table_size(rel, MAIN_FORKNUM) / BLCKSZ);
    *tuples = live_rows(rel);
    *all_visible = 0;
}

/* ANALYZE samples no rows, so no value reaches pg_statistic; the number of rows it learns from each
 * block that it "samples". */
bool table_analyze_block(TableScanDesc scan, BlockNumber block, BufferAccessStrategy strategy) {
    return true;
}

bool table_analyze_tuple(TableScanDesc scan, TransactionId horizon, double *live, double *dead,
                         TupleTableSlot *slot) {
    struct table_scan *s = (struct table_scan *)scan;
    if (s->live_per_block < 0) {
        double blocks = (double)(table_size(scan->rs_rd, MAIN_FORKNUM) / BLCKSZ);
        s->live_per_block = live_rows(scan->rs_rd) / Max(blocks, 1);
    }
    *live += s->live_per_block;
    return false;
}

/* ---- DROP ---- */

/* A temporary table of a session that ended in a crash has no file any more, and its key was in
 * that session's memory. */
static bool has_storage(Relation rel) {
    return rel->rd_rel->relpersistence != RELPERSISTENCE_TEMP ||
           (!RELATION_IS_OTHER_TEMP(rel) && smgrexists(RelationGetSmgr(rel), MAIN_FORKNUM));
}

static void at_object_access(ObjectAccessType access, Oid class, Oid object, int sub, void *arg) {
    if (next_hook != NULL) {
        next_hook(access, class, object, sub, arg);
    }
    if (access != OAT_DROP || class != RelationRelationId || sub != 0 ||
        !columnar_is_sealed_oid(object)) {
        return;
    }
    Relation rel = table_open(object, NoLock);
    if (has_storage(rel)) {
        drop_storage(rel);
    }
    table_close(rel, NoLock);
}

void table_ddl_init(void) {
    next_hook = object_access_hook;
    object_access_hook = at_object_access;
}

bool columnar_is_sealed_oid(Oid relid) {
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
    if (!HeapTupleIsValid(tuple)) {
        return false;
    }
    Form_pg_class form = (Form_pg_class)GETSTRUCT(tuple);
    Oid am = form->relam;
    bool table = form->relkind == RELKIND_RELATION || form->relkind == RELKIND_MATVIEW;
    ReleaseSysCache(tuple);
    if (!table || am == HEAP_TABLE_AM_OID) {
        return false;
    }
    tuple = SearchSysCache1(AMOID, ObjectIdGetDatum(am));
    bool sealed = HeapTupleIsValid(tuple) &&
                  strcmp(NameStr(((Form_pg_am)GETSTRUCT(tuple))->amname), "sealed") == 0;
    if (HeapTupleIsValid(tuple)) {
        ReleaseSysCache(tuple);
    }
    return sealed;
}
