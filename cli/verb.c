/* What verbs share; see verb.h. */
#include "cli/verb.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPTIONS_MAX = 16 };

int verb_report(const struct sl_error *err, struct sl_rc rc) {
    fprintf(stderr, "sealift: %s\n", sl_error_message(err, rc.code));
    if (err->hint[0] != '\0') {
        fprintf(stderr, "hint: %s\n", err->hint);
    }
    return 1;
}

struct sl_rc verb_path(const char *text, char ret[INSTANCE_PATH_MAX], struct sl_error *err) {
    ENSURE(strlen(text) < INSTANCE_PATH_MAX, err, SL_E_LIMIT, "%.64s…: path too long", text);
    memcpy(ret, text, strlen(text) + 1);
    return SL_OK;
}

static struct sl_rc take(const struct verb_option *o, const char *text, struct sl_error *err) {
    if (o->path != NULL) {
        return verb_path(text, o->path, err);
    }
    if (o->text != NULL) {
        *o->text = text;
    } else {
        *o->flag = true;
    }
    return SL_OK;
}

struct sl_rc verb_options(int argc, char **argv, const char *usage,
                          const struct verb_option *options, struct instance *in,
                          struct sl_error *err) {
    enum { DATA = 1, HELP, FIRST };
    struct option known[OPTIONS_MAX + FIRST] = {{"data", 1, NULL, DATA}, {"help", 0, NULL, HELP}};
    for (int i = 0; options != NULL && options[i].name != NULL; i++) {
        sl_assert(i < OPTIONS_MAX);
        known[i + 2] = (struct option){options[i].name, options[i].flag == NULL, NULL, FIRST + i};
    }
    for (int opt; (opt = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (opt == HELP) {
            fputs(usage, stdout);
            exit(0);
        }
        ENSURE(opt != '?', err, SL_E_VALIDATION, "%s", usage);
        TRY(opt == DATA ? verb_path(optarg, in->data, err)
                        : take(&options[opt - FIRST], optarg, err));
    }
    return SL_OK;
}

struct sl_rc verb_open(int argc, char **argv, const char *usage, const struct verb_option *options,
                       struct instance *in, struct sl_error *err) {
    instance_default_data(in->data, sizeof in->data);
    TRY(verb_options(argc, argv, usage, options, in, err));
    ENSURE(optind == argc, err, SL_E_VALIDATION, "'%s' is not understood\n%s", argv[optind], usage);
    return instance_load(in, err);
}
