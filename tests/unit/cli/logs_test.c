/* Logs move on, bounded, under writers that keep their file open. */
#include "cli/logs.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { BYTES = 1000, KEPT = 3 };

static char dir[64];

static int make(void **state) {
    snprintf(dir, sizeof dir, "/tmp/sl_logs_XXXXXX");
    return mkdtemp(dir) == NULL;
}

static int drop(void **state) {
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", dir);
    return system(command);
}

static const char *path(const char *name) {
    static char out[128];
    snprintf(out, sizeof out, "%s/%s", dir, name);
    return out;
}

static long long size_of(const char *name) {
    struct stat st;
    return stat(path(name), &st) == 0 ? (long long)st.st_size : -1;
}

static char first_of(const char *name) {
    char c = 0;
    FILE *f = fopen(path(name), "r");
    assert_non_null(f);
    assert_int_equal(fread(&c, 1, 1, f), 1);
    fclose(f);
    return c;
}

static void fill(int fd, char c, size_t n) {
    char mem[4096];
    memset(mem, c, sizeof mem);
    assert_int_equal(write(fd, mem, n), n);
}

static void look(void) {
    assert_int_equal(logs_rotate(dir, BYTES, KEPT, NULL).code, SL_CODE_OK);
}

static void moves_on(void **state) {
    int fd = open(path("kms.log"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    int other = open(path("notes.txt"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    fill(other, 'n', 2000);
    fill(fd, 'a', BYTES);
    look();
    assert_int_equal(size_of("kms.log"), BYTES);
    assert_int_equal(size_of("kms.log.1"), -1);
    for (char c = 'b'; c <= 'g'; c++) {
        fill(fd, c, BYTES + 1);
        look();
        assert_int_equal(size_of("kms.log"), 0);
        assert_int_equal(first_of("kms.log.1"), c == 'b' ? 'a' : c);
    }
    assert_int_equal(size_of("kms.log.1"), BYTES + 1);
    assert_int_equal(first_of("kms.log.2"), 'f');
    assert_int_equal(first_of("kms.log.3"), 'e');
    assert_int_equal(size_of("kms.log.4"), -1);
    assert_int_equal(size_of("notes.txt"), 2000);
    fill(fd, 'z', 5);
    assert_int_equal(size_of("kms.log"), 5);
    assert_int_equal(first_of("kms.log"), 'z');
    close(fd);
    close(other);
}

/* What can't be moved on stays as it is. */
static void failures(void **state) {
    int fd = open(path("s3.log"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    fill(fd, 'a', BYTES + 1);
    close(fd);
    assert_int_equal(mkdir(path("s3.log.tmp"), 0700), 0);
    assert_int_equal(logs_rotate(dir, BYTES, KEPT, NULL).code, SL_E_IO);
    assert_int_equal(size_of("s3.log"), BYTES + 1);
    assert_int_equal(rmdir(path("s3.log.tmp")), 0);
    assert_int_equal(mkdir(path("s3.log.1"), 0700), 0);
    close(open(path("s3.log.1/x"), O_WRONLY | O_CREAT, 0600));
    assert_int_equal(logs_rotate(dir, BYTES, 1, NULL).code, SL_E_IO);
    assert_int_equal(size_of("s3.log"), BYTES + 1);
    assert_int_equal(size_of("s3.log.tmp"), -1);
    assert_int_equal(logs_rotate("/nonexistent", BYTES, KEPT, NULL).code, SL_E_IO);
}

/* A link is nobody's log. */
static void links(void **state) {
    int fd = open(path("target"), O_WRONLY | O_CREAT, 0600);
    fill(fd, 'a', BYTES + 1);
    close(fd);
    char target[128];
    snprintf(target, sizeof target, "%s", path("target"));
    assert_int_equal(symlink(target, path("link.log")), 0);
    look();
    assert_int_equal(size_of("target"), BYTES + 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(moves_on, make, drop),
        cmocka_unit_test_setup_teardown(failures, make, drop),
        cmocka_unit_test_setup_teardown(links, make, drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
