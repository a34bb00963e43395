/* Shapes of JSON records: names or JSONPaths as a tree; see json_record.h. */
#include "lib/codec/json_shape_in.h"

#include <stdlib.h>

#include "lib/base/limits.h"
#include "lib/codec/json.h"

enum { SHAPE_ARENA_BYTES = 64 * 1024 * 1024 };

/* One step of a path. */
struct step {
    bool item;
    uint64_t index;
    struct slice name;
};

static uint8_t lower(uint8_t c) {
    return (uint8_t)(c - 'A') < 26 ? c | 32 : c;
}

static int compare_names(struct slice a, struct slice b, bool ignorecase) {
    if (!ignorecase) {
        return slice_cmp(a, b);
    }
    size_t n = a.len < b.len ? a.len : b.len;
    for (size_t i = 0; i < n; i++) {
        int d = lower(a.ptr[i]) - lower(b.ptr[i]);
        if (d != 0) {
            return d;
        }
    }
    return a.len < b.len ? -1 : a.len > b.len;
}

/* ---- Growing ---- */

static struct json_node *node_new(struct json_shape *s) {
    struct json_node *n = arena_alloc(&s->arena, sizeof *n);
    if (n != NULL) {
        *n = (struct json_node){.column = JSON_NO_COLUMN};
    }
    return n;
}

static bool is_step(const struct json_node *n, const struct step *step, bool ignorecase) {
    bool item = n->name.ptr == NULL;
    return item == step->item &&
           (item ? n->index == step->index : compare_names(n->name, step->name, ignorecase) == 0);
}

/* The child, made where there is none. NULL: no memory. */
static struct json_node *child(struct json_shape *s, struct json_node *parent,
                               const struct step *step) {
    struct json_node **link = &parent->first;
    while (*link != NULL && !is_step(*link, step, s->ignorecase)) {
        link = &(*link)->next;
    }
    if (*link == NULL) {
        struct json_node *n = node_new(s);
        if (n == NULL) {
            return NULL;
        }
        n->index = step->index;
        if (!step->item) {
            n->name = step->name.len > 0 ? arena_copy(&s->arena, step->name) : SLICE_LIT("");
            if (n->name.ptr == NULL) {
                return NULL;
            }
        }
        *link = n;
    }
    return *link;
}

static void take_column(struct json_shape *s, struct json_node *n, size_t column) {
    s->same[column] = n->column;
    n->column = (int32_t)column;
}

static int by_name(const void *a, const void *b, void *ignorecase) {
    const struct json_node *const *x = a, *const *y = b;
    return compare_names((*x)->name, (*y)->name, *(bool *)ignorecase);
}

static int by_index(const void *a, const void *b) {
    const struct json_node *const *x = a, *const *y = b;
    return (*x)->index < (*y)->index ? -1 : (*x)->index > (*y)->index;
}

/* Children into arrays that can be searched. Depth is that of the paths, which is bounded. */
static bool settle(struct json_shape *s, struct json_node *n) {
    for (const struct json_node *c = n->first; c != NULL; c = c->next) {
        n->member_count += c->name.ptr != NULL;
        n->item_count += c->name.ptr == NULL;
    }
    n->members = arena_array(&s->arena, n->member_count + 1, sizeof(struct json_node *));
    n->items = arena_array(&s->arena, n->item_count + 1, sizeof(struct json_node *));
    if (n->members == NULL || n->items == NULL) {
        return false;
    }
    size_t members = 0, items = 0;
    for (struct json_node *c = n->first; c != NULL; c = c->next) {
        if (c->name.ptr != NULL) {
            n->members[members++] = c;
        } else {
            n->items[items++] = c;
        }
        if (!settle(s, c)) {
            return false;
        }
    }
    qsort_r(n->members, members, sizeof(struct json_node *), by_name, &s->ignorecase);
    qsort(n->items, items, sizeof(struct json_node *), by_index);
    return true;
}

struct json_shape *json_shape_new(const struct slice *names, size_t count, bool ignorecase) {
    struct json_shape *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    s->arena = (struct arena)ARENA_INIT(SHAPE_ARENA_BYTES);
    s->ignorecase = ignorecase;
    s->column_count = count;
    s->same = arena_array(&s->arena, count + 1, sizeof *s->same);
    s->root = node_new(s);
    bool good = s->same != NULL && s->root != NULL;
    for (size_t i = 0; i < count && good; i++) {
        struct json_node *n = child(s, s->root, &(struct step){.name = names[i]});
        good = n != NULL;
        if (good) {
            take_column(s, n, i);
        }
    }
    if (!good || !settle(s, s->root)) {
        json_shape_free(s);
        return NULL;
    }
    return s;
}

void json_shape_free(struct json_shape *s) {
    if (s != NULL) {
        arena_fini(&s->arena);
        free(s);
    }
}

const struct json_node *json_shape_member(const struct json_shape *s, const struct json_node *n,
                                          struct slice name) {
    size_t from = 0, to = n->member_count;
    while (from < to) {
        size_t middle = (from + to) / 2;
        int d = compare_names(name, n->members[middle]->name, s->ignorecase);
        if (d == 0) {
            return n->members[middle];
        }
        if (d < 0) {
            to = middle;
        } else {
            from = middle + 1;
        }
    }
    return NULL;
}

/* ---- JSONPaths ---- */

/* 'name' or "name" or a number, behind the opening bracket; *at moves behind the closing one. */
static bool bracket_step(struct slice path, size_t *at, struct step *ret) {
    uint8_t quote = *at < path.len ? path.ptr[*at] : 0;
    bool named = quote == '\'' || quote == '"';
    size_t from = *at + named, to = from;
    while (to < path.len && (named ? path.ptr[to] != quote : path.ptr[to] != ']')) {
        to++;
    }
    struct slice text = slice_sub(path, from, to);
    *at = to + named;
    if (*at >= path.len || path.ptr[(*at)++] != ']') {
        return false;
    }
    *ret = (struct step){.item = !named, .name = text};
    return named ? text.len > 0 : slice_u64(text, UINT32_MAX, &ret->index);
}

static bool dot_step(struct slice path, size_t *at, struct step *ret) {
    size_t from = *at;
    while (*at < path.len && path.ptr[*at] != '.' && path.ptr[*at] != '[') {
        *at += 1;
    }
    *ret = (struct step){.name = slice_sub(path, from, *at)};
    return ret->name.len > 0 && !slice_eq_cstr(ret->name, "*");
}

/* False: no path. */
static bool add_path(struct json_shape *s, struct json_node *root, struct slice path,
                     size_t column) {
    struct json_node *n = root;
    bool dots = false, brackets = false;
    size_t at = 1, depth = 0;
    if (path.len == 0 || path.ptr[0] != '$') {
        return false;
    }
    while (at < path.len && n != NULL) {
        struct step step;
        uint8_t c = path.ptr[at++];
        bool good = c == '.'   ? dot_step(path, &at, &step)
                    : c == '[' ? bracket_step(path, &at, &step)
                               : false;
        if (!good || ++depth > LIMIT_JSON_DEPTH) {
            return false;
        }
        dots |= c == '.';
        brackets |= c == '[' && !step.item;
        n = child(s, n, &step);
    }
    if (n != NULL) {
        take_column(s, n, column);
    }
    return n != NULL && !(dots && brackets);
}

struct sl_rc json_shape_set_paths(struct json_shape *s, struct slice file, struct sl_error *err) {
    SL_CLEANUP(arena_fini) struct arena a = ARENA_INIT(SHAPE_ARENA_BYTES);
    const struct json *top;
    ENSURE(sl_is_ok(json_parse(file, &a, NULL, &top)) && top->type == JSON_OBJECT, err, SL_E_PARSE,
           "JSONPaths file is not in correct json format");
    const struct json *paths = json_get(top, "jsonpaths");
    if (paths == NULL) {
        return SL_OK;
    }
    ENSURE(paths->type == JSON_ARRAY, err, SL_E_PARSE,
           "JSONPaths file is not in correct json format");
    ENSURE(paths->count == s->column_count, err, SL_E_PARSE,
           "Number of jsonpaths and the number of columns should match. JSONPath size: %zu, Number "
           "of columns in table or column list: %zu",
           paths->count, s->column_count);
    struct json_node *root = node_new(s);
    ENSURE(root != NULL, err, SL_E_NOMEM, "out of memory for JSONPaths");
    size_t column = 0;
    s->ignorecase = false;
    for (const struct json *j = paths->child; j != NULL; j = j->next) {
        struct slice path = j->type == JSON_STRING ? j->text : SLICE_EMPTY;
        ENSURE(add_path(s, root, path, column++), err, SL_E_PARSE,
               "Invalid JSONPath format. Supported notations are 'dot-notation' and "
               "'bracket-notation': %.*s",
               SLICE_FMT(slice_sub(path, 0, 200)));
    }
    ENSURE(settle(s, root), err, SL_E_NOMEM, "out of memory for JSONPaths");
    s->root = root;
    return SL_OK;
}
