/* What a text column's least and greatest value say of a comparison: could any row meet it?
 *
 * Texts compare as their bytes without trailing blanks (docs/decisions/11-varchar.md), bounds are
 * of whole bytes, and long ones are cut: so the answer is yes too often, and never no when a row
 * meets it. */
#ifndef SL_COLUMNAR_BOUNDS_H
#define SL_COLUMNAR_BOUNDS_H

#include "lib/columnar/segment.h"

enum bounds_test {
    BOUNDS_LESS = 1, /* in the order of B-tree strategies */
    BOUNDS_LESS_EQUAL,
    BOUNDS_EQUAL,
    BOUNDS_GREATER_EQUAL,
    BOUNDS_GREATER,
    BOUNDS_PREFIX, /* the text begins with the value, blanks count: LIKE 'value%' */
};

/* A BYTES column that is bounded. */
bool bounds_may_hold(const struct segment_column *column, enum bounds_test test,
                     struct slice value);

#endif
