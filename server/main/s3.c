/* The s3 process: the public port. Serves S3 and passes what isn't S3, unopened, to the process
 * that owns it. Holds the object index and the sealed part files under DATA/s3; data keys only
 * while a request uses them. Descriptors at start: 3 HTTPS listener, 4 plain listener or none, 5
 * edge tokens, 6 ready pipe. */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "server/api/s3/s3.h"
#include "server/main/conf.h"
#include "server/main/processes.h"
#include "server/main/s3_calls.h"
#include "server/main/s3_reset.h"
#include "server/main/s3_route.h"
#include "server/main/s3_upstream.h"
#include "server/main/sandbox.h"
#include "server/main/tls_renew.h"

enum { FD_HTTPS = 3, FD_PLAIN = 4, FD_TOKENS = 5, FD_READY = 6 };
enum {
    IDENTITY_RETRY_MS = 200,
    /* Connections for calls: with --audit strict kms works on one's calls while those of another
     * wait for the disk. */
    CALLS_PLAIN = 1,
    CALLS_STRICT = 3,
    MALLOC_ARENAS = 4,
    MALLOC_MMAP_BYTES = 128 * 1024,
    MALLOC_TRIM_BYTES = 4 * 1024 * 1024,
};

struct service {
    struct conf conf;
    struct s3_env env;
    struct upstreams *upstreams;
    struct calls *calls;
    struct conf_tokens tokens;
    struct reset reset;
    struct http_service http;
};

static struct net_server *server; /* for the signal's handler */
static atomic_bool stopping;

static void on_term(int sig) {
    atomic_store(&stopping, true);
    if (server != NULL) {
        net_stop(server);
    }
}

/* ---- Requests */

static void unreachable(struct http *h, const char *name) {
    bool json = http_header(h, "x-amz-target").len > 0;
    sl_log(SL_ERROR, "forward.unreachable", "to=%s request_id=%s", name, h->request_id);
    http_status(h, 503);
    http_set_cstr(h, "content-type", json ? "application/x-amz-json-1.1" : "text/xml");
    sl_ignore(http_reply(
        h, json ? SLICE_LIT("{\"__type\":\"ServiceUnavailableException\",\"message\":\"The "
                            "service is starting or sealed.\"}")
                : SLICE_LIT("<ErrorResponse><Error><Type>Receiver</Type><Code>ServiceUnavailable"
                            "</Code><Message>The service is starting or sealed.</Message></Error>"
                            "</ErrorResponse>")));
}

static void pass_on(struct service *s, struct http *h, const char *socket, const char *name) {
    int fd = -1;
    bool reusable = false;
    struct sl_error err = {0};
    if (sl_failed(upstreams_take(s->upstreams, socket, h->peer, &fd, &err))) {
        unreachable(h, name);
        return;
    }
    struct sl_rc rc = http_forward(h, fd, &reusable);
    if (sl_failed(rc)) {
        sl_log(SL_WARN, "forward.failed", "to=%s request_id=%s error=%s", name, h->request_id,
               SL_Q(slice_cstr(sl_error_message(&h->err, rc.code))));
    }
    if (reusable) {
        upstreams_give(s->upstreams, socket, h->peer, fd);
    } else {
        close(fd);
    }
}

static void handle(struct http *h, void *user) {
    struct service *s = user;
    if (reset_serve(&s->reset, h)) {
        return;
    }
    reset_enter(&s->reset);
    switch (s3_route_of(h)) {
    case S3_ROUTE_KMS:
        calls_connect(s->calls);
        pass_on(s, h, s->conf.kms_socket, "kms");
        break;
    case S3_ROUTE_GATEWAY:
        pass_on(s, h, s->conf.gateway_socket, "gateway");
        break;
    default:
        s3_handle(&s->env, h);
        break;
    }
    reset_leave(&s->reset);
}

static bool take(struct net_conn *c, const struct http *h, struct slice body, bool close,
                 void *user) {
    struct service *s = user;
    if (!s3_is_key_use(h) || !reset_try_enter(&s->reset)) {
        return false;
    }
    if (!calls_take(s->calls, c, h, body, close)) {
        reset_leave(&s->reset);
        return false;
    }
    return true;
}

static void taken_done(void *user) {
    struct service *s = user;
    reset_leave(&s->reset);
}

static void looked(void *user) {
    struct service *s = ((struct http_service *)user)->user;
    calls_looked(s->calls);
}

/* ---- Start */

static struct sl_rc enter(const char *dir, struct sl_error *err) {
    const char *const paths[] = {dir, NULL};
    bool isolated = false;
    TRY(sandbox_drop(err));
    ENSURE(mkdir(dir, 0700) == 0 || errno == EEXIST, err, SL_E_IO, "%s: %m", dir);
    TRY(sandbox_enter(SANDBOX_S3, paths, NULL, &isolated, err));
    sl_log(SL_INFO, "s3.sandbox", "isolated=%s", isolated ? "yes" : "no");
    return SL_OK;
}

static struct sl_rc open_stores(struct service *s, const char *dir, struct sl_error *err) {
    char path[4096];
    size_t swept = 0;
    int64_t start_s = clock_real_ms() / 1000;
    snprintf(path, sizeof path, "%s/parts", dir);
    TRY(blob_store_open(path, &s->env.blobs, err));
    snprintf(path, sizeof path, "%s/index.db", dir);
    TRY(index_open(path, &s->env.index, err));
    TRY(blob_sweep(s->env.blobs, start_s, index_part_known, s->env.index, &swept, err));
    if (swept > 0) {
        sl_log(SL_INFO, "s3.swept", "parts=%zu", swept);
    }
    return SL_OK;
}

struct identity {
    struct arena *a;
    struct seam_tls tls;
};

static struct sl_rc identity_fn(int fd, void *arg, struct sl_error *err) {
    struct identity *id = arg;
    return seam_tls_identity(fd, id->a, err, &id->tls);
}

/* kms may still be starting, or sealed until somebody unseals it. */
static struct sl_rc fetch_identity(struct service *s, struct arena *a, struct net_tls **ret,
                                   struct sl_error *err) {
    struct identity id = {.a = a};
    struct sl_rc rc;
    bool told = false;
    while (sl_failed(rc = kmspool_call(s->env.kms, identity_fn, &id, err))) {
        bool waits = rc.code == SL_E_CLOSED || rc.code == SL_E_SEALED || rc.code == SL_E_TIMEOUT ||
                     rc.code == SL_E_IO;
        if (!waits || atomic_load(&stopping)) {
            return rc;
        }
        if (!told) {
            sl_log(SL_INFO, "s3.waits", "for=\"TLS identity\" reason=%s",
                   SL_Q(slice_cstr(sl_error_message(err, rc.code))));
            told = true;
        }
        sl_error_clear(err);
        nanosleep(&(struct timespec){.tv_nsec = IDENTITY_RETRY_MS * 1000000L}, NULL);
    }
    rc = net_tls_new(id.tls.chain, secret_view(&id.tls.key), true, ret, err);
    struct tls_renewer renewer = {
        .tls = *ret,
        .kms_socket = s->conf.kms_socket,
        .hello = {.edge = SEAM_S3, .mode = SEAM_RPC},
    };
    memcpy(renewer.hello.token, s->tokens.token[SEAM_S3], SEAM_TOKEN_LEN);
    rc = sl_failed(rc) ? rc : tls_renew_start(&renewer, &id.tls, err);
    seam_tls_fini(&id.tls);
    return rc;
}

static struct sl_rc listen_all(const struct service *s, struct net_server *made,
                               struct net_tls *tls, struct sl_error *err) {
    TRY(net_listen(made, FD_HTTPS, tls, NULL, err));
    return s->conf.plain_port == 0 ? SL_OK : net_listen(made, FD_PLAIN, NULL, NULL, err);
}

static struct sl_rc serve(struct service *s, struct net_tls *tls, struct sl_error *err) {
    struct net_conf conf = {
        .serve = http_serve, .quick = http_quick, .looked = looked, .user = &s->http};
    struct net_server *made = NULL;
    TRY(net_server_new(&conf, &made, err));
    server = made;
    calls_serve(s->calls, made);
    calls_connect(s->calls);
    struct sl_rc rc = listen_all(s, made, tls, err);
    if (sl_is_ok(rc)) {
        conf_ready(FD_READY);
        rc = atomic_load(&stopping) ? SL_OK : net_run(made, err);
    }
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    server = NULL;
    net_server_free(made);
    return rc;
}

static struct sl_rc start(struct service *s, struct arena *a, struct sl_error *err) {
    char dir[3072];
    struct net_tls *tls = NULL;
    TRY(conf_load(a, err, &s->conf));
    int n = snprintf(dir, sizeof dir, "%s/s3", s->conf.data_dir);
    ENSURE(n > 0 && (size_t)n < sizeof dir, err, SL_E_LIMIT,
           "The data directory's path is too long");
    TRY(conf_tokens_read(FD_TOKENS, &s->tokens, err));
    ENSURE(s->tokens.have[SEAM_S3], err, SL_E_INTERNAL, "no token for this process");
    TRY(enter(dir, err));
    struct sl_rc rc = kmspool_new(s->conf.kms_socket, s->tokens.token[SEAM_S3], &s->env.kms);
    if (sl_is_ok(rc)) {
        rc = upstreams_new(s->tokens.token[SEAM_S3], &s->upstreams);
    }
    if (sl_is_ok(rc)) {
        struct calls_conf conf = {.socket = s->conf.kms_socket,
                                  .token = s->tokens.token[SEAM_S3],
                                  .channels = s->conf.audit_strict ? CALLS_STRICT : CALLS_PLAIN,
                                  .done = taken_done,
                                  .user = s};
        rc = calls_new(&conf, &s->calls);
    }
    TRY(rc);
    TRY(open_stores(s, dir, err));
    s->env.domain = slice_cstr(s->conf.domain);
    s->reset = (struct reset){.allowed = s->conf.ephemeral,
                              .gateway_socket = s->conf.gateway_socket,
                              .token = s->tokens.token[SEAM_S3],
                              .index = s->env.index,
                              .blobs = s->env.blobs};
    reset_init(&s->reset);
    TRY(fetch_identity(s, a, &tls, err));
    return serve(s, tls, err); /* tls stays the renewing thread's */
}

static void stop(struct service *s) {
    upstreams_free(s->upstreams);
    calls_free(s->calls);
    kmspool_free(s->env.kms);
    index_close(s->env.index);
    blob_store_close(s->env.blobs);
    secret_wipe(&s->tokens, sizeof s->tokens);
}

int s3_main(void) {
    sl_log_init("s3", SL_INFO);
    sandbox_unhurried();
    /* A request's large buffers go back to the system when it ends, whatever thread it ran on;
     * those that every request needs (up to NET_AHEAD_BYTES) stay at hand. */
    mallopt(M_ARENA_MAX, MALLOC_ARENAS);
    mallopt(M_MMAP_THRESHOLD, MALLOC_MMAP_BYTES);
    mallopt(M_TRIM_THRESHOLD, MALLOC_TRIM_BYTES);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, on_term);
    signal(SIGINT, on_term);
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(1024 * 1024);
    struct service s = {0};
    s.http = (struct http_service){.handle = handle, .take = take, .user = &s};
    struct sl_error err = {0};
    struct sl_rc rc = start(&s, &a, &err);
    if (sl_failed(rc) && !atomic_load(&stopping)) {
        sl_log(SL_ERROR, "s3.failed", "error=%s hint=%s",
               SL_Q(slice_cstr(sl_error_message(&err, rc.code))), SL_Q(slice_cstr(err.hint)));
    }
    stop(&s);
    return sl_failed(rc) ? 1 : 0;
}
