/* See copy_memo_in.h. */
#include "lib/codec/copy_memo_in.h"

#include <stdlib.h>

enum { BITS_MOST = 9, BITS_LEAST = 3, PAIRS_MOST = 32768, MISSES_FREE = 2048 };

#define BYTES(n) ((n) <= 0 ? 0 : (n) >= 8 ? ~0ULL : (1ULL << 8 * ((n)&7)) - 1)
#define ROW(n)                                                                                     \
    { BYTES(n), BYTES((n)-8), BYTES((n)-16) }
const uint64_t copy_memo_masks[COPY_MEMO_TEXT + 1][3] = {
    ROW(0),  ROW(1),  ROW(2),  ROW(3),  ROW(4),  ROW(5),  ROW(6),  ROW(7),
    ROW(8),  ROW(9),  ROW(10), ROW(11), ROW(12), ROW(13), ROW(14), ROW(15),
    ROW(16), ROW(17), ROW(18), ROW(19), ROW(20), ROW(21), ROW(22), ROW(23),
};

struct sl_rc copy_memos_init(struct copy_memos *m, size_t columns) {
    unsigned bits = BITS_MOST;
    while (bits > BITS_LEAST && columns << bits > PAIRS_MOST) {
        bits--;
    }
    m->count = columns;
    m->bytes = sizeof *m->pairs << bits;
    m->columns = calloc(columns, sizeof *m->columns);
    m->pairs = aligned_alloc(sizeof *m->pairs, columns * m->bytes);
    if (m->columns == NULL || m->pairs == NULL) {
        copy_memos_fini(m);
        return sl_rc_of(SL_E_NOMEM);
    }
    memset(m->pairs, 0, columns * m->bytes);
    for (size_t i = 0; i < columns; i++) {
        m->columns[i].pairs = m->pairs + (i << bits);
        m->columns[i].shift = 64 - bits;
    }
    return SL_OK;
}

void copy_memos_fini(struct copy_memos *m) {
    free(m->columns);
    free(m->pairs);
    *m = (struct copy_memos){0};
}

void copy_memos_clear(struct copy_memos *m) {
    for (size_t i = 0; i < m->count; i++) {
        if (m->columns[i].pairs != NULL && m->columns[i].missed > 0) {
            memset(m->columns[i].pairs, 0, m->bytes);
        }
        m->columns[i].missed = 0;
    }
}

void copy_memo_keep(struct copy_memo *m, const struct copy_memo_key *k, uint8_t presence,
                    int64_t value, size_t rows) {
    if (++m->missed > MISSES_FREE + rows / 2) {
        m->pairs = NULL;
        return;
    }
    struct copy_memo_entry *e = copy_memo_pair(m, k)->entries;
    bool first = e[0].key.text[2] == 0, second = e[1].key.text[2] == 0;
    e += !first && (second || (m->missed & 1) != 0); /* in turn when both are taken */
    *e = (struct copy_memo_entry){.key = *k, .value = value};
    e->key.text[2] |= (uint64_t)presence << COPY_MEMO_PRESENCE_SHIFT;
}
