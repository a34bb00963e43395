/* The first step of the splitter: offsets of the bytes that can matter. See delimited_in.h. */
#include "lib/codec/delimited_in.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* The third byte that marks are made of. */
static uint8_t third_mark(const struct delimited_conf *conf) {
    return conf->format == DELIMITED_CSV ? conf->quote : conf->escape ? '\\' : conf->delimiter;
}

static size_t index_scalar(const struct delimited_conf *conf, const uint8_t *p, size_t n,
                           uint32_t base, uint32_t *marks, uint8_t *bytes) {
    uint8_t delimiter = conf->delimiter;
    uint8_t quote = third_mark(conf);
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] == delimiter || p[i] == '\n' || p[i] == quote) {
            bytes[count] = p[i];
            marks[count++] = base + (uint32_t)i;
        }
    }
    return count;
}

#if defined(__x86_64__)
#define AVX2 __attribute__((target("avx2,bmi,popcnt")))
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi2,bmi,popcnt")))

AVX2 static uint32_t marks_of(const uint8_t *p, __m256i delimiter, __m256i lf, __m256i quote) {
    __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)p);
    __m256i hit =
        _mm256_or_si256(_mm256_cmpeq_epi8(v, delimiter),
                        _mm256_or_si256(_mm256_cmpeq_epi8(v, lf), _mm256_cmpeq_epi8(v, quote)));
    return (uint32_t)_mm256_movemask_epi8(hit);
}

AVX2 static size_t index_avx2(const struct delimited_conf *conf, const uint8_t *p, size_t n,
                              uint32_t base, uint32_t *marks, uint8_t *bytes) {
    __m256i delimiter = _mm256_set1_epi8((char)conf->delimiter);
    __m256i lf = _mm256_set1_epi8('\n');
    __m256i quote = _mm256_set1_epi8((char)third_mark(conf));
    size_t count = 0;
    size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        uint64_t mask = marks_of(p + i, delimiter, lf, quote) |
                        (uint64_t)marks_of(p + i + 32, delimiter, lf, quote) << 32;
        /* eight at a time, whatever there are: what is too many is written over */
        size_t end = count + (size_t)__builtin_popcountll(mask);
        for (; count < end; count += 8) {
            for (int k = 0; k < 8; k++) {
                marks[count + (size_t)k] = base + (uint32_t)i + (uint32_t)_tzcnt_u64(mask);
                mask = _blsr_u64(mask);
            }
        }
        count = end;
    }
    for (size_t k = 0; k < count; k++) {
        bytes[k] = p[marks[k] - base];
    }
    return count +
           index_scalar(conf, p + i, n - i, base + (uint32_t)i, marks + count, bytes + count);
}

/* Of 64 bytes those that matter move to the front, their places too. */
AVX512 static size_t index_avx512(const struct delimited_conf *conf, const uint8_t *p, size_t n,
                                  uint32_t base, uint32_t *marks, uint8_t *bytes) {
    static const uint8_t places[64] = {
        0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
        22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43,
        44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
    __m512i all = _mm512_loadu_si512(places);
    __m512i delimiter = _mm512_set1_epi8((char)conf->delimiter);
    __m512i lf = _mm512_set1_epi8('\n');
    __m512i quote = _mm512_set1_epi8((char)third_mark(conf));
    size_t count = 0;
    for (size_t i = 0; i < n; i += 64) {
        __mmask64 in = n - i < 64 ? (1ULL << (n - i)) - 1 : ~0ULL;
        __m512i v = _mm512_maskz_loadu_epi8(in, p + i);
        __mmask64 mask = in & (_mm512_cmpeq_epi8_mask(v, delimiter) |
                               _mm512_cmpeq_epi8_mask(v, lf) | _mm512_cmpeq_epi8_mask(v, quote));
        size_t found = (size_t)__builtin_popcountll(mask);
        __m512i from = _mm512_set1_epi32((int)(base + (uint32_t)i));
        __m512i at = _mm512_maskz_compress_epi8(mask, all);
        _mm512_storeu_si512(bytes + count, _mm512_maskz_compress_epi8(mask, v));
        for (size_t k = 0; k < found; k += 16) {
            __m512i wide = _mm512_cvtepu8_epi32(_mm512_castsi512_si128(at));
            _mm512_storeu_si512(marks + count + k, _mm512_add_epi32(wide, from));
            at = _mm512_alignr_epi32(at, at, 4);
        }
        count += found;
    }
    return count;
}
#endif

delimited_index_fn delimited_index_pick(enum delimited_scan scan) {
#if defined(__x86_64__)
    if (scan == DELIMITED_BEST && __builtin_cpu_supports("avx512vbmi2") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
        return index_avx512;
    }
    if (scan != DELIMITED_SCALAR && __builtin_cpu_supports("avx2")) {
        return index_avx2;
    }
#endif
    return index_scalar;
}
