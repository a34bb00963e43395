/* Probes of key material, and the domain key under a backup's passphrase. */
#include "lib/base/limits.h"
#include "server/keys/domain.h"
#include "server/keys/record.h"
#include "tests/unit/keys/rig.h"

#define ARN SLICE_LIT("arn:aws:kms:us-east-1:000000000000:key/aaaaaaaa-0000-4000-8000-000000000001")

static void make(struct rig *r, int rotations, struct buf *ret_record) {
    OK(keyholder_key_create(r->k, ARN, ret_record, NULL, NULL));
    for (int i = 0; i < rotations; i++) {
        struct buf old SL_CLEANUP(buf_fini) = BUF_INIT(64 * 1024);
        buf_put(&old, buf_slice(ret_record));
        OK(keyholder_key_rotate(r->k, buf_slice(&old), ret_record, NULL, NULL));
    }
}

static void all_material_in_any_state(void **state) {
    struct rig *r = *state;
    for (int n = 0; n < 3; n++) {
        struct buf record SL_CLEANUP(buf_fini) = BUF_INIT(64 * 1024);
        struct buf disabled SL_CLEANUP(buf_fini) = BUF_INIT(64 * 1024);
        struct buf probe SL_CLEANUP(buf_fini) = BUF_INIT(64 * 1024);
        uint32_t proven = 0;
        make(r, n, &record);
        OK(keyholder_key_set_state(r->k, buf_slice(&record), KEY_DISABLED, &disabled, NULL));
        OK(keyholder_probe(r->k, buf_slice(&disabled), &probe, NULL));
        OK(keyholder_prove(r->k, buf_slice(&record), buf_slice(&probe), &proven, NULL));
        assert_int_equal(proven, n + 1);
    }
}

static void without_material(void **state) {
    struct rig *r = *state;
    struct buf record SL_CLEANUP(buf_fini) = BUF_INIT(64 * 1024);
    struct buf probe SL_CLEANUP(buf_fini) = BUF_INIT(64 * 1024);
    uint32_t proven = 7;
    OK(keyholder_key_create_empty(r->k, ARN, &record, NULL));
    OK(keyholder_probe(r->k, buf_slice(&record), &probe, NULL));
    assert_int_equal(probe.len, 0);
    OK(keyholder_prove(r->k, buf_slice(&record), SLICE_EMPTY, &proven, NULL));
    assert_int_equal(proven, 0);
}

static void every_byte_of_a_probe(void **state) {
    struct rig *r = *state;
    struct buf record SL_CLEANUP(buf_fini) = BUF_INIT(64 * 1024);
    struct buf probe SL_CLEANUP(buf_fini) = BUF_INIT(64 * 1024);
    uint32_t proven;
    make(r, 1, &record);
    OK(keyholder_probe(r->k, buf_slice(&record), &probe, NULL));
    for (size_t i = 0; i < probe.len; i++) {
        probe.ptr[i] ^= 1;
        FAILS(keyholder_prove(r->k, buf_slice(&record), buf_slice(&probe), &proven, NULL),
              SL_E_CORRUPT);
        probe.ptr[i] ^= 1;
        FAILS(keyholder_prove(r->k, buf_slice(&record), slice_sub(buf_slice(&probe), 0, i), &proven,
                              NULL),
              SL_E_CORRUPT);
    }
    buf_putc(&probe, 0);
    FAILS(keyholder_prove(r->k, buf_slice(&record), buf_slice(&probe), &proven, NULL),
          SL_E_CORRUPT);
}

/* A record that was altered, one before a rotation, another key's of the same name. */
static void other_records(void **state) {
    struct rig *r = *state;
    struct buf record SL_CLEANUP(buf_fini) = BUF_INIT(64 * 1024);
    struct buf rotated SL_CLEANUP(buf_fini) = BUF_INIT(64 * 1024);
    struct buf other SL_CLEANUP(buf_fini) = BUF_INIT(64 * 1024);
    struct buf probe SL_CLEANUP(buf_fini) = BUF_INIT(64 * 1024);
    uint32_t proven;
    make(r, 0, &record);
    make(r, 0, &other);
    OK(keyholder_key_rotate(r->k, buf_slice(&record), &rotated, NULL, NULL));
    OK(keyholder_probe(r->k, buf_slice(&rotated), &probe, NULL));
    FAILS(keyholder_prove(r->k, buf_slice(&record), buf_slice(&probe), &proven, NULL),
          SL_E_CORRUPT);
    FAILS(keyholder_prove(r->k, buf_slice(&other), buf_slice(&probe), &proven, NULL), SL_E_CORRUPT);
    rotated.ptr[rotated.len / 2] ^= 1;
    FAILS(keyholder_probe(r->k, buf_slice(&rotated), &other, NULL), SL_E_CORRUPT);
    FAILS(keyholder_prove(r->k, buf_slice(&rotated), buf_slice(&probe), &proven, NULL),
          SL_E_CORRUPT);
}

/* Over the control socket only; what it answers is the same domain key. */
static void wrapped_for_a_backup(void **state) {
    struct rig *r = *state;
    struct secret word SL_CLEANUP(secret_fini) = {0};
    struct domain d SL_CLEANUP(domain_fini) = {0};
    struct domain own SL_CLEANUP(domain_fini) = {0};
    struct buf answer SL_CLEANUP(buf_fini) = BUF_INIT(LIMIT_DOMAIN_FILE_BYTES);
    struct buf file SL_CLEANUP(buf_fini) = BUF_INIT(LIMIT_DOMAIN_FILE_BYTES);
    int64_t deadline = clock_mono_ms() + 60 * 1000;
    uint8_t type = 0;
    OK(secret_from(&word, SLICE_LIT("correct horse battery")));
    OK(frame_send(r->control, KEYHOLDER_WRAP, SLICE_LIT("short"), deadline));
    OK(frame_recv(r->control, &type, &answer, deadline));
    assert_int_equal(type, KEYHOLDER_ERROR);
    buf_reset(&answer);
    OK(frame_send(r->control, KEYHOLDER_WRAP, secret_view(&word), deadline));
    OK(frame_recv(r->control, &type, &answer, deadline));
    assert_int_equal(type, KEYHOLDER_WRAP);
    OK(domain_unwrap(buf_slice(&answer), NULL, &word, &d, NULL));
    FILE *f = fopen(r->domain, "rb");
    file.len = fread(buf_reserve(&file, 1024), 1, 1024, f);
    fclose(f);
    OK(domain_unwrap(buf_slice(&file), r->root, NULL, &own, NULL));
    assert_true(secret_equal(secret_view(&d.key), secret_view(&own.key)));
    struct keyholder *k = rig_channel(r); /* it still takes channels */
    keyholder_close(k);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_material_in_any_state), cmocka_unit_test(without_material),
        cmocka_unit_test(every_byte_of_a_probe),     cmocka_unit_test(other_records),
        cmocka_unit_test(wrapped_for_a_backup),
    };
    return cmocka_run_group_tests(tests, rig_group_start, rig_group_stop);
}
