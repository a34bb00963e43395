/* The keyholder's process: files, sandbox, then one thread a channel. Channels come as descriptors,
 * over the control socket from the supervisor or over a channel from kms (fork). */
#include "lib/base/limits.h"
#include "lib/base/clock.h"
#include "lib/ipc/frame.h"
#include "server/keys/keyholder.h"
#include "server/keys/messages.h"
#include "server/keys/service.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

struct channels {
    struct service *service; /* read-only after start */
    pthread_mutex_t mu;
    pthread_cond_t gone;
    size_t count;                    /* under mu */
    int fds[KEYHOLDER_CHANNELS_MAX]; /* under mu; -1: free */
    bool ending;                     /* under mu */
};

struct channel {
    struct channels *all;
    size_t slot;
    int fd;
};

static struct sl_rc add_channel(struct channels *all, int take_fd, struct sl_error *err);

static void wipe(struct buf *b) {
    secret_wipe(b->ptr, b->len);
    buf_reset(b);
}

static struct sl_rc answer(int fd, struct sl_rc rc, const struct sl_error *err, struct buf *out) {
    uint8_t type = KEYHOLDER_OK;
    if (sl_failed(rc)) {
        type = KEYHOLDER_ERROR;
        wipe(out);
        buf_u16(out, (uint16_t)rc.code);
        buf_puts(out, err->detail);
    }
    return frame_send(fd, type, buf_slice(out), clock_mono_ms() + LIMIT_RPC_MS);
}

/* One request and its answer; a failure ends the channel. */
static struct sl_rc serve_one(struct channel *c, struct buf *in, struct buf *out) {
    struct sl_error err = {0};
    uint8_t op = 0;
    int passed_fd = -1;
    TRY(frame_recv_alone(c->fd, &op, in, &passed_fd));
    struct sl_rc rc;
    if (op == KEYHOLDER_FORK) {
        rc = passed_fd < 0 ? sl_fail(&err, SL_E_PARSE, "fork: no descriptor")
                           : add_channel(c->all, passed_fd, &err);
    } else {
        if (passed_fd >= 0) {
            close(passed_fd);
        }
        rc = service_handle(c->all->service, op, buf_slice(in), out, &err);
    }
    rc = answer(c->fd, rc, &err, out);
    wipe(in);
    wipe(out);
    return rc;
}

static void *serve_channel(void *user) {
    struct channel *c = user;
    struct buf in SL_CLEANUP(buf_fini) = BUF_INIT(LIMIT_FRAME_BYTES - 1);
    struct buf out SL_CLEANUP(buf_fini) = BUF_INIT(LIMIT_FRAME_BYTES - 1);
    in.wipe = out.wipe = true;
    while (sl_is_ok(serve_one(c, &in, &out))) {
    }
    struct channels *all = c->all;
    pthread_mutex_lock(&all->mu);
    all->fds[c->slot] = -1;
    close(c->fd);
    all->count--;
    pthread_cond_signal(&all->gone);
    pthread_mutex_unlock(&all->mu);
    free(c);
    return NULL;
}

static size_t free_slot(const struct channels *all) {
    size_t i = 0;
    while (i < KEYHOLDER_CHANNELS_MAX && all->fds[i] >= 0) {
        i++;
    }
    return i;
}

static struct sl_rc start_thread(struct channel *c, struct sl_error *err) {
    pthread_attr_t attr;
    pthread_t thread;
    ENSURE(pthread_attr_init(&attr) == 0, err, SL_E_NOMEM, "Out of memory.");
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, 512 * 1024);
    int rc = pthread_create(&thread, &attr, serve_channel, c);
    pthread_attr_destroy(&attr);
    ENSURE(rc == 0, err, SL_E_NOMEM, "No thread for a channel.");
    return SL_OK;
}

static struct sl_rc add_channel(struct channels *all, int take_fd, struct sl_error *err) {
    struct channel *c = calloc(1, sizeof *c);
    pthread_mutex_lock(&all->mu);
    size_t slot = free_slot(all);
    struct sl_rc rc = SL_OK;
    if (c == NULL || all->ending) {
        rc = sl_fail(err, SL_E_CLOSED, "The keyholder is ending.");
    } else if (slot == KEYHOLDER_CHANNELS_MAX) {
        rc = sl_fail(err, SL_E_LIMIT, "The keyholder has %d channels already.",
                     KEYHOLDER_CHANNELS_MAX);
    } else {
        *c = (struct channel){all, slot, take_fd};
        rc = start_thread(c, err);
    }
    if (sl_is_ok(rc)) {
        all->fds[slot] = take_fd;
        all->count++;
    } else {
        close(take_fd);
        free(c);
    }
    pthread_mutex_unlock(&all->mu);
    return rc;
}

static void end_channels(struct channels *all) {
    pthread_mutex_lock(&all->mu);
    all->ending = true;
    for (size_t i = 0; i < KEYHOLDER_CHANNELS_MAX; i++) {
        if (all->fds[i] >= 0) {
            shutdown(all->fds[i], SHUT_RDWR);
        }
    }
    while (all->count > 0) {
        pthread_cond_wait(&all->gone, &all->mu);
    }
    pthread_mutex_unlock(&all->mu);
    pthread_mutex_destroy(&all->mu);
    pthread_cond_destroy(&all->gone);
}

static struct sl_rc wrap(int fd, struct service *s, struct slice passphrase) {
    struct buf out SL_CLEANUP(buf_fini) = BUF_INIT(LIMIT_DOMAIN_FILE_BYTES);
    struct sl_error err = {0};
    struct sl_rc rc = service_wrap_domain(s, passphrase, &out, &err);
    struct slice text = slice_cstr(sl_error_message(&err, rc.code));
    return frame_send(fd, sl_is_ok(rc) ? KEYHOLDER_WRAP : KEYHOLDER_ERROR,
                      sl_is_ok(rc) ? buf_slice(&out) : text, clock_mono_ms() + LIMIT_RPC_MS);
}

/* Takes channels, and the wish for a backup, until the supervisor is gone. */
static struct sl_rc serve_control(int fd, struct channels *all, struct sl_error *err) {
    struct buf in SL_CLEANUP(buf_fini) = {.max = 4096, .wipe = true};
    for (;;) {
        uint8_t type = 0;
        int passed_fd = -1;
        struct sl_rc rc = frame_recv_fd(fd, &type, &in, &passed_fd, 0);
        if (rc.code == SL_E_CLOSED) {
            return SL_OK;
        }
        ENSURE(sl_is_ok(rc), err, rc.code, "The control socket failed.");
        if (type == KEYHOLDER_CHANNEL && passed_fd >= 0) {
            /* A refused channel is closed, which its other end sees. */
            sl_ignore(add_channel(all, passed_fd, NULL));
        } else if (passed_fd >= 0) {
            close(passed_fd);
        } else if (type == KEYHOLDER_WRAP) {
            TRY(wrap(fd, all->service, buf_slice(&in)));
            wipe(&in);
        }
    }
}

/* Says "sealed" and waits for the supervisor's word, however long that takes. */
static struct sl_rc ask(void *user, enum root_kind kind, const struct sl_error *why,
                        struct secret *ret, struct sl_error *err) {
    const struct keyholder_conf *conf = user;
    struct buf out SL_CLEANUP(buf_fini) = BUF_INIT(4096);
    struct buf word SL_CLEANUP(buf_fini) = BUF_INIT(LIMIT_ROOT_WORD_BYTES);
    word.wipe = true;
    buf_u8(&out, (uint8_t)kind);
    buf_u16(&out, why != NULL ? (uint16_t)why->code : 0);
    buf_puts(&out, why != NULL ? why->detail : "");
    uint8_t type = 0;
    struct sl_rc rc = frame_send(conf->control_fd, KEYHOLDER_SEALED, buf_slice(&out),
                                 clock_mono_ms() + LIMIT_RPC_MS);
    rc = sl_is_ok(rc) ? frame_recv(conf->control_fd, &type, &word, 0) : rc;
    ENSURE(sl_is_ok(rc) && type == KEYHOLDER_WORD, err, SL_E_CLOSED, "No word came.");
    return secret_from(ret, buf_slice(&word));
}

/* *ret is NULL when the domain key was moved: then there is nothing to serve. */
static struct sl_rc start(const struct keyholder_conf *conf, struct service **ret,
                          struct sl_error *err) {
    struct domain domain SL_CLEANUP(domain_fini) = {0};
    struct root_place file = {.kind = ROOT_FILE};
    snprintf(file.file, sizeof file.file, "%s", conf->root_key_file);
    struct domain_opening o = {.root_file = conf->root_key_file,
                               .domain_file = conf->domain_file,
                               .create = conf->create,
                               .first = conf->first != NULL ? conf->first : &file,
                               .ask = ask,
                               .user = (void *)(uintptr_t)conf};
    TRY(domain_open(&o, &domain, err));
    if (conf->move_to != NULL) {
        return domain_move(&o, conf->move_to, &domain, err);
    }
    struct service *s = NULL;
    TRY(service_new(&domain, &s, err));
    struct sl_rc rc = conf->sandbox != NULL ? conf->sandbox(conf->user, err) : SL_OK;
    if (sl_failed(rc)) {
        service_free(s);
        return rc;
    }
    *ret = s;
    return SL_OK;
}

struct sl_rc keyholder_serve(const struct keyholder_conf *conf, struct sl_error *err) {
    struct channels all = {.service = NULL};
    struct sl_error why = {0};
    struct sl_rc rc = start(conf, &all.service, &why);
    int64_t deadline = clock_mono_ms() + LIMIT_RPC_MS;
    if (sl_failed(rc)) {
        const char *text = sl_error_message(&why, rc.code);
        sl_ignore(frame_send(conf->control_fd, KEYHOLDER_ERROR, slice_cstr(text), deadline));
        sl_ignore(sl_fail(err, rc.code, "%s", text));
        sl_hint(err, "%s", why.hint);
        return rc;
    }
    if (all.service == NULL) {
        return frame_send(conf->control_fd, KEYHOLDER_MOVED, SLICE_EMPTY, deadline);
    }
    sl_assert(pthread_mutex_init(&all.mu, NULL) == 0 && pthread_cond_init(&all.gone, NULL) == 0);
    memset(all.fds, 0xff, sizeof all.fds);
    rc = frame_send(conf->control_fd, KEYHOLDER_READY, SLICE_EMPTY, deadline);
    if (sl_is_ok(rc)) {
        rc = serve_control(conf->control_fd, &all, err);
    }
    end_channels(&all);
    service_free(all.service);
    return rc;
}
