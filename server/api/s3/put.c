/* Writing objects in one piece: PutObject and CopyObject. Policy and data key are settled before
 * the first byte of the body is read. */
#include "server/api/s3/put_in.h"

#include <stdio.h>

enum { COPY_XML_MAX = 64 * 1024 };

struct sl_rc s3_put_prepare(struct s3_call *c) {
    TRY(s3_tags_prepare(c));
    return s3_sse_prepare(c);
}

/* ---- sums of a stream that is no request body */

struct sl_rc tally_init(struct tally *t, enum checksum_kind kind) {
    *t = (struct tally){0};
    TRY(digest_new(DIGEST_MD5, &t->md5));
    TRY(digest_new(DIGEST_SHA256, &t->sha256));
    return checksum_init(&t->checksum, kind);
}

struct sl_rc tally_next(void *tally, struct slice *ret, struct sl_error *err) {
    struct tally *t = tally;
    TRY(t->next(t->source, ret, err));
    if (ret->len > 0) {
        t->size += ret->len;
        digest_more(t->md5, *ret);
        digest_more(t->sha256, *ret);
        checksum_more(&t->checksum, *ret);
    } else if (!t->ended) {
        t->ended = true;
        digest_end(t->md5, t->md5_sum);
        digest_end(t->sha256, t->sha256_sum);
        checksum_end(&t->checksum, t->sum);
    }
    return SL_OK;
}

void tally_fini(struct tally *t) {
    digest_free(t->md5);
    digest_free(t->sha256);
    checksum_fini(&t->checksum);
}

/* ---- shared with parts */

struct sl_rc put_seal(struct s3_call *c, const struct secret *key, const struct blob_owner *owner,
                      s3_source_fn next, void *source, struct blob_part *ret) {
    struct blob_writer *w = NULL;
    struct slice piece;
    TRY(blob_writer_new(c->env->blobs, key, owner, &w, c->err));
    struct sl_rc rc = SL_OK;
    do {
        rc = next(source, &piece, c->err);
        if (sl_is_ok(rc) && piece.len > 0) {
            rc = blob_write(w, piece, c->err);
        }
    } while (sl_is_ok(rc) && piece.len > 0);
    if (sl_is_ok(rc)) {
        rc = blob_finish(w, ret, c->err);
    }
    blob_writer_free(w);
    return rc;
}

struct sl_rc put_etag(uint8_t sse, const struct secret *key, const uint8_t *md5,
                      const uint8_t *sum256, char ret[33]) {
    if (sse == MANIFEST_SSE_KMS) {
        return manifest_opaque_etag(key, sum256, ret);
    }
    for (size_t i = 0; i < MD5_LEN; i++) {
        snprintf(ret + 2 * i, 3, "%02x", md5[i]);
    }
    return SL_OK;
}

/* Manifest, MAC, row; the part's file goes again when the row can't be. */
static struct sl_rc commit(struct s3_call *c, struct manifest *m, struct slice checksum,
                           const struct index_condition *cond, struct index_object *ret_row) {
    struct buf sealed = BUF_INIT(1024);
    struct buf bytes = BUF_INIT(MANIFEST_MAX_BYTES);
    uint8_t mac[MANIFEST_MAC_LEN];
    struct index_dropped dropped = {0};
    struct sl_rc rc = manifest_seal(&c->sse->key, &m->object, checksum, &sealed, c->err);
    if (sl_is_ok(rc)) {
        m->checksums = buf_slice(&sealed);
        manifest_encode(m, &bytes);
        rc = buf_check(&bytes, c->err);
    }
    if (sl_is_ok(rc)) {
        rc = manifest_mac(&c->sse->key, buf_slice(&bytes), mac);
    }
    if (sl_is_ok(rc)) {
        *ret_row = (struct index_object){.key = c->key,
                                         .id = m->object,
                                         .etag = m->etag,
                                         .size = m->size,
                                         .modified_ms = m->created_ms,
                                         .checksum_kind = m->checksum_kind,
                                         .checksum_type = m->checksum_type,
                                         .manifest = buf_slice(&bytes),
                                         .mac = slice_of(mac, sizeof mac),
                                         .blob = c->sse->blob};
        rc = index_object_put(c->env->index, &m->bucket, ret_row, &m->parts[0].file.id, 1, cond,
                              c->a, &dropped, c->err);
    }
    buf_fini(&sealed);
    buf_fini(&bytes);
    if (sl_failed(rc)) {
        blob_drop(c->env->blobs, &m->object, &m->parts[0].file.id, 1);
        return rc;
    }
    s3_drop(c, &dropped);
    return SL_OK;
}

static struct sl_rc new_manifest(struct s3_call *c, struct manifest *m) {
    m->bucket = c->bucket.id;
    blob_id_random(&m->object);
    return s3_sse_into(c, m);
}

static void context_header(struct s3_call *c) {
    if (c->sse->context_text.ptr != NULL) {
        http_set(c->h, "x-amz-server-side-encryption-context", c->sse->context_text);
    }
}

/* ---- PutObject */

static struct sl_rc put_body(struct s3_call *c, struct manifest *m, struct body *body,
                             const struct index_condition *cond) {
    struct blob_owner owner = {.bucket = m->bucket, .object = m->object};
    struct manifest_part part = {.number = 1};
    TRY(put_seal(c, &c->sse->key, &owner, body_next, body, &part.file));
    char etag[33];
    struct sl_rc rc = put_etag(m->sse, &c->sse->key, body_md5(body), body_sha256(body), etag);
    if (sl_failed(rc)) {
        blob_drop(c->env->blobs, &m->object, &part.file.id, 1);
        return rc;
    }
    struct slice sum;
    m->checksum_kind = (uint8_t)body_checksum(body, &sum);
    m->checksum_type = CHECKSUM_FULL_OBJECT;
    m->parts = &part;
    m->part_count = 1;
    m->size = part.file.size;
    m->etag = slice_of(etag, 32);
    m->created_ms = clock_real_ms();
    struct index_object row;
    TRY(commit(c, m, sum, cond, &row));
    s3_set_etag(c, m->etag);
    struct buf text = BUF_INIT(128);
    checksum_text(sum, 0, &text);
    http_set(c->h, checksum_header((enum checksum_kind)m->checksum_kind), buf_slice(&text));
    http_set_cstr(c->h, "x-amz-checksum-type", "FULL_OBJECT");
    buf_fini(&text);
    s3_sse_headers(c, m);
    context_header(c);
    return s3_reply_empty(c, 200);
}

struct sl_rc s3_put_object(struct s3_call *c) {
    struct manifest m = {0};
    struct index_condition cond;
    struct body *body = NULL;
    if (!c->h->has_length && !c->h->chunked) {
        return sl_rc_of(SL_E_S3_MISSING_LENGTH);
    }
    TRY(s3_tags_allowed(c));
    TRY(s3_write_condition(c, &cond));
    TRY(s3_meta_read(c, &m.headers, &m.header_count));
    TRY(s3_tags_into(c, &c->tags, &m));
    bool kms = c->sse->explicit_header ? c->sse->kind == MANIFEST_SSE_KMS
                                       : c->bucket.default_sse == MANIFEST_SSE_KMS;
    struct body_conf conf = {.want_md5 = !kms,
                             .want_sha256 = kms,
                             .want_checksum = true,
                             .max_bytes = LIMIT_S3_PUT_BYTES,
                             .too_large = SL_E_S3_TOO_LARGE};
    TRY(body_open(c, &conf, &body));
    struct sl_rc rc = s3_sse_make_key(c, c->sse);
    if (sl_is_ok(rc)) {
        rc = new_manifest(c, &m);
    }
    if (sl_is_ok(rc)) {
        rc = put_body(c, &m, body, &cond);
    }
    body_free(body);
    return rc;
}

/* ---- CopyObject */

struct sl_rc put_copy_source(struct s3_call *c, struct copy_source *ret) {
    struct slice raw = s3_header(c, "x-amz-copy-source");
    size_t question = slice_find(raw, '?');
    struct slice version = slice_sub(raw, question + 1, raw.len);
    struct slice path;
    TRY(uri_decode(slice_sub(raw, 0, question), false, c->a, c->err, &path));
    if (path.len > 0 && path.ptr[0] == '/') {
        path = slice_sub(path, 1, path.len);
    }
    size_t slash = slice_find(path, '/');
    ret->bucket_name = slice_sub(path, 0, slash);
    ret->key = slice_sub(path, slash + 1, path.len);
    const struct slice name = SLICE_LIT("versionId=");
    if (version.len > 0 && !slice_starts(version, name)) {
        return s3_invalid(c, "x-amz-copy-source", raw, "Unsupported copy source parameter.");
    }
    TRY(s3_check_version(c, ret->key, slice_sub(version, name.len, version.len)));
    if (ret->bucket_name.len == 0 || ret->key.len == 0 || ret->key.len > LIMIT_S3_KEY_BYTES) {
        return s3_invalid(c, "x-amz-copy-source", raw,
                          "Copy Source must mention the source bucket and key: "
                          "sourcebucket/sourcekey");
    }
    struct buf arn = BUF_INIT(S3_ARN_MAX + 256);
    buf_puts(&arn, "arn:aws:s3:::");
    buf_put(&arn, path);
    ret->arn = arena_copy(c->a, buf_slice(&arn));
    buf_fini(&arn);
    ENSURE(ret->arn.len > 0, c->err, SL_E_NOMEM, "request needs too much memory");
    struct sl_rc rc = index_bucket_get(c->env->index, ret->bucket_name, c->a, &ret->bucket, c->err);
    if (rc.code == SL_E_NOT_FOUND) {
        c->bucket_name = ret->bucket_name; /* the error names the source */
        return sl_rc_of(SL_E_S3_NO_SUCH_BUCKET);
    }
    TRY(rc);
    struct slice owner = s3_header(c, "x-amz-source-expected-bucket-owner");
    ENSURE(owner.ptr == NULL || slice_eq(owner, ret->bucket.account), c->err, SL_E_ACCESS_DENIED,
           "Access Denied");
    return SL_OK;
}

/* The decision knows the source's tags; they are none of the destination's. */
static struct sl_rc may_copy(struct s3_call *c, const struct copy_source *src, const char *action,
                             const struct s3_stored *s) {
    struct s3_tags tags;
    size_t mark = c->key_count;
    TRY(s3_tags_of(c, &s->manifest, &tags));
    s3_tags_conditions(c, "s3:ExistingObjectTag/", NULL, &tags);
    struct sl_rc rc = s3_authorize_for(c, &src->bucket, action, &src->arn, 1);
    c->key_count = mark;
    return rc;
}

/* NoSuchKey is for who may list. */
static struct sl_rc no_source(struct s3_call *c, const struct copy_source *src) {
    struct slice list = slice_sub(src->arn, 0, src->arn.len - src->key.len - 1);
    struct sl_error ignored = {0};
    struct sl_error *real = c->err;
    TRY(s3_authorize_for(c, &src->bucket, "s3:GetObject", &src->arn, 1));
    c->err = &ignored;
    struct sl_rc rc = s3_authorize_for(c, &src->bucket, "s3:ListBucket", &list, 1);
    c->err = real;
    c->key = src->key;
    return sl_is_ok(rc) ? sl_rc_of(SL_E_S3_NO_SUCH_KEY) : sl_rc_of(SL_E_ACCESS_DENIED);
}

struct sl_rc put_copy_open(struct s3_call *c, const struct copy_source *src,
                           struct s3_stored *ret) {
    struct sl_rc rc = s3_stored_find(c, &src->bucket.id, src->key, ret);
    if (rc.code == SL_E_NOT_FOUND) {
        return no_source(c, src);
    }
    TRY(rc);
    struct range_conditions cond = s3_conditions(c, "x-amz-copy-source-");
    rc = may_copy(c, src, "s3:GetObject", ret);
    if (sl_is_ok(rc) &&
        range_check(&cond, ret->manifest.etag, ret->row.modified_ms / 1000) != RANGE_PROCEED) {
        rc = sl_rc_of(SL_E_S3_PRECONDITION);
    }
    if (sl_is_ok(rc)) {
        rc = s3_stored_open(ret, src->arn);
    }
    if (sl_failed(rc)) {
        s3_stored_end(ret);
    }
    return rc;
}

static struct sl_rc copy_reply(struct s3_call *c, const struct manifest *m, struct slice sum) {
    struct buf xml = s3_xml(COPY_XML_MAX);
    struct buf text = BUF_INIT(128);
    checksum_text(sum, 0, &text);
    xmlw_open_ns(&xml, "CopyObjectResult", S3_NS);
    s3_put_etag(&xml, m->etag);
    s3_put_time(&xml, "LastModified", m->created_ms);
    xmlw_text(&xml, checksum_element((enum checksum_kind)m->checksum_kind), buf_slice(&text));
    xmlw_cstr(&xml, "ChecksumType", "FULL_OBJECT");
    xmlw_close(&xml, "CopyObjectResult");
    buf_fini(&text);
    s3_sse_headers(c, m);
    context_header(c);
    return s3_reply_xml(c, 200, &xml);
}

static struct sl_rc copy_bytes(struct s3_call *c, struct manifest *m, struct tally *t,
                               const struct index_condition *cond) {
    struct blob_owner owner = {.bucket = m->bucket, .object = m->object};
    struct manifest_part part = {.number = 1};
    struct index_object row;
    char etag[33];
    TRY(put_seal(c, &c->sse->key, &owner, tally_next, t, &part.file));
    struct sl_rc rc = put_etag(m->sse, &c->sse->key, t->md5_sum, t->sha256_sum, etag);
    if (sl_failed(rc)) {
        blob_drop(c->env->blobs, &m->object, &part.file.id, 1);
        return rc;
    }
    struct slice sum = slice_of(t->sum, checksum_len(t->checksum.kind));
    m->checksum_kind = (uint8_t)t->checksum.kind;
    m->checksum_type = CHECKSUM_FULL_OBJECT;
    m->parts = &part;
    m->part_count = 1;
    m->size = part.file.size;
    m->etag = slice_of(etag, 32);
    m->created_ms = clock_real_ms();
    TRY(commit(c, m, sum, cond, &row));
    return copy_reply(c, m, sum);
}

static struct sl_rc copy_metadata(struct s3_call *c, const struct copy_source *src,
                                  const struct s3_stored *from, struct manifest *m) {
    struct slice directive = s3_header(c, "x-amz-metadata-directive");
    bool replace = slice_eq_cstr(directive, "REPLACE");
    if (directive.ptr != NULL && !replace && !slice_eq_cstr(directive, "COPY")) {
        return s3_invalid(c, "x-amz-metadata-directive", directive, "Unknown metadata directive.");
    }
    if (replace) {
        return s3_meta_read(c, &m->headers, &m->header_count);
    }
    bool itself = slice_eq(src->arn, c->object_arn);
    if (itself && !c->sse->explicit_header) {
        return s3_fail_as(c, 400, "InvalidRequest",
                          "This copy request is illegal because it is trying to copy an object to "
                          "itself without changing the object's metadata, storage class, website "
                          "redirect location or encryption attributes.");
    }
    m->headers = from->manifest.headers;
    m->header_count = from->manifest.header_count;
    return SL_OK;
}

/* The source's, or those of the request. */
static struct sl_rc copy_tags(struct s3_call *c, const struct copy_source *src,
                              const struct s3_stored *from, struct manifest *m) {
    struct slice directive = s3_header(c, "x-amz-tagging-directive");
    struct slice given = s3_header(c, "x-amz-tagging");
    bool replace = slice_eq_cstr(directive, "REPLACE");
    if (directive.ptr != NULL && !replace && !slice_eq_cstr(directive, "COPY")) {
        return s3_invalid(c, "x-amz-tagging-directive", directive, "Unknown tagging directive.");
    }
    if (given.ptr != NULL && !replace) {
        return s3_invalid(c, "x-amz-tagging", given,
                          "The x-amz-tagging header is only applicable with the tagging directive "
                          "REPLACE.");
    }
    if (!replace) {
        TRY(s3_tags_of(c, &from->manifest, &c->tags));
        if (c->tags.count > 0) {
            TRY(may_copy(c, src, "s3:GetObjectTagging", from));
        }
        s3_tags_conditions(c, "s3:RequestObjectTag/", "s3:RequestObjectTagKeys", &c->tags);
    }
    TRY(s3_tags_allowed(c));
    return s3_tags_into(c, &c->tags, m);
}

static struct sl_rc copy_from(struct s3_call *c, const struct copy_source *src,
                              struct s3_stored *from) {
    struct manifest m = {0};
    struct index_condition cond;
    struct tally t;
    enum checksum_kind kind = (enum checksum_kind)from->manifest.checksum_kind;
    struct slice wanted = s3_header(c, "x-amz-checksum-algorithm");
    TRY(s3_write_condition(c, &cond));
    TRY(copy_metadata(c, src, from, &m));
    TRY(copy_tags(c, src, from, &m));
    if (wanted.ptr != NULL && !checksum_by_name(wanted, &kind)) {
        return s3_invalid(c, "x-amz-checksum-algorithm", wanted,
                          "Checksum algorithm provided is unsupported.");
    }
    if (from->manifest.size > LIMIT_S3_PUT_BYTES) {
        return s3_fail_as(c, 400, "InvalidRequest",
                          "The specified copy source is larger than the maximum allowable size for "
                          "a copy source: 5368709120");
    }
    TRY(s3_sse_make_key(c, c->sse));
    TRY(new_manifest(c, &m));
    struct sl_rc rc = tally_init(&t, kind == CHECKSUM_NONE ? CHECKSUM_CRC64NVME : kind);
    t.next = s3_stored_next;
    t.source = from;
    if (sl_is_ok(rc)) {
        rc = copy_bytes(c, &m, &t, &cond);
    }
    tally_fini(&t);
    return rc;
}

struct sl_rc s3_copy_object(struct s3_call *c) {
    struct copy_source src = {0};
    struct s3_stored from = {.c = c};
    TRY(put_copy_source(c, &src));
    TRY(put_copy_open(c, &src, &from));
    struct sl_rc rc = copy_from(c, &src, &from);
    s3_stored_end(&from);
    return rc;
}
