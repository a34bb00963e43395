/* Splitter of COPY text; see delimited.h. The data is first reduced to the offsets of the bytes
 * that can matter (the marks), window by window; a small state machine then walks the marks. */
#include "lib/codec/delimited_in.h"

void delimited_start(struct delimited *d, const struct delimited_conf *conf, struct slice data,
                     enum delimited_scan scan) {
    sl_assert(data.len <= DELIMITED_MAX_BYTES);
    d->conf = *conf;
    d->data = data;
    d->index = delimited_index_pick(scan);
    d->scanned = 0;
    d->at = 0;
    d->mark_count = 1;
    d->mark_at = 1;
}

/* Indexes one more window. */
static void index_window(struct delimited *d) {
    size_t n = d->data.len - d->scanned;
    n = n < DELIMITED_WINDOW ? n : DELIMITED_WINDOW;
    d->mark_count += (uint32_t)d->index(&d->conf, d->data.ptr + d->scanned, n, (uint32_t)d->scanned,
                                        d->marks + d->mark_count, d->mark_bytes + d->mark_count);
    d->scanned += n;
}

bool delimited_mark(struct delimited *d, uint32_t *ret) {
    while (d->mark_at == d->mark_count) {
        if (d->scanned == d->data.len) {
            return false;
        }
        d->mark_at = d->mark_count = 1;
        index_window(d);
    }
    *ret = d->marks[d->mark_at++];
    return true;
}

uint32_t *delimited_ahead(struct delimited *d, size_t least, size_t *ret_count) {
    size_t left = d->mark_count - d->mark_at;
    if (left < least && left < DELIMITED_WINDOW && d->scanned < d->data.len) {
        memmove(d->marks + 1, d->marks + d->mark_at, left * sizeof *d->marks);
        memmove(d->mark_bytes + 1, d->mark_bytes + d->mark_at, left);
        d->mark_at = 1;
        d->mark_count = (uint32_t)left + 1;
        index_window(d);
    }
    *ret_count = d->mark_count - d->mark_at;
    d->marks[d->mark_at - 1] = (uint32_t)d->at - 1;
    return d->marks + d->mark_at;
}

static bool blank(uint8_t c) {
    return c == ' ' || c == '\t';
}

uint32_t delimited_line_end(const struct delimited *d, uint32_t start, uint32_t lf) {
    return lf > start && d->data.ptr[lf - 1] == '\r' ? lf - 1 : lf;
}

static bool next_plain(struct delimited *d, struct delimited_field *fields, size_t max_fields,
                       struct delimited_row *row) {
    const uint8_t *p = d->data.ptr;
    uint32_t start = row->start;
    uint32_t n = 0;
    uint32_t mark;
    bool ended = false;
    while (!ended) {
        uint32_t end;
        if (!delimited_mark(d, &mark)) {
            end = (uint32_t)d->data.len;
            row->end = end;
            d->at = d->data.len;
            ended = true;
        } else if (p[mark] == '\n') {
            end = delimited_line_end(d, start, mark);
            row->end = end;
            row->lines = 1;
            d->at = (size_t)mark + 1;
            ended = true;
        } else {
            end = mark;
        }
        if (n < max_fields) {
            fields[n] =
                (struct delimited_field){.start = start, .len = end - start, .raw_start = start};
        }
        n++;
        start = mark + 1;
    }
    row->field_count = n;
    return true;
}

/* CSV: where one field stands while its marks are walked. */
struct csv_field {
    uint32_t start; /* raw */
    uint32_t open;  /* after the opening quote */
    uint32_t close; /* the closing quote */
    enum { CSV_BARE, CSV_INSIDE, CSV_AFTER, CSV_SPOILT } state;
    bool doubled;
};

static void csv_fault(struct delimited_row *row, enum delimited_fault fault, uint32_t at) {
    if (row->fault == DELIMITED_FINE) {
        row->fault = fault;
        row->fault_at = at;
        row->fault_field = row->field_count;
    }
}

static void csv_quote(const struct delimited *d, struct csv_field *f, struct delimited_row *row,
                      uint32_t mark) {
    const uint8_t *p = d->data.ptr;
    if (f->state == CSV_INSIDE) {
        f->state = CSV_AFTER;
        f->close = mark;
        return;
    }
    if (f->state == CSV_AFTER && mark == f->close + 1) {
        f->state = CSV_INSIDE;
        f->doubled = true;
        return;
    }
    if (f->state == CSV_BARE) {
        uint32_t i = f->start;
        while (i < mark && blank(p[i])) {
            i++;
        }
        f->state = i == mark ? CSV_INSIDE : CSV_SPOILT;
        f->open = mark + 1;
        if (f->state == CSV_INSIDE) {
            return;
        }
    }
    csv_fault(row, DELIMITED_BAD_QUOTE, mark);
}

/* Ends a field at `end` (a delimiter, or the line's end). */
static void csv_close(const struct delimited *d, const struct csv_field *f,
                      struct delimited_row *row, uint32_t end, struct delimited_field *fields,
                      size_t max_fields) {
    struct delimited_field out = {.start = f->start, .len = end - f->start, .raw_start = f->start};
    if (f->state == CSV_AFTER) {
        for (uint32_t i = f->close + 1; i < end; i++) {
            if (!blank(d->data.ptr[i])) {
                csv_fault(row, DELIMITED_BAD_QUOTE, i);
                break;
            }
        }
        out.start = f->open;
        out.len = f->close - f->open;
        out.quoted = true;
        out.doubled = f->doubled;
    } else if (f->state == CSV_INSIDE) {
        csv_fault(row, DELIMITED_OPEN_QUOTE, end);
        out.start = f->open;
        out.len = end - f->open;
        out.quoted = true;
        out.doubled = f->doubled;
    }
    if (row->field_count < max_fields) {
        fields[row->field_count] = out;
    }
    row->field_count++;
}

static bool next_csv(struct delimited *d, struct delimited_field *fields, size_t max_fields,
                     struct delimited_row *row) {
    const uint8_t *p = d->data.ptr;
    struct csv_field f = {.start = row->start};
    uint32_t mark;
    while (delimited_mark(d, &mark)) {
        uint8_t c = p[mark];
        if (c == d->conf.quote) {
            csv_quote(d, &f, row, mark);
        } else if (f.state == CSV_INSIDE) {
            row->lines += c == '\n';
        } else if (c == '\n') {
            row->end = delimited_line_end(d, f.state == CSV_AFTER ? f.close + 1 : f.start, mark);
            row->lines++;
            d->at = (size_t)mark + 1;
            csv_close(d, &f, row, row->end, fields, max_fields);
            return true;
        } else {
            csv_close(d, &f, row, mark, fields, max_fields);
            f = (struct csv_field){.start = mark + 1};
        }
    }
    row->end = (uint32_t)d->data.len;
    d->at = d->data.len;
    csv_close(d, &f, row, row->end, fields, max_fields);
    return true;
}

bool delimited_next(struct delimited *d, struct delimited_field *fields, size_t max_fields,
                    struct delimited_row *ret) {
    if (d->at >= d->data.len) {
        return false;
    }
    *ret = (struct delimited_row){.start = (uint32_t)d->at};
    if (d->conf.format == DELIMITED_CSV) {
        return next_csv(d, fields, max_fields, ret);
    }
    if (d->conf.format == DELIMITED_JSON) {
        return delimited_next_json(d, fields, max_fields, ret);
    }
    if (d->conf.format == DELIMITED_FIXED) {
        return delimited_next_fixed(d, fields, max_fields, ret);
    }
    return d->conf.escape || d->conf.removequotes
               ? delimited_next_escaped(d, fields, max_fields, ret)
               : next_plain(d, fields, max_fields, ret);
}

size_t delimited_undouble(const struct delimited *d, const struct delimited_field *field,
                          uint8_t *out) {
    const uint8_t *p = d->data.ptr + field->start;
    size_t n = 0;
    if (!field->doubled) {
        memcpy(out, p, field->len);
        return field->len;
    }
    if (d->conf.format == DELIMITED_JSON) {
        return delimited_json_unescape(slice_of(p, field->len), out);
    }
    if (d->conf.format != DELIMITED_CSV) {
        return delimited_unescape(slice_of(p, field->len), out);
    }
    for (uint32_t i = 0; i < field->len; i++) {
        out[n++] = p[i];
        if (p[i] == d->conf.quote && i + 1 < field->len && p[i + 1] == d->conf.quote) {
            i++;
        }
    }
    return n;
}

size_t delimited_cut(const struct delimited_conf *conf, struct slice data,
                     enum delimited_scan scan) {
    if (data.len == 0) {
        return 0;
    }
    bool quotes = conf->format == DELIMITED_CSV && memchr(data.ptr, conf->quote, data.len) != NULL;
    if (conf->format == DELIMITED_JSON) {
        return delimited_cut_json(data);
    }
    if (conf->format == DELIMITED_PLAIN && conf->escape) {
        return delimited_cut_escaped(data);
    }
    if (!quotes) {
        const uint8_t *lf = memrchr(data.ptr, '\n', data.len);
        return lf ? (size_t)(lf - data.ptr) + 1 : 0;
    }
    struct delimited d;
    struct delimited_row row;
    delimited_start(&d, conf, data, scan);
    size_t end = 0;
    while (delimited_next(&d, NULL, 0, &row)) {
        if (d.at > row.end) { /* not so for a last row that runs into the data's end */
            end = d.at;
        }
    }
    return end;
}

size_t delimited_row_end(const struct delimited_conf *conf, struct slice data) {
    if (data.len == 0) {
        return 0;
    }
    bool lines = conf->format == DELIMITED_JSON /* what stands before the records */ ||
                 conf->format == DELIMITED_FIXED ||
                 (conf->format == DELIMITED_PLAIN && !conf->escape);
    if (lines) {
        const uint8_t *lf = memchr(data.ptr, '\n', data.len);
        return lf != NULL ? (size_t)(lf - data.ptr) + 1 : 0;
    }
    struct delimited d;
    struct delimited_row row;
    delimited_start(&d, conf, data, DELIMITED_BEST);
    (void)delimited_next(&d, NULL, 0, &row);
    return d.at > row.end ? d.at : 0;
}

size_t delimited_lines(struct slice data) {
    size_t n = 0;
    const uint8_t *p = data.ptr;
    size_t left = data.len;
    /* Runs of at most 255 keep the count in bytes, which compilers turn into vector code. */
    while (left > 0) {
        size_t run = left < 8160 ? left : 8160;
        uint8_t lanes[32] = {0};
        size_t i = 0;
        for (; i + 32 <= run; i += 32) {
            for (size_t k = 0; k < 32; k++) {
                lanes[k] = (uint8_t)(lanes[k] + (p[i + k] == '\n'));
            }
        }
        for (; i < run; i++) {
            n += p[i] == '\n';
        }
        for (size_t k = 0; k < 32; k++) {
            n += lanes[k];
        }
        p += run;
        left -= run;
    }
    return n;
}
