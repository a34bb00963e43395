/* Key records and ciphertext blobs as bytes: layout only, no cryptography. Formats in
 * docs/decisions/2-keyholder-messages.md. */
#ifndef SL_KEYS_RECORD_H
#define SL_KEYS_RECORD_H

#include "lib/base/buf.h"

enum {
    BACKING_ID_LEN = 16,
    BACKING_WRAPPED_LEN = 32 + 16,
    BACKING_NONCE_LEN = 12,
    BACKING_ENTRY_LEN = BACKING_ID_LEN + 8 + BACKING_WRAPPED_LEN + BACKING_NONCE_LEN,
    RECORD_MAC_LEN = 32,
    RECORD_SPEC_SYMMETRIC = 1, /* SYMMETRIC_DEFAULT, material made here */
    RECORD_SPEC_IMPORTED = 2,  /* SYMMETRIC_DEFAULT, imported material */
    BLOB_VERSION = 1,
    BLOB_ALG = 1,
};

struct record {
    struct slice arn;
    uint8_t state; /* enum key_state */
    uint8_t spec;
    uint32_t counter; /* of changes */
    uint16_t count;
    uint8_t pending;       /* imported: 1 when the last entry waits for a rotation */
    struct slice backings; /* count entries, oldest first */
    struct slice covered;  /* what the MAC covers */
    struct slice mac;
};

struct backing {
    struct slice id;
    uint64_t created_ms; /* 0: imported material that is not there now */
    struct slice wrapped;
    struct slice nonce;
};

/* Slices into `bytes`. SL_E_CORRUPT when it is no record; the MAC is not looked at. */
struct sl_rc record_parse(struct slice bytes, struct record *ret, struct sl_error *err);
struct backing record_backing(const struct record *r, size_t index); /* index < count */
/* Is there material, and all of it that belongs to the key for good? */
bool record_complete(const struct record *r);
/* The backing key with this id; false when there is none. */
bool record_find(const struct record *r, struct slice id, struct backing *ret);
/* Everything up to the MAC, from r's fields; `more` is one further entry or empty. */
void record_put(struct buf *out, const struct record *r, struct slice more);

struct blob {
    struct slice arn;
    struct slice backing_id;
    size_t head_len;  /* bytes before the envelope */
    size_t plain_len; /* bytes inside */
};
/* SL_E_KMS_INVALID_CIPHERTEXT when it is no blob. */
struct sl_rc blob_parse(struct slice bytes, struct blob *ret);
void blob_put_head(struct buf *out, struct slice arn, struct slice backing_id);

#endif
