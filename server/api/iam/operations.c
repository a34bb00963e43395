/* IAM's operations: the table, and the frame around each: one transaction, the caller's account,
 * the record for the audit log. */
#include "server/api/iam/iam_in.h"

enum { READ, WRITE };

#define FOR_KINDS(X, before, after, body, mode)                                                    \
    X(before "User" after, body, mode)                                                             \
    X(before "Role" after, body, mode)                                                             \
    X(before "Group" after, body, mode)

#define OPERATIONS(X)                                                                              \
    FOR_KINDS(X, "Create", "", entity_create, WRITE)                                               \
    FOR_KINDS(X, "Get", "", entity_read, READ)                                                     \
    FOR_KINDS(X, "List", "s", entity_list, READ)                                                   \
    FOR_KINDS(X, "Update", "", entity_update, WRITE)                                               \
    FOR_KINDS(X, "Delete", "", entity_delete, WRITE)                                               \
    FOR_KINDS(X, "Put", "Policy", inline_put, WRITE)                                               \
    FOR_KINDS(X, "Get", "Policy", inline_get, READ)                                                \
    FOR_KINDS(X, "List", "Policies", inline_list, READ)                                            \
    FOR_KINDS(X, "Delete", "Policy", inline_delete, WRITE)                                         \
    FOR_KINDS(X, "Attach", "Policy", managed_attach, WRITE)                                        \
    FOR_KINDS(X, "Detach", "Policy", managed_detach, WRITE)                                        \
    FOR_KINDS(X, "ListAttached", "Policies", managed_attached, READ)                               \
    X("UpdateAssumeRolePolicy", role_update_trust, WRITE)                                          \
    X("ListInstanceProfilesForRole", role_profiles, READ)                                          \
    X("PutUserPermissionsBoundary", boundary_put, WRITE)                                           \
    X("PutRolePermissionsBoundary", boundary_put, WRITE)                                           \
    X("DeleteUserPermissionsBoundary", boundary_delete, WRITE)                                     \
    X("DeleteRolePermissionsBoundary", boundary_delete, WRITE)                                     \
    X("TagUser", entity_tag, WRITE)                                                                \
    X("TagRole", entity_tag, WRITE)                                                                \
    X("UntagUser", entity_untag, WRITE)                                                            \
    X("UntagRole", entity_untag, WRITE)                                                            \
    X("ListUserTags", entity_tags, READ)                                                           \
    X("ListRoleTags", entity_tags, READ)                                                           \
    X("TagPolicy", entity_tag, WRITE)                                                              \
    X("UntagPolicy", entity_untag, WRITE)                                                          \
    X("ListPolicyTags", entity_tags, READ)                                                         \
    X("ListEntitiesForPolicy", policy_entities, READ)                                              \
    X("AddUserToGroup", group_add_user, WRITE)                                                     \
    X("RemoveUserFromGroup", group_remove_user, WRITE)                                             \
    X("ListGroupsForUser", user_groups, READ)                                                      \
    X("CreateAccessKey", key_create, WRITE)                                                        \
    X("ListAccessKeys", key_list, READ)                                                            \
    X("GetAccessKeyLastUsed", key_last_used, READ)                                                 \
    X("UpdateAccessKey", key_update, WRITE)                                                        \
    X("DeleteAccessKey", key_delete, WRITE)                                                        \
    X("CreatePolicy", policy_create, WRITE)                                                        \
    X("GetPolicy", policy_read, READ)                                                              \
    X("ListPolicies", policy_list, READ)                                                           \
    X("DeletePolicy", policy_delete, WRITE)                                                        \
    X("CreatePolicyVersion", version_create, WRITE)                                                \
    X("GetPolicyVersion", version_get, READ)                                                       \
    X("ListPolicyVersions", version_list, READ)                                                    \
    X("SetDefaultPolicyVersion", version_set_default, WRITE)                                       \
    X("DeletePolicyVersion", version_delete, WRITE)

struct operation {
    const char *name;
    iam_body_fn body;
    int mode;
};
#define BODY(name, body, mode) {name, body, mode},
static const struct operation bodies[] = {OPERATIONS(BODY)};

static enum iam_kind kind_of(struct slice operation) {
    static const struct {
        const char *word;
        enum iam_kind kind;
    } words[] = {{"User", IAM_USER}, {"Role", IAM_ROLE}, {"Group", IAM_GROUP}};
    for (size_t k = 0; k < 3; k++) {
        struct slice word = slice_cstr(words[k].word);
        for (size_t i = 0; i + word.len <= operation.len; i++) {
            if (slice_eq(slice_sub(operation, i, i + word.len), word)) {
                return words[k].kind;
            }
        }
    }
    return 0;
}

static struct sl_rc run_in_transaction(struct iam_ctx *x, const struct operation *op) {
    struct kms_db *db = x->c->env->db;
    if (op->mode == READ) {
        TRY(kms_db_read(db, &x->conn, x->err));
        struct sl_rc rc = op->body(x);
        kms_db_read_end(db, x->conn);
        return rc;
    }
    TRY(kms_db_write(db, &x->conn, x->err));
    struct sl_rc rc = op->body(x);
    struct sl_rc end = kms_db_write_end(db, x->conn, sl_is_ok(rc), x->err);
    return sl_failed(rc) ? rc : end;
}

static struct sl_rc iam_run(struct api_call *c) {
    struct iam_ctx x = {.c = c,
                        .a = c->arena,
                        .err = c->err,
                        .out = c->out,
                        .account = c->caller->who.principal.account,
                        .kind = kind_of(c->operation),
                        .now_s = c->env->now_ms / 1000};
    ENSURE(x.account.len > 0, c->err, SL_E_MISSING_TOKEN,
           "Request is missing Authentication Token");
    /* A user's session without a second factor can't change who may do what. */
    ENSURE(c->caller->sts == NULL || c->caller->sts->kind == AUTH_STS_ROLE, c->err,
           SL_E_TOKEN_INVALID, "The security token included in the request is invalid.");
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        if (slice_eq_cstr(c->operation, bodies[i].name)) {
            TRY(iam_check(&x));
            TRY(run_in_transaction(&x, &bodies[i]));
            return buf_check(c->out, c->err);
        }
    }
    return sl_fail(c->err, SL_E_INVALID_ACTION, "Could not find operation %.*s",
                   SLICE_FMT(c->operation));
}

#define ENTRY(name, body, mode) {name, iam_run, mode == READ, false},
const struct api_operation api_iam_operations[] = {OPERATIONS(ENTRY){NULL, NULL, false, false}};
