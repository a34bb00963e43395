/* Value parsers of copy_convert: one field in, a value or the reason why not. */
#ifndef SL_CODEC_COPY_PARSE_IN_H
#define SL_CODEC_COPY_PARSE_IN_H

#include "lib/codec/copy_convert.h"

/* Codes of stl_load_errors. */
enum copy_code {
    COPY_OK = 0,
    COPY_E_EXTRA_COLUMNS = 1202,
    COPY_E_FEW_COLUMNS = 1203,
    COPY_E_LENGTH = 1204,
    COPY_E_DATE = 1205,
    COPY_E_TIMESTAMP = 1206,
    COPY_E_DIGIT = 1207,
    COPY_E_FLOAT = 1208,
    COPY_E_BOOL = 1210,
    COPY_E_EMPTY_LINE = 1211,
    COPY_E_NOT_NULL = 1213,
    COPY_E_DELIMITER = 1214,
    COPY_E_LINE = 1216,
    COPY_E_IDENTITY = 1217,
    COPY_E_NUL = 1218,
    COPY_E_HEX = 1219,
    COPY_E_UTF8 = 1220,
    COPY_E_INTEGER_RANGE = 1222,
};

/* A number of up to eight digits, with a minus and, of decimals, a point at most and no more than
 * `scale` digits behind it, as an integer times 10^scale; false: something else, which the others
 * look at. Up to nine bytes from p on are read, whatever `len` is. */
static inline bool copy_parse_short(const uint8_t *p, size_t len, bool decimal, unsigned scale,
                                    int64_t *ret) {
    static const uint32_t powers[9] = {1,      10,      100,      1000,     10000,
                                       100000, 1000000, 10000000, 100000000};
    bool negative = len > 0 && *p == '-';
    p += negative;
    len -= negative;
    if (len == 0 || len > 8) {
        return false;
    }
    uint64_t text;
    memcpy(&text, p, sizeof text);
    text <<= 8 * (8 - len); /* the last byte is the highest */
    /* the bytes before a point move up to close its gap */
    uint64_t point = text ^ 0x2e2e2e2e2e2e2e2eULL;
    point = (point - 0x0101010101010101ULL) & ~point & 0x8080808080808080ULL;
    unsigned at = point != 0 ? (unsigned)__builtin_clzll(point) / 8 : 0; /* decimals */
    if (point != 0) {
        uint64_t behind = at == 0 ? 0 : ~0ULL << (64 - 8 * at);
        text = (text & behind) | (at < 7 ? (text << 8) & ~behind : 0);
        len--;
    }
    if (len == 0 || at > scale || scale - at > 8 || (point != 0 && !decimal)) {
        return false;
    }
    uint64_t some = ~0ULL << (64 - 8 * len);
    uint64_t digits = (text & some) | (0x3030303030303030ULL & ~some);
    if ((((digits + 0x4646464646464646ULL) | (digits - 0x3030303030303030ULL)) &
         0x8080808080808080ULL) != 0) {
        return false;
    }
    digits -= 0x3030303030303030ULL;
    digits = digits * 10 + (digits >> 8);
    digits = (((digits & 0x000000ff000000ffULL) * 0x000f424000000064ULL) +
              ((digits >> 16 & 0x000000ff000000ffULL) * 0x0000271000000001ULL)) >>
             32;
    int64_t value = (int64_t)digits * powers[scale - at];
    *ret = negative ? -value : value;
    return true;
}

/* Each returns COPY_OK and the value, or a code and its text. `s` is never empty. */
typedef char copy_reason[COPY_REASON_MAX + 1];
enum copy_code copy_parse_int(struct slice s, enum copy_type type, int64_t *ret, copy_reason why);
/* Decimals beyond `scale` are dropped, or with `round` rounded. */
enum copy_code copy_parse_numeric(struct slice s, uint8_t precision, uint8_t scale, bool round,
                                  __int128 *ret, copy_reason why);
enum copy_code copy_parse_float8(struct slice s, double *ret, copy_reason why);
enum copy_code copy_parse_float4(struct slice s, float *ret, copy_reason why);
enum copy_code copy_parse_bool(struct slice s, bool *ret, copy_reason why);
enum copy_code copy_parse_date(struct slice s, int32_t *ret, copy_reason why);
enum copy_code copy_parse_time(struct slice s, int64_t *ret, copy_reason why);
/* *ret_zoned: an offset was given and applied (allowed with `zone` only). */
enum copy_code copy_parse_timestamp(struct slice s, bool zone, int64_t *ret, bool *ret_zoned,
                                    copy_reason why);
/* The same by DATEFORMAT and TIMEFORMAT. */
enum copy_code copy_format_date(const struct copy_format *f, struct slice s, int32_t *ret,
                                copy_reason why);
enum copy_code copy_format_timestamp(const struct copy_format *f, struct slice s, bool zone,
                                     int64_t *ret, bool *ret_zoned, copy_reason why);
/* Days from 2000-01-01 to a date of the Gregorian calendar; year 0 is 1 BC. False: no such day. */
bool copy_days(int y, int m, int d, int32_t *ret);
/* Valid UTF-8 without NUL? `ascii_only` refuses multibyte characters (CHAR). */
enum copy_code copy_check_text(struct slice s, bool ascii_only, copy_reason why);
/* Each byte of p[0, n) that is not part of a valid character becomes `c`. */
void copy_replace_invalid(uint8_t *p, size_t n, uint8_t c);
/* The longest begin of `s` (valid UTF-8) of at most `max` bytes that cuts no character. */
struct slice copy_cut_text(struct slice s, size_t max);

#endif
