/* Facts of the instance that every child may know: DATA/run/conf.json, named by SEALIFT_CONF. No
 * secrets. */
#ifndef SL_MAIN_CONF_H
#define SL_MAIN_CONF_H

#include "lib/base/arena.h"
#include "lib/base/rc.h"
#include "lib/ipc/seam.h"

struct conf {
    const char *data_dir;     /* absolute */
    const char *instance_id;  /* 32 hex */
    const char *account;      /* "000000000000" */
    const char *region;       /* default region */
    const char *cluster;      /* "local" */
    const char *const *hosts; /* certificate names besides localhost, 127.0.0.1, ::1 */
    size_t host_count;
    const char *domain;      /* buckets are host names below it; "" for none */
    const char *listen_addr; /* "127.0.0.1" */
    uint16_t https_port;
    uint16_t sql_port;
    uint16_t plain_port;       /* 0 = none */
    const char *warehouse_key; /* for new cluster keys: the administrator's KMS key, or NULL */
    bool ephemeral;
    bool audit_strict;
    const char *kms_socket;     /* DATA/run/kms.sock */
    const char *gateway_socket; /* DATA/run/gateway.sock */
    const char *pg_socket_dir;  /* DATA/run/pg */
    const char *ca_file;        /* DATA/tls/ca.pem */
    const char *master_user;    /* "awsuser" */
    bool peers_known;           /* as root: each edge's process has a uid of its own */
    uint32_t edge_uid[5];       /* by enum seam_edge, when peers_known */
    int64_t created_s;          /* instance's first start, epoch seconds */
};

/* Reads the file named by SEALIFT_CONF; strings live in `a`. */
struct sl_rc conf_load(struct arena *a, struct sl_error *err, struct conf *ret);

/* Edge tokens from the inherited descriptor: 4 bytes mask of enum seam_edge bits, then 32 bytes for
 * each edge set, in order. */
struct conf_tokens {
    uint8_t token[5][SEAM_TOKEN_LEN]; /* by enum seam_edge */
    bool have[5];
};
struct sl_rc conf_tokens_read(int take_fd, struct conf_tokens *ret, struct sl_error *err);

/* Is the process at the other end of a Unix socket the one that may speak for `edge`? Beside the
 * token; as an ordinary user all share a uid and the token alone decides. */
bool conf_peer_ok(const struct conf *c, int socket_fd, uint8_t edge);

/* Writes the one byte that says "serving" and closes. */
void conf_ready(int take_fd);

#endif
