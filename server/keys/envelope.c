/* See envelope.h. */
#include "server/keys/envelope.h"

#include "lib/base/limits.h"
#include "lib/crypto/crypto.h"

static const uint8_t zero_nonce[GCM_NONCE_LEN];

static void end_aead(struct aead **a) {
    aead_free(*a);
}

static struct sl_rc message_key(struct slice key, const char *label, struct slice salt,
                                struct aead **ret, uint8_t commitment[ENVELOPE_COMMITMENT_LEN]) {
    struct secret both SL_CLEANUP(secret_fini) = {0};
    TRY(secret_init(&both, AES256_KEY_LEN + ENVELOPE_COMMITMENT_LEN));
    TRY(kdf_counter_sha256(key, slice_cstr(label), salt, both.ptr, both.len));
    memcpy(commitment, both.ptr + AES256_KEY_LEN, ENVELOPE_COMMITMENT_LEN);
    return aead_new(slice_of(both.ptr, AES256_KEY_LEN), ret);
}

struct sl_rc envelope_seal(struct slice key, const char *label, struct slice extra,
                           struct slice plain, struct buf *out) {
    uint8_t salt[ENVELOPE_SALT_LEN];
    uint8_t commitment[ENVELOPE_COMMITMENT_LEN];
    crypto_random(salt, sizeof salt);
    struct aead *a SL_CLEANUP(end_aead) = NULL;
    TRY(message_key(key, label, slice_of(salt, sizeof salt), &a, commitment));
    buf_put(out, slice_of(salt, sizeof salt));
    buf_put(out, slice_of(commitment, sizeof commitment));
    struct buf aad SL_CLEANUP(buf_fini) = BUF_INIT(LIMIT_FRAME_BYTES);
    buf_put(&aad, buf_slice(out));
    buf_put(&aad, extra);
    TRY(buf_check(&aad, NULL));
    uint8_t *p = buf_reserve(out, plain.len + GCM_TAG_LEN);
    TRY(buf_check(out, NULL));
    TRY(aead_seal(a, zero_nonce, buf_slice(&aad), plain, p));
    out->len += plain.len + GCM_TAG_LEN;
    return SL_OK;
}

struct sl_rc envelope_open(struct slice key, const char *label, struct slice extra,
                           struct slice whole, size_t head_len, uint8_t *out) {
    size_t min_len = head_len + ENVELOPE_EXTRA_LEN;
    ENSURE(whole.len >= min_len, NULL, SL_E_CORRUPT, "cut short");
    size_t salt_end = head_len + ENVELOPE_SALT_LEN;
    size_t sealed_at = salt_end + ENVELOPE_COMMITMENT_LEN;
    uint8_t commitment[ENVELOPE_COMMITMENT_LEN];
    struct aead *a SL_CLEANUP(end_aead) = NULL;
    TRY(message_key(key, label, slice_sub(whole, head_len, salt_end), &a, commitment));
    ENSURE(secret_equal(slice_of(commitment, sizeof commitment),
                        slice_sub(whole, salt_end, sealed_at)),
           NULL, SL_E_CORRUPT, "another key");
    struct buf aad SL_CLEANUP(buf_fini) = BUF_INIT(LIMIT_FRAME_BYTES);
    buf_put(&aad, slice_sub(whole, 0, sealed_at));
    buf_put(&aad, extra);
    TRY(buf_check(&aad, NULL));
    return aead_open(a, zero_nonce, buf_slice(&aad), slice_sub(whole, sealed_at, whole.len), out);
}
