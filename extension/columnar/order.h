/* The order of a table's segments by its SORTKEY: which of them overlap, and rows of several in one
 * order. */
#ifndef SEALIFT_COLUMNAR_ORDER_H
#define SEALIFT_COLUMNAR_ORDER_H

#include "postgres.h"

#include "utils/relcache.h"
#include "utils/snapshot.h"

#include "extension/columnar/reader.h"
#include "extension/columnar/writer.h"

/* Marks the segments that must be written anew for none to overlap, if less than `percent` of the
 * table's rows are in order without that. */
void order_choose(struct reader *reader, const uint32_t *keys, uint32_t key_count, int percent,
                  bool *chosen);

/* Percent of the live rows in segments that overlap those that are in order. */
double order_unsorted(struct reader *reader, const uint32_t *keys, uint32_t key_count);

/* The rows of the chosen segments (NULL: of all) go into the writer in the order of the key, as
 * many at once as maintenance_work_mem lets it hold, and are written. Their number. */
uint64 order_rewrite(Relation rel, Snapshot snapshot, const bool *chosen, const uint32_t *keys,
                     uint32_t key_count, Relation to, struct writer *writer);

#endif
