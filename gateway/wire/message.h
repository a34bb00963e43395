/* PostgreSQL protocol 3 messages: a scanner that cuts a byte stream into messages without holding
 * them, and builders for the few that the gateway says itself. */
#ifndef SL_GATEWAY_MESSAGE_H
#define SL_GATEWAY_MESSAGE_H

#include "lib/base/buf.h"

/* Position in a stream of messages. Zero-initialise. */
struct message_scan {
    uint8_t head[5];
    uint8_t head_len;
    uint32_t left; /* payload bytes still to come */
};
enum message_step {
    MESSAGE_MORE,  /* input used up */
    MESSAGE_HEAD,  /* a message begins: type and len; last when it has no payload */
    MESSAGE_PIECE, /* payload bytes; last when they end the message */
    MESSAGE_BAD,   /* a length that can't be */
};
struct message_event {
    uint8_t type;
    uint32_t len; /* of the payload */
    struct slice piece;
    bool last;
};
/* Takes one step, advancing *in. */
enum message_step message_next(struct message_scan *s, struct slice *in, struct message_event *ret);

/* type, length, payload. */
void message_put(struct buf *out, uint8_t type, struct slice payload);
void message_head(struct buf *out, uint8_t type, uint32_t payload_len);

/* What an ErrorResponse says. */
struct message_error {
    bool fatal;
    const char *sqlstate;
    const char *message;
    const char *detail; /* NULL or empty: left out */
    const char *hint;
    size_t position; /* in characters from 1; 0 = none */
};
void message_error_put(struct buf *out, const struct message_error *e);
/* From a failed result: SQLSTATE of its code, text and hint of err. */
struct message_error message_error_of(struct sl_rc rc, const struct sl_error *err, bool fatal);
/* A field of an ErrorResponse's payload, empty when absent. */
struct slice message_error_field(struct slice payload, char field);

/* Characters before byte `offset` of UTF-8 text, plus one. */
size_t message_position(struct slice text, size_t offset);

#endif
