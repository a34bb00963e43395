/* Shared by the policy tests: callers, and documents written with ' for " (and ` for '). */
#ifndef TESTS_POLICY_TEST_H
#define TESTS_POLICY_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>

#include "server/policy/policy.h"

#define A1 "111111111111"
#define A2 "222222222222"

enum who { ALICE, ROOT, LOADER, BOB, BOB_ROOT, BOB_ROLE, NOBODY, REDSHIFT };

static const struct policy_principal callers[] = {
    [ALICE] = {PRINCIPAL_USER, SLICE_LIT(A1), SLICE_LIT("arn:aws:iam::" A1 ":user/team/alice"),
               SLICE_EMPTY, SLICE_LIT("AIDAALICEALICEALICE22"), SLICE_LIT("alice"), SLICE_EMPTY, 0},
    [ROOT] = {PRINCIPAL_ROOT, SLICE_LIT(A1), SLICE_LIT("arn:aws:iam::" A1 ":root"), SLICE_EMPTY,
              SLICE_LIT(A1), SLICE_EMPTY, SLICE_EMPTY, 0},
    [LOADER] = {PRINCIPAL_ROLE_SESSION, SLICE_LIT(A1),
                SLICE_LIT("arn:aws:sts::" A1 ":assumed-role/Loader/s1"),
                SLICE_LIT("arn:aws:iam::" A1 ":role/Loader"), SLICE_LIT("AROALOADERLOADERLOAD2:s1"),
                SLICE_EMPTY, SLICE_EMPTY, 1600000000},
    [BOB] = {PRINCIPAL_USER, SLICE_LIT(A2), SLICE_LIT("arn:aws:iam::" A2 ":user/bob"), SLICE_EMPTY,
             SLICE_LIT("AIDABOBBOBBOBBOBBOB22"), SLICE_LIT("bob"), SLICE_EMPTY, 0},
    [BOB_ROOT] = {PRINCIPAL_ROOT, SLICE_LIT(A2), SLICE_LIT("arn:aws:iam::" A2 ":root"), SLICE_EMPTY,
                  SLICE_LIT(A2), SLICE_EMPTY, SLICE_EMPTY, 0},
    [BOB_ROLE] = {PRINCIPAL_ROLE_SESSION, SLICE_LIT(A2),
                  SLICE_LIT("arn:aws:sts::" A2 ":assumed-role/Reader/s2"),
                  SLICE_LIT("arn:aws:iam::" A2 ":role/Reader"),
                  SLICE_LIT("AROAREADERREADERREAD2:s2"), SLICE_EMPTY, SLICE_EMPTY, 1600000000},
    [NOBODY] = {PRINCIPAL_ANONYMOUS, SLICE_EMPTY, SLICE_EMPTY, SLICE_EMPTY, SLICE_EMPTY,
                SLICE_EMPTY, SLICE_EMPTY, 0},
    [REDSHIFT] = {PRINCIPAL_SERVICE, SLICE_EMPTY, SLICE_EMPTY, SLICE_EMPTY, SLICE_EMPTY,
                  SLICE_EMPTY, SLICE_LIT("redshift.amazonaws.com"), 0},
};

static inline struct slice quoted(const char *text, struct arena *a) {
    char *s = arena_cstr(a, slice_cstr(text));
    assert_non_null(s);
    for (char *p = s; *p; p++) {
        *p = *p == '\'' ? '"' : *p == '`' ? '\'' : *p;
    }
    return slice_cstr(s);
}

static inline const struct policy *parsed(const char *text, enum policy_kind kind,
                                          struct arena *a) {
    const struct policy *p = NULL;
    struct sl_error err = {0};
    if (text != NULL && sl_failed(policy_parse(quoted(text, a), kind, a, &err, &p))) {
        fail_msg("%s: %s", text, err.detail);
    }
    return p;
}

enum { KEYS_MAX = 8, VALUES_MAX = 8 };
struct keys {
    struct policy_key keys[KEYS_MAX];
    struct slice values[KEYS_MAX][VALUES_MAX];
    size_t count;
};

/* "name=value;name=v1|v2;empty=" where the last form is a key without values. */
static inline void keys_of(const char *text, struct keys *ret) {
    *ret = (struct keys){0};
    struct slice rest = slice_cstr(text);
    while (rest.len > 0) {
        struct slice pair = slice_sub(rest, 0, slice_find(rest, ';'));
        rest = slice_sub(rest, pair.len + 1, rest.len);
        size_t eq = slice_find(pair, '=');
        struct slice values = slice_sub(pair, eq + 1, pair.len);
        struct policy_key *k = &ret->keys[ret->count];
        k->name = slice_sub(pair, 0, eq);
        k->values = ret->values[ret->count];
        while (values.len > 0) {
            struct slice v = slice_sub(values, 0, slice_find(values, '|'));
            values = slice_sub(values, v.len + 1, values.len);
            ret->values[ret->count][k->count++] = v;
        }
        ret->count++;
    }
}

#endif
