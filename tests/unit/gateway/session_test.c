/* Both directions of a session without sockets: what PostgreSQL gets for what the client sends, and
 * back. The dialect is a stand-in with four words, so that this tests the gateway's part alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "gateway/session/proxy_in.h"
#include "lib/base/rdr.h"
#include "lib/codec/text.h"

static bool has(struct slice s, const char *word, size_t *ret_at) {
    const uint8_t *p = s.ptr != NULL ? memmem(s.ptr, s.len, word, strlen(word)) : NULL;
    *ret_at = p != NULL ? (size_t)(p - s.ptr) : 0;
    return p != NULL;
}

struct sl_rc dialect_rewrite(struct slice source, const struct dialect_options *opt,
                             struct arena *a, struct dialect_statement **ret, size_t *ret_count,
                             struct dialect_error *ret_error) {
    struct dialect_statement *st = arena_array(a, 256, sizeof *st);
    size_t count = 0;
    for (size_t at = 0; at < source.len; count++) {
        assert_true(count < 256);
        struct slice rest = slice_sub(source, at, source.len);
        size_t end = at + slice_find(rest, ';');
        struct slice sql = slice_sub(source, at, end);
        size_t word;
        st[count] = (struct dialect_statement){DIALECT_OTHER, at, end, sql, false};
        if (has(sql, "REFUSE", &word)) {
            ret_error->position = at + word;
            return sl_fail(&ret_error->err, SL_E_SQL_UNSUPPORTED, "REFUSE is not supported");
        }
        if (has(sql, "TURN", &word)) {
            st[count].sql = SLICE_LIT("TURNED AROUND");
            st[count].rewritten = true;
        }
        if (has(sql, "KEY", &word) || has(sql, "PASSWORD", &word)) {
            bool key = has(sql, "KEY", &word);
            struct buf b = BUF_INIT(4096);
            TRY(opt->seal(opt->seal_ctx, key ? "copy-credentials" : "password", SLICE_LIT("ann"),
                          SLICE_LIT("very secret"), &b, &ret_error->err));
            st[count].sql = arena_copy(a, buf_slice(&b));
            st[count].rewritten = true;
            buf_fini(&b);
        }
        at = end + 1;
    }
    *ret = st;
    *ret_count = count;
    return SL_OK;
}

static struct arena arena = ARENA_INIT(64 * 1024 * 1024);

/* A message with its length. */
static struct slice message(char type, struct slice payload) {
    struct buf b = BUF_INIT(1024);
    message_put(&b, (uint8_t)type, payload);
    struct slice s = arena_copy(&arena, buf_slice(&b));
    buf_fini(&b);
    return s;
}
#define M(type, payload) message(type, SLICE_LIT(payload))

static struct slice joined(const struct slice *parts, size_t count) {
    struct buf b = BUF_INIT(4096);
    for (size_t i = 0; i < count; i++) {
        buf_put(&b, parts[i]);
    }
    struct slice s = arena_copy(&arena, buf_slice(&b));
    buf_fini(&b);
    return s;
}

struct fixture {
    struct proxy p;
    struct proxy_conf conf;
    struct secret key;
};

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    assert_true(sl_is_ok(secret_random(&f->key, AES256_KEY_LEN)));
    assert_true(sl_is_ok(cancel_map_new(4, &f->conf.cancels)));
    f->p.conf = &f->conf;
    f->p.up.held = BUF_INIT(LIMIT_SQL_STATEMENT_BYTES);
    f->p.up.out = BUF_INIT(4 * LIMIT_SQL_STATEMENT_BYTES);
    f->p.down.held = BUF_INIT(LIMIT_PG_HELD_BYTES);
    f->p.down.out = BUF_INIT(1024 * 1024);
    refusals_init(&f->p.refusals);
    assert_true(sl_is_ok(rewrite_new(&f->key, &f->p.rewrite)));
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    rewrite_free(f->p.rewrite);
    refusals_fini(&f->p.refusals);
    buf_fini(&f->p.up.held);
    buf_fini(&f->p.up.out);
    buf_fini(&f->p.down.held);
    buf_fini(&f->p.down.out);
    cancel_map_free(f->conf.cancels);
    secret_fini(&f->key);
    free(f);
    arena_reset(&arena);
    return 0;
}

/* Sends in pieces of `step`; what comes out the other side. */
static struct slice up(struct fixture *f, struct slice in, size_t step) {
    buf_reset(&f->p.up.out);
    for (size_t at = 0; at < in.len; at += step) {
        assert_true(sl_is_ok(upstream_feed(&f->p, slice_sub(in, at, at + step), NULL)));
    }
    return buf_slice(&f->p.up.out);
}

static struct slice down(struct fixture *f, struct slice in, size_t step) {
    buf_reset(&f->p.down.out);
    for (size_t at = 0; at < in.len; at += step) {
        assert_true(sl_is_ok(downstream_feed(&f->p, slice_sub(in, at, at + step), NULL)));
    }
    return buf_slice(&f->p.down.out);
}

static void assert_bytes(struct slice got, struct slice want) {
    assert_int_equal(got.len, want.len);
    assert_memory_equal(got.ptr, want.ptr, want.len);
}

static void passes_what_it_does_not_know(void **state) {
    const struct slice parts[] = {
        M('Q', "select 1\0"), M('P', "s\0select $1\0\0\1\0\0\0\x19"),
        M('B', "anything"),   M('S', ""),
        M('d', "abc"),        M('X', ""),
    };
    struct slice stream = joined(parts, sizeof parts / sizeof parts[0]);
    for (size_t step = 1; step <= stream.len; step++) {
        assert_bytes(up(*state, stream, step), stream);
    }
    assert_true(((struct fixture *)*state)->p.up.terminated);
}

static void rewrites_and_keeps_what_stands_between(void **state) {
    assert_bytes(up(*state, M('Q', "select 1;TURN it; select 2\0"), 3),
                 M('Q', "select 1;TURNED AROUND; select 2\0"));
    /* Parse keeps its name and its types */
    assert_bytes(up(*state, M('P', "s1\0TURN\0\0\1\0\0\0\x17"), 100),
                 M('P', "s1\0TURNED AROUND\0\0\1\0\0\0\x17"));
}

static void refuses_through_postgresql(void **state) {
    struct fixture *f = *state;
    struct slice sent = up(f, M('Q', "\xc3\xa4; REFUSE this\0"), 100);
    assert_null(memmem(sent.ptr, sent.len, "REFUSE", 6)); /* nothing of the text goes on */
    struct slice word = slice_sub(sent, 5, sent.len - 1);
    assert_true(slice_starts(word, SLICE_LIT("sealift_")));

    struct buf answer = BUF_INIT(4096);
    struct buf text = BUF_INIT(256);
    buf_puts(&text, "syntax error at or near \"");
    buf_put(&text, word);
    buf_puts(&text, "\"");
    buf_u8(&text, 0);
    const struct message_error e = {
        .sqlstate = "42601", .message = (const char *)text.ptr, .position = 1};
    message_error_put(&answer, &e);
    struct slice told = down(f, buf_slice(&answer), 7);
    struct slice payload = slice_sub(told, 5, told.len);
    assert_true(slice_eq_cstr(message_error_field(payload, 'C'), "0A000"));
    assert_true(slice_eq_cstr(message_error_field(payload, 'M'), "REFUSE is not supported"));
    assert_true(slice_eq_cstr(message_error_field(payload, 'P'), "4"));
    /* a second time the word means nothing */
    assert_bytes(down(f, buf_slice(&answer), 100), buf_slice(&answer));
    buf_fini(&answer);
    buf_fini(&text);
}

static void refuses_malformed_statements_as_statements(void **state) {
    const struct slice bad[] = {
        M('Q', "xyz"),       /* no end */
        M('Q', "x\0y\0"),    /* two texts */
        M('P', "\0x\0"),     /* no count of types */
        M('P', "\0x\0\0\7"), /* fewer types than said */
        M('F', "\0\0\0\0"),  /* function call */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct slice sent = up(*state, bad[i], 2);
        assert_int_equal(sent.ptr[0], bad[i].ptr[0] == 'P' ? 'P' : 'Q');
        size_t at;
        assert_true(has(sent, "sealift_", &at));
    }
}

static void refuses_strange_messages(void **state) {
    struct fixture *f = *state;
    struct sl_error err = {0};
    assert_int_equal(upstream_feed(&f->p, M('p', "x"), &err).code, SL_E_SQL_PROTOCOL);
    f->p.up.scan = (struct message_scan){0};
    assert_int_equal(upstream_feed(&f->p, SLICE_LIT("Q\0\0\0\3"), NULL).code, SL_E_SQL_PROTOCOL);
}

static void skips_statements_beyond_the_limit(void **state) {
    struct fixture *f = *state;
    struct buf b = BUF_INIT(32 * 1024 * 1024);
    message_head(&b, 'Q', LIMIT_SQL_STATEMENT_BYTES + 1);
    uint8_t *p = buf_reserve(&b, LIMIT_SQL_STATEMENT_BYTES + 1);
    memset(p, 'x', LIMIT_SQL_STATEMENT_BYTES);
    p[LIMIT_SQL_STATEMENT_BYTES] = 0;
    b.len += LIMIT_SQL_STATEMENT_BYTES + 1;
    struct slice sent = up(f, buf_slice(&b), 64 * 1024);
    assert_true(sent.len < 100);
    assert_int_equal(f->p.up.held.cap, 0);
    assert_int_equal(f->p.refusals.count, 1);
    assert_string_equal(f->p.refusals.head->sqlstate, "54000");
    buf_fini(&b);
}

static void seals_secrets_under_the_session_key(void **state) {
    struct fixture *f = *state;
    struct slice sent = up(f, M('Q', "KEY\0"), 100);
    struct slice sealed = slice_sub(sent, 5, sent.len - 1);
    assert_true(slice_starts(sealed, SLICE_LIT("sealed:1:")));
    struct buf text = BUF_INIT(1024);
    struct buf raw = BUF_INIT(1024);
    buf_put(&text, slice_sub(sealed, 9, sealed.len));
    for (size_t i = 0; i < text.len; i++) {
        text.ptr[i] = text.ptr[i] == '-' ? '+' : text.ptr[i] == '_' ? '/' : text.ptr[i];
    }
    while (text.len % 4 != 0) {
        buf_puts(&text, "=");
    }
    assert_true(sl_is_ok(base64_get(buf_slice(&text), &raw, NULL)));
    struct aead *a;
    uint8_t plain[64];
    assert_true(sl_is_ok(aead_new(secret_view(&f->key), &a)));
    struct slice cipher = slice_sub(buf_slice(&raw), GCM_NONCE_LEN, raw.len);
    assert_int_equal(aead_open(a, raw.ptr, SLICE_LIT("master-symmetric-key"), cipher, plain).code,
                     SL_E_CORRUPT);
    assert_true(sl_is_ok(aead_open(a, raw.ptr, SLICE_LIT("copy-credentials"), cipher, plain)));
    assert_memory_equal(plain, "very secret", 11);
    aead_free(a);
    buf_fini(&text);
    buf_fini(&raw);
    /* passwords become verifiers */
    sent = up(f, M('Q', "PASSWORD\0"), 100);
    assert_true(slice_starts(slice_sub(sent, 5, sent.len), SLICE_LIT("SCRAM-SHA-256$4096:")));
}

static void answers_are_changed_where_redshift_differs(void **state) {
    struct fixture *f = *state;
    struct slice version = M('S', "server_version\0"
                                  "15.18 (Deb)\0");
    for (size_t step = 1; step < 40; step += 3) {
        assert_bytes(down(f, M('C', "COPY 7\0"), step), M('C', "COPY\0"));
        assert_bytes(down(f, M('C', "INSERT 0 1\0"), step), M('C', "INSERT 0 1\0"));
        f->conf.redshift_said = false;
        assert_bytes(down(f, version, step), M('S', "server_version\0"
                                                    "15.18\0"));
        f->conf.redshift_said = true;
        assert_bytes(down(f, version, step), M('S', "server_version\0"
                                                    "8.0.2\0"));
    }
    const struct slice parts[] = {M('D', "\0\1\0\0\0\4abcd"), M('Z', "T")};
    struct slice rows = joined(parts, 2);
    assert_bytes(down(f, rows, 3), rows);
    assert_true(f->p.down.ready);
}

static void cancel_keys_are_its_own(void **state) {
    struct fixture *f = *state;
    struct slice told = down(f, M('K', "\0\0\0\x2a\1\2\3\4"), 5);
    struct rdr r = rdr_of(slice_sub(told, 5, told.len));
    uint32_t pid = rdr_u32(&r);
    uint32_t key = rdr_u32(&r);
    uint32_t behind = 0;
    assert_int_equal(pid, 42);
    assert_true(cancel_find(f->conf.cancels, pid, key, &behind));
    assert_int_equal(behind, 0x01020304);
    assert_false(cancel_find(f->conf.cancels, pid, 0x01020304, &behind));
    /* once a session */
    assert_true(sl_failed(downstream_feed(&f->p, M('K', "\0\0\0\x2a\1\2\3\4"), NULL)));
}

static void refuses_what_postgresql_must_not_ask(void **state) {
    struct fixture *f = *state;
    assert_bytes(down(f, M('R', "\0\0\0\0"), 100), M('R', "\0\0\0\0"));
    assert_true(sl_failed(downstream_feed(&f->p, M('R', "\0\0\0\3"), NULL)));
    assert_int_equal(downstream_feed(&f->p, M('S', "client_encoding\0SJIS\0"), NULL).code,
                     SL_E_UNSUPPORTED);
}

static void positions_are_told_in_the_clients_text(void **state) {
    struct fixture *f = *state;
    static const struct {
        size_t in_rewritten;
        const char *told; /* empty: none */
    } cases[] = {
        {1, "1"},   /* before */
        {9, "9"},   /* the semicolon */
        {10, "10"}, /* the statement that was rewritten: its start */
        {20, "10"}, {23, "17"}, {24, "18"}, {32, "26"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)down(f, M('Z', "I"), 100);
        (void)up(f, M('Q', "select 1;TURN it; select 2\0"), 100);
        struct buf answer = BUF_INIT(1024);
        const struct message_error e = {
            .sqlstate = "42703", .message = "no such column", .position = cases[i].in_rewritten};
        message_error_put(&answer, &e);
        struct slice told = down(f, buf_slice(&answer), 100);
        struct slice p = message_error_field(slice_sub(told, 5, told.len), 'P');
        if (!slice_eq_cstr(p, cases[i].told)) {
            fail_msg("%zu: %.*s", cases[i].in_rewritten, SLICE_FMT(p));
        }
        buf_fini(&answer);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(passes_what_it_does_not_know, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rewrites_and_keeps_what_stands_between, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_through_postgresql, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_malformed_statements_as_statements, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(refuses_strange_messages, set_up, tear_down),
        cmocka_unit_test_setup_teardown(skips_statements_beyond_the_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(seals_secrets_under_the_session_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(answers_are_changed_where_redshift_differs, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(cancel_keys_are_its_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_what_postgresql_must_not_ask, set_up, tear_down),
        cmocka_unit_test_setup_teardown(positions_are_told_in_the_clients_text, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
