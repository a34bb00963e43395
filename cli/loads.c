/* `sealift loads`: what the warehouse loads and has loaded, over all its databases. Each look asks
 * sealift.loads in each of them, as the supervisor's own role. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cli/admin.h"
#include "cli/loads_text.h"
#include "cli/verb.h"
#include "cli/verbs.h"
#include "gateway/backend/lookup.h"
#include "gateway/backend/question.h"
#include "lib/base/arena.h"
#include "lib/base/clock.h"
#include "lib/base/limits.h"

enum {
    LAST_DEFAULT = 20,
    LAST_MAX = 1000,
    DATABASES_MAX = 1000,
    LOOK_BYTES_MAX = 64 * 1024 * 1024,
    SCREEN_BYTES_MAX = 4 * 1024 * 1024,
    PERIOD_MS = 500
};

static const char usage[] =
    "usage: sealift loads [--watch] [--last N] [--data DIR]\n"
    "Shows the loads (COPY) that run, with how far they are, and the last that ended within a "
    "day.\n"
    "\n"
    "  --watch   go on until interrupted; to no terminal, a line for each change\n"
    "  --last N  as many of those that ended (default 20)\n";

struct loads_options {
    bool watch;
    uint64_t last;
};

/* One look: lines, the oldest first, and those that run at the end. */
struct look {
    struct arena a;
    struct load_line *lines;
    size_t count, cap;
    struct slice databases[DATABASES_MAX];
    size_t database_count;
};

static struct sl_rc parse(int argc, char **argv, struct instance *in, struct loads_options *o,
                          struct sl_error *err) {
    const char *last = NULL;
    const struct verb_option options[] = {
        {"watch", .flag = &o->watch}, {"last", .text = &last}, {0}};
    TRY(verb_open(argc, argv, usage, options, in, err));
    ENSURE(last == NULL || slice_u64(slice_cstr(last), LAST_MAX, &o->last), err, SL_E_VALIDATION,
           "--last wants a number up to %d, not '%s'", LAST_MAX, last);
    return SL_OK;
}

/* ---- A look ---- */

static struct sl_rc ask(const struct instance *in, struct slice database, struct slice statement,
                        question_row_fn row, void *ctx, struct sl_error *err) {
    int64_t deadline = clock_mono_ms() + LIMIT_SQL_BACKEND_MS;
    struct net_conn *c;
    TRY(admin_sql(in, database, deadline, &c, err));
    struct sl_rc rc = question_ask(c, statement, deadline, SL_E_SQL_NOT_READY, row, ctx, err);
    net_conn_free(c);
    return rc;
}

static struct sl_rc on_database(void *ctx, const struct slice *fields, size_t count,
                                struct sl_error *err) {
    struct look *k = ctx;
    ENSURE(count == 1 && k->database_count < DATABASES_MAX, err, SL_E_LIMIT,
           "more than %d databases", DATABASES_MAX);
    k->databases[k->database_count++] = arena_copy(&k->a, fields[0]);
    return SL_OK;
}

static struct sl_rc room_for_one(struct look *k, struct sl_error *err) {
    if (k->count == k->cap) {
        size_t cap = k->cap ? 2 * k->cap : 64;
        struct load_line *more = arena_array(&k->a, cap, sizeof *more);
        ENSURE(more != NULL, err, SL_E_NOMEM, "out of memory");
        if (k->count > 0) {
            memcpy(more, k->lines, k->count * sizeof *more);
        }
        k->lines = more;
        k->cap = cap;
    }
    return SL_OK;
}

#define LOADS_COLUMNS                                                                              \
    "l.status, l.query, l.database_name, l.table_name, pg_get_userbyid(l.userid::oid), "           \
    "date_trunc('second', l.start_time), greatest(0, (extract(epoch FROM coalesce(l.end_time, "    \
    "clock_timestamp() AT TIME ZONE 'UTC') - l.start_time) * 1000))::bigint, l.loaded_rows, "      \
    "l.error_count, l.file_bytes_scanned, l.source_file_bytes, l.file_count_scanned, "             \
    "l.source_file_count, l.percent, l.data_source, l.current_file, l.message"
enum { LOADS_COLUMN_COUNT = 17 };

static struct sl_rc on_load(void *ctx, const struct slice *f, size_t count, struct sl_error *err) {
    struct look *k = ctx;
    ENSURE(count == LOADS_COLUMN_COUNT, err, SL_E_SQL_PROTOCOL, "a load of %zu columns", count);
    TRY(room_for_one(k, err));
    struct load_line *l = &k->lines[k->count++];
    *l = (struct load_line){.running = slice_eq_cstr(f[0], "running"),
                            .failed = slice_eq_cstr(f[0], "aborted")};
    uint64_t percent = 0;
    uint64_t *numbers[] = {&l->ms,   &l->rows, &l->errors, &l->bytes,
                           &l->size, &l->done, &l->files,  &percent};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        ENSURE(slice_u64(f[6 + i], INT64_MAX, numbers[i]), err, SL_E_SQL_PROTOCOL, "no number");
    }
    l->percent = (unsigned)percent;
    struct slice *texts[] = {&l->query, &l->database, &l->table,  &l->user,
                             &l->start, &l->source,   &l->object, &l->message};
    static const size_t columns[] = {1, 2, 3, 4, 5, 14, 15, 16};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        *texts[i] = arena_copy(&k->a, f[columns[i]]);
        ENSURE(texts[i]->ptr != NULL, err, SL_E_NOMEM, "out of memory");
    }
    return SL_OK;
}

static int by_time(const void *a, const void *b) {
    const struct load_line *x = a, *y = b;
    if (x->running != y->running) {
        return x->running ? 1 : -1;
    }
    int order = slice_cmp(x->start, y->start);
    return order != 0 ? order : slice_cmp(x->query, y->query);
}

/* Drops what ended, but for the last ones. */
static void keep_last(struct look *k, size_t last) {
    size_t ended = 0;
    while (ended < k->count && !k->lines[ended].running) {
        ended++;
    }
    size_t drop = ended > last ? ended - last : 0;
    k->lines += drop;
    k->count -= drop;
    k->cap -= drop;
}

static struct sl_rc look(const struct instance *in, const struct loads_options *o, struct look *k,
                         struct sl_error *err) {
    SL_CLEANUP(buf_fini) struct buf sql = BUF_INIT(4096);
    buf_printf(&sql,
               "SELECT " LOADS_COLUMNS " FROM sealift.loads l WHERE at IS NULL OR at > now() AT "
               "TIME ZONE 'UTC' - interval '1 day' ORDER BY at DESC NULLS FIRST LIMIT %d",
               (int)o->last + LAST_MAX);
    TRY(buf_check(&sql, err));
    TRY(ask(
        in, SLICE_LIT(LOOKUP_DATABASE),
        SLICE_LIT("SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate AND "
                  "datname <> 'sealift'"),
        on_database, k, err));
    for (size_t i = 0; i < k->database_count; i++) {
        struct sl_rc rc = ask(in, k->databases[i], buf_slice(&sql), on_load, k, err);
        if (rc.code == SL_E_SQL_NOT_READY) { /* dropped meanwhile, or not open to Sealift's role */
            fprintf(stderr, "sealift: database %.*s: %s\n", SLICE_FMT(k->databases[i]),
                    sl_error_message(err, rc.code));
            sl_error_clear(err);
            continue;
        }
        TRY(rc);
    }
    if (k->count > 0) {
        qsort(k->lines, k->count, sizeof *k->lines, by_time);
    }
    keep_last(k, o->last);
    return SL_OK;
}

/* ---- Showing ---- */

/* Zeros where it is no terminal. */
static struct winsize terminal(void) {
    struct winsize w;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 ? w : (struct winsize){0};
}

static struct sl_rc show(const struct buf *text, struct sl_error *err) {
    TRY(buf_check(text, err));
    fwrite(text->len > 0 ? text->ptr : (const uint8_t *)"", 1, text->len, stdout);
    ENSURE(fflush(stdout) == 0, err, SL_E_IO, "stdout: %m");
    return SL_OK;
}

static struct sl_rc show_once(const struct instance *in, const struct loads_options *o,
                              struct sl_error *err) {
    static struct look k = {.a = ARENA_INIT(LOOK_BYTES_MAX)};
    SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(SCREEN_BYTES_MAX);
    TRY(look(in, o, &k, err));
    for (size_t i = 0; i < k.count; i++) {
        loads_text_put(&out, &k.lines[i], terminal().ws_col);
        buf_putc(&out, '\n');
    }
    if (k.count == 0) {
        buf_puts(&out, "no loads within a day\n");
    }
    arena_fini(&k.a);
    return show(&out, err);
}

/* On a terminal: the picture before goes, line by line, and the new one is drawn in its place. */
static struct sl_rc draw(const struct look *k, size_t *lines, struct sl_error *err) {
    SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(SCREEN_BYTES_MAX);
    if (*lines > 0) {
        buf_printf(&out, "\033[%zuA", *lines);
    }
    buf_puts(&out, "\r\033[J");
    struct winsize w = terminal();
    *lines = w.ws_row > 0 && k->count >= w.ws_row ? w.ws_row - 1u : k->count;
    for (size_t i = k->count - *lines; i < k->count; i++) {
        loads_text_put(&out, &k->lines[i], w.ws_col);
        buf_puts(&out, "\n");
    }
    return show(&out, err);
}

static bool same_load(const struct load_line *a, const struct load_line *b) {
    return slice_eq(a->query, b->query) && slice_eq(a->database, b->database);
}

/* To a file or a pipe: what is not as at the last look. */
static struct sl_rc tell(const struct look *k, const struct look *before, struct sl_error *err) {
    SL_CLEANUP(buf_fini) struct buf out = BUF_INIT(SCREEN_BYTES_MAX);
    for (size_t i = 0; i < k->count; i++) {
        const struct load_line *l = &k->lines[i], *was = NULL;
        for (size_t j = 0; j < before->count && was == NULL; j++) {
            was = same_load(l, &before->lines[j]) ? &before->lines[j] : NULL;
        }
        if (was == NULL || l->running != was->running || l->bytes != was->bytes ||
            l->rows != was->rows) {
            loads_text_put(&out, l, 0);
            buf_putc(&out, '\n');
        }
    }
    return show(&out, err);
}

static struct sl_rc watch(const struct instance *in, const struct loads_options *o,
                          struct sl_error *err) {
    static struct look looks[2] = {{.a = ARENA_INIT(LOOK_BYTES_MAX)},
                                   {.a = ARENA_INIT(LOOK_BYTES_MAX)}};
    size_t lines = 0;
    for (unsigned n = 0;; n++) {
        struct look *k = &looks[n % 2], *before = &looks[(n + 1) % 2];
        arena_reset(&k->a);
        *k = (struct look){.a = k->a};
        TRY(look(in, o, k, err));
        TRY(isatty(STDOUT_FILENO) ? draw(k, &lines, err) : tell(k, before, err));
        nanosleep(&(struct timespec){0, PERIOD_MS * 1000000L}, NULL);
    }
}

int verb_loads(int argc, char **argv) {
    static struct instance in;
    struct loads_options o = {.last = LAST_DEFAULT};
    struct sl_error err = {0};
    struct sl_rc rc = parse(argc, argv, &in, &o, &err);
    if (sl_is_ok(rc)) {
        rc = o.watch ? watch(&in, &o, &err) : show_once(&in, &o, &err);
    }
    return sl_is_ok(rc) ? 0 : verb_report(&err, rc);
}
