#include "lib/columnar/bounds.h"

static struct slice bytes_of(const struct segment_bound *b) {
    return slice_of(b->bytes, b->len);
}

static struct slice trimmed(struct slice s) {
    while (s.len > 0 && s.ptr[s.len - 1] == ' ') {
        s.len--;
    }
    return s;
}

/* No text of the column is less, when trailing blanks don't count. A text x with x >= min by its
 * bytes may lose blanks and become less; but only than what follows in min after a byte that is
 * less than a blank: 'a ' > 'a\t', and 'a' < 'a\t'. */
static struct slice floor_of(const struct segment_bound *min) {
    struct slice s = bytes_of(min);
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < ' ') {
            s.len = i;
        }
    }
    return trimmed(s);
}

/* Could some text that is at most max be greater than `value`, or equal? It could be any
 * continuation of a bound that was cut. */
static bool reaches(const struct segment_bound *max, struct slice value, bool equal) {
    struct slice most = bytes_of(max);
    if (max->cut && value.len >= most.len && slice_eq(slice_sub(value, 0, most.len), most)) {
        return true;
    }
    int order = slice_cmp(most, value);
    return equal ? order >= 0 : order > 0;
}

/* Texts between min and max that begin with the value: the least of them is the value itself. */
static bool may_begin(const struct segment_column *c, struct slice value) {
    struct slice least = bytes_of(&c->min);
    size_t n = least.len < value.len ? least.len : value.len;
    return slice_cmp(slice_sub(value, 0, n), slice_sub(least, 0, n)) >= 0 &&
           reaches(&c->max, value, true);
}

bool bounds_may_hold(const struct segment_column *c, enum bounds_test test, struct slice value) {
    if (test == BOUNDS_PREFIX) {
        return may_begin(c, value);
    }
    value = trimmed(value);
    int floor = slice_cmp(floor_of(&c->min), value);
    switch (test) {
    case BOUNDS_LESS:
        return floor < 0;
    case BOUNDS_LESS_EQUAL:
        return floor <= 0;
    case BOUNDS_EQUAL:
        return floor <= 0 && reaches(&c->max, value, true);
    case BOUNDS_GREATER_EQUAL:
        return reaches(&c->max, value, true);
    default:
        return reaches(&c->max, value, false);
    }
}
