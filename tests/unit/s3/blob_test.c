/* Part files: what was written comes back, and whatever was done to the file is refused before a
 * wrong byte leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/crypto/crypto.h"
#include "server/store/blob/blob.h"

static char dir[64];
static struct blob_store *store;
static struct secret key;
static struct blob_owner owner;

static int setup(void **state) {
    snprintf(dir, sizeof dir, "/tmp/sealift-blob-XXXXXX");
    assert_non_null(mkdtemp(dir));
    assert_true(sl_is_ok(blob_store_open(dir, &store, NULL)));
    assert_true(sl_is_ok(secret_random(&key, 32)));
    blob_id_random(&owner.bucket);
    blob_id_random(&owner.object);
    return 0;
}

static int teardown(void **state) {
    char command[128];
    blob_store_close(store);
    secret_fini(&key);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command) == 0 ? 0 : -1;
}

static void part_path(const struct blob_part *p, char out[256]) {
    int n = snprintf(out, 256, "%s/%02x/", dir, p->id.bytes[0]);
    for (size_t i = 0; i < BLOB_ID_LEN; i++) {
        n += snprintf(out + n, 256 - (size_t)n, "%02x", p->id.bytes[i]);
    }
}

static uint8_t pattern(uint64_t i) {
    return (uint8_t)(i * 2654435761u >> 13);
}

static struct blob_part write_part(uint64_t size, size_t step) {
    struct blob_writer *w = NULL;
    struct blob_part p;
    assert_true(sl_is_ok(blob_writer_new(store, &key, &owner, &w, NULL)));
    uint8_t *data = malloc(step);
    for (uint64_t at = 0; at < size; at += step) {
        size_t n = size - at < step ? (size_t)(size - at) : step;
        for (size_t i = 0; i < n; i++) {
            data[i] = pattern(at + i);
        }
        assert_true(sl_is_ok(blob_write(w, slice_of(data, n), NULL)));
    }
    free(data);
    assert_true(sl_is_ok(blob_finish(w, &p, NULL)));
    blob_writer_free(w);
    assert_int_equal(p.size, size);
    return p;
}

/* Reads [from, to); every byte given must be right. The result of the first failure. */
static enum sl_code read_part(const struct blob_part *p, const struct blob_owner *o,
                              const struct secret *k, uint64_t from, uint64_t to) {
    struct blob_reader *r = NULL;
    struct sl_rc rc = blob_reader_open(store, k, o, p, &r, NULL);
    if (sl_failed(rc)) {
        return rc.code;
    }
    blob_reader_range(r, from, to);
    struct slice s;
    while (sl_is_ok(rc = blob_read(r, &s, NULL)) && s.len > 0) {
        for (size_t i = 0; i < s.len; i++) {
            assert_int_equal(s.ptr[i], pattern(from + i));
        }
        from += s.len;
    }
    if (sl_is_ok(rc)) {
        assert_int_equal(from, to);
    }
    blob_reader_free(r);
    return rc.code;
}

static void round_trips(void **state) {
    static const uint64_t sizes[] = {0, 1, 65535, 65536, 65537, 131072, 200001};
    static const size_t steps[] = {1000, 65536, 300000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (size_t j = 0; j < sizeof steps / sizeof *steps; j++) {
            struct blob_part p = write_part(sizes[i], steps[j]);
            assert_int_equal(read_part(&p, &owner, &key, 0, p.size), SL_CODE_OK);
            char path[256];
            struct stat st;
            part_path(&p, path);
            assert_int_equal(stat(path, &st), 0);
            assert_int_equal(st.st_size, blob_file_bytes(sizes[i]));
            assert_int_equal(st.st_mode & 0777, 0600);
        }
    }
}

static void ranges(void **state) {
    static const uint64_t r[][2] = {{0, 1},           {65535, 65537},   {65536, 65537},
                                    {131071, 131073}, {150000, 200001}, {200000, 200001},
                                    {5, 5},           {10, 180000}};
    struct blob_part p = write_part(200001, 65536);
    for (size_t i = 0; i < sizeof r / sizeof *r; i++) {
        assert_int_equal(read_part(&p, &owner, &key, r[i][0], r[i][1]), SL_CODE_OK);
    }
}

/* A range opens only the chunks it touches: damage elsewhere is not seen, damage inside is. */
static void range_touches_its_chunks(void **state) {
    struct blob_part p = write_part(200001, 65536);
    char path[256];
    part_path(&p, path);
    int fd = open(path, O_RDWR);
    uint8_t b;
    off_t in_second = BLOB_HEADER_BYTES + 65552 + 100;
    assert_int_equal(pread(fd, &b, 1, in_second), 1);
    b ^= 1;
    assert_int_equal(pwrite(fd, &b, 1, in_second), 1);
    close(fd);
    assert_int_equal(read_part(&p, &owner, &key, 0, 65536), SL_CODE_OK);
    assert_int_equal(read_part(&p, &owner, &key, 131072, 200001), SL_CODE_OK);
    assert_int_equal(read_part(&p, &owner, &key, 65536, 65537), SL_E_CORRUPT);
    assert_int_equal(read_part(&p, &owner, &key, 0, 200001), SL_E_CORRUPT);
}

static void every_byte_counts(void **state) {
    struct blob_part p = write_part(100, 100);
    char path[256];
    part_path(&p, path);
    int fd = open(path, O_RDWR);
    for (off_t at = 0; at < (off_t)blob_file_bytes(100); at++) {
        uint8_t b;
        assert_int_equal(pread(fd, &b, 1, at), 1);
        for (int bit = 0; bit < 8; bit += 7) {
            uint8_t changed = b ^ (uint8_t)(1 << bit);
            assert_int_equal(pwrite(fd, &changed, 1, at), 1);
            assert_int_equal(read_part(&p, &owner, &key, 0, 100), SL_E_CORRUPT);
        }
        assert_int_equal(pwrite(fd, &b, 1, at), 1);
    }
    close(fd);
    assert_int_equal(read_part(&p, &owner, &key, 0, 100), SL_CODE_OK);
}

static uint8_t *load(const char *path, size_t n) {
    uint8_t *data = malloc(n);
    int fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, data, n), (ssize_t)n);
    close(fd);
    return data;
}

static void store_file(const char *path, const uint8_t *data, size_t n) {
    int fd = open(path, O_WRONLY | O_TRUNC);
    assert_int_equal(write(fd, data, n), (ssize_t)n);
    close(fd);
}

static void chunks_in_their_place(void **state) {
    enum { CHUNK = 65552, SIZE = 4 * 65536 };
    struct blob_part p = write_part(SIZE, 65536);
    size_t len = (size_t)blob_file_bytes(SIZE);
    char path[256];
    part_path(&p, path);
    uint8_t *good = load(path, len);
    uint8_t *bad = malloc(len + CHUNK);

    memcpy(bad, good, len); /* second and third swapped */
    memcpy(bad + BLOB_HEADER_BYTES + CHUNK, good + BLOB_HEADER_BYTES + 2 * CHUNK, CHUNK);
    memcpy(bad + BLOB_HEADER_BYTES + 2 * CHUNK, good + BLOB_HEADER_BYTES + CHUNK, CHUNK);
    store_file(path, bad, len);
    assert_int_equal(read_part(&p, &owner, &key, 0, SIZE), SL_E_CORRUPT);

    memcpy(bad, good, len); /* the first in place of the second */
    memcpy(bad + BLOB_HEADER_BYTES + CHUNK, good + BLOB_HEADER_BYTES, CHUNK);
    store_file(path, bad, len);
    assert_int_equal(read_part(&p, &owner, &key, 0, SIZE), SL_E_CORRUPT);

    struct blob_part shorter = p; /* last dropped, and the manifest's size edited to match */
    shorter.size = SIZE - 65536;
    store_file(path, good, len - CHUNK);
    assert_int_equal(read_part(&shorter, &owner, &key, 0, shorter.size), SL_E_CORRUPT);
    assert_int_equal(read_part(&p, &owner, &key, 0, SIZE), SL_E_CORRUPT);

    memcpy(bad, good, len); /* last repeated, size edited */
    memcpy(bad + len, good + len - CHUNK, CHUNK);
    store_file(path, bad, len + CHUNK);
    struct blob_part longer = p;
    longer.size = SIZE + 65536;
    assert_int_equal(read_part(&longer, &owner, &key, 0, longer.size), SL_E_CORRUPT);

    store_file(path, good, len);
    assert_int_equal(read_part(&p, &owner, &key, 0, SIZE), SL_CODE_OK);
    free(good);
    free(bad);
}

static void length_must_fit(void **state) {
    struct blob_part p = write_part(70000, 70000);
    size_t len = (size_t)blob_file_bytes(70000);
    char path[256];
    part_path(&p, path);
    uint8_t *good = load(path, len);
    static const int cuts[] = {1, 15, 16, 17, 4000, 70000};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        store_file(path, good, len - (size_t)cuts[i]);
        assert_int_equal(read_part(&p, &owner, &key, 0, 10), SL_E_CORRUPT);
    }
    store_file(path, good, 0);
    assert_int_equal(read_part(&p, &owner, &key, 0, 10), SL_E_CORRUPT);
    uint8_t *more = calloc(1, len + 1);
    memcpy(more, good, len);
    store_file(path, more, len + 1);
    assert_int_equal(read_part(&p, &owner, &key, 0, 10), SL_E_CORRUPT);
    store_file(path, good, len);
    assert_int_equal(read_part(&p, &owner, &key, 0, 10), SL_CODE_OK);
    free(more);
    free(good);
}

static void foreign_parts(void **state) {
    struct blob_part p = write_part(1000, 1000);
    struct blob_part q = write_part(1000, 1000);
    struct blob_owner other = owner;
    blob_id_random(&other.object);
    assert_int_equal(read_part(&p, &other, &key, 0, 1000), SL_E_CORRUPT);
    other = owner;
    blob_id_random(&other.bucket);
    assert_int_equal(read_part(&p, &other, &key, 0, 1000), SL_E_CORRUPT);
    struct secret wrong = {0};
    assert_true(sl_is_ok(secret_random(&wrong, 32)));
    assert_int_equal(read_part(&p, &owner, &wrong, 0, 1000), SL_E_CORRUPT);
    secret_fini(&wrong);
    /* q's bytes under p's name */
    char from[256];
    char to[256];
    part_path(&q, from);
    part_path(&p, to);
    assert_int_equal(rename(from, to), 0);
    assert_int_equal(read_part(&p, &owner, &key, 0, 1000), SL_E_CORRUPT);
    assert_int_equal(read_part(&q, &owner, &key, 0, 1000), SL_E_NOT_FOUND);
}

static size_t count_files(void) {
    char command[128];
    snprintf(command, sizeof command, "find %s -type f | wc -l", dir);
    FILE *f = popen(command, "r");
    size_t n = 0;
    assert_int_equal(fscanf(f, "%zu", &n), 1);
    pclose(f);
    return n;
}

static void unfinished_leaves_nothing(void **state) {
    struct blob_writer *w = NULL;
    size_t before = count_files();
    assert_true(sl_is_ok(blob_writer_new(store, &key, &owner, &w, NULL)));
    assert_true(sl_is_ok(blob_write(w, SLICE_LIT("half"), NULL)));
    assert_int_equal(count_files(), before + 1);
    blob_writer_free(w);
    assert_int_equal(count_files(), before);
}

/* A file-size limit stands for a full disk: the same path from write() on. */
static void full_disk(void **state) {
    struct rlimit old;
    struct rlimit small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = (struct rlimit){100000, old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    size_t before = count_files();
    struct blob_writer *w = NULL;
    assert_true(sl_is_ok(blob_writer_new(store, &key, &owner, &w, NULL)));
    uint8_t *data = calloc(1, 300000);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    struct sl_rc rc = blob_write(w, slice_of(data, 300000), NULL);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(rc.code, SL_E_FULL);
    blob_writer_free(w);
    assert_int_equal(count_files(), before);
    free(data);
}

static struct sl_rc only_this(const struct blob_id *part, void *user, bool *ret) {
    *ret = blob_id_eq(part, user);
    return SL_OK;
}
static struct sl_rc doubtful(const struct blob_id *part, void *user, bool *ret) {
    return sl_rc_of(SL_E_IO);
}

static void sweep(void **state) {
    struct blob_part keep = write_part(10, 10);
    struct blob_part orphan = write_part(10, 10);
    size_t removed = 0;
    int64_t later = 1LL << 40;
    assert_true(sl_is_ok(blob_sweep(store, 0, only_this, &keep.id, &removed, NULL)));
    assert_int_equal(removed, 0); /* all are younger */
    assert_int_equal(blob_sweep(store, later, doubtful, NULL, &removed, NULL).code, SL_E_IO);
    assert_int_equal(read_part(&orphan, &owner, &key, 0, 10), SL_CODE_OK);
    assert_true(sl_is_ok(blob_sweep(store, later, only_this, &keep.id, &removed, NULL)));
    assert_true(removed >= 1);
    assert_int_equal(read_part(&orphan, &owner, &key, 0, 10), SL_E_NOT_FOUND);
    assert_int_equal(read_part(&keep, &owner, &key, 0, 10), SL_CODE_OK);
    assert_int_equal(count_files(), 1);
}

static void pinned_files_stay(void **state) {
    struct blob_part p = write_part(10, 10);
    assert_true(sl_is_ok(blob_pin(store, &owner.object)));
    assert_true(sl_is_ok(blob_pin(store, &owner.object)));
    blob_drop(store, &owner.object, &p.id, 1);
    assert_int_equal(read_part(&p, &owner, &key, 0, 10), SL_CODE_OK);
    blob_unpin(store, &owner.object);
    assert_int_equal(read_part(&p, &owner, &key, 0, 10), SL_CODE_OK);
    blob_unpin(store, &owner.object);
    assert_int_equal(read_part(&p, &owner, &key, 0, 10), SL_E_NOT_FOUND);
    struct blob_part q = write_part(10, 10);
    blob_drop(store, &owner.object, &q.id, 1);
    assert_int_equal(read_part(&q, &owner, &key, 0, 10), SL_E_NOT_FOUND);
}

static void no_plaintext_on_disk(void **state) {
    struct blob_writer *w = NULL;
    struct blob_part p;
    struct slice text = SLICE_LIT("the quick brown fox jumps over the lazy dog");
    assert_true(sl_is_ok(blob_writer_new(store, &key, &owner, &w, NULL)));
    assert_true(sl_is_ok(blob_write(w, text, NULL)));
    assert_true(sl_is_ok(blob_finish(w, &p, NULL)));
    blob_writer_free(w);
    char path[256];
    part_path(&p, path);
    size_t len = (size_t)blob_file_bytes(text.len);
    uint8_t *data = load(path, len);
    assert_null(memmem(data, len, "quick", 5));
    free(data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips),
        cmocka_unit_test(ranges),
        cmocka_unit_test(range_touches_its_chunks),
        cmocka_unit_test(every_byte_counts),
        cmocka_unit_test(chunks_in_their_place),
        cmocka_unit_test(length_must_fit),
        cmocka_unit_test(foreign_parts),
        cmocka_unit_test(unfinished_leaves_nothing),
        cmocka_unit_test(full_disk),
        cmocka_unit_test(sweep),
        cmocka_unit_test(pinned_files_stay),
        cmocka_unit_test(no_plaintext_on_disk),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
