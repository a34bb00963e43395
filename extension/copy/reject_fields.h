/* The fields of a rejected row one by one, for stl_loaderror_detail. Include after postgres.h. */
#ifndef SEALIFT_COPY_REJECT_FIELDS_H
#define SEALIFT_COPY_REJECT_FIELDS_H

#include "extension/copy/columns.h"
#include "extension/copy/copy.h"

/* As Redshift: of so many rows a load at most. */
enum { REJECT_FIELDS_ROWS = 20 };

/* Sets ret->fields, from what was kept of the line (COPY_RAW_MAX bytes). */
void reject_fields(Relation rel, const struct copy_convert_conf *conf, const struct copy_columns *c,
                   const struct copy_bad_rows *all, const struct copy_bad_row *bad,
                   struct copy_reject *ret);

#endif
