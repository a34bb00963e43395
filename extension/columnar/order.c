/* Segments in the order of a SORTKEY; see order.h.
 *
 * What overlaps: the greatest set without overlaps is guessed by taking the segments with the most
 * rows first. The rest is out of order.
 *
 * Sorting: the writer holds a window of rows. When there are more, the first key's values are
 * sampled, and the windows are ranges between some of them: for each range a pass over the
 * segments, by the key alone, fetches the rows that lie in it. */
#include "extension/columnar/order.h"

#include <stdalign.h>

#include "access/stratnum.h"
#include "catalog/pg_type.h"
#include "commands/vacuum.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/datum.h"
#include "utils/float.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/typcache.h"

#include "extension/columnar/kinds.h"
#include "extension/columnar/skip.h"
#include "lib/columnar/deletes.h"

enum {
    KEYS_LOOKED_AT = 4,    /* later ones matter where all before are one value */
    SAMPLES_A_WINDOW = 64, /* so ranges differ by some percent */
    FULL_PERCENT = 85,     /* of a window, by the guess of a row's width */
    RELID = 1,             /* of the table, in expressions of ours */
};

/* ---- overlaps ---- */

struct extent {
    int index; /* of the segment */
    uint32_t live;
    bool known; /* bounds of all keys */
    struct segment_column keys[KEYS_LOOKED_AT];
};

static int compare_bounds(const struct segment_column *a, const struct segment_bound *x,
                          bool x_null, const struct segment_column *b,
                          const struct segment_bound *y, bool y_null) {
    if (x_null || y_null) {
        return (int)x_null - (int)y_null;
    }
    if (a->kind == VECTOR_BYTES) {
        return slice_cmp(slice_of(x->bytes, x->len), slice_of(y->bytes, y->len));
    }
    if (a->kind == VECTOR_FLOAT32 || a->kind == VECTOR_FLOAT64) {
        return float8_cmp_internal(x->f, y->f);
    }
    return x->i < y->i ? -1 : x->i > y->i;
}

/* a's greatest value of a key against b's least; NULL is greater than any. */
static int compare_ends(const struct segment_column *a, const struct segment_column *b) {
    return compare_bounds(a, &a->max, a->nulls > 0, b, &b->min, !b->bounded);
}

static bool is_constant(const struct segment_column *c) {
    return compare_bounds(c, &c->min, !c->bounded, c, &c->max, c->nulls > 0) == 0;
}

/* Ranges that only touch are in order. */
static bool overlap(const struct extent *a, const struct extent *b, uint32_t keys) {
    if (!a->known || !b->known) {
        return true;
    }
    for (uint32_t k = 0; k < keys; k++) {
        const struct segment_column *x = &a->keys[k], *y = &b->keys[k];
        if (x->kind != y->kind || x->decimal != y->decimal || x->scale != y->scale) {
            return true;
        }
        int before = compare_ends(x, y), after = compare_ends(y, x);
        if (before < 0 || after < 0) {
            return false;
        }
        if (before != 0 && after != 0) {
            return true;
        }
        if (!is_constant(x) || !is_constant(y)) {
            return false;
        }
    }
    return false;
}

static int by_rows(const void *a, const void *b) {
    const struct extent *x = a, *y = b;
    return x->live > y->live ? -1 : x->live < y->live ? 1 : x->index - y->index;
}

static struct extent *extents_of(struct reader *reader, const uint32_t *keys, uint32_t key_count,
                                 int *ret_count) {
    const struct rows_list *list = reader_list(reader);
    /* 128-bit integers want more than palloc's alignment */
    void *room = palloc_extended(sizeof(struct extent) * (Size)list->count + alignof(struct extent),
                                 MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
    struct extent *extents = (struct extent *)TYPEALIGN(alignof(struct extent), room);
    int count = 0;
    for (int i = 0; i < list->count; i++) {
        const struct rows_segment *seg = &list->segments[i];
        struct extent *e = &extents[count];
        e->index = i;
        e->live = seg->ref.rows - reader_deleted(seg);
        if (e->live == 0) {
            continue;
        }
        const struct segment *s = reader_footer(reader, i);
        e->known = true;
        for (uint32_t k = 0; k < key_count; k++) {
            if (keys[k] < segment_column_count(s)) {
                e->keys[k] = *segment_column(s, keys[k]);
            } else {
                e->known = false;
            }
        }
        count++;
    }
    qsort(extents, (size_t)count, sizeof *extents, by_rows);
    *ret_count = count;
    return extents;
}

/* Orders `extents`: those without overlaps first; their number. */
static int split(struct extent *extents, int count, uint32_t keys) {
    int fine = 0;
    for (int i = 0; i < count; i++) {
        bool clear = true;
        for (int f = 0; f < fine && clear; f++) {
            clear = !overlap(&extents[i], &extents[f], keys);
        }
        if (clear) {
            struct extent e = extents[i];
            extents[i] = extents[fine];
            extents[fine++] = e;
        }
    }
    return fine;
}

static double percent_of(const struct extent *extents, int fine, int count) {
    double total = 0, unsorted = 0;
    for (int i = 0; i < count; i++) {
        total += extents[i].live;
        unsorted += i < fine ? 0 : extents[i].live;
    }
    return total > 0 ? unsorted * 100 / total : 0;
}

void order_choose(struct reader *reader, const uint32_t *keys, uint32_t key_count, int percent,
                  bool *chosen) {
    int count;
    uint32_t looked_at = Min(key_count, KEYS_LOOKED_AT);
    struct extent *extents = extents_of(reader, keys, looked_at, &count);
    int fine = split(extents, count, looked_at);
    if (fine == count || 100 - percent_of(extents, fine, count) >= percent) {
        return;
    }
    for (int u = fine; u < count; u++) {
        chosen[extents[u].index] = true;
        for (int f = 0; f < fine; f++) {
            chosen[extents[f].index] |= overlap(&extents[u], &extents[f], looked_at);
        }
    }
}

double order_unsorted(struct reader *reader, const uint32_t *keys, uint32_t key_count) {
    int count;
    uint32_t looked_at = Min(key_count, KEYS_LOOKED_AT);
    struct extent *extents = extents_of(reader, keys, looked_at, &count);
    return percent_of(extents, split(extents, count, looked_at), count);
}

/* ---- ranges of the first key ---- */

struct ranges {
    const FormData_pg_attribute *att; /* the first key's */
    TypeCacheEntry *type;
    Datum *cuts; /* where a range ends and the next begins */
    int count;   /* of ranges, 1 more than cuts */
};

static int compare_datums(const void *a, const void *b, void *arg) {
    const struct ranges *r = arg;
    return DatumGetInt32(FunctionCall2Coll(&r->type->cmp_proc_finfo, r->att->attcollation,
                                           *(const Datum *)a, *(const Datum *)b));
}

/* Every n-th value of the key, but NULLs. */
static Datum *sample(Relation rel, Snapshot snapshot, const bool *chosen,
                     const FormData_pg_attribute *att, uint64 every, int *ret_count) {
    struct reader *reader = reader_open(rel, snapshot, bms_make_singleton(att->attnum));
    TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(rel), &TTSOpsVirtual);
    int cap = 1024, count = 0;
    uint64 row = 0;
    Datum *values = palloc_array(Datum, cap);
    reader_choose(reader, chosen);
    while (reader_next(reader, slot)) {
        int at = att->attnum - 1;
        vacuum_delay_point();
        if (row++ % every != 0 || slot->tts_isnull[at]) {
            continue;
        }
        if (count == cap) {
            cap *= 2;
            values = repalloc_huge(values, sizeof *values * (Size)cap);
        }
        values[count++] = datumCopy(slot->tts_values[at], att->attbyval, att->attlen);
    }
    reader_close(reader);
    ExecDropSingleTupleTableSlot(slot);
    *ret_count = count;
    return values;
}

static void cut_ranges(Relation rel, Snapshot snapshot, const bool *chosen, uint64 rows,
                       uint64 window, struct ranges *r) {
    r->count = 1;
    if (rows <= window || !OidIsValid(r->type->cmp_proc)) {
        return;
    }
    int samples, wanted = (int)((rows + window - 1) / window);
    uint64 every = Max(window / SAMPLES_A_WINDOW, 1);
    Datum *values = sample(rel, snapshot, chosen, r->att, every, &samples);
    qsort_arg(values, (size_t)samples, sizeof *values, compare_datums, r);
    r->cuts = palloc_array(Datum, wanted);
    for (int i = 1; i < wanted && samples > 0; i++) {
        Datum cut = values[(int64)samples * i / wanted];
        if (r->count == 1 || compare_datums(&r->cuts[r->count - 2], &cut, r) < 0) {
            r->cuts[r->count++ - 1] = cut;
        }
    }
}

static Expr *bound(const struct ranges *r, const Var *key, int strategy, Datum value) {
    Oid op = get_opfamily_member(r->type->btree_opf, r->type->btree_opintype,
                                 r->type->btree_opintype, (int16)strategy);
    const FormData_pg_attribute *att = r->att;
    Const *c = makeConst(att->atttypid, att->atttypmod, att->attcollation, att->attlen, value,
                         false, att->attbyval);
    Expr *e = make_opclause(op, BOOLOID, false, (Expr *)copyObjectImpl(key), (Expr *)c, InvalidOid,
                            att->attcollation);
    fix_opfuncids((Node *)e);
    return e;
}

/* What the rows of a range meet; the last one has the NULLs. */
static List *filter_of(const struct ranges *r, int range) {
    const FormData_pg_attribute *att = r->att;
    Var *key = makeVar(RELID, att->attnum, att->atttypid, att->atttypmod, att->attcollation, 0);
    List *quals = NIL;
    if (range > 0) {
        quals = lappend(quals, bound(r, key, BTGreaterEqualStrategyNumber, r->cuts[range - 1]));
    }
    if (range < r->count - 1) {
        quals = lappend(quals, bound(r, key, BTLessStrategyNumber, r->cuts[range]));
    } else if (range > 0) {
        NullTest *none = makeNode(NullTest);
        none->arg = (Expr *)key;
        none->nulltesttype = IS_NULL;
        quals = list_make1(make_orclause(lappend(quals, none)));
    }
    return quals;
}

/* ---- rewriting ---- */

struct rewrite {
    Relation rel, to;
    Snapshot snapshot;
    const bool *chosen;
    const struct ranges *ranges;
    struct writer *writer;
};

static uint64 write_range(struct rewrite *w, int range) {
    TupleDesc desc = RelationGetDescr(w->rel);
    ExprContext *context = CreateStandaloneExprContext();
    List *quals = filter_of(w->ranges, range);
    ExprState *filter = ExecInitQual(quals, NULL);
    struct skip *skip = skip_new(quals, RELID, w->rel, NULL, context);
    struct reader *keys =
        reader_open(w->rel, w->snapshot, bms_make_singleton(w->ranges->att->attnum));
    struct reader *rows = reader_open(w->rel, w->snapshot, NULL);
    TupleTableSlot *key = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
    TupleTableSlot *row = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
    bool deleted;
    uint64 count = 0;
    reader_choose(keys, w->chosen);
    if (skip != NULL) {
        reader_set_filter(keys, skip_may_hold, skip);
    }
    while (reader_next(keys, key)) {
        vacuum_delay_point();
        context->ecxt_scantuple = key;
        ResetExprContext(context);
        if (ExecQual(filter, context) &&
            reader_fetch(rows, reader_number(&key->tts_tid), row, &deleted)) {
            writer_add(w->writer, w->to, row);
            count++;
        }
    }
    writer_flush(w->writer, w->to);
    reader_close(keys);
    reader_close(rows);
    ExecDropSingleTupleTableSlot(key);
    ExecDropSingleTupleTableSlot(row);
    FreeExprContext(context, true);
    return count;
}

/* Bytes of a row in the writer. */
static uint64 width_of(TupleDesc desc) {
    uint64 width = 1;
    for (int i = 0; i < desc->natts; i++) {
        const FormData_pg_attribute *att = TupleDescAttr(desc, i);
        struct kinds_form form = kinds_form_of(att);
        width += vector_width(form.kind);
        if (form.kind == VECTOR_BYTES) {
            width += (uint64)get_typavgwidth(att->atttypid, att->atttypmod);
        }
    }
    return width;
}

uint64 order_rewrite(Relation rel, Snapshot snapshot, const bool *chosen, const uint32_t *keys,
                     uint32_t key_count, Relation to, struct writer *writer) {
    const FormData_pg_attribute *att = TupleDescAttr(RelationGetDescr(rel), keys[0]);
    struct ranges ranges = {.att = att,
                            .type = lookup_type_cache(att->atttypid, TYPECACHE_CMP_PROC_FINFO |
                                                                         TYPECACHE_BTREE_OPFAMILY)};
    struct rewrite w = {rel, to, snapshot, chosen, &ranges, writer};
    MemoryContext own =
        AllocSetContextCreate(CurrentMemoryContext, "sealed order", ALLOCSET_DEFAULT_SIZES);
    MemoryContext before = MemoryContextSwitchTo(own);
    size_t room = Min((size_t)maintenance_work_mem * 1024 / 2, (size_t)WRITER_WINDOW_BYTES);
    writer_sort(writer, keys, key_count, room);
    struct reader *reader = reader_open(rel, snapshot, NULL);
    const struct rows_list *list = reader_list(reader);
    uint64 rows = 0, written = 0;
    for (int i = 0; i < list->count; i++) {
        rows += chosen == NULL || chosen[i] ? list->segments[i].ref.rows : 0;
    }
    reader_close(reader);
    uint64 window = Min(room / width_of(RelationGetDescr(rel)), (uint64)WRITER_WINDOW_ROWS);
    cut_ranges(rel, snapshot, chosen, rows, Max(window * FULL_PERCENT / 100, 1), &ranges);
    for (int i = 0; i < ranges.count; i++) {
        written += write_range(&w, i);
    }
    MemoryContextSwitchTo(before);
    MemoryContextDelete(own);
    return written;
}
