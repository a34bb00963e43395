/* See sealed_blob.h. */
#include "extension/keys/sealed_blob.h"

#include "lib/crypto/commit.h"

enum {
    VERSION = 1,
    ALG_AES256_GCM = 1,
    SALT_LEN = 32,
    SALT_AT = 2 + KEY_ID_LEN,
    COMMITMENT_AT = SALT_AT + SALT_LEN,
    HEAD_LEN = COMMITMENT_AT + COMMITMENT_LEN
};

#define LABEL SLICE_LIT("sealift/blob/1")

static const uint8_t nonce[GCM_NONCE_LEN];

static struct sl_rc associated(struct slice head, struct slice place, struct buf *out,
                               struct sl_error *err) {
    buf_put(out, head);
    buf_put(out, place);
    return buf_check(out, err);
}

struct sl_rc sealed_blob_make(const uint8_t database[KEY_ID_LEN], struct slice database_key,
                              struct slice place, struct slice plain, struct buf *out,
                              struct sl_error *err) {
    uint8_t salt[SALT_LEN], commitment[COMMITMENT_LEN];
    SL_CLEANUP(buf_fini) struct buf aad = BUF_INIT(1024);
    struct aead *aead = NULL;
    ENSURE(plain.len <= LIMIT_SEALED_BLOB_BYTES, err, SL_E_LIMIT, "the text is too long");
    crypto_random(salt, sizeof salt);
    TRY(commit_aead(database_key, slice_of(salt, sizeof salt), LABEL, &aead, commitment));
    size_t at = out->len;
    buf_u8(out, VERSION);
    buf_u8(out, ALG_AES256_GCM);
    buf_put(out, slice_of(database, KEY_ID_LEN));
    buf_put(out, slice_of(salt, sizeof salt));
    buf_put(out, slice_of(commitment, sizeof commitment));
    uint8_t *cipher = buf_reserve(out, plain.len + GCM_TAG_LEN);
    struct sl_rc rc = buf_check(out, err);
    rc = sl_is_ok(rc) ? associated(slice_of(out->ptr + at, HEAD_LEN), place, &aad, err) : rc;
    rc = sl_is_ok(rc) ? aead_seal(aead, nonce, buf_slice(&aad), plain, cipher) : rc;
    out->len += sl_is_ok(rc) ? plain.len + GCM_TAG_LEN : 0;
    aead_free(aead);
    return rc;
}

bool sealed_blob_is_of(struct slice blob, const uint8_t database[KEY_ID_LEN]) {
    return blob.len >= HEAD_LEN && memcmp(blob.ptr + 2, database, KEY_ID_LEN) == 0;
}

struct sl_rc sealed_blob_open(const uint8_t database[KEY_ID_LEN], struct slice database_key,
                              struct slice place, struct slice blob, struct buf *out,
                              struct sl_error *err) {
    uint8_t commitment[COMMITMENT_LEN];
    SL_CLEANUP(buf_fini) struct buf aad = BUF_INIT(1024);
    struct aead *aead = NULL;
    bool known = blob.len >= HEAD_LEN + GCM_TAG_LEN && blob.ptr[0] == VERSION &&
                 blob.ptr[1] == ALG_AES256_GCM && memcmp(blob.ptr + 2, database, KEY_ID_LEN) == 0;
    ENSURE(known, err, SL_E_CORRUPT, "the text was altered, or is another database's");
    TRY(associated(slice_sub(blob, 0, HEAD_LEN), place, &aad, err));
    TRY(commit_aead(database_key, slice_sub(blob, SALT_AT, COMMITMENT_AT), LABEL, &aead,
                    commitment));
    struct slice cipher = slice_sub(blob, HEAD_LEN, blob.len);
    uint8_t *plain = buf_reserve(out, cipher.len);
    struct sl_rc rc = plain != NULL ? SL_OK : sl_fail(err, SL_E_LIMIT, "the text is too long");
    if (sl_is_ok(rc) && (!secret_equal(slice_sub(blob, COMMITMENT_AT, HEAD_LEN),
                                       slice_of(commitment, sizeof commitment)) ||
                         sl_failed(aead_open(aead, nonce, buf_slice(&aad), cipher, plain)))) {
        rc = sl_fail(err, SL_E_CORRUPT, "the text was altered, or belongs elsewhere");
    }
    out->len += sl_is_ok(rc) ? cipher.len - GCM_TAG_LEN : 0;
    aead_free(aead);
    return rc;
}
