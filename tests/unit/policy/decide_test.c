/* Decisions, one rule a line. */
#include "tests/unit/policy/policy_test.h"

#define KEY "arn:aws:kms:us-east-1:" A1 ":key/k"
#define OBJ "arn:aws:s3:::b/k"
#define ROLE "arn:aws:iam::" A1 ":role/Loader"
#define ALL "{'Statement':{'Effect':'Allow','Action':'*','Resource':'*'}}"
#define ST(effect, action, resource)                                                               \
    "{'Statement':{'Effect':'" effect "','Action':'" action "','Resource':'" resource "'}}"
/* A resource policy: who, effect. */
#define RP(effect, who, action)                                                                    \
    "{'Statement':{'Effect':'" effect "','Principal':" who ",'Action':'" action "','Resource':'*'" \
    "}}"
#define BP(effect, who, action)                                                                    \
    "{'Statement':{'Effect':'" effect "','Principal':" who ",'Action':'" action                    \
    "','Resource':'arn:aws:s3:::b/*'}}"
#define TP(effect, who)                                                                            \
    "{'Statement':{'Effect':'" effect "','Principal':" who ",'Action':'sts:AssumeRole'}}"
#define P_ACCOUNT "{'AWS':'arn:aws:iam::" A1 ":root'}"
#define P_DIGITS "{'AWS':'" A1 "'}"
#define P_ALICE "{'AWS':'arn:aws:iam::" A1 ":user/team/alice'}"
#define P_ROLE "{'AWS':'" ROLE "'}"
#define P_SESSION "{'AWS':'arn:aws:sts::" A1 ":assumed-role/Loader/s1'}"
#define P_OTHER "{'AWS':'arn:aws:iam::" A2 ":root'}"
#define P_BOB "{'AWS':'arn:aws:iam::" A2 ":user/bob'}"
#define P_SERVICE "{'Service':'redshift.amazonaws.com'}"
#define NP(who)                                                                                    \
    "{'Statement':[{'Effect':'Allow','Principal':'*','Action':'s3:*','Resource':'arn:aws:s3:::b/"  \
    "*'},"                                                                                         \
    "{'Effect':'Deny','NotPrincipal':" who ",'Action':'s3:*','Resource':'arn:aws:s3:::b/*'}]}"
#define VAGUE "because the resource does not exist in this Region, no resource-based policies allow"
#define NO_ID "because no identity-based policy allows the "
#define NO_RES "because no resource-based policy allows the "

struct row {
    const char *rule;
    enum who who;
    const char *action, *resource, *owner;
    const char *identity, *boundary, *session;
    enum policy_kind kind;
    const char *policy;
    bool allowed;
    const char *why; /* part of the refusal */
};

static const struct row rows[] = {
    /* identity policies alone */
    {"deny by default", ALICE, "s3:GetObject", OBJ, A1, NULL, NULL, NULL, POLICY_BUCKET, NULL,
     false, NO_ID "s3:GetObject action"},
    {"allow", ALICE, "s3:GetObject", OBJ, A1, ALL, NULL, NULL, POLICY_BUCKET, NULL, true, NULL},
    {"deny wins", ALICE, "s3:GetObject", OBJ, A1,
     "{'Statement':[{'Effect':'Allow','Action':'*','Resource':'*'},"
     "{'Effect':'Deny','Action':'s3:Get*','Resource':'*'}]}",
     NULL, NULL, POLICY_BUCKET, NULL, false, "with an explicit deny in an identity-based policy"},
    {"action names are case-blind", ALICE, "s3:GetObject", OBJ, A1,
     ST("Allow", "S3:getobject", "*"), NULL, NULL, POLICY_BUCKET, NULL, true, NULL},
    {"action star", ALICE, "s3:GetObject", OBJ, A1, ST("Allow", "s3:G*t", "*"), NULL, NULL,
     POLICY_BUCKET, NULL, true, NULL},
    {"action question mark", ALICE, "s3:GetObject", OBJ, A1, ST("Allow", "s3:?etObject", "*"), NULL,
     NULL, POLICY_BUCKET, NULL, true, NULL},
    {"another action", ALICE, "s3:PutObject", OBJ, A1, ST("Allow", "s3:Get*", "*"), NULL, NULL,
     POLICY_BUCKET, NULL, false, NO_ID "s3:PutObject action"},
    {"another service", ALICE, "kms:Decrypt", OBJ, A1, ST("Allow", "s3:*", "*"), NULL, NULL,
     POLICY_BUCKET, NULL, false, NO_ID},
    {"NotAction allows the rest", ALICE, "s3:GetObject", OBJ, A1,
     "{'Statement':{'Effect':'Allow','NotAction':'iam:*','Resource':'*'}}", NULL, NULL,
     POLICY_BUCKET, NULL, true, NULL},
    {"NotAction leaves out", ALICE, "iam:CreateUser", "*", A1,
     "{'Statement':{'Effect':'Allow','NotAction':'IAM:*','Resource':'*'}}", NULL, NULL,
     POLICY_IDENTITY, NULL, false, NO_ID},
    {"resource pattern", ALICE, "s3:GetObject", OBJ, A1, ST("Allow", "*", "arn:aws:s3:::b/*"), NULL,
     NULL, POLICY_BUCKET, NULL, true, NULL},
    {"resources are case-sensitive", ALICE, "s3:GetObject", OBJ, A1,
     ST("Allow", "*", "arn:aws:s3:::B/*"), NULL, NULL, POLICY_BUCKET, NULL, false, NO_ID},
    {"the bucket is not its objects", ALICE, "s3:GetObject", OBJ, A1,
     ST("Allow", "*", "arn:aws:s3:::b"), NULL, NULL, POLICY_BUCKET, NULL, false, NO_ID},
    {"a star runs over slashes", ALICE, "s3:GetObject", "arn:aws:s3:::b/x/y.gz", A1,
     ST("Allow", "*", "arn:aws:s3:::b/*.gz"), NULL, NULL, POLICY_BUCKET, NULL, true, NULL},
    {"an ARN pattern does not cover *", ALICE, "kms:ListKeys", "*", A1,
     ST("Allow", "*", "arn:aws:kms:*"), NULL, NULL, POLICY_KEY, NULL, false, NO_ID},
    {"NotResource leaves out", ALICE, "s3:GetObject", OBJ, A1,
     "{'Statement':{'Effect':'Allow','Action':'*','NotResource':'arn:aws:s3:::b/*'}}", NULL, NULL,
     POLICY_BUCKET, NULL, false, NO_ID},
    {"NotResource allows the rest", ALICE, "s3:GetObject", OBJ, A1,
     "{'Statement':{'Effect':'Allow','Action':'*','NotResource':'arn:aws:s3:::c/*'}}", NULL, NULL,
     POLICY_BUCKET, NULL, true, NULL},
    {"variable in a resource", ALICE, "s3:GetObject", "arn:aws:s3:::b/alice/x", A1,
     "{'Version':'2012-10-17','Statement':{'Effect':'Allow','Action':'*',"
     "'Resource':'arn:aws:s3:::b/${aws:username}/*'}}",
     NULL, NULL, POLICY_BUCKET, NULL, true, NULL},
    {"another's home", ALICE, "s3:GetObject", "arn:aws:s3:::b/bob/x", A1,
     "{'Version':'2012-10-17','Statement':{'Effect':'Allow','Action':'*',"
     "'Resource':'arn:aws:s3:::b/${aws:username}/*'}}",
     NULL, NULL, POLICY_BUCKET, NULL, false, NO_ID},
    {"a session has no user name", LOADER, "s3:GetObject", "arn:aws:s3:::b//x", A1,
     "{'Version':'2012-10-17','Statement':{'Effect':'Allow','Action':'*',"
     "'Resource':'arn:aws:s3:::b/${aws:username}/*'}}",
     NULL, NULL, POLICY_BUCKET, NULL, false, NO_ID},
    {"NotResource of a variable without value does not allow", LOADER, "s3:GetObject", OBJ, A1,
     "{'Version':'2012-10-17','Statement':{'Effect':'Allow','Action':'*',"
     "'NotResource':'arn:aws:s3:::b/${aws:username}/*'}}",
     NULL, NULL, POLICY_BUCKET, NULL, false, NO_ID},
    {"no variables in 2008", ALICE, "s3:GetObject", "arn:aws:s3:::b/alice", A1,
     "{'Version':'2008-10-17','Statement':{'Effect':'Allow','Action':'*',"
     "'Resource':'arn:aws:s3:::b/${aws:username}'}}",
     NULL, NULL, POLICY_BUCKET, NULL, false, NO_ID},
    {"boundary limits", ALICE, "s3:GetObject", OBJ, A1, ALL, ST("Allow", "kms:*", "*"), NULL,
     POLICY_BUCKET, NULL, false, "because no permissions boundary allows the s3:GetObject action"},
    {"boundary does not grant", ALICE, "s3:GetObject", OBJ, A1, NULL, ALL, NULL, POLICY_BUCKET,
     NULL, false, NO_ID},
    {"boundary and identity", ALICE, "s3:GetObject", OBJ, A1, ALL, ST("Allow", "s3:*", "*"), NULL,
     POLICY_BUCKET, NULL, true, NULL},
    {"deny in a boundary", ALICE, "s3:GetObject", OBJ, A1, ALL, ST("Deny", "s3:*", "*"), NULL,
     POLICY_BUCKET, NULL, false, "with an explicit deny in a permissions boundary"},
    {"session policy limits", LOADER, "s3:GetObject", OBJ, A1, ALL, NULL, ST("Allow", "kms:*", "*"),
     POLICY_BUCKET, NULL, false, "because no session policy allows the s3:GetObject action"},
    {"session policy does not grant", LOADER, "s3:GetObject", OBJ, A1, NULL, NULL, ALL,
     POLICY_BUCKET, NULL, false, NO_ID},
    {"session, boundary, identity", LOADER, "s3:GetObject", OBJ, A1, ALL, ALL, ALL, POLICY_BUCKET,
     NULL, true, NULL},
    {"deny in a session policy", LOADER, "s3:GetObject", OBJ, A1, ALL, NULL,
     ST("Deny", "s3:*", "*"), POLICY_BUCKET, NULL, false,
     "with an explicit deny in a session policy"},
    {"root needs no policy", ROOT, "iam:CreateUser", "*", A1, NULL, NULL, NULL, POLICY_IDENTITY,
     NULL, true, NULL},
    {"identity alone does not reach another account", BOB, "s3:GetObject", OBJ, A1, ALL, NULL, NULL,
     POLICY_BUCKET, NULL, false, NO_RES "s3:GetObject action"},
    {"root of another account neither", BOB_ROOT, "s3:GetObject", OBJ, A1, NULL, NULL, NULL,
     POLICY_BUCKET, NULL, false, NO_RES},

    /* key policies: section 4, points 2 to 7 */
    {"4.7 no key: identity decides", ALICE, "kms:ListKeys", "*", "",
     ST("Allow", "kms:ListKeys", "*"), NULL, NULL, POLICY_KEY, NULL, true, NULL},
    {"4.3 key policy names the user", ALICE, "kms:Decrypt", KEY, A1, NULL, NULL, NULL, POLICY_KEY,
     RP("Allow", P_ALICE, "kms:Decrypt"), true, NULL},
    {"4.3 key policy names everyone", ALICE, "kms:Decrypt", KEY, A1, NULL, NULL, NULL, POLICY_KEY,
     RP("Allow", "'*'", "kms:Decrypt"), true, NULL},
    {"4.3 delegation and identity", ALICE, "kms:Decrypt", KEY, A1, ST("Allow", "kms:Decrypt", KEY),
     NULL, NULL, POLICY_KEY, RP("Allow", P_ACCOUNT, "kms:*"), true, NULL},
    {"4.5 delegation by digits", ALICE, "kms:Decrypt", KEY, A1, ALL, NULL, NULL, POLICY_KEY,
     RP("Allow", P_DIGITS, "kms:*"), true, NULL},
    {"4.3 delegation alone", ALICE, "kms:Decrypt", KEY, A1, NULL, NULL, NULL, POLICY_KEY,
     RP("Allow", P_ACCOUNT, "kms:*"), false, NO_ID "kms:Decrypt action"},
    {"4.4 identity without delegation is void", ALICE, "kms:Decrypt", KEY, A1, ALL, NULL, NULL,
     POLICY_KEY, RP("Allow", P_ROLE, "kms:*"), false, NO_RES "kms:Decrypt action"},
    {"4.4 delegation of another action only", ALICE, "kms:Decrypt", KEY, A1, ALL, NULL, NULL,
     POLICY_KEY, RP("Allow", P_ACCOUNT, "kms:Describe*"), false, NO_RES},
    {"4.4 the owner is locked out", ROOT, "kms:PutKeyPolicy", KEY, A1, NULL, NULL, NULL, POLICY_KEY,
     RP("Allow", P_ALICE, "kms:*"), false, NO_RES},
    {"4.5 root by its account", ROOT, "kms:PutKeyPolicy", KEY, A1, NULL, NULL, NULL, POLICY_KEY,
     RP("Allow", P_ACCOUNT, "kms:*"), true, NULL},
    {"4.2 identity deny counts", ALICE, "kms:Decrypt", KEY, A1, ST("Deny", "kms:Decrypt", "*"),
     NULL, NULL, POLICY_KEY, RP("Allow", P_ALICE, "kms:*"), false,
     "with an explicit deny in an identity-based policy"},
    {"4.2 key policy deny wins", ALICE, "kms:Decrypt", KEY, A1, ALL, NULL, NULL, POLICY_KEY,
     "{'Statement':[{'Effect':'Allow','Principal':" P_ACCOUNT ",'Action':'kms:*','Resource':'*'},"
     "{'Effect':'Deny','Principal':" P_ALICE ",'Action':'kms:Decrypt','Resource':'*'}]}",
     false, "with an explicit deny in a resource-based policy"},
    {"4.2 deny of the account denies its users", ALICE, "kms:Decrypt", KEY, A1, ALL, NULL, NULL,
     POLICY_KEY,
     "{'Statement':[{'Effect':'Allow','Principal':" P_ALICE ",'Action':'kms:*','Resource':'*'},"
     "{'Effect':'Deny','Principal':" P_ACCOUNT ",'Action':'kms:*','Resource':'*'}]}",
     false, "with an explicit deny in a resource-based policy"},
    {"4.2 deny of the role denies its sessions", LOADER, "kms:Decrypt", KEY, A1, ALL, NULL, NULL,
     POLICY_KEY,
     "{'Statement':[{'Effect':'Allow','Principal':'*','Action':'kms:*','Resource':'*'},"
     "{'Effect':'Deny','Principal':" P_ROLE ",'Action':'kms:*','Resource':'*'}]}",
     false, "with an explicit deny in a resource-based policy"},
    {"4.3 the role for its session", LOADER, "kms:Decrypt", KEY, A1, NULL, NULL, NULL, POLICY_KEY,
     RP("Allow", P_ROLE, "kms:Decrypt"), true, NULL},
    {"4.3a role named: the session policy limits", LOADER, "kms:Decrypt", KEY, A1, NULL, NULL,
     ST("Allow", "s3:*", "*"), POLICY_KEY, RP("Allow", P_ROLE, "kms:Decrypt"), false,
     "because no session policy allows the kms:Decrypt action"},
    {"4.3a role named: the boundary limits", LOADER, "kms:Decrypt", KEY, A1, NULL,
     ST("Allow", "s3:*", "*"), NULL, POLICY_KEY, RP("Allow", P_ROLE, "kms:Decrypt"), false,
     "because no permissions boundary allows the kms:Decrypt action"},
    {"4.3a role named: both allow", LOADER, "kms:Decrypt", KEY, A1, NULL, ALL, ALL, POLICY_KEY,
     RP("Allow", P_ROLE, "kms:Decrypt"), true, NULL},
    {"4.3a session named: not limited", LOADER, "kms:Decrypt", KEY, A1, NULL,
     ST("Allow", "s3:*", "*"), ST("Allow", "s3:*", "*"), POLICY_KEY,
     RP("Allow", P_SESSION, "kms:Decrypt"), true, NULL},
    {"4.3a session named: a deny still counts", LOADER, "kms:Decrypt", KEY, A1, NULL, NULL,
     ST("Deny", "kms:*", "*"), POLICY_KEY, RP("Allow", P_SESSION, "kms:Decrypt"), false,
     "with an explicit deny in a session policy"},
    {"4.3a user named: the boundary does not limit", ALICE, "kms:Decrypt", KEY, A1, NULL,
     ST("Allow", "s3:*", "*"), NULL, POLICY_KEY, RP("Allow", P_ALICE, "kms:Decrypt"), true, NULL},
    {"4.3a delegation: the boundary limits", ALICE, "kms:Decrypt", KEY, A1, ALL,
     ST("Allow", "s3:*", "*"), NULL, POLICY_KEY, RP("Allow", P_ACCOUNT, "kms:*"), false,
     "because no permissions boundary allows"},
    {"another session of the role", BOB_ROLE, "kms:Decrypt", KEY, A2, NULL, NULL, NULL, POLICY_KEY,
     RP("Allow", "{'AWS':'arn:aws:sts::" A2 ":assumed-role/Reader/other'}", "kms:*"), false,
     NO_RES},
    {"unique id of a user", ALICE, "kms:Decrypt", KEY, A1, NULL, NULL, NULL, POLICY_KEY,
     RP("Allow", "{'AWS':'AIDAALICEALICEALICE22'}", "kms:*"), true, NULL},
    {"unique id of a role", LOADER, "kms:Decrypt", KEY, A1, NULL, NULL, NULL, POLICY_KEY,
     RP("Allow", "{'AWS':'AROALOADERLOADERLOAD2'}", "kms:*"), true, NULL},
    {"unique id of another", LOADER, "kms:Decrypt", KEY, A1, NULL, NULL, NULL, POLICY_KEY,
     RP("Allow", "{'AWS':'AROALOADERLOADERLOAD3'}", "kms:*"), false, NO_RES},
    {"4.6 both sides", BOB, "kms:Decrypt", KEY, A1, ST("Allow", "kms:Decrypt", KEY), NULL, NULL,
     POLICY_KEY, RP("Allow", P_OTHER, "kms:Decrypt"), true, NULL},
    {"4.6 principal named and identity", BOB, "kms:Decrypt", KEY, A1, ALL, NULL, NULL, POLICY_KEY,
     RP("Allow", P_BOB, "kms:Decrypt"), true, NULL},
    {"4.6 principal named, no identity", BOB, "kms:Decrypt", KEY, A1, NULL, NULL, NULL, POLICY_KEY,
     RP("Allow", P_BOB, "kms:Decrypt"), false, NO_ID "kms:Decrypt action"},
    {"4.6 everyone named, no identity", BOB, "kms:Decrypt", KEY, A1, NULL, NULL, NULL, POLICY_KEY,
     RP("Allow", "'*'", "kms:Decrypt"), false, NO_ID},
    {"4.6 identity, not in the key policy", BOB, "kms:Decrypt", KEY, A1, ALL, NULL, NULL,
     POLICY_KEY, RP("Allow", P_ACCOUNT, "kms:*"), false, VAGUE},
    {"4.6 a foreign deny is vague", BOB, "kms:Decrypt", KEY, A1, ALL, NULL, NULL, POLICY_KEY,
     RP("Deny", P_BOB, "kms:*"), false, VAGUE},
    {"4.6 root of the other account", BOB_ROOT, "kms:Decrypt", KEY, A1, NULL, NULL, NULL,
     POLICY_KEY, RP("Allow", P_OTHER, "kms:Decrypt"), true, NULL},
    {"4.6 the boundary counts across accounts", BOB, "kms:Decrypt", KEY, A1, ALL,
     ST("Allow", "s3:*", "*"), NULL, POLICY_KEY, RP("Allow", P_BOB, "kms:Decrypt"), false,
     "because no permissions boundary allows"},
    {"4.8 statement without Action is inert", ALICE, "kms:Decrypt", KEY, A1, NULL, NULL, NULL,
     POLICY_KEY, "{'Statement':{'Effect':'Allow','Principal':'*','Resource':'*'}}", false, NO_RES},
    {"4.8 statement without Resource is inert", ALICE, "kms:Decrypt", KEY, A1, NULL, NULL, NULL,
     POLICY_KEY, "{'Statement':{'Effect':'Allow','Principal':'*','Action':'kms:*'}}", false,
     NO_RES},
    {"key policy for another ARN", ALICE, "kms:Decrypt", KEY, A1, NULL, NULL, NULL, POLICY_KEY,
     "{'Statement':{'Effect':'Allow','Principal':'*','Action':'kms:*',"
     "'Resource':'arn:aws:kms:us-east-1:" A1 ":key/other'}}",
     false, NO_RES},
    {"service named", REDSHIFT, "kms:Decrypt", KEY, A1, NULL, NULL, NULL, POLICY_KEY,
     RP("Allow", P_SERVICE, "kms:Decrypt"), true, NULL},
    {"a service needs its name", REDSHIFT, "kms:Decrypt", KEY, A1, NULL, NULL, NULL, POLICY_KEY,
     RP("Allow", "'*'", "kms:Decrypt"), false, NO_RES},
    {"a user is no service", ALICE, "kms:Decrypt", KEY, A1, ALL, NULL, NULL, POLICY_KEY,
     RP("Allow", P_SERVICE, "kms:Decrypt"), false, NO_RES},
    {"a key is never for the anonymous", NOBODY, "kms:Decrypt", KEY, A1, NULL, NULL, NULL,
     POLICY_KEY, RP("Allow", "'*'", "kms:Decrypt"), false, "anonymous is not authorized"},

    /* bucket policies */
    {"bucket policy alone", ALICE, "s3:GetObject", OBJ, A1, NULL, NULL, NULL, POLICY_BUCKET,
     BP("Allow", P_ALICE, "s3:GetObject"), true, NULL},
    {"identity alone", ALICE, "s3:GetObject", OBJ, A1, ALL, NULL, NULL, POLICY_BUCKET,
     BP("Allow", P_ROLE, "s3:GetObject"), true, NULL},
    {"neither", ALICE, "s3:GetObject", OBJ, A1, NULL, NULL, NULL, POLICY_BUCKET,
     BP("Allow", P_ROLE, "s3:GetObject"), false, NO_ID},
    {"bucket policy of the account needs identity", ALICE, "s3:GetObject", OBJ, A1, NULL, NULL,
     NULL, POLICY_BUCKET, BP("Allow", P_ACCOUNT, "s3:*"), false, NO_ID},
    {"bucket policy denies", ALICE, "s3:GetObject", OBJ, A1, ALL, NULL, NULL, POLICY_BUCKET,
     BP("Deny", "'*'", "s3:GetObject"), false, "with an explicit deny in a resource-based policy"},
    {"a deny binds root", ROOT, "s3:GetObject", OBJ, A1, NULL, NULL, NULL, POLICY_BUCKET,
     BP("Deny", "'*'", "s3:GetObject"), false, "with an explicit deny in a resource-based policy"},
    {"root without bucket policy", ROOT, "s3:GetObject", OBJ, A1, NULL, NULL, NULL, POLICY_BUCKET,
     NULL, true, NULL},
    {"bucket: role named, session policy limits", LOADER, "s3:GetObject", OBJ, A1, NULL, NULL,
     ST("Allow", "kms:*", "*"), POLICY_BUCKET, BP("Allow", P_ROLE, "s3:*"), false,
     "because no session policy allows"},
    {"bucket: session named", LOADER, "s3:GetObject", OBJ, A1, NULL, NULL,
     ST("Allow", "kms:*", "*"), POLICY_BUCKET, BP("Allow", P_SESSION, "s3:*"), true, NULL},
    {"bucket: both sides across accounts", BOB, "s3:GetObject", OBJ, A1,
     ST("Allow", "s3:GetObject", OBJ), NULL, NULL, POLICY_BUCKET, BP("Allow", P_OTHER, "s3:*"),
     true, NULL},
    {"bucket: only the bucket's side", BOB, "s3:GetObject", OBJ, A1, NULL, NULL, NULL,
     POLICY_BUCKET, BP("Allow", P_BOB, "s3:*"), false, NO_ID},
    {"bucket: only the caller's side", BOB, "s3:GetObject", OBJ, A1, ALL, NULL, NULL, POLICY_BUCKET,
     BP("Allow", P_ALICE, "s3:*"), false, NO_RES},
    {"public bucket", NOBODY, "s3:GetObject", OBJ, A1, NULL, NULL, NULL, POLICY_BUCKET,
     BP("Allow", "'*'", "s3:GetObject"), true, NULL},
    {"public by AWS star", NOBODY, "s3:GetObject", OBJ, A1, NULL, NULL, NULL, POLICY_BUCKET,
     BP("Allow", "{'AWS':'*'}", "s3:GetObject"), true, NULL},
    {"private bucket", NOBODY, "s3:GetObject", OBJ, A1, NULL, NULL, NULL, POLICY_BUCKET, NULL,
     false, NO_RES "s3:GetObject action"},
    {"the account is not the anonymous", NOBODY, "s3:GetObject", OBJ, A1, NULL, NULL, NULL,
     POLICY_BUCKET, BP("Allow", P_ACCOUNT, "s3:GetObject"), false, NO_RES},
    {"public, with a deny", NOBODY, "s3:GetObject", OBJ, A1, NULL, NULL, NULL, POLICY_BUCKET,
     "{'Statement':[{'Effect':'Allow','Principal':'*','Action':'s3:*','Resource':'arn:aws:s3:::b/"
     "*'},"
     "{'Effect':'Deny','Principal':'*','Action':'s3:*','Resource':'arn:aws:s3:::b/*',"
     "'Condition':{'StringEquals':{'aws:PrincipalType':'Anonymous'}}}]}",
     false, "with an explicit deny in a resource-based policy"},
    {"NotPrincipal: user and account named", ALICE, "s3:GetObject", OBJ, A1, NULL, NULL, NULL,
     POLICY_BUCKET, NP("{'AWS':['arn:aws:iam::" A1 ":user/team/alice','" A1 "']}"), true, NULL},
    {"NotPrincipal: the account is missing", ALICE, "s3:GetObject", OBJ, A1, NULL, NULL, NULL,
     POLICY_BUCKET, NP(P_ALICE), false, "with an explicit deny in a resource-based policy"},
    {"NotPrincipal: others", LOADER, "s3:GetObject", OBJ, A1, ALL, NULL, NULL, POLICY_BUCKET,
     NP("{'AWS':['arn:aws:iam::" A1 ":user/team/alice','" A1 "']}"), false,
     "with an explicit deny in a resource-based policy"},
    {"NotPrincipal: session in full", LOADER, "s3:GetObject", OBJ, A1, NULL, NULL, NULL,
     POLICY_BUCKET,
     NP("{'AWS':['arn:aws:sts::" A1 ":assumed-role/Loader/s1','" ROLE "','" A1 "']}"), true, NULL},
    {"NotPrincipal: the anonymous", NOBODY, "s3:GetObject", OBJ, A1, NULL, NULL, NULL,
     POLICY_BUCKET, NP(P_ACCOUNT), false, "with an explicit deny in a resource-based policy"},
    {"several principals", BOB, "s3:GetObject", OBJ, A1, ALL, NULL, NULL, POLICY_BUCKET,
     BP("Allow", "{'AWS':['" A1 "','" A2 "'],'Service':'s3.amazonaws.com'}", "s3:*"), true, NULL},
    {"federated principals meet nobody", ALICE, "s3:GetObject", OBJ, A1, NULL, NULL, NULL,
     POLICY_BUCKET, BP("Allow", "{'Federated':'cognito-identity.amazonaws.com'}", "s3:*"), false,
     NO_ID},

    /* trust policies */
    {"trust names the user", ALICE, "sts:AssumeRole", ROLE, A1, NULL, NULL, NULL, POLICY_TRUST,
     TP("Allow", P_ALICE), true, NULL},
    {"trust of the account needs identity", ALICE, "sts:AssumeRole", ROLE, A1, NULL, NULL, NULL,
     POLICY_TRUST, TP("Allow", P_ACCOUNT), false, NO_ID "sts:AssumeRole action"},
    {"trust of the account with identity", ALICE, "sts:AssumeRole", ROLE, A1, ALL, NULL, NULL,
     POLICY_TRUST, TP("Allow", P_ACCOUNT), true, NULL},
    {"no trust", ALICE, "sts:AssumeRole", ROLE, A1, ALL, NULL, NULL, POLICY_TRUST,
     TP("Allow", P_SERVICE), false,
     "because no role trust policy allows the sts:AssumeRole action"},
    {"trust denies", ALICE, "sts:AssumeRole", ROLE, A1, ALL, NULL, NULL, POLICY_TRUST,
     TP("Deny", P_ALICE), false, "with an explicit deny in the role trust policy"},
    {"identity denies", ALICE, "sts:AssumeRole", ROLE, A1, ST("Deny", "sts:*", "*"), NULL, NULL,
     POLICY_TRUST, TP("Allow", P_ALICE), false,
     "with an explicit deny in an identity-based policy"},
    {"root assumes no role", ROOT, "sts:AssumeRole", ROLE, A1, NULL, NULL, NULL, POLICY_TRUST,
     TP("Allow", P_ACCOUNT), false, "because roles may not be assumed by root accounts"},
    {"trust across accounts", BOB, "sts:AssumeRole", ROLE, A1, ST("Allow", "sts:AssumeRole", ROLE),
     NULL, NULL, POLICY_TRUST, TP("Allow", P_OTHER), true, NULL},
    {"trust across accounts, no identity", BOB, "sts:AssumeRole", ROLE, A1, NULL, NULL, NULL,
     POLICY_TRUST, TP("Allow", P_BOB), false, NO_ID},
    {"identity across accounts, no trust", BOB, "sts:AssumeRole", ROLE, A1, ALL, NULL, NULL,
     POLICY_TRUST, TP("Allow", P_ACCOUNT), false, "because no role trust policy allows"},
    {"trust of the service", REDSHIFT, "sts:AssumeRole", ROLE, A1, NULL, NULL, NULL, POLICY_TRUST,
     TP("Allow", P_SERVICE), true, NULL},
    {"trust of another service", REDSHIFT, "sts:AssumeRole", ROLE, A1, NULL, NULL, NULL,
     POLICY_TRUST, TP("Allow", "{'Service':'ec2.amazonaws.com'}"), false,
     "because no role trust policy allows"},
    {"a deny of everyone denies services", REDSHIFT, "sts:AssumeRole", ROLE, A1, NULL, NULL, NULL,
     POLICY_TRUST,
     "{'Statement':[{'Effect':'Allow','Principal':" P_SERVICE ",'Action':'sts:AssumeRole'},"
     "{'Effect':'Deny','Principal':'*','Action':'sts:AssumeRole'}]}",
     false, "with an explicit deny in the role trust policy"},
    {"chained: the session's role is trusted", LOADER, "sts:AssumeRole",
     "arn:aws:iam::" A1 ":role/Next", A1, NULL, NULL, NULL, POLICY_TRUST, TP("Allow", P_ROLE), true,
     NULL},
    {"chained: the session policy limits", LOADER, "sts:AssumeRole",
     "arn:aws:iam::" A1 ":role/Next", A1, ALL, NULL, ST("Allow", "s3:*", "*"), POLICY_TRUST,
     TP("Allow", P_ROLE), false, "because no session policy allows"},
    {"the anonymous assume nothing", NOBODY, "sts:AssumeRole", ROLE, A1, NULL, NULL, NULL,
     POLICY_TRUST, TP("Allow", "'*'"), false, "because no role trust policy allows"},
};

static void decisions(void **state) {
    int wrong = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];
        SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(1024 * 1024);
        const struct policy *identity = parsed(r->identity, POLICY_IDENTITY, &a);
        const struct policy *session = parsed(r->session, POLICY_SESSION, &a);
        struct policy_set set = {.identity = &identity,
                                 .identity_count = identity != NULL,
                                 .boundary = parsed(r->boundary, POLICY_BOUNDARY, &a),
                                 .session = &session,
                                 .session_count = session != NULL,
                                 .resource = parsed(r->policy, r->kind, &a),
                                 .resource_kind = r->kind};
        struct policy_request req = {&callers[r->who],
                                     slice_cstr(r->action),
                                     slice_cstr(r->resource),
                                     slice_cstr(r->owner),
                                     NULL,
                                     0};
        struct policy_verdict v = policy_decide(&set, &req, &a);
        const char *text = policy_denied_message(&v, &req, &a);
        if ((v.decision == POLICY_ALLOW) != r->allowed ||
            (!r->allowed && strstr(text, r->why) == NULL)) {
            print_error("%s: %s %s\n", r->rule, v.decision ? "allowed" : "denied", text);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

static void sid_of_the_deciding_statement(void **state) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(64 * 1024);
    const struct policy *p =
        parsed("{'Statement':[{'Sid':'one','Effect':'Allow','Action':'s3:Get*','Resource':'*'},"
               "{'Sid':'two','Effect':'Deny','Action':'s3:GetObject','Resource':'*'}]}",
               POLICY_IDENTITY, &a);
    struct policy_set set = {.identity = &p, .identity_count = 1, .resource_kind = POLICY_BUCKET};
    struct policy_request req = {
        &callers[ALICE], SLICE_LIT("s3:GetObject"), SLICE_LIT(OBJ), SLICE_LIT(A1), NULL, 0};
    struct policy_verdict v = policy_decide(&set, &req, &a);
    assert_true(v.explicit_deny);
    assert_true(slice_eq_cstr(v.sid, "two"));
    req.action = SLICE_LIT("s3:GetBucketPolicy");
    v = policy_decide(&set, &req, &a);
    assert_int_equal(v.decision, POLICY_ALLOW);
    assert_true(slice_eq_cstr(v.sid, "one"));
}

static void message_is_whole(void **state) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(64 * 1024);
    struct policy_set set = {.resource_kind = POLICY_BUCKET};
    struct policy_request req = {
        &callers[LOADER], SLICE_LIT("s3:GetObject"), SLICE_LIT(OBJ), SLICE_LIT(A1), NULL, 0};
    struct policy_verdict v = policy_decide(&set, &req, &a);
    assert_string_equal(policy_denied_message(&v, &req, &a),
                        "User: arn:aws:sts::" A1 ":assumed-role/Loader/s1 is not authorized to "
                        "perform: s3:GetObject on resource: " OBJ
                        " because no identity-based policy allows the s3:GetObject action");
}

struct grant_row {
    const char *rule;
    enum who who;
    int grantee; /* -1: no grant */
    const char *identity, *boundary, *policy;
    bool allowed;
    enum policy_source by;
};

/* Reference section 4, points 2, 3, 3a, 6 and 9. */
static const struct grant_row grant_rows[] = {
    {"3 a grant alone allows", ALICE, POLICY_GRANT_DIRECT, NULL, NULL,
     RP("Allow", P_SERVICE, "kms:*"), true, POLICY_BY_GRANT},
    {"3 no grant", ALICE, -1, NULL, NULL, RP("Allow", P_SERVICE, "kms:*"), false,
     POLICY_BY_RESOURCE},
    {"9 the key policy comes first", ALICE, POLICY_GRANT_DIRECT, NULL, NULL,
     RP("Allow", P_ALICE, "kms:*"), true, POLICY_BY_RESOURCE},
    {"2 a deny of the key policy beats it", ALICE, POLICY_GRANT_DIRECT, NULL, NULL,
     RP("Deny", P_ALICE, "kms:*"), false, POLICY_BY_RESOURCE},
    {"2 a deny of the identity beats it", ALICE, POLICY_GRANT_DIRECT, ST("Deny", "kms:*", "*"),
     NULL, RP("Allow", P_ALICE, "kms:*"), false, POLICY_BY_IDENTITY},
    {"2 a deny of the boundary beats it", ALICE, POLICY_GRANT_DIRECT, NULL,
     ST("Deny", "kms:*", "*"), RP("Allow", P_ALICE, "kms:*"), false, POLICY_BY_BOUNDARY},
    {"3a direct: the boundary's silence does not count", ALICE, POLICY_GRANT_DIRECT, NULL,
     ST("Allow", "s3:*", "*"), RP("Allow", P_SERVICE, "kms:*"), true, POLICY_BY_GRANT},
    {"3a role: the boundary's silence counts", LOADER, POLICY_GRANT_ROLE, NULL,
     ST("Allow", "s3:*", "*"), RP("Allow", P_SERVICE, "kms:*"), false, POLICY_BY_BOUNDARY},
    {"3a role: the boundary allows", LOADER, POLICY_GRANT_ROLE, NULL, ST("Allow", "kms:*", "*"),
     RP("Allow", P_SERVICE, "kms:*"), true, POLICY_BY_GRANT},
    {"6 across accounts, no identity policy", BOB, POLICY_GRANT_DIRECT, NULL, NULL,
     RP("Allow", P_ACCOUNT, "kms:*"), true, POLICY_BY_GRANT},
    {"6 across accounts, no grant", BOB, -1, NULL, NULL, RP("Allow", P_ACCOUNT, "kms:*"), false,
     POLICY_BY_RESOURCE},
    {"6 across accounts, denied", BOB, POLICY_GRANT_DIRECT, NULL, NULL, RP("Deny", "'*'", "kms:*"),
     false, POLICY_BY_RESOURCE},
    {"6 across accounts, role, boundary silent", BOB_ROLE, POLICY_GRANT_ROLE, NULL,
     ST("Allow", "s3:*", "*"), RP("Allow", P_ACCOUNT, "kms:*"), false, POLICY_BY_BOUNDARY},
    {"6 across accounts, role, boundary allows", BOB_ROLE, POLICY_GRANT_ROLE, NULL, ALL,
     RP("Allow", P_ACCOUNT, "kms:*"), true, POLICY_BY_GRANT},
    {"5 the account as grantee: identity policies must allow", ALICE, POLICY_GRANT_ACCOUNT,
     ST("Allow", "kms:*", "*"), NULL, RP("Allow", P_SERVICE, "kms:*"), true, POLICY_BY_GRANT},
    {"5 the account as grantee, no identity policy", ALICE, POLICY_GRANT_ACCOUNT, NULL, NULL,
     RP("Allow", P_SERVICE, "kms:*"), false, POLICY_BY_IDENTITY},
    {"5 the account as grantee, boundary silent", ALICE, POLICY_GRANT_ACCOUNT,
     ST("Allow", "kms:*", "*"), ST("Allow", "s3:*", "*"), RP("Allow", P_SERVICE, "kms:*"), false,
     POLICY_BY_BOUNDARY},
    {"5 another account as grantee", BOB, POLICY_GRANT_ACCOUNT, ST("Allow", "kms:*", "*"), NULL,
     RP("Allow", P_ACCOUNT, "kms:*"), true, POLICY_BY_GRANT},
    {"5 another account as grantee, no identity policy", BOB, POLICY_GRANT_ACCOUNT, NULL, NULL,
     RP("Allow", P_ACCOUNT, "kms:*"), false, POLICY_BY_IDENTITY},
    {"a service as grantee", REDSHIFT, POLICY_GRANT_DIRECT, NULL, NULL,
     RP("Allow", P_ACCOUNT, "kms:*"), true, POLICY_BY_GRANT},
    {"a service without grant", REDSHIFT, -1, NULL, NULL, RP("Allow", P_ACCOUNT, "kms:*"), false,
     POLICY_BY_RESOURCE},
};

static void grants(void **state) {
    int wrong = 0;
    for (size_t i = 0; i < sizeof grant_rows / sizeof *grant_rows; i++) {
        const struct grant_row *r = &grant_rows[i];
        SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(1024 * 1024);
        const struct policy *identity = parsed(r->identity, POLICY_IDENTITY, &a);
        struct policy_grant grant = {r->grantee < 0 ? 0 : r->grantee, SLICE_LIT("0f")};
        struct policy_set set = {.identity = &identity,
                                 .identity_count = identity != NULL,
                                 .boundary = parsed(r->boundary, POLICY_BOUNDARY, &a),
                                 .resource = parsed(r->policy, POLICY_KEY, &a),
                                 .resource_kind = POLICY_KEY,
                                 .grant = r->grantee < 0 ? NULL : &grant};
        struct policy_request req = {
            &callers[r->who], SLICE_LIT("kms:Decrypt"), SLICE_LIT(KEY), SLICE_LIT(A1), NULL, 0};
        struct policy_verdict v = policy_decide(&set, &req, &a);
        if ((v.decision == POLICY_ALLOW) != r->allowed || v.by != r->by) {
            print_error("%s: %s by %d\n", r->rule, v.decision ? "allowed" : "denied", v.by);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

/* AssumeRole's Policy and PolicyArns are one limit: each may allow, each may deny. */
static void several_session_policies(void **state) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(64 * 1024);
    const struct policy *all = parsed(ALL, POLICY_IDENTITY, &a);
    const struct policy *session[] = {parsed(ST("Allow", "kms:*", "*"), POLICY_SESSION, &a),
                                      parsed(ST("Allow", "s3:Get*", "*"), POLICY_SESSION, &a),
                                      parsed(ST("Deny", "s3:*", "*"), POLICY_SESSION, &a)};
    const struct slice names[] = {SLICE_LIT("one"), SLICE_LIT("two"), SLICE_LIT("three")};
    struct policy_set set = {.identity = &all,
                             .identity_count = 1,
                             .session = session,
                             .session_count = 2,
                             .session_names = names,
                             .resource_kind = POLICY_BUCKET};
    struct policy_request req = {
        &callers[LOADER], SLICE_LIT("s3:GetObject"), SLICE_LIT(OBJ), SLICE_LIT(A1), NULL, 0};
    assert_int_equal(policy_decide(&set, &req, &a).decision, POLICY_ALLOW);
    set.session_count = 1;
    struct policy_verdict v = policy_decide(&set, &req, &a);
    assert_int_equal(v.decision, POLICY_DENY);
    assert_int_equal(v.missing, 1 << POLICY_BY_SESSION);
    set.session_count = 3;
    v = policy_decide(&set, &req, &a);
    assert_int_equal(v.decision, POLICY_DENY);
    assert_int_equal(v.by, POLICY_BY_SESSION);
    assert_int_equal(v.policy, 2);
    assert_true(slice_eq_cstr(v.policy_name, "three"));
}

/* Without memory to replace variables nothing is allowed, though one policy allows everything. */
static void no_memory_denies(void **state) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(64 * 1024);
    struct arena none = ARENA_INIT(0);
    const struct policy *p =
        parsed("{'Version':'2012-10-17','Statement':[{'Effect':'Deny','Action':'*','Resource':"
               "'arn:aws:s3:::b/${aws:username}'},"
               "{'Effect':'Allow','Action':'*','Resource':'*'}]}",
               POLICY_IDENTITY, &a);
    struct policy_set set = {.identity = &p, .identity_count = 1, .resource_kind = POLICY_BUCKET};
    struct policy_request req = {
        &callers[ALICE], SLICE_LIT("s3:GetObject"), SLICE_LIT(OBJ), SLICE_LIT(A1), NULL, 0};
    assert_int_equal(policy_decide(&set, &req, &a).decision, POLICY_ALLOW);
    assert_int_equal(policy_decide(&set, &req, &none).decision, POLICY_DENY);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decisions),        cmocka_unit_test(sid_of_the_deciding_statement),
        cmocka_unit_test(grants),           cmocka_unit_test(several_session_policies),
        cmocka_unit_test(message_is_whole), cmocka_unit_test(no_memory_denies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
