/* Redshift's table attributes (DISTSTYLE, SORTKEY, ENCODE, informational keys …) as the gateway's
 * parser found them: one JSON text a table in sealift.table_attributes, shown by views. Written as
 * the cluster's owner, whoever creates the table. */
#ifndef SEALIFT_CATALOG_ATTRIBUTES_H
#define SEALIFT_CATALOG_ATTRIBUTES_H

#include "nodes/primnodes.h"
#include "utils/jsonb.h"
#include "utils/relcache.h"

/* The attributes are the table's security label of this provider too, so that pg_dump carries them.
 */
#define ATTRIBUTES_PROVIDER "sealift"

bool attributes_relation_exists(RangeVar *relation);
void attributes_record(RangeVar *relation, const char *json);
/* Members of the JSON replace those of the table's attributes (of "encode": each column's); null
 * removes. */
void attributes_merge(RangeVar *relation, const char *json);
/* What a label says, which is written by who calls. */
void attributes_of_label(Oid relid, const char *json);
/* The table that CREATE TABLE AS is making, whose attributes are known before their row is written.
 */
struct attributes_making {
    const RangeVar *relation; /* or NULL */
    const char *json;
};
/* Sets it; what it was before. */
struct attributes_making attributes_making(struct attributes_making now);
/* In the current memory context; NULL when the table has none. */
Jsonb *attributes_find(Relation rel);
/* After ALTER TABLE … RENAME COLUMN. */
void attributes_rename_column(RangeVar *relation, const char *from, const char *to);
/* Before or after ALTER TABLE … DROP COLUMN: a SORTKEY ends before it. */
void attributes_drop_column(RangeVar *relation, const char *name);
/* Removes the rows of tables that are gone. */
void attributes_sweep(void);

#endif
