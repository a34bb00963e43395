/* Which adjacent columns tell one another's value. */
#ifndef SL_CODEC_COPY_GROUP_IN_H
#define SL_CODEC_COPY_GROUP_IN_H

#include "lib/codec/copy_convert.h"
#include "lib/codec/copy_memo_in.h"

enum { COPY_GROUP_SAMPLE = 1024 };

enum copy_group_column { COPY_GROUP_NEVER, COPY_GROUP_VALUES, COPY_GROUP_TEXTS };

/* Groups of columns by what the first COPY_GROUP_SAMPLE rows of a batch have. `columns`: what each
 * column may be in. A single column is a group if its texts are too long for a memo. `ret` takes
 * COPY_GROUPS; the number of groups. Without memory, none. */
size_t copy_groups_find(const struct copy_batch *b, const enum copy_group_column *columns,
                        struct copy_group *ret);

#endif
