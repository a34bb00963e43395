/* JSON; see json.h. The reader copies the text into the arena once and decodes strings in place,
 * since a decoded string is never longer than its source. */
#include "lib/codec/json.h"

#include "lib/base/limits.h"
#include "lib/codec/text.h"
#include "lib/codec/utf8_in.h"

#include <math.h>

struct reader {
    uint8_t *start, *at, *end; /* *end is NUL, so a look at *at is always allowed */
    struct arena *arena;
    struct sl_error *err;
    int depth;
};

static struct sl_rc bad(struct reader *r, const char *what) {
    return sl_fail(r->err, SL_E_PARSE, "JSON: %s at offset %zu", what, (size_t)(r->at - r->start));
}

static void skip_blanks(struct reader *r) {
    while (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t') {
        r->at++;
    }
}

static bool hex4(const uint8_t *p, uint32_t *ret) {
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        uint8_t c = p[i]; /* stops at the NUL before it can run past the end */
        uint32_t d;
        if (c >= '0' && c <= '9') {
            d = c - (uint32_t)'0';
        } else if ((c | 32) >= 'a' && (c | 32) <= 'f') {
            d = (c | 32u) - 'a' + 10;
        } else {
            return false;
        }
        v = v << 4 | d;
    }
    *ret = v;
    return true;
}

/* r->at stands on the 'u' of an escape; moves behind it (both halves of a pair). */
static struct sl_rc read_unicode(struct reader *r, uint8_t **w) {
    uint32_t c, low;
    if (!hex4(r->at + 1, &c)) {
        return bad(r, "bad \\u escape");
    }
    r->at += 5;
    if (c >= 0xdc00 && c <= 0xdfff) {
        return bad(r, "unpaired surrogate");
    }
    if (c >= 0xd800 && c <= 0xdbff) {
        if (r->at[0] != '\\' || r->at[1] != 'u' || !hex4(r->at + 2, &low) || low < 0xdc00 ||
            low > 0xdfff) {
            return bad(r, "unpaired surrogate");
        }
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        r->at += 6;
    }
    *w = utf8_put(*w, c);
    return SL_OK;
}

/* r->at stands behind a backslash. */
static struct sl_rc read_escape(struct reader *r, uint8_t **w) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    uint8_t c = *r->at;
    if (c == 'u') {
        return read_unicode(r, w);
    }
    const char *p = c != 0 ? strchr(from, c) : NULL;
    if (p == NULL) {
        return bad(r, "bad escape");
    }
    *(*w)++ = (uint8_t)to[p - from];
    r->at++;
    return SL_OK;
}

static struct sl_rc read_string(struct reader *r, struct slice *ret) {
    uint8_t *first = ++r->at, *w = first;
    for (;;) {
        uint8_t *run = r->at;
        while (r->end - r->at >= 8 && utf8_plain8(r->at)) {
            r->at += 8;
        }
        while (*r->at >= 0x20 && *r->at < 0x80 && *r->at != '"' && *r->at != '\\') {
            r->at++;
        }
        while (*r->at >= 0x80) {
            size_t n = utf8_step(r->at, (size_t)(r->end - r->at));
            if (n == 0) {
                return bad(r, "invalid UTF-8");
            }
            r->at += n;
        }
        size_t n = (size_t)(r->at - run);
        if (w != run && n > 0) {
            memmove(w, run, n);
        }
        w += n;
        if (*r->at == '"') {
            r->at++;
            *ret = slice_of(first, (size_t)(w - first));
            return SL_OK;
        }
        if (*r->at == '\\') {
            r->at++;
            TRY(read_escape(r, &w));
        } else if (*r->at < 0x20) {
            return bad(r, r->at == r->end ? "unterminated string" : "control byte in a string");
        }
    }
}

static bool digit(uint8_t c) {
    return c >= '0' && c <= '9';
}

static struct sl_rc read_digits(struct reader *r) {
    if (!digit(*r->at)) {
        return bad(r, "bad number");
    }
    while (digit(*r->at)) {
        r->at++;
    }
    return SL_OK;
}

static bool to_int64(struct slice text, int64_t *ret) {
    bool minus = text.ptr[0] == '-';
    uint64_t v;
    if (!slice_u64(slice_sub(text, minus, text.len), (uint64_t)INT64_MAX + minus, &v)) {
        return false;
    }
    *ret = minus ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

static struct sl_rc read_number(struct reader *r, struct json *v) {
    uint8_t *first = r->at;
    bool whole = true;
    r->at += *r->at == '-';
    if (*r->at == '0') {
        r->at++;
    } else {
        TRY(read_digits(r));
    }
    if (*r->at == '.') {
        whole = false;
        r->at++;
        TRY(read_digits(r));
    }
    if (*r->at == 'e' || *r->at == 'E') {
        whole = false;
        r->at++;
        r->at += *r->at == '+' || *r->at == '-';
        TRY(read_digits(r));
    }
    v->type = JSON_NUMBER;
    v->text = slice_of(first, (size_t)(r->at - first));
    if (whole && to_int64(v->text, &v->integer)) {
        v->is_int = true;
        v->real = (double)v->integer;
        return SL_OK;
    }
    /* strtod must see the end of the number, whatever follows it */
    uint8_t after = *r->at;
    *r->at = '\0';
    v->real = strtod((const char *)first, NULL);
    *r->at = after;
    return isfinite(v->real) ? SL_OK : bad(r, "number too large");
}

static struct sl_rc read_word(struct reader *r, struct json *v) {
    static const struct {
        struct slice word;
        enum json_type type;
        bool boolean;
    } words[] = {
        {{(const uint8_t *)"true", 4}, JSON_BOOL, true},
        {{(const uint8_t *)"false", 5}, JSON_BOOL, false},
        {{(const uint8_t *)"null", 4}, JSON_NULL, false},
    };
    struct slice rest = slice_of(r->at, (size_t)(r->end - r->at));
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (slice_starts(rest, words[i].word)) {
            v->type = words[i].type;
            v->boolean = words[i].boolean;
            r->at += words[i].word.len;
            return SL_OK;
        }
    }
    return bad(r, r->at == r->end ? "unexpected end" : "unexpected character");
}

static int by_name(const void *a, const void *b) {
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

/* Few members are compared in pairs; many are sorted, so that a hostile object costs no square. */
static struct sl_rc check_names(struct reader *r, const struct json *obj) {
    if (obj->count <= 16) {
        for (const struct json *m = obj->child; m != NULL; m = m->next) {
            for (const struct json *o = m->next; o != NULL; o = o->next) {
                if (slice_eq(m->name, o->name)) {
                    return bad(r, "duplicate member name");
                }
            }
        }
        return SL_OK;
    }
    struct slice *names = calloc(obj->count, sizeof *names);
    ENSURE(names != NULL, r->err, SL_E_NOMEM, "out of memory");
    size_t n = 0;
    for (const struct json *m = obj->child; m != NULL; m = m->next) {
        names[n++] = m->name;
    }
    qsort(names, n, sizeof *names, by_name);
    bool twice = false;
    for (size_t i = 1; i < n; i++) {
        twice |= slice_eq(names[i - 1], names[i]);
    }
    free(names);
    return twice ? bad(r, "duplicate member name") : SL_OK;
}

static struct sl_rc read_value(struct reader *r, struct json *v);

/* r->at stands on the opening bracket. Recursion is bounded by LIMIT_JSON_DEPTH. */
static struct sl_rc read_container(struct reader *r, struct json *v) {
    bool object = *r->at == '{';
    uint8_t closer = object ? '}' : ']';
    v->type = object ? JSON_OBJECT : JSON_ARRAY;
    if (r->depth == LIMIT_JSON_DEPTH) {
        return bad(r, "nested too deep");
    }
    r->depth++;
    r->at++;
    skip_blanks(r);
    struct json **link = &v->child;
    while (v->count > 0 || *r->at != closer) {
        struct json *m = arena_alloc(r->arena, sizeof *m);
        ENSURE(m != NULL, r->err, SL_E_LIMIT, "JSON: the document is too large");
        if (object) {
            if (*r->at != '"') {
                return bad(r, "expected a member name");
            }
            TRY(read_string(r, &m->name));
            skip_blanks(r);
            if (*r->at != ':') {
                return bad(r, "expected ':'");
            }
            r->at++;
        }
        TRY(read_value(r, m));
        *link = m;
        link = &m->next;
        v->count++;
        skip_blanks(r);
        if (*r->at == closer) {
            break;
        }
        if (*r->at != ',') {
            return bad(r, object ? "expected ',' or '}'" : "expected ',' or ']'");
        }
        r->at++;
        skip_blanks(r);
    }
    r->at++;
    r->depth--;
    return object ? check_names(r, v) : SL_OK;
}

static struct sl_rc read_value(struct reader *r, struct json *v) {
    skip_blanks(r);
    uint8_t c = *r->at;
    if (c == '"') {
        v->type = JSON_STRING;
        return read_string(r, &v->text);
    }
    if (c == '{' || c == '[') {
        return read_container(r, v);
    }
    return c == '-' || digit(c) ? read_number(r, v) : read_word(r, v);
}

struct sl_rc json_parse(struct slice text, struct arena *a, struct sl_error *err,
                        const struct json **ret_root) {
    uint8_t *copy = (uint8_t *)arena_cstr(a, text);
    struct json *root = arena_alloc(a, sizeof *root);
    ENSURE(copy != NULL && root != NULL, err, SL_E_LIMIT, "JSON: the document is too large");
    struct reader r = {.start = copy, .at = copy, .end = copy + text.len, .arena = a, .err = err};
    TRY(read_value(&r, root));
    skip_blanks(&r);
    if (r.at != r.end) {
        return bad(&r, "trailing characters");
    }
    *ret_root = root;
    return SL_OK;
}

const struct json *json_get(const struct json *obj, const char *name) {
    if (obj == NULL || obj->type != JSON_OBJECT) {
        return NULL;
    }
    struct slice want = slice_cstr(name);
    for (const struct json *m = obj->child; m != NULL; m = m->next) {
        if (slice_eq(m->name, want)) {
            return m;
        }
    }
    return NULL;
}

static void put_escape(struct buf *out, uint8_t c) {
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    const char *p = c != 0 ? strchr(from, c) : NULL;
    if (p != NULL) {
        buf_putc(out, '\\');
        buf_putc(out, (uint8_t)to[p - from]);
    } else {
        buf_printf(out, "\\u%04x", c);
    }
}

static void put_string(struct buf *out, struct slice s) {
    buf_putc(out, '"');
    for (size_t from = 0; from < s.len;) {
        size_t to = from, n = 1;
        while (to < s.len) {
            if (s.len - to >= 8 && utf8_plain8(s.ptr + to)) {
                to += 8;
                continue;
            }
            uint8_t c = s.ptr[to];
            n = c < 0x20 || c == '"' || c == '\\' ? 0 : utf8_step(s.ptr + to, s.len - to);
            if (n == 0) {
                break;
            }
            to += n;
        }
        buf_put(out, slice_sub(s, from, to));
        if (to < s.len) {
            uint8_t c = s.ptr[to++];
            if (c < 0x80) {
                put_escape(out, c);
            } else {
                buf_puts(out, "\xef\xbf\xbd");
            }
        }
        from = to;
    }
    buf_putc(out, '"');
}

static void before_value(struct jsonw *w) {
    if (w->comma) {
        buf_putc(w->out, ',');
    }
    w->comma = true;
}

static void begin(struct jsonw *w, uint8_t bracket) {
    before_value(w);
    buf_putc(w->out, bracket);
    w->comma = false;
}

static void end(struct jsonw *w, uint8_t bracket) {
    buf_putc(w->out, bracket);
    w->comma = true;
}

void jsonw_object_begin(struct jsonw *w) {
    begin(w, '{');
}

void jsonw_object_end(struct jsonw *w) {
    end(w, '}');
}

void jsonw_array_begin(struct jsonw *w) {
    begin(w, '[');
}

void jsonw_array_end(struct jsonw *w) {
    end(w, ']');
}

void jsonw_name(struct jsonw *w, const char *name) {
    jsonw_name_slice(w, slice_cstr(name));
}

void jsonw_name_slice(struct jsonw *w, struct slice name) {
    before_value(w);
    put_string(w->out, name);
    buf_putc(w->out, ':');
    w->comma = false;
}

void jsonw_string(struct jsonw *w, struct slice s) {
    before_value(w);
    put_string(w->out, s);
}

void jsonw_cstr(struct jsonw *w, const char *s) {
    jsonw_string(w, slice_cstr(s));
}

void jsonw_int(struct jsonw *w, int64_t v) {
    before_value(w);
    buf_printf(w->out, "%lld", (long long)v);
}

void jsonw_epoch_ms(struct jsonw *w, int64_t epoch_ms) {
    before_value(w);
    uint64_t ms = epoch_ms < 0 ? 0 - (uint64_t)epoch_ms : (uint64_t)epoch_ms;
    buf_printf(w->out, "%s%llu.%03llu", epoch_ms < 0 ? "-" : "", (unsigned long long)(ms / 1000),
               (unsigned long long)(ms % 1000));
}

void jsonw_bool(struct jsonw *w, bool v) {
    before_value(w);
    buf_puts(w->out, v ? "true" : "false");
}

void jsonw_null(struct jsonw *w) {
    before_value(w);
    buf_puts(w->out, "null");
}

void jsonw_raw(struct jsonw *w, struct slice json_text) {
    before_value(w);
    buf_put(w->out, json_text);
}

void jsonw_base64(struct jsonw *w, struct slice bytes) {
    before_value(w);
    buf_putc(w->out, '"');
    base64_put(w->out, bytes);
    buf_putc(w->out, '"');
}
