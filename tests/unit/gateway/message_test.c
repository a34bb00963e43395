/* The scanner cuts any stream at any point the same way; errors; refusals' words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "gateway/session/cancel.h"
#include "gateway/session/refusal.h"
#include "gateway/wire/message.h"

#define STREAM                                                                                     \
    SLICE_LIT("Q\0\0\0\x0dSELECT 1\0"                                                              \
              "S\0\0\0\4"                                                                          \
              "d\0\0\0\7abc"                                                                       \
              "X\0\0\0\4")

/* Writes "type(len):payload;" for each message. */
static void describe(struct slice in, size_t step, struct buf *out) {
    struct message_scan s = {0};
    while (in.len > 0) {
        struct slice part = slice_sub(in, 0, step);
        in = slice_sub(in, step, in.len);
        for (;;) {
            struct message_event ev = {0};
            enum message_step got = message_next(&s, &part, &ev);
            assert_int_not_equal(got, MESSAGE_BAD);
            if (got == MESSAGE_MORE) {
                break;
            }
            if (got == MESSAGE_HEAD) {
                buf_printf(out, "%c(%u):", ev.type, ev.len);
            } else {
                buf_put(out, ev.piece);
            }
            if (ev.last) {
                buf_puts(out, ";");
            }
        }
    }
}

static void cuts_anywhere(void **state) {
    static const char want[] = "Q(9):SELECT 1\0;S(0):;d(3):abc;X(0):;";
    for (size_t step = 1; step <= STREAM.len; step++) {
        struct buf out = BUF_INIT(1024);
        describe(STREAM, step, &out);
        assert_true(slice_eq(buf_slice(&out), slice_of(want, sizeof want - 1)));
        buf_fini(&out);
    }
}

static void refuses_impossible_lengths(void **state) {
    static const struct slice bad[] = {
        {(const uint8_t *)"Q\0\0\0\3", 5},
        {(const uint8_t *)"Q\0\0\0\0", 5},
        {(const uint8_t *)"Q\x80\0\0\0", 5},
        {(const uint8_t *)"Q\xff\xff\xff\xff", 5},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct message_scan s = {0};
        struct slice in = bad[i];
        struct message_event ev;
        assert_int_equal(message_next(&s, &in, &ev), MESSAGE_BAD);
    }
}

static void errors_are_written_and_read(void **state) {
    struct buf out = BUF_INIT(1024);
    const struct message_error e = {
        .sqlstate = "42601", .message = "syntax error", .hint = "Look.", .position = 9};
    message_error_put(&out, &e);
    struct slice payload = slice_sub(buf_slice(&out), 5, out.len);
    assert_int_equal(out.ptr[0], 'E');
    assert_int_equal(out.ptr[4], out.len - 1);
    assert_true(slice_eq_cstr(message_error_field(payload, 'S'), "ERROR"));
    assert_true(slice_eq_cstr(message_error_field(payload, 'C'), "42601"));
    assert_true(slice_eq_cstr(message_error_field(payload, 'M'), "syntax error"));
    assert_true(slice_eq_cstr(message_error_field(payload, 'P'), "9"));
    assert_int_equal(message_error_field(payload, 'D').len, 0);
    /* cut short anywhere: nothing read beyond */
    for (size_t n = 0; n < payload.len; n++) {
        (void)message_error_field(slice_sub(payload, 0, n), 'Z');
    }
    buf_fini(&out);
}

static void positions_count_characters(void **state) {
    struct slice text = SLICE_LIT("s\xc3\xa4\xe2\x82\xac x");
    assert_int_equal(message_position(text, 0), 1);
    assert_int_equal(message_position(text, 3), 3);
    assert_int_equal(message_position(text, 7), 5);
    assert_int_equal(message_position(text, 999), 6);
}

static void refusals_come_back_by_their_word(void **state) {
    struct refusals r;
    struct buf word = BUF_INIT(256);
    struct sl_error err = {0};
    refusals_init(&r);
    struct sl_rc rc = sl_fail(&err, SL_E_SQL_SYNTAX, "no good");
    buf_puts(&word, "syntax error at or near \"");
    assert_true(sl_is_ok(refusal_put(&r, rc, &err, 5, &word)));
    buf_puts(&word, "\"");
    assert_true(word.len < 25 + 63); /* PostgreSQL must not cut it */
    assert_null(refusal_take(&r, SLICE_LIT("syntax error at or near \"sealift_0\"")));
    assert_null(refusal_take(&r, SLICE_EMPTY));
    struct refusal *f = refusal_take(&r, buf_slice(&word));
    assert_non_null(f);
    assert_string_equal(f->message, "no good");
    assert_string_equal(f->sqlstate, "42601");
    assert_string_equal(f->hint, "");
    assert_int_equal(f->position, 5);
    free(f);
    assert_null(refusal_take(&r, buf_slice(&word))); /* once only */
    /* more than are kept: the oldest give way, nothing leaks */
    for (int i = 0; i < REFUSAL_KEPT + 10; i++) {
        buf_reset(&word);
        assert_true(sl_is_ok(refusal_put(&r, rc, &err, 0, &word)));
    }
    f = refusal_take(&r, buf_slice(&word));
    assert_non_null(f);
    free(f);
    refusals_fini(&r);
    buf_fini(&word);
}

static void cancels_need_both_numbers(void **state) {
    struct cancel_map *m;
    uint32_t key;
    uint32_t other;
    uint32_t backend = 0;
    assert_true(sl_is_ok(cancel_map_new(2, &m)));
    assert_true(sl_is_ok(cancel_add(m, 10, 111, &key)));
    assert_true(sl_is_ok(cancel_add(m, 11, 222, &other)));
    assert_int_equal(cancel_add(m, 12, 333, &backend).code, SL_E_LIMIT);
    assert_true(cancel_find(m, 10, key, &backend));
    assert_int_equal(backend, 111);
    assert_true(cancel_find(m, 11, other, &backend));
    assert_int_equal(backend, 222);
    assert_false(cancel_find(m, 10, key + 1, &backend));
    assert_false(cancel_find(m, 12, key, &backend));
    assert_false(cancel_find(m, 0, 0, &backend)); /* an empty entry is no session */
    cancel_remove(m, 10, key);
    assert_false(cancel_find(m, 10, key, &backend));
    assert_true(sl_is_ok(cancel_add(m, 12, 333, &key)));
    cancel_map_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_anywhere),
        cmocka_unit_test(refuses_impossible_lengths),
        cmocka_unit_test(errors_are_written_and_read),
        cmocka_unit_test(positions_count_characters),
        cmocka_unit_test(refusals_come_back_by_their_word),
        cmocka_unit_test(cancels_need_both_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
