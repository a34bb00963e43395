/* Dictionaries; see dictionary_in.h. Open addressing, grown by doubling once an eighth is in use
 * (at the most half of it): a second probe is rare then, and hard to predict, and columns with few
 * values stay within the first-level cache. */
#include "lib/columnar/dictionary_in.h"

#include "lib/columnar/avx2_in.h"

enum { SLOT_BITS_FIRST = 12, SAMPLE_ROWS = 8192, EIGHT = 8 };

struct sl_rc dictionary_init(struct dictionary *d, uint32_t rows) {
    uint32_t most = rows < DICTIONARY_TEXTS ? rows : DICTIONARY_TEXTS;
    d->slot_bits_most = SLOT_BITS_FIRST;
    while (1U << d->slot_bits_most < 2 * most) {
        d->slot_bits_most++;
    }
    d->entries = malloc(most * sizeof *d->entries);
    d->slots = malloc((1U << d->slot_bits_most) * sizeof *d->slots);
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

static inline uint64_t load(const uint8_t *p) {
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

static inline uint64_t hash_head(const struct dictionary *d, const uint64_t head[2]) {
    return mix(head[0] ^ d->seeds[0], head[1] ^ d->seeds[1]);
}

/* Of a text longer than 16 bytes; the last word may overlap the one before. */
static uint64_t hash_long(const struct dictionary *d, uint64_t h, const uint8_t *p, uint32_t len) {
    for (uint32_t i = 16; i + 8 < len; i += 8) {
        h = mix(h ^ d->seeds[2], load(p + i) ^ d->seeds[3]);
    }
    return mix(h ^ d->seeds[2], load(p + len - 8) ^ d->seeds[3] ^ len);
}

/* Behind the first 16 bytes, which are equal. */
static bool same_tail(const uint8_t *a, const uint8_t *b, uint32_t len) {
    return load(a + len - 8) == load(b + len - 8) &&
           (len <= 24 || memcmp(a + 16, b + 16, len - 24) == 0);
}

static void reset(struct dictionary *d) {
    d->count = 0;
    d->slot_bits = SLOT_BITS_FIRST;
    memset(d->slots, 0, (1U << SLOT_BITS_FIRST) * sizeof *d->slots);
}

/* The value at a heap's offset as an entry; false when there's no whole one. Most are short and not
 * near the heap's end: their first 16 bytes are loaded at once, and what follows is masked away. */
static inline bool entry_of(const struct vector *v, uint32_t at, struct dictionary_entry *e) {
    static const uint64_t masks[9] = {0,
                                      0xff,
                                      0xffff,
                                      0xffffff,
                                      0xffffffff,
                                      0xffffffffffULL,
                                      0xffffffffffffULL,
                                      0xffffffffffffffULL,
                                      ~0ULL};
    const uint8_t *p = v->heap.ptr + at;
    if ((size_t)at + 17 <= v->heap.len && (*p & 1) != 0) {
        uint32_t len = (uint32_t)(*p >> 1) - 1;
        if (len <= 16) {
            e->head[0] = load(p + 1) & masks[len < 8 ? len : 8];
            e->head[1] = load(p + 9) & masks[len < 8 ? 0 : len - 8];
            e->text = at + 1;
            e->len = len;
            return true;
        }
    }
    if (!vector_whole(v->heap, at)) {
        return false;
    }
    struct slice s = vector_value(v->heap, at);
    e->head[0] = e->head[1] = 0;
    memcpy(e->head, s.ptr, s.len < 16 ? s.len : 16);
    e->text = (uint32_t)(s.ptr - v->heap.ptr);
    e->len = (uint32_t)s.len;
    return true;
}

static uint64_t hash_entry(const struct dictionary *d, const uint8_t *heap,
                           const struct dictionary_entry *e) {
    uint64_t h = hash_head(d, e->head);
    return e->len > 16 ? hash_long(d, h, heap + e->text, e->len) : h;
}

static void grow(struct dictionary *d, const uint8_t *heap) {
    d->slot_bits++;
    uint32_t mask = (1U << d->slot_bits) - 1;
    memset(d->slots, 0, (mask + 1ULL) * sizeof *d->slots);
    for (uint32_t i = 0; i < d->count; i++) {
        uint32_t s = (uint32_t)(hash_entry(d, heap, &d->entries[i]) >> 32) & mask;
        while (d->slots[s] != 0) {
            s = (s + 1) & mask;
        }
        d->slots[s] = i + 1;
    }
}

/* The entry equal to `e`, or UINT32_MAX when there's no room for a new one. */
static inline uint32_t look_up(struct dictionary *d, const uint8_t *heap,
                               const struct dictionary_entry *e, uint32_t most) {
    uint32_t mask = (1U << d->slot_bits) - 1;
    uint32_t s = (uint32_t)(hash_entry(d, heap, e) >> 32) & mask;
    for (; d->slots[s] != 0; s = (s + 1) & mask) {
        const struct dictionary_entry *o = &d->entries[d->slots[s] - 1];
        if (o->head[0] == e->head[0] && o->head[1] == e->head[1] && o->len == e->len &&
            (e->len <= 16 || same_tail(heap + o->text, heap + e->text, e->len))) {
            return d->slots[s] - 1;
        }
    }
    if (d->count == most) {
        return UINT32_MAX;
    }
    d->entries[d->count] = *e;
    d->slots[s] = ++d->count;
    if (d->count > mask / 8 && d->slot_bits < d->slot_bits_most) {
        grow(d, heap);
    }
    return d->count - 1;
}

/* Codes of rows [from, to). `state`: code and offset of the row before. */
static bool code_texts(struct dictionary *d, const struct vector *v, uint32_t from, uint32_t to,
                       uint32_t state[2], uint32_t *codes) {
    const uint32_t *at = v->v.at;
    uint32_t code = state[0], before = state[1];
    struct dictionary_entry e;
    for (uint32_t i = from; i < to; i++) {
        if (!vector_is_null(v, i) && at[i] != before) {
            if (!entry_of(v, at[i], &e)) {
                return false;
            }
            code = look_up(d, v->heap.ptr, &e, DICTIONARY_TEXTS);
            if (code == UINT32_MAX) {
                return false;
            }
            before = at[i];
        }
        codes[i] = code;
    }
    state[0] = code;
    state[1] = before;
    return true;
}

/* Codes of rows from `from` on, as far as eights of them are no NULLs and their offsets are known.
 * How many. */
#if HAVE_AVX2
AVX2 static uint32_t code_eights(const struct vector *v, uint32_t from, const uint32_t *known,
                                 uint32_t *codes) {
    __m256i end = _mm256_set1_epi32((int)v->heap.len), one = _mm256_set1_epi32(1);
    uint32_t i = from;
    for (; i + EIGHT <= v->rows; i += EIGHT) {
        if (v->nulls != NULL && load(v->nulls + i) != 0) {
            break;
        }
        __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)(v->v.at + i));
        __m256i beyond = _mm256_cmpeq_epi32(_mm256_max_epu32(a, end), a);
        if (!_mm256_testz_si256(beyond, beyond)) {
            break;
        }
        __m256i k = _mm256_i32gather_epi32((const int *)(const void *)known, a, sizeof *known);
        __m256i fresh = _mm256_cmpeq_epi32(k, _mm256_setzero_si256());
        if (!_mm256_testz_si256(fresh, fresh)) {
            break;
        }
        _mm256_storeu_si256((__m256i *)(void *)(codes + i), _mm256_sub_epi32(k, one));
    }
    return i - from;
}
#endif

/* The same where rows share texts: what an offset's code is, is kept for each offset. */
static bool code_shared(struct dictionary *d, const struct vector *v, uint32_t *known,
                        uint32_t *codes, bool plain) {
    const uint32_t *at = v->v.at;
    uint32_t code = 0;
    struct dictionary_entry e;
    memset(known, 0, v->heap.len * sizeof *known);
    for (uint32_t i = 0; i < v->rows; i++) {
#if HAVE_AVX2
        uint32_t done = i % EIGHT == 0 && !plain ? code_eights(v, i, known, codes) : 0;
        if (done > 0) {
            i += done;
            code = codes[i - 1];
            if (i == v->rows) {
                break;
            }
        }
#endif
        if (!vector_is_null(v, i)) {
            if (at[i] >= v->heap.len) {
                return false;
            }
            if (known[at[i]] == 0) {
                if (!entry_of(v, at[i], &e)) {
                    return false;
                }
                known[at[i]] = 1 + look_up(d, v->heap.ptr, &e, DICTIONARY_TEXTS);
            }
            code = known[at[i]] - 1;
        }
        codes[i] = code;
    }
    return true;
}

bool dictionary_texts(struct dictionary *d, const struct vector *v, uint32_t *scratch,
                      uint32_t *codes, bool plain) {
    uint32_t state[2] = {0, UINT32_MAX};
    if (v->heap.len <= v->rows && v->heap.len < DICTIONARY_TEXTS) {
        reset(d);
        return code_shared(d, v, scratch, codes, plain || !avx2());
    }
    uint32_t sample = v->rows < SAMPLE_ROWS ? v->rows : SAMPLE_ROWS;
    reset(d);
    return code_texts(d, v, 0, sample, state, codes) && d->count <= sample / 2 + 1 &&
           code_texts(d, v, sample, v->rows, state, codes);
}

/* Where integers are near each other: what an integer's code is, is kept for each of the range. */
static bool code_near(struct dictionary *d, const int64_t *x, uint32_t n, int64_t base,
                      uint64_t range, uint32_t *known, uint32_t *codes) {
    memset(known, 0, (range + 1) * sizeof *known);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t *k = &known[(uint64_t)x[i] - (uint64_t)base];
        if (*k == 0) {
            if (d->count == DICTIONARY_INTS) {
                return false;
            }
            d->entries[d->count] = (struct dictionary_entry){.head = {(uint64_t)x[i], 0}};
            *k = ++d->count;
        }
        codes[i] = *k - 1;
    }
    return true;
}

bool dictionary_ints(struct dictionary *d, const int64_t *x, uint32_t n, int64_t base,
                     uint64_t range, uint32_t *scratch, uint32_t *codes) {
    reset(d);
    if (range < n) {
        return code_near(d, x, n, base, range, scratch, codes);
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct dictionary_entry e = {.head = {(uint64_t)x[i], 0}};
        codes[i] = look_up(d, NULL, &e, DICTIONARY_INTS);
        if (codes[i] == UINT32_MAX) {
            return false;
        }
    }
    return true;
}
