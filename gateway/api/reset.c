/* The gateway's and kms's part of a reset; see reset.h. */
#include "gateway/api/reset.h"

#include <unistd.h>

#include "gateway/session/session.h"
#include "lib/base/log.h"

bool reset_asked(const struct http *h) {
    return slice_eq_cstr(h->path, "/moto-api/reset") && slice_eq_cstr(h->method, "POST");
}

static struct sl_rc reset_kms(const struct redshift_env *env, struct sl_error *err) {
    int kms;
    TRY(seam_connect(env->conf->kms_socket, &env->hello, &kms, err));
    struct sl_rc rc = seam_reset(kms, err);
    close(kms);
    return rc;
}

void reset_handle(struct http *h, const struct redshift_env *env) {
    if (!env->conf->ephemeral) {
        http_status(h, 403);
        sl_ignore(http_reply_head(h));
        return;
    }
    pthread_rwlock_wrlock(&env->sql->gate);
    struct sl_rc rc = lookup_reset(env->sql->lookup, &h->err);
    rc = sl_is_ok(rc) ? reset_kms(env, &h->err) : rc;
    pthread_rwlock_unlock(&env->sql->gate);
    if (sl_failed(rc)) {
        sl_log(SL_ERROR, "reset_failed", "reason=%s",
               SL_Q(slice_cstr(sl_error_message(&h->err, rc.code))));
    }
    http_status(h, sl_failed(rc) ? 500 : 200);
    sl_ignore(http_reply_head(h));
}
