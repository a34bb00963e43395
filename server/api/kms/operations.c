/* KMS's table of operations. Each one runs between the check of its request and, where answers are
 * checked, that of its answer. */
#include "server/api/kms/operations.h"

#include "server/api/kms/grant.h"
#include "server/api/kms/kms_in.h"

#define KMS_WRAP(kind_, name_, fn_)                                                                \
    static struct sl_rc run_##fn_(struct api_call *c) {                                            \
        TRY(kms_check(c, &kms_model_##name_));                                                     \
        TRY(kms_grant_tokens(c, &kms_model_##name_));                                              \
        TRY(kms_op_##fn_(c));                                                                      \
        return c->use != NULL ? SL_OK : kms_answered(c, &kms_model_##name_);                       \
    }
KMS_OPERATIONS(KMS_WRAP)

/* What AWS has and we do not, so that clients learn which it is. */
static struct sl_rc unsupported(struct api_call *c) {
    return sl_fail(c->err, SL_E_KMS_UNSUPPORTED, "%.*s is not supported.", SLICE_FMT(c->operation));
}

#define CHANGE
#define READ .read_only = true,
#define USE .read_only = true, .key_use = true,
#define KMS_ENTRY(kind_, name_, fn_) {kind_.name = #name_, .run = run_##fn_},
#define UNSUPPORTED(name_)                                                                         \
    { .name = name_, .run = unsupported, .read_only = true }

const struct api_operation api_kms_operations[] = {
    KMS_OPERATIONS(KMS_ENTRY) UNSUPPORTED("ConnectCustomKeyStore"),
    UNSUPPORTED("CreateCustomKeyStore"),
    UNSUPPORTED("DeleteCustomKeyStore"),
    UNSUPPORTED("DeriveSharedSecret"),
    UNSUPPORTED("DescribeCustomKeyStores"),
    UNSUPPORTED("DisconnectCustomKeyStore"),
    UNSUPPORTED("GenerateDataKeyPair"),
    UNSUPPORTED("GenerateDataKeyPairWithoutPlaintext"),
    UNSUPPORTED("GenerateMac"),
    UNSUPPORTED("GetKeyLastUsage"),
    UNSUPPORTED("GetPublicKey"),
    UNSUPPORTED("ReplicateKey"),
    UNSUPPORTED("Sign"),
    UNSUPPORTED("UpdateCustomKeyStore"),
    UNSUPPORTED("UpdatePrimaryRegion"),
    UNSUPPORTED("Verify"),
    UNSUPPORTED("VerifyMac"),
    {.name = NULL},
};

#define KMS_MODEL(kind_, name_, fn_) &kms_model_##name_,
const struct kms_model *const kms_models[] = {KMS_OPERATIONS(KMS_MODEL) NULL};
