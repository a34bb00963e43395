/* VACUUM: Redshift's words become options, which the extension takes out again. PostgreSQL's own
 * forms pass, VACUUM FULL among them: it does all of what Redshift's does. */
#include "lib/dialect/parser_in.h"

#include <stdio.h>

enum { SQL_MAX = 8192, NO_PERCENT = 101 };

struct vacuum {
    const char *only;   /* option, or NULL */
    struct slice table; /* empty: all */
    uint64_t percent;   /* or NO_PERCENT */
    bool full, boost, temp, all_sorted;
};

static bool next_is(const struct parser *p, const char *word) {
    return token_is(p->source, parser_peek(p), word);
}

/* A word that a table's name, and not the end, follows. */
static bool take_mode(struct parser *p, const char *word) {
    return parser_at(p, word) && parser_peek(p).kind != TOKEN_END && parser_take(p, word);
}

static void mode(struct parser *p, struct vacuum *v) {
    bool sort = parser_at(p, "sort") && next_is(p, "only");
    if (sort || (parser_at(p, "delete") && next_is(p, "only"))) {
        v->only = sort ? "sealift_sort_only" : "sealift_delete_only";
        parser_next(p);
        parser_next(p);
    } else if (take_mode(p, "recluster")) {
        v->only = "sealift_sort_only";
    } else if (take_mode(p, "reindex")) {
        v->all_sorted = true;
    } else {
        v->full = parser_take(p, "full");
    }
}

static struct sl_rc table(struct parser *p, struct vacuum *v) {
    struct slice last;
    if (parser_at_punct(p, '#')) {
        v->temp = true;
        return parser_temp_name(p, &v->table);
    }
    return p->now.kind == TOKEN_END || parser_at(p, "to") ? SL_OK
                                                          : parser_qualified(p, &v->table, &last);
}

static void put_option(struct buf *out, const char *text) {
    buf_puts(out, out->len > sizeof "VACUUM " - 1 ? ", " : "(");
    buf_puts(out, text);
}

static struct sl_rc rewrite(struct parser *p, const struct vacuum *v, size_t start) {
    SL_CLEANUP(buf_fini) struct buf sql = BUF_INIT(SQL_MAX);
    char percent[40];
    uint64_t wanted = v->all_sorted ? 100 : v->percent;
    snprintf(percent, sizeof percent, "sealift_to_percent %u", (unsigned)wanted);
    buf_puts(&sql, "VACUUM ");
    if (v->only != NULL) {
        put_option(&sql, v->only);
    }
    if (wanted != NO_PERCENT) {
        put_option(&sql, percent);
    }
    if (v->full && v->percent == NO_PERCENT) {
        put_option(&sql, "FULL");
    }
    if (buf_slice(&sql).len > sizeof "VACUUM " - 1) {
        buf_puts(&sql, v->table.len > 0 ? ") " : ")");
    }
    buf_put(&sql, v->table);
    TRY(buf_check(&sql, &p->error->err));
    struct slice text = arena_copy(p->arena, buf_slice(&sql));
    return text.ptr != NULL ? parser_edit(p, start, p->previous_end, text)
                            : parser_fail(p, SL_E_NOMEM, start, "out of memory");
}

/* PostgreSQL says what is wrong with it, if anything. */
static struct sl_rc pass(struct dialect_statement *st) {
    st->kind = DIALECT_OTHER;
    return SL_OK;
}

struct sl_rc vacuum_parse(struct parser *p, struct dialect_statement *st) {
    static const char *const own[] = {"freeze", "verbose", "analyze", "analyse"};
    struct vacuum v = {.percent = NO_PERCENT};
    size_t start = p->now.start;
    parser_next(p); /* VACUUM */
    if (parser_at_punct(p, '(')) {
        return pass(st);
    }
    mode(p, &v);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        if (parser_at(p, own[i])) {
            return v.only != NULL || v.all_sorted ? parser_syntax(p) : pass(st);
        }
    }
    if (p->now.kind == TOKEN_BAD) {
        return pass(st);
    }
    TRY(table(p, &v));
    if (parser_take(p, "to")) {
        TRY(parser_number(p, 100, &v.percent));
        TRY(parser_need(p, "percent"));
    }
    v.boost = parser_take(p, "boost");
    if (v.only == NULL && !v.all_sorted && v.percent == NO_PERCENT && !v.boost && !v.temp) {
        return pass(st);
    }
    if (p->now.kind != TOKEN_END) {
        return parser_syntax(p);
    }
    TRY(rewrite(p, &v, start));
    st->rewritten = true;
    return parser_apply(p, start, &st->sql);
}
