/* Cryptography through OpenSSL 3, algorithms fetched once. The only folder (with server/net for
 * TLS) that includes OpenSSL headers. All functions are thread-safe unless a handle is shared. */
#ifndef SL_CRYPTO_CRYPTO_H
#define SL_CRYPTO_CRYPTO_H

#include "lib/base/buf.h"
#include "lib/crypto/secret.h"

enum {
    SHA256_LEN = 32,
    SHA1_LEN = 20,
    MD5_LEN = 16,
    AES256_KEY_LEN = 32,
    GCM_NONCE_LEN = 12,
    GCM_TAG_LEN = 16,
    ED25519_PUBLIC_LEN = 32,
    ED25519_SIGNATURE_LEN = 64
};

void crypto_random(void *out, size_t n); /* panics when the generator fails */
void crypto_random_hex(char *out,
                       size_t hex_chars); /* lower case, NUL-terminated: out[hex_chars+1] */
void crypto_uuid(char out[37]);           /* random UUID (RFC 4122 v4), lower case */

void sha256(struct slice data, uint8_t out[SHA256_LEN]);
void hmac_sha256(struct slice key, struct slice data, uint8_t out[SHA256_LEN]);

enum digest_alg { DIGEST_SHA256, DIGEST_SHA1, DIGEST_MD5 };
struct digest; /* running digest */
struct sl_rc digest_new(enum digest_alg alg, struct digest **ret);
void digest_more(struct digest *d, struct slice data);
size_t digest_end(struct digest *d,
                  uint8_t out[64]); /* length written; the digest is reset for reuse */
void digest_free(struct digest *d);

/* HKDF-SHA256 (RFC 5869). out_len <= 255*32. */
struct sl_rc hkdf_sha256(struct slice key, struct slice salt, struct slice info, uint8_t *out,
                         size_t out_len);
/* SP 800-108 counter mode, HMAC-SHA256, 32-bit counter first: K(i) = HMAC(key, i || label || 0 ||
 * context || L). */
struct sl_rc kdf_counter_sha256(struct slice key, struct slice label, struct slice context,
                                uint8_t *out, size_t out_len);
/* The same with the fixed input given as a whole: K(i) = HMAC(key, i || fixed). */
struct sl_rc kdf_counter_fixed_sha256(struct slice key, struct slice fixed, uint8_t *out,
                                      size_t out_len);
/* PBKDF2-HMAC-SHA256, for SCRAM verifiers. */
struct sl_rc pbkdf2_sha256(struct slice password, struct slice salt, uint32_t rounds, uint8_t *out,
                           size_t out_len);
/* scrypt (RFC 7914) with N = 2^log_n. SL_E_LIMIT when it needs more memory than max_bytes. */
struct sl_rc scrypt(struct slice password, struct slice salt, unsigned log_n, uint32_t r,
                    uint32_t p, uint64_t max_bytes, uint8_t *out, size_t out_len);

/* AES-256-GCM. A handle keeps the key schedule; one thread at a time. */
struct aead;
struct sl_rc aead_new(struct slice key32, struct aead **ret);
void aead_free(struct aead *a);
/* out holds plain.len bytes; out may equal plain.ptr. */
struct sl_rc aead_seal_apart(struct aead *a, const uint8_t nonce[GCM_NONCE_LEN], struct slice aad,
                             struct slice plain, uint8_t *out, uint8_t ret_tag[GCM_TAG_LEN]);
/* out holds cipher.len bytes; on failure SL_E_CORRUPT, and out is wiped. out may equal
 * cipher.ptr. */
struct sl_rc aead_open_apart(struct aead *a, const uint8_t nonce[GCM_NONCE_LEN], struct slice aad,
                             struct slice cipher, const uint8_t tag[GCM_TAG_LEN], uint8_t *out);
/* The same with the tag behind the ciphertext: out holds plain.len + GCM_TAG_LEN bytes; out may
 * equal plain.ptr. */
struct sl_rc aead_seal(struct aead *a, const uint8_t nonce[GCM_NONCE_LEN], struct slice aad,
                       struct slice plain, uint8_t *out);
/* out holds cipher.len - GCM_TAG_LEN bytes; on failure SL_E_CORRUPT, and out is wiped. */
struct sl_rc aead_open(struct aead *a, const uint8_t nonce[GCM_NONCE_LEN], struct slice aad,
                       struct slice cipher, uint8_t *out);

/* Ed25519 (RFC 8032). The seed is the private key. */
struct sl_rc ed25519_sign(struct slice seed32, struct slice message,
                          uint8_t ret_signature[ED25519_SIGNATURE_LEN],
                          uint8_t ret_public[ED25519_PUBLIC_LEN]);
bool ed25519_verify(struct slice public32, struct slice message, struct slice signature);

#endif
