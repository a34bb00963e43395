/* HTTP/1.1 over a net_conn: strict parsing with llhttp, streaming bodies both ways, Expect:
 * 100-continue answered at the first read of the body (so only after authentication), keep-alive,
 * limits and deadlines of limits.h. Refused: Content-Length with chunked, repeated Content-Length,
 * bare LF, folded headers, unknown codings, upgrades, absolute-form targets. Answers of this layer
 * have no body. */
#ifndef SL_HTTP_H
#define SL_HTTP_H

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "server/net/net.h"

struct http_header {
    struct slice name;  /* lower case */
    struct slice value; /* trimmed */
};

/* One request and its response. All slices live in `arena` until the handler returns. */
struct http {
    struct arena *arena; /* of the request; LIMIT_REQUEST_ARENA_BYTES */
    struct sl_error err; /* the request's error detail */
    struct slice method;
    struct slice path;  /* raw, still encoded */
    struct slice query; /* raw, without '?' */
    const struct http_header *headers;
    size_t header_count;
    bool has_length;
    uint64_t length; /* Content-Length */
    bool chunked;
    char request_id[37]; /* fresh UUID */
    const struct net_peer *peer;
    struct slice head_raw;    /* request line and headers as received, with the final empty line */
    struct http_state *state; /* private */
};

typedef void (*http_handle_fn)(struct http *h, void *user);

/* Where an answer carries the sealed explanation of a denial (docs/denials.md): as a header, and in
 * XML as an element of the error. */
#define DENIAL_HEADER "x-sealift-authorization-message"
#define DENIAL_ELEMENT "EncodedAuthorizationMessage"

/* The net_serve_fn for HTTP: pass a struct http_service as net_conf.user. Uses net_set_state of its
 * connections. */
struct http_service {
    http_handle_fn handle;
    void *user;
    int head_ms;  /* 0 = LIMIT_HTTP_HEAD_MS */
    int stall_ms; /* 0 = LIMIT_HTTP_STALL_MS */
    /* For http_quick: takes a request that came whole, to answer it later with http_answer; false:
     * handle has to. The request and its body last for the call alone, and it can't be answered
     * here. `close`: the client wants the connection to end with the answer. */
    bool (*take)(struct net_conn *c, const struct http *h, struct slice body, bool close,
                 void *user);
};
enum net_verdict http_serve(struct net_conn *c, void *service);
/* The net_quick_fn beside it: small POST requests to "/" that are all there are offered to
 * service->take. */
enum net_quick http_quick(struct net_conn *c, void *service);
/* The answer to a taken request, whole, or (empty) a refusal with `status` that ends the
 * connection. By the watching thread. */
void http_answer(struct net_conn *c, struct slice answer, bool close, int status);

/* A request without a connection, empty yet: its answer, head and all, is put into `out`. In the
 * arena; NULL: no memory. */
struct http *http_call_new(struct arena *a, struct buf *out);

/* Calls: requests, and their answers, as messages between two processes; many on one connection,
 * answered in any order. A message is a frame (lib/ipc/frame.h) of type 'C' (call) or 'A' (answer):
 *
 *   call   = u64 id | u8 close | peer | vec16 method, path, query |
 *            u16 n | n x vec16 name, value | body
 *
 *   peer   = u8 tls | u8 minor | u16 port | vec16 ip | vec16 cipher
 *
 *   answer = u64 id | head and body as they go to the client
 */
enum { CALL_REQUEST = 'C', CALL_ANSWER = 'A' };
enum {
    LIMIT_CALL_BYTES = 48 * 1024,          /* a frame: it has to fit NET_AHEAD_BYTES */
    LIMIT_CALL_ANSWER_BYTES = 1152 * 1024, /* a frame with the largest answer and its head */
};
/* Appends the frame; SL_E_LIMIT (and nothing appended) when it would be too long. */
struct sl_rc http_call_put(struct buf *out, uint64_t id, const struct http *h, struct slice body,
                           bool close);
/* Fills a request from http_call_new with the payload of a frame, into which it points. */
struct sl_rc http_call_get(struct slice payload, struct http *h, uint64_t *ret_id);
/* A frame at the front of `in`: its length, 0 when it isn't whole. SL_E_PARSE, SL_E_LIMIT (longer
 * than max). */
struct sl_rc http_call_frame(struct slice in, size_t max, uint8_t *ret_type,
                             struct slice *ret_payload, size_t *ret_len);

/* First header by lower-case name; empty slice with ptr NULL when absent. */
struct slice http_header(const struct http *h, const char *name);
/* Body bytes as they come (HTTP chunking undone, aws-chunked not): *ret_len = 0 at the end. Fails
 * with SL_E_TIMEOUT, SL_E_CLOSED (cut short) or SL_E_PARSE (chunking); then an answer may still be
 * sent, and the connection closes. */
struct sl_rc http_body_read(struct http *h, void *out, size_t cap, size_t *ret_len);
/* The whole body in the arena; SL_E_LIMIT above `max`. */
struct sl_rc http_body_all(struct http *h, size_t max, struct slice *ret);
/* The body's end was read (trailers too, which are checked and dropped), or there is none. */
bool http_body_done(const struct http *h);

/* Response: status and headers first, then one of the three ends. Date, Server (unless set) and
 * Connection are added here; Content-Length and the framing are never the handler's. What is left
 * of the request's body is drained when it is short, else the connection closes after the answer.
 */
void http_status(struct http *h, int status);
void http_set(struct http *h, const char *name, struct slice value); /* replaces one of that name;
                                                         control bytes in the value become ' ' */
void http_set_cstr(struct http *h, const char *name, const char *value);
void http_set_printf(struct http *h, const char *name, const char *fmt, ...) SL_PRINTF(3, 4);
/* (1) Whole body at once; sets Content-Length. For HEAD pass the body, only its length is sent. */
struct sl_rc http_reply(struct http *h, struct slice body);
/* (2) A body of known length, in pieces. After a write fails, or on http_abort, the connection is
 * cut. */
struct sl_rc http_reply_begin(struct http *h, uint64_t length);
struct sl_rc http_reply_write(struct http *h, struct slice piece);
/* (3) Cut the connection so that the client can't take the body for complete. */
void http_abort(struct http *h);
/* A head only (304, 204, HEAD of a known length: set content-length by http_set; other answers get
 * length 0). */
struct sl_rc http_reply_head(struct http *h);
bool http_replied(const struct http *h); /* a status line is out */

/* Passes this request, unopened, to `upstream` (a connected descriptor, which stays the caller's):
 * head_raw, then the body as raw bytes (chunked ones framed anew, without trailers), and the answer
 * back, streaming, both at once. "100 Continue" passes only to a client that asked. When upstream
 * fails before its answer's head is whole the client gets 502 (504 when it took too long, 408 or
 * 400 when the client failed), later it is cut. Always answers; a failure is for the log.
 * *ret_reusable tells whether upstream can serve another request. */
struct sl_rc http_forward(struct http *h, int upstream_fd, bool *ret_reusable);

#endif
