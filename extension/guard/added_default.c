#include "extension/guard/added_default.h"

#include "catalog/namespace.h"
#include "nodes/makefuncs.h"
#include "utils/lsyscache.h"

#include "extension/guard/literal.h"

static Constraint *find(const ColumnDef *column, ConstrType type) {
    ListCell *lc;
    foreach (lc, column->constraints) {
        Constraint *c = lfirst(lc);
        if (IsA(c, Constraint) && c->contype == type) {
            return c;
        }
    }
    return NULL;
}

static AlterTableCmd *command(AlterTableType type, const char *column, Node *def) {
    AlterTableCmd *cmd = makeNode(AlterTableCmd);
    cmd->subtype = type;
    cmd->name = pstrdup(column);
    cmd->def = def;
    cmd->behavior = DROP_RESTRICT;
    return cmd;
}

/* The column's type once more, its values by an expression: this is what rewrites the rows. */
static Node *transform(const ColumnDef *column, Node *expr) {
    ColumnDef *def = makeNode(ColumnDef);
    def->typeName = copyObject(column->typeName);
    def->collClause = copyObject(column->collClause);
    def->raw_default = expr;
    def->location = column->location;
    return (Node *)def;
}

static AlterTableStmt *after(const AlterTableStmt *s, List *cmds) {
    AlterTableStmt *next = makeNode(AlterTableStmt);
    next->relation = copyObject(s->relation);
    next->objtype = s->objtype;
    next->cmds = cmds;
    return next;
}

List *added_default_take(AlterTableStmt *s) {
    List *defaults = NIL, *values = NIL; /* PostgreSQL looks at the default before it is used */
    Oid relid = RangeVarGetRelid(s->relation, NoLock, true);
    ListCell *lc;
    if (!OidIsValid(relid)) {
        return NIL; /* PostgreSQL says so */
    }
    foreach (lc, s->cmds) {
        AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);
        ColumnDef *column = (ColumnDef *)cmd->def;
        Constraint *c = cmd->subtype == AT_AddColumn ? find(column, CONSTR_DEFAULT) : NULL;
        if (c == NULL || literal_is(c->raw_expr) ||
            (cmd->missing_ok && get_attnum(relid, column->colname) != InvalidAttrNumber)) {
            continue;
        }
        Constraint *not_null = find(column, CONSTR_NOTNULL);
        column->constraints = list_delete_ptr(column->constraints, c);
        defaults =
            lappend(defaults, command(AT_ColumnDefault, column->colname, copyObject(c->raw_expr)));
        values = lappend(values, command(AT_AlterColumnType, column->colname,
                                         transform(column, copyObject(c->raw_expr))));
        if (not_null != NULL) {
            column->constraints = list_delete_ptr(column->constraints, not_null);
            values = lappend(values, command(AT_SetNotNull, column->colname, NULL));
        }
    }
    return defaults == NIL ? NIL : list_make2(after(s, defaults), after(s, values));
}
