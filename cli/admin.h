/* The supervisor's own socket, DATA/run/admin.sock, for the command's verbs: one request frame a
 * connection, one answer frame. Only root and the instance's own user may connect (the socket's
 * mode and SO_PEERCRED). Whoever may speak here may do all that the supervisor may. */
#ifndef SL_CLI_ADMIN_H
#define SL_CLI_ADMIN_H

#include "cli/supervise.h"
#include "server/net/net.h"

/* Request types. Answers: 'O' with the result and perhaps a descriptor, or 'E' with u16 code and
 * the text. */
enum admin_request {
    ADMIN_KMS = 'K',    /* answer carries a connection to kms on the supervisor's edge (seam RPC) */
    ADMIN_UNSEAL = 'U', /* payload: the passphrase or PIN that the keyholder waits for */
    ADMIN_SQL = 'S',    /* payload: a database. The answer carries a session of sealift_gateway */
    ADMIN_SUPERUSER = 'P', /* payload: a database. The answer carries a session of PostgreSQL's
                              superuser */
    ADMIN_TLS = 'T', /* one's own certificate is read again; s3 and gateway look for new ones */
};
enum { ADMIN_BYTES_MAX = 64 * 1024 };

/* Supervisor: makes the listener (s->admin_fd); serves one waiting connection. A client that stalls
 * is given up after a second: the supervisor has children to watch. */
struct sl_rc admin_listen(struct supervisor *s, struct sl_error *err);
void admin_serve(struct supervisor *s);
/* Answers a request that was kept waiting with how it ended, and closes its connection. */
void admin_answer(int take_fd, struct sl_rc rc, const struct sl_error *err);

/* Verbs: one request to the running instance. ret_fd may be NULL (a passed descriptor is then
 * closed). SL_E_NOT_FOUND when the instance is not up. timeout_ms bounds the wait for the answer.
 */
struct sl_rc admin_call(const struct instance *in, enum admin_request type, struct slice payload,
                        int timeout_ms, struct buf *ret_answer, int *ret_fd, struct sl_error *err);
/* A connection to kms on the supervisor's edge; SL_E_SEALED while the keys are sealed. */
struct sl_rc admin_kms(const struct instance *in, int *ret_fd, struct sl_error *err);
/* A session of the warehouse that is ready for questions (gateway/backend/question.h), as the role
 * sealift_gateway. SL_E_SQL_NOT_READY while there is none. The caller frees it. */
struct sl_rc admin_sql(const struct instance *in, struct slice database, int64_t deadline,
                       struct net_conn **ret, struct sl_error *err);
/* The same of PostgreSQL's superuser. */
struct sl_rc admin_superuser(const struct instance *in, struct slice database, int64_t deadline,
                             struct net_conn **ret, struct sl_error *err);

#endif
