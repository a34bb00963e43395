/* Informational keys; see keys.h. Their SQL is read with PostgreSQL's own parser, so names that
 * nobody gave are the ones that PostgreSQL would. */
#include "extension/guard/keys.h"

#include "access/relation.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "commands/defrem.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parser.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "extension/catalog/attributes.h"

static bool is_key(const Constraint *c) {
    return c->contype == CONSTR_PRIMARY || c->contype == CONSTR_UNIQUE ||
           c->contype == CONSTR_FOREIGN;
}

static List *columns_of(const Constraint *c) {
    return c->contype == CONSTR_FOREIGN ? c->fk_attrs : c->keys;
}

/* ---- a key as SQL, and back ---- */

/* Whoever writes the option of CREATE TABLE or ALTER TABLE by hand may have put anything there. */
static Constraint *key_of(const char *sql) {
    const List *list = raw_parser(psprintf("ALTER TABLE t ADD %s", sql), RAW_PARSE_DEFAULT);
    const List *cmds = list_length(list) == 1
                           ? castNode(AlterTableStmt, linitial_node(RawStmt, list)->stmt)->cmds
                           : NIL;
    const AlterTableCmd *cmd = list_length(cmds) == 1 ? linitial_node(AlterTableCmd, cmds) : NULL;
    Constraint *c = cmd != NULL && cmd->subtype == AT_AddConstraint ? (Constraint *)cmd->def : NULL;
    if (c == NULL || !is_key(c) || c->indexname != NULL) {
        ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR), errmsg("\"%s\" is no key", sql)));
    }
    return c;
}

static void put_columns(StringInfo out, const List *columns) {
    ListCell *lc;
    const char *between = "(";
    foreach (lc, columns) {
        appendStringInfo(out, "%s%s", between, quote_identifier(strVal(lfirst(lc))));
        between = ", ";
    }
    appendStringInfoChar(out, ')');
}

static char *sql_of(const Constraint *c) {
    static const char *const words[] = {[CONSTR_PRIMARY] = "PRIMARY KEY ",
                                        [CONSTR_UNIQUE] = "UNIQUE ",
                                        [CONSTR_FOREIGN] = "FOREIGN KEY "};
    StringInfoData out;
    initStringInfo(&out);
    if (c->conname != NULL) {
        appendStringInfo(&out, "CONSTRAINT %s ", quote_identifier(c->conname));
    }
    appendStringInfoString(&out, words[c->contype]);
    put_columns(&out, columns_of(c));
    if (c->contype == CONSTR_FOREIGN) {
        const RangeVar *other = c->pktable;
        appendStringInfo(&out, " REFERENCES %s",
                         quote_qualified_identifier(other->schemaname, other->relname));
        if (c->pk_attrs != NIL) {
            put_columns(&out, c->pk_attrs);
        }
    }
    return out.data;
}

/* The name it has, or would get. */
static const char *name_of(const Constraint *c, const char *table) {
    StringInfoData columns;
    ListCell *lc;
    if (c->conname != NULL || c->contype == CONSTR_PRIMARY) {
        return c->conname != NULL ? c->conname : makeObjectName(table, NULL, "pkey");
    }
    initStringInfo(&columns);
    foreach (lc, columns_of(c)) {
        appendStringInfo(&columns, "%s%s", columns.len > 0 ? "_" : "", strVal(lfirst(lc)));
    }
    return makeObjectName(table, columns.data, c->contype == CONSTR_UNIQUE ? "key" : "fkey");
}

/* ---- the list in the attributes ---- */

/* Constraint nodes. */
static List *keys_in(Jsonb *attributes) {
    JsonbValue space;
    List *keys = NIL;
    const JsonbValue *list = attributes != NULL
                                 ? getKeyJsonValueFromContainer(&attributes->root, "constraints",
                                                                strlen("constraints"), &space)
                                 : NULL;
    for (uint32 i = 0; list != NULL && list->type == jbvBinary; i++) {
        const JsonbValue *v = getIthJsonbValueFromContainer(list->val.binary.data, i);
        if (v == NULL || v->type != jbvString) {
            break;
        }
        keys = lappend(keys, key_of(pnstrdup(v->val.string.val, (Size)v->val.string.len)));
    }
    return keys;
}

static char *json_of(const List *keys) {
    StringInfoData out;
    ListCell *lc;
    initStringInfo(&out);
    appendStringInfoString(&out, "{\"constraints\": [");
    foreach (lc, keys) {
        appendStringInfoString(&out, lc == list_head(keys) ? "" : ", ");
        escape_json(&out, sql_of(lfirst(lc)));
    }
    appendStringInfoString(&out, "]}");
    return out.data;
}

/* ---- CREATE TABLE ---- */

static void set_not_null(CreateStmt *s, const char *name) {
    ListCell *lc;
    bool elsewhere = s->inhRelations != NIL; /* the column is another table's */
    foreach (lc, s->tableElts) {
        ColumnDef *column = lfirst(lc);
        elsewhere |= IsA(column, TableLikeClause);
        if (IsA(column, ColumnDef) && strcmp(column->colname, name) == 0) {
            Constraint *c = makeNode(Constraint);
            c->contype = CONSTR_NOTNULL;
            c->location = -1;
            column->constraints = lappend(column->constraints, c);
            return;
        }
    }
    if (!elsewhere) {
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
                        errmsg("column \"%s\" named in key does not exist", name)));
    }
}

/* A column's own keys, and the words that say when one would be checked. */
static List *take_column_keys(ColumnDef *column, List *keys) {
    ListCell *lc;
    bool behind_key = false;
    foreach (lc, column->constraints) {
        Constraint *c = lfirst(lc);
        bool when = c->contype == CONSTR_ATTR_DEFERRABLE || c->contype == CONSTR_ATTR_DEFERRED ||
                    c->contype == CONSTR_ATTR_NOT_DEFERRABLE || c->contype == CONSTR_ATTR_IMMEDIATE;
        if (is_key(c)) {
            List *names = list_make1(makeString(column->colname));
            *(c->contype == CONSTR_FOREIGN ? &c->fk_attrs : &c->keys) = names;
            keys = lappend(keys, c);
        }
        behind_key = is_key(c) || (when && behind_key);
        if (behind_key) {
            column->constraints = foreach_delete_current(column->constraints, lc);
        }
    }
    return keys;
}

char *keys_take(CreateStmt *s, char *attributes) {
    List *keys = NIL;
    ListCell *lc;
    foreach (lc, s->tableElts) {
        Node *element = lfirst(lc);
        if (IsA(element, ColumnDef)) {
            keys = take_column_keys((ColumnDef *)element, keys);
        } else if (IsA(element, Constraint) && is_key((Constraint *)element)) {
            keys = lappend(keys, element);
            s->tableElts = foreach_delete_current(s->tableElts, lc);
        }
    }
    if (keys == NIL) {
        return attributes;
    }
    Datum own = DirectFunctionCall1(jsonb_in, CStringGetDatum(attributes ? attributes : "{}"));
    Datum all = DirectFunctionCall2(jsonb_concat, own,
                                    DirectFunctionCall1(jsonb_in, CStringGetDatum(json_of(keys))));
    return DatumGetCString(DirectFunctionCall1(jsonb_out, all));
}

static void check_one_primary(List *keys, const char *table) {
    ListCell *lc;
    int count = 0;
    foreach (lc, keys) {
        count += ((const Constraint *)lfirst(lc))->contype == CONSTR_PRIMARY;
    }
    if (count > 1) {
        ereport(ERROR, (errcode(ERRCODE_INVALID_TABLE_DEFINITION),
                        errmsg("multiple primary keys for table \"%s\" are not allowed", table)));
    }
}

void keys_of_create(CreateStmt *s, const char *attributes) {
    ListCell *lc, *column;
    List *keys =
        keys_in(DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(attributes))));
    check_one_primary(keys, s->relation->relname);
    foreach (lc, keys) {
        const Constraint *c = lfirst(lc);
        foreach (column, columns_of(c)) {
            if (c->contype == CONSTR_PRIMARY) {
                set_not_null(s, strVal(lfirst(column)));
            }
        }
    }
}

/* ---- ALTER TABLE ---- */

struct alter {
    Relation rel;
    List *keys;
    List *cmds;          /* that stay */
    List *added_columns; /* names, by this statement */
    bool changed;
};

static bool has_column(const struct alter *a, const char *name) {
    ListCell *lc;
    foreach (lc, a->added_columns) {
        if (strcmp(lfirst(lc), name) == 0) {
            return true;
        }
    }
    return get_attnum(RelationGetRelid(a->rel), name) > 0;
}

static void check_new(const struct alter *a, const Constraint *c) {
    const char *table = RelationGetRelationName(a->rel);
    ListCell *lc;
    foreach (lc, columns_of(c)) {
        if (!has_column(a, strVal(lfirst(lc)))) {
            ereport(
                ERROR,
                (errcode(ERRCODE_UNDEFINED_COLUMN),
                 errmsg(c->contype == CONSTR_FOREIGN
                            ? "column \"%s\" referenced in foreign key constraint does not exist"
                            : "column \"%s\" named in key does not exist",
                        strVal(lfirst(lc)))));
        }
    }
    foreach (lc, a->keys) {
        const Constraint *other = lfirst(lc);
        if (c->contype == CONSTR_PRIMARY && other->contype == CONSTR_PRIMARY) {
            ereport(ERROR,
                    (errcode(ERRCODE_INVALID_TABLE_DEFINITION),
                     errmsg("multiple primary keys for table \"%s\" are not allowed", table)));
        }
        if (strcmp(name_of(c, table), name_of(other, table)) == 0) {
            ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT),
                            errmsg("constraint \"%s\" for relation \"%s\" already exists",
                                   name_of(c, table), table)));
        }
    }
    if (c->contype == CONSTR_FOREIGN) {
        Oid other = RangeVarGetRelid(c->pktable, NoLock, false);
        foreach (lc, c->pk_attrs) {
            if (get_attnum(other, strVal(lfirst(lc))) == InvalidAttrNumber) {
                ereport(ERROR,
                        (errcode(ERRCODE_UNDEFINED_COLUMN),
                         errmsg("column \"%s\" referenced in foreign key constraint does not exist",
                                strVal(lfirst(lc)))));
            }
        }
    }
}

static void add_key(struct alter *a, Constraint *c) {
    ListCell *lc;
    check_new(a, c);
    a->keys = lappend(a->keys, c);
    a->changed = true;
    foreach (lc, columns_of(c)) {
        if (c->contype == CONSTR_PRIMARY) {
            AlterTableCmd *cmd = makeNode(AlterTableCmd);
            cmd->subtype = AT_SetNotNull;
            cmd->name = strVal(lfirst(lc));
            a->cmds = lappend(a->cmds, cmd);
        }
    }
}

/* A column's own keys. */
static void add_column(struct alter *a, AlterTableCmd *cmd) {
    ColumnDef *column = (ColumnDef *)cmd->def;
    ListCell *lc;
    a->added_columns = lappend(a->added_columns, column->colname);
    a->cmds = lappend(a->cmds, cmd);
    foreach (lc, take_column_keys(column, NIL)) {
        add_key(a, lfirst(lc));
    }
}

static bool drop_key(struct alter *a, const char *name) {
    ListCell *lc;
    foreach (lc, a->keys) {
        if (strcmp(name_of(lfirst(lc), RelationGetRelationName(a->rel)), name) == 0) {
            a->keys = foreach_delete_current(a->keys, lc);
            a->changed = true;
            return true;
        }
    }
    return false;
}

/* With a column go the keys that it is part of. */
static void drop_column(struct alter *a, const char *name) {
    ListCell *lc, *column;
    foreach (lc, a->keys) {
        bool part = false;
        foreach (column, columns_of(lfirst(lc))) {
            part |= strcmp(strVal(lfirst(column)), name) == 0;
        }
        if (part) {
            a->keys = foreach_delete_current(a->keys, lc);
            a->changed = true;
        }
    }
}

static void take_command(struct alter *a, AlterTableCmd *cmd) {
    Constraint *c = cmd->subtype == AT_AddConstraint ? (Constraint *)cmd->def : NULL;
    if (c != NULL && is_key(c) && c->indexname == NULL) {
        add_key(a, c);
    } else if (cmd->subtype == AT_AddColumn) {
        add_column(a, cmd);
    } else if (cmd->subtype == AT_DropColumn) {
        drop_column(a, cmd->name);
        a->cmds = lappend(a->cmds, cmd);
    } else if (cmd->subtype != AT_DropConstraint || !drop_key(a, cmd->name)) {
        a->cmds = lappend(a->cmds, cmd);
    }
}

char *keys_of_alter(AlterTableStmt *s) {
    ListCell *lc;
    Oid relid = RangeVarGetRelid(s->relation, NoLock, true);
    if (!OidIsValid(relid) || !pg_class_ownercheck(relid, GetUserId()) ||
        (get_rel_relkind(relid) != RELKIND_RELATION &&
         get_rel_relkind(relid) != RELKIND_PARTITIONED_TABLE)) {
        return NULL; /* PostgreSQL says what is wrong */
    }
    /* Two at once would lose one's keys. */
    struct alter a = {.rel = table_open(relid, ShareUpdateExclusiveLock)};
    a.keys = keys_in(attributes_find(a.rel));
    foreach (lc, s->cmds) {
        take_command(&a, lfirst_node(AlterTableCmd, lc));
    }
    table_close(a.rel, NoLock);
    s->cmds = a.cmds;
    return a.changed ? json_of(a.keys) : NULL;
}

char *keys_of_rename(const RenameStmt *s) {
    Oid relid = s->renameType == OBJECT_COLUMN && s->relation != NULL
                    ? RangeVarGetRelid(s->relation, NoLock, true)
                    : InvalidOid;
    bool changed = false;
    ListCell *lc, *column;
    if (!OidIsValid(relid)) {
        return NULL;
    }
    Relation rel = relation_open(relid, NoLock); /* whose rename holds the lock */
    List *keys = keys_in(attributes_find(rel));
    relation_close(rel, NoLock);
    foreach (lc, keys) {
        foreach (column, columns_of(lfirst(lc))) {
            if (strcmp(strVal(lfirst(column)), s->subname) == 0) {
                lfirst(column) = makeString(s->newname);
                changed = true;
            }
        }
    }
    return changed ? json_of(keys) : NULL;
}

static void check_column(Oid relid, const JsonbValue *name) {
    const char *column = name != NULL && name->type == jbvString
                             ? pnstrdup(name->val.string.val, (Size)name->val.string.len)
                             : NULL;
    if (column != NULL && get_attnum(relid, column) <= 0) {
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
                        errmsg("column \"%s\" named in key does not exist", column)));
    }
}

/* Columns whose encodings are named. */
static void check_encoded(Oid relid, Jsonb *attributes) {
    JsonbValue space, column;
    const JsonbValue *encode =
        getKeyJsonValueFromContainer(&attributes->root, "encode", strlen("encode"), &space);
    if (encode == NULL || encode->type != jbvBinary) {
        return;
    }
    JsonbIterator *it = JsonbIteratorInit(encode->val.binary.data);
    for (JsonbIteratorToken t; (t = JsonbIteratorNext(&it, &column, true)) != WJB_DONE;) {
        char *name =
            t == WJB_KEY ? pnstrdup(column.val.string.val, (Size)column.val.string.len) : NULL;
        if (name != NULL && get_attnum(relid, name) <= 0) {
            ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
                            errmsg("column \"%s\" of relation \"%s\" does not exist", name,
                                   get_rel_name(relid))));
        }
    }
}

static void check_keys(Oid relid, Jsonb *attributes) {
    ListCell *lc, *column;
    List *keys = keys_in(attributes);
    check_one_primary(keys, get_rel_name(relid));
    foreach (lc, keys) {
        const Constraint *c = lfirst(lc);
        foreach (column, columns_of(c)) {
            AttrNumber number = get_attnum(relid, strVal(lfirst(column)));
            HeapTuple tuple =
                number > 0 ? SearchSysCache2(ATTNUM, ObjectIdGetDatum(relid), Int16GetDatum(number))
                           : NULL;
            if (!HeapTupleIsValid(tuple)) {
                ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
                                errmsg("column \"%s\" named in key does not exist",
                                       strVal(lfirst(column)))));
            }
            bool not_null = ((Form_pg_attribute)GETSTRUCT(tuple))->attnotnull;
            ReleaseSysCache(tuple);
            if (c->contype == CONSTR_PRIMARY && !not_null) {
                ereport(ERROR, (errcode(ERRCODE_INVALID_TABLE_DEFINITION),
                                errmsg("column \"%s\" in a primary key is not marked NOT NULL",
                                       strVal(lfirst(column)))));
            }
        }
    }
}

/* Is it an array, or an object, of strings? */
static bool is_of_strings(const JsonbValue *v, bool array) {
    JsonbContainer *c = v->type == jbvBinary ? v->val.binary.data : NULL;
    if (c == NULL || (array ? !JsonContainerIsArray(c) : !JsonContainerIsObject(c))) {
        return false;
    }
    JsonbValue item;
    JsonbIterator *it = JsonbIteratorInit(c);
    (void)JsonbIteratorNext(&it, &item, true); /* its begin */
    for (JsonbIteratorToken t; (t = JsonbIteratorNext(&it, &item, true)) != WJB_DONE;) {
        if ((t == WJB_ELEM || t == WJB_VALUE) && item.type != jbvString) {
            return false;
        }
    }
    return true;
}

/* Views and statements of everybody read the attributes of all tables: no owner of one may leave
 * there what they would fail at. */
static void check_shape(Jsonb *attributes) {
    static const struct {
        const char *name;
        enum { STRING, FLAG, LIST, MAP } shape;
    } members[] = {{"diststyle", STRING}, {"distkey", STRING},  {"sortstyle", STRING},
                   {"sortkey", LIST},     {"backup", FLAG},     {"encode", MAP},
                   {"encodeAuto", FLAG},  {"constraints", LIST}};
    uint32 known = 0;
    if (!JB_ROOT_IS_OBJECT(attributes)) {
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("attributes of a table must be an object")));
    }
    for (size_t i = 0; i < lengthof(members); i++) {
        JsonbValue space;
        const JsonbValue *v = getKeyJsonValueFromContainer(&attributes->root, members[i].name,
                                                           (int)strlen(members[i].name), &space);
        known += v != NULL;
        bool fits = v == NULL || v->type == jbvNull ||
                    (members[i].shape == STRING ? v->type == jbvString
                     : members[i].shape == FLAG ? v->type == jbvBool
                                                : is_of_strings(v, members[i].shape == LIST));
        if (!fits) {
            ereport(ERROR,
                    (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                     errmsg("attribute \"%s\" of a table has the wrong type", members[i].name)));
        }
    }
    if (known != JsonContainerSize(&attributes->root)) {
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("attributes of a table have an unknown member")));
    }
}

void keys_check_attributes(Oid relid, const char *attributes) {
    JsonbValue sort, dist;
    Jsonb *all = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(attributes)));
    check_shape(all);
    check_column(relid,
                 getKeyJsonValueFromContainer(&all->root, "distkey", strlen("distkey"), &dist));
    const JsonbValue *list =
        getKeyJsonValueFromContainer(&all->root, "sortkey", strlen("sortkey"), &sort);
    for (uint32 i = 0;
         list != NULL && list->type == jbvBinary && i < JsonContainerSize(list->val.binary.data);
         i++) {
        check_column(relid, getIthJsonbValueFromContainer(list->val.binary.data, i));
    }
    check_encoded(relid, all);
    check_keys(relid, all);
}
