/* The end of a row that comes in pieces; see delimited.h. Byte by byte, by the rules of the
 * splitter: such rows are refused, so nothing of them but their end matters. */
#include "lib/codec/delimited_in.h"

/* CSV: where a field stands. */
enum { CSV_BEGIN, CSV_BARE, CSV_INSIDE, CSV_CLOSED /* the last byte closed it */, CSV_AFTER };

static bool csv_ends(struct delimited_tail *t, uint8_t c) {
    if (c == t->conf->quote) {
        if (t->state == CSV_BEGIN || t->state == CSV_CLOSED) {
            t->state = CSV_INSIDE;
        } else if (t->state == CSV_INSIDE) {
            t->state = CSV_CLOSED;
        }
    } else if (t->state == CSV_INSIDE) {
        return false;
    } else if (c == '\n') {
        return true;
    } else if (c == t->conf->delimiter) {
        t->state = CSV_BEGIN;
    } else if (t->state == CSV_CLOSED) {
        t->state = CSV_AFTER;
    } else if (t->state == CSV_BEGIN && c != ' ' && c != '\t') {
        t->state = CSV_BARE;
    }
    return false;
}

static bool escaped_ends(struct delimited_tail *t, uint8_t c) {
    bool literal = t->escaped;
    t->escaped = !literal && c == '\\';
    return !literal && c == '\n';
}

static bool json_ends(struct delimited_tail *t, uint8_t c) {
    if (t->state == 0) { /* its first byte */
        t->state = 1;
        t->depth = c == '{' || c == '[';
        return false;
    }
    if (t->depth == 0) {
        return c == '\n';
    }
    if (t->quoted) {
        bool literal = t->escaped;
        t->escaped = !literal && c == '\\';
        t->quoted = literal || c != '"';
        return false;
    }
    t->quoted = c == '"';
    t->depth += c == '{' || c == '[';
    t->depth -= c == '}' || c == ']';
    return t->depth == 0;
}

bool delimited_tail_end(struct delimited_tail *t, struct slice data, size_t *ret_end) {
    bool (*ends)(struct delimited_tail *, uint8_t) =
        t->conf->format == DELIMITED_CSV                        ? csv_ends
        : t->conf->format == DELIMITED_JSON                     ? json_ends
        : t->conf->format == DELIMITED_PLAIN && t->conf->escape ? escaped_ends
                                                                : NULL;
    if (ends == NULL) {
        size_t at = slice_find(data, '\n');
        if (at < data.len) {
            *ret_end = at + 1;
        }
        return at < data.len;
    }
    for (size_t i = 0; i < data.len; i++) {
        if (ends(t, data.ptr[i])) {
            *ret_end = i + 1;
            return true;
        }
    }
    return false;
}
