/* What a grant allows: operations and constraints, and to whom. The rules alone (grant_rule.c);
 * grant.c has the operations of the API. */
#ifndef SL_API_KMS_GRANT_H
#define SL_API_KMS_GRANT_H

#include "server/api/kms/kms.h"
#include "server/api/kms/model.h"
#include "server/store/keys/grant.h"

extern const char *const kms_grant_operations[]; /* model.c; a bit each: 1 << index */
/* The bit of "Decrypt" (or, with the prefix, "kms:Decrypt"); 0: no operation of grants. */
uint32_t kms_grant_bit(struct slice operation);

/* Both may be there; then both must hold. */
struct grant_terms {
    uint32_t operations;
    bool has_equals, has_subset;
    struct context equals, subset;
};

/* The constraints of a request or a row: an object of EncryptionContextEquals and …Subset, or NULL.
 * Fills all but the operations. */
struct sl_rc grant_terms_of(const struct json *constraints, struct arena *a, struct sl_error *err,
                            struct grant_terms *ret);
/* Their canonical JSON: one text for one meaning; empty when there are none. */
struct sl_rc grant_terms_text(const struct grant_terms *t, struct arena *a, struct sl_error *err,
                              struct slice *ret);
/* Does the encryption context meet the constraints? NULL: an empty one. */
bool grant_terms_hold(const struct grant_terms *t, const struct context *context);
/* Does `child` allow no more than `parent`? */
bool grant_terms_within(const struct grant_terms *parent, const struct grant_terms *child);

/* How the ARN (with the unique id behind it, empty for accounts) names the caller; false: not. */
bool grant_names(const struct policy_principal *who, struct slice arn, struct slice unique_id,
                 struct policy_grant *ret);

/* The grant of the key that fits the caller and what is asked: the first that names it most
 * directly. `asked` is of CreateGrant, else NULL. */
struct sl_rc kms_grant_find(struct api_call *c, const struct key_row *key, const struct kms_want *w,
                            bool *ret_found, struct policy_grant *ret);

/* GrantTokens of the request: each must be one of ours (SL_E_KMS_GRANT_TOKEN). A grant counts from
 * the moment it is made, so a token adds nothing. */
struct sl_rc kms_grant_tokens(struct api_call *c, const struct kms_model *m);

#endif
