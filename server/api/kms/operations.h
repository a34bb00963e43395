/* The operations of KMS that are built: one list, from which the service's table, the prototypes
 * and the checks around each operation are made. */
#ifndef SL_API_KMS_OPERATIONS_H
#define SL_API_KMS_OPERATIONS_H

#include "server/api/api.h"
#include "server/api/kms/model.h"

/* X(kind, AWS's name, ours): CHANGE alters state, READ does not, USE is a use of a key. */
#define KMS_OPERATIONS(X)                                                                          \
    X(CHANGE, CancelKeyDeletion, cancel_deletion)                                                  \
    X(CHANGE, CreateAlias, create_alias)                                                           \
    X(CHANGE, CreateGrant, create_grant)                                                           \
    X(CHANGE, CreateKey, create_key)                                                               \
    X(USE, Decrypt, decrypt)                                                                       \
    X(CHANGE, DeleteAlias, delete_alias)                                                           \
    X(CHANGE, DeleteImportedKeyMaterial, delete_import)                                            \
    X(READ, DescribeKey, describe_key)                                                             \
    X(CHANGE, DisableKey, disable_key)                                                             \
    X(CHANGE, DisableKeyRotation, disable_rotation)                                                \
    X(CHANGE, EnableKey, enable_key)                                                               \
    X(CHANGE, EnableKeyRotation, enable_rotation)                                                  \
    X(USE, Encrypt, encrypt)                                                                       \
    X(USE, GenerateDataKey, data_key)                                                              \
    X(USE, GenerateDataKeyWithoutPlaintext, data_key_blind)                                        \
    X(USE, GenerateRandom, random)                                                                 \
    X(READ, GetKeyPolicy, get_policy)                                                              \
    X(READ, GetKeyRotationStatus, rotation_status)                                                 \
    X(READ, GetParametersForImport, import_parameters)                                             \
    X(CHANGE, ImportKeyMaterial, import)                                                           \
    X(READ, ListAliases, list_aliases)                                                             \
    X(READ, ListGrants, list_grants)                                                               \
    X(READ, ListKeyPolicies, list_policies)                                                        \
    X(READ, ListKeyRotations, list_rotations)                                                      \
    X(READ, ListKeys, list_keys)                                                                   \
    X(READ, ListResourceTags, list_tags)                                                           \
    X(READ, ListRetirableGrants, list_retirable)                                                   \
    X(CHANGE, PutKeyPolicy, put_policy)                                                            \
    X(USE, ReEncrypt, reencrypt)                                                                   \
    X(CHANGE, RetireGrant, retire_grant)                                                           \
    X(CHANGE, RevokeGrant, revoke_grant)                                                           \
    X(CHANGE, RotateKeyOnDemand, rotate)                                                           \
    X(CHANGE, ScheduleKeyDeletion, schedule_deletion)                                              \
    X(CHANGE, TagResource, tag)                                                                    \
    X(CHANGE, UntagResource, untag)                                                                \
    X(CHANGE, UpdateAlias, update_alias)                                                           \
    X(CHANGE, UpdateKeyDescription, update_description)

/* kms_op_…: the request in c->body has passed its model. */
#define KMS_DECLARE(kind_, name_, fn_)                                                             \
    extern const struct kms_model kms_model_##name_;                                               \
    struct sl_rc kms_op_##fn_(struct api_call *c);
KMS_OPERATIONS(KMS_DECLARE)

/* The models of the built operations, NULL-ended. */
extern const struct kms_model *const kms_models[];

#endif
