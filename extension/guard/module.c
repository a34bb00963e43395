/* The extension's start in the postmaster: settings, hooks, what the process may no longer do. */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/guc.h"

#include <sys/prctl.h>

#include "extension/catalog/load_state.h"
#include "extension/columnar/columnar.h"
#include "extension/guard/guard.h"
#include "extension/guard/label.h"
#include "extension/guard/session.h"
#include "extension/keys/cluster_key.h"
#include "extension/keys/table_keys.h"

PG_MODULE_MAGIC;

char *guard_s3_endpoint, *guard_ca_file, *guard_kms_socket, *guard_region, *guard_account,
    *guard_cluster, *guard_master_user;
bool guard_ephemeral;
int guard_s3_stall_ms;

/* An invariant that broke in lib/ ends this one session. */
static void panic_to_fatal(const char *file, int line, const char *what) {
    ereport(FATAL, (errcode(ERRCODE_INTERNAL_ERROR),
                    errmsg_internal("broken invariant at %s:%d: %s", file, line, what)));
}

static void define(const char *name, const char *text, char **value) {
    DefineCustomStringVariable(name, text, NULL, value, "", PGC_POSTMASTER, GUC_NO_SHOW_ALL, NULL,
                               NULL, NULL);
}

void _PG_init(void);

void _PG_init(void) {
    if (!process_shared_preload_libraries_in_progress) {
        return; /* a function of ours was looked up without the preload: no hooks, so nothing of
                   ours works */
    }
    define("sealift.s3_endpoint", "S3 endpoint of COPY.", &guard_s3_endpoint);
    define("sealift.ca_file", "CA certificate of the endpoint.", &guard_ca_file);
    define("sealift.kms_socket", "Socket of the kms process.", &guard_kms_socket);
    define("sealift.region", "The cluster's region.", &guard_region);
    define("sealift.account", "The cluster's account.", &guard_account);
    define("sealift.cluster", "The cluster's identifier.", &guard_cluster);
    define("sealift.master_user", "The cluster's master user.", &guard_master_user);
    DefineCustomBoolVariable("sealift.ephemeral", "May the warehouse be emptied?", NULL,
                             &guard_ephemeral, false, PGC_POSTMASTER, GUC_NO_SHOW_ALL, NULL, NULL,
                             NULL);
    DefineCustomIntVariable("sealift.s3_stall_timeout",
                            "A read of COPY is tried anew when nothing came for so long.", NULL,
                            &guard_s3_stall_ms, 60 * 1000, 100, 60 * 60 * 1000, PGC_POSTMASTER,
                            GUC_NO_SHOW_ALL | GUC_UNIT_MS, NULL, NULL, NULL);
    sl_set_panic_hook(panic_to_fatal);
    session_init();
    cluster_key_settings();
    columnar_init();
    if (session_edge_token() != NULL) {
        /* A served cluster, not a bootstrap: memory holds tokens and data keys. */
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
        settings_init();
        utility_init();
        label_init();
        log_guard_init();
        cluster_key_init(session_edge_token());
        table_keys_init();
        load_state_init();
    }
    MarkGUCPrefixReserved("sealift");
}
