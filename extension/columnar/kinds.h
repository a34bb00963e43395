/* How columns of PostgreSQL's types lie in vectors. */
#ifndef SEALIFT_COLUMNAR_KINDS_H
#define SEALIFT_COLUMNAR_KINDS_H

#include "postgres.h"

#include "access/tupdesc.h"

#include "lib/columnar/decimal.h"

struct kinds_form {
    enum vector_kind kind;
    bool fixed;   /* by reference, of a fixed length: BYTES without a length of its own */
    bool numeric; /* a datum of NUMERIC, however it is kept */
    bool decimal; /* NUMERIC(p, s), 0 <= s <= p <= 38: INT64 (p <= 18) or INT128, see decimal.h;
                     any other NUMERIC is BYTES */
    uint8_t precision, scale;
    int16 attlen;
};

/* What is written for a column. A dropped one is kept as NULLs. Domains are as their types. */
struct kinds_form kinds_form_of(const FormData_pg_attribute *att);

/* A vector of that form without rows, to be filled in. */
struct vector kinds_vector(const struct kinds_form *form);

/* Whether a chunk that the footer describes so holds values of `form`. ALTER TABLE leaves chunks
 * as they are when a type's values stay, so a NUMERIC's may have another scale and width. */
bool kinds_fit(const struct kinds_form *form, enum vector_kind kind, bool decimal);

/* Where `value` goes, vector_width(kind) bytes; not for BYTES. False: a number that its type
 * doesn't allow. */
bool kinds_store(const struct kinds_form *form, Datum value, uint8_t *out);
/* The value of a row that isn't NULL; for BYTES the datum in the heap, for decimals one made in
 * `room` (DECIMAL_DATUM_BYTES, aligned to 4). */
Datum kinds_load(const struct vector *v, uint32_t row, uint8_t *room);

#endif
