/* COPY from S3: authorization, options, and the rewritten form
 * (docs/decisions/6-secrets-in-sql.md). Syntax by the Redshift guide's COPY page: options stand in
 * any order, AS is a noise word, commas are tolerated. COMPUPDATE, STATUPDATE and COMPROWS are read
 * and dropped: they choose encodings and statistics, which change no result. */
#include "lib/dialect/parser_in.h"

#include <stdio.h>

#include "lib/codec/text.h"

enum { COPY_TEXT_MAX = PARSED_STATEMENT_MAX * 2, MAXERROR_MAX = 100000, COMPROWS_MAX = INT32_MAX };

struct copy {
    struct parser *p;
    struct buf with; /* WITH list so far */
    bool authorised;
    struct slice role, access_key_id, secret, token;
    bool keys_clause; /* ACCESS_KEY_ID form */
    uint64_t seen;    /* options by index: each may stand once */
    bool csv, quote;
    const char *compression; /* or NULL */
    size_t quote_position;
};

static const char credentials_form[] =
    "Invalid credentials. Must be of the format: credentials 'aws_iam_role=...' or "
    "'aws_access_key_id=...;aws_secret_access_key=...[;token=...]'";

static void put_option(struct copy *c, const char *name, struct slice value) {
    buf_puts(&c->with, c->with.len > 0 ? ", " : "");
    buf_puts(&c->with, name);
    buf_putc(&c->with, ' ');
    put_literal(&c->with, value);
}

static struct sl_rc fail_credentials(struct copy *c, size_t at) {
    return parser_fail(c->p, SL_E_SQL_SYNTAX, at, "%s", credentials_form);
}

static struct sl_rc once(struct copy *c, bool *ret_seen) {
    if (*ret_seen) {
        return parser_fail(c->p, SL_E_SQL_SYNTAX, c->p->now.start,
                           "COPY has more than one form of authorization");
    }
    *ret_seen = true;
    return SL_OK;
}

/* One part name=value of a CREDENTIALS string. */
static struct sl_rc credential_part(struct copy *c, struct slice part, size_t at) {
    size_t eq = slice_find(part, '=');
    struct slice name = slice_sub(part, 0, eq), value = slice_sub(part, eq + 1, part.len);
    struct slice *to = slice_eq_cstr(name, "aws_iam_role")            ? &c->role
                       : slice_eq_cstr(name, "aws_access_key_id")     ? &c->access_key_id
                       : slice_eq_cstr(name, "aws_secret_access_key") ? &c->secret
                       : slice_eq_cstr(name, "token")                 ? &c->token
                                                                      : NULL;
    if (slice_eq_cstr(name, "master_symmetric_key")) {
        return parser_fail(c->p, SL_E_SQL_UNSUPPORTED, at,
                           "COPY option MASTER_SYMMETRIC_KEY is not supported yet");
    }
    if (to == NULL || value.len == 0 || to->len > 0 || slice_find(value, '\n') < value.len) {
        return fail_credentials(c, at);
    }
    *to = value;
    return SL_OK;
}

static struct sl_rc credentials(struct copy *c) {
    struct slice text;
    TRY(once(c, &c->authorised));
    parser_take(c->p, "as");
    size_t at = c->p->now.start;
    TRY(parser_string(c->p, &text));
    while (text.len > 0) {
        size_t semi = slice_find(text, ';');
        TRY(credential_part(c, slice_sub(text, 0, semi), at));
        text = slice_sub(text, semi + 1, text.len);
    }
    bool role = c->role.len > 0, keys = c->access_key_id.len > 0 && c->secret.len > 0;
    if (role == keys ||
        (role && (c->access_key_id.len > 0 || c->secret.len > 0 || c->token.len > 0))) {
        return fail_credentials(c, at);
    }
    return SL_OK;
}

static struct sl_rc iam_role(struct copy *c) {
    TRY(once(c, &c->authorised));
    if (parser_take(c->p, "default")) {
        c->role = SLICE_LIT("default");
        return SL_OK;
    }
    size_t at = c->p->now.start;
    TRY(parser_string(c->p, &c->role));
    return c->role.len > 0 ? SL_OK : fail_credentials(c, at);
}

/* ACCESS_KEY_ID 'a' SECRET_ACCESS_KEY 's' [SESSION_TOKEN 't'], in any order among the options. */
static struct sl_rc key_clause(struct copy *c, struct slice *to) {
    if (!c->keys_clause) {
        TRY(once(c, &c->authorised));
        c->keys_clause = true;
    }
    size_t at = c->p->now.start;
    struct slice value;
    parser_take(c->p, "as");
    TRY(parser_string(c->p, &value));
    if (to->len > 0 || value.len == 0 || slice_find(value, '\n') < value.len) {
        return fail_credentials(c, at);
    }
    *to = value;
    return SL_OK;
}

/* A character, \t, or \ddd octal (the Redshift guide, DELIMITER). */
static struct sl_rc character(struct copy *c, const char *option) {
    struct slice v;
    uint8_t one;
    parser_take(c->p, "as");
    size_t at = c->p->now.start;
    TRY(parser_string(c->p, &v));
    if (v.len == 1 && v.ptr[0] < 0x80 && v.ptr[0] != 0) {
        one = v.ptr[0];
    } else if (slice_eq_cstr(v, "\\t")) {
        one = '\t';
    } else if (v.len >= 2 && v.len <= 4 && v.ptr[0] == '\\') {
        unsigned n = 0;
        for (size_t i = 1; i < v.len; i++) {
            n = v.ptr[i] >= '0' && v.ptr[i] <= '7' ? n * 8 + (v.ptr[i] - '0') : 1000;
        }
        if (n == 0 || n > 127) {
            return parser_fail(c->p, SL_E_SQL_SYNTAX, at,
                               "COPY %s must be a single ASCII character", option);
        }
        one = (uint8_t)n;
    } else {
        return parser_fail(c->p, SL_E_SQL_SYNTAX, at, "COPY %s must be a single ASCII character",
                           option);
    }
    put_option(c, option, slice_of(&one, 1));
    return SL_OK;
}

static struct sl_rc opt_delimiter(struct copy *c) {
    return character(c, "delimiter");
}
static struct sl_rc opt_quote(struct copy *c) {
    c->quote = true;
    c->quote_position = c->p->previous_end;
    return character(c, "quote");
}
/* An option without a value: WITH has it under the same name. */
static struct sl_rc flag(struct copy *c, const char *name) {
    put_option(c, name, SLICE_LIT("true"));
    return SL_OK;
}
#define FLAG_OPTION(name)                                                                          \
    static struct sl_rc opt_##name(struct copy *c) {                                               \
        return flag(c, #name);                                                                     \
    }
FLAG_OPTION(manifest)
FLAG_OPTION(emptyasnull)
FLAG_OPTION(blanksasnull)
FLAG_OPTION(trimblanks)
FLAG_OPTION(truncatecolumns)
FLAG_OPTION(fillrecord)
FLAG_OPTION(acceptanydate)
FLAG_OPTION(roundec)
FLAG_OPTION(ignoreblanklines)

/* ACCEPTINVCHARS [[AS] 'c'] */
static struct sl_rc opt_acceptinvchars(struct copy *c) {
    if (parser_at(c->p, "as") || c->p->now.kind == TOKEN_STRING) {
        return character(c, "acceptinvchars");
    }
    put_option(c, "acceptinvchars", SLICE_LIT("?"));
    return SL_OK;
}

static struct sl_rc compression(struct copy *c, const char *name) {
    if (c->compression != NULL) {
        return parser_fail(c->p, SL_E_SQL_SYNTAX, c->p->previous_end,
                           "COPY options %s and %s exclude each other", c->compression, name);
    }
    c->compression = name;
    put_option(c, "compression", slice_cstr(name));
    return SL_OK;
}
static struct sl_rc opt_gzip(struct copy *c) {
    return compression(c, "gzip");
}
static struct sl_rc opt_zstd(struct copy *c) {
    return compression(c, "zstd");
}
static struct sl_rc opt_bzip2(struct copy *c) {
    return compression(c, "bzip2");
}
static struct sl_rc opt_lzop(struct copy *c) {
    return compression(c, "lzop");
}
static struct sl_rc opt_csv(struct copy *c) {
    if (!c->csv) {
        put_option(c, "csv", SLICE_LIT("true"));
    }
    c->csv = true;
    return SL_OK;
}

static struct sl_rc opt_null(struct copy *c) {
    struct slice v;
    parser_take(c->p, "as");
    size_t at = c->p->now.start;
    TRY(parser_string(c->p, &v));
    if (slice_eq_cstr(v, "\\0") || slice_eq_cstr(v, "\\000")) {
        return parser_fail(c->p, SL_E_SQL_UNSUPPORTED, at,
                           "COPY option NULL AS with the NUL character is not supported yet");
    }
    put_option(c, "null_as", v);
    return SL_OK;
}

static struct sl_rc number_option(struct copy *c, const char *name, uint64_t max) {
    uint64_t v;
    char text[24];
    parser_take(c->p, "as");
    size_t at = c->p->now.start;
    if (sl_failed(parser_number(c->p, max, &v))) {
        c->p->error->err = (struct sl_error){0};
        return parser_fail(c->p, SL_E_SQL_SYNTAX, at,
                           "COPY option %s wants a number from 0 to %llu", name,
                           (unsigned long long)max);
    }
    snprintf(text, sizeof text, "%llu", (unsigned long long)v);
    put_option(c, name, slice_cstr(text));
    return SL_OK;
}
static struct sl_rc opt_ignoreheader(struct copy *c) {
    return number_option(c, "ignoreheader", INT32_MAX);
}
static struct sl_rc opt_maxerror(struct copy *c) {
    return number_option(c, "maxerror", MAXERROR_MAX);
}
static struct sl_rc opt_region(struct copy *c) {
    struct slice v;
    parser_take(c->p, "as");
    TRY(parser_string(c->p, &v));
    put_option(c, "region", v);
    return SL_OK;
}

static bool take_switch(struct parser *p) {
    return parser_take(p, "on") || parser_take(p, "off") || parser_take(p, "true") ||
           parser_take(p, "false");
}
static struct sl_rc opt_compupdate(struct copy *c) {
    if (!parser_take(c->p, "preset")) {
        take_switch(c->p);
    }
    return SL_OK;
}
static struct sl_rc opt_statupdate(struct copy *c) {
    take_switch(c->p);
    return SL_OK;
}
static struct sl_rc opt_comprows(struct copy *c) {
    uint64_t v;
    parser_take(c->p, "as");
    return parser_number(c->p, COMPROWS_MAX, &v);
}
static struct sl_rc opt_access_key(struct copy *c) {
    return key_clause(c, &c->access_key_id);
}
static struct sl_rc opt_secret_key(struct copy *c) {
    return key_clause(c, &c->secret);
}
static struct sl_rc opt_token(struct copy *c) {
    return key_clause(c, &c->token);
}

struct option {
    const char *word;
    struct sl_rc (*parse)(struct copy *c); /* NULL: known to Redshift, not here yet */
    bool repeats;                          /* checked by its own rule */
};
enum { DELIMITER }; /* first: its other spelling counts as it */
static const struct option options[] = {
    [DELIMITER] = {"delimiter", opt_delimiter, false},
    {"delimiters", opt_delimiter, false},
    {"iam_role", iam_role, true},
    {"credentials", credentials, true},
    {"access_key_id", opt_access_key, true},
    {"secret_access_key", opt_secret_key, true},
    {"session_token", opt_token, true},
    {"token", opt_token, true},
    {"gzip", opt_gzip, false},
    {"zstd", opt_zstd, false},
    {"bzip2", opt_bzip2, false},
    {"lzop", opt_lzop, false},
    {"csv", opt_csv, false},
    {"manifest", opt_manifest, false},
    {"emptyasnull", opt_emptyasnull, false},
    {"blanksasnull", opt_blanksasnull, false},
    {"trimblanks", opt_trimblanks, false},
    {"truncatecolumns", opt_truncatecolumns, false},
    {"fillrecord", opt_fillrecord, false},
    {"acceptanydate", opt_acceptanydate, false},
    {"roundec", opt_roundec, false},
    {"ignoreblanklines", opt_ignoreblanklines, false},
    {"acceptinvchars", opt_acceptinvchars, false},
    {"quote", opt_quote, false},
    {"null", opt_null, false},
    {"ignoreheader", opt_ignoreheader, false},
    {"maxerror", opt_maxerror, false},
    {"region", opt_region, false},
    {"compupdate", opt_compupdate, false},
    {"statupdate", opt_statupdate, false},
    {"comprows", opt_comprows, false},
    {"fixedwidth", NULL, false},
    {"json", NULL, false},
    {"avro", NULL, false},
    {"orc", NULL, false},
    {"parquet", NULL, false},
    {"shapefile", NULL, false},
    {"encrypted", NULL, false},
    {"master_symmetric_key", NULL, false},
    {"dateformat", NULL, false},
    {"encoding", NULL, false},
    {"escape", NULL, false},
    {"explicit_ids", NULL, false},
    {"removequotes", NULL, false},
    {"timeformat", NULL, false},
    {"noload", NULL, false},
    {"ignoreallerrors", NULL, false},
    {"readratio", NULL, false},
    {"ssh", NULL, false},
    {"job", NULL, false},
    {"serializetojson", NULL, false},
};
enum { OPTIONS = sizeof options / sizeof options[0] };
_Static_assert(OPTIONS <= 64, "one bit an option");

static struct sl_rc run_option(struct copy *c, size_t i) {
    struct parser *p = c->p;
    if (options[i].parse == NULL) {
        char upper[32];
        snprintf(upper, sizeof upper, "%s", options[i].word);
        for (char *u = upper; *u != '\0'; u++) {
            *u = *u >= 'a' && *u <= 'z' ? (char)(*u - 32) : *u;
        }
        return parser_fail(p, SL_E_SQL_UNSUPPORTED, p->now.start,
                           "COPY option %s is not supported yet", upper);
    }
    if (options[i].parse == opt_delimiter) {
        i = DELIMITER;
    }
    if (!options[i].repeats && (c->seen & 1ULL << i) != 0) {
        return parser_fail(p, SL_E_SQL_SYNTAX, p->now.start,
                           "COPY option %s is given more than once", options[i].word);
    }
    c->seen |= 1ULL << i;
    parser_next(p);
    return options[i].parse(c);
}

static struct sl_rc one_option(struct copy *c) {
    struct parser *p = c->p;
    if (parser_at(p, "with") || parser_at(p, "format")) {
        /* WITH CREDENTIALS; FORMAT [AS] CSV */
        parser_next(p);
        parser_take(p, "as");
    }
    for (size_t i = 0; i < OPTIONS; i++) {
        if (parser_at(p, options[i].word)) {
            return run_option(c, i);
        }
    }
    return parser_syntax(p);
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

static struct sl_rc seal_keys(struct copy *c) {
    if (c->secret.len == 0 || c->access_key_id.len == 0) {
        return fail_credentials(c, c->p->now.start);
    }
    SL_CLEANUP(buf_fini) struct buf clear = BUF_INIT(PARSED_STATEMENT_MAX);
    SL_CLEANUP(buf_fini) struct buf sealed = BUF_INIT(PARSED_STATEMENT_MAX * 2);
    clear.wipe = true;
    buf_put(&clear, c->access_key_id);
    buf_putc(&clear, '\n');
    buf_put(&clear, c->secret);
    buf_putc(&clear, '\n');
    buf_put(&clear, c->token);
    TRY(buf_check(&clear, &c->p->error->err));
    TRY(c->p->opt->seal(c->p->opt->seal_ctx, "copy-credentials", SLICE_EMPTY, buf_slice(&clear),
                        &sealed, &c->p->error->err));
    put_option(c, "credentials", buf_slice(&sealed));
    return SL_OK;
}

static struct sl_rc finish(struct copy *c, struct slice table, struct slice columns,
                           struct slice source, struct dialect_statement *st) {
    struct parser *p = c->p;
    if (!c->authorised) {
        return parser_fail(
            p, SL_E_SQL_SYNTAX, p->end,
            "COPY from S3 needs IAM_ROLE, CREDENTIALS or ACCESS_KEY_ID and SECRET_ACCESS_KEY");
    }
    if (c->quote && !c->csv) {
        return parser_fail(p, SL_E_SQL_SYNTAX, c->quote_position,
                           "COPY option QUOTE goes with CSV only");
    }
    if (c->role.len > 0) {
        put_option(c, "iam_role", c->role);
    } else {
        TRY(seal_keys(c));
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
        TRY(one_option(c));
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
