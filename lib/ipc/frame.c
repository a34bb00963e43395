/* Frames over stream sockets; see frame.h. Sockets may be blocking or not: every wait is a poll
 * with the deadline. */
#include "lib/ipc/frame.h"

#include "lib/base/clock.h"
#include "lib/base/limits.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEAD_BYTES = 5, NO_DEADLINE = 0, ALONE_BYTES = 4096 };

/* Waits for `events`; a deadline of 0 waits for ever. */
static struct sl_rc wait_for(int fd, short events, int64_t deadline_mono_ms) {
    for (;;) {
        int timeout_ms = -1;
        if (deadline_mono_ms != NO_DEADLINE) {
            int64_t left = deadline_mono_ms - clock_mono_ms();
            timeout_ms = left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
        }
        struct pollfd p = {.fd = fd, .events = events};
        int n = poll(&p, 1, timeout_ms);
        if (n > 0) {
            return SL_OK; /* an error or hang-up shows in the call that follows */
        }
        if (n == 0) {
            return sl_rc_of(SL_E_TIMEOUT);
        }
        if (errno != EINTR) {
            return sl_rc_of(SL_E_IO);
        }
    }
}

static struct sl_rc failure(int number) {
    return sl_rc_of(number == EPIPE || number == ECONNRESET ? SL_E_CLOSED : SL_E_IO);
}

/* Sends the parts in order; the descriptor, if not -1, goes with the first byte. */
static struct sl_rc send_all(int fd, struct iovec *parts, size_t count, int passed_fd,
                             int64_t deadline_mono_ms) {
    while (count > 0) {
        if (parts[0].iov_len == 0) {
            parts++;
            count--;
            continue;
        }
        struct msghdr m = {.msg_iov = parts, .msg_iovlen = count};
        union {
            struct cmsghdr align;
            char space[CMSG_SPACE(sizeof(int))];
        } control = {0};
        if (passed_fd >= 0) {
            m.msg_control = control.space;
            m.msg_controllen = sizeof control.space;
            struct cmsghdr *c = CMSG_FIRSTHDR(&m);
            c->cmsg_level = SOL_SOCKET;
            c->cmsg_type = SCM_RIGHTS;
            c->cmsg_len = CMSG_LEN(sizeof passed_fd);
            memcpy(CMSG_DATA(c), &passed_fd, sizeof passed_fd);
        }
        ssize_t n = sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0) {
            if (errno == EAGAIN || errno == EWOULDBLOCK) {
                TRY(wait_for(fd, POLLOUT, deadline_mono_ms));
            } else if (errno != EINTR) {
                return failure(errno);
            }
            continue;
        }
        passed_fd = -1;
        for (size_t left = (size_t)n; left > 0;) {
            size_t now = left < parts[0].iov_len ? left : parts[0].iov_len;
            parts[0].iov_base = (uint8_t *)parts[0].iov_base + now;
            parts[0].iov_len -= now;
            left -= now;
            if (parts[0].iov_len == 0 && left > 0) {
                parts++;
                count--;
            }
        }
    }
    return SL_OK;
}

static struct sl_rc send_frame(int fd, uint8_t type, struct slice payload, int passed_fd,
                               int64_t deadline_mono_ms) {
    ENSURE(payload.len < LIMIT_FRAME_BYTES, NULL, SL_E_LIMIT, "frame too long");
    uint32_t len = (uint32_t)payload.len + 1;
    uint8_t head[HEAD_BYTES] = {(uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8),
                                (uint8_t)len, type};
    union { /* iovec wants a pointer to writable memory; sendmsg does not write */
        const uint8_t *in;
        void *out;
    } body = {.in = payload.ptr};
    struct iovec parts[] = {{head, sizeof head}, {body.out, payload.len}};
    return send_all(fd, parts, 2, passed_fd, deadline_mono_ms);
}

struct sl_rc frame_send(int fd, uint8_t type, struct slice payload, int64_t deadline_mono_ms) {
    return send_frame(fd, type, payload, -1, deadline_mono_ms);
}

struct sl_rc frame_send_fd(int fd, uint8_t type, struct slice payload, int passed_fd) {
    return send_frame(fd, type, payload, passed_fd, clock_mono_ms() + LIMIT_RPC_MS);
}

/* Takes descriptors out of a received message; more than the one asked for are closed. */
static void take_descriptors(struct msghdr *m, int *passed_fd) {
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int got;
            memcpy(&got, CMSG_DATA(c) + i * sizeof got, sizeof got);
            if (passed_fd != NULL && *passed_fd < 0) {
                *passed_fd = got;
            } else {
                close(got);
            }
        }
    }
}

/* One recvmsg. */
static ssize_t recv_some(int fd, struct iovec *parts, size_t count, int flags, int *passed_fd) {
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(4 * sizeof(int))];
    } control;
    struct msghdr m = {.msg_iov = parts,
                       .msg_iovlen = count,
                       .msg_control = control.space,
                       .msg_controllen = sizeof control.space};
    ssize_t got = recvmsg(fd, &m, MSG_CMSG_CLOEXEC | flags);
    if (got >= 0) {
        take_descriptors(&m, passed_fd);
    }
    return got;
}

/* Reads exactly n bytes. *started tells whether any byte of the frame has come. */
static struct sl_rc recv_all(int fd, uint8_t *p, size_t n, bool *started, int *passed_fd,
                             int64_t deadline_mono_ms) {
    while (n > 0) {
        struct iovec part = {p, n};
        ssize_t got = recv_some(fd, &part, 1, MSG_DONTWAIT, passed_fd);
        if (got < 0) {
            if (errno == EAGAIN || errno == EWOULDBLOCK) {
                TRY(wait_for(fd, POLLIN, deadline_mono_ms));
            } else if (errno != EINTR) {
                return failure(errno);
            }
            continue;
        }
        if (got == 0) {
            return sl_rc_of(*started ? SL_E_PARSE : SL_E_CLOSED);
        }
        *started = true;
        p += got;
        n -= (size_t)got;
    }
    return SL_OK;
}

static struct sl_rc payload_length(const uint8_t head[HEAD_BYTES], size_t *ret) {
    uint32_t len = (uint32_t)head[0] << 24 | (uint32_t)head[1] << 16 | (uint32_t)head[2] << 8 |
                   (uint32_t)head[3];
    ENSURE(len >= 1, NULL, SL_E_PARSE, "empty frame");
    ENSURE(len <= LIMIT_FRAME_BYTES, NULL, SL_E_LIMIT, "frame too long");
    *ret = len - 1;
    return SL_OK;
}

static struct sl_rc recv_frame(int fd, uint8_t *ret_type, struct buf *ret_payload, int *passed_fd,
                               int64_t deadline_mono_ms) {
    buf_reset(ret_payload);
    uint8_t head[HEAD_BYTES];
    bool started = false;
    TRY(recv_all(fd, head, sizeof head, &started, passed_fd, deadline_mono_ms));
    size_t payload_len;
    TRY(payload_length(head, &payload_len));
    if (payload_len > 0) {
        uint8_t *p = buf_reserve(ret_payload, payload_len);
        ENSURE(p != NULL, NULL, SL_E_LIMIT, "frame longer than its buffer");
        TRY(recv_all(fd, p, payload_len, &started, passed_fd, deadline_mono_ms));
        ret_payload->len = payload_len;
    }
    *ret_type = head[4];
    return SL_OK;
}

struct sl_rc frame_recv(int fd, uint8_t *ret_type, struct buf *ret_payload,
                        int64_t deadline_mono_ms) {
    return recv_frame(fd, ret_type, ret_payload, NULL, deadline_mono_ms);
}

struct sl_rc frame_recv_fd(int fd, uint8_t *ret_type, struct buf *ret_payload, int *ret_passed_fd,
                           int64_t deadline_mono_ms) {
    int passed_fd = -1;
    uint8_t type = 0;
    struct sl_rc rc = recv_frame(fd, &type, ret_payload, &passed_fd, deadline_mono_ms);
    if (sl_failed(rc)) {
        if (passed_fd >= 0) {
            close(passed_fd);
        }
        return rc;
    }
    *ret_type = type;
    *ret_passed_fd = passed_fd;
    return SL_OK;
}

struct sl_rc frame_set_timeout(int fd, int64_t ms) {
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    return sl_rc_of(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv) == 0 ? SL_CODE_OK
                                                                                 : SL_E_IO);
}

/* What came with the first call, head included; the rest of a longer frame follows. */
static struct sl_rc recv_rest(int fd, const uint8_t head[HEAD_BYTES], size_t got,
                              struct buf *ret_payload, int *passed_fd) {
    bool started = true;
    size_t len;
    TRY(payload_length(head, &len));
    got -= HEAD_BYTES;
    ENSURE(got <= len, NULL, SL_E_PARSE, "more than one frame");
    ret_payload->len = got;
    if (got == len) {
        return SL_OK;
    }
    uint8_t *p = buf_reserve(ret_payload, len - got);
    ENSURE(p != NULL, NULL, SL_E_LIMIT, "frame longer than its buffer");
    TRY(recv_all(fd, p, len - got, &started, passed_fd, clock_mono_ms() + LIMIT_RPC_MS));
    ret_payload->len = len;
    return SL_OK;
}

struct sl_rc frame_recv_alone(int fd, uint8_t *ret_type, struct buf *ret_payload,
                              int *ret_passed_fd) {
    buf_reset(ret_payload);
    int passed_fd = -1, *passed = ret_passed_fd != NULL ? &passed_fd : NULL;
    uint8_t head[HEAD_BYTES];
    uint8_t *p = buf_reserve(ret_payload, ALONE_BYTES);
    ENSURE(p != NULL, NULL, SL_E_LIMIT, "no room for a frame");
    struct iovec parts[] = {{head, sizeof head}, {p, ALONE_BYTES}};
    ssize_t got;
    do {
        got = recv_some(fd, parts, 2, 0, passed);
    } while (got < 0 && errno == EINTR);
    struct sl_rc rc = SL_OK;
    if (got < 0) {
        rc = errno == EAGAIN || errno == EWOULDBLOCK ? sl_rc_of(SL_E_TIMEOUT) : failure(errno);
    } else if (got == 0) {
        rc = sl_rc_of(SL_E_CLOSED);
    } else if (got < HEAD_BYTES) {
        bool started = true;
        size_t more = (size_t)(HEAD_BYTES - got);
        rc = recv_all(fd, head + got, more, &started, passed, clock_mono_ms() + LIMIT_RPC_MS);
        got = HEAD_BYTES;
    }
    if (sl_is_ok(rc)) {
        rc = recv_rest(fd, head, (size_t)got, ret_payload, passed);
    }
    if (sl_failed(rc)) {
        if (passed_fd >= 0) {
            close(passed_fd);
        }
        return rc;
    }
    *ret_type = head[4];
    if (ret_passed_fd != NULL) {
        *ret_passed_fd = passed_fd;
    }
    return SL_OK;
}
