/* S3 client over libcurl: listing by prefix and reading objects, signed with Signature Version 4,
 * over verified TLS only. One client = one thread at a time and one kept connection. Calls are
 * repeated on failures that may pass; a read goes on from the byte it had reached, of the same
 * version of the object. Every call ends within 100 ms once *abort is set. */
#ifndef SL_AWSCLIENT_S3CLIENT_H
#define SL_AWSCLIENT_S3CLIENT_H

#include <stdatomic.h>

#include "lib/awsclient/envelope.h"
#include "lib/base/arena.h"
#include "lib/crypto/secret.h"

struct s3client;
/* Gives the client other credentials, since S3 holds its own for expired; *ret_renewed: there are
 * others. A failure ends the call that it came in. */
typedef struct sl_rc (*s3client_renew_fn)(void *ctx, struct s3client *c, struct sl_error *err,
                                          bool *ret_renewed);

struct s3client_conf {
    const char *endpoint; /* https://host[:port]; requests are path-style */
    const char *region;
    const char *ca_file;      /* PEM, or NULL for the system's */
    const atomic_bool *abort; /* may be NULL */
    s3client_renew_fn renew;  /* or NULL: S3's answer stands */
    void *renew_ctx;
    unsigned attempts;         /* without any progress; 0: 5 */
    unsigned backoff_ms;       /* first pause, doubled each time up to 3 s; 0: 100 */
    unsigned stall_timeout_ms; /* no byte for that long counts as a failed attempt; 0: 60 s */
};

struct sl_rc s3client_new(const struct s3client_conf *conf, struct s3client **ret,
                          struct sl_error *err);
void s3client_free(struct s3client *c);
/* Copies all three; token may be empty. */
struct sl_rc s3client_credentials(struct s3client *c, struct slice access_key_id,
                                  struct slice secret_access_key, struct slice session_token,
                                  struct sl_error *err);

/* Why the last call failed. status 0: no answer of S3, curl_code and message say why. Texts are
 * empty where the answer had none. */
struct s3client_failure {
    long status;
    int curl_code;
    char code[64];
    char message[512];
    char request_id[80];
    char host_id[128];
};
const struct s3client_failure *s3client_failure(const struct s3client *c);

struct s3client_object {
    struct slice key;
    uint64_t size;
    struct slice etag; /* with its quotes */
};
/* One page of ListObjectsV2 in key order; `token` continues an earlier page (empty: start). Results
 * in `a`; ret_token is empty on the last page. Errors: SL_E_COPY_S3 (see s3client_failure),
 * SL_E_CLOSED after an abort. */
struct sl_rc s3client_list(struct s3client *c, const char *bucket, const char *prefix,
                           struct slice token, struct arena *a, struct sl_error *err,
                           struct s3client_object **ret, size_t *ret_count,
                           struct slice *ret_token);

/* Of the object whose bytes the running or last read gives. */
const struct envelope_meta *s3client_meta(const struct s3client *c);
/* Takes the next bytes of a body, in order and once; may block; a failure ends the read with it. */
typedef struct sl_rc (*s3client_sink_fn)(void *ctx, struct slice bytes, struct sl_error *err);
struct sl_rc s3client_get(struct s3client *c, const char *bucket, struct slice key,
                          s3client_sink_fn sink, void *sink_ctx, struct sl_error *err,
                          uint64_t *ret_bytes);

#endif
