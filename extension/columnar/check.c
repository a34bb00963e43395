/* sealift.check_table(oid): all of a sealed table is read, opened and compared, and each part that
 * doesn't hold is a row (part, problem). A part fails alone: each runs in a subtransaction of its
 * own, and what it raised is the finding. Notices tell how far it is. */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/smgr.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "extension/columnar/columnar.h"
#include "extension/columnar/fail.h"
#include "extension/columnar/findings.h"
#include "extension/columnar/pages.h"
#include "extension/columnar/reader.h"
#include "lib/columnar/deletes.h"

PG_FUNCTION_INFO_V1(sealift_check_table);

enum { PROGRESS_MS = 1000 };

struct check {
    FunctionCallInfo fcinfo;
    Relation rel;
    Snapshot snapshot;
    struct reader *reader;
    const struct rows_list *list;
    TimestampTz said; /* when progress was told last */
    int segment;      /* that a part looks at */
    int column;
};

typedef void (*part_fn)(struct check *c);

/* What a damaged file or row raises; all else, an interrupt say, is the caller's. */
static bool is_damage(const ErrorData *e) {
    int class = ERRCODE_TO_CATEGORY(e->sqlerrcode);
    return class == ERRCODE_TO_CATEGORY(ERRCODE_DATA_CORRUPTED) ||
           class == ERRCODE_TO_CATEGORY(ERRCODE_IO_ERROR);
}

/* Where there is a detail, the message names the table, which the caller knows. */
static void finding_of(struct check *c, const char *part, const ErrorData *e) {
    findings_add(c->fcinfo, part, e->detail != NULL ? e->detail : e->message);
}

/* False when the part failed. */
static bool attempt(struct check *c, const char *name, part_fn part) {
    MemoryContext context = CurrentMemoryContext;
    ResourceOwner owner = CurrentResourceOwner;
    volatile bool ok = true;
    BeginInternalSubTransaction(NULL);
    MemoryContextSwitchTo(context);
    PG_TRY();
    {
        part(c);
        ReleaseCurrentSubTransaction();
    }
    PG_CATCH();
    {
        MemoryContextSwitchTo(context);
        ErrorData *e = CopyErrorData();
        FlushErrorState();
        RollbackAndReleaseCurrentSubTransaction();
        MemoryContextSwitchTo(context);
        CurrentResourceOwner = owner;
        if (!is_damage(e)) {
            ReThrowError(e);
        }
        finding_of(c, name, e);
        FreeErrorData(e);
        ok = false;
    }
    PG_END_TRY();
    MemoryContextSwitchTo(context);
    CurrentResourceOwner = owner;
    return ok;
}

/* ---- the table as a whole ---- */

static void check_file(struct check *c) {
    pages_check_file(c->rel);
}

/* The key, the MACs of head and catalog rows, and their sum. */
static void check_rows(struct check *c) {
    c->list = reader_list(c->reader);
}

static int by_block(const void *a, const void *b) {
    const struct rows_segment *x = *(const struct rows_segment *const *)a,
                              *y = *(const struct rows_segment *const *)b;
    return x->first_block < y->first_block ? -1 : x->first_block > y->first_block;
}

/* No two segments lie on one block, and the file holds them all. */
static void check_blocks(struct check *c) {
    const struct rows_segment **in_file =
        palloc_array(const struct rows_segment *, c->list->count + 1);
    size_t count = 0;
    for (int i = 0; i < c->list->count; i++) {
        if (c->list->segments[i].whole.len == 0) {
            in_file[count++] = &c->list->segments[i];
        }
    }
    qsort(in_file, count, sizeof(struct rows_segment *), by_block);
    BlockNumber free = 1, end = smgrnblocks(RelationGetSmgr(c->rel), MAIN_FORKNUM);
    for (size_t i = 0; i < count; i++) {
        if (in_file[i]->first_block < free) {
            fail_damaged(c->rel, "two segments lie on the same blocks");
        }
        free = in_file[i]->first_block + pages_for(in_file[i]->ref.bytes);
    }
    if (free > end) {
        fail_damaged(c->rel, psprintf("its file ends at block %u, its segments at %u", end, free));
    }
    pfree(in_file);
}

/* Row counts are estimates' and VACUUM's. */
static void check_counts(struct check *c) {
    struct rows_counts counts;
    int64 live = 0;
    for (int i = 0; i < c->list->count; i++) {
        live += (int64)c->list->segments[i].ref.rows - reader_deleted(&c->list->segments[i]);
    }
    if (!rows_counts(c->rel, reader_storage(c->reader), c->snapshot, &counts) ||
        counts.rows != live) {
        fail_damaged(c->rel, "its number of rows is not that of its segments");
    }
}

/* ---- one segment ---- */

static void check_footer(struct check *c) {
    reader_check_open(c->reader, c->segment);
}

static void check_column(struct check *c) {
    reader_check_column(c->reader, c->segment, c->column);
}

/* Each vector opens, says what its row says, and no row is deleted twice. */
static void check_deletes(struct check *c) {
    const struct rows_segment *seg = &c->list->segments[c->segment];
    uint32_t live = 0;
    for (int i = 0; i < seg->delete_count; i++) {
        struct sl_error err = {0};
        struct deletes d;
        fail_check(c->rel,
                   deletes_open(&reader_storage(c->reader)->key, &seg->ref, seg->deletes[i].sealed,
                                &d, &err),
                   &err);
        uint32_t count = d.count;
        deletes_fini(&d);
        if (count != seg->deletes[i].count) {
            fail_damaged(c->rel, "a delete vector has not as many rows as its catalog row says");
        }
    }
    const struct deletes *all = reader_deletes(c->reader, c->segment);
    for (uint32_t row = deletes_next_live(all, 0); row < all->rows;
         row = deletes_next_live(all, row + 1)) {
        live++;
    }
    if (live + reader_deleted(seg) != seg->ref.rows) {
        fail_damaged(c->rel, "a row was deleted twice");
    }
}

static char *column_name(struct check *c, const char *segment, int column) {
    TupleDesc desc = RelationGetDescr(c->rel);
    if (column >= desc->natts || TupleDescAttr(desc, column)->attisdropped) {
        return psprintf("%s, dropped column %d", segment, column + 1);
    }
    return psprintf("%s, column %s", segment, NameStr(TupleDescAttr(desc, column)->attname));
}

static void check_segment(struct check *c) {
    const struct rows_segment *seg = &c->list->segments[c->segment];
    char *name = psprintf("segment of rows " UINT64_FORMAT " to " UINT64_FORMAT, seg->first_row,
                          seg->first_row + seg->ref.rows - 1);
    if (!attempt(c, name, check_footer)) {
        return;
    }
    (void)attempt(c, psprintf("%s, delete vectors", name), check_deletes);
    uint32_t columns = reader_check_open(c->reader, c->segment);
    for (c->column = 0; c->column < (int)columns; c->column++) {
        (void)attempt(c, column_name(c, name, c->column), check_column);
    }
}

static void tell_progress(struct check *c) {
    TimestampTz now = GetCurrentTimestamp();
    if (TimestampDifferenceExceeds(c->said, now, PROGRESS_MS)) {
        ereport(NOTICE, (errmsg("%d of %d segments", c->segment, c->list->count)));
        c->said = now;
    }
}

static void check_segments(struct check *c) {
    MemoryContext own =
        AllocSetContextCreate(CurrentMemoryContext, "sealed check", ALLOCSET_DEFAULT_SIZES);
    MemoryContext before = MemoryContextSwitchTo(own);
    for (c->segment = 0; c->segment < c->list->count; c->segment++) {
        CHECK_FOR_INTERRUPTS();
        tell_progress(c);
        check_segment(c);
        MemoryContextReset(own);
    }
    MemoryContextSwitchTo(before);
    MemoryContextDelete(own);
}

Datum sealift_check_table(PG_FUNCTION_ARGS) {
    InitMaterializedSRF(fcinfo, 0);
    Relation rel = try_relation_open(PG_GETARG_OID(0), AccessShareLock);
    if (rel == NULL) {
        return (Datum)0; /* dropped meanwhile */
    }
    /* Temporary tables are in the memory of their session alone. */
    if (columnar_is_sealed(rel) && rel->rd_rel->relpersistence == RELPERSISTENCE_PERMANENT) {
        struct check c = {.fcinfo = fcinfo, .rel = rel, .said = GetCurrentTimestamp()};
        c.snapshot = RegisterSnapshot(GetLatestSnapshot());
        c.reader = reader_open(rel, c.snapshot, NULL);
        if (attempt(&c, "catalog rows", check_rows)) {
            (void)attempt(&c, "head", check_file);
            (void)attempt(&c, "blocks", check_blocks);
            (void)attempt(&c, "counts", check_counts);
            check_segments(&c);
        }
        reader_close(c.reader);
        UnregisterSnapshot(c.snapshot);
    }
    relation_close(rel, AccessShareLock);
    return (Datum)0;
}
