/* Keys that what they seal is bound to: GCM alone opens under more than one key, so a commitment
 * stands with the ciphertext and is compared before anything is opened. */
#ifndef SL_CRYPTO_COMMIT_H
#define SL_CRYPTO_COMMIT_H

#include "lib/crypto/crypto.h"

enum { COMMITMENT_LEN = 32 };

/* key || commitment = HKDF-SHA256(parent, salt, label). A fresh salt makes a key of its own. */
struct sl_rc commit_key(struct slice parent, struct slice salt, struct slice label,
                        struct secret *ret_key, uint8_t ret_commitment[COMMITMENT_LEN]);
/* AES-256-GCM under that key. */
struct sl_rc commit_aead(struct slice parent, struct slice salt, struct slice label,
                         struct aead **ret, uint8_t ret_commitment[COMMITMENT_LEN]);

#endif
