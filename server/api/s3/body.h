/* A request's body as plaintext that was checked: HTTP framing, aws-chunked, length, payload hash,
 * Content-MD5 and x-amz-checksum-* in one pass over fixed buffers. The end is given out only when
 * all of them agree, so who commits after the end commits what was signed. */
#ifndef SL_S3_BODY_H
#define SL_S3_BODY_H

#include "server/api/s3/awschunked.h"
#include "server/api/s3/checksum.h"

struct s3_call;

struct body_conf {
    bool want_md5;      /* for the ETag */
    bool want_sha256;   /* for the opaque ETag */
    bool want_checksum; /* compute `checksum_kind` whether or not the client sends one */
    enum checksum_kind checksum_kind; /* NONE with want_checksum: the client's, else CRC64NVME */
    bool no_checksum;  /* x-amz-checksum-* headers speak of something else than this body */
    bool needs_digest; /* Content-MD5 or a checksum must be there */
    uint64_t max_bytes;
    enum sl_code too_large;
};

struct body;
/* Reads and checks the head only; no byte of the body yet. */
struct sl_rc body_open(struct s3_call *c, const struct body_conf *conf, struct body **ret);
/* s3_source_fn. */
struct sl_rc body_next(void *body, struct slice *ret, struct sl_error *err);
void body_free(struct body *b);

/* After the end: */
uint64_t body_size(const struct body *b);
const uint8_t *body_md5(const struct body *b);    /* 16 */
const uint8_t *body_sha256(const struct body *b); /* 32 */
enum checksum_kind body_checksum(const struct body *b, struct slice *ret_value);

#endif
