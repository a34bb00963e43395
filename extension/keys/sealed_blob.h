/* Texts that lie in rows of Sealift's own relations, under a database key. Knows no PostgreSQL.
 *
 *   blob = version=1 | alg=1 | database id 16 | salt 32 | commitment 32 | AES-256-GCM + tag 16
 *
 * key || commitment = HKDF-SHA256(database key, salt, "sealift/blob/1"), used once, so the nonce is
 * zero. Associated data: all before the ciphertext || place, which says what the blob belongs to.
 */
#ifndef SEALIFT_KEYS_SEALED_BLOB_H
#define SEALIFT_KEYS_SEALED_BLOB_H

#include "extension/keys/wrap.h"
#include "lib/base/buf.h"

enum { LIMIT_SEALED_BLOB_BYTES = 16 * 1024 * 1024 };

struct sl_rc sealed_blob_make(const uint8_t database[KEY_ID_LEN], struct slice database_key,
                              struct slice place, struct slice plain, struct buf *out,
                              struct sl_error *err);
/* Was it made under the key of this database? */
bool sealed_blob_is_of(struct slice blob, const uint8_t database[KEY_ID_LEN]);
/* Appends to `out` (wipe-marked). SL_E_CORRUPT for anything else than what was made for the place.
 */
struct sl_rc sealed_blob_open(const uint8_t database[KEY_ID_LEN], struct slice database_key,
                              struct slice place, struct slice blob, struct buf *out,
                              struct sl_error *err);

#endif
