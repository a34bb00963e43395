/* See sweep.h. */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_database.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/fd.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/uuid.h"

#include "extension/keys/cluster_key.h"
#include "extension/keys/database_key.h"
#include "extension/keys/key_file.h"
#include "extension/keys/sweep.h"
#include "lib/codec/text.h"

enum { STORAGE_ID_LEN = KEY_ID_LEN, SWEEP_START_KEYS = 1024 };

PGDLLEXPORT void sealift_sweep_main(Datum arg);

static void remove_file(const char *folder, const char *name) {
    char path[2 * KEY_PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (unlink(path) != 0 && errno != ENOENT) {
        ereport(WARNING, (errcode_for_file_access(), errmsg("could not remove \"%s\": %m", path)));
    }
}

/* ".<run>-<pid>" of an earlier run. */
static bool is_left_over(const char *name) {
    char own[KEY_PATH_MAX];
    keys_temporary("", own, sizeof own);
    const char *mine = own + 1;
    return name[0] == '.' && strlen(name) > 2 &&
           strncmp(name, mine, 1 + 2 * (size_t)KEY_ID_LEN) != 0;
}

void sweep_database_gone(Oid database) {
    char folder[KEY_PATH_MAX];
    database_key_folder(database, folder, sizeof folder);
    DIR *dir = AllocateDir(folder);
    struct dirent *e;
    if (dir == NULL && errno == ENOENT) {
        return; /* it had no sealed table */
    }
    static const char key[] =
        "key"; /* last, so that a sweep still knows the folder for a database's */
    while (dir != NULL && (e = ReadDirExtended(dir, folder, WARNING)) != NULL) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
            strcmp(e->d_name, key) != 0) {
            remove_file(folder, e->d_name);
        }
    }
    if (dir != NULL) {
        FreeDir(dir);
    }
    remove_file(folder, key);
    if (rmdir(folder) != 0) {
        ereport(WARNING,
                (errcode_for_file_access(), errmsg("could not remove \"%s\": %m", folder)));
    }
    keys_note_destroyed();
}

/* One that is just being made is in no list of databases yet. */
static bool is_old_database(Oid database) {
    char folder[KEY_PATH_MAX], path[KEY_PATH_MAX + 8];
    SL_CLEANUP(buf_fini) struct buf record = BUF_INIT(WRAP_RECORD_LEN);
    struct wrap_name name;
    database_key_folder(database, folder, sizeof folder);
    snprintf(path, sizeof path, "%s/key", folder);
    return sl_is_ok(key_file_read(path, &record, NULL)) &&
           sl_is_ok(wrap_name(buf_slice(&record), &name, NULL)) &&
           memcmp(name.run, keys_run(), KEY_ID_LEN) != 0;
}

/* ---- One database, in a worker of its own ---- */

static HTAB *named_storages(void) {
    HASHCTL ctl = {.keysize = STORAGE_ID_LEN, .entrysize = STORAGE_ID_LEN};
    HTAB *set = hash_create("storages", SWEEP_START_KEYS, &ctl, HASH_ELEM | HASH_BLOBS);
    if (SPI_execute("SELECT storage FROM sealift.storage", true, 0) != SPI_OK_SELECT) {
        elog(ERROR, "storages can't be listed");
    }
    for (uint64 i = 0; i < SPI_processed; i++) {
        bool isnull;
        Datum d = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull);
        if (!isnull) {
            hash_search(set, DatumGetUUIDP(d)->data, HASH_ENTER, NULL);
        }
    }
    return set;
}

/* Of an earlier run, and named by its own file name. */
static bool is_old_key(const char *folder, const char *file, uint8_t *ret_storage) {
    char path[2 * KEY_PATH_MAX];
    SL_CLEANUP(buf_fini) struct buf record = BUF_INIT(WRAP_RECORD_LEN);
    SL_CLEANUP(buf_fini) struct buf id = BUF_INIT(STORAGE_ID_LEN);
    struct wrap_name name;
    if (strlen(file) != 2 * STORAGE_ID_LEN || sl_failed(hex_get(slice_cstr(file), &id, NULL))) {
        return false;
    }
    snprintf(path, sizeof path, "%s/%s", folder, file);
    memcpy(ret_storage, id.ptr, STORAGE_ID_LEN);
    return sl_is_ok(key_file_read(path, &record, NULL)) &&
           sl_is_ok(wrap_name(buf_slice(&record), &name, NULL)) && name.kind == WRAP_TABLE &&
           memcmp(name.own, ret_storage, KEY_ID_LEN) == 0 &&
           memcmp(name.run, keys_run(), KEY_ID_LEN) != 0;
}

static void sweep_files(const char *folder, HTAB *named) {
    DIR *dir = AllocateDir(folder);
    struct dirent *e;
    while (dir != NULL && (e = ReadDirExtended(dir, folder, WARNING)) != NULL) {
        uint8_t storage[STORAGE_ID_LEN];
        if (is_left_over(e->d_name) || (named != NULL && is_old_key(folder, e->d_name, storage) &&
                                        hash_search(named, storage, HASH_FIND, NULL) == NULL)) {
            remove_file(folder, e->d_name);
        }
    }
    if (dir != NULL) {
        FreeDir(dir);
    }
}

void sealift_sweep_main(Datum arg) {
    Oid database = DatumGetObjectId(arg);
    char folder[KEY_PATH_MAX];
    BackgroundWorkerUnblockSignals();
    BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, BGWORKER_BYPASS_ALLOWCONN);
    StartTransactionCommand();
    PushActiveSnapshot(GetTransactionSnapshot());
    SPI_connect();
    Oid schema = get_namespace_oid("sealift", true);
    bool has = OidIsValid(schema) && OidIsValid(get_relname_relid("storage", schema));
    HTAB *named = has ? named_storages() : NULL;
    database_key_folder(database, folder, sizeof folder);
    sweep_files(folder, named);
    SPI_finish();
    PopActiveSnapshot();
    CommitTransactionCommand();
}

/* ---- All of them ---- */

static List *databases(void) {
    List *list = NIL;
    HeapTuple tuple;
    StartTransactionCommand();
    Relation rel = table_open(DatabaseRelationId, AccessShareLock);
    TableScanDesc scan = table_beginscan_catalog(rel, 0, NULL);
    while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL) {
        MemoryContext before = MemoryContextSwitchTo(TopMemoryContext);
        list = lappend_oid(list, ((Form_pg_database)GETSTRUCT(tuple))->oid);
        MemoryContextSwitchTo(before);
    }
    table_endscan(scan);
    table_close(rel, AccessShareLock);
    CommitTransactionCommand();
    return list;
}

static void sweep_database(Oid database) {
    BackgroundWorker w = {
        .bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
        .bgw_start_time = BgWorkerStart_RecoveryFinished,
        .bgw_restart_time = BGW_NEVER_RESTART,
        .bgw_main_arg = ObjectIdGetDatum(database),
        .bgw_notify_pid = MyProcPid,
    };
    BackgroundWorkerHandle *handle;
    strlcpy(w.bgw_name, "sealift sweep", sizeof w.bgw_name);
    strlcpy(w.bgw_type, "sealift sweep", sizeof w.bgw_type);
    strlcpy(w.bgw_library_name, "sealift", sizeof w.bgw_library_name);
    strlcpy(w.bgw_function_name, "sealift_sweep_main", sizeof w.bgw_function_name);
    if (!RegisterDynamicBackgroundWorker(&w, &handle)) {
        ereport(WARNING, (errmsg("no worker is free to sweep the keys of database %u", database)));
        return;
    }
    (void)WaitForBackgroundWorkerShutdown(handle);
}

void sweep_all(void) {
    DIR *dir = AllocateDir(keys_folder);
    List *folders = NIL;
    struct dirent *e;
    ListCell *lc;
    while (dir != NULL && (e = ReadDirExtended(dir, keys_folder, WARNING)) != NULL) {
        uint64_t oid;
        if (slice_u64(slice_cstr(e->d_name), UINT32_MAX, &oid)) {
            folders = lappend_oid(folders, (Oid)oid);
        } else if (is_left_over(e->d_name)) {
            remove_file(keys_folder, e->d_name);
        }
    }
    if (dir != NULL) {
        FreeDir(dir);
    }
    List *known = databases();
    foreach (lc, folders) {
        if (list_member_oid(known, lfirst_oid(lc))) {
            sweep_database(lfirst_oid(lc));
        } else if (is_old_database(lfirst_oid(lc))) {
            sweep_database_gone(lfirst_oid(lc));
        }
    }
}
