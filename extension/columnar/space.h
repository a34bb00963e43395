/* Space in the file of a sealed table that nobody needs any more: of aborted transactions, of
 * segments that VACUUM replaced. */
#ifndef SEALIFT_COLUMNAR_SPACE_H
#define SEALIFT_COLUMNAR_SPACE_H

#include "postgres.h"

#include "utils/relcache.h"

/* Finds it and lets it be used again; at the file's end it is given back. Does nothing while others
 * write to the table. The caller holds ShareUpdateExclusiveLock at least. */
void space_reclaim(Relation rel);

#endif
