/* A request against its service model: types, lengths, enums, patterns. What fails is gathered and
 * worded as AWS's validator does. */
#include "server/api/kms/kms_in.h"

#include <stdio.h>

#include "lib/base/limits.h"

struct faults {
    struct buf text;
    int count;
};

/* "KeyId" -> "keyId" */
static void put_path(struct buf *out, const char *name) {
    buf_putc(out, (uint8_t)(name[0] >= 'A' && name[0] <= 'Z' ? name[0] - 'A' + 'a' : name[0]));
    buf_puts(out, name + 1);
}

static void fault(struct faults *f, const struct kms_field *field, const char *value,
                  const char *path_tail, const char *constraint) {
    struct buf *out = &f->text;
    if (f->count++ > 0) {
        buf_puts(out, "; ");
    }
    buf_puts(out, "Value");
    if (value == NULL) {
        buf_puts(out, " null");
    } else if (!field->secret) {
        buf_printf(out, " '%s'", value);
    }
    buf_puts(out, " at '");
    put_path(out, field->name);
    buf_printf(out, "%s' failed to satisfy constraint: %s", path_tail, constraint);
}

static size_t utf8_chars(struct slice s) {
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        n += (s.ptr[i] & 0xc0) != 0x80;
    }
    return n;
}

static void check_length(struct faults *f, const struct kms_field *field, const char *value,
                         const char *tail, int64_t n, int64_t min, int64_t max) {
    char text[96];
    if (n < min) {
        snprintf(text, sizeof text, "Member must have length greater than or equal to %lld",
                 (long long)min);
        fault(f, field, value, tail, text);
    } else if (max > 0 && n > max) {
        snprintf(text, sizeof text, "Member must have length less than or equal to %lld",
                 (long long)max);
        fault(f, field, value, tail, text);
    }
}

static void check_enum(struct api_call *c, struct faults *f, const struct kms_field *field,
                       struct slice s, const char *value) {
    SL_CLEANUP(buf_fini) struct buf text = BUF_INIT(1024);
    buf_puts(&text, "Member must satisfy enum value set: [");
    for (size_t i = 0; field->values[i] != NULL; i++) {
        if (slice_eq_cstr(s, field->values[i])) {
            return;
        }
        buf_printf(&text, "%s%s", i ? ", " : "", field->values[i]);
    }
    buf_putc(&text, ']');
    char *constraint = arena_cstr(c->arena, buf_slice(&text));
    fault(f, field, value, "", constraint ? constraint : "");
}

static const char *shown(struct api_call *c, struct slice s) {
    const char *text = arena_cstr(c->arena, slice_sub(s, 0, 512));
    return text ? text : "";
}

static void check_string(struct api_call *c, struct faults *f, const struct kms_field *field,
                         struct slice s) {
    const char *value = shown(c, s);
    check_length(f, field, value, "", (int64_t)utf8_chars(s), field->min, field->max);
    if (field->values != NULL) {
        check_enum(c, f, field, s, value);
    }
    if (field->match != NULL && s.len > 0 && !field->match(s)) {
        char *text = arena_printf(c->arena, "Member must satisfy regular expression pattern: %s",
                                  field->pattern);
        fault(f, field, value, "", text ? text : "");
    }
}

static void check_int(struct faults *f, const struct kms_field *field, int64_t v) {
    char value[24], text[96];
    snprintf(value, sizeof value, "%lld", (long long)v);
    if (v < field->min) {
        snprintf(text, sizeof text, "Member must have value greater than or equal to %lld",
                 (long long)field->min);
        fault(f, field, value, "", text);
    } else if (v > field->max) {
        snprintf(text, sizeof text, "Member must have value less than or equal to %lld",
                 (long long)field->max);
        fault(f, field, value, "", text);
    }
}

/* Length of the bytes behind strict base64, or -1. */
static int64_t base64_len(struct slice s) {
    if (s.len % 4 != 0) {
        return -1;
    }
    size_t pad = slice_ends(s, SLICE_LIT("==")) ? 2 : slice_ends(s, SLICE_LIT("=")) ? 1 : 0;
    return (int64_t)(s.len / 4 * 3 - pad);
}

static struct sl_rc wrong_type(struct api_call *c, const struct kms_field *field) {
    static const char *const names[] = {
        [KMS_STRING] = "a String", [KMS_INT] = "an Integer", [KMS_BOOL] = "a Boolean",
        [KMS_BLOB] = "a Blob",     [KMS_STRINGS] = "a List", [KMS_CONTEXT] = "a Map",
        [KMS_TAGS] = "a List"};
    return sl_fail(c->err, SL_E_PARSE, "%s: the value can not be converted to %s", field->name,
                   names[field->type]);
}

static struct sl_rc check_list(struct api_call *c, struct faults *f, const struct kms_field *field,
                               const struct json *v) {
    size_t i = 1;
    check_length(f, field, "[...]", "", (int64_t)v->count, field->min, field->max);
    for (const struct json *e = v->child; e != NULL; e = e->next, i++) {
        char tail[48];
        if (field->type == KMS_STRINGS) {
            ENSURE(e->type == JSON_STRING, c->err, SL_E_PARSE,
                   "%s: the value can not be converted to a String", field->name);
            continue;
        }
        const struct json *key = json_get(e, "TagKey");
        const struct json *value = json_get(e, "TagValue");
        ENSURE(e->type == JSON_OBJECT && (key == NULL || key->type == JSON_STRING) &&
                   (value == NULL || value->type == JSON_STRING),
               c->err, SL_E_PARSE, "%s: the value can not be converted to a Tag", field->name);
        snprintf(tail, sizeof tail, ".%zu.member.tagKey", i);
        if (key == NULL) {
            fault(f, field, NULL, tail, "Member must not be null");
        } else {
            const char *text = shown(c, key->text);
            check_length(f, field, text, tail, (int64_t)utf8_chars(key->text), 1, 128);
        }
        snprintf(tail, sizeof tail, ".%zu.member.tagValue", i);
        if (value == NULL) {
            fault(f, field, NULL, tail, "Member must not be null");
        } else {
            const char *text = shown(c, value->text);
            check_length(f, field, text, tail, (int64_t)utf8_chars(value->text), 0, 256);
        }
    }
    return SL_OK;
}

static struct sl_rc check_field(struct api_call *c, struct faults *f, const struct kms_field *field,
                                const struct json *v) {
    switch (field->type) {
    case KMS_STRING:
        if (v->type != JSON_STRING) {
            return wrong_type(c, field);
        }
        check_string(c, f, field, v->text);
        return SL_OK;
    case KMS_INT:
        if (v->type != JSON_NUMBER || !v->is_int) {
            return wrong_type(c, field);
        }
        check_int(f, field, v->integer);
        return SL_OK;
    case KMS_BOOL:
        return v->type == JSON_BOOL ? SL_OK : wrong_type(c, field);
    case KMS_BLOB: {
        int64_t n = v->type == JSON_STRING ? base64_len(v->text) : -1;
        if (n < 0) {
            return wrong_type(c, field);
        }
        check_length(f, field, "", "", n, field->min, field->max);
        return SL_OK;
    }
    case KMS_CONTEXT:
        if (v->type != JSON_OBJECT) {
            return wrong_type(c, field);
        }
        for (const struct json *m = v->child; m != NULL; m = m->next) {
            if (m->type != JSON_STRING) {
                return wrong_type(c, field);
            }
        }
        return SL_OK;
    default:
        return v->type == JSON_ARRAY ? check_list(c, f, field, v) : wrong_type(c, field);
    }
}

struct sl_rc kms_check(struct api_call *c, const struct kms_field *fields) {
    struct faults f = {.text = BUF_INIT(64 * 1024)};
    struct sl_rc rc = SL_OK;
    ENSURE(c->body != NULL && c->body->type == JSON_OBJECT, c->err, SL_E_PARSE,
           "The body of the request must be a JSON object.");
    for (; fields->name != NULL && !sl_failed(rc); fields++) {
        const struct json *v = kms_member(c, fields->name);
        if (v != NULL) {
            rc = check_field(c, &f, fields, v);
        } else if (fields->required) {
            fault(&f, fields, NULL, "", "Member must not be null");
        }
    }
    if (!sl_failed(rc) && f.count > 0) {
        rc = sl_fail(c->err, SL_E_VALIDATION, "%d validation error%s detected: %.*s", f.count,
                     f.count > 1 ? "s" : "", SLICE_FMT(buf_slice(&f.text)));
    }
    buf_fini(&f.text);
    return rc;
}

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
