/* Keeps a process's TLS certificate fresh: asks kms for the instance's now and then, and at a
 * SIGHUP, and puts a new one into service. kms renews it ahead of its end. */
#ifndef SL_MAIN_TLS_RENEW_H
#define SL_MAIN_TLS_RENEW_H

#include "lib/ipc/seam.h"
#include "server/net/net.h"

struct tls_renewer {
    struct net_tls *tls;
    const char *kms_socket;
    struct seam_hello hello; /* the process's own edge */
};

/* Puts `first`, which kms has just given, into service and starts the thread; copies what it is
 * given, but for `tls` and the path, which must outlive the process. Takes SIGHUP. At most once a
 * process. */
struct sl_rc tls_renew_start(const struct tls_renewer *what, const struct seam_tls *first,
                             struct sl_error *err);

#endif
