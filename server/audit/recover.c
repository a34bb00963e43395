/* See recover.h. A line that was flushed is whole, so a torn end is of a record whose caller got no
 * answer, or (key uses) of the last group. */
#include "server/audit/recover.h"

#include "lib/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

struct tail {
    struct audit_point point; /* last good line */
    size_t good_lines;
    off_t good_end;
    bool torn_only; /* what follows is one line without its end */
    bool more;      /* something follows */
};

static struct sl_rc scan(int dir_fd, uint64_t first, struct tail *ret, struct sl_error *err) {
    struct audit_reader r SL_CLEANUP(audit_reader_fini) = {.fd = -1};
    TRY(audit_reader_open(&r, dir_fd, first, err));
    struct tail t = {.point = {.first = first}};
    for (;;) {
        enum audit_read kind;
        struct slice text;
        struct audit_line line;
        off_t at;
        TRY(audit_reader_next(&r, &kind, &text, &at, err));
        if (kind == AUDIT_READ_END) {
            break;
        }
        uint64_t previous_last;
        uint8_t previous_mac[AUDIT_MAC_LEN];
        bool good = kind == AUDIT_READ_LINE && audit_line_parse(text, &line) &&
                    line.seq == first + t.good_lines &&
                    (t.good_lines > 0 || audit_header_parse(line.record, &t.point.segment,
                                                            &previous_last, previous_mac));
        if (!good) {
            t.more = true;
            t.torn_only = kind == AUDIT_READ_TORN;
            break;
        }
        t.point.last = line.seq;
        memcpy(t.point.mac, line.mac, sizeof line.mac);
        t.good_end = at + (off_t)text.len + 1;
        t.good_lines++;
    }
    *ret = t;
    return SL_OK;
}

static void end_fd(int *fd) {
    if (*fd >= 0) {
        close(*fd);
    }
}

static struct sl_rc copy_from(int from, off_t at, int to, struct sl_error *err) {
    uint8_t mem[64 * 1024];
    for (ssize_t n; (n = pread(from, mem, sizeof mem, at)) != 0; at += n) {
        ENSURE(n > 0 && write(to, mem, (size_t)n) == n, err, SL_E_IO, "audit log: %m");
    }
    ENSURE(fsync(to) == 0, err, SL_E_IO, "audit log: %m");
    return SL_OK;
}

static struct sl_rc cut(int dir_fd, const struct tail *t, struct sl_error *err) {
    char name[32];
    char aside[32];
    audit_name(name, t->point.first, ".log");
    audit_name(aside, t->point.first, ".cut");
    int fd SL_CLEANUP(end_fd) = openat(dir_fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    ENSURE(fd >= 0, err, SL_E_IO, "%s: %m", name);
    if (!t->torn_only) {
        int to SL_CLEANUP(end_fd) =
            openat(dir_fd, aside, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
        ENSURE(to >= 0, err, SL_E_IO, "%s: %m", aside);
        TRY(copy_from(fd, t->good_end, to, err));
        ENSURE(fsync(dir_fd) == 0, err, SL_E_IO, "audit folder: %m");
    }
    ENSURE(ftruncate(fd, t->good_end) == 0 && fsync(fd) == 0, err, SL_E_IO, "%s: %m", name);
    sl_log(SL_WARN, "audit.cut", "segment=%" PRIu64 " last=%" PRIu64 " kept=%s", t->point.segment,
           t->point.last, t->torn_only ? "none" : aside);
    return SL_OK;
}

/* A flush that failed may have left pages that count as clean but are not on disk: written once
 * more, the next flush covers them. */
static struct sl_rc write_again(int dir_fd, const struct tail *t, struct sl_error *err) {
    char name[32];
    uint8_t mem[64 * 1024];
    audit_name(name, t->point.first, ".log");
    int fd SL_CLEANUP(end_fd) = openat(dir_fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    ENSURE(fd >= 0, err, SL_E_IO, "%s: %m", name);
    for (off_t at = 0; at < t->good_end;) {
        ssize_t n = pread(fd, mem, sizeof mem, at);
        ENSURE(n > 0 && pwrite(fd, mem, (size_t)n, at) == n, err, SL_E_IO, "%s: %m", name);
        at += n;
    }
    ENSURE(fdatasync(fd) == 0, err, SL_E_IO, "%s: %m", name);
    return SL_OK;
}

/* A segment that was never begun: its header is flushed before any record follows. */
static struct sl_rc drop_unbegun(int dir_fd, const struct tail *t, struct sl_error *err) {
    char name[32];
    audit_name(name, t->point.first, ".log");
    ENSURE(!t->more || t->torn_only, err, SL_E_CORRUPT,
           "The audit segment %s has no header; 'sealift audit verify' tells more.", name);
    ENSURE(unlinkat(dir_fd, name, 0) == 0 && fsync(dir_fd) == 0, err, SL_E_IO, "%s: %m", name);
    return SL_OK;
}

static struct sl_rc recover_segment(int dir_fd, uint64_t first, struct audit_point *ret,
                                    bool *ret_open, bool *ret_begun, struct sl_error *err) {
    bool closed = false;
    uint8_t public_key[32];
    struct audit_point head;
    *ret_begun = true;
    TRY(audit_head_read(dir_fd, first, &closed, &head, public_key, err));
    if (closed) {
        ENSURE(head.first == first, err, SL_E_CORRUPT, "An audit head is of another segment.");
        *ret = head;
        *ret_open = false;
        return SL_OK;
    }
    struct tail t;
    TRY(scan(dir_fd, first, &t, err));
    if (t.good_lines == 0) {
        *ret_begun = false;
        return drop_unbegun(dir_fd, &t, err);
    }
    if (t.more) {
        TRY(cut(dir_fd, &t, err));
    }
    TRY(write_again(dir_fd, &t, err));
    *ret = t.point;
    *ret_open = true;
    return SL_OK;
}

struct sl_rc audit_recover(int dir_fd, struct audit_point *ret, bool *ret_open,
                           struct sl_error *err) {
    uint64_t *firsts = NULL;
    size_t count = 0;
    TRY(audit_list(dir_fd, ".log", &firsts, &count, err));
    struct audit_point point = {0};
    bool open = false;
    bool begun = false;
    struct sl_rc rc = SL_OK;
    while (count > 0 && !begun && sl_is_ok(rc)) {
        rc = recover_segment(dir_fd, firsts[--count], &point, &open, &begun, err);
    }
    free(firsts);
    TRY(rc);
    *ret = begun ? point : (struct audit_point){0};
    *ret_open = begun && open;
    return SL_OK;
}
