/* Sealed part files: DATA/s3/parts/<2 hex>/<32 hex part id>, format of
 * docs/decisions/5-object-format.md. The store is the folder: names, removal, the sweep of files
 * that a crash left behind, and pins that keep an object's files while somebody reads them. All
 * functions are thread-safe; a writer or reader belongs to one thread. */
#ifndef SL_STORE_BLOB_H
#define SL_STORE_BLOB_H

#include "lib/base/rc.h"
#include "lib/base/slice.h"
#include "lib/crypto/secret.h"

enum {
    BLOB_ID_LEN = 16,
    BLOB_SALT_LEN = 32,
    BLOB_CHUNK_LOG2 = 16,
    BLOB_CHUNK_BYTES = 1 << BLOB_CHUNK_LOG2,
    BLOB_TAG_BYTES = 16,
    BLOB_HEADER_BYTES = 121,
};

struct blob_id {
    uint8_t bytes[BLOB_ID_LEN];
};
void blob_id_random(struct blob_id *ret);
static inline bool blob_id_eq(const struct blob_id *a, const struct blob_id *b) {
    return memcmp(a->bytes, b->bytes, BLOB_ID_LEN) == 0;
}
static inline struct slice blob_id_slice(const struct blob_id *id) {
    return slice_of(id->bytes, BLOB_ID_LEN);
}

struct blob_store;
/* Makes the folder and its 256 subfolders where missing. */
struct sl_rc blob_store_open(const char *dir, struct blob_store **ret, struct sl_error *err);
void blob_store_close(struct blob_store *s);

/* Removes every part file last changed before `before_s` that `known` denies. A failure of `known`
 * ends the sweep: nothing is removed on a doubt. */
typedef struct sl_rc (*blob_known_fn)(const struct blob_id *part, void *user, bool *ret_known);
struct sl_rc blob_sweep(struct blob_store *s, int64_t before_s, blob_known_fn known, void *user,
                        size_t *ret_removed, struct sl_error *err);

/* While an object is pinned, blob_drop of its parts waits for the last unpin. Look the object up
 * again after pinning: it may have been dropped in between. */
struct sl_rc blob_pin(struct blob_store *s, const struct blob_id *object);
void blob_unpin(struct blob_store *s, const struct blob_id *object);
void blob_drop(struct blob_store *s, const struct blob_id *object, const struct blob_id *parts,
               size_t count);

/* Whose part it is; bound into the file. */
struct blob_owner {
    struct blob_id bucket;
    struct blob_id object;
};
/* What the manifest keeps of a part. */
struct blob_part {
    struct blob_id id;
    uint8_t salt[BLOB_SALT_LEN];
    uint64_t size;
};

/* ---- part.c */

/* A new file with a fresh id and salt. Freed before a finish that succeeded, the file is removed.
 * SL_E_FULL when the disk is. */
struct blob_writer;
struct sl_rc blob_writer_new(struct blob_store *s, const struct secret *data_key,
                             const struct blob_owner *owner, struct blob_writer **ret,
                             struct sl_error *err);
struct sl_rc blob_write(struct blob_writer *w, struct slice plain, struct sl_error *err);
/* Seals the last chunk; the file and its name are on disk when this returns. */
struct sl_rc blob_finish(struct blob_writer *w, struct blob_part *ret, struct sl_error *err);
void blob_writer_free(struct blob_writer *w);

/* Opens and checks length, header, ids and commitment. SL_E_CORRUPT for all that doesn't fit,
 * SL_E_NOT_FOUND when there is no file. */
struct blob_reader;
struct sl_rc blob_reader_open(struct blob_store *s, const struct secret *data_key,
                              const struct blob_owner *owner, const struct blob_part *part,
                              struct blob_reader **ret, struct sl_error *err);
/* Bytes [from, to) of the plaintext, to <= size. Only the chunks they touch are opened. */
void blob_reader_range(struct blob_reader *r, uint64_t from, uint64_t to);
/* The next run of plaintext, valid until the next call; empty at the range's end. */
struct sl_rc blob_read(struct blob_reader *r, struct slice *ret, struct sl_error *err);
void blob_reader_free(struct blob_reader *r);

/* Length of the file that holds `size` bytes of plaintext. */
uint64_t blob_file_bytes(uint64_t size);

#endif
