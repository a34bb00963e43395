/* What the verbs of the command share: reporting a failure, and opening the instance. */
#ifndef SL_CLI_VERB_H
#define SL_CLI_VERB_H

#include "cli/instance.h"

/* The failure and its hint on stderr; the exit code. */
int verb_report(const struct sl_error *err, struct sl_rc rc);

/* For verbs that take --data DIR and --help alone (--help prints `usage` and ends the process). */
struct sl_rc verb_open(int argc, char **argv, const char *usage, struct instance *in,
                       struct sl_error *err);

#endif
