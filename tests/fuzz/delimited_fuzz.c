/* Splitter of COPY text. First byte: format and options; the rest is data. The vectorised scan and
 * its twin must agree, fields must lie inside their row, and cutting must not change the rows. */
#include <stdint.h>
#include <stdlib.h>

#include "lib/base/rc.h"
#include "lib/codec/delimited.h"
#include "lib/codec/json_record.h"

enum { FIELDS = 8 };

/* A row ends where one that is too large would be found to end. */
static void compare_tail(const struct delimited_conf *conf, struct slice data,
                         const struct delimited_row *row, size_t next) {
    struct delimited_tail tail = {.conf = conf};
    size_t end = 0;
    bool ends = delimited_tail_end(&tail, slice_sub(data, row->start, data.len), &end);
    end += row->start;
    if (conf->format != DELIMITED_JSON) {
        sl_assert(ends == (next > row->end) && (!ends || end == next));
    } else {
        sl_assert(ends ? end == row->end || (end == row->end + 1 && data.ptr[row->end] == '\n')
                       : row->end == data.len);
    }
}

static void compare(const struct delimited_conf *conf, struct slice data,
                    enum delimited_scan other) {
    struct delimited *a = malloc(sizeof *a), *b = malloc(sizeof *b);
    struct delimited_field fa[FIELDS], fb[FIELDS];
    struct delimited_row ra, rb;
    size_t lines = 0, cut = 0;
    sl_assert(a != NULL && b != NULL);
    delimited_start(a, conf, data, DELIMITED_BEST);
    delimited_start(b, conf, data, other);
    while (delimited_next(a, fa, FIELDS, &ra)) {
        sl_assert(delimited_next(b, fb, FIELDS, &rb));
        sl_assert(ra.start == rb.start && ra.end == rb.end && ra.lines == rb.lines &&
                  ra.field_count == rb.field_count && ra.fault == rb.fault &&
                  ra.fault_at == rb.fault_at && ra.fault_field == rb.fault_field);
        sl_assert(ra.start <= ra.end && ra.end <= data.len &&
                  (ra.field_count > 0 || conf->format == DELIMITED_FIXED));
        for (uint32_t i = 0; i < ra.field_count && i < FIELDS; i++) {
            sl_assert(fa[i].start == fb[i].start && fa[i].len == fb[i].len);
            sl_assert(fa[i].start >= ra.start && (uint64_t)fa[i].start + fa[i].len <= ra.end);
            uint8_t *text = malloc(fa[i].len + 1);
            sl_assert(text != NULL && delimited_undouble(a, &fa[i], text) <= fa[i].len);
            free(text);
        }
        compare_tail(conf, data, &ra, a->at);
        lines += ra.lead + ra.lines;
        cut = a->at > ra.end ? a->at : cut;
    }
    sl_assert(!delimited_next(b, fb, FIELDS, &rb));
    if (conf->format != DELIMITED_JSON) { /* see json_record_fuzz */
        sl_assert(lines == delimited_lines(data));
        sl_assert(cut == delimited_cut(conf, data, DELIMITED_BEST));
    }
    free(a);
    free(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    static const uint32_t widths[] = {1, 3, 2};
    static const struct slice names[] = {{(const uint8_t *)"a", 1}, {(const uint8_t *)"b", 1}};
    static struct json_shape *shape;
    if (shape == NULL) {
        shape = json_shape_new(names, 2, true);
    }
    struct delimited_conf conf = {.format = data[0] & 32   ? DELIMITED_JSON
                                            : data[0] & 16 ? DELIMITED_FIXED
                                            : data[0] & 1  ? DELIMITED_CSV
                                                           : DELIMITED_PLAIN,
                                  .delimiter = data[0] & 2 ? '|' : ',',
                                  .quote = '"',
                                  .escape = (data[0] & 1) == 0 && data[0] & 4,
                                  .removequotes = (data[0] & 1) == 0 && data[0] & 8,
                                  .widths = widths,
                                  .width_count = 3,
                                  .json = shape};
    struct slice text = slice_of(data + 1, size - 1);
    compare(&conf, text, DELIMITED_SCALAR);
    size_t cut = delimited_cut(&conf, text, DELIMITED_BEST);
    compare(&conf, slice_sub(text, 0, cut), DELIMITED_OLDER);
    compare(&conf, slice_sub(text, cut, text.len), DELIMITED_SCALAR);
    sl_assert(delimited_row_end(&conf, text) <= text.len);
    return 0;
}
