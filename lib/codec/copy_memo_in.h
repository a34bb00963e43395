/* What the fields of a column were converted to, by their text: most columns have few different
 * ones, or the same ones again and again. A small table for each column that forgets, so that it
 * stays in the cache; columns whose texts don't come again give it up. Texts of up to
 * COPY_MEMO_TEXT bytes, values of up to 8. */
#ifndef SL_CODEC_COPY_MEMO_IN_H
#define SL_CODEC_COPY_MEMO_IN_H

#include "lib/base/rc.h"
#include "lib/base/slice.h"
#include "lib/codec/delimited.h"

enum {
    COPY_MEMO_TEXT = 23,
    COPY_MEMO_READ = 24, /* so many bytes are read of a field, whatever its length */
    COPY_GROUP_TEXT = 63,
    COPY_GROUP_COLUMNS = 12,
};

/* The text, made up to COPY_MEMO_READ bytes; the last one is its length and one more and, in an
 * entry, the presence in its highest two bits. An entry of zeros is empty: no key has them. */
struct copy_memo_key {
    uint64_t text[3];
};
#define COPY_MEMO_PRESENCE_SHIFT 62
struct copy_memo_entry {
    struct copy_memo_key key;
    int64_t value; /* as many of its low bytes as the column's values have */
};
/* Where a key may be; a line of the cache. */
struct copy_memo_pair {
    struct copy_memo_entry entries[2];
};
struct copy_memo {
    struct copy_memo_pair *pairs; /* NULL: given up */
    unsigned shift;               /* of a hash to a pair's number */
    uint32_t missed;              /* since the clearing */
};

/* The fields of a column in some rows, or those of adjacent columns with what separates them. */
struct copy_memo_fields {
    const uint8_t *data;
    const uint8_t *safe;    /* what starts up to here may be read on for COPY_MEMO_READ bytes */
    const uint32_t *before; /* the first row's marks around it, */
    const uint32_t *end;
    size_t step; /* and so many on the next row's */
    bool at_end; /* of the line */
};
static inline struct slice copy_memo_field(const struct copy_memo_fields *f, size_t row) {
    uint32_t start = f->before[row * f->step] + 1, len = f->end[row * f->step] - start;
    const uint8_t *p = f->data + start;
    return (struct slice){p, len - (f->at_end && len > 0 && p[len - 1] == '\r')};
}

/* What the fields of adjacent columns became together, for columns that tell one another's value
 * (a city and its country): one look-up for all. Their values have four bytes. */
struct copy_group_entry {
    uint8_t text[COPY_GROUP_TEXT + 1]; /* made up with its length and one more, at least once */
    uint32_t values[COPY_GROUP_COLUMNS];
    uint8_t presence[COPY_GROUP_COLUMNS];
    uint8_t special; /* one of them is no COPY_VALUE */
};
struct copy_group {
    size_t first, columns;
    struct copy_group_entry *entries; /* NULL: given up. The first one is empty, and no text's */
    uint16_t *slots;                  /* by hash, or behind: which entry, 0: none */
    uint32_t used;                    /* entries; when they are, all are forgotten */
    uint32_t missed;
};
/* Where a group's values go, from row 0 on. */
struct copy_group_out {
    uint32_t *values[COPY_GROUP_COLUMNS];
    uint8_t *presence[COPY_GROUP_COLUMNS];
};

/* By what the CPU has. */
struct copy_memo_kernel {
    struct copy_memo_key (*key)(struct slice text);
    struct copy_memo_pair *(*pair)(const struct copy_memo *m, const struct copy_memo_key *k);
    /* Puts what rows [from, rows) became into values and presence, up to one that isn't found,
     * whose number is returned. `size`: of a value. */
    size_t (*take)(const struct copy_memo *m, const struct copy_memo_fields *f, size_t from,
                   size_t rows, size_t size, void *values, uint8_t *presence);
    /* The same for a group, with presence changed only where it is no COPY_VALUE; NULL: no groups.
     */
    size_t (*group_take)(const struct copy_group *g, const struct copy_memo_fields *f, size_t from,
                         size_t rows, const struct copy_group_out *out);
    /* An entry for a text that has none; there's a free one. */
    struct copy_group_entry *(*group_add)(struct copy_group *g, struct slice text);
};
const struct copy_memo_kernel *copy_memo_kernel(enum delimited_scan scan);
extern const struct copy_memo_kernel copy_memo_avx512;

struct copy_memos {
    size_t count;
    size_t bytes; /* of each column's pairs */
    struct copy_memo *columns;
    struct copy_memo_pair *pairs; /* of all */
    const struct copy_memo_kernel *kernel;
    struct copy_group *groups;
    size_t group_count;
    struct copy_group_entry *group_entries; /* of all */
    uint16_t *group_slots;
};

struct sl_rc copy_memos_init(struct copy_memos *m, size_t columns, enum delimited_scan scan);
void copy_memos_fini(struct copy_memos *m);
/* Texts that were added to the batch are of no use any more. */
void copy_memos_clear(struct copy_memos *m);
/* Keeps what a text of at most COPY_MEMO_TEXT bytes that was not found became; COPY_MEMO_READ are
 * read. Given up once more than one in `share` of the `rows` since the clearing was missing. */
void copy_memo_keep(const struct copy_memos *m, struct copy_memo *c, struct slice text,
                    uint8_t presence, int64_t value, size_t rows, size_t share);

enum { COPY_GROUPS = 16, COPY_GROUP_ENTRIES = 512, COPY_GROUP_SLOTS = 4096 };
/* `groups` (that many, without entries) are the groups from now on; the memory for them is made. */
struct sl_rc copy_groups_set(struct copy_memos *m, const struct copy_group *groups, size_t count);
/* Keeps what row `row` of `out` has, for a text that was not found or is too long. Given up once
 * more than one in eight of the `rows` since the clearing was missing. */
void copy_group_keep(const struct copy_memos *m, struct copy_group *g, struct slice text,
                     const struct copy_group_out *out, size_t row, size_t rows);

#endif
