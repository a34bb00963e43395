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

static struct refusal *pop(struct refusals *r) {
    struct refusal *f = r->head;
    r->head = f->next;
    r->count--;
    return f;
}

void refusals_fini(struct refusals *r) {
    while (r->count > 0) {
        free(pop(r));
    }
}

struct sl_rc refusal_put(struct refusals *r, struct sl_rc rc, const struct sl_error *err,
                         size_t position, struct buf *out) {
    const char *message = sl_error_message(err, rc.code);
    size_t message_size = strlen(message) + 1;
    size_t hint_size = strlen(err->hint) + 1;
    struct refusal *f = malloc(sizeof *f + message_size + hint_size);
    if (f == NULL) {
        return sl_rc_of(SL_E_NOMEM);
    }
    *f = (struct refusal){.number = r->given++,
                          .sqlstate = sl_code_info(rc.code)->sqlstate,
                          .position = position,
                          .hint = f->message + message_size};
    memcpy(f->message, message, message_size);
    memcpy(f->message + message_size, err->hint, hint_size);
    if (r->count == REFUSAL_KEPT) {
        free(pop(r));
    }
    *(r->count > 0 ? &r->tail->next : &r->head) = f;
    r->tail = f;
    r->count++;
    buf_printf(out, "%s%" PRIx64, r->word, f->number);
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
    while (r->count > 0 && r->head->number <= n) {
        struct refusal *f = pop(r);
        if (f->number == n) {
            return f;
        }
        free(f);
    }
    return NULL;
}
