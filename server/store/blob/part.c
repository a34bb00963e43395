/* One sealed part file, written or read in order, chunk by chunk. A chunk is held back until it is
 * known whether another follows, since the last one is sealed with the final flag in its nonce. */
#include "server/store/blob/blob_in.h"

#include "lib/base/fd.h"
#include "lib/crypto/commit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    VERSION = 1,
    ALG = 1,
    MAGIC_LEN = 6,
    SALT_AT = MAGIC_LEN + 3 + 3 * BLOB_ID_LEN,
    COMMIT_AT = SALT_AT + BLOB_SALT_LEN,
    FLUSH_BYTES = 16 * 1024 * 1024, /* start write-back early, so that the final sync is short */
};
_Static_assert(COMMIT_AT + COMMITMENT_LEN == BLOB_HEADER_BYTES, "header layout");
static const char magic[] = "SLPART";

/* key || commitment, then the header that carries the commitment. */
struct sealing {
    struct aead *aead;
    uint8_t header[BLOB_HEADER_BYTES];
    uint8_t aad[SHA256_LEN];
};

static struct sl_rc sealing_init(struct sealing *s, const struct secret *data_key,
                                 const struct blob_owner *owner, const struct blob_id *part,
                                 const uint8_t salt[BLOB_SALT_LEN], struct sl_error *err) {
    static const uint8_t info[] = {'s', 'e', 'a', 'l', 'i', 'f', 't', '/',
                                   'p', 'a', 'r', 't', '/', '1', ALG, BLOB_CHUNK_LOG2};
    uint8_t *h = s->header;
    struct sl_rc rc = commit_aead(secret_view(data_key), slice_of(salt, BLOB_SALT_LEN),
                                  slice_of(info, sizeof info), &s->aead, h + COMMIT_AT);
    ENSURE(sl_is_ok(rc), err, rc.code, "no key for a part");
    memcpy(h, magic, MAGIC_LEN);
    h[MAGIC_LEN] = VERSION;
    h[MAGIC_LEN + 1] = ALG;
    h[MAGIC_LEN + 2] = BLOB_CHUNK_LOG2;
    memcpy(h + MAGIC_LEN + 3, owner->bucket.bytes, BLOB_ID_LEN);
    memcpy(h + MAGIC_LEN + 3 + BLOB_ID_LEN, owner->object.bytes, BLOB_ID_LEN);
    memcpy(h + MAGIC_LEN + 3 + 2 * BLOB_ID_LEN, part->bytes, BLOB_ID_LEN);
    memcpy(h + SALT_AT, salt, BLOB_SALT_LEN);
    sha256(slice_of(h, BLOB_HEADER_BYTES), s->aad);
    return SL_OK;
}

static void chunk_nonce(uint64_t index, bool final, uint8_t out[GCM_NONCE_LEN]) {
    memset(out, 0, GCM_NONCE_LEN);
    out[0] = final;
    for (int i = 0; i < 8; i++) {
        out[4 + i] = (uint8_t)(index >> (56 - 8 * i));
    }
}

static uint64_t chunk_count(uint64_t size) {
    return size == 0 ? 1 : (size - 1) / BLOB_CHUNK_BYTES + 1;
}

uint64_t blob_file_bytes(uint64_t size) {
    return BLOB_HEADER_BYTES + size + chunk_count(size) * BLOB_TAG_BYTES;
}

/* ---- writing */

struct blob_writer {
    struct blob_store *store;
    struct sealing seal;
    struct blob_part part;
    char path[BLOB_PATH_BYTES];
    int fd;
    bool finished;
    uint64_t index; /* of the chunk being gathered */
    uint64_t file_len;
    uint64_t flushed;
    size_t fill;
    uint8_t chunk[BLOB_CHUNK_BYTES + BLOB_TAG_BYTES];
};

static struct sl_rc io_failed(struct sl_error *err, int code, const char *what) {
    bool full = code == ENOSPC || code == EDQUOT || code == EFBIG;
    return sl_fail(err, full ? SL_E_FULL : SL_E_IO, "part file, %s: %s", what, strerror(code));
}

static struct sl_rc write_all(struct blob_writer *w, const uint8_t *p, size_t n,
                              struct sl_error *err) {
    if (sl_failed(fd_write(w->fd, slice_of(p, n)))) {
        return io_failed(err, errno, "write");
    }
    w->file_len += n;
    if (w->file_len - w->flushed >= FLUSH_BYTES) {
        (void)sync_file_range(w->fd, (off_t)w->flushed, (off_t)(w->file_len - w->flushed),
                              SYNC_FILE_RANGE_WRITE);
        w->flushed = w->file_len;
    }
    return SL_OK;
}

struct sl_rc blob_writer_new(struct blob_store *s, const struct secret *data_key,
                             const struct blob_owner *owner, struct blob_writer **ret,
                             struct sl_error *err) {
    struct blob_writer *w = malloc(sizeof *w);
    ENSURE(w != NULL, err, SL_E_NOMEM, "no memory for a part");
    memset(w, 0, offsetof(struct blob_writer, chunk));
    w->store = s;
    w->fd = -1;
    blob_id_random(&w->part.id);
    crypto_random(w->part.salt, sizeof w->part.salt);
    struct sl_rc rc = sealing_init(&w->seal, data_key, owner, &w->part.id, w->part.salt, err);
    if (sl_is_ok(rc)) {
        blob_path(&w->part.id, w->path);
        w->fd = openat(blob_dir_fd(s), w->path,
                       O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        rc = w->fd >= 0 ? write_all(w, w->seal.header, BLOB_HEADER_BYTES, err)
                        : io_failed(err, errno, "create");
    }
    if (sl_failed(rc)) {
        blob_writer_free(w);
        return rc;
    }
    *ret = w;
    return SL_OK;
}

static struct sl_rc seal_chunk(struct blob_writer *w, bool final, struct sl_error *err) {
    uint8_t nonce[GCM_NONCE_LEN];
    chunk_nonce(w->index, final, nonce);
    struct sl_rc rc = aead_seal(w->seal.aead, nonce, slice_of(w->seal.aad, sizeof w->seal.aad),
                                slice_of(w->chunk, w->fill), w->chunk);
    if (sl_failed(rc)) {
        return sl_fail(err, rc.code, "sealing a chunk failed");
    }
    TRY(write_all(w, w->chunk, w->fill + BLOB_TAG_BYTES, err));
    w->index++;
    w->fill = 0;
    return SL_OK;
}

struct sl_rc blob_write(struct blob_writer *w, struct slice plain, struct sl_error *err) {
    while (plain.len > 0) {
        if (w->fill == BLOB_CHUNK_BYTES) {
            TRY(seal_chunk(w, false, err));
        }
        size_t room = BLOB_CHUNK_BYTES - w->fill;
        size_t n = plain.len < room ? plain.len : room;
        memcpy(w->chunk + w->fill, plain.ptr, n);
        w->fill += n;
        w->part.size += n;
        plain = slice_sub(plain, n, plain.len);
    }
    return SL_OK;
}

static struct sl_rc sync_folder(struct blob_writer *w, struct sl_error *err) {
    char folder[3] = {w->path[0], w->path[1], '\0'};
    int fd = openat(blob_dir_fd(w->store), folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return io_failed(err, errno, "folder");
    }
    int code = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    return code == 0 ? SL_OK : io_failed(err, code, "folder sync");
}

struct sl_rc blob_finish(struct blob_writer *w, struct blob_part *ret, struct sl_error *err) {
    TRY(seal_chunk(w, true, err));
    if (fdatasync(w->fd) != 0) {
        return io_failed(err, errno, "sync");
    }
    TRY(sync_folder(w, err));
    w->finished = true;
    *ret = w->part;
    return SL_OK;
}

void blob_writer_free(struct blob_writer *w) {
    if (w == NULL) {
        return;
    }
    if (w->fd >= 0) {
        close(w->fd);
        if (!w->finished) {
            (void)unlinkat(blob_dir_fd(w->store), w->path, 0);
        }
    }
    aead_free(w->seal.aead);
    secret_wipe(w->chunk, w->fill);
    free(w);
}

/* ---- reading */

struct blob_reader {
    struct sealing seal;
    struct blob_part part;
    int fd;
    uint64_t at; /* next byte of plaintext to give */
    uint64_t to;
    size_t opened; /* bytes of plaintext in `chunk` */
    uint8_t chunk[BLOB_CHUNK_BYTES + BLOB_TAG_BYTES];
};

static struct sl_rc corrupt(const struct blob_reader *r, const char *what, struct sl_error *err) {
    char path[BLOB_PATH_BYTES];
    blob_path(&r->part.id, path);
    return sl_fail(err, SL_E_CORRUPT, "part %s: %s", path, what);
}

static struct sl_rc read_exact(struct blob_reader *r, uint8_t *out, size_t n, uint64_t offset,
                               struct sl_error *err) {
    while (n > 0) {
        ssize_t got = pread(r->fd, out, n, (off_t)offset);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return io_failed(err, errno, "read");
        }
        if (got == 0) {
            return corrupt(r, "cut short", err);
        }
        out += got;
        offset += (uint64_t)got;
        n -= (size_t)got;
    }
    return SL_OK;
}

static struct sl_rc reader_start(struct blob_reader *r, struct blob_store *s,
                                 const struct secret *data_key, const struct blob_owner *owner,
                                 struct sl_error *err) {
    char path[BLOB_PATH_BYTES];
    blob_path(&r->part.id, path);
    r->fd = openat(blob_dir_fd(s), path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (r->fd < 0) {
        return errno == ENOENT ? sl_fail(err, SL_E_NOT_FOUND, "part %s is missing", path)
                               : io_failed(err, errno, "open");
    }
    struct stat st;
    if (fstat(r->fd, &st) != 0) {
        return io_failed(err, errno, "stat");
    }
    if (r->part.size > (uint64_t)INT64_MAX / 2 ||
        (uint64_t)st.st_size != blob_file_bytes(r->part.size)) {
        return corrupt(r, "length differs", err);
    }
    uint8_t header[BLOB_HEADER_BYTES];
    TRY(read_exact(r, header, sizeof header, 0, err));
    TRY(sealing_init(&r->seal, data_key, owner, &r->part.id, r->part.salt, err));
    /* The whole header must be the one that the manifest and the key imply; its last field is the
     * commitment, so a wrong key ends here. */
    if (!secret_equal(slice_of(header, sizeof header),
                      slice_of(r->seal.header, sizeof r->seal.header))) {
        return corrupt(r, "header differs", err);
    }
    return SL_OK;
}

struct sl_rc blob_reader_open(struct blob_store *s, const struct secret *data_key,
                              const struct blob_owner *owner, const struct blob_part *part,
                              struct blob_reader **ret, struct sl_error *err) {
    struct blob_reader *r = malloc(sizeof *r);
    ENSURE(r != NULL, err, SL_E_NOMEM, "no memory for a part");
    memset(r, 0, offsetof(struct blob_reader, chunk));
    r->part = *part;
    r->to = part->size;
    r->fd = -1;
    struct sl_rc rc = reader_start(r, s, data_key, owner, err);
    if (sl_failed(rc)) {
        blob_reader_free(r);
        return rc;
    }
    *ret = r;
    return SL_OK;
}

void blob_reader_range(struct blob_reader *r, uint64_t from, uint64_t to) {
    sl_assert(from <= to && to <= r->part.size);
    r->at = from;
    r->to = to;
}

struct sl_rc blob_read(struct blob_reader *r, struct slice *ret, struct sl_error *err) {
    if (r->at >= r->to && r->part.size > 0) {
        *ret = SLICE_EMPTY;
        return SL_OK;
    }
    uint64_t index = r->at / BLOB_CHUNK_BYTES;
    uint64_t last = chunk_count(r->part.size) - 1;
    uint64_t start = index * BLOB_CHUNK_BYTES;
    size_t plain_len = (size_t)(index < last ? BLOB_CHUNK_BYTES : r->part.size - start);
    TRY(read_exact(r, r->chunk, plain_len + BLOB_TAG_BYTES,
                   BLOB_HEADER_BYTES + index * (BLOB_CHUNK_BYTES + BLOB_TAG_BYTES), err));
    uint8_t nonce[GCM_NONCE_LEN];
    chunk_nonce(index, index == last, nonce);
    r->opened = plain_len;
    if (sl_failed(aead_open(r->seal.aead, nonce, slice_of(r->seal.aad, sizeof r->seal.aad),
                            slice_of(r->chunk, plain_len + BLOB_TAG_BYTES), r->chunk))) {
        return corrupt(r, "a chunk's tag is wrong", err);
    }
    size_t skip = (size_t)(r->at - start);
    size_t n = plain_len - skip;
    if (n > r->to - r->at) {
        n = (size_t)(r->to - r->at);
    }
    *ret = slice_of(r->chunk + skip, n);
    r->at += n;
    return SL_OK;
}

void blob_reader_free(struct blob_reader *r) {
    if (r == NULL) {
        return;
    }
    if (r->fd >= 0) {
        close(r->fd);
    }
    aead_free(r->seal.aead);
    secret_wipe(r->chunk, r->opened);
    free(r);
}
