/* The checksums of S3: names on the wire, running sums, and those of a multipart object. */
#ifndef SL_S3_CHECKSUM_H
#define SL_S3_CHECKSUM_H

#include "lib/base/buf.h"
#include "lib/base/rc.h"
#include "lib/crypto/crypto.h"

/* Numbers stand in manifests. */
enum checksum_kind {
    CHECKSUM_NONE = 0,
    CHECKSUM_CRC32 = 1,
    CHECKSUM_CRC32C = 2,
    CHECKSUM_CRC64NVME = 3,
    CHECKSUM_SHA1 = 4,
    CHECKSUM_SHA256 = 5,
    CHECKSUM_KINDS
};
enum checksum_type { CHECKSUM_FULL_OBJECT = 1, CHECKSUM_COMPOSITE = 2 };
enum { CHECKSUM_MAX_LEN = 32 };

size_t checksum_len(enum checksum_kind k);
const char *checksum_name(enum checksum_kind k);    /* "CRC32" */
const char *checksum_header(enum checksum_kind k);  /* "x-amz-checksum-crc32" */
const char *checksum_element(enum checksum_kind k); /* "ChecksumCRC32" */
const char *checksum_type_name(enum checksum_type t);
bool checksum_by_name(struct slice name, enum checksum_kind *ret);     /* any case */
bool checksum_by_header(struct slice header, enum checksum_kind *ret); /* any case */

struct checksum {
    enum checksum_kind kind;
    uint32_t crc32;
    uint64_t crc64;
    struct digest *digest;
};
struct sl_rc checksum_init(struct checksum *c, enum checksum_kind kind);
void checksum_more(struct checksum *c, struct slice data);
/* checksum_len(kind) bytes. */
void checksum_end(struct checksum *c, uint8_t out[CHECKSUM_MAX_LEN]);
void checksum_fini(struct checksum *c);

/* Of a whole from its parts, in order: FULL_OBJECT joins CRCs, COMPOSITE sums the parts' sums. */
struct checksum_join {
    enum checksum_kind kind;
    enum checksum_type type;
    bool first_done;
    uint64_t crc;
    struct checksum over; /* COMPOSITE */
};
struct sl_rc checksum_join_init(struct checksum_join *j, enum checksum_kind kind,
                                enum checksum_type type);
void checksum_join_part(struct checksum_join *j, struct slice value, uint64_t size);
void checksum_join_end(struct checksum_join *j, uint8_t out[CHECKSUM_MAX_LEN]);
void checksum_join_fini(struct checksum_join *j);

/* Base64 of `value`, "-N" behind it for COMPOSITE of n parts (n = 0: none). */
void checksum_text(struct slice value, size_t composite_parts, struct buf *out);

#endif
