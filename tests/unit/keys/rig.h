/* A keyholder in a thread of the test, with its files in a folder of their own. */
#ifndef TESTS_KEYS_RIG_H
#define TESTS_KEYS_RIG_H

#include "lib/base/clock.h"
#include "lib/ipc/frame.h"
#include "server/keys/keyholder.h"
#include "server/keys/messages.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define OK(call)                                                                                   \
    do {                                                                                           \
        struct sl_rc ok_rc_ = (call);                                                              \
        if (sl_failed(ok_rc_)) {                                                                   \
            fail_msg("%s: %s", #call, sl_code_info(ok_rc_.code)->name);                            \
        }                                                                                          \
    } while (0)
#define FAILS(call, want) assert_string_equal(sl_code_info((call).code)->name, #want)

struct rig {
    char dir[64];
    char root[96];
    char domain[96];
    int control; /* the supervisor's end */
    int theirs;
    pthread_t thread;
    struct keyholder_conf conf;
    struct sl_rc rc; /* of keyholder_serve */
    struct sl_error err;
    char refusal[512]; /* text of its 'E' frame */
    struct keyholder *k;
};

static inline void rig_folder(struct rig *r) {
    *r = (struct rig){.dir = "/tmp/sealift-test-XXXXXX"};
    assert_non_null(mkdtemp(r->dir));
    snprintf(r->root, sizeof r->root, "%s/root.key", r->dir);
    snprintf(r->domain, sizeof r->domain, "%s/domain", r->dir);
}

static inline void *rig_thread(void *user) {
    struct rig *r = user;
    r->rc = keyholder_serve(&r->conf, &r->err);
    close(r->theirs);
    return NULL;
}

/* A channel of its own through the control socket, as the supervisor gives one to kms. */
static inline struct keyholder *rig_channel(struct rig *r) {
    int pair[2];
    struct keyholder *k = NULL;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    OK(frame_send_fd(r->control, KEYHOLDER_CHANNEL, SLICE_EMPTY, pair[1]));
    close(pair[1]);
    OK(keyholder_open(pair[0], &k, NULL));
    return k;
}

/* True when the keyholder says that it is ready; then r->k is a channel. */
static inline bool rig_start(struct rig *r, bool create) {
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    r->control = pair[0];
    r->theirs = pair[1];
    r->err = (struct sl_error){0};
    r->conf = (struct keyholder_conf){.root_key_file = r->root,
                                      .domain_file = r->domain,
                                      .create = create,
                                      .control_fd = r->theirs};
    assert_int_equal(pthread_create(&r->thread, NULL, rig_thread, r), 0);
    uint8_t type = 0;
    struct buf text SL_CLEANUP(buf_fini) = BUF_INIT(4096);
    OK(frame_recv(r->control, &type, &text, clock_mono_ms() + 10000));
    if (type == KEYHOLDER_READY) {
        r->k = rig_channel(r);
        return true;
    }
    assert_int_equal(type, KEYHOLDER_ERROR);
    snprintf(r->refusal, sizeof r->refusal, "%.*s", SLICE_FMT(buf_slice(&text)));
    pthread_join(r->thread, NULL);
    close(r->control);
    return false;
}

static inline void rig_stop(struct rig *r) {
    keyholder_close(r->k);
    r->k = NULL;
    close(r->control);
    pthread_join(r->thread, NULL);
    OK(r->rc);
}

static inline void rig_remove(struct rig *r) {
    unlink(r->root);
    unlink(r->domain);
    assert_int_equal(rmdir(r->dir), 0);
}

static inline int rig_group_start(void **state) {
    struct rig *r = calloc(1, sizeof *r);
    rig_folder(r);
    assert_true(rig_start(r, true));
    *state = r;
    return 0;
}

static inline int rig_group_stop(void **state) {
    struct rig *r = *state;
    rig_stop(r);
    rig_remove(r);
    free(r);
    return 0;
}

#endif
