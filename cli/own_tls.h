/* The administrator's own certificate and key: files read by the supervisor, at the start and at
 * each SIGHUP or `sealift tls renew`, checked, and given to kms, which keeps them sealed. */
#ifndef SL_CLI_OWN_TLS_H
#define SL_CLI_OWN_TLS_H

#include "cli/instance.h"

/* Reads and checks the files, which must be set. Warns on stderr about names of --host that the
 * certificate does not cover. SL_E_VALIDATION says what is wrong. */
struct sl_rc own_tls_check(const struct instance *in, struct sl_error *err);
/* Gives them to kms over a connection on the supervisor's edge; without files, tells it that there
 * is none. */
struct sl_rc own_tls_give(const struct instance *in, int kms, struct sl_error *err);

#endif
