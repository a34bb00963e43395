/* tests/golden/policy/cases.txt: a case a line, fields between " | ".
 *   C | yes|no | condition | keys | rule        a condition, in an Allow and in a Deny
 *   P | yes|no | caller | action | resource | kind | policy | rule   one policy decides
 *   F | kind | document | rule                  a document that is refused
 * Documents are written with ' for "; a statement alone is given the document around it. */
#include "tests/unit/policy/policy_test.h"

enum { FIELDS = 8, LINE_MAX_BYTES = 4096, CASES_LEAST = 300 };

static const char *file_name;

static enum policy_kind kind_of(const char *s) {
    static const char *const kinds[] = {"identity", "key",     "bucket",
                                        "trust",    "session", "boundary"};
    for (size_t i = 0; i < 6; i++) {
        if (strcmp(s, kinds[i]) == 0) {
            return (enum policy_kind)i;
        }
    }
    fail_msg("unknown kind %s", s);
    return POLICY_IDENTITY;
}

static const struct policy_principal *caller_of(const char *s) {
    static const char *const names[] = {"alice",   "root",     "loader", "bob",
                                        "bobroot", "bobroles", "nobody", "redshift"};
    for (size_t i = 0; i < 8; i++) {
        if (strcmp(s, names[i]) == 0) {
            return &callers[i];
        }
    }
    fail_msg("unknown caller %s", s);
    return NULL;
}

static int fields_of(char *line, char *f[FIELDS]) {
    int n = 0;
    line[strcspn(line, "\n")] = '\0';
    for (char *at = line; at != NULL && n < FIELDS;) {
        f[n++] = at;
        at = strstr(at, " | ");
        if (at != NULL) {
            *at = '\0';
            at += 3;
        }
    }
    return n;
}

static const char *whole(const char *text, struct arena *a) {
    return strstr(text, "'Statement'") != NULL
               ? text
               : arena_printf(a, "{'Version':'2012-10-17','Statement':%s}", text);
}

static struct policy_verdict decided(struct policy_set *set, const struct policy_principal *who,
                                     const char *action, const char *resource, struct keys *k,
                                     struct arena *a) {
    struct policy_request req = {who,           slice_cstr(action), slice_cstr(resource),
                                 SLICE_LIT(A1), k ? k->keys : NULL, k ? k->count : 0};
    return policy_decide(set, &req, a);
}

static bool condition_holds(const char *effect, const char *condition, const char *keys) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(1024 * 1024);
    struct keys k;
    keys_of(keys, &k);
    bool deny = strcmp(effect, "Deny") == 0;
    const struct policy *list[] = {
        parsed(arena_printf(&a,
                            "{'Version':'2012-10-17','Statement':{'Effect':'%s','Action':'*',"
                            "'Resource':'*','Condition':%s}}",
                            effect, condition),
               POLICY_IDENTITY, &a),
        parsed("{'Statement':{'Effect':'Allow','Action':'*','Resource':'*'}}", POLICY_IDENTITY,
               &a)};
    struct policy_set set = {.identity = list, .identity_count = deny ? 2 : 1};
    struct policy_verdict v =
        decided(&set, &callers[ALICE], "s3:GetObject", "arn:aws:s3:::b/k", &k, &a);
    return deny ? v.explicit_deny : v.decision == POLICY_ALLOW;
}

static bool right_condition(char *f[FIELDS], int n) {
    assert_int_equal(n, 5);
    bool yes = strcmp(f[1], "yes") == 0;
    return condition_holds("Allow", f[2], f[3]) == yes &&
           condition_holds("Deny", f[2], f[3]) == yes;
}

static bool right_decision(char *f[FIELDS], int n) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(1024 * 1024);
    assert_int_equal(n, 8);
    enum policy_kind kind = kind_of(f[5]);
    const struct policy *p = parsed(whole(f[6], &a), kind, &a);
    const struct policy *all =
        parsed("{'Statement':{'Effect':'Allow','Action':'*','Resource':'*'}}", POLICY_IDENTITY, &a);
    struct policy_set set = {.resource_kind = POLICY_BUCKET};
    set.identity = kind == POLICY_IDENTITY ? &p : &all;
    set.identity_count =
        kind == POLICY_IDENTITY || kind == POLICY_SESSION || kind == POLICY_BOUNDARY;
    set.session = &p;
    set.session_count = kind == POLICY_SESSION;
    set.boundary = kind == POLICY_BOUNDARY ? p : NULL;
    if (kind == POLICY_KEY || kind == POLICY_BUCKET || kind == POLICY_TRUST) {
        set.resource = p;
        set.resource_kind = kind;
    }
    struct policy_verdict v = decided(&set, caller_of(f[2]), f[3], f[4], NULL, &a);
    return (v.decision == POLICY_ALLOW) == (strcmp(f[1], "yes") == 0);
}

static bool right_refusal(char *f[FIELDS], int n) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(1024 * 1024);
    const struct policy *p = NULL;
    assert_int_equal(n, 4);
    return sl_failed(policy_parse(quoted(whole(f[2], &a), &a), kind_of(f[1]), &a, NULL, &p));
}

static void cases(void **state) {
    FILE *in = fopen(file_name, "r");
    char line[LINE_MAX_BYTES], *f[FIELDS];
    int number = 0, count = 0, wrong = 0;
    assert_non_null(in);
    while (fgets(line, sizeof line, in) != NULL) {
        number++;
        if (line[0] == '#' || line[0] == '\n') {
            continue;
        }
        int n = fields_of(line, f);
        bool right = line[0] == 'C'   ? right_condition(f, n)
                     : line[0] == 'P' ? right_decision(f, n)
                     : line[0] == 'F' ? right_refusal(f, n)
                                      : false;
        count++;
        if (!right) {
            print_error("line %d: %s\n", number, f[n - 1]);
            wrong++;
        }
    }
    (void)fclose(in);
    assert_int_equal(wrong, 0);
    assert_true(count >= CASES_LEAST);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(cases)};
    sl_assert(argc == 2);
    file_name = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
