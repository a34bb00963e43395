/* JSON records by JSONPaths: the paths' file up to the first NUL, then records. Fields lie inside
 * their record, and what is cut off is whole records. */
#include <stdint.h>
#include <stdlib.h>

#include "lib/codec/delimited.h"
#include "lib/codec/json_record.h"

enum { COLUMNS = 3 };

static void read_records(const struct delimited_conf *conf, struct slice data) {
    struct delimited *d = malloc(sizeof *d);
    struct delimited_field fields[COLUMNS];
    struct delimited_row row;
    size_t cut = 0;
    sl_assert(d != NULL);
    delimited_start(d, conf, data, DELIMITED_BEST);
    while (delimited_next(d, fields, COLUMNS, &row)) {
        sl_assert(row.start < row.end && row.end <= data.len && row.field_count == COLUMNS);
        for (size_t i = 0; i < COLUMNS; i++) {
            sl_assert(fields[i].start >= row.start &&
                      (uint64_t)fields[i].start + fields[i].len <= row.end);
            uint8_t *text = malloc(fields[i].len + 1);
            sl_assert(text != NULL && delimited_undouble(d, &fields[i], text) <= fields[i].len);
            free(text);
        }
        cut =
            d->at < data.len || (row.fault != DELIMITED_BAD_JSON && row.fault != DELIMITED_BAD_HEX)
                ? d->at
                : cut;
    }
    size_t whole = delimited_cut(conf, data, DELIMITED_BEST);
    sl_assert(whole == cut || (whole < data.len && whole >= row.start) || whole == data.len);
    free(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct slice names[COLUMNS] = {
        {(const uint8_t *)"a", 1}, {(const uint8_t *)"b", 1}, {(const uint8_t *)"c", 1}};
    struct slice in = slice_of(data, size);
    size_t nul = slice_find(in, 0);
    struct json_shape *shape = json_shape_new(names, COLUMNS, size % 2 == 0);
    sl_assert(shape != NULL);
    if (sl_is_ok(json_shape_set_paths(shape, slice_sub(in, 0, nul), NULL)) || nul == 0) {
        struct delimited_conf conf = {.format = DELIMITED_JSON, .json = shape};
        read_records(&conf, slice_sub(in, nul + 1, in.len));
    }
    json_shape_free(shape);
    return 0;
}
