/* Last uses: in memory at once, on disk once a minute or when asked, and only of what is there. */
#include "tests/unit/iam/iam_rig.h"

#include "lib/base/limits.h"
#include "server/store/identity/used.h"

#define REGION SLICE_LIT("eu-west-3")
#define SERVICE SLICE_LIT("kms")

/* What is on disk (u NULL), or known at all. */
static struct used_row row_of(struct used *u, const char *id, struct arena *a) {
    struct used_row r;
    struct sqlite3 *conn;
    OK(kms_db_read(w.db, &conn, NULL));
    OK(used_get(u, conn, slice_cstr(id), a, NULL, &r));
    kms_db_read_end(w.db, conn);
    return r;
}

static void written_once_a_minute(void **state) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(1024 * 1024);
    struct used *u = used_new();
    const char *id = w.alice_key;
    assert_int_equal(row_of(u, id, &a).used_s, 0);
    used_note(u, slice_cstr(id), REGION, SERVICE, 1000);
    struct used_row r = row_of(u, id, &a);
    assert_int_equal(r.used_s, 1000);
    assert_true(slice_eq(r.region, REGION) && slice_eq(r.service, SERVICE));
    assert_int_equal(row_of(NULL, id, &a).used_s, 0);
    OK(used_flush(u, w.db, 5000, false, NULL));
    assert_int_equal(row_of(NULL, id, &a).used_s, 1000);
    used_note(u, slice_cstr(id), SLICE_LIT("us-east-1"), SLICE_LIT("s3"), 1001);
    OK(used_flush(u, w.db, 5000 + LIMIT_LAST_USED_MS - 1, false, NULL));
    assert_int_equal(row_of(NULL, id, &a).used_s, 1000);
    assert_int_equal(row_of(u, id, &a).used_s, 1001);
    OK(used_flush(u, w.db, 5000 + LIMIT_LAST_USED_MS, false, NULL));
    r = row_of(NULL, id, &a);
    assert_int_equal(r.used_s, 1001);
    assert_true(slice_eq_cstr(r.region, "us-east-1") && slice_eq_cstr(r.service, "s3"));
    /* At a stop, whenever that is. */
    used_note(u, slice_cstr(id), REGION, SERVICE, 1002);
    OK(used_flush(u, w.db, 0, true, NULL));
    assert_int_equal(row_of(NULL, id, &a).used_s, 1002);
    used_free(u);
}

static void nothing_of_what_is_gone(void **state) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(1024 * 1024);
    struct used *u = used_new();
    char id[64];
    CALL("admin", 0, "<UserName>gone", "Action=CreateUser&UserName=gone");
    take("admin", "Action=CreateAccessKey&UserName=gone", "AccessKeyId", id, sizeof id);
    used_note(u, slice_cstr(id), REGION, SERVICE, 1000);
    OK(used_flush(u, w.db, 0, true, NULL));
    assert_int_equal(row_of(NULL, id, &a).used_s, 1000);
    used_note(u, slice_cstr(id), REGION, SERVICE, 1001);
    CALL("admin", 0, NULL, "Action=DeleteAccessKey&UserName=gone&AccessKeyId=%s", id);
    assert_int_equal(row_of(NULL, id, &a).used_s, 0);
    OK(used_flush(u, w.db, 0, true, NULL));
    assert_int_equal(row_of(NULL, id, &a).used_s, 0);
    used_note(u, slice_cstr(w.alice_key), REGION, SERVICE, 2000);
    used_clear(u);
    OK(used_flush(u, w.db, 0, true, NULL));
    assert_int_not_equal(row_of(u, w.alice_key, &a).used_s, 2000);
    used_free(u);
}

static void a_bounded_number(void **state) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(1024 * 1024);
    struct used *u = used_new();
    char id[40];
    for (int i = 0; i <= LIMIT_LAST_USED; i++) {
        snprintf(id, sizeof id, "AKIA%016d", i);
        used_note(u, slice_cstr(id), REGION, SERVICE, 1000);
    }
    assert_int_equal(row_of(u, id, &a).used_s, 0);
    assert_int_equal(row_of(u, "AKIA0000000000000000", &a).used_s, 1000);
    used_note(u, SLICE_LIT("AKIA0000000000000000"), REGION, SERVICE, 1001);
    assert_int_equal(row_of(u, "AKIA0000000000000000", &a).used_s, 1001);
    /* What no id, region or service can be is not kept. */
    used_note(u, SLICE_LIT("AKIA00000000000000000000000000000"), REGION, SERVICE, 1);
    used_note(u, SLICE_EMPTY, REGION, SERVICE, 1);
    used_note(NULL, SLICE_LIT("AKIA0000000000000000"), REGION, SERVICE, 1);
    OK(used_flush(u, w.db, 0, true, NULL));
    used_note(u, slice_cstr(id), REGION, SERVICE, 1000);
    assert_int_equal(row_of(u, id, &a).used_s, 1000);
    used_free(u);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_once_a_minute),
        cmocka_unit_test(nothing_of_what_is_gone),
        cmocka_unit_test(a_bounded_number),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
