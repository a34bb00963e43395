/* Text of fixed width; see delimited.h. */
#include "lib/codec/delimited_in.h"

#include "lib/codec/utf8_in.h"

static uint32_t skip_characters(const uint8_t *p, uint32_t at, uint32_t end, uint32_t count) {
    for (; count > 0 && at < end; count--) {
        size_t n = p[at] < 0x80 ? 1 : utf8_step(p + at, end - at);
        at += n > 0 ? (uint32_t)n : 1;
    }
    return at;
}

bool delimited_next_fixed(struct delimited *d, struct delimited_field *fields, size_t max_fields,
                          struct delimited_row *row) {
    const uint8_t *p = d->data.ptr;
    const uint8_t *lf = memchr(p + row->start, '\n', d->data.len - row->start);
    uint32_t at = row->start, n = 0;
    row->end = (uint32_t)d->data.len;
    d->at = d->data.len;
    if (lf != NULL) {
        row->end = delimited_line_end(d, row->start, (uint32_t)(lf - p));
        row->lines = 1;
        d->at = (size_t)(lf - p) + 1;
    }
    /* what is left behind the last width is one more field */
    for (; n <= d->conf.width_count && at < row->end; n++) {
        uint32_t from = at;
        at = n < d->conf.width_count ? skip_characters(p, at, row->end, d->conf.widths[n])
                                     : row->end;
        if (n < max_fields) {
            fields[n] =
                (struct delimited_field){.start = from, .len = at - from, .raw_start = from};
        }
    }
    row->field_count = n;
    return true;
}

struct sl_rc delimited_widths(struct slice spec, uint32_t *ret, size_t max, size_t *ret_count,
                              struct sl_error *err) {
    size_t n = 0;
    uint64_t width;
    bool more = true;
    for (size_t at = 0; more; n++) {
        struct slice rest = slice_sub(spec, at, spec.len);
        size_t comma = slice_find(rest, ',');
        struct slice one = slice_sub(rest, 0, comma);
        size_t colon = slice_find(one, ':');
        struct slice number = slice_trim(slice_sub(one, colon + 1, one.len));
        ENSURE(colon < one.len && slice_u64(number, UINT16_MAX, &width) && width > 0, err,
               SL_E_PARSE, "Invalid FIXEDWIDTH column specification \"%.*s\"",
               SLICE_FMT(slice_sub(one, 0, 100)));
        ENSURE(n < max, err, SL_E_PARSE, "FIXEDWIDTH names more than %zu columns", max);
        ret[n] = (uint32_t)width;
        more = comma < rest.len;
        at += comma + 1;
    }
    *ret_count = n;
    return SL_OK;
}
