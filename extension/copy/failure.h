/* What a failed load tells the client, in Redshift's words. Include after postgres.h. */
#ifndef SEALIFT_COPY_FAILURE_H
#define SEALIFT_COPY_FAILURE_H

#include "extension/copy/columns.h"
#include "extension/copy/copy.h"
#include "extension/copy/pipeline.h"

/* Sets message, detail and sqlstate. */
void copy_failure_rejects(Relation rel, struct copy_result *ret);
void copy_failure_pipeline(Relation rel, const struct copy_spec *spec,
                           const struct pipeline_failure *f, struct copy_result *ret);
/* "s3://bucket/key", valid UTF-8. */
char *copy_object_url(const char *object);
/* A batch's rejected row as copy_load returns it. */
void copy_failure_reject(Relation rel, const struct copy_spec *spec, const struct copy_columns *c,
                         const struct pipeline_batch *b, const struct copy_bad_row *bad,
                         struct copy_reject *ret);

#endif
