/* Opaque blobs that only kms reads: version | salt 32 | AES-256-GCM. Each blob has a key of its
 * own, HKDF(key, salt, label), so the number of blobs under one key is not bounded by nonces. */
#ifndef SL_AUTH_SEALED_H
#define SL_AUTH_SEALED_H

#include "lib/base/buf.h"
#include "lib/crypto/secret.h"

enum { SEALED_OVERHEAD = 1 + 32 + 16 };

struct sl_rc sealed_make(const struct secret *key, const char *label, struct slice aad,
                         struct slice plain, struct buf *out, struct sl_error *err);
/* ret_plain should be wipe-marked. SL_E_CORRUPT for anything that was not made by sealed_make. */
struct sl_rc sealed_open(const struct secret *key, const char *label, struct slice aad,
                         struct slice blob, struct buf *ret_plain);

#endif
