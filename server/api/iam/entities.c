/* Users, roles and groups: create, read, list, update, delete, tags, membership. */
#include "server/api/iam/iam_in.h"

#include <stdio.h>

enum { SESSION_DEFAULT_S = 3600, GROUPS_PER_USER = 10, TAG_KEYS_MAX = 50 };

static const char *element_of(enum iam_kind kind) {
    return kind == IAM_USER ? "User" : kind == IAM_ROLE ? "Role" : "Group";
}

static void role_params(struct iam_ctx *x, struct iam_entity *e) {
    if (iam_param_given(x, "Description")) {
        e->description = iam_param(x, "Description");
    }
    e->max_session_s = (int32_t)iam_param_number(
        x, "MaxSessionDuration", e->max_session_s > 0 ? e->max_session_s : SESSION_DEFAULT_S);
}

struct sl_rc entity_create(struct iam_ctx *x) {
    struct iam_entity e = {.kind = x->kind, .account = x->account, .created_s = x->now_s};
    struct iam_tag *tags = NULL;
    size_t tag_count = 0;
    TRY(iam_param_name(x, iam_kind_param(x->kind), &e.name));
    TRY(iam_param_path(x, "Path", false, &e.path));
    if (x->kind != IAM_GROUP) {
        TRY(iam_param_tags(x, &tags, &tag_count));
        e.boundary = iam_param(x, "PermissionsBoundary");
    }
    if (x->kind == IAM_ROLE) {
        role_params(x, &e);
    }
    struct slice arn = iam_arn(x->a, x->account, iam_kind_type(x->kind), e.path, e.name);
    ENSURE(arn.ptr != NULL, x->err, SL_E_NOMEM, "Out of memory.");
    TRY(iam_allowed(
        x, arn, &(struct iam_facts){.boundary = e.boundary, .tags = tags, .tag_count = tag_count}));
    if (x->kind == IAM_ROLE) {
        TRY(iam_param_document(x, "AssumeRolePolicyDocument", POLICY_TRUST, &e.trust));
        ENSURE(iam_document_size(e.trust) <= 4096, x->err, SL_E_IAM_LIMIT,
               "Cannot exceed quota for ACLSizePerRole: 4096");
    }
    if (e.boundary.len > 0) {
        TRY(iam_policy_bounding(x, e.boundary));
    }
    TRY(iam_entity_add(x->conn, &e, x->a, x->err));
    for (size_t i = 0; i < tag_count; i++) {
        TRY(iam_tag_put(x->conn, e.id, tags[i], x->err));
    }
    return iam_out_entity(x, element_of(x->kind), &e, IAM_CREATED);
}

static struct sl_rc group_members(struct iam_ctx *x, const struct iam_entity *group) {
    struct iam_page page;
    struct iam_entity *users;
    size_t n;
    iam_page_of(x, &page);
    TRY(iam_member_list(x->conn, group, page.after, page.limit + 1, x->a, x->err, &users, &n));
    bool more = n > page.limit;
    n = more ? page.limit : n;
    xmlw_open(x->out, "Users");
    for (size_t i = 0; i < n; i++) {
        TRY(iam_out_entity(x, "member", &users[i], IAM_LISTED));
    }
    xmlw_close(x->out, "Users");
    iam_out_page(x, more, more ? users[n - 1].name : SLICE_EMPTY);
    return SL_OK;
}

struct sl_rc entity_read(struct iam_ctx *x) {
    struct iam_entity e;
    TRY(iam_target(x, x->kind, x->kind == IAM_USER, (struct iam_facts){0}, &e));
    TRY(iam_out_entity(x, element_of(x->kind), &e, IAM_WHOLE));
    return x->kind == IAM_GROUP ? group_members(x, &e) : SL_OK;
}

struct sl_rc entity_list(struct iam_ctx *x) {
    static const char *const lists[] = {
        [IAM_USER] = "Users", [IAM_ROLE] = "Roles", [IAM_GROUP] = "Groups"};
    struct iam_page page;
    struct iam_entity *items;
    size_t n;
    struct slice prefix;
    TRY(iam_param_prefix(x, false, &prefix));
    iam_page_of(x, &page);
    struct slice arn = iam_arn(x->a, x->account, iam_kind_type(x->kind), prefix, SLICE_EMPTY);
    ENSURE(arn.ptr != NULL, x->err, SL_E_NOMEM, "Out of memory.");
    TRY(iam_allowed(x, arn, &(struct iam_facts){0}));
    TRY(iam_entity_list(x->conn, x->account, x->kind, prefix, page.after, page.limit + 1, x->a,
                        x->err, &items, &n));
    bool more = n > page.limit;
    n = more ? page.limit : n;
    xmlw_open(x->out, lists[x->kind]);
    for (size_t i = 0; i < n; i++) {
        TRY(iam_out_entity(x, "member", &items[i], IAM_LISTED));
    }
    xmlw_close(x->out, lists[x->kind]);
    iam_out_page(x, more, more ? items[n - 1].name : SLICE_EMPTY);
    return SL_OK;
}

/* UpdateUser and UpdateGroup move and rename; UpdateRole changes description and duration. */
struct sl_rc entity_update(struct iam_ctx *x) {
    struct iam_entity e;
    struct slice name, path;
    TRY(iam_param_name(x, x->kind == IAM_USER ? "NewUserName" : "NewGroupName", &name));
    TRY(iam_param_path(x, "NewPath", false, &path));
    TRY(iam_target(x, x->kind, false, (struct iam_facts){0}, &e));
    if (x->kind == IAM_ROLE) {
        role_params(x, &e);
        return iam_entity_save(x->conn, &e, x->err);
    }
    e.name = name.len > 0 ? name : e.name;
    e.path = iam_param_given(x, "NewPath") ? path : e.path;
    struct slice arn = iam_arn(x->a, x->account, iam_kind_type(x->kind), e.path, e.name);
    ENSURE(arn.ptr != NULL, x->err, SL_E_NOMEM, "Out of memory.");
    /* The new place needs the right as well, or a rename would lead out of a policy's pattern. */
    TRY(iam_allowed(x, arn, &(struct iam_facts){.entity = &e}));
    return iam_entity_save(x->conn, &e, x->err);
}

struct sl_rc entity_delete(struct iam_ctx *x) {
    struct iam_entity e;
    TRY(iam_target(x, x->kind, false, (struct iam_facts){0}, &e));
    return iam_entity_delete(x->conn, &e, x->err);
}

struct sl_rc role_update_trust(struct iam_ctx *x) {
    struct iam_entity e;
    TRY(iam_target(x, IAM_ROLE, false, (struct iam_facts){0}, &e));
    TRY(iam_param_document(x, "PolicyDocument", POLICY_TRUST, &e.trust));
    ENSURE(iam_document_size(e.trust) <= 4096, x->err, SL_E_IAM_LIMIT,
           "Cannot exceed quota for ACLSizePerRole: 4096");
    return iam_entity_save(x->conn, &e, x->err);
}

/* There are no instances here, hence no profiles of roles; tools ask before they delete a role. */
struct sl_rc role_profiles(struct iam_ctx *x) {
    struct iam_entity e;
    struct iam_window w;
    TRY(iam_target(x, IAM_ROLE, false, (struct iam_facts){0}, &e));
    TRY(iam_window_of(x, NULL, 0, &w));
    xmlw_open(x->out, "InstanceProfiles");
    xmlw_close(x->out, "InstanceProfiles");
    iam_out_page(x, false, SLICE_EMPTY);
    return SL_OK;
}

/* Whose tags an operation speaks of: a user's, a role's, or a managed policy's, which stand under
 * its ARN. */
static struct sl_rc tag_owner(struct iam_ctx *x, bool change, struct iam_facts facts,
                              struct slice *ret) {
    struct iam_entity e;
    struct iam_policy p;
    if (x->kind != 0) {
        TRY(iam_target(x, x->kind, false, facts, &e));
        *ret = e.id;
        return SL_OK;
    }
    TRY(change ? iam_target_own_policy(x, facts, &p) : iam_target_policy(x, facts, &p));
    *ret = p.arn;
    return SL_OK;
}

struct sl_rc entity_tag(struct iam_ctx *x) {
    struct slice owner;
    struct iam_tag *tags, *kept;
    size_t n, kept_count;
    TRY(iam_param_tags(x, &tags, &n));
    TRY(tag_owner(x, true, (struct iam_facts){.tags = tags, .tag_count = n}, &owner));
    for (size_t i = 0; i < n; i++) {
        TRY(iam_tag_put(x->conn, owner, tags[i], x->err));
    }
    TRY(iam_tag_list(x->conn, owner, x->a, x->err, &kept, &kept_count));
    ENSURE(kept_count <= 50, x->err, SL_E_IAM_LIMIT,
           "The number of tags has reached the maximum limit.");
    return SL_OK;
}

struct sl_rc entity_untag(struct iam_ctx *x) {
    struct slice owner, keys[TAG_KEYS_MAX];
    size_t n = 0;
    for (; n < TAG_KEYS_MAX; n++) {
        char name[48];
        snprintf(name, sizeof name, "TagKeys.member.%zu", n + 1);
        if (!iam_param_given(x, name)) {
            break;
        }
        keys[n] = iam_param(x, name);
    }
    TRY(tag_owner(x, true, (struct iam_facts){.tag_keys = keys, .tag_key_count = n}, &owner));
    for (size_t i = 0; i < n; i++) {
        TRY(iam_tag_delete(x->conn, owner, keys[i], x->err));
    }
    return SL_OK;
}

struct sl_rc entity_tags(struct iam_ctx *x) {
    struct slice owner;
    struct iam_tag *tags;
    struct iam_window w;
    size_t n;
    TRY(tag_owner(x, false, (struct iam_facts){0}, &owner));
    TRY(iam_tag_list(x->conn, owner, x->a, x->err, &tags, &n));
    struct slice *names = arena_array(x->a, n + 1, sizeof *names);
    ENSURE(names != NULL, x->err, SL_E_NOMEM, "Out of memory.");
    for (size_t i = 0; i < n; i++) {
        names[i] = tags[i].name;
    }
    TRY(iam_window_of(x, names, n, &w));
    iam_out_tags(x, tags + w.from, w.to - w.from);
    iam_out_page(x, w.to<n, w.to> 0 ? names[w.to - 1] : SLICE_EMPTY);
    return SL_OK;
}

/* The group is the resource; the user only a parameter of it, though a missing one is told first.
 */
static struct sl_rc group_and_user(struct iam_ctx *x, struct iam_entity *group,
                                   struct iam_entity *user) {
    struct slice name;
    struct sl_error no_group = {0}, *err = x->err;
    TRY(iam_param_name(x, "UserName", &name));
    x->err = &no_group;
    struct sl_rc rc = iam_target(x, IAM_GROUP, false, (struct iam_facts){0}, group);
    x->err = err;
    if (sl_is_ok(rc) || rc.code == SL_E_IAM_NO_SUCH_ENTITY) {
        TRY(iam_entity_get(x->conn, x->account, IAM_USER, name, x->a, x->err, user));
    }
    if (sl_failed(rc)) {
        *err = no_group;
    }
    return rc;
}

struct sl_rc group_add_user(struct iam_ctx *x) {
    struct iam_entity group, user, *groups;
    size_t n;
    TRY(group_and_user(x, &group, &user));
    TRY(iam_member_add(x->conn, group.id, user.id, x->err));
    TRY(iam_member_list(x->conn, &user, SLICE_EMPTY, GROUPS_PER_USER + 1, x->a, x->err, &groups,
                        &n));
    ENSURE(n <= GROUPS_PER_USER, x->err, SL_E_IAM_LIMIT,
           "Cannot exceed quota for GroupsPerUser: %d", GROUPS_PER_USER);
    return SL_OK;
}

struct sl_rc group_remove_user(struct iam_ctx *x) {
    struct iam_entity group, user;
    TRY(group_and_user(x, &group, &user));
    return iam_member_delete(x->conn, group.id, user.id, x->err);
}

struct sl_rc user_groups(struct iam_ctx *x) {
    struct iam_entity user, *groups;
    struct iam_page page;
    size_t n;
    iam_page_of(x, &page);
    TRY(iam_target(x, IAM_USER, false, (struct iam_facts){0}, &user));
    TRY(iam_member_list(x->conn, &user, page.after, page.limit + 1, x->a, x->err, &groups, &n));
    bool more = n > page.limit;
    n = more ? page.limit : n;
    xmlw_open(x->out, "Groups");
    for (size_t i = 0; i < n; i++) {
        TRY(iam_out_entity(x, "member", &groups[i], IAM_LISTED));
    }
    xmlw_close(x->out, "Groups");
    iam_out_page(x, more, more ? groups[n - 1].name : SLICE_EMPTY);
    return SL_OK;
}
