/* Segments that can't hold a row of the answer: a scan's filter against what sealed footers say of
 * their columns. */
#ifndef SEALIFT_COLUMNAR_SKIP_H
#define SEALIFT_COLUMNAR_SKIP_H

#include "postgres.h"

#include "nodes/execnodes.h"
#include "nodes/pg_list.h"
#include "utils/relcache.h"

#include "lib/columnar/segment.h"

struct skip;

/* What in `quals` (ANDed) can tell of `rel`, which they know as number `relid`; NULL when there is
 * nothing. In the current memory context. Values are evaluated later, in `values`; `node` is the
 * plan node whose they are, or NULL. */
struct skip *skip_new(const List *quals, Index relid, Relation rel, PlanState *node,
                      ExprContext *values);

/* Values are found out anew at the next segment: parameters may have changed. */
void skip_rescan(struct skip *s);

/* A reader_filter_fn: false when no row of the segment meets all of the filter. */
bool skip_may_hold(const struct segment *segment, void *skip);

#endif
