/* The threads of a load: one lists, fetches, decompresses and cuts into runs of whole rows, workers
 * convert the runs. What comes out are either batches of rows, or sealed segments, which take in
 * the rows of many runs and files; rejected rows come out beside them. All in the order of files
 * and rows, but for segments of more than one lane. Knows no PostgreSQL: whoever takes may be of
 * another world, and the threads see plain memory and take no signals. Memory is bounded: a ring of
 * runs, pools of batches and of segments, all recycled. */
#ifndef SEALIFT_COPY_PIPELINE_H
#define SEALIFT_COPY_PIPELINE_H

#include "extension/copy/decode.h"
#include "extension/copy/watch.h"
#include "lib/awsclient/s3client.h"
#include "lib/base/limits.h"
#include "lib/codec/copy_convert.h"
#include "lib/columnar/segment.h"

/* Gives the client credentials, and until when they hold (0: no end). Called from the fetching
 * thread, again shortly before they end or when S3 says that they have. ret_fd is for
 * pipeline_credentials_wait. */
typedef struct sl_rc (*pipeline_credentials_fn)(void *ctx, struct s3client *client,
                                                atomic_int *ret_fd, struct sl_error *err,
                                                int64_t *ret_expires_s);

/* For it, before it waits at a socket: whose shutdown ends the call then. False: the load has
 * ended, and the socket stays the caller's. */
bool pipeline_credentials_wait(atomic_int *ret_fd, int fd);

/* A column of the table, in its order. */
struct pipeline_column {
    int field; /* index among the converted columns; or -1: */
    /* kind and scale; of a column without a field also SEGMENT_ROWS values, the same in all rows */
    struct vector form;
};

/* What segments are sealed for. */
struct pipeline_table {
    uint8_t storage_id[STORAGE_ID_LEN];
    const struct secret *key;
    const struct pipeline_column *columns;
    uint32_t column_count;
    size_t segment_bytes; /* of values, in a segment: each worker holds about twice that */
    /* The SORTKEY: its columns, by which the rows of each segment are sorted. With it, segments
     * follow the order of rows (there is one lane), as sorted input should lie sorted. */
    const uint32_t *keys;
    uint32_t key_count;
};

/* The kind of vector that a converted column is. */
enum vector_kind pipeline_kind(enum copy_type type);

struct pipeline_conf {
    struct s3client_conf s3; /* abort and renew are set by the pipeline */
    const char *bucket;
    const char *prefix;
    bool manifest; /* prefix is the key of one (lib/codec/copy_manifest.h) */
    /* For JSON with paths: the object that has them, and the shape that takes them (convert's). */
    const char *jsonpaths_bucket, *jsonpaths_key;
    struct json_shape *json;
    pipeline_credentials_fn credentials;
    void *credentials_ctx;
    struct decode_conf decode;
    uint64_t ignoreheader;
    struct copy_convert_conf convert;
    const struct pipeline_table *table; /* or NULL: rows come out in batches */
    unsigned workers;                   /* threads, 1..PIPELINE_WORKERS */
    struct watch *watch;                /* is told of files and bytes; or NULL */
    int wake_fd; /* eventfd, written when a waiting taker should look again */
};

enum {
    PIPELINE_WORKERS = 4,
    PIPELINE_OBJECT_CHARS = LIMIT_S3_BUCKET_BYTES + 1 + LIMIT_S3_KEY_BYTES
};

enum pipeline_failed {
    PIPELINE_FINE,
    PIPELINE_S3_LIST,
    PIPELINE_S3_GET,
    PIPELINE_NO_OBJECTS, /* nothing under the prefix, or none of the manifest's is there */
    PIPELINE_MANIFEST,
    PIPELINE_CREDENTIALS,
    PIPELINE_DECRYPT,  /* client-side encryption: not the format, not the key, or damaged */
    PIPELINE_ENCODING, /* not of ENCODING's */
    PIPELINE_UNPACK,   /* not of the compression's format, or damaged */
    PIPELINE_INTERNAL,
};
struct pipeline_failure {
    enum pipeline_failed kind;
    struct sl_error err;
    struct s3client_failure s3;             /* PIPELINE_S3_* */
    char object[PIPELINE_OBJECT_CHARS + 1]; /* bucket/key */
};

/* Rows (none where segments are made) and rejects, and the file they are of. */
struct pipeline_batch {
    struct copy_batch batch;
    struct copy_bad_rows bad;
    char object[PIPELINE_OBJECT_CHARS + 1];
    struct pipeline_batch *next;
};

struct pipeline_segment {
    struct segment_ref ref;
    struct buf bytes;
};

struct pipeline_taken {
    struct pipeline_batch *batch;
    struct pipeline_segment *segment;
};
enum pipeline_took {
    PIPELINE_BATCH,
    PIPELINE_SEGMENT,
    PIPELINE_WAIT, /* nothing yet: wait for wake_fd */
    PIPELINE_END,  /* all came out */
    PIPELINE_FAIL, /* see pipeline_failure; what came before it came out */
};

struct pipeline;
/* `conf` and all it points to stay the caller's and live until pipeline_stop. */
struct sl_rc pipeline_start(const struct pipeline_conf *conf, struct pipeline **ret,
                            struct sl_error *err);
/* Does not block. What is taken is the taker's until it is given back. */
enum pipeline_took pipeline_take(struct pipeline *p, struct pipeline_taken *ret);
void pipeline_give_back(struct pipeline *p, struct pipeline_taken *taken);
/* After PIPELINE_FAIL. */
const struct pipeline_failure *pipeline_failure(const struct pipeline *p);
struct pipeline_counts {
    uint64_t files; /* read to the end */
    uint64_t bytes; /* fetched */
};
struct pipeline_counts pipeline_counts(struct pipeline *p);
/* Ends all threads, wherever they are (within 100 ms), and frees everything. NULL is fine. */
void pipeline_stop(struct pipeline *p);

#endif
