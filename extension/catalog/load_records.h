/* What is kept of loads that ended: rows of sealift.load_records, each a sealed blob of lines, from
 * which the stl_ and sys_ views are made. They are there at once for everybody, whatever becomes of
 * the load's transaction, as Redshift's are; those older than a week go. */
#ifndef SEALIFT_CATALOG_LOAD_RECORDS_H
#define SEALIFT_CATALOG_LOAD_RECORDS_H

#include "extension/catalog/load_state.h"

/* Before a load, which stays recorded as aborted if nothing else can be written. Opens what the
 * functions below need, and so may fail. */
void load_records_begin(const struct load_facts *facts);
/* A load that came to its end, well or not. In a transaction that goes on. */
void load_records_write(const struct load_facts *facts, const struct watch *watch,
                        const struct copy_result *result);
/* A load that an error ended: written by a worker process, which is not waited for. For clean-up
 * functions, and so without promise: there may be no worker free. */
void load_records_write_later(const struct load_facts *facts, const struct watch *watch,
                              const struct copy_result *result);

#endif
