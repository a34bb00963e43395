/* Children: their start, their watch, their end; see supervise.h. */
#include "cli/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/admin.h"
#include "cli/logs.h"
#include "cli/own_tls.h"
#include "cli/spill.h"
#include "cli/warehouse.h"
#include "lib/base/clock.h"
#include "lib/base/folder.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/rdr.h"
#include "lib/codec/json.h"
#include "lib/crypto/crypto.h"
#include "lib/ipc/frame.h"
#include "server/keys/messages.h"
#include "server/main/sandbox.h"
#include "server/net/net.h"

enum {
    FIRST_INHERITED_FD = 3,
    LOCK_FD = 7,
    BACKOFF_FIRST_MS = 100,
    BACKOFF_MAX_MS = 5000,
    HEALTHY_MS = 10 * 1000, /* alive this long: the back-off starts again */
    STOP_MS = 20 * 1000,
    KEYHOLDER_MS = 30 * 1000,
    WRONG_WORD_MS = 1000, /* wait after a first wrong word; doubles, so often: */
    WRONG_WORDS_MAX = 6,
    TICK_MS = 100, /* children that are starting, and restarts, are looked at this often */
};

static const char *const child_names[CHILD_COUNT] = {"keyholder", "kms", "gateway", "s3",
                                                     "postgres"};
/* As root: uid of each child as an offset from the instance's base. postgres has a named user. */
static const uint32_t child_uid_offset[CHILD_COUNT] = {0, 1, 3, 2, 0};

static struct sl_rc unix_listener(struct supervisor *s, const char *name, int *ret_fd,
                                  struct sl_error *err) {
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    char path[INSTANCE_PATH_MAX];
    instance_path(s->in, name, path, sizeof path);
    ENSURE(strlen(path) < sizeof addr.sun_path, err, SL_E_LIMIT, "%s: path too long for a socket",
           path);
    memcpy(addr.sun_path, path, strlen(path) + 1);
    unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ENSURE(fd >= 0, err, SL_E_IO, "socket: %m");
    /* Whoever connects must say an edge's token; as root the children have uids of their own and
     * need to reach it. */
    mode_t mode = s->in->as_root ? 0666 : 0600;
    if (bind(fd, (struct sockaddr *)&addr, sizeof addr) != 0 || chmod(path, mode) != 0 ||
        listen(fd, 512) != 0) {
        close(fd);
        return sl_fail(err, SL_E_IO, "%s: %m", path);
    }
    *ret_fd = fd;
    return SL_OK;
}

static struct sl_rc tcp_listener(const char *addr, uint16_t *port, const char *what,
                                 const char *option, int *ret_fd, struct sl_error *err) {
    struct sl_rc rc = net_tcp_listener(addr, *port, ret_fd, err);
    if (sl_failed(rc)) {
        sl_hint(err, "the %s port is taken? choose another with %s", what, option);
        return rc;
    }
    struct sockaddr_storage bound;
    socklen_t len = sizeof bound;
    ENSURE(getsockname(*ret_fd, (struct sockaddr *)&bound, &len) == 0, err, SL_E_IO,
           "getsockname: %m");
    const uint8_t *raw =
        (const uint8_t *)&bound + 2; /* sin_port and sin6_port stand at the same place */
    *port = (uint16_t)(raw[0] << 8 | raw[1]);
    return SL_OK;
}

static struct sl_rc folder(const struct supervisor *s, const char *name, mode_t mode, uint32_t uid,
                           uint32_t gid, struct sl_error *err) {
    char path[INSTANCE_PATH_MAX];
    instance_path(s->in, name, path, sizeof path);
    TRY(folder_make(path, mode, err));
    ENSURE(chmod(path, mode) == 0, err, SL_E_IO, "%s: %m", path);
    ENSURE(!s->in->as_root || chown(path, uid, gid) == 0, err, SL_E_IO, "%s: %m", path);
    return SL_OK;
}

static uint32_t child_uid(const struct supervisor *s, enum child_id id) {
    return s->in->uid_base + child_uid_offset[id];
}

uint32_t supervise_uid(const struct instance *in, enum child_id id) {
    return in->as_root ? in->uid_base + child_uid_offset[id] : (uint32_t)-1;
}

static struct sl_rc make_folders(const struct supervisor *s, struct sl_error *err) {
    uint32_t kms = child_uid(s, CHILD_KMS), s3 = child_uid(s, CHILD_S3);
    uint32_t pg_uid = 0, pg_gid = 0;
    if (s->in->as_root) {
        TRY(warehouse_user(&pg_uid, &pg_gid, err));
    }
    TRY(folder(s, "run", s->in->as_root ? 0711 : 0700, 0, 0, err));
    TRY(folder(s, "tls", s->in->as_root ? 0755 : 0700, 0, 0, err));
    TRY(folder(s, "log", 0700, 0, 0, err));
    TRY(folder(s, "keys", 0700, 0, 0, err));
    TRY(folder(s, "kms", 0700, kms, kms, err));
    TRY(folder(s, "s3", 0700, s3, s3, err));
    TRY(folder(s, "warehouse", 0700, pg_uid, pg_gid, err));
    TRY(folder(s, "run/pg", s->in->as_root ? 0711 : 0700, pg_uid, pg_gid, err));
    return SL_OK;
}

static void put_path(struct jsonw *w, const struct instance *in, const char *member,
                     const char *name) {
    char path[INSTANCE_PATH_MAX];
    instance_path(in, name, path, sizeof path);
    jsonw_name(w, member);
    jsonw_cstr(w, path);
}

static struct sl_rc write_conf(const struct supervisor *s, struct sl_error *err) {
    const struct instance *in = s->in;
    SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(64 * 1024);
    struct jsonw w = jsonw_of(&out);
    jsonw_object_begin(&w);
    const struct {
        const char *name, *value;
    } texts[] = {{"data", in->data},
                 {"instance", in->id},
                 {"account", in->account},
                 {"region", in->region},
                 {"cluster", "local"},
                 {"listen", in->listen},
                 {"domain", in->domain ? in->domain : ""},
                 {"masterUser", instance_master_user}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        jsonw_name(&w, texts[i].name);
        jsonw_cstr(&w, texts[i].value);
    }
    if (in->warehouse_key != NULL) {
        jsonw_name(&w, "warehouseKey");
        jsonw_cstr(&w, in->warehouse_key);
    }
    jsonw_name(&w, "hosts");
    jsonw_array_begin(&w);
    for (size_t i = 0; i < in->host_count; i++) {
        jsonw_cstr(&w, in->hosts[i]);
    }
    jsonw_array_end(&w);
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {{"httpsPort", in->https_port},
                   {"sqlPort", in->sql_port},
                   {"plainPort", in->plain_port},
                   {"created", in->created_s}};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        jsonw_name(&w, numbers[i].name);
        jsonw_int(&w, numbers[i].value);
    }
    jsonw_name(&w, "ephemeral");
    jsonw_bool(&w, in->ephemeral);
    jsonw_name(&w, "auditStrict");
    jsonw_bool(&w, in->audit_strict);
    put_path(&w, in, "kmsSocket", "run/kms.sock");
    put_path(&w, in, "gatewaySocket", "run/gateway.sock");
    put_path(&w, in, "pgSocketDir", "run/pg");
    put_path(&w, in, "caFile", "tls/ca.pem");
    if (in->as_root) {
        uint32_t pg_uid, pg_gid;
        TRY(warehouse_user(&pg_uid, &pg_gid, err));
        const uint32_t uids[] = {child_uid(s, CHILD_S3), child_uid(s, CHILD_GATEWAY), pg_uid,
                                 0}; /* by enum seam_edge */
        jsonw_name(&w, "edgeUids");
        jsonw_array_begin(&w);
        for (size_t i = 0; i < 4; i++) {
            jsonw_int(&w, uids[i]);
        }
        jsonw_array_end(&w);
    }
    jsonw_object_end(&w);
    TRY(buf_check(&out, err));
    char path[INSTANCE_PATH_MAX];
    instance_path(in, "run/conf.json", path, sizeof path);
    return file_replace(path, buf_slice(&out), 0644, err);
}

static struct sl_rc prepare_children(struct supervisor *s, struct sl_error *err) {
    s->https_fd = s->plain_fd = s->sql_fd = s->kms_fd = s->gateway_fd = s->admin_fd = -1;
    s->keyholder_control = s->unseal_fd = -1;
    ssize_t n = readlink("/proc/self/exe", s->exe, sizeof s->exe - 1);
    ENSURE(n > 0, err, SL_E_IO, "/proc/self/exe: %m");
    s->exe[n] = '\0';
    for (int i = 0; i < CHILD_COUNT; i++) {
        s->child[i] =
            (struct child){.name = child_names[i], .ready_fd = -1, .backoff_ms = BACKOFF_FIRST_MS};
    }
    return SL_OK;
}

static void make_tokens(struct supervisor *s) {
    for (int edge = 1; edge < SEAM_TOKENS; edge++) {
        crypto_random(s->token[edge], SEAM_TOKEN_LEN);
    }
}

struct sl_rc supervise_folders(struct supervisor *s, struct instance *in, struct sl_error *err) {
    s->in = in;
    return make_folders(s, err);
}

struct sl_rc supervise_prepare(struct supervisor *s, struct sl_error *err) {
    TRY(prepare_children(s, err));
    make_tokens(s);
    TRY(make_folders(s, err));
    TRY(tcp_listener(s->in->listen, &s->in->https_port, "HTTPS", "--port", &s->https_fd, err));
    TRY(tcp_listener(s->in->listen, &s->in->sql_port, "SQL", "--sql-port", &s->sql_fd, err));
    if (s->in->plain_port != 0) {
        TRY(tcp_listener("127.0.0.1", &s->in->plain_port, "plain HTTP", "--plain-port",
                         &s->plain_fd, err));
    }
    TRY(unix_listener(s, "run/kms.sock", &s->kms_fd, err));
    TRY(unix_listener(s, "run/gateway.sock", &s->gateway_fd, err));
    TRY(admin_listen(s, err));
    return write_conf(s, err);
}

/* ---- starting one child
 * -------------------------------------------------------------------------------------- */

static const uint32_t child_tokens[CHILD_COUNT] = {
    [CHILD_KMS] = 1u << SEAM_S3 | 1u << SEAM_GATEWAY | 1u << SEAM_POSTGRES | 1u << SEAM_SUPERVISOR,
    [CHILD_S3] = 1u << SEAM_S3,
    /* postgres's token opens database sessions; s3's is what s3 says when it hands over a Redshift
       API request */
    [CHILD_GATEWAY] = 1u << SEAM_GATEWAY | 1u << SEAM_POSTGRES | 1u << SEAM_S3,
    [CHILD_POSTGRES] = 1u << SEAM_POSTGRES | 1u << SEAM_SUPERUSER,
};

static struct sl_rc tokens_fd(const struct supervisor *s, enum child_id id, int *ret_fd,
                              struct sl_error *err) {
    int fd = memfd_create("tokens", MFD_CLOEXEC);
    ENSURE(fd >= 0, err, SL_E_IO, "memfd: %m");
    uint8_t mask[4] = {0, 0, 0, (uint8_t)child_tokens[id]};
    bool ok = write(fd, mask, sizeof mask) == sizeof mask;
    for (int edge = 1; edge < SEAM_TOKENS && ok; edge++) {
        if (child_tokens[id] & (1u << edge)) {
            ok = write(fd, s->token[edge], SEAM_TOKEN_LEN) == SEAM_TOKEN_LEN;
        }
    }
    if (!ok) {
        close(fd);
        return sl_fail(err, SL_E_IO, "tokens: %m");
    }
    *ret_fd = fd;
    return SL_OK;
}

/* In the child: puts `fds` at 3, 4, 5, 6 (-1 = leave closed) and closes everything above. */
static void place_fds(const int *fds, int count) {
    int high[8];
    for (int i = 0; i < count; i++) {
        high[i] = fds[i] < 0 ? -1 : fcntl(fds[i], F_DUPFD, 64);
    }
    for (int i = 0; i < count; i++) {
        if (high[i] < 0) {
            close(FIRST_INHERITED_FD + i);
        } else {
            dup2(high[i], FIRST_INHERITED_FD + i);
        }
    }
    syscall(SYS_close_range, FIRST_INHERITED_FD + count, ~0U, 0);
}

static void child_log(const struct supervisor *s, const char *name) {
    char path[INSTANCE_PATH_MAX], file[64];
    snprintf(file, sizeof file, "log/%s.log", name);
    instance_path(s->in, file, path, sizeof path);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    int null = open("/dev/null", O_RDWR);
    if (fd >= 0) {
        dup2(fd, STDOUT_FILENO);
        dup2(fd, STDERR_FILENO);
    }
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
    }
}

static void child_environment(const struct supervisor *s, enum child_id id) {
    char path[INSTANCE_PATH_MAX], number[16];
    const char *asan = getenv("ASAN_OPTIONS"), *ubsan = getenv("UBSAN_OPTIONS");
    char asan_copy[512], ubsan_copy[512], softhsm[512];
    snprintf(asan_copy, sizeof asan_copy, "%s", asan ? asan : "");
    snprintf(ubsan_copy, sizeof ubsan_copy, "%s", ubsan ? ubsan : "");
    snprintf(softhsm, sizeof softhsm, "%s", getenv("SOFTHSM2_CONF") ? getenv("SOFTHSM2_CONF") : "");
    clearenv();
    setenv("PATH", "/usr/bin:/bin", 1);
    setenv("LANG", "C", 1);
    if (asan_copy[0]) {
        setenv("ASAN_OPTIONS", asan_copy, 1);
    }
    if (ubsan_copy[0]) {
        setenv("UBSAN_OPTIONS", ubsan_copy, 1);
    }
    instance_path(s->in, "run/conf.json", path, sizeof path);
    setenv("SEALIFT_CONF", path, 1);
    if (s->in->as_root && id != CHILD_POSTGRES) {
        snprintf(number, sizeof number, "%u", child_uid(s, id));
        setenv("SEALIFT_UID", number, 1);
        setenv("SEALIFT_GID", number, 1);
    }
    if (id == CHILD_KEYHOLDER) {
        setenv("SEALIFT_ROOT_KEY", s->in->root_key, 1);
        instance_path(s->in, "keys/domain", path, sizeof path);
        setenv("SEALIFT_DOMAIN_FILE", path, 1);
        if (access(path, F_OK) != 0) {
            setenv("SEALIFT_CREATE", "1", 1);
        }
        if (s->in->root != NULL) {
            setenv("SEALIFT_ROOT", s->in->root, 1);
        }
        if (s->in->move_to != NULL) {
            setenv("SEALIFT_MOVE_TO", s->in->move_to, 1);
        }
        if (softhsm[0]) {
            setenv("SOFTHSM2_CONF", softhsm, 1); /* where that module finds its tokens */
        }
    }
    if (id == CHILD_KMS && s->sealed) {
        setenv("SEALIFT_SEALED", "1", 1);
    }
    if (id == CHILD_POSTGRES) {
        snprintf(number, sizeof number, "%d", FIRST_INHERITED_FD);
        setenv("SEALIFT_TOKENS_FD", number, 1);
        snprintf(number, sizeof number, "%d", FIRST_INHERITED_FD + 1);
        setenv("SEALIFT_WHY_FD", number, 1);
    }
}

SL_NORETURN static void child_exec(const struct supervisor *s, enum child_id id, const int *fds,
                                   int count) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN); /* until the child is ready to look at its certificate again */
    prctl(PR_SET_PDEATHSIG, id == CHILD_POSTGRES ? SIGQUIT : SIGTERM);
    child_log(s, child_names[id]);
    place_fds(fds, count);
    child_environment(s, id);
    if (id == CHILD_POSTGRES) {
        warehouse_exec(s->in, s->module_dir);
    } else {
        const char *argv[] = {"sealift", child_names[id], NULL};
        execv(s->exe, (char *const *)(uintptr_t)argv);
    }
    fprintf(stderr, "sealift: %s can't be started: %m\n", child_names[id]);
    _exit(127);
}

static struct sl_rc spawn(struct supervisor *s, enum child_id id, const int *fds, int count,
                          struct sl_error *err) {
    /* Behind what they know, Sealift's own children hold the instance's lock until they end. */
    int all[LOCK_FD - FIRST_INHERITED_FD + 1] = {-1, -1, -1, -1, s->in->lock_fd};
    memcpy(all, fds, (size_t)count * sizeof *fds);
    bool own = id != CHILD_POSTGRES;
    pid_t pid = fork();
    ENSURE(pid >= 0, err, SL_E_IO, "fork: %m");
    if (pid == 0) {
        child_exec(s, id, own ? all : fds, own ? LOCK_FD - FIRST_INHERITED_FD + 1 : count);
    }
    struct child *c = &s->child[id];
    c->pid = pid;
    c->ready = false;
    c->started_ms = clock_mono_ms();
    c->restart_at_ms = 0;
    return SL_OK;
}

static struct sl_rc spawn_keyholder(struct supervisor *s, struct sl_error *err) {
    int pair[2];
    ENSURE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, err, SL_E_IO,
           "socketpair: %m");
    struct sl_rc rc = spawn(s, CHILD_KEYHOLDER, &pair[1], 1, err);
    close(pair[1]);
    if (s->keyholder_control >= 0) {
        close(s->keyholder_control);
    }
    s->keyholder_control = pair[0];
    return rc;
}

static struct sl_rc give_word(const struct supervisor *s, struct slice word, struct sl_error *err) {
    struct sl_rc rc =
        frame_send(s->keyholder_control, KEYHOLDER_WORD, word, clock_mono_ms() + KEYHOLDER_MS);
    return sl_is_ok(rc) ? rc : sl_fail(err, rc.code, "the keyholder takes no word");
}

/* What the keyholder says: KEYHOLDER_READY, KEYHOLDER_MOVED, or KEYHOLDER_SEALED with its refusal
 * of the last word, if any, in *ret_why. Anything else is a failure. */
static struct sl_rc keyholder_says(struct supervisor *s, uint8_t *ret, struct sl_error *ret_why,
                                   struct sl_error *err) {
    uint8_t type = 0;
    SL_CLEANUP(buf_fini) struct buf text = BUF_INIT(4096);
    struct sl_rc rc =
        frame_recv(s->keyholder_control, &type, &text, clock_mono_ms() + KEYHOLDER_MS);
    struct rdr r = rdr_of(buf_slice(&text));
    uint16_t code = 0;
    if (sl_is_ok(rc) && type == KEYHOLDER_SEALED) {
        (void)rdr_u8(&r);
        code = rdr_u16(&r);
        struct slice why = slice_sub(buf_slice(&text), 3, text.len);
        if (code > SL_CODE_OK && code < SL_CODE_COUNT) {
            sl_ignore(sl_fail(ret_why, (enum sl_code)code, "%.*s", SLICE_FMT(why)));
        }
    } else if (sl_failed(rc) || (type != KEYHOLDER_READY && type != KEYHOLDER_MOVED)) {
        sl_hint(err, "see %s/log/keyholder.log", s->in->data);
        return sl_fail(err, SL_E_SEALED, "the keyholder did not start: %.*s",
                       SLICE_FMT(buf_slice(&text)));
    }
    *ret = type;
    return SL_OK;
}

/* The gateway looks for the file at each login: it asks nobody whether kms is there. */
static void set_sealed(struct supervisor *s, bool sealed) {
    char path[INSTANCE_PATH_MAX];
    s->sealed = sealed;
    if (s->admin_fd < 0) {
        return; /* a keyholder alone: what runs beside it has a supervisor of its own */
    }
    instance_path(s->in, "run/sealed", path, sizeof path);
    int fd = sealed ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644) : -1;
    if (fd >= 0) {
        close(fd);
    } else if (sealed || (unlink(path) != 0 && errno != ENOENT)) {
        sl_log(SL_WARN, "sealed", "path=%s error=%s", path, SL_Q(slice_cstr(strerror(errno))));
    }
}

/* With s->word the keyholder opens or the start has failed; without, it may be left sealed. */
static struct sl_rc start_keyholder(struct supervisor *s, struct sl_error *err) {
    uint8_t says = 0;
    struct sl_error why = {0};
    TRY(spawn_keyholder(s, err));
    TRY(keyholder_says(s, &says, &why, err));
    if (says == KEYHOLDER_SEALED && s->word != NULL && why.code == SL_CODE_OK) {
        TRY(give_word(s, secret_view(s->word), err));
        TRY(keyholder_says(s, &says, &why, err));
    }
    ENSURE(why.code == SL_CODE_OK, err, why.code, "%s", sl_error_message(&why, why.code));
    set_sealed(s, says == KEYHOLDER_SEALED);
    s->child[CHILD_KEYHOLDER].ready = says == KEYHOLDER_READY;
    if (s->sealed) {
        sl_log(SL_WARN, "keys.sealed", "hint=\"sealift unseal --data %s\"", s->in->data);
    }
    return SL_OK;
}

struct sl_rc supervise_unseal(struct supervisor *s, struct slice word, int take_fd,
                              struct sl_error *err) {
    int64_t now = clock_mono_ms();
    ENSURE(s->sealed, err, SL_E_VALIDATION, "the keys are open already");
    ENSURE(s->unseal_fd < 0, err, SL_E_VALIDATION, "another word is being tried");
    ENSURE(now >= s->next_word_ms, err, SL_E_ACCESS_DENIED,
           "after wrong words the next one is taken in %lld s",
           (long long)(s->next_word_ms - now + 999) / 1000);
    TRY(give_word(s, word, err));
    s->unseal_fd = take_fd;
    return SL_OK;
}

static struct sl_rc word_tried(struct supervisor *s, struct sl_error *err) {
    uint8_t says = 0;
    struct sl_error why = {0};
    TRY(keyholder_says(s, &says, &why, err));
    if (says == KEYHOLDER_SEALED) {
        int doublings = s->wrong_words < WRONG_WORDS_MAX ? s->wrong_words : WRONG_WORDS_MAX;
        s->wrong_words++;
        s->next_word_ms = clock_mono_ms() + (int64_t)WRONG_WORD_MS * (1 << doublings);
        sl_log(SL_WARN, "keys.wrong_word", "count=%d", s->wrong_words);
        return sl_fail(err, SL_E_ACCESS_DENIED, "%s", sl_error_message(&why, SL_E_ACCESS_DENIED));
    }
    set_sealed(s, false);
    s->wrong_words = 0;
    s->child[CHILD_KEYHOLDER].ready = true;
    /* What stood in for kms gives way to it. */
    s->child[CHILD_KMS].backoff_ms = BACKOFF_FIRST_MS;
    if (s->child[CHILD_KMS].pid > 0) {
        kill(s->child[CHILD_KMS].pid, SIGTERM);
    }
    sl_log(SL_INFO, "keys.open", "how=unseal");
    return SL_OK;
}

/* The keyholder has said something, or has ended, with a word in its hands. */
static void end_unseal(struct supervisor *s) {
    struct sl_error err = {0};
    struct sl_rc rc = word_tried(s, &err);
    admin_answer(s->unseal_fd, rc, &err);
    s->unseal_fd = -1;
}

static struct sl_rc move_with(struct supervisor *s, const struct secret *words[2],
                              struct sl_error *err) {
    TRY(spawn_keyholder(s, err));
    for (int i = 0;; i++) {
        uint8_t says = 0;
        struct sl_error why = {0};
        TRY(keyholder_says(s, &says, &why, err));
        if (says == KEYHOLDER_MOVED) {
            return SL_OK;
        }
        ENSURE(why.code == SL_CODE_OK, err, why.code, "%s", sl_error_message(&why, why.code));
        while (i < 2 && words[i]->len == 0) {
            i++; /* a root that needs none */
        }
        ENSURE(i < 2, err, SL_E_SEALED, "the keyholder asks for one word too many");
        TRY(give_word(s, secret_view(words[i]), err));
    }
}

struct sl_rc supervise_move(struct supervisor *s, struct instance *in, const struct secret *was,
                            const struct secret *will, struct sl_error *err) {
    const struct secret *words[2] = {was, will};
    s->in = in;
    TRY(prepare_children(s, err));
    struct sl_rc rc = move_with(s, words, err);
    supervise_end_alone(s);
    return rc;
}

/* kms's end of a fresh channel; the keyholder gets the other through its control pair. */
static struct sl_rc keyholder_channel(struct supervisor *s, int *ret_fd, struct sl_error *err) {
    int pair[2];
    ENSURE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, err, SL_E_IO,
           "socketpair: %m");
    struct sl_rc rc = frame_send_fd(s->keyholder_control, 'C', SLICE_EMPTY, pair[1]);
    close(pair[1]);
    if (sl_failed(rc)) {
        close(pair[0]);
        return sl_fail(err, rc.code, "the keyholder does not take a channel");
    }
    *ret_fd = pair[0];
    return SL_OK;
}

struct sl_rc supervise_keyholder_alone(struct supervisor *s, struct instance *in, int *ret_channel,
                                       struct sl_error *err) {
    s->in = in;
    TRY(prepare_children(s, err));
    struct sl_rc rc = start_keyholder(s, err);
    if (sl_is_ok(rc) && s->sealed) {
        rc = sl_fail(err, SL_E_SEALED, "the root key needs its passphrase or PIN");
    }
    rc = sl_is_ok(rc) ? keyholder_channel(s, ret_channel, err) : rc;
    if (sl_failed(rc)) {
        supervise_end_alone(s);
    }
    return rc;
}

struct sl_rc supervise_wrap(struct supervisor *s, struct slice passphrase, struct buf *ret,
                            struct sl_error *err) {
    uint8_t type = 0;
    SL_CLEANUP(buf_fini) struct buf answer = BUF_INIT(LIMIT_DOMAIN_FILE_BYTES);
    int64_t deadline = clock_mono_ms() + KEYHOLDER_MS;
    struct sl_rc rc = frame_send(s->keyholder_control, KEYHOLDER_WRAP, passphrase, deadline);
    rc = sl_is_ok(rc) ? frame_recv(s->keyholder_control, &type, &answer, deadline) : rc;
    ENSURE(sl_is_ok(rc), err, rc.code, "the keyholder does not answer");
    ENSURE(type == KEYHOLDER_WRAP, err, SL_E_INTERNAL, "%.*s", SLICE_FMT(buf_slice(&answer)));
    buf_put(ret, buf_slice(&answer));
    return buf_check(ret, err);
}

struct sl_rc supervise_kms_alone(struct supervisor *s, struct sl_error *err) {
    make_tokens(s);
    TRY(unix_listener(s, "run/kms.sock", &s->kms_fd, err));
    TRY(write_conf(s, err));
    TRY(supervise_start(s, CHILD_KMS, err));
    return supervise_wait_ready(s, CHILD_KMS, KEYHOLDER_MS, err);
}

struct sl_rc supervise_start(struct supervisor *s, enum child_id id, struct sl_error *err) {
    if (id == CHILD_KEYHOLDER) {
        return start_keyholder(s, err);
    }
    int tokens, ready[2] = {-1, -1}, channel = -1;
    TRY(tokens_fd(s, id, &tokens, err));
    struct sl_rc rc = SL_OK;
    if (pipe2(ready, O_CLOEXEC) != 0) {
        rc = sl_fail(err, SL_E_IO, "pipe: %m");
    } else if (id == CHILD_POSTGRES) {
        int fds[] = {tokens, ready[1]}; /* where it says why it did not start */
        rc = warehouse_configure(s->in, s->module_dir, err);
        rc = sl_is_ok(rc) ? spawn(s, id, fds, 2, err) : rc;
    } else if (id == CHILD_KMS) {
        rc = s->sealed ? SL_OK : keyholder_channel(s, &channel, err);
        int fds[] = {s->kms_fd, channel, tokens, ready[1]};
        rc = sl_is_ok(rc) ? spawn(s, id, fds, 4, err) : rc;
    } else if (id == CHILD_S3) {
        int fds[] = {s->https_fd, s->plain_fd, tokens, ready[1]};
        rc = spawn(s, id, fds, 4, err);
    } else {
        int fds[] = {s->sql_fd, s->gateway_fd, tokens, ready[1]};
        rc = spawn(s, id, fds, 4, err);
    }
    close(tokens);
    if (channel >= 0) {
        close(channel);
    }
    if (ready[1] >= 0) {
        close(ready[1]);
    }
    if (s->child[id].ready_fd >= 0) {
        close(s->child[id].ready_fd);
    }
    s->child[id].ready_fd = ready[0];
    return rc;
}

/* One look at the ready pipe (or, for PostgreSQL, its pid file). */
static bool look_ready(struct supervisor *s, enum child_id id, int wait_ms) {
    struct child *c = &s->child[id];
    if (c->ready) {
        return true;
    }
    if (id == CHILD_POSTGRES) {
        c->ready = warehouse_ready(s->in, c->pid);
        c->why[0] = c->ready ? '\0' : c->why[0];
        if (!c->ready && wait_ms > 0) {
            nanosleep(&(struct timespec){0, 20 * 1000 * 1000}, NULL);
        }
        return c->ready;
    }
    struct pollfd p = {.fd = c->ready_fd, .events = POLLIN};
    char byte;
    if (c->ready_fd >= 0 && poll(&p, 1, wait_ms) == 1 && read(c->ready_fd, &byte, 1) == 1) {
        c->ready = true;
        close(c->ready_fd);
        c->ready_fd = -1;
    }
    return c->ready;
}

/* What PostgreSQL said before it ended without having served; one that has served says nothing. */
static void read_why(struct child *c) {
    struct pollfd p = {.fd = c->ready_fd, .events = POLLIN};
    ssize_t n = poll(&p, 1, 0) == 1 ? read(c->ready_fd, c->why, sizeof c->why - 1) : 0;
    c->why[n > 0 ? n : 0] = '\0';
}

static void note_death(struct supervisor *s, enum child_id id, int status) {
    struct child *c = &s->child[id];
    if (id == CHILD_POSTGRES) {
        read_why(c);
    }
    if (id == CHILD_KEYHOLDER && s->unseal_fd >= 0) {
        end_unseal(s);
    }
    int64_t now = clock_mono_ms();
    if (now - c->started_ms > HEALTHY_MS) {
        c->backoff_ms = BACKOFF_FIRST_MS;
    }
    sl_log(SL_WARN, "child.died", "name=%s pid=%d signal=%d exit=%d restart_ms=%d why=%s", c->name,
           c->pid, WIFSIGNALED(status) ? WTERMSIG(status) : 0,
           WIFEXITED(status) ? WEXITSTATUS(status) : 0, c->backoff_ms, SL_Q(slice_cstr(c->why)));
    c->pid = 0;
    c->ready = false;
    c->restarts++;
    c->restart_at_ms = now + c->backoff_ms;
    c->backoff_ms = c->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : c->backoff_ms * 2;
    if (id == CHILD_KEYHOLDER && s->child[CHILD_KMS].pid > 0) {
        kill(s->child[CHILD_KMS].pid, SIGTERM); /* its channel is gone */
    }
}

struct sl_rc supervise_wait_ready(struct supervisor *s, enum child_id id, int timeout_ms,
                                  struct sl_error *err) {
    int64_t deadline = clock_mono_ms() + timeout_ms;
    struct child *c = &s->child[id];
    while (!look_ready(s, id, 50)) {
        int status;
        if (c->pid > 0 && waitpid(c->pid, &status, WNOHANG) == c->pid) {
            note_death(s, id, status);
            if (c->why[0] != '\0') {
                return sl_fail(err, SL_E_SEALED, "the warehouse did not start: %s", c->why);
            }
            sl_hint(err, "see %s/log/%s.log", s->in->data, c->name);
            return sl_fail(err, SL_E_INTERNAL, "%s ended while it was starting", c->name);
        }
        if (clock_mono_ms() > deadline) {
            sl_hint(err, "see %s/log/%s.log", s->in->data, c->name);
            return sl_fail(err, SL_E_TIMEOUT, "%s is not ready after %d s", c->name,
                           timeout_ms / 1000);
        }
    }
    return SL_OK;
}

struct sl_rc supervise_connect(const struct supervisor *s, int *ret_fd, struct sl_error *err) {
    struct seam_hello h = {.edge = SEAM_SUPERVISOR, .mode = SEAM_RPC};
    memcpy(h.token, s->token[SEAM_SUPERVISOR], SEAM_TOKEN_LEN);
    char path[INSTANCE_PATH_MAX];
    instance_path(s->in, "run/kms.sock", path, sizeof path);
    return seam_connect(path, &h, ret_fd, err);
}

/* ---- watching
 * -------------------------------------------------------------------------------------------------
 */

void supervise_write_status(struct supervisor *s) {
    SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(16 * 1024);
    struct jsonw w = jsonw_of(&out);
    jsonw_object_begin(&w);
    jsonw_name(&w, "isolated");
    jsonw_bool(&w, s->isolated);
    jsonw_name(&w, "processes");
    jsonw_array_begin(&w);
    for (int i = 0; i < CHILD_COUNT; i++) {
        const struct child *c = &s->child[i];
        jsonw_object_begin(&w);
        jsonw_name(&w, "name");
        jsonw_cstr(&w, c->name);
        jsonw_name(&w, "pid");
        jsonw_int(&w, c->pid);
        jsonw_name(&w, "state");
        bool closed = s->sealed && (i == CHILD_KEYHOLDER || i == CHILD_KMS);
        jsonw_cstr(&w, c->pid == 0 ? "down" : closed ? "sealed" : c->ready ? "up" : "starting");
        if (c->why[0] != '\0') {
            jsonw_name(&w, "why");
            jsonw_cstr(&w, c->why);
        }
        jsonw_name(&w, "restarts");
        jsonw_int(&w, c->restarts);
        jsonw_object_end(&w);
    }
    jsonw_array_end(&w);
    jsonw_object_end(&w);
    char path[INSTANCE_PATH_MAX];
    instance_path(s->in, "run/status.json", path, sizeof path);
    struct sl_error err = {0};
    if (sl_failed(buf_check(&out, &err)) ||
        sl_failed(file_replace(path, buf_slice(&out), 0644, &err))) {
        sl_log(SL_WARN, "status", "error=%s", SL_Q(slice_cstr(err.detail)));
    }
}

static bool reap(struct supervisor *s) {
    bool changed = false;
    for (int i = 0; i < CHILD_COUNT; i++) {
        int status;
        if (s->child[i].pid > 0 && waitpid(s->child[i].pid, &status, WNOHANG) == s->child[i].pid) {
            note_death(s, (enum child_id)i, status);
            changed = true;
        }
    }
    return changed;
}

static bool restart_due(struct supervisor *s) {
    bool changed = false;
    int64_t now = clock_mono_ms();
    for (int i = 0; i < CHILD_COUNT; i++) {
        struct child *c = &s->child[i];
        bool blocked = i == CHILD_KMS && !s->child[CHILD_KEYHOLDER].ready && !s->sealed;
        if (c->pid == 0 && c->restart_at_ms != 0 && now >= c->restart_at_ms && !blocked) {
            struct sl_error err = {0};
            if (sl_failed(supervise_start(s, (enum child_id)i, &err))) {
                sl_log(SL_ERROR, "child.start", "name=%s error=%s", c->name,
                       SL_Q(slice_cstr(err.detail)));
                c->restart_at_ms = now + c->backoff_ms;
            }
            changed = true;
        } else if (c->pid > 0 && !c->ready) {
            changed |= look_ready(s, (enum child_id)i, 0);
        }
    }
    return changed;
}

/* Sleeps until a child dies, a verb asks, a word has been tried, or a restart may be due; true when
 * it is time to stop. */
static bool told_to_stop(struct supervisor *s, int signals) {
    struct pollfd p[3] = {{.fd = signals, .events = POLLIN},
                          {.fd = s->admin_fd, .events = POLLIN},
                          {.fd = s->unseal_fd < 0 ? -1 : s->keyholder_control, .events = POLLIN}};
    struct signalfd_siginfo info;
    if (poll(p, 3, TICK_MS) <= 0) {
        return false;
    }
    bool stop = false, reload = false;
    while (p[0].revents != 0 && read(signals, &info, sizeof info) == sizeof info) {
        stop |= info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT;
        /* A terminal that closes, or the administrator of a certificate of one's own. */
        bool hup = info.ssi_signo == SIGHUP;
        reload |= hup && s->in->tls_cert != NULL;
        stop |= hup && s->in->tls_cert == NULL;
    }
    if (!stop && reload) {
        struct sl_error err = {0};
        struct sl_rc rc = supervise_reload_tls(s, &err);
        if (sl_failed(rc)) {
            sl_log(SL_WARN, "tls.not_read", "error=%s",
                   SL_Q(slice_cstr(sl_error_message(&err, rc.code))));
        }
    }
    if (!stop && p[2].revents != 0) {
        end_unseal(s);
    }
    if (!stop && p[1].revents != 0) {
        admin_serve(s);
    }
    return stop;
}

void supervise_run(struct supervisor *s) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    sl_assert(signals >= 0);
    char logs[INSTANCE_PATH_MAX];
    instance_path(s->in, "log", logs, sizeof logs);
    while (!told_to_stop(s, signals)) {
        logs_watch(logs);
        bool changed = reap(s);
        changed |= restart_due(s);
        if (changed) {
            supervise_write_status(s);
        }
    }
    close(signals);
    supervise_stop(s);
}

static void stop_one(struct supervisor *s, enum child_id id, int sig) {
    struct child *c = &s->child[id];
    if (c->pid == 0) {
        return;
    }
    kill(c->pid, sig);
    int64_t deadline = clock_mono_ms() + STOP_MS;
    while (waitpid(c->pid, NULL, WNOHANG) == 0) {
        if (clock_mono_ms() > deadline) {
            sl_log(SL_WARN, "child.kill", "name=%s pid=%d", c->name, c->pid);
            kill(c->pid, SIGKILL);
            deadline += STOP_MS;
        }
        nanosleep(&(struct timespec){0, 10 * 1000 * 1000}, NULL);
    }
    c->pid = 0;
}

void supervise_end_alone(struct supervisor *s) {
    stop_one(s, CHILD_KMS, SIGTERM);
    if (s->keyholder_control >= 0) {
        close(s->keyholder_control);
        s->keyholder_control = -1;
    }
    stop_one(s, CHILD_KEYHOLDER, SIGTERM);
}

struct sl_rc supervise_own_tls(const struct supervisor *s, struct sl_error *err) {
    int kms;
    TRY(supervise_connect(s, &kms, err));
    struct sl_rc rc = own_tls_give(s->in, kms, err);
    close(kms);
    return rc;
}

struct sl_rc supervise_reload_tls(const struct supervisor *s, struct sl_error *err) {
    static const enum child_id serving[] = {CHILD_S3, CHILD_GATEWAY};
    struct sl_rc rc = s->in->tls_cert != NULL ? supervise_own_tls(s, err) : SL_OK;
    for (size_t i = 0; i < sizeof serving / sizeof *serving; i++) {
        if (s->child[serving[i]].pid > 0) {
            kill(s->child[serving[i]].pid, SIGHUP);
        }
    }
    return rc;
}

void supervise_stop(struct supervisor *s) {
    s->stopping = true;
    stop_one(s, CHILD_GATEWAY, SIGTERM);
    stop_one(s, CHILD_S3, SIGTERM);
    stop_one(s, CHILD_POSTGRES, SIGINT); /* fast shutdown */
    spill_remove(s->in);
    supervise_end_alone(s);
    char path[INSTANCE_PATH_MAX];
    instance_path(s->in, "run/supervisor", path, sizeof path);
    unlink(path);
}
