/* See copy_group_in.h. Columns join a group as long as that hardly makes more different rows of it
 * than the group or the column has alone. Values are told apart by hashes: a mistake costs time
 * alone. */
#include "lib/codec/copy_group_in.h"

#include <stdlib.h>

enum { SLOTS = 2 * COPY_GROUP_SAMPLE, DIFFERENT_MOST = COPY_GROUP_SAMPLE / 3 };

struct counter {
    uint64_t keys[SLOTS]; /* 0: free */
    uint16_t ids[SLOTS];
    uint16_t alone[COPY_GROUP_SAMPLE], group[COPY_GROUP_SAMPLE], joined[COPY_GROUP_SAMPLE];
    uint64_t values[COPY_GROUP_SAMPLE];
};

static uint64_t mix(uint64_t a, uint64_t b) {
    a = (a ^ b) * 0x9e3779b97f4a7c15ULL;
    return a ^ a >> 29;
}

static uint64_t text_hash(struct slice s) {
    uint64_t hash = s.len;
    for (size_t at = 0; at < s.len; at += sizeof hash) {
        uint64_t word = 0;
        memcpy(&word, s.ptr + at, s.len - at < sizeof word ? s.len - at : sizeof word);
        hash = mix(hash, word);
    }
    return hash;
}

/* The text of a batch that begins there, see struct copy_vector. */
static struct slice text_at(const struct copy_batch *b, uint32_t at) {
    const uint8_t *p = b->text.ptr + at;
    if ((*p & 1) != 0) {
        return slice_of(p + 1, (size_t)(*p >> 1) - 1);
    }
    uint32_t header;
    memcpy(&header, p, sizeof header);
    return slice_of(p + sizeof header, (header >> 2) - sizeof header);
}

/* c->values of a column; true: of its texts many are too long for a memo. */
static bool hash_column(struct counter *c, const struct copy_batch *b, size_t column, bool text) {
    const struct copy_vector *v = &b->columns[column];
    size_t longer = 0;
    for (size_t r = 0; r < COPY_GROUP_SAMPLE; r++) {
        uint64_t hash = 0;
        if (v->presence[r] != COPY_NULL && text) {
            struct slice s = text_at(b, v->v.text[r]);
            longer += s.len > COPY_MEMO_TEXT;
            hash = text_hash(s);
        } else if (v->presence[r] != COPY_NULL) {
            hash = (uint32_t)v->v.i32[r];
        }
        c->values[r] = mix(hash, v->presence[r] + 1u);
    }
    return longer > COPY_GROUP_SAMPLE / 8;
}

/* Numbers the different pairs of a number of `from` (NULL: none) and a value; how many there are.
 */
static size_t number_rows(struct counter *c, const uint16_t *from, uint16_t *ret) {
    size_t count = 0;
    memset(c->keys, 0, sizeof c->keys);
    for (size_t r = 0; r < COPY_GROUP_SAMPLE; r++) {
        uint64_t key = mix(c->values[r], from != NULL ? from[r] + 1u : 0) | 1;
        size_t slot = key >> 40 & (SLOTS - 1);
        while (c->keys[slot] != 0 && c->keys[slot] != key) {
            slot = (slot + 1) & (SLOTS - 1);
        }
        if (c->keys[slot] == 0) {
            c->keys[slot] = key;
            c->ids[slot] = (uint16_t)count++;
        }
        ret[r] = c->ids[slot];
    }
    return count;
}

size_t copy_groups_find(const struct copy_batch *b, const enum copy_group_column *columns,
                        struct copy_group *ret) {
    struct counter *c = malloc(sizeof *c);
    size_t count = 0, different = 0;
    struct copy_group now = {0};
    bool longer = false; /* worth it for one column */
    for (size_t i = 0; c != NULL && i <= b->column_count && count < COPY_GROUPS; i++) {
        bool fit = i < b->column_count && columns[i] != COPY_GROUP_NEVER, is_longer = false;
        size_t alone = 0;
        if (fit) {
            is_longer = hash_column(c, b, i, columns[i] == COPY_GROUP_TEXTS);
            alone = number_rows(c, NULL, c->alone);
            fit = alone <= DIFFERENT_MOST;
        }
        if (fit && now.columns > 0 && now.columns < COPY_GROUP_COLUMNS) {
            size_t joined = number_rows(c, c->group, c->joined);
            size_t most = alone > different ? alone : different;
            if (joined <= most + most / 8 + 1) {
                memcpy(c->group, c->joined, sizeof c->group);
                different = joined;
                longer |= is_longer;
                now.columns++;
                continue;
            }
        }
        if (now.columns > 1 || (now.columns == 1 && longer)) {
            ret[count++] = now;
        }
        now = (struct copy_group){.first = i, .columns = fit};
        different = alone;
        longer = is_longer;
        memcpy(c->group, c->alone, sizeof c->group);
    }
    free(c);
    return count;
}
