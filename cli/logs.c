/* See logs.h. */
#include "cli/logs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/slice.h"

static void end_fd(int *fd) {
    if (*fd >= 0) {
        close(*fd);
    }
}

/* Until there is nothing more to copy, however long that writes on. */
static struct sl_rc copy(int from, int to, const char *name, struct sl_error *err) {
    ssize_t n;
    while ((n = sendfile(to, from, NULL, 1 << 20)) != 0) {
        ENSURE(n > 0 || errno == EINTR, err, SL_E_IO, "%s: %m", name);
    }
    return SL_OK;
}

/* "x.log" -> "x.log.1" -> … */
static struct sl_rc shift(int dir_fd, const char *name, int kept, struct sl_error *err) {
    char from[NAME_MAX + 16], to[NAME_MAX + 16];
    for (int i = kept - 1; i >= 1; i--) {
        snprintf(from, sizeof from, "%s.%d", name, i);
        snprintf(to, sizeof to, "%s.%d", name, i + 1);
        ENSURE(renameat(dir_fd, from, dir_fd, to) == 0 || errno == ENOENT, err, SL_E_IO, "%s: %m",
               from);
    }
    return SL_OK;
}

static struct sl_rc rotate(int dir_fd, const char *name, int kept, struct sl_error *err) {
    char temp[NAME_MAX + 16], first[NAME_MAX + 16];
    snprintf(temp, sizeof temp, "%s.tmp", name);
    snprintf(first, sizeof first, "%s.1", name);
    int from SL_CLEANUP(end_fd) = openat(dir_fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    ENSURE(from >= 0, err, SL_E_IO, "%s: %m", name);
    int to SL_CLEANUP(end_fd) =
        openat(dir_fd, temp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    ENSURE(to >= 0, err, SL_E_IO, "%s: %m", temp);
    struct sl_rc rc = copy(from, to, name, err);
    rc = sl_is_ok(rc) ? shift(dir_fd, name, kept, err) : rc;
    if (sl_is_ok(rc) && renameat(dir_fd, temp, dir_fd, first) != 0) {
        rc = sl_fail(err, SL_E_IO, "%s: %m", first);
    }
    if (sl_is_ok(rc) && ftruncate(from, 0) != 0) {
        rc = sl_fail(err, SL_E_IO, "%s: %m", name);
    }
    if (sl_failed(rc)) {
        (void)unlinkat(dir_fd, temp, 0);
    }
    return rc;
}

struct sl_rc logs_rotate(const char *dir, long long bytes, int kept, struct sl_error *err) {
    DIR *d = opendir(dir);
    ENSURE(d != NULL, err, SL_E_IO, "%s: %m", dir);
    struct sl_rc rc = SL_OK;
    for (struct dirent *e; sl_is_ok(rc) && (e = readdir(d)) != NULL;) {
        struct stat st;
        if (slice_ends(slice_cstr(e->d_name), SLICE_LIT(".log")) &&
            fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
            st.st_size > bytes) {
            rc = rotate(dirfd(d), e->d_name, kept, err);
        }
    }
    closedir(d);
    return rc;
}

void logs_watch(const char *dir) {
    static int64_t next_ms; /* the supervisor has one thread */
    int64_t now = clock_mono_ms();
    if (now < next_ms) {
        return;
    }
    struct sl_error err = {0};
    next_ms = now + LIMIT_LOG_LOOK_MS;
    if (sl_failed(logs_rotate(dir, LIMIT_LOG_BYTES, LIMIT_LOG_KEPT, &err))) {
        next_ms = now + LIMIT_LOG_RETRY_MS;
        sl_log(SL_WARN, "log.rotate", "error=%s", SL_Q(slice_cstr(err.detail)));
    }
}
