/* Answers of IAM's operations: entities, documents, times, pages. */
#include "server/api/iam/iam_in.h"

#include "lib/base/clock.h"

enum { PAGE_DEFAULT = 100, PAGE_MAX = 1000 };

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

struct sl_rc iam_out_entity(struct iam_ctx *x, const char *element, const struct iam_entity *e,
                            bool full) {
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
        if (e->description.len > 0) {
            xmlw_text(x->out, "Description", e->description);
        }
        xmlw_int(x->out, "MaxSessionDuration", e->max_session_s);
    }
    if (full && e->boundary.len > 0) {
        xmlw_open(x->out, "PermissionsBoundary");
        xmlw_cstr(x->out, "PermissionsBoundaryType", "Policy");
        xmlw_text(x->out, "PermissionsBoundaryArn", e->boundary);
        xmlw_close(x->out, "PermissionsBoundary");
    }
    if (full && e->kind != IAM_GROUP) {
        struct iam_tag *tags;
        size_t n;
        TRY(iam_tag_list(x->conn, e->id, x->a, x->err, &tags, &n));
        if (n > 0) {
            iam_out_tags(x, tags, n);
        }
    }
    xmlw_close(x->out, element);
    return SL_OK;
}

struct sl_rc iam_page_of(struct iam_ctx *x, struct iam_page *ret) {
    int64_t limit;
    TRY(iam_param_int(x, "MaxItems", 1, PAGE_MAX, PAGE_DEFAULT, &limit));
    *ret = (struct iam_page){SLICE_EMPTY, (size_t)limit};
    if (iam_param_given(x, "Marker")) {
        struct slice marker = iam_param(x, "Marker");
        ENSURE(marker.len > 0 && marker.len <= 2048 && utf8_valid(marker), x->err,
               SL_E_IAM_VALIDATION, "Invalid Marker");
        ret->after = marker;
    }
    return SL_OK;
}

void iam_out_page(struct iam_ctx *x, bool truncated, struct slice last) {
    xmlw_bool(x->out, "IsTruncated", truncated);
    if (truncated) {
        xmlw_text(x->out, "Marker", last);
    }
}
