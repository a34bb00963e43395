/* Cancel keys: what clients are told in BackendKeyData, and the PostgreSQL session behind it.
 * Thread safe. */
#ifndef SL_GATEWAY_CANCEL_H
#define SL_GATEWAY_CANCEL_H

#include "lib/base/rc.h"

struct cancel_map;

struct sl_rc cancel_map_new(size_t max, struct cancel_map **ret);
void cancel_map_free(struct cancel_map *m);
/* Enters a session; *ret_key is fresh and random. SL_E_LIMIT when full. */
struct sl_rc cancel_add(struct cancel_map *m, uint32_t pid, uint32_t backend_key,
                        uint32_t *ret_key);
void cancel_remove(struct cancel_map *m, uint32_t pid, uint32_t key);
/* False when no session has this pair. */
bool cancel_find(struct cancel_map *m, uint32_t pid, uint32_t key, uint32_t *ret_backend_key);

#endif
