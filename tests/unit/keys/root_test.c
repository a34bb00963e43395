/* Roots of the domain key: names, passphrases and tokens; what opens and what does not. */
#include "tests/unit/keys/rig.h"

#include "server/keys/domain.h"

static void wraps_under_a_passphrase(void **state) {
    struct domain d = {0}, again = {0};
    struct secret word = {0}, wrong = {0}, shorter = {0};
    struct root_place to;
    struct domain_file f;
    struct buf file SL_CLEANUP(buf_fini) = BUF_INIT(4096);
    struct buf none SL_CLEANUP(buf_fini) = BUF_INIT(4096);
    OK(root_place_parse("passphrase", "/x", &to, NULL));
    OK(secret_random(&d.key, DOMAIN_KEY_LEN));
    OK(secret_from(&word, SLICE_LIT("correct horse")));
    OK(secret_from(&wrong, SLICE_LIT("correct horsf")));
    OK(secret_from(&shorter, SLICE_LIT("7 bytes")));
    FAILS(domain_wrap(&to, true, &shorter, &d, &none, NULL), SL_E_VALIDATION);
    OK(domain_wrap(&to, true, &word, &d, &file, NULL));
    OK(domain_unwrap(buf_slice(&file), NULL, &word, &again, NULL));
    assert_true(secret_equal(secret_view(&d.key), secret_view(&again.key)));
    domain_fini(&again);
    FAILS(domain_unwrap(buf_slice(&file), NULL, &wrong, &again, NULL), SL_E_ACCESS_DENIED);
    OK(domain_parse(buf_slice(&file), &f, NULL));
    assert_int_equal(f.kind, ROOT_PASSPHRASE);
    /* Salt, nonce and wrapped key, one bit each; then parameters out of range, cut short, longer.
     */
    const size_t at[] = {10, 46, file.len - 1};
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        file.ptr[at[i]] ^= 1;
        FAILS(domain_unwrap(buf_slice(&file), NULL, &word, &again, NULL), SL_E_ACCESS_DENIED);
        file.ptr[at[i]] ^= 1;
    }
    file.ptr[42] = 16;
    FAILS(domain_parse(buf_slice(&file), &f, NULL), SL_E_CORRUPT);
    file.ptr[42] = 31;
    FAILS(domain_parse(buf_slice(&file), &f, NULL), SL_E_CORRUPT);
    file.ptr[42] = 17;
    for (size_t n = 0; n < file.len; n++) {
        FAILS(domain_parse(slice_of(file.ptr, n), &f, NULL), SL_E_CORRUPT);
    }
    buf_u8(&file, 0);
    FAILS(domain_parse(buf_slice(&file), &f, NULL), SL_E_CORRUPT);
    domain_fini(&d);
    secret_fini(&word);
    secret_fini(&wrong);
    secret_fini(&shorter);
}

static void names(void **state) {
    struct root_place to;
    OK(root_place_parse("file", "/default", &to, NULL));
    assert_string_equal(to.file, "/default");
    OK(root_place_parse("file:/k", "/default", &to, NULL));
    assert_string_equal(to.file, "/k");
    OK(root_place_parse("pkcs11:token=My%20HSM;object=k?module-path=/lib/m.so", "/x", &to, NULL));
    assert_string_equal(to.token.token, "My HSM");
    assert_string_equal(to.token.key, "k");
    assert_string_equal(to.token.module, "/lib/m.so");
    static const char *const bad[] = {"",
                                      "files",
                                      "file:k",
                                      "pkcs11:token=a",
                                      "pkcs11:",
                                      "pkcs11:token=a;pin-value=1?module-path=/m",
                                      "pkcs11:token=%00?module-path=/m",
                                      "pkcs11:token=a?module-path=m"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        FAILS(root_place_parse(bad[i], "/x", &to, NULL), SL_E_VALIDATION);
    }
}

/* A keyholder under `first`, or that moves to `move_to`. */
static void serve(struct rig *r, const struct root_place *first, const struct root_place *move_to) {
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    r->control = pair[0];
    r->theirs = pair[1];
    r->conf = (struct keyholder_conf){.root_key_file = r->root,
                                      .domain_file = r->domain,
                                      .create = first != NULL,
                                      .first = first,
                                      .move_to = move_to,
                                      .control_fd = r->theirs};
    assert_int_equal(pthread_create(&r->thread, NULL, rig_thread, r), 0);
}

static uint8_t heard(struct rig *r, struct buf *text) {
    uint8_t type = 0;
    OK(frame_recv(r->control, &type, text, clock_mono_ms() + 30000));
    return type;
}

/* It says that it is sealed, with that refusal of the last word; then it gets `word`. */
static void tell(struct rig *r, enum sl_code refusal, const char *word) {
    struct buf text SL_CLEANUP(buf_fini) = BUF_INIT(4096);
    assert_int_equal(heard(r, &text), KEYHOLDER_SEALED);
    assert_true(text.len >= 3);
    assert_int_equal(text.ptr[0], ROOT_PASSPHRASE);
    assert_int_equal(text.ptr[1] << 8 | text.ptr[2], refusal);
    OK(frame_send(r->control, KEYHOLDER_WORD, slice_cstr(word), clock_mono_ms() + 30000));
}

static void ends(struct rig *r, uint8_t with) {
    struct buf text SL_CLEANUP(buf_fini) = BUF_INIT(4096);
    assert_int_equal(heard(r, &text), with);
    close(r->control);
    pthread_join(r->thread, NULL);
}

static void blob_opens(struct rig *r, struct slice record, struct slice blob) {
    struct secret plain = {0};
    struct buf text SL_CLEANUP(buf_fini) = BUF_INIT(4096);
    assert_int_equal(heard(r, &text), KEYHOLDER_READY);
    r->k = rig_channel(r);
    OK(keyholder_decrypt(r->k, record, NULL, blob, &plain, NULL, NULL));
    assert_true(slice_eq_cstr(secret_view(&plain), "kept"));
    secret_fini(&plain);
    rig_stop(r);
}

/* File to passphrase, to another passphrase, and back: one ciphertext opens under each. */
static void moves(void **state) {
    struct rig r;
    struct root_place phrase, file;
    struct buf record SL_CLEANUP(buf_fini) = BUF_INIT(64 * 1024);
    struct buf blob SL_CLEANUP(buf_fini) = BUF_INIT(8192);
    rig_folder(&r);
    OK(root_place_parse("passphrase", r.root, &phrase, NULL));
    OK(root_place_parse("file", r.root, &file, NULL));
    assert_true(rig_start(&r, true));
    OK(keyholder_key_create(r.k, SLICE_LIT("arn:aws:kms:x"), &record, NULL, NULL));
    OK(keyholder_encrypt(r.k, buf_slice(&record), NULL, SLICE_LIT("kept"), &blob, NULL, NULL));
    rig_stop(&r);
    serve(&r, NULL, &phrase);
    tell(&r, SL_CODE_OK, "short"); /* refused: nothing moves */
    ends(&r, KEYHOLDER_ERROR);
    assert_true(rig_start(&r, false));
    rig_stop(&r);
    serve(&r, NULL, &phrase);
    tell(&r, SL_CODE_OK, "first phrase");
    ends(&r, KEYHOLDER_MOVED);
    serve(&r, NULL, NULL);
    tell(&r, SL_CODE_OK, "wrong phrase");
    tell(&r, SL_E_ACCESS_DENIED, "first phrase");
    blob_opens(&r, buf_slice(&record), buf_slice(&blob));
    serve(&r, NULL, &phrase);
    tell(&r, SL_CODE_OK, "first phrase");
    tell(&r, SL_CODE_OK, "second phrase");
    ends(&r, KEYHOLDER_MOVED);
    serve(&r, NULL, &file);
    tell(&r, SL_CODE_OK, "first phrase"); /* the old root opens it no longer */
    tell(&r, SL_E_ACCESS_DENIED, "second phrase");
    ends(&r, KEYHOLDER_MOVED);
    serve(&r, NULL, NULL);
    blob_opens(&r, buf_slice(&record), buf_slice(&blob));
    rig_remove(&r);
}

static void begins_under_a_passphrase(void **state) {
    struct rig r;
    struct root_place phrase;
    rig_folder(&r);
    OK(root_place_parse("passphrase", r.root, &phrase, NULL));
    serve(&r, &phrase, NULL);
    tell(&r, SL_CODE_OK, "first phrase");
    struct buf text SL_CLEANUP(buf_fini) = BUF_INIT(4096);
    assert_int_equal(heard(&r, &text), KEYHOLDER_READY);
    r.k = rig_channel(&r);
    rig_stop(&r);
    assert_int_not_equal(access(r.root, F_OK), 0);
    serve(&r, NULL, NULL); /* the supervisor goes away while it is sealed: it ends */
    assert_int_equal(heard(&r, &text), KEYHOLDER_SEALED);
    close(r.control);
    pthread_join(r.thread, NULL);
    FAILS(r.rc, SL_E_CLOSED);
    rig_remove(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(wraps_under_a_passphrase),
                                       cmocka_unit_test(names), cmocka_unit_test(moves),
                                       cmocka_unit_test(begins_under_a_passphrase)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
