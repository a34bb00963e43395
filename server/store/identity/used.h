/* When access keys and roles were last used, for GetAccessKeyLastUsed and GetRole. Each request
 * notes it in memory; what is new is written at most once a minute, and at a clean stop. AWS's own
 * is no finer, so a crash may lose a minute of it. */
#ifndef SL_STORE_IDENTITY_USED_H
#define SL_STORE_IDENTITY_USED_H

#include "lib/base/arena.h"
#include "lib/base/rc.h"
#include "lib/base/slice.h"

struct used;
struct kms_db;
struct sqlite3;

struct used *used_new(void);
void used_free(struct used *u);
/* All take NULL: nobody counts. */

/* `id` of an access key or a role, region and service as in the signature's scope. More than
 * LIMIT_LAST_USED ids between two writes are not noted. */
void used_note(struct used *u, struct slice id, struct slice region, struct slice service,
               int64_t now_s);
struct used_row {
    int64_t used_s; /* 0: never */
    struct slice region, service;
};
struct sl_rc used_get(struct used *u, struct sqlite3 *conn, struct slice id, struct arena *a,
                      struct sl_error *err, struct used_row *ret);
/* Writes what is new, if a minute has passed (by a clock that never goes back), or `now`. */
struct sl_rc used_flush(struct used *u, struct kms_db *db, int64_t mono_ms, bool now,
                        struct sl_error *err);
/* All that was noted is forgotten: the rows of the ids are gone. */
void used_clear(struct used *u);

#endif
