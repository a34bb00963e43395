/* Inside of the verb `audit`. */
#ifndef SL_CLI_AUDIT_H
#define SL_CLI_AUDIT_H

#include "cli/instance.h"

enum {
    AUDIT_EXIT_ALTERED = 2, /* the log is not as it was written */
};

/* audit_search.c: `sealift audit search …`, argv[0] is "search". */
struct sl_rc audit_search_verb(int argc, char **argv, const char *usage, struct sl_error *err);

#endif
