/* The canonical request. Path and query are rebuilt from their decoded bytes, so that a client's
 * choice of escapes does not matter. */
#include "lib/sigv4/canonical_in.h"

#include "lib/base/limits.h"
#include "lib/codec/text.h"

/* Escaping grows a head by at most three, twice for a path. */
enum { CANONICAL_MAX_BYTES = 10 * LIMIT_HTTP_HEAD_BYTES };

const struct sigv4_header *sigv4_find_header(const struct sigv4_request *req, const char *name) {
    for (size_t i = 0; i < req->header_count; i++) {
        if (slice_ieq(req->headers[i].name, slice_cstr(name))) {
            return &req->headers[i];
        }
    }
    return NULL;
}

bool sigv4_next_signed(struct slice *list, struct slice *ret) {
    if (list->len == 0) {
        return false;
    }
    size_t end = slice_find(*list, ';');
    *ret = slice_sub(*list, 0, end);
    *list = slice_sub(*list, end + 1, list->len);
    return true;
}

static void put_lower(struct buf *out, struct slice s) {
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.ptr[i];
        buf_putc(out, c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c);
    }
}

/* Drops empty and dot segments from a path still encoded, as every service but S3 does. A path that
 * ends in a dot segment loses its last slash: AWS's clients agree on that against RFC 3986. */
static struct sl_rc put_normalised(struct buf *out, struct slice path, struct arena *a,
                                   struct sl_error *err) {
    struct slice *segments = arena_array(a, path.len + 1, sizeof *segments);
    ENSURE(segments != NULL, err, SL_E_LIMIT, "the path is too long");
    size_t n = 0;
    struct slice rest = path;
    while (rest.len > 0) {
        size_t end = slice_find(rest, '/');
        struct slice one = slice_sub(rest, 0, end);
        rest = slice_sub(rest, end + 1, rest.len);
        if (slice_eq_cstr(one, "..")) {
            n -= n > 0;
        } else if (one.len > 0 && !slice_eq_cstr(one, ".")) {
            segments[n++] = one;
        }
    }
    for (size_t i = 0; i < n; i++) {
        buf_putc(out, '/');
        uri_encode(out, segments[i], false);
    }
    if (n == 0 || slice_ends(path, SLICE_LIT("/"))) {
        buf_putc(out, '/');
    }
    return SL_OK;
}

static struct sl_rc put_path(struct buf *out, const struct sigv4_request *req, struct slice service,
                             struct arena *a, struct sl_error *err) {
    if (!slice_eq_cstr(service, "s3")) {
        return put_normalised(out, req->path, a, err);
    }
    struct slice decoded;
    TRY(uri_decode(req->path, false, a, err, &decoded));
    if (decoded.len == 0) {
        buf_putc(out, '/');
    }
    uri_encode(out, decoded, true);
    return SL_OK;
}

struct encoded_param {
    struct slice name, value;
};

static int by_name_and_value(const void *a, const void *b) {
    const struct encoded_param *x = a, *y = b;
    int c = slice_cmp(x->name, y->name);
    return c != 0 ? c : slice_cmp(x->value, y->value);
}

static struct sl_rc encoded(struct slice raw, struct arena *a, struct sl_error *err,
                            struct slice *ret) {
    SL_CLEANUP(buf_fini) struct buf b = BUF_INIT(CANONICAL_MAX_BYTES);
    uri_encode(&b, raw, false);
    TRY(buf_check(&b, err));
    *ret = arena_copy(a, buf_slice(&b));
    ENSURE(ret->ptr != NULL, err, SL_E_LIMIT, "the query is too long");
    return SL_OK;
}

static struct sl_rc put_query(struct buf *out, struct slice query, bool presigned, struct arena *a,
                              struct sl_error *err) {
    struct params params;
    TRY(params_parse(query, false, a, err, &params));
    struct encoded_param *items = arena_array(a, params.count, sizeof *items);
    ENSURE(items != NULL, err, SL_E_LIMIT, "the query is too long");
    size_t n = 0;
    for (size_t i = 0; i < params.count; i++) {
        const struct param *p = &params.items[i];
        if (presigned && slice_eq_cstr(p->name, "X-Amz-Signature")) {
            continue;
        }
        TRY(encoded(p->name, a, err, &items[n].name));
        TRY(encoded(p->value, a, err, &items[n].value));
        n++;
    }
    qsort(items, n, sizeof *items, by_name_and_value);
    for (size_t i = 0; i < n; i++) {
        if (i > 0) {
            buf_putc(out, '&');
        }
        buf_put(out, items[i].name);
        buf_putc(out, '=');
        buf_put(out, items[i].value);
    }
    return SL_OK;
}

static bool blank(uint8_t c) {
    return c == ' ' || c == '\t';
}

static void put_collapsed(struct buf *out, struct slice value) {
    value = slice_trim(value);
    for (size_t i = 0; i < value.len; i++) {
        if (!blank(value.ptr[i])) {
            buf_putc(out, value.ptr[i]);
        } else if (!blank(value.ptr[i - 1])) {
            buf_putc(out, ' ');
        }
    }
}

static void put_headers(struct buf *out, const struct sigv4_request *req, struct slice list) {
    struct slice name;
    while (sigv4_next_signed(&list, &name)) {
        put_lower(out, name);
        uint8_t before = ':';
        for (size_t i = 0; i < req->header_count; i++) {
            if (slice_ieq(req->headers[i].name, name)) {
                buf_putc(out, before);
                put_collapsed(out, req->headers[i].value);
                before = ',';
            }
        }
        if (before == ':') {
            buf_putc(out, ':');
        }
        buf_putc(out, '\n');
    }
}

struct sl_rc sigv4_canonical(const struct sigv4_request *req, const struct sigv4_shape *shape,
                             struct arena *a, struct sl_error *err, struct slice *ret) {
    SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(CANONICAL_MAX_BYTES);
    buf_put(&out, req->method);
    buf_putc(&out, '\n');
    TRY(put_path(&out, req, shape->service, a, err));
    buf_putc(&out, '\n');
    TRY(put_query(&out, req->query, shape->presigned, a, err));
    buf_putc(&out, '\n');
    put_headers(&out, req, shape->signed_headers);
    buf_putc(&out, '\n');
    put_lower(&out, shape->signed_headers);
    buf_putc(&out, '\n');
    buf_put(&out, shape->payload_hash);
    TRY(buf_check(&out, err));
    struct slice text = arena_copy(a, buf_slice(&out));
    ENSURE(text.ptr != NULL, err, SL_E_LIMIT, "the request's head is too large");
    *ret = text;
    return SL_OK;
}
