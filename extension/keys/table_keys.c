/* See table_keys.h. */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "extension/keys/cluster_key.h"
#include "extension/keys/database_key.h"
#include "extension/keys/key_file.h"
#include "extension/keys/raise.h"
#include "extension/keys/rotate.h"
#include "extension/keys/sweep.h"
#include "extension/keys/table_keys.h"

/* ---- Keys in this session's memory ---- */

enum { CACHE_KEYS = 256 };

struct cached {
    uint8_t storage[STORAGE_ID_LEN];
    struct secret key;
    uint64_t used;
};

static struct cached cache[CACHE_KEYS];
static uint64_t cache_clock, cache_destroyed;

/* Keys of this session's temporary tables, which lie nowhere else. */
struct temporary {
    dlist_node node;
    uint8_t storage[STORAGE_ID_LEN];
    struct secret key;
};
static dlist_head temporaries = DLIST_STATIC_INIT(temporaries);

static struct temporary *find_temporary(const uint8_t *storage) {
    dlist_iter i;
    dlist_foreach(i, &temporaries) {
        struct temporary *t = dlist_container(struct temporary, node, i.cur);
        if (memcmp(t->storage, storage, STORAGE_ID_LEN) == 0) {
            return t;
        }
    }
    return NULL;
}

/* Any session's destroying empties the cache: what is gone must not be opened from here. */
static struct cached *find_cached(const uint8_t *storage) {
    uint64_t destroyed = keys_destroyed();
    for (int i = 0; i < CACHE_KEYS && destroyed != cache_destroyed; i++) {
        secret_fini(&cache[i].key);
    }
    cache_destroyed = destroyed;
    for (int i = 0; i < CACHE_KEYS; i++) {
        if (cache[i].key.ptr != NULL && memcmp(cache[i].storage, storage, STORAGE_ID_LEN) == 0) {
            cache[i].used = ++cache_clock;
            return &cache[i];
        }
    }
    return NULL;
}

static void cache_put(const uint8_t *storage, struct slice key) {
    struct cached *c = &cache[0];
    for (int i = 1; i < CACHE_KEYS && c->key.ptr != NULL; i++) {
        if (cache[i].key.ptr == NULL || cache[i].used < c->used) {
            c = &cache[i];
        }
    }
    secret_fini(&c->key);
    if (sl_is_ok(secret_from(&c->key, key))) {
        memcpy(c->storage, storage, STORAGE_ID_LEN);
        c->used = ++cache_clock;
    }
}

/* ---- Files ---- */

static void path_of(const uint8_t *storage, Oid database, char *out, size_t size) {
    char folder[KEY_PATH_MAX], hex[2 * STORAGE_ID_LEN + 1];
    for (int i = 0; i < STORAGE_ID_LEN; i++) {
        snprintf(hex + 2 * i, 3, "%02x", storage[i]);
    }
    database_key_folder(database, folder, sizeof folder);
    snprintf(out, size, "%s/%s", folder, hex);
}

static void remove_key(const uint8_t *storage) {
    struct temporary *t = find_temporary(storage);
    if (t != NULL) {
        secret_fini(&t->key);
        dlist_delete(&t->node);
        pfree(t);
        return;
    }
    char path[KEY_PATH_MAX + 64];
    path_of(storage, MyDatabaseId, path, sizeof path);
    if (!keys_owned()) {
        return;
    }
    if (unlink(path) != 0 && errno != ENOENT) {
        ereport(WARNING, (errcode_for_file_access(), errmsg("could not remove \"%s\": %m", path)));
    }
    keys_note_destroyed();
}

/* ---- Transactions ---- */

/* What happens to a key when the transaction at `level` ends. */
struct pending {
    dlist_node node;
    Oid database; /* valid: all its keys; else the one of */
    uint8_t storage[STORAGE_ID_LEN];
    bool at_commit; /* destroyed then; else at an abort */
    int level;
};
static dlist_head pendings = DLIST_STATIC_INIT(pendings);
static object_access_hook_type next_object_access;

static void add_pending(Oid database, const uint8_t *storage, bool at_commit) {
    struct pending *p = MemoryContextAllocZero(TopMemoryContext, sizeof *p);
    p->database = database;
    if (storage != NULL) {
        memcpy(p->storage, storage, STORAGE_ID_LEN);
    }
    p->at_commit = at_commit;
    p->level = GetCurrentTransactionNestLevel();
    dlist_push_head(&pendings, &p->node);
}

/* Ends all from `level` on. */
static void end_pendings(int level, bool commit) {
    dlist_mutable_iter i;
    dlist_foreach_modify(i, &pendings) {
        struct pending *p = dlist_container(struct pending, node, i.cur);
        if (p->level < level) {
            continue;
        }
        dlist_delete(&p->node);
        if (p->at_commit == commit && OidIsValid(p->database)) {
            sweep_database_gone(p->database);
        } else if (p->at_commit == commit) {
            remove_key(p->storage);
        }
        pfree(p);
    }
}

static void at_transaction(XactEvent event, void *arg) {
    if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT) {
        end_pendings(1, event == XACT_EVENT_COMMIT);
    } else if (event == XACT_EVENT_PRE_PREPARE && !dlist_is_empty(&pendings)) {
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("cannot PREPARE a transaction that has made or dropped tables")));
    }
}

static void at_subtransaction(SubXactEvent event, SubTransactionId mine, SubTransactionId parent,
                              void *arg) {
    int level = GetCurrentTransactionNestLevel();
    if (event == SUBXACT_EVENT_ABORT_SUB) {
        end_pendings(level, false);
    } else if (event == SUBXACT_EVENT_COMMIT_SUB) {
        dlist_iter i;
        dlist_foreach(i, &pendings) {
            struct pending *p = dlist_container(struct pending, node, i.cur);
            p->level = Min(p->level, level - 1);
        }
    }
}

/* Any way of dropping a database comes by here. */
static void at_object_access(ObjectAccessType access, Oid class_id, Oid object, int sub,
                             void *arg) {
    if (next_object_access != NULL) {
        next_object_access(access, class_id, object, sub, arg);
    }
    if (access == OAT_DROP && class_id == DatabaseRelationId) {
        add_pending(object, NULL, true);
    }
}

void table_keys_copy_database(unsigned from, unsigned to) {
    struct sl_error err = {0};
    add_pending(to, NULL, false);
    struct sl_rc rc = database_key_copy(from, to, &err);
    if (sl_failed(rc)) {
        keys_raise(ERROR, rc, &err, "the template's keys");
    }
}

void table_keys_init(void) {
    rotate_init();
    next_object_access = object_access_hook;
    object_access_hook = at_object_access;
    RegisterXactCallback(at_transaction, NULL);
    RegisterSubXactCallback(at_subtransaction, NULL);
}

/* ---- The calls ---- */

static void create_temporary(const uint8_t *storage) {
    struct temporary *t = MemoryContextAllocZero(TopMemoryContext, sizeof *t);
    struct sl_rc rc = secret_random(&t->key, TABLE_KEY_LEN);
    if (sl_failed(rc)) {
        pfree(t);
        keys_raise(ERROR, rc, &(struct sl_error){0}, "the table's key");
    }
    memcpy(t->storage, storage, STORAGE_ID_LEN);
    dlist_push_head(&temporaries, &t->node);
}

static struct sl_rc create_file(const uint8_t *storage, const struct database_key *database,
                                struct sl_error *err) {
    char folder[KEY_PATH_MAX], temporary[KEY_PATH_MAX], path[KEY_PATH_MAX + 64];
    uint8_t record[WRAP_RECORD_LEN];
    SL_CLEANUP(secret_fini) struct secret key = {0};
    struct wrap_name name = {.kind = WRAP_TABLE};
    memcpy(name.run, keys_run(), KEY_ID_LEN);
    memcpy(name.parent, database->id, KEY_ID_LEN);
    memcpy(name.own, storage, KEY_ID_LEN);
    TRY(secret_random(&key, TABLE_KEY_LEN));
    TRY(wrap_make(&name, secret_view(&database->key), secret_view(&key), record, err));
    database_key_folder(MyDatabaseId, folder, sizeof folder);
    keys_temporary(folder, temporary, sizeof temporary);
    path_of(storage, MyDatabaseId, path, sizeof path);
    TRY(key_file_write(path, temporary, slice_of(record, sizeof record), KEY_FILE_NEW, err));
    cache_put(storage, secret_view(&key));
    return SL_OK;
}

void table_key_create(const uint8_t storage[STORAGE_ID_LEN], char relpersistence) {
    struct sl_error err = {0};
    if (relpersistence == RELPERSISTENCE_TEMP) {
        create_temporary(storage);
        add_pending(InvalidOid, storage, false);
        return;
    }
    PreventCommandDuringRecovery("CREATE TABLE");
    const struct database_key *database = database_key(true);
    add_pending(InvalidOid, storage, false);
    struct sl_rc rc = create_file(storage, database, &err);
    if (rc.code == SL_E_EXISTS) { /* another's, which our abort must not take */
        pfree(dlist_container(struct pending, node, dlist_pop_head_node(&pendings)));
    }
    if (sl_failed(rc)) {
        keys_raise(ERROR, rc, &err, "the table's key");
    }
}

static struct sl_rc open_file(const uint8_t *storage, const struct database_key *database,
                              struct secret *ret, struct sl_error *err) {
    char path[KEY_PATH_MAX + 64];
    SL_CLEANUP(buf_fini) struct buf record = BUF_INIT(WRAP_RECORD_LEN);
    struct wrap_name want = {.kind = WRAP_TABLE};
    memcpy(want.parent, database->id, KEY_ID_LEN);
    memcpy(want.own, storage, KEY_ID_LEN);
    path_of(storage, MyDatabaseId, path, sizeof path);
    struct sl_rc rc = key_file_read(path, &record, err);
    if (rc.code == SL_E_NOT_FOUND) {
        return sl_rc_of(SL_E_CORRUPT); /* its words are in err */
    }
    TRY(rc);
    TRY(wrap_open(buf_slice(&record), &want, secret_view(&database->key), ret, err));
    cache_put(storage, secret_view(ret));
    return SL_OK;
}

/* In this session's memory; NULL: in its file. */
static const struct secret *key_in_memory(const uint8_t *storage) {
    const struct temporary *t = find_temporary(storage);
    const struct cached *c = t == NULL ? find_cached(storage) : NULL;
    return t != NULL ? &t->key : c != NULL ? &c->key : NULL;
}

void table_key_open(const uint8_t storage[STORAGE_ID_LEN], struct secret *ret) {
    struct sl_error err = {0};
    const struct secret *kept = key_in_memory(storage);
    struct sl_rc rc = kept != NULL ? secret_from(ret, secret_view(kept))
                                   : open_file(storage, database_key(false), ret, &err);
    if (sl_failed(rc)) {
        keys_raise(ERROR, rc, &err, "the table's key");
    }
}

bool table_key_find(const uint8_t storage[STORAGE_ID_LEN], struct secret *ret) {
    struct sl_error err = {0};
    const struct secret *kept = key_in_memory(storage);
    const struct database_key *database = kept == NULL ? database_key_find() : NULL;
    if (kept == NULL && database == NULL) {
        return false;
    }
    struct sl_rc rc = kept != NULL ? secret_from(ret, secret_view(kept))
                                   : open_file(storage, database, ret, &err);
    if (sl_failed(rc) && rc.code != SL_E_CORRUPT) {
        keys_raise(ERROR, rc, &err, "the table's key");
    }
    return sl_is_ok(rc);
}

void table_key_destroy(const uint8_t storage[STORAGE_ID_LEN]) {
    ForceSyncCommit(); /* a commit that could still be lost must not take the key along */
    add_pending(InvalidOid, storage, true);
}
