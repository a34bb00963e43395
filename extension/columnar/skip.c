/* Skipping of segments; see skip.h. Only `column op value` counts, of integers, dates and
 * timestamps, where the value is a constant or a parameter given from outside: it is the same for
 * the whole scan, and finding it out can't fail. Such operators are never true of NULL. */
#include "extension/columnar/skip.h"

#include "access/stratnum.h"
#include "catalog/pg_type.h"
#include "nodes/primnodes.h"
#include "utils/lsyscache.h"

enum { COMPARISONS_MAX = 16 };

struct comparison {
    uint32_t column; /* from 0 */
    int strategy;    /* of B-trees: column < value … column > value */
    enum vector_kind kind;
    __int128 value;
    bool null; /* compared with NULL: no row at all */
};

struct skip {
    int count;
    struct comparison comparisons[COMPARISONS_MAX];
};

/* How values of the type lie in vectors; false for types that are not compared as integers. */
static bool kind_of_type(Oid type, enum vector_kind *ret) {
    switch (type) {
    case INT2OID:
        *ret = VECTOR_INT16;
        return true;
    case INT4OID:
    case DATEOID:
        *ret = VECTOR_INT32;
        return true;
    case INT8OID:
    case TIMESTAMPOID:
    case TIMESTAMPTZOID:
        *ret = VECTOR_INT64;
        return true;
    default:
        return false;
    }
}

static bool is_integer(Oid type) {
    return type == INT2OID || type == INT4OID || type == INT8OID;
}

static bool value_of(const Node *n, ParamListInfo params, Oid *ret_type, Datum *ret,
                     bool *ret_null) {
    if (IsA(n, Const)) {
        const Const *c = (const Const *)n;
        *ret_type = c->consttype;
        *ret = c->constvalue;
        *ret_null = c->constisnull;
        return true;
    }
    if (!IsA(n, Param) || ((const Param *)n)->paramkind != PARAM_EXTERN || params == NULL) {
        return false;
    }
    int id = ((const Param *)n)->paramid;
    ParamExternData space, *p;
    if (id < 1 || id > params->numParams) {
        return false;
    }
    p = params->paramFetch != NULL ? params->paramFetch(params, id, false, &space)
                                   : &params->params[id - 1];
    *ret_type = p->ptype;
    *ret = p->value;
    *ret_null = p->isnull;
    return OidIsValid(p->ptype);
}

/* The B-tree strategy of an operator between these types, 0 when it has none. */
static int strategy_of(Oid op, Oid left, Oid right) {
    int strategy = 0;
    ListCell *lc;
    List *all = get_op_btree_interpretation(op);
    foreach (lc, all) {
        const OpBtreeInterpretation *o = lfirst(lc);
        if (o->oplefttype == left && o->oprighttype == right &&
            o->strategy <= BTMaxStrategyNumber) {
            strategy = o->strategy;
        }
    }
    list_free_deep(all);
    return strategy;
}

/* value op column is column op' value. */
static int turned(int strategy) {
    return strategy == 0 ? 0 : BTMaxStrategyNumber + 1 - strategy;
}

static bool add_comparison(struct skip *s, const OpExpr *e, Index scanrelid, ParamListInfo params) {
    if (list_length(e->args) != 2) {
        return false;
    }
    const Node *left = linitial(e->args), *right = lsecond(e->args);
    bool swap = !IsA(left, Var);
    const Node *column = swap ? right : left, *other = swap ? left : right;
    if (!IsA(column, Var)) {
        return false;
    }
    const Var *v = (const Var *)column;
    struct comparison *c = &s->comparisons[s->count];
    enum vector_kind other_kind;
    Datum value;
    Oid type;
    if (v->varno != (int)scanrelid || v->varattno <= 0 || v->varlevelsup != 0 ||
        !value_of(other, params, &type, &value, &c->null) || !kind_of_type(v->vartype, &c->kind) ||
        !kind_of_type(type, &other_kind) ||
        (type != v->vartype && !(is_integer(type) && is_integer(v->vartype)))) {
        return false;
    }
    c->strategy = swap ? turned(strategy_of(e->opno, type, v->vartype))
                       : strategy_of(e->opno, v->vartype, type);
    c->column = (uint32_t)v->varattno - 1;
    c->value = other_kind == VECTOR_INT16   ? DatumGetInt16(value)
               : other_kind == VECTOR_INT32 ? DatumGetInt32(value)
                                            : DatumGetInt64(value);
    return c->strategy != 0;
}

struct skip *skip_new(const List *quals, Index scanrelid, ParamListInfo params) {
    struct skip *s = palloc0(sizeof *s);
    ListCell *lc;
    foreach (lc, quals) {
        if (s->count < COMPARISONS_MAX && IsA(lfirst(lc), OpExpr) &&
            add_comparison(s, lfirst(lc), scanrelid, params)) {
            s->count++;
        }
    }
    if (s->count == 0) {
        pfree(s);
        return NULL;
    }
    return s;
}

static bool may_meet(const struct comparison *c, const struct segment_column *column) {
    switch (c->strategy) {
    case BTLessStrategyNumber:
        return column->min.i < c->value;
    case BTLessEqualStrategyNumber:
        return column->min.i <= c->value;
    case BTEqualStrategyNumber:
        return column->min.i <= c->value && c->value <= column->max.i;
    case BTGreaterEqualStrategyNumber:
        return column->max.i >= c->value;
    default:
        return column->max.i > c->value;
    }
}

bool skip_may_hold(const struct segment *segment, void *arg) {
    const struct skip *s = arg;
    for (int i = 0; i < s->count; i++) {
        const struct comparison *c = &s->comparisons[i];
        if (c->null) {
            return false;
        }
        if (c->column >= segment_column_count(segment)) {
            continue; /* younger than the segment */
        }
        const struct segment_column *column = segment_column(segment, c->column);
        if (column->kind != c->kind) {
            continue; /* the reader will say what is wrong */
        }
        if (column->nulls == segment_rows(segment) || (column->bounded && !may_meet(c, column))) {
            return false;
        }
    }
    return true;
}
