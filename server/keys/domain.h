/* The root of trust: the domain key, the root that wraps it in its file, and keys derived from it.
 */
#ifndef SL_KEYS_DOMAIN_H
#define SL_KEYS_DOMAIN_H

#include "lib/base/buf.h"
#include "lib/crypto/secret.h"
#include "server/keys/root.h"

enum { DOMAIN_KEY_LEN = 32, ROOT_KEY_LEN = 32 };

struct domain {
    struct secret key;
};

/* The parts of a domain key file; slices point into it. */
struct domain_file {
    enum root_kind kind;
    struct slice salt;       /* file, passphrase */
    uint8_t log_n, r, p;     /* passphrase: scrypt */
    struct root_token token; /* PKCS#11 */
    struct slice head;       /* all before the wrapped key: associated data */
    struct slice nonce;
    struct slice wrapped;
};
/* SL_E_CORRUPT, SL_E_UNSUPPORTED (version or kind). */
struct sl_rc domain_parse(struct slice bytes, struct domain_file *ret, struct sl_error *err);
/* Kind and token of the file at `path`; its slices are empty. */
struct sl_rc domain_kind(const char *path, struct domain_file *ret, struct sl_error *err);

/* Asks for the passphrase or PIN of a root; `why` tells what was wrong with the last one, or is
 * NULL. A failure ends the opening. */
typedef struct sl_rc (*domain_ask_fn)(void *user, enum root_kind kind, const struct sl_error *why,
                                      struct secret *ret, struct sl_error *err);

struct domain_opening {
    const char *root_file; /* of a root in a file */
    const char *domain_file;
    bool create;                    /* what is missing is made, whole or not at all, */
    const struct root_place *first; /* under this root */
    domain_ask_fn ask;
    void *user;
};

/* The root key's file must belong to this user or root and be closed to others. SL_E_CORRUPT when
 * the root key does not open the domain key. Where a word is needed, it is asked for until one
 * opens it. */
struct sl_rc domain_open(const struct domain_opening *o, struct domain *ret, struct sl_error *err);
void domain_fini(struct domain *d);
/* Puts the file of an open domain under another root: the old file or the new one is there at any
 * instant. A root key in a file or token is made when it is missing. */
struct sl_rc domain_move(const struct domain_opening *o, const struct root_place *to,
                         const struct domain *d, struct sl_error *err);

/* The bytes of a domain key file, and back. SL_E_ACCESS_DENIED: wrong passphrase or PIN; see
 * token.h for a token's other failures. */
struct sl_rc domain_wrap(const struct root_place *to, bool create, const struct secret *word,
                         const struct domain *d, struct buf *ret, struct sl_error *err);
struct sl_rc domain_unwrap(struct slice bytes, const char *root_file, const struct secret *word,
                           struct domain *ret, struct sl_error *err);
/* KDF(domain key, label = prefix || name). */
struct sl_rc domain_derive(const struct domain *d, const char *prefix, struct slice name,
                           struct secret *ret);

#endif
