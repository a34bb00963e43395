/* Sealing one message under a long-lived key, with a key of its own and a commitment to it: the
 * common end of ciphertext blobs and of kms's sealed secrets.
 *
 *     head (the caller's) | salt 32 | commitment 16 | ciphertext | tag 16
 *
 * key (32) || commitment (16) = KDF(long-lived key, label, salt); the GCM nonce is zero, as the key
 * is used once. Associated data: everything before the ciphertext, then `extra`. */
#ifndef SL_KEYS_ENVELOPE_H
#define SL_KEYS_ENVELOPE_H

#include "lib/base/buf.h"

enum { ENVELOPE_SALT_LEN = 32, ENVELOPE_COMMITMENT_LEN = 16, ENVELOPE_EXTRA_LEN = 32 + 16 + 16 };

/* `out` holds the head; the rest is appended. */
struct sl_rc envelope_seal(struct slice key, const char *label, struct slice extra,
                           struct slice plain, struct buf *out);
/* out holds whole.len - head_len - ENVELOPE_EXTRA_LEN bytes. SL_E_CORRUPT whatever is wrong. */
struct sl_rc envelope_open(struct slice key, const char *label, struct slice extra,
                           struct slice whole, size_t head_len, uint8_t *out);

#endif
