/* What a load's stages cost, one after the other on one core with warm memory: inflating, indexing,
 * converting, encoding and sealing.
 *
 * usage: copy_stages GZIP-FILE [ROUNDS]
 *        copy_stages --inflate GZIP-FILE     the seconds that inflating into one buffer takes, no
 * more The file holds the flights of the walk-through, comma-separated. CPU time, the least of all
 * rounds.
 */
#include "bench/flights.h"
#include "lib/base/limits.h"
#include "lib/codec/unpack.h"
#include "lib/columnar/segment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { RUN_BYTES = 256 * 1024, TEXT_MAX = 1 << 30, ROUNDS = 5 };

enum stage { INFLATE, INDEX, CONVERT, SEAL, STAGES };
static const char *const stage_names[STAGES] = {"inflate", "index, cut into fields", "convert",
                                                "encode, compress, seal"};

static struct {
    struct slice packed;
    struct buf text;
    struct copy_convert_conf conf;
    struct copy_converter *converter;
    struct copy_batch batch;
    struct copy_bad_rows bad;
    struct segment_work *work;
    struct secret key;
    struct buf sealed;
    double seconds[STAGES];
    uint64_t rows, sealed_bytes;
} b;

#define TIMED(stage, ...)                                                                          \
    do {                                                                                           \
        double begun_ = cpu();                                                                     \
        __VA_ARGS__;                                                                               \
        b.seconds[stage] += cpu() - begun_;                                                        \
    } while (0)

static void read_file(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        perror(path);
        exit(2);
    }
    void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    sl_assert(map != MAP_FAILED);
    b.packed = slice_of(map, (size_t)st.st_size);
}

static void inflate_all(void) {
    struct unpack *z;
    struct slice in = b.packed;
    size_t n = 1;
    MUST(unpack_new(UNPACK_GZIP, &z));
    buf_reset(&b.text);
    while (in.len > 0 || n > 0) {
        uint8_t *out = buf_reserve(&b.text, RUN_BYTES);
        sl_assert(out != NULL);
        MUST(unpack_feed(z, &in, out, RUN_BYTES, &n, err));
        b.text.len += n;
    }
    MUST(unpack_end(z, err));
    unpack_free(z);
}

static int inflate_alone(const char *path) {
    static uint8_t out[RUN_BYTES];
    struct unpack *z;
    size_t n = 1;
    read_file(path);
    struct slice in = b.packed;
    double begun = cpu();
    MUST(unpack_new(UNPACK_GZIP, &z));
    while (in.len > 0 || n > 0) {
        MUST(unpack_feed(z, &in, out, sizeof out, &n, err));
    }
    MUST(unpack_end(z, err));
    unpack_free(z);
    printf("%.4f\n", cpu() - begun);
    return 0;
}

static void index_all(void) {
    static struct delimited d;
    struct delimited_field fields[COLUMNS];
    struct delimited_row row;
    delimited_start(&d, &b.conf.split, buf_slice(&b.text), DELIMITED_BEST);
    while (delimited_next(&d, fields, COLUMNS, &row)) {
    }
}

static void seal(void) {
    struct vector v[COLUMNS];
    struct segment_ref ref = {0};
    for (int i = 0; i < COLUMNS; i++) {
        enum copy_type t = table[i].type;
        v[i] = (struct vector){.kind = t == COPY_INT4                        ? VECTOR_INT32
                                       : t == COPY_BOOL                      ? VECTOR_BOOL
                                       : t == COPY_CHAR || t == COPY_VARCHAR ? VECTOR_BYTES
                                                                             : VECTOR_INT64,
                               .decimal = t == COPY_NUMERIC,
                               .scale = table[i].scale,
                               .rows = (uint32_t)b.batch.rows,
                               .nulls = b.batch.columns[i].presence,
                               .v.raw = b.batch.columns[i].v.raw,
                               .heap = buf_slice(&b.batch.text)};
    }
    buf_reset(&b.sealed);
    TIMED(SEAL, MUST(segment_seal(b.work, &b.key, v, COLUMNS, (uint32_t)b.batch.rows, &b.sealed,
                                  &ref, err)));
    b.rows += b.batch.rows;
    b.sealed_bytes += b.sealed.len;
    copy_batch_reset(&b.batch);
}

static void convert_all(void) {
    struct slice text = buf_slice(&b.text);
    while (text.len > 0) {
        struct slice run = slice_sub(text, 0, RUN_BYTES);
        run.len = delimited_cut(&b.conf.split, run, DELIMITED_BEST);
        bool more = true;
        copy_converter_start(b.converter, run, 1);
        while (more) {
            TIMED(CONVERT, MUST(copy_converter_fill(b.converter, &b.batch, &b.bad, &more, err)));
            sl_assert(b.bad.count == 0);
            if (copy_batch_is_full(&b.batch)) {
                seal();
            }
        }
        text = slice_sub(text, run.len, text.len);
    }
    if (b.batch.rows > 0) {
        seal();
    }
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: copy_stages GZIP-FILE [ROUNDS]\n");
        return 2;
    }
    if (argc == 3 && strcmp(argv[1], "--inflate") == 0) {
        return inflate_alone(argv[2]);
    }
    read_file(argv[1]);
    b.text = BUF_INIT(TEXT_MAX);
    b.sealed = BUF_INIT(LIMIT_SEGMENT_BYTES);
    b.conf = (struct copy_convert_conf){.split = {.delimiter = ','},
                                        .columns = table,
                                        .column_count = COLUMNS,
                                        .max_rejects = 1,
                                        .batch_rows = SEGMENT_ROWS,
                                        .batch_bytes = 16 * 1024 * 1024};
    MUST(copy_converter_new(&b.conf, &b.converter));
    MUST(copy_batch_init(&b.batch, &b.conf));
    MUST(segment_work_new(&b.work));
    MUST(secret_random(&b.key, 32));
    double least[STAGES];
    int rounds = argc > 2 ? atoi(argv[2]) : ROUNDS;
    for (int round = 0; round < rounds; round++) {
        memset(b.seconds, 0, sizeof b.seconds);
        b.rows = b.sealed_bytes = 0;
        TIMED(INFLATE, inflate_all());
        TIMED(INDEX, index_all());
        convert_all();
        for (int i = 0; i < STAGES; i++) {
            least[i] = round == 0 || b.seconds[i] < least[i] ? b.seconds[i] : least[i];
        }
    }
    double millions = (double)b.rows / 1e6;
    printf("%.2f million rows, %.1f MB of text, %.1f MB sealed; least of %d rounds\n", millions,
           (double)b.text.len / 1e6, (double)b.sealed_bytes / 1e6, rounds);
    for (int i = 0; i < STAGES; i++) {
        printf("  %-26s %.4f s a million rows, %5.0f MB/s of text\n", stage_names[i],
               least[i] / millions, (double)b.text.len / 1e6 / least[i]);
    }
    return 0;
}
