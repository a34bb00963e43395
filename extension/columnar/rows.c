/* Catalog rows; see rows.h. They are written with the command id of the statement whose rows they
 * describe, so a statement never sees what it does itself, as in heap tables. */
#include "extension/columnar/rows.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/heapam_xlog.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "executor/executor.h"
#include "executor/tuptable.h"
#include "storage/bufmgr.h"
#include "storage/procarray.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/uuid.h"

#include "extension/columnar/fail.h"
#include "extension/columnar/gather.h"
#include "extension/columnar/pages.h"
#include "extension/columnar/pending.h"
#include "extension/keys/table_keys.h"

enum segment_attribute {
    SEG_STORAGE = 1,
    SEG_SEGMENT,
    SEG_FIRST_ROW,
    SEG_ROWS,
    SEG_COLUMNS,
    SEG_FIRST_BLOCK,
    SEG_BYTES,
    SEG_FOOTER_OFFSET,
    SEG_FOOTER_TAG,
    SEG_WHOLE,
    SEG_MAC,
    SEG_COUNT = SEG_MAC
};
enum deletes_attribute {
    DEL_STORAGE = 1,
    DEL_SEGMENT,
    DEL_ROWS,
    DEL_SEALED,
    DEL_MAC,
    DEL_COUNT = DEL_MAC
};
enum storage_attribute {
    STO_STORAGE = 1,
    STO_ROWS,
    STO_CHANGES,
    STO_SUM,
    STO_MAC,
    STO_COUNT = STO_MAC
};

static Oid catalog_oid(const char *name) {
    Oid schema = get_namespace_oid("sealift", false), oid = get_relname_relid(name, schema);
    if (!OidIsValid(oid)) {
        elog(ERROR, "sealift.%s is missing", name);
    }
    return oid;
}

Oid rows_storage_table(void) {
    return catalog_oid("storage");
}

/* ---- one row ---- */

static void insert_row(const char *table, Datum *values, bool *nulls, CommandId cid) {
    Relation rel = table_open(catalog_oid(table), RowExclusiveLock);
    HeapTuple tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);
    heap_insert(rel, tuple, cid, 0, NULL);
    CatalogIndexState indexes = CatalogOpenIndexes(rel);
    TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(rel), &TTSOpsHeapTuple);
    ExecStoreHeapTuple(tuple, slot, false);
    for (int i = 0; i < indexes->ri_NumIndices; i++) {
        Datum keys[INDEX_MAX_KEYS];
        bool missing[INDEX_MAX_KEYS];
        Relation index = indexes->ri_IndexRelationDescs[i];
        FormIndexDatum(indexes->ri_IndexRelationInfo[i], slot, NULL, keys, missing);
        index_insert(index, keys, missing, &tuple->t_self, rel,
                     index->rd_index->indisunique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO, false,
                     indexes->ri_IndexRelationInfo[i]);
    }
    ExecDropSingleTupleTableSlot(slot);
    CatalogCloseIndexes(indexes);
    heap_freetuple(tuple);
    table_close(rel, NoLock);
}

static void remove_row(const char *table, const ItemPointerData *tid, CommandId cid) {
    Relation rel = table_open(catalog_oid(table), RowExclusiveLock);
    TM_FailureData failure;
    ItemPointerData at = *tid;
    if (heap_delete(rel, &at, cid, InvalidSnapshot, true, &failure, false) != TM_Ok) {
        elog(ERROR, "a row of sealift.%s was changed by another session", table);
    }
    table_close(rel, NoLock);
}

/* A scan over the rows of one storage, through the table's first index. */
struct row_scan {
    Relation rel;
    SysScanDesc scan;
    Datum values[SEG_COUNT];
    bool nulls[SEG_COUNT];
    HeapTuple tuple;
};

static void scan_begin(struct row_scan *s, const char *table, const char *index,
                       const uint8_t storage[STORAGE_ID_LEN], Snapshot snapshot) {
    ScanKeyData key;
    s->rel = table_open(catalog_oid(table), AccessShareLock);
    ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_UUID_EQ, PointerGetDatum(storage));
    s->scan = systable_beginscan(s->rel, catalog_oid(index), true, snapshot, 1, &key);
}

static bool scan_next(struct row_scan *s) {
    s->tuple = systable_getnext(s->scan);
    if (!HeapTupleIsValid(s->tuple)) {
        return false;
    }
    heap_deform_tuple(s->tuple, RelationGetDescr(s->rel), s->values, s->nulls);
    return true;
}

static void scan_end(struct row_scan *s) {
    systable_endscan(s->scan);
    table_close(s->rel, NoLock);
}

static bool row_is_own(HeapTuple tuple) {
    return TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data));
}

/* This transaction's own rows are in the sum only once it has been written. */
static bool counts_in_sum(bool own) {
    return !own || gather_is_committing();
}

static Datum bytea_datum(const void *bytes, size_t len) {
    bytea *b = palloc(VARHDRSZ + len);
    SET_VARSIZE(b, VARHDRSZ + len);
    memcpy(VARDATA(b), bytes, len);
    return PointerGetDatum(b);
}

/* A copy in the current memory context. */
static struct slice bytea_slice(Datum d) {
    bytea *b = DatumGetByteaPCopy(d);
    return slice_of(VARDATA(b), VARSIZE(b) - VARHDRSZ);
}

static void take_fixed(Relation rel, Datum d, uint8_t *out, size_t len) {
    struct slice s = bytea_slice(d);
    if (s.len != len) {
        fail_damaged(rel, "a catalog row has a field of a wrong length");
    }
    memcpy(out, s.ptr, len);
}

/* ---- MACs ---- */

/* Numbers enter a MAC as 8 bytes. */
struct number {
    uint8_t bytes[8];
};
static struct number number(uint64 v) {
    struct number n;
    for (int i = 0; i < 8; i++) {
        n.bytes[i] = (uint8_t)(v >> (56 - 8 * i));
    }
    return n;
}

static void segment_mac(const struct secret *key, const struct rows_segment *seg,
                        uint8_t out[CATALOG_MAC_LEN]) {
    const struct segment_ref *r = &seg->ref;
    struct number n[] = {number(seg->first_row),    number(r->rows),  number(r->columns),
                         number(seg->first_block),  number(r->bytes), number(r->footer_offset),
                         number(seg->whole.len > 0)};
    struct slice fields[] = {slice_of(r->storage_id, STORAGE_ID_LEN),
                             slice_of(r->segment_id, SEGMENT_ID_LEN), slice_of(n, sizeof n),
                             slice_of(r->footer_tag, GCM_TAG_LEN), seg->whole};
    catalog_mac(key, SLICE_LIT("segment"), fields, lengthof(fields), out);
}

static void deletes_mac(const struct secret *key, const struct segment_ref *ref,
                        const struct rows_deletes *d, uint8_t out[CATALOG_MAC_LEN]) {
    struct number n = number(d->count);
    struct slice fields[] = {slice_of(ref->storage_id, STORAGE_ID_LEN),
                             slice_of(ref->segment_id, SEGMENT_ID_LEN),
                             slice_of(n.bytes, sizeof n.bytes), d->sealed};
    catalog_mac(key, SLICE_LIT("deletes"), fields, lengthof(fields), out);
}

static void counts_mac(const uint8_t id[STORAGE_ID_LEN], const struct secret *key,
                       const struct rows_counts *c, uint8_t out[CATALOG_MAC_LEN]) {
    struct number n[] = {number((uint64)c->rows), number((uint64)c->changes)};
    struct slice fields[] = {slice_of(id, STORAGE_ID_LEN), slice_of(n, sizeof n),
                             slice_of(c->sum, CATALOG_MAC_LEN)};
    catalog_mac(key, SLICE_LIT("storage"), fields, lengthof(fields), out);
}

static void check_mac(Relation rel, const uint8_t found[CATALOG_MAC_LEN],
                      const uint8_t want[CATALOG_MAC_LEN], const char *table) {
    if (!secret_equal(slice_of(found, CATALOG_MAC_LEN), slice_of(want, CATALOG_MAC_LEN))) {
        fail_damaged(rel, psprintf("a row of sealift.%s was altered", table));
    }
}

/* ---- storages ---- */

static void end_key(void *arg) {
    secret_fini(&((struct rows_storage *)arg)->key);
}

static struct rows_storage *new_storage(const uint8_t id[STORAGE_ID_LEN]) {
    struct rows_storage *s = palloc0(sizeof *s);
    MemoryContextCallback *end = palloc0(sizeof *end);
    memcpy(s->id, id, STORAGE_ID_LEN);
    end->func = end_key;
    end->arg = s;
    MemoryContextRegisterResetCallback(CurrentMemoryContext, end);
    table_key_open(s->id, &s->key);
    return s;
}

struct rows_storage *rows_storage_open(Relation rel) {
    uint8_t id[STORAGE_ID_LEN];
    struct fail_context naming;
    pages_storage_id(rel, id);
    fail_context_push(&naming, rel);
    struct rows_storage *s = new_storage(id);
    fail_context_pop(&naming);
    pages_given(rel, &s->key, &s->given);
    return s;
}

struct rows_storage *rows_storage_find(const uint8_t id[STORAGE_ID_LEN], Snapshot snapshot) {
    struct row_scan scan;
    scan_begin(&scan, "storage", "storage_pkey", id, snapshot);
    bool found = scan_next(&scan);
    scan_end(&scan);
    return found ? new_storage(id) : NULL;
}

void rows_storage_close(struct rows_storage *s) {
    secret_fini(&s->key); /* the memory stays for the callback */
}

static void storage_values(const uint8_t id[STORAGE_ID_LEN], const struct secret *key,
                           const struct rows_counts *c, Datum values[STO_COUNT]) {
    uint8_t mac[CATALOG_MAC_LEN];
    counts_mac(id, key, c, mac);
    values[STO_STORAGE - 1] = PointerGetDatum(id);
    values[STO_ROWS - 1] = Int64GetDatum(c->rows);
    values[STO_CHANGES - 1] = Int64GetDatum(c->changes);
    values[STO_SUM - 1] = bytea_datum(c->sum, CATALOG_MAC_LEN);
    values[STO_MAC - 1] = bytea_datum(mac, CATALOG_MAC_LEN);
}

void rows_storage_add(const uint8_t id[STORAGE_ID_LEN], const struct secret *key) {
    struct rows_counts none = {0};
    Datum values[STO_COUNT];
    bool nulls[STO_COUNT] = {0};
    storage_values(id, key, &none, values);
    insert_row("storage", values, nulls, GetCurrentCommandId(true));
}

bool rows_counts(Relation rel, const struct rows_storage *s, Snapshot snapshot,
                 struct rows_counts *ret) {
    struct row_scan scan;
    uint8_t mac[CATALOG_MAC_LEN], want[CATALOG_MAC_LEN];
    scan_begin(&scan, "storage", "storage_pkey", s->id, snapshot);
    bool found = scan_next(&scan);
    if (found) {
        ret->rows = DatumGetInt64(scan.values[STO_ROWS - 1]);
        ret->changes = DatumGetInt64(scan.values[STO_CHANGES - 1]);
        take_fixed(rel, scan.values[STO_SUM - 1], ret->sum, CATALOG_MAC_LEN);
        take_fixed(rel, scan.values[STO_MAC - 1], mac, CATALOG_MAC_LEN);
        ret->tid = scan.tuple->t_self;
        counts_mac(s->id, &s->key, ret, want);
        check_mac(rel, mac, want, "storage");
    }
    scan_end(&scan);
    return found;
}

void rows_counts_update(const struct rows_storage *s, const struct rows_counts *counts) {
    Relation rel = table_open(catalog_oid("storage"), RowExclusiveLock);
    Datum values[STO_COUNT];
    bool nulls[STO_COUNT] = {0};
    storage_values(s->id, &s->key, counts, values);
    HeapTuple tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);
    tuple->t_self = counts->tid;
    CatalogTupleUpdate(rel, &tuple->t_self, tuple);
    heap_freetuple(tuple);
    table_close(rel, NoLock);
}

static bool drop_from(const char *table, const char *index, const uint8_t id[STORAGE_ID_LEN],
                      Snapshot snapshot) {
    struct row_scan scan;
    bool found = false;
    CommandId cid = GetCurrentCommandId(true);
    scan_begin(&scan, table, index, id, snapshot);
    while (scan_next(&scan)) {
        remove_row(table, &scan.tuple->t_self, cid);
        found = true;
    }
    scan_end(&scan);
    return found;
}

bool rows_storage_drop(const uint8_t id[STORAGE_ID_LEN]) {
    CommandCounterIncrement();
    Snapshot now = RegisterSnapshot(GetLatestSnapshot());
    (void)drop_from("segment", "segment_storage", id, now);
    (void)drop_from("segment_deletes", "segment_deletes_storage", id, now);
    bool found = drop_from("storage", "storage_pkey", id, now);
    UnregisterSnapshot(now);
    return found;
}

/* ---- segments ---- */

void rows_segment_add(const struct rows_storage *s, struct rows_segment *seg, CommandId cid) {
    const struct segment_ref *r = &seg->ref;
    bool in_row = seg->whole.len > 0;
    segment_mac(&s->key, seg, seg->mac);
    bool nulls[SEG_COUNT] = {0};
    nulls[SEG_WHOLE - 1] = !in_row;
    Datum values[SEG_COUNT] = {
        [SEG_STORAGE - 1] = PointerGetDatum(r->storage_id),
        [SEG_SEGMENT - 1] = PointerGetDatum(r->segment_id),
        [SEG_FIRST_ROW - 1] = Int64GetDatum((int64)seg->first_row),
        [SEG_ROWS - 1] = Int32GetDatum((int32)r->rows),
        [SEG_COLUMNS - 1] = Int32GetDatum((int32)r->columns),
        [SEG_FIRST_BLOCK - 1] = Int64GetDatum(seg->first_block),
        [SEG_BYTES - 1] = Int32GetDatum((int32)r->bytes),
        [SEG_FOOTER_OFFSET - 1] = Int32GetDatum((int32)r->footer_offset),
        [SEG_FOOTER_TAG - 1] = bytea_datum(r->footer_tag, GCM_TAG_LEN),
        [SEG_WHOLE - 1] = in_row ? bytea_datum(seg->whole.ptr, seg->whole.len) : (Datum)0,
        [SEG_MAC - 1] = bytea_datum(seg->mac, CATALOG_MAC_LEN),
    };
    insert_row("segment", values, nulls, cid);
}

void rows_deletes_add(const struct rows_storage *s, const struct segment_ref *ref,
                      struct rows_deletes *d, CommandId cid) {
    deletes_mac(&s->key, ref, d, d->mac);
    bool nulls[DEL_COUNT] = {0};
    Datum values[DEL_COUNT] = {
        [DEL_STORAGE - 1] = PointerGetDatum(ref->storage_id),
        [DEL_SEGMENT - 1] = PointerGetDatum(ref->segment_id),
        [DEL_ROWS - 1] = Int32GetDatum((int32)d->count),
        [DEL_SEALED - 1] = bytea_datum(d->sealed.ptr, d->sealed.len),
        [DEL_MAC - 1] = bytea_datum(d->mac, CATALOG_MAC_LEN),
    };
    insert_row("segment_deletes", values, nulls, cid);
}

void rows_segment_remove(const ItemPointerData *tid, CommandId cid) {
    remove_row("segment", tid, cid);
}

void rows_deletes_remove(const ItemPointerData *tid, CommandId cid) {
    remove_row("segment_deletes", tid, cid);
}

static void read_segment(Relation rel, const struct rows_storage *s, const struct row_scan *scan,
                         struct rows_segment *seg) {
    const Datum *v = scan->values;
    uint8_t mac[CATALOG_MAC_LEN];
    *seg = (struct rows_segment){
        .ref = {.rows = DatumGetUInt32(v[SEG_ROWS - 1]),
                .columns = DatumGetUInt32(v[SEG_COLUMNS - 1]),
                .bytes = DatumGetUInt32(v[SEG_BYTES - 1]),
                .footer_offset = DatumGetUInt32(v[SEG_FOOTER_OFFSET - 1])},
        .first_row = DatumGetUInt64(v[SEG_FIRST_ROW - 1]),
        .first_block = (BlockNumber)DatumGetInt64(v[SEG_FIRST_BLOCK - 1]),
        .tid = scan->tuple->t_self,
        .own = row_is_own(scan->tuple),
    };

    if ((uint64)DatumGetInt64(v[SEG_FIRST_BLOCK - 1]) > MaxBlockNumber) {
        fail_damaged(rel, "a row of sealift.segment was altered");
    }
    memcpy(seg->ref.storage_id, s->id, STORAGE_ID_LEN);
    memcpy(seg->ref.segment_id, DatumGetUUIDP(v[SEG_SEGMENT - 1])->data, SEGMENT_ID_LEN);
    take_fixed(rel, v[SEG_FOOTER_TAG - 1], seg->ref.footer_tag, GCM_TAG_LEN);
    if (!scan->nulls[SEG_WHOLE - 1]) {
        seg->whole = bytea_slice(v[SEG_WHOLE - 1]);
    }
    take_fixed(rel, v[SEG_MAC - 1], mac, CATALOG_MAC_LEN);
    segment_mac(&s->key, seg, seg->mac);
    check_mac(rel, mac, seg->mac, "segment");
}

static int by_first_row(const void *a, const void *b) {
    const struct rows_segment *x = a, *y = b;
    return x->first_row < y->first_row ? -1 : x->first_row > y->first_row;
}

static void load_segments(Relation rel, const struct rows_storage *s, Snapshot snapshot,
                          struct rows_list *list, uint8_t sum[CATALOG_MAC_LEN]) {
    struct row_scan scan;
    int cap = 16;
    list->segments = palloc_array(struct rows_segment, cap);
    list->count = 0;
    scan_begin(&scan, "segment", "segment_storage", s->id, snapshot);
    while (scan_next(&scan)) {
        if (list->count == cap) {
            cap *= 2;
            list->segments = repalloc_huge(list->segments, (Size)cap * sizeof *list->segments);
        }
        struct rows_segment *seg = &list->segments[list->count++];
        read_segment(rel, s, &scan, seg);
        if (counts_in_sum(seg->own)) {
            catalog_sum_add(sum, seg->mac);
        }
    }
    scan_end(&scan);
    qsort(list->segments, (size_t)list->count, sizeof *list->segments, by_first_row);
}

/* Segments by id, to find the one of a delete vector. */
struct by_id {
    uint8_t id[SEGMENT_ID_LEN];
    int index;
};
static int compare_ids(const void *a, const void *b) {
    return memcmp(((const struct by_id *)a)->id, ((const struct by_id *)b)->id, SEGMENT_ID_LEN);
}

static void keep_deletes(struct rows_segment *seg, const struct rows_deletes *d) {
    Size size = sizeof *seg->deletes * (Size)(seg->delete_count + 1);
    seg->deletes = seg->deletes == NULL ? palloc(size) : repalloc(seg->deletes, size);
    seg->deletes[seg->delete_count++] = *d;
}

static void load_deletes(Relation rel, const struct rows_storage *s, Snapshot snapshot,
                         struct rows_list *list, uint8_t sum[CATALOG_MAC_LEN]) {
    struct by_id *ids = palloc_array(struct by_id, list->count + 1);
    for (int i = 0; i < list->count; i++) {
        memcpy(ids[i].id, list->segments[i].ref.segment_id, SEGMENT_ID_LEN);
        ids[i].index = i;
    }
    qsort(ids, (size_t)list->count, sizeof *ids, compare_ids);
    struct row_scan scan;
    scan_begin(&scan, "segment_deletes", "segment_deletes_storage", s->id, snapshot);
    while (scan_next(&scan)) {
        struct by_id key;
        memcpy(key.id, DatumGetUUIDP(scan.values[DEL_SEGMENT - 1])->data, SEGMENT_ID_LEN);
        const struct by_id *at = bsearch(&key, ids, (size_t)list->count, sizeof *ids, compare_ids);
        if (at == NULL) {
            fail_damaged(rel, "a delete vector belongs to no segment");
        }
        struct rows_segment *seg = &list->segments[at->index];
        uint8_t mac[CATALOG_MAC_LEN];
        struct rows_deletes d = {.sealed = bytea_slice(scan.values[DEL_SEALED - 1]),
                                 .count = DatumGetUInt32(scan.values[DEL_ROWS - 1]),
                                 .tid = scan.tuple->t_self,
                                 .own = row_is_own(scan.tuple)};
        take_fixed(rel, scan.values[DEL_MAC - 1], mac, CATALOG_MAC_LEN);
        deletes_mac(&s->key, &seg->ref, &d, d.mac);
        check_mac(rel, mac, d.mac, "segment_deletes");
        if (counts_in_sum(d.own)) {
            catalog_sum_add(sum, d.mac);
        }
        keep_deletes(seg, &d);
    }
    scan_end(&scan);
    pfree(ids);
}

/* A relation that is open has its storage's row in the newest state. A snapshot that doesn't see it
 * is older than the table's TRUNCATE or rewrite: what it should see is gone, and no wrong rows are
 * given. */
static void raise_unseen(Relation rel, const struct rows_storage *s) {
    struct rows_counts counts;
    Snapshot now = RegisterSnapshot(GetLatestSnapshot());
    bool found = rows_counts(rel, s, now, &counts);
    UnregisterSnapshot(now);
    if (!found) {
        fail_damaged(rel, "no catalog row names its storage");
    }
    ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                    errmsg("could not serialize access due to concurrent update"),
                    errdetail("Table \"%s\" was made, truncated or rewritten by another session.",
                              RelationGetRelationName(rel))));
}

/* Is a block of the segment free, or not given away yet? */
static bool is_misplaced(const struct pages_given *given, const struct rows_segment *seg) {
    uint64 end = (uint64)seg->first_block + pages_for(seg->ref.bytes);
    int low = 0, high = given->run_count; /* the first run that ends behind the segment's begin */
    while (low < high) {
        int middle = (low + high) / 2;
        const struct pages_run *run = &given->runs[middle];
        if (run->first + run->blocks <= seg->first_block) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return seg->first_block == 0 || end > given->next_block ||
           (low < given->run_count && given->runs[low].first < end);
}

/* An older head would give away what segments have. */
static void check_places(Relation rel, const struct rows_storage *s, const struct rows_list *list) {
    uint64 next_row = 0;
    for (int i = 0; i < list->count; i++) {
        const struct rows_segment *seg = &list->segments[i];
        if (seg->first_row < next_row) {
            fail_damaged(rel, "segments overlap");
        }
        next_row = seg->first_row + seg->ref.rows;
        if (next_row > s->given.next_row || (seg->whole.len == 0 && is_misplaced(&s->given, seg))) {
            fail_damaged(rel, "its file's head is older than its segments");
        }
    }
}

void rows_load(Relation rel, const struct rows_storage *s, Snapshot snapshot,
               struct rows_list *ret) {
    struct rows_counts counts;
    uint8_t sum[CATALOG_MAC_LEN] = {0};
    struct fail_context naming;
    fail_context_push(&naming, rel);
    if (!rows_counts(rel, s, snapshot, &counts)) {
        raise_unseen(rel, s);
    }
    load_segments(rel, s, snapshot, ret, sum);
    load_deletes(rel, s, snapshot, ret, sum);
    fail_context_pop(&naming);
    pending_removed(s->id, snapshot, sum);
    if (memcmp(sum, counts.sum, CATALOG_MAC_LEN) != 0) {
        fail_damaged(rel, "a catalog row was dropped, added or brought back");
    }
    check_places(rel, s, ret);
}

/* ---- space ---- */

static int by_first_block(const void *a, const void *b) {
    const struct pages_run *x = a, *y = b;
    return x->first < y->first ? -1 : x->first > y->first;
}

/* False: gone for all. */
static bool may_be_needed(TupleTableSlot *slot, TransactionId horizon, TransactionId *latest) {
    BufferHeapTupleTableSlot *held = (BufferHeapTupleTableSlot *)slot;
    HeapTuple tuple = ExecFetchSlotHeapTuple(slot, false, NULL);
    LockBuffer(held->buffer, BUFFER_LOCK_SHARE);
    bool dead = HeapTupleSatisfiesVacuum(tuple, horizon, held->buffer) == HEAPTUPLE_DEAD;
    if (dead) {
        HeapTupleHeaderAdvanceLatestRemovedXid(tuple->t_data, latest);
    }
    LockBuffer(held->buffer, BUFFER_LOCK_UNLOCK);
    return !dead;
}

struct pages_run *rows_used(Relation rel, const struct rows_storage *s, int *ret_count,
                            TransactionId *ret_latest) {
    Relation table = table_open(catalog_oid("segment"), AccessShareLock);
    Relation index = index_open(catalog_oid("segment_storage"), AccessShareLock);
    TransactionId horizon = GetOldestNonRemovableTransactionId(table);
    TupleTableSlot *slot = table_slot_create(table, NULL);
    IndexScanDesc scan = index_beginscan(table, index, SnapshotAny, 1, 0);
    scan->ignore_killed_tuples = false; /* whose removers a standby must hear of too */
    struct row_scan row = {.rel = table};
    int cap = 16, count = 0;
    struct pages_run *runs = palloc_array(struct pages_run, cap);
    ScanKeyData key;
    ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_UUID_EQ, PointerGetDatum(s->id));
    index_rescan(scan, &key, 1, NULL, 0);
    *ret_latest = InvalidTransactionId;
    while (index_getnext_slot(scan, ForwardScanDirection, slot)) {
        struct rows_segment seg;
        if (!may_be_needed(slot, horizon, ret_latest)) {
            continue;
        }
        row.tuple = ExecFetchSlotHeapTuple(slot, false, NULL);
        heap_deform_tuple(row.tuple, RelationGetDescr(table), row.values, row.nulls);
        read_segment(rel, s, &row, &seg);
        if (seg.whole.len > 0) {
            continue;
        }
        if (count == cap) {
            cap *= 2;
            runs = repalloc_huge(runs, (Size)cap * sizeof *runs);
        }
        runs[count++] = (struct pages_run){seg.first_block, pages_for(seg.ref.bytes)};
    }
    index_endscan(scan);
    ExecDropSingleTupleTableSlot(slot);
    index_close(index, NoLock);
    table_close(table, NoLock);
    qsort(runs, (size_t)count, sizeof *runs, by_first_block);
    *ret_count = count;
    return runs;
}
