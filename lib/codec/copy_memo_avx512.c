/* The memos' look-ups with AVX-512: a text is one register, whatever its length, and AES mixes it
 * to a hash. See copy_memo_in.h. */
#include "lib/codec/copy_memo_in.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "lib/codec/copy_convert.h"

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,bmi2,aes")))
#define INLINE AVX512 static inline __attribute__((always_inline))

/* Behind the text, its length and one more. Of the 32 bytes, 24 are the key. */
INLINE __m256i key_of(const uint8_t *p, uint32_t len) {
    return _mm256_mask_loadu_epi8(_mm256_set1_epi8((char)(len + 1)), _bzhi_u32(~0U, len), p);
}

INLINE uint32_t hash_of(__m256i key) {
    __m128i low = _mm256_castsi256_si128(key), high = _mm256_extracti128_si256(key, 1);
    __m128i x = _mm_aesenc_si128(low, high);
    x = _mm_aesenc_si128(x, high);
    return (uint32_t)_mm_cvtsi128_si32(_mm_aesenc_si128(x, low));
}

INLINE struct copy_memo_pair *pair_of(const struct copy_memo *m, __m256i key) {
    return m->pairs + (hash_of(key) >> (m->shift - 32));
}

/* `size` and `at_end` are constants where this is called. */
INLINE size_t take_sized(const struct copy_memo *m, const struct copy_memo_fields *f, size_t row,
                         size_t rows, const size_t size, const bool at_end, uint8_t *values,
                         uint8_t *presence) {
    const __m512i text_bits =
        _mm512_set_epi64(0, INT64_MAX >> 1, -1, -1, 0, INT64_MAX >> 1, -1, -1);
    const uint32_t *before = f->before + row * f->step, *end = f->end + row * f->step;
    const struct copy_memo own = *m;
    const uint8_t *data = f->data;
    size_t step = f->step;
    for (; row < rows; row++, before += step, end += step) {
        uint32_t start = *before + 1, len = *end - start;
        const uint8_t *p = data + start;
        len -= at_end && len > 0 && p[len - 1] == '\r';
        if (len > COPY_MEMO_TEXT) {
            break;
        }
        __m256i key = key_of(p, len);
        const struct copy_memo_pair *pair = pair_of(&own, key);
        __m512i differ = _mm512_ternarylogic_epi64(_mm512_broadcast_i64x4(key),
                                                   _mm512_load_si512(pair), text_bits, 0x28);
        uint32_t words = _mm512_test_epi64_mask(differ, differ);
        /* which of the two it is can't be predicted */
        size_t second = (words & 15) != 0;
        if ((words >> (4 * second) & 15) != 0) {
            break;
        }
        const struct copy_memo_entry *e = &pair->entries[second];
        memcpy(values + row * size, &e->value, size);
        presence[row] = (uint8_t)(e->key.text[2] >> COPY_MEMO_PRESENCE_SHIFT);
    }
    return row;
}

#define TAKE(size)                                                                                 \
    f->at_end ? take_sized(m, f, from, rows, size, true, values, presence)                         \
              : take_sized(m, f, from, rows, size, false, values, presence)

AVX512 static size_t take(const struct copy_memo *m, const struct copy_memo_fields *f, size_t from,
                          size_t rows, size_t size, void *values, uint8_t *presence) {
    switch (size) {
    case 1:
        return TAKE(1);
    case 2:
        return TAKE(2);
    case 4:
        return TAKE(4);
    default:
        return TAKE(8);
    }
}

AVX512 static struct copy_memo_key key(struct slice text) {
    struct copy_memo_key k;
    __m256i all = key_of(text.ptr, (uint32_t)text.len);
    memcpy(&k, &all, sizeof k);
    return k;
}

AVX512 static struct copy_memo_pair *pair(const struct copy_memo *m,
                                          const struct copy_memo_key *k) {
    /* the fourth word of a key's register has the length eight times */
    __m256i fourth = _mm256_set1_epi8((char)(k->text[2] >> 56));
    return pair_of(m, _mm256_mask_loadu_epi64(fourth, 7, k));
}

/* ---- Groups ---- */

INLINE __m512i group_key(const uint8_t *p, uint32_t len) {
    return _mm512_mask_loadu_epi8(_mm512_set1_epi8((char)(len + 1)), _bzhi_u64(~0ULL, len), p);
}

INLINE uint32_t group_slot(__m512i key) {
    __m128i a = _mm512_castsi512_si128(key), b = _mm512_extracti32x4_epi32(key, 1);
    __m128i c = _mm512_extracti32x4_epi32(key, 2), d = _mm512_extracti32x4_epi32(key, 3);
    __m128i x = _mm_aesenc_si128(a, b), y = _mm_aesenc_si128(c, d);
    x = _mm_aesenc_si128(_mm_aesenc_si128(x, y), y);
    x = _mm_aesenc_si128(x, b);
    return (uint32_t)_mm_cvtsi128_si32(x) % COPY_GROUP_SLOTS;
}

INLINE bool entry_is(const struct copy_group_entry *e, __m512i key) {
    return _mm512_cmpneq_epi64_mask(_mm512_load_si512(e->text), key) == 0;
}

INLINE void put_special(const struct copy_group_entry *e, const struct copy_group *g,
                        const struct copy_group_out *out, size_t row) {
    for (size_t i = 0; i < g->columns; i++) {
        out->presence[i][row] = e->presence[i];
    }
}

enum { AHEAD = 32 };
struct spot {
    uint32_t start, len;
    uint32_t slot, entry;
};

/* First all hashes, so that nothing waits for them or for the entries' way into the cache. */
INLINE void group_spots(const struct copy_group *g, const struct copy_memo_fields *f, size_t row,
                        size_t count, struct spot *ret) {
    const uint32_t *before = f->before + row * f->step, *end = f->end + row * f->step;
    const struct copy_group own = *g;
    const uint8_t *data = f->data;
    size_t step = f->step;
    bool at_end = f->at_end;
    for (size_t i = 0; i < count; i++, before += step, end += step) {
        uint32_t start = *before + 1, len = *end - start;
        len -= at_end && len > 0 && data[start + len - 1] == '\r';
        uint32_t most = len < COPY_GROUP_TEXT ? len : COPY_GROUP_TEXT;
        uint32_t slot = group_slot(group_key(data + start, most));
        ret[i] = (struct spot){start, len, slot, own.slots[slot]};
        __builtin_prefetch(own.entries[ret[i].entry].text);
        __builtin_prefetch(own.entries[ret[i].entry].values);
    }
}

/* The number of the entry that has the key, or 0; *slot becomes where it is or might be. */
INLINE uint32_t group_find(const struct copy_group *g, __m512i key, uint32_t *slot) {
    uint32_t entry = g->slots[*slot];
    while (entry != 0 && !entry_is(&g->entries[entry], key)) {
        *slot = (*slot + 1) % COPY_GROUP_SLOTS;
        entry = g->slots[*slot];
    }
    return entry;
}

AVX512 static size_t group_take(const struct copy_group *g, const struct copy_memo_fields *f,
                                size_t from, size_t rows, const struct copy_group_out *out) {
    const struct copy_group own = *g;
    struct spot spots[AHEAD];
    while (from < rows) {
        size_t count = rows - from < AHEAD ? rows - from : AHEAD;
        group_spots(g, f, from, count, spots);
        for (struct spot *s = spots; s < spots + count; s++, from++) {
            if (s->len > COPY_GROUP_TEXT) {
                return from;
            }
            __m512i key = group_key(f->data + s->start, s->len);
            const struct copy_group_entry *e = &own.entries[s->entry];
            if (!entry_is(e, key)) {
                e = &own.entries[group_find(g, key, &s->slot)];
                if (e == own.entries) {
                    return from;
                }
            }
            for (size_t i = 0; i < own.columns; i++) {
                out->values[i][from] = e->values[i];
            }
            if (e->special != 0) {
                put_special(e, g, out, from);
            }
        }
    }
    return from;
}

AVX512 static struct copy_group_entry *group_add(struct copy_group *g, struct slice text) {
    __m512i key = group_key(text.ptr, (uint32_t)text.len);
    uint32_t slot = group_slot(key);
    sl_assert(g->used < COPY_GROUP_ENTRIES && group_find(g, key, &slot) == 0);
    g->slots[slot] = (uint16_t)g->used;
    struct copy_group_entry *e = &g->entries[g->used++];
    _mm512_store_si512(e->text, key);
    return e;
}

const struct copy_memo_kernel copy_memo_avx512 = {
    .key = key, .pair = pair, .take = take, .group_take = group_take, .group_add = group_add};
#endif
