/* DATEFORMAT and TIMEFORMAT: the format up to the first LF, then values, a line each. */
#include <stdint.h>
#include <stdlib.h>

#include "lib/codec/copy_convert.h"

static void convert(const struct copy_convert_conf *conf, struct slice data) {
    struct copy_converter *c;
    struct copy_batch b;
    struct copy_bad_rows bad = {0};
    sl_assert(sl_is_ok(copy_converter_new(conf, &c)));
    sl_assert(sl_is_ok(copy_batch_init(&b, conf)));
    copy_converter_start(c, data, 1);
    bool more = true;
    while (more) {
        copy_batch_reset(&b);
        copy_bad_rows_reset(&bad);
        sl_assert(sl_is_ok(copy_converter_fill(c, &b, &bad, &more, NULL)));
        for (size_t i = 0; i < bad.count; i++) {
            sl_assert(memchr(bad.rows[i].reason, 0, sizeof bad.rows[i].reason) != NULL);
        }
    }
    copy_batch_fini(&b);
    copy_bad_rows_fini(&bad);
    copy_converter_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct copy_column columns[] = {
        {.type = COPY_DATE}, {.type = COPY_TIMESTAMP}, {.type = COPY_TIMESTAMPTZ}};
    struct slice in = slice_of(data, size);
    size_t lf = slice_find(in, '\n');
    struct slice format = slice_sub(in, 0, lf), values = slice_sub(in, lf + 1, size);
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        struct copy_convert_conf conf = {.split = {.delimiter = '|'},
                                         .null_as = SLICE_LIT("\\N"),
                                         .columns = &columns[i],
                                         .column_count = 1,
                                         .max_rejects = 1000};
        if (sl_is_ok(i == 0 ? copy_format_date_option(format, &conf.date_format, NULL)
                            : copy_format_time_option(format, &conf.time_format, NULL))) {
            convert(&conf, values);
        }
    }
    return 0;
}
