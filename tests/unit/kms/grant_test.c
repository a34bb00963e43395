/* Grants: who may make, use, see and end them, and what their constraints mean. */
#include "tests/unit/kms/kms_rig.h"

#include "server/api/kms/grant.h"

#define HELLO64 "aGVsbG8="
#define OTHER "222222222222"
#define USER(name) "arn:aws:iam::" ACCOUNT ":user/" name

static const char *grant_to(struct kms_rig *r, const char *key, const char *grantee,
                            const char *operations, const char *rest) {
    OK_SAYING(r, RUN(r, &r->admin, "CreateGrant",
                     "{\"KeyId\":\"%s\",\"GranteePrincipal\":\"%s\",\"Operations\":[%s]%s}", key,
                     grantee, operations, rest));
    assert_int_equal(strlen(got(r, "GrantId")), 64);
    return got(r, "GrantId");
}

static struct sl_rc encrypt(struct kms_rig *r, const struct auth_caller *as, const char *key,
                            const char *context) {
    return RUN(r, as, "Encrypt",
               "{\"KeyId\":\"%s\",\"Plaintext\":\"" HELLO64 "\",\"EncryptionContext\":{%s}}", key,
               context);
}

static struct auth_caller as_session(struct kms_rig *r, const char *account, const char *role,
                                     const char *session) {
    struct auth_caller caller = r->admin;
    const char *arn = arena_printf(&r->a, "arn:aws:iam::%s:role/%s", account, role);
    OK(identity_by_role(r->k.db, slice_cstr(arn), slice_cstr(session), &r->a, NULL, &caller.who));
    return caller;
}

static const char trust[] =
    "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":"
    "{\"AWS\":\"*\"},\"Action\":\"sts:AssumeRole\"}]}";

static void life(void **state) {
    struct kms_rig *r = *state;
    const char *key = new_key(r);
    struct auth_caller ann = as_user(r, ACCOUNT, "ann", NULL);
    FAILS(encrypt(r, &ann, key, ""), SL_E_ACCESS_DENIED);
    const char *id = grant_to(r, key, USER("ann"), "\"Encrypt\",\"Decrypt\",\"Encrypt\"",
                              ",\"Name\":\"for-ann\"");
    const char *token = got(r, "GrantToken");
    OK(encrypt(r, &ann, key, ""));
    const char *blob = got(r, "CiphertextBlob");
    OK(RUN(r, &ann, "Decrypt", "{\"CiphertextBlob\":\"%s\",\"GrantTokens\":[\"%s\"]}", blob,
           token));
    FAILS(RUN(r, &ann, "GenerateDataKey", "{\"KeyId\":\"%s\",\"NumberOfBytes\":16}", key),
          SL_E_ACCESS_DENIED);
    FAILS(RUN(r, &ann, "DescribeKey", "{\"KeyId\":\"%s\"}", key), SL_E_ACCESS_DENIED);
    OK(RUN(r, &r->admin, "ListGrants", "{\"KeyId\":\"%s\"}", key));
    const struct json *g = json_get(r->answer, "Grants")->child;
    assert_string_equal(arena_cstr(&r->a, json_get(g, "GrantId")->text), id);
    assert_string_equal(arena_cstr(&r->a, json_get(g, "Name")->text), "for-ann");
    assert_string_equal(arena_cstr(&r->a, json_get(g, "GranteePrincipal")->text), USER("ann"));
    assert_string_equal(arena_cstr(&r->a, json_get(g, "IssuingAccount")->text),
                        "arn:aws:iam::" ACCOUNT ":root");
    assert_int_equal(json_get(g, "Operations")->count, 2);
    FAILS(RUN(r, &ann, "RevokeGrant", "{\"KeyId\":\"%s\",\"GrantId\":\"%s\"}", key, id),
          SL_E_ACCESS_DENIED);
    FAILS(RUN(r, &r->admin, "RevokeGrant", "{\"KeyId\":\"%s\",\"GrantId\":\"%s\",\"DryRun\":true}",
              key, id),
          SL_E_KMS_DRY_RUN);
    OK(encrypt(r, &ann, key, ""));
    OK(RUN(r, &r->admin, "RevokeGrant", "{\"KeyId\":\"%s\",\"GrantId\":\"%s\"}", key, id));
    FAILS(encrypt(r, &ann, key, ""), SL_E_ACCESS_DENIED);
    FAILS(RUN(r, &r->admin, "RevokeGrant", "{\"KeyId\":\"%s\",\"GrantId\":\"%s\"}", key, id),
          SL_E_KMS_NOT_FOUND);
    FAILS(RUN(r, &r->admin, "RevokeGrant", "{\"KeyId\":\"%s\",\"GrantId\":\"x\"}", key),
          SL_E_KMS_GRANT_ID);
}

static void create_refusals(void **state) {
    static const struct {
        const char *body;
        enum sl_code code;
        const char *text;
    } cases[] = {
        {"\"GranteePrincipal\":\"" USER("nobody") "\",\"Operations\":[\"Encrypt\"]",
         SL_E_KMS_INVALID_ARN, "ARN does not refer to a valid principal: " USER("nobody")},
        {"\"GranteePrincipal\":\"arn:aws:iam::333333333333:root\",\"Operations\":[\"Encrypt\"]",
         SL_E_KMS_INVALID_ARN, "valid principal"},
        {"\"GranteePrincipal\":\"admin\",\"Operations\":[\"Encrypt\"]", SL_E_KMS_INVALID_ARN,
         "valid principal"},
        {"\"GranteePrincipal\":\"arn:aws:sts::" ACCOUNT
         ":assumed-role/none/s\",\"Operations\":[\"Encrypt\"]",
         SL_E_KMS_INVALID_ARN, "valid principal"},
        {"\"GranteePrincipal\":\"" USER("admin") "\",\"RetiringPrincipal\":\"" USER(
             "nobody") "\",\"Operations\":[\"Encrypt\"]",
         SL_E_KMS_INVALID_ARN, "user/nobody"},
        {"\"GranteePrincipal\":\"" USER("admin") "\",\"Operations\":[\"encrypt\"]", SL_E_VALIDATION,
         "at 'operations' failed to satisfy constraint: Member must satisfy constraint: [Member "
         "must satisfy enum value set: ["},
        {"\"GranteePrincipal\":\"" USER("admin") "\",\"Operations\":[]", SL_E_VALIDATION,
         "'operations'"},
        {"\"GranteePrincipal\":\"" USER("admin") "\",\"Operations\":[\"Encrypt\"],\"GrantTokens\":"
                                                 "[\"\"]",
         SL_E_VALIDATION,
         "at 'grantTokens' failed to satisfy constraint: Member must satisfy constraint: [Member "
         "must have length less than or equal to 8192, Member must have length greater than or "
         "equal to 1]"},
        {"\"GranteePrincipal\":\"" USER("admin") "\",\"Operations\":[\"Sign\"]", SL_E_VALIDATION,
         "Sign"},
        {"\"GranteePrincipal\":\"" USER("admin") "\"", SL_E_VALIDATION,
         "Value null at 'operations'"},
        {"\"Operations\":[\"Encrypt\"]", SL_E_VALIDATION, "Value null at 'granteePrincipal'"},
        {"\"GranteePrincipal\":\"" USER("admin") "\",\"Operations\":[\"Encrypt\"],\"Name\":\"a b\"",
         SL_E_VALIDATION, "'name'"},
        {"\"GranteePrincipal\":\"" USER(
             "admin") "\",\"Operations\":[\"Encrypt\"],\"Constraints\":{"
                      "\"EncryptionContextSubset\":"
                      "{\"a\":\"\",\"b\":\"\",\"c\":\"\",\"d\":\"\",\"e\":\"\",\"f\":\"\",\"g\":"
                      "\"\",\"h\":\"\",\"i\":\"\"}}",
         SL_E_VALIDATION, "at most 8"},
        {"\"GranteePrincipal\":\"" USER(
             "admin") "\",\"Operations\":[\"Encrypt\"],\"GrantTokens\":[\"AAAA\"]",
         SL_E_KMS_GRANT_TOKEN, "Invalid grant token"},
        {"\"GranteePrincipal\":\"" USER("admin") "\",\"Operations\":[\"Encrypt\"],\"DryRun\":true",
         SL_E_KMS_DRY_RUN, ""},
    };
    struct kms_rig *r = *state;
    const char *key = new_key(r);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sl_rc rc =
            RUN(r, &r->admin, "CreateGrant", "{\"KeyId\":\"%s\",%s}", key, cases[i].body);
        assert_string_equal(sl_code_info(rc.code)->name, sl_code_info(cases[i].code)->name);
        assert_true(says(r, cases[i].text));
    }
    char long_value[386];
    memset(long_value, 'v', 385);
    long_value[385] = '\0';
    for (int over = 1; over >= 0; over--) {
        struct sl_rc rc = RUN(r, &r->admin, "CreateGrant",
                              "{\"KeyId\":\"%s\",\"GranteePrincipal\":\"" USER(
                                  "admin") "\",\"Operations\":["
                                           "\"Encrypt\"],\"Constraints\":{"
                                           "\"EncryptionContextEquals\":{\"a\":\"%s\"}}}",
                              key, long_value + 1 - over);
        assert_int_equal(rc.code, over ? SL_E_VALIDATION : SL_CODE_OK);
    }
    OK(RUN(r, &r->admin, "ListGrants", "{\"KeyId\":\"%s\"}", key));
    assert_int_equal(json_get(r->answer, "Grants")->count, 1);
    /* A key is named by its id or ARN, not by an alias. */
    OK(RUN(r, &r->admin, "CreateAlias", "{\"AliasName\":\"alias/g\",\"TargetKeyId\":\"%s\"}", key));
    FAILS(RUN(r, &r->admin, "CreateGrant",
              "{\"KeyId\":\"alias/g\",\"GranteePrincipal\":\"" USER(
                  "admin") "\",\"Operations\":[\"Encrypt\"]}"),
          SL_E_KMS_NOT_FOUND);
}

static void names(void **state) {
    struct kms_rig *r = *state;
    const char *key = new_key(r), *again = ",\"Name\":\"n\"";
    const char *first = grant_to(r, key, USER("admin"), "\"Encrypt\",\"Decrypt\"", again);
    const char *token = got(r, "GrantToken");
    assert_string_equal(grant_to(r, key, USER("admin"), "\"Decrypt\",\"Encrypt\"", again), first);
    assert_string_not_equal(got(r, "GrantToken"), token);
    assert_string_not_equal(grant_to(r, key, USER("admin"), "\"Decrypt\"", again), first);
    assert_string_not_equal(grant_to(r, key, USER("admin"), "\"Decrypt\"", ""),
                            grant_to(r, key, USER("admin"), "\"Decrypt\"", ""));
    const char *one = ",\"Name\":\"c\",\"Constraints\":{\"EncryptionContextSubset\":"
                      "{\"a\":\"1\",\"b\":\"2\"}}";
    const char *two = ",\"Name\":\"c\",\"Constraints\":{\"EncryptionContextSubset\":"
                      "{\"b\":\"2\",\"a\":\"1\"}}";
    assert_string_equal(grant_to(r, key, USER("admin"), "\"Decrypt\"", one),
                        grant_to(r, key, USER("admin"), "\"Decrypt\"", two));
}

static void constraints(void **state) {
    static const struct {
        const char *constraints, *context;
        bool allowed;
    } cases[] = {
        {"\"EncryptionContextSubset\":{\"a\":\"1\"}", "\"a\":\"1\"", true},
        {"\"EncryptionContextSubset\":{\"a\":\"1\"}", "\"b\":\"2\",\"a\":\"1\"", true},
        {"\"EncryptionContextSubset\":{\"a\":\"1\"}", "\"a\":\"2\"", false},
        {"\"EncryptionContextSubset\":{\"a\":\"1\"}", "\"A\":\"1\"", false},
        {"\"EncryptionContextSubset\":{\"a\":\"1\"}", "", false},
        {"\"EncryptionContextEquals\":{\"a\":\"1\"}", "\"a\":\"1\"", true},
        {"\"EncryptionContextEquals\":{\"a\":\"1\"}", "\"a\":\"1\",\"b\":\"2\"", false},
        {"\"EncryptionContextEquals\":{\"a\":\"1\"}", "", false},
        {"\"EncryptionContextEquals\":{}", "", true},
        {"\"EncryptionContextEquals\":{}", "\"a\":\"1\"", false},
        {"\"EncryptionContextSubset\":{\"a\":\"1\"},\"EncryptionContextEquals\":{\"a\":\"1\","
         "\"b\":\"2\"}",
         "\"a\":\"1\",\"b\":\"2\"", true},
        {"\"EncryptionContextSubset\":{\"c\":\"1\"},\"EncryptionContextEquals\":{\"a\":\"1\"}",
         "\"a\":\"1\"", false},
        {"", "\"a\":\"1\"", true},
    };
    struct kms_rig *r = *state;
    struct auth_caller bea = as_user(r, ACCOUNT, "bea", NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *key = new_key(r);
        grant_to(r, key, USER("bea"), "\"Encrypt\",\"DescribeKey\"",
                 arena_printf(&r->a, ",\"Constraints\":{%s}", cases[i].constraints));
        struct sl_rc rc = encrypt(r, &bea, key, cases[i].context);
        assert_int_equal(rc.code, cases[i].allowed ? SL_CODE_OK : SL_E_ACCESS_DENIED);
        OK(RUN(r, &bea, "DescribeKey", "{\"KeyId\":\"%s\"}", key)); /* constraints don't count */
    }
}

static void principals(void **state) {
    struct kms_rig *r = *state;
    const char *key = new_key(r), *role = "arn:aws:iam::" ACCOUNT ":role/work";
    add_entity(r, IAM_ROLE, ACCOUNT, "work", NULL, trust, NULL, NULL);
    struct auth_caller one = as_session(r, ACCOUNT, "work", "one");
    struct auth_caller two = as_session(r, ACCOUNT, "work", "two");
    const char *id =
        grant_to(r, key, "arn:aws:sts::" ACCOUNT ":assumed-role/work/one", "\"Encrypt\"", "");
    OK(encrypt(r, &one, key, ""));
    FAILS(encrypt(r, &two, key, ""), SL_E_ACCESS_DENIED);
    OK(RUN(r, &r->admin, "RevokeGrant", "{\"KeyId\":\"%s\",\"GrantId\":\"%s\"}", key, id));
    grant_to(r, key, role, "\"Encrypt\"", "");
    OK(encrypt(r, &one, key, ""));
    OK(encrypt(r, &two, key, ""));
    /* The role's grant is within the session's limits, the session's own is not. */
    const struct policy *none = NULL;
    OK(policy_parse(SLICE_LIT(ALLOW("s3:GetObject", "*")), POLICY_SESSION, &r->a, NULL, &none));
    two.session = &none;
    two.session_count = 1;
    FAILS(encrypt(r, &two, key, ""), SL_E_ACCESS_DENIED);
    grant_to(r, key, "arn:aws:sts::" ACCOUNT ":assumed-role/work/two", "\"Encrypt\"", "");
    OK(encrypt(r, &two, key, ""));
    /* An explicit deny beats a grant. */
    struct auth_caller cut = as_user(
        r, ACCOUNT, "cut",
        "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Deny\",\"Action\":\"kms:Encrypt\""
        ",\"Resource\":\"*\"}]}");
    grant_to(r, key, USER("cut"), "\"Encrypt\"", "");
    FAILS(encrypt(r, &cut, key, ""), SL_E_ACCESS_DENIED);
    assert_true(says(r, "explicit deny"));
}

/* The account as grantee: its root user, and whom identity policies allow. */
static void accounts(void **state) {
    struct kms_rig *r = *state;
    add_account(r, OTHER);
    struct auth_caller able = as_user(r, OTHER, "able", ALLOW("kms:Encrypt", "*"));
    struct auth_caller mere = as_user(r, OTHER, "mere", NULL);
    const char *arn = arena_printf(&r->a, "arn:aws:kms:us-east-1:" ACCOUNT ":key/%s", new_key(r));
    FAILS(encrypt(r, &able, arn, ""), SL_E_ACCESS_DENIED);
    const char *id = grant_to(r, arn, "arn:aws:iam::" OTHER ":root", "\"Encrypt\"", "");
    OK(encrypt(r, &able, arn, ""));
    FAILS(encrypt(r, &mere, arn, ""), SL_E_ACCESS_DENIED);
    OK(RUN(r, &r->admin, "RevokeGrant", "{\"KeyId\":\"%s\",\"GrantId\":\"%s\"}", arn, id));
    grant_to(r, arn, "arn:aws:iam::" OTHER ":user/mere", "\"Encrypt\",\"RetireGrant\"", "");
    const char *token = got(r, "GrantToken");
    OK(encrypt(r, &mere, arn, ""));
    FAILS(encrypt(r, &able, arn, ""), SL_E_ACCESS_DENIED);
    FAILS(encrypt(r, &mere, strchr(arn, '/') + 1, ""), SL_E_ACCESS_DENIED);
    OK(RUN(r, &mere, "RetireGrant", "{\"GrantToken\":\"%s\"}", token));
    FAILS(encrypt(r, &mere, arn, ""), SL_E_ACCESS_DENIED);
}

/* A user made anew under the old name is another. */
static void same_name(void **state) {
    struct kms_rig *r = *state;
    const char *key = new_key(r);
    struct auth_caller eve = as_user(r, ACCOUNT, "eve", NULL);
    grant_to(r, key, USER("eve"), "\"Encrypt\"", "");
    OK(encrypt(r, &eve, key, ""));
    eve.who.principal.user_id = SLICE_LIT("AIDAANOTHERUSER00000");
    FAILS(encrypt(r, &eve, key, ""), SL_E_ACCESS_DENIED);
}

/* What one may pass on. */
static void passing_on(void **state) {
    static const struct {
        const char *operations, *rest;
        bool allowed;
    } cases[] = {
        {"\"Encrypt\"", ",\"Constraints\":{\"EncryptionContextSubset\":{\"a\":\"1\"}}", true},
        {"\"Encrypt\"", ",\"Constraints\":{\"EncryptionContextSubset\":{\"a\":\"1\",\"b\":\"2\"}}",
         true},
        {"\"Encrypt\"", ",\"Constraints\":{\"EncryptionContextEquals\":{\"a\":\"1\",\"b\":\"2\"}}",
         true},
        {"\"Encrypt\",\"CreateGrant\"",
         ",\"Constraints\":{\"EncryptionContextSubset\":"
         "{\"a\":\"1\"}}",
         true},
        {"\"Encrypt\"", "", false},
        {"\"Encrypt\"", ",\"Constraints\":{\"EncryptionContextSubset\":{\"b\":\"2\"}}", false},
        {"\"Encrypt\"", ",\"Constraints\":{\"EncryptionContextEquals\":{\"b\":\"2\"}}", false},
        {"\"Decrypt\"", ",\"Constraints\":{\"EncryptionContextSubset\":{\"a\":\"1\"}}", false},
        {"\"Encrypt\",\"RetireGrant\"",
         ",\"Constraints\":{\"EncryptionContextSubset\":{\"a\":\"1\"}}", false},
    };
    struct kms_rig *r = *state;
    const char *key = new_key(r);
    struct auth_caller fay = as_user(r, ACCOUNT, "fay", NULL);
    as_user(r, ACCOUNT, "gus", NULL);
    grant_to(r, key, USER("fay"), "\"Encrypt\",\"CreateGrant\"",
             ",\"Constraints\":{\"EncryptionContextSubset\":{\"a\":\"1\"}}");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sl_rc rc =
            RUN(r, &fay, "CreateGrant",
                "{\"KeyId\":\"%s\",\"GranteePrincipal\":\"" USER("gus") "\",\"Operations\":[%s]%s}",
                key, cases[i].operations, cases[i].rest);
        assert_int_equal(rc.code, cases[i].allowed ? SL_CODE_OK : SL_E_ACCESS_DENIED);
    }
    /* An exact context can be passed on as it is alone. */
    struct grant_terms parent = {.operations = 1, .has_equals = true}, child = parent;
    const struct context_pair pair = {SLICE_LIT("a"), SLICE_LIT("1")};
    assert_true(grant_terms_within(&parent, &child));
    child.equals = (struct context){&pair, 1};
    assert_false(grant_terms_within(&parent, &child));
    child = (struct grant_terms){.operations = 1, .has_subset = true};
    assert_false(grant_terms_within(&parent, &child));
}

static void retiring(void **state) {
    struct kms_rig *r = *state;
    const char *key = new_key(r);
    struct auth_caller hal = as_user(r, ACCOUNT, "hal", NULL);
    struct auth_caller ida = as_user(r, ACCOUNT, "ida", ALLOW("kms:RetireGrant", "*"));
    struct auth_caller far = as_user(r, OTHER, "far", ALLOW("kms:*", "*"));
    const char *rest = ",\"RetiringPrincipal\":\"" USER("hal") "\"";
    const char *id = grant_to(r, key, USER("admin"), "\"Encrypt\"", rest);
    const char *token = got(r, "GrantToken");
    const char *arn = arena_printf(&r->a, "arn:aws:kms:us-east-1:" ACCOUNT ":key/%s", key);
    FAILS(RUN(r, &far, "RetireGrant", "{\"GrantToken\":\"%s\"}", token), SL_E_ACCESS_DENIED);
    FAILS(RUN(r, &far, "RetireGrant", "{\"KeyId\":\"%s\",\"GrantId\":\"%s\"}", arn, id),
          SL_E_ACCESS_DENIED);
    FAILS(RUN(r, &hal, "RetireGrant", "{\"GrantToken\":\"%s\",\"DryRun\":true}", token),
          SL_E_KMS_DRY_RUN);
    OK(RUN(r, &hal, "RetireGrant", "{\"KeyId\":\"%s\",\"GrantId\":\"%s\"}", arn, id));
    FAILS(RUN(r, &r->admin, "RetireGrant", "{\"GrantToken\":\"%s\"}", token), SL_E_KMS_NOT_FOUND);
    /* Without RetireGrant among its operations the grantee may not; the account that made it, by an
     * identity policy, may. */
    grant_to(r, key, USER("hal"), "\"Encrypt\"", "");
    token = got(r, "GrantToken");
    FAILS(RUN(r, &hal, "RetireGrant", "{\"GrantToken\":\"%s\"}", token), SL_E_ACCESS_DENIED);
    OK(RUN(r, &ida, "RetireGrant", "{\"GrantToken\":\"%s\"}", token));
    FAILS(RUN(r, &ida, "RetireGrant", "{\"GrantToken\":\"%s\",\"KeyId\":\"%s\"}", token, arn),
          SL_E_VALIDATION);
    FAILS(RUN(r, &ida, "RetireGrant", "{\"KeyId\":\"%s\"}", arn), SL_E_VALIDATION);
    FAILS(RUN(r, &ida, "RetireGrant", "{\"GrantToken\":\"x\"}"), SL_E_KMS_GRANT_TOKEN);
}

static void lists(void **state) {
    struct kms_rig *r = *state;
    const char *key = new_key(r);
    struct auth_caller joe = as_user(r, ACCOUNT, "joe", NULL);
    const char *rest = ",\"RetiringPrincipal\":\"" USER("joe") "\"";
    const char *id = NULL;
    for (int i = 0; i < 3; i++) {
        id = grant_to(r, key, USER("admin"), "\"Encrypt\"", rest);
    }
    grant_to(r, key, USER("joe"), "\"Decrypt\"", "");
    static const char *const filters[][2] = {
        {"", "4"}, {",\"GranteePrincipal\":\"" USER("joe") "\"", "1"}, {",\"Limit\":3", "3"}};
    for (size_t i = 0; i < 3; i++) {
        OK(RUN(r, &r->admin, "ListGrants", "{\"KeyId\":\"%s\"%s}", key, filters[i][0]));
        assert_int_equal(json_get(r->answer, "Grants")->count, atoi(filters[i][1]));
    }
    assert_true(json_get(r->answer, "Truncated")->boolean);
    OK(RUN(r, &r->admin, "ListGrants", "{\"KeyId\":\"%s\",\"Marker\":\"%s\"}", key,
           got(r, "NextMarker")));
    assert_int_equal(json_get(r->answer, "Grants")->count, 1);
    OK(RUN(r, &r->admin, "ListGrants", "{\"KeyId\":\"%s\",\"GrantId\":\"%s\"}", key, id));
    assert_int_equal(json_get(r->answer, "Grants")->count, 1);
    FAILS(RUN(r, &r->admin, "ListGrants", "{\"KeyId\":\"%s\",\"Marker\":\"x\"}", key),
          SL_E_KMS_MARKER);
    FAILS(RUN(r, &joe, "ListGrants", "{\"KeyId\":\"%s\"}", key), SL_E_ACCESS_DENIED);
    FAILS(RUN(r, &joe, "ListRetirableGrants", "{\"RetiringPrincipal\":\"" USER("joe") "\"}"),
          SL_E_ACCESS_DENIED);
    OK(RUN(r, &r->admin, "ListRetirableGrants",
           "{\"RetiringPrincipal\":\"" USER("joe") "\",\"Limit\":2}"));
    assert_int_equal(json_get(r->answer, "Grants")->count, 2);
    OK(RUN(r, &r->admin, "ListRetirableGrants",
           "{\"RetiringPrincipal\":\"" USER("joe") "\",\"Marker\":\"%s\"}", got(r, "NextMarker")));
    assert_int_equal(json_get(r->answer, "Grants")->count, 1);
    FAILS(RUN(r, &r->admin, "ListRetirableGrants", "{\"RetiringPrincipal\":\"joe\"}"),
          SL_E_KMS_INVALID_ARN);
    FAILS(RUN(r, &r->admin, "ListRetirableGrants",
              "{\"RetiringPrincipal\":\"arn:aws:iam::" OTHER ":root\"}"),
          SL_E_ACCESS_DENIED);
}

/* Condition keys of CreateGrant, each once met and once not. */
static void conditions(void **state) {
    static const struct {
        const char *condition, *met, *unmet;
    } cases[] = {
        {"\"ForAllValues:StringEquals\":{\"kms:GrantOperations\":[\"Encrypt\"]}", "[\"Encrypt\"]",
         "[\"Encrypt\",\"Decrypt\"]"},
        {"\"StringEquals\":{\"kms:GranteePrincipal\":\"" USER("admin") "\"}", "[\"Encrypt\"]",
         "[\"Encrypt\"],\"GranteePrincipal\":\"" USER("kim") "\""},
        {"\"StringEquals\":{\"kms:RetiringPrincipal\":\"" USER("kim") "\"}",
         "[\"Encrypt\"],\"RetiringPrincipal\":\"" USER("kim") "\"", "[\"Encrypt\"]"},
        {"\"StringEquals\":{\"kms:GrantConstraintType\":\"EncryptionContextSubset\"}",
         "[\"Encrypt\"],\"Constraints\":{\"EncryptionContextSubset\":{\"a\":\"1\"}}",
         "[\"Encrypt\"],\"Constraints\":{\"EncryptionContextEquals\":{\"a\":\"1\"}}"},
        {"\"StringEquals\":{\"kms:EncryptionContext:a\":\"1\"}",
         "[\"Encrypt\"],\"Constraints\":{\"EncryptionContextSubset\":{\"a\":\"1\"}}",
         "[\"Encrypt\"],\"Constraints\":{\"EncryptionContextSubset\":{\"a\":\"2\"}}"},
        {"\"Bool\":{\"kms:GrantIsForAWSResource\":\"false\"}", "[\"Encrypt\"]", NULL},
        {"\"Bool\":{\"kms:GrantIsForAWSResource\":\"true\"}", NULL, "[\"Encrypt\"]"},
    };
    struct kms_rig *r = *state;
    const char *key = new_key(r);
    as_user(r, ACCOUNT, "kim", NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct auth_caller u = as_user(
            r, ACCOUNT, arena_printf(&r->a, "cond%zu", i),
            arena_printf(&r->a,
                         "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\","
                         "\"Action\":\"kms:CreateGrant\",\"Resource\":\"*\",\"Condition\":{%s}}]}",
                         cases[i].condition));
        for (int met = 0; met < 2; met++) {
            const char *rest = met ? cases[i].met : cases[i].unmet;
            if (rest == NULL) {
                continue;
            }
            const char *grantee = strstr(rest, "GranteePrincipal")
                                      ? ""
                                      : "\"GranteePrincipal\":\"" USER("admin") "\",";
            struct sl_rc rc = RUN(r, &u, "CreateGrant", "{\"KeyId\":\"%s\",%s\"Operations\":%s}",
                                  key, grantee, rest);
            assert_int_equal(rc.code, met ? SL_CODE_OK : SL_E_ACCESS_DENIED);
        }
    }
}

static void states(void **state) {
    struct kms_rig *r = *state;
    const char *key = new_key(r);
    const char *id = grant_to(r, key, USER("admin"), "\"Encrypt\"", "");
    static const char body[] = "{\"KeyId\":\"%s\",\"GranteePrincipal\":\"" USER(
        "admin") "\",\"Operations\":[\"Encrypt\"]}";
    OK(RUN(r, &r->admin, "DisableKey", "{\"KeyId\":\"%s\"}", key));
    FAILS(kms_run(r, &r->admin, "CreateGrant", arena_printf(&r->a, body, key)), SL_E_KMS_DISABLED);
    OK(RUN(r, &r->admin, "ScheduleKeyDeletion", "{\"KeyId\":\"%s\",\"PendingWindowInDays\":7}",
           key));
    FAILS(kms_run(r, &r->admin, "CreateGrant", arena_printf(&r->a, body, key)),
          SL_E_KMS_INVALID_STATE);
    OK(RUN(r, &r->admin, "ListGrants", "{\"KeyId\":\"%s\"}", key));
    assert_int_equal(json_get(r->answer, "Grants")->count, 1);
    OK(RUN(r, &r->admin, "RevokeGrant", "{\"KeyId\":\"%s\",\"GrantId\":\"%s\"}", key, id));
}

/* A deleted key takes its grants with it; those of others stay. */
static void deletion(void **state) {
    struct kms_rig *r = *state;
    const char *kept = new_key(r), *key = new_key(r);
    grant_to(r, kept, USER("admin"), "\"Encrypt\"", "");
    grant_to(r, key, USER("admin"), "\"Encrypt\"", "");
    OK(RUN(r, &r->admin, "ScheduleKeyDeletion", "{\"KeyId\":\"%s\",\"PendingWindowInDays\":7}",
           key));
    OK(keys_purge(r->k.db, r->env.now_ms + 8 * 24 * 3600 * 1000LL, NULL));
    struct sqlite3 *conn = NULL;
    int64_t n = -1, kept_n = -1;
    OK(kms_db_read(r->k.db, &conn, NULL));
    OK(grant_count(conn, slice_cstr(key), &n, NULL));
    OK(grant_count(conn, slice_cstr(kept), &kept_n, NULL));
    kms_db_read_end(r->k.db, conn);
    assert_int_equal(n, 0);
    assert_int_equal(kept_n, 1);
}

/* The fitting one is found among many, and the limit holds. */
static void many(void **state) {
    struct kms_rig *r = *state;
    const char *key = new_key(r);
    struct auth_caller lee = as_user(r, ACCOUNT, "lee", NULL);
    struct sqlite3 *conn = NULL;
    OK(kms_db_write(r->k.db, &conn, NULL));
    for (int i = 0; i < LIMIT_KMS_GRANTS; i++) {
        char id[65], text[80];
        snprintf(id, sizeof id, "%064d", i);
        snprintf(text, sizeof text, "{\"EncryptionContextSubset\":{\"a\":\"%d\"}}", i);
        struct grant_row g = {.key_id = slice_cstr(key),
                              .id = slice_cstr(id),
                              .grantee = SLICE_LIT(USER("lee")),
                              .grantee_id = lee.who.principal.user_id,
                              .issuer = SLICE_LIT(ACCOUNT),
                              .constraints = slice_cstr(text),
                              .operations = kms_grant_bit(SLICE_LIT("Encrypt"))};
        OK(grant_insert(conn, &g, NULL));
    }
    OK(kms_db_write_end(r->k.db, conn, true, NULL));
    OK(encrypt(r, &lee, key, "\"a\":\"49999\""));
    OK(encrypt(r, &lee, key, "\"a\":\"64\""));
    FAILS(encrypt(r, &lee, key, "\"a\":\"50000\""), SL_E_ACCESS_DENIED);
    FAILS(RUN(r, &r->admin, "CreateGrant",
              "{\"KeyId\":\"%s\",\"GranteePrincipal\":\"" USER(
                  "lee") "\",\"Operations\":[\"Encrypt\"]}",
              key),
          SL_E_KMS_LIMIT);
}

/* Through a service the grant counts as it does directly. */
static void through_service(void **state) {
    struct kms_rig *r = *state;
    const char *key = new_key(r);
    struct auth_caller mia = as_user(r, ACCOUNT, "mia", NULL);
    grant_to(r, key, USER("mia"), "\"GenerateDataKey\"",
             ",\"Constraints\":{\"EncryptionContextSubset\":{\"aws:s3:arn\":\"arn:aws:s3:::b\"}}");
    mia.via_service = SLICE_LIT("s3.us-east-1.amazonaws.com");
    OK(RUN(r, &mia, "GenerateDataKey",
           "{\"KeyId\":\"%s\",\"KeySpec\":\"AES_256\",\"EncryptionContext\":{\"aws:s3:arn\":"
           "\"arn:aws:s3:::b\"}}",
           key));
    FAILS(RUN(r, &mia, "GenerateDataKey",
              "{\"KeyId\":\"%s\",\"KeySpec\":\"AES_256\",\"EncryptionContext\":{\"aws:s3:arn\":"
              "\"arn:aws:s3:::c\"}}",
              key),
          SL_E_ACCESS_DENIED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(life),
        cmocka_unit_test(create_refusals),
        cmocka_unit_test(names),
        cmocka_unit_test(constraints),
        cmocka_unit_test(principals),
        cmocka_unit_test(accounts),
        cmocka_unit_test(same_name),
        cmocka_unit_test(passing_on),
        cmocka_unit_test(retiring),
        cmocka_unit_test(lists),
        cmocka_unit_test(conditions),
        cmocka_unit_test(states),
        cmocka_unit_test(deletion),
        cmocka_unit_test(many),
        cmocka_unit_test(through_service),
    };
    return cmocka_run_group_tests(tests, kms_group_start, kms_group_stop);
}
