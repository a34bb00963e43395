/* `sealift clock`: shows or moves the clock of an ephemeral instance. */
#include <stdio.h>
#include <unistd.h>

#include "cli/admin.h"
#include "cli/verb.h"
#include "cli/verbs.h"
#include "lib/base/clock.h"
#include "lib/base/limits.h"

static const char usage[] =
    "usage: sealift clock [--data DIR] [--advance 30d | --set 2030-01-31T12:00:00Z | --reset]\n"
    "Moves the clock of an ephemeral instance that is up, and prints it. Deletion, rotation, "
    "expiry "
    "and\nthe dates of keys and sessions follow it; signatures, TLS and the audit log keep real "
    "time. What\nfalls due is done before this returns. Units of --advance: s, m, h, d, w.\n";

struct clock_options {
    enum seam_clock how;
    int64_t ms;
};

static struct sl_rc duration(const char *text, int64_t *ret_ms, struct sl_error *err) {
    static const struct {
        char letter;
        int64_t ms;
    } units[] = {{'s', 1000},
                 {'m', 60 * 1000},
                 {'h', 3600 * 1000},
                 {'d', 24 * 3600 * 1000},
                 {'w', 7LL * 24 * 3600 * 1000}};
    struct slice s = slice_cstr(text);
    for (size_t i = 0; s.len > 1 && i < sizeof units / sizeof *units; i++) {
        uint64_t n;
        if (s.ptr[s.len - 1] == units[i].letter &&
            slice_u64(slice_sub(s, 0, s.len - 1), (uint64_t)(LIMIT_CLOCK_MS / units[i].ms), &n)) {
            *ret_ms = (int64_t)n * units[i].ms;
            return SL_OK;
        }
    }
    return sl_fail(err, SL_E_VALIDATION, "--advance wants a number and a unit, as in 30d, not '%s'",
                   text);
}

static struct sl_rc parse(int argc, char **argv, struct instance *in, struct clock_options *o,
                          struct sl_error *err) {
    const char *advance = NULL, *set = NULL;
    bool reset = false;
    const struct verb_option options[] = {
        {"advance", .text = &advance}, {"set", .text = &set}, {"reset", .flag = &reset}, {0}};
    TRY(verb_open(argc, argv, usage, options, in, err));
    ENSURE((advance != NULL) + (set != NULL) + reset <= 1, err, SL_E_VALIDATION,
           "--advance, --set and --reset exclude each other");
    o->how = advance != NULL ? SEAM_CLOCK_ADVANCE
             : set != NULL   ? SEAM_CLOCK_SET
             : reset         ? SEAM_CLOCK_RESET
                             : SEAM_CLOCK_SHOW;
    if (advance != NULL) {
        TRY(duration(advance, &o->ms, err));
    } else if (set != NULL) {
        int64_t s;
        ENSURE(clock_parse_iso(slice_cstr(set), &s), err, SL_E_VALIDATION,
               "--set wants a time as 2030-01-31T12:00:00Z, not '%s'", set);
        o->ms = s * 1000;
    }
    ENSURE(in->ephemeral, err, SL_E_VALIDATION,
           "the clock may be moved on an ephemeral instance only");
    return SL_OK;
}

static struct sl_rc run(const struct instance *in, const struct clock_options *o,
                        struct sl_error *err) {
    int kms;
    int64_t now_ms = 0, real_ms = 0;
    char now[25], real[25];
    TRY(admin_kms(in, &kms, err));
    struct sl_rc rc = seam_clock(kms, o->how, o->ms, err, &now_ms, &real_ms);
    close(kms);
    TRY(rc);
    clock_iso_ms(now_ms, now);
    clock_iso_ms(real_ms, real);
    printf("clock  %s\nreal   %s\n", now, real);
    return SL_OK;
}

int verb_clock(int argc, char **argv) {
    struct instance in = {0};
    struct clock_options o = {0};
    struct sl_error err = {0};
    struct sl_rc rc = parse(argc, argv, &in, &o, &err);
    rc = sl_is_ok(rc) ? run(&in, &o, &err) : rc;
    return sl_failed(rc) ? verb_report(&err, rc) : 0;
}
