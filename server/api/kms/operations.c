/* KMS's table of operations. */
#include "server/api/kms/kms_in.h"

#define CHANGE(name_, fn_)                                                                         \
    { .name = (name_), .run = (fn_) }
#define READ(name_, fn_)                                                                           \
    { .name = (name_), .run = (fn_), .read_only = true }
#define USE(name_, fn_)                                                                            \
    { .name = (name_), .run = (fn_), .read_only = true, .key_use = true }

const struct api_operation api_kms_operations[] = {
    CHANGE("CancelKeyDeletion", kms_op_cancel_deletion),
    CHANGE("CreateAlias", kms_op_create_alias),
    CHANGE("CreateKey", kms_op_create_key),
    USE("Decrypt", kms_op_decrypt),
    CHANGE("DeleteAlias", kms_op_delete_alias),
    CHANGE("DeleteImportedKeyMaterial", kms_op_delete_import),
    READ("DescribeKey", kms_op_describe_key),
    CHANGE("DisableKey", kms_op_disable_key),
    CHANGE("EnableKey", kms_op_enable_key),
    USE("Encrypt", kms_op_encrypt),
    USE("GenerateDataKey", kms_op_data_key),
    USE("GenerateDataKeyWithoutPlaintext", kms_op_data_key_blind),
    USE("GenerateRandom", kms_op_random),
    READ("GetKeyPolicy", kms_op_get_policy),
    READ("GetKeyRotationStatus", kms_op_rotation_status),
    READ("GetParametersForImport", kms_op_import_parameters),
    CHANGE("ImportKeyMaterial", kms_op_import),
    READ("ListAliases", kms_op_list_aliases),
    READ("ListKeyPolicies", kms_op_list_policies),
    READ("ListKeyRotations", kms_op_list_rotations),
    READ("ListKeys", kms_op_list_keys),
    READ("ListResourceTags", kms_op_list_tags),
    CHANGE("PutKeyPolicy", kms_op_put_policy),
    USE("ReEncrypt", kms_op_reencrypt),
    CHANGE("RotateKeyOnDemand", kms_op_rotate),
    CHANGE("ScheduleKeyDeletion", kms_op_schedule_deletion),
    CHANGE("TagResource", kms_op_tag),
    CHANGE("UntagResource", kms_op_untag),
    CHANGE("UpdateAlias", kms_op_update_alias),
    CHANGE("UpdateKeyDescription", kms_op_update_description),
    {.name = NULL},
};
