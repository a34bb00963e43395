/* Events of the services that ask kms for a decision: s3 and gateway. Denials are recorded,
 * whatever was asked; of what was allowed, S3's management events of buckets, as CloudTrail's
 * default has them: before S3 acts, so whether it succeeded then is not in the record. */
#include "server/main/kms_service.h"

#include <stdio.h>

/* Where the event has another name than the permission. */
static const struct {
    const char *action, *event;
} renamed[] = {
    {"ListAllMyBuckets", "ListBuckets"},
    {"ListBucket", "ListObjects"},
    {"ListBucketVersions", "ListObjectVersions"},
    {"ListBucketMultipartUploads", "ListMultipartUploads"},
    {"ListMultipartUploadParts", "ListParts"},
    {"GetEncryptionConfiguration", "GetBucketEncryption"},
    {"PutEncryptionConfiguration", "PutBucketEncryption"},
    {"GetLifecycleConfiguration", "GetBucketLifecycle"},
    {"GetReplicationConfiguration", "GetBucketReplication"},
    {"GetBucketCORS", "GetBucketCors"},
    {"GetBucketObjectLockConfiguration", "GetObjectLockConfiguration"},
    {"GetAccelerateConfiguration", "GetAccelerateConfiguration"},
};

static struct slice event_name(struct slice action) {
    for (size_t i = 0; i < sizeof renamed / sizeof *renamed; i++) {
        if (slice_eq_cstr(action, renamed[i].action)) {
            return slice_cstr(renamed[i].event);
        }
    }
    return action;
}

static bool is_read(struct slice name) {
    return slice_starts(name, SLICE_LIT("Get")) || slice_starts(name, SLICE_LIT("List")) ||
           slice_starts(name, SLICE_LIT("Head")) || slice_starts(name, SLICE_LIT("Describe"));
}

/* Of objects, and of the lists of them. */
static bool is_data(struct slice service, struct slice action, struct slice resource) {
    return slice_eq_cstr(service, "s3") &&
           (slice_find(resource, '/') < resource.len || slice_eq_cstr(action, "ListBucket") ||
            slice_eq_cstr(action, "ListBucketVersions") ||
            slice_eq_cstr(action, "ListBucketMultipartUploads"));
}

/* {"bucketName":…,"key":…} of arn:aws:s3:::bucket/key */
static struct slice parameters(struct arena *a, struct slice arn) {
    struct slice prefix = SLICE_LIT("arn:aws:s3:::");
    if (!slice_starts(arn, prefix)) {
        return SLICE_LIT("null");
    }
    SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(16 * 1024);
    struct slice name = slice_sub(arn, prefix.len, arn.len);
    size_t slash = slice_find(name, '/');
    struct jsonw w = jsonw_of(&out);
    jsonw_object_begin(&w);
    jsonw_name(&w, "bucketName");
    jsonw_string(&w, slice_sub(name, 0, slash));
    if (slash < name.len) {
        jsonw_name(&w, "key");
        jsonw_string(&w, slice_sub(name, slash + 1, name.len));
    }
    jsonw_object_end(&w);
    struct slice kept = out.failed ? SLICE_EMPTY : arena_copy(a, buf_slice(&out));
    return kept.len > 0 ? kept : SLICE_LIT("null");
}

struct sl_rc kms_audit_check(struct kms_service *k, struct api_call *c, struct slice action,
                             struct slice resource, struct sl_rc rc) {
    char source[64];
    size_t colon = slice_find(action, ':');
    struct slice service = slice_sub(action, 0, colon);
    action = slice_sub(action, colon + 1, action.len);
    struct kms_event event = {.source = source,
                              .name = event_name(action),
                              .read_only = is_read(action),
                              .data = is_data(service, action, resource)};
    event.key_use = event.data;
    bool allowed = sl_is_ok(rc);
    if (allowed && (event.data || !slice_eq_cstr(service, "s3") ||
                    (event.read_only && audit_is_short(k->audit)))) {
        return rc; /* lists of buckets go on where the disk is full */
    }
    snprintf(source, sizeof source, "%.*s.amazonaws.com", SLICE_FMT(slice_sub(service, 0, 40)));
    c->audit_resource = slice_starts(resource, SLICE_LIT("arn:")) ? resource : SLICE_EMPTY;
    c->audit_request = parameters(c->arena, resource);
    if (allowed) {
        c->audit_more = SLICE_LIT("{\"decision\":\"allowed\"}");
    }
    return kms_audit(k, &event, c, rc);
}
