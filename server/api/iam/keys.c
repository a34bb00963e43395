/* Access keys. The secret leaves once, in the answer to CreateAccessKey. */
#include "server/api/iam/iam_in.h"

#include "server/store/identity/used.h"

static void out_key(struct iam_ctx *x, const char *element, struct slice user, struct slice id,
                    bool active, const struct secret *secret, int64_t created_s) {
    xmlw_open(x->out, element);
    xmlw_text(x->out, "UserName", user);
    xmlw_text(x->out, "AccessKeyId", id);
    xmlw_cstr(x->out, "Status", active ? "Active" : "Inactive");
    if (secret != NULL) {
        xmlw_text(x->out, "SecretAccessKey", secret_view(secret));
    }
    iam_out_time(x, "CreateDate", created_s);
    xmlw_close(x->out, element);
}

struct sl_rc key_create(struct iam_ctx *x) {
    struct iam_entity user;
    SL_CLEANUP(buf_fini) struct buf sealed = BUF_INIT(4096);
    SL_CLEANUP(secret_fini) struct secret secret = {0};
    char id[33];
    TRY(iam_target(x, IAM_USER, true, (struct iam_facts){0}, &user));
    TRY(iam_key_make(x->c->env->keys, SLICE_EMPTY, SLICE_EMPTY, id, &secret, &sealed, x->err));
    TRY(iam_key_add(x->conn, user.id, slice_cstr(id), buf_slice(&sealed), x->now_s, x->err));
    x->out->wipe = true;
    out_key(x, "AccessKey", user.name, slice_cstr(id), true, &secret, x->now_s);
    const char *response = arena_printf(
        x->a,
        "{\"accessKey\":{\"userName\":\"%.*s\",\"accessKeyId\":\"%s\",\"status\":\"Active\"}}",
        SLICE_FMT(user.name), id);
    x->c->audit_response = slice_cstr(response);
    return SL_OK;
}

struct sl_rc key_list(struct iam_ctx *x) {
    struct iam_entity user;
    struct iam_key *keys;
    struct slice names[IAM_KEYS_PER_USER];
    struct iam_window w;
    size_t n;
    TRY(iam_target(x, IAM_USER, true, (struct iam_facts){0}, &user));
    TRY(iam_key_list(x->conn, user.id, x->a, x->err, &keys, &n));
    for (size_t i = 0; i < n; i++) {
        names[i] = keys[i].id;
    }
    TRY(iam_window_of(x, names, n, &w));
    xmlw_open(x->out, "AccessKeyMetadata");
    for (size_t i = w.from; i < w.to; i++) {
        out_key(x, "member", user.name, keys[i].id, keys[i].active, NULL, keys[i].created_s);
    }
    xmlw_close(x->out, "AccessKeyMetadata");
    iam_out_page(x, w.to<n, w.to> 0 ? names[w.to - 1] : SLICE_EMPTY);
    return SL_OK;
}

struct sl_rc key_update(struct iam_ctx *x) {
    struct iam_entity user;
    bool active = slice_eq_cstr(iam_param(x, "Status"), "Active");
    TRY(iam_target(x, IAM_USER, true, (struct iam_facts){0}, &user));
    return iam_key_set(x->conn, user.id, iam_param(x, "AccessKeyId"), active, x->err);
}

struct sl_rc key_delete(struct iam_ctx *x) {
    struct iam_entity user;
    TRY(iam_target(x, IAM_USER, true, (struct iam_facts){0}, &user));
    return iam_key_delete(x->conn, user.id, iam_param(x, "AccessKeyId"), x->err);
}

/* A key that the account doesn't have is denied, not missing. */
struct sl_rc key_last_used(struct iam_ctx *x) {
    struct slice id = iam_param(x, "AccessKeyId");
    struct iam_entity user;
    struct used_row last;
    struct sl_error why = {0};
    struct sl_rc rc = iam_key_user(x->conn, id, x->a, &why, &user);
    if (sl_failed(rc) && rc.code != SL_E_IAM_NO_SUCH_ENTITY) {
        return sl_fail(x->err, rc.code, "%s", why.detail);
    }
    ENSURE(sl_is_ok(rc) && slice_eq(user.account, x->account), x->err, SL_E_ACCESS_DENIED,
           "User: %.*s is not authorized to perform iam:GetAccessKeyLastUsed on resource: access "
           "key %.*s",
           SLICE_FMT(x->c->caller->who.principal.arn), SLICE_FMT(id));
    TRY(iam_allowed(x, user.arn, &(struct iam_facts){.entity = &user}));
    TRY(used_get(x->c->env->used, x->conn, id, x->a, x->err, &last));
    xmlw_text(x->out, "UserName", user.name);
    xmlw_open(x->out, "AccessKeyLastUsed");
    if (last.used_s > 0) {
        iam_out_time(x, "LastUsedDate", last.used_s);
    }
    xmlw_text(x->out, "ServiceName", last.used_s > 0 ? last.service : SLICE_LIT("N/A"));
    xmlw_text(x->out, "Region", last.used_s > 0 ? last.region : SLICE_LIT("N/A"));
    xmlw_close(x->out, "AccessKeyLastUsed");
    return SL_OK;
}
