/* Kinds of root key, and how one is named: what stands in the domain key file, and what people
 * write. */
#ifndef SL_KEYS_ROOT_H
#define SL_KEYS_ROOT_H

#include "lib/crypto/secret.h"

#include <limits.h>

enum root_kind { ROOT_FILE = 1, ROOT_PASSPHRASE = 2, ROOT_TOKEN = 3 };

/* An AES key in a PKCS#11 token; labels as the token keeps them, NUL-ended. */
struct root_token {
    char module[512]; /* absolute path of the library */
    char token[33];
    char key[65];
};

struct root_place {
    enum root_kind kind;
    char file[PATH_MAX];     /* ROOT_FILE */
    struct root_token token; /* ROOT_TOKEN */
};

/* "file", "passphrase", "pkcs11". */
const char *root_kind_name(enum root_kind kind);
/* Passphrase and PIN: asked for at each opening. */
static inline bool root_needs_word(enum root_kind kind) {
    return kind != ROOT_FILE;
}
/* Reads file, file:PATH, passphrase, or an RFC 7512 URI with token and module-path (and object,
 * default sealift-root). A plain "file" means default_file. SL_E_VALIDATION. */
struct sl_rc root_place_parse(const char *text, const char *default_file, struct root_place *ret,
                              struct sl_error *err);
/* True when a passphrase or PIN may be used for a new root; else SL_E_VALIDATION. */
struct sl_rc root_word_check(enum root_kind kind, struct slice word, struct sl_error *err);

#endif
