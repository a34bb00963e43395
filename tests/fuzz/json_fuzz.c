/* Whatever the reader takes, the writer writes so that it reads the same. */
#include "lib/base/limits.h"
#include "lib/codec/json.h"

static void write_tree(struct jsonw *w, const struct json *v) {
    switch (v->type) {
    case JSON_NULL:
        jsonw_null(w);
        return;
    case JSON_BOOL:
        jsonw_bool(w, v->boolean);
        return;
    case JSON_NUMBER:
        jsonw_raw(w, v->text);
        return;
    case JSON_STRING:
        jsonw_string(w, v->text);
        return;
    case JSON_ARRAY:
        jsonw_array_begin(w);
        break;
    case JSON_OBJECT:
        jsonw_object_begin(w);
        break;
    }
    for (const struct json *m = v->child; m != NULL; m = m->next) {
        if (v->type == JSON_OBJECT) {
            jsonw_name_slice(w, m->name);
        }
        write_tree(w, m);
    }
    (v->type == JSON_ARRAY ? jsonw_array_end : jsonw_object_end)(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a = ARENA_INIT(LIMIT_REQUEST_ARENA_BYTES), b = ARENA_INIT(16 * 1024 * 1024);
    const struct json *root, *again;
    struct sl_error err = {0};
    if (sl_is_ok(json_parse(slice_of(data, size), &a, &err, &root))) {
        struct buf first = BUF_INIT(64 * 1024 * 1024), second = BUF_INIT(64 * 1024 * 1024);
        struct jsonw w = jsonw_of(&first), v = jsonw_of(&second);
        write_tree(&w, root);
        sl_assert(sl_is_ok(json_parse(buf_slice(&first), &b, NULL, &again)));
        write_tree(&v, again);
        sl_assert(slice_eq(buf_slice(&first), buf_slice(&second)));
        buf_fini(&first);
        buf_fini(&second);
    } else {
        sl_assert(err.detail[0] != '\0');
    }
    arena_fini(&a);
    arena_fini(&b);
    return 0;
}
