/* Rows of the plain kind, converted column by column: as many fields as columns, none quoted. A
 * block of them is what a window of marks holds. */
#ifndef SL_CODEC_COPY_BLOCK_IN_H
#define SL_CODEC_COPY_BLOCK_IN_H

#include "lib/codec/copy_memo_in.h"
#include "lib/codec/copy_parse_in.h"

struct copy_block {
    const struct copy_convert_conf *conf;
    struct copy_memos memos;
    uint8_t *sizes; /* of each column's values */
    uint8_t *plain; /* what stands at the marks of plain rows */
    size_t padding; /* the most that a row's texts take beyond its fields */
    bool *numbers;  /* a column's values are what copy_parse_short takes */
    bool groups_sought;
    size_t rows_refused; /* so many rows from here on go the other way */
};

struct sl_rc copy_block_init(struct copy_block *k, const struct copy_convert_conf *conf);
void copy_block_fini(struct copy_block *k);

/* Any field of the row at b->rows, as it stands in the data: the long way, and what a block falls
 * back to. */
typedef enum copy_code (*copy_block_field_fn)(void *ctx, struct copy_batch *b, size_t column,
                                              uint32_t start, uint32_t len, bool *ret_nomem);

/* Adds rows to `b` and goes behind them in `d`. The number of rows; 0: the next one is of another
 * kind, or bad, and nothing was added. */
size_t copy_block_convert(struct copy_block *k, struct delimited *d, struct copy_batch *b,
                          copy_block_field_fn field, void *ctx);

/* Bytes of a value in a vector. */
size_t copy_value_size(enum copy_type type);

#endif
