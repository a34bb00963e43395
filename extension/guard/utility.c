/* ProcessUtility hook: the allow-list, table attributes of Redshift, COPY from S3; everything else
 * goes on to PostgreSQL. */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_node.h"
#include "nodes/parsenodes.h"
#include "tcop/dest.h"
#include "tcop/utility.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"

#include "extension/catalog/attributes.h"
#include "extension/guard/added_default.h"
#include "extension/guard/guard.h"
#include "extension/guard/keys.h"
#include "extension/keys/table_keys.h"

static ProcessUtility_hook_type next_hook;

/* Takes `sealift.attributes` out of a WITH list; the JSON text or NULL. */
static char *take_attributes(List **options) {
    ListCell *lc;
    foreach (lc, *options) {
        DefElem *d = lfirst_node(DefElem, lc);
        if (d->defnamespace != NULL && strcmp(d->defnamespace, "sealift") == 0 &&
            strcmp(d->defname, "attributes") == 0) {
            char *json = defGetString(d);
            const Jsonb *all = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(json)));
            if (!JB_ROOT_IS_OBJECT(all)) {
                ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                                errmsg("sealift.attributes must be an object")));
            }
            *options = list_delete_cell(*options, lc);
            return json;
        }
    }
    return NULL;
}

/* The same out of ALTER TABLE … SET, which goes when nothing else is set. */
static char *take_altered(AlterTableStmt *s) {
    char *json = NULL;
    ListCell *lc;
    foreach (lc, s->cmds) {
        AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);
        List *options = cmd->subtype == AT_SetRelOptions ? (List *)cmd->def : NIL;
        char *found = take_attributes(&options);
        if (found == NULL) {
            continue;
        }
        json = found;
        cmd->def = (Node *)options;
        if (options == NIL) {
            s->cmds = foreach_delete_current(s->cmds, lc);
        }
    }
    return json;
}

/* The new database has its template's storages. */
static void copy_keys(const CreatedbStmt *stmt) {
    const char *template = "template1";
    ListCell *lc;
    foreach (lc, stmt->options) {
        DefElem *d = lfirst_node(DefElem, lc);
        if (strcmp(d->defname, "template") == 0 && d->arg != NULL) {
            template = defGetString(d);
        }
    }
    table_keys_copy_database(get_database_oid(template, false),
                             get_database_oid(stmt->dbname, false));
}

static void pass_on(PlannedStmt *pstmt, const char *query, bool read_only_tree,
                    ProcessUtilityContext context, ParamListInfo params, QueryEnvironment *env,
                    DestReceiver *dest, QueryCompletion *qc) {
    if (next_hook != NULL) {
        next_hook(pstmt, query, read_only_tree, context, params, env, dest, qc);
    } else {
        standard_ProcessUtility(pstmt, query, read_only_tree, context, params, env, dest, qc);
    }
}

/* CREATE TABLE with attributes; the rows of CREATE TABLE AS are written within. */
static void make_table(const RangeVar *made, const char *attributes, PlannedStmt *pstmt,
                       const char *query, bool read_only_tree, ProcessUtilityContext context,
                       ParamListInfo params, QueryEnvironment *env, DestReceiver *dest,
                       QueryCompletion *qc) {
    struct attributes_making before =
        attributes_making((struct attributes_making){made, attributes});
    PG_TRY();
    { pass_on(pstmt, query, read_only_tree, context, params, env, dest, qc); }
    PG_FINALLY();
    { (void)attributes_making(before); }
    PG_END_TRY();
}

/* Segments are read past the buffer manager, so a copied database's must be in its files: whatever
 * was asked for, files are copied, not pages through buffers. */
static void copy_files(CreatedbStmt *s) {
    ListCell *lc;
    foreach (lc, s->options) {
        if (strcmp(lfirst_node(DefElem, lc)->defname, "strategy") == 0) {
            s->options = foreach_delete_current(s->options, lc);
        }
    }
    s->options = lappend(
        s->options, makeDefElem(pstrdup("strategy"), (Node *)makeString(pstrdup("file_copy")), -1));
}

/* ALTER TABLE, and what must run after it. */
static void alter_table(PlannedStmt *pstmt, const char *query, ProcessUtilityContext context,
                        ParamListInfo params, QueryEnvironment *env, DestReceiver *dest,
                        QueryCompletion *qc) {
    AlterTableStmt *s = (AlterTableStmt *)pstmt->utilityStmt;
    char *attributes = take_altered(s);
    char *keys = keys_of_alter(s);
    List *later = added_default_take(s);
    RangeVar *relation = copyObject(s->relation);
    pass_on(pstmt, query, false, context, params, env, dest, qc);
    ListCell *lc;
    foreach (lc, later) {
        PlannedStmt *next = copyObject(pstmt);
        next->utilityStmt = lfirst(lc);
        CommandCounterIncrement();
        pass_on(next, query, false, PROCESS_UTILITY_SUBCOMMAND, params, env, None_Receiver, NULL);
    }
    if (attributes != NULL) {
        keys_check_attributes(RangeVarGetRelid(relation, NoLock, false), attributes);
        attributes_merge(relation, attributes);
    }
    if (keys != NULL) {
        attributes_merge(relation, keys);
    }
    foreach (lc, ((AlterTableStmt *)pstmt->utilityStmt)->cmds) {
        const AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);
        if (cmd->subtype == AT_DropColumn) {
            attributes_drop_column(relation, cmd->name);
        }
    }
}

static void rename_column(const RenameStmt *s) {
    if (s->renameType == OBJECT_COLUMN && s->relation != NULL) {
        char *keys = keys_of_rename(s);
        if (keys != NULL) {
            attributes_merge(s->relation, keys);
        }
        attributes_rename_column(s->relation, s->subname, s->newname);
    }
}

static void guarded(PlannedStmt *pstmt, const char *query, bool read_only_tree,
                    ProcessUtilityContext context, ParamListInfo params, QueryEnvironment *env,
                    DestReceiver *dest, QueryCompletion *qc) {
    if (MyProcPort == NULL) { /* no client: the recorder, autovacuum */
        pass_on(pstmt, query, read_only_tree, context, params, env, dest, qc);
        return;
    }
    allow_list_check(pstmt->utilityStmt);
    if (IsA(pstmt->utilityStmt, VariableSetStmt) && !superuser() &&
        settings_are_so((const VariableSetStmt *)pstmt->utilityStmt)) {
        return;
    }
    if (IsA(pstmt->utilityStmt, CopyStmt) && copy_statement_is_s3((CopyStmt *)pstmt->utilityStmt)) {
        ParseState *pstate = make_parsestate(NULL);
        pstate->p_sourcetext = query;
        copy_statement_run((CopyStmt *)pstmt->utilityStmt, pstate, qc);
        free_parsestate(pstate);
        return;
    }
    if (IsA(pstmt->utilityStmt, AlterTableStmt)) {
        alter_table(copyObject(pstmt), query, context, params, env, dest, qc);
        return;
    }
    RangeVar *made = NULL;
    char *attributes = NULL;
    if (IsA(pstmt->utilityStmt, CreateStmt) || IsA(pstmt->utilityStmt, CreateTableAsStmt)) {
        if (read_only_tree) {
            pstmt = copyObject(pstmt);
            read_only_tree = false;
        }
        if (IsA(pstmt->utilityStmt, CreateStmt)) {
            CreateStmt *s = (CreateStmt *)pstmt->utilityStmt;
            attributes = keys_take(s, take_attributes(&s->options));
            made = copyObject(s->relation);
            if (attributes != NULL) {
                keys_of_create(s, attributes);
            }
        } else {
            IntoClause *into = ((CreateTableAsStmt *)pstmt->utilityStmt)->into;
            attributes = take_attributes(&into->options);
            made = copyObject(into->rel);
        }
    }
    bool makes_database = IsA(pstmt->utilityStmt, CreatedbStmt);
    if (makes_database) {
        pstmt = copyObject(pstmt);
        copy_files((CreatedbStmt *)pstmt->utilityStmt);
    }
    bool existed = attributes != NULL && attributes_relation_exists(made);
    bool drops = IsA(pstmt->utilityStmt, DropStmt);
    if (attributes != NULL) {
        make_table(made, attributes, pstmt, query, read_only_tree, context, params, env, dest, qc);
    } else {
        pass_on(pstmt, query, read_only_tree, context, params, env, dest, qc);
    }
    if (attributes != NULL && !existed) {
        attributes_record(made, attributes);
    }
    if (drops) {
        attributes_sweep();
    }
    if (IsA(pstmt->utilityStmt, RenameStmt)) {
        rename_column((const RenameStmt *)pstmt->utilityStmt);
    }
    if (makes_database) {
        copy_keys((CreatedbStmt *)pstmt->utilityStmt);
    }
}

void utility_init(void) {
    next_hook = ProcessUtility_hook;
    ProcessUtility_hook = guarded;
}
