/* What a client session causes in the server's log is reduced to time, severity, SQLSTATE and
 * process: no statement, no value. Messages of the server itself (start, checkpoints, crashes)
 * carry no user data and stay. */
#include "postgres.h"

#include "access/parallel.h"
#include "miscadmin.h"
#include "postmaster/autovacuum.h"
#include "utils/elog.h"
#include "utils/timestamp.h"

#include <time.h>
#include <unistd.h>

#include "extension/guard/guard.h"

static emit_log_hook_type next_hook;

static const char *severity(int elevel) {
    return elevel >= PANIC     ? "PANIC"
           : elevel >= FATAL   ? "FATAL"
           : elevel >= ERROR   ? "ERROR"
           : elevel >= WARNING ? "WARNING"
                               : "LOG";
}

static void reduce(ErrorData *edata) {
    if (next_hook != NULL) {
        next_hook(edata);
    }
    /* Of a session, or of a process that works on users' values for one. */
    bool guarded = MyProcPort != NULL || IsParallelWorker() || IsAutoVacuumWorkerProcess();
    if (!guarded || !edata->output_to_server) {
        return;
    }
    char line[256];
    time_t now = time(NULL);
    struct tm tm;
    size_t n = strftime(line, sizeof line, "%Y-%m-%d %H:%M:%S UTC", gmtime_r(&now, &tm));
    n += (size_t)snprintf(line + n, sizeof line - n, " [%d] %s:  SQLSTATE %s\n", MyProcPid,
                          severity(edata->elevel), unpack_sql_state(edata->sqlerrcode));
    if (write(STDERR_FILENO, line, Min(n, sizeof line - 1)) < 0) {
        /* nowhere left to say so */
    }
    edata->output_to_server = false;
}

void log_guard_init(void) {
    next_hook = emit_log_hook;
    emit_log_hook = reduce;
}
