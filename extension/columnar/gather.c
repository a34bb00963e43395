/* Gathered changes; see gather.h. Each entry has a memory context below the transaction's. */
#include "extension/columnar/gather.h"

#include "access/table.h"
#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "extension/columnar/fail.h"
#include "extension/columnar/pending.h"
#include "extension/columnar/writer.h"
#include "lib/base/limits.h"
#include "lib/columnar/deletes.h"

struct marks {
    struct marks *next;
    struct segment_ref ref;
    struct deletes deletes;
};

struct gather {
    struct gather *next;
    MemoryContextCallback end;
    MemoryContext context;
    Oid relid;
    Oid node;
    SubTransactionId sub;
    CommandId cid;
    struct writer *writer;
    struct marks *marks;
    struct marks *last; /* the one used last */
};

static struct gather *gathers;
static bool committing;

static void end_marks(void *arg) {
    for (struct marks *m = ((struct gather *)arg)->marks; m != NULL; m = m->next) {
        deletes_fini(&m->deletes);
    }
}

static struct gather *gather_of(Relation rel, CommandId cid) {
    SubTransactionId sub = GetCurrentSubTransactionId();
    for (struct gather *g = gathers; g != NULL; g = g->next) {
        if (g->cid == cid && g->sub == sub && g->node == rel->rd_node.relNode &&
            g->relid == RelationGetRelid(rel)) {
            return g;
        }
    }
    MemoryContext context =
        AllocSetContextCreate(TopTransactionContext, "sealed rows", ALLOCSET_DEFAULT_SIZES);
    struct gather *g = MemoryContextAllocZero(context, sizeof *g);
    g->context = context;
    g->relid = RelationGetRelid(rel);
    g->node = rel->rd_node.relNode;
    g->sub = sub;
    g->cid = cid;
    g->end.func = end_marks;
    g->end.arg = g;
    MemoryContextRegisterResetCallback(context, &g->end);
    g->next = gathers;
    gathers = g;
    return g;
}

void gather_insert(Relation rel, TupleTableSlot *slot, CommandId cid) {
    struct gather *g = gather_of(rel, cid);
    if (g->writer == NULL) {
        MemoryContext before = MemoryContextSwitchTo(g->context);
        g->writer = writer_new(rel, cid);
        MemoryContextSwitchTo(before);
    }
    writer_add(g->writer, rel, slot);
}

static struct marks *marks_of(struct gather *g, Relation rel, const struct rows_segment *seg) {
    if (g->last != NULL &&
        memcmp(g->last->ref.segment_id, seg->ref.segment_id, SEGMENT_ID_LEN) == 0) {
        return g->last;
    }
    for (struct marks *m = g->marks; m != NULL; m = m->next) {
        if (memcmp(m->ref.segment_id, seg->ref.segment_id, SEGMENT_ID_LEN) == 0) {
            return g->last = m;
        }
    }
    struct marks *m = MemoryContextAllocZero(g->context, sizeof *m);
    m->ref = seg->ref;
    fail_check(rel, deletes_init(&m->deletes, seg->ref.rows), NULL);
    m->next = g->marks;
    g->marks = m;
    return g->last = m;
}

bool gather_delete(Relation rel, const struct rows_segment *seg, uint32_t row, CommandId cid) {
    return deletes_set(&marks_of(gather_of(rel, cid), rel, seg)->deletes, row);
}

/* ---- writing ---- */

static void write_marks(struct gather *g, Relation rel) {
    SL_CLEANUP(buf_fini) struct buf sealed = BUF_INIT(LIMIT_DELETES_BYTES);
    struct rows_storage *s = rows_storage_open(rel);
    for (struct marks *m = g->marks; m != NULL; m = m->next) {
        struct sl_error err = {0};
        struct rows_deletes d = {.count = m->deletes.count};
        buf_reset(&sealed);
        struct sl_rc rc = deletes_seal(&s->key, &m->ref, &m->deletes, &sealed, &err);
        if (sl_failed(rc)) {
            buf_fini(&sealed); /* an error doesn't come back here */
            fail_check(rel, rc, &err);
        }
        d.sealed = slice_of(memcpy(palloc(sealed.len), sealed.ptr, sealed.len), sealed.len);
        rows_deletes_add(s, &m->ref, &d, g->cid);
        pending_added(s->id, d.mac, -(int64)d.count);
    }
    pending_changed(s->id, g->cid);
    rows_storage_close(s);
}

static void unlink_gather(struct gather *g) {
    for (struct gather **at = &gathers; *at != NULL; at = &(*at)->next) {
        if (*at == g) {
            *at = g->next;
            break;
        }
    }
    MemoryContextDelete(g->context);
}

static void write_gather(struct gather *g) {
    Relation rel = table_open(g->relid, NoLock);
    MemoryContext before = MemoryContextSwitchTo(g->context);
    if (g->writer != NULL) {
        writer_flush(g->writer, rel);
    }
    if (g->marks != NULL) {
        write_marks(g, rel);
    }
    MemoryContextSwitchTo(before);
    table_close(rel, NoLock);
    unlink_gather(g);
}

/* Older commands first, so that rows lie in the order in which they came. */
static void flush_where(bool (*want)(const struct gather *, const void *), const void *arg) {
    SubTransactionId sub = GetCurrentSubTransactionId();
    while (true) {
        struct gather *oldest = NULL;
        for (struct gather *g = gathers; g != NULL; g = g->next) {
            if (g->sub == sub && want(g, arg) && (oldest == NULL || g->cid <= oldest->cid)) {
                oldest = g;
            }
        }
        if (oldest == NULL) {
            return;
        }
        write_gather(oldest);
    }
}

static bool from_command(const struct gather *g, const void *arg) {
    return g->cid >= *(const CommandId *)arg;
}

static bool of_relation(const struct gather *g, const void *arg) {
    return g->relid == *(const Oid *)arg;
}

static bool any(const struct gather *g, const void *arg) {
    return true;
}

struct visible {
    Oid relid;
    CommandId before;
};
static bool visible_to(const struct gather *g, const void *arg) {
    const struct visible *v = arg;
    return g->relid == v->relid && g->cid < v->before;
}

void gather_flush_command(CommandId cid) {
    if (gathers != NULL) {
        flush_where(from_command, &cid);
    }
}

void gather_flush_relation(Relation rel) {
    Oid relid = RelationGetRelid(rel);
    if (gathers != NULL) {
        flush_where(of_relation, &relid);
    }
}

void gather_flush_for(Relation rel, Snapshot snapshot) {
    struct visible v = {RelationGetRelid(rel),
                        IsMVCCSnapshot(snapshot) ? snapshot->curcid : PG_UINT32_MAX};
    if (gathers != NULL) {
        flush_where(visible_to, &v);
    }
}

void gather_flush_all(void) {
    if (gathers != NULL) {
        flush_where(any, NULL);
    }
}

/* ---- throwing away ---- */

void gather_end_sub(SubTransactionId sub) {
    for (struct gather *g = gathers, *next; g != NULL; g = next) {
        next = g->next;
        if (g->sub == sub) {
            unlink_gather(g);
        }
    }
}

void gather_forget_relation(Relation rel) {
    for (struct gather *g = gathers, *next; g != NULL; g = next) {
        next = g->next;
        if (g->relid == RelationGetRelid(rel)) {
            unlink_gather(g);
        }
    }
}

void gather_forget(void) {
    gathers = NULL; /* the memory goes with the transaction's */
    committing = false;
}

void gather_committing(void) {
    committing = true;
}

bool gather_is_committing(void) {
    return committing;
}
