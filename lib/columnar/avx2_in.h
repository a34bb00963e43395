/* Inside of lib/columnar: loops that have a second body for AVX2, chosen at run time. */
#ifndef SL_COLUMNAR_AVX2_IN_H
#define SL_COLUMNAR_AVX2_IN_H

#include <stdbool.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define HAVE_AVX2 1
#define AVX2 __attribute__((target("avx2")))
#else
#define HAVE_AVX2 0
#define AVX2
#endif
/* A body that both inline. */
#define TWIN static inline __attribute__((always_inline))

static inline bool avx2(void) {
#if HAVE_AVX2
    return __builtin_cpu_supports("avx2");
#else
    return false;
#endif
}

#endif
