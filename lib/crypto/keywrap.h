/* AES key wrap with padding (RFC 5649, SP 800-38F KWP) under a 256-bit key: opening what others
 * wrapped. */
#ifndef SL_CRYPTO_KEYWRAP_H
#define SL_CRYPTO_KEYWRAP_H

#include "lib/crypto/crypto.h"

enum { KEYWRAP_MAX_BYTES = 8192 };

/* SL_E_CORRUPT whatever is wrong with `wrapped`. */
struct sl_rc keywrap_open(struct slice key32, struct slice wrapped, struct secret *ret_plain);

#endif
