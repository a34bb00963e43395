/* Range, and the conditional headers, as S3 reads them. */
#ifndef SL_S3_RANGE_H
#define SL_S3_RANGE_H

#include "lib/base/slice.h"

enum range_kind {
    RANGE_WHOLE, /* none, or one that S3 ignores: malformed, several ranges */
    RANGE_PART,
    RANGE_UNSATISFIABLE, /* 416 */
};
/* Bytes [from, to). */
enum range_kind range_parse(struct slice header, uint64_t size, uint64_t *ret_from,
                            uint64_t *ret_to);

/* Is `etag` (without quotes) in the list, or the list "*"? */
bool range_etag_in(struct slice list, struct slice etag);

enum range_verdict { RANGE_PROCEED, RANGE_NOT_MODIFIED, RANGE_FAILED };
struct range_conditions {
    struct slice if_match; /* ptr NULL = absent */
    struct slice if_none_match;
    struct slice if_modified_since;
    struct slice if_unmodified_since;
};
enum range_verdict range_check(const struct range_conditions *c, struct slice etag,
                               int64_t modified_s);

#endif
