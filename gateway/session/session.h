/* A client's connection from its first byte to its last: TLS, startup, login, then the proxy. */
#ifndef SL_GATEWAY_SESSION_H
#define SL_GATEWAY_SESSION_H

#include <pthread.h>
#include <stdatomic.h>

#include "gateway/backend/lookup.h"
#include "gateway/session/cancel.h"
#include "server/net/net.h"

/* What sessions share; all but the counters read-only after start. */
struct session_env {
    struct net_tls *tls;
    struct backend_target target;
    struct lookup *lookup;
    struct cancel_map *cancels;
    struct secret fake_key;  /* salts of users that don't exist */
    pthread_rwlock_t gate;   /* read while a session starts, written during a reset */
    const char *sealed_path; /* a file that is there while the instance is sealed */
    int stop_fd;             /* an eventfd, readable once the gateway stops */
    atomic_int connections;
    atomic_int sessions;
};

/* Fills lookup, cancels, gate, fake_key and stop_fd; tls, target and sealed_path are set by the
 * caller. */
struct sl_rc session_env_init(struct session_env *env, struct sl_error *err);
void session_env_fini(struct session_env *env);
/* Accepts on `listener` and gives each connection a thread, until the stop. Blocks. */
void session_accept_loop(struct session_env *env, int listener);
/* Makes the accept loop return and says farewell to every session; waits LIMIT_SQL_STOP_MS at most.
 */
void session_stop(struct session_env *env);
/* One connection, in the caller's thread. */
void session_serve(struct session_env *env, int take_fd);

#endif
