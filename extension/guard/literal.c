#include "extension/guard/literal.h"

bool literal_is(const Node *n) {
    if (IsA(n, TypeCast)) {
        return literal_is(((const TypeCast *)n)->arg);
    }
    if (IsA(n, CollateClause)) {
        return literal_is(((const CollateClause *)n)->arg);
    }
    if (IsA(n, A_Expr)) {
        const A_Expr *e = (const A_Expr *)n;
        return e->kind == AEXPR_OP && e->lexpr == NULL && literal_is(e->rexpr);
    }
    return IsA(n, A_Const);
}

static bool all_literal(const List *datums) {
    ListCell *lc;
    foreach (lc, datums) {
        const Node *n = lfirst(lc);
        if (!IsA(n, ColumnRef) && !literal_is(n)) { /* a reference is MINVALUE, or an error */
            return false;
        }
    }
    return true;
}

bool literal_bound(const PartitionBoundSpec *bound) {
    return bound == NULL || (all_literal(bound->listdatums) && all_literal(bound->lowerdatums) &&
                             all_literal(bound->upperdatums));
}
