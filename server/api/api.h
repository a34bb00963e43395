/* One authenticated call of KMS, IAM or STS, as the operations see it. The kms process reads the
 * request, verifies it (server/auth), finds the operation in the service's table, runs it and
 * renders the answer; operations parse their input, authorise, act. */
#ifndef SL_API_H
#define SL_API_H

#include "lib/codec/json.h"
#include "lib/codec/text.h"
#include "server/auth/auth.h"

struct keyholder_use;

struct api_call {
    const struct auth_env *env;
    const struct auth_caller *caller;
    struct arena *arena;
    struct sl_error *err;
    const char *request_id;
    struct slice operation;  /* "CreateKey", "CreateUser" */
    const struct json *body; /* JSON services */
    struct params form;      /* query services */
    struct buf
        *out; /* answer: JSON object; or for query services the XML inside <OpResult>…</OpResult> */
    /* For the audit record; operations fill what they know (JSON texts, no secrets). */
    struct slice audit_request;  /* requestParameters or empty */
    struct slice audit_response; /* responseElements or empty */
    struct slice audit_resource; /* ARN of the resource or empty */
    struct slice audit_more;     /* additionalEventData or empty */
    /* Set by an operation that has decided all, and needs one use of a key by the keyholder for its
     * answer: whoever ran it has that done, for many calls at once perhaps (keyholder_uses), and
     * calls `finish`, in any case. */
    struct keyholder_use *use;
    struct sl_rc (*finish)(struct api_call *c);
};

struct api_operation {
    const char *name;
    struct sl_rc (*run)(struct api_call *c);
    bool read_only; /* audit */
    bool key_use;   /* audit: grouped flush instead of before the answer */
};

/* Tables end with a NULL name. */
extern const struct api_operation api_kms_operations[];
extern const struct api_operation api_iam_operations[];
extern const struct api_operation api_sts_operations[];
extern const struct api_operation api_cloudtrail_operations[];

/* Is `name` a member of this operation of IAM's, of STS's? Others are ignored, and not recorded. */
bool api_iam_knows(struct slice operation, struct slice name);
bool api_sts_knows(struct slice operation, struct slice name);

/* SQL schemas of the stores, for kms_db_open. */
extern const char identity_schema[];
extern const char keys_schema[];

#endif
