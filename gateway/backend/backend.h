/* The private PostgreSQL cluster on its Unix socket: connections, the startup packet with the
 * gateway's own words in it, cancels. */
#ifndef SL_GATEWAY_BACKEND_H
#define SL_GATEWAY_BACKEND_H

#include "gateway/wire/startup.h"
#include "lib/base/buf.h"
#include "lib/ipc/seam.h"

/* Where and as whom; read-only after start. */
struct backend_target {
    const char *socket_path;       /* …/.s.PGSQL.5432 */
    uint8_t token[SEAM_TOKEN_LEN]; /* the postgres edge's */
};

/* A connected, non-blocking descriptor. SL_E_SQL_NOT_READY when nothing listens. */
struct sl_rc backend_connect(const struct backend_target *t, int *ret_fd, struct sl_error *err);
/* StartupMessage: user, database, the parameters, sealift.token and sealift.session_key. `out` must
 * be wipe-marked. */
struct sl_rc backend_startup_put(const struct backend_target *t, struct slice user,
                                 struct slice database, const struct startup_param *params,
                                 size_t count, const struct secret *session_key, struct buf *out,
                                 struct sl_error *err);
/* Asks PostgreSQL to cancel what a session runs, and waits until it has taken the request. */
void backend_cancel(const struct backend_target *t, uint32_t pid, uint32_t key);

#endif
