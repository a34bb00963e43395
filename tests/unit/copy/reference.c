/* The plain reader; see reference.h. One row after the other: find its end, cut it into fields,
 * make values of them. Nothing is shared with lib/codec but the structs that describe the job. */
#include "tests/unit/copy/reference.h"

#include <ctype.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/copy/show.h"

enum { FIELDS_MAX = 64, TEXT_MAX = 4096 };

/* Codes of stl_load_errors. */
enum { GOOD, FAULT_OPEN, FAULT_QUOTE };

struct field {
    uint8_t text[TEXT_MAX]; /* what it means: without quotes and escapes */
    size_t len;
    size_t start, end; /* content in the row as it stands */
    size_t raw;        /* where it begins, quotes and blanks included */
    bool quoted;
    bool null;
};

struct row {
    const uint8_t *p; /* its first byte */
    size_t len;       /* without the line end */
    size_t next;      /* bytes to the next row */
    unsigned lines;
    struct field fields[FIELDS_MAX];
    size_t count;
    int fault;
    size_t fault_field;
};

struct job {
    const struct copy_convert_conf *conf;
    struct row row;
    struct buf *out;
    struct buf values; /* of the row at hand */
};

static bool is_blank(uint8_t c) {
    return c == ' ' || c == '\t';
}

static void add(struct field *f, uint8_t c) {
    sl_assert(f->len < TEXT_MAX);
    f->text[f->len++] = c;
}

static struct field *field_new(struct row *r, size_t raw) {
    sl_assert(r->count < FIELDS_MAX);
    struct field *f = &r->fields[r->count++];
    f->len = f->start = f->end = 0;
    f->raw = raw;
    f->quoted = f->null = false;
    return f;
}

static void set_fault(struct row *r, int fault) {
    if (r->fault == GOOD) {
        r->fault = fault;
        r->fault_field = r->count - 1;
    }
}

/* ---- CSV ---- */

/* From the field's raw begin to the delimiter or the line's end, which is returned. */
static size_t csv_field(const struct delimited_conf *c, struct slice d, size_t at, struct row *r) {
    struct field *f = field_new(r, at);
    size_t i = at;
    while (i < d.len && is_blank(d.ptr[i]) && d.ptr[i] != c->delimiter) {
        i++;
    }
    if (i < d.len && d.ptr[i] == c->quote) {
        f->quoted = true;
        f->start = ++i;
        while (i < d.len && (d.ptr[i] != c->quote || (i + 1 < d.len && d.ptr[i + 1] == c->quote))) {
            r->lines += d.ptr[i] == '\n';
            i += d.ptr[i] == c->quote;
            add(f, d.ptr[i++]);
        }
        f->end = i;
        if (i == d.len) {
            set_fault(r, FAULT_OPEN);
            return i;
        }
        i++;
        for (; i < d.len && d.ptr[i] != c->delimiter && d.ptr[i] != '\n'; i++) {
            bool line_end = d.ptr[i] == '\r' && i + 1 < d.len && d.ptr[i + 1] == '\n';
            if (!is_blank(d.ptr[i]) && !line_end) {
                set_fault(r, FAULT_QUOTE);
            }
        }
        return i;
    }
    f->start = at;
    for (i = at; i < d.len && d.ptr[i] != c->delimiter && d.ptr[i] != '\n'; i++) {
        if (d.ptr[i] == c->quote) {
            set_fault(r, FAULT_QUOTE);
        }
    }
    f->end = i;
    if (i < d.len && d.ptr[i] == '\n' && i > at && d.ptr[i - 1] == '\r') {
        f->end--;
    }
    for (size_t k = at; k < f->end; k++) {
        add(f, d.ptr[k]);
    }
    return i;
}

static void read_csv(const struct delimited_conf *c, struct slice d, struct row *r) {
    size_t at = 0;
    while (true) {
        at = csv_field(c, d, at, r);
        if (at == d.len || d.ptr[at] == '\n') {
            break;
        }
        at++;
    }
    const struct field *last = &r->fields[r->count - 1];
    size_t bound = last->quoted && r->fault != FAULT_OPEN ? last->end + 1 : last->raw;
    bool cr = at < d.len && at > bound && d.ptr[at - 1] == '\r';
    r->len = at - cr;
    r->next = at + (at < d.len);
    r->lines += at < d.len;
}

/* ---- Plain, with ESCAPE and REMOVEQUOTES ---- */

/* Which bytes of the row are taken as they are, since a backslash stands before them. */
static void plain_row(const struct delimited_conf *c, struct slice d, struct row *r,
                      bool *literal) {
    size_t i = 0;
    while (i < d.len && d.ptr[i] != '\n') {
        bool escape = c->escape && d.ptr[i] == '\\' && i + 1 < d.len;
        literal[i] = false;
        if (escape) {
            literal[++i] = true;
            r->lines += d.ptr[i] == '\n';
        }
        i++;
    }
    bool cr = i < d.len && i > 0 && d.ptr[i - 1] == '\r' && !literal[i - 1];
    r->len = i - cr;
    r->next = i + (i < d.len);
    r->lines += i < d.len;
}

static size_t quoted_end(const struct delimited_conf *c, struct slice row, size_t at,
                         const bool *literal) {
    for (size_t e = at + 2; e <= row.len; e++) {
        bool border = e == row.len || (row.ptr[e] == c->delimiter && !literal[e]);
        if (border && row.ptr[e - 1] == row.ptr[at] && !literal[e - 1]) {
            return e;
        }
    }
    return SIZE_MAX;
}

static size_t plain_field(const struct delimited_conf *c, struct slice row, size_t at,
                          struct row *r, const bool *literal) {
    struct field *f = field_new(r, at);
    bool quoted = c->removequotes && at < row.len && (row.ptr[at] == '"' || row.ptr[at] == '\'');
    size_t end = at;
    f->start = at;
    if (quoted && (end = quoted_end(c, row, at, literal)) == SIZE_MAX) {
        set_fault(r, FAULT_OPEN);
        end = row.len;
        quoted = false;
    } else if (quoted) {
        f->start++;
    } else {
        while (end < row.len && (row.ptr[end] != c->delimiter || literal[end])) {
            end++;
        }
    }
    f->end = end - quoted;
    return end;
}

/* With ESCAPE a NUL ends the data of the row, if it stands in a field that is asked for. */
static void cut_at_nul(struct slice row, struct row *r, size_t columns) {
    const uint8_t *nul = row.len > 0 ? memchr(row.ptr, 0, row.len) : NULL;
    size_t at = nul != NULL ? (size_t)(nul - row.ptr) : row.len;
    for (size_t i = 0; nul != NULL && i < r->count && i < columns; i++) {
        struct field *f = &r->fields[i];
        if (at > f->end) {
            continue;
        }
        bool open = f->start > f->raw || (r->fault == FAULT_OPEN && r->fault_field == i);
        f->end = at > f->start ? at : f->start;
        r->count = i + 1;
        r->fault = open ? FAULT_OPEN : GOOD;
        r->fault_field = i;
        return;
    }
}

static void read_plain(const struct delimited_conf *c, struct slice d, struct row *r,
                       size_t columns) {
    bool *literal = calloc(d.len + 1, 1);
    sl_assert(literal != NULL);
    plain_row(c, d, r, literal);
    struct slice row = slice_of(d.ptr, r->len);
    size_t at = plain_field(c, row, 0, r, literal);
    while (at < row.len) {
        at = plain_field(c, row, at + 1, r, literal);
    }
    if (c->escape) {
        cut_at_nul(row, r, columns);
    }
    for (size_t i = 0; i < r->count; i++) {
        struct field *f = &r->fields[i];
        for (size_t k = f->start; k < f->end; k++) {
            bool backslash = c->escape && d.ptr[k] == '\\' && !literal[k] && k + 1 < f->end;
            if (!backslash) {
                add(f, d.ptr[k]);
            }
        }
    }
    free(literal);
}

/* ---- Fixed width ---- */

/* Bytes of the character at p, 0 for none. */
static size_t character(const uint8_t *p, size_t n) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (p[0] < 0x80) {
        return 1;
    }
    size_t want = p[0] >= 0xf0 && p[0] < 0xf8   ? 4
                  : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
                  : p[0] >= 0xc0 && p[0] < 0xe0 ? 2
                                                : 0;
    if (want == 0 || want > n) {
        return 0;
    }
    uint32_t point = p[0] & (0x7fu >> want);
    for (size_t i = 1; i < want; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
        point = point << 6 | (p[i] & 0x3f);
    }
    bool good = point >= least[want] && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
    return good ? want : 0;
}

static void read_fixed(const struct delimited_conf *c, struct slice d, struct row *r) {
    size_t lf = slice_find(d, '\n'), at = 0;
    r->len = lf - (lf < d.len && lf > 0 && d.ptr[lf - 1] == '\r');
    r->next = lf + (lf < d.len);
    r->lines = lf < d.len;
    for (size_t i = 0; at < r->len; i++) {
        struct field *f = field_new(r, at);
        f->start = at;
        for (uint32_t n = 0; at < r->len && (i == c->width_count || n < c->widths[i]); n++) {
            size_t len = character(d.ptr + at, r->len - at);
            for (len = len > 0 ? len : 1; len > 0; len--) {
                add(f, d.ptr[at++]);
            }
        }
        f->end = at;
    }
}

/* ---- Values ---- */

static int read_int(struct slice s, __int128 most, struct buf *out) {
    bool negative = s.ptr[0] == '-';
    size_t i = negative || s.ptr[0] == '+';
    __int128 v = 0;
    if (i == s.len) {
        return 1207;
    }
    bool over = false;
    for (; i < s.len; i++) {
        if (!isdigit(s.ptr[i])) {
            return 1207;
        }
        v = v * 10 + (s.ptr[i] - '0');
        over |= v > most + negative;
        v = over ? 0 : v;
    }
    if (over) {
        return 1222;
    }
    put_int128(out, negative ? -v : v);
    return 0;
}

/* Digits before and behind the point as one text, then a number. */
static int read_numeric(struct slice s, const struct copy_column *col, bool round,
                        struct buf *out) {
    char digits[TEXT_MAX];
    size_t n = 0, i = s.ptr[0] == '-' || s.ptr[0] == '+', seen = 0, decimals = 0;
    bool point = false, up = false;
    for (; i < s.len; i++) {
        if (s.ptr[i] == '.' && !point) {
            point = true;
        } else if (!isdigit(s.ptr[i])) {
            return 1207;
        } else if (seen++, point && decimals >= col->scale) {
            up |= round && decimals == col->scale && s.ptr[i] >= '5';
            decimals++;
        } else {
            digits[n++] = (char)s.ptr[i];
            decimals += point;
        }
    }
    if (seen == 0) {
        return 1207;
    }
    for (; decimals < col->scale; decimals++) {
        digits[n++] = '0';
    }
    __int128 v = 0, limit = 1;
    for (int p = 0; p < col->precision; p++) {
        limit *= 10;
    }
    for (size_t k = 0; k < n; k++) {
        v = v * 10 + (digits[k] - '0');
        if (v >= limit) {
            return 1207;
        }
    }
    v += up;
    if (v >= limit) {
        return 1207;
    }
    put_int128(out, s.ptr[0] == '-' ? -v : v);
    return 0;
}

static int read_float(struct slice s, struct buf *out) {
    static const char *const words[] = {"nan",      "inf",       "+inf",     "-inf",
                                        "infinity", "+infinity", "-infinity"};
    char text[TEXT_MAX + 1], *end;
    bool known = false;
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        known |= strlen(words[i]) == s.len && strcasecmp(text, words[i]) == 0;
    }
    if (!known && (strspn(text, "0123456789.+-eE") != s.len || s.len >= 512)) {
        return 1208;
    }
    double v = strtod(text, &end);
    if (end == text || *end != '\0' || (isinf(v) && !known)) {
        return 1208;
    }
    buf_printf(out, "%.17g", v);
    return 0;
}

static int read_bool(struct slice s, struct buf *out) {
    static const char *const yes[] = {"1", "t", "y", "yes", "true"};
    static const char *const no[] = {"0", "f", "n", "no", "false"};
    for (size_t i = 0; i < 5; i++) {
        if (slice_ieq(s, slice_cstr(yes[i])) || slice_ieq(s, slice_cstr(no[i]))) {
            buf_puts(out, slice_ieq(s, slice_cstr(yes[i])) ? "true" : "false");
            return 0;
        }
    }
    return 1210;
}

static bool shape(struct slice s, const char *form) {
    for (size_t i = 0; form[i] != '\0'; i++) {
        bool good = i < s.len && (form[i] == '9'   ? isdigit(s.ptr[i]) != 0
                                  : form[i] == 'T' ? s.ptr[i] == ' ' || s.ptr[i] == 'T'
                                                   : s.ptr[i] == form[i]);
        if (!good) {
            return false;
        }
    }
    return true;
}

static int two(struct slice s, size_t at) {
    return (s.ptr[at] - '0') * 10 + s.ptr[at + 1] - '0';
}

/* Days one by one. */
static bool days(struct slice s, int64_t *ret) {
    int year = two(s, 0) * 100 + two(s, 2), month = two(s, 5), day = two(s, 8);
    int64_t n = 0;
    if (year < 1 || month < 1 || month > 12 || day < 1) {
        return false;
    }
    for (int y = 1; y < 2000; y++) {
        n -= y >= year ? (y % 4 == 0 && (y % 100 != 0 || y % 400 == 0) ? 366 : 365) : 0;
    }
    for (int y = 2000; y < year; y++) {
        n += y % 4 == 0 && (y % 100 != 0 || y % 400 == 0) ? 366 : 365;
    }
    for (int m = 1; m <= month; m++) {
        bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        int len = m == 2 ? 28 + leap : m == 4 || m == 6 || m == 9 || m == 11 ? 30 : 31;
        if (m == month && day > len) {
            return false;
        }
        n += m < month ? len : 0;
    }
    *ret = n + day - 1;
    return true;
}

static int read_date(struct slice s, struct buf *out) {
    int64_t n;
    if (!shape(s, "9999-99-99") || !days(s, &n) ||
        (s.len > 10 && !shape(slice_sub(s, 10, 11), "T"))) {
        return 1205;
    }
    buf_printf(out, "%lld", (long long)n);
    return 0;
}

static int read_timestamp(struct slice s, struct buf *out) {
    int64_t n, us = 0, unit = 100000;
    if (!shape(s, "9999-99-99T99:99:99") || !days(s, &n) || two(s, 11) > 23 || two(s, 14) > 59 ||
        two(s, 17) > 59) {
        return 1206;
    }
    for (size_t i = 20; i < s.len; i++, unit /= 10) {
        if (!isdigit(s.ptr[i]) || unit == 0) {
            return 1206;
        }
        us += unit * (s.ptr[i] - '0');
    }
    if (s.len > 19 && (s.ptr[19] != '.' || s.len == 20)) {
        return 1206;
    }
    int64_t seconds = ((n * 24 + two(s, 11)) * 60 + two(s, 14)) * 60 + two(s, 17);
    buf_printf(out, "%lld", (long long)(seconds * 1000000 + us));
    return 0;
}

static int read_text(const struct copy_convert_conf *conf, const struct copy_column *col,
                     struct field *f, struct buf *out) {
    const struct copy_options *o = &conf->options;
    bool fixed = col->type == COPY_CHAR;
    while ((fixed || o->trimblanks) && f->len > 0 && f->text[f->len - 1] == ' ') {
        f->len--;
    }
    bool replaced = false;
    for (size_t i = 0; i < f->len;) {
        size_t n = character(f->text + i, f->len - i);
        if (f->text[i] == 0 && !replaced) {
            return conf->null_as.len == 1 && conf->null_as.ptr[0] == 0 ? 1218 : 1216;
        }
        if (n == 0 && (fixed || !o->acceptinvchars)) {
            return 1220;
        }
        if (n == 0) {
            f->text[i++] = o->invalid_char;
            replaced = true;
            continue;
        }
        if (n > 1 && fixed) {
            return 1220;
        }
        i += n;
    }
    if (memchr(f->text, 0, f->len) != NULL) {
        return conf->null_as.len == 1 && conf->null_as.ptr[0] == 0 ? 1218 : 1216;
    }
    size_t max = col->max_bytes;
    if (o->truncatecolumns && max > 0 && f->len > max) {
        size_t at = 0, n;
        while (at + (n = character(f->text + at, f->len - at)) <= max) {
            at += n;
        }
        f->len = at;
    }
    if (max > 0 && f->len > max) {
        return 1204;
    }
    buf_putc(out, '\'');
    buf_put(out, slice_of(f->text, f->len));
    for (size_t i = f->len; fixed && i < max; i++) {
        buf_putc(out, ' ');
    }
    buf_putc(out, '\'');
    return 0;
}

static int read_value(const struct copy_convert_conf *conf, const struct copy_column *col,
                      struct slice s, struct buf *out) {
    switch (col->type) {
    case COPY_INT2:
        return read_int(s, INT16_MAX, out);
    case COPY_INT4:
        return read_int(s, INT32_MAX, out);
    case COPY_INT8:
        return read_int(s, INT64_MAX, out);
    case COPY_FLOAT8:
        return read_float(s, out);
    case COPY_BOOL:
        return read_bool(s, out);
    case COPY_DATE:
        return read_date(s, out);
    case COPY_TIMESTAMP:
        return read_timestamp(s, out);
    default:
        return read_numeric(s, col, conf->options.roundec, out);
    }
}

static int put_null(const struct copy_column *col, struct buf *out) {
    buf_puts(out, "NULL");
    return col->not_null ? 1213 : 0;
}

static int read_field(struct job *j, size_t i) {
    const struct copy_convert_conf *conf = j->conf;
    const struct copy_column *col = &conf->columns[i];
    struct field *f = &j->row.fields[i];
    struct slice raw = slice_of(j->row.p + f->start, f->end - f->start);
    struct slice s = slice_of(f->text, f->len);
    bool text = col->type == COPY_CHAR || col->type == COPY_VARCHAR;
    if (f->null || (!f->quoted && slice_eq(raw, conf->null_as)) ||
        (conf->split.escape && slice_eq(s, conf->null_as))) {
        return put_null(col, &j->values);
    }
    size_t blanks = 0;
    while (blanks < f->len && is_blank(f->text[blanks])) {
        blanks++;
    }
    bool blank = blanks == f->len;
    if (text) {
        bool null = f->len == 0 ? conf->options.emptyasnull : blank && conf->options.blanksasnull;
        return null ? put_null(col, &j->values) : read_text(conf, col, f, &j->values);
    }
    if (blank) {
        return put_null(col, &j->values);
    }
    size_t end = f->len;
    while (is_blank(f->text[end - 1])) {
        end--;
    }
    size_t before = j->values.len;
    int code = read_value(conf, col, slice_of(f->text + blanks, end - blanks), &j->values);
    bool date = col->type == COPY_DATE || col->type == COPY_TIMESTAMP;
    if (code != 0 && date && conf->options.acceptanydate) {
        j->values.len = before;
        return put_null(col, &j->values);
    }
    return code;
}

/* ---- Rows ---- */

/* 0, or the code; *ret_column and *ret_position say where. */
static int read_row(struct job *j, int *ret_column, size_t *ret_position) {
    const struct copy_convert_conf *conf = j->conf;
    struct row *r = &j->row;
    size_t columns = conf->column_count, stored = r->count < columns ? r->count : columns;
    bool few = r->count < columns && r->fault == GOOD;
    *ret_column = (int)stored;
    *ret_position = r->len;
    if (few && !conf->options.fillrecord && conf->split.format == DELIMITED_FIXED) {
        return r->len == 0 ? 1211 : 1203;
    }
    for (size_t i = 0; i < stored; i++) {
        *ret_column = (int)i;
        *ret_position = r->fields[i].raw;
        if ((r->fault != GOOD && r->fault_field == i) ||
            (few && !conf->options.fillrecord && i + 1 == stored)) {
            return 1214;
        }
        buf_puts(&j->values, i > 0 ? "," : "");
        int code = read_field(j, i);
        if (code != 0) {
            return code;
        }
    }
    for (size_t i = stored; i < columns; i++) {
        bool empty = conf->columns[i].type == COPY_VARCHAR && !conf->options.emptyasnull;
        *ret_column = (int)i;
        *ret_position = r->len;
        buf_puts(&j->values, i > 0 ? "," : "");
        buf_puts(&j->values, empty ? "''" : "");
        int code = empty ? 0 : put_null(&conf->columns[i], &j->values);
        if (code != 0) {
            return code;
        }
    }
    *ret_column = -1;
    *ret_position = r->count > columns ? r->fields[columns - 1].end : 0;
    return r->count > columns ? 1202 : 0;
}

static void finish_row(struct job *j, uint64_t line) {
    int column;
    size_t position;
    buf_reset(&j->values);
    int code = read_row(j, &column, &position);
    if (code == 0) {
        buf_printf(j->out, "(%.*s)", SLICE_FMT(buf_slice(&j->values)));
    } else {
        buf_printf(j->out, "<%llu/%d/%zu/%d>", (unsigned long long)line, column, position, code);
    }
}

static struct job *job_new(const struct copy_convert_conf *conf, struct buf *out) {
    struct job *j = calloc(1, sizeof *j);
    sl_assert(j != NULL);
    j->conf = conf;
    j->out = out;
    j->values = BUF_INIT(1024 * 1024);
    return j;
}

static void job_free(struct job *j) {
    buf_fini(&j->values);
    free(j);
}

void reference_record(const struct copy_convert_conf *conf, const struct reference_value *values,
                      uint64_t line, struct buf *out) {
    struct job *j = job_new(conf, out);
    j->row.p = (const uint8_t *)"";
    for (size_t i = 0; i < conf->column_count; i++) {
        struct field *f = field_new(&j->row, values[i].position);
        f->quoted = true;
        f->null = values[i].null;
        for (size_t k = 0; k < values[i].text.len; k++) {
            add(f, values[i].text.ptr[k]);
        }
    }
    finish_row(j, line);
    job_free(j);
}

void reference_read(const struct copy_convert_conf *conf, struct slice data, struct buf *out) {
    struct job *j = job_new(conf, out);
    uint64_t line = 1;
    while (data.len > 0) {
        struct row *r = &j->row;
        r->p = data.ptr;
        r->lines = 0;
        r->count = r->fault_field = 0;
        r->fault = GOOD;
        switch (conf->split.format) {
        case DELIMITED_CSV:
            read_csv(&conf->split, data, r);
            break;
        case DELIMITED_FIXED:
            read_fixed(&conf->split, data, r);
            break;
        default:
            read_plain(&conf->split, data, r, conf->column_count);
        }
        if (r->len > 0 || !conf->options.ignoreblanklines) {
            finish_row(j, line);
        }
        line += r->lines;
        data = slice_sub(data, r->next, data.len);
    }
    job_free(j);
}
