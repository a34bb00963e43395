/* Results and errors: what every fallible function returns, and how detail travels with it.
 *
 * A fallible function returns `struct sl_rc`; the compiler insists that the result is used. Detail
 * for people (what was wrong, where, what to do) goes into the caller's `struct sl_error`, passed
 * as `err`, which may be NULL where nobody wants it. The service edge turns code and detail into
 * the client's own form; nobody else formats errors.
 */
#ifndef SL_BASE_RC_H
#define SL_BASE_RC_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* clang checks a must-use struct at every call; gcc 12 knows the attribute for functions only, so
 * the clang build of `make check` is the one that enforces it. */
#ifdef __clang__
#define SL_MUST_USE __attribute__((warn_unused_result))
#else
#define SL_MUST_USE
#endif
#define SL_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define SL_NORETURN __attribute__((noreturn))
#define SL_CLEANUP(fn) __attribute__((cleanup(fn)))

enum sl_code {
    SL_CODE_OK = 0,
#define SL_ERR(code, http, wire, sqlstate, text) code,
#include "lib/base/errors.def"
#undef SL_ERR
    SL_CODE_COUNT
};

struct SL_MUST_USE sl_rc {
    enum sl_code code;
};

#define SL_OK ((struct sl_rc){SL_CODE_OK})

/* The static facts of a code, from errors.def. */
struct sl_code_info {
    const char *name;     /* "SL_E_IO" */
    int http_status;      /* status at an HTTP edge */
    const char *wire;     /* code at an AWS edge, e.g. "NotFoundException" */
    const char *sqlstate; /* five characters at the SQL edge */
    const char *text;     /* message used when no detail was given */
};
const struct sl_code_info *sl_code_info(enum sl_code code);

enum { SL_ERROR_DETAIL_MAX = 1024, SL_ERROR_HINT_MAX = 256 };

/* Lives with the request or caller; zero-initialise it. The first error recorded is kept until
 * sl_error_clear. */
struct sl_error {
    enum sl_code code;
    char detail[SL_ERROR_DETAIL_MAX]; /* full sentence for the client; may be empty */
    char hint[SL_ERROR_HINT_MAX];     /* what to do; may be empty */
    /* SL_E_ACCESS_DENIED: the decision's explanation, sealed for sts:DecodeAuthorizationMessage, or
     * NULL. In the request's arena. */
    const char *denial;
};

/* Records code and detail in `err` (if not NULL and empty) and returns the code as a result. */
struct sl_rc sl_fail(struct sl_error *err, enum sl_code code, const char *fmt, ...) SL_PRINTF(3, 4);
void sl_hint(struct sl_error *err, const char *fmt, ...) SL_PRINTF(2, 3);
void sl_error_clear(struct sl_error *err);
/* The detail if there is one, else the code's text. */
const char *sl_error_message(const struct sl_error *err, enum sl_code code);

static inline bool sl_is_ok(struct sl_rc rc) {
    return rc.code == SL_CODE_OK;
}
static inline bool sl_failed(struct sl_rc rc) {
    return rc.code != SL_CODE_OK;
}
static inline struct sl_rc sl_rc_of(enum sl_code code) {
    return (struct sl_rc){code};
}
/* For the rare result that truly does not matter (closing after an error). */
static inline void sl_ignore(struct sl_rc rc) {
    (void)rc;
}

/* The two control macros of the house. TRY returns a failure onward; ENSURE raises one. */
#define TRY(call)                                                                                  \
    do {                                                                                           \
        struct sl_rc try_rc_ = (call);                                                             \
        if (sl_failed(try_rc_)) {                                                                  \
            return try_rc_;                                                                        \
        }                                                                                          \
    } while (0)
#define ENSURE(cond, err, code, ...)                                                               \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            return sl_fail((err), (code), __VA_ARGS__);                                            \
        }                                                                                          \
    } while (0)

/* Invariants, always on. The hook (default: message to stderr, abort) lets the extension end one
 * session only. */
typedef void (*sl_panic_fn)(const char *file, int line, const char *what);
void sl_set_panic_hook(sl_panic_fn hook);
SL_NORETURN void sl_panic(const char *file, int line, const char *what);
#define sl_assert(cond)                                                                            \
    do {                                                                                           \
        if (__builtin_expect(!(cond), 0)) {                                                        \
            sl_panic(__FILE__, __LINE__, #cond);                                                   \
        }                                                                                          \
    } while (0)

#endif
