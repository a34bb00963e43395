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
};
enum net_verdict http_serve(struct net_conn *c, void *service);

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
