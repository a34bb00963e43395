/* Startup packets: what is taken, what is taken out, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "gateway/wire/startup.h"
#include "lib/base/buf.h"

#define SESSION "\x00\x03\x00\x00"
#define PACKET(lit) SLICE_LIT(lit)

static void takes_a_session(void **state) {
    struct startup s;
    struct sl_error err = {0};
    assert_true(sl_is_ok(startup_parse(
        PACKET(SESSION "user\0ann\0database\0dev\0application_name\0psql\0\0"), &err, &s)));
    assert_int_equal(s.kind, STARTUP_SESSION);
    assert_true(slice_eq_cstr(s.user, "ann"));
    assert_true(slice_eq_cstr(s.database, "dev"));
    assert_int_equal(s.param_count, 1);
    assert_true(slice_eq_cstr(s.params[0].name, "application_name"));
    assert_int_equal(s.driver_count, 0);
    assert_int_equal(s.minor, 0);
}

static void database_is_the_user_by_default(void **state) {
    struct startup s;
    assert_true(sl_is_ok(startup_parse(PACKET(SESSION "user\0ann\0\0"), NULL, &s)));
    assert_true(slice_eq_cstr(s.database, "ann"));
}

static void long_names_are_cut(void **state) {
    uint8_t b[4 + 5 + 100 + 2] = {0, 3, 0, 0, 'u', 's', 'e', 'r', 0};
    memset(b + 9, 'n', 100);
    struct startup s;
    assert_true(sl_is_ok(startup_parse(slice_of(b, sizeof b), NULL, &s)));
    assert_int_equal(s.user.len, 63);
}

static void drivers_are_remembered_and_taken_out(void **state) {
    struct startup s;
    assert_true(sl_is_ok(startup_parse(
        PACKET(SESSION "user\0ann\0client_protocol_version\0"
                       "2\0driver_version\0Redshift 2.1\0os_version\0Linux\0plugin_name\0x\0"
                       "_pq_.compression\0off\0DateStyle\0ISO\0\0"),
        NULL, &s)));
    assert_int_equal(s.driver_count, 5);
    assert_int_equal(s.param_count, 1);
    assert_int_equal(s.unknown_count, 0);
}

static void unknown_options_and_minor_versions_are_noted(void **state) {
    struct startup s;
    assert_true(sl_is_ok(
        startup_parse(PACKET("\x00\x03\x00\x02user\0ann\0_pq_.new_thing\0x\0\0"), NULL, &s)));
    assert_int_equal(s.minor, 2);
    assert_int_equal(s.unknown_count, 1);
    assert_int_equal(s.driver_count, 0);
    assert_true(slice_eq_cstr(s.unknown[0], "_pq_.new_thing"));
}

static void takes_the_other_kinds(void **state) {
    struct startup s;
    assert_true(sl_is_ok(startup_parse(PACKET("\x04\xd2\x16\x2f"), NULL, &s)));
    assert_int_equal(s.kind, STARTUP_TLS);
    assert_true(sl_is_ok(startup_parse(PACKET("\x04\xd2\x16\x30"), NULL, &s)));
    assert_int_equal(s.kind, STARTUP_GSS);
    assert_true(sl_is_ok(
        startup_parse(PACKET("\x04\xd2\x16\x2e\x00\x00\x00\x07\xde\xad\xbe\xef"), NULL, &s)));
    assert_int_equal(s.kind, STARTUP_CANCEL);
    assert_int_equal(s.cancel_pid, 7);
    assert_int_equal(s.cancel_key, 0xdeadbeef);
    assert_true(
        sl_is_ok(startup_parse(PACKET(SESSION "user\0ann\0replication\0off\0\0"), NULL, &s)));
    assert_true(sl_is_ok(
        startup_parse(PACKET(SESSION "user\0sealift_standby\0replication\0true\0\0"), NULL, &s)));
    assert_true(s.replication);
}

static void refuses(void **state) {
    static const struct {
        const char *what;
        struct slice packet;
        enum sl_code code;
    } cases[] = {
        {"nothing", {(const uint8_t *)"", 0}, SL_E_SQL_PROTOCOL},
        {"cut code", {(const uint8_t *)"\0\3\0", 3}, SL_E_SQL_PROTOCOL},
        {"protocol 2", {(const uint8_t *)"\0\2\0\0\0", 5}, SL_E_UNSUPPORTED},
        {"protocol 4", {(const uint8_t *)"\0\4\0\0\0", 5}, SL_E_UNSUPPORTED},
        {"no terminator", {(const uint8_t *)"\0\3\0\0user\0ann\0", 13}, SL_E_SQL_PROTOCOL},
        {"name without value", {(const uint8_t *)"\0\3\0\0user\0", 9}, SL_E_SQL_PROTOCOL},
        {"bytes after the end", {(const uint8_t *)"\0\3\0\0user\0ann\0\0x", 15}, SL_E_SQL_PROTOCOL},
        {"no user", {(const uint8_t *)"\0\3\0\0database\0dev\0\0", 18}, SL_E_SQL_LOGIN},
        {"replication",
         {(const uint8_t *)"\0\3\0\0user\0ann\0replication\0database\0\0", 35},
         SL_E_UNSUPPORTED},
        {"physical replication",
         {(const uint8_t *)"\0\3\0\0user\0ann\0replication\0true\0\0", 31},
         SL_E_UNSUPPORTED},
        {"a standby's of a database",
         {(const uint8_t *)"\0\3\0\0user\0sealift_standby\0replication\0database\0\0", 47},
         SL_E_UNSUPPORTED},
        {"the gateway's token",
         {(const uint8_t *)"\0\3\0\0user\0ann\0sealift.token\0x\0\0", 30},
         SL_E_SQL_LOGIN},
        {"the same in capitals",
         {(const uint8_t *)"\0\3\0\0user\0ann\0SEALIFT.session_key\0x\0\0", 36},
         SL_E_SQL_LOGIN},
        {"short cancel", {(const uint8_t *)"\x04\xd2\x16\x2e\0\0\0\7", 8}, SL_E_SQL_PROTOCOL},
        {"long TLS request", {(const uint8_t *)"\x04\xd2\x16\x2f\0", 5}, SL_E_SQL_PROTOCOL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct startup s;
        struct sl_rc rc = startup_parse(cases[i].packet, NULL, &s);
        if (rc.code != cases[i].code) {
            fail_msg("%s: %s", cases[i].what, sl_code_info(rc.code)->name);
        }
    }
}

static void refuses_too_many_parameters(void **state) {
    struct buf b = BUF_INIT(8192);
    buf_put(&b, SLICE_LIT(SESSION "user\0ann\0"));
    for (int i = 0; i < LIMIT_PG_PARAMETERS; i++) {
        buf_put(&b, SLICE_LIT("a\0b\0"));
    }
    buf_u8(&b, 0);
    struct startup s;
    assert_int_equal(startup_parse(buf_slice(&b), NULL, &s).code, SL_E_SQL_PROTOCOL);
    buf_fini(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_a_session),
        cmocka_unit_test(database_is_the_user_by_default),
        cmocka_unit_test(long_names_are_cut),
        cmocka_unit_test(drivers_are_remembered_and_taken_out),
        cmocka_unit_test(unknown_options_and_minor_versions_are_noted),
        cmocka_unit_test(takes_the_other_kinds),
        cmocka_unit_test(refuses),
        cmocka_unit_test(refuses_too_many_parameters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
