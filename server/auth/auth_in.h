/* Inside of server/auth. */
#ifndef SL_AUTH_IN_H
#define SL_AUTH_IN_H

#include "lib/base/buf.h"
#include "lib/base/rdr.h"
#include "server/auth/auth.h"

enum { AUTH_SKEW_MS = 15 * 60 * 1000, AUTH_FORWARD_MS = 15 * 60 * 1000 };

/* A session's description as bytes: in session tokens and in forward sessions. */
void auth_sts_put(struct buf *out, const struct auth_sts *s);
/* Copies into `a`; a malformed text marks `r` bad. */
void auth_sts_get(struct rdr *r, struct arena *a, struct auth_sts *ret);

/* Opens a session token. SL_E_TOKEN_INVALID for a text that is no token of ours. Expiry is the
 * caller's to check. */
struct sl_rc auth_token_open(const struct auth_env *env, struct slice text, struct arena *a,
                             struct sl_error *err, struct auth_sts *ret,
                             struct slice *ret_access_key_id, struct secret *ret_secret);

/* The caller behind a session: its role or user and their policies as they are now. `s` is kept.
 * SL_E_TOKEN_INVALID when the role or user is gone, or another one has its name, or a managed
 * session policy is gone (a deny may have been in it). */
struct sl_rc auth_sts_caller(const struct auth_env *env, const struct auth_sts *s,
                             struct slice access_key_id, struct arena *a, struct sl_error *err,
                             struct auth_caller *ret);

#endif
