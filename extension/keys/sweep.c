/* See sweep.h. */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/bufmgr.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/md.h"
#include "utils/hsearch.h"
#include "utils/builtins.h"
#include "utils/guc.h"
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
PG_FUNCTION_INFO_V1(sealift_check_keys);
PG_FUNCTION_INFO_V1(sealift_check_folders);

bool (*sweep_before_keys)(void);

/* What is to be done with an orphan: removed, or told to whoever asked. */
struct sweep {
    FunctionCallInfo report; /* NULL: remove */
};

static void tell(const struct sweep *s, const char *part, const char *problem) {
    ReturnSetInfo *result = (ReturnSetInfo *)s->report->resultinfo;
    Datum values[] = {CStringGetTextDatum(part), CStringGetTextDatum(problem)};
    bool nulls[lengthof(values)] = {0};
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* NULL when it can't be read, which is no empty folder: a report says so; whoever removes leaves
 * what is there. One that needn't be there is nothing to tell. */
static DIR *open_folder(const struct sweep *s, const char *folder, bool may_be_missing) {
    DIR *dir = AllocateDir(folder);
    if (dir != NULL || (errno == ENOENT && may_be_missing)) {
        return dir;
    }
    if (s->report != NULL) {
        tell(s, psprintf("folder %s", folder), psprintf("it can't be read: %m"));
    } else {
        ereport(WARNING,
                (errcode_for_file_access(), errmsg("could not open directory \"%s\": %m", folder)));
    }
    return NULL;
}

/* One that can be read in part only makes a report fail. */
static struct dirent *next_file(const struct sweep *s, DIR *dir, const char *folder) {
    return ReadDirExtended(dir, folder, s->report != NULL ? ERROR : WARNING);
}

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

static void orphan_file(const struct sweep *s, const char *folder, const char *name) {
    if (s->report == NULL) {
        remove_file(folder, name);
    } else {
        tell(s, psprintf("key file %s/%s", folder, name), "nothing names it");
    }
}

static void sweep_files(const struct sweep *s, const char *folder, HTAB *named,
                        bool may_be_missing) {
    DIR *dir = open_folder(s, folder, may_be_missing);
    struct dirent *e;
    while (dir != NULL && (e = next_file(s, dir, folder)) != NULL) {
        uint8_t storage[STORAGE_ID_LEN];
        if (is_left_over(e->d_name) || (named != NULL && is_old_key(folder, e->d_name, storage) &&
                                        hash_search(named, storage, HASH_FIND, NULL) == NULL)) {
            orphan_file(s, folder, e->d_name);
        }
    }
    if (dir != NULL) {
        FreeDir(dir);
    }
}

static void look_at_keys(const struct sweep *s) {
    char folder[KEY_PATH_MAX];
    SPI_connect();
    Oid schema = get_namespace_oid("sealift", true);
    bool has = OidIsValid(schema) && OidIsValid(get_relname_relid("storage", schema));
    HTAB *named = has ? named_storages() : NULL;
    database_key_folder(MyDatabaseId, folder, sizeof folder);
    sweep_files(s, folder, named, true); /* it may have no sealed table */
    SPI_finish();
}

/* Databases whose DROP was cut off: PostgreSQL lets nobody into them, and keeps their rows. Done in
 * Sealift's own database, which is none of them. */
static void end_drops(void) {
    List *names = NIL;
    ListCell *lc;
    StartTransactionCommand();
    char *own = get_database_name(MyDatabaseId);
    bool here = own != NULL && strcmp(own, "sealift") == 0;
    PushActiveSnapshot(GetTransactionSnapshot());
    SPI_connect();
    if (here && SPI_execute("SELECT datname FROM pg_catalog.pg_database WHERE datconnlimit = -2",
                            true, 0) != SPI_OK_SELECT) {
        elog(ERROR, "databases can't be listed");
    }
    for (uint64 i = 0; here && i < SPI_processed; i++) {
        char *name = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);
        MemoryContext before = MemoryContextSwitchTo(TopMemoryContext);
        names = lappend(names, pstrdup(name));
        MemoryContextSwitchTo(before);
    }
    SPI_finish();
    PopActiveSnapshot();
    CommitTransactionCommand();
    foreach (lc, names) {
        StartTransactionCommand();
        PushActiveSnapshot(GetTransactionSnapshot());
        dropdb(lfirst(lc), true, false);
        PopActiveSnapshot();
        CommitTransactionCommand();
    }
}

void sealift_sweep_main(Datum arg) {
    const struct sweep removing = {0};
    BackgroundWorkerUnblockSignals();
    BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(arg), InvalidOid,
                                              BGWORKER_BYPASS_ALLOWCONN);
    /* A database's owner chooses its settings, and may have functions of his own before ours. */
    SetConfigOption("search_path", "pg_catalog", PGC_SUSET, PGC_S_OVERRIDE);
    SetConfigOption("default_transaction_read_only", "off", PGC_SUSET, PGC_S_OVERRIDE);
    SetConfigOption("statement_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
    if (sweep_before_keys != NULL && !sweep_before_keys()) {
        proc_exit(0);
    }
    StartTransactionCommand();
    PushActiveSnapshot(GetTransactionSnapshot());
    look_at_keys(&removing);
    PopActiveSnapshot();
    CommitTransactionCommand();
    end_drops();
}

/* sealift.check_keys(): keys of this database that no storage has. */
Datum sealift_check_keys(PG_FUNCTION_ARGS) {
    const struct sweep reporting = {.report = fcinfo};
    InitMaterializedSRF(fcinfo, 0);
    if (!RecoveryInProgress()) { /* a standby's are those of the server that it follows */
        look_at_keys(&reporting);
    }
    return (Datum)0;
}

/* ---- All of them ---- */

/* Databases that are there, or are just being made or dropped; open_ones: without those whose DROP
 * was cut off. */
static List *databases(bool open_ones) {
    List *list = NIL;
    HeapTuple tuple;
    SnapshotData dirty;
    InitDirtySnapshot(dirty);
    Relation rel = table_open(DatabaseRelationId, AccessShareLock);
    TableScanDesc scan = table_beginscan(rel, &dirty, 0, NULL);
    while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL) {
        Form_pg_database form = (Form_pg_database)GETSTRUCT(tuple);
        if (!open_ones || form->datconnlimit != DATCONNLIMIT_INVALID_DB) {
            list = lappend_oid(list, form->oid);
        }
    }
    table_endscan(scan);
    table_close(rel, AccessShareLock);
    return list;
}

/* Folders in `parent` that are named by a number. */
static List *numbered(const struct sweep *s, const char *parent) {
    List *found = NIL;
    DIR *dir = open_folder(s, parent, false);
    struct dirent *e;
    while (dir != NULL && (e = next_file(s, dir, parent)) != NULL) {
        uint64_t oid;
        if (slice_u64(slice_cstr(e->d_name), UINT32_MAX, &oid)) {
            found = lappend_oid(found, (Oid)oid);
        }
    }
    if (dir != NULL) {
        FreeDir(dir);
    }
    return found;
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

/* As DROP DATABASE removes it: a standby that became the primary may hold pages of it that are not
 * written yet, and no checkpoint would get past those. */
static void remove_base(Oid database, const char *path) {
    DropDatabaseBuffers(database);
    ForgetDatabaseSyncRequests(database);
    if (!rmtree(path, true)) {
        ereport(WARNING, (errmsg("could not remove all of \"%s\"", path)));
    }
}

/* A database's folder of PostgreSQL is made after its row, and goes before it. */
static void sweep_base(const struct sweep *s) {
    List *folders = numbered(s, "base");
    List *known = databases(false);
    ListCell *lc;
    foreach (lc, folders) {
        char *path = psprintf("base/%u", lfirst_oid(lc));
        if (list_member_oid(known, lfirst_oid(lc))) {
            continue;
        }
        if (s->report != NULL) {
            tell(s, psprintf("folder %s", path), "there is no such database");
        } else {
            remove_base(lfirst_oid(lc), path);
        }
    }
}

/* Folders of keys whose databases are gone, and files that were never whole. */
static void sweep_keys_folder(const struct sweep *s) {
    List *folders = numbered(s, keys_folder);
    List *known = databases(false);
    ListCell *lc;
    foreach (lc, folders) {
        if (list_member_oid(known, lfirst_oid(lc)) || !is_old_database(lfirst_oid(lc))) {
            continue;
        }
        if (s->report == NULL) {
            sweep_database_gone(lfirst_oid(lc));
        } else {
            tell(s, psprintf("keys of database %u", lfirst_oid(lc)), "there is no such database");
        }
    }
    sweep_files(s, keys_folder, NULL, false);
}

/* sealift.check_folders(): what belongs to no database. */
Datum sealift_check_folders(PG_FUNCTION_ARGS) {
    const struct sweep reporting = {.report = fcinfo};
    InitMaterializedSRF(fcinfo, 0);
    if (!RecoveryInProgress()) {
        sweep_base(&reporting);
        sweep_keys_folder(&reporting);
    }
    return (Datum)0;
}

void sweep_all(void) {
    const struct sweep removing = {0};
    ListCell *lc;
    StartTransactionCommand();
    sweep_base(&removing);
    sweep_keys_folder(&removing);
    MemoryContext before = MemoryContextSwitchTo(TopMemoryContext);
    List *known = databases(true);
    MemoryContextSwitchTo(before);
    CommitTransactionCommand();
    foreach (lc, known) {
        if (lfirst_oid(lc) != Template1DbOid) { /* no table is sealed there */
            sweep_database(lfirst_oid(lc));
        }
    }
    list_free(known);
}
