/* Answers of IAM's operations: entities, documents, times, pages. */
#include "server/api/iam/iam_in.h"

#include "lib/base/clock.h"
#include "server/store/identity/used.h"

enum { PAGE_DEFAULT = 100 };

void iam_out_time(struct iam_ctx *x, const char *name, int64_t epoch_s) {
    char text[21];
    clock_iso(epoch_s, text);
    xmlw_cstr(x->out, name, text);
}

/* Documents travel percent-encoded. */
void iam_out_document(struct iam_ctx *x, const char *name, struct slice document) {
    xmlw_open(x->out, name);
    uri_encode(x->out, document, false);
    xmlw_close(x->out, name);
}

void iam_out_tags(struct iam_ctx *x, const struct iam_tag *tags, size_t count) {
    xmlw_open(x->out, "Tags");
    for (size_t i = 0; i < count; i++) {
        xmlw_open(x->out, "member");
        xmlw_text(x->out, "Key", tags[i].name);
        xmlw_text(x->out, "Value", tags[i].value);
        xmlw_close(x->out, "member");
    }
    xmlw_close(x->out, "Tags");
}

static void out_boundary(struct iam_ctx *x, struct slice boundary) {
    xmlw_open(x->out, "PermissionsBoundary");
    xmlw_cstr(x->out, "PermissionsBoundaryType", "Policy");
    xmlw_text(x->out, "PermissionsBoundaryArn", boundary);
    xmlw_close(x->out, "PermissionsBoundary");
}

/* Empty for a role that nobody has used. */
static struct sl_rc out_role_used(struct iam_ctx *x, struct slice id) {
    struct used_row last;
    TRY(used_get(x->c->env->used, x->conn, id, x->a, x->err, &last));
    xmlw_open(x->out, "RoleLastUsed");
    if (last.used_s > 0) {
        iam_out_time(x, "LastUsedDate", last.used_s);
        xmlw_text(x->out, "Region", last.region);
    }
    xmlw_close(x->out, "RoleLastUsed");
    return SL_OK;
}

struct sl_rc iam_out_entity(struct iam_ctx *x, const char *element, const struct iam_entity *e,
                            enum iam_detail detail) {
    static const char *const names[][2] = {[IAM_USER] = {"UserName", "UserId"},
                                           [IAM_ROLE] = {"RoleName", "RoleId"},
                                           [IAM_GROUP] = {"GroupName", "GroupId"}};
    xmlw_open(x->out, element);
    xmlw_text(x->out, "Path", e->path);
    xmlw_text(x->out, names[e->kind][0], e->name);
    xmlw_text(x->out, names[e->kind][1], e->id);
    xmlw_text(x->out, "Arn", e->arn);
    iam_out_time(x, "CreateDate", e->created_s);
    if (e->kind == IAM_ROLE) {
        iam_out_document(x, "AssumeRolePolicyDocument", e->trust);
    }
    if (e->kind == IAM_ROLE && detail != IAM_CREATED) {
        if (e->description.len > 0) {
            xmlw_text(x->out, "Description", e->description);
        }
        xmlw_int(x->out, "MaxSessionDuration", e->max_session_s);
    }
    if (detail != IAM_LISTED && e->boundary.len > 0) {
        out_boundary(x, e->boundary);
    }
    if (detail != IAM_LISTED && e->kind != IAM_GROUP) {
        struct iam_tag *tags;
        size_t n;
        TRY(iam_tag_list(x->conn, e->id, x->a, x->err, &tags, &n));
        if (n > 0) {
            iam_out_tags(x, tags, n);
        }
    }
    if (detail == IAM_WHOLE && e->kind == IAM_ROLE) {
        TRY(out_role_used(x, e->id));
    }
    xmlw_close(x->out, element);
    return SL_OK;
}

void iam_page_of(const struct iam_ctx *x, struct iam_page *ret) {
    *ret = (struct iam_page){iam_param(x, "Marker"),
                             (size_t)iam_param_number(x, "MaxItems", PAGE_DEFAULT)};
}

struct sl_rc iam_window_of(const struct iam_ctx *x, const struct slice *names, size_t count,
                           struct iam_window *ret) {
    struct iam_page page;
    size_t from = 0;
    iam_page_of(x, &page);
    while (page.after.len > 0 && from < count && !slice_eq(names[from], page.after)) {
        from++;
    }
    ENSURE(page.after.len == 0 || from < count, x->err, SL_E_IAM_VALIDATION, "Invalid Marker.");
    from += page.after.len > 0;
    *ret = (struct iam_window){from, count - from > page.limit ? from + page.limit : count};
    return SL_OK;
}

void iam_out_page(struct iam_ctx *x, bool truncated, struct slice last) {
    xmlw_bool(x->out, "IsTruncated", truncated);
    if (truncated) {
        xmlw_text(x->out, "Marker", last);
    }
}

struct sl_rc iam_policy_page_of(struct iam_ctx *x, struct iam_page *ret) {
    iam_page_of(x, ret);
    return ret->after.len > 0 ? iam_policy_arn(x->conn, ret->after, x->a, x->err, &ret->after)
                              : SL_OK;
}

struct sl_rc iam_out_policy_page(struct iam_ctx *x, bool truncated, struct slice last_arn) {
    struct iam_policy last = {0};
    if (truncated) {
        TRY(iam_policy_get(x->conn, last_arn, x->a, x->err, &last));
    }
    iam_out_page(x, truncated, last.id);
    return SL_OK;
}
