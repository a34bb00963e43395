/* See cluster_key.h. */
#include "postgres.h"

#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/guc.h"

#include <fcntl.h>
#include <sys/file.h>
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
    LWLock *lock;     /* over *keys, and files that are wrapped under them */
    LWLock *rotation; /* one step of a rotation at a time */
    Latch *worker;    /* under lock; NULL while there is none */
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

static int lock_fd = -1, why_fd = -1;

bool keys_owned(void) {
    return lock_fd >= 0;
}

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
        struct sl_rc rc = seam_cluster_key_open(kms, f->key[i].blob, err, &key);
        if (rc.code == SL_E_KMS_INVALID_CIPHERTEXT) { /* whose words are none */
            sl_error_clear(err);
            rc = sl_fail(err, SL_E_CORRUPT, "its wrapped form was altered");
        }
        TRY(rc);
        ENSURE(key.len == WAREHOUSE_KEY_LEN, err, SL_E_CORRUPT, "a cluster key of %zu bytes",
               key.len);
        keep(i, f->key[i].id, &key);
    }
    return SL_OK;
}

static void file_path(char *out, size_t size) {
    snprintf(out, size, "%s/cluster", keys_folder);
}

static struct sl_rc write_file(const struct cluster_file *f, struct sl_error *err) {
    char path[KEY_PATH_MAX], temporary[KEY_PATH_MAX];
    file_path(path, sizeof path);
    SL_CLEANUP(buf_fini) struct buf bytes = BUF_INIT(LIMIT_KEY_FILE_BYTES);
    keys_temporary(keys_folder, temporary, sizeof temporary);
    cluster_file_put(&bytes, f);
    TRY(buf_check(&bytes, err));
    return key_file_write(path, temporary, buf_slice(&bytes), KEY_FILE_REPLACE, err);
}

/* One more, behind those of `f`; in the file before it is used. */
static struct sl_rc make(int kms, struct cluster_file *f, struct sl_error *err) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(64 * 1024);
    SL_CLEANUP(secret_fini) struct secret key = {0};
    size_t i = f->count++;
    crypto_random(f->key[i].id, KEY_ID_LEN);
    TRY(seam_cluster_key(kms, &a, err, &f->key[i].blob, &key));
    ENSURE(key.len == WAREHOUSE_KEY_LEN, err, SL_E_CORRUPT, "a cluster key of %zu bytes", key.len);
    TRY(write_file(f, err));
    if (IsUnderPostmaster) {
        LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    }
    keep(i, f->key[i].id, &key);
    if (IsUnderPostmaster) {
        LWLockRelease(shared->lock);
    }
    return SL_OK;
}

/* SL_E_NOT_FOUND before the first key. */
static struct sl_rc read_file(struct buf *bytes, struct cluster_file *ret, struct sl_error *err) {
    char path[KEY_PATH_MAX];
    file_path(path, sizeof path);
    TRY(key_file_read(path, bytes, err));
    return cluster_file_get(buf_slice(bytes), ret, err);
}

static struct sl_rc load(struct sl_error *err) {
    SL_CLEANUP(buf_fini) struct buf bytes = BUF_INIT(LIMIT_KEY_FILE_BYTES);
    struct cluster_file f = {0};
    int kms;
    struct sl_rc rc = read_file(&bytes, &f, err);
    bool first = rc.code == SL_E_NOT_FOUND && keys_owned();
    if (first) {
        sl_error_clear(err);
    } else {
        TRY(rc);
    }
    TRY(connect_kms(&kms, err));
    rc = first ? make(kms, &f, err) : open_all(kms, &f, err);
    close(kms);
    return rc;
}

/* ---- Rotation ---- */

void cluster_rotation_lock(void) {
    LWLockAcquire(shared->rotation, LW_EXCLUSIVE);
}

void cluster_rotation_unlock(void) {
    LWLockRelease(shared->rotation);
}

static void worker_gone(int code, Datum arg) {
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    shared->worker = NULL;
    LWLockRelease(shared->lock);
}

void cluster_key_worker_here(void) {
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    shared->worker = MyLatch;
    LWLockRelease(shared->lock);
    before_shmem_exit(worker_gone, (Datum)0);
}

struct sl_rc cluster_key_begin(struct sl_error *err) {
    SL_CLEANUP(buf_fini) struct buf bytes = BUF_INIT(LIMIT_KEY_FILE_BYTES);
    struct cluster_file f;
    int kms;
    ENSURE(keys_owned(), err, SL_E_UNSUPPORTED, "The keys are another server's.");
    TRY(read_file(&bytes, &f, err));
    ENSURE(f.count == 1 && !cluster_key_rotating(), err, SL_E_EXISTS,
           "There is an operation running on the Cluster. Please try to perform it at a later "
           "time.");
    TRY(connect_kms(&kms, err));
    struct sl_rc rc = make(kms, &f, err);
    close(kms);
    /* Also after a failure: it sees to it that kms knows how things stand. */
    LWLockAcquire(shared->lock, LW_SHARED);
    if (shared->worker != NULL) {
        SetLatch(shared->worker);
    }
    LWLockRelease(shared->lock);
    return rc;
}

bool cluster_key_rotating(void) {
    return keys->count > 1;
}

struct sl_rc cluster_key_finish(struct sl_error *err) {
    SL_CLEANUP(buf_fini) struct buf bytes = BUF_INIT(LIMIT_KEY_FILE_BYTES);
    struct cluster_file f;
    int kms;
    TRY(read_file(&bytes, &f, err));
    if (f.count > 1) {
        /* Ours, not the file's newest: of a rotation that failed as it began, that one is in the
         * file and has never been used. */
        const uint8_t *id = keys->key[keys->count - 1].id;
        size_t in_use = 0;
        while (in_use < f.count && memcmp(f.key[in_use].id, id, KEY_ID_LEN) != 0) {
            in_use++;
        }
        ENSURE(in_use < f.count, err, SL_E_CORRUPT,
               "its file does not hold the cluster key in use");
        f.key[0] = f.key[in_use];
        f.count = 1;
        TRY(write_file(&f, err));
    }
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    keys->key[0] = keys->key[keys->count - 1];
    keys->count = 1;
    secret_wipe(&keys->key[1], sizeof keys->key[1]);
    LWLockRelease(shared->lock);
    TRY(connect_kms(&kms, err));
    struct sl_rc rc = seam_cluster_rotated(kms, err);
    close(kms);
    return rc;
}

/* ---- Start ---- */

static void request(void) {
    if (next_request != NULL) {
        next_request();
    }
    RequestAddinShmemSpace(sizeof *shared);
    RequestNamedLWLockTranche("sealift_keys", 2);
}

/* The supervisor tells it on. */
static void say_why(const struct sl_error *err, enum sl_code code) {
    const char *text = sl_error_message(err, code);
    if (why_fd >= 0 && write(why_fd, text, strlen(text)) < 0) {
        /* it stands in the log as well */
    }
}

/* Whoever comes first owns the files, for as long as it runs; a standby never does. */
static void own_files(void) {
    char path[KEY_PATH_MAX];
    if (lock_fd >= 0 || access("standby.signal", F_OK) == 0) {
        return;
    }
    snprintf(path, sizeof path, "%s/lock", keys_folder);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) {
        lock_fd = fd;
        return;
    }
    if (fd >= 0) {
        close(fd);
    }
    ereport(WARNING, (errmsg("the keys in \"%s\" are another server's", keys_folder),
                      errdetail("This one opens them, and neither removes nor rotates any.")));
}

static void startup(void) {
    struct sl_error err = {0};
    bool found;
    if (next_startup != NULL) {
        next_startup();
    }
    shared = ShmemInitStruct("sealift_keys", sizeof *shared, &found);
    shared->lock = &GetNamedLWLockTranche("sealift_keys")[0].lock;
    shared->rotation = &GetNamedLWLockTranche("sealift_keys")[1].lock;
    shared->worker = NULL;
    pg_atomic_init_u64(&shared->destroyed, 0);
    crypto_random(shared->run, sizeof shared->run);
    secret_wipe(keys, sizeof *keys);
    own_files();
    struct sl_rc rc = load(&err);
    if (sl_failed(rc)) {
        say_why(&err, rc.code);
        keys_raise(FATAL, rc, &err, "the cluster key");
    }
    if (why_fd >= 0) {
        close(why_fd);
        why_fd = -1;
    }
}

void cluster_key_settings(void) {
    DefineCustomStringVariable("sealift.keys", "Folder of the wrapped keys.", NULL, &keys_folder,
                               "", PGC_POSTMASTER, GUC_NO_SHOW_ALL, NULL, NULL, NULL);
}

void cluster_key_init(const uint8_t *token) {
    const char *why = getenv("SEALIFT_WHY_FD");
    if (why != NULL) {
        why_fd = atoi(why);
        (void)fcntl(why_fd, F_SETFD, FD_CLOEXEC);
        unsetenv("SEALIFT_WHY_FD");
    }
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
