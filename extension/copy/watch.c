/* See watch.h. The object's name is kept under a version: a reader takes it again when it changed
 * meanwhile. */
#include "extension/copy/watch.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FILES_BEFORE_GROWTH = 64, WORDS = (WATCH_OBJECT_BYTES + 7) / 8, READ_TRIES = 1000 };

static int64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void add(atomic_uint_least64_t *at, uint64_t n) {
    atomic_fetch_add_explicit(at, n, memory_order_relaxed);
}

static void set_object(struct watch_counters *c, const char *object) {
    uint64_t words[WORDS] = {0};
    size_t len = strlen(object);
    memcpy(words, object, len < WATCH_OBJECT_BYTES ? len : WATCH_OBJECT_BYTES - 1);
    unsigned version = atomic_load_explicit(&c->version, memory_order_relaxed);
    atomic_store_explicit(&c->version, version + 1, memory_order_relaxed);
    for (size_t i = 0; i < WORDS; i++) {
        /* released: whoever sees a word sees the odd version before it */
        atomic_store_explicit(&c->object[i], words[i], memory_order_release);
    }
    atomic_store_explicit(&c->version, version + 2, memory_order_release);
}

void watch_counters_object(const struct watch_counters *c, char *out) {
    uint64_t words[WORDS];
    for (int i = 0; i < READ_TRIES; i++) {
        unsigned before = atomic_load_explicit(&c->version, memory_order_acquire);
        for (size_t w = 0; w < WORDS; w++) {
            words[w] = atomic_load_explicit(&c->object[w], memory_order_acquire);
        }
        unsigned after = atomic_load_explicit(&c->version, memory_order_relaxed);
        if (before == after && before % 2 == 0) {
            memcpy(out, words, WATCH_OBJECT_BYTES);
            out[WATCH_OBJECT_BYTES - 1] = '\0';
            return;
        }
    }
    out[0] = '\0'; /* its writer was ended in the midst of it */
}

void watch_counters_reset(struct watch_counters *c) {
    atomic_uint_least64_t *counters[] = {&c->files, &c->size,  &c->done, &c->fetched,
                                         &c->plain, &c->lines, &c->rows, &c->errors};
    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++) {
        atomic_store_explicit(counters[i], 0, memory_order_relaxed);
    }
    set_object(c, "");
}

void watch_init(struct watch *w, struct watch_counters *counters) {
    *w = (struct watch){.counters = counters};
    pthread_mutex_init(&w->mu, NULL);
}

void watch_fini(struct watch *w) {
    for (size_t i = 0; i < w->count; i++) {
        free(w->files[i].object);
    }
    free(w->files);
    pthread_mutex_destroy(&w->mu);
}

void watch_found(struct watch *w, uint64_t files, uint64_t bytes) {
    if (w != NULL) {
        add(&w->counters->files, files);
        add(&w->counters->size, bytes);
    }
}

static struct sl_rc append(struct watch *w, const char *object, struct sl_error *err) {
    if (w->count == w->cap) {
        size_t cap = w->cap ? 2 * w->cap : FILES_BEFORE_GROWTH;
        struct watch_file *more = realloc(w->files, cap * sizeof *more);
        ENSURE(more != NULL, err, SL_E_NOMEM, "out of memory");
        w->files = more;
        w->cap = cap;
    }
    char *name = strdup(object);
    ENSURE(name != NULL, err, SL_E_NOMEM, "out of memory");
    w->files[w->count++] = (struct watch_file){.object = name, .start_us = now_us()};
    return SL_OK;
}

struct sl_rc watch_begin(struct watch *w, const char *object, struct sl_error *err,
                         size_t *ret_file) {
    if (w == NULL) {
        return SL_OK;
    }
    pthread_mutex_lock(&w->mu);
    struct sl_rc rc = append(w, object, err);
    if (sl_is_ok(rc)) {
        *ret_file = w->count - 1;
        set_object(w->counters, object);
    }
    pthread_mutex_unlock(&w->mu);
    return rc;
}

void watch_bytes(struct watch *w, size_t file, uint64_t fetched, uint64_t plain) {
    if (w != NULL) {
        add(&w->counters->fetched, fetched);
        add(&w->counters->plain, plain);
        pthread_mutex_lock(&w->mu);
        w->files[file].fetched += fetched;
        w->files[file].plain += plain;
        pthread_mutex_unlock(&w->mu);
    }
}

void watch_lines(struct watch *w, size_t file, uint64_t lines) {
    if (w != NULL) {
        add(&w->counters->lines, lines);
        pthread_mutex_lock(&w->mu);
        w->files[file].lines += lines;
        pthread_mutex_unlock(&w->mu);
    }
}

void watch_end(struct watch *w, size_t file) {
    if (w != NULL) {
        add(&w->counters->done, 1);
        pthread_mutex_lock(&w->mu);
        w->files[file].end_us = now_us();
        pthread_mutex_unlock(&w->mu);
    }
}

void watch_rows(struct watch *w, uint64_t rows) {
    if (w != NULL) {
        add(&w->counters->rows, rows);
    }
}

void watch_errors(struct watch *w, uint64_t errors) {
    if (w != NULL) {
        add(&w->counters->errors, errors);
    }
}
