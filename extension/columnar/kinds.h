/* How columns of PostgreSQL's types lie in vectors. */
#ifndef SEALIFT_COLUMNAR_KINDS_H
#define SEALIFT_COLUMNAR_KINDS_H

#include "postgres.h"

#include "access/tupdesc.h"

#include "lib/columnar/vector.h"

/* A dropped column is kept as one of NULLs. */
enum vector_kind kinds_of(const FormData_pg_attribute *att);
/* Passed by reference, of a fixed length: kept as BYTES without a length of its own. */
bool kinds_is_fixed(const FormData_pg_attribute *att);

/* Where `value` goes, vector_width(kind) bytes; not for BYTES. */
void kinds_store(enum vector_kind kind, Datum value, uint8_t *out);
/* The value of a row that isn't NULL; for BYTES the datum in the heap. */
Datum kinds_load(const struct vector *v, uint32_t row);

#endif
