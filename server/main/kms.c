/* The kms process: KMS, IAM and STS behind run/kms.sock. Owns the database and the audit log under
 * DATA/kms; holds no master key, only channels to the keyholder. With SEALIFT_SEALED it stands in
 * while the keyholder waits for its passphrase or PIN, and refuses all. Descriptors at start: 3
 * listening socket, 4 keyholder, 5 edge tokens, 6 ready pipe. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/crypto/crypto.h"
#include "server/main/kms_service.h"
#include "server/main/processes.h"
#include "server/main/sandbox.h"
#include "server/store/keys/keys.h"
#include "server/store/identity/used.h"
#include "server/store/meta/kept.h"

enum { FD_LISTEN = 3, FD_KEYHOLDER = 4, FD_TOKENS = 5, FD_READY = 6 };

/* ---- The environment of a request ---- */

static struct keyholder *idle_channel(struct kms_service *k) {
    pthread_mutex_lock(&k->mu);
    struct keyholder *found = k->idle_count > 0 ? k->idle[--k->idle_count] : NULL;
    pthread_mutex_unlock(&k->mu);
    return found;
}

static struct sl_rc take_channel(struct kms_service *k, struct keyholder **ret,
                                 struct sl_error *err) {
    struct keyholder *idle = idle_channel(k);
    if (idle != NULL) {
        *ret = idle;
        return SL_OK;
    }
    pthread_mutex_lock(&k->root_mu);
    struct sl_rc rc = keyholder_fork(k->root, ret, err);
    if (keyholder_is_broken(k->root) && k->server != NULL) {
        net_stop(k->server); /* a new kms gets a new channel */
    }
    pthread_mutex_unlock(&k->root_mu);
    return rc;
}

/* A failure is logged: what was noted lately is lost, and no request fails for it. */
static void write_used(struct kms_service *k, bool now) {
    struct sl_error err = {0};
    struct sl_rc rc = used_flush(k->used, k->db, clock_mono_ms(), now, &err);
    if (sl_failed(rc)) {
        sl_log(SL_WARN, "used.lost", "error=%s", SL_Q(slice_cstr(sl_error_message(&err, rc.code))));
    }
}

struct sl_rc kms_env_begin(struct kms_service *k, struct auth_env *ret, struct sl_error *err) {
    struct keyholder *keys = NULL;
    ENSURE(!k->sealed, err, SL_E_SEALED, "%s", sl_code_info(SL_E_SEALED)->text);
    int64_t real_ms = clock_real_ms();
    TRY(take_channel(k, &keys, err));
    *ret = (struct auth_env){
        .db = k->db,
        .keys = keys,
        .token_key = &k->token_key,
        .forward_key = &k->forward_key,
        .denial_key = &k->denial_key,
        .used = k->used,
        .audit_dir = k->audit_dir,
        .account = slice_cstr(k->conf->account),
        .region = slice_cstr(k->conf->region),
        .now_ms = real_ms + atomic_load(&k->clock_ahead_ms),
        .real_ms = real_ms,
        .holds = calloc(1, sizeof *ret->holds), /* without, every row is read anew */
    };
    kms_clock_tick(k, ret);
    write_used(k, false);
    return SL_OK;
}

void kms_env_end(struct kms_service *k, struct auth_env *env) {
    if (env->holds != NULL) {
        kept_release(env->holds);
        free(env->holds);
        env->holds = NULL;
    }
    pthread_mutex_lock(&k->mu);
    bool kept = k->idle_count < KMS_CHANNELS_MAX && !keyholder_is_broken(env->keys);
    if (kept) {
        k->idle[k->idle_count++] = env->keys;
    }
    pthread_mutex_unlock(&k->mu);
    if (!kept) {
        keyholder_close(env->keys);
    }
    env->keys = NULL;
}

/* ---- Start and end ---- */

static struct net_server *server; /* for the signal's handler */

static void on_term(int sig) {
    if (server != NULL) {
        net_stop(server);
    }
}

static struct sl_rc enter(const char *dir, struct sl_error *err) {
    const char *const paths[] = {dir, NULL};
    bool isolated = false;
    TRY(sandbox_drop(err));
    ENSURE(mkdir(dir, 0700) == 0 || errno == EEXIST, err, SL_E_IO, "%s: %m", dir);
    TRY(sandbox_enter(SANDBOX_KMS, paths, NULL, &isolated, err));
    sl_log(SL_INFO, "kms.sandbox", "isolated=%s", isolated ? "yes" : "no");
    return SL_OK;
}

static struct sl_rc open_all(struct kms_service *k, const char *dir, struct sl_error *err) {
    static const char *const schemas[] = {identity_schema, keys_schema, NULL};
    char path[4096];
    struct keyholder *for_audit = NULL;
    snprintf(path, sizeof path, "%s/kms.db", dir);
    TRY(kms_db_open(path, schemas, &k->db, err));
    TRY(kms_backup_sweep(k, err));
    k->used = used_new();
    ENSURE(k->used != NULL, err, SL_E_NOMEM, "Out of memory.");
    TRY(kms_clock_load(k, err));
    TRY(keyholder_derive(k->root, "session-token", &k->token_key, err));
    TRY(keyholder_derive(k->root, "denial", &k->denial_key, err));
    TRY(secret_random(&k->forward_key, AES256_KEY_LEN));
    TRY(keyholder_fork(k->root, &for_audit, err));
    snprintf(k->audit_dir, sizeof k->audit_dir, "%s/audit", dir);
    return audit_open(k->audit_dir, for_audit, k->conf->audit_strict, &k->audit, err);
}

/* A new kms reads the log anew. */
static void stop_broken(void *user) {
    net_stop(user);
}

static struct sl_rc serve(struct kms_service *k, struct sl_error *err) {
    struct net_conf conf = {.serve = kms_serve, .user = k};
    struct net_server *made = NULL;
    TRY(net_server_new(&conf, &made, err));
    server = made;
    k->server = made;
    signal(SIGTERM, on_term);
    signal(SIGINT, on_term);
    if (!k->sealed) {
        audit_on_broken(k->audit, stop_broken, made);
    }
    struct sl_rc rc = net_listen(server, FD_LISTEN, NULL, kms_hello, err);
    if (!sl_failed(rc)) {
        conf_ready(FD_READY);
        rc = net_run(server, err);
    }
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    server = NULL;
    k->server = NULL;
    if (!k->sealed) {
        audit_on_broken(k->audit, NULL, NULL);
    }
    net_server_free(made);
    TRY(rc);
    if (k->sealed) {
        return SL_OK;
    }
    ENSURE(!keyholder_is_broken(k->root), err, SL_E_CLOSED,
           "The channel to the keyholder is broken.");
    ENSURE(!audit_is_broken(k->audit), err, SL_E_IO, "The audit log could not be flushed.");
    return SL_OK;
}

static struct sl_rc start(struct kms_service *k, struct arena *a, struct conf *conf,
                          struct sl_error *err) {
    char dir[3072];
    TRY(conf_load(a, err, conf));
    k->conf = conf;
    int n = snprintf(dir, sizeof dir, "%s/kms", conf->data_dir);
    ENSURE(n > 0 && (size_t)n < sizeof dir, err, SL_E_LIMIT,
           "The data directory's path is too long");
    TRY(conf_tokens_read(FD_TOKENS, &k->tokens, err));
    k->sealed = getenv("SEALIFT_SEALED") != NULL;
    if (k->sealed) {
        TRY(enter(dir, err));
        return serve(k, err);
    }
    TRY(keyholder_open(FD_KEYHOLDER, &k->root, err));
    TRY(enter(dir, err));
    TRY(open_all(k, dir, err));
    return serve(k, err);
}

static void stop(struct kms_service *k) {
    audit_close(k->audit);
    write_used(k, true);
    used_free(k->used);
    kms_db_close(k->db);
    while (k->idle_count > 0) {
        keyholder_close(k->idle[--k->idle_count]);
    }
    keyholder_close(k->root);
    secret_fini(&k->token_key);
    secret_fini(&k->forward_key);
    secret_fini(&k->denial_key);
    secret_wipe(&k->tokens, sizeof k->tokens);
}

int kms_main(void) {
    sl_log_init("kms", SL_INFO);
    sandbox_unhurried();
    signal(SIGPIPE, SIG_IGN);
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(1024 * 1024);
    static struct kms_service k = {
        .tls_mu = PTHREAD_MUTEX_INITIALIZER,
        .clock_mu = PTHREAD_MUTEX_INITIALIZER,
        .backup_mu = PTHREAD_MUTEX_INITIALIZER,
        .root_mu = PTHREAD_MUTEX_INITIALIZER,
        .mu = PTHREAD_MUTEX_INITIALIZER,
    };
    k.http = (struct http_service){.handle = kms_http_handle, .user = &k};
    struct conf conf = {0};
    struct sl_error err = {0};
    struct sl_rc rc = start(&k, &a, &conf, &err);
    if (sl_failed(rc)) {
        sl_log(SL_ERROR, "kms.failed", "error=%s hint=%s",
               SL_Q(slice_cstr(sl_error_message(&err, rc.code))), SL_Q(slice_cstr(err.hint)));
    }
    stop(&k);
    return sl_failed(rc) ? 1 : 0;
}
