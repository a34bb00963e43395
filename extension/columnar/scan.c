/* The plan node for sealed tables; see scan.h. The planner's plain scan would ask for all columns
 * of a table (its physical target list); a custom scan is given exactly the columns in use. */
#include "extension/columnar/scan.h"

#include "postgres.h"

#include "access/table.h"
#include "commands/explain.h"
#include "executor/executor.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/planmain.h"
#include "optimizer/plancat.h"
#include "optimizer/restrictinfo.h"
#include "pgstat.h"
#include "storage/predicate.h"
#include "utils/rel.h"

#include "extension/columnar/columnar.h"
#include "extension/columnar/reader.h"
#include "extension/columnar/skip.h"

static const char node_name[] = "SealedScan";

static set_rel_pathlist_hook_type next_paths;
static get_relation_info_hook_type next_info;

/* ---- execution ---- */

struct scan_state {
    CustomScanState css;
    Bitmapset *attnums;
    struct skip *skip;
    struct reader *reader;
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
    s->attnums = wanted_columns((CustomScan *)node->ss.ps.plan, node->ss.ss_currentRelation);
    s->skip = skip_new(node->ss.ps.plan->qual, ((Scan *)node->ss.ps.plan)->scanrelid,
                       node->ss.ss_currentRelation, &node->ss.ps, node->ss.ps.ps_ExprContext);
}

static TupleTableSlot *next_row(ScanState *node) {
    struct scan_state *s = (struct scan_state *)node;
    if (s->reader == NULL) {
        Relation rel = node->ss_currentRelation;
        MemoryContext before = MemoryContextSwitchTo(node->ps.state->es_query_cxt);
        PredicateLockRelation(rel, node->ps.state->es_snapshot);
        s->reader = reader_open(rel, node->ps.state->es_snapshot, s->attnums);
        if (s->skip != NULL) {
            reader_set_filter(s->reader, skip_may_hold, s->skip);
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

static const CustomExecMethods exec_methods = {.CustomName = node_name,
                                               .BeginCustomScan = begin,
                                               .ExecCustomScan = execute,
                                               .EndCustomScan = end,
                                               .ReScanCustomScan = rescan,
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

/* Every path over a sealed table becomes this scan; it costs what the plain scan would. */
static void set_paths(PlannerInfo *root, RelOptInfo *rel, Index rti, RangeTblEntry *rte) {
    if (next_paths != NULL) {
        next_paths(root, rel, rti, rte);
    }
    const Path *plain = rte->rtekind == RTE_RELATION && !rte->inh ? plain_scan(rel) : NULL;
    if (plain == NULL || !columnar_is_sealed_oid(rte->relid)) {
        return;
    }
    CustomPath *path = makeNode(CustomPath);
    path->path = *plain;
    path->path.type = T_CustomPath;
    path->path.pathtype = T_CustomScan;
    path->path.parallel_safe = false;
    path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
    path->methods = &path_methods;
    rel->pathlist = NIL;
    rel->partial_pathlist = NIL;
    add_path(rel, &path->path);
}

static void set_info(PlannerInfo *root, Oid relid, bool inhparent, RelOptInfo *rel) {
    if (next_info != NULL) {
        next_info(root, relid, inhparent, rel);
    }
    if (columnar_is_sealed_oid(relid)) {
        rel->rel_parallel_workers = 0;
    }
}

void scan_init(void) {
    RegisterCustomScanMethods(&scan_methods);
    next_paths = set_rel_pathlist_hook;
    set_rel_pathlist_hook = set_paths;
    next_info = get_relation_info_hook;
    get_relation_info_hook = set_info;
}
