/* Rows of a sealed table as a snapshot sees them: all in order, or one by its number. Only the
 * columns that are wanted are read and opened. Everything ends in ereport. */
#ifndef SEALIFT_COLUMNAR_READER_H
#define SEALIFT_COLUMNAR_READER_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "nodes/bitmapset.h"
#include "port/atomics.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

#include "extension/columnar/rows.h"

struct reader;
struct deletes;

/* Made in a memory context of its own under the current one; the segments are listed at the first
 * use. `attnums` (NULL: all columns) is copied. The snapshot must stay registered until then. */
struct reader *reader_open(Relation rel, Snapshot snapshot, const Bitmapset *attnums);
void reader_close(struct reader *r);
void reader_rewind(struct reader *r);
/* For a reader that outlives the relation's being open: the same relation, opened again. */
void reader_of_relation(struct reader *r, Relation rel);

/* Segments that can't hold a wanted row are left out: `may` says so of a segment. */
typedef bool (*reader_filter_fn)(const struct segment *segment, void *arg);
void reader_set_filter(struct reader *r, reader_filter_fn may, void *arg);
int64 reader_skipped(const struct reader *r);

/* Several readers of one list under one snapshot take each segment once: `next`, from 0, says which
 * comes next. */
void reader_share(struct reader *r, pg_atomic_uint32 *next);

/* Only segments whose entry (by their place in the list) is true; not copied. */
void reader_choose(struct reader *r, const bool *chosen);

/* The footer of a segment of the list, until the reader goes on. */
const struct segment *reader_footer(struct reader *r, int index);

/* The next row in a virtual slot; its values hold until the next call. Columns that aren't wanted
 * are NULL. */
bool reader_next(struct reader *r, TupleTableSlot *slot);

/* The segment of a row by its number; NULL when the snapshot sees none. */
const struct rows_segment *reader_find(struct reader *r, uint64 number);
/* The row, deleted or not; false when there is none. */
bool reader_fetch(struct reader *r, uint64 number, TupleTableSlot *slot, bool *ret_deleted);

const struct rows_list *reader_list(struct reader *r);
const struct rows_storage *reader_storage(const struct reader *r);
/* How many rows of a segment are deleted. */
uint32_t reader_deleted(const struct rows_segment *seg);

/* The rows deleted from a segment of the list, until the reader goes on. */
const struct deletes *reader_deletes(struct reader *r, int index);

/* For sealift.check_table: opens a segment of the list with its delete vectors and gives the number
 * of its columns; decodes a column, dropped or not. */
uint32_t reader_check_open(struct reader *r, int index);
void reader_check_column(struct reader *r, int index, int column);

/* Row numbers and TIDs. */
void reader_tid(uint64 number, ItemPointer ret);
uint64 reader_number(const ItemPointerData *tid);

#endif
