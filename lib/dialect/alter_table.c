/* ALTER TABLE … ALTER SORTKEY, DISTKEY, DISTSTYLE, ENCODE: attributes, which the extension takes
 * out of the option that they become. Everything else passes. */
#include "lib/codec/json.h"
#include "lib/dialect/parser_in.h"

enum { NAMES_MAX = 400, JSON_MAX = 64 * 1024 };

static struct sl_rc names(struct parser *p, struct jsonw *w) {
    size_t count = 0;
    TRY(parser_need_punct(p, '('));
    jsonw_name(w, "sortkey");
    jsonw_array_begin(w);
    do {
        struct slice name;
        if (++count > NAMES_MAX) {
            return parser_fail(p, SL_E_SQL_SYNTAX, p->now.start,
                               "a SORTKEY can have at most %d columns", NAMES_MAX);
        }
        TRY(parser_identifier(p, &name));
        jsonw_string(w, name);
    } while (parser_take_punct(p, ','));
    jsonw_array_end(w);
    return parser_need_punct(p, ')');
}

/* What ALTER COLUMN … ENCODE says of columns; one after the other. */
struct encodings {
    struct slice columns[NAMES_MAX], names[NAMES_MAX];
    size_t count;
};

static struct sl_rc column_encode(struct parser *p, struct encodings *e) {
    if (e->count == NAMES_MAX) {
        return parser_fail(p, SL_E_LIMIT, p->now.start,
                           "a statement can change the encoding of at most %d columns", NAMES_MAX);
    }
    parser_next(p); /* COLUMN */
    TRY(parser_identifier(p, &e->columns[e->count]));
    TRY(parser_need(p, "encode"));
    return parser_encoding(p, &e->names[e->count++]);
}

/* The last word on a column counts. */
static void put_encodings(struct jsonw *w, const struct encodings *e) {
    if (e->count == 0) {
        return;
    }
    jsonw_name(w, "encode");
    jsonw_object_begin(w);
    for (size_t i = 0; i < e->count; i++) {
        jsonw_name_slice(w, e->columns[i]);
        jsonw_string(w, e->names[i]);
    }
    jsonw_object_end(w);
}

static struct sl_rc encode_auto(struct parser *p, struct jsonw *w) {
    parser_next(p); /* AUTO */
    jsonw_name(w, "encode");
    jsonw_null(w);
    jsonw_name(w, "encodeAuto");
    jsonw_bool(w, true);
    return SL_OK;
}

static void member(struct jsonw *w, const char *name, struct slice value) {
    jsonw_name(w, name);
    jsonw_string(w, value);
}

static struct sl_rc sortkey(struct parser *p, struct jsonw *w) {
    bool automatic = parser_at(p, "auto");
    if (!automatic && !parser_at(p, "none")) {
        member(w, "sortstyle", SLICE_LIT("compound"));
        return names(p, w);
    }
    parser_next(p);
    jsonw_name(w, "sortkey");
    jsonw_array_begin(w);
    jsonw_array_end(w);
    member(w, "sortstyle", automatic ? SLICE_LIT("auto") : SLICE_LIT("none"));
    return SL_OK;
}

static struct sl_rc distkey(struct parser *p, struct jsonw *w) {
    struct slice name;
    TRY(parser_identifier(p, &name));
    member(w, "diststyle", SLICE_LIT("key"));
    member(w, "distkey", name);
    return SL_OK;
}

static struct sl_rc diststyle(struct parser *p, struct jsonw *w) {
    static const char *const styles[] = {"all", "even", "auto"};
    for (size_t i = 0; i < sizeof styles / sizeof styles[0]; i++) {
        if (parser_take(p, styles[i])) {
            member(w, "diststyle", slice_cstr(styles[i]));
            jsonw_name(w, "distkey");
            jsonw_null(w);
            return SL_OK;
        }
    }
    TRY(parser_need(p, "key"));
    TRY(parser_need(p, "distkey"));
    return distkey(p, w);
}

/* Whether what follows ALTER is ours: a column may have such a name. */
static bool is_ours(const struct parser *p) {
    struct token next = parser_peek(p), after = lexer_next(p->source, next.end);
    bool named = token_punct(p->source, next, '(') || token_is(p->source, next, "auto") ||
                 token_is(p->source, next, "none");
    if (parser_at(p, "sortkey")) {
        return named;
    }
    if (parser_at(p, "diststyle")) {
        return token_is(p->source, next, "all") || token_is(p->source, next, "even") ||
               token_is(p->source, next, "auto") || token_is(p->source, next, "key");
    }
    if (parser_at(p, "distkey")) {
        return next.end <= p->end && (after.kind == TOKEN_END || after.start >= p->end ||
                                      token_punct(p->source, after, ','));
    }
    if (parser_at(p, "encode")) {
        return token_is(p->source, next, "auto") &&
               (after.kind == TOKEN_END || after.start >= p->end ||
                token_punct(p->source, after, ','));
    }
    if (parser_at(p, "column")) {
        return (next.kind == TOKEN_WORD || next.kind == TOKEN_QUOTED) &&
               token_is(p->source, after, "encode");
    }
    return parser_at(p, "compound") && token_is(p->source, next, "sortkey");
}

static struct sl_rc attribute(struct parser *p, struct jsonw *w, struct encodings *e) {
    if (parser_at(p, "column")) {
        return column_encode(p, e);
    }
    if (parser_take(p, "encode")) {
        return encode_auto(p, w);
    }
    (void)parser_take(p, "compound");
    if (parser_take(p, "sortkey")) {
        return sortkey(p, w);
    }
    return parser_take(p, "distkey") ? distkey(p, w) : (parser_next(p), diststyle(p, w));
}

static struct sl_rc pass(struct dialect_statement *st) {
    st->kind = DIALECT_OTHER;
    return SL_OK;
}

static struct sl_rc rewrite(struct parser *p, struct slice table, struct slice json, size_t start) {
    SL_CLEANUP(buf_fini) struct buf sql = BUF_INIT(2 * JSON_MAX);
    buf_puts(&sql, "ALTER TABLE ");
    buf_put(&sql, table);
    buf_puts(&sql, " SET (sealift.attributes = ");
    put_literal(&sql, json);
    buf_putc(&sql, ')');
    TRY(buf_check(&sql, &p->error->err));
    struct slice text = arena_copy(p->arena, buf_slice(&sql));
    return text.ptr != NULL ? parser_edit(p, start, p->previous_end, text)
                            : parser_fail(p, SL_E_NOMEM, start, "out of memory");
}

struct sl_rc alter_table_parse(struct parser *p, struct dialect_statement *st) {
    SL_CLEANUP(buf_fini) struct buf json = BUF_INIT(JSON_MAX);
    struct jsonw w = jsonw_of(&json);
    struct encodings *encodings = arena_array(p->arena, 1, sizeof *encodings);
    struct slice table, last;
    size_t start = p->now.start;
    ENSURE(encodings != NULL, &p->error->err, SL_E_NOMEM, "out of memory");
    encodings->count = 0;
    parser_next(p); /* ALTER */
    parser_next(p); /* TABLE */
    if (parser_at_punct(p, '#')) {
        TRY(parser_temp_name(p, &table));
    } else if (p->now.kind != TOKEN_WORD && p->now.kind != TOKEN_QUOTED) {
        return pass(st);
    } else {
        TRY(parser_qualified(p, &table, &last));
    }
    jsonw_object_begin(&w);
    do {
        if (!parser_take(p, "alter") || !is_ours(p)) {
            return pass(st);
        }
        TRY(attribute(p, &w, encodings));
    } while (parser_take_punct(p, ','));
    put_encodings(&w, encodings);
    jsonw_object_end(&w);
    if (p->now.kind != TOKEN_END) {
        return parser_syntax(p);
    }
    TRY(buf_check(&json, &p->error->err));
    TRY(rewrite(p, table, buf_slice(&json), start));
    st->rewritten = true;
    return parser_apply(p, start, &st->sql);
}
