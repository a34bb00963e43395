/* Checksums; see crc.h. CRC32 and CRC32C are isa-l's, CRC64NVME is folded with carry-less
 * multiplication where the processor has it, else taken from tables. Joins multiply by x^(8*len) in
 * the field of the polynomial. All values are bit-reflected, inverted at both ends. */
#include "lib/codec/crc.h"

#include <isa-l/crc.h>
#include <limits.h>
#include <pthread.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

static const uint32_t poly32 = 0xedb88320u, poly32c = 0x82f63b78u;
static const uint64_t poly64 = 0x9a6c9329ac4bc9b5u;

uint32_t crc32_more(uint32_t crc, struct slice s) {
    return s.len == 0 ? crc : crc32_gzip_refl(crc, s.ptr, s.len);
}

uint32_t crc32c_more(uint32_t crc, struct slice s) {
    crc = ~crc; /* crc32_iscsi leaves the inversions to its caller, crc32_gzip_refl does not */
    while (s.len > 0) {
        struct slice part = slice_sub(s, 0, INT_MAX);
        crc = crc32_iscsi((unsigned char *)(uintptr_t)part.ptr, (int)part.len, crc);
        s = slice_sub(s, part.len, s.len);
    }
    return ~crc;
}

/* a*b modulo the polynomial; `top` is the bit that stands for x^0. */
static uint64_t field_mul(uint64_t a, uint64_t b, uint64_t poly, uint64_t top) {
    uint64_t product = 0;
    for (uint64_t m = top; m != 0 && a != 0; m >>= 1) {
        if (a & m) {
            product ^= b;
            a &= ~m;
        }
        b = b & 1 ? b >> 1 ^ poly : b >> 1;
    }
    return product;
}

static uint64_t field_pow(uint64_t base, uint64_t n, uint64_t poly, uint64_t top) {
    uint64_t r = top;
    for (; n > 0; n >>= 1) {
        if (n & 1) {
            r = field_mul(r, base, poly, top);
        }
        base = field_mul(base, base, poly, top);
    }
    return r;
}

/* crc * x^(8*len) */
static uint64_t shift_bytes(uint64_t crc, uint64_t len, uint64_t poly, uint64_t top) {
    return field_mul(crc, field_pow(top >> 8, len, poly, top), poly, top);
}

uint32_t crc32_join(uint32_t first, uint32_t second, uint64_t second_len) {
    return (uint32_t)shift_bytes(first, second_len, poly32, 1u << 31) ^ second;
}

uint32_t crc32c_join(uint32_t first, uint32_t second, uint64_t second_len) {
    return (uint32_t)shift_bytes(first, second_len, poly32c, 1u << 31) ^ second;
}

uint64_t crc64nvme_join(uint64_t first, uint64_t second, uint64_t second_len) {
    return shift_bytes(first, second_len, poly64, 1ULL << 63) ^ second;
}

/* Set once. table[k][b]: the byte b followed by k zero bytes. */
static struct {
    uint64_t table[8][256];
    uint64_t fold_64_bytes[2], fold_16_bytes[2];
    bool can_fold;
} nvme;
static pthread_once_t nvme_once = PTHREAD_ONCE_INIT;

/* Constants that move a 128-bit block on by `bits`: for its low lane (the earlier bytes) and its
 * high lane. One power less, since a product of reflected operands comes out one bit low. */
static void fold_constants(uint64_t bits, uint64_t ret[2]) {
    ret[0] = field_pow(1ULL << 62, bits + 63, poly64, 1ULL << 63);
    ret[1] = field_pow(1ULL << 62, bits - 1, poly64, 1ULL << 63);
}

static void nvme_init(void) {
    for (unsigned b = 0; b < 256; b++) {
        uint64_t v = b;
        for (int bit = 0; bit < 8; bit++) {
            v = v & 1 ? v >> 1 ^ poly64 : v >> 1;
        }
        nvme.table[0][b] = v;
    }
    for (int k = 1; k < 8; k++) {
        for (unsigned b = 0; b < 256; b++) {
            uint64_t v = nvme.table[k - 1][b];
            nvme.table[k][b] = v >> 8 ^ nvme.table[0][v & 255];
        }
    }
    fold_constants(512, nvme.fold_64_bytes);
    fold_constants(128, nvme.fold_16_bytes);
#if defined(__x86_64__)
    nvme.can_fold = __builtin_cpu_supports("pclmul");
#endif
}

static uint64_t load_le(const uint8_t *p) {
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--) {
        v = v << 8 | p[i];
    }
    return v;
}

/* `state` without the inversions. */
static uint64_t by_table(uint64_t state, struct slice s) {
    const uint8_t *p = s.ptr;
    size_t left = s.len;
    for (; left >= 8; left -= 8, p += 8) {
        uint64_t v = state ^ load_le(p);
        state = 0;
        for (int k = 0; k < 8; k++) {
            state ^= nvme.table[7 - k][v >> 8 * k & 255];
        }
    }
    for (; left > 0; left--, p++) {
        state = state >> 8 ^ nvme.table[0][(state ^ *p) & 255];
    }
    return state;
}

#if defined(__x86_64__)
#define FOLDING __attribute__((target("pclmul,sse2")))

FOLDING static inline __m128i load(const uint8_t *p) {
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

FOLDING static inline __m128i fold(__m128i x, __m128i k, __m128i next) {
    __m128i low = _mm_clmulepi64_si128(x, k, 0x00), high = _mm_clmulepi64_si128(x, k, 0x11);
    return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

FOLDING static inline __m128i constants(const uint64_t k[2]) {
    return _mm_set_epi64x((long long)k[1], (long long)k[0]);
}

/* s.len >= 64. Four blocks run side by side, are folded into one, and the table reduces that. */
FOLDING static uint64_t by_folding(uint64_t state, struct slice s) {
    const uint8_t *p = s.ptr;
    size_t left = s.len - 64;
    __m128i x[4] = {load(p), load(p + 16), load(p + 32), load(p + 48)};
    x[0] = _mm_xor_si128(x[0], _mm_set_epi64x(0, (long long)state));
    __m128i k = constants(nvme.fold_64_bytes);
    for (p += 64; left >= 64; left -= 64, p += 64) {
        for (int i = 0; i < 4; i++) {
            x[i] = fold(x[i], k, load(p + 16 * i));
        }
    }
    k = constants(nvme.fold_16_bytes);
    for (int i = 1; i < 4; i++) {
        x[i] = fold(x[i - 1], k, x[i]);
    }
    __m128i last = x[3];
    for (; left >= 16; left -= 16, p += 16) {
        last = fold(last, k, load(p));
    }
    uint8_t block[16];
    memcpy(block, &last, sizeof block);
    return by_table(by_table(0, slice_of(block, sizeof block)), slice_of(p, left));
}
#endif

uint64_t crc64nvme_more(uint64_t crc, struct slice s) {
    pthread_once(&nvme_once, nvme_init);
#if defined(__x86_64__)
    if (nvme.can_fold && s.len >= 64) {
        return ~by_folding(~crc, s);
    }
#endif
    return ~by_table(~crc, s);
}
