/* The client's login: the gateway checks passwords against PostgreSQL's verifiers itself. */
#ifndef SL_GATEWAY_LOGIN_H
#define SL_GATEWAY_LOGIN_H

#include "gateway/backend/lookup.h"
#include "server/net/net.h"

/* SCRAM-SHA-256 or MD5, as the stored verifier wants; unknown users go through SCRAM too, and fail
 * as a wrong password does. On success AuthenticationOk is left to PostgreSQL's own start. */
struct sl_rc login_run(struct net_conn *c, struct lookup *l, const struct secret *fake_key,
                       struct slice user, int64_t deadline_mono_ms, struct sl_error *err);

#endif
