/* Who asks, and may they: everything is asked of kms. The first question of a request carries its
 * head; later ones carry the session that the first answer gave. */
#include "server/api/s3/call_in.h"

#include <stdio.h>

enum { CHECKS_AT_ONCE = 50 };

struct ask {
    struct seam_authorize q;
    struct s3_call *c;
    struct seam_granted granted;
};

static struct sl_rc ask_fn(int fd, void *arg, struct sl_error *err) {
    struct ask *k = arg;
    return seam_authorize(fd, &k->q, k->c->a, err, &k->granted, &k->c->canonical,
                          &k->c->string_to_sign);
}

static struct sl_rc fill_request(struct s3_call *c, struct sigv4_request *ret) {
    struct sigv4_header *headers = arena_array(c->a, c->h->header_count + 1, sizeof *headers);
    ENSURE(headers != NULL, c->err, SL_E_NOMEM, "request needs too much memory");
    for (size_t i = 0; i < c->h->header_count; i++) {
        headers[i] = (struct sigv4_header){c->h->headers[i].name, c->h->headers[i].value};
    }
    *ret = (struct sigv4_request){.method = c->h->method,
                                  .path = c->h->path,
                                  .query = c->h->query,
                                  .headers = headers,
                                  .header_count = c->h->header_count,
                                  .payload_hash = c->payload_hash};
    return SL_OK;
}

/* Claim and payload hash, for the condition keys and the body. */
static struct sl_rc read_claim(struct s3_call *c, struct sigv4_request *req) {
    /* Signature Version 2 would else pass for no signature at all. */
    if (s3_param(c, "AWSAccessKeyId") != NULL ||
        slice_starts(s3_header(c, "authorization"), SLICE_LIT("AWS "))) {
        return s3_fail_as(c, 400, "InvalidRequest",
                          "The authorization mechanism you have provided is not supported. Please "
                          "use AWS4-HMAC-SHA256.");
    }
    TRY(sigv4_claim_parse(req, c->a, c->err, &c->claim));
    c->payload_hash = s3_header(c, "x-amz-content-sha256");
    if (c->payload_hash.ptr == NULL && c->claim.kind == SIGV4_HEADER) {
        return s3_fail_as(c, 400, "InvalidRequest",
                          "Missing required header for this request: x-amz-content-sha256");
    }
    if (c->payload_hash.ptr == NULL && c->claim.kind == SIGV4_QUERY) {
        c->payload_hash = SLICE_LIT("UNSIGNED-PAYLOAD");
    }
    req->payload_hash = c->payload_hash;
    return SL_OK;
}

static void general_conditions(struct s3_call *c) {
    if (c->h->peer->tls_minor > 0) {
        s3_condition(c, "s3:TlsVersion",
                     c->h->peer->tls_minor == 3 ? SLICE_LIT("1.3") : SLICE_LIT("1.2"));
    }
    const struct param *version = s3_param(c, "versionId");
    if (version != NULL) {
        s3_condition(c, "s3:VersionId", version->value);
    }
    if (c->claim.kind == SIGV4_NONE) {
        return;
    }
    s3_condition(c, "s3:signatureversion", SLICE_LIT("AWS4-HMAC-SHA256"));
    s3_condition(c, "s3:authType",
                 c->claim.kind == SIGV4_QUERY ? SLICE_LIT("REST-QUERY-STRING")
                                              : SLICE_LIT("REST-HEADER"));
    int64_t age_ms = clock_real_ms() - c->claim.when_s * 1000;
    const char *age = arena_printf(c->a, "%lld", (long long)(age_ms > 0 ? age_ms : 0));
    s3_condition(c, "s3:signatureAge", slice_cstr(age));
}

/* Request headers that are condition keys under their own name. */
static void header_conditions(struct s3_call *c) {
    static const char *const names[] = {"x-amz-acl",
                                        "x-amz-grant-full-control",
                                        "x-amz-grant-read",
                                        "x-amz-grant-read-acp",
                                        "x-amz-grant-write",
                                        "x-amz-grant-write-acp",
                                        "x-amz-content-sha256",
                                        "x-amz-copy-source",
                                        "x-amz-metadata-directive",
                                        "x-amz-storage-class",
                                        "x-amz-server-side-encryption",
                                        "x-amz-server-side-encryption-customer-algorithm",
                                        "if-match",
                                        "if-none-match"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct slice v = s3_header(c, names[i]);
        if (v.ptr != NULL) {
            s3_condition(c, arena_printf(c->a, "s3:%s", names[i]), v);
        }
    }
}

void s3_condition(struct s3_call *c, const char *name, struct slice value) {
    sl_assert(c->key_count < S3_CONDITION_KEYS_MAX);
    c->keys[c->key_count++] = (struct context_pair){slice_cstr(name), value};
}

static struct sl_rc ask_kms(struct s3_call *c, const struct seam_check *checks, size_t count,
                            struct slice policy) {
    char ip[sizeof c->h->peer->ip];
    snprintf(ip, sizeof ip, "%s", c->h->peer->ip);
    struct ask k = {.c = c};
    k.q = (struct seam_authorize){.service = SLICE_LIT("s3"),
                                  .request_id = slice_cstr(c->h->request_id),
                                  .peer_ip = slice_cstr(ip),
                                  .peer_tls = c->h->peer->tls,
                                  .checks = checks,
                                  .check_count = count,
                                  .resource_policy = policy};
    if (c->authenticated) {
        k.q.session = c->who.session;
    }
    TRY(fill_request(c, &k.q.request));
    TRY(kmspool_call(c->env->kms, ask_fn, &k, c->err));
    if (c->authenticated) {
        secret_fini(&k.granted.signing_key);
        return SL_OK;
    }
    c->who = k.granted;
    c->authenticated = true;
    return SL_OK;
}

/* Once per request, before the first question. */
static struct sl_rc prepare(struct s3_call *c) {
    if (c->claim_read) {
        return SL_OK;
    }
    struct sigv4_request req;
    TRY(fill_request(c, &req));
    TRY(read_claim(c, &req));
    c->claim_read = true;
    general_conditions(c);
    header_conditions(c);
    return SL_OK;
}

struct sl_rc s3_read_claim(struct s3_call *c) {
    return prepare(c);
}

struct sl_rc s3_authenticate(struct s3_call *c) {
    TRY(prepare(c));
    return c->authenticated ? SL_OK : ask_kms(c, NULL, 0, SLICE_EMPTY);
}

struct sl_rc s3_authorize_for(struct s3_call *c, const struct index_bucket *b, const char *action,
                              const struct slice *resources, size_t count) {
    TRY(prepare(c));
    if (b == NULL) {
        TRY(s3_authenticate(c)); /* the owner is the caller */
    }
    /* The owner of what is asked about: of the source, in copies. */
    struct slice owner = b ? b->account : c->who.account;
    struct context_pair keys[S3_CONDITION_KEYS_MAX + 1];
    memcpy(keys, c->keys, c->key_count * sizeof *keys);
    keys[c->key_count] = (struct context_pair){SLICE_LIT("s3:ResourceAccount"), owner};
    for (size_t at = 0; at < count; at += CHECKS_AT_ONCE) {
        struct seam_check checks[CHECKS_AT_ONCE];
        size_t n = count - at < CHECKS_AT_ONCE ? count - at : CHECKS_AT_ONCE;
        for (size_t i = 0; i < n; i++) {
            checks[i] = (struct seam_check){.action = slice_cstr(action),
                                            .resource = resources[at + i],
                                            .resource_account = owner,
                                            .keys = keys,
                                            .key_count = c->key_count + 1};
        }
        TRY(ask_kms(c, checks, n, b ? b->policy : SLICE_EMPTY));
    }
    return SL_OK;
}

struct sl_rc s3_authorize(struct s3_call *c, const char *action, struct slice resource) {
    bool have = c->bucket.name.len > 0;
    return s3_authorize_for(c, have ? &c->bucket : NULL, action, &resource, 1);
}

struct sl_rc s3_no_such_key(struct s3_call *c) {
    struct sl_error err = {0};
    struct sl_error *real = c->err;
    c->err = &err;
    struct sl_rc rc = s3_authorize(c, "s3:ListBucket", c->bucket_arn);
    c->err = real;
    sl_error_clear(c->err);
    if (sl_is_ok(rc)) {
        return sl_rc_of(SL_E_S3_NO_SUCH_KEY);
    }
    if (rc.code != SL_E_ACCESS_DENIED) {
        return rc;
    }
    c->err->denial = err.denial;
    return sl_fail(c->err, rc.code, "%s", err.detail);
}
