/* Calls of many clients on one connection from s3 (server/http/http.h): as many as have come by
 * then are worked off together, and their answers leave with one write. */
#include "server/main/kms_service.h"

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/crypto/secret.h"

enum { ANSWER_USUAL = 1024 };

struct call {
    uint64_t id;
    struct arena arena;
    struct http *h;
    struct buf answer;
};

static void end_call(struct call *c) {
    buf_fini(&c->answer);
    arena_fini(&c->arena);
}

static struct sl_rc begin_call(struct call *c, struct slice payload) {
    c->arena = ARENA_INIT(LIMIT_REQUEST_ARENA_BYTES);
    c->arena.wipe = true;
    c->answer = (struct buf){.max = LIMIT_CALL_ANSWER_BYTES - 64, .wipe = true};
    c->h = http_call_new(&c->arena, &c->answer);
    struct sl_rc rc = c->h != NULL ? http_call_get(payload, c->h, &c->id) : sl_rc_of(SL_E_NOMEM);
    if (sl_failed(rc)) {
        end_call(c);
    }
    return rc;
}

/* Takes the calls that are whole in `in`; *ret_used is how far they reach. On failure those before
 * are taken. */
static struct sl_rc take_calls(struct slice in, struct call *calls, size_t *ret_count,
                               size_t *ret_used) {
    *ret_count = *ret_used = 0;
    while (*ret_count < KMS_AT_ONCE) {
        uint8_t type;
        struct slice payload;
        size_t len;
        TRY(http_call_frame(in, LIMIT_CALL_BYTES, &type, &payload, &len));
        if (len == 0) {
            break;
        }
        ENSURE(type == CALL_REQUEST, NULL, SL_E_PARSE, "not a call");
        TRY(begin_call(&calls[*ret_count], payload));
        (*ret_count)++;
        *ret_used += len;
        in = slice_sub(in, len, in.len);
    }
    return SL_OK;
}

static struct sl_rc answer_all(struct net_conn *c, struct call *calls, size_t count) {
    SL_CLEANUP(buf_fini)
    struct buf out = {.max = KMS_AT_ONCE * (size_t)LIMIT_CALL_ANSWER_BYTES, .wipe = true};
    (void)buf_reserve(&out, count * ANSWER_USUAL);
    for (size_t i = 0; i < count; i++) {
        TRY(buf_check(&calls[i].answer, NULL));
        buf_u32(&out, (uint32_t)(1 + sizeof calls[i].id + calls[i].answer.len));
        buf_u8(&out, CALL_ANSWER);
        buf_u64(&out, calls[i].id);
        buf_put(&out, buf_slice(&calls[i].answer));
    }
    TRY(buf_check(&out, NULL));
    return net_write(c, buf_slice(&out), clock_mono_ms() + LIMIT_RPC_MS);
}

/* Works off what is at hand; *ret_count = 0: no call is whole. */
static struct sl_rc work(struct net_conn *c, struct kms_service *k, size_t *ret_count) {
    struct call calls[KMS_AT_ONCE];
    struct http *requests[KMS_AT_ONCE];
    size_t used;
    struct sl_rc rc = take_calls(net_peek(c), calls, ret_count, &used);
    if (sl_is_ok(rc) && *ret_count > 0) {
        for (size_t i = 0; i < *ret_count; i++) {
            requests[i] = calls[i].h;
        }
        kms_http_many(k, requests, *ret_count);
        rc = answer_all(c, calls, *ret_count);
        net_consume(c, used);
    }
    for (size_t i = 0; i < *ret_count; i++) {
        end_call(&calls[i]);
    }
    return rc;
}

enum net_verdict kms_calls_serve(struct net_conn *c, struct kms_service *k) {
    for (;;) {
        size_t n, count;
        short want;
        if (sl_failed(net_fill(c, &n, &want)) || (n == 0 && want == 0)) {
            return NET_CLOSE;
        }
        if (want != 0) {
            net_await_more(c, INT64_MAX);
            return NET_KEEP;
        }
        do {
            if (sl_failed(work(c, k, &count))) {
                return NET_CLOSE;
            }
        } while (count > 0 && net_peek(c).len > 0);
    }
}
