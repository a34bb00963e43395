/* See store.h. The body of a backup is vec16 credentials file | the database; both count only once
 * its last chunk has opened. */
#include "cli/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/fd.h"
#include "lib/base/folder.h"
#include "lib/base/limits.h"
#include "lib/base/rdr.h"
#include "lib/codec/text.h"
#include "server/keys/keyholder.h"

void store_backup_id(const struct backup_header *h, char out[SEAM_BACKUP_ID_CHARS + 1]) {
    for (size_t i = 0; i < SEAM_BACKUP_ID_CHARS / 2; i++) {
        snprintf(out + 2 * i, 3, "%02x", h->salt.ptr[i]);
    }
}

static struct sl_rc adopt(struct store *s, const struct backup_header *h, struct sl_error *err) {
    struct instance *in = s->in;
    struct slice texts[] = {h->instance, h->account, h->region};
    char *const out[] = {in->id, in->account, in->region};
    const size_t sizes[] = {sizeof in->id, sizeof in->account, sizeof in->region};
    for (size_t i = 0; i < 3; i++) {
        ENSURE(texts[i].len < sizes[i], err, SL_E_CORRUPT,
               "the backup's header is not well-formed");
        memcpy(out[i], texts[i].ptr, texts[i].len);
        out[i][texts[i].len] = '\0';
    }
    in->created_s = h->created_s;
    in->ephemeral = h->ephemeral;
    snprintf(in->listen, sizeof in->listen, "127.0.0.1");
    TRY(instance_adopt(in, err));
    return supervise_folders(&s->alone, in, err);
}

static struct sl_rc open_keyholder(struct store *s, const struct backup_header *h,
                                   const struct secret *passphrase, struct secret *ret_key,
                                   struct sl_error *err) {
    char path[INSTANCE_PATH_MAX];
    struct keyholder *keys = NULL;
    int channel = -1;
    instance_path(s->in, "keys/domain", path, sizeof path);
    TRY(file_replace(path, h->domain, 0600, err));
    s->alone.word = passphrase;
    struct sl_rc rc = supervise_keyholder_alone(&s->alone, s->in, &channel, err);
    s->alone.word = NULL;
    if (rc.code == SL_E_ACCESS_DENIED) {
        sl_hint(err, "either it is the wrong one, or the backup's header was altered");
    }
    TRY(rc);
    TRY(keyholder_open(channel, &keys, err));
    rc = keyholder_derive(keys, BACKUP_LABEL, ret_key, err);
    keyholder_close(keys);
    return rc;
}

/* Takes the credentials off the front of the body; *rest is what follows them in this chunk. */
static struct sl_rc take_client(struct store *s, struct backup_reader *from, struct slice *rest,
                                struct sl_error *err) {
    struct slice chunk;
    size_t want = 2;
    SL_CLEANUP(buf_fini) struct buf front = {.max = LIMIT_BACKUP_CLIENT_BYTES + 2, .wipe = true};
    *rest = SLICE_EMPTY;
    while (front.len < want) {
        if (rest->len == 0) {
            TRY(backup_read(from, &chunk, err));
            ENSURE(chunk.len > 0, err, SL_E_CORRUPT, "the backup's body is cut short");
            *rest = chunk;
        }
        struct slice part = slice_sub(*rest, 0, want - front.len);
        buf_put(&front, part);
        *rest = slice_sub(*rest, part.len, rest->len);
        want = front.len < 2 ? 2 : 2 + (size_t)(front.ptr[0] << 8 | front.ptr[1]);
    }
    TRY(buf_check(&front, err));
    buf_put(&s->client, slice_sub(buf_slice(&front), 2, front.len));
    return buf_check(&s->client, err);
}

static struct sl_rc unpack(struct store *s, struct backup_reader *from, int fd,
                           struct sl_error *err) {
    struct slice bytes;
    uint32_t owner = supervise_uid(s->in, CHILD_KMS);
    ENSURE(fchown(fd, owner, owner) == 0, err, SL_E_IO, "fchown: %m");
    TRY(take_client(s, from, &bytes, err));
    do {
        struct sl_rc rc = fd_write(fd, bytes);
        ENSURE(sl_is_ok(rc), err, rc.code, "the database can't be written: %m");
        TRY(backup_read(from, &bytes, err));
    } while (bytes.len > 0);
    ENSURE(fsync(fd) == 0, err, SL_E_IO, "fsync: %m");
    return SL_OK;
}

static struct sl_rc write_database(struct store *s, struct backup_reader *from,
                                   struct sl_error *err) {
    char path[INSTANCE_PATH_MAX];
    instance_path(s->in, "kms/kms.db", path, sizeof path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    ENSURE(fd >= 0, err, SL_E_IO, "%s: %m", path);
    struct sl_rc rc = unpack(s, from, fd, err);
    close(fd);
    return sl_is_ok(rc) ? folder_sync_of(path, err) : rc;
}

struct sl_rc store_open(struct store *s, struct instance *in, struct backup_reader *from,
                        const struct secret *passphrase, struct sl_error *err) {
    SL_CLEANUP(secret_fini) struct secret key = {0};
    const struct backup_header *h = backup_header(from);
    *s = (struct store){
        .in = in, .kms = -1, .client = {.max = LIMIT_BACKUP_CLIENT_BYTES, .wipe = true}};
    s->alone.keyholder_control = -1;
    store_backup_id(h, s->id);
    TRY(adopt(s, h, err));
    TRY(open_keyholder(s, h, passphrase, &key, err));
    TRY(backup_unlock(from, &key, err));
    TRY(write_database(s, from, err));
    TRY(supervise_kms_alone(&s->alone, err));
    return supervise_connect(&s->alone, &s->kms, err);
}

static void print_tally(enum seam_backup_kind kind, const struct seam_backup_tally *t) {
    static const char *const lines[SEAM_BACKUP_KINDS][2] = {
        [SEAM_BACKUP_DATABASE] = {"database", "sound"},
        [SEAM_BACKUP_KEYS] = {"keys", "genuine and usable"},
        [SEAM_BACKUP_ACCESS_KEYS] = {"access keys", "open"},
        [SEAM_BACKUP_TLS] = {"TLS keys", "open"},
        [SEAM_BACKUP_HEADS] = {"audit heads", "signed by this store"}};
    printf("%-12s %u of %u %s", lines[kind][0], t->good, t->seen, lines[kind][1]);
    if (kind == SEAM_BACKUP_KEYS) {
        printf(", %u key materials proven", t->materials);
    }
    printf("\n");
    if (t->problem.len > 0) {
        printf("             %.*s\n", SLICE_FMT(t->problem));
    }
}

struct sl_rc store_check(struct store *s, struct sl_error *err) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(16 * 1024 * 1024);
    bool good = true;
    for (int kind = 0; kind < SEAM_BACKUP_KINDS; kind++) {
        struct seam_backup_tally t = {0};
        TRY(seam_backup_check(s->kms, (enum seam_backup_kind)kind, &a, err, &t));
        print_tally((enum seam_backup_kind)kind, &t);
        good &= t.good == t.seen;
    }
    ENSURE(good, err, SL_E_CORRUPT, "the backup does not restore");
    return SL_OK;
}

void store_close(struct store *s) {
    if (s->kms >= 0) {
        close(s->kms);
        s->kms = -1;
    }
    if (s->alone.in != NULL) {
        supervise_end_alone(&s->alone);
    }
    buf_fini(&s->client);
}
