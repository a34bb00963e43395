/* What the gateway itself asks of PostgreSQL, as the role sealift_gateway in the database sealift,
 * which no client can reach: password verifiers, through one standing connection and the function
 * sealift.verifier(name), which gives NULL for those that may not log in; and the reset of an
 * ephemeral warehouse. Thread safe. */
#ifndef SL_GATEWAY_LOOKUP_H
#define SL_GATEWAY_LOOKUP_H

#include "gateway/backend/backend.h"

#define LOOKUP_ROLE "sealift_gateway"
#define LOOKUP_DATABASE "sealift"

struct lookup;

struct sl_rc lookup_new(const struct backend_target *t, struct lookup **ret);
void lookup_free(struct lookup *l);
/* Appends the verifier to `out` (wipe-marked); *ret_found is false when there is none. A failure
 * means that PostgreSQL could not be asked. */
struct sl_rc lookup_verifier(struct lookup *l, struct slice user, struct buf *out, bool *ret_found,
                             struct sl_error *err);

/* sealift.rotate_encryption_key(). SL_E_REDSHIFT_CLUSTER_STATE with its words when it refuses. */
struct sl_rc lookup_rotate(struct lookup *l, struct sl_error *err);
/* sealift.reset(): the warehouse as the first start made it, all sessions ended. */
struct sl_rc lookup_reset(struct lookup *l, struct sl_error *err);

#endif
