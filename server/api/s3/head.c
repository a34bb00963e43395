/* The request's head: path, query, headers, and errors about them. */
#include "server/api/s3/call_in.h"

#include <stdarg.h>
#include <stdio.h>

struct slice s3_header(const struct s3_call *c, const char *name) {
    return http_header(c->h, name);
}

const struct param *s3_param(const struct s3_call *c, const char *name) {
    return params_get(&c->query, name);
}

struct slice s3_param_value(const struct s3_call *c, const char *name) {
    const struct param *p = s3_param(c, name);
    return p ? p->value : SLICE_EMPTY;
}

struct sl_rc s3_invalid(struct s3_call *c, const char *name, struct slice value, const char *fmt,
                        ...) {
    char text[SL_ERROR_DETAIL_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    s3_tell(c, "ArgumentName", slice_cstr(name));
    s3_tell(c, "ArgumentValue", value);
    return sl_fail(c->err, SL_E_S3_INVALID_ARGUMENT, "%s", text);
}

void s3_tell(struct s3_call *c, const char *element, struct slice value) {
    if (c->extra_count < S3_ERROR_EXTRAS_MAX) {
        c->extras[c->extra_count++] =
            (struct context_pair){slice_cstr(element), arena_copy(c->a, value)};
    }
}

void s3_tell_uint(struct s3_call *c, const char *element, uint64_t value) {
    s3_tell(c, element, slice_cstr(arena_printf(c->a, "%llu", (unsigned long long)value)));
}

struct sl_rc s3_not_implemented(struct s3_call *c, const char *header) {
    s3_tell(c, "Header", slice_cstr(header));
    return sl_rc_of(SL_E_S3_NOT_IMPLEMENTED);
}

struct sl_rc s3_fail_as(struct s3_call *c, int status, const char *code, const char *message) {
    c->status_override = status;
    c->code_override = code;
    return sl_fail(c->err, SL_E_S3_INVALID_REQUEST, "%s", message);
}

void s3_untell(struct s3_call *c) {
    c->code_override = NULL;
    c->extra_count = 0;
}

void s3_forget_error(struct s3_call *c) {
    sl_error_clear(c->err);
    s3_untell(c);
}

static struct sl_rc read_uint(struct s3_call *c, const char *name, struct slice v, uint64_t max,
                              uint64_t fallback, uint64_t *ret) {
    *ret = fallback;
    if (v.len > 0 && !slice_u64(v, max, ret)) {
        return s3_invalid(c, name, v, "Provided %s not an integer or within integer range", name);
    }
    return SL_OK;
}

struct sl_rc s3_param_uint(struct s3_call *c, const char *name, uint64_t max, uint64_t fallback,
                           uint64_t *ret) {
    return read_uint(c, name, s3_param_value(c, name), max, fallback, ret);
}

struct sl_rc s3_header_uint(struct s3_call *c, const char *name, uint64_t max, uint64_t fallback,
                            uint64_t *ret) {
    return read_uint(c, name, s3_header(c, name), max, fallback, ret);
}

struct sl_rc s3_key_too_long(struct s3_call *c, struct slice key) {
    s3_tell_uint(c, "Size", key.len);
    s3_tell_uint(c, "MaxSizeAllowed", LIMIT_S3_KEY_BYTES);
    return sl_rc_of(SL_E_S3_KEY_TOO_LONG);
}

/* Host: BUCKET.DOMAIN, perhaps with a port. */
static bool bucket_of_host(struct s3_call *c, struct slice *ret) {
    struct slice domain = c->env->domain;
    struct slice host = s3_header(c, "host");
    host = slice_sub(host, 0, slice_find(host, ':'));
    if (domain.len == 0 || host.len < domain.len + 2) {
        return false;
    }
    size_t n = host.len - domain.len - 1;
    if (host.ptr[n] != '.' || !slice_ieq(slice_sub(host, n + 1, host.len), domain)) {
        return false;
    }
    *ret = slice_sub(host, 0, n);
    return true;
}

struct sl_rc s3_parse_target(struct s3_call *c) {
    struct slice path = c->h->path;
    ENSURE(path.len > 0 && path.ptr[0] == '/', c->err, SL_E_S3_INVALID_REQUEST,
           "The path must begin with a slash");
    TRY(params_parse(c->h->query, false, c->a, c->err, &c->query));
    path = slice_sub(path, 1, path.len);
    size_t slash = slice_find(path, '/');
    if (bucket_of_host(c, &c->bucket_name)) {
        TRY(uri_decode(path, false, c->a, c->err, &c->key));
    } else {
        TRY(uri_decode(slice_sub(path, 0, slash), false, c->a, c->err, &c->bucket_name));
        TRY(uri_decode(slice_sub(path, slash + 1, path.len), false, c->a, c->err, &c->key));
    }
    if (c->key.len > LIMIT_S3_KEY_BYTES) {
        return s3_key_too_long(c, c->key);
    }
    bool text = utf8_valid(c->key) && utf8_valid(c->bucket_name);
    for (size_t i = 0; i < c->query.count; i++) {
        text = text && utf8_valid(c->query.items[i].name) && utf8_valid(c->query.items[i].value);
    }
    if (!text) {
        return s3_fail_as(c, 400, "InvalidURI", "Couldn't parse the specified URI.");
    }
    ENSURE(c->bucket_name.len <= 255, c->err, SL_E_S3_BUCKET_NAME, "%s", "");
    c->bucket_arn = slice_cstr(arena_printf(c->a, "arn:aws:s3:::%.*s", SLICE_FMT(c->bucket_name)));
    c->object_arn = c->bucket_arn;
    if (c->key.len > 0) {
        struct buf arn = BUF_INIT(S3_ARN_MAX + 256);
        buf_put(&arn, c->bucket_arn);
        buf_putc(&arn, '/');
        buf_put(&arn, c->key);
        c->object_arn = arena_copy(c->a, buf_slice(&arn));
        buf_fini(&arn);
    }
    ENSURE(c->object_arn.len > 0, c->err, SL_E_NOMEM, "request needs too much memory");
    return SL_OK;
}

void s3_id_text(const struct blob_id *id, char out[33]) {
    for (size_t i = 0; i < BLOB_ID_LEN; i++) {
        snprintf(out + 2 * i, 3, "%02x", id->bytes[i]);
    }
}

bool s3_id_parse(struct slice text, struct blob_id *ret) {
    struct buf raw = BUF_INIT(64);
    bool ok = text.len == 32 && sl_is_ok(hex_get(text, &raw, NULL)) && raw.len == BLOB_ID_LEN;
    if (ok) {
        memcpy(ret->bytes, raw.ptr, BLOB_ID_LEN);
    }
    buf_fini(&raw);
    return ok;
}

struct sl_rc s3_write_condition(struct s3_call *c, struct index_condition *ret) {
    struct slice none = s3_header(c, "if-none-match");
    struct slice match = s3_header(c, "if-match");
    *ret = (struct index_condition){0};
    if (none.ptr != NULL) {
        if (!slice_eq_cstr(none, "*")) {
            return s3_not_implemented(c, "If-None-Match");
        }
        ret->if_absent = true;
    }
    if (match.len >= 2 && match.ptr[0] == '"' && match.ptr[match.len - 1] == '"') {
        match = slice_sub(match, 1, match.len - 1);
    }
    ret->if_match = match;
    return SL_OK;
}

struct range_conditions s3_conditions(const struct s3_call *c, const char *prefix) {
    char name[4][64];
    static const char *const heads[] = {"if-match", "if-none-match", "if-modified-since",
                                        "if-unmodified-since"};
    for (size_t i = 0; i < 4; i++) {
        snprintf(name[i], sizeof name[i], "%s%s", prefix, heads[i]);
    }
    return (struct range_conditions){s3_header(c, name[0]), s3_header(c, name[1]),
                                     s3_header(c, name[2]), s3_header(c, name[3])};
}

struct sl_rc s3_body_all(struct s3_call *c, size_t max, struct buf *out) {
    /* Completing an upload, checksum headers are of the object. */
    bool needs_digest = c->op->run == s3_delete_objects || c->op->run == s3_put_encryption ||
                        c->op->run == s3_put_object_tagging ||
                        c->op->run == s3_put_bucket_tagging || c->op->run == s3_put_ownership;
    struct body_conf conf = {.max_bytes = max,
                             .too_large = SL_E_S3_MALFORMED_XML,
                             .needs_digest = needs_digest,
                             .no_checksum = c->op->run == s3_complete_upload};
    struct body *b = NULL;
    TRY(body_open(c, &conf, &b));
    struct sl_rc rc;
    struct slice run;
    do {
        rc = body_next(b, &run, c->err);
        if (sl_is_ok(rc)) {
            buf_put(out, run);
        }
    } while (sl_is_ok(rc) && run.len > 0);
    body_free(b);
    TRY(rc);
    return buf_check(out, c->err);
}

struct sl_rc s3_body_xml(struct s3_call *c, size_t max, bool may_be_empty, struct buf *text,
                         struct arena *a, const struct xml **ret) {
    TRY(s3_body_all(c, max, text));
    *ret = NULL;
    if (text->len == 0 && may_be_empty) {
        return SL_OK;
    }
    if (sl_failed(xml_parse(buf_slice(text), a, NULL, ret))) {
        return sl_rc_of(SL_E_S3_MALFORMED_XML);
    }
    return SL_OK;
}

void s3_drop(struct s3_call *c, const struct index_dropped *d) {
    blob_drop(c->env->blobs, &d->object, d->parts, d->count);
}
