/* Skipping of segments; see skip.h.
 *
 * The filter becomes a tree of tests; what can't tell is left out of an AND, and takes an OR with
 * it. `column op value` counts when the value is the same for the whole scan: no column, nothing
 * volatile, no subquery that runs for each row. Values are found out when the first segment is
 * looked at, and again after a rescan, so an empty table raises no error of theirs. Operators are
 * those of B-trees, never true of NULL. */
#include "extension/columnar/skip.h"

#include "access/nbtree.h"
#include "access/stratnum.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/primnodes.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "utils/array.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/pg_locale.h"
#include "utils/rel.h"
#include "utils/typcache.h"

#include "extension/columnar/kinds.h"
#include "lib/columnar/bounds.h"

enum { VALUES_MAX = 1024 }; /* of an IN list; a longer one can't tell */

enum test_kind { TEST_ALL, TEST_ANY, TEST_NULL, TEST_NOT_NULL, TEST_COMPARE };

struct test {
    enum test_kind kind;
    List *parts;     /* ALL, ANY: struct test */
    uint32_t column; /* from 0 */
    struct kinds_form form;
    /* COMPARE: with one value, or with any or all of an array's */
    enum bounds_test strategy;
    Oid type;
    FmgrInfo order; /* bound and value; not of texts */
    ExprState *value;
    Oid value_type; /* of one */
    bool is_array, all;
    /* once it is known */
    Datum *values; /* without NULLs */
    int count;
    bool any_null, never, unknown;
};

struct skip {
    struct test *root;
    ExprContext *context;
    MemoryContext values;
    bool known;
};

/* ---- making tests ---- */

struct maker {
    Index relid;
    TupleDesc desc;
    PlanState *node;
};

static struct test *make_test(enum test_kind kind) {
    struct test *t = palloc0(sizeof *t);
    t->kind = kind;
    return t;
}

/* A column of the scan, under whatever names its type has. */
static const Var *column_in(const struct maker *m, const Node *n) {
    while (n != NULL && IsA(n, RelabelType)) {
        n = (const Node *)((const RelabelType *)n)->arg;
    }
    const Var *v = n != NULL && IsA(n, Var) ? (const Var *)n : NULL;
    return v != NULL && v->varno == (int)m->relid && v->varattno > 0 && v->varlevelsup == 0 ? v
                                                                                            : NULL;
}

static bool is_text(Oid type) {
    return type == TEXTOID || type == BPCHAROID;
}

/* Types whose bounds are in the order of their B-trees. */
static bool has_order(Oid type) {
    switch (type) {
    case BOOLOID:
    case INT2OID:
    case INT4OID:
    case INT8OID:
    case DATEOID:
    case TIMEOID:
    case TIMESTAMPOID:
    case TIMESTAMPTZOID:
    case FLOAT4OID:
    case FLOAT8OID:
    case NUMERICOID:
        return true;
    default:
        return is_text(type);
    }
}

/* Comparisons between two types that agree with the order within each. */
static bool share_order(Oid a, Oid b) {
    static const Oid groups[][3] = {
        {INT2OID, INT4OID, INT8OID}, {FLOAT4OID, FLOAT8OID}, {DATEOID, TIMESTAMPOID}};
    for (size_t g = 0; g < lengthof(groups); g++) {
        bool has_a = false, has_b = false;
        for (size_t i = 0; i < lengthof(groups[g]); i++) {
            has_a |= groups[g][i] == a;
            has_b |= groups[g][i] == b;
        }
        if (has_a && has_b) {
            return true;
        }
    }
    return a == b;
}

static void set_column(const struct maker *m, struct test *t, const Var *v) {
    t->column = (uint32_t)v->varattno - 1;
    t->form = kinds_form_of(TupleDescAttr(m->desc, v->varattno - 1));
}

static bool is_constant(Node *value) {
    return !contain_var_clause(value) && !contain_subplans(value) &&
           !contain_volatile_functions(value);
}

/* `column op value`; swapped: `value op column`. The operator's input types say what is compared:
 * columns come under RelabelType where theirs are others. */
static struct test *compare(const struct maker *m, Oid op, const Var *v, Node *value, bool swapped,
                            Oid collation) {
    Oid left, right;
    op_input_types(op, &left, &right);
    Oid type = swapped ? right : left, other = swapped ? left : right;
    Oid family =
        has_order(type) ? lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY)->btree_opf : InvalidOid;
    Oid base = getBaseType(v->vartype);
    int strategy = OidIsValid(family) ? get_op_opfamily_strategy(op, family) : 0;
    if (strategy == 0 || !share_order(type, other) ||
        (base != type && !(base == VARCHAROID && type == TEXTOID)) || !is_constant(value) ||
        (is_text(type) && !lc_collate_is_c(collation))) {
        return NULL;
    }
    struct test *t = make_test(TEST_COMPARE);
    set_column(m, t, v);
    t->strategy = (enum bounds_test)(swapped ? BTMaxStrategyNumber + 1 - strategy : strategy);
    t->type = type;
    t->value_type = other;
    if (!is_text(type)) {
        Oid order = get_opfamily_proc(family, type, other, BTORDER_PROC);
        if (!OidIsValid(order)) {
            return NULL;
        }
        fmgr_info(order, &t->order);
    }
    t->value = ExecInitExpr((Expr *)value, m->node);
    return t;
}

/* What stands before the first wildcard. */
static struct test *like(const struct maker *m, const Var *v, Node *pattern) {
    const Const *c = (const Const *)pattern;
    if (!IsA(pattern, Const) || c->constisnull) {
        return NULL;
    }
    text *whole = DatumGetTextPP(c->constvalue),
         *prefix = palloc(VARSIZE_ANY_EXHDR(whole) + VARHDRSZ);
    const char *s = VARDATA_ANY(whole), *end = s + VARSIZE_ANY_EXHDR(whole);
    char *out = VARDATA(prefix);
    while (s < end && *s != '%' && *s != '_') {
        s += *s == '\\' && s + 1 < end;
        *out++ = *s++;
    }
    SET_VARSIZE(prefix, out - (char *)prefix);
    struct test *t = make_test(TEST_COMPARE);
    set_column(m, t, v);
    t->strategy = BOUNDS_PREFIX;
    t->type = t->value_type = TEXTOID;
    t->value = ExecInitExpr(
        (Expr *)makeConst(TEXTOID, -1, c->constcollid, -1, PointerGetDatum(prefix), false, false),
        m->node);
    return t;
}

static struct test *of_operator(const struct maker *m, const OpExpr *e) {
    if (list_length(e->args) != 2) {
        return NULL;
    }
    Node *left = linitial(e->args), *right = lsecond(e->args);
    const Var *l = column_in(m, left), *r = column_in(m, right);
    if (l != NULL && (e->opno == OID_TEXT_LIKE_OP || e->opno == OID_BPCHAR_LIKE_OP)) {
        return like(m, l, right);
    }
    struct test *t = l != NULL ? compare(m, e->opno, l, right, false, e->inputcollid) : NULL;
    return t == NULL && r != NULL ? compare(m, e->opno, r, left, true, e->inputcollid) : t;
}

/* column op ANY (array), op ALL (array) */
static struct test *of_array(const struct maker *m, const ScalarArrayOpExpr *e) {
    const Var *v = column_in(m, linitial(e->args));
    struct test *t =
        v != NULL ? compare(m, e->opno, v, lsecond(e->args), false, e->inputcollid) : NULL;
    if (t != NULL) {
        t->is_array = true;
        t->all = !e->useOr;
    }
    return t;
}

static struct test *of_null_test(const struct maker *m, const Var *v, bool is_null) {
    struct test *t = make_test(is_null ? TEST_NULL : TEST_NOT_NULL);
    set_column(m, t, v);
    return t;
}

/* column = true, or = false */
static struct test *of_boolean(const struct maker *m, const Var *v, bool value) {
    return compare(m, BooleanEqualOperator, v, (Node *)makeBoolConst(value, false), false,
                   InvalidOid);
}

static struct test *of_boolean_test(const struct maker *m, const BooleanTest *b) {
    const Var *v = column_in(m, (const Node *)b->arg);
    if (v == NULL) {
        return NULL;
    }
    switch (b->booltesttype) {
    case IS_TRUE:
    case IS_FALSE:
        return of_boolean(m, v, b->booltesttype == IS_TRUE);
    case IS_UNKNOWN:
    case IS_NOT_UNKNOWN:
        return of_null_test(m, v, b->booltesttype == IS_UNKNOWN);
    default:
        return NULL;
    }
}

static struct test *of_node(const struct maker *m, const Node *n);

static struct test *of_list(const struct maker *m, const List *list, enum test_kind kind) {
    struct test *t = make_test(kind);
    ListCell *lc;
    foreach (lc, list) {
        struct test *part = of_node(m, lfirst(lc));
        if (part != NULL) {
            t->parts = lappend(t->parts, part);
        } else if (kind == TEST_ANY) {
            return NULL;
        }
    }
    return t->parts != NIL ? t : NULL;
}

static struct test *of_bool_expr(const struct maker *m, const BoolExpr *b) {
    const Var *v;
    switch (b->boolop) {
    case AND_EXPR:
        return of_list(m, b->args, TEST_ALL);
    case OR_EXPR:
        return of_list(m, b->args, TEST_ANY);
    default:
        v = column_in(m, linitial(b->args));
        return v != NULL ? of_boolean(m, v, false) : NULL;
    }
}

static struct test *of_node(const struct maker *m, const Node *n) {
    check_stack_depth();
    const Var *v = column_in(m, n);
    if (v != NULL) {
        return of_boolean(m, v, true);
    }
    switch (nodeTag(n)) {
    case T_OpExpr:
        return of_operator(m, (const OpExpr *)n);
    case T_ScalarArrayOpExpr:
        return of_array(m, (const ScalarArrayOpExpr *)n);
    case T_BoolExpr:
        return of_bool_expr(m, (const BoolExpr *)n);
    case T_BooleanTest:
        return of_boolean_test(m, (const BooleanTest *)n);
    case T_NullTest:
        v = column_in(m, (const Node *)((const NullTest *)n)->arg);
        return v != NULL && !((const NullTest *)n)->argisrow
                   ? of_null_test(m, v, ((const NullTest *)n)->nulltesttype == IS_NULL)
                   : NULL;
    default:
        return NULL;
    }
}

struct skip *skip_new(const List *quals, Index relid, Relation rel, PlanState *node,
                      ExprContext *values) {
    struct maker m = {relid, RelationGetDescr(rel), node};
    struct test *root = of_list(&m, quals, TEST_ALL);
    if (root == NULL) {
        return NULL;
    }
    struct skip *s = palloc0(sizeof *s);
    s->root = root;
    s->context = values;
    s->values = AllocSetContextCreate(CurrentMemoryContext, "sealed skip", ALLOCSET_SMALL_SIZES);
    return s;
}

/* ---- values ---- */

static void take_value(struct test *t, Datum value, bool null) {
    int16 len;
    bool by_value;
    t->any_null |= null;
    if (!null) {
        get_typlenbyval(t->value_type, &len, &by_value);
        value = datumCopy(value, by_value, len);
        t->values[t->count++] =
            is_text(t->type) ? PointerGetDatum(PG_DETOAST_DATUM_PACKED(value)) : value;
    }
}

static void take_array(struct test *t, Datum value) {
    ArrayType *array = DatumGetArrayTypeP(value);
    Datum *values;
    bool *nulls, by_value;
    int count;
    int16 len;
    char align;
    get_typlenbyvalalign(ARR_ELEMTYPE(array), &len, &by_value, &align);
    deconstruct_array(array, ARR_ELEMTYPE(array), len, by_value, align, &values, &nulls, &count);
    t->unknown = count > VALUES_MAX;
    t->values = palloc(sizeof *t->values * (Size)(count + 1));
    for (int i = 0; i < count && !t->unknown; i++) {
        take_value(t, values[i], nulls[i]);
    }
}

static void find_values(struct skip *s, struct test *t) {
    ListCell *lc;
    bool null;
    foreach (lc, t->parts) {
        find_values(s, lfirst(lc));
    }
    if (t->kind != TEST_COMPARE) {
        return;
    }
    Datum value = ExecEvalExprSwitchContext(t->value, s->context, &null);
    t->count = 0;
    t->any_null = t->unknown = false;
    t->values = palloc(sizeof *t->values);
    if (null) {
        t->never = true; /* an array or a value */
        return;
    }
    if (t->is_array) {
        take_array(t, value);
    } else {
        take_value(t, value, false);
    }
    t->never = t->all ? t->any_null : t->count == 0;
}

void skip_rescan(struct skip *s) {
    MemoryContextReset(s->values);
    s->known = false;
}

/* ---- looking at a segment ---- */

static Datum bound_datum(const struct test *t, const struct segment_column *c,
                         const struct segment_bound *b, uint8_t *room) {
    int64 i = (int64)b->i;
    switch (t->type) {
    case BOOLOID:
        return BoolGetDatum(i != 0);
    case INT2OID:
        return Int16GetDatum((int16)i);
    case INT4OID:
    case DATEOID:
        return Int32GetDatum((int32)i);
    case FLOAT4OID:
        return Float4GetDatum((float4)b->f);
    case FLOAT8OID:
        return Float8GetDatum(b->f);
    case NUMERICOID: {
        struct vector one = {.kind = c->kind, .rows = 1, .decimal = true, .scale = c->scale};
        one.v.raw = c->kind == VECTOR_INT64 ? (const void *)&i : (const void *)&b->i;
        decimal_datum(&one, 0, room);
        return PointerGetDatum(room);
    }
    default:
        return Int64GetDatum(i);
    }
}

static int order_of(const struct test *t, const struct segment_column *c,
                    const struct segment_bound *b, Datum value) {
    _Alignas(int32) uint8_t room[DECIMAL_DATUM_BYTES];
    return DatumGetInt32(
        FunctionCall2((FmgrInfo *)(uintptr_t)&t->order, bound_datum(t, c, b, room), value));
}

static bool may_meet(const struct test *t, const struct segment_column *c, Datum value) {
    if (is_text(t->type)) {
        const text *s = (const text *)DatumGetPointer(value);
        return bounds_may_hold(c, t->strategy, slice_of(VARDATA_ANY(s), VARSIZE_ANY_EXHDR(s)));
    }
    switch (t->strategy) {
    case BOUNDS_LESS:
        return order_of(t, c, &c->min, value) < 0;
    case BOUNDS_LESS_EQUAL:
        return order_of(t, c, &c->min, value) <= 0;
    case BOUNDS_EQUAL:
        return order_of(t, c, &c->min, value) <= 0 && order_of(t, c, &c->max, value) >= 0;
    case BOUNDS_GREATER_EQUAL:
        return order_of(t, c, &c->max, value) >= 0;
    default:
        return order_of(t, c, &c->max, value) > 0;
    }
}

static bool compare_may_hold(const struct test *t, const struct segment_column *c) {
    bool bounds_tell = t->form.numeric ? c->decimal : c->kind == t->form.kind;
    if (t->unknown || !bounds_tell || (t->all && t->count == 0 && !t->never)) {
        return true; /* no value in the array: that is true of every row */
    }
    if (t->never || !c->bounded) {
        return false;
    }
    for (int i = 0; i < t->count; i++) {
        if (may_meet(t, c, t->values[i]) != t->all) {
            return !t->all;
        }
    }
    return t->all;
}

static bool may_hold(const struct test *t, const struct segment *segment) {
    ListCell *lc;
    if (t->kind == TEST_ALL || t->kind == TEST_ANY) {
        foreach (lc, t->parts) {
            if (may_hold(lfirst(lc), segment) == (t->kind == TEST_ANY)) {
                return t->kind == TEST_ANY;
            }
        }
        return t->kind == TEST_ALL;
    }
    if (t->column >= segment_column_count(segment)) {
        return true; /* younger than the segment */
    }
    const struct segment_column *c = segment_column(segment, t->column);
    switch (t->kind) {
    case TEST_NULL:
        return c->nulls > 0;
    case TEST_NOT_NULL:
        return c->nulls < segment_rows(segment);
    default:
        return compare_may_hold(t, c);
    }
}

bool skip_may_hold(const struct segment *segment, void *arg) {
    struct skip *s = arg;
    if (!s->known) {
        MemoryContext before = MemoryContextSwitchTo(s->values);
        find_values(s, s->root);
        MemoryContextSwitchTo(before);
        s->known = true;
    }
    return may_hold(s->root, segment);
}
