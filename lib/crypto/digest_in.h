/* Inside of lib/crypto: HMAC for its derivations. */
#ifndef SL_CRYPTO_DIGEST_IN_H
#define SL_CRYPTO_DIGEST_IN_H

#include "lib/crypto/crypto.h"

enum { HMAC_RUNS_MAX = 5 };

/* HMAC-SHA-256 over several runs of bytes. */
void hmac_runs(struct slice key, const struct slice *runs, size_t count, uint8_t out[SHA256_LEN]);

#endif
