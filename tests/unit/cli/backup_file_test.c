/* The file of a backup: whole or not at all; any byte of it altered, cut, moved or added is found.
 */
#include "cli/backup_file.h"

#include "lib/base/limits.h"
#include "server/keys/domain.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define OK(call) assert_int_equal((call).code, SL_CODE_OK)

enum { BODY_BYTES = 3 * BACKUP_CHUNK_BYTES + 1000, SEALED = BACKUP_CHUNK_BYTES + GCM_TAG_LEN };

static char dir[64], file[96];
static uint8_t body[BODY_BYTES];
static struct secret store_key;
static struct buf domain = {.max = LIMIT_DOMAIN_FILE_BYTES};
static uint8_t salt[BACKUP_SALT_LEN];

static struct backup_header header(void) {
    return (struct backup_header){.made_ms = 1790000000000,
                                  .salt = slice_of(salt, sizeof salt),
                                  .instance = SLICE_LIT("0123456789abcdef0123456789abcdef"),
                                  .account = SLICE_LIT("012345678999"),
                                  .region = SLICE_LIT("us-east-1"),
                                  .created_s = 1780000000,
                                  .ephemeral = true,
                                  .domain = buf_slice(&domain)};
}

static int make(void **state) {
    static const struct root_place place = {.kind = ROOT_PASSPHRASE};
    struct secret word = {0};
    struct domain d = {0};
    snprintf(dir, sizeof dir, "/tmp/sl_backup_XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(file, sizeof file, "%s/b", dir);
    crypto_random(body, sizeof body);
    crypto_random(salt, sizeof salt);
    OK(secret_random(&store_key, 32));
    OK(secret_random(&d.key, DOMAIN_KEY_LEN));
    OK(secret_from(&word, SLICE_LIT("correct horse battery")));
    OK(domain_wrap(&place, false, &word, &d, &domain, NULL));
    secret_fini(&word);
    domain_fini(&d);
    return 0;
}

static int drop(void **state) {
    char command[128];
    secret_fini(&store_key);
    buf_fini(&domain);
    snprintf(command, sizeof command, "rm -r %s", dir);
    return system(command);
}

/* In pieces that end at no chunk's edge. */
static void write_backup(size_t len) {
    struct backup_header h = header();
    struct backup_writer *w = NULL;
    OK(backup_create(file, &h, &store_key, &w, NULL));
    for (size_t at = 0; at < len; at += 10007) {
        size_t n = len - at < 10007 ? len - at : 10007;
        OK(backup_put(w, slice_of(body + at, n), NULL));
    }
    OK(backup_finish(w, NULL));
    backup_writer_free(w);
}

/* The whole body; how it ended, and *ret_same whether it is what was written. */
static struct sl_rc read_backup(const struct secret *key, size_t len, bool *ret_same,
                                struct sl_error *err) {
    struct backup_reader *r = NULL;
    struct slice bytes = SLICE_EMPTY;
    size_t at = 0;
    bool same = true;
    struct sl_rc rc = backup_open(file, &r, err);
    rc = sl_is_ok(rc) ? backup_unlock(r, key, err) : rc;
    while (sl_is_ok(rc) && sl_is_ok(rc = backup_read(r, &bytes, err)) && bytes.len > 0) {
        same &= at + bytes.len <= len && memcmp(body + at, bytes.ptr, bytes.len) == 0;
        at += bytes.len;
    }
    backup_reader_free(r);
    *ret_same = same && at == len;
    return rc;
}

static void put_file(struct slice bytes) {
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(fd, bytes.ptr, bytes.len), bytes.len);
    close(fd);
}

static struct buf get_file(void) {
    struct buf b = BUF_INIT(BODY_BYTES + SEALED);
    int fd = open(file, O_RDONLY);
    uint8_t *p = buf_reserve(&b, BODY_BYTES + SEALED);
    ssize_t n = read(fd, p, BODY_BYTES + SEALED);
    close(fd);
    assert_true(n > 0);
    b.len = (size_t)n;
    return b;
}

/* Refused with a text, before or instead of other bytes. */
static void refused(const struct secret *key) {
    struct sl_error err = {0};
    bool same = false;
    struct sl_rc rc = read_backup(key, BODY_BYTES, &same, &err);
    assert_true(rc.code == SL_E_CORRUPT || rc.code == SL_E_UNSUPPORTED);
    assert_true(strlen(err.detail) > strlen(file));
}

static void there_and_back(void **state) {
    static const size_t lengths[] = {0,
                                     1,
                                     BACKUP_CHUNK_BYTES - 1,
                                     BACKUP_CHUNK_BYTES,
                                     BACKUP_CHUNK_BYTES + 1,
                                     2 * BACKUP_CHUNK_BYTES,
                                     BODY_BYTES};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        bool same = false;
        struct stat st;
        write_backup(lengths[i]);
        OK(read_backup(&store_key, lengths[i], &same, NULL));
        assert_true(same);
        assert_int_equal(stat(file, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
    }
    struct backup_reader *r = NULL;
    OK(backup_open(file, &r, NULL));
    const struct backup_header *h = backup_header(r);
    assert_true(slice_eq_cstr(h->account, "012345678999") && h->ephemeral);
    assert_int_equal(h->made_ms, 1790000000000);
    assert_int_equal(h->created_s, 1780000000);
    assert_true(slice_eq(h->domain, buf_slice(&domain)));
    backup_reader_free(r);
}

static void every_byte_of_the_header(void **state) {
    write_backup(BODY_BYTES);
    struct buf b = get_file();
    size_t sealed = BODY_BYTES + 4 * GCM_TAG_LEN;
    for (size_t i = 0; i < b.len - sealed; i++) {
        for (int bit = 0; bit < 8; bit += 7) {
            b.ptr[i] ^= (uint8_t)(1 << bit);
            put_file(buf_slice(&b));
            refused(&store_key);
            b.ptr[i] ^= (uint8_t)(1 << bit);
        }
    }
    buf_fini(&b);
}

static void bytes_of_the_body(void **state) {
    write_backup(BODY_BYTES);
    struct buf b = get_file();
    size_t from = b.len - (BODY_BYTES + 4 * GCM_TAG_LEN);
    for (size_t i = from; i < b.len; i += i + 1999 < b.len ? 1999 : 1) {
        b.ptr[i] ^= 0x10;
        put_file(buf_slice(&b));
        refused(&store_key);
        b.ptr[i] ^= 0x10;
        if (i + 2100 >= b.len) {
            i += 20; /* the last chunk's end, denser */
        }
    }
    buf_fini(&b);
}

static void cut_swapped_added(void **state) {
    write_backup(BODY_BYTES);
    struct buf b = get_file();
    size_t from = b.len - (BODY_BYTES + 4 * GCM_TAG_LEN);
    for (size_t len = 0; len < b.len; len += len < from + 64 ? 7 : 4099) {
        put_file(slice_sub(buf_slice(&b), 0, len));
        refused(&store_key);
    }
    for (size_t chunks = 0; chunks < 4; chunks++) { /* at the edges */
        put_file(slice_sub(buf_slice(&b), 0, from + chunks * SEALED));
        refused(&store_key);
    }
    uint8_t *first = b.ptr + from, *second = first + SEALED;
    uint8_t *kept = malloc(SEALED);
    memcpy(kept, first, SEALED);
    memcpy(first, second, SEALED);
    put_file(buf_slice(&b));
    refused(&store_key); /* the second twice */
    memcpy(second, kept, SEALED);
    put_file(buf_slice(&b));
    refused(&store_key); /* swapped */
    memcpy(second, first, SEALED);
    memcpy(first, kept, SEALED);
    buf_putc(&b, 0);
    put_file(buf_slice(&b));
    refused(&store_key); /* a byte more */
    buf_put(&b, slice_of(kept, SEALED - 1));
    put_file(buf_slice(&b));
    refused(&store_key); /* a chunk more */
    free(kept);
    buf_fini(&b);
}

static void other_key(void **state) {
    struct secret other = {0};
    OK(secret_random(&other, 32));
    write_backup(BODY_BYTES);
    refused(&other);
    secret_fini(&other);
}

/* A backup that is not finished leaves nothing, and an older one as it was. */
static void not_finished(void **state) {
    struct backup_header h = header();
    struct backup_writer *w = NULL;
    struct buf before, after;
    write_backup(1000);
    before = get_file();
    OK(backup_create(file, &h, &store_key, &w, NULL));
    OK(backup_put(w, slice_of(body, sizeof body), NULL));
    backup_writer_free(w);
    after = get_file();
    assert_true(slice_eq(buf_slice(&before), buf_slice(&after)));
    char temp[128];
    snprintf(temp, sizeof temp, "%s.new", file);
    assert_int_not_equal(access(temp, F_OK), 0);
    buf_fini(&before);
    buf_fini(&after);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),    cmocka_unit_test(every_byte_of_the_header),
        cmocka_unit_test(bytes_of_the_body), cmocka_unit_test(cut_swapped_added),
        cmocka_unit_test(other_key),         cmocka_unit_test(not_finished),
    };
    return cmocka_run_group_tests(tests, make, drop);
}
