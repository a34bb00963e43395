/* `sealift keys backup`: all that is needed to decrypt again, in one file under a passphrase.
 * `sealift keys restore` makes a data directory's key store of it, `sealift keys drill` proves that
 * it would. Who makes a backup has to have what opens the instance: its root. */
#include "cli/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cli/admin.h"
#include "cli/store.h"
#include "cli/verb.h"
#include "cli/word.h"
#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "server/keys/keyholder.h"

static const char usage[] =
    "usage: sealift keys backup --to FILE [--data DIR] [--passphrase-file FILE] [--root-key FILE]\n"
    "                           [--root-passphrase-file FILE]\n"
    "       sealift keys restore --from FILE --data DIR [--passphrase-file FILE] [--root KIND]\n"
    "                           [--root-key FILE] [--root-passphrase-file FILE]\n"
    "       sealift keys drill --from FILE [--data DIR] [--passphrase-file FILE]\n"
    "backup   writes one encrypted file with all that is needed to decrypt again: keys, policies,\n"
    "         identities, certificates. The instance may be up or down. Objects and tables are\n"
    "         not in it.\n"
    "restore  makes a new data directory's key store of it, under a root of your choice (file,\n"
    "         passphrase or pkcs11:…; see sealift keys --help); then start it with sealift up.\n"
    "drill    restores it into a private folder, uses every key, and leaves nothing behind. Exit\n"
    "         code 0 when it restores, 2 when it was altered.\n"
    "  --passphrase-file FILE       the backup's passphrase (default: the terminal is asked)\n"
    "  --root-passphrase-file FILE  passphrase or PIN of the instance's root, where it needs one\n";

enum { MEMORY_SPARE_BYTES = 64 * 1024 * 1024, DATABASE_CHUNK_BYTES = 64 * 1024 };

struct backup_options {
    const char *file, *word_file, *root, *root_word_file;
};

static struct sl_rc parse(int argc, char **argv, const char *direction, struct instance *in,
                          struct backup_options *o, struct sl_error *err) {
    const struct verb_option options[] = {{direction, .text = &o->file},
                                          {"passphrase-file", .text = &o->word_file},
                                          {"root", .text = &o->root},
                                          {"root-key", .path = in->root_key},
                                          {"root-passphrase-file", .text = &o->root_word_file},
                                          {0}};
    TRY(verb_options(argc, argv, usage, options, in, err));
    ENSURE(optind == argc, err, SL_E_VALIDATION, "%s", usage);
    ENSURE(o->file != NULL, err, SL_E_VALIDATION, "--%s FILE is missing\n%s", direction, usage);
    return SL_OK;
}

/* ---- backup ---- */

/* What a backup is made with: a keyholder of its own, and the instance's kms or one of its own. */
struct source {
    struct instance *in;
    struct supervisor alone;
    struct secret root_word, passphrase;
    struct keyholder *keys;
    int kms;
};

static struct sl_rc open_source(struct source *s, const struct backup_options *o, bool up,
                                struct sl_error *err) {
    enum root_kind kind;
    int channel = -1;
    TRY(word_root_kind(s->in, &kind, err));
    if (root_needs_word(kind)) {
        TRY(word_read(o->root_word_file, kind, false, &s->root_word, err));
        s->alone.word = &s->root_word;
    }
    TRY(word_read(o->word_file, ROOT_PASSPHRASE, true, &s->passphrase, err));
    TRY(root_word_check(ROOT_PASSPHRASE, secret_view(&s->passphrase), err));
    TRY(supervise_keyholder_alone(&s->alone, s->in, &channel, err));
    TRY(keyholder_open(channel, &s->keys, err));
    if (up) {
        return admin_kms(s->in, &s->kms, err);
    }
    TRY(supervise_kms_alone(&s->alone, err));
    return supervise_connect(&s->alone, &s->kms, err);
}

static void close_source(struct source *s) {
    if (s->kms >= 0) {
        close(s->kms);
    }
    keyholder_close(s->keys);
    if (s->alone.in != NULL) {
        supervise_end_alone(&s->alone);
    }
    secret_fini(&s->root_word);
    secret_fini(&s->passphrase);
}

static struct sl_rc put_client(struct source *s, struct backup_writer *w, struct sl_error *err) {
    SL_CLEANUP(buf_fini) struct buf client = {.max = LIMIT_BACKUP_CLIENT_BYTES - 1, .wipe = true};
    uint8_t len[2];
    char path[INSTANCE_PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/client.json", s->in->config);
    struct sl_rc rc = file_load(path, &client, err);
    ENSURE(sl_is_ok(rc) || rc.code == SL_E_NOT_FOUND, err, rc.code, "%s can't be read", path);
    sl_error_clear(err);
    len[0] = (uint8_t)(client.len >> 8);
    len[1] = (uint8_t)client.len;
    TRY(backup_put(w, slice_of(len, sizeof len), err));
    return backup_put(w, buf_slice(&client), err);
}

/* kms's snapshot, which goes as soon as it is open. */
static struct sl_rc put_database(struct source *s, struct backup_writer *w, struct sl_error *err) {
    char path[INSTANCE_PATH_MAX];
    uint8_t mem[DATABASE_CHUNK_BYTES];
    instance_path(s->in, "kms/" SEAM_BACKUP_FILE, path, sizeof path);
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ENSURE(fd >= 0, err, SL_E_IO, "%s: %m", path);
    (void)unlink(path);
    struct sl_rc rc = SL_OK;
    ssize_t n = 1;
    while (sl_is_ok(rc) && (n = read(fd, mem, sizeof mem)) > 0) {
        rc = backup_put(w, slice_of(mem, (size_t)n), err);
    }
    close(fd);
    TRY(rc);
    ENSURE(n == 0, err, SL_E_IO, "%s: %m", path);
    return SL_OK;
}

static struct sl_rc write_backup(struct source *s, const struct backup_header *h, const char *file,
                                 struct sl_error *err) {
    SL_CLEANUP(secret_fini) struct secret key = {0};
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(64 * 1024 * 1024);
    struct backup_writer *w = NULL;
    char id[SEAM_BACKUP_ID_CHARS + 1];
    store_backup_id(h, id);
    TRY(keyholder_derive(s->keys, BACKUP_LABEL, &key, err));
    TRY(backup_create(file, h, &key, &w, err));
    struct sl_rc rc = put_client(s, w, err);
    rc = sl_is_ok(rc) ? seam_backup(s->kms, id, &a, err) : rc;
    rc = sl_is_ok(rc) ? put_database(s, w, err) : rc;
    rc = sl_is_ok(rc) ? backup_finish(w, err) : rc;
    backup_writer_free(w);
    return rc;
}

static struct sl_rc backup(struct instance *in, const struct backup_options *o,
                           struct sl_error *err) {
    static struct source s;
    SL_CLEANUP(buf_fini) struct buf domain = BUF_INIT(LIMIT_DOMAIN_FILE_BYTES);
    uint8_t salt[BACKUP_SALT_LEN];
    bool up = instance_running(in) != 0;
    s = (struct source){.in = in, .kms = -1};
    crypto_random(salt, sizeof salt);
    if (!up) {
        TRY(instance_lock(in, err));
    }
    struct sl_rc rc = open_source(&s, o, up, err);
    rc = sl_is_ok(rc) ? supervise_wrap(&s.alone, secret_view(&s.passphrase), &domain, err) : rc;
    if (sl_is_ok(rc)) {
        struct backup_header h = {.made_ms = clock_real_ms(),
                                  .salt = slice_of(salt, sizeof salt),
                                  .instance = slice_cstr(in->id),
                                  .account = slice_cstr(in->account),
                                  .region = slice_cstr(in->region),
                                  .created_s = in->created_s,
                                  .ephemeral = in->ephemeral,
                                  .domain = buf_slice(&domain)};
        rc = write_backup(&s, &h, o->file, err);
    }
    close_source(&s);
    TRY(rc);
    printf("The key store is in %s\nnext: sealift keys drill --from %s\n", o->file, o->file);
    return SL_OK;
}

struct sl_rc backup_verb(int argc, char **argv, struct sl_error *err) {
    static struct instance in;
    struct backup_options o = {0};
    instance_default_data(in.data, sizeof in.data);
    TRY(parse(argc, argv, "to", &in, &o, err));
    ENSURE(o.root == NULL, err, SL_E_VALIDATION, "%s", usage);
    TRY(instance_load(&in, err));
    return backup(&in, &o, err);
}

/* ---- restore ---- */

/* ^C ends the children, so what runs fails, and is cleared away before we go too. */
static void hold_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

static struct sl_rc open_backup(const struct backup_options *o, struct backup_reader **ret_file,
                                struct secret *ret_word, struct sl_error *err) {
    char made[21];
    TRY(backup_open(o->file, ret_file, err));
    const struct backup_header *h = backup_header(*ret_file);
    clock_iso(h->made_ms / 1000, made);
    printf("backup       of instance %.*s, account %.*s, region %.*s, made %s\n",
           SLICE_FMT(h->instance), SLICE_FMT(h->account), SLICE_FMT(h->region), made);
    fflush(stdout);
    return word_read(o->word_file, ROOT_PASSPHRASE, false, ret_word, err);
}

/* The restored store under the root that was asked for. */
static struct sl_rc change_root(struct instance *in, const char *root, const struct secret *was,
                                const struct secret *will, struct sl_error *err) {
    static struct supervisor mover;
    in->move_to = root;
    return supervise_move(&mover, in, was, will, err);
}

static struct sl_rc keep_client(const struct instance *in, struct slice client,
                                struct sl_error *err) {
    char path[INSTANCE_PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/client.json", in->config);
    return client.len == 0 || access(path, F_OK) == 0 ? SL_OK
                                                      : file_replace(path, client, 0600, err);
}

struct root_choice {
    const char *text;
    struct root_place place;
    struct secret word;
};

static struct sl_rc restore_into(struct instance *in, struct backup_reader *file,
                                 const struct secret *passphrase, const struct root_choice *root,
                                 struct sl_error *err) {
    static struct store s;
    struct sl_rc rc = store_open(&s, in, file, passphrase, err);
    bool adopted = s.alone.in != NULL;
    rc = sl_is_ok(rc) ? store_check(&s, err) : rc;
    rc = sl_is_ok(rc) ? seam_backup_note(s.kms, s.id, true, true, err) : rc;
    rc = sl_is_ok(rc) && root->place.kind == ROOT_FILE
             ? instance_root_outside(in, root->place.file[0] ? root->place.file : in->root_key, err)
             : rc;
    rc = sl_is_ok(rc) ? instance_make_config(in, err) : rc;
    rc = sl_is_ok(rc) ? keep_client(in, buf_slice(&s.client), err) : rc;
    store_close(&s);
    rc = sl_is_ok(rc) ? change_root(in, root->text, passphrase, &root->word, err) : rc;
    rc = sl_is_ok(rc) ? instance_save(in, err) : rc;
    if (sl_failed(rc) && adopted) {
        sl_ignore(folder_remove(in->data, true, NULL));
    }
    return rc;
}

static struct sl_rc restore(struct instance *in, const struct backup_options *o,
                            struct sl_error *err) {
    SL_CLEANUP(secret_fini) struct secret passphrase = {0};
    struct root_choice root = {.text = o->root != NULL ? o->root : "file"};
    struct backup_reader *file = NULL;
    /* A root in the default place has none before the instance has its name. */
    TRY(root_place_parse(root.text, in->root_key[0] != '\0' ? in->root_key : "/", &root.place,
                         err));
    if (strcmp(root.text, "file") == 0) {
        root.place.file[0] = '\0';
    }
    struct sl_rc rc = open_backup(o, &file, &passphrase, err);
    if (sl_is_ok(rc) && root_needs_word(root.place.kind)) {
        rc = word_read(o->root_word_file, root.place.kind, true, &root.word, err);
    }
    hold_signals();
    rc = sl_is_ok(rc) ? restore_into(in, file, &passphrase, &root, err) : rc;
    backup_reader_free(file);
    secret_fini(&root.word);
    TRY(rc);
    printf("The key store is restored in %s\nnext: sealift up --data %s", in->data, in->data);
    if (root.place.kind == ROOT_FILE) {
        printf(" --root-key %s", root.place.file[0] ? root.place.file : in->root_key);
    }
    printf("\n");
    return SL_OK;
}

struct sl_rc restore_verb(int argc, char **argv, struct sl_error *err) {
    static struct instance in;
    struct backup_options o = {0};
    TRY(parse(argc, argv, "from", &in, &o, err));
    ENSURE(in.data[0] != '\0', err, SL_E_VALIDATION, "--data DIR is missing\n%s", usage);
    return restore(&in, &o, err);
}

/* ---- drill ---- */

/* In memory where there is enough of it: what is sealed stays sealed, but why wear a disk? */
static struct sl_rc private_folder(const char *backup_file, char *out, size_t size,
                                   struct sl_error *err) {
    struct statfs fs;
    struct stat st;
    const char *elsewhere = getenv("TMPDIR");
    bool memory = statfs("/dev/shm", &fs) == 0 && fs.f_type == TMPFS_MAGIC &&
                  access("/dev/shm", W_OK) == 0 && stat(backup_file, &st) == 0 &&
                  (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize / 4 >
                      (uint64_t)st.st_size + MEMORY_SPARE_BYTES;
    snprintf(out, size, "%s/sealift-drill-XXXXXX",
             memory                                     ? "/dev/shm"
             : elsewhere != NULL && elsewhere[0] == '/' ? elsewhere
                                                        : "/tmp");
    ENSURE(mkdtemp(out) != NULL, err, SL_E_IO, "%s: %m", out);
    return SL_OK;
}

/* In the running instance, if there is one. */
static void note_drill(struct instance *in, const char *id, bool good) {
    struct sl_error err = {0};
    int kms = -1;
    if (sl_failed(instance_load(in, &err)) || instance_running(in) == 0) {
        return;
    }
    sl_error_clear(&err);
    struct sl_rc rc = admin_kms(in, &kms, &err);
    rc = sl_is_ok(rc) ? seam_backup_note(kms, id, false, good, &err) : rc;
    if (kms >= 0) {
        close(kms);
    }
    if (sl_failed(rc)) {
        printf("note         not recorded in %s: %s\n", in->data, sl_error_message(&err, rc.code));
    }
}

static struct sl_rc drill(struct instance *in, const struct backup_options *o,
                          struct sl_error *err) {
    static struct instance copy;
    static struct store s;
    SL_CLEANUP(secret_fini) struct secret passphrase = {0};
    struct backup_reader *file = NULL;
    struct sl_rc rc = open_backup(o, &file, &passphrase, err);
    hold_signals();
    rc = sl_is_ok(rc) ? private_folder(o->file, copy.data, sizeof copy.data, err) : rc;
    if (sl_failed(rc)) {
        backup_reader_free(file);
        return rc;
    }
    char folder[INSTANCE_PATH_MAX];
    snprintf(folder, sizeof folder, "%s", copy.data);
    rc = store_open(&s, &copy, file, &passphrase, err);
    rc = sl_is_ok(rc) ? store_check(&s, err) : rc;
    store_close(&s);
    struct sl_rc removed = folder_remove(folder, false, err);
    rc = sl_is_ok(rc) ? removed : rc;
    note_drill(in, s.id, sl_is_ok(rc));
    backup_reader_free(file);
    printf("verdict      the backup %s\n", sl_is_ok(rc) ? "restores" : "DOES NOT RESTORE");
    fflush(stdout);
    return rc;
}

struct sl_rc drill_verb(int argc, char **argv, struct sl_error *err) {
    static struct instance in;
    struct backup_options o = {0};
    instance_default_data(in.data, sizeof in.data);
    TRY(parse(argc, argv, "from", &in, &o, err));
    ENSURE(o.root == NULL && o.root_word_file == NULL, err, SL_E_VALIDATION, "%s", usage);
    return drill(&in, &o, err);
}
