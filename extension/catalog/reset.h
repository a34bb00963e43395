/* sealift.reset(): the warehouse as the first start made it, on an ephemeral instance. All
 * databases of users are dropped, whoever is connected; `dev` is made anew; roles are dropped, and
 * the master user gets its first password and rights back. Executable by sealift_gateway alone. A
 * background worker does it, as databases can't be dropped from within a function, and as no client
 * is a superuser. */
#ifndef SL_EXTENSION_RESET_H
#define SL_EXTENSION_RESET_H

#include "postgres.h"

#include "fmgr.h"

PGDLLEXPORT Datum sealift_reset(PG_FUNCTION_ARGS);

#endif
