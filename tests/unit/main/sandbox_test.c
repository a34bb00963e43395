/* The sandbox from inside, as each role: what is closed and, beside it, what is open. Every case
 * runs in a child of its own, since a sandbox is for good. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/main/sandbox.h"

static char folder[64], own[80], other[80], root_key[96], own_file[96];

static void make_file(const char *path) {
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    assert_true(fd >= 0 && write(fd, "key", 3) == 3);
    close(fd);
}

static int set_up(void **state) {
    snprintf(folder, sizeof folder, "/tmp/sandbox_test.XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(own, sizeof own, "%s/own", folder);
    snprintf(other, sizeof other, "%s/other", folder);
    assert_int_equal(mkdir(own, 0700) | mkdir(other, 0700), 0);
    snprintf(root_key, sizeof root_key, "%s/root.key", other);
    snprintf(own_file, sizeof own_file, "%s/file", own);
    make_file(root_key);
    make_file(own_file);
    return 0;
}

static int tear_down(void **state) {
    return unlink(root_key) | unlink(own_file) | rmdir(own) | rmdir(other) | rmdir(folder);
}

static int opens(const char *path, int flags) {
    int fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd < 0) {
        return errno;
    }
    close(fd);
    return 0;
}

static int socket_errno(int family) {
    int fd = socket(family, SOCK_STREAM, 0);
    if (fd < 0) {
        return errno;
    }
    close(fd);
    return 0;
}

/* In the child: a line a fault on stderr, their number as the exit code. */
static int faults;
static void expect(const char *what, int got, int want) {
    if (got != want) {
        fprintf(stderr, "%s: errno %d, wanted %d\n", what, got, want);
        faults++;
    }
}

static void common(enum sandbox_role role) {
    expect("root key", opens(root_key, O_RDONLY), role == SANDBOX_KEYHOLDER ? EPERM : EACCES);
    expect("ptrace", ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) == 0 ? 0 : errno, EPERM);
    expect("pidfd_getfd", syscall(SYS_pidfd_getfd, -1, 0, 0) == 0 ? 0 : errno, EPERM);
    expect("process_vm_readv",
           syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0) == 0 ? 0 : errno, EPERM);
    expect("memory of the parent", opens("/proc/1/mem", O_RDONLY),
           role == SANDBOX_KEYHOLDER ? EPERM : EACCES);
    expect("no new privileges", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
}

static void by_role(enum sandbox_role role) {
    char *argv[] = {own_file, NULL};
    if (role == SANDBOX_KEYHOLDER) {
        expect("any file", opens(own_file, O_RDONLY), EPERM);
        expect("any socket", socket_errno(AF_UNIX), EPERM);
        return;
    }
    expect("own file", opens(own_file, O_RDWR), 0);
    expect("own new file", opens(own_file, O_RDWR | O_CREAT), 0);
    expect("new file elsewhere", opens("/tmp/sandbox_test.new", O_RDWR | O_CREAT), EACCES);
    expect("unix socket", socket_errno(AF_UNIX), 0);
    if (role != SANDBOX_POSTGRES) { /* its backends are clients of s3; postgres is executed behind
                                       the sandbox */
        expect("internet socket", socket_errno(AF_INET), EPERM);
        expect("execve", execve(own_file, argv, argv) == 0 ? 0 : errno, EPERM);
        expect("dumpable", prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 0);
    } else {
        argv[0] = (char[]){"/bin/sh"};
        expect("a program of the data directory", execve(own_file, argv, argv) == 0 ? 0 : errno,
               EACCES);
    }
}

static void run_role(enum sandbox_role role) {
    pid_t pid = fork();
    if (pid == 0) {
        const char *write_paths[] = {own, NULL};
        struct sl_error err = {0};
        bool isolated = false;
        if (sl_failed(sandbox_enter(role, write_paths, NULL, &isolated, &err)) || !isolated) {
            fprintf(stderr, "not isolated: %s\n", err.detail);
            _exit(99);
        }
        common(role);
        by_role(role);
        _exit(faults);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_keyholder(void **state) {
    run_role(SANDBOX_KEYHOLDER);
}
static void test_kms(void **state) {
    run_role(SANDBOX_KMS);
}
static void test_s3(void **state) {
    run_role(SANDBOX_S3);
}
static void test_gateway(void **state) {
    run_role(SANDBOX_GATEWAY);
}
static void test_postgres(void **state) {
    run_role(SANDBOX_POSTGRES);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keyholder), cmocka_unit_test(test_kms),
        cmocka_unit_test(test_s3),        cmocka_unit_test(test_gateway),
        cmocka_unit_test(test_postgres),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
