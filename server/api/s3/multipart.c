/* Multipart uploads. The data key is made when the upload begins; each part opens it as its own
 * caller. Completing writes a manifest over the part files and moves no data. */
#include "server/api/s3/put_in.h"

#include <stdio.h>

enum {
    COMPLETE_XML_MAX = 4 * 1024 * 1024,
    COMPLETE_ARENA = 48 * 1024 * 1024,
    SMALL_XML_MAX = 64 * 1024,
    LIST_XML_MAX = 8 * 1024 * 1024,
};

/* An upload and what its draft manifest says; the draft is kept with its MAC behind it. */
struct upload {
    struct index_upload row;
    struct manifest draft;
    struct secret key;
};

static struct sl_rc find_upload(struct s3_call *c, struct upload *ret) {
    struct blob_id id;
    struct upload u = {0};
    if (!s3_id_parse(s3_param_value(c, "uploadId"), &id)) {
        return sl_rc_of(SL_E_S3_NO_SUCH_UPLOAD);
    }
    TRY(index_upload_get(c->env->index, &c->bucket.id, c->key, &id, c->a, &u.row, c->err));
    ENSURE(u.row.manifest.len > MANIFEST_MAC_LEN, c->err, SL_E_CORRUPT, "draft cut short");
    struct slice bytes = slice_sub(u.row.manifest, 0, u.row.manifest.len - MANIFEST_MAC_LEN);
    TRY(manifest_decode(bytes, c->a, &u.draft, c->err));
    ENSURE(blob_id_eq(&u.draft.object, &u.row.id), c->err, SL_E_CORRUPT,
           "the draft is another upload's");
    *ret = u;
    return SL_OK;
}

static struct sl_rc open_upload(struct s3_call *c, struct upload *u) {
    size_t n = u->row.manifest.len - MANIFEST_MAC_LEN;
    TRY(s3_sse_open(c, &u->draft, u->row.blob, c->object_arn, &u->key));
    TRY(manifest_check(&u->key, slice_sub(u->row.manifest, 0, n),
                       slice_sub(u->row.manifest, n, u->row.manifest.len), c->err));
    return s3_sse_named(c, &u->draft, c->object_arn);
}

/* ---- CreateMultipartUpload */

static struct sl_rc read_algorithm(struct s3_call *c, struct manifest *m) {
    struct slice alg = s3_header(c, "x-amz-checksum-algorithm");
    struct slice type = s3_header(c, "x-amz-checksum-type");
    enum checksum_kind kind = CHECKSUM_CRC64NVME;
    if (alg.ptr != NULL && !checksum_by_name(alg, &kind)) {
        return s3_invalid(
            c, "x-amz-checksum-algorithm", alg,
            "Checksum algorithm provided is unsupported. Please try again with any of "
            "the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]");
    }
    bool crc64 = kind == CHECKSUM_CRC64NVME;
    bool sha = kind == CHECKSUM_SHA1 || kind == CHECKSUM_SHA256;
    m->checksum_kind = (uint8_t)kind;
    m->checksum_type = crc64 ? CHECKSUM_FULL_OBJECT : CHECKSUM_COMPOSITE;
    if (type.ptr == NULL) {
        return SL_OK;
    }
    bool full = slice_eq_cstr(type, "FULL_OBJECT");
    if (!full && !slice_eq_cstr(type, "COMPOSITE")) {
        return s3_invalid(c, "x-amz-checksum-type", type,
                          "Value for x-amz-checksum-type header is "
                          "invalid.");
    }
    ENSURE(alg.ptr != NULL, c->err, SL_E_S3_INVALID_REQUEST,
           "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm "
           "header.");
    ENSURE(full ? !sha : !crc64, c->err, SL_E_S3_INVALID_REQUEST,
           "The %s checksum type cannot be used with the %s checksum algorithm.",
           full ? "FULL_OBJECT" : "COMPOSITE", checksum_name(kind));
    m->checksum_type = full ? CHECKSUM_FULL_OBJECT : CHECKSUM_COMPOSITE;
    return SL_OK;
}

static struct sl_rc store_upload(struct s3_call *c, const struct manifest *m) {
    struct buf draft = BUF_INIT(MANIFEST_MAX_BYTES);
    uint8_t mac[MANIFEST_MAC_LEN];
    manifest_encode(m, &draft);
    struct sl_rc rc = manifest_mac(&c->sse->key, buf_slice(&draft), mac);
    buf_put(&draft, slice_of(mac, sizeof mac));
    if (sl_is_ok(rc)) {
        rc = buf_check(&draft, c->err);
    }
    struct index_upload u = {.id = m->object,
                             .key = c->key,
                             .created_ms = m->created_ms,
                             .initiator = c->who.arn,
                             .checksum_kind = m->checksum_kind,
                             .checksum_type = m->checksum_type,
                             .manifest = buf_slice(&draft),
                             .blob = c->sse->blob};
    if (sl_is_ok(rc)) {
        rc = index_upload_create(c->env->index, &c->bucket.id, &u, c->err);
    }
    buf_fini(&draft);
    return rc;
}

struct sl_rc s3_create_upload(struct s3_call *c) {
    struct manifest m = {.bucket = c->bucket.id, .created_ms = clock_real_ms()};
    TRY(read_algorithm(c, &m));
    TRY(s3_tags_allowed(c));
    TRY(s3_meta_read(c, &m.headers, &m.header_count));
    TRY(s3_tags_into(c, &c->tags, &m));
    TRY(s3_sse_make_key(c, c->sse));
    TRY(s3_sse_check_decrypt(c, c->sse));
    blob_id_random(&m.object);
    TRY(s3_sse_into(c, &m));
    TRY(store_upload(c, &m));
    char id[33];
    s3_id_text(&m.object, id);
    struct buf xml = s3_xml(SMALL_XML_MAX);
    xmlw_open_ns(&xml, "InitiateMultipartUploadResult", S3_NS);
    xmlw_text(&xml, "Bucket", c->bucket_name);
    xmlw_text(&xml, "Key", c->key);
    xmlw_cstr(&xml, "UploadId", id);
    xmlw_close(&xml, "InitiateMultipartUploadResult");
    s3_sse_headers(c, &m);
    if (c->sse->context_text.ptr != NULL) {
        http_set(c->h, "x-amz-server-side-encryption-context", c->sse->context_text);
    }
    if (s3_header(c, "x-amz-checksum-algorithm").ptr != NULL) {
        http_set_cstr(c->h, "x-amz-checksum-algorithm",
                      checksum_name((enum checksum_kind)m.checksum_kind));
        http_set_cstr(c->h, "x-amz-checksum-type",
                      checksum_type_name((enum checksum_type)m.checksum_type));
    }
    return s3_reply_xml(c, 200, &xml);
}

/* ---- UploadPart, UploadPartCopy */

static struct sl_rc part_number(struct s3_call *c, uint32_t *ret) {
    struct slice text = s3_param_value(c, "partNumber");
    uint64_t n = 0;
    if (!slice_u64(text, LIMIT_S3_PARTS, &n) || n == 0) {
        return s3_invalid(c, "partNumber", text,
                          "Part number must be an integer between 1 and 10000, inclusive");
    }
    *ret = (uint32_t)n;
    return SL_OK;
}

/* ETag and sealed checksum, then the row; the file goes again when the row can't be. */
static struct sl_rc store_part(struct s3_call *c, struct upload *u, struct index_upload_part *p,
                               const uint8_t *md5, const uint8_t *sum256, struct slice checksum,
                               char etag[33]) {
    struct buf sealed = BUF_INIT(256);
    struct index_dropped dropped = {0};
    struct sl_rc rc = put_etag(u->draft.sse, &u->key, md5, sum256, etag);
    if (sl_is_ok(rc)) {
        rc = manifest_seal(&u->key, &u->row.id, checksum, &sealed, c->err);
    }
    if (sl_is_ok(rc)) {
        p->etag = slice_of(etag, 32);
        p->checksum = buf_slice(&sealed);
        p->modified_ms = clock_real_ms();
        rc = index_upload_part(c->env->index, &u->row.id, p, c->a, &dropped, c->err);
    }
    buf_fini(&sealed);
    if (sl_failed(rc)) {
        blob_drop(c->env->blobs, &u->row.id, &p->file.id, 1);
        return rc;
    }
    s3_drop(c, &dropped);
    return SL_OK;
}

static struct sl_rc receive_part(struct s3_call *c, struct upload *u, uint32_t number,
                                 struct body *body) {
    struct index_upload_part p = {.number = number};
    struct blob_owner owner = {.bucket = c->bucket.id, .object = u->row.id};
    struct slice sum;
    char etag[33];
    TRY(put_seal(c, &u->key, &owner, body_next, body, &p.file));
    enum checksum_kind kind = body_checksum(body, &sum);
    TRY(store_part(c, u, &p, body_md5(body), body_sha256(body), sum, etag));
    s3_set_etag(c, slice_of(etag, 32));
    struct buf text = BUF_INIT(128);
    checksum_text(sum, 0, &text);
    http_set(c->h, checksum_header(kind), buf_slice(&text));
    buf_fini(&text);
    s3_sse_headers(c, &u->draft);
    return s3_reply_empty(c, 200);
}

static struct sl_rc checksum_same(struct s3_call *c, enum checksum_kind want,
                                  enum checksum_kind got) {
    ENSURE(got == want, c->err, SL_E_S3_INVALID_REQUEST,
           "Checksum Type mismatch occurred, expected checksum Type: %s, actual checksum Type: %s",
           checksum_name(want), checksum_name(got));
    return SL_OK;
}

/* A part's checksum is of the upload's kind, where the upload asked for one. */
static struct sl_rc same_algorithm(struct s3_call *c, const struct upload *u) {
    enum checksum_kind want = (enum checksum_kind)u->row.checksum_kind;
    if (want == CHECKSUM_CRC64NVME) {
        return SL_OK; /* also what an upload gets that asked for none */
    }
    struct slice trailer = slice_trim(s3_header(c, "x-amz-trailer"));
    for (unsigned k = 1; k < CHECKSUM_KINDS; k++) {
        const char *name = checksum_header((enum checksum_kind)k);
        if (s3_header(c, name).ptr != NULL || slice_ieq(trailer, slice_cstr(name))) {
            TRY(checksum_same(c, want, (enum checksum_kind)k));
        }
    }
    return SL_OK;
}

struct sl_rc s3_upload_part(struct s3_call *c) {
    uint32_t number;
    struct upload u;
    struct body *body = NULL;
    if (!c->h->has_length && !c->h->chunked) {
        return sl_rc_of(SL_E_S3_MISSING_LENGTH);
    }
    TRY(part_number(c, &number));
    TRY(find_upload(c, &u));
    TRY(same_algorithm(c, &u));
    bool kms = u.draft.sse == MANIFEST_SSE_KMS;
    struct body_conf conf = {.want_md5 = !kms,
                             .want_sha256 = kms,
                             .want_checksum = true,
                             .checksum_kind = (enum checksum_kind)u.row.checksum_kind,
                             .max_bytes = LIMIT_S3_PUT_BYTES,
                             .too_large = SL_E_S3_TOO_LARGE};
    struct sl_rc rc = open_upload(c, &u);
    if (sl_is_ok(rc)) {
        rc = body_open(c, &conf, &body);
    }
    if (sl_is_ok(rc)) {
        rc = receive_part(c, &u, number, body);
    }
    body_free(body);
    secret_fini(&u.key);
    return rc;
}

static struct sl_rc copy_range(struct s3_call *c, struct s3_stored *from) {
    struct slice text = s3_header(c, "x-amz-copy-source-range");
    uint64_t a;
    uint64_t b;
    if (text.ptr == NULL) {
        return SL_OK;
    }
    if (range_parse(text, from->manifest.size, &a, &b) != RANGE_PART ||
        slice_starts(text, SLICE_LIT("bytes=-")) || slice_ends(text, SLICE_LIT("-"))) {
        return s3_invalid(c, "x-amz-copy-source-range", text,
                          "The x-amz-copy-source-range value must be of the form bytes=first-last "
                          "where first and last are the zero-based offsets of the first and last "
                          "bytes to copy");
    }
    s3_stored_range(from, a, b);
    return SL_OK;
}

static struct sl_rc copy_part(struct s3_call *c, struct upload *u, uint32_t number,
                              struct tally *t) {
    struct index_upload_part p = {.number = number};
    struct blob_owner owner = {.bucket = c->bucket.id, .object = u->row.id};
    char etag[33];
    TRY(put_seal(c, &u->key, &owner, tally_next, t, &p.file));
    struct slice sum = slice_of(t->sum, checksum_len(t->checksum.kind));
    TRY(store_part(c, u, &p, t->md5_sum, t->sha256_sum, sum, etag));
    struct buf text = BUF_INIT(128);
    checksum_text(sum, 0, &text);
    struct buf xml = s3_xml(SMALL_XML_MAX);
    xmlw_open_ns(&xml, "CopyPartResult", S3_NS);
    s3_put_etag(&xml, slice_of(etag, 32));
    s3_put_time(&xml, "LastModified", p.modified_ms);
    xmlw_text(&xml, checksum_element(t->checksum.kind), buf_slice(&text));
    xmlw_close(&xml, "CopyPartResult");
    buf_fini(&text);
    s3_sse_headers(c, &u->draft);
    return s3_reply_xml(c, 200, &xml);
}

struct sl_rc s3_upload_part_copy(struct s3_call *c) {
    uint32_t number;
    struct upload u;
    struct copy_source src = {0};
    struct s3_stored from = {.c = c};
    struct tally t = {0};
    TRY(part_number(c, &number));
    TRY(find_upload(c, &u));
    TRY(put_copy_source(c, &src));
    TRY(put_copy_open(c, &src, &from));
    struct sl_rc rc = copy_range(c, &from);
    if (sl_is_ok(rc) && from.to - from.from > LIMIT_S3_PUT_BYTES) {
        rc = sl_rc_of(SL_E_S3_TOO_LARGE);
    }
    if (sl_is_ok(rc)) {
        rc = open_upload(c, &u);
    }
    if (sl_is_ok(rc)) {
        rc = tally_init(&t, (enum checksum_kind)u.row.checksum_kind);
    }
    t.next = s3_stored_next;
    t.source = &from;
    if (sl_is_ok(rc)) {
        rc = copy_part(c, &u, number, &t);
    }
    tally_fini(&t);
    secret_fini(&u.key);
    s3_stored_end(&from);
    return rc;
}

/* ---- CompleteMultipartUpload */

struct wanted {
    uint32_t number;
    struct slice etag;
    struct slice checksum; /* base64, of the upload's kind, or empty */
};

/* Nothing but what is understood; checksums only of the upload's kind. */
static struct sl_rc check_part(struct s3_call *c, const struct xml *part, enum checksum_kind kind) {
    const struct slice sum = SLICE_LIT("Checksum");
    for (const struct xml *e = part->child; e != NULL; e = e->next) {
        enum checksum_kind other = CHECKSUM_NONE;
        if (slice_eq_cstr(e->name, "PartNumber") || slice_eq_cstr(e->name, "ETag")) {
            continue;
        }
        if (!slice_starts(e->name, sum)) {
            return sl_rc_of(SL_E_S3_MALFORMED_XML);
        }
        if (!checksum_by_name(slice_sub(e->name, sum.len, e->name.len), &other)) {
            s3_tell(c, "Header", e->name);
            return sl_rc_of(SL_E_S3_NOT_IMPLEMENTED);
        }
        if (kind != CHECKSUM_CRC64NVME) { /* else the upload asked for none, see same_algorithm */
            TRY(checksum_same(c, kind, other));
        }
    }
    return SL_OK;
}

static struct sl_rc read_wanted(struct s3_call *c, const struct xml *root, enum checksum_kind kind,
                                struct arena *a, struct wanted **ret, size_t *ret_count) {
    if (root == NULL || !slice_eq_cstr(root->name, "CompleteMultipartUpload")) {
        return sl_rc_of(SL_E_S3_MALFORMED_XML);
    }
    struct wanted *all = arena_array(a, LIMIT_S3_PARTS, sizeof *all);
    ENSURE(all != NULL, c->err, SL_E_NOMEM, "request needs too much memory");
    size_t n = 0;
    for (const struct xml *e = root->child; e != NULL; e = e->next) {
        TRY(check_part(c, e, kind));
        const struct xml *number = xml_get(e, "PartNumber");
        const struct xml *etag = xml_get(e, "ETag");
        const struct xml *sum = xml_get(e, checksum_element(kind));
        uint64_t v = 0;
        if (!slice_eq_cstr(e->name, "Part") || number == NULL || etag == NULL ||
            n == LIMIT_S3_PARTS) {
            return sl_rc_of(SL_E_S3_MALFORMED_XML);
        }
        if (!slice_u64(number->text, LIMIT_S3_PARTS, &v) || v == 0) {
            return s3_invalid(c, "partNumber", number->text,
                              "PartNumber must be >= 1 and <= 10000");
        }
        if (n > 0 && v <= all[n - 1].number) {
            return sl_rc_of(SL_E_S3_INVALID_PART_ORDER);
        }
        struct slice t = etag->text;
        bool quoted = t.len >= 2 && t.ptr[0] == '"' && t.ptr[t.len - 1] == '"';
        all[n].number = (uint32_t)v;
        all[n].etag = quoted ? slice_sub(t, 1, t.len - 1) : t;
        all[n].checksum = sum ? sum->text : SLICE_EMPTY;
        n++;
    }
    *ret = all;
    *ret_count = n;
    return n > 0 ? SL_OK : sl_rc_of(SL_E_S3_MALFORMED_XML);
}

/* What completing puts together. */
struct assembly {
    struct upload u;
    struct manifest m;
    struct manifest_part *parts;
    struct blob_id *ids;
    struct digest *md5;
    struct checksum_join join;
    struct buf sums; /* the object's checksum, then the parts' */
    struct buf sealed;
    struct buf bytes;
    char etag[48];
};

static void assembly_fini(struct assembly *as) {
    digest_free(as->md5);
    checksum_join_fini(&as->join);
    buf_fini(&as->sums);
    buf_fini(&as->sealed);
    buf_fini(&as->bytes);
    secret_fini(&as->u.key);
}

static struct sl_rc invalid_part(struct s3_call *c, const struct wanted *w) {
    s3_tell_uint(c, "PartNumber", w->number);
    s3_tell(c, "ETag", w->etag);
    return sl_rc_of(SL_E_S3_INVALID_PART);
}

static struct sl_rc add_part(struct s3_call *c, struct assembly *as, const struct wanted *w,
                             const struct index_upload_part *p, bool last, struct arena *a) {
    if (!slice_ieq(w->etag, p->etag)) {
        return invalid_part(c, w);
    }
    if (!last && p->file.size < LIMIT_S3_PART_MIN_BYTES) {
        s3_tell_uint(c, "ProposedSize", p->file.size);
        s3_tell_uint(c, "MinSizeAllowed", LIMIT_S3_PART_MIN_BYTES);
        s3_tell_uint(c, "PartNumber", p->number);
        s3_tell(c, "ETag", p->etag);
        return sl_rc_of(SL_E_S3_TOO_SMALL);
    }
    struct slice sum;
    TRY(manifest_unseal(&as->u.key, &as->u.row.id, p->checksum, a, &sum, c->err));
    if (w->checksum.len > 0) {
        struct buf text = BUF_INIT(128);
        checksum_text(sum, 0, &text);
        bool same = slice_eq(buf_slice(&text), w->checksum);
        buf_fini(&text);
        if (!same) {
            return invalid_part(c, w);
        }
    }
    struct buf raw = BUF_INIT(64);
    struct sl_rc rc = hex_get(p->etag, &raw, c->err);
    digest_more(as->md5, buf_slice(&raw));
    buf_fini(&raw);
    TRY(rc);
    checksum_join_part(&as->join, sum, p->file.size);
    buf_put(&as->sums, sum);
    as->parts[as->m.part_count] = (struct manifest_part){.number = p->number, .file = p->file};
    as->ids[as->m.part_count] = p->file.id;
    as->m.part_count++;
    as->m.size += p->file.size;
    return SL_OK;
}

static struct sl_rc add_parts(struct s3_call *c, struct assembly *as, const struct wanted *w,
                              size_t n, struct arena *a) {
    struct index_upload_part *have;
    size_t have_count;
    bool truncated;
    as->parts = arena_array(a, n, sizeof *as->parts);
    as->ids = arena_array(a, n, sizeof *as->ids);
    ENSURE(as->parts != NULL && as->ids != NULL, c->err, SL_E_NOMEM,
           "request needs too much memory");
    TRY(digest_new(DIGEST_MD5, &as->md5));
    TRY(checksum_join_init(&as->join, (enum checksum_kind)as->u.row.checksum_kind,
                           (enum checksum_type)as->u.row.checksum_type));
    TRY(index_upload_parts(c->env->index, &as->u.row.id, 0, LIMIT_S3_PARTS, a, &have, &have_count,
                           &truncated, c->err));
    uint8_t place[CHECKSUM_MAX_LEN] = {0};
    size_t len = checksum_len((enum checksum_kind)as->u.row.checksum_kind);
    buf_put(&as->sums, slice_of(place, len)); /* of the object, filled in below */
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        while (at < have_count && have[at].number < w[i].number) {
            at++;
        }
        if (at == have_count || have[at].number != w[i].number) {
            return invalid_part(c, &w[i]);
        }
        TRY(add_part(c, as, &w[i], &have[at], i + 1 == n, a));
    }
    checksum_join_end(&as->join, place);
    TRY(buf_check(&as->sums, c->err));
    memcpy(as->sums.ptr, place, len);
    return SL_OK;
}

/* The client may say what the whole should be. */
static struct sl_rc check_whole(struct s3_call *c, const struct assembly *as) {
    enum checksum_kind kind = (enum checksum_kind)as->u.row.checksum_kind;
    struct slice want = s3_header(c, checksum_header(kind));
    struct slice size = s3_header(c, "x-amz-mp-object-size");
    uint64_t v;
    if (size.ptr != NULL) {
        ENSURE(slice_u64(size, UINT64_MAX, &v) && v == as->m.size, c->err, SL_E_S3_INVALID_REQUEST,
               "The provided 'x-amz-mp-object-size' header value %.*s does not match what was "
               "computed: %llu",
               SLICE_FMT(size), (unsigned long long)as->m.size);
    }
    for (unsigned k = 1; k < CHECKSUM_KINDS; k++) {
        if (s3_header(c, checksum_header((enum checksum_kind)k)).ptr != NULL) {
            TRY(checksum_same(c, kind, (enum checksum_kind)k));
        }
    }
    const char *type_name = checksum_type_name((enum checksum_type)as->u.row.checksum_type);
    struct slice type = s3_header(c, "x-amz-checksum-type");
    ENSURE(type.ptr == NULL || slice_eq_cstr(type, type_name), c->err, SL_E_S3_INVALID_REQUEST,
           "The upload was created using the %s checksum mode. The complete request must use the "
           "same checksum mode.",
           type_name);
    if (want.ptr == NULL) {
        return SL_OK;
    }
    bool composite = as->u.row.checksum_type == CHECKSUM_COMPOSITE;
    struct buf text = BUF_INIT(128);
    checksum_text(slice_of(as->sums.ptr, checksum_len(kind)), composite ? as->m.part_count : 0,
                  &text);
    bool same = slice_eq(buf_slice(&text), want) ||
                (composite && slice_eq(slice_sub(buf_slice(&text), 0, want.len), want) &&
                 slice_find(buf_slice(&text), '-') == want.len);
    buf_fini(&text);
    ENSURE(same, c->err, SL_E_S3_BAD_DIGEST,
           "The %s you specified did not match the calculated checksum.", checksum_name(kind));
    return SL_OK;
}

static struct sl_rc finish_assembly(struct s3_call *c, struct assembly *as,
                                    const struct index_condition *cond) {
    uint8_t md5[64];
    uint8_t mac[MANIFEST_MAC_LEN];
    struct index_dropped dropped[2] = {0};
    digest_end(as->md5, md5);
    for (size_t i = 0; i < MD5_LEN; i++) {
        snprintf(as->etag + 2 * i, 3, "%02x", md5[i]);
    }
    int n = snprintf(as->etag + 32, sizeof as->etag - 32, "-%zu", as->m.part_count);
    as->m.etag = slice_of(as->etag, 32 + (size_t)n);
    as->m.parts = as->parts;
    as->m.created_ms = clock_real_ms();
    TRY(manifest_seal(&as->u.key, &as->u.row.id, buf_slice(&as->sums), &as->sealed, c->err));
    as->m.checksums = buf_slice(&as->sealed);
    manifest_encode(&as->m, &as->bytes);
    TRY(buf_check(&as->bytes, c->err));
    TRY(manifest_mac(&as->u.key, buf_slice(&as->bytes), mac));
    struct index_object row = {.key = c->key,
                               .id = as->u.row.id,
                               .etag = as->m.etag,
                               .size = as->m.size,
                               .modified_ms = as->m.created_ms,
                               .checksum_kind = as->m.checksum_kind,
                               .checksum_type = as->m.checksum_type,
                               .manifest = buf_slice(&as->bytes),
                               .mac = slice_of(mac, sizeof mac),
                               .blob = as->u.row.blob};
    TRY(index_upload_complete(c->env->index, &c->bucket.id, &row, as->ids, as->m.part_count, cond,
                              c->a, dropped, c->err));
    s3_drop(c, &dropped[0]);
    s3_drop(c, &dropped[1]);
    return SL_OK;
}

static struct sl_rc complete_reply(struct s3_call *c, const struct manifest *m,
                                   struct slice checksum) {
    struct buf xml = s3_xml(SMALL_XML_MAX);
    struct slice host = s3_header(c, "host");
    struct buf where = BUF_INIT(LIMIT_HTTP_HEAD_BYTES);
    buf_printf(&where, "http%s://%.*s%.*s", c->h->peer->tls ? "s" : "", SLICE_FMT(host),
               SLICE_FMT(c->h->path));
    xmlw_open_ns(&xml, "CompleteMultipartUploadResult", S3_NS);
    xmlw_text(&xml, "Location", buf_slice(&where));
    xmlw_text(&xml, "Bucket", c->bucket_name);
    xmlw_text(&xml, "Key", c->key);
    s3_put_etag(&xml, m->etag);
    if (checksum.len > 0) {
        struct buf text = BUF_INIT(128);
        bool composite = m->checksum_type == CHECKSUM_COMPOSITE;
        checksum_text(checksum, composite ? m->part_count : 0, &text);
        xmlw_text(&xml, checksum_element((enum checksum_kind)m->checksum_kind), buf_slice(&text));
        xmlw_cstr(&xml, "ChecksumType", checksum_type_name((enum checksum_type)m->checksum_type));
        buf_fini(&text);
    }
    xmlw_close(&xml, "CompleteMultipartUploadResult");
    buf_fini(&where);
    s3_sse_headers(c, m);
    return s3_reply_xml(c, 200, &xml);
}

/* A client that lost the answer asks again: the object that came of this upload is the answer. */
static struct sl_rc completed_before(struct s3_call *c) {
    struct blob_id id;
    struct index_object row;
    struct manifest m;
    if (!s3_id_parse(s3_param_value(c, "uploadId"), &id) ||
        sl_failed(index_object_get(c->env->index, &c->bucket.id, c->key, c->a, &row, NULL)) ||
        !blob_id_eq(&row.id, &id)) {
        return sl_rc_of(SL_E_S3_NO_SUCH_UPLOAD);
    }
    TRY(manifest_decode(row.manifest, c->a, &m, c->err));
    return complete_reply(c, &m, SLICE_EMPTY);
}

static struct sl_rc complete(struct s3_call *c, struct assembly *as, struct buf *text,
                             struct arena *a) {
    const struct xml *root = NULL;
    struct wanted *wanted;
    size_t n;
    struct index_condition cond;
    enum checksum_kind kind = (enum checksum_kind)as->u.row.checksum_kind;
    TRY(s3_write_condition(c, &cond));
    TRY(open_upload(c, &as->u));
    TRY(s3_body_xml(c, COMPLETE_XML_MAX, false, text, a, &root));
    TRY(read_wanted(c, root, kind, a, &wanted, &n));
    as->m = as->u.draft;
    TRY(add_parts(c, as, wanted, n, a));
    TRY(check_whole(c, as));
    TRY(finish_assembly(c, as, &cond));
    return complete_reply(c, &as->m, slice_of(as->sums.ptr, checksum_len(kind)));
}

struct sl_rc s3_complete_upload(struct s3_call *c) {
    struct assembly as = {.sums = BUF_INIT((LIMIT_S3_PARTS + 1) * CHECKSUM_MAX_LEN),
                          .sealed = BUF_INIT((LIMIT_S3_PARTS + 2) * CHECKSUM_MAX_LEN),
                          .bytes = BUF_INIT(MANIFEST_MAX_BYTES)};
    struct buf text = BUF_INIT(COMPLETE_XML_MAX);
    struct arena a = ARENA_INIT(COMPLETE_ARENA);
    struct sl_rc rc = find_upload(c, &as.u);
    if (rc.code == SL_E_S3_NO_SUCH_UPLOAD) {
        return completed_before(c);
    }
    if (sl_is_ok(rc)) {
        rc = complete(c, &as, &text, &a);
    }
    assembly_fini(&as);
    buf_fini(&text);
    arena_fini(&a);
    return rc;
}

/* ---- abort and listings */

struct sl_rc s3_abort_upload(struct s3_call *c) {
    struct blob_id id;
    struct index_dropped dropped = {0};
    if (!s3_id_parse(s3_param_value(c, "uploadId"), &id)) {
        return sl_rc_of(SL_E_S3_NO_SUCH_UPLOAD);
    }
    TRY(index_upload_abort(c->env->index, &c->bucket.id, c->key, &id, c->a, &dropped, c->err));
    s3_drop(c, &dropped);
    return s3_reply_empty(c, 204);
}

static void put_principal(struct buf *xml, const char *element, struct slice arn) {
    xmlw_open(xml, element);
    xmlw_text(xml, "ID", arn);
    xmlw_text(xml, "DisplayName", arn);
    xmlw_close(xml, element);
}

struct sl_rc s3_list_parts(struct s3_call *c) {
    struct upload u;
    uint64_t max;
    uint64_t after;
    struct index_upload_part *parts;
    size_t count;
    bool truncated;
    TRY(find_upload(c, &u));
    TRY(s3_param_uint(c, "max-parts", INT32_MAX, LIMIT_S3_LIST_KEYS, &max));
    TRY(s3_param_uint(c, "part-number-marker", INT32_MAX, 0, &after));
    max = max < LIMIT_S3_LIST_KEYS ? max : LIMIT_S3_LIST_KEYS;
    TRY(index_upload_parts(c->env->index, &u.row.id, (uint32_t)after, (size_t)max, c->a, &parts,
                           &count, &truncated, c->err));
    struct buf xml = s3_xml(LIST_XML_MAX);
    xmlw_open_ns(&xml, "ListPartsResult", S3_NS);
    xmlw_text(&xml, "Bucket", c->bucket_name);
    s3_put_name(c, &xml, "Key", c->key);
    xmlw_text(&xml, "UploadId", s3_param_value(c, "uploadId"));
    xmlw_int(&xml, "PartNumberMarker", (int64_t)after);
    xmlw_int(&xml, "NextPartNumberMarker",
             count > 0 ? (int64_t)parts[count - 1].number : (int64_t)after);
    xmlw_int(&xml, "MaxParts", (int64_t)max);
    xmlw_bool(&xml, "IsTruncated", truncated);
    put_principal(&xml, "Initiator", u.row.initiator);
    s3_put_owner(&xml, "Owner", c->bucket.account);
    xmlw_cstr(&xml, "StorageClass", "STANDARD");
    xmlw_cstr(&xml, "ChecksumAlgorithm", checksum_name((enum checksum_kind)u.row.checksum_kind));
    xmlw_cstr(&xml, "ChecksumType", checksum_type_name((enum checksum_type)u.row.checksum_type));
    for (size_t i = 0; i < count; i++) {
        xmlw_open(&xml, "Part");
        xmlw_int(&xml, "PartNumber", parts[i].number);
        s3_put_time(&xml, "LastModified", parts[i].modified_ms);
        s3_put_etag(&xml, parts[i].etag);
        xmlw_int(&xml, "Size", (int64_t)parts[i].file.size);
        xmlw_close(&xml, "Part");
    }
    xmlw_close(&xml, "ListPartsResult");
    return s3_reply_xml(c, 200, &xml);
}

struct sl_rc s3_list_uploads(struct s3_call *c) {
    uint64_t max;
    struct blob_id marker;
    struct index_upload *uploads;
    size_t count;
    bool truncated;
    char id[33];
    struct slice prefix = s3_param_value(c, "prefix");
    struct slice key_marker = s3_param_value(c, "key-marker");
    struct slice id_marker = s3_param_value(c, "upload-id-marker");
    bool has_id = s3_id_parse(id_marker, &marker);
    if (id_marker.len > 0 && key_marker.len > 0 && !has_id) {
        return s3_invalid(c, "upload-id-marker", id_marker, "Invalid uploadId marker");
    }
    if (s3_param_value(c, "delimiter").len > 0) {
        s3_tell(c, "ArgumentName", SLICE_LIT("delimiter"));
        return sl_rc_of(SL_E_S3_NOT_IMPLEMENTED);
    }
    TRY(s3_param_uint(c, "max-uploads", INT32_MAX, LIMIT_S3_LIST_KEYS, &max));
    max = max < LIMIT_S3_LIST_KEYS ? max : LIMIT_S3_LIST_KEYS;
    TRY(index_upload_list(c->env->index, &c->bucket.id, prefix, key_marker, has_id ? &marker : NULL,
                          (size_t)max, c->a, &uploads, &count, &truncated, c->err));
    struct buf xml = s3_xml(LIST_XML_MAX);
    xmlw_open_ns(&xml, "ListMultipartUploadsResult", S3_NS);
    xmlw_text(&xml, "Bucket", c->bucket_name);
    s3_put_name(c, &xml, "KeyMarker", key_marker);
    xmlw_text(&xml, "UploadIdMarker", id_marker);
    s3_put_name(c, &xml, "Prefix", prefix);
    xmlw_int(&xml, "MaxUploads", (int64_t)max);
    xmlw_bool(&xml, "IsTruncated", truncated);
    if (truncated && count > 0) {
        s3_id_text(&uploads[count - 1].id, id);
        s3_put_name(c, &xml, "NextKeyMarker", uploads[count - 1].key);
        xmlw_cstr(&xml, "NextUploadIdMarker", id);
    }
    for (size_t i = 0; i < count; i++) {
        s3_id_text(&uploads[i].id, id);
        xmlw_open(&xml, "Upload");
        s3_put_name(c, &xml, "Key", uploads[i].key);
        xmlw_cstr(&xml, "UploadId", id);
        put_principal(&xml, "Initiator", uploads[i].initiator);
        s3_put_owner(&xml, "Owner", c->bucket.account);
        xmlw_cstr(&xml, "StorageClass", "STANDARD");
        s3_put_time(&xml, "Initiated", uploads[i].created_ms);
        xmlw_close(&xml, "Upload");
    }
    xmlw_close(&xml, "ListMultipartUploadsResult");
    return s3_reply_xml(c, 200, &xml);
}
