/* XML; see xml.h. expat calls back into a stack of open elements; text is gathered per level and
 * moves into the arena when its element closes. */
#include "lib/codec/xml.h"

#include "lib/base/limits.h"
#include "lib/codec/utf8_in.h"

#include <expat.h>
#include <limits.h>

/* Joins a namespace and a local name in what expat reports; never part of either. */
enum { NS_SEPARATOR = '\x1f' };

struct open_element {
    struct xml *node;
    struct xml *last_child;
    struct buf text;
};

struct reader {
    XML_Parser parser;
    struct arena *arena;
    struct sl_error *err;
    struct sl_rc rc;
    struct open_element stack[LIMIT_XML_DEPTH];
    int depth;
    struct xml *root;
};

static void stop(struct reader *r, struct sl_rc rc) {
    if (sl_is_ok(r->rc)) {
        r->rc = rc;
        XML_StopParser(r->parser, XML_FALSE);
    }
}

static void XMLCALL on_doctype(void *user, const XML_Char *name, const XML_Char *sys,
                               const XML_Char *pub, int internal) {
    struct reader *r = user;
    stop(r, sl_fail(r->err, SL_E_PARSE, "XML: a document type declaration is not allowed"));
}

static void XMLCALL on_start(void *user, const XML_Char *name, const XML_Char **attributes) {
    struct reader *r = user;
    if (sl_failed(r->rc)) {
        return;
    }
    if (r->depth == LIMIT_XML_DEPTH) {
        stop(r, sl_fail(r->err, SL_E_PARSE, "XML: nested deeper than %d", LIMIT_XML_DEPTH));
        return;
    }
    const char *local = strrchr(name, NS_SEPARATOR);
    struct xml *node = arena_alloc(r->arena, sizeof *node);
    struct slice copy = arena_copy(r->arena, slice_cstr(local != NULL ? local + 1 : name));
    if (node == NULL || copy.ptr == NULL) {
        stop(r, sl_fail(r->err, SL_E_LIMIT, "XML: the document is too large"));
        return;
    }
    node->name = copy;
    if (r->depth == 0) {
        r->root = node;
    } else {
        struct open_element *parent = &r->stack[r->depth - 1];
        *(parent->last_child != NULL ? &parent->last_child->next : &parent->node->child) = node;
        parent->last_child = node;
    }
    struct open_element *open = &r->stack[r->depth++];
    open->node = node;
    open->last_child = NULL;
    buf_reset(&open->text);
}

static void XMLCALL on_end(void *user, const XML_Char *name) {
    struct reader *r = user;
    if (sl_failed(r->rc)) {
        return;
    }
    struct open_element *open = &r->stack[--r->depth];
    open->node->text = arena_copy(r->arena, buf_slice(&open->text));
    if (open->node->text.ptr == NULL || open->text.failed) {
        stop(r, sl_fail(r->err, SL_E_LIMIT, "XML: the document is too large"));
    }
}

static void XMLCALL on_text(void *user, const XML_Char *s, int len) {
    struct reader *r = user;
    if (sl_is_ok(r->rc) && r->depth > 0) {
        buf_put(&r->stack[r->depth - 1].text, slice_of(s, (size_t)len));
    }
}

struct sl_rc xml_parse(struct slice text, struct arena *a, struct sl_error *err,
                       const struct xml **ret_root) {
    ENSURE(text.len <= INT_MAX / 4, err, SL_E_LIMIT, "XML: the document is too large");
    struct reader r = {.arena = a, .err = err, .rc = SL_OK};
    r.parser = XML_ParserCreateNS(NULL, NS_SEPARATOR);
    ENSURE(r.parser != NULL, err, SL_E_NOMEM, "out of memory");
    for (int i = 0; i < LIMIT_XML_DEPTH; i++) {
        r.stack[i].text = BUF_INIT(3 * text.len); /* UTF-16 grows by half, Latin-1 doubles */
    }
    XML_SetUserData(r.parser, &r);
    XML_SetStartDoctypeDeclHandler(r.parser, on_doctype);
    XML_SetElementHandler(r.parser, on_start, on_end);
    XML_SetCharacterDataHandler(r.parser, on_text);
    enum XML_Status status =
        XML_Parse(r.parser, text.len ? (const char *)text.ptr : "", (int)text.len, 1);
    if (status != XML_STATUS_OK && sl_is_ok(r.rc)) {
        enum XML_Error why = XML_GetErrorCode(r.parser);
        r.rc = sl_fail(err, why == XML_ERROR_NO_MEMORY ? SL_E_NOMEM : SL_E_PARSE,
                       "XML: %s at line %lu", XML_ErrorString(why),
                       (unsigned long)XML_GetCurrentLineNumber(r.parser));
    }
    XML_ParserFree(r.parser);
    for (int i = 0; i < LIMIT_XML_DEPTH; i++) {
        buf_fini(&r.stack[i].text);
    }
    TRY(r.rc);
    *ret_root = r.root;
    return SL_OK;
}

const struct xml *xml_get(const struct xml *parent, const char *name) {
    for (const struct xml *x = parent != NULL ? parent->child : NULL; x != NULL; x = x->next) {
        if (slice_eq_cstr(x->name, name)) {
            return x;
        }
    }
    return NULL;
}

void xmlw_decl(struct buf *out) {
    buf_puts(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
}

void xmlw_open(struct buf *out, const char *name) {
    buf_putc(out, '<');
    buf_puts(out, name);
    buf_putc(out, '>');
}

static void put_char(struct buf *out, const uint8_t *p, size_t n) {
    switch (p[0]) {
    case '&':
        buf_puts(out, "&amp;");
        return;
    case '<':
        buf_puts(out, "&lt;");
        return;
    case '>':
        buf_puts(out, "&gt;");
        return;
    case '"':
        buf_puts(out, "&quot;");
        return;
    default:
        break;
    }
    if (n == 1) { /* only control bytes come here; \r would be read back as \n */
        buf_printf(out, "&#x%X;", p[0]);
    } else if (n == 3 && p[0] == 0xef && p[1] == 0xbf && p[2] >= 0xbe) {
        buf_printf(out, "&#xFFF%X;", p[2] - 0xb0u);
    } else {
        buf_put(out, slice_of(p, n));
    }
}

static bool plain(uint8_t c) {
    return (c >= 0x20 && c < 0x80 && c != '&' && c != '<' && c != '>' && c != '"') || c == '\t' ||
           c == '\n';
}

static void put_escaped(struct buf *out, struct slice s) {
    for (size_t from = 0; from < s.len;) {
        size_t to = from;
        while (to < s.len && plain(s.ptr[to])) {
            to++;
        }
        buf_put(out, slice_sub(s, from, to));
        if (to < s.len) {
            size_t n = utf8_step(s.ptr + to, s.len - to);
            if (n == 0) {
                buf_puts(out, "\xef\xbf\xbd");
                n = 1;
            } else {
                put_char(out, s.ptr + to, n);
            }
            to += n;
        }
        from = to;
    }
}

void xmlw_open_ns(struct buf *out, const char *name, const char *ns) {
    buf_putc(out, '<');
    buf_puts(out, name);
    buf_puts(out, " xmlns=\"");
    put_escaped(out, slice_cstr(ns));
    buf_puts(out, "\">");
}

void xmlw_close(struct buf *out, const char *name) {
    buf_puts(out, "</");
    buf_puts(out, name);
    buf_putc(out, '>');
}

void xmlw_text(struct buf *out, const char *name, struct slice value) {
    xmlw_open(out, name);
    put_escaped(out, value);
    xmlw_close(out, name);
}

void xmlw_cstr(struct buf *out, const char *name, const char *value) {
    xmlw_text(out, name, slice_cstr(value));
}

void xmlw_int(struct buf *out, const char *name, int64_t value) {
    xmlw_open(out, name);
    buf_printf(out, "%lld", (long long)value);
    xmlw_close(out, name);
}

void xmlw_bool(struct buf *out, const char *name, bool value) {
    xmlw_cstr(out, name, value ? "true" : "false");
}
