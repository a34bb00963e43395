/* Tags. An object's stand in its manifest as one more header, in the form that x-amz-tagging has,
 * and so under its MAC: changing them takes the object's data key. A bucket's are a row. */
#include "server/api/s3/call_in.h"

#define TAGGING "x-amz-tagging"

enum {
    OBJECT_TAGS_MAX = 10,
    BUCKET_TAGS_MAX = 50,
    TAG_KEY_MAX = 128, /* characters */
    TAG_VALUE_MAX = 256,
    TAGS_TEXT_MAX = UINT16_MAX, /* ten of the longest, each byte escaped, are 46 KiB */
    BUCKET_TAGS_TEXT_MAX = 256 * 1024,
    TAGGING_XML_MAX = 256 * 1024,
};

/* ---- what a tag may be */

static bool fits(struct slice text, size_t min, size_t max) {
    size_t characters = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t ch = text.ptr[i];
        bool word = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
                    (ch >= '0' && ch <= '9') || ch >= 0x80;
        if (!word && memchr(" +-=._:/@", ch, 9) == NULL) {
            return false;
        }
        characters += (ch & 0xc0) != 0x80;
    }
    return utf8_valid(text) && characters >= min && characters <= max;
}

static struct sl_rc invalid_tag(struct s3_call *c, const char *element, struct slice value,
                                const char *message) {
    s3_tell(c, element, value);
    return s3_fail_as(c, 400, "InvalidTag", message);
}

static struct sl_rc check_tag(struct s3_call *c, const struct context_pair *t) {
    if (!fits(t->name, 1, TAG_KEY_MAX)) {
        return invalid_tag(c, "TagKey", t->name, "The TagKey you have provided is invalid");
    }
    if (!fits(t->value, 0, TAG_VALUE_MAX)) {
        return invalid_tag(c, "TagValue", t->value, "The TagValue you have provided is invalid");
    }
    if (slice_ieq(slice_sub(t->name, 0, 4), SLICE_LIT("aws:"))) {
        return invalid_tag(c, "TagKey", t->name,
                           "System tags cannot be added/updated by requester");
    }
    return SL_OK;
}

static bool is_repeated(const struct s3_tags *tags, size_t i) {
    for (size_t j = 0; j < i; j++) {
        if (slice_eq(tags->items[j].name, tags->items[i].name)) {
            return true;
        }
    }
    return false;
}

static struct sl_rc check_count(struct s3_call *c, size_t count, size_t max) {
    if (count <= max) {
        return SL_OK;
    }
    return s3_fail_as(c, 400, "BadRequest",
                      max == OBJECT_TAGS_MAX ? "Object tags cannot be greater than 10"
                                             : "Bucket tag count cannot be greater than 50");
}

/* ---- their two forms */

/* k=v&k2=v2, escaped. */
static struct sl_rc from_text(struct s3_call *c, struct slice text, struct s3_tags *ret) {
    struct params params;
    TRY(params_parse(text, true, c->a, c->err, &params));
    struct context_pair *items = arena_array(c->a, params.count + 1, sizeof *items);
    ENSURE(items != NULL, c->err, SL_E_NOMEM, "request needs too much memory");
    for (size_t i = 0; i < params.count; i++) {
        items[i] = (struct context_pair){params.items[i].name, params.items[i].value};
    }
    *ret = (struct s3_tags){items, params.count};
    return SL_OK;
}

static struct sl_rc to_text(struct s3_call *c, const struct s3_tags *tags, size_t max,
                            struct slice *ret) {
    struct buf text = BUF_INIT(max);
    for (size_t i = 0; i < tags->count; i++) {
        if (i > 0) {
            buf_putc(&text, '&');
        }
        uri_encode(&text, tags->items[i].name, false);
        buf_putc(&text, '=');
        uri_encode(&text, tags->items[i].value, false);
    }
    struct sl_rc rc = buf_check(&text, c->err);
    *ret = arena_copy(c->a, buf_slice(&text));
    buf_fini(&text);
    TRY(rc);
    ENSURE(ret->ptr != NULL, c->err, SL_E_NOMEM, "request needs too much memory");
    return SL_OK;
}

static struct sl_rc tag_of(const struct xml *e, struct context_pair *ret) {
    const struct xml *key = xml_get(e, "Key");
    const struct xml *value = xml_get(e, "Value");
    bool pair = e->child != NULL && e->child->next != NULL && e->child->next->next == NULL;
    if (!slice_eq_cstr(e->name, "Tag") || key == NULL || value == NULL || !pair) {
        return sl_rc_of(SL_E_S3_MALFORMED_XML);
    }
    *ret = (struct context_pair){key->text, value->text};
    return SL_OK;
}

struct sl_rc s3_tags_list(struct s3_call *c, const struct xml *list, struct s3_tags *ret) {
    size_t n = 0;
    for (const struct xml *e = list->child; e != NULL; e = e->next) {
        n++;
    }
    TRY(check_count(c, n, c->key.len > 0 ? OBJECT_TAGS_MAX : BUCKET_TAGS_MAX));
    struct context_pair *items = arena_array(c->a, n + 1, sizeof *items);
    ENSURE(items != NULL, c->err, SL_E_NOMEM, "request needs too much memory");
    struct s3_tags tags = {items, 0};
    for (const struct xml *e = list->child; e != NULL; e = e->next) {
        TRY(tag_of(e, &items[tags.count]));
        TRY(check_tag(c, &items[tags.count]));
        if (is_repeated(&tags, tags.count)) {
            return invalid_tag(c, "TagKey", items[tags.count].name,
                               "Cannot provide multiple Tags with the same key");
        }
        tags.count++;
    }
    *ret = tags;
    return SL_OK;
}

/* The body of a PUT. */
static struct sl_rc read_tagging(struct s3_call *c, struct s3_tags *ret) {
    struct buf text = BUF_INIT(TAGGING_XML_MAX);
    const struct xml *root = NULL;
    struct sl_rc rc = s3_body_xml(c, TAGGING_XML_MAX, false, &text, c->a, &root);
    buf_fini(&text);
    TRY(rc);
    const struct xml *set = root->child;
    if (!slice_eq_cstr(root->name, "Tagging") || set == NULL || set->next != NULL ||
        !slice_eq_cstr(set->name, "TagSet")) {
        return sl_rc_of(SL_E_S3_MALFORMED_XML);
    }
    return s3_tags_list(c, set, ret);
}

static struct sl_rc reply_tagging(struct s3_call *c, const struct s3_tags *tags) {
    struct buf xml = s3_xml(TAGGING_XML_MAX);
    xmlw_open_ns(&xml, "Tagging", S3_NS);
    xmlw_open(&xml, "TagSet");
    for (size_t i = 0; i < tags->count; i++) {
        xmlw_open(&xml, "Tag");
        xmlw_text(&xml, "Key", tags->items[i].name);
        xmlw_text(&xml, "Value", tags->items[i].value);
        xmlw_close(&xml, "Tag");
    }
    xmlw_close(&xml, "TagSet");
    xmlw_close(&xml, "Tagging");
    return s3_reply_xml(c, 200, &xml);
}

/* ---- writes with tags */

void s3_tags_conditions(struct s3_call *c, const char *prefix, const char *keys,
                        const struct s3_tags *tags) {
    for (size_t i = 0; i < tags->count; i++) {
        const char *name = arena_printf(c->a, "%s%.*s", prefix, SLICE_FMT(tags->items[i].name));
        s3_condition(c, name, tags->items[i].value);
        if (keys != NULL) {
            s3_condition(c, keys, tags->items[i].name);
        }
    }
}

struct sl_rc s3_tags_prepare(struct s3_call *c) {
    struct slice text = s3_header(c, TAGGING);
    struct s3_tags tags = {0};
    if (text.len == 0) {
        return SL_OK;
    }
    struct sl_error ignored = {0};
    struct sl_error *real = c->err;
    c->err = &ignored;
    struct sl_rc rc = from_text(c, text, &tags);
    c->err = real;
    bool fine = sl_is_ok(rc);
    for (size_t i = 0; i < tags.count; i++) {
        fine = fine && !is_repeated(&tags, i) && utf8_valid(tags.items[i].name) &&
               utf8_valid(tags.items[i].value);
    }
    if (!fine) {
        return s3_invalid(c, TAGGING, text,
                          "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded "
                          "URL query parameters without tag name duplicates.");
    }
    TRY(check_count(c, tags.count, OBJECT_TAGS_MAX));
    for (size_t i = 0; i < tags.count; i++) {
        TRY(check_tag(c, &tags.items[i]));
    }
    c->tags = tags;
    s3_tags_conditions(c, "s3:RequestObjectTag/", "s3:RequestObjectTagKeys", &tags);
    return SL_OK;
}

struct sl_rc s3_tags_allowed(struct s3_call *c) {
    return c->tags.count > 0 ? s3_authorize(c, "s3:PutObjectTagging", c->object_arn) : SL_OK;
}

struct sl_rc s3_tags_into(struct s3_call *c, const struct s3_tags *tags, struct manifest *m) {
    struct slice text;
    TRY(to_text(c, tags, TAGS_TEXT_MAX, &text));
    return s3_meta_replace(c, TAGGING, text, m);
}

struct sl_rc s3_tags_of(struct s3_call *c, const struct manifest *m, struct s3_tags *ret) {
    *ret = (struct s3_tags){0};
    for (size_t i = 0; i < m->header_count; i++) {
        if (slice_eq_cstr(m->headers[i].name, TAGGING)) {
            TRY(from_text(c, m->headers[i].value, ret));
        }
    }
    /* Its MAC is not yet checked. */
    ENSURE(ret->count <= OBJECT_TAGS_MAX, c->err, SL_E_CORRUPT, "more tags than can be");
    return SL_OK;
}

/* ---- tags of objects */

static struct sl_rc tagging_found(struct s3_call *c, struct s3_stored *s) {
    struct s3_tags tags;
    TRY(s3_tags_of(c, &s->manifest, &tags));
    return reply_tagging(c, &tags);
}

struct sl_rc s3_get_object_tagging(struct s3_call *c) {
    return s3_with_object(c, "s3:GetObjectTagging", tagging_found);
}

/* The same object with c->tags: only its manifest is new. */
static struct sl_rc retag(struct s3_call *c, struct s3_stored *s) {
    struct manifest m = s->manifest;
    struct buf bytes = BUF_INIT(MANIFEST_MAX_BYTES);
    uint8_t mac[MANIFEST_MAC_LEN];
    TRY(s3_stored_open(s, c->object_arn));
    TRY(s3_tags_into(c, &c->tags, &m));
    manifest_encode(&m, &bytes);
    struct sl_rc rc = buf_check(&bytes, c->err);
    if (sl_is_ok(rc)) {
        rc = manifest_mac(&s->key, buf_slice(&bytes), mac);
    }
    if (sl_is_ok(rc)) {
        rc = index_object_manifest(c->env->index, &m.object, s->row.mac, buf_slice(&bytes),
                                   slice_of(mac, sizeof mac), c->err);
    }
    buf_fini(&bytes);
    if (rc.code == SL_E_NOT_FOUND) {
        return s3_fail_as(c, 409, "OperationAborted",
                          "A conflicting conditional operation is currently in progress against "
                          "this resource. Please try again.");
    }
    return rc;
}

static struct sl_rc put_tagging_found(struct s3_call *c, struct s3_stored *s) {
    TRY(retag(c, s));
    return s3_reply_empty(c, 200);
}

struct sl_rc s3_put_object_tagging(struct s3_call *c) {
    TRY(s3_authenticate(c));
    TRY(read_tagging(c, &c->tags));
    s3_tags_conditions(c, "s3:RequestObjectTag/", "s3:RequestObjectTagKeys", &c->tags);
    return s3_with_object(c, "s3:PutObjectTagging", put_tagging_found);
}

static struct sl_rc delete_tagging_found(struct s3_call *c, struct s3_stored *s) {
    TRY(retag(c, s));
    return s3_reply_empty(c, 204);
}

struct sl_rc s3_delete_object_tagging(struct s3_call *c) {
    return s3_with_object(c, "s3:DeleteObjectTagging", delete_tagging_found);
}

/* ---- tags of buckets */

struct sl_rc s3_get_bucket_tagging(struct s3_call *c) {
    struct slice text;
    struct s3_tags tags;
    TRY(index_bucket_tags(c->env->index, &c->bucket.id, c->a, &text, c->err));
    if (text.len == 0) {
        s3_tell(c, "BucketName", c->bucket_name);
        return s3_fail_as(c, 404, "NoSuchTagSet", "The TagSet does not exist");
    }
    TRY(from_text(c, text, &tags));
    return reply_tagging(c, &tags);
}

struct sl_rc s3_bucket_tags_text(struct s3_call *c, const struct s3_tags *tags, struct slice *ret) {
    return to_text(c, tags, BUCKET_TAGS_TEXT_MAX, ret);
}

struct sl_rc s3_put_bucket_tagging(struct s3_call *c) {
    struct s3_tags tags;
    struct slice text;
    TRY(s3_authenticate(c));
    TRY(read_tagging(c, &tags));
    s3_tags_conditions(c, "aws:RequestTag/", "aws:TagKeys", &tags);
    TRY(s3_authorize(c, "s3:PutBucketTagging", c->bucket_arn));
    TRY(s3_bucket_tags_text(c, &tags, &text));
    TRY(index_bucket_set_tags(c->env->index, &c->bucket.id, text, c->err));
    return s3_reply_empty(c, 204);
}

struct sl_rc s3_delete_bucket_tagging(struct s3_call *c) {
    TRY(index_bucket_set_tags(c->env->index, &c->bucket.id, SLICE_EMPTY, c->err));
    return s3_reply_empty(c, 204);
}
