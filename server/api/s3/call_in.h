/* Inside of server/api/s3: one request as the operations see it. */
#ifndef SL_S3_CALL_IN_H
#define SL_S3_CALL_IN_H

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/codec/text.h"
#include "lib/codec/xml.h"
#include "server/api/s3/body.h"
#include "server/api/s3/checksum.h"
#include "server/api/s3/range.h"
#include "server/api/s3/s3.h"
#include "server/store/index/manifest.h"

#define S3_NS "http://s3.amazonaws.com/doc/2006-03-01/"

enum s3_level { S3_SERVICE, S3_BUCKET, S3_OBJECT };
enum { S3_CONDITION_KEYS_MAX = 192, S3_ARN_MAX = 1200, S3_ERROR_EXTRAS_MAX = 4 };

struct s3_call;
struct s3_op {
    const char *name;
    const char *method;
    enum s3_level level;
    const char *sub; /* query parameter that selects it, or NULL */
    /* Decided before `run`; NULL: `run` asks for itself. */
    const char *action;
    /* Adds condition keys and checks the head's form; before the decision. May be NULL. */
    struct sl_rc (*prepare)(struct s3_call *c);
    struct sl_rc (*run)(struct s3_call *c);
    bool no_bucket; /* the bucket need not exist */
};
extern const struct s3_op s3_ops[]; /* ends with a NULL name */

struct s3_tags {
    const struct context_pair *items;
    size_t count;
};

struct s3_call {
    struct s3_env *env;
    struct http *h;
    struct arena *a;
    struct sl_error *err;
    const struct s3_op *op;
    struct slice bucket_name; /* decoded */
    struct slice key;
    struct params query;
    struct slice object_arn;
    struct slice bucket_arn;

    struct sigv4_claim claim;
    struct slice payload_hash; /* as signed */
    struct seam_granted who;
    bool authenticated;
    bool claim_read;
    struct index_bucket bucket;

    struct context_pair keys[S3_CONDITION_KEYS_MAX]; /* condition keys */
    size_t key_count;

    struct s3_sse *sse;  /* of writes */
    struct s3_tags tags; /* that the request gives */

    /* For the error body. */
    struct slice canonical;
    struct slice string_to_sign;
    struct context_pair extras[S3_ERROR_EXTRAS_MAX]; /* elements beside Code and Message */
    size_t extra_count;
    const char *code_override;
    int status_override;
    struct slice host_id;
    int status; /* sent */
    uint64_t bytes_out;
};

/* ---- head.c: reading the head */
struct slice s3_header(const struct s3_call *c, const char *name); /* ptr NULL: absent */
const struct param *s3_param(const struct s3_call *c, const char *name);
struct slice s3_param_value(const struct s3_call *c, const char *name); /* empty if absent */
/* One more element of the error that is about to be raised, e.g. StorageClassRequested. The value
 * is copied: the answer is written when what the operation worked with is gone. */
void s3_tell(struct s3_call *c, const char *element, struct slice value);
void s3_tell_uint(struct s3_call *c, const char *element, uint64_t value);
/* SL_E_S3_INVALID_ARGUMENT naming an argument. */
struct sl_rc s3_invalid(struct s3_call *c, const char *name, struct slice value, const char *fmt,
                        ...) SL_PRINTF(4, 5);
/* 501 for a header that asks for what isn't here. */
struct sl_rc s3_not_implemented(struct s3_call *c, const char *header);
/* Another error than the one that was about to be raised: nothing is told of that. */
void s3_untell(struct s3_call *c);
/* The call goes on: the next error is told by itself. */
void s3_forget_error(struct s3_call *c);
/* An error that errors.def does not know. */
struct sl_rc s3_fail_as(struct s3_call *c, int status, const char *code, const char *message);
struct sl_rc s3_param_uint(struct s3_call *c, const char *name, uint64_t max, uint64_t fallback,
                           uint64_t *ret);
struct sl_rc s3_key_too_long(struct s3_call *c, struct slice key);
struct sl_rc s3_header_uint(struct s3_call *c, const char *name, uint64_t max, uint64_t fallback,
                            uint64_t *ret);
/* Path and query into bucket, key and params. */
struct sl_rc s3_parse_target(struct s3_call *c);

/* ---- refuse.c */
/* What the request asks for and nothing here has: refused by name, on whatever operation. */
struct sl_rc s3_refuse_unsupported(struct s3_call *c);
/* Every object's only version is "null". */
struct sl_rc s3_check_version(struct s3_call *c, struct slice key, struct slice version);

/* ---- authz.c */
/* Claim and payload hash of the head; nothing is verified. Idempotent, as the next. */
struct sl_rc s3_read_claim(struct s3_call *c);
/* Signature only. */
struct sl_rc s3_authenticate(struct s3_call *c);
void s3_condition(struct s3_call *c, const char *name, struct slice value);
/* All of `actions` on the resource with the call's condition keys and the bucket's policy. */
struct sl_rc s3_authorize(struct s3_call *c, const char *action, struct slice resource);
struct sl_rc s3_authorize_for(struct s3_call *c, const struct index_bucket *b, const char *action,
                              const struct slice *resources, size_t count);
/* May the caller know that a key does not exist? NoSuchKey or AccessDenied. */
struct sl_rc s3_no_such_key(struct s3_call *c);

/* ---- sse.c: how an object is, or will be, sealed */
struct s3_sse {
    uint8_t kind; /* enum manifest_sse */
    bool explicit_header;
    bool bucket_key;
    struct slice key_id;              /* as asked for */
    struct slice key_arn;             /* as resolved */
    const struct context_pair *pairs; /* the caller's, without aws:s3:arn */
    size_t pair_count;
    struct slice context_text; /* x-amz-server-side-encryption-context as sent */
    struct slice blob;
    struct secret key;
};
/* Reads the SSE headers of a write into c->sse and adds the condition keys. */
struct sl_rc s3_sse_prepare(struct s3_call *c);
/* Operations that take no SSE headers: 400. */
struct sl_rc s3_sse_refuse(struct s3_call *c);
/* Applies the bucket's default and makes the data key. */
struct sl_rc s3_sse_make_key(struct s3_call *c, struct s3_sse *sse);
/* kms:Decrypt on the key of `sse`, for multipart uploads. */
struct sl_rc s3_sse_check_decrypt(struct s3_call *c, const struct s3_sse *sse);
/* Opens the data key of a stored object or upload; `arn` is its name's. Caller ends *ret. */
struct sl_rc s3_sse_open(struct s3_call *c, const struct manifest *m, struct slice blob,
                         struct slice arn, struct secret *ret);
void s3_sse_headers(struct s3_call *c, const struct manifest *m);
/* c->sse, with its key made, into the manifest; after everything else that sets headers. */
struct sl_rc s3_sse_into(struct s3_call *c, struct manifest *m);
/* Is a manifest, whose MAC is right, the one of this name? Where the wrapped key does not tell. */
struct sl_rc s3_sse_named(struct s3_call *c, const struct manifest *m, struct slice arn);

/* ---- error.c */
void s3_reply_error(struct s3_call *c, struct sl_rc rc);
/* The AWS code and status of a failure. */
void s3_error_code(const struct s3_call *c, struct sl_rc rc, const char **ret_code,
                   int *ret_status);
/* One <Error> inside a 200 (DeleteObjects). */
void s3_error_text(const struct s3_call *c, struct sl_rc rc, struct slice *ret_message);

/* ---- reply.c */
struct buf s3_xml(size_t max); /* with the declaration in it */
/* Sends the XML; frees `take`. */
struct sl_rc s3_reply_xml(struct s3_call *c, int status, struct buf *take);
struct sl_rc s3_reply_empty(struct s3_call *c, int status);
void s3_set_etag(struct s3_call *c, struct slice etag);
void s3_put_time(struct buf *out, const char *element, int64_t ms);
void s3_put_owner(struct buf *out, const char *element, struct slice account);
void s3_put_etag(struct buf *out, struct slice etag);
/* Canonical user id of an account: 64 hex. */
void s3_canonical_id(struct slice account, char out[65]);
/* Headers of a stored object: content headers, metadata, times, SSE. */
void s3_object_headers(struct s3_call *c, const struct index_object *o, const struct manifest *m);
/* `text` URL-encoded when encoding-type=url was asked for. */
void s3_put_name(struct s3_call *c, struct buf *out, const char *element, struct slice text);

/* ---- meta.c: content headers and user metadata of a write */
struct sl_rc s3_meta_read(struct s3_call *c, const struct context_pair **ret, size_t *ret_count);

/* ---- tags.c */
/* x-amz-tagging of a write into c->tags, and its condition keys. */
struct sl_rc s3_tags_prepare(struct s3_call *c);
/* May the caller put them on? */
struct sl_rc s3_tags_allowed(struct s3_call *c);
/* Into the manifest, instead of those that it has; and out of it. */
struct sl_rc s3_tags_into(struct s3_call *c, const struct s3_tags *tags, struct manifest *m);
struct sl_rc s3_tags_of(struct s3_call *c, const struct manifest *m, struct s3_tags *ret);
/* PREFIX<key> of each; `keys` (may be NULL) is the condition key that lists the keys. */
void s3_tags_conditions(struct s3_call *c, const char *prefix, const char *keys,
                        const struct s3_tags *tags);
/* The Tag elements of a TagSet, checked. */
struct sl_rc s3_tags_list(struct s3_call *c, const struct xml *list, struct s3_tags *ret);
/* As the index keeps a bucket's. */
struct sl_rc s3_bucket_tags_text(struct s3_call *c, const struct s3_tags *tags, struct slice *ret);

/* One header of the manifest anew, or gone when `value` is empty. */
struct sl_rc s3_meta_replace(struct s3_call *c, const char *name, struct slice value,
                             struct manifest *m);
/* ---- checksums of stored objects (reply.c) */
struct sl_rc s3_checksum_headers(struct s3_call *c, const struct manifest *m,
                                 const struct secret *key);

/* Removes files of rows that are gone. */
void s3_drop(struct s3_call *c, const struct index_dropped *d);
/* Upload ids on the wire are the 32 hex digits of the object id. */
void s3_id_text(const struct blob_id *id, char out[33]);
bool s3_id_parse(struct slice text, struct blob_id *ret);
/* If-Match, If-None-Match of a write. */
struct sl_rc s3_write_condition(struct s3_call *c, struct index_condition *ret);
/* The whole request body, verified, into `out`. */
struct sl_rc s3_body_all(struct s3_call *c, size_t max, struct buf *out);
/* XML of a verified body, in its own arena. */
struct sl_rc s3_body_xml(struct s3_call *c, size_t max, bool may_be_empty, struct buf *text,
                         struct arena *a, const struct xml **ret);

/* Handlers, by file. */
struct sl_rc s3_list_buckets(struct s3_call *c);
struct sl_rc s3_create_bucket(struct s3_call *c);
struct sl_rc s3_head_bucket(struct s3_call *c);
struct sl_rc s3_delete_bucket(struct s3_call *c);
struct sl_rc s3_get_location(struct s3_call *c);
struct sl_rc s3_get_policy(struct s3_call *c);
struct sl_rc s3_put_policy(struct s3_call *c);
struct sl_rc s3_delete_policy(struct s3_call *c);
struct sl_rc s3_get_encryption(struct s3_call *c);
struct sl_rc s3_put_encryption(struct s3_call *c);
struct sl_rc s3_delete_encryption(struct s3_call *c);
struct sl_rc s3_list_prepare(struct s3_call *c);
struct sl_rc s3_list_v1(struct s3_call *c);
struct sl_rc s3_list_v2(struct s3_call *c);
struct sl_rc s3_list_versions(struct s3_call *c);
struct sl_rc s3_put_object(struct s3_call *c);
struct sl_rc s3_copy_object(struct s3_call *c);
struct sl_rc s3_get_prepare(struct s3_call *c);
struct sl_rc s3_get_object(struct s3_call *c);
struct sl_rc s3_head_object(struct s3_call *c);
struct sl_rc s3_get_attributes(struct s3_call *c);
struct sl_rc s3_delete_object(struct s3_call *c);
struct sl_rc s3_delete_objects(struct s3_call *c);
struct sl_rc s3_create_upload(struct s3_call *c);
struct sl_rc s3_upload_part(struct s3_call *c);
struct sl_rc s3_upload_part_copy(struct s3_call *c);
struct sl_rc s3_complete_upload(struct s3_call *c);
struct sl_rc s3_abort_upload(struct s3_call *c);
struct sl_rc s3_list_parts(struct s3_call *c);
struct sl_rc s3_list_uploads(struct s3_call *c);
struct sl_rc s3_static_answer(struct s3_call *c);
struct sl_rc s3_put_acl(struct s3_call *c);
struct sl_rc s3_put_ownership(struct s3_call *c);
struct sl_rc s3_put_prepare(struct s3_call *c);
struct sl_rc s3_get_object_tagging(struct s3_call *c);
struct sl_rc s3_put_object_tagging(struct s3_call *c);
struct sl_rc s3_delete_object_tagging(struct s3_call *c);
struct sl_rc s3_get_bucket_tagging(struct s3_call *c);
struct sl_rc s3_put_bucket_tagging(struct s3_call *c);
struct sl_rc s3_delete_bucket_tagging(struct s3_call *c);

/* put.c, shared with copies and parts: the plaintext's source. Empty = the end, verified. */
typedef struct sl_rc (*s3_source_fn)(void *source, struct slice *ret, struct sl_error *err);

/* An object's bytes as a source (get.c); pinned while open. */
struct s3_stored {
    struct index_object row;
    struct manifest manifest;
    struct secret key;
    struct blob_owner owner;
    size_t next_part;
    uint64_t part_start; /* of next_part in the object */
    uint64_t from, to;
    struct blob_reader *reader;
    struct s3_call *c;
    bool pinned;
};
/* Row and manifest; no key. SL_E_NOT_FOUND. Pins until s3_stored_end. */
struct sl_rc s3_stored_find(struct s3_call *c, const struct blob_id *bucket, struct slice key,
                            struct s3_stored *ret);
/* Opens the key and checks the MAC. */
struct sl_rc s3_stored_open(struct s3_stored *s, struct slice arn);
void s3_stored_range(struct s3_stored *s, uint64_t from, uint64_t to);
struct sl_rc s3_stored_next(void *stored, struct slice *ret, struct sl_error *err);
void s3_stored_end(struct s3_stored *s);
/* Finds the call's object, decides the action, then goes on; NoSuchKey or AccessDenied without it.
 */
typedef struct sl_rc (*s3_then_fn)(struct s3_call *c, struct s3_stored *s);
struct sl_rc s3_with_object(struct s3_call *c, const char *action, s3_then_fn then);
struct range_conditions s3_conditions(const struct s3_call *c, const char *prefix);

#endif
