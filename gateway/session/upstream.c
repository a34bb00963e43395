/* Client to PostgreSQL: Query and Parse are held, rewritten and sent on; every message of the
 * client becomes exactly one for PostgreSQL, so that its state machine (skipping until Sync, copy
 * mode) stays the only one. All else streams through. */
#include "gateway/session/proxy_in.h"

#include "lib/base/rdr.h"

static void refuse(struct proxy *p, struct sl_rc rc, const struct sl_error *err, size_t position,
                   struct slice name, bool parse) {
    SL_CLEANUP(buf_fini) struct buf word = BUF_INIT(128);
    struct buf *out = &p->up.out;
    if (sl_failed(refusal_put(&p->refusals, rc, err, position, &word))) {
        out->failed = true;
        return;
    }
    message_head(out, parse ? 'P' : 'Q', (uint32_t)(name.len + word.len + 1 + (parse ? 2 : 0)));
    buf_put(out, name);
    buf_put(out, buf_slice(&word));
    buf_u8(out, 0);
    if (parse) {
        buf_u16(out, 0);
    }
}

/* name (with its NUL, Parse only), text, and what follows. */
struct parts {
    struct slice name;
    struct slice text;
    struct slice tail;
};

static bool split(struct slice payload, bool parse, struct parts *ret) {
    *ret = (struct parts){0};
    if (parse) {
        size_t n = slice_find(payload, 0);
        if (n == payload.len) {
            return false;
        }
        ret->name = slice_sub(payload, 0, n + 1);
        payload = slice_sub(payload, n + 1, payload.len);
    }
    size_t n = slice_find(payload, 0);
    if (n == payload.len) {
        return false;
    }
    ret->text = slice_sub(payload, 0, n);
    ret->tail = slice_sub(payload, n + 1, payload.len);
    if (!parse) {
        return ret->tail.len == 0;
    }
    struct rdr r = rdr_of(ret->tail);
    uint16_t types = rdr_u16(&r);
    return !r.bad && r.rest.len == (size_t)types * 4;
}

static void statement(struct proxy *p) {
    bool parse = p->up.type == 'P';
    struct buf *out = &p->up.out;
    struct parts m;
    if (!split(buf_slice(&p->up.held), parse, &m)) {
        struct sl_error err = {0};
        struct sl_rc rc = sl_fail(&err, SL_E_SQL_PROTOCOL, "invalid message format");
        refuse(p, rc, &err, 0, parse ? SLICE_LIT("\0") : SLICE_EMPTY, parse);
        return;
    }
    SL_CLEANUP(buf_fini) struct buf text = BUF_INIT(2 * LIMIT_SQL_STATEMENT_BYTES);
    struct dialect_error *e = calloc(1, sizeof *e);
    bool changed = false;
    if (e == NULL) {
        out->failed = true;
        return;
    }
    p->up.map.count = 0;
    p->up.texts++;
    struct sl_rc rc = rewrite_text(p->rewrite, m.text, &text, &p->up.map, &changed, e);
    if (sl_failed(rc)) {
        /* Classes 42 (syntax, names) and 0A (not supported) are about a place in the text. */
        const char *state = sl_code_info(rc.code)->sqlstate;
        bool placed = strncmp(state, "42", 2) == 0 || strncmp(state, "0A", 2) == 0;
        refuse(p, rc, &e->err, placed ? message_position(m.text, e->position) : 0, m.name, parse);
    } else {
        struct slice sql = changed ? buf_slice(&text) : m.text;
        message_head(out, p->up.type, (uint32_t)(m.name.len + sql.len + 1 + m.tail.len));
        buf_put(out, m.name);
        buf_put(out, sql);
        buf_u8(out, 0);
        buf_put(out, m.tail);
    }
    free(e);
}

/* The message that was skipped is answered as a statement would be. */
static void skipped(struct proxy *p) {
    struct sl_error err = {0};
    struct sl_rc rc;
    bool parse = p->up.type == 'P';
    if (p->up.type == 'F') {
        rc = sl_fail(&err, SL_E_UNSUPPORTED, "function calls by message are not supported");
    } else {
        rc = sl_fail(&err, SL_E_LIMIT, "statement is too large: the limit is %d bytes",
                     LIMIT_SQL_STATEMENT_BYTES);
    }
    refuse(p, rc, &err, 0, parse ? SLICE_LIT("\0") : SLICE_EMPTY, parse);
}

static struct sl_rc begin(struct proxy *p, const struct message_event *ev, struct sl_error *err) {
    p->up.type = ev->type;
    if (p->conf->replication && ev->type == 'Q') {
        p->up.mode = PROXY_PASS;
        message_head(&p->up.out, ev->type, ev->len);
        return SL_OK;
    }
    switch (ev->type) {
    case 'Q':
    case 'P':
        p->up.mode = ev->len > LIMIT_SQL_STATEMENT_BYTES ? PROXY_SKIP : PROXY_HOLD;
        buf_reset(&p->up.held);
        return SL_OK;
    case 'F':
        p->up.mode = PROXY_SKIP;
        return SL_OK;
    case 'X':
        p->up.terminated = true;
        break;
    case 'B':
    case 'C':
    case 'D':
    case 'E':
    case 'H':
    case 'S':
    case 'c':
    case 'd':
    case 'f':
        break;
    default:
        return sl_fail(err, SL_E_SQL_PROTOCOL, "invalid frontend message type %d", ev->type);
    }
    p->up.mode = PROXY_PASS;
    message_head(&p->up.out, ev->type, ev->len);
    return SL_OK;
}

static void end(struct proxy *p) {
    if (p->up.mode == PROXY_HOLD) {
        statement(p);
        buf_fini(&p->up.held); /* wiped: it may have held a secret */
    } else if (p->up.mode == PROXY_SKIP) {
        skipped(p);
    }
}

struct sl_rc upstream_feed(struct proxy *p, struct slice in, struct sl_error *err) {
    for (;;) {
        struct message_event ev = {0};
        enum message_step step = message_next(&p->up.scan, &in, &ev);
        if (step == MESSAGE_MORE) {
            break;
        }
        ENSURE(step != MESSAGE_BAD, err, SL_E_SQL_PROTOCOL, "invalid message length");
        if (step == MESSAGE_HEAD) {
            TRY(begin(p, &ev, err));
        } else if (p->up.mode == PROXY_PASS) {
            buf_put(&p->up.out, ev.piece);
        } else if (p->up.mode == PROXY_HOLD) {
            buf_put(&p->up.held, ev.piece);
            ENSURE(!p->up.held.failed, err, SL_E_NOMEM, "out of memory");
        }
        if (ev.last) {
            end(p);
        }
    }
    return buf_check(&p->up.out, err);
}
