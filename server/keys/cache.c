/* Sets of four by the first bytes of the id, which is random; the least recently used of a set
 * leaves. */
#include "server/keys/cache.h"

#include <pthread.h>

enum { WAYS = 4, SETS = KEY_CACHE_ENTRIES / WAYS, KEY_LEN = 32 };

struct entry {
    uint8_t id[BACKING_ID_LEN];
    struct secret key; /* ptr NULL: free */
    uint64_t used;
};

struct key_cache {
    pthread_mutex_t mu;
    uint64_t clock;
    struct entry sets[SETS][WAYS];
};

struct key_cache *key_cache_new(void) {
    struct key_cache *c = calloc(1, sizeof *c);
    if (c != NULL) {
        sl_assert(pthread_mutex_init(&c->mu, NULL) == 0);
    }
    return c;
}

void key_cache_free(struct key_cache *c) {
    if (c == NULL) {
        return;
    }
    for (size_t i = 0; i < KEY_CACHE_ENTRIES; i++) {
        secret_fini(&c->sets[i / WAYS][i % WAYS].key);
    }
    pthread_mutex_destroy(&c->mu);
    free(c);
}

static struct entry *set_of(struct key_cache *c, struct slice id) {
    sl_assert(id.len == BACKING_ID_LEN);
    return c->sets[((size_t)id.ptr[0] << 8 | id.ptr[1]) % SETS];
}

static struct entry *find(struct entry *set, struct slice id) {
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].key.ptr != NULL && memcmp(set[i].id, id.ptr, BACKING_ID_LEN) == 0) {
            return &set[i];
        }
    }
    return NULL;
}

bool key_cache_get(struct key_cache *c, struct slice id, uint8_t *out) {
    pthread_mutex_lock(&c->mu);
    struct entry *e = find(set_of(c, id), id);
    if (e != NULL) {
        e->used = ++c->clock;
        memcpy(out, e->key.ptr, KEY_LEN);
    }
    pthread_mutex_unlock(&c->mu);
    return e != NULL;
}

void key_cache_put(struct key_cache *c, struct slice id, struct slice key32) {
    sl_assert(key32.len == KEY_LEN);
    pthread_mutex_lock(&c->mu);
    struct entry *set = set_of(c, id);
    if (find(set, id) == NULL) {
        struct entry *oldest = &set[0];
        for (size_t i = 1; i < WAYS; i++) {
            if (set[i].used < oldest->used) { /* a free entry has 0 */
                oldest = &set[i];
            }
        }
        secret_fini(&oldest->key);
        oldest->used = 0;
        if (sl_is_ok(secret_from(&oldest->key, key32))) {
            memcpy(oldest->id, id.ptr, BACKING_ID_LEN);
            oldest->used = ++c->clock;
        }
    }
    pthread_mutex_unlock(&c->mu);
}

void key_cache_drop(struct key_cache *c, struct slice id) {
    pthread_mutex_lock(&c->mu);
    struct entry *e = find(set_of(c, id), id);
    if (e != NULL) {
        secret_fini(&e->key);
        e->used = 0;
    }
    pthread_mutex_unlock(&c->mu);
}
