/* The root of trust: the root key file, the domain key that it wraps, and keys derived from the
 * domain key. */
#ifndef SL_KEYS_DOMAIN_H
#define SL_KEYS_DOMAIN_H

#include "lib/crypto/secret.h"

enum { DOMAIN_KEY_LEN = 32, ROOT_KEY_LEN = 32 };

struct domain {
    struct secret key;
};

/* Opens both files; with `create`, makes those that are missing, whole or not at all. The root key
 * file must belong to this user or root and be closed to others. SL_E_CORRUPT when the root key
 * does not open the domain key. */
struct sl_rc domain_open(const char *root_file, const char *domain_file, bool create,
                         struct domain *ret, struct sl_error *err);
void domain_fini(struct domain *d);
/* KDF(domain key, label = prefix || name). */
struct sl_rc domain_derive(const struct domain *d, const char *prefix, struct slice name,
                           struct secret *ret);

#endif
