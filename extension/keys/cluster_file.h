/* The file of the wrapped cluster keys. Knows no PostgreSQL.
 *
 *   file = "SLCLK" version=1 | u8 count, 1 or 2 | count x (id 16 | vec16 ciphertext blob of KMS)
 *
 * The newest stands last; two while a rotation runs. */
#ifndef SEALIFT_KEYS_CLUSTER_FILE_H
#define SEALIFT_KEYS_CLUSTER_FILE_H

#include "extension/keys/wrap.h"
#include "lib/base/buf.h"

enum { CLUSTER_KEYS_MAX = 2 };

struct cluster_file {
    size_t count;
    struct {
        uint8_t id[KEY_ID_LEN];
        struct slice blob;
    } key[CLUSTER_KEYS_MAX];
};

void cluster_file_put(struct buf *out, const struct cluster_file *f);
/* Slices point into `bytes`. SL_E_CORRUPT. */
struct sl_rc cluster_file_get(struct slice bytes, struct cluster_file *ret, struct sl_error *err);

#endif
