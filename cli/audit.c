/* `sealift audit verify | head | search`: the log is read from its files; what needs the audit key
 * is asked of the running instance's kms, or of a keyholder started for it. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/admin.h"
#include "cli/audit.h"
#include "cli/verb.h"
#include "cli/verbs.h"
#include "cli/word.h"
#include "server/audit/audit.h"
#include "server/keys/keyholder.h"

enum { FILE_BYTES_MAX = 64 * 1024 };

static const char usage[] =
    "usage: sealift audit verify [--head FILE|-] [--no-keys] [--root-key FILE] [--passphrase-file "
    "FILE]\n"
    "                            [--data DIR]\n"
    "       sealift audit head [--data DIR]\n"
    "       sealift audit search [--key ID|ARN] [--principal ARN|NAME] [--event NAME] [--request "
    "ID]\n"
    "                            [--from TIME] [--to TIME] [--errors] [--json] [--data DIR]\n"
    "verify  finds every alteration by someone without the audit key, on an instance that is up or "
    "down;\n        --head compares with a head kept elsewhere, which shows a tail that was cut;\n"
    "        --no-keys checks heads and sequence only. Exit code 0: as written, 2: altered, 1: not "
    "checked.\n"
    "head    prints a signed line that names the last record: keep it where the log is not.\n"
    "search  prints the events that match, oldest first; times as 2026-11-24T03:37:16Z.\n";

struct audit_options {
    const char *head; /* file, "-", or NULL */
    bool no_keys;
    const char *word_file; /* or NULL */
};

static struct sl_rc parse(int argc, char **argv, struct instance *in, struct audit_options *o,
                          struct sl_error *err) {
    const struct verb_option options[] = {{"head", .text = &o->head},
                                          {"no-keys", .flag = &o->no_keys},
                                          {"passphrase-file", .text = &o->word_file},
                                          {"root-key", .path = in->root_key},
                                          {0}};
    return verb_open(argc, argv, usage, options, in, err);
}

static void print_line(void *user, const char *line) {
    printf("%s\n", line);
    fflush(stdout);
}

/* ---- verify ---- */

static struct sl_rc check_by_kms(void *user, uint64_t segment,
                                 const uint8_t previous[AUDIT_MAC_LEN],
                                 const struct audit_line *lines, size_t count, size_t *ret_good,
                                 struct sl_error *err) {
    const int *kms = user;
    struct seam_audit_record *records = calloc(count, sizeof *records);
    ENSURE(records != NULL, err, SL_E_NOMEM, "Out of memory.");
    for (size_t i = 0; i < count; i++) {
        records[i] = (struct seam_audit_record){lines[i].record, lines[i].mac};
    }
    struct sl_rc rc =
        seam_audit_check(*kms, segment, lines[0].seq, previous, records, count, err, ret_good);
    free(records);
    return rc;
}

static struct sl_rc compare_head(const char *dir, struct slice head, struct sl_error *err) {
    return audit_verify_head(dir, head, print_line, NULL, err);
}

/* kms's own head tells its key, and is itself one to compare with. */
static struct sl_rc verify_up(const struct instance *in, const char *dir, struct sl_error *err) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(64 * 1024);
    struct slice head;
    struct audit_point point;
    int kms = -1;
    TRY(admin_kms(in, &kms, err));
    struct audit_judge judge = {.check = check_by_kms, .user = &kms};
    struct sl_rc rc = seam_audit_head(kms, &a, err, &head);
    rc = sl_is_ok(rc) ? audit_head_parse(head, &point, judge.public_key, err) : rc;
    rc = sl_is_ok(rc) ? audit_verify(dir, &judge, print_line, NULL, err) : rc;
    close(kms);
    return sl_is_ok(rc) ? compare_head(dir, head, err) : rc;
}

static struct sl_rc verify_down(struct instance *in, const struct audit_options *o, const char *dir,
                                struct sl_error *err) {
    static struct supervisor alone;
    SL_CLEANUP(secret_fini) struct secret word = {0};
    enum root_kind kind;
    struct keyholder *keys = NULL;
    struct audit_judge judge;
    int channel = -1;
    TRY(word_root_kind(in, &kind, err));
    if (root_needs_word(kind)) {
        TRY(word_read(o->word_file, kind, false, &word, err));
        alone.word = &word;
    }
    struct sl_rc rc = supervise_keyholder_alone(&alone, in, &channel, err);
    alone.word = NULL;
    if (sl_failed(rc)) {
        sl_hint(err, "--no-keys checks heads and sequence without the keyholder");
        return rc;
    }
    rc = keyholder_open(channel, &keys, err);
    if (sl_is_ok(rc)) {
        rc = audit_judge_of(keys, &judge, err);
        rc = sl_is_ok(rc) ? audit_verify(dir, &judge, print_line, NULL, err) : rc;
        keyholder_close(keys);
    }
    supervise_end_alone(&alone);
    return rc;
}

static struct sl_rc read_head(const char *name, struct buf *ret, struct sl_error *err) {
    int fd = strcmp(name, "-") == 0 ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
    ENSURE(fd >= 0, err, SL_E_IO, "%s: %m", name);
    uint8_t mem[AUDIT_HEAD_LINE_MAX];
    ssize_t n;
    while ((n = read(fd, mem, sizeof mem)) > 0) {
        buf_put(ret, slice_of(mem, (size_t)n));
    }
    if (fd != STDIN_FILENO) {
        close(fd);
    }
    ENSURE(n == 0, err, SL_E_IO, "%s: %m", name);
    return buf_check(ret, err);
}

static struct sl_rc verify(struct instance *in, const struct audit_options *o,
                           struct sl_error *err) {
    SL_CLEANUP(buf_fini) struct buf head = BUF_INIT(AUDIT_HEAD_LINE_MAX);
    char dir[INSTANCE_PATH_MAX];
    instance_path(in, "kms/audit", dir, sizeof dir);
    if (o->head != NULL) {
        TRY(read_head(o->head, &head, err));
    }
    TRY(o->no_keys                  ? audit_verify(dir, NULL, print_line, NULL, err)
        : instance_running(in) != 0 ? verify_up(in, dir, err)
                                    : verify_down(in, o, dir, err));
    return o->head != NULL ? compare_head(dir, buf_slice(&head), err) : SL_OK;
}

/* ---- head ---- */

/* Of a stopped instance: the head that closed the last segment. */
static struct sl_rc head_down(const struct instance *in, struct sl_error *err) {
    char dir[INSTANCE_PATH_MAX], name[32], path[INSTANCE_PATH_MAX + 32];
    uint64_t *firsts = NULL;
    size_t count = 0;
    instance_path(in, "kms/audit", dir, sizeof dir);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ENSURE(fd >= 0, err, SL_E_IO, "%s: %m", dir);
    struct sl_rc rc = audit_list(fd, ".log", &firsts, &count, err);
    close(fd);
    TRY(rc);
    audit_name(name, count > 0 ? firsts[count - 1] : 0, ".head");
    free(firsts);
    snprintf(path, sizeof path, "%s/%s", dir, name);
    SL_CLEANUP(buf_fini) struct buf line = BUF_INIT(FILE_BYTES_MAX);
    if (access(path, F_OK) != 0) {
        sl_hint(err, "start it with: sealift up --data %s", in->data);
        return sl_fail(err, SL_E_NOT_FOUND, "the log's last segment was not closed");
    }
    TRY(file_load(path, &line, err));
    fwrite(line.ptr, 1, line.len, stdout);
    return SL_OK;
}

static struct sl_rc head(const struct instance *in, struct sl_error *err) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(64 * 1024);
    struct slice line;
    int kms = -1;
    if (instance_running(in) == 0) {
        return head_down(in, err);
    }
    TRY(admin_kms(in, &kms, err));
    struct sl_rc rc = seam_audit_head(kms, &a, err, &line);
    close(kms);
    TRY(rc);
    fwrite(line.ptr, 1, line.len, stdout);
    return SL_OK;
}

int verb_audit(int argc, char **argv) {
    static struct instance in;
    struct audit_options o = {0};
    struct sl_error err = {0};
    const char *what = argc > 1 ? argv[1] : "";
    struct sl_rc rc;
    if (strcmp(what, "--help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    if (strcmp(what, "search") == 0) {
        rc = audit_search_verb(argc - 1, argv + 1, usage, &err);
    } else if (strcmp(what, "verify") == 0) {
        rc = parse(argc - 1, argv + 1, &in, &o, &err);
        rc = sl_is_ok(rc) ? verify(&in, &o, &err) : rc;
    } else if (strcmp(what, "head") == 0) {
        rc = parse(argc - 1, argv + 1, &in, &o, &err);
        rc = sl_is_ok(rc) ? head(&in, &err) : rc;
    } else {
        rc = sl_fail(&err, SL_E_VALIDATION, "%s", usage);
    }
    if (sl_is_ok(rc)) {
        return 0;
    }
    int code = verb_report(&err, rc);
    return rc.code == SL_E_CORRUPT ? AUDIT_EXIT_ALTERED : code;
}
