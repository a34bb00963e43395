/* Values made from committed rows, kept for all threads. A value is found only as long as nothing
 * has been committed since before its rows were read: the call after a change sees the change.
 * What else a value depends on (time, say) is for the one who keeps it to rule out. */
#ifndef SL_STORE_META_KEPT_H
#define SL_STORE_META_KEPT_H

#include "lib/base/arena.h"
#include "server/store/meta/meta.h"

struct kept;

enum { KEPT_HOLDS_MAX = 8 };
/* What a request has found or made: its memory lives until kept_release. */
struct kept_holds {
    struct kept *items[KEPT_HOLDS_MAX];
    size_t count;
};

/* NULL: not there, or no room in `holds`. With holds NULL nothing is ever found or begun. */
const void *kept_find(struct kms_db *db, struct slice name, struct kept_holds *holds);
/* Begins a value, before its rows are read; NULL when it can't be kept. Ends with kept_put or
 * kept_drop. */
struct kept *kept_begin(struct kms_db *db, struct slice name, struct kept_holds *holds);
struct arena *kept_arena(struct kept *k); /* for all that the value refers to */
/* `value` lies in the arena; `fini`, if any, ends what doesn't. Held like a found one. A value that
 * is too large lives as long as it is held. */
void kept_put(struct kms_db *db, struct kept *take, void *value, void (*fini)(void *value),
              struct kept_holds *holds);
/* Not for others to find: lives as long as it is held. */
void kept_hold(struct kept *take, struct kept_holds *holds);
void kept_drop(struct kept *take);
void kept_release(struct kept_holds *holds);

/* For meta.c: the store inside of kms_db. */
struct kept_store;
struct kept_store *kept_store_new(void);
void kept_store_free(struct kept_store *s);
/* Something was committed. Before that is told to anybody. */
void kept_store_outdate(struct kept_store *s);
struct kept_store *kms_db_kept(struct kms_db *db);

#endif
