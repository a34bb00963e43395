/* Three texts, each ended by a NUL: a verifier, the client's first and its final message. */
#include "gateway/wire/password.h"
#include "gateway/wire/scram.h"

static struct slice next(struct slice *in) {
    size_t n = slice_find(*in, 0);
    struct slice s = slice_sub(*in, 0, n);
    *in = slice_sub(*in, n + 1, in->len);
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice in = slice_of(data, size);
    struct scram s = {0};
    struct buf out = BUF_INIT(16 * 1024);
    struct slice stored = next(&in);
    if (sl_failed(scram_verifier_parse(stored, &s.verifier))) {
        scram_verifier_fake(SLICE_LIT("key"), stored, &s.verifier);
    }
    if (password_is_md5(stored)) {
        char answer[PASSWORD_MD5_LEN + 1];
        sl_ignore(password_md5_answer(stored, (const uint8_t *)"salt", answer));
    }
    if (sl_is_ok(scram_first(&s, next(&in), SLICE_LIT("3rfcNHYJY1ZVvWVs7j"), &out, NULL))) {
        sl_ignore(scram_final(&s, in, &out, NULL));
    }
    scram_fini(&s);
    buf_fini(&out);
    return 0;
}
