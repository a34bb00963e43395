/* See folder.h. */
#include "lib/base/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct sl_rc parent_of(const char *path, char out[PATH_MAX], struct sl_error *err) {
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path);
    ENSURE(len < PATH_MAX, err, SL_E_LIMIT, "%s: path too long", path);
    memcpy(out, len > 0 ? path : ".", len > 0 ? len : 1);
    out[len > 0 ? len : 1] = '\0';
    return SL_OK;
}

static struct sl_rc sync_parent(const char *path, bool must, struct sl_error *err) {
    char folder[PATH_MAX];
    TRY(parent_of(path, folder, err));
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && !must && errno == EACCES) {
        return SL_OK; /* somebody else's, as what lies in it */
    }
    ENSURE(fd >= 0, err, SL_E_IO, "%s: %m", folder);
    int code = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    ENSURE(code == 0, err, SL_E_IO, "%s can't be flushed: %s", folder, strerror(code));
    return SL_OK;
}

struct sl_rc folder_sync_of(const char *path, struct sl_error *err) {
    return sync_parent(path, true, err);
}

struct sl_rc folder_make(const char *path, mode_t mode, struct sl_error *err) {
    bool made = mkdir(path, mode) == 0;
    ENSURE(made || errno == EEXIST, err, errno == ENOSPC ? SL_E_FULL : SL_E_IO,
           "%s can't be made: %m", path);
    return sync_parent(path, made, err);
}
