/* Conversion of COPY text. First byte: format and options; the rest is data for a table of every
 * type; then each line once more for each type alone, so that later columns are reached. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/rc.h"
#include "lib/codec/copy_convert.h"

static const struct copy_column columns[] = {
    {.type = COPY_INT2},
    {.type = COPY_INT4},
    {.type = COPY_INT8},
    {.type = COPY_FLOAT4},
    {.type = COPY_FLOAT8},
    {.type = COPY_BOOL},
    {.type = COPY_DATE},
    {.type = COPY_TIME},
    {.type = COPY_TIMESTAMP},
    {.type = COPY_TIMESTAMPTZ},
    {.type = COPY_NUMERIC, .precision = 8, .scale = 2},
    {.type = COPY_NUMERIC_BIG, .precision = 38, .scale = 10},
    {.type = COPY_CHAR, .max_bytes = 130},
    {.type = COPY_VARCHAR, .max_bytes = 200},
};
enum { COLUMNS = sizeof columns / sizeof columns[0] };

static void convert(const struct copy_convert_conf *conf, struct slice data) {
    struct copy_converter *c;
    struct copy_batch b;
    struct copy_bad_rows all = {0};
    sl_assert(sl_is_ok(copy_converter_new(conf, &c)));
    sl_assert(sl_is_ok(copy_batch_init(&b, conf)));
    copy_converter_start(c, data, 1);
    bool more = true;
    for (size_t bad = 0; more && bad < conf->max_rejects; bad += all.count) {
        copy_batch_reset(&b);
        copy_bad_rows_reset(&all);
        sl_assert(sl_is_ok(copy_converter_fill(c, &b, &all, &more, NULL)));
        for (size_t i = 0; i < all.count; i++) {
            const struct copy_bad_row *r = &all.rows[i];
            sl_assert(r->column < (int32_t)conf->column_count && r->code >= 1200 &&
                      memchr(r->reason, 0, sizeof r->reason) != NULL);
            sl_assert((size_t)r->line_at + r->line_len <= all.raw.len &&
                      (size_t)r->field_at + r->field_len <= all.raw.len);
        }
    }
    copy_batch_fini(&b);
    copy_bad_rows_fini(&all);
    copy_converter_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    struct copy_convert_conf conf = {
        .split = {data[0] & 1 ? DELIMITED_CSV : DELIMITED_PLAIN, ',', '"'},
        .null_as = SLICE_LIT("\\N"),
        .columns = columns,
        .column_count = COLUMNS,
        .max_rejects = 50,
    };
    conf.options = (struct copy_options){
        .emptyasnull = data[0] & 2,
        .blanksasnull = data[0] & 2,
        .trimblanks = data[0] & 4,
        .truncatecolumns = data[0] & 8,
        .fillrecord = data[0] & 16,
        .acceptanydate = data[0] & 32,
        .acceptinvchars = data[0] & 64,
        .roundec = data[0] & 128,
        .ignoreblanklines = data[0] & 128,
        .invalid_char = '?',
    };
    struct slice text = slice_of(data + 1, size - 1);
    convert(&conf, text);
    conf.column_count = 1;
    for (size_t i = 0; i < COLUMNS; i++) {
        conf.columns = &columns[i];
        convert(&conf, text);
    }
    return 0;
}
