/* The root key in a PKCS#11 token: 32 bytes wrapped and unwrapped by an AES-256 key that never
 * leaves it (CKM_AES_GCM). The module is loaded into this process; the session is closed and the
 * module finalised before these return. */
#ifndef SL_KEYS_TOKEN_H
#define SL_KEYS_TOKEN_H

#include "lib/crypto/crypto.h"
#include "server/keys/root.h"

/* Makes the key (sensitive, not extractable) when the token has none of that name. out holds
 * plain.len + GCM_TAG_LEN bytes. SL_E_ACCESS_DENIED: the PIN is wrong or locked. SL_E_NOT_FOUND: no
 * such module or token. SL_E_UNSUPPORTED: the key is of another kind or can be read out. SL_E_IO:
 * anything else that the token answers. */
struct sl_rc token_wrap(const struct root_token *t, struct slice pin,
                        const uint8_t nonce[GCM_NONCE_LEN], struct slice aad, struct slice plain,
                        uint8_t *out, struct sl_error *err);
/* out holds cipher.len - GCM_TAG_LEN bytes. Also SL_E_NOT_FOUND without the key, SL_E_CORRUPT when
 * it does not open it. */
struct sl_rc token_unwrap(const struct root_token *t, struct slice pin,
                          const uint8_t nonce[GCM_NONCE_LEN], struct slice aad, struct slice cipher,
                          uint8_t *out, struct sl_error *err);

#endif
