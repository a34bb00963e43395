/* The explanation of a verdict: its shape is AWS's, and it tells no more than the caller may know.
 */
#include "tests/unit/policy/policy_test.h"

#define KEY "arn:aws:kms:us-east-1:" A1 ":key/k"
#define OBJ "arn:aws:s3:::b/k"
#define ST(effect, action)                                                                         \
    "{'Statement':{'Sid':'" effect "1','Effect':'" effect "','Action':'" action "','Resource':'*'" \
    "}}"

struct asked {
    enum who who;
    const char *action, *resource;
    const char *identity, *boundary, *policy;
    enum policy_kind kind;
};

static const char *explained(const struct asked *q, size_t max, struct arena *a) {
    static const struct slice names[] = {SLICE_LIT("arn:aws:iam::" A1 ":policy/P")};
    const struct policy *identity = parsed(q->identity, POLICY_IDENTITY, a);
    struct policy_set set = {.identity = &identity,
                             .identity_count = identity != NULL,
                             .identity_names = names,
                             .boundary = parsed(q->boundary, POLICY_BOUNDARY, a),
                             .boundary_name = SLICE_LIT("the-boundary"),
                             .resource = parsed(q->policy, q->kind, a),
                             .resource_kind = q->kind};
    struct keys keys;
    keys_of("aws:SourceIp=10.0.0.1", &keys);
    struct policy_request req = {
        &callers[q->who], slice_cstr(q->action), slice_cstr(q->resource), SLICE_LIT(A1), keys.keys,
        keys.count};
    SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(max);
    struct policy_verdict v = policy_decide(&set, &req, a);
    struct sl_rc rc = policy_explain(&v, &set, &req, a, &out, NULL);
    return sl_failed(rc) ? NULL : arena_cstr(a, buf_slice(&out));
}

static void holds(const char *text, const char *part) {
    assert_non_null(text);
    if (strstr(text, part) == NULL) {
        fail_msg("%s is not in %s", part, text);
    }
}
static void lacks(const char *text, const char *part) {
    assert_non_null(text);
    if (strstr(text, part) != NULL) {
        fail_msg("%s is in %s", part, text);
    }
}

static void the_whole_shape(void **state) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(256 * 1024);
    struct asked q = {ALICE,
                      "s3:GetObject",
                      OBJ,
                      "{'Statement':[{'Effect':'Allow','Action':'s3:*','Resource':'*'},"
                      "{'Sid':'Two','Effect':'Deny','Action':'s3:Get*','Resource':'" OBJ
                      "','Condition':{'IpAddress':{'aws:SourceIp':'10.0.0.0/8'}}}]}",
                      NULL,
                      NULL,
                      POLICY_BUCKET};
    const char *text = explained(&q, 64 * 1024, &a);
    assert_string_equal(
        text,
        "{\"allowed\":false,\"explicitDeny\":true,\"matchedStatements\":{\"items\":[{"
        "\"statementId\":\"Two\",\"effect\":\"DENY\",\"principals\":{\"items\":[]},"
        "\"principalGroups\":{\"items\":[]},\"actions\":{\"items\":[{\"value\":\"s3:Get*\"}]},"
        "\"resources\":{\"items\":[{\"value\":\"" OBJ "\"}]},\"conditions\":{\"items\":[{"
        "\"operator\":\"IpAddress\",\"key\":\"aws:SourceIp\",\"values\":{\"items\":[{\"value\":"
        "\"10.0.0.0/8\"}]}}]},\"policyType\":\"identity-based policy\",\"policyName\":"
        "\"arn:aws:iam::" A1 ":policy/P\",\"statementIndex\":1}]},\"failures\":{\"items\":[]},"
        "\"context\":{\"principal\":{\"id\":\"AIDAALICEALICEALICE22\",\"arn\":\"arn:aws:iam::" A1
        ":user/team/alice\"},\"action\":\"s3:GetObject\",\"resource\":\"" OBJ
        "\",\"conditions\":{\"items\":["
        "{\"key\":\"aws:PrincipalArn\",\"values\":{\"items\":[{\"value\":\"arn:aws:iam::" A1
        ":user/team/alice\"}]}},"
        "{\"key\":\"aws:PrincipalAccount\",\"values\":{\"items\":[{\"value\":\"" A1 "\"}]}},"
        "{\"key\":\"aws:PrincipalType\",\"values\":{\"items\":[{\"value\":\"User\"}]}},"
        "{\"key\":\"aws:userid\",\"values\":{\"items\":[{\"value\":\"AIDAALICEALICEALICE22\"}]}},"
        "{\"key\":\"aws:username\",\"values\":{\"items\":[{\"value\":\"alice\"}]}},"
        "{\"key\":\"aws:PrincipalIsAWSService\",\"values\":{\"items\":[{\"value\":\"false\"}]}},"
        "{\"key\":\"aws:ResourceAccount\",\"values\":{\"items\":[{\"value\":\"" A1 "\"}]}},"
        "{\"key\":\"aws:SourceIp\",\"values\":{\"items\":[{\"value\":\"10.0.0.1\"}]}}]}},"
        "\"sealift\":{\"reason\":\"with an explicit deny in an identity-based policy\","
        "\"decidedBy\":\"identity-based policy\",\"policyName\":\"arn:aws:iam::" A1 ":policy/P\","
        "\"missingAllows\":[],\"smallestChange\":[{\"policyType\":\"identity-based policy\","
        "\"policyName\":\"arn:aws:iam::" A1 ":policy/P\",\"removeOrNarrowStatement\":{\"Sid\":"
        "\"Two\",\"index\":1}}]}}");
}

static void missing_allows(void **state) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(256 * 1024);
    struct asked both = {ALICE, "s3:GetObject", OBJ, ST("Allow", "kms:*"), ST("Allow", "kms:*"),
                         NULL,  POLICY_BUCKET};
    const char *text = explained(&both, 64 * 1024, &a);
    holds(text, "\"matchedStatements\":{\"items\":[]}");
    holds(text, "\"missingAllows\":[\"identity-based policy\",\"permissions boundary\"]");
    holds(text, "{\"policyType\":\"permissions boundary\",\"policyName\":\"the-boundary\",\"of\":"
                "\"arn:aws:iam::" A1 ":user/team/alice\",\"addStatement\":{\"Effect\":\"Allow\","
                "\"Action\":\"s3:GetObject\",\"Resource\":\"" OBJ "\"}}");
    struct asked key = {LOADER,
                        "kms:Decrypt",
                        KEY,
                        ST("Allow", "kms:*"),
                        NULL,
                        "{'Statement':{'Effect':'Allow','Principal':{'Service':"
                        "'redshift.amazonaws.com'},'Action':'kms:*','Resource':'*'}}",
                        POLICY_KEY};
    text = explained(&key, 64 * 1024, &a);
    holds(text, "\"statementId\":\"Allow1\",\"effect\":\"ALLOW\"");
    holds(text, "\"missingAllows\":[\"key policy\"]");
    holds(text, "\"of\":\"" KEY "\",\"addStatement\":{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":"
                "\"arn:aws:iam::" A1 ":role/Loader\"},\"Action\":\"kms:Decrypt\",\"Resource\":"
                "\"*\"}}");
    struct asked trust = {REDSHIFT,
                          "sts:AssumeRole",
                          "arn:aws:iam::" A1 ":role/R",
                          NULL,
                          NULL,
                          "{'Statement':{'Effect':'Allow','Principal':{'AWS':'" A1
                          "'},'Action':'sts:AssumeRole'}}",
                          POLICY_TRUST};
    text = explained(&trust, 64 * 1024, &a);
    holds(text, "{\"Effect\":\"Allow\",\"Principal\":{\"Service\":\"redshift.amazonaws.com\"},"
                "\"Action\":\"sts:AssumeRole\"}");
    struct asked nobody = {NOBODY, "s3:GetObject", OBJ, NULL, NULL, NULL, POLICY_BUCKET};
    holds(explained(&nobody, 64 * 1024, &a), "\"Principal\":\"*\"");
}

/* The owner's side is told which statement denies; another account is told neither it nor whether
 * it is an explicit deny. */
static void foreign_policies_stay_hidden(void **state) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(256 * 1024);
    static const char deny[] = "{'Statement':{'Sid':'Secret','Effect':'Deny','Principal':'*',"
                               "'Action':'kms:*','Resource':'*'}}";
    struct asked own = {ALICE, "kms:Decrypt", KEY, ST("Allow", "kms:*"), NULL, deny, POLICY_KEY};
    const char *text = explained(&own, 64 * 1024, &a);
    holds(text, "\"explicitDeny\":true");
    holds(text, "Secret");
    struct asked foreign = {BOB, "kms:Decrypt", KEY, ST("Allow", "kms:*"), NULL, deny, POLICY_KEY};
    const char *denied = explained(&foreign, 64 * 1024, &a);
    lacks(denied, "Secret");
    foreign.policy = "{'Statement':{'Effect':'Allow','Principal':{'Service':'x.amazonaws.com'},"
                     "'Action':'kms:*','Resource':'*'}}";
    assert_string_equal(denied, explained(&foreign, 64 * 1024, &a));
    struct asked bucket = {BOB,
                           "s3:GetObject",
                           OBJ,
                           ST("Allow", "s3:*"),
                           NULL,
                           "{'Statement':{'Sid':'Secret','Effect':'Deny','Principal':'*',"
                           "'Action':'s3:*','Resource':'arn:aws:s3:::b/*'}}",
                           POLICY_BUCKET};
    text = explained(&bucket, 64 * 1024, &a);
    holds(text, "\"explicitDeny\":true");
    lacks(text, "Secret");
}

static void what_does_not_fit_is_left_off(void **state) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(1024 * 1024);
    struct asked q = {ALICE, "s3:GetObject", OBJ, ST("Deny", "s3:*"), NULL, NULL, POLICY_BUCKET};
    const char *all = explained(&q, 64 * 1024, &a);
    lacks(all, "truncated");
    const char *less = explained(&q, strlen(all) - 1, &a);
    holds(less, "\"truncated\":true");
    holds(less, "\"statementId\":\"Deny1\"");
    lacks(less, "aws:SourceIp");
    const char *least = explained(&q, strlen(less) - 1, &a);
    holds(least, "\"truncated\":true");
    lacks(least, "statementId");
    holds(least, "removeOrNarrowStatement");
    assert_null(explained(&q, strlen(least) - 1, &a));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_shape),
        cmocka_unit_test(missing_allows),
        cmocka_unit_test(foreign_policies_stay_hidden),
        cmocka_unit_test(what_does_not_fit_is_left_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
