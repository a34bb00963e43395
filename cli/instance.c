/* Data directory, credentials folder and lock of an instance; see instance.h. */
#include "cli/instance.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/arena.h"
#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/folder.h"
#include "lib/codec/json.h"
#include "lib/crypto/crypto.h"

const char instance_master_user[] = "awsuser";

enum {
    UID_FIRST = 61184, /* systemd's dynamic users: numbers that no account has */
    UID_RUNS = 500,    /* runs of SUPERVISOR_UIDS in that range */
    CONFIG_BYTES_MAX = 64 * 1024,
    SOCKET_PATH_MAX = 107, /* sockaddr_un */
    LOCK_TRY_MS = 20,
    LOCK_LOOK_MS = 200,           /* for a status query that holds it for an instant */
    LOCK_CHILDREN_MS = 30 * 1000, /* for children of a supervisor that was killed */
};

static void home_path(const char *variable, const char *fallback, char *out, size_t size) {
    const char *base = getenv(variable);
    if (base != NULL && base[0] == '/') {
        snprintf(out, size, "%s", base);
        return;
    }
    const char *home = getenv("HOME");
    if (home == NULL || home[0] != '/') {
        struct passwd *pw = getpwuid(getuid());
        home = pw != NULL ? pw->pw_dir : "/";
    }
    snprintf(out, size, "%s/%s", home, fallback);
}

bool instance_account_ok(const char *s) {
    return strlen(s) == 12 && strspn(s, "0123456789") == 12;
}

void instance_default_data(char *out, size_t size) {
    const char *named = getenv("SEALIFT_DATA");
    if (named != NULL && named[0] != '\0') {
        snprintf(out, size, "%s", named);
    } else if (geteuid() == 0) {
        snprintf(out, size, "/var/lib/sealift");
    } else {
        char base[INSTANCE_PATH_MAX - 16];
        home_path("XDG_DATA_HOME", ".local/share", base, sizeof base);
        snprintf(out, size, "%s/sealift", base);
    }
}

void instance_path(const struct instance *in, const char *name, char *out, size_t size) {
    int n = snprintf(out, size, "%s/%s", in->data, name);
    sl_assert(n > 0 && (size_t)n < size);
}

static struct sl_rc make_folder(const char *path, mode_t mode, struct sl_error *err) {
    for (const char *p = path + 1;; p++) {
        if (*p == '/' || *p == '\0') {
            char part[INSTANCE_PATH_MAX];
            snprintf(part, sizeof part, "%.*s", (int)(p - path), path);
            bool last = *p == '\0';
            TRY(folder_make(part, last ? mode : 0755, err));
            if (last) {
                ENSURE(chmod(path, mode) == 0, err, SL_E_IO, "%s: %m", path);
                return SL_OK;
            }
        }
    }
}

struct sl_rc file_replace(const char *path, struct slice data, unsigned mode,
                          struct sl_error *err) {
    char tmp[INSTANCE_PATH_MAX + 8];
    snprintf(tmp, sizeof tmp, "%s.new", path);
    int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    ENSURE(fd >= 0, err, SL_E_IO, "%s can't be made: %m", tmp);
    bool ok = fchmod(fd, mode) == 0 && sl_is_ok(fd_write(fd, data)) && fsync(fd) == 0;
    close(fd);
    ENSURE(ok && rename(tmp, path) == 0, err, SL_E_IO, "%s can't be written: %m", path);
    return folder_sync_of(path, err);
}

struct sl_rc file_load(const char *path, struct buf *ret, struct sl_error *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ENSURE(fd >= 0, err, errno == ENOENT ? SL_E_NOT_FOUND : SL_E_IO, "%s can't be opened: %m",
           path);
    for (;;) {
        uint8_t *p = buf_reserve(ret, 4096);
        ssize_t n = p != NULL ? read(fd, p, 4096) : -1;
        if (n <= 0) {
            close(fd);
            ENSURE(n == 0, err, SL_E_IO, "%s can't be read", path);
            return SL_OK;
        }
        ret->len += (size_t)n;
    }
}

static void copy_text(const struct json *root, const char *name, char *out, size_t size) {
    const struct json *v = json_get(root, name);
    if (v != NULL && v->type == JSON_STRING && v->text.len < size) {
        memcpy(out, v->text.ptr, v->text.len);
        out[v->text.len] = '\0';
    }
}

static struct sl_rc read_json(const char *path, struct arena *a, const struct json **ret,
                              struct sl_error *err) {
    SL_CLEANUP(buf_fini) struct buf data = BUF_INIT(CONFIG_BYTES_MAX);
    data.wipe = true;
    TRY(file_load(path, &data, err));
    return json_parse(buf_slice(&data), a, err, ret);
}

static void config_folder(struct instance *in) {
    char base[INSTANCE_PATH_MAX - 64];
    home_path("XDG_CONFIG_HOME", ".config", base, sizeof base);
    snprintf(in->config, sizeof in->config, "%s/sealift/%s", base, in->id);
    if (in->root_key[0] == '\0') {
        const char *systemd = getenv("CREDENTIALS_DIRECTORY");
        char candidate[INSTANCE_PATH_MAX];
        snprintf(candidate, sizeof candidate, "%s/root.key",
                 systemd != NULL ? systemd : "/nonexistent");
        if (systemd != NULL && access(candidate, R_OK) == 0) {
            snprintf(in->root_key, sizeof in->root_key, "%s", candidate);
        } else {
            snprintf(in->root_key, sizeof in->root_key, "%.*s/root.key", INSTANCE_PATH_MAX - 16,
                     in->config);
        }
    }
}

static struct sl_rc absolute(struct instance *in, struct sl_error *err) {
    char full[INSTANCE_PATH_MAX], resolved[PATH_MAX];
    if (in->data[0] != '/') {
        char cwd[INSTANCE_PATH_MAX / 2];
        ENSURE(getcwd(cwd, sizeof cwd) != NULL, err, SL_E_IO, "the current folder: %m");
        snprintf(full, sizeof full, "%.2000s/%.2000s", cwd, in->data);
        snprintf(in->data, sizeof in->data, "%s", full);
    }
    if (realpath(in->data, resolved) != NULL) {
        snprintf(in->data, sizeof in->data, "%s", resolved);
    }
    size_t len = strlen(in->data);
    while (len > 1 && in->data[len - 1] == '/') {
        in->data[--len] = '\0';
    }
    ENSURE(len + sizeof "/run/pg/.s.PGSQL.5432.lock" < SOCKET_PATH_MAX, err, SL_E_LIMIT,
           "the data directory's path is too long for Unix sockets (%zu bytes; at most 80): %s",
           len, in->data);
    return SL_OK;
}

/* As root the children run under uids of their own and must be able to pass through the folders
 * above. */
static struct sl_rc check_passable(const struct instance *in, struct sl_error *err) {
    char part[INSTANCE_PATH_MAX];
    snprintf(part, sizeof part, "%s", in->data);
    for (char *slash = strrchr(part, '/'); slash != NULL && slash != part;
         slash = strrchr(part, '/')) {
        *slash = '\0';
        struct stat st;
        if (stat(part, &st) == 0 && (st.st_mode & 0001) == 0) {
            sl_hint(err, "chmod o+x %s, or choose another --data", part);
            return sl_fail(
                err, SL_E_IO,
                "%s is closed to other users, but the services run under users of their own", part);
        }
    }
    return SL_OK;
}

static uint32_t pick_uid_base(const char *id) {
    uint32_t h = 0;
    for (const char *p = id; *p != '\0'; p++) {
        h = h * 31 + (uint8_t)*p;
    }
    for (uint32_t i = 0; i < UID_RUNS; i++) {
        uint32_t base = UID_FIRST + (h + i) % UID_RUNS * SUPERVISOR_UIDS;
        if (getpwuid(base) == NULL && getpwuid(base + 3) == NULL) {
            return base;
        }
    }
    return UID_FIRST;
}

struct sl_rc instance_save(const struct instance *in, struct sl_error *err) {
    SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(CONFIG_BYTES_MAX);
    struct jsonw w = jsonw_of(&out);
    jsonw_object_begin(&w);
    jsonw_name(&w, "version");
    jsonw_int(&w, 1);
    jsonw_name(&w, "id");
    jsonw_cstr(&w, in->id);
    jsonw_name(&w, "account");
    jsonw_cstr(&w, in->account);
    jsonw_name(&w, "region");
    jsonw_cstr(&w, in->region);
    jsonw_name(&w, "created");
    jsonw_int(&w, in->created_s);
    jsonw_name(&w, "uidBase");
    jsonw_int(&w, in->uid_base);
    jsonw_name(&w, "ephemeral");
    jsonw_bool(&w, in->ephemeral);
    jsonw_object_end(&w);
    buf_putc(&out, '\n');
    TRY(buf_check(&out, err));
    char path[INSTANCE_PATH_MAX];
    instance_path(in, "instance.json", path, sizeof path);
    return file_replace(path, buf_slice(&out), 0644, err);
}

static struct sl_rc load(struct instance *in, struct sl_error *err) {
    char path[INSTANCE_PATH_MAX];
    instance_path(in, "instance.json", path, sizeof path);
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(CONFIG_BYTES_MAX * 4);
    const struct json *root;
    TRY(read_json(path, &a, &root, err));
    char account[13] = "", region[33] = "";
    copy_text(root, "id", in->id, sizeof in->id);
    copy_text(root, "account", account, sizeof account);
    copy_text(root, "region", region, sizeof region);
    ENSURE(in->id[0] && account[0] && region[0], err, SL_E_PARSE, "%s lacks a member", path);
    ENSURE(in->account[0] == '\0' || strcmp(in->account, account) == 0, err, SL_E_VALIDATION,
           "this data directory belongs to account %s, not %s", account, in->account);
    memcpy(in->account, account, sizeof account);
    memcpy(in->region, region, sizeof region);
    const struct json *created = json_get(root, "created"), *base = json_get(root, "uidBase");
    const struct json *ephemeral = json_get(root, "ephemeral");
    in->created_s = created != NULL ? created->integer : 0;
    in->uid_base = base != NULL ? (uint32_t)base->integer : UID_FIRST;
    in->ephemeral = ephemeral != NULL && ephemeral->boolean;
    config_folder(in);
    return SL_OK;
}

/* The process in run/supervisor, if it is there. */
static int supervisor_pid(const struct instance *in) {
    char path[INSTANCE_PATH_MAX];
    instance_path(in, "run/supervisor", path, sizeof path);
    FILE *f = fopen(path, "re");
    int pid = 0;
    if (f != NULL) {
        if (fscanf(f, "%d", &pid) != 1) {
            pid = 0;
        }
        fclose(f);
    }
    return pid;
}

/* One that was killed may lie about as a zombie, which has no command line any more. */
static bool is_gone(int pid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
    FILE *f = fopen(path, "re");
    bool gone = f == NULL || fgetc(f) == EOF;
    if (f != NULL) {
        fclose(f);
    }
    return gone;
}

/* The children of a supervisor hold its lock too: when it is killed, nobody else starts before the
 * last of them has ended. */
struct sl_rc instance_lock(struct instance *in, struct sl_error *err) {
    char path[INSTANCE_PATH_MAX];
    instance_path(in, "lock", path, sizeof path);
    in->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    ENSURE(in->lock_fd >= 0, err, SL_E_IO, "%s: %m", path);
    int64_t begun = clock_mono_ms(), waited = 0;
    bool taken = flock(in->lock_fd, LOCK_EX | LOCK_NB) == 0, orphans = false;
    while (!taken && waited < (orphans ? LOCK_CHILDREN_MS : LOCK_LOOK_MS)) {
        nanosleep(&(struct timespec){0, LOCK_TRY_MS * 1000 * 1000}, NULL);
        taken = flock(in->lock_fd, LOCK_EX | LOCK_NB) == 0;
        int pid = supervisor_pid(in);
        orphans = pid > 0 && is_gone(pid);
        waited = clock_mono_ms() - begun;
    }
    if (!taken) {
        int pid = supervisor_pid(in);
        close(in->lock_fd);
        in->lock_fd = -1;
        ENSURE(pid > 0, err, SL_E_EXISTS, "another sealift command is at work on %s", in->data);
        sl_hint(err, "sealift status --data %s; sealift down --data %s", in->data, in->data);
        return sl_fail(err, SL_E_EXISTS, "Sealift is already up on %s (process %d)", in->data, pid);
    }
    instance_path(in, "run/supervisor", path, sizeof path);
    (void)unlink(path); /* of one that was killed */
    return SL_OK;
}

struct sl_rc instance_create(struct instance *in, struct sl_error *err) {
    in->as_root = geteuid() == 0;
    TRY(absolute(in, err));
    TRY(make_folder(in->data, in->as_root ? 0711 : 0700, err));
    TRY(absolute(in, err));
    if (in->as_root) {
        TRY(check_passable(in, err));
    }
    TRY(instance_lock(in, err));
    char path[INSTANCE_PATH_MAX];
    instance_path(in, "instance.json", path, sizeof path);
    if (access(path, F_OK) == 0) {
        TRY(load(in, err));
    } else {
        in->first_start = true;
        crypto_random_hex(in->id, 32);
        in->created_s = clock_real_ms() / 1000;
        if (in->account[0] == '\0') {
            snprintf(in->account, sizeof in->account, "000000000000");
        }
        if (in->region[0] == '\0') {
            snprintf(in->region, sizeof in->region, "us-east-1");
        }
        in->uid_base = pick_uid_base(in->id);
        config_folder(in);
        TRY(instance_save(in, err));
    }
    return instance_make_config(in, err);
}

struct sl_rc instance_make_config(const struct instance *in, struct sl_error *err) {
    return make_folder(in->config, 0700, err);
}

static struct sl_rc check_empty(const char *path, struct sl_error *err) {
    DIR *d = opendir(path);
    ENSURE(d != NULL, err, SL_E_IO, "%s: %m", path);
    bool empty = true;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        empty &= strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
    }
    closedir(d);
    ENSURE(empty, err, SL_E_EXISTS, "%s is not empty: a key store is restored into a new folder",
           path);
    return SL_OK;
}

struct sl_rc instance_adopt(struct instance *in, struct sl_error *err) {
    in->as_root = geteuid() == 0;
    in->lock_fd = -1;
    TRY(absolute(in, err));
    TRY(make_folder(in->data, in->as_root ? 0711 : 0700, err));
    TRY(absolute(in, err));
    if (in->as_root) {
        TRY(check_passable(in, err));
    }
    TRY(check_empty(in->data, err));
    TRY(instance_lock(in, err));
    in->uid_base = pick_uid_base(in->id);
    config_folder(in);
    return SL_OK;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at) {
    return remove(path) == 0 || errno == ENOENT ? 0 : -1;
}

static int remove_inner(const char *path, const struct stat *st, int kind, struct FTW *at) {
    return at->level == 0 ? 0 : remove_one(path, st, kind, at);
}

struct sl_rc folder_remove(const char *path, bool keep, struct sl_error *err) {
    enum { DESCRIPTORS = 16 };
    int rc =
        nftw(path, keep ? remove_inner : remove_one, DESCRIPTORS, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    ENSURE(rc == 0, err, SL_E_IO, "%s can't be removed: %m", path);
    return SL_OK;
}

struct sl_rc instance_load(struct instance *in, struct sl_error *err) {
    in->as_root = geteuid() == 0;
    in->lock_fd = -1;
    TRY(absolute(in, err));
    char path[INSTANCE_PATH_MAX];
    instance_path(in, "instance.json", path, sizeof path);
    if (access(path, F_OK) != 0) {
        sl_hint(err, "start one with: sealift up --data %s", in->data);
        return sl_fail(err, SL_E_NOT_FOUND, "there is no Sealift instance in %s", in->data);
    }
    return load(in, err);
}

/* `path` without links and dots: of what is not there yet, the folder that will hold it. */
static struct sl_rc resolve(const char *path, char ret[PATH_MAX], struct sl_error *err) {
    char head[PATH_MAX], found[PATH_MAX];
    ENSURE(snprintf(head, sizeof head, "%s", path) < PATH_MAX, err, SL_E_LIMIT, "%s: path too long",
           path);
    while (realpath(head, found) == NULL) {
        char *slash = strrchr(head, '/');
        ENSURE(errno == ENOENT && slash != NULL, err, SL_E_IO, "%s: %m", path);
        slash[slash == head] = '\0';
    }
    const char *rest = path + strlen(head);
    ENSURE(strstr(rest, "/..") == NULL, err, SL_E_VALIDATION, "%s: a folder in it is not there",
           path);
    ENSURE(snprintf(ret, PATH_MAX, "%s/%s", found, rest) < PATH_MAX, err, SL_E_LIMIT,
           "%s: path too long", path);
    return SL_OK;
}

struct sl_rc instance_root_outside(const struct instance *in, const char *path,
                                   struct sl_error *err) {
    char real[PATH_MAX];
    size_t n = strlen(in->data);
    TRY(resolve(path, real, err));
    ENSURE(strncmp(real, in->data, n) != 0 || real[n] != '/', err, SL_E_VALIDATION,
           "the root key's file must not lie under the data directory: a copy of that directory "
           "must open nothing");
    return SL_OK;
}

int instance_running(const struct instance *in) {
    char path[INSTANCE_PATH_MAX];
    instance_path(in, "lock", path, sizeof path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    bool held = flock(fd, LOCK_SH | LOCK_NB) != 0;
    close(fd);
    if (!held) {
        return 0;
    }
    return supervisor_pid(in);
}

struct sl_rc client_save(const struct instance *in, const struct client_credentials *c,
                         struct sl_error *err) {
    SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(CONFIG_BYTES_MAX);
    out.wipe = true;
    struct jsonw w = jsonw_of(&out);
    jsonw_object_begin(&w);
    jsonw_name(&w, "accessKeyId");
    jsonw_cstr(&w, c->access_key_id);
    jsonw_name(&w, "secretAccessKey");
    jsonw_string(&w, secret_view(&c->secret_access_key));
    jsonw_name(&w, "masterPassword");
    jsonw_string(&w, secret_view(&c->master_password));
    jsonw_object_end(&w);
    buf_putc(&out, '\n');
    TRY(buf_check(&out, err));
    char path[INSTANCE_PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/client.json", in->config);
    return file_replace(path, buf_slice(&out), 0600, err);
}

struct sl_rc client_load(const struct instance *in, struct client_credentials *ret,
                         struct sl_error *err) {
    char path[INSTANCE_PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/client.json", in->config);
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(CONFIG_BYTES_MAX * 4);
    const struct json *root;
    TRY(read_json(path, &a, &root, err));
    const struct json *secret = json_get(root, "secretAccessKey"),
                      *password = json_get(root, "masterPassword");
    ENSURE(secret != NULL && password != NULL, err, SL_E_PARSE, "%s lacks a member", path);
    copy_text(root, "accessKeyId", ret->access_key_id, sizeof ret->access_key_id);
    TRY(secret_from(&ret->secret_access_key, secret->text));
    struct sl_rc rc = secret_from(&ret->master_password, password->text);
    secret_wipe((void *)(uintptr_t)secret->text.ptr, secret->text.len);
    secret_wipe((void *)(uintptr_t)password->text.ptr, password->text.len);
    return rc;
}

void client_fini(struct client_credentials *c) {
    secret_fini(&c->secret_access_key);
    secret_fini(&c->master_password);
}
