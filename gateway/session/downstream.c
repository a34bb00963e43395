/* PostgreSQL to client: parameters, keys, tags and errors are looked at, rows stream through. */
#include "gateway/session/proxy_in.h"

#include <inttypes.h>

#include "lib/base/rdr.h"

/* Encodings that only clients may have and in which a byte of ASCII need not be a character: no
 * statement in them can be parsed as what it is. (Redshift knows UTF8 alone.) */
static const char *const unsafe_encodings[] = {"SJIS",    "BIG5",  "GBK",           "UHC",
                                               "GB18030", "JOHAB", "SHIFT_JIS_2004"};

static struct sl_rc check_encoding(struct slice value, struct sl_error *err) {
    for (size_t i = 0; i < sizeof unsafe_encodings / sizeof unsafe_encodings[0]; i++) {
        ENSURE(!slice_eq_cstr(value, unsafe_encodings[i]), err, SL_E_UNSUPPORTED,
               "client_encoding \"%s\" is not supported", unsafe_encodings[i]);
    }
    return SL_OK;
}

/* Redshift's drivers want digits and dots, and decide by 8.0.2 what the server can do. psql and the
 * drivers of PostgreSQL get its true number, without the packager's suffix: psql's \d chooses its
 * catalog queries by it. */
static struct slice server_version(const struct proxy *p, struct slice value) {
    if (p->conf->redshift_said) {
        return SLICE_LIT("8.0.2");
    }
    return slice_sub(value, 0, slice_find(value, ' '));
}

static struct sl_rc parameter(struct proxy *p, struct slice payload, struct sl_error *err) {
    size_t n = slice_find(payload, 0);
    struct slice name = slice_sub(payload, 0, n);
    struct slice value = slice_sub(payload, n + 1, payload.len);
    value = slice_sub(value, 0, slice_find(value, 0));
    if (slice_eq_cstr(name, "client_encoding")) {
        TRY(check_encoding(value, err));
    }
    /* lib/dialect reads a backslash in '…' as itself; where PostgreSQL would not, a secret could
     * hide from it. */
    ENSURE(!slice_eq_cstr(name, "standard_conforming_strings") || slice_eq_cstr(value, "on"), err,
           SL_E_UNSUPPORTED, "standard_conforming_strings \"off\" is not supported");
    if (!slice_eq_cstr(name, "server_version")) {
        message_put(&p->down.out, 'S', payload);
        return SL_OK;
    }
    value = server_version(p, value);
    message_head(&p->down.out, 'S', (uint32_t)(name.len + value.len + 2));
    buf_put(&p->down.out, name);
    buf_u8(&p->down.out, 0);
    buf_put(&p->down.out, value);
    buf_u8(&p->down.out, 0);
    return SL_OK;
}

static struct sl_rc key_data(struct proxy *p, struct slice payload, struct sl_error *err) {
    struct rdr r = rdr_of(payload);
    uint32_t pid = rdr_u32(&r);
    uint32_t key = rdr_u32(&r);
    TRY(rdr_end(&r, err, "BackendKeyData"));
    ENSURE(!p->cancel_known, err, SL_E_SQL_PROTOCOL, "BackendKeyData came twice");
    TRY(cancel_add(p->conf->cancels, pid, key, &p->cancel_key));
    p->cancel_pid = pid;
    p->cancel_known = true;
    message_head(&p->down.out, 'K', 8);
    buf_u32(&p->down.out, pid);
    buf_u32(&p->down.out, p->cancel_key);
    return SL_OK;
}

/* An error of a rewritten text: its position is told in the client's own text. */
static void put_error(struct proxy *p, struct slice payload) {
    struct slice said = message_error_field(payload, 'P');
    uint64_t position;
    if (p->up.texts != 1 || p->up.map.count == 0 || !slice_u64(said, SIZE_MAX - 1, &position)) {
        message_put(&p->down.out, 'E', payload);
        return;
    }
    position = rewrite_position(&p->up.map, position);
    SL_CLEANUP(buf_fini) struct buf b = BUF_INIT(LIMIT_PG_HELD_BYTES + 32);
    const uint8_t *p_field = said.ptr - 1;
    size_t before = (size_t)(p_field - payload.ptr);
    buf_put(&b, slice_sub(payload, 0, before));
    if (position > 0) {
        buf_printf(&b, "P%" PRIu64, position);
        buf_u8(&b, 0);
    }
    buf_put(&b, slice_sub(payload, before + 1 + said.len + 1, payload.len));
    message_put(&p->down.out, 'E', buf_slice(&b));
    p->down.out.failed = p->down.out.failed || b.failed;
}

static void error_response(struct proxy *p, struct slice payload) {
    struct slice severity = message_error_field(payload, 'V');
    if (slice_eq_cstr(severity, "FATAL") || slice_eq_cstr(severity, "PANIC")) {
        p->down.fatal = true;
    }
    struct refusal *f = refusal_take(&p->refusals, message_error_field(payload, 'M'));
    if (f == NULL) {
        put_error(p, payload);
        return;
    }
    const struct message_error e = {
        .sqlstate = f->sqlstate, .message = f->message, .hint = f->hint, .position = f->position};
    message_error_put(&p->down.out, &e);
    free(f);
}

static struct sl_rc held_message(struct proxy *p, struct sl_error *err) {
    struct slice payload = buf_slice(&p->down.held);
    switch (p->down.type) {
    case 'C':
        /* Redshift's tag of COPY has no count. */
        if (slice_starts(payload, SLICE_LIT("COPY "))) {
            payload = SLICE_LIT("COPY\0");
        }
        message_put(&p->down.out, 'C', payload);
        return SL_OK;
    case 'E':
        error_response(p, payload);
        return SL_OK;
    case 'K':
        return key_data(p, payload, err);
    case 'S':
        return parameter(p, payload, err);
    case 'R':
        ENSURE(payload.len == 4 && memcmp(payload.ptr, "\0\0\0", 4) == 0, err, SL_E_INTERNAL,
               "PostgreSQL asks for an authentication that it should leave to the gateway");
        message_put(&p->down.out, 'R', payload);
        return SL_OK;
    default: /* 'Z' */
        p->down.ready = true;
        p->up.texts = 0;
        message_put(&p->down.out, 'Z', payload);
        return SL_OK;
    }
}

static void begin(struct proxy *p, const struct message_event *ev) {
    p->down.type = ev->type;
    p->down.mode =
        strchr("CEKSRZ", ev->type) != NULL && ev->type != 0 && ev->len <= LIMIT_PG_HELD_BYTES
            ? PROXY_HOLD
            : PROXY_PASS;
    if (p->down.mode == PROXY_HOLD) {
        buf_reset(&p->down.held);
    } else {
        message_head(&p->down.out, ev->type, ev->len);
    }
}

struct sl_rc downstream_feed(struct proxy *p, struct slice in, struct sl_error *err) {
    for (;;) {
        struct message_event ev = {0};
        enum message_step step = message_next(&p->down.scan, &in, &ev);
        if (step == MESSAGE_MORE) {
            break;
        }
        ENSURE(step != MESSAGE_BAD, err, SL_E_SQL_PROTOCOL,
               "PostgreSQL sent a message of no length");
        if (step == MESSAGE_HEAD) {
            begin(p, &ev);
        } else if (p->down.mode == PROXY_PASS) {
            buf_put(&p->down.out, ev.piece);
        } else {
            buf_put(&p->down.held, ev.piece);
        }
        if (ev.last && p->down.mode == PROXY_HOLD) {
            TRY(buf_check(&p->down.held, err));
            TRY(held_message(p, err));
        }
    }
    return buf_check(&p->down.out, err);
}

bool downstream_between(const struct proxy *p) {
    return p->down.scan.head_len == 0;
}
