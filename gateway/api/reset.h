/* POST /moto-api/reset of an ephemeral instance, as s3 passes it on when its own part is done: the
 * warehouse, then identities and keys, while no session starts
 * (docs/decisions/8-clock-and-reset.md).
 */
#ifndef SL_GATEWAY_RESET_H
#define SL_GATEWAY_RESET_H

#include "gateway/api/redshift.h"

bool reset_asked(const struct http *h);
/* 200 when all is as after the first start; 403 on an ordinary instance; 500 else: then a part may
 * be done, and asking again does the rest. */
void reset_handle(struct http *h, const struct redshift_env *env);

#endif
