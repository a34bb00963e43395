/* Startup packets; see startup.h. Names longer than PostgreSQL's 63 bytes are cut as PostgreSQL
 * cuts them, so that the name checked here is the name used there. */
#include "gateway/wire/startup.h"

#include "lib/base/rdr.h"

enum {
    CODE_CANCEL = 80877102,
    CODE_TLS = 80877103,
    CODE_GSS = 80877104,
    NAME_BYTES = 63,
};

static const char *const driver_names[] = {
    "client_protocol_version",
    "driver_version",
    "os_version",
    "driver_discovery_version",
    "plugin_name",
    "idp_type",
    "provider_name",
    "token_type",
    "identity_namespace",
    "idc_client_display_name",
    "_pq_.compression",
};

static bool is_driver_name(struct slice name) {
    for (size_t i = 0; i < sizeof driver_names / sizeof driver_names[0]; i++) {
        if (slice_eq_cstr(name, driver_names[i])) {
            return true;
        }
    }
    return false;
}

/* A C string; its NUL is consumed, not counted. */
static struct slice take_string(struct rdr *r) {
    size_t n = slice_find(r->rest, 0);
    if (n == r->rest.len) {
        r->bad = true;
        return SLICE_EMPTY;
    }
    struct slice s = rdr_bytes(r, n);
    (void)rdr_bytes(r, 1);
    return s;
}

static bool is_off(struct slice v) {
    return slice_ieq(v, SLICE_LIT("false")) || slice_ieq(v, SLICE_LIT("off")) ||
           slice_ieq(v, SLICE_LIT("no")) || slice_eq_cstr(v, "0");
}

static struct sl_rc add_param(struct startup *s, struct startup_param p, struct sl_error *err) {
    if (slice_eq_cstr(p.name, "user")) {
        s->user = slice_sub(p.value, 0, NAME_BYTES);
    } else if (slice_eq_cstr(p.name, "database")) {
        s->database = slice_sub(p.value, 0, NAME_BYTES);
    } else if (slice_eq_cstr(p.name, "replication")) {
        s->replication = !is_off(p.value);
        s->replication_of_database = slice_eq_cstr(p.value, "database");
    } else if (is_driver_name(p.name)) {
        s->driver[s->driver_count++] = p;
    } else if (slice_starts(p.name, SLICE_LIT("_pq_."))) {
        s->unknown[s->unknown_count++] = p.name;
    } else {
        /* The gateway's own words to the backend stand under this name. */
        ENSURE(p.name.len < 8 || !slice_ieq(slice_sub(p.name, 0, 8), SLICE_LIT("sealift.")), err,
               SL_E_SQL_LOGIN, "parameter \"%.*s\" cannot be set by a client", SLICE_FMT(p.name));
        s->params[s->param_count++] = p;
    }
    return SL_OK;
}

static struct sl_rc parse_session(struct rdr *r, struct sl_error *err, struct startup *s) {
    for (size_t i = 0;; i++) {
        struct startup_param p;
        p.name = take_string(r);
        if (!r->bad && p.name.len == 0) {
            break;
        }
        p.value = take_string(r);
        ENSURE(!r->bad, err, SL_E_SQL_PROTOCOL,
               "invalid startup packet layout: expected terminator as last byte");
        ENSURE(i < LIMIT_PG_PARAMETERS, err, SL_E_SQL_PROTOCOL,
               "more than %d parameters in the startup packet", LIMIT_PG_PARAMETERS);
        TRY(add_param(s, p, err));
    }
    ENSURE(r->rest.len == 0, err, SL_E_SQL_PROTOCOL,
           "invalid startup packet layout: expected terminator as last byte");
    ENSURE(s->user.len > 0, err, SL_E_SQL_LOGIN,
           "no PostgreSQL user name specified in startup packet");
    ENSURE(!s->replication ||
               (slice_eq_cstr(s->user, STARTUP_STANDBY_ROLE) && !s->replication_of_database),
           err, SL_E_UNSUPPORTED, "replication connections are not supported");
    if (s->database.len == 0) {
        s->database = s->user;
    }
    return SL_OK;
}

struct sl_rc startup_parse(struct slice body, struct sl_error *err, struct startup *ret) {
    struct rdr r = rdr_of(body);
    uint32_t code = rdr_u32(&r);
    ENSURE(!r.bad, err, SL_E_SQL_PROTOCOL, "invalid length of startup packet");
    *ret = (struct startup){0};
    if (code == CODE_CANCEL) {
        ret->kind = STARTUP_CANCEL;
        ret->cancel_pid = rdr_u32(&r);
        ret->cancel_key = rdr_u32(&r);
    } else if (code == CODE_TLS) {
        ret->kind = STARTUP_TLS;
    } else if (code == CODE_GSS) {
        ret->kind = STARTUP_GSS;
    } else {
        ENSURE(code >> 16 == 3, err, SL_E_UNSUPPORTED,
               "unsupported frontend protocol %u.%u: server supports 3.0 to 3.0", code >> 16,
               code & 0xffff);
        ret->kind = STARTUP_SESSION;
        ret->minor = (uint16_t)code;
        return parse_session(&r, err, ret);
    }
    ENSURE(!r.bad && r.rest.len == 0, err, SL_E_SQL_PROTOCOL, "invalid length of startup packet");
    return SL_OK;
}
