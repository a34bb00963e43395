/* Checksums; see checksum.h. */
#include "server/api/s3/checksum.h"

#include "lib/codec/crc.h"
#include "lib/codec/text.h"

#include <stdio.h>

static const struct {
    const char *name;
    const char *header;
    const char *element;
    size_t len;
} kinds[CHECKSUM_KINDS] = {
    [CHECKSUM_NONE] = {"", "", "", 0},
    [CHECKSUM_CRC32] = {"CRC32", "x-amz-checksum-crc32", "ChecksumCRC32", 4},
    [CHECKSUM_CRC32C] = {"CRC32C", "x-amz-checksum-crc32c", "ChecksumCRC32C", 4},
    [CHECKSUM_CRC64NVME] = {"CRC64NVME", "x-amz-checksum-crc64nvme", "ChecksumCRC64NVME", 8},
    [CHECKSUM_SHA1] = {"SHA1", "x-amz-checksum-sha1", "ChecksumSHA1", SHA1_LEN},
    [CHECKSUM_SHA256] = {"SHA256", "x-amz-checksum-sha256", "ChecksumSHA256", SHA256_LEN},
};

static unsigned known(enum checksum_kind k) {
    return (unsigned)k < CHECKSUM_KINDS ? (unsigned)k : 0;
}

size_t checksum_len(enum checksum_kind k) {
    return kinds[known(k)].len;
}
const char *checksum_name(enum checksum_kind k) {
    return kinds[known(k)].name;
}
const char *checksum_header(enum checksum_kind k) {
    return kinds[known(k)].header;
}
const char *checksum_element(enum checksum_kind k) {
    return kinds[known(k)].element;
}
const char *checksum_type_name(enum checksum_type t) {
    return t == CHECKSUM_COMPOSITE ? "COMPOSITE" : "FULL_OBJECT";
}

bool checksum_by_name(struct slice name, enum checksum_kind *ret) {
    for (unsigned k = 1; k < CHECKSUM_KINDS; k++) {
        if (slice_ieq(name, slice_cstr(kinds[k].name))) {
            *ret = (enum checksum_kind)k;
            return true;
        }
    }
    return false;
}

bool checksum_by_header(struct slice header, enum checksum_kind *ret) {
    for (unsigned k = 1; k < CHECKSUM_KINDS; k++) {
        if (slice_ieq(header, slice_cstr(kinds[k].header))) {
            *ret = (enum checksum_kind)k;
            return true;
        }
    }
    return false;
}

struct sl_rc checksum_init(struct checksum *c, enum checksum_kind kind) {
    *c = (struct checksum){.kind = kind};
    if (kind == CHECKSUM_SHA1 || kind == CHECKSUM_SHA256) {
        return digest_new(kind == CHECKSUM_SHA1 ? DIGEST_SHA1 : DIGEST_SHA256, &c->digest);
    }
    return SL_OK;
}

void checksum_more(struct checksum *c, struct slice data) {
    switch (c->kind) {
    case CHECKSUM_CRC32:
        c->crc32 = crc32_more(c->crc32, data);
        break;
    case CHECKSUM_CRC32C:
        c->crc32 = crc32c_more(c->crc32, data);
        break;
    case CHECKSUM_CRC64NVME:
        c->crc64 = crc64nvme_more(c->crc64, data);
        break;
    case CHECKSUM_SHA1:
    case CHECKSUM_SHA256:
        digest_more(c->digest, data);
        break;
    default:
        break;
    }
}

static void put_be(uint64_t v, size_t n, uint8_t *out) {
    for (size_t i = 0; i < n; i++) {
        out[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
    }
}

void checksum_end(struct checksum *c, uint8_t out[CHECKSUM_MAX_LEN]) {
    uint8_t sum[64];
    switch (c->kind) {
    case CHECKSUM_CRC32:
    case CHECKSUM_CRC32C:
        put_be(c->crc32, 4, out);
        break;
    case CHECKSUM_CRC64NVME:
        put_be(c->crc64, 8, out);
        break;
    case CHECKSUM_SHA1:
    case CHECKSUM_SHA256:
        digest_end(c->digest, sum);
        memcpy(out, sum, checksum_len(c->kind));
        break;
    default:
        break;
    }
}

void checksum_fini(struct checksum *c) {
    digest_free(c->digest);
    c->digest = NULL;
}

struct sl_rc checksum_join_init(struct checksum_join *j, enum checksum_kind kind,
                                enum checksum_type type) {
    *j = (struct checksum_join){.kind = kind, .type = type};
    return type == CHECKSUM_COMPOSITE ? checksum_init(&j->over, kind) : SL_OK;
}

void checksum_join_part(struct checksum_join *j, struct slice value, uint64_t size) {
    if (j->type == CHECKSUM_COMPOSITE) {
        checksum_more(&j->over, value);
        return;
    }
    uint64_t v = 0;
    for (size_t i = 0; i < value.len; i++) {
        v = v << 8 | value.ptr[i];
    }
    if (!j->first_done) {
        j->crc = v;
        j->first_done = true;
    } else if (j->kind == CHECKSUM_CRC32) {
        j->crc = crc32_join((uint32_t)j->crc, (uint32_t)v, size);
    } else if (j->kind == CHECKSUM_CRC32C) {
        j->crc = crc32c_join((uint32_t)j->crc, (uint32_t)v, size);
    } else {
        j->crc = crc64nvme_join(j->crc, v, size);
    }
}

void checksum_join_end(struct checksum_join *j, uint8_t out[CHECKSUM_MAX_LEN]) {
    if (j->type == CHECKSUM_COMPOSITE) {
        checksum_end(&j->over, out);
    } else {
        put_be(j->crc, checksum_len(j->kind), out);
    }
}

void checksum_join_fini(struct checksum_join *j) {
    checksum_fini(&j->over);
}

void checksum_text(struct slice value, size_t composite_parts, struct buf *out) {
    base64_put(out, value);
    if (composite_parts > 0) {
        buf_printf(out, "-%zu", composite_parts);
    }
}
