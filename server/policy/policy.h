/* The policy engine: documents, conditions, decisions, for every service. Pure: no database, no
 * clock, no keys. */
#ifndef SL_POLICY_H
#define SL_POLICY_H

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/rc.h"
#include "lib/base/slice.h"

struct policy; /* a parsed document, in an arena */

enum policy_kind {
    POLICY_IDENTITY,
    POLICY_KEY,
    POLICY_BUCKET,
    POLICY_TRUST,
    POLICY_SESSION,
    POLICY_BOUNDARY
};

/* Parses and validates for its kind (identity policies have no Principal, resource policies must;
 * Version known; duplicate keys refused; unknown elements refused). Detail says what and where;
 * code SL_E_PARSE, edges translate. */
struct sl_rc policy_parse(struct slice text, enum policy_kind kind, struct arena *a,
                          struct sl_error *err, const struct policy **ret);

/* Walks the AWS principals ("*" left out) and the resource patterns that a policy names; *cursor
 * starts at 0. For checks that need the outside: does the principal exist, is it this bucket? */
bool policy_next_principal(const struct policy *p, size_t *cursor, struct slice *ret_aws);
bool policy_next_resource(const struct policy *p, size_t *cursor, struct slice *ret_pattern);

/* Who asks. Slices are borrowed. */
struct policy_principal {
    enum {
        PRINCIPAL_ANONYMOUS,
        PRINCIPAL_ROOT,
        PRINCIPAL_USER,
        PRINCIPAL_ROLE_SESSION,
        PRINCIPAL_SERVICE
    } type;
    struct slice account;   /* 12 digits; empty for anonymous and services */
    struct slice arn;       /* user ARN; for sessions arn:aws:sts::A:assumed-role/R/S */
    struct slice role_arn;  /* sessions: the role's IAM ARN */
    struct slice user_id;   /* aws:userid */
    struct slice user_name; /* aws:username, users only */
    struct slice service;   /* "redshift.amazonaws.com" for services */
    int64_t token_issued_s; /* sessions: aws:TokenIssueTime; 0 otherwise */
};

/* A condition key of the request, with one value or several. Names compare case-blind. */
struct policy_key {
    struct slice name; /* "aws:SourceIp", "kms:EncryptionContext:aws:s3:arn" */
    const struct slice *values;
    size_t count;
};

struct policy_request {
    const struct policy_principal *principal;
    struct slice action;   /* "kms:Decrypt" */
    struct slice resource; /* ARN, or "*" */
    struct slice
        resource_account; /* owner; empty when the resource has no owner (ListKeys: the caller's) */
    const struct policy_key
        *keys; /* service keys and the global ones; aws:Principal* and friends are added inside */
    size_t key_count;
};

/* A grant on the key that fits the request (operation, constraints); the caller has found it. It
 * allows as a key policy's statement would that names the grantee; a user, role or session needs no
 * identity policy then, across accounts neither. It never beats an explicit deny. */
struct policy_grant {
    enum {
        POLICY_GRANT_DIRECT, /* the grantee is this user, session or service: implicit denies of
                                boundary and session policies don't count */
        POLICY_GRANT_ROLE,   /* the grantee is the session's role: they do */
        POLICY_GRANT_ACCOUNT /* the grantee is the caller's account: identity policies must allow
                                too, as with a key policy that names the account */
    } grantee;
    struct slice id; /* for the explanation; may be empty */
};

/* The policies that bear on a request, parsed. Any may be absent. Names (ARN of a managed policy,
 * name of an inline one) are for explanations: NULL or empty where they are not known. */
struct policy_set {
    const struct policy *const *identity; /* user or role policies, groups' included */
    size_t identity_count;
    const struct slice *identity_names; /* as many as identity, or NULL */
    const struct policy *boundary;
    struct slice boundary_name;
    const struct policy *const *session; /* of AssumeRole (Policy and PolicyArns): together one
                                            limit, what any of them allows is within it */
    size_t session_count;
    const struct slice *session_names; /* as many as session, or NULL */
    const struct policy *resource;     /* key, bucket or trust policy */
    enum policy_kind resource_kind;
    const struct policy_grant *grant; /* only beside a key policy; NULL: none fits */
};

/* Zero is DENY: the default. */
enum policy_decision { POLICY_DENY = 0, POLICY_ALLOW = 1 };

/* Kinds of policy as a verdict names them. */
enum policy_source {
    POLICY_BY_RULE, /* no policy: the account's root user, or a rule about principals */
    POLICY_BY_IDENTITY,
    POLICY_BY_BOUNDARY,
    POLICY_BY_SESSION,
    POLICY_BY_RESOURCE,
    POLICY_BY_GRANT,
    POLICY_SOURCES
};

/* Why; texts for people, as AWS words them. Slices are the set's and the policies'. */
struct policy_verdict {
    enum policy_decision decision;
    bool explicit_deny;
    const char *reason; /* tail of AWS's message, e.g. "because no identity-based policy allows the
                           kms:Decrypt action" */
    struct slice sid;   /* deciding statement's Sid or empty */
    /* Allowed, or an explicit deny: the kind of the policy that decided, its index in its list, the
     * statement's index. Else the first kind whose allow is missing, and zeros. */
    enum policy_source by;
    size_t policy, statement;
    struct slice policy_name; /* as the set names it; a grant's id */
    unsigned missing; /* denied for want of allows: a bit (1 << POLICY_BY_…) for each kind */
};

/* Decides by shared/reference rules: explicit deny anywhere wins; same account: for POLICY_KEY an
 * identity allow counts only where the key policy delegates to the account; for POLICY_BUCKET
 * identity or bucket policy allows; cross-account: both sides must allow; POLICY_TRUST: the trust
 * policy must allow (and, same account, that is enough). */
struct policy_verdict policy_decide(const struct policy_set *set, const struct policy_request *req,
                                    struct arena *a);

/* Writes the verdict, with the set and the request that led to it, as the JSON that
 * sts:DecodeAuthorizationMessage answers with (AWS's members, and "sealift": which policy decided
 * or which allows are missing, and the smallest change that would allow). What does not fit into
 * `out`'s cap is left off ("truncated": true); SL_E_LIMIT when not even the least fits. A resource
 * policy of another account than the caller's is never shown: the answer is for the caller's side.
 */
struct sl_rc policy_explain(const struct policy_verdict *v, const struct policy_set *set,
                            const struct policy_request *req, struct arena *a, struct buf *out,
                            struct sl_error *err);

/* "User: arn is not authorized to perform: action on resource: arn because …", into the arena. */
const char *policy_denied_message(const struct policy_verdict *v, const struct policy_request *req,
                                  struct arena *a);

#endif
