/* One request passed on, unopened, to an upstream that speaks HTTP/1.1, and its answer back. Two
 * directions, each with one buffer: bytes are read from a side only when the buffer towards the
 * other is empty, so neither a slow client nor a slow upstream makes memory grow, and an answer
 * that comes before the body was read is not missed. */
#include "server/http/http_in.h"

#include "lib/base/clock.h"
#include "lib/base/limits.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>

enum { PIPE_BYTES = 64 * 1024, FRAME_ROOM = 16 }; /* room for a chunk's size line and end */

/* One block: towards upstream; the answer's head; towards the client, with room for a head in front
 * of a buffer of body. */
enum {
    TO_UP_BYTES = FRAME_ROOM + PIPE_BYTES + FRAME_ROOM,
    TO_CLIENT_BYTES = 3 * PIPE_BYTES,
    BLOCK_BYTES = TO_UP_BYTES + TO_CLIENT_BYTES + LIMIT_HTTP_HEAD_BYTES,
};

enum answer_phase { ANSWER_HEAD, ANSWER_LENGTH, ANSWER_CHUNKED, ANSWER_EOF, ANSWER_DONE };

struct pipe_buf {
    uint8_t *data;
    size_t pos, len;
    size_t most; /* bytes ever used */
};

struct forward {
    struct http *h;
    int up;
    struct pipe_buf to_up, to_client;
    bool head_sent;     /* the request's head is wholly in to_up or beyond */
    size_t head_pos;    /* of head_raw */
    bool body_sent;     /* the end of the body, too */
    bool up_write_dead; /* upstream takes no more; its answer may still come */
    bool up_eof;
    short client_read, client_write; /* what poll has to see before the next try */

    enum answer_phase answer;
    uint8_t *head; /* of the answer, as it comes */
    size_t head_len, head_scanned, head_most;
    struct reply_head reply;
    uint64_t left;
    struct chunks chunks;
    bool up_ready; /* poll has seen upstream readable */
    bool excess;   /* bytes behind the answer */
    bool started;  /* bytes of the answer are out, not only of interim ones */
};

static struct sl_rc client_lost(struct forward *f) {
    f->h->state->phase = OUT_CUT;
    return sl_fail(&f->h->err, SL_E_CLOSED, "The client went away.");
}

static void use(size_t *most, size_t n) {
    *most = n > *most ? n : *most;
}

static bool empty(const struct pipe_buf *b) {
    return b->pos == b->len;
}

/* Room behind what the buffer towards upstream holds, framing left aside. */
static size_t up_room(const struct pipe_buf *b) {
    return b->len < PIPE_BYTES ? PIPE_BYTES - b->len : 0;
}

/* Fills the empty buffer towards upstream: head, then body; a short body of known length goes along
 * with the head. True when something was moved. */
static struct sl_rc take_request(struct forward *f, bool *moved) {
    struct http *h = f->h;
    struct http_state *st = h->state;
    struct pipe_buf *b = &f->to_up;
    if (!f->head_sent) {
        size_t n = h->head_raw.len - f->head_pos;
        n = n < PIPE_BYTES ? n : PIPE_BYTES;
        memcpy(b->data, h->head_raw.ptr + f->head_pos, n);
        f->head_pos += n;
        f->head_sent = f->head_pos == h->head_raw.len;
        f->body_sent = f->head_sent && st->body == BODY_DONE;
        b->pos = 0;
        b->len = n;
        *moved = true;
        if (!f->head_sent || st->body != BODY_LENGTH || st->expect || st->body_left > up_room(b)) {
            return SL_OK;
        }
        TRY(http_body_try(h, b->data + n, up_room(b), &n, &f->client_read));
        b->len += n;
        f->body_sent = st->body == BODY_DONE;
        return SL_OK;
    }
    size_t n;
    struct sl_rc rc = http_body_try(h, b->data + FRAME_ROOM, PIPE_BYTES, &n, &f->client_read);
    if (sl_failed(rc)) {
        return rc;
    }
    if (f->client_read != 0) {
        return SL_OK;
    }
    *moved = true;
    f->up_ready = true; /* an answer may come before the body's end */
    b->pos = FRAME_ROOM;
    b->len = FRAME_ROOM + n;
    if (h->chunked && n > 0) {
        char line[FRAME_ROOM + 1];
        int k = snprintf(line, sizeof line, "%zx\r\n", n);
        b->pos -= (size_t)k;
        memcpy(b->data + b->pos, line, (size_t)k);
        memcpy(b->data + b->len, "\r\n", 2);
        b->len += 2;
    }
    if (st->body == BODY_DONE) {
        if (h->chunked) {
            memcpy(b->data + b->len, "0\r\n\r\n", 5);
            b->len += 5;
        }
        f->body_sent = true;
    }
    return SL_OK;
}

static void send_request(struct forward *f, bool *moved) {
    struct pipe_buf *b = &f->to_up;
    ssize_t n = send(f->up, b->data + b->pos, b->len - b->pos, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) {
        b->pos += (size_t)n;
        *moved = true;
    } else if (n < 0 && errno != EAGAIN && errno != EINTR) {
        f->up_write_dead = true;
        *moved = true;
    }
}

/* Decides how the answer's body ends, once its head is known. */
static void answer_begins(struct forward *f) {
    struct http_state *st = f->h->state;
    struct reply_head *r = &f->reply;
    st->status = r->status;
    st->phase = OUT_BODY;
    bool none = st->is_head || r->status == 204 || r->status == 304;
    if (none || (r->has_length && r->length == 0)) {
        f->answer = ANSWER_DONE;
    } else if (r->chunked) {
        f->answer = ANSWER_CHUNKED;
    } else if (r->has_length) {
        f->answer = ANSWER_LENGTH;
        f->left = r->length;
    } else {
        f->answer = ANSWER_EOF;
    }
}

/* The answer's head, possibly after interim ones. `fresh` bytes came into f->head. */
static struct sl_rc answer_head(struct forward *f, size_t fresh) {
    struct http_state *st = f->h->state;
    f->head_len += fresh;
    for (;;) {
        size_t len;
        int found = head_scan(slice_of(f->head, f->head_len), &f->head_scanned, &len);
        if (found == HEAD_MORE) {
            return SL_OK;
        }
        ENSURE(found == HEAD_OK && reply_head_parse(slice_of(f->head, len), &f->reply), &f->h->err,
               SL_E_PARSE, "Upstream's answer is malformed.");
        bool interim = f->reply.status < 200;
        size_t pass = !interim || (f->reply.status == 100 && st->expect) ? len : 0;
        if (f->reply.status == 100) {
            st->expect = false;
        }
        struct pipe_buf *b = &f->to_client;
        memcpy(b->data + b->len, f->head, pass); /* twice the room: an interim one may wait there */
        b->len += pass;
        f->head_len -= len;
        f->head_scanned = 0;
        memmove(f->head, f->head + len, f->head_len);
        if (interim) {
            continue;
        }
        answer_begins(f);
        return SL_OK;
    }
}

/* Finds the answer's end within n bytes that lie at the end of to_client. */
static struct sl_rc answer_body(struct forward *f, uint8_t *p, size_t n) {
    size_t used = n, body;
    if (f->answer == ANSWER_LENGTH) {
        used = f->left < n ? (size_t)f->left : n;
        f->left -= used;
        f->answer = f->left == 0 ? ANSWER_DONE : ANSWER_LENGTH;
    } else if (f->answer == ANSWER_CHUNKED) {
        ENSURE(chunks_feed(&f->chunks, p, n, false, &used, &body), &f->h->err, SL_E_PARSE,
               "Upstream's answer is malformed.");
        f->answer = f->chunks.done ? ANSWER_DONE : ANSWER_CHUNKED;
    } else if (f->answer == ANSWER_DONE) {
        used = 0;
    }
    f->excess = f->excess || used < n;
    f->to_client.len += used;
    return SL_OK;
}

/* Reads from upstream into the empty buffer towards the client. */
static struct sl_rc take_answer(struct forward *f, bool *moved) {
    bool head = f->answer == ANSWER_HEAD;
    uint8_t *into = head ? f->head + f->head_len : f->to_client.data;
    size_t room = head ? LIMIT_HTTP_HEAD_BYTES - f->head_len : PIPE_BYTES;
    f->up_ready = false;
    ssize_t n = recv(f->up, into, room, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return SL_OK;
    }
    *moved = true;
    if (head && n > 0) {
        use(&f->head_most, f->head_len + (size_t)n);
        use(&f->to_client.most, f->head_len + (size_t)n);
    } else if (n > 0) {
        use(&f->to_client.most, (size_t)n);
    }
    if (n <= 0) {
        f->up_eof = true;
        ENSURE(n == 0 && f->answer == ANSWER_EOF, &f->h->err, SL_E_CLOSED,
               "Upstream ended before its answer did.");
        f->answer = ANSWER_DONE;
        return SL_OK;
    }
    f->to_client.pos = f->to_client.len = 0;
    if (!head) {
        return answer_body(f, f->to_client.data, (size_t)n);
    }
    TRY(answer_head(f, (size_t)n));
    if (f->answer != ANSWER_HEAD && f->head_len > 0) { /* body bytes came with the head */
        uint8_t *p = f->to_client.data + f->to_client.len;
        memcpy(p, f->head, f->head_len);
        return answer_body(f, p, f->head_len);
    }
    return SL_OK;
}

static struct sl_rc send_answer(struct forward *f, bool *moved) {
    struct http_state *st = f->h->state;
    struct pipe_buf *b = &f->to_client;
    size_t n;
    if (sl_failed(net_try_write(st->conn, slice_of(b->data + b->pos, b->len - b->pos), &n,
                                &f->client_write))) {
        return client_lost(f);
    }
    b->pos += n;
    st->out_bytes += n;
    *moved = *moved || n > 0;
    f->started = f->started || (n > 0 && f->answer != ANSWER_HEAD);
    return SL_OK;
}

/* Waits for whatever could move next. */
static struct sl_rc wait_any(struct forward *f) {
    struct http_state *st = f->h->state;
    short client = 0, up = 0;
    bool send_body = f->head_sent && !f->body_sent && !f->up_write_dead;
    if (!f->up_write_dead && !empty(&f->to_up)) {
        up |= POLLOUT;
    } else if (send_body) {
        client |= f->client_read;
    }
    if (!empty(&f->to_client)) {
        client |= f->client_write;
    } else if (!f->up_eof) {
        up |= POLLIN;
    }
    struct pollfd p[2] = {{.fd = client != 0 ? net_fd(st->conn) : -1, .events = client},
                          {.fd = up != 0 ? f->up : -1, .events = up}};
    int n;
    int64_t from = clock_mono_ms();
    do {
        n = poll(p, 2, st->stall_ms);
    } while (n < 0 && errno == EINTR);
    f->up_ready = (p[1].revents & ~POLLOUT) != 0;
    int64_t waited = clock_mono_ms() - from;
    if ((p[0].events & f->client_read) != 0 && !st->expect) {
        st->body_wait_ms += waited;
    }
    if (!empty(&f->to_client)) {
        st->out_wait_ms += waited;
    }
    ENSURE(n != 0 && http_rate_ok(st, st->body_wait_ms, st->body_bytes) &&
               http_rate_ok(st, st->out_wait_ms, st->out_bytes),
           &f->h->err, SL_E_TIMEOUT, "Too little moved between client and upstream.");
    ENSURE(n > 0, &f->h->err, SL_E_IO, "poll failed.");
    return SL_OK;
}

static struct sl_rc pump(struct forward *f) {
    for (;;) {
        bool moved = false;
        if (empty(&f->to_up) && !f->body_sent && !f->up_write_dead) {
            struct sl_rc rc = take_request(f, &moved);
            use(&f->to_up.most, f->to_up.len);
            TRY(rc);
        }
        if (!empty(&f->to_up) && !f->up_write_dead) {
            send_request(f, &moved);
        }
        if (f->up_ready && empty(&f->to_client) && f->answer != ANSWER_DONE) {
            TRY(take_answer(f, &moved));
        }
        if (!empty(&f->to_client)) {
            TRY(send_answer(f, &moved));
        }
        if (f->answer == ANSWER_DONE && empty(&f->to_client)) {
            return SL_OK;
        }
        if (!moved) {
            TRY(wait_any(f));
        }
    }
}

/* Most threads forward again: each keeps a block, wiped where it was used. */
static pthread_key_t block_of_thread;
static pthread_once_t block_once = PTHREAD_ONCE_INIT;

static void block_key(void) {
    sl_assert(pthread_key_create(&block_of_thread, free) == 0);
}

static uint8_t *block_take(void) {
    sl_assert(pthread_once(&block_once, block_key) == 0);
    uint8_t *block = pthread_getspecific(block_of_thread);
    if (block == NULL && (block = malloc(BLOCK_BYTES)) != NULL &&
        pthread_setspecific(block_of_thread, block) != 0) {
        free(block);
        block = NULL;
    }
    return block;
}

struct sl_rc http_forward(struct http *h, int upstream_fd, bool *ret_reusable) {
    struct http_state *st = http_state_of(h);
    sl_assert(st->phase == OUT_NONE);
    *ret_reusable = false;
    struct forward f = {.h = h, .up = upstream_fd};
    uint8_t *block = block_take();
    if (block == NULL) {
        http_refuse(h, 503);
        return sl_fail(&h->err, SL_E_NOMEM, "Out of memory.");
    }
    f.to_up.data = block;
    f.to_client.data = block + TO_UP_BYTES;
    f.head = f.to_client.data + TO_CLIENT_BYTES;
    struct sl_rc rc = pump(&f);
    if (sl_is_ok(rc)) {
        bool whole = f.body_sent && empty(&f.to_up) && !f.up_write_dead;
        st->phase = OUT_DONE;
        st->keep = !st->client_close && !f.reply.close && !f.up_eof &&
                   (st->body == BODY_DONE || (st->body == BODY_LENGTH && !st->expect &&
                                              st->body_left <= LIMIT_HTTP_DRAIN_BYTES));
        *ret_reusable = whole && !f.reply.close && !f.up_eof && !f.excess;
    } else if (st->phase != OUT_CUT && !f.started &&
               (f.to_client.pos == 0 || empty(&f.to_client))) {
        bool client_slow = !f.body_sent && empty(&f.to_up) && !st->expect;
        st->phase = OUT_NONE;
        http_refuse(h, st->body == BODY_FAILED   ? 400
                       : rc.code != SL_E_TIMEOUT ? 502
                       : client_slow             ? 408
                                                 : 504);
    } else {
        st->phase = OUT_CUT;
    }
    explicit_bzero(f.to_up.data, f.to_up.most);
    explicit_bzero(f.to_client.data, f.to_client.most);
    explicit_bzero(f.head, f.head_most);
    return rc;
}
