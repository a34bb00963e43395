/* See spill.h. PostgreSQL keeps its temporary files in base/pgsql_tmp, and empties that at its
 * start; a link leads it elsewhere. */
#include "cli/spill.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

static const char memory[] = "/dev/shm";
enum { SHARE = 4 /* of the memory file system, for one process */ };

static void folder_of(const struct instance *in, char *out, size_t size) {
    snprintf(out, size, "%s/spill.sealift.%s", memory, in->id);
}

struct sl_rc spill_limit(const struct instance *in, uint64_t *ret_kb, struct sl_error *err) {
    struct statfs fs;
    ENSURE(statfs(memory, &fs) == 0 && fs.f_type == TMPFS_MAGIC, err, SL_E_NOT_FOUND,
           "%s is no file system in memory, and queries may spill nowhere else", memory);
    uint64_t all_kb = (uint64_t)fs.f_blocks * (uint64_t)fs.f_bsize / 1024;
    *ret_kb = in->temp_file_limit_mb > 0 ? in->temp_file_limit_mb * 1024ULL : all_kb / SHARE;
    return SL_OK;
}

static bool is_link_to(const char *path, const char *target) {
    char now[INSTANCE_PATH_MAX];
    ssize_t n = readlink(path, now, sizeof now - 1);
    return n > 0 && (size_t)n == strlen(target) && memcmp(now, target, (size_t)n) == 0;
}

struct sl_rc spill_prepare(const struct instance *in, struct sl_error *err) {
    char folder[INSTANCE_PATH_MAX], link[INSTANCE_PATH_MAX];
    struct stat st;
    folder_of(in, folder, sizeof folder);
    instance_path(in, "pg/base/pgsql_tmp", link, sizeof link);
    ENSURE(mkdir(folder, 0700) == 0 || errno == EEXIST, err, SL_E_IO, "%s: %m", folder);
    ENSURE(lstat(folder, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
               (st.st_mode & 07777) == 0700,
           err, SL_E_IO, "%s is somebody else's, or others may read it", folder);
    if (is_link_to(link, folder)) {
        return SL_OK;
    }
    /* PostgreSQL's own folder of an earlier start is empty by now, or a link leads elsewhere: the
     * data folder is a copy. */
    ENSURE(rmdir(link) == 0 || errno == ENOENT || (errno == ENOTDIR && unlink(link) == 0), err,
           SL_E_IO, "%s is in the way: %m", link);
    ENSURE(symlink(folder, link) == 0, err, SL_E_IO, "%s: %m", link);
    return SL_OK;
}

void spill_remove(const struct instance *in) {
    char folder[INSTANCE_PATH_MAX];
    folder_of(in, folder, sizeof folder);
    (void)rmdir(folder);
}
