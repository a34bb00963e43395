/* Condition operators, request keys, policy variables and wildcards. */
#include "server/policy/policy_in.h"

#include <arpa/inet.h>
#include <math.h>
#include <stdlib.h>

enum { NUMBER_CHARS_MAX = 64 };

bool pol_operator_parse(struct slice name, struct pol_operator *ret) {
    static const struct {
        const char *name;
        enum pol_op op;
        bool negated;
    } ops[] = {
        {"StringEquals", OP_STRING_EQUALS, false},
        {"StringNotEquals", OP_STRING_EQUALS, true},
        {"StringEqualsIgnoreCase", OP_STRING_EQUALS_IGNORE_CASE, false},
        {"StringNotEqualsIgnoreCase", OP_STRING_EQUALS_IGNORE_CASE, true},
        {"StringLike", OP_STRING_LIKE, false},
        {"StringNotLike", OP_STRING_LIKE, true},
        {"NumericEquals", OP_NUMERIC_EQUALS, false},
        {"NumericNotEquals", OP_NUMERIC_EQUALS, true},
        {"NumericLessThan", OP_NUMERIC_LESS, false},
        {"NumericLessThanEquals", OP_NUMERIC_LESS_EQUALS, false},
        {"NumericGreaterThan", OP_NUMERIC_GREATER, false},
        {"NumericGreaterThanEquals", OP_NUMERIC_GREATER_EQUALS, false},
        {"DateEquals", OP_DATE_EQUALS, false},
        {"DateNotEquals", OP_DATE_EQUALS, true},
        {"DateLessThan", OP_DATE_LESS, false},
        {"DateLessThanEquals", OP_DATE_LESS_EQUALS, false},
        {"DateGreaterThan", OP_DATE_GREATER, false},
        {"DateGreaterThanEquals", OP_DATE_GREATER_EQUALS, false},
        {"Bool", OP_BOOL, false},
        {"BinaryEquals", OP_BINARY, false},
        {"IpAddress", OP_IP, false},
        {"NotIpAddress", OP_IP, true},
        {"ArnEquals", OP_ARN, false},
        {"ArnLike", OP_ARN, false},
        {"ArnNotEquals", OP_ARN, true},
        {"ArnNotLike", OP_ARN, true},
        {"Null", OP_NULL, false},
    };
    struct pol_operator how = {.quantifier = FOR_ONE};
    struct slice any = SLICE_LIT("ForAnyValue:"), all = SLICE_LIT("ForAllValues:");
    struct slice if_exists = SLICE_LIT("IfExists");
    if (slice_starts(name, any)) {
        how.quantifier = FOR_ANY;
        name = slice_sub(name, any.len, name.len);
    } else if (slice_starts(name, all)) {
        how.quantifier = FOR_ALL;
        name = slice_sub(name, all.len, name.len);
    }
    if (slice_ends(name, if_exists)) {
        how.if_exists = true;
        name = slice_sub(name, 0, name.len - if_exists.len);
    }
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        if (slice_eq_cstr(name, ops[i].name)) {
            how.op = ops[i].op;
            how.negated = ops[i].negated;
            *ret = how;
            return how.op != OP_NULL || (how.quantifier == FOR_ONE && !how.if_exists);
        }
    }
    return false;
}

static bool number_parse(struct slice s, double *ret) {
    char text[NUMBER_CHARS_MAX + 1];
    if (s.len == 0 || s.len > NUMBER_CHARS_MAX) {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        /* No inf, nan or hexadecimal, which strtod would take. */
        if (strchr("0123456789+-.eE", s.ptr[i]) == NULL || s.ptr[i] == 0) {
            return false;
        }
        text[i] = (char)s.ptr[i];
    }
    text[s.len] = 0;
    char *end;
    double v = strtod(text, &end);
    if (*end != 0 || !isfinite(v)) {
        return false;
    }
    *ret = v;
    return true;
}

/* `n` digits off the front. */
static bool digits(struct slice *s, size_t n, int *ret) {
    uint64_t v;
    if (s->len < n || !slice_u64(slice_sub(*s, 0, n), 9999, &v)) {
        return false;
    }
    *ret = (int)v;
    *s = slice_sub(*s, n, s->len);
    return true;
}
static bool skip(struct slice *s, char c) {
    if (s->len == 0 || s->ptr[0] != (uint8_t)c) {
        return false;
    }
    *s = slice_sub(*s, 1, s->len);
    return true;
}

static int64_t days_of(int y, int m, int d) {
    y -= m <= 2;
    int64_t era = y / 400;
    int64_t yoe = y - era * 400, doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static bool zone_parse(struct slice *s, double *t) {
    int hours, minutes;
    if (skip(s, 'Z') || s->len == 0) {
        return true;
    }
    int sign = skip(s, '+') ? 1 : skip(s, '-') ? -1 : 0;
    if (sign == 0 || !digits(s, 2, &hours)) {
        return false;
    }
    (void)skip(s, ':');
    if (!digits(s, 2, &minutes) || hours > 23 || minutes > 59) {
        return false;
    }
    *t -= sign * (hours * 3600 + minutes * 60);
    return true;
}

/* Epoch seconds, or the W3C profile of ISO 8601: a date, or date and time with a zone. */
bool pol_date_parse(struct slice s, double *ret_epoch_s) {
    int y, m = 1, d = 1, hour = 0, minute = 0, second = 0;
    double t, fraction = 0;
    struct slice rest = s;
    bool iso = digits(&rest, 4, &y) && (rest.len == 0 || rest.ptr[0] == '-');
    if (!iso || rest.len == 0) {
        return number_parse(s, ret_epoch_s);
    }
    if (!skip(&rest, '-') || !digits(&rest, 2, &m) || (skip(&rest, '-') && !digits(&rest, 2, &d)) ||
        m < 1 || m > 12 || d < 1 || d > 31) {
        return false;
    }
    if (skip(&rest, 'T')) {
        if (!digits(&rest, 2, &hour) || !skip(&rest, ':') || !digits(&rest, 2, &minute) ||
            (skip(&rest, ':') && !digits(&rest, 2, &second)) || hour > 23 || minute > 59 ||
            second > 60) {
            return false;
        }
        if (skip(&rest, '.')) {
            double scale = 0.1;
            for (; rest.len > 0 && rest.ptr[0] >= '0' && rest.ptr[0] <= '9'; scale /= 10) {
                fraction += (rest.ptr[0] - '0') * scale;
                rest = slice_sub(rest, 1, rest.len);
            }
        }
    }
    t = (double)(days_of(y, m, d) * 86400 + hour * 3600 + minute * 60 + second) + fraction;
    if (!zone_parse(&rest, &t) || rest.len > 0) {
        return false;
    }
    *ret_epoch_s = t;
    return true;
}

struct ip_range {
    uint8_t bytes[16]; /* IPv4 as ::ffff:a.b.c.d */
    unsigned bits;
};

static bool ip_parse(struct slice s, bool prefix_allowed, struct ip_range *ret) {
    char text[INET6_ADDRSTRLEN];
    size_t slash = slice_find(s, '/');
    struct slice address = slice_sub(s, 0, slash);
    if (address.len == 0 || address.len >= sizeof text || (slash < s.len && !prefix_allowed) ||
        slice_find(address, 0) < address.len) {
        return false;
    }
    for (size_t i = 0; i < address.len; i++) {
        text[i] = (char)address.ptr[i];
    }
    text[address.len] = 0;
    struct ip_range r = {.bytes = {[10] = 0xff, [11] = 0xff}, .bits = 128};
    bool v4 = inet_pton(AF_INET, text, r.bytes + 12) == 1;
    if (!v4 && inet_pton(AF_INET6, text, r.bytes) != 1) {
        return false;
    }
    if (slash < s.len) {
        uint64_t n;
        if (!slice_u64(slice_sub(s, slash + 1, s.len), v4 ? 32 : 128, &n)) {
            return false;
        }
        r.bits = (unsigned)n + (v4 ? 96 : 0);
    }
    *ret = r;
    return true;
}

static bool ip_within(const struct ip_range *range, const struct ip_range *ip) {
    for (unsigned i = 0; i < range->bits; i += 8) {
        unsigned left = range->bits - i;
        uint8_t mask = left >= 8 ? 0xff : (uint8_t)(0xff << (8 - left));
        if ((range->bytes[i / 8] ^ ip->bytes[i / 8]) & mask) {
            return false;
        }
    }
    return true;
}

static bool is_bool(struct slice s) {
    return slice_ieq(s, SLICE_LIT("true")) || slice_ieq(s, SLICE_LIT("false"));
}

bool pol_values_valid(const struct pol_operator *how, struct slice value) {
    double number;
    struct ip_range range;
    switch (how->op) {
    case OP_NUMERIC_EQUALS:
    case OP_NUMERIC_LESS:
    case OP_NUMERIC_LESS_EQUALS:
    case OP_NUMERIC_GREATER:
    case OP_NUMERIC_GREATER_EQUALS:
        return number_parse(value, &number);
    case OP_DATE_EQUALS:
    case OP_DATE_LESS:
    case OP_DATE_LESS_EQUALS:
    case OP_DATE_GREATER:
    case OP_DATE_GREATER_EQUALS:
        return pol_date_parse(value, &number);
    case OP_BOOL:
    case OP_NULL:
        return is_bool(value);
    case OP_IP:
        return ip_parse(value, true, &range);
    default:
        return true;
    }
}

static uint8_t lower(uint8_t c) {
    return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

/* Is the byte of the pattern the wildcard `c`? */
static bool wildcard_at(struct pol_pattern p, size_t i, uint8_t c) {
    return i < p.text.len && p.text.ptr[i] == c && (p.literal == NULL || !p.literal[i]);
}

static bool same_byte(struct pol_pattern p, size_t i, uint8_t c, bool ignore_case) {
    return i < p.text.len &&
           (p.text.ptr[i] == c || (ignore_case && lower(p.text.ptr[i]) == lower(c)));
}

/* Over one character, which may be several bytes. */
static size_t next_char(struct slice s, size_t j) {
    for (j++; j < s.len && (s.ptr[j] & 0xc0) == 0x80; j++) {
    }
    return j;
}

bool pol_glob(struct pol_pattern p, struct slice s, bool ignore_case) {
    size_t i = 0, j = 0, star = SIZE_MAX, mark = 0;
    while (j < s.len) {
        if (wildcard_at(p, i, '*')) {
            star = i++;
            mark = j;
        } else if (wildcard_at(p, i, '?')) {
            i++;
            j = next_char(s, j);
        } else if (same_byte(p, i, s.ptr[j], ignore_case)) {
            i++;
            j++;
        } else if (star != SIZE_MAX) {
            i = star + 1;
            j = ++mark;
        } else {
            return false;
        }
    }
    while (wildcard_at(p, i, '*')) {
        i++;
    }
    return i == p.text.len;
}

/* Where the sixth piece of an ARN pattern starts, or SIZE_MAX. */
static size_t sixth_piece(struct pol_pattern p) {
    int colons = 0;
    for (size_t i = 0; i < p.text.len; i++) {
        if (p.text.ptr[i] == ':' && (p.literal == NULL || !p.literal[i]) && ++colons == 5) {
            return i + 1;
        }
    }
    return SIZE_MAX;
}

/* Two kinds of stars: a free one runs over colons, a bound one does not. After a mismatch the last
 * bound star takes one byte more, and where it may not, the last free star does. */
bool pol_glob_resource(struct pol_pattern p, struct slice s) {
    size_t i = 0, j = 0, rest = sixth_piece(p);
    struct {
        size_t at, mark;
    } free_star = {SIZE_MAX, 0}, bound_star = {SIZE_MAX, 0};
    while (j < s.len) {
        if (wildcard_at(p, i, '*')) {
            bool is_free = i >= rest || i + 1 == p.text.len || p.text.ptr[i + 1] == ':';
            if (is_free) {
                free_star.at = i;
                free_star.mark = j;
                bound_star.at = SIZE_MAX;
            } else {
                bound_star.at = i;
                bound_star.mark = j;
            }
            i++;
        } else if (wildcard_at(p, i, '?') && (i >= rest || s.ptr[j] != ':')) {
            i++;
            j = next_char(s, j);
        } else if (!wildcard_at(p, i, '?') && same_byte(p, i, s.ptr[j], false)) {
            i++;
            j++;
        } else if (bound_star.at != SIZE_MAX && s.ptr[bound_star.mark] != ':') {
            i = bound_star.at + 1;
            j = ++bound_star.mark;
        } else if (free_star.at != SIZE_MAX) {
            i = free_star.at + 1;
            j = ++free_star.mark;
            bound_star.at = SIZE_MAX;
        } else {
            return false;
        }
    }
    while (wildcard_at(p, i, '*')) {
        i++;
    }
    return i == p.text.len;
}

/* Keys that hold lists, also when they hold one value. They are no policy variables, and AWS wants
 * a set operator for them. */
static bool multivalued(struct slice key) {
    static const char *const names[] = {"aws:TagKeys",
                                        "aws:CalledVia",
                                        "aws:PrincipalOrgPaths",
                                        "aws:ResourceOrgPaths",
                                        "aws:PrincipalServiceNamesList",
                                        "kms:EncryptionContextKeys",
                                        "kms:GrantOperations",
                                        "kms:ResourceAliases",
                                        "s3:RequestObjectTagKeys"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (slice_ieq(key, slice_cstr(names[i]))) {
            return true;
        }
    }
    return false;
}

/* One variable, from behind "${" to before "}". False: no value. */
static bool var_value(struct pol_eval *e, struct slice var, struct slice *ret) {
    size_t comma = slice_find(var, ',');
    struct slice name = slice_trim(slice_sub(var, 0, comma));
    if (slice_eq_cstr(name, "*") || slice_eq_cstr(name, "?") || slice_eq_cstr(name, "$")) {
        *ret = name;
        return true;
    }
    size_t n;
    const struct slice *values = pol_key(e, name, &n);
    if (values != NULL && n == 1 && !multivalued(name)) {
        *ret = values[0];
        return true;
    }
    if (comma < var.len && n == 0) {
        struct slice quoted = slice_trim(slice_sub(var, comma + 1, var.len));
        *ret = slice_sub(quoted, 1, quoted.len - 1);
        return true;
    }
    return false;
}

/* Where the variable that starts at `at` ends (its closing brace); the parser has checked the form.
 */
static size_t var_end(struct slice s, size_t at) {
    bool quoted = false;
    for (size_t i = at; i < s.len; i++) {
        if (s.ptr[i] == '\'') {
            quoted = !quoted;
        } else if (s.ptr[i] == '}' && !quoted) {
            return i;
        }
    }
    return s.len;
}

bool pol_expand(struct pol_eval *e, const struct pol_text *t, struct pol_pattern *ret) {
    if (!t->vars) {
        *ret = (struct pol_pattern){t->text, NULL};
        return true;
    }
    struct slice s = t->text;
    /* First pass: the length; second: the bytes. */
    uint8_t *bytes = NULL, *literal = NULL;
    for (int pass = 0; pass < 2; pass++) {
        size_t n = 0;
        for (size_t i = 0; i < s.len;) {
            if (i + 1 < s.len && s.ptr[i] == '$' && s.ptr[i + 1] == '{') {
                size_t end = var_end(s, i + 2);
                struct slice value;
                if (!var_value(e, slice_sub(s, i + 2, end), &value)) {
                    return false;
                }
                for (size_t k = 0; k < value.len && pass == 1; k++) {
                    bytes[n + k] = value.ptr[k];
                    literal[n + k] = 1; /* a `*` in a value is no wildcard */
                }
                n += value.len;
                i = end + 1;
                continue;
            }
            if (pass == 1) {
                bytes[n] = s.ptr[i];
            }
            n++;
            i++;
        }
        if (pass == 0) {
            bytes = arena_alloc(e->a, n + 1);
            literal = arena_alloc(e->a, n + 1);
            if (bytes == NULL || literal == NULL) {
                e->failed = true;
                return false;
            }
        } else {
            *ret = (struct pol_pattern){slice_of(bytes, n), literal};
        }
    }
    return true;
}

/* Piece `k` of the six of an ARN; the last takes the rest. False when there are fewer. */
static bool arn_piece(struct slice s, int k, struct slice *ret) {
    size_t from = 0;
    for (int i = 0; i < k; i++) {
        size_t colon = slice_find(slice_sub(s, from, s.len), ':');
        if (from + colon >= s.len) {
            return false;
        }
        from += colon + 1;
    }
    struct slice rest = slice_sub(s, from, s.len);
    *ret = k == 5 ? rest : slice_sub(rest, 0, slice_find(rest, ':'));
    return true;
}

static bool arn_like(struct pol_pattern p, struct slice s) {
    struct slice piece, value;
    if (!slice_starts(s, SLICE_LIT("arn:")) || !arn_piece(s, 5, &value)) {
        return false;
    }
    if (!arn_piece(p.text, 5, &piece)) {
        /* A short pattern may still end in a wildcard that runs over the colons. */
        return slice_ends(p.text, SLICE_LIT("*")) && pol_glob(p, s, false);
    }
    for (int k = 0; k < 6; k++) {
        (void)arn_piece(p.text, k, &piece);
        (void)arn_piece(s, k, &value);
        size_t at = piece.len ? (size_t)(piece.ptr - p.text.ptr) : 0;
        struct pol_pattern part = {piece, p.literal ? p.literal + at : NULL};
        if (!pol_glob(part, value, false)) {
            return false;
        }
    }
    return true;
}

static bool compare(enum pol_op op, double left, double right) {
    switch (op) {
    case OP_NUMERIC_EQUALS:
    case OP_DATE_EQUALS:
        return left == right;
    case OP_NUMERIC_LESS:
    case OP_DATE_LESS:
        return left < right;
    case OP_NUMERIC_LESS_EQUALS:
    case OP_DATE_LESS_EQUALS:
        return left <= right;
    case OP_NUMERIC_GREATER:
    case OP_DATE_GREATER:
        return left > right;
    default:
        return left >= right;
    }
}

/* The positive form of an operator, one value of the request against one of the policy. */
static bool value_matches(enum pol_op op, struct pol_pattern want, struct slice have) {
    double left, right;
    struct ip_range range, ip;
    switch (op) {
    case OP_STRING_EQUALS:
    case OP_BINARY:
        return slice_eq(want.text, have);
    case OP_STRING_EQUALS_IGNORE_CASE:
    case OP_BOOL:
        return slice_ieq(want.text, have);
    case OP_STRING_LIKE:
        return pol_glob(want, have, false);
    case OP_ARN:
        return arn_like(want, have);
    case OP_IP:
        return ip_parse(want.text, true, &range) && ip_parse(have, false, &ip) &&
               ip_within(&range, &ip);
    case OP_DATE_EQUALS:
    case OP_DATE_LESS:
    case OP_DATE_LESS_EQUALS:
    case OP_DATE_GREATER:
    case OP_DATE_GREATER_EQUALS:
        return pol_date_parse(have, &left) && pol_date_parse(want.text, &right) &&
               compare(op, left, right);
    default:
        return number_parse(have, &left) && number_parse(want.text, &right) &&
               compare(op, left, right);
    }
}

/* Does one value of the request satisfy the operator, negation included? */
static bool value_satisfies(struct pol_eval *e, const struct pol_condition *c, struct slice have,
                            bool deny) {
    bool matched = false, unresolved = false;
    for (size_t i = 0; i < c->values.count && !matched; i++) {
        struct pol_pattern want;
        if (!pol_expand(e, &c->values.items[i], &want)) {
            unresolved = true;
            continue;
        }
        matched = value_matches(c->how.op, want, have);
    }
    if (c->how.op == OP_ARN && !slice_starts(have, SLICE_LIT("arn:"))) {
        unresolved = true;
    }
    if (!c->how.negated) {
        return matched;
    }
    /* "Not equal to something without a value", or to an ARN what is none, must neither allow nor
     * keep from denying. */
    return !matched && (!unresolved || deny);
}

static bool condition_holds(struct pol_eval *e, const struct pol_condition *c, bool deny) {
    size_t n;
    const struct slice *have = pol_key(e, c->key, &n);
    bool missing = have == NULL || n == 0;
    if (c->how.op == OP_NULL) {
        for (size_t i = 0; i < c->values.count; i++) {
            if (slice_ieq(c->values.items[i].text, SLICE_LIT("true")) == missing) {
                return true;
            }
        }
        return false;
    }
    if (missing) {
        return c->how.if_exists || c->how.quantifier == FOR_ALL ||
               (c->how.quantifier == FOR_ONE && c->how.negated);
    }
    /* A list without a set operator allows nothing; a deny takes each value by itself. */
    if (c->how.quantifier == FOR_ONE && !deny && (n > 1 || multivalued(c->key))) {
        return false;
    }
    bool all = c->how.quantifier == FOR_ALL || (c->how.quantifier == FOR_ONE && c->how.negated);
    for (size_t i = 0; i < n; i++) {
        if (value_satisfies(e, c, have[i], deny) != all) {
            return !all;
        }
    }
    return all;
}

bool pol_conditions_hold(struct pol_eval *e, const struct pol_statement *st) {
    for (size_t i = 0; i < st->condition_count; i++) {
        if (!condition_holds(e, &st->conditions[i], st->deny)) {
            return false;
        }
    }
    return true;
}

const struct slice *pol_key(struct pol_eval *e, struct slice name, size_t *ret_count) {
    *ret_count = 0;
    for (size_t i = 0; i < POL_FACTS; i++) {
        if (slice_ieq(name, slice_cstr(pol_fact_names[i]))) {
            *ret_count = e->facts[i].len > 0;
            return e->facts[i].len > 0 ? &e->facts[i] : NULL;
        }
    }
    for (size_t i = 0; i < e->req->key_count; i++) {
        if (slice_ieq(name, e->req->keys[i].name)) {
            *ret_count = e->req->keys[i].count;
            return e->req->keys[i].values;
        }
    }
    return NULL;
}
