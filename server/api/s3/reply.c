/* Answers: XML, headers of objects, owners. */
#include "server/api/s3/call_in.h"

#include "lib/crypto/crypto.h"

#include <stdio.h>

struct buf s3_xml(size_t max) {
    struct buf b = BUF_INIT(max);
    xmlw_decl(&b);
    return b;
}

struct sl_rc s3_reply_xml(struct s3_call *c, int status, struct buf *take) {
    struct sl_rc rc = buf_check(take, c->err);
    if (sl_is_ok(rc)) {
        c->status = status;
        http_status(c->h, status);
        http_set_cstr(c->h, "content-type", "application/xml");
        rc = http_reply(c->h, buf_slice(take));
    }
    buf_fini(take);
    return rc;
}

struct sl_rc s3_reply_empty(struct s3_call *c, int status) {
    c->status = status;
    http_status(c->h, status);
    return status == 204 ? http_reply_head(c->h) : http_reply(c->h, SLICE_EMPTY);
}

void s3_set_etag(struct s3_call *c, struct slice etag) {
    http_set_printf(c->h, "etag", "\"%.*s\"", SLICE_FMT(etag));
}

void s3_put_time(struct buf *out, const char *element, int64_t ms) {
    char text[25];
    clock_iso_ms(ms / 1000 * 1000, text);
    xmlw_cstr(out, element, text);
}

void s3_put_etag(struct buf *out, struct slice etag) {
    char text[128];
    snprintf(text, sizeof text, "\"%.*s\"", SLICE_FMT(etag));
    xmlw_cstr(out, "ETag", text);
}

void s3_canonical_id(struct slice account, char out[65]) {
    struct buf text = BUF_INIT(256);
    buf_puts(&text, "sealift/canonical-user/");
    buf_put(&text, account);
    uint8_t sum[SHA256_LEN];
    sha256(buf_slice(&text), sum);
    buf_fini(&text);
    for (size_t i = 0; i < sizeof sum; i++) {
        snprintf(out + 2 * i, 3, "%02x", sum[i]);
    }
}

void s3_put_owner(struct buf *out, const char *element, struct slice account) {
    char id[65];
    s3_canonical_id(account, id);
    xmlw_open(out, element);
    xmlw_cstr(out, "ID", id);
    xmlw_text(out, "DisplayName", account);
    xmlw_close(out, element);
}

void s3_put_name(struct s3_call *c, struct buf *out, const char *element, struct slice text) {
    if (!slice_eq_cstr(s3_param_value(c, "encoding-type"), "url")) {
        xmlw_text(out, element, text);
        return;
    }
    struct buf encoded = BUF_INIT(LIMIT_HTTP_HEAD_BYTES * 3);
    uri_encode(&encoded, text, true);
    xmlw_text(out, element, buf_slice(&encoded));
    buf_fini(&encoded);
}

/* response-* parameters of a signed GET replace headers. */
static struct slice overridden(struct s3_call *c, struct slice name) {
    static const char *const names[] = {"content-type",  "content-language",    "expires",
                                        "cache-control", "content-disposition", "content-encoding"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (slice_eq_cstr(name, names[i])) {
            char param[64];
            snprintf(param, sizeof param, "response-%s", names[i]);
            return s3_param_value(c, param);
        }
    }
    return SLICE_EMPTY;
}

static void set_pair(struct s3_call *c, struct slice name, struct slice value) {
    char text[256];
    if (name.len < sizeof text) {
        snprintf(text, sizeof text, "%.*s", SLICE_FMT(name));
        http_set(c->h, text, value);
    }
}

static void set_overrides(struct s3_call *c, const struct manifest *m) {
    for (size_t i = 0; i < c->query.count; i++) {
        struct slice name = c->query.items[i].name;
        const struct slice prefix = SLICE_LIT("response-");
        if (!slice_starts(name, prefix)) {
            continue;
        }
        struct slice header = slice_sub(name, prefix.len, name.len);
        bool stored = false;
        for (size_t j = 0; j < m->header_count; j++) {
            stored = stored || slice_eq(m->headers[j].name, header);
        }
        struct slice value = overridden(c, header);
        if (!stored && value.len > 0) {
            set_pair(c, header, value);
        }
    }
}

void s3_object_headers(struct s3_call *c, const struct index_object *o, const struct manifest *m) {
    char when[30];
    clock_http(o->modified_ms / 1000, when);
    http_set_cstr(c->h, "last-modified", when);
    http_set_cstr(c->h, "accept-ranges", "bytes");
    s3_set_etag(c, m->etag);
    for (size_t i = 0; i < m->header_count; i++) {
        if (slice_eq_cstr(m->headers[i].name, "x-amz-tagging") ||
            slice_eq_cstr(m->headers[i].name, "aws:s3:arn")) {
            continue; /* not for this answer: tags, and the name under a bucket key */
        }
        struct slice other = overridden(c, m->headers[i].name);
        set_pair(c, m->headers[i].name, other.len > 0 ? other : m->headers[i].value);
    }
    set_overrides(c, m);
    s3_sse_headers(c, m);
}

struct sl_rc s3_checksum_headers(struct s3_call *c, const struct manifest *m,
                                 const struct secret *key) {
    size_t len = checksum_len((enum checksum_kind)m->checksum_kind);
    if (len == 0) {
        return SL_OK;
    }
    struct slice all;
    TRY(manifest_unseal(key, &m->object, m->checksums, c->a, &all, c->err));
    ENSURE(all.len >= len, c->err, SL_E_CORRUPT, "checksums cut short");
    struct buf text = BUF_INIT(128);
    bool composite = m->checksum_type == CHECKSUM_COMPOSITE;
    checksum_text(slice_sub(all, 0, len), composite ? m->part_count : 0, &text);
    http_set(c->h, checksum_header((enum checksum_kind)m->checksum_kind), buf_slice(&text));
    http_set_cstr(c->h, "x-amz-checksum-type",
                  checksum_type_name((enum checksum_type)m->checksum_type));
    buf_fini(&text);
    return SL_OK;
}
