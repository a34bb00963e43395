/* The canonical encryption context; see context.h. */
#include "lib/crypto/context.h"

#include "lib/base/limits.h"

static int by_name(const void *a, const void *b) {
    const struct context_pair *x = *(const struct context_pair *const *)a;
    const struct context_pair *y = *(const struct context_pair *const *)b;
    return slice_cmp(x->name, y->name);
}

struct sl_rc context_canonical(const struct context *c, struct buf *out, struct sl_error *err) {
    size_t count = c == NULL ? 0 : c->count;
    ENSURE(count <= LIMIT_KMS_CONTEXT_PAIRS, err, SL_E_VALIDATION,
           "The encryption context has more than %d pairs.", LIMIT_KMS_CONTEXT_PAIRS);
    const struct context_pair *sorted[LIMIT_KMS_CONTEXT_PAIRS];
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        sorted[i] = &c->pairs[i];
        size_t name_len = sorted[i]->name.len;
        size_t value_len = sorted[i]->value.len;
        ENSURE(name_len <= LIMIT_KMS_CONTEXT_BYTES && value_len <= LIMIT_KMS_CONTEXT_BYTES, err,
               SL_E_VALIDATION, "The encryption context is longer than %d bytes.",
               LIMIT_KMS_CONTEXT_BYTES);
        total += name_len + value_len;
    }
    ENSURE(total <= LIMIT_KMS_CONTEXT_BYTES, err, SL_E_VALIDATION,
           "The encryption context is longer than %d bytes.", LIMIT_KMS_CONTEXT_BYTES);
    if (count > 1) {
        qsort(sorted, count, sizeof sorted[0], by_name);
    }
    for (size_t i = 1; i < count; i++) {
        ENSURE(!slice_eq(sorted[i - 1]->name, sorted[i]->name), err, SL_E_VALIDATION,
               "The encryption context names a pair twice.");
    }
    buf_u16(out, (uint16_t)count);
    for (size_t i = 0; i < count; i++) {
        buf_vec16(out, sorted[i]->name);
        buf_vec16(out, sorted[i]->value);
    }
    return buf_check(out, err);
}
