/* Identities: accounts, users, access keys, roles, policies, in the kms process's SQLite database.
 * One writer; readers from any worker (each call takes a pooled connection). */
#ifndef SL_STORE_IDENTITY_H
#define SL_STORE_IDENTITY_H

#include "lib/crypto/secret.h"
#include "server/policy/policy.h"
#include "server/store/meta/meta.h"

struct kms_db; /* server/store/meta/meta.h: the database of the kms process */
struct keyholder;

struct iam_tag {
    struct slice name, value;
};

/* Who an access key belongs to, with what verifying and deciding need. All slices in the arena. */
struct identity {
    struct policy_principal principal;
    struct slice access_key_id;
    const struct policy *const *policies; /* identity policies, parsed */
    const struct slice *policy_names;     /* ARN of a managed one, name of an inline one */
    size_t policy_count;
    const struct policy *boundary;
    struct slice boundary_name;
    const struct iam_tag *tags; /* of the user or role: aws:PrincipalTag/… */
    size_t tag_count;
};

/* Long-term keys (AKIA…): the identity and its secret access key, unsealed by the keyholder.
 * SL_E_UNKNOWN_KEY_ID when there is none or it is inactive. Session keys (ASIA…) are server/auth's.
 */
struct sl_rc identity_by_access_key(struct kms_db *db, struct keyholder *kh,
                                    struct slice access_key_id, struct arena *a,
                                    struct sl_error *err, struct identity *ret,
                                    struct secret *ret_secret_access_key);
/* The identity of a role session: the role's current policies; SL_E_IAM_NO_SUCH_ENTITY when the
 * role is gone. */
struct sl_rc identity_by_role(struct kms_db *db, struct slice role_arn, struct slice session_name,
                              struct arena *a, struct sl_error *err, struct identity *ret);

/* A user by its unique id, for sessions of users; SL_E_IAM_NO_SUCH_ENTITY when it is gone. */
struct sl_rc identity_by_user_id(struct kms_db *db, struct slice user_id, struct arena *a,
                                 struct sl_error *err, struct identity *ret);
/* The account that a long-term access key belongs to, active or not; SL_E_IAM_NO_SUCH_ENTITY. */
struct sl_rc identity_key_account(struct kms_db *db, struct slice access_key_id, struct arena *a,
                                  struct sl_error *err, struct slice *ret_account);
/* A managed policy of the account (or of AWS), parsed as session policy; SL_E_IAM_NO_SUCH_ENTITY.
 */
struct sl_rc identity_session_policy(struct kms_db *db, struct slice account, struct slice arn,
                                     struct arena *a, struct sl_error *err,
                                     const struct policy **ret);

/* Sealed secret access keys by id above `after`, active or not, for their check in a backup. */
struct identity_secret {
    struct slice id, sealed;
};
struct sl_rc identity_secrets(struct sqlite3 *conn, struct slice after, size_t max, struct arena *a,
                              struct identity_secret **ret, size_t *ret_count,
                              struct sl_error *err);
/* Does the keyholder open it? SL_E_CORRUPT when not. */
struct sl_rc identity_secret_check(struct keyholder *kh, const struct identity_secret *s,
                                   struct sl_error *err);

/* A role by ARN, for AssumeRole and PassRole. */
struct identity_role {
    struct slice arn;
    struct slice role_id; /* AROA… */
    struct slice account;
    const struct policy *trust;
    int32_t max_session_s;
    const struct iam_tag *tags;
    size_t tag_count;
};
struct sl_rc identity_role_get(struct kms_db *db, struct slice role_arn, struct arena *a,
                               struct sl_error *err, struct identity_role *ret);
/* Does a principal ARN (user, role, root of an account) exist? For key policies' Principal check.
 */
bool identity_exists(struct kms_db *db, struct slice principal_arn);

/* First start: the account, its user `admin` with AdministratorAccess, and one access key for it.
 */
struct sl_rc identity_bootstrap(struct kms_db *db, struct keyholder *kh, struct slice account,
                                char ret_access_key_id[33], struct secret *ret_secret_access_key,
                                struct sl_error *err);
/* The same with a given access key, for throw-away instances. SL_E_EXISTS when the account or the
 * key's id is there already (both functions). */
struct sl_rc identity_bootstrap_given(struct kms_db *db, struct keyholder *kh, struct slice account,
                                      struct slice access_key_id, struct slice secret_access_key,
                                      struct sl_error *err);

/* For the reset of an ephemeral instance: the rows that stay (accounts, their `admin` and its first
 * access key), and, in the same transaction, `admin` as the bootstrap made it. */
extern const struct db_keep identity_kept[];
struct sl_rc identity_reset(struct sqlite3 *conn, struct sl_error *err);

#endif
