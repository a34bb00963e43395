/* The object index of s3 (SQLite, synchronous=FULL): buckets, objects, uploads. Names are here,
 * bytes are in server/store/blob. A change that makes part files useless returns them in `dropped`,
 * to be removed after the row is gone. Thread-safe; slices of answers live in the arena given. */
#ifndef SL_STORE_INDEX_H
#define SL_STORE_INDEX_H

#include "lib/base/arena.h"
#include "server/store/blob/blob.h"

struct index;
struct sl_rc index_open(const char *path, struct index **ret, struct sl_error *err);
void index_close(struct index *ix);
/* Forgets all buckets, objects and uploads. */
struct sl_rc index_clear(struct index *ix, struct sl_error *err);
/* blob_known_fn for the sweep; user is the index. */
struct sl_rc index_part_known(const struct blob_id *part, void *index, bool *ret_known);

struct index_dropped {
    struct blob_id object;
    const struct blob_id *parts;
    size_t count;
};

/* ---- buckets (index.c) */

struct index_bucket {
    struct slice name;
    struct blob_id id;
    struct slice account;
    struct slice region;
    int64_t created_ms;
    struct slice policy;      /* text, or empty */
    uint8_t default_sse;      /* enum manifest_sse, 0 = not set */
    struct slice default_key; /* SSE-KMS: as given, may be empty */
    bool default_bucket_key;
    struct slice tags; /* of a new one; else ask index_bucket_tags */
};
struct sl_rc index_bucket_create(struct index *ix, const struct index_bucket *b,
                                 struct sl_error *err); /* SL_E_EXISTS */
struct sl_rc index_bucket_get(struct index *ix, struct slice name, struct arena *a,
                              struct index_bucket *ret, struct sl_error *err); /* SL_E_NOT_FOUND */
struct sl_rc index_bucket_list(struct index *ix, struct slice account, struct arena *a,
                               struct index_bucket **ret, size_t *ret_count, struct sl_error *err);
/* SL_E_S3_BUCKET_NOT_EMPTY while there is an object. Open uploads go with the bucket. */
struct sl_rc index_bucket_delete(struct index *ix, const struct blob_id *id, struct arena *a,
                                 struct index_dropped **ret_dropped, size_t *ret_count,
                                 struct sl_error *err);
struct sl_rc index_bucket_set_policy(struct index *ix, const struct blob_id *id,
                                     struct slice policy, struct sl_error *err);
struct sl_rc index_bucket_set_sse(struct index *ix, const struct blob_id *id, uint8_t sse,
                                  struct slice key, bool bucket_key, struct sl_error *err);

/* The bucket's tags as one text, empty without any. */
struct sl_rc index_bucket_tags(struct index *ix, const struct blob_id *id, struct arena *a,
                               struct slice *ret, struct sl_error *err);
struct sl_rc index_bucket_set_tags(struct index *ix, const struct blob_id *id, struct slice tags,
                                   struct sl_error *err);

/* ---- objects (object.c) */

struct index_object {
    struct slice key;
    struct blob_id id;
    struct slice etag;
    uint64_t size;
    int64_t modified_ms;
    uint8_t checksum_kind;
    uint8_t checksum_type;
    /* not filled by listings: */
    struct slice manifest;
    struct slice mac;
    struct slice blob; /* wrapped data key */
};
/* Checked inside the transaction: SL_E_S3_PRECONDITION, SL_E_S3_NO_SUCH_KEY (if_match without
 * object).
 */
struct index_condition {
    bool if_absent;        /* If-None-Match: * */
    struct slice if_match; /* an ETag without quotes, or empty */
};
struct sl_rc index_object_put(struct index *ix, const struct blob_id *bucket,
                              const struct index_object *o, const struct blob_id *parts,
                              size_t part_count, const struct index_condition *cond,
                              struct arena *a, struct index_dropped *ret_dropped,
                              struct sl_error *err);
struct sl_rc index_object_get(struct index *ix, const struct blob_id *bucket, struct slice key,
                              struct arena *a, struct index_object *ret, struct sl_error *err);
/* Is this version still the one under this name? */
struct sl_rc index_object_current(struct index *ix, const struct blob_id *bucket, struct slice key,
                                  const struct blob_id *id, bool *ret, struct sl_error *err);
/* Another manifest for the same bytes, if the one with `old_mac` is still there; else
 * SL_E_NOT_FOUND. */
struct sl_rc index_object_manifest(struct index *ix, const struct blob_id *id, struct slice old_mac,
                                   struct slice manifest, struct slice mac, struct sl_error *err);
struct sl_rc index_object_delete(struct index *ix, const struct blob_id *bucket, struct slice key,
                                 const struct index_condition *cond, struct arena *a,
                                 struct index_dropped *ret_dropped, struct sl_error *err);

/* ---- listing (list.c): keys in byte order, keys that share a prefix up to the delimiter rolled up
 */

struct index_list_query {
    struct slice prefix;
    struct slice delimiter;
    struct slice after;   /* exclusive; empty = from the start */
    bool after_is_prefix; /* `after` is a rolled-up prefix: skip all that starts with it */
    size_t max;
};
struct index_list_entry {
    bool is_prefix;
    struct index_object object; /* key is the prefix when is_prefix */
};
struct index_list {
    const struct index_list_entry *entries;
    size_t count;
    bool truncated;
};
struct sl_rc index_list(struct index *ix, const struct blob_id *bucket,
                        const struct index_list_query *q, struct arena *a, struct index_list *ret,
                        struct sl_error *err);

/* ---- multipart uploads (upload.c). The upload's id is the id of the object it will be. */

struct index_upload {
    struct blob_id id;
    struct slice key;
    int64_t created_ms;
    struct slice initiator; /* ARN */
    uint8_t checksum_kind;
    uint8_t checksum_type;
    struct slice manifest; /* without parts */
    struct slice blob;
};
struct index_upload_part {
    uint32_t number;
    struct blob_part file;
    struct slice etag;
    int64_t modified_ms;
    struct slice checksum; /* sealed, or empty */
};
struct sl_rc index_upload_create(struct index *ix, const struct blob_id *bucket,
                                 const struct index_upload *u, struct sl_error *err);
struct sl_rc index_upload_get(struct index *ix, const struct blob_id *bucket, struct slice key,
                              const struct blob_id *id, struct arena *a, struct index_upload *ret,
                              struct sl_error *err); /* SL_E_S3_NO_SUCH_UPLOAD */
/* Replaces a part of the same number. */
struct sl_rc index_upload_part(struct index *ix, const struct blob_id *upload,
                               const struct index_upload_part *p, struct arena *a,
                               struct index_dropped *ret_dropped, struct sl_error *err);
/* Parts with number > after, ascending. */
struct sl_rc index_upload_parts(struct index *ix, const struct blob_id *upload, uint32_t after,
                                size_t max, struct arena *a, struct index_upload_part **ret,
                                size_t *ret_count, bool *ret_truncated, struct sl_error *err);
/* The upload becomes the object `o` (o->id = the upload's id) with exactly these parts: the unused
 * ones and the object replaced are dropped. SL_E_S3_NO_SUCH_UPLOAD, SL_E_S3_INVALID_PART when a
 * part was replaced meanwhile. */
struct sl_rc index_upload_complete(struct index *ix, const struct blob_id *bucket,
                                   const struct index_object *o, const struct blob_id *parts,
                                   size_t part_count, const struct index_condition *cond,
                                   struct arena *a, struct index_dropped ret_dropped[2],
                                   struct sl_error *err);
struct sl_rc index_upload_abort(struct index *ix, const struct blob_id *bucket, struct slice key,
                                const struct blob_id *id, struct arena *a,
                                struct index_dropped *ret_dropped, struct sl_error *err);
/* Uploads of a bucket by (key, id) after the marker. */
struct sl_rc index_upload_list(struct index *ix, const struct blob_id *bucket, struct slice prefix,
                               struct slice key_marker, const struct blob_id *id_marker, size_t max,
                               struct arena *a, struct index_upload **ret, size_t *ret_count,
                               bool *ret_truncated, struct sl_error *err);

#endif
