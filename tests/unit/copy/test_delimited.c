/* Splitter of COPY text: rows, fields and cuts by table; the vectorised scan against its scalar
 * twin, and both against a reader written the slow way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/buf.h"
#include "lib/codec/delimited.h"
#include "lib/codec/json_record.h"
#include "lib/codec/json_scan_in.h"

static const struct delimited_conf plain = {DELIMITED_PLAIN, '|', 0};
static const struct delimited_conf csv = {DELIMITED_CSV, ',', '"'};

/* Fields as [a][b], rows ended by ';', faults as ! (quote) and ? (open). */
static void render(const struct delimited_conf *conf, struct slice data, enum delimited_scan scan,
                   struct buf *out) {
    struct delimited *d = malloc(sizeof *d);
    struct delimited_field fields[16];
    struct delimited_row row;
    delimited_start(d, conf, data, scan);
    while (delimited_next(d, fields, 16, &row)) {
        for (uint32_t i = 0; i < row.field_count && i < 16; i++) {
            uint8_t *text = malloc(fields[i].len + 1);
            size_t n = fields[i].len;
            if (fields[i].doubled) {
                n = delimited_undouble(d, &fields[i], text);
            } else {
                memcpy(text, data.ptr + fields[i].start, n);
            }
            buf_putc(out, fields[i].quoted ? '<' : '[');
            buf_put(out, slice_of(text, n));
            buf_putc(out, fields[i].quoted ? '>' : ']');
            free(text);
        }
        buf_puts(out, row.fault == DELIMITED_BAD_QUOTE    ? "!"
                      : row.fault == DELIMITED_OPEN_QUOTE ? "?"
                                                          : "");
        buf_printf(out, "%u;", row.lines);
    }
    free(d);
}

struct split_case {
    const struct delimited_conf *conf;
    const char *in;
    const char *out;
};

static const struct split_case splits[] = {
    {&plain, "", ""},
    {&plain, "a|b\n", "[a][b]1;"},
    {&plain, "a|b", "[a][b]0;"},
    {&plain, "a|b\r\nc|d\r\n", "[a][b]1;[c][d]1;"},
    {&plain, "a\rb|c\n", "[a\rb][c]1;"},
    {&plain, "a|b\r", "[a][b\r]0;"},
    {&plain, "||\n", "[][][]1;"},
    {&plain, "\n\n", "[]1;[]1;"},
    {&plain, "\r\n", "[]1;"},
    {&plain, "\"a|b\"\n", "[\"a][b\"]1;"},
    {&plain, "a|b\n\nc", "[a][b]1;[]1;[c]0;"},
    {&csv, "a,b\n", "[a][b]1;"},
    {&csv, "\"a\",\"b\"\n", "<a><b>1;"},
    {&csv, "\"a,b\",c\n", "<a,b>[c]1;"},
    {&csv, "\"a\nb\",c\n", "<a\nb>[c]2;"},
    {&csv, "\"a\r\nb\",c\r\n", "<a\r\nb>[c]2;"},
    {&csv, "\"a\"\"b\",c\n", "<a\"b>[c]1;"},
    {&csv, "\"\"\"\"\n", "<\">1;"},
    {&csv, "\"\"\n", "<>1;"},
    {&csv, "\"\",\n", "<>[]1;"},
    {&csv, "  \"a\"  ,\t\"b\"\t\n", "<a><b>1;"},
    {&csv, " a , b \n", "[ a ][ b ]1;"},
    {&csv, "\"a\"\r\n", "<a>1;"},
    {&csv, "a\"b,c\n", "[a\"b][c]!1;"},
    {&csv, "\"a\"b,c\n", "<a>[c]!1;"},
    {&csv, "\"a\" \"b\",c\nd\n", "<a>[c]!1;[d]1;"},
    {&csv, "a\"b\nc\n", "[a\"b]!1;[c]1;"},
    {&csv, "\"a\n", "<a\n>?1;"},
    {&csv, "x,\"a", "[x]<a>?0;"},
    {&csv, "a\"\"b\n", "[a\"\"b]!1;"},
    {&csv, "\"a\"\"\n", "<a\"\n>?1;"},
    {&csv, "a,\"b\"", "[a]<b>0;"},
    {&csv, "\"\n\"\n\"\n\"\n", "<\n>2;<\n>2;"},
};

static void test_split(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof splits / sizeof splits[0]; i++) {
        for (int scan = DELIMITED_BEST; scan <= DELIMITED_SCALAR; scan++) {
            struct buf out = BUF_INIT(4096);
            render(splits[i].conf, slice_cstr(splits[i].in), (enum delimited_scan)scan, &out);
            if (!slice_eq_cstr(buf_slice(&out), splits[i].out)) {
                fail_msg("case %zu: %.*s instead of %s", i, SLICE_FMT(buf_slice(&out)),
                         splits[i].out);
            }
            buf_fini(&out);
        }
    }
}

static void test_cut(void **state) {
    (void)state;
    static const struct {
        const struct delimited_conf *conf;
        const char *in;
        size_t cut, row;
    } cases[] = {
        {&plain, "", 0, 0},          {&plain, "a|b", 0, 0},
        {&plain, "a\nb", 2, 2},      {&plain, "a\nb\n", 4, 2},
        {&csv, "a\nb", 2, 2},        {&csv, "\"a\nb", 0, 0},
        {&csv, "\"a\nb\"\nc", 6, 6}, {&csv, "x\n\"a\nb", 2, 2},
        {&csv, "x\"\ny\n\"", 5, 3},  {&csv, "\"a\"\n\"b\"\n\"", 8, 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct slice in = slice_cstr(cases[i].in);
        assert_int_equal(delimited_cut(cases[i].conf, in, DELIMITED_BEST), cases[i].cut);
        assert_int_equal(delimited_cut(cases[i].conf, in, DELIMITED_SCALAR), cases[i].cut);
        assert_int_equal(delimited_row_end(cases[i].conf, in), cases[i].row);
    }
}

/* The slow way: one byte at a time, fields as strings. */
static void reference(const struct delimited_conf *conf, struct slice in, struct buf *out) {
    bool quoting = conf->format == DELIMITED_CSV;
    size_t i = 0;
    while (i < in.len) {
        unsigned lines = 0;
        bool bad = false, open = false, row_done = false;
        while (!row_done) {
            struct buf field = BUF_INIT(1 << 20);
            size_t start = i, k = i;
            while (quoting && k < in.len && (in.ptr[k] == ' ' || in.ptr[k] == '\t')) {
                k++;
            }
            bool quoted = quoting && k < in.len && in.ptr[k] == conf->quote;
            if (quoted) {
                i = k + 1;
                open = true;
                while (i < in.len) {
                    if (in.ptr[i] == conf->quote) {
                        if (i + 1 < in.len && in.ptr[i + 1] == conf->quote) {
                            i++;
                        } else {
                            open = false;
                            i++;
                            break;
                        }
                    }
                    lines += in.ptr[i] == '\n';
                    buf_putc(&field, in.ptr[i++]);
                }
                start = i;
            }
            size_t end = i;
            while (end < in.len && in.ptr[end] != conf->delimiter && in.ptr[end] != '\n') {
                end++;
            }
            size_t tail = end;
            row_done = end == in.len || in.ptr[end] == '\n';
            if (end < in.len && in.ptr[end] == '\n') {
                lines++;
                if (tail > start && in.ptr[tail - 1] == '\r') {
                    tail--;
                }
            }
            for (size_t j = start; j < tail; j++) {
                uint8_t c = in.ptr[j];
                bad |= quoted ? c != ' ' && c != '\t' : quoting && c == conf->quote;
                if (!quoted) {
                    buf_putc(&field, c);
                }
            }
            i = end < in.len ? end + 1 : end;
            buf_putc(out, quoted ? '<' : '[');
            buf_put(out, buf_slice(&field));
            buf_putc(out, quoted ? '>' : ']');
            buf_fini(&field);
            /* a delimiter as the last byte of all opens one more, empty field */
            if (!row_done && i == in.len) {
                buf_puts(out, "[]");
                row_done = true;
            }
        }
        buf_puts(out, bad ? "!" : open ? "?" : "");
        buf_printf(out, "%u;", lines);
    }
}

static uint32_t next_random(uint32_t *seed) {
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void test_random(void **state) {
    (void)state;
    static const char alphabet[] = "ab,|\"\n\r \t\"\n,";
    for (uint32_t round = 0; round < 6000; round++) {
        uint32_t seed = round;
        size_t len = next_random(&seed) % (round % 50 == 0 ? 40000 : 200);
        uint8_t *data = malloc(len + 1);
        uint32_t rare = next_random(&seed) % 40;
        for (size_t i = 0; i < len; i++) {
            uint32_t r = next_random(&seed);
            data[i] = r % 41 < rare ? 'x' : (uint8_t)alphabet[r % (sizeof alphabet - 1)];
        }
        const struct delimited_conf *conf = round % 3 == 0 ? &plain : &csv;
        struct slice in = slice_of(data, len);
        struct buf best = BUF_INIT(1 << 22), older = BUF_INIT(1 << 22);
        struct buf scalar = BUF_INIT(1 << 22), slow = BUF_INIT(1 << 22);
        /* the reference shows all fields, the renderer the first 16: compare where none is longer
         */
        render(conf, in, DELIMITED_BEST, &best);
        render(conf, in, DELIMITED_OLDER, &older);
        render(conf, in, DELIMITED_SCALAR, &scalar);
        assert_true(slice_eq(buf_slice(&best), buf_slice(&older)));
        assert_true(slice_eq(buf_slice(&best), buf_slice(&scalar)));
        reference(conf, in, &slow);
        struct delimited *d = malloc(sizeof *d);
        struct delimited_row row;
        bool wide = false;
        size_t lines = 0, cut = 0;
        delimited_start(d, conf, in, DELIMITED_BEST);
        while (delimited_next(d, NULL, 0, &row)) {
            wide |= row.field_count > 16;
            lines += row.lines;
            cut = d->at > row.end ? d->at : cut;
        }
        free(d);
        if (!wide && !slice_eq(buf_slice(&best), buf_slice(&slow))) {
            fail_msg("seed %u:\n%.*s\n%.*s", round, SLICE_FMT(buf_slice(&best)),
                     SLICE_FMT(buf_slice(&slow)));
        }
        assert_int_equal(lines, delimited_lines(in));
        assert_int_equal(delimited_cut(conf, in, DELIMITED_BEST), cut);
        assert_int_equal(delimited_cut(conf, in, DELIMITED_SCALAR), cut);
        buf_fini(&best);
        buf_fini(&older);
        buf_fini(&scalar);
        buf_fini(&slow);
        free(data);
    }
}

/* Where rows end, told in pieces: as delimited_next says. */
static void test_tail(void **state) {
    (void)state;
    static const char alphabet[] = "ab,\"'\n\r \\\"{}[],";
    struct json_shape *shape = json_shape_new(&SLICE_LIT("a"), 1, false);
    const struct delimited_conf confs[] = {
        {DELIMITED_PLAIN, ','},
        {DELIMITED_CSV, ',', '"'},
        {DELIMITED_PLAIN, ',', .escape = true},
        {DELIMITED_PLAIN, ',', .escape = true, .removequotes = true},
        {DELIMITED_JSON, .json = shape},
    };
    for (uint32_t round = 0; round < 5000; round++) {
        const struct delimited_conf *conf = &confs[round % 5];
        uint32_t seed = round;
        uint8_t data[100];
        size_t len = next_random(&seed) % sizeof data, end;
        for (size_t i = 0; i < len; i++) {
            data[i] = (uint8_t)alphabet[next_random(&seed) % (sizeof alphabet - 1)];
        }
        struct delimited d;
        struct delimited_row row;
        struct delimited_field field;
        delimited_start(&d, conf, slice_of(data, len), DELIMITED_BEST);
        while (delimited_next(&d, &field, 1, &row)) {
            struct delimited_tail tail = {.conf = conf};
            size_t at = row.start, n = 0;
            bool ends = false;
            while (!ends && at < len) {
                n = 1 + next_random(&seed) % (len - at);
                ends = delimited_tail_end(&tail, slice_of(data + at, n), &end);
                at += ends ? end : n;
            }
            if (conf->format == DELIMITED_JSON) {
                assert_true(at == row.end || (ends && at == row.end + 1u && data[at - 1] == '\n'));
            } else {
                assert_int_equal(at, d.at);
                assert_int_equal(ends, d.at > row.end);
            }
        }
    }
    json_shape_free(shape);
}

/* Sixteen at a time as one by one, at any place and length. */
static void test_json_scan(void **state) {
    (void)state;
    static const char alphabet[] = "aaaaaaaaaaaaaaaaaaaa\"\\{}[];|  \n\r\t\x01\x1f\x7f\x80\xff";
    for (uint32_t seed = 0, round = 0; round < 20000; round++) {
        uint8_t data[80];
        size_t len = next_random(&seed) % sizeof data,
               from = len > 0 ? next_random(&seed) % len : 0;
        for (size_t i = 0; i < len; i++) {
            data[i] = round % 5 == 0
                          ? (uint8_t) " \n\r\tx"[next_random(&seed) % 40 % 5]
                          : (uint8_t)alphabet[next_random(&seed) % (sizeof alphabet - 1)];
        }
        for (int what = JSON_SCAN_STRING; what <= JSON_SCAN_BLANKS; what++) {
            size_t want = from;
            while (want < len && !json_scan_counts((enum json_scan)what, data[want])) {
                want++;
            }
            assert_int_equal(json_scan((enum json_scan)what, data + from, len - from), want - from);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split),     cmocka_unit_test(test_cut),
        cmocka_unit_test(test_random),    cmocka_unit_test(test_tail),
        cmocka_unit_test(test_json_scan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
