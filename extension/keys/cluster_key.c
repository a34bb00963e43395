/* See cluster_key.h. */
#include "postgres.h"

#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/guc.h"

#include <sys/mman.h>
#include <unistd.h>

#include "extension/guard/guard.h"
#include "extension/keys/cluster_file.h"
#include "extension/keys/cluster_key.h"
#include "extension/keys/key_file.h"
#include "extension/keys/raise.h"
#include "lib/crypto/crypto.h"
#include "lib/ipc/seam.h"

char *keys_folder;

/* PostgreSQL's shared memory: no secrets. */
struct shared {
    LWLock *lock; /* over *keys, and files that are wrapped under them */
    pg_atomic_uint64 destroyed;
    uint8_t run[KEY_ID_LEN];
};
static struct shared *shared;

/* Memory of the postmaster that its forks share, so that they see a rotation. */
struct keys {
    size_t count; /* the newest last */
    struct {
        uint8_t id[KEY_ID_LEN];
        uint8_t key[WAREHOUSE_KEY_LEN];
    } key[CLUSTER_KEYS_MAX];
};
static struct keys *keys;

static uint8_t edge_token[SEAM_TOKEN_LEN];
static shmem_request_hook_type next_request;
static shmem_startup_hook_type next_startup;

const uint8_t *keys_run(void) {
    return shared->run;
}

uint64_t keys_destroyed(void) {
    return pg_atomic_read_u64(&shared->destroyed);
}

void keys_note_destroyed(void) {
    pg_atomic_fetch_add_u64(&shared->destroyed, 1);
}

void keys_temporary(const char *folder, char *out, size_t size) {
    size_t n = (size_t)snprintf(out, size, "%s/.", folder);
    for (int i = 0; i < KEY_ID_LEN && n < size; i++) {
        n += (size_t)snprintf(out + n, size - n, "%02x", shared->run[i]);
    }
    if (n < size) {
        snprintf(out + n, size - n, "-%d", MyProcPid);
    }
}

void cluster_keys_hold(void) {
    LWLockAcquire(shared->lock, LW_SHARED);
}

void cluster_keys_release(void) {
    LWLockRelease(shared->lock);
}

struct sl_rc cluster_key_wrap(struct wrap_name *name, struct slice key,
                              uint8_t out[WRAP_RECORD_LEN], struct sl_error *err) {
    ENSURE(keys->count > 0, err, SL_E_INTERNAL, "there is no cluster key");
    size_t newest = keys->count - 1;
    memcpy(name->parent, keys->key[newest].id, KEY_ID_LEN);
    return wrap_make(name, slice_of(keys->key[newest].key, WAREHOUSE_KEY_LEN), key, out, err);
}

struct sl_rc cluster_key_unwrap(struct slice record, const struct wrap_name *want,
                                struct secret *ret, struct sl_error *err) {
    for (size_t i = 0; i < keys->count; i++) {
        if (memcmp(keys->key[i].id, want->parent, KEY_ID_LEN) == 0) {
            return wrap_open(record, want, slice_of(keys->key[i].key, WAREHOUSE_KEY_LEN), ret, err);
        }
    }
    return sl_fail(err, SL_E_NOT_FOUND, "it is wrapped under a cluster key that is not here");
}

/* ---- From KMS ---- */

static struct sl_rc connect_kms(int *ret_fd, struct sl_error *err) {
    struct seam_hello hello = {.edge = SEAM_POSTGRES, .mode = SEAM_RPC};
    memcpy(hello.token, edge_token, SEAM_TOKEN_LEN);
    struct sl_rc rc = seam_connect(guard_kms_socket, &hello, ret_fd, err);
    secret_wipe(&hello, sizeof hello);
    return rc;
}

static void keep(size_t i, const uint8_t *id, const struct secret *key) {
    memcpy(keys->key[i].id, id, KEY_ID_LEN);
    memcpy(keys->key[i].key, key->ptr, WAREHOUSE_KEY_LEN);
    keys->count = i + 1;
}

static struct sl_rc open_all(int kms, const struct cluster_file *f, struct sl_error *err) {
    for (size_t i = 0; i < f->count; i++) {
        SL_CLEANUP(secret_fini) struct secret key = {0};
        TRY(seam_cluster_key_open(kms, f->key[i].blob, err, &key));
        ENSURE(key.len == WAREHOUSE_KEY_LEN, err, SL_E_CORRUPT, "a cluster key of %zu bytes",
               key.len);
        keep(i, f->key[i].id, &key);
    }
    return SL_OK;
}

static struct sl_rc write_file(const char *path, const struct cluster_file *f,
                               struct sl_error *err) {
    char temporary[KEY_PATH_MAX];
    SL_CLEANUP(buf_fini) struct buf bytes = BUF_INIT(LIMIT_KEY_FILE_BYTES);
    keys_temporary(keys_folder, temporary, sizeof temporary);
    cluster_file_put(&bytes, f);
    TRY(buf_check(&bytes, err));
    return key_file_write(path, temporary, buf_slice(&bytes), KEY_FILE_REPLACE, err);
}

/* The first one. */
static struct sl_rc make(int kms, const char *path, struct sl_error *err) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(64 * 1024);
    SL_CLEANUP(secret_fini) struct secret key = {0};
    struct cluster_file f = {.count = 1};
    crypto_random(f.key[0].id, KEY_ID_LEN);
    TRY(seam_cluster_key(kms, &a, err, &f.key[0].blob, &key));
    ENSURE(key.len == WAREHOUSE_KEY_LEN, err, SL_E_CORRUPT, "a cluster key of %zu bytes", key.len);
    TRY(write_file(path, &f, err));
    keep(0, f.key[0].id, &key);
    return SL_OK;
}

static struct sl_rc load(struct sl_error *err) {
    char path[KEY_PATH_MAX];
    SL_CLEANUP(buf_fini) struct buf bytes = BUF_INIT(LIMIT_KEY_FILE_BYTES);
    struct cluster_file f;
    int kms;
    snprintf(path, sizeof path, "%s/cluster", keys_folder);
    struct sl_rc rc = key_file_read(path, &bytes, err);
    bool first = rc.code == SL_E_NOT_FOUND;
    if (first) {
        sl_error_clear(err);
    } else {
        TRY(rc);
        TRY(cluster_file_get(buf_slice(&bytes), &f, err));
    }
    TRY(connect_kms(&kms, err));
    rc = first ? make(kms, path, err) : open_all(kms, &f, err);
    close(kms);
    return rc;
}

/* ---- Start ---- */

static void request(void) {
    if (next_request != NULL) {
        next_request();
    }
    RequestAddinShmemSpace(sizeof *shared);
    RequestNamedLWLockTranche("sealift_keys", 1);
}

static void startup(void) {
    struct sl_error err = {0};
    bool found;
    if (next_startup != NULL) {
        next_startup();
    }
    shared = ShmemInitStruct("sealift_keys", sizeof *shared, &found);
    shared->lock = &GetNamedLWLockTranche("sealift_keys")->lock;
    pg_atomic_init_u64(&shared->destroyed, 0);
    crypto_random(shared->run, sizeof shared->run);
    secret_wipe(keys, sizeof *keys);
    struct sl_rc rc = load(&err);
    if (sl_failed(rc)) {
        keys_raise(FATAL, rc, &err, "the cluster key");
    }
}

void cluster_key_settings(void) {
    DefineCustomStringVariable("sealift.keys", "Folder of the wrapped keys.", NULL, &keys_folder,
                               "", PGC_POSTMASTER, GUC_NO_SHOW_ALL, NULL, NULL, NULL);
}

void cluster_key_init(const uint8_t *token) {
    memcpy(edge_token, token, SEAM_TOKEN_LEN);
    keys = mmap(NULL, sizeof *keys, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (keys == MAP_FAILED) {
        ereport(FATAL, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("no memory for the cluster key")));
    }
    if (mlock(keys, sizeof *keys) != 0) {
        ereport(WARNING, (errmsg("the cluster key's memory can't be locked: %m"),
                          errhint("Swap must be encrypted or off.")));
    }
    (void)madvise(keys, sizeof *keys, MADV_DONTDUMP);
    next_request = shmem_request_hook;
    shmem_request_hook = request;
    next_startup = shmem_startup_hook;
    shmem_startup_hook = startup;
}
