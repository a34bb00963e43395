/* The S3 API: one request from its head to its answer. Everything that decides (signature, policy,
 * keys) is asked of kms over lib/ipc/seam.h; names live in server/store/index, bytes in
 * server/store/blob. */
#ifndef SL_S3_H
#define SL_S3_H

#include "server/api/s3/kmspool.h"
#include "server/http/http.h"
#include "server/store/blob/blob.h"
#include "server/store/index/index.h"

struct s3_env {
    struct index *index;
    struct blob_store *blobs;
    struct kmspool *kms;
    struct slice domain; /* BUCKET.DOMAIN is a bucket; empty: paths name it */
};

/* Serves the request and writes one line to the access log. */
void s3_handle(struct s3_env *env, struct http *h);

#endif
