/* Digests and HMAC (RFC 2104); see crypto.h. OpenSSL's EVP layer allocates at every start of a
 * digest, so without memory it fails where no caller could go on; its plain functions work in the
 * caller's own memory and can't fail. They are deprecated in OpenSSL 3, but there. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "lib/crypto/digest_in.h"

#include <openssl/md5.h>
#include <openssl/sha.h>
#include <stdlib.h>

#include "lib/crypto/secret.h"

/* SHA-256 over several runs of bytes. */
static void sha256_runs(const struct slice *runs, size_t count, uint8_t out[SHA256_LEN]) {
    SHA256_CTX c;
    SHA256_Init(&c);
    for (size_t i = 0; i < count; i++) {
        SHA256_Update(&c, runs[i].ptr, runs[i].len);
    }
    SHA256_Final(out, &c);
    secret_wipe(&c, sizeof c);
}

void sha256(struct slice data, uint8_t out[SHA256_LEN]) {
    sha256_runs(&data, 1, out);
}

enum { SHA256_BLOCK = 64 };

void hmac_runs(struct slice key, const struct slice *runs, size_t count, uint8_t out[SHA256_LEN]) {
    uint8_t inner[SHA256_BLOCK] = {0}, outer[SHA256_BLOCK];
    struct slice all[1 + HMAC_RUNS_MAX] = {slice_of(inner, sizeof inner)};
    sl_assert(count <= HMAC_RUNS_MAX);
    if (key.len > SHA256_BLOCK) {
        sha256_runs(&key, 1, inner);
    } else if (key.len > 0) {
        memcpy(inner, key.ptr, key.len);
    }
    for (size_t i = 0; i < SHA256_BLOCK; i++) {
        outer[i] = inner[i] ^ 0x5c;
        inner[i] ^= 0x36;
    }
    for (size_t i = 0; i < count; i++) {
        all[1 + i] = runs[i];
    }
    uint8_t digest[SHA256_LEN];
    sha256_runs(all, 1 + count, digest);
    struct slice ends[] = {slice_of(outer, sizeof outer), slice_of(digest, sizeof digest)};
    sha256_runs(ends, 2, out);
    secret_wipe(inner, sizeof inner);
    secret_wipe(outer, sizeof outer);
    secret_wipe(digest, sizeof digest);
}

void hmac_sha256(struct slice key, struct slice data, uint8_t out[SHA256_LEN]) {
    hmac_runs(key, &data, 1, out);
}

struct digest {
    enum digest_alg alg;
    union {
        SHA256_CTX sha256;
        SHA_CTX sha1;
        MD5_CTX md5;
    } of;
};

static void begin(struct digest *d) {
    switch (d->alg) {
    case DIGEST_SHA256:
        SHA256_Init(&d->of.sha256);
        break;
    case DIGEST_SHA1:
        SHA1_Init(&d->of.sha1);
        break;
    case DIGEST_MD5:
        MD5_Init(&d->of.md5);
        break;
    }
}

struct sl_rc digest_new(enum digest_alg alg, struct digest **ret) {
    struct digest *d = calloc(1, sizeof *d);
    ENSURE(d != NULL, NULL, SL_E_NOMEM, "digest");
    d->alg = alg;
    begin(d);
    *ret = d;
    return SL_OK;
}

void digest_more(struct digest *d, struct slice data) {
    switch (d->alg) {
    case DIGEST_SHA256:
        SHA256_Update(&d->of.sha256, data.ptr, data.len);
        break;
    case DIGEST_SHA1:
        SHA1_Update(&d->of.sha1, data.ptr, data.len);
        break;
    case DIGEST_MD5:
        MD5_Update(&d->of.md5, data.ptr, data.len);
        break;
    }
}

size_t digest_end(struct digest *d, uint8_t out[64]) {
    size_t len = 0;
    switch (d->alg) {
    case DIGEST_SHA256:
        SHA256_Final(out, &d->of.sha256);
        len = SHA256_DIGEST_LENGTH;
        break;
    case DIGEST_SHA1:
        SHA1_Final(out, &d->of.sha1);
        len = SHA_DIGEST_LENGTH;
        break;
    case DIGEST_MD5:
        MD5_Final(out, &d->of.md5);
        len = MD5_DIGEST_LENGTH;
        break;
    }
    begin(d);
    return len;
}

void digest_free(struct digest *d) {
    if (d != NULL) {
        secret_wipe(d, sizeof *d);
        free(d);
    }
}
