/* Splits and rewrites; the spans stand in order, and what is not rewritten is the source. */
#include "lib/dialect/dialect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sl_rc seal(void *ctx, const char *what, struct slice user, struct slice secret,
                         struct buf *out, struct sl_error *err) {
    buf_puts(out, "sealed");
    return buf_check(out, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice source = slice_of(data, size);
    struct arena a = ARENA_INIT(64 * 1024 * 1024);
    const struct dialect_options opt = {.seal = seal};
    struct dialect_statement *st = NULL;
    struct dialect_error error;
    size_t count = 0, at = 0;
    if (sl_failed(dialect_rewrite(source, &opt, &a, &st, &count, &error))) {
        sl_assert(st == NULL && error.err.detail[0] != '\0' && error.position <= size);
    }
    for (size_t i = 0; i < count; i++) {
        sl_assert(st[i].start >= at && st[i].end >= st[i].start && st[i].end <= size);
        sl_assert(st[i].rewritten ||
                  slice_eq(st[i].sql, slice_sub(source, st[i].start, st[i].end)));
        at = st[i].end;
    }
    arena_fini(&a);
    return 0;
}
