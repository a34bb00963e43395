/* What the running transaction did to each storage: the change of storage.sum and of the counts,
 * written when it commits, and what its own scans must not count yet. */
#ifndef SEALIFT_COLUMNAR_PENDING_H
#define SEALIFT_COLUMNAR_PENDING_H

#include "postgres.h"

#include "utils/snapshot.h"

#include "lib/columnar/catalog_mac.h"
#include "lib/columnar/segment.h"

void pending_init(void);

/* A catalog row with this MAC was added; the table has `rows` live rows more (or less). */
void pending_added(const uint8_t storage[STORAGE_ID_LEN], const uint8_t mac[CATALOG_MAC_LEN],
                   int64 rows);
/* A catalog row was removed in command `cid`; own: this transaction had added it. */
void pending_took(const uint8_t storage[STORAGE_ID_LEN], const uint8_t mac[CATALOG_MAC_LEN],
                  int64 rows, CommandId cid, bool own);
/* Rows were deleted or moved in command `cid`. */
void pending_changed(const uint8_t storage[STORAGE_ID_LEN], CommandId cid);

/* Adds to `sum` the MACs of others' rows that this transaction removed and `snapshot` sees as
 * removed. */
void pending_removed(const uint8_t storage[STORAGE_ID_LEN], Snapshot snapshot,
                     uint8_t sum[CATALOG_MAC_LEN]);
/* Whether this transaction deleted rows of the storage in a command after `cid`. */
bool pending_changed_after(const uint8_t storage[STORAGE_ID_LEN], CommandId cid);
/* Did this transaction change nothing yet? */
bool pending_none(void);
/* The change of the number of live rows so far. */
int64 pending_rows(const uint8_t storage[STORAGE_ID_LEN]);

/* Writes the sums; at commit, or after it was done for what a commit's own actions change. */
void pending_write_sums(void);

#endif
