/* Privileges, dumps, landlock and seccomp of a child; see sandbox.h and
 * docs/decisions/1-processes.md.
 *
 * Landlock (Linux 5.13, Documentation/userspace-api/landlock.rst) is called by number, since glibc
 * has no wrapper. */
#include "server/main/sandbox.h"

#include "lib/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Rights by the landlock ABI that brought them; older headers lack the later names. */
enum {
    FS_EXECUTE = 1 << 0,
    FS_WRITE_FILE = 1 << 1,
    FS_READ_FILE = 1 << 2,
    FS_READ_DIR = 1 << 3,
    FS_ALL_V1 = (1 << 13) - 1,
    FS_REFER_V2 = 1 << 13,
    FS_TRUNCATE_V3 = 1 << 14,
    FS_IOCTL_DEV_V5 = 1 << 15,
};
enum { NET_BIND_TCP_V4 = 1 << 0, NET_CONNECT_TCP_V4 = 1 << 1 };
enum { SCOPE_ABSTRACT_UNIX_V6 = 1 << 0, SCOPE_SIGNAL_V6 = 1 << 1 };

struct ruleset_attr { /* struct landlock_ruleset_attr as of ABI 6 */
    uint64_t handled_access_fs;
    uint64_t handled_access_net;
    uint64_t scoped;
};

struct path_attr { /* struct landlock_path_beneath_attr */
    uint64_t allowed_access;
    int32_t parent_fd;
} __attribute__((packed));

static const char *const system_read_paths[] = {"/usr",
                                                "/lib",
                                                "/lib64",
                                                "/etc/ssl",
                                                "/etc/ld.so.cache",
                                                "/etc/localtime",
                                                "/etc/passwd",
                                                "/etc/group",
                                                "/etc/nsswitch.conf",
                                                "/etc/gai.conf",
                                                "/etc/hosts",
                                                "/etc/resolv.conf",
                                                "/proc/self",
                                                NULL};
static const char *const device_paths[] = {"/dev/null",   "/dev/zero", "/dev/urandom",
                                           "/dev/random", "/dev/shm",  NULL};

static uint64_t handled_fs(int abi) {
    uint64_t fs = FS_ALL_V1;
    fs |= abi >= 2 ? FS_REFER_V2 : 0;
    fs |= abi >= 3 ? FS_TRUNCATE_V3 : 0;
    fs |= abi >= 5 ? FS_IOCTL_DEV_V5 : 0;
    return fs;
}

/* Missing paths are fine: nothing to allow. */
static struct sl_rc allow(int ruleset, const char *path, uint64_t rights, struct sl_error *err) {
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0) {
        return SL_OK;
    }
    struct stat st;
    if (fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode)) {
        rights &= FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE_V3 | FS_IOCTL_DEV_V5;
    }
    struct path_attr attr = {rights, fd};
    long rc = syscall(SYS_landlock_add_rule, ruleset, 1 /* LANDLOCK_RULE_PATH_BENEATH */, &attr, 0);
    close(fd);
    ENSURE(rc == 0, err, SL_E_INTERNAL, "landlock rule for %s: %m", path);
    return SL_OK;
}

static struct sl_rc allow_all(int ruleset, const char *const *paths, uint64_t rights,
                              struct sl_error *err) {
    for (; paths != NULL && *paths != NULL; paths++) {
        TRY(allow(ruleset, *paths, rights, err));
    }
    return SL_OK;
}

static struct sl_rc landlock(enum sandbox_role role, const char *const *write_paths,
                             const char *const *read_paths, bool *ret_isolated,
                             struct sl_error *err) {
    long abi =
        syscall(SYS_landlock_create_ruleset, NULL, 0, 1 /* LANDLOCK_CREATE_RULESET_VERSION */);
    *ret_isolated = false;
    if (abi < 1) {
        return SL_OK;
    }
    uint64_t all = handled_fs((int)abi);
    struct ruleset_attr attr = {.handled_access_fs = all};
    size_t size = offsetof(struct ruleset_attr, handled_access_net);
    if (abi >= 4) {
        /* No child opens or connects TCP sockets of its own: listeners are inherited. PostgreSQL's
         * backends connect to s3. */
        attr.handled_access_net =
            NET_BIND_TCP_V4 | (role == SANDBOX_POSTGRES ? 0 : NET_CONNECT_TCP_V4);
        size = offsetof(struct ruleset_attr, scoped);
    }
    if (abi >= 6) {
        attr.scoped = SCOPE_ABSTRACT_UNIX_V6 | SCOPE_SIGNAL_V6;
        size = sizeof attr;
    }
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
    ENSURE(ruleset >= 0, err, SL_E_INTERNAL, "landlock: %m");
    const uint64_t read_only = FS_EXECUTE | FS_READ_FILE | FS_READ_DIR;
    struct sl_rc rc = SL_OK;
    if (role != SANDBOX_KEYHOLDER) {
        rc = allow_all(ruleset, system_read_paths, read_only, err);
        rc = sl_is_ok(rc) ? allow_all(ruleset, device_paths, all, err) : rc;
        rc = sl_is_ok(rc) ? allow_all(ruleset, read_paths, read_only, err) : rc;
        rc = sl_is_ok(rc) ? allow_all(ruleset, write_paths, all, err) : rc;
    }
    if (sl_is_ok(rc) && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0) {
        rc = sl_fail(err, SL_E_INTERNAL, "landlock: %m");
    }
    close(ruleset);
    *ret_isolated = sl_is_ok(rc);
    return rc;
}

/* What no child ever needs: other processes' memory and descriptors, the kernel's set-up, new
 * programs. */
static const char *const denied_calls[] = {"ptrace",
                                           "process_vm_readv",
                                           "process_vm_writev",
                                           "pidfd_getfd",
                                           "kcmp",
                                           "perf_event_open",
                                           "bpf",
                                           "userfaultfd",
                                           "mount",
                                           "umount2",
                                           "pivot_root",
                                           "chroot",
                                           "setns",
                                           "unshare",
                                           "keyctl",
                                           "add_key",
                                           "request_key",
                                           "init_module",
                                           "finit_module",
                                           "delete_module",
                                           "kexec_load",
                                           "kexec_file_load",
                                           "reboot",
                                           "swapon",
                                           "swapoff",
                                           "acct",
                                           "settimeofday",
                                           "clock_settime",
                                           "io_uring_setup",
                                           "process_madvise",
                                           "open_by_handle_at",
                                           "name_to_handle_at",
                                           "personality",
                                           NULL};
static const char *const denied_programs[] = {"execve", "execveat", NULL};
static const char *const denied_files[] = {"open",    "openat", "openat2", "creat",  "socket",
                                           "connect", "bind",   "listen",  "unlink", "rename",
                                           "mkdir",   "link",   "symlink", NULL};

static struct sl_rc deny(scmp_filter_ctx ctx, const char *const *calls, struct sl_error *err) {
    for (; *calls != NULL; calls++) {
        int nr = seccomp_syscall_resolve_name(*calls);
        if (nr == __NR_SCMP_ERROR) {
            continue; /* this machine has no such call */
        }
        ENSURE(seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), nr, 0) == 0, err, SL_E_INTERNAL,
               "seccomp: %s", *calls);
    }
    return SL_OK;
}

static struct sl_rc seccomp_for(enum sandbox_role role, struct sl_error *err) {
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    ENSURE(ctx != NULL, err, SL_E_INTERNAL, "seccomp");
    struct sl_rc rc = deny(ctx, denied_calls, err);
    if (role != SANDBOX_POSTGRES && sl_is_ok(rc)) { /* postgres itself is still to be executed */
        rc = deny(ctx, denied_programs, err);
    }
    if (role == SANDBOX_KEYHOLDER && sl_is_ok(rc)) {
        rc = deny(ctx, denied_files, err);
    }
    if ((role == SANDBOX_KMS || role == SANDBOX_S3 || role == SANDBOX_GATEWAY) && sl_is_ok(rc)) {
        /* Only Unix sockets are made after the start. */
        if (seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1,
                             SCMP_A0(SCMP_CMP_NE, AF_UNIX)) != 0) {
            rc = sl_fail(err, SL_E_INTERNAL, "seccomp: socket");
        }
    }
    if (sl_is_ok(rc) && seccomp_load(ctx) != 0) {
        rc = sl_fail(err, SL_E_INTERNAL, "seccomp: load");
    }
    seccomp_release(ctx);
    return rc;
}

struct sl_rc sandbox_drop(struct sl_error *err) {
    const char *uid_text = getenv("SEALIFT_UID"), *gid_text = getenv("SEALIFT_GID");
    if (geteuid() != 0 || uid_text == NULL || gid_text == NULL) {
        return SL_OK;
    }
    uid_t uid = (uid_t)strtoul(uid_text, NULL, 10);
    gid_t gid = (gid_t)strtoul(gid_text, NULL, 10);
    ENSURE(uid != 0 && gid != 0, err, SL_E_INTERNAL, "SEALIFT_UID is not a user");
    ENSURE(setgroups(0, NULL) == 0 && setresgid(gid, gid, gid) == 0 &&
               setresuid(uid, uid, uid) == 0,
           err, SL_E_INTERNAL, "privileges can't be dropped: %m");
    ENSURE(setuid(0) != 0, err, SL_E_INTERNAL, "privileges came back");
    /* Changing uid clears the parent-death signal. */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    return SL_OK;
}

struct sl_rc sandbox_enter(enum sandbox_role role, const char *const *write_paths,
                           const char *const *read_paths, bool *ret_isolated,
                           struct sl_error *err) {
    TRY(sandbox_drop(err));
    ENSURE(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, err, SL_E_INTERNAL, "no_new_privs: %m");
    if (role !=
        SANDBOX_POSTGRES) { /* exec would make it dumpable again; the extension does it there */
        ENSURE(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0, err, SL_E_INTERNAL, "undumpable: %m");
    }
    struct rlimit none = {0, 0};
    ENSURE(setrlimit(RLIMIT_CORE, &none) == 0, err, SL_E_INTERNAL, "core limit: %m");
    TRY(landlock(role, write_paths, read_paths, ret_isolated, err));
    return seccomp_for(role, err);
}

void sandbox_unhurried(void) {
    struct sched_param none = {0};
    if (sched_setscheduler(0, SCHED_BATCH, &none) != 0) {
        sl_log(SL_WARN, "sandbox.unhurried", "error=\"%m\"");
    }
}
