/* `sealift warehouse check`: has the running warehouse read all of its tables, and look for what
 * belongs to nobody. Each database is asked through a session of PostgreSQL's superuser, which the
 * supervisor opens; what is found is told line by line. */
#include "cli/warehouse_check.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/admin.h"
#include "cli/verb.h"
#include "gateway/backend/question.h"
#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/codec/text.h"

enum {
    CONNECT_MS = 30 * 1000,
    QUIET_MS = 24 * 3600 * 1000, /* for one table; progress comes between */
    SQL_BYTES_MAX = 4096,
    LIST_BYTES_MAX = 64 * 1024 * 1024,
};

static const char usage[] =
    "usage: sealift warehouse check [--data DIR] [--database DB] [TABLE]\n"
    "Reads every row group of every table of the running warehouse: files, keys, MACs of catalog\n"
    "rows, chunks and delete vectors; and looks for keys, catalog rows and files that belong to\n"
    "nobody. TABLE: that one alone, as [SCHEMA.]NAME, in DB (dev). Tells what doesn't hold, a "
    "line\n"
    "each. Exit code 0 when all is sound, 1 otherwise.\n";

struct table {
    uint32_t oid;
    struct slice schema, name; /* in check.texts */
};

struct check {
    const struct instance *in;
    const char *database; /* the one that is asked for, or NULL */
    const char *wanted;   /* table, or NULL */
    struct net_conn *conn;
    const char *where; /* the database that is looked at */
    struct arena texts;
    struct table *tables; /* of this database */
    size_t table_count, table_cap;
    const struct table *table; /* the one that is looked at, or NULL */
    const char **databases;
    size_t database_count;
    size_t seen, damaged, others; /* tables; findings beside tables */
    bool finding, progress;
};

/* Names are users': no control characters of theirs reach a terminal. */
static void put_text(FILE *f, struct slice s) {
    for (size_t i = 0; i < s.len; i++) {
        (void)fputc(s.ptr[i] < 0x20 || s.ptr[i] == 0x7f ? '?' : s.ptr[i], f);
    }
}

static void put_place(const struct check *c, FILE *f) {
    put_text(f, slice_cstr(c->where));
    if (c->table != NULL) {
        (void)fputc('.', f);
        put_text(f, c->table->schema);
        (void)fputc('.', f);
        put_text(f, c->table->name);
    }
}

static void tell_progress(void *ctx, struct slice text) {
    const struct check *c = ctx;
    if (c->progress) {
        (void)fputs("\r\033[K", stderr);
        put_place(c, stderr);
        (void)fputs(": ", stderr);
        put_text(stderr, text);
        (void)fflush(stderr);
    }
}

static void end_progress(const struct check *c) {
    if (c->progress) {
        (void)fputs("\r\033[K", stderr);
        (void)fflush(stderr);
    }
}

static struct sl_rc ask(struct check *c, const char *sql, question_row_fn row,
                        struct sl_error *err) {
    return question_ask_long(c->conn, slice_cstr(sql), clock_mono_ms() + QUIET_MS,
                             SL_E_SQL_NOT_READY, row, tell_progress, c, err);
}

static struct sl_rc open_database(struct check *c, const char *name, struct sl_error *err) {
    net_conn_free(c->conn);
    c->conn = NULL;
    c->where = name;
    return admin_superuser(c->in, slice_cstr(name), clock_mono_ms() + CONNECT_MS, &c->conn, err);
}

/* ---- findings ---- */

static struct sl_rc take_finding(void *ctx, const struct slice *v, size_t count,
                                 struct sl_error *err) {
    struct check *c = ctx;
    ENSURE(count == 2, err, SL_E_SQL_PROTOCOL, "a finding of %zu columns", count);
    end_progress(c);
    put_place(c, stdout);
    printf(": ");
    put_text(stdout, v[0]);
    printf(": ");
    put_text(stdout, v[1]);
    printf("\n");
    c->finding = true;
    c->others += c->table == NULL;
    return SL_OK;
}

static struct sl_rc check_table(struct check *c, struct sl_error *err) {
    char sql[SQL_BYTES_MAX];
    snprintf(sql, sizeof sql, "SELECT part, problem FROM sealift.check_table(%u)", c->table->oid);
    tell_progress(c, SLICE_LIT("…"));
    c->finding = false;
    struct sl_error own = {0};
    struct sl_rc rc = ask(c, sql, take_finding, &own);
    if (rc.code == SL_E_SQL_NOT_READY) { /* PostgreSQL's own catalog of it does not hold */
        struct slice finding[] = {SLICE_LIT("table"), slice_cstr(own.detail)};
        rc = take_finding(c, finding, 2, err);
    } else if (sl_failed(rc)) {
        return sl_fail(err, rc.code, "%s", sl_error_message(&own, rc.code));
    }
    c->seen++;
    c->damaged += c->finding;
    return rc;
}

/* ---- lists ---- */

static struct sl_rc keep(struct check *c, struct slice s, struct slice *ret, struct sl_error *err) {
    const char *text = arena_cstr(&c->texts, s);
    ENSURE(text != NULL, err, SL_E_LIMIT, "the list of tables is too long");
    *ret = slice_of(text, s.len);
    return SL_OK;
}

static struct sl_rc take_table(void *ctx, const struct slice *v, size_t count,
                               struct sl_error *err) {
    struct check *c = ctx;
    uint64_t oid;
    ENSURE(count == 3 && slice_u64(v[0], UINT32_MAX, &oid), err, SL_E_SQL_PROTOCOL,
           "the list of tables is not understood");
    if (c->table_count == c->table_cap) {
        size_t cap = c->table_cap == 0 ? 64 : 2 * c->table_cap;
        struct table *more = reallocarray(c->tables, cap, sizeof *more);
        ENSURE(more != NULL, err, SL_E_NOMEM, "out of memory");
        c->tables = more;
        c->table_cap = cap;
    }
    struct table t = {.oid = (uint32_t)oid};
    TRY(keep(c, v[1], &t.schema, err));
    TRY(keep(c, v[2], &t.name, err));
    c->tables[c->table_count++] = t;
    return SL_OK;
}

static struct sl_rc take_database(void *ctx, const struct slice *v, size_t count,
                                  struct sl_error *err) {
    struct check *c = ctx;
    ENSURE(count == 2, err, SL_E_SQL_PROTOCOL, "the list of databases is not understood");
    if (!slice_eq_cstr(v[1], "t")) {
        c->where = "sealift";
        struct slice finding[] = {v[0], SLICE_LIT("it allows no connections, so it was not read")};
        return take_finding(c, finding, 2, err);
    }
    const char **more = reallocarray(c->databases, c->database_count + 1, sizeof *more);
    ENSURE(more != NULL, err, SL_E_NOMEM, "out of memory");
    c->databases = more;
    struct slice name = SLICE_EMPTY;
    TRY(keep(c, v[0], &name, err));
    c->databases[c->database_count++] = (const char *)name.ptr;
    return SL_OK;
}

static bool is_wanted(const struct check *c, const struct table *t) {
    if (c->wanted == NULL) {
        return true;
    }
    struct slice w = slice_cstr(c->wanted);
    size_t dot = slice_find(w, '.');
    return slice_eq(w, t->name) || (dot < w.len && slice_eq(slice_sub(w, 0, dot), t->schema) &&
                                    slice_eq(slice_sub(w, dot + 1, w.len), t->name));
}

/* ---- the whole ---- */

static struct sl_rc check_database(struct check *c, const char *name, struct sl_error *err) {
    size_t found = 0;
    TRY(open_database(c, name, err));
    c->table_count = 0;
    TRY(ask(c,
            "SELECT c.oid, n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_am a "
            "ON a.oid = c.relam JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE "
            "a.amname = 'sealed' AND c.relkind IN ('r', 'm') AND c.relpersistence = 'p' ORDER BY "
            "2, 3",
            take_table, err));
    for (size_t i = 0; i < c->table_count; i++) {
        c->table = &c->tables[i];
        if (is_wanted(c, c->table)) {
            TRY(check_table(c, err));
            found++;
        }
    }
    c->table = NULL;
    ENSURE(c->wanted == NULL || found > 0, err, SL_E_NOT_FOUND, "there is no table %s in %s",
           c->wanted, name);
    if (c->wanted == NULL) {
        TRY(ask(c, "SELECT part, problem FROM sealift.check_orphans()", take_finding, err));
        TRY(ask(c, "SELECT part, problem FROM sealift.check_keys()", take_finding, err));
    }
    return SL_OK;
}

static struct sl_rc check_all(struct check *c, struct sl_error *err) {
    TRY(open_database(c, "sealift", err));
    TRY(ask(c,
            "SELECT datname, datallowconn AND datconnlimit <> -2 FROM pg_catalog.pg_database WHERE "
            "datname <> 'template0' "
            "ORDER BY 1",
            take_database, err));
    TRY(ask(c, "SELECT part, problem FROM sealift.check_folders()", take_finding, err));
    for (size_t i = 0; i < c->database_count; i++) {
        TRY(check_database(c, c->databases[i], err));
    }
    return SL_OK;
}

static struct sl_rc parse(int argc, char **argv, struct instance *in, struct check *c,
                          struct sl_error *err) {
    const struct verb_option options[] = {{"database", .text = &c->database}, {0}};
    instance_default_data(in->data, sizeof in->data);
    TRY(verb_options(argc, argv, usage, options, in, err));
    ENSURE(optind + 1 >= argc, err, SL_E_VALIDATION, "'%s' is not understood\n%s", argv[argc - 1],
           usage);
    c->wanted = optind < argc ? argv[optind] : NULL;
    if (c->wanted != NULL && c->database == NULL) {
        c->database = "dev";
    }
    return instance_load(in, err);
}

static struct sl_rc check(struct check *c, struct sl_error *err) {
    struct sl_rc rc = c->database != NULL ? check_database(c, c->database, err) : check_all(c, err);
    end_progress(c);
    net_conn_free(c->conn);
    TRY(rc);
    printf("%zu tables checked, %zu damaged", c->seen, c->damaged);
    if (c->wanted == NULL) {
        printf(", %zu orphans", c->others);
    }
    printf("\n");
    return c->damaged + c->others > 0 ? sl_rc_of(SL_E_CORRUPT) : SL_OK;
}

int warehouse_check(int argc, char **argv) {
    static struct instance in;
    struct check c = {.in = &in, .texts = ARENA_INIT(LIST_BYTES_MAX), .progress = isatty(2)};
    struct sl_error err = {0};
    struct sl_rc rc = parse(argc, argv, &in, &c, &err);
    rc = sl_is_ok(rc) ? check(&c, &err) : rc;
    arena_fini(&c.texts);
    free(c.tables);
    free(c.databases);
    /* What was found has been told. */
    return sl_is_ok(rc) ? 0 : err.code != SL_CODE_OK ? verb_report(&err, rc) : 1;
}
