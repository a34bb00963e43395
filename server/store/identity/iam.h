/* Rows of the identity store, for the IAM operations. Every function works on a connection that the
 * caller took from kms_db (a writing one where it changes something) and leaves the transaction to
 * the caller. Slices in the arena. What is missing is SL_E_IAM_NO_SUCH_ENTITY, what exists
 * SL_E_IAM_EXISTS, with IAM's texts. */
#ifndef SL_STORE_IDENTITY_IAM_H
#define SL_STORE_IDENTITY_IAM_H

#include "lib/base/buf.h"
#include "server/store/identity/identity.h"
#include "server/store/meta/meta.h"

extern const char identity_schema[];

enum iam_kind { IAM_USER = 1, IAM_ROLE = 2, IAM_GROUP = 3 };

struct iam_entity {
    enum iam_kind kind;
    struct slice id;
    struct slice account;
    struct slice name;
    struct slice path;
    struct slice arn;
    struct slice boundary; /* ARN or empty */
    struct slice description;
    struct slice trust; /* roles: the document */
    int32_t max_session_s;
    int64_t created_s;
};

/* A new id with the prefix of its kind ("AIDA", "AKIA", …) and `n` characters of base32. */
void iam_new_id(const char *prefix, size_t n, char *out);
/* "arn:aws:iam::ACCOUNT:user/path/name". */
struct slice iam_arn(struct arena *a, struct slice account, const char *type, struct slice path,
                     struct slice name);
const char *iam_kind_type(enum iam_kind kind); /* "user" */

struct sl_rc iam_account_add(struct sqlite3 *conn, struct slice account, int64_t now_s,
                             struct sl_error *err);

/* Fills id, arn. */
struct sl_rc iam_entity_add(struct sqlite3 *conn, struct iam_entity *e, struct arena *a,
                            struct sl_error *err);
struct sl_rc iam_entity_get(struct sqlite3 *conn, struct slice account, enum iam_kind kind,
                            struct slice name, struct arena *a, struct sl_error *err,
                            struct iam_entity *ret);
struct sl_rc iam_entity_by_id(struct sqlite3 *conn, struct slice id, struct arena *a,
                              struct sl_error *err, struct iam_entity *ret);
struct sl_rc iam_entity_by_arn(struct sqlite3 *conn, struct slice arn, struct arena *a,
                               struct sl_error *err, struct iam_entity *ret);
/* Stores name, path, boundary, description, trust and max_session_s of an existing entity. */
struct sl_rc iam_entity_save(struct sqlite3 *conn, const struct iam_entity *e,
                             struct sl_error *err);
/* SL_E_IAM_DELETE_CONFLICT while policies, keys or members hang on it. */
struct sl_rc iam_entity_delete(struct sqlite3 *conn, const struct iam_entity *e,
                               struct sl_error *err);
/* Up to `limit` entities by name, behind `after`, under the path prefix. */
struct sl_rc iam_entity_list(struct sqlite3 *conn, struct slice account, enum iam_kind kind,
                             struct slice path_prefix, struct slice after, size_t limit,
                             struct arena *a, struct sl_error *err, struct iam_entity **ret,
                             size_t *ret_count);

enum { IAM_KEYS_PER_USER = 2 };
struct iam_key {
    struct slice id;
    bool active;
    int64_t created_s;
};
struct sl_rc iam_key_add(struct sqlite3 *conn, struct slice user_id, struct slice key_id,
                         struct slice sealed, int64_t now_s, struct sl_error *err);
struct sl_rc iam_key_list(struct sqlite3 *conn, struct slice user_id, struct arena *a,
                          struct sl_error *err, struct iam_key **ret, size_t *ret_count);
struct sl_rc iam_key_set(struct sqlite3 *conn, struct slice user_id, struct slice key_id,
                         bool active, struct sl_error *err);
/* Whose key it is, of any account. */
struct sl_rc iam_key_user(struct sqlite3 *conn, struct slice key_id, struct arena *a,
                          struct sl_error *err, struct iam_entity *ret);
struct sl_rc iam_key_delete(struct sqlite3 *conn, struct slice user_id, struct slice key_id,
                            struct sl_error *err);
/* An access key and its secret, made (or given) and sealed; the seal binds the key's id. */
struct sl_rc iam_key_make(struct keyholder *kh, struct slice given_id, struct slice given_secret,
                          char ret_id[33], struct secret *ret_secret, struct buf *ret_sealed,
                          struct sl_error *err);

struct sl_rc iam_inline_put(struct sqlite3 *conn, const struct iam_entity *e, struct slice name,
                            struct slice document, struct sl_error *err);
struct sl_rc iam_inline_get(struct sqlite3 *conn, const struct iam_entity *e, struct slice name,
                            struct arena *a, struct sl_error *err, struct slice *ret_document);
struct sl_rc iam_inline_delete(struct sqlite3 *conn, const struct iam_entity *e, struct slice name,
                               struct sl_error *err);
struct sl_rc iam_inline_list(struct sqlite3 *conn, const struct iam_entity *e, struct slice after,
                             size_t limit, struct arena *a, struct sl_error *err,
                             struct slice **ret, size_t *ret_count);
/* Bytes of the inline policies, white space not counted, one name left out. */
struct sl_rc iam_inline_size(struct sqlite3 *conn, const struct iam_entity *e,
                             struct slice but_name, struct sl_error *err, int64_t *ret_bytes);

struct iam_policy {
    struct slice arn, id, account, name, path, description; /* account "aws" for the built-in */
    struct slice document;                                  /* of the default version */
    int64_t created_s, updated_s;
    int32_t version;                 /* the default one */
    int64_t attachments, boundaries; /* see iam_policy_count */
};
/* Fills in how many entities of the account a policy is attached to, and how many it bounds: what
 * other accounts do with AWS's policies is theirs. */
struct sl_rc iam_policy_count(struct sqlite3 *conn, struct slice account, struct iam_policy *p,
                              struct sl_error *err);
/* Built-in policies included. */
struct sl_rc iam_policy_get(struct sqlite3 *conn, struct slice arn, struct arena *a,
                            struct sl_error *err, struct iam_policy *ret);
/* The ARN of a policy's id, built-in ones included; ValidationError where there is none. */
struct sl_rc iam_policy_arn(struct sqlite3 *conn, struct slice id, struct arena *a,
                            struct sl_error *err, struct slice *ret_arn);
struct sl_rc iam_policy_add(struct sqlite3 *conn, struct iam_policy *p, struct arena *a,
                            struct sl_error *err);
/* A policy that has been counted. */
struct sl_rc iam_policy_delete(struct sqlite3 *conn, const struct iam_policy *p,
                               struct sl_error *err);
struct sl_rc iam_policy_list(struct sqlite3 *conn, struct slice account, struct slice after,
                             size_t limit, struct arena *a, struct sl_error *err,
                             struct iam_policy **ret, size_t *ret_count);
struct iam_version {
    int32_t number;
    int64_t created_s;
    struct slice document;
};
/* Newest first. */
struct sl_rc iam_version_list(struct sqlite3 *conn, const struct iam_policy *p, struct arena *a,
                              struct sl_error *err, struct iam_version **ret, size_t *ret_count);
struct sl_rc iam_version_add(struct sqlite3 *conn, const struct iam_policy *p,
                             struct slice document, bool make_default, int64_t now_s,
                             struct sl_error *err, int32_t *ret_number);
struct sl_rc iam_version_default(struct sqlite3 *conn, const struct iam_policy *p, int32_t number,
                                 int64_t now_s, struct sl_error *err);
struct sl_rc iam_version_delete(struct sqlite3 *conn, const struct iam_policy *p, int32_t number,
                                struct sl_error *err);
/* Built-in policies by index; false behind the last. */
bool iam_builtin(size_t index, struct iam_policy *ret);

/* Attaching twice is one attachment. */
struct sl_rc iam_attach(struct sqlite3 *conn, const struct iam_entity *e, struct slice arn,
                        struct sl_error *err);
struct sl_rc iam_detach(struct sqlite3 *conn, const struct iam_entity *e, struct slice arn,
                        struct sl_error *err);
struct sl_rc iam_attached_list(struct sqlite3 *conn, const struct iam_entity *e, struct slice after,
                               size_t limit, struct arena *a, struct sl_error *err,
                               struct slice **ret_arns, size_t *ret_count);

/* Entities of an account under the path prefix, of one kind or of all (0), that a policy is
 * attached to or bounds, by id. */
struct iam_uses {
    struct slice account, arn, path_prefix;
    enum iam_kind kind;
    bool attached, bounds;
};
struct sl_rc iam_policy_entities(struct sqlite3 *conn, const struct iam_uses *of,
                                 struct slice after, size_t limit, struct arena *a,
                                 struct sl_error *err, struct iam_entity **ret, size_t *ret_count);

struct sl_rc iam_member_add(struct sqlite3 *conn, struct slice group_id, struct slice user_id,
                            struct sl_error *err);
struct sl_rc iam_member_delete(struct sqlite3 *conn, struct slice group_id, struct slice user_id,
                               struct sl_error *err);
/* Groups of a user, or users of a group, by name. */
struct sl_rc iam_member_list(struct sqlite3 *conn, const struct iam_entity *of, struct slice after,
                             size_t limit, struct arena *a, struct sl_error *err,
                             struct iam_entity **ret, size_t *ret_count);

struct sl_rc iam_tag_put(struct sqlite3 *conn, struct slice owner, struct iam_tag tag,
                         struct sl_error *err);
struct sl_rc iam_tag_delete(struct sqlite3 *conn, struct slice owner, struct slice name,
                            struct sl_error *err);
struct sl_rc iam_tag_list(struct sqlite3 *conn, struct slice owner, struct arena *a,
                          struct sl_error *err, struct iam_tag **ret, size_t *ret_count);

#endif
