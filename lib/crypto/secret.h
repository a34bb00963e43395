/* struct secret: key material and passwords. Locked, wiped, undumpable where the kernel allows; no
 * printing function. Lives in place: secret_init, secret_fini (safe on zeroed or half-built). Bytes
 * are reached through secret_view only, for handing to lib/crypto, to a wipe-marked buf, or to a
 * message; never to a log. */
#ifndef SL_CRYPTO_SECRET_H
#define SL_CRYPTO_SECRET_H

#include "lib/base/rc.h"
#include "lib/base/slice.h"

struct secret {
    uint8_t *ptr; /* page-locked memory from a pool of its own */
    size_t len;
};

enum { SECRET_MAX_BYTES = 64 * 1024 };

struct sl_rc secret_init(struct secret *s, size_t len);         /* zeroed, len bytes */
struct sl_rc secret_from(struct secret *s, struct slice bytes); /* copies */
struct sl_rc secret_random(struct secret *s, size_t len);
void secret_fini(struct secret *s);
static inline struct slice secret_view(const struct secret *s) {
    return (struct slice){s->ptr, s->len};
}
/* Constant time in the contents; lengths may leak. */
bool secret_equal(struct slice a, struct slice b);
void secret_wipe(void *p, size_t n);
/* False once memory for a secret could not be locked (no allowance): swap then must be encrypted or
 * off. */
bool secret_is_locked(void);

#endif
