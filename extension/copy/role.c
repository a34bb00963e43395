/* Credentials of a load; see role.h. */
#include "extension/copy/role.h"

#include <unistd.h>

#include "lib/ipc/seam.h"

enum { ROLE_ARENA_BYTES = 64 * 1024 };

struct sl_rc role_credentials(void *ctx, struct s3client *client, atomic_int *ret_fd,
                              struct sl_error *err, int64_t *ret_expires_s) {
    const struct role_conf *conf = ctx;
    if (conf->role_count == 0) {
        *ret_expires_s = 0;
        return s3client_credentials(client, slice_cstr(conf->access_key_id),
                                    secret_view(conf->secret),
                                    conf->token ? secret_view(conf->token) : SLICE_EMPTY, err);
    }
    ENSURE(conf->role_count <= ROLE_CHAIN_MAX, err, SL_E_COPY_ROLE, "A chain has at most %d roles.",
           (int)ROLE_CHAIN_MAX);
    struct seam_hello hello = {.edge = SEAM_POSTGRES, .mode = SEAM_RPC};
    memcpy(hello.token, conf->edge_token, SEAM_TOKEN_LEN);
    int fd = -1;
    struct sl_rc rc = seam_connect(conf->kms_socket, &hello, &fd, err);
    secret_wipe(&hello, sizeof hello);
    TRY(rc);
    if (!pipeline_credentials_wait(ret_fd, fd)) {
        close(fd);
        return sl_fail(err, SL_E_CLOSED, "The load was aborted.");
    }
    struct slice roles[ROLE_CHAIN_MAX];
    for (size_t i = 0; i < conf->role_count; i++) {
        roles[i] = slice_cstr(conf->roles[i]);
    }
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(ROLE_ARENA_BYTES);
    a.wipe = true; /* the session token passes through it */
    struct seam_credentials got = {0};
    TRY(seam_cluster_credentials(fd, slice_cstr(conf->db_user), roles, conf->role_count, &a, err,
                                 &got));
    rc = s3client_credentials(client, got.access_key_id, secret_view(&got.secret_access_key),
                              got.session_token, err);
    secret_fini(&got.secret_access_key);
    TRY(rc);
    *ret_expires_s = got.expires_s;
    return SL_OK;
}
