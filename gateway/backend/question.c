/* See question.h. */
#include "gateway/backend/question.h"

#include "gateway/wire/message.h"
#include "lib/base/limits.h"

/* One message, its payload into `ret`. */
static struct sl_rc read_message(struct net_conn *c, int64_t deadline, uint8_t *ret_type,
                                 struct buf *ret) {
    uint8_t head[5];
    TRY(net_read_exact(c, head, sizeof head, deadline));
    struct rdr r = rdr_of(slice_of(head + 1, 4));
    uint32_t len = rdr_u32(&r);
    if (len < 4 || len - 4 > LIMIT_PG_HELD_BYTES) {
        return sl_rc_of(SL_E_SQL_PROTOCOL);
    }
    buf_reset(ret);
    if (len > 4) {
        uint8_t *p = buf_reserve(ret, len - 4);
        if (p == NULL) {
            return sl_rc_of(SL_E_NOMEM);
        }
        TRY(net_read_exact(c, p, len - 4, deadline));
        ret->len = len - 4;
    }
    *ret_type = head[0];
    return SL_OK;
}

struct sl_rc question_begin(struct net_conn *c, int64_t deadline, struct sl_error *err) {
    SL_CLEANUP(buf_fini) struct buf b = {.max = LIMIT_PG_HELD_BYTES, .wipe = true};
    for (;;) {
        uint8_t type;
        TRY(read_message(c, deadline, &type, &b));
        if (type == 'Z') {
            return SL_OK;
        }
        if (type == 'E') {
            struct slice text = message_error_field(buf_slice(&b), 'M');
            return sl_fail(err, SL_E_SQL_NOT_READY, "%.*s", SLICE_FMT(text));
        }
        ENSURE(type != 'R' || (b.len == 4 && memcmp(b.ptr, "\0\0\0", 4) == 0), err,
               SL_E_SQL_NOT_READY, "PostgreSQL asks for a password.");
    }
}

static struct sl_rc give_row(struct slice payload, question_row_fn row, void *ctx,
                             struct sl_error *err) {
    struct slice fields[QUESTION_COLUMNS_MAX];
    struct rdr r = rdr_of(payload);
    uint16_t count = rdr_u16(&r);
    ENSURE(count <= QUESTION_COLUMNS_MAX, err, SL_E_SQL_PROTOCOL, "a row of %u columns", count);
    for (uint16_t i = 0; i < count; i++) {
        uint32_t len = rdr_u32(&r);
        fields[i] = len == UINT32_MAX ? SLICE_EMPTY : rdr_bytes(&r, len);
    }
    TRY(rdr_end(&r, err, "row"));
    return row(ctx, fields, count, err);
}

/* Sends `b`, and takes what comes until the session is ready again. */
static struct sl_rc exchange(struct net_conn *c, struct buf *b, int64_t deadline,
                             enum sl_code refused, question_row_fn row, question_notice_fn notice,
                             void *ctx, struct sl_error *err) {
    TRY(buf_check(b, err));
    TRY(net_write(c, buf_slice(b), deadline));
    struct sl_rc rc = SL_OK;
    for (;;) {
        uint8_t type;
        TRY(read_message(c, deadline, &type, b));
        if (type == 'Z') {
            return rc;
        }
        if (type == 'E') {
            struct slice text = message_error_field(buf_slice(b), 'M');
            rc = sl_fail(err, refused, "%.*s", SLICE_FMT(text));
        } else if (type == 'D' && row != NULL && sl_is_ok(rc)) {
            rc = give_row(buf_slice(b), row, ctx, err);
        } else if (type == 'N' && notice != NULL) {
            notice(ctx, message_error_field(buf_slice(b), 'M'));
        }
    }
}

struct sl_rc question_ask(struct net_conn *c, struct slice statement, int64_t deadline,
                          enum sl_code refused, question_row_fn row, void *ctx,
                          struct sl_error *err) {
    return question_ask_long(c, statement, deadline, refused, row, NULL, ctx, err);
}

struct sl_rc question_ask_long(struct net_conn *c, struct slice statement, int64_t deadline,
                               enum sl_code refused, question_row_fn row, question_notice_fn notice,
                               void *ctx, struct sl_error *err) {
    SL_CLEANUP(buf_fini) struct buf b = {.max = LIMIT_PG_HELD_BYTES, .wipe = true};
    message_head(&b, 'Q', (uint32_t)statement.len + 1);
    buf_put(&b, statement);
    buf_u8(&b, 0);
    return exchange(c, &b, deadline, refused, row, notice, ctx, err);
}

struct sl_rc question_ask_of(struct net_conn *c, struct slice statement, struct slice parameter,
                             int64_t deadline, enum sl_code refused, question_row_fn row, void *ctx,
                             struct sl_error *err) {
    enum { OID_TEXT = 25 };
    SL_CLEANUP(buf_fini) struct buf b = {.max = LIMIT_PG_HELD_BYTES, .wipe = true};
    message_head(&b, 'P', (uint32_t)(1 + statement.len + 1 + 2 + 4));
    buf_u8(&b, 0);
    buf_put(&b, statement);
    buf_u8(&b, 0);
    buf_u16(&b, 1);
    buf_u32(&b, OID_TEXT);
    message_head(&b, 'B', (uint32_t)(1 + 1 + 2 + 2 + 4 + parameter.len + 2));
    buf_u16(&b, 0); /* names of portal and statement */
    buf_u16(&b, 0);
    buf_u16(&b, 1);
    buf_vec32(&b, parameter);
    buf_u16(&b, 0);
    message_put(&b, 'E', SLICE_LIT("\0\0\0\0\0"));
    message_put(&b, 'S', SLICE_EMPTY);
    return exchange(c, &b, deadline, refused, row, NULL, ctx, err);
}
