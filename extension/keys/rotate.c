/* See rotate.h. */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/wait_event.h"

#include "extension/keys/cluster_key.h"
#include "extension/keys/database_key.h"
#include "extension/keys/key_file.h"
#include "extension/keys/raise.h"
#include "extension/keys/rotate.h"
#include "extension/keys/sweep.h"

enum { RETRY_MS = 5000, RESTART_S = 1 };

PG_FUNCTION_INFO_V1(sealift_rotate_encryption_key);
PGDLLEXPORT void sealift_keys_main(Datum arg);

/* sealift.rotate_encryption_key(): a new cluster key is in use when it returns; the keys' own
 * process does the rest. */
Datum sealift_rotate_encryption_key(PG_FUNCTION_ARGS) {
    struct sl_error err = {0};
    cluster_rotation_lock();
    struct sl_rc rc = cluster_key_begin(&err);
    cluster_rotation_unlock();
    if (sl_failed(rc)) {
        const char *s = rc.code == SL_E_EXISTS ? "55006" : sl_code_info(rc.code)->sqlstate;
        ereport(ERROR, (errcode(MAKE_SQLSTATE(s[0], s[1], s[2], s[3], s[4])),
                        errmsg("%s", sl_error_message(&err, rc.code))));
    }
    PG_RETURN_VOID();
}

/* One database's key under the newest cluster key; once more if it is already, since the flush of
 * an earlier attempt may have failed. Gone with its database: nothing to do. */
static struct sl_rc rewrap(Oid database, struct sl_error *err) {
    char folder[KEY_PATH_MAX], path[KEY_PATH_MAX + 8], temporary[KEY_PATH_MAX];
    uint8_t record[WRAP_RECORD_LEN];
    SL_CLEANUP(buf_fini) struct buf was = BUF_INIT(WRAP_RECORD_LEN);
    SL_CLEANUP(secret_fini) struct secret key = {0};
    struct wrap_name name;
    database_key_folder(database, folder, sizeof folder);
    snprintf(path, sizeof path, "%s/key", folder);
    keys_temporary(folder, temporary, sizeof temporary);
    struct sl_rc rc = key_file_read(path, &was, err);
    if (rc.code == SL_E_NOT_FOUND) {
        sl_error_clear(err);
        return SL_OK;
    }
    TRY(rc);
    TRY(wrap_name(buf_slice(&was), &name, err));
    cluster_keys_hold();
    rc = cluster_key_unwrap(buf_slice(&was), &name, &key, err);
    rc = sl_is_ok(rc) ? cluster_key_wrap(&name, secret_view(&key), record, err) : rc;
    cluster_keys_release();
    rc = sl_is_ok(rc) ? key_file_write(path, temporary, slice_of(record, sizeof record),
                                       KEY_FILE_REPLACE, err)
                      : rc;
    if (sl_failed(rc) && access(folder, F_OK) != 0) {
        sl_error_clear(err);
        return SL_OK;
    }
    return rc;
}

static struct sl_rc rewrap_named(const char *name, void *arg, struct sl_error *err) {
    uint64_t oid;
    return slice_u64(slice_cstr(name), UINT32_MAX, &oid) ? rewrap((Oid)oid, err) : SL_OK;
}

/* False: to be tried again. */
static bool finish_rotation(void) {
    struct sl_error err = {0};
    cluster_rotation_lock();
    struct sl_rc rc =
        cluster_key_rotating() ? key_file_each(keys_folder, rewrap_named, NULL, &err) : SL_OK;
    rc = sl_is_ok(rc) ? cluster_key_finish(&err) : rc;
    cluster_rotation_unlock();
    if (sl_failed(rc)) {
        keys_raise(WARNING, rc, &err, "the rotation of the cluster key");
    }
    return sl_is_ok(rc);
}

void sealift_keys_main(Datum arg) {
    pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
    pqsignal(SIGHUP, SIG_IGN);
    BackgroundWorkerUnblockSignals();
    BackgroundWorkerInitializeConnection(NULL, NULL, 0);
    pgstat_report_appname("sealift keys");
    cluster_key_worker_here();
    if (!keys_owned()) {
        proc_exit(0);
    }
    bool swept = false;
    while (!ShutdownRequestPending) {
        ResetLatch(MyLatch);
        bool done = finish_rotation();
        if (!swept) {
            sweep_all();
            swept = true;
        }
        (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | (done ? 0 : WL_TIMEOUT),
                        RETRY_MS, PG_WAIT_EXTENSION);
        CHECK_FOR_INTERRUPTS();
    }
    proc_exit(0);
}

void rotate_init(void) {
    BackgroundWorker w = {
        .bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
        .bgw_start_time = BgWorkerStart_RecoveryFinished,
        .bgw_restart_time = RESTART_S,
    };
    strlcpy(w.bgw_name, "sealift keys", sizeof w.bgw_name);
    strlcpy(w.bgw_type, "sealift keys", sizeof w.bgw_type);
    strlcpy(w.bgw_library_name, "sealift", sizeof w.bgw_library_name);
    strlcpy(w.bgw_function_name, "sealift_keys_main", sizeof w.bgw_function_name);
    RegisterBackgroundWorker(&w);
}
