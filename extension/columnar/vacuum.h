/* What a VACUUM statement does around PostgreSQL's, which runs a transaction a table. */
#ifndef SEALIFT_COLUMNAR_VACUUM_H
#define SEALIFT_COLUMNAR_VACUUM_H

#include "postgres.h"

struct vacuum_options {
    bool sort, reclaim; /* by the SORTKEY; deleted rows and small segments */
    int percent;        /* of rows in order, from which on nothing is sorted */
};
#define VACUUM_DEFAULT                                                                             \
    { .sort = true, .reclaim = true, .percent = 95 }

void vacuum_begin_statement(const struct vacuum_options *o);
/* In the transaction that follows the last table's. */
void vacuum_end_statement(void);

#endif
