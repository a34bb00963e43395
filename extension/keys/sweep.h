/* What a crash left among the key files: folders of databases that are gone, keys that no row of
 * sealift.storage names, files that were never whole. Only what an earlier run of the server wrote
 * is looked at, so nothing of a transaction that runs. And folders of PostgreSQL of a CREATE
 * DATABASE that was cut off. SQL functions tell what a sweep would remove. */
#ifndef SEALIFT_KEYS_SWEEP_H
#define SEALIFT_KEYS_SWEEP_H

#include "postgres.h"

/* In the keys' own process, which has no database; each database is swept by a worker of its own.
 */
void sweep_all(void);

/* Run first in the worker of each database, between transactions; set while preloading. False: keys
 * stay, since a table that is damaged may need one. */
extern bool (*sweep_before_keys)(void);

/* Removes all keys of a database, and their folder. */
void sweep_database_gone(Oid database);

#endif
