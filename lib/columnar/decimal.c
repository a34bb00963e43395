/* Decimals and numeric datums; see decimal.h. A datum is a length, a header of one word (short) or
 * two, and digits to the base 10,000, the first counting 10,000^weight; zeros at both ends are left
 * out. Words lie as in memory. */
#include "lib/columnar/decimal.h"

enum {
    BASE = 10000,
    GROUP = 4, /* decimal digits of one to the base */
    SIGN_MASK = 0xC000,
    SIGN_NEGATIVE = 0x4000,
    SIGN_SHORT = 0x8000,
    SIGN_SPECIAL = 0xC000, /* the word of NaN; of the infinities it has more bits */
    SHORT_NEGATIVE = 0x2000,
    SHORT_SCALE_SHIFT = 7,
    SHORT_WEIGHT_NEGATIVE = 0x40,
    SHORT_WEIGHT_MASK = 0x3F,
    WORDS_MAX = 11,
};

static const uint16_t small_powers[GROUP + 1] = {1, 10, 100, 1000, 10000};

__int128 decimal_power(unsigned n) {
    static const uint64_t powers[] = {
        1ULL,
        10ULL,
        100ULL,
        1000ULL,
        10000ULL,
        100000ULL,
        1000000ULL,
        10000000ULL,
        100000000ULL,
        1000000000ULL,
        10000000000ULL,
        100000000000ULL,
        1000000000000ULL,
        10000000000000ULL,
        100000000000000ULL,
        1000000000000000ULL,
        10000000000000000ULL,
        100000000000000000ULL,
        1000000000000000000ULL,
        10000000000000000000ULL,
    };
    enum { MOST = sizeof powers / sizeof powers[0] - 1 };
    sl_assert(n <= DECIMAL_DIGITS_MAX);
    return n <= MOST ? (__int128)powers[n] : (__int128)powers[MOST] * (__int128)powers[n - MOST];
}

static uint16_t word_at(struct slice s, size_t i) {
    uint16_t w;
    memcpy(&w, s.ptr + 2 * i, sizeof w);
    return w;
}

struct number {
    bool negative;
    int weight;
    struct slice digits;
};

/* False for what is no number, ret_nan apart. */
static bool parse(struct slice numeric, struct number *ret, bool *ret_nan) {
    size_t words = numeric.len / 2;
    if (words == 0 || numeric.len % 2 != 0) {
        return false;
    }
    unsigned head = word_at(numeric, 0), sign = head & SIGN_MASK;
    *ret_nan = head == SIGN_SPECIAL;
    if (sign == SIGN_SPECIAL || (sign != SIGN_SHORT && words < 2)) {
        return false;
    }
    bool is_short = sign == SIGN_SHORT;
    int low = (int)(head & SHORT_WEIGHT_MASK);
    ret->negative = is_short ? (head & SHORT_NEGATIVE) != 0 : sign == SIGN_NEGATIVE;
    ret->weight = !is_short                        ? (int16_t)word_at(numeric, 1)
                  : (head & SHORT_WEIGHT_NEGATIVE) ? low - SHORT_WEIGHT_MASK - 1
                                                   : low;
    ret->digits = slice_sub(numeric, is_short ? 2 : 4, numeric.len);
    return true;
}

bool decimal_of_datum(struct slice numeric, unsigned precision, unsigned scale,
                      enum vector_kind kind, __int128 *ret) {
    struct number n;
    bool nan = false;
    if (!parse(numeric, &n, &nan)) {
        *ret = decimal_nan(kind);
        return nan;
    }
    int count = (int)(n.digits.len / 2);
    const __int128 limit = decimal_power(precision);
    unsigned part = scale % GROUP;
    int last = -(int)((scale + GROUP - 1) / GROUP); /* the place of the last digit that counts */
    __int128 v = 0;
    int places = count == 0 ? 0 : n.weight - last + 1; /* from the first digit to that one */
    for (int i = 0; i < places; i++) {
        unsigned digit = i < count ? word_at(n.digits, (size_t)i) : 0, times = BASE;
        if (part > 0 && i == places - 1) {
            unsigned cut = small_powers[GROUP - part];
            if (digit % cut != 0) {
                return false;
            }
            digit /= cut;
            times = small_powers[part];
        }
        if (v > UINT64_MAX && v > (limit - 1) / times) {
            return false;
        }
        v = v * times + digit;
    }
    for (int i = places < 0 ? 0 : places; i < count; i++) {
        if (word_at(n.digits, (size_t)i) != 0) {
            return false;
        }
    }
    *ret = n.negative ? -v : v;
    return v < limit;
}

/* Digits of |value| * 10^-scale, last ones first, into words[WORDS_MAX] from its end; where they
 * begin. */
static unsigned digits_of(unsigned __int128 value, unsigned scale, uint16_t *words) {
    unsigned at = WORDS_MAX, part = scale % GROUP;
    if (part > 0 && value > 0) {
        words[--at] =
            (uint16_t)((unsigned)(value % small_powers[part]) * small_powers[GROUP - part]);
        value /= small_powers[part];
    }
    while (value > UINT64_MAX) {
        words[--at] = (uint16_t)(value % BASE);
        value /= BASE;
    }
    for (uint64_t v = (uint64_t)value; v > 0; v /= BASE) {
        words[--at] = (uint16_t)(v % BASE);
    }
    return at;
}

static void put_datum(const uint16_t *words, unsigned count, uint8_t *out) {
    uint32_t length = (uint32_t)(4 + 2 * count) << 2;
    memcpy(out, &length, sizeof length);
    memcpy(out + 4, words, 2 * count);
}

void decimal_datum(const struct vector *v, uint32_t row, uint8_t *out) {
    __int128 x = v->kind == VECTOR_INT64 ? v->v.i64[row] : v->v.i128[row];
    uint16_t words[1 + WORDS_MAX];
    if (x == decimal_nan(v->kind)) {
        words[0] = SIGN_SPECIAL;
        put_datum(words, 1, out);
        return;
    }
    unsigned __int128 size = x < 0 ? -(unsigned __int128)x : (unsigned __int128)x;
    unsigned at = digits_of(size, v->scale, words + 1), end = WORDS_MAX;
    int weight = WORDS_MAX - (int)at - (int)((v->scale + GROUP - 1) / GROUP) - 1;
    while (end > at && words[end] == 0) {
        end--;
    }
    unsigned head = SIGN_SHORT | (unsigned)v->scale << SHORT_SCALE_SHIFT;
    if (end > at) {
        head |= (x < 0 ? SHORT_NEGATIVE : 0) | (weight < 0 ? SHORT_WEIGHT_NEGATIVE : 0) |
                ((unsigned)weight & SHORT_WEIGHT_MASK);
    }
    words[at] = (uint16_t)head;
    put_datum(words + at, 1 + end - at, out);
}
