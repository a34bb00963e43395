/* `sealift up`: the first start or the next, then the supervisor's loop. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cli/own_tls.h"
#include "cli/supervise.h"
#include "cli/verb.h"
#include "cli/verbs.h"
#include "cli/word.h"
#include "cli/warehouse.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/crypto/crypto.h"

enum {
    DEFAULT_PORT = 4566,
    DEFAULT_SQL_PORT = 5439,
    READY_MS = 60 * 1000,
    PASSWORD_CHARS = 24,
    ACCESS_KEY_CHARS = 16,
    WAREHOUSE_KEY_MAX = 2048,                     /* as KMS's KeyId */
    TEMP_FILE_LIMIT_MB_MAX = 2 * 1024 * 1024 - 1, /* of PostgreSQL's setting */
    SECRET_KEY_CHARS = 40,
    ACCESS_KEY_GIVEN_MAX = 128,
    SECRET_KEY_GIVEN_MAX = 128
};

static const char usage[] =
    "usage: sealift up [options]\n"
    "Starts the key management service, the object store and the warehouse, and supervises "
    "them.\n\n"
    "  --data DIR         data directory (default: /var/lib/sealift as root, else "
    "~/.local/share/sealift)\n"
    "  --port N           HTTPS port of all AWS APIs (default 4566; 0 picks a free one)\n"
    "  --sql-port N       SQL port (default 5439; 0 picks a free one)\n"
    "  --listen ADDR      address to listen on (default 127.0.0.1)\n"
    "  --host NAME        a further name or address for the certificate; may be given several "
    "times\n"
    "  --domain NAME      buckets are also host names below it: https://BUCKET.NAME:PORT/KEY\n"
    "  --tls-cert FILE    a certificate of your own (PEM, the chain after it), for clients that "
    "use "
    "a name\n                     it covers; given together with\n"
    "  --tls-key FILE     its private key (PEM, without a passphrase)\n"
    "  --plain-port N     also plain HTTP on loopback (default: off)\n"
    "  --account ID       12 digits, at the first start (default 000000000000)\n"
    "  --region NAME      default region, at the first start (default us-east-1)\n"
    "  --root-key FILE    root key, never under the data directory (default: in "
    "~/.config/sealift)\n"
    "  --root KIND        at the first start: file (the default), passphrase, or\n"
    "                     'pkcs11:token=LABEL;object=KEY?module-path=LIBRARY'; see sealift keys "
    "--help\n"
    "  --passphrase-file FILE  its passphrase or PIN (default: the terminal is asked)\n"
    "  --warehouse-key ID  the KMS key of the warehouse's next cluster key: at the first start, or "
    "at\n                     aws redshift rotate-encryption-key (default: the one before, or "
    "alias/aws/redshift)\n"
    "  --temp-file-limit MB  memory that one query process may spill into (default: a quarter of "
    "/dev/shm)\n"
    "  --audit strict     flush the audit log before every answer, not only before those of "
    "management calls\n"
    "  --ephemeral        a throw-away instance for tests: loopback only, stamped as such\n"
    "  --access-key ID    with --ephemeral: admin's access key, given together with\n"
    "  --secret-key KEY   its secret (at the first start)\n"
    "  --detach           return once it is up\n";

struct up_options {
    bool detach;
    const char *word_file; /* or NULL */
};

static struct sl_rc port(const char *text, const char *option, uint16_t *ret,
                         struct sl_error *err) {
    uint64_t v;
    ENSURE(slice_u64(slice_cstr(text), 65535, &v), err, SL_E_VALIDATION,
           "%s wants a port number, not '%s'", option, text);
    *ret = (uint16_t)v;
    return SL_OK;
}

static struct sl_rc add_host(struct instance *in, const char *name, struct sl_error *err) {
    ENSURE(in->host_count < INSTANCE_HOSTS_MAX, err, SL_E_LIMIT, "at most %d --host names",
           INSTANCE_HOSTS_MAX);
    in->hosts[in->host_count++] = name;
    return SL_OK;
}

/* Lower-case letters, digits, dots and dashes; the last label is no number, so it is no address. */
static bool is_domain(const char *name) {
    static const char *const characters = "abcdefghijklmnopqrstuvwxyz0123456789-.";
    size_t n = strlen(name);
    const char *dot = strrchr(name, '.');
    const char *last = dot ? dot + 1 : name;
    return n > 0 && n <= 253 && strspn(name, characters) == n && name[0] != '.' && name[0] != '-' &&
           strstr(name, "..") == NULL && *last >= 'a' && *last <= 'z';
}

/* The certificate is for the domain and all that lies right below it. */
static struct sl_rc set_domain(struct instance *in, const char *name, struct sl_error *err) {
    ENSURE(in->domain == NULL, err, SL_E_VALIDATION, "--domain is given once");
    ENSURE(is_domain(name), err, SL_E_VALIDATION,
           "--domain wants a domain's name in lower case, not '%s'", name);
    in->domain = name;
    snprintf(in->below_domain, sizeof in->below_domain, "*.%s", name);
    TRY(add_host(in, name, err));
    return add_host(in, in->below_domain, err);
}

static struct sl_rc one_option(int opt, const char *arg, struct instance *in, struct up_options *o,
                               struct sl_error *err) {
    switch (opt) {
    case 'd':
        return verb_path(arg, in->data, err);
    case 'p':
        return port(arg, "--port", &in->https_port, err);
    case 's':
        return port(arg, "--sql-port", &in->sql_port, err);
    case 'P':
        TRY(port(arg, "--plain-port", &in->plain_port, err));
        ENSURE(in->plain_port != 0, err, SL_E_VALIDATION,
               "--plain-port wants a port number above 0");
        return SL_OK;
    case 'l':
        snprintf(in->listen, sizeof in->listen, "%s", arg);
        return SL_OK;
    case 'h':
        return add_host(in, arg, err);
    case 'O':
        return set_domain(in, arg, err);
    case 'a':
        ENSURE(instance_account_ok(arg), err, SL_E_VALIDATION,
               "--account wants 12 digits, not '%s'", arg);
        snprintf(in->account, sizeof in->account, "%s", arg);
        return SL_OK;
    case 'r':
        ENSURE(strlen(arg) > 0 && strlen(arg) < sizeof in->region, err, SL_E_VALIDATION,
               "--region is not a region name");
        snprintf(in->region, sizeof in->region, "%s", arg);
        return SL_OK;
    case 'k':
        ENSURE(arg[0] == '/', err, SL_E_VALIDATION, "--root-key wants an absolute path, not '%s'",
               arg);
        return verb_path(arg, in->root_key, err);
    case 'R':
        ENSURE(strncmp(arg, "file:", 5) != 0, err, SL_E_VALIDATION,
               "the place of a root key's file is given with --root-key");
        in->root = arg;
        return SL_OK;
    case 't':
        ENSURE(slice_u64(slice_cstr(arg), TEMP_FILE_LIMIT_MB_MAX, &in->temp_file_limit_mb) &&
                   in->temp_file_limit_mb > 0,
               err, SL_E_VALIDATION, "--temp-file-limit wants a number of MB from 1 to %d",
               TEMP_FILE_LIMIT_MB_MAX);
        return SL_OK;
    case 'w':
        ENSURE(arg[0] != '\0' && strlen(arg) <= WAREHOUSE_KEY_MAX, err, SL_E_VALIDATION,
               "--warehouse-key wants the id, ARN or alias of a KMS key");
        in->warehouse_key = arg;
        return SL_OK;
    case 'W':
        o->word_file = arg;
        return SL_OK;
    case 'A':
        ENSURE(strcmp(arg, "strict") == 0, err, SL_E_VALIDATION, "--audit knows 'strict', not '%s'",
               arg);
        in->audit_strict = true;
        return SL_OK;
    case 'e':
        in->ephemeral = true;
        return SL_OK;
    case 'C':
    case 'T':
        ENSURE(arg[0] == '/', err, SL_E_VALIDATION, "--tls-%s wants an absolute path, not '%s'",
               opt == 'C' ? "cert" : "key", arg);
        *(opt == 'C' ? &in->tls_cert : &in->tls_key) = arg;
        return SL_OK;
    case 'K':
        in->access_key = arg;
        return SL_OK;
    case 'S':
        in->secret_key = arg;
        return SL_OK;
    case 'D':
        o->detach = true;
        return SL_OK;
    default:
        return sl_fail(err, SL_E_VALIDATION, "%s", usage);
    }
}

static struct sl_rc parse(int argc, char **argv, struct instance *in, struct up_options *o,
                          struct sl_error *err) {
    static const struct option options[] = {
        {"data", 1, NULL, 'd'},
        {"port", 1, NULL, 'p'},
        {"sql-port", 1, NULL, 's'},
        {"plain-port", 1, NULL, 'P'},
        {"listen", 1, NULL, 'l'},
        {"host", 1, NULL, 'h'},
        {"domain", 1, NULL, 'O'},
        {"account", 1, NULL, 'a'},
        {"region", 1, NULL, 'r'},
        {"root-key", 1, NULL, 'k'},
        {"audit", 1, NULL, 'A'},
        {"ephemeral", 0, NULL, 'e'},
        {"detach", 0, NULL, 'D'},
        {"tls-cert", 1, NULL, 'C'},
        {"tls-key", 1, NULL, 'T'},
        {"access-key", 1, NULL, 'K'},
        {"secret-key", 1, NULL, 'S'},
        {"root", 1, NULL, 'R'},
        {"passphrase-file", 1, NULL, 'W'},
        {"warehouse-key", 1, NULL, 'w'},
        {"temp-file-limit", 1, NULL, 't'},
        {"help", 0, NULL, 'H'},
        {NULL, 0, NULL, 0},
    };
    in->https_port = DEFAULT_PORT;
    in->sql_port = DEFAULT_SQL_PORT;
    snprintf(in->listen, sizeof in->listen, "127.0.0.1");
    instance_default_data(in->data, sizeof in->data);
    for (int opt; (opt = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (opt == 'H') {
            fputs(usage, stdout);
            exit(0);
        }
        TRY(one_option(opt, optarg, in, o, err));
    }
    ENSURE(optind == argc, err, SL_E_VALIDATION,
           "'%s' is not an option of 'sealift up'; see sealift up --help", argv[optind]);
    ENSURE(!in->ephemeral || strcmp(in->listen, "127.0.0.1") == 0, err, SL_E_VALIDATION,
           "--ephemeral listens on 127.0.0.1 only");
    ENSURE((in->tls_cert == NULL) == (in->tls_key == NULL), err, SL_E_VALIDATION,
           "--tls-cert and --tls-key go together");
    ENSURE((in->access_key == NULL) == (in->secret_key == NULL), err, SL_E_VALIDATION,
           "--access-key and --secret-key go together");
    ENSURE(in->access_key == NULL || in->ephemeral, err, SL_E_VALIDATION,
           "an access key may be given with --ephemeral only");
    ENSURE(in->access_key == NULL ||
               (strlen(in->access_key) <= ACCESS_KEY_GIVEN_MAX && in->access_key[0] != '\0' &&
                strlen(in->secret_key) <= SECRET_KEY_GIVEN_MAX && in->secret_key[0] != '\0'),
           err, SL_E_LIMIT, "--access-key has at most %d characters, --secret-key at most %d",
           ACCESS_KEY_GIVEN_MAX, SECRET_KEY_GIVEN_MAX);
    return SL_OK;
}

/* Where the PostgreSQL module lies: beside this executable. As root it is copied where PostgreSQL's
 * user can read it. */
static struct sl_rc module_folder(struct supervisor *s, struct sl_error *err) {
    char own[INSTANCE_PATH_MAX], module[INSTANCE_PATH_MAX + 64];
    snprintf(own, sizeof own, "%s", s->exe);
    snprintf(s->module_dir, sizeof s->module_dir, "%.4000s/extension", dirname(own));
    snprintf(module, sizeof module, "%s/sealift.so", s->module_dir);
    SL_CLEANUP(buf_fini) struct buf data = BUF_INIT(256 * 1024 * 1024);
    TRY(file_load(module, &data, err));
    instance_path(s->in, "lib", s->module_dir, sizeof s->module_dir);
    ENSURE(mkdir(s->module_dir, 0755) == 0 || errno == EEXIST, err, SL_E_IO, "%s: %m",
           s->module_dir);
    instance_path(s->in, "lib/sealift.so", module, sizeof module);
    return file_replace(module, buf_slice(&data), 0755, err);
}

static struct sl_rc make_password(struct secret *ret) {
    static const char letters[] = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";
    TRY(secret_random(ret, PASSWORD_CHARS));
    for (size_t i = 0; i < ret->len; i++) {
        ret->ptr[i] = (uint8_t)letters[ret->ptr[i] % (sizeof letters - 1)];
    }
    memcpy(ret->ptr, "Aa1",
           3); /* Redshift's rule: an upper-case letter, a lower-case letter and a digit */
    return SL_OK;
}

/* Admin's first access key: AKIA and 16 of base32, and 40 characters of base64's alphabet. */
static struct sl_rc make_access_key(const struct instance *in, struct client_credentials *c) {
    static const char base32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (in->access_key != NULL) {
        snprintf(c->access_key_id, sizeof c->access_key_id, "%s", in->access_key);
        return secret_from(&c->secret_access_key, slice_cstr(in->secret_key));
    }
    uint8_t raw[ACCESS_KEY_CHARS];
    crypto_random(raw, sizeof raw);
    memcpy(c->access_key_id, "AKIA", 4);
    for (size_t i = 0; i < sizeof raw; i++) {
        c->access_key_id[4 + i] = base32[raw[i] & 31];
    }
    c->access_key_id[4 + sizeof raw] = '\0';
    TRY(secret_random(&c->secret_access_key, SECRET_KEY_CHARS));
    for (size_t i = 0; i < SECRET_KEY_CHARS; i++) {
        c->secret_access_key.ptr[i] = (uint8_t)base64[c->secret_access_key.ptr[i] & 63];
    }
    return SL_OK;
}

/* Credentials are made and kept before anybody else knows them: a start that dies half-way goes on
 * with the same. */
static struct sl_rc own_credentials(const struct instance *in, struct client_credentials *c,
                                    struct sl_error *err) {
    struct sl_rc rc = client_load(in, c, err);
    if (rc.code != SL_E_NOT_FOUND) {
        return rc;
    }
    sl_error_clear(err);
    TRY(make_access_key(in, c));
    TRY(make_password(&c->master_password));
    return client_save(in, c, err);
}

/* kms makes the account and its user admin with that key, unless an earlier start got there. */
static struct sl_rc bootstrap_identities(struct supervisor *s, const struct client_credentials *c,
                                         struct sl_error *err) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(1024 * 1024);
    int fd;
    TRY(supervise_connect(s, &fd, err));
    struct sl_rc rc = seam_bootstrap(fd, slice_cstr(s->in->account), slice_cstr(c->access_key_id),
                                     &c->secret_access_key, &a, err);
    close(fd);
    if (rc.code == SL_E_EXISTS) {
        sl_error_clear(err);
        return SL_OK;
    }
    return rc;
}

static struct sl_rc save_ca(struct supervisor *s, struct sl_error *err) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(1024 * 1024);
    struct slice pem;
    int fd;
    TRY(supervise_connect(s, &fd, err));
    struct sl_rc rc = seam_ca(fd, &a, err, &pem);
    close(fd);
    TRY(rc);
    char path[INSTANCE_PATH_MAX];
    instance_path(s->in, "tls/ca.pem", path, sizeof path);
    return file_replace(path, pem, 0644, err);
}

static struct sl_rc start_all(struct supervisor *s, struct client_credentials *c,
                              struct sl_error *err) {
    int maker = 0;
    TRY(supervise_start(s, CHILD_KEYHOLDER, err));
    TRY(supervise_start(s, CHILD_KMS, err));
    if (!warehouse_exists(s->in)) {
        TRY(own_credentials(s->in, c, err));
        TRY(warehouse_make_begin(s->in, s->module_dir, &c->master_password, &maker, err));
    }
    TRY(supervise_wait_ready(s, CHILD_KMS, READY_MS, err));
    if (maker != 0) {
        TRY(bootstrap_identities(s, c, err));
    }
    TRY(save_ca(s, err));
    TRY(supervise_own_tls(s, err));
    TRY(supervise_start(s, CHILD_S3, err));
    if (maker != 0) {
        TRY(warehouse_make_wait(s->in, maker, err));
    }
    TRY(supervise_start(s, CHILD_POSTGRES, err));
    TRY(supervise_start(s, CHILD_GATEWAY, err));
    TRY(supervise_wait_ready(s, CHILD_S3, READY_MS, err));
    /* Crash recovery may take its time. */
    struct sl_rc rc = supervise_wait_ready(s, CHILD_POSTGRES, READY_MS * 5, err);
    if (rc.code ==
        SL_E_SEALED) { /* its root key is disabled, and can be enabled through the rest */
        fprintf(stderr, "sealift: warning: %s; it is tried again\n", err->detail);
        sl_error_clear(err);
        rc = SL_OK;
    }
    TRY(rc);
    return supervise_wait_ready(s, CHILD_GATEWAY, READY_MS, err);
}

static void announce(const struct supervisor *s, int64_t begun_ms) {
    const struct instance *in = s->in;
    printf("Sealift is up after %.1f s\n"
           "  AWS APIs   https://%s:%u   (account %s, region %s)\n"
           "  SQL        %s:%u, database dev, user %s\n"
           "  data       %s\n",
           (double)(clock_mono_ms() - begun_ms) / 1000, in->listen, in->https_port, in->account,
           in->region, in->listen, in->sql_port, instance_master_user, in->data);
    if (!s->isolated) {
        printf("  WARNING    keys not isolated: this kernel has no landlock, and all processes "
               "share one user\n");
    }
    printf("next: eval \"$(%s env --data %s)\"\n", s->exe, in->data);
    fflush(stdout);
}

static struct sl_rc write_pid(const struct instance *in, struct sl_error *err) {
    char path[INSTANCE_PATH_MAX], text[32];
    instance_path(in, "run/supervisor", path, sizeof path);
    snprintf(text, sizeof text, "%d\n", (int)getpid());
    return file_replace(path, slice_cstr(text), 0644, err);
}

static void warn_swap(void) {
    FILE *f = fopen("/proc/swaps", "re");
    char line[512];
    int lines = 0;
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        lines++;
    }
    if (f != NULL) {
        fclose(f);
    }
    if (lines > 1) {
        fprintf(stderr, "sealift: warning: swap is on; it must be encrypted or off, or memory may "
                        "reach a disk in the clear\n");
    }
}

static bool landlock_works(void) {
    return syscall(SYS_landlock_create_ruleset, NULL, 0, 1 /* LANDLOCK_CREATE_RULESET_VERSION */) >=
           1;
}

/* The word that the root needs, if any. Only a first start may choose a root. */
static struct sl_rc root_word(const struct instance *in, const char *file, struct secret *ret,
                              struct sl_error *err) {
    char path[INSTANCE_PATH_MAX];
    enum root_kind kind;
    instance_path(in, "keys/domain", path, sizeof path);
    bool first = access(path, F_OK) != 0;
    if (!first && in->root != NULL) {
        sl_hint(err, "change it with: sealift keys root --to KIND --data %s", in->data);
        return sl_fail(err, SL_E_VALIDATION, "--root is for the first start");
    }
    TRY(word_root_kind(in, &kind, err));
    return root_needs_word(kind) ? word_read(file, kind, first, ret, err) : SL_OK;
}

/* Everything from the folders to the loop; `ready_fd` (or -1) gets one byte when up. */
static int serve(struct supervisor *s, const struct up_options *o, int ready_fd) {
    struct sl_error err = {0};
    int64_t begun = clock_mono_ms();
    struct client_credentials c = {0};
    /* The edge tokens and, for a while, credentials are in this process. */
    struct rlimit none = {0, 0};
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    setrlimit(RLIMIT_CORE, &none);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL); /* taken by the loop */
    s->isolated = s->in->as_root || landlock_works();
    struct secret word = {0};
    struct sl_rc rc = root_word(s->in, o->word_file, &word, &err);
    if (ready_fd >= 0) {
        setsid(); /* the terminal has been asked */
    }
    rc = sl_is_ok(rc) ? supervise_prepare(s, &err) : rc;
    s->word = word.len > 0 ? &word : NULL;
    rc = sl_is_ok(rc) ? write_pid(s->in, &err) : rc;
    rc = sl_is_ok(rc) ? module_folder(s, &err) : rc;
    rc = sl_is_ok(rc) ? start_all(s, &c, &err) : rc;
    client_fini(&c);
    s->word = NULL; /* a keyholder that dies leaves the keys sealed */
    secret_fini(&word);
    if (sl_failed(rc)) {
        supervise_stop(s);
        return verb_report(&err, rc);
    }
    supervise_write_status(s); /* whoever waited for us may ask at once */
    announce(s, begun);
    if (ready_fd >= 0) {
        if (write(ready_fd, "R", 1) != 1) {
            return 1;
        }
        close(ready_fd);
        char path[INSTANCE_PATH_MAX];
        instance_path(s->in, "log/supervisor.log", path, sizeof path);
        int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        dup2(null, STDIN_FILENO);
        dup2(log >= 0 ? log : null, STDOUT_FILENO);
        dup2(log >= 0 ? log : null, STDERR_FILENO);
    }
    supervise_run(s);
    return 0;
}

/* The parent of a detached supervisor waits for its word. */
static int detach(struct supervisor *s, const struct up_options *o) {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) {
        return 1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        exit(serve(s, o, fds[1]));
    }
    close(fds[1]);
    char byte;
    return pid > 0 && read(fds[0], &byte, 1) == 1 ? 0 : 1;
}

int verb_up(int argc, char **argv) {
    static struct instance in;
    static struct supervisor s;
    struct up_options o = {0};
    struct sl_error err = {0};
    sl_log_init("supervisor", SL_INFO);
    struct sl_rc rc = parse(argc, argv, &in, &o, &err);
    rc = sl_is_ok(rc) && in.tls_cert != NULL ? own_tls_check(&in, &err) : rc;
    rc = sl_is_ok(rc) ? instance_create(&in, &err) : rc;
    rc = sl_is_ok(rc) ? instance_root_outside(&in, in.root_key, &err) : rc;
    if (sl_failed(rc)) {
        return verb_report(&err, rc);
    }
    warn_swap();
    s.in = &in;
    return o.detach ? detach(&s, &o) : serve(&s, &o, -1);
}
