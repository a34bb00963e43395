/* An instance: its data directory, its folder of credentials outside it, and what is fixed at its
 * first start. */
#ifndef SL_CLI_INSTANCE_H
#define SL_CLI_INSTANCE_H

#include "lib/base/buf.h"
#include "lib/base/slice.h"
#include "lib/crypto/secret.h"

enum { INSTANCE_HOSTS_MAX = 16, INSTANCE_PATH_MAX = 4096, SUPERVISOR_UIDS = 8 };

struct instance {
    char data[INSTANCE_PATH_MAX];   /* absolute */
    char config[INSTANCE_PATH_MAX]; /* credentials: root key, client.json */
    char id[33];
    char account[13];
    char region[33];
    char listen[64];
    const char *hosts[INSTANCE_HOSTS_MAX];
    size_t host_count;
    const char *domain;         /* of buckets as host names, or NULL; also among the hosts */
    char below_domain[2 + 254]; /* "*." and it */
    uint16_t https_port, sql_port, plain_port; /* plain: 0 = none */
    bool ephemeral;
    bool audit_strict;
    const char *tls_cert, *tls_key;      /* files of one's own certificate, or NULL */
    uint64_t temp_file_limit_mb;         /* 0: by the machine's memory */
    const char *warehouse_key;           /* KMS key for new cluster keys, or NULL */
    const char *access_key, *secret_key; /* given for an ephemeral first start, or NULL */
    bool as_root;
    uint32_t uid_base; /* as root: first of the run of uids */
    int64_t created_s;
    bool first_start; /* instance.json was made just now */
    int lock_fd;      /* flock on DATA/lock, held by a running supervisor and its children; or -1 */
    char root_key[INSTANCE_PATH_MAX];
    const char *root; /* kind of root for the first start, as root_place_parse reads it; or NULL */
    const char *move_to; /* likewise, for a keyholder that only moves the domain key; or NULL */
};

extern const char instance_master_user[]; /* "awsuser" */

/* 12 digits. */
bool instance_account_ok(const char *s);

/* $SEALIFT_DATA, else as root /var/lib/sealift, else $XDG_DATA_HOME/sealift or
 * ~/.local/share/sealift. */
void instance_default_data(char *out, size_t size);
/* `DATA/name` into out; sl_asserts that it fits. */
void instance_path(const struct instance *in, const char *name, char *out, size_t size);

/* For `up`: makes the folders and instance.json on the first start (account, region, ephemeral from
 * `in`), reads it later (a different account or region is refused), takes the lock. in->data must
 * be set; root_key empty = default place. */
struct sl_rc instance_create(struct instance *in, struct sl_error *err);
/* For the other verbs: reads instance.json; SL_E_NOT_FOUND with a hint when there is no instance.
 */
struct sl_rc instance_load(struct instance *in, struct sl_error *err);
/* For a restore or a drill: takes in->data, in->id, account, region, created_s and ephemeral as
 * they are, makes the folder (which must be empty: SL_E_EXISTS), takes the lock. instance_save is
 * what makes an instance of it. */
struct sl_rc instance_adopt(struct instance *in, struct sl_error *err);
struct sl_rc instance_make_config(const struct instance *in, struct sl_error *err);
struct sl_rc instance_save(const struct instance *in, struct sl_error *err);
/* Removes all that is in the folder, and the folder itself unless `keep`. */
struct sl_rc folder_remove(const char *path, bool keep, struct sl_error *err);
/* Nobody else starts the instance or changes its keys from here to this process's end: SL_E_EXISTS
 * while somebody does. Sets in->lock_fd; instance_create has done it. */
struct sl_rc instance_lock(struct instance *in, struct sl_error *err);
/* A copy of the data directory must open nothing: SL_E_VALIDATION when `path`, of a root key's
 * file, lies under it. */
struct sl_rc instance_root_outside(const struct instance *in, const char *path,
                                   struct sl_error *err);
/* Is a supervisor running? Its pid, or 0. */
int instance_running(const struct instance *in);

/* Whole-file helpers: write to a temporary name with `mode`, fsync, rename, fsync the folder. */
struct sl_rc file_replace(const char *path, struct slice data, unsigned mode, struct sl_error *err);
struct sl_rc file_load(const char *path, struct buf *ret, struct sl_error *err);

/* client.json: what `sealift env` prints. */
struct client_credentials {
    char access_key_id[129];
    struct secret secret_access_key;
    struct secret master_password;
};
struct sl_rc client_save(const struct instance *in, const struct client_credentials *c,
                         struct sl_error *err);
struct sl_rc client_load(const struct instance *in, struct client_credentials *ret,
                         struct sl_error *err);
void client_fini(struct client_credentials *c);

#endif
