/* PostgreSQL connections; see backend.h. */
#include "gateway/backend/backend.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/codec/text.h"

enum { STARTUP_MAX_BYTES = 10000 }; /* PostgreSQL's own limit */

struct sl_rc backend_connect(const struct backend_target *t, int *ret_fd, struct sl_error *err) {
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    size_t n = strlen(t->socket_path);
    ENSURE(n < sizeof addr.sun_path, err, SL_E_INTERNAL, "path of PostgreSQL's socket too long");
    memcpy(addr.sun_path, t->socket_path, n);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ENSURE(fd >= 0, err, SL_E_SQL_NOT_READY, "no socket for the warehouse: error %d", errno);
    /* On a Unix socket a full backlog is EAGAIN, which for a client is as good as "not now". */
    if (connect(fd, (const struct sockaddr *)&addr, sizeof addr) != 0) {
        close(fd);
        return sl_fail(err, SL_E_SQL_NOT_READY, "The warehouse is not accepting connections.");
    }
    *ret_fd = fd;
    return SL_OK;
}

static void put_param(struct buf *b, struct slice name, struct slice value) {
    buf_put(b, name);
    buf_u8(b, 0);
    buf_put(b, value);
    buf_u8(b, 0);
}

struct sl_rc backend_startup_put(const struct backend_target *t, struct slice user,
                                 struct slice database, const struct startup_param *params,
                                 size_t count, const struct secret *session_key, struct buf *out,
                                 struct sl_error *err) {
    SL_CLEANUP(buf_fini) struct buf b = BUF_INIT(STARTUP_MAX_BYTES - 4);
    b.wipe = true;
    buf_u32(&b, 3 << 16);
    put_param(&b, SLICE_LIT("user"), user);
    put_param(&b, SLICE_LIT("database"), database);
    for (size_t i = 0; i < count; i++) {
        put_param(&b, params[i].name, params[i].value);
    }
    buf_puts(&b, "sealift.token");
    buf_u8(&b, 0);
    hex_put(&b, slice_of(t->token, sizeof t->token));
    buf_u8(&b, 0);
    buf_puts(&b, "sealift.session_key");
    buf_u8(&b, 0);
    hex_put(&b, secret_view(session_key));
    buf_u8(&b, 0);
    buf_u8(&b, 0);
    ENSURE(!b.failed, err, SL_E_SQL_PROTOCOL, "invalid length of startup packet");
    buf_u32(out, (uint32_t)b.len + 4);
    buf_put(out, buf_slice(&b));
    return buf_check(out, err);
}

void backend_cancel(const struct backend_target *t, uint32_t pid, uint32_t key) {
    int fd;
    if (sl_failed(backend_connect(t, &fd, NULL))) {
        return;
    }
    SL_CLEANUP(buf_fini) struct buf b = BUF_INIT(16);
    buf_u32(&b, 16);
    buf_u32(&b, 80877102);
    buf_u32(&b, pid);
    buf_u32(&b, key);
    if (send(fd, b.ptr, b.len, MSG_NOSIGNAL) == (ssize_t)b.len) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        (void)poll(&p, 1, LIMIT_SQL_BACKEND_MS);
    }
    close(fd);
}
