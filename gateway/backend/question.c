/* See question.h. */
#include "gateway/backend/question.h"

#include "gateway/wire/message.h"
#include "lib/base/limits.h"

struct sl_rc question_read(struct net_conn *c, int64_t deadline, uint8_t *ret_type,
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
        TRY(question_read(c, deadline, &type, &b));
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

struct sl_rc question_ask(struct net_conn *c, struct slice statement, int64_t deadline,
                          enum sl_code refused, question_row_fn row, void *ctx,
                          struct sl_error *err) {
    return question_ask_long(c, statement, deadline, refused, row, NULL, ctx, err);
}

struct sl_rc question_ask_long(struct net_conn *c, struct slice statement, int64_t deadline,
                               enum sl_code refused, question_row_fn row, question_notice_fn notice,
                               void *ctx, struct sl_error *err) {
    SL_CLEANUP(buf_fini) struct buf b = BUF_INIT(LIMIT_PG_HELD_BYTES);
    message_head(&b, 'Q', (uint32_t)statement.len + 1);
    buf_put(&b, statement);
    buf_u8(&b, 0);
    TRY(buf_check(&b, err));
    TRY(net_write(c, buf_slice(&b), deadline));
    struct sl_rc rc = SL_OK;
    for (;;) {
        uint8_t type;
        TRY(question_read(c, deadline, &type, &b));
        if (type == 'Z') {
            return rc;
        }
        if (type == 'E') {
            struct slice text = message_error_field(buf_slice(&b), 'M');
            rc = sl_fail(err, refused, "%.*s", SLICE_FMT(text));
        } else if (type == 'D' && row != NULL && sl_is_ok(rc)) {
            rc = give_row(buf_slice(&b), row, ctx, err);
        } else if (type == 'N' && notice != NULL) {
            notice(ctx, message_error_field(buf_slice(&b), 'M'));
        }
    }
}
