/* `sealift gateway`: the SQL port, and the Redshift APIs that s3 hands on over a Unix socket. The
 * main thread waits for the signal that ends it; one thread accepts SQL, one runs the HTTP server.
 */
#include "gateway/gateway.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "gateway/api/redshift.h"
#include "gateway/api/reset.h"
#include "gateway/session/session.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "server/http/http.h"
#include "server/main/conf.h"
#include "server/main/sandbox.h"
#include "server/main/tls_renew.h"

enum { FD_SQL = 3, FD_HTTP = 4, FD_TOKENS = 5, FD_READY = 6 };
enum { KMS_RETRY_MS = 250, HTTP_WORKERS = 4 };

struct gateway {
    struct arena arena;
    struct conf conf;
    struct conf_tokens tokens;
    struct session_env sql;
    struct redshift_env api;
    struct http_service service;
    struct net_server *http;
    sigset_t signals;
};

/* kms starts beside us, and may be sealed: ask until it answers. *ret_stop: a signal came first. */
static struct sl_rc tls_identity(struct gateway *g, bool *ret_stop, struct sl_error *err) {
    bool told = false;
    for (;;) {
        SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(LIMIT_FRAME_BYTES);
        SL_CLEANUP(seam_tls_fini) struct seam_tls t = {0};
        int fd = -1;
        sl_error_clear(err);
        struct sl_rc rc = seam_connect(g->conf.kms_socket, &g->api.hello, &fd, err);
        if (sl_is_ok(rc)) {
            rc = seam_tls_identity(fd, &a, err, &t);
            close(fd);
        }
        if (sl_is_ok(rc)) {
            TRY(net_tls_new(t.chain, secret_view(&t.key), false, &g->sql.tls, err));
            const struct tls_renewer renewer = {g->sql.tls, g->conf.kms_socket, g->api.hello};
            return tls_renew_start(&renewer, &t, err);
        }
        if (!told) {
            sl_log(SL_INFO, "waiting_for_kms", "reason=%s",
                   SL_Q(slice_cstr(sl_error_message(err, rc.code))));
            told = true;
        }
        const struct timespec pause = {0, KMS_RETRY_MS * 1000000L};
        if (sigtimedwait(&g->signals, NULL, &pause) > 0) {
            *ret_stop = true;
            return SL_OK;
        }
    }
}

static void handle(struct http *h, void *user) {
    if (reset_asked(h)) {
        reset_handle(h, user);
    } else {
        redshift_handle(h, user);
    }
}

static struct sl_rc set_up(struct gateway *g, bool *ret_stop, struct sl_error *err) {
    TRY(conf_load(&g->arena, err, &g->conf));
    TRY(conf_tokens_read(FD_TOKENS, &g->tokens, err));
    ENSURE(g->tokens.have[SEAM_GATEWAY] && g->tokens.have[SEAM_POSTGRES] && g->tokens.have[SEAM_S3],
           err, SL_E_INTERNAL, "the gateway needs the tokens of gateway, postgres and s3");
    char *socket_path = arena_printf(&g->arena, "%s/.s.PGSQL.5432", g->conf.pg_socket_dir);
    char *own_dir = arena_printf(&g->arena, "%s/gateway", g->conf.data_dir);
    char *sealed_path = arena_printf(&g->arena, "%s/run/sealed", g->conf.data_dir);
    ENSURE(socket_path != NULL && sealed_path != NULL && own_dir != NULL, err, SL_E_NOMEM,
           "out of memory");

    g->api.conf = &g->conf;
    g->api.sql = &g->sql;
    g->api.hello = (struct seam_hello){.edge = SEAM_GATEWAY, .mode = SEAM_RPC};
    memcpy(g->api.hello.token, g->tokens.token[SEAM_GATEWAY], SEAM_TOKEN_LEN);
    memcpy(g->api.s3_token, g->tokens.token[SEAM_S3], SEAM_TOKEN_LEN);
    g->sql.target.socket_path = socket_path;
    g->sql.sealed_path = sealed_path;
    memcpy(g->sql.target.token, g->tokens.token[SEAM_POSTGRES], SEAM_TOKEN_LEN);

    bool isolated;
    const char *const write_paths[] = {own_dir, NULL};
    TRY(sandbox_enter(SANDBOX_GATEWAY, write_paths, NULL, &isolated, err));
    TRY(session_env_init(&g->sql, err));
    TRY(tls_identity(g, ret_stop, err));

    g->service = (struct http_service){handle, &g->api};
    const struct net_conf net = {.workers = HTTP_WORKERS, .serve = http_serve, .user = &g->service};
    TRY(net_server_new(&net, &g->http, err));
    return SL_OK;
}

static void *sql_thread(void *arg) {
    struct gateway *g = arg;
    session_accept_loop(&g->sql, FD_SQL);
    return NULL;
}

static void *http_thread(void *arg) {
    struct gateway *g = arg;
    struct sl_error err = {0};
    struct sl_rc rc = net_run(g->http, &err);
    if (sl_failed(rc)) {
        sl_log(SL_ERROR, "http_failed", "reason=%s",
               SL_Q(slice_cstr(sl_error_message(&err, rc.code))));
        kill(getpid(), SIGTERM);
    }
    return NULL;
}

static struct sl_rc run(struct gateway *g, struct sl_error *err) {
    pthread_t sql;
    pthread_t http;
    ENSURE(pthread_create(&http, NULL, http_thread, g) == 0, err, SL_E_NOMEM, "no thread");
    if (pthread_create(&sql, NULL, sql_thread, g) != 0) {
        net_stop(g->http);
        pthread_join(http, NULL);
        return sl_fail(err, SL_E_NOMEM, "no thread");
    }
    conf_ready(FD_READY);
    sl_log(SL_INFO, "serving", "port=%u", (unsigned)g->conf.sql_port);
    int signal;
    sigwait(&g->signals, &signal);
    sl_log(SL_INFO, "stopping", "signal=%d", signal);
    net_stop(g->http);
    session_stop(&g->sql);
    pthread_join(sql, NULL);
    pthread_join(http, NULL);
    if (atomic_load(&g->sql.connections) > 0) {
        /* Sessions that outlived the stop's patience still use the shared state. */
        _exit(0);
    }
    return SL_OK;
}

int gateway_main(void) {
    static struct gateway g = {.arena = ARENA_INIT(1024 * 1024)};
    struct sl_error err = {0};
    bool stop = false;
    sl_log_init("gateway", SL_INFO);
    /* Every session has two descriptors. */
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    sigemptyset(&g.signals);
    sigaddset(&g.signals, SIGTERM);
    sigaddset(&g.signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &g.signals, NULL);
    signal(SIGPIPE, SIG_IGN);

    struct sl_rc rc = set_up(&g, &stop, &err);
    if (sl_is_ok(rc) && !stop) {
        rc = net_listen(g.http, FD_HTTP, NULL, redshift_hello, &err);
    }
    /* Sessions that outlived the stop's patience still use the shared state, so it is not torn
     * down: the process ends here. */
    if (sl_is_ok(rc) && !stop) {
        rc = run(&g, &err);
    }
    if (sl_failed(rc)) {
        sl_log(SL_ERROR, "failed", "code=%s reason=%s", sl_code_info(rc.code)->name,
               SL_Q(slice_cstr(sl_error_message(&err, rc.code))));
        return 1;
    }
    return 0;
}
