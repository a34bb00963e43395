/* What the verbs of the command share: reporting a failure, and opening the instance. */
#ifndef SL_CLI_VERB_H
#define SL_CLI_VERB_H

#include "cli/instance.h"

/* The failure and its hint on stderr; the exit code. */
int verb_report(const struct sl_error *err, struct sl_rc rc);

/* An option of a verb, and the one place that gets it: its text, its text as a path (of
 * INSTANCE_PATH_MAX bytes), or that it was given. */
struct verb_option {
    const char *name;
    const char **text;
    char *path;
    bool *flag;
};

/* Reads `options`, which end with one without a name, and those of every verb: --data DIR, and
 * --help, which prints `usage` and ends the process. The other words begin at argv[optind]. */
struct sl_rc verb_options(int argc, char **argv, const char *usage,
                          const struct verb_option *options, struct instance *in,
                          struct sl_error *err);
/* The same for verbs without other words, and loads the instance: without --data the default one.
 * `options` may be NULL. */
struct sl_rc verb_open(int argc, char **argv, const char *usage, const struct verb_option *options,
                       struct instance *in, struct sl_error *err);
/* SL_E_LIMIT when it is too long. */
struct sl_rc verb_path(const char *text, char ret[INSTANCE_PATH_MAX], struct sl_error *err);

#endif
