/* The lexer; lexical structure by PostgreSQL 15's documentation, chapter 4.1. */
#include "lib/dialect/lexer.h"

static bool is_space(uint8_t c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_digit(uint8_t c) {
    return c >= '0' && c <= '9';
}

static bool starts_word(uint8_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
}

static bool in_word(uint8_t c) {
    return starts_word(c) || is_digit(c) || c == '$';
}

/* Byte at `i`, or 0 past the end. */
static uint8_t at(struct slice s, size_t i) {
    return i < s.len ? s.ptr[i] : 0;
}

/* Past blanks and comments; *ret_open when a comment is not closed. */
static size_t skip_blank(struct slice s, size_t i, bool *ret_open) {
    *ret_open = false;
    for (;;) {
        if (i < s.len && is_space(s.ptr[i])) {
            i++;
        } else if (at(s, i) == '-' && at(s, i + 1) == '-') {
            while (i < s.len && s.ptr[i] != '\n' && s.ptr[i] != '\r') {
                i++;
            }
        } else if (at(s, i) == '/' && at(s, i + 1) == '*') {
            size_t depth = 1, j = i + 2;
            while (j < s.len && depth > 0) {
                if (s.ptr[j] == '/' && at(s, j + 1) == '*') {
                    depth++;
                    j++;
                } else if (s.ptr[j] == '*' && at(s, j + 1) == '/') {
                    depth--;
                    j++;
                }
                j++;
            }
            if (depth > 0) {
                *ret_open = true;
                return i;
            }
            i = j;
        } else {
            return i;
        }
    }
}

/* Past the closing quote of what opens at `i` (a quote byte), or 0 when it is not closed. */
static size_t quoted_end(struct slice s, size_t i, bool backslash) {
    uint8_t quote = s.ptr[i];
    for (i++; i < s.len; i++) {
        if (backslash && s.ptr[i] == '\\') {
            i++;
        } else if (s.ptr[i] == quote) {
            if (at(s, i + 1) != quote) {
                return i + 1;
            }
            i++;
        }
    }
    return 0;
}

/* A string goes on behind blanks with a line end: the quote that continues it, or 0. */
static size_t continued_at(struct slice s, size_t i) {
    bool line_end = false;
    for (;; i++) {
        if (at(s, i) == '-' && at(s, i + 1) == '-') {
            while (i < s.len && s.ptr[i] != '\n' && s.ptr[i] != '\r') {
                i++;
            }
        }
        uint8_t c = at(s, i);
        if (c == '\'') {
            return line_end ? i : 0;
        }
        if (i >= s.len || !is_space(c)) {
            return 0;
        }
        line_end |= c == '\n' || c == '\r';
    }
}

static struct token quoted(struct slice s, size_t start, size_t quote, enum token_kind kind,
                           bool backslash) {
    size_t end = quoted_end(s, quote, backslash), next;
    struct token t = {kind, start, end};
    while (end != 0 && s.ptr[quote] == '\'' && (next = continued_at(s, end)) != 0) {
        end = quoted_end(s, next, backslash);
        t.end = end;
        t.continued = true;
    }
    return end == 0 ? (struct token){TOKEN_BAD, start, s.len, false} : t;
}

/* $1, $tag$…$tag$, or a lone dollar. */
static struct token dollar(struct slice s, size_t i) {
    size_t j = i + 1;
    if (is_digit(at(s, j))) {
        while (is_digit(at(s, j))) {
            j++;
        }
        return (struct token){TOKEN_PARAM, i, j, false};
    }
    while (j < s.len && (starts_word(s.ptr[j]) || (j > i + 1 && is_digit(s.ptr[j])))) {
        j++;
    }
    if (at(s, j) != '$') {
        return (struct token){TOKEN_PUNCT, i, i + 1, false};
    }
    struct slice tag = slice_sub(s, i, j + 1);
    for (size_t k = j + 1; k + tag.len <= s.len; k++) {
        if (s.ptr[k] == '$' && memcmp(s.ptr + k, tag.ptr, tag.len) == 0) {
            return (struct token){TOKEN_DOLLAR, i, k + tag.len, false};
        }
    }
    return (struct token){TOKEN_BAD, i, s.len, false};
}

static struct token number(struct slice s, size_t i) {
    size_t j = i;
    while (is_digit(at(s, j)) || at(s, j) == '.') {
        j++;
    }
    if ((at(s, j) | 32) == 'e' &&
        (is_digit(at(s, j + 1)) ||
         ((at(s, j + 1) == '+' || at(s, j + 1) == '-') && is_digit(at(s, j + 2))))) {
        j += 2;
        while (is_digit(at(s, j))) {
            j++;
        }
    }
    return (struct token){TOKEN_NUMBER, i, j, false};
}

static struct token word(struct slice s, size_t i) {
    uint8_t c = s.ptr[i] | 32, next = at(s, i + 1);
    if (next == '\'' && (c == 'e' || c == 'n')) {
        return quoted(s, i, i + 1, TOKEN_STRING, c == 'e');
    }
    if (next == '\'' && (c == 'b' || c == 'x')) {
        return quoted(s, i, i + 1, TOKEN_BITS, false);
    }
    if (c == 'u' && next == '&' && (at(s, i + 2) == '\'' || at(s, i + 2) == '"')) {
        return quoted(s, i, i + 2, at(s, i + 2) == '\'' ? TOKEN_STRING : TOKEN_QUOTED, false);
    }
    size_t j = i + 1;
    while (j < s.len && in_word(s.ptr[j])) {
        j++;
    }
    return (struct token){TOKEN_WORD, i, j, false};
}

struct token lexer_next(struct slice s, size_t from) {
    bool open;
    size_t i = skip_blank(s, from, &open);
    if (open) {
        return (struct token){TOKEN_BAD, i, s.len, false};
    }
    if (i >= s.len) {
        return (struct token){TOKEN_END, s.len, s.len, false};
    }
    uint8_t c = s.ptr[i];
    if (starts_word(c)) {
        return word(s, i);
    }
    if (c == '\'') {
        return quoted(s, i, i, TOKEN_STRING, false);
    }
    if (c == '"') {
        return quoted(s, i, i, TOKEN_QUOTED, false);
    }
    if (c == '$') {
        return dollar(s, i);
    }
    if (is_digit(c) || (c == '.' && is_digit(at(s, i + 1)))) {
        return number(s, i);
    }
    return (struct token){TOKEN_PUNCT, i, i + 1, false};
}
