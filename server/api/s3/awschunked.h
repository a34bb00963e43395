/* Decoder of the aws-chunked body coding, signed and unsigned, with and without trailers: `size
 * [;chunk-signature=HEX] CRLF data CRLF …, 0 […] CRLF, trailer lines`. Data comes out as it
 * arrives; a chunk's signature is known only at its end, so nothing may be committed before
 * awschunked_end says yes. Fixed memory. */
#ifndef SL_S3_AWSCHUNKED_H
#define SL_S3_AWSCHUNKED_H

#include "lib/crypto/crypto.h"
#include "lib/sigv4/sigv4.h"

enum { AWSCHUNKED_LINE_MAX = 1024, AWSCHUNKED_TRAILERS_MAX = 8, AWSCHUNKED_TRAILER_BYTES = 2048 };

struct awschunked_conf {
    bool is_signed; /* each chunk carries a signature */
    bool has_trailer;
    /* is_signed: */
    const struct secret *signing_key;
    const struct sigv4_claim *claim;
    uint64_t max_bytes; /* decoded length; more is refused */
};

struct awschunked_trailer {
    struct slice name; /* lower case */
    struct slice value;
};

struct awschunked {
    struct awschunked_conf conf;
    int state;
    struct digest *digest; /* of the chunk's data, when signed */
    uint64_t left;         /* in this chunk */
    uint64_t total;
    char signature[65]; /* of this chunk, as sent */
    char previous[65];  /* as computed */
    size_t after_len;   /* bytes behind the end */
    size_t line_len;
    uint8_t line[AWSCHUNKED_LINE_MAX];
    struct awschunked_trailer trailers[AWSCHUNKED_TRAILERS_MAX];
    size_t trailer_count;
    size_t trailer_len;
    uint8_t trailer_text[AWSCHUNKED_TRAILER_BYTES];
    char trailer_signature[65];
};

struct sl_rc awschunked_init(struct awschunked *d, const struct awschunked_conf *conf,
                             struct sl_error *err);
void awschunked_fini(struct awschunked *d);
/* Takes from *in (advanced) up to one run of data, which is part of *in. Empty and *in empty: more
 * input is needed. SL_E_S3_INVALID_REQUEST on a malformed frame, SL_E_SIGNATURE on a wrong one. */
struct sl_rc awschunked_feed(struct awschunked *d, struct slice *in, struct slice *ret_data,
                             struct sl_error *err);
/* At the body's end: SL_E_S3_INCOMPLETE_BODY unless the last chunk and the trailer are complete.
 * The trailer may end with or without an empty line. */
struct sl_rc awschunked_end(struct awschunked *d, struct sl_error *err);
/* A trailer's value after awschunked_end; ptr NULL when absent. */
struct slice awschunked_trailer(const struct awschunked *d, struct slice name);

#endif
