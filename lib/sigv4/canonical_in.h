/* Inside lib/sigv4: the canonical request and what its parts share. */
#ifndef SL_SIGV4_CANONICAL_IN_H
#define SL_SIGV4_CANONICAL_IN_H

#include "lib/sigv4/sigv4.h"

#define SIGV4_ALGORITHM "AWS4-HMAC-SHA256"

/* First header by name in any case, or NULL. */
const struct sigv4_header *sigv4_find_header(const struct sigv4_request *req, const char *name);
/* Takes the next name off a SignedHeaders list; false at its end. */
bool sigv4_next_signed(struct slice *list, struct slice *ret);

/* What of the request is canonicalised, and how. */
struct sigv4_shape {
    struct slice service;        /* "s3" has rules of its own for the path */
    struct slice signed_headers; /* a;b;c */
    struct slice payload_hash;
    bool presigned; /* X-Amz-Signature is left out of the query */
};
struct sl_rc sigv4_canonical(const struct sigv4_request *req, const struct sigv4_shape *shape,
                             struct arena *a, struct sl_error *err, struct slice *ret);

#endif
