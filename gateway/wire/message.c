/* Message framing; see message.h. */
#include "gateway/wire/message.h"

enum message_step message_next(struct message_scan *s, struct slice *in,
                               struct message_event *ret) {
    if (s->head_len == sizeof s->head && s->left > 0) {
        if (in->len == 0) {
            return MESSAGE_MORE;
        }
        size_t n = in->len < s->left ? in->len : s->left;
        s->left -= (uint32_t)n;
        ret->piece = slice_sub(*in, 0, n);
        ret->last = s->left == 0;
        *in = slice_sub(*in, n, in->len);
        if (ret->last) {
            s->head_len = 0;
        }
        return MESSAGE_PIECE;
    }
    while (s->head_len < sizeof s->head) {
        if (in->len == 0) {
            return MESSAGE_MORE;
        }
        s->head[s->head_len++] = in->ptr[0];
        *in = slice_sub(*in, 1, in->len);
    }
    uint32_t len = (uint32_t)s->head[1] << 24 | (uint32_t)s->head[2] << 16 |
                   (uint32_t)s->head[3] << 8 | s->head[4];
    if (len < 4 || len > INT32_MAX) {
        return MESSAGE_BAD;
    }
    s->left = len - 4;
    *ret = (struct message_event){.type = s->head[0], .len = s->left, .last = s->left == 0};
    if (ret->last) {
        s->head_len = 0;
    }
    return MESSAGE_HEAD;
}

void message_head(struct buf *out, uint8_t type, uint32_t payload_len) {
    buf_u8(out, type);
    buf_u32(out, payload_len + 4);
}

void message_put(struct buf *out, uint8_t type, struct slice payload) {
    message_head(out, type, (uint32_t)payload.len);
    buf_put(out, payload);
}

static void field(struct buf *b, char name, const char *value) {
    if (value != NULL && value[0] != '\0') {
        buf_u8(b, (uint8_t)name);
        buf_puts(b, value);
        buf_u8(b, 0);
    }
}

void message_error_put(struct buf *out, const struct message_error *e) {
    SL_CLEANUP(buf_fini) struct buf b = BUF_INIT(16 * 1024);
    field(&b, 'S', e->fatal ? "FATAL" : "ERROR");
    field(&b, 'V', e->fatal ? "FATAL" : "ERROR");
    field(&b, 'C', e->sqlstate);
    field(&b, 'M', e->message);
    field(&b, 'D', e->detail);
    field(&b, 'H', e->hint);
    if (e->position > 0) {
        buf_printf(&b, "P%zu", e->position);
        buf_u8(&b, 0);
    }
    buf_u8(&b, 0);
    if (b.failed) {
        out->failed = true;
        return;
    }
    message_put(out, 'E', buf_slice(&b));
}

struct message_error message_error_of(struct sl_rc rc, const struct sl_error *err, bool fatal) {
    return (struct message_error){
        .fatal = fatal,
        .sqlstate = sl_code_info(rc.code)->sqlstate,
        .message = sl_error_message(err, rc.code),
        .hint = err != NULL ? err->hint : NULL,
    };
}

struct slice message_error_field(struct slice payload, char name) {
    while (payload.len > 0 && payload.ptr[0] != 0) {
        uint8_t f = payload.ptr[0];
        payload = slice_sub(payload, 1, payload.len);
        size_t n = slice_find(payload, 0);
        if (f == (uint8_t)name) {
            return slice_sub(payload, 0, n);
        }
        payload = slice_sub(payload, n + 1, payload.len);
    }
    return SLICE_EMPTY;
}

size_t message_position(struct slice text, size_t offset) {
    size_t chars = 1;
    for (size_t i = 0; i < offset && i < text.len; i++) {
        chars += (text.ptr[i] & 0xc0) != 0x80;
    }
    return chars;
}
