/* The customer's side of an import: material encrypted under the wrapping key, with OpenSSL's own
 * functions. */
#ifndef TESTS_KEYS_WRAP_H
#define TESTS_KEYS_WRAP_H

#include "lib/base/buf.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

static inline void wrap_oaep(struct slice public_der, bool sha256, struct slice plain,
                             struct buf *out) {
    const uint8_t *p = public_der.ptr;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)public_der.len);
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(key, NULL);
    const EVP_MD *md = sha256 ? EVP_sha256() : EVP_sha1();
    size_t len = (size_t)EVP_PKEY_get_size(key);
    uint8_t *to = buf_reserve(out, len);
    sl_assert(to != NULL && EVP_PKEY_encrypt_init(c) == 1 &&
              EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_OAEP_PADDING) == 1 &&
              EVP_PKEY_CTX_set_rsa_oaep_md(c, md) == 1 &&
              EVP_PKEY_CTX_set_rsa_mgf1_md(c, md) == 1 &&
              EVP_PKEY_encrypt(c, to, &len, plain.ptr, plain.len) == 1);
    out->len += len;
    EVP_PKEY_CTX_free(c);
    EVP_PKEY_free(key);
}

/* RSA_AES: an AES key under OAEP, then `plain` under that key. */
static inline void wrap_aes(struct slice public_der, bool sha256, struct slice plain,
                            struct buf *out) {
    static const uint8_t kek[32] = "an AES key of the customer's own";
    EVP_CIPHER *kwp = EVP_CIPHER_fetch(NULL, "AES-256-WRAP-PAD", NULL);
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int len = 0;
    wrap_oaep(public_der, sha256, slice_of(kek, sizeof kek), out);
    uint8_t *to = buf_reserve(out, plain.len + 24);
    EVP_CIPHER_CTX_set_flags(c, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    sl_assert(to != NULL && EVP_EncryptInit_ex2(c, kwp, kek, NULL, NULL) == 1 &&
              EVP_EncryptUpdate(c, to, &len, plain.ptr, (int)plain.len) == 1);
    out->len += (size_t)len;
    EVP_CIPHER_CTX_free(c);
    EVP_CIPHER_free(kwp);
}

#endif
