/* Errors in S3's form. */
#include "server/api/s3/call_in.h"

#include "lib/base/log.h"
#include "lib/crypto/crypto.h"

#include <stdio.h>

enum { ERROR_MAX_BYTES = 256 * 1024 };

static bool is_kms(enum sl_code code) {
    return code >= SL_E_KMS_NOT_FOUND && code <= SL_E_KMS_INTERNAL;
}

void s3_error_code(const struct s3_call *c, struct sl_rc rc, const char **ret_code,
                   int *ret_status) {
    const struct sl_code_info *info = sl_code_info(rc.code);
    *ret_code = info->wire;
    *ret_status = info->http_status;
    if (c->code_override != NULL) {
        *ret_code = c->code_override;
        *ret_status = c->status_override;
    } else if (is_kms(rc.code)) {
        const char *code = arena_printf(c->a, "KMS.%s", info->wire);
        *ret_code = code ? code : info->wire;
    } else {
        switch (rc.code) {
        case SL_E_INTERNAL:
        case SL_E_IO:
        case SL_E_CORRUPT:
        case SL_E_NOT_FOUND:
            *ret_code = "InternalError";
            *ret_status = 500;
            break;
        case SL_E_CLOSED:
        case SL_E_TIMEOUT:
        case SL_E_SEALED:
        case SL_E_NOMEM:
            *ret_code = "ServiceUnavailable";
            *ret_status = 503;
            break;
        case SL_E_LIMIT:
        case SL_E_PARSE:
        case SL_E_VALIDATION:
            *ret_code = "InvalidRequest";
            *ret_status = 400;
            break;
        case SL_E_INCOMPLETE_SIGNATURE:
            *ret_code = "AuthorizationHeaderMalformed";
            break;
        case SL_E_MISSING_TOKEN:
            *ret_code = "AccessDenied";
            break;
        default:
            break;
        }
    }
}

void s3_error_text(const struct s3_call *c, struct sl_rc rc, struct slice *ret_message) {
    const char *code;
    int status;
    s3_error_code(c, rc, &code, &status);
    if (rc.code == SL_E_SEALED) {
        *ret_message = slice_cstr(sl_code_info(rc.code)->text);
        return;
    }
    if (status == 500 || status == 503) { /* causes are for the log */
        *ret_message = status == 500
                           ? SLICE_LIT("We encountered an internal error. Please try again.")
                           : SLICE_LIT("Service is unable to handle request.");
        return;
    }
    bool detail = c->err->code == rc.code && c->err->detail[0] != '\0';
    *ret_message = slice_cstr(detail ? c->err->detail : sl_code_info(rc.code)->text);
}

static void put_bytes(struct buf *out, const char *element, struct slice s) {
    buf_printf(out, "<%s>", element);
    for (size_t i = 0; i < s.len; i++) {
        buf_printf(out, "%s%02x", i ? " " : "", s.ptr[i]);
    }
    buf_printf(out, "</%s>", element);
}

/* The condition that did not hold, of a copy's source or of the object itself. */
static const char *failed_condition(const struct s3_call *c) {
    static const struct {
        const char *header, *shown;
    } names[] = {{"x-amz-copy-source-if-match", "x-amz-copy-source-If-Match"},
                 {"x-amz-copy-source-if-none-match", "x-amz-copy-source-If-None-Match"},
                 {"x-amz-copy-source-if-modified-since", "x-amz-copy-source-If-Modified-Since"},
                 {"x-amz-copy-source-if-unmodified-since", "x-amz-copy-source-If-Unmodified-Since"},
                 {"if-match", "If-Match"},
                 {"if-none-match", "If-None-Match"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (s3_header(c, names[i].header).ptr != NULL) {
            return names[i].shown;
        }
    }
    return "If-Unmodified-Since";
}

static void put_extras(struct s3_call *c, enum sl_code code, struct buf *out) {
    for (size_t i = 0; i < c->extra_count; i++) {
        char name[64];
        snprintf(name, sizeof name, "%.*s", SLICE_FMT(c->extras[i].name));
        xmlw_text(out, name, c->extras[i].value);
    }
    if (c->code_override != NULL) {
        return;
    }
    switch (code) {
    case SL_E_SIGNATURE:
        xmlw_text(out, "AWSAccessKeyId", c->claim.access_key_id);
        xmlw_text(out, "StringToSign", c->string_to_sign);
        xmlw_text(out, "SignatureProvided", c->claim.signature);
        put_bytes(out, "StringToSignBytes", c->string_to_sign);
        xmlw_text(out, "CanonicalRequest", c->canonical);
        put_bytes(out, "CanonicalRequestBytes", c->canonical);
        break;
    case SL_E_UNKNOWN_KEY_ID:
        xmlw_text(out, "AWSAccessKeyId", c->claim.access_key_id);
        break;
    case SL_E_SCOPE:
        if (c->bucket.region.len > 0) {
            xmlw_text(out, "Region", c->bucket.region);
        }
        break;
    case SL_E_S3_NO_SUCH_BUCKET:
    case SL_E_S3_NO_SUCH_BUCKET_POLICY:
    case SL_E_S3_BUCKET_EXISTS:
    case SL_E_S3_BUCKET_OWNED:
    case SL_E_S3_BUCKET_NOT_EMPTY:
    case SL_E_S3_BUCKET_NAME:
        xmlw_text(out, "BucketName", c->bucket_name);
        break;
    case SL_E_S3_NO_SUCH_KEY:
        xmlw_text(out, "Key", c->key);
        break;
    case SL_E_S3_NO_SUCH_UPLOAD:
    case SL_E_S3_INVALID_PART:
    case SL_E_S3_INVALID_PART_ORDER:
        xmlw_text(out, "UploadId", s3_param_value(c, "uploadId"));
        break;
    case SL_E_S3_METHOD_NOT_ALLOWED:
        xmlw_text(out, "Method", c->h->method);
        xmlw_cstr(out, "ResourceType",
                  c->key.len > 0           ? "OBJECT"
                  : c->bucket_name.len > 0 ? "BUCKET"
                                           : "SERVICE");
        break;
    case SL_E_S3_INVALID_DIGEST:
        xmlw_text(out, "Content-MD5", s3_header(c, "content-md5"));
        break;
    case SL_E_S3_INVALID_RANGE:
        xmlw_text(out, "RangeRequested", s3_header(c, "range"));
        break;
    case SL_E_S3_PRECONDITION:
        xmlw_cstr(out, "Condition", failed_condition(c));
        break;
    default:
        break;
    }
}

static void log_failure(struct s3_call *c, struct sl_rc rc, int status) {
    if (status < 500) {
        return;
    }
    sl_log(SL_ERROR, "s3_request_failed", "request_id=%s op=%s code=%s detail=%s", c->h->request_id,
           c->op ? c->op->name : "-", sl_code_info(rc.code)->name,
           SL_Q(slice_cstr(c->err->detail)));
}

void s3_reply_error(struct s3_call *c, struct sl_rc rc) {
    if (http_replied(c->h)) {
        log_failure(c, rc, 500);
        http_abort(c->h);
        return;
    }
    const char *code;
    int status;
    struct slice message;
    s3_error_code(c, rc, &code, &status);
    s3_error_text(c, rc, &message);
    log_failure(c, rc, status);
    c->status = status;
    http_status(c->h, status);
    if (status == 304) {
        sl_ignore(http_reply_head(c->h));
        return;
    }
    struct buf xml = s3_xml(ERROR_MAX_BYTES);
    xmlw_open(&xml, "Error");
    xmlw_cstr(&xml, "Code", code);
    xmlw_text(&xml, "Message", message);
    if (rc.code == SL_E_ACCESS_DENIED && c->err->denial != NULL) {
        http_set_cstr(c->h, DENIAL_HEADER, c->err->denial);
        xmlw_cstr(&xml, DENIAL_ELEMENT, c->err->denial);
    }
    put_extras(c, rc.code, &xml);
    xmlw_text(&xml, "Resource", c->h->path);
    xmlw_cstr(&xml, "RequestId", c->h->request_id);
    xmlw_text(&xml, "HostId", c->host_id);
    xmlw_close(&xml, "Error");
    http_set_cstr(c->h, "content-type", "application/xml");
    bool head = slice_eq_cstr(c->h->method, "HEAD");
    sl_ignore(http_reply(c->h, head ? SLICE_EMPTY : buf_slice(&xml)));
    buf_fini(&xml);
}
