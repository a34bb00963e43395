/* See copy_block_in.h. Column by column, since then a column's memo, its place in the batch and
 * what its values are stay at hand. */
#include "lib/codec/copy_block_in.h"

#include <stdlib.h>

#include "lib/base/limits.h"

/* A column of a block. The field of row r lies between ends[r * columns - 1] + 1 and
 * ends[r * columns]. */
struct column_job {
    const uint8_t *data;
    size_t safe; /* a field that starts up to here may be read on for COPY_MEMO_READ bytes */
    const uint32_t *ends;
    size_t columns; /* of the block */
    size_t rows;
    size_t at;
    bool null_is_number;
    const struct copy_column *column;
    struct copy_memo *memo;
    struct copy_batch *batch;
    copy_block_field_fn field;
    void *ctx;
};

/* Marks are compared eight at a time: the pattern of eight rows, and another behind for the last
 * eight. */
enum { PLAIN_ROWS = 16 };

/* Is it what parse_number would take, of some column? */
static bool is_short_number(struct slice s) {
    uint8_t text[COPY_MEMO_READ] = {0};
    int64_t value;
    if (s.len == 0 || s.len > COPY_MEMO_TEXT) {
        return false;
    }
    memcpy(text, s.ptr, s.len);
    return copy_parse_short(text, s.len, true, 8, &value);
}

struct sl_rc copy_block_init(struct copy_block *k, const struct copy_convert_conf *conf) {
    k->conf = conf;
    k->null_is_number = is_short_number(conf->null_as);
    size_t columns = conf->column_count;
    k->sizes = calloc(columns, sizeof *k->sizes);
    k->plain = malloc(PLAIN_ROWS * columns);
    ENSURE(k->sizes != NULL && k->plain != NULL, NULL, SL_E_NOMEM, "out of memory");
    memset(k->plain, conf->split.delimiter, PLAIN_ROWS * columns);
    for (size_t i = 1; i <= PLAIN_ROWS; i++) {
        k->plain[i * columns - 1] = '\n';
    }
    TRY(copy_memos_init(&k->memos, conf->column_count));
    for (size_t i = 0; i < conf->column_count; i++) {
        k->sizes[i] = (uint8_t)copy_value_size(conf->columns[i].type);
        /* with its header, and what aligns that */
        k->padding += conf->columns[i].type == COPY_CHAR ? conf->columns[i].max_bytes + 8 : 0;
    }
    return SL_OK;
}

void copy_block_fini(struct copy_block *k) {
    copy_memos_fini(&k->memos);
    free(k->sizes);
    free(k->plain);
}

static inline int64_t value_at(const struct copy_vector *v, size_t row, size_t size) {
    int64_t value = 0; /* little-endian: the low bytes come first */
    memcpy(&value, (const uint8_t *)v->v.raw + row * size, size);
    return value;
}

static inline void put_value(const struct copy_vector *v, size_t row, size_t size, int64_t value) {
    memcpy((uint8_t *)v->v.raw + row * size, &value, size);
}

/* Of ten. */
static const int64_t powers[19] = {1,
                                   10,
                                   100,
                                   1000,
                                   10000,
                                   100000,
                                   1000000,
                                   10000000,
                                   100000000,
                                   1000000000,
                                   10000000000,
                                   100000000000,
                                   1000000000000,
                                   10000000000000,
                                   100000000000000,
                                   1000000000000000,
                                   10000000000000000,
                                   100000000000000000,
                                   1000000000000000000};

/* Integers and decimals, if they are short. */
static inline bool parse_number(const struct copy_column *col, const uint8_t *p, size_t len,
                                size_t size, int64_t *ret) {
    bool decimal = col->type == COPY_NUMERIC;
    if (!copy_parse_short(p, len, decimal, decimal ? col->scale : 0, ret)) {
        return false;
    }
    if (decimal) {
        return (*ret < 0 ? -*ret : *ret) < powers[col->precision];
    }
    return size > 2 || *ret == (int16_t)*ret;
}

/* The long way for one field; b->rows says which row that is. */
static bool put_field(const struct column_job *j, size_t row, uint32_t start, uint32_t len) {
    bool nomem = false;
    j->batch->rows += row;
    enum copy_code code = j->field(j->ctx, j->batch, j->at, start, len, &nomem);
    j->batch->rows -= row;
    return code == COPY_OK && !nomem;
}

/* `size` and `number` are constants where this is called. */
static inline __attribute__((always_inline)) bool
convert_rows(const struct column_job *j, const size_t size, const bool number) {
    const struct copy_vector *v = &j->batch->columns[j->at];
    size_t base = j->batch->rows;
    bool last = j->at + 1 == j->columns;
    const uint32_t *ends = j->ends + j->at;
    for (size_t r = 0; r < j->rows; r++, ends += j->columns) {
        uint32_t start = ends[-1] + 1, len = *ends - start;
        const uint8_t *p = j->data + start;
        len -= last && len > 0 && p[len - 1] == '\r';
        bool handy = start <= j->safe && len <= COPY_MEMO_TEXT;
        int64_t value;
        if (number && handy && parse_number(j->column, p, len, size, &value)) {
            put_value(v, base + r, size, value);
            continue;
        }
        if (!handy || j->memo->pairs == NULL) {
            if (!put_field(j, r, start, len)) {
                return false;
            }
            continue;
        }
        struct copy_memo_key key = copy_memo_key(p, len);
        const struct copy_memo_entry *e = copy_memo_find(copy_memo_pair(j->memo, &key), &key);
        if (e != NULL) {
            v->presence[base + r] = copy_memo_presence(e);
            put_value(v, base + r, size, e->value);
            continue;
        }
        if (!put_field(j, r, start, len)) {
            return false;
        }
        copy_memo_keep(j->memo, &key, v->presence[base + r], value_at(v, base + r, size), base + r);
    }
    return true;
}

/* Values that a memo doesn't take. */
static bool convert_big(const struct column_job *j) {
    const uint32_t *ends = j->ends + j->at;
    for (size_t r = 0; r < j->rows; r++, ends += j->columns) {
        uint32_t start = ends[-1] + 1, len = *ends - start;
        len -= j->at + 1 == j->columns && len > 0 && j->data[start + len - 1] == '\r';
        if (!put_field(j, r, start, len)) {
            return false;
        }
    }
    return true;
}

static bool convert_column(const struct column_job *j, size_t size) {
    bool number =
        (j->column->type <= COPY_INT8 || j->column->type == COPY_NUMERIC) && !j->null_is_number;
    memset(j->batch->columns[j->at].presence + j->batch->rows, COPY_VALUE, j->rows);
    switch (size) {
    case 1:
        return convert_rows(j, 1, false);
    case 2:
        return number ? convert_rows(j, 2, true) : convert_rows(j, 2, false);
    case 4:
        return number ? convert_rows(j, 4, true) : convert_rows(j, 4, false);
    case 8:
        return number ? convert_rows(j, 8, true) : convert_rows(j, 8, false);
    default:
        return convert_big(j);
    }
}

/* How many of the rows that the marks hold are of the plain kind; at most `most`. */
static size_t plain_rows(const struct copy_block *k, const struct delimited *d,
                         const uint32_t *ends, size_t count, size_t most) {
    size_t columns = k->conf->column_count, rows = count / columns;
    size_t whole = (rows < most ? rows : most) * columns, at = 0, phase = 0;
    const uint8_t *bytes = delimited_ahead_bytes(d);
    while (at + 8 <= whole && memcmp(bytes + at, k->plain + phase, 8) == 0) {
        at += 8;
        phase = phase + 8 < 8 * columns ? phase + 8 : 0;
    }
    while (at < whole && bytes[at] == k->plain[phase]) {
        at++;
        phase++;
    }
    rows = at / columns;
    for (size_t r = 0; columns == 1 && r < rows; r++) {
        if (d->data.ptr[ends[(ptrdiff_t)r - 1] + 1] <= '\r') { /* it may be no row at all */
            rows = r;
        }
    }
    return rows;
}

/* So many rows may be added: with padding few bytes become many, so the texts are counted before
 * they are made. */
static size_t room_for(const struct copy_block *k, const struct copy_batch *b) {
    size_t rows = b->row_cap - b->rows;
    size_t texts = k->padding > 0 ? (b->text_max - b->text.len) / k->padding + 1 : rows;
    return texts < rows ? texts : rows;
}

size_t copy_block_convert(struct copy_block *k, struct delimited *d, struct copy_batch *b,
                          copy_block_field_fn field, void *ctx) {
    size_t columns = k->conf->column_count, count;
    uint32_t *ends = delimited_ahead(d, columns, &count);
    if (b->rows == 0) {
        copy_memos_clear(&k->memos);
    }
    if (k->rows_refused > 0 || d->data.len < COPY_MEMO_READ) {
        k->rows_refused -= k->rows_refused > 0;
        return 0;
    }
    size_t rows = plain_rows(k, d, ends, count, room_for(k, b));
    if (rows == 0 || ends[columns - 1] - (uint32_t)d->at > LIMIT_COPY_ROW_BYTES) {
        return 0;
    }
    size_t text_len = b->text.len;
    struct column_job j = {.data = d->data.ptr,
                           .safe = d->data.len - COPY_MEMO_READ,
                           .ends = ends,
                           .columns = columns,
                           .rows = rows,
                           .null_is_number = k->null_is_number,
                           .batch = b,
                           .field = field,
                           .ctx = ctx};
    for (; j.at < columns; j.at++) {
        j.column = &k->conf->columns[j.at];
        j.memo = &k->memos.columns[j.at];
        if (!convert_column(&j, k->sizes[j.at])) {
            b->text.len = text_len;
            copy_memos_clear(&k->memos);
            k->rows_refused = rows - 1;
            return 0;
        }
    }
    delimited_skip(d, rows * columns);
    b->rows += rows;
    return rows;
}
