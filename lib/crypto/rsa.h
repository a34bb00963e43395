/* RSA as a transport of keys: pairs made here, and what others encrypted under the public half. */
#ifndef SL_CRYPTO_RSA_H
#define SL_CRYPTO_RSA_H

#include "lib/base/buf.h"
#include "lib/crypto/crypto.h"

enum { RSA_PRIVATE_MAX = 2560 }; /* bytes of a 4096-bit private key's DER, with room */

/* A pair of 2048, 3072 or 4096 bits. Private: PKCS#1 DER; public: SubjectPublicKeyInfo DER. */
struct sl_rc rsa_make(unsigned bits, struct secret *ret_private_der, struct buf *ret_public_der);
/* OAEP with `alg` (SHA-256 or SHA-1) for the label, which is empty, and for MGF1. SL_E_CORRUPT
 * whatever is wrong with the ciphertext. *ret_cipher_len is the modulus' length, which `cipher`
 * may exceed: the rest is not looked at. */
struct sl_rc rsa_oaep_open(struct slice private_der, enum digest_alg alg, struct slice cipher,
                           struct secret *ret_plain, size_t *ret_cipher_len);

#endif
