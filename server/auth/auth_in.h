/* Inside of server/auth. */
#ifndef SL_AUTH_IN_H
#define SL_AUTH_IN_H

#include "server/auth/auth.h"

enum { AUTH_SKEW_MS = 15 * 60 * 1000, AUTH_FORWARD_MS = 15 * 60 * 1000 };

/* What a session token of STS says. Slices in the arena but for the secret. */
struct auth_token {
    struct slice role_arn;
    struct slice role_id;
    struct slice session_name;
    struct slice access_key_id;
    struct slice policy_text;
    struct secret secret_access_key;
    int64_t issued_ms;
    int64_t expires_s;
};
/* SL_E_TOKEN_INVALID for a text that is no token of ours. Expiry is the caller's to check. */
struct sl_rc auth_token_open(const struct auth_env *env, struct slice text, struct arena *a,
                             struct sl_error *err, struct auth_token *ret);

/* The role's identity as it is now, for a session of it; SL_E_TOKEN_INVALID when the role is gone
 * or another one has its name. */
struct sl_rc auth_role_caller(const struct auth_env *env, const struct auth_token *t,
                              struct arena *a, struct sl_error *err, struct auth_caller *ret);

#endif
