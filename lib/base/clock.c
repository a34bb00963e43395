/* Time; see clock.h. */
#include "lib/base/clock.h"

#include <stdio.h>
#include <time.h>

int64_t clock_real_ms(void) {
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t clock_mono_ms(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void clock_basic(int64_t epoch_s, char out[17]) {
    time_t t = (time_t)epoch_s;
    struct tm tm;
    gmtime_r(&t, &tm);
    if (strftime(out, 17, "%Y%m%dT%H%M%SZ", &tm) == 0) {
        out[0] = '\0';
    }
}

/* The last n digits of v. */
static void put_digits(char *out, int v, int n) {
    while (n > 0) {
        out[--n] = (char)('0' + v % 10);
        v /= 10;
    }
}

/* Without strftime, which takes longer than all else about it. */
void clock_iso(int64_t epoch_s, char out[21]) {
    time_t t = (time_t)epoch_s;
    struct tm tm;
    gmtime_r(&t, &tm);
    if (tm.tm_year < -1900 || tm.tm_year > 9999 - 1900) {
        out[0] = '\0';
        return;
    }
    memcpy(out, "0000-00-00T00:00:00Z", 21);
    put_digits(out, tm.tm_year + 1900, 4);
    put_digits(out + 5, tm.tm_mon + 1, 2);
    put_digits(out + 8, tm.tm_mday, 2);
    put_digits(out + 11, tm.tm_hour, 2);
    put_digits(out + 14, tm.tm_min, 2);
    put_digits(out + 17, tm.tm_sec, 2);
}

void clock_iso_ms(int64_t epoch_ms, char out[25]) {
    char s[21];
    clock_iso(epoch_ms / 1000, s);
    snprintf(out, 25, "%.19s.%03uZ", s, (unsigned)(epoch_ms % 1000) % 1000u);
}

void clock_http(int64_t epoch_s, char out[30]) {
    /* strftime's names follow the locale; HTTP's are fixed English. */
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t t = (time_t)epoch_s;
    struct tm tm;
    gmtime_r(&t, &tm);
    char line[64];
    snprintf(line, sizeof line, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + 3 * tm.tm_wday,
             tm.tm_mday, months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
             tm.tm_sec);
    snprintf(out, 30, "%.29s", line);
}

/* Matches `pattern` against all of `s`: d digit of the next field, others literal. Fields in order
 * of six runs. */
static bool digits(struct slice s, size_t at, size_t n, int *ret) {
    int v = 0;
    if (at + n > s.len) {
        return false;
    }
    for (size_t i = at; i < at + n; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') {
            return false;
        }
        v = v * 10 + (s.ptr[i] - '0');
    }
    *ret = v;
    return true;
}

static bool to_epoch(int y, int mo, int d, int h, int mi, int sec, int64_t *ret) {
    static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (y < 1900 || y > 9999 || mo < 1 || mo > 12 || d < 1 || h > 23 || mi > 59 || sec > 60) {
        return false;
    }
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    if (d > month_days[mo - 1] + (mo == 2 && leap)) {
        return false;
    }
    struct tm tm = {.tm_year = y - 1900,
                    .tm_mon = mo - 1,
                    .tm_mday = d,
                    .tm_hour = h,
                    .tm_min = mi,
                    .tm_sec = sec};
    *ret = (int64_t)timegm(&tm);
    return true;
}

bool clock_parse_basic(struct slice s, int64_t *ret) {
    int y, mo, d, h, mi, sec;
    return s.len == 16 && s.ptr[8] == 'T' && s.ptr[15] == 'Z' && digits(s, 0, 4, &y) &&
           digits(s, 4, 2, &mo) && digits(s, 6, 2, &d) && digits(s, 9, 2, &h) &&
           digits(s, 11, 2, &mi) && digits(s, 13, 2, &sec) && to_epoch(y, mo, d, h, mi, sec, ret);
}

bool clock_parse_iso(struct slice s, int64_t *ret) {
    int y, mo, d, h, mi, sec;
    if (s.len < 20 || s.ptr[4] != '-' || s.ptr[7] != '-' || s.ptr[10] != 'T' || s.ptr[13] != ':' ||
        s.ptr[16] != ':' || s.ptr[s.len - 1] != 'Z') {
        return false;
    }
    for (size_t i = 19; i + 1 < s.len; i++) {
        if (i == 19 ? s.ptr[i] != '.' : (s.ptr[i] < '0' || s.ptr[i] > '9')) {
            return false;
        }
    }
    return digits(s, 0, 4, &y) && digits(s, 5, 2, &mo) && digits(s, 8, 2, &d) &&
           digits(s, 11, 2, &h) && digits(s, 14, 2, &mi) && digits(s, 17, 2, &sec) &&
           to_epoch(y, mo, d, h, mi, sec, ret);
}

bool clock_parse_http(struct slice s, int64_t *ret) {
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int y, mo = 0, d, h, mi, sec;
    if (s.len != 29 || memcmp(s.ptr + 25, " GMT", 4) != 0 || s.ptr[3] != ',' || s.ptr[19] != ':' ||
        s.ptr[22] != ':') {
        return false;
    }
    for (int i = 0; i < 12; i++) {
        if (memcmp(s.ptr + 8, months + 3 * i, 3) == 0) {
            mo = i + 1;
        }
    }
    return digits(s, 5, 2, &d) && digits(s, 12, 4, &y) && digits(s, 17, 2, &h) &&
           digits(s, 20, 2, &mi) && digits(s, 23, 2, &sec) && to_epoch(y, mo, d, h, mi, sec, ret);
}
