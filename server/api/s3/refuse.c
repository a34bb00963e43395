/* What clients may ask for and this store does not have. AWS ignores some of it, depending on the
 * bucket; here nothing that means something is passed over: it is refused by its name. */
#include "server/api/s3/call_in.h"

enum refusal { NOT_IMPLEMENTED, NO_ACL, NO_LOCK, NO_BYPASS, STORAGE_CLASS, VALUE };

/* No `fine` value: the header itself is refused. Case does not matter: clients send "False". */
static const struct {
    const char *header;
    const char *fine[2];
    enum refusal how;
} headers[] = {
    {"x-amz-acl", {"private", "bucket-owner-full-control"}, NO_ACL},
    {"x-amz-grant-full-control", {NULL}, NO_ACL},
    {"x-amz-grant-read", {NULL}, NO_ACL},
    {"x-amz-grant-read-acp", {NULL}, NO_ACL},
    {"x-amz-grant-write", {NULL}, NO_ACL},
    {"x-amz-grant-write-acp", {NULL}, NO_ACL},
    {"x-amz-object-lock-mode", {NULL}, NO_LOCK},
    {"x-amz-object-lock-retain-until-date", {NULL}, NO_LOCK},
    {"x-amz-object-lock-legal-hold", {NULL}, NO_LOCK},
    {"x-amz-bypass-governance-retention", {"false"}, NO_BYPASS},
    {"x-amz-bucket-object-lock-enabled", {"false"}, NOT_IMPLEMENTED},
    {"x-amz-object-ownership", {"BucketOwnerEnforced"}, NOT_IMPLEMENTED},
    {"x-amz-bucket-namespace", {"global"}, NOT_IMPLEMENTED},
    {"x-amz-storage-class", {"STANDARD"}, STORAGE_CLASS},
    {"x-amz-website-redirect-location", {NULL}, NOT_IMPLEMENTED},
    {"x-amz-write-offset-bytes", {NULL}, NOT_IMPLEMENTED},
    {"x-amz-mfa", {NULL}, NOT_IMPLEMENTED},
    {"x-amz-if-match-last-modified-time", {NULL}, NOT_IMPLEMENTED},
    {"x-amz-if-match-size", {NULL}, NOT_IMPLEMENTED},
    {"x-amz-if-match-initiated-time", {NULL}, NOT_IMPLEMENTED},
    {"x-amz-checksum-sha512", {NULL}, NOT_IMPLEMENTED},
    {"x-amz-checksum-md5", {NULL}, NOT_IMPLEMENTED},
    {"x-amz-checksum-xxhash64", {NULL}, NOT_IMPLEMENTED},
    {"x-amz-checksum-xxhash3", {NULL}, NOT_IMPLEMENTED},
    {"x-amz-checksum-xxhash128", {NULL}, NOT_IMPLEMENTED},
    {"x-amz-request-payer", {"requester"}, VALUE},
    {"x-amz-checksum-mode", {"ENABLED"}, VALUE},
    {"x-amz-optional-object-attributes", {"RestoreStatus"}, VALUE},
    {"x-amz-confirm-remove-self-bucket-access", {"true", "false"}, VALUE},
};

/* Object Ownership is BucketOwnerEnforced everywhere. */
static struct sl_rc no_acl(struct s3_call *c) {
    if (c->op->run == s3_create_bucket) {
        return s3_fail_as(c, 400, "InvalidBucketAclWithObjectOwnership",
                          "Bucket cannot have ACLs set with ObjectOwnership's "
                          "BucketOwnerEnforced setting");
    }
    return s3_fail_as(c, 400, "AccessControlListNotSupported", "The bucket does not allow ACLs");
}

static struct sl_rc refuse(struct s3_call *c, const char *name, struct slice value,
                           enum refusal how) {
    switch (how) {
    case NO_ACL:
        return no_acl(c);
    case NO_LOCK:
        return s3_fail_as(c, 400, "InvalidRequest", "Bucket is missing Object Lock Configuration");
    case NO_BYPASS:
        return s3_invalid(c, name, value, "%s is only applicable to Object Lock enabled buckets.",
                          name);
    case STORAGE_CLASS:
        s3_tell(c, "StorageClassRequested", value);
        return s3_fail_as(c, 400, "InvalidStorageClass",
                          "The storage class you specified is not valid");
    case VALUE:
        return s3_invalid(c, name, value, "The value specified in the %s header is not valid",
                          name);
    default:
        return s3_not_implemented(c, name);
    }
}

struct sl_rc s3_refuse_unsupported(struct s3_call *c) {
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        struct slice v = s3_header(c, headers[i].header);
        const char *const *fine = headers[i].fine;
        bool asked = v.ptr != NULL && !(fine[0] != NULL && slice_ieq(v, slice_cstr(fine[0]))) &&
                     !(fine[1] != NULL && slice_ieq(v, slice_cstr(fine[1])));
        if (asked) {
            return refuse(c, headers[i].header, v, headers[i].how);
        }
    }
    return s3_check_version(c, c->key, s3_param_value(c, "versionId"));
}

/* As AWS makes them: 32 characters. */
static bool looks_like_version(struct slice v) {
    for (size_t i = 0; i < v.len; i++) {
        uint8_t ch = v.ptr[i];
        bool word = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
                    (ch >= '0' && ch <= '9') || ch == '.' || ch == '_' || ch == '-';
        if (!word) {
            return false;
        }
    }
    return v.len == 32;
}

struct sl_rc s3_check_version(struct s3_call *c, struct slice key, struct slice version) {
    if (version.len == 0 || slice_eq_cstr(version, "null")) {
        return SL_OK;
    }
    if (!looks_like_version(version)) {
        return s3_invalid(c, "versionId", version, "Invalid version id specified");
    }
    s3_tell(c, "Key", key);
    s3_tell(c, "VersionId", version);
    return s3_fail_as(c, 404, "NoSuchVersion", "The specified version does not exist.");
}
