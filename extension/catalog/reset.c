/* The reset of an ephemeral warehouse; see reset.h. */
#include "postgres.h"

#include "access/xact.h"
#include "commands/dbcommands.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_node.h"
#include "postmaster/bgworker.h"
#include "storage/dsm.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "extension/catalog/reset.h"
#include "extension/guard/guard.h"

PG_FUNCTION_INFO_V1(sealift_reset);
PGDLLEXPORT void reset_main(Datum arg);

/* Databases of Sealift's own and PostgreSQL's templates stay; so do their roles. */
static const char databases_sql[] =
    "SELECT datname FROM pg_database WHERE datname NOT IN ('template0', 'template1', 'sealift')";
static const char roles_sql[] =
    "DO $reset$ DECLARE master text := %s; r text; BEGIN"
    " FOR r IN SELECT rolname FROM pg_roles WHERE NOT rolsuper AND rolname NOT LIKE 'pg\\_%%'"
    "   AND rolname NOT IN ('sealift_gateway', 'sealift_admin', 'sealift_standby') LOOP"
    "   EXECUTE format('DROP ROLE %%I', r);"
    " END LOOP;"
    " EXECUTE format('CREATE ROLE %%I LOGIN CREATEDB CREATEROLE PASSWORD %%L', master,"
    "   (SELECT verifier FROM sealift.master));"
    " EXECUTE format('GRANT sealift_admin TO %%I WITH ADMIN OPTION', master);"
    "END $reset$";

Datum sealift_reset(PG_FUNCTION_ARGS) {
    if (!guard_ephemeral) {
        ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                        errmsg("only an ephemeral instance may be emptied")));
    }
    dsm_segment *seg = dsm_create(sizeof(uint64), 0);
    uint64 done = 0;
    memcpy(dsm_segment_address(seg), &done, sizeof done);
    BackgroundWorker w = {.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
                          .bgw_start_time = BgWorkerStart_RecoveryFinished,
                          .bgw_restart_time = BGW_NEVER_RESTART,
                          .bgw_main_arg = UInt32GetDatum(dsm_segment_handle(seg)),
                          .bgw_notify_pid = MyProcPid};
    strlcpy(w.bgw_name, "sealift reset", BGW_MAXLEN);
    strlcpy(w.bgw_type, "sealift reset", BGW_MAXLEN);
    strlcpy(w.bgw_library_name, "sealift", BGW_MAXLEN);
    strlcpy(w.bgw_function_name, "reset_main", BGW_MAXLEN);
    BackgroundWorkerHandle *handle;
    if (!RegisterDynamicBackgroundWorker(&w, &handle)) {
        ereport(ERROR, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
                        errmsg("the warehouse can't be emptied: no worker process is free")));
    }
    WaitForBackgroundWorkerShutdown(handle);
    memcpy(&done, dsm_segment_address(seg), sizeof done);
    dsm_detach(seg);
    if (done == 0) {
        ereport(ERROR,
                (errcode(ERRCODE_INTERNAL_ERROR), errmsg("the warehouse could not be emptied")));
    }
    PG_RETURN_VOID();
}

/* ---- in the worker, as the superuser */

static List *user_databases(void) {
    List *names = NIL;
    StartTransactionCommand();
    PushActiveSnapshot(GetTransactionSnapshot());
    SPI_connect();
    if (SPI_execute(databases_sql, true, 0) != SPI_OK_SELECT) {
        elog(ERROR, "reset: databases can't be listed");
    }
    for (uint64 i = 0; i < SPI_processed; i++) {
        char *name = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);
        MemoryContext before = MemoryContextSwitchTo(TopMemoryContext);
        names = lappend(names, pstrdup(name));
        MemoryContextSwitchTo(before);
    }
    SPI_finish();
    PopActiveSnapshot();
    CommitTransactionCommand();
    return names;
}

static void drop_roles(void) {
    StartTransactionCommand();
    PushActiveSnapshot(GetTransactionSnapshot());
    SPI_connect();
    char *sql = psprintf(roles_sql, quote_literal_cstr(guard_master_user));
    if (SPI_execute(sql, false, 0) != SPI_OK_UTILITY) {
        elog(ERROR, "reset: roles can't be dropped");
    }
    SPI_finish();
    PopActiveSnapshot();
    CommitTransactionCommand();
}

static void make_dev(void) {
    StartTransactionCommand();
    PushActiveSnapshot(GetTransactionSnapshot());
    CreatedbStmt *s = makeNode(CreatedbStmt);
    s->dbname = pstrdup("dev");
    s->options = list_make1(
        makeDefElem(pstrdup("owner"), (Node *)makeString(pstrdup(guard_master_user)), -1));
    createdb(make_parsestate(NULL), s);
    PopActiveSnapshot();
    CommitTransactionCommand();
}

void reset_main(Datum arg) {
    BackgroundWorkerUnblockSignals();
    dsm_segment *seg = dsm_attach(DatumGetUInt32(arg));
    if (seg == NULL) {
        return;
    }
    BackgroundWorkerInitializeConnection("sealift", NULL, 0);
    List *names = user_databases();
    ListCell *lc;
    foreach (lc, names) {
        StartTransactionCommand();
        PushActiveSnapshot(GetTransactionSnapshot());
        dropdb(lfirst(lc), true, true);
        PopActiveSnapshot();
        CommitTransactionCommand();
    }
    drop_roles();
    make_dev();
    const uint64 done = 1;
    memcpy(dsm_segment_address(seg), &done, sizeof done);
    dsm_detach(seg);
}
