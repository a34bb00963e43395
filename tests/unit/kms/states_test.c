/* Which operation works in which state of a key: the table of AWS's guide, each cell run. And what
 * comes before what: form, existence, permission, state. */
#include "tests/unit/kms/kms_rig.h"

#define HELLO64 "aGVsbG8="
#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"

enum { ENABLED, DISABLED, PENDING_DELETION, PENDING_IMPORT, STATES };

#define OK_ SL_CODE_OK
#define X1 SL_E_KMS_DISABLED
#define X3 SL_E_KMS_INVALID_STATE
#define X6 SL_E_KMS_UNSUPPORTED
#define NF SL_E_KMS_NOT_FOUND /* the grant: so the key's state was no hindrance */
#define DRY SL_E_KMS_DRY_RUN
#define TOKEN SL_E_KMS_IMPORT_TOKEN

/* <key>, <alias>: the key's; <blob>, <other>: a ciphertext and the alias of another key. */
static const struct {
    const char *operation, *body;
    enum sl_code want[STATES];
} table[] = {
    {"Encrypt", "\"KeyId\":\"<key>\",\"Plaintext\":\"" HELLO64 "\"", {OK_, X1, X3, X3}},
    {"Decrypt",
     "\"KeyId\":\"<key>\",\"DryRun\":true,\"DryRunModifiers\":[\"IGNORE_CIPHERTEXT\"]",
     {DRY, X1, X3, X3}},
    {"ReEncrypt",
     "\"DestinationKeyId\":\"<key>\",\"CiphertextBlob\":\"<blob>\"",
     {OK_, X1, X3, X3}},
    {"GenerateDataKey", "\"KeyId\":\"<key>\",\"NumberOfBytes\":8", {OK_, X1, X3, X3}},
    {"GenerateDataKeyWithoutPlaintext",
     "\"KeyId\":\"<key>\",\"NumberOfBytes\":8",
     {OK_, X1, X3, X3}},
    {"CreateGrant",
     "\"KeyId\":\"<key>\",\"GranteePrincipal\":\"arn:aws:iam::" ACCOUNT
     ":root\",\"Operations\":[\"Encrypt\"]",
     {OK_, X1, X3, X3}},
    {"DescribeKey", "\"KeyId\":\"<key>\"", {OK_, OK_, OK_, OK_}},
    {"GetKeyPolicy", "\"KeyId\":\"<key>\"", {OK_, OK_, OK_, OK_}},
    {"PutKeyPolicy",
     "\"KeyId\":\"<key>\",\"Policy\":\"{\\\"Version\\\":\\\"2012-10-17\\\",\\\"Statement\\\":[{"
     "\\\"Effect\\\":\\\"Allow\\\",\\\"Principal\\\":{\\\"AWS\\\":\\\"" ACCOUNT
     "\\\"},\\\"Action\\\":\\\"kms:*\\\",\\\"Resource\\\":\\\"*\\\"}]}\"",
     {OK_, OK_, OK_, OK_}},
    {"ListKeyPolicies", "\"KeyId\":\"<key>\"", {OK_, OK_, OK_, OK_}},
    {"ListGrants", "\"KeyId\":\"<key>\"", {OK_, OK_, OK_, OK_}},
    {"ListKeyRotations", "\"KeyId\":\"<key>\"", {OK_, OK_, OK_, OK_}},
    {"ListResourceTags", "\"KeyId\":\"<key>\"", {OK_, OK_, OK_, OK_}},
    {"ListAliases", "\"KeyId\":\"<key>\"", {OK_, OK_, OK_, OK_}},
    {"RevokeGrant", "\"KeyId\":\"<key>\",\"GrantId\":\"" ZEROS "\"", {NF, NF, NF, NF}},
    {"RetireGrant", "\"KeyId\":\"<key>\",\"GrantId\":\"" ZEROS "\"", {NF, NF, NF, NF}},
    {"DeleteAlias", "\"AliasName\":\"<alias>\"", {OK_, OK_, OK_, OK_}},
    {"CreateAlias", "\"AliasName\":\"<alias>-2\",\"TargetKeyId\":\"<key>\"", {OK_, OK_, X3, OK_}},
    {"UpdateAlias", "\"AliasName\":\"<other>\",\"TargetKeyId\":\"<key>\"", {OK_, OK_, X3, OK_}},
    {"TagResource",
     "\"KeyId\":\"<key>\",\"Tags\":[{\"TagKey\":\"a\",\"TagValue\":\"b\"}]",
     {OK_, OK_, X3, OK_}},
    {"UntagResource", "\"KeyId\":\"<key>\",\"TagKeys\":[\"a\"]", {OK_, OK_, X3, OK_}},
    {"UpdateKeyDescription", "\"KeyId\":\"<key>\",\"Description\":\"d\"", {OK_, OK_, X3, OK_}},
    {"ScheduleKeyDeletion", "\"KeyId\":\"<key>\"", {OK_, OK_, X3, OK_}},
    {"CancelKeyDeletion", "\"KeyId\":\"<key>\"", {X3, X3, OK_, X3}},
    {"EnableKey", "\"KeyId\":\"<key>\"", {OK_, OK_, X3, X3}},
    {"DisableKey", "\"KeyId\":\"<key>\"", {OK_, OK_, X3, X3}},
    {"EnableKeyRotation", "\"KeyId\":\"<key>\"", {OK_, X1, X3, X6}},
    {"DisableKeyRotation", "\"KeyId\":\"<key>\"", {OK_, X1, X3, X6}},
    {"GetKeyRotationStatus", "\"KeyId\":\"<key>\"", {OK_, OK_, OK_, X6}},
    {"RotateKeyOnDemand", "\"KeyId\":\"<key>\"", {OK_, X1, X3, X3}},
    {"GetParametersForImport",
     "\"KeyId\":\"<key>\",\"WrappingAlgorithm\":\"RSAES_OAEP_SHA_256\",\"WrappingKeySpec\":"
     "\"RSA_2048\"",
     {X6, X6, X6, OK_}},
    {"ImportKeyMaterial",
     "\"KeyId\":\"<key>\",\"ImportToken\":\"AAAA\",\"EncryptedKeyMaterial\":\"AAAA\","
     "\"ExpirationModel\":\"KEY_MATERIAL_DOES_NOT_EXPIRE\"",
     {X6, X6, X6, TOKEN}},
    {"DeleteImportedKeyMaterial", "\"KeyId\":\"<key>\"", {X6, X6, X6, X3}},
};

static const char *key_in(struct kms_rig *r, int as) {
    OK(kms_run(r, &r->admin, "CreateKey",
               as == PENDING_IMPORT ? "{\"Origin\":\"EXTERNAL\"}" : "{}"));
    const char *key = got(r, "KeyId");
    if (as == DISABLED) {
        OK(RUN(r, &r->admin, "DisableKey", "{\"KeyId\":\"%s\"}", key));
    }
    return key;
}

static const char *alias_of(struct kms_rig *r, const char *key) {
    const char *name = arena_printf(&r->a, "alias/of-%s", key);
    OK(RUN(r, &r->admin, "CreateAlias", "{\"AliasName\":\"%s\",\"TargetKeyId\":\"%s\"}", name,
           key));
    return name;
}

/* `text` with every `name` replaced. */
static const char *filled(struct kms_rig *r, const char *text, const char *name,
                          const char *value) {
    const char *at = strstr(text, name);
    if (at == NULL) {
        return text;
    }
    return arena_printf(&r->a, "%.*s%s%s", (int)(at - text), text, value,
                        filled(r, at + strlen(name), name, value));
}

static void every_cell(void **state) {
    struct kms_rig *r = *state;
    const char *other = new_key(r);
    OK(RUN(r, &r->admin, "Encrypt", "{\"KeyId\":\"%s\",\"Plaintext\":\"" HELLO64 "\"}", other));
    const char *blob = got(r, "CiphertextBlob"), *others = alias_of(r, other);
    int wrong = 0;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        for (int as = 0; as < STATES; as++) {
            const char *key = key_in(r, as), *alias = alias_of(r, key);
            if (as == PENDING_DELETION) {
                OK(RUN(r, &r->admin, "ScheduleKeyDeletion", "{\"KeyId\":\"%s\"}", key));
            }
            const char *const names[][2] = {
                {"<key>", key}, {"<alias>", alias}, {"<blob>", blob}, {"<other>", others}};
            const char *body = arena_printf(&r->a, "{%s}", table[i].body);
            for (size_t n = 0; n < 4; n++) {
                body = filled(r, body, names[n][0], names[n][1]);
            }
            struct sl_rc rc = kms_run(r, &r->admin, table[i].operation, body);
            if (rc.code != table[i].want[as]) {
                print_error("%s, state %d: %s %s\n", table[i].operation, as,
                            sl_code_info(rc.code)->name, r->err.detail);
                wrong++;
            }
        }
    }
    assert_int_equal(wrong, 0);
}

/* The same operations on a key of another account that lets them all: by ARN those that work across
 * accounts, as if it were one's own; the others never. By the bare id none. */
static void across_accounts(void **state) {
    static const char *const works[] = {"Encrypt",
                                        "Decrypt",
                                        "ReEncrypt",
                                        "GenerateDataKey",
                                        "GenerateDataKeyWithoutPlaintext",
                                        "CreateGrant",
                                        "DescribeKey",
                                        "ListGrants",
                                        "RevokeGrant",
                                        "RetireGrant",
                                        "GetKeyRotationStatus",
                                        NULL};
    struct kms_rig *r = *state;
    add_account(r, "444444444444");
    struct auth_caller guest = as_user(r, "444444444444", "guest", ALLOW("kms:*", "*"));
    OK(RUN(r, &r->admin, "CreateKey",
           "{\"Policy\":\"{\\\"Version\\\":\\\"2012-10-17\\\",\\\"Statement\\\":[{"
           "\\\"Effect\\\":\\\"Allow\\\",\\\"Principal\\\":{\\\"AWS\\\":[\\\"" ACCOUNT
           "\\\",\\\"444444444444\\\"]},\\\"Action\\\":\\\"kms:*\\\",\\\"Resource\\\":"
           "\\\"*\\\"}]}\"}"));
    const char *arn = got(r, "Arn"), *id = got(r, "KeyId");
    OK(RUN(r, &r->admin, "Encrypt", "{\"KeyId\":\"%s\",\"Plaintext\":\"" HELLO64 "\"}", id));
    const char *blob = got(r, "CiphertextBlob");
    int wrong = 0;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (strstr(table[i].body, "AliasName") != NULL) {
            continue; /* names are looked for at home */
        }
        enum sl_code want = SL_E_ACCESS_DENIED;
        for (size_t k = 0; works[k] != NULL; k++) {
            want = strcmp(works[k], table[i].operation) == 0 ? table[i].want[ENABLED] : want;
        }
        for (int by_id = 0; by_id < 2; by_id++) {
            const char *body = arena_printf(&r->a, "{%s}", table[i].body);
            body = filled(r, filled(r, body, "<key>", by_id ? id : arn), "<blob>", blob);
            struct sl_rc rc = kms_run(r, &guest, table[i].operation, body);
            if (rc.code != (by_id ? SL_E_KMS_NOT_FOUND : want)) {
                print_error("%s by %s: %s %s\n", table[i].operation, by_id ? "id" : "ARN",
                            sl_code_info(rc.code)->name, r->err.detail);
                wrong++;
            }
        }
    }
    assert_int_equal(wrong, 0);
    FAILS(
        RUN(r, &guest, "CreateAlias", "{\"AliasName\":\"alias/far\",\"TargetKeyId\":\"%s\"}", arn),
        SL_E_ACCESS_DENIED);
}

/* Each operation on a key is in the table. */
static void complete(void **state) {
    static const char *const keyless[] = {"CreateKey", "GenerateRandom", "ListKeys",
                                          "ListRetirableGrants", NULL};
    for (size_t i = 0; kms_models[i] != NULL; i++) {
        bool there = false;
        for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
            there |= strcmp(table[k].operation, kms_models[i]->name) == 0;
        }
        for (size_t k = 0; keyless[k] != NULL; k++) {
            there |= strcmp(keyless[k], kms_models[i]->name) == 0;
        }
        if (!there) {
            fail_msg("%s is not in the table", kms_models[i]->name);
        }
    }
}

/* The same faulty request, one fault less at a time. */
static void precedence(void **state) {
    struct kms_rig *r = *state;
    const char *key = key_in(r, DISABLED);
    struct auth_caller none = as_user(r, ACCOUNT, "none", NULL);
    static const char missing[] = "11111111-2222-4333-8444-555555555555";
    static const char body[] = "{\"KeyId\":\"%s\",\"Plaintext\":\"%s\"}";
    FAILS(kms_run(r, &none, "Encrypt", arena_printf(&r->a, body, missing, "")), SL_E_VALIDATION);
    FAILS(kms_run(r, &r->admin, "Encrypt", arena_printf(&r->a, body, missing, HELLO64)),
          SL_E_KMS_NOT_FOUND);
    FAILS(kms_run(r, &none, "Encrypt", arena_printf(&r->a, body, key, HELLO64)),
          SL_E_ACCESS_DENIED);
    FAILS(kms_run(r, &r->admin, "Encrypt", arena_printf(&r->a, body, key, HELLO64)),
          SL_E_KMS_DISABLED);
    OK(RUN(r, &r->admin, "EnableKey", "{\"KeyId\":\"%s\"}", key));
    OK(kms_run(r, &r->admin, "Encrypt", arena_printf(&r->a, body, key, HELLO64)));
    /* A dry run comes last. */
    OK(RUN(r, &r->admin, "DisableKey", "{\"KeyId\":\"%s\"}", key));
    FAILS(RUN(r, &r->admin, "Encrypt",
              "{\"KeyId\":\"%s\",\"Plaintext\":\"" HELLO64 "\",\"DryRun\":true}", key),
          SL_E_KMS_DISABLED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell),
        cmocka_unit_test(across_accounts),
        cmocka_unit_test(complete),
        cmocka_unit_test(precedence),
    };
    return cmocka_run_group_tests(tests, kms_group_start, kms_group_stop);
}
