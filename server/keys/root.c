/* Names of roots; see root.h. */
#include "server/keys/root.h"

#include "lib/base/limits.h"

#include <stdio.h>

#define DEFAULT_KEY "sealift-root"

const char *root_kind_name(enum root_kind kind) {
    return kind == ROOT_FILE ? "file" : kind == ROOT_PASSPHRASE ? "passphrase" : "pkcs11";
}

static int hex(uint8_t c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Percent-decodes into out; false when it does not fit, is empty, or holds a NUL. */
static bool decode(struct slice s, char *out, size_t size) {
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        int c = s.ptr[i];
        if (c == '%') {
            int high = i + 2 < s.len ? hex(s.ptr[i + 1]) : -1;
            int low = i + 2 < s.len ? hex(s.ptr[i + 2]) : -1;
            c = high < 0 || low < 0 ? 0 : high << 4 | low;
            i += 2;
        }
        if (c == 0 || n + 1 >= size) {
            return false;
        }
        out[n++] = (char)c;
    }
    out[n] = '\0';
    return n > 0;
}

static struct sl_rc attribute(struct slice pair, struct root_token *t, struct sl_error *err) {
    const struct {
        const char *name;
        char *out;
        size_t size;
    } known[] = {{"token", t->token, sizeof t->token},
                 {"object", t->key, sizeof t->key},
                 {"module-path", t->module, sizeof t->module}};
    size_t eq = slice_find(pair, '=');
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (eq < pair.len && slice_eq_cstr(slice_sub(pair, 0, eq), known[i].name)) {
            ENSURE(decode(slice_sub(pair, eq + 1, pair.len), known[i].out, known[i].size), err,
                   SL_E_VALIDATION, "pkcs11: %s is empty, too long or not well-formed",
                   known[i].name);
            return SL_OK;
        }
    }
    return sl_fail(err, SL_E_VALIDATION,
                   "pkcs11: '%.*s' is not known; use token, object and "
                   "module-path",
                   SLICE_FMT(pair));
}

static struct sl_rc token_parse(struct slice uri, struct root_token *ret, struct sl_error *err) {
    *ret = (struct root_token){.key = DEFAULT_KEY};
    while (uri.len > 0) {
        size_t n = 0;
        while (n < uri.len && strchr(";?&", uri.ptr[n]) == NULL) {
            n++;
        }
        TRY(attribute(slice_sub(uri, 0, n), ret, err));
        uri = slice_sub(uri, n + 1, uri.len);
    }
    ENSURE(ret->token[0] != '\0' && ret->module[0] == '/', err, SL_E_VALIDATION,
           "a PKCS#11 root is named pkcs11:token=LABEL;object=LABEL?module-path=/LIBRARY");
    return SL_OK;
}

struct sl_rc root_place_parse(const char *text, const char *default_file, struct root_place *ret,
                              struct sl_error *err) {
    struct slice s = slice_cstr(text);
    *ret = (struct root_place){.kind = ROOT_FILE};
    if (slice_eq_cstr(s, "passphrase")) {
        ret->kind = ROOT_PASSPHRASE;
        return SL_OK;
    }
    if (slice_starts(s, SLICE_LIT("pkcs11:"))) {
        ret->kind = ROOT_TOKEN;
        return token_parse(slice_sub(s, 7, s.len), &ret->token, err);
    }
    bool named = slice_starts(s, SLICE_LIT("file:"));
    ENSURE(named || slice_eq_cstr(s, "file"), err, SL_E_VALIDATION,
           "'%s' is no root; use file, file:PATH, passphrase or pkcs11:…", text);
    const char *path = named ? text + 5 : default_file;
    ENSURE(path[0] == '/' && strlen(path) < sizeof ret->file, err, SL_E_VALIDATION,
           "the root key's file wants an absolute path, not '%s'", path);
    memcpy(ret->file, path, strlen(path) + 1);
    return SL_OK;
}

struct sl_rc root_word_check(enum root_kind kind, struct slice word, struct sl_error *err) {
    ENSURE(word.len > 0 && word.len <= LIMIT_ROOT_WORD_BYTES, err, SL_E_VALIDATION,
           "a passphrase or PIN has 1 to %d bytes", LIMIT_ROOT_WORD_BYTES);
    ENSURE(kind != ROOT_PASSPHRASE || word.len >= ROOT_PASSPHRASE_MIN_BYTES, err, SL_E_VALIDATION,
           "a passphrase has at least %d bytes", ROOT_PASSPHRASE_MIN_BYTES);
    return SL_OK;
}
