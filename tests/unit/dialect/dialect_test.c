/* The golden cases of tests/golden/dialect/cases.txt, what PostgreSQL's own parser says of the
 * results, and that no damage to a COPY lets its secret through. argv: cases.txt [print]. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pg_query.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/dialect/dialect.h"

enum { TEXT_MAX = 1024 * 1024, ARENA_MAX = 64 * 1024 * 1024 };

static const char *cases_path;
static bool print;

/* A stand-in that can be read in a golden file, but is not the secret: its bytes backwards. */
static struct sl_rc seal(void *ctx, const char *what, struct slice user, struct slice secret,
                         struct buf *out, struct sl_error *err) {
    bool password = strcmp(what, "password") == 0;
    assert_true(password || strcmp(what, "copy-credentials") == 0 ||
                strcmp(what, "master-symmetric-key") == 0);
    assert_true(password == (user.len > 0));
    buf_printf(out, password ? "SCRAM-SHA-256$%.*s:" : "sealed:1:", SLICE_FMT(user));
    for (size_t i = secret.len; i-- > 0;) {
        buf_putc(out, secret.ptr[i] == '\n' ? '.' : secret.ptr[i]);
    }
    return buf_check(out, err);
}

static struct sl_rc refuse_seal(void *ctx, const char *what, struct slice user, struct slice secret,
                                struct buf *out, struct sl_error *err) {
    return sl_fail(err, SL_E_INTERNAL, "no seal");
}

static const struct dialect_options options = {.seal = seal};

struct result {
    struct sl_rc rc;
    struct dialect_error error;
    struct dialect_statement *st;
    size_t count;
};

static struct result rewrite(struct slice sql, struct arena *a) {
    struct result r = {0};
    r.rc = dialect_rewrite(sql, &options, a, &r.st, &r.count, &r.error);
    return r;
}

/* The source with each statement's span replaced, as the gateway sends it. */
static void join(struct slice sql, const struct result *r, struct buf *out) {
    size_t at = 0;
    for (size_t i = 0; i < r->count; i++) {
        const struct dialect_statement *st = &r->st[i];
        assert_true(st->start >= at && st->end >= st->start && st->end <= sql.len);
        buf_put(out, slice_sub(sql, at, st->start));
        buf_put(out, st->sql);
        at = st->end;
    }
    buf_put(out, slice_sub(sql, at, sql.len));
}

static bool contains(struct slice s, const char *word) {
    return s.len > 0 && memmem(s.ptr, s.len, word, strlen(word)) != NULL;
}

static void must_parse(struct slice sql, const char *name) {
    char *text = strndup((const char *)sql.ptr, sql.len);
    PgQueryParseResult parsed = pg_query_parse(text);
    if (parsed.error != NULL) {
        fail_msg("%s: PostgreSQL can't parse \"%s\": %s", name, text, parsed.error->message);
    }
    pg_query_free_parse_result(parsed);
    free(text);
}

static const char *const kinds[] = {"empty", "other", "table",  "tableas",
                                    "copy",  "user",  "vacuum", "alter"};

/* "=== kind kind" and the text if it differs, or "!!! SQLSTATE position message". */
static void describe(struct slice sql, const struct result *r, struct buf *out) {
    if (sl_failed(r->rc)) {
        const char *state = r->rc.code == SL_E_SQL_SYNTAX        ? "42601"
                            : r->rc.code == SL_E_SQL_UNSUPPORTED ? "0A000"
                            : r->rc.code == SL_E_SQL_COLUMN      ? "42703"
                                                                 : "XX000";
        buf_printf(out, "!!! %s %zu %s\n", state, r->error.position, r->error.err.detail);
        return;
    }
    bool changed = false;
    buf_puts(out, "===");
    for (size_t i = 0; i < r->count; i++) {
        buf_printf(out, " %s", kinds[r->st[i].kind]);
        changed |= r->st[i].rewritten;
    }
    buf_puts(out, "\n");
    if (changed) {
        join(sql, r, out);
        buf_puts(out, "\n");
    }
}

static void run_case(const char *name, struct slice sql, struct slice want) {
    struct arena a = ARENA_INIT(ARENA_MAX);
    struct buf got = BUF_INIT(TEXT_MAX), joined = BUF_INIT(TEXT_MAX);
    struct result r = rewrite(sql, &a);
    describe(sql, &r, &got);
    if (print) {
        printf("### %s\n%.*s\n%.*s", name, SLICE_FMT(sql), SLICE_FMT(buf_slice(&got)));
    } else if (!slice_eq(buf_slice(&got), want)) {
        fail_msg("%s: got\n%.*swanted\n%.*s", name, SLICE_FMT(buf_slice(&got)), SLICE_FMT(want));
    }
    join(sql, &r, &joined);
    bool changed = false;
    for (size_t i = 0; i < r.count; i++) {
        const struct dialect_statement *st = &r.st[i];
        changed |= st->rewritten;
        if (!st->rewritten) {
            assert_true(slice_eq(st->sql, slice_sub(sql, st->start, st->end)));
        } else {
            must_parse(st->sql, name);
        }
    }
    assert_true(changed || slice_eq(buf_slice(&joined), sql));
    buf_fini(&got);
    buf_fini(&joined);
    arena_fini(&a);
}

/* "### name", SQL lines, then the answer from "===" or "!!!" on. */
static void golden(void **state) {
    FILE *f = fopen(cases_path, "r");
    assert_non_null(f);
    char line[8192], name[256] = "";
    struct buf sql = BUF_INIT(TEXT_MAX), want = BUF_INIT(TEXT_MAX);
    bool answer = false, more = true;
    size_t count = 0;
    while (more) {
        more = fgets(line, sizeof line, f) != NULL;
        if (!more || strncmp(line, "### ", 4) == 0) {
            if (name[0] != '\0') {
                sql.len -= sql.len > 0; /* the line end before the answer */
                run_case(name, buf_slice(&sql), buf_slice(&want));
                count++;
            }
            snprintf(name, sizeof name, "%.*s", (int)strcspn(line + 4, "\n"), line + 4);
            buf_reset(&sql);
            buf_reset(&want);
            answer = false;
            continue;
        }
        answer |= strncmp(line, "===", 3) == 0 || strncmp(line, "!!!", 3) == 0;
        buf_puts(answer ? &want : &sql, line);
    }
    assert_true(count >= 100);
    buf_fini(&sql);
    buf_fini(&want);
    fclose(f);
}

/* What a text file can't hold well: line ends and bytes. */
static void lines_and_bytes(void **state) {
    static const struct {
        const char *sql;
        int statements; /* 0: refused */
        const char *has;
    } table[] = {
        {"-- x\rCOPY t FROM 's3://b/p' IAM_ROLE default", 1, "WITH (iam_role 'default')"},
        {"-- x\r\nCOPY t FROM 's3://b/p' IAM_ROLE default", 1, "WITH (iam_role 'default')"},
        {"SELECT 'a'\r'b;c'; SELECT 2", 2, "'b;c'"},
        {"SELECT E'a'\n'b\\';c'", 1, "SELECT"},
        {"SELECT 'a' 'b\\'; SELECT ''", 2, "SELECT"},
        {"SELECT 'a' -- x\n  'b''; c'; SELECT ''", 2, "SELECT"},
        {"COPY t FROM 's3:'\n'//b/p' IAM_ROLE default", 0, NULL},
        {"COPY\vt\fFROM\t's3://b/p' IAM_ROLE default", 1, "COPY t FROM"},
        {"SELECT '\xff'", 1, "\xff"},
        {"COPY t FROM 's3://b/\xc3\xa9' IAM_ROLE default", 1, "\xc3\xa9"},
        {"COPY t FROM 's3://b/p' IAM_ROLE E'a\\000b'", 0, NULL},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct arena a = ARENA_INIT(ARENA_MAX);
        struct buf out = BUF_INIT(TEXT_MAX);
        struct result r = rewrite(slice_cstr(table[i].sql), &a);
        if (sl_failed(r.rc) != (table[i].statements == 0) || (int)r.count != table[i].statements) {
            fail_msg("%s: %zu statements, %s", table[i].sql, r.count, r.error.err.detail);
        }
        join(slice_cstr(table[i].sql), &r, &out);
        assert_true(table[i].has == NULL || contains(buf_slice(&out), table[i].has));
        buf_fini(&out);
        arena_fini(&a);
    }
}

static void seal_failure(void **state) {
    static const char *const texts[] = {
        "COPY t FROM 's3://b/p' ACCESS_KEY_ID 'A' SECRET_ACCESS_KEY 'S'",
        "CREATE USER u PASSWORD 'Abcd1234'"};
    for (size_t i = 0; i < 2; i++) {
        struct arena a = ARENA_INIT(ARENA_MAX);
        struct dialect_statement *st = NULL;
        struct dialect_error error;
        size_t count = 0;
        const struct dialect_options opt = {.seal = refuse_seal};
        struct sl_rc rc = dialect_rewrite(slice_cstr(texts[i]), &opt, &a, &st, &count, &error);
        assert_int_equal(rc.code, SL_E_INTERNAL);
        assert_null(st);
        arena_fini(&a);
    }
}

static uint64_t random_state = 0x9e3779b97f4a7c15;

static size_t random_below(size_t n) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (size_t)(random_state % n);
}

/* Replaces, inserts or removes a byte at or after `from`. */
static size_t damage(char *text, size_t len, size_t from) {
    static const char bytes[] = "'';;\"$-/*()\\,=. \n\reEuU&a0";
    size_t at = from + random_below(len - from);
    size_t how = random_below(3);
    if (how == 0) {
        memmove(text + at, text + at + 1, len - at - 1);
        return len - 1;
    }
    if (how == 1) {
        memmove(text + at + 1, text + at, len - at);
        len++;
    }
    text[at] = bytes[random_below(sizeof bytes - 1)];
    return len;
}

/* However a COPY from S3 is damaged behind its source's scheme, its secret stays here. */
static void no_secret_leaves(void **state) {
    static const char secret[] = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY";
    static const char *const texts[] = {
        "COPY t FROM 's3://b/p' ACCESS_KEY_ID 'AKIA' SECRET_ACCESS_KEY "
        "'wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY' GZIP DELIMITER ','",
        "COPY t(a,b) FROM 's3://b/p' CREDENTIALS 'aws_access_key_id=AKIA;aws_secret_access_key="
        "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY' CSV NULL AS '\\\\N'",
        "COPY t FROM 's3://b/p' WITH CREDENTIALS AS 'aws_access_key_id=AKIA;"
        "aws_secret_access_key=x;token=wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY'; SELECT 'a'",
        "COPY t FROM 's3://b/p' REGION 'r' ACCESS_KEY_ID 'AKIA' SECRET_ACCESS_KEY 'x' "
        "SESSION_TOKEN 'wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY' -- end",
        "COPY t FROM 's3://b/p' ENCRYPTED CREDENTIALS 'aws_iam_role=r;master_symmetric_key="
        "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY' JSON 'auto'",
        "COPY t FROM 's3://b/p' IAM_ROLE 'r' MASTER_SYMMETRIC_KEY "
        "'wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY' ENCRYPTED",
    };
    size_t good = 0;
    for (size_t i = 0; i < 200 * 1000; i++) {
        char text[512];
        const char *from = texts[i % 6];
        size_t len = strlen(from), start = (size_t)(strstr(from, "s3://") - from) + 5;
        memcpy(text, from, len);
        for (size_t n = random_below(4); n > 0; n--) {
            len = damage(text, len, start);
        }
        struct arena a = ARENA_INIT(ARENA_MAX);
        struct buf out = BUF_INIT(TEXT_MAX);
        struct result r = rewrite(slice_of(text, len), &a);
        if (sl_is_ok(r.rc)) {
            good++;
            join(slice_of(text, len), &r, &out);
            /* a damaged secret too: by its longest rest under three cuts */
            for (size_t k = 0; k + 10 < sizeof secret; k++) {
                char piece[11];
                snprintf(piece, sizeof piece, "%.10s", secret + k);
                if (contains(buf_slice(&out), piece)) {
                    fail_msg("%.*s leaks: %.*s", (int)len, text, SLICE_FMT(buf_slice(&out)));
                }
            }
        } else {
            assert_true(r.error.err.detail[0] != '\0' && r.error.position <= len);
        }
        buf_fini(&out);
        arena_fini(&a);
    }
    assert_true(good > 10 * 1000);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden),
        cmocka_unit_test(lines_and_bytes),
        cmocka_unit_test(seal_failure),
        cmocka_unit_test(no_secret_leaves),
    };
    if (argc < 2) {
        fprintf(stderr, "usage: %s CASES [print]\n", argv[0]);
        return 2;
    }
    cases_path = argv[1];
    print = argc > 2;
    int rc = print ? (golden(NULL), 0) : cmocka_run_group_tests(tests, NULL, NULL);
    pg_query_exit();
    return rc;
}
