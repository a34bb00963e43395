/* See wrap.h. */
#include "extension/keys/wrap.h"

#include "lib/base/rdr.h"
#include "lib/crypto/commit.h"

enum {
    VERSION = 1,
    ALG_AES256_GCM = 1,
    SALT_LEN = 32,
    HEAD_LEN = WRAP_RECORD_LEN - WAREHOUSE_KEY_LEN - GCM_TAG_LEN
};

#define MAGIC SLICE_LIT("SLKEY")
#define LABEL SLICE_LIT("sealift/wrap/1")

static const uint8_t nonce[GCM_NONCE_LEN];

struct sl_rc wrap_make(const struct wrap_name *name, struct slice parent_key, struct slice key,
                       uint8_t out[WRAP_RECORD_LEN], struct sl_error *err) {
    uint8_t salt[SALT_LEN], commitment[COMMITMENT_LEN];
    struct aead *aead = NULL;
    ENSURE(key.len == WAREHOUSE_KEY_LEN, err, SL_E_INTERNAL, "a key of %zu bytes", key.len);
    crypto_random(salt, sizeof salt);
    TRY(commit_aead(parent_key, slice_of(salt, sizeof salt), LABEL, &aead, commitment));
    SL_CLEANUP(buf_fini) struct buf head = BUF_INIT(HEAD_LEN);
    buf_put(&head, MAGIC);
    buf_u8(&head, VERSION);
    buf_u8(&head, name->kind);
    buf_u8(&head, ALG_AES256_GCM);
    buf_put(&head, slice_of(name->run, KEY_ID_LEN));
    buf_put(&head, slice_of(name->parent, KEY_ID_LEN));
    buf_put(&head, slice_of(name->own, KEY_ID_LEN));
    buf_put(&head, slice_of(salt, sizeof salt));
    buf_put(&head, slice_of(commitment, sizeof commitment));
    struct sl_rc rc = buf_check(&head, err);
    if (sl_is_ok(rc)) {
        memcpy(out, head.ptr, HEAD_LEN);
        rc = aead_seal(aead, nonce, buf_slice(&head), key, out + HEAD_LEN);
    }
    aead_free(aead);
    return rc;
}

struct record {
    struct wrap_name name;
    struct slice salt, commitment, cipher;
};

static struct sl_rc parse(struct slice bytes, struct record *ret, struct sl_error *err) {
    struct rdr r = rdr_of(bytes);
    bool magic = slice_eq(rdr_bytes(&r, 5), MAGIC);
    bool known = rdr_u8(&r) == VERSION;
    ret->name.kind = rdr_u8(&r);
    known &= rdr_u8(&r) == ALG_AES256_GCM;
    ENSURE(bytes.len == WRAP_RECORD_LEN && magic, err, SL_E_CORRUPT, "it is not a wrapped key");
    ENSURE(known, err, SL_E_CORRUPT, "its version or algorithm is not known");
    memcpy(ret->name.run, rdr_bytes(&r, KEY_ID_LEN).ptr, KEY_ID_LEN);
    memcpy(ret->name.parent, rdr_bytes(&r, KEY_ID_LEN).ptr, KEY_ID_LEN);
    memcpy(ret->name.own, rdr_bytes(&r, KEY_ID_LEN).ptr, KEY_ID_LEN);
    ret->salt = rdr_bytes(&r, SALT_LEN);
    ret->commitment = rdr_bytes(&r, COMMITMENT_LEN);
    ret->cipher = rdr_bytes(&r, WAREHOUSE_KEY_LEN + GCM_TAG_LEN);
    return rdr_end(&r, err, "wrapped key");
}

struct sl_rc wrap_name(struct slice record, struct wrap_name *ret, struct sl_error *err) {
    struct record r;
    TRY(parse(record, &r, err));
    *ret = r.name;
    return SL_OK;
}

struct sl_rc wrap_open(struct slice record, const struct wrap_name *want, struct slice parent_key,
                       struct secret *ret, struct sl_error *err) {
    struct record r;
    uint8_t commitment[COMMITMENT_LEN];
    struct aead *aead = NULL;
    TRY(parse(record, &r, err));
    ENSURE(r.name.kind == want->kind && memcmp(r.name.own, want->own, KEY_ID_LEN) == 0 &&
               memcmp(r.name.parent, want->parent, KEY_ID_LEN) == 0,
           err, SL_E_CORRUPT, "it is another's key");
    TRY(commit_aead(parent_key, r.salt, LABEL, &aead, commitment));
    struct sl_rc rc = SL_OK;
    if (!secret_equal(r.commitment, slice_of(commitment, sizeof commitment))) {
        rc = sl_fail(err, SL_E_CORRUPT, "it is wrapped under another key, or was altered");
    }
    rc = sl_is_ok(rc) ? secret_init(ret, WAREHOUSE_KEY_LEN) : rc;
    if (sl_is_ok(rc)) {
        rc = aead_open(aead, nonce, slice_of(record.ptr, HEAD_LEN), r.cipher, ret->ptr);
        if (sl_failed(rc)) {
            secret_fini(ret);
            rc = sl_fail(err, SL_E_CORRUPT, "it was altered");
        }
    }
    aead_free(aead);
    return rc;
}
