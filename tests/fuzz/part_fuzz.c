/* Sealed part files. The input edits a genuine file of two chunks: two bytes cut or lengthen it,
 * then each four are an offset (3) and what is added to the byte there (1). The file opens, to the
 * right plaintext, exactly when the edits have changed nothing. */
#include "lib/base/rdr.h"
#include "server/store/blob/blob_in.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PLAIN_BYTES = BLOB_CHUNK_BYTES + 1000, FILE_MAX = PLAIN_BYTES + 66000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
    char dir[32], path[80];
    struct blob_store *store;
    struct secret key;
    struct blob_owner owner;
    struct blob_part part;
    uint8_t plain[PLAIN_BYTES], genuine[FILE_MAX];
    size_t len;
} g;

static void clean_up(void) {
    unlink(g.path);
    blob_store_close(g.store);
    for (int i = 0; i < 256; i++) {
        char folder[40];
        snprintf(folder, sizeof folder, "%s/%02x", g.dir, (unsigned)i);
        rmdir(folder);
    }
    rmdir(g.dir);
    secret_fini(&g.key);
}

static void set_up(void) {
    struct blob_writer *w;
    char name[BLOB_PATH_BYTES];
    snprintf(g.dir, sizeof g.dir, "/tmp/slfuzzXXXXXX");
    sl_assert(mkdtemp(g.dir) != NULL);
    for (size_t i = 0; i < PLAIN_BYTES; i++) {
        g.plain[i] = (uint8_t)(i * 7 + i / 251);
    }
    sl_assert(sl_is_ok(blob_store_open(g.dir, &g.store, NULL)) &&
              sl_is_ok(secret_random(&g.key, 32)));
    sl_assert(sl_is_ok(blob_writer_new(g.store, &g.key, &g.owner, &w, NULL)) &&
              sl_is_ok(blob_write(w, slice_of(g.plain, PLAIN_BYTES), NULL)) &&
              sl_is_ok(blob_finish(w, &g.part, NULL)));
    blob_writer_free(w);
    blob_path(&g.part.id, name);
    snprintf(g.path, sizeof g.path, "%s/%s", g.dir, name);
    FILE *f = fopen(g.path, "rb");
    sl_assert(f != NULL);
    g.len = fread(g.genuine, 1, sizeof g.genuine, f);
    fclose(f);
    sl_assert(g.len == blob_file_bytes(PLAIN_BYTES));
    atexit(clean_up);
}

/* The edited file, its length. */
static size_t edit(struct slice edits, uint8_t *file) {
    struct rdr r = rdr_of(edits);
    memset(file, 0, FILE_MAX);
    memcpy(file, g.genuine, g.len);
    int32_t by = (int16_t)rdr_u16(&r);
    size_t len = (size_t)((int64_t)g.len + (r.bad ? 0 : by));
    for (;;) {
        uint32_t one = rdr_u32(&r);
        if (r.bad) {
            return len;
        }
        file[(one >> 8) % len] = (uint8_t)(file[(one >> 8) % len] + one);
    }
}

static bool opens(void) {
    struct blob_reader *reader;
    struct slice run;
    size_t at = 0;
    if (sl_failed(blob_reader_open(g.store, &g.key, &g.owner, &g.part, &reader, NULL))) {
        return false;
    }
    bool fine = true;
    do {
        fine = sl_is_ok(blob_read(reader, &run, NULL));
        if (fine) {
            /* whatever else is wrong: no wrong byte comes out */
            sl_assert(at + run.len <= PLAIN_BYTES && memcmp(g.plain + at, run.ptr, run.len) == 0);
            at += run.len;
        }
    } while (fine && at < PLAIN_BYTES && run.len > 0);
    blob_reader_free(reader);
    return fine && at == PLAIN_BYTES;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t file[FILE_MAX];
    if (g.store == NULL) {
        set_up();
    }
    size_t len = edit(slice_of(data, size), file);
    int fd = open(g.path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    sl_assert(fd >= 0 && write(fd, file, len) == (ssize_t)len);
    close(fd);
    sl_assert(opens() == (len == g.len && memcmp(file, g.genuine, len) == 0));
    return 0;
}
