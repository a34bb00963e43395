/* The audit log's writer; see audit.h.
 *
 * Callers queue their records. One of them, the writer, takes the queue as a whole, has the records
 * MACed by the keyholder with one message, and writes the lines with one call; who queues meanwhile
 * waits, and the first of them is the next writer. The flusher thread makes the lines durable: at
 * once when somebody waits for it, else within LIMIT_AUDIT_FLUSH_MS; one flush serves all who wait.
 * What can't be written is cut off again, and its callers fail. After a failed flush nobody knows
 * what is on disk, so the log is broken until the process starts again.
 *
 * Lock: `mu` guards `shared`; it is never held over input or output. `mine` is the writer's,
 * whoever it is at the time. Each caller sleeps on a word of its own, so that only those wake who
 * are done.
 */
#include "server/audit/audit.h"

#include "lib/base/clock.h"
#include "lib/base/folder.h"
#include "lib/base/log.h"
#include "server/audit/recover.h"
#include "server/audit/segment.h"
#include "server/keys/keyholder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    BATCH_BYTES = 3 * AUDIT_LINE_MAX,
    BATCH_RECORDS = AUDIT_RECORDS_MAX,
    RESERVE_RETRY_MS = 1000,
    RESERVE_STEP_BYTES = 1024 * 1024,
    ROLL_RETRY_MS = 60 * 1000,
};

/* What a caller waits for. ASLEEP is QUEUED with the caller in the kernel. */
enum { QUEUED, ASLEEP, WRITER, DONE };

/* A caller's records, on the caller's stack: gone once its state is DONE. With `head`, a request
 * for a signed head. */
struct pending {
    struct pending *next;
    const struct slice *records;
    size_t count, bytes; /* bytes: of their lines, at most */
    struct buf *head;
    bool flush;
    bool left;    /* handled by the writer: it waits for its flush, if for anything */
    uint64_t seq; /* of the last, when written */
    struct sl_rc rc;
    struct sl_error err;
    _Atomic uint32_t state;
};

struct audit {
    struct {
        int dir_fd;
        bool strict;
        pthread_t flusher;
    } conf;
    struct {
        struct keyholder *keys;
        bool begun; /* a segment is open for writing */
        struct audit_point point;
        off_t size;
        int64_t opened_mono_ms;
        bool no_reserve; /* not on this file system */
        off_t allocated; /* end of the segment's blocks, as far as known */
        int64_t reserve_tried_mono_ms;
        int64_t roll_tried_mono_ms;
        struct buf batch;
        struct keyholder_audit_entry entries[BATCH_RECORDS];
    } mine;
    atomic_bool is_short; /* the reserve is not whole */
    pthread_mutex_t mu;
    pthread_cond_t dirty; /* for the flusher */
    pthread_cond_t quiet; /* no flush is under way, or no writer */
    struct {
        struct pending *first;
        struct pending **last;
        struct pending *unflushed; /* written, waiting for the flush; in no order */
        size_t queued;
        bool writing;
        int fd; /* of the open segment */
        uint64_t written_seq;
        uint64_t flushed_seq;
        uint64_t wanted_seq; /* somebody waits for this one's flush */
        int64_t dirty_since_mono_ms;
        bool flushing;
        bool rolling;
        bool broken;
        void (*on_broken)(void *user); /* or NULL */
        void *on_broken_user;
        bool ending; /* takes no record any more */
        bool ended;  /* nobody writes any more */
    } shared;
};

/* ---- waiting callers ---- */

/* Sleeps until the state is WRITER or DONE. */
static uint32_t await(struct pending *p) {
    uint32_t state = QUEUED;
    if (atomic_compare_exchange_strong(&p->state, &state, ASLEEP)) {
        while ((state = atomic_load(&p->state)) == ASLEEP) {
            syscall(SYS_futex, &p->state, FUTEX_WAIT_PRIVATE, ASLEEP, NULL, NULL, 0);
        }
    }
    return state;
}

/* The kernel looks at the address alone, so it is no harm when p is gone by then. */
static void wake(struct pending *p, uint32_t state) {
    if (atomic_exchange(&p->state, state) == ASLEEP) {
        syscall(SYS_futex, &p->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
}

/* Under mu. */
static void break_down(struct audit *a) {
    if (!a->shared.broken && a->shared.on_broken != NULL) {
        a->shared.on_broken(a->shared.on_broken_user);
    }
    a->shared.broken = true;
}

/* Those whose record is flushed now, or can't be any more. Under mu. */
static struct pending *take_settled(struct audit *a) {
    struct pending *settled = NULL;
    for (struct pending **at = &a->shared.unflushed; *at != NULL;) {
        struct pending *p = *at;
        bool flushed = p->seq <= a->shared.flushed_seq;
        if (!flushed && !a->shared.broken) {
            at = &p->next;
            continue;
        }
        if (!flushed) {
            p->rc = sl_fail(&p->err, SL_E_IO, "The audit log can't be flushed.");
        }
        *at = p->next;
        p->next = settled;
        settled = p;
    }
    return settled;
}

static void tell(struct pending *settled) {
    while (settled != NULL) {
        struct pending *next = settled->next;
        wake(settled, DONE);
        settled = next;
    }
}

/* ---- reserve ----
 *
 * The open segment owns blocks beyond its end, which nobody else can take: when the disk is full,
 * the log goes on in them. A closed segment keeps them until the next one has its own. */

static bool allocate(struct audit *a, int fd, off_t from, off_t n) {
    while (fallocate(fd, FALLOC_FL_KEEP_SIZE, from, n) != 0) {
        if (errno == EOPNOTSUPP || errno == ENOSYS) {
            a->mine.no_reserve = true;
            sl_log(SL_WARN, "audit.no_reserve", "error=\"the file system can't allocate ahead\"");
            return true;
        }
        if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

static void release(int fd, off_t size) {
    if (ftruncate(fd, size) != 0) {
        sl_log(SL_WARN, "audit.release", "error=\"%m\"");
    }
}

static void set_short(struct audit *a, bool is_short) {
    if (atomic_exchange(&a->is_short, is_short) == is_short) {
        return;
    }
    if (is_short) {
        sl_log(SL_ERROR, "audit.reserve", "left_bytes=%lld error=\"%m\"",
               (long long)(a->mine.allocated - a->mine.size));
    } else {
        sl_log(SL_INFO, "audit.reserve", "whole_again=yes");
    }
}

/* Keeps LIMIT_AUDIT_RESERVE_BYTES or more allocated behind the segment's end. */
static void reserve_keep(struct audit *a) {
    off_t want = a->mine.size + LIMIT_AUDIT_RESERVE_BYTES;
    int64_t now = clock_mono_ms();
    if (a->mine.no_reserve || a->mine.allocated >= want ||
        (atomic_load(&a->is_short) && now - a->mine.reserve_tried_mono_ms < RESERVE_RETRY_MS)) {
        return;
    }
    a->mine.reserve_tried_mono_ms = now;
    off_t from = a->mine.allocated > a->mine.size ? a->mine.allocated : a->mine.size;
    bool ok = allocate(a, a->shared.fd, from, want + RESERVE_STEP_BYTES - from);
    if (ok) {
        a->mine.allocated = want + RESERVE_STEP_BYTES;
    }
    set_short(a, !ok);
}

/* ---- segments (the writer) ---- */

static struct sl_rc write_at(int fd, struct slice bytes, off_t at, struct sl_error *err) {
    while (bytes.len > 0) {
        ssize_t n = pwrite(fd, bytes.ptr, bytes.len, at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        ENSURE(n > 0, err, errno == ENOSPC ? SL_E_FULL : SL_E_IO, "The audit log: %m");
        bytes = slice_sub(bytes, (size_t)n, bytes.len);
        at += n;
    }
    return SL_OK;
}

/* The keyholder's chain goes back to what is in the file. */
static struct sl_rc rechain(struct audit *a, uint64_t segment, struct sl_error *err) {
    return keyholder_audit_begin(a->mine.keys, segment, a->mine.point.last + 1, a->mine.point.mac,
                                 err);
}

/* Has the first `count` entries MACed and puts their lines into the batch; *ret is the last. */
static struct sl_rc append_lines(struct audit *a, uint64_t segment, size_t count,
                                 uint64_t *ret_first_seq, struct audit_line *ret,
                                 struct sl_error *err) {
    struct keyholder_audit_entry *entries = a->mine.entries;
    TRY(keyholder_audit_mac(a->mine.keys, segment, entries, count, ret_first_seq, err));
    buf_reset(&a->mine.batch);
    for (size_t i = 0; i < count; i++) {
        *ret = (struct audit_line){.record = entries[i].record, .seq = *ret_first_seq + i};
        memcpy(ret->mac, entries[i].mac, sizeof ret->mac);
        audit_line_put(&a->mine.batch, ret);
    }
    return buf_check(&a->mine.batch, err);
}

static void set_fd(struct audit *a, int fd) {
    pthread_mutex_lock(&a->mu);
    a->shared.fd = fd;
    pthread_mutex_unlock(&a->mu);
}

static struct sl_rc write_header(struct audit *a, int fd, uint64_t segment, struct audit_line *ret,
                                 struct sl_error *err) {
    struct buf header SL_CLEANUP(buf_fini) = BUF_INIT(AUDIT_HEAD_LINE_MAX);
    audit_header_put(&header, &a->mine.point, segment);
    TRY(buf_check(&header, err));
    TRY(rechain(a, segment, err));
    uint64_t seq;
    a->mine.entries[0].record = buf_slice(&header);
    TRY(append_lines(a, segment, 1, &seq, ret, err));
    TRY(write_at(fd, buf_slice(&a->mine.batch), 0, err));
    char name[32];
    char temp[32];
    audit_name(name, a->mine.point.last + 1, ".log");
    audit_name(temp, a->mine.point.last + 1, ".tmp");
    ENSURE(fdatasync(fd) == 0 &&
               renameat2(a->conf.dir_fd, temp, a->conf.dir_fd, name, RENAME_NOREPLACE) == 0 &&
               fsync(a->conf.dir_fd) == 0,
           err, SL_E_IO, "The audit log: %s: %m", name);
    return SL_OK;
}

/* The file of the segment after this one, under a temporary name, with a reserve of its own if
 * `reserved`. */
static struct sl_rc next_create(struct audit *a, bool reserved, int *ret_fd, struct sl_error *err) {
    char temp[32];
    audit_name(temp, a->mine.point.last + 1, ".tmp");
    int fd =
        openat(a->conf.dir_fd, temp, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    ENSURE(fd >= 0, err, errno == ENOSPC ? SL_E_FULL : SL_E_IO, "The audit log: %s: %m", temp);
    if (reserved && !a->mine.no_reserve &&
        !allocate(a, fd, 0, LIMIT_AUDIT_RESERVE_BYTES + RESERVE_STEP_BYTES)) {
        struct sl_rc rc = sl_fail(err, SL_E_FULL, "The audit log's reserve: %m");
        close(fd);
        (void)unlinkat(a->conf.dir_fd, temp, 0);
        return rc;
    }
    *ret_fd = fd;
    return SL_OK;
}

static void next_drop(struct audit *a, int take_fd) {
    char temp[32];
    audit_name(temp, a->mine.point.last + 1, ".tmp");
    close(take_fd);
    (void)unlinkat(a->conf.dir_fd, temp, 0);
}

static struct sl_rc next_begin(struct audit *a, int take_fd, off_t allocated,
                               struct sl_error *err) {
    uint64_t segment = a->mine.point.segment + 1;
    uint64_t first = a->mine.point.last + 1;
    struct audit_line header;
    struct sl_rc rc = write_header(a, take_fd, segment, &header, err);
    if (sl_failed(rc)) {
        next_drop(a, take_fd);
        return rc;
    }
    a->mine.point = (struct audit_point){.segment = segment, .first = first, .last = header.seq};
    memcpy(a->mine.point.mac, header.mac, sizeof header.mac);
    a->mine.size = (off_t)a->mine.batch.len;
    a->mine.allocated = allocated;
    a->mine.opened_mono_ms = clock_mono_ms();
    a->mine.begun = true;
    pthread_mutex_lock(&a->mu);
    a->shared.fd = take_fd;
    a->shared.written_seq = a->shared.flushed_seq = header.seq;
    pthread_mutex_unlock(&a->mu);
    return SL_OK;
}

/* The closed segment's reserve goes back to the disk. */
static void previous_release(struct audit *a, uint64_t first) {
    char name[32];
    struct stat st;
    audit_name(name, first, ".log");
    int fd = openat(a->conf.dir_fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &st) == 0) {
        release(fd, st.st_size);
    }
    if (fd >= 0) {
        close(fd);
    }
}

/* A segment where none is open: at a start, or after the log's first failures. With a full disk it
 * lives on the closed one's reserve, as far as nobody is faster. */
static struct sl_rc segment_new(struct audit *a, struct sl_error *err) {
    uint64_t previous = a->mine.point.first;
    int fd = -1;
    bool reserved = sl_is_ok(next_create(a, true, &fd, NULL));
    if (previous != 0) {
        previous_release(a, previous);
    }
    if (!reserved) {
        reserved = sl_is_ok(next_create(a, true, &fd, NULL));
    }
    if (!reserved) {
        TRY(next_create(a, false, &fd, err));
    }
    return next_begin(a, fd, reserved ? LIMIT_AUDIT_RESERVE_BYTES + RESERVE_STEP_BYTES : 0, err);
}

static struct sl_rc segment_resume(struct audit *a, struct sl_error *err) {
    char name[32];
    audit_name(name, a->mine.point.first, ".log");
    int fd = openat(a->conf.dir_fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    ENSURE(fd >= 0, err, SL_E_IO, "The audit log: %s: %m", name);
    struct stat st;
    struct sl_rc rc = fstat(fd, &st) == 0 ? rechain(a, a->mine.point.segment, err)
                                          : sl_fail(err, SL_E_IO, "The audit log: %m");
    if (sl_failed(rc)) {
        close(fd);
        return rc;
    }
    a->mine.size = st.st_size;
    a->mine.opened_mono_ms = clock_mono_ms();
    a->mine.begun = true;
    set_fd(a, fd);
    a->shared.written_seq = a->shared.flushed_seq = a->mine.point.last;
    return SL_OK;
}

static struct sl_rc signed_head(struct audit *a, struct buf *out, struct sl_error *err) {
    struct buf text SL_CLEANUP(buf_fini) = BUF_INIT(AUDIT_HEAD_LINE_MAX);
    uint8_t signature[64];
    uint8_t public_key[32];
    audit_head_text(&text, &a->mine.point);
    TRY(buf_check(&text, err));
    TRY(keyholder_audit_sign(a->mine.keys, buf_slice(&text), signature, public_key, err));
    audit_head_line(out, buf_slice(&text), signature, public_key);
    return buf_check(out, err);
}

static struct sl_rc write_head(struct audit *a, struct sl_error *err) {
    struct buf line SL_CLEANUP(buf_fini) = BUF_INIT(AUDIT_HEAD_LINE_MAX);
    TRY(signed_head(a, &line, err));
    char name[32];
    char temp[32];
    audit_name(name, a->mine.point.first, ".head");
    audit_name(temp, a->mine.point.first, ".tmp");
    int fd =
        openat(a->conf.dir_fd, temp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    ENSURE(fd >= 0, err, SL_E_IO, "The audit log: %s: %m", temp);
    struct sl_rc rc = write_at(fd, buf_slice(&line), 0, err);
    bool ok = sl_is_ok(rc) && fsync(fd) == 0;
    close(fd);
    ENSURE(ok && renameat(a->conf.dir_fd, temp, a->conf.dir_fd, name) == 0 &&
               fsync(a->conf.dir_fd) == 0,
           err, SL_E_IO, "The audit log: %s: %m", name);
    return SL_OK;
}

/* Flushes the open segment and ends it with a head; its descriptor is the caller's then. The
 * flusher is kept away meanwhile. */
static struct sl_rc segment_close(struct audit *a, struct sl_error *err) {
    pthread_mutex_lock(&a->mu);
    a->shared.rolling = true;
    while (a->shared.flushing) {
        pthread_cond_wait(&a->quiet, &a->mu);
    }
    int fd = a->shared.fd;
    pthread_mutex_unlock(&a->mu);
    bool flushed = fdatasync(fd) == 0;
    struct sl_rc rc = flushed ? write_head(a, err) : sl_fail(err, SL_E_IO, "The audit log: %m");
    pthread_mutex_lock(&a->mu);
    a->shared.rolling = false;
    if (!flushed) {
        break_down(a);
    } else {
        a->shared.flushed_seq = a->shared.written_seq;
        a->shared.dirty_since_mono_ms = 0;
    }
    if (sl_is_ok(rc)) {
        a->shared.fd = -1;
        a->mine.begun = false;
    }
    struct pending *settled = take_settled(a);
    pthread_cond_signal(&a->dirty);
    pthread_mutex_unlock(&a->mu);
    tell(settled);
    return rc;
}

/* The next segment gets its reserve before this one is closed; where the disk has no room for it,
 * or the head can't be written, this one is written on. */
static struct sl_rc segment_roll(struct audit *a, struct sl_error *err) {
    int next = -1;
    int old = a->shared.fd;
    off_t old_size = a->mine.size;
    TRY(next_create(a, true, &next, err));
    struct sl_rc rc = segment_close(a, err);
    if (sl_failed(rc)) {
        next_drop(a, next);
        return rc;
    }
    release(old, old_size);
    close(old);
    return next_begin(a, next, LIMIT_AUDIT_RESERVE_BYTES + RESERVE_STEP_BYTES, err);
}

/* A segment with room. */
static struct sl_rc segment_ready(struct audit *a, struct sl_error *err) {
    int64_t now = clock_mono_ms();
    bool due = a->mine.begun && (a->mine.size >= LIMIT_AUDIT_SEGMENT_BYTES ||
                                 now - a->mine.opened_mono_ms >= LIMIT_AUDIT_SEGMENT_MS);
    if (due &&
        (a->mine.roll_tried_mono_ms == 0 || now - a->mine.roll_tried_mono_ms >= ROLL_RETRY_MS)) {
        struct sl_error why = {0};
        a->mine.roll_tried_mono_ms = now;
        if (sl_failed(segment_roll(a, &why))) {
            sl_log(SL_ERROR, "audit.roll", "error=%s", SL_Q(slice_cstr(why.detail)));
        } else {
            a->mine.roll_tried_mono_ms = 0;
        }
    }
    if (!a->mine.begun) {
        TRY(segment_new(a, err));
    }
    reserve_keep(a);
    return SL_OK;
}

/* ---- writing ---- */

/* The records from `from` to before `to` are written, or failed with rc. */
static void finish(struct audit *a, struct pending *from, struct pending *to, struct sl_rc rc,
                   const struct sl_error *err) {
    struct pending *settled = NULL;
    pthread_mutex_lock(&a->mu);
    uint64_t flushed = a->shared.flushed_seq;
    bool was_dirty = a->shared.dirty_since_mono_ms != 0, wanted = false;
    for (struct pending *p = from; p != to;) {
        struct pending *next = p->next;
        if (sl_failed(rc)) {
            p->rc = rc;
            p->err = *err;
        } else if (p->head == NULL) {
            a->shared.written_seq = p->seq;
        }
        bool waits = sl_is_ok(rc) && p->flush && p->seq > flushed;
        if (waits && p->seq > a->shared.wanted_seq) {
            a->shared.wanted_seq = p->seq;
        }
        wanted = wanted || waits;
        p->left = true;
        p->next = waits ? a->shared.unflushed : settled;
        *(waits ? &a->shared.unflushed : &settled) = p;
        p = next;
    }
    if (a->shared.written_seq > flushed && !was_dirty) {
        a->shared.dirty_since_mono_ms = clock_mono_ms();
    }
    if (wanted || (!was_dirty && a->shared.dirty_since_mono_ms != 0)) {
        pthread_cond_signal(&a->dirty);
    }
    struct pending *lost = a->shared.broken ? take_settled(a) : NULL;
    pthread_mutex_unlock(&a->mu);
    tell(settled);
    tell(lost);
}

/* Cuts off what a failed write may have left. */
static void cut_back(struct audit *a) {
    struct sl_error ignored = {0};
    a->mine.allocated = 0; /* the cut gives them back */
    bool back = ftruncate(a->shared.fd, a->mine.size) == 0 &&
                sl_is_ok(rechain(a, a->mine.point.segment, &ignored));
    if (!back) {
        pthread_mutex_lock(&a->mu);
        break_down(a);
        pthread_mutex_unlock(&a->mu);
    }
}

/* How many from `from` on fit one batch: they are the entries then. *ret_to is the first after. */
static size_t gather(struct audit *a, struct pending *from, struct pending **ret_to) {
    size_t n = 0, bytes = 0;
    struct pending *p = from;
    while (p != NULL && p->head == NULL && n + p->count <= BATCH_RECORDS &&
           bytes + p->bytes <= BATCH_BYTES) {
        for (size_t i = 0; i < p->count; i++) {
            a->mine.entries[n++].record = p->records[i];
        }
        bytes += p->bytes;
        p = p->next;
    }
    *ret_to = p;
    return n;
}

/* MACs and writes the records from `from` on, as many as fit one batch; returns the first that it
 * left. All or none of them are in the file afterwards. */
static struct pending *write_batch(struct audit *a, struct pending *from) {
    struct sl_error err = {0};
    struct sl_rc rc = segment_ready(a, &err);
    struct audit_point point = a->mine.point;
    struct pending *to;
    struct audit_line line;
    uint64_t seq = 0;
    size_t n = gather(a, from, &to);
    if (sl_is_ok(rc)) {
        rc = append_lines(a, point.segment, n, &seq, &line, &err);
    }
    if (sl_is_ok(rc)) {
        rc = write_at(a->shared.fd, buf_slice(&a->mine.batch), a->mine.size, &err);
    }
    if (sl_is_ok(rc)) {
        point.last = line.seq;
        memcpy(point.mac, line.mac, sizeof line.mac);
        a->mine.point = point;
        a->mine.size += (off_t)a->mine.batch.len;
        for (struct pending *p = from; p != to; p = p->next) {
            seq += p->count;
            p->seq = seq - 1;
        }
    } else if (a->mine.begun) {
        cut_back(a);
        sl_log(SL_ERROR, "audit.write", "error=%s", SL_Q(slice_cstr(err.detail)));
    }
    finish(a, from, to, rc, &err);
    return to;
}

static struct pending *give_head(struct audit *a, struct pending *p) {
    struct sl_error err = {0};
    struct pending *next = p->next;
    struct sl_rc rc = segment_ready(a, &err);
    rc = sl_is_ok(rc) ? signed_head(a, p->head, &err) : rc;
    p->seq = a->mine.point.last;
    finish(a, p, next, rc, &err);
    return next;
}

static void write_queue(struct audit *a, struct pending *p, bool broken) {
    while (p != NULL && !broken) {
        p = p->head != NULL ? give_head(a, p) : write_batch(a, p);
    }
    if (p != NULL) {
        struct sl_error err = {0};
        struct sl_rc rc = sl_fail(&err, SL_E_IO, "The audit log is broken.");
        finish(a, p, NULL, rc, &err);
    }
}

/* Writes until `own` is handled, then hands over. */
static void be_writer(struct audit *a, const struct pending *own) {
    while (!own->left) {
        pthread_mutex_lock(&a->mu);
        struct pending *p = a->shared.first;
        a->shared.first = NULL;
        a->shared.last = &a->shared.first;
        a->shared.queued = 0;
        bool broken = a->shared.broken;
        pthread_mutex_unlock(&a->mu);
        write_queue(a, p, broken);
    }
    pthread_mutex_lock(&a->mu);
    struct pending *next = a->shared.first; /* sleeps, or will see its state: it is not gone */
    a->shared.writing = next != NULL;
    if (next == NULL && a->shared.ending) {
        pthread_cond_broadcast(&a->quiet);
    }
    pthread_mutex_unlock(&a->mu);
    if (next != NULL) {
        wake(next, WRITER);
    }
}

/* ---- the flusher thread ---- */

/* Waits until a flush is due; false when the log ends. Under mu. */
static bool flush_due(struct audit *a) {
    for (;;) {
        bool can = !a->shared.rolling && !a->shared.broken &&
                   a->shared.written_seq > a->shared.flushed_seq;
        if (can && (a->shared.wanted_seq > a->shared.flushed_seq || a->shared.ended)) {
            return true;
        }
        if (a->shared.ended) {
            return false;
        }
        if (!can) {
            pthread_cond_wait(&a->dirty, &a->mu);
            continue;
        }
        int64_t due = a->shared.dirty_since_mono_ms + LIMIT_AUDIT_FLUSH_MS;
        if (clock_mono_ms() >= due) {
            return true;
        }
        struct timespec until = {.tv_sec = due / 1000, .tv_nsec = due % 1000 * 1000000};
        pthread_cond_timedwait(&a->dirty, &a->mu, &until);
    }
}

static void *flusher_main(void *user) {
    struct audit *a = user;
    pthread_mutex_lock(&a->mu);
    while (flush_due(a)) {
        uint64_t target = a->shared.written_seq;
        int fd = a->shared.fd;
        a->shared.flushing = true;
        a->shared.dirty_since_mono_ms = 0;
        pthread_mutex_unlock(&a->mu);
        bool ok = fdatasync(fd) == 0;
        if (!ok) {
            sl_log(SL_ERROR, "audit.flush", "error=\"%m\"");
        }
        pthread_mutex_lock(&a->mu);
        a->shared.flushing = false;
        if (ok) {
            a->shared.flushed_seq = target;
            if (a->shared.written_seq == target) {
                a->shared.dirty_since_mono_ms = 0; /* whatever was asked for meanwhile */
            }
        } else {
            break_down(a);
        }
        pthread_cond_broadcast(&a->quiet);
        struct pending *settled = take_settled(a);
        pthread_mutex_unlock(&a->mu);
        tell(settled);
        pthread_mutex_lock(&a->mu);
    }
    pthread_mutex_unlock(&a->mu);
    return NULL;
}

/* ---- callers ---- */

static struct sl_rc submit(struct audit *a, struct pending *p, struct sl_error *err) {
    pthread_mutex_lock(&a->mu);
    bool refused = a->shared.ending || a->shared.broken || a->shared.queued >= LIMIT_AUDIT_QUEUE;
    bool writer = !refused && !a->shared.writing;
    if (!refused) {
        *a->shared.last = p;
        a->shared.last = &p->next;
        a->shared.queued++;
        a->shared.writing = true;
    }
    pthread_mutex_unlock(&a->mu);
    ENSURE(!refused, err, SL_E_IO, "The audit log takes no record.");
    if (writer || await(p) == WRITER) {
        atomic_store(&p->state, QUEUED);
        be_writer(a, p);
        (void)await(p);
    }
    ENSURE(sl_is_ok(p->rc), err, p->rc.code, "%s", p->err.detail);
    return SL_OK;
}

struct sl_rc audit_write(struct audit *a, const struct slice *records, size_t count, bool flush,
                         struct sl_error *err) {
    struct pending p = {.records = records, .count = count, .flush = flush || a->conf.strict};
    for (size_t i = 0; i < count; i++) {
        struct slice record = records[i];
        ENSURE(record.len > 0 && record.len <= LIMIT_AUDIT_RECORD_BYTES, err, SL_E_LIMIT,
               "An audit record of %zu bytes.", record.len);
        ENSURE(memchr(record.ptr, '\n', record.len) == NULL &&
                   memchr(record.ptr, '\t', record.len) == NULL,
               err, SL_E_INTERNAL, "An audit record with a newline or tab.");
        p.bytes += record.len + (AUDIT_LINE_MAX - LIMIT_AUDIT_RECORD_BYTES);
    }
    ENSURE(count >= 1 && count <= AUDIT_RECORDS_MAX && p.bytes <= BATCH_BYTES, err, SL_E_LIMIT,
           "%zu audit records, %zu bytes of lines, at once.", count, p.bytes);
    return submit(a, &p, err);
}

bool audit_is_broken(struct audit *a) {
    pthread_mutex_lock(&a->mu);
    bool broken = a->shared.broken;
    pthread_mutex_unlock(&a->mu);
    return broken;
}

void audit_on_broken(struct audit *a, void (*fn)(void *user), void *user) {
    pthread_mutex_lock(&a->mu);
    a->shared.on_broken = fn;
    a->shared.on_broken_user = user;
    if (a->shared.broken && fn != NULL) {
        fn(user);
    }
    pthread_mutex_unlock(&a->mu);
}

bool audit_is_short(struct audit *a) {
    return atomic_load(&a->is_short);
}

struct sl_rc audit_head(struct audit *a, struct buf *ret_head, struct sl_error *err) {
    buf_reset(ret_head);
    struct pending p = {.head = ret_head, .flush = true};
    return submit(a, &p, err);
}

/* ---- life ---- */

static struct sl_rc open_folder(struct audit *a, const char *dir, struct sl_error *err) {
    TRY(folder_make(dir, 0700, err));
    a->conf.dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ENSURE(a->conf.dir_fd >= 0, err, SL_E_IO, "%s: %m", dir);
    ENSURE(flock(a->conf.dir_fd, LOCK_EX | LOCK_NB) == 0, err, SL_E_EXISTS,
           "%s: another process writes the audit log", dir);
    return SL_OK;
}

static struct sl_rc start(struct audit *a, const char *dir, struct sl_error *err) {
    TRY(open_folder(a, dir, err));
    bool open = false;
    TRY(audit_recover(a->conf.dir_fd, &a->mine.point, &open, err));
    TRY(open ? segment_resume(a, err) : segment_new(a, err));
    reserve_keep(a);
    ENSURE(pthread_create(&a->conf.flusher, NULL, flusher_main, a) == 0, err, SL_E_NOMEM,
           "No thread for the audit log.");
    return SL_OK;
}

static void destroy(struct audit *a) {
    if (a->shared.fd >= 0) {
        close(a->shared.fd);
    }
    if (a->conf.dir_fd >= 0) {
        close(a->conf.dir_fd);
    }
    keyholder_close(a->mine.keys);
    buf_fini(&a->mine.batch);
    pthread_mutex_destroy(&a->mu);
    pthread_cond_destroy(&a->dirty);
    pthread_cond_destroy(&a->quiet);
    free(a);
}

struct sl_rc audit_open(const char *dir, struct keyholder *take_keys, bool strict,
                        struct audit **ret, struct sl_error *err) {
    struct audit *a = calloc(1, sizeof *a);
    if (a == NULL) {
        keyholder_close(take_keys);
        return sl_fail(err, SL_E_NOMEM, "Out of memory.");
    }
    a->conf.strict = strict;
    a->conf.dir_fd = a->shared.fd = -1;
    a->mine.keys = take_keys;
    a->mine.batch = BUF_INIT(BATCH_BYTES);
    a->shared.last = &a->shared.first;
    pthread_condattr_t monotonic;
    sl_assert(pthread_condattr_init(&monotonic) == 0 &&
              pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0);
    sl_assert(pthread_mutex_init(&a->mu, NULL) == 0 &&
              pthread_cond_init(&a->dirty, &monotonic) == 0 &&
              pthread_cond_init(&a->quiet, NULL) == 0);
    pthread_condattr_destroy(&monotonic);
    struct sl_rc rc = start(a, dir, err);
    if (sl_failed(rc)) {
        destroy(a);
        return rc;
    }
    *ret = a;
    return SL_OK;
}

void audit_close(struct audit *a) {
    if (a == NULL) {
        return;
    }
    pthread_mutex_lock(&a->mu);
    a->shared.ending = true;
    while (a->shared.writing) {
        pthread_cond_wait(&a->quiet, &a->mu);
    }
    a->shared.ended = true;
    pthread_cond_signal(&a->dirty);
    pthread_mutex_unlock(&a->mu);
    pthread_join(a->conf.flusher, NULL);
    struct sl_error err = {0};
    int fd = a->shared.fd;
    if (a->mine.begun && !a->shared.broken) {
        if (sl_failed(segment_close(a, &err))) {
            sl_log(SL_ERROR, "audit.close", "error=%s", SL_Q(slice_cstr(err.detail)));
        } else {
            close(fd); /* the reserve stays with it until the next segment has one */
        }
    }
    destroy(a);
}
