/* Inside of server/api/kms. */
#ifndef SL_API_KMS_IN_H
#define SL_API_KMS_IN_H

#include "server/api/kms/kms.h"
#include "server/api/kms/operations.h"

#if defined(__SANITIZE_ADDRESS__)
#define KMS_CHECK_ANSWERS
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KMS_CHECK_ANSWERS
#endif
#endif

#define KMS_DAY_MS ((int64_t)24 * 60 * 60 * 1000)
enum { KMS_TAGS_MAX = 50, KMS_ALIASES_MAX = 50, KMS_NAMES_MAX = 256 };

bool kms_is_uuid(struct slice s);
/* What stands behind "key/" of an ARN; all of it when there is none. */
struct slice kms_key_part(struct slice key_id);
/* The id of a key of the caller's own account, for an action that no key policy decides. */
struct sl_rc kms_own_id(struct api_call *c, struct slice key_id, const char *action,
                        struct slice *ret_id);
/* The ARN behind a key id, undecided; empty when there is none. */
struct sl_rc kms_arn(struct api_call *c, struct slice key_id, struct slice *ret_arn);
struct sl_rc kms_dry(struct api_call *c, bool dry_run);
/* May the caller make a ciphertext under this key, or open this one, now? All but the use itself.
 */
struct sl_rc kms_may_seal(struct api_call *c, struct slice key_id, const char *action,
                          const struct context *context, bool dry_run, struct kms_target *ret);
struct sl_rc kms_may_open(struct api_call *c, struct slice key_id, struct slice blob,
                          const struct context *context, bool dry_run, struct kms_target *ret);
/* What a use by the keyholder means for the call: its failure, or a note for the audit record. */
struct sl_rc kms_used(struct api_call *c, struct sl_rc rc, const char *material_id);
struct sl_rc kms_unwrap(struct api_call *c, const struct kms_target *t, struct slice blob,
                        const struct context *context, struct secret *ret_plaintext,
                        char ret_material[65]);

/* ---- manage.c ---- */

/* The answer of operations that name the key alone. */
void kms_put_key_id(struct api_call *c, struct slice arn);

/* ---- rotate.c ---- */

/* Keys of AWS and of services rotate each year; others when EnableKeyRotation says so. */
enum { KMS_ROTATION_DAYS = 365 };
/* Rotates this key if it is enabled and its automatic rotation is due. */
struct sl_rc kms_rotate_due(const struct auth_env *env, const struct key_row *k, struct arena *a,
                            struct sl_error *err);

/* ---- make.c: new keys ---- */

/* Makes the key at the keyholder and fills arn, record and material; id, account and region are
 * given. */
struct sl_rc kms_material(struct api_call *c, struct key_row *row);
/* Is this the alias of a key of AWS, as alias/aws/s3? */
bool kms_is_managed(struct slice alias);
/* That key of the caller's account and region: makes it, or finds what another call has just
 * made. */
struct sl_rc kms_managed_make(struct api_call *c, struct slice alias, struct key_row *ret);

/* ---- check.c: requests and answers against the model ---- */

/* Validates c->body; SL_E_VALIDATION lists what failed, SL_E_PARSE (SerializationException) for a
 * wrong JSON type. */
struct sl_rc kms_check(struct api_call *c, const struct kms_model *m);
/* Is c->out what the model says? SL_E_KMS_INTERNAL tells what is wrong. */
struct sl_rc kms_answer_check(struct api_call *c, const struct kms_model *m);
/* The same after every operation, in sanitized builds only; the rig of the unit tests asks by
 * itself. */
static inline struct sl_rc kms_answered(struct api_call *c, const struct kms_model *m) {
#ifdef KMS_CHECK_ANSWERS
    return kms_answer_check(c, m);
#else
    return SL_OK;
#endif
}

/* ---- input.c ---- */

/* Values after kms_check; empty, default or NULL when absent (or null). */
const struct json *kms_member(const struct api_call *c, const char *name);
struct slice kms_string(const struct api_call *c, const char *name);
int64_t kms_int(const struct api_call *c, const char *name, int64_t otherwise);
bool kms_flag(const struct api_call *c, const char *name);
/* Decoded base64, into a wipe-marked buf. */
struct sl_rc kms_blob(struct api_call *c, const char *name, struct buf *ret);
struct sl_rc kms_context(struct api_call *c, const char *name, struct context *ret);
struct sl_rc kms_tags(struct api_call *c, struct tag_row **ret, size_t *ret_count);
/* aws:RequestTag/… and aws:TagKeys. */
struct sl_rc kms_tag_keys(struct api_call *c, const struct tag_row *tags, size_t count,
                          struct policy_key **ret, size_t *ret_count);

/* ---- policy.c ---- */

/* The default key policy of an account, in the arena. */
struct slice kms_default_policy(struct api_call *c);
/* A policy as it is to be stored: parsed, its principals known, laid out as AWS lays it out. The
 * lockout check unless `bypass`. arn: the key's. */
struct sl_rc kms_policy_accept(struct api_call *c, struct slice text, struct slice arn, bool bypass,
                               struct slice *ret);

/* ---- import.c: keys whose material the customer brings ---- */

const char *kms_origin_name(int origin); /* enum key_origin */
struct import_row;
struct kms_imports { /* of one key, oldest first; none for keys of origin AWS_KMS */
    struct import_row *rows;
    size_t count;
};
struct sl_rc kms_imports_read(struct api_call *c, struct sqlite3 *conn, const struct key_row *k,
                              struct kms_imports *ret);
/* The key's row as it is now, inside the writing transaction, without material that has expired. */
struct sl_rc kms_import_settle(struct api_call *c, struct sqlite3 *conn, struct key_row *k);
/* Is all the material there that the key needs? */
struct sl_rc kms_import_complete(struct api_call *c, struct sqlite3 *conn, const struct key_row *k,
                                 bool *ret);
/* After keys_rotated: the key's material no longer waits for a rotation. */
struct sl_rc kms_import_promoted(struct api_call *c, struct sqlite3 *conn, const struct key_row *k);
/* Material that waits for a rotation, added at the end of the list of rotations. */
struct sl_rc kms_imports_pending(struct api_call *c, const struct kms_imports *imports,
                                 struct rotation_row **list, size_t *count);
/* Members of KeyMetadata, and of an entry of ListKeyRotations. */
void kms_import_put_key(struct jsonw *w, const struct key_row *k);
void kms_import_put(struct jsonw *w, const struct kms_imports *imports, struct slice material_id);

#endif
