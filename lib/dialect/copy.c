/* COPY from S3: authorization, options, and the rewritten form
 * (docs/decisions/6-secrets-in-sql.md). */
#include "lib/dialect/copy_in.h"

#include "lib/codec/text.h"

static const char credentials_form[] =
    "Invalid credentials. Must be of the format: credentials 'aws_iam_role=...' or "
    "'aws_access_key_id=...;aws_secret_access_key=...[;token=...]'";

struct sl_rc copy_fail_credentials(struct copy *c, size_t at) {
    return parser_fail(c->p, SL_E_SQL_SYNTAX, at, "%s", credentials_form);
}

static bool is_source(struct slice s, const char *scheme) {
    size_t n = strlen(scheme);
    return s.len >= n && slice_ieq(slice_sub(s, 0, n), slice_cstr(scheme));
}

/* PostgreSQL's own forms go on as they are, unless they carry words that only ours have behind the
 * table and its columns, or the query. */
static struct sl_rc pass_on(struct parser *p, struct dialect_statement *st) {
    struct parser look = *p;
    if (parser_at_punct(&look, '(')) {
        TRY(parser_skip_parens(&look));
    }
    while (look.now.kind != TOKEN_END) {
        static const char *const words[] = {"credentials",          "access_key_id",
                                            "secret_access_key",    "session_token",
                                            "master_symmetric_key", "iam_role"};
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
            if (parser_at(&look, words[i])) {
                return parser_fail(p, SL_E_SQL_SYNTAX, look.now.start,
                                   "COPY with authorization loads from 's3://bucket/prefix'");
            }
        }
        if (look.now.kind == TOKEN_BAD) {
            return parser_syntax(&look);
        }
        parser_next(&look);
    }
    st->kind = DIALECT_OTHER;
    return SL_OK;
}

static struct sl_rc seal_option(struct copy *c, const char *name, const char *what,
                                struct slice clear) {
    SL_CLEANUP(buf_fini) struct buf sealed = BUF_INIT(PARSED_STATEMENT_MAX * 2);
    TRY(c->p->opt->seal(c->p->opt->seal_ctx, what, SLICE_EMPTY, clear, &sealed, &c->p->error->err));
    copy_put_option(c, name, buf_slice(&sealed));
    return SL_OK;
}

static struct sl_rc seal_keys(struct copy *c) {
    if (c->secret.len == 0 || c->access_key_id.len == 0) {
        return copy_fail_credentials(c, c->p->now.start);
    }
    SL_CLEANUP(buf_fini) struct buf clear = BUF_INIT(PARSED_STATEMENT_MAX);
    clear.wipe = true;
    buf_put(&clear, c->access_key_id);
    buf_putc(&clear, '\n');
    buf_put(&clear, c->secret);
    buf_putc(&clear, '\n');
    buf_put(&clear, c->token);
    TRY(buf_check(&clear, &c->p->error->err));
    return seal_option(c, "credentials", "copy-credentials", buf_slice(&clear));
}

static struct sl_rc finish(struct copy *c, struct slice table, struct slice columns,
                           struct slice source, struct dialect_statement *st) {
    struct parser *p = c->p;
    if (!c->authorised) {
        return parser_fail(
            p, SL_E_SQL_SYNTAX, p->end,
            "COPY from S3 needs IAM_ROLE, CREDENTIALS or ACCESS_KEY_ID and SECRET_ACCESS_KEY");
    }
    TRY(copy_options_check(c));
    if (c->role.len > 0) {
        copy_put_option(c, "iam_role", c->role);
    } else {
        TRY(seal_keys(c));
    }
    if (c->master_key.len > 0) {
        TRY(seal_option(c, "master_symmetric_key", "master-symmetric-key", c->master_key));
    }
    TRY(buf_check(&c->with, &p->error->err));
    SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(COPY_TEXT_MAX);
    buf_puts(&out, "COPY ");
    buf_put(&out, table);
    buf_putc(&out, ' ');
    buf_put(&out, columns);
    buf_puts(&out, columns.len > 0 ? " FROM " : "FROM ");
    put_literal(&out, source);
    buf_puts(&out, " WITH (");
    buf_put(&out, buf_slice(&c->with));
    buf_putc(&out, ')');
    TRY(buf_check(&out, &p->error->err));
    st->sql = arena_copy(p->arena, buf_slice(&out));
    st->rewritten = true;
    return st->sql.ptr != NULL ? SL_OK : parser_fail(p, SL_E_NOMEM, 0, "out of memory");
}

/* (a, "b", c) as text without comments. */
static struct sl_rc column_list(struct parser *p, struct buf *out) {
    TRY(parser_need_punct(p, '('));
    buf_putc(out, '(');
    do {
        struct slice name;
        struct token t = p->now;
        TRY(parser_identifier(p, &name));
        buf_puts(out, out->len > 1 ? ", " : "");
        buf_put(out, token_text(p->source, t));
    } while (parser_take_punct(p, ','));
    buf_putc(out, ')');
    return parser_need_punct(p, ')');
}

/* a.b as text without blanks and comments; #a is a temporary table. */
static struct sl_rc table_name(struct parser *p, struct buf *out) {
    struct slice temp;
    if (parser_at_punct(p, '#')) {
        TRY(parser_temp_name(p, &temp));
        buf_put(out, temp);
        return SL_OK;
    }
    do {
        struct slice name;
        struct token t = p->now;
        TRY(parser_identifier(p, &name));
        buf_puts(out, out->len > 0 ? "." : "");
        buf_put(out, token_text(p->source, t));
    } while (parser_take_punct(p, '.'));
    return SL_OK;
}

static struct sl_rc from_s3(struct copy *c, struct slice table, struct slice columns,
                            struct dialect_statement *st) {
    struct parser *p = c->p;
    struct slice source;
    TRY(parser_string(p, &source));
    while (p->now.kind != TOKEN_END) {
        TRY(copy_option(c));
        parser_take_punct(p, ',');
    }
    return finish(c, table, columns, source, st);
}

struct sl_rc copy_parse_statement(struct parser *p, struct dialect_statement *st) {
    SL_CLEANUP(buf_fini) struct buf table = BUF_INIT(PARSED_STATEMENT_MAX);
    SL_CLEANUP(buf_fini) struct buf columns = BUF_INIT(PARSED_STATEMENT_MAX);
    TRY(parser_need(p, "copy"));
    if (parser_at(p, "job")) {
        return parser_fail(p, SL_E_SQL_UNSUPPORTED, p->now.start, "COPY JOB is not supported yet");
    }
    if (parser_at_punct(p, '(')) {
        return pass_on(p, st); /* COPY (query) TO */
    }
    TRY(table_name(p, &table));
    if (parser_at_punct(p, '(')) {
        TRY(column_list(p, &columns));
    }
    if (!parser_take(p, "from")) {
        return parser_at(p, "to") ? pass_on(p, st) : parser_syntax(p);
    }
    if (p->now.kind != TOKEN_STRING && p->now.kind != TOKEN_DOLLAR) {
        return pass_on(p, st);
    }
    struct parser look = *p;
    struct slice source;
    TRY(parser_string(&look, &source));
    static const char *const later[] = {"dynamodb://", "emr://", "ssh://"};
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++) {
        if (is_source(source, later[i])) {
            return parser_fail(p, SL_E_SQL_UNSUPPORTED, p->now.start,
                               "COPY from %s is not supported", later[i]);
        }
    }
    if (!is_source(source, "s3://")) {
        return pass_on(p, st);
    }
    struct copy c = {.p = p, .with = BUF_INIT(COPY_TEXT_MAX)};
    struct sl_rc rc = from_s3(&c, buf_slice(&table), buf_slice(&columns), st);
    buf_fini(&c.with);
    return rc;
}
