/* The workers of a load: each step converts runs in a lane, or seals a segment.
 *
 * Order is kept by the ring: the fetching thread fills runs in order, lanes take them in order, the
 * taker gets what they made in order. A lane whose run isn't the one the taker waits for never
 * takes the last free batch. Without a table every worker has a lane. With one, a lane's rows go
 * into one batch until that makes a segment; then it is queued, and whoever is free seals it, while
 * the lane goes on with another. Where rows keep their order there is one lane, and a second one
 * for the later half of the last runs; its rows wait until those of the first are on their way.
 * There is one more of these batches than workers (of more than one), which keeps all of them busy.
 */
#include "extension/copy/pipeline_in.h"

#include <stdlib.h>

#include "lib/columnar/sort.h"

static void broken(struct pipeline *p, const struct sl_error *err) {
    p->broken = true;
    if (p->failure.kind == PIPELINE_FINE) { /* the first one stays: the taker may be reading it */
        p->failure = (struct pipeline_failure){.kind = PIPELINE_INTERNAL, .err = *err};
    }
    pthread_cond_broadcast(&p->work);
    pipeline_wake_taker(p);
}

/* ---- Converting ---- */

static bool batch_take(struct pipeline *p, struct lane *l) {
    while (!pipeline_aborted(p) && p->free_count < (l->seq == p->head ? 1u : 2u)) {
        pthread_cond_wait(&p->work, &p->mu);
    }
    if (pipeline_aborted(p)) {
        return false;
    }
    l->batch = p->free_batches;
    p->free_batches = l->batch->next;
    p->free_count--;
    l->batch->next = NULL;
    copy_batch_reset(&l->batch->batch);
    copy_bad_rows_reset(&l->batch->bad);
    return true;
}

/* Hands what the lane's batch holds to the taker. */
static void batch_out(struct pipeline *p, struct lane *l, struct run *r) {
    struct pipeline_batch *b = l->batch;
    if (b->batch.rows == 0 && b->bad.count == 0) {
        return;
    }
    memcpy(b->object, r->object, sizeof b->object);
    if (r->last != NULL) {
        r->last->next = b;
    } else {
        r->first = b;
    }
    r->last = b;
    l->batch = NULL;
    pipeline_wake_taker(p);
}

static void gathered_out(struct pipeline *p, struct lane *l) {
    struct gathered *g = l->gathered;
    l->gathered = NULL;
    g->next = NULL;
    if (p->full_last != NULL) {
        p->full_last->next = g;
    } else {
        p->full = g;
    }
    p->full_last = g;
    pthread_cond_broadcast(&p->work);
}

/* The first lane of a split has nothing left: its rows go out, and then the other's. */
static void first_part_out(struct pipeline *p) {
    struct lane *first = &p->lanes[0], *second = &p->lanes[1];
    if (first->gathered != NULL) {
        gathered_out(p, first);
    }
    if (second->waits) {
        second->waits = false;
        gathered_out(p, second);
    }
}

static bool first_part_done(const struct pipeline *p) {
    return p->next == p->split && !p->lanes[0].in_run;
}

static void gathered_full(struct pipeline *p, struct lane *l) {
    if (p->split > 0 && l == &p->lanes[1] && !first_part_done(p)) {
        l->waits = true;
    } else {
        gathered_out(p, l);
    }
}

/* One filling, mu held before and after. */
static void lane_fill(struct pipeline *p, struct lane *l) {
    struct run *r = &p->ring[l->seq % PIPELINE_RING];
    struct copy_batch *rows = l->gathered != NULL ? &l->gathered->batch : &l->batch->batch;
    bool more = false;
    struct sl_error err = {0};
    pthread_mutex_unlock(&p->mu);
    struct sl_rc rc = copy_converter_fill(l->converter, rows, &l->batch->bad, &more, &err);
    pthread_mutex_lock(&p->mu);
    if (sl_failed(rc)) {
        err.code = rc.code;
        broken(p, &err);
        return;
    }
    batch_out(p, l, r);
    l->in_run = more;
    if (!more) {
        r->done = true;
        pipeline_advance(p);
    }
    if (l->gathered != NULL && copy_batch_is_full(rows)) {
        gathered_full(p, l);
    }
    if (p->split > 0 && l == &p->lanes[0] && first_part_done(p)) {
        first_part_out(p);
    }
}

/* The cursor over the runs that the lane takes, and where it ends. */
static uint64_t *lane_cursor(struct pipeline *p, const struct lane *l, uint64_t *ret_end) {
    bool second = p->split > 0 && l == &p->lanes[1];
    *ret_end = p->split > 0 && !second ? p->split : p->tail;
    return second ? &p->late : &p->next;
}

/* Has the lane something to do, and what it takes? */
static bool lane_ready(struct pipeline *p, const struct lane *l) {
    uint64_t end;
    bool more = *lane_cursor(p, l, &end) < end;
    return !l->busy && !l->waits && (l->in_run || more) &&
           (p->conf.table == NULL || l->gathered != NULL || p->free_gathered != NULL);
}

static void lane_step(struct pipeline *p, struct lane *l) {
    l->busy = true;
    if (!l->in_run) {
        uint64_t end;
        l->seq = (*lane_cursor(p, l, &end))++;
        l->in_run = true;
        struct run *r = &p->ring[l->seq % PIPELINE_RING];
        copy_converter_start(l->converter, slice_of(r->ptr, r->len), r->line);
    }
    if (p->conf.table != NULL && l->gathered == NULL) {
        l->gathered = p->free_gathered;
        p->free_gathered = l->gathered->next;
        copy_batch_reset(&l->gathered->batch);
    }
    if (l->batch != NULL || batch_take(p, l)) {
        lane_fill(p, l);
    }
    l->busy = false;
    pthread_cond_broadcast(&p->work); /* this worker may turn to another lane */
}

/* Nothing follows: a second lane takes the later half of what one lane has left. */
static void split(struct pipeline *p) {
    bool one = p->conf.table != NULL && p->lane_count == 1 && p->lanes[1].converter != NULL;
    if (one && p->split == 0 && p->fetched && p->failure.kind == PIPELINE_FINE &&
        p->tail - p->next >= PIPELINE_SPLIT_RUNS) {
        p->split = p->next + (p->tail - p->next + 1) / 2;
        p->late = p->split;
        p->lane_count = 2;
        pthread_cond_broadcast(&p->work);
    }
}

static struct lane *lane_find(struct pipeline *p) {
    split(p);
    for (unsigned i = 0; i < p->lane_count; i++) {
        if (lane_ready(p, &p->lanes[i])) {
            return &p->lanes[i];
        }
    }
    return NULL;
}

/* ---- Sealing ---- */

static struct out *out_free(struct pipeline *p) {
    for (unsigned i = 0; i < PIPELINE_OUTS; i++) {
        if (p->outs[i].state == OUT_FREE) {
            return &p->outs[i];
        }
    }
    return NULL;
}

enum vector_kind pipeline_kind(enum copy_type type) {
    static const enum vector_kind kinds[] = {
        [COPY_INT2] = VECTOR_INT16,      [COPY_INT4] = VECTOR_INT32,
        [COPY_INT8] = VECTOR_INT64,      [COPY_FLOAT4] = VECTOR_FLOAT32,
        [COPY_FLOAT8] = VECTOR_FLOAT64,  [COPY_BOOL] = VECTOR_BOOL,
        [COPY_DATE] = VECTOR_INT32,      [COPY_TIME] = VECTOR_INT64,
        [COPY_TIMESTAMP] = VECTOR_INT64, [COPY_TIMESTAMPTZ] = VECTOR_INT64,
        [COPY_NUMERIC] = VECTOR_INT64,   [COPY_NUMERIC_BIG] = VECTOR_INT128,
        [COPY_CHAR] = VECTOR_BYTES,      [COPY_VARCHAR] = VECTOR_BYTES,
    };
    return kinds[type];
}

static struct vector vector_of(const struct pipeline_column *c, const struct copy_batch *b) {
    struct vector v = c->form;
    if (c->field >= 0) {
        v.nulls = b->columns[c->field].presence;
        v.v.raw = b->columns[c->field].v.raw;
        v.heap = buf_slice(&b->text);
    }
    v.rows = (uint32_t)b->rows;
    return v;
}

/* What a worker seals with, made when it first does. */
struct sealer {
    struct segment_work *work;
    struct sort_work sort;
    struct vector *vectors;       /* a column each, as its rows came, */
    struct vector *sorted;        /* and in the order of the SORTKEY; */
    struct vector_memory *memory; /* values that were moved lie here */
};

static void sealer_fini(struct sealer *s, const struct pipeline_table *t) {
    for (uint32_t i = 0; s->memory != NULL && i < t->column_count; i++) {
        vector_memory_fini(&s->memory[i]);
    }
    free(s->memory);
    free(s->sorted);
    free(s->vectors);
    sort_work_fini(&s->sort);
    segment_work_free(s->work);
}

static struct sl_rc sealer_init(struct sealer *s, const struct pipeline_table *t,
                                struct sl_error *err) {
    if (s->work != NULL) {
        return SL_OK;
    }
    s->vectors = calloc(t->column_count, sizeof *s->vectors);
    s->sorted = calloc(t->column_count, sizeof *s->sorted);
    s->memory = calloc(t->column_count, sizeof *s->memory);
    ENSURE(s->vectors != NULL && s->sorted != NULL && s->memory != NULL, err, SL_E_NOMEM,
           "out of memory");
    return segment_work_new(&s->work);
}

/* s->sorted from s->vectors. */
static struct sl_rc sort(struct sealer *s, const struct pipeline_table *t, uint32_t rows) {
    const uint32_t *order = NULL; /* as the rows came */
    if (t->key_count > 0) {
        TRY(sort_rows(&s->sort, s->vectors, t->keys, t->key_count, rows, &order));
    }
    for (uint32_t i = 0; i < t->column_count; i++) {
        bool same = t->columns[i].field < 0; /* in all rows */
        TRY(sort_take(&s->vectors[i], same ? NULL : order, 0, rows, &s->memory[i], &s->sorted[i]));
    }
    return SL_OK;
}

static struct sl_rc seal(const struct pipeline_table *t, struct sealer *s,
                         const struct copy_batch *b, struct pipeline_segment *ret,
                         struct sl_error *err) {
    TRY(sealer_init(s, t, err));
    for (uint32_t i = 0; i < t->column_count; i++) {
        s->vectors[i] = vector_of(&t->columns[i], b);
    }
    struct sl_rc rc = sort(s, t, (uint32_t)b->rows);
    ENSURE(sl_is_ok(rc), err, rc.code, "out of memory for the order of rows");
    buf_reset(&ret->bytes);
    ret->ref = (struct segment_ref){0};
    memcpy(ret->ref.storage_id, t->storage_id, STORAGE_ID_LEN);
    crypto_random(ret->ref.segment_id, SEGMENT_ID_LEN);
    return segment_seal(s->work, t->key, s->sorted, t->column_count, (uint32_t)b->rows, &ret->bytes,
                        &ret->ref, err);
}

/* The first of the full batches, mu held before and after. */
static void seal_step(struct pipeline *p, struct sealer *s, struct out *o) {
    struct gathered *g = p->full;
    p->full = g->next;
    p->full_last = p->full == NULL ? NULL : p->full_last;
    o->state = OUT_SEALING;
    o->seq = p->sealing++;
    pthread_mutex_unlock(&p->mu);
    struct sl_error err = {0};
    struct sl_rc rc = seal(p->conf.table, s, &g->batch, &o->segment, &err);
    pthread_mutex_lock(&p->mu);
    g->next = p->free_gathered;
    p->free_gathered = g;
    pthread_cond_broadcast(&p->work);
    if (sl_failed(rc)) {
        err.code = rc.code;
        broken(p, &err);
        return;
    }
    o->state = OUT_READY;
    pipeline_wake_taker(p);
}

/* ---- A worker ---- */

/* All runs are converted. */
static bool converted(const struct pipeline *p) {
    bool all = p->fetched &&
               (p->split > 0 ? p->next == p->split && p->late == p->tail : p->next == p->tail);
    for (unsigned i = 0; i < p->lane_count; i++) {
        all = all && !p->lanes[i].busy && !p->lanes[i].in_run;
    }
    return all;
}

/* What the lanes still hold becomes segments, unless the load fails anyway. */
static void flush(struct pipeline *p) {
    for (unsigned i = 0; i < p->lane_count; i++) {
        struct gathered *g = p->lanes[i].gathered;
        if (g != NULL && g->batch.rows > 0 && p->failure.kind == PIPELINE_FINE) {
            gathered_out(p, &p->lanes[i]);
        }
    }
    p->flushed = true;
    pthread_cond_broadcast(&p->work);
    pipeline_wake_taker(p);
}

/* Gives memory back that no lane will fill again, while the taker still has to do. mu is held. */
static void free_gathered(struct pipeline *p) {
    for (struct gathered *g; (g = p->free_gathered) != NULL;) {
        p->free_gathered = g->next;
        pthread_mutex_unlock(&p->mu);
        copy_batch_fini(&g->batch);
        pthread_mutex_lock(&p->mu);
    }
}

void workers_main(struct pipeline *p) {
    struct sealer s = {0};
    pthread_mutex_lock(&p->mu);
    while (!pipeline_aborted(p) && !p->broken) {
        struct out *o = p->full != NULL ? out_free(p) : NULL;
        struct lane *l = o == NULL ? lane_find(p) : NULL;
        if (o != NULL) {
            seal_step(p, &s, o);
        } else if (l != NULL) {
            lane_step(p, l);
        } else if (!p->flushed && converted(p)) {
            flush(p);
        } else if (p->flushed && p->full == NULL) {
            free_gathered(p);
            break;
        } else {
            pthread_cond_wait(&p->work, &p->mu);
        }
    }
    pthread_mutex_unlock(&p->mu);
    sealer_fini(&s, p->conf.table);
}

/* ---- Their state ---- */

static struct sl_rc gathered_make(struct pipeline *p, struct sl_error *err) {
    struct copy_convert_conf conf = p->conf.convert;
    conf.batch_rows = SEGMENT_ROWS;
    conf.batch_bytes = p->conf.table->segment_bytes;
    /* a worker alone can't fill another one while it seals */
    unsigned count = p->conf.workers > 1 ? p->conf.workers + 1 : 1;
    for (unsigned i = 0; i < count; i++) {
        struct sl_rc rc = copy_batch_init(&p->gathered[i].batch, &conf);
        ENSURE(sl_is_ok(rc), err, rc.code, "out of memory");
        p->gathered[i].next = p->free_gathered;
        p->free_gathered = &p->gathered[i];
    }
    for (unsigned i = 0; i < PIPELINE_OUTS; i++) {
        p->outs[i].segment.bytes = BUF_INIT(LIMIT_SEGMENT_BYTES);
    }
    return SL_OK;
}

static struct sl_rc batches_make(struct pipeline *p, struct sl_error *err) {
    unsigned n = 2 * p->lane_count + 4;
    p->batches = calloc(n, sizeof *p->batches);
    ENSURE(p->batches != NULL, err, SL_E_NOMEM, "out of memory");
    for (unsigned i = 0; i < n; i++) {
        struct sl_rc rc =
            p->conf.table != NULL ? SL_OK : copy_batch_init(&p->batches[i].batch, &p->conf.convert);
        ENSURE(sl_is_ok(rc), err, rc.code, "out of memory");
        p->batch_count++;
        pipeline_batch_free(p, &p->batches[i]);
    }
    return SL_OK;
}

struct sl_rc workers_init(struct pipeline *p, struct sl_error *err) {
    const struct pipeline_table *t = p->conf.table;
    p->lane_count = t == NULL ? p->conf.workers : t->key_count > 0 ? 1 : (p->conf.workers + 1) / 2;
    unsigned converters = p->lane_count == 1 && p->conf.workers > 1 ? 2 : p->lane_count;
    for (unsigned i = 0; i < converters; i++) {
        struct sl_rc rc = copy_converter_new(&p->conf.convert, &p->lanes[i].converter);
        ENSURE(sl_is_ok(rc), err, rc.code, "out of memory");
    }
    TRY(batches_make(p, err));
    return t != NULL ? gathered_make(p, err) : SL_OK;
}

void workers_fini(struct pipeline *p) {
    for (unsigned i = 0; i < p->batch_count; i++) {
        copy_batch_fini(&p->batches[i].batch);
        copy_bad_rows_fini(&p->batches[i].bad);
    }
    free(p->batches);
    for (unsigned i = 0; i < PIPELINE_WORKERS; i++) {
        copy_converter_free(p->lanes[i].converter);
    }
    for (unsigned i = 0; i < PIPELINE_GATHERED; i++) {
        copy_batch_fini(&p->gathered[i].batch);
    }
    for (unsigned i = 0; i < PIPELINE_OUTS; i++) {
        buf_fini(&p->outs[i].segment.bytes);
    }
}
