/* See s3_calls.h. What was taken during one look at the events leaves with one write for each
 * connection; what one read brings is answered client by client. A connection that fails, or on
 * which nothing moves for too long, is closed, and its calls are refused: whether they were carried
 * out is not known, so they are not sent again. */
#include "server/main/s3_calls.h"

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    SLOTS = 1024,            /* calls under way */
    OUT_BYTES = 1024 * 1024, /* taken, and not sent yet */
    READ_BYTES = 256 * 1024, /* at once */
};

/* A call under way. Free ones are in a list. */
struct slot {
    struct net_conn *conn; /* NULL: free */
    uint32_t turn;         /* in its id, so that a late answer fits nobody else's call */
    uint32_t next_free;
    struct channel *channel;
    bool close;
};

struct channel {
    struct calls *calls;
    struct net_watch watch; /* fd < 0: not connected */
    struct buf out;
    size_t sent; /* of out */
    struct buf in;
    unsigned under_way;
    int64_t moved_ms; /* when something came, or the first call went */
};

struct calls {
    struct calls_conf conf;
    struct net_server *server;
    struct channel channels[CALLS_CHANNELS_MAX];
    struct channel *current; /* of this look at the events */
    struct slot slots[SLOTS];
    uint32_t first_free; /* SLOTS: none */
    atomic_bool connecting;
    atomic_int missing; /* connections to be made */
    pthread_mutex_t mu;
    int fresh[CALLS_CHANNELS_MAX]; /* under mu: connected, not watched yet */
    int fresh_count;
    atomic_bool have_fresh;
};

struct sl_rc calls_new(const struct calls_conf *conf, struct calls **ret) {
    struct calls *m = calloc(1, sizeof *m);
    if (m == NULL) {
        return sl_rc_of(SL_E_NOMEM);
    }
    m->conf = *conf;
    sl_assert(conf->channels >= 1 && conf->channels <= CALLS_CHANNELS_MAX);
    pthread_mutex_init(&m->mu, NULL);
    for (uint32_t i = 0; i < SLOTS; i++) {
        m->slots[i].next_free = i + 1;
    }
    for (int i = 0; i < conf->channels; i++) {
        m->channels[i] = (struct channel){.calls = m,
                                          .watch = {.fd = -1},
                                          .out = {.max = OUT_BYTES, .wipe = true},
                                          .in = {.max = LIMIT_CALL_ANSWER_BYTES, .wipe = true}};
    }
    atomic_store(&m->missing, conf->channels);
    *ret = m;
    return SL_OK;
}

void calls_serve(struct calls *m, struct net_server *server) {
    m->server = server;
}

void calls_free(struct calls *m) {
    if (m == NULL) {
        return;
    }
    for (int i = 0; i < m->conf.channels; i++) {
        struct channel *ch = &m->channels[i];
        if (ch->watch.fd >= 0) {
            close(ch->watch.fd);
        }
        buf_fini(&ch->out);
        buf_fini(&ch->in);
    }
    while (m->fresh_count > 0) {
        close(m->fresh[--m->fresh_count]);
    }
    pthread_mutex_destroy(&m->mu);
    free(m);
}

/* ---- connecting ---- */

void calls_connect(struct calls *m) {
    if (atomic_load(&m->missing) == 0 || atomic_exchange(&m->connecting, true)) {
        return;
    }
    struct seam_hello hello = {.edge = SEAM_S3, .mode = SEAM_CALLS};
    memcpy(hello.token, m->conf.token, SEAM_TOKEN_LEN);
    while (atomic_load(&m->missing) > 0) {
        int fd;
        struct sl_error err = {0};
        struct sl_rc rc = seam_connect(m->conf.socket, &hello, &fd, &err);
        if (sl_failed(rc)) {
            break; /* whoever brought it here finds out too, and says so */
        }
        atomic_fetch_sub(&m->missing, 1);
        pthread_mutex_lock(&m->mu);
        m->fresh[m->fresh_count++] = fd;
        pthread_mutex_unlock(&m->mu);
        atomic_store(&m->have_fresh, true);
    }
    secret_wipe(&hello, sizeof hello);
    atomic_store(&m->connecting, false);
}

/* ---- one connection ---- */

static void answer(struct calls *m, struct slot *s, struct slice bytes, int status) {
    struct net_conn *c = s->conn;
    s->conn = NULL;
    s->turn++;
    s->channel->under_way--;
    s->next_free = m->first_free;
    m->first_free = (uint32_t)(s - m->slots);
    http_answer(c, bytes, s->close, status);
    m->conf.done(m->conf.user);
}

static void wipe(struct buf *b) {
    secret_wipe(b->ptr, b->len);
    buf_reset(b);
}

/* Its calls are refused with `status`. */
static void end_channel(struct channel *ch, int status, const char *why) {
    struct calls *m = ch->calls;
    sl_log(ch->under_way > 0 ? SL_WARN : SL_INFO, "calls.ended", "calls=%u reason=\"%s\"",
           ch->under_way, why);
    close(ch->watch.fd);
    ch->watch.fd = -1;
    wipe(&ch->out);
    wipe(&ch->in);
    ch->sent = 0;
    atomic_fetch_add(&m->missing, 1);
    for (size_t i = 0; i < SLOTS && ch->under_way > 0; i++) {
        if (m->slots[i].conn != NULL && m->slots[i].channel == ch) {
            answer(m, &m->slots[i], SLICE_EMPTY, status);
        }
    }
}

/* One answer's payload; false when it fits no call. */
static bool on_answer(struct channel *ch, struct slice payload) {
    struct calls *m = ch->calls;
    if (payload.len <= sizeof(uint64_t)) {
        return false;
    }
    uint64_t id = 0;
    for (size_t i = 0; i < sizeof id; i++) {
        id = id << 8 | payload.ptr[i];
    }
    struct slot *s = &m->slots[(uint32_t)id % SLOTS];
    if ((uint32_t)id >= SLOTS || s->conn == NULL || s->turn != id >> 32 || s->channel != ch) {
        return false;
    }
    answer(m, s, slice_sub(payload, sizeof id, payload.len), 0);
    return true;
}

/* Answers all that is whole in ch->in; false when it is malformed. */
static bool answer_all(struct channel *ch) {
    struct slice in = buf_slice(&ch->in);
    for (;;) {
        uint8_t type;
        struct slice payload;
        size_t len;
        if (sl_failed(http_call_frame(in, LIMIT_CALL_ANSWER_BYTES, &type, &payload, &len))) {
            return false;
        }
        if (len == 0) {
            break;
        }
        if (type != CALL_ANSWER || !on_answer(ch, payload)) {
            return false;
        }
        in = slice_sub(in, len, in.len);
    }
    size_t used = ch->in.len - in.len;
    secret_wipe(ch->in.ptr, used);
    if (in.len > 0 && used > 0) {
        memmove(ch->in.ptr, in.ptr, in.len);
    }
    ch->in.len = in.len;
    return true;
}

static void on_readable(void *user) {
    struct channel *ch = user;
    size_t room = LIMIT_CALL_ANSWER_BYTES - ch->in.len;
    uint8_t *p = buf_reserve(&ch->in, room < READ_BYTES ? room : READ_BYTES);
    if (p == NULL) {
        end_channel(ch, 502, "out of memory");
        return;
    }
    ssize_t n = recv(ch->watch.fd, p, room < READ_BYTES ? room : READ_BYTES, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n <= 0) {
        end_channel(ch, 502, "kms has ended the connection");
        return;
    }
    ch->in.len += (size_t)n;
    ch->moved_ms = clock_mono_ms();
    if (!answer_all(ch)) {
        end_channel(ch, 502, "an answer that can't be understood");
    }
}

/* ---- the look at the events ---- */

/* One that was made a while ago may have ended since: nobody has watched it. */
static bool has_ended(int fd) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 0) != 0;
}

static void adopt_fresh(struct calls *m) {
    atomic_store(&m->have_fresh, false);
    pthread_mutex_lock(&m->mu);
    for (int i = 0; i < m->conf.channels && m->fresh_count > 0; i++) {
        struct channel *ch = &m->channels[i];
        if (ch->watch.fd >= 0) {
            continue;
        }
        ch->watch =
            (struct net_watch){.fd = m->fresh[--m->fresh_count], .fn = on_readable, .user = ch};
        if (has_ended(ch->watch.fd) || sl_failed(net_watch(m->server, &ch->watch, NULL))) {
            close(ch->watch.fd);
            ch->watch.fd = -1;
            atomic_fetch_add(&m->missing, 1);
        }
    }
    pthread_mutex_unlock(&m->mu);
}

/* The connection with the fewest calls under way takes all of this look at the events. */
static struct channel *choose(struct calls *m) {
    struct channel *best = NULL;
    for (int i = 0; i < m->conf.channels; i++) {
        struct channel *ch = &m->channels[i];
        if (ch->watch.fd >= 0 && (best == NULL || ch->under_way < best->under_way)) {
            best = ch;
        }
    }
    return best;
}

bool calls_take(struct calls *m, struct net_conn *c, const struct http *h, struct slice body,
                bool close) {
    if (atomic_load(&m->have_fresh)) {
        adopt_fresh(m);
    }
    if (atomic_load(&m->missing) > 0 && !atomic_load(&m->connecting)) {
        return false; /* a worker will connect */
    }
    if (m->current == NULL || m->current->watch.fd < 0) {
        m->current = choose(m);
    }
    struct channel *ch = m->current;
    uint32_t at = m->first_free;
    if (ch == NULL || at == SLOTS) {
        return false;
    }
    struct slot *s = &m->slots[at];
    if (sl_failed(http_call_put(&ch->out, (uint64_t)s->turn << 32 | at, h, body, close))) {
        return false;
    }
    m->first_free = s->next_free;
    s->conn = c;
    s->channel = ch;
    s->close = close;
    if (ch->under_way++ == 0) {
        ch->moved_ms = clock_mono_ms();
    }
    return true;
}

/* Sends what there is room for; the rest goes when answers have made some. */
static void send_out(struct channel *ch) {
    while (ch->sent < ch->out.len) {
        ssize_t n = send(ch->watch.fd, ch->out.ptr + ch->sent, ch->out.len - ch->sent,
                         MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return;
        }
        if (n < 0) {
            end_channel(ch, 502, "kms takes nothing more");
            return;
        }
        ch->sent += (size_t)n;
    }
    wipe(&ch->out);
    ch->sent = 0;
}

void calls_looked(struct calls *m) {
    m->current = NULL;
    int64_t now = clock_mono_ms();
    for (int i = 0; i < m->conf.channels; i++) {
        struct channel *ch = &m->channels[i];
        if (ch->watch.fd >= 0 && ch->out.len > 0) {
            send_out(ch);
        }
        if (ch->watch.fd >= 0 && ch->under_way > 0 && now - ch->moved_ms > LIMIT_HTTP_STALL_MS) {
            end_channel(ch, 504, "kms does not answer");
        }
    }
}
