/* Policies on identities: inline documents, attached managed policies, boundaries. */
#include "server/api/iam/iam_in.h"

enum { ATTACHED_MAX = 10 };

static const struct {
    int64_t inline_bytes;
    const char *attached_quota;
} limits[] = {[IAM_USER] = {2048, "PoliciesPerUser"},
              [IAM_ROLE] = {10240, "PoliciesPerRole"},
              [IAM_GROUP] = {5120, "PoliciesPerGroup"}};

struct sl_rc inline_put(struct iam_ctx *x) {
    struct iam_entity e;
    struct slice name, document;
    int64_t others;
    TRY(iam_param_name(x, "PolicyName", &name));
    TRY(iam_target(x, x->kind, false, (struct iam_facts){0}, &e));
    TRY(iam_param_document(x, "PolicyDocument", POLICY_IDENTITY, &document));
    TRY(iam_inline_size(x->conn, &e, name, x->err, &others));
    ENSURE(others + iam_document_size(document) <= limits[x->kind].inline_bytes, x->err,
           SL_E_IAM_LIMIT, "Maximum policy size of %d bytes exceeded for %s %.*s",
           (int)limits[x->kind].inline_bytes, iam_kind_type(x->kind), SLICE_FMT(e.name));
    return iam_inline_put(x->conn, &e, name, document, x->err);
}

struct sl_rc inline_get(struct iam_ctx *x) {
    struct iam_entity e;
    struct slice name, document;
    TRY(iam_param_name(x, "PolicyName", &name));
    TRY(iam_target(x, x->kind, false, (struct iam_facts){0}, &e));
    TRY(iam_inline_get(x->conn, &e, name, x->a, x->err, &document));
    xmlw_text(x->out, iam_kind_param(x->kind), e.name);
    xmlw_text(x->out, "PolicyName", name);
    iam_out_document(x, "PolicyDocument", document);
    return SL_OK;
}

struct sl_rc inline_list(struct iam_ctx *x) {
    struct iam_entity e;
    struct iam_page page;
    struct slice *names;
    size_t n;
    iam_page_of(x, &page);
    TRY(iam_target(x, x->kind, false, (struct iam_facts){0}, &e));
    TRY(iam_inline_list(x->conn, &e, page.after, page.limit + 1, x->a, x->err, &names, &n));
    bool more = n > page.limit;
    n = more ? page.limit : n;
    xmlw_open(x->out, "PolicyNames");
    for (size_t i = 0; i < n; i++) {
        xmlw_text(x->out, "member", names[i]);
    }
    xmlw_close(x->out, "PolicyNames");
    iam_out_page(x, more, more ? names[n - 1] : SLICE_EMPTY);
    return SL_OK;
}

struct sl_rc inline_delete(struct iam_ctx *x) {
    struct iam_entity e;
    struct slice name;
    TRY(iam_param_name(x, "PolicyName", &name));
    TRY(iam_target(x, x->kind, false, (struct iam_facts){0}, &e));
    return iam_inline_delete(x->conn, &e, name, x->err);
}

static struct sl_rc policy_and_entity(struct iam_ctx *x, struct slice *arn, struct iam_entity *e) {
    *arn = iam_param(x, "PolicyArn");
    TRY(iam_target(x, x->kind, false, (struct iam_facts){.policy_arn = *arn}, e));
    return iam_policy_arn_valid(x, *arn);
}

struct sl_rc managed_attach(struct iam_ctx *x) {
    struct iam_entity e;
    struct slice arn, *attached;
    size_t n;
    TRY(policy_and_entity(x, &arn, &e));
    TRY(iam_policy_attachable(x, arn));
    TRY(iam_attach(x->conn, &e, arn, x->err));
    TRY(iam_attached_list(x->conn, &e, SLICE_EMPTY, ATTACHED_MAX + 1, x->a, x->err, &attached, &n));
    ENSURE(n <= ATTACHED_MAX, x->err, SL_E_IAM_LIMIT, "Cannot exceed quota for %s: %d",
           limits[x->kind].attached_quota, ATTACHED_MAX);
    return SL_OK;
}

struct sl_rc managed_detach(struct iam_ctx *x) {
    struct iam_entity e;
    struct slice arn;
    TRY(policy_and_entity(x, &arn, &e));
    return iam_detach(x->conn, &e, arn, x->err);
}

struct sl_rc managed_attached(struct iam_ctx *x) {
    struct iam_entity e;
    struct iam_page page;
    struct slice *arns, prefix;
    size_t n;
    TRY(iam_param_prefix(x, true, &prefix));
    TRY(iam_target(x, x->kind, false, (struct iam_facts){0}, &e));
    TRY(iam_policy_page_of(x, &page));
    TRY(iam_attached_list(x->conn, &e, page.after, page.limit + 1, x->a, x->err, &arns, &n));
    bool more = n > page.limit;
    n = more ? page.limit : n;
    xmlw_open(x->out, "AttachedPolicies");
    for (size_t i = 0; i < n; i++) {
        struct iam_policy p;
        TRY(iam_policy_get(x->conn, arns[i], x->a, x->err, &p));
        if (!slice_starts(p.path, prefix)) {
            continue;
        }
        xmlw_open(x->out, "member");
        xmlw_text(x->out, "PolicyName", p.name);
        xmlw_text(x->out, "PolicyArn", p.arn);
        xmlw_close(x->out, "member");
    }
    xmlw_close(x->out, "AttachedPolicies");
    return iam_out_policy_page(x, more, more ? arns[n - 1] : SLICE_EMPTY);
}

struct sl_rc boundary_put(struct iam_ctx *x) {
    struct iam_entity e;
    struct slice arn = iam_param(x, "PermissionsBoundary");
    TRY(iam_target(x, x->kind, false, (struct iam_facts){.boundary = arn}, &e));
    TRY(iam_policy_bounding(x, arn));
    e.boundary = arn;
    return iam_entity_save(x->conn, &e, x->err);
}

struct sl_rc boundary_delete(struct iam_ctx *x) {
    struct iam_entity e;
    TRY(iam_target(x, x->kind, false, (struct iam_facts){0}, &e));
    ENSURE(e.boundary.len > 0, x->err, SL_E_IAM_NO_SUCH_ENTITY,
           "The %s with name %.*s does not have a permissions boundary.", iam_kind_type(x->kind),
           SLICE_FMT(e.name));
    e.boundary = SLICE_EMPTY;
    return iam_entity_save(x->conn, &e, x->err);
}
