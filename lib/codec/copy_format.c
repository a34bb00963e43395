/* Formats of dates and times; see copy_format.h and copy_parse_in.h. A value of any format is first
 * read into a civil time, which is checked once for all. */
#include "lib/codec/copy_format.h"

#include <stdio.h>

#include "lib/codec/copy_parse_in.h"

/* Dateparts, outside of ASCII. */
enum part {
    PART_YEAR4 = 0x80,
    PART_YEAR2,
    PART_MONTH,
    PART_MON,
    PART_DAY,
    PART_HOUR,
    PART_HOUR12,
    PART_MINUTE,
    PART_SECOND,
    PART_FRACTION,
    PART_MERIDIEM
};

enum {
    UNSET = INT32_MIN,
    JULIAN_2000 = 2451545,
    JULIAN_MAX = 5373484,
    YEAR_MAX = 9999,
    YEAR_MIN = -4712
};

/* A date and time as read so far; UNSET where nothing was. */
struct civil {
    int year, month, day, day_of_year, julian;
    int hour, minute, second, us;
    int meridiem;    /* 0 AM, 12 PM */
    bool short_year; /* of two digits */
    bool bc;
    bool zoned;
    int zone_s; /* east of UTC */
};

static const struct civil nothing = {.year = UNSET,
                                     .month = UNSET,
                                     .day = UNSET,
                                     .day_of_year = UNSET,
                                     .julian = UNSET,
                                     .hour = UNSET,
                                     .meridiem = UNSET};

static bool digit(uint8_t c) {
    return (uint8_t)(c - '0') <= 9;
}

static bool letter(uint8_t c) {
    return (uint8_t)((c | 32) - 'a') < 26;
}

/* Years of two digits are 1970 to 2069, but for those before Christ. */
static int full_year(const struct civil *c) {
    return c->bc ? 1 - c->year : !c->short_year ? c->year : c->year + (c->year < 70 ? 2000 : 1900);
}

/* ---- A civil time's value ---- */

static bool civil_days(const struct civil *c, int32_t *ret) {
    if (c->julian != UNSET) {
        *ret = c->julian - JULIAN_2000;
        return c->julian <= JULIAN_MAX;
    }
    int year = c->year == UNSET ? UNSET : full_year(c);
    if (year > YEAR_MAX || year < (c->bc ? YEAR_MIN : 1) || (c->bc && c->year < 1)) {
        return false;
    }
    if (c->day_of_year != UNSET) {
        int32_t next;
        return copy_days(year, 1, 1, ret) && copy_days(year + 1, 1, 1, &next) &&
               c->day_of_year >= 1 && (*ret += c->day_of_year - 1) < next;
    }
    return copy_days(year, c->month == UNSET ? 1 : c->month, c->day == UNSET ? 1 : c->day, ret);
}

static bool civil_us(const struct civil *c, int64_t *ret) {
    int hour = c->hour == UNSET ? 0 : c->hour;
    if (c->meridiem != UNSET) {
        if (hour < 1 || hour > 12) {
            return false;
        }
        hour = hour % 12 + c->meridiem;
    }
    if (hour < 0 || hour > 23 || c->minute < 0 || c->minute > 59 || c->second < 0 ||
        c->second > 59) {
        return false;
    }
    *ret = ((hour * INT64_C(60) + c->minute) * 60 + c->second) * 1000000 + c->us;
    return true;
}

/* ---- Words ---- */

static int month_of(struct slice word) {
    static const char *const names[] = {"january",   "february", "march",    "april",
                                        "may",       "june",     "july",     "august",
                                        "september", "october",  "november", "december"};
    for (int i = 0; i < 12 && word.len >= 3; i++) {
        struct slice name = slice_cstr(names[i]);
        if (slice_ieq(word, name) || slice_ieq(word, slice_sub(name, 0, 3))) {
            return i + 1;
        }
    }
    return slice_ieq(word, SLICE_LIT("sept")) ? 9 : 0;
}

static bool is_weekday(struct slice word) {
    static const char *const names[] = {"monday", "tuesday",  "wednesday", "thursday",
                                        "friday", "saturday", "sunday"};
    for (int i = 0; i < 7 && word.len >= 3; i++) {
        struct slice name = slice_cstr(names[i]);
        if (slice_ieq(word, name) || slice_ieq(word, slice_sub(name, 0, 3))) {
            return true;
        }
    }
    return false;
}

/* Abbreviations as PostgreSQL's default set has them. */
static bool zone_of(struct slice word, int *ret_s) {
    static const struct {
        const char *name;
        int hours;
    } zones[] = {{"z", 0},     {"utc", 0},   {"gmt", 0},   {"ut", 0},   {"est", -5}, {"edt", -4},
                 {"cst", -6},  {"cdt", -5},  {"mst", -7},  {"mdt", -6}, {"pst", -8}, {"pdt", -7},
                 {"akst", -9}, {"akdt", -8}, {"hst", -10}, {"cet", 1},  {"cest", 2}, {"eet", 2},
                 {"eest", 3},  {"wet", 0},   {"bst", 1},   {"msk", 3},  {"jst", 9},  {"kst", 9}};
    for (size_t i = 0; i < sizeof zones / sizeof zones[0]; i++) {
        if (slice_ieq(word, slice_cstr(zones[i].name))) {
            *ret_s = zones[i].hours * 3600;
            return true;
        }
    }
    return false;
}

/* ---- Format strings ---- */

static const struct {
    const char *name;
    uint8_t part;
    uint8_t width;
} dateparts[] = {
    /* longer names before their beginnings */
    {"yyyy", PART_YEAR4, 4}, {"yy", PART_YEAR2, 2},    {"mon", PART_MON, 3},
    {"mm", PART_MONTH, 2},   {"mi", PART_MINUTE, 2},   {"dd", PART_DAY, 2},
    {"hh24", PART_HOUR, 2},  {"hh12", PART_HOUR12, 2}, {"hh", PART_HOUR, 2},
    {"ss", PART_SECOND, 2},  {"am", PART_MERIDIEM, 2}, {"pm", PART_MERIDIEM, 2},
};
enum { DATEPARTS = sizeof dateparts / sizeof dateparts[0] };

static bool has_part(const struct copy_format *f, uint8_t part) {
    return memchr(f->parts, part, f->part_count) != NULL;
}

/* The fraction of a second is written .S, .SS, … */
static size_t fraction(struct slice text, size_t at, const struct copy_format *f) {
    size_t i = at + 1;
    if (f->part_count == 0 || f->parts[f->part_count - 1] != PART_SECOND || text.ptr[at] != '.') {
        return 0;
    }
    while (i < text.len && (text.ptr[i] | 32) == 's') {
        i++;
    }
    return i > at + 1 ? i - at : 0;
}

/* ISO 8601's letters: T before the hour, Z behind the seconds. */
static bool is_iso_letter(struct slice text, size_t at, const struct copy_format *f) {
    uint8_t last = f->part_count > 0 ? f->parts[f->part_count - 1] : 0;
    return text.ptr[at] == 'T' ? slice_ieq(slice_sub(text, at + 1, at + 3), SLICE_LIT("hh"))
                               : text.ptr[at] == 'Z' && at + 1 == text.len &&
                                     (last == PART_SECOND || last == PART_FRACTION);
}

/* The part at `at`: its length in the text, 0 for none. */
static size_t part_at(struct slice text, size_t at, struct copy_format *f) {
    size_t n = fraction(text, at, f);
    if (n > 0) {
        f->parts[f->part_count++] = PART_FRACTION;
        return n;
    }
    for (size_t i = 0; i < DATEPARTS; i++) {
        n = strlen(dateparts[i].name);
        if (slice_ieq(slice_sub(text, at, at + n), slice_cstr(dateparts[i].name))) {
            f->parts[f->part_count++] = dateparts[i].part;
            f->shortest = (uint8_t)(f->shortest + dateparts[i].width);
            return n;
        }
    }
    uint8_t c = text.ptr[at];
    if (c < ' ' || c >= 0x7f || digit(c) || (letter(c) && !is_iso_letter(text, at, f))) {
        return 0;
    }
    f->parts[f->part_count++] = c;
    f->shortest++;
    return 1;
}

static struct sl_rc bad_format(const char *option, struct slice text, struct sl_error *err) {
    return sl_fail(err, SL_E_PARSE, "Invalid %s \"%.*s\"", option,
                   SLICE_FMT(slice_sub(text, 0, COPY_FORMAT_CHARS)));
}

static struct sl_rc compile(const char *option, struct slice text, struct copy_format *ret,
                            struct sl_error *err) {
    struct copy_format f = {.kind = COPY_FORMAT_STRING};
    if (text.len == 0 || text.len > COPY_FORMAT_CHARS) {
        return bad_format(option, text, err);
    }
    memcpy(f.text, text.ptr, text.len);
    for (size_t at = 0; at < text.len;) {
        size_t n = f.part_count < COPY_FORMAT_PARTS ? part_at(text, at, &f) : 0;
        if (n == 0) {
            return bad_format(option, text, err);
        }
        at += n;
    }
    for (size_t i = 0; i < f.part_count; i++) {
        bool twice = f.parts[i] >= 0x80 && memchr(f.parts, f.parts[i], i) != NULL;
        if (twice) {
            return bad_format(option, text, err);
        }
    }
    if (has_part(&f, PART_YEAR4) == has_part(&f, PART_YEAR2) ||
        (has_part(&f, PART_MONTH) && has_part(&f, PART_MON)) ||
        (has_part(&f, PART_HOUR) && has_part(&f, PART_HOUR12)) ||
        (has_part(&f, PART_HOUR12) && !has_part(&f, PART_MERIDIEM))) {
        return bad_format(option, text, err);
    }
    *ret = f;
    return SL_OK;
}

struct sl_rc copy_format_date_option(struct slice text, struct copy_format *ret,
                                     struct sl_error *err) {
    if (slice_eq_cstr(text, "auto")) {
        *ret = (struct copy_format){.kind = COPY_FORMAT_AUTO, .text = "auto"};
        return SL_OK;
    }
    return compile("DATEFORMAT", text, ret, err);
}

struct sl_rc copy_format_time_option(struct slice text, struct copy_format *ret,
                                     struct sl_error *err) {
    static const struct {
        const char *word;
        enum copy_format_kind kind;
    } words[] = {{"auto", COPY_FORMAT_AUTO},
                 {"epochsecs", COPY_FORMAT_EPOCH_S},
                 {"epochmillisecs", COPY_FORMAT_EPOCH_MS}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (slice_eq_cstr(text, words[i].word)) {
            *ret = (struct copy_format){.kind = words[i].kind};
            memcpy(ret->text, text.ptr, text.len);
            return SL_OK;
        }
    }
    return compile("TIMEFORMAT", text, ret, err);
}

/* Exactly `width` digits. */
static bool take_digits(struct slice s, size_t *at, size_t width, int *ret) {
    int v = 0;
    if (s.len - *at < width) {
        return false;
    }
    for (size_t i = 0; i < width; i++) {
        if (!digit(s.ptr[*at + i])) {
            return false;
        }
        v = v * 10 + (s.ptr[*at + i] - '0');
    }
    *at += width;
    *ret = v;
    return true;
}

/* .f to .ffffff, as microseconds; nothing is no fraction. */
static bool take_fraction(struct slice s, size_t *at, int *ret_us) {
    *ret_us = 0;
    if (*at == s.len || s.ptr[*at] != '.') {
        return true;
    }
    size_t first = ++*at;
    for (int unit = 100000; *at < s.len && digit(s.ptr[*at]); unit /= 10) {
        *ret_us += unit * (s.ptr[(*at)++] - '0');
    }
    return *at > first && *at - first <= 6;
}

static int meridiem_of(struct slice word) {
    return slice_ieq(word, SLICE_LIT("am")) ? 0 : slice_ieq(word, SLICE_LIT("pm")) ? 12 : UNSET;
}

static bool take_part(struct slice s, size_t *at, uint8_t part, struct civil *c) {
    switch (part) {
    case PART_YEAR4:
        return take_digits(s, at, 4, &c->year);
    case PART_YEAR2:
        c->short_year = true;
        return take_digits(s, at, 2, &c->year);
    case PART_MONTH:
        return take_digits(s, at, 2, &c->month);
    case PART_MON:
        c->month = month_of(slice_sub(s, *at, *at + 3));
        *at += 3;
        return c->month > 0;
    case PART_DAY:
        return take_digits(s, at, 2, &c->day);
    case PART_HOUR:
    case PART_HOUR12:
        return take_digits(s, at, 2, &c->hour);
    case PART_MINUTE:
        return take_digits(s, at, 2, &c->minute);
    case PART_SECOND:
        return take_digits(s, at, 2, &c->second);
    case PART_FRACTION:
        return take_fraction(s, at, &c->us);
    case PART_MERIDIEM:
        c->meridiem = meridiem_of(slice_sub(s, *at, *at + 2));
        *at += 2;
        return c->meridiem != UNSET;
    default:
        return *at < s.len && s.ptr[(*at)++] == part;
    }
}

/* *ret_end: where the value ends in `s`. A second may have a fraction that the format does not
 * name. */
static bool read_string(const struct copy_format *f, struct slice s, struct civil *c,
                        size_t *ret_end) {
    size_t at = 0;
    for (size_t i = 0; i < f->part_count; i++) {
        if (!take_part(s, &at, f->parts[i], c)) {
            return false;
        }
        bool named =
            i + 1 < f->part_count && (f->parts[i + 1] == PART_FRACTION || f->parts[i + 1] == '.');
        if (f->parts[i] == PART_SECOND && !named && !take_fraction(s, &at, &c->us)) {
            return false;
        }
    }
    *ret_end = at;
    return true;
}

/* ---- auto ---- */

struct scan {
    struct slice s;
    size_t at;
    struct civil c;
};

static uint8_t peek(const struct scan *x, size_t ahead) {
    return x->at + ahead < x->s.len ? x->s.ptr[x->at + ahead] : 0;
}

/* A run of at most nine digits. */
static bool scan_number(struct scan *x, int *ret, size_t *ret_width) {
    size_t n = 0;
    int v = 0;
    for (; digit(peek(x, n)); n++) {
        if (n == 9) {
            return false;
        }
        v = v * 10 + (peek(x, n) - '0');
    }
    x->at += n;
    *ret = v;
    *ret_width = n;
    return n > 0;
}

static struct slice scan_word(struct scan *x) {
    size_t from = x->at;
    while (letter(peek(x, 0))) {
        x->at++;
    }
    return slice_sub(x->s, from, x->at);
}

/* The hour is read; x stands on its colon. */
static bool scan_time(struct scan *x, int hour) {
    size_t width;
    struct civil *c = &x->c;
    if (c->hour != UNSET) {
        return false;
    }
    c->hour = hour;
    x->at++;
    if (!scan_number(x, &c->minute, &width) || width > 2) {
        return false;
    }
    if (peek(x, 0) != ':') {
        return true;
    }
    x->at++;
    return scan_number(x, &c->second, &width) && width <= 2 && take_fraction(x->s, &x->at, &c->us);
}

/* +hh, +hhmm, +hh:mm behind a time; x stands on the sign. */
static bool scan_offset(struct scan *x) {
    int sign = peek(x, 0) == '-' ? -1 : 1, v, minutes = 0;
    size_t width;
    x->at++;
    if (x->c.zoned || !scan_number(x, &v, &width) || (width > 2 && width != 4)) {
        return false;
    }
    if (width == 4) {
        minutes = v % 100;
        v /= 100;
    } else if (peek(x, 0) == ':') {
        x->at++;
        if (!scan_number(x, &minutes, &width) || width != 2) {
            return false;
        }
    }
    x->c.zoned = true;
    x->c.zone_s = sign * (v * 60 + minutes) * 60;
    return v <= 15 && minutes <= 59;
}

static void set_year(struct civil *c, int v, size_t width) {
    c->year = v;
    c->short_year = width <= 2;
}

/* A month, or the number of one; false: neither. */
static bool scan_middle(struct scan *x, int *ret, size_t *ret_width, bool *ret_word) {
    *ret_word = letter(peek(x, 0));
    if (*ret_word) {
        *ret = month_of(scan_word(x));
        return *ret > 0;
    }
    return scan_number(x, ret, ret_width);
}

/* Three numbers, or two around a month's name, separated by one of - / . (x stands on the first
 * separator). Numbers alone are year-month-day where the first is long, else month-day-year; with
 * points also day.month.year, which the second of them tells. */
static bool scan_date(struct scan *x, int first, size_t width) {
    uint8_t separator = peek(x, 0);
    int second, third;
    size_t second_width = 0, third_width;
    bool word;
    struct civil *c = &x->c;
    x->at++;
    if (c->year != UNSET || c->month != UNSET || c->julian != UNSET ||
        !scan_middle(x, &second, &second_width, &word)) {
        return false;
    }
    if (separator == '.' && !word && second_width == 3 && peek(x, 0) != '.') {
        set_year(c, first, width);
        c->day_of_year = second;
        return width == 4 || width == 2;
    }
    if (peek(x, 0) != separator) {
        return false;
    }
    x->at++;
    if (!scan_number(x, &third, &third_width)) {
        return false;
    }
    bool year_first = width > 2;
    set_year(c, year_first ? first : third, year_first ? width : third_width);
    c->month = word || year_first ? second : first;
    c->day = year_first ? third : word ? first : second;
    if (separator == '.' && !word && !year_first && first > 12) {
        c->month = second;
        c->day = first;
    }
    return width <= 4 && second_width <= 2 && third_width <= (year_first ? 2u : 4u);
}

/* Digits without a separator: YYYYMMDD, YYMMDD, HHMISS, a day or a year beside a month's name. */
static bool scan_plain(struct scan *x, int v, size_t width) {
    struct civil *c = &x->c;
    bool dated = c->julian != UNSET || (c->year != UNSET && c->month != UNSET);
    if ((width == 8 || width == 6) && !dated && c->month == UNSET) {
        set_year(c, v / 10000, width - 4);
        c->month = v / 100 % 100;
        c->day = v % 100;
        return true;
    }
    if (width == 6 && dated && c->hour == UNSET) {
        c->hour = v / 10000;
        c->minute = v / 100 % 100;
        c->second = v % 100;
        return take_fraction(x->s, &x->at, &c->us);
    }
    if (width <= 2 && c->day == UNSET && c->day_of_year == UNSET && c->julian == UNSET) {
        c->day = v;
        return true;
    }
    if (width <= 4 && c->year == UNSET && c->month != UNSET) {
        set_year(c, v, width);
        return true;
    }
    return false;
}

static bool scan_digits(struct scan *x) {
    int v;
    size_t width;
    if (!scan_number(x, &v, &width)) {
        return false;
    }
    uint8_t c = peek(x, 0), next = peek(x, 1);
    if (c == ':') {
        return width <= 2 && scan_time(x, v);
    }
    bool joined = c == '-' || c == '/' || c == '.';
    if (joined && (digit(next) || letter(next)) && x->c.month == UNSET && x->c.year == UNSET) {
        return scan_date(x, v, width);
    }
    return scan_plain(x, v, width);
}

static bool scan_letters(struct scan *x) {
    struct slice word = scan_word(x);
    struct civil *c = &x->c;
    int month = month_of(word);
    size_t width;
    if (slice_ieq(word, SLICE_LIT("j")) && c->julian == UNSET && c->year == UNSET) {
        return scan_number(x, &c->julian, &width);
    }
    if (month > 0) {
        bool first = c->month == UNSET && c->year == UNSET;
        c->month = month;
        return first;
    }
    if (slice_ieq(word, SLICE_LIT("t"))) {
        return c->year != UNSET && c->hour == UNSET && digit(peek(x, 0));
    }
    if (meridiem_of(word) != UNSET) {
        bool first = c->hour != UNSET && c->meridiem == UNSET;
        c->meridiem = meridiem_of(word);
        return first;
    }
    if (slice_ieq(word, SLICE_LIT("bc")) || slice_ieq(word, SLICE_LIT("ad"))) {
        c->bc |= (word.ptr[0] | 32) == 'b';
        return c->year != UNSET;
    }
    if (is_weekday(word)) {
        return true;
    }
    bool zoned = c->zoned;
    c->zoned = true;
    return !zoned && c->hour != UNSET && zone_of(word, &c->zone_s);
}

static bool scan_step(struct scan *x) {
    uint8_t c = peek(x, 0);
    if (digit(c)) {
        return scan_digits(x);
    }
    if (letter(c)) {
        return scan_letters(x);
    }
    if ((c == '+' || c == '-') && x->c.hour != UNSET && digit(peek(x, 1))) {
        return scan_offset(x);
    }
    x->at++;
    /* separators beside a month's name: Jan-08-95, Jan/08/1999, Jan 8, 1999 */
    return c == ' ' || c == ',' || ((c == '-' || c == '/') && x->c.month != UNSET);
}

static bool read_auto(struct slice s, struct civil *ret) {
    struct scan x = {.s = s, .c = nothing};
    while (x.at < s.len) {
        if (!scan_step(&x)) {
            return false;
        }
    }
    *ret = x.c;
    return x.c.julian != UNSET || x.c.day_of_year != UNSET ||
           (x.c.year != UNSET && x.c.month != UNSET && x.c.day != UNSET);
}

/* ---- Values ---- */

static enum copy_code refuse(const struct copy_format *f, enum copy_code code, size_t len,
                             copy_reason why) {
    bool date = code == COPY_E_DATE;
    if (date && f->kind == COPY_FORMAT_STRING && len < f->shortest) {
        snprintf(why, COPY_REASON_MAX + 1, "Invalid Date Format - length must be %u or more",
                 f->shortest);
    } else {
        snprintf(why, COPY_REASON_MAX + 1, "Invalid %s format or value [%s]",
                 date ? "date" : "timestamp", f->text);
    }
    return code;
}

enum copy_code copy_format_date(const struct copy_format *f, struct slice s, int32_t *ret,
                                copy_reason why) {
    struct civil c = nothing;
    size_t end = s.len;
    int64_t us;
    if (f->kind == COPY_FORMAT_DEFAULT) {
        return copy_parse_date(s, ret, why);
    }
    bool good = f->kind == COPY_FORMAT_AUTO ? read_auto(s, &c) : read_string(f, s, &c, &end);
    /* a time of day behind the date is ignored */
    good = good && (end == s.len || s.ptr[end] == ' ' || s.ptr[end] == 'T') && civil_us(&c, &us) &&
           civil_days(&c, ret);
    return good ? COPY_OK : refuse(f, COPY_E_DATE, s.len, why);
}

/* Of PostgreSQL's timestamps: from 4714-11-24 BC to the year 294276. */
static bool in_range(int64_t us) {
    return us >= INT64_C(-211813488000000000) && us < INT64_C(9223371331200000000);
}

/* Whole seconds or milliseconds since 1970. */
static bool read_epoch(struct slice s, int64_t unit_us, int64_t *ret) {
    copy_reason ignored;
    int64_t v;
    return copy_parse_int(s, COPY_INT8, &v, ignored) == COPY_OK &&
           !__builtin_mul_overflow(v, unit_us, &v) &&
           !__builtin_sub_overflow(v, INT64_C(946684800) * 1000000, &v) && in_range(v) &&
           (*ret = v, true);
}

enum copy_code copy_format_timestamp(const struct copy_format *f, struct slice s, bool zone,
                                     int64_t *ret, bool *ret_zoned, copy_reason why) {
    struct civil c = nothing;
    size_t end = s.len;
    int32_t days;
    int64_t us;
    if (f->kind == COPY_FORMAT_DEFAULT) {
        return copy_parse_timestamp(s, zone, ret, ret_zoned, why);
    }
    if (f->kind == COPY_FORMAT_EPOCH_S || f->kind == COPY_FORMAT_EPOCH_MS) {
        *ret_zoned = true;
        return read_epoch(s, f->kind == COPY_FORMAT_EPOCH_S ? 1000000 : 1000, ret)
                   ? COPY_OK
                   : refuse(f, COPY_E_TIMESTAMP, s.len, why);
    }
    bool good = f->kind == COPY_FORMAT_AUTO ? read_auto(s, &c) : read_string(f, s, &c, &end);
    if (!good || end != s.len || !civil_us(&c, &us) || !civil_days(&c, &days)) {
        return refuse(f, COPY_E_TIMESTAMP, s.len, why);
    }
    *ret = days * INT64_C(86400000000) + us - (zone ? c.zone_s * INT64_C(1000000) : 0);
    *ret_zoned = c.zoned;
    return in_range(*ret) ? COPY_OK : refuse(f, COPY_E_TIMESTAMP, s.len, why);
}
