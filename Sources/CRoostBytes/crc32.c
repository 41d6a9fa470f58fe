#include "CRoostBytes.h"

#if defined(__x86_64__)

#include <immintrin.h>

int roost_crc32_can_fold(void) {
    return __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
}

#define FOLDS __attribute__((target("pclmul,sse4.1")))

// Moves a 128-bit remainder forward by the distance that the two constants stand for, and adds what is found there.
FOLDS static inline __m128i fold(__m128i remainder, __m128i distance, __m128i next) {
    __m128i low = _mm_clmulepi64_si128(remainder, distance, 0x00);
    __m128i high = _mm_clmulepi64_si128(remainder, distance, 0x11);
    return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

FOLDS static inline __m128i load(const uint8_t *bytes) { return _mm_loadu_si128((const __m128i *)bytes); }

// Source: Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction", Intel 2009, with the
// constants for the reflected polynomial of IEEE 802.3: x^n mod P for the distances of 512 and 128 bits, then of 64, and
// Barrett's quotient and P itself.
FOLDS uint32_t roost_crc32_fold(uint32_t state, const void *data, size_t count) {
    const uint8_t *bytes = data;
    const __m128i by512 = _mm_set_epi64x(0x1c6e41596, 0x154442bd4);
    const __m128i by128 = _mm_set_epi64x(0x0ccaa009e, 0x1751997d0);
    const __m128i by64 = _mm_set_epi64x(0, 0x163cd6124);
    const __m128i barrett = _mm_set_epi64x(0x1f7011641, 0x1db710641);
    const __m128i low32 = _mm_set_epi32(0, 0, 0, ~0);

    // Four remainders at once, since one multiplication waits for the last one of its own only.
    __m128i a = _mm_xor_si128(load(bytes), _mm_cvtsi32_si128((int)state));
    __m128i b = load(bytes + 16), c = load(bytes + 32), d = load(bytes + 48);
    bytes += 64;
    count -= 64;
    while (count >= 64) {
        a = fold(a, by512, load(bytes));
        b = fold(b, by512, load(bytes + 16));
        c = fold(c, by512, load(bytes + 32));
        d = fold(d, by512, load(bytes + 48));
        bytes += 64;
        count -= 64;
    }
    a = fold(a, by128, b);
    a = fold(a, by128, c);
    a = fold(a, by128, d);
    while (count >= 16) {
        a = fold(a, by128, load(bytes));
        bytes += 16;
        count -= 16;
    }
    // From 128 bits to 64, and to 32.
    a = _mm_xor_si128(_mm_srli_si128(a, 8), _mm_clmulepi64_si128(a, by128, 0x10));
    a = _mm_xor_si128(_mm_srli_si128(a, 4), _mm_clmulepi64_si128(_mm_and_si128(a, low32), by64, 0x00));
    __m128i quotient = _mm_clmulepi64_si128(_mm_and_si128(a, low32), barrett, 0x10);
    __m128i product = _mm_clmulepi64_si128(_mm_and_si128(quotient, low32), barrett, 0x00);
    return (uint32_t)_mm_extract_epi32(_mm_xor_si128(a, product), 1);
}

#else

int roost_crc32_can_fold(void) { return 0; }

uint32_t roost_crc32_fold(uint32_t state, const void *bytes, size_t count) {
    (void)bytes;
    (void)count;
    return state;
}

#endif
