/* The table access method `sealed`: rows as encrypted column chunks in PostgreSQL's own files
 * (docs/decisions/10-sealed-tables.md, docs/limits.md). Files, in the order data passes them:
 * statements.c (locks, flushes), table.c (the access method's callbacks), gather.c and writer.c,
 * scan.c, skip.c and reader.c, rows.c (catalog rows) and pages.c (the file); vacuum.c with order.c
 * (the SORTKEY's) and space.c (blocks to use again). */
#ifndef SEALIFT_COLUMNAR_COLUMNAR_H
#define SEALIFT_COLUMNAR_COLUMNAR_H

#include "postgres.h"

#include "access/tableam.h"
#include "utils/relcache.h"

/* Hooks and the resource manager; in the postmaster, from _PG_init. */
void columnar_init(void);

bool columnar_is_sealed(Relation rel);
/* The same by OID; false when there is no such relation. */
bool columnar_is_sealed_oid(Oid relid);

#endif
