/* What the fields of a column were converted to, by their text: most columns have few different
 * ones, or the same ones again and again. A small table for each column that forgets, so that it
 * stays in the cache; columns whose texts don't come again give it up. Texts of up to
 * COPY_MEMO_TEXT bytes, values of up to 8. */
#ifndef SL_CODEC_COPY_MEMO_IN_H
#define SL_CODEC_COPY_MEMO_IN_H

#include "lib/base/rc.h"
#include "lib/base/slice.h"

enum {
    COPY_MEMO_TEXT = 23,
    COPY_MEMO_READ = 24, /* so many bytes are read of a field, whatever its length */
};

/* The text, zeros behind; the last byte is its length and one more and, in an entry, the presence
 * in its highest two bits. An entry of zeros is empty: no key has them. */
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
struct copy_memos {
    size_t count;
    size_t bytes; /* of each column's pairs */
    struct copy_memo *columns;
    struct copy_memo_pair *pairs; /* of all */
};

struct sl_rc copy_memos_init(struct copy_memos *m, size_t columns);
void copy_memos_fini(struct copy_memos *m);
/* Texts that were added to the batch are of no use any more. */
void copy_memos_clear(struct copy_memos *m);

/* Bits of the three words that belong to a text of that length. */
extern const uint64_t copy_memo_masks[COPY_MEMO_TEXT + 1][3];

static inline uint64_t copy_memo_load(const uint8_t *p) {
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

/* p[0, COPY_MEMO_READ) may be read, len <= COPY_MEMO_TEXT. */
static inline struct copy_memo_key copy_memo_key(const uint8_t *p, size_t len) {
    const uint64_t *masks = copy_memo_masks[len];
    return (struct copy_memo_key){
        {copy_memo_load(p) & masks[0], copy_memo_load(p + 8) & masks[1],
         (copy_memo_load(p + 16) & masks[2]) | (uint64_t)(len + 1) << 56}};
}

static inline struct copy_memo_pair *copy_memo_pair(const struct copy_memo *m,
                                                    const struct copy_memo_key *k) {
    uint64_t x =
        k->text[0] ^ (k->text[1] << 29 | k->text[1] >> 35) ^ (k->text[2] << 47 | k->text[2] >> 17);
    return m->pairs + ((x * 0x9e3779b97f4a7c15ULL) >> m->shift);
}

/* Without a branch: which of the two it is can't be predicted. */
static inline bool copy_memo_is(const struct copy_memo_entry *e, const struct copy_memo_key *k) {
    uint64_t last = (e->key.text[2] ^ k->text[2]) << (64 - COPY_MEMO_PRESENCE_SHIFT);
    return ((e->key.text[0] ^ k->text[0]) | (e->key.text[1] ^ k->text[1]) | last) == 0;
}

/* The entry of a pair, or NULL. */
static inline const struct copy_memo_entry *copy_memo_find(const struct copy_memo_pair *pair,
                                                           const struct copy_memo_key *k) {
    size_t second = copy_memo_is(&pair->entries[1], k);
    return (second | copy_memo_is(&pair->entries[0], k)) != 0 ? &pair->entries[second] : NULL;
}

static inline uint8_t copy_memo_presence(const struct copy_memo_entry *e) {
    return (uint8_t)(e->key.text[2] >> COPY_MEMO_PRESENCE_SHIFT);
}

/* Keeps what a text became that was not found. `rows`: so many were converted since the clearing,
 * about. */
void copy_memo_keep(struct copy_memo *m, const struct copy_memo_key *k, uint8_t presence,
                    int64_t value, size_t rows);

#endif
