/* AES-CBC of the S3 encryption client; see cbc.h. */
#include "lib/crypto/cbc.h"

#include <openssl/evp.h>
#include <stdlib.h>

struct cbc {
    EVP_CIPHER_CTX *ctx; /* cleansed when freed */
};

void cbc_free(struct cbc *c) {
    if (c != NULL) {
        EVP_CIPHER_CTX_free(c->ctx);
        free(c);
    }
}

static struct sl_rc begin(const EVP_CIPHER *cipher, struct slice key32, const uint8_t *iv,
                          struct cbc **ret) {
    ENSURE(key32.len == AES256_KEY_LEN, NULL, SL_E_INTERNAL, "AES-256 key of wrong length");
    struct cbc *c = calloc(1, sizeof *c);
    ENSURE(c != NULL, NULL, SL_E_NOMEM, "cbc");
    c->ctx = EVP_CIPHER_CTX_new();
    if (c->ctx == NULL || EVP_DecryptInit_ex2(c->ctx, cipher, key32.ptr, iv, NULL) != 1) {
        cbc_free(c);
        return sl_rc_of(SL_E_NOMEM);
    }
    *ret = c;
    return SL_OK;
}

struct sl_rc cbc_new(struct slice key32, const uint8_t iv[AES_BLOCK_LEN], struct cbc **ret) {
    return begin(EVP_aes_256_cbc(), key32, iv, ret);
}

struct sl_rc cbc_more(struct cbc *c, struct slice in, uint8_t *out, size_t *ret_len) {
    int n = 0;
    if (in.len > 0 && EVP_DecryptUpdate(c->ctx, out, &n, in.ptr, (int)in.len) != 1) {
        return sl_rc_of(SL_E_CORRUPT);
    }
    *ret_len = (size_t)n;
    return SL_OK;
}

struct sl_rc cbc_end(struct cbc *c, uint8_t *out, size_t *ret_len) {
    int n = 0;
    if (EVP_DecryptFinal_ex(c->ctx, out, &n) != 1) {
        return sl_rc_of(SL_E_CORRUPT);
    }
    *ret_len = (size_t)n;
    return SL_OK;
}

struct sl_rc ecb_unwrap(struct slice key32, struct slice wrapped, struct secret *ret_key) {
    uint8_t plain[CBC_WRAPPED_KEY_LEN + AES_BLOCK_LEN];
    size_t n = 0, last = 0;
    struct cbc *c = NULL;
    if (wrapped.len != CBC_WRAPPED_KEY_LEN) {
        return sl_rc_of(SL_E_CORRUPT);
    }
    TRY(begin(EVP_aes_256_ecb(), key32, NULL, &c));
    struct sl_rc rc = cbc_more(c, wrapped, plain, &n);
    rc = sl_is_ok(rc) ? cbc_end(c, plain + n, &last) : rc;
    cbc_free(c);
    if (sl_is_ok(rc)) {
        rc = n + last == AES256_KEY_LEN ? secret_from(ret_key, slice_of(plain, n + last))
                                        : sl_rc_of(SL_E_CORRUPT);
    }
    secret_wipe(plain, sizeof plain);
    return rc;
}
