/* See backup_file.h. A chunk is held back until another follows or the end is known, since the last
 * one is sealed as such. */
#include "cli/backup_file.h"

#include "lib/base/fd.h"
#include "lib/base/folder.h"
#include "lib/base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, SEALED_CHUNK_BYTES = BACKUP_CHUNK_BYTES + GCM_TAG_LEN };

/* ---- writing ---- */

struct backup_writer {
    char path[PATH_BYTES], temp[PATH_BYTES + 8];
    int fd;
    struct backup_sealing *sealing;
    uint64_t index;
    size_t fill;
    uint8_t chunk[SEALED_CHUNK_BYTES];
};

static struct sl_rc write_all(struct backup_writer *w, struct slice s, struct sl_error *err) {
    struct sl_rc rc = fd_write(w->fd, s);
    ENSURE(sl_is_ok(rc), err, rc.code, "%s: %m", w->temp);
    return SL_OK;
}

static struct sl_rc begin(struct backup_writer *w, const struct backup_header *h,
                          const struct secret *store_key, struct sl_error *err) {
    SL_CLEANUP(buf_fini) struct buf head = BUF_INIT(LIMIT_BACKUP_HEADER_BYTES);
    uint8_t commitment[BACKUP_COMMITMENT_LEN];
    TRY(backup_put_head(&head, h, err));
    TRY(backup_sealing_new(store_key, h->salt, buf_slice(&head), &w->sealing, commitment, err));
    (void)unlink(w->temp); /* of an earlier crash */
    w->fd = open(w->temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    ENSURE(w->fd >= 0, err, SL_E_IO, "%s: %m", w->temp);
    ENSURE(fchmod(w->fd, 0600) == 0, err, SL_E_IO, "%s: %m", w->temp);
    TRY(write_all(w, buf_slice(&head), err));
    return write_all(w, slice_of(commitment, sizeof commitment), err);
}

struct sl_rc backup_create(const char *path, const struct backup_header *h,
                           const struct secret *store_key, struct backup_writer **ret,
                           struct sl_error *err) {
    ENSURE(strlen(path) < PATH_BYTES, err, SL_E_LIMIT, "%s: path too long", path);
    struct backup_writer *w = calloc(1, sizeof *w);
    ENSURE(w != NULL, err, SL_E_NOMEM, "Out of memory.");
    w->fd = -1;
    snprintf(w->path, sizeof w->path, "%s", path);
    snprintf(w->temp, sizeof w->temp, "%s.new", path);
    struct sl_rc rc = begin(w, h, store_key, err);
    if (sl_failed(rc)) {
        backup_writer_free(w);
        return rc;
    }
    *ret = w;
    return SL_OK;
}

static struct sl_rc end_chunk(struct backup_writer *w, bool final, struct sl_error *err) {
    TRY(backup_chunk_seal(w->sealing, w->index++, final, slice_of(w->chunk, w->fill), w->chunk));
    size_t len = w->fill + GCM_TAG_LEN;
    w->fill = 0;
    return write_all(w, slice_of(w->chunk, len), err);
}

struct sl_rc backup_put(struct backup_writer *w, struct slice bytes, struct sl_error *err) {
    while (bytes.len > 0) {
        if (w->fill == BACKUP_CHUNK_BYTES) {
            TRY(end_chunk(w, false, err));
        }
        struct slice part = slice_sub(bytes, 0, BACKUP_CHUNK_BYTES - w->fill);
        memcpy(w->chunk + w->fill, part.ptr, part.len);
        w->fill += part.len;
        bytes = slice_sub(bytes, part.len, bytes.len);
    }
    return SL_OK;
}

struct sl_rc backup_finish(struct backup_writer *w, struct sl_error *err) {
    TRY(end_chunk(w, true, err));
    ENSURE(fsync(w->fd) == 0, err, SL_E_IO, "%s: %m", w->temp);
    close(w->fd);
    w->fd = -1;
    if (rename(w->temp, w->path) != 0) {
        struct sl_rc rc = sl_fail(err, SL_E_IO, "%s: %m", w->path);
        (void)unlink(w->temp);
        return rc;
    }
    return folder_sync_of(w->path, err);
}

void backup_writer_free(struct backup_writer *w) {
    if (w == NULL) {
        return;
    }
    if (w->fd >= 0) {
        close(w->fd);
        (void)unlink(w->temp);
    }
    backup_sealing_free(w->sealing);
    secret_wipe(w->chunk, sizeof w->chunk);
    free(w);
}

/* ---- reading ---- */

struct backup_reader {
    char path[PATH_BYTES];
    int fd;
    uint64_t left; /* bytes of the body */
    uint64_t index;
    struct backup_sealing *sealing;
    struct backup_header header;
    uint8_t head[LIMIT_BACKUP_HEADER_BYTES]; /* the header lies here */
    uint8_t chunk[SEALED_CHUNK_BYTES];
};

/* As many as there are, at most `n`. */
static struct sl_rc read_some(struct backup_reader *r, uint8_t *out, size_t n, uint64_t at,
                              size_t *ret, struct sl_error *err) {
    size_t done = 0;
    ssize_t got = 1;
    while (done < n && got != 0) {
        got = pread(r->fd, out + done, n - done, (off_t)(at + done));
        ENSURE(got >= 0 || errno == EINTR, err, SL_E_IO, "%s: %m", r->path);
        done += got > 0 ? (size_t)got : 0;
    }
    *ret = done;
    return SL_OK;
}

static struct sl_rc start(struct backup_reader *r, struct sl_error *err) {
    struct stat st;
    struct sl_error why = {0};
    size_t n = 0;
    r->fd = open(r->path, O_RDONLY | O_CLOEXEC);
    ENSURE(r->fd >= 0, err, errno == ENOENT ? SL_E_NOT_FOUND : SL_E_IO, "%s: %m", r->path);
    ENSURE(fstat(r->fd, &st) == 0 && S_ISREG(st.st_mode), err, SL_E_IO, "%s: not a file", r->path);
    TRY(read_some(r, r->head, sizeof r->head, 0, &n, err));
    struct sl_rc rc = backup_parse(slice_of(r->head, n), &r->header, &why);
    ENSURE(sl_is_ok(rc), err, rc.code, "%s: %s", r->path, sl_error_message(&why, rc.code));
    ENSURE((uint64_t)st.st_size >= r->header.len + GCM_TAG_LEN, err, SL_E_CORRUPT,
           "%s: the backup is cut short", r->path);
    r->left = (uint64_t)st.st_size - r->header.len;
    return SL_OK;
}

struct sl_rc backup_open(const char *path, struct backup_reader **ret, struct sl_error *err) {
    ENSURE(strlen(path) < PATH_BYTES, err, SL_E_LIMIT, "%s: path too long", path);
    struct backup_reader *r = calloc(1, sizeof *r);
    ENSURE(r != NULL, err, SL_E_NOMEM, "Out of memory.");
    r->fd = -1;
    snprintf(r->path, sizeof r->path, "%s", path);
    struct sl_rc rc = start(r, err);
    if (sl_failed(rc)) {
        backup_reader_free(r);
        return rc;
    }
    *ret = r;
    return SL_OK;
}

const struct backup_header *backup_header(const struct backup_reader *r) {
    return &r->header;
}

struct sl_rc backup_unlock(struct backup_reader *r, const struct secret *store_key,
                           struct sl_error *err) {
    uint8_t commitment[BACKUP_COMMITMENT_LEN];
    TRY(backup_sealing_new(store_key, r->header.salt, r->header.head, &r->sealing, commitment,
                           err));
    ENSURE(secret_equal(slice_of(commitment, sizeof commitment), r->header.commitment), err,
           SL_E_CORRUPT, "%s: its header was altered", r->path);
    return SL_OK;
}

struct sl_rc backup_read(struct backup_reader *r, struct slice *ret, struct sl_error *err) {
    *ret = SLICE_EMPTY;
    if (r->left == 0) {
        return SL_OK;
    }
    bool final = r->left <= SEALED_CHUNK_BYTES;
    size_t want = final ? (size_t)r->left : SEALED_CHUNK_BYTES, got = 0;
    TRY(read_some(r, r->chunk, want, r->header.len + r->index * SEALED_CHUNK_BYTES, &got, err));
    struct sl_rc rc = got == want ? backup_chunk_open(r->sealing, r->index, final,
                                                      slice_of(r->chunk, got), r->chunk)
                                  : sl_rc_of(SL_E_CORRUPT);
    ENSURE(sl_is_ok(rc), err, rc.code, "%s was altered or cut: part %llu does not open", r->path,
           (unsigned long long)r->index + 1);
    r->index++;
    r->left -= want;
    *ret = slice_of(r->chunk, want - GCM_TAG_LEN);
    return SL_OK;
}

void backup_reader_free(struct backup_reader *r) {
    if (r == NULL) {
        return;
    }
    if (r->fd >= 0) {
        close(r->fd);
    }
    backup_sealing_free(r->sealing);
    secret_wipe(r->chunk, sizeof r->chunk);
    free(r);
}
