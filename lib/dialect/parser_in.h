/* Inside of lib/dialect: a cursor over the tokens of one statement, edits of its source, and what
 * its parsers share. */
#ifndef SL_DIALECT_PARSER_IN_H
#define SL_DIALECT_PARSER_IN_H

#include "lib/dialect/dialect.h"
#include "lib/dialect/lexer.h"

/* A replacement of source bytes [start, end). */
struct edit {
    size_t start;
    size_t end;
    struct slice text;
};

enum { EDITS_MAX = 16 * 1024, PARSED_STATEMENT_MAX = 1024 * 1024 };

struct parser {
    struct slice source; /* whole text */
    size_t end;          /* of the statement */
    struct token now;    /* current token, TOKEN_END at the statement's end */
    size_t previous_end; /* end of the token before */
    struct arena *arena;
    const struct dialect_options *opt;
    struct dialect_error *error;
    struct edit *edits; /* in order */
    size_t edit_count;
    size_t edit_cap;
};

void parser_init(struct parser *p, struct slice source, size_t start, size_t end,
                 const struct dialect_options *opt, struct arena *a, struct dialect_error *error);
void parser_next(struct parser *p);
static inline struct slice parser_text(const struct parser *p) {
    return token_text(p->source, p->now);
}
static inline bool parser_at(const struct parser *p, const char *word) {
    return token_is(p->source, p->now, word);
}
static inline bool parser_at_punct(const struct parser *p, char c) {
    return token_punct(p->source, p->now, c);
}
/* Steps over the word or byte if it is there. */
bool parser_take(struct parser *p, const char *word);
bool parser_take_punct(struct parser *p, char c);
struct token parser_peek(const struct parser *p); /* the token after the current one */
struct sl_rc parser_need(struct parser *p, const char *word);
struct sl_rc parser_need_punct(struct parser *p, char c);
/* "syntax error at or near …" at the current token. */
struct sl_rc parser_syntax(struct parser *p);
struct sl_rc parser_fail(struct parser *p, enum sl_code code, size_t position, const char *fmt, ...)
    SL_PRINTF(4, 5);
/* An identifier: its value (unquoted and folded, or the quoted text) in the arena. */
struct sl_rc parser_identifier(struct parser *p, struct slice *ret);
/* One of Redshift's names of encodings, in lower case. */
struct sl_rc parser_encoding(struct parser *p, struct slice *ret);
/* a, a.b, a.b.c: the source span. */
struct sl_rc parser_qualified(struct parser *p, struct slice *ret_span, struct slice *ret_last);
/* #name, a temporary table: "#name" in the arena. */
struct sl_rc parser_temp_name(struct parser *p, struct slice *ret);
/* The value of a string constant ('…', E'…' or $$…$$). */
struct sl_rc parser_string(struct parser *p, struct slice *ret);
struct sl_rc parser_number(struct parser *p, uint64_t max, uint64_t *ret);
/* From an opening parenthesis past its closing one. */
struct sl_rc parser_skip_parens(struct parser *p);
/* Edits must come in source order. */
struct sl_rc parser_edit(struct parser *p, size_t start, size_t end, struct slice text);
/* The statement's text from `start` with its edits. */
struct sl_rc parser_apply(struct parser *p, size_t start, struct slice *ret);
/* A SQL literal of any text: '…' with quotes doubled, E'…' where there are backslashes. */
void put_literal(struct buf *out, struct slice value);

/* The parsers of statements. p stands at the first token. */
struct sl_rc create_table_parse(struct parser *p, struct dialect_statement *st);
struct sl_rc copy_parse_statement(struct parser *p, struct dialect_statement *st);
struct sl_rc user_parse(struct parser *p, struct dialect_statement *st);
struct sl_rc vacuum_parse(struct parser *p, struct dialect_statement *st);
struct sl_rc alter_table_parse(struct parser *p, struct dialect_statement *st);

#endif
