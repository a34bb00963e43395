/* Value parsers of COPY; see copy_parse_in.h. */
#include "lib/codec/copy_parse_in.h"

#include <errno.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static bool digit(uint8_t c) {
    return (uint8_t)(c - '0') <= 9;
}

static enum copy_code fail(copy_reason why, enum copy_code code, const char *text) {
    snprintf(why, COPY_REASON_MAX + 1, "%s", text);
    return code;
}

static const char *type_word(enum copy_type type) {
    switch (type) {
    case COPY_INT2:
        return "Short";
    case COPY_INT4:
        return "Integer";
    case COPY_INT8:
        return "Long";
    default:
        return "Decimal";
    }
}

static enum copy_code bad_digit(struct slice s, size_t at, enum copy_type type, copy_reason why) {
    /* a sign without digits has its fault behind the end */
    char value[5] = {0};
    if (at < s.len) {
        uint8_t c = s.ptr[at];
        if (c >= 0x20 && c < 0x7f) {
            value[0] = (char)c;
        } else {
            snprintf(value, sizeof value, "\\x%02x", c);
        }
    }
    snprintf(why, COPY_REASON_MAX + 1, "Invalid digit, Value '%s', Pos %zu, Type: %s", value, at,
             type_word(type));
    return COPY_E_DIGIT;
}

enum copy_code copy_parse_int(struct slice s, enum copy_type type, int64_t *ret, copy_reason why) {
    static const struct {
        int64_t min, max;
    } ranges[] = {[COPY_INT2] = {INT16_MIN, INT16_MAX},
                  [COPY_INT4] = {INT32_MIN, INT32_MAX},
                  [COPY_INT8] = {INT64_MIN, INT64_MAX}};
    size_t i = 0;
    bool negative = s.ptr[0] == '-';
    if (negative || s.ptr[0] == '+') {
        i++;
    }
    if (i == s.len) {
        return bad_digit(s, i, type, why);
    }
    int64_t v = 0;
    bool overflow = false;
    for (; i < s.len; i++) {
        if (!digit(s.ptr[i])) {
            return bad_digit(s, i, type, why);
        }
        int64_t d = s.ptr[i] - '0';
        overflow |= __builtin_mul_overflow(v, (int64_t)10, &v);
        overflow |= negative ? __builtin_sub_overflow(v, d, &v) : __builtin_add_overflow(v, d, &v);
    }
    if (overflow || v < ranges[type].min || v > ranges[type].max) {
        snprintf(why, COPY_REASON_MAX + 1, "Overflow (%s valid range %lld to %lld)",
                 type_word(type), (long long)ranges[type].min, (long long)ranges[type].max);
        return COPY_E_INTEGER_RANGE;
    }
    *ret = v;
    return COPY_OK;
}

static __int128 power_of_ten(unsigned n) {
    __int128 v = 1;
    while (n-- > 0) {
        v *= 10;
    }
    return v;
}

/* At most 38 digits go into the value, so that it can't overflow. */
enum copy_code copy_parse_numeric(struct slice s, uint8_t precision, uint8_t scale, bool round,
                                  __int128 *ret, copy_reason why) {
    size_t i = 0;
    bool negative = s.ptr[0] == '-';
    if (negative || s.ptr[0] == '+') {
        i++;
    }
    size_t digits = 0;
    size_t significant = 0;
    size_t decimals = 0;
    bool point = false, dropped = false, up = false;
    uint64_t low = 0;
    __int128 v = 0;
    for (; i < s.len; i++) {
        uint8_t c = s.ptr[i];
        if (c == '.' && !point) {
            point = true;
            continue;
        }
        if (!digit(c)) {
            return bad_digit(s, i, COPY_NUMERIC, why);
        }
        digits++;
        if (point && decimals == scale) {
            up |= round && !dropped && c >= '5';
            dropped = true;
            continue;
        }
        decimals += point;
        significant += significant > 0 || c != '0';
        if (significant <= 18) {
            low = low * 10 + (uint64_t)(c - '0');
            v = low;
        } else if (significant <= 38) {
            v = v * 10 + (c - '0');
        }
    }
    if (digits == 0) {
        return bad_digit(s, s.len, COPY_NUMERIC, why);
    }
    bool overflow = significant + (scale - decimals) > precision && significant > 0;
    for (; decimals < scale && !overflow; decimals++) {
        v *= 10;
    }
    if (up && !overflow) {
        v++;
        overflow = v >= power_of_ten(precision);
    }
    if (overflow) {
        snprintf(why, COPY_REASON_MAX + 1, "Overflow for NUMERIC(%u,%u)", precision, scale);
        return COPY_E_DIGIT;
    }
    sl_assert(v < power_of_ten(38));
    *ret = negative ? -v : v;
    return COPY_OK;
}

static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;
static locale_t c_locale;

static void c_locale_make(void) {
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

/* What strtod would take beyond plain decimals (hexadecimal, payloads of NaN) is refused. */
static bool float_form(struct slice s) {
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.ptr[i];
        if (!digit(c) && c != '.' && c != '-' && c != '+' && c != 'e' && c != 'E') {
            return false;
        }
    }
    return true;
}

static bool float_word(struct slice s, double *ret) {
    static const struct {
        const char *word;
        double value;
    } words[] = {{"nan", NAN},
                 {"inf", INFINITY},
                 {"+inf", INFINITY},
                 {"infinity", INFINITY},
                 {"+infinity", INFINITY},
                 {"-inf", -INFINITY},
                 {"-infinity", -INFINITY}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (slice_ieq(s, slice_cstr(words[i].word))) {
            *ret = words[i].value;
            return true;
        }
    }
    return false;
}

/* Up to 15 digits and a power of ten within 22 are exact in doubles, so one division rounds right.
 */
static bool float_fast(struct slice s, double *ret) {
    static const double tens[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                  1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    size_t i = s.ptr[0] == '-' || s.ptr[0] == '+';
    if (s.len - i > 16 || s.len == i) {
        return false;
    }
    uint64_t v = 0;
    size_t digits = 0;
    size_t decimals = 0;
    bool point = false;
    for (; i < s.len; i++) {
        if (s.ptr[i] == '.' && !point) {
            point = true;
        } else if (digit(s.ptr[i])) {
            v = v * 10 + (uint64_t)(s.ptr[i] - '0');
            digits++;
            decimals += point;
        } else {
            return false;
        }
    }
    if (digits == 0 || digits > 15) {
        return false;
    }
    double d = (double)v / tens[decimals];
    *ret = s.ptr[0] == '-' ? -d : d;
    return true;
}

static enum copy_code float_text(struct slice s, char text[512], copy_reason why) {
    if (s.len >= 512 || !float_form(s)) {
        return fail(why, COPY_E_FLOAT, "Invalid floating point value");
    }
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    pthread_once(&c_locale_once, c_locale_make);
    return c_locale == (locale_t)0 ? fail(why, COPY_E_FLOAT, "Out of memory") : COPY_OK;
}

/* What strtod_l or strtof_l made of it. */
static enum copy_code float_made(const char *text, const char *end, bool infinite,
                                 copy_reason why) {
    if (*end != '\0' || end == text) {
        return fail(why, COPY_E_FLOAT, "Invalid floating point value");
    }
    return infinite ? fail(why, COPY_E_FLOAT, "Floating point value out of range") : COPY_OK;
}

enum copy_code copy_parse_float8(struct slice s, double *ret, copy_reason why) {
    if (float_fast(s, ret) || float_word(s, ret)) {
        return COPY_OK;
    }
    char text[512], *end;
    enum copy_code code = float_text(s, text, why);
    if (code != COPY_OK) {
        return code;
    }
    double v = strtod_l(text, &end, c_locale);
    code = float_made(text, end, isinf(v), why);
    if (code == COPY_OK) {
        *ret = v;
    }
    return code;
}

enum copy_code copy_parse_float4(struct slice s, float *ret, copy_reason why) {
    double word;
    if (float_word(s, &word)) {
        *ret = (float)word;
        return COPY_OK;
    }
    char text[512], *end;
    enum copy_code code = float_text(s, text, why);
    if (code != COPY_OK) {
        return code;
    }
    float v = strtof_l(text, &end, c_locale); /* rounds once */
    code = float_made(text, end, isinf(v), why);
    if (code == COPY_OK) {
        *ret = v;
    }
    return code;
}

enum copy_code copy_parse_bool(struct slice s, bool *ret, copy_reason why) {
    static const struct {
        const char *word;
        bool value;
    } words[] = {{"1", true},  {"0", false},  {"t", true},   {"f", false},   {"y", true},
                 {"n", false}, {"yes", true}, {"no", false}, {"true", true}, {"false", false}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (slice_ieq(s, slice_cstr(words[i].word))) {
            *ret = words[i].value;
            return COPY_OK;
        }
    }
    return fail(why, COPY_E_BOOL, "Unknown boolean format");
}

/* Exactly `n` digits at `at`; -1 if not. */
static int number_at(struct slice s, size_t at, size_t n) {
    if (at + n > s.len) {
        return -1;
    }
    int v = 0;
    for (size_t i = at; i < at + n; i++) {
        if (!digit(s.ptr[i])) {
            return -1;
        }
        v = v * 10 + (s.ptr[i] - '0');
    }
    return v;
}

static bool char_at(struct slice s, size_t at, uint8_t c) {
    return at < s.len && s.ptr[at] == c;
}

bool copy_days(int y, int m, int d, int32_t *ret) {
    static const uint8_t month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    if (m < 1 || m > 12 || d < 1 || d > month_days[m - 1] || (m == 2 && d == 29 && !leap)) {
        return false;
    }
    /* years that begin in March put the leap day last; 719468 days lie before 1970 in that count */
    int year = m <= 2 ? y - 1 : y;
    int era = (year >= 0 ? year : year - 399) / 400;
    int of_era = year - era * 400;
    int day = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
    int of_era_day = of_era * 365 + of_era / 4 - of_era / 100 + day;
    *ret = era * 146097 + of_era_day - 719468 - 10957;
    return true;
}

/* YYYY-MM-DD at the start, as days since 2000-01-01. */
static bool date_at(struct slice s, int32_t *ret) {
    int y = number_at(s, 0, 4);
    return y >= 1 && char_at(s, 4, '-') && char_at(s, 7, '-') &&
           copy_days(y, number_at(s, 5, 2), number_at(s, 8, 2), ret);
}

/* HH:MI:SS[.ffffff] at *at, as microseconds; *at moves behind it. */
static bool time_at(struct slice s, size_t *at, int64_t *ret) {
    size_t i = *at;
    int h = number_at(s, i, 2);
    int m = number_at(s, i + 3, 2);
    int sec = number_at(s, i + 6, 2);
    if (h < 0 || h > 23 || m < 0 || m > 59 || sec < 0 || sec > 59 || !char_at(s, i + 2, ':') ||
        !char_at(s, i + 5, ':')) {
        return false;
    }
    i += 8;
    int64_t us = 0;
    if (char_at(s, i, '.')) {
        int64_t unit = 100000;
        size_t first = ++i;
        for (; i < s.len && digit(s.ptr[i]); i++) {
            us += unit * (s.ptr[i] - '0');
            unit /= 10;
        }
        if (i == first || i - first > 6) {
            return false;
        }
    }
    *at = i;
    *ret = ((h * INT64_C(60) + m) * 60 + sec) * 1000000 + us;
    return true;
}

enum copy_code copy_parse_date(struct slice s, int32_t *ret, copy_reason why) {
    if (s.len < 10) {
        return fail(why, COPY_E_DATE, "Invalid Date Format - length must be 10 or more");
    }
    /* a time of day behind the date is ignored */
    if (!date_at(s, ret) || (s.len > 10 && s.ptr[10] != ' ' && s.ptr[10] != 'T')) {
        return fail(why, COPY_E_DATE, "Invalid date format or value [YYYY-MM-DD]");
    }
    return COPY_OK;
}

enum copy_code copy_parse_time(struct slice s, int64_t *ret, copy_reason why) {
    size_t at = 0;
    if (!time_at(s, &at, ret) || at != s.len) {
        return fail(why, COPY_E_TIMESTAMP, "Invalid time format or value [HH24:MI:SS]");
    }
    return COPY_OK;
}

/* Z, UTC, GMT, +hh, +hhmm, +hh:mm, after optional blanks, to the end. Seconds east of UTC. */
static bool zone_at(struct slice s, size_t at, int *ret) {
    while (char_at(s, at, ' ')) {
        at++;
    }
    struct slice z = slice_sub(s, at, s.len);
    if (slice_ieq(z, SLICE_LIT("z")) || slice_ieq(z, SLICE_LIT("utc")) ||
        slice_ieq(z, SLICE_LIT("gmt"))) {
        *ret = 0;
        return true;
    }
    if (z.len < 3 || (z.ptr[0] != '+' && z.ptr[0] != '-')) {
        return false;
    }
    int h = number_at(z, 1, 2);
    int m = 0;
    if (z.len > 3) {
        size_t colon = z.ptr[3] == ':';
        m = z.len == 5 + colon ? number_at(z, 3 + colon, 2) : -1;
    }
    if (h < 0 || h > 15 || m < 0 || m > 59) {
        return false;
    }
    *ret = (h * 60 + m) * 60 * (z.ptr[0] == '-' ? -1 : 1);
    return true;
}

enum copy_code copy_parse_timestamp(struct slice s, bool zone, int64_t *ret, bool *ret_zoned,
                                    copy_reason why) {
    int32_t days;
    int64_t us;
    size_t at = 11;
    int offset = 0;
    bool zoned = false;
    bool good =
        date_at(s, &days) && (char_at(s, 10, ' ') || char_at(s, 10, 'T')) && time_at(s, &at, &us);
    if (good && at < s.len) {
        zoned = zone && zone_at(s, at, &offset);
        good = zoned;
    }
    if (!good) {
        return fail(why, COPY_E_TIMESTAMP,
                    zone ? "Invalid timestamp format or value [YYYY-MM-DD HH24:MI:SSOF]"
                         : "Invalid timestamp format or value [YYYY-MM-DD HH24:MI:SS]");
    }
    *ret = days * INT64_C(86400000000) + us - offset * INT64_C(1000000);
    *ret_zoned = zoned;
    return COPY_OK;
}

static size_t utf8_want(uint8_t c) {
    return c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

/* The character at `at`, which is no ASCII: its length, or 0 with Redshift's number for the fault.
 */
static size_t utf8_at(struct slice s, size_t at, int *ret_fault) {
    uint8_t c = s.ptr[at];
    if (c < 0xc0 || c >= 0xfe) {
        *ret_fault = 3;
        return 0;
    }
    if (c >= 0xf8) {
        *ret_fault = 1;
        return 0;
    }
    size_t want = utf8_want(c);
    uint32_t point = c & (0x7fu >> want);
    for (size_t i = 1; i < want; i++) {
        if (at + i >= s.len) {
            *ret_fault = 2;
            return 0;
        }
        uint8_t next = s.ptr[at + i];
        if ((next & 0xc0) != 0x80) {
            *ret_fault = 4;
            return 0;
        }
        point = point << 6 | (next & 0x3f);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (point >= 0xd800 && point <= 0xdfff) {
        *ret_fault = 5;
        return 0;
    }
    if (point > 0x10ffff) {
        *ret_fault = 8;
        return 0;
    }
    if (point < least[want]) {
        *ret_fault = 9;
        return 0;
    }
    return want;
}

static void put_hex(struct slice s, size_t at, size_t n, copy_reason why, size_t used) {
    for (size_t i = at; i < s.len && i < at + n && used + 4 <= COPY_REASON_MAX; i++) {
        used += (size_t)snprintf(why + used, COPY_REASON_MAX + 1 - used, i > at ? " %02x" : "%02x",
                                 s.ptr[i]);
    }
}

static enum copy_code not_ascii(struct slice s, size_t at, bool ascii_only, copy_reason why,
                                size_t *ret_len) {
    int fault = 0;
    size_t len = utf8_at(s, at, &fault);
    if (len == 0) {
        size_t want = fault == 1 || fault == 3 ? 1 : utf8_want(s.ptr[at]);
        int used = snprintf(why, COPY_REASON_MAX + 1,
                            "String contains invalid or unsupported UTF-8 codepoints. Bad UTF-8 "
                            "hex sequence: ");
        /* three bytes and the number fit into the 100 that are shown */
        put_hex(s, at, want < 4 ? want : 3, why, (size_t)used);
        used = (int)strlen(why);
        snprintf(why + used, (size_t)(COPY_REASON_MAX + 1 - used), " (error %d)", fault);
        return COPY_E_UTF8;
    }
    if (ascii_only) {
        int used = snprintf(why, COPY_REASON_MAX + 1,
                            "Multibyte character not supported for CHAR (Hint: Try using VARCHAR). "
                            "Invalid char: ");
        put_hex(s, at, len, why, (size_t)used);
        return COPY_E_UTF8;
    }
    *ret_len = len;
    return COPY_OK;
}

enum copy_code copy_check_text(struct slice s, bool ascii_only, copy_reason why) {
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t highs = UINT64_C(0x8080808080808080);
    size_t i = 0;
    while (i < s.len) {
        while (i + 8 <= s.len) {
            uint64_t w;
            memcpy(&w, s.ptr + i, 8);
            /* a byte with its top bit set, or (some) byte that is zero */
            if (((w | (w - ones)) & highs) != 0) {
                break;
            }
            i += 8;
        }
        for (size_t k = 0; k < 8 && i < s.len; k++) {
            uint8_t c = s.ptr[i];
            size_t len = 1;
            if (c == 0) {
                snprintf(why, COPY_REASON_MAX + 1,
                         "Missing newline: Unexpected character 0x%02x found at location %zu", c,
                         i);
                return COPY_E_LINE;
            }
            if (c >= 0x80) {
                enum copy_code code = not_ascii(s, i, ascii_only, why, &len);
                if (code != COPY_OK) {
                    return code;
                }
            }
            i += len;
        }
    }
    return COPY_OK;
}

void copy_replace_invalid(uint8_t *p, size_t n, uint8_t c) {
    for (size_t i = 0; i < n;) {
        int fault;
        size_t len = p[i] < 0x80 ? 1 : utf8_at(slice_of(p, n), i, &fault);
        if (len == 0) {
            p[i++] = c;
        }
        i += len;
    }
}

struct slice copy_cut_text(struct slice s, size_t max) {
    if (s.len > max) {
        while (max > 0 && (s.ptr[max] & 0xc0) == 0x80) {
            max--;
        }
        s.len = max;
    }
    return s;
}
