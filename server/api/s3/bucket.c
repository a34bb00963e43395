/* Buckets: make, find, list, remove; policy and default encryption. */
#include "server/api/s3/call_in.h"

#include "server/policy/policy.h"

enum { BUCKET_XML_MAX = 4 * 1024 * 1024, SMALL_XML_MAX = 64 * 1024 };

static bool lower_or_digit(uint8_t ch) {
    return (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9');
}

static bool looks_like_ip(struct slice n) {
    size_t dots = 0;
    for (size_t i = 0; i < n.len; i++) {
        if (n.ptr[i] == '.') {
            dots++;
        } else if (n.ptr[i] < '0' || n.ptr[i] > '9') {
            return false;
        }
    }
    return dots == 3;
}

static bool name_valid(struct slice n) {
    if (n.len < 3 || n.len > 63 || !lower_or_digit(n.ptr[0]) || !lower_or_digit(n.ptr[n.len - 1]) ||
        looks_like_ip(n)) {
        return false;
    }
    for (size_t i = 0; i < n.len; i++) {
        uint8_t ch = n.ptr[i];
        if (!lower_or_digit(ch) && ch != '-' && ch != '.') {
            return false;
        }
        if (ch == '.' && n.ptr[i + 1] == '.') {
            return false;
        }
    }
    static const char *const taken_first[] = {"xn--", "sthree-", "amzn-s3-demo-"};
    static const char *const taken_last[] = {"-s3alias", "--ol-s3", ".mrap", "--x-s3"};
    for (size_t i = 0; i < sizeof taken_first / sizeof *taken_first; i++) {
        if (slice_starts(n, slice_cstr(taken_first[i]))) {
            return false;
        }
    }
    for (size_t i = 0; i < sizeof taken_last / sizeof *taken_last; i++) {
        if (slice_ends(n, slice_cstr(taken_last[i]))) {
            return false;
        }
    }
    return true;
}

static bool region_valid(struct slice r) {
    for (size_t i = 0; i < r.len; i++) {
        if (!lower_or_digit(r.ptr[i]) && r.ptr[i] != '-') {
            return false;
        }
    }
    return r.len >= 2 && r.len <= 32;
}

/* Of a new bucket: Location and Bucket speak of directory buckets. */
static struct sl_rc check_configuration(struct s3_call *c, const struct xml *e) {
    static const char *const absent[] = {"Location", "Bucket"};
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) {
        if (slice_eq_cstr(e->name, absent[i])) {
            return s3_not_implemented(c, absent[i]);
        }
    }
    if (slice_eq_cstr(e->name, "Tags")) {
        return s3_tags_list(c, e, &c->tags);
    }
    return slice_eq_cstr(e->name, "LocationConstraint") ? SL_OK : sl_rc_of(SL_E_S3_MALFORMED_XML);
}

static struct sl_rc wanted_region(struct s3_call *c, struct slice *ret) {
    struct buf text = BUF_INIT(SMALL_XML_MAX);
    const struct xml *root = NULL;
    struct slice wanted = SLICE_EMPTY;
    struct sl_rc rc = s3_body_xml(c, SMALL_XML_MAX, true, &text, c->a, &root);
    buf_fini(&text);
    TRY(rc);
    if (root != NULL) {
        if (!slice_eq_cstr(root->name, "CreateBucketConfiguration")) {
            return sl_rc_of(SL_E_S3_MALFORMED_XML);
        }
        for (const struct xml *e = root->child; e != NULL; e = e->next) {
            TRY(check_configuration(c, e));
        }
        const struct xml *constraint = xml_get(root, "LocationConstraint");
        wanted = constraint ? constraint->text : SLICE_EMPTY;
    }
    if (slice_eq_cstr(wanted, "EU")) {
        wanted = SLICE_LIT("eu-west-1");
    }
    bool home = slice_eq_cstr(c->who.region, "us-east-1");
    if (wanted.len == 0) {
        ENSURE(home, c->err, SL_E_S3_LOCATION,
               "The unspecified location constraint is incompatible for the region specific "
               "endpoint this request was sent to.");
        wanted = c->who.region;
    }
    if (!region_valid(wanted)) {
        s3_tell(c, "LocationConstraint", wanted);
        return s3_fail_as(c, 400, "InvalidLocationConstraint",
                          "The specified location-constraint is not valid");
    }
    ENSURE(home || slice_eq(wanted, c->who.region), c->err, SL_E_S3_LOCATION,
           "The %.*s location constraint is incompatible for the region specific endpoint this "
           "request was sent to.",
           SLICE_FMT(wanted));
    *ret = wanted;
    return SL_OK;
}

static struct sl_rc exists_already(struct s3_call *c, struct slice region) {
    struct index_bucket old;
    TRY(index_bucket_get(c->env->index, c->bucket_name, c->a, &old, c->err));
    if (!slice_eq(old.account, c->who.account)) {
        return sl_rc_of(SL_E_S3_BUCKET_EXISTS);
    }
    /* us-east-1 says yes again, as it always has. */
    if (!slice_eq_cstr(old.region, "us-east-1") || !slice_eq(region, old.region)) {
        return sl_rc_of(SL_E_S3_BUCKET_OWNED);
    }
    return SL_OK;
}

struct sl_rc s3_create_bucket(struct s3_call *c) {
    if (!name_valid(c->bucket_name)) {
        return sl_rc_of(SL_E_S3_BUCKET_NAME);
    }
    TRY(s3_authenticate(c));
    ENSURE(!c->who.anonymous, c->err, SL_E_ACCESS_DENIED, "Access Denied");
    struct slice region;
    struct sl_error later = {0}, *real = c->err; /* who may not, isn't told about the body */
    c->err = &later;
    struct sl_rc region_rc = wanted_region(c, &region);
    c->err = real;
    if (sl_is_ok(region_rc)) {
        s3_condition(c, "s3:LocationConstraint", region);
        s3_tags_conditions(c, "aws:RequestTag/", "aws:TagKeys", &c->tags);
    }
    struct sl_rc may = s3_authorize_for(c, NULL, "s3:CreateBucket", &c->bucket_arn, 1);
    if (sl_failed(may)) {
        s3_untell(c);
        return may;
    }
    if (sl_failed(region_rc)) {
        *c->err = later;
        return region_rc;
    }
    if (c->tags.count > 0) {
        TRY(s3_authorize_for(c, NULL, "s3:TagResource", &c->bucket_arn, 1));
    }
    struct slice acl = s3_header(c, "x-amz-acl");
    if (acl.ptr != NULL && !slice_eq_cstr(acl, "private")) {
        return s3_fail_as(c, 400, "InvalidBucketAclWithObjectOwnership",
                          "Bucket cannot have ACLs set with ObjectOwnership's "
                          "BucketOwnerEnforced setting");
    }
    struct index_bucket b = {.name = c->bucket_name,
                             .account = c->who.account,
                             .region = region,
                             .created_ms = clock_real_ms()};
    blob_id_random(&b.id);
    TRY(s3_bucket_tags_text(c, &c->tags, &b.tags));
    struct sl_error err = {0};
    struct sl_rc rc = index_bucket_create(c->env->index, &b, &err);
    if (rc.code == SL_E_EXISTS) {
        TRY(exists_already(c, region));
    } else if (sl_failed(rc)) {
        return sl_fail(c->err, rc.code, "%s", err.detail);
    }
    http_set_printf(c->h, "location", "/%.*s", SLICE_FMT(c->bucket_name));
    return s3_reply_empty(c, 200);
}

/* Which of the account's buckets, and how many; the token is the last name shown. */
struct bucket_query {
    struct slice prefix;
    struct slice region;
    struct slice after;
    uint64_t max;
    bool paged; /* anything was asked for: the answer tells more */
};

static struct sl_rc read_bucket_query(struct s3_call *c, struct bucket_query *q) {
    enum { BUCKETS_MAX = 10000 };
    const struct param *max = s3_param(c, "max-buckets");
    const struct param *token = s3_param(c, "continuation-token");
    *q = (struct bucket_query){.prefix = s3_param_value(c, "prefix"),
                               .region = s3_param_value(c, "bucket-region"),
                               .max = BUCKETS_MAX};
    q->paged = max != NULL || token != NULL || s3_param(c, "prefix") != NULL ||
               s3_param(c, "bucket-region") != NULL;
    if (max != NULL && (!slice_u64(max->value, BUCKETS_MAX, &q->max) || q->max == 0)) {
        return s3_invalid(c, "max-buckets", max->value,
                          "Argument max-buckets must be an integer between 1 and %d", BUCKETS_MAX);
    }
    if (q->region.len > 0 && !region_valid(q->region)) {
        return s3_invalid(c, "bucket-region", q->region,
                          "Argument value %.*s is not a valid AWS Region", SLICE_FMT(q->region));
    }
    if (token == NULL) {
        return SL_OK;
    }
    struct buf raw = BUF_INIT(256);
    struct sl_rc rc = base64_get(token->value, &raw, NULL);
    q->after = arena_copy(c->a, buf_slice(&raw));
    buf_fini(&raw);
    return sl_is_ok(rc) && name_valid(q->after)
               ? SL_OK
               : s3_invalid(c, "continuation-token", token->value,
                            "The continuation token provided is incorrect");
}

static void put_bucket(struct buf *xml, const struct index_bucket *b, bool region) {
    xmlw_open(xml, "Bucket");
    xmlw_text(xml, "Name", b->name);
    s3_put_time(xml, "CreationDate", b->created_ms);
    if (region) {
        xmlw_text(xml, "BucketRegion", b->region);
    }
    xmlw_close(xml, "Bucket");
}

static void put_buckets(struct buf *xml, const struct index_bucket *all, size_t count,
                        const struct bucket_query *q) {
    struct slice last = SLICE_EMPTY;
    uint64_t n = 0;
    bool more = false;
    xmlw_open(xml, "Buckets");
    for (size_t i = 0; i < count && !more; i++) {
        bool wanted = slice_starts(all[i].name, q->prefix) &&
                      (q->region.len == 0 || slice_eq(q->region, all[i].region)) &&
                      slice_cmp(all[i].name, q->after) > 0;
        more = wanted && n == q->max;
        if (wanted && !more) {
            put_bucket(xml, &all[i], q->paged);
            last = all[i].name;
            n++;
        }
    }
    xmlw_close(xml, "Buckets");
    if (more) {
        struct buf token = BUF_INIT(256);
        base64_put(&token, last);
        xmlw_text(xml, "ContinuationToken", buf_slice(&token));
        buf_fini(&token);
    }
}

struct sl_rc s3_list_buckets(struct s3_call *c) {
    struct bucket_query q;
    struct index_bucket *buckets;
    size_t count;
    TRY(s3_authenticate(c));
    ENSURE(!c->who.anonymous, c->err, SL_E_ACCESS_DENIED, "Access Denied");
    struct slice all = SLICE_LIT("arn:aws:s3:::*");
    TRY(s3_authorize_for(c, NULL, "s3:ListAllMyBuckets", &all, 1));
    TRY(read_bucket_query(c, &q));
    TRY(index_bucket_list(c->env->index, c->who.account, c->a, &buckets, &count, c->err));
    struct buf xml = s3_xml(BUCKET_XML_MAX);
    xmlw_open_ns(&xml, "ListAllMyBucketsResult", S3_NS);
    s3_put_owner(&xml, "Owner", c->who.account);
    put_buckets(&xml, buckets, count, &q);
    if (q.prefix.len > 0) {
        xmlw_text(&xml, "Prefix", q.prefix);
    }
    xmlw_close(&xml, "ListAllMyBucketsResult");
    return s3_reply_xml(c, 200, &xml);
}

struct sl_rc s3_head_bucket(struct s3_call *c) {
    http_set(c->h, "x-amz-bucket-region", c->bucket.region);
    http_set_cstr(c->h, "x-amz-access-point-alias", "false");
    http_set_cstr(c->h, "content-type", "application/xml");
    return s3_reply_empty(c, 200);
}

struct sl_rc s3_delete_bucket(struct s3_call *c) {
    struct index_dropped *dropped;
    size_t count;
    TRY(index_bucket_delete(c->env->index, &c->bucket.id, c->a, &dropped, &count, c->err));
    for (size_t i = 0; i < count; i++) {
        s3_drop(c, &dropped[i]);
    }
    return s3_reply_empty(c, 204);
}

struct sl_rc s3_get_location(struct s3_call *c) {
    struct buf xml = s3_xml(SMALL_XML_MAX);
    bool home = slice_eq_cstr(c->bucket.region, "us-east-1");
    xmlw_open_ns(&xml, "LocationConstraint", S3_NS);
    buf_put(&xml, home ? SLICE_EMPTY : c->bucket.region); /* made of [a-z0-9-] */
    xmlw_close(&xml, "LocationConstraint");
    return s3_reply_xml(c, 200, &xml);
}

/* ---- policy */

/* A bucket's policy is its owner's account's alone, whatever it says. */
static struct sl_rc owner_only(struct s3_call *c) {
    return slice_eq(c->who.account, c->bucket.account) ? SL_OK
                                                       : sl_rc_of(SL_E_S3_METHOD_NOT_ALLOWED);
}

struct sl_rc s3_get_policy(struct s3_call *c) {
    TRY(owner_only(c));
    if (c->bucket.policy.len == 0) {
        return sl_rc_of(SL_E_S3_NO_SUCH_BUCKET_POLICY);
    }
    c->status = 200;
    http_set_cstr(c->h, "content-type", "application/json");
    return http_reply(c->h, c->bucket.policy);
}

/* Resources must be this bucket or what is in it. */
static struct sl_rc check_resources(struct s3_call *c, const struct policy *p) {
    struct slice pattern;
    for (size_t cursor = 0; policy_next_resource(p, &cursor, &pattern);) {
        struct slice rest = slice_sub(pattern, c->bucket_arn.len, pattern.len);
        bool fine = slice_eq_cstr(pattern, "*") ||
                    (slice_starts(pattern, c->bucket_arn) &&
                     (rest.len == 0 || rest.ptr[0] == '/' || rest.ptr[0] == '*'));
        ENSURE(fine, c->err, SL_E_S3_MALFORMED_POLICY, "Policy has invalid resource");
    }
    return SL_OK;
}

struct principals_ask {
    const struct slice *names;
    size_t count, bad;
};

static struct sl_rc principals_fn(int fd, void *arg, struct sl_error *err) {
    struct principals_ask *k = arg;
    return seam_principals(fd, k->names, k->count, err, &k->bad);
}

static struct sl_rc check_principals(struct s3_call *c, const struct policy *p) {
    enum { MAX = LIMIT_S3_BUCKET_POLICY_BYTES / 12 }; /* the shortest is an account */
    struct slice *names = arena_array(c->a, MAX, sizeof *names);
    struct principals_ask k = {.names = names};
    ENSURE(names != NULL, c->err, SL_E_NOMEM, "request needs too much memory");
    for (size_t cursor = 0; k.count < MAX && policy_next_principal(p, &cursor, &names[k.count]);) {
        k.count++;
    }
    if (k.count == 0) {
        return SL_OK;
    }
    ENSURE(k.count <= SEAM_PRINCIPALS_MAX, c->err, SL_E_S3_MALFORMED_POLICY,
           "Too many principals in policy");
    TRY(kmspool_call(c->env->kms, principals_fn, &k, c->err));
    ENSURE(k.bad >= k.count, c->err, SL_E_S3_MALFORMED_POLICY, "Invalid principal in policy");
    return SL_OK;
}

struct sl_rc s3_put_policy(struct s3_call *c) {
    TRY(owner_only(c));
    struct buf text = BUF_INIT(LIMIT_S3_BUCKET_POLICY_BYTES);
    struct sl_rc rc = s3_body_all(c, LIMIT_S3_BUCKET_POLICY_BYTES, &text);
    if (rc.code == SL_E_S3_MALFORMED_XML) {
        rc = s3_fail_as(c, 400, "PolicyTooLarge",
                        "The policy is larger than the maximum allowed size");
    }
    const struct policy *parsed = NULL;
    struct sl_error why = {0};
    if (sl_is_ok(rc) &&
        sl_failed(policy_parse(buf_slice(&text), POLICY_BUCKET, c->a, &why, &parsed))) {
        bool json = text.len > 0 && text.ptr[0] == '{';
        rc = json ? sl_fail(c->err, SL_E_S3_MALFORMED_POLICY, "%s", why.detail)
                  : sl_rc_of(SL_E_S3_MALFORMED_POLICY);
    }
    if (sl_is_ok(rc)) {
        rc = check_resources(c, parsed);
    }
    if (sl_is_ok(rc)) {
        rc = check_principals(c, parsed);
    }
    if (sl_is_ok(rc)) {
        rc = index_bucket_set_policy(c->env->index, &c->bucket.id, buf_slice(&text), c->err);
    }
    buf_fini(&text);
    TRY(rc);
    return s3_reply_empty(c, 204);
}

struct sl_rc s3_delete_policy(struct s3_call *c) {
    TRY(owner_only(c));
    TRY(index_bucket_set_policy(c->env->index, &c->bucket.id, SLICE_EMPTY, c->err));
    return s3_reply_empty(c, 204);
}

/* ---- default encryption */

struct sl_rc s3_get_encryption(struct s3_call *c) {
    struct buf xml = s3_xml(SMALL_XML_MAX);
    bool kms = c->bucket.default_sse == MANIFEST_SSE_KMS;
    xmlw_open_ns(&xml, "ServerSideEncryptionConfiguration", S3_NS);
    xmlw_open(&xml, "Rule");
    xmlw_open(&xml, "ApplyServerSideEncryptionByDefault");
    xmlw_cstr(&xml, "SSEAlgorithm", kms ? "aws:kms" : "AES256");
    if (kms && c->bucket.default_key.len > 0) {
        xmlw_text(&xml, "KMSMasterKeyID", c->bucket.default_key);
    }
    xmlw_close(&xml, "ApplyServerSideEncryptionByDefault");
    xmlw_bool(&xml, "BucketKeyEnabled", c->bucket.default_bucket_key);
    xmlw_open(&xml, "BlockedEncryptionTypes");
    xmlw_cstr(&xml, "EncryptionType", "SSE-C");
    xmlw_close(&xml, "BlockedEncryptionTypes");
    xmlw_close(&xml, "Rule");
    xmlw_close(&xml, "ServerSideEncryptionConfiguration");
    return s3_reply_xml(c, 200, &xml);
}

struct rule {
    uint8_t sse;
    struct slice key;
    bool bucket_key;
};

/* SSE-C stays blocked. */
static struct sl_rc check_blocked(struct s3_call *c, const struct xml *blocked) {
    const struct xml *e = blocked ? blocked->child : NULL;
    for (; e != NULL; e = e->next) {
        if (!slice_eq_cstr(e->name, "EncryptionType") ||
            !(slice_eq_cstr(e->text, "SSE-C") || slice_eq_cstr(e->text, "NONE"))) {
            return sl_rc_of(SL_E_S3_MALFORMED_XML);
        }
        if (slice_eq_cstr(e->text, "NONE")) {
            return s3_not_implemented(c, "BlockedEncryptionTypes");
        }
    }
    return SL_OK;
}

static bool is_boolean(const struct xml *e) {
    return e == NULL || slice_eq_cstr(e->text, "true") || slice_eq_cstr(e->text, "false");
}

static struct sl_rc read_rule(struct s3_call *c, const struct xml *root, struct rule *ret) {
    const struct xml *rule = NULL;
    if (root != NULL && slice_eq_cstr(root->name, "ServerSideEncryptionConfiguration")) {
        rule = xml_get(root, "Rule");
    }
    if (rule == NULL || rule->next != NULL) {
        return sl_rc_of(SL_E_S3_MALFORMED_XML);
    }
    const struct xml *apply = xml_get(rule, "ApplyServerSideEncryptionByDefault");
    const struct xml *bucket_key = xml_get(rule, "BucketKeyEnabled");
    const struct xml *alg = apply ? xml_get(apply, "SSEAlgorithm") : NULL;
    const struct xml *key = apply ? xml_get(apply, "KMSMasterKeyID") : NULL;
    TRY(check_blocked(c, xml_get(rule, "BlockedEncryptionTypes")));
    if (!is_boolean(bucket_key)) {
        return sl_rc_of(SL_E_S3_MALFORMED_XML);
    }
    ret->bucket_key = bucket_key && slice_eq_cstr(bucket_key->text, "true");
    ret->sse = MANIFEST_SSE_S3;
    if (apply == NULL) {
        return rule->child ? SL_OK : sl_rc_of(SL_E_S3_MALFORMED_XML);
    }
    if (alg != NULL && slice_eq_cstr(alg->text, "aws:kms")) {
        ret->sse = MANIFEST_SSE_KMS;
        ret->key = key ? key->text : SLICE_EMPTY;
        return SL_OK;
    }
    if (alg != NULL && slice_eq_cstr(alg->text, "aws:kms:dsse")) {
        return s3_not_implemented(c, "SSEAlgorithm");
    }
    if (alg == NULL || !slice_eq_cstr(alg->text, "AES256")) {
        return sl_rc_of(SL_E_S3_MALFORMED_XML);
    }
    if (key != NULL) {
        return s3_invalid(c, "KMSMasterKeyID", key->text,
                          "a KMSMasterKeyID is not applicable if the default sse algorithm is not "
                          "aws:kms or aws:kms:dsse");
    }
    return SL_OK;
}

struct sl_rc s3_put_encryption(struct s3_call *c) {
    struct buf text = BUF_INIT(SMALL_XML_MAX);
    const struct xml *root = NULL;
    struct rule rule = {0};
    struct sl_rc rc = s3_body_xml(c, SMALL_XML_MAX, false, &text, c->a, &root);
    buf_fini(&text);
    TRY(rc);
    TRY(read_rule(c, root, &rule));
    TRY(index_bucket_set_sse(c->env->index, &c->bucket.id, rule.sse, rule.key, rule.bucket_key,
                             c->err));
    return s3_reply_empty(c, 200);
}

struct sl_rc s3_delete_encryption(struct s3_call *c) {
    TRY(index_bucket_set_sse(c->env->index, &c->bucket.id, 0, SLICE_EMPTY, false, c->err));
    return s3_reply_empty(c, 204);
}
