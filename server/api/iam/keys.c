/* Access keys. The secret leaves once, in the answer to CreateAccessKey. */
#include "server/api/iam/iam_in.h"

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
    xmlw_text(x->out, "UserName", user.name);
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
