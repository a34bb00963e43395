/* Wrapped keys of the warehouse: 32 bytes under the key above them, in a record of fixed length.
 * Knows no PostgreSQL.
 *
 *   record = "SLKEY" version=1 kind alg=1 | run 16 | parent id 16 | own id 16 | salt 32 |
 *            commitment 32 | AES-256-GCM of the key 32 + tag 16
 *
 * key || commitment = HKDF-SHA256(parent key, salt, "sealift/wrap/1"), used once, so the nonce is
 * zero. Associated data: all before the ciphertext. */
#ifndef SEALIFT_KEYS_WRAP_H
#define SEALIFT_KEYS_WRAP_H

#include "lib/crypto/secret.h"

enum {
    KEY_ID_LEN = 16,
    WAREHOUSE_KEY_LEN = 32,
    WRAP_RECORD_LEN = 8 + 3 * KEY_ID_LEN + 32 + 32 + WAREHOUSE_KEY_LEN + 16
};

enum wrap_kind { WRAP_DATABASE = 1, WRAP_TABLE = 2 };

struct wrap_name {
    uint8_t kind;
    uint8_t run[KEY_ID_LEN]; /* of the server that wrote it: what the sweep at a start may take */
    uint8_t parent[KEY_ID_LEN]; /* the cluster key, the database */
    uint8_t own[KEY_ID_LEN];    /* the database, the storage */
};

struct sl_rc wrap_make(const struct wrap_name *name, struct slice parent_key, struct slice key,
                       uint8_t out[WRAP_RECORD_LEN], struct sl_error *err);
/* What the record says of itself, unproven until wrap_open. SL_E_CORRUPT when it is none. */
struct sl_rc wrap_name(struct slice record, struct wrap_name *ret, struct sl_error *err);
/* SL_E_CORRUPT unless it is a key of this kind, parent and own id, under parent_key. */
struct sl_rc wrap_open(struct slice record, const struct wrap_name *want, struct slice parent_key,
                       struct secret *ret, struct sl_error *err);

#endif
