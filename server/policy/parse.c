/* Policy documents: JSON text into statements, checked for the kind of policy. What is accepted
 * here is what the decision understands: anything unknown is refused, so no Deny is silently
 * without effect. The texts of refusals follow IAM's and S3's. */
#include "server/policy/policy_in.h"

#include "lib/base/limits.h"
#include "lib/codec/json.h"
#include "lib/codec/text.h"

#define NEED(p) ENSURE((p) != NULL, ps->err, SL_E_NOMEM, "the policy is too large")

struct parser {
    enum policy_kind kind;
    bool v2012;
    struct arena *a;
    struct sl_error *err;
};

static bool has_principal(enum policy_kind k) {
    return k == POLICY_KEY || k == POLICY_BUCKET || k == POLICY_TRUST;
}

static bool all_digits(struct slice s) {
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') {
            return false;
        }
    }
    return s.len > 0;
}

/* The next element of a value that may be one or a list: *cursor starts NULL, ends NULL. */
static const struct json *first_of(const struct json *v) {
    return v->type == JSON_ARRAY ? v->child : v;
}
static const struct json *next_of(const struct json *v, const struct json *item) {
    return v->type == JSON_ARRAY ? item->next : NULL;
}
static size_t count_of(const struct json *v) {
    return v->type == JSON_ARRAY ? v->count : 1;
}

/* ${key}, ${key, 'default'}, ${*}, ${?}, ${$}. */
static bool vars_valid(struct slice s, bool *ret_any) {
    *ret_any = false;
    for (size_t i = 0; i + 1 < s.len; i++) {
        if (s.ptr[i] != '$' || s.ptr[i + 1] != '{') {
            continue;
        }
        *ret_any = true;
        struct slice rest = slice_sub(s, i + 2, s.len);
        size_t end = slice_find(rest, '}');
        size_t comma = slice_find(rest, ',');
        if (comma < end) {
            struct slice tail = slice_trim(slice_sub(rest, comma + 1, rest.len));
            if (tail.len == 0 || tail.ptr[0] != '\'') {
                return false;
            }
            size_t close = slice_find(slice_sub(tail, 1, tail.len), '\'') + 1;
            struct slice after = slice_trim(slice_sub(tail, close + 1, tail.len));
            if (close >= tail.len || after.len == 0 || after.ptr[0] != '}') {
                return false;
            }
            end = (size_t)(after.ptr - rest.ptr);
        }
        struct slice name = slice_trim(slice_sub(rest, 0, comma < end ? comma : end));
        if (end >= rest.len || name.len == 0 || slice_find(name, '\'') < name.len) {
            return false;
        }
        i += 2 + end;
    }
    return true;
}

/* A string or a list of strings; `scalars` takes booleans and numbers too, by their text. */
static struct sl_rc parse_texts(struct parser *ps, const struct json *v, bool vars, bool scalars,
                                const char *what, struct pol_texts *ret) {
    size_t n = count_of(v);
    ENSURE(n > 0, ps->err, SL_E_PARSE, "Syntax errors in policy: %s is empty.", what);
    struct pol_text *items = arena_array(ps->a, n, sizeof *items);
    NEED(items);
    size_t i = 0;
    for (const struct json *j = first_of(v); j != NULL; j = next_of(v, j), i++) {
        if (scalars && j->type == JSON_BOOL) {
            items[i].text = j->boolean ? SLICE_LIT("true") : SLICE_LIT("false");
            continue;
        }
        ENSURE(j->type == JSON_STRING || (scalars && j->type == JSON_NUMBER), ps->err, SL_E_PARSE,
               "Syntax errors in policy: %s must be a string or a list of strings.", what);
        items[i].text = j->text;
        if (vars && ps->v2012) {
            ENSURE(vars_valid(j->text, &items[i].vars), ps->err, SL_E_PARSE,
                   "Syntax errors in policy: %s has a malformed policy variable.", what);
        }
    }
    *ret = (struct pol_texts){items, n};
    return SL_OK;
}

static struct sl_rc check_action(struct parser *ps, struct slice action) {
    if (ps->kind == POLICY_TRUST) {
        ENSURE(action.len > 4 && slice_ieq(slice_sub(action, 0, 4), SLICE_LIT("sts:")), ps->err,
               SL_E_PARSE, "AssumeRole policy may only specify STS AssumeRole actions.");
    }
    if (slice_eq_cstr(action, "*")) {
        return SL_OK;
    }
    size_t colon = slice_find(action, ':');
    ENSURE(colon > 0 && colon + 1 < action.len, ps->err, SL_E_PARSE,
           "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.");
    for (size_t i = 0; i < colon; i++) {
        uint8_t c = action.ptr[i];
        bool fine =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
        ENSURE(fine, ps->err, SL_E_PARSE, "Vendor %.*s is not valid",
               SLICE_FMT(slice_sub(action, 0, colon)));
    }
    if (ps->kind == POLICY_BUCKET) {
        ENSURE(slice_ieq(slice_sub(action, 0, colon), SLICE_LIT("s3")), ps->err, SL_E_PARSE,
               "Policy has invalid action");
    }
    return SL_OK;
}

static struct sl_rc check_resource(struct parser *ps, struct slice r) {
    switch (ps->kind) {
    case POLICY_KEY:
        return SL_OK;
    case POLICY_BUCKET:
        ENSURE(slice_starts(r, SLICE_LIT("arn:aws:s3:::")) && r.len > 13, ps->err, SL_E_PARSE,
               "Policy has invalid resource");
        return SL_OK;
    default:
        ENSURE(slice_eq_cstr(r, "*") || slice_starts(r, SLICE_LIT("arn:")), ps->err, SL_E_PARSE,
               "Resource %.*s must be in ARN format or \"*\".", SLICE_FMT(r));
        return SL_OK;
    }
}

static bool id_valid(struct slice v) {
    if (v.len < 16 || v.len > 128 ||
        !(slice_starts(v, SLICE_LIT("AIDA")) || slice_starts(v, SLICE_LIT("AROA")))) {
        return false;
    }
    for (size_t i = 0; i < v.len; i++) {
        if (!((v.ptr[i] >= 'A' && v.ptr[i] <= 'Z') || (v.ptr[i] >= '0' && v.ptr[i] <= '9'))) {
            return false;
        }
    }
    return true;
}

static bool aws_principal_valid(struct slice v) {
    if ((v.len == 12 && all_digits(v)) || id_valid(v)) {
        return true;
    }
    bool iam = slice_starts(v, SLICE_LIT("arn:aws:iam::"));
    if ((!iam && !slice_starts(v, SLICE_LIT("arn:aws:sts::"))) || v.len < 27 ||
        !all_digits(slice_sub(v, 13, 25)) || v.ptr[25] != ':' || slice_find(v, '*') < v.len ||
        slice_find(v, '?') < v.len) {
        return false;
    }
    struct slice rest = slice_sub(v, 26, v.len);
    if (iam) {
        return slice_eq_cstr(rest, "root") ||
               (slice_starts(rest, SLICE_LIT("user/")) && rest.len > 5) ||
               (slice_starts(rest, SLICE_LIT("role/")) && rest.len > 5);
    }
    if (slice_starts(rest, SLICE_LIT("assumed-role/"))) {
        struct slice names = slice_sub(rest, 13, rest.len);
        size_t slash = slice_find(names, '/');
        return slash > 0 && slash + 1 < names.len;
    }
    return slice_starts(rest, SLICE_LIT("federated-user/")) && rest.len > 15;
}

static struct sl_rc parse_principal_member(struct parser *ps, const struct json *m,
                                           struct pol_principal *out, size_t *n) {
    static const struct {
        const char *name;
        int kind;
    } kinds[] = {{"AWS", POL_AWS},
                 {"Service", POL_SERVICE},
                 {"Federated", POL_FEDERATED},
                 {"CanonicalUser", POL_CANONICAL}};
    size_t k = 0;
    while (k < 4 && !slice_eq_cstr(m->name, kinds[k].name)) {
        k++;
    }
    ENSURE(k < 4, ps->err, SL_E_PARSE, "Invalid principal in policy: unknown kind \"%.*s\"",
           SLICE_FMT(m->name));
    for (const struct json *j = first_of(m); j != NULL; j = next_of(m, j)) {
        ENSURE(j->type == JSON_STRING, ps->err, SL_E_PARSE,
               "Invalid principal in policy: \"%s\" must be a string or a list of strings",
               kinds[k].name);
        struct pol_principal p = {kinds[k].kind, j->text};
        bool fine = j->text.len > 0 && slice_find(j->text, '*') == j->text.len;
        if (k == 0 && slice_eq_cstr(j->text, "*")) {
            p.kind = POL_ANY;
            fine = true;
        } else if (k == 0) {
            fine = aws_principal_valid(j->text);
        }
        ENSURE(fine, ps->err, SL_E_PARSE, "Invalid principal in policy: \"%s\":\"%.*s\"",
               kinds[k].name, SLICE_FMT(j->text));
        out[(*n)++] = p;
    }
    return SL_OK;
}

static struct sl_rc parse_principal(struct parser *ps, const struct json *v,
                                    struct pol_statement *st) {
    size_t n = 0;
    if (v->type == JSON_STRING) {
        ENSURE(slice_eq_cstr(v->text, "*"), ps->err, SL_E_PARSE,
               "Invalid principal in policy: \"%.*s\"", SLICE_FMT(v->text));
        struct pol_principal *any = arena_alloc(ps->a, sizeof *any);
        NEED(any);
        any->kind = POL_ANY;
        st->principals = any;
        st->principal_count = 1;
        return SL_OK;
    }
    ENSURE(v->type == JSON_OBJECT, ps->err, SL_E_PARSE,
           "Invalid principal in policy: Principal must be \"*\" or an object");
    size_t total = 0;
    for (const struct json *m = v->child; m != NULL; m = m->next) {
        total += count_of(m);
    }
    ENSURE(total > 0, ps->err, SL_E_PARSE, "Invalid principal in policy: Principal is empty");
    struct pol_principal *items = arena_array(ps->a, total, sizeof *items);
    NEED(items);
    for (const struct json *m = v->child; m != NULL; m = m->next) {
        TRY(parse_principal_member(ps, m, items, &n));
    }
    st->principals = items;
    st->principal_count = n;
    return SL_OK;
}

static struct sl_rc check_condition(struct parser *ps, const struct pol_condition *c) {
    for (size_t i = 0; i < c->values.count; i++) {
        struct slice v = c->values.items[i].text;
        ENSURE(c->values.items[i].vars || pol_values_valid(&c->how, v), ps->err, SL_E_PARSE,
               "Syntax errors in policy: the value \"%.*s\" of condition key %.*s does not fit its "
               "operator.",
               SLICE_FMT(v), SLICE_FMT(c->key));
    }
    struct slice single = SLICE_LIT("kms:EncryptionContext:");
    /* It would hold for every request without a context. */
    ENSURE(!(ps->kind == POLICY_KEY && c->how.quantifier == FOR_ALL &&
             slice_ieq(slice_sub(c->key, 0, single.len), single)),
           ps->err, SL_E_PARSE, "ForAllValues can't be used with the single-valued key %.*s.",
           SLICE_FMT(c->key));
    return SL_OK;
}

/* BinaryEquals compares bytes with what its values are the base64 of. */
static struct sl_rc decode_binary(struct parser *ps, struct pol_condition *c) {
    struct pol_text *items = arena_array(ps->a, c->values.count, sizeof *items);
    NEED(items);
    for (size_t i = 0; i < c->values.count; i++) {
        struct slice v = c->values.items[i].text;
        SL_CLEANUP(buf_fini) struct buf bytes = BUF_INIT(LIMIT_POLICY_BYTES);
        ENSURE(sl_is_ok(base64_get(v, &bytes, NULL)), ps->err, SL_E_PARSE,
               "Syntax errors in policy: the value \"%.*s\" of condition key %.*s does not fit its "
               "operator.",
               SLICE_FMT(v), SLICE_FMT(c->key));
        items[i].text = arena_copy(ps->a, buf_slice(&bytes));
        NEED(items[i].text.ptr);
    }
    c->values.items = items;
    return SL_OK;
}

static struct sl_rc parse_conditions(struct parser *ps, const struct json *v,
                                     struct pol_statement *st) {
    ENSURE(v->type == JSON_OBJECT, ps->err, SL_E_PARSE,
           "Syntax errors in policy: Condition must be an object.");
    size_t total = 0;
    for (const struct json *op = v->child; op != NULL; op = op->next) {
        ENSURE(op->type == JSON_OBJECT && op->count > 0, ps->err, SL_E_PARSE,
               "Syntax errors in policy: condition %.*s must be an object with keys.",
               SLICE_FMT(op->name));
        total += op->count;
    }
    struct pol_condition *items = arena_array(ps->a, total ? total : 1, sizeof *items);
    NEED(items);
    size_t n = 0;
    for (const struct json *op = v->child; op != NULL; op = op->next) {
        struct pol_operator how;
        ENSURE(pol_operator_parse(op->name, &how), ps->err, SL_E_PARSE,
               "Invalid Condition type : %.*s.", SLICE_FMT(op->name));
        bool vars = how.op <= OP_STRING_LIKE || how.op == OP_ARN;
        for (const struct json *key = op->child; key != NULL; key = key->next, n++) {
            size_t colon = slice_find(key->name, ':');
            ENSURE(colon > 0 && colon + 1 < key->name.len, ps->err, SL_E_PARSE,
                   "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.");
            items[n].how = how;
            items[n].name = op->name;
            items[n].key = key->name;
            TRY(parse_texts(ps, key, vars, true, "a condition", &items[n].values));
            TRY(check_condition(ps, &items[n]));
            if (how.op == OP_BINARY) {
                TRY(decode_binary(ps, &items[n]));
            }
        }
    }
    st->conditions = items;
    st->condition_count = n;
    return SL_OK;
}

static struct sl_rc check_members(struct parser *ps, const struct json *v) {
    static const char *const known[] = {"Sid",          "Effect",      "Principal",
                                        "NotPrincipal", "Action",      "NotAction",
                                        "Resource",     "NotResource", "Condition"};
    for (const struct json *m = v->child; m != NULL; m = m->next) {
        size_t k = 0;
        while (k < sizeof known / sizeof *known && !slice_eq_cstr(m->name, known[k])) {
            k++;
        }
        ENSURE(k < sizeof known / sizeof *known, ps->err, SL_E_PARSE,
               "Syntax errors in policy: unknown element \"%.*s\".", SLICE_FMT(m->name));
    }
    for (size_t k = 2; k < 8; k += 2) {
        ENSURE(json_get(v, known[k]) == NULL || json_get(v, known[k + 1]) == NULL, ps->err,
               SL_E_PARSE, "Syntax errors in policy: a statement can't have both %s and %s.",
               known[k], known[k + 1]);
    }
    return SL_OK;
}

static struct sl_rc parse_sid(struct parser *ps, const struct json *v, struct pol_statement *st) {
    if (v == NULL) {
        return SL_OK;
    }
    ENSURE(v->type == JSON_STRING, ps->err, SL_E_PARSE,
           "Syntax errors in policy: Sid must be a string.");
    st->sid = v->text;
    if (ps->kind == POLICY_KEY || ps->kind == POLICY_BUCKET) {
        return SL_OK;
    }
    for (size_t i = 0; i < v->text.len; i++) {
        uint8_t c = v->text.ptr[i];
        bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        ENSURE(fine, ps->err, SL_E_PARSE,
               "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the "
               "regular expression [0-9A-Za-z]*");
    }
    return SL_OK;
}

static struct sl_rc parse_who(struct parser *ps, const struct json *v, struct pol_statement *st) {
    const struct json *p = json_get(v, "Principal");
    const struct json *np = json_get(v, "NotPrincipal");
    if (!has_principal(ps->kind)) {
        ENSURE(p == NULL && np == NULL, ps->err, SL_E_PARSE,
               "Policy document should not specify a principal.");
        return SL_OK;
    }
    ENSURE(p != NULL || np != NULL, ps->err, SL_E_PARSE, "Missing required field Principal");
    /* With Allow it would open the resource to everybody unnamed; AWS refuses it too. */
    ENSURE(np == NULL || st->deny, ps->err, SL_E_PARSE,
           "Allow with NotPrincipal is not allowed. Use Deny with NotPrincipal.");
    ENSURE(np == NULL || ps->kind != POLICY_TRUST, ps->err, SL_E_PARSE,
           "Has prohibited field NotPrincipal");
    st->not_principal = np != NULL;
    return parse_principal(ps, np ? np : p, st);
}

static struct sl_rc parse_action(struct parser *ps, const struct json *v,
                                 struct pol_statement *st) {
    const struct json *is = json_get(v, "Action");
    const struct json *no = json_get(v, "NotAction");
    if (is == NULL && no == NULL) {
        /* KMS takes such a statement; it has no effect. */
        ENSURE(ps->kind == POLICY_KEY, ps->err, SL_E_PARSE, "%s",
               has_principal(ps->kind) ? "Missing required field Action"
                                       : "Policy statement must contain actions.");
        return SL_OK;
    }
    ENSURE(no == NULL || ps->kind != POLICY_TRUST, ps->err, SL_E_PARSE,
           "AssumeRole policy may only specify STS AssumeRole actions.");
    st->not_action = no != NULL;
    TRY(parse_texts(ps, no ? no : is, false, false, no ? "NotAction" : "Action", &st->actions));
    for (size_t i = 0; i < st->actions.count; i++) {
        TRY(check_action(ps, st->actions.items[i].text));
    }
    return SL_OK;
}

static size_t missing_pieces(struct slice arn) {
    size_t colons = 0, depth = 0;
    for (size_t i = 0; i < arn.len; i++) {
        depth += arn.ptr[i] == '{';
        depth -= arn.ptr[i] == '}' && depth > 0;
        colons += arn.ptr[i] == ':' && depth == 0;
    }
    return colons < 5 && !slice_eq_cstr(arn, "*") ? 5 - colons : 0;
}

/* In policies of identities AWS completes an ARN of fewer than six pieces by wildcards. So each
 * such pattern gets a second one beside it: its own stars may also run over colons. */
static struct sl_rc complete_arns(struct parser *ps, struct pol_texts *r) {
    static const char tail[] = ":*:*:*:*:*";
    size_t n = r->count;
    for (size_t i = 0; i < r->count; i++) {
        n += missing_pieces(r->items[i].text) > 0;
    }
    if (n == r->count) {
        return SL_OK;
    }
    struct pol_text *items = arena_array(ps->a, n, sizeof *items);
    NEED(items);
    n = 0;
    for (size_t i = 0; i < r->count; i++) {
        const struct pol_text *t = &r->items[i];
        size_t missing = missing_pieces(t->text);
        items[n++] = *t;
        if (missing > 0) {
            size_t len = t->text.len + 2 * missing;
            uint8_t *whole = arena_alloc(ps->a, len);
            NEED(whole);
            memcpy(whole, t->text.ptr, t->text.len);
            memcpy(whole + t->text.len, tail, 2 * missing);
            items[n++] = (struct pol_text){slice_of(whole, len), t->vars};
        }
    }
    *r = (struct pol_texts){items, n};
    return SL_OK;
}

static struct sl_rc parse_resource(struct parser *ps, const struct json *v,
                                   struct pol_statement *st) {
    const struct json *is = json_get(v, "Resource");
    const struct json *no = json_get(v, "NotResource");
    if (ps->kind == POLICY_TRUST) {
        ENSURE(is == NULL && no == NULL, ps->err, SL_E_PARSE, "Has prohibited field Resource");
        return SL_OK;
    }
    if (is == NULL && no == NULL) {
        ENSURE(ps->kind == POLICY_KEY, ps->err, SL_E_PARSE, "%s",
               has_principal(ps->kind) ? "Missing required field Resource"
                                       : "Policy statement must contain resources.");
        return SL_OK;
    }
    st->not_resource = no != NULL;
    TRY(parse_texts(ps, no ? no : is, true, false, no ? "NotResource" : "Resource",
                    &st->resources));
    for (size_t i = 0; i < st->resources.count; i++) {
        TRY(check_resource(ps, st->resources.items[i].text));
    }
    return has_principal(ps->kind) ? SL_OK : complete_arns(ps, &st->resources);
}

static struct sl_rc parse_statement(struct parser *ps, const struct json *v,
                                    struct pol_statement *st) {
    ENSURE(v->type == JSON_OBJECT, ps->err, SL_E_PARSE,
           "Syntax errors in policy: a statement must be an object.");
    TRY(check_members(ps, v));
    const struct json *effect = json_get(v, "Effect");
    ENSURE(effect != NULL && effect->type == JSON_STRING, ps->err, SL_E_PARSE,
           "Missing required field Effect");
    st->deny = slice_eq_cstr(effect->text, "Deny");
    ENSURE(st->deny || slice_eq_cstr(effect->text, "Allow"), ps->err, SL_E_PARSE,
           "Invalid effect: %.*s", SLICE_FMT(effect->text));
    TRY(parse_sid(ps, json_get(v, "Sid"), st));
    TRY(parse_who(ps, v, st));
    TRY(parse_action(ps, v, st));
    TRY(parse_resource(ps, v, st));
    const struct json *conditions = json_get(v, "Condition");
    return conditions ? parse_conditions(ps, conditions, st) : SL_OK;
}

static struct sl_rc parse_root(struct parser *ps, const struct json *root) {
    ENSURE(root->type == JSON_OBJECT, ps->err, SL_E_PARSE,
           "Syntax errors in policy: it must be a JSON object.");
    for (const struct json *m = root->child; m != NULL; m = m->next) {
        ENSURE(slice_eq_cstr(m->name, "Version") || slice_eq_cstr(m->name, "Id") ||
                   slice_eq_cstr(m->name, "Statement"),
               ps->err, SL_E_PARSE, "Syntax errors in policy: unknown element \"%.*s\".",
               SLICE_FMT(m->name));
        ENSURE(m->type == JSON_STRING || slice_eq_cstr(m->name, "Statement"), ps->err, SL_E_PARSE,
               "Syntax errors in policy: %.*s must be a string.", SLICE_FMT(m->name));
    }
    const struct json *version = json_get(root, "Version");
    if (version != NULL) {
        ps->v2012 = slice_eq_cstr(version->text, "2012-10-17");
        ENSURE(ps->v2012 || slice_eq_cstr(version->text, "2008-10-17"), ps->err, SL_E_PARSE,
               "The policy must contain a valid version string");
    }
    return SL_OK;
}

static struct sl_rc check_sids(struct parser *ps, const struct policy *p) {
    for (size_t i = 0; i < p->count; i++) {
        for (size_t k = 0; k < i && p->statements[i].sid.len > 0; k++) {
            ENSURE(!slice_eq(p->statements[i].sid, p->statements[k].sid), ps->err, SL_E_PARSE,
                   "Statement IDs (SID) in a single policy must be unique.");
        }
    }
    return SL_OK;
}

struct sl_rc policy_parse(struct slice text, enum policy_kind kind, struct arena *a,
                          struct sl_error *err, const struct policy **ret) {
    struct parser parser = {.kind = kind, .a = a, .err = err};
    struct parser *ps = &parser;
    ENSURE(text.len <= LIMIT_POLICY_BYTES, err, SL_E_PARSE, "The policy is longer than %d bytes",
           LIMIT_POLICY_BYTES);
    const struct json *root = NULL;
    TRY(json_parse(text, a, err, &root));
    TRY(parse_root(ps, root));
    const struct json *list = json_get(root, "Statement");
    ENSURE(list != NULL && count_of(list) > 0, err, SL_E_PARSE, "Missing required field Statement");
    struct policy *p = arena_alloc(a, sizeof *p);
    NEED(p);
    struct pol_statement *items = arena_array(a, count_of(list), sizeof *items);
    NEED(items);
    p->kind = kind;
    p->statements = items;
    for (const struct json *j = first_of(list); j != NULL; j = next_of(list, j)) {
        TRY(parse_statement(ps, j, &items[p->count]));
        p->count++;
    }
    if (kind != POLICY_KEY) {
        TRY(check_sids(ps, p));
    }
    *ret = p;
    return SL_OK;
}

bool policy_next_principal(const struct policy *p, size_t *cursor, struct slice *ret_aws) {
    size_t at = 0;
    for (size_t i = 0; i < p->count; i++) {
        const struct pol_statement *st = &p->statements[i];
        for (size_t k = 0; k < st->principal_count; k++, at++) {
            if (at >= *cursor && st->principals[k].kind == POL_AWS) {
                *cursor = at + 1;
                *ret_aws = st->principals[k].value;
                return true;
            }
        }
    }
    return false;
}

bool policy_next_resource(const struct policy *p, size_t *cursor, struct slice *ret_pattern) {
    size_t at = 0;
    for (size_t i = 0; i < p->count; i++) {
        const struct pol_texts *r = &p->statements[i].resources;
        if (*cursor < at + r->count) {
            *ret_pattern = r->items[*cursor - at].text;
            (*cursor)++;
            return true;
        }
        at += r->count;
    }
    return false;
}
