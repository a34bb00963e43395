/* Managed policies and their versions. */
#include "server/api/iam/iam_in.h"

#include <stdlib.h>

enum { DOCUMENT_MAX = 6144 };

static void out_policy(struct iam_ctx *x, const char *element, const struct iam_policy *p,
                       enum iam_detail detail) {
    xmlw_open(x->out, element);
    xmlw_text(x->out, "PolicyName", p->name);
    xmlw_text(x->out, "PolicyId", p->id);
    xmlw_text(x->out, "Arn", p->arn);
    xmlw_text(x->out, "Path", p->path);
    const char *version = arena_printf(x->a, "v%d", (int)p->version);
    xmlw_cstr(x->out, "DefaultVersionId", version ? version : "");
    xmlw_int(x->out, "AttachmentCount", p->attachments);
    xmlw_int(x->out, "PermissionsBoundaryUsageCount", p->boundaries);
    xmlw_bool(x->out, "IsAttachable", true);
    if (detail == IAM_WHOLE && p->description.len > 0) {
        xmlw_text(x->out, "Description", p->description);
    }
    iam_out_time(x, "CreateDate", p->created_s);
    iam_out_time(x, "UpdateDate", p->updated_s);
}

static struct sl_rc document_param(struct iam_ctx *x, struct slice *ret) {
    TRY(iam_param_document(x, "PolicyDocument", POLICY_IDENTITY, ret));
    ENSURE(iam_document_size(*ret) <= DOCUMENT_MAX, x->err, SL_E_IAM_LIMIT,
           "Cannot exceed quota for PolicySize: %d", DOCUMENT_MAX);
    return SL_OK;
}

struct sl_rc policy_create(struct iam_ctx *x) {
    struct iam_policy p = {
        .account = x->account, .created_s = x->now_s, .description = iam_param(x, "Description")};
    struct iam_tag *tags;
    size_t n;
    TRY(iam_param_name(x, "PolicyName", &p.name));
    TRY(iam_param_path(x, "Path", true, &p.path));
    TRY(iam_param_tags(x, &tags, &n));
    struct slice arn = iam_arn(x->a, x->account, "policy", p.path, p.name);
    ENSURE(arn.ptr != NULL, x->err, SL_E_NOMEM, "Out of memory.");
    TRY(iam_allowed(x, arn, &(struct iam_facts){.tags = tags, .tag_count = n}));
    TRY(document_param(x, &p.document));
    TRY(iam_policy_add(x->conn, &p, x->a, x->err));
    for (size_t i = 0; i < n; i++) {
        TRY(iam_tag_put(x->conn, p.arn, tags[i], x->err));
    }
    out_policy(x, "Policy", &p, IAM_CREATED);
    if (n > 0) {
        iam_out_tags(x, tags, n);
    }
    xmlw_close(x->out, "Policy");
    return SL_OK;
}

struct sl_rc policy_read(struct iam_ctx *x) {
    struct iam_policy p;
    struct iam_tag *tags;
    size_t n;
    TRY(iam_target_policy(x, (struct iam_facts){0}, &p));
    TRY(iam_tag_list(x->conn, p.arn, x->a, x->err, &tags, &n));
    out_policy(x, "Policy", &p, IAM_WHOLE);
    iam_out_tags(x, tags, n);
    xmlw_close(x->out, "Policy");
    return SL_OK;
}

struct list_filter {
    bool aws, local, only_attached, boundary_use;
    struct slice prefix;
};

static struct sl_rc list_params(struct iam_ctx *x, struct list_filter *f) {
    struct slice scope = iam_param(x, "Scope");
    f->aws = !slice_eq_cstr(scope, "Local");
    f->local = !slice_eq_cstr(scope, "AWS");
    f->boundary_use = slice_eq_cstr(iam_param(x, "PolicyUsageFilter"), "PermissionsBoundary");
    f->only_attached = iam_param_flag(x, "OnlyAttached");
    return iam_param_prefix(x, true, &f->prefix);
}

static bool passes(const struct list_filter *f, const struct iam_policy *p) {
    return slice_starts(p->path, f->prefix) && (!f->boundary_use || p->boundaries > 0) &&
           (!f->only_attached || f->boundary_use || p->attachments > 0);
}

/* A page of candidates in the order of ARNs: the account's own come before AWS's, since digits
 * sort before letters. Filters thin out a page, as IAM allows. */
static struct sl_rc list_page(struct iam_ctx *x, const struct list_filter *f,
                              const struct iam_page *page, struct iam_policy **ret,
                              size_t *ret_count) {
    struct iam_policy *items = NULL, built_in;
    size_t n = 0;
    struct iam_policy *all = arena_array(x->a, page->limit + 1, sizeof *all);
    ENSURE(all != NULL, x->err, SL_E_NOMEM, "Out of memory.");
    if (f->local) {
        TRY(iam_policy_list(x->conn, x->account, page->after, page->limit + 1, x->a, x->err, &items,
                            &n));
        for (size_t i = 0; i < n; i++) {
            all[i] = items[i];
        }
    }
    for (size_t i = 0; f->aws && n <= page->limit && iam_builtin(i, &built_in); i++) {
        if (slice_cmp(built_in.arn, page->after) > 0) {
            TRY(iam_policy_get(x->conn, built_in.arn, x->a, x->err, &all[n]));
            n++;
        }
    }
    for (size_t i = 0; i < n; i++) {
        TRY(iam_policy_count(x->conn, x->account, &all[i], x->err));
    }
    *ret = all;
    *ret_count = n;
    return SL_OK;
}

struct sl_rc policy_list(struct iam_ctx *x) {
    struct list_filter f = {0};
    struct iam_page page;
    struct iam_policy *items;
    size_t n;
    TRY(list_params(x, &f));
    struct slice arn = iam_arn(x->a, x->account, "policy", f.prefix, SLICE_EMPTY);
    ENSURE(arn.ptr != NULL, x->err, SL_E_NOMEM, "Out of memory.");
    TRY(iam_allowed(x, arn, &(struct iam_facts){0}));
    TRY(iam_policy_page_of(x, &page));
    TRY(list_page(x, &f, &page, &items, &n));
    bool more = n > page.limit;
    n = more ? page.limit : n;
    xmlw_open(x->out, "Policies");
    for (size_t i = 0; i < n; i++) {
        if (passes(&f, &items[i])) {
            out_policy(x, "member", &items[i], IAM_LISTED);
            xmlw_close(x->out, "member");
        }
    }
    xmlw_close(x->out, "Policies");
    return iam_out_policy_page(x, more, more ? items[n - 1].arn : SLICE_EMPTY);
}

/* The filter names a kind of entity; of policies there are none among entities. */
static struct sl_rc entities_params(struct iam_ctx *x, struct iam_uses *f, bool *ret_none) {
    struct slice filter = iam_param(x, "EntityFilter"), usage = iam_param(x, "PolicyUsageFilter");
    f->attached = !slice_eq_cstr(usage, "PermissionsBoundary");
    f->bounds = !slice_eq_cstr(usage, "PermissionsPolicy");
    f->kind = slice_eq_cstr(filter, "User")    ? IAM_USER
              : slice_eq_cstr(filter, "Role")  ? IAM_ROLE
              : slice_eq_cstr(filter, "Group") ? IAM_GROUP
                                               : 0;
    *ret_none = filter.len > 0 && f->kind == 0;
    return iam_param_prefix(x, true, &f->path_prefix);
}

static void out_entities(struct iam_ctx *x, enum iam_kind kind, const struct iam_entity *items,
                         size_t n) {
    static const char *const names[][3] = {[IAM_USER] = {"PolicyUsers", "UserName", "UserId"},
                                           [IAM_ROLE] = {"PolicyRoles", "RoleName", "RoleId"},
                                           [IAM_GROUP] = {"PolicyGroups", "GroupName", "GroupId"}};
    xmlw_open(x->out, names[kind][0]);
    for (size_t i = 0; i < n; i++) {
        if (items[i].kind == kind) {
            xmlw_open(x->out, "member");
            xmlw_text(x->out, names[kind][1], items[i].name);
            xmlw_text(x->out, names[kind][2], items[i].id);
            xmlw_close(x->out, "member");
        }
    }
    xmlw_close(x->out, names[kind][0]);
}

/* ListEntitiesForPolicy: pages go over all three kinds, in the order of unique ids. */
struct sl_rc policy_entities(struct iam_ctx *x) {
    struct iam_policy p;
    struct iam_uses f = {.account = x->account};
    struct iam_page page;
    struct iam_entity *items = NULL;
    size_t n = 0;
    bool none;
    TRY(entities_params(x, &f, &none));
    iam_page_of(x, &page);
    TRY(iam_target_policy(x, (struct iam_facts){0}, &p));
    f.arn = p.arn;
    if (!none) {
        TRY(iam_policy_entities(x->conn, &f, page.after, page.limit + 1, x->a, x->err, &items, &n));
    }
    bool more = n > page.limit;
    n = more ? page.limit : n;
    out_entities(x, IAM_GROUP, items, n);
    out_entities(x, IAM_USER, items, n);
    out_entities(x, IAM_ROLE, items, n);
    iam_out_page(x, more, more ? items[n - 1].id : SLICE_EMPTY);
    return SL_OK;
}

struct sl_rc policy_delete(struct iam_ctx *x) {
    struct iam_policy p;
    TRY(iam_target_own_policy(x, (struct iam_facts){0}, &p));
    return iam_policy_delete(x->conn, &p, x->err);
}

/* "v3". No version of ours has a point in it. */
static struct sl_rc version_param(struct iam_ctx *x, const struct iam_policy *p, int32_t *ret) {
    struct slice v = iam_param(x, "VersionId");
    uint64_t n;
    if (!slice_u64(slice_sub(v, 1, v.len), INT32_MAX, &n)) {
        return iam_no_policy(x, p->arn);
    }
    *ret = (int32_t)n;
    return SL_OK;
}

static void out_version(struct iam_ctx *x, const char *element, const struct iam_policy *p,
                        const struct iam_version *v, bool with_document) {
    const char *id = arena_printf(x->a, "v%d", (int)v->number);
    xmlw_open(x->out, element);
    if (with_document) {
        iam_out_document(x, "Document", v->document);
    }
    xmlw_cstr(x->out, "VersionId", id ? id : "");
    xmlw_bool(x->out, "IsDefaultVersion", v->number == p->version);
    iam_out_time(x, "CreateDate", v->created_s);
    xmlw_close(x->out, element);
}

struct sl_rc version_create(struct iam_ctx *x) {
    struct iam_policy p;
    struct iam_version v = {.created_s = x->now_s};
    bool make_default = iam_param_flag(x, "SetAsDefault");
    TRY(iam_target_own_policy(x, (struct iam_facts){0}, &p));
    TRY(document_param(x, &v.document));
    TRY(iam_version_add(x->conn, &p, v.document, make_default, x->now_s, x->err, &v.number));
    if (make_default) {
        p.version = v.number;
    }
    out_version(x, "PolicyVersion", &p, &v, false);
    return SL_OK;
}

struct sl_rc version_get(struct iam_ctx *x) {
    struct iam_policy p;
    struct iam_version *versions;
    int32_t number;
    size_t n;
    TRY(iam_target_policy(x, (struct iam_facts){0}, &p));
    TRY(version_param(x, &p, &number));
    TRY(iam_version_list(x->conn, &p, x->a, x->err, &versions, &n));
    for (size_t i = 0; i < n; i++) {
        if (versions[i].number == number) {
            out_version(x, "PolicyVersion", &p, &versions[i], true);
            return SL_OK;
        }
    }
    return iam_no_policy(x, p.arn);
}

struct sl_rc version_list(struct iam_ctx *x) {
    struct iam_policy p;
    struct iam_version *versions;
    struct iam_window w;
    size_t n;
    TRY(iam_target_policy(x, (struct iam_facts){0}, &p));
    TRY(iam_version_list(x->conn, &p, x->a, x->err, &versions, &n));
    struct slice *names = arena_array(x->a, n + 1, sizeof *names);
    for (size_t i = 0; i < n && names != NULL; i++) {
        names[i] = slice_cstr(arena_printf(x->a, "v%d", (int)versions[i].number));
    }
    ENSURE(names != NULL && names[n - 1].ptr != NULL, x->err, SL_E_NOMEM, "Out of memory.");
    TRY(iam_window_of(x, names, n, &w));
    xmlw_open(x->out, "Versions");
    for (size_t i = w.from; i < w.to; i++) {
        out_version(x, "member", &p, &versions[i], false);
    }
    xmlw_close(x->out, "Versions");
    iam_out_page(x, w.to<n, w.to> 0 ? names[w.to - 1] : SLICE_EMPTY);
    return SL_OK;
}

struct sl_rc version_set_default(struct iam_ctx *x) {
    struct iam_policy p;
    int32_t number;
    TRY(iam_target_own_policy(x, (struct iam_facts){0}, &p));
    TRY(version_param(x, &p, &number));
    return iam_version_default(x->conn, &p, number, x->now_s, x->err);
}

struct sl_rc version_delete(struct iam_ctx *x) {
    struct iam_policy p;
    int32_t number;
    TRY(iam_target_own_policy(x, (struct iam_facts){0}, &p));
    TRY(version_param(x, &p, &number));
    return iam_version_delete(x->conn, &p, number, x->err);
}
