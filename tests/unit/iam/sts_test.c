/* Sessions: their policies, tags, source identities, chains; messages about denials. Credentials
 * are used as a client would, signed. */
#include "tests/unit/iam/iam_rig.h"

#define ASSUME "Action=AssumeRole&RoleSessionName=s1&RoleArn=" R
#define OTHER "222222222222"

/* A role that trusts `aws` for `actions` ("'a','b'"), with an inline policy on iam:*. */
static void add_role(const char *name, const char *aws, const char *actions,
                     const char *condition) {
    CALL("admin", 0, name, "Action=CreateRole&RoleName=%s&AssumeRolePolicyDocument=%s", name,
         enc(arena_printf(&w.texts,
                          "{'Version':'2012-10-17','Statement':{'Effect':'Allow','Principal':{"
                          "'AWS':'%s'},'Action':[%s]%s}}",
                          aws, actions, condition)));
    CALL("admin", 0, NULL, "Action=PutRolePolicy&RoleName=%s&PolicyName=p&PolicyDocument=%s", name,
         enc("{'Version':'2012-10-17','Statement':{'Effect':'Allow','Action':'iam:*',"
             "'Resource':'*'}}"));
}

#define ONLY(action)                                                                               \
    enc("{'Version':'2012-10-17','Statement':{'Effect':'Allow','Action':'" action                  \
        "','Resource':'*'}}")

static void session_policies(void **state) {
    add_role("Limited", U "alice", "'sts:AssumeRole'", "");
    CALL("admin", 0, "readers", "Action=CreatePolicy&PolicyName=readers&PolicyDocument=%s",
         ONLY("iam:ListGroups"));
    SESSION("free", "alice", ASSUME "Limited");
    SESSION("inline", "alice", ASSUME "Limited&Policy=%s", ONLY("iam:ListUsers"));
    SESSION("both", "alice",
            ASSUME "Limited&Policy=%s&PolicyArns.member.1.arn=arn:aws:iam::" ACCOUNT
                   ":policy/readers&PolicyArns.member.2.arn="
                   "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess",
            ONLY("iam:ListUsers"));
    CALL("=free", 0, "", "Action=ListUsers");
    CALL("=free", 0, "", "Action=ListRoles");
    CALL("=inline", 0, "", "Action=ListUsers");
    CALL("=inline", SL_E_ACCESS_DENIED, "no session policy allows", "Action=ListRoles");
    CALL("=inline", SL_E_ACCESS_DENIED, "no session policy allows", "Action=ListGroups");
    CALL("=both", 0, "", "Action=ListUsers");
    CALL("=both", 0, "", "Action=ListGroups");
    CALL("=both", SL_E_ACCESS_DENIED, "no session policy allows", "Action=ListRoles");
    /* What is asked for is checked. */
    CALL("alice", SL_E_IAM_POLICY, "", ASSUME "Limited&Policy=%%7B%%7D");
    CALL("alice", SL_E_IAM_VALIDATION, "ARN x is not valid.",
         ASSUME "Limited&PolicyArns.member.1.arn=x");
    CALL("alice", SL_E_IAM_VALIDATION, "policy/none does not exist",
         ASSUME "Limited&PolicyArns.member.1.arn=arn:aws:iam::" ACCOUNT ":policy/none");
    CALL("alice", SL_E_IAM_VALIDATION, "length less than or equal to 10",
         ASSUME "Limited&PolicyArns.member.1.arn=a&PolicyArns.member.2.arn=a"
                "&PolicyArns.member.3.arn=a&PolicyArns.member.4.arn=a&PolicyArns.member.5.arn=a"
                "&PolicyArns.member.6.arn=a&PolicyArns.member.7.arn=a&PolicyArns.member.8.arn=a"
                "&PolicyArns.member.9.arn=a&PolicyArns.member.10.arn=a&PolicyArns.member.11.arn=a");
    CALL("alice", 0, "<PackedPolicySize>", ASSUME "Limited&Policy=%s", ONLY("iam:ListUsers"));
    /* A managed session policy counts as it is now; when it is gone, so is the session. */
    CALL("admin", 0, "v2",
         "Action=CreatePolicyVersion&SetAsDefault=true&PolicyArn=arn:aws:iam::" ACCOUNT
         ":policy/readers&PolicyDocument=%s",
         ONLY("iam:ListRoles"));
    CALL("=both", 0, "", "Action=ListRoles");
    CALL("=both", SL_E_ACCESS_DENIED, "no session policy allows", "Action=ListGroups");
    CALL("admin", 0, NULL,
         "Action=DeletePolicyVersion&VersionId=v1&PolicyArn=arn:aws:iam::" ACCOUNT
         ":policy/readers");
    CALL("admin", 0, NULL, "Action=DeletePolicy&PolicyArn=arn:aws:iam::" ACCOUNT ":policy/readers");
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(1024 * 1024);
    struct auth_caller c;
    FAILS(verify_session("both", &a, &c), SL_E_TOKEN_INVALID);
    OK(verify_session("inline", &a, &c));
}

#define TAG(n, key, value) "&Tags.member." #n ".Key=" key "&Tags.member." #n ".Value=" value

static void session_tags(void **state) {
    add_role("Tagged", U "alice", "'sts:AssumeRole','sts:TagSession'",
             ",'Condition':{'StringLike':{'aws:RequestTag/project':'?*'},"
             "'ForAllValues:StringEquals':{'aws:TagKeys':['project','cost']}}");
    add_role("Untagged", U "alice", "'sts:AssumeRole'", "");
    CALL("admin", 0, NULL,
         "Action=TagRole&RoleName=Tagged" TAG(1, "project", "of-role") TAG(2, "unit", "red"));
    CALL("alice", SL_E_ACCESS_DENIED, "no role trust policy allows the sts:TagSession",
         ASSUME "Untagged" TAG(1, "project", "x"));
    CALL("alice", 0, "assumed-role/Untagged/s1", ASSUME "Untagged");
    CALL("alice", SL_E_ACCESS_DENIED, "sts:AssumeRole", ASSUME "Tagged" TAG(1, "cost", "x"));
    CALL("alice", SL_E_ACCESS_DENIED, "sts:AssumeRole",
         ASSUME "Tagged" TAG(1, "project", "x") TAG(2, "evil", "x"));
    SESSION("blue", "alice", ASSUME "Tagged" TAG(1, "project", "blue") TAG(2, "cost", "7"));
    /* aws:PrincipalTag: the session's over the role's, case-blind; the user's own. */
    CALL("admin", 0, NULL, "Action=PutRolePolicy&RoleName=Tagged&PolicyName=p&PolicyDocument=%s",
         enc("{'Version':'2012-10-17','Statement':[{'Effect':'Allow','Action':'iam:ListUsers',"
             "'Resource':'*','Condition':{'StringEquals':{'aws:PrincipalTag/Project':'blue',"
             "'aws:PrincipalTag/unit':'red'}}},{'Effect':'Allow','Action':'iam:ListRoles',"
             "'Resource':'*','Condition':{'StringEquals':{'aws:PrincipalTag/project':'of-role'}}},"
             "{'Effect':'Allow','Action':'iam:GetRole','Resource':"
             "'arn:aws:iam::*:role/${aws:PrincipalTag/project}'}]}"));
    CALL("=blue", 0, "", "Action=ListUsers");
    CALL("=blue", SL_E_ACCESS_DENIED, "", "Action=ListRoles");
    CALL("role:Tagged", 0, "", "Action=ListRoles");
    CALL("role:Tagged", SL_E_ACCESS_DENIED, "", "Action=ListUsers");
    add_role("blue", U "alice", "'sts:AssumeRole'", "");
    CALL("=blue", 0, "", "Action=GetRole&RoleName=blue");
    CALL("=blue", SL_E_ACCESS_DENIED, "", "Action=GetRole&RoleName=Tagged");
    CALL("admin", 0, NULL, "Action=TagUser&UserName=alice" TAG(1, "team", "a"));
    CALL("admin", 0, NULL, "Action=PutUserPolicy&UserName=alice&PolicyName=t&PolicyDocument=%s",
         enc("{'Version':'2012-10-17','Statement':{'Effect':'Allow','Action':'iam:ListUsers',"
             "'Resource':'*','Condition':{'StringEquals':{'aws:PrincipalTag/team':'a'}}}}"));
    CALL("alice", 0, "", "Action=ListUsers");
    CALL("admin", 0, NULL, "Action=UntagUser&UserName=alice&TagKeys.member.1=team");
    CALL("alice", SL_E_ACCESS_DENIED, "", "Action=ListUsers");
    CALL("admin", 0, NULL, "Action=DeleteUserPolicy&UserName=alice&PolicyName=t");
    /* Forms. */
    CALL("alice", SL_E_IAM_VALIDATION, "Duplicate tag keys",
         ASSUME "Tagged" TAG(1, "project", "x") TAG(2, "PROJECT", "y"));
    CALL("alice", SL_E_IAM_VALIDATION, "tags.1.member.key", ASSUME "Tagged" TAG(1, "aws:x", "x"));
    CALL("alice", SL_E_IAM_VALIDATION, "tags.1.member.key", ASSUME "Tagged" TAG(1, "a%%3Cb", "x"));
    CALL("alice", SL_E_IAM_VALIDATION, "tags.1.member.value", ASSUME "Tagged" TAG(1, "a", "%%0A"));
    CALL("alice", SL_E_IAM_VALIDATION, "must be included in the requested tags",
         ASSUME "Tagged&TransitiveTagKeys.member.1=project");
}

static void chains(void **state) {
    add_role("First", U "alice", "'sts:AssumeRole','sts:TagSession','sts:SetSourceIdentity'", "");
    add_role("Second", R "First", "'sts:AssumeRole','sts:TagSession','sts:SetSourceIdentity'",
             ",'Condition':{'ForAnyValue:StringEquals':{'sts:TransitiveTagKeys':'project'}}");
    add_role("Plain", R "First", "'sts:AssumeRole'", "");
    CALL("admin", 0, NULL, "Action=PutRolePolicy&RoleName=First&PolicyName=p&PolicyDocument=%s",
         ONLY("sts:*"));
    CALL("admin", 0, NULL, "Action=PutRolePolicy&RoleName=Second&PolicyName=p&PolicyDocument=%s",
         enc("{'Version':'2012-10-17','Statement':{'Effect':'Allow','Action':'iam:ListUsers',"
             "'Resource':'*','Condition':{'StringEquals':{'aws:PrincipalTag/project':'x',"
             "'aws:SourceIdentity':'alice'},'Null':{'aws:PrincipalTag/cost':'true'}}}}"));
    SESSION("one", "alice",
            ASSUME "First&SourceIdentity=alice" TAG(1, "project", "x")
                TAG(2, "cost", "y") "&TransitiveTagKeys.member.1=project");
    SESSION("two", "=one", ASSUME "Second");
    CALL("=two", 0, "", "Action=ListUsers");
    CALL("=one", 0, "<SourceIdentity>alice</SourceIdentity>", ASSUME "Second");
    CALL("=one", SL_E_IAM_VALIDATION, "conflicts with a transitive tag key",
         ASSUME "Second" TAG(1, "Project", "z"));
    CALL("=one", SL_E_ACCESS_DENIED, "source identity of a session can't be changed",
         ASSUME "Second&SourceIdentity=mallory");
    /* Passing tags and identity on needs the right to set them. */
    CALL("=one", SL_E_ACCESS_DENIED, "sts:TagSession", ASSUME "Plain");
    SESSION("bare", "alice", ASSUME "First");
    CALL("=bare", 0, "assumed-role/Plain/s1", ASSUME "Plain");
    CALL("=bare", SL_E_ACCESS_DENIED, "sts:AssumeRole", ASSUME "Second");
    CALL("=bare", SL_E_ACCESS_DENIED, "sts:SetSourceIdentity", ASSUME "Plain&SourceIdentity=me");
    CALL("alice", SL_E_IAM_VALIDATION, "sourceIdentity", ASSUME "First&SourceIdentity=a");
    CALL("=one", SL_E_IAM_VALIDATION, "role chaining", ASSUME "Second&DurationSeconds=3601");
}

static void packed(void **state) {
    add_role("Wide", U "alice", "'sts:AssumeRole','sts:TagSession'", "");
    SL_CLEANUP(buf_fini) struct buf form = BUF_INIT(64 * 1024);
    buf_puts(&form, ASSUME "Wide");
    for (int i = 1; i <= 17; i++) {
        buf_printf(&form, "&Tags.member.%d.Key=k%d&Tags.member.%d.Value=", i, i, i);
        for (int c = 0; c < 256; c++) {
            buf_putc(&form, 'v');
        }
    }
    buf_putc(&form, 0);
    CALL("alice", SL_E_STS_PACKED, "Packed policy consumes 108% of allotted space", "%s",
         (const char *)form.ptr);
    *strstr((char *)form.ptr, "&Tags.member.13.") = 0;
    SESSION("wide", "alice", "%s", (const char *)form.ptr);
    CALL("=wide", 0, "assumed-role/Wide/s1", "Action=GetCallerIdentity");
    CALL("alice", 0, "<PackedPolicySize>76</PackedPolicySize>", "%s", (const char *)form.ptr);
}

static void user_sessions(void **state) {
    add_role("ForUsers", U "alice", "'sts:AssumeRole'", "");
    CALL("admin", 0, NULL, "Action=PutUserPolicy&UserName=alice&PolicyName=t&PolicyDocument=%s",
         ONLY("*"));
    SESSION("user", "alice", "Action=GetSessionToken&DurationSeconds=900");
    CALL("=user", 0, "<Arn>" U "alice</Arn>", "Action=GetCallerIdentity");
    CALL("=user", 0, "assumed-role/ForUsers/s1", ASSUME "ForUsers");
    /* Neither IAM nor the rest of STS without a second factor. */
    CALL("=user", SL_E_TOKEN_INVALID, "security token", "Action=ListUsers");
    CALL("=user", SL_E_ACCESS_DENIED, "Cannot call GetSessionToken", "Action=GetSessionToken");
    CALL("=user", SL_E_ACCESS_DENIED, "Cannot call GetAccessKeyInfo",
         "Action=GetAccessKeyInfo&AccessKeyId=%s", w.alice_key);
    CALL("role:ForUsers", SL_E_ACCESS_DENIED, "Cannot call", "Action=GetSessionToken");
    CALL("alice", SL_E_ACCESS_DENIED, "MultiFactorAuthentication failed",
         "Action=GetSessionToken&SerialNumber=arn:aws:iam::1:mfa/x&TokenCode=123456");
    CALL("alice", SL_E_IAM_VALIDATION, "129600", "Action=GetSessionToken&DurationSeconds=129601");
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(1024 * 1024);
    struct auth_caller c;
    w.later_ms = 899 * 1000;
    OK(verify_session("user", &a, &c));
    w.later_ms = 901 * 1000;
    FAILS(verify_session("user", &a, &c), SL_E_TOKEN_EXPIRED);
    w.later_ms = 0;
    CALL("admin", 0, NULL, "Action=DeleteUserPolicy&UserName=alice&PolicyName=t");
}

static void key_info(void **state) {
    CALL("admin", 0, "<Account>" ACCOUNT "</Account>", "Action=GetAccessKeyInfo&AccessKeyId=%s",
         w.alice_key);
    add_role("Keyed", U "alice", "'sts:AssumeRole'", "");
    SESSION("keyed", "alice", ASSUME "Keyed");
    CALL("admin", 0, "<Account>" ACCOUNT "</Account>", "Action=GetAccessKeyInfo&AccessKeyId=%s",
         w.sessions[w.session_count - 1].id);
    CALL("admin", SL_E_IAM_VALIDATION, "not valid",
         "Action=GetAccessKeyInfo&AccessKeyId=AKIAAAAAAAAAAAAAAAAA");
    CALL("admin", SL_E_IAM_VALIDATION, "not valid",
         "Action=GetAccessKeyInfo&AccessKeyId=ASIA77777777AAAAAAAA");
    CALL("admin", SL_E_IAM_VALIDATION, "accessKeyId", "Action=GetAccessKeyInfo&AccessKeyId=A");
    CALL("alice", SL_E_ACCESS_DENIED, "sts:GetAccessKeyInfo",
         "Action=GetAccessKeyInfo&AccessKeyId=%s", w.alice_key);
}

/* The encoded message of the last call, for a form. */
static const char *message(void) {
    SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(64 * 1024);
    assert_true(w.denial[0] != 0);
    assert_true(strlen(w.denial) <= 10240);
    uri_encode(&out, slice_cstr(w.denial), false);
    return arena_cstr(&w.texts, buf_slice(&out));
}

static void explained_denials(void **state) {
    CALL("alice", SL_E_ACCESS_DENIED, "iam:GetUser", "Action=GetUser&UserName=admin");
    const char *m = message();
    CALL("admin", 0, "&quot;allowed&quot;:false",
         "Action=DecodeAuthorizationMessage&EncodedMessage=%s", m);
    CALL("admin", 0, "&quot;action&quot;:&quot;iam:GetUser&quot;",
         "Action=DecodeAuthorizationMessage&EncodedMessage=%s", m);
    CALL("admin", 0, U "admin", "Action=DecodeAuthorizationMessage&EncodedMessage=%s", m);
    CALL("alice", SL_E_ACCESS_DENIED, "sts:DecodeAuthorizationMessage",
         "Action=DecodeAuthorizationMessage&EncodedMessage=%s", m);
    /* An explicit deny names its statement. */
    CALL("admin", 0, NULL, "Action=PutUserPolicy&UserName=alice&PolicyName=no&PolicyDocument=%s",
         enc("{'Version':'2012-10-17','Statement':{'Sid':'NoUsers','Effect':'Deny','Action':"
             "'iam:*','Resource':'*'}}"));
    CALL("alice", SL_E_ACCESS_DENIED, "explicit deny", "Action=ListUsers");
    CALL("admin", 0, "NoUsers", "Action=DecodeAuthorizationMessage&EncodedMessage=%s", message());
    CALL("admin", 0, NULL, "Action=DeleteUserPolicy&UserName=alice&PolicyName=no");
    /* Changed, cut, foreign or old ones do not open. */
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(1024 * 1024);
    CALL("alice", SL_E_ACCESS_DENIED, "", "Action=ListUsers");
    m = message();
    w.denial[strlen(w.denial) - 8] = 0;
    const char *cut = message();
    CALL("admin", SL_E_STS_MESSAGE, "not valid",
         "Action=DecodeAuthorizationMessage&EncodedMessage=%s", cut);
    CALL("admin", SL_E_STS_MESSAGE, "not valid",
         "Action=DecodeAuthorizationMessage&EncodedMessage=A%s", m);
    CALL("admin", SL_E_STS_MESSAGE, "not valid",
         "Action=DecodeAuthorizationMessage&EncodedMessage=abcd");
    CALL("admin", SL_E_IAM_VALIDATION, "encodedMessage", "Action=DecodeAuthorizationMessage");
    struct auth_env env = env_now();
    struct slice json;
    CALL("alice", SL_E_ACCESS_DENIED, "", "Action=ListUsers");
    struct slice text = slice_cstr(w.denial);
    m = message();
    OK(auth_denial_open(&env, SLICE_LIT(ACCOUNT), text, &a, NULL, &json));
    FAILS(auth_denial_open(&env, SLICE_LIT(OTHER), text, &a, NULL, &json), SL_E_STS_MESSAGE);
    for (size_t i = 0; i + 1 < text.len; i += 13) {
        char *bent = arena_cstr(&a, text);
        bent[i] = bent[i] == 'A' ? 'B' : 'A';
        FAILS(auth_denial_open(&env, SLICE_LIT(ACCOUNT), slice_cstr(bent), &a, NULL, &json),
              SL_E_STS_MESSAGE);
    }
    w.later_ms = AUTH_DENIAL_DAYS * 86400LL * 1000 - 60000;
    CALL("admin", 0, "allowed", "Action=DecodeAuthorizationMessage&EncodedMessage=%s", m);
    w.later_ms += 61000;
    CALL("admin", SL_E_STS_MESSAGE, "expired",
         "Action=DecodeAuthorizationMessage&EncodedMessage=%s", m);
    w.later_ms = 0;
}

/* A missing role and one that trusts somebody else look alike; another account's role gives no
 * message at all. */
static void roles_are_not_betrayed(void **state) {
    add_role("Secret", U "admin", "'sts:AssumeRole'", "");
    CALL("alice", SL_E_ACCESS_DENIED, "Secret because no role trust policy allows",
         ASSUME "Secret");
    size_t there = strlen(w.denial);
    CALL("alice", SL_E_ACCESS_DENIED, "Absent because no role trust policy allows",
         ASSUME "Absent");
    assert_int_equal(strlen(w.denial), there);
    CALL("alice", SL_E_ACCESS_DENIED, "on resource: arn:aws:iam::" OTHER ":role/X",
         "Action=AssumeRole&RoleSessionName=s1&RoleArn=arn:aws:iam::" OTHER ":role/X");
    assert_string_equal(w.denial, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(session_policies),
        cmocka_unit_test(session_tags),
        cmocka_unit_test(chains),
        cmocka_unit_test(packed),
        cmocka_unit_test(user_sessions),
        cmocka_unit_test(key_info),
        cmocka_unit_test(explained_denials),
        cmocka_unit_test(roles_are_not_betrayed),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
