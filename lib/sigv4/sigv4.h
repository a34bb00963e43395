/* AWS Signature Version 4: one canonicaliser, used to sign and to verify. Header and query
 * (presigned) form, chunk signatures. Source: AWS's SigV4 documentation and the S3 notes on it (S3
 * encodes the path once and does not normalise it; other services encode twice). */
#ifndef SL_SIGV4_H
#define SL_SIGV4_H

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/crypto/secret.h"

struct sigv4_header {
    struct slice name; /* any case */
    struct slice value;
};

/* The request as the wire showed it. */
struct sigv4_request {
    struct slice method;
    struct slice path;  /* raw, still encoded, without the query */
    struct slice query; /* raw, without '?', may be empty */
    const struct sigv4_header *headers;
    size_t header_count;
    /* x-amz-content-sha256 as sent, or hex SHA-256 of the body. Not looked at for presigned
     * requests to S3: there the header counts where it is sent, else UNSIGNED-PAYLOAD. */
    struct slice payload_hash;
};

enum sigv4_kind { SIGV4_NONE, SIGV4_HEADER, SIGV4_QUERY };

/* What the client claims, parsed and checked for form, not yet verified. Slices point into the
 * request or arena. */
struct sigv4_claim {
    enum sigv4_kind kind;
    struct slice access_key_id;
    struct slice date; /* YYYYMMDD of the scope */
    struct slice region;
    struct slice service;
    struct slice signed_headers; /* as sent: a;b;c */
    struct slice signature;      /* 64 hex */
    struct slice amz_date;       /* x-amz-date, X-Amz-Date, or from Date; basic form */
    int64_t when_s;              /* amz_date as epoch */
    int64_t expires_s;           /* query form; 0 for headers */
    struct slice session_token;  /* empty if none */
};

/* Finds the claim. kind is SIGV4_NONE (and SL_OK) when there is neither an Authorization header nor
 * X-Amz-Algorithm. Errors, with AWS's texts: SL_E_INCOMPLETE_SIGNATURE, SL_E_QUERY_AUTH, SL_E_SCOPE
 * (S3's malformed header), SL_E_SIGNATURE (a scope of another day, what can't be a signature),
 * SL_E_S3_INVALID_REQUEST (another mechanism), SL_E_S3_INVALID_ARGUMENT (header and query at once);
 * SL_E_PARSE and SL_E_LIMIT for a query that can't be read. */
struct sl_rc sigv4_claim_parse(const struct sigv4_request *req, struct arena *a,
                               struct sl_error *err, struct sigv4_claim *ret);
/* Every x-amz-* header present must be signed, and host; SL_E_ACCESS_DENIED names those that are
 * not. */
struct sl_rc sigv4_check_signed(const struct sigv4_request *req, const struct sigv4_claim *c,
                                struct sl_error *err);
/* The day's signing key: 32 bytes. */
struct sl_rc sigv4_signing_key(struct slice secret_access_key, struct slice date,
                               struct slice region, struct slice service, struct secret *ret);
/* Compares in constant time; SL_E_SIGNATURE on a mismatch. canonical and string_to_sign (in `a`)
 * are set either way, for the error body; both may be NULL. */
struct sl_rc sigv4_verify(const struct sigv4_request *req, const struct sigv4_claim *c,
                          const struct secret *signing_key, struct arena *a, struct sl_error *err,
                          struct slice *ret_canonical, struct slice *ret_string_to_sign);
/* Chunk signature of STREAMING-AWS4-HMAC-SHA256-PAYLOAD: previous and result are 64 hex characters.
 */
void sigv4_chunk(const struct secret *signing_key, const struct sigv4_claim *c,
                 struct slice previous, struct slice data_sha256_hex, char ret[65]);
void sigv4_trailer(const struct secret *signing_key, const struct sigv4_claim *c,
                   struct slice previous, struct slice trailer_sha256_hex, char ret[65]);

/* Signs: appends the Authorization header's value. `req` must hold host and x-amz-date headers (and
 * x-amz-security-token, x-amz-content-sha256 where wanted); all its headers are signed. */
struct sl_rc sigv4_sign(const struct sigv4_request *req, struct slice access_key_id,
                        const struct secret *secret_key, struct slice region, struct slice service,
                        int64_t now_s, struct arena *a, struct buf *out, struct sl_error *err);

#endif
