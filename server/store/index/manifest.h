/* The manifest of an object: what its bytes are made of, in one canonical form under a MAC
 * (docs/decisions/5-object-format.md). Checksums of plaintext stand in it sealed, since a plain
 * hash would tell what an object holds. */
#ifndef SL_STORE_MANIFEST_H
#define SL_STORE_MANIFEST_H

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/crypto/context.h"
#include "server/store/blob/blob.h"

enum manifest_sse { MANIFEST_SSE_S3 = 1, MANIFEST_SSE_KMS = 2 };
enum { MANIFEST_MAC_LEN = 32, MANIFEST_MAX_BYTES = 2 * 1024 * 1024 };

struct manifest_part {
    uint32_t number;
    struct blob_part file;
};

struct manifest {
    struct blob_id bucket;
    struct blob_id object;
    uint8_t sse;                        /* enum manifest_sse */
    struct slice key_arn;               /* SSE-KMS */
    const struct context_pair *context; /* the caller's pairs, without aws:s3:arn */
    size_t context_count;
    const struct manifest_part *parts;
    size_t part_count;
    uint64_t size;
    struct slice etag;                  /* without quotes */
    const struct context_pair *headers; /* content-type, …, x-amz-meta-*: lower-case names */
    size_t header_count;
    int64_t created_ms;
    uint8_t checksum_kind;  /* enum checksum_kind of the API; 0 none */
    uint8_t checksum_type;  /* 1 FULL_OBJECT, 2 COMPOSITE */
    struct slice checksums; /* sealed: of the object, then of each part */
};

void manifest_encode(const struct manifest *m, struct buf *out);
/* Everything in `a` or borrowed from `bytes`. SL_E_CORRUPT when it is no manifest. */
struct sl_rc manifest_decode(struct slice bytes, struct arena *a, struct manifest *ret,
                             struct sl_error *err);
struct sl_rc manifest_mac(const struct secret *data_key, struct slice bytes,
                          uint8_t out[MANIFEST_MAC_LEN]);
/* SL_E_CORRUPT when the MAC is not the one of these bytes under this key. */
struct sl_rc manifest_check(const struct secret *data_key, struct slice bytes, struct slice mac,
                            struct sl_error *err);

/* Seals a short text beside an object under a key derived from its data key, with a random nonce;
 * `object` is bound. */
struct sl_rc manifest_seal(const struct secret *data_key, const struct blob_id *object,
                           struct slice plain, struct buf *out, struct sl_error *err);
struct sl_rc manifest_unseal(const struct secret *data_key, const struct blob_id *object,
                             struct slice sealed, struct arena *a, struct slice *ret,
                             struct sl_error *err);
/* An ETag that tells nothing of the plaintext: 16 bytes of an HMAC over its SHA-256, in hex. */
struct sl_rc manifest_opaque_etag(const struct secret *data_key, const uint8_t plain_sha256[32],
                                  char ret[33]);

#endif
