/* Refusals; see refusal.h. */
#include "gateway/session/refusal.h"

#include <inttypes.h>
#include <stdio.h>

#include "lib/crypto/crypto.h"

void refusals_init(struct refusals *r) {
    char id[25];
    *r = (struct refusals){0};
    crypto_random_hex(id, 24);
    snprintf(r->word, sizeof r->word, "sealift_%s_", id);
}

void refusals_fini(struct refusals *r) {
    for (size_t i = 0; i < REFUSAL_KEPT; i++) {
        free(r->kept[i]);
        r->kept[i] = NULL;
    }
}

struct sl_rc refusal_put(struct refusals *r, struct sl_rc rc, const struct sl_error *err,
                         size_t position, struct buf *out) {
    struct refusal *f = malloc(sizeof *f);
    if (f == NULL) {
        return sl_rc_of(SL_E_NOMEM);
    }
    *f = (struct refusal){.number = r->next, .rc = rc, .err = *err, .position = position};
    /* A later error in a pipeline is skipped by PostgreSQL and never asked for. */
    struct refusal **slot = &r->kept[r->next % REFUSAL_KEPT];
    free(*slot);
    *slot = f;
    buf_printf(out, "%s%" PRIx64, r->word, r->next);
    r->next++;
    return buf_check(out, NULL);
}

struct refusal *refusal_take(struct refusals *r, struct slice message) {
    struct slice word = slice_cstr(r->word);
    const uint8_t *at =
        message.len > 0 ? memmem(message.ptr, message.len, word.ptr, word.len) : NULL;
    if (at == NULL) {
        return NULL;
    }
    uint64_t n = 0;
    for (const uint8_t *p = at + word.len; p < message.ptr + message.len; p++) {
        int digit = *p >= '0' && *p <= '9' ? *p - '0' : *p >= 'a' && *p <= 'f' ? *p - 'a' + 10 : -1;
        if (digit < 0 || n >> 60 != 0) {
            break;
        }
        n = n << 4 | (uint64_t)digit;
    }
    struct refusal **slot = &r->kept[n % REFUSAL_KEPT];
    struct refusal *f = *slot;
    if (f == NULL || f->number != n) {
        return NULL;
    }
    *slot = NULL;
    return f;
}
