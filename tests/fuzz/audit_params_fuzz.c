/* What the audit record says of a request: whatever a form or a JSON body has in it, the text is
 * JSON. The first byte chooses: a form, or the operation whose body it is. */
#include "lib/base/limits.h"
#include "lib/codec/json.h"
#include "server/main/kms_service.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const operations[] = {"CreateKey",    "Encrypt",      "Decrypt",
                                             "TagResource",  "PutKeyPolicy", "CreateGrant",
                                             "LookupEvents", "None"};
    static const char *const forms[] = {"CreateUser", "AssumeRole", "TagPolicy", "CreateRole"};
    if (size == 0) {
        return 0;
    }
    struct slice text = slice_of(data + 1, size - 1);
    struct arena a = ARENA_INIT(LIMIT_REQUEST_ARENA_BYTES);
    struct buf out = BUF_INIT(4 * 1024 * 1024);
    bool form = data[0] % 2 == 0;
    struct api_call c = {
        .arena = &a,
        .operation = slice_cstr(form ? forms[data[0] / 2 % 4] : operations[data[0] / 2 % 8])};
    bool read = form ? sl_is_ok(params_parse(text, true, &a, NULL, &c.form))
                     : sl_is_ok(json_parse(text, &a, NULL, &c.body)) && c.body->type == JSON_OBJECT;
    if (read) {
        struct jsonw w = jsonw_of(&out);
        const struct json *root;
        kms_audit_request(&w, &c);
        sl_assert(out.failed || sl_is_ok(json_parse(buf_slice(&out), &a, NULL, &root)));
    }
    buf_fini(&out);
    arena_fini(&a);
    return 0;
}
