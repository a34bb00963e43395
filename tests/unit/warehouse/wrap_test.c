/* Wrapped keys and their files: what was made opens, and nothing else does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "extension/keys/cluster_file.h"
#include "extension/keys/key_file.h"
#include "extension/keys/sealed_blob.h"
#include "extension/keys/wrap.h"

#define OK(call) assert_int_equal((call).code, SL_CODE_OK)
#define CODE(call, code_) assert_int_equal((call).code, code_)

static const uint8_t parent_key[WAREHOUSE_KEY_LEN] = "the key above, of thirty-two byt";
static const uint8_t key[WAREHOUSE_KEY_LEN] = "the key itself, as many of them.";

static const struct wrap_name table = {
    .kind = WRAP_TABLE, .run = "run", .parent = "a database", .own = "a storage"};

static void opens(void **state) {
    uint8_t record[WRAP_RECORD_LEN], again[WRAP_RECORD_LEN];
    struct secret got = {0};
    struct wrap_name name;
    struct slice parent = slice_of(parent_key, sizeof parent_key);
    OK(wrap_make(&table, parent, slice_of(key, sizeof key), record, NULL));
    OK(wrap_make(&table, parent, slice_of(key, sizeof key), again, NULL));
    assert_memory_not_equal(record + 8 + 48, again + 8 + 48, 32); /* the salt is fresh */
    OK(wrap_name(slice_of(record, sizeof record), &name, NULL));
    assert_memory_equal(&name, &table, sizeof name);
    OK(wrap_open(slice_of(record, sizeof record), &table, parent, &got, NULL));
    assert_int_equal(got.len, sizeof key);
    assert_memory_equal(got.ptr, key, sizeof key);
    secret_fini(&got);
}

static void refuses(void **state) {
    uint8_t record[WRAP_RECORD_LEN + 1] = {0}, other_key[WAREHOUSE_KEY_LEN] = {0};
    struct secret got = {0};
    struct slice parent = slice_of(parent_key, sizeof parent_key);
    struct slice whole = slice_of(record, WRAP_RECORD_LEN);
    OK(wrap_make(&table, parent, slice_of(key, sizeof key), record, NULL));
    for (size_t i = 0; i < WRAP_RECORD_LEN; i++) { /* every byte counts */
        record[i] ^= 0x20;
        CODE(wrap_open(whole, &table, parent, &got, NULL), SL_E_CORRUPT);
        record[i] ^= 0x20;
    }
    for (size_t n = 0; n < WRAP_RECORD_LEN; n++) {
        CODE(wrap_open(slice_of(record, n), &table, parent, &got, NULL), SL_E_CORRUPT);
    }
    CODE(wrap_open(slice_of(record, sizeof record), &table, parent, &got, NULL), SL_E_CORRUPT);
    CODE(wrap_open(whole, &table, slice_of(other_key, sizeof other_key), &got, NULL), SL_E_CORRUPT);
    for (int i = 0; i < 3; i++) { /* another kind's, database's, storage's */
        struct wrap_name other = table;
        other.kind = i == 0 ? WRAP_DATABASE : WRAP_TABLE;
        other.parent[0] ^= i == 1;
        other.own[0] ^= i == 2;
        CODE(wrap_open(whole, &other, parent, &got, NULL), SL_E_CORRUPT);
    }
    assert_null(got.ptr);
}

static void cluster_file(void **state) {
    struct buf out = BUF_INIT(1024);
    struct cluster_file f = {.count = 2}, got;
    memset(f.key[0].id, 1, KEY_ID_LEN);
    memset(f.key[1].id, 2, KEY_ID_LEN);
    f.key[0].blob = SLICE_LIT("older");
    f.key[1].blob = SLICE_LIT("newer one");
    cluster_file_put(&out, &f);
    OK(cluster_file_get(buf_slice(&out), &got, NULL));
    assert_int_equal(got.count, 2);
    for (int i = 0; i < 2; i++) {
        assert_memory_equal(got.key[i].id, f.key[i].id, KEY_ID_LEN);
        assert_true(slice_eq(got.key[i].blob, f.key[i].blob));
    }
    for (size_t n = 0; n < out.len; n++) {
        CODE(cluster_file_get(slice_of(out.ptr, n), &got, NULL), SL_E_CORRUPT);
    }
    buf_putc(&out, 0);
    CODE(cluster_file_get(buf_slice(&out), &got, NULL), SL_E_CORRUPT);
    out.ptr[6] = 3; /* keys */
    CODE(cluster_file_get(buf_slice(&out), &got, NULL), SL_E_CORRUPT);
    buf_fini(&out);
}

static void blobs(void **state) {
    static const uint8_t database[KEY_ID_LEN] = "a database", other[KEY_ID_LEN] = "another";
    struct slice key_of = slice_of(parent_key, sizeof parent_key), place = SLICE_LIT("place");
    struct buf blob = BUF_INIT(1024), plain = {.max = 1024, .wipe = true};
    OK(sealed_blob_make(database, key_of, place, SLICE_LIT("a text"), &blob, NULL));
    OK(sealed_blob_open(database, key_of, place, buf_slice(&blob), &plain, NULL));
    assert_true(slice_eq_cstr(buf_slice(&plain), "a text"));
    for (size_t i = 0; i < blob.len; i++) {
        blob.ptr[i] ^= 1;
        CODE(sealed_blob_open(database, key_of, place, buf_slice(&blob), &plain, NULL),
             SL_E_CORRUPT);
        blob.ptr[i] ^= 1;
        CODE(sealed_blob_open(database, key_of, place, slice_of(blob.ptr, i), &plain, NULL),
             SL_E_CORRUPT);
    }
    CODE(sealed_blob_open(other, key_of, place, buf_slice(&blob), &plain, NULL), SL_E_CORRUPT);
    CODE(sealed_blob_open(database, key_of, SLICE_LIT("elsewhere"), buf_slice(&blob), &plain, NULL),
         SL_E_CORRUPT);
    CODE(sealed_blob_open(database, slice_of(key, sizeof key), place, buf_slice(&blob), &plain,
                          NULL),
         SL_E_CORRUPT);
    assert_int_equal(plain.len, 6);
    buf_fini(&blob);
    buf_fini(&plain);
}

static void files(void **state) {
    char folder[] = "/tmp/sealift-key-XXXXXX", path[64], temporary[64];
    struct buf got = BUF_INIT(16);
    struct stat st;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/key", folder);
    snprintf(temporary, sizeof temporary, "%s/.t", folder);
    CODE(key_file_read(path, &got, NULL), SL_E_NOT_FOUND);
    OK(key_file_write(path, temporary, SLICE_LIT("one"), KEY_FILE_NEW, NULL));
    CODE(key_file_write(path, temporary, SLICE_LIT("two"), KEY_FILE_NEW, NULL), SL_E_EXISTS);
    OK(key_file_read(path, &got, NULL));
    assert_true(slice_eq_cstr(buf_slice(&got), "one"));
    OK(key_file_write(path, temporary, SLICE_LIT("three"), KEY_FILE_REPLACE, NULL));
    buf_reset(&got);
    OK(key_file_read(path, &got, NULL));
    assert_true(slice_eq_cstr(buf_slice(&got), "three"));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_not_equal(access(temporary, F_OK), 0);
    OK(key_file_write(path, temporary, SLICE_LIT("seventeen letters"), KEY_FILE_REPLACE, NULL));
    buf_reset(&got);
    CODE(key_file_read(path, &got, NULL), SL_E_CORRUPT);
    buf_fini(&got);
    unlink(path);
    CODE(key_file_write("/nonexistent/key", "/nonexistent/.t", SLICE_LIT("x"), KEY_FILE_NEW, NULL),
         SL_E_IO);
    rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens), cmocka_unit_test(refuses), cmocka_unit_test(cluster_file),
        cmocka_unit_test(blobs), cmocka_unit_test(files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
