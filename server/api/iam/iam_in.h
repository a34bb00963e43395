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

/* Checks all members of the operation at hand: ValidationError with every fault at once. */
struct sl_rc iam_check(const struct iam_ctx *x);

/* Parameters, which iam_check has let through. */
struct slice iam_param(const struct iam_ctx *x, const char *name);
bool iam_param_given(const struct iam_ctx *x, const char *name);
bool iam_param_flag(const struct iam_ctx *x, const char *name);
int64_t iam_param_number(const struct iam_ctx *x, const char *name, int64_t otherwise);
/* A name's characters. */
struct sl_rc iam_param_name(const struct iam_ctx *x, const char *name, struct slice *ret);
/* Path of an entity or of a policy, "/" when not given. */
struct sl_rc iam_param_path(const struct iam_ctx *x, const char *name, bool policy,
                            struct slice *ret);
/* PathPrefix, "/" when not given: of policies and their users it is a whole path. */
struct sl_rc iam_param_prefix(const struct iam_ctx *x, bool whole, struct slice *ret);
/* No key twice, not even in another case, but for policies. */
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
/* NoSuchEntity in AWS's words: where a version is asked for, it speaks of that. */
struct sl_rc iam_no_policy(struct iam_ctx *x, struct slice arn);
/* One of the account's own policies: AWS's can be read, not changed. */
struct sl_rc iam_target_own_policy(struct iam_ctx *x, struct iam_facts facts,
                                   struct iam_policy *ret);
/* An ARN of IAM's, by its form alone. */
struct sl_rc iam_policy_arn_valid(struct iam_ctx *x, struct slice arn);
/* Attachable? Fit as a boundary? */
struct sl_rc iam_policy_attachable(struct iam_ctx *x, struct slice arn);
struct sl_rc iam_policy_bounding(struct iam_ctx *x, struct slice arn);

/* Rendering. */
void iam_out_time(struct iam_ctx *x, const char *name, int64_t epoch_s);
void iam_out_document(struct iam_ctx *x, const char *name, struct slice document);
/* In lists, in the answer to its creation, and by itself: AWS says more and more. */
enum iam_detail { IAM_LISTED, IAM_CREATED, IAM_WHOLE };
struct sl_rc iam_out_entity(struct iam_ctx *x, const char *element, const struct iam_entity *e,
                            enum iam_detail detail);
void iam_out_tags(struct iam_ctx *x, const struct iam_tag *tags, size_t count);

/* Pages: Marker is the last name of the page before. */
struct iam_page {
    struct slice after;
    size_t limit; /* ask for limit + 1 */
};
void iam_page_of(const struct iam_ctx *x, struct iam_page *ret);
/* The page's part of a list that is at hand as a whole, by the names of its items. */
struct iam_window {
    size_t from, to;
};
struct sl_rc iam_window_of(const struct iam_ctx *x, const struct slice *names, size_t count,
                           struct iam_window *ret);
/* Lists in the order of policies' ARNs, which are too long for markers: their ids are. */
struct sl_rc iam_policy_page_of(struct iam_ctx *x, struct iam_page *ret);
struct sl_rc iam_out_policy_page(struct iam_ctx *x, bool truncated, struct slice last_arn);
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
struct sl_rc key_last_used(struct iam_ctx *x);
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
