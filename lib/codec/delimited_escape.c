/* Plain text with ESCAPE or REMOVEQUOTES; see delimited.h. Marks are delimiters, line ends and,
 * with ESCAPE, backslashes. */
#include "lib/codec/delimited_in.h"

/* The field at hand, and what was escaped last. */
struct escaped {
    uint32_t start;
    uint32_t literal; /* offset of the last escaped byte */
    bool coded;       /* the field has an escape */
};

/* 0: the field is not quoted. */
static uint8_t quote_of(const struct delimited *d, const struct escaped *e, uint32_t end) {
    uint8_t c = e->start < end ? d->data.ptr[e->start] : 0;
    return d->conf.removequotes && (c == '"' || c == '\'') ? c : 0;
}

/* Would a quoted field that ends here have its closing quote? */
static bool is_closed(const struct delimited *d, const struct escaped *e, uint32_t end) {
    uint8_t quote = quote_of(d, e, end);
    return quote == 0 ||
           (end - e->start >= 2 && d->data.ptr[end - 1] == quote && e->literal != end - 1);
}

static void close_field(const struct delimited *d, const struct escaped *e, uint32_t end,
                        struct delimited_field *fields, size_t max_fields,
                        struct delimited_row *row) {
    uint32_t quotes = 0;
    if (!is_closed(d, e, end)) {
        row->fault = DELIMITED_OPEN_QUOTE;
        row->fault_at = end;
        row->fault_field = row->field_count;
    } else if (quote_of(d, e, end) != 0) {
        quotes = 1;
    }
    if (row->field_count < max_fields) {
        fields[row->field_count] = (struct delimited_field){.start = e->start + quotes,
                                                            .len = end - e->start - 2 * quotes,
                                                            .raw_start = e->start,
                                                            .doubled = e->coded};
    }
    row->field_count++;
}

/* What stands behind a NUL is no data. */
static void end_at_nul(const struct delimited *d, struct delimited_field *fields, size_t max_fields,
                       struct delimited_row *row) {
    const uint8_t *p = d->data.ptr;
    const uint8_t *nul = memchr(p + row->start, 0, row->end - row->start);
    uint32_t at = nul != NULL ? (uint32_t)(nul - p) : row->end;
    for (uint32_t i = 0; nul != NULL && i < row->field_count && i < max_fields; i++) {
        if (i + 1 < row->field_count && i + 1 < max_fields && fields[i + 1].raw_start <= at) {
            continue;
        }
        if (at > fields[i].start + fields[i].len && i + 1 < row->field_count) {
            return; /* in a field that is one too many */
        }
        bool quoted = fields[i].start > fields[i].raw_start;
        fields[i].len = at > fields[i].start ? at - fields[i].start : 0;
        row->field_count = i + 1;
        row->fault = quoted || (row->fault != DELIMITED_FINE && row->fault_field == i)
                         ? DELIMITED_OPEN_QUOTE
                         : DELIMITED_FINE;
        row->fault_field = i;
        row->fault_at = at;
        return;
    }
}

bool delimited_next_escaped(struct delimited *d, struct delimited_field *fields, size_t max_fields,
                            struct delimited_row *row) {
    const uint8_t *p = d->data.ptr;
    struct escaped e = {.start = row->start, .literal = UINT32_MAX};
    uint32_t mark;
    bool ended = false;
    while (!ended) {
        uint32_t end = (uint32_t)d->data.len;
        if (!delimited_mark(d, &mark)) {
            d->at = d->data.len;
            row->end = end;
            ended = true;
        } else if (mark == e.literal) {
            row->lines += p[mark] == '\n';
            continue;
        } else if (d->conf.escape && p[mark] == '\\') {
            e.literal = mark + 1;
            e.coded = true;
            continue;
        } else if (p[mark] == '\n') {
            end = e.literal + 1 == mark ? mark : delimited_line_end(d, e.start, mark);
            d->at = (size_t)mark + 1;
            row->end = end;
            row->lines++;
            ended = true;
        } else {
            end = mark;
        }
        if (ended || is_closed(d, &e, end)) {
            close_field(d, &e, end, fields, max_fields, row);
            e = (struct escaped){.start = end + 1, .literal = UINT32_MAX};
        }
    }
    if (d->conf.escape && max_fields > 0) {
        end_at_nul(d, fields, max_fields, row);
    }
    return true;
}

size_t delimited_unescape(struct slice s, uint8_t *out) {
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        i += s.ptr[i] == '\\' && i + 1 < s.len;
        out[n++] = s.ptr[i];
    }
    return n;
}

size_t delimited_cut_escaped(struct slice data) {
    size_t end = data.len;
    while (end > 0) {
        const uint8_t *lf = memrchr(data.ptr, '\n', end);
        if (lf == NULL) {
            return 0;
        }
        size_t at = (size_t)(lf - data.ptr), backslashes = 0;
        while (backslashes < at && data.ptr[at - 1 - backslashes] == '\\') {
            backslashes++;
        }
        if (backslashes % 2 == 0) {
            return at + 1;
        }
        end = at;
    }
    return 0;
}
