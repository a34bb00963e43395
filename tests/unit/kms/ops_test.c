/* KMS's operations over a real keyholder: shapes, refusals, states, policies, contexts. */
#include "tests/unit/kms/kms_rig.h"

#define HELLO64 "aGVsbG8="

static void create_and_describe(void **state) {
    struct kms_rig *r = *state;
    OK(RUN(r, &r->admin, "CreateKey", "{\"Description\":\"For Redshift SSE loads\"}"));
    const char *id = got(r, "KeyId"), *arn = got(r, "Arn");
    assert_int_equal(strlen(id), 36);
    assert_string_equal(arn, arena_printf(&r->a, "arn:aws:kms:us-east-1:" ACCOUNT ":key/%s", id));
    assert_string_equal(got(r, "AWSAccountId"), ACCOUNT);
    assert_string_equal(got(r, "KeyState"), "Enabled");
    assert_string_equal(got(r, "KeyUsage"), "ENCRYPT_DECRYPT");
    assert_string_equal(got(r, "KeySpec"), "SYMMETRIC_DEFAULT");
    assert_string_equal(got(r, "KeyManager"), "CUSTOMER");
    assert_string_equal(got(r, "Origin"), "AWS_KMS");
    assert_int_equal(strlen(got(r, "CurrentKeyMaterialId")), 64);
    const struct json *m = json_get(r->answer, "KeyMetadata");
    assert_true(json_get(m, "Enabled")->boolean);
    assert_false(json_get(m, "MultiRegion")->boolean);
    assert_int_equal(json_get(m, "EncryptionAlgorithms")->count, 1);
    OK(RUN(r, &r->admin, "DescribeKey", "{\"KeyId\":\"%s\"}", arn));
    assert_string_equal(got(r, "Description"), "For Redshift SSE loads");
    OK(RUN(r, &r->admin, "ListKeys", "{}"));
    assert_true(json_get(r->answer, "Keys")->count >= 1);
}

static void create_refusals(void **state) {
    static const struct {
        const char *body;
        enum sl_code code;
        const char *text;
    } cases[] = {
        {"{\"KeySpec\":\"RSA_2048\",\"KeyUsage\":\"SIGN_VERIFY\"}", SL_E_KMS_UNSUPPORTED,
         "RSA_2048"},
        {"{\"KeySpec\":\"RSA_2048\"}", SL_E_VALIDATION, "You must specify a KeyUsage"},
        {"{\"KeySpec\":\"FOO\"}", SL_E_VALIDATION,
         "1 validation error detected: Value 'FOO' at 'keySpec' failed to satisfy constraint: "
         "Member must satisfy enum value set: ["},
        {"{\"KeyUsage\":\"SIGN_VERIFY\"}", SL_E_VALIDATION, "not compatible"},
        {"{\"MultiRegion\":true}", SL_E_KMS_UNSUPPORTED, "Multi-Region"},
        {"{\"KeySpec\":\"SYMMETRIC_DEFAULT\",\"CustomerMasterKeySpec\":\"SYMMETRIC_DEFAULT\"}",
         SL_E_VALIDATION, "CustomerMasterKeySpec"},
        {"{\"Description\":7}", SL_E_PARSE, "Description"},
        {"{\"Policy\":\"{\"}", SL_E_KMS_POLICY, ""},
        {"{\"Policy\":\"\"}", SL_E_VALIDATION, "'policy'"},
        {"{\"Tags\":[{\"TagKey\":\"aws:x\",\"TagValue\":\"\"}]}", SL_E_KMS_TAG, "reserved"},
        {"{\"Tags\":[{\"TagKey\":\"a\",\"TagValue\":\"\"},{\"TagKey\":\"a\",\"TagValue\":\"\"}]}",
         SL_E_KMS_TAG, "Duplicate"},
        {"{\"Tags\":[{\"TagKey\":\"\",\"TagValue\":\"\"}]}", SL_E_VALIDATION,
         "at 'tags.1.member.tagKey' failed"},
        {"{\"Policy\":\"{\\\"Version\\\":\\\"2012-10-17\\\",\\\"Statement\\\":[{\\\"Effect\\\":"
         "\\\"Allow\\\",\\\"Principal\\\":{\\\"AWS\\\":\\\"arn:aws:iam::" ACCOUNT
         ":user/nobody\\\"},\\\"Action\\\":\\\"kms:*\\\",\\\"Resource\\\":\\\"*\\\"}]}\"}",
         SL_E_KMS_POLICY, "invalid principals"},
    };
    struct kms_rig *r = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sl_rc rc = kms_run(r, &r->admin, "CreateKey", cases[i].body);
        assert_string_equal(sl_code_info(rc.code)->name, sl_code_info(cases[i].code)->name);
        assert_true(says(r, cases[i].text));
    }
}

static void aliases(void **state) {
    struct kms_rig *r = *state;
    const char *id = new_key(r), *other = new_key(r);
    OK(RUN(r, &r->admin, "CreateAlias",
           "{\"AliasName\":\"alias/Redshift-SSE\",\"TargetKeyId\":\"%s\"}", id));
    OK(RUN(r, &r->admin, "DescribeKey", "{\"KeyId\":\"alias/Redshift-SSE\"}"));
    assert_string_equal(got(r, "KeyId"), id);
    OK(RUN(r, &r->admin, "DescribeKey",
           "{\"KeyId\":\"arn:aws:kms:us-east-1:" ACCOUNT ":alias/Redshift-SSE\"}"));
    FAILS(RUN(r, &r->admin, "CreateAlias",
              "{\"AliasName\":\"alias/Redshift-SSE\",\"TargetKeyId\":\"%s\"}", other),
          SL_E_KMS_EXISTS);
    assert_true(says(r, "arn:aws:kms:us-east-1:" ACCOUNT ":alias/Redshift-SSE already exists"));
    FAILS(RUN(r, &r->admin, "CreateAlias", "{\"AliasName\":\"x\",\"TargetKeyId\":\"%s\"}", id),
          SL_E_VALIDATION);
    assert_true(says(r, "Alias must start with the prefix \"alias/\". Please see "
                        "https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html"));
    FAILS(RUN(r, &r->admin, "CreateAlias", "{\"AliasName\":\"alias/a:b\",\"TargetKeyId\":\"%s\"}",
              id),
          SL_E_VALIDATION);
    assert_true(says(r, "alias/a:b contains invalid characters for an alias"));
    FAILS(RUN(r, &r->admin, "CreateAlias",
              "{\"AliasName\":\"alias/aws/s3\",\"TargetKeyId\":\"%s\"}", id),
          SL_E_KMS_RESERVED);
    FAILS(RUN(r, &r->admin, "CreateAlias",
              "{\"AliasName\":\"alias/y\",\"TargetKeyId\":\"alias/Redshift-SSE\"}"),
          SL_E_VALIDATION);
    FAILS(RUN(r, &r->admin, "CreateAlias", "{\"AliasName\":\"alias/a b\",\"TargetKeyId\":\"%s\"}",
              id),
          SL_E_VALIDATION);
    assert_true(says(r, "Value 'alias/a b' at 'aliasName' failed to satisfy constraint: Member "
                        "must satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$"));
    OK(RUN(r, &r->admin, "UpdateAlias",
           "{\"AliasName\":\"alias/Redshift-SSE\",\"TargetKeyId\":\"%s\"}", other));
    OK(RUN(r, &r->admin, "ListAliases", "{\"KeyId\":\"%s\"}", other));
    assert_int_equal(json_get(r->answer, "Aliases")->count, 1);
    FAILS(RUN(r, &r->admin, "ListAliases", "{\"KeyId\":\"11111111-2222-4333-8444-555555555555\"}"),
          SL_E_KMS_NOT_FOUND);
    FAILS(RUN(r, &r->admin, "ListAliases",
              "{\"KeyId\":\"arn:aws:kms:us-east-1:999999999999:key/"
              "11111111-2222-4333-8444-555555555555\"}"),
          SL_E_ACCESS_DENIED);
    OK(RUN(r, &r->admin, "DeleteAlias", "{\"AliasName\":\"alias/Redshift-SSE\"}"));
    FAILS(RUN(r, &r->admin, "DescribeKey", "{\"KeyId\":\"alias/Redshift-SSE\"}"),
          SL_E_KMS_NOT_FOUND);
    assert_true(
        says(r, "Alias arn:aws:kms:us-east-1:" ACCOUNT ":alias/Redshift-SSE is not found."));
}

static void naming(void **state) {
    static const struct {
        const char *id;
        enum sl_code code;
        const char *text;
    } cases[] = {
        {"nonsense", SL_E_KMS_NOT_FOUND, "Invalid keyId 'nonsense'"},
        {"mrk-nonsense", SL_E_KMS_NOT_FOUND, "Invalid keyId 'mrk-nonsense'"},
        {"mrk-d3b95762d3b95762d3b95762d3b95762", SL_E_KMS_NOT_FOUND,
         "Key 'arn:aws:kms:us-east-1:" ACCOUNT
         ":key/mrk-d3b95762d3b95762d3b95762d3b95762' does not exist"},
        {"11111111-2222-4333-8444-555555555555", SL_E_KMS_NOT_FOUND,
         "Key 'arn:aws:kms:us-east-1:" ACCOUNT ":key/11111111-2222-4333-8444-555555555555' does "
         "not exist"},
        {"arn:aws:kms:eu-west-1:" ACCOUNT ":key/11111111-2222-4333-8444-555555555555",
         SL_E_KMS_NOT_FOUND, "Invalid arn eu-west-1"},
        {"arn:aws:s3:us-east-1:" ACCOUNT ":key/x", SL_E_KMS_INVALID_ARN, "Invalid arn"},
        {"arn:aws:kms:us-east-1:s3.amazonaws.com:key/11111111-2222-4333-8444-555555555555",
         SL_E_KMS_INVALID_ARN, "Invalid arn"},
        {"arn:aws:kms:us-east-1:999999999999:key/11111111-2222-4333-8444-555555555555",
         SL_E_ACCESS_DENIED, "does not exist in this Region"},
        {"arn:", SL_E_KMS_INVALID_ARN, ""},
        {"", SL_E_VALIDATION,
         "Value '' at 'keyId' failed to satisfy constraint: Member must have "
         "length greater than or equal to 1"},
    };
    struct kms_rig *r = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sl_rc rc = RUN(r, &r->admin, "DescribeKey", "{\"KeyId\":\"%s\"}", cases[i].id);
        assert_string_equal(sl_code_info(rc.code)->name, sl_code_info(cases[i].code)->name);
        assert_true(says(r, cases[i].text));
    }
    FAILS(kms_run(r, &r->admin, "DescribeKey", "{}"), SL_E_VALIDATION);
    assert_true(says(r, "1 validation error detected: Value null at 'keyId' failed to satisfy "
                        "constraint: Member must not be null"));
    FAILS(RUN(r, &r->admin, "EnableKey", "{\"KeyId\":\"alias/x\"}"), SL_E_KMS_NOT_FOUND);
}

static void uses(void **state) {
    struct kms_rig *r = *state;
    const char *id = new_key(r);
    const char *context = "{\"a\":\"bc\",\"d\":\"\"}";
    OK(RUN(r, &r->admin, "Encrypt",
           "{\"KeyId\":\"%s\",\"Plaintext\":\"" HELLO64 "\",\"EncryptionContext\":%s}", id,
           context));
    assert_non_null(strstr(got(r, "KeyId"), "arn:aws:kms:"));
    assert_string_equal(got(r, "EncryptionAlgorithm"), "SYMMETRIC_DEFAULT");
    const char *blob = got(r, "CiphertextBlob");
    OK(RUN(r, &r->admin, "Decrypt",
           "{\"CiphertextBlob\":\"%s\",\"EncryptionContext\":{\"d\":\"\",\"a\":\"bc\"}}", blob));
    assert_string_equal(got(r, "Plaintext"), HELLO64);
    assert_int_equal(strlen(got(r, "KeyMaterialId")), 64);
    static const char *const wrong[] = {"{}", "{\"ab\":\"c\",\"d\":\"\"}", "{\"a\":\"bc\"}",
                                        "{\"A\":\"bc\",\"d\":\"\"}"};
    for (size_t i = 0; i < 4; i++) {
        FAILS(RUN(r, &r->admin, "Decrypt", "{\"CiphertextBlob\":\"%s\",\"EncryptionContext\":%s}",
                  blob, wrong[i]),
              SL_E_KMS_INVALID_CIPHERTEXT);
        assert_string_equal(r->err.detail, "");
    }
    FAILS(RUN(r, &r->admin, "Decrypt", "{\"CiphertextBlob\":\"" HELLO64 "\"}"),
          SL_E_KMS_INVALID_CIPHERTEXT);
    const char *other = new_key(r);
    FAILS(RUN(r, &r->admin, "Decrypt",
              "{\"KeyId\":\"%s\",\"CiphertextBlob\":\"%s\",\"EncryptionContext\":%s}", other, blob,
              context),
          SL_E_KMS_INCORRECT_KEY);
    OK(RUN(r, &r->admin, "GenerateDataKey", "{\"KeyId\":\"%s\",\"KeySpec\":\"AES_256\"}", id));
    const char *plain = got(r, "Plaintext");
    assert_int_equal(strlen(plain), 44);
    blob = got(r, "CiphertextBlob");
    OK(RUN(r, &r->admin, "Decrypt", "{\"KeyId\":\"%s\",\"CiphertextBlob\":\"%s\"}", id, blob));
    assert_string_equal(got(r, "Plaintext"), plain);
    OK(RUN(r, &r->admin, "ReEncrypt",
           "{\"CiphertextBlob\":\"%s\",\"DestinationKeyId\":\"%s\","
           "\"DestinationEncryptionContext\":{\"k\":\"v\"}}",
           blob, other));
    assert_non_null(strstr(got(r, "KeyId"), other));
    assert_non_null(strstr(got(r, "SourceKeyId"), id));
    OK(RUN(r, &r->admin, "Decrypt",
           "{\"KeyId\":\"%s\",\"CiphertextBlob\":\"%s\",\"EncryptionContext\":{\"k\":\"v\"}}",
           other, got(r, "CiphertextBlob")));
    assert_string_equal(got(r, "Plaintext"), plain);
    OK(RUN(r, &r->admin, "GenerateDataKeyWithoutPlaintext",
           "{\"KeyId\":\"%s\",\"NumberOfBytes\":1024}", id));
    assert_null(json_get(r->answer, "Plaintext"));
    OK(RUN(r, &r->admin, "GenerateRandom", "{\"NumberOfBytes\":3}"));
    assert_int_equal(strlen(got(r, "Plaintext")), 4);
}

static void use_refusals(void **state) {
    struct kms_rig *r = *state;
    const char *id = new_key(r);
    char big[8200];
    memset(big, 'A', 5464);
    strcpy(big + 5464, "");
    FAILS(RUN(r, &r->admin, "Encrypt", "{\"KeyId\":\"%s\",\"Plaintext\":\"%s\"}", id, big),
          SL_E_VALIDATION);
    assert_string_equal(r->err.detail,
                        "1 validation error detected: Value at 'plaintext' failed to satisfy "
                        "constraint: Member must have length less than or equal to 4096");
    FAILS(RUN(r, &r->admin, "Encrypt", "{\"KeyId\":\"%s\",\"Plaintext\":\"\"}", id),
          SL_E_VALIDATION);
    FAILS(RUN(r, &r->admin, "Encrypt", "{\"KeyId\":\"%s\",\"Plaintext\":\"a*b=\"}", id),
          SL_E_PARSE);
    FAILS(RUN(r, &r->admin, "GenerateDataKey", "{\"KeyId\":\"%s\"}", id), SL_E_VALIDATION);
    FAILS(RUN(r, &r->admin, "GenerateDataKey",
              "{\"KeyId\":\"%s\",\"KeySpec\":\"AES_256\",\"NumberOfBytes\":5}", id),
          SL_E_VALIDATION);
    FAILS(RUN(r, &r->admin, "GenerateDataKey", "{\"KeyId\":\"%s\",\"NumberOfBytes\":1025}", id),
          SL_E_VALIDATION);
    assert_true(says(r, "Value '1025' at 'numberOfBytes' failed to satisfy constraint: Member "
                        "must have value less than or equal to 1024"));
    FAILS(RUN(r, &r->admin, "GenerateDataKey",
              "{\"KeyId\":\"%s\",\"KeySpec\":\"AES_256\",\"DryRun\":true}", id),
          SL_E_KMS_DRY_RUN);
    FAILS(RUN(r, &r->admin, "GenerateDataKey",
              "{\"KeyId\":\"%s\",\"KeySpec\":\"AES_256\",\"Recipient\":{}}", id),
          SL_E_KMS_UNSUPPORTED);
    FAILS(RUN(r, &r->admin, "Encrypt",
              "{\"KeyId\":\"%s\",\"Plaintext\":\"" HELLO64
              "\",\"EncryptionAlgorithm\":\"RSAES_OAEP_SHA_256\"}",
              id),
          SL_E_KMS_KEY_USAGE);
    FAILS(RUN(r, &r->admin, "Encrypt",
              "{\"KeyId\":\"%s\",\"Plaintext\":\"" HELLO64 "\",\"EncryptionContext\":{\"a\":1}}",
              id),
          SL_E_PARSE);
}

static const char *const every_use[][2] = {
    {"Encrypt", "\"Plaintext\":\"" HELLO64 "\""},
    {"GenerateDataKey", "\"KeySpec\":\"AES_256\""},
    {"GenerateDataKeyWithoutPlaintext", "\"KeySpec\":\"AES_256\""},
};

static void states(void **state) {
    struct kms_rig *r = *state;
    const char *id = new_key(r);
    OK(RUN(r, &r->admin, "Encrypt", "{\"KeyId\":\"%s\",\"Plaintext\":\"" HELLO64 "\"}", id));
    const char *blob = got(r, "CiphertextBlob");
    OK(RUN(r, &r->admin, "DisableKey", "{\"KeyId\":\"%s\"}", id));
    for (size_t i = 0; i < 3; i++) {
        FAILS(RUN(r, &r->admin, every_use[i][0], "{\"KeyId\":\"%s\",%s}", id, every_use[i][1]),
              SL_E_KMS_DISABLED);
        assert_true(says(r, " is disabled."));
    }
    FAILS(RUN(r, &r->admin, "Decrypt", "{\"CiphertextBlob\":\"%s\"}", blob), SL_E_KMS_DISABLED);
    FAILS(RUN(r, &r->admin, "RotateKeyOnDemand", "{\"KeyId\":\"%s\"}", id), SL_E_KMS_DISABLED);
    FAILS(RUN(r, &r->admin, "CancelKeyDeletion", "{\"KeyId\":\"%s\"}", id), SL_E_KMS_INVALID_STATE);
    OK(RUN(r, &r->admin, "EnableKey", "{\"KeyId\":\"%s\"}", id));
    OK(RUN(r, &r->admin, "Decrypt", "{\"CiphertextBlob\":\"%s\"}", blob));
    FAILS(RUN(r, &r->admin, "ScheduleKeyDeletion", "{\"KeyId\":\"%s\",\"PendingWindowInDays\":6}",
              id),
          SL_E_VALIDATION);
    OK(RUN(r, &r->admin, "ScheduleKeyDeletion", "{\"KeyId\":\"%s\",\"PendingWindowInDays\":7}",
           id));
    assert_string_equal(got(r, "KeyState"), "PendingDeletion");
    static const char *const refused[][2] = {
        {"EnableKey", ""},
        {"DisableKey", ""},
        {"ScheduleKeyDeletion", ""},
        {"UpdateKeyDescription", ",\"Description\":\"x\""},
        {"TagResource", ",\"Tags\":[]"},
        {"RotateKeyOnDemand", ""},
        {"Encrypt", ",\"Plaintext\":\"" HELLO64 "\""},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        FAILS(RUN(r, &r->admin, refused[i][0], "{\"KeyId\":\"%s\"%s}", id, refused[i][1]),
              SL_E_KMS_INVALID_STATE);
        assert_true(says(r, " is pending deletion."));
    }
    OK(RUN(r, &r->admin, "DescribeKey", "{\"KeyId\":\"%s\"}", id));
    assert_non_null(json_get(json_get(r->answer, "KeyMetadata"), "DeletionDate"));
    OK(RUN(r, &r->admin, "CancelKeyDeletion", "{\"KeyId\":\"%s\"}", id));
    OK(RUN(r, &r->admin, "DescribeKey", "{\"KeyId\":\"%s\"}", id));
    assert_string_equal(got(r, "KeyState"), "Disabled");
}

/* The deletion's time comes: the key is gone at once, and swept later. */
static void deletion(void **state) {
    struct kms_rig *r = *state;
    const char *id = new_key(r);
    OK(RUN(r, &r->admin, "CreateAlias", "{\"AliasName\":\"alias/doomed\",\"TargetKeyId\":\"%s\"}",
           id));
    OK(RUN(r, &r->admin, "ScheduleKeyDeletion", "{\"KeyId\":\"%s\",\"PendingWindowInDays\":7}",
           id));
    int64_t now = r->env.now_ms, day = 24 * 3600 * 1000LL;
    r->env.now_ms = now + 7 * day - 1;
    OK(RUN(r, &r->admin, "DescribeKey", "{\"KeyId\":\"%s\"}", id));
    r->env.now_ms = now + 7 * day;
    FAILS(RUN(r, &r->admin, "DescribeKey", "{\"KeyId\":\"%s\"}", id), SL_E_KMS_NOT_FOUND);
    FAILS(RUN(r, &r->admin, "CancelKeyDeletion", "{\"KeyId\":\"%s\"}", id), SL_E_KMS_NOT_FOUND);
    const char *other = new_key(r);
    OK(RUN(r, &r->admin, "CreateAlias", "{\"AliasName\":\"alias/doomed\",\"TargetKeyId\":\"%s\"}",
           other));
    OK(keys_purge(r->k.db, r->env.now_ms, NULL));
    r->env.now_ms = now;
    FAILS(RUN(r, &r->admin, "DescribeKey", "{\"KeyId\":\"%s\"}", id), SL_E_KMS_NOT_FOUND);
    OK(RUN(r, &r->admin, "DescribeKey", "{\"KeyId\":\"alias/doomed\"}"));
}

static void rotation(void **state) {
    struct kms_rig *r = *state;
    const char *id = new_key(r), *first = got(r, "CurrentKeyMaterialId");
    OK(RUN(r, &r->admin, "Encrypt", "{\"KeyId\":\"%s\",\"Plaintext\":\"" HELLO64 "\"}", id));
    const char *blob = got(r, "CiphertextBlob");
    OK(RUN(r, &r->admin, "RotateKeyOnDemand", "{\"KeyId\":\"%s\"}", id));
    OK(RUN(r, &r->admin, "DescribeKey", "{\"KeyId\":\"%s\"}", id));
    assert_string_not_equal(got(r, "CurrentKeyMaterialId"), first);
    OK(RUN(r, &r->admin, "Decrypt", "{\"CiphertextBlob\":\"%s\"}", blob));
    assert_string_equal(got(r, "Plaintext"), HELLO64);
    assert_string_equal(got(r, "KeyMaterialId"), first);
    OK(RUN(r, &r->admin, "ListKeyRotations", "{\"KeyId\":\"%s\"}", id));
    assert_int_equal(json_get(r->answer, "Rotations")->count, 1);
    OK(RUN(r, &r->admin, "ListKeyRotations",
           "{\"KeyId\":\"%s\",\"IncludeKeyMaterial\":\"ALL_KEY_MATERIAL\"}", id));
    assert_int_equal(json_get(r->answer, "Rotations")->count, 2);
    OK(RUN(r, &r->admin, "GetKeyRotationStatus", "{\"KeyId\":\"%s\"}", id));
    assert_false(json_get(r->answer, "KeyRotationEnabled")->boolean);
    for (int i = 1; i < 25; i++) {
        OK(RUN(r, &r->admin, "RotateKeyOnDemand", "{\"KeyId\":\"%s\"}", id));
    }
    FAILS(RUN(r, &r->admin, "RotateKeyOnDemand", "{\"KeyId\":\"%s\"}", id), SL_E_KMS_LIMIT);
}

static void tags(void **state) {
    struct kms_rig *r = *state;
    OK(RUN(r, &r->admin, "CreateKey", "{\"Tags\":[{\"TagKey\":\"a\",\"TagValue\":\"1\"}]}"));
    const char *id = got(r, "KeyId");
    OK(RUN(r, &r->admin, "TagResource",
           "{\"KeyId\":\"%s\",\"Tags\":[{\"TagKey\":\"a\",\"TagValue\":\"2\"},{\"TagKey\":\"b\","
           "\"TagValue\":\"\"}]}",
           id));
    OK(RUN(r, &r->admin, "ListResourceTags", "{\"KeyId\":\"%s\",\"Limit\":1}", id));
    assert_true(json_get(r->answer, "Truncated")->boolean);
    assert_string_equal(got(r, "NextMarker"), "a");
    OK(RUN(r, &r->admin, "UntagResource", "{\"KeyId\":\"%s\",\"TagKeys\":[\"a\",\"zz\"]}", id));
    OK(RUN(r, &r->admin, "ListResourceTags", "{\"KeyId\":\"%s\"}", id));
    assert_int_equal(json_get(r->answer, "Tags")->count, 1);
    SL_CLEANUP(buf_fini) struct buf many = BUF_INIT(1024);
    for (int i = 0; i < KMS_TAGS_MAX; i++) {
        buf_printf(&many, "\"k%d\",", i);
    }
    OK(RUN(r, &r->admin, "UntagResource", "{\"KeyId\":\"%s\",\"TagKeys\":[%.*s]}", id,
           (int)many.len - 1, (const char *)many.ptr));
    FAILS(RUN(r, &r->admin, "UntagResource", "{\"KeyId\":\"%s\",\"TagKeys\":[%.*s\"k\"]}", id,
              SLICE_FMT(buf_slice(&many))),
          SL_E_KMS_TAG);
}

static void paging(void **state) {
    struct kms_rig *r = *state;
    for (int i = 0; i < 3; i++) {
        new_key(r);
    }
    size_t seen = 0;
    const char *marker = "";
    for (;;) {
        OK(RUN(r, &r->admin, "ListKeys", "{\"Limit\":2%s%s%s}", *marker ? ",\"Marker\":\"" : "",
               marker, *marker ? "\"" : ""));
        seen += json_get(r->answer, "Keys")->count;
        if (!json_get(r->answer, "Truncated")->boolean) {
            break;
        }
        marker = got(r, "NextMarker");
    }
    OK(kms_run(r, &r->admin, "ListKeys", "{\"Limit\":1000}"));
    assert_int_equal(seen, json_get(r->answer, "Keys")->count);
    FAILS(kms_run(r, &r->admin, "ListKeys", "{\"Marker\":\"x\"}"), SL_E_KMS_MARKER);
    FAILS(kms_run(r, &r->admin, "ListKeys", "{\"Limit\":0}"), SL_E_VALIDATION);
}

static char *escaped(struct kms_rig *r, const char *policy) {
    SL_CLEANUP(buf_fini) struct buf b = BUF_INIT(65536);
    struct jsonw w = jsonw_of(&b);
    jsonw_cstr(&w, policy);
    return arena_cstr(&r->a, buf_slice(&b));
}

static void policies(void **state) {
    struct kms_rig *r = *state;
    const char *id = new_key(r);
    OK(RUN(r, &r->admin, "GetKeyPolicy", "{\"KeyId\":\"%s\"}", id));
    assert_string_equal(got(r, "PolicyName"), "default");
    assert_non_null(strstr(got(r, "Policy"), "\"Sid\" : \"Enable IAM User Permissions\""));
    OK(RUN(r, &r->admin, "ListKeyPolicies", "{\"KeyId\":\"%s\"}", id));
    const char *shut = "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\","
                       "\"Principal\":{\"AWS\":\"arn:aws:iam::" ACCOUNT
                       ":user/admin\"},\"Action\":[\"kms:Decrypt\",\"kms:GetKeyPolicy\"],"
                       "\"Resource\":\"*\"}]}";
    FAILS(
        RUN(r, &r->admin, "PutKeyPolicy", "{\"KeyId\":\"%s\",\"Policy\":%s}", id, escaped(r, shut)),
        SL_E_KMS_POLICY);
    assert_string_equal(r->err.detail, "The new key policy will not allow you to update the key "
                                       "policy in the future.");
    FAILS(RUN(r, &r->admin, "PutKeyPolicy",
              "{\"KeyId\":\"%s\",\"PolicyName\":\"other\",\"Policy\":\"{}\"}", id),
          SL_E_KMS_NOT_FOUND);
    OK(RUN(r, &r->admin, "PutKeyPolicy",
           "{\"KeyId\":\"%s\",\"BypassPolicyLockoutSafetyCheck\":true,\"Policy\":%s}", id,
           escaped(r, shut)));
    OK(RUN(r, &r->admin, "GetKeyPolicy", "{\"KeyId\":\"%s\"}", id));
    assert_string_equal(got(r, "Policy"),
                        "{\n  \"Version\" : \"2012-10-17\",\n  \"Statement\" : [ {\n"
                        "    \"Effect\" : \"Allow\",\n    \"Principal\" : {\n"
                        "      \"AWS\" : \"arn:aws:iam::" ACCOUNT ":user/admin\"\n    },\n"
                        "    \"Action\" : [ \"kms:Decrypt\", \"kms:GetKeyPolicy\" ],\n"
                        "    \"Resource\" : \"*\"\n  } ]\n}");
    /* No delegation any more: the administrator's own policy counts for nothing. */
    FAILS(RUN(r, &r->admin, "DescribeKey", "{\"KeyId\":\"%s\"}", id), SL_E_ACCESS_DENIED);
    assert_true(says(r, "because no resource-based policy allows the kms:DescribeKey action"));
}

static void identities(void **state) {
    struct kms_rig *r = *state;
    const char *id = new_key(r);
    struct auth_caller nobody = as_user(r, ACCOUNT, "nobody", NULL);
    struct auth_caller reader = as_user(r, ACCOUNT, "reader", ALLOW("kms:Decrypt", "*"));
    FAILS(kms_run(r, &nobody, "ListKeys", "{}"), SL_E_ACCESS_DENIED);
    FAILS(kms_run(r, &nobody, "CreateKey", "{}"), SL_E_ACCESS_DENIED);
    FAILS(RUN(r, &nobody, "DescribeKey", "{\"KeyId\":\"%s\"}", id), SL_E_ACCESS_DENIED);
    assert_true(says(r, "User: arn:aws:iam::" ACCOUNT ":user/nobody is not authorized to perform: "
                        "kms:DescribeKey on resource: arn:aws:kms:us-east-1:" ACCOUNT ":key/"));
    /* Whoever may not use a key isn't told whether it exists. */
    FAILS(RUN(r, &nobody, "DescribeKey", "{\"KeyId\":\"11111111-2222-4333-8444-555555555555\"}"),
          SL_E_ACCESS_DENIED);
    assert_true(says(r, "does not exist in this Region"));
    OK(RUN(r, &r->admin, "Encrypt", "{\"KeyId\":\"%s\",\"Plaintext\":\"" HELLO64 "\"}", id));
    const char *blob = got(r, "CiphertextBlob");
    OK(RUN(r, &reader, "Decrypt", "{\"CiphertextBlob\":\"%s\"}", blob));
    FAILS(RUN(r, &nobody, "Decrypt", "{\"CiphertextBlob\":\"%s\"}", blob), SL_E_ACCESS_DENIED);
    FAILS(RUN(r, &reader, "Encrypt", "{\"KeyId\":\"%s\",\"Plaintext\":\"" HELLO64 "\"}", id),
          SL_E_ACCESS_DENIED);
    /* A denial comes before the key's state. */
    OK(RUN(r, &r->admin, "DisableKey", "{\"KeyId\":\"%s\"}", id));
    FAILS(RUN(r, &nobody, "Decrypt", "{\"CiphertextBlob\":\"%s\"}", blob), SL_E_ACCESS_DENIED);
}

static void conditions(void **state) {
    struct kms_rig *r = *state;
    const char *id = new_key(r);
    struct auth_caller bound = as_user(
        r, ACCOUNT, "bound",
        "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"kms:"
        "Encrypt\""
        ",\"Resource\":\"*\",\"Condition\":{\"StringEquals\":{\"kms:EncryptionContext:App\":"
        "\"loads\"}}},{\"Effect\":\"Allow\",\"Action\":\"kms:GenerateDataKey\",\"Resource\":\"*\","
        "\"Condition\":{\"StringEquals\":{\"kms:RequestAlias\":\"alias/bound\"}}}]}");
    OK(RUN(r, &r->admin, "CreateAlias", "{\"AliasName\":\"alias/bound\",\"TargetKeyId\":\"%s\"}",
           id));
    OK(RUN(r, &bound, "Encrypt",
           "{\"KeyId\":\"%s\",\"Plaintext\":\"" HELLO64
           "\",\"EncryptionContext\":{\"App\":\"loads\"}}",
           id));
    FAILS(RUN(r, &bound, "Encrypt",
              "{\"KeyId\":\"%s\",\"Plaintext\":\"" HELLO64
              "\",\"EncryptionContext\":{\"App\":\"other\"}}",
              id),
          SL_E_ACCESS_DENIED);
    OK(RUN(r, &bound, "GenerateDataKey", "{\"KeyId\":\"alias/bound\",\"KeySpec\":\"AES_256\"}"));
    FAILS(RUN(r, &bound, "GenerateDataKey", "{\"KeyId\":\"%s\",\"KeySpec\":\"AES_256\"}", id),
          SL_E_ACCESS_DENIED);
}

static void other_account(void **state) {
    struct kms_rig *r = *state;
    add_account(r, "111111111111");
    struct auth_caller guest = as_user(r, "111111111111", "guest", ALLOW("kms:*", "*"));
    const char *arn = arena_printf(&r->a, "arn:aws:kms:us-east-1:" ACCOUNT ":key/%s", new_key(r));
    FAILS(RUN(r, &guest, "DescribeKey", "{\"KeyId\":\"%s\"}", arn), SL_E_ACCESS_DENIED);
    assert_true(says(r, "because the resource does not exist in this Region"));
    const char *open =
        "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":["
        "\"arn:aws:iam::" ACCOUNT ":root\",\"111111111111\"]},\"Action\":\"kms:*\","
        "\"Resource\":\"*\"}]}";
    OK(RUN(r, &r->admin, "PutKeyPolicy", "{\"KeyId\":\"%s\",\"Policy\":%s}", arn,
           escaped(r, open)));
    OK(RUN(r, &guest, "DescribeKey", "{\"KeyId\":\"%s\"}", arn));
    OK(RUN(r, &guest, "GenerateDataKey", "{\"KeyId\":\"%s\",\"KeySpec\":\"AES_256\"}", arn));
    /* Not across accounts, whatever the policy says. */
    FAILS(RUN(r, &guest, "DisableKey", "{\"KeyId\":\"%s\"}", arn), SL_E_ACCESS_DENIED);
    FAILS(RUN(r, &guest, "GetKeyPolicy", "{\"KeyId\":\"%s\"}", arn), SL_E_ACCESS_DENIED);
    /* Not by its bare id. */
    FAILS(RUN(r, &guest, "DescribeKey", "{\"KeyId\":\"%s\"}", strchr(arn, '/') + 1),
          SL_E_KMS_NOT_FOUND);
    OK(RUN(r, &guest, "ListKeys", "{}"));
    assert_int_equal(json_get(r->answer, "Keys")->count, 0);
}

/* alias/aws/s3 can be looked at, and used through S3 only. */
static void managed(void **state) {
    struct kms_rig *r = *state;
    OK(kms_run(r, &r->admin, "DescribeKey", "{\"KeyId\":\"alias/aws/s3\"}"));
    assert_string_equal(got(r, "KeyManager"), "AWS");
    const char *id = got(r, "KeyId");
    OK(kms_run(r, &r->admin, "DescribeKey", "{\"KeyId\":\"alias/aws/s3\"}"));
    assert_string_equal(got(r, "KeyId"), id);
    static const char *const refused[][2] = {
        {"Encrypt", ",\"Plaintext\":\"" HELLO64 "\""},
        {"GenerateDataKey", ",\"KeySpec\":\"AES_256\""},
        {"DisableKey", ""},
        {"ScheduleKeyDeletion", ""},
        {"PutKeyPolicy", ",\"Policy\":\"{}\""},
        {"TagResource", ",\"Tags\":[]"},
        {"UntagResource", ",\"TagKeys\":[]"},
        {"EnableKey", ""},
        {"CancelKeyDeletion", ""},
        {"UpdateKeyDescription", ",\"Description\":\"x\""},
        {"RotateKeyOnDemand", ""},
        {"CreateGrant",
         ",\"GranteePrincipal\":\"arn:aws:iam::" ACCOUNT ":root\",\"Operations\":[\"Encrypt\"]"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        FAILS(RUN(r, &r->admin, refused[i][0], "{\"KeyId\":\"%s\"%s}", id, refused[i][1]),
              SL_E_ACCESS_DENIED);
    }
    FAILS(RUN(r, &r->admin, "CreateAlias",
              "{\"AliasName\":\"alias/of-aws\",\"TargetKeyId\":\"%s\"}", id),
          SL_E_ACCESS_DENIED);
    static const char *const reserved[] = {"CreateAlias", "UpdateAlias", "DeleteAlias"};
    for (size_t i = 0; i < 3; i++) {
        FAILS(RUN(r, &r->admin, reserved[i],
                  "{\"AliasName\":\"alias/aws/s3\",\"TargetKeyId\":\"%s\"}", new_key(r)),
              SL_E_KMS_RESERVED);
    }
    /* Made for whom policies let look, or through its service; not for just anyone, and not for any
     * name. */
    struct auth_caller olaf = as_user(r, ACCOUNT, "olaf", NULL);
    FAILS(kms_run(r, &olaf, "DescribeKey", "{\"KeyId\":\"alias/aws/redshift\"}"),
          SL_E_ACCESS_DENIED);
    OK(kms_run(r, &r->admin, "ListAliases", "{}"));
    assert_null(strstr(arena_cstr(&r->a, buf_slice(&r->out)), "alias/aws/redshift"));
    olaf.via_service = SLICE_LIT("redshift.us-east-1.amazonaws.com");
    OK(RUN(r, &olaf, "GenerateDataKey",
           "{\"KeyId\":\"alias/aws/redshift\",\"KeySpec\":\"AES_256\"}"));
    FAILS(kms_run(r, &r->admin, "DescribeKey", "{\"KeyId\":\"alias/aws/ebs2\"}"),
          SL_E_KMS_NOT_FOUND);
    OK(RUN(r, &r->admin, "GetKeyPolicy", "{\"KeyId\":\"%s\"}", id));
    struct auth_caller through = r->admin;
    through.via_service = SLICE_LIT("s3.us-east-1.amazonaws.com");
    OK(RUN(r, &through, "GenerateDataKey", "{\"KeyId\":\"alias/aws/s3\",\"KeySpec\":\"AES_256\"}"));
    through.via_service = SLICE_LIT("redshift.us-east-1.amazonaws.com");
    FAILS(
        RUN(r, &through, "GenerateDataKey", "{\"KeyId\":\"alias/aws/s3\",\"KeySpec\":\"AES_256\"}"),
        SL_E_ACCESS_DENIED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(create_and_describe),
        cmocka_unit_test(create_refusals),
        cmocka_unit_test(aliases),
        cmocka_unit_test(naming),
        cmocka_unit_test(uses),
        cmocka_unit_test(use_refusals),
        cmocka_unit_test(states),
        cmocka_unit_test(deletion),
        cmocka_unit_test(rotation),
        cmocka_unit_test(tags),
        cmocka_unit_test(paging),
        cmocka_unit_test(policies),
        cmocka_unit_test(identities),
        cmocka_unit_test(conditions),
        cmocka_unit_test(other_account),
        cmocka_unit_test(managed),
    };
    return cmocka_run_group_tests(tests, kms_group_start, kms_group_stop);
}
