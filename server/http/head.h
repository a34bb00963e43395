/* Heads and chunked framing, parsed in memory: no socket here, so that a fuzzer can call it. The
 * grammar of heads is llhttp's, strict; what llhttp lets pass and we don't is checked beside it.
 * Chunks are decoded here: llhttp takes folded trailers and refuses valid extensions. */
#ifndef SL_HTTP_HEAD_H
#define SL_HTTP_HEAD_H

#include "server/http/http.h"

enum { HEAD_MORE = 0, HEAD_OK = 200 }; /* else the HTTP status of the refusal */

struct head {
    struct slice raw;
    struct slice method;
    struct slice path;
    struct slice query;
    struct http_header *headers;
    size_t header_count;
    int minor; /* HTTP/1.minor */
    bool close;
    bool expect; /* 100-continue, and a body is announced, were it empty */
    bool has_length;
    uint64_t length;
    bool chunked;
};

struct reply_head {
    int status;
    bool close;
    bool has_length;
    uint64_t length;
    bool chunked;
};

/* Decodes a chunked body; begins zeroed. */
struct chunks {
    int state;
    uint64_t left;  /* of the chunk */
    size_t framing; /* bytes since the last one of the body */
    bool done;
};

/* Looks for the end of a head in what has come so far. *scanned (0 at first) remembers what was
 * looked at. HEAD_OK: *ret_len is the head's length. */
int head_scan(struct slice in, size_t *scanned, size_t *ret_len);
/* Parses a whole head; all slices into `a`. Returns HEAD_OK or the refusal. */
int head_parse(struct slice in, struct arena *a, struct head *ret);
/* The same for an upstream's response head; false = malformed. */
bool reply_head_parse(struct slice in, struct reply_head *ret);
/* Takes up to n bytes at p. The body bytes among them are moved to the front (`move`) or left where
 * they are. *ret_used < n only at the end of the message (then c->done). False = malformed. */
bool chunks_feed(struct chunks *c, uint8_t *p, size_t n, bool move, size_t *ret_used,
                 size_t *ret_body);

#endif
