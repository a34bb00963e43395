/* The Redshift API (query protocol, 2012-12-01) for the one cluster, behind s3's public port. */
#ifndef SL_GATEWAY_REDSHIFT_H
#define SL_GATEWAY_REDSHIFT_H

#include "lib/codec/text.h"
#include "server/http/http.h"
#include "server/main/conf.h"

struct session_env;

struct redshift_env {
    const struct conf *conf;
    struct session_env *sql;
    struct seam_hello hello; /* to kms, as edge gateway */
    uint8_t s3_token[SEAM_TOKEN_LEN];
};

/* An http_handle_fn; user is a struct redshift_env. */
void redshift_handle(struct http *h, void *user);
/* A net_hello_fn: only s3, with its token, and only HTTP. user is the struct http_service whose
 * user is the struct redshift_env. */
struct sl_rc redshift_hello(struct net_conn *c, struct net_peer *ret_peer, void *user);

/* What a ModifyClusterIamRoles asks for. Slices in the arena. */
struct redshift_modify {
    const struct slice *add;
    size_t add_count;
    const struct slice *remove;
    size_t remove_count;
    struct slice default_role; /* empty: unchanged */
};
/* SL_E_REDSHIFT_INVALID_PARAMETER names what is wrong. */
struct sl_rc redshift_modify_parse(const struct params *form, struct arena *a,
                                   struct redshift_modify *ret, struct sl_error *err);
/* <Cluster>…</Cluster>; kms_key: the root key's ARN, or empty. */
struct redshift_cluster {
    const struct seam_cluster_role *roles;
    size_t role_count;
    struct slice kms_key;
    bool rotating;
};
void redshift_cluster_put(struct buf *out, const struct conf *conf,
                          const struct redshift_cluster *c);

#endif
