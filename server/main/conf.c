/* The instance's public facts and the edge tokens, as children get them; see conf.h. */
#include "server/main/conf.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/codec/json.h"

enum { CONF_BYTES_MAX = 64 * 1024 };

static struct sl_rc read_file(const char *path, struct buf *out, struct sl_error *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ENSURE(fd >= 0, err, SL_E_IO, "%s can't be opened: %m", path);
    for (;;) {
        uint8_t *p = buf_reserve(out, 4096);
        ssize_t n = p == NULL ? -1 : read(fd, p, 4096);
        if (n <= 0) {
            close(fd);
            ENSURE(n == 0, err, SL_E_IO, "%s can't be read", path);
            return SL_OK;
        }
        out->len += (size_t)n;
    }
}

static const char *text(const struct json *root, const char *name, struct arena *a) {
    const struct json *v = json_get(root, name);
    return v != NULL && v->type == JSON_STRING ? arena_cstr(a, v->text) : NULL;
}

static int64_t number(const struct json *root, const char *name) {
    const struct json *v = json_get(root, name);
    return v != NULL && v->type == JSON_NUMBER && v->is_int ? v->integer : -1;
}

static bool flag(const struct json *root, const char *name) {
    const struct json *v = json_get(root, name);
    return v != NULL && v->type == JSON_BOOL && v->boolean;
}

static struct sl_rc hosts(const struct json *list, struct arena *a, struct conf *c,
                          struct sl_error *err) {
    size_t n = list != NULL && list->type == JSON_ARRAY ? list->count : 0;
    const char **names = arena_array(a, n + 1, sizeof *names);
    ENSURE(names != NULL, err, SL_E_NOMEM, "out of memory");
    size_t i = 0;
    for (const struct json *e = n ? list->child : NULL; e != NULL; e = e->next) {
        names[i++] = arena_cstr(a, e->text);
    }
    c->hosts = names;
    c->host_count = n;
    return SL_OK;
}

/* "edgeUids": a number for each edge from 1, as root only. */
static struct sl_rc edge_uids(const struct json *list, struct conf *c, struct sl_error *err) {
    if (list == NULL) {
        return SL_OK;
    }
    ENSURE(list->type == JSON_ARRAY && list->count == 4, err, SL_E_PARSE,
           "edgeUids is not a list of four");
    int edge = 1;
    for (const struct json *e = list->child; e != NULL; e = e->next) {
        ENSURE(e->type == JSON_NUMBER && e->is_int && e->integer >= 0 && e->integer <= UINT32_MAX,
               err, SL_E_PARSE, "edgeUids has something that is no uid");
        c->edge_uid[edge++] = (uint32_t)e->integer;
    }
    c->peers_known = true;
    return SL_OK;
}

bool conf_peer_ok(const struct conf *c, int socket_fd, uint8_t edge) {
    struct ucred peer;
    socklen_t len = sizeof peer;
    return !c->peers_known || (edge >= 1 && edge < 5 &&
                               getsockopt(socket_fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
                               peer.uid == c->edge_uid[edge]);
}

struct sl_rc conf_load(struct arena *a, struct sl_error *err, struct conf *ret) {
    const char *path = getenv("SEALIFT_CONF");
    ENSURE(path != NULL, err, SL_E_INTERNAL,
           "SEALIFT_CONF is not set: children are started by 'sealift up'");
    SL_CLEANUP(buf_fini) struct buf data = BUF_INIT(CONF_BYTES_MAX);
    TRY(read_file(path, &data, err));
    const struct json *root;
    TRY(json_parse(buf_slice(&data), a, err, &root));
    struct conf c = {
        .data_dir = text(root, "data", a),
        .instance_id = text(root, "instance", a),
        .account = text(root, "account", a),
        .region = text(root, "region", a),
        .cluster = text(root, "cluster", a),
        .domain = text(root, "domain", a),
        .listen_addr = text(root, "listen", a),
        .https_port = (uint16_t)number(root, "httpsPort"),
        .sql_port = (uint16_t)number(root, "sqlPort"),
        .plain_port = (uint16_t)number(root, "plainPort"),
        .ephemeral = flag(root, "ephemeral"),
        .audit_strict = flag(root, "auditStrict"),
        .kms_socket = text(root, "kmsSocket", a),
        .gateway_socket = text(root, "gatewaySocket", a),
        .pg_socket_dir = text(root, "pgSocketDir", a),
        .ca_file = text(root, "caFile", a),
        .master_user = text(root, "masterUser", a),
        .warehouse_key = text(root, "warehouseKey", a),
        .created_s = number(root, "created"),
    };
    TRY(hosts(json_get(root, "hosts"), a, &c, err));
    TRY(edge_uids(json_get(root, "edgeUids"), &c, err));
    ENSURE(c.data_dir && c.instance_id && c.account && c.region && c.cluster && c.domain &&
               c.listen_addr && c.kms_socket && c.gateway_socket && c.pg_socket_dir && c.ca_file &&
               c.master_user,
           err, SL_E_PARSE, "%s lacks a member", path);
    *ret = c;
    return SL_OK;
}

static struct sl_rc read_all(int fd, void *out, size_t n, struct sl_error *err) {
    for (size_t at = 0; at < n;) {
        ssize_t k = read(fd, (uint8_t *)out + at, n - at);
        ENSURE(k > 0, err, SL_E_IO, "the edge tokens can't be read");
        at += (size_t)k;
    }
    return SL_OK;
}

struct sl_rc conf_tokens_read(int take_fd, struct conf_tokens *ret, struct sl_error *err) {
    uint8_t mask[4];
    memset(ret, 0, sizeof *ret);
    struct sl_rc rc = lseek(take_fd, 0, SEEK_SET) == 0
                          ? read_all(take_fd, mask, sizeof mask, err)
                          : sl_fail(err, SL_E_IO, "no tokens were inherited");
    for (int edge = 1; edge < 5 && sl_is_ok(rc); edge++) {
        if (mask[3] & (1u << edge)) {
            rc = read_all(take_fd, ret->token[edge], SEAM_TOKEN_LEN, err);
            ret->have[edge] = sl_is_ok(rc);
        }
    }
    close(take_fd);
    return rc;
}

void conf_ready(int take_fd) {
    if (write(take_fd, "R", 1) != 1) {
        /* the supervisor is gone; the parent-death signal follows */
    }
    close(take_fd);
}
