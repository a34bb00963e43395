/* See rsa.h. */
#include "lib/crypto/rsa.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

static void end_key(EVP_PKEY **key) {
    EVP_PKEY_free(*key); /* clears the private numbers */
}

static void end_ctx(EVP_PKEY_CTX **ctx) {
    EVP_PKEY_CTX_free(*ctx);
}

struct sl_rc rsa_make(unsigned bits, struct secret *ret_private_der, struct buf *ret_public_der) {
    ENSURE(bits == 2048 || bits == 3072 || bits == 4096, NULL, SL_E_INTERNAL, "RSA key size");
    EVP_PKEY *key SL_CLEANUP(end_key) = EVP_RSA_gen(bits);
    ENSURE(key != NULL, NULL, SL_E_INTERNAL, "No RSA key could be made.");
    int private_len = i2d_PrivateKey(key, NULL);
    int public_len = i2d_PUBKEY(key, NULL);
    ENSURE(private_len > 0 && private_len <= RSA_PRIVATE_MAX && public_len > 0, NULL, SL_E_INTERNAL,
           "An RSA key could not be encoded.");
    uint8_t *p = buf_reserve(ret_public_der, (size_t)public_len);
    TRY(buf_check(ret_public_der, NULL));
    struct secret der SL_CLEANUP(secret_fini) = {0};
    TRY(secret_init(&der, (size_t)private_len));
    uint8_t *q = der.ptr;
    ENSURE(i2d_PrivateKey(key, &q) == private_len && i2d_PUBKEY(key, &p) == public_len, NULL,
           SL_E_INTERNAL, "An RSA key could not be encoded.");
    ret_public_der->len += (size_t)public_len;
    *ret_private_der = der;
    der = (struct secret){0};
    return SL_OK;
}

static bool set_oaep(EVP_PKEY_CTX *c, enum digest_alg alg) {
    const EVP_MD *md = alg == DIGEST_SHA256 ? EVP_sha256() : EVP_sha1();
    return EVP_PKEY_decrypt_init(c) == 1 &&
           EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_OAEP_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_oaep_md(c, md) == 1 && EVP_PKEY_CTX_set_rsa_mgf1_md(c, md) == 1;
}

struct sl_rc rsa_oaep_open(struct slice private_der, enum digest_alg alg, struct slice cipher,
                           struct secret *ret_plain, size_t *ret_cipher_len) {
    ENSURE(alg == DIGEST_SHA256 || alg == DIGEST_SHA1, NULL, SL_E_INTERNAL, "OAEP digest");
    const uint8_t *p = private_der.ptr;
    EVP_PKEY *key SL_CLEANUP(end_key) =
        d2i_PrivateKey(EVP_PKEY_RSA, NULL, &p, (long)private_der.len);
    ENSURE(key != NULL, NULL, SL_E_INTERNAL, "Not an RSA private key.");
    EVP_PKEY_CTX *ctx SL_CLEANUP(end_ctx) = EVP_PKEY_CTX_new(key, NULL);
    ENSURE(ctx != NULL && set_oaep(ctx, alg), NULL, SL_E_INTERNAL, "OAEP");
    size_t len = (size_t)EVP_PKEY_get_size(key);
    ENSURE(cipher.len >= len, NULL, SL_E_CORRUPT, "shorter than the modulus");
    struct secret room SL_CLEANUP(secret_fini) = {0};
    TRY(secret_init(&room, len));
    size_t plain_len = len;
    if (EVP_PKEY_decrypt(ctx, room.ptr, &plain_len, cipher.ptr, len) != 1) {
        return sl_rc_of(SL_E_CORRUPT);
    }
    TRY(secret_from(ret_plain, slice_of(room.ptr, plain_len)));
    *ret_cipher_len = len;
    return SL_OK;
}
