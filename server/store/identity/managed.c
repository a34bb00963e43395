/* The policies that AWS manages, as far as they speak about services that exist here. */
#include "server/store/identity/iam.h"

struct builtin {
    const char *arn, *id, *name, *description, *document;
    int32_t version;
    int64_t created_s, updated_s;
};

#define ARN "arn:aws:iam::aws:policy/"
#define ALLOW_ALL(actions)                                                                         \
    "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\"," actions                    \
    ",\"Resource\":\"*\"}]}"

/* In the order of their ARNs. */
static const struct builtin builtins[] = {
    {ARN "AWSKeyManagementServicePowerUser", "ANPAJNPP7PPPPMJRV2SA4",
     "AWSKeyManagementServicePowerUser", "Provides access to AWS Key Management Service (KMS).",
     ALLOW_ALL("\"Action\":[\"kms:CreateAlias\",\"kms:CreateKey\",\"kms:DeleteAlias\","
               "\"kms:Describe*\",\"kms:GenerateRandom\",\"kms:Get*\",\"kms:List*\","
               "\"kms:TagResource\",\"kms:UntagResource\",\"iam:ListGroups\",\"iam:ListRoles\","
               "\"iam:ListUsers\"]"),
     2, 1423255240, 1488848113},
    {ARN "AdministratorAccess", "ANPAIWMBCKSKIEE64ZLYK", "AdministratorAccess",
     "Provides full access to AWS services and resources.", ALLOW_ALL("\"Action\":\"*\""), 1,
     1423251586, 1423251586},
    {ARN "AmazonS3FullAccess", "ANPAIFIR6V6BVTRAHWINE", "AmazonS3FullAccess",
     "Provides full access to all buckets via the AWS Management Console.",
     ALLOW_ALL("\"Action\":[\"s3:*\",\"s3-object-lambda:*\"]"), 2, 1423255258, 1632773797},
    {ARN "AmazonS3ReadOnlyAccess", "ANPAIZTJ4DXE7G6AGAE6M", "AmazonS3ReadOnlyAccess",
     "Provides read only access to all buckets via the AWS Management Console.",
     ALLOW_ALL("\"Action\":[\"s3:Get*\",\"s3:List*\",\"s3:Describe*\",\"s3-object-lambda:Get*\","
               "\"s3-object-lambda:List*\"]"),
     3, 1423255259, 1691703099},
    {ARN "IAMFullAccess", "ANPAI7XKCFMBPM3QQRRVQ", "IAMFullAccess",
     "Provides full access to IAM via the AWS Management Console.",
     ALLOW_ALL("\"Action\":[\"iam:*\",\"organizations:DescribeAccount\","
               "\"organizations:DescribeOrganization\","
               "\"organizations:DescribeOrganizationalUnit\",\"organizations:DescribePolicy\","
               "\"organizations:ListChildren\",\"organizations:ListParents\","
               "\"organizations:ListPoliciesForTarget\",\"organizations:ListRoots\","
               "\"organizations:ListPolicies\",\"organizations:ListTargetsForPolicy\"]"),
     2, 1423255238, 1561146000},
    {ARN "PowerUserAccess", "ANPAJYRXTHIB4FOVS3ZXS", "PowerUserAccess",
     "Provides full access to AWS services and resources, but does not allow management of Users "
     "and groups.",
     "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"NotAction\":[\"iam:*\","
     "\"organizations:*\",\"account:*\"],\"Resource\":\"*\"},{\"Effect\":\"Allow\",\"Action\":["
     "\"account:GetAccountInformation\",\"account:GetGovCloudAccountInformation\","
     "\"account:GetPrimaryEmail\",\"account:ListRegions\",\"iam:CreateServiceLinkedRole\","
     "\"iam:DeleteServiceLinkedRole\",\"iam:ListRoles\","
     "\"organizations:DescribeEffectivePolicy\",\"organizations:DescribeOrganization\"],"
     "\"Resource\":\"*\"}]}",
     12, 1423251587, 1770919154},
};

bool iam_builtin(size_t index, struct iam_policy *ret) {
    if (index >= sizeof builtins / sizeof *builtins) {
        return false;
    }
    const struct builtin *b = &builtins[index];
    *ret = (struct iam_policy){
        .arn = slice_cstr(b->arn),
        .id = slice_cstr(b->id),
        .account = SLICE_LIT("aws"),
        .name = slice_cstr(b->name),
        .path = SLICE_LIT("/"),
        .description = slice_cstr(b->description),
        .document = slice_cstr(b->document),
        .created_s = b->created_s,
        .updated_s = b->updated_s,
        .version = b->version,
    };
    return true;
}
