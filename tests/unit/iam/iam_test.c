/* IAM's operations. */
#include "tests/unit/iam/iam_rig.h"

static void users(void **state) {
    static const struct step steps[] = {
        {"admin", "Action=GetUser", 0, "<UserName>admin</UserName>"},
        {"admin",
         "Action=CreateUser&UserName=bob&Path=/team/"
         "&Tags.member.1.Key=dept&Tags.member.1.Value=x",
         0, "<Arn>" U "team/bob</Arn>"},
        {"admin", "Action=GetUser&UserName=bob", 0,
         "<Tags><member><Key>dept</Key><Value>x</Value></member></Tags>"},
        {"admin", "Action=CreateUser&UserName=bob", SL_E_IAM_EXISTS,
         "User with name bob already exists."},
        {"admin", "Action=CreateUser&UserName=BOB", SL_E_IAM_EXISTS,
         "User with name BOB already exists."},
        {"admin", "Action=GetUser&UserName=BOB", SL_E_IAM_NO_SUCH_ENTITY,
         "The user with name BOB cannot be found."},
        {"admin", "Action=CreateUser", SL_E_IAM_VALIDATION,
         "Value at 'userName' failed to satisfy constraint: Member must not be null"},
        {"admin", "Action=CreateUser&UserName=a%20b", SL_E_IAM_VALIDATION,
         "The specified value for userName is invalid."},
        {"admin",
         "Action=CreateUser&UserName="
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         SL_E_IAM_VALIDATION, "length less than or equal to 64"},
        {"admin", "Action=CreateUser&UserName=x&Path=team", SL_E_IAM_VALIDATION, "begin and end"},
        {"admin",
         "Action=CreateUser&UserName=x&Tags.member.1.Key=A&Tags.member.2.Key=a"
         "&Tags.member.1.Value=&Tags.member.2.Value=",
         SL_E_IAM_INVALID_INPUT, "Duplicate tag keys"},
        {"admin", "Action=CreateUser&UserName=x&Tags.member.1.Key=AWS:x&Tags.member.1.Value=",
         SL_E_IAM_INVALID_INPUT, "System tags"},
        {"admin", "Action=CreateUser&UserName=x&PermissionsBoundary=arn:aws:iam::aws:policy/None",
         SL_E_IAM_NO_SUCH_ENTITY, "does not exist or is not attachable"},
        {"admin", "Action=GetUser&UserName=x", SL_E_IAM_NO_SUCH_ENTITY, "cannot be found"},
        {"admin", "Action=ListUsers&PathPrefix=/team/", 0, "<UserName>bob</UserName>"},
        {"admin", "Action=ListUsers&MaxItems=1", 0,
         "<IsTruncated>true</IsTruncated><Marker>admin</Marker>"},
        {"admin", "Action=ListUsers&MaxItems=1&Marker=alice", 0, "<UserName>bob</UserName>"},
        {"admin", "Action=ListUsers&MaxItems=0", SL_E_IAM_VALIDATION, "greater than or equal to 1"},
        {"admin", "Action=ListUsers&MaxItems=1001", SL_E_IAM_VALIDATION,
         "less than or equal to 1000"},
        {"admin", "Action=TagUser&UserName=bob&Tags.member.1.Key=DEPT&Tags.member.1.Value=z", 0,
         NULL},
        {"admin", "Action=ListUserTags&UserName=bob", 0, "<Key>DEPT</Key><Value>z</Value>"},
        {"admin", "Action=UntagUser&UserName=bob&TagKeys.member.1=dept", 0, NULL},
        {"admin", "Action=ListUserTags&UserName=bob", 0, "<Tags></Tags>"},
        {"admin", "Action=UpdateUser&UserName=bob&NewPath=/a%3Cb/", 0, NULL},
        {"admin", "Action=GetUser&UserName=bob", 0, "<Path>/a&lt;b/</Path>"},
        {"admin", "Action=UpdateUser&UserName=bob&NewUserName=rob&NewPath=/", 0, NULL},
        {"admin", "Action=GetUser&UserName=rob", 0, "<Arn>" U "rob</Arn>"},
        {"admin", "Action=UpdateUser&UserName=rob&NewUserName=admin", SL_E_IAM_EXISTS,
         "User with name admin already exists."},
        {"admin", "Action=CreateAccessKey&UserName=rob", 0, "<SecretAccessKey>"},
        {"admin", "Action=DeleteUser&UserName=rob", SL_E_IAM_DELETE_CONFLICT,
         "must delete access keys first."},
        {"nobody", "Action=GetUser", SL_E_MISSING_TOKEN, "missing Authentication Token"},
        {"root", "Action=GetUser", SL_E_IAM_VALIDATION, "Must specify userName"},
        {"root", "Action=GetUser&UserName=rob", 0, "<UserName>rob</UserName>"},
    };
    RUN(steps);
    char id[64], form[160];
    take("admin", "Action=ListAccessKeys&UserName=rob", "AccessKeyId", id, sizeof id);
    snprintf(form, sizeof form, "Action=DeleteAccessKey&UserName=rob&AccessKeyId=%s", id);
    struct step end[] = {
        {"admin", "Action=DeleteAccessKey&UserName=rob&AccessKeyId=AKIANONEAKIANONE",
         SL_E_IAM_NO_SUCH_ENTITY, "The Access Key with id AKIANONEAKIANONE cannot be found."},
        {"admin", form, 0, NULL},
        {"admin", "Action=DeleteUser&UserName=rob", 0, NULL},
        {"admin", "Action=DeleteUser&UserName=rob", SL_E_IAM_NO_SUCH_ENTITY,
         "The user with name rob cannot be found."},
    };
    RUN(end);
}

static void keys(void **state) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(1024 * 1024);
    SL_CLEANUP(secret_fini) struct secret secret = {0};
    struct identity who;
    char id[64], form[160];
    static const struct step start[] = {{"admin", "Action=CreateUser&UserName=kim", 0, "kim"}};
    RUN(start);
    take("admin", "Action=CreateAccessKey&UserName=kim", "AccessKeyId", id, sizeof id);
    assert_int_equal(strlen(id), 20);
    assert_memory_equal(id, "AKIA", 4);
    OK(identity_by_access_key(w.db, w.rig.k, slice_cstr(id), &a, NULL, &who, &secret));
    assert_true(slice_eq_cstr(who.principal.user_name, "kim"));
    snprintf(form, sizeof form,
             "Action=UpdateAccessKey&UserName=kim&Status=Inactive&AccessKeyId=%s", id);
    struct step off[] = {
        {"admin", form, 0, NULL},
        {"admin", "Action=ListAccessKeys&UserName=kim", 0, "<Status>Inactive</Status>"},
        {"admin", "Action=UpdateAccessKey&UserName=kim&Status=On&AccessKeyId=x",
         SL_E_IAM_VALIDATION, "enum value set"},
        {"admin", "Action=CreateAccessKey&UserName=kim", 0, "<Status>Active</Status>"},
        {"admin", "Action=CreateAccessKey&UserName=kim", SL_E_IAM_LIMIT,
         "Cannot exceed quota for AccessKeysPerUser: 2"},
    };
    RUN(off);
    FAILS(identity_by_access_key(w.db, w.rig.k, slice_cstr(id), &a, NULL, &who, &secret),
          SL_E_UNKNOWN_KEY_ID);
    FAILS(identity_by_access_key(w.db, w.rig.k, SLICE_LIT("AKIANOBODY"), &a, NULL, &who, &secret),
          SL_E_UNKNOWN_KEY_ID);
    /* Another user's name does not reach the key. */
    snprintf(form, sizeof form, "Action=DeleteAccessKey&UserName=admin&AccessKeyId=%s", id);
    struct step other[] = {{"admin", form, SL_E_IAM_NO_SUCH_ENTITY, "cannot be found"}};
    RUN(other);
}

/* A sealed secret belongs to its key id: a row moved to another id does not open. */
static void sealed_secret_is_bound(void **state) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(1024 * 1024);
    SL_CLEANUP(secret_fini) struct secret secret = {0};
    struct identity who;
    char id[64];
    struct sqlite3 *conn;
    struct sqlite3_stmt *st;
    bool row;
    static const struct step start[] = {{"admin", "Action=CreateUser&UserName=mo", 0, "mo"}};
    RUN(start);
    take("admin", "Action=CreateAccessKey&UserName=mo", "AccessKeyId", id, sizeof id);
    OK(kms_db_write(w.db, &conn, NULL));
    OK(db_prepare(conn, "UPDATE iam_access_key SET id = 'AKIAMOVEDMOVEDMOVEDX' WHERE id = ?", &st,
                  NULL));
    db_bind_slice(st, 1, slice_cstr(id));
    OK(db_step(st, &row, NULL));
    OK(kms_db_write_end(w.db, conn, true, NULL));
    assert_true(sl_failed(identity_by_access_key(w.db, w.rig.k, SLICE_LIT("AKIAMOVEDMOVEDMOVEDX"),
                                                 &a, NULL, &who, &secret)));
    assert_null(secret.ptr);
}

static void policies(void **state) {
    static const struct step steps[] = {
        {"alice", "Action=GetUser", SL_E_ACCESS_DENIED,
         "User: " U "alice " DENIED(
             "GetUser") " on resource: " U
                        "alice because no identity-based policy allows the iam:GetUser action"},
        {"alice", "Action=CreateUser&UserName=eve", SL_E_ACCESS_DENIED, DENIED("CreateUser")},
        /* Who may not, learns nothing about what exists. */
        {"alice", "Action=GetUser&UserName=admin", SL_E_ACCESS_DENIED, DENIED("GetUser")},
        {"alice", "Action=GetUser&UserName=missing", SL_E_ACCESS_DENIED, DENIED("GetUser")},
        {"alice", "Action=GetPolicy&PolicyArn=arn:aws:iam::" ACCOUNT ":policy/none",
         SL_E_ACCESS_DENIED, DENIED("GetPolicy")},
        {"admin",
         "Action=PutUserPolicy&UserName=alice&PolicyName=self&PolicyDocument=" ALLOW("iam:GetUser",
                                                                                     U "alice"),
         0, NULL},
        {"alice", "Action=GetUser", 0, "<UserName>alice</UserName>"},
        {"alice", "Action=GetUser&UserName=admin", SL_E_ACCESS_DENIED, DENIED("GetUser")},
        {"admin", "Action=GetUserPolicy&UserName=alice&PolicyName=self", 0,
         "<PolicyDocument>%7B%22Statement%22%3A%7B%22Effect"},
        {"admin", "Action=ListUserPolicies&UserName=alice", 0, "<member>self</member>"},
        {"admin", "Action=GetUserPolicy&UserName=alice&PolicyName=no", SL_E_IAM_NO_SUCH_ENTITY,
         "The user policy with name no cannot be found."},
        {"admin", "Action=PutUserPolicy&UserName=alice&PolicyName=x&PolicyDocument=%7B",
         SL_E_IAM_POLICY, ""},
        {"admin",
         "Action=PutUserPolicy&UserName=alice&PolicyName=x&PolicyDocument=" TRUST("%22*%22"),
         SL_E_IAM_POLICY, "should not specify a principal"},
        {"admin", "Action=DeleteUserPolicy&UserName=alice&PolicyName=self", 0, NULL},
        {"alice", "Action=GetUser", SL_E_ACCESS_DENIED, DENIED("GetUser")},
        {"admin",
         "Action=AttachUserPolicy&UserName=alice&PolicyArn=arn:aws:iam::aws:policy/IAMFullAccess",
         0, NULL},
        {"alice", "Action=GetUser&UserName=admin", 0, "admin"},
        {"admin", "Action=ListAttachedUserPolicies&UserName=alice", 0,
         "<PolicyName>IAMFullAccess</PolicyName>"},
        {"admin", "Action=AttachUserPolicy&UserName=alice&PolicyArn=arn:aws:iam::aws:policy/Nope",
         SL_E_IAM_NO_SUCH_ENTITY, "does not exist or is not attachable."},
        {"admin",
         "Action=PutUserPermissionsBoundary&UserName=alice&PermissionsBoundary="
         "arn:aws:iam::aws:policy/AmazonS3FullAccess",
         0, NULL},
        {"alice", "Action=GetUser", SL_E_ACCESS_DENIED,
         "because no permissions boundary allows the iam:GetUser action"},
        {"admin", "Action=GetUser&UserName=alice", 0,
         "<PermissionsBoundaryArn>arn:aws:iam::aws:policy/AmazonS3FullAccess</"
         "PermissionsBoundaryArn>"},
        {"admin", "Action=DeleteUserPermissionsBoundary&UserName=alice", 0, NULL},
        {"admin", "Action=DeleteUserPermissionsBoundary&UserName=alice", SL_E_IAM_NO_SUCH_ENTITY,
         "does not have a permissions boundary"},
        {"alice", "Action=GetUser", 0, "alice"},
        {"admin", "Action=DeleteUser&UserName=alice", SL_E_IAM_DELETE_CONFLICT, "first."},
        {"admin",
         "Action=DetachUserPolicy&UserName=alice&PolicyArn=arn:aws:iam::aws:policy/IAMFullAccess",
         0, NULL},
        {"admin",
         "Action=DetachUserPolicy&UserName=alice&PolicyArn=arn:aws:iam::aws:policy/IAMFullAccess",
         SL_E_IAM_NO_SUCH_ENTITY, "was not found."},
        {"alice", "Action=GetUser", SL_E_ACCESS_DENIED, DENIED("GetUser")},
    };
    RUN(steps);
}

/* Delegated administration: only a given policy may be attached, only under a boundary. */
static void conditions_of_iam(void **state) {
    static const struct step steps[] = {
        {"admin", "Action=CreateUser&UserName=sub", 0, "sub"},
        {"admin",
         "Action=PutUserPolicy&UserName=alice&PolicyName=d&PolicyDocument=%7B%22Statement%22:%5B%7B"
         "%22Effect%22:%22Allow%22,%22Action%22:%22iam:AttachUserPolicy%22,%22Resource%22:%22*%22,"
         "%22Condition%22:%7B%22ArnEquals%22:%7B%22iam:PolicyARN%22:%22arn:aws:iam::aws:policy/"
         "AmazonS3ReadOnlyAccess%22%7D%7D%7D,%7B%22Effect%22:%22Allow%22,%22Action%22:%22iam:"
         "CreateUser%22,%22Resource%22:%22*%22,%22Condition%22:%7B%22StringEquals%22:%7B%22iam:"
         "PermissionsBoundary%22:%22arn:aws:iam::aws:policy/PowerUserAccess%22%7D%7D%7D%5D%7D",
         0, NULL},
        {"alice",
         "Action=AttachUserPolicy&UserName=sub&PolicyArn=arn:aws:iam::aws:policy/"
         "AdministratorAccess",
         SL_E_ACCESS_DENIED, DENIED("AttachUserPolicy")},
        {"alice",
         "Action=AttachUserPolicy&UserName=sub&PolicyArn="
         "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess",
         0, NULL},
        {"alice", "Action=CreateUser&UserName=free", SL_E_ACCESS_DENIED, DENIED("CreateUser")},
        {"alice",
         "Action=CreateUser&UserName=bound&PermissionsBoundary=arn:aws:iam::aws:policy/"
         "PowerUserAccess",
         0, "PermissionsBoundaryArn"},
        {"admin", "Action=DeleteUserPolicy&UserName=alice&PolicyName=d", 0, NULL},
        {"admin",
         "Action=PutUserPolicy&UserName=alice&PolicyName=r&PolicyDocument=" ALLOW("iam:UpdateUser",
                                                                                  U "dev/*"),
         0, NULL},
        {"admin", "Action=CreateUser&UserName=dev1&Path=/dev/", 0, "dev1"},
        {"alice", "Action=UpdateUser&UserName=dev1&NewPath=/", SL_E_ACCESS_DENIED,
         DENIED("UpdateUser")},
        {"alice", "Action=UpdateUser&UserName=dev1&NewUserName=dev2", 0, NULL},
        {"admin", "Action=DeleteUserPolicy&UserName=alice&PolicyName=r", 0, NULL},
    };
    RUN(steps);
}

static void groups(void **state) {
    static const struct step steps[] = {
        {"admin", "Action=CreateGroup&GroupName=ops", 0, "<GroupId>AGPA"},
        {"admin", "Action=AddUserToGroup&GroupName=ops&UserName=nope", SL_E_IAM_NO_SUCH_ENTITY,
         "The user with name nope cannot be found."},
        {"admin", "Action=AddUserToGroup&GroupName=ops&UserName=alice", 0, NULL},
        {"alice", "Action=ListGroups", SL_E_ACCESS_DENIED, DENIED("ListGroups")},
        {"admin",
         "Action=PutGroupPolicy&GroupName=ops&PolicyName=g&PolicyDocument=" ALLOW("iam:ListGroups",
                                                                                  "*"),
         0, NULL},
        {"alice", "Action=ListGroups", 0, "<GroupName>ops</GroupName>"},
        {"admin", "Action=DeleteGroupPolicy&GroupName=ops&PolicyName=g", 0, NULL},
        {"alice", "Action=ListGroups", SL_E_ACCESS_DENIED, DENIED("ListGroups")},
        {"admin",
         "Action=AttachGroupPolicy&GroupName=ops&PolicyArn=arn:aws:iam::aws:policy/IAMFullAccess",
         0, NULL},
        {"alice", "Action=GetGroup&GroupName=ops", 0, "<Users><member><Path>/</Path>"},
        {"alice", "Action=ListGroupsForUser&UserName=alice", 0, "<GroupName>ops</GroupName>"},
        {"admin", "Action=DeleteGroup&GroupName=ops", SL_E_IAM_DELETE_CONFLICT, "first."},
        {"admin", "Action=RemoveUserFromGroup&GroupName=ops&UserName=alice", 0, NULL},
        {"alice", "Action=ListGroups", SL_E_ACCESS_DENIED, DENIED("ListGroups")},
        {"admin",
         "Action=DetachGroupPolicy&GroupName=ops&PolicyArn=arn:aws:iam::aws:policy/IAMFullAccess",
         0, NULL},
        {"admin", "Action=DeleteGroup&GroupName=ops", 0, NULL},
        {"admin", "Action=GetGroup&GroupName=ops", SL_E_IAM_NO_SUCH_ENTITY,
         "The group with name ops cannot be found."},
    };
    RUN(steps);
}

static void managed(void **state) {
#define P "arn:aws:iam::" ACCOUNT ":policy/own"
    static const struct step steps[] = {
        {"admin",
         "Action=CreatePolicy&PolicyName=own&Description=d&PolicyDocument=" ALLOW("iam:ListUsers",
                                                                                  "*"),
         0, "<DefaultVersionId>v1</DefaultVersionId>"},
        {"admin", "Action=CreatePolicy&PolicyName=OWN&PolicyDocument=" ALLOW("s3:*", "*"),
         SL_E_IAM_EXISTS, "A policy called OWN already exists."},
        {"admin", "Action=AttachUserPolicy&UserName=alice&PolicyArn=" P, 0, NULL},
        {"alice", "Action=ListUsers", 0, "<Users>"},
        {"admin", "Action=GetPolicy&PolicyArn=" P, 0, "<AttachmentCount>1</AttachmentCount>"},
        {"admin", "Action=GetPolicyVersion&VersionId=v1&PolicyArn=" P, 0,
         "<Document>%7B%22Statement"},
        {"admin",
         "Action=CreatePolicyVersion&SetAsDefault=true&PolicyArn=" P
         "&PolicyDocument=" ALLOW("iam:ListRoles", "*"),
         0, "<VersionId>v2</VersionId><IsDefaultVersion>true</IsDefaultVersion>"},
        {"alice", "Action=ListUsers", SL_E_ACCESS_DENIED, DENIED("ListUsers")},
        {"alice", "Action=ListRoles", 0, "<Roles>"},
        {"admin", "Action=DeletePolicyVersion&VersionId=v2&PolicyArn=" P, SL_E_IAM_DELETE_CONFLICT,
         "default version"},
        {"admin", "Action=SetDefaultPolicyVersion&VersionId=v9&PolicyArn=" P,
         SL_E_IAM_NO_SUCH_ENTITY, "v9"},
        {"admin", "Action=SetDefaultPolicyVersion&VersionId=v1&PolicyArn=" P, 0, NULL},
        {"alice", "Action=ListUsers", 0, "<Users>"},
        {"admin", "Action=ListPolicyVersions&PolicyArn=" P, 0, "<VersionId>v2</VersionId>"},
        {"admin", "Action=GetPolicyVersion&VersionId=two&PolicyArn=" P, SL_E_IAM_VALIDATION,
         "versionId"},
        {"admin", "Action=DeletePolicy&PolicyArn=" P, SL_E_IAM_DELETE_CONFLICT,
         "Cannot delete a policy attached to entities."},
        {"admin", "Action=DetachUserPolicy&UserName=alice&PolicyArn=" P, 0, NULL},
        {"admin", "Action=DeletePolicy&PolicyArn=" P, SL_E_IAM_DELETE_CONFLICT,
         "more than one version"},
        {"admin", "Action=DeletePolicyVersion&VersionId=v2&PolicyArn=" P, 0, NULL},
        {"admin", "Action=ListPolicies&Scope=Local", 0, "<Arn>" P "</Arn>"},
        {"admin", "Action=ListPolicies&MaxItems=1", 0, "<Marker>ANPA"},
        {"admin", "Action=ListPolicies&MaxItems=1&Marker=" P, SL_E_IAM_VALIDATION,
         "Invalid Marker."},
        {"admin", "Action=ListPolicies&OnlyAttached=true&Scope=AWS", 0,
         "<PolicyName>AdministratorAccess</PolicyName>"},
        {"admin", "Action=ListPolicies&Scope=Mine", SL_E_IAM_VALIDATION, "enum value set"},
        {"admin", "Action=DeletePolicy&PolicyArn=" P, 0, NULL},
        {"admin", "Action=GetPolicy&PolicyArn=" P, SL_E_IAM_NO_SUCH_ENTITY,
         "Policy " P " was not found."},
        {"admin", "Action=DeletePolicy&PolicyArn=arn:aws:iam::aws:policy/AdministratorAccess",
         SL_E_ACCESS_DENIED, "outside your own account"},
        {"admin",
         "Action=GetPolicyVersion&VersionId=v12&PolicyArn=arn:aws:iam::aws:policy/PowerUserAccess",
         0, "NotAction"},
    };
    RUN(steps);
}

static void tags_of_policies(void **state) {
#define T "arn:aws:iam::" ACCOUNT ":policy/tagged"
#define A "arn:aws:iam::aws:policy/IAMFullAccess"
    static const struct step steps[] = {
        {"admin",
         "Action=CreatePolicy&PolicyName=tagged&Tags.member.1.Key=a&Tags.member.1.Value=1"
         "&PolicyDocument=" ALLOW("iam:ListUsers", "*"),
         0, "<Key>a</Key>"},
        {"admin",
         "Action=TagPolicy&PolicyArn=" T "&Tags.member.1.Key=b&Tags.member.1.Value=2"
         "&Tags.member.2.Key=A&Tags.member.2.Value=3",
         0, NULL},
        {"admin", "Action=ListPolicyTags&PolicyArn=" T, 0,
         "<Tags><member><Key>A</Key><Value>3</Value></member><member><Key>a</Key><Value>1</Value>"
         "</member><member><Key>b</Key><Value>2</Value></member></Tags><IsTruncated>false"},
        {"admin", "Action=ListPolicyTags&MaxItems=1&Marker=A&PolicyArn=" T, 0,
         "<Tags><member><Key>a</Key><Value>1</Value></member></Tags><IsTruncated>true</IsTruncated>"
         "<Marker>a</Marker>"},
        {"admin", "Action=ListPolicyTags&Marker=c&PolicyArn=" T, SL_E_IAM_VALIDATION,
         "Invalid Marker."},
        {"admin", "Action=UntagPolicy&PolicyArn=" T "&TagKeys.member.1=a", 0, NULL},
        {"admin", "Action=UntagPolicy&PolicyArn=" T "&TagKeys.member.1=A", 0, NULL},
        {"admin", "Action=ListPolicyTags&PolicyArn=" T, 0, "<Tags><member><Key>b</Key>"},
        {"admin", "Action=TagPolicy&PolicyArn=" T "&Tags.member.1.Key=aws:x&Tags.member.1.Value=2",
         SL_E_IAM_INVALID_INPUT, "System tags"},
        {"alice", "Action=TagPolicy&PolicyArn=" T "&Tags.member.1.Key=b&Tags.member.1.Value=9",
         SL_E_ACCESS_DENIED, DENIED("TagPolicy")},
        {"alice", "Action=ListPolicyTags&PolicyArn=" T, SL_E_ACCESS_DENIED,
         DENIED("ListPolicyTags")},
        {"admin", "Action=TagPolicy&PolicyArn=" A "&Tags.member.1.Key=b&Tags.member.1.Value=9",
         SL_E_ACCESS_DENIED, "outside your own account"},
        {"admin", "Action=UntagPolicy&PolicyArn=" A "&TagKeys.member.1=A", SL_E_ACCESS_DENIED,
         "outside your own account"},
        {"admin", "Action=ListPolicyTags&PolicyArn=" A, 0, "<Tags></Tags>"},
        {"admin", "Action=ListPolicyTags&PolicyArn=" T "x", SL_E_IAM_NO_SUCH_ENTITY,
         "was not found"},
        {"admin", "Action=DeletePolicy&PolicyArn=" T, 0, NULL},
    };
    RUN(steps);
}

static void entities_of_policies(void **state) {
    static const struct step steps[] = {
        {"admin",
         "Action=CreatePolicy&PolicyName=tagged&PolicyDocument=" ALLOW("iam:ListUsers", "*"), 0,
         "<PolicyName>tagged"},
        {"admin", "Action=ListEntitiesForPolicy&PolicyArn=" T, 0,
         "<PolicyGroups></PolicyGroups><PolicyUsers></PolicyUsers><PolicyRoles></PolicyRoles>"
         "<IsTruncated>false</IsTruncated>"},
        {"admin", "Action=CreateGroup&GroupName=uses&Path=/a/", 0, "<GroupName>uses"},
        {"admin",
         "Action=CreateRole&RoleName=bounded&PermissionsBoundary=" T
         "&AssumeRolePolicyDocument=" TRUST(BY_SERVICE),
         0, "<RoleName>bounded"},
        {"admin", "Action=AttachGroupPolicy&GroupName=uses&PolicyArn=" T, 0, NULL},
        {"admin", "Action=AttachUserPolicy&UserName=alice&PolicyArn=" T, 0, NULL},
        {"admin", "Action=ListEntitiesForPolicy&PolicyArn=" T, 0,
         "<PolicyUsers><member><UserName>alice</UserName><UserId>AIDA"},
        {"admin", "Action=ListEntitiesForPolicy&PolicyArn=" T, 0,
         "<PolicyRoles><member><RoleName>bounded</RoleName><RoleId>AROA"},
        {"admin", "Action=ListEntitiesForPolicy&PathPrefix=/a/&PolicyArn=" T, 0,
         "<GroupName>uses</GroupName>"},
        {"admin", "Action=ListEntitiesForPolicy&PathPrefix=/a/&PolicyArn=" T, 0,
         "<PolicyUsers></PolicyUsers><PolicyRoles></PolicyRoles>"},
        {"admin", "Action=ListEntitiesForPolicy&EntityFilter=Role&PolicyArn=" T, 0,
         "<PolicyGroups></PolicyGroups><PolicyUsers></PolicyUsers><PolicyRoles><member>"},
        {"admin", "Action=ListEntitiesForPolicy&PolicyUsageFilter=PermissionsPolicy&PolicyArn=" T,
         0, "<PolicyRoles></PolicyRoles>"},
        {"admin", "Action=ListEntitiesForPolicy&PolicyUsageFilter=PermissionsBoundary&PolicyArn=" T,
         0, "<PolicyUsers></PolicyUsers><PolicyRoles><member><RoleName>bounded"},
        {"admin", "Action=ListEntitiesForPolicy&MaxItems=2&PolicyArn=" T, 0,
         "<PolicyRoles></PolicyRoles><IsTruncated>true</IsTruncated><Marker>AIDA"},
        {"admin", "Action=ListEntitiesForPolicy&Marker=AIDZ&PolicyArn=" T, 0,
         "<PolicyUsers></PolicyUsers><PolicyRoles><member><RoleName>bounded"},
        {"admin", "Action=ListEntitiesForPolicy&EntityFilter=Cat&PolicyArn=" T, SL_E_IAM_VALIDATION,
         "'entityFilter'"},
        {"admin", "Action=ListEntitiesForPolicy&PolicyUsageFilter=Cat&PolicyArn=" T,
         SL_E_IAM_VALIDATION, "'policyUsageFilter'"},
        {"alice", "Action=ListEntitiesForPolicy&PolicyArn=" T, SL_E_ACCESS_DENIED,
         DENIED("ListEntitiesForPolicy")},
        {"admin", "Action=ListEntitiesForPolicy&PolicyArn=" T "x", SL_E_IAM_NO_SUCH_ENTITY,
         "was not found"},
        {"admin",
         "Action=ListEntitiesForPolicy&PolicyArn=arn:aws:iam::aws:policy/AdministratorAccess", 0,
         "<UserName>admin</UserName>"},
        {"admin", "Action=DetachGroupPolicy&GroupName=uses&PolicyArn=" T, 0, NULL},
        {"admin", "Action=DetachUserPolicy&UserName=alice&PolicyArn=" T, 0, NULL},
        {"admin", "Action=DeletePolicy&PolicyArn=" T, SL_E_IAM_DELETE_CONFLICT, "attached"},
        {"admin", "Action=DeleteRole&RoleName=bounded", 0, NULL},
        {"admin", "Action=DeleteGroup&GroupName=uses", 0, NULL},
        {"admin", "Action=DeletePolicy&PolicyArn=" T, 0, NULL},
    };
    RUN(steps);
}

static void roles_and_sessions(void **state) {
    static const struct step steps[] = {
        {"admin", "Action=CreateRole&RoleName=Loader&AssumeRolePolicyDocument=" TRUST(BY_SERVICE),
         0, "<RoleId>AROA"},
        {"admin", "Action=CreateRole&RoleName=Loader&AssumeRolePolicyDocument=" TRUST(BY_SERVICE),
         SL_E_IAM_EXISTS, "Role with name Loader already exists."},
        {"admin", "Action=CreateRole&RoleName=X", SL_E_IAM_VALIDATION, "assumeRolePolicyDocument"},
        {"admin", "Action=CreateRole&RoleName=X&AssumeRolePolicyDocument=" ALLOW("s3:*", "*"),
         SL_E_IAM_POLICY, "Missing required field Principal"},
        {"admin", "Action=CreateRole&RoleName=X&AssumeRolePolicyDocument=" TRUST(BY_AWS(U "ghost")),
         SL_E_IAM_POLICY, "Invalid principal in policy: \"AWS\":\"" U "ghost\""},
        {"admin",
         "Action=CreateRole&RoleName=X&MaxSessionDuration=60&AssumeRolePolicyDocument=" TRUST(
             BY_SERVICE),
         SL_E_IAM_VALIDATION, "greater than or equal to 3600"},
        {"admin", "Action=GetRole&RoleName=Loader", 0, "<MaxSessionDuration>3600<"},
        {"admin", "Action=ListInstanceProfilesForRole&RoleName=Loader", 0, "<InstanceProfiles>"},
        {"admin", "Action=UpdateRole&RoleName=Loader&Description=loads&MaxSessionDuration=7200", 0,
         NULL},
        {"admin", "Action=GetRole&RoleName=Loader", 0,
         "<Description>loads</Description><MaxSessionDuration>7200<"},
        /* Trust decides; the account's delegation leaves it to identity policies. */
        {"alice", "Action=AssumeRole&RoleSessionName=s1&RoleArn=" R "Loader", SL_E_ACCESS_DENIED,
         "User: " U "alice is not authorized to perform: sts:AssumeRole on resource: " R
         "Loader because no role trust policy allows the sts:AssumeRole action"},
        {"alice", "Action=AssumeRole&RoleSessionName=s1&RoleArn=" R "Missing", SL_E_ACCESS_DENIED,
         R "Missing because no role trust policy allows the sts:AssumeRole action"},
        {"alice", "Action=AssumeRole&RoleSessionName=s1&RoleArn=arn:aws:iam::999999999999:role/X",
         SL_E_ACCESS_DENIED, "on resource: arn:aws:iam::999999999999:role/X"},
        {"admin",
         "Action=UpdateAssumeRolePolicy&RoleName=Loader&PolicyDocument=" TRUST(
             BY_AWS("arn:aws:iam::" ACCOUNT ":root")),
         0, NULL},
        {"alice", "Action=AssumeRole&RoleSessionName=s1&RoleArn=" R "Loader", SL_E_ACCESS_DENIED,
         "because no identity-based policy allows"},
        {"admin", "Action=AssumeRole&RoleSessionName=s1&RoleArn=" R "Loader", 0,
         "<Arn>arn:aws:sts::" ACCOUNT ":assumed-role/Loader/s1</Arn>"},
        {"root", "Action=AssumeRole&RoleSessionName=s1&RoleArn=" R "Loader", SL_E_ACCESS_DENIED,
         "Roles may not be assumed by root accounts."},
        {"admin",
         "Action=UpdateAssumeRolePolicy&RoleName=Loader&PolicyDocument=" TRUST(BY_AWS(U "alice")),
         0, NULL},
        {"alice", "Action=AssumeRole&RoleSessionName=s1&RoleArn=" R "Loader", 0,
         "<AccessKeyId>ASIA"},
        {"admin", "Action=AssumeRole&RoleSessionName=s1&RoleArn=" R "Loader", SL_E_ACCESS_DENIED,
         "because no role trust policy allows"},
        {"alice", "Action=AssumeRole&RoleSessionName=s&RoleArn=" R "Loader", SL_E_IAM_VALIDATION,
         "roleSessionName"},
        {"alice", "Action=AssumeRole&RoleSessionName=a%20b&RoleArn=" R "Loader",
         SL_E_IAM_VALIDATION, "roleSessionName"},
        {"alice", "Action=AssumeRole&RoleSessionName=s1", SL_E_IAM_VALIDATION, "roleArn"},
        {"alice", "Action=AssumeRole&RoleSessionName=s1&DurationSeconds=899&RoleArn=" R "Loader",
         SL_E_IAM_VALIDATION, "greater than or equal to 900"},
        {"alice", "Action=AssumeRole&RoleSessionName=s1&DurationSeconds=43201&RoleArn=" R "Loader",
         SL_E_IAM_VALIDATION, "less than or equal to 43200"},
        {"alice", "Action=AssumeRole&RoleSessionName=s1&DurationSeconds=7201&RoleArn=" R "Loader",
         SL_E_IAM_VALIDATION, "exceeds the MaxSessionDuration"},
        {"alice", "Action=AssumeRole&RoleSessionName=s1&DurationSeconds=7200&RoleArn=" R "Loader",
         0, "<SessionToken>"},
        {"alice", "Action=AssumeRole&RoleSessionName=s1&Policy=%7B&RoleArn=" R "Loader",
         SL_E_IAM_POLICY, ""},
        {"alice",
         "Action=AssumeRole&RoleSessionName=s1&PolicyArns.member.1.arn=x&RoleArn=" R "Loader",
         SL_E_IAM_VALIDATION, "ARN x is not valid."},
        /* A session: who it is, chained sessions, its role's policies. */
        {"role:Loader", "Action=GetCallerIdentity", 0,
         "<Arn>arn:aws:sts::" ACCOUNT ":assumed-role/Loader/s1</Arn><UserId>AROA"},
        {"role:Loader", "Action=ListUsers", SL_E_ACCESS_DENIED, DENIED("ListUsers")},
        {"admin",
         "Action=PutRolePolicy&RoleName=Loader&PolicyName=p&PolicyDocument=" ALLOW("iam:ListUsers",
                                                                                   "*"),
         0, NULL},
        {"role:Loader", "Action=ListUsers", 0, "<Users>"},
        {"admin",
         "Action=CreateRole&RoleName=Next&MaxSessionDuration=43200&AssumeRolePolicyDocument=" TRUST(
             BY_AWS(R "Loader")),
         0, "Next"},
        {"role:Loader", "Action=AssumeRole&RoleSessionName=s2&RoleArn=" R "Next", 0,
         "assumed-role/Next/s2"},
        {"role:Loader",
         "Action=AssumeRole&RoleSessionName=s2&DurationSeconds=3601&RoleArn=" R "Next",
         SL_E_IAM_VALIDATION, "role chaining"},
        /* External id. */
        {"admin",
         "Action=UpdateAssumeRolePolicy&RoleName=Next&PolicyDocument=%7B%22Statement%22:%7B%"
         "22Effect"
         "%22:%22Allow%22,%22Principal%22:%7B%22AWS%22:%22" U
         "alice%22%7D,%22Action%22:%22sts:AssumeRole%22,%22Condition%22:%7B%22StringEquals%22:%7B"
         "%22sts:ExternalId%22:%22secret-id%22%7D%7D%7D%7D",
         0, NULL},
        {"alice", "Action=AssumeRole&RoleSessionName=s1&RoleArn=" R "Next", SL_E_ACCESS_DENIED,
         "because no role trust policy allows"},
        {"alice", "Action=AssumeRole&RoleSessionName=s1&ExternalId=other-id&RoleArn=" R "Next",
         SL_E_ACCESS_DENIED, "because no role trust policy allows"},
        {"alice", "Action=AssumeRole&RoleSessionName=s1&ExternalId=secret-id&RoleArn=" R "Next", 0,
         "assumed-role/Next/s1"},
        {"admin", "Action=DeleteRole&RoleName=Loader", SL_E_IAM_DELETE_CONFLICT,
         "must delete policies first."},
        {"admin", "Action=DeleteRolePolicy&RoleName=Loader&PolicyName=p", 0, NULL},
        {"admin", "Action=DeleteRole&RoleName=Loader", 0, NULL},
        {"alice", "Action=AssumeRole&RoleSessionName=s1&RoleArn=" R "Loader", SL_E_ACCESS_DENIED,
         "because no role trust policy allows"},
        {"alice", "Action=GetCallerIdentity", 0, "<Arn>" U "alice</Arn>"},
        {"root", "Action=GetCallerIdentity", 0, "<UserId>" ACCOUNT "</UserId>"},
        {"nobody", "Action=GetCallerIdentity", SL_E_MISSING_TOKEN, "missing"},
    };
    RUN(steps);
}

static void quotas(void **state) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(1024 * 1024);
    static const struct step start[] = {{"admin", "Action=CreateUser&UserName=q", 0, "q"}};
    RUN(start);
    /* 2048 characters inline, white space not counted. */
    char pad[2100], blank[6001];
    memset(pad, 'x', sizeof pad);
    pad[1980] = 0;
    for (size_t i = 0; i < 2000; i++) {
        memcpy(blank + 3 * i, "%20", 3);
    }
    blank[6000] = 0;
    const char *fits =
        arena_printf(&a, "Action=PutUserPolicy&UserName=q&PolicyName=p&PolicyDocument=%s%s", blank,
                     ALLOW("s3:*", "*"));
    const char *big =
        arena_printf(&a,
                     "Action=PutUserPolicy&UserName=q&PolicyName=p2&PolicyDocument="
                     "%%7B%%22Statement%%22:%%7B%%22Effect%%22:%%22Allow%%22,%%22Action"
                     "%%22:%%22s3:%s%%22,%%22Resource%%22:%%22*%%22%%7D%%7D",
                     pad);
    struct step sizes[] = {
        {"admin", fits, 0, NULL},
        {"admin", big, SL_E_IAM_LIMIT, "Maximum policy size of 2048 bytes exceeded for user q"}};
    RUN(sizes);
    for (int i = 0; i < 11; i++) {
        const char *create = arena_printf(
            &a, "Action=CreatePolicy&PolicyName=q%d&PolicyDocument=%s", i, ALLOW("s3:*", "*"));
        const char *attach = arena_printf(
            &a, "Action=AttachUserPolicy&UserName=q&PolicyArn=arn:aws:iam::" ACCOUNT ":policy/q%d",
            i);
        struct step one[] = {{"admin", create, 0, "v1"},
                             {"admin", attach, i < 10 ? SL_CODE_OK : SL_E_IAM_LIMIT,
                              i < 10 ? NULL : "Cannot exceed quota for PoliciesPerUser: 10"}};
        RUN(one);
    }
}

static void store_facts(void **state) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(1024 * 1024);
    struct identity_role role;
    struct identity who;
    static const struct step start[] = {
        {"admin",
         "Action=CreateRole&RoleName=Deep&Path=/a/b/&AssumeRolePolicyDocument=" TRUST(BY_SERVICE),
         0, "Deep"}};
    RUN(start);
    OK(identity_role_get(w.db, SLICE_LIT(R "a/b/Deep"), &a, NULL, &role));
    assert_int_equal(role.max_session_s, 3600);
    FAILS(identity_role_get(w.db, SLICE_LIT(R "Deep"), &a, NULL, &role), SL_E_IAM_NO_SUCH_ENTITY);
    FAILS(identity_role_get(w.db, SLICE_LIT(U "admin"), &a, NULL, &role), SL_E_IAM_NO_SUCH_ENTITY);
    FAILS(identity_by_role(w.db, SLICE_LIT(""), SLICE_LIT("s"), &a, NULL, &who),
          SL_E_IAM_NO_SUCH_ENTITY);
    static const struct {
        const char *arn;
        bool there;
    } rows[] = {{"arn:aws:iam::" ACCOUNT ":root", true},
                {ACCOUNT, true},
                {"999999999999", false},
                {"arn:aws:iam::999999999999:root", false},
                {U "admin", true},
                {U "team/admin", false},
                {R "a/b/Deep", true},
                {"arn:aws:sts::" ACCOUNT ":assumed-role/Deep/any", true},
                {"arn:aws:sts::" ACCOUNT ":assumed-role/None/any", false},
                {"AIDANOBODYNOBODYNOB22", false},
                {"", false},
                {"*", false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (identity_exists(w.db, slice_cstr(rows[i].arn)) != rows[i].there) {
            fail_msg("%s", rows[i].arn);
        }
    }
    char id[33];
    struct secret secret = {0};
    FAILS(identity_bootstrap(w.db, w.rig.k, SLICE_LIT(ACCOUNT), id, &secret, NULL), SL_E_EXISTS);
    FAILS(identity_bootstrap(w.db, w.rig.k, SLICE_LIT("12"), id, &secret, NULL),
          SL_E_IAM_VALIDATION);
    OK(identity_bootstrap_given(w.db, w.rig.k, SLICE_LIT("222222222222"),
                                SLICE_LIT("AKIAGIVENGIVENGIVEN1"), SLICE_LIT("given-secret"),
                                NULL));
    SL_CLEANUP(secret_fini) struct secret given = {0};
    OK(identity_by_access_key(w.db, w.rig.k, SLICE_LIT("AKIAGIVENGIVENGIVEN1"), &a, NULL, &who,
                              &given));
    assert_true(slice_eq_cstr(secret_view(&given), "given-secret"));
    assert_true(slice_eq_cstr(who.principal.account, "222222222222"));
    assert_int_equal(who.policy_count, 1);
}

/* Every built-in policy is a valid identity policy. */
static void builtins_parse(void **state) {
    struct iam_policy p;
    size_t n = 0;
    for (; iam_builtin(n, &p); n++) {
        SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(1024 * 1024);
        const struct policy *parsed;
        OK(policy_parse(p.document, POLICY_IDENTITY, &a, NULL, &parsed));
    }
    assert_true(n >= 5);
}

/* A stored policy that no longer parses takes the identity away: a Deny may be in it. */
static void broken_policy_fails_closed(void **state) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(1024 * 1024);
    struct sqlite3 *conn;
    struct iam_entity e;
    struct identity who;
    static const struct step start[] = {
        {"admin", "Action=CreateRole&RoleName=Broken&AssumeRolePolicyDocument=" TRUST(BY_SERVICE),
         0, "Broken"}};
    RUN(start);
    OK(identity_by_role(w.db, SLICE_LIT(R "Broken"), SLICE_LIT("s1"), &a, NULL, &who));
    OK(kms_db_write(w.db, &conn, NULL));
    OK(iam_entity_get(conn, SLICE_LIT(ACCOUNT), IAM_ROLE, SLICE_LIT("Broken"), &a, NULL, &e));
    OK(iam_inline_put(conn, &e, SLICE_LIT("bad"), SLICE_LIT("{"), NULL));
    OK(kms_db_write_end(w.db, conn, true, NULL));
    FAILS(identity_by_role(w.db, SLICE_LIT(R "Broken"), SLICE_LIT("s1"), &a, NULL, &who),
          SL_E_CORRUPT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(users),
        cmocka_unit_test(keys),
        cmocka_unit_test(sealed_secret_is_bound),
        cmocka_unit_test(policies),
        cmocka_unit_test(conditions_of_iam),
        cmocka_unit_test(groups),
        cmocka_unit_test(managed),
        cmocka_unit_test(tags_of_policies),
        cmocka_unit_test(entities_of_policies),
        cmocka_unit_test(roles_and_sessions),
        cmocka_unit_test(quotas),
        cmocka_unit_test(store_facts),
        cmocka_unit_test(builtins_parse),
        cmocka_unit_test(broken_policy_fails_closed),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
