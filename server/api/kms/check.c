/* Requests and answers against their model. What fails in a request is gathered and worded as AWS's
 * validator does; in an answer, members that the model does not know and needed ones that are
 * missing are faults too. */
#include "server/api/kms/kms_in.h"

#include <stdio.h>

#include "server/api/kms/model.h"

/* ---- Patterns ---- */

/* One element of a class at *p: a character, an escape, or the first of a range. */
static uint32_t class_char(const char **p, char *ret_kind) {
    const char *s = *p;
    *ret_kind = 0;
    if (s[0] != '\\') {
        *p = s + 1;
        return (uint8_t)s[0];
    }
    if (s[1] == 'u') {
        unsigned v = 0;
        sl_assert(sscanf(s + 2, "%4x", &v) == 1);
        *p = s + 6;
        return v;
    }
    *p = s + 2;
    *ret_kind = s[1] == 'w' || s[1] == 's' ? s[1] : 0;
    return (uint8_t)s[1];
}

static bool is_word(uint32_t ch) {
    return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') ||
           ch == '_';
}

static bool is_space(uint32_t ch) {
    return ch == ' ' || (ch >= '\t' && ch <= '\r');
}

static bool in_class(const char *p, uint32_t ch) {
    while (*p != ']') {
        char kind;
        uint32_t from = class_char(&p, &kind), to = from;
        if (kind != 0) {
            if (kind == 'w' ? is_word(ch) : is_space(ch)) {
                return true;
            }
            continue;
        }
        if (p[0] == '-' && p[1] != ']') {
            p++;
            to = class_char(&p, &kind);
        }
        if (ch >= from && ch <= to) {
            return true;
        }
    }
    return false;
}

/* The next code point of valid UTF-8. */
static uint32_t next_char(struct slice s, size_t *at) {
    uint32_t ch = s.ptr[(*at)++];
    int more = ch >= 0xf0 ? 3 : ch >= 0xe0 ? 2 : ch >= 0xc0 ? 1 : 0;
    ch = more == 3 ? ch & 7 : more == 2 ? ch & 15 : more == 1 ? ch & 31 : ch;
    for (; more > 0 && *at < s.len; more--) {
        ch = ch << 6 | (s.ptr[(*at)++] & 0x3f);
    }
    return ch;
}

bool kms_pattern_fits(const char *pattern, struct slice s) {
    const char *p = pattern[0] == '^' ? pattern + 1 : pattern;
    sl_assert(p[0] == '[');
    for (size_t at = 0; at < s.len;) {
        if (!in_class(p + 1, next_char(s, &at))) {
            return false;
        }
    }
    return true; /* that something is there is the least length's matter */
}

/* ---- Faults ---- */

/* Where in the document: names and places in lists, up to the root. */
struct path {
    const struct path *up;
    const char *name; /* NULL: the element `index` of a list */
    size_t index;
};

struct check {
    struct api_call *c;
    struct buf text;
    int count;
    bool answer;
};

static void put_path(struct buf *out, const struct path *p) {
    if (p->up != NULL) {
        put_path(out, p->up);
        buf_putc(out, '.');
    }
    if (p->name == NULL) {
        buf_printf(out, "%zu.member", p->index);
    } else { /* "KeyId" -> "keyId" */
        char first = p->name[0];
        buf_putc(out, (uint8_t)(first >= 'A' && first <= 'Z' ? first - 'A' + 'a' : first));
        buf_puts(out, p->name + 1);
    }
}

static const char hidden[] = ""; /* by its address: the value is not shown */

/* value: NULL for one that is not there. */
static void fault(struct check *k, const struct path *at, const char *value, const char *text) {
    struct buf *out = &k->text;
    buf_puts(out, k->count++ > 0 ? "; Value" : "Value");
    if (value == NULL) {
        buf_puts(out, " null");
    } else if (value != hidden) {
        buf_printf(out, " '%s'", value);
    }
    buf_puts(out, " at '");
    put_path(out, at);
    buf_printf(out, "' failed to satisfy constraint: %s", text);
}

static struct sl_rc wrong_type(struct check *k, const struct path *at, const char *wanted) {
    while (at->name == NULL) {
        at = at->up;
    }
    return sl_fail(k->c->err, SL_E_PARSE, "%s: the value can not be converted to %s", at->name,
                   wanted);
}

/* ---- Constraints: each gives its text when the value does not fit, else NULL ---- */

static const char *bounds(struct check *k, const struct kms_field *f, const char *what, int64_t n) {
    char *text = NULL;
    if (n < f->min) {
        text = arena_printf(k->c->arena, "Member must have %s greater than or equal to %lld", what,
                            (long long)f->min);
    } else if (f->max > 0 && n > f->max) {
        text = arena_printf(k->c->arena, "Member must have %s less than or equal to %lld", what,
                            (long long)f->max);
    }
    return text;
}

static const char *one_of(struct check *k, const struct kms_field *f, struct slice s) {
    SL_CLEANUP(buf_fini) struct buf text = BUF_INIT(1024);
    buf_puts(&text, "Member must satisfy enum value set: [");
    for (size_t i = 0; f->values != NULL && f->values[i] != NULL; i++) {
        if (slice_eq_cstr(s, f->values[i])) {
            return NULL;
        }
        buf_printf(&text, "%s%s", i ? ", " : "", f->values[i]);
    }
    buf_putc(&text, ']');
    return f->values ? arena_cstr(k->c->arena, buf_slice(&text)) : NULL;
}

static const char *pattern(struct check *k, const struct kms_field *f, struct slice s) {
    if (f->pattern == NULL || kms_pattern_fits(f->pattern, s)) {
        return NULL;
    }
    return arena_printf(k->c->arena, "Member must satisfy regular expression pattern: %s",
                        f->pattern);
}

static int64_t utf8_chars(struct slice s) {
    int64_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        n += (s.ptr[i] & 0xc0) != 0x80;
    }
    return n;
}

/* ---- Values ---- */

static const char *shown(struct check *k, const struct kms_field *f, struct slice s) {
    const char *text = f->flags & KMS_SECRET ? NULL : arena_cstr(k->c->arena, slice_sub(s, 0, 512));
    return text ? text : hidden;
}

static struct sl_rc check_string(struct check *k, const struct kms_field *f, const struct path *at,
                                 const struct json *v) {
    if (v->type != JSON_STRING) {
        return wrong_type(k, at, "a String");
    }
    const char *const failed[] = {bounds(k, f, "length", utf8_chars(v->text)),
                                  one_of(k, f, v->text), pattern(k, f, v->text)};
    for (size_t i = 0; i < 3; i++) {
        if (failed[i] != NULL) {
            fault(k, at, shown(k, f, v->text), failed[i]);
        }
    }
    return SL_OK;
}

/* Length of the bytes behind strict base64, or -1. */
static int64_t base64_len(struct slice s) {
    if (s.len % 4 != 0) {
        return -1;
    }
    size_t pad = slice_ends(s, SLICE_LIT("==")) ? 2 : slice_ends(s, SLICE_LIT("=")) ? 1 : 0;
    return (int64_t)(s.len / 4 * 3 - pad);
}

static struct sl_rc check_blob(struct check *k, const struct kms_field *f, const struct path *at,
                               const struct json *v) {
    int64_t n = v->type == JSON_STRING ? base64_len(v->text) : -1;
    if (n < 0) {
        return wrong_type(k, at, "a Blob");
    }
    const char *text = bounds(k, f, "length", n);
    if (text != NULL) {
        fault(k, at, hidden, text);
    }
    return SL_OK;
}

static struct sl_rc check_number(struct check *k, const struct kms_field *f, const struct path *at,
                                 const struct json *v) {
    bool time = f->type == KMS_TIME;
    if (v->type != JSON_NUMBER || (!time && !v->is_int)) {
        return wrong_type(k, at, time ? "a Timestamp" : "an Integer");
    }
    const char *text = time ? NULL : bounds(k, f, "value", v->integer);
    if (text != NULL) {
        fault(k, at, shown(k, f, v->text), text);
    }
    return SL_OK;
}

static struct sl_rc check_value(struct check *k, const struct kms_field *f, const struct path *at,
                                const struct json *v);

/* "[a, b]", as AWS shows a list of strings. */
static const char *list_shown(struct check *k, const struct json *v) {
    SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(1024);
    buf_putc(&out, '[');
    for (const struct json *e = v->child; e != NULL && out.len < 512; e = e->next) {
        buf_puts(&out, e == v->child ? "" : ", ");
        buf_put(&out, slice_sub(e->text, 0, 256));
    }
    buf_putc(&out, ']');
    const char *text = arena_cstr(k->c->arena, buf_slice(&out));
    return text ? text : "[]";
}

/* All that an element must be, though it breaks but one of it. */
static const char *all_constraints(struct check *k, const struct kms_field *f) {
    return arena_printf(k->c->arena,
                        "Member must have length less than or equal to %lld, Member must have "
                        "length greater than or equal to %lld%s%s",
                        (long long)f->max, (long long)f->min,
                        f->pattern ? ", Member must satisfy regular expression pattern: " : "",
                        f->pattern ? f->pattern : "");
}

/* Strings that do not fit are told of the list as a whole. */
static struct sl_rc check_strings(struct check *k, const struct kms_field *f, const struct path *at,
                                  const struct json *v) {
    const char *failed = NULL;
    for (const struct json *e = v->child; e != NULL; e = e->next) {
        if (e->type != JSON_STRING) {
            return wrong_type(k, at, "a String");
        }
        const char *text = one_of(k, f->of, e->text);
        if (text == NULL && (bounds(k, f->of, "length", utf8_chars(e->text)) != NULL ||
                             pattern(k, f->of, e->text) != NULL)) {
            text = all_constraints(k, f->of);
        }
        failed = failed ? failed : text;
    }
    if (failed != NULL) {
        char *text = arena_printf(k->c->arena, "Member must satisfy constraint: [%s]", failed);
        fault(k, at, list_shown(k, v), text ? text : failed);
    }
    return SL_OK;
}

static struct sl_rc check_list(struct check *k, const struct kms_field *f, const struct path *at,
                               const struct json *v) {
    if (v->type != JSON_ARRAY) {
        return wrong_type(k, at, "a List");
    }
    const char *text = bounds(k, f, "length", (int64_t)v->count);
    if (text != NULL) {
        fault(k, at, f->of->type == KMS_STRING ? list_shown(k, v) : "[...]", text);
    }
    if (f->of->type == KMS_STRING) {
        return check_strings(k, f, at, v);
    }
    struct path element = {at, NULL, 0};
    for (const struct json *e = v->child; e != NULL; e = e->next) {
        element.index++;
        TRY(check_value(k, f->of, &element, e));
    }
    return SL_OK;
}

static struct sl_rc check_map(struct check *k, const struct path *at, const struct json *v) {
    bool ok = v->type == JSON_OBJECT;
    for (const struct json *m = ok ? v->child : NULL; m != NULL; m = m->next) {
        ok &= m->type == JSON_STRING;
    }
    return ok ? SL_OK : wrong_type(k, at, "a Map");
}

/* Answers only: everything in `v` is known, and may be answered. */
static void check_known(struct check *k, const struct kms_field *fields, const struct path *up,
                        const struct json *v) {
    for (const struct json *m = v->child; m != NULL; m = m->next) {
        const struct kms_field *f = fields;
        while (f->name != NULL && !slice_eq_cstr(m->name, f->name)) {
            f++;
        }
        if (f->name == NULL || (f->flags & KMS_NEVER)) {
            char *name = arena_cstr(k->c->arena, m->name);
            fault(k, &(struct path){up, name ? name : "?", 0}, hidden,
                  "Member is not of the model");
        }
    }
}

static struct sl_rc check_struct(struct check *k, const struct kms_field *fields,
                                 const struct path *up, const struct json *v) {
    for (const struct kms_field *f = fields; f->name != NULL; f++) {
        struct path at = {up, f->name, 0};
        const struct json *m = json_get(v, f->name);
        if (m != NULL && m->type != JSON_NULL) {
            TRY(check_value(k, f, &at, m));
        } else if (f->flags & KMS_NEEDED) {
            fault(k, &at, NULL, "Member must not be null");
        }
    }
    if (k->answer) {
        check_known(k, fields, up, v);
    }
    return SL_OK;
}

static struct sl_rc check_value(struct check *k, const struct kms_field *f, const struct path *at,
                                const struct json *v) {
    switch (f->type) {
    case KMS_STRING:
        return check_string(k, f, at, v);
    case KMS_INT:
    case KMS_TIME:
        return check_number(k, f, at, v);
    case KMS_BOOL:
        return v->type == JSON_BOOL ? SL_OK : wrong_type(k, at, "a Boolean");
    case KMS_BLOB:
        return check_blob(k, f, at, v);
    case KMS_LIST:
        return check_list(k, f, at, v);
    case KMS_MAP:
        return check_map(k, at, v);
    default:
        return v->type == JSON_OBJECT ? check_struct(k, f->of, at, v)
                                      : wrong_type(k, at, "a Structure");
    }
}

static struct sl_rc check_all(struct check *k, const struct kms_field *fields,
                              const struct json *v) {
    struct sl_rc rc = check_struct(k, fields, NULL, v);
    if (!sl_failed(rc) && k->count > 0) {
        rc = sl_fail(k->c->err, SL_E_VALIDATION, "%d validation error%s detected: %.*s", k->count,
                     k->count > 1 ? "s" : "", SLICE_FMT(buf_slice(&k->text)));
    }
    buf_fini(&k->text);
    return rc;
}

struct sl_rc kms_check(struct api_call *c, const struct kms_model *m) {
    struct check k = {.c = c, .text = BUF_INIT(64 * 1024)};
    ENSURE(c->body != NULL && c->body->type == JSON_OBJECT, c->err, SL_E_PARSE,
           "The body of the request must be a JSON object.");
    return check_all(&k, m->in, c->body);
}

struct sl_rc kms_answer_check(struct api_call *c, const struct kms_model *m) {
    struct check k = {.c = c, .text = BUF_INIT(64 * 1024), .answer = true};
    const struct json *answer = NULL;
    if (m->out == NULL) {
        ENSURE(c->out->len == 0, c->err, SL_E_KMS_INTERNAL, "%s has no answer.", m->name);
        return SL_OK;
    }
    struct sl_error why = {0};
    struct sl_rc rc = json_parse(buf_slice(c->out), c->arena, &why, &answer);
    ENSURE(!sl_failed(rc) && answer->type == JSON_OBJECT, c->err, SL_E_KMS_INTERNAL,
           "The answer of %s: %s", m->name, why.detail);
    rc = check_all(&k, m->out, answer);
    if (sl_failed(rc)) {
        why = *c->err;
        sl_error_clear(c->err);
        return sl_fail(c->err, SL_E_KMS_INTERNAL, "The answer of %s: %s", m->name, why.detail);
    }
    return SL_OK;
}
