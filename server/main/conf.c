/* The instance's public facts and the edge tokens, as children get them; see conf.h. */
#include "server/main/conf.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
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
        .created_s = number(root, "created"),
    };
    TRY(hosts(json_get(root, "hosts"), a, &c, err));
    ENSURE(c.data_dir && c.instance_id && c.account && c.region && c.cluster && c.listen_addr &&
               c.kms_socket && c.gateway_socket && c.pg_socket_dir && c.ca_file && c.master_user,
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
