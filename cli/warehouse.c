/* The private PostgreSQL cluster; see warehouse.h. initdb and the bootstrap run unsandboxed as the
 * cluster's user, before anything listens; the server itself runs behind landlock, on a Unix socket
 * only, and starts nothing but itself. */
#include "cli/warehouse.h"

#include "cli/spill.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bootstrap_sql.h"
#include "members_sql.h"
#include "strings_sql.h"
#include "gateway/wire/password.h"
#include "gateway/wire/startup.h"
#include "lib/base/folder.h"
#include "lib/crypto/crypto.h"
#include "server/main/sandbox.h"

const char warehouse_bin_dir[] = SEALIFT_PG_BINDIR;

enum { CONF_BYTES_MAX = 256 * 1024 };

struct sl_rc warehouse_user(uint32_t *ret_uid, uint32_t *ret_gid, struct sl_error *err) {
    struct passwd *pw = getpwnam("postgres");
    if (pw == NULL) {
        sl_hint(err, "Debian's package postgresql-15 makes it");
        return sl_fail(err, SL_E_NOT_FOUND,
                       "there is no system user 'postgres' to run the warehouse under");
    }
    *ret_uid = pw->pw_uid;
    *ret_gid = pw->pw_gid;
    return SL_OK;
}

bool warehouse_exists(const struct instance *in) {
    char path[INSTANCE_PATH_MAX];
    instance_path(in, "pg/PG_VERSION", path, sizeof path);
    return access(path, F_OK) == 0;
}

static void become_pg(const struct instance *in) {
    uint32_t uid, gid;
    if (!in->as_root) {
        return;
    }
    if (sl_failed(warehouse_user(&uid, &gid, NULL)) || setgroups(0, NULL) != 0 ||
        setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0) {
        fprintf(stderr, "sealift: the warehouse's user can't be taken: %m\n");
        _exit(126);
    }
}

/* A quoted value of postgresql.conf. */
static void put_setting(struct buf *out, const char *name, const char *value) {
    buf_printf(out, "%s = '", name);
    for (const char *p = value; *p != '\0'; p++) {
        if (*p == '\'' || *p == '\\') {
            buf_putc(out, (uint8_t)*p);
        }
        buf_putc(out, (uint8_t)*p);
    }
    buf_puts(out, "'\n");
}

static void put_fixed_settings(struct buf *out) {
    /* Nothing of a statement or a value may reach the log (promise 1,
     * docs/decisions/6-secrets-in-sql.md). */
    buf_puts(out, "# Written by sealift at each start; changes are lost.\n"
                  "listen_addresses = ''\n"
                  "port = 5432\n"
                  "max_connections = 520\n"
                  "superuser_reserved_connections = 3\n"
                  "shared_preload_libraries = 'sealift'\n"
                  "password_encryption = 'scram-sha-256'\n"
                  "logging_collector = off\n"
                  "log_destination = 'stderr'\n"
                  "log_line_prefix = '%m [%p] '\n"
                  "log_statement = 'none'\n"
                  "log_min_error_statement = 'panic'\n"
                  "log_min_duration_statement = -1\n"
                  "log_parameter_max_length = 0\n"
                  "log_parameter_max_length_on_error = 0\n"
                  "log_checkpoints = off\n"
                  "shared_buffers = '128MB'\n"
                  "work_mem = '64MB'\n"
                  "maintenance_work_mem = '256MB'\n"
                  "wal_buffers = '16MB'\n"
                  "max_wal_size = '4GB'\n"
                  "max_slot_wal_keep_size = '16GB'\n" /* a standby that is gone fills no disk */
                  "wal_compression = on\n"
                  "timezone = 'UTC'\n"
                  "log_timezone = 'UTC'\n"
                  "lc_messages = 'C'\n"
                  "default_table_access_method = 'sealed'\n"
                  "default_text_search_config = 'pg_catalog.simple'\n"
                  "unix_socket_permissions = 0777\n");
}

static struct sl_rc write_conf(const struct instance *in, const char *module_dir,
                               const char *pg_dir, struct sl_error *err) {
    SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(CONF_BYTES_MAX);
    char text[INSTANCE_PATH_MAX + 32];
    uint64_t spill_kb;
    put_fixed_settings(&out);
    TRY(spill_limit(in, &spill_kb, err));
    buf_printf(&out, "temp_file_limit = '%llukB'\n", (unsigned long long)spill_kb);
    instance_path(in, "run/pg", text, sizeof text);
    put_setting(&out, "unix_socket_directories", text);
    snprintf(text, sizeof text, "$libdir:%.4000s", module_dir);
    put_setting(&out, "dynamic_library_path", text);
    snprintf(text, sizeof text, "https://%s:%u",
             strcmp(in->listen, "0.0.0.0") == 0 ? "127.0.0.1" : in->listen, in->https_port);
    put_setting(&out, "sealift.s3_endpoint", text);
    instance_path(in, "tls/ca.pem", text, sizeof text);
    put_setting(&out, "sealift.ca_file", text);
    instance_path(in, "run/kms.sock", text, sizeof text);
    put_setting(&out, "sealift.kms_socket", text);
    instance_path(in, "warehouse", text, sizeof text);
    put_setting(&out, "sealift.keys", text);
    put_setting(&out, "sealift.region", in->region);
    put_setting(&out, "sealift.account", in->account);
    put_setting(&out, "sealift.cluster", "local");
    put_setting(&out, "sealift.master_user", instance_master_user);
    put_setting(&out, "sealift.ephemeral", in->ephemeral ? "on" : "off");
    TRY(buf_check(&out, err));
    snprintf(text, sizeof text, "%.4000s/postgresql.conf", pg_dir);
    TRY(file_replace(text, buf_slice(&out), 0644, err));
    /* The socket trusts: the extension's ClientAuthentication hook demands the edge token (decision
     * 1). */
    snprintf(text, sizeof text, "%.4000s/pg_hba.conf", pg_dir);
    return file_replace(text,
                        SLICE_LIT("local all all trust\nlocal replication " STARTUP_STANDBY_ROLE
                                  " trust\nlocal replication all reject\n"),
                        0644, err);
}

struct sl_rc warehouse_configure(const struct instance *in, const char *module_dir,
                                 struct sl_error *err) {
    char pg_dir[INSTANCE_PATH_MAX];
    instance_path(in, "pg", pg_dir, sizeof pg_dir);
    return write_conf(in, module_dir, pg_dir, err);
}

/* ---- the first start
 * ---------------------------------------------------------------------------------------------- */

static int run_program(const struct instance *in, const char *const *argv, int stdin_fd,
                       const char *log_path) {
    pid_t pid = fork();
    if (pid == 0) {
        int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND, 0600);
        dup2(stdin_fd, STDIN_FILENO);
        if (log >= 0) {
            dup2(log, STDOUT_FILENO);
            dup2(log, STDERR_FILENO);
        }
        become_pg(in);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setenv("LC_ALL", "C", 1);
        setenv("PATH", "/usr/bin:/bin", 1);
        execv(argv[0], (char *const *)(uintptr_t)argv);
        fprintf(stderr, "sealift: %s: %m\n", argv[0]);
        _exit(127);
    }
    int status = -1;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static struct sl_rc bootstrap_text(const struct instance *in, const struct secret *password,
                                   struct buf *out, struct sl_error *err) {
    SL_CLEANUP(buf_fini) struct buf verifier = BUF_INIT(1024);
    TRY(password_verifier_put(secret_view(password), &verifier, err));
    buf_put(out, slice_of(bootstrap_sql, bootstrap_sql_len));
    buf_puts(out, "\n\n");
    buf_put(out, slice_of(strings_sql, strings_sql_len));
    buf_puts(out, "\n\n");
    /* What is ours belongs to an extension of the system's, so that pg_dump leaves it out. */
    buf_put(out, slice_of(members_sql, members_sql_len));
    /* Single-user mode with -j: a statement ends with a semicolon and an empty line. */
    buf_printf(out, "\n\nCREATE ROLE %s LOGIN CREATEDB CREATEROLE PASSWORD '%.*s';\n\n",
               instance_master_user, SLICE_FMT(buf_slice(&verifier)));
    buf_printf(out, "GRANT sealift_admin TO %s WITH ADMIN OPTION;\n\n", instance_master_user);
    if (in->ephemeral) { /* for sealift.reset() */
        buf_printf(out, "INSERT INTO sealift.master VALUES ('%.*s');\n\n",
                   SLICE_FMT(buf_slice(&verifier)));
    }
    /* Strings mean the same in a database made from either template. */
    buf_puts(out, "UPDATE pg_database SET datistemplate = false WHERE datname = 'template0';\n\n");
    buf_puts(out, "DROP DATABASE template0;\n\n");
    buf_puts(out, "CREATE DATABASE template0 IS_TEMPLATE true ALLOW_CONNECTIONS false;\n\n");
    buf_printf(out, "CREATE DATABASE dev OWNER %s;\n\n", instance_master_user);
    buf_puts(out, "CREATE DATABASE sealift;\n\n");
    buf_puts(out, "REVOKE ALL ON DATABASE sealift FROM PUBLIC;\n\n");
    buf_puts(out, "GRANT CONNECT ON DATABASE sealift TO sealift_gateway;\n\n");
    buf_puts(out, "DROP DATABASE postgres;\n\n");
    return buf_check(out, err);
}

static struct sl_rc text_fd(struct slice text, int *ret_fd, struct sl_error *err) {
    int fd = memfd_create("bootstrap", MFD_CLOEXEC);
    ENSURE(fd >= 0, err, SL_E_IO, "memfd: %m");
    bool ok = write(fd, text.ptr, text.len) == (ssize_t)text.len && lseek(fd, 0, SEEK_SET) == 0;
    if (!ok) {
        close(fd);
        return sl_fail(err, SL_E_IO, "memfd: %m");
    }
    *ret_fd = fd;
    return SL_OK;
}

static struct sl_rc make(const struct instance *in, const char *module_dir,
                         const struct secret *password, struct sl_error *err) {
    char pg_new[INSTANCE_PATH_MAX], log[INSTANCE_PATH_MAX], program[INSTANCE_PATH_MAX],
        final[INSTANCE_PATH_MAX];
    instance_path(in, "pg.new", pg_new, sizeof pg_new);
    instance_path(in, "pg", final, sizeof final);
    instance_path(in, "log/bootstrap.log", log, sizeof log);
    const char *rm[] = {"/bin/rm", "-rf", pg_new, NULL};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    /* What a start that was cut off left. PostgreSQL's user may remove what is its own, the folder
     * in DATA is ours. */
    if (access(pg_new, F_OK) == 0) {
        (void)run_program(in, rm, null, log);
    }
    ENSURE(rmdir(pg_new) == 0 || errno == ENOENT, err, SL_E_IO, "%s is in the way: %m", pg_new);
    uint32_t uid = 0, gid = 0;
    ENSURE(mkdir(pg_new, 0700) == 0, err, SL_E_IO, "%s: %m", pg_new);
    if (in->as_root) {
        TRY(warehouse_user(&uid, &gid, err));
        ENSURE(chown(pg_new, uid, gid) == 0, err, SL_E_IO, "%s: %m", pg_new);
    }
    snprintf(program, sizeof program, "%s/initdb", warehouse_bin_dir);
    const char *initdb[] = {
        program,      "-D",           pg_new,      "--username=sealift", "--encoding=UTF8",
        "--locale=C", "--auth=trust", "--no-sync", "--no-instructions",  "--data-checksums",
        NULL};
    sl_hint(err, "see %s", log);
    ENSURE(run_program(in, initdb, null, log) == 0, err, SL_E_INTERNAL, "initdb failed");
    TRY(write_conf(in, module_dir, pg_new, err));
    SL_CLEANUP(buf_fini) struct buf sql = BUF_INIT(4 * 1024 * 1024);
    TRY(bootstrap_text(in, password, &sql, err));
    int sql_fd;
    TRY(text_fd(buf_slice(&sql), &sql_fd, err));
    snprintf(program, sizeof program, "%s/postgres", warehouse_bin_dir);
    const char *single[] = {program,     "--single",
                            "-j",        "-F",
                            "-D",        pg_new,
                            "-c",        "exit_on_error=on",
                            "-c",        "log_min_messages=error",
                            "-c",        "log_min_error_statement=error",
                            "template1", NULL};
    int code = run_program(in, single, sql_fd, log);
    close(sql_fd);
    ENSURE(code == 0, err, SL_E_INTERNAL, "the warehouse's bootstrap failed (exit %d)", code);
    snprintf(program, sizeof program, "%s/initdb", warehouse_bin_dir);
    const char *flush[] = {program, "--sync-only", "-D", pg_new, NULL};
    ENSURE(run_program(in, flush, null, log) == 0, err, SL_E_IO, "the warehouse can't be flushed");
    close(null);
    ENSURE(rename(pg_new, final) == 0, err, SL_E_IO, "%s: %m", final);
    return folder_sync_of(final, err);
}

struct sl_rc warehouse_make_begin(const struct instance *in, const char *module_dir,
                                  const struct secret *password, int *ret_pid,
                                  struct sl_error *err) {
    pid_t pid = fork();
    ENSURE(pid >= 0, err, SL_E_IO, "fork: %m");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        struct sl_error own = {0};
        struct sl_rc rc = make(in, module_dir, password, &own);
        if (sl_failed(rc)) {
            fprintf(stderr, "sealift: %s\n", sl_error_message(&own, rc.code));
            if (own.hint[0]) {
                fprintf(stderr, "hint: %s\n", own.hint);
            }
        }
        _exit(sl_is_ok(rc) ? 0 : 1);
    }
    *ret_pid = pid;
    return SL_OK;
}

struct sl_rc warehouse_make_wait(const struct instance *in, int pid, struct sl_error *err) {
    int status = -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    ENSURE(WIFEXITED(status) && WEXITSTATUS(status) == 0, err, SL_E_INTERNAL,
           "the warehouse could not be made; see %s/log/bootstrap.log", in->data);
    return SL_OK;
}

/* ---- the server
 * ----------------------------------------------------------------------------------------------------
 */

void warehouse_exec(const struct instance *in, const char *module_dir) {
    char pg_dir[INSTANCE_PATH_MAX], socket_dir[INSTANCE_PATH_MAX], tls[INSTANCE_PATH_MAX],
        run[INSTANCE_PATH_MAX], keys[INSTANCE_PATH_MAX];
    char program[INSTANCE_PATH_MAX];
    instance_path(in, "pg", pg_dir, sizeof pg_dir);
    instance_path(in, "run/pg", socket_dir, sizeof socket_dir);
    instance_path(in, "run/kms.sock", run, sizeof run);
    instance_path(in, "tls", tls, sizeof tls);
    instance_path(in, "warehouse", keys, sizeof keys);
    become_pg(in);
    /* Taking another uid clears it. */
    prctl(PR_SET_PDEATHSIG, SIGQUIT);
    const char *write_paths[] = {pg_dir, socket_dir, keys, NULL};
    const char *read_paths[] = {tls, run, module_dir, "/etc/ssl", NULL};
    bool isolated;
    struct sl_error err = {0};
    if (sl_failed(spill_prepare(in, &err))) {
        fprintf(stderr, "sealift: spill: %s\n", err.detail);
        _exit(126);
    }
    if (sl_failed(sandbox_enter(SANDBOX_POSTGRES, write_paths, read_paths, &isolated, &err))) {
        fprintf(stderr, "sealift: sandbox: %s\n", err.detail);
        _exit(126);
    }
    snprintf(program, sizeof program, "%s/postgres", warehouse_bin_dir);
    const char *argv[] = {program, "-D", pg_dir, NULL};
    execv(program, (char *const *)(uintptr_t)argv);
}

bool warehouse_ready(const struct instance *in, int pid) {
    char path[INSTANCE_PATH_MAX], line[256];
    instance_path(in, "pg/postmaster.pid", path, sizeof path);
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        return false;
    }
    bool ours = fgets(line, sizeof line, f) != NULL && atoi(line) == pid;
    bool ready = false;
    for (int i = 1; i < 8 && ours && fgets(line, sizeof line, f) != NULL; i++) {
        /* line 8: the postmaster's status; a standby's is one of its own */
        ready = i == 7 && (strncmp(line, "ready", 5) == 0 || strncmp(line, "standby", 7) == 0);
    }
    fclose(f);
    return ready;
}
