#include "CRoostBytes.h"

#include <string.h>

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

    __m128i a = _mm_xor_si128(load(bytes), _mm_cvtsi32_si128((int)state));
    if (count < 128) {
        bytes += 16;
        count -= 16;
    } else {
        // Four remainders at once, since one multiplication waits for the last one of its own only.
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
    }
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

// Table k moves a byte through k further zero bytes.
static uint32_t tables[8][256];

__attribute__((constructor)) static void fill_tables(void) {
    for (uint32_t index = 0; index < 256; index++) {
        uint32_t word = index;
        for (int bit = 0; bit < 8; bit++) word = word & 1 ? 0xEDB88320u ^ word >> 1 : word >> 1;
        tables[0][index] = word;
    }
    for (int level = 1; level < 8; level++) {
        for (int index = 0; index < 256; index++) {
            uint32_t word = tables[level - 1][index];
            tables[level][index] = tables[0][word & 0xFF] ^ word >> 8;
        }
    }
}

static inline uint32_t load32(const uint8_t *bytes) {
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

uint32_t roost_crc32_by_table(uint32_t state, const void *start, size_t count) {
    const uint8_t *bytes = start;
    for (; count >= 8; bytes += 8, count -= 8) {
        uint32_t one = load32(bytes) ^ state, two = load32(bytes + 4);
        state = tables[7][one & 0xFF] ^ tables[6][one >> 8 & 0xFF] ^ tables[5][one >> 16 & 0xFF] ^ tables[4][one >> 24]
            ^ tables[3][two & 0xFF] ^ tables[2][two >> 8 & 0xFF] ^ tables[1][two >> 16 & 0xFF] ^ tables[0][two >> 24];
    }
    for (; count > 0; bytes++, count--) state = tables[0][(state ^ *bytes) & 0xFF] ^ state >> 8;
    return state;
}

uint32_t roost_crc32(uint32_t state, const void *start, size_t count) {
    const uint8_t *bytes = start;
    if (count >= 32 && roost_crc32_can_fold()) {
        size_t most = count & ~(size_t)15;
        state = roost_crc32_fold(state, bytes, most);
        bytes += most;
        count -= most;
    }
    return roost_crc32_by_table(state, bytes, count);
}

/// Adds zero bytes to the state.
static uint32_t zeros(uint32_t state, size_t count) {
    for (; count >= 4; count -= 4) {
        state = tables[3][state & 0xFF] ^ tables[2][state >> 8 & 0xFF] ^ tables[1][state >> 16 & 0xFF]
            ^ tables[0][state >> 24];
    }
    for (; count > 0; count--) state = tables[0][state & 0xFF] ^ state >> 8;
    return state;
}

uint32_t roost_crc32_zeroing(uint32_t state, const void *start, size_t count, size_t field) {
    const uint8_t *bytes = start;
    uint8_t copy[256];
    if (count <= sizeof copy) {
        // Most structures are short, and in one piece they go faster.
        memcpy(copy, bytes, count);
        memset(copy + field, 0, 4);
        return roost_crc32(state, copy, count);
    }
    state = zeros(roost_crc32(state, bytes, field), 4);
    return roost_crc32(state, bytes + field + 4, count - field - 4);
}
