/* The file of a sealed table: its head in block 0, segments on whole pages behind it
 * (docs/decisions/10). Everything here ends in ereport. */
#ifndef SEALIFT_COLUMNAR_PAGES_H
#define SEALIFT_COLUMNAR_PAGES_H

#include "postgres.h"

#include "storage/block.h"
#include "storage/relfilenode.h"
#include "utils/relcache.h"

#include "lib/columnar/segment.h"

/* Registers the resource manager; in the postmaster, from _PG_init. */
void pages_init(void);

/* Makes the file with its head; undone when the transaction aborts. The head carries a MAC under
 * the table's key. */
void pages_create(const RelFileNode *node, char persistence, const uint8_t storage[STORAGE_ID_LEN],
                  const struct secret *key);

/* What the head says, before its MAC could be checked. */
void pages_storage_id(Relation rel, uint8_t ret[STORAGE_ID_LEN]);
/* The same of a file as it lies on the disk; false when it is missing or has no sound head of its
 * own. */
bool pages_file_storage(const RelFileNode *node, BackendId backend, uint8_t ret[STORAGE_ID_LEN]);
/* Is its head as it was written under this key, and in this file? */
bool pages_file_is_under(const RelFileNode *node, BackendId backend, const struct secret *key);
/* Buffers may hold a sound head over a damaged one: unless it was changed since, the file's is the
 * same. */
void pages_check_file(Relation rel);

/* Blocks for `bytes` (0: none) and numbers for `rows`: nobody else's ever, also after an abort. */
enum { PAGES_ROWS_PER_TID_BLOCK = 2048 };
/* A row number must fit a TID: block number / 2048, offset from 1. */
#define PAGES_ROW_LIMIT ((uint64)MaxBlockNumber * PAGES_ROWS_PER_TID_BLOCK)

struct pages_range {
    BlockNumber first_block;
    uint64 first_row;
};
struct pages_range pages_reserve(Relation rel, const struct secret *key, size_t bytes, uint32 rows);

/* Runs of blocks that nobody needs, kept in the head: reservations take from them first. */
struct pages_run {
    BlockNumber first;
    uint32 blocks;
};
enum { PAGES_RUNS_MAX = 1000 };

/* Takes the whole list away (`ret` has room for PAGES_RUNS_MAX), so that nothing below *ret_end is
 * reserved before a list is given back. */
int pages_take_runs(Relation rel, const struct secret *key, struct pages_run *ret,
                    BlockNumber *ret_end);
/* The new list, in order, of at most PAGES_RUNS_MAX. A run that ends where the file does is cut off
 * it. Transactions up to `latest` removed what lay there (invalid: nobody): a standby ends queries
 * that could still read it. */
void pages_give_runs(Relation rel, const struct secret *key, const struct pages_run *runs,
                     int count, TransactionId latest);

/* What was reserved so far: all before these two, without the runs (in order, in the current
 * memory context). */
struct pages_given {
    BlockNumber next_block;
    uint64 next_row;
    struct pages_run *runs;
    int run_count;
};
void pages_given(Relation rel, const struct secret *key, struct pages_given *ret);

/* Blocks that so many bytes take. */
uint32 pages_for(size_t bytes);

/* Logs and writes a segment into its reserved blocks. */
void pages_write(Relation rel, BlockNumber first_block, struct slice bytes);
/* Reads [offset, offset + len) of the segment that begins at first_block. */
void pages_read(Relation rel, BlockNumber first_block, size_t offset, size_t len, uint8_t *out);
/* The same up to the segment's end: behind it the last page is empty. */
void pages_read_end(Relation rel, BlockNumber first_block, size_t offset, size_t len, uint8_t *out);

#endif
