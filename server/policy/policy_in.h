/* Inside of server/policy: the parsed form, and what the parser, the conditions and the decision
 * share. */
#ifndef SL_POLICY_IN_H
#define SL_POLICY_IN_H

#include "server/policy/policy.h"

/* A string of a policy. `vars`: it has ${…} to be replaced (documents of 2012-10-17 only). */
struct pol_text {
    struct slice text;
    bool vars;
};

struct pol_texts {
    const struct pol_text *items;
    size_t count;
};

struct pol_principal {
    enum { POL_ANY, POL_AWS, POL_SERVICE, POL_FEDERATED, POL_CANONICAL } kind;
    struct slice value;
};

enum pol_op {
    OP_STRING_EQUALS,
    OP_STRING_EQUALS_IGNORE_CASE,
    OP_STRING_LIKE,
    OP_NUMERIC_EQUALS,
    OP_NUMERIC_LESS,
    OP_NUMERIC_LESS_EQUALS,
    OP_NUMERIC_GREATER,
    OP_NUMERIC_GREATER_EQUALS,
    OP_DATE_EQUALS,
    OP_DATE_LESS,
    OP_DATE_LESS_EQUALS,
    OP_DATE_GREATER,
    OP_DATE_GREATER_EQUALS,
    OP_BOOL,
    OP_BINARY,
    OP_IP,
    OP_ARN,
    OP_NULL
};

struct pol_operator {
    enum pol_op op;
    bool negated;
    bool if_exists;
    enum { FOR_ONE, FOR_ANY, FOR_ALL } quantifier;
};

/* One key under one operator. */
struct pol_condition {
    struct pol_operator how;
    struct slice name; /* the operator as it was written */
    struct slice key;
    struct pol_texts values;
};

struct pol_statement {
    struct slice sid;
    bool deny;
    bool not_principal;
    bool not_action;
    bool not_resource;
    const struct pol_principal *principals;
    size_t principal_count;
    struct pol_texts actions;
    struct pol_texts resources;
    const struct pol_condition *conditions;
    size_t condition_count;
};

struct policy {
    enum policy_kind kind;
    const struct pol_statement *statements;
    size_t count;
};

/* Condition keys that tell about the principal and the resource's owner. They come from the engine
 * alone, whatever the request's keys say. */
enum {
    FACT_PRINCIPAL_ARN,
    FACT_PRINCIPAL_ACCOUNT,
    FACT_PRINCIPAL_TYPE,
    FACT_USERID,
    FACT_USERNAME,
    FACT_TOKEN_ISSUE_TIME,
    FACT_MFA_PRESENT,
    FACT_IS_SERVICE,
    FACT_SERVICE_NAME,
    FACT_RESOURCE_ACCOUNT,
    POL_FACTS
};
extern const char *const pol_fact_names[POL_FACTS];

/* Evaluation of one request. */
struct pol_eval {
    const struct policy_request *req;
    struct arena *a;
    bool failed;                   /* out of memory: whatever the outcome, it is DENY */
    bool bounded;                  /* the caller has a permissions boundary */
    struct slice facts[POL_FACTS]; /* empty: the key is absent */
};

/* How a statement's Principal met the caller: the kinds grant differently. */
enum {
    HIT_ANY = 1,     /* "*": as if named, but for services */
    HIT_ACCOUNT = 2, /* the caller's account: leaves it to the account's identity policies */
    HIT_ROLE = 4,    /* the session's role: boundary and session policy still limit it */
    HIT_DIRECT = 8,  /* user, session, service, or the root user by its account */
    HIT_BITS = 4
};

void pol_eval_init(struct pol_eval *e, const struct policy_set *set,
                   const struct policy_request *req, struct arena *a);
/* Does the statement apply to the request? HIT_ bits (HIT_DIRECT for policies without principals),
 * 0: no. */
unsigned pol_applies(struct pol_eval *e, const struct policy *p, const struct pol_statement *st);
/* Is the caller of the account that owns the resource? */
bool pol_same_account(const struct policy_request *req);

/* A pattern with its variables replaced: bytes marked in `literal` are never wildcards. */
struct pol_pattern {
    struct slice text;
    const uint8_t *literal; /* NULL: none */
};

bool pol_operator_parse(struct slice name, struct pol_operator *ret);
/* Are all values of the right form for the operator? */
bool pol_values_valid(const struct pol_operator *how, struct slice value);
bool pol_date_parse(struct slice s, double *ret_epoch_s);

/* False when a variable has no value (and no default). */
bool pol_expand(struct pol_eval *e, const struct pol_text *t, struct pol_pattern *ret);
/* `*` and `?` over characters. */
bool pol_glob(struct pol_pattern p, struct slice s, bool ignore_case);
/* As AWS matches Resource: in the first five pieces of an ARN `?`, and `*` unless it ends its
 * piece, stay within the piece. */
bool pol_glob_resource(struct pol_pattern p, struct slice s);
bool pol_conditions_hold(struct pol_eval *e, const struct pol_statement *st);
/* The values of a key of the request, or NULL. */
const struct slice *pol_key(struct pol_eval *e, struct slice name, size_t *ret_count);

#endif
