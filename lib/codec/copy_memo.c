/* See copy_memo_in.h. Here what all CPUs can, and what doesn't depend on them. */
#include "lib/codec/copy_memo_in.h"

#include <stdlib.h>

#include "lib/codec/copy_convert.h"

enum { BITS_MOST = 9, BITS_LEAST = 3, PAIRS_MOST = 32768, MISSES_FREE = 2048 };

/* Bits of the three words that belong to a text of that length. */
#define BYTES(n) ((n) <= 0 ? 0 : (n) >= 8 ? ~0ULL : (1ULL << 8 * ((n)&7)) - 1)
#define ROW(n)                                                                                     \
    { BYTES(n), BYTES((n)-8), BYTES((n)-16) }
static const uint64_t masks[COPY_MEMO_TEXT + 1][3] = {
    ROW(0),  ROW(1),  ROW(2),  ROW(3),  ROW(4),  ROW(5),  ROW(6),  ROW(7),
    ROW(8),  ROW(9),  ROW(10), ROW(11), ROW(12), ROW(13), ROW(14), ROW(15),
    ROW(16), ROW(17), ROW(18), ROW(19), ROW(20), ROW(21), ROW(22), ROW(23),
};

static inline uint64_t load(const uint8_t *p) {
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

static inline struct copy_memo_key key_of(struct slice text) {
    const uint64_t *mask = masks[text.len];
    const uint8_t *p = text.ptr;
    return (struct copy_memo_key){{load(p) & mask[0], load(p + 8) & mask[1],
                                   (load(p + 16) & mask[2]) | (uint64_t)(text.len + 1) << 56}};
}

static inline struct copy_memo_pair *pair_of(const struct copy_memo *m,
                                             const struct copy_memo_key *k) {
    uint64_t x =
        k->text[0] ^ (k->text[1] << 29 | k->text[1] >> 35) ^ (k->text[2] << 47 | k->text[2] >> 17);
    return m->pairs + ((x * 0x9e3779b97f4a7c15ULL) >> m->shift);
}

/* Without a branch: which of the two it is can't be predicted. */
static inline bool entry_is(const struct copy_memo_entry *e, const struct copy_memo_key *k) {
    uint64_t last = (e->key.text[2] ^ k->text[2]) << (64 - COPY_MEMO_PRESENCE_SHIFT);
    return ((e->key.text[0] ^ k->text[0]) | (e->key.text[1] ^ k->text[1]) | last) == 0;
}

/* `size` is a constant where this is called. */
static inline __attribute__((always_inline)) size_t
take_sized(const struct copy_memo *m, const struct copy_memo_fields *f, size_t from, size_t rows,
           const size_t size, uint8_t *values, uint8_t *presence) {
    for (size_t row = from; row < rows; row++) {
        struct slice text = copy_memo_field(f, row);
        if (text.ptr > f->safe || text.len > COPY_MEMO_TEXT) {
            return row;
        }
        struct copy_memo_key k = key_of(text);
        const struct copy_memo_entry *e = pair_of(m, &k)->entries;
        size_t second = entry_is(&e[1], &k);
        if ((second | entry_is(&e[0], &k)) == 0) {
            return row;
        }
        memcpy(values + row * size, &e[second].value, size);
        presence[row] = (uint8_t)(e[second].key.text[2] >> COPY_MEMO_PRESENCE_SHIFT);
    }
    return rows;
}

static size_t take(const struct copy_memo *m, const struct copy_memo_fields *f, size_t from,
                   size_t rows, size_t size, void *values, uint8_t *presence) {
    switch (size) {
    case 1:
        return take_sized(m, f, from, rows, 1, values, presence);
    case 2:
        return take_sized(m, f, from, rows, 2, values, presence);
    case 4:
        return take_sized(m, f, from, rows, 4, values, presence);
    default:
        return take_sized(m, f, from, rows, 8, values, presence);
    }
}

static struct copy_memo_key key(struct slice text) {
    return key_of(text);
}

static struct copy_memo_pair *pair(const struct copy_memo *m, const struct copy_memo_key *k) {
    return pair_of(m, k);
}

static const struct copy_memo_kernel portable = {.key = key, .pair = pair, .take = take};

const struct copy_memo_kernel *copy_memo_kernel(enum delimited_scan scan) {
#if defined(__x86_64__)
    if (scan == DELIMITED_BEST && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("aes")) {
        return &copy_memo_avx512;
    }
#endif
    return &portable;
}

struct sl_rc copy_memos_init(struct copy_memos *m, size_t columns, enum delimited_scan scan) {
    unsigned bits = BITS_MOST;
    while (bits > BITS_LEAST && columns << bits > PAIRS_MOST) {
        bits--;
    }
    m->kernel = copy_memo_kernel(scan);
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
    free(m->groups);
    free(m->group_entries);
    free(m->group_slots);
    *m = (struct copy_memos){0};
}

static void group_clear(struct copy_group *g) {
    memset(g->slots, 0, COPY_GROUP_SLOTS * sizeof *g->slots);
    g->used = 1;
}

void copy_memos_clear(struct copy_memos *m) {
    for (size_t i = 0; i < m->count; i++) {
        if (m->columns[i].pairs != NULL && m->columns[i].missed > 0) {
            memset(m->columns[i].pairs, 0, m->bytes);
        }
        m->columns[i].missed = 0;
    }
    for (size_t i = 0; i < m->group_count; i++) {
        struct copy_group *g = &m->groups[i];
        if (g->entries != NULL && g->missed > 0) {
            group_clear(g);
        }
        g->missed = 0;
    }
}

void copy_memo_keep(const struct copy_memos *m, struct copy_memo *c, struct slice text,
                    uint8_t presence, int64_t value, size_t rows, size_t share) {
    if (++c->missed > MISSES_FREE + rows / share) {
        c->pairs = NULL;
        return;
    }
    struct copy_memo_key k = m->kernel->key(text);
    struct copy_memo_entry *e = m->kernel->pair(c, &k)->entries;
    bool first = e[0].key.text[2] == 0, second = e[1].key.text[2] == 0;
    e += !first && (second || (c->missed & 1) != 0); /* in turn when both are taken */
    *e = (struct copy_memo_entry){.key = k, .value = value};
    e->key.text[2] |= (uint64_t)presence << COPY_MEMO_PRESENCE_SHIFT;
}

struct sl_rc copy_groups_set(struct copy_memos *m, const struct copy_group *groups, size_t count) {
    if (count == 0) {
        return SL_OK;
    }
    m->groups = calloc(count, sizeof *m->groups);
    m->group_entries = aligned_alloc(64, count * COPY_GROUP_ENTRIES * sizeof *m->group_entries);
    m->group_slots = calloc(count * COPY_GROUP_SLOTS, sizeof *m->group_slots);
    if (m->groups == NULL || m->group_entries == NULL || m->group_slots == NULL) {
        return sl_rc_of(SL_E_NOMEM);
    }
    m->group_count = count;
    for (size_t i = 0; i < count; i++) {
        struct copy_group *g = &m->groups[i];
        *g = groups[i];
        g->entries = m->group_entries + i * COPY_GROUP_ENTRIES;
        g->slots = m->group_slots + i * COPY_GROUP_SLOTS;
        g->used = 1;
        g->entries[0] = (struct copy_group_entry){0};
    }
    return SL_OK;
}

void copy_group_keep(const struct copy_memos *m, struct copy_group *g, struct slice text,
                     const struct copy_group_out *out, size_t row, size_t rows) {
    if (++g->missed > MISSES_FREE + rows / 8) {
        g->entries = NULL;
        return;
    }
    if (text.len > COPY_GROUP_TEXT) {
        return;
    }
    if (g->used == COPY_GROUP_ENTRIES) {
        group_clear(g);
    }
    struct copy_group_entry *e = m->kernel->group_add(g, text);
    e->special = 0;
    for (size_t i = 0; i < g->columns; i++) {
        e->values[i] = out->values[i][row];
        e->presence[i] = out->presence[i][row];
        e->special |= e->presence[i];
    }
}
