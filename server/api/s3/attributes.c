/* GetObjectAttributes: what is known of an object, picked by name. */
#include "server/api/s3/call_in.h"

enum { ATTRIBUTES_XML_MAX = 4 * 1024 * 1024 };

struct wish {
    bool etag, checksum, parts, storage_class, size;
    uint64_t max_parts;
    uint64_t after; /* part number */
};

static struct sl_rc wish_for(struct s3_call *c, struct slice list, struct wish *w, size_t *n) {
    struct {
        const char *name;
        bool *flag;
    } names[] = {{"ETag", &w->etag},
                 {"Checksum", &w->checksum},
                 {"ObjectParts", &w->parts},
                 {"StorageClass", &w->storage_class},
                 {"ObjectSize", &w->size}};
    while (list.len > 0) {
        size_t comma = slice_find(list, ',');
        struct slice item = slice_trim(slice_sub(list, 0, comma));
        list = slice_sub(list, comma + 1, list.len);
        bool known = false;
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            if (slice_eq_cstr(item, names[i].name)) {
                *names[i].flag = known = true;
            }
        }
        if (!known) {
            return s3_invalid(c, "x-amz-object-attributes", item,
                              "Invalid attribute name specified.");
        }
        (*n)++;
    }
    return SL_OK;
}

/* Some SDKs send one header for each name. */
static struct sl_rc read_wish(struct s3_call *c, struct wish *w) {
    size_t n = 0;
    *w = (struct wish){.max_parts = LIMIT_S3_LIST_KEYS};
    for (size_t i = 0; i < c->h->header_count; i++) {
        if (slice_eq_cstr(c->h->headers[i].name, "x-amz-object-attributes")) {
            TRY(wish_for(c, c->h->headers[i].value, w, &n));
        }
    }
    ENSURE(n > 0, c->err, SL_E_S3_INVALID_REQUEST,
           "The x-amz-object-attributes header specifying the attributes to be retrieved is either "
           "missing or empty");
    TRY(s3_header_uint(c, "x-amz-max-parts", INT32_MAX, LIMIT_S3_LIST_KEYS, &w->max_parts));
    if (w->max_parts > LIMIT_S3_LIST_KEYS) {
        w->max_parts = LIMIT_S3_LIST_KEYS;
    }
    return s3_header_uint(c, "x-amz-part-number-marker", INT32_MAX, 0, &w->after);
}

static void put_sum(struct buf *xml, const struct manifest *m, struct slice sum, bool whole) {
    struct buf text = BUF_INIT(128);
    bool composite = whole && m->checksum_type == CHECKSUM_COMPOSITE;
    checksum_text(sum, composite ? m->part_count : 0, &text);
    xmlw_text(xml, checksum_element((enum checksum_kind)m->checksum_kind), buf_slice(&text));
    buf_fini(&text);
}

static bool is_multipart(const struct manifest *m) {
    return memchr(m->etag.ptr, '-', m->etag.len) != NULL;
}

/* sums: the object's, then each part's. */
static void put_parts(struct buf *xml, const struct manifest *m, const struct wish *w,
                      struct slice sums, size_t len) {
    uint64_t shown = 0;
    uint64_t last = w->after;
    bool more = false;
    xmlw_open(xml, "ObjectParts");
    xmlw_int(xml, "PartsCount", (int64_t)m->part_count);
    xmlw_int(xml, "PartNumberMarker", (int64_t)w->after);
    xmlw_int(xml, "MaxParts", (int64_t)w->max_parts);
    for (size_t i = 0; i < m->part_count && !more; i++) {
        if (i + 1 <= w->after) {
            continue;
        }
        more = shown == w->max_parts;
        if (more) {
            break;
        }
        xmlw_open(xml, "Part");
        xmlw_int(xml, "PartNumber", (int64_t)i + 1);
        xmlw_int(xml, "Size", (int64_t)m->parts[i].file.size);
        if (sums.len >= len * (i + 2)) {
            put_sum(xml, m, slice_sub(sums, len * (i + 1), len * (i + 2)), false);
        }
        xmlw_close(xml, "Part");
        last = i + 1;
        shown++;
    }
    xmlw_int(xml, "NextPartNumberMarker", (int64_t)last);
    xmlw_bool(xml, "IsTruncated", more);
    xmlw_close(xml, "ObjectParts");
}

static struct sl_rc put_attributes(struct s3_call *c, struct s3_stored *s, const struct wish *w,
                                   struct buf *xml) {
    const struct manifest *m = &s->manifest;
    size_t len = checksum_len((enum checksum_kind)m->checksum_kind);
    struct slice sums = SLICE_EMPTY;
    if (w->checksum || w->parts) { /* sums are sealed: only who may use the key sees them */
        TRY(s3_stored_open(s, c->object_arn));
        TRY(manifest_unseal(&s->key, &m->object, m->checksums, c->a, &sums, c->err));
        ENSURE(sums.len >= len, c->err, SL_E_CORRUPT, "checksums cut short");
    }
    if (w->etag) {
        xmlw_text(xml, "ETag", m->etag);
    }
    if (w->checksum && len > 0) {
        xmlw_open(xml, "Checksum");
        put_sum(xml, m, slice_sub(sums, 0, len), true);
        xmlw_cstr(xml, "ChecksumType", checksum_type_name((enum checksum_type)m->checksum_type));
        xmlw_close(xml, "Checksum");
    }
    if (w->parts && is_multipart(m)) {
        put_parts(xml, m, w, sums, len);
    }
    if (w->storage_class) {
        xmlw_cstr(xml, "StorageClass", "STANDARD");
    }
    if (w->size) {
        xmlw_int(xml, "ObjectSize", (int64_t)m->size);
    }
    return SL_OK;
}

static struct sl_rc attributes_found(struct s3_call *c, struct s3_stored *s) {
    struct wish w;
    char when[30];
    TRY(s3_authorize(c, "s3:GetObjectAttributes", c->object_arn));
    TRY(read_wish(c, &w));
    struct buf xml = s3_xml(ATTRIBUTES_XML_MAX);
    xmlw_open_ns(&xml, "GetObjectAttributesResponse", S3_NS);
    struct sl_rc rc = put_attributes(c, s, &w, &xml);
    if (sl_failed(rc)) {
        buf_fini(&xml);
        return rc;
    }
    xmlw_close(&xml, "GetObjectAttributesResponse");
    clock_http(s->row.modified_ms / 1000, when);
    http_set_cstr(c->h, "last-modified", when);
    return s3_reply_xml(c, 200, &xml);
}

struct sl_rc s3_get_attributes(struct s3_call *c) {
    return s3_with_object(c, "s3:GetObject", attributes_found);
}
