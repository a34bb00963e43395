/* The encryption context: name/value pairs, and their one canonical form (promise 3): sorted by
 * name bytes, each name and value behind a u16 length, the count in front. Duplicate names are
 * refused. */
#ifndef SL_CRYPTO_CONTEXT_H
#define SL_CRYPTO_CONTEXT_H

#include "lib/base/buf.h"

struct context_pair {
    struct slice name;
    struct slice value;
};
struct context {
    const struct context_pair *pairs; /* any order */
    size_t count;
};
/* Appends the canonical form. SL_E_VALIDATION on a duplicate name or above the limits of limits.h.
 */
struct sl_rc context_canonical(const struct context *c, struct buf *out, struct sl_error *err);

#endif
