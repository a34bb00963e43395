/* Catalog rows of sealed tables: sealift.storage, sealift.segment, sealift.segment_deletes. Which
 * of them a snapshot sees is which rows of the table it sees. Every row carries a MAC under the
 * table's key, and storage.sum the sum of all of them (docs/decisions/10). Everything ends in
 * ereport. */
#ifndef SEALIFT_COLUMNAR_ROWS_H
#define SEALIFT_COLUMNAR_ROWS_H

#include "postgres.h"

#include "storage/itemptr.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

#include "extension/columnar/pages.h"
#include "lib/columnar/catalog_mac.h"
#include "lib/columnar/segment.h"

/* A storage: the file of one table, and its key. */
struct rows_storage {
    uint8_t id[STORAGE_ID_LEN];
    struct secret key;
    struct pages_given given; /* as it was opened by relation */
};

struct rows_deletes {
    struct slice sealed;
    uint32 count;
    uint8_t mac[CATALOG_MAC_LEN];
    ItemPointerData tid;
    bool own; /* of this transaction */
};

struct rows_segment {
    struct segment_ref ref;
    uint64 first_row;
    BlockNumber first_block; /* of no meaning when the segment is in the row */
    struct slice whole;      /* the segment's bytes; empty when they are in the file */
    uint8_t mac[CATALOG_MAC_LEN];
    ItemPointerData tid;
    bool own;
    struct rows_deletes *deletes;
    int delete_count;
};

struct rows_list {
    struct rows_segment *segments; /* by first_row */
    int count;
};

struct rows_counts {
    int64 rows;    /* alive */
    int64 changes; /* how often rows were deleted or moved */
    uint8_t sum[CATALOG_MAC_LEN];
    ItemPointerData tid;
};

/* The relation's storage and key. The key ends with rows_storage_close, or with the current memory
 * context. */
struct rows_storage *rows_storage_open(Relation rel);
/* The same by id; NULL when `snapshot` sees no such storage. */
struct rows_storage *rows_storage_find(const uint8_t id[STORAGE_ID_LEN], Snapshot snapshot);
void rows_storage_close(struct rows_storage *s);

/* What `snapshot` sees, in the current memory context, every MAC and the sum checked. */
void rows_load(Relation rel, const struct rows_storage *s, Snapshot snapshot,
               struct rows_list *ret);

/* False when the snapshot sees no such storage. `rel` names the table in errors, or is NULL. */
bool rows_counts(Relation rel, const struct rows_storage *s, Snapshot snapshot,
                 struct rows_counts *ret);
/* Replaces what rows_counts read. */
void rows_counts_update(const struct rows_storage *s, const struct rows_counts *counts);

/* A new storage, without rows. */
void rows_storage_add(const uint8_t id[STORAGE_ID_LEN], const struct secret *key);
/* All rows of a storage that is dropped; false when there is no such storage. */
bool rows_storage_drop(const uint8_t id[STORAGE_ID_LEN]);

/* Adds a row, as of command `cid`; sets its mac. */
void rows_segment_add(const struct rows_storage *s, struct rows_segment *seg, CommandId cid);
void rows_deletes_add(const struct rows_storage *s, const struct segment_ref *ref,
                      struct rows_deletes *d, CommandId cid);
void rows_segment_remove(const ItemPointerData *tid, CommandId cid);
void rows_deletes_remove(const ItemPointerData *tid, CommandId cid);

/* Runs of blocks, by their begin, that any snapshot may still need, of rows that are not yet gone
 * for all; *ret_latest: the newest transaction that removed one that is gone, or invalid. In the
 * current memory context. */
struct pages_run *rows_used(Relation rel, const struct rows_storage *s, int *ret_count,
                            TransactionId *ret_latest);

/* The OID of sealift.storage, for locks. */
Oid rows_storage_table(void);

#endif
