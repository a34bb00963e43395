/* See copy_block_in.h. Column by column, since then a column's memo, its place in the batch and
 * what its values are stay at hand. */
#include "lib/codec/copy_block_in.h"

#include <stdlib.h>

#include "lib/base/limits.h"
#include "lib/codec/copy_group_in.h"

/* The field of row r in column c lies between ends[r * columns + c - 1] + 1 and
 * ends[r * columns + c]. */
struct block_job {
    struct copy_block *block;
    const uint8_t *data;
    const uint8_t
        *safe; /* a field that starts up to here may be read on for COPY_MEMO_READ bytes */
    const uint32_t *ends;
    size_t columns;
    size_t rows;
    struct copy_batch *batch;
    copy_block_field_fn field;
    void *ctx;
};

/* Marks are compared eight at a time: the pattern of eight rows, and another behind for the last
 * eight. */
enum { PLAIN_ROWS = 16 };
/* A memo is given up if more than one in so many fields isn't in it: parsing numbers takes little.
 */
enum { NUMBERS_MISSED = 8, TEXTS_MISSED = 2 };

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
    bool null_is_number = is_short_number(conf->null_as); /* they are to be compared with it */
    size_t columns = conf->column_count;
    k->sizes = calloc(columns, sizeof *k->sizes);
    k->numbers = calloc(columns, sizeof *k->numbers);
    k->plain = malloc(PLAIN_ROWS * columns);
    ENSURE(k->sizes != NULL && k->numbers != NULL && k->plain != NULL, NULL, SL_E_NOMEM,
           "out of memory");
    memset(k->plain, conf->split.delimiter, PLAIN_ROWS * columns);
    for (size_t i = 1; i <= PLAIN_ROWS; i++) {
        k->plain[i * columns - 1] = '\n';
    }
    TRY(copy_memos_init(&k->memos, columns, conf->scan));
    for (size_t i = 0; i < columns; i++) {
        enum copy_type type = conf->columns[i].type;
        k->sizes[i] = (uint8_t)copy_value_size(type);
        k->numbers[i] = (type <= COPY_INT8 || type == COPY_NUMERIC) && !null_is_number;
        if (k->sizes[i] > sizeof(int64_t)) {
            k->memos.columns[i].pairs = NULL;
        }
        /* with its header, and what aligns that */
        k->padding += type == COPY_CHAR ? conf->columns[i].max_bytes + 8 : 0;
    }
    return SL_OK;
}

void copy_block_fini(struct copy_block *k) {
    copy_memos_fini(&k->memos);
    free(k->sizes);
    free(k->numbers);
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

/* `size` is a constant where this is called. Up to a field that isn't so, whose row is returned. */
static inline __attribute__((always_inline)) size_t parse_sized(const struct block_job *j,
                                                                const struct copy_memo_fields *f,
                                                                size_t column, size_t row,
                                                                size_t to, const size_t size) {
    const struct copy_column *col = &j->block->conf->columns[column];
    const struct copy_vector *v = &j->batch->columns[column];
    for (int64_t value; row < to; row++) {
        struct slice s = copy_memo_field(f, row);
        if (s.ptr > j->safe || !parse_number(col, s.ptr, s.len, size, &value)) {
            break;
        }
        put_value(v, j->batch->rows + row, size, value);
    }
    return row;
}

static size_t parse_numbers(const struct block_job *j, const struct copy_memo_fields *f,
                            size_t column, size_t row, size_t to) {
    switch (j->block->sizes[column]) {
    case 2:
        return parse_sized(j, f, column, row, to, 2);
    case 4:
        return parse_sized(j, f, column, row, to, 4);
    default:
        return parse_sized(j, f, column, row, to, 8);
    }
}

/* The long way for one field; b->rows says which row that is. */
static bool put_field(const struct block_job *j, size_t column, size_t row, struct slice s) {
    bool nomem = false;
    j->batch->rows += row;
    enum copy_code code =
        j->field(j->ctx, j->batch, column, (uint32_t)(s.ptr - j->data), (uint32_t)s.len, &nomem);
    j->batch->rows -= row;
    return code == COPY_OK && !nomem;
}

static struct copy_memo_fields fields_of(const struct block_job *j, size_t first, size_t columns) {
    return (struct copy_memo_fields){.data = j->data,
                                     .safe = j->safe,
                                     .before = j->ends + first - 1,
                                     .end = j->ends + first + columns - 1,
                                     .step = j->columns,
                                     .at_end = first + columns == j->columns};
}

/* Rows [from, to) of a column whose presence is COPY_VALUE until something else is known. */
static bool convert_column(const struct block_job *j, size_t column, size_t from, size_t to) {
    struct copy_memos *all = &j->block->memos;
    struct copy_memo *memo = &all->columns[column];
    struct copy_memo_fields f = fields_of(j, column, 1);
    const struct copy_vector *v = &j->batch->columns[column];
    size_t base = j->batch->rows, size = j->block->sizes[column];
    bool number = j->block->numbers[column];
    for (size_t row = from; row < to; row++) {
        bool known = memo->pairs != NULL;
        if (known) {
            row = all->kernel->take(memo, &f, row, to, size, (uint8_t *)v->v.raw + base * size,
                                    v->presence + base);
        } else if (number) {
            row = parse_numbers(j, &f, column, row, to);
        }
        if (row == to) {
            break;
        }
        struct slice s = copy_memo_field(&f, row);
        bool parsed = known && number && parse_numbers(j, &f, column, row, row + 1) > row;
        if (!parsed && !put_field(j, column, row, s)) {
            return false;
        }
        if (known && s.ptr <= j->safe && s.len <= COPY_MEMO_TEXT) {
            copy_memo_keep(all, memo, s, v->presence[base + row], value_at(v, base + row, size),
                           base + row, number ? NUMBERS_MISSED : TEXTS_MISSED);
        }
    }
    return true;
}

/* Columns that are looked up together. */
static bool convert_group(const struct block_job *j, struct copy_group *g) {
    struct copy_memos *all = &j->block->memos;
    struct copy_memo_fields f = fields_of(j, g->first, g->columns);
    struct copy_group_out out;
    for (size_t i = 0; i < g->columns; i++) {
        const struct copy_vector *v = &j->batch->columns[g->first + i];
        out.values[i] = v->v.text + j->batch->rows;
        out.presence[i] = v->presence + j->batch->rows;
    }
    for (size_t row = 0; row < j->rows; row++) {
        if (g->entries != NULL) {
            row = all->kernel->group_take(g, &f, row, j->rows, &out);
        }
        if (row == j->rows) {
            break;
        }
        for (size_t i = 0; i < g->columns; i++) {
            if (!convert_column(j, g->first + i, row, row + 1)) {
                return false;
            }
        }
        if (g->entries != NULL) {
            copy_group_keep(all, g, copy_memo_field(&f, row), &out, row, j->batch->rows + row);
        }
    }
    return true;
}

static bool convert_columns(const struct block_job *j) {
    struct copy_memos *all = &j->block->memos;
    struct copy_group *g = all->groups, *end = g + all->group_count;
    for (size_t i = 0; i < j->columns; i++) {
        memset(j->batch->columns[i].presence + j->batch->rows, COPY_VALUE, j->rows);
    }
    for (size_t i = 0; i < j->columns;) {
        g += g < end && g->first + g->columns <= i;
        bool grouped = g < end && g->first == i && g->entries != NULL;
        if (grouped ? !convert_group(j, g) : !convert_column(j, i, 0, j->rows)) {
            return false;
        }
        i += grouped ? g->columns : 1;
    }
    return true;
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

/* The groups are looked for once, by the first rows. Without memory there are none. */
static struct sl_rc find_groups(struct copy_block *k, const struct copy_batch *b) {
    size_t columns = k->conf->column_count;
    struct copy_group groups[COPY_GROUPS];
    k->groups_sought = true;
    enum copy_group_column *may = calloc(columns, sizeof *may);
    if (may == NULL) {
        return sl_rc_of(SL_E_NOMEM);
    }
    for (size_t i = 0; i < columns; i++) {
        enum copy_type type = k->conf->columns[i].type;
        if (k->sizes[i] == sizeof(uint32_t) && k->memos.columns[i].pairs != NULL) {
            may[i] =
                type == COPY_CHAR || type == COPY_VARCHAR ? COPY_GROUP_TEXTS : COPY_GROUP_VALUES;
        }
    }
    size_t count = copy_groups_find(b, may, groups);
    free(may);
    return copy_groups_set(&k->memos, groups, count);
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
    struct block_job j = {.block = k,
                          .data = d->data.ptr,
                          .safe = d->data.ptr + d->data.len - COPY_MEMO_READ,
                          .ends = ends,
                          .columns = columns,
                          .rows = rows,
                          .batch = b,
                          .field = field,
                          .ctx = ctx};
    if (!convert_columns(&j)) {
        b->text.len = text_len;
        copy_memos_clear(&k->memos);
        k->rows_refused = rows - 1;
        return 0;
    }
    delimited_skip(d, rows * columns);
    b->rows += rows;
    if (!k->groups_sought && b->rows >= COPY_GROUP_SAMPLE && k->memos.kernel->group_take != NULL) {
        (void)find_groups(k, b);
    }
    return rows;
}
