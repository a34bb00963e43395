/* Rows and fields of COPY text, plain delimited and CSV.
 *
 * Lines end with LF; a CR before it belongs to the line end. Plain: every delimiter separates,
 * nothing quotes. CSV: a field whose first byte after blanks is the quote runs to the matching
 * quote; doubled quotes stand for one, delimiters and line ends inside are data; blanks around the
 * quotes are dropped. A quote elsewhere in a field is data for the purpose of finding the row's
 * end, and makes the row invalid.
 *
 * Two steps, so that a stream can be cut into runs of whole rows by one thread and split by others:
 * delimited_cut finds where the last whole row ends, delimited_split yields fields row by row. */
#ifndef SL_CODEC_DELIMITED_H
#define SL_CODEC_DELIMITED_H

#include "lib/base/slice.h"

enum delimited_format { DELIMITED_PLAIN, DELIMITED_CSV };

struct delimited_conf {
    enum delimited_format format;
    uint8_t delimiter; /* any byte but CR, LF */
    uint8_t quote;     /* CSV */
};

#endif
