/* Checksums S3 clients send: CRC32 (ISO-HDLC), CRC32C (Castagnoli), CRC64NVME. Running form: start
 * with 0. */
#ifndef SL_CODEC_CRC_H
#define SL_CODEC_CRC_H

#include "lib/base/slice.h"

uint32_t crc32_more(uint32_t crc, struct slice s);
uint32_t crc32c_more(uint32_t crc, struct slice s);
uint64_t crc64nvme_more(uint64_t crc, struct slice s);
/* CRC of a concatenation, from the CRCs of both halves and the second's length (S3 FULL_OBJECT of
 * multiparts). */
uint32_t crc32_join(uint32_t first, uint32_t second, uint64_t second_len);
uint32_t crc32c_join(uint32_t first, uint32_t second, uint64_t second_len);
uint64_t crc64nvme_join(uint64_t first, uint64_t second, uint64_t second_len);

#endif
