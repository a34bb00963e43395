/* `sealift keys`: the words of the verb. `sealift keys root`: what the root of trust is, and
 * putting the domain key under another one. `sealift unseal`: the passphrase or PIN after a restart
 * of the keyholder. */
#include <stdio.h>
#include <string.h>

#include "cli/admin.h"
#include "cli/backup.h"
#include "cli/verb.h"
#include "cli/verbs.h"
#include "cli/word.h"

enum { UNSEAL_MS = 60 * 1000, KEYS_EXIT_ALTERED = 2 };

static const char keys_usage[] =
    "usage: sealift keys root [--data DIR] [--root-key FILE]\n"
    "       sealift keys root --to KIND [--passphrase-file FILE] [--new-passphrase-file FILE]\n"
    "Shows what protects the domain key, or puts it under another root (the instance must be "
    "down):\n"
    "  --to file | file:PATH              a root key in a file, made when it is missing\n"
    "  --to passphrase                    a passphrase; asked for at each start\n"
    "  --to 'pkcs11:token=LABEL;object=KEY?module-path=LIBRARY'\n"
    "                                     an AES-256 key in a token, made when it is missing\n"
    "  --passphrase-file FILE             passphrase or PIN of the root as it is\n"
    "  --new-passphrase-file FILE         passphrase or PIN of the new one\n"
    "Without these files the terminal is asked. The old root opens nothing afterwards, so keep "
    "no\ncopy of DATA/keys/domain that it could open.\n"
    "sealift keys backup | restore | drill: the key store in one encrypted file; each answers "
    "--help.\n";

static const char unseal_usage[] =
    "usage: sealift unseal [--data DIR] [--passphrase-file FILE]\n"
    "Opens an instance whose keyholder was started again and waits for its passphrase or PIN.\n";

struct keys_options {
    const char *to, *old_file, *new_file;
};

static struct sl_rc move(struct instance *in, const struct keys_options *o, struct sl_error *err) {
    static struct supervisor alone;
    enum root_kind kind;
    struct root_place to;
    struct secret was = {0}, will = {0};
    TRY(root_place_parse(o->to, in->root_key, &to, err));
    if (to.kind == ROOT_FILE) {
        TRY(instance_root_outside(in, to.file, err));
    }
    if (instance_running(in) != 0) {
        sl_hint(err, "stop it first: sealift down --data %s", in->data);
        return sl_fail(err, SL_E_VALIDATION, "the root can't be changed while the instance is up");
    }
    TRY(instance_lock(in, err));
    TRY(word_root_kind(in, &kind, err));
    struct sl_rc rc = SL_OK;
    if (root_needs_word(kind)) {
        rc = word_read(o->old_file, kind, false, &was, err);
    }
    if (sl_is_ok(rc) && root_needs_word(to.kind)) {
        rc = word_read(o->new_file, to.kind, true, &will, err);
    }
    in->move_to = o->to;
    rc = sl_is_ok(rc) ? supervise_move(&alone, in, &was, &will, err) : rc;
    secret_fini(&was);
    secret_fini(&will);
    TRY(rc);
    printf("The domain key is under its new root: %s\n", root_kind_name(to.kind));
    if (to.kind == ROOT_FILE && strcmp(to.file, in->root_key) != 0) {
        printf("next: sealift up --data %s --root-key %s\n", in->data, to.file);
    }
    return SL_OK;
}

static struct sl_rc root(int argc, char **argv, struct sl_error *err) {
    static struct instance in;
    struct keys_options o = {0};
    enum root_kind kind = ROOT_FILE;
    const struct verb_option options[] = {{"root-key", .path = in.root_key},
                                          {"to", .text = &o.to},
                                          {"passphrase-file", .text = &o.old_file},
                                          {"new-passphrase-file", .text = &o.new_file},
                                          {0}};
    TRY(verb_open(argc, argv, keys_usage, options, &in, err));
    if (o.to != NULL) {
        return move(&in, &o, err);
    }
    TRY(word_root_kind(&in, &kind, err));
    printf("%s\n", root_kind_name(kind));
    return SL_OK;
}

int verb_keys(int argc, char **argv) {
    static const struct {
        const char *name;
        struct sl_rc (*run)(int argc, char **argv, struct sl_error *err);
    } words[] = {
        {"root", root}, {"backup", backup_verb}, {"restore", restore_verb}, {"drill", drill_verb}};
    struct sl_error err = {0};
    const char *word = argc > 1 ? argv[1] : "";
    if (strcmp(word, "--help") == 0) {
        fputs(keys_usage, stdout);
        return 0;
    }
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(word, words[i].name) == 0) {
            struct sl_rc rc = words[i].run(argc - 1, argv + 1, &err);
            int code = sl_is_ok(rc) ? 0 : verb_report(&err, rc);
            return rc.code == SL_E_CORRUPT ? KEYS_EXIT_ALTERED : code;
        }
    }
    return verb_report(&err, sl_fail(&err, SL_E_VALIDATION, "%s", keys_usage));
}

int verb_unseal(int argc, char **argv) {
    static struct instance in;
    const char *file = NULL;
    const struct verb_option options[] = {{"passphrase-file", .text = &file}, {0}};
    struct sl_error err = {0};
    struct secret word = {0};
    enum root_kind kind = ROOT_FILE;
    struct sl_rc rc = verb_open(argc, argv, unseal_usage, options, &in, &err);
    rc = sl_is_ok(rc) ? word_root_kind(&in, &kind, &err) : rc;
    rc = sl_is_ok(rc) ? word_read(file, kind, false, &word, &err) : rc;
    rc = sl_is_ok(rc)
             ? admin_call(&in, ADMIN_UNSEAL, secret_view(&word), UNSEAL_MS, NULL, NULL, &err)
             : rc;
    secret_fini(&word);
    if (sl_is_ok(rc)) {
        printf("The keys are open\n");
    }
    return sl_is_ok(rc) ? 0 : verb_report(&err, rc);
}
