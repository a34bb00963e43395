/* See loads_text.h. */
#include "cli/loads_text.h"

#include <stdio.h>

enum { BAR = 20, LINE_BYTES_MAX = 16 * 1024 };

/* "1,234,567" */
static void put_count(struct buf *out, uint64_t n) {
    char digits[32];
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n);
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0) {
            buf_putc(out, ',');
        }
        buf_putc(out, (uint8_t)digits[i]);
    }
}

static void put_bytes(struct buf *out, uint64_t n) {
    static const char *const units[] = {"kB", "MB", "GB", "TB", "PB"};
    double v = (double)n / 1000;
    size_t unit = 0;
    if (n < 1000) {
        buf_printf(out, "%u B", (unsigned)n);
        return;
    }
    for (; v >= 999.95 && unit + 1 < sizeof units / sizeof units[0]; unit++) {
        v /= 1000;
    }
    buf_printf(out, "%.1f %s", v, units[unit]);
}

static void put_files(struct buf *out, uint64_t n) {
    put_count(out, n);
    buf_puts(out, n == 1 ? " file" : " files");
}

static void put_bar(struct buf *out, unsigned percent) {
    unsigned full = percent >= 100 ? BAR : percent * BAR / 100;
    buf_putc(out, '[');
    for (unsigned i = 0; i < BAR; i++) {
        buf_putc(out, i < full ? '#' : '.');
    }
    buf_printf(out, "] %3u%%  ", percent);
}

static void put_running(struct buf *out, const struct load_line *l) {
    put_bar(out, l->percent);
    put_bytes(out, l->bytes);
    if (l->size > 0) {
        buf_puts(out, " of ");
        put_bytes(out, l->size);
    }
    buf_puts(out, ", ");
    put_count(out, l->done);
    buf_puts(out, " of ");
    put_files(out, l->files);
}

static void put_ended(struct buf *out, const struct load_line *l) {
    buf_puts(out, l->failed ? "failed     " : "completed  ");
    put_bytes(out, l->bytes);
    buf_puts(out, ", ");
    put_files(out, l->done);
}

static void put_line(struct buf *out, const struct load_line *l) {
    buf_put(out, l->start);
    buf_printf(out, "  #%.*s  %.*s.%.*s  ", SLICE_FMT(l->query), SLICE_FMT(l->database),
               SLICE_FMT(l->table));
    (l->running ? put_running : put_ended)(out, l);
    buf_puts(out, ", ");
    put_count(out, l->rows);
    buf_puts(out, " rows");
    if (l->errors > 0) {
        buf_puts(out, ", ");
        put_count(out, l->errors);
        buf_puts(out, " rejected");
    }
    buf_printf(out, ", %llu.%llu s  ", (unsigned long long)(l->ms / 1000),
               (unsigned long long)(l->ms % 1000 / 100));
    buf_put(out, l->message.len > 0 ? l->message : l->object.len > 0 ? l->object : l->source);
    if (l->user.len > 0) {
        buf_printf(out, "  (%.*s)", SLICE_FMT(l->user));
    }
}

/* Bytes of the character at p: UTF-8's, or one where it is none. */
static size_t char_len(const uint8_t *p, size_t left) {
    size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc2 ? 2 : 1;
    for (size_t i = 1; i < n; i++) {
        if (i >= left || (p[i] & 0xc0) != 0x80) {
            return 1;
        }
    }
    return n;
}

static bool is_control(const uint8_t *p, size_t n) {
    return n == 1 ? p[0] < 0x20 || p[0] >= 0x7f : n == 2 && p[0] == 0xc2 && p[1] < 0xa0;
}

void loads_text_put(struct buf *out, const struct load_line *l, size_t width) {
    SL_CLEANUP(buf_fini) struct buf line = BUF_INIT(LINE_BYTES_MAX);
    put_line(&line, l);
    size_t shown = 0;
    for (size_t at = 0; at < line.len && (width == 0 || shown < width); shown++) {
        size_t n = char_len(line.ptr + at, line.len - at);
        if (is_control(line.ptr + at, n)) {
            buf_putc(out, '?');
        } else {
            buf_put(out, slice_of(line.ptr + at, n));
        }
        at += n;
    }
}
