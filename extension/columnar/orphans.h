/* What belongs to nobody in this database: storages of no relation (a crashed session's temporary
 * tables), catalog rows of no storage, attributes of no table, files of PostgreSQL that no relation
 * names (of a transaction that a crash cut off). Nothing of a transaction that runs is one. */
#ifndef SEALIFT_COLUMNAR_ORPHANS_H
#define SEALIFT_COLUMNAR_ORPHANS_H

#include "postgres.h"

/* Removes them; in a worker of its own, which may write. Where a table's file doesn't say which
 * storage it is, catalog rows stay, and keys should (false). */
bool orphans_sweep(void);

#endif
