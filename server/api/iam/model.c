/* IAM's service model: the members of each operation, and what they may hold. Checked before
 * anything else, all of them, with the texts of IAM's validator, which never repeats a value. What
 * IAM checks with words of its own (names, paths, documents) is params.c's. */
#include "server/api/iam/iam_in.h"

#include <stdarg.h>
#include <stdio.h>

enum { LIST_MAX = 50, FAULTS_MAX_BYTES = 32 * 1024 };

#define CLASS_TAG "[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]"
#define CLASS_NAME "[\\w+=,.@-]+"
#define CLASS_PATH "(\\u002F)|(\\u002F[\\u0021-\\u007E]+\\u002F)"
#define CLASS_DOCUMENT "[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+"
#define CLASS_ANY "[\\u0009\\u000A\\u000D\\u0020-\\uD7FF\\uE000-\\uFFFD]*"

struct range {
    uint32_t from, to;
};

static bool within(const struct range *ranges, uint32_t c) {
    for (size_t i = 0; ranges[i].to != 0; i++) {
        if (c >= ranges[i].from && c <= ranges[i].to) {
            return true;
        }
    }
    return false;
}

/* The next character of valid UTF-8. */
static uint32_t next_char(struct slice s, size_t *at) {
    uint8_t b = s.ptr[(*at)++];
    uint32_t c = b < 0x80 ? b : b < 0xe0 ? b & 31u : b < 0xf0 ? b & 15u : b & 7u;
    for (; *at < s.len && (s.ptr[*at] & 0xc0) == 0x80; (*at)++) {
        c = c << 6 | (s.ptr[*at] & 63u);
    }
    return c;
}

static bool all_within(struct slice s, const struct range *ranges) {
    for (size_t at = 0; at < s.len;) {
        if (!within(ranges, next_char(s, &at))) {
            return false;
        }
    }
    return true;
}

/* Letters, separators and numbers. Beyond ASCII: whatever is no control, mark, punctuation or
 * symbol of the blocks that are in wide use. */
static bool tag_text(struct slice s) {
    static const struct range no[] = {
        {0x21, 0x2a},     {0x2c, 0x2c},       {0x3b, 0x3c},        {0x3e, 0x3f},
        {0x5b, 0x5e},     {0x60, 0x60},       {0x7b, 0x9f},        {0xa1, 0xa9},
        {0xab, 0xb1},     {0xb4, 0xb4},       {0xb6, 0xb8},        {0xbb, 0xbb},
        {0xbf, 0xbf},     {0xd7, 0xd7},       {0xf7, 0xf7},        {0x300, 0x36f},
        {0x200b, 0x2027}, {0x202a, 0x202e},   {0x2030, 0x205e},    {0x2060, 0x206f},
        {0x20a0, 0x20ff}, {0x2190, 0x245f},   {0x249c, 0x24e9},    {0x2500, 0x2775},
        {0x2794, 0x2bff}, {0x3001, 0x3004},   {0xe000, 0xf8ff},    {0xfe00, 0xfe6f},
        {0xfffd, 0xffff}, {0x1f000, 0x1faff}, {0xe0000, 0x10ffff}, {0, 0}};
    for (size_t at = 0; at < s.len;) {
        uint32_t c = next_char(s, &at);
        if (c < 0x20 || within(no, c)) {
            return false;
        }
    }
    return true;
}

static bool document_text(struct slice s) {
    static const struct range yes[] = {{0x09, 0x0a}, {0x0d, 0x0d}, {0x20, 0xff}, {0, 0}};
    return all_within(s, yes);
}

static bool description_text(struct slice s) {
    static const struct range yes[] = {
        {0x09, 0x0a}, {0x0d, 0x0d}, {0x20, 0x7e}, {0xa1, 0xff}, {0, 0}};
    return all_within(s, yes);
}

static bool marker_text(struct slice s) {
    static const struct range yes[] = {{0x20, 0xff}, {0, 0}};
    return all_within(s, yes);
}

static bool word_text(struct slice s) {
    static const struct range yes[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}, {0, 0}};
    return all_within(s, yes);
}

/* v[1-9][0-9]*(\.[A-Za-z0-9-]*)? */
static bool version_text(struct slice s) {
    size_t at = 1;
    if (s.len < 2 || s.ptr[0] != 'v' || s.ptr[1] < '1' || s.ptr[1] > '9') {
        return false;
    }
    while (at < s.len && s.ptr[at] >= '0' && s.ptr[at] <= '9') {
        at++;
    }
    if (at == s.len) {
        return true;
    }
    for (size_t i = at + 1; i < s.len; i++) {
        if (s.ptr[i] != '-' && (s.ptr[i] == '_' || !word_text(slice_sub(s, i, i + 1)))) {
            return false;
        }
    }
    return s.ptr[at] == '.';
}

enum kind { TEXT, NUMBER, FLAG, CHOICE, TAGS, TAG_KEYS };

static const struct type {
    const char *name;
    enum kind kind;
    int64_t min, max;
    const char *pattern;
    bool (*fits)(struct slice s); /* NULL: by words of IAM's own, in params.c */
    const char *choices;
} types[] = {
    {"UserName", TEXT, 1, 128, CLASS_NAME, NULL, NULL},
    {"NewUserName", TEXT, 1, 64, CLASS_NAME, NULL, NULL},
    {"RoleName", TEXT, 1, 64, CLASS_NAME, NULL, NULL},
    {"GroupName", TEXT, 1, 128, CLASS_NAME, NULL, NULL},
    {"NewGroupName", TEXT, 1, 128, CLASS_NAME, NULL, NULL},
    {"PolicyName", TEXT, 1, 128, CLASS_NAME, NULL, NULL},
    {"Path", TEXT, 1, 512, CLASS_PATH, NULL, NULL},
    {"NewPath", TEXT, 1, 512, CLASS_PATH, NULL, NULL},
    {"PathPrefix", TEXT, 1, 512, "\\u002F[\\u0021-\\u007F]*", NULL, NULL},
    {"PolicyArn", TEXT, 20, 2048, CLASS_ANY, NULL, NULL},
    {"PermissionsBoundary", TEXT, 20, 2048, CLASS_ANY, NULL, NULL},
    {"PolicyDocument", TEXT, 1, 131072, CLASS_DOCUMENT, document_text, NULL},
    {"AssumeRolePolicyDocument", TEXT, 1, 131072, CLASS_DOCUMENT, document_text, NULL},
    {"Description", TEXT, 0, 1000, "[\\u0009\\u000A\\u000D\\u0020-\\u007E\\u00A1-\\u00FF]*",
     description_text, NULL},
    {"PolicyDescription", TEXT, 0, 1000, CLASS_ANY, NULL, NULL},
    {"VersionId", TEXT, 0, 2048, "v[1-9][0-9]*(\\.[A-Za-z0-9-]*)?", version_text, NULL},
    {"AccessKeyId", TEXT, 16, 128, "[\\w]+", word_text, NULL},
    {"Marker", TEXT, 1, 320, "[\\u0020-\\u00FF]+", marker_text, NULL},
    {"MaxItems", NUMBER, 1, 1000, NULL, NULL, NULL},
    {"MaxSessionDuration", NUMBER, 3600, 43200, NULL, NULL, NULL},
    {"OnlyAttached", FLAG, 0, 0, NULL, NULL, "true, false"},
    {"SetAsDefault", FLAG, 0, 0, NULL, NULL, "true, false"},
    {"Status", CHOICE, 0, 0, NULL, NULL, "Active, Inactive"},
    {"Scope", CHOICE, 0, 0, NULL, NULL, "All, AWS, Local"},
    {"PolicyUsageFilter", CHOICE, 0, 0, NULL, NULL, "PermissionsPolicy, PermissionsBoundary"},
    {"EntityFilter", CHOICE, 0, 0, NULL, NULL,
     "User, Role, Group, LocalManagedPolicy, AWSManagedPolicy"},
    {"Tags", TAGS, 0, LIST_MAX, NULL, NULL, NULL},
    {"TagKeys", TAG_KEYS, 0, LIST_MAX, NULL, NULL, NULL},
};
static const struct type tag_key = {"Key", TEXT, 1, 128, CLASS_TAG "+", tag_text, NULL};
static const struct type tag_value = {"Value", TEXT, 0, 256, CLASS_TAG "*", tag_text, NULL};

/* "!" is a member that must be there; "a=b" a member a of the type b. */
#define PAGE " Marker MaxItems"
static const struct {
    const char *operation, *members;
} models[] = {
    {"AddUserToGroup", "!GroupName !UserName"},
    {"AttachGroupPolicy", "!GroupName !PolicyArn"},
    {"AttachRolePolicy", "!RoleName !PolicyArn"},
    {"AttachUserPolicy", "!UserName=NewUserName !PolicyArn"},
    {"CreateAccessKey", "UserName"},
    {"CreateGroup", "Path !GroupName"},
    {"CreatePolicy", "!PolicyName Path !PolicyDocument Description=PolicyDescription Tags"},
    {"CreatePolicyVersion", "!PolicyArn !PolicyDocument SetAsDefault"},
    {"CreateRole", "Path !RoleName !AssumeRolePolicyDocument Description MaxSessionDuration "
                   "PermissionsBoundary Tags"},
    {"CreateUser", "Path !UserName=NewUserName PermissionsBoundary Tags"},
    {"DeleteAccessKey", "UserName !AccessKeyId"},
    {"DeleteGroup", "!GroupName"},
    {"DeleteGroupPolicy", "!GroupName !PolicyName"},
    {"DeletePolicy", "!PolicyArn"},
    {"DeletePolicyVersion", "!PolicyArn !VersionId"},
    {"DeleteRole", "!RoleName"},
    {"DeleteRolePermissionsBoundary", "!RoleName"},
    {"DeleteRolePolicy", "!RoleName !PolicyName"},
    {"DeleteUser", "!UserName"},
    {"DeleteUserPermissionsBoundary", "!UserName=NewUserName"},
    {"DeleteUserPolicy", "!UserName !PolicyName"},
    {"DetachGroupPolicy", "!GroupName !PolicyArn"},
    {"DetachRolePolicy", "!RoleName !PolicyArn"},
    {"DetachUserPolicy", "!UserName=NewUserName !PolicyArn"},
    {"GetAccessKeyLastUsed", "!AccessKeyId"},
    {"GetGroup", "!GroupName" PAGE},
    {"GetGroupPolicy", "!GroupName !PolicyName"},
    {"GetPolicy", "!PolicyArn"},
    {"GetPolicyVersion", "!PolicyArn !VersionId"},
    {"GetRole", "!RoleName"},
    {"GetRolePolicy", "!RoleName !PolicyName"},
    {"GetUser", "UserName"},
    {"GetUserPolicy", "!UserName !PolicyName"},
    {"ListAccessKeys", "UserName" PAGE},
    {"ListAttachedGroupPolicies", "!GroupName PathPrefix" PAGE},
    {"ListAttachedRolePolicies", "!RoleName PathPrefix" PAGE},
    {"ListAttachedUserPolicies", "!UserName=NewUserName PathPrefix" PAGE},
    {"ListEntitiesForPolicy", "!PolicyArn EntityFilter PathPrefix PolicyUsageFilter" PAGE},
    {"ListGroupPolicies", "!GroupName" PAGE},
    {"ListGroups", "PathPrefix" PAGE},
    {"ListGroupsForUser", "!UserName" PAGE},
    {"ListInstanceProfilesForRole", "!RoleName" PAGE},
    {"ListPolicies", "Scope OnlyAttached PathPrefix PolicyUsageFilter" PAGE},
    {"ListPolicyTags", "!PolicyArn" PAGE},
    {"ListPolicyVersions", "!PolicyArn" PAGE},
    {"ListRolePolicies", "!RoleName" PAGE},
    {"ListRoleTags", "!RoleName" PAGE},
    {"ListRoles", "PathPrefix" PAGE},
    {"ListUserPolicies", "!UserName" PAGE},
    {"ListUserTags", "!UserName" PAGE},
    {"ListUsers", "PathPrefix" PAGE},
    {"PutGroupPolicy", "!GroupName !PolicyName !PolicyDocument"},
    {"PutRolePermissionsBoundary", "!RoleName !PermissionsBoundary"},
    {"PutRolePolicy", "!RoleName !PolicyName !PolicyDocument"},
    {"PutUserPermissionsBoundary", "!UserName=NewUserName !PermissionsBoundary"},
    {"PutUserPolicy", "!UserName !PolicyName !PolicyDocument"},
    {"RemoveUserFromGroup", "!GroupName !UserName"},
    {"SetDefaultPolicyVersion", "!PolicyArn !VersionId"},
    {"TagPolicy", "!PolicyArn !Tags"},
    {"TagRole", "!RoleName !Tags"},
    {"TagUser", "!UserName !Tags"},
    {"UntagPolicy", "!PolicyArn !TagKeys"},
    {"UntagRole", "!RoleName !TagKeys"},
    {"UntagUser", "!UserName !TagKeys"},
    {"UpdateAccessKey", "UserName !AccessKeyId !Status"},
    {"UpdateAssumeRolePolicy", "!RoleName !PolicyDocument"},
    {"UpdateGroup", "!GroupName NewPath NewGroupName"},
    {"UpdateRole", "!RoleName Description MaxSessionDuration"},
    {"UpdateUser", "!UserName NewPath NewUserName"},
};

struct check {
    const struct iam_ctx *x;
    struct buf *faults;
    int count;
};

/* `member` as the request writes it; its first letter is small in the text. */
SL_PRINTF(3, 4)
static void fault(struct check *k, const char *member, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    char text[512];
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    buf_printf(k->faults, "%sValue at '%c%s' failed to satisfy constraint: Member must %s",
               k->count > 0 ? "; " : "", member[0] | 0x20, member + 1, text);
    k->count++;
}

static int64_t chars(struct slice s) {
    int64_t n = 0;
    for (size_t at = 0; at < s.len; n++) {
        next_char(s, &at);
    }
    return n;
}

/* The first thing wrong with a text, or NULL; `out` has room for it. */
static const char *text_fault(const struct type *t, struct slice v, char out[256]) {
    bool valid = utf8_valid(v);
    int64_t n = valid ? chars(v) : 0;
    if (!valid || (n >= t->min && n <= t->max && t->fits != NULL && !t->fits(v))) {
        snprintf(out, 256, "satisfy regular expression pattern: %s", t->pattern);
        return out;
    }
    if (n < t->min || n > t->max) {
        snprintf(out, 256, "have length %s than or equal to %lld", n < t->min ? "greater" : "less",
                 (long long)(n < t->min ? t->min : t->max));
        return out;
    }
    return NULL;
}

static void check_text(struct check *k, const char *member, const struct type *t, struct slice v) {
    char text[256];
    const char *wrong = text_fault(t, v, text);
    if (wrong != NULL) {
        fault(k, member, "%s", wrong);
    }
}

static void check_number(struct check *k, const char *member, const struct type *t,
                         struct slice v) {
    uint64_t n = 0;
    bool number = slice_u64(v, INT64_MAX, &n);
    if (!number || (int64_t)n < t->min || (int64_t)n > t->max) {
        bool more = number && (int64_t)n > t->max;
        fault(k, member, "have value %s than or equal to %lld", more ? "less" : "greater",
              (long long)(more ? t->max : t->min));
    }
}

static void check_choice(struct check *k, const char *member, const struct type *t,
                         struct slice v) {
    struct slice rest = slice_cstr(t->choices);
    while (rest.len > 0) {
        size_t comma = slice_find(rest, ',');
        struct slice choice = slice_sub(rest, 0, comma);
        if (t->kind == FLAG ? slice_ieq(choice, v) : slice_eq(choice, v)) {
            return;
        }
        rest = slice_sub(rest, comma + 2 > rest.len ? rest.len : comma + 2, rest.len);
    }
    fault(k, member, "satisfy enum value set: [%s]", t->choices);
}

static void check_tags(struct check *k) {
    size_t n = 0;
    for (;; n++) {
        char key[48], value[48], path[48];
        snprintf(key, sizeof key, "Tags.member.%zu.Key", n + 1);
        snprintf(value, sizeof value, "Tags.member.%zu.Value", n + 1);
        bool keyed = iam_param_given(k->x, key), valued = iam_param_given(k->x, value);
        if (!keyed && !valued) {
            break;
        }
        for (int part = 0; part < 2 && n < LIST_MAX; part++) {
            snprintf(path, sizeof path, "tags.%zu.member.%s", n + 1, part ? "value" : "key");
            if (part ? valued : keyed) {
                check_text(k, path, part ? &tag_value : &tag_key,
                           iam_param(k->x, part ? value : key));
            } else {
                fault(k, path, "not be null");
            }
        }
    }
    if (n > LIST_MAX) {
        fault(k, "tags", "have length less than or equal to %d", LIST_MAX);
    }
}

static void check_tag_keys(struct check *k) {
    size_t n = 0;
    bool wrong = false;
    for (;; n++) {
        char name[48], text[256];
        snprintf(name, sizeof name, "TagKeys.member.%zu", n + 1);
        if (!iam_param_given(k->x, name)) {
            break;
        }
        wrong |= text_fault(&tag_key, iam_param(k->x, name), text) != NULL;
    }
    if (n > LIST_MAX) {
        fault(k, "tagKeys", "have length less than or equal to %d", LIST_MAX);
    } else if (wrong) {
        fault(k, "tagKeys",
              "satisfy constraint: [Member must have length less than or equal to 128, Member must "
              "have length greater than or equal to 1, Member must satisfy regular expression "
              "pattern: %s, Member must not be null]",
              tag_key.pattern);
    }
}

static bool given(const struct check *k, const struct type *t, const char *member) {
    return iam_param_given(k->x, member) ||
           (t->kind == TAGS && (iam_param_given(k->x, "Tags.member.1.Key") ||
                                iam_param_given(k->x, "Tags.member.1.Value"))) ||
           (t->kind == TAG_KEYS && iam_param_given(k->x, "TagKeys.member.1"));
}

static void check_member(struct check *k, const char *member, const struct type *t, bool needed) {
    if (!given(k, t, member)) {
        if (needed) {
            fault(k, member, "not be null");
        }
        return;
    }
    struct slice v = iam_param(k->x, member);
    switch (t->kind) {
    case TEXT:
        check_text(k, member, t, v);
        break;
    case NUMBER:
        check_number(k, member, t, v);
        break;
    case FLAG:
    case CHOICE:
        check_choice(k, member, t, v);
        break;
    case TAGS:
        check_tags(k);
        break;
    case TAG_KEYS:
        check_tag_keys(k);
        break;
    }
}

static const struct type *type_of(struct slice name) {
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (slice_eq_cstr(name, types[i].name)) {
            return &types[i];
        }
    }
    sl_assert(!"a member without a type");
    return NULL;
}

static struct sl_rc check_members(struct check *k, struct slice members) {
    while (members.len > 0) {
        size_t space = slice_find(members, ' ');
        struct slice word = slice_sub(members, 0, space);
        members = slice_sub(members, space < members.len ? space + 1 : space, members.len);
        bool needed = word.ptr[0] == '!';
        word = slice_sub(word, needed, word.len);
        size_t equals = slice_find(word, '=');
        const char *member = arena_cstr(k->x->a, slice_sub(word, 0, equals));
        ENSURE(member != NULL, k->x->err, SL_E_NOMEM, "Out of memory.");
        check_member(k, member,
                     type_of(slice_sub(word, equals < word.len ? equals + 1 : 0, word.len)),
                     needed);
    }
    return SL_OK;
}

bool api_iam_knows(struct slice operation, struct slice name) {
    size_t i = 0, count = sizeof models / sizeof *models;
    while (i < count && !slice_eq_cstr(operation, models[i].operation)) {
        i++;
    }
    struct slice rest = slice_cstr(i < count ? models[i].members : "");
    while (rest.len > 0) {
        struct slice word = slice_sub(rest, 0, slice_find(rest, ' '));
        struct slice member = slice_sub(word, word.len > 0 && word.ptr[0] == '!', word.len);
        if (slice_eq(name, slice_sub(member, 0, slice_find(member, '=')))) {
            return true;
        }
        rest = slice_sub(rest, word.len + 1, rest.len);
    }
    return false;
}

struct sl_rc iam_check(const struct iam_ctx *x) {
    SL_CLEANUP(buf_fini) struct buf faults = BUF_INIT(FAULTS_MAX_BYTES);
    struct check k = {x, &faults, 0};
    size_t i = 0;
    while (!slice_eq_cstr(x->c->operation, models[i].operation)) {
        i++;
        sl_assert(i < sizeof models / sizeof *models);
    }
    TRY(check_members(&k, slice_cstr(models[i].members)));
    TRY(buf_check(&faults, x->err));
    ENSURE(k.count == 0, x->err, SL_E_IAM_VALIDATION, "%d validation error%s detected: %.*s",
           k.count, k.count > 1 ? "s" : "", SLICE_FMT(buf_slice(&faults)));
    return SL_OK;
}
