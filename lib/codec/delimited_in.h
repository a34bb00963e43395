/* Inside of the splitter: its marks, and the formats that have files of their own. */
#ifndef SL_CODEC_DELIMITED_IN_H
#define SL_CODEC_DELIMITED_IN_H

#include "lib/codec/delimited.h"

/* Where delimiters, line ends and quotes (or what else matters) are in p[0, n), and what stands
 * there; `base` is the offset of p. Up to DELIMITED_SPARE elements more are written. */
typedef size_t (*delimited_index_fn)(const struct delimited_conf *conf, const uint8_t *p, size_t n,
                                     uint32_t base, uint32_t *ret_marks, uint8_t *ret_bytes);
delimited_index_fn delimited_index_pick(enum delimited_scan scan);

/* The next mark, or false at the end of the data. */
bool delimited_mark(struct delimited *d, uint32_t *ret);
/* Where the line with its LF at `lf`, in which a field begins at `start`, ends. */
uint32_t delimited_line_end(const struct delimited *d, uint32_t start, uint32_t lf);

/* delimited_next, for PLAIN with ESCAPE or REMOVEQUOTES and for FIXED. */
bool delimited_next_escaped(struct delimited *d, struct delimited_field *fields, size_t max_fields,
                            struct delimited_row *row);
bool delimited_next_fixed(struct delimited *d, struct delimited_field *fields, size_t max_fields,
                          struct delimited_row *row);
bool delimited_next_json(struct delimited *d, struct delimited_field *fields, size_t max_fields,
                         struct delimited_row *row);
/* delimited_undouble and delimited_cut for JSON; out may be where s is. */
size_t delimited_json_unescape(struct slice s, uint8_t *out);
size_t delimited_cut_json(struct slice data);
/* delimited_undouble and delimited_cut for ESCAPE. */
size_t delimited_unescape(struct slice s, uint8_t *out);
size_t delimited_cut_escaped(struct slice data);

#endif
