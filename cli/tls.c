/* `sealift tls renew`: a new server certificate for a running instance. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/admin.h"
#include "cli/verb.h"
#include "cli/verbs.h"

static const char usage[] =
    "usage: sealift tls renew [--data DIR]\n"
    "Gives a running instance a new server certificate and key, under the same CA. Connections go "
    "on; new\nones see it. It is renewed by itself 30 days before its end. The files of --tls-cert "
    "and\n--tls-key are read again too.\n";

enum { ADMIN_MS = 10 * 1000 };

static struct sl_rc renew(const struct instance *in, struct sl_error *err) {
    int kms;
    TRY(admin_kms(in, &kms, err));
    struct sl_rc rc = seam_tls_renew(kms, err);
    close(kms);
    TRY(rc);
    return admin_call(in, ADMIN_TLS, SLICE_EMPTY, ADMIN_MS, NULL, NULL, err);
}

int verb_tls(int argc, char **argv) {
    struct instance in = {0};
    struct sl_error err = {0};
    bool help = argc > 1 && strcmp(argv[1], "--help") == 0;
    if (argc < 2 || (!help && strcmp(argv[1], "renew") != 0)) {
        fputs(usage, stderr);
        return 1;
    }
    struct sl_rc rc =
        verb_open(help ? argc : argc - 1, help ? argv : argv + 1, usage, NULL, &in, &err);
    rc = sl_is_ok(rc) ? renew(&in, &err) : rc;
    return sl_is_ok(rc) ? 0 : verb_report(&err, rc);
}
