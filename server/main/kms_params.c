/* requestParameters and responseElements of an audit record: what was asked and answered, with
 * names as CloudTrail spells them (the first letter small). Of requests only what the operation
 * knows, so that no mistaken name brings a secret into the log; blobs, and what is hidden by name,
 * are left out. */
#include "server/main/kms_service.h"

#include "lib/codec/xml.h"
#include "server/api/kms/operations.h"

enum { FIELDS_MAX = 256, NAME_MAX_LEN = 128, DEPTH_MAX = 8, FORM_DOTS_MAX = 16 };

static bool hidden(struct slice name) {
    static const char *const names[] = {"Plaintext",
                                        "CiphertextBlob",
                                        "GrantTokens",
                                        "GrantToken",
                                        "Recipient",
                                        "Password",
                                        "NewPassword",
                                        "OldPassword",
                                        "TokenCode",
                                        "Message",
                                        "Mac",
                                        "Signature",
                                        "ImportToken",
                                        "SAMLAssertion",
                                        "SecretAccessKey",
                                        "SessionToken",
                                        "NextToken",
                                        "DecodedMessage",
                                        "EncodedMessage",
                                        "EncryptedKeyMaterial",
                                        "WebIdentityToken"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (slice_eq_cstr(name, names[i])) {
            return true;
        }
    }
    return false;
}

/* A name as AWS has them, and no secret's. Others are ignored by the operations, and left out here:
 * no two may become one in the record, which could not be read then. */
static bool is_member(struct slice name) {
    if (name.len == 0 || name.len > NAME_MAX_LEN || name.ptr[0] < 'A' || name.ptr[0] > 'Z') {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))) {
            return false;
        }
    }
    return !hidden(name);
}

/* "KeyId" -> "keyId", "arn" as it is; at most NAME_MAX_LEN bytes */
static void put_name(struct jsonw *w, struct slice name) {
    char lower[NAME_MAX_LEN];
    memcpy(lower, name.ptr, name.len);
    if (lower[0] >= 'A' && lower[0] <= 'Z') {
        lower[0] = (char)(lower[0] - 'A' + 'a');
    }
    jsonw_name_slice(w, slice_of(lower, name.len));
}

/* ---- JSON: what the operation's model knows, and nothing else ---- */

#define MEMBER(name_, type_)                                                                       \
    { .name = (name_), .type = (type_) }
#define END MEMBER(NULL, KMS_STRING)
static const struct kms_field lookup_attribute[] = {MEMBER("AttributeKey", KMS_STRING),
                                                    MEMBER("AttributeValue", KMS_STRING), END};
static const struct kms_field one_attribute[] = {
    {.name = "", .type = KMS_STRUCT, .of = lookup_attribute}, END};
static const struct kms_field lookup_events[] = {
    {.name = "LookupAttributes", .type = KMS_LIST, .of = one_attribute},
    MEMBER("StartTime", KMS_TIME),
    MEMBER("EndTime", KMS_TIME),
    MEMBER("EventCategory", KMS_STRING),
    MEMBER("MaxResults", KMS_INT),
    END};

/* NULL: an operation that is not built. */
static const struct kms_field *members_of(struct slice operation) {
    for (size_t i = 0; kms_models[i] != NULL; i++) {
        if (slice_eq_cstr(operation, kms_models[i]->name)) {
            return kms_models[i]->in;
        }
    }
    return slice_eq_cstr(operation, "LookupEvents") ? lookup_events : NULL;
}

static enum json_type type_of(const struct kms_field *f) {
    static const enum json_type types[] = {
        [KMS_STRING] = JSON_STRING, [KMS_INT] = JSON_NUMBER,   [KMS_BOOL] = JSON_BOOL,
        [KMS_BLOB] = JSON_STRING,   [KMS_TIME] = JSON_NUMBER,  [KMS_LIST] = JSON_ARRAY,
        [KMS_MAP] = JSON_OBJECT,    [KMS_STRUCT] = JSON_OBJECT};
    return types[f->type];
}

static void put_members(struct jsonw *w, const struct kms_field *f, const struct json *v);

/* A map's names are the user's own. */
static void put_map(struct jsonw *w, const struct json *v) {
    jsonw_object_begin(w);
    for (const struct json *m = v->child; m != NULL; m = m->next) {
        if (m->type == JSON_STRING) {
            jsonw_name_slice(w, m->name);
            jsonw_string(w, m->text);
        }
    }
    jsonw_object_end(w);
}

/* A value of another type than the member's is not shown: it may be anything. */
static void put_value(struct jsonw *w, const struct kms_field *f, const struct json *v) {
    if (v->type != type_of(f)) {
        jsonw_null(w);
    } else if (f->type == KMS_STRUCT) {
        jsonw_object_begin(w);
        put_members(w, f->of, v);
        jsonw_object_end(w);
    } else if (f->type == KMS_LIST) {
        jsonw_array_begin(w);
        for (const struct json *e = v->child; e != NULL; e = e->next) {
            put_value(w, f->of, e);
        }
        jsonw_array_end(w);
    } else if (f->type == KMS_MAP) {
        put_map(w, v);
    } else if (f->type == KMS_BOOL) {
        jsonw_bool(w, v->boolean);
    } else if (v->type == JSON_NUMBER) {
        jsonw_raw(w, v->text);
    } else {
        jsonw_string(w, v->text);
    }
}

static void put_members(struct jsonw *w, const struct kms_field *f, const struct json *v) {
    for (; f->name != NULL; f++) {
        const struct json *m = json_get(v, f->name);
        if (m != NULL && m->type != JSON_NULL && f->type != KMS_BLOB && !(f->flags & KMS_SECRET) &&
            !hidden(slice_cstr(f->name))) {
            put_name(w, slice_cstr(f->name));
            put_value(w, f, m);
        }
    }
}

/* What AWS writes though the client left it out. */
static const struct {
    const char *operation, *member, *name, *value;
} defaults[] = {
    {"Encrypt", "EncryptionAlgorithm", "encryptionAlgorithm", "\"SYMMETRIC_DEFAULT\""},
    {"Decrypt", "EncryptionAlgorithm", "encryptionAlgorithm", "\"SYMMETRIC_DEFAULT\""},
    {"ReEncrypt", "SourceEncryptionAlgorithm", "sourceEncryptionAlgorithm",
     "\"SYMMETRIC_DEFAULT\""},
    {"ReEncrypt", "DestinationEncryptionAlgorithm", "destinationEncryptionAlgorithm",
     "\"SYMMETRIC_DEFAULT\""},
    {"CreateKey", "Description", "description", "\"\""},
    {"CreateKey", "KeySpec", "keySpec", "\"SYMMETRIC_DEFAULT\""},
    {"CreateKey", "KeyUsage", "keyUsage", "\"ENCRYPT_DECRYPT\""},
    {"CreateKey", "Origin", "origin", "\"AWS_KMS\""},
    {"CreateKey", "MultiRegion", "multiRegion", "false"},
    {"CreateKey", "BypassPolicyLockoutSafetyCheck", "bypassPolicyLockoutSafetyCheck", "false"},
};

static void put_defaults(struct jsonw *w, const struct api_call *c) {
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++) {
        if (!slice_eq_cstr(c->operation, defaults[i].operation)) {
            continue;
        }
        const struct json *given = json_get(c->body, defaults[i].member);
        if (given == NULL || given->type == JSON_NULL) {
            jsonw_name(w, defaults[i].name);
            jsonw_raw(w, slice_cstr(defaults[i].value));
        }
    }
}

static void put_body(struct jsonw *w, const struct api_call *c) {
    const struct kms_field *members = members_of(c->operation);
    if (members == NULL) {
        jsonw_null(w);
        return;
    }
    jsonw_object_begin(w);
    put_members(w, members, c->body);
    put_defaults(w, c);
    jsonw_object_end(w);
}

/* ---- Forms: "Tags.member.1.Key=a" -> tags: [{key: "a"}] ---- */

/* name: what is left of it; taken ones have a NULL pointer. */
struct field {
    struct slice name, value;
};

static void put_fields(struct jsonw *w, struct field *f, size_t n, bool nested, struct arena *a);

static struct slice head_of(struct slice name) {
    return slice_sub(name, 0, slice_find(name, '.'));
}

/* Those that begin with `head`, without it; they are taken. NULL when there is no memory. */
static struct field *take(struct field *f, size_t n, struct slice head, struct arena *a,
                          size_t *ret_n) {
    struct field *out = arena_array(a, n, sizeof *out);
    size_t m = 0;
    for (size_t i = 0; i < n && out != NULL; i++) {
        if (f[i].name.ptr != NULL && slice_eq(head_of(f[i].name), head)) {
            struct slice rest = slice_sub(f[i].name, head.len + 1, f[i].name.len);
            out[m++] = (struct field){rest, f[i].value};
            f[i].name.ptr = NULL;
        }
    }
    *ret_n = m;
    return out;
}

/* Forms and XML know texts only; these members are none. */
static void put_scalar(struct jsonw *w, struct slice name, struct slice value) {
    static const char *const others[] = {"DurationSeconds", "MaxItems",     "MaxSessionDuration",
                                         "AttachmentCount", "SetAsDefault", "IsAttachable",
                                         "IsDefaultVersion"};
    uint64_t number;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (!slice_eq_cstr(name, others[i])) {
            continue;
        }
        if (slice_eq_cstr(value, "true") || slice_eq_cstr(value, "false")) {
            jsonw_raw(w, value);
            return;
        }
        if (slice_u64(value, UINT32_MAX, &number)) {
            jsonw_int(w, (int64_t)number);
            return;
        }
    }
    jsonw_string(w, value);
}

static void put_field(struct jsonw *w, struct slice name, struct field *f, size_t n,
                      struct arena *a) {
    if (n == 1 && f[0].name.len == 0) {
        put_scalar(w, name, f[0].value);
        return;
    }
    bool list = n > 0 && slice_eq_cstr(head_of(f[0].name), "member");
    if (!list) {
        put_fields(w, f, n, true, a);
        return;
    }
    size_t count = 0;
    struct field *members = take(f, n, SLICE_LIT("member"), a, &count);
    jsonw_array_begin(w);
    for (size_t i = 0; i < count && members != NULL; i++) {
        if (members[i].name.ptr != NULL) {
            size_t m = 0;
            struct field *one = take(members, count, head_of(members[i].name), a, &m);
            if (one != NULL) {
                put_field(w, SLICE_EMPTY, one, m, a);
            }
        }
    }
    jsonw_array_end(w);
}

/* Nested ones are of tags, and AssumeRole's policies. */
static void put_fields(struct jsonw *w, struct field *f, size_t n, bool nested, struct arena *a) {
    jsonw_object_begin(w);
    for (size_t i = 0; i < n; i++) {
        if (f[i].name.ptr == NULL || f[i].name.len == 0) {
            continue;
        }
        struct slice head = head_of(f[i].name);
        size_t m = 0;
        struct field *under = take(f, n, head, a, &m);
        bool known = !nested || slice_eq_cstr(head, "Key") || slice_eq_cstr(head, "Value") ||
                     slice_eq_cstr(head, "arn");
        if (known && under != NULL) {
            put_name(w, head);
            put_field(w, head, under, m, a);
        }
    }
    jsonw_object_end(w);
}

/* Deeper than any name of AWS's; what reads names goes down once for each dot. */
static bool is_deep(struct slice name) {
    size_t dots = 0;
    for (size_t i = 0; i < name.len; i++) {
        dots += name.ptr[i] == '.';
    }
    return dots > FORM_DOTS_MAX;
}

/* What the operation takes, and may be shown. */
static bool is_known(const struct api_call *c, struct slice name) {
    return is_member(name) &&
           (api_iam_knows(c->operation, name) || api_sts_knows(c->operation, name));
}

static void put_form(struct jsonw *w, const struct api_call *c) {
    struct field *f = arena_array(c->arena, c->form.count + 1, sizeof *f);
    size_t n = 0;
    for (size_t i = 0; i < c->form.count && f != NULL; i++) {
        const struct param *p = &c->form.items[i];
        if (is_known(c, head_of(p->name)) && !is_deep(p->name)) {
            f[n++] = (struct field){p->name, p->value};
        }
    }
    if (n == 0) {
        jsonw_null(w);
    } else if (n > FIELDS_MAX) {
        jsonw_raw(w, SLICE_LIT("{\"omitted\":\"too many\"}"));
    } else {
        put_fields(w, f, n, false, c->arena);
    }
}

void kms_audit_request(struct jsonw *w, const struct api_call *c) {
    if (c->audit_request.len > 0) {
        jsonw_raw(w, c->audit_request);
    } else if (c->body != NULL && c->body->count > 0) {
        put_body(w, c);
    } else if (c->body == NULL) {
        put_form(w, c);
    } else {
        jsonw_null(w);
    }
}

/* ---- Answers ---- */

/* What an operation has said of its answer: lower, with names as CloudTrail spells them. */
static void put_json(struct jsonw *w, const struct json *v, bool lower, int depth) {
    switch (depth < DEPTH_MAX ? v->type : JSON_NULL) {
    case JSON_OBJECT:
        jsonw_object_begin(w);
        for (const struct json *m = v->child; m != NULL; m = m->next) {
            if (!lower) {
                jsonw_name_slice(w, m->name);
                put_json(w, m, lower, depth + 1);
            } else if (is_member(m->name)) {
                put_name(w, m->name);
                put_json(w, m, lower, depth + 1);
            }
        }
        jsonw_object_end(w);
        break;
    case JSON_ARRAY:
        jsonw_array_begin(w);
        for (const struct json *e = v->child; e != NULL; e = e->next) {
            put_json(w, e, lower, depth + 1);
        }
        jsonw_array_end(w);
        break;
    case JSON_STRING:
        jsonw_string(w, v->text);
        break;
    case JSON_NUMBER:
        jsonw_raw(w, v->text);
        break;
    case JSON_BOOL:
        jsonw_bool(w, v->boolean);
        break;
    default:
        jsonw_null(w);
        break;
    }
}

static void put_xml(struct jsonw *w, const struct xml *x) {
    if (x->child == NULL) {
        put_scalar(w, x->name, x->text);
        return;
    }
    if (slice_eq_cstr(x->child->name, "member")) {
        jsonw_array_begin(w);
        for (const struct xml *m = x->child; m != NULL; m = m->next) {
            put_xml(w, m);
        }
        jsonw_array_end(w);
        return;
    }
    jsonw_object_begin(w);
    for (const struct xml *m = x->child; m != NULL; m = m->next) {
        if (is_member(m->name)) {
            put_name(w, m->name);
            put_xml(w, m);
        }
    }
    jsonw_object_end(w);
}

static bool put_answer(struct jsonw *w, const struct api_call *c) {
    SL_CLEANUP(buf_fini) struct buf text = {.max = 2 * c->out->max, .wipe = true};
    const struct xml *root = NULL;
    xmlw_open(&text, "r");
    buf_put(&text, buf_slice(c->out));
    xmlw_close(&text, "r");
    if (text.failed || sl_failed(xml_parse(buf_slice(&text), c->arena, NULL, &root)) ||
        root->child == NULL) {
        return false;
    }
    put_xml(w, root);
    return true;
}

void kms_audit_response(struct jsonw *w, const struct kms_event *e, const struct api_call *c,
                        struct sl_rc rc) {
    const struct json *given = NULL;
    if (sl_is_ok(rc) && c->audit_response.len > 0 &&
        sl_is_ok(json_parse(c->audit_response, c->arena, NULL, &given))) {
        put_json(w, given, c->body != NULL, 0); /* query services spell it out themselves */
    } else if (sl_failed(rc) || e->read_only || c->body != NULL || c->out == NULL ||
               c->out->len == 0 || !put_answer(w, c)) {
        jsonw_null(w);
    }
}
