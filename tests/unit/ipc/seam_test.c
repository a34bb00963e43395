/* The seam's messages: both ways through, cut anywhere, over their limits; refusals with their
 * codes. */
#include "lib/ipc/frame.h"
#include "lib/ipc/seam_msg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define OK(call) assert_int_equal((call).code, SL_CODE_OK)
#define FAILS(call, want) assert_string_equal(sl_code_info((call).code)->name, #want)

static void hello(void **state) {
    struct seam_hello h = {.edge = SEAM_GATEWAY,
                           .mode = SEAM_HTTP,
                           .peer_ip = "2001:db8::1",
                           .peer_port = 65535,
                           .peer_tls = true,
                           .peer_tls_minor = 3,
                           .peer_cipher = "TLS_AES_128_GCM_SHA256"};
    struct seam_hello got;
    memset(h.token, 7, sizeof h.token);
    struct buf b = BUF_INIT(256);
    seam_hello_put(&b, &h);
    OK(seam_hello_get(buf_slice(&b), &got, NULL));
    assert_memory_equal(got.token, h.token, sizeof h.token);
    assert_string_equal(got.peer_ip, "2001:db8::1");
    assert_int_equal(got.peer_port, 65535);
    assert_int_equal(got.peer_tls_minor, 3);
    assert_string_equal(got.peer_cipher, "TLS_AES_128_GCM_SHA256");
    assert_true(got.peer_tls && got.edge == SEAM_GATEWAY && got.mode == SEAM_HTTP);
    for (size_t n = 0; n < b.len; n++) {
        FAILS(seam_hello_get(slice_sub(buf_slice(&b), 0, n), &got, NULL), SL_E_PARSE);
    }
    static const struct {
        size_t at;
        uint8_t value;
    } bad[] = {{0, 0}, {0, 5}, {1, 0}, {1, 4}, {34, 1}, {36, '\n'}, {40, 0}, {60, '\n'}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint8_t was = b.ptr[bad[i].at];
        b.ptr[bad[i].at] = bad[i].value;
        FAILS(seam_hello_get(buf_slice(&b), &got, NULL), SL_E_PARSE);
        b.ptr[bad[i].at] = was;
    }
    buf_putc(&b, 0);
    FAILS(seam_hello_get(buf_slice(&b), &got, NULL), SL_E_PARSE);
    buf_reset(&b);
    memset(h.peer_ip, '1', sizeof h.peer_ip); /* no NUL */
    seam_hello_put(&b, &h);
    FAILS(seam_hello_get(buf_slice(&b), &got, NULL), SL_E_PARSE);
    buf_fini(&b);
}

static void authorize(void **state) {
    struct arena a = ARENA_INIT(1 << 20);
    const struct context_pair keys[] = {{SLICE_LIT("s3:prefix"), SLICE_LIT("x")}};
    const struct sigv4_header headers[] = {{SLICE_LIT("Host"), SLICE_LIT("h")},
                                           {SLICE_LIT("X"), SLICE_EMPTY}};
    const struct seam_check checks[] = {
        {SLICE_LIT("s3:GetObject"), SLICE_LIT("arn:aws:s3:::b/k"), SLICE_LIT("0"), keys, 1},
        {SLICE_LIT("s3:ListBucket"), SLICE_LIT("arn:aws:s3:::b"), SLICE_EMPTY, NULL, 0}};
    struct seam_authorize q = {.service = SLICE_LIT("s3"),
                               .request_id = SLICE_LIT("r"),
                               .peer_ip = SLICE_LIT("::1"),
                               .peer_tls = true,
                               .request = {SLICE_LIT("GET"), SLICE_LIT("/b/k"), SLICE_LIT("a=b"),
                                           headers, 2, SLICE_LIT("UNSIGNED-PAYLOAD")},
                               .checks = checks,
                               .check_count = 2,
                               .resource_policy = SLICE_LIT("{}"),
                               .session = SLICE_LIT("s")};
    struct seam_authorize got;
    struct buf b = BUF_INIT(4096);
    seam_authorize_put(&b, &q);
    OK(seam_authorize_get(buf_slice(&b), &a, &got, NULL));
    assert_true(slice_eq(got.request.headers[0].name, SLICE_LIT("Host")));
    assert_true(slice_eq(got.request.query, SLICE_LIT("a=b")));
    assert_int_equal(got.check_count, 2);
    assert_true(slice_eq(got.checks[0].keys[0].value, SLICE_LIT("x")));
    assert_true(slice_eq(got.checks[1].resource, SLICE_LIT("arn:aws:s3:::b")));
    assert_true(slice_eq(got.session, SLICE_LIT("s")));
    assert_true(got.peer_tls);
    for (size_t n = 0; n < b.len; n++) {
        FAILS(seam_authorize_get(slice_sub(buf_slice(&b), 0, n), &a, &got, NULL), SL_E_PARSE);
    }
    q.check_count = SEAM_CHECKS_MAX + 1;
    buf_reset(&b);
    seam_authorize_put(&b, &q);
    assert_true(b.failed);
    buf_fini(&b);
    arena_fini(&a);
}

static void lists_and_contexts(void **state) {
    struct arena a = ARENA_INIT(1 << 20);
    struct buf b = BUF_INIT(4096);
    const struct slice items[] = {SLICE_LIT("one"), SLICE_EMPTY, SLICE_LIT("three")};
    const struct context_pair pairs[] = {{SLICE_LIT("n"), SLICE_LIT("v")}};
    const struct slice *got = NULL;
    struct context context = {0};
    size_t n = 0;
    seam_list_put(&b, items, 3);
    seam_context_put(&b, &(struct context){pairs, 1});
    struct rdr r = rdr_of(buf_slice(&b));
    seam_list_get(&r, 3, &a, &got, &n);
    seam_context_get(&r, &a, &context);
    OK(rdr_end(&r, NULL, "test"));
    assert_int_equal(n, 3);
    assert_true(slice_eq(got[2], items[2]));
    assert_true(slice_eq(context.pairs[0].value, SLICE_LIT("v")));
    r = rdr_of(buf_slice(&b));
    seam_list_get(&r, 2, &a, &got, &n);
    assert_true(r.bad);
    static const uint8_t many[] = {0xff, 0xff};
    r = rdr_of(slice_of(many, 2));
    seam_context_get(&r, &a, &context);
    assert_true(r.bad);
    buf_fini(&b);
    arena_fini(&a);
}

static void failures(void **state) {
    struct arena a = ARENA_INIT(1 << 20);
    struct buf b = BUF_INIT(8192);
    struct sl_error err = {0}, got = {0};
    struct slice canonical = SLICE_EMPTY, to_sign = SLICE_EMPTY;
    sl_ignore(sl_fail(&err, SL_E_SIGNATURE, "no match"));
    sl_hint(&err, "look at the clock");
    err.denial = "c2VhbGVk";
    seam_failed_put(&b, SL_E_SIGNATURE, &err, SLICE_LIT("GET\n/"), SLICE_LIT("AWS4"));
    FAILS(seam_failed_get(buf_slice(&b), &a, &got, &canonical, &to_sign), SL_E_SIGNATURE);
    assert_string_equal(got.detail, "no match");
    assert_string_equal(got.hint, "look at the clock");
    assert_string_equal(got.denial, "c2VhbGVk");
    sl_error_clear(&got);
    assert_null(got.denial);
    assert_true(slice_eq(canonical, SLICE_LIT("GET\n/")) && slice_eq(to_sign, SLICE_LIT("AWS4")));
    for (size_t n = 0; n < b.len; n++) {
        FAILS(seam_failed_get(slice_sub(buf_slice(&b), 0, n), &a, NULL, NULL, NULL), SL_E_PARSE);
    }
    /* A name that this side does not know, or "ok", is still a failure. */
    static const char *const names[] = {"SL_E_OF_ANOTHER_VERSION", "SL_CODE_OK", ""};
    for (size_t i = 0; i < 3; i++) {
        buf_reset(&b);
        buf_vec16(&b, slice_cstr(names[i]));
        buf_vec16(&b, SLICE_EMPTY);
        buf_vec16(&b, SLICE_EMPTY);
        buf_vec16(&b, SLICE_EMPTY);
        buf_vec32(&b, SLICE_EMPTY);
        buf_vec32(&b, SLICE_EMPTY);
        FAILS(seam_failed_get(buf_slice(&b), &a, NULL, NULL, NULL), SL_E_INTERNAL);
    }
    buf_fini(&b);
    arena_fini(&a);
}

/* What the client makes of answers: `type` and payload are already in the socket. */
static struct sl_rc answered(uint8_t type, struct slice payload, struct sl_error *err) {
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    OK(frame_send(pair[1], type, payload, INT64_MAX));
    struct arena a = ARENA_INIT(1 << 20);
    struct slice arn, blob;
    struct secret plain = {0};
    struct sl_rc rc =
        seam_data_key(pair[0], SLICE_LIT("s"), SLICE_EMPTY, NULL, &a, err, &arn, &blob, &plain);
    if (sl_is_ok(rc)) {
        assert_true(slice_eq(arn, SLICE_LIT("arn")) && slice_eq(blob, SLICE_LIT("blob")));
        assert_true(slice_eq(secret_view(&plain), SLICE_LIT("plain")));
        secret_fini(&plain);
    }
    assert_null(plain.ptr);
    arena_fini(&a);
    close(pair[0]);
    close(pair[1]);
    return rc;
}

static void client(void **state) {
    struct buf b = BUF_INIT(4096);
    struct sl_error err = {0};
    buf_vec16(&b, SLICE_LIT("arn"));
    buf_vec16(&b, SLICE_LIT("blob"));
    buf_vec16(&b, SLICE_LIT("plain"));
    OK(answered(SEAM_OK, buf_slice(&b), &err));
    for (size_t n = 0; n < b.len; n++) {
        FAILS(answered(SEAM_OK, slice_sub(buf_slice(&b), 0, n), NULL), SL_E_PARSE);
    }
    FAILS(answered('?', buf_slice(&b), NULL), SL_E_INTERNAL);
    buf_reset(&b);
    struct sl_error theirs = {0};
    sl_ignore(sl_fail(&theirs, SL_E_KMS_DISABLED, "arn is disabled."));
    seam_failed_put(&b, SL_E_KMS_DISABLED, &theirs, SLICE_EMPTY, SLICE_EMPTY);
    FAILS(answered(SEAM_FAILED, buf_slice(&b), &err), SL_E_KMS_DISABLED);
    assert_string_equal(err.detail, "arn is disabled.");
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    shutdown(pair[1], SHUT_WR);
    FAILS(seam_ping(pair[0], NULL), SL_E_CLOSED);
    close(pair[0]);
    close(pair[1]);
    buf_fini(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hello),
        cmocka_unit_test(authorize),
        cmocka_unit_test(lists_and_contexts),
        cmocka_unit_test(failures),
        cmocka_unit_test(client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
