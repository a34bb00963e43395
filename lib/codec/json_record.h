/* Records of COPY … JSON: values one after the other, objects (or with JSONPaths arrays, too),
 * separated by white space. A shape says which parts of a record go to which column.
 *
 * A record is walked once, whatever the number of columns: paths are kept as a tree, and the walk
 * goes down in both at the same time. */
#ifndef SL_CODEC_JSON_RECORD_H
#define SL_CODEC_JSON_RECORD_H

#include "lib/base/rc.h"
#include "lib/base/slice.h"

struct json_shape;

/* 'auto': members are columns by name. Names are copied. NULL: no memory. */
struct json_shape *json_shape_new(const struct slice *names, size_t count, bool ignorecase);
void json_shape_free(struct json_shape *s); /* NULL is fine */
/* Takes the paths of a JSONPaths file, {"jsonpaths": ["$.a", "$['b'][0]", …]}, in the order of the
 * columns; without that member the shape stays as it is. SL_E_PARSE with Redshift's text. */
struct sl_rc json_shape_set_paths(struct json_shape *s, struct slice file, struct sl_error *err);

#endif
