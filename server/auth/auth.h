/* Authentication in the kms process: whose request is this, and may they? Used by the HTTP services
 * (KMS, IAM, STS) and by the authorize calls of s3 and gateway. Verifies SigV4 (15 minutes of skew
 * against real time), long-term and session keys; makes and opens forward sessions and STS session
 * tokens (docs/decisions/3-forward-sessions.md). */
#ifndef SL_AUTH_H
#define SL_AUTH_H

#include "lib/sigv4/sigv4.h"
#include "server/policy/policy.h"
#include "server/store/identity/identity.h"

struct keyholder;
struct kms_db;
struct kept_holds;
struct used;

/* What temporary credentials say: whose they are, and what limits and marks the session. */
struct auth_sts {
    enum auth_sts_kind {
        AUTH_STS_ROLE = 1, /* AssumeRole */
        AUTH_STS_USER = 2, /* GetSessionToken */
    } kind;
    struct slice account;
    struct slice role_arn; /* roles */
    struct slice id;   /* AROA… of the role, AIDA… of the user: a later one of the same name is
                          another */
    struct slice name; /* of the session; users: empty */
    struct slice policy;             /* session policy's text, or empty */
    const struct slice *policy_arns; /* managed session policies, read whenever they count */
    size_t policy_arn_count;
    const struct iam_tag *tags; /* session tags, those passed on from the session before included */
    size_t tag_count;
    const struct slice *transitive; /* names of tags that the next session gets too */
    size_t transitive_count;
    struct slice source_identity; /* empty: none */
    int64_t issued_ms;
    int64_t expires_s;
};
enum {
    AUTH_POLICY_ARNS_MAX = 10,
    AUTH_TAGS_MAX = 50,
    /* Policies and tags of a session together: a token has to fit into a request's head. */
    AUTH_PACKED_MAX_BYTES = 4096,
};
/* The bytes that count towards AUTH_PACKED_MAX_BYTES. */
size_t auth_sts_packed_bytes(const struct auth_sts *s);

/* Everything deciding needs to know about who asks. Slices in the request's arena. */
struct auth_caller {
    struct identity who;                 /* principal and identity policies */
    const struct auth_sts *sts;          /* of temporary credentials; NULL for long-term keys */
    const struct policy *const *session; /* session policies, parsed */
    const struct slice *session_names;
    size_t session_count;
    const struct policy_grant *grant; /* on the key at hand, for this request; NULL: none fits */
    struct slice source_ip;
    bool tls;
    struct slice region;  /* of the credential scope */
    struct slice service; /* of the credential scope */
    struct slice user_agent;
    struct slice referer;     /* of the request at hand; not kept in forward sessions */
    struct slice via_service; /* "s3.us-east-1.amazonaws.com" for forward sessions, else empty */
    struct slice external_id; /* set on role sessions made for the warehouse; informational */
};

/* What kms keeps for a worker: database (shared) and its own keyholder channel. */
struct auth_env {
    struct kms_db *db;
    struct keyholder *keys;
    const struct secret *token_key; /* STS session tokens, from keyholder_derive("session-token") */
    const struct secret *forward_key; /* forward sessions, random for this run */
    const struct secret *denial_key;  /* explanations of denials, from keyholder_derive("denial") */
    const char *audit_dir;            /* the audit log, for those who look events up */
    struct slice account;             /* the instance's first account */
    struct slice region;              /* the instance's default region */
    /* Both taken once for the request. */
    int64_t now_ms;  /* the service's clock, which an ephemeral instance may move: dates, deletion,
                        rotation, expiry, aws:CurrentTime */
    int64_t real_ms; /* signatures, forward sessions, TLS, audit */
    struct used *used;        /* notes of last uses; NULL: none are taken */
    struct kept_holds *holds; /* of the request; NULL: every row is read anew */
};

/* Verifies `req`; `service` is what the endpoint serves (NULL: any that kms does). An
 * anonymous request gives a caller of type PRINCIPAL_ANONYMOUS. ret_signing_key may be NULL. */
struct sl_rc auth_verify(const struct auth_env *env, const struct sigv4_request *req,
                         const char *service, struct slice peer_ip, bool peer_tls, struct arena *a,
                         struct sl_error *err, struct auth_caller *ret,
                         struct secret *ret_signing_key, struct slice *ret_canonical,
                         struct slice *ret_string_to_sign);

/* Decides one action: builds the policy set and the global condition keys (aws:SourceIp,
 * aws:SecureTransport, aws:CurrentTime, aws:EpochTime, aws:RequestedRegion, aws:UserAgent,
 * aws:Referer, aws:ViaAWSService, aws:PrincipalTag/…, aws:SourceIdentity, kms:ViaService,
 * kms:CallerAccount for kms actions). SL_E_ACCESS_DENIED with AWS's text on a denial, and its
 * explanation in err->denial. resource_policy may be NULL. */
struct sl_rc auth_decide(const struct auth_env *env, const struct auth_caller *caller,
                         struct slice action, struct slice resource, struct slice resource_account,
                         const struct policy *resource_policy, enum policy_kind resource_kind,
                         const struct policy_key *keys, size_t key_count, struct arena *a,
                         struct sl_error *err);

/* Forward sessions, bound to the edge. They live 15 minutes, and no longer than the credentials
 * behind them; opening one reads the identity afresh, so revoked keys and changed policies count at
 * once. */
struct sl_rc auth_forward_make(const struct auth_env *env, const struct auth_caller *caller,
                               uint8_t edge, struct slice service, const char *request_id,
                               struct arena *a, struct sl_error *err, struct slice *ret_session);
struct sl_rc auth_forward_open(const struct auth_env *env, struct slice session, uint8_t edge,
                               struct arena *a, struct sl_error *err, struct auth_caller *ret);

/* The explanation of a denial: a text that only kms can open, for who may
 * sts:DecodeAuthorizationMessage in the account of the one who was denied, for AUTH_DENIAL_DAYS.
 * SL_E_STS_MESSAGE for anything else. */
enum { AUTH_DENIAL_DAYS = 30, AUTH_DENIAL_JSON_MAX = 5 * 1024 };
struct sl_rc auth_denial_seal(const struct auth_env *env, struct slice account, struct slice json,
                              struct arena *a, const char **ret);
struct sl_rc auth_denial_open(const struct auth_env *env, struct slice account, struct slice text,
                              struct arena *a, struct sl_error *err, struct slice *ret_json);

/* STS: makes the credentials that `what` describes; its times are filled in. The caller has checked
 * that duration_s is within the limits. */
struct auth_session {
    struct slice access_key_id; /* ASIA… */
    struct secret secret_access_key;
    struct slice token;
    struct slice arn;     /* roles: arn:aws:sts::A:assumed-role/R/S */
    struct slice user_id; /* roles: AROA…:S */
    int64_t expires_s;
};
struct sl_rc auth_session_make(const struct auth_env *env, const struct auth_sts *what,
                               int64_t duration_s, struct arena *a, struct sl_error *err,
                               struct auth_session *ret);
/* The account in an access key id of temporary credentials; false for another form. */
bool auth_session_account(struct slice access_key_id, char ret_account[13]);

#endif
