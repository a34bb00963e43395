/* Verifies an audit log. The judge says whether each record carries its right MAC; heads are
 * checked with the public key that stands in them, which must be the same in all, and the
 * keyholder's own where there is a judge. All findings are printed, not only the first. */
#include "server/audit/audit.h"

#include "server/audit/segment.h"
#include "server/keys/keyholder.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum { BATCH_ENTRIES = 1024, BATCH_BYTES = LIMIT_AUDIT_RECORD_BYTES };

struct verify {
    int dir_fd;
    const struct audit_judge *judge; /* NULL: heads and sequence only */
    void (*print)(void *, const char *line);
    void *user;
    struct sl_error *err;
    size_t findings;
    uint64_t records;
    bool have_key;
    uint8_t public_key[32];
    struct audit_point last; /* of the segments so far */
};

/* One segment being read. */
struct walk {
    struct audit_point point; /* last line read */
    size_t lines;
    bool malformed;                /* a finding was made; the rest is read for its end only */
    bool unfinished;               /* a last line without its end */
    uint8_t before[AUDIT_MAC_LEN]; /* MAC before the batch */
    size_t count;
    struct buf bytes;
    struct audit_line entries[BATCH_ENTRIES];
};

static void say(struct verify *v, const char *fmt, ...) SL_PRINTF(2, 3);
static void say(struct verify *v, const char *fmt, ...) {
    char line[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    v->print(v->user, line);
}

#define FINDING(v, ...)                                                                            \
    do {                                                                                           \
        (v)->findings++;                                                                           \
        say((v), __VA_ARGS__);                                                                     \
    } while (0)

static struct sl_rc check_batch(struct verify *v, struct walk *w) {
    size_t count = w->count;
    w->count = 0;
    buf_reset(&w->bytes); /* the memory stays, and the entries with it */
    if (v->judge == NULL || count == 0) {
        return SL_OK;
    }
    size_t good = 0;
    TRY(v->judge->check(v->judge->user, w->point.segment, w->before, w->entries, count, &good,
                        v->err));
    if (good < count) {
        FINDING(v, "record %" PRIu64 ": altered, or not in its place", w->entries[good].seq);
        w->malformed = true;
    }
    memcpy(w->before, w->entries[count - 1].mac, AUDIT_MAC_LEN);
    return SL_OK;
}

static struct sl_rc add_to_batch(struct verify *v, struct walk *w, const struct audit_line *line) {
    if (w->count == BATCH_ENTRIES || w->bytes.len + line->record.len > w->bytes.max) {
        TRY(check_batch(v, w));
        if (w->malformed) {
            return SL_OK;
        }
    }
    struct audit_line *e = &w->entries[w->count++];
    *e = *line;
    /* The buffer has its full size from the start, so the slices stay. */
    e->record = slice_of(w->bytes.ptr + w->bytes.len, line->record.len);
    buf_put(&w->bytes, line->record);
    return buf_check(&w->bytes, v->err);
}

/* The first line: where the segment says that it comes from. */
static void check_header(struct verify *v, struct walk *w, const struct audit_line *line) {
    uint64_t previous_last = 0;
    if (!audit_header_parse(line->record, &w->point.segment, &previous_last, w->before)) {
        FINDING(v, "record %" PRIu64 ": not the header of a segment", line->seq);
        w->malformed = true;
        return;
    }
    if (w->point.segment != v->last.segment + 1 || previous_last != v->last.last ||
        memcmp(w->before, v->last.mac, AUDIT_MAC_LEN) != 0) {
        FINDING(v,
                "segment %" PRIu64 ": follows record %" PRIu64 " of segment %" PRIu64
                ", which is not the one before it here",
                w->point.segment, previous_last, w->point.segment - 1);
    }
}

static struct sl_rc take_line(struct verify *v, struct walk *w, enum audit_read kind,
                              struct slice text) {
    struct audit_line line;
    uint64_t want = w->point.first + w->lines;
    bool good = kind == AUDIT_READ_LINE && audit_line_parse(text, &line);
    if (!good) {
        if (kind == AUDIT_READ_TORN) {
            w->unfinished = true;
        } else if (!w->malformed) {
            FINDING(v, "record %" PRIu64 ": malformed", want);
            w->malformed = true;
        }
        return SL_OK;
    }
    if (!w->malformed && line.seq != want) {
        TRY(check_batch(v, w)); /* an earlier finding comes first */
        FINDING(v, "record %" PRIu64 ": missing or out of order (%" PRIu64 " stands there)", want,
                line.seq);
        w->malformed = true;
    }
    if (w->lines == 0 && !w->malformed) {
        check_header(v, w, &line);
    }
    if (!w->malformed) {
        TRY(add_to_batch(v, w, &line));
    }
    w->point.last = line.seq;
    memcpy(w->point.mac, line.mac, sizeof line.mac);
    w->lines++;
    return SL_OK;
}

static void know_key(struct verify *v, const char *where, const uint8_t key[32]) {
    if (v->have_key && memcmp(v->public_key, key, sizeof v->public_key) != 0) {
        FINDING(v, "%s: signed with another key", where);
    }
    if (!v->have_key) {
        v->have_key = true;
        memcpy(v->public_key, key, sizeof v->public_key);
    }
}

static void check_segment_head(struct verify *v, const struct walk *w) {
    char name[32];
    audit_name(name, w->point.first, ".head");
    struct sl_error err = {0};
    struct audit_point head;
    uint8_t key[32];
    bool found = false;
    struct sl_rc rc = audit_head_read(v->dir_fd, w->point.first, &found, &head, key, &err);
    if (sl_failed(rc) || !found) {
        FINDING(v, "%s: %s", name, sl_error_message(&err, rc.code));
        return;
    }
    know_key(v, name, key);
    if (head.first != w->point.first || head.segment != w->point.segment) {
        FINDING(v, "%s: is of another segment", name);
    } else if (head.last != w->point.last || memcmp(head.mac, w->point.mac, sizeof head.mac) != 0) {
        FINDING(v, "%s: names record %" PRIu64 " as the last; the segment ends with %" PRIu64, name,
                head.last, w->point.last);
    }
}

static struct sl_rc read_segment(struct verify *v, struct walk *w) {
    struct audit_reader r SL_CLEANUP(audit_reader_fini) = {.fd = -1};
    TRY(audit_reader_open(&r, v->dir_fd, w->point.first, v->err));
    for (;;) {
        enum audit_read kind;
        struct slice text;
        off_t at;
        TRY(audit_reader_next(&r, &kind, &text, &at, v->err));
        if (kind == AUDIT_READ_END) {
            break;
        }
        TRY(take_line(v, w, kind, text));
    }
    return w->malformed ? SL_OK : check_batch(v, w);
}

static struct sl_rc verify_segment(struct verify *v, struct walk *w, uint64_t first, bool is_last) {
    struct buf bytes = w->bytes;
    *w = (struct walk){.point.first = first, .bytes = bytes};
    buf_reset(&w->bytes);
    size_t before = v->findings;
    if (first != v->last.last + 1) {
        FINDING(v, "records %" PRIu64 " to %" PRIu64 ": missing or out of order", v->last.last + 1,
                first - 1);
    }
    /* Asked before reading: a log in use may close the segment meanwhile. */
    char head[32];
    audit_name(head, first, ".head");
    bool closed = faccessat(v->dir_fd, head, F_OK, 0) == 0;
    TRY(read_segment(v, w));
    if (closed) {
        check_segment_head(v, w);
    }
    if (!closed && !is_last) {
        FINDING(v, "segment %" PRIu64 ": no head, though another segment follows",
                w->point.segment);
    }
    if (w->unfinished && (closed || !is_last)) {
        FINDING(v, "segment %" PRIu64 ": ends with an unfinished record", w->point.segment);
    }
    if (w->lines == 0 && (closed || !is_last)) {
        FINDING(v, "segment at %" PRIu64 ": no records", first);
    }
    say(v, "segment %" PRIu64 ": records %" PRIu64 " to %" PRIu64 ", %s, %s", w->point.segment,
        first, w->point.last, closed ? "closed" : "open",
        v->findings == before ? "ok" : "NOT AS WRITTEN");
    v->records += w->lines;
    v->last = w->point;
    return SL_OK;
}

static void end_walk(struct walk **w) {
    if (*w != NULL) {
        buf_fini(&(*w)->bytes);
        free(*w);
    }
}

static struct sl_rc verify_segments(struct verify *v, size_t *ret_count) {
    struct walk *w SL_CLEANUP(end_walk) = calloc(1, sizeof *w);
    ENSURE(w != NULL, v->err, SL_E_NOMEM, "Out of memory.");
    w->bytes = BUF_INIT(BATCH_BYTES + AUDIT_LINE_MAX);
    ENSURE(buf_reserve(&w->bytes, w->bytes.max) != NULL, v->err, SL_E_NOMEM, "Out of memory.");
    uint64_t *firsts = NULL;
    size_t count = 0;
    TRY(audit_list(v->dir_fd, ".log", &firsts, &count, v->err));
    struct sl_rc rc = SL_OK;
    for (size_t i = 0; i < count && sl_is_ok(rc); i++) {
        rc = verify_segment(v, w, firsts[i], i + 1 == count);
    }
    free(firsts);
    *ret_count = count;
    return rc;
}

/* Heads without their segment, and what recovery set aside. */
static struct sl_rc verify_others(struct verify *v) {
    static const struct {
        const char *suffix;
        const char *text;
    } kinds[] = {{".head", "a head whose segment is missing"},
                 {".cut", "bytes set aside at a start, as they were not as written"}};
    for (size_t k = 0; k < 2; k++) {
        uint64_t *numbers = NULL;
        size_t count = 0;
        TRY(audit_list(v->dir_fd, kinds[k].suffix, &numbers, &count, v->err));
        for (size_t i = 0; i < count; i++) {
            char log_name[32];
            char name[32];
            audit_name(log_name, numbers[i], ".log");
            audit_name(name, numbers[i], kinds[k].suffix);
            if (k == 1 || faccessat(v->dir_fd, log_name, F_OK, 0) != 0) {
                FINDING(v, "%s: %s", name, kinds[k].text);
            }
        }
        free(numbers);
    }
    return SL_OK;
}

static void say_key(struct verify *v) {
    char hex[65] = "";
    for (size_t i = 0; v->have_key && i < sizeof v->public_key; i++) {
        snprintf(hex + 2 * i, 3, "%02x", v->public_key[i]);
    }
    say(v, "public key %s", v->have_key ? hex : "none yet");
}

static struct sl_rc run(struct verify *v) {
    size_t segments = 0;
    if (v->judge != NULL) {
        know_key(v, "keyholder", v->judge->public_key);
    }
    TRY(verify_segments(v, &segments));
    TRY(verify_others(v));
    if (segments == 0) {
        FINDING(v, "the log has no segment");
    }
    say_key(v);
    if (v->findings > 0) {
        say(v, "NOT VERIFIED: %zu finding(s) in %zu segment(s)", v->findings, segments);
        return sl_fail(v->err, SL_E_CORRUPT, "The audit log is not as it was written.");
    }
    say(v, "verified%s: %zu segment(s), %" PRIu64 " record(s)",
        v->judge == NULL ? " (heads and sequence only)" : "", segments, v->records);
    return SL_OK;
}

static struct sl_rc check_here(void *user, uint64_t segment, const uint8_t previous[AUDIT_MAC_LEN],
                               const struct audit_line *lines, size_t count, size_t *ret_good,
                               struct sl_error *err) {
    struct keyholder_audit_entry *entries = calloc(count, sizeof *entries);
    ENSURE(entries != NULL, err, SL_E_NOMEM, "Out of memory.");
    for (size_t i = 0; i < count; i++) {
        entries[i].record = lines[i].record;
        memcpy(entries[i].mac, lines[i].mac, AUDIT_MAC_LEN);
    }
    struct sl_rc rc =
        keyholder_audit_check(user, segment, lines[0].seq, previous, entries, count, ret_good, err);
    free(entries);
    return rc;
}

struct sl_rc audit_judge_of(struct keyholder *keys, struct audit_judge *ret, struct sl_error *err) {
    uint8_t signature[64];
    struct audit_judge j = {.check = check_here, .user = keys};
    TRY(keyholder_audit_sign(keys, SLICE_LIT("sealift/audit-verify"), signature, j.public_key,
                             err));
    *ret = j;
    return SL_OK;
}

struct sl_rc audit_verify(const char *dir, const struct audit_judge *judge,
                          void (*print)(void *, const char *line), void *user,
                          struct sl_error *err) {
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ENSURE(fd >= 0, err, SL_E_IO, "%s: %m", dir);
    struct verify v = {.dir_fd = fd, .judge = judge, .print = print, .user = user, .err = err};
    struct sl_rc rc = run(&v);
    close(fd);
    return rc;
}

/* The MAC of record `seq` in the segment that begins with `first`. */
static struct sl_rc find_record(struct verify *v, uint64_t first, uint64_t seq, bool *ret_found,
                                uint8_t ret_mac[AUDIT_MAC_LEN]) {
    struct audit_reader r SL_CLEANUP(audit_reader_fini) = {.fd = -1};
    TRY(audit_reader_open(&r, v->dir_fd, first, v->err));
    for (;;) {
        enum audit_read kind;
        struct slice text;
        struct audit_line line;
        off_t at;
        TRY(audit_reader_next(&r, &kind, &text, &at, v->err));
        if (kind == AUDIT_READ_END) {
            *ret_found = false;
            return SL_OK;
        }
        if (kind == AUDIT_READ_LINE && audit_line_parse(text, &line) && line.seq == seq) {
            memcpy(ret_mac, line.mac, AUDIT_MAC_LEN);
            *ret_found = true;
            return SL_OK;
        }
    }
}

static struct sl_rc run_head(struct verify *v, struct slice head_line) {
    struct audit_point head;
    TRY(audit_head_parse(head_line, &head, v->public_key, v->err));
    v->have_key = true;
    uint64_t *firsts = NULL;
    size_t count = 0;
    TRY(audit_list(v->dir_fd, ".log", &firsts, &count, v->err));
    bool found = false;
    uint8_t mac[AUDIT_MAC_LEN];
    struct sl_rc rc = SL_OK;
    for (size_t i = 0; i < count && sl_is_ok(rc); i++) {
        if (firsts[i] == head.first) {
            rc = find_record(v, firsts[i], head.last, &found, mac);
        }
    }
    free(firsts);
    TRY(rc);
    say_key(v);
    if (!found || memcmp(mac, head.mac, sizeof mac) != 0) {
        say(v, "NOT VERIFIED: the log does not hold record %" PRIu64 " as this head names it",
            head.last);
        return sl_fail(v->err, SL_E_CORRUPT, "The audit log was cut or replaced.");
    }
    say(v, "the log holds record %" PRIu64 ", as this head names it", head.last);
    return SL_OK;
}

struct sl_rc audit_verify_head(const char *dir, struct slice head,
                               void (*print)(void *, const char *line), void *user,
                               struct sl_error *err) {
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ENSURE(fd >= 0, err, SL_E_IO, "%s: %m", dir);
    struct verify v = {.dir_fd = fd, .print = print, .user = user, .err = err};
    struct sl_rc rc = run_head(&v, head);
    close(fd);
    return rc;
}
