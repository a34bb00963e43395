/* Listings of objects: version 1, version 2, and versions (of which each object has one). */
#include "server/api/s3/call_in.h"

enum { LIST_XML_MAX = 16 * 1024 * 1024 };

struct sl_rc s3_list_prepare(struct s3_call *c) {
    static const char *const names[] = {"prefix", "delimiter", "max-keys"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct param *p = s3_param(c, names[i]);
        if (p != NULL) {
            s3_condition(c, arena_printf(c->a, "s3:%s", names[i]), p->value);
        }
    }
    struct slice encoding = s3_param_value(c, "encoding-type");
    if (encoding.len > 0 && !slice_eq_cstr(encoding, "url")) {
        return s3_invalid(c, "encoding-type", encoding,
                          "Invalid Encoding Method specified in Request");
    }
    return SL_OK;
}

static struct sl_rc read_query(struct s3_call *c, struct index_list_query *q) {
    uint64_t max;
    TRY(s3_param_uint(c, "max-keys", INT32_MAX, LIMIT_S3_LIST_KEYS, &max));
    q->max = max < LIMIT_S3_LIST_KEYS ? (size_t)max : LIMIT_S3_LIST_KEYS;
    struct slice type = s3_param_value(c, "list-type");
    if (type.len > 0 && !slice_eq_cstr(type, "2")) {
        return s3_invalid(c, "list-type", type, "Invalid List Type specified in Request");
    }
    q->prefix = s3_param_value(c, "prefix");
    q->delimiter = s3_param_value(c, "delimiter");
    return SL_OK;
}

/* A marker that is itself a rolled-up prefix means: after everything in it. */
static bool is_rolled(const struct index_list_query *q) {
    if (q->delimiter.len == 0 || !slice_starts(q->after, q->prefix) ||
        !slice_ends(q->after, q->delimiter)) {
        return false;
    }
    struct slice rest = slice_sub(q->after, q->prefix.len, q->after.len);
    const uint8_t *hit =
        rest.len ? memmem(rest.ptr, rest.len, q->delimiter.ptr, q->delimiter.len) : NULL;
    return hit != NULL && (size_t)(hit - rest.ptr) + q->delimiter.len == rest.len;
}

static void put_checksum(struct buf *xml, const struct index_object *o) {
    if (o->checksum_kind != CHECKSUM_NONE) {
        xmlw_cstr(xml, "ChecksumAlgorithm", checksum_name((enum checksum_kind)o->checksum_kind));
        xmlw_cstr(xml, "ChecksumType", checksum_type_name((enum checksum_type)o->checksum_type));
    }
}

static void put_entries(struct s3_call *c, struct buf *xml, const struct index_list *l,
                        const char *element, bool owner) {
    for (size_t i = 0; i < l->count; i++) {
        const struct index_object *o = &l->entries[i].object;
        if (l->entries[i].is_prefix) {
            continue;
        }
        bool version = slice_eq_cstr(slice_cstr(element), "Version");
        xmlw_open(xml, element);
        s3_put_name(c, xml, "Key", o->key);
        if (version) {
            xmlw_cstr(xml, "VersionId", "null");
            xmlw_bool(xml, "IsLatest", true);
        }
        s3_put_time(xml, "LastModified", o->modified_ms);
        s3_put_etag(xml, o->etag);
        put_checksum(xml, o);
        xmlw_int(xml, "Size", (int64_t)o->size);
        if (owner) {
            s3_put_owner(xml, "Owner", c->bucket.account);
        }
        xmlw_cstr(xml, "StorageClass", "STANDARD");
        xmlw_close(xml, element);
    }
    for (size_t i = 0; i < l->count; i++) {
        if (l->entries[i].is_prefix) {
            xmlw_open(xml, "CommonPrefixes");
            s3_put_name(c, xml, "Prefix", l->entries[i].object.key);
            xmlw_close(xml, "CommonPrefixes");
        }
    }
}

static void put_common(struct s3_call *c, struct buf *xml, const struct index_list_query *q,
                       const struct index_list *l) {
    xmlw_text(xml, "Name", c->bucket_name);
    s3_put_name(c, xml, "Prefix", q->prefix);
    if (q->delimiter.len > 0) {
        s3_put_name(c, xml, "Delimiter", q->delimiter);
    }
    xmlw_int(xml, "MaxKeys", (int64_t)q->max);
    if (s3_param_value(c, "encoding-type").len > 0) {
        xmlw_cstr(xml, "EncodingType", "url");
    }
    xmlw_bool(xml, "IsTruncated", l->truncated);
}

struct sl_rc s3_list_v1(struct s3_call *c) {
    struct index_list_query q = {0};
    struct index_list l;
    TRY(read_query(c, &q));
    q.after = s3_param_value(c, "marker");
    q.after_is_prefix = is_rolled(&q);
    TRY(index_list(c->env->index, &c->bucket.id, &q, c->a, &l, c->err));
    struct buf xml = s3_xml(LIST_XML_MAX);
    xmlw_open_ns(&xml, "ListBucketResult", S3_NS);
    put_common(c, &xml, &q, &l);
    s3_put_name(c, &xml, "Marker", q.after);
    if (l.truncated && q.delimiter.len > 0) {
        s3_put_name(c, &xml, "NextMarker", l.entries[l.count - 1].object.key);
    }
    put_entries(c, &xml, &l, "Contents", true);
    xmlw_close(&xml, "ListBucketResult");
    return s3_reply_xml(c, 200, &xml);
}

/* The token is the last entry: 'k' or 'p', then the key or prefix. */
static struct sl_rc read_token(struct s3_call *c, struct slice token, struct index_list_query *q) {
    struct buf raw = BUF_INIT(LIMIT_S3_KEY_BYTES + 1);
    struct sl_rc rc = base64_get(token, &raw, NULL);
    if (sl_is_ok(rc) && raw.len >= 2 && (raw.ptr[0] == 'k' || raw.ptr[0] == 'p')) {
        q->after_is_prefix = raw.ptr[0] == 'p';
        q->after = arena_copy(c->a, slice_sub(buf_slice(&raw), 1, raw.len));
    } else {
        rc = sl_rc_of(SL_E_PARSE);
    }
    buf_fini(&raw);
    if (sl_failed(rc)) {
        return s3_invalid(c, "continuation-token", token,
                          "The continuation token provided is incorrect");
    }
    return SL_OK;
}

static void put_token(struct buf *xml, const struct index_list_entry *last) {
    struct buf raw = BUF_INIT(LIMIT_S3_KEY_BYTES + 1);
    struct buf text = BUF_INIT(2 * LIMIT_S3_KEY_BYTES);
    buf_putc(&raw, last->is_prefix ? 'p' : 'k');
    buf_put(&raw, last->object.key);
    base64_put(&text, buf_slice(&raw));
    xmlw_text(xml, "NextContinuationToken", buf_slice(&text));
    buf_fini(&raw);
    buf_fini(&text);
}

struct sl_rc s3_list_v2(struct s3_call *c) {
    struct index_list_query q = {0};
    struct index_list l;
    TRY(read_query(c, &q));
    const struct param *token = s3_param(c, "continuation-token");
    const struct param *owner = s3_param(c, "fetch-owner");
    bool with_owner = owner != NULL && slice_eq_cstr(owner->value, "true");
    if (owner != NULL && !with_owner && !slice_eq_cstr(owner->value, "false")) {
        return s3_invalid(c, "fetch-owner", owner->value, "Argument fetch-owner must be a boolean");
    }
    struct slice start = s3_param_value(c, "start-after");
    if (token != NULL) {
        TRY(read_token(c, token->value, &q));
    } else {
        q.after = start;
        q.after_is_prefix = is_rolled(&q);
    }
    TRY(index_list(c->env->index, &c->bucket.id, &q, c->a, &l, c->err));
    struct buf xml = s3_xml(LIST_XML_MAX);
    xmlw_open_ns(&xml, "ListBucketResult", S3_NS);
    put_common(c, &xml, &q, &l);
    xmlw_int(&xml, "KeyCount", (int64_t)l.count);
    if (token != NULL) {
        xmlw_text(&xml, "ContinuationToken", token->value);
    }
    if (start.len > 0) {
        s3_put_name(c, &xml, "StartAfter", start);
    }
    if (l.truncated) {
        put_token(&xml, &l.entries[l.count - 1]);
    }
    put_entries(c, &xml, &l, "Contents", with_owner);
    xmlw_close(&xml, "ListBucketResult");
    return s3_reply_xml(c, 200, &xml);
}

struct sl_rc s3_list_versions(struct s3_call *c) {
    struct index_list_query q = {0};
    struct index_list l;
    const struct param *version = s3_param(c, "version-id-marker");
    TRY(read_query(c, &q));
    q.after = s3_param_value(c, "key-marker");
    if (version != NULL && version->value.len == 0) {
        return s3_invalid(c, "version-id-marker", version->value,
                          "A version-id marker cannot be empty.");
    }
    if (version != NULL && q.after.len == 0) {
        return s3_invalid(c, "version-id-marker", version->value,
                          "A version-id marker cannot be specified without a key marker.");
    }
    if (version != NULL && !slice_eq_cstr(version->value, "null")) {
        return s3_invalid(c, "version-id-marker", version->value, "Invalid version id specified");
    }
    q.after_is_prefix = is_rolled(&q);
    TRY(index_list(c->env->index, &c->bucket.id, &q, c->a, &l, c->err));
    struct buf xml = s3_xml(LIST_XML_MAX);
    xmlw_open_ns(&xml, "ListVersionsResult", S3_NS);
    put_common(c, &xml, &q, &l);
    s3_put_name(c, &xml, "KeyMarker", q.after);
    xmlw_text(&xml, "VersionIdMarker", s3_param_value(c, "version-id-marker"));
    if (l.truncated) {
        s3_put_name(c, &xml, "NextKeyMarker", l.entries[l.count - 1].object.key);
        xmlw_cstr(&xml, "NextVersionIdMarker", "null");
    }
    put_entries(c, &xml, &l, "Version", true);
    xmlw_close(&xml, "ListVersionsResult");
    return s3_reply_xml(c, 200, &xml);
}
