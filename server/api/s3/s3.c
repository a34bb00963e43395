/* One request: find the operation, authenticate, look at the bucket, authorise, run. The order of
 * refusals is AWS's: signature, bucket, permission, object. */
#include "server/api/s3/call_in.h"

#include "lib/base/log.h"
#include "lib/crypto/crypto.h"

const struct s3_op s3_ops[] = {
    {"ListBuckets", "GET", S3_SERVICE, NULL, NULL, NULL, s3_list_buckets, true},

    {"CreateBucket", "PUT", S3_BUCKET, NULL, NULL, NULL, s3_create_bucket, true},
    {"HeadBucket", "HEAD", S3_BUCKET, NULL, "s3:ListBucket", NULL, s3_head_bucket, false},
    {"DeleteBucket", "DELETE", S3_BUCKET, NULL, "s3:DeleteBucket", NULL, s3_delete_bucket, false},
    {"GetBucketLocation", "GET", S3_BUCKET, "location", "s3:GetBucketLocation", NULL,
     s3_get_location, false},
    {"GetBucketPolicy", "GET", S3_BUCKET, "policy", "s3:GetBucketPolicy", NULL, s3_get_policy,
     false},
    {"PutBucketPolicy", "PUT", S3_BUCKET, "policy", "s3:PutBucketPolicy", NULL, s3_put_policy,
     false},
    {"DeleteBucketPolicy", "DELETE", S3_BUCKET, "policy", "s3:DeleteBucketPolicy", NULL,
     s3_delete_policy, false},
    {"GetBucketEncryption", "GET", S3_BUCKET, "encryption", "s3:GetEncryptionConfiguration", NULL,
     s3_get_encryption, false},
    {"PutBucketEncryption", "PUT", S3_BUCKET, "encryption", "s3:PutEncryptionConfiguration", NULL,
     s3_put_encryption, false},
    {"DeleteBucketEncryption", "DELETE", S3_BUCKET, "encryption", "s3:PutEncryptionConfiguration",
     NULL, s3_delete_encryption, false},
    {"ListObjectsV2", "GET", S3_BUCKET, "list-type", "s3:ListBucket", s3_list_prepare, s3_list_v2,
     false},
    {"ListObjects", "GET", S3_BUCKET, NULL, "s3:ListBucket", s3_list_prepare, s3_list_v1, false},
    {"ListObjectVersions", "GET", S3_BUCKET, "versions", "s3:ListBucketVersions", s3_list_prepare,
     s3_list_versions, false},
    {"ListMultipartUploads", "GET", S3_BUCKET, "uploads", "s3:ListBucketMultipartUploads",
     s3_list_prepare, s3_list_uploads, false},
    {"DeleteObjects", "POST", S3_BUCKET, "delete", NULL, NULL, s3_delete_objects, false},
    {"GetBucketVersioning", "GET", S3_BUCKET, "versioning", "s3:GetBucketVersioning", NULL,
     s3_static_answer, false},
    {"GetBucketAcl", "GET", S3_BUCKET, "acl", "s3:GetBucketAcl", NULL, s3_static_answer, false},
    {"PutBucketAcl", "PUT", S3_BUCKET, "acl", "s3:PutBucketAcl", NULL, s3_put_acl, false},
    {"GetBucketTagging", "GET", S3_BUCKET, "tagging", "s3:GetBucketTagging", NULL,
     s3_get_bucket_tagging, false},
    {"PutBucketTagging", "PUT", S3_BUCKET, "tagging", NULL, NULL, s3_put_bucket_tagging, false},
    {"DeleteBucketTagging", "DELETE", S3_BUCKET, "tagging", "s3:PutBucketTagging", NULL,
     s3_delete_bucket_tagging, false},
    {"GetBucketCors", "GET", S3_BUCKET, "cors", "s3:GetBucketCORS", NULL, s3_static_answer, false},
    {"GetBucketLifecycleConfiguration", "GET", S3_BUCKET, "lifecycle",
     "s3:GetLifecycleConfiguration", NULL, s3_static_answer, false},
    {"GetBucketWebsite", "GET", S3_BUCKET, "website", "s3:GetBucketWebsite", NULL, s3_static_answer,
     false},
    {"GetBucketLogging", "GET", S3_BUCKET, "logging", "s3:GetBucketLogging", NULL, s3_static_answer,
     false},
    {"GetBucketReplication", "GET", S3_BUCKET, "replication", "s3:GetReplicationConfiguration",
     NULL, s3_static_answer, false},
    {"GetBucketOwnershipControls", "GET", S3_BUCKET, "ownershipControls",
     "s3:GetBucketOwnershipControls", NULL, s3_static_answer, false},
    {"PutBucketOwnershipControls", "PUT", S3_BUCKET, "ownershipControls",
     "s3:PutBucketOwnershipControls", NULL, s3_put_ownership, false},
    {"GetPublicAccessBlock", "GET", S3_BUCKET, "publicAccessBlock", "s3:GetBucketPublicAccessBlock",
     NULL, s3_static_answer, false},
    {"GetObjectLockConfiguration", "GET", S3_BUCKET, "object-lock",
     "s3:GetBucketObjectLockConfiguration", NULL, s3_static_answer, false},
    {"GetBucketNotificationConfiguration", "GET", S3_BUCKET, "notification",
     "s3:GetBucketNotification", NULL, s3_static_answer, false},
    {"GetBucketAccelerateConfiguration", "GET", S3_BUCKET, "accelerate",
     "s3:GetAccelerateConfiguration", NULL, s3_static_answer, false},
    {"GetBucketRequestPayment", "GET", S3_BUCKET, "requestPayment", "s3:GetBucketRequestPayment",
     NULL, s3_static_answer, false},

    {"PutObject", "PUT", S3_OBJECT, NULL, "s3:PutObject", s3_put_prepare, s3_put_object, false},
    {"GetObject", "GET", S3_OBJECT, NULL, NULL, s3_get_prepare, s3_get_object, false},
    {"HeadObject", "HEAD", S3_OBJECT, NULL, NULL, s3_get_prepare, s3_head_object, false},
    {"GetObjectAttributes", "GET", S3_OBJECT, "attributes", NULL, s3_sse_refuse, s3_get_attributes,
     false},
    {"DeleteObject", "DELETE", S3_OBJECT, NULL, "s3:DeleteObject", NULL, s3_delete_object, false},
    {"CreateMultipartUpload", "POST", S3_OBJECT, "uploads", "s3:PutObject", s3_put_prepare,
     s3_create_upload, false},
    {"UploadPart", "PUT", S3_OBJECT, "uploadId", "s3:PutObject", s3_sse_refuse, s3_upload_part,
     false},
    {"CompleteMultipartUpload", "POST", S3_OBJECT, "uploadId", "s3:PutObject", s3_sse_refuse,
     s3_complete_upload, false},
    {"AbortMultipartUpload", "DELETE", S3_OBJECT, "uploadId", "s3:AbortMultipartUpload", NULL,
     s3_abort_upload, false},
    {"ListParts", "GET", S3_OBJECT, "uploadId", "s3:ListMultipartUploadParts", s3_sse_refuse,
     s3_list_parts, false},
    {"GetObjectAcl", "GET", S3_OBJECT, "acl", "s3:GetObjectAcl", NULL, s3_static_answer, false},
    {"PutObjectAcl", "PUT", S3_OBJECT, "acl", "s3:PutObjectAcl", NULL, s3_put_acl, false},
    {"GetObjectTagging", "GET", S3_OBJECT, "tagging", NULL, NULL, s3_get_object_tagging, false},
    {"PutObjectTagging", "PUT", S3_OBJECT, "tagging", NULL, NULL, s3_put_object_tagging, false},
    {"DeleteObjectTagging", "DELETE", S3_OBJECT, "tagging", NULL, NULL, s3_delete_object_tagging,
     false},
    {"GetObjectRetention", "GET", S3_OBJECT, "retention", "s3:GetObjectRetention", NULL,
     s3_static_answer, false},
    {"GetObjectLegalHold", "GET", S3_OBJECT, "legal-hold", "s3:GetObjectLegalHold", NULL,
     s3_static_answer, false},
    {0},
};

/* The same requests with x-amz-copy-source. */
static const struct s3_op copy_object = {"CopyObject",   "PUT",          S3_OBJECT,      NULL,
                                         "s3:PutObject", s3_put_prepare, s3_copy_object, false};
static const struct s3_op copy_part = {"UploadPartCopy",    "PUT",          S3_OBJECT,
                                       "uploadId",          "s3:PutObject", s3_sse_refuse,
                                       s3_upload_part_copy, false};

/* Query parameters that select an operation, known or not. */
static const char *const subs[] = {"location",
                                   "policy",
                                   "encryption",
                                   "list-type",
                                   "versions",
                                   "uploads",
                                   "delete",
                                   "versioning",
                                   "acl",
                                   "tagging",
                                   "cors",
                                   "lifecycle",
                                   "website",
                                   "logging",
                                   "replication",
                                   "ownershipControls",
                                   "publicAccessBlock",
                                   "object-lock",
                                   "notification",
                                   "accelerate",
                                   "requestPayment",
                                   "uploadId",
                                   "retention",
                                   "legal-hold",
                                   "policyStatus",
                                   "analytics",
                                   "inventory",
                                   "metrics",
                                   "intelligent-tiering",
                                   "attributes",
                                   "torrent",
                                   "restore",
                                   "select",
                                   "session",
                                   "metadataTable",
                                   "metadataConfiguration",
                                   "renameObject",
                                   "abac",
                                   "metadataInventoryTable",
                                   "metadataJournalTable",
                                   "encryption",
                                   "append"};

static const char *sub_of(const struct s3_call *c) {
    for (size_t i = 0; i < sizeof subs / sizeof *subs; i++) {
        if (s3_param(c, subs[i]) != NULL) {
            return subs[i];
        }
    }
    return NULL;
}

static bool same_sub(const char *a, const char *b) {
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static struct sl_rc find_op(struct s3_call *c) {
    enum s3_level level = c->bucket_name.len == 0 ? S3_SERVICE
                          : c->key.len == 0       ? S3_BUCKET
                                                  : S3_OBJECT;
    const char *sub = sub_of(c);
    for (const struct s3_op *op = s3_ops; op->name != NULL; op++) {
        if (op->level == level && same_sub(op->sub, sub) &&
            slice_eq_cstr(c->h->method, op->method)) {
            c->op = op;
        }
    }
    if (c->op != NULL && s3_header(c, "x-amz-copy-source").ptr != NULL) {
        if (c->op->run == s3_put_object) {
            c->op = &copy_object;
        } else if (c->op->run == s3_upload_part) {
            c->op = &copy_part;
        }
    }
    if (c->op != NULL) {
        return SL_OK;
    }
    if (sub != NULL) {
        s3_tell(c, "ArgumentName", slice_cstr(sub));
        return sl_rc_of(SL_E_S3_NOT_IMPLEMENTED);
    }
    if (level == S3_BUCKET && slice_eq_cstr(c->h->method, "POST")) {
        return sl_rc_of(SL_E_S3_NOT_IMPLEMENTED); /* a form upload */
    }
    return sl_rc_of(SL_E_S3_METHOD_NOT_ALLOWED);
}

/* The signature's region is the session's, and with it that of the keys: it must be the bucket's.
 */
static struct sl_rc check_region(struct s3_call *c) {
    bool any = c->claim.kind == SIGV4_NONE || c->op->run == s3_get_location;
    if (any || slice_eq(c->claim.region, c->bucket.region)) {
        return SL_OK;
    }
    http_set(c->h, "x-amz-bucket-region", c->bucket.region);
    return sl_fail(c->err, SL_E_SCOPE,
                   "The authorization header is malformed; the region '%.*s' is wrong; expecting "
                   "'%.*s'",
                   SLICE_FMT(c->claim.region), SLICE_FMT(c->bucket.region));
}

static struct sl_rc find_bucket(struct s3_call *c) {
    struct sl_rc rc = index_bucket_get(c->env->index, c->bucket_name, c->a, &c->bucket, c->err);
    if (rc.code == SL_E_NOT_FOUND) {
        TRY(s3_authenticate(c));
        return sl_rc_of(SL_E_S3_NO_SUCH_BUCKET);
    }
    TRY(rc);
    TRY(check_region(c));
    struct slice owner = s3_header(c, "x-amz-expected-bucket-owner");
    if (owner.ptr != NULL && !slice_eq(owner, c->bucket.account)) {
        TRY(s3_authenticate(c));
        return sl_fail(c->err, SL_E_ACCESS_DENIED, "Access Denied");
    }
    return SL_OK;
}

static struct sl_rc serve(struct s3_call *c) {
    TRY(s3_parse_target(c));
    TRY(s3_read_claim(c));
    TRY(find_op(c));
    if (!c->op->no_bucket) {
        TRY(find_bucket(c));
    }
    TRY(s3_refuse_unsupported(c));
    if (c->op->prepare != NULL) {
        TRY(c->op->prepare(c));
    }
    if (c->op->action != NULL) {
        TRY(s3_authorize(c, c->op->action,
                         c->op->level == S3_OBJECT ? c->object_arn : c->bucket_arn));
    }
    return c->op->run(c);
}

static void make_host_id(struct s3_call *c) {
    uint8_t sum[SHA256_LEN];
    struct buf text = BUF_INIT(64);
    sha256(slice_cstr(c->h->request_id), sum);
    base64_put(&text, slice_of(sum, sizeof sum));
    c->host_id = arena_copy(c->a, buf_slice(&text));
    buf_fini(&text);
}

void s3_handle(struct s3_env *env, struct http *h) {
    struct s3_call call = {.env = env, .h = h, .a = h->arena, .err = &h->err};
    struct s3_call *c = &call;
    int64_t start = clock_mono_ms();
    make_host_id(c);
    http_set_cstr(h, "x-amz-request-id", h->request_id);
    http_set(h, "x-amz-id-2", c->host_id);
    struct sl_rc rc = serve(c);
    if (sl_failed(rc)) {
        s3_reply_error(c, rc);
    }
    if (c->sse != NULL) {
        secret_fini(&c->sse->key);
    }
    secret_fini(&c->who.signing_key);
    sl_log(SL_INFO, "s3_request", "request_id=%s op=%s status=%d ms=%lld bucket=%s key=%s arn=%s",
           h->request_id, c->op ? c->op->name : "-", c->status,
           (long long)(clock_mono_ms() - start), SL_Q(c->bucket_name), SL_Q(c->key),
           SL_Q(c->who.arn));
}
