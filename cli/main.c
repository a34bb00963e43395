/* The command `sealift`: one table of verbs. The children of the supervisor are verbs too, which
 * nobody types. */
#include <stdio.h>
#include <string.h>

#include "cli/verbs.h"
#include "gateway/gateway.h"
#include "lib/columnar/segment.h"
#include "server/main/processes.h"

static int child_keyholder(int argc, char **argv) {
    return keyholder_main();
}
static int child_kms(int argc, char **argv) {
    return kms_main();
}
static int child_s3(int argc, char **argv) {
    return s3_main();
}
static int child_gateway(int argc, char **argv) {
    return gateway_main();
}
static int verb_help(int argc, char **argv);

static const struct verb {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help; /* NULL: not for people */
} verbs[] = {
    {"up", verb_up, "start everything and supervise it"},
    {"env", verb_env, "print shell lines for aws, SDKs and psql"},
    {"status", verb_status, "show what runs and what protects the keys"},
    {"loads", verb_loads, "show what the warehouse loads, and how far it is"},
    {"down", verb_down, "stop everything"},
    {"account", verb_account, "add an account, with its user admin and an access key"},
    {"audit", verb_audit, "verify and search the record of every use of a key"},
    {"keys", verb_keys, "show or change the root of trust"},
    {"unseal", verb_unseal, "open an instance that waits for its passphrase or PIN"},
    {"warehouse", verb_warehouse, "check all tables; let a standby in, promote one"},
    {"tls", verb_tls, "renew the server certificate"},
    {"clock", verb_clock, "show or move the clock of an ephemeral instance"},
    {"help", verb_help, "this list"},
    {"keyholder", child_keyholder, NULL},
    {"kms", child_kms, NULL},
    {"s3", child_s3, NULL},
    {"gateway", child_gateway, NULL},
};
enum { VERBS = sizeof verbs / sizeof verbs[0] };

static int verb_help(int argc, char **argv) {
    printf("Sealift: encrypted data loading, end to end, on machines that you own.\n\nusage: "
           "sealift VERB [options]\n\n");
    for (int i = 0; i < VERBS; i++) {
        if (verbs[i].help != NULL) {
            printf("  %-9s %s\n", verbs[i].name, verbs[i].help);
        }
    }
    printf("\nEach verb answers --help. All take --data DIR (or the environment variable "
           "SEALIFT_DATA).\n");
    return 0;
}

int main(int argc, char **argv) {
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        return verb_help(argc, argv);
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("sealift %s\n", SEALIFT_VERSION);
        if (segment_null_cipher()) {
            printf("NULL CIPHER: a build for tests alone, its tables are NOT ENCRYPTED\n");
        }
        return 0;
    }
    for (int i = 0; i < VERBS; i++) {
        if (strcmp(argv[1], verbs[i].name) == 0) {
            return verbs[i].run(argc - 1, argv + 1);
        }
    }
    fprintf(stderr, "sealift: '%s' is no verb; see sealift help\n", argv[1]);
    return 2;
}
