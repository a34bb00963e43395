/* Password verifiers from PostgreSQL, through one standing connection as the role sealift_gateway
 * and the function sealift.verifier(name), which gives NULL for those that may not log in. Thread
 * safe. */
#ifndef SL_GATEWAY_LOOKUP_H
#define SL_GATEWAY_LOOKUP_H

#include "gateway/backend/backend.h"

#define LOOKUP_ROLE "sealift_gateway"

struct lookup;

struct sl_rc lookup_new(const struct backend_target *t, struct lookup **ret);
void lookup_free(struct lookup *l);
/* Appends the verifier to `out` (wipe-marked); *ret_found is false when there is none. A failure
 * means that PostgreSQL could not be asked. */
struct sl_rc lookup_verifier(struct lookup *l, struct slice user, struct buf *out, bool *ret_found,
                             struct sl_error *err);

#endif
