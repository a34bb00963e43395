/* Layout of records and blobs, the cache, and frames between processes. */
#include "server/keys/cache.h"
#include "server/keys/record.h"
#include "tests/unit/keys/rig.h"

static void blob_layout(void **state) {
    struct buf b SL_CLEANUP(buf_fini) = BUF_INIT(8192);
    struct blob got;
    blob_put_head(&b, SLICE_LIT("arn:x"), SLICE_LIT("0123456789abcdef"));
    assert_true(slice_eq(buf_slice(&b), SLICE_LIT("\1\1\0\5arn:x0123456789abcdef")));
    for (int i = 0; i < 64; i++) {
        FAILS(blob_parse(buf_slice(&b), &got), SL_E_KMS_INVALID_CIPHERTEXT);
        buf_putc(&b, 0);
    }
    OK(blob_parse(buf_slice(&b), &got));
    assert_int_equal(got.plain_len, 0);
    assert_int_equal(got.head_len, 25);
    struct slice arn = SLICE_LIT("untouched");
    FAILS(keyholder_blob_key_arn(SLICE_LIT("no blob"), &arn), SL_E_KMS_INVALID_CIPHERTEXT);
    FAILS(keyholder_blob_key_arn(SLICE_EMPTY, &arn), SL_E_KMS_INVALID_CIPHERTEXT);
    assert_true(slice_eq(arn, SLICE_LIT("untouched")));
}

static void cache_is_bounded(void **state) {
    struct key_cache *c = key_cache_new();
    uint8_t id[BACKING_ID_LEN] = {0};
    uint8_t key[32], out[32];
    struct slice s = slice_of(id, sizeof id);
    for (int i = 0; i < 5; i++) { /* five of one set, which holds four */
        id[15] = (uint8_t)i;
        memset(key, i, sizeof key);
        key_cache_put(c, s, slice_of(key, sizeof key));
        if (i == 3) { /* use the first, so that the second is the oldest */
            id[15] = 0;
            assert_true(key_cache_get(c, s, out));
        }
    }
    static const bool there[] = {true, false, true, true, true};
    for (int i = 0; i < 5; i++) {
        id[15] = (uint8_t)i;
        assert_int_equal(key_cache_get(c, s, out), there[i]);
        memset(key, i, sizeof key);
        if (there[i]) {
            assert_memory_equal(key, out, 32);
        }
    }
    key_cache_drop(c, s);
    assert_false(key_cache_get(c, s, out));
    key_cache_free(c);
}

static void frames(void **state) {
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    struct buf b SL_CLEANUP(buf_fini) = BUF_INIT(64);
    uint8_t type = 0;
    OK(frame_send(pair[0], 'x', SLICE_EMPTY, clock_mono_ms() + 1000));
    OK(frame_send(pair[0], 'y', SLICE_LIT("payload"), clock_mono_ms() + 1000));
    OK(frame_recv(pair[1], &type, &b, clock_mono_ms() + 1000));
    assert_int_equal(type, 'x');
    assert_int_equal(b.len, 0);
    OK(frame_recv(pair[1], &type, &b, clock_mono_ms() + 1000));
    assert_true(slice_eq(buf_slice(&b), SLICE_LIT("payload")));
    FAILS(frame_recv(pair[1], &type, &b, clock_mono_ms() + 20), SL_E_TIMEOUT);
    assert_int_equal(send(pair[0], "\0\0\0\x5z", 5, 0), 5); /* a header, and nothing more */
    FAILS(frame_recv(pair[1], &type, &b, clock_mono_ms() + 20), SL_E_TIMEOUT);
    assert_int_equal(send(pair[0], "\0\0\0\0", 4, 0), 4);
    assert_int_equal(send(pair[0], "z", 1, 0), 1);
    FAILS(frame_recv(pair[1], &type, &b, clock_mono_ms() + 1000), SL_E_PARSE);
    assert_int_equal(send(pair[0], "\0\0\1\1z", 5, 0), 5); /* more than the buffer takes */
    FAILS(frame_recv(pair[1], &type, &b, clock_mono_ms() + 1000), SL_E_LIMIT);
    assert_int_equal(send(pair[0], "\0\0", 2, 0), 2);
    close(pair[0]);
    FAILS(frame_recv(pair[1], &type, &b, clock_mono_ms() + 1000), SL_E_PARSE);
    FAILS(frame_recv(pair[1], &type, &b, clock_mono_ms() + 1000), SL_E_CLOSED);
    FAILS(frame_send(pair[1], 'x', SLICE_EMPTY, clock_mono_ms() + 1000), SL_E_CLOSED);
    close(pair[1]);
}

static void frame_to_slow_reader(void **state) {
    int pair[2];
    static uint8_t big[500 * 1024];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    FAILS(frame_send(pair[0], 'x', slice_of(big, sizeof big), clock_mono_ms() + 50), SL_E_TIMEOUT);
    close(pair[0]);
    close(pair[1]);
}

static void descriptors(void **state) {
    int pair[2];
    int passed = 99;
    struct buf b SL_CLEANUP(buf_fini) = BUF_INIT(64);
    uint8_t type = 0;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    OK(frame_send_fd(pair[0], 'f', SLICE_LIT("with one"), pair[0]));
    OK(frame_send(pair[0], 'n', SLICE_LIT("without"), 0));
    OK(frame_send_fd(pair[0], 'f', SLICE_EMPTY, pair[0]));
    OK(frame_recv_fd(pair[1], &type, &b, &passed, 0));
    assert_true(passed > 2 && passed != pair[0] && passed != 99);
    close(passed);
    OK(frame_recv_fd(pair[1], &type, &b, &passed, 0));
    assert_int_equal(passed, -1);
    int lowest = dup(pair[1]); /* the number that a leaked descriptor would take */
    close(lowest);
    OK(frame_recv(pair[1], &type, &b, 0)); /* who asks for none has none left open */
    int next = dup(pair[1]);
    assert_int_equal(next, lowest);
    close(next);
    close(pair[0]);
    close(pair[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blob_layout), cmocka_unit_test(cache_is_bounded),
        cmocka_unit_test(frames),      cmocka_unit_test(frame_to_slow_reader),
        cmocka_unit_test(descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
