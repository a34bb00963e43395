/* What is known of the material imported into a key: one row a material, oldest first. */
#ifndef SL_STORE_KEYS_IMPORT_H
#define SL_STORE_KEYS_IMPORT_H

#include "server/store/keys/keys.h"

struct import_row {
    struct slice material_id;
    struct slice description;
    bool imported; /* false: deleted or expired, to be imported again */
    bool pending;  /* waits for a rotation */
    bool expires;
    int64_t valid_to_ms; /* when `expires` */
};
struct sl_rc import_list(struct sqlite3 *conn, struct slice id, struct arena *a,
                         struct import_row **ret, size_t *ret_count, struct sl_error *err);
/* New, or changed by its material id. */
struct sl_rc import_put(struct sqlite3 *conn, struct slice id, const struct import_row *row,
                        struct sl_error *err);
struct sl_rc import_drop(struct sqlite3 *conn, struct slice id, struct slice material_id,
                         struct sl_error *err);
/* State, record, material and expires_ms (made from the rows) of the key. With `first`, its
 * material begins the list of rotations. */
struct sl_rc import_store_key(struct sqlite3 *conn, struct key_row *k, bool first,
                              struct sl_error *err);
/* A key with material whose time has come. */
struct sl_rc import_due(struct sqlite3 *conn, int64_t now_ms, struct arena *a, bool *ret_found,
                        struct key_row *ret, struct sl_error *err);

#endif
