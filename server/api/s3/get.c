/* Reading objects: GET, HEAD, and stored objects as a source for copies. The first chunk is opened
 * before the status line leaves, so most damage is told in words; later damage cuts the
 * connection. */
#include "server/api/s3/call_in.h"

enum { FIND_TRIES = 4 };

static struct sl_rc find_once(struct s3_call *c, const struct blob_id *bucket, struct slice key,
                              struct s3_stored *s) {
    TRY(index_object_get(c->env->index, bucket, key, c->a, &s->row, c->err));
    TRY(manifest_decode(s->row.manifest, c->a, &s->manifest, c->err));
    ENSURE(blob_id_eq(&s->manifest.object, &s->row.id) && blob_id_eq(&s->manifest.bucket, bucket),
           c->err, SL_E_CORRUPT, "the manifest is another object's");
    s->owner = (struct blob_owner){.bucket = *bucket, .object = s->row.id};
    s->to = s->manifest.size;
    return SL_OK;
}

struct sl_rc s3_stored_find(struct s3_call *c, const struct blob_id *bucket, struct slice key,
                            struct s3_stored *ret) {
    for (int i = 0; i < FIND_TRIES; i++) {
        struct s3_stored s = {.c = c};
        bool current = false;
        TRY(find_once(c, bucket, key, &s));
        TRY(blob_pin(c->env->blobs, &s.row.id));
        s.pinned = true;
        /* A writer may have replaced it before the pin was there. */
        struct sl_rc rc =
            index_object_current(c->env->index, bucket, key, &s.row.id, &current, c->err);
        if (sl_is_ok(rc) && current) {
            *ret = s;
            return SL_OK;
        }
        s3_stored_end(&s);
        TRY(rc);
    }
    return sl_rc_of(SL_E_S3_SLOW_DOWN);
}

struct sl_rc s3_stored_open(struct s3_stored *s, struct slice arn) {
    TRY(s3_sse_open(s->c, &s->manifest, s->row.blob, arn, &s->key));
    TRY(manifest_check(&s->key, s->row.manifest, s->row.mac, s->c->err));
    return s3_sse_named(s->c, &s->manifest, arn);
}

void s3_stored_range(struct s3_stored *s, uint64_t from, uint64_t to) {
    s->from = from;
    s->to = to;
}

static struct sl_rc open_part(struct s3_stored *s, struct sl_error *err) {
    const struct blob_part *p = &s->manifest.parts[s->next_part].file;
    struct sl_rc rc = blob_reader_open(s->c->env->blobs, &s->key, &s->owner, p, &s->reader, err);
    if (rc.code == SL_E_NOT_FOUND) {
        return sl_rc_of(SL_E_CORRUPT);
    }
    TRY(rc);
    uint64_t end = s->part_start + p->size;
    blob_reader_range(s->reader, s->from - s->part_start,
                      (s->to < end ? s->to : end) - s->part_start);
    return SL_OK;
}

static void next_part(struct s3_stored *s) {
    blob_reader_free(s->reader);
    s->reader = NULL;
    s->part_start += s->manifest.parts[s->next_part].file.size;
    s->next_part++;
}

struct sl_rc s3_stored_next(void *stored, struct slice *ret, struct sl_error *err) {
    struct s3_stored *s = stored;
    const struct manifest *m = &s->manifest;
    for (;;) {
        /* An empty object still has its one chunk, whose tag is checked. */
        while (s->reader == NULL && m->size > 0 && s->next_part < m->part_count &&
               s->part_start + m->parts[s->next_part].file.size <= s->from) {
            next_part(s);
        }
        if (s->next_part == m->part_count || (m->size > 0 && s->from >= s->to)) {
            *ret = SLICE_EMPTY;
            return SL_OK;
        }
        if (s->reader == NULL) {
            TRY(open_part(s, err));
        }
        TRY(blob_read(s->reader, ret, err));
        if (ret->len > 0) {
            s->from += ret->len;
            return SL_OK;
        }
        next_part(s);
    }
}

void s3_stored_end(struct s3_stored *s) {
    blob_reader_free(s->reader);
    s->reader = NULL;
    secret_fini(&s->key);
    if (s->pinned) {
        blob_unpin(s->c->env->blobs, &s->row.id);
        s->pinned = false;
    }
}

/* ---- GET and HEAD */

/* Of UTF-8: no control characters, nothing above U+00FF. */
static struct sl_rc check_override(struct s3_call *c, const struct param *p) {
    for (size_t i = 0; i < p->value.len; i++) {
        uint8_t ch = p->value.ptr[i];
        if (ch < 0x20 || ch == 0x7f || ch > 0xc3) {
            s3_tell(c, "ArgumentName", p->name);
            s3_tell(c, "ArgumentValue", p->value);
            return sl_fail(c->err, SL_E_S3_INVALID_ARGUMENT,
                           "Header value cannot be represented using ISO-8859-1.");
        }
    }
    return SL_OK;
}

struct sl_rc s3_get_prepare(struct s3_call *c) {
    for (size_t i = 0; i < c->query.count; i++) {
        if (slice_starts(c->query.items[i].name, SLICE_LIT("response-"))) {
            TRY(check_override(c, &c->query.items[i]));
            TRY(s3_read_claim(c));
            if (c->claim.kind == SIGV4_NONE) {
                return s3_fail_as(c, 400, "InvalidRequest",
                                  "Request specific response headers cannot be used for anonymous "
                                  "GET requests.");
            }
        }
    }
    return s3_sse_refuse(c);
}

struct span {
    bool partial;
    bool by_part;
    uint64_t from;
    uint64_t to;
};

static struct sl_rc part_span(struct s3_call *c, const struct manifest *m, struct span *ret) {
    uint64_t number;
    TRY(s3_param_uint(c, "partNumber", LIMIT_S3_PARTS, 0, &number));
    if (s3_header(c, "range").ptr != NULL) {
        return s3_fail_as(c, 400, "InvalidRequest",
                          "Cannot specify both Range header and partNumber query parameter");
    }
    if (number == 0) {
        return s3_invalid(c, "partNumber", s3_param_value(c, "partNumber"),
                          "Part number must be an integer between 1 and 10000, inclusive");
    }
    /* Parts count from one in their order, whatever numbers the upload gave them. */
    if (number > m->part_count) {
        s3_tell_uint(c, "ActualPartCount", m->part_count);
        s3_tell_uint(c, "PartNumberRequested", number);
        return s3_fail_as(c, 416, "InvalidPartNumber",
                          "The requested partnumber is not satisfiable");
    }
    uint64_t at = 0;
    for (size_t i = 0; i + 1 < number; i++) {
        at += m->parts[i].file.size;
    }
    *ret = (struct span){true, true, at, at + m->parts[number - 1].file.size};
    ret->partial = m->size > 0;
    return SL_OK;
}

static struct sl_rc find_span(struct s3_call *c, const struct manifest *m, struct span *ret) {
    *ret = (struct span){.to = m->size};
    if (s3_param(c, "partNumber") != NULL) {
        return part_span(c, m, ret);
    }
    struct slice range = s3_header(c, "range");
    if (range.ptr == NULL) {
        return SL_OK;
    }
    switch (range_parse(range, m->size, &ret->from, &ret->to)) {
    case RANGE_PART:
        ret->partial = true;
        return SL_OK;
    case RANGE_UNSATISFIABLE:
        http_set_printf(c->h, "content-range", "bytes */%llu", (unsigned long long)m->size);
        s3_tell_uint(c, "ActualObjectSize", m->size);
        return sl_rc_of(SL_E_S3_INVALID_RANGE);
    default:
        return SL_OK;
    }
}

static struct sl_rc check_conditions(struct s3_call *c, const struct s3_stored *s) {
    struct range_conditions cond = s3_conditions(c, "");
    switch (range_check(&cond, s->manifest.etag, s->row.modified_ms / 1000)) {
    case RANGE_FAILED:
        return sl_rc_of(SL_E_S3_PRECONDITION);
    case RANGE_NOT_MODIFIED: {
        char when[30];
        clock_http(s->row.modified_ms / 1000, when);
        s3_set_etag(c, s->manifest.etag);
        http_set_cstr(c->h, "last-modified", when);
        return sl_rc_of(SL_E_S3_NOT_MODIFIED);
    }
    default:
        return SL_OK;
    }
}

static void span_headers(struct s3_call *c, const struct manifest *m, const struct span *sp) {
    c->status = sp->partial ? 206 : 200;
    http_status(c->h, c->status);
    if (sp->partial) {
        http_set_printf(c->h, "content-range", "bytes %llu-%llu/%llu", (unsigned long long)sp->from,
                        (unsigned long long)sp->to - 1, (unsigned long long)m->size);
    }
    if (sp->by_part && memchr(m->etag.ptr, '-', m->etag.len) != NULL) {
        http_set_printf(c->h, "x-amz-mp-parts-count", "%zu", m->part_count);
    }
}

static bool wants_checksum(const struct s3_call *c, const struct span *sp) {
    return !sp->partial && slice_ieq(s3_header(c, "x-amz-checksum-mode"), SLICE_LIT("ENABLED"));
}

/* Who may not read the tags isn't told their number. */
static struct sl_rc tag_count(struct s3_call *c, const struct manifest *m) {
    struct s3_tags tags;
    TRY(s3_tags_of(c, m, &tags));
    if (tags.count == 0) {
        return SL_OK;
    }
    struct sl_error ignored = {0};
    struct sl_error *real = c->err;
    c->err = &ignored;
    struct sl_rc rc = s3_authorize(c, "s3:GetObjectTagging", c->object_arn);
    c->err = real;
    if (sl_is_ok(rc)) {
        http_set_printf(c->h, "x-amz-tagging-count", "%zu", tags.count);
    }
    return SL_OK;
}

static struct sl_rc send_span(struct s3_call *c, struct s3_stored *s, const struct span *sp) {
    struct slice piece;
    s3_stored_range(s, sp->from, sp->to);
    TRY(s3_stored_next(s, &piece, c->err));
    s3_object_headers(c, &s->row, &s->manifest);
    span_headers(c, &s->manifest, sp);
    TRY(tag_count(c, &s->manifest));
    if (wants_checksum(c, sp)) {
        TRY(s3_checksum_headers(c, &s->manifest, &s->key));
    }
    TRY(http_reply_begin(c->h, sp->to - sp->from));
    while (piece.len > 0) {
        TRY(http_reply_write(c->h, piece));
        c->bytes_out += piece.len;
        TRY(s3_stored_next(s, &piece, c->err));
    }
    return SL_OK;
}

static struct sl_rc get_found(struct s3_call *c, struct s3_stored *s) {
    struct span sp;
    TRY(check_conditions(c, s));
    TRY(find_span(c, &s->manifest, &sp));
    TRY(s3_stored_open(s, c->object_arn));
    return send_span(c, s, &sp);
}

static struct sl_rc head_found(struct s3_call *c, struct s3_stored *s) {
    struct span sp;
    TRY(check_conditions(c, s));
    TRY(find_span(c, &s->manifest, &sp));
    if (wants_checksum(c, &sp)) {
        TRY(s3_stored_open(s, c->object_arn));
        TRY(s3_checksum_headers(c, &s->manifest, &s->key));
    }
    s3_object_headers(c, &s->row, &s->manifest);
    span_headers(c, &s->manifest, &sp);
    TRY(tag_count(c, &s->manifest));
    http_set_printf(c->h, "content-length", "%llu", (unsigned long long)(sp.to - sp.from));
    return http_reply_head(c->h);
}

/* The decision knows the object's tags. */
static struct sl_rc authorize_found(struct s3_call *c, const char *action, struct s3_stored *s) {
    struct s3_tags tags;
    TRY(s3_tags_of(c, &s->manifest, &tags));
    s3_tags_conditions(c, "s3:ExistingObjectTag/", NULL, &tags);
    return s3_authorize(c, action, c->object_arn);
}

struct sl_rc s3_with_object(struct s3_call *c, const char *action, s3_then_fn then) {
    struct s3_stored s = {.c = c};
    struct sl_rc rc = s3_stored_find(c, &c->bucket.id, c->key, &s);
    if (rc.code == SL_E_NOT_FOUND) {
        TRY(s3_authorize(c, action, c->object_arn));
        return s3_no_such_key(c);
    }
    TRY(rc);
    rc = authorize_found(c, action, &s);
    if (sl_is_ok(rc)) {
        rc = then(c, &s);
    }
    s3_stored_end(&s);
    return rc;
}

struct sl_rc s3_get_object(struct s3_call *c) {
    return s3_with_object(c, "s3:GetObject", get_found);
}

struct sl_rc s3_head_object(struct s3_call *c) {
    return s3_with_object(c, "s3:GetObject", head_found);
}
