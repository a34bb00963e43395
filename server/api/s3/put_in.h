/* What objects and parts share when they are written. */
#ifndef SL_S3_PUT_IN_H
#define SL_S3_PUT_IN_H

#include "server/api/s3/call_in.h"

/* Reads a source to its end into a new part file. */
struct sl_rc put_seal(struct s3_call *c, const struct secret *key, const struct blob_owner *owner,
                      s3_source_fn next, void *source, struct blob_part *ret);
struct sl_rc put_etag(uint8_t sse, const struct secret *key, const uint8_t *md5,
                      const uint8_t *sum256, char ret[33]);

/* Sums of what passes through, a source itself. */
struct tally {
    s3_source_fn next;
    void *source;
    bool ended;
    uint64_t size;
    struct digest *md5;
    struct digest *sha256;
    struct checksum checksum;
    uint8_t md5_sum[64];
    uint8_t sha256_sum[64];
    uint8_t sum[CHECKSUM_MAX_LEN];
};
struct sl_rc tally_init(struct tally *t, enum checksum_kind kind);
struct sl_rc tally_next(void *tally, struct slice *ret, struct sl_error *err);
void tally_fini(struct tally *t);

struct copy_source {
    struct slice bucket_name;
    struct slice key;
    struct slice arn;
    struct index_bucket bucket;
};
/* x-amz-copy-source as it is written; nothing is decided yet. */
struct sl_rc put_copy_source(struct s3_call *c, struct copy_source *ret);
/* Found, s3:GetObject allowed, conditions hold, key open, MAC right. Caller ends it. */
struct sl_rc put_copy_open(struct s3_call *c, const struct copy_source *src, struct s3_stored *ret);

#endif
