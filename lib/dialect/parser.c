/* The cursor, the edits and the split into statements. */
#include "lib/dialect/parser_in.h"

#include <stdarg.h>
#include <stdio.h>

#include "lib/base/limits.h"

enum { STATEMENTS_MAX = 100 * 1000, VALUE_BYTES_MAX = PARSED_STATEMENT_MAX };

void parser_init(struct parser *p, struct slice source, size_t start, size_t end,
                 const struct dialect_options *opt, struct arena *a, struct dialect_error *error) {
    *p = (struct parser){
        .source = slice_sub(source, 0, end), .end = end, .opt = opt, .arena = a, .error = error};
    p->previous_end = start;
    p->now = lexer_next(p->source, start);
}

void parser_next(struct parser *p) {
    p->previous_end = p->now.end;
    p->now = lexer_next(p->source, p->now.end);
}

bool parser_take(struct parser *p, const char *word) {
    bool is = parser_at(p, word);
    if (is) {
        parser_next(p);
    }
    return is;
}

bool parser_take_punct(struct parser *p, char c) {
    bool is = parser_at_punct(p, c);
    if (is) {
        parser_next(p);
    }
    return is;
}

struct token parser_peek(const struct parser *p) {
    return lexer_next(p->source, p->now.end);
}

struct sl_rc parser_fail(struct parser *p, enum sl_code code, size_t position, const char *fmt,
                         ...) {
    char text[SL_ERROR_DETAIL_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    p->error->position = position;
    return sl_fail(&p->error->err, code, "%s", text);
}

/* At most 63 bytes, not ending inside a character. */
static struct slice whole_chars(struct slice s) {
    size_t n = s.len < 63 ? s.len : 63;
    while (n > 0 && n < s.len && (s.ptr[n] & 0xc0) == 0x80) {
        n--;
    }
    return slice_sub(s, 0, n);
}

struct sl_rc parser_syntax(struct parser *p) {
    if (p->now.kind == TOKEN_END) {
        return parser_fail(p, SL_E_SQL_SYNTAX, p->now.start, "syntax error at end of input");
    }
    if (p->now.kind == TOKEN_BAD) {
        return parser_fail(p, SL_E_SQL_SYNTAX, p->now.start,
                           "unterminated quoted string, identifier or comment");
    }
    /* A string may be a secret: it is not repeated. */
    bool quiet =
        p->now.kind == TOKEN_STRING || p->now.kind == TOKEN_DOLLAR || p->now.kind == TOKEN_QUOTED;
    return quiet ? parser_fail(p, SL_E_SQL_SYNTAX, p->now.start,
                               "syntax error at or near a quoted string")
                 : parser_fail(p, SL_E_SQL_SYNTAX, p->now.start, "syntax error at or near \"%.*s\"",
                               SLICE_FMT(whole_chars(parser_text(p))));
}

struct sl_rc parser_need(struct parser *p, const char *word) {
    return parser_take(p, word) ? SL_OK : parser_syntax(p);
}

struct sl_rc parser_need_punct(struct parser *p, char c) {
    return parser_take_punct(p, c) ? SL_OK : parser_syntax(p);
}

static struct sl_rc nomem(struct parser *p) {
    return parser_fail(p, SL_E_NOMEM, p->now.start, "out of memory");
}

/* The text between `from` and `to` with doubled `quote` made single. */
static struct sl_rc undouble(struct parser *p, size_t from, size_t to, uint8_t quote,
                             struct slice *ret) {
    uint8_t *out = arena_alloc(p->arena, to - from + 1);
    size_t n = 0;
    if (out == NULL) {
        return nomem(p);
    }
    for (size_t i = from; i < to; i++) {
        out[n++] = p->source.ptr[i];
        if (p->source.ptr[i] == quote) {
            i++;
        }
    }
    *ret = slice_of(out, n);
    return SL_OK;
}

struct sl_rc parser_identifier(struct parser *p, struct slice *ret) {
    struct token t = p->now;
    if (t.kind == TOKEN_QUOTED && p->source.ptr[t.start] == '"') {
        TRY(undouble(p, t.start + 1, t.end - 1, '"', ret));
    } else if (t.kind == TOKEN_WORD) {
        struct slice copy = arena_copy(p->arena, token_text(p->source, t));
        if (copy.ptr == NULL) {
            return nomem(p);
        }
        uint8_t *bytes = (uint8_t *)(uintptr_t)copy.ptr;
        for (size_t i = 0; i < copy.len; i++) {
            bytes[i] = bytes[i] >= 'A' && bytes[i] <= 'Z' ? (uint8_t)(bytes[i] + 32) : bytes[i];
        }
        *ret = copy;
    } else {
        return parser_syntax(p);
    }
    parser_next(p);
    return SL_OK;
}

struct sl_rc parser_encoding(struct parser *p, struct slice *ret) {
    static const char *const names[] = {"auto",      "az64",    "bytedict", "delta",    "delta32k",
                                        "lzo",       "mostly8", "mostly16", "mostly32", "raw",
                                        "runlength", "text255", "text32k",  "zstd"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (parser_take(p, names[i])) {
            *ret = slice_cstr(names[i]);
            return SL_OK;
        }
    }
    return parser_syntax(p);
}

struct sl_rc parser_qualified(struct parser *p, struct slice *ret_span, struct slice *ret_last) {
    size_t start = p->now.start;
    do {
        TRY(parser_identifier(p, ret_last));
    } while (parser_take_punct(p, '.'));
    *ret_span = slice_sub(p->source, start, p->previous_end);
    return SL_OK;
}

struct sl_rc parser_temp_name(struct parser *p, struct slice *ret) {
    struct slice name;
    parser_next(p); /* # */
    if (p->now.kind != TOKEN_WORD || p->now.start != p->previous_end) {
        return parser_syntax(p);
    }
    TRY(parser_identifier(p, &name));
    const char *text = arena_printf(p->arena, "\"#%.*s\"", SLICE_FMT(name));
    if (text == NULL) {
        return nomem(p);
    }
    *ret = slice_cstr(text);
    return SL_OK;
}

/* An octal or hexadecimal escape's value from at most `max` digits at *i. */
static uint8_t digits_value(struct slice s, size_t *i, int base, int max) {
    unsigned v = 0;
    for (int n = 0; n < max && *i < s.len; n++) {
        uint8_t c = s.ptr[*i] | 32;
        int d = s.ptr[*i] >= '0' && s.ptr[*i] <= '9' ? s.ptr[*i] - '0'
                : c >= 'a' && c <= 'f'               ? c - 'a' + 10
                                                     : 99;
        if (d >= base) {
            break;
        }
        v = v * (unsigned)base + (unsigned)d;
        (*i)++;
    }
    return (uint8_t)v;
}

/* E'…' without the E and the outer quotes. */
static struct sl_rc unescape(struct parser *p, size_t from, size_t to, struct slice *ret) {
    uint8_t *out = arena_alloc(p->arena, to - from + 1);
    struct slice s = slice_sub(p->source, 0, to);
    size_t n = 0, i = from;
    if (out == NULL) {
        return nomem(p);
    }
    while (i < to) {
        uint8_t c = s.ptr[i++];
        if (c == '\'') {
            i++;
        } else if (c == '\\' && i < to) {
            c = s.ptr[i++];
            switch (c) {
            case 'b':
                c = '\b';
                break;
            case 'f':
                c = '\f';
                break;
            case 'n':
                c = '\n';
                break;
            case 'r':
                c = '\r';
                break;
            case 't':
                c = '\t';
                break;
            case 'x':
                c = digits_value(s, &i, 16, 2);
                break;
            case 'u':
            case 'U':
                return parser_fail(p, SL_E_SQL_UNSUPPORTED, from,
                                   "Unicode escapes are not supported here");
            default:
                if (c >= '0' && c <= '7') {
                    i--;
                    c = digits_value(s, &i, 8, 3);
                }
            }
            if (c == 0) {
                return parser_fail(p, SL_E_SQL_SYNTAX, p->now.start,
                                   "a string can't have a NUL byte");
            }
        }
        out[n++] = c;
    }
    *ret = slice_of(out, n);
    return SL_OK;
}

struct sl_rc parser_string(struct parser *p, struct slice *ret) {
    struct token t = p->now;
    if (t.continued) {
        return parser_fail(p, SL_E_SQL_UNSUPPORTED, t.start,
                           "a string in several parts is not supported here");
    }
    if (t.kind == TOKEN_DOLLAR) {
        size_t tag = slice_find(slice_sub(p->source, t.start + 1, t.end), '$') + 2;
        *ret = slice_sub(p->source, t.start + tag, t.end - tag);
    } else if (t.kind == TOKEN_STRING && p->source.ptr[t.start] == '\'') {
        TRY(undouble(p, t.start + 1, t.end - 1, '\'', ret));
    } else if (t.kind == TOKEN_STRING && (p->source.ptr[t.start] | 32) == 'e') {
        TRY(unescape(p, t.start + 2, t.end - 1, ret));
    } else if (t.kind == TOKEN_WORD || t.kind == TOKEN_NUMBER) {
        /* may be a secret without its quotes */
        return parser_fail(p, SL_E_SQL_SYNTAX, t.start, "a quoted string is expected here");
    } else {
        return parser_syntax(p);
    }
    parser_next(p);
    return SL_OK;
}

struct sl_rc parser_number(struct parser *p, uint64_t max, uint64_t *ret) {
    if (p->now.kind != TOKEN_NUMBER || !slice_u64(parser_text(p), max, ret)) {
        return parser_syntax(p);
    }
    parser_next(p);
    return SL_OK;
}

struct sl_rc parser_skip_parens(struct parser *p) {
    size_t depth = 0;
    do {
        if (p->now.kind == TOKEN_END || p->now.kind == TOKEN_BAD) {
            return parser_syntax(p);
        }
        depth += parser_at_punct(p, '(');
        depth -= parser_at_punct(p, ')');
        parser_next(p);
    } while (depth > 0);
    return SL_OK;
}

struct sl_rc parser_edit(struct parser *p, size_t start, size_t end, struct slice text) {
    if (p->edit_count == p->edit_cap) {
        size_t cap = p->edit_cap ? p->edit_cap * 2 : 64;
        struct edit *grown = cap <= EDITS_MAX ? arena_array(p->arena, cap, sizeof *grown) : NULL;
        if (grown == NULL) {
            return parser_fail(p, SL_E_LIMIT, start, "the statement is too large");
        }
        for (size_t i = 0; i < p->edit_count; i++) {
            grown[i] = p->edits[i];
        }
        p->edits = grown;
        p->edit_cap = cap;
    }
    sl_assert(p->edit_count == 0 || p->edits[p->edit_count - 1].end <= start);
    p->edits[p->edit_count++] = (struct edit){start, end, text};
    return SL_OK;
}

struct sl_rc parser_apply(struct parser *p, size_t start, struct slice *ret) {
    SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(VALUE_BYTES_MAX * 4);
    size_t at = start;
    for (size_t i = 0; i < p->edit_count; i++) {
        buf_put(&out, slice_sub(p->source, at, p->edits[i].start));
        buf_put(&out, p->edits[i].text);
        at = p->edits[i].end;
    }
    buf_put(&out, slice_sub(p->source, at, p->end));
    TRY(buf_check(&out, &p->error->err));
    *ret = arena_copy(p->arena, buf_slice(&out));
    return ret->ptr != NULL ? SL_OK : nomem(p);
}

void put_literal(struct buf *out, struct slice value) {
    bool backslash = slice_find(value, '\\') < value.len;
    buf_puts(out, backslash ? "E'" : "'");
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] == '\'' || value.ptr[i] == '\\') {
            buf_putc(out, value.ptr[i]);
        }
        buf_putc(out, value.ptr[i]);
    }
    buf_putc(out, '\'');
}

/* ---- splitting
 * ---------------------------------------------------------------------------------------------------
 */

enum { LEAD_WORDS = 6 };

struct lead { /* the first tokens of a statement */
    struct token t[LEAD_WORDS];
    size_t n;
};

static bool lead_is(struct slice s, const struct lead *l, size_t i, const char *word) {
    return i < l->n && token_is(s, l->t[i], word);
}

static enum dialect_kind classify(struct slice s, const struct lead *l) {
    if (l->n == 0) {
        return DIALECT_EMPTY;
    }
    if (lead_is(s, l, 0, "copy")) {
        return DIALECT_COPY;
    }
    if (lead_is(s, l, 0, "vacuum")) {
        return DIALECT_VACUUM;
    }
    bool create = lead_is(s, l, 0, "create"), alter = lead_is(s, l, 0, "alter");
    if (alter && lead_is(s, l, 1, "table")) {
        return DIALECT_ALTER_TABLE;
    }
    bool mapping =
        lead_is(s, l, 2, "mapping") && (lead_is(s, l, 3, "for") || lead_is(s, l, 3, "if"));
    if ((create || alter) && !mapping && (lead_is(s, l, 1, "user") || lead_is(s, l, 1, "role"))) {
        return DIALECT_USER;
    }
    if (create && lead_is(s, l, 1, "group")) {
        return DIALECT_USER;
    }
    size_t i = 1;
    i += lead_is(s, l, i, "local") || lead_is(s, l, i, "global");
    i += lead_is(s, l, i, "temp") || lead_is(s, l, i, "temporary");
    return create && lead_is(s, l, i, "table") ? DIALECT_CREATE_TABLE : DIALECT_OTHER;
}

/* Nested statements of SQL-standard function bodies: BEGIN ATOMIC … END, with CASE … END inside. */
struct body {
    bool may_have;
    size_t depth;
    bool after_begin;
};

static void body_step(struct slice s, struct token t, struct body *b) {
    if (!b->may_have) {
        return;
    }
    if (b->depth == 0) {
        b->depth = b->after_begin && token_is(s, t, "atomic");
        b->after_begin = token_is(s, t, "begin");
    } else if (token_is(s, t, "case")) {
        b->depth++;
    } else if (token_is(s, t, "end")) {
        b->depth--;
    }
}

/* The statement that starts at `from`: its first words and its end (at the semicolon or the
 * source's end). */
static struct token scan_statement(struct slice s, size_t from, struct lead *lead,
                                   size_t *ret_start) {
    struct body body = {0};
    bool rule = false; /* CREATE RULE … DO (a; b) */
    size_t parens = 0;
    struct token t = lexer_next(s, from);
    *ret_start = t.start;
    *lead = (struct lead){0};
    for (;; t = lexer_next(s, t.end)) {
        if (t.kind == TOKEN_END ||
            (token_punct(s, t, ';') && body.depth == 0 && (parens == 0 || !rule))) {
            return t;
        }
        if (lead->n < LEAD_WORDS) {
            lead->t[lead->n++] = t;
            bool create = lead_is(s, lead, 0, "create");
            body.may_have |= create && (token_is(s, t, "function") || token_is(s, t, "procedure"));
            rule |= create && token_is(s, t, "rule");
        }
        body_step(s, t, &body);
        parens += token_punct(s, t, '(');
        parens -= token_punct(s, t, ')') && parens > 0;
    }
}

static struct sl_rc parse_statement(struct slice source, const struct dialect_options *opt,
                                    struct arena *a, const struct lead *lead,
                                    struct dialect_statement *st, struct dialect_error *error) {
    struct parser p;
    parser_init(&p, source, st->start, st->end, opt, a, error);
    if (lead_is(source, lead, 0, "unload")) {
        return parser_fail(&p, SL_E_SQL_UNSUPPORTED, st->start, "UNLOAD is not supported yet");
    }
    st->kind = classify(source, lead);
    if (st->kind == DIALECT_OTHER || st->kind == DIALECT_EMPTY) {
        return SL_OK;
    }
    if (st->end - st->start > PARSED_STATEMENT_MAX) {
        return parser_fail(&p, SL_E_LIMIT, st->start,
                           "a statement of this kind may have at most %d bytes",
                           PARSED_STATEMENT_MAX);
    }
    return st->kind == DIALECT_COPY          ? copy_parse_statement(&p, st)
           : st->kind == DIALECT_USER        ? user_parse(&p, st)
           : st->kind == DIALECT_VACUUM      ? vacuum_parse(&p, st)
           : st->kind == DIALECT_ALTER_TABLE ? alter_table_parse(&p, st)
                                             : create_table_parse(&p, st);
}

/* Beside a statement with a secret no other goes on that PostgreSQL can't parse: it may be a piece
 * of that one, cut off by a stray quote or semicolon. */
static struct sl_rc check_neighbours(struct slice source, const struct dialect_options *opt,
                                     struct arena *a, const struct dialect_statement *list,
                                     size_t count, struct dialect_error *error) {
    static const char *const words[] = {
        "select", "with",     "insert",  "update",   "delete",     "merge",     "values",
        "table",  "create",   "alter",   "drop",     "truncate",   "copy",      "begin",
        "start",  "commit",   "end",     "abort",    "rollback",   "savepoint", "release",
        "set",    "reset",    "show",    "analyze",  "analyse",    "vacuum",    "explain",
        "grant",  "revoke",   "prepare", "execute",  "deallocate", "declare",   "fetch",
        "move",   "close",    "lock",    "comment",  "call",       "do",        "notify",
        "listen", "unlisten", "discard", "refresh",  "reindex",    "cluster",   "checkpoint",
        "cancel", "reassign", "import",  "security", "load",       "use"};
    bool secret = false;
    for (size_t i = 0; i < count; i++) {
        secret |=
            list[i].rewritten && (list[i].kind == DIALECT_COPY || list[i].kind == DIALECT_USER);
    }
    for (size_t i = 0; secret && i < count; i++) {
        if (list[i].kind != DIALECT_OTHER) {
            continue;
        }
        struct parser p;
        parser_init(&p, source, list[i].start, list[i].end, opt, a, error);
        bool known = parser_at_punct(&p, '(');
        for (size_t w = 0; w < sizeof words / sizeof words[0]; w++) {
            known |= parser_at(&p, words[w]);
        }
        while (known && p.now.kind != TOKEN_END && p.now.kind != TOKEN_BAD) {
            parser_next(&p);
        }
        if (!known || p.now.kind == TOKEN_BAD) {
            return parser_syntax(&p);
        }
    }
    return SL_OK;
}

struct sl_rc dialect_rewrite(struct slice source, const struct dialect_options *opt,
                             struct arena *a, struct dialect_statement **ret_statements,
                             size_t *ret_count, struct dialect_error *ret_error) {
    struct dialect_statement *list = NULL;
    size_t count = 0, cap = 0, from = 0;
    *ret_error = (struct dialect_error){0};
    ENSURE(source.len <= LIMIT_SQL_STATEMENT_BYTES, &ret_error->err, SL_E_LIMIT,
           "a query text may have at most %d bytes", LIMIT_SQL_STATEMENT_BYTES);
    for (;;) {
        struct lead lead;
        struct dialect_statement st = {0};
        struct token stop = scan_statement(source, from, &lead, &st.start);
        st.end = lead.n > 0 && stop.kind == TOKEN_END ? source.len : stop.start;
        st.sql = slice_sub(source, st.start, st.end);
        if (stop.kind == TOKEN_END && lead.n == 0 && count > 0) {
            break; /* after the last semicolon */
        }
        TRY(parse_statement(source, opt, a, &lead, &st, ret_error));
        if (count == cap) {
            cap = cap ? cap * 2 : 4;
            struct dialect_statement *grown =
                cap <= STATEMENTS_MAX ? arena_array(a, cap, sizeof *grown) : NULL;
            ENSURE(grown != NULL, &ret_error->err, SL_E_LIMIT, "too many statements in one text");
            for (size_t i = 0; i < count; i++) {
                grown[i] = list[i];
            }
            list = grown;
        }
        list[count++] = st;
        if (stop.kind == TOKEN_END) {
            break;
        }
        from = stop.end;
    }
    TRY(check_neighbours(source, opt, a, list, count, ret_error));
    *ret_statements = list;
    *ret_count = count;
    return SL_OK;
}
