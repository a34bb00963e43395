/* Decimals: NUMERIC(p, s) in vectors as integers times 10^s (INT64 up to 18 digits, INT128 up to
 * 38), and as PostgreSQL's numeric datums. */
#ifndef SL_COLUMNAR_DECIMAL_H
#define SL_COLUMNAR_DECIMAL_H

#include "lib/columnar/vector.h"

enum {
    DECIMAL_DIGITS_MAX = 38,
    DECIMAL_INT64_DIGITS = 18,
    DECIMAL_DATUM_BYTES = 32, /* of a datum, its length included: at most 28 */
};

/* NaN is the greatest of the kind, which no value of up to 18 or 38 digits is; so integers are in
 * PostgreSQL's order. */
static inline __int128 decimal_nan(enum vector_kind kind) {
    return kind == VECTOR_INT64 ? (__int128)INT64_MAX : (__int128)((unsigned __int128)-1 >> 1);
}

/* 10^n, n <= DECIMAL_DIGITS_MAX. */
__int128 decimal_power(unsigned n);

/* `numeric`: a datum behind its length. False: more than `precision` digits or decimals beyond
 * `scale` (then nothing is rounded), infinite, or no numeric at all. scale <= precision <= 38. */
bool decimal_of_datum(struct slice numeric, unsigned precision, unsigned scale,
                      enum vector_kind kind, __int128 *ret);

/* Row `row` (not NULL) of a decimal vector as a datum with a 4-byte length; `out` is aligned to 4
 * and has DECIMAL_DATUM_BYTES. */
void decimal_datum(const struct vector *v, uint32_t row, uint8_t *out);

#endif
