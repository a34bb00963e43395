/* What is accepted as a policy, by kind, and what is refused with which text. */
#include "tests/unit/policy/policy_test.h"

#define S(body) "{'Version':'2012-10-17','Statement':{'Effect':'Allow'," body "}}"
#define AR "'Action':'s3:*','Resource':'*'"

struct row {
    const char *rule;
    enum policy_kind kind;
    const char *text;
    const char *refusal; /* NULL: accepted */
};

static const struct row rows[] = {
    {"plain", POLICY_IDENTITY, S(AR), NULL},
    {"list of statements", POLICY_IDENTITY,
     "{'Id':'x','Statement':[{'Effect':'Allow'," AR "},{'Effect':'Deny'," AR "}]}", NULL},
    {"not JSON", POLICY_IDENTITY, "{", ""},
    {"no object", POLICY_IDENTITY, "[]", "must be a JSON object"},
    {"no statement", POLICY_IDENTITY, "{'Version':'2012-10-17'}",
     "Missing required field Statement"},
    {"empty statements", POLICY_IDENTITY, "{'Statement':[]}", "Missing required field Statement"},
    {"unknown version", POLICY_IDENTITY, "{'Version':'2020-01-01','Statement':{}}",
     "valid version string"},
    {"unknown element on top", POLICY_IDENTITY, "{'Statment':[]}", "unknown element \"Statment\""},
    {"unknown element in a statement", POLICY_IDENTITY, S(AR ",'Conditions':{}"),
     "unknown element \"Conditions\""},
    {"element names are case-sensitive", POLICY_IDENTITY, S("'action':'s3:*','Resource':'*'"),
     "unknown element \"action\""},
    {"duplicate element", POLICY_IDENTITY, S(AR ",'Action':'s3:*'"), ""},
    {"no effect", POLICY_IDENTITY, "{'Statement':{" AR "}}", "Missing required field Effect"},
    {"wrong effect", POLICY_IDENTITY, "{'Statement':{'Effect':'allow'," AR "}}", "Invalid effect"},
    {"statement of another type", POLICY_IDENTITY, "{'Statement':'x'}", "must be an object"},
    {"no action", POLICY_IDENTITY, S("'Resource':'*'"), "Policy statement must contain actions."},
    {"no resource", POLICY_IDENTITY, S("'Action':'s3:*'"),
     "Policy statement must contain resources."},
    {"action and NotAction", POLICY_IDENTITY, S(AR ",'NotAction':'s3:*'"), "can't have both"},
    {"action without vendor", POLICY_IDENTITY, S("'Action':'GetObject','Resource':'*'"),
     "must be prefaced by a vendor"},
    {"vendor with a wildcard", POLICY_IDENTITY, S("'Action':'s*:Get','Resource':'*'"),
     "Vendor s* is not valid"},
    {"action of another type", POLICY_IDENTITY, S("'Action':1,'Resource':'*'"), "list of strings"},
    {"empty list of actions", POLICY_IDENTITY, S("'Action':[],'Resource':'*'"), "is empty"},
    {"resource that is no ARN", POLICY_IDENTITY, S("'Action':'s3:*','Resource':'bucket'"),
     "must be in ARN format or \"*\"."},
    {"principal in an identity policy", POLICY_IDENTITY, S(AR ",'Principal':'*'"),
     "should not specify a principal"},
    {"Sid with a blank", POLICY_IDENTITY, S(AR ",'Sid':'a b'"), "alpha-numeric"},
    {"Sid twice", POLICY_IDENTITY,
     "{'Statement':[{'Sid':'a','Effect':'Allow'," AR "},{'Sid':'a','Effect':'Deny'," AR "}]}",
     "must be unique"},
    {"session policies are identity policies", POLICY_SESSION, S(AR), NULL},
    {"boundaries too", POLICY_BOUNDARY, S(AR ",'Principal':'*'"), "should not specify a principal"},
    {"unknown operator", POLICY_IDENTITY, S(AR ",'Condition':{'StringIs':{'s3:x':'y'}}"),
     "Invalid Condition type : StringIs."},
    {"NullIfExists", POLICY_IDENTITY, S(AR ",'Condition':{'NullIfExists':{'s3:x':'true'}}"),
     "Invalid Condition type"},
    {"condition of another type", POLICY_IDENTITY, S(AR ",'Condition':[]"), "must be an object"},
    {"operator without keys", POLICY_IDENTITY, S(AR ",'Condition':{'Bool':{}}"),
     "must be an object with keys"},
    {"key without vendor", POLICY_IDENTITY, S(AR ",'Condition':{'Bool':{'x':'true'}}"),
     "must be prefaced by a vendor"},
    {"value that is no number", POLICY_IDENTITY,
     S(AR ",'Condition':{'NumericEquals':{'s3:x':'ten'}}"), "does not fit its operator"},
    {"value that is no date", POLICY_IDENTITY,
     S(AR ",'Condition':{'DateEquals':{'aws:CurrentTime':'2026-13-01'}}"),
     "does not fit its operator"},
    {"value that is no address", POLICY_IDENTITY,
     S(AR ",'Condition':{'IpAddress':{'aws:SourceIp':'10.0.0.0/33'}}"),
     "does not fit its operator"},
    {"value that is no boolean", POLICY_IDENTITY,
     S(AR ",'Condition':{'Bool':{'aws:SecureTransport':'yes'}}"), "does not fit its operator"},
    {"variable without end", POLICY_IDENTITY, S("'Action':'s3:*','Resource':'arn:aws:s3:::${x'"),
     "malformed policy variable"},
    {"variable with a bad default", POLICY_IDENTITY,
     S("'Action':'s3:*','Resource':'arn:aws:s3:::${aws:x, y}'"), "malformed policy variable"},
    {"default cut short", POLICY_IDENTITY,
     S("'Action':'s3:*','Resource':'arn:aws:s3:::${aws:x,`y` '"), "malformed policy variable"},
    {"no variables in old documents", POLICY_IDENTITY,
     "{'Version':'2008-10-17','Statement':{'Effect':'Allow','Action':'s3:*',"
     "'Resource':'arn:aws:s3:::${x'}}",
     NULL},

    {"key policy", POLICY_KEY, S("'Principal':{'AWS':'" A1 "'},'Action':'kms:*','Resource':'*'"),
     NULL},
    {"key policy without principal", POLICY_KEY, S("'Action':'kms:*','Resource':'*'"),
     "Missing required field Principal"},
    {"key policy: Sid with blanks", POLICY_KEY,
     S("'Sid':'Enable IAM User Permissions','Principal':'*','Action':'kms:*','Resource':'*'"),
     NULL},
    {"key policy: no Action, no Resource", POLICY_KEY, S("'Principal':'*'"), NULL},
    {"key policy: ForAllValues on a context", POLICY_KEY,
     S("'Principal':'*','Action':'kms:*','Resource':'*','Condition':{'ForAllValues:StringEquals':"
       "{'kms:EncryptionContext:a':'b'}}"),
     "single-valued"},
    {"key policy: ForAllValues on the keys", POLICY_KEY,
     S("'Principal':'*','Action':'kms:*','Resource':'*','Condition':{'ForAllValues:StringEquals':"
       "{'kms:EncryptionContextKeys':'b'}}"),
     NULL},

    {"bucket policy", POLICY_BUCKET,
     S("'Principal':'*','Action':'s3:GetObject','Resource':'arn:aws:s3:::b/*'"), NULL},
    {"bucket policy of another service", POLICY_BUCKET,
     S("'Principal':'*','Action':'kms:*','Resource':'arn:aws:s3:::b/*'"),
     "Policy has invalid action"},
    {"bucket policy of all resources", POLICY_BUCKET,
     S("'Principal':'*','Action':'s3:*','Resource':'*'"), "Policy has invalid resource"},
    {"bucket policy without resource", POLICY_BUCKET, S("'Principal':'*','Action':'s3:*'"),
     "Missing required field Resource"},

    {"trust policy", POLICY_TRUST,
     S("'Principal':{'Service':'redshift.amazonaws.com'},'Action':'sts:AssumeRole'"), NULL},
    {"trust policy with a resource", POLICY_TRUST,
     S("'Principal':'*','Action':'sts:AssumeRole','Resource':'*'"),
     "Has prohibited field Resource"},
    {"trust policy of other actions", POLICY_TRUST, S("'Principal':'*','Action':'s3:*'"),
     "may only specify STS AssumeRole actions"},
    {"trust policy of all actions", POLICY_TRUST, S("'Principal':'*','Action':'*'"),
     "may only specify STS AssumeRole actions"},

    {"principal by name", POLICY_TRUST, S("'Principal':'alice','Action':'sts:AssumeRole'"),
     "Invalid principal in policy"},
    {"principal with a wildcard", POLICY_TRUST,
     S("'Principal':{'AWS':'arn:aws:iam::" A1 ":user/*'},'Action':'sts:AssumeRole'"),
     "Invalid principal in policy: \"AWS\":\"arn:aws:iam::" A1 ":user/*\""},
    {"group as a principal", POLICY_TRUST,
     S("'Principal':{'AWS':'arn:aws:iam::" A1 ":group/g'},'Action':'sts:AssumeRole'"),
     "Invalid principal in policy"},
    {"principal of eleven digits", POLICY_TRUST,
     S("'Principal':{'AWS':'11111111111'},'Action':'sts:AssumeRole'"),
     "Invalid principal in policy"},
    {"session without name", POLICY_TRUST,
     S("'Principal':{'AWS':'arn:aws:sts::" A1 ":assumed-role/R'},'Action':'sts:AssumeRole'"),
     "Invalid principal in policy"},
    {"unknown kind of principal", POLICY_TRUST,
     S("'Principal':{'User':'x'},'Action':'sts:AssumeRole'"), "unknown kind"},
    {"empty principal", POLICY_TRUST, S("'Principal':{},'Action':'sts:AssumeRole'"),
     "Principal is empty"},
    {"federated and canonical are accepted", POLICY_BUCKET,
     S("'Principal':{'Federated':'x.example','CanonicalUser':'79a59df9'},'Action':'s3:*',"
       "'Resource':'arn:aws:s3:::b'"),
     NULL},
    {"NotPrincipal with Allow", POLICY_BUCKET,
     S("'NotPrincipal':{'AWS':'" A1 "'},'Action':'s3:*','Resource':'arn:aws:s3:::b'"),
     "Allow with NotPrincipal"},
    {"NotPrincipal in a trust policy", POLICY_TRUST,
     "{'Statement':{'Effect':'Deny','NotPrincipal':{'AWS':'" A1 "'},'Action':'sts:AssumeRole'}}",
     "prohibited field NotPrincipal"},
};

static void documents(void **state) {
    int wrong = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];
        SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(1024 * 1024);
        struct sl_error err = {0};
        const struct policy *p = NULL;
        struct sl_rc rc = policy_parse(quoted(r->text, &a), r->kind, &a, &err, &p);
        bool fine = r->refusal == NULL ? sl_is_ok(rc) && p != NULL
                                       : rc.code == SL_E_PARSE && p == NULL && err.detail[0] &&
                                             strstr(err.detail, r->refusal);
        if (!fine) {
            print_error("%s: %s (%s)\n", r->rule, sl_code_info(rc.code)->name, err.detail);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

static void too_long(void **state) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(1024 * 1024);
    char *text = arena_alloc(&a, 40000);
    const struct policy *p;
    memset(text, ' ', 40000);
    assert_int_equal(policy_parse(slice_of(text, 40000), POLICY_KEY, &a, NULL, &p).code,
                     SL_E_PARSE);
}

static void walks(void **state) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(64 * 1024);
    const struct policy *p = parsed(
        "{'Statement':[{'Effect':'Allow','Principal':{'Service':'x.amazonaws.com','AWS':['" A1
        "','*']},'Action':'s3:*','Resource':['arn:aws:s3:::b','arn:aws:s3:::b/*']},"
        "{'Effect':'Deny','Principal':{'AWS':'" A2
        "'},'Action':'s3:*','NotResource':'arn:aws:s3:::c'}]}",
        POLICY_BUCKET, &a);
    struct slice s;
    size_t cursor = 0;
    assert_true(policy_next_principal(p, &cursor, &s) && slice_eq_cstr(s, A1));
    assert_true(policy_next_principal(p, &cursor, &s) && slice_eq_cstr(s, A2));
    assert_false(policy_next_principal(p, &cursor, &s));
    cursor = 0;
    assert_true(policy_next_resource(p, &cursor, &s) && slice_eq_cstr(s, "arn:aws:s3:::b"));
    assert_true(policy_next_resource(p, &cursor, &s) && slice_eq_cstr(s, "arn:aws:s3:::b/*"));
    assert_true(policy_next_resource(p, &cursor, &s) && slice_eq_cstr(s, "arn:aws:s3:::c"));
    assert_false(policy_next_resource(p, &cursor, &s));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents),
        cmocka_unit_test(too_long),
        cmocka_unit_test(walks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
