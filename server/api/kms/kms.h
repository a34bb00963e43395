/* The core of KMS, shared by the API's operations and by the seam's calls for S3: find the key,
 * decide, call the keyholder. Order of checks as AWS has it: form of the request, existence,
 * permission, state, material. Every function sets c->audit_resource once the key is known. */
#ifndef SL_API_KMS_H
#define SL_API_KMS_H

#include "server/api/api.h"
#include "server/keys/keyholder.h"
#include "server/store/keys/keys.h"

struct grant_terms;

struct kms_target {
    struct key_row row;
    const struct policy *policy;
    struct slice alias; /* the name by which the request called it, or empty */
};

/* What an operation wants of a key. */
struct kms_want {
    const char *action;            /* "kms:Decrypt" */
    bool aliases;                  /* the key may be named by an alias */
    bool foreign;                  /* works on another account's keys */
    bool make_managed;             /* alias/aws/… is made on first use */
    bool algorithm;                /* kms:EncryptionAlgorithm is known */
    const struct context *context; /* encryption context or NULL */
    const struct policy_key *more; /* the operation's own condition keys */
    size_t more_count;
    const struct grant_terms *new_grant; /* CreateGrant: what a grant that allows it must cover */
    const struct policy_grant *grant;    /* RetireGrant: the grant itself, naming the caller */
    bool only_grant;                     /* no policy alone allows it */
};
/* Finds and authorises. key_id: id, ARN, alias name or alias ARN. */
struct sl_rc kms_use(struct api_call *c, struct slice key_id, const struct kms_want *w,
                     struct kms_target *ret);
/* DisabledException or KMSInvalidStateException unless the key is enabled. */
struct sl_rc kms_need_enabled(struct api_call *c, const struct kms_target *t);
/* KMSInvalidStateException when imported material is missing. */
struct sl_rc kms_need_material(struct api_call *c, const struct kms_target *t);
/* KMSInvalidStateException when the key waits for its deletion. */
struct sl_rc kms_need_not_pending(struct api_call *c, const struct kms_target *t);
/* Actions without a key: identity policies alone, on `resource`. */
struct sl_rc kms_allow(struct api_call *c, const char *action, struct slice resource,
                       const struct policy_key *keys, size_t key_count);

/* Cryptographic uses, complete. `dry_run` ends in DryRunOperationException after all checks. */
struct kms_made {
    struct kms_target key;
    char material_id[65];
};
struct sl_rc kms_data_key(struct api_call *c, struct slice key_id, const char *action,
                          const struct context *context, size_t n, bool dry_run,
                          struct kms_made *ret, struct secret *ret_plaintext, struct buf *ret_blob);
/* key_id may be empty: the blob says which key. */
struct sl_rc kms_decrypt(struct api_call *c, struct slice key_id, struct slice blob,
                         const struct context *context, bool dry_run, struct kms_made *ret,
                         struct secret *ret_plaintext);
/* The same with another action and further condition keys (ReEncryptFrom), up to the keyholder. */
struct sl_rc kms_blob_key(struct api_call *c, struct slice key_id, struct slice blob,
                          const struct kms_want *w, struct kms_target *ret);

/* Rotates the keys whose automatic rotation is due, and tells of each that it is done. One that
 * fails is logged, the others go on. */
typedef struct sl_rc (*kms_done_fn)(void *user, const struct key_row *k, struct sl_error *err);
struct sl_rc kms_rotate(const struct auth_env *env, kms_done_fn done, void *user,
                        struct sl_error *err);
/* Takes imported material whose time has come out of its keys. */
struct sl_rc kms_expire(const struct auth_env *env, struct arena *a, struct sl_error *err);

/* A service's own key ("s3": for SSE-S3), made with its first data key: no principal, no policy. */
struct sl_rc kms_service_key(struct api_call *c, const char *service, const struct context *context,
                             struct secret *ret_plaintext, struct buf *ret_blob);
struct sl_rc kms_service_key_open(struct api_call *c, const char *service, struct slice blob,
                                  const struct context *context, struct secret *ret_plaintext);

/* The audit record's requestParameters for a use: key id and encryption context as JSON. */
struct slice kms_audit_use(struct api_call *c, struct slice key_id, const struct context *context);

#endif
