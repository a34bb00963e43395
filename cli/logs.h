/* The processes' logs under DATA/log are bounded: `x.log` is moved on to `x.log.1`, that to
 * `x.log.2` and so on, the oldest goes. */
#ifndef SL_CLI_LOGS_H
#define SL_CLI_LOGS_H

#include "lib/base/rc.h"

/* Moves on each "*.log" of the folder that is longer than `bytes`; `kept` older ones stay.
 * Processes write to the same open file for all their life, so its content is copied and the file
 * emptied; a line that is written between the last look and that is lost. On a failure the file
 * stays as it is. */
struct sl_rc logs_rotate(const char *dir, long long bytes, int kept, struct sl_error *err);
/* The same for a supervisor, who may call it at any time: it looks once in LIMIT_LOG_LOOK_MS. */
void logs_watch(const char *dir);

#endif
