/* Cancel keys; see cancel.h. A look-up walks all entries: there are few, and cancels are rare. */
#include "gateway/session/cancel.h"

#include <pthread.h>

#include "lib/crypto/crypto.h"

struct entry {
    bool used;
    uint32_t pid;
    uint32_t key;
    uint32_t backend_key;
};

struct cancel_map {
    pthread_mutex_t mu;
    struct entry *entries; /* under mu */
    size_t max;
};

struct sl_rc cancel_map_new(size_t max, struct cancel_map **ret) {
    struct cancel_map *m = calloc(1, sizeof *m);
    struct entry *entries = calloc(max, sizeof *entries);
    if (m == NULL || entries == NULL) {
        free(m);
        free(entries);
        return sl_rc_of(SL_E_NOMEM);
    }
    pthread_mutex_init(&m->mu, NULL);
    m->entries = entries;
    m->max = max;
    *ret = m;
    return SL_OK;
}

void cancel_map_free(struct cancel_map *m) {
    if (m != NULL) {
        pthread_mutex_destroy(&m->mu);
        free(m->entries);
        free(m);
    }
}

struct sl_rc cancel_add(struct cancel_map *m, uint32_t pid, uint32_t backend_key,
                        uint32_t *ret_key) {
    uint32_t key;
    crypto_random(&key, sizeof key);
    struct sl_rc rc = sl_rc_of(SL_E_LIMIT);
    pthread_mutex_lock(&m->mu);
    for (size_t i = 0; i < m->max; i++) {
        if (!m->entries[i].used) {
            m->entries[i] = (struct entry){true, pid, key, backend_key};
            *ret_key = key;
            rc = SL_OK;
            break;
        }
    }
    pthread_mutex_unlock(&m->mu);
    return rc;
}

/* Caller holds mu. */
static struct entry *find(struct cancel_map *m, uint32_t pid, uint32_t key) {
    struct entry *found = NULL;
    for (size_t i = 0; i < m->max; i++) {
        struct entry *e = &m->entries[i];
        if (e->used && ((e->pid ^ pid) | (e->key ^ key)) == 0) {
            found = e;
        }
    }
    return found;
}

void cancel_remove(struct cancel_map *m, uint32_t pid, uint32_t key) {
    pthread_mutex_lock(&m->mu);
    struct entry *e = find(m, pid, key);
    if (e != NULL) {
        *e = (struct entry){0};
    }
    pthread_mutex_unlock(&m->mu);
}

bool cancel_find(struct cancel_map *m, uint32_t pid, uint32_t key, uint32_t *ret_backend_key) {
    pthread_mutex_lock(&m->mu);
    struct entry *e = find(m, pid, key);
    if (e != NULL) {
        *ret_backend_key = e->backend_key;
    }
    pthread_mutex_unlock(&m->mu);
    return e != NULL;
}
