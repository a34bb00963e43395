/* Loads without slots; see direct.h. */
#include "postgres.h"

#include <stdalign.h>

#include "access/detoast.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/primnodes.h"
#include "pgstat.h"
#include "storage/predicate.h"
#include "utils/rel.h"

#include "extension/columnar/columnar.h"
#include "extension/columnar/gather.h"
#include "extension/columnar/kinds.h"
#include "extension/columnar/rows.h"
#include "extension/columnar/sortkey.h"
#include "extension/columnar/writer.h"
#include "extension/copy/direct.h"
#include "lib/base/limits.h"

enum {
    FIXED_BYTES = 16 * 1024 * 1024, /* of all columns that are the same in all rows */
    /* Values in a segment: fewer than it might have, since several are in the making. */
    SEGMENT_BYTES = 16 * 1024 * 1024,
    SEGMENT_BYTES_LEAST = 4 * 1024 * 1024,
};

struct direct {
    struct pipeline_table table;
    struct pipeline_column *columns;
    uint32_t *keys;
    struct rows_storage *storage;
    Size fixed_bytes;
};

static bool is_direct(Relation rel, const struct copy_columns *c) {
    const TupleConstr *constr = RelationGetDescr(rel)->constr;
    if (!columnar_is_sealed(rel) || rel->rd_rel->relispartition || rel->rd_rel->relhasindex ||
        (constr != NULL && (constr->num_check > 0 || constr->has_generated_stored))) {
        return false;
    }
    for (int i = 0; i < c->natts; i++) {
        const FormData_pg_attribute *att = TupleDescAttr(RelationGetDescr(rel), c->attnums[i] - 1);
        /* threads have no zone tables */
        bool zone = c->columns[i].type == COPY_TIMESTAMPTZ && !c->local_is_utc;
        struct kinds_form form = kinds_form_of(att);
        if (zone || form.kind != pipeline_kind(c->columns[i].type) ||
            (form.decimal && form.scale != c->columns[i].scale)) {
            return false;
        }
    }
    return true;
}

static bool fixed_bytes(struct direct *d, const struct kinds_form *form, Datum value,
                        struct vector *v) {
    struct buf heap = BUF_INIT(LIMIT_SEGMENT_HEAP_BYTES);
    if (form->fixed) {
        (void)vector_heap_put(&heap, slice_of(DatumGetPointer(value), (size_t)form->attlen));
    } else {
        struct varlena *flat = pg_detoast_datum_packed((struct varlena *)DatumGetPointer(value));
        (void)vector_heap_put(&heap, slice_of(VARDATA_ANY(flat), VARSIZE_ANY_EXHDR(flat)));
    }
    bool fits = !heap.failed && heap.len <= FIXED_BYTES;
    if (fits) {
        v->heap = slice_of(memcpy(palloc(heap.len), heap.ptr, heap.len), heap.len);
        d->fixed_bytes += heap.len;
    }
    buf_fini(&heap);
    return fits;
}

/* The same value in all rows. */
static bool fixed_value(struct direct *d, const struct kinds_form *form, Datum value,
                        struct vector *v) {
    size_t width = vector_width(v->kind);
    d->fixed_bytes += width * SEGMENT_ROWS;
    if (d->fixed_bytes > FIXED_BYTES) {
        return false;
    }
    uint8_t *room = palloc0(width * SEGMENT_ROWS + alignof(__int128));
    uint8_t *values = (uint8_t *)TYPEALIGN(alignof(__int128), room);
    v->v.raw = values;
    if (v->kind == VECTOR_BYTES) {
        return fixed_bytes(d, form, value, v);
    }
    bool fits = true;
    for (size_t row = 0; fits && row < SEGMENT_ROWS; row++) {
        fits = kinds_store(form, value, values + row * width);
    }
    return fits;
}

/* A column without a field: NULL, or its default where that is a constant. */
static bool fixed_column(struct direct *d, const FormData_pg_attribute *att, const Expr *value,
                         struct vector *v) {
    static uint8_t nulls[SEGMENT_ROWS];
    const Const *constant = value != NULL && IsA(value, Const) ? (const Const *)value : NULL;
    struct kinds_form form = kinds_form_of(att);
    *v = kinds_vector(&form);
    if (value != NULL && constant == NULL) {
        return false;
    }
    if (constant == NULL || constant->constisnull) {
        memset(nulls, COPY_NULL, sizeof nulls);
        v->nulls = nulls;
        return att->attisdropped || !att->attnotnull;
    }
    return fixed_value(d, &form, constant->constvalue, v);
}

static const Expr *default_of(const struct copy_columns *c, int attnum) {
    for (int i = 0; i < c->default_count; i++) {
        if (c->default_attnums[i] == attnum) {
            return c->default_exprs[i];
        }
    }
    return NULL;
}

static bool map_columns(struct direct *d, Relation rel, const struct copy_columns *c) {
    TupleDesc desc = RelationGetDescr(rel);
    for (int i = 0; i < desc->natts; i++) {
        d->columns[i].field = -1;
    }
    for (int i = 0; i < c->natts; i++) {
        struct pipeline_column *col = &d->columns[c->attnums[i] - 1];
        struct kinds_form form = kinds_form_of(TupleDescAttr(desc, c->attnums[i] - 1));
        col->field = i;
        col->form = kinds_vector(&form);
    }
    for (int i = 0; i < desc->natts; i++) {
        if (d->columns[i].field < 0 &&
            !fixed_column(d, TupleDescAttr(desc, i), default_of(c, i + 1), &d->columns[i].form)) {
            return false;
        }
    }
    return true;
}

struct direct *direct_begin(Relation rel, const struct copy_columns *c, int running) {
    if (!is_direct(rel, c)) {
        return NULL;
    }
    struct direct *d = palloc0(sizeof *d);
    d->columns = palloc0_array(struct pipeline_column, RelationGetNumberOfAttributes(rel));
    if (!map_columns(d, rel, c)) {
        return NULL;
    }
    gather_flush_relation(rel); /* rows lie in the order in which they came */
    d->storage = rows_storage_open(rel);
    d->table = (struct pipeline_table){
        .key = &d->storage->key,
        .columns = d->columns,
        .column_count = (uint32_t)RelationGetNumberOfAttributes(rel),
        .segment_bytes = (Size)Max(SEGMENT_BYTES / Max(running, 1), SEGMENT_BYTES_LEAST)};
    d->table.key_count = sortkey_of(rel, &d->keys);
    d->table.keys = d->keys;
    memcpy(d->table.storage_id, d->storage->id, STORAGE_ID_LEN);
    return d;
}

const struct pipeline_table *direct_table(const struct direct *d) {
    return &d->table;
}

void direct_place(struct direct *d, Relation rel, const struct pipeline_segment *s, CommandId cid) {
    CheckForSerializableConflictIn(rel, NULL, InvalidBlockNumber);
    writer_place(rel, d->storage, &s->ref, buf_slice(&s->bytes), cid);
    pgstat_count_heap_insert(rel, (PgStat_Counter)s->ref.rows);
}
