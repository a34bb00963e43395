/* Imported key material through the keyholder's client: wrapping, tokens, the same material again,
 * material taken away, rotation. */
#include "tests/unit/keys/rig.h"
#include "tests/unit/keys/wrap.h"

#define ARN_A                                                                                      \
    SLICE_LIT("arn:aws:kms:us-east-1:000000000000:key/aaaaaaaa-0000-4000-8000-000000000001")
#define ARN_B                                                                                      \
    SLICE_LIT("arn:aws:kms:us-east-1:000000000000:key/bbbbbbbb-0000-4000-8000-000000000002")
#define MATERIAL SLICE_LIT("0123456789abcdef0123456789abcdef")
#define OTHER SLICE_LIT("0123456789abcdef0123456789abcdeg")

enum { VALID_TO = 1000 };

/* A key, and parameters for an import into it (2048 bits, OAEP with SHA-256). */
struct external {
    struct rig *r;
    struct buf record;
    struct buf public_der;
    struct buf token;
    struct buf wrapped;
    struct keyholder_material got;
};

static void fini(struct external *x) {
    buf_fini(&x->record);
    buf_fini(&x->public_der);
    buf_fini(&x->token);
    buf_fini(&x->wrapped);
}

static void begin(struct external *x, enum keyholder_wrapping how, unsigned bits) {
    OK(keyholder_import_begin(x->r->k, buf_slice(&x->record), how, bits, VALID_TO, &x->public_der,
                              &x->token, NULL));
}

static void external(struct rig *r, struct external *x, struct slice arn) {
    *x = (struct external){.r = r,
                           .record = BUF_INIT(64 * 1024),
                           .public_der = BUF_INIT(4096),
                           .token = BUF_INIT(8192),
                           .wrapped = BUF_INIT(8192)};
    OK(keyholder_key_create_empty(r->k, arn, &x->record, NULL));
    begin(x, KEYHOLDER_OAEP_SHA256, 2048);
}

/* The request's answer becomes x's record. */
static struct sl_rc request(struct external *x, struct keyholder_import_request q) {
    struct buf next SL_CLEANUP(buf_fini) = BUF_INIT(64 * 1024);
    q.token = q.token.ptr != NULL ? q.token : buf_slice(&x->token);
    q.wrapped = q.wrapped.ptr != NULL ? q.wrapped : buf_slice(&x->wrapped);
    TRY(keyholder_import(x->r->k, buf_slice(&x->record), &q, &next, &x->got, NULL));
    buf_reset(&x->record);
    buf_put(&x->record, buf_slice(&next));
    return SL_OK;
}

static struct sl_rc import(struct external *x, struct slice material, enum keyholder_import kind) {
    buf_reset(&x->wrapped);
    wrap_oaep(buf_slice(&x->public_der), true, material, &x->wrapped);
    return request(x, (struct keyholder_import_request){.kind = kind});
}

static struct sl_rc forget(struct external *x, const char *id) {
    struct buf next SL_CLEANUP(buf_fini) = BUF_INIT(64 * 1024);
    TRY(keyholder_forget(x->r->k, buf_slice(&x->record), slice_cstr(id), &next, &x->got, NULL));
    buf_reset(&x->record);
    buf_put(&x->record, buf_slice(&next));
    return SL_OK;
}

static struct sl_rc encrypt(struct external *x, struct buf *ret_blob) {
    return keyholder_encrypt(x->r->k, buf_slice(&x->record), NULL, SLICE_LIT("attack at dawn"),
                             ret_blob, NULL, NULL);
}

static struct sl_rc decrypt(struct external *x, const struct buf *blob) {
    struct secret plain = {0};
    struct sl_rc rc = keyholder_decrypt(x->r->k, buf_slice(&x->record), NULL, buf_slice(blob),
                                        &plain, NULL, NULL);
    if (sl_is_ok(rc)) {
        assert_true(slice_eq(secret_view(&plain), SLICE_LIT("attack at dawn")));
    }
    secret_fini(&plain);
    return rc;
}

static void every_wrapping(void **state) {
    static const struct {
        enum keyholder_wrapping how;
        unsigned bits;
    } cases[] = {{KEYHOLDER_OAEP_SHA1, 2048},
                 {KEYHOLDER_OAEP_SHA256, 3072},
                 {KEYHOLDER_AES_SHA1, 2048},
                 {KEYHOLDER_AES_SHA256, 4096}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct external x SL_CLEANUP(fini);
        external(*state, &x, ARN_A);
        begin(&x, cases[i].how, cases[i].bits);
        assert_true(x.token.len <= 6144 && x.public_der.len > cases[i].bits / 8);
        bool aes = cases[i].how >= KEYHOLDER_AES_SHA1;
        bool sha256 = cases[i].how == KEYHOLDER_OAEP_SHA256 || cases[i].how == KEYHOLDER_AES_SHA256;
        (aes ? wrap_aes : wrap_oaep)(buf_slice(&x.public_der), !sha256, MATERIAL, &x.wrapped);
        FAILS(request(&x, (struct keyholder_import_request){0}), SL_E_KMS_INVALID_CIPHERTEXT);
        buf_reset(&x.wrapped);
        (aes ? wrap_oaep : wrap_aes)(buf_slice(&x.public_der), sha256, MATERIAL, &x.wrapped);
        FAILS(request(&x, (struct keyholder_import_request){0}), SL_E_KMS_INVALID_CIPHERTEXT);
        buf_reset(&x.wrapped);
        (aes ? wrap_aes : wrap_oaep)(buf_slice(&x.public_der), sha256, MATERIAL, &x.wrapped);
        OK(request(&x, (struct keyholder_import_request){0}));
        assert_int_equal(x.got.state, KEY_ENABLED);
        assert_false(x.got.pending);
        struct buf blob SL_CLEANUP(buf_fini) = BUF_INIT(8192);
        OK(encrypt(&x, &blob));
        OK(decrypt(&x, &blob));
    }
    struct external x SL_CLEANUP(fini);
    external(*state, &x, ARN_A);
    FAILS(keyholder_import_begin(x.r->k, buf_slice(&x.record), KEYHOLDER_OAEP_SHA1, 1024, 1,
                                 &x.public_der, &x.token, NULL),
          SL_E_VALIDATION);
    FAILS(keyholder_import_begin(x.r->k, buf_slice(&x.record), (enum keyholder_wrapping)5, 2048, 1,
                                 &x.public_der, &x.token, NULL),
          SL_E_VALIDATION);
}

/* Only these 32 bytes, wrapped for this key, with this key's token, in time. */
static void refusals(void **state) {
    struct external x SL_CLEANUP(fini), other SL_CLEANUP(fini);
    external(*state, &x, ARN_A);
    external(*state, &other, ARN_B);
    struct buf blob SL_CLEANUP(buf_fini) = BUF_INIT(8192);
    FAILS(encrypt(&x, &blob), SL_E_KMS_INVALID_STATE);
    FAILS(import(&x, SLICE_LIT("0123456789abcdef"), KEYHOLDER_ANY_MATERIAL), SL_E_KMS_MATERIAL);
    FAILS(import(&x, SLICE_LIT("0123456789abcdef0123456789abcdefg"), KEYHOLDER_ANY_MATERIAL),
          SL_E_KMS_MATERIAL);
    FAILS(import(&x, MATERIAL, KEYHOLDER_EXISTING_MATERIAL), SL_E_KMS_MATERIAL);
    struct keyholder_import_request q = {.token = buf_slice(&other.token)};
    FAILS(request(&x, q), SL_E_KMS_IMPORT_TOKEN);
    q = (struct keyholder_import_request){.token = SLICE_LIT("nonsense")};
    FAILS(request(&x, q), SL_E_KMS_IMPORT_TOKEN);
    q = (struct keyholder_import_request){.now_ms = VALID_TO};
    FAILS(request(&x, q), SL_E_KMS_IMPORT_EXPIRED);
    q = (struct keyholder_import_request){.kind = (enum keyholder_import)3};
    FAILS(request(&x, q), SL_E_VALIDATION);
    for (size_t i = 0; i < x.token.len; i += 7) {
        x.token.ptr[i] ^= 0x10;
        FAILS(request(&x, (struct keyholder_import_request){0}), SL_E_KMS_IMPORT_TOKEN);
        x.token.ptr[i] ^= 0x10;
        q.token = slice_sub(buf_slice(&x.token), 0, i);
        q.kind = KEYHOLDER_ANY_MATERIAL;
        FAILS(request(&x, q), SL_E_KMS_IMPORT_TOKEN);
    }
    for (size_t i = 0; i < x.wrapped.len; i += 17) {
        x.wrapped.ptr[i] ^= 0x10;
        FAILS(request(&x, (struct keyholder_import_request){0}), SL_E_KMS_INVALID_CIPHERTEXT);
        x.wrapped.ptr[i] ^= 0x10;
    }
    q = (struct keyholder_import_request){
        .wrapped = slice_sub(buf_slice(&x.wrapped), 0, x.wrapped.len - 1)};
    FAILS(request(&x, q), SL_E_KMS_INVALID_CIPHERTEXT);
    buf_putc(&x.wrapped, 0);
    FAILS(request(&x, (struct keyholder_import_request){0}), SL_E_KMS_INVALID_CIPHERTEXT);
    q = (struct keyholder_import_request){.now_ms = VALID_TO - 1};
    x.wrapped.len--;
    FAILS(keyholder_key_set_state(x.r->k, buf_slice(&x.record), KEY_ENABLED, &blob, NULL),
          SL_E_KMS_INVALID_STATE);
    buf_reset(&x.wrapped);
    wrap_oaep(buf_slice(&x.public_der), true, MATERIAL, &x.wrapped);
    OK(request(&x, q));
    /* No seal of kms's own opens a token: it holds the private key. */
    struct secret plain = {0};
    static const char *const purposes[] = {"import-token", "iam-secret"};
    for (size_t i = 0; i < 2; i++) {
        FAILS(keyholder_unseal(x.r->k, purposes[i], SLICE_EMPTY, buf_slice(&x.token), &plain, NULL),
              SL_E_CORRUPT);
    }
}

static void own_keys_take_none(void **state) {
    struct external x SL_CLEANUP(fini);
    external(*state, &x, ARN_A);
    struct buf own SL_CLEANUP(buf_fini) = BUF_INIT(64 * 1024);
    struct buf out SL_CLEANUP(buf_fini) = BUF_INIT(64 * 1024);
    struct buf token SL_CLEANUP(buf_fini) = BUF_INIT(8192);
    OK(keyholder_key_create(x.r->k, ARN_A, &own, NULL, NULL));
    FAILS(keyholder_import_begin(x.r->k, buf_slice(&own), KEYHOLDER_OAEP_SHA256, 2048, VALID_TO,
                                 &out, &token, NULL),
          SL_E_KMS_UNSUPPORTED);
    wrap_oaep(buf_slice(&x.public_der), true, MATERIAL, &x.wrapped);
    struct keyholder_import_request q = {.token = buf_slice(&x.token),
                                         .wrapped = buf_slice(&x.wrapped)};
    FAILS(keyholder_import(x.r->k, buf_slice(&own), &q, &out, &x.got, NULL), SL_E_KMS_UNSUPPORTED);
    FAILS(keyholder_forget(x.r->k, buf_slice(&own), SLICE_EMPTY, &out, &x.got, NULL),
          SL_E_KMS_UNSUPPORTED);
}

static void gone_and_back(void **state) {
    struct external x SL_CLEANUP(fini), twin SL_CLEANUP(fini);
    external(*state, &x, ARN_A);
    FAILS(forget(&x, ""), SL_E_KMS_MATERIAL);
    OK(import(&x, MATERIAL, KEYHOLDER_ANY_MATERIAL));
    char id[65];
    memcpy(id, x.got.id, sizeof id);
    struct buf blob SL_CLEANUP(buf_fini) = BUF_INIT(8192);
    struct buf out SL_CLEANUP(buf_fini) = BUF_INIT(64 * 1024);
    OK(encrypt(&x, &blob));
    FAILS(forget(&x, "none"), SL_E_KMS_MATERIAL);
    OK(forget(&x, ""));
    assert_string_equal(x.got.id, id);
    assert_int_equal(x.got.state, KEY_PENDING_IMPORT);
    FAILS(decrypt(&x, &blob), SL_E_KMS_INVALID_STATE);
    FAILS(encrypt(&x, &out), SL_E_KMS_INVALID_STATE);
    for (int s = KEY_ENABLED; s <= KEY_DISABLED; s++) {
        FAILS(keyholder_key_set_state(x.r->k, buf_slice(&x.record), (enum key_state)s, &out, NULL),
              SL_E_KMS_INVALID_STATE);
    }
    /* Other material is refused, as existing and as new, until the old is back. */
    FAILS(import(&x, OTHER, KEYHOLDER_ANY_MATERIAL), SL_E_KMS_MATERIAL);
    FAILS(import(&x, MATERIAL, KEYHOLDER_NEW_MATERIAL), SL_E_KMS_MATERIAL);
    buf_reset(&x.wrapped);
    wrap_oaep(buf_slice(&x.public_der), true, MATERIAL, &x.wrapped);
    struct keyholder_import_request named = {
        .material_id =
            SLICE_LIT("0000000000000000000000000000000000000000000000000000000000000000")};
    FAILS(request(&x, named), SL_E_KMS_MATERIAL);
    named.material_id = slice_cstr(id);
    OK(request(&x, named));
    assert_string_equal(x.got.id, id);
    OK(decrypt(&x, &blob));
    /* The same bytes in another key are another material. */
    external(*state, &twin, ARN_B);
    OK(import(&twin, MATERIAL, KEYHOLDER_ANY_MATERIAL));
    assert_string_not_equal(twin.got.id, id);
    FAILS(decrypt(&twin, &blob), SL_E_KMS_INVALID_CIPHERTEXT);
    /* Of a key that is to be deleted, material goes without changing its state; none comes. */
    OK(keyholder_key_set_state(x.r->k, buf_slice(&x.record), KEY_PENDING_DELETION, &out, NULL));
    buf_reset(&x.record);
    buf_put(&x.record, buf_slice(&out));
    FAILS(import(&x, MATERIAL, KEYHOLDER_ANY_MATERIAL), SL_E_KMS_INVALID_STATE);
    OK(forget(&x, id));
    assert_int_equal(x.got.state, KEY_PENDING_DELETION);
}

static struct sl_rc rotate(struct external *x, char id[65]) {
    struct buf next SL_CLEANUP(buf_fini) = BUF_INIT(64 * 1024);
    TRY(keyholder_key_rotate(x->r->k, buf_slice(&x->record), &next, id, NULL));
    buf_reset(&x->record);
    buf_put(&x->record, buf_slice(&next));
    return SL_OK;
}

static void rotation(void **state) {
    struct external x SL_CLEANUP(fini);
    external(*state, &x, ARN_A);
    OK(import(&x, MATERIAL, KEYHOLDER_NEW_MATERIAL));
    char first[65], second[65], id[65];
    memcpy(first, x.got.id, sizeof first);
    FAILS(rotate(&x, id), SL_E_KMS_INVALID_STATE);
    struct buf old SL_CLEANUP(buf_fini) = BUF_INIT(8192);
    struct buf new SL_CLEANUP(buf_fini) = BUF_INIT(8192);
    OK(encrypt(&x, &old));
    OK(import(&x, OTHER, KEYHOLDER_NEW_MATERIAL));
    memcpy(second, x.got.id, sizeof second);
    assert_true(x.got.pending);
    /* Until the rotation, the first is the current one. */
    OK(keyholder_encrypt(x.r->k, buf_slice(&x.record), NULL, SLICE_LIT("x"), &new, id, NULL));
    assert_string_equal(id, first);
    FAILS(import(&x, SLICE_LIT("0123456789abcdef0123456789abcdeh"), KEYHOLDER_NEW_MATERIAL),
          SL_E_KMS_INVALID_STATE);
    OK(import(&x, OTHER, KEYHOLDER_EXISTING_MATERIAL));
    assert_true(x.got.pending);
    /* What waits can be taken back, and something else be brought. */
    OK(forget(&x, second));
    assert_true(x.got.pending);
    assert_int_equal(x.got.state, KEY_ENABLED);
    FAILS(rotate(&x, id), SL_E_KMS_INVALID_STATE);
    FAILS(import(&x, OTHER, KEYHOLDER_EXISTING_MATERIAL), SL_E_KMS_MATERIAL);
    OK(import(&x, OTHER, KEYHOLDER_NEW_MATERIAL));
    OK(rotate(&x, id));
    assert_string_equal(id, second);
    OK(keyholder_encrypt(x.r->k, buf_slice(&x.record), NULL, SLICE_LIT("attack at dawn"), &new, id,
                         NULL));
    assert_string_equal(id, second);
    OK(decrypt(&x, &old));
    OK(decrypt(&x, &new));
    /* Each of the two is needed. */
    OK(forget(&x, first));
    FAILS(decrypt(&x, &new), SL_E_KMS_INVALID_STATE);
    OK(forget(&x, ""));
    assert_string_equal(x.got.id, second);
    OK(import(&x, OTHER, KEYHOLDER_ANY_MATERIAL));
    assert_int_equal(x.got.state, KEY_PENDING_IMPORT);
    OK(import(&x, MATERIAL, KEYHOLDER_ANY_MATERIAL));
    assert_int_equal(x.got.state, KEY_ENABLED);
    OK(decrypt(&x, &old));
    OK(decrypt(&x, &new));
}

static void record_every_byte(void **state) {
    struct external x SL_CLEANUP(fini);
    external(*state, &x, ARN_A);
    OK(import(&x, MATERIAL, KEYHOLDER_ANY_MATERIAL));
    for (size_t i = 0; i < x.record.len; i++) {
        x.record.ptr[i] ^= 4;
        FAILS(request(&x, (struct keyholder_import_request){0}), SL_E_CORRUPT);
        FAILS(forget(&x, ""), SL_E_CORRUPT);
        x.record.ptr[i] ^= 4;
    }
    OK(forget(&x, ""));
}

static void survives_restart(void **state) {
    struct rig *r = *state;
    struct external x SL_CLEANUP(fini);
    external(r, &x, ARN_A);
    OK(import(&x, MATERIAL, KEYHOLDER_ANY_MATERIAL));
    struct buf blob SL_CLEANUP(buf_fini) = BUF_INIT(8192);
    OK(encrypt(&x, &blob));
    rig_stop(r);
    assert_true(rig_start(r, false));
    OK(decrypt(&x, &blob));
    OK(import(&x, MATERIAL, KEYHOLDER_EXISTING_MATERIAL)); /* the token outlives it too */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_wrapping),     cmocka_unit_test(refusals),
        cmocka_unit_test(own_keys_take_none), cmocka_unit_test(gone_and_back),
        cmocka_unit_test(rotation),           cmocka_unit_test(record_every_byte),
        cmocka_unit_test(survives_restart),
    };
    return cmocka_run_group_tests(tests, rig_group_start, rig_group_stop);
}
