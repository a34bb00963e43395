/* Imported key material through the API's operations: parameters, import, expiry, deletion, the
 * same material again, rotation, conditions, states. */
#include "tests/unit/kms/kms_rig.h"
#include "tests/unit/keys/wrap.h"

#include "lib/codec/text.h"
#include "server/api/kms/kms.h"

#define MATERIAL "0123456789abcdef0123456789abcdef"
#define OTHER "0123456789abcdef0123456789abcdeg"
#define FOREVER "\"ExpirationModel\":\"KEY_MATERIAL_DOES_NOT_EXPIRE\""

static const char *external(struct kms_rig *r) {
    OK(kms_run(r, &r->admin, "CreateKey", "{\"Origin\":\"EXTERNAL\"}"));
    return got(r, "KeyId");
}

/* "ImportToken":…,"EncryptedKeyMaterial":… for the key. */
static const char *wrapped(struct kms_rig *r, const char *id, const char *material) {
    struct buf der SL_CLEANUP(buf_fini) = BUF_INIT(4096);
    struct buf cipher SL_CLEANUP(buf_fini) = BUF_INIT(4096);
    struct buf text SL_CLEANUP(buf_fini) = BUF_INIT(8192);
    OK(RUN(r, &r->admin, "GetParametersForImport",
           "{\"KeyId\":\"%s\",\"WrappingAlgorithm\":\"RSAES_OAEP_SHA_256\","
           "\"WrappingKeySpec\":\"RSA_2048\"}",
           id));
    OK(base64_get(slice_cstr(got(r, "PublicKey")), &der, NULL));
    wrap_oaep(buf_slice(&der), true, slice_cstr(material), &cipher);
    base64_put(&text, buf_slice(&cipher));
    return arena_printf(&r->a, "\"ImportToken\":\"%s\",\"EncryptedKeyMaterial\":\"%s\"",
                        got(r, "ImportToken"), arena_cstr(&r->a, buf_slice(&text)));
}

/* Imports; `more` is further members or FOREVER. */
static struct sl_rc import(struct kms_rig *r, const char *id, const char *material,
                           const char *more) {
    return RUN(r, &r->admin, "ImportKeyMaterial", "{\"KeyId\":\"%s\",%s,%s}", id,
               wrapped(r, id, material), more);
}

static const char *describe(struct kms_rig *r, const char *id, const char *member) {
    OK(RUN(r, &r->admin, "DescribeKey", "{\"KeyId\":\"%s\"}", id));
    return got(r, member);
}

static double number(struct kms_rig *r, const char *member) {
    const struct json *v = json_get(json_get(r->answer, "KeyMetadata"), member);
    v = v != NULL ? v : json_get(r->answer, member);
    return v != NULL ? v->real : 0;
}

static struct sl_rc encrypt(struct kms_rig *r, const char *id) {
    return RUN(r, &r->admin, "Encrypt", "{\"KeyId\":\"%s\",\"Plaintext\":\"aGVsbG8=\"}", id);
}

static struct sl_rc decrypt(struct kms_rig *r, const char *blob) {
    return RUN(r, &r->admin, "Decrypt", "{\"CiphertextBlob\":\"%s\"}", blob);
}

static struct sl_rc on_key(struct kms_rig *r, const char *operation, const char *id) {
    return RUN(r, &r->admin, operation, "{\"KeyId\":\"%s\"}", id);
}

static void life(void **state) {
    struct kms_rig *r = *state;
    const char *id = external(r);
    assert_string_equal(got(r, "KeyState"), "PendingImport");
    assert_string_equal(got(r, "Origin"), "EXTERNAL");
    assert_string_equal(got(r, "CurrentKeyMaterialId"), "");
    assert_string_equal(got(r, "ExpirationModel"), "");
    FAILS(encrypt(r, id), SL_E_KMS_INVALID_STATE);
    assert_true(says(r, "is pending import."));
    FAILS(on_key(r, "DeleteImportedKeyMaterial", id), SL_E_KMS_INVALID_STATE);
    OK(import(r, id, MATERIAL, FOREVER));
    const char *material = got(r, "KeyMaterialId");
    assert_int_equal(strlen(material), 64);
    const char *arn = got(r, "KeyId");
    assert_string_equal(arn, describe(r, id, "Arn"));
    assert_string_equal(describe(r, id, "KeyState"), "Enabled");
    assert_string_equal(got(r, "CurrentKeyMaterialId"), material);
    assert_string_equal(got(r, "ExpirationModel"), "KEY_MATERIAL_DOES_NOT_EXPIRE");
    assert_true(number(r, "ValidTo") == 0);
    OK(encrypt(r, id));
    const char *blob = got(r, "CiphertextBlob");
    OK(on_key(r, "DeleteImportedKeyMaterial", id));
    assert_string_equal(got(r, "KeyMaterialId"), material);
    assert_string_equal(describe(r, id, "KeyState"), "PendingImport");
    FAILS(decrypt(r, blob), SL_E_KMS_INVALID_STATE);
    FAILS(import(r, id, OTHER, FOREVER), SL_E_KMS_MATERIAL);
    FAILS(import(r, id, OTHER, FOREVER ",\"ImportType\":\"EXISTING_KEY_MATERIAL\""),
          SL_E_KMS_MATERIAL);
    OK(import(r, id, MATERIAL, FOREVER));
    assert_string_equal(got(r, "KeyMaterialId"), material);
    OK(decrypt(r, blob));
    assert_string_equal(got(r, "Plaintext"), "aGVsbG8=");
    assert_string_equal(got(r, "KeyMaterialId"), material);
}

static void expiry(void **state) {
    struct kms_rig *r = *state;
    const char *id = external(r);
    int64_t now = r->env.now_ms, day = 24 * 3600 * 1000;
    static const struct {
        const char *more;
        const char *text;
    } refused[] = {
        {"\"ExpirationModel\":\"KEY_MATERIAL_EXPIRES\"", "A validTo date must be set"},
        {"\"KeyMaterialDescription\":\"x\"", "A validTo date must be set"},
        {FOREVER ",\"ValidTo\":1900000000", "can not be set"},
        {"\"ValidTo\":1", "in the future"},
        {"\"ValidTo\":99999999999", "in the future"},
        {"\"ValidTo\":1e300", "in the future"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        FAILS(import(r, id, MATERIAL, refused[i].more), SL_E_VALIDATION);
        assert_true(says(r, refused[i].text));
    }
    FAILS(import(r, id, MATERIAL, "\"ValidTo\":\"2030-01-01\""), SL_E_PARSE);
    char *soon = arena_printf(&r->a, "\"ValidTo\":%lld.5", (long long)(now / 1000 + 3600));
    OK(import(r, id, MATERIAL, soon));
    assert_string_equal(describe(r, id, "ExpirationModel"), "KEY_MATERIAL_EXPIRES");
    assert_true(number(r, "ValidTo") == (double)(now / 1000 + 3600) + 0.5);
    OK(encrypt(r, id));
    const char *blob = got(r, "CiphertextBlob");
    r->env.now_ms = (now / 1000 + 3600) * 1000 + 499;
    OK(decrypt(r, blob));
    r->env.now_ms++;
    FAILS(decrypt(r, blob), SL_E_KMS_INVALID_STATE);
    FAILS(encrypt(r, id), SL_E_KMS_INVALID_STATE);
    assert_string_equal(describe(r, id, "KeyState"), "PendingImport");
    FAILS(on_key(r, "EnableKey", id), SL_E_KMS_INVALID_STATE);
    FAILS(on_key(r, "DisableKey", id), SL_E_KMS_INVALID_STATE);
    /* Before and after the purge, only the same material brings it back. */
    FAILS(import(r, id, OTHER, FOREVER), SL_E_KMS_MATERIAL);
    OK(kms_expire(&r->env, &r->a, NULL));
    r->env.now_ms = now; /* the material is gone: no clock brings it back */
    FAILS(decrypt(r, blob), SL_E_KMS_INVALID_STATE);
    r->env.now_ms = now + day;
    OK(import(r, id, MATERIAL, FOREVER));
    r->env.now_ms = now + 400 * day;
    OK(decrypt(r, blob));
    r->env.now_ms = now;
}

static void tokens(void **state) {
    struct kms_rig *r = *state;
    const char *id = external(r), *other = external(r);
    const char *parts = wrapped(r, id, MATERIAL);
    int64_t now = r->env.now_ms;
    assert_true(number(r, "ParametersValidTo") == (double)now / 1000 + 24 * 3600);
    FAILS(RUN(r, &r->admin, "ImportKeyMaterial", "{\"KeyId\":\"%s\",%s," FOREVER "}", other, parts),
          SL_E_KMS_IMPORT_TOKEN);
    r->env.now_ms = now + 24 * 3600 * 1000;
    FAILS(RUN(r, &r->admin, "ImportKeyMaterial", "{\"KeyId\":\"%s\",%s," FOREVER "}", id, parts),
          SL_E_KMS_IMPORT_EXPIRED);
    r->env.now_ms--;
    OK(RUN(r, &r->admin, "ImportKeyMaterial", "{\"KeyId\":\"%s\",%s," FOREVER "}", id, parts));
    r->env.now_ms = now;
    FAILS(
        RUN(r, &r->admin, "ImportKeyMaterial",
            "{\"KeyId\":\"%s\",\"ImportToken\":\"AAAA\",\"EncryptedKeyMaterial\":\"AAAA\"," FOREVER
            "}",
            id),
        SL_E_KMS_IMPORT_TOKEN);
    wrapped(r, id, MATERIAL);
    FAILS(RUN(r, &r->admin, "ImportKeyMaterial",
              "{\"KeyId\":\"%s\",\"ImportToken\":\"%s\",\"EncryptedKeyMaterial\":\"AAAA\"," FOREVER
              "}",
              id, got(r, "ImportToken")),
          SL_E_KMS_INVALID_CIPHERTEXT);
    FAILS(import(r, id, "short", FOREVER), SL_E_KMS_MATERIAL);
}

static void parameters(void **state) {
    struct kms_rig *r = *state;
    const char *id = external(r), *own = new_key(r);
    static const struct {
        const char *algorithm;
        const char *spec;
        enum sl_code code;
    } cases[] = {
        {"RSAES_PKCS1_V1_5", "RSA_2048", SL_E_KMS_UNSUPPORTED},
        {"SM2PKE", "SM2", SL_E_KMS_UNSUPPORTED},
        {"SM2PKE", "RSA_2048", SL_E_KMS_UNSUPPORTED},
        {"RSAES_OAEP_SHA_1", "RSA_1024", SL_E_VALIDATION},
        {"RSAES_OAEP_SHA_512", "RSA_2048", SL_E_VALIDATION},
        {"RSAES_OAEP_SHA_1", "RSA_2048", SL_CODE_OK},
        {"RSA_AES_KEY_WRAP_SHA_1", "RSA_2048", SL_CODE_OK},
        {"RSA_AES_KEY_WRAP_SHA_256", "RSA_2048", SL_CODE_OK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sl_rc rc = RUN(r, &r->admin, "GetParametersForImport",
                              "{\"KeyId\":\"%s\",\"WrappingAlgorithm\":\"%s\","
                              "\"WrappingKeySpec\":\"%s\"}",
                              id, cases[i].algorithm, cases[i].spec);
        assert_string_equal(sl_code_info(rc.code)->name, sl_code_info(cases[i].code)->name);
    }
    static const char *const operations[] = {"GetParametersForImport", "ImportKeyMaterial",
                                             "DeleteImportedKeyMaterial"};
    for (int i = 0; i < 3; i++) {
        FAILS(RUN(r, &r->admin, operations[i], "{\"KeyId\":\"%s\",%s}", own,
                  i == 0   ? "\"WrappingAlgorithm\":\"RSAES_OAEP_SHA_1\","
                             "\"WrappingKeySpec\":\"RSA_2048\""
                  : i == 1 ? "\"ImportToken\":\"AAAA\",\"EncryptedKeyMaterial\":\"AAAA\"," FOREVER
                           : "\"KeyMaterialId\":\"" MATERIAL MATERIAL "\""),
              SL_E_KMS_UNSUPPORTED);
        assert_true(says(r, "origin is AWS_KMS which is not valid for this operation."));
    }
}

static void states(void **state) {
    struct kms_rig *r = *state;
    const char *id = external(r);
    FAILS(on_key(r, "EnableKey", id), SL_E_KMS_INVALID_STATE);
    FAILS(on_key(r, "DisableKey", id), SL_E_KMS_INVALID_STATE);
    FAILS(on_key(r, "CancelKeyDeletion", id), SL_E_KMS_INVALID_STATE);
    OK(on_key(r, "ScheduleKeyDeletion", id));
    FAILS(RUN(r, &r->admin, "GetParametersForImport",
              "{\"KeyId\":\"%s\",\"WrappingAlgorithm\":\"RSAES_OAEP_SHA_1\","
              "\"WrappingKeySpec\":\"RSA_2048\"}",
              id),
          SL_E_KMS_INVALID_STATE);
    OK(on_key(r, "CancelKeyDeletion", id));
    assert_string_equal(describe(r, id, "KeyState"), "PendingImport");
    OK(import(r, id, MATERIAL, FOREVER));
    /* Importing again leaves a disabled key disabled. */
    OK(on_key(r, "DisableKey", id));
    OK(import(r, id, MATERIAL, FOREVER));
    assert_string_equal(describe(r, id, "KeyState"), "Disabled");
    OK(on_key(r, "EnableKey", id));
    OK(encrypt(r, id));
    const char *parts = wrapped(r, id, MATERIAL);
    OK(on_key(r, "ScheduleKeyDeletion", id));
    FAILS(RUN(r, &r->admin, "ImportKeyMaterial", "{\"KeyId\":\"%s\",%s," FOREVER "}", id, parts),
          SL_E_KMS_INVALID_STATE);
    OK(on_key(r, "CancelKeyDeletion", id));
    assert_string_equal(describe(r, id, "KeyState"), "Disabled");
    OK(on_key(r, "ScheduleKeyDeletion", id));
    OK(on_key(r, "DeleteImportedKeyMaterial", id));
    assert_string_equal(describe(r, id, "KeyState"), "PendingDeletion");
    OK(on_key(r, "CancelKeyDeletion", id));
    assert_string_equal(describe(r, id, "KeyState"), "PendingImport");
}

/* Entry i of ListKeyRotations with all material. */
static const char *entry(struct kms_rig *r, const char *id, size_t i, const char *member) {
    OK(RUN(r, &r->admin, "ListKeyRotations",
           "{\"KeyId\":\"%s\",\"IncludeKeyMaterial\":\"ALL_KEY_MATERIAL\"}", id));
    const struct json *e = json_get(r->answer, "Rotations")->child;
    while (e != NULL && i-- > 0) {
        e = e->next;
    }
    const struct json *v = json_get(e, member);
    return v ? arena_cstr(&r->a, v->text) : "";
}

static void rotation(void **state) {
    struct kms_rig *r = *state;
    const char *id = external(r);
    OK(import(r, id, MATERIAL, FOREVER ",\"KeyMaterialDescription\":\"the first\""));
    const char *first = got(r, "KeyMaterialId");
    OK(encrypt(r, id));
    const char *old = got(r, "CiphertextBlob");
    FAILS(on_key(r, "RotateKeyOnDemand", id), SL_E_KMS_INVALID_STATE);
    assert_true(says(r, "No available key material pending rotation for the key: arn:"));
    FAILS(import(r, id, MATERIAL, FOREVER ",\"ImportType\":\"NEW_KEY_MATERIAL\""),
          SL_E_KMS_MATERIAL);
    FAILS(import(r, id, OTHER,
                 FOREVER ",\"ImportType\":\"NEW_KEY_MATERIAL\",\"KeyMaterialId\":\"" MATERIAL
                         "0123456789abcdef0123456789abcdef\""),
          SL_E_VALIDATION);
    OK(import(r, id, OTHER, FOREVER ",\"ImportType\":\"NEW_KEY_MATERIAL\""));
    const char *second = got(r, "KeyMaterialId");
    assert_string_equal(describe(r, id, "CurrentKeyMaterialId"), first);
    assert_string_equal(entry(r, id, 0, "KeyMaterialState"), "CURRENT");
    assert_string_equal(entry(r, id, 0, "KeyMaterialDescription"), "the first");
    assert_string_equal(entry(r, id, 1, "KeyMaterialState"), "PENDING_ROTATION");
    assert_string_equal(entry(r, id, 1, "KeyMaterialId"), second);
    assert_string_equal(entry(r, id, 1, "ImportState"), "IMPORTED");
    OK(on_key(r, "RotateKeyOnDemand", id));
    assert_string_equal(describe(r, id, "CurrentKeyMaterialId"), second);
    assert_string_equal(entry(r, id, 0, "KeyMaterialState"), "NON_CURRENT");
    assert_string_equal(entry(r, id, 1, "KeyMaterialState"), "CURRENT");
    assert_string_equal(entry(r, id, 1, "RotationType"), "ON_DEMAND");
    OK(decrypt(r, old));
    /* Without one of the two, the key waits; importing it again keeps its description. */
    OK(RUN(r, &r->admin, "DeleteImportedKeyMaterial", "{\"KeyId\":\"%s\",\"KeyMaterialId\":\"%s\"}",
           id, first));
    assert_string_equal(describe(r, id, "KeyState"), "PendingImport");
    assert_string_equal(entry(r, id, 0, "ImportState"), "PENDING_IMPORT");
    assert_string_equal(entry(r, id, 0, "ExpirationModel"), "");
    FAILS(encrypt(r, id), SL_E_KMS_INVALID_STATE);
    FAILS(import(r, id, MATERIAL, arena_printf(&r->a, FOREVER ",\"KeyMaterialId\":\"%s\"", second)),
          SL_E_KMS_MATERIAL);
    OK(import(r, id, MATERIAL, arena_printf(&r->a, FOREVER ",\"KeyMaterialId\":\"%s\"", first)));
    assert_string_equal(entry(r, id, 0, "KeyMaterialDescription"), "the first");
    OK(decrypt(r, old));
    FAILS(RUN(r, &r->admin, "DeleteImportedKeyMaterial",
              "{\"KeyId\":\"%s\",\"KeyMaterialId\":\"" MATERIAL MATERIAL "\"}", id),
          SL_E_KMS_NOT_FOUND);
}

/* Material that ends while it waits for its rotation is forgotten; the key goes on. */
static void pending_expires(void **state) {
    struct kms_rig *r = *state;
    const char *id = external(r);
    int64_t now = r->env.now_ms;
    OK(import(r, id, MATERIAL, FOREVER));
    OK(import(r, id, OTHER,
              arena_printf(&r->a, "\"ImportType\":\"NEW_KEY_MATERIAL\",\"ValidTo\":%lld",
                           (long long)(now / 1000 + 60))));
    assert_string_equal(describe(r, id, "ExpirationModel"), "KEY_MATERIAL_DOES_NOT_EXPIRE");
    r->env.now_ms = now + 61 * 1000;
    OK(encrypt(r, id));
    FAILS(on_key(r, "RotateKeyOnDemand", id), SL_E_KMS_INVALID_STATE);
    OK(kms_expire(&r->env, &r->a, NULL));
    OK(encrypt(r, id));
    assert_string_equal(entry(r, id, 1, "KeyMaterialId"), "");
    OK(import(r, id, OTHER, FOREVER ",\"ImportType\":\"NEW_KEY_MATERIAL\""));
    OK(on_key(r, "RotateKeyOnDemand", id));
    r->env.now_ms = now;
}

static void conditions(void **state) {
    struct kms_rig *r = *state;
    const char *id = external(r);
    struct auth_caller u = as_user(
        r, ACCOUNT, "importer",
        "{\"Version\":\"2012-10-17\",\"Statement\":["
        "{\"Effect\":\"Allow\",\"Action\":\"kms:CreateKey\",\"Resource\":\"*\",\"Condition\":"
        "{\"StringEquals\":{\"kms:KeyOrigin\":\"EXTERNAL\"}}},"
        "{\"Effect\":\"Allow\",\"Action\":\"kms:GetParametersForImport\",\"Resource\":\"*\","
        "\"Condition\":{\"StringEquals\":{\"kms:WrappingAlgorithm\":\"RSAES_OAEP_SHA_256\","
        "\"kms:WrappingKeySpec\":\"RSA_2048\",\"kms:KeyOrigin\":\"EXTERNAL\"}}},"
        "{\"Effect\":\"Allow\",\"Action\":\"kms:ImportKeyMaterial\",\"Resource\":\"*\","
        "\"Condition\":{\"StringEquals\":{\"kms:ExpirationModel\":\"KEY_MATERIAL_EXPIRES\"},"
        "\"NumericLessThan\":{\"kms:ValidTo\":\"9000000000.0\"},"
        "\"DateGreaterThan\":{\"kms:ValidTo\":\"2020-01-01T00:00:00Z\"}}}]}");
    OK(kms_run(r, &u, "CreateKey", "{\"Origin\":\"EXTERNAL\"}"));
    FAILS(kms_run(r, &u, "CreateKey", "{}"), SL_E_ACCESS_DENIED);
    static const char *const bodies[] = {
        "\"WrappingAlgorithm\":\"RSAES_OAEP_SHA_256\",\"WrappingKeySpec\":\"RSA_2048\"",
        "\"WrappingAlgorithm\":\"RSAES_OAEP_SHA_1\",\"WrappingKeySpec\":\"RSA_2048\"",
        "\"WrappingAlgorithm\":\"RSAES_OAEP_SHA_256\",\"WrappingKeySpec\":\"RSA_3072\""};
    for (int i = 0; i < 3; i++) {
        struct sl_rc rc =
            RUN(r, &u, "GetParametersForImport", "{\"KeyId\":\"%s\",%s}", id, bodies[i]);
        assert_int_equal(rc.code, i == 0 ? SL_CODE_OK : SL_E_ACCESS_DENIED);
    }
    const char *parts = wrapped(r, id, MATERIAL);
    FAILS(RUN(r, &u, "ImportKeyMaterial", "{\"KeyId\":\"%s\",%s," FOREVER "}", id, parts),
          SL_E_ACCESS_DENIED);
    OK(RUN(r, &u, "ImportKeyMaterial", "{\"KeyId\":\"%s\",%s,\"ValidTo\":%lld}", id, parts,
           (long long)(r->env.now_ms / 1000 + 3600)));
    FAILS(on_key(r, "DeleteImportedKeyMaterial", "alias/x"), SL_E_KMS_NOT_FOUND);
    FAILS(RUN(r, &u, "DeleteImportedKeyMaterial", "{\"KeyId\":\"%s\"}", id), SL_E_ACCESS_DENIED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(life),       cmocka_unit_test(expiry),          cmocka_unit_test(tokens),
        cmocka_unit_test(states),     cmocka_unit_test(parameters),      cmocka_unit_test(rotation),
        cmocka_unit_test(conditions), cmocka_unit_test(pending_expires),
    };
    return cmocka_run_group_tests(tests, kms_group_start, kms_group_stop);
}
