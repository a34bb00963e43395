/* Questions about features that no bucket or object here has: the answer of one that never had them
 * configured. */
#include "server/api/s3/call_in.h"

#define XML "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define NS " xmlns=\"" S3_NS "\""

enum { ACL_XML_MAX = 64 * 1024 };

struct answer {
    enum s3_level level;
    const char *sub;
    int status;
    const char *code; /* NULL: `text` is the body */
    const char *text;
};

static const struct answer answers[] = {
    {S3_BUCKET, "versioning", 200, NULL, XML "<VersioningConfiguration" NS "/>"},
    {S3_BUCKET, "logging", 200, NULL, XML "<BucketLoggingStatus" NS "/>"},
    {S3_BUCKET, "notification", 200, NULL, XML "<NotificationConfiguration" NS "/>"},
    {S3_BUCKET, "accelerate", 200, NULL, XML "<AccelerateConfiguration" NS "/>"},
    {S3_BUCKET, "requestPayment", 200, NULL,
     XML "<RequestPaymentConfiguration" NS "><Payer>BucketOwner</Payer>"
         "</RequestPaymentConfiguration>"},
    {S3_BUCKET, "ownershipControls", 200, NULL,
     XML "<OwnershipControls" NS "><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership>"
         "</Rule></OwnershipControls>"},
    {S3_BUCKET, "cors", 404, "NoSuchCORSConfiguration", "The CORS configuration does not exist"},
    {S3_BUCKET, "lifecycle", 404, "NoSuchLifecycleConfiguration",
     "The lifecycle configuration does not exist"},
    {S3_BUCKET, "website", 404, "NoSuchWebsiteConfiguration",
     "The specified bucket does not have a website configuration"},
    {S3_BUCKET, "replication", 404, "ReplicationConfigurationNotFoundError",
     "The replication configuration was not found"},
    {S3_BUCKET, "publicAccessBlock", 404, "NoSuchPublicAccessBlockConfiguration",
     "The public access block configuration was not found"},
    {S3_BUCKET, "object-lock", 404, "ObjectLockConfigurationNotFoundError",
     "Object Lock configuration does not exist for this bucket"},
    {S3_OBJECT, "retention", 400, "InvalidRequest", "Bucket is missing Object Lock Configuration"},
    {S3_OBJECT, "legal-hold", 400, "InvalidRequest", "Bucket is missing Object Lock Configuration"},
};

static struct sl_rc check_object(struct s3_call *c) {
    struct index_object row;
    struct sl_rc rc = index_object_get(c->env->index, &c->bucket.id, c->key, c->a, &row, c->err);
    return rc.code == SL_E_NOT_FOUND ? s3_no_such_key(c) : rc;
}

static struct sl_rc acl(struct s3_call *c) {
    char id[65];
    s3_canonical_id(c->bucket.account, id);
    struct buf xml = s3_xml(64 * 1024);
    xmlw_open_ns(&xml, "AccessControlPolicy", S3_NS);
    s3_put_owner(&xml, "Owner", c->bucket.account);
    xmlw_open(&xml, "AccessControlList");
    xmlw_open(&xml, "Grant");
    buf_puts(&xml, "<Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" "
                   "xsi:type=\"CanonicalUser\">");
    xmlw_cstr(&xml, "ID", id);
    xmlw_text(&xml, "DisplayName", c->bucket.account);
    xmlw_close(&xml, "Grantee");
    xmlw_cstr(&xml, "Permission", "FULL_CONTROL");
    xmlw_close(&xml, "Grant");
    xmlw_close(&xml, "AccessControlList");
    xmlw_close(&xml, "AccessControlPolicy");
    return s3_reply_xml(c, 200, &xml);
}

/* ACLs are off. The one grant that changes nothing is taken of an object. */
struct sl_rc s3_put_acl(struct s3_call *c) {
    struct buf body = BUF_INIT(ACL_XML_MAX);
    struct sl_rc rc = s3_body_all(c, ACL_XML_MAX, &body);
    bool fine = c->op->level == S3_OBJECT && body.len == 0 &&
                slice_eq_cstr(s3_header(c, "x-amz-acl"), "bucket-owner-full-control");
    buf_fini(&body);
    TRY(rc);
    if (!fine) {
        return s3_fail_as(c, 400, "AccessControlListNotSupported",
                          "The bucket does not allow ACLs");
    }
    TRY(check_object(c));
    return s3_reply_empty(c, 200);
}

/* Of Object Ownership there is one kind. */
struct sl_rc s3_put_ownership(struct s3_call *c) {
    static const char *const absent[] = {"BucketOwnerPreferred", "ObjectWriter"};
    struct buf text = BUF_INIT(ACL_XML_MAX);
    const struct xml *root = NULL;
    struct sl_rc rc = s3_body_xml(c, ACL_XML_MAX, false, &text, c->a, &root);
    buf_fini(&text);
    TRY(rc);
    const struct xml *rule = root->child;
    const struct xml *kind = rule != NULL ? rule->child : NULL;
    if (!slice_eq_cstr(root->name, "OwnershipControls") || kind == NULL || rule->next != NULL ||
        kind->next != NULL || !slice_eq_cstr(rule->name, "Rule") ||
        !slice_eq_cstr(kind->name, "ObjectOwnership")) {
        return sl_rc_of(SL_E_S3_MALFORMED_XML);
    }
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) {
        if (slice_eq_cstr(kind->text, absent[i])) {
            return s3_not_implemented(c, "ObjectOwnership");
        }
    }
    return slice_eq_cstr(kind->text, "BucketOwnerEnforced") ? s3_reply_empty(c, 200)
                                                            : sl_rc_of(SL_E_S3_MALFORMED_XML);
}

struct sl_rc s3_static_answer(struct s3_call *c) {
    if (c->op->level == S3_OBJECT) {
        TRY(check_object(c));
    }
    if (slice_eq_cstr(slice_cstr(c->op->sub), "acl")) {
        return acl(c);
    }
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        const struct answer *a = &answers[i];
        if (a->level != c->op->level || strcmp(a->sub, c->op->sub) != 0) {
            continue;
        }
        if (a->code != NULL) {
            if (a->status == 404) {
                s3_tell(c, "BucketName", c->bucket_name);
            }
            return s3_fail_as(c, a->status, a->code, a->text);
        }
        struct buf xml = BUF_INIT(4096);
        buf_puts(&xml, a->text);
        return s3_reply_xml(c, a->status, &xml);
    }
    return sl_rc_of(SL_E_S3_NOT_IMPLEMENTED);
}
