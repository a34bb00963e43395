/* Sealed blobs; see sealed.h. */
#include "server/auth/sealed.h"

#include "lib/crypto/crypto.h"

enum { SEALED_VERSION = 1, SALT_LEN = 32 };

static const uint8_t zero_nonce[GCM_NONCE_LEN]; /* each key seals one message */

static struct sl_rc blob_key(const struct secret *key, const char *label, struct slice salt,
                             struct aead **ret) {
    uint8_t one[AES256_KEY_LEN];
    struct sl_rc rc = hkdf_sha256(secret_view(key), salt, slice_cstr(label), one, sizeof one);
    if (!sl_failed(rc)) {
        rc = aead_new(slice_of(one, sizeof one), ret);
    }
    secret_wipe(one, sizeof one);
    return rc;
}

struct sl_rc sealed_make(const struct secret *key, const char *label, struct slice aad,
                         struct slice plain, struct buf *out, struct sl_error *err) {
    uint8_t head[1 + SALT_LEN] = {SEALED_VERSION};
    crypto_random(head + 1, SALT_LEN);
    struct aead *a = NULL;
    TRY(blob_key(key, label, slice_of(head + 1, SALT_LEN), &a));
    buf_put(out, slice_of(head, sizeof head));
    uint8_t *p = buf_reserve(out, plain.len + GCM_TAG_LEN);
    struct sl_rc rc = p ? aead_seal(a, zero_nonce, aad, plain, p) : buf_check(out, err);
    if (p != NULL && !sl_failed(rc)) {
        out->len += plain.len + GCM_TAG_LEN;
    }
    aead_free(a);
    return rc;
}

struct sl_rc sealed_open(const struct secret *key, const char *label, struct slice aad,
                         struct slice blob, struct buf *ret_plain) {
    if (blob.len < SEALED_OVERHEAD || blob.ptr[0] != SEALED_VERSION) {
        return sl_rc_of(SL_E_CORRUPT);
    }
    struct aead *a = NULL;
    TRY(blob_key(key, label, slice_sub(blob, 1, 1 + SALT_LEN), &a));
    struct slice cipher = slice_sub(blob, 1 + SALT_LEN, blob.len);
    size_t n = cipher.len - GCM_TAG_LEN;
    uint8_t nothing[1];
    uint8_t *p = n > 0 ? buf_reserve(ret_plain, n) : nothing;
    struct sl_rc rc = p ? aead_open(a, zero_nonce, aad, cipher, p) : sl_rc_of(SL_E_LIMIT);
    if (!sl_failed(rc)) {
        ret_plain->len += n;
    }
    aead_free(a);
    return rc;
}
