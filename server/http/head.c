/* Head and chunk parsing; see head.h. A head is looked for first (every byte checked once, as it
 * comes), then parsed in one piece, so no parser state lives with an idle connection. */
#include "server/http/head.h"

#include "lib/base/limits.h"

#include <llhttp.h>

int head_scan(struct slice in, size_t *scanned, size_t *ret_len) {
    const uint8_t *p = in.ptr;
    size_t end = in.len < LIMIT_HTTP_HEAD_BYTES ? in.len : LIMIT_HTTP_HEAD_BYTES;
    for (size_t i = *scanned; i < end; i++) {
        uint8_t c = p[i], before = i > 0 ? p[i - 1] : 0;
        if ((before == '\r') != (c == '\n')) {
            return 400; /* a bare CR or LF */
        }
        if (c == '\n') {
            if (i == 1) {
                return 400; /* an empty line where the first one belongs */
            }
            if (i >= 3 && p[i - 2] == '\n') {
                *ret_len = i + 1;
                return HEAD_OK;
            }
        } else if ((c < 0x20 && c != '\t' && c != '\r') || c == 0x7f) {
            return 400;
        } else if (before == '\n' && (c == ' ' || c == '\t')) {
            return 400; /* a folded header */
        }
    }
    *scanned = end;
    return end == LIMIT_HTTP_HEAD_BYTES ? 431 : HEAD_MORE;
}

static bool is_tchar(uint8_t c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* ---- chunks ---- */

enum chunk_state {
    SIZE_FIRST,
    SIZE_MORE,
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    LINE_FIRST,
    LINE_NAME,
    LINE_VALUE,
    LINE_LF,
    LAST_LF
};

static int hex_digit(uint8_t c) {
    return c >= '0' && c <= '9'                     ? c - '0'
           : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                    : -1;
}

static bool is_text(uint8_t c) {
    return (c >= 0x20 && c != 0x7f) || c == '\t';
}

/* One byte of framing; false = malformed. */
static bool chunk_byte(struct chunks *c, uint8_t b) {
    int digit;
    switch ((enum chunk_state)c->state) {
    case SIZE_FIRST:
    case SIZE_MORE:
        digit = hex_digit(b);
        if (digit >= 0) {
            if (c->left >> 56 != 0) {
                return false;
            }
            c->left = c->left << 4 | (uint64_t)digit;
            c->state = SIZE_MORE;
            return true;
        }
        if (c->state == SIZE_FIRST || (b != ';' && b != '\r')) {
            return false;
        }
        c->state = b == ';' ? EXTENSION : SIZE_LF;
        return true;
    case EXTENSION:
        c->state = b == '\r' ? SIZE_LF : EXTENSION;
        return b == '\r' || is_text(b);
    case SIZE_LF:
        c->state = c->left > 0 ? DATA : LINE_FIRST;
        return b == '\n';
    case DATA_CR:
        c->state = DATA_LF;
        return b == '\r';
    case DATA_LF:
        c->state = SIZE_FIRST;
        return b == '\n';
    case LINE_FIRST:
        c->state = b == '\r' ? LAST_LF : LINE_NAME;
        return b == '\r' || is_tchar(b);
    case LINE_NAME:
        c->state = b == ':' ? LINE_VALUE : LINE_NAME;
        return b == ':' || is_tchar(b);
    case LINE_VALUE:
        c->state = b == '\r' ? LINE_LF : LINE_VALUE;
        return b == '\r' || is_text(b);
    case LINE_LF:
        c->state = LINE_FIRST;
        return b == '\n';
    case LAST_LF:
        c->done = true;
        return b == '\n';
    case DATA:
        break;
    }
    return false;
}

bool chunks_feed(struct chunks *c, uint8_t *p, size_t n, bool move, size_t *ret_used,
                 size_t *ret_body) {
    size_t i = 0, body = 0;
    while (i < n && !c->done) {
        if (c->state == DATA) {
            size_t run = c->left < n - i ? (size_t)c->left : n - i;
            if (move && body != i) {
                memmove(p + body, p + i, run);
            }
            body += run;
            i += run;
            c->left -= run;
            c->framing = 0;
            c->state = c->left == 0 ? DATA_CR : DATA;
        } else if (++c->framing > LIMIT_HTTP_FRAMING_BYTES || !chunk_byte(c, p[i++])) {
            return false;
        }
    }
    *ret_used = i;
    *ret_body = body;
    return true;
}

/* ---- llhttp ---- */

struct collect {
    struct http_header *headers; /* NULL: not wanted */
    size_t count, max;
    bool open; /* the last header's value has not ended */
    bool too_many;
};

/* Spans come in one piece, since a head is fed in one piece; should one not, it is refused. */
static int extend(struct slice *s, const char *at, size_t len) {
    if (s->ptr == NULL) {
        *s = slice_of(at, len);
        return 0;
    }
    if (s->ptr + s->len != (const uint8_t *)at) {
        return HPE_USER;
    }
    s->len += len;
    return 0;
}

static int on_field(llhttp_t *p, const char *at, size_t len) {
    struct collect *c = p->data;
    if (!c->open) {
        if (c->count == c->max) {
            c->too_many = true;
            return HPE_USER;
        }
        c->headers[c->count++] = (struct http_header){0};
        c->open = true;
    }
    return extend(&c->headers[c->count - 1].name, at, len);
}

static int on_value(llhttp_t *p, const char *at, size_t len) {
    struct collect *c = p->data;
    return c->count == 0 ? HPE_USER : extend(&c->headers[c->count - 1].value, at, len);
}

static int on_value_complete(llhttp_t *p) {
    ((struct collect *)p->data)->open = false;
    return 0;
}

static int on_pause(llhttp_t *p) {
    return HPE_PAUSED;
}

static const llhttp_settings_t head_settings = {
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_pause,
};

/* ---- requests ---- */

/* "METHOD SP target SP HTTP/x.y", exactly. */
static int request_line(struct slice line, struct head *ret) {
    size_t sp = slice_find(line, ' ');
    ret->method = slice_sub(line, 0, sp);
    struct slice rest = slice_sub(line, sp + 1, line.len);
    sp = slice_find(rest, ' ');
    struct slice target = slice_sub(rest, 0, sp), version = slice_sub(rest, sp + 1, rest.len);
    if (ret->method.len == 0 || target.len == 0 || version.len != 8 ||
        !slice_starts(version, SLICE_LIT("HTTP/")) || version.ptr[6] != '.' ||
        version.ptr[5] < '0' || version.ptr[5] > '9' || version.ptr[7] < '0' ||
        version.ptr[7] > '9') {
        return 400;
    }
    if (version.ptr[5] != '1' || version.ptr[7] > '1') {
        return 505;
    }
    ret->minor = version.ptr[7] - '0';
    if (target.ptr[0] != '/' &&
        !(slice_eq_cstr(target, "*") && slice_eq_cstr(ret->method, "OPTIONS"))) {
        return 400;
    }
    for (size_t i = 0; i < target.len; i++) {
        if (target.ptr[i] < 0x21 || target.ptr[i] > 0x7e || target.ptr[i] == '#') {
            return 400;
        }
    }
    size_t q = slice_find(target, '?');
    ret->path = slice_sub(target, 0, q);
    ret->query = slice_sub(target, q + 1, target.len);
    return HEAD_OK;
}

static bool host_ok(struct slice v) {
    for (size_t i = 0; i < v.len; i++) {
        if (v.ptr[i] < 0x21 || v.ptr[i] > 0x7e || strchr("/@?#\\,<>\"", v.ptr[i]) != NULL) {
            return false;
        }
    }
    return true;
}

/* A list of codings: chunked alone is served, others are well-formed but unknown, and chunked
 * anywhere but at the end is an attack. */
static int coding(struct slice v) {
    bool other = false, chunked = false;
    while (v.len > 0 || (!other && !chunked)) {
        size_t comma = slice_find(v, ',');
        struct slice one = slice_trim(slice_sub(v, 0, comma));
        v = slice_sub(v, comma + 1, v.len);
        if (chunked || one.len == 0) {
            return 400;
        }
        if (slice_ieq(one, SLICE_LIT("chunked"))) {
            chunked = true;
        } else {
            other = true;
        }
    }
    return other ? 501 : HEAD_OK;
}

/* What the headers mean for the framing, read by us and not by the parser alone. */
static int framing(struct head *h) {
    size_t hosts = 0, lengths = 0, codings = 0;
    bool expect = false;
    for (size_t i = 0; i < h->header_count; i++) {
        struct slice name = h->headers[i].name, value = h->headers[i].value;
        if (slice_eq_cstr(name, "host")) {
            if (++hosts > 1 || !host_ok(value)) {
                return 400;
            }
        } else if (slice_eq_cstr(name, "content-length")) {
            if (++lengths > 1 || value.len > 19 || !slice_u64(value, INT64_MAX, &h->length)) {
                return 400;
            }
            h->has_length = true;
        } else if (slice_eq_cstr(name, "transfer-encoding")) {
            if (++codings > 1 || h->minor == 0) {
                return 400;
            }
            int status = coding(value);
            if (status != HEAD_OK) {
                return status;
            }
            h->chunked = true;
        } else if (slice_eq_cstr(name, "upgrade")) {
            return 400;
        } else if (slice_eq_cstr(name, "expect") && h->minor == 1) {
            if (!slice_ieq(value, SLICE_LIT("100-continue"))) {
                return 417;
            }
            expect = true;
        }
    }
    if ((hosts == 0 && h->minor == 1) || (h->has_length && h->chunked)) {
        return 400;
    }
    if (h->length > LIMIT_HTTP_BODY_BYTES) {
        return 413;
    }
    /* A body of length 0 too: botocore mistakes the next answer when the 100 it asked for is left
     * out. */
    h->expect = expect && (h->chunked || h->has_length);
    return HEAD_OK;
}

static bool own_headers(struct collect *c, struct arena *a) {
    for (size_t i = 0; i < c->count; i++) {
        struct http_header *x = &c->headers[i];
        uint8_t *lower = arena_alloc(a, x->name.len);
        if (lower == NULL || x->name.len == 0) {
            return false;
        }
        for (size_t k = 0; k < x->name.len; k++) {
            uint8_t b = x->name.ptr[k];
            if (!is_tchar(b)) {
                return false;
            }
            lower[k] = b >= 'A' && b <= 'Z' ? (uint8_t)(b | 0x20) : b;
        }
        x->name.ptr = lower;
        x->value = slice_trim(x->value);
    }
    return true;
}

static void parser_begin(llhttp_t *p, llhttp_type_t type, struct collect *c) {
    llhttp_init(p, type, &head_settings);
    p->data = c;
}

/* As many as there can be. */
static size_t header_lines(struct slice in) {
    size_t n = 0;
    for (const uint8_t *p = in.ptr, *end = in.ptr + in.len;
         n < LIMIT_HTTP_HEADERS && (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++) {
        n++;
    }
    return n;
}

int head_parse(struct slice in, struct arena *a, struct head *ret) {
    struct head h = {.raw = arena_copy(a, in)};
    struct collect c = {.max = header_lines(in)};
    c.headers = arena_array(a, c.max, sizeof *c.headers);
    if (h.raw.ptr == NULL || c.headers == NULL) {
        return 503;
    }
    int status = request_line(slice_sub(h.raw, 0, slice_find(h.raw, '\r')), &h);
    if (status != HEAD_OK) {
        return status;
    }
    llhttp_t p;
    parser_begin(&p, HTTP_REQUEST, &c);
    llhttp_errno_t e = llhttp_execute(&p, (const char *)h.raw.ptr, h.raw.len);
    if (e != HPE_PAUSED) {
        return c.too_many ? 431 : 400;
    }
    if (!own_headers(&c, a) || p.method == HTTP_CONNECT || p.upgrade) {
        return 400;
    }
    h.headers = c.headers;
    h.header_count = c.count;
    status = framing(&h);
    if (status != HEAD_OK) {
        return status;
    }
    h.close = h.minor == 0 || (p.flags & F_CONNECTION_CLOSE) != 0;
    if (h.chunked != ((p.flags & F_CHUNKED) != 0)) {
        return 400; /* the parser and we don't agree */
    }
    *ret = h;
    return HEAD_OK;
}

/* ---- responses of an upstream ---- */

bool reply_head_parse(struct slice in, struct reply_head *ret) {
    struct http_header headers[LIMIT_HTTP_HEADERS];
    struct collect c = {.headers = headers, .max = LIMIT_HTTP_HEADERS};
    llhttp_t p;
    parser_begin(&p, HTTP_RESPONSE, &c);
    if (llhttp_execute(&p, (const char *)in.ptr, in.len) != HPE_PAUSED) {
        return false;
    }
    struct reply_head r = {
        .status = p.status_code,
        .close = p.http_minor == 0 || (p.flags & F_CONNECTION_CLOSE) != 0,
        .has_length = (p.flags & F_CONTENT_LENGTH) != 0,
        .length = p.content_length,
        .chunked = (p.flags & F_CHUNKED) != 0,
    };
    if (p.http_major != 1 || (r.chunked && r.has_length) || r.status == 101 ||
        ((p.flags & F_TRANSFER_ENCODING) != 0 && !r.chunked)) {
        return false;
    }
    *ret = r;
    return true;
}
