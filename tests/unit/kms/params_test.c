/* What of a request goes into its audit record, and what does not. */
#include "tests/unit/kms/kms_rig.h"

static const char *recorded(struct api_call *c, struct buf *out) {
    struct jsonw w = jsonw_of(out);
    kms_audit_request(&w, c);
    buf_putc(out, '\0');
    assert_false(out->failed);
    return (const char *)out->ptr;
}

static void json(void **state) {
    static const struct {
        const char *operation, *body, *recorded;
    } cases[] = {
        {"TagResource", "{\"KeyId\":\"k\",\"Tags\":[{\"TagKey\":\"a\",\"TagValue\":\"b\"}]}",
         "{\"keyId\":\"k\",\"tags\":[{\"tagKey\":\"a\",\"tagValue\":\"b\"}]}"},
        {"ScheduleKeyDeletion", "{\"KeyId\":\"k\",\"PendingWindowInDays\":7}",
         "{\"keyId\":\"k\",\"pendingWindowInDays\":7}"},
        /* Secrets, and names that come near them. */
        {"Encrypt",
         "{\"KeyId\":\"k\",\"Plaintext\":\"c2VjcmV0\",\"PlainText\":\"c2VjcmV0\",\"plaintext\":"
         "\"c2VjcmV0\",\"GrantTokens\":[\"t\"]}",
         "{\"keyId\":\"k\",\"encryptionAlgorithm\":\"SYMMETRIC_DEFAULT\"}"},
        {"Decrypt",
         "{\"CiphertextBlob\":\"eA==\",\"Recipient\":{\"AttestationDocument\":\"eA==\"},\"DryRun\":"
         "true}",
         "{\"dryRun\":true,\"encryptionAlgorithm\":\"SYMMETRIC_DEFAULT\"}"},
        {"ImportKeyMaterial",
         "{\"ImportToken\":\"eA==\",\"EncryptedKeyMaterial\":\"eA==\",\"ValidTo\":1.5}",
         "{\"validTo\":1.5}"},
        {"RetireGrant", "{\"GrantToken\":\"t\"}", "{}"},
        {"CreateCustomKeyStore", "{\"KeyStorePassword\":\"secret\"}", "null"},
        /* Contexts are the user's own names. */
        {"Encrypt", "{\"EncryptionContext\":{\"Plaintext\":\"p\",\"a b\":\"\"}}",
         "{\"encryptionContext\":{\"Plaintext\":\"p\",\"a b\":\"\"},\"encryptionAlgorithm\":"
         "\"SYMMETRIC_DEFAULT\"}"},
        {"CreateGrant",
         "{\"Operations\":[\"Encrypt\"],\"Constraints\":{\"EncryptionContextEquals\":{\"A\":\"b\"}"
         "}}",
         "{\"operations\":[\"Encrypt\"],\"constraints\":{\"encryptionContextEquals\":{\"A\":\"b\"}"
         "}}"},
        /* Values of other types, and null. */
        {"Encrypt",
         "{\"KeyId\":{\"Plaintext2\":\"c2VjcmV0\"},\"EncryptionContext\":{\"a\":{\"b\":\"c\"}},"
         "\"EncryptionAlgorithm\":null}",
         "{\"keyId\":null,\"encryptionContext\":{},\"encryptionAlgorithm\":\"SYMMETRIC_DEFAULT\"}"},
        {"UntagResource", "{\"TagKeys\":[1,\"a\"]}", "{\"tagKeys\":[null,\"a\"]}"},
        {"ListKeys", "{}", "null"},
        {"LookupEvents",
         "{\"LookupAttributes\":[{\"AttributeKey\":\"EventName\",\"AttributeValue\":\"x\"}],"
         "\"NextToken\":\"t\",\"Other\":\"o\",\"MaxResults\":1}",
         "{\"lookupAttributes\":[{\"attributeKey\":\"EventName\",\"attributeValue\":\"x\"}],"
         "\"maxResults\":1}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(1024 * 1024);
        SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(64 * 1024);
        struct api_call c = {.arena = &a, .operation = slice_cstr(cases[i].operation)};
        OK(json_parse(slice_cstr(cases[i].body), &a, NULL, &c.body));
        assert_string_equal(recorded(&c, &out), cases[i].recorded);
    }
}

static void form(void **state) {
    static const struct {
        const char *operation, *form, *recorded;
    } cases[] = {
        {"CreateUser",
         "Action=CreateUser&Version=2010-05-08&UserName=u&Tags.member.1.Key=a&Tags.member.1.Value="
         "b&Tags.member.2.Key=c",
         "{\"userName\":\"u\",\"tags\":[{\"key\":\"a\",\"value\":\"b\"},{\"key\":\"c\"}]}"},
        {"AssumeRole", "RoleArn=r&DurationSeconds=900&TokenCode=123456&WebIdentityToken=t",
         "{\"roleArn\":\"r\",\"durationSeconds\":900}"},
        {"AssumeRole",
         "PolicyArns.member.1.arn=a&PolicyArns.member.2.arn=b&PolicyArns.member.2.x=c",
         "{\"policyArns\":[{\"arn\":\"a\"},{\"arn\":\"b\"}]}"},
        {"AssumeRole", "Policy.Password=p&lower=x&A-b=x&=x", "{\"policy\":{}}"},
        {"AssumeRole", "Tags.A.A.A.A.A.A.A.A.A.A.A.A.A.A.A.A.A=x&RoleArn=y", "{\"roleArn\":\"y\"}"},
        /* What neither the operation nor a tag has may be anything. */
        {"CreateUser", "Secret=x&UserName=u&RoleArn=x&Tags.member.1.Secret=x&Tags.member.1.Key=k",
         "{\"userName\":\"u\",\"tags\":[{\"key\":\"k\"}]}"},
        {"UpdateUser", "NewUserName=n&UserName=u", "{\"newUserName\":\"n\",\"userName\":\"u\"}"},
        {"GetCallerIdentity", "Action=GetCallerIdentity&UserName=x", "null"},
        {"Unknown", "UserName=x", "null"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(1024 * 1024);
        SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(64 * 1024);
        struct api_call c = {.arena = &a, .operation = slice_cstr(cases[i].operation)};
        OK(params_parse(slice_cstr(cases[i].form), true, &a, NULL, &c.form));
        assert_string_equal(recorded(&c, &out), cases[i].recorded);
    }
}

/* A name with a dot at every second place: what reads it must not go down for each. */
static void deep_form(void **state) {
    enum { LEVELS = 400000 };
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(8 * 1024 * 1024);
    SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(64 * 1024);
    SL_CLEANUP(buf_fini) struct buf text = BUF_INIT(1024 * 1024);
    buf_puts(&text, "Tags");
    for (int i = 0; i < LEVELS; i++) {
        buf_puts(&text, ".A");
    }
    buf_puts(&text, "=x");
    struct api_call c = {.arena = &a, .operation = SLICE_LIT("CreateUser")};
    OK(params_parse(buf_slice(&text), true, &a, NULL, &c.form));
    assert_string_equal(recorded(&c, &out), "null");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json),
        cmocka_unit_test(form),
        cmocka_unit_test(deep_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
