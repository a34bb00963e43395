/* Rows and fields of COPY text: plain delimited, CSV and of fixed width.
 *
 * Lines end with LF; a CR before it belongs to the line end. Plain: every delimiter separates,
 * nothing quotes. Plain with `escape`: a backslash takes the next byte, a line end too, as data; a
 * NUL ends the row's data. Plain with `removequotes`: a field whose first byte is ' or " runs to
 * the delimiter or line end behind the same quote; the two are dropped. Fixed: a field is a number
 * of characters (a byte that is no UTF-8 counts as one). JSON: a row is a record, its fields are
 * what the shape's columns take of it (lib/codec/json_record.h); lines are those of the text. CSV:
 * a field whose first byte after blanks is the quote runs to the matching quote; doubled quotes
 * stand for one, delimiters and line ends inside are data; blanks around the quotes are dropped. A
 * quote elsewhere makes the row invalid, but does not change where it ends.
 *
 * Two steps, so that one thread can cut a stream into runs of whole rows and others can split them:
 * delimited_cut finds where the last whole row ends, delimited_next yields rows with their fields.
 */
#ifndef SL_CODEC_DELIMITED_H
#define SL_CODEC_DELIMITED_H

#include "lib/base/rc.h"
#include "lib/base/slice.h"

struct json_shape;

enum delimited_format { DELIMITED_PLAIN, DELIMITED_CSV, DELIMITED_FIXED, DELIMITED_JSON };

struct delimited_conf {
    enum delimited_format format;
    uint8_t delimiter;      /* any byte but CR, LF */
    uint8_t quote;          /* CSV: any byte but CR, LF, blank, delimiter */
    bool escape;            /* PLAIN */
    bool removequotes;      /* PLAIN */
    const uint32_t *widths; /* FIXED: characters of each field, none 0 */
    size_t width_count;
    const struct json_shape *json; /* JSON */
};

/* "label:width,label:width" (labels are anything without colon and comma). `ret` has room for `max`
 * widths; SL_E_PARSE with a detail. */
struct sl_rc delimited_widths(struct slice spec, uint32_t *ret, size_t max, size_t *ret_count,
                              struct sl_error *err);

/* Scans are vectorised where the CPU allows. For tests: DELIMITED_OLDER leaves out what needs
 * AVX-512, DELIMITED_SCALAR forces the byte-wise twin. */
enum delimited_scan { DELIMITED_BEST, DELIMITED_OLDER, DELIMITED_SCALAR };

/* One past the LF of the last whole row of `data`, which starts at a row's start; 0 if none is
 * whole. */
size_t delimited_cut(const struct delimited_conf *conf, struct slice data,
                     enum delimited_scan scan);
/* One past the LF of the first row; 0 if it is not whole. */
size_t delimited_row_end(const struct delimited_conf *conf, struct slice data);
/* The end of one row that is too large to be held as a whole. It starts with `conf` alone and is
 * told of all bytes from the row's first on, piece by piece; true: the row ends, and *ret_end is
 * one past that in `data`. */
struct delimited_tail {
    const struct delimited_conf *conf;
    int state;
    size_t depth;
    bool quoted, escaped;
};
bool delimited_tail_end(struct delimited_tail *t, struct slice data, size_t *ret_end);
/* Line ends in `data`. */
size_t delimited_lines(struct slice data);

struct delimited_field {
    uint32_t start; /* offset in the data; quoted: after the opening quote */
    uint32_t len;
    uint32_t raw_start; /* where the field began, quotes and blanks included */
    bool quoted;
    bool null;    /* JSON: null, or not there */
    bool doubled; /* holds doubled quotes or escapes, see delimited_undouble */
};

enum delimited_fault {
    DELIMITED_FINE,
    DELIMITED_BAD_QUOTE,  /* a quote inside a bare field, or bytes after a closing quote */
    DELIMITED_OPEN_QUOTE, /* the data ended inside quotes */
    DELIMITED_BAD_JSON,   /* no record */
    DELIMITED_BAD_HEX,    /* … since a \u lacks its four hexadecimal digits */
    DELIMITED_NO_MEMBER,  /* a path leads into what is no object */
    DELIMITED_NO_ITEM     /* a path leads into what is no array, or behind its end */
};

struct delimited_row {
    uint32_t start;
    uint32_t end;         /* without the line end */
    uint32_t lead;        /* line ends before it that are no row's (JSON) */
    uint32_t lines;       /* line ends it covers, its own included */
    uint32_t field_count; /* may exceed max_fields; only that many are stored */
    enum delimited_fault fault;
    uint32_t fault_at;    /* offset of the offending byte */
    uint32_t fault_field; /* index of its field */
};

enum { DELIMITED_WINDOW = 16384, DELIMITED_SPARE = 64, DELIMITED_MAX_BYTES = 1 << 30 };

struct delimited {
    struct delimited_conf conf;
    struct slice data;
    size_t (*index)(const struct delimited_conf *, const uint8_t *, size_t, uint32_t, uint32_t *,
                    uint8_t *);
    size_t scanned; /* bytes already indexed */
    size_t at;      /* start of the next row */
    uint32_t mark_count;
    uint32_t mark_at;
    /* Offsets of delimiters, line ends and quotes, behind one that is free: what a window left
     * over, a window, and what is written beyond. */
    uint32_t marks[1 + 2 * DELIMITED_WINDOW + DELIMITED_SPARE];
    uint8_t mark_bytes[1 + 2 * DELIMITED_WINDOW + DELIMITED_SPARE]; /* what stands there */
};

/* `data` (at most DELIMITED_MAX_BYTES) is whole rows; the last may lack its line end. It stays the
 * caller's and must live as long as rows are read. */
void delimited_start(struct delimited *d, const struct delimited_conf *conf, struct slice data,
                     enum delimited_scan scan);
/* The next row; false at the end. */
bool delimited_next(struct delimited *d, struct delimited_field *fields, size_t max_fields,
                    struct delimited_row *ret);
/* Fields lie between marks, but for those with quotes of CSV: those are marks too. */
static inline bool delimited_is_marked(const struct delimited_conf *conf) {
    return conf->format == DELIMITED_CSV ||
           (conf->format == DELIMITED_PLAIN && !conf->escape && !conf->removequotes);
}
/* The marks ahead, at least `least` of them if there are: field ends of rows to come. The element
 * before them may be read too, and is one byte before the next row. delimited_skip goes behind the
 * first `n`, the last of which must be a line end. */
uint32_t *delimited_ahead(struct delimited *d, size_t least, size_t *ret_count);
/* What stands at the marks ahead. */
static inline const uint8_t *delimited_ahead_bytes(const struct delimited *d) {
    return d->mark_bytes + d->mark_at;
}
static inline void delimited_skip(struct delimited *d, size_t n) {
    d->mark_at += (uint32_t)n;
    d->at = (size_t)d->marks[d->mark_at - 1] + 1;
}
/* Copies a field with doubled quotes made single and escapes taken off; `out` has room for
 * field->len. Returns the length. */
size_t delimited_undouble(const struct delimited *d, const struct delimited_field *field,
                          uint8_t *out);

#endif
