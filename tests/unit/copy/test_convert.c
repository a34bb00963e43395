/* Conversion of COPY fields: values, NULLs, and every refusal with its code, text, column and
 * position. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/limits.h"
#include "lib/codec/copy_convert.h"
#include "tests/unit/copy/show.h"

static struct copy_convert_conf conf_of(const struct copy_column *columns, size_t n) {
    return (struct copy_convert_conf){
        .split = {DELIMITED_PLAIN, '|', '"'},
        .null_as = SLICE_LIT("\\N"),
        .columns = columns,
        .column_count = n,
        .max_rejects = 100,
    };
}

/* What became of a text: rows as (a,b), rejects as line/column/position/code reason. */
static void run(const struct copy_convert_conf *conf, struct slice in, struct buf *out) {
    struct copy_converter *c;
    struct copy_batch b;
    struct copy_bad_rows bad = {0};
    struct sl_error err = {0};
    assert_true(sl_is_ok(copy_converter_new(conf, &c)));
    assert_true(sl_is_ok(copy_batch_init(&b, conf)));
    copy_converter_start(c, in, 1);
    bool more = true;
    while (more) {
        copy_batch_reset(&b);
        copy_bad_rows_reset(&bad);
        assert_true(sl_is_ok(copy_converter_fill(c, &b, &bad, &more, &err)));
        put_rows(out, conf->columns, conf->column_count, &b);
        for (size_t i = 0; i < bad.count; i++) {
            const struct copy_bad_row *r = &bad.rows[i];
            buf_printf(out, "%llu/%d/%u/%d %s", (unsigned long long)r->line, r->column, r->position,
                       r->code, r->reason);
        }
        if (bad.count >= conf->max_rejects) {
            break;
        }
    }
    copy_batch_fini(&b);
    copy_bad_rows_fini(&bad);
    copy_converter_free(c);
}

enum { I2, I4, I8, F4, F8, BO, DA, TI, TS, TZ, N8, N0, NB, C3, V5, VX, NN };
static const struct copy_column columns[] = {
    [I2] = {.type = COPY_INT2},
    [I4] = {.type = COPY_INT4},
    [I8] = {.type = COPY_INT8},
    [F4] = {.type = COPY_FLOAT4},
    [F8] = {.type = COPY_FLOAT8},
    [BO] = {.type = COPY_BOOL},
    [DA] = {.type = COPY_DATE},
    [TI] = {.type = COPY_TIME},
    [TS] = {.type = COPY_TIMESTAMP},
    [TZ] = {.type = COPY_TIMESTAMPTZ},
    [N8] = {.type = COPY_NUMERIC, .precision = 8, .scale = 2},
    [N0] = {.type = COPY_NUMERIC, .precision = 18},
    [NB] = {.type = COPY_NUMERIC_BIG, .precision = 38, .scale = 10},
    [C3] = {.type = COPY_CHAR, .max_bytes = 3},
    [V5] = {.type = COPY_VARCHAR, .max_bytes = 5},
    [VX] = {.type = COPY_VARCHAR},
    [NN] = {.type = COPY_INT4, .not_null = true},
};

#define BAD_TS "1/0/0/1206 Invalid timestamp format or value [YYYY-MM-DD HH24:MI:SS]"
#define BAD_TZ "1/0/0/1206 Invalid timestamp format or value [YYYY-MM-DD HH24:MI:SSOF]"
#define BAD_DATE "1/0/0/1205 Invalid date format or value [YYYY-MM-DD]"
#define SHORT_DATE "1/0/0/1205 Invalid Date Format - length must be 10 or more"
#define BAD_TIME "1/0/0/1206 Invalid time format or value [HH24:MI:SS]"
#define BAD_UTF8                                                                                   \
    "1/0/0/1220 String contains invalid or unsupported UTF-8 codepoints. Bad UTF-8 hex sequence: "
#define BAD_CHAR                                                                                   \
    "1/0/0/1220 Multibyte character not supported for CHAR (Hint: Try using VARCHAR). Invalid "    \
    "char: "
#define LONG_TEXT "1/0/0/1204 String length exceeds DDL length"
#define LONG_CHAR "1/0/0/1204 Char length exceeds DDL length"
#define BAD_BOOL "1/0/0/1210 Unknown boolean format"
#define BAD_FLOAT "1/0/0/1208 Invalid floating point value"

static const struct {
    int column;
    const char *in;
    const char *out;
} values[] = {
    {I2, "32767", "(32767)"},
    {I2, "-32768", "(-32768)"},
    {I2, "32768", "1/0/0/1222 Overflow (Short valid range -32768 to 32767)"},
    {I4, "0", "(0)"},
    {I4, "-0", "(0)"},
    {I4, "+17", "(17)"},
    {I4, "  42 ", "(42)"},
    {I4, "000123", "(123)"},
    {I4, "2147483647", "(2147483647)"},
    {I4, "-2147483648", "(-2147483648)"},
    {I4, "2147483648", "1/0/0/1222 Overflow (Integer valid range -2147483648 to 2147483647)"},
    {I4, "", "(NULL)"},
    {I4, "   ", "(NULL)"},
    {I4, "\\N", "(NULL)"},
    {I4, "a", "1/0/0/1207 Invalid digit, Value 'a', Pos 0, Type: Integer"},
    {I4, "12x", "1/0/0/1207 Invalid digit, Value 'x', Pos 2, Type: Integer"},
    {I4, "1.5", "1/0/0/1207 Invalid digit, Value '.', Pos 1, Type: Integer"},
    {I4, "-", "1/0/0/1207 Invalid digit, Value '', Pos 1, Type: Integer"},
    {I4, "1 2", "1/0/0/1207 Invalid digit, Value ' ', Pos 1, Type: Integer"},
    {I4, "\xc3\xa9", "1/0/0/1207 Invalid digit, Value '\\xc3', Pos 0, Type: Integer"},
    {I2, "z", "1/0/0/1207 Invalid digit, Value 'z', Pos 0, Type: Short"},
    {I8, "z", "1/0/0/1207 Invalid digit, Value 'z', Pos 0, Type: Long"},
    {I8, "9223372036854775807", "(9223372036854775807)"},
    {I8, "-9223372036854775808", "(-9223372036854775808)"},
    {I8, "9223372036854775808",
     "1/0/0/1222 Overflow (Long valid range -9223372036854775808 to 9223372036854775807)"},
    {I8, "99999999999999999999999999",
     "1/0/0/1222 Overflow (Long valid range -9223372036854775808 to 9223372036854775807)"},
    {F8, "1.5", "(1.5)"},
    {F8, "-2.5e3", "(-2500)"},
    {F8, "0.1", "(0.10000000000000001)"},
    {F8, "123456789012345678", "(1.2345678901234568e+17)"},
    {F8, "1e-400", "(0)"},
    {F8, "1e400", "1/0/0/1208 Floating point value out of range"},
    {F8, "nan", "(nan)"},
    {F8, "-Infinity", "(-inf)"},
    {F8, "0x10", BAD_FLOAT},
    {F8, "1.5.2", BAD_FLOAT},
    {F8, "e5", BAD_FLOAT},
    {F8, ".", BAD_FLOAT},
    {F8, "", "(NULL)"},
    {F4, "0.1", "(0.100000001)"},
    {F4, "16777217", "(16777216)"},
    {F4, "1e39", "1/0/0/1208 Floating point value out of range"},
    {F4, "x", BAD_FLOAT},
    {BO, "t", "(true)"},
    {BO, "TRUE", "(true)"},
    {BO, "y", "(true)"},
    {BO, "Yes", "(true)"},
    {BO, "1", "(true)"},
    {BO, "F", "(false)"},
    {BO, "false", "(false)"},
    {BO, "n", "(false)"},
    {BO, "NO", "(false)"},
    {BO, "0", "(false)"},
    {BO, "", "(NULL)"},
    {BO, "2", BAD_BOOL},
    {BO, "0.00", BAD_BOOL},
    {BO, "tru", BAD_BOOL},
    {DA, "2000-01-01", "(0)"},
    {DA, "1999-12-31", "(-1)"},
    {DA, "2000-02-29", "(59)"},
    {DA, "2008-01-01", "(2922)"},
    {DA, "0001-01-01", "(-730119)"},
    {DA, "9999-12-31", "(2921939)"},
    {DA, "2008-01-01 12:30:00", "(2922)"},
    {DA, "", "(NULL)"},
    {DA, "2001-02-29", BAD_DATE},
    {DA, "1900-02-29", BAD_DATE},
    {DA, "2001-13-01", BAD_DATE},
    {DA, "2001-04-31", BAD_DATE},
    {DA, "2001-00-01", BAD_DATE},
    {DA, "0000-01-01", BAD_DATE},
    {DA, "01/02/2003", BAD_DATE},
    {DA, "2001-01-011", BAD_DATE},
    {DA, "2001-1-1", SHORT_DATE},
    {DA, "x", SHORT_DATE},
    {TI, "00:00:00", "(0)"},
    {TI, "23:59:59.999999", "(86399999999)"},
    {TI, "12:00:00.5", "(43200500000)"},
    {TI, "24:00:00", BAD_TIME},
    {TI, "12:00", BAD_TIME},
    {TI, "12:00:00.1234567", BAD_TIME},
    {TS, "2000-01-01 00:00:00", "(0)"},
    {TS, "2000-01-01T00:00:01", "(1000000)"},
    {TS, "1999-12-31 23:59:59.999999", "(-1)"},
    {TS, "2008-01-01 00:00:00", "(252460800000000)"},
    {TS, "2000-01-01 00:00:00.25", "(250000)"},
    {TS, "2000-01-01", BAD_TS},
    {TS, "2000-01-01 00:00", BAD_TS},
    {TS, "2000-01-01 24:00:00", BAD_TS},
    {TS, "2000-01-01 00:60:00", BAD_TS},
    {TS, "2000-01-01 00:00:60", BAD_TS},
    {TS, "2000-01-01 00:00:00.", BAD_TS},
    {TS, "2000-01-01 00:00:00+00", BAD_TS},
    {TS, "01/01/2000 00:00:00", BAD_TS},
    {TS, "", "(NULL)"},
    {TZ, "2000-01-01 00:00:00Z", "(0)"},
    {TZ, "2000-01-01 00:00:00 UTC", "(0)"},
    {TZ, "2000-01-01 01:00:00+01", "(0)"},
    {TZ, "2000-01-01 01:30:00+0130", "(0)"},
    {TZ, "1999-12-31 18:30:00-05:30", "(0)"},
    {TZ, "2000-01-01 00:00:00", "(local 0)"},
    {TZ, "2000-01-01 00:00:00+1", BAD_TZ},
    {TZ, "2000-01-01 00:00:00+01:6", BAD_TZ},
    {TZ, "2000-01-01 00:00:00+01:60", BAD_TZ},
    {TZ, "2000-01-01 00:00:00 nowhere", BAD_TZ},
    {N8, "1.5", "(150)"},
    {N8, "-10.00", "(-1000)"},
    {N8, "1.239", "(123)"},
    {N8, "-1.239", "(-123)"},
    {N8, "0.001", "(0)"},
    {N8, ".5", "(50)"},
    {N8, "5.", "(500)"},
    {N8, "000000000001.00", "(100)"},
    {N8, "999999.99", "(99999999)"},
    {N8, "999999.999", "(99999999)"},
    {N8, "1000000", "1/0/0/1207 Overflow for NUMERIC(8,2)"},
    {N8, "99999999999999999999999999999999999999999999", "1/0/0/1207 Overflow for NUMERIC(8,2)"},
    {N8, "1e5", "1/0/0/1207 Invalid digit, Value 'e', Pos 1, Type: Decimal"},
    {N8, "1.2.3", "1/0/0/1207 Invalid digit, Value '.', Pos 3, Type: Decimal"},
    {N8, ".", "1/0/0/1207 Invalid digit, Value '', Pos 1, Type: Decimal"},
    {N8, "--1", "1/0/0/1207 Invalid digit, Value '-', Pos 1, Type: Decimal"},
    {N8, "", "(NULL)"},
    {N0, "999999999999999999", "(999999999999999999)"},
    {N0, "1000000000000000000", "1/0/0/1207 Overflow for NUMERIC(18,0)"},
    {N0, "7.9", "(7)"},
    {NB, "9999999999999999999999999999.9999999999", "(99999999999999999999999999999999999999)"},
    {NB, "-1234567890123456789012345.5", "(-12345678901234567890123455000000000)"},
    {NB, "10000000000000000000000000000", "1/0/0/1207 Overflow for NUMERIC(38,10)"},
    {C3, "abc", "('abc')"},
    {C3, "a", "('a  ')"},
    {C3, "", "('   ')"},
    {C3, "abc     ", "('abc')"},
    {C3, "abcd", "1/0/0/1204 Char length exceeds DDL length"},
    {C3, "\\N", "(NULL)"},
    {C3, "\xc3\xa9", BAD_CHAR "c3 a9"},
    {C3, "a\xff", BAD_UTF8 "ff (error 3)"},
    {V5, "abcde", "('abcde')"},
    {V5, "", "('')"},
    {V5, "  ", "('  ')"},
    {V5, "abcdef", "1/0/0/1204 String length exceeds DDL length"},
    {V5, "abcde ", "1/0/0/1204 String length exceeds DDL length"},
    {V5, "\xc3\xa9\xc3\xa9z", "('\xc3\xa9\xc3\xa9z')"},
    {V5, "\xc3\xa9\xc3\xa9\xc3\xa9", "1/0/0/1204 String length exceeds DDL length"},
    {V5, "\xf0\x9f\x9a\xa2", "('\xf0\x9f\x9a\xa2')"},
    {V5, "\xa4", BAD_UTF8 "a4 (error 3)"},
    {V5, "\xc3", BAD_UTF8 "c3 (error 2)"},
    {V5, "\xc3z", BAD_UTF8 "c3 7a (error 4)"},
    {V5, "\xed\xa0\x80", BAD_UTF8 "ed a0 80 (error 5)"},
    {V5, "\xf4\x90\x80\x80", BAD_UTF8 "f4 90 80 (error 8)"},
    {V5, "\xc0\x80", BAD_UTF8 "c0 80 (error 9)"},
    {V5, "\xf8\x88\x80\x80\x80", BAD_UTF8 "f8 (error 1)"},
    {VX, "12345678\xa4", BAD_UTF8 "a4 (error 3)"},
    {NN, "5", "(5)"},
    {NN, "", "1/0/0/1213 Missing data for not-null field"},
    {NN, "\\N", "1/0/0/1213 Missing data for not-null field"},
};

static void expect(const struct copy_convert_conf *conf, struct slice in, const char *want,
                   const char *what) {
    struct copy_convert_conf c = *conf;
    for (int scan = DELIMITED_BEST; scan <= DELIMITED_SCALAR; scan++) {
        struct buf out = BUF_INIT(1 << 20);
        c.scan = (enum delimited_scan)scan;
        run(&c, in, &out);
        if (!slice_eq_cstr(buf_slice(&out), want)) {
            fail_msg("%s: %.*s instead of %s", what, SLICE_FMT(buf_slice(&out)), want);
        }
        buf_fini(&out);
    }
}

static void test_values(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct copy_convert_conf conf = conf_of(&columns[values[i].column], 1);
        /* an empty text has no row: give it a line end */
        char line[256];
        snprintf(line, sizeof line, "%s\n", values[i].in);
        expect(&conf, slice_cstr(line), values[i].out, values[i].in);
    }
}

static const struct copy_column three[] = {
    {.type = COPY_INT4}, {.type = COPY_VARCHAR, .max_bytes = 5}, {.type = COPY_BOOL}};

static void test_rows(void **state) {
    (void)state;
    static const struct {
        bool csv;
        const char *in;
        const char *out;
    } rows[] = {
        {false, "1|a|t\n2|b|f\n", "(1,'a',true)(2,'b',false)"},
        {false, "1|a|t", "(1,'a',true)"},
        {false, "1|a|t\r\n2||\r\n", "(1,'a',true)(2,'',NULL)"},
        {false, "1|a\n", "1/1/2/1214 Delimiter not found"},
        {false, "\n", "1/0/0/1214 Delimiter not found"},
        {false, "1|a|t|\n", "1/-1/5/1202 Extra column(s) found"},
        {false, "1|a|t|x|y\n", "1/-1/5/1202 Extra column(s) found"},
        {false, "x|a\n", "1/0/0/1207 Invalid digit, Value 'x', Pos 0, Type: Integer"},
        {false, "1|toolong|t\n2|b|q\n3|c|t\n",
         "(3,'c',true)1/1/2/1204 String length exceeds DDL length"
         "2/2/4/1210 Unknown boolean format"},
        {false, "1|\"a\"|t\n", "(1,'\"a\"',true)"},
        {true, "1,\"a,b\",t\n", "(1,'a,b',true)"},
        {true, "1,\"a\nb\",t\nx,,\n",
         "(1,'a\nb',true)3/0/0/1207 Invalid digit, Value 'x', Pos 0, Type: Integer"},
        {true, "\"1\", \"a\"\"b\" ,\"t\"\n", "(1,'a\"b',true)"},
        {true, "1,\\N,\\N\n", "(1,NULL,NULL)"},
        {true, "1,\"\\N\",t\n", "(1,'\\N',true)"},
        {true, "1,a\"b,t\n2,b,t\n", "(2,'b',true)1/1/2/1214 Invalid quote formatting for CSV"},
        {true, "1,\"a\"b,t\n", "1/1/2/1214 Invalid quote formatting for CSV"},
        {true, "z,a\"b,t\n", "1/0/0/1207 Invalid digit, Value 'z', Pos 0, Type: Integer"},
        {true, "1,\"ab,t\n", "1/1/2/1214 Delimited value missing end quote"},
        {true, "1,a\n", "1/1/2/1214 Delimiter not found"},
        {true, "1,\"\"\"\"\"\",t\n", "(1,'\"\"',true)"},
        {true, "1,\"\"\"\"\"\"\"\"\"\"\"\"\"\",t\n", "1/1/2/1204 String length exceeds DDL length"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct copy_convert_conf conf = conf_of(three, 3);
        if (rows[i].csv) {
            conf.split = (struct delimited_conf){DELIMITED_CSV, ',', '"'};
        }
        expect(&conf, slice_cstr(rows[i].in), rows[i].out, rows[i].in);
    }
}

static void test_options(void **state) {
    (void)state;
    static const struct {
        int column;
        const char *in;
        const char *without, *with;
        struct copy_options options;
    } cases[] = {
        {V5, "", "('')", "(NULL)", {.emptyasnull = true}},
        {C3, "", "('   ')", "(NULL)", {.emptyasnull = true}},
        {V5, " ", "(' ')", "(' ')", {.emptyasnull = true}},
        {V5, " \t ", "(' \t ')", "(NULL)", {.blanksasnull = true}},
        {C3, "  ", "('   ')", "(NULL)", {.blanksasnull = true}},
        {V5, "", "('')", "('')", {.blanksasnull = true}},
        {V5, "ab     ", LONG_TEXT, "('ab')", {.trimblanks = true}},
        {V5, " a ", "(' a ')", "(' a')", {.trimblanks = true}},
        {V5, "   ", "('   ')", "('')", {.trimblanks = true}},
        {V5, "abcdefg", LONG_TEXT, "('abcde')", {.truncatecolumns = true}},
        {V5, "abcd\xc3\xa9", LONG_TEXT, "('abcd')", {.truncatecolumns = true}},
        {V5, "abc\xc3\xa9x", LONG_TEXT, "('abc\xc3\xa9')", {.truncatecolumns = true}},
        {C3, "abcd", LONG_CHAR, "('abc')", {.truncatecolumns = true}},
        {DA, "2001-02-30", BAD_DATE, "(NULL)", {.acceptanydate = true}},
        {DA, "soon", SHORT_DATE, "(NULL)", {.acceptanydate = true}},
        {TS, "soon", BAD_TS, "(NULL)", {.acceptanydate = true}},
        {TZ, "soon", BAD_TZ, "(NULL)", {.acceptanydate = true}},
        {TI, "soon", BAD_TIME, BAD_TIME, {.acceptanydate = true}},
        {V5,
         "a\xa4"
         "b",
         BAD_UTF8 "a4 (error 3)",
         "('a?b')",
         {.acceptinvchars = true, .invalid_char = '?'}},
        {V5,
         "\xe2\x82"
         "A",
         BAD_UTF8 "e2 82 41 (error 4)",
         "('^^A')",
         {.acceptinvchars = true, .invalid_char = '^'}},
        {V5,
         "\xc3\xa9\xff",
         BAD_UTF8 "ff (error 3)",
         "('\xc3\xa9?')",
         {.acceptinvchars = true, .invalid_char = '?'}},
        {C3,
         "\xa4",
         BAD_UTF8 "a4 (error 3)",
         BAD_UTF8 "a4 (error 3)",
         {.acceptinvchars = true, .invalid_char = '?'}},
        {N8, "1.005", "(100)", "(101)", {.roundec = true}},
        {N8, "-1.005", "(-100)", "(-101)", {.roundec = true}},
        {N8, "1.00499", "(100)", "(100)", {.roundec = true}},
        {N8, "0.9999", "(99)", "(100)", {.roundec = true}},
        {N8, "999999.99", "(99999999)", "(99999999)", {.roundec = true}},
        {N8, "999999.995", "(99999999)", "1/0/0/1207 Overflow for NUMERIC(8,2)", {.roundec = true}},
        {N0, "0.5", "(0)", "(1)", {.roundec = true}},
        {NB,
         "9999999999999999999999999999.99999999995",
         "(99999999999999999999999999999999999999)",
         "1/0/0/1207 Overflow for NUMERIC(38,10)",
         {.roundec = true}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct copy_convert_conf conf = conf_of(&columns[cases[i].column], 1);
        char row[100];
        snprintf(row, sizeof row, "%s\n", cases[i].in);
        expect(&conf, slice_cstr(row), cases[i].without, cases[i].in);
        conf.options = cases[i].options;
        expect(&conf, slice_cstr(row), cases[i].with, cases[i].in);
    }
}

/* Options about rows, on three = {INT4, VARCHAR, BOOL} and a column that can't be NULL. */
static void test_row_options(void **state) {
    (void)state;
    struct copy_convert_conf conf = conf_of(three, 3);
    conf.options.fillrecord = true;
    expect(&conf, SLICE_LIT("1\n2|x\n3|y|t\n"), "(1,'',NULL)(2,'x',NULL)(3,'y',true)", "fill");
    conf.options.emptyasnull = true;
    expect(&conf, SLICE_LIT("1\n"), "(1,NULL,NULL)", "fill, empty as NULL");
    const struct copy_column strict[] = {columns[I4], columns[NN]};
    conf = conf_of(strict, 2);
    conf.options.fillrecord = true;
    expect(&conf, SLICE_LIT("7\n"), "1/1/1/1213 Missing data for not-null field", "fill NOT NULL");
    expect(&conf, SLICE_LIT("7|8|9\n"), "1/-1/3/1202 Extra column(s) found", "fill, too many");
    conf = conf_of(three, 3);
    expect(&conf, SLICE_LIT("\n1|x|t\n"), "(1,'x',true)1/0/0/1214 Delimiter not found", "blank");
    conf.options.ignoreblanklines = true;
    expect(&conf, SLICE_LIT("\n1|x|t\n\r\n\n2|y|f\n\nz\n"),
           "(1,'x',true)(2,'y',false)7/0/0/1214 Delimiter not found", "blank lines count");
    conf = conf_of(&columns[NN], 1);
    conf.options.acceptanydate = true;
    const struct copy_column date = {.type = COPY_DATE, .not_null = true};
    conf.columns = &date;
    expect(&conf, SLICE_LIT("soon\n"), "1/0/0/1213 Missing data for not-null field", "any date");
}

static void test_null_as(void **state) {
    (void)state;
    struct copy_convert_conf conf = conf_of(three, 3);
    conf.null_as = SLICE_LIT("NIL");
    expect(&conf, SLICE_LIT("NIL|NIL|t\n"), "(NULL,NULL,true)", "NIL");
    expect(&conf, SLICE_LIT("1|\\N|t\n"), "(1,'\\N',true)", "default off");
    conf.null_as = SLICE_LIT("");
    expect(&conf, SLICE_LIT("1||t\n"), "(1,NULL,true)", "empty");
    conf.null_as = slice_of("", 1);
    expect(&conf, slice_of("1|\0|t\n", 6), "(1,NULL,true)", "NUL");
    expect(&conf, slice_of("1|a\0b|t\n", 8),
           "1/1/2/1218 Invalid null byte - field longer than 1 byte", "NUL in text");
}

/* Also where rows are converted in blocks, which need some bytes of text. */
static void null_may_be_a_number(void **state) {
    (void)state;
    static const char *const numbers[] = {"0", "-99", "7.5", ".5"};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct copy_convert_conf conf = conf_of(columns + N8, 1);
        conf.null_as = slice_cstr(numbers[i]);
        struct buf in = BUF_INIT(256);
        buf_printf(&in, "%s\n1\n%s\n2\n                     3\n", numbers[i], numbers[i]);
        expect(&conf, buf_slice(&in), "(NULL)(100)(NULL)(200)(300)", numbers[i]);
        buf_fini(&in);
    }
}

/* Lengths around the border between short and long headers, and padding. */
static void test_text_forms(void **state) {
    (void)state;
    for (size_t len = 120; len < 140; len++) {
        struct copy_column cols[] = {{.type = COPY_VARCHAR, .max_bytes = 65535},
                                     {.type = COPY_CHAR, .max_bytes = (uint32_t)len}};
        struct copy_convert_conf conf = conf_of(cols, 2);
        struct buf in = BUF_INIT(4096), want = BUF_INIT(4096);
        buf_puts(&want, "('");
        for (size_t i = 0; i < len; i++) {
            buf_putc(&in, 'v');
            buf_putc(&want, 'v');
        }
        buf_puts(&in, "|c\n");
        buf_puts(&want, "','c");
        for (size_t i = 1; i < len; i++) {
            buf_putc(&want, ' ');
        }
        buf_puts(&want, "')");
        buf_putc(&want, '\0');
        expect(&conf, buf_slice(&in), (const char *)want.ptr, "length");
        buf_fini(&in);
        buf_fini(&want);
    }
}

/* Many rows come out in several batches, none lost. */
static void test_batches(void **state) {
    (void)state;
    struct copy_convert_conf conf = conf_of(columns + I4, 1);
    struct buf in = BUF_INIT(1 << 20);
    enum { ROWS = 3 * COPY_BATCH_ROWS + 7 };
    for (int i = 0; i < ROWS; i++) {
        buf_printf(&in, "%d\n", i);
    }
    struct copy_converter *c;
    struct copy_batch b;
    struct copy_bad_rows bad = {0};
    struct sl_error err = {0};
    assert_true(sl_is_ok(copy_converter_new(&conf, &c)));
    assert_true(sl_is_ok(copy_batch_init(&b, &conf)));
    copy_converter_start(c, buf_slice(&in), 1);
    bool more = true;
    int seen = 0;
    while (more) {
        copy_batch_reset(&b);
        copy_bad_rows_reset(&bad);
        assert_true(sl_is_ok(copy_converter_fill(c, &b, &bad, &more, &err)));
        for (size_t i = 0; i < b.rows; i++) {
            assert_int_equal(b.columns[0].v.i32[i], seen++);
        }
    }
    assert_int_equal(seen, ROWS);
    copy_batch_fini(&b);
    copy_bad_rows_fini(&bad);
    copy_converter_free(c);
    buf_fini(&in);
}

/* Short fields that are padded to long texts: a batch passes its bytes by no more than a row. */
static void padding_is_counted(void **state) {
    (void)state;
    static const struct copy_column wide[] = {{.type = COPY_CHAR, .max_bytes = 4096},
                                              {.type = COPY_CHAR, .max_bytes = 4096}};
    struct copy_convert_conf conf = conf_of(wide, 2);
    struct copy_converter *c;
    struct copy_batch b;
    struct copy_bad_rows bad = {0};
    struct buf in = BUF_INIT(1 << 20);
    size_t rows = 0, header = 4;
    for (int i = 0; i < 3000; i++) {
        buf_printf(&in, "%x|%x\n", i, i);
    }
    assert_true(sl_is_ok(copy_converter_new(&conf, &c)));
    assert_true(sl_is_ok(copy_batch_init(&b, &conf)));
    copy_converter_start(c, buf_slice(&in), 1);
    for (bool more = true; more; rows += b.rows) {
        copy_batch_reset(&b);
        assert_true(sl_is_ok(copy_converter_fill(c, &b, &bad, &more, NULL)));
        assert_in_range(b.text.len, 0, COPY_BATCH_BYTES + 2 * (4096 + header));
    }
    assert_int_equal(rows, 3000);
    copy_batch_fini(&b);
    copy_bad_rows_fini(&bad);
    copy_converter_free(c);
    buf_fini(&in);
}

static void test_reject_limit(void **state) {
    (void)state;
    struct copy_convert_conf conf = conf_of(columns + I4, 1);
    conf.max_rejects = 1;
    expect(&conf, SLICE_LIT("1\nx\ny\n2\n"),
           "(1)2/0/0/1207 Invalid digit, Value 'x', Pos 0, Type: Integer", "stops");
}

static void test_raw_texts(void **state) {
    (void)state;
    struct copy_convert_conf conf = conf_of(three, 3);
    struct copy_converter *c;
    struct copy_batch b;
    struct copy_bad_rows bad = {0};
    struct sl_error err = {0};
    struct buf in = BUF_INIT(1 << 20);
    buf_puts(&in, "7|");
    for (int i = 0; i < 3000; i++) {
        buf_putc(&in, 'w');
    }
    buf_puts(&in, "|t\n");
    assert_true(sl_is_ok(copy_converter_new(&conf, &c)));
    assert_true(sl_is_ok(copy_batch_init(&b, &conf)));
    copy_converter_start(c, buf_slice(&in), 40);
    bool more;
    assert_true(sl_is_ok(copy_converter_fill(c, &b, &bad, &more, &err)));
    assert_int_equal(bad.count, 1);
    assert_int_equal(bad.rows[0].line, 40);
    assert_int_equal(bad.rows[0].line_len, COPY_RAW_MAX);
    assert_int_equal(bad.rows[0].field_len, COPY_RAW_MAX);
    assert_memory_equal(bad.raw.ptr + bad.rows[0].line_at, "7|ww", 4);
    assert_memory_equal(bad.raw.ptr + bad.rows[0].field_at, "wwww", 4);
    copy_batch_fini(&b);
    copy_bad_rows_fini(&bad);
    copy_converter_free(c);
    buf_fini(&in);
}

static void test_row_limit(void **state) {
    (void)state;
    struct copy_convert_conf conf = conf_of(columns + VX, 1);
    size_t len = LIMIT_COPY_ROW_BYTES + 1;
    uint8_t *data = malloc(len);
    memset(data, 'a', len);
    expect(&conf, slice_of(data, len), "1/-1/0/1216 Invalid line: larger than the limit of 4 MB",
           "row limit");
    free(data);
}

static const char *const field_texts[] = {
    "",
    "",
    "0",
    "1",
    "-1",
    "+7",
    "12",
    "32767",
    "32768",
    "-32768",
    "2147483648",
    "99999999",
    "123456789",
    "00000000001",
    "1.5",
    "-.25",
    ".5",
    "5.",
    ".",
    "-",
    "--1",
    "1-",
    "1.2.3",
    "1,5",
    " 4 ",
    "999999.99",
    "1000000.00",
    "-999999.999",
    "0.001",
    "12345.6",
    "1e5",
    "nan",
    "t",
    "false",
    "yes",
    "maybe",
    "2001-02-03",
    "2001-02-03 04:05:06",
    "2001-02-29 00:00:00",
    "2001-02-03 04:05:06.123456",
    "04:05:06",
    "2001-02-03 04:05:06+02",
    "\\N",
    "x",
    "text",
    "exactly sixteen.",
    "seventeen letters",
    "a text of twenty-three.",
    "a text of twenty-four b.",
    "a text that is longer than that",
    "caf\xc3\xa9",
    "\xff",
    "tail  ",
    "\r",
    "a\"b",
    "\"quoted\"",
    "1\r",
    "12345678",
    "-12345678",
    "1234567.8",
};

static void put_fields(struct buf *in, unsigned *seed, size_t columns_n, uint8_t delimiter) {
    size_t n = rand_r(seed) % 50 == 0 ? (size_t)rand_r(seed) % 12 : columns_n;
    for (size_t i = 0; i < n; i++) {
        if (i > 0) {
            buf_putc(in, delimiter);
        }
        if (rand_r(seed) % 4 == 0) {
            buf_printf(in, "%d", rand_r(seed) % 200 - 100);
        } else {
            buf_puts(
                in, field_texts[(size_t)rand_r(seed) % (sizeof field_texts / sizeof *field_texts)]);
        }
    }
    buf_puts(in, rand_r(seed) % 20 == 0 ? "\r\n" : "\n");
}

/* By every scan blocks of rows give what rows one by one do. The bytes that run() shows of them. */
static size_t blocks_give_rows(struct copy_convert_conf conf, struct slice in) {
    struct buf blocks = BUF_INIT(1 << 24), rows = BUF_INIT(1 << 24);
    conf.scan = DELIMITED_SCALAR;
    run(&conf, in, &rows);
    for (int scan = DELIMITED_BEST; scan < DELIMITED_SCALAR; scan++) {
        conf.scan = (enum delimited_scan)scan;
        buf_reset(&blocks);
        run(&conf, in, &blocks);
        assert_true(slice_eq(buf_slice(&blocks), buf_slice(&rows)));
    }
    size_t len = rows.len;
    buf_fini(&blocks);
    buf_fini(&rows);
    return len;
}

static void test_blocks(void **state) {
    (void)state;
    unsigned seed = 1;
    for (int round = 0; round < 3000; round++) {
        struct copy_column table[8];
        size_t n = 1 + (size_t)rand_r(&seed) % 8;
        for (size_t i = 0; i < n; i++) {
            table[i] = columns[rand_r(&seed) % (NN + 1)];
        }
        struct copy_convert_conf conf = conf_of(table, n);
        bool csv = rand_r(&seed) % 2 == 0;
        conf.split =
            (struct delimited_conf){csv ? DELIMITED_CSV : DELIMITED_PLAIN, csv ? ',' : '|', '"'};
        conf.max_rejects = 100000;
        static const char *const nulls[] = {"\\N", "\\N", "0", "-1", "1.5", "x"};
        conf.null_as = slice_cstr(nulls[(size_t)rand_r(&seed) % 6]);
        conf.options = (struct copy_options){.emptyasnull = rand_r(&seed) % 2,
                                             .acceptanydate = rand_r(&seed) % 2,
                                             .roundec = rand_r(&seed) % 2,
                                             .truncatecolumns = rand_r(&seed) % 2,
                                             .trimblanks = rand_r(&seed) % 2,
                                             .ignoreblanklines = rand_r(&seed) % 2};
        struct buf in = BUF_INIT(1 << 20);
        unsigned one = seed, count = (unsigned)rand_r(&seed) % 400;
        for (unsigned row = 0; row < count; row++) {
            /* the same row again and again, so that blocks succeed and memos are used */
            unsigned again = rand_r(&seed) % 100 < 97 ? one + row % 3 : seed;
            put_fields(&in, &again, n, conf.split.delimiter);
        }
        if (in.len > 0 && rand_r(&seed) % 2 == 0) {
            in.len--;
        }
        blocks_give_rows(conf, buf_slice(&in));
        buf_fini(&in);
    }
}

static void put_place(struct buf *in, unsigned *seed, unsigned place, bool odd) {
    static const char *const lands[] = {"Norway", "\\N", "", "Peru", "Bosnia and Herzegovina"};
    unsigned land = odd ? (unsigned)rand_r(seed) : place;
    if (odd && rand_r(seed) % 40 == 0) {
        buf_puts(in, "a row of another kind\n");
        return;
    }
    buf_printf(in, "%d|%u|%s|", rand_r(seed) % 1000, place * 7919, lands[land % 5]);
    buf_printf(in, "place %u%*s|", place, place % 9 == 0 ? 30 : 0, "");
    buf_printf(in, place % 11 == 0 ? "|" : "%d-01-02|", 1900 + (int)(land % 90));
    buf_puts(in, odd && rand_r(seed) % 40 == 0 ? "far too long" : place % 2 ? "N" : "S");
    buf_puts(in, rand_r(seed) % 20 == 0 ? "\r\n" : "\n");
}

/* Columns that tell one another's value give what rows one by one do: few places, more of them than
 * a group keeps, ever new ones, long ones, and fields that don't belong together after all. */
static void columns_that_belong_together(void **state) {
    (void)state;
    static const struct copy_column table[] = {{.type = COPY_INT8},
                                               {.type = COPY_INT4},
                                               {.type = COPY_CHAR, .max_bytes = 30},
                                               {.type = COPY_VARCHAR, .max_bytes = 60},
                                               {.type = COPY_DATE},
                                               {.type = COPY_VARCHAR, .max_bytes = 2}};
    unsigned seed = 7;
    for (int round = 0; round < 24; round++) {
        static const unsigned places[] = {1, 40, 300, 900};
        struct copy_convert_conf conf = conf_of(table, 6);
        struct buf in = BUF_INIT(1 << 24);
        unsigned odd = round % 3 == 0 ? 200 : 5000;
        conf.max_rejects = 100000;
        for (unsigned row = 0; row < 12000; row++) {
            bool late = row > 4000 && row < 9000 && round % 2 == 1;
            unsigned most = late ? 100000 : places[round % 4];
            put_place(&in, &seed, (unsigned)rand_r(&seed) % most, rand_r(&seed) % odd == 0);
        }
        assert_true(blocks_give_rows(conf, buf_slice(&in)) > 200000);
        buf_fini(&in);
    }
}

static void test_names(void **state) {
    (void)state;
    char length[24];
    copy_type_length(&columns[N8], length);
    assert_string_equal(length, "8, 2");
    copy_type_length(&columns[V5], length);
    assert_string_equal(length, "5");
    copy_type_length(&columns[I4], length);
    assert_string_equal(length, "0");
    assert_string_equal(copy_type_name(&columns[NB]), "numeric");
    assert_string_equal(copy_type_name(&columns[TZ]), "timestamptz");
}

/* Values under DATEFORMAT and TIMEFORMAT; a NULL result: no value of that format. */
static const struct {
    int column;
    const char *format, *in, *out;
} formats[] = {
    {DA, "MM/DD/YYYY", "02/29/2000", "(59)"},
    {DA, "MM/DD/YYYY", "02/29/2000 10:00:00", "(59)"},
    {DA, "MM/DD/YYYY", "02/29/2001", NULL},
    {DA, "MM/DD/YYYY", "2/9/2001", "1/0/0/1205 Invalid Date Format - length must be 10 or more"},
    {DA, "DD-MON-YY", "01-jan-00", "(0)"},
    {DA, "DD-MON-YY", "01-JAN-70", "(-10957)"},
    {DA, "DD-MON-YY", "01-JAN-69", "(25203)"},
    {DA, "DD-MON-YY", "01-JNA-69", NULL},
    {DA, "YYYYMMDD", "20000102", "(1)"},
    {DA, "YYYY", "2000", "(0)"},
    {DA, "YYYY-MM-DD HH24:MI", "2000-01-02 23:59", "(1)"},
    {DA, "YYYY-MM-DD HH24:MI", "2000-01-02 24:59", NULL},
    {TS, "YYYY-MM-DDTHH24:MI:SSZ", "2000-01-01T00:00:01Z", "(1000000)"},
    {TS, "YYYY-MM-DDTHH:MI:SS", "2000-01-01T00:00:01.5", "(1500000)"},
    {TS, "YYYY-MM-DD HH:MI:SS.SSS", "2000-01-01 00:00:01.25", "(1250000)"},
    {TS, "YYYY-MM-DD HH:MI:SS.SSS", "2000-01-01 00:00:01", "(1000000)"},
    {TS, "YYYY-MM-DD HH:MI:SS.SSS", "2000-01-01 00:00:01.1234567", NULL},
    {TS, "MM/DD/YYYY HH12:MI AM", "01/01/2000 12:30 AM", "(1800000000)"},
    {TS, "MM/DD/YYYY HH12:MI AM", "01/01/2000 12:30 pm", "(45000000000)"},
    {TS, "MM/DD/YYYY HH12:MI AM", "01/01/2000 13:30 PM", NULL},
    {TS, "MM/DD/YYYY HH12:MI AM", "01/01/2000 00:30 AM", NULL},
    {TS, "YYYY-MM-DD HH:MI:SS", "2000-01-01 00:00:00+00", NULL},
    {TS, "YYYY-MM-DD", "2000-01-02", "(86400000000)"},
    {TS, "epochsecs", "946684801", "(1000000)"},
    {TS, "epochsecs", "-1", "(-946684801000000)"},
    {TS, "epochsecs", "1.5", NULL},
    {TS, "epochsecs", "9223372036854775807", NULL},
    {TS, "epochmillisecs", "946684800001", "(1000)"},
    {TS, "epochmillisecs", "x", NULL},
    {TZ, "epochsecs", "946684801", "(1000000)"},
    {TZ, "YYYY-MM-DD HH:MI:SS", "2000-01-01 00:00:00", "(local 0)"},
    {DA, "auto", "2000-01-01", "(0)"},
    {DA, "auto", "J2451545", "(0)"},
    {DA, "auto", "J5373485", NULL},
    {DA, "auto", "January 1, 2000", "(0)"},
    {DA, "auto", "1 Jan 2000", "(0)"},
    {DA, "auto", "Sat, 01 Jan 2000", "(0)"},
    {DA, "auto", "2000/JAN/01", "(0)"},
    {DA, "auto", "2000.001", "(0)"},
    {DA, "auto", "00.001", "(0)"},
    {DA, "auto", "2000.366", "(365)"},
    {DA, "auto", "2001.366", NULL},
    {DA, "auto", "1/2/2000", "(1)"},
    {DA, "auto", "13.01.2000", "(12)"},
    {DA, "auto", "13/01/2000", NULL},
    {DA, "auto", "4713-01-01 BC", "(-2451507)"},
    {DA, "auto", "4714-01-01 BC", NULL},
    {DA, "auto", "2000-01-01 AD", "(0)"},
    {DA, "auto", "0000-01-01 BC", NULL},
    {DA, "auto", "2000", NULL},
    {DA, "auto", "Jan 2000", NULL},
    {DA, "auto", "Jan Feb 2000", NULL},
    {DA, "auto", "2000-01-01-01", NULL},
    {DA, "auto", "1234567890", NULL},
    {DA, "auto", "20000101T", NULL},
    {DA, "auto", "-", NULL},
    {TS, "auto", "2000-01-01", "(0)"},
    {TS, "auto", "2000-01-01T00:00:01.5Z", "(1500000)"},
    {TS, "auto", "20000101 000001", "(1000000)"},
    {TS, "auto", "000101 000001", "(1000000)"},
    {TS, "auto", "1 Jan 00:00:01 2000 PST", "(1000000)"},
    {TS, "auto", "2000-01-01 00:00:01-08", "(1000000)"},
    {TS, "auto", "2000-01-01 1:00 PM", "(46800000000)"},
    {TS, "auto", "2000-01-01 PM", NULL},
    {TS, "auto", "2000-01-01 1:00 PM AM", NULL},
    {TS, "auto", "2000-01-01 00:00:00 XYZ", NULL},
    {TS, "auto", "2000-01-01 00:00:00 UTC UTC", NULL},
    {TS, "auto", "2000-01-01 00:00:00+16", NULL},
    {TS, "auto", "2000-01-01 00:00:00:00", NULL},
    {TZ, "auto", "2000-01-01 00:00:00-0830", "(30600000000)"},
    {TZ, "auto", "2000-01-01 00:00:00+01:30", "(-5400000000)"},
    {TZ, "auto", "2000-01-01 00:00:00 EST", "(18000000000)"},
    {TZ, "auto", "J0 00:00:00+00", "(-211813488000000000)"},
    {TZ, "auto", "J0 00:00:00+01", NULL},
    {TZ, "auto", "2000-01-01 00:00:00", "(local 0)"},
};

static void date_and_time_formats(void **state) {
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        struct copy_convert_conf conf = conf_of(&columns[formats[i].column], 1);
        struct slice format = slice_cstr(formats[i].format);
        bool date = formats[i].column == DA;
        assert_true(sl_is_ok(date ? copy_format_date_option(format, &conf.date_format, NULL)
                                  : copy_format_time_option(format, &conf.time_format, NULL)));
        char none[128];
        snprintf(none, sizeof none, "1/0/0/%s format or value [%s]",
                 date ? "1205 Invalid date" : "1206 Invalid timestamp", formats[i].format);
        expect(&conf, slice_cstr(formats[i].in), formats[i].out != NULL ? formats[i].out : none,
               formats[i].in);
    }
}

static void formats_that_are_none(void **state) {
    static const char *const texts[] = {
        "",
        "MM-DD",
        "YYYY-YY",
        "YYYY-MM-MM",
        "YYYY-MON-MM",
        "YYYY HH12",
        "YYYY-MM-DDOF",
        "YYYY-MM-DD TZ",
        "AUTO",
        "YYYY-MM-DD HH HH24",
        "YYYY-Q",
        "YYYY1",
        "YYYY-MM-DD-----------------------------",
        "epochsec",
        "YYYY-MM-DD                                                               "};
    struct copy_format f;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct sl_error err = {0};
        if (sl_is_ok(copy_format_date_option(slice_cstr(texts[i]), &f, &err)) ||
            sl_is_ok(copy_format_time_option(slice_cstr(texts[i]), &f, &err))) {
            fail_msg("\"%s\" is taken", texts[i]);
        }
        assert_non_null(strstr(err.detail, "FORMAT \""));
    }
    assert_true(sl_failed(copy_format_date_option(SLICE_LIT("epochsecs"), &f, NULL)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(date_and_time_formats),
        cmocka_unit_test(formats_that_are_none),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_row_options),
        cmocka_unit_test(test_null_as),
        cmocka_unit_test(null_may_be_a_number),
        cmocka_unit_test(test_text_forms),
        cmocka_unit_test(test_batches),
        cmocka_unit_test(padding_is_counted),
        cmocka_unit_test(test_reject_limit),
        cmocka_unit_test(test_raw_texts),
        cmocka_unit_test(test_row_limit),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(columns_that_belong_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
