/* A load with what the user sees of it: while it runs in the views of running loads, and when it
 * has ended, however it did, in those of its records. */
#ifndef SEALIFT_CATALOG_LOADS_H
#define SEALIFT_CATALOG_LOADS_H

#include "extension/copy/copy.h"

/* copy_load, watched; spec->query_id is set. */
void loads_run(Relation rel, struct copy_spec *spec, struct copy_result *ret);

#endif
