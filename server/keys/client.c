/* kms's side of a keyholder channel. A channel on which a call broke off in the middle is of no
 * further use, since a late answer would be taken for the next one's. */
#include "server/keys/keyholder.h"

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/rdr.h"
#include "lib/crypto/crypto.h"
#include "lib/ipc/frame.h"
#include "server/keys/messages.h"
#include "server/keys/record.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

struct keyholder {
    int fd;
    bool broken;
    struct buf request;
    struct buf answer;
};

void keyholder_close(struct keyholder *k) {
    if (k != NULL) {
        close(k->fd);
        buf_fini(&k->request);
        buf_fini(&k->answer);
        free(k);
    }
}

bool keyholder_is_broken(const struct keyholder *k) {
    return k->broken;
}

struct sl_rc keyholder_open(int take_fd, struct keyholder **ret, struct sl_error *err) {
    struct keyholder *k = calloc(1, sizeof *k);
    if (k == NULL) {
        close(take_fd);
        return sl_fail(err, SL_E_NOMEM, "Out of memory.");
    }
    *k = (struct keyholder){.fd = take_fd,
                            .request = BUF_INIT(LIMIT_FRAME_BYTES - 1),
                            .answer = BUF_INIT(LIMIT_FRAME_BYTES - 1)};
    k->request.wipe = k->answer.wipe = true;
    struct sl_rc rc = frame_set_timeout(take_fd, LIMIT_RPC_MS);
    if (sl_failed(rc)) {
        keyholder_close(k);
        return sl_fail(err, rc.code, "The channel to the keyholder takes no timeout.");
    }
    *ret = k;
    return SL_OK;
}

static void wipe(struct buf *b) {
    secret_wipe(b->ptr, b->len);
    buf_reset(b);
}

static struct sl_rc remote_failure(struct slice answer, struct sl_error *err) {
    struct rdr r = rdr_of(answer);
    unsigned code = rdr_u16(&r);
    ENSURE(!r.bad && code > SL_CODE_OK && code < SL_CODE_COUNT, err, SL_E_INTERNAL,
           "The keyholder's answer can't be understood.");
    if (r.rest.len == 0) {
        return sl_rc_of((enum sl_code)code);
    }
    return sl_fail(err, (enum sl_code)code, "%.*s", SLICE_FMT(r.rest));
}

/* Sends k->request, leaves the answer in k->answer. The request is wiped. */
static struct sl_rc call(struct keyholder *k, enum keyholder_op op, int passed_fd,
                         struct sl_error *err) {
    ENSURE(!k->broken, err, SL_E_CLOSED, "The channel to the keyholder is broken.");
    TRY(buf_check(&k->request, err));
    int64_t deadline = clock_mono_ms() + LIMIT_RPC_MS;
    struct sl_rc rc = passed_fd < 0
                          ? frame_send(k->fd, (uint8_t)op, buf_slice(&k->request), deadline)
                          : frame_send_fd(k->fd, (uint8_t)op, buf_slice(&k->request), passed_fd);
    wipe(&k->request);
    uint8_t type = 0;
    if (sl_is_ok(rc)) {
        rc = frame_recv_alone(k->fd, &type, &k->answer, NULL);
    }
    if (sl_failed(rc)) {
        k->broken = true;
        return sl_fail(err, rc.code, "The keyholder does not answer.");
    }
    if (type != KEYHOLDER_OK) {
        return remote_failure(buf_slice(&k->answer), err);
    }
    return SL_OK;
}

struct sl_rc keyholder_fork(struct keyholder *k, struct keyholder **ret, struct sl_error *err) {
    int pair[2];
    ENSURE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, err, SL_E_IO,
           "socketpair: %m");
    buf_reset(&k->request);
    struct sl_rc rc = call(k, KEYHOLDER_FORK, pair[1], err);
    close(pair[1]);
    if (sl_failed(rc)) {
        close(pair[0]);
        return rc;
    }
    return keyholder_open(pair[0], ret, err);
}

/* ---- fields of answers ---- */

/* Outputs are written only once the whole answer is known to be well-formed. */
static struct sl_rc give(struct buf *out, struct slice bytes, struct sl_error *err) {
    buf_reset(out);
    buf_put(out, bytes);
    return buf_check(out, err);
}

static void give_id(char *out, struct slice id) {
    if (out != NULL) {
        memcpy(out, id.ptr, KEY_MATERIAL_ID_CHARS);
        out[KEY_MATERIAL_ID_CHARS] = '\0';
    }
}

/* Answer of create and rotate. */
static struct sl_rc take_record_and_id(struct keyholder *k, struct buf *ret_record,
                                       char *ret_material_id, struct sl_error *err) {
    struct rdr r = rdr_of(buf_slice(&k->answer));
    struct slice record = rdr_vec32(&r);
    struct slice id = rdr_bytes(&r, KEY_MATERIAL_ID_CHARS);
    TRY(rdr_end(&r, err, "keyholder"));
    TRY(give(ret_record, record, err));
    give_id(ret_material_id, id);
    return SL_OK;
}

struct sl_rc keyholder_key_create(struct keyholder *k, struct slice key_arn, struct buf *ret_record,
                                  char ret_material_id[65], struct sl_error *err) {
    ENSURE(key_arn.len <= KEY_ARN_MAX, err, SL_E_LIMIT, "A key ARN of %zu bytes.", key_arn.len);
    buf_reset(&k->request);
    buf_vec16(&k->request, key_arn);
    TRY(call(k, KEYHOLDER_CREATE, -1, err));
    return take_record_and_id(k, ret_record, ret_material_id, err);
}

struct sl_rc keyholder_key_set_state(struct keyholder *k, struct slice record, enum key_state state,
                                     struct buf *ret_record, struct sl_error *err) {
    buf_reset(&k->request);
    buf_vec32(&k->request, record);
    buf_u8(&k->request, (uint8_t)state);
    TRY(call(k, KEYHOLDER_SET_STATE, -1, err));
    struct rdr r = rdr_of(buf_slice(&k->answer));
    struct slice changed = rdr_vec32(&r);
    TRY(rdr_end(&r, err, "keyholder"));
    return give(ret_record, changed, err);
}

struct sl_rc keyholder_key_rotate(struct keyholder *k, struct slice record, struct buf *ret_record,
                                  char ret_material_id[65], struct sl_error *err) {
    buf_reset(&k->request);
    buf_vec32(&k->request, record);
    TRY(call(k, KEYHOLDER_ROTATE, -1, err));
    return take_record_and_id(k, ret_record, ret_material_id, err);
}

struct sl_rc keyholder_probe(struct keyholder *k, struct slice record, struct buf *ret_probe,
                             struct sl_error *err) {
    buf_reset(&k->request);
    buf_vec32(&k->request, record);
    TRY(call(k, KEYHOLDER_PROBE, -1, err));
    return give(ret_probe, buf_slice(&k->answer), err);
}

struct sl_rc keyholder_prove(struct keyholder *k, struct slice record, struct slice probe,
                             uint32_t *ret_materials, struct sl_error *err) {
    buf_reset(&k->request);
    buf_vec32(&k->request, record);
    buf_vec32(&k->request, probe);
    TRY(call(k, KEYHOLDER_PROVE, -1, err));
    struct rdr r = rdr_of(buf_slice(&k->answer));
    uint32_t n = rdr_u32(&r);
    TRY(rdr_end(&r, err, "keyholder"));
    *ret_materials = n;
    return SL_OK;
}

/* ---- uses of keys ---- */

/* Appends one use to the request; nothing when it can't be. */
static struct sl_rc put_use(struct buf *request, const struct keyholder_use *u) {
    struct buf canonical SL_CLEANUP(buf_fini) = BUF_INIT(64 * 1024);
    ENSURE(u->kind != KEYHOLDER_USE_DATA_KEY ||
               (u->bytes >= 1 && u->bytes <= LIMIT_KMS_DATA_KEY_BYTES),
           u->err, SL_E_VALIDATION, "A data key has 1 to %d bytes.", LIMIT_KMS_DATA_KEY_BYTES);
    TRY(context_canonical(u->context, &canonical, u->err));
    bool data_key = u->kind == KEYHOLDER_USE_DATA_KEY;
    size_t len = 4 + u->record.len + 4 + canonical.len + (data_key ? 5 : 4 + u->input.len);
    buf_u8(request, (uint8_t)u->kind);
    buf_u32(request, (uint32_t)len);
    buf_vec32(request, u->record);
    buf_vec32(request, buf_slice(&canonical));
    if (data_key) {
        buf_u32(request, (uint32_t)u->bytes);
        buf_u8(request, !u->blind);
    } else {
        buf_vec32(request, u->input);
    }
    return buf_check(request, u->err);
}

static struct sl_rc take_use(struct slice answer, struct keyholder_use *u) {
    struct rdr r = rdr_of(answer);
    bool decrypt = u->kind == KEYHOLDER_USE_DECRYPT, data_key = u->kind == KEYHOLDER_USE_DATA_KEY;
    struct slice first = rdr_vec32(&r);
    struct slice id = rdr_bytes(&r, KEY_MATERIAL_ID_CHARS);
    struct slice plain = data_key ? rdr_vec32(&r) : decrypt ? first : SLICE_EMPTY;
    TRY(rdr_end(&r, u->err, "keyholder"));
    ENSURE(!data_key || plain.len == (u->blind ? 0 : u->bytes), u->err, SL_E_INTERNAL,
           "The keyholder's answer can't be understood.");
    if (!decrypt) {
        TRY(give(&u->blob, first, u->err));
    }
    if (decrypt || plain.len > 0) {
        TRY(secret_from(&u->plaintext, plain));
    }
    give_id(u->material_id, id);
    return SL_OK;
}

/* Sends what stands in the request, and gives each of the uses in it its answer. */
static void send_uses(struct keyholder *k, struct keyholder_use *const *uses, size_t count) {
    struct sl_error err = {0};
    struct sl_rc sent = call(k, KEYHOLDER_USES, -1, &err);
    struct rdr r = rdr_of(buf_slice(&k->answer));
    for (size_t i = 0; i < count; i++) {
        struct keyholder_use *u = uses[i];
        if (sl_is_ok(u->rc)) { /* else it is not in the request */
            uint8_t type = sl_is_ok(sent) ? rdr_u8(&r) : KEYHOLDER_ERROR;
            struct slice answer = sl_is_ok(sent) ? rdr_vec32(&r) : SLICE_EMPTY;
            u->rc = sl_failed(sent)                  ? sl_fail(u->err, sent.code, "%s", err.detail)
                    : type == KEYHOLDER_OK && !r.bad ? take_use(answer, u)
                                                     : remote_failure(answer, u->err);
        }
    }
    wipe(&k->answer);
}

void keyholder_uses(struct keyholder *k, struct keyholder_use *const *uses, size_t count) {
    size_t from = 0;
    buf_reset(&k->request);
    for (size_t i = 0; i < count; i++) {
        size_t at = k->request.len;
        uses[i]->rc = put_use(&k->request, uses[i]);
        if (sl_failed(uses[i]->rc)) {
            k->request.len = at;
            k->request.failed = false;
        }
        bool full = i + 1 - from == KEYHOLDER_USES_MAX || k->request.len > LIMIT_FRAME_BYTES / 2;
        if ((full || i + 1 == count) && k->request.len > 0) {
            send_uses(k, uses + from, i + 1 - from);
            from = i + 1;
            buf_reset(&k->request);
        }
    }
}

/* One use, its outputs where the caller wants them; untouched on failure. */
static struct sl_rc use_one(struct keyholder *k, struct keyholder_use *u,
                            struct secret *ret_plaintext, struct buf *ret_blob,
                            char *ret_material_id, struct sl_error *err) {
    u->err = err;
    u->blob = (struct buf){.max = LIMIT_KMS_CIPHERTEXT_BYTES};
    keyholder_uses(k, &u, 1);
    if (sl_is_ok(u->rc) && ret_blob != NULL) {
        u->rc = give(ret_blob, buf_slice(&u->blob), err);
    }
    buf_fini(&u->blob);
    if (sl_is_ok(u->rc) && ret_plaintext != NULL) {
        *ret_plaintext = u->plaintext;
        u->plaintext = (struct secret){0};
    }
    if (sl_is_ok(u->rc) && ret_material_id != NULL) {
        memcpy(ret_material_id, u->material_id, sizeof u->material_id);
    }
    secret_fini(&u->plaintext);
    return u->rc;
}

struct sl_rc keyholder_encrypt(struct keyholder *k, struct slice record,
                               const struct context *context, struct slice plaintext,
                               struct buf *ret_blob, char ret_material_id[65],
                               struct sl_error *err) {
    struct keyholder_use u = {
        .kind = KEYHOLDER_USE_ENCRYPT, .record = record, .context = context, .input = plaintext};
    return use_one(k, &u, NULL, ret_blob, ret_material_id, err);
}

struct sl_rc keyholder_decrypt(struct keyholder *k, struct slice record,
                               const struct context *context, struct slice blob,
                               struct secret *ret_plaintext, char ret_material_id[65],
                               struct sl_error *err) {
    struct keyholder_use u = {
        .kind = KEYHOLDER_USE_DECRYPT, .record = record, .context = context, .input = blob};
    return use_one(k, &u, ret_plaintext, NULL, ret_material_id, err);
}

struct sl_rc keyholder_data_key(struct keyholder *k, struct slice record,
                                const struct context *context, size_t n,
                                struct secret *ret_plaintext, struct buf *ret_blob,
                                char ret_material_id[65], struct sl_error *err) {
    struct keyholder_use u = {.kind = KEYHOLDER_USE_DATA_KEY,
                              .record = record,
                              .context = context,
                              .bytes = n,
                              .blind = ret_plaintext == NULL};
    return use_one(k, &u, ret_plaintext, ret_blob, ret_material_id, err);
}

struct sl_rc keyholder_blob_key_arn(struct slice blob, struct slice *ret_arn) {
    struct blob b;
    TRY(blob_parse(blob, &b));
    *ret_arn = b.arn;
    return SL_OK;
}

/* ---- imported material ---- */

struct sl_rc keyholder_key_create_empty(struct keyholder *k, struct slice key_arn,
                                        struct buf *ret_record, struct sl_error *err) {
    ENSURE(key_arn.len <= KEY_ARN_MAX, err, SL_E_LIMIT, "A key ARN of %zu bytes.", key_arn.len);
    buf_reset(&k->request);
    buf_vec16(&k->request, key_arn);
    TRY(call(k, KEYHOLDER_CREATE_EMPTY, -1, err));
    struct rdr r = rdr_of(buf_slice(&k->answer));
    struct slice record = rdr_vec32(&r);
    TRY(rdr_end(&r, err, "keyholder"));
    return give(ret_record, record, err);
}

struct sl_rc keyholder_import_begin(struct keyholder *k, struct slice record,
                                    enum keyholder_wrapping wrapping, unsigned bits,
                                    int64_t valid_to_ms, struct buf *ret_public_der,
                                    struct buf *ret_token, struct sl_error *err) {
    buf_reset(&k->request);
    buf_vec32(&k->request, record);
    buf_u8(&k->request, (uint8_t)wrapping);
    buf_u16(&k->request, (uint16_t)bits);
    buf_u64(&k->request, (uint64_t)valid_to_ms);
    TRY(call(k, KEYHOLDER_IMPORT_BEGIN, -1, err));
    struct rdr r = rdr_of(buf_slice(&k->answer));
    struct slice public_der = rdr_vec32(&r);
    struct slice token = rdr_vec32(&r);
    TRY(rdr_end(&r, err, "keyholder"));
    TRY(give(ret_public_der, public_der, err));
    return give(ret_token, token, err);
}

/* Answer of import and forget. */
static struct sl_rc take_material(struct keyholder *k, struct buf *ret_record,
                                  struct keyholder_material *ret, struct sl_error *err) {
    struct rdr r = rdr_of(buf_slice(&k->answer));
    struct slice record = rdr_vec32(&r);
    struct slice id = rdr_bytes(&r, KEY_MATERIAL_ID_CHARS);
    uint8_t state = rdr_u8(&r);
    uint8_t pending = rdr_u8(&r);
    TRY(rdr_end(&r, err, "keyholder"));
    TRY(give(ret_record, record, err));
    give_id(ret->id, id);
    ret->state = (enum key_state)state;
    ret->pending = pending != 0;
    return SL_OK;
}

struct sl_rc keyholder_import(struct keyholder *k, struct slice record,
                              const struct keyholder_import_request *q, struct buf *ret_record,
                              struct keyholder_material *ret, struct sl_error *err) {
    buf_reset(&k->request);
    buf_vec32(&k->request, record);
    buf_vec32(&k->request, q->token);
    buf_vec32(&k->request, q->wrapped);
    buf_u64(&k->request, (uint64_t)q->now_ms);
    buf_u8(&k->request, (uint8_t)q->kind);
    buf_vec16(&k->request, q->material_id);
    TRY(call(k, KEYHOLDER_IMPORT, -1, err));
    return take_material(k, ret_record, ret, err);
}

struct sl_rc keyholder_forget(struct keyholder *k, struct slice record, struct slice material_id,
                              struct buf *ret_record, struct keyholder_material *ret,
                              struct sl_error *err) {
    buf_reset(&k->request);
    buf_vec32(&k->request, record);
    buf_vec16(&k->request, material_id);
    TRY(call(k, KEYHOLDER_FORGET, -1, err));
    return take_material(k, ret_record, ret, err);
}

/* ---- kms's own secrets ---- */

static struct sl_rc seal_request(struct keyholder *k, const char *purpose, struct slice aad,
                                 struct slice payload, enum keyholder_op op, struct sl_error *err) {
    ENSURE(payload.len <= LIMIT_FRAME_BYTES && aad.len <= LIMIT_FRAME_BYTES &&
               strlen(purpose) <= KEYHOLDER_LABEL_MAX,
           err, SL_E_LIMIT, "Too long to seal.");
    buf_reset(&k->request);
    buf_vec16(&k->request, slice_cstr(purpose));
    buf_vec32(&k->request, aad);
    buf_vec32(&k->request, payload);
    return call(k, op, -1, err);
}

struct sl_rc keyholder_seal(struct keyholder *k, const char *purpose, struct slice aad,
                            struct slice plain, struct buf *ret_sealed, struct sl_error *err) {
    TRY(seal_request(k, purpose, aad, plain, KEYHOLDER_SEAL, err));
    return give(ret_sealed, buf_slice(&k->answer), err);
}

struct sl_rc keyholder_unseal(struct keyholder *k, const char *purpose, struct slice aad,
                              struct slice sealed, struct secret *ret_plain, struct sl_error *err) {
    TRY(seal_request(k, purpose, aad, sealed, KEYHOLDER_UNSEAL, err));
    struct sl_rc rc = secret_from(ret_plain, buf_slice(&k->answer));
    wipe(&k->answer);
    return rc;
}

struct sl_rc keyholder_derive(struct keyholder *k, const char *label, struct secret *ret_key,
                              struct sl_error *err) {
    ENSURE(strlen(label) <= KEYHOLDER_LABEL_MAX, err, SL_E_LIMIT, "The label is too long.");
    buf_reset(&k->request);
    buf_vec16(&k->request, slice_cstr(label));
    TRY(call(k, KEYHOLDER_DERIVE, -1, err));
    struct sl_rc rc = secret_from(ret_key, buf_slice(&k->answer));
    wipe(&k->answer);
    return rc;
}

/* ---- audit ---- */

struct sl_rc keyholder_audit_begin(struct keyholder *k, uint64_t segment, uint64_t next_seq,
                                   const uint8_t previous[32], struct sl_error *err) {
    buf_reset(&k->request);
    buf_u64(&k->request, segment);
    buf_u64(&k->request, next_seq);
    buf_put(&k->request, slice_of(previous, SHA256_LEN));
    return call(k, KEYHOLDER_AUDIT_BEGIN, -1, err);
}

struct sl_rc keyholder_audit_mac(struct keyholder *k, uint64_t segment,
                                 struct keyholder_audit_entry *entries, size_t count,
                                 uint64_t *ret_first_seq, struct sl_error *err) {
    buf_reset(&k->request);
    buf_u64(&k->request, segment);
    for (size_t i = 0; i < count; i++) {
        buf_vec32(&k->request, entries[i].record);
    }
    TRY(call(k, KEYHOLDER_AUDIT_MAC, -1, err));
    struct rdr r = rdr_of(buf_slice(&k->answer));
    uint64_t first_seq = rdr_u64(&r);
    struct slice macs = rdr_bytes(&r, count * SHA256_LEN);
    TRY(rdr_end(&r, err, "keyholder"));
    for (size_t i = 0; i < count; i++) {
        memcpy(entries[i].mac, macs.ptr + i * SHA256_LEN, SHA256_LEN);
    }
    *ret_first_seq = first_seq;
    return SL_OK;
}

struct sl_rc keyholder_audit_sign(struct keyholder *k, struct slice head, uint8_t ret_signature[64],
                                  uint8_t ret_public_key[32], struct sl_error *err) {
    buf_reset(&k->request);
    buf_vec32(&k->request, head);
    TRY(call(k, KEYHOLDER_AUDIT_SIGN, -1, err));
    struct rdr r = rdr_of(buf_slice(&k->answer));
    struct slice signature = rdr_bytes(&r, ED25519_SIGNATURE_LEN);
    struct slice public_key = rdr_bytes(&r, ED25519_PUBLIC_LEN);
    TRY(rdr_end(&r, err, "keyholder"));
    memcpy(ret_signature, signature.ptr, signature.len);
    memcpy(ret_public_key, public_key.ptr, public_key.len);
    return SL_OK;
}

struct sl_rc keyholder_audit_check(struct keyholder *k, uint64_t segment, uint64_t first_seq,
                                   const uint8_t previous[32],
                                   const struct keyholder_audit_entry *entries, size_t count,
                                   size_t *ret_good, struct sl_error *err) {
    buf_reset(&k->request);
    buf_u64(&k->request, segment);
    buf_u64(&k->request, first_seq);
    buf_put(&k->request, slice_of(previous, SHA256_LEN));
    for (size_t i = 0; i < count; i++) {
        buf_vec32(&k->request, entries[i].record);
        buf_put(&k->request, slice_of(entries[i].mac, SHA256_LEN));
    }
    TRY(call(k, KEYHOLDER_AUDIT_CHECK, -1, err));
    struct rdr r = rdr_of(buf_slice(&k->answer));
    uint32_t good = rdr_u32(&r);
    TRY(rdr_end(&r, err, "keyholder"));
    ENSURE(good <= count, err, SL_E_INTERNAL, "The keyholder's answer can't be understood.");
    *ret_good = good;
    return SL_OK;
}
