/* What the keyholder does with one request; the server loop is serve.c. Thread-safe. */
#ifndef SL_KEYS_SERVICE_H
#define SL_KEYS_SERVICE_H

#include "lib/base/buf.h"
#include "server/keys/domain.h"

struct service;

/* Takes the domain key. Does all that OpenSSL needs files for, so that a sandbox may follow. */
struct sl_rc service_new(struct domain *take, struct service **ret, struct sl_error *err);
void service_free(struct service *s);
/* The domain key as a file under a passphrase, for a backup. */
struct sl_rc service_wrap_domain(struct service *s, struct slice passphrase, struct buf *out,
                                 struct sl_error *err);
/* Answers a request of any channel: `out` (reset, wiped by its owner) gets the result. */
struct sl_rc service_handle(struct service *s, uint8_t op, struct slice request, struct buf *out,
                            struct sl_error *err);

#endif
