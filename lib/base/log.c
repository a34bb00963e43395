/* The ops log; see log.h. */
#include "lib/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static const char *log_who = "sealift";
static enum sl_level log_least = SL_INFO;

void sl_log_init(const char *who, enum sl_level least) {
    log_who = who;
    log_least = least;
}

bool sl_log_wants(enum sl_level level) {
    return level >= log_least;
}

void sl_log(enum sl_level level, const char *event, const char *fmt, ...) {
    static const char *const names[] = {"debug", "info", "warn", "error"};
    if (!sl_log_wants(level)) {
        return;
    }
    char line[2048];
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    struct tm tm;
    gmtime_r(&ts.tv_sec, &tm);
    size_t n = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &tm);
    n += (size_t)snprintf(line + n, sizeof line - n, ".%03ldZ %s %s[%d] %s ", ts.tv_nsec / 1000000,
                          names[level], log_who, (int)getpid(), event);
    va_list ap;
    va_start(ap, fmt);
    int m = vsnprintf(line + n, sizeof line - n - 1, fmt, ap);
    va_end(ap);
    n += m < 0 ? 0 : (size_t)m;
    if (n > sizeof line - 2) {
        n = sizeof line - 2;
    }
    line[n++] = '\n';
    if (write(STDERR_FILENO, line, n) < 0) {
        return; /* nowhere left to say so */
    }
}

const char *sl_quote(struct slice s, char *out, size_t out_size) {
    static const char hex[] = "0123456789abcdef";
    size_t n = 0, cut = s.len > 200 ? 200 : s.len;
    out[n++] = '"';
    for (size_t i = 0; i < cut && n + 8 < out_size; i++) {
        uint8_t c = s.ptr[i];
        if (c == '"' || c == '\\') {
            out[n++] = '\\';
            out[n++] = (char)c;
        } else if (c < 0x20 || c == 0x7f) {
            out[n++] = '\\';
            out[n++] = 'x';
            out[n++] = hex[c >> 4];
            out[n++] = hex[c & 15];
        } else {
            out[n++] = (char)c;
        }
    }
    out[n++] = '"';
    out[n] = '\0';
    return out;
}
