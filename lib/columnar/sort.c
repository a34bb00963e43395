/* Sorting; see sort.h. A value is a sequence of 64-bit words whose order is the value's: one for
 * numbers, two for 128-bit integers, as many as needed for texts. Rows are sorted by the first
 * word, then each run of equal ones by the next word, or the next column. */
#include "lib/columnar/sort.h"

#include <math.h>

enum { WORD = 8, FEW = 48, SIGN_SHIFT = 63 };

struct sort_item {
    uint64_t word;
    uint32_t row;
};

void sort_work_fini(struct sort_work *w) {
    free(w->items);
    free(w->other);
    free(w->order);
    *w = (struct sort_work){0};
}

static struct sl_rc make_room(struct sort_work *w, uint32_t rows) {
    if (rows <= w->cap) {
        return SL_OK;
    }
    sort_work_fini(w);
    w->items = malloc(rows * sizeof *w->items);
    w->other = malloc(rows * sizeof *w->other);
    w->order = malloc(rows * sizeof *w->order);
    bool fine = w->items != NULL && w->other != NULL && w->order != NULL;
    ENSURE(fine, NULL, SL_E_NOMEM, "sort");
    w->cap = rows;
    return SL_OK;
}

/* ---- values as words ---- */

static uint64_t word_of_int(int64_t x) {
    return (uint64_t)x ^ 1ULL << SIGN_SHIFT;
}

static uint64_t word_of_float(double x) {
    uint64_t bits;
    if (isnan(x)) {
        return UINT64_MAX;
    }
    x = x == 0 ? 0 : x; /* one zero */
    memcpy(&bits, &x, sizeof bits);
    return bits >> SIGN_SHIFT ? ~bits : bits | 1ULL << SIGN_SHIFT;
}

static struct slice text_at(const struct vector *v, uint32_t row) {
    struct slice s = vector_bytes(v, row);
    while (s.len > 0 && s.ptr[s.len - 1] == ' ') {
        s.len--;
    }
    return slice_sub(s, 0, SORT_TEXT_BYTES);
}

/* Zeros behind the end, which no text holds. */
static uint64_t word_of_text(struct slice s, uint32_t depth) {
    uint64_t word = 0;
    struct slice part = slice_sub(s, (size_t)depth * WORD, (size_t)(depth + 1) * WORD);
    if (part.len > 0) {
        memcpy(&word, part.ptr, part.len);
    }
    return __builtin_bswap64(word);
}

/* The row isn't NULL. */
static uint64_t word_at(const struct vector *v, uint32_t row, uint32_t depth) {
    switch (v->kind) {
    case VECTOR_BOOL:
        return v->v.b[row];
    case VECTOR_INT16:
        return word_of_int(v->v.i16[row]);
    case VECTOR_INT32:
        return word_of_int(v->v.i32[row]);
    case VECTOR_INT64:
        return word_of_int(v->v.i64[row]);
    case VECTOR_INT128:
        return depth == 0 ? word_of_int((int64_t)(v->v.i128[row] >> 64)) : (uint64_t)v->v.i128[row];
    case VECTOR_FLOAT32:
        return word_of_float((double)v->v.f32[row]);
    case VECTOR_FLOAT64:
        return word_of_float(v->v.f64[row]);
    default:
        return word_of_text(text_at(v, row), depth);
    }
}

/* Does the value have words behind that one? */
static bool goes_on(const struct vector *v, uint32_t row, uint32_t depth) {
    return v->kind == VECTOR_INT128  ? depth == 0
           : v->kind == VECTOR_BYTES ? text_at(v, row).len > (size_t)(depth + 1) * WORD
                                     : false;
}

int sort_compare(const struct vector *a, uint32_t i, const struct vector *b, uint32_t j) {
    bool null_a = vector_is_null(a, i), null_b = vector_is_null(b, j);
    if (null_a || null_b) {
        return (int)null_a - (int)null_b;
    }
    if (a->kind == VECTOR_BYTES) {
        return slice_cmp(text_at(a, i), text_at(b, j));
    }
    for (uint32_t depth = 0;; depth++) {
        uint64_t x = word_at(a, i, depth), y = word_at(b, j, depth);
        if (x != y || !goes_on(a, i, depth)) {
            return x < y ? -1 : x > y;
        }
    }
}

/* ---- items ---- */

static void sort_few(struct sort_item *items, uint32_t n) {
    for (uint32_t i = 1; i < n; i++) {
        struct sort_item item = items[i];
        uint32_t at = i;
        for (; at > 0 && items[at - 1].word > item.word; at--) {
            items[at] = items[at - 1];
        }
        items[at] = item;
    }
}

/* By the bytes in which words differ, the lowest first; each pass keeps the order of the one
 * before. `other` has room for as many. */
static void sort_words(struct sort_item *items, struct sort_item *other, uint32_t n) {
    uint64_t differ = 0;
    struct sort_item *from = items, *to = other;
    if (n <= FEW) {
        sort_few(items, n);
        return;
    }
    for (uint32_t i = 1; i < n; i++) {
        differ |= items[i].word ^ items[0].word;
    }
    for (unsigned shift = 0; shift < 64; shift += 8) {
        uint32_t counts[256] = {0}, sum = 0;
        if ((differ >> shift & 0xff) == 0) {
            continue;
        }
        for (uint32_t i = 0; i < n; i++) {
            counts[from[i].word >> shift & 0xff]++;
        }
        for (unsigned b = 0; b < 256; b++) {
            uint32_t count = counts[b];
            counts[b] = sum;
            sum += count;
        }
        for (uint32_t i = 0; i < n; i++) {
            to[counts[from[i].word >> shift & 0xff]++] = from[i];
        }
        struct sort_item *swap = from;
        from = to;
        to = swap;
    }
    if (from != items) {
        memcpy(items, from, n * sizeof *items);
    }
}

struct sorting {
    const struct vector *columns;
    const uint32_t *keys;
    uint32_t key_count;
    struct sort_item *items, *other; /* of all rows */
};

/* NULLs to the end; how many rows are none. */
static uint32_t part_nulls(const struct vector *v, struct sort_item *items, struct sort_item *other,
                           uint32_t n) {
    uint32_t values = 0, nulls = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (vector_is_null(v, items[i].row)) {
            other[nulls++] = items[i];
        } else {
            items[values++] = items[i];
        }
    }
    memcpy(items + values, other, nulls * sizeof *items);
    return values;
}

/* Items [from, from + n), equal in all columns before `key` and all words before `depth`. */
static void sort_range(const struct sorting *s, uint32_t from, uint32_t n, uint32_t key,
                       uint32_t depth) {
    if (n < 2 || key == s->key_count) {
        return;
    }
    const struct vector *v = &s->columns[s->keys[key]];
    struct sort_item *items = s->items + from, *other = s->other + from;
    if (depth == 0 && v->nulls != NULL) {
        uint32_t values = part_nulls(v, items, other, n);
        sort_range(s, from + values, n - values, key + 1, 0);
        n = values;
    }
    for (uint32_t i = 0; i < n; i++) {
        items[i].word = word_at(v, items[i].row, depth);
    }
    sort_words(items, other, n);
    for (uint32_t i = 0, end; i < n; i = end) {
        bool more = false;
        uint64_t word = items[i].word; /* what is sorted further down gets other words */
        for (end = i; end < n && items[end].word == word; end++) {
            more |= goes_on(v, items[end].row, depth);
        }
        sort_range(s, from + i, end - i, more ? key : key + 1, more ? depth + 1 : 0);
    }
}

static bool in_order(const struct vector *columns, const uint32_t *keys, uint32_t key_count,
                     uint32_t rows) {
    for (uint32_t i = 1; i < rows; i++) {
        int order = 0;
        for (uint32_t k = 0; k < key_count && order == 0; k++) {
            order = sort_compare(&columns[keys[k]], i - 1, &columns[keys[k]], i);
        }
        if (order > 0) {
            return false;
        }
    }
    return true;
}

struct sl_rc sort_rows(struct sort_work *w, const struct vector *columns, const uint32_t *keys,
                       uint32_t key_count, uint32_t rows, const uint32_t **ret_order) {
    if (in_order(columns, keys, key_count, rows)) {
        *ret_order = NULL;
        return SL_OK;
    }
    TRY(make_room(w, rows));
    for (uint32_t i = 0; i < rows; i++) {
        w->items[i].row = i;
    }
    struct sorting s = {columns, keys, key_count, w->items, w->other};
    sort_range(&s, 0, rows, 0, 0);
    for (uint32_t i = 0; i < rows; i++) {
        w->order[i] = w->items[i].row;
    }
    *ret_order = w->order;
    return SL_OK;
}

/* ---- columns in order ---- */

static struct sl_rc reserve(uint8_t **p, size_t *cap, size_t len) {
    if (*cap < len) {
        free(*p);
        *cap = 0;
        *p = aligned_alloc(64, (len + 63) / 64 * 64);
        ENSURE(*p != NULL, NULL, SL_E_NOMEM, "sorted column");
        *cap = len;
    }
    return SL_OK;
}

#define TAKE(type)                                                                                 \
    do {                                                                                           \
        const type *from_ = v->v.raw;                                                              \
        type *to_ = (type *)(void *)memory->values;                                                \
        for (uint32_t i = 0; i < count; i++) {                                                     \
            to_[i] = from_[order[i]];                                                              \
        }                                                                                          \
    } while (0)

static void take_values(const struct vector *v, const uint32_t *order, uint32_t count,
                        struct vector_memory *memory) {
    switch (vector_width(v->kind)) {
    case 1:
        TAKE(uint8_t);
        break;
    case 2:
        TAKE(uint16_t);
        break;
    case 4:
        TAKE(uint32_t);
        break;
    case 8:
        TAKE(uint64_t);
        break;
    default:
        TAKE(unsigned __int128);
    }
}

struct sl_rc sort_take(const struct vector *v, const uint32_t *order, uint32_t from, uint32_t count,
                       struct vector_memory *memory, struct vector *ret) {
    size_t width = vector_width(v->kind);
    *ret = *v;
    ret->rows = count;
    if (order == NULL) {
        ret->v.raw = (const uint8_t *)v->v.raw + from * width;
        ret->nulls = v->nulls != NULL ? v->nulls + from : NULL;
        return SL_OK;
    }
    TRY(reserve(&memory->values, &memory->values_cap, count * width + 1));
    take_values(v, order + from, count, memory);
    ret->v.raw = memory->values;
    if (v->nulls != NULL) {
        TRY(reserve(&memory->nulls, &memory->nulls_cap, count + (size_t)1));
        for (uint32_t i = 0; i < count; i++) {
            memory->nulls[i] = v->nulls[order[from + i]];
        }
        ret->nulls = memory->nulls;
    }
    return SL_OK;
}
