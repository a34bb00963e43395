/* Redshift's table attributes (DISTSTYLE, SORTKEY, ENCODE, informational keys …) as the gateway's
 * parser found them: one JSON text a table in sealift.table_attributes, shown by views. Written as
 * the cluster's owner, whoever creates the table. */
#ifndef SEALIFT_CATALOG_ATTRIBUTES_H
#define SEALIFT_CATALOG_ATTRIBUTES_H

#include "nodes/primnodes.h"

bool attributes_relation_exists(RangeVar *relation);
void attributes_record(RangeVar *relation, const char *json);
/* Removes the rows of tables that are gone. */
void attributes_sweep(void);

#endif
