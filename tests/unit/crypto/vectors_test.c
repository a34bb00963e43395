/* Published vectors: AES-256-GCM (NIST CAVP), HMAC-SHA256 (RFC 4231), HKDF-SHA256 (RFC 5869),
 * SP 800-108 counter mode (NIST CAVP). argv: the folder of the vectors. */
#include "lib/crypto/crypto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const char *folder;

enum { FIELDS_MAX = 16, VALUE_MAX = 4096 };

/* The fields of the vector being read; a later field of the same name replaces the earlier. */
struct vector {
    size_t count;
    struct {
        char name[32];
        char text[2 * VALUE_MAX];
        uint8_t bytes[VALUE_MAX];
        size_t len;
    } fields[FIELDS_MAX];
};

static void set(struct vector *v, const char *name, const char *text) {
    size_t i = 0;
    while (i < v->count && strcmp(v->fields[i].name, name) != 0) {
        i++;
    }
    assert_true(i < FIELDS_MAX && strlen(name) < sizeof v->fields[i].name);
    v->count = i == v->count ? i + 1 : v->count;
    snprintf(v->fields[i].name, sizeof v->fields[i].name, "%s", name);
    snprintf(v->fields[i].text, sizeof v->fields[i].text, "%s", text);
    v->fields[i].len = 0;
    for (const char *p = text; p[0] != '\0' && p[1] != '\0'; p += 2) {
        unsigned byte;
        if (sscanf(p, "%2x", &byte) != 1) {
            break;
        }
        v->fields[i].bytes[v->fields[i].len++] = (uint8_t)byte;
    }
}

static const char *text(const struct vector *v, const char *name) {
    for (size_t i = 0; i < v->count; i++) {
        if (strcmp(v->fields[i].name, name) == 0) {
            return v->fields[i].text;
        }
    }
    return "";
}

static struct slice bytes(const struct vector *v, const char *name) {
    for (size_t i = 0; i < v->count; i++) {
        if (strcmp(v->fields[i].name, name) == 0) {
            return slice_of(v->fields[i].bytes, v->fields[i].len);
        }
    }
    fail_msg("no field %s", name);
    return SLICE_EMPTY;
}

/* Calls `check` after each field `last`, which ends a vector; a line "FAIL" is the field FAIL. */
static void each(const char *file, const char *last, const char *other_last,
                 void (*check)(const struct vector *, size_t *), size_t least) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    FILE *f = fopen(path, "r");
    if (f == NULL) {
        fail_msg("%s: no test vectors; install Debian's python3-cryptography-vectors and "
                 "configure the build again",
                 path);
        return;
    }
    struct vector *v = calloc(1, sizeof *v);
    assert_non_null(v);
    static char line[2 * VALUE_MAX + 64];
    size_t checked = 0;
    while (fgets(line, sizeof line, f) != NULL) {
        char *start = line + strspn(line, " \t[");
        start[strcspn(start, "]\r\n")] = '\0';
        char *eq = strchr(start, '=');
        if (start[0] == '#' || (eq == NULL && strcmp(start, "FAIL") != 0)) {
            continue;
        }
        char *value = eq != NULL ? eq + 1 + strspn(eq + 1, " ") : start;
        if (eq != NULL) {
            while (eq > start && eq[-1] == ' ') {
                eq--;
            }
            *eq = '\0';
        }
        set(v, start, value);
        if (strcmp(start, last) == 0 || (other_last != NULL && strcmp(start, other_last) == 0)) {
            check(v, &checked);
            if (other_last != NULL) {
                set(v, other_last, "");
            }
        }
    }
    fclose(f);
    free(v);
    if (checked < least) {
        fail_msg("%s: only %zu vectors", file, checked);
    }
}

static void is(struct slice want, const uint8_t *got, size_t len) {
    assert_int_equal(want.len, len);
    assert_memory_equal(want.ptr, got, len);
}

static void check_hmac(const struct vector *v, size_t *checked) {
    uint8_t mac[SHA256_LEN];
    hmac_sha256(bytes(v, "Key"), bytes(v, "Msg"), mac);
    struct slice want = bytes(v, "MD");
    assert_true(want.len >= 16); /* one case is cut to 128 bits */
    is(want, mac, want.len);
    ++*checked;
}

static void hmac_vectors(void **state) {
    each("HMAC/rfc-4231-sha256.txt", "MD", NULL, check_hmac, 6);
}

static void check_hkdf(const struct vector *v, size_t *checked) {
    uint8_t out[256];
    size_t len = (size_t)atoi(text(v, "L"));
    assert_true(len <= sizeof out);
    assert_int_equal(
        hkdf_sha256(bytes(v, "IKM"), bytes(v, "salt"), bytes(v, "info"), out, len).code,
        SL_CODE_OK);
    is(bytes(v, "OKM"), out, len);
    ++*checked;
}

static void hkdf_vectors(void **state) {
    each("KDF/rfc-5869-HKDF-SHA256.txt", "OKM", NULL, check_hkdf, 3);
}

static void check_kdf(const struct vector *v, size_t *checked) {
    if (strcmp(text(v, "PRF"), "HMAC_SHA256") != 0 || strcmp(text(v, "RLEN"), "32_BITS") != 0 ||
        strcmp(text(v, "CTRLOCATION"), "BEFORE_FIXED") != 0) {
        return;
    }
    uint8_t out[256];
    size_t len = (size_t)atoi(text(v, "L")) / 8;
    assert_true(len <= sizeof out);
    assert_int_equal(
        kdf_counter_fixed_sha256(bytes(v, "KI"), bytes(v, "FixedInputData"), out, len).code,
        SL_CODE_OK);
    is(bytes(v, "KO"), out, len);
    ++*checked;
}

static void kdf_vectors(void **state) {
    each("KDF/nist-800-108-KBKDF-CTR.txt", "KO", NULL, check_kdf, 40);
}

static bool gcm_supported(const struct vector *v) {
    return strcmp(text(v, "IVlen"), "96") == 0 && strcmp(text(v, "Taglen"), "128") == 0;
}

static void check_gcm(const struct vector *v, size_t *checked, bool sealing) {
    if (!gcm_supported(v)) {
        return;
    }
    bool refused = !sealing && strcmp(text(v, "FAIL"), "FAIL") == 0;
    struct slice ct = bytes(v, "CT");
    struct slice tag = bytes(v, "Tag");
    uint8_t sealed[VALUE_MAX];
    uint8_t out[VALUE_MAX];
    memcpy(sealed, ct.ptr, ct.len);
    memcpy(sealed + ct.len, tag.ptr, tag.len);
    struct aead *a = NULL;
    assert_int_equal(aead_new(bytes(v, "Key"), &a).code, SL_CODE_OK);
    memset(out, 0xaa, sizeof out);
    struct sl_rc rc =
        aead_open(a, bytes(v, "IV").ptr, bytes(v, "AAD"), slice_of(sealed, ct.len + tag.len), out);
    assert_int_equal(rc.code, refused ? SL_E_CORRUPT : SL_CODE_OK);
    if (refused) {
        for (size_t i = 0; i < ct.len; i++) {
            assert_int_equal(out[i], 0);
        }
    } else {
        struct slice pt = bytes(v, "PT");
        is(pt, out, ct.len);
        assert_int_equal(aead_seal(a, bytes(v, "IV").ptr, bytes(v, "AAD"), pt, out).code,
                         SL_CODE_OK);
        is(slice_of(sealed, ct.len + tag.len), out, pt.len + GCM_TAG_LEN);
    }
    aead_free(a);
    ++*checked;
}

static void check_gcm_seal(const struct vector *v, size_t *checked) {
    check_gcm(v, checked, true);
}

static void check_gcm_open(const struct vector *v, size_t *checked) {
    check_gcm(v, checked, false);
}

static void gcm_vectors(void **state) {
    each("ciphers/AES/GCM/gcmEncryptExtIV256.rsp", "Tag", NULL, check_gcm_seal, 370);
    each("ciphers/AES/GCM/gcmDecrypt256.rsp", "PT", "FAIL", check_gcm_open, 370);
}

int main(int argc, char **argv) {
    folder = argc > 1 ? argv[1] : "";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hmac_vectors),
        cmocka_unit_test(hkdf_vectors),
        cmocka_unit_test(kdf_vectors),
        cmocka_unit_test(gcm_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
