/* What a session may be given: parameters that AssumeRole and its kin share. */
#include "server/api/sts/sts_in.h"

#include <stdio.h>

#include "lib/base/clock.h"

enum { POLICY_MAX_BYTES = 2048, TAG_KEY_MAX = 128, TAG_VALUE_MAX = 256, ARN_MIN = 20 };

struct slice sts_param(const struct api_call *c, const char *name) {
    const struct param *p = params_get(&c->form, name);
    return p ? p->value : SLICE_EMPTY;
}

struct sl_rc sts_param_list(struct api_call *c, const char *name, const char *suffix, size_t max,
                            const struct slice **ret, size_t *ret_count) {
    struct slice *items = arena_array(c->arena, max, sizeof *items);
    size_t n = 0;
    ENSURE(items != NULL, c->err, SL_E_NOMEM, "Out of memory.");
    for (;; n++) {
        char member[96];
        snprintf(member, sizeof member, "%s.member.%zu%s%s", name, n + 1, suffix ? "." : "",
                 suffix ? suffix : "");
        const struct param *p = params_get(&c->form, member);
        if (p == NULL) {
            break;
        }
        ENSURE(n < max, c->err, SL_E_IAM_VALIDATION,
               "1 validation error detected: Value at '%s' failed to satisfy constraint: Member "
               "must have length less than or equal to %zu",
               name, max);
        items[n] = p->value;
    }
    *ret = items;
    *ret_count = n;
    return SL_OK;
}

static bool word_byte(uint8_t b, const char *marks) {
    return (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9') ||
           (b != 0 && strchr(marks, b) != NULL);
}

struct sl_rc sts_word(struct api_call *c, struct slice v, const char *member, size_t min,
                      size_t max) {
    bool fine = v.len >= min && v.len <= max;
    for (size_t i = 0; i < v.len && fine; i++) {
        fine = word_byte(v.ptr[i], "_+=,.@-");
    }
    ENSURE(fine, c->err, SL_E_IAM_VALIDATION,
           "1 validation error detected: Value '%.*s' at '%s' failed to satisfy constraint: Member "
           "must satisfy regular expression pattern: [\\w+=,.@-]{%zu,%zu}",
           SLICE_FMT(v), member, min, max);
    return SL_OK;
}

struct sl_rc sts_duration(struct api_call *c, int64_t max_s, int64_t otherwise_s, int64_t *ret_s) {
    struct slice text = sts_param(c, "DurationSeconds");
    uint64_t n = (uint64_t)otherwise_s;
    ENSURE(text.len == 0 || slice_u64(text, INT32_MAX, &n), c->err, SL_E_IAM_VALIDATION,
           "1 validation error detected: Value '%.*s' at 'durationSeconds' is no number",
           SLICE_FMT(text));
    int64_t v = (int64_t)n;
    ENSURE(v >= STS_DURATION_MIN_S && v <= max_s, c->err, SL_E_IAM_VALIDATION,
           "1 validation error detected: Value '%lld' at 'durationSeconds' failed to satisfy "
           "constraint: Member must have value %s than or equal to %lld",
           (long long)v, v < STS_DURATION_MIN_S ? "greater" : "less",
           (long long)(v < STS_DURATION_MIN_S ? STS_DURATION_MIN_S : max_s));
    *ret_s = v;
    return SL_OK;
}

struct sl_rc sts_refuse_mfa(struct api_call *c) {
    bool given = params_get(&c->form, "SerialNumber") || params_get(&c->form, "TokenCode");
    ENSURE(!given, c->err, SL_E_ACCESS_DENIED,
           "MultiFactorAuthentication failed with invalid MFA one time pass code.");
    return SL_OK;
}

/* ---- Tags ---- */

static bool tag_text(struct slice s, size_t min, size_t max) {
    if (s.len < min || s.len > max * 4 || !utf8_valid(s)) {
        return false;
    }
    size_t characters = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < 0x80 && !word_byte(s.ptr[i], " _.:/=+-@")) {
            return false;
        }
        characters += (s.ptr[i] & 0xc0) != 0x80;
    }
    return characters <= max;
}

static struct sl_rc check_tag(struct api_call *c, const struct iam_tag *tags, size_t i) {
    struct slice k = tags[i].name, v = tags[i].value;
    ENSURE(tag_text(k, 1, TAG_KEY_MAX) && !slice_ieq(slice_sub(k, 0, 4), SLICE_LIT("aws:")), c->err,
           SL_E_IAM_VALIDATION,
           "1 validation error detected: Value '%.*s' at 'tags.%zu.member.key' failed to satisfy "
           "constraint: Member must satisfy regular expression pattern: "
           "[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]{1,128}, and not begin with aws:",
           SLICE_FMT(k), i + 1);
    ENSURE(tag_text(v, 0, TAG_VALUE_MAX), c->err, SL_E_IAM_VALIDATION,
           "1 validation error detected: Value '%.*s' at 'tags.%zu.member.value' failed to satisfy "
           "constraint: Member must satisfy regular expression pattern: "
           "[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]{0,256}",
           SLICE_FMT(v), i + 1);
    for (size_t j = 0; j < i; j++) {
        ENSURE(!slice_ieq(tags[j].name, k), c->err, SL_E_IAM_VALIDATION,
               "Duplicate tag keys found. Please note that Tag keys are case insensitive.");
    }
    return SL_OK;
}

static struct sl_rc tag_params(struct api_call *c, struct auth_sts *s) {
    const struct slice *keys, *values;
    size_t n, value_count;
    struct iam_tag *tags = arena_array(c->arena, AUTH_TAGS_MAX, sizeof *tags);
    ENSURE(tags != NULL, c->err, SL_E_NOMEM, "Out of memory.");
    TRY(sts_param_list(c, "Tags", "Key", AUTH_TAGS_MAX, &keys, &n));
    TRY(sts_param_list(c, "Tags", "Value", AUTH_TAGS_MAX, &values, &value_count));
    ENSURE(n == value_count, c->err, SL_E_IAM_VALIDATION,
           "1 validation error detected: Value null at 'tags' failed to satisfy constraint: Member "
           "must not be null");
    for (size_t i = 0; i < n; i++) {
        tags[i] = (struct iam_tag){keys[i], values[i]};
        TRY(check_tag(c, tags, i));
    }
    s->tags = tags;
    s->tag_count = n;
    TRY(sts_param_list(c, "TransitiveTagKeys", NULL, AUTH_TAGS_MAX, &s->transitive,
                       &s->transitive_count));
    for (size_t i = 0; i < s->transitive_count; i++) {
        bool found = false;
        for (size_t j = 0; j < n; j++) {
            found |= slice_ieq(tags[j].name, s->transitive[i]);
        }
        ENSURE(found, c->err, SL_E_IAM_VALIDATION,
               "The specified transitive tag key must be included in the requested tags.");
    }
    return SL_OK;
}

/* ---- Policies ---- */

/* U+0009, U+000A, U+000D, U+0020 to U+00FF. */
static bool policy_text(struct slice s) {
    if (!utf8_valid(s)) {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        uint8_t b = s.ptr[i];
        if (b > 0xc3 || (b < ' ' && b != '\t' && b != '\n' && b != '\r')) {
            return false;
        }
    }
    return true;
}

struct sl_rc sts_session_params(struct api_call *c, struct auth_sts *s) {
    s->policy = sts_param(c, "Policy");
    ENSURE(s->policy.len <= POLICY_MAX_BYTES, c->err, SL_E_IAM_VALIDATION,
           "1 validation error detected: Value at 'policy' failed to satisfy constraint: Member "
           "must have length less than or equal to %d",
           POLICY_MAX_BYTES);
    ENSURE(policy_text(s->policy), c->err, SL_E_IAM_VALIDATION,
           "1 validation error detected: Value at 'policy' failed to satisfy constraint: Member "
           "must satisfy regular expression pattern: "
           "[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+");
    TRY(sts_param_list(c, "PolicyArns", "arn", AUTH_POLICY_ARNS_MAX, &s->policy_arns,
                       &s->policy_arn_count));
    return tag_params(c, s);
}

struct sl_rc sts_session_policies(struct api_call *c, const struct auth_sts *s) {
    struct sl_error why = {0};
    const struct policy *p;
    if (s->policy.len > 0) {
        struct sl_rc rc = policy_parse(s->policy, POLICY_SESSION, c->arena, &why, &p);
        ENSURE(sl_is_ok(rc), c->err, SL_E_IAM_POLICY, "%s", sl_error_message(&why, rc.code));
    }
    for (size_t i = 0; i < s->policy_arn_count; i++) {
        struct slice arn = s->policy_arns[i];
        sl_error_clear(&why);
        ENSURE(arn.len >= ARN_MIN && slice_starts(arn, SLICE_LIT("arn:aws:iam::")), c->err,
               SL_E_IAM_VALIDATION, "ARN %.*s is not valid.", SLICE_FMT(arn));
        struct sl_rc rc = identity_session_policy(c->env->db, s->account, arn, c->arena, &why, &p);
        ENSURE(rc.code != SL_E_IAM_NO_SUCH_ENTITY, c->err, SL_E_IAM_VALIDATION,
               "PolicyArn %.*s does not exist or is not attachable.", SLICE_FMT(arn));
        if (sl_failed(rc)) {
            return sl_fail(c->err, rc.code, "%s", why.detail);
        }
    }
    return SL_OK;
}

struct sl_rc sts_packed(struct api_call *c, const struct auth_sts *s, int *ret_percent) {
    size_t n = auth_sts_packed_bytes(s);
    int percent = (int)((n * 100 + AUTH_PACKED_MAX_BYTES - 1) / AUTH_PACKED_MAX_BYTES);
    ENSURE(n <= AUTH_PACKED_MAX_BYTES, c->err, SL_E_STS_PACKED,
           "Packed policy consumes %d%% of allotted space, please use smaller policy.", percent);
    *ret_percent = percent;
    return SL_OK;
}

void sts_out_credentials(struct api_call *c, const struct auth_session *s) {
    char expires[21];
    clock_iso(s->expires_s, expires);
    c->out->wipe = true;
    xmlw_open(c->out, "Credentials");
    xmlw_text(c->out, "AccessKeyId", s->access_key_id);
    xmlw_text(c->out, "SecretAccessKey", secret_view(&s->secret_access_key));
    xmlw_text(c->out, "SessionToken", s->token);
    xmlw_cstr(c->out, "Expiration", expires);
    xmlw_close(c->out, "Credentials");
}
