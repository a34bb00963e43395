/* Random files and options through the product's converter, whole and in runs, with all scans, and
 * through a plain reader: the same rows, the same errors. SEALIFT_SEED repeats a run;
 * SEALIFT_SOAK=1 takes 100,000 cases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "lib/codec/json_record.h"
#include "tests/unit/copy/reference.h"
#include "tests/unit/copy/show.h"

enum { CASES_SHORT = 4000, CASES_SOAK = 100000, COLUMNS_MAX = 5, OUT_MAX = 4 * 1024 * 1024 };

static uint64_t state;

static size_t below(size_t n) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (size_t)(state % n);
}

static bool one_in(size_t n) {
    return below(n) == 0;
}

static const struct copy_column kinds[] = {
    {.type = COPY_INT2},
    {.type = COPY_INT4},
    {.type = COPY_INT8},
    {.type = COPY_FLOAT8},
    {.type = COPY_BOOL},
    {.type = COPY_DATE},
    {.type = COPY_TIMESTAMP},
    {.type = COPY_NUMERIC, .precision = 5, .scale = 2},
    {.type = COPY_NUMERIC, .precision = 18, .scale = 0},
    {.type = COPY_NUMERIC_BIG, .precision = 38, .scale = 10},
    {.type = COPY_CHAR, .max_bytes = 4},
    {.type = COPY_VARCHAR, .max_bytes = 6},
    {.type = COPY_VARCHAR},
};

#define PIECE(text)                                                                                \
    { (const uint8_t *)(text), sizeof(text) - 1 }
static const struct slice pieces[] = {
    PIECE("1"),
    PIECE("-2"),
    PIECE("+30"),
    PIECE("99999"),
    PIECE("-2147483649"),
    PIECE("12.345"),
    PIECE("-0.995"),
    PIECE(".5"),
    PIECE("9999999999999999999999"),
    PIECE("1e3"),
    PIECE("nan"),
    PIECE("true"),
    PIECE("F"),
    PIECE("2001-02-03"),
    PIECE("2001-02-30"),
    PIECE("1900-02-29"),
    PIECE("2001-02-03 04:05:06"),
    PIECE("2001-02-03T04:05:06.25"),
    PIECE(" "),
    PIECE("\t"),
    PIECE("\\N"),
    PIECE("NIL"),
    PIECE("\""),
    PIECE("\"\""),
    PIECE("'"),
    PIECE("\\"),
    PIECE("\\\\"),
    PIECE("\xc3\xa9"),
    PIECE("\xe2\x82\xac"),
    PIECE("\xf0\x9f\x98\x80"),
    PIECE("\xff"),
    PIECE("\xe2\x82"),
    PIECE("\xed\xa0\x80"),
    PIECE("\0"),
    PIECE("\r"),
    PIECE("abc"),
    PIECE("abcdefgh"),
    PIECE(","),
    PIECE("|"),
    PIECE("\n"),
};
enum { PIECES = sizeof pieces / sizeof pieces[0], ODD_PIECES = 22 /* the last ones */ };

/* A value that the column can take. */
static const char *fitting(const struct copy_column *col) {
    static const char *const integers[] = {"1", "-2", "+30", "0", "007"};
    static const char *const decimals[] = {"12.345", "-0.995", ".5", "7", "-3."};
    static const char *const truths[] = {"true", "F", "1", "no", "Y"};
    static const char *const dates[] = {"2001-02-03", "2000-02-29", "0001-01-01", "1999-12-31 x",
                                        "2024-07-08T"};
    static const char *const times[] = {"2001-02-03 04:05:06", "2001-02-03T04:05:06.25",
                                        "1970-01-01 00:00:00.000001", "9999-12-31 23:59:59",
                                        "1999-03-01 12:00:00"};
    static const char *const texts[] = {"a", "bc d", "xyz ", "", "12"};
    switch (col->type) {
    case COPY_BOOL:
        return truths[below(5)];
    case COPY_DATE:
        return dates[below(5)];
    case COPY_TIMESTAMP:
        return times[below(5)];
    case COPY_FLOAT8:
    case COPY_NUMERIC:
    case COPY_NUMERIC_BIG:
        return decimals[below(5)];
    case COPY_CHAR:
    case COPY_VARCHAR:
        return texts[below(5)];
    default:
        return integers[below(5)];
    }
}

static void put_odd(struct buf *out) {
    for (size_t n = one_in(3) ? 2 + below(2) : 1; n > 0; n--) {
        buf_put(out, pieces[one_in(2) ? PIECES - 1 - below(ODD_PIECES) : below(PIECES)]);
    }
}

/* One file in two has hardly any odd fields, so that there are long runs of good rows. */
static void put_field(struct buf *out, const struct copy_column *col, size_t odd) {
    char quote = one_in(odd) ? '\'' : one_in(4) ? '"' : '\0';
    if (quote != '\0') {
        buf_putc(out, quote);
    }
    if (one_in(odd)) {
        put_odd(out);
    } else if (!one_in(10)) {
        buf_puts(out, fitting(col));
    }
    if (quote != '\0' && !one_in(odd)) {
        buf_putc(out, quote);
    }
}

/* The field brought to its width, mostly. */
static void put_fixed(struct buf *out, const struct copy_column *col, uint32_t width, size_t odd) {
    if (one_in(odd)) {
        put_odd(out);
        return;
    }
    buf_printf(out, "%*.*s", one_in(2) ? (int)width : -(int)width, (int)width, fitting(col));
}

static void put_file(struct buf *out, const struct copy_convert_conf *conf) {
    size_t odd = one_in(2) ? 8 : 200;
    for (size_t rows = below(one_in(5) ? 80 : 12); rows > 0; rows--) {
        size_t columns = conf->column_count, n = one_in(odd) ? below(columns + 2) : columns;
        for (size_t i = 0; i < n; i++) {
            const struct copy_column *col = &conf->columns[i < columns ? i : 0];
            if (conf->split.format == DELIMITED_FIXED) {
                put_fixed(out, col, conf->split.widths[i < columns ? i : 0], odd);
                continue;
            }
            if (i > 0) {
                buf_putc(out, (char)conf->split.delimiter);
            }
            put_field(out, col, odd);
        }
        buf_puts(out, one_in(6) ? "\r\n" : rows == 1 && one_in(2) ? "" : "\n");
    }
}

static void random_conf(struct copy_convert_conf *conf, struct copy_column *columns,
                        uint32_t *widths) {
    static const struct slice nulls[] = {PIECE("\\N"), PIECE("NIL"), PIECE(""),
                                         PIECE("\0"),  PIECE("1"),   PIECE("-2")};
    size_t format = below(6);
    *conf = (struct copy_convert_conf){
        .split = {.format = format < 2    ? DELIMITED_CSV
                            : format == 2 ? DELIMITED_FIXED
                                          : DELIMITED_PLAIN,
                  .delimiter = one_in(2) ? '|' : ',',
                  .quote = one_in(6) ? '\'' : '"',
                  .escape = format == 3 || format == 4,
                  .removequotes = format >= 4 && one_in(2),
                  .widths = widths},
        .null_as = nulls[one_in(2) ? 0 : below(6)],
        .options = {.emptyasnull = one_in(4),
                    .blanksasnull = one_in(4),
                    .trimblanks = one_in(4),
                    .truncatecolumns = one_in(4),
                    .fillrecord = one_in(4),
                    .acceptanydate = one_in(4),
                    .acceptinvchars = one_in(4),
                    .roundec = one_in(4),
                    .ignoreblanklines = one_in(4),
                    .invalid_char = '?'},
        .columns = columns,
        .column_count = 1 + below(COLUMNS_MAX),
        .max_rejects = 1000,
    };
    conf->split.width_count = conf->column_count;
    for (size_t i = 0; i < conf->column_count; i++) {
        columns[i] = kinds[below(sizeof kinds / sizeof kinds[0])];
        columns[i].not_null = one_in(10);
        widths[i] = 1 + (uint32_t)below(24);
    }
}

/* Rows and rejects come in two lists, so that one has to be merged into the other by hand: a reject
 * stops the filling, which takes one at a time. */
static void convert(const struct copy_convert_conf *conf, struct slice in, uint64_t line,
                    struct buf *out) {
    struct copy_converter *c;
    struct copy_batch b;
    struct copy_bad_rows bad = {0};
    struct copy_convert_conf one = *conf;
    one.max_rejects = 1;
    assert_true(sl_is_ok(copy_converter_new(&one, &c)));
    assert_true(sl_is_ok(copy_batch_init(&b, &one)));
    copy_converter_start(c, in, line);
    bool more = true;
    while (more) {
        copy_batch_reset(&b);
        copy_bad_rows_reset(&bad);
        assert_true(sl_is_ok(copy_converter_fill(c, &b, &bad, &more, NULL)));
        put_rows(out, one.columns, one.column_count, &b);
        for (size_t i = 0; i < bad.count; i++) {
            const struct copy_bad_row *r = &bad.rows[i];
            buf_printf(out, "<%llu/%d/%u/%d>", (unsigned long long)r->line, r->column, r->position,
                       r->code);
        }
    }
    copy_batch_fini(&b);
    copy_bad_rows_fini(&bad);
    copy_converter_free(c);
}

/* The file in two runs, cut where the product would cut it. */
static void convert_runs(const struct copy_convert_conf *conf, struct slice in, struct buf *out) {
    size_t cut = delimited_cut(&conf->split, slice_sub(in, 0, below(in.len + 1)), conf->scan);
    struct slice first = slice_sub(in, 0, cut);
    convert(conf, first, 1, out);
    convert(conf, slice_sub(in, cut, in.len), 1 + delimited_lines(first), out);
}

static void check(uint64_t seed, const char *how, struct slice in, const struct buf *got,
                  const struct buf *want) {
    if (slice_eq(buf_slice(got), buf_slice(want))) {
        return;
    }
    fprintf(stderr, "SEALIFT_SEED=%llu (%s)\nfile: ", (unsigned long long)seed, how);
    for (size_t i = 0; i < in.len; i++) {
        uint8_t c = in.ptr[i];
        fprintf(stderr, c < ' ' || c > '~' || c == '\\' ? "\\x%02x" : "%c", c);
    }
    fail_msg("\ngot  %.*s\nwant %.*s", SLICE_FMT(buf_slice(got)), SLICE_FMT(buf_slice(want)));
}

/* Whole and in runs, with all scans. */
static void compare(struct copy_convert_conf *conf, uint64_t seed, struct slice file,
                    const struct buf *want) {
    /* behind the end lies what must not be read */
    uint8_t *exact = malloc(file.len + 1);
    memcpy(exact, file.len > 0 ? file.ptr : (const uint8_t *)"", file.len);
    struct slice in = slice_of(exact, file.len);
    for (int scan = DELIMITED_BEST; scan <= DELIMITED_SCALAR; scan++) {
        struct buf whole = BUF_INIT(OUT_MAX), runs = BUF_INIT(OUT_MAX);
        conf->scan = (enum delimited_scan)scan;
        convert(conf, in, 1, &whole);
        convert_runs(conf, in, &runs);
        static const char *const names[] = {"best scan", "older scan", "scalar scan"};
        check(seed, names[scan], in, &whole, want);
        check(seed, "in runs", in, &runs, want);
        buf_fini(&whole);
        buf_fini(&runs);
    }
    free(exact);
}

static void run_case(uint64_t seed) {
    struct copy_column columns[COLUMNS_MAX];
    uint32_t widths[COLUMNS_MAX];
    struct copy_convert_conf conf;
    struct buf file = BUF_INIT(OUT_MAX), want = BUF_INIT(OUT_MAX);
    state = seed;
    random_conf(&conf, columns, widths);
    put_file(&file, &conf);
    reference_read(&conf, buf_slice(&file), &want);
    compare(&conf, seed, buf_slice(&file), &want);
    buf_fini(&file);
    buf_fini(&want);
}

/* ---- JSON: the fields are known, and written as a record in one of its many forms ---- */

static void put_blanks(struct buf *out) {
    static const char *const blanks[] = {"", "", "", " ", "\n", "\r\n\t"};
    buf_puts(out, blanks[below(6)]);
}

/* Where the text is UTF-8, a character now and then by its code units. */
static void put_string(struct buf *out, struct slice s) {
    buf_putc(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.ptr[i];
        if (c < 0x20 || (c < 0x80 && one_in(12))) {
            buf_printf(out, one_in(2) ? "\\u%04x" : "\\u%04X", c);
        } else if (c == '"' || c == '\\') {
            buf_printf(out, "\\%c", c);
        } else if (s.len - i >= 2 && memcmp(s.ptr + i, "\xc3\xa9", 2) == 0 && one_in(2)) {
            buf_puts(out, "\\u00e9");
            i++;
        } else if (s.len - i >= 4 && memcmp(s.ptr + i, "\xf0\x9f\x98\x80", 4) == 0 && one_in(2)) {
            buf_puts(out, "\\ud83d\\ude00");
            i += 3;
        } else {
            buf_putc(out, (char)c);
        }
    }
    buf_putc(out, '"');
}

/* A value for the column: into the record, and as the reference is told of it. */
static void put_json_value(struct buf *out, const struct copy_column *col, size_t record,
                           struct buf *texts, struct reference_value *ret) {
    static const char *const bare[] = {
        "1", "-2", "0", "12.5", "-0.995", "1e3", "true", "false", "[1, {\"x\": \"]}\"}]", "{}"};
    size_t from = texts->len;
    ret->position = out->len - record;
    ret->null = one_in(12);
    if (ret->null) {
        buf_puts(out, "null");
    } else if (one_in(4)) {
        const char *text = bare[below(sizeof bare / sizeof bare[0])];
        buf_puts(out, text);
        buf_puts(texts, text);
    } else {
        if (one_in(8)) {
            put_odd(texts);
        } else {
            buf_puts(texts, fitting(col));
        }
        put_string(out, slice_of(texts->ptr + from, texts->len - from));
    }
    ret->text = slice_of(texts->ptr + from, texts->len - from);
}

static void put_record(struct buf *out, const struct copy_convert_conf *conf, uint64_t *line,
                       struct buf *want) {
    struct reference_value values[COLUMNS_MAX] = {0};
    SL_CLEANUP(buf_fini) struct buf texts = BUF_INIT(OUT_MAX);
    sl_assert(buf_reserve(&texts, 16 * 1024) != NULL); /* so that it stays where it is */
    size_t record = out->len, first = below(conf->column_count + 1);
    buf_putc(out, '{');
    for (size_t n = 0; n <= conf->column_count; n++) {
        size_t i = (first + n) % (conf->column_count + 1);
        bool known = i < conf->column_count;
        if (known && one_in(10)) {
            values[i].null = true; /* not there at all */
            continue;
        }
        put_blanks(out);
        struct reference_value ignored;
        buf_printf(out, known ? "\"c%zu\"" : "\"other%zu\"", i);
        put_blanks(out);
        buf_putc(out, ':');
        put_blanks(out);
        put_json_value(out, &conf->columns[known ? i : 0], record, &texts,
                       known ? &values[i] : &ignored);
        put_blanks(out);
        buf_putc(out, ',');
    }
    buf_puts(out, "\"end\":[]}");
    reference_record(conf, values, *line, want);
    *line += delimited_lines(slice_of(out->ptr + record, out->len - record));
}

static void run_json_case(uint64_t seed) {
    static const struct slice names[] = {PIECE("c0"), PIECE("c1"), PIECE("c2"), PIECE("c3"),
                                         PIECE("c4")};
    struct copy_column columns[COLUMNS_MAX];
    uint32_t widths[COLUMNS_MAX];
    struct copy_convert_conf conf;
    struct buf file = BUF_INIT(OUT_MAX), want = BUF_INIT(OUT_MAX);
    uint64_t line = 1;
    state = seed;
    random_conf(&conf, columns, widths);
    conf.options.ignoreblanklines = conf.options.fillrecord = false;
    struct json_shape *shape = json_shape_new(names, conf.column_count, one_in(2));
    assert_non_null(shape);
    conf.split = (struct delimited_conf){.format = DELIMITED_JSON, .json = shape};
    for (size_t rows = below(12); rows > 0; rows--) {
        size_t before = file.len;
        put_blanks(&file);
        line += delimited_lines(slice_of(file.ptr + before, file.len - before));
        put_record(&file, &conf, &line, &want);
    }
    compare(&conf, seed, buf_slice(&file), &want);
    buf_fini(&file);
    buf_fini(&want);
    json_shape_free(shape);
}

static void same_as_the_reference(void **unused) {
    const char *given = getenv("SEALIFT_SEED"), *soak = getenv("SEALIFT_SOAK");
    if (given != NULL) {
        run_case(strtoull(given, NULL, 10));
        run_json_case(strtoull(given, NULL, 10));
        return;
    }
    size_t cases = soak != NULL && strcmp(soak, "1") == 0 ? CASES_SOAK : CASES_SHORT;
    uint64_t first = (uint64_t)time(NULL) * 1000003;
    for (size_t i = 0; i < cases; i++) {
        uint64_t seed = (first + i) * 0x9e3779b97f4a7c15 | 1;
        run_case(seed);
        if (i % 4 == 0) {
            run_json_case(seed);
        }
    }
    printf("%zu cases\n", cases);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_as_the_reference)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
