/* Options of COPY from S3; see copy_in.h. By the Redshift guide's COPY page they stand in any
 * order, AS is a noise word, commas are tolerated. COMPUPDATE, STATUPDATE and COMPROWS are read and
 * dropped: they choose encodings and statistics, which change no result. */
#include "lib/dialect/copy_in.h"

#include <stdio.h>

enum { MAXERROR_MAX = 100000, COMPROWS_MIN = 1000, COMPROWS_MAX = INT32_MAX };

void copy_put_option(struct copy *c, const char *name, struct slice value) {
    buf_puts(&c->with, c->with.len > 0 ? ", " : "");
    buf_puts(&c->with, name);
    buf_putc(&c->with, ' ');
    put_literal(&c->with, value);
}

static struct sl_rc once(struct copy *c, bool *ret_seen) {
    if (*ret_seen) {
        return parser_fail(c->p, SL_E_SQL_SYNTAX, c->p->now.start,
                           "COPY has more than one form of authorization");
    }
    *ret_seen = true;
    return SL_OK;
}

/* A secret stands once, and on one line, since lines separate them once they are sealed. */
static struct sl_rc set_secret(struct copy *c, struct slice *to, struct slice value, size_t at) {
    if (value.len == 0 || to->len > 0 || slice_find(value, '\n') < value.len) {
        return copy_fail_credentials(c, at);
    }
    *to = value;
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
                       : slice_eq_cstr(name, "master_symmetric_key")  ? &c->master_key
                                                                      : NULL;
    return to != NULL ? set_secret(c, to, value, at) : copy_fail_credentials(c, at);
}

static struct sl_rc credentials(struct copy *c, const char *word) {
    struct slice text;
    TRY(once(c, &c->authorised));
    c->credentials_clause = true;
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
        return copy_fail_credentials(c, at);
    }
    return SL_OK;
}

static struct sl_rc iam_role(struct copy *c, const char *word) {
    TRY(once(c, &c->authorised));
    if (parser_take(c->p, "default")) {
        c->role = SLICE_LIT("default");
        return SL_OK;
    }
    size_t at = c->p->now.start;
    TRY(parser_string(c->p, &c->role));
    return c->role.len > 0 ? SL_OK : copy_fail_credentials(c, at);
}

static struct sl_rc secret_clause(struct copy *c, struct slice *to) {
    struct slice value;
    parser_take(c->p, "as");
    size_t at = c->p->now.start;
    TRY(parser_string(c->p, &value));
    return set_secret(c, to, value, at);
}

/* ACCESS_KEY_ID 'a' SECRET_ACCESS_KEY 's' [SESSION_TOKEN 't'], in any order among the options. */
static struct sl_rc key_clause(struct copy *c, const char *word) {
    if (!c->keys_clause) {
        TRY(once(c, &c->authorised));
        c->keys_clause = true;
    }
    return secret_clause(c, strcmp(word, "access_key_id") == 0       ? &c->access_key_id
                            : strcmp(word, "secret_access_key") == 0 ? &c->secret
                                                                     : &c->token);
}

static struct sl_rc master_key(struct copy *c, const char *word) {
    return secret_clause(c, &c->master_key);
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
    copy_put_option(c, option, slice_of(&one, 1));
    return SL_OK;
}

static struct sl_rc delimiter(struct copy *c, const char *word) {
    return character(c, "delimiter");
}

/* ACCEPTINVCHARS [[AS] 'c'] */
static struct sl_rc acceptinvchars(struct copy *c, const char *word) {
    if (parser_at(c->p, "as") || c->p->now.kind == TOKEN_STRING) {
        return character(c, word);
    }
    copy_put_option(c, word, SLICE_LIT("?"));
    return SL_OK;
}

/* An option without a value: WITH has it under the same name. */
static struct sl_rc flag(struct copy *c, const char *word) {
    copy_put_option(c, word, SLICE_LIT("true"));
    return SL_OK;
}

static struct sl_rc compression(struct copy *c, const char *word) {
    copy_put_option(c, "compression", slice_cstr(word));
    return SL_OK;
}

static struct sl_rc string_option(struct copy *c, const char *word) {
    struct slice v;
    parser_take(c->p, "as");
    TRY(parser_string(c->p, &v));
    copy_put_option(c, word, v);
    return SL_OK;
}

/* NULL AS is a keyword in a WITH list. */
static struct sl_rc null_as(struct copy *c, const char *word) {
    return string_option(c, "null_as");
}

/* JSON [AS] 'auto' | 'auto ignorecase' | 's3://…'; alone it means 'auto'. */
static struct sl_rc json(struct copy *c, const char *word) {
    bool as = parser_take(c->p, "as");
    if (!as && c->p->now.kind != TOKEN_STRING && c->p->now.kind != TOKEN_DOLLAR) {
        copy_put_option(c, word, SLICE_LIT("auto"));
        return SL_OK;
    }
    struct slice v;
    size_t at = c->p->now.start;
    TRY(parser_string(c->p, &v));
    if (slice_eq_cstr(v, "noshred")) {
        return parser_fail(c->p, SL_E_SQL_UNSUPPORTED, at,
                           "COPY option JSON 'noshred' is not supported yet");
    }
    copy_put_option(c, word, v);
    return SL_OK;
}

/* ENCODING [AS] UTF8, a word or a string. */
static struct sl_rc encoding(struct copy *c, const char *word) {
    static const char *const known[] = {"utf8", "utf16", "utf16le", "utf16be", "iso88591"};
    struct slice v;
    parser_take(c->p, "as");
    size_t at = c->p->now.start;
    if (c->p->now.kind == TOKEN_STRING || c->p->now.kind == TOKEN_DOLLAR) {
        TRY(parser_string(c->p, &v));
    } else {
        TRY(parser_identifier(c->p, &v));
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (slice_ieq(v, slice_cstr(known[i]))) {
            copy_put_option(c, word, slice_cstr(known[i]));
            return SL_OK;
        }
    }
    return parser_fail(c->p, SL_E_SQL_SYNTAX, at,
                       "COPY ENCODING must be UTF8, UTF16, UTF16LE, UTF16BE or ISO88591");
}

static struct sl_rc number(struct copy *c, const char *name, uint64_t min, uint64_t max,
                           uint64_t *ret) {
    parser_take(c->p, "as");
    size_t at = c->p->now.start;
    if (sl_failed(parser_number(c->p, max, ret)) || *ret < min) {
        c->p->error->err = (struct sl_error){0};
        return parser_fail(c->p, SL_E_SQL_SYNTAX, at,
                           "COPY option %s wants a number from %llu to %llu", name,
                           (unsigned long long)min, (unsigned long long)max);
    }
    return SL_OK;
}

static struct sl_rc number_option(struct copy *c, const char *name, uint64_t max) {
    uint64_t v;
    char text[24];
    TRY(number(c, name, 0, max, &v));
    snprintf(text, sizeof text, "%llu", (unsigned long long)v);
    copy_put_option(c, name, slice_cstr(text));
    return SL_OK;
}

static struct sl_rc ignoreheader(struct copy *c, const char *word) {
    return number_option(c, word, INT32_MAX);
}

static struct sl_rc maxerror(struct copy *c, const char *word) {
    return number_option(c, word, MAXERROR_MAX);
}

static bool take_switch(struct parser *p) {
    return parser_take(p, "on") || parser_take(p, "off") || parser_take(p, "true") ||
           parser_take(p, "false");
}

static struct sl_rc compupdate(struct copy *c, const char *word) {
    if (!parser_take(c->p, "preset")) {
        take_switch(c->p);
    }
    return SL_OK;
}

static struct sl_rc statupdate(struct copy *c, const char *word) {
    take_switch(c->p);
    return SL_OK;
}

static struct sl_rc comprows(struct copy *c, const char *word) {
    uint64_t v;
    return number(c, word, COMPROWS_MIN, COMPROWS_MAX, &v);
}

/* Sets a bit alone. */
static struct sl_rc note(struct copy *c, const char *word) {
    return SL_OK;
}

/* Those that rules below name; the others stand behind them in the table. */
enum {
    DELIMITER,
    CSV,
    QUOTE,
    FIXEDWIDTH,
    JSON,
    ESCAPE,
    REMOVEQUOTES,
    FILLRECORD,
    IGNOREBLANKLINES,
    NULL_AS,
    MAXERROR,
    IGNOREALLERRORS,
    GZIP,
    ZSTD,
    BZIP2,
    LZOP,
    ENCODING,
    ENCRYPTED,
    MASTER_SYMMETRIC_KEY,
    OTHERS
};

struct option {
    const char *word;
    struct sl_rc (*parse)(struct copy *c,
                          const char *word); /* NULL: known to Redshift, not here yet */
    bool repeats;                            /* checked by its own rule */
};
static const struct option options[] = {
    [DELIMITER] = {"delimiter", delimiter, false},
    [CSV] = {"csv", flag, true},
    [QUOTE] = {"quote", character, false},
    [FIXEDWIDTH] = {"fixedwidth", string_option, false},
    [JSON] = {"json", json, false},
    [ESCAPE] = {"escape", flag, false},
    [REMOVEQUOTES] = {"removequotes", flag, false},
    [FILLRECORD] = {"fillrecord", flag, false},
    [IGNOREBLANKLINES] = {"ignoreblanklines", flag, false},
    [NULL_AS] = {"null", null_as, false},
    [MAXERROR] = {"maxerror", maxerror, false},
    [IGNOREALLERRORS] = {"ignoreallerrors", flag, false},
    [GZIP] = {"gzip", compression, false},
    [ZSTD] = {"zstd", compression, false},
    [BZIP2] = {"bzip2", compression, false},
    [LZOP] = {"lzop", compression, false},
    [ENCODING] = {"encoding", encoding, false},
    [ENCRYPTED] = {"encrypted", note, false},
    [MASTER_SYMMETRIC_KEY] = {"master_symmetric_key", master_key, false},
    [OTHERS] = {"iam_role", iam_role, true},
    {"credentials", credentials, true},
    {"access_key_id", key_clause, true},
    {"secret_access_key", key_clause, true},
    {"session_token", key_clause, true},
    {"token", key_clause, true},
    {"delimiters", delimiter, false},
    {"manifest", flag, false},
    {"emptyasnull", flag, false},
    {"blanksasnull", flag, false},
    {"trimblanks", flag, false},
    {"truncatecolumns", flag, false},
    {"acceptanydate", flag, false},
    {"acceptinvchars", acceptinvchars, false},
    {"roundec", flag, false},
    {"dateformat", string_option, false},
    {"timeformat", string_option, false},
    {"explicit_ids", flag, false},
    {"noload", flag, false},
    {"ignoreheader", ignoreheader, false},
    {"region", string_option, false},
    {"compupdate", compupdate, false},
    {"statupdate", statupdate, false},
    {"comprows", comprows, false},
    {"avro", NULL, false},
    {"orc", NULL, false},
    {"parquet", NULL, false},
    {"shapefile", NULL, false},
    {"readratio", NULL, false},
    {"ssh", NULL, false},
    {"job", NULL, false},
    {"serializetojson", NULL, false},
};
enum { OPTIONS = sizeof options / sizeof options[0] };
_Static_assert(sizeof options / sizeof options[0] <= (size_t)COPY_OPTIONS_MAX, "one bit an option");

static const char *upper(size_t i, char out[32]) {
    snprintf(out, 32, "%s", options[i].word);
    for (char *u = out; *u != '\0'; u++) {
        *u = *u >= 'a' && *u <= 'z' ? (char)(*u - 32) : *u;
    }
    return out;
}

static bool has(const struct copy *c, size_t i) {
    return (c->seen & 1ULL << i) != 0;
}

static struct sl_rc run_option(struct copy *c, size_t i) {
    struct parser *p = c->p;
    char name[32];
    if (options[i].parse == NULL) {
        return parser_fail(p, SL_E_SQL_UNSUPPORTED, p->now.start,
                           "COPY option %s is not supported yet", upper(i, name));
    }
    size_t as = options[i].parse == delimiter ? DELIMITER : i; /* its other spelling counts as it */
    if (has(c, as) && !options[as].repeats) {
        return parser_fail(p, SL_E_SQL_SYNTAX, p->now.start,
                           "COPY option %s is given more than once", options[as].word);
    }
    bool again = has(c, as) && options[as].parse == flag;
    c->seen |= 1ULL << as;
    c->at[as] = p->now.start;
    parser_next(p);
    return again ? SL_OK : options[i].parse(c, options[i].word);
}

struct sl_rc copy_option(struct copy *c) {
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

/* Redshift: "CSV is not compatible with ESCAPE". */
static struct sl_rc check_pairs(struct copy *c) {
    static const uint8_t pairs[][2] = {
        {CSV, FIXEDWIDTH},
        {CSV, REMOVEQUOTES},
        {CSV, ESCAPE},
        {FIXEDWIDTH, DELIMITER},
        {FIXEDWIDTH, ESCAPE},
        {FIXEDWIDTH, REMOVEQUOTES},
        {JSON, CSV},
        {JSON, DELIMITER},
        {JSON, ESCAPE},
        {JSON, FILLRECORD},
        {JSON, FIXEDWIDTH},
        {JSON, IGNOREBLANKLINES},
        {JSON, NULL_AS},
        {JSON, REMOVEQUOTES},
        {GZIP, ZSTD},
        {GZIP, BZIP2},
        {GZIP, LZOP},
        {ZSTD, BZIP2},
        {ZSTD, LZOP},
        {BZIP2, LZOP},
        {IGNOREALLERRORS, MAXERROR},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        size_t a = pairs[i][0], b = pairs[i][1];
        if (has(c, a) && has(c, b)) {
            char first[32], second[32];
            return parser_fail(c->p, SL_E_SQL_SYNTAX, c->at[a] > c->at[b] ? c->at[a] : c->at[b],
                               "%s is not compatible with %s", upper(a, first), upper(b, second));
        }
    }
    return SL_OK;
}

struct sl_rc copy_options_check(struct copy *c) {
    TRY(check_pairs(c));
    if (has(c, QUOTE) && !has(c, CSV)) {
        return parser_fail(c->p, SL_E_SQL_SYNTAX, c->at[QUOTE],
                           "COPY option QUOTE goes with CSV only");
    }
    if (has(c, MASTER_SYMMETRIC_KEY) && c->credentials_clause) {
        return parser_fail(c->p, SL_E_SQL_SYNTAX, c->at[MASTER_SYMMETRIC_KEY],
                           "MASTER_SYMMETRIC_KEY is not compatible with CREDENTIALS");
    }
    if (has(c, ENCRYPTED) && c->master_key.len == 0) {
        return parser_fail(c->p, SL_E_SQL_SYNTAX, c->at[ENCRYPTED],
                           "COPY option ENCRYPTED needs MASTER_SYMMETRIC_KEY");
    }
    if (!has(c, ENCRYPTED) && c->master_key.len > 0) {
        return parser_fail(c->p, SL_E_SQL_SYNTAX, c->p->end,
                           "MASTER_SYMMETRIC_KEY needs COPY option ENCRYPTED");
    }
    return SL_OK;
}
