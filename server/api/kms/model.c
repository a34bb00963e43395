/* KMS's service model. N: needed in a request, always in an answer; O: may be there; NEVER:
 * AWS may answer it, we do not. Compared with AWS's own model by tests/unit/kms/model_test.c. */
#include "server/api/kms/model.h"

#include "server/api/kms/grant.h"
#include "server/api/kms/operations.h"

#define N KMS_NEEDED
#define O 0

/* ---- Kinds of fields ---- */

#define FIELDS(...)                                                                                \
    (const struct kms_field[]) {                                                                   \
        __VA_ARGS__, {                                                                             \
            .name = NULL                                                                           \
        }                                                                                          \
    }
#define STRING(flags_, name_, min_, max_)                                                          \
    { (name_), KMS_STRING, (flags_), (min_), (max_), NULL, NULL, NULL }
#define WORD(flags_, name_, min_, max_, pattern_)                                                  \
    { (name_), KMS_STRING, (flags_), (min_), (max_), NULL, (pattern_), NULL }
#define ENUM(flags_, name_, values_)                                                               \
    { (name_), KMS_STRING, (flags_), 0, 0, (values_), NULL, NULL }
#define INT(flags_, name_, min_, max_)                                                             \
    { (name_), KMS_INT, (flags_), (min_), (max_), NULL, NULL, NULL }
#define BOOL(flags_, name_)                                                                        \
    { (name_), KMS_BOOL, (flags_), 0, 0, NULL, NULL, NULL }
#define BLOB(flags_, name_, max_)                                                                  \
    { (name_), KMS_BLOB, (flags_), 1, (max_), NULL, NULL, NULL }
#define TIME(flags_, name_)                                                                        \
    { (name_), KMS_TIME, (flags_), 0, 0, NULL, NULL, NULL }
#define LIST(flags_, name_, max_, ...)                                                             \
    { (name_), KMS_LIST, (flags_), 0, (max_), NULL, NULL, FIELDS(__VA_ARGS__) }
#define STRUCT(flags_, name_, of_)                                                                 \
    { (name_), KMS_STRUCT, (flags_), 0, 0, NULL, NULL, (of_) }
#define MAP(flags_, name_)                                                                         \
    { (name_), KMS_MAP, (flags_), 0, 0, NULL, NULL, NULL }
#define NEVER(name_, type_)                                                                        \
    { (name_), (type_), KMS_NEVER, 0, 0, NULL, NULL, NULL }
#define ELEMENT "" /* the name of a list's element */

#define CLASS_NAME "^[a-zA-Z0-9:/_-]+$"
#define CLASS_PRINCIPAL "^[\\w+=,.@:/-]+$"
#define CLASS_HEX "^[a-f0-9]+$"
#define CLASS_POLICY "[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+"
#define CLASS_MARKER "[\\u0020-\\u00FF]*"
#define CLASS_DESCRIPTION "^[a-zA-Z0-9:/_\\s.-]+$"

/* ---- Fields of several operations ---- */

#define KEY_ID(flags_, name_) STRING(flags_, name_, 1, 2048)
#define ARN(flags_, name_) STRING(flags_, name_, 20, 2048)
#define ALIAS_NAME WORD(N, "AliasName", 1, 256, CLASS_NAME)
#define GRANT_ID(flags_) STRING(flags_, "GrantId", 1, 128)
#define PRINCIPAL(flags_, name_) WORD(flags_, name_, 1, 256, CLASS_PRINCIPAL)
#define MATERIAL_ID(flags_, name_) WORD(flags_, name_, 64, 64, CLASS_HEX)
#define STORE_ID(flags_) STRING(flags_, "CustomKeyStoreId", 1, 64)
#define CIPHERTEXT(flags_, name_) BLOB(flags_, name_, 6144)
#define PLAINTEXT(flags_, name_) BLOB((flags_) | KMS_SECRET, name_, 4096)
#define ALGORITHM(flags_, name_) ENUM(flags_, name_, encryption_algorithms)
#define POLICY(flags_) WORD(flags_, "Policy", 1, 131072, CLASS_POLICY)
#define POLICY_NAME(flags_) WORD(flags_, "PolicyName", 1, 128, "[\\w]+")
#define DESCRIPTION(flags_) STRING(flags_, "Description", 0, 8192)
#define BYPASS BOOL(O, "BypassPolicyLockoutSafetyCheck")
#define GRANT_TOKENS LIST(O, "GrantTokens", 10, STRING(O, ELEMENT, 1, 8192))
#define TAGS(flags_) LIST(flags_, "Tags", 0, STRUCT(O, ELEMENT, tag))
#define DRY_RUN BOOL(O, "DryRun")
#define MODIFIERS LIST(O, "DryRunModifiers", 0, ENUM(O, ELEMENT, dry_run_modifiers))
#define RECIPIENT STRUCT(O, "Recipient", recipient)
#define FOR_RECIPIENT NEVER("CiphertextForRecipient", KMS_BLOB)
#define PAGE INT(O, "Limit", 1, 1000), WORD(O, "Marker", 1, 1024, CLASS_MARKER)
#define PAGED WORD(O, "NextMarker", 1, 1024, CLASS_MARKER), BOOL(N, "Truncated")
#define DATA_KEY_SIZE                                                                              \
    INT(O, "NumberOfBytes", 1, 1024), ENUM(O, "KeySpec", data_key_specs), GRANT_TOKENS, DRY_RUN

/* ---- Enums ---- */

const char *const kms_grant_operations[] = {"Decrypt",
                                            "Encrypt",
                                            "GenerateDataKey",
                                            "GenerateDataKeyWithoutPlaintext",
                                            "ReEncryptFrom",
                                            "ReEncryptTo",
                                            "Sign",
                                            "Verify",
                                            "GetPublicKey",
                                            "CreateGrant",
                                            "RetireGrant",
                                            "DescribeKey",
                                            "GenerateDataKeyPair",
                                            "GenerateDataKeyPairWithoutPlaintext",
                                            "GenerateMac",
                                            "VerifyMac",
                                            "DeriveSharedSecret",
                                            NULL};
static const char *const key_usages[] = {"SIGN_VERIFY", "ENCRYPT_DECRYPT", "GENERATE_VERIFY_MAC",
                                         "KEY_AGREEMENT", NULL};
#define OLD_SPECS                                                                                  \
    "RSA_2048", "RSA_3072", "RSA_4096", "ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521",         \
        "ECC_SECG_P256K1", "SYMMETRIC_DEFAULT", "HMAC_224", "HMAC_256", "HMAC_384", "HMAC_512",    \
        "SM2"
static const char *const old_key_specs[] = {OLD_SPECS, NULL};
static const char *const key_specs[] = {
    OLD_SPECS, "ML_DSA_44", "ML_DSA_65", "ML_DSA_87", "ECC_NIST_EDWARDS25519", NULL};
static const char *const origins[] = {"AWS_KMS", "EXTERNAL", "AWS_CLOUDHSM", "EXTERNAL_KEY_STORE",
                                      NULL};
static const char *const encryption_algorithms[] = {"SYMMETRIC_DEFAULT", "RSAES_OAEP_SHA_1",
                                                    "RSAES_OAEP_SHA_256", "SM2PKE", NULL};
static const char *const wrapping_algorithms[] = {"RSAES_PKCS1_V1_5",
                                                  "RSAES_OAEP_SHA_1",
                                                  "RSAES_OAEP_SHA_256",
                                                  "RSA_AES_KEY_WRAP_SHA_1",
                                                  "RSA_AES_KEY_WRAP_SHA_256",
                                                  "SM2PKE",
                                                  NULL};
static const char *const wrapping_specs[] = {"RSA_2048", "RSA_3072", "RSA_4096", "SM2", NULL};
static const char *const recipient_algorithms[] = {"RSAES_OAEP_SHA_256", NULL};
static const char *const data_key_specs[] = {"AES_256", "AES_128", NULL};
static const char *const dry_run_modifiers[] = {"IGNORE_CIPHERTEXT", NULL};
static const char *const key_states[] = {
    "Creating",        "Enabled",       "Disabled",
    "PendingDeletion", "PendingImport", "PendingReplicaDeletion",
    "Unavailable",     "Updating",      NULL};
static const char *const key_managers[] = {"AWS", "CUSTOMER", NULL};
static const char *const expiration_models[] = {"KEY_MATERIAL_EXPIRES",
                                                "KEY_MATERIAL_DOES_NOT_EXPIRE", NULL};
static const char *const import_types[] = {"NEW_KEY_MATERIAL", "EXISTING_KEY_MATERIAL", NULL};
static const char *const import_states[] = {"IMPORTED", "PENDING_IMPORT", NULL};
static const char *const material_states[] = {"NON_CURRENT", "CURRENT", "PENDING_ROTATION",
                                              "PENDING_MULTI_REGION_IMPORT_AND_ROTATION", NULL};
static const char *const rotation_types[] = {"AUTOMATIC", "ON_DEMAND", NULL};
static const char *const included_materials[] = {"ALL_KEY_MATERIAL", "ROTATIONS_ONLY", NULL};

/* ---- Structures ---- */

#define END                                                                                        \
    { .name = NULL }

static const struct kms_field tag[] = {STRING(N, "TagKey", 1, 128), STRING(N, "TagValue", 0, 256),
                                       END};
static const struct kms_field recipient[] = {
    ENUM(O, "KeyEncryptionAlgorithm", recipient_algorithms), BLOB(O, "AttestationDocument", 262144),
    END};
static const struct kms_field constraints[] = {MAP(O, "EncryptionContextSubset"),
                                               MAP(O, "EncryptionContextEquals"), END};
static const struct kms_field grant[] = {
    KEY_ID(N, "KeyId"),
    GRANT_ID(N),
    WORD(O, "Name", 1, 256, CLASS_NAME),
    TIME(N, "CreationDate"),
    PRINCIPAL(N, "GranteePrincipal"),
    PRINCIPAL(O, "RetiringPrincipal"),
    PRINCIPAL(N, "IssuingAccount"),
    LIST(N, "Operations", 0, ENUM(O, ELEMENT, kms_grant_operations)),
    STRUCT(O, "Constraints", constraints),
    END};
static const struct kms_field key_entry[] = {KEY_ID(N, "KeyId"), ARN(N, "KeyArn"), END};
static const struct kms_field alias_entry[] = {ALIAS_NAME,
                                               ARN(N, "AliasArn"),
                                               KEY_ID(O, "TargetKeyId"),
                                               TIME(O, "CreationDate"),
                                               TIME(O, "LastUpdatedDate"),
                                               END};
static const struct kms_field rotation[] = {
    KEY_ID(N, "KeyId"),
    MATERIAL_ID(O, "KeyMaterialId"),
    WORD(O, "KeyMaterialDescription", 0, 256, CLASS_DESCRIPTION),
    ENUM(O, "ImportState", import_states),
    ENUM(N, "KeyMaterialState", material_states),
    ENUM(O, "ExpirationModel", expiration_models),
    TIME(O, "ValidTo"),
    TIME(O, "RotationDate"),
    ENUM(O, "RotationType", rotation_types),
    END};
static const struct kms_field metadata[] = {
    STRING(N, "AWSAccountId", 0, 0),
    KEY_ID(N, "KeyId"),
    ARN(N, "Arn"),
    TIME(N, "CreationDate"),
    BOOL(N, "Enabled"),
    DESCRIPTION(N),
    ENUM(N, "KeyUsage", key_usages),
    ENUM(N, "KeyState", key_states),
    TIME(O, "DeletionDate"),
    TIME(O, "ValidTo"),
    ENUM(N, "Origin", origins),
    NEVER("CustomKeyStoreId", KMS_STRING),
    NEVER("CloudHsmClusterId", KMS_STRING),
    ENUM(O, "ExpirationModel", expiration_models),
    ENUM(N, "KeyManager", key_managers),
    ENUM(N, "CustomerMasterKeySpec", old_key_specs),
    ENUM(N, "KeySpec", key_specs),
    LIST(N, "EncryptionAlgorithms", 0, ENUM(O, ELEMENT, encryption_algorithms)),
    NEVER("SigningAlgorithms", KMS_LIST),
    NEVER("KeyAgreementAlgorithms", KMS_LIST),
    BOOL(N, "MultiRegion"),
    NEVER("MultiRegionConfiguration", KMS_STRUCT),
    NEVER("PendingDeletionWindowInDays", KMS_INT),
    NEVER("MacAlgorithms", KMS_LIST),
    NEVER("XksKeyConfiguration", KMS_STRUCT),
    MATERIAL_ID(O, "CurrentKeyMaterialId"),
    END};

/* ---- Operations ---- */

#define MODEL(name_, in_, out_)                                                                    \
    const struct kms_model kms_model_##name_ = {.name = #name_, .in = in_, .out = out_};
#define IN(...) FIELDS(__VA_ARGS__)
#define OUT(...) FIELDS(__VA_ARGS__)
#define NO_ANSWER NULL

MODEL(CancelKeyDeletion, IN(KEY_ID(N, "KeyId")), OUT(KEY_ID(N, "KeyId")))
MODEL(CreateAlias, IN(ALIAS_NAME, KEY_ID(N, "TargetKeyId")), NO_ANSWER)
MODEL(CreateGrant,
      IN(KEY_ID(N, "KeyId"), PRINCIPAL(N, "GranteePrincipal"), PRINCIPAL(O, "RetiringPrincipal"),
         LIST(N, "Operations", 0, ENUM(O, ELEMENT, kms_grant_operations)),
         STRUCT(O, "Constraints", constraints), GRANT_TOKENS, WORD(O, "Name", 1, 256, CLASS_NAME),
         DRY_RUN),
      OUT(STRING(N, "GrantToken", 1, 8192), GRANT_ID(N)))
MODEL(CreateKey,
      IN(POLICY(O), DESCRIPTION(O), ENUM(O, "KeyUsage", key_usages),
         ENUM(O, "CustomerMasterKeySpec", old_key_specs), ENUM(O, "KeySpec", key_specs),
         ENUM(O, "Origin", origins), STORE_ID(O), BYPASS, TAGS(O), BOOL(O, "MultiRegion"),
         WORD(O, "XksKeyId", 1, 128, "^[a-zA-Z0-9-_.]+$")),
      OUT(STRUCT(N, "KeyMetadata", metadata)))
MODEL(Decrypt,
      IN(CIPHERTEXT(O, "CiphertextBlob"), MAP(O, "EncryptionContext"), GRANT_TOKENS,
         KEY_ID(O, "KeyId"), ALGORITHM(O, "EncryptionAlgorithm"), RECIPIENT, DRY_RUN, MODIFIERS),
      OUT(KEY_ID(N, "KeyId"), PLAINTEXT(N, "Plaintext"), ALGORITHM(N, "EncryptionAlgorithm"),
          FOR_RECIPIENT, MATERIAL_ID(N, "KeyMaterialId")))
MODEL(DeleteAlias, IN(ALIAS_NAME), NO_ANSWER)
MODEL(DeleteImportedKeyMaterial, IN(KEY_ID(N, "KeyId"), MATERIAL_ID(O, "KeyMaterialId")),
      OUT(KEY_ID(N, "KeyId"), WORD(N, "KeyMaterialId", 0, 64, CLASS_HEX)))
MODEL(DescribeKey, IN(KEY_ID(N, "KeyId"), GRANT_TOKENS), OUT(STRUCT(N, "KeyMetadata", metadata)))
MODEL(DisableKey, IN(KEY_ID(N, "KeyId")), NO_ANSWER)
MODEL(DisableKeyRotation, IN(KEY_ID(N, "KeyId")), NO_ANSWER)
MODEL(EnableKey, IN(KEY_ID(N, "KeyId")), NO_ANSWER)
MODEL(EnableKeyRotation, IN(KEY_ID(N, "KeyId"), INT(O, "RotationPeriodInDays", 90, 2560)),
      NO_ANSWER)
MODEL(Encrypt,
      IN(KEY_ID(N, "KeyId"), PLAINTEXT(N, "Plaintext"), MAP(O, "EncryptionContext"), GRANT_TOKENS,
         ALGORITHM(O, "EncryptionAlgorithm"), DRY_RUN),
      OUT(CIPHERTEXT(N, "CiphertextBlob"), KEY_ID(N, "KeyId"), ALGORITHM(N, "EncryptionAlgorithm")))
MODEL(GenerateDataKey,
      IN(KEY_ID(N, "KeyId"), MAP(O, "EncryptionContext"), DATA_KEY_SIZE, RECIPIENT),
      OUT(CIPHERTEXT(N, "CiphertextBlob"), PLAINTEXT(N, "Plaintext"), KEY_ID(N, "KeyId"),
          FOR_RECIPIENT, MATERIAL_ID(N, "KeyMaterialId")))
MODEL(GenerateDataKeyWithoutPlaintext,
      IN(KEY_ID(N, "KeyId"), MAP(O, "EncryptionContext"), DATA_KEY_SIZE),
      OUT(CIPHERTEXT(N, "CiphertextBlob"), KEY_ID(N, "KeyId"), MATERIAL_ID(N, "KeyMaterialId")))
MODEL(GenerateRandom, IN(INT(O, "NumberOfBytes", 1, 1024), STORE_ID(O), RECIPIENT),
      OUT(PLAINTEXT(N, "Plaintext"), FOR_RECIPIENT))
MODEL(GetKeyPolicy, IN(KEY_ID(N, "KeyId"), POLICY_NAME(O)), OUT(POLICY(N), POLICY_NAME(N)))
MODEL(GetKeyRotationStatus, IN(KEY_ID(N, "KeyId")),
      OUT(BOOL(N, "KeyRotationEnabled"), KEY_ID(N, "KeyId"),
          INT(O, "RotationPeriodInDays", 90, 2560), TIME(O, "NextRotationDate"),
          NEVER("OnDemandRotationStartDate", KMS_TIME)))
MODEL(GetParametersForImport,
      IN(KEY_ID(N, "KeyId"), ENUM(N, "WrappingAlgorithm", wrapping_algorithms),
         ENUM(N, "WrappingKeySpec", wrapping_specs)),
      OUT(KEY_ID(N, "KeyId"), CIPHERTEXT(N, "ImportToken"), PLAINTEXT(N, "PublicKey"),
          TIME(N, "ParametersValidTo")))
MODEL(ImportKeyMaterial,
      IN(KEY_ID(N, "KeyId"), CIPHERTEXT(N, "ImportToken"), CIPHERTEXT(N, "EncryptedKeyMaterial"),
         TIME(O, "ValidTo"), ENUM(O, "ExpirationModel", expiration_models),
         ENUM(O, "ImportType", import_types),
         WORD(O, "KeyMaterialDescription", 0, 256, CLASS_DESCRIPTION),
         MATERIAL_ID(O, "KeyMaterialId")),
      OUT(KEY_ID(N, "KeyId"), MATERIAL_ID(N, "KeyMaterialId")))
MODEL(ListAliases, IN(KEY_ID(O, "KeyId"), PAGE),
      OUT(LIST(N, "Aliases", 0, STRUCT(O, ELEMENT, alias_entry)), PAGED))
MODEL(ListGrants, IN(PAGE, KEY_ID(N, "KeyId"), GRANT_ID(O), PRINCIPAL(O, "GranteePrincipal")),
      OUT(LIST(N, "Grants", 0, STRUCT(O, ELEMENT, grant)), PAGED))
MODEL(ListKeyPolicies, IN(KEY_ID(N, "KeyId"), PAGE),
      OUT(LIST(N, "PolicyNames", 0, WORD(O, ELEMENT, 1, 128, "[\\w]+")), PAGED))
MODEL(ListKeyRotations,
      IN(KEY_ID(N, "KeyId"), ENUM(O, "IncludeKeyMaterial", included_materials), PAGE),
      OUT(LIST(N, "Rotations", 0, STRUCT(O, ELEMENT, rotation)), PAGED))
MODEL(ListKeys, IN(PAGE), OUT(LIST(N, "Keys", 0, STRUCT(O, ELEMENT, key_entry)), PAGED))
MODEL(ListResourceTags, IN(KEY_ID(N, "KeyId"), PAGE), OUT(TAGS(N), PAGED))
MODEL(ListRetirableGrants, IN(PAGE, PRINCIPAL(N, "RetiringPrincipal")),
      OUT(LIST(N, "Grants", 0, STRUCT(O, ELEMENT, grant)), PAGED))
MODEL(PutKeyPolicy, IN(KEY_ID(N, "KeyId"), POLICY_NAME(O), POLICY(N), BYPASS), NO_ANSWER)
MODEL(ReEncrypt,
      IN(CIPHERTEXT(O, "CiphertextBlob"), MAP(O, "SourceEncryptionContext"),
         KEY_ID(O, "SourceKeyId"), KEY_ID(N, "DestinationKeyId"),
         MAP(O, "DestinationEncryptionContext"), ALGORITHM(O, "SourceEncryptionAlgorithm"),
         ALGORITHM(O, "DestinationEncryptionAlgorithm"), GRANT_TOKENS, DRY_RUN, MODIFIERS),
      OUT(CIPHERTEXT(N, "CiphertextBlob"), KEY_ID(N, "SourceKeyId"), KEY_ID(N, "KeyId"),
          ALGORITHM(N, "SourceEncryptionAlgorithm"), ALGORITHM(N, "DestinationEncryptionAlgorithm"),
          MATERIAL_ID(N, "SourceKeyMaterialId"), MATERIAL_ID(N, "DestinationKeyMaterialId")))
MODEL(RetireGrant, IN(STRING(O, "GrantToken", 1, 8192), KEY_ID(O, "KeyId"), GRANT_ID(O), DRY_RUN),
      NO_ANSWER)
MODEL(RevokeGrant, IN(KEY_ID(N, "KeyId"), GRANT_ID(N), DRY_RUN), NO_ANSWER)
MODEL(RotateKeyOnDemand, IN(KEY_ID(N, "KeyId")), OUT(KEY_ID(N, "KeyId")))
/* AWS's model allows 1 to 365 days; its service, as its documentation says, 7 to 30. */
MODEL(ScheduleKeyDeletion, IN(KEY_ID(N, "KeyId"), INT(O, "PendingWindowInDays", 7, 30)),
      OUT(KEY_ID(N, "KeyId"), TIME(N, "DeletionDate"), ENUM(N, "KeyState", key_states),
          INT(N, "PendingWindowInDays", 7, 30)))
MODEL(TagResource, IN(KEY_ID(N, "KeyId"), TAGS(N)), NO_ANSWER)
MODEL(UntagResource, IN(KEY_ID(N, "KeyId"), LIST(N, "TagKeys", 0, STRING(O, ELEMENT, 1, 128))),
      NO_ANSWER)
MODEL(UpdateAlias, IN(ALIAS_NAME, KEY_ID(N, "TargetKeyId")), NO_ANSWER)
MODEL(UpdateKeyDescription, IN(KEY_ID(N, "KeyId"), DESCRIPTION(N)), NO_ANSWER)
