/* Connections to the processes that own the other services. Each says in its hello which client it
 * is for, so it is kept for that client alone. */
#ifndef SL_MAIN_S3_UPSTREAM_H
#define SL_MAIN_S3_UPSTREAM_H

#include "lib/ipc/seam.h"
#include "server/net/net.h"

struct upstreams;
struct sl_rc upstreams_new(const uint8_t token[SEAM_TOKEN_LEN], struct upstreams **ret);
void upstreams_free(struct upstreams *u);
/* A connection to `socket_path` (compared by pointer) for this client: a kept one, or new. */
struct sl_rc upstreams_take(struct upstreams *u, const char *socket_path,
                            const struct net_peer *peer, int *ret_fd, struct sl_error *err);
/* Gives it back for the client's next request. */
void upstreams_give(struct upstreams *u, const char *socket_path, const struct net_peer *peer,
                    int take_fd);

#endif
