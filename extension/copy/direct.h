/* Loads whose threads seal segments themselves: which tables they are for, and what they need. Such
 * a table is sealed, its columns come from fields or are constants, and nothing has to look at its
 * rows one by one. Include after postgres.h. */
#ifndef SEALIFT_COPY_DIRECT_H
#define SEALIFT_COPY_DIRECT_H

#include "extension/copy/columns.h"
#include "extension/copy/pipeline.h"

struct direct;
/* NULL: rows have to go through slots. `running` loads share the memory. Lives in the current
 * memory context. */
struct direct *direct_begin(Relation rel, const struct copy_columns *c, int running);
/* For the pipeline, which must end before the memory context does. */
const struct pipeline_table *direct_table(const struct direct *d);
/* Makes the segment part of the table. */
void direct_place(struct direct *d, Relation rel, const struct pipeline_segment *s, CommandId cid);

#endif
