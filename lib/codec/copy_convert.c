/* COPY text into column batches; see copy_convert.h. A row is written in place at index batch->rows
 * and counts only once its last field is good, so a reject costs nothing but its report. */
#include "lib/codec/copy_block_in.h"
#include "lib/codec/copy_parse_in.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/area.h"
#include "lib/base/limits.h"

struct copy_converter {
    struct copy_convert_conf conf;
    struct delimited split;
    struct slice data;
    uint64_t line;
    bool more; /* a row may follow */
    struct delimited_field *fields;
    struct buf scratch; /* an unquoted field */
    struct copy_block block;
    bool has_blocks;
    copy_reason why; /* of a field in a block, for nobody */
};

/* Where a row failed. */
struct copy_refusal {
    enum copy_code code;
    int32_t column;
    struct slice field;
    uint32_t position;
    copy_reason why;
};

enum { RAW_TOTAL_BYTES = 256 * 1024 * 1024 };

size_t copy_value_size(enum copy_type type) {
    switch (type) {
    case COPY_BOOL:
        return 1;
    case COPY_INT2:
        return 2;
    case COPY_NUMERIC_BIG:
        return 16;
    case COPY_INT4:
    case COPY_FLOAT4:
    case COPY_DATE:
    case COPY_CHAR:
    case COPY_VARCHAR:
        return 4;
    default:
        return 8;
    }
}

/* An array's part of a batch's memory. */
static size_t array_bytes(size_t bytes) {
    return (bytes + AREA_ALIGN - 1) / AREA_ALIGN * AREA_ALIGN;
}

struct sl_rc copy_batch_init(struct copy_batch *b, const struct copy_convert_conf *conf) {
    size_t rows_most = conf->batch_rows > 0 ? conf->batch_rows : COPY_BATCH_ROWS;
    size_t bytes_most = conf->batch_bytes > 0 ? conf->batch_bytes : COPY_BATCH_BYTES;
    *b = (struct copy_batch){.text = BUF_INIT(LIMIT_COPY_BATCH_BYTES), .text_max = bytes_most};
    size_t row_size = 0, bytes = 0;
    for (size_t i = 0; i < conf->column_count; i++) {
        row_size += copy_value_size(conf->columns[i].type) + 1;
    }
    b->row_cap = bytes_most / row_size;
    b->row_cap = b->row_cap > rows_most ? rows_most : b->row_cap;
    b->columns = calloc(conf->column_count, sizeof *b->columns);
    if (b->columns == NULL) {
        return sl_rc_of(SL_E_NOMEM);
    }
    for (size_t i = 0; i < conf->column_count; i++) {
        bytes += array_bytes(b->row_cap) +
                 array_bytes(b->row_cap * copy_value_size(conf->columns[i].type));
    }
    uint8_t *at = b->memory = area_new(bytes);
    if (at == NULL) {
        copy_batch_fini(b);
        return sl_rc_of(SL_E_NOMEM);
    }
    b->column_count = conf->column_count;
    for (size_t i = 0; i < conf->column_count; i++) {
        struct copy_vector *v = &b->columns[i];
        v->presence = at;
        v->v.raw = at += array_bytes(b->row_cap);
        at += array_bytes(b->row_cap * copy_value_size(conf->columns[i].type));
    }
    return SL_OK;
}

void copy_batch_fini(struct copy_batch *b) {
    if (b == NULL) {
        return;
    }
    free(b->memory);
    free(b->columns);
    buf_fini(&b->text);
    *b = (struct copy_batch){0};
}

void copy_batch_reset(struct copy_batch *b) {
    b->rows = 0;
    buf_reset(&b->text);
}

bool copy_batch_is_full(const struct copy_batch *b) {
    return b->rows == b->row_cap || b->text.len >= b->text_max;
}

void copy_bad_rows_reset(struct copy_bad_rows *bad) {
    bad->count = 0;
    buf_reset(&bad->raw);
}

void copy_bad_rows_fini(struct copy_bad_rows *bad) {
    if (bad != NULL) {
        free(bad->rows);
        buf_fini(&bad->raw);
        *bad = (struct copy_bad_rows){0};
    }
}

struct sl_rc copy_converter_new(const struct copy_convert_conf *conf, struct copy_converter **ret) {
    sl_assert(conf->column_count >= 1 && conf->column_count <= COPY_MAX_COLUMNS);
    struct copy_converter *c = calloc(1, sizeof *c);
    if (c == NULL) {
        return sl_rc_of(SL_E_NOMEM);
    }
    c->conf = *conf;
    c->scratch = BUF_INIT(LIMIT_COPY_ROW_BYTES);
    c->fields = calloc(conf->column_count, sizeof *c->fields);
    if (c->fields == NULL || sl_failed(copy_block_init(&c->block, &c->conf))) {
        copy_converter_free(c);
        return sl_rc_of(SL_E_NOMEM);
    }
    /* the plain twin of the scan goes field by field */
    c->has_blocks = conf->scan != DELIMITED_SCALAR && delimited_is_marked(&conf->split);
    *ret = c;
    return SL_OK;
}

void copy_converter_free(struct copy_converter *c) {
    if (c != NULL) {
        free(c->fields);
        copy_block_fini(&c->block);
        buf_fini(&c->scratch);
        free(c);
    }
}

void copy_converter_start(struct copy_converter *c, struct slice data, uint64_t line) {
    delimited_start(&c->split, &c->conf.split, data, c->conf.scan);
    c->data = data;
    c->line = line;
    c->more = data.len > 0;
}

/* Appends a text; see struct copy_vector for its form. `pad_to` fills with blanks (CHAR). */
static bool put_text(struct buf *text, struct slice s, size_t pad_to, uint32_t *ret) {
    size_t len = s.len > pad_to ? s.len : pad_to;
    uint8_t *p = buf_reserve(text, len + 8);
    if (p == NULL) {
        return false;
    }
    size_t at = text->len;
    if (len <= 126) {
        *p++ = (uint8_t)((len + 1) << 1 | 1);
        text->len = at + 1 + len;
    } else {
        size_t skip = (4 - at % 4) % 4;
        uint32_t header = (uint32_t)(len + 4) << 2;
        memset(p, 0, skip);
        memcpy(p + skip, &header, sizeof header);
        at += skip;
        p += skip + 4;
        text->len = at + 4 + len;
    }
    if (s.len > 0) {
        memcpy(p, s.ptr, s.len);
    }
    memset(p + s.len, ' ', len - s.len);
    *ret = (uint32_t)at;
    return true;
}

static struct slice trim_blanks(struct slice s) {
    while (s.len > 0 && s.ptr[s.len - 1] == ' ') {
        s.len--;
    }
    return s;
}

/* The same text in the converter's scratch memory, where it may be written; false: none left. */
static bool to_scratch(struct copy_converter *c, struct slice *s) {
    if (s->len > 0 && s->ptr != c->scratch.ptr) {
        buf_reset(&c->scratch);
        buf_put(&c->scratch, *s);
        *s = buf_slice(&c->scratch);
    }
    return !c->scratch.failed;
}

/* SL_E_NOMEM through *ret_nomem; everything else is about the row. */
static enum copy_code convert_text(struct copy_converter *c, const struct copy_column *col,
                                   struct copy_batch *b, struct copy_vector *v, struct slice s,
                                   copy_reason why, bool *ret_nomem) {
    const struct copy_options *o = &c->conf.options;
    bool fixed = col->type == COPY_CHAR;
    if (fixed || o->trimblanks) {
        s = trim_blanks(s);
    }
    enum copy_code code = copy_check_text(s, fixed, why);
    if (code == COPY_E_UTF8 && !fixed && o->acceptinvchars) {
        if (!to_scratch(c, &s)) {
            *ret_nomem = true;
            return COPY_OK;
        }
        copy_replace_invalid(c->scratch.ptr, s.len, o->invalid_char);
        code = copy_check_text(s, false, why);
    }
    if (code == COPY_E_LINE && slice_eq(c->conf.null_as, slice_of("", 1))) {
        snprintf(why, COPY_REASON_MAX + 1, "Invalid null byte - field longer than 1 byte");
        code = COPY_E_NUL;
    }
    if (code != COPY_OK) {
        return code;
    }
    if (o->truncatecolumns && col->max_bytes > 0) {
        s = copy_cut_text(s, col->max_bytes);
    }
    if (col->max_bytes > 0 && s.len > col->max_bytes) {
        snprintf(why, COPY_REASON_MAX + 1, "%s length exceeds DDL length",
                 fixed ? "Char" : "String");
        return COPY_E_LENGTH;
    }
    if (!put_text(&b->text, s, fixed ? col->max_bytes : 0, &v->v.text[b->rows])) {
        *ret_nomem = true;
    }
    return COPY_OK;
}

static enum copy_code convert_value(const struct copy_column *col, struct copy_vector *v,
                                    size_t row, struct slice s,
                                    const struct copy_convert_conf *conf, copy_reason why) {
    enum copy_code code;
    int64_t i;
    __int128 n;
    bool zoned = false, round = conf->options.roundec, local_is_utc = conf->local_is_utc;
    switch (col->type) {
    case COPY_INT2:
        code = copy_parse_int(s, col->type, &i, why);
        v->v.i16[row] = code == COPY_OK ? (int16_t)i : 0;
        return code;
    case COPY_INT4:
        code = copy_parse_int(s, col->type, &i, why);
        v->v.i32[row] = code == COPY_OK ? (int32_t)i : 0;
        return code;
    case COPY_INT8:
        return copy_parse_int(s, col->type, &v->v.i64[row], why);
    case COPY_FLOAT4:
        return copy_parse_float4(s, &v->v.f4[row], why);
    case COPY_FLOAT8:
        return copy_parse_float8(s, &v->v.f8[row], why);
    case COPY_BOOL:
        return copy_parse_bool(s, &v->v.b[row], why);
    case COPY_DATE:
        return copy_format_date(&conf->date_format, s, &v->v.i32[row], why);
    case COPY_TIME:
        return copy_parse_time(s, &v->v.i64[row], why);
    case COPY_TIMESTAMP:
        return copy_format_timestamp(&conf->time_format, s, false, &v->v.i64[row], &zoned, why);
    case COPY_TIMESTAMPTZ:
        code = copy_format_timestamp(&conf->time_format, s, true, &v->v.i64[row], &zoned, why);
        v->presence[row] = zoned || local_is_utc ? COPY_VALUE : COPY_LOCAL;
        return code;
    case COPY_NUMERIC:
        code = copy_parse_numeric(s, col->precision, col->scale, round, &n, why);
        v->v.i64[row] = code == COPY_OK ? (int64_t)n : 0;
        return code;
    case COPY_NUMERIC_BIG:
        return copy_parse_numeric(s, col->precision, col->scale, round, &v->v.i128[row], why);
    default:
        sl_panic(__FILE__, __LINE__, "column type");
    }
}

static bool is_text(const struct copy_column *col) {
    return col->type == COPY_CHAR || col->type == COPY_VARCHAR;
}

static bool is_date(const struct copy_column *col) {
    return col->type == COPY_DATE || col->type == COPY_TIMESTAMP || col->type == COPY_TIMESTAMPTZ;
}

/* Is the text of a field NULL? Of a field that is no text, *s loses its blanks. */
static bool is_null(const struct copy_converter *c, const struct copy_column *col,
                    struct slice *s) {
    const struct copy_options *o = &c->conf.options;
    if (!is_text(col)) {
        *s = slice_trim(*s);
        return s->len == 0;
    }
    return s->len == 0 ? o->emptyasnull : o->blanksasnull && slice_trim(*s).len == 0;
}

static enum copy_code put_null(const struct copy_column *col, struct copy_vector *v, size_t row,
                               copy_reason why) {
    v->presence[row] = COPY_NULL;
    if (col->not_null) {
        snprintf(why, COPY_REASON_MAX + 1, "%s",
                 col->identity ? "Invalid value for identity column"
                               : "Missing data for not-null field");
        return col->identity ? COPY_E_IDENTITY : COPY_E_NOT_NULL;
    }
    return COPY_OK;
}

/* One field into its column. */
static enum copy_code convert_field(struct copy_converter *c, struct copy_batch *b, size_t at,
                                    copy_reason why, bool *ret_nomem) {
    const struct delimited_field *f = &c->fields[at];
    const struct copy_column *col = &c->conf.columns[at];
    struct copy_vector *v = &b->columns[at];
    struct slice s = {c->data.ptr + f->start, f->len};
    v->presence[b->rows] = COPY_VALUE;
    if (f->null || (!f->quoted && slice_eq(s, c->conf.null_as))) {
        return put_null(col, v, b->rows, why);
    }
    if (f->doubled) {
        buf_reset(&c->scratch);
        uint8_t *out = buf_reserve(&c->scratch, f->len);
        if (out == NULL) {
            *ret_nomem = true;
            return COPY_OK;
        }
        s = slice_of(out, delimited_undouble(&c->split, f, out));
    }
    /* with ESCAPE the null string may itself be escaped: \\N */
    if ((c->conf.split.escape && slice_eq(s, c->conf.null_as)) || is_null(c, col, &s)) {
        return put_null(col, v, b->rows, why);
    }
    if (is_text(col)) {
        return convert_text(c, col, b, v, s, why, ret_nomem);
    }
    enum copy_code code = convert_value(col, v, b->rows, s, &c->conf, why);
    return code != COPY_OK && c->conf.options.acceptanydate && is_date(col)
               ? put_null(col, v, b->rows, why)
               : code;
}

static enum copy_code convert_block_field(void *ctx, struct copy_batch *b, size_t column,
                                          uint32_t start, uint32_t len, bool *ret_nomem) {
    struct copy_converter *c = ctx;
    c->fields[column] = (struct delimited_field){.start = start, .len = len, .raw_start = start};
    return convert_field(c, b, column, c->why, ret_nomem);
}

/* The columns from `at` on have no field. */
static enum copy_code fill_record(struct copy_converter *c, struct copy_batch *b, size_t *at,
                                  copy_reason why, bool *ret_nomem) {
    for (; *at < c->conf.column_count; (*at)++) {
        const struct copy_column *col = &c->conf.columns[*at];
        struct copy_vector *v = &b->columns[*at];
        v->presence[b->rows] = COPY_VALUE;
        enum copy_code code = col->type == COPY_VARCHAR && !c->conf.options.emptyasnull
                                  ? convert_text(c, col, b, v, SLICE_EMPTY, why, ret_nomem)
                                  : put_null(col, v, b->rows, why);
        if (code != COPY_OK || *ret_nomem) {
            return code;
        }
    }
    return COPY_OK;
}

static void refuse(struct copy_refusal *r, enum copy_code code, int32_t column, struct slice field,
                   uint32_t position, const char *why) {
    r->code = code;
    r->column = column;
    r->field = field;
    r->position = position;
    snprintf(r->why, sizeof r->why, "%s", why);
}

static struct slice raw_field(const struct copy_converter *c, const struct delimited_field *f) {
    return (struct slice){c->data.ptr + f->start, f->len};
}

static void refuse_record(const struct copy_converter *c, const struct delimited_row *row,
                          struct copy_refusal *r) {
    if (row->fault == DELIMITED_BAD_JSON) {
        refuse(r, COPY_E_LINE, -1, SLICE_EMPTY, row->fault_at - row->start, "Invalid value.");
        return;
    }
    if (row->fault == DELIMITED_BAD_HEX) {
        refuse(r, COPY_E_HEX, -1, SLICE_EMPTY, row->fault_at - row->start,
               "UTF-8 hexadecimal contained an invalid digit");
        return;
    }
    refuse(r, COPY_E_LINE, (int32_t)row->fault_field, raw_field(c, &c->fields[row->fault_field]),
           row->fault_at - row->start,
           row->fault == DELIMITED_NO_MEMBER
               ? "Invalid JSONPath format: Member is not an object."
               : "Invalid JSONPath format: Not an array or index out of range.");
}

/* All fields in order; the first fault of a row is the one reported. */
static bool convert_row(struct copy_converter *c, struct copy_batch *b,
                        const struct delimited_row *row, struct copy_refusal *r, bool *ret_nomem) {
    size_t columns = c->conf.column_count;
    size_t stored = row->field_count < columns ? row->field_count : columns;
    size_t sound =
        row->fault == DELIMITED_FINE || row->fault_field > stored ? stored : row->fault_field;
    r->code = COPY_OK;
    if (row->end - row->start > LIMIT_COPY_ROW_BYTES) {
        refuse(r, COPY_E_LINE, -1, SLICE_EMPTY, 0, "Invalid line: larger than the limit of 4 MB");
        return false;
    }
    if (row->fault >= DELIMITED_BAD_JSON) {
        refuse_record(c, row, r);
        return false;
    }
    bool fewer = row->field_count < columns && row->fault == DELIMITED_FINE;
    bool missing = fewer && !c->conf.options.fillrecord;
    if (missing && c->conf.split.format == DELIMITED_FIXED) {
        bool empty = row->end == row->start;
        refuse(r, empty ? COPY_E_EMPTY_LINE : COPY_E_FEW_COLUMNS, (int32_t)stored, SLICE_EMPTY,
               row->end - row->start,
               empty ? "Input line contained no data"
                     : "Input data had fewer columns than the table");
        return false;
    }
    for (size_t i = 0; i < sound; i++) {
        const struct delimited_field *f = &c->fields[i];
        if (missing && i + 1 == sound) {
            refuse(r, COPY_E_DELIMITER, (int32_t)i, raw_field(c, f), f->raw_start - row->start,
                   "Delimiter not found");
            return false;
        }
        enum copy_code code = convert_field(c, b, i, r->why, ret_nomem);
        if (code != COPY_OK) {
            r->code = code;
            r->column = (int32_t)i;
            r->field = raw_field(c, f);
            r->position = f->raw_start - row->start;
            return false;
        }
        if (*ret_nomem) {
            return false;
        }
    }
    if (fewer) {
        size_t at = stored;
        enum copy_code code = fill_record(c, b, &at, r->why, ret_nomem);
        if (code != COPY_OK || *ret_nomem) {
            r->code = code;
            r->column = (int32_t)at;
            r->field = SLICE_EMPTY;
            r->position = row->end - row->start;
            return false;
        }
    }
    if (sound < stored) {
        const struct delimited_field *f = &c->fields[sound];
        struct slice before = {c->data.ptr + f->start,
                               row->fault_at > f->start ? row->fault_at - f->start : 0};
        refuse(r, COPY_E_DELIMITER, (int32_t)sound, before, f->raw_start - row->start,
               row->fault == DELIMITED_OPEN_QUOTE ? "Delimited value missing end quote"
                                                  : "Invalid quote formatting for CSV");
        return false;
    }
    if (row->field_count > columns) {
        const struct delimited_field *last = &c->fields[columns - 1];
        uint32_t end = last->start + last->len - row->start;
        refuse(r, COPY_E_EXTRA_COLUMNS, -1, SLICE_EMPTY, end, "Extra column(s) found");
        return false;
    }
    return true;
}

static struct sl_rc put_bad(const struct copy_converter *c, struct copy_bad_rows *all,
                            const struct delimited_row *row, const struct copy_refusal *r,
                            struct sl_error *err) {
    if (all->count == all->cap) {
        size_t cap = all->cap ? all->cap * 2 : 16;
        struct copy_bad_row *more = realloc(all->rows, cap * sizeof *more);
        ENSURE(more != NULL, err, SL_E_NOMEM, "out of memory for rejected rows");
        all->rows = more;
        all->cap = cap;
    }
    all->raw.max = RAW_TOTAL_BYTES;
    struct slice line = slice_sub(c->data, row->start, row->end);
    line = slice_sub(line, 0, COPY_RAW_MAX);
    struct slice field = slice_sub(r->field, 0, COPY_RAW_MAX);
    struct copy_bad_row *bad = &all->rows[all->count];
    *bad = (struct copy_bad_row){.line = c->line,
                                 .column = r->column,
                                 .position = r->position,
                                 .code = (int)r->code,
                                 .line_at = (uint32_t)all->raw.len,
                                 .line_len = (uint32_t)line.len};
    memcpy(bad->reason, r->why, sizeof bad->reason);
    buf_put(&all->raw, line);
    bad->field_at = (uint32_t)all->raw.len;
    bad->field_len = (uint32_t)field.len;
    buf_put(&all->raw, field);
    ENSURE(!all->raw.failed, err, SL_E_NOMEM, "out of memory for rejected rows");
    all->count++;
    return SL_OK;
}

struct sl_rc copy_converter_fill(struct copy_converter *c, struct copy_batch *b,
                                 struct copy_bad_rows *bad, bool *ret_more, struct sl_error *err) {
    size_t bad_max = c->conf.max_rejects < COPY_BATCH_ROWS ? c->conf.max_rejects : COPY_BATCH_ROWS;
    struct copy_refusal r;
    struct delimited_row row;
    while (!copy_batch_is_full(b) && bad->count < bad_max) {
        size_t plain =
            c->has_blocks ? copy_block_convert(&c->block, &c->split, b, convert_block_field, c) : 0;
        c->line += plain;
        if (plain > 0) {
            continue;
        }
        if (!delimited_next(&c->split, c->fields, c->conf.column_count, &row)) {
            c->more = false;
            break;
        }
        c->line += row.lead;
        if (c->conf.options.ignoreblanklines && row.end == row.start) {
            c->line += row.lines;
            continue;
        }
        size_t text_len = b->text.len;
        bool nomem = false;
        if (convert_row(c, b, &row, &r, &nomem)) {
            b->rows++;
        } else {
            ENSURE(!nomem, err, SL_E_NOMEM, "out of memory for a row of text");
            b->text.len = text_len;
            TRY(put_bad(c, bad, &row, &r, err));
        }
        c->line += row.lines;
    }
    *ret_more = c->more;
    return SL_OK;
}

const char *copy_type_name(const struct copy_column *column) {
    static const char *const names[] = {
        [COPY_INT2] = "int2",           [COPY_INT4] = "int4",
        [COPY_INT8] = "int8",           [COPY_FLOAT4] = "float4",
        [COPY_FLOAT8] = "float8",       [COPY_BOOL] = "bool",
        [COPY_DATE] = "date",           [COPY_TIME] = "time",
        [COPY_TIMESTAMP] = "timestamp", [COPY_TIMESTAMPTZ] = "timestamptz",
        [COPY_NUMERIC] = "numeric",     [COPY_NUMERIC_BIG] = "numeric",
        [COPY_CHAR] = "char",           [COPY_VARCHAR] = "varchar",
    };
    return names[column->type];
}

void copy_type_length(const struct copy_column *column, char *length) {
    switch (column->type) {
    case COPY_NUMERIC:
    case COPY_NUMERIC_BIG:
        snprintf(length, 24, "%u, %u", column->precision, column->scale);
        break;
    case COPY_CHAR:
    case COPY_VARCHAR:
        snprintf(length, 24, "%u", column->max_bytes);
        break;
    default:
        snprintf(length, 24, "0");
    }
}
