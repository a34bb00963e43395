/* The first packets of a PostgreSQL connection: StartupMessage, SSLRequest, GSSENCRequest,
 * CancelRequest. */
#ifndef SL_GATEWAY_STARTUP_H
#define SL_GATEWAY_STARTUP_H

#include "lib/base/arena.h"
#include "lib/base/limits.h"
#include "lib/base/rc.h"

enum startup_kind { STARTUP_SESSION, STARTUP_TLS, STARTUP_GSS, STARTUP_CANCEL };

/* Whom a standby logs in as. */
#define STARTUP_STANDBY_ROLE "sealift_standby"

struct startup_param {
    struct slice name;
    struct slice value;
};

struct startup {
    enum startup_kind kind;
    uint16_t minor; /* asked-for minor version of protocol 3 */
    struct slice user;
    struct slice database; /* the user's name when the client gave none */
    bool replication;      /* physical, for STARTUP_STANDBY_ROLE alone */
    bool replication_of_database;
    /* To be passed on: everything else that PostgreSQL may know. */
    struct startup_param params[LIMIT_PG_PARAMETERS];
    size_t param_count;
    /* Taken out: what Redshift's drivers say about themselves. */
    struct startup_param driver[LIMIT_PG_PARAMETERS];
    size_t driver_count;
    /* _pq_.* options that nobody here knows, for NegotiateProtocolVersion. */
    struct slice unknown[LIMIT_PG_PARAMETERS];
    size_t unknown_count;
    uint32_t cancel_pid;
    uint32_t cancel_key;
};

/* `body`: the packet after its length word. Slices of *ret point into it. Detail of a refusal is
 * meant for the client. */
struct sl_rc startup_parse(struct slice body, struct sl_error *err, struct startup *ret);

#endif
