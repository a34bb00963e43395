/* See label.h. PostgreSQL has checked by then that the label's writer owns the table, and writes
 * the label itself. */
#include "extension/guard/label.h"

#include "postgres.h"

#include "catalog/pg_class.h"
#include "commands/seclabel.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"

#include "extension/catalog/attributes.h"
#include "extension/guard/keys.h"

static void take_label(const ObjectAddress *object, const char *label) {
    char kind =
        object->classId == RelationRelationId ? get_rel_relkind(object->objectId) : RELKIND_VIEW;
    if (object->objectSubId != 0 || label == NULL ||
        (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)) {
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("a label of sealift that isn't a table's attributes is not "
                               "supported")));
    }
    keys_check_attributes(object->objectId, label);
    attributes_of_label(object->objectId, label);
}

void label_init(void) {
    register_label_provider(ATTRIBUTES_PROVIDER, take_label);
}
