/* Parameters of IAM's operations, checked as IAM's validator does, with its texts. */
#include "server/api/iam/iam_in.h"

#include <stdio.h>

enum { TAGS_MAX = 50, TAG_KEY_MAX = 128, TAG_VALUE_MAX = 256, PATH_MAX_BYTES = 512 };

struct slice iam_param(const struct iam_ctx *x, const char *name) {
    const struct param *p = params_get(&x->c->form, name);
    return p ? p->value : SLICE_EMPTY;
}

bool iam_param_given(const struct iam_ctx *x, const char *name) {
    return params_get(&x->c->form, name) != NULL;
}

/* "UserName" as the validator writes it: "userName". */
static const char *camel(const struct iam_ctx *x, const char *name) {
    char *s = arena_cstr(x->a, slice_cstr(name));
    if (s == NULL) {
        return name;
    }
    if (s[0] >= 'A' && s[0] <= 'Z') {
        s[0] = (char)(s[0] + 32);
    }
    return s;
}

struct sl_rc iam_param_needed(const struct iam_ctx *x, const char *name, struct slice *ret) {
    struct slice v = iam_param(x, name);
    ENSURE(
        v.len > 0, x->err, SL_E_IAM_VALIDATION,
        "1 validation error detected: Value %s at '%s' failed to satisfy constraint: Member must "
        "%s",
        iam_param_given(x, name) ? "''" : "null", camel(x, name),
        iam_param_given(x, name) ? "have length greater than or equal to 1" : "not be null");
    ENSURE(utf8_valid(v), x->err, SL_E_IAM_VALIDATION, "The specified value for %s is invalid.",
           camel(x, name));
    *ret = v;
    return SL_OK;
}

static bool word_byte(uint8_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != 0 && strchr("_+=,.@-", c) != NULL);
}

struct sl_rc iam_param_name(const struct iam_ctx *x, const char *name, size_t max,
                            struct slice *ret) {
    struct slice v;
    TRY(iam_param_needed(x, name, &v));
    ENSURE(v.len <= max, x->err, SL_E_IAM_VALIDATION,
           "1 validation error detected: Value '%.*s' at '%s' failed to satisfy constraint: Member "
           "must have length less than or equal to %zu",
           SLICE_FMT(v), camel(x, name), max);
    for (size_t i = 0; i < v.len; i++) {
        ENSURE(
            word_byte(v.ptr[i]), x->err, SL_E_IAM_VALIDATION,
            "The specified value for %s is invalid. It must contain only alphanumeric characters "
            "and/or the following: +=,.@_-",
            camel(x, name));
    }
    *ret = v;
    return SL_OK;
}

struct sl_rc iam_param_path(const struct iam_ctx *x, const char *name, struct slice *ret) {
    struct slice v = iam_param(x, name);
    if (v.len == 0) {
        *ret = SLICE_LIT("/");
        return SL_OK;
    }
    bool fine = v.len <= PATH_MAX_BYTES && v.ptr[0] == '/' && v.ptr[v.len - 1] == '/';
    for (size_t i = 0; i < v.len && fine; i++) {
        fine = v.ptr[i] > ' ' && v.ptr[i] < 0x7f;
    }
    ENSURE(fine, x->err, SL_E_IAM_VALIDATION,
           "The specified value for %s is invalid. It must begin and end with / and contain only "
           "alphanumeric characters and/or / characters.",
           camel(x, name));
    *ret = v;
    return SL_OK;
}

struct sl_rc iam_param_int(const struct iam_ctx *x, const char *name, int64_t min, int64_t max,
                           int64_t otherwise, int64_t *ret) {
    uint64_t n;
    struct slice v = iam_param(x, name);
    if (v.len == 0) {
        *ret = otherwise;
        return SL_OK;
    }
    bool number = slice_u64(v, INT64_MAX, &n);
    ENSURE(number && (int64_t)n >= min && (int64_t)n <= max, x->err, SL_E_IAM_VALIDATION,
           "1 validation error detected: Value '%.*s' at '%s' failed to satisfy constraint: Member "
           "must have value %s than or equal to %lld",
           SLICE_FMT(v), camel(x, name), number && (int64_t)n > max ? "less" : "greater",
           (long long)(number && (int64_t)n > max ? max : min));
    *ret = (int64_t)n;
    return SL_OK;
}

static struct sl_rc check_tag(const struct iam_ctx *x, const struct iam_tag *tags, size_t i) {
    struct slice k = tags[i].name, v = tags[i].value;
    ENSURE(
        k.len > 0 && k.len <= TAG_KEY_MAX && v.len <= TAG_VALUE_MAX && utf8_valid(k) &&
            utf8_valid(v),
        x->err, SL_E_IAM_VALIDATION,
        "1 validation error detected: Value at 'tags.%zu.member' failed to satisfy constraint: a "
        "key has 1 to %d characters, a value at most %d",
        i + 1, TAG_KEY_MAX, TAG_VALUE_MAX);
    ENSURE(!slice_ieq(slice_sub(k, 0, 4), SLICE_LIT("aws:")), x->err, SL_E_IAM_INVALID_INPUT,
           "System tags cannot be added/updated/deleted.");
    for (size_t j = 0; j < i; j++) {
        ENSURE(!slice_ieq(tags[j].name, k), x->err, SL_E_IAM_INVALID_INPUT,
               "Duplicate tag keys found. Please note that Tag keys are case insensitive.");
    }
    return SL_OK;
}

struct sl_rc iam_param_tags(const struct iam_ctx *x, struct iam_tag **ret, size_t *ret_count) {
    struct iam_tag *tags = arena_array(x->a, TAGS_MAX, sizeof *tags);
    ENSURE(tags != NULL, x->err, SL_E_NOMEM, "Out of memory.");
    size_t n = 0;
    for (;; n++) {
        char key[48], value[48];
        snprintf(key, sizeof key, "Tags.member.%zu.Key", n + 1);
        snprintf(value, sizeof value, "Tags.member.%zu.Value", n + 1);
        if (!iam_param_given(x, key)) {
            break;
        }
        ENSURE(n < TAGS_MAX, x->err, SL_E_IAM_LIMIT,
               "The number of tags has reached the maximum limit.");
        tags[n] = (struct iam_tag){iam_param(x, key), iam_param(x, value)};
        TRY(check_tag(x, tags, n));
    }
    *ret = tags;
    *ret_count = n;
    return SL_OK;
}

int64_t iam_document_size(struct slice document) {
    int64_t n = 0;
    for (size_t i = 0; i < document.len; i++) {
        n += strchr(" \t\r\n", document.ptr[i]) == NULL || document.ptr[i] == 0;
    }
    return n;
}

struct sl_rc iam_param_document(const struct iam_ctx *x, const char *name, enum policy_kind kind,
                                struct slice *ret) {
    struct slice v;
    struct sl_error why = {0};
    const struct policy *p;
    TRY(iam_param_needed(x, name, &v));
    struct sl_rc rc = policy_parse(v, kind, x->a, &why, &p);
    ENSURE(rc.code != SL_E_NOMEM, x->err, SL_E_NOMEM, "Out of memory.");
    ENSURE(sl_is_ok(rc), x->err, SL_E_IAM_POLICY, "%s", sl_error_message(&why, rc.code));
    struct slice principal;
    for (size_t cursor = 0; policy_next_principal(p, &cursor, &principal);) {
        ENSURE(identity_exists(x->c->env->db, principal), x->err, SL_E_IAM_POLICY,
               "Invalid principal in policy: \"AWS\":\"%.*s\"", SLICE_FMT(principal));
    }
    *ret = v;
    return SL_OK;
}

const char *iam_kind_param(enum iam_kind kind) {
    return kind == IAM_USER ? "UserName" : kind == IAM_ROLE ? "RoleName" : "GroupName";
}
