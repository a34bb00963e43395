/* Inside of the IAM operations: one context a call, parameters, authorisation, rendering. */
#ifndef SL_API_IAM_IN_H
#define SL_API_IAM_IN_H

#include "lib/codec/xml.h"
#include "server/api/api.h"
#include "server/store/identity/iam.h"

struct iam_ctx {
    struct api_call *c;
    struct sqlite3 *conn; /* writing for operations that change something */
    struct arena *a;
    struct sl_error *err;
    struct buf *out;
    struct slice account; /* the caller's: IAM acts on no other */
    enum iam_kind kind;   /* by the operation's name; 0 where it speaks of none */
    int64_t now_s;
};

/* Parameters. `what` is the member's name as IAM's validator writes it ("userName"). */
struct slice iam_param(const struct iam_ctx *x, const char *name);
bool iam_param_given(const struct iam_ctx *x, const char *name);
struct sl_rc iam_param_needed(const struct iam_ctx *x, const char *name, struct slice *ret);
struct sl_rc iam_param_name(const struct iam_ctx *x, const char *name, size_t max,
                            struct slice *ret);
/* Path, "/" when not given. */
struct sl_rc iam_param_path(const struct iam_ctx *x, const char *name, struct slice *ret);
struct sl_rc iam_param_int(const struct iam_ctx *x, const char *name, int64_t min, int64_t max,
                           int64_t otherwise, int64_t *ret);
struct sl_rc iam_param_tags(const struct iam_ctx *x, struct iam_tag **ret, size_t *ret_count);
/* A policy document: parsed for its kind, its principals known; MalformedPolicyDocument otherwise.
 */
struct sl_rc iam_param_document(const struct iam_ctx *x, const char *name, enum policy_kind kind,
                                struct slice *ret);
/* Characters that count towards a policy's size: all but white space. */
int64_t iam_document_size(struct slice document);
/* "UserName", "RoleName", "GroupName" of the operation's kind. */
const char *iam_kind_param(enum iam_kind kind);

/* What a decision is told beside action and resource. */
struct iam_facts {
    const struct iam_entity *entity; /* its tags and boundary */
    struct slice policy_owner;       /* a policy's ARN, for its tags */
    struct slice policy_arn;         /* iam:PolicyARN */
    struct slice boundary;           /* iam:PermissionsBoundary asked for; else the entity's */
    const struct iam_tag *tags;      /* aws:RequestTag/… */
    size_t tag_count;
    const struct slice *tag_keys; /* of tags to be removed */
    size_t tag_key_count;
};
/* May the caller do this operation on this resource? */
struct sl_rc iam_allowed(struct iam_ctx *x, struct slice resource, const struct iam_facts *facts);
/* The entity that a parameter names: authorised first, under its real ARN where it exists, so that
 * only who may do the operation learns whether it does. An optional name means the caller. */
struct sl_rc iam_target(struct iam_ctx *x, enum iam_kind kind, bool optional,
                        struct iam_facts facts, struct iam_entity *ret);
/* A managed policy by PolicyArn, likewise. Customers' ones of other accounts don't exist. */
struct sl_rc iam_target_policy(struct iam_ctx *x, struct iam_facts facts, struct iam_policy *ret);
/* One of the account's own policies: AWS's can be read, not changed. */
struct sl_rc iam_target_own_policy(struct iam_ctx *x, struct iam_facts facts,
                                   struct iam_policy *ret);
/* Attachable or fit as a boundary? */
struct sl_rc iam_policy_usable(struct iam_ctx *x, struct slice arn);

/* Rendering. */
void iam_out_time(struct iam_ctx *x, const char *name, int64_t epoch_s);
void iam_out_document(struct iam_ctx *x, const char *name, struct slice document);
struct sl_rc iam_out_entity(struct iam_ctx *x, const char *element, const struct iam_entity *e,
                            bool full);
void iam_out_tags(struct iam_ctx *x, const struct iam_tag *tags, size_t count);

/* Pages: Marker is the last name of the page before, MaxItems one of 1 to 1000. */
struct iam_page {
    struct slice after;
    size_t limit; /* ask for limit + 1 */
};
struct sl_rc iam_page_of(struct iam_ctx *x, struct iam_page *ret);
/* IsTruncated, and the Marker `last` when more than a page was there. */
void iam_out_page(struct iam_ctx *x, bool truncated, struct slice last);

/* Operations, by file. */
typedef struct sl_rc (*iam_body_fn)(struct iam_ctx *x);
struct sl_rc entity_create(struct iam_ctx *x);
struct sl_rc entity_read(struct iam_ctx *x);
struct sl_rc entity_list(struct iam_ctx *x);
struct sl_rc entity_update(struct iam_ctx *x);
struct sl_rc entity_delete(struct iam_ctx *x);
struct sl_rc entity_tag(struct iam_ctx *x);
struct sl_rc entity_untag(struct iam_ctx *x);
struct sl_rc entity_tags(struct iam_ctx *x);
struct sl_rc role_update_trust(struct iam_ctx *x);
struct sl_rc role_profiles(struct iam_ctx *x);
struct sl_rc group_add_user(struct iam_ctx *x);
struct sl_rc group_remove_user(struct iam_ctx *x);
struct sl_rc user_groups(struct iam_ctx *x);
struct sl_rc key_create(struct iam_ctx *x);
struct sl_rc key_list(struct iam_ctx *x);
struct sl_rc key_update(struct iam_ctx *x);
struct sl_rc key_delete(struct iam_ctx *x);
struct sl_rc inline_put(struct iam_ctx *x);
struct sl_rc inline_get(struct iam_ctx *x);
struct sl_rc inline_list(struct iam_ctx *x);
struct sl_rc inline_delete(struct iam_ctx *x);
struct sl_rc managed_attach(struct iam_ctx *x);
struct sl_rc managed_detach(struct iam_ctx *x);
struct sl_rc managed_attached(struct iam_ctx *x);
struct sl_rc boundary_put(struct iam_ctx *x);
struct sl_rc boundary_delete(struct iam_ctx *x);
struct sl_rc policy_create(struct iam_ctx *x);
struct sl_rc policy_read(struct iam_ctx *x);
struct sl_rc policy_list(struct iam_ctx *x);
struct sl_rc policy_entities(struct iam_ctx *x);
struct sl_rc policy_delete(struct iam_ctx *x);
struct sl_rc version_create(struct iam_ctx *x);
struct sl_rc version_get(struct iam_ctx *x);
struct sl_rc version_list(struct iam_ctx *x);
struct sl_rc version_set_default(struct iam_ctx *x);
struct sl_rc version_delete(struct iam_ctx *x);

#endif
