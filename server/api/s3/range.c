/* Ranges and conditions (RFC 9110 with S3's habits). */
#include "server/api/s3/range.h"

#include "lib/base/clock.h"

enum range_kind range_parse(struct slice header, uint64_t size, uint64_t *ret_from,
                            uint64_t *ret_to) {
    const struct slice unit = SLICE_LIT("bytes=");
    header = slice_trim(header);
    if (header.len <= unit.len || !slice_ieq(slice_sub(header, 0, unit.len), unit)) {
        return RANGE_WHOLE;
    }
    struct slice spec = slice_trim(slice_sub(header, unit.len, header.len));
    size_t dash = slice_find(spec, '-');
    struct slice first = slice_trim(slice_sub(spec, 0, dash));
    struct slice last = slice_trim(slice_sub(spec, dash + 1, spec.len));
    uint64_t from = 0;
    uint64_t to = 0;
    if (dash == spec.len || (first.len == 0 && last.len == 0) ||
        (first.len > 0 && !slice_u64(first, UINT64_MAX, &from)) ||
        (last.len > 0 && !slice_u64(last, UINT64_MAX, &to))) {
        return RANGE_WHOLE;
    }
    if (first.len == 0) { /* the last `to` bytes */
        if (to == 0 || size == 0) {
            return RANGE_UNSATISFIABLE;
        }
        *ret_from = to < size ? size - to : 0;
        *ret_to = size;
        return RANGE_PART;
    }
    if (last.len > 0 && to < from) {
        return RANGE_WHOLE;
    }
    if (from >= size) {
        return RANGE_UNSATISFIABLE;
    }
    *ret_from = from;
    *ret_to = last.len == 0 || to >= size ? size : to + 1;
    return RANGE_PART;
}

bool range_etag_in(struct slice list, struct slice etag) {
    while (list.len > 0) {
        size_t comma = slice_find(list, ',');
        struct slice item = slice_trim(slice_sub(list, 0, comma));
        list = slice_sub(list, comma + 1, list.len);
        if (slice_starts(item, SLICE_LIT("W/"))) {
            item = slice_sub(item, 2, item.len);
        }
        if (item.len >= 2 && item.ptr[0] == '"' && item.ptr[item.len - 1] == '"') {
            item = slice_sub(item, 1, item.len - 1);
        }
        if (slice_eq(item, SLICE_LIT("*")) || (item.len > 0 && slice_eq(item, etag))) {
            return true;
        }
    }
    return false;
}

enum range_verdict range_check(const struct range_conditions *c, struct slice etag,
                               int64_t modified_s) {
    int64_t when;
    if (c->if_match.ptr != NULL) {
        if (!range_etag_in(c->if_match, etag)) {
            return RANGE_FAILED;
        }
    } else if (c->if_unmodified_since.ptr != NULL &&
               clock_parse_http(c->if_unmodified_since, &when) && modified_s > when) {
        return RANGE_FAILED;
    }
    if (c->if_none_match.ptr != NULL) {
        if (range_etag_in(c->if_none_match, etag)) {
            return RANGE_NOT_MODIFIED;
        }
    } else if (c->if_modified_since.ptr != NULL && clock_parse_http(c->if_modified_since, &when) &&
               modified_s <= when) {
        return RANGE_NOT_MODIFIED;
    }
    return RANGE_PROCEED;
}
