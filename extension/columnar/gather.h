/* What statements have inserted and deleted and not written yet: gathered in memory for each
 * (relation, subtransaction, command), written as segments and delete vectors when the statement
 * ends, a segment is full, or the transaction's own scan wants to see it. */
#ifndef SEALIFT_COLUMNAR_GATHER_H
#define SEALIFT_COLUMNAR_GATHER_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

#include "extension/columnar/rows.h"

void gather_insert(Relation rel, TupleTableSlot *slot, CommandId cid);

/* Marks a row of `seg` (which is copied) as deleted. False when this command did so before. */
bool gather_delete(Relation rel, const struct rows_segment *seg, uint32_t row, CommandId cid);

/* Writes what this subtransaction has gathered: of commands from `cid` on; of a relation, what
 * `snapshot` may see; all of a relation; everything. */
void gather_flush_command(CommandId cid);
void gather_flush_for(Relation rel, Snapshot snapshot);
void gather_flush_relation(Relation rel);
void gather_flush_all(void);

/* Rows are thrown away: a subtransaction ended, the transaction ended, the relation's storage went.
 */
void gather_end_sub(SubTransactionId sub);
void gather_forget(void);
void gather_forget_relation(Relation rel);

/* Sums are written from now on as soon as something changes (ON COMMIT DELETE ROWS). */
void gather_committing(void);
bool gather_is_committing(void);

#endif
