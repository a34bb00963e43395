/* Prints KMS's tables, a field a line, for model_check.py. */
#include "server/api/kms/operations.h"

#include <stdio.h>
#include <string.h>

static void put(const char *operation, const char *side, const char *up,
                const struct kms_field *fields) {
    static const char *const types[] = {
        [KMS_STRING] = "string", [KMS_INT] = "integer",     [KMS_BOOL] = "boolean",
        [KMS_BLOB] = "blob",     [KMS_TIME] = "timestamp",  [KMS_LIST] = "list",
        [KMS_MAP] = "map",       [KMS_STRUCT] = "structure"};
    for (const struct kms_field *f = fields; f->name != NULL; f++) {
        char path[256];
        bool element = f->name[0] == '\0';
        snprintf(path, sizeof path, "%s%s%s", up, element ? "[]" : up[0] ? "." : "", f->name);
        printf("%s %s %s %s", operation, side, path, types[f->type]);
        bool needed = f->flags & KMS_NEEDED;
        printf("%s%s%s", needed && strcmp(side, "in") == 0 ? " needed" : "",
               f->flags & KMS_SECRET ? " secret" : "", f->flags & KMS_NEVER ? " never" : "");
        if (f->min > 0 || f->max > 0) {
            printf(" %lld..%lld", (long long)f->min, (long long)f->max);
        }
        for (size_t i = 0; f->values != NULL && f->values[i] != NULL; i++) {
            printf("%s%s", i ? "," : " ", f->values[i]);
        }
        printf("%s%s\n", f->pattern ? " " : "", f->pattern ? f->pattern : "");
        if (f->of != NULL) {
            put(operation, side, path, f->of);
        }
    }
}

int main(void) {
    for (size_t i = 0; kms_models[i] != NULL; i++) {
        const struct kms_model *m = kms_models[i];
        printf("%s\n", m->name);
        put(m->name, "in", "", m->in);
        if (m->out != NULL) {
            put(m->name, "out", "", m->out);
        }
    }
    for (const struct api_operation *o = api_kms_operations; o->name != NULL; o++) {
        printf("operation %s\n", o->name);
    }
    return 0;
}
