/* `sealift account add`: a further account, with its user admin and that user's access key. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/admin.h"
#include "cli/verb.h"
#include "cli/verbs.h"

static const char usage[] =
    "usage: sealift account add ID [--data DIR] [--access-key ID --secret-key KEY]\n"
    "Adds an account (12 digits) to a running instance, with its user admin, and prints that "
    "user's\naccess key, once, as lines for a shell. The access key may be given on an ephemeral "
    "instance only.\n";

struct account_options {
    const char *account;
    const char *access_key; /* or NULL */
    const char *secret_key;
};

static struct sl_rc parse(int argc, char **argv, struct instance *in, struct account_options *o,
                          struct sl_error *err) {
    const struct verb_option options[] = {
        {"access-key", .text = &o->access_key}, {"secret-key", .text = &o->secret_key}, {0}};
    instance_default_data(in->data, sizeof in->data);
    TRY(verb_options(argc, argv, usage, options, in, err));
    ENSURE(argc - optind == 2 && strcmp(argv[optind], "add") == 0, err, SL_E_VALIDATION, "%s",
           usage);
    o->account = argv[optind + 1];
    ENSURE(instance_account_ok(o->account), err, SL_E_VALIDATION,
           "an account is 12 digits, not '%s'", o->account);
    ENSURE((o->access_key == NULL) == (o->secret_key == NULL), err, SL_E_VALIDATION,
           "--access-key and --secret-key go together");
    TRY(instance_load(in, err));
    ENSURE(o->access_key == NULL || in->ephemeral, err, SL_E_VALIDATION,
           "an access key may be given on an ephemeral instance only");
    return SL_OK;
}

static struct sl_rc add(const struct instance *in, const struct account_options *o,
                        struct sl_error *err) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(64 * 1024);
    SL_CLEANUP(secret_fini) struct secret given = {0};
    struct seam_credentials made = {0};
    int kms;
    if (o->secret_key != NULL) {
        TRY(secret_from(&given, slice_cstr(o->secret_key)));
    }
    TRY(admin_kms(in, &kms, err));
    struct sl_rc rc =
        seam_account_add(kms, slice_cstr(o->account),
                         slice_cstr(o->access_key ? o->access_key : ""), &given, &a, err, &made);
    close(kms);
    TRY(rc);
    struct slice secret = secret_view(&made.secret_access_key);
    printf("export AWS_ACCESS_KEY_ID='%.*s'\nexport AWS_SECRET_ACCESS_KEY='%.*s'\n",
           SLICE_FMT(made.access_key_id), SLICE_FMT(secret));
    secret_fini(&made.secret_access_key);
    return SL_OK;
}

int verb_account(int argc, char **argv) {
    static struct instance in;
    struct account_options o = {0};
    struct sl_error err = {0};
    struct sl_rc rc = parse(argc, argv, &in, &o, &err);
    rc = sl_is_ok(rc) ? add(&in, &o, &err) : rc;
    return sl_is_ok(rc) ? 0 : verb_report(&err, rc);
}
