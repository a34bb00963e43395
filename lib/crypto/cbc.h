/* AES-256 in CBC and ECB with PKCS #7 padding: opening what the S3 encryption client wrote in its
 * first format. It has no tag, so it tells damage only where the padding shows it; nothing of
 * Sealift's own is ever sealed with it. */
#ifndef SL_CRYPTO_CBC_H
#define SL_CRYPTO_CBC_H

#include "lib/crypto/crypto.h"

enum { AES_BLOCK_LEN = 16, CBC_WRAPPED_KEY_LEN = 48 };

/* A 256-bit key under ECB. SL_E_CORRUPT whatever is wrong with `wrapped`. */
struct sl_rc ecb_unwrap(struct slice key32, struct slice wrapped, struct secret *ret_key);

struct cbc;
struct sl_rc cbc_new(struct slice key32, const uint8_t iv[AES_BLOCK_LEN], struct cbc **ret);
void cbc_free(struct cbc *c);
/* out holds in.len + AES_BLOCK_LEN bytes; in is at most 1 GiB. The last block is held back. */
struct sl_rc cbc_more(struct cbc *c, struct slice in, uint8_t *out, size_t *ret_len);
/* out holds AES_BLOCK_LEN bytes. SL_E_CORRUPT: cut, or the padding is wrong. */
struct sl_rc cbc_end(struct cbc *c, uint8_t *out, size_t *ret_len);

#endif
