/* The service model of KMS as data: one table per operation, of what a request may hold and what
 * an answer holds. Requests are validated against it (input.c), answers are checked against it in
 * tests and sanitized builds (answer.c), and a test compares it with AWS's own model. */
#ifndef SL_API_KMS_MODEL_H
#define SL_API_KMS_MODEL_H

#include "lib/base/slice.h"

enum kms_type {
    KMS_STRING,
    KMS_INT,
    KMS_BOOL,
    KMS_BLOB, /* base64; lengths are of the bytes */
    KMS_TIME, /* seconds since the epoch, with a fraction */
    KMS_LIST, /* of[0] is the element, without a name */
    KMS_MAP,  /* of strings to strings */
    KMS_STRUCT
};

enum {
    KMS_NEEDED = 1, /* a request without it is refused; an answer always has it */
    KMS_SECRET = 2, /* the value is never shown in messages */
    KMS_NEVER = 4   /* AWS's answer may have it, ours never does */
};

struct kms_field {
    const char *name; /* as the API spells it */
    enum kms_type type;
    unsigned flags;
    int64_t min;               /* length or value */
    int64_t max;               /* 0 = unbounded */
    const char *const *values; /* of an enum, NULL-ended */
    const char *pattern;       /* one character class, repeated: see kms_pattern_fits */
    const struct kms_field *of;
};

struct kms_model {
    const char *name;
    const struct kms_field *in;  /* ends with a NULL name */
    const struct kms_field *out; /* NULL: the answer has no body */
};

/* AWS's patterns, as far as they are one class of characters with "+" or "*": "^[a-z:/_-]+$",
 * "[\\w]+". Classes know ranges, \w, \s, \uXXXX. */
bool kms_pattern_fits(const char *pattern, struct slice s);

#endif
