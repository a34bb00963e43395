/* The SORTKEY of a table, as its attributes name it. */
#ifndef SEALIFT_COLUMNAR_SORTKEY_H
#define SEALIFT_COLUMNAR_SORTKEY_H

#include "postgres.h"

#include "utils/relcache.h"

enum { SORTKEY_MAX = 400 };

/* Its columns from 0, in the current memory context; their number, 0 when there is none. An
 * interleaved key sorts as a compound one. */
uint32_t sortkey_of(Relation rel, uint32_t **ret_columns);

#endif
