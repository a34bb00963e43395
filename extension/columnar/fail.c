#include "extension/columnar/fail.h"

#include "utils/rel.h"

void fail_damaged(Relation rel, const char *why) {
    ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
                    rel != NULL ? errmsg("table \"%s\" is damaged", RelationGetRelationName(rel))
                                : errmsg("a table that this transaction changed is damaged"),
                    errdetail_internal("%s", why)));
    pg_unreachable();
}

void fail_check(Relation rel, struct sl_rc rc, const struct sl_error *err) {
    if (sl_is_ok(rc)) {
        return;
    }
    const char *why = sl_error_message(err, rc.code);
    if (rc.code == SL_E_CORRUPT) {
        fail_damaged(rel, why);
    }
    int code = rc.code == SL_E_NOMEM   ? ERRCODE_OUT_OF_MEMORY
               : rc.code == SL_E_LIMIT ? ERRCODE_PROGRAM_LIMIT_EXCEEDED
                                       : ERRCODE_INTERNAL_ERROR;
    ereport(ERROR, (errcode(code), errmsg("table \"%s\": %s", RelationGetRelationName(rel), why)));
}

void fail_unsupported(Relation rel, const char *what) {
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("%s is not supported", what),
                    errdetail("Table \"%s\" is sealed.", RelationGetRelationName(rel))));
    pg_unreachable();
}

static void name_table(void *arg) {
    errcontext("table \"%s\"", RelationGetRelationName((Relation)arg));
}

void fail_context_push(struct fail_context *c, Relation rel) {
    c->callback =
        (ErrorContextCallback){.previous = error_context_stack, .callback = name_table, .arg = rel};
    error_context_stack = &c->callback;
}

void fail_context_pop(struct fail_context *c) {
    error_context_stack = c->callback.previous;
}
