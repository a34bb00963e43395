/* A folder of segments: verification without keys, recovery, reading from the end. The input is two
 * segments and the head of the first, with a NUL between them. */
#include "lib/base/log.h"
#include "server/audit/audit.h"
#include "server/audit/backward.h"
#include "server/audit/event.h"
#include "server/audit/recover.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {"00000000000000000001.log", "00000000000000000001.head",
                                    "00000000000000000004.log"};
/* Recovery adds these. */
static const char *const more[] = {"00000000000000000001.cut", "00000000000000000004.cut"};

static char dir[] = "/tmp/sl_segment_XXXXXX";
static int dir_fd = -1;

static void remove_all(void) {
    for (size_t i = 0; i < 3; i++) {
        (void)unlinkat(dir_fd, names[i], 0);
    }
    for (size_t i = 0; i < 2; i++) {
        (void)unlinkat(dir_fd, more[i], 0);
    }
}

static void end(void) {
    remove_all();
    (void)rmdir(dir);
}

static void place(const char *name, struct slice s) {
    int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    sl_assert(fd >= 0 && write(fd, s.ptr, s.len) == (ssize_t)s.len);
    close(fd);
}

static void ignore(void *user, const char *line) {}

/* Each line has its place, and all of them come again from there. */
static void walk_back(void) {
    struct audit_backward b SL_CLEANUP(audit_backward_fini) = {.fd = -1};
    struct arena a SL_CLEANUP(arena_fini) = ARENA_INIT(1 << 24);
    struct audit_line line;
    bool found = true;
    sl_assert(sl_is_ok(audit_backward_open(&b, dir, NULL, NULL)));
    for (;;) {
        struct audit_event e;
        sl_assert(sl_is_ok(audit_backward_next(&b, &found, &line, NULL)));
        if (!found) {
            return;
        }
        (void)audit_event_parse(line.record, &a, &e);
        arena_reset(&a);
        struct audit_place place = audit_backward_place(&b);
        struct audit_backward again SL_CLEANUP(audit_backward_fini) = {.fd = -1};
        sl_assert(sl_is_ok(audit_backward_open(&again, dir, &place, NULL)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice rest = slice_of(data, size);
    if (dir_fd < 0) {
        sl_log_init("fuzz", SL_ERROR);
        sl_assert(mkdtemp(dir) != NULL);
        dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        sl_assert(dir_fd >= 0);
        atexit(end);
    }
    for (size_t i = 0; i < 3 && (i == 0 || rest.len > 0); i++) {
        size_t n = slice_find(rest, 0);
        place(names[i], slice_sub(rest, 0, n));
        rest = slice_sub(rest, n + 1, rest.len);
    }
    sl_ignore(audit_verify(dir, NULL, ignore, NULL, NULL));
    walk_back();
    struct audit_point point;
    bool open = false;
    sl_ignore(audit_recover(dir_fd, &point, &open, NULL));
    walk_back();
    remove_all();
    return 0;
}
