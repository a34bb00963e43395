/* An object's bytes on their way to text. First byte: encoding, whether a client encrypted it;
 * second: size of the pieces; then metadata "key LF iv LF", and the body. In pieces or as a whole,
 * the same comes out. */
#include <stdint.h>
#include <stdlib.h>

#include "extension/copy/decode.h"
#include "lib/base/buf.h"

enum { OUT_MAX = 1024 * 1024 };

static struct sl_rc run(const struct decode_conf *conf, const struct envelope_meta *meta,
                        struct slice in, size_t piece, struct buf *out) {
    struct decode *d;
    sl_assert(sl_is_ok(decode_new(conf, &d)));
    struct sl_rc rc = SL_OK;
    bool ended = in.len == 0;
    while (sl_is_ok(rc) && !ended) {
        struct slice some = slice_sub(in, 0, piece);
        in = slice_sub(in, some.len, in.len);
        ended = some.len == 0;
        size_t n = 0;
        do {
            uint8_t *room = buf_reserve(out, piece);
            sl_assert(room != NULL);
            rc = decode_feed(d, meta, &some, ended, room, piece, &n, NULL);
            out->len += sl_is_ok(rc) ? n : 0;
        } while (sl_is_ok(rc) && (n == piece || some.len > 0));
    }
    rc = sl_is_ok(rc) ? decode_end(d, NULL) : rc;
    decode_free(d);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2 || size > OUT_MAX / 16) {
        return 0;
    }
    static const uint8_t zeros[AES256_KEY_LEN];
    struct secret key;
    struct envelope_meta meta = {0};
    sl_assert(sl_is_ok(secret_from(&key, slice_of(zeros, sizeof zeros))));
    struct slice body = slice_of(data + 2, size - 2);
    struct decode_conf conf = {.encoding = (enum transcode_from)(data[0] % TRANSCODE_COUNT)};
    if (data[0] & 128) {
        conf.master_key = &key;
        static const char *const names[] = {"x-amz-key", "x-amz-iv"};
        for (size_t i = 0; i < 2; i++) {
            size_t lf = slice_find(body, '\n');
            envelope_note(&meta, slice_cstr(names[i]), slice_sub(body, 0, lf));
            body = slice_sub(body, lf + 1, body.len);
        }
    }
    struct buf whole = BUF_INIT(OUT_MAX), pieces = BUF_INIT(OUT_MAX);
    struct sl_rc a = run(&conf, &meta, body, OUT_MAX / 4, &whole);
    struct sl_rc b = run(&conf, &meta, body, (size_t)data[1] + 1, &pieces);
    sl_assert(a.code == b.code);
    sl_assert(sl_failed(a) || slice_eq(buf_slice(&whole), buf_slice(&pieces)));
    buf_fini(&whole);
    buf_fini(&pieces);
    secret_fini(&key);
    return 0;
}
