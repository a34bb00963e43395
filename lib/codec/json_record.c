/* Records of JSON as rows of the splitter; see json_record.h. Texts are not checked for UTF-8 here:
 * the converter does, as for all formats. */
#include "lib/base/limits.h"
#include "lib/codec/delimited_in.h"
#include "lib/codec/json_scan_in.h"
#include "lib/codec/json_shape_in.h"
#include "lib/codec/utf8_in.h"

struct walk {
    const struct json_shape *shape;
    const uint8_t *p;
    size_t at, end;
    unsigned depth;
    bool bad_hex;
    struct delimited_field *fields;
    size_t max_fields;
    struct delimited_row *row;
};

static bool digit(uint8_t c) {
    return (uint8_t)(c - '0') <= 9;
}

/* 0 behind the end, which no token begins with. */
static uint8_t peek(const struct walk *w) {
    return w->at < w->end ? w->p[w->at] : 0;
}

/* There is none as a rule, or a single one. */
static size_t past_blanks(struct slice data, size_t at) {
    for (int i = 0; i < 2; i++, at++) {
        if (at == data.len || json_scan_counts(JSON_SCAN_BLANKS, data.ptr[at])) {
            return at;
        }
    }
    return at + json_scan(JSON_SCAN_BLANKS, data.ptr + at, data.len - at);
}

static void skip_blanks(struct walk *w) {
    w->at = past_blanks(slice_of(w->p, w->end), w->at);
}

/* The column of the first leaf below, for a fault's report. */
static uint32_t column_below(const struct json_node *n) {
    while (n->column == JSON_NO_COLUMN) {
        n = n->member_count > 0 ? n->members[0] : n->items[0];
    }
    return (uint32_t)n->column;
}

static void fault(struct walk *w, enum delimited_fault what, const struct json_node *n) {
    if (w->row->fault == DELIMITED_FINE) {
        w->row->fault = what;
        w->row->fault_at = (uint32_t)w->at;
        w->row->fault_field = column_below(n);
    }
}

/* Past four digits, or to the one that is none. */
static bool hex4(struct walk *w) {
    for (size_t i = 0; i < 4; i++, w->at++) {
        uint8_t c = peek(w);
        if (!digit(c) && (uint8_t)((c | 32) - 'a') > 5) {
            w->bad_hex = true;
            return false;
        }
    }
    return true;
}

/* From the opening quote past the closing one. */
static bool string(struct walk *w, bool *ret_escaped) {
    *ret_escaped = false;
    w->at++;
    while (true) {
        w->at += json_scan(JSON_SCAN_STRING, w->p + w->at, w->end - w->at);
        uint8_t c = peek(w);
        if (c == '"') {
            w->at++;
            return true;
        }
        if (c != '\\') {
            return false;
        }
        *ret_escaped = true;
        w->at++;
        c = peek(w);
        if (c != 'u' && (c == 0 || strchr("\"\\/bfnrt", c) == NULL)) {
            return false;
        }
        w->at++;
        if (c == 'u' && !hex4(w)) {
            return false;
        }
    }
}

static bool digits(struct walk *w) {
    size_t from = w->at;
    while (digit(peek(w))) {
        w->at++;
    }
    return w->at > from;
}

static bool number(struct walk *w) {
    w->at += peek(w) == '-';
    if (peek(w) == '0') {
        w->at++;
    } else if (!digits(w)) {
        return false;
    }
    if (peek(w) == '.') {
        w->at++;
        if (!digits(w)) {
            return false;
        }
    }
    if ((peek(w) | 32) == 'e') {
        w->at++;
        w->at += peek(w) == '-' || peek(w) == '+';
        return digits(w);
    }
    return true;
}

static bool word(struct walk *w, const char *text) {
    size_t n = strlen(text);
    bool good = w->end - w->at >= n && memcmp(w->p + w->at, text, n) == 0;
    w->at += good ? n : 0;
    return good;
}

static bool value(struct walk *w, const struct json_node *n);

/* A member's name may itself have escapes, which names of columns and paths have not. */
static const struct json_node *member_node(const struct walk *w, const struct json_node *n,
                                           struct slice name, bool escaped) {
    uint8_t plain[1024];
    if (n == NULL || n->member_count == 0 || name.len > sizeof plain) {
        return NULL;
    }
    if (escaped) {
        name = slice_of(plain, delimited_json_unescape(name, plain));
    }
    return json_shape_member(w->shape, n, name);
}

static bool object(struct walk *w, const struct json_node *n) {
    w->at++;
    skip_blanks(w);
    for (bool first = true; peek(w) != '}' || !first; first = false) {
        bool escaped;
        size_t from = w->at + 1;
        if (peek(w) != '"' || !string(w, &escaped)) {
            return false;
        }
        struct slice name = slice_of(w->p + from, w->at - 1 - from);
        skip_blanks(w);
        if (peek(w) != ':') {
            return false;
        }
        w->at++;
        if (!value(w, member_node(w, n, name, escaped))) {
            return false;
        }
        skip_blanks(w);
        if (peek(w) == '}') {
            break;
        }
        if (peek(w) != ',') {
            return false;
        }
        w->at++;
        skip_blanks(w);
    }
    w->at++;
    return true;
}

static bool array(struct walk *w, const struct json_node *n) {
    size_t next = 0; /* of the node's items, which are in order */
    w->at++;
    skip_blanks(w);
    for (uint64_t i = 0; peek(w) != ']' || i > 0; i++) {
        bool wanted = n != NULL && next < n->item_count && n->items[next]->index == i;
        if (!value(w, wanted ? n->items[next] : NULL)) {
            return false;
        }
        next += wanted;
        skip_blanks(w);
        if (peek(w) == ']') {
            break;
        }
        if (peek(w) != ',') {
            return false;
        }
        w->at++;
    }
    w->at++;
    if (n != NULL && next < n->item_count) {
        fault(w, DELIMITED_NO_ITEM, n->items[next]);
    }
    return true;
}

static void take(const struct walk *w, const struct json_node *n, const struct delimited_field *f) {
    for (int32_t c = n->column; c != JSON_NO_COLUMN; c = w->shape->same[c]) {
        if ((size_t)c < w->max_fields) {
            w->fields[c] = *f;
        }
    }
}

/* The value at hand, and into its column what it is. Recursion ends at LIMIT_JSON_DEPTH. */
static bool value(struct walk *w, const struct json_node *n) {
    skip_blanks(w);
    size_t from = w->at;
    bool escaped = false, good;
    uint8_t c = peek(w);
    if (c == '{' || c == '[') {
        good = w->depth++ < LIMIT_JSON_DEPTH && (c == '{' ? object(w, n) : array(w, n));
        w->depth--;
    } else if (c == '"') {
        good = string(w, &escaped);
    } else if (c == '-' || digit(c)) {
        good = number(w);
    } else {
        good = word(w, "true") || word(w, "false") || word(w, "null");
    }
    if (!good || n == NULL) {
        return good;
    }
    bool null = c == 'n';
    if (n->member_count > 0 && c != '{' && !null) {
        fault(w, DELIMITED_NO_MEMBER, n->members[0]);
    }
    if (n->item_count > 0 && c != '[' && !null) {
        fault(w, DELIMITED_NO_ITEM, n->items[0]);
    }
    size_t quotes = c == '"';
    take(w, n,
         &(struct delimited_field){.start = (uint32_t)(from + quotes),
                                   .len = (uint32_t)(w->at - from - 2 * quotes),
                                   .raw_start = (uint32_t)from,
                                   .quoted = true,
                                   .doubled = escaped,
                                   .null = null});
    return true;
}

/* Where what begins at `at` ends: an object or array with its last bracket, anything else with its
 * line. False: the data ends before. */
static bool extent(struct slice data, size_t at, size_t *ret_end) {
    const uint8_t *p = data.ptr;
    size_t depth = 0;
    *ret_end = data.len;
    if (p[at] != '{' && p[at] != '[') {
        const uint8_t *lf = memchr(p + at, '\n', data.len - at);
        *ret_end = lf != NULL ? (size_t)(lf - p) : data.len;
        return lf != NULL;
    }
    bool quoted = false;
    for (; at < data.len; at++) {
        at += quoted ? json_scan(JSON_SCAN_QUOTED, p + at, data.len - at)
                     : json_scan(JSON_SCAN_OUTSIDE, p + at, data.len - at);
        uint8_t c = at < data.len ? p[at] : 0;
        if (c == '"') {
            quoted = !quoted;
        } else if (quoted) {
            at++; /* what a backslash is before */
        } else if (c == '{' || c == '[') {
            depth++;
        } else if ((c == '}' || c == ']') && --depth == 0) {
            *ret_end = at + 1;
            return true;
        }
    }
    return false;
}

/* The record within [at, end), its fields with it. */
static bool take_record(struct walk *w, size_t at, size_t end) {
    const struct json_shape *shape = w->shape;
    for (size_t i = 0; i < shape->column_count && i < w->max_fields; i++) {
        w->fields[i] = (struct delimited_field){
            .start = (uint32_t)at, .raw_start = (uint32_t)at, .quoted = true, .null = true};
    }
    *w->row = (struct delimited_row){.start = (uint32_t)at,
                                     .end = (uint32_t)end,
                                     .lead = w->row->lead,
                                     .field_count = (uint32_t)shape->column_count};
    w->at = at;
    w->end = end;
    w->depth = 0;
    return (w->p[at] == '{' || w->p[at] == '[') && value(w, shape->root);
}

bool delimited_next_json(struct delimited *d, struct delimited_field *fields, size_t max_fields,
                         struct delimited_row *row) {
    size_t start = past_blanks(d->data, d->at), end;
    row->lead = (uint32_t)delimited_lines(slice_sub(d->data, d->at, start));
    d->at = start;
    if (start == d->data.len) {
        return false;
    }
    struct walk w = {.shape = d->conf.json,
                     .p = d->data.ptr,
                     .fields = fields,
                     .max_fields = max_fields,
                     .row = row};
    /* a record that is one ends where it says; of anything else the brackets tell */
    if (take_record(&w, start, d->data.len)) {
        end = w.at;
        row->end = (uint32_t)end;
    } else {
        (void)extent(d->data, start, &end);
        w.bad_hex = false;
        bool good = take_record(&w, start, end);
        sl_assert(!good);
        row->fault = w.bad_hex ? DELIMITED_BAD_HEX : DELIMITED_BAD_JSON;
        row->fault_at = (uint32_t)w.at;
        row->fault_field = 0;
    }
    d->at = past_blanks(d->data, end);
    row->lines = (uint32_t)delimited_lines(slice_sub(d->data, start, d->at));
    return true;
}

size_t delimited_cut_json(struct slice data) {
    size_t at = 0, end;
    while (true) {
        at = past_blanks(data, at); /* white space is nobody's, and need not wait */
        if (at == data.len || !extent(data, at, &end)) {
            return at;
        }
        at = end;
    }
}

static uint32_t hex_value(const uint8_t *p) {
    uint32_t v = 0;
    for (size_t i = 0; i < 4; i++) {
        v = v << 4 | (digit(p[i]) ? p[i] - (uint32_t)'0' : (p[i] | 32u) - 'a' + 10);
    }
    return v;
}

/* A surrogate without its other half comes out as it stands, which is no UTF-8. */
static uint32_t unicode(struct slice s, size_t *at) {
    uint32_t c = hex_value(s.ptr + *at);
    *at += 4;
    if (c >= 0xd800 && c <= 0xdbff && s.len - *at >= 6 && s.ptr[*at] == '\\' &&
        s.ptr[*at + 1] == 'u') {
        uint32_t low = hex_value(s.ptr + *at + 2);
        if (low >= 0xdc00 && low <= 0xdfff) {
            *at += 6;
            return 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        }
    }
    return c;
}

size_t delimited_json_unescape(struct slice s, uint8_t *out) {
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    uint8_t *w = out;
    for (size_t i = 0; i < s.len;) {
        if (s.ptr[i] != '\\') {
            *w++ = s.ptr[i++];
            continue;
        }
        uint8_t c = s.ptr[i + 1];
        i += 2;
        if (c == 'u') {
            w = utf8_put(w, unicode(s, &i));
        } else {
            const char *known = strchr(from, c);
            *w++ = known != NULL ? (uint8_t)to[known - from] : c;
        }
    }
    return (size_t)(w - out);
}
