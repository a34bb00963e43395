/* Tokens of Redshift and PostgreSQL SQL with their source spans. Blanks and comments are skipped.
 */
#ifndef SL_DIALECT_LEXER_H
#define SL_DIALECT_LEXER_H

#include "lib/base/slice.h"

enum token_kind {
    TOKEN_END,
    TOKEN_WORD,   /* unquoted identifier or keyword */
    TOKEN_QUOTED, /* "identifier" */
    TOKEN_STRING, /* '…', E'…', U&'…', N'…' */
    TOKEN_BITS,   /* B'…', X'…' */
    TOKEN_DOLLAR, /* $tag$…$tag$ */
    TOKEN_NUMBER,
    TOKEN_PARAM, /* $1 */
    TOKEN_PUNCT, /* one byte */
    TOKEN_BAD,   /* unterminated string, identifier or comment: to the end of the source */
};

struct token {
    enum token_kind kind;
    size_t start;
    size_t end;
    bool continued; /* a string in several parts, over lines */
};

/* The token at or after byte `at`. */
struct token lexer_next(struct slice source, size_t at);
static inline struct slice token_text(struct slice source, struct token t) {
    return slice_sub(source, t.start, t.end);
}
/* Is it this keyword (any case)? */
static inline bool token_is(struct slice source, struct token t, const char *word) {
    return t.kind == TOKEN_WORD && slice_ieq(token_text(source, t), slice_cstr(word));
}
static inline bool token_punct(struct slice source, struct token t, char c) {
    return t.kind == TOKEN_PUNCT && source.ptr[t.start] == (uint8_t)c;
}

#endif
