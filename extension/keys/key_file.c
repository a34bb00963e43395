/* See key_file.h. */
#include "extension/keys/key_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/base/fd.h"
#include "lib/base/folder.h"

static struct sl_rc failed(const char *path, const char *what, struct sl_error *err) {
    return sl_fail(err, errno == ENOSPC || errno == EDQUOT ? SL_E_FULL : SL_E_IO,
                   "%s can't be %s: %s", path, what, strerror(errno));
}

static struct sl_rc write_all(int fd, const char *path, struct slice bytes, struct sl_error *err) {
    if (sl_failed(fd_write(fd, bytes))) {
        return failed(path, "written", err);
    }
    return fsync(fd) == 0 ? SL_OK : failed(path, "flushed", err);
}

struct sl_rc key_file_write(const char *path, const char *temporary, struct slice bytes,
                            enum key_file_how how, struct sl_error *err) {
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return failed(temporary, "made", err);
    }
    struct sl_rc rc = write_all(fd, temporary, bytes, err);
    close(fd);
    if (sl_is_ok(rc) && how == KEY_FILE_REPLACE && rename(temporary, path) != 0) {
        rc = failed(path, "replaced", err);
    }
    if (sl_is_ok(rc) && how == KEY_FILE_NEW && link(temporary, path) != 0) {
        rc = errno == EEXIST ? sl_fail(err, SL_E_EXISTS, "%s is there already", path)
                             : failed(path, "made", err);
    }
    if (sl_failed(rc) || how == KEY_FILE_NEW) {
        unlink(temporary);
    }
    return sl_is_ok(rc) ? folder_sync_of(path, err) : rc;
}

struct sl_rc key_file_read(const char *path, struct buf *ret, struct sl_error *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return errno == ENOENT ? sl_fail(err, SL_E_NOT_FOUND, "%s is missing", path)
                               : failed(path, "opened", err);
    }
    struct sl_rc rc = SL_OK;
    for (;;) {
        uint8_t part[1024];
        ssize_t n = read(fd, part, sizeof part);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            rc = failed(path, "read", err);
        } else {
            buf_put(ret, slice_of(part, (size_t)n));
        }
        if (n <= 0 || ret->failed) {
            break;
        }
    }
    close(fd);
    ENSURE(!ret->failed || sl_failed(rc), err, SL_E_CORRUPT, "%s is too long", path);
    return rc;
}

struct sl_rc key_file_each(const char *folder, key_file_each_fn each, void *arg,
                           struct sl_error *err) {
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        return failed(folder, "opened", err);
    }
    struct sl_rc rc = SL_OK;
    struct dirent *e;
    while (sl_is_ok(rc) && (errno = 0, e = readdir(dir)) != NULL) {
        rc = each(e->d_name, arg, err);
    }
    if (sl_is_ok(rc) && errno != 0) {
        rc = failed(folder, "read", err);
    }
    closedir(dir);
    return rc;
}
