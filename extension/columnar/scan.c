/* The plan node for sealed tables; see scan.h. The planner's plain scan would ask for all columns
 * of a table (its physical target list); a custom scan is given exactly the columns in use. */
#include "extension/columnar/scan.h"

#include "postgres.h"

#include "access/parallel.h"
#include "access/table.h"
#include "commands/explain.h"
#include "executor/executor.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "pgstat.h"
#include "storage/predicate.h"
#include "utils/rel.h"

#include "extension/columnar/columnar.h"
#include "extension/columnar/gather.h"
#include "extension/columnar/pending.h"
#include "extension/columnar/reader.h"
#include "extension/columnar/skip.h"

static const char node_name[] = "SealedScan";

enum { ROWS_OF_A_PAGE = 100 };

static set_rel_pathlist_hook_type next_paths;

/* ---- execution ---- */

/* Of all processes that take part in one scan. */
struct shared {
    pg_atomic_uint32 next; /* segment that nobody has taken */
    bool alone;            /* the leader reads all */
};

struct scan_state {
    CustomScanState css;
    Bitmapset *attnums;
    struct skip *skip;
    struct reader *reader;
    struct shared *shared; /* or NULL */
};

/* The columns that target list and filter name; NULL for all of them. */
static Bitmapset *wanted_columns(const CustomScan *plan, Relation rel) {
    Bitmapset *found = NULL, *attnums = bms_make_singleton(0);
    pull_varattnos((Node *)plan->scan.plan.targetlist, plan->scan.scanrelid, &found);
    pull_varattnos((Node *)plan->scan.plan.qual, plan->scan.scanrelid, &found);
    if (bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, found)) {
        return NULL; /* the row as a whole */
    }
    for (int i = 1; i <= RelationGetNumberOfAttributes(rel); i++) {
        if (bms_is_member(i - FirstLowInvalidHeapAttributeNumber, found)) {
            attnums = bms_add_member(attnums, i);
        }
    }
    return attnums;
}

static void begin(CustomScanState *node, EState *estate, int eflags) {
    struct scan_state *s = (struct scan_state *)node;
    if (node->ss.ps.plan->parallel_aware && !IsParallelWorker() &&
        (eflags & EXEC_FLAG_EXPLAIN_ONLY) == 0) {
        /* nothing can be written once workers run */
        gather_flush_for(node->ss.ss_currentRelation, estate->es_snapshot);
    }
    s->attnums = wanted_columns((CustomScan *)node->ss.ps.plan, node->ss.ss_currentRelation);
    s->skip = skip_new(node->ss.ps.plan->qual, ((Scan *)node->ss.ps.plan)->scanrelid,
                       node->ss.ss_currentRelation, &node->ss.ps, node->ss.ps.ps_ExprContext);
}

static TupleTableSlot *next_row(ScanState *node) {
    struct scan_state *s = (struct scan_state *)node;
    bool alone = s->shared == NULL || s->shared->alone;
    if (alone && s->shared != NULL && IsParallelWorker()) {
        return NULL;
    }
    if (s->reader == NULL) {
        Relation rel = node->ss_currentRelation;
        MemoryContext before = MemoryContextSwitchTo(node->ps.state->es_query_cxt);
        PredicateLockRelation(rel, node->ps.state->es_snapshot);
        s->reader = reader_open(rel, node->ps.state->es_snapshot, s->attnums);
        if (s->skip != NULL) {
            reader_set_filter(s->reader, skip_may_hold, s->skip);
        }
        if (!alone) {
            reader_share(s->reader, &s->shared->next);
        }
        pgstat_count_heap_scan(rel);
        MemoryContextSwitchTo(before);
    }
    CHECK_FOR_INTERRUPTS();
    return reader_next(s->reader, node->ss_ScanTupleSlot) ? node->ss_ScanTupleSlot : NULL;
}

static bool recheck(ScanState *node, TupleTableSlot *slot) {
    return true;
}

static TupleTableSlot *execute(CustomScanState *node) {
    return ExecScan(&node->ss, next_row, recheck);
}

static void end(CustomScanState *node) {
    struct scan_state *s = (struct scan_state *)node;
    if (s->reader != NULL) {
        ExecClearTuple(node->ss.ss_ScanTupleSlot); /* it points into the reader's memory */
        reader_close(s->reader);
        s->reader = NULL;
    }
}

static void rescan(CustomScanState *node) {
    struct scan_state *s = (struct scan_state *)node;
    if (s->reader != NULL) {
        reader_rewind(s->reader);
    }
    if (s->skip != NULL) {
        skip_rescan(s->skip);
    }
    ExecScanReScan(&node->ss);
}

static void explain(CustomScanState *node, List *ancestors, ExplainState *es) {
    const struct scan_state *s = (const struct scan_state *)node;
    if (es->verbose || es->analyze) {
        int columns = s->attnums == NULL
                          ? RelationGetNumberOfAttributes(node->ss.ss_currentRelation)
                          : bms_num_members(s->attnums) - 1;
        ExplainPropertyInteger("Columns Read", NULL, columns, es);
    }
    if (es->analyze && s->reader != NULL && s->skip != NULL) {
        ExplainPropertyInteger("Segments Skipped", NULL, reader_skipped(s->reader), es);
    }
}

/* ---- in several processes ---- */

static Size estimate_shared(CustomScanState *node, ParallelContext *context) {
    return sizeof(struct shared);
}

/* What the running transaction has removed only the leader knows, and a worker would take for
 * damage: then it reads alone. */
static void init_shared(CustomScanState *node, ParallelContext *context, void *room) {
    struct scan_state *s = (struct scan_state *)node;
    s->shared = room;
    pg_atomic_init_u32(&s->shared->next, 0);
    s->shared->alone = !pending_none();
}

static void reset_shared(CustomScanState *node, ParallelContext *context, void *room) {
    pg_atomic_write_u32(&((struct shared *)room)->next, 0);
}

static void init_worker(CustomScanState *node, shm_toc *toc, void *room) {
    ((struct scan_state *)node)->shared = room;
}

static const CustomExecMethods exec_methods = {.CustomName = node_name,
                                               .BeginCustomScan = begin,
                                               .ExecCustomScan = execute,
                                               .EndCustomScan = end,
                                               .ReScanCustomScan = rescan,
                                               .EstimateDSMCustomScan = estimate_shared,
                                               .InitializeDSMCustomScan = init_shared,
                                               .ReInitializeDSMCustomScan = reset_shared,
                                               .InitializeWorkerCustomScan = init_worker,
                                               .ExplainCustomScan = explain};

static Node *make_state(CustomScan *plan) {
    struct scan_state *s = (struct scan_state *)newNode(sizeof *s, T_CustomScanState);
    s->css.methods = &exec_methods;
    return (Node *)s;
}

static const CustomScanMethods scan_methods = {.CustomName = node_name,
                                               .CreateCustomScanState = make_state};

/* ---- planning ---- */

static Plan *make_plan(PlannerInfo *root, RelOptInfo *rel, CustomPath *path, List *tlist,
                       List *clauses, List *custom_plans) {
    CustomScan *scan = makeNode(CustomScan);
    scan->scan.plan.targetlist = tlist;
    scan->scan.plan.qual = extract_actual_clauses(clauses, false);
    scan->scan.scanrelid = rel->relid;
    scan->flags = path->flags;
    scan->methods = &scan_methods;
    return &scan->scan.plan;
}

static List *keep_private(PlannerInfo *root, List *custom_private, RelOptInfo *child) {
    return custom_private;
}

static const CustomPathMethods path_methods = {.CustomName = node_name,
                                               .PlanCustomPath = make_plan,
                                               .ReparameterizeCustomPathByChild = keep_private};

static const Path *plain_scan(const RelOptInfo *rel) {
    ListCell *lc;
    foreach (lc, rel->pathlist) {
        const Path *p = lfirst(lc);
        if (p->pathtype == T_SeqScan) {
            return p;
        }
    }
    return NULL;
}

static CustomPath *as_sealed(const Path *plain) {
    CustomPath *path = makeNode(CustomPath);
    path->path = *plain;
    path->path.type = T_CustomPath;
    path->path.pathtype = T_CustomScan;
    path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
    path->methods = &path_methods;
    return path;
}

/* Workers as for a heap table with so many rows: pages of ours say too little. */
static int workers_of(RelOptInfo *rel) {
    double pages = Max(rel->tuples / ROWS_OF_A_PAGE, rel->pages);
    return compute_parallel_worker(rel, pages, -1, max_parallel_workers_per_gather);
}

/* Every path over a sealed table becomes this scan; it costs what the plain scan would. By itself
 * it stays with the leader, who alone knows what the transaction has done. */
static void set_paths(PlannerInfo *root, RelOptInfo *rel, Index rti, RangeTblEntry *rte) {
    if (next_paths != NULL) {
        next_paths(root, rel, rti, rte);
    }
    const Path *plain = rte->rtekind == RTE_RELATION && !rte->inh ? plain_scan(rel) : NULL;
    if (plain == NULL || !columnar_is_sealed_oid(rte->relid)) {
        return;
    }
    CustomPath *path = as_sealed(plain);
    path->path.parallel_safe = false;
    rel->pathlist = NIL;
    rel->partial_pathlist = NIL;
    add_path(rel, &path->path);
    int workers = rel->consider_parallel && rel->lateral_relids == NULL ? workers_of(rel) : 0;
    if (workers > 0) {
        path = as_sealed(create_seqscan_path(root, rel, NULL, workers));
        path->path.parallel_aware = true;
        add_partial_path(rel, &path->path);
    }
}

void scan_init(void) {
    RegisterCustomScanMethods(&scan_methods);
    next_paths = set_rel_pathlist_hook;
    set_rel_pathlist_hook = set_paths;
}
