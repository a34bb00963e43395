/* Reads, and writes each text so that it reads the same. */
#include "lib/base/limits.h"
#include "lib/codec/text.h"
#include "lib/codec/xml.h"

static void check(const struct xml *x, int depth) {
    sl_assert(depth <= LIMIT_XML_DEPTH && utf8_valid(x->text) && utf8_valid(x->name));
    struct buf out = BUF_INIT(64 * 1024 * 1024);
    struct arena a = ARENA_INIT(64 * 1024 * 1024);
    const struct xml *again;
    xmlw_text(&out, "t", x->text);
    sl_assert(sl_is_ok(xml_parse(buf_slice(&out), &a, NULL, &again)));
    sl_assert(slice_eq(again->text, x->text));
    arena_fini(&a);
    buf_fini(&out);
    for (const struct xml *c = x->child; c != NULL; c = c->next) {
        check(c, depth + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a = ARENA_INIT(LIMIT_REQUEST_ARENA_BYTES);
    const struct xml *root;
    struct sl_error err = {0};
    if (sl_is_ok(xml_parse(slice_of(data, size), &a, &err, &root))) {
        check(root, 1);
    } else {
        sl_assert(err.detail[0] != '\0');
    }
    arena_fini(&a);
    return 0;
}
