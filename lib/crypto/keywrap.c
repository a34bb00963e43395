/* See keywrap.h. */
#include "lib/crypto/keywrap.h"

#include <openssl/evp.h>

static void end_ctx(EVP_CIPHER_CTX **c) {
    EVP_CIPHER_CTX_free(*c);
}

static void end_cipher(EVP_CIPHER **c) {
    EVP_CIPHER_free(*c);
}

struct sl_rc keywrap_open(struct slice key32, struct slice wrapped, struct secret *ret_plain) {
    ENSURE(key32.len == AES256_KEY_LEN, NULL, SL_E_CORRUPT, "AES-256 key of wrong length");
    ENSURE(wrapped.len >= 16 && wrapped.len % 8 == 0 && wrapped.len <= KEYWRAP_MAX_BYTES, NULL,
           SL_E_CORRUPT, "no wrapped key");
    EVP_CIPHER *kwp SL_CLEANUP(end_cipher) = EVP_CIPHER_fetch(NULL, "AES-256-WRAP-PAD", NULL);
    EVP_CIPHER_CTX *c SL_CLEANUP(end_ctx) = EVP_CIPHER_CTX_new();
    ENSURE(kwp != NULL && c != NULL, NULL, SL_E_INTERNAL, "AES key wrap");
    EVP_CIPHER_CTX_set_flags(c, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    struct secret room SL_CLEANUP(secret_fini) = {0};
    TRY(secret_init(&room, wrapped.len));
    int len = 0;
    ENSURE(EVP_DecryptInit_ex2(c, kwp, key32.ptr, NULL, NULL) == 1, NULL, SL_E_INTERNAL,
           "AES key wrap");
    if (EVP_DecryptUpdate(c, room.ptr, &len, wrapped.ptr, (int)wrapped.len) != 1 || len <= 0) {
        return sl_rc_of(SL_E_CORRUPT);
    }
    return secret_from(ret_plain, slice_of(room.ptr, (size_t)len));
}
