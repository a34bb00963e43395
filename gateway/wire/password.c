/* Password forms; see password.h. */
#include "gateway/wire/password.h"

#include "gateway/wire/scram.h"
#include "lib/codec/text.h"
#include "lib/crypto/crypto.h"

bool password_is_md5(struct slice stored) {
    if (stored.len != PASSWORD_MD5_LEN || !slice_starts(stored, SLICE_LIT("md5"))) {
        return false;
    }
    for (size_t i = 3; i < stored.len; i++) {
        uint8_t c = stored.ptr[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
            return false;
        }
    }
    return true;
}

struct sl_rc password_md5_answer(struct slice stored, const uint8_t salt[4],
                                 char ret[PASSWORD_MD5_LEN + 1]) {
    struct digest *d;
    uint8_t sum[64];
    TRY(digest_new(DIGEST_MD5, &d));
    digest_more(d, slice_sub(stored, 3, stored.len));
    digest_more(d, slice_of(salt, 4));
    size_t n = digest_end(d, sum);
    digest_free(d);
    SL_CLEANUP(buf_fini) struct buf text = BUF_INIT(PASSWORD_MD5_LEN);
    buf_puts(&text, "md5");
    hex_put(&text, slice_of(sum, n));
    TRY(buf_check(&text, NULL));
    memcpy(ret, text.ptr, text.len);
    ret[text.len] = '\0';
    return SL_OK;
}

struct sl_rc password_verifier_put(struct slice text, struct buf *out, struct sl_error *err) {
    struct scram_verifier v;
    if (password_is_md5(text)) {
        buf_put(out, text);
        return buf_check(out, err);
    }
    if (sl_is_ok(scram_verifier_parse(text, &v))) {
        secret_wipe(&v, sizeof v);
        buf_put(out, text);
        return buf_check(out, err);
    }
    if (slice_starts(text, SLICE_LIT("sha256|"))) {
        text = slice_sub(text, 7, text.len);
        ENSURE(slice_find(text, '|') == text.len, err, SL_E_SQL_UNSUPPORTED,
               "a password given as SHA-256 digest and salt is not supported");
    }
    ENSURE(text.len > 0, err, SL_E_VALIDATION, "The password is empty.");
    return scram_verifier_put(text, out);
}
