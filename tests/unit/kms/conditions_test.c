/* The condition keys of KMS, each in a policy that allows by it, met and not met. Those of grants,
 * rotation and import are tested with these. */
#include "tests/unit/kms/kms_rig.h"

#define HELLO64 "aGVsbG8="
#define PLAIN "\"Plaintext\":\"" HELLO64 "\""

/* <key>, <other>: keys; <alias>: the first one's, which is alias/cond; <blob>: sealed by <key>. */
static const struct {
    const char *operation, *condition, *met, *unmet;
} cases[] = {
    {"Encrypt", "\"StringEquals\":{\"kms:EncryptionContext:App\":\"loads\"}",
     "\"KeyId\":\"<key>\"," PLAIN ",\"EncryptionContext\":{\"app\":\"loads\"}",
     "\"KeyId\":\"<key>\"," PLAIN ",\"EncryptionContext\":{\"App\":\"Loads\"}"},
    {"Encrypt", "\"ForAnyValue:StringEquals\":{\"kms:EncryptionContextKeys\":\"App\"}",
     "\"KeyId\":\"<key>\"," PLAIN ",\"EncryptionContext\":{\"x\":\"\",\"App\":\"1\"}",
     "\"KeyId\":\"<key>\"," PLAIN ",\"EncryptionContext\":{\"x\":\"\"}"},
    {"Encrypt", "\"Null\":{\"kms:EncryptionContextKeys\":\"false\"}",
     "\"KeyId\":\"<key>\"," PLAIN ",\"EncryptionContext\":{\"x\":\"\"}",
     "\"KeyId\":\"<key>\"," PLAIN},
    {"Encrypt", "\"StringEquals\":{\"kms:RequestAlias\":\"alias/cond\"}",
     "\"KeyId\":\"<alias>\"," PLAIN, "\"KeyId\":\"<key>\"," PLAIN},
    {"Encrypt", "\"ForAnyValue:StringEquals\":{\"kms:ResourceAliases\":\"alias/cond\"}",
     "\"KeyId\":\"<key>\"," PLAIN, "\"KeyId\":\"<other>\"," PLAIN},
    {"Encrypt", "\"StringEquals\":{\"aws:ResourceTag/team\":\"loads\"}",
     "\"KeyId\":\"<key>\"," PLAIN, "\"KeyId\":\"<other>\"," PLAIN},
    {"Encrypt", "\"StringEquals\":{\"kms:EncryptionAlgorithm\":\"SYMMETRIC_DEFAULT\"}",
     "\"KeyId\":\"<key>\"," PLAIN, NULL},
    {"Encrypt", "\"StringEquals\":{\"kms:CallerAccount\":\"" ACCOUNT "\"}",
     "\"KeyId\":\"<key>\"," PLAIN, NULL},
    {"Encrypt", "\"StringEquals\":{\"kms:ViaService\":\"s3.us-east-1.amazonaws.com\"}", NULL,
     "\"KeyId\":\"<key>\"," PLAIN},
    {"Encrypt", "\"StringEquals\":{\"kms:KeyOrigin\":\"EXTERNAL\"}", NULL,
     "\"KeyId\":\"<key>\"," PLAIN},
    {"ReEncrypt*", "\"Bool\":{\"kms:ReEncryptOnSameKey\":\"true\"}",
     "\"CiphertextBlob\":\"<blob>\",\"DestinationKeyId\":\"<alias>\"",
     "\"CiphertextBlob\":\"<blob>\",\"DestinationKeyId\":\"<other>\""},
    {"CreateKey", "\"StringEquals\":{\"kms:KeyOrigin\":\"EXTERNAL\"}", "\"Origin\":\"EXTERNAL\"",
     "\"Origin\":\"AWS_KMS\""},
    {"CreateKey", "\"StringEquals\":{\"kms:KeySpec\":\"SYMMETRIC_DEFAULT\"}", "", NULL},
    {"CreateKey", "\"StringEquals\":{\"kms:KeySpec\":\"RSA_2048\"}", NULL, ""},
    {"CreateKey", "\"StringEquals\":{\"kms:KeyUsage\":\"ENCRYPT_DECRYPT\"}", "", NULL},
    {"CreateKey", "\"StringEquals\":{\"kms:KeyUsage\":\"SIGN_VERIFY\"}", NULL, ""},
    {"CreateKey", "\"Bool\":{\"kms:MultiRegion\":\"false\"}", "", NULL},
    {"CreateKey", "\"Bool\":{\"kms:MultiRegion\":\"true\"}", NULL, ""},
    {"CreateKey", "\"Bool\":{\"kms:BypassPolicyLockoutSafetyCheck\":\"false\"}", "",
     "\"BypassPolicyLockoutSafetyCheck\":true"},
    {"PutKeyPolicy", "\"Bool\":{\"kms:BypassPolicyLockoutSafetyCheck\":\"true\"}",
     "\"KeyId\":\"<other>\",\"BypassPolicyLockoutSafetyCheck\":true,\"Policy\":\"<policy>\"",
     "\"KeyId\":\"<other>\",\"Policy\":\"<policy>\""},
    {"ScheduleKeyDeletion",
     "\"NumericGreaterThanEquals\":{\"kms:ScheduleKeyDeletionPendingWindowInDays\":\"21\"}",
     "\"KeyId\":\"<doomed>\"", "\"KeyId\":\"<doomed>\",\"PendingWindowInDays\":20"},
    {"TagResource", "\"ForAllValues:StringEquals\":{\"aws:TagKeys\":[\"a\",\"b\"]}",
     "\"KeyId\":\"<other>\",\"Tags\":[{\"TagKey\":\"a\",\"TagValue\":\"1\"}]",
     "\"KeyId\":\"<other>\",\"Tags\":[{\"TagKey\":\"c\",\"TagValue\":\"1\"}]"},
    {"TagResource", "\"StringEquals\":{\"aws:RequestTag/a\":\"1\"}",
     "\"KeyId\":\"<other>\",\"Tags\":[{\"TagKey\":\"a\",\"TagValue\":\"1\"}]",
     "\"KeyId\":\"<other>\",\"Tags\":[{\"TagKey\":\"a\",\"TagValue\":\"2\"}]"},
};

static const char *filled(struct kms_rig *r, const char *text, const char *name,
                          const char *value) {
    const char *at = strstr(text, name);
    return at == NULL ? text
                      : arena_printf(&r->a, "%.*s%s%s", (int)(at - text), text, value,
                                     filled(r, at + strlen(name), name, value));
}

static void each(void **state) {
    static const char open[] =
        "{\\\"Version\\\":\\\"2012-10-17\\\",\\\"Statement\\\":[{\\\"Effect\\\":\\\"Allow\\\","
        "\\\"Principal\\\":{\\\"AWS\\\":\\\"" ACCOUNT
        "\\\"},\\\"Action\\\":\\\"kms:*\\\",\\\"Resource\\\":\\\"*\\\"}]}";
    struct kms_rig *r = *state;
    OK(kms_run(r, &r->admin, "CreateKey",
               "{\"Tags\":[{\"TagKey\":\"team\",\"TagValue\":\"loads\"}]}"));
    const char *key = got(r, "KeyId"), *other = new_key(r), *doomed = new_key(r);
    OK(RUN(r, &r->admin, "CreateAlias", "{\"AliasName\":\"alias/cond\",\"TargetKeyId\":\"%s\"}",
           key));
    OK(RUN(r, &r->admin, "Encrypt", "{\"KeyId\":\"%s\"," PLAIN "}", key));
    const char *blob = got(r, "CiphertextBlob");
    const char *const names[][2] = {{"<key>", key},       {"<other>", other},
                                    {"<doomed>", doomed}, {"<alias>", "alias/cond"},
                                    {"<blob>", blob},     {"<policy>", open}};
    int wrong = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct auth_caller u =
            as_user(r, ACCOUNT, arena_printf(&r->a, "u%zu", i),
                    arena_printf(&r->a,
                                 "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\","
                                 "\"Action\":\"kms:%s\",\"Resource\":\"*\",\"Condition\":{%s}}]}",
                                 cases[i].operation, cases[i].condition));
        for (int met = 0; met < 2; met++) {
            const char *body = met ? cases[i].met : cases[i].unmet;
            if (body == NULL) {
                continue;
            }
            body = arena_printf(&r->a, "{%s}", body);
            for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
                body = filled(r, body, names[n][0], names[n][1]);
            }
            const char *operation =
                strcmp(cases[i].operation, "ReEncrypt*") == 0 ? "ReEncrypt" : cases[i].operation;
            struct sl_rc rc = kms_run(r, &u, operation, body);
            if (rc.code != (met ? SL_CODE_OK : SL_E_ACCESS_DENIED)) {
                print_error("%s with {%s}, %s: %s %s\n", operation, cases[i].condition,
                            met ? "met" : "not met", sl_code_info(rc.code)->name, r->err.detail);
                wrong++;
            }
        }
    }
    assert_int_equal(wrong, 0);
}

/* As many keys as an account may have in a region; keys of AWS do not count. */
static void keys_limit(void **state) {
    struct kms_rig *r = *state;
    add_account(r, "555555555555");
    struct auth_caller full = as_user(r, "555555555555", "full", ALLOW("kms:*", "*"));
    OK(kms_run(r, &full, "DescribeKey", "{\"KeyId\":\"alias/aws/s3\"}"));
    struct sqlite3 *conn = NULL;
    OK(kms_db_write(r->k.db, &conn, NULL));
    for (int i = 0; i < LIMIT_KMS_KEYS - 1; i++) {
        char id[40];
        snprintf(id, sizeof id, "00000000-0000-4000-8000-%012d", i);
        struct key_row k = {.id = slice_cstr(id),
                            .arn = slice_cstr(id),
                            .account = SLICE_LIT("555555555555"),
                            .region = SLICE_LIT("us-east-1"),
                            .state = KEY_PENDING_IMPORT,
                            .manager = KEY_CUSTOMER,
                            .origin = KEY_ORIGIN_EXTERNAL};
        OK(keys_insert(conn, &k, NULL));
    }
    OK(kms_db_write_end(r->k.db, conn, true, NULL));
    OK(kms_run(r, &full, "CreateKey", "{}"));
    FAILS(kms_run(r, &full, "CreateKey", "{}"), SL_E_KMS_LIMIT);
    full.region = SLICE_LIT("eu-west-1");
    OK(kms_run(r, &full, "CreateKey", "{}"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each),
        cmocka_unit_test(keys_limit),
    };
    return cmocka_run_group_tests(tests, kms_group_start, kms_group_stop);
}
