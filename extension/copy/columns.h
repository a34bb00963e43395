/* The table's side of a load: which columns are filled from fields and how, which from defaults,
 * and the filling of slots. Include after postgres.h. */
#ifndef SEALIFT_COPY_COLUMNS_H
#define SEALIFT_COPY_COLUMNS_H

#include "executor/tuptable.h"
#include "nodes/execnodes.h"
#include "nodes/primnodes.h"

#include "extension/copy/copy.h"
#include "lib/codec/copy_convert.h"

struct copy_columns {
    int natts;           /* columns filled from fields */
    AttrNumber *attnums; /* in field order */
    struct copy_column *columns;

    int default_count;
    AttrNumber *default_attnums;
    Expr **default_exprs;
    ExprState **defaults;

    bool constrained;  /* the executor has to look at each row */
    bool local_is_utc; /* the session's time zone is UTC */
};

/* Raises what can't be loaded: unknown or unsupported columns. */
void copy_columns_init(Relation rel, const struct copy_spec *spec, struct copy_columns *ret);
/* Rows [from, from + n) of a batch into n empty virtual slots. Values point into the batch or lie
 * in the current memory context. */
void copy_columns_fill(const struct copy_columns *c, Relation rel, EState *estate,
                       const struct copy_batch *batch, size_t from, int n, TupleTableSlot **slots);

#endif
