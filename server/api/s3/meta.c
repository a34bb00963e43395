/* Content headers and user metadata of a write. */
#include "server/api/s3/call_in.h"

static const char *const content_headers[] = {"content-type",        "content-encoding",
                                              "content-disposition", "content-language",
                                              "cache-control",       "expires"};

/* aws-chunked is framing, not the object's coding; what else was sent stays. */
static struct slice without_aws_chunked(struct s3_call *c, struct slice value) {
    struct buf out = BUF_INIT(LIMIT_HTTP_HEAD_BYTES);
    while (value.len > 0) {
        size_t comma = slice_find(value, ',');
        struct slice item = slice_trim(slice_sub(value, 0, comma));
        value = slice_sub(value, comma + 1, value.len);
        if (item.len == 0 || slice_ieq(item, SLICE_LIT("aws-chunked"))) {
            continue;
        }
        if (out.len > 0) {
            buf_putc(&out, ',');
        }
        buf_put(&out, item);
    }
    struct slice kept = arena_copy(c->a, buf_slice(&out));
    buf_fini(&out);
    return kept;
}

static bool is_content_header(struct slice name) {
    for (size_t i = 0; i < sizeof content_headers / sizeof *content_headers; i++) {
        if (slice_eq_cstr(name, content_headers[i])) {
            return true;
        }
    }
    return false;
}

struct sl_rc s3_meta_read(struct s3_call *c, const struct context_pair **ret, size_t *ret_count) {
    const struct slice meta = SLICE_LIT("x-amz-meta-");
    struct context_pair *pairs = arena_array(c->a, c->h->header_count + 1, sizeof *pairs);
    ENSURE(pairs != NULL, c->err, SL_E_NOMEM, "request needs too much memory");
    size_t n = 0;
    size_t user_bytes = 0;
    size_t all_bytes = 0;
    bool has_type = false;
    for (size_t i = 0; i < c->h->header_count; i++) {
        struct slice name = c->h->headers[i].name;
        struct slice value = c->h->headers[i].value;
        bool user = slice_starts(name, meta);
        if (!user && !is_content_header(name)) {
            continue;
        }
        if (user) {
            user_bytes += name.len - meta.len + value.len;
        }
        if (slice_eq_cstr(name, "content-encoding")) {
            value = without_aws_chunked(c, value);
            if (value.len == 0) {
                continue;
            }
        }
        has_type = has_type || slice_eq_cstr(name, "content-type");
        all_bytes += name.len + value.len;
        pairs[n++] = (struct context_pair){name, value};
    }
    if (user_bytes > LIMIT_S3_USER_META_BYTES) {
        s3_tell_uint(c, "Size", user_bytes);
        s3_tell_uint(c, "MaxSizeAllowed", LIMIT_S3_USER_META_BYTES);
        return sl_rc_of(SL_E_S3_META_TOO_LARGE);
    }
    if (all_bytes > LIMIT_S3_HEADERS_BYTES) {
        s3_tell_uint(c, "MaxSizeAllowed", LIMIT_S3_HEADERS_BYTES);
        return s3_fail_as(c, 400, "RequestHeaderSectionTooLarge",
                          "Your request header section exceeds the maximum allowed size.");
    }
    if (!has_type) {
        pairs[n++] =
            (struct context_pair){SLICE_LIT("content-type"), SLICE_LIT("binary/octet-stream")};
    }
    *ret = pairs;
    *ret_count = n;
    return SL_OK;
}

struct sl_rc s3_meta_replace(struct s3_call *c, const char *name, struct slice value,
                             struct manifest *m) {
    struct context_pair *all = arena_array(c->a, m->header_count + 1, sizeof *all);
    ENSURE(all != NULL, c->err, SL_E_NOMEM, "request needs too much memory");
    size_t n = 0;
    for (size_t i = 0; i < m->header_count; i++) {
        if (!slice_eq_cstr(m->headers[i].name, name)) {
            all[n++] = m->headers[i];
        }
    }
    if (value.len > 0) {
        all[n++] = (struct context_pair){slice_cstr(name), value};
    }
    m->headers = all;
    m->header_count = n;
    return SL_OK;
}
