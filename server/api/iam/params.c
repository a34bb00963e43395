/* Parameters of IAM's operations, and what IAM checks of them with words of its own. */
#include "server/api/iam/iam_in.h"

#include <stdio.h>

enum { TAGS_MAX = 50 };

struct slice iam_param(const struct iam_ctx *x, const char *name) {
    const struct param *p = params_get(&x->c->form, name);
    return p ? p->value : SLICE_EMPTY;
}

bool iam_param_given(const struct iam_ctx *x, const char *name) {
    return params_get(&x->c->form, name) != NULL;
}

static bool word_byte(uint8_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != 0 && strchr("_+=,.@-", c) != NULL);
}

bool iam_param_flag(const struct iam_ctx *x, const char *name) {
    return slice_ieq(iam_param(x, name), SLICE_LIT("true"));
}

int64_t iam_param_number(const struct iam_ctx *x, const char *name, int64_t otherwise) {
    uint64_t n;
    return slice_u64(iam_param(x, name), INT64_MAX, &n) ? (int64_t)n : otherwise;
}

/* "UserName" as the validator writes it: "userName". */
static int first_small(const char *name) {
    return name[0] | 0x20;
}

struct sl_rc iam_param_name(const struct iam_ctx *x, const char *name, struct slice *ret) {
    struct slice v = iam_param(x, name);
    for (size_t i = 0; i < v.len; i++) {
        ENSURE(word_byte(v.ptr[i]), x->err, SL_E_IAM_VALIDATION,
               "The specified value for %c%s is invalid. It must contain only alphanumeric "
               "characters and/or the following: +=,.@_-",
               first_small(name), name + 1);
    }
    *ret = v;
    return SL_OK;
}

/* Of a policy's path, no piece may be empty. */
static bool path_bytes(struct slice v, bool policy) {
    for (size_t i = 1; i < v.len; i++) {
        uint8_t c = v.ptr[i];
        bool fine = policy ? (c == '/' ? v.ptr[i - 1] != '/' : word_byte(c)) : c > ' ' && c < 0x7f;
        if (!fine) {
            return false;
        }
    }
    return true;
}

static bool path_fine(struct slice v, bool policy) {
    return v.len > 0 && v.ptr[0] == '/' && v.ptr[v.len - 1] == '/' && path_bytes(v, policy);
}

struct sl_rc iam_param_path(const struct iam_ctx *x, const char *name, bool policy,
                            struct slice *ret) {
    struct slice v = iam_param_given(x, name) ? iam_param(x, name) : SLICE_LIT("/");
    ENSURE(path_fine(v, policy), x->err, SL_E_IAM_VALIDATION,
           "The specified value for %c%s is invalid. It must begin and end with / and contain only "
           "alphanumeric characters and/or / characters.",
           first_small(name), name + 1);
    *ret = v;
    return SL_OK;
}

struct sl_rc iam_param_prefix(const struct iam_ctx *x, bool whole, struct slice *ret) {
    struct slice v = iam_param_given(x, "PathPrefix") ? iam_param(x, "PathPrefix") : SLICE_LIT("/");
    ENSURE(whole ? path_fine(v, true) : v.ptr[0] == '/' && path_bytes(v, false), x->err,
           SL_E_IAM_VALIDATION,
           "The specified value for pathPrefix is invalid. It must begin with the / character and "
           "contain only alphanumeric characters and/or / characters.");
    *ret = v;
    return SL_OK;
}

static struct sl_rc check_tag(const struct iam_ctx *x, const struct iam_tag *tags, size_t i) {
    struct slice k = tags[i].name;
    ENSURE(!slice_ieq(slice_sub(k, 0, 4), SLICE_LIT("aws:")), x->err, SL_E_IAM_INVALID_INPUT,
           "System tags cannot be added/updated/deleted.");
    for (size_t j = 0; j < i; j++) {
        ENSURE(x->kind == 0 || !slice_ieq(tags[j].name, k), x->err, SL_E_IAM_INVALID_INPUT,
               "Duplicate tag keys found. Please note that Tag keys are case insensitive.");
        ENSURE(!slice_eq(tags[j].name, k), x->err, SL_E_IAM_INVALID_INPUT,
               "Duplicate tag keys found.");
    }
    return SL_OK;
}

struct sl_rc iam_param_tags(const struct iam_ctx *x, struct iam_tag **ret, size_t *ret_count) {
    struct iam_tag *tags = arena_array(x->a, TAGS_MAX, sizeof *tags);
    ENSURE(tags != NULL, x->err, SL_E_NOMEM, "Out of memory.");
    size_t n = 0;
    for (; n < TAGS_MAX; n++) {
        char key[48], value[48];
        snprintf(key, sizeof key, "Tags.member.%zu.Key", n + 1);
        snprintf(value, sizeof value, "Tags.member.%zu.Value", n + 1);
        if (!iam_param_given(x, key)) {
            break;
        }
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

/* Of what the parser says, IAM says less. */
static const char *policy_fault(const char *why, enum policy_kind kind) {
    static const char json[] = "JSON:", syntax[] = "Syntax errors in policy";
    bool no_json = strncmp(why, json, sizeof json - 1) == 0;
    if (no_json && kind == POLICY_TRUST) {
        return "This policy contains invalid Json";
    }
    return no_json || strncmp(why, syntax, sizeof syntax - 1) == 0 ? "Syntax errors in policy."
                                                                   : why;
}

struct sl_rc iam_param_document(const struct iam_ctx *x, const char *name, enum policy_kind kind,
                                struct slice *ret) {
    struct slice v = iam_param(x, name);
    struct sl_error why = {0};
    const struct policy *p;
    struct sl_rc rc = policy_parse(v, kind, x->a, &why, &p);
    ENSURE(rc.code != SL_E_NOMEM, x->err, SL_E_NOMEM, "Out of memory.");
    ENSURE(sl_is_ok(rc), x->err, SL_E_IAM_POLICY, "%s",
           policy_fault(sl_error_message(&why, rc.code), kind));
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
