/* The passphrase or PIN of a root key: never an argument, never in the environment. */
#ifndef SL_CLI_WORD_H
#define SL_CLI_WORD_H

#include "cli/instance.h"
#include "server/keys/root.h"

/* From `file` (its first line; "-" is standard input), or from the terminal without echo when file
 * is NULL, twice for a new one. SL_E_VALIDATION when there is neither. */
struct sl_rc word_read(const char *file, enum root_kind kind, bool is_new, struct secret *ret,
                       struct sl_error *err);
/* What the instance's root is, or will be at the first start. */
struct sl_rc word_root_kind(const struct instance *in, enum root_kind *ret, struct sl_error *err);

#endif
