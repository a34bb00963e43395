/* Last uses; see used.h. A table of open addresses under one lock, which is never held over I/O. */
#include "server/store/identity/used.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "lib/base/limits.h"
#include "server/store/identity/rows_in.h"

enum { SLOTS = 2 * LIMIT_LAST_USED, WORD_MAX = 32 };

struct entry {
    char id[WORD_MAX + 1], region[WORD_MAX + 1], service[WORD_MAX + 1];
    int64_t used_s; /* 0: the slot is free */
    bool fresh;     /* not written yet */
};

struct used {
    atomic_llong next_ms; /* of the next write */
    pthread_mutex_t mu;   /* all below */
    struct entry *slots;
    size_t count;
};

struct used *used_new(void) {
    struct used *u = calloc(1, sizeof *u);
    struct entry *slots = calloc(SLOTS, sizeof *slots);
    if (u == NULL || slots == NULL) {
        free(u);
        free(slots);
        return NULL;
    }
    pthread_mutex_init(&u->mu, NULL);
    u->slots = slots;
    return u;
}

void used_free(struct used *u) {
    if (u != NULL) {
        pthread_mutex_destroy(&u->mu);
        free(u->slots);
        free(u);
    }
}

/* Where `id` is, or would be. */
static struct entry *slot_of(struct entry *slots, struct slice id) {
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < id.len; i++) {
        h = (h ^ id.ptr[i]) * 16777619u;
    }
    size_t at = h % SLOTS;
    while (slots[at].used_s != 0 && !slice_eq_cstr(id, slots[at].id)) {
        at = (at + 1) % SLOTS;
    }
    return &slots[at];
}

static void put_word(char *to, struct slice from) {
    memcpy(to, from.ptr, from.len);
    to[from.len] = '\0';
}

void used_note(struct used *u, struct slice id, struct slice region, struct slice service,
               int64_t now_s) {
    if (u == NULL || id.len == 0 || id.len > WORD_MAX || region.len > WORD_MAX ||
        service.len > WORD_MAX) {
        return;
    }
    pthread_mutex_lock(&u->mu);
    struct entry *e = slot_of(u->slots, id);
    if (e->used_s != 0 || u->count < LIMIT_LAST_USED) {
        u->count += e->used_s == 0;
        put_word(e->id, id);
        put_word(e->region, region);
        put_word(e->service, service);
        e->used_s = now_s;
        e->fresh = true;
    }
    pthread_mutex_unlock(&u->mu);
}

static struct sl_rc get_row(sqlite3 *conn, struct slice id, struct arena *a, struct sl_error *err,
                            struct used_row *ret) {
    sqlite3_stmt *st;
    bool row = false, failed = false;
    TRY(rows_open(conn, err, &st, "SELECT used, region, service FROM iam_last_used WHERE id = ?",
                  "t", id));
    struct sl_rc rc = db_step(st, &row, err);
    if (sl_is_ok(rc) && row) {
        *ret = (struct used_row){sqlite3_column_int64(st, 0), rows_text(st, 1, a, &failed),
                                 rows_text(st, 2, a, &failed)};
    }
    db_done(st);
    TRY(rc);
    ENSURE(!failed, err, SL_E_NOMEM, "Out of memory.");
    return SL_OK;
}

struct sl_rc used_get(struct used *u, sqlite3 *conn, struct slice id, struct arena *a,
                      struct sl_error *err, struct used_row *ret) {
    struct used_row r = {0};
    if (u != NULL) {
        pthread_mutex_lock(&u->mu);
        const struct entry *e = slot_of(u->slots, id);
        if (e->used_s != 0) {
            r = (struct used_row){e->used_s, arena_copy(a, slice_cstr(e->region)),
                                  arena_copy(a, slice_cstr(e->service))};
        }
        pthread_mutex_unlock(&u->mu);
        ENSURE(r.used_s == 0 || (r.region.ptr != NULL && r.service.ptr != NULL), err, SL_E_NOMEM,
               "Out of memory.");
    }
    if (r.used_s == 0) {
        TRY(get_row(conn, id, a, err, &r));
    }
    *ret = r;
    return SL_OK;
}

/* The fresh entries, from now on written ones; a copy that the caller frees. */
static struct entry *take_fresh(struct used *u, size_t *ret_count) {
    size_t n = 0;
    pthread_mutex_lock(&u->mu);
    struct entry *out = calloc(u->count + 1, sizeof *out);
    for (size_t i = 0; i < SLOTS && out != NULL; i++) {
        if (u->slots[i].fresh) {
            u->slots[i].fresh = false;
            out[n++] = u->slots[i];
        }
    }
    pthread_mutex_unlock(&u->mu);
    *ret_count = n;
    return out;
}

/* What has been written need not be kept. */
static void drop_written(struct used *u) {
    struct entry *slots = calloc(SLOTS, sizeof *slots);
    if (slots == NULL) {
        return;
    }
    pthread_mutex_lock(&u->mu);
    u->count = 0;
    for (size_t i = 0; i < SLOTS; i++) {
        if (u->slots[i].fresh) {
            *slot_of(slots, slice_cstr(u->slots[i].id)) = u->slots[i];
            u->count++;
        }
    }
    free(u->slots);
    u->slots = slots;
    pthread_mutex_unlock(&u->mu);
}

/* A key or role that is gone meanwhile gets no row. */
static struct sl_rc write_all(sqlite3 *conn, const struct entry *items, size_t count,
                              struct sl_error *err) {
    for (size_t i = 0; i < count; i++) {
        TRY(rows_run(conn, err, NULL,
                     "INSERT INTO iam_last_used (id, used, region, service) SELECT ?1, ?2, ?3, ?4"
                     " WHERE EXISTS (SELECT 1 FROM iam_access_key WHERE id = ?1)"
                     " OR EXISTS (SELECT 1 FROM iam_entity WHERE id = ?1)"
                     " ON CONFLICT DO UPDATE SET used = excluded.used, region = excluded.region,"
                     " service = excluded.service",
                     "titt", slice_cstr(items[i].id), items[i].used_s, slice_cstr(items[i].region),
                     slice_cstr(items[i].service)));
    }
    return SL_OK;
}

struct sl_rc used_flush(struct used *u, struct kms_db *db, int64_t mono_ms, bool now,
                        struct sl_error *err) {
    if (u == NULL) {
        return SL_OK;
    }
    long long next_ms = atomic_load(&u->next_ms);
    if (!now && (mono_ms < next_ms || !atomic_compare_exchange_strong(
                                          &u->next_ms, &next_ms, mono_ms + LIMIT_LAST_USED_MS))) {
        return SL_OK;
    }
    size_t n;
    struct entry *items = take_fresh(u, &n);
    ENSURE(items != NULL, err, SL_E_NOMEM, "Out of memory.");
    sqlite3 *conn = NULL;
    struct sl_rc rc = n > 0 ? kms_db_write(db, &conn, err) : SL_OK;
    if (sl_is_ok(rc) && n > 0) {
        rc = write_all(conn, items, n, err);
        struct sl_rc end = kms_db_write_end(db, conn, sl_is_ok(rc), err);
        rc = sl_failed(rc) ? rc : end;
    }
    free(items);
    TRY(rc);
    drop_written(u);
    return SL_OK;
}

void used_clear(struct used *u) {
    if (u == NULL) {
        return;
    }
    pthread_mutex_lock(&u->mu);
    memset(u->slots, 0, SLOTS * sizeof *u->slots);
    u->count = 0;
    pthread_mutex_unlock(&u->mu);
}
