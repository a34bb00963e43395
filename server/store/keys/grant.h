/* Grants on keys: one row a grant. Who may use one, and for what, server/api/kms decides. Functions
 * take a connection from kms_db_read or kms_db_write. */
#ifndef SL_STORE_KEYS_GRANT_H
#define SL_STORE_KEYS_GRANT_H

#include "server/store/keys/keys.h"

struct grant_row {
    struct slice key_id;
    struct slice id;          /* 64 hex */
    struct slice name;        /* empty: none */
    struct slice grantee;     /* ARN */
    struct slice grantee_id;  /* AIDA…, AROA… of it: a later one of the same name is another;
                                 accounts: empty */
    struct slice retiring;    /* ARN, empty: none */
    struct slice retiring_id; /* as grantee_id */
    struct slice issuer;      /* account, 12 digits */
    struct slice constraints; /* JSON object, canonical; empty: none */
    uint32_t operations;      /* bits, see server/api/kms/grant.h */
    int64_t created_ms;
};

struct sl_rc grant_insert(struct sqlite3 *conn, const struct grant_row *g, struct sl_error *err);
struct sl_rc grant_delete(struct sqlite3 *conn, struct slice key_id, struct slice id,
                          struct sl_error *err);
struct sl_rc grant_get(struct sqlite3 *conn, struct slice key_id, struct slice id, struct arena *a,
                       bool *ret_found, struct grant_row *ret, struct sl_error *err);
/* Grants of the key with this name, oldest first. */
struct sl_rc grant_named(struct sqlite3 *conn, struct slice key_id, struct slice name,
                         struct arena *a, struct grant_row **ret, size_t *ret_count,
                         struct sl_error *err);
struct sl_rc grant_count(struct sqlite3 *conn, struct slice key_id, int64_t *ret,
                         struct sl_error *err);
/* Is there one on the key? */
struct sl_rc grant_any(struct sqlite3 *conn, struct slice key_id, bool *ret, struct sl_error *err);
/* Grants of the key with ids above `after`, at most max; of one grantee unless that is empty. */
struct sl_rc grant_list(struct sqlite3 *conn, struct slice key_id, struct slice grantee,
                        struct slice after, size_t max, struct arena *a, struct grant_row **ret,
                        size_t *ret_count, struct sl_error *err);
/* Grants in the region whose retiring principal this is, on keys that exist, by id; each with the
 * ARN of its key as key_id. */
struct sl_rc grant_list_retirable(struct sqlite3 *conn, struct slice region, struct slice retiring,
                                  struct slice after, int64_t now_ms, size_t max, struct arena *a,
                                  struct grant_row **ret, size_t *ret_count, struct sl_error *err);

#endif
