/* Preloaded into every process of an instance under test: records what they write, flush, rename
 * and remove (record.h), and makes chosen calls fail. The tested programs hold no code for it.
 *
 * The supervisor empties its children's environment, closes descriptors and lets them shut
 * themselves in, so the log's descriptor is kept at a fixed number, spared from close_range, and
 * exec gets the two variables back. Files are told by inode: descriptors may come from anywhere. */
#include "tests/faults/record.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define ALSO(name) EXPORT __attribute__((alias(#name)))

/* The next definition of a symbol, looked up once. */
#define REAL(name)                                                                                 \
    ({                                                                                             \
        static __typeof__(&name) found;                                                            \
        if (found == NULL) {                                                                       \
            found = (__typeof__(&name))dlsym(RTLD_NEXT, #name);                                    \
        }                                                                                          \
        found;                                                                                     \
    })

enum { LOG_FD = 900 };

static struct faults_control *control;
static char own_path[PATH_MAX]; /* LD_PRELOAD */
static char log_path[PATH_MAX]; /* SEALIFT_FAULTS */
static char process_name[sizeof((struct faults_control *)0)->process];

/* ---- start ---- */

static bool map_log(void) {
    struct stat st;
    void *p = MAP_FAILED;
    if (fstat(LOG_FD, &st) == 0 && S_ISREG(st.st_mode) && st.st_size >= FAULTS_CONTROL_BYTES) {
        p = mmap(NULL, FAULTS_CONTROL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, LOG_FD, 0);
    }
    if (p == MAP_FAILED) {
        return false;
    }
    struct faults_control *c = p;
    if (c->magic != FAULTS_MAGIC) {
        munmap(p, FAULTS_CONTROL_BYTES);
        return false;
    }
    control = c;
    return true;
}

/* `sealift kms` is "kms", `sealift up` is "up", others go by their program's name. */
static void name_process(int argc, char **argv) {
    const char *base = argc > 0 && argv[0] != NULL ? argv[0] : "";
    const char *slash = strrchr(base, '/');
    base = slash != NULL ? slash + 1 : base;
    if (strcmp(base, "sealift") == 0 && argc > 1) {
        base = argv[1];
    }
    snprintf(process_name, sizeof process_name, "%s", base);
}

__attribute__((constructor)) static void start(int argc, char **argv, char **envp) {
    const char *preload = getenv("LD_PRELOAD");
    const char *log = getenv("SEALIFT_FAULTS");
    if (preload == NULL || log == NULL) {
        return;
    }
    snprintf(own_path, sizeof own_path, "LD_PRELOAD=%s", preload);
    snprintf(log_path, sizeof log_path, "SEALIFT_FAULTS=%s", log);
    name_process(argc, argv);
    if (map_log()) {
        return;
    }
    int fd = open(log, O_RDWR);
    if (fd >= 0 && dup2(fd, LOG_FD) == LOG_FD) {
        close(fd);
    }
    if (!map_log()) {
        static const char text[] = "faults: the log can't be opened\n";
        (void)!write(STDERR_FILENO, text, sizeof text - 1);
        _exit(125);
    }
}

/* ---- failures ---- */

static bool fails(uint32_t kind) {
    struct faults_control *c = control;
    if (c == NULL || !(atomic_load_explicit(&c->kinds, memory_order_relaxed) & kind) ||
        strcmp(c->process, process_name) != 0) {
        return false;
    }
    int64_t left = atomic_fetch_sub(&c->countdown, 1);
    if (left != 1 && !(left < 1 && atomic_load(&c->sticky))) {
        return false;
    }
    atomic_fetch_add(&c->failed, 1);
    errno = atomic_load(&c->error);
    return true;
}

/* A full disk: what lies in a file's own blocks, those allocated ahead too, can be written. */
static bool is_full(void) {
    return control != NULL && atomic_load_explicit(&control->no_room, memory_order_relaxed);
}

/* ---- the log ---- */

static bool recording(void) {
    return control != NULL && atomic_load_explicit(&control->recording, memory_order_relaxed);
}

static uint64_t position(void) {
    return control != NULL ? atomic_load(&control->tail) : 0;
}

static void log_write(struct iovec *iov, int count, uint64_t at) {
    for (int i = 0; i < count; i++) {
        const char *p = iov[i].iov_base;
        for (size_t left = iov[i].iov_len; left > 0;) {
            ssize_t n = REAL(pwrite)(LOG_FD, p, left, (off_t)at);
            if (n <= 0 && errno != EINTR) {
                atomic_store(&control->full, 1);
                return;
            }
            p += n > 0 ? n : 0;
            at += n > 0 ? (uint64_t)n : 0;
            left -= n > 0 ? (size_t)n : 0;
        }
    }
}

/* Completes `r` and writes it with its names and the pieces of data. Leaves errno alone. */
static void put(struct faults_record *r, const char *name, const char *name2,
                const struct iovec *data, int pieces) {
    int saved = errno;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    r->magic = FAULTS_RECORD_MAGIC;
    r->time_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    r->pid = (uint32_t)getpid();
    r->name_len = (uint16_t)(name != NULL ? strlen(name) : 0);
    r->name2_len = (uint16_t)(name2 != NULL ? strlen(name2) : 0);
    uint64_t size = sizeof *r + r->name_len + r->name2_len + r->data_len;
    r->size = (size + FAULTS_ALIGN - 1) / FAULTS_ALIGN * FAULTS_ALIGN;
    uint64_t at = atomic_fetch_add(&control->tail, r->size);
    if (at + r->size > control->limit) {
        atomic_store(&control->full, 1);
    } else {
        struct iovec head[] = {{r, sizeof *r},
                               {(void *)(uintptr_t)name, r->name_len},
                               {(void *)(uintptr_t)name2, r->name2_len}};
        uint64_t body = at + sizeof *r + r->name_len + r->name2_len;
        uint64_t left = r->data_len;
        for (int i = 0; i < pieces && left > 0; i++) {
            struct iovec piece = data[i];
            piece.iov_len = piece.iov_len < left ? piece.iov_len : left;
            log_write(&piece, 1, body);
            body += piece.iov_len;
            left -= piece.iov_len;
        }
        log_write(head, 3, at); /* last: a record that can be seen is whole */
    }
    errno = saved;
}

/* True for a file that is recorded; *ret is its state. */
static bool tracked(int fd, struct stat *ret) {
    int saved = errno;
    bool yes = control != NULL && fstat(fd, ret) == 0 &&
               (S_ISREG(ret->st_mode) || S_ISDIR(ret->st_mode)) && ret->st_dev == control->device;
    errno = saved;
    return yes;
}

static bool regular(int fd, struct stat *ret) {
    return tracked(fd, ret) && S_ISREG(ret->st_mode);
}

/* A name as the inode of its folder and the last part. */
struct place {
    uint64_t dir;
    char name[NAME_MAX + 1];
};

static bool place_of(int dir_fd, const char *path, struct place *ret) {
    int saved = errno;
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    struct stat st;
    snprintf(folder, sizeof folder, "%.*s", slash == NULL ? 1 : (int)(slash - path) + 1,
             slash == NULL ? "." : path);
    bool ok = fstatat(dir_fd, folder, &st, 0) == 0 && st.st_dev == control->device;
    ret->dir = ok ? st.st_ino : 0;
    snprintf(ret->name, sizeof ret->name, "%s", slash == NULL ? path : slash + 1);
    errno = saved;
    return ok;
}

/* ---- names ---- */

static void put_open(int dir_fd, const char *path, int flags, int fd) {
    struct stat st;
    struct place at;
    if (fd < 0 || !(flags & (O_CREAT | O_TRUNC)) || !recording() || !regular(fd, &st) ||
        !place_of(dir_fd, path, &at)) {
        return;
    }
    struct faults_record r = {.op = FAULTS_OPEN,
                              .ino = st.st_ino,
                              .dir = at.dir,
                              .flags = (uint32_t)flags,
                              .mode = st.st_mode,
                              .uid = st.st_uid,
                              .gid = st.st_gid};
    put(&r, at.name, NULL, NULL, 0);
}

static int open_at(int dir_fd, const char *path, int flags, mode_t mode) {
    if ((flags & O_CREAT) && fails(FAULTS_KIND_CREATE)) {
        return -1;
    }
    int fd = REAL(openat)(dir_fd, path, flags, mode);
    put_open(dir_fd, path, flags, fd);
    return fd;
}

static mode_t mode_of(int flags, va_list args) {
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
}

EXPORT int open(const char *path, int flags, ...) {
    va_list args;
    va_start(args, flags);
    mode_t mode = mode_of(flags, args);
    va_end(args);
    return open_at(AT_FDCWD, path, flags, mode);
}
ALSO(open) int open64(const char *path, int flags, ...);

EXPORT int openat(int dir_fd, const char *path, int flags, ...) {
    va_list args;
    va_start(args, flags);
    mode_t mode = mode_of(flags, args);
    va_end(args);
    return open_at(dir_fd, path, flags, mode);
}
ALSO(openat) int openat64(int dir_fd, const char *path, int flags, ...);

/* The checked forms that _FORTIFY_SOURCE calls; they never create. */
int __open_2(const char *path, int flags);
EXPORT int __open_2(const char *path, int flags) {
    return open_at(AT_FDCWD, path, flags, 0);
}
int __open64_2(const char *path, int flags);
ALSO(__open_2) int __open64_2(const char *path, int flags);
int __openat_2(int dir_fd, const char *path, int flags);
EXPORT int __openat_2(int dir_fd, const char *path, int flags) {
    return open_at(dir_fd, path, flags, 0);
}
int __openat64_2(int dir_fd, const char *path, int flags);
ALSO(__openat_2) int __openat64_2(int dir_fd, const char *path, int flags);

static void put_name(enum faults_op op, const struct place *at, const char *target) {
    struct faults_record r = {.op = op, .dir = at->dir};
    put(&r, at->name, target, NULL, 0);
}

static void put_two(enum faults_op op, const struct place *from, const struct place *to) {
    struct faults_record r = {.op = op, .dir = from->dir, .dir2 = to->dir};
    put(&r, from->name, to->name, NULL, 0);
}

EXPORT int renameat2(int from_dir, const char *from, int to_dir, const char *to,
                     unsigned int flags) {
    struct place a, b;
    bool seen = recording() && place_of(from_dir, from, &a) && place_of(to_dir, to, &b);
    if (fails(FAULTS_KIND_NAME)) {
        return -1;
    }
    int rc = REAL(renameat2)(from_dir, from, to_dir, to, flags);
    if (rc == 0 && seen) {
        put_two(FAULTS_RENAME, &a, &b);
    }
    return rc;
}

EXPORT int rename(const char *from, const char *to) {
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

EXPORT int renameat(int from_dir, const char *from, int to_dir, const char *to) {
    return renameat2(from_dir, from, to_dir, to, 0);
}

EXPORT int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags) {
    struct place a, b;
    bool seen = recording() && place_of(from_dir, from, &a) && place_of(to_dir, to, &b);
    if (fails(FAULTS_KIND_NAME)) {
        return -1;
    }
    int rc = REAL(linkat)(from_dir, from, to_dir, to, flags);
    if (rc == 0 && seen) {
        put_two(FAULTS_LINK, &a, &b);
    }
    return rc;
}

EXPORT int link(const char *from, const char *to) {
    return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

EXPORT int symlink(const char *target, const char *path) {
    struct place at;
    bool seen = recording() && place_of(AT_FDCWD, path, &at);
    int rc = REAL(symlink)(target, path);
    if (rc == 0 && seen) {
        put_name(FAULTS_SYMLINK, &at, target);
    }
    return rc;
}

EXPORT int unlinkat(int dir_fd, const char *path, int flags) {
    struct place at;
    bool seen = recording() && place_of(dir_fd, path, &at);
    if (fails(FAULTS_KIND_NAME)) {
        return -1;
    }
    int rc = REAL(unlinkat)(dir_fd, path, flags);
    if (rc == 0 && seen) {
        put_name(flags & AT_REMOVEDIR ? FAULTS_RMDIR : FAULTS_UNLINK, &at, NULL);
    }
    return rc;
}

EXPORT int unlink(const char *path) {
    return unlinkat(AT_FDCWD, path, 0);
}

EXPORT int rmdir(const char *path) {
    return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

EXPORT int mkdirat(int dir_fd, const char *path, mode_t mode) {
    struct place at;
    struct stat st;
    if (is_full()) {
        errno = ENOSPC;
        return -1;
    }
    if (fails(FAULTS_KIND_NAME)) {
        return -1;
    }
    int rc = REAL(mkdirat)(dir_fd, path, mode);
    if (rc == 0 && recording() && place_of(dir_fd, path, &at) &&
        fstatat(dir_fd, path, &st, 0) == 0) {
        struct faults_record r = {.op = FAULTS_MKDIR,
                                  .ino = st.st_ino,
                                  .dir = at.dir,
                                  .mode = st.st_mode,
                                  .uid = st.st_uid,
                                  .gid = st.st_gid};
        put(&r, at.name, NULL, NULL, 0);
    }
    return rc;
}

EXPORT int mkdir(const char *path, mode_t mode) {
    return mkdirat(AT_FDCWD, path, mode);
}

/* ---- data ---- */

/* What a write of n bytes did. At `offset` -1 the descriptor's own position tells where. */
static ssize_t put_write(int fd, const struct iovec *iov, int pieces, ssize_t n, off_t offset) {
    struct stat st;
    if (n > 0 && recording() && regular(fd, &st)) {
        int saved = errno;
        off_t at = offset >= 0 ? offset : lseek(fd, 0, SEEK_CUR) - n;
        struct faults_record r = {
            .op = FAULTS_WRITE, .ino = st.st_ino, .offset = at, .data_len = (uint64_t)n};
        put(&r, NULL, NULL, iov, pieces);
        if (fcntl(fd, F_GETFL) & O_DSYNC) {
            struct faults_record sync = {.op = FAULTS_SYNC, .ino = st.st_ino, .start = position()};
            put(&sync, NULL, NULL, NULL, 0);
        }
        errno = saved;
    }
    return n;
}

static bool no_room(int fd, off_t end) {
    struct stat st;
    if (!is_full() || !regular(fd, &st) || end <= (off_t)st.st_blocks * 512) {
        return false;
    }
    errno = ENOSPC;
    return true;
}

static size_t bytes_of(const struct iovec *iov, int pieces) {
    size_t n = 0;
    for (int i = 0; i < pieces; i++) {
        n += iov[i].iov_len;
    }
    return n;
}

static bool write_fails(int fd, size_t n, off_t offset) {
    struct stat st;
    if (is_full() && regular(fd, &st)) {
        bool append = offset < 0 && (fcntl(fd, F_GETFL) & O_APPEND);
        off_t at = offset >= 0 ? offset : append ? st.st_size : lseek(fd, 0, SEEK_CUR);
        if (no_room(fd, at + (off_t)n)) {
            return true;
        }
    }
    return control != NULL && (atomic_load(&control->kinds) & FAULTS_KIND_WRITE) &&
           regular(fd, &st) && fails(FAULTS_KIND_WRITE);
}

EXPORT ssize_t write(int fd, const void *p, size_t n) {
    struct iovec iov = {(void *)(uintptr_t)p, n};
    return write_fails(fd, n, -1) ? -1 : put_write(fd, &iov, 1, REAL(write)(fd, p, n), -1);
}

EXPORT ssize_t pwrite(int fd, const void *p, size_t n, off_t offset) {
    struct iovec iov = {(void *)(uintptr_t)p, n};
    return write_fails(fd, n, offset)
               ? -1
               : put_write(fd, &iov, 1, REAL(pwrite)(fd, p, n, offset), offset);
}
ALSO(pwrite) ssize_t pwrite64(int fd, const void *p, size_t n, off64_t offset);

EXPORT ssize_t writev(int fd, const struct iovec *iov, int count) {
    return write_fails(fd, bytes_of(iov, count), -1)
               ? -1
               : put_write(fd, iov, count, REAL(writev)(fd, iov, count), -1);
}

EXPORT ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t offset) {
    return write_fails(fd, bytes_of(iov, count), offset)
               ? -1
               : put_write(fd, iov, count, REAL(pwritev)(fd, iov, count, offset), offset);
}
ALSO(pwritev) ssize_t pwritev64(int fd, const struct iovec *iov, int count, off64_t offset);

static void put_size(int fd, enum faults_op op, off_t size) {
    struct stat st;
    if (recording() && regular(fd, &st)) {
        struct faults_record r = {.op = op, .ino = st.st_ino, .offset = size};
        put(&r, NULL, NULL, NULL, 0);
    }
}

static void put_unseen(int fd) {
    struct stat st;
    if (recording() && regular(fd, &st)) {
        struct faults_record r = {.op = FAULTS_UNSEEN, .ino = st.st_ino};
        put(&r, NULL, NULL, NULL, 0);
    }
}

EXPORT int ftruncate(int fd, off_t size) {
    if (fails(FAULTS_KIND_TRUNC)) {
        return -1;
    }
    int rc = REAL(ftruncate)(fd, size);
    if (rc == 0) {
        put_size(fd, FAULTS_TRUNC, size);
    }
    return rc;
}
ALSO(ftruncate) int ftruncate64(int fd, off64_t size);

EXPORT int truncate(const char *path, off_t size) {
    int fd = REAL(openat)(AT_FDCWD, path, O_WRONLY | O_CLOEXEC);
    int rc = fd < 0 ? -1 : ftruncate(fd, size);
    int saved = errno;
    if (fd >= 0) {
        close(fd);
    }
    errno = saved;
    return rc;
}
ALSO(truncate) int truncate64(const char *path, off64_t size);

EXPORT int posix_fallocate(int fd, off_t offset, off_t len) {
    int saved = errno;
    if (no_room(fd, offset + len) || fails(FAULTS_KIND_GROW)) {
        int code = errno;
        errno = saved;
        return code;
    }
    int rc = REAL(posix_fallocate)(fd, offset, len);
    if (rc == 0) {
        put_size(fd, FAULTS_GROW, offset + len);
    }
    return rc;
}
ALSO(posix_fallocate) int posix_fallocate64(int fd, off64_t offset, off64_t len);

EXPORT int fallocate(int fd, int mode, off_t offset, off_t len) {
    if (no_room(fd, offset + len) || fails(FAULTS_KIND_GROW)) {
        return -1;
    }
    int rc = REAL(fallocate)(fd, mode, offset, len);
    if (rc == 0 && mode == 0) {
        put_size(fd, FAULTS_GROW, offset + len);
    } else if (rc == 0 && mode != FALLOC_FL_KEEP_SIZE) {
        put_unseen(fd);
    }
    return rc;
}
ALSO(fallocate) int fallocate64(int fd, int mode, off64_t offset, off64_t len);

EXPORT void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset) {
    if (fd >= 0 && (flags & MAP_SHARED) && (prot & PROT_WRITE) && fd != LOG_FD) {
        put_unseen(fd);
    }
    return REAL(mmap)(addr, len, prot, flags, fd, offset);
}
ALSO(mmap) void *mmap64(void *addr, size_t len, int prot, int flags, int fd, off64_t offset);

/* ---- flushes ---- */

static bool flush_matters(int fd) {
    struct stat st;
    uint64_t only = control != NULL ? atomic_load(&control->flushed) : 0;
    return only == 0 || (fstat(fd, &st) == 0 && st.st_ino == only);
}

static int flush(int fd, int (*real)(int)) {
    struct stat st;
    if (flush_matters(fd) && fails(FAULTS_KIND_SYNC)) {
        return -1;
    }
    uint64_t start = position();
    int rc = real(fd);
    if (rc == 0 && recording() && tracked(fd, &st)) {
        struct faults_record r = {.op = FAULTS_SYNC, .ino = st.st_ino, .start = start};
        put(&r, NULL, NULL, NULL, 0);
    }
    return rc;
}

EXPORT int fsync(int fd) {
    return flush(fd, REAL(fsync));
}

EXPORT int fdatasync(int fd) {
    return flush(fd, REAL(fdatasync));
}

EXPORT int syncfs(int fd) {
    uint64_t start = position();
    int rc = REAL(syncfs)(fd);
    if (rc == 0 && recording()) {
        struct faults_record r = {.op = FAULTS_SYNCALL, .start = start};
        put(&r, NULL, NULL, NULL, 0);
    }
    return rc;
}

/* ---- stdio: PostgreSQL writes scratch files through it; recorded as a whole when closed ---- */

EXPORT FILE *fopen(const char *path, const char *mode) {
    FILE *f = REAL(fopen)(path, mode);
    if (f != NULL && mode[0] != 'r') {
        put_open(AT_FDCWD, path, O_CREAT | (mode[0] == 'w' ? O_TRUNC : 0), fileno(f));
    }
    return f;
}
ALSO(fopen) FILE *fopen64(const char *path, const char *mode);

static void put_content(int fd) {
    struct stat st;
    char link[64];
    if (!recording() || !regular(fd, &st) || st.st_size == 0 ||
        (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY) {
        return;
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int in = REAL(openat)(AT_FDCWD, link, O_RDONLY | O_CLOEXEC);
    void *p =
        in < 0 ? MAP_FAILED : REAL(mmap)(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, in, 0);
    if (p == MAP_FAILED) {
        put_unseen(fd);
    } else {
        struct iovec iov = {p, (size_t)st.st_size};
        struct faults_record r = {
            .op = FAULTS_CONTENT, .ino = st.st_ino, .data_len = (uint64_t)st.st_size};
        put(&r, NULL, NULL, &iov, 1);
        munmap(p, (size_t)st.st_size);
    }
    if (in >= 0) {
        close(in);
    }
}

EXPORT int fclose(FILE *f) {
    struct stat st;
    if (recording() && fileno(f) >= 0 && regular(fileno(f), &st) && fflush(f) == 0) {
        put_content(fileno(f));
    }
    return REAL(fclose)(f);
}

/* ---- memory ---- */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

EXPORT void *malloc(size_t size) {
    return fails(FAULTS_KIND_MALLOC) ? NULL : __libc_malloc(size);
}

EXPORT void *calloc(size_t count, size_t size) {
    return fails(FAULTS_KIND_MALLOC) ? NULL : __libc_calloc(count, size);
}

EXPORT void *realloc(void *p, size_t size) {
    return size != 0 && fails(FAULTS_KIND_MALLOC) ? NULL : __libc_realloc(p, size);
}

EXPORT void *aligned_alloc(size_t alignment, size_t size) {
    return fails(FAULTS_KIND_MALLOC) ? NULL : __libc_memalign(alignment, size);
}

EXPORT int posix_memalign(void **ret, size_t alignment, size_t size) {
    int saved = errno;
    void *p = fails(FAULTS_KIND_MALLOC) ? NULL : __libc_memalign(alignment, size);
    errno = saved;
    if (p == NULL) {
        return ENOMEM;
    }
    *ret = p;
    return 0;
}

/* ---- passing on to children ---- */

EXPORT int execve(const char *path, char *const argv[], char *const envp[]) {
    size_t n = 0;
    while (envp != NULL && envp[n] != NULL) {
        n++;
    }
    char *all[n + 3];
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        bool ours = strncmp(envp[i], "LD_PRELOAD=", 11) == 0 ||
                    strncmp(envp[i], "SEALIFT_FAULTS=", 15) == 0;
        if (!ours) {
            all[kept++] = envp[i];
        }
    }
    if (control != NULL) {
        all[kept++] = own_path;
        all[kept++] = log_path;
    }
    all[kept] = NULL;
    return REAL(execve)(path, argv, all);
}

EXPORT int execv(const char *path, char *const argv[]) {
    return execve(path, argv, environ);
}

EXPORT long syscall(long number, ...) {
    va_list args;
    long a[6];
    va_start(args, number);
    for (size_t i = 0; i < 6; i++) {
        a[i] = va_arg(args, long);
    }
    va_end(args);
    if (number == SYS_close_range && control != NULL && a[0] <= LOG_FD &&
        (unsigned long)a[1] >= LOG_FD) {
        REAL(syscall)(number, a[0], (long)LOG_FD - 1, a[2]);
        a[0] = LOG_FD + 1;
    }
    return REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
