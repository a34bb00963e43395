/* Results and errors; see rc.h. */
#include "lib/base/rc.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct sl_code_info infos[SL_CODE_COUNT] = {
    [SL_CODE_OK] = {"SL_CODE_OK", 200, "OK", "00000", "ok"},
#define SL_ERR(code, http, wire, sqlstate, text) [code] = {#code, http, wire, sqlstate, text},
#include "lib/base/errors.def"
#undef SL_ERR
};

static sl_panic_fn panic_hook;

const struct sl_code_info *sl_code_info(enum sl_code code) {
    if ((unsigned)code >= SL_CODE_COUNT) {
        code = SL_E_INTERNAL;
    }
    return &infos[code];
}

struct sl_rc sl_fail(struct sl_error *err, enum sl_code code, const char *fmt, ...) {
    if (err != NULL && err->code == SL_CODE_OK) {
        err->code = code;
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(err->detail, sizeof err->detail, fmt, ap);
        va_end(ap);
    }
    return (struct sl_rc){code};
}

void sl_hint(struct sl_error *err, const char *fmt, ...) {
    if (err == NULL) {
        return;
    }
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->hint, sizeof err->hint, fmt, ap);
    va_end(ap);
}

void sl_error_clear(struct sl_error *err) {
    if (err != NULL) {
        err->code = SL_CODE_OK;
        err->detail[0] = '\0';
        err->hint[0] = '\0';
        err->denial = NULL;
    }
}

const char *sl_error_message(const struct sl_error *err, enum sl_code code) {
    if (err != NULL && err->detail[0] != '\0') {
        return err->detail;
    }
    return sl_code_info(code)->text;
}

void sl_set_panic_hook(sl_panic_fn hook) {
    panic_hook = hook;
}

void sl_panic(const char *file, int line, const char *what) {
    if (panic_hook != NULL) {
        panic_hook(file, line, what);
    }
    fprintf(stderr, "sealift: panic at %s:%d: %s\n", file, line, what);
    abort();
}
