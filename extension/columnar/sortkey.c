#include "extension/columnar/sortkey.h"

#include "utils/jsonb.h"
#include "utils/rel.h"

#include "extension/catalog/attributes.h"

/* From 0, or -1. */
static int column_named(TupleDesc desc, const char *name, int len) {
    for (int i = 0; i < desc->natts; i++) {
        const FormData_pg_attribute *att = TupleDescAttr(desc, i);
        if (!att->attisdropped && strncmp(NameStr(att->attname), name, (size_t)len) == 0 &&
            NameStr(att->attname)[len] == '\0') {
            return i;
        }
    }
    return -1;
}

/* What follows a column that is gone orders nothing. */
static uint32_t columns_of(TupleDesc desc, JsonbContainer *names, uint32_t *columns) {
    uint32_t count = 0;
    for (uint32 i = 0; i < SORTKEY_MAX; i++) {
        const JsonbValue *name = getIthJsonbValueFromContainer(names, i);
        int column = name != NULL && name->type == jbvString && name->val.string.len < NAMEDATALEN
                         ? column_named(desc, name->val.string.val, name->val.string.len)
                         : -1;
        if (column < 0) {
            break;
        }
        columns[count++] = (uint32_t)column;
    }
    return count;
}

uint32_t sortkey_of(Relation rel, uint32_t **ret_columns) {
    JsonbValue space;
    Jsonb *attributes = attributes_find(rel);
    const JsonbValue *names =
        attributes != NULL
            ? getKeyJsonValueFromContainer(&attributes->root, "sortkey", strlen("sortkey"), &space)
            : NULL;
    *ret_columns = NULL;
    if (names == NULL || names->type != jbvBinary) {
        return 0;
    }
    *ret_columns = palloc_array(uint32_t, SORTKEY_MAX);
    return columns_of(RelationGetDescr(rel), names->val.binary.data, *ret_columns);
}
