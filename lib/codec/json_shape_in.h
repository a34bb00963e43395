/* Inside of lib/codec: the tree of a shape. */
#ifndef SL_CODEC_JSON_SHAPE_IN_H
#define SL_CODEC_JSON_SHAPE_IN_H

#include "lib/base/arena.h"
#include "lib/codec/json_record.h"

enum { JSON_NO_COLUMN = -1 };

struct json_node {
    struct slice name;       /* of a member … */
    uint64_t index;          /* … or the place in an array */
    int32_t column;          /* that takes the value, or JSON_NO_COLUMN; see json_shape.same */
    struct json_node *next;  /* sibling, while the tree grows */
    struct json_node *first; /* children, while it grows */
    /* once it has grown: by name, and by index */
    struct json_node **members, **items;
    size_t member_count, item_count;
};

struct json_shape {
    struct arena arena;
    struct json_node *root;
    size_t column_count;
    int32_t *same; /* by column: the next one that takes the same value */
    bool ignorecase;
};

/* The child for a member's name as it stands in a record (escapes and all), or NULL. */
const struct json_node *json_shape_member(const struct json_shape *s, const struct json_node *n,
                                          struct slice name);

#endif
