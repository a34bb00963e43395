/* An audit log of the test's own beside a keyholder. */
#ifndef TESTS_AUDIT_LOG_H
#define TESTS_AUDIT_LOG_H

#include "server/audit/audit.h"
#include "server/audit/segment.h"
#include "tests/unit/keys/rig.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

struct log_rig {
    struct rig keys;
    char dir[96];
    char said[8192]; /* by the last verification */
    size_t said_len;
};

static inline void log_rig_start(struct log_rig *l) {
    memset(l, 0, sizeof *l);
    rig_folder(&l->keys);
    assert_true(rig_start(&l->keys, true));
    snprintf(l->dir, sizeof l->dir, "%s/audit", l->keys.dir);
}

static inline void log_rig_stop(struct log_rig *l) {
    DIR *d = opendir(l->dir);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        unlinkat(dirfd(d), e->d_name, 0);
    }
    if (d != NULL) {
        closedir(d);
    }
    rmdir(l->dir);
    rig_stop(&l->keys);
    rig_remove(&l->keys);
}

static inline struct audit *log_open(struct log_rig *l, bool strict) {
    struct audit *a = NULL;
    struct sl_error err = {0};
    struct sl_rc rc = audit_open(l->dir, rig_channel(&l->keys), strict, &a, &err);
    if (sl_failed(rc)) {
        fail_msg("audit_open: %s", err.detail);
    }
    return a;
}

static inline struct sl_rc write_one(struct audit *a, struct slice record, bool flush) {
    return audit_write(a, &record, 1, flush, NULL);
}

static inline struct sl_rc put(struct audit *a, int n, bool flush) {
    char record[64];
    snprintf(record, sizeof record, "{\"n\":%d}", n);
    return write_one(a, slice_cstr(record), flush);
}

static inline void log_path(const struct log_rig *l, uint64_t first, const char *suffix,
                            char out[160]) {
    char name[32];
    audit_name(name, first, suffix);
    snprintf(out, 160, "%s/%s", l->dir, name);
}

static inline size_t log_get(const struct log_rig *l, uint64_t first, const char *suffix, char *mem,
                             size_t size) {
    char path[160];
    log_path(l, first, suffix, path);
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        return 0;
    }
    size_t n = fread(mem, 1, size - 1, f);
    fclose(f);
    mem[n] = '\0';
    return n;
}

static inline void log_set(const struct log_rig *l, uint64_t first, const char *suffix,
                           const char *mem, size_t n) {
    char path[160];
    log_path(l, first, suffix, path);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(mem, 1, n, f), n);
    fclose(f);
}

static inline void note(void *user, const char *line) {
    struct log_rig *l = user;
    l->said_len +=
        (size_t)snprintf(l->said + l->said_len, sizeof l->said - l->said_len, "%s\n", line);
    assert_true(l->said_len < sizeof l->said);
}

/* NULL: without keys */
static inline struct sl_rc check_with(struct log_rig *l, struct keyholder *k) {
    struct audit_judge judge;
    l->said_len = 0;
    l->said[0] = '\0';
    if (k != NULL) {
        OK(audit_judge_of(k, &judge, NULL));
    }
    return audit_verify(l->dir, k != NULL ? &judge : NULL, note, l, NULL);
}

static inline struct sl_rc check(struct log_rig *l, bool with_keys) {
    return check_with(l, with_keys ? l->keys.k : NULL);
}

static inline void says(const struct log_rig *l, const char *text) {
    if (strstr(l->said, text) == NULL) {
        fail_msg("'%s' is not in:\n%s", text, l->said);
    }
}

#endif
