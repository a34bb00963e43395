/* CREATE and ALTER USER or ROLE: passwords leave the text, Redshift's own words become
 * PostgreSQL's. */
#include "lib/dialect/parser_in.h"

enum { PASSWORD_MIN = 8, PASSWORD_MAX = 64 };

/* Redshift's rule for a clear password (CREATE USER, "PASSWORD"). */
static struct sl_rc check_password(struct parser *p, struct slice s, size_t at) {
    bool upper = false, lower = false, digit = false;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.ptr[i];
        upper |= c >= 'A' && c <= 'Z';
        lower |= c >= 'a' && c <= 'z';
        digit |= c >= '0' && c <= '9';
        if (c <= ' ' || c > '~' || c == '\'' || c == '"' || c == '\\' || c == '/' || c == '@') {
            return parser_fail(
                p, SL_E_SQL_SYNTAX, at,
                "password can contain any printable ASCII character but ' \" \\ / @ and blanks");
        }
    }
    if (s.len < PASSWORD_MIN || s.len > PASSWORD_MAX) {
        return parser_fail(p, SL_E_SQL_SYNTAX, at,
                           "password must be between %d and %d characters long", PASSWORD_MIN,
                           PASSWORD_MAX);
    }
    if (!upper || !lower || !digit) {
        return parser_fail(p, SL_E_SQL_SYNTAX, at,
                           "password must contain at least one uppercase letter, one lowercase "
                           "letter and one digit");
    }
    return SL_OK;
}

static bool is_digest(struct slice s) {
    return (s.len == 35 && slice_starts(s, SLICE_LIT("md5"))) ||
           slice_starts(s, SLICE_LIT("sha256|")) || slice_starts(s, SLICE_LIT("SCRAM-SHA-256$"));
}

static struct sl_rc password(struct parser *p, struct slice user) {
    size_t at = p->now.start;
    if (parser_at(p, "disable") || parser_at(p, "null")) {
        TRY(parser_edit(p, at, p->now.end, SLICE_LIT("NULL")));
        parser_next(p);
        return SL_OK;
    }
    struct slice clear;
    TRY(parser_string(p, &clear));
    if (!is_digest(clear)) {
        TRY(check_password(p, clear, at));
    }
    SL_CLEANUP(buf_fini) struct buf stored = BUF_INIT(4096);
    SL_CLEANUP(buf_fini) struct buf literal = BUF_INIT(8192);
    p->error->position = at;
    TRY(p->opt->seal(p->opt->seal_ctx, "password", user, clear, &stored, &p->error->err));
    put_literal(&literal, buf_slice(&stored));
    TRY(buf_check(&literal, &p->error->err));
    struct slice text = arena_copy(p->arena, buf_slice(&literal));
    if (text.ptr == NULL) {
        return parser_fail(p, SL_E_NOMEM, at, "out of memory");
    }
    return parser_edit(p, at, p->previous_end, text);
}

/* From the current token, `words` tokens further, replaced by `text`. */
static struct sl_rc replace(struct parser *p, size_t words, const char *text) {
    size_t at = p->now.start;
    for (size_t i = 0; i < words; i++) {
        if (p->now.kind == TOKEN_END) {
            return parser_syntax(p);
        }
        parser_next(p);
    }
    return parser_edit(p, at, p->previous_end, slice_cstr(text));
}

/* Does the statement say CREATEDB or NOCREATEDB itself? */
static bool has_createdb(const struct parser *p, size_t start) {
    for (struct token t = lexer_next(p->source, start); t.kind != TOKEN_END;
         t = lexer_next(p->source, t.end)) {
        if (token_is(p->source, t, "createdb") || token_is(p->source, t, "nocreatedb")) {
            return true;
        }
    }
    return false;
}

static struct sl_rc one_option(struct parser *p, struct slice user, size_t start) {
    if (parser_take(p, "password")) {
        return password(p, user);
    }
    if (parser_at(p, "createuser")) {
        return replace(p, 1, has_createdb(p, start) ? "CREATEROLE" : "CREATEROLE CREATEDB");
    }
    if (parser_at(p, "nocreateuser")) {
        return replace(p, 1, "NOCREATEROLE");
    }
    if (parser_at(p, "syslog")) {
        return replace(p, 3, ""); /* SYSLOG ACCESS RESTRICTED | UNRESTRICTED */
    }
    if (parser_at(p, "session")) {
        return replace(p, 3, ""); /* SESSION TIMEOUT n */
    }
    if (parser_at(p, "reset") && token_is(p->source, parser_peek(p), "session")) {
        return replace(p, 3, ""); /* RESET SESSION TIMEOUT */
    }
    if (parser_take(p, "limit") && parser_at(p, "unlimited")) {
        return replace(p, 1, "-1");
    }
    parser_next(p);
    return SL_OK;
}

struct sl_rc user_parse(struct parser *p, struct dialect_statement *st) {
    size_t start = p->now.start;
    struct slice user;
    parser_next(p); /* CREATE or ALTER */
    parser_next(p); /* USER or ROLE */
    TRY(parser_identifier(p, &user));
    while (p->now.kind != TOKEN_END && !parser_at(p, "set") && !parser_at(p, "rename")) {
        if (p->now.kind == TOKEN_BAD) {
            return parser_syntax(p);
        }
        TRY(one_option(p, user, start));
    }
    st->rewritten = p->edit_count > 0;
    return st->rewritten ? parser_apply(p, start, &st->sql) : SL_OK;
}
