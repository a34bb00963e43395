/* Key records and ciphertext blobs, and the frames that carry them. First byte: which. */
#include "lib/ipc/frame.h"
#include "server/keys/record.h"

#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void records(struct slice s) {
    struct record r;
    if (sl_failed(record_parse(s, &r, NULL))) {
        return;
    }
    struct backing b;
    for (size_t i = 0; i < r.count; i++) {
        b = record_backing(&r, i);
        sl_assert(record_find(&r, b.id, &b));
    }
    struct buf again SL_CLEANUP(buf_fini) = BUF_INIT(1 << 20);
    record_put(&again, &r, SLICE_EMPTY);
    sl_assert(slice_eq(buf_slice(&again), r.covered));
}

static void blobs(struct slice s) {
    struct blob b;
    if (sl_failed(blob_parse(s, &b))) {
        return;
    }
    struct buf again SL_CLEANUP(buf_fini) = BUF_INIT(1 << 20);
    blob_put_head(&again, b.arn, b.backing_id);
    sl_assert(slice_starts(s, buf_slice(&again)) && again.len == b.head_len);
}

static void frames(struct slice s) {
    int pair[2];
    if (s.len > 64 * 1024 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) {
        return;
    }
    bool sent = send(pair[0], s.ptr, s.len, MSG_DONTWAIT) == (ssize_t)s.len;
    close(pair[0]);
    struct buf payload SL_CLEANUP(buf_fini) = BUF_INIT(32 * 1024);
    uint8_t type = 0;
    while (sent && sl_is_ok(frame_recv(pair[1], &type, &payload, 0))) {
    }
    close(pair[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > 0) {
        struct slice rest = slice_of(data + 1, size - 1);
        data[0] % 3 == 0 ? records(rest) : data[0] % 3 == 1 ? blobs(rest) : frames(rest);
    }
    return 0;
}
