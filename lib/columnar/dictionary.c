/* Dictionaries; see dictionary_in.h. Open addressing, at most half full; grown by doubling, so that
 * columns with few values stay within the first-level cache. */
#include "lib/columnar/dictionary_in.h"

enum { SLOT_BITS_FIRST = 11, SLOT_BITS_MAX = 17, SAMPLE_ROWS = 8192 };

struct sl_rc dictionary_init(struct dictionary *d) {
    d->entries = malloc(DICTIONARY_TEXTS * sizeof *d->entries);
    d->slots = malloc((1U << SLOT_BITS_MAX) * sizeof *d->slots);
    ENSURE(d->entries != NULL && d->slots != NULL, NULL, SL_E_NOMEM, "dictionary");
    crypto_random(d->seeds, sizeof d->seeds);
    for (int i = 0; i < 4; i++) {
        d->seeds[i] |= 1;
    }
    return SL_OK;
}

void dictionary_fini(struct dictionary *d) {
    free(d->entries);
    free(d->slots);
    *d = (struct dictionary){0};
}

static uint64_t mix(uint64_t a, uint64_t b) {
    unsigned __int128 p = (unsigned __int128)a * b;
    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

static uint64_t hash_head(const struct dictionary *d, const uint64_t head[2], uint32_t len) {
    return mix(head[0] ^ d->seeds[0], head[1] ^ d->seeds[1]) ^ mix(len ^ d->seeds[2], d->seeds[3]);
}

static uint64_t hash_long(const struct dictionary *d, uint64_t h, const uint8_t *p, uint32_t len) {
    for (uint32_t i = 16; i < len; i += 8) {
        uint64_t word = 0;
        memcpy(&word, p + i, len - i < 8 ? len - i : 8);
        h = mix(h ^ d->seeds[2], word ^ d->seeds[3]);
    }
    return h;
}

static void reset(struct dictionary *d) {
    d->count = 0;
    d->slot_bits = SLOT_BITS_FIRST;
    memset(d->slots, 0, (1U << SLOT_BITS_FIRST) * sizeof *d->slots);
}

/* The value's bytes, and its first 16 as two words with zeros behind. */
static const uint8_t *text_at(const struct vector *v, uint32_t at, uint64_t head[2],
                              uint32_t *ret_len) {
    const uint8_t *p = v->heap.ptr + at;
    const uint8_t *end = v->heap.ptr + v->heap.len;
    uint32_t len;
    if (*p & 1) {
        len = (uint32_t)(*p++ >> 1) - 1;
    } else {
        memcpy(&len, p, sizeof len);
        len = (len >> 2) - 4;
        p += 4;
    }
    *ret_len = len;
    if (end - p >= 16) {
        memcpy(head, p, 16);
        uint64_t keep = ~0ULL >> (64 - 8 * (len % 8)) % 64;
        head[0] = len >= 8 ? head[0] : len == 0 ? 0 : head[0] & keep;
        head[1] = len >= 16 ? head[1] : len <= 8 ? 0 : head[1] & keep;
    } else {
        head[0] = head[1] = 0;
        memcpy(head, p, len < 16 ? len : 16);
    }
    return p;
}

static uint64_t hash_entry(const struct dictionary *d, const struct vector *v,
                           const struct dictionary_entry *e) {
    uint64_t h = hash_head(d, e->head, e->len);
    if (v != NULL && e->len > 16) {
        h = hash_long(d, h, vector_bytes(&(struct vector){.v.at = &e->at, .heap = v->heap}, 0).ptr,
                      e->len);
    }
    return h;
}

static void grow(struct dictionary *d, const struct vector *v) {
    d->slot_bits++;
    uint32_t mask = (1U << d->slot_bits) - 1;
    memset(d->slots, 0, (mask + 1ULL) * sizeof *d->slots);
    for (uint32_t i = 0; i < d->count; i++) {
        uint32_t s = (uint32_t)(hash_entry(d, v, &d->entries[i]) >> 32) & mask;
        while (d->slots[s] != 0) {
            s = (s + 1) & mask;
        }
        d->slots[s] = i + 1;
    }
}

/* The entry equal to `e`, or UINT32_MAX when there's no room for a new one. `v` NULL: integers. */
static inline uint32_t look_up(struct dictionary *d, const struct vector *v,
                               const struct dictionary_entry *e, const uint8_t *text, uint64_t hash,
                               uint32_t most) {
    uint32_t mask = (1U << d->slot_bits) - 1;
    uint32_t s = (uint32_t)(hash >> 32) & mask;
    for (; d->slots[s] != 0; s = (s + 1) & mask) {
        const struct dictionary_entry *o = &d->entries[d->slots[s] - 1];
        if (o->head[0] == e->head[0] && o->head[1] == e->head[1] && o->len == e->len &&
            (e->len <= 16 ||
             memcmp(vector_bytes(&(struct vector){.v.at = &o->at, .heap = v->heap}, 0).ptr + 16,
                    text + 16, e->len - 16) == 0)) {
            return d->slots[s] - 1;
        }
    }
    if (d->count == most) {
        return UINT32_MAX;
    }
    d->entries[d->count] = *e;
    d->slots[s] = ++d->count;
    if (d->count > mask / 2 && d->slot_bits < SLOT_BITS_MAX) {
        grow(d, v);
    }
    return d->count - 1;
}

bool dictionary_texts(struct dictionary *d, const struct vector *v, uint32_t *codes) {
    const uint32_t *at = v->v.at;
    uint32_t code = 0, before = UINT32_MAX;
    reset(d);
    for (uint32_t i = 0; i < v->rows; i++) {
        if (!vector_is_null(v, i) && at[i] != before) {
            struct dictionary_entry e = {.at = at[i]};
            const uint8_t *text = text_at(v, at[i], e.head, &e.len);
            uint64_t hash = hash_head(d, e.head, e.len);
            hash = e.len > 16 ? hash_long(d, hash, text, e.len) : hash;
            code = look_up(d, v, &e, text, hash, DICTIONARY_TEXTS);
            if (code == UINT32_MAX || (i == SAMPLE_ROWS && d->count > SAMPLE_ROWS / 2)) {
                return false;
            }
            before = at[i];
        }
        codes[i] = code;
    }
    return d->count <= v->rows / 2 + 1;
}

bool dictionary_ints(struct dictionary *d, const int64_t *x, uint32_t n, uint32_t *codes) {
    reset(d);
    for (uint32_t i = 0; i < n; i++) {
        struct dictionary_entry e = {.head = {(uint64_t)x[i], 0}};
        codes[i] = look_up(d, NULL, &e, NULL, hash_head(d, e.head, 0), DICTIONARY_INTS);
        if (codes[i] == UINT32_MAX) {
            return false;
        }
    }
    return true;
}
