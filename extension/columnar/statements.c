/* Hooks around statements; see statements.h.
 *
 * UPDATE, DELETE and MERGE take ShareUpdateExclusiveLock on their targets (it conflicts with itself
 * and with VACUUM, not with readers or INSERT) before anything is read, and hold it to the end of
 * the transaction. Only then is the snapshot taken: the one that the caller took is replaced, both
 * in the query and on top of the active ones. So no row that a statement reads was changed since by
 * another session, and no row is ever changed by two transactions at once. Under REPEATABLE READ
 * and above the snapshot stays, and a change since is a serialisation failure. */
#include "extension/columnar/statements.h"

#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "commands/defrem.h"
#include "executor/executor.h"
#include "nodes/plannodes.h"
#include "parser/parsetree.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "tcop/utility.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "extension/columnar/columnar.h"
#include "extension/columnar/fail.h"
#include "extension/columnar/gather.h"
#include "extension/columnar/rows.h"
#include "extension/columnar/vacuum.h"

static ExecutorStart_hook_type next_start;
static ExecutorFinish_hook_type next_finish;
static ProcessUtility_hook_type next_utility;

SL_NORETURN static void refuse(const char *what, Oid relid) {
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("%s is not supported", what),
                    errdetail("Table \"%s\" is sealed.", get_rel_name(relid))));
    pg_unreachable();
}

/* ---- the lock and the snapshot ---- */

static bool counts_under(Oid relid, Snapshot snapshot, struct rows_counts *ret) {
    Relation rel = table_open(relid, NoLock);
    struct rows_storage *s = rows_storage_open(rel);
    bool found = rows_counts(rel, s, snapshot, ret);
    rows_storage_close(s);
    table_close(rel, NoLock);
    return found;
}

/* Another transaction deleted or moved rows since the snapshot. */
static void check_unchanged(Oid relid, Snapshot snapshot) {
    struct rows_counts then = {0}, now = {0};
    Snapshot latest = RegisterSnapshot(GetLatestSnapshot());
    bool found = counts_under(relid, snapshot, &then) && counts_under(relid, latest, &now);
    UnregisterSnapshot(latest);
    if (!found || then.changes != now.changes) {
        ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                        errmsg("could not serialize access due to concurrent update")));
    }
}

static void take_snapshot_again(QueryDesc *query) {
    PopActiveSnapshot();
    PushCopiedSnapshot(GetTransactionSnapshot());
    UnregisterSnapshot(query->snapshot);
    query->snapshot = RegisterSnapshot(GetActiveSnapshot());
}

/* The sealed relations that one ModifyTable changes other than by INSERT. */
static List *targets_of(const ModifyTable *m, const PlannedStmt *stmt, List *targets) {
    ListCell *lc;
    foreach (lc, m->resultRelations) {
        Oid relid = rt_fetch(lfirst_int(lc), stmt->rtable)->relid;
        bool sealed = columnar_is_sealed_oid(relid);
        if (m->onConflictAction != ONCONFLICT_NONE &&
            (sealed || get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE)) {
            refuse("ON CONFLICT", relid);
        }
        if (!sealed) {
            continue;
        }
        if (m->operation != CMD_INSERT) {
            targets = list_append_unique_oid(targets, relid);
        }
    }
    return targets;
}

static List *targets_of_statement(const PlannedStmt *stmt) {
    List *targets = NIL;
    ListCell *lc;
    if (stmt->planTree != NULL && IsA(stmt->planTree, ModifyTable)) {
        targets = targets_of((const ModifyTable *)stmt->planTree, stmt, targets);
    }
    foreach (lc, stmt->subplans) {
        if (lfirst(lc) != NULL && IsA(lfirst(lc), ModifyTable)) {
            targets = targets_of(lfirst(lc), stmt, targets);
        }
    }
    return targets;
}

static void check_row_marks(const PlannedStmt *stmt) {
    ListCell *lc;
    foreach (lc, stmt->rowMarks) {
        const PlanRowMark *mark = lfirst_node(PlanRowMark, lc);
        Oid relid = rt_fetch(mark->rti, stmt->rtable)->relid;
        if (RowMarkRequiresRowShareLock(mark->markType) && columnar_is_sealed_oid(relid)) {
            refuse("a row lock (FOR UPDATE, FOR SHARE)", relid);
        }
    }
}

static void lock_targets(QueryDesc *query) {
    ListCell *lc;
    List *targets = targets_of_statement(query->plannedstmt);
    if (targets == NIL) {
        return;
    }
    foreach (lc, targets) {
        LockRelationOid(lfirst_oid(lc), ShareUpdateExclusiveLock);
    }
    if (!IsolationUsesXactSnapshot()) {
        take_snapshot_again(query);
        return;
    }
    foreach (lc, targets) {
        check_unchanged(lfirst_oid(lc), query->snapshot);
    }
}

static void start(QueryDesc *query, int eflags) {
    if ((eflags & EXEC_FLAG_EXPLAIN_ONLY) == 0) {
        check_row_marks(query->plannedstmt);
        lock_targets(query);
    }
    if (next_start != NULL) {
        next_start(query, eflags);
    } else {
        standard_ExecutorStart(query, eflags);
    }
}

/* ---- the end ---- */

static void finish(QueryDesc *query) {
    CommandId cid = query->estate->es_output_cid;
    bool writes = query->operation != CMD_SELECT || query->plannedstmt->hasModifyingCTE;
    if (next_finish != NULL) {
        next_finish(query);
    } else {
        standard_ExecutorFinish(query);
    }
    if (writes) {
        gather_flush_command(cid);
    }
}

/* What the gateway made of Redshift's VACUUM … SORT ONLY, DELETE ONLY, TO n PERCENT; taken out. */
static struct vacuum_options take_options(VacuumStmt *v) {
    struct vacuum_options o = VACUUM_DEFAULT;
    ListCell *lc;
    foreach (lc, v->options) {
        DefElem *d = lfirst_node(DefElem, lc);
        if (strcmp(d->defname, "sealift_sort_only") == 0) {
            o.reclaim = !defGetBoolean(d);
        } else if (strcmp(d->defname, "sealift_delete_only") == 0) {
            o.sort = !defGetBoolean(d);
        } else if (strcmp(d->defname, "sealift_to_percent") == 0) {
            o.percent = defGetInt32(d);
        } else {
            continue;
        }
        v->options = foreach_delete_current(v->options, lc);
    }
    return o;
}

/* COPY and the like insert without the executor. What a statement around this one gathers is of an
 * older command, and stays. */
static void utility(PlannedStmt *stmt, const char *text, bool read_only_tree,
                    ProcessUtilityContext context, ParamListInfo params, QueryEnvironment *env,
                    DestReceiver *dest, QueryCompletion *qc) {
    bool inside = IsTransactionState();
    CommandId cid = inside ? GetCurrentCommandId(false) : 0;
    LocalTransactionId transaction = MyProc->lxid;
    bool vacuum =
        IsA(stmt->utilityStmt, VacuumStmt) && ((VacuumStmt *)stmt->utilityStmt)->is_vacuumcmd;
    if (vacuum) {
        stmt = copyObject(stmt);
        struct vacuum_options options = take_options((VacuumStmt *)stmt->utilityStmt);
        vacuum_begin_statement(&options);
    }
    if (next_utility != NULL) {
        next_utility(stmt, text, read_only_tree, context, params, env, dest, qc);
    } else {
        standard_ProcessUtility(stmt, text, read_only_tree, context, params, env, dest, qc);
    }
    if (vacuum) {
        vacuum_end_statement();
    }
    if (inside && IsTransactionState() && MyProc->lxid == transaction) {
        gather_flush_command(cid);
    }
}

void statements_init(void) {
    next_start = ExecutorStart_hook;
    ExecutorStart_hook = start;
    next_finish = ExecutorFinish_hook;
    ExecutorFinish_hook = finish;
    next_utility = ProcessUtility_hook;
    ProcessUtility_hook = utility;
}
