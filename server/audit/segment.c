/* See segment.h. */
#include "server/audit/segment.h"

#include "lib/base/clock.h"
#include "lib/codec/json.h"
#include "lib/codec/text.h"
#include "lib/crypto/crypto.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { SEQ_DIGITS = 20, MAC_CHARS = 2 * AUDIT_MAC_LEN };

/* One spelling only, so that no byte of a line can be changed unseen. */
static bool hex_exact(struct slice text, uint8_t *out, size_t len) {
    if (text.len != 2 * len) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] >= 'A' && text.ptr[i] <= 'F') {
            return false;
        }
    }
    struct buf b SL_CLEANUP(buf_fini) = BUF_INIT(64);
    bool ok = sl_is_ok(hex_get(text, &b, NULL)) && b.len == len;
    if (ok) {
        memcpy(out, b.ptr, len);
    }
    return ok;
}

/* Cuts the field behind the last tab off `rest`. */
static bool last_field(struct slice *rest, struct slice *ret) {
    for (size_t i = rest->len; i > 0; i--) {
        if (rest->ptr[i - 1] == '\t') {
            *ret = slice_sub(*rest, i, rest->len);
            *rest = slice_sub(*rest, 0, i - 1);
            return true;
        }
    }
    return false;
}

bool audit_line_parse(struct slice text, struct audit_line *ret) {
    struct audit_line l = {.record = text};
    struct slice mac;
    struct slice seq;
    if (!last_field(&l.record, &mac) || !hex_exact(mac, l.mac, sizeof l.mac) ||
        !last_field(&l.record, &seq) || !slice_u64(seq, UINT64_MAX, &l.seq) || seq.ptr[0] == '0' ||
        l.record.len == 0) {
        return false;
    }
    *ret = l;
    return true;
}

void audit_line_put(struct buf *out, const struct audit_line *line) {
    buf_put(out, line->record);
    buf_putc(out, '\t');
    buf_decimal(out, line->seq);
    buf_putc(out, '\t');
    hex_put(out, slice_of(line->mac, sizeof line->mac));
    buf_putc(out, '\n');
}

static void put_time(struct buf *out) {
    char now[25];
    clock_iso_ms(clock_real_ms(), now);
    buf_puts(out, now);
}

void audit_header_put(struct buf *out, const struct audit_point *previous, uint64_t segment) {
    buf_printf(out, "{\"sealiftAudit\":%d,\"segment\":%" PRIu64 ",\"previousLast\":%" PRIu64,
               AUDIT_FORMAT_VERSION, segment, previous->last);
    buf_puts(out, ",\"previousMac\":\"");
    hex_put(out, slice_of(previous->mac, sizeof previous->mac));
    buf_puts(out, "\",\"eventTime\":\"");
    put_time(out);
    buf_puts(out, "\"}");
}

static bool get_u64(const struct json *obj, const char *name, uint64_t *ret) {
    const struct json *v = json_get(obj, name);
    if (v == NULL || v->type != JSON_NUMBER || !v->is_int || v->integer < 0) {
        return false;
    }
    *ret = (uint64_t)v->integer;
    return true;
}

static bool get_mac(const struct json *obj, const char *name, uint8_t out[AUDIT_MAC_LEN]) {
    const struct json *v = json_get(obj, name);
    return v != NULL && v->type == JSON_STRING && hex_exact(v->text, out, AUDIT_MAC_LEN);
}

bool audit_header_parse(struct slice record, uint64_t *ret_segment, uint64_t *ret_previous_last,
                        uint8_t ret_previous_mac[AUDIT_MAC_LEN]) {
    struct arena a SL_CLEANUP(arena_fini) = ARENA_INIT(64 * 1024);
    const struct json *root = NULL;
    uint64_t version = 0;
    return record.len <= AUDIT_HEAD_LINE_MAX && sl_is_ok(json_parse(record, &a, NULL, &root)) &&
           get_u64(root, "sealiftAudit", &version) && version == AUDIT_FORMAT_VERSION &&
           get_u64(root, "segment", ret_segment) &&
           get_u64(root, "previousLast", ret_previous_last) &&
           get_mac(root, "previousMac", ret_previous_mac);
}

void audit_head_text(struct buf *out, const struct audit_point *p) {
    buf_printf(out, "{\"segment\":%" PRIu64 ",\"first\":%" PRIu64 ",\"last\":%" PRIu64, p->segment,
               p->first, p->last);
    buf_puts(out, ",\"mac\":\"");
    hex_put(out, slice_of(p->mac, sizeof p->mac));
    buf_puts(out, "\",\"time\":\"");
    put_time(out);
    buf_puts(out, "\"}");
}

void audit_head_line(struct buf *out, struct slice text, const uint8_t signature[64],
                     const uint8_t public_key[32]) {
    buf_put(out, text);
    buf_putc(out, '\t');
    hex_put(out, slice_of(signature, ED25519_SIGNATURE_LEN));
    buf_putc(out, '\t');
    hex_put(out, slice_of(public_key, ED25519_PUBLIC_LEN));
    buf_putc(out, '\n');
}

struct sl_rc audit_head_parse(struct slice line, struct audit_point *ret,
                              uint8_t ret_public_key[32], struct sl_error *err) {
    struct slice rest = slice_ends(line, SLICE_LIT("\n")) ? slice_sub(line, 0, line.len - 1) : line;
    struct slice key_hex;
    struct slice signature_hex;
    uint8_t key[ED25519_PUBLIC_LEN];
    uint8_t signature[ED25519_SIGNATURE_LEN];
    ENSURE(line.len <= AUDIT_HEAD_LINE_MAX && last_field(&rest, &key_hex) &&
               last_field(&rest, &signature_hex) && hex_exact(key_hex, key, sizeof key) &&
               hex_exact(signature_hex, signature, sizeof signature),
           err, SL_E_CORRUPT, "The head is malformed.");
    ENSURE(ed25519_verify(slice_of(key, sizeof key), rest, slice_of(signature, sizeof signature)),
           err, SL_E_CORRUPT, "The head's signature does not hold.");
    struct arena a SL_CLEANUP(arena_fini) = ARENA_INIT(64 * 1024);
    const struct json *root = NULL;
    struct audit_point p;
    ENSURE(sl_is_ok(json_parse(rest, &a, NULL, &root)) && get_u64(root, "segment", &p.segment) &&
               get_u64(root, "first", &p.first) && get_u64(root, "last", &p.last) &&
               get_mac(root, "mac", p.mac),
           err, SL_E_CORRUPT, "The head is malformed.");
    *ret = p;
    memcpy(ret_public_key, key, sizeof key);
    return SL_OK;
}

void audit_name(char out[32], uint64_t first, const char *suffix) {
    snprintf(out, 32, "%020" PRIu64 "%s", first, suffix);
}

struct sl_rc audit_head_read(int dir_fd, uint64_t first, bool *ret_found, struct audit_point *ret,
                             uint8_t ret_public_key[32], struct sl_error *err) {
    char name[32];
    audit_name(name, first, ".head");
    int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        *ret_found = false;
        return SL_OK;
    }
    ENSURE(fd >= 0, err, SL_E_IO, "%s: %m", name);
    uint8_t line[AUDIT_HEAD_LINE_MAX + 1];
    ssize_t n = read(fd, line, sizeof line);
    close(fd);
    ENSURE(n >= 0, err, SL_E_IO, "%s: %m", name);
    TRY(audit_head_parse(slice_of(line, (size_t)n), ret, ret_public_key, err));
    *ret_found = true;
    return SL_OK;
}

static int by_number(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

struct sl_rc audit_list(int dir_fd, const char *suffix, uint64_t **ret, size_t *ret_count,
                        struct sl_error *err) {
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (d == NULL) {
        struct sl_rc rc = sl_fail(err, SL_E_IO, "audit folder: %m");
        if (fd >= 0) {
            close(fd);
        }
        return rc;
    }
    struct buf list SL_CLEANUP(buf_fini) = BUF_INIT(64 * 1024 * 1024);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        struct slice name = slice_cstr(e->d_name);
        uint64_t first;
        if (name.len == SEQ_DIGITS + strlen(suffix) && slice_ends(name, slice_cstr(suffix)) &&
            slice_u64(slice_sub(name, 0, SEQ_DIGITS), UINT64_MAX, &first)) {
            buf_put(&list, slice_of(&first, sizeof first));
        }
    }
    closedir(d);
    TRY(buf_check(&list, err));
    size_t count = list.len / sizeof(uint64_t);
    uint64_t *out = calloc(count ? count : 1, sizeof *out);
    ENSURE(out != NULL, err, SL_E_NOMEM, "Out of memory.");
    if (count > 0) {
        memcpy(out, list.ptr, list.len);
        qsort(out, count, sizeof *out, by_number);
    }
    *ret = out;
    *ret_count = count;
    return SL_OK;
}

struct sl_rc audit_reader_open(struct audit_reader *r, int dir_fd, uint64_t first,
                               struct sl_error *err) {
    char name[32];
    audit_name(name, first, ".log");
    *r = (struct audit_reader){.fd = -1};
    int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ENSURE(fd >= 0, err, SL_E_IO, "%s: %m", name);
    r->fd = fd;
    r->mem = malloc(AUDIT_LINE_MAX);
    ENSURE(r->mem != NULL, err, SL_E_NOMEM, "Out of memory.");
    return SL_OK;
}

void audit_reader_fini(struct audit_reader *r) {
    if (r->mem != NULL) {
        close(r->fd);
        free(r->mem);
        r->mem = NULL;
    } else if (r->fd > 0) {
        close(r->fd);
    }
}

static void take(struct audit_reader *r, size_t n, size_t skip, struct slice *ret, off_t *ret_at) {
    *ret = slice_of(r->mem + r->from, n);
    *ret_at = r->offset;
    r->from += n + skip;
    r->offset += (off_t)(n + skip);
}

struct sl_rc audit_reader_next(struct audit_reader *r, enum audit_read *ret_kind,
                               struct slice *ret_line, off_t *ret_at, struct sl_error *err) {
    for (;;) {
        size_t held = r->to - r->from;
        const uint8_t *nl = held > 0 ? memchr(r->mem + r->from, '\n', held) : NULL;
        if (nl != NULL) {
            take(r, (size_t)(nl - (r->mem + r->from)), 1, ret_line, ret_at);
            *ret_kind = AUDIT_READ_LINE;
            return SL_OK;
        }
        if (held == AUDIT_LINE_MAX) {
            take(r, held, 0, ret_line, ret_at);
            *ret_kind = AUDIT_READ_LONG;
            return SL_OK;
        }
        if (held > 0) {
            memmove(r->mem, r->mem + r->from, held);
        }
        r->from = 0;
        r->to = held;
        ssize_t n = read(r->fd, r->mem + held, AUDIT_LINE_MAX - held);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        ENSURE(n >= 0, err, SL_E_IO, "audit segment: %m");
        if (n == 0) {
            *ret_kind = held > 0 ? AUDIT_READ_TORN : AUDIT_READ_END;
            take(r, held, 0, ret_line, ret_at);
            return SL_OK;
        }
        r->to += (size_t)n;
    }
}
