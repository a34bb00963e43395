/* The uses of a key: GenerateDataKey, Encrypt, Decrypt, ReEncrypt; and GenerateRandom. Plaintexts
 * live in secrets and wipe-marked bufs; the answer's buf is the edge's to wipe. */
#include "server/api/kms/kms_in.h"

#include "lib/base/limits.h"
#include "lib/crypto/crypto.h"

#define BLOB_BUF(name_) SL_CLEANUP(buf_fini) struct buf name_ = {.max = 8192, .wipe = true}

static void put_string(struct jsonw *w, const char *name, struct slice v) {
    jsonw_name(w, name);
    jsonw_string(w, v);
}

static void put_blob(struct jsonw *w, const char *name, struct slice v) {
    jsonw_name(w, name);
    jsonw_base64(w, v);
}

/* Attestation documents can't be answered here; ignoring one would give out the plaintext. */
static struct sl_rc no_recipient(struct api_call *c) {
    ENSURE(kms_member(c, "Recipient") == NULL, c->err, SL_E_KMS_UNSUPPORTED,
           "Recipient is not supported.");
    return SL_OK;
}

static struct sl_rc need_symmetric(struct api_call *c, const char *name) {
    struct slice a = kms_string(c, name);
    ENSURE(a.len == 0 || slice_eq_cstr(a, "SYMMETRIC_DEFAULT"), c->err, SL_E_KMS_KEY_USAGE,
           "You can't use the %.*s algorithm with a SYMMETRIC_DEFAULT key.", SLICE_FMT(a));
    return SL_OK;
}

/* ---- In two halves, with the keyholder in between ---- */

/* An operation whose use of a key is under way. */
struct halfway {
    struct keyholder_use use; /* c->use */
    struct kms_target key;
    struct context context;
    struct buf input;
    void (*answer)(struct jsonw *w, const struct halfway *f);
    const struct kms_model *model;
};

static struct sl_rc halfway_new(struct api_call *c, const char *context_name,
                                struct halfway **ret) {
    struct halfway *f = arena_alloc(c->arena, sizeof *f);
    ENSURE(f != NULL, c->err, SL_E_NOMEM, "Out of memory.");
    *f = (struct halfway){.input = {.max = 8192, .wipe = true}};
    f->use.blob = BUF_INIT(LIMIT_KMS_CIPHERTEXT_BYTES);
    f->use.context = &f->context;
    f->use.err = c->err;
    TRY(kms_context(c, context_name, &f->context));
    *ret = f;
    return SL_OK;
}

static void halfway_end(struct halfway *f) {
    secret_fini(&f->use.plaintext);
    buf_fini(&f->use.blob);
    buf_fini(&f->input);
}

static struct sl_rc second_half(struct api_call *c) {
    struct halfway *f = (struct halfway *)c->use;
    c->use = NULL;
    struct sl_rc rc = kms_used(c, f->use.rc, f->use.material_id);
    if (sl_is_ok(rc)) {
        struct jsonw w = jsonw_of(c->out);
        jsonw_object_begin(&w);
        f->answer(&w, f);
        jsonw_object_end(&w);
        rc = kms_answered(c, f->model);
    }
    halfway_end(f);
    return rc;
}

/* The first half ended with rc. */
static struct sl_rc to_second_half(struct api_call *c, struct halfway *f, struct sl_rc rc) {
    if (sl_failed(rc)) {
        halfway_end(f);
        return rc;
    }
    f->use.record = f->key.row.record;
    f->use.input = buf_slice(&f->input);
    c->use = &f->use;
    c->finish = second_half;
    return SL_OK;
}

static void answer_data_key(struct jsonw *w, const struct halfway *f) {
    put_blob(w, "CiphertextBlob", buf_slice(&f->use.blob));
    if (!f->use.blind) {
        put_blob(w, "Plaintext", secret_view(&f->use.plaintext));
    }
    put_string(w, "KeyId", f->key.row.arn);
    put_string(w, "KeyMaterialId", slice_cstr(f->use.material_id));
}

static struct sl_rc data_key(struct api_call *c, const char *action, bool blind,
                             const struct kms_model *model) {
    TRY(no_recipient(c));
    struct slice spec = kms_string(c, "KeySpec");
    int64_t n = kms_int(c, "NumberOfBytes", 0);
    ENSURE((spec.len > 0) != (n > 0), c->err, SL_E_VALIDATION,
           "Please specify either number of bytes or key spec.");
    if (spec.len > 0) {
        n = slice_eq_cstr(spec, "AES_256") ? 32 : 16;
    }
    struct halfway *f = NULL;
    TRY(halfway_new(c, "EncryptionContext", &f));
    f->use.kind = KEYHOLDER_USE_DATA_KEY;
    f->use.bytes = (size_t)n;
    f->use.blind = blind;
    f->answer = answer_data_key;
    f->model = model;
    return to_second_half(c, f,
                          kms_may_seal(c, kms_string(c, "KeyId"), action, &f->context,
                                       kms_flag(c, "DryRun"), &f->key));
}

struct sl_rc kms_op_data_key(struct api_call *c) {
    return data_key(c, "kms:GenerateDataKey", false, &kms_model_GenerateDataKey);
}

struct sl_rc kms_op_data_key_blind(struct api_call *c) {
    return data_key(c, "kms:GenerateDataKeyWithoutPlaintext", true,
                    &kms_model_GenerateDataKeyWithoutPlaintext);
}

static void answer_encrypt(struct jsonw *w, const struct halfway *f) {
    put_blob(w, "CiphertextBlob", buf_slice(&f->use.blob));
    put_string(w, "KeyId", f->key.row.arn);
    put_string(w, "EncryptionAlgorithm", SLICE_LIT("SYMMETRIC_DEFAULT"));
}

struct sl_rc kms_op_encrypt(struct api_call *c) {
    TRY(need_symmetric(c, "EncryptionAlgorithm"));
    struct halfway *f = NULL;
    TRY(halfway_new(c, "EncryptionContext", &f));
    f->use.kind = KEYHOLDER_USE_ENCRYPT;
    f->answer = answer_encrypt;
    f->model = &kms_model_Encrypt;
    struct sl_rc rc = kms_blob(c, "Plaintext", &f->input);
    if (sl_is_ok(rc)) {
        rc = kms_may_seal(c, kms_string(c, "KeyId"), "kms:Encrypt", &f->context,
                          kms_flag(c, "DryRun"), &f->key);
    }
    return to_second_half(c, f, rc);
}

/* The ciphertext may be left out of a dry run that is told to ignore it. */
static struct sl_rc need_ciphertext(struct api_call *c, bool *ret_ignored) {
    const struct json *modifiers = kms_member(c, "DryRunModifiers");
    *ret_ignored = kms_flag(c, "DryRun") && modifiers != NULL && modifiers->count > 0;
    ENSURE(*ret_ignored || kms_member(c, "CiphertextBlob") != NULL, c->err, SL_E_VALIDATION,
           "1 validation error detected: Value null at 'ciphertextBlob' failed to satisfy "
           "constraint: Member must not be null");
    return SL_OK;
}

/* A dry run without a ciphertext: the key must then be named. */
static struct sl_rc decrypt_rights(struct api_call *c, const struct context *context) {
    struct kms_want w = {.action = "kms:Decrypt",
                         .aliases = true,
                         .foreign = true,
                         .algorithm = true,
                         .context = context};
    struct kms_target t = {0};
    ENSURE(kms_member(c, "KeyId") != NULL, c->err, SL_E_VALIDATION,
           "KeyId is required when the ciphertext is ignored.");
    TRY(kms_use(c, kms_string(c, "KeyId"), &w, &t));
    TRY(kms_need_enabled(c, &t));
    return kms_dry(c, true);
}

static void answer_decrypt(struct jsonw *w, const struct halfway *f) {
    put_string(w, "KeyId", f->key.row.arn);
    put_blob(w, "Plaintext", secret_view(&f->use.plaintext));
    put_string(w, "EncryptionAlgorithm", SLICE_LIT("SYMMETRIC_DEFAULT"));
    put_string(w, "KeyMaterialId", slice_cstr(f->use.material_id));
}

struct sl_rc kms_op_decrypt(struct api_call *c) {
    TRY(no_recipient(c));
    TRY(need_symmetric(c, "EncryptionAlgorithm"));
    struct halfway *f = NULL;
    TRY(halfway_new(c, "EncryptionContext", &f));
    f->use.kind = KEYHOLDER_USE_DECRYPT;
    f->answer = answer_decrypt;
    f->model = &kms_model_Decrypt;
    bool ignored = false;
    TRY(need_ciphertext(c, &ignored));
    if (ignored) {
        return decrypt_rights(c, &f->context);
    }
    struct sl_rc rc = kms_blob(c, "CiphertextBlob", &f->input);
    if (sl_is_ok(rc)) {
        rc = kms_may_open(c, kms_string(c, "KeyId"), buf_slice(&f->input), &f->context,
                          kms_flag(c, "DryRun"), &f->key);
    }
    return to_second_half(c, f, rc);
}

/* Both keys found, allowed and enabled. An empty blob: one that is ignored. */
static struct sl_rc reencrypt_keys(struct api_call *c, struct slice blob,
                                   const struct context *from, const struct context *to,
                                   struct kms_target *ret_from, struct kms_target *ret_to) {
    struct slice source = kms_string(c, "SourceKeyId"), target = kms_string(c, "DestinationKeyId");
    struct slice arn = SLICE_EMPTY;
    if (blob.len > 0) {
        ENSURE(sl_is_ok(keyholder_blob_key_arn(blob, &arn)), c->err, SL_E_KMS_INVALID_CIPHERTEXT,
               "%s", "");
    } else {
        ENSURE(source.len > 0, c->err, SL_E_VALIDATION,
               "SourceKeyId is required when the ciphertext is ignored.");
        TRY(kms_arn(c, source, &arn));
    }
    struct kms_want want = {.action = "kms:ReEncryptTo",
                            .aliases = true,
                            .foreign = true,
                            .algorithm = true,
                            .context = to};
    struct slice target_arn = SLICE_EMPTY;
    TRY(kms_arn(c, target, &target_arn));
    struct slice same = slice_eq(arn, target_arn) ? SLICE_LIT("true") : SLICE_LIT("false");
    struct policy_key more = {SLICE_LIT("kms:ReEncryptOnSameKey"), &same, 1};
    want.more = &more;
    want.more_count = 1;
    struct kms_want from_want = want;
    from_want.action = "kms:ReEncryptFrom";
    from_want.context = from;
    if (blob.len > 0) {
        TRY(kms_blob_key(c, source, blob, &from_want, ret_from));
    } else {
        TRY(kms_use(c, source, &from_want, ret_from));
        TRY(kms_need_enabled(c, ret_from));
    }
    TRY(kms_use(c, target, &want, ret_to));
    return kms_need_enabled(c, ret_to);
}

struct sl_rc kms_op_reencrypt(struct api_call *c) {
    TRY(need_symmetric(c, "SourceEncryptionAlgorithm"));
    TRY(need_symmetric(c, "DestinationEncryptionAlgorithm"));
    struct context from = {0}, to = {0};
    TRY(kms_context(c, "SourceEncryptionContext", &from));
    TRY(kms_context(c, "DestinationEncryptionContext", &to));
    BLOB_BUF(blob);
    BLOB_BUF(again);
    bool ignored = false;
    TRY(need_ciphertext(c, &ignored));
    if (!ignored) {
        TRY(kms_blob(c, "CiphertextBlob", &blob));
    }
    struct kms_target source = {0}, target = {0};
    TRY(reencrypt_keys(c, buf_slice(&blob), &from, &to, &source, &target));
    TRY(kms_dry(c, kms_flag(c, "DryRun")));
    SL_CLEANUP(secret_fini) struct secret plain = {0};
    char source_material[65], target_material[65];
    TRY(kms_unwrap(c, &source, buf_slice(&blob), &from, &plain, source_material));
    TRY(keyholder_encrypt(c->env->keys, target.row.record, &to, secret_view(&plain), &again,
                          target_material, c->err));
    c->audit_more = slice_cstr(arena_printf(
        c->arena, "{\"sourceKeyMaterialId\":\"%s\",\"destinationKeyMaterialId\":\"%s\"}",
        source_material, target_material));
    struct jsonw w = jsonw_of(c->out);
    jsonw_object_begin(&w);
    put_blob(&w, "CiphertextBlob", buf_slice(&again));
    put_string(&w, "SourceKeyId", source.row.arn);
    put_string(&w, "KeyId", target.row.arn);
    put_string(&w, "SourceEncryptionAlgorithm", SLICE_LIT("SYMMETRIC_DEFAULT"));
    put_string(&w, "DestinationEncryptionAlgorithm", SLICE_LIT("SYMMETRIC_DEFAULT"));
    put_string(&w, "SourceKeyMaterialId", slice_cstr(source_material));
    put_string(&w, "DestinationKeyMaterialId", slice_cstr(target_material));
    jsonw_object_end(&w);
    return SL_OK;
}

struct sl_rc kms_op_random(struct api_call *c) {
    TRY(no_recipient(c));
    ENSURE(kms_member(c, "CustomKeyStoreId") == NULL, c->err, SL_E_KMS_UNSUPPORTED,
           "Custom key stores are not supported.");
    int64_t n = kms_int(c, "NumberOfBytes", 0);
    ENSURE(n > 0, c->err, SL_E_VALIDATION, "NumberOfBytes is required.");
    TRY(kms_allow(c, "kms:GenerateRandom", SLICE_LIT("*"), NULL, 0));
    SL_CLEANUP(secret_fini) struct secret random = {0};
    TRY(secret_random(&random, (size_t)n));
    struct jsonw w = jsonw_of(c->out);
    jsonw_object_begin(&w);
    put_blob(&w, "Plaintext", secret_view(&random));
    jsonw_object_end(&w);
    return SL_OK;
}
