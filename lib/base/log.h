/* The ops log: one line an event to stderr, `time level event key=value…`. Values taken from users
 * are quoted and cut. Programs log; library code does not log above debug. Secrets can't be passed
 * here: they have no text form. */
#ifndef SL_BASE_LOG_H
#define SL_BASE_LOG_H

#include "lib/base/rc.h"
#include "lib/base/slice.h"

enum sl_level { SL_DEBUG, SL_INFO, SL_WARN, SL_ERROR };

/* `who` names the process in each line ("kms"); a static string. */
void sl_log_init(const char *who, enum sl_level least);
/* fmt gives the rest of the line: `key=value` pairs. Use SL_Q for values from outside. */
void sl_log(enum sl_level level, const char *event, const char *fmt, ...) SL_PRINTF(3, 4);
/* Is such a line written at all? Saves making its values where every request comes by. */
bool sl_log_wants(enum sl_level level);
/* Quotes and cuts `s` (at most 200 bytes, control bytes as \xNN) into `out`, returns out. */
const char *sl_quote(struct slice s, char *out, size_t out_size);
#define SL_Q(s) sl_quote((s), (char[840]){0}, 840)

#endif
