/* The keyholder through its client: keys, uses, secrets of kms, channels. */
#include "lib/base/limits.h"
#include "tests/unit/keys/rig.h"

#define ARN_A                                                                                      \
    SLICE_LIT("arn:aws:kms:us-east-1:000000000000:key/aaaaaaaa-0000-4000-8000-000000000001")
#define ARN_B                                                                                      \
    SLICE_LIT("arn:aws:kms:us-east-1:000000000000:key/bbbbbbbb-0000-4000-8000-000000000002")

static const struct context_pair pair_a[] = {{SLICE_LIT("a"), SLICE_LIT("bc")}};
static const struct context CONTEXT = {pair_a, 1};
static const struct context NO_CONTEXT = {NULL, 0};

/* Record and blob of a fresh key. */
struct made {
    struct buf record;
    struct buf blob;
    char id[65];
};

static void make(struct rig *r, struct made *m, struct slice arn) {
    m->record = BUF_INIT(64 * 1024);
    m->blob = BUF_INIT(8192);
    char used[65];
    OK(keyholder_key_create(r->k, arn, &m->record, m->id, NULL));
    OK(keyholder_encrypt(r->k, buf_slice(&m->record), &CONTEXT, SLICE_LIT("attack at dawn"),
                         &m->blob, used, NULL));
    assert_string_equal(m->id, used);
    assert_int_equal(strspn(m->id, "0123456789abcdef"), 64);
}

static void unmake(struct made *m) {
    buf_fini(&m->record);
    buf_fini(&m->blob);
}

static struct sl_rc decrypt(struct rig *r, struct slice record, const struct context *c,
                            struct slice blob) {
    struct secret plain = {0};
    struct sl_rc rc = keyholder_decrypt(r->k, record, c, blob, &plain, NULL, NULL);
    if (sl_is_ok(rc)) {
        assert_true(slice_eq(secret_view(&plain), SLICE_LIT("attack at dawn")));
        secret_fini(&plain);
    } else {
        assert_null(plain.ptr);
    }
    return rc;
}

static void round_trip(void **state) {
    struct rig *r = *state;
    struct made m;
    make(r, &m, ARN_A);
    OK(decrypt(r, buf_slice(&m.record), &CONTEXT, buf_slice(&m.blob)));
    struct slice arn;
    OK(keyholder_blob_key_arn(buf_slice(&m.blob), &arn));
    assert_true(slice_eq(arn, ARN_A));
    struct buf again SL_CLEANUP(buf_fini) = BUF_INIT(8192);
    OK(keyholder_encrypt(r->k, buf_slice(&m.record), &CONTEXT, SLICE_LIT("attack at dawn"), &again,
                         NULL, NULL));
    assert_false(slice_eq(buf_slice(&again), buf_slice(&m.blob)));
    unmake(&m);
}

static void blob_every_byte(void **state) {
    struct rig *r = *state;
    struct made m;
    make(r, &m, ARN_A);
    for (size_t i = 0; i < m.blob.len; i++) {
        m.blob.ptr[i] ^= 1;
        FAILS(decrypt(r, buf_slice(&m.record), &CONTEXT, buf_slice(&m.blob)),
              SL_E_KMS_INVALID_CIPHERTEXT);
        m.blob.ptr[i] ^= 1;
        FAILS(decrypt(r, buf_slice(&m.record), &CONTEXT, slice_sub(buf_slice(&m.blob), 0, i)),
              SL_E_KMS_INVALID_CIPHERTEXT);
    }
    buf_putc(&m.blob, 0);
    FAILS(decrypt(r, buf_slice(&m.record), &CONTEXT, buf_slice(&m.blob)),
          SL_E_KMS_INVALID_CIPHERTEXT);
    unmake(&m);
}

static void record_every_byte(void **state) {
    struct rig *r = *state;
    struct made m;
    make(r, &m, ARN_A);
    struct buf out SL_CLEANUP(buf_fini) = BUF_INIT(64 * 1024);
    for (size_t i = 0; i < m.record.len; i++) {
        for (int bit = 0; bit < 8; bit += 3) {
            m.record.ptr[i] ^= (uint8_t)(1 << bit);
            FAILS(keyholder_encrypt(r->k, buf_slice(&m.record), &CONTEXT, SLICE_LIT("x"), &out,
                                    NULL, NULL),
                  SL_E_CORRUPT);
            m.record.ptr[i] ^= (uint8_t)(1 << bit);
        }
        m.record.ptr[i] ^= 2;
        struct slice bad = buf_slice(&m.record);
        FAILS(decrypt(r, bad, &CONTEXT, buf_slice(&m.blob)), SL_E_CORRUPT);
        FAILS(keyholder_key_set_state(r->k, bad, KEY_ENABLED, &out, NULL), SL_E_CORRUPT);
        FAILS(keyholder_key_rotate(r->k, bad, &out, NULL, NULL), SL_E_CORRUPT);
        FAILS(keyholder_data_key(r->k, bad, &CONTEXT, 32, NULL, &out, NULL, NULL), SL_E_CORRUPT);
        m.record.ptr[i] ^= 2;
        FAILS(decrypt(r, slice_sub(buf_slice(&m.record), 0, i), &CONTEXT, buf_slice(&m.blob)),
              SL_E_CORRUPT);
    }
    OK(decrypt(r, buf_slice(&m.record), &CONTEXT, buf_slice(&m.blob)));
    unmake(&m);
}

static void contexts(void **state) {
    struct rig *r = *state;
    struct made m;
    make(r, &m, ARN_A);
#define P(n, v)                                                                                    \
    { SLICE_LIT(n), SLICE_LIT(v) }
    static const struct context_pair two[] = {P("x", "1"), P("y", "2")};
    static const struct context_pair swapped[] = {P("y", "2"), P("x", "1")};
    struct buf blob SL_CLEANUP(buf_fini) = BUF_INIT(8192);
    struct context c = {two, 2};
    OK(keyholder_encrypt(r->k, buf_slice(&m.record), &c, SLICE_LIT("attack at dawn"), &blob, NULL,
                         NULL));
    OK(decrypt(r, buf_slice(&m.record), &(struct context){swapped, 2}, buf_slice(&blob)));
    static const struct context_pair others[][2] = {
        {P("a", "b"), P("c", "")},  {P("ab", "c"), P("", "")},  {P("", "abc"), P("z", "")},
        {P("abc", ""), P("z", "")}, {P("a", "bd"), P("z", "")}, {P("A", "bc"), P("z", "")},
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        for (size_t n = 0; n <= 2; n++) {
            struct context other = {others[i], n};
            FAILS(decrypt(r, buf_slice(&m.record), &other, buf_slice(&m.blob)),
                  SL_E_KMS_INVALID_CIPHERTEXT);
        }
    }
    static const struct context_pair more[] = {P("a", "bc"), P("d", "")};
    FAILS(decrypt(r, buf_slice(&m.record), &(struct context){more, 2}, buf_slice(&m.blob)),
          SL_E_KMS_INVALID_CIPHERTEXT);
    static const struct context_pair twice[] = {P("a", "bc"), P("a", "bc")};
    FAILS(decrypt(r, buf_slice(&m.record), &(struct context){twice, 2}, buf_slice(&m.blob)),
          SL_E_VALIDATION);
    unmake(&m);
}

static void other_key(void **state) {
    struct rig *r = *state;
    struct made a, b, twin;
    make(r, &a, ARN_A);
    make(r, &b, ARN_B);
    make(r, &twin, ARN_A); /* same name, another backing key */
    FAILS(decrypt(r, buf_slice(&b.record), &CONTEXT, buf_slice(&a.blob)),
          SL_E_KMS_INVALID_CIPHERTEXT);
    FAILS(decrypt(r, buf_slice(&twin.record), &CONTEXT, buf_slice(&a.blob)),
          SL_E_KMS_INVALID_CIPHERTEXT);
    /* A's blob under B's name, and with the twin's backing key named. */
    memcpy(a.blob.ptr + 4, ARN_B.ptr, ARN_B.len);
    FAILS(decrypt(r, buf_slice(&b.record), &CONTEXT, buf_slice(&a.blob)),
          SL_E_KMS_INVALID_CIPHERTEXT);
    memcpy(a.blob.ptr + 4, ARN_A.ptr, ARN_A.len);
    memcpy(a.blob.ptr + 4 + ARN_A.len, twin.blob.ptr + 4 + ARN_A.len, 16);
    FAILS(decrypt(r, buf_slice(&twin.record), &CONTEXT, buf_slice(&a.blob)),
          SL_E_KMS_INVALID_CIPHERTEXT);
    unmake(&a);
    unmake(&b);
    unmake(&twin);
}

static void states(void **state) {
    struct rig *r = *state;
    struct made m;
    make(r, &m, ARN_A);
    static const struct {
        enum key_state state;
        enum sl_code code;
    } cases[] = {
        {KEY_DISABLED, SL_E_KMS_DISABLED},
        {KEY_PENDING_DELETION, SL_E_KMS_INVALID_STATE},
        {KEY_PENDING_IMPORT, SL_E_KMS_INVALID_STATE},
        {KEY_ENABLED, SL_CODE_OK},
    };
    struct buf record SL_CLEANUP(buf_fini) = BUF_INIT(64 * 1024);
    struct buf out SL_CLEANUP(buf_fini) = BUF_INIT(64 * 1024);
    buf_put(&record, buf_slice(&m.record));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        OK(keyholder_key_set_state(r->k, buf_slice(&record), cases[i].state, &out, NULL));
        struct buf t = record;
        record = out;
        out = t;
        struct slice s = buf_slice(&record);
        enum sl_code want = cases[i].code;
        assert_int_equal(decrypt(r, s, &CONTEXT, buf_slice(&m.blob)).code, want);
        assert_int_equal(
            keyholder_encrypt(r->k, s, &CONTEXT, SLICE_LIT("x"), &out, NULL, NULL).code, want);
        assert_int_equal(keyholder_data_key(r->k, s, &CONTEXT, 32, NULL, &out, NULL, NULL).code,
                         want);
        assert_int_equal(keyholder_key_rotate(r->k, s, &out, NULL, NULL).code, want);
    }
    FAILS(keyholder_key_set_state(r->k, buf_slice(&record), (enum key_state)5, &out, NULL),
          SL_E_VALIDATION);
    FAILS(keyholder_key_set_state(r->k, buf_slice(&record), (enum key_state)0, &out, NULL),
          SL_E_VALIDATION);
    unmake(&m);
}

static void rotation(void **state) {
    struct rig *r = *state;
    struct made m;
    make(r, &m, ARN_A);
    struct buf record SL_CLEANUP(buf_fini) = BUF_INIT(64 * 1024);
    struct buf next SL_CLEANUP(buf_fini) = BUF_INIT(64 * 1024);
    buf_put(&record, buf_slice(&m.record));
    char id[65];
    for (int i = 1; i < LIMIT_KMS_BACKING_KEYS; i++) {
        OK(keyholder_key_rotate(r->k, buf_slice(&record), &next, id, NULL));
        assert_string_not_equal(id, m.id);
        struct buf t = record;
        record = next;
        next = t;
    }
    FAILS(keyholder_key_rotate(r->k, buf_slice(&record), &next, NULL, NULL), SL_E_KMS_LIMIT);
    OK(decrypt(r, buf_slice(&record), &CONTEXT, buf_slice(&m.blob)));
    struct buf blob SL_CLEANUP(buf_fini) = BUF_INIT(8192);
    char used[65];
    OK(keyholder_encrypt(r->k, buf_slice(&record), &CONTEXT, SLICE_LIT("attack at dawn"), &blob,
                         used, NULL));
    assert_string_equal(used, id);
    struct secret plain = {0};
    OK(keyholder_decrypt(r->k, buf_slice(&record), &CONTEXT, buf_slice(&m.blob), &plain, used,
                         NULL));
    assert_string_equal(used, m.id);
    secret_fini(&plain);
    /* The record from before the rotation does not know the new key. */
    FAILS(decrypt(r, buf_slice(&m.record), &CONTEXT, buf_slice(&blob)),
          SL_E_KMS_INVALID_CIPHERTEXT);
    unmake(&m);
}

static void data_keys(void **state) {
    struct rig *r = *state;
    struct made m;
    make(r, &m, ARN_A);
    static const size_t lens[] = {1, 16, 32, LIMIT_KMS_DATA_KEY_BYTES};
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        struct secret made = {0};
        struct secret opened = {0};
        struct buf blob SL_CLEANUP(buf_fini) = BUF_INIT(8192);
        OK(keyholder_data_key(r->k, buf_slice(&m.record), &NO_CONTEXT, lens[i], &made, &blob, NULL,
                              NULL));
        assert_int_equal(made.len, lens[i]);
        OK(keyholder_decrypt(r->k, buf_slice(&m.record), &NO_CONTEXT, buf_slice(&blob), &opened,
                             NULL, NULL));
        assert_true(secret_equal(secret_view(&made), secret_view(&opened)));
        secret_fini(&made);
        secret_fini(&opened);
        OK(keyholder_data_key(r->k, buf_slice(&m.record), NULL, lens[i], NULL, &blob, NULL, NULL));
        OK(keyholder_decrypt(r->k, buf_slice(&m.record), NULL, buf_slice(&blob), &opened, NULL,
                             NULL));
        assert_int_equal(opened.len, lens[i]);
        secret_fini(&opened);
    }
    FAILS(keyholder_data_key(r->k, buf_slice(&m.record), NULL, 0, NULL, &m.blob, NULL, NULL),
          SL_E_VALIDATION);
    FAILS(keyholder_data_key(r->k, buf_slice(&m.record), NULL, LIMIT_KMS_DATA_KEY_BYTES + 1, NULL,
                             &m.blob, NULL, NULL),
          SL_E_VALIDATION);
    unmake(&m);
}

/* More than one message holds; each use has its own end. */
static void uses_together(void **state) {
    enum { COUNT = 150 };
    struct rig *r = *state;
    struct made m;
    static char text[LIMIT_KMS_PLAINTEXT_BYTES + 1];
    static struct keyholder_use uses[COUNT];
    struct keyholder_use *all[COUNT];
    struct sl_error errs[3] = {0};
    struct buf off SL_CLEANUP(buf_fini) = BUF_INIT(64 * 1024);
    make(r, &m, ARN_A);
    OK(keyholder_key_set_state(r->k, buf_slice(&m.record), KEY_DISABLED, &off, NULL));
    for (size_t i = 0; i < COUNT; i++) {
        uses[i] =
            (struct keyholder_use){.kind = i % 3 == 0   ? KEYHOLDER_USE_ENCRYPT
                                           : i % 3 == 1 ? KEYHOLDER_USE_DECRYPT
                                                        : KEYHOLDER_USE_DATA_KEY,
                                   .record = buf_slice(&m.record),
                                   .context = &CONTEXT,
                                   .input = i % 3 == 0 ? slice_of(text, i + 1) : buf_slice(&m.blob),
                                   .bytes = i + 1,
                                   .blind = i == 5,
                                   .blob = BUF_INIT(LIMIT_KMS_CIPHERTEXT_BYTES)};
        all[i] = &uses[i];
    }
    uses[0].input = slice_of(text, sizeof text); /* refused there */
    uses[2].bytes = 0;                           /* refused here */
    uses[70].context = &NO_CONTEXT;
    uses[74].record = buf_slice(&off);
    uses[0].err = &errs[0];
    uses[74].err = &errs[1];
    keyholder_uses(r->k, all, COUNT);
    FAILS(uses[0].rc, SL_E_VALIDATION);
    FAILS(uses[2].rc, SL_E_VALIDATION);
    FAILS(uses[70].rc, SL_E_KMS_INVALID_CIPHERTEXT);
    FAILS(uses[74].rc, SL_E_KMS_DISABLED);
    assert_non_null(strstr(errs[0].detail, "plaintext is longer"));
    assert_non_null(strstr(errs[1].detail, "is disabled."));
    for (size_t i = 0; i < COUNT; i++) {
        if (i == 0 || i == 2 || i == 70 || i == 74) {
            assert_null(uses[i].plaintext.ptr);
        } else {
            OK(uses[i].rc);
            assert_int_equal(strlen(uses[i].material_id), 64);
            assert_int_equal(uses[i].blob.len > 0, i % 3 != 1);
            assert_int_equal(uses[i].plaintext.len, i % 3 == 0 || i == 5 ? 0
                                                    : i % 3 == 1         ? 14
                                                                         : i + 1);
        }
        secret_fini(&uses[i].plaintext);
        buf_fini(&uses[i].blob);
    }
    unmake(&m);
}

static void limits(void **state) {
    struct rig *r = *state;
    static char text[LIMIT_FRAME_BYTES + 1];
    struct buf record SL_CLEANUP(buf_fini) = BUF_INIT(64 * 1024);
    struct buf blob SL_CLEANUP(buf_fini) = BUF_INIT(8192);
    FAILS(keyholder_key_create(r->k, SLICE_EMPTY, &record, NULL, NULL), SL_E_LIMIT);
    FAILS(keyholder_key_create(r->k, slice_of(text, KEY_ARN_MAX + 1), &record, NULL, NULL),
          SL_E_LIMIT);
    memset(text, 'a', sizeof text);
    OK(keyholder_key_create(r->k, slice_of(text, KEY_ARN_MAX), &record, NULL, NULL));
    OK(keyholder_encrypt(r->k, buf_slice(&record), NULL, slice_of(text, LIMIT_KMS_PLAINTEXT_BYTES),
                         &blob, NULL, NULL));
    assert_true(blob.len <= LIMIT_KMS_CIPHERTEXT_BYTES);
    FAILS(keyholder_encrypt(r->k, buf_slice(&record), NULL,
                            slice_of(text, LIMIT_KMS_PLAINTEXT_BYTES + 1), &blob, NULL, NULL),
          SL_E_VALIDATION);
    FAILS(keyholder_encrypt(r->k, buf_slice(&record), NULL, slice_of(text, sizeof text), &blob,
                            NULL, NULL),
          SL_E_LIMIT);
    FAILS(keyholder_seal(r->k, "p", SLICE_EMPTY, slice_of(text, SECRET_MAX_BYTES + 1), &blob, NULL),
          SL_E_LIMIT);
    /* The channel is as good as before. */
    OK(keyholder_encrypt(r->k, buf_slice(&record), NULL, SLICE_LIT("x"), &blob, NULL, NULL));
}

static struct sl_rc unseal(struct rig *r, const char *purpose, struct slice aad, struct slice s) {
    struct secret plain = {0};
    struct sl_rc rc = keyholder_unseal(r->k, purpose, aad, s, &plain, NULL);
    if (sl_is_ok(rc)) {
        assert_true(slice_eq(secret_view(&plain), SLICE_LIT("key material")));
    }
    secret_fini(&plain);
    return rc;
}

static void seals(void **state) {
    struct rig *r = *state;
    struct buf s SL_CLEANUP(buf_fini) = BUF_INIT(128 * 1024);
    struct slice aad = SLICE_LIT("AKIAEXAMPLE");
    OK(keyholder_seal(r->k, "iam-secret", aad, SLICE_LIT("key material"), &s, NULL));
    OK(unseal(r, "iam-secret", aad, buf_slice(&s)));
    FAILS(unseal(r, "tls-key", aad, buf_slice(&s)), SL_E_CORRUPT);
    FAILS(unseal(r, "iam-secre", SLICE_LIT("tAKIAEXAMPLE"), buf_slice(&s)), SL_E_CORRUPT);
    FAILS(unseal(r, "iam-secret", SLICE_LIT("AKIAOTHER"), buf_slice(&s)), SL_E_CORRUPT);
    FAILS(unseal(r, "iam-secret", aad, SLICE_EMPTY), SL_E_CORRUPT);
    for (size_t i = 0; i < s.len; i++) {
        s.ptr[i] ^= 0x80;
        FAILS(unseal(r, "iam-secret", aad, buf_slice(&s)), SL_E_CORRUPT);
        s.ptr[i] ^= 0x80;
        FAILS(unseal(r, "iam-secret", aad, slice_sub(buf_slice(&s), 0, i)), SL_E_CORRUPT);
    }
    FAILS(keyholder_seal(r->k, "", aad, SLICE_LIT("x"), &s, NULL), SL_E_LIMIT);
    static char text[SECRET_MAX_BYTES];
    struct secret plain = {0};
    OK(keyholder_seal(r->k, "big", SLICE_EMPTY, slice_of(text, sizeof text), &s, NULL));
    OK(keyholder_unseal(r->k, "big", SLICE_EMPTY, buf_slice(&s), &plain, NULL));
    assert_int_equal(plain.len, sizeof text);
    secret_fini(&plain);
}

static void derives(void **state) {
    struct rig *r = *state;
    struct secret a = {0}, b = {0}, c = {0};
    OK(keyholder_derive(r->k, "session-token", &a, NULL));
    OK(keyholder_derive(r->k, "session-token", &b, NULL));
    OK(keyholder_derive(r->k, "session-toke", &c, NULL));
    assert_int_equal(a.len, 32);
    assert_true(secret_equal(secret_view(&a), secret_view(&b)));
    assert_false(secret_equal(secret_view(&a), secret_view(&c)));
    secret_fini(&a);
    secret_fini(&b);
    secret_fini(&c);
    FAILS(keyholder_derive(r->k, "", &a, NULL), SL_E_LIMIT);
}

static void channels(void **state) {
    struct rig *r = *state;
    struct keyholder *more[KEYHOLDER_CHANNELS_MAX] = {0};
    struct secret s = {0};
    for (int round = 0; round < 2; round++) { /* slots come back */
        size_t n = 0;
        struct sl_rc rc;
        for (int tries = 0; tries < 200 && n < KEYHOLDER_CHANNELS_MAX - 1; tries++) {
            rc = keyholder_fork(r->k, &more[n], NULL);
            n += sl_is_ok(rc);
            if (sl_failed(rc)) {
                usleep(5000); /* the threads of the round before are ending */
            }
        }
        assert_int_equal(n, KEYHOLDER_CHANNELS_MAX - 1);
        FAILS(keyholder_fork(r->k, &more[n], NULL), SL_E_LIMIT);
        OK(keyholder_derive(more[n - 1], "x", &s, NULL));
        secret_fini(&s);
        for (size_t i = 0; i < n; i++) {
            keyholder_close(more[i]);
        }
    }
}

static void *hammer(void *user) {
    struct keyholder *k = user;
    struct buf record SL_CLEANUP(buf_fini) = BUF_INIT(64 * 1024);
    struct buf blob SL_CLEANUP(buf_fini) = BUF_INIT(8192);
    bool ok = sl_is_ok(keyholder_key_create(k, ARN_A, &record, NULL, NULL));
    for (int i = 0; i < 300 && ok; i++) {
        struct secret a = {0}, b = {0};
        ok = sl_is_ok(
                 keyholder_data_key(k, buf_slice(&record), &CONTEXT, 32, &a, &blob, NULL, NULL)) &&
             sl_is_ok(keyholder_decrypt(k, buf_slice(&record), &CONTEXT, buf_slice(&blob), &b, NULL,
                                        NULL)) &&
             secret_equal(secret_view(&a), secret_view(&b));
        secret_fini(&a);
        secret_fini(&b);
    }
    keyholder_close(k);
    return ok ? user : NULL;
}

static void channels_work_at_once(void **state) {
    struct rig *r = *state;
    pthread_t t[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&t[i], NULL, hammer, rig_channel(r)), 0);
    }
    for (int i = 0; i < 4; i++) {
        void *ok = NULL;
        pthread_join(t[i], &ok);
        assert_non_null(ok);
    }
}

/* What a taken-over kms may send. */
static void bad_requests(void **state) {
    struct rig *r = *state;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    OK(frame_send_fd(r->control, KEYHOLDER_CHANNEL, SLICE_EMPTY, pair[1]));
    close(pair[1]);
    struct buf answer SL_CLEANUP(buf_fini) = BUF_INIT(4096);
    uint8_t type;
    for (int op = 0; op < 256; op++) {
        OK(frame_send(pair[0], (uint8_t)op, SLICE_LIT("\xff\xff\xff\xff\1\2\3"), 0));
        OK(frame_recv(pair[0], &type, &answer, clock_mono_ms() + 10000));
        assert_int_equal(type, KEYHOLDER_ERROR);
    }
    OK(frame_send_fd(pair[0], KEYHOLDER_DERIVE, SLICE_LIT("\0\1x"), pair[0])); /* a stray one */
    OK(frame_recv(pair[0], &type, &answer, clock_mono_ms() + 10000));
    assert_int_equal(type, KEYHOLDER_OK);
    assert_int_equal(answer.len, 32);
    static const uint8_t huge[] = {0xff, 0xff, 0xff, 0xff, 1};
    assert_int_equal(send(pair[0], huge, sizeof huge, 0), sizeof huge);
    FAILS(frame_recv(pair[0], &type, &answer, clock_mono_ms() + 10000), SL_E_CLOSED);
    close(pair[0]);
}

static void survives_restart(void **state) {
    struct rig *r = *state;
    struct made m;
    make(r, &m, ARN_A);
    rig_stop(r);
    assert_true(rig_start(r, false));
    OK(decrypt(r, buf_slice(&m.record), &CONTEXT, buf_slice(&m.blob)));
    unmake(&m);
}

static void foreign_domain(void **state) {
    struct rig *r = *state;
    struct rig other;
    struct made m;
    make(r, &m, ARN_A);
    rig_folder(&other);
    assert_true(rig_start(&other, true));
    FAILS(decrypt(&other, buf_slice(&m.record), &CONTEXT, buf_slice(&m.blob)), SL_E_CORRUPT);
    rig_stop(&other);
    rig_remove(&other);
    unmake(&m);
}

static void dead_keyholder(void **state) {
    int pair[2];
    struct keyholder *k = NULL;
    struct secret s = {0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    OK(keyholder_open(pair[0], &k, NULL));
    close(pair[1]);
    FAILS(keyholder_derive(k, "x", &s, NULL), SL_E_CLOSED);
    FAILS(keyholder_derive(k, "x", &s, NULL), SL_E_CLOSED);
    keyholder_close(k);
    keyholder_close(NULL);
}

static void audit_chain(void **state) {
    struct rig *r = *state;
    static const uint8_t zero[32];
    uint64_t seq = 0;
    struct keyholder_audit_entry e[3] = {
        {.record = SLICE_LIT("{1}")}, {.record = SLICE_LIT("{2}")}, {.record = SLICE_LIT("{3}")}};
    FAILS(keyholder_audit_mac(r->k, 7, e, 1, &seq, NULL), SL_E_INTERNAL);
    OK(keyholder_audit_begin(r->k, 7, 40, zero, NULL));
    FAILS(keyholder_audit_mac(r->k, 8, e, 1, &seq, NULL), SL_E_INTERNAL);
    FAILS(keyholder_audit_mac(r->k, 7, e, 0, &seq, NULL), SL_E_PARSE);
    OK(keyholder_audit_mac(r->k, 7, e, 1, &seq, NULL));
    assert_int_equal(seq, 40);
    OK(keyholder_audit_mac(r->k, 7, e + 1, 2, &seq, NULL));
    assert_int_equal(seq, 41);
    size_t good = 0;
    OK(keyholder_audit_check(r->k, 7, 40, zero, e, 3, &good, NULL));
    assert_int_equal(good, 3);
    OK(keyholder_audit_check(r->k, 7, 41, e[0].mac, e + 1, 2, &good, NULL));
    assert_int_equal(good, 2);
    OK(keyholder_audit_check(r->k, 8, 40, zero, e, 3, &good, NULL));
    assert_int_equal(good, 0);
    OK(keyholder_audit_check(r->k, 7, 41, zero, e, 3, &good, NULL));
    assert_int_equal(good, 0);
    e[1].record = SLICE_LIT("{x}");
    OK(keyholder_audit_check(r->k, 7, 40, zero, e, 3, &good, NULL));
    assert_int_equal(good, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(audit_chain),     cmocka_unit_test(round_trip),
        cmocka_unit_test(blob_every_byte), cmocka_unit_test(record_every_byte),
        cmocka_unit_test(contexts),        cmocka_unit_test(other_key),
        cmocka_unit_test(states),          cmocka_unit_test(rotation),
        cmocka_unit_test(data_keys),       cmocka_unit_test(limits),
        cmocka_unit_test(seals),           cmocka_unit_test(derives),
        cmocka_unit_test(channels),        cmocka_unit_test(channels_work_at_once),
        cmocka_unit_test(bad_requests),    cmocka_unit_test(survives_restart),
        cmocka_unit_test(foreign_domain),  cmocka_unit_test(dead_keyholder),
        cmocka_unit_test(uses_together),
    };
    return cmocka_run_group_tests(tests, rig_group_start, rig_group_stop);
}
