/* Segments that can't hold a row of the answer: a scan's filter against what sealed footers say of
 * their columns. */
#ifndef SEALIFT_COLUMNAR_SKIP_H
#define SEALIFT_COLUMNAR_SKIP_H

#include "postgres.h"

#include "nodes/execnodes.h"
#include "nodes/pg_list.h"

#include "lib/columnar/segment.h"

struct skip;

/* What in `quals` (ANDed) can tell; NULL when there is nothing. In the current memory context, for
 * the life of the scan `node`. Nothing is evaluated yet. */
struct skip *skip_new(const List *quals, Index scanrelid, PlanState *node);

/* Values are found out anew at the next segment: parameters may have changed. */
void skip_rescan(struct skip *s);

/* A reader_filter_fn: false when no row of the segment meets all of the filter. */
bool skip_may_hold(const struct segment *segment, void *skip);

#endif
