/* Segments that can't hold a row of the answer: the comparisons of a scan's filter against the
 * least and greatest values in sealed footers. */
#ifndef SEALIFT_COLUMNAR_SKIP_H
#define SEALIFT_COLUMNAR_SKIP_H

#include "postgres.h"

#include "nodes/params.h"
#include "nodes/pg_list.h"

#include "lib/columnar/segment.h"

struct skip;

/* The comparisons in `quals` (ANDed) that can tell; NULL when there is none. In the current memory
 * context. */
struct skip *skip_new(const List *quals, Index scanrelid, ParamListInfo params);

/* A reader_filter_fn: false when no row of the segment meets all comparisons. */
bool skip_may_hold(const struct segment *segment, void *skip);

#endif
