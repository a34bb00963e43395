/* Rows in memory that become segments. Everything ends in ereport. */
#ifndef SEALIFT_COLUMNAR_WRITER_H
#define SEALIFT_COLUMNAR_WRITER_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "utils/relcache.h"

#include "extension/columnar/rows.h"

struct writer;

/* Lives in the current memory context. */
struct writer *writer_new(Relation rel, CommandId cid);
/* Rows are sorted by these columns (copied) before they are written, as many at once as `bytes` of
 * values hold, at most WRITER_WINDOW_ROWS. A new writer sorts each segment's by the SORTKEY. */
enum {
    WRITER_WINDOW_ROWS = 8 * SEGMENT_ROWS,
    WRITER_WINDOW_BYTES = 96 * 1024 * 1024, /* so that a column's texts have room in a heap */
};
void writer_sort(struct writer *w, const uint32_t *keys, uint32_t key_count, size_t bytes);
/* Copies the row; writes a segment whenever one is full. */
void writer_add(struct writer *w, Relation rel, TupleTableSlot *slot);
/* Writes the rest. */
void writer_flush(struct writer *w, Relation rel);

/* Writes sealed bytes as a segment of the table: into its file, or into the catalog row when they
 * are few. */
void writer_place(Relation rel, const struct rows_storage *s, const struct segment_ref *ref,
                  struct slice bytes, CommandId cid);

#endif
