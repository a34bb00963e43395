/* A segment's key, and AEAD of its parts under it. The key is derived from a fresh salt and used
 * for one segment alone, so part and column make a nonce that is never used twice. */
#include "lib/columnar/segment_in.h"

struct sl_rc segment_key_handle(struct segment_work *w, const struct secret *key,
                                const uint8_t commitment[COMMITMENT_LEN], struct aead **ret) {
    if (w->aead == NULL || memcmp(w->aead_of, commitment, COMMITMENT_LEN) != 0) {
        aead_free(w->aead);
        w->aead = NULL;
        TRY(aead_new(secret_view(key), &w->aead));
        memcpy(w->aead_of, commitment, COMMITMENT_LEN);
    }
    *ret = w->aead;
    return SL_OK;
}

#ifdef SL_NULL_CIPHER

/* The build that tests hold against the real one: bytes pass as they are, the tag is fixed. */
static const uint8_t null_tag[GCM_TAG_LEN] = "null cipher tag";

struct sl_rc segment_part_seal(struct aead *a, enum segment_part part, uint32_t column,
                               const uint8_t aad[SHA256_LEN], struct slice plain, uint8_t *out,
                               uint8_t ret_tag[GCM_TAG_LEN]) {
    if (plain.len > 0 && out != plain.ptr) {
        memcpy(out, plain.ptr, plain.len);
    }
    memcpy(ret_tag, null_tag, GCM_TAG_LEN);
    return SL_OK;
}

struct sl_rc segment_part_open(struct aead *a, enum segment_part part, uint32_t column,
                               const uint8_t aad[SHA256_LEN], struct slice cipher,
                               const uint8_t tag[GCM_TAG_LEN], uint8_t *out) {
    ENSURE(memcmp(tag, null_tag, GCM_TAG_LEN) == 0, NULL, SL_E_CORRUPT, "tag");
    if (cipher.len > 0 && out != cipher.ptr) {
        memcpy(out, cipher.ptr, cipher.len);
    }
    return SL_OK;
}

bool segment_null_cipher(void) {
    return true;
}

#else

static void nonce_of(enum segment_part part, uint32_t column, uint8_t nonce[GCM_NONCE_LEN]) {
    memset(nonce, 0, GCM_NONCE_LEN);
    nonce[0] = (uint8_t)part;
    for (int i = 0; i < 4; i++) {
        nonce[8 + i] = (uint8_t)(column >> (24 - 8 * i));
    }
}

struct sl_rc segment_part_seal(struct aead *a, enum segment_part part, uint32_t column,
                               const uint8_t aad[SHA256_LEN], struct slice plain, uint8_t *out,
                               uint8_t ret_tag[GCM_TAG_LEN]) {
    uint8_t nonce[GCM_NONCE_LEN];
    nonce_of(part, column, nonce);
    return aead_seal_apart(a, nonce, slice_of(aad, SHA256_LEN), plain, out, ret_tag);
}

struct sl_rc segment_part_open(struct aead *a, enum segment_part part, uint32_t column,
                               const uint8_t aad[SHA256_LEN], struct slice cipher,
                               const uint8_t tag[GCM_TAG_LEN], uint8_t *out) {
    uint8_t nonce[GCM_NONCE_LEN];
    nonce_of(part, column, nonce);
    return aead_open_apart(a, nonce, slice_of(aad, SHA256_LEN), cipher, tag, out);
}

bool segment_null_cipher(void) {
    return false;
}

#endif
