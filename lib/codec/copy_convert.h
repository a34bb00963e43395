/* COPY text into typed columns: rows of runs of whole lines are added to a batch of column vectors,
 * rows that do not fit the columns become rejects with Redshift's codes and texts. No state between
 * runs, so any thread may take any run; a batch may take in the rows of many.
 *
 * Conversion follows Redshift's defaults: empty fields are NULL but for CHAR and VARCHAR; surplus
 * decimals are cut; lengths count bytes; struct copy_options changes that. */
#ifndef SL_CODEC_COPY_CONVERT_H
#define SL_CODEC_COPY_CONVERT_H

#include "lib/base/buf.h"
#include "lib/codec/copy_format.h"
#include "lib/codec/delimited.h"

enum copy_type {
    COPY_INT2,
    COPY_INT4,
    COPY_INT8,
    COPY_FLOAT4,
    COPY_FLOAT8,
    COPY_BOOL,
    COPY_DATE,        /* int32: days since 2000-01-01 */
    COPY_TIME,        /* int64: microseconds since midnight */
    COPY_TIMESTAMP,   /* int64: microseconds since 2000-01-01 */
    COPY_TIMESTAMPTZ, /* the same in UTC; see COPY_LOCAL */
    COPY_NUMERIC,     /* precision up to 18: int64 times 10^scale */
    COPY_NUMERIC_BIG, /* precision 19 to 38: __int128 times 10^scale */
    COPY_CHAR,        /* text, see below; padded with blanks to max_bytes */
    COPY_VARCHAR,     /* text */
};

struct copy_column {
    enum copy_type type;
    bool not_null;
    bool identity;      /* its numbers come from the fields, EXPLICIT_IDS */
    uint8_t precision;  /* COPY_NUMERIC*: 1..38 */
    uint8_t scale;      /* COPY_NUMERIC*: at most precision */
    uint32_t max_bytes; /* COPY_CHAR, COPY_VARCHAR; 0 for VARCHAR: no limit */
};

/* COPY's options of the same names (the Redshift guide, "Data conversion parameters"). */
struct copy_options {
    bool emptyasnull;      /* CHAR, VARCHAR: an empty field is NULL */
    bool blanksasnull;     /* … one of blanks and tabs alone is */
    bool trimblanks;       /* VARCHAR: without its trailing blanks */
    bool truncatecolumns;  /* CHAR, VARCHAR: what is too long is cut, at a character's begin */
    bool fillrecord;       /* fields missing at a row's end are NULL; empty for VARCHAR */
    bool acceptanydate;    /* a date or timestamp that is none is NULL */
    bool acceptinvchars;   /* VARCHAR: each byte that is no UTF-8 becomes `invalid_char` */
    bool roundec;          /* surplus decimals round half up, away from zero */
    bool ignoreblanklines; /* lines without a byte are no rows */
    uint8_t invalid_char;  /* ASCII, not NUL */
};

struct copy_convert_conf {
    struct delimited_conf split;
    struct slice null_as;
    struct copy_options options;
    struct copy_format date_format, time_format; /* zeroed: the defaults */
    const struct copy_column *columns;
    size_t column_count; /* 1..COPY_MAX_COLUMNS */
    size_t max_rejects;  /* a filling stops after that many */
    /* A batch is full at that many rows, or once its values or its texts pass that many bytes; 0:
     * COPY_BATCH_*. */
    size_t batch_rows, batch_bytes;
    bool local_is_utc; /* no COPY_LOCAL: the session's zone is UTC */
    enum delimited_scan scan;
};

enum {
    COPY_MAX_COLUMNS = 1600,
    COPY_BATCH_ROWS = 8192,
    COPY_BATCH_BYTES = 1024 * 1024,
    COPY_REASON_MAX = 100,
    COPY_RAW_MAX = 1024,
};

/* The code of a file that is not in the encoding of the statement: no row's, but kept like one. */
enum { COPY_CODE_ENCODING = 1221 };

/* What a row has in a column. */
enum copy_presence {
    COPY_VALUE = 0,
    COPY_NULL = 1,
    COPY_LOCAL =
        2, /* COPY_TIMESTAMPTZ without an offset: the value is local time, zone unknown here */
};

/* A column of a batch. Texts are offsets into batch->text, each a length header and the bytes, in
 * the form of PostgreSQL's datums on little-endian machines: up to 126 bytes, one byte (length + 1)
 * * 2 + 1; above, at a multiple of 4, a 32-bit (length + 4) * 4. */
struct copy_vector {
    uint8_t *presence; /* enum copy_presence a row */
    union {
        void *raw;
        int16_t *i16;
        int32_t *i32;
        int64_t *i64;
        __int128 *i128;
        float *f4;
        double *f8;
        bool *b;
        uint32_t *text;
    } v;
};

struct copy_bad_row {
    uint64_t line;     /* from 1, in the file */
    int32_t column;    /* index, or -1 for the row as such */
    uint32_t position; /* byte offset of the field in its line */
    int code;
    char reason[COPY_REASON_MAX + 1];
    /* in copy_bad_rows' raw, cut to COPY_RAW_MAX, bytes as they were */
    uint32_t line_at, line_len;
    uint32_t field_at, field_len;
};

struct copy_bad_rows {
    struct copy_bad_row *rows;
    size_t count, cap;
    struct buf raw;
};
/* A zeroed one is empty and holds no memory. */
void copy_bad_rows_reset(struct copy_bad_rows *bad);
void copy_bad_rows_fini(struct copy_bad_rows *bad);

struct copy_batch {
    size_t row_cap;
    size_t text_max; /* full once the texts pass that */
    size_t rows;
    struct copy_vector *columns;
    size_t column_count;
    uint8_t *memory; /* of all columns */
    struct buf text;
};

struct sl_rc copy_batch_init(struct copy_batch *b, const struct copy_convert_conf *conf);
void copy_batch_fini(struct copy_batch *b); /* safe on a zeroed batch */
void copy_batch_reset(struct copy_batch *b);
bool copy_batch_is_full(const struct copy_batch *b);

struct copy_converter;
struct sl_rc copy_converter_new(const struct copy_convert_conf *conf, struct copy_converter **ret);
void copy_converter_free(struct copy_converter *c);
/* A run of whole rows whose first line has number `line`. `data` must stay until the run is used
 * up. */
void copy_converter_start(struct copy_converter *c, struct slice data, uint64_t line);
/* Adds rows to `b` until it is full, and rejects to `bad` until it has as many as a filling takes.
 * *ret_more: the run has further rows. Fails only for lack of memory. */
struct sl_rc copy_converter_fill(struct copy_converter *c, struct copy_batch *b,
                                 struct copy_bad_rows *bad, bool *ret_more, struct sl_error *err);

/* "int4", "numeric", … and "8, 2" as stl_load_errors shows them. `length` has 24 bytes. */
const char *copy_type_name(const struct copy_column *column);
void copy_type_length(const struct copy_column *column, char *length);

#endif
