/* Where a load's credentials come from: given keys, or the cluster's role through the kms socket.
 * Used on the fetching thread; knows no PostgreSQL. */
#ifndef SEALIFT_COPY_ROLE_H
#define SEALIFT_COPY_ROLE_H

#include "extension/copy/pipeline.h"

struct role_conf {
    /* role_count > 0 */
    const char *const *roles;
    size_t role_count;
    const char *db_user;
    const char *kms_socket;
    const uint8_t *edge_token; /* SEAM_TOKEN_LEN */
    /* otherwise */
    const char *access_key_id;
    const struct secret *secret;
    const struct secret *token; /* or NULL */
};
enum { ROLE_CHAIN_MAX = 10 };

/* A pipeline_credentials_fn; ctx is a const struct role_conf. */
struct sl_rc role_credentials(void *ctx, struct s3client *client, atomic_int *ret_fd,
                              struct sl_error *err, int64_t *ret_expires_s);

#endif
