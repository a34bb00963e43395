/* What verbs share; see verb.h. */
#include "cli/verb.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

int verb_report(const struct sl_error *err, struct sl_rc rc) {
    fprintf(stderr, "sealift: %s\n", sl_error_message(err, rc.code));
    if (err->hint[0] != '\0') {
        fprintf(stderr, "hint: %s\n", err->hint);
    }
    return 1;
}

struct sl_rc verb_open(int argc, char **argv, const char *usage, struct instance *in,
                       struct sl_error *err) {
    static const struct option options[] = {
        {"data", 1, NULL, 'd'}, {"help", 0, NULL, 'H'}, {NULL, 0, NULL, 0}};
    instance_default_data(in->data, sizeof in->data);
    for (int opt; (opt = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (opt == 'H') {
            fputs(usage, stdout);
            exit(0);
        }
        ENSURE(opt == 'd', err, SL_E_VALIDATION, "%s", usage);
        snprintf(in->data, sizeof in->data, "%s", optarg);
    }
    ENSURE(optind == argc, err, SL_E_VALIDATION, "'%s' is not understood\n%s", argv[optind], usage);
    return instance_load(in, err);
}
