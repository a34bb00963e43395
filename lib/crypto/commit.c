/* See commit.h. */
#include "lib/crypto/commit.h"

struct sl_rc commit_key(struct slice parent, struct slice salt, struct slice label,
                        struct secret *ret_key, uint8_t ret_commitment[COMMITMENT_LEN]) {
    uint8_t both[AES256_KEY_LEN + COMMITMENT_LEN];
    TRY(hkdf_sha256(parent, salt, label, both, sizeof both));
    struct sl_rc rc = secret_from(ret_key, slice_of(both, AES256_KEY_LEN));
    if (sl_is_ok(rc)) {
        memcpy(ret_commitment, both + AES256_KEY_LEN, COMMITMENT_LEN);
    }
    secret_wipe(both, sizeof both);
    return rc;
}

struct sl_rc commit_aead(struct slice parent, struct slice salt, struct slice label,
                         struct aead **ret, uint8_t ret_commitment[COMMITMENT_LEN]) {
    SL_CLEANUP(secret_fini) struct secret key = {0};
    uint8_t commitment[COMMITMENT_LEN];
    TRY(commit_key(parent, salt, label, &key, commitment));
    TRY(aead_new(secret_view(&key), ret));
    memcpy(ret_commitment, commitment, sizeof commitment);
    return SL_OK;
}
