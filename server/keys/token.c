/* PKCS#11 by direct calls; see token.h. The module's path comes from the domain key file, so what
 * it names must be a file that only its owner (root or this user) can write or replace. It stays
 * mapped after use: many modules can't be unloaded safely, and the sandbox leaves it nothing to do.
 */
#include "server/keys/token.h"

#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SLOTS_MAX = 64 };

struct session {
    CK_FUNCTION_LIST *f;
    CK_SESSION_HANDLE handle;
    bool begun;
    CK_OBJECT_HANDLE key;
};

static void end_session(struct session *s) {
    if (s->begun) {
        s->f->C_Logout(s->handle);
        s->f->C_CloseSession(s->handle);
    }
    if (s->f != NULL) {
        s->f->C_Finalize(NULL);
    }
}

static struct sl_rc ck(CK_RV rv, const char *what, struct sl_error *err) {
    ENSURE(rv != CKR_PIN_LOCKED, err, SL_E_ACCESS_DENIED, "the token's PIN is locked");
    ENSURE(rv != CKR_PIN_INCORRECT && rv != CKR_PIN_LEN_RANGE && rv != CKR_PIN_INVALID, err,
           SL_E_ACCESS_DENIED, "the PIN is wrong");
    ENSURE(rv == CKR_OK, err, SL_E_IO, "PKCS#11: %s failed (0x%lx)", what, (unsigned long)rv);
    return SL_OK;
}

/* The file `path`, without links, and each folder above it belongs to root or this user, and only
 * its owner can put another file in its place. */
static struct sl_rc check_owners(const char *path, struct sl_error *err) {
    char part[PATH_MAX];
    struct stat st;
    snprintf(part, sizeof part, "%s", path);
    for (bool file = true;; file = false) {
        ENSURE(stat(part, &st) == 0, err, SL_E_NOT_FOUND, "PKCS#11 module %s: %m", part);
        bool sticky = S_ISDIR(st.st_mode) && (st.st_mode & S_ISVTX) != 0;
        ENSURE(S_ISREG(st.st_mode) == file && (st.st_uid == 0 || st.st_uid == geteuid()) &&
                   ((st.st_mode & 022) == 0 || sticky),
               err, SL_E_ACCESS_DENIED, "PKCS#11 module %s: others can write %s", path,
               file ? "it" : part);
        if (part[1] == '\0') {
            return SL_OK;
        }
        char *slash = strrchr(part, '/');
        slash[slash == part] = '\0';
    }
}

static struct sl_rc load(const char *named, struct session *s, struct sl_error *err) {
    char path[PATH_MAX];
    ENSURE(realpath(named, path) != NULL, err, SL_E_NOT_FOUND, "PKCS#11 module %s: %m", named);
    TRY(check_owners(path, err));
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    ENSURE(module != NULL, err, SL_E_NOT_FOUND, "PKCS#11 module %s can't be loaded", path);
    CK_C_GetFunctionList list = (CK_C_GetFunctionList)dlsym(module, "C_GetFunctionList");
    CK_FUNCTION_LIST *f = NULL;
    ENSURE(list != NULL && list(&f) == CKR_OK && f != NULL, err, SL_E_UNSUPPORTED,
           "%s is no PKCS#11 module", path);
    TRY(ck(f->C_Initialize(NULL), "C_Initialize", err));
    s->f = f;
    return SL_OK;
}

/* Labels stand in 32 bytes, filled up with blanks. */
static bool labelled(const unsigned char label[32], const char *name) {
    char padded[33];
    snprintf(padded, sizeof padded, "%-32s", name);
    return memcmp(label, padded, 32) == 0;
}

static struct sl_rc find_slot(struct session *s, const char *name, CK_SLOT_ID *ret,
                              struct sl_error *err) {
    CK_SLOT_ID slots[SLOTS_MAX];
    CK_ULONG count = SLOTS_MAX;
    TRY(ck(s->f->C_GetSlotList(CK_TRUE, slots, &count), "C_GetSlotList", err));
    for (CK_ULONG i = 0; i < count; i++) {
        CK_TOKEN_INFO info;
        if (s->f->C_GetTokenInfo(slots[i], &info) == CKR_OK && labelled(info.label, name)) {
            *ret = slots[i];
            return SL_OK;
        }
    }
    return sl_fail(err, SL_E_NOT_FOUND, "there is no token '%s'", name);
}

static struct sl_rc log_in(const struct root_token *t, struct slice pin, struct session *s,
                           struct sl_error *err) {
    CK_SLOT_ID slot;
    TRY(load(t->module, s, err));
    TRY(find_slot(s, t->token, &slot, err));
    TRY(ck(s->f->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &s->handle),
           "C_OpenSession", err));
    s->begun = true;
    return ck(s->f->C_Login(s->handle, CKU_USER, (CK_UTF8CHAR *)(uintptr_t)pin.ptr, pin.len),
              "C_Login", err);
}

/* ret_count: how many of that name, at most 2. */
static struct sl_rc find_key(const char *label, struct session *s, CK_ULONG *ret_count,
                             struct sl_error *err) {
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_ATTRIBUTE wanted[] = {{CKA_CLASS, &class, sizeof class},
                             {CKA_LABEL, (void *)(uintptr_t)label, strlen(label)}};
    CK_OBJECT_HANDLE found[2] = {0};
    TRY(ck(s->f->C_FindObjectsInit(s->handle, wanted, 2), "C_FindObjectsInit", err));
    CK_RV rv = s->f->C_FindObjects(s->handle, found, 2, ret_count);
    s->f->C_FindObjectsFinal(s->handle);
    TRY(ck(rv, "C_FindObjects", err));
    s->key = found[0];
    return SL_OK;
}

static struct sl_rc make_key(const char *label, struct session *s, struct sl_error *err) {
    CK_MECHANISM mechanism = {CKM_AES_KEY_GEN, NULL, 0};
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    CK_ULONG len = AES256_KEY_LEN;
    CK_ATTRIBUTE a[] = {
        {CKA_TOKEN, &yes, sizeof yes},     {CKA_PRIVATE, &yes, sizeof yes},
        {CKA_SENSITIVE, &yes, sizeof yes}, {CKA_EXTRACTABLE, &no, sizeof no},
        {CKA_ENCRYPT, &yes, sizeof yes},   {CKA_DECRYPT, &yes, sizeof yes},
        {CKA_VALUE_LEN, &len, sizeof len}, {CKA_LABEL, (void *)(uintptr_t)label, strlen(label)}};
    return ck(s->f->C_GenerateKey(s->handle, &mechanism, a, sizeof a / sizeof *a, &s->key),
              "C_GenerateKey", err);
}

/* A key that could be read out of the token would be no better than a file. */
static struct sl_rc check_key(const char *label, struct session *s, struct sl_error *err) {
    CK_KEY_TYPE type = 0;
    CK_ULONG len = 0;
    CK_BBOOL extractable = CK_TRUE, sensitive = CK_FALSE;
    CK_ATTRIBUTE a[] = {{CKA_KEY_TYPE, &type, sizeof type},
                        {CKA_VALUE_LEN, &len, sizeof len},
                        {CKA_EXTRACTABLE, &extractable, sizeof extractable},
                        {CKA_SENSITIVE, &sensitive, sizeof sensitive}};
    TRY(ck(s->f->C_GetAttributeValue(s->handle, s->key, a, 4), "C_GetAttributeValue", err));
    ENSURE(type == CKK_AES && len == AES256_KEY_LEN, err, SL_E_UNSUPPORTED,
           "the token's key '%s' is not AES-256", label);
    ENSURE(!extractable && sensitive, err, SL_E_UNSUPPORTED,
           "the token's key '%s' can be read out of it", label);
    return SL_OK;
}

static struct sl_rc open_key(const struct root_token *t, struct slice pin, bool make,
                             struct session *s, struct sl_error *err) {
    CK_ULONG count = 0;
    TRY(log_in(t, pin, s, err));
    TRY(find_key(t->key, s, &count, err));
    ENSURE(count > 0 || make, err, SL_E_NOT_FOUND, "the token '%s' has no key '%s'", t->token,
           t->key);
    ENSURE(count < 2, err, SL_E_UNSUPPORTED, "the token '%s' has several keys '%s'", t->token,
           t->key);
    TRY(count == 0 ? make_key(t->key, s, err) : SL_OK);
    return check_key(t->key, s, err);
}

/* CK_MECHANISM's parameter for one message. */
static CK_GCM_PARAMS params(const uint8_t *nonce, struct slice aad) {
    return (CK_GCM_PARAMS){.iv_ptr = (CK_BYTE *)(uintptr_t)nonce,
                           .iv_len = GCM_NONCE_LEN,
                           .iv_bits = GCM_NONCE_LEN * 8,
                           .aad_ptr = (CK_BYTE *)(uintptr_t)aad.ptr,
                           .aad_len = aad.len,
                           .tag_bits = GCM_TAG_LEN * 8};
}

struct sl_rc token_wrap(const struct root_token *t, struct slice pin,
                        const uint8_t nonce[GCM_NONCE_LEN], struct slice aad, struct slice plain,
                        uint8_t *out, struct sl_error *err) {
    struct session s SL_CLEANUP(end_session) = {0};
    TRY(open_key(t, pin, true, &s, err));
    CK_GCM_PARAMS gcm = params(nonce, aad);
    CK_MECHANISM mechanism = {CKM_AES_GCM, &gcm, sizeof gcm};
    CK_ULONG len = plain.len + GCM_TAG_LEN;
    TRY(ck(s.f->C_EncryptInit(s.handle, &mechanism, s.key), "C_EncryptInit", err));
    TRY(ck(s.f->C_Encrypt(s.handle, (CK_BYTE *)(uintptr_t)plain.ptr, plain.len, out, &len),
           "C_Encrypt", err));
    ENSURE(len == plain.len + GCM_TAG_LEN, err, SL_E_IO, "PKCS#11: an answer of %lu bytes", len);
    return SL_OK;
}

struct sl_rc token_unwrap(const struct root_token *t, struct slice pin,
                          const uint8_t nonce[GCM_NONCE_LEN], struct slice aad, struct slice cipher,
                          uint8_t *out, struct sl_error *err) {
    struct session s SL_CLEANUP(end_session) = {0};
    TRY(open_key(t, pin, false, &s, err));
    CK_GCM_PARAMS gcm = params(nonce, aad);
    CK_MECHANISM mechanism = {CKM_AES_GCM, &gcm, sizeof gcm};
    /* Some modules want room for the tag as well. */
    struct secret plain SL_CLEANUP(secret_fini) = {0};
    TRY(secret_init(&plain, cipher.len));
    CK_ULONG len = plain.len;
    TRY(ck(s.f->C_DecryptInit(s.handle, &mechanism, s.key), "C_DecryptInit", err));
    CK_RV rv =
        s.f->C_Decrypt(s.handle, (CK_BYTE *)(uintptr_t)cipher.ptr, cipher.len, plain.ptr, &len);
    ENSURE(rv == CKR_OK && len == cipher.len - GCM_TAG_LEN, err, SL_E_CORRUPT,
           "the token's key does not open it");
    memcpy(out, plain.ptr, len);
    return SL_OK;
}
