/* Heads and chunks in memory: the same answer however the bytes are cut. */
#include "server/http/head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/base/limits.h"

/* Scans as if the bytes came `step` at a time, then parses. */
static int parse(struct slice in, size_t step, struct arena *a, struct head *h) {
    size_t scanned = 0, len = 0;
    int status = HEAD_MORE;
    for (size_t have = step; status == HEAD_MORE; have += step) {
        status = head_scan(slice_sub(in, 0, have), &scanned, &len);
        if (have >= in.len) {
            break;
        }
    }
    return status == HEAD_OK ? head_parse(slice_sub(in, 0, len), a, h) : status;
}

static void test_fields(void **state) {
    struct arena a = ARENA_INIT(1 << 20);
    struct head h;
    struct slice in = SLICE_LIT("PUT /a%20b/c?x=1?&y HTTP/1.1\r\nHoST: h:1\r\nA:\t b \t\r\nA: c\r\n"
                                "Expect: 100-Continue\r\nContent-Length: 7\r\nE:\r\n\r\nrest");
    for (size_t step = 1; step <= in.len; step++) {
        assert_int_equal(parse(in, step, &a, &h), HEAD_OK);
        assert_true(slice_eq_cstr(h.method, "PUT"));
        assert_true(slice_eq_cstr(h.path, "/a%20b/c"));
        assert_true(slice_eq_cstr(h.query, "x=1?&y"));
        assert_true(slice_eq(h.raw, slice_sub(in, 0, in.len - 4)));
        assert_int_equal(h.header_count, 6);
        assert_true(slice_eq_cstr(h.headers[0].name, "host"));
        assert_true(slice_eq_cstr(h.headers[1].value, "b"));
        assert_true(slice_eq_cstr(h.headers[2].value, "c"));
        assert_int_equal(h.headers[5].value.len, 0);
        assert_true(h.expect && h.has_length && !h.chunked && !h.close);
        assert_int_equal(h.length, 7);
        arena_reset(&a);
    }
}

static void test_refusals(void **state) {
    static const struct {
        const char *in;
        int status;
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 200},
        {"GET / HTTP/1.1\r\nHost: x\r\n", HEAD_MORE},
        {"GET / HTTP/1.0\r\n\r\n", 200},
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: x\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: x\r\r\n", 400},
        {"GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505},
        {"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 200},
        {"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: ,chunked\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked,\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: br\r\n\r\n", 501},
        {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\ncontent-length: 1\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 68719476737\r\n\r\n", 413},
        {"\r\n\r\n", 400},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct slice in = slice_cstr(cases[i].in);
        for (size_t step = 1; step <= in.len; step++) {
            struct arena a = ARENA_INIT(1 << 20);
            struct head h;
            int got = parse(in, step, &a, &h);
            if (got != cases[i].status) {
                fail_msg("case %zu, step %zu: %d", i, step, got);
            }
            arena_fini(&a);
        }
    }
}

static void test_no_memory(void **state) {
    struct arena a = ARENA_INIT(16);
    struct head h;
    assert_int_equal(head_parse(SLICE_LIT("GET / HTTP/1.0\r\n\r\n"), &a, &h), 503);
    arena_fini(&a);
}

static void test_chunks(void **state) {
    static const char head[] = "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    static const char wire[] = "5;a=\"b\"\r\nhello\r\n1\r\n \r\n00\r\nT: x\r\n\r\nGET";
    for (size_t step = 1; step <= sizeof wire - 1; step++) {
        for (int move = 0; move < 2; move++) {
            struct arena a = ARENA_INIT(1 << 20);
            struct head h;
            struct chunks c = {0};
            char out[64];
            size_t n = 0, all = 0;
            assert_int_equal(head_parse(slice_cstr(head), &a, &h), HEAD_OK);
            for (size_t at = 0; !c.done; at += step) {
                assert_true(at < sizeof wire - 1);
                uint8_t part[sizeof wire];
                size_t k = sizeof wire - 1 - at < step ? sizeof wire - 1 - at : step, used, body;
                memcpy(part, wire + at, k);
                assert_true(chunks_feed(&c, part, k, move, &used, &body));
                memcpy(out + n, part, move ? body : 0);
                n += body;
                all += used;
            }
            assert_int_equal(all, sizeof wire - 1 - 3);
            assert_int_equal(n, 6);
            if (move) {
                assert_memory_equal(out, "hello ", 6);
            }
            arena_fini(&a);
        }
    }
}

static void test_reply(void **state) {
    static const struct {
        const char *in;
        bool ok;
        int status;
        bool close, has_length, chunked;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", true, 200, false, true, false},
        {"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n", true, 200, false, false, true},
        {"HTTP/1.0 404 Nope\r\n\r\n", true, 404, true, false, false},
        {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", true, 200, true, false, false},
        {"HTTP/1.1 100 Continue\r\n\r\n", true, 100, false, false, false},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", false, 0, false, false, false},
        {"HTTP/2.0 200 OK\r\n\r\n", false, 0, false, false, false},
        {"HTTP/1.1 2000 OK\r\n\r\n", false, 0, false, false, false},
        {"ICY 200 OK\r\n\r\n", false, 0, false, false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct reply_head r;
        if (reply_head_parse(slice_cstr(cases[i].in), &r) != cases[i].ok) {
            fail_msg("case %zu", i);
        }
        if (cases[i].ok) {
            assert_int_equal(r.status, cases[i].status);
            assert_int_equal(r.close, cases[i].close);
            assert_int_equal(r.has_length, cases[i].has_length);
            assert_int_equal(r.chunked, cases[i].chunked);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),    cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_no_memory), cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_reply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
