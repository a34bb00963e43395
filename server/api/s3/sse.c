/* Server-side encryption: headers, defaults, data keys. SSE-S3 keys come from S3's own service key,
 * SSE-KMS keys are made by KMS as the caller. Both bind the object's ARN. */
#include "server/api/s3/call_in.h"

#include "lib/codec/json.h"

#include <stdio.h>

#define SSE "x-amz-server-side-encryption"
#define ARN "aws:s3:arn"
#define COPY_SSE "x-amz-copy-source-server-side-encryption"

/* SSE-C is blocked on every bucket, as AWS blocks it on new ones: no object has a customer's key,
 * nor may get one. */
static bool has_customer_key(struct s3_call *c, const char *prefix) {
    static const char *const names[] = {"-customer-algorithm", "-customer-key",
                                        "-customer-key-md5"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char name[96];
        snprintf(name, sizeof name, "%s%s", prefix, names[i]);
        if (s3_header(c, name).ptr != NULL) {
            return true;
        }
    }
    return false;
}

static struct sl_rc check_no_customer_key(struct s3_call *c) {
    ENSURE(!has_customer_key(c, SSE) && !has_customer_key(c, COPY_SSE), c->err,
           SL_E_S3_INVALID_REQUEST, "The encryption parameters are not applicable to this object.");
    return SL_OK;
}

struct sl_rc s3_sse_refuse(struct s3_call *c) {
    static const char *const names[] = {SSE, SSE "-aws-kms-key-id", SSE "-context",
                                        SSE "-bucket-key-enabled"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct slice v = s3_header(c, names[i]);
        if (v.ptr != NULL) {
            return s3_invalid(c, names[i], v, "%s header is not supported for this operation.",
                              names[i]);
        }
    }
    return check_no_customer_key(c);
}

/* base64 of a JSON object of strings. The object's own ARN may be named, but not another. */
static struct sl_rc read_context(struct s3_call *c, struct s3_sse *sse) {
    struct slice text = sse->context_text;
    struct buf json = BUF_INIT(LIMIT_KMS_CONTEXT_BYTES);
    const struct json *root = NULL;
    struct sl_rc rc = base64_get(text, &json, NULL);
    if (sl_is_ok(rc)) {
        rc = json_parse(buf_slice(&json), c->a, NULL, &root);
    }
    buf_fini(&json);
    if (sl_failed(rc) || root->type != JSON_OBJECT) {
        return s3_invalid(c, SSE "-context", text,
                          "The header '%s-context' shall be Base64-encoded UTF-8 string holding "
                          "JSON which represents a string-string map",
                          SSE);
    }
    struct context_pair *pairs = arena_array(c->a, root->count + 1, sizeof *pairs);
    ENSURE(pairs != NULL, c->err, SL_E_NOMEM, "request needs too much memory");
    for (const struct json *m = root->child; m != NULL; m = m->next) {
        if (m->type != JSON_STRING) {
            return s3_invalid(c, SSE "-context", text,
                              "The header '%s-context' must map strings to strings", SSE);
        }
        if (slice_eq_cstr(m->name, ARN)) {
            if (!slice_eq(m->text, c->object_arn) && !slice_eq(m->text, c->bucket_arn)) {
                return s3_invalid(c, SSE "-context", text,
                                  "The value of aws:s3:arn must be the object's ARN");
            }
            continue;
        }
        pairs[sse->pair_count++] = (struct context_pair){m->name, m->text};
    }
    sse->pairs = pairs;
    return SL_OK;
}

/* ptr NULL: no such pair. */
static struct slice pair_of(const struct context_pair *pairs, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++) {
        if (slice_eq_cstr(pairs[i].name, name)) {
            return pairs[i].value;
        }
    }
    return SLICE_EMPTY;
}

/* Under a bucket key the bucket's ARN stands among the pairs; else the object's is added. */
static struct sl_rc full_context(struct s3_call *c, const struct context_pair *pairs, size_t count,
                                 struct slice arn, struct context *ret) {
    if (pair_of(pairs, count, ARN).ptr != NULL) {
        *ret = (struct context){pairs, count};
        return SL_OK;
    }
    struct context_pair *all = arena_array(c->a, count + 1, sizeof *all);
    ENSURE(all != NULL, c->err, SL_E_NOMEM, "request needs too much memory");
    if (count > 0) {
        memcpy(all, pairs, count * sizeof *all);
    }
    all[count] = (struct context_pair){SLICE_LIT(ARN), arn};
    *ret = (struct context){all, count + 1};
    return SL_OK;
}

struct key_ask {
    struct s3_call *c;
    struct slice key_id;
    struct slice action;
    struct slice blob;
    struct context context;
    struct slice ret_arn;
    struct slice ret_blob;
    struct secret *ret_key;
};

static struct sl_rc check_fn(int fd, void *arg, struct sl_error *err) {
    struct key_ask *k = arg;
    return seam_key_check(fd, k->c->who.session, k->key_id, k->action, &k->context, k->c->a, err,
                          &k->ret_arn);
}
static struct sl_rc data_key_fn(int fd, void *arg, struct sl_error *err) {
    struct key_ask *k = arg;
    return seam_data_key(fd, k->c->who.session, k->key_id, &k->context, k->c->a, err, &k->ret_arn,
                         &k->ret_blob, k->ret_key);
}
static struct sl_rc data_key_open_fn(int fd, void *arg, struct sl_error *err) {
    struct key_ask *k = arg;
    return seam_data_key_open(fd, k->c->who.session, k->key_id, k->blob, &k->context, k->c->a, err,
                              k->ret_key);
}
static struct sl_rc service_key_fn(int fd, void *arg, struct sl_error *err) {
    struct key_ask *k = arg;
    return seam_service_key(fd, &k->context, k->c->a, err, &k->ret_blob, k->ret_key);
}
static struct sl_rc service_key_open_fn(int fd, void *arg, struct sl_error *err) {
    struct key_ask *k = arg;
    return seam_service_key_open(fd, k->blob, &k->context, k->c->a, err, k->ret_key);
}

/* For the policy's condition key the id must be an ARN, or an alias would slip past it. An alias
 * that does not resolve is compared as it stands; making the key then tells why. */
static struct sl_rc resolve_for_policy(struct s3_call *c, struct s3_sse *sse) {
    struct slice id = sse->key_id;
    if (id.len == 0) {
        return SL_OK;
    }
    TRY(s3_authenticate(c));
    bool alias = slice_starts(id, SLICE_LIT("alias/")) ||
                 (id.len > 0 && memmem(id.ptr, id.len, ":alias/", 7) != NULL);
    if (alias) {
        struct sl_error err = {0};
        struct key_ask k = {.c = c, .key_id = id, .action = SLICE_LIT("kms:GenerateDataKey")};
        TRY(full_context(c, sse->pairs, sse->pair_count, c->object_arn, &k.context));
        sse->key_arn = sl_is_ok(kmspool_call(c->env->kms, check_fn, &k, &err)) ? k.ret_arn : id;
    } else if (slice_starts(id, SLICE_LIT("arn:"))) {
        sse->key_arn = id;
    } else {
        sse->key_arn = slice_cstr(arena_printf(c->a, "arn:aws:kms:%.*s:%.*s:key/%.*s",
                                               SLICE_FMT(c->who.region), SLICE_FMT(c->who.account),
                                               SLICE_FMT(id)));
    }
    s3_condition(c, "s3:" SSE "-aws-kms-key-id", sse->key_arn);
    return SL_OK;
}

static struct sl_rc kms_may_be_used(struct s3_call *c) {
    if (c->claim.kind == SIGV4_NONE) {
        return s3_invalid(c, "Authorization", SLICE_LIT("null"),
                          "Requests specifying Server Side Encryption with AWS KMS managed keys "
                          "require AWS Signature Version 4.");
    }
    if (!c->h->peer->tls) {
        return s3_invalid(c, SSE, SLICE_LIT("aws:kms"),
                          "Requests specifying Server Side Encryption with AWS KMS managed keys "
                          "must be made over a secure connection.");
    }
    return SL_OK;
}

static struct sl_rc read_kind(struct s3_call *c, struct slice alg, struct s3_sse *sse) {
    if (alg.ptr == NULL) {
        return SL_OK;
    }
    sse->explicit_header = true;
    if (slice_eq_cstr(alg, "AES256")) {
        sse->kind = MANIFEST_SSE_S3;
        return SL_OK;
    }
    if (slice_eq_cstr(alg, "aws:kms")) {
        sse->kind = MANIFEST_SSE_KMS;
        return SL_OK;
    }
    if (slice_eq_cstr(alg, "aws:kms:dsse")) {
        return s3_not_implemented(c, SSE);
    }
    return s3_invalid(c, SSE, alg, "The encryption method specified is not supported");
}

/* The header, else the bucket's default. */
static struct sl_rc read_bucket_key(struct s3_call *c, struct s3_sse *sse) {
    struct slice v = s3_header(c, SSE "-bucket-key-enabled");
    sse->bucket_key =
        v.ptr != NULL ? slice_ieq(v, SLICE_LIT("true")) : c->bucket.default_bucket_key;
    if (v.ptr != NULL && !sse->bucket_key && !slice_ieq(v, SLICE_LIT("false"))) {
        return s3_invalid(c, SSE "-bucket-key-enabled", v, "The value must be true or false");
    }
    return SL_OK;
}

/* A bucket key binds the bucket's ARN. */
static struct sl_rc use_bucket_key(struct s3_call *c, struct s3_sse *sse) {
    if (!sse->bucket_key) {
        return SL_OK;
    }
    struct context_pair *pairs = arena_array(c->a, sse->pair_count + 1, sizeof *pairs);
    ENSURE(pairs != NULL, c->err, SL_E_NOMEM, "request needs too much memory");
    if (sse->pair_count > 0) {
        memcpy(pairs, sse->pairs, sse->pair_count * sizeof *pairs);
    }
    pairs[sse->pair_count++] = (struct context_pair){SLICE_LIT(ARN), c->bucket_arn};
    sse->pairs = pairs;
    return SL_OK;
}

/* The wrapped key does not bind the object's name then, so the manifest does. */
struct sl_rc s3_sse_into(struct s3_call *c, struct manifest *m) {
    m->sse = c->sse->kind;
    m->key_arn = c->sse->key_arn;
    m->context = c->sse->pairs;
    m->context_count = c->sse->pair_count;
    bool bucket_key = pair_of(m->context, m->context_count, ARN).ptr != NULL;
    struct slice value = bucket_key ? c->object_arn : SLICE_EMPTY;
    return s3_meta_replace(c, ARN, value, m);
}

struct sl_rc s3_sse_prepare(struct s3_call *c) {
    struct s3_sse *sse = arena_alloc(c->a, sizeof *sse);
    ENSURE(sse != NULL, c->err, SL_E_NOMEM, "request needs too much memory");
    TRY(s3_read_claim(c));
    ENSURE(!has_customer_key(c, SSE), c->err, SL_E_ACCESS_DENIED,
           "Access Denied: server-side encryption with customer-provided keys (SSE-C) is blocked "
           "on this bucket");
    TRY(check_no_customer_key(c));
    TRY(read_kind(c, s3_header(c, SSE), sse));
    struct slice key_id = s3_header(c, SSE "-aws-kms-key-id");
    sse->context_text = s3_header(c, SSE "-context");
    if (key_id.ptr != NULL && sse->kind != MANIFEST_SSE_KMS) {
        return s3_invalid(c, SSE "-aws-kms-key-id", key_id,
                          "Server Side Encryption with AWS KMS managed key requires HTTP header "
                          "x-amz-server-side-encryption : aws:kms");
    }
    if (sse->context_text.ptr != NULL && sse->kind != MANIFEST_SSE_KMS) {
        return s3_invalid(c, SSE "-context", sse->context_text,
                          "Server Side Encryption with AWS KMS managed key requires HTTP header "
                          "x-amz-server-side-encryption : aws:kms");
    }
    TRY(read_bucket_key(c, sse));
    sse->key_id = key_id;
    if (sse->kind == MANIFEST_SSE_KMS) {
        TRY(kms_may_be_used(c));
        if (sse->context_text.ptr != NULL) {
            TRY(read_context(c, sse));
        }
        TRY(use_bucket_key(c, sse));
        TRY(resolve_for_policy(c, sse));
    }
    c->sse = sse;
    return SL_OK;
}

struct sl_rc s3_sse_make_key(struct s3_call *c, struct s3_sse *sse) {
    if (!sse->explicit_header) {
        sse->kind = c->bucket.default_sse == MANIFEST_SSE_KMS ? MANIFEST_SSE_KMS : MANIFEST_SSE_S3;
        if (sse->kind == MANIFEST_SSE_KMS) {
            TRY(kms_may_be_used(c));
            sse->key_id = c->bucket.default_key;
            TRY(use_bucket_key(c, sse));
        }
    }
    struct key_ask k = {.c = c, .key_id = sse->key_id, .ret_key = &sse->key};
    TRY(full_context(c, sse->pairs, sse->pair_count, c->object_arn, &k.context));
    bool kms = sse->kind == MANIFEST_SSE_KMS;
    TRY(kmspool_call(c->env->kms, kms ? data_key_fn : service_key_fn, &k, c->err));
    sse->blob = k.ret_blob;
    sse->key_arn = kms ? k.ret_arn : SLICE_EMPTY;
    return SL_OK;
}

struct sl_rc s3_sse_check_decrypt(struct s3_call *c, const struct s3_sse *sse) {
    if (sse->kind != MANIFEST_SSE_KMS) {
        return SL_OK;
    }
    struct key_ask k = {.c = c, .key_id = sse->key_arn, .action = SLICE_LIT("kms:Decrypt")};
    TRY(full_context(c, sse->pairs, sse->pair_count, c->object_arn, &k.context));
    return kmspool_call(c->env->kms, check_fn, &k, c->err);
}

struct sl_rc s3_sse_open(struct s3_call *c, const struct manifest *m, struct slice blob,
                         struct slice arn, struct secret *ret) {
    bool kms = m->sse == MANIFEST_SSE_KMS;
    struct key_ask k = {.c = c, .key_id = m->key_arn, .blob = blob, .ret_key = ret};
    if (kms) {
        TRY(kms_may_be_used(c));
    }
    TRY(full_context(c, m->context, m->context_count, arn, &k.context));
    struct sl_rc rc =
        kmspool_call(c->env->kms, kms ? data_key_open_fn : service_key_open_fn, &k, c->err);
    if (rc.code == SL_E_KMS_INVALID_CIPHERTEXT || rc.code == SL_E_KMS_INCORRECT_KEY) {
        /* Its key opens, its context is stored: so the row was altered. */
        sl_error_clear(c->err);
        return sl_fail(c->err, SL_E_CORRUPT, "the wrapped data key does not open");
    }
    return rc;
}

void s3_sse_headers(struct s3_call *c, const struct manifest *m) {
    http_set_cstr(c->h, SSE, m->sse == MANIFEST_SSE_KMS ? "aws:kms" : "AES256");
    if (m->sse == MANIFEST_SSE_KMS) {
        http_set(c->h, SSE "-aws-kms-key-id", m->key_arn);
    }
    if (pair_of(m->context, m->context_count, ARN).ptr != NULL) {
        http_set_cstr(c->h, SSE "-bucket-key-enabled", "true");
    }
}

struct sl_rc s3_sse_named(struct s3_call *c, const struct manifest *m, struct slice arn) {
    bool bucket_key = pair_of(m->context, m->context_count, ARN).ptr != NULL;
    ENSURE(!bucket_key || slice_eq(pair_of(m->headers, m->header_count, ARN), arn), c->err,
           SL_E_CORRUPT, "the row is another object's");
    return SL_OK;
}
