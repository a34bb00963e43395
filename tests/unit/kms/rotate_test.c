/* Automatic rotation: when it is due, what pauses it, what shows it; the clock is the test's. */
#include "tests/unit/kms/kms_rig.h"

#define HELLO64 "aGVsbG8="
#define DAY KMS_DAY_MS

static size_t rotations(struct kms_rig *r, const char *key) {
    OK(RUN(r, &r->admin, "ListKeyRotations", "{\"KeyId\":\"%s\"}", key));
    return json_get(r->answer, "Rotations")->count;
}

static const char *material(struct kms_rig *r, const char *key) {
    OK(RUN(r, &r->admin, "DescribeKey", "{\"KeyId\":\"%s\"}", key));
    return got(r, "CurrentKeyMaterialId");
}

/* Milliseconds to the next rotation; -1: none. */
static int64_t next_in(struct kms_rig *r, const char *key) {
    OK(RUN(r, &r->admin, "GetKeyRotationStatus", "{\"KeyId\":\"%s\"}", key));
    const struct json *next = json_get(r->answer, "NextRotationDate");
    assert_true(json_get(r->answer, "KeyRotationEnabled")->boolean == (next != NULL));
    return next ? (int64_t)(next->real * 1000 + 0.5) - r->env.now_ms : -1;
}

static int done;

static struct sl_rc count(void *user, const struct key_row *k, struct sl_error *err) {
    done++;
    return SL_OK;
}

static void due(void **state) {
    struct kms_rig *r = *state;
    const char *key = new_key(r), *other = new_key(r), *first = material(r, key);
    assert_int_equal(next_in(r, key), -1);
    OK(RUN(r, &r->admin, "EnableKeyRotation", "{\"KeyId\":\"%s\"}", key));
    assert_int_equal(next_in(r, key), 365 * DAY);
    assert_int_equal(json_get(r->answer, "RotationPeriodInDays")->integer, 365);
    OK(RUN(r, &r->admin, "Encrypt", "{\"KeyId\":\"%s\",\"Plaintext\":\"" HELLO64 "\"}", key));
    const char *blob = got(r, "CiphertextBlob");
    r->env.now_ms += 365 * DAY - 1;
    OK(kms_rotate(&r->env, count, r, &r->err));
    assert_string_equal(material(r, key), first);
    r->env.now_ms += 1;
    OK(kms_rotate(&r->env, count, r, &r->err));
    assert_int_equal(done, 1);
    const char *second = material(r, key);
    assert_string_not_equal(second, first);
    assert_int_equal(rotations(r, key), 1);
    const struct json *e = json_get(r->answer, "Rotations")->child;
    assert_string_equal(arena_cstr(&r->a, json_get(e, "RotationType")->text), "AUTOMATIC");
    assert_int_equal(rotations(r, other), 0);
    assert_int_equal(next_in(r, key), 365 * DAY);
    OK(kms_rotate(&r->env, count, r, &r->err));
    assert_string_equal(material(r, key), second);
    /* The old material still opens what it sealed. */
    OK(RUN(r, &r->admin, "Decrypt", "{\"CiphertextBlob\":\"%s\"}", blob));
    assert_string_equal(got(r, "KeyMaterialId"), first);
    /* On demand leaves the schedule as it is, and is counted apart. */
    r->env.now_ms += 10 * DAY;
    for (int i = 0; i < 25; i++) {
        OK(RUN(r, &r->admin, "RotateKeyOnDemand", "{\"KeyId\":\"%s\"}", key));
    }
    FAILS(RUN(r, &r->admin, "RotateKeyOnDemand", "{\"KeyId\":\"%s\"}", key), SL_E_KMS_LIMIT);
    assert_int_equal(next_in(r, key), 355 * DAY);
    r->env.now_ms += 355 * DAY;
    OK(kms_rotate(&r->env, count, r, &r->err));
    assert_int_equal(rotations(r, key), 27);
    OK(RUN(r, &r->admin, "DisableKeyRotation", "{\"KeyId\":\"%s\"}", key));
    assert_int_equal(next_in(r, key), -1);
    r->env.now_ms += 3000 * DAY;
    OK(kms_rotate(&r->env, count, r, &r->err));
    assert_int_equal(rotations(r, key), 27);
}

static void periods(void **state) {
    static const struct {
        int days;
        bool ok;
    } cases[] = {{89, false}, {90, true}, {2560, true}, {2561, false}};
    struct kms_rig *r = *state;
    const char *key = new_key(r);
    for (size_t i = 0; i < 4; i++) {
        struct sl_rc rc = RUN(r, &r->admin, "EnableKeyRotation",
                              "{\"KeyId\":\"%s\",\"RotationPeriodInDays\":%d}", key, cases[i].days);
        assert_int_equal(rc.code, cases[i].ok ? SL_CODE_OK : SL_E_VALIDATION);
    }
    assert_int_equal(next_in(r, key), 2560 * DAY);
    /* A new period counts from when rotation was enabled; what is overdue then happens at once. */
    r->env.now_ms += 100 * DAY;
    OK(RUN(r, &r->admin, "EnableKeyRotation", "{\"KeyId\":\"%s\",\"RotationPeriodInDays\":200}",
           key));
    assert_int_equal(next_in(r, key), 100 * DAY);
    assert_int_equal(rotations(r, key), 0);
    OK(RUN(r, &r->admin, "EnableKeyRotation", "{\"KeyId\":\"%s\",\"RotationPeriodInDays\":90}",
           key));
    assert_int_equal(rotations(r, key), 1);
    assert_int_equal(next_in(r, key), 90 * DAY);
}

static void pauses(void **state) {
    struct kms_rig *r = *state;
    const char *key = new_key(r);
    OK(RUN(r, &r->admin, "EnableKeyRotation", "{\"KeyId\":\"%s\",\"RotationPeriodInDays\":90}",
           key));
    OK(RUN(r, &r->admin, "DisableKey", "{\"KeyId\":\"%s\"}", key));
    r->env.now_ms += 91 * DAY;
    OK(kms_rotate(&r->env, count, r, &r->err));
    assert_int_equal(rotations(r, key), 0);
    assert_int_equal(next_in(r, key), -DAY); /* enabled still, and overdue */
    OK(RUN(r, &r->admin, "ScheduleKeyDeletion", "{\"KeyId\":\"%s\",\"PendingWindowInDays\":7}",
           key));
    assert_int_equal(next_in(r, key), -1);
    OK(kms_rotate(&r->env, count, r, &r->err));
    OK(RUN(r, &r->admin, "CancelKeyDeletion", "{\"KeyId\":\"%s\"}", key));
    assert_int_equal(rotations(r, key), 0);
    OK(RUN(r, &r->admin, "EnableKey", "{\"KeyId\":\"%s\"}", key));
    assert_int_equal(rotations(r, key), 1);
    assert_int_equal(next_in(r, key), 90 * DAY);
}

static void rights(void **state) {
    struct kms_rig *r = *state;
    const char *key = new_key(r);
    struct auth_caller ned = as_user(
        r, ACCOUNT, "ned",
        "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":"
        "\"kms:EnableKeyRotation\",\"Resource\":\"*\",\"Condition\":{\"NumericLessThanEquals\":"
        "{\"kms:RotationPeriodInDays\":\"180\"}}}]}");
    OK(RUN(r, &ned, "EnableKeyRotation", "{\"KeyId\":\"%s\",\"RotationPeriodInDays\":180}", key));
    FAILS(RUN(r, &ned, "EnableKeyRotation", "{\"KeyId\":\"%s\",\"RotationPeriodInDays\":181}", key),
          SL_E_ACCESS_DENIED);
    FAILS(RUN(r, &ned, "EnableKeyRotation", "{\"KeyId\":\"%s\"}", key), SL_E_ACCESS_DENIED);
    FAILS(RUN(r, &ned, "DisableKeyRotation", "{\"KeyId\":\"%s\"}", key), SL_E_ACCESS_DENIED);
    FAILS(RUN(r, &ned, "GetKeyRotationStatus", "{\"KeyId\":\"%s\"}", key), SL_E_ACCESS_DENIED);
    FAILS(RUN(r, &r->admin, "EnableKeyRotation", "{\"KeyId\":\"alias/x\"}"), SL_E_KMS_NOT_FOUND);
}

/* The keys of AWS rotate each year, and nobody changes that. */
static void managed(void **state) {
    struct kms_rig *r = *state;
    OK(kms_run(r, &r->admin, "DescribeKey", "{\"KeyId\":\"alias/aws/s3\"}"));
    const char *key = got(r, "KeyId");
    assert_int_equal(next_in(r, key), 365 * DAY);
    FAILS(RUN(r, &r->admin, "DisableKeyRotation", "{\"KeyId\":\"%s\"}", key), SL_E_ACCESS_DENIED);
    FAILS(RUN(r, &r->admin, "EnableKeyRotation", "{\"KeyId\":\"%s\"}", key), SL_E_ACCESS_DENIED);
    FAILS(RUN(r, &r->admin, "RotateKeyOnDemand", "{\"KeyId\":\"%s\"}", key), SL_E_ACCESS_DENIED);
    const char *first = material(r, key);
    r->env.now_ms += 365 * DAY;
    OK(kms_rotate(&r->env, count, r, &r->err));
    assert_string_not_equal(material(r, key), first);
}

/* One that fails does not keep the others from it. */
static void failures(void **state) {
    struct kms_rig *r = *state;
    const char *keys[3];
    for (int i = 0; i < 3; i++) {
        keys[i] = new_key(r);
        OK(RUN(r, &r->admin, "EnableKeyRotation", "{\"KeyId\":\"%s\"}", keys[i]));
    }
    struct sqlite3 *conn = NULL;
    struct key_row broken;
    bool found = false;
    OK(kms_db_write(r->k.db, &conn, NULL));
    OK(keys_get(conn, SLICE_LIT(ACCOUNT), SLICE_LIT("us-east-1"), slice_cstr(keys[1]),
                r->env.now_ms, &r->a, &found, &broken, NULL));
    assert_true(found);
    broken.record = SLICE_LIT("no record");
    OK(keys_set_state(conn, &broken, NULL));
    OK(kms_db_write_end(r->k.db, conn, true, NULL));
    r->env.now_ms += 365 * DAY;
    OK(kms_rotate(&r->env, count, r, &r->err));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(rotations(r, keys[i]), i == 1 ? 0 : 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(due),    cmocka_unit_test(periods), cmocka_unit_test(pauses),
        cmocka_unit_test(rights), cmocka_unit_test(managed), cmocka_unit_test(failures),
    };
    return cmocka_run_group_tests(tests, kms_group_start, kms_group_stop);
}
