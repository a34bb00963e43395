/* CREATE TABLE with Redshift's column and table attributes, by the Redshift guide's CREATE TABLE
 * and CREATE TABLE AS pages. Attributes leave the text and come back as one JSON text in WITH
 * (sealift.attributes = '…'); informational keys are recorded there, never enforced. */
#include "lib/dialect/parser_in.h"

#include <stdio.h>

#include "lib/codec/json.h"

enum {
    COLUMNS_MAX = 1600,
    SORTKEY_MAX = 400,
    INTERLEAVED_MAX = 8,
    CONSTRAINTS_MAX = 1600,
    ATTRIBUTES_TEXT_MAX = PARSED_STATEMENT_MAX
};

struct column {
    struct slice name;
    struct slice written; /* the name as it stands in the source */
    struct slice encode;
};

struct table {
    struct parser *p;
    struct column *columns;
    size_t column_count;
    struct slice *constraints;
    size_t constraint_count;
    struct slice diststyle, distkey, sortstyle;
    size_t distkey_at, diststyle_at;
    struct slice *sortkey;
    size_t *sortkey_at;
    size_t sortkey_count;
    bool encode_auto, has_backup, backup, like;
};

static struct sl_rc nomem(struct table *t) {
    return parser_fail(t->p, SL_E_NOMEM, t->p->now.start, "out of memory");
}

static struct sl_rc add_sortkey(struct table *t, struct slice name, size_t at) {
    if (t->sortkey_count == SORTKEY_MAX) {
        return parser_fail(t->p, SL_E_LIMIT, at, "a table can have at most %d sort key columns",
                           SORTKEY_MAX);
    }
    t->sortkey[t->sortkey_count] = name;
    t->sortkey_at[t->sortkey_count++] = at;
    return SL_OK;
}

static struct sl_rc set_distkey(struct table *t, struct slice name, size_t at) {
    if (t->distkey.len > 0) {
        return parser_fail(t->p, SL_E_SQL_SYNTAX, at, "a table can have only one DISTKEY column");
    }
    t->distkey = name;
    t->distkey_at = at;
    return SL_OK;
}

/* Records source [start, end) as an informational constraint. One of a column becomes one of the
 * table: `word` is where its own words start, behind CONSTRAINT name. */
static struct sl_rc add_constraint(struct table *t, struct slice column, size_t start, size_t word,
                                   size_t end) {
    if (t->constraint_count == CONSTRAINTS_MAX) {
        return parser_fail(t->p, SL_E_LIMIT, start, "a table can have at most %d constraints",
                           CONSTRAINTS_MAX);
    }
    struct slice text = slice_sub(t->p->source, start, end);
    if (column.len > 0) {
        struct slice name = slice_sub(t->p->source, start, word);
        struct slice own = slice_sub(t->p->source, word, end);
        bool foreign = slice_ieq(slice_sub(own, 0, 10), SLICE_LIT("references"));
        const char *with = foreign
                               ? arena_printf(t->p->arena, "%.*sFOREIGN KEY (%.*s) %.*s",
                                              SLICE_FMT(name), SLICE_FMT(column), SLICE_FMT(own))
                               : arena_printf(t->p->arena, "%.*s%.*s (%.*s)", SLICE_FMT(name),
                                              SLICE_FMT(own), SLICE_FMT(column));
        if (with == NULL) {
            return nomem(t);
        }
        text = slice_cstr(with);
    }
    t->constraints[t->constraint_count++] = text;
    return SL_OK;
}

/* ---- types
 * ----------------------------------------------------------------------------------------------------------
 */

static const struct {
    const char *word;
    const char *with;    /* replacement when a length follows; NULL keeps the word */
    const char *without; /* replacement without one; NULL keeps the word */
} type_words[] = {
    {"text", "varchar", "varchar(256)"}, {"nvarchar", "varchar", "varchar(256)"},
    {"varchar", NULL, "varchar(256)"},   {"bpchar", "char", "char(256)"},
    {"nchar", "char", "char(1)"},        {"decimal", NULL, "decimal(18,0)"},
    {"numeric", NULL, "numeric(18,0)"},  {"dec", NULL, "decimal(18,0)"},
};
static const char *const refused_types[] = {
    "bytea",    "json",    "jsonb",  "uuid", "serial",   "bigserial", "smallserial", "serial4",
    "serial8",  "serial2", "money",  "inet", "cidr",     "macaddr",   "xml",         "point",
    "line",     "lseg",    "box",    "path", "polygon",  "circle",    "bit",         "varbit",
    "tsvector", "tsquery", "hstore", "oid",  "regclass", "name",      NULL};
static const char *const later_types[] = {"super",     "varbyte",   "varbinary", "geometry",
                                          "geography", "hllsketch", NULL};

static bool in_list(struct slice s, const char *const *list) {
    for (; *list != NULL; list++) {
        if (slice_ieq(s, slice_cstr(*list))) {
            return true;
        }
    }
    return false;
}

/* (n), (p, s) or (MAX); MAX becomes 65535. */
static struct sl_rc type_length(struct parser *p) {
    struct token inside = parser_peek(p);
    if (token_is(p->source, inside, "max")) {
        parser_next(p);
        TRY(parser_edit(p, p->now.start, p->now.end, SLICE_LIT("65535")));
        parser_next(p);
        return parser_need_punct(p, ')');
    }
    return parser_skip_parens(p);
}

static struct sl_rc array_suffix(struct table *t, struct slice column, struct slice type,
                                 size_t at) {
    if (parser_at_punct(t->p, '[') || parser_at(t->p, "array")) {
        return parser_fail(t->p, SL_E_SQL_UNSUPPORTED, at,
                           "Column \"%.*s\" has unsupported type \"%.*s[]\".", SLICE_FMT(column),
                           SLICE_FMT(type));
    }
    return SL_OK;
}

/* Words after the first of types with several, and the length. */
static struct sl_rc type_rest(struct table *t, struct slice first) {
    struct parser *p = t->p;
    bool national = slice_ieq(first, SLICE_LIT("national"));
    if (slice_ieq(first, SLICE_LIT("double"))) {
        return parser_need(p, "precision");
    }
    if (slice_ieq(first, SLICE_LIT("character")) || slice_ieq(first, SLICE_LIT("char")) ||
        national) {
        if (national && !parser_take(p, "character") && !parser_take(p, "char")) {
            return parser_syntax(p);
        }
        bool varying = parser_take(p, "varying");
        if (parser_at_punct(p, '(')) {
            return type_length(p);
        }
        return varying ? parser_edit(p, p->previous_end, p->previous_end, SLICE_LIT("(256)"))
                       : SL_OK;
    }
    if (parser_at_punct(p, '(')) {
        TRY(type_length(p));
    }
    if (slice_ieq(first, SLICE_LIT("timestamp")) || slice_ieq(first, SLICE_LIT("time"))) {
        if ((parser_at(p, "with") && token_is(p->source, parser_peek(p), "time")) ||
            parser_at(p, "without")) {
            parser_next(p);
            TRY(parser_need(p, "time"));
            return parser_need(p, "zone");
        }
    }
    if (slice_ieq(first, SLICE_LIT("interval"))) {
        while (parser_take(p, "year") || parser_take(p, "month") || parser_take(p, "day") ||
               parser_take(p, "to") || parser_take(p, "hour") || parser_take(p, "minute") ||
               parser_take(p, "second")) {
            if (parser_at_punct(p, '(')) {
                TRY(parser_skip_parens(p));
            }
        }
    }
    return SL_OK;
}

static struct sl_rc column_type(struct table *t, struct slice column, struct slice table) {
    struct parser *p = t->p;
    struct slice span, last;
    size_t at = p->now.start;
    bool quoted = p->now.kind == TOKEN_QUOTED;
    TRY(parser_qualified(p, &span, &last));
    bool qualified = span.len != last.len && !quoted;
    if (!qualified && !quoted) {
        if (in_list(last, refused_types)) {
            return parser_fail(p, SL_E_SQL_UNSUPPORTED, at,
                               "Column \"%.*s.%.*s\" has unsupported type \"%.*s\".",
                               SLICE_FMT(table), SLICE_FMT(column), SLICE_FMT(last));
        }
        if (in_list(last, later_types)) {
            return parser_fail(p, SL_E_SQL_UNSUPPORTED, at, "type %.*s is not supported yet",
                               SLICE_FMT(span));
        }
        bool length = parser_at_punct(p, '(');
        for (size_t i = 0; i < sizeof type_words / sizeof type_words[0]; i++) {
            const char *text = length ? type_words[i].with : type_words[i].without;
            if (slice_ieq(last, slice_cstr(type_words[i].word)) && text != NULL) {
                TRY(parser_edit(p, at, at + span.len, slice_cstr(text)));
            }
        }
    }
    TRY(type_rest(t, qualified || quoted ? SLICE_EMPTY : last));
    return array_suffix(t, column, last, at);
}

/* ---- column attributes
 * ---------------------------------------------------------------------------------------------- */

static bool at_column_word(const struct parser *p) {
    static const char *const words[] = {"not",    "null",    "unique",     "primary",  "references",
                                        "encode", "distkey", "sortkey",    "identity", "generated",
                                        "check",  "collate", "constraint", "default"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (parser_at(p, words[i])) {
            return true;
        }
    }
    return false;
}

static bool at_element_end(const struct parser *p) {
    return parser_at_punct(p, ',') || parser_at_punct(p, ')') || p->now.kind == TOKEN_END;
}

static struct sl_rc skip_expression(struct parser *p) {
    do {
        if (parser_at_punct(p, '(')) {
            TRY(parser_skip_parens(p));
        } else if (p->now.kind == TOKEN_END || p->now.kind == TOKEN_BAD) {
            return parser_syntax(p);
        } else {
            parser_next(p);
        }
    } while (!at_element_end(p) && !at_column_word(p));
    return SL_OK;
}

static struct sl_rc signed_number(struct parser *p, uint64_t max, long long *ret) {
    uint64_t v;
    bool negative = parser_take_punct(p, '-');
    TRY(parser_number(p, max, &v));
    *ret = negative ? -(long long)v : (long long)v;
    return SL_OK;
}

/* IDENTITY(seed, step) as PostgreSQL's; `prefix` says always or by default. */
static struct sl_rc identity(struct parser *p, size_t start, const char *prefix) {
    long long seed, step;
    TRY(parser_need_punct(p, '('));
    TRY(signed_number(p, INT64_MAX, &seed));
    TRY(parser_need_punct(p, ','));
    TRY(signed_number(p, INT32_MAX, &step));
    TRY(parser_need_punct(p, ')'));
    /* PostgreSQL's default limits start at 1 upwards and at -1 downwards. */
    const char *limit = step > 0 && seed < 1    ? " MINVALUE "
                        : step < 0 && seed > -1 ? " MAXVALUE "
                                                : "";
    const char *bound = limit[0] != '\0' ? arena_printf(p->arena, "%lld", seed) : "";
    const char *text =
        arena_printf(p->arena, "GENERATED %s AS IDENTITY (START WITH %lld INCREMENT BY %lld%s%s)",
                     prefix, seed, step, limit, bound != NULL ? bound : "");
    return text != NULL ? parser_edit(p, start, p->previous_end, slice_cstr(text))
                        : parser_fail(p, SL_E_NOMEM, start, "out of memory");
}

static struct sl_rc generated(struct parser *p) {
    size_t start = p->now.start;
    parser_next(p);
    if (parser_take(p, "always")) { /* PostgreSQL's own forms */
        TRY(parser_need(p, "as"));
        parser_take(p, "identity");
        if (parser_at_punct(p, '(')) {
            TRY(parser_skip_parens(p));
        }
        parser_take(p, "stored");
        return SL_OK;
    }
    TRY(parser_need(p, "by"));
    TRY(parser_need(p, "default"));
    TRY(parser_need(p, "as"));
    TRY(parser_need(p, "identity"));
    if (!parser_at_punct(p, '(')) {
        return SL_OK;
    }
    struct token inside = parser_peek(p);
    return inside.kind == TOKEN_NUMBER || token_punct(p->source, inside, '-')
               ? identity(p, start, "BY DEFAULT")
               : parser_skip_parens(p);
}

static struct sl_rc references(struct parser *p) {
    struct slice span, last;
    TRY(parser_need(p, "references"));
    TRY(parser_qualified(p, &span, &last));
    return parser_at_punct(p, '(') ? parser_skip_parens(p) : SL_OK;
}

static struct sl_rc collate(struct parser *p) {
    size_t start = p->now.start;
    parser_next(p);
    if (parser_at(p, "case_insensitive") || parser_at(p, "ci")) {
        return parser_fail(p, SL_E_SQL_UNSUPPORTED, p->now.start,
                           "COLLATE CASE_INSENSITIVE is not supported yet");
    }
    if (parser_at(p, "case_sensitive") || parser_at(p, "cs")) {
        TRY(parser_edit(p, start, p->now.end, SLICE_EMPTY));
        parser_next(p);
        return SL_OK;
    }
    struct slice span, last;
    return parser_qualified(p, &span, &last);
}

static struct sl_rc remove_from(struct parser *p, size_t start, const char *instead) {
    return parser_edit(p, start, p->previous_end, slice_cstr(instead));
}

static struct sl_rc column_attribute(struct table *t, struct column *c) {
    struct parser *p = t->p;
    size_t start = p->now.start;
    if (parser_take(p, "constraint")) {
        struct slice name;
        TRY(parser_identifier(
            p, &name)); /* stays for CHECK and NOT NULL, goes with informational ones below */
    }
    size_t word = p->now.start;
    if (parser_take(p, "default")) {
        return skip_expression(p);
    }
    if (parser_take(p, "not")) {
        return parser_need(p, "null");
    }
    if (parser_take(p, "null")) {
        return SL_OK;
    }
    if (parser_take(p, "encode")) {
        TRY(parser_encoding(p, &c->encode));
        return remove_from(p, start, "");
    }
    if (parser_take(p, "distkey")) {
        TRY(set_distkey(t, c->name, start));
        return remove_from(p, start, "");
    }
    if (parser_take(p, "sortkey")) {
        TRY(add_sortkey(t, c->name, start));
        return remove_from(p, start, "");
    }
    if (parser_take(p, "unique")) {
        TRY(add_constraint(t, c->written, start, word, p->previous_end));
        return remove_from(p, start, "");
    }
    if (parser_take(p, "primary")) {
        TRY(parser_need(p, "key"));
        TRY(add_constraint(t, c->written, start, word, p->previous_end));
        return remove_from(p, start, "NOT NULL");
    }
    if (parser_at(p, "references")) {
        TRY(references(p));
        TRY(add_constraint(t, c->written, start, word, p->previous_end));
        return remove_from(p, start, "");
    }
    if (parser_take(p, "identity")) {
        return identity(p, start, "ALWAYS");
    }
    if (parser_at(p, "generated")) {
        return generated(p);
    }
    if (parser_at(p, "collate")) {
        return collate(p);
    }
    if (parser_take(p, "check")) {
        return parser_at_punct(p, '(') ? parser_skip_parens(p) : parser_syntax(p);
    }
    return parser_syntax(p);
}

/* ---- elements of the parentheses
 * ------------------------------------------------------------------------------------ */

static struct sl_rc column(struct table *t, struct slice table) {
    struct parser *p = t->p;
    if (t->column_count == COLUMNS_MAX) {
        return parser_fail(p, SL_E_LIMIT, p->now.start, "a table can have at most %d columns",
                           COLUMNS_MAX);
    }
    struct column *c = &t->columns[t->column_count++];
    c->written = parser_text(p);
    TRY(parser_identifier(p, &c->name));
    if (at_element_end(p)) {
        return SL_OK; /* a name only: CREATE TABLE x (a, b) AS */
    }
    TRY(column_type(t, c->name, table));
    while (!at_element_end(p)) {
        TRY(column_attribute(t, c));
    }
    return SL_OK;
}

/* LIKE parent [{INCLUDING|EXCLUDING} what]… stays as it is. */
static struct sl_rc like(struct table *t) {
    struct slice span, last;
    t->like = true;
    parser_next(t->p);
    TRY(parser_qualified(t->p, &span, &last));
    while (parser_take(t->p, "including") || parser_take(t->p, "excluding")) {
        parser_next(t->p);
    }
    return SL_OK;
}

/* A table constraint; *ret_removed when it is informational and must leave the text. */
static struct sl_rc table_constraint(struct table *t, bool *ret_removed) {
    struct parser *p = t->p;
    size_t start = p->now.start;
    if (parser_take(p, "constraint")) {
        struct slice name;
        TRY(parser_identifier(p, &name));
    }
    if (parser_take(p, "check")) {
        *ret_removed = false;
        return parser_at_punct(p, '(') ? parser_skip_parens(p) : parser_syntax(p);
    }
    bool foreign = parser_take(p, "foreign");
    if (foreign || parser_take(p, "primary")) {
        TRY(parser_need(p, "key"));
    } else {
        TRY(parser_need(p, "unique"));
    }
    if (!parser_at_punct(p, '(')) {
        return parser_syntax(p);
    }
    TRY(parser_skip_parens(p));
    if (foreign) {
        TRY(references(p));
    }
    *ret_removed = true;
    return add_constraint(t, SLICE_EMPTY, start, start, p->previous_end);
}

static bool at_table_constraint(const struct parser *p) {
    return parser_at(p, "constraint") || parser_at(p, "unique") || parser_at(p, "primary") ||
           parser_at(p, "foreign") || parser_at(p, "check");
}

/* `before`: the comma or parenthesis before it; *kept: has an element stayed in the text yet? */
static struct sl_rc element(struct table *t, struct slice table, size_t before, bool *kept) {
    struct parser *p = t->p;
    size_t start = p->now.start;
    if (parser_at(p, "like")) {
        TRY(like(t));
    } else if (at_table_constraint(p)) {
        bool removed = false;
        TRY(table_constraint(t, &removed));
        if (removed && *kept) {
            TRY(parser_edit(p, before, p->previous_end, SLICE_EMPTY));
        } else if (removed && parser_at_punct(p, ',')) {
            TRY(parser_edit(p, start, p->now.end, SLICE_EMPTY));
        } else if (removed) {
            return parser_fail(p, SL_E_SQL_SYNTAX, start, "a table needs a column");
        }
        *kept |= !removed;
        return at_element_end(p) ? SL_OK : parser_syntax(p);
    } else {
        TRY(column(t, table));
    }
    *kept = true;
    return at_element_end(p) ? SL_OK : parser_syntax(p);
}

static struct sl_rc elements(struct table *t, struct slice table) {
    struct parser *p = t->p;
    size_t comma = p->now.start;
    TRY(parser_need_punct(p, '('));
    if (parser_take_punct(p, ')')) {
        return SL_OK;
    }
    for (bool kept = false;;) {
        TRY(element(t, table, comma, &kept));
        comma = p->now.start;
        if (!parser_take_punct(p, ',')) {
            return parser_need_punct(p, ')');
        }
    }
}

/* ---- table attributes
 * ------------------------------------------------------------------------------------------------
 */

static struct sl_rc diststyle(struct table *t) {
    static const char *const styles[] = {"even", "key", "all", "auto"};
    struct parser *p = t->p;
    t->diststyle_at = p->now.start;
    for (size_t i = 0; i < 4; i++) {
        if (parser_take(p, styles[i])) {
            if (t->diststyle.len > 0) {
                return parser_fail(p, SL_E_SQL_SYNTAX, t->diststyle_at,
                                   "DISTSTYLE is given more than once");
            }
            t->diststyle = slice_cstr(styles[i]);
            return SL_OK;
        }
    }
    return parser_syntax(p);
}

static struct sl_rc sortkey(struct table *t, const char *style) {
    struct parser *p = t->p;
    if (t->sortkey_count > 0 || t->sortstyle.len > 0) {
        return parser_fail(p, SL_E_SQL_SYNTAX, p->now.start, "SORTKEY is given more than once");
    }
    t->sortstyle = slice_cstr(style);
    if (slice_eq_cstr(t->sortstyle, "compound") && parser_take(p, "auto")) {
        t->sortstyle = SLICE_LIT("auto");
        return SL_OK;
    }
    TRY(parser_need_punct(p, '('));
    do {
        struct slice name;
        size_t at = p->now.start;
        TRY(parser_identifier(p, &name));
        TRY(add_sortkey(t, name, at));
        if (slice_eq_cstr(t->sortstyle, "interleaved") && t->sortkey_count > INTERLEAVED_MAX) {
            return parser_fail(p, SL_E_SQL_SYNTAX, at,
                               "an INTERLEAVED SORTKEY can have at most %d columns",
                               INTERLEAVED_MAX);
        }
    } while (parser_take_punct(p, ','));
    return parser_need_punct(p, ')');
}

static struct sl_rc table_distkey(struct table *t) {
    struct parser *p = t->p;
    struct slice name;
    TRY(parser_need_punct(p, '('));
    size_t at = p->now.start;
    TRY(parser_identifier(p, &name));
    TRY(set_distkey(t, name, at));
    return parser_need_punct(p, ')');
}

/* One attribute if there is one: *ret_done at anything else. */
static struct sl_rc table_attribute(struct table *t, bool *ret_done) {
    struct parser *p = t->p;
    *ret_done = false;
    if (parser_take(p, "diststyle")) {
        return diststyle(t);
    }
    if (parser_take(p, "distkey")) {
        return table_distkey(t);
    }
    if (parser_take(p, "compound")) {
        TRY(parser_need(p, "sortkey"));
        return sortkey(t, "compound");
    }
    if (parser_take(p, "interleaved")) {
        TRY(parser_need(p, "sortkey"));
        return sortkey(t, "interleaved");
    }
    if (parser_take(p, "sortkey")) {
        return sortkey(t, "compound");
    }
    if (parser_take(p, "encode")) {
        t->encode_auto = true;
        return parser_need(p, "auto");
    }
    if (parser_take(p, "backup")) {
        t->has_backup = true;
        t->backup = parser_at(p, "yes");
        return t->backup || parser_at(p, "no") ? (parser_next(p), SL_OK) : parser_syntax(p);
    }
    *ret_done = true;
    return SL_OK;
}

static struct sl_rc check_key_column(struct table *t, struct slice name, size_t at) {
    for (size_t i = 0; i < t->column_count; i++) {
        if (slice_eq(t->columns[i].name, name)) {
            return SL_OK;
        }
    }
    return parser_fail(t->p, SL_E_SQL_COLUMN, at, "column \"%.*s\" named in key does not exist",
                       SLICE_FMT(name));
}

static struct sl_rc check_attributes(struct table *t) {
    struct parser *p = t->p;
    bool key_style = slice_eq_cstr(t->diststyle, "key");
    if (t->distkey.len > 0 && t->diststyle.len > 0 && !key_style) {
        return parser_fail(p, SL_E_SQL_SYNTAX, t->distkey_at,
                           "DISTKEY goes with DISTSTYLE KEY only");
    }
    if (key_style && t->distkey.len == 0) {
        return parser_fail(p, SL_E_SQL_SYNTAX, t->diststyle_at, "DISTSTYLE KEY needs a DISTKEY");
    }
    if (t->distkey.len > 0) {
        t->diststyle = SLICE_LIT("key");
    }
    if (t->like || t->column_count == 0) {
        return SL_OK; /* the columns are elsewhere */
    }
    if (t->distkey.len > 0) {
        TRY(check_key_column(t, t->distkey, t->distkey_at));
    }
    for (size_t i = 0; i < t->sortkey_count; i++) {
        TRY(check_key_column(t, t->sortkey[i], t->sortkey_at[i]));
    }
    return SL_OK;
}

static void member(struct jsonw *w, const char *name, struct slice value) {
    if (value.len > 0) {
        jsonw_name(w, name);
        jsonw_string(w, value);
    }
}

static void members(struct jsonw *w, const char *name, const struct slice *values, size_t count) {
    if (count == 0) {
        return;
    }
    jsonw_name(w, name);
    jsonw_array_begin(w);
    for (size_t i = 0; i < count; i++) {
        jsonw_string(w, values[i]);
    }
    jsonw_array_end(w);
}

static bool any_encode(const struct table *t) {
    for (size_t i = 0; i < t->column_count; i++) {
        if (t->columns[i].encode.len > 0) {
            return true;
        }
    }
    return false;
}

static void attributes_json(const struct table *t, struct buf *out) {
    struct jsonw w = jsonw_of(out);
    jsonw_object_begin(&w);
    member(&w, "diststyle", t->diststyle);
    member(&w, "distkey", t->distkey);
    member(&w, "sortstyle",
           t->sortstyle.len > 0   ? t->sortstyle
           : t->sortkey_count > 0 ? SLICE_LIT("compound")
                                  : SLICE_EMPTY);
    members(&w, "sortkey", t->sortkey, t->sortkey_count);
    if (t->has_backup) {
        jsonw_name(&w, "backup");
        jsonw_bool(&w, t->backup);
    }
    if (any_encode(t)) {
        jsonw_name(&w, "encode");
        jsonw_object_begin(&w);
        for (size_t i = 0; i < t->column_count; i++) {
            if (t->columns[i].encode.len > 0) {
                jsonw_name_slice(&w, t->columns[i].name);
                jsonw_string(&w, t->columns[i].encode);
            }
        }
        jsonw_object_end(&w);
    } else if (t->encode_auto) {
        jsonw_name(&w, "encodeAuto");
        jsonw_bool(&w, true);
    }
    members(&w, "constraints", t->constraints, t->constraint_count);
    jsonw_object_end(&w);
}

/* Replaces the attributes [start, previous token's end) by the WITH clause. */
static struct sl_rc write_attributes(struct table *t, size_t start) {
    struct parser *p = t->p;
    SL_CLEANUP(buf_fini) struct buf json = BUF_INIT(ATTRIBUTES_TEXT_MAX);
    SL_CLEANUP(buf_fini) struct buf with = BUF_INIT(ATTRIBUTES_TEXT_MAX * 2);
    attributes_json(t, &json);
    TRY(buf_check(&json, &p->error->err));
    if (json.len <= 2) { /* {} */
        return p->previous_end > start ? parser_edit(p, start, p->previous_end, SLICE_EMPTY)
                                       : SL_OK;
    }
    if (parser_at(p, "with") || parser_at(p, "inherits") || parser_at(p, "partition") ||
        parser_at(p, "using")) {
        return parser_syntax(p);
    }
    buf_puts(&with, " WITH (sealift.attributes = ");
    put_literal(&with, buf_slice(&json));
    buf_putc(&with, ')');
    TRY(buf_check(&with, &p->error->err));
    struct slice text = arena_copy(p->arena, buf_slice(&with));
    return text.ptr != NULL ? parser_edit(p, start, p->previous_end, text) : nomem(t);
}

/* What may stand after the attributes: the query of CTAS, or PostgreSQL's own clauses. */
static bool at_rest(const struct parser *p) {
    static const char *const words[] = {"as",    "with", "inherits",  "partition",
                                        "using", "on",   "tablespace"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (parser_at(p, words[i])) {
            return true;
        }
    }
    return p->now.kind == TOKEN_END;
}

static struct sl_rc new_table(struct table *t, struct parser *p) {
    *t = (struct table){.p = p};
    t->columns = arena_array(p->arena, COLUMNS_MAX, sizeof *t->columns);
    t->constraints = arena_array(p->arena, CONSTRAINTS_MAX, sizeof *t->constraints);
    t->sortkey = arena_array(p->arena, SORTKEY_MAX, sizeof *t->sortkey);
    t->sortkey_at = arena_array(p->arena, SORTKEY_MAX, sizeof *t->sortkey_at);
    return t->columns && t->constraints && t->sortkey && t->sortkey_at ? SL_OK : nomem(t);
}

/* CREATE … TABLE [IF NOT EXISTS] name, with #name as a temporary table of that name. */
static struct sl_rc head(struct parser *p, struct slice *ret_name) {
    struct slice span;
    parser_next(p); /* CREATE */
    bool temp = false;
    while (!parser_at(p, "table")) {
        temp |= parser_at(p, "temp") || parser_at(p, "temporary");
        parser_next(p);
    }
    size_t table_at = p->now.start;
    parser_next(p);
    if (parser_take(p, "if")) {
        TRY(parser_need(p, "not"));
        TRY(parser_need(p, "exists"));
    }
    if (!parser_at_punct(p, '#')) {
        return parser_qualified(p, &span, ret_name);
    }
    if (!temp) {
        TRY(parser_edit(p, table_at, table_at, SLICE_LIT("TEMP ")));
    }
    size_t at = p->now.start;
    TRY(parser_temp_name(p, &span));
    *ret_name = slice_sub(span, 1, span.len - 1);
    return parser_edit(p, at, p->previous_end, span);
}

struct sl_rc create_table_parse(struct parser *p, struct dialect_statement *st) {
    struct table t;
    struct slice name;
    size_t start = p->now.start;
    TRY(new_table(&t, p));
    TRY(head(p, &name));
    if (parser_at(p, "of") || parser_at(p, "partition")) {
        return SL_OK; /* PostgreSQL's own forms */
    }
    if (parser_at_punct(p, '(')) {
        TRY(elements(&t, name));
    }
    size_t attributes_at = p->previous_end;
    for (bool done = false; !done;) {
        TRY(table_attribute(&t, &done));
    }
    if (!at_rest(p)) {
        return parser_syntax(p);
    }
    TRY(check_attributes(&t));
    TRY(write_attributes(&t, attributes_at));
    st->kind = parser_at(p, "as") ? DIALECT_CREATE_TABLE_AS : DIALECT_CREATE_TABLE;
    st->rewritten = p->edit_count > 0;
    return st->rewritten ? parser_apply(p, start, &st->sql) : SL_OK;
}
