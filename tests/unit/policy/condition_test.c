/* Conditions, one rule a line: an identity policy that allows under the condition, Alice asks. */
#include "tests/unit/policy/policy_test.h"

struct row {
    const char *rule, *condition, *keys;
    bool holds;
};

static const struct row rows[] = {
    /* strings */
    {"StringEquals is exact", "{'StringEquals':{'s3:x':'abc'}}", "s3:x=abc", true},
    {"StringEquals is case-sensitive", "{'StringEquals':{'s3:x':'abc'}}", "s3:x=ABC", false},
    {"StringEquals takes wildcards literally", "{'StringEquals':{'s3:x':'a*'}}", "s3:x=abc", false},
    {"values are alternatives", "{'StringEquals':{'s3:x':['a','b']}}", "s3:x=b", true},
    {"none of the values", "{'StringEquals':{'s3:x':['a','b']}}", "s3:x=c", false},
    {"keys are all needed", "{'StringEquals':{'s3:x':'a','s3:y':'b'}}", "s3:x=a;s3:y=c", false},
    {"operators are all needed", "{'StringEquals':{'s3:x':'a'},'StringLike':{'s3:x':'b*'}}",
     "s3:x=a", false},
    {"key names are case-blind", "{'StringEquals':{'S3:X':'a'}}", "s3:x=a", true},
    {"missing key fails a positive operator", "{'StringEquals':{'s3:x':'a'}}", "", false},
    {"StringNotEquals differs", "{'StringNotEquals':{'s3:x':'a'}}", "s3:x=b", true},
    {"StringNotEquals equal", "{'StringNotEquals':{'s3:x':'a'}}", "s3:x=a", false},
    {"StringNotEquals means none of the values", "{'StringNotEquals':{'s3:x':['a','b']}}", "s3:x=b",
     false},
    {"missing key passes a negated operator", "{'StringNotEquals':{'s3:x':'a'}}", "", true},
    {"StringEqualsIgnoreCase", "{'StringEqualsIgnoreCase':{'s3:x':'aBc'}}", "s3:x=AbC", true},
    {"StringNotEqualsIgnoreCase", "{'StringNotEqualsIgnoreCase':{'s3:x':'aBc'}}", "s3:x=AbC",
     false},
    {"StringLike star", "{'StringLike':{'s3:x':'a*c'}}", "s3:x=abbbc", true},
    {"StringLike star matches nothing too", "{'StringLike':{'s3:x':'a*c'}}", "s3:x=ac", true},
    {"StringLike question mark is one character", "{'StringLike':{'s3:x':'a?c'}}", "s3:x=ac",
     false},
    {"StringLike question mark is a character, not a byte", "{'StringLike':{'s3:x':'a?c'}}",
     "s3:x=a\xc3\xa9"
     "c",
     true},
    {"StringLike is case-sensitive", "{'StringLike':{'s3:x':'A*'}}", "s3:x=abc", false},
    {"StringLike backtracks", "{'StringLike':{'s3:x':'*ab*ab'}}", "s3:x=abxabab", true},
    {"StringNotLike", "{'StringNotLike':{'s3:x':'a*'}}", "s3:x=abc", false},
    /* numbers */
    {"NumericEquals compares numbers", "{'NumericEquals':{'s3:max-keys':'10'}}", "s3:max-keys=10.0",
     true},
    {"NumericEquals takes JSON numbers", "{'NumericEquals':{'s3:max-keys':10}}", "s3:max-keys=10",
     true},
    {"NumericNotEquals", "{'NumericNotEquals':{'s3:max-keys':'10'}}", "s3:max-keys=10", false},
    {"NumericLessThan", "{'NumericLessThan':{'s3:max-keys':'10'}}", "s3:max-keys=9", true},
    {"NumericLessThan at the bound", "{'NumericLessThan':{'s3:max-keys':'10'}}", "s3:max-keys=10",
     false},
    {"NumericLessThanEquals at the bound", "{'NumericLessThanEquals':{'s3:max-keys':'10'}}",
     "s3:max-keys=10", true},
    {"NumericGreaterThan is not textual", "{'NumericGreaterThan':{'s3:max-keys':'9'}}",
     "s3:max-keys=10", true},
    {"NumericGreaterThanEquals below", "{'NumericGreaterThanEquals':{'s3:max-keys':'9'}}",
     "s3:max-keys=8", false},
    {"no number never compares", "{'NumericLessThan':{'s3:max-keys':'9'}}", "s3:max-keys=nan",
     false},
    /* dates */
    {"DateLessThan", "{'DateLessThan':{'aws:CurrentTime':'2026-01-01T00:00:00Z'}}",
     "aws:CurrentTime=2025-12-31T23:59:59Z", true},
    {"DateGreaterThan", "{'DateGreaterThan':{'aws:CurrentTime':'2026-01-01T00:00:00Z'}}",
     "aws:CurrentTime=2025-12-31T23:59:59Z", false},
    {"DateEquals over zones", "{'DateEquals':{'aws:CurrentTime':'2026-01-01T02:00:00+02:00'}}",
     "aws:CurrentTime=2026-01-01T00:00:00Z", true},
    {"DateNotEquals", "{'DateNotEquals':{'aws:CurrentTime':'2026-01-01'}}",
     "aws:CurrentTime=2026-01-01T00:00:00Z", false},
    {"dates are epoch seconds too", "{'DateGreaterThanEquals':{'aws:EpochTime':'1767225600'}}",
     "aws:EpochTime=1767225600", true},
    {"epoch against ISO", "{'DateLessThanEquals':{'aws:EpochTime':'2026-01-01T00:00:00Z'}}",
     "aws:EpochTime=1767225601", false},
    /* booleans, binary */
    {"Bool", "{'Bool':{'aws:SecureTransport':'true'}}", "aws:SecureTransport=true", true},
    {"Bool as JSON value", "{'Bool':{'aws:SecureTransport':true}}", "aws:SecureTransport=false",
     false},
    {"Bool missing", "{'Bool':{'aws:SecureTransport':'false'}}", "", false},
    {"BinaryEquals", "{'BinaryEquals':{'s3:x':'QmluYXJ5'}}", "s3:x=Binary", true},
    {"BinaryEquals differs", "{'BinaryEquals':{'s3:x':'QmluYXJ5'}}", "s3:x=Binarx", false},
    /* addresses */
    {"IpAddress in a net", "{'IpAddress':{'aws:SourceIp':'10.1.0.0/16'}}", "aws:SourceIp=10.1.2.3",
     true},
    {"IpAddress outside", "{'IpAddress':{'aws:SourceIp':'10.1.0.0/16'}}", "aws:SourceIp=10.2.2.3",
     false},
    {"IpAddress odd prefix", "{'IpAddress':{'aws:SourceIp':'10.1.2.0/23'}}",
     "aws:SourceIp=10.1.3.255", true},
    {"IpAddress single", "{'IpAddress':{'aws:SourceIp':'10.1.2.3'}}", "aws:SourceIp=10.1.2.4",
     false},
    {"IpAddress v6", "{'IpAddress':{'aws:SourceIp':'2001:db8::/32'}}", "aws:SourceIp=2001:db8:1::5",
     true},
    {"IpAddress v6 outside", "{'IpAddress':{'aws:SourceIp':'2001:db8::/32'}}",
     "aws:SourceIp=2001:db9::5", false},
    {"IpAddress v4 in v6 form is v4", "{'IpAddress':{'aws:SourceIp':'10.0.0.0/8'}}",
     "aws:SourceIp=::ffff:10.0.0.1", true},
    {"NotIpAddress", "{'NotIpAddress':{'aws:SourceIp':['10.0.0.0/8','127.0.0.1']}}",
     "aws:SourceIp=127.0.0.1", false},
    {"all of v4", "{'IpAddress':{'aws:SourceIp':'0.0.0.0/0'}}", "aws:SourceIp=9.9.9.9", true},
    {"all of v4 is not v6", "{'IpAddress':{'aws:SourceIp':'0.0.0.0/0'}}", "aws:SourceIp=::1",
     false},
    /* ARNs */
    {"ArnEquals", "{'ArnEquals':{'aws:SourceArn':'arn:aws:s3:::b'}}",
     "aws:SourceArn=arn:aws:s3:::b", true},
    {"ArnEquals takes wildcards", "{'ArnEquals':{'aws:SourceArn':'arn:aws:s3:::b*'}}",
     "aws:SourceArn=arn:aws:s3:::bucket", true},
    {"ArnLike star stays in its piece", "{'ArnLike':{'aws:SourceArn':'arn:aws:*:b:c:d'}}",
     "aws:SourceArn=arn:aws:s3:x:b:c:d", false},
    {"ArnLike last piece has colons", "{'ArnLike':{'aws:SourceArn':'arn:aws:redshift:r:1:db*'}}",
     "aws:SourceArn=arn:aws:redshift:r:1:dbuser:local/x", true},
    {"ArnNotLike", "{'ArnNotLike':{'aws:SourceArn':'arn:aws:s3:::*'}}",
     "aws:SourceArn=arn:aws:s3:::b", false},
    {"ArnNotEquals missing", "{'ArnNotEquals':{'aws:SourceArn':'arn:aws:s3:::*'}}", "", true},
    {"no ARN is like no pattern", "{'ArnLike':{'aws:SourceArn':'arn:*:*:*:*:*'}}",
     "aws:SourceArn=user", false},
    /* Null, IfExists */
    {"Null true: absent", "{'Null':{'s3:x':'true'}}", "", true},
    {"Null true: present", "{'Null':{'s3:x':'true'}}", "s3:x=a", false},
    {"Null false: present", "{'Null':{'s3:x':false}}", "s3:x=a", true},
    {"Null false: absent", "{'Null':{'s3:x':false}}", "", false},
    {"IfExists absent", "{'StringEqualsIfExists':{'s3:x':'a'}}", "", true},
    {"IfExists present and wrong", "{'StringEqualsIfExists':{'s3:x':'a'}}", "s3:x=b", false},
    {"IfExists on Bool", "{'BoolIfExists':{'aws:MultiFactorAuthPresent':'true'}}", "", true},
    /* several values */
    {"several values need a set operator", "{'StringEquals':{'s3:x':'a'}}", "s3:x=b|a", false},
    {"a negated operator too", "{'StringNotEquals':{'s3:x':'a'}}", "s3:x=b|c", false},
    {"ForAnyValue", "{'ForAnyValue:StringEquals':{'aws:TagKeys':['a','b']}}", "aws:TagKeys=c|b",
     true},
    {"ForAnyValue none", "{'ForAnyValue:StringEquals':{'aws:TagKeys':['a','b']}}",
     "aws:TagKeys=c|d", false},
    {"ForAnyValue absent", "{'ForAnyValue:StringNotEquals':{'aws:TagKeys':'a'}}", "", false},
    {"ForAnyValue negated", "{'ForAnyValue:StringNotEquals':{'aws:TagKeys':'a'}}",
     "aws:TagKeys=a|b", true},
    {"ForAllValues", "{'ForAllValues:StringLike':{'aws:TagKeys':['a*','b*']}}", "aws:TagKeys=a1|b2",
     true},
    {"ForAllValues one outside", "{'ForAllValues:StringLike':{'aws:TagKeys':['a*']}}",
     "aws:TagKeys=a1|b2", false},
    {"ForAllValues absent", "{'ForAllValues:StringEquals':{'aws:TagKeys':'a'}}", "", true},
    {"ForAllValues without values", "{'ForAllValues:StringEquals':{'aws:TagKeys':'a'}}",
     "aws:TagKeys=", true},
    {"ForAllValues negated", "{'ForAllValues:StringNotEquals':{'aws:TagKeys':'a'}}",
     "aws:TagKeys=b|a", false},
    /* variables */
    {"variable of the caller", "{'StringEquals':{'s3:prefix':'${aws:username}'}}",
     "s3:prefix=alice", true},
    {"variable inside a pattern", "{'StringLike':{'s3:prefix':'home/${aws:username}/*'}}",
     "s3:prefix=home/alice/x", true},
    {"variable names are case-blind", "{'StringEquals':{'s3:prefix':'${AWS:UserName}'}}",
     "s3:prefix=alice", true},
    {"variable of the request", "{'StringEquals':{'s3:x':'${s3:y}'}}", "s3:x=q;s3:y=q", true},
    {"a wildcard in a variable's value is literal", "{'StringLike':{'s3:x':'${s3:y}'}}",
     "s3:x=abc;s3:y=a*", false},
    {"variable without value matches nothing", "{'StringLike':{'s3:x':'*${s3:none}'}}", "s3:x=abc",
     false},
    {"unequal to a variable without value does not allow",
     "{'StringNotEquals':{'s3:x':'${s3:none}'}}", "s3:x=abc", false},
    {"default of a variable", "{'StringEquals':{'s3:x':'${s3:none, `dflt`}'}}", "s3:x=dflt", true},
    {"default may hold a brace", "{'StringEquals':{'s3:x':'${s3:none, `a}b`}c'}}", "s3:x=a}bc",
     true},
    {"default unused when there is a value", "{'StringEquals':{'s3:x':'${s3:y, `dflt`}'}}",
     "s3:x=dflt;s3:y=v", false},
    {"literal star", "{'StringLike':{'s3:x':'a${*}c'}}", "s3:x=abc", false},
    {"literal star matches a star", "{'StringLike':{'s3:x':'a${*}c'}}", "s3:x=a*c", true},
    {"literal question mark", "{'StringLike':{'s3:x':'a${?}'}}", "s3:x=ab", false},
    {"literal dollar", "{'StringEquals':{'s3:x':'${$}{aws:username}'}}", "s3:x=${aws:username}",
     true},
    /* facts that come from the engine */
    {"aws:PrincipalArn", "{'ArnLike':{'aws:PrincipalArn':'arn:aws:iam::" A1 ":user/team/*'}}", "",
     true},
    {"aws:PrincipalAccount", "{'StringEquals':{'aws:PrincipalAccount':'" A1 "'}}", "", true},
    {"aws:PrincipalType", "{'StringEquals':{'aws:PrincipalType':'User'}}", "", true},
    {"aws:userid", "{'StringEquals':{'aws:userid':'AIDAALICEALICEALICE22'}}", "", true},
    {"the request can't claim another principal",
     "{'StringEquals':{'aws:PrincipalArn':'arn:aws:iam::" A1 ":user/eve'}}",
     "aws:PrincipalArn=arn:aws:iam::" A1 ":user/eve", false},
    {"nor a fact that the caller lacks", "{'Null':{'aws:TokenIssueTime':'true'}}",
     "aws:TokenIssueTime=2020-01-01T00:00:00Z", true},
    {"aws:ResourceAccount", "{'StringEquals':{'aws:ResourceAccount':'" A1 "'}}", "", true},
};

static bool holds(const char *version, const char *condition, const char *keys, bool deny) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(1024 * 1024);
    struct keys k;
    keys_of(keys, &k);
    const struct policy *list[2] = {NULL, NULL};
    const char *text =
        arena_printf(&a,
                     "{'Version':'%s','Statement':{'Effect':'%s','Action':'*','Resource':'*',"
                     "'Condition':%s}}",
                     version, deny ? "Deny" : "Allow", condition);
    list[0] = parsed(text, POLICY_IDENTITY, &a);
    list[1] =
        parsed("{'Statement':{'Effect':'Allow','Action':'*','Resource':'*'}}", POLICY_IDENTITY, &a);
    struct policy_set set = {.identity = list, .identity_count = deny ? 2 : 1};
    struct policy_request req = {&callers[ALICE],
                                 SLICE_LIT("s3:GetObject"),
                                 SLICE_LIT("arn:aws:s3:::b/k"),
                                 SLICE_LIT(A1),
                                 k.keys,
                                 k.count};
    struct policy_verdict v = policy_decide(&set, &req, &a);
    return deny ? v.explicit_deny : v.decision == POLICY_ALLOW;
}

static void conditions(void **state) {
    int wrong = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (holds("2012-10-17", rows[i].condition, rows[i].keys, false) != rows[i].holds) {
            print_error("%s: %s with %s\n", rows[i].rule, rows[i].condition, rows[i].keys);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

static void variables_need_the_version(void **state) {
    const char *c = "{'StringEquals':{'s3:x':'${aws:username}'}}";
    assert_false(holds("2008-10-17", c, "s3:x=alice", false));
    assert_true(holds("2008-10-17", c, "s3:x=${aws:username}", false));
}

/* What can't be computed counts against the caller, whatever the effect. */
static void unresolved_denies(void **state) {
    assert_true(holds("2012-10-17", "{'StringNotEquals':{'s3:x':'${s3:none}'}}", "s3:x=a", true));
    assert_false(holds("2012-10-17", "{'StringNotEquals':{'s3:x':'${s3:none}'}}", "s3:x=a", false));
}

/* Without a set operator several values never allow; a deny holds when one of them is met. */
static void several_values(void **state) {
    const char *equals = "{'StringEquals':{'aws:TagKeys':'a'}}";
    const char *differs = "{'StringNotEquals':{'aws:TagKeys':'a'}}";
    assert_false(holds("2012-10-17", equals, "aws:TagKeys=a", false));
    assert_true(holds("2012-10-17", differs, "", false));
    assert_true(holds("2012-10-17", equals, "aws:TagKeys=b|a", true));
    assert_false(holds("2012-10-17", equals, "aws:TagKeys=b|c", true));
    assert_true(holds("2012-10-17", differs, "aws:TagKeys=b|c", true));
    assert_false(holds("2012-10-17", differs, "aws:TagKeys=b|a", true));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conditions),
        cmocka_unit_test(variables_need_the_version),
        cmocka_unit_test(unresolved_denies),
        cmocka_unit_test(several_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
