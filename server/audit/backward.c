/* See backward.h. */
#include "server/audit/backward.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WINDOW_BYTES = AUDIT_LINE_MAX + 64 * 1024 };

static void forget(struct audit_backward *b) {
    b->base = b->end; /* nothing of the file is in mem */
}

static struct sl_rc enter(struct audit_backward *b, size_t segment, struct sl_error *err) {
    char name[32];
    struct stat st;
    audit_name(name, b->firsts[segment], ".log");
    int fd = openat(b->dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ENSURE(fd >= 0, err, SL_E_IO, "%s: %m", name);
    if (b->fd >= 0) {
        close(b->fd);
    }
    b->fd = fd;
    b->segment = segment;
    ENSURE(fstat(fd, &st) == 0, err, SL_E_IO, "%s: %m", name);
    b->end = st.st_size;
    forget(b);
    return SL_OK;
}

/* The bytes before b->end into mem. */
static struct sl_rc fill(struct audit_backward *b, struct sl_error *err) {
    off_t base = b->end > WINDOW_BYTES ? b->end - WINDOW_BYTES : 0;
    size_t want = (size_t)(b->end - base), have = 0;
    while (have < want) {
        ssize_t n = pread(b->fd, b->mem + have, want - have, base + (off_t)have);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        ENSURE(n > 0, err, SL_E_IO, "audit segment: %s", n < 0 ? strerror(errno) : "shorter now");
        have += (size_t)n;
    }
    b->base = base;
    b->bytes += want;
    return SL_OK;
}

/* The text between the last two newlines of what is left; without a newline at its end it is an
 * unfinished record. */
static struct sl_rc piece(struct audit_backward *b, struct slice *ret, bool *ret_whole,
                          struct sl_error *err) {
    for (int tries = 0;; tries++) {
        size_t held = (size_t)(b->end - b->base);
        bool whole = held > 0 && b->mem[held - 1] == '\n';
        size_t n = whole ? held - 1 : held;
        const uint8_t *nl = n > 0 ? memrchr(b->mem, '\n', n) : NULL;
        if (nl != NULL || b->base == 0 || tries > 0) {
            const uint8_t *start = nl != NULL ? nl + 1 : b->mem;
            *ret = slice_of(start, (size_t)(b->mem + n - start));
            *ret_whole = whole && (nl != NULL || b->base == 0);
            b->end = b->base + (start - b->mem);
            return SL_OK;
        }
        TRY(fill(b, err));
    }
}

struct sl_rc audit_backward_next(struct audit_backward *b, bool *ret_found, struct audit_line *ret,
                                 struct sl_error *err) {
    for (;;) {
        struct slice text;
        bool whole;
        if (b->fd < 0 || (b->end == 0 && b->segment == 0)) {
            *ret_found = false;
            return SL_OK;
        }
        if (b->end == 0) {
            TRY(enter(b, b->segment - 1, err));
            continue;
        }
        TRY(piece(b, &text, &whole, err));
        if (whole && audit_line_parse(text, ret)) {
            *ret_found = true;
            return SL_OK;
        }
    }
}

static struct sl_rc go_to(struct audit_backward *b, const struct audit_place *from, size_t count,
                          struct sl_error *err) {
    size_t i = count;
    while (i > 0 && b->firsts[i - 1] != from->first) {
        i--;
    }
    ENSURE(i > 0, err, SL_E_NOT_FOUND, "The audit log has no such place.");
    TRY(enter(b, i - 1, err));
    char before = '\n';
    ENSURE(from->end <= (uint64_t)b->end &&
               (from->end == 0 || pread(b->fd, &before, 1, (off_t)from->end - 1) == 1) &&
               before == '\n',
           err, SL_E_NOT_FOUND, "The audit log has no such place.");
    b->end = (off_t)from->end;
    forget(b);
    return SL_OK;
}

struct sl_rc audit_backward_open(struct audit_backward *b, const char *dir,
                                 const struct audit_place *from, struct sl_error *err) {
    size_t count = 0;
    *b = (struct audit_backward){.dir_fd = -1, .fd = -1};
    b->mem = malloc(WINDOW_BYTES);
    ENSURE(b->mem != NULL, err, SL_E_NOMEM, "Out of memory.");
    b->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ENSURE(b->dir_fd >= 0, err, SL_E_IO, "%s: %m", dir);
    TRY(audit_list(b->dir_fd, ".log", &b->firsts, &count, err));
    if (from != NULL) {
        return go_to(b, from, count, err);
    }
    return count > 0 ? enter(b, count - 1, err) : SL_OK;
}

void audit_backward_fini(struct audit_backward *b) {
    if (b->mem == NULL) {
        return; /* never opened */
    }
    if (b->fd >= 0) {
        close(b->fd);
    }
    if (b->dir_fd >= 0) {
        close(b->dir_fd);
    }
    free(b->firsts);
    free(b->mem);
    b->mem = NULL;
}

struct audit_place audit_backward_place(const struct audit_backward *b) {
    return (struct audit_place){b->fd >= 0 ? b->firsts[b->segment] : 0, (uint64_t)b->end};
}
