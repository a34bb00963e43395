/* Rows in memory that become segments; see writer.h. */
#include "extension/columnar/writer.h"

#include <stdalign.h>

#include "access/detoast.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "extension/columnar/fail.h"
#include "extension/columnar/kinds.h"
#include "extension/columnar/pages.h"
#include "extension/columnar/pending.h"
#include "extension/columnar/sortkey.h"
#include "lib/base/limits.h"
#include "lib/columnar/sort.h"

enum {
    FIRST_ROWS = 64,
    /* A segment up to this size is kept in its catalog row, which then fits a page. */
    WHOLE_BYTES_MAX = 6000,
};

struct column {
    struct kinds_form form;
    size_t width;
    void *room; /* where values lie, at the next address that suits 128-bit integers */
    uint8_t *values;
    uint8_t *nulls;
    bool any_null;
    struct buf heap;
    struct vector_memory sorted;
};

struct writer {
    MemoryContextCallback end;
    MemoryContext context;
    struct rows_storage *storage;
    struct segment_work *work;
    struct buf sealed;
    CommandId cid;
    int natts;
    struct column *columns;
    uint32_t rows, cap;
    size_t bytes;
    uint32_t rows_max; /* then they are written */
    size_t bytes_max;
    uint32_t *keys;
    uint32_t key_count;
    struct sort_work sort;
};

static void end_writer(void *arg) {
    struct writer *w = arg;
    for (int i = 0; i < w->natts; i++) {
        buf_fini(&w->columns[i].heap);
        vector_memory_fini(&w->columns[i].sorted);
    }
    sort_work_fini(&w->sort);
    segment_work_free(w->work);
    buf_fini(&w->sealed);
}

/* Room for `cap` values, the first `used` bytes of them as before. In the current memory context.
 */
static void make_room(struct column *c, uint32_t cap, size_t used) {
    const uint8_t *before = c->values;
    void *room = MemoryContextAllocHuge(CurrentMemoryContext, c->width * cap + alignof(__int128));
    c->values = (uint8_t *)TYPEALIGN(alignof(__int128), room);
    if (used > 0) {
        memcpy(c->values, before, used);
        pfree(c->room);
    }
    c->room = room;
}

struct writer *writer_new(Relation rel, CommandId cid) {
    TupleDesc desc = RelationGetDescr(rel);
    struct writer *w = palloc0(sizeof *w);
    w->context = CurrentMemoryContext;
    w->cid = cid;
    w->columns = palloc0_array(struct column, desc->natts + 1);
    w->natts = desc->natts;
    w->cap = FIRST_ROWS;
    w->sealed = BUF_INIT(LIMIT_SEGMENT_BYTES);
    for (int i = 0; i < desc->natts; i++) {
        struct column *c = &w->columns[i];
        const FormData_pg_attribute *att = TupleDescAttr(desc, i);
        c->form = kinds_form_of(att);
        c->width = vector_width(c->form.kind);
        make_room(c, w->cap, 0);
        c->nulls = palloc0(w->cap);
        c->heap = BUF_INIT(LIMIT_SEGMENT_HEAP_BYTES);
        c->heap.wipe = true;
    }
    w->end.func = end_writer;
    w->end.arg = w;
    MemoryContextRegisterResetCallback(CurrentMemoryContext, &w->end);
    w->storage = rows_storage_open(rel);
    w->rows_max = SEGMENT_ROWS;
    w->bytes_max = SEGMENT_VALUE_BYTES;
    w->key_count = sortkey_of(rel, &w->keys);
    return w;
}

void writer_sort(struct writer *w, const uint32_t *keys, uint32_t key_count, size_t bytes) {
    w->keys = MemoryContextAlloc(w->context, sizeof *keys * (key_count + 1));
    memcpy(w->keys, keys, sizeof *keys * key_count);
    w->key_count = key_count;
    w->rows_max = WRITER_WINDOW_ROWS;
    w->bytes_max = Min(bytes, (size_t)WRITER_WINDOW_BYTES);
}

static void grow(struct writer *w) {
    uint32_t cap = Min(w->cap * 2, w->rows_max);
    MemoryContext before = MemoryContextSwitchTo(w->context);
    for (int i = 0; i < w->natts; i++) {
        struct column *c = &w->columns[i];
        make_room(c, cap, c->width * w->rows);
        c->nulls = repalloc(c->nulls, cap);
    }
    MemoryContextSwitchTo(before);
    w->cap = cap;
}

static void put_bytes(struct writer *w, Relation rel, struct column *c, Datum value, uint32_t row) {
    struct slice bytes;
    struct varlena *flat = NULL;
    if (c->form.fixed) {
        bytes = slice_of(DatumGetPointer(value), (size_t)c->form.attlen);
    } else {
        flat = pg_detoast_datum_packed((struct varlena *)DatumGetPointer(value));
        bytes = slice_of(VARDATA_ANY(flat), VARSIZE_ANY_EXHDR(flat));
    }
    uint32_t at = vector_heap_put(&c->heap, bytes);
    memcpy(c->values + row * c->width, &at, sizeof at);
    w->bytes += bytes.len;
    if (c->heap.failed) {
        ereport(ERROR,
                (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                 errmsg("a value is too long for table \"%s\"", RelationGetRelationName(rel))));
    }
    if (flat != NULL && (Pointer)flat != DatumGetPointer(value)) {
        pfree(flat);
    }
}

void writer_add(struct writer *w, Relation rel, TupleTableSlot *slot) {
    uint32_t row = w->rows;
    if (row == w->cap) {
        grow(w);
    }
    slot_getallattrs(slot);
    MemoryContext before = MemoryContextSwitchTo(w->context);
    for (int i = 0; i < w->natts; i++) {
        struct column *c = &w->columns[i];
        bool null = i >= slot->tts_nvalid || slot->tts_isnull[i] ||
                    TupleDescAttr(RelationGetDescr(rel), i)->attisdropped;
        c->nulls[row] = null;
        c->any_null |= null;
        if (null) {
            memset(c->values + row * c->width, 0, c->width);
        } else if (c->form.kind == VECTOR_BYTES) {
            put_bytes(w, rel, c, slot->tts_values[i], row);
        } else if (!kinds_store(&c->form, slot->tts_values[i], c->values + row * c->width)) {
            ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
                            errmsg("a number is not of the type of its column in table \"%s\"",
                                   RelationGetRelationName(rel))));
        }
        w->bytes += c->width;
    }
    MemoryContextSwitchTo(before);
    w->rows++;
    if (w->rows == w->rows_max || w->bytes >= w->bytes_max) {
        writer_flush(w, rel);
    }
}

void writer_place(Relation rel, const struct rows_storage *s, const struct segment_ref *ref,
                  struct slice bytes, CommandId cid) {
    struct rows_segment seg = {.ref = *ref};
    bool whole = bytes.len <= WHOLE_BYTES_MAX;
    struct pages_range range = pages_reserve(rel, &s->key, whole ? 0 : bytes.len, ref->rows);
    seg.first_row = range.first_row;
    if (whole) {
        seg.whole = bytes;
    } else {
        seg.first_block = range.first_block;
        pages_write(rel, range.first_block, bytes);
    }
    rows_segment_add(s, &seg, cid);
    pending_added(s->id, seg.mac, ref->rows);
}

static void reset(struct writer *w) {
    for (int i = 0; i < w->natts; i++) {
        struct column *c = &w->columns[i];
        secret_wipe(c->heap.ptr, c->heap.len);
        buf_reset(&c->heap);
        c->any_null = false;
    }
    buf_reset(&w->sealed);
    w->rows = 0;
    w->bytes = 0;
}

/* `order` NULL: as the rows came. */
static void write_rows(struct writer *w, Relation rel, const struct vector *vectors,
                       const uint32_t *order, uint32_t from, uint32_t count) {
    struct sl_error err = {0};
    struct segment_ref ref = {0};
    struct vector *part = palloc_array(struct vector, w->natts + 1);
    for (int i = 0; i < w->natts; i++) {
        fail_check(rel, sort_take(&vectors[i], order, from, count, &w->columns[i].sorted, &part[i]),
                   NULL);
    }
    memcpy(ref.storage_id, w->storage->id, STORAGE_ID_LEN);
    crypto_random(ref.segment_id, SEGMENT_ID_LEN);
    buf_reset(&w->sealed);
    fail_check(rel,
               segment_seal(w->work, &w->storage->key, part, (uint32_t)w->natts, count, &w->sealed,
                            &ref, &err),
               &err);
    pfree(part);
    writer_place(rel, w->storage, &ref, buf_slice(&w->sealed), w->cid);
}

void writer_flush(struct writer *w, Relation rel) {
    const uint32_t *order = NULL;
    if (w->rows == 0) {
        return;
    }
    MemoryContext before = MemoryContextSwitchTo(w->context);
    struct vector *vectors = palloc0_array(struct vector, w->natts + 1);
    for (int i = 0; i < w->natts; i++) {
        const struct column *c = &w->columns[i];
        struct vector *v = &vectors[i];
        *v = kinds_vector(&c->form);
        v->rows = w->rows;
        v->nulls = c->any_null ? c->nulls : NULL;
        v->v.raw = c->values;
        v->heap = buf_slice(&c->heap);
    }
    if (w->work == NULL) {
        fail_check(rel, segment_work_new(&w->work), NULL);
    }
    if (w->key_count > 0) {
        fail_check(rel, sort_rows(&w->sort, vectors, w->keys, w->key_count, w->rows, &order), NULL);
    }
    /* as many segments as rows and bytes need, of the same size */
    uint32_t parts = Max((w->rows + SEGMENT_ROWS - 1) / SEGMENT_ROWS,
                         (uint32_t)(w->bytes / SEGMENT_VALUE_BYTES));
    uint32_t step = (w->rows + parts - 1) / parts;
    for (uint32_t from = 0; from < w->rows; from += step) {
        write_rows(w, rel, vectors, order, from, Min(step, w->rows - from));
    }
    pfree(vectors);
    reset(w);
    MemoryContextSwitchTo(before);
}
