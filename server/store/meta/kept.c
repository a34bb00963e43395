/* See kept.h. A table of sets of four; a name's set follows from its hash, the longest unused
 * leaves. Entries are counted by the table and by the requests that hold them. */
#include "server/store/meta/kept.h"

#include "lib/base/limits.h"

#include <pthread.h>
#include <stdatomic.h>

enum { WAYS = 4, SETS = LIMIT_KEPT_VALUES / WAYS };

struct kept {
    _Atomic uint32_t refs;
    uint64_t generation;
    uint64_t hash;
    uint64_t used; /* under the store's mu */
    struct slice name;
    struct arena arena;
    void *value;
    void (*fini)(void *value);
};

struct kept_store {
    _Atomic uint64_t generation; /* changes under mu; all that is kept is of this one */
    pthread_mutex_t mu;
    uint64_t clock; /* under mu, like all below */
    struct kept *sets[SETS][WAYS];
};

static uint64_t hash_of(struct slice s) {
    uint64_t h = 0xcbf29ce484222325ULL; /* FNV-1a */
    for (size_t i = 0; i < s.len; i++) {
        h = (h ^ s.ptr[i]) * 0x100000001b3ULL;
    }
    return h ^ h >> 32;
}

static void unref(struct kept *k) {
    if (k == NULL || atomic_fetch_sub(&k->refs, 1) != 1) {
        return;
    }
    if (k->fini != NULL) {
        k->fini(k->value);
    }
    arena_fini(&k->arena);
    free(k);
}

const void *kept_find(struct kms_db *db, struct slice name, struct kept_holds *holds) {
    if (holds == NULL || holds->count == KEPT_HOLDS_MAX) {
        return NULL;
    }
    struct kept_store *s = kms_db_kept(db);
    uint64_t hash = hash_of(name);
    struct kept *found = NULL;
    pthread_mutex_lock(&s->mu);
    for (size_t i = 0; i < WAYS && found == NULL; i++) {
        struct kept *k = s->sets[hash % SETS][i];
        if (k != NULL && k->hash == hash && slice_eq(k->name, name)) {
            atomic_fetch_add(&k->refs, 1);
            k->used = ++s->clock;
            found = k;
        }
    }
    pthread_mutex_unlock(&s->mu);
    if (found == NULL) {
        return NULL;
    }
    holds->items[holds->count++] = found;
    return found->value;
}

struct kept *kept_begin(struct kms_db *db, struct slice name, struct kept_holds *holds) {
    if (holds == NULL || holds->count == KEPT_HOLDS_MAX) {
        return NULL;
    }
    struct kept *k = calloc(1, sizeof *k);
    if (k == NULL) {
        return NULL;
    }
    k->refs = 1;
    k->generation = atomic_load(&kms_db_kept(db)->generation);
    k->arena = ARENA_INIT(LIMIT_REQUEST_ARENA_BYTES);
    k->arena.wipe = true;
    k->hash = hash_of(name);
    k->name = arena_copy(&k->arena, name);
    if (k->name.ptr == NULL) {
        unref(k);
        return NULL;
    }
    return k;
}

struct arena *kept_arena(struct kept *k) {
    return &k->arena;
}

/* The place for a new entry: its predecessor's, a free one, or the one unused for the longest
 * time. */
static struct kept **place_for(struct kept_store *s, const struct kept *k) {
    struct kept **set = s->sets[k->hash % SETS], **best = &set[0];
    uint64_t best_used = UINT64_MAX;
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i] != NULL && set[i]->hash == k->hash && slice_eq(set[i]->name, k->name)) {
            return &set[i];
        }
        uint64_t used = set[i] == NULL ? 0 : set[i]->used;
        if (used < best_used) {
            best = &set[i];
            best_used = used;
        }
    }
    return best;
}

void kept_put(struct kms_db *db, struct kept *take, void *value, void (*fini)(void *value),
              struct kept_holds *holds) {
    struct kept_store *s = kms_db_kept(db);
    struct kept *old = NULL;
    take->value = value;
    take->fini = fini;
    kept_hold(take, holds);
    if (take->arena.used > LIMIT_KEPT_VALUE_BYTES) {
        return;
    }
    pthread_mutex_lock(&s->mu);
    if (take->generation == atomic_load(&s->generation)) { /* else its rows may have changed */
        struct kept **place = place_for(s, take);
        old = *place;
        atomic_fetch_add(&take->refs, 1);
        take->used = ++s->clock;
        *place = take;
    }
    pthread_mutex_unlock(&s->mu);
    unref(old);
}

void kept_hold(struct kept *take, struct kept_holds *holds) {
    sl_assert(holds->count < KEPT_HOLDS_MAX);
    holds->items[holds->count++] = take;
}

void kept_drop(struct kept *take) {
    unref(take);
}

void kept_release(struct kept_holds *holds) {
    while (holds->count > 0) {
        unref(holds->items[--holds->count]);
    }
}

struct kept_store *kept_store_new(void) {
    struct kept_store *s = calloc(1, sizeof *s);
    if (s != NULL) {
        pthread_mutex_init(&s->mu, NULL);
    }
    return s;
}

void kept_store_free(struct kept_store *s) {
    if (s == NULL) {
        return;
    }
    for (size_t i = 0; i < LIMIT_KEPT_VALUES; i++) {
        unref(s->sets[i / WAYS][i % WAYS]);
    }
    pthread_mutex_destroy(&s->mu);
    free(s);
}

void kept_store_outdate(struct kept_store *s) {
    struct kept *old[SETS][WAYS];
    pthread_mutex_lock(&s->mu);
    atomic_fetch_add(&s->generation, 1);
    memcpy(old, s->sets, sizeof old);
    memset(s->sets, 0, sizeof s->sets);
    pthread_mutex_unlock(&s->mu);
    for (size_t i = 0; i < LIMIT_KEPT_VALUES; i++) {
        unref(old[i / WAYS][i % WAYS]); /* secrets among them end with what has outdated them */
    }
}
