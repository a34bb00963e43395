/* The recorder of rejected rows: rows of stl_load_errors are written by a worker process in a
 * transaction of its own, so that they survive the failed load's rollback. */
#ifndef SEALIFT_CATALOG_LOAD_ERRORS_H
#define SEALIFT_CATALOG_LOAD_ERRORS_H

#include "extension/copy/copy.h"

/* Writes the rejects and waits until they are committed. Raises an error when the worker can't be
 * had. */
void load_errors_record(const struct copy_result *result, Oid table, int query_id);

#endif
