/* The index: buckets, objects with conditions, listing by prefix and delimiter, uploads, manifests.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "server/store/index/index.h"
#include "server/store/index/manifest.h"

static char dir[64];
static struct index *ix;

static int setup(void **state) {
    char path[96];
    snprintf(dir, sizeof dir, "/tmp/sealift-index-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/index.db", dir);
    assert_true(sl_is_ok(index_open(path, &ix, NULL)));
    return 0;
}

static int teardown(void **state) {
    char command[128];
    index_close(ix);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command) == 0 ? 0 : -1;
}

static struct index_bucket make_bucket(const char *name) {
    struct index_bucket b = {.name = slice_cstr(name),
                             .account = SLICE_LIT("000000000000"),
                             .region = SLICE_LIT("us-east-1"),
                             .created_ms = 1};
    blob_id_random(&b.id);
    assert_true(sl_is_ok(index_bucket_create(ix, &b, NULL)));
    return b;
}

static struct blob_id put(const struct index_bucket *b, struct slice key,
                          const struct index_condition *cond, enum sl_code want,
                          size_t want_dropped) {
    struct arena a = ARENA_INIT(1024 * 1024);
    struct index_object o = {.key = key,
                             .etag = SLICE_LIT("abc"),
                             .size = 3,
                             .modified_ms = 1000,
                             .manifest = SLICE_LIT("m"),
                             .mac = SLICE_LIT("c"),
                             .blob = SLICE_LIT("b")};
    struct blob_id part;
    struct index_dropped dropped = {0};
    blob_id_random(&o.id);
    blob_id_random(&part);
    struct sl_rc rc = index_object_put(ix, &b->id, &o, &part, 1, cond, &a, &dropped, NULL);
    assert_int_equal(rc.code, want);
    assert_int_equal(dropped.count, want_dropped);
    bool known = true;
    assert_true(sl_is_ok(index_part_known(&part, ix, &known)));
    assert_int_equal(known, want == SL_CODE_OK);
    arena_fini(&a);
    return o.id;
}

static void buckets(void **state) {
    struct arena a = ARENA_INIT(1024 * 1024);
    struct index_bucket b = make_bucket("first");
    struct index_bucket got;
    assert_int_equal(index_bucket_create(ix, &b, NULL).code, SL_E_EXISTS);
    assert_true(sl_is_ok(index_bucket_get(ix, SLICE_LIT("first"), &a, &got, NULL)));
    assert_true(blob_id_eq(&got.id, &b.id));
    assert_int_equal(got.policy.len, 0);
    assert_int_equal(index_bucket_get(ix, SLICE_LIT("none"), &a, &got, NULL).code, SL_E_NOT_FOUND);
    assert_true(sl_is_ok(index_bucket_set_policy(ix, &b.id, SLICE_LIT("{}"), NULL)));
    assert_true(sl_is_ok(index_bucket_set_sse(ix, &b.id, 2, SLICE_LIT("alias/x"), true, NULL)));
    assert_true(sl_is_ok(index_bucket_get(ix, SLICE_LIT("first"), &a, &got, NULL)));
    assert_true(slice_eq_cstr(got.policy, "{}"));
    assert_int_equal(got.default_sse, 2);
    assert_true(slice_eq_cstr(got.default_key, "alias/x"));
    struct index_dropped *dropped;
    size_t count;
    put(&b, SLICE_LIT("k"), NULL, SL_CODE_OK, 0);
    assert_int_equal(index_bucket_delete(ix, &b.id, &a, &dropped, &count, NULL).code,
                     SL_E_S3_BUCKET_NOT_EMPTY);
    struct index_dropped one;
    assert_true(sl_is_ok(index_object_delete(ix, &b.id, SLICE_LIT("k"), NULL, &a, &one, NULL)));
    assert_true(sl_is_ok(index_bucket_delete(ix, &b.id, &a, &dropped, &count, NULL)));
    assert_int_equal(index_bucket_get(ix, SLICE_LIT("first"), &a, &got, NULL).code, SL_E_NOT_FOUND);
    put(&b, SLICE_LIT("k"), NULL, SL_E_S3_NO_SUCH_BUCKET, 0);
    arena_fini(&a);
}

static void bucket_tags(void **state) {
    struct arena a = ARENA_INIT(1024 * 1024);
    struct index_bucket b = {.name = SLICE_LIT("tagged"), .tags = SLICE_LIT("a=b")};
    struct slice tags;
    struct index_dropped *dropped;
    size_t count;
    blob_id_random(&b.id);
    assert_true(sl_is_ok(index_bucket_create(ix, &b, NULL)));
    assert_true(sl_is_ok(index_bucket_tags(ix, &b.id, &a, &tags, NULL)));
    assert_true(slice_eq_cstr(tags, "a=b"));
    assert_true(sl_is_ok(index_bucket_set_tags(ix, &b.id, SLICE_LIT("c=d"), NULL)));
    assert_true(sl_is_ok(index_bucket_tags(ix, &b.id, &a, &tags, NULL)));
    assert_true(slice_eq_cstr(tags, "c=d"));
    assert_true(sl_is_ok(index_bucket_delete(ix, &b.id, &a, &dropped, &count, NULL)));
    assert_true(sl_is_ok(index_bucket_tags(ix, &b.id, &a, &tags, NULL)));
    assert_int_equal(tags.len, 0);
    arena_fini(&a);
}

/* Only over the manifest that the caller has seen. */
static void new_manifest(void **state) {
    struct arena a = ARENA_INIT(1024 * 1024);
    struct index_bucket b = make_bucket("manifests");
    struct blob_id id = put(&b, SLICE_LIT("k"), NULL, SL_CODE_OK, 0);
    struct index_object got;
    struct slice other = SLICE_LIT("m2");
    assert_int_equal(index_object_manifest(ix, &id, SLICE_LIT("x"), other, other, NULL).code,
                     SL_E_NOT_FOUND);
    assert_true(sl_is_ok(index_object_get(ix, &b.id, SLICE_LIT("k"), &a, &got, NULL)));
    assert_true(slice_eq_cstr(got.manifest, "m"));
    assert_true(sl_is_ok(index_object_manifest(ix, &id, got.mac, other, SLICE_LIT("c2"), NULL)));
    assert_true(sl_is_ok(index_object_get(ix, &b.id, SLICE_LIT("k"), &a, &got, NULL)));
    assert_true(slice_eq(got.manifest, other));
    assert_true(slice_eq_cstr(got.mac, "c2"));
    put(&b, SLICE_LIT("k"), NULL, SL_CODE_OK, 1);
    assert_int_equal(index_object_manifest(ix, &id, got.mac, other, other, NULL).code,
                     SL_E_NOT_FOUND);
    arena_fini(&a);
}

static void objects_and_conditions(void **state) {
    struct arena a = ARENA_INIT(1024 * 1024);
    struct index_bucket b = make_bucket("objects");
    const struct index_condition absent = {.if_absent = true};
    const struct index_condition same = {.if_match = SLICE_LIT("abc")};
    const struct index_condition other = {.if_match = SLICE_LIT("xyz")};
    put(&b, SLICE_LIT("k"), &same, SL_E_S3_NO_SUCH_KEY, 0);
    struct blob_id first = put(&b, SLICE_LIT("k"), &absent, SL_CODE_OK, 0);
    put(&b, SLICE_LIT("k"), &absent, SL_E_S3_PRECONDITION, 0);
    put(&b, SLICE_LIT("k"), &other, SL_E_S3_PRECONDITION, 0);
    struct index_object got;
    assert_true(sl_is_ok(index_object_get(ix, &b.id, SLICE_LIT("k"), &a, &got, NULL)));
    assert_true(blob_id_eq(&got.id, &first));
    put(&b, SLICE_LIT("k"), &same, SL_CODE_OK, 1);
    bool current = true;
    assert_true(sl_is_ok(index_object_current(ix, &b.id, SLICE_LIT("k"), &first, &current, NULL)));
    assert_false(current);
    struct index_dropped dropped = {0};
    assert_int_equal(
        index_object_delete(ix, &b.id, SLICE_LIT("k"), &other, &a, &dropped, NULL).code,
        SL_E_S3_PRECONDITION);
    assert_true(sl_is_ok(index_object_delete(ix, &b.id, SLICE_LIT("k"), NULL, &a, &dropped, NULL)));
    assert_int_equal(dropped.count, 1);
    assert_true(sl_is_ok(index_object_delete(ix, &b.id, SLICE_LIT("k"), NULL, &a, &dropped, NULL)));
    assert_int_equal(dropped.count, 0);
    assert_int_equal(index_object_get(ix, &b.id, SLICE_LIT("k"), &a, &got, NULL).code,
                     SL_E_NOT_FOUND);
    arena_fini(&a);
}

static void expect_list(const struct index_bucket *b, const struct index_list_query *q,
                        const char *want, bool truncated) {
    struct arena a = ARENA_INIT(8 * 1024 * 1024);
    struct index_list l;
    char got[512] = "";
    assert_true(sl_is_ok(index_list(ix, &b->id, q, &a, &l, NULL)));
    size_t n = 0;
    for (size_t i = 0; i < l.count; i++) {
        n +=
            (size_t)snprintf(got + n, sizeof got - n, "%s%.*s%s", i ? " " : "",
                             SLICE_FMT(l.entries[i].object.key), l.entries[i].is_prefix ? "*" : "");
    }
    assert_string_equal(got, want);
    assert_int_equal(l.truncated, truncated);
    arena_fini(&a);
}

static void listing(void **state) {
    struct index_bucket b = make_bucket("listing");
    static const char *const keys[] = {"b", "a/1",      "a/2", "a/sub/3", "a",    "c/x", "c/y",
                                       "d", "\xc3\xa9", "Z",   "a0",      "c//z", "c/"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        put(&b, slice_cstr(keys[i]), NULL, SL_CODE_OK, 0);
    }
    const struct slice slash = SLICE_LIT("/");
    const struct {
        struct index_list_query q;
        const char *want;
        bool truncated;
    } cases[] = {
        {{.max = 1000}, "Z a a/1 a/2 a/sub/3 a0 b c/ c//z c/x c/y d \xc3\xa9", false},
        {{.max = 3}, "Z a a/1", true},
        {{.max = 0}, "", false},
        {{.delimiter = slash, .max = 1000}, "Z a a/* a0 b c/* d \xc3\xa9", false},
        {{.delimiter = slash, .max = 3}, "Z a a/*", true},
        {{.delimiter = slash, .max = 1000, .after = SLICE_LIT("a/"), .after_is_prefix = true},
         "a0 b c/* d \xc3\xa9",
         false},
        {{.delimiter = slash, .max = 1000, .after = SLICE_LIT("a/1")},
         "a/* a0 b c/* d \xc3\xa9",
         false},
        {{.prefix = SLICE_LIT("a/"), .delimiter = slash, .max = 1000}, "a/1 a/2 a/sub/*", false},
        {{.prefix = SLICE_LIT("a/"), .max = 2}, "a/1 a/2", true},
        {{.prefix = SLICE_LIT("a/"), .max = 3}, "a/1 a/2 a/sub/3", false},
        {{.prefix = SLICE_LIT("a/"), .max = 10, .after = SLICE_LIT("a/2")}, "a/sub/3", false},
        {{.prefix = SLICE_LIT("a/"), .max = 10, .after = SLICE_LIT("b")}, "", false},
        {{.prefix = SLICE_LIT("a/"), .max = 10, .after = SLICE_LIT("A")}, "a/1 a/2 a/sub/3", false},
        {{.prefix = SLICE_LIT("c/"), .delimiter = slash, .max = 10}, "c/ c//* c/x c/y", false},
        {{.prefix = SLICE_LIT("nothing"), .max = 10}, "", false},
        {{.delimiter = SLICE_LIT("sub/"), .max = 5}, "Z a a/1 a/2 a/sub/*", true},
        {{.max = 10, .after = SLICE_LIT("d")}, "\xc3\xa9", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        expect_list(&b, &cases[i].q, cases[i].want, cases[i].truncated);
    }
    struct index_bucket other = make_bucket("listing-other");
    expect_list(&other, &cases[0].q, "", false);
}

static struct index_upload_part part(uint32_t number) {
    struct index_upload_part p = {
        .number = number, .etag = SLICE_LIT("e"), .modified_ms = 1, .file = {.size = 5}};
    blob_id_random(&p.file.id);
    return p;
}

static void uploads(void **state) {
    struct arena a = ARENA_INIT(4 * 1024 * 1024);
    struct index_bucket b = make_bucket("uploads");
    struct index_upload u = {.key = SLICE_LIT("k"),
                             .created_ms = 1,
                             .initiator = SLICE_LIT("arn"),
                             .manifest = SLICE_LIT("m"),
                             .blob = SLICE_LIT("b")};
    struct index_upload got;
    struct index_dropped dropped = {0};
    struct index_upload_part p1 = part(1);
    struct index_upload_part p2 = part(2);
    struct index_upload_part again = part(2);
    blob_id_random(&u.id);
    assert_int_equal(index_upload_part(ix, &u.id, &p1, &a, &dropped, NULL).code,
                     SL_E_S3_NO_SUCH_UPLOAD);
    assert_true(sl_is_ok(index_upload_create(ix, &b.id, &u, NULL)));
    assert_true(sl_is_ok(index_upload_get(ix, &b.id, SLICE_LIT("k"), &u.id, &a, &got, NULL)));
    assert_int_equal(index_upload_get(ix, &b.id, SLICE_LIT("other"), &u.id, &a, &got, NULL).code,
                     SL_E_S3_NO_SUCH_UPLOAD);
    assert_true(sl_is_ok(index_upload_part(ix, &u.id, &p1, &a, &dropped, NULL)));
    assert_true(sl_is_ok(index_upload_part(ix, &u.id, &p2, &a, &dropped, NULL)));
    assert_int_equal(dropped.count, 0);
    assert_true(sl_is_ok(index_upload_part(ix, &u.id, &again, &a, &dropped, NULL)));
    assert_int_equal(dropped.count, 1);
    assert_true(blob_id_eq(&dropped.parts[0], &p2.file.id));

    struct index_upload_part *parts;
    size_t count;
    bool truncated;
    assert_true(
        sl_is_ok(index_upload_parts(ix, &u.id, 0, 1, &a, &parts, &count, &truncated, NULL)));
    assert_int_equal(count, 1);
    assert_true(truncated);
    assert_true(
        sl_is_ok(index_upload_parts(ix, &u.id, 1, 10, &a, &parts, &count, &truncated, NULL)));
    assert_int_equal(count, 1);
    assert_false(truncated);
    assert_int_equal(parts[0].number, 2);
    assert_int_equal(parts[0].file.size, 5);

    struct index_upload *list;
    assert_true(sl_is_ok(index_upload_list(ix, &b.id, SLICE_EMPTY, SLICE_EMPTY, NULL, 10, &a, &list,
                                           &count, &truncated, NULL)));
    assert_int_equal(count, 1);
    assert_true(sl_is_ok(index_upload_list(ix, &b.id, SLICE_EMPTY, SLICE_LIT("k"), NULL, 10, &a,
                                           &list, &count, &truncated, NULL)));
    assert_int_equal(count, 0);

    struct index_object o = {.key = SLICE_LIT("k"),
                             .id = u.id,
                             .etag = SLICE_LIT("e-1"),
                             .manifest = SLICE_LIT("m"),
                             .mac = SLICE_LIT("c"),
                             .blob = SLICE_LIT("b")};
    struct index_dropped two[2];
    put(&b, SLICE_LIT("k"), NULL, SL_CODE_OK, 0); /* to be replaced */
    assert_int_equal(index_upload_complete(ix, &b.id, &o, &p2.file.id, 1, NULL, &a, two, NULL).code,
                     SL_E_S3_INVALID_PART);
    assert_true(
        sl_is_ok(index_upload_complete(ix, &b.id, &o, &again.file.id, 1, NULL, &a, two, NULL)));
    assert_int_equal(two[0].count, 1); /* part 1 was not used */
    assert_int_equal(two[1].count, 1); /* the object of before */
    bool known = false;
    assert_true(sl_is_ok(index_part_known(&again.file.id, ix, &known)));
    assert_true(known);
    assert_true(sl_is_ok(index_part_known(&p1.file.id, ix, &known)));
    assert_false(known);
    assert_int_equal(
        index_upload_complete(ix, &b.id, &o, &again.file.id, 1, NULL, &a, two, NULL).code,
        SL_E_S3_NO_SUCH_UPLOAD);

    blob_id_random(&u.id);
    assert_true(sl_is_ok(index_upload_create(ix, &b.id, &u, NULL)));
    struct index_upload_part p3 = part(3);
    assert_true(sl_is_ok(index_upload_part(ix, &u.id, &p3, &a, &dropped, NULL)));
    assert_true(sl_is_ok(index_upload_abort(ix, &b.id, SLICE_LIT("k"), &u.id, &a, &dropped, NULL)));
    assert_int_equal(dropped.count, 1);
    assert_int_equal(index_upload_abort(ix, &b.id, SLICE_LIT("k"), &u.id, &a, &dropped, NULL).code,
                     SL_E_S3_NO_SUCH_UPLOAD);
    arena_fini(&a);
}

static void manifests(void **state) {
    struct arena a = ARENA_INIT(1024 * 1024);
    struct secret key = {0};
    const struct context_pair pairs[] = {{SLICE_LIT("team"), SLICE_LIT("a")}};
    struct manifest_part parts[] = {{.number = 1, .file = {.size = 10}},
                                    {.number = 4, .file = {.size = 5}}};
    struct manifest m = {.sse = MANIFEST_SSE_KMS,
                         .key_arn = SLICE_LIT("arn:aws:kms:us-east-1:000000000000:key/x"),
                         .context = pairs,
                         .context_count = 1,
                         .parts = parts,
                         .part_count = 2,
                         .size = 15,
                         .etag = SLICE_LIT("e-2"),
                         .headers = pairs,
                         .header_count = 1,
                         .created_ms = 77,
                         .checksum_kind = 1,
                         .checksum_type = 2,
                         .checksums = SLICE_LIT("sealed")};
    struct buf bytes = BUF_INIT(4096);
    struct manifest got;
    uint8_t mac[MANIFEST_MAC_LEN];
    assert_true(sl_is_ok(secret_random(&key, 32)));
    manifest_encode(&m, &bytes);
    assert_true(sl_is_ok(manifest_decode(buf_slice(&bytes), &a, &got, NULL)));
    assert_int_equal(got.part_count, 2);
    assert_int_equal(got.parts[1].number, 4);
    assert_true(slice_eq(got.context[0].name, pairs[0].name));
    assert_int_equal(got.created_ms, 77);
    assert_true(sl_is_ok(manifest_mac(&key, buf_slice(&bytes), mac)));
    for (size_t i = 0; i < bytes.len; i++) {
        bytes.ptr[i] ^= 1;
        assert_int_equal(
            manifest_check(&key, buf_slice(&bytes), slice_of(mac, sizeof mac), NULL).code,
            SL_E_CORRUPT);
        bytes.ptr[i] ^= 1;
        assert_int_equal(manifest_decode(slice_sub(buf_slice(&bytes), 0, i), &a, &got, NULL).code,
                         SL_E_CORRUPT);
    }
    assert_true(sl_is_ok(manifest_check(&key, buf_slice(&bytes), slice_of(mac, sizeof mac), NULL)));
    buf_fini(&bytes);
    m.size = 16; /* does not agree with its parts */
    bytes = BUF_INIT(4096);
    manifest_encode(&m, &bytes);
    assert_int_equal(manifest_decode(buf_slice(&bytes), &a, &got, NULL).code, SL_E_CORRUPT);
    buf_fini(&bytes);

    struct blob_id object;
    struct blob_id other;
    struct slice opened;
    blob_id_random(&object);
    blob_id_random(&other);
    bytes = BUF_INIT(4096);
    assert_true(sl_is_ok(manifest_seal(&key, &object, SLICE_LIT("sum"), &bytes, NULL)));
    assert_null(memmem(bytes.ptr, bytes.len, "sum", 3));
    assert_true(sl_is_ok(manifest_unseal(&key, &object, buf_slice(&bytes), &a, &opened, NULL)));
    assert_true(slice_eq_cstr(opened, "sum"));
    assert_int_equal(manifest_unseal(&key, &other, buf_slice(&bytes), &a, &opened, NULL).code,
                     SL_E_CORRUPT);
    assert_int_equal(
        manifest_unseal(&key, &object, slice_sub(buf_slice(&bytes), 0, 20), &a, &opened, NULL).code,
        SL_E_CORRUPT);
    buf_fini(&bytes);
    secret_fini(&key);
    arena_fini(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets),      cmocka_unit_test(objects_and_conditions),
        cmocka_unit_test(listing),      cmocka_unit_test(uploads),
        cmocka_unit_test(manifests),    cmocka_unit_test(bucket_tags),
        cmocka_unit_test(new_manifest),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
