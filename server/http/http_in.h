/* The inside of a request, shared by serve.c, body.c, reply.c and forward.c. */
#ifndef SL_HTTP_IN_H
#define SL_HTTP_IN_H

#include "server/http/head.h"

enum { HTTP_STATE_MAGIC = 0x68747073, HTTP_OUT_BYTES = 64 * 1024 };

enum body_phase { BODY_DONE, BODY_LENGTH, BODY_CHUNKED, BODY_FAILED };
enum out_phase { OUT_NONE, OUT_BODY, OUT_DONE, OUT_CUT };

struct http_field {
    struct http_field *next;
    const char *name;
    struct slice value;
};

struct http_state {
    uint32_t magic;
    struct net_conn *conn; /* NULL: a call, whose answer goes into `sink` and whose body is here */
    struct buf *sink;
    struct slice whole;
    int stall_ms;
    int64_t started_ms;
    bool client_close; /* no further request after this one */
    bool is_head;
    bool expect; /* the client waits for 100 Continue */

    enum body_phase body;
    uint64_t body_left; /* BODY_LENGTH */
    uint64_t body_bytes;
    int64_t body_wait_ms;
    struct chunks chunks;

    int status;
    struct http_field *fields;
    enum out_phase phase;
    bool keep; /* decided when the head is made */
    uint8_t *out;
    size_t out_len;
    uint64_t out_left;  /* body bytes still owed */
    uint64_t out_bytes; /* sent */
    int64_t out_wait_ms;
};

struct http_state *http_state_of(const struct http *h);
/* Body bytes at hand, without waiting. *ret_len = 0 with *ret_want = 0: the end. */
struct sl_rc http_body_try(struct http *h, void *out, size_t cap, size_t *ret_len, short *ret_want);
/* Reads the rest of the body away while it is short and quick; true when its end was reached. */
bool http_body_drain(struct http *h, bool wait);
/* Sends now, all of it; on failure the response is cut. */
struct sl_rc http_send(struct http *h, struct slice s);
/* Answers this layer's own refusal: no body, then close. */
void http_refuse(struct http *h, int status);
/* False for a peer that keeps a worker by moving next to nothing. */
bool http_rate_ok(const struct http_state *st, int64_t wait_ms, uint64_t bytes);

#endif
