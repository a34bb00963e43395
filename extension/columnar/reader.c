/* Rows of a sealed table; see reader.h. A reader keeps a few segments open, the last used ones: a
 * scan needs one, fetches by number jump about. */
#include "extension/columnar/reader.h"

#include "access/htup_details.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "extension/columnar/fail.h"
#include "extension/columnar/gather.h"
#include "extension/columnar/kinds.h"
#include "extension/columnar/pages.h"
#include "lib/columnar/deletes.h"

enum { OPEN_SEGMENTS = 4 };

struct open_column {
    struct vector_memory memory;
    struct vector vector;
    bool decoded;
    bool absent;  /* the column is younger than the segment */
    Datum value;  /* then its value */
    bool is_null; /* or not */
    char *fixed;  /* values of a type of fixed length, aligned */
    Size fixed_cap;
    Size step; /* from one to the next; 0 for other types */
    _Alignas(int32) uint8_t number[DECIMAL_DATUM_BYTES]; /* the row's, of a decimal */
};

struct open_segment {
    int index; /* in the list, or -1 */
    uint64 used;
    struct segment *segment;
    struct deletes deletes;
    struct open_column *columns;
};

struct reader {
    MemoryContextCallback end;
    MemoryContext context;
    Relation rel;
    Snapshot snapshot;
    bool *wanted;
    int natts;
    struct rows_storage *storage;
    struct segment_work *work;
    bool listed;
    struct rows_list list;
    struct open_segment open[OPEN_SEGMENTS];
    int open_max; /* how many of them are used: one for a scan */
    uint64 clock;
    uint8_t *bytes; /* of the chunk that is being decoded */
    Size bytes_cap;
    reader_filter_fn may;
    void *may_arg;
    const bool *chosen;
    pg_atomic_uint32 *shared; /* the next segment for all; or NULL */
    int64 skipped;
    /* the scan */
    int at;
    struct open_segment *current;
    uint32_t row;
};

void reader_tid(uint64 number, ItemPointer ret) {
    ItemPointerSet(ret, (BlockNumber)(number / PAGES_ROWS_PER_TID_BLOCK),
                   (OffsetNumber)(number % PAGES_ROWS_PER_TID_BLOCK + 1));
}

uint64 reader_number(const ItemPointerData *tid) {
    return (uint64)ItemPointerGetBlockNumberNoCheck(tid) * PAGES_ROWS_PER_TID_BLOCK +
           ItemPointerGetOffsetNumberNoCheck(tid) - 1;
}

static void close_segment(struct open_segment *o) {
    segment_free(o->segment);
    o->segment = NULL;
    deletes_fini(&o->deletes);
    o->deletes = (struct deletes){0};
    o->index = -1;
}

static void end_reader(void *arg) {
    struct reader *r = arg;
    for (int i = 0; i < OPEN_SEGMENTS; i++) {
        close_segment(&r->open[i]);
        for (int c = 0; r->open[i].columns != NULL && c < r->natts; c++) {
            vector_memory_fini(&r->open[i].columns[c].memory);
        }
    }
    segment_work_free(r->work);
}

struct reader *reader_open(Relation rel, Snapshot snapshot, const Bitmapset *attnums) {
    MemoryContext context =
        AllocSetContextCreate(CurrentMemoryContext, "sealed reader", ALLOCSET_DEFAULT_SIZES);
    struct reader *r = MemoryContextAllocZero(context, sizeof *r);
    r->context = context;
    r->rel = rel;
    r->open_max = 1;
    r->snapshot = snapshot;
    r->natts = RelationGetNumberOfAttributes(rel);
    r->wanted = MemoryContextAllocZero(context, (Size)r->natts + 1);
    for (int i = 0; i < r->natts; i++) {
        r->wanted[i] = attnums == NULL || bms_is_member(i + 1, attnums);
    }
    for (int i = 0; i < OPEN_SEGMENTS; i++) {
        r->open[i].index = -1;
    }
    r->end.func = end_reader;
    r->end.arg = r;
    MemoryContextRegisterResetCallback(context, &r->end);
    return r;
}

void reader_close(struct reader *r) {
    MemoryContextDelete(r->context);
}

void reader_set_filter(struct reader *r, reader_filter_fn may, void *arg) {
    r->may = may;
    r->may_arg = arg;
}

void reader_share(struct reader *r, pg_atomic_uint32 *next) {
    r->shared = next;
}

void reader_choose(struct reader *r, const bool *chosen) {
    r->chosen = chosen;
}

int64 reader_skipped(const struct reader *r) {
    return r->skipped;
}

void reader_of_relation(struct reader *r, Relation rel) {
    r->rel = rel;
}

void reader_rewind(struct reader *r) {
    r->open_max = OPEN_SEGMENTS; /* it will come by again */
    r->at = 0;
    r->current = NULL;
    r->row = 0;
}

static void list_segments(struct reader *r) {
    if (r->listed) {
        return;
    }
    gather_flush_for(r->rel, r->snapshot);
    MemoryContext before = MemoryContextSwitchTo(r->context);
    r->storage = rows_storage_open(r->rel);
    rows_load(r->rel, r->storage, r->snapshot, &r->list);
    fail_check(r->rel, segment_work_new(&r->work), NULL);
    MemoryContextSwitchTo(before);
    r->listed = true;
}

const struct rows_list *reader_list(struct reader *r) {
    list_segments(r);
    return &r->list;
}

const struct rows_storage *reader_storage(const struct reader *r) {
    return r->storage;
}

uint32_t reader_deleted(const struct rows_segment *seg) {
    uint32_t n = 0;
    for (int i = 0; i < seg->delete_count; i++) {
        n += seg->deletes[i].count;
    }
    return n;
}

/* ---- opening ---- */

static uint8_t *room(struct reader *r, Size len) {
    if (r->bytes_cap < len) {
        r->bytes = r->bytes == NULL ? MemoryContextAllocHuge(r->context, len)
                                    : repalloc_huge(r->bytes, len);
        r->bytes_cap = len;
    }
    return r->bytes;
}

static struct segment *open_bytes(struct reader *r, const struct rows_segment *seg) {
    struct sl_error err = {0};
    struct segment *segment = NULL;
    struct sl_rc rc;
    if (seg->whole.len > 0) {
        rc = segment_open_whole(&r->storage->key, &seg->ref, seg->whole, &segment, &err);
    } else {
        uint32_t footer_len = seg->ref.bytes - seg->ref.footer_offset;
        if (seg->ref.footer_offset > seg->ref.bytes || seg->ref.bytes < SEGMENT_HEADER_LEN) {
            fail_damaged(r->rel, "a segment's sizes contradict each other");
        }
        uint8_t *bytes = room(r, (Size)SEGMENT_HEADER_LEN + footer_len);
        pages_read(r->rel, seg->first_block, 0, SEGMENT_HEADER_LEN, bytes);
        pages_read_end(r->rel, seg->first_block, seg->ref.footer_offset, footer_len,
                       bytes + SEGMENT_HEADER_LEN);
        rc = segment_open(&r->storage->key, &seg->ref, slice_of(bytes, SEGMENT_HEADER_LEN),
                          slice_of(bytes + SEGMENT_HEADER_LEN, footer_len), &segment, &err);
    }
    fail_check(r->rel, rc, &err);
    return segment;
}

/* All delete vectors of the segment in one. */
static void open_deletes(struct reader *r, const struct rows_segment *seg, struct deletes *all) {
    fail_check(r->rel, deletes_init(all, seg->ref.rows), NULL);
    for (int i = 0; i < seg->delete_count; i++) {
        struct sl_error err = {0};
        struct deletes one;
        fail_check(r->rel,
                   deletes_open(&r->storage->key, &seg->ref, seg->deletes[i].sealed, &one, &err),
                   &err);
        for (uint32_t w = 0; w < (one.rows + 63) / 64; w++) {
            all->words[w] |= one.words[w];
        }
        all->count += one.count;
        deletes_fini(&one);
    }
}

static struct open_segment *open_segment(struct reader *r, int index) {
    struct open_segment *o = &r->open[0];
    for (int i = 0; i < r->open_max; i++) {
        if (r->open[i].index == index) {
            r->open[i].used = ++r->clock;
            return &r->open[i];
        }
        if (r->open[i].used < o->used) {
            o = &r->open[i];
        }
    }
    if (o->columns == NULL) {
        o->columns = MemoryContextAllocZero(r->context, sizeof *o->columns * ((Size)r->natts + 1));
    }
    close_segment(o);
    const struct rows_segment *seg = &r->list.segments[index];
    o->segment = open_bytes(r, seg);
    open_deletes(r, seg, &o->deletes);
    for (int c = 0; c < r->natts; c++) {
        o->columns[c].decoded = false;
    }
    o->index = index;
    o->used = ++r->clock;
    return o;
}

/* ---- columns ---- */

static void absent_column(struct open_column *c, TupleDesc desc, int attribute) {
    c->absent = true;
    c->value = getmissingattr(desc, attribute + 1, &c->is_null);
}

/* Values at aligned addresses, each `step` bytes from the one before. */
static void allot(struct reader *r, struct open_column *c, Size step) {
    Size need = step * ((Size)c->vector.rows + 1);
    c->step = step;
    if (c->fixed_cap < need) {
        c->fixed = c->fixed == NULL ? MemoryContextAllocHuge(r->context, need)
                                    : repalloc_huge(c->fixed, need);
        c->fixed_cap = need;
    }
}

/* Values of a fixed length. */
static void align_fixed(struct reader *r, struct open_column *c, const FormData_pg_attribute *att) {
    allot(r, c, MAXALIGN(att->attlen));
    for (uint32_t i = 0; i < c->vector.rows; i++) {
        if (vector_is_null(&c->vector, i)) {
            continue;
        }
        struct slice bytes = vector_bytes(&c->vector, i);
        if (bytes.len != (size_t)att->attlen) {
            fail_damaged(r->rel, "a value has a wrong length");
        }
        memcpy(c->fixed + i * c->step, bytes.ptr, bytes.len);
    }
}

/* Lists of at most 100 OIDs or numbers, which PostgreSQL reads as they lie, behind four bytes of
 * length, for it never toasts them. */
static void align_list(struct reader *r, struct open_column *c) {
    size_t longest = 0;
    for (uint32_t i = 0; i < c->vector.rows; i++) {
        longest = Max(longest, vector_is_null(&c->vector, i) ? 0 : vector_bytes(&c->vector, i).len);
    }
    allot(r, c, MAXALIGN(VARHDRSZ + longest));
    for (uint32_t i = 0; i < c->vector.rows; i++) {
        if (!vector_is_null(&c->vector, i)) {
            struct slice bytes = vector_bytes(&c->vector, i);
            SET_VARSIZE(c->fixed + i * c->step, VARHDRSZ + bytes.len);
            memcpy(VARDATA(c->fixed + i * c->step), bytes.ptr, bytes.len);
        }
    }
}

static void decode(struct reader *r, struct open_segment *o, TupleDesc desc, int attribute) {
    const FormData_pg_attribute *att = TupleDescAttr(desc, attribute);
    struct open_column *c = &o->columns[attribute];
    c->decoded = true;
    c->absent = false;
    c->step = 0;
    if ((uint32_t)attribute >= segment_column_count(o->segment)) {
        absent_column(c, desc, attribute);
        return;
    }
    const struct segment_column *column = segment_column(o->segment, (uint32_t)attribute);
    const struct rows_segment *seg = &r->list.segments[o->index];
    struct slice chunk;
    if (seg->whole.len > 0) {
        chunk = segment_chunk_of(o->segment, (uint32_t)attribute, seg->whole);
    } else {
        uint8_t *bytes = room(r, column->length);
        pages_read(r->rel, seg->first_block, column->offset, column->length, bytes);
        chunk = slice_of(bytes, column->length);
    }
    struct kinds_form form = kinds_form_of(att);
    if (!att->attisdropped && !kinds_fit(&form, column->kind, column->decimal)) {
        fail_damaged(r->rel, "a column is kept as another type");
    }
    struct sl_error err = {0};
    fail_check(r->rel,
               segment_decode(r->work, o->segment, (uint32_t)attribute, chunk, &c->memory,
                              &c->vector, &err),
               &err);
    if (form.fixed) {
        align_fixed(r, c, att);
    } else if (att->atttypid == OIDVECTOROID || att->atttypid == INT2VECTOROID) {
        align_list(r, c);
    }
}

static bool is_wanted(const struct reader *r, TupleDesc desc, int attribute) {
    return attribute < r->natts && r->wanted[attribute] &&
           !TupleDescAttr(desc, attribute)->attisdropped;
}

/* The slot's descriptor says what the columns are: in ALTER TABLE's rewrite that is the table as it
 * was, the relation's is already the new one. */
static void fill(struct reader *r, struct open_segment *o, uint32_t row, TupleTableSlot *slot) {
    TupleDesc desc = slot->tts_tupleDescriptor;
    ExecClearTuple(slot);
    for (int i = 0; i < desc->natts; i++) {
        struct open_column *c = &o->columns[i];
        slot->tts_isnull[i] = true;
        slot->tts_values[i] = (Datum)0;
        if (!is_wanted(r, desc, i)) {
            continue;
        }
        if (!c->decoded) {
            decode(r, o, desc, i);
        }
        if (c->absent) {
            slot->tts_isnull[i] = c->is_null;
            slot->tts_values[i] = c->value;
        } else if (!vector_is_null(&c->vector, row)) {
            slot->tts_isnull[i] = false;
            slot->tts_values[i] = c->step > 0 ? PointerGetDatum(c->fixed + row * c->step)
                                              : kinds_load(&c->vector, row, c->number);
        }
    }
    ExecStoreVirtualTuple(slot);
    slot->tts_tableOid = RelationGetRelid(r->rel);
    reader_tid(r->list.segments[o->index].first_row + row, &slot->tts_tid);
}

/* ---- scanning and fetching ---- */

static int take_index(struct reader *r) {
    return r->shared != NULL ? (int)pg_atomic_fetch_add_u32(r->shared, 1) : r->at++;
}

static bool next_segment(struct reader *r) {
    int index;
    while ((index = take_index(r)) < r->list.count) {
        const struct rows_segment *seg = &r->list.segments[index];
        if (reader_deleted(seg) == seg->ref.rows || (r->chosen != NULL && !r->chosen[index])) {
            continue;
        }
        r->current = open_segment(r, index);
        if (r->may == NULL || r->may(r->current->segment, r->may_arg)) {
            r->row = 0;
            return true;
        }
        r->skipped++;
    }
    r->current = NULL;
    return false;
}

bool reader_next(struct reader *r, TupleTableSlot *slot) {
    list_segments(r);
    while (r->current != NULL || next_segment(r)) {
        r->row = deletes_next_live(&r->current->deletes, r->row);
        if (r->row < r->current->deletes.rows) {
            fill(r, r->current, r->row++, slot);
            return true;
        }
        r->current = NULL;
    }
    ExecClearTuple(slot);
    return false;
}

static int find_index(struct reader *r, uint64 number) {
    list_segments(r);
    int low = 0, high = r->list.count - 1;
    while (low <= high) {
        int middle = (low + high) / 2;
        const struct rows_segment *seg = &r->list.segments[middle];
        if (number < seg->first_row) {
            high = middle - 1;
        } else if (number >= seg->first_row + seg->ref.rows) {
            low = middle + 1;
        } else {
            return middle;
        }
    }
    return -1;
}

const struct rows_segment *reader_find(struct reader *r, uint64 number) {
    int index = find_index(r, number);
    return index < 0 ? NULL : &r->list.segments[index];
}

const struct deletes *reader_deletes(struct reader *r, int index) {
    return &open_segment(r, index)->deletes;
}

const struct segment *reader_footer(struct reader *r, int index) {
    list_segments(r);
    return open_segment(r, index)->segment;
}

bool reader_fetch(struct reader *r, uint64 number, TupleTableSlot *slot, bool *ret_deleted) {
    int index = find_index(r, number);
    if (index < 0) {
        return false;
    }
    r->open_max = OPEN_SEGMENTS;
    struct open_segment *o = open_segment(r, index);
    uint32_t row = (uint32_t)(number - r->list.segments[index].first_row);
    *ret_deleted = deletes_test(&o->deletes, row);
    fill(r, o, row, slot);
    return true;
}

/* ---- checking ---- */

uint32_t reader_check_open(struct reader *r, int index) {
    struct open_segment *o = open_segment(r, index);
    uint32_t columns = segment_column_count(o->segment);
    if (columns > (uint32_t)r->natts) {
        fail_damaged(r->rel, "a segment has more columns than the table");
    }
    return columns;
}

void reader_check_column(struct reader *r, int index, int column) {
    decode(r, open_segment(r, index), RelationGetDescr(r->rel), column);
}
