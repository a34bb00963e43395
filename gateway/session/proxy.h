/* One session after its login: messages from the client to PostgreSQL with their statements
 * rewritten, and back. Memory is bounded: only statements and a few small messages are held. */
#ifndef SL_GATEWAY_PROXY_H
#define SL_GATEWAY_PROXY_H

#include "gateway/backend/backend.h"
#include "gateway/session/cancel.h"
#include "server/net/net.h"

struct proxy_conf {
    struct net_conn *client;
    int backend_fd; /* connected, non-blocking; stays the caller's */
    const struct secret *session_key;
    struct slice startup; /* what the backend is to get first */
    struct cancel_map *cancels;
    int stop_fd; /* readable once the gateway stops */
    /* Called once, when PostgreSQL has started the session; not when it refused to. */
    void (*begun)(void *arg);
    void *begun_arg;
    bool replication;   /* what the client says are commands of replication, no SQL */
    bool redshift_said; /* the client is one of Redshift's drivers: server_version 8.0.2 */
};

/* Runs until either side ends. A failure is the session's, already told to the client where that
 * was possible; SL_OK after Terminate or an orderly end. */
struct sl_rc proxy_run(const struct proxy_conf *conf, struct sl_error *err);

#endif
