/* The Redshift API's input and output; signatures and rights are kms's and tested there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "gateway/api/redshift.h"
#include "lib/codec/xml.h"

static struct sl_rc parse(const char *form, struct arena *a, struct redshift_modify *ret) {
    struct params p;
    assert_true(sl_is_ok(params_parse(slice_cstr(form), true, a, NULL, &p)));
    return redshift_modify_parse(&p, a, ret, NULL);
}

#define ROLE(name) "arn%3Aaws%3Aiam%3A%3A012345678999%3Arole%2F" name

static void takes_both_forms_of_lists(void **state) {
    struct arena a = ARENA_INIT(1024 * 1024);
    struct redshift_modify m;
    assert_true(
        sl_is_ok(parse("AddIamRoles.IamRoleArn.1=" ROLE("A") "&AddIamRoles.IamRoleArn.2=" ROLE(
                           "B") "&RemoveIamRoles.member.1=" ROLE("path/C"),
                       &a, &m)));
    assert_int_equal(m.add_count, 2);
    assert_true(slice_eq_cstr(m.add[1], "arn:aws:iam::012345678999:role/B"));
    assert_int_equal(m.remove_count, 1);
    assert_true(slice_eq_cstr(m.remove[0], "arn:aws:iam::012345678999:role/path/C"));
    assert_int_equal(m.default_role.len, 0);
    assert_true(sl_is_ok(parse("DefaultIamRoleArn=" ROLE("D"), &a, &m)));
    assert_true(slice_eq_cstr(m.default_role, "arn:aws:iam::012345678999:role/D"));
    assert_int_equal(m.add_count + m.remove_count, 0);
    arena_fini(&a);
}

static void refuses_what_is_no_role(void **state) {
    static const char *const bad[] = {
        "AddIamRoles.IamRoleArn.1=",
        "AddIamRoles.IamRoleArn.1=Redshift-Loader",
        "AddIamRoles.IamRoleArn.1=arn:aws:iam::012345678999:user/A",
        "AddIamRoles.IamRoleArn.1=arn:aws:iam::012345678999:role/",
        "AddIamRoles.IamRoleArn.1=arn:aws:iam::01234567899:role/A",
        "AddIamRoles.IamRoleArn.1=arn:aws:iam::01234567899x:role/A",
        "AddIamRoles.IamRoleArn.1=arn:aws:iam::",
        "RemoveIamRoles.IamRoleArn.1=x",
        "DefaultIamRoleArn=x",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct arena a = ARENA_INIT(1024 * 1024);
        struct redshift_modify m;
        if (parse(bad[i], &a, &m).code != SL_E_REDSHIFT_INVALID_PARAMETER) {
            fail_msg("%s", bad[i]);
        }
        arena_fini(&a);
    }
}

static void refuses_too_many_roles(void **state) {
    struct arena a = ARENA_INIT(1024 * 1024);
    struct buf form = BUF_INIT(64 * 1024);
    struct redshift_modify m;
    for (int i = 1; i <= 51; i++) {
        buf_printf(&form,
                   "AddIamRoles.IamRoleArn.%d="
                   "arn:aws:iam::012345678999:role/R%d&",
                   i, i);
    }
    buf_u8(&form, 0);
    assert_int_equal(parse((const char *)form.ptr, &a, &m).code, SL_E_REDSHIFT_INVALID_PARAMETER);
    buf_fini(&form);
    arena_fini(&a);
}

static void shows_the_cluster(void **state) {
    const struct conf conf = {
        .instance_id = "00112233445566778899aabbccddeeff",
        .account = "012345678999",
        .region = "us-east-1",
        .cluster = "local",
        .master_user = "awsuser",
        .sql_port = 5439,
        .created_s = 1795491436,
    };
    const struct seam_cluster_role roles[] = {
        {SLICE_LIT("arn:aws:iam::012345678999:role/A"), false},
        {SLICE_LIT("arn:aws:iam::012345678999:role/B"), true},
    };
    struct buf out = BUF_INIT(16 * 1024);
    struct arena a = ARENA_INIT(1024 * 1024);
    const struct xml *x;
    struct redshift_cluster c = {.roles = roles, .role_count = 2};
    redshift_cluster_put(&out, &conf, &c);
    assert_true(sl_is_ok(xml_parse(buf_slice(&out), &a, NULL, &x)));
    assert_true(slice_eq_cstr(xml_get(x, "ClusterIdentifier")->text, "local"));
    assert_true(slice_eq_cstr(xml_get(x, "ClusterStatus")->text, "available"));
    assert_true(slice_eq_cstr(xml_get(xml_get(x, "Endpoint"), "Port")->text, "5439"));
    assert_true(
        slice_eq_cstr(xml_get(x, "DefaultIamRoleArn")->text, "arn:aws:iam::012345678999:role/B"));
    assert_true(slice_eq_cstr(
        xml_get(x, "ClusterNamespaceArn")->text,
        "arn:aws:redshift:us-east-1:012345678999:namespace:00112233-4455-6677-8899-aabbccddeeff"));
    const struct xml *role = xml_get(xml_get(x, "IamRoles"), "ClusterIamRole");
    assert_true(slice_eq_cstr(xml_get(role, "ApplyStatus")->text, "in-sync"));
    assert_non_null(role->next);
    assert_null(role->next->next);
    assert_true(slice_eq_cstr(xml_get(x, "Encrypted")->text, "true"));
    assert_null(xml_get(x, "KmsKeyId"));
    buf_reset(&out);
    c.rotating = true;
    c.kms_key = SLICE_LIT("arn:aws:kms:us-east-1:012345678999:key/1");
    redshift_cluster_put(&out, &conf, &c);
    assert_true(sl_is_ok(xml_parse(buf_slice(&out), &a, NULL, &x)));
    assert_true(slice_eq_cstr(xml_get(x, "ClusterStatus")->text, "rotating-keys"));
    assert_true(slice_eq(xml_get(x, "KmsKeyId")->text, c.kms_key));
    buf_fini(&out);
    arena_fini(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_both_forms_of_lists),
        cmocka_unit_test(refuses_what_is_no_role),
        cmocka_unit_test(refuses_too_many_roles),
        cmocka_unit_test(shows_the_cluster),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
