/* What sealing and decoding segments costs, stage by stage, on one core with warm memory.
 *
 * usage: columnar_bench CSV-FILE
 * The file holds the flights of the walk-through. Each segment of 131,072 rows is sealed and opened
 * again as a table would; then its stages are run one by one. CPU time of the process. */
#include "bench/flights.h"
#include "lib/base/limits.h"
#include "lib/columnar/segment_in.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <fcntl.h>

enum { SLICE_BYTES = 8 * 1024 * 1024 };

static const char *const names[COLUMNS] = {
    "fl_date",    "airline_id", "origin_region", "origin_division", "origin_state_name",
    "origin_abr", "origin_ap",  "dest_region",   "dest_division",   "dest_state_name",
    "dest_abr",   "dest_ap",    "dep_delay",     "arr_delay",       "cancelled"};

enum stage { SEAL, OPEN, ENCODE, AEAD_SEAL, AEAD_OPEN, EXPAND, DECODE, STAGES };
static const char *const stage_names[STAGES] = {
    "encode, compress, seal", "open, expand, decode", "  encode alone (probes included)",
    "  AES-GCM, sealing",     "  AES-GCM, opening",   "  expand alone",
    "  decode alone"};

static struct {
    struct vector v[COLUMNS];
    uint8_t *values[COLUMNS], *nulls[COLUMNS];
    struct buf heap[COLUMNS];
    uint32_t rows;

    struct segment_work *work;
    struct secret key;
    struct buf sealed;
    struct vector_memory memory[COLUMNS];
    struct buf body;

    double seconds[STAGES], column_seal[COLUMNS], column_open[COLUMNS];
    uint64_t column_bytes[COLUMNS], column_plain[COLUMNS];
    char how[COLUMNS][40];
    uint64_t all_rows, all_bytes, chunk_bytes, body_bytes, value_bytes;
    bool measuring;
} b;

static enum vector_kind kind_of(enum copy_type type) {
    switch (type) {
    case COPY_INT4:
        return VECTOR_INT32;
    case COPY_BOOL:
        return VECTOR_BOOL;
    case COPY_CHAR:
    case COPY_VARCHAR:
        return VECTOR_BYTES;
    default:
        return VECTOR_INT64;
    }
}

/* Times one stage over all columns. */
#define TIMED(stage, ...)                                                                          \
    do {                                                                                           \
        double begun_ = cpu();                                                                     \
        __VA_ARGS__;                                                                               \
        b.seconds[stage] += b.measuring ? cpu() - begun_ : 0;                                      \
    } while (0)

static void stages(const struct segment *s) {
    for (uint32_t i = 0; i < COLUMNS; i++) {
        const struct footer_column *c = &s->columns[i];
        struct slice chunk = segment_chunk_of(s, i, buf_slice(&b.sealed));
        struct encoded e;
        struct aead *a;
        struct vector got;
        uint8_t tag[GCM_TAG_LEN];
        buf_reset(&b.body);
        TIMED(ENCODE, MUST(encode_column(&b.work->encode, &b.v[i], &b.body, &e, err)));
        buf_reset(&b.work->packed);
        uint8_t *p = buf_reserve(&b.work->packed, chunk.len + 1);
        sl_assert(p != NULL);
        MUST(segment_key_handle(b.work, &s->key, s->commitment, &a));
        TIMED(AEAD_OPEN, MUST(segment_part_open(a, SEGMENT_CHUNK, i, s->aad, chunk, c->tag, p)));
        struct slice body = slice_of(p, chunk.len);
        if (c->method != BLOCK_STORED) {
            TIMED(EXPAND, MUST(block_expand(b.work->block, c->method, body, b.body.ptr,
                                            c->shown.plain_bytes, err)));
            body = slice_of(b.body.ptr, c->shown.plain_bytes);
        }
        TIMED(DECODE, MUST(decode_column(&b.work->encode, c->encoding, c->shown.kind, b.rows,
                                         c->shown.nulls, body, &b.memory[i], &got, err)));
        TIMED(AEAD_SEAL,
              MUST(segment_part_seal(a, SEGMENT_CHUNK, i, s->aad, slice_of(p, chunk.len), p, tag)));
    }
}

static void account(const struct segment *s, const struct segment_ref *ref) {
    b.all_rows += b.rows;
    b.all_bytes += ref->bytes;
    for (uint32_t i = 0; i < COLUMNS; i++) {
        const struct segment_column *c = segment_column(s, i);
        uint64_t plain =
            b.v[i].kind == VECTOR_BYTES ? b.v[i].heap.len : b.rows * vector_width(b.v[i].kind);
        b.column_bytes[i] += c->length;
        b.column_plain[i] += plain;
        b.value_bytes += plain;
        b.chunk_bytes += c->length;
        b.body_bytes += c->plain_bytes;
        snprintf(b.how[i], sizeof b.how[i], "%s, %s", c->encoding, c->compression);
    }
}

/* The rows gathered so far as a segment. */
static void segment_done(void) {
    struct segment_ref ref = {0};
    struct segment *s;
    struct vector got;
    for (uint32_t i = 0; i < COLUMNS; i++) {
        b.v[i].rows = b.rows;
        b.v[i].heap = buf_slice(&b.heap[i]);
    }
    for (int warm = b.all_rows == 0 ? 0 : 1; warm < 2; warm++) {
        b.measuring = warm == 1;
        buf_reset(&b.sealed);
        TIMED(SEAL, MUST(segment_seal(b.work, &b.key, b.v, COLUMNS, b.rows, &b.sealed, &ref, err)));
        double begun = cpu();
        MUST(segment_open_whole(&b.key, &ref, buf_slice(&b.sealed), &s, err));
        for (uint32_t i = 0; i < COLUMNS; i++) {
            double at = cpu();
            MUST(segment_decode(b.work, s, i, segment_chunk_of(s, i, buf_slice(&b.sealed)),
                                &b.memory[i], &got, err));
            b.column_open[i] += b.measuring ? cpu() - at : 0;
        }
        b.seconds[OPEN] += b.measuring ? cpu() - begun : 0;
        stages(s);
        for (uint32_t i = 0; i < COLUMNS && b.measuring; i++) {
            struct segment_ref one = {0};
            double at = cpu();
            buf_reset(&b.body);
            MUST(segment_seal(b.work, &b.key, &b.v[i], 1, b.rows, &b.body, &one, err));
            b.column_seal[i] += cpu() - at;
        }
        if (b.measuring) {
            account(s, &ref);
        }
        segment_free(s);
    }
    b.rows = 0;
    for (uint32_t i = 0; i < COLUMNS; i++) {
        buf_reset(&b.heap[i]);
    }
}

static void add_row(const struct copy_batch *batch, size_t row) {
    for (uint32_t i = 0; i < COLUMNS; i++) {
        const struct copy_vector *c = &batch->columns[i];
        size_t width = vector_width(b.v[i].kind);
        b.nulls[i][b.rows] = c->presence[row] == COPY_NULL;
        if (c->presence[row] == COPY_NULL) {
            continue;
        }
        if (b.v[i].kind == VECTOR_BYTES) {
            struct vector one = {.v.at = &c->v.text[row], .heap = buf_slice(&batch->text)};
            uint32_t at = vector_heap_put(&b.heap[i], vector_bytes(&one, 0));
            memcpy(b.values[i] + b.rows * width, &at, width);
        } else {
            memcpy(b.values[i] + b.rows * width, (const uint8_t *)c->v.raw + row * width, width);
        }
    }
    if (++b.rows == SEGMENT_ROWS) {
        segment_done();
    }
}

static void load(struct slice file) {
    struct copy_convert_conf conf = {
        .split = {.delimiter = ','}, .columns = table, .column_count = COLUMNS, .max_rejects = 1};
    struct copy_converter *c;
    struct copy_batch batch = {0};
    struct copy_bad_rows bad = {0};
    MUST(copy_converter_new(&conf, &c));
    MUST(copy_batch_init(&batch, &conf));
    while (file.len > 0) {
        size_t len = file.len < SLICE_BYTES ? file.len : SLICE_BYTES;
        while (file.ptr[len - 1] != '\n') {
            len--;
        }
        bool more = true;
        copy_converter_start(c, slice_sub(file, 0, len), 1);
        while (more) {
            copy_batch_reset(&batch);
            MUST(copy_converter_fill(c, &batch, &bad, &more, err));
            for (size_t row = 0; row < batch.rows; row++) {
                add_row(&batch, row);
            }
        }
        file = slice_sub(file, len, file.len);
    }
    if (b.rows > 0) {
        segment_done();
    }
    copy_batch_fini(&batch);
    copy_bad_rows_fini(&bad);
    copy_converter_free(c);
}

static void report(void) {
    double millions = (double)b.all_rows / 1e6;
    printf("%.0f rows, %.2f MB sealed, %.2f bytes a row; segment_null_cipher %d\n\n",
           (double)b.all_rows, (double)b.all_bytes / 1e6, (double)b.all_bytes / (double)b.all_rows,
           segment_null_cipher());
    for (int i = 0; i < STAGES; i++) {
        double mb = (double)(i == AEAD_SEAL || i == AEAD_OPEN ? b.chunk_bytes
                             : i == EXPAND                    ? b.body_bytes
                                                              : b.value_bytes) /
                    1e6;
        printf("%-34s %7.4f s a million rows %9.0f MB/s\n", stage_names[i], b.seconds[i] / millions,
               mb / b.seconds[i]);
    }
    printf("\n%-18s %10s %8s %9s %9s  last segment\n", "column", "MB", "bits/row", "seal ms/M",
           "open ms/M");
    for (int i = 0; i < COLUMNS; i++) {
        printf("%-18s %10.2f %8.2f %9.1f %9.2f  %s\n", names[i], (double)b.column_bytes[i] / 1e6,
               8 * (double)b.column_bytes[i] / (double)b.all_rows,
               1e3 * b.column_seal[i] / millions, 1e3 * b.column_open[i] / millions, b.how[i]);
    }
}

int main(int argc, char **argv) {
    int fd = argc == 2 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        fprintf(stderr, "usage: columnar_bench CSV-FILE\n");
        return 2;
    }
    void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    sl_assert(map != MAP_FAILED);
    MUST(segment_work_new(&b.work));
    MUST(secret_random(&b.key, 32));
    b.sealed = b.body = BUF_INIT(256 * 1024 * 1024);
    sl_assert(buf_reserve(&b.body, 64 * 1024 * 1024) != NULL);
    for (int i = 0; i < COLUMNS; i++) {
        enum vector_kind kind = kind_of(table[i].type);
        b.values[i] = malloc(SEGMENT_ROWS * vector_width(kind));
        b.nulls[i] = malloc(SEGMENT_ROWS);
        b.heap[i] = BUF_INIT(64 * 1024 * 1024);
        sl_assert(b.values[i] != NULL && b.nulls[i] != NULL);
        b.v[i] = (struct vector){.kind = kind, .nulls = b.nulls[i], .v.raw = b.values[i]};
    }
    load(slice_of(map, (size_t)st.st_size));
    report();
    return 0;
}
