/* What a request holds, once it has passed its model. */
#include "server/api/kms/kms_in.h"

#include "lib/base/limits.h"

const struct json *kms_member(const struct api_call *c, const char *name) {
    const struct json *v = json_get(c->body, name);
    return v == NULL || v->type == JSON_NULL ? NULL : v;
}

struct slice kms_string(const struct api_call *c, const char *name) {
    const struct json *v = kms_member(c, name);
    return v ? v->text : SLICE_EMPTY;
}

int64_t kms_int(const struct api_call *c, const char *name, int64_t otherwise) {
    const struct json *v = kms_member(c, name);
    return v ? v->integer : otherwise;
}

bool kms_flag(const struct api_call *c, const char *name) {
    const struct json *v = kms_member(c, name);
    return v != NULL && v->boolean;
}

struct sl_rc kms_blob(struct api_call *c, const char *name, struct buf *ret) {
    struct sl_rc rc = base64_get(kms_string(c, name), ret, NULL);
    ENSURE(!sl_failed(rc), c->err, SL_E_PARSE, "%s: the value can not be converted to a Blob",
           name);
    return SL_OK;
}

struct sl_rc kms_context(struct api_call *c, const char *name, struct context *ret) {
    const struct json *v = kms_member(c, name);
    if (v == NULL) {
        *ret = (struct context){NULL, 0};
        return SL_OK;
    }
    ENSURE(v->count <= LIMIT_KMS_CONTEXT_PAIRS, c->err, SL_E_VALIDATION,
           "The encryption context has too many pairs.");
    struct context_pair *pairs = arena_array(c->arena, v->count + 1, sizeof *pairs);
    ENSURE(pairs != NULL, c->err, SL_E_NOMEM, "Out of memory.");
    size_t n = 0;
    for (const struct json *m = v->child; m != NULL; m = m->next) {
        pairs[n++] = (struct context_pair){m->name, m->text};
    }
    *ret = (struct context){pairs, n};
    SL_CLEANUP(buf_fini) struct buf scratch = BUF_INIT(64 * 1024);
    return context_canonical(ret, &scratch, c->err);
}

struct sl_rc kms_tags(struct api_call *c, struct tag_row **ret, size_t *ret_count) {
    const struct json *v = kms_member(c, "Tags");
    size_t n = 0;
    struct tag_row *tags = arena_array(c->arena, (v ? v->count : 0) + 1, sizeof *tags);
    ENSURE(tags != NULL, c->err, SL_E_NOMEM, "Out of memory.");
    ENSURE(v == NULL || v->count <= KMS_TAGS_MAX, c->err, SL_E_KMS_TAG, "Too many tags");
    for (const struct json *e = v ? v->child : NULL; e != NULL; e = e->next) {
        struct tag_row tag = {json_get(e, "TagKey")->text, json_get(e, "TagValue")->text};
        ENSURE(!slice_ieq(slice_sub(tag.name, 0, 4), SLICE_LIT("aws:")), c->err, SL_E_KMS_TAG,
               "Tags beginning with aws: are reserved");
        for (size_t i = 0; i < n; i++) {
            ENSURE(!slice_eq(tags[i].name, tag.name), c->err, SL_E_KMS_TAG, "Duplicate tag keys");
        }
        tags[n++] = tag;
    }
    *ret = tags;
    *ret_count = n;
    return SL_OK;
}

struct sl_rc kms_tag_keys(struct api_call *c, const struct tag_row *tags, size_t count,
                          struct policy_key **ret, size_t *ret_count) {
    struct policy_key *keys = arena_array(c->arena, count + 1, sizeof *keys);
    struct slice *names = arena_array(c->arena, count + 1, sizeof *names);
    ENSURE(keys && names, c->err, SL_E_NOMEM, "Out of memory.");
    for (size_t i = 0; i < count; i++) {
        char *name = arena_printf(c->arena, "aws:RequestTag/%.*s", SLICE_FMT(tags[i].name));
        ENSURE(name != NULL, c->err, SL_E_NOMEM, "Out of memory.");
        names[i] = tags[i].name;
        keys[i] = (struct policy_key){slice_cstr(name), &tags[i].value, 1};
    }
    if (count > 0) {
        keys[count] = (struct policy_key){SLICE_LIT("aws:TagKeys"), names, count};
    }
    *ret = keys;
    *ret_count = count > 0 ? count + 1 : 0;
    return SL_OK;
}
