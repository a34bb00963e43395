/* KMS keys, aliases, tags and rotations in the kms process's database; also what the service keeps
 * sealed for itself, and the cluster's roles. Reading and writing functions take a connection from
 * kms_db_read or kms_db_write. A key whose deletion time has come is not found any more. */
#ifndef SL_STORE_KEYS_H
#define SL_STORE_KEYS_H

#include "lib/base/arena.h"
#include "lib/base/rc.h"
#include "server/store/meta/meta.h"

extern const char keys_schema[];
/* What a reset of an ephemeral instance leaves: the services' own keys, certificates. */
extern const struct db_keep keys_kept[];

enum key_manager {
    KEY_CUSTOMER = 1,
    KEY_AWS = 2,    /* alias/aws/…: of the account, used through services only */
    KEY_SERVICE = 3 /* a service's own; not reachable by any API */
};
enum key_origin {
    KEY_ORIGIN_KMS = 1,     /* material made by the keyholder */
    KEY_ORIGIN_EXTERNAL = 2 /* imported: see import.h */
};

struct key_row {
    struct slice id; /* UUID */
    struct slice account;
    struct slice region;
    struct slice arn;
    struct slice description;
    struct slice policy;
    struct slice record;      /* keyholder's */
    struct slice material_id; /* current, 64 hex; empty before the first import */
    int state;                /* enum key_state of server/keys/keyholder.h */
    int manager;              /* enum key_manager */
    int64_t created_ms;
    int64_t deletion_ms; /* 0 = none scheduled */
    int32_t window_days;
    int origin;            /* enum key_origin */
    int64_t expires_ms;    /* earliest end of imported material that the key needs; 0 = none */
    int32_t rotation_days; /* between automatic rotations; 0 = none */
    int64_t rotation_ms;   /* the next one; a key that is not enabled waits longer */
};

/* All slices in `a`. now_ms decides whether a scheduled deletion has happened, and whether imported
 * material has expired: then the state is KEY_PENDING_IMPORT, whatever the row says. */
struct sl_rc keys_get(struct sqlite3 *conn, struct slice account, struct slice region,
                      struct slice id, int64_t now_ms, struct arena *a, bool *ret_found,
                      struct key_row *ret, struct sl_error *err);
struct sl_rc keys_insert(struct sqlite3 *conn, const struct key_row *k, struct sl_error *err);
/* State, record, deletion; description; policy; each by id. */
struct sl_rc keys_set_state(struct sqlite3 *conn, const struct key_row *k, struct sl_error *err);
struct sl_rc keys_set_description(struct sqlite3 *conn, struct slice id, struct slice text,
                                  struct sl_error *err);
struct sl_rc keys_set_policy(struct sqlite3 *conn, struct slice id, struct slice text,
                             struct sl_error *err);
/* New record, material and rotation_ms; adds to the rotations' list. */
struct sl_rc keys_rotated(struct sqlite3 *conn, const struct key_row *k, bool automatic,
                          int64_t now_ms, struct sl_error *err);
/* rotation_days and rotation_ms. */
struct sl_rc keys_set_rotation(struct sqlite3 *conn, const struct key_row *k, struct sl_error *err);
/* The first enabled key, by id above `after`, whose automatic rotation is due; `only` that one
 * unless it is empty. */
struct sl_rc keys_rotation_due(struct sqlite3 *conn, struct slice after, struct slice only,
                               int64_t now_ms, struct arena *a, bool *ret_found,
                               struct key_row *ret, struct sl_error *err);
/* Ids above `after` in order; at most max; also those pending deletion. */
struct sl_rc keys_list(struct sqlite3 *conn, struct slice account, struct slice region,
                       struct slice after, int64_t now_ms, size_t max, struct arena *a,
                       struct slice **ret_ids, size_t *ret_count, struct sl_error *err);
/* A customer's keys, those pending deletion too. */
struct sl_rc keys_count(struct sqlite3 *conn, struct slice account, struct slice region,
                        int64_t now_ms, int64_t *ret, struct sl_error *err);
/* The first key, by id above `after`, whose deletion time has come. */
struct sl_rc keys_deletion_due(struct sqlite3 *conn, struct slice after, int64_t now_ms,
                               struct arena *a, bool *ret_found, struct key_row *ret,
                               struct sl_error *err);
/* Destroys keys whose deletion time has come, with all that hangs on them. */
struct sl_rc keys_purge(struct kms_db *db, int64_t now_ms, struct sl_error *err);

struct alias_row {
    struct slice name; /* "alias/…" */
    struct slice key_id;
    int64_t created_ms;
    int64_t updated_ms;
};
struct sl_rc keys_alias_get(struct sqlite3 *conn, struct slice account, struct slice region,
                            struct slice name, int64_t now_ms, struct arena *a, bool *ret_found,
                            struct alias_row *ret, struct sl_error *err);
/* SL_E_EXISTS when the name is taken. */
struct sl_rc keys_alias_insert(struct sqlite3 *conn, struct slice account, struct slice region,
                               const struct alias_row *alias, struct sl_error *err);
struct sl_rc keys_alias_update(struct sqlite3 *conn, struct slice account, struct slice region,
                               const struct alias_row *alias, struct sl_error *err);
struct sl_rc keys_alias_delete(struct sqlite3 *conn, struct slice account, struct slice region,
                               struct slice name, struct sl_error *err);
/* Names above `after`; key_id empty = all. */
struct sl_rc keys_alias_list(struct sqlite3 *conn, struct slice account, struct slice region,
                             struct slice key_id, struct slice after, int64_t now_ms, size_t max,
                             struct arena *a, struct alias_row **ret, size_t *ret_count,
                             struct sl_error *err);

struct tag_row {
    struct slice name;
    struct slice value;
};
struct sl_rc keys_tag_set(struct sqlite3 *conn, struct slice id, struct tag_row tag,
                          struct sl_error *err);
struct sl_rc keys_tag_delete(struct sqlite3 *conn, struct slice id, struct slice name,
                             struct sl_error *err);
struct sl_rc keys_tag_list(struct sqlite3 *conn, struct slice id, struct slice after, size_t max,
                           struct arena *a, struct tag_row **ret, size_t *ret_count,
                           struct sl_error *err);

struct rotation_row {
    struct slice material_id;
    int64_t at_ms; /* 0: the first material */
    bool automatic;
};
struct sl_rc keys_rotation_list(struct sqlite3 *conn, struct slice id, struct arena *a,
                                struct rotation_row **ret, size_t *ret_count, struct sl_error *err);

/* What the service keeps for itself, by name: a public part and one sealed by the keyholder. */
struct sl_rc keys_kept_get(struct sqlite3 *conn, const char *name, struct arena *a, bool *ret_found,
                           struct slice *ret_public, struct slice *ret_sealed,
                           struct sl_error *err);
struct sl_rc keys_kept_set(struct sqlite3 *conn, const char *name, struct slice public_part,
                           struct slice sealed, struct sl_error *err);

struct cluster_role_row {
    struct slice arn;
    bool is_default;
};
struct sl_rc keys_cluster_roles(struct sqlite3 *conn, struct arena *a,
                                struct cluster_role_row **ret, size_t *ret_count,
                                struct sl_error *err);
struct sl_rc keys_cluster_role_add(struct sqlite3 *conn, struct slice arn, int64_t now_ms,
                                   struct sl_error *err);
struct sl_rc keys_cluster_role_remove(struct sqlite3 *conn, struct slice arn, struct sl_error *err);
/* The one default; *ret_found tells whether the role is attached. */
struct sl_rc keys_cluster_role_default(struct sqlite3 *conn, struct slice arn, bool *ret_found,
                                       struct sl_error *err);

#endif
