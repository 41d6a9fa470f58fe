// What is done to many bytes at once, and what the formats, which import no C library, cannot say in Swift: comparing
// them, and the CRC-32 of IEEE 802.3 by the processor's carry-less multiplication.
#ifndef CROOSTBYTES_H
#define CROOSTBYTES_H

#include <stddef.h>
#include <stdint.h>

/// Whether this processor can do ``roost_crc32_fold``; always the same answer.
int roost_crc32_can_fold(void);

/// Adds bytes to the state of a CRC-32, which is the checksum without its final xor.
///
/// `count` is a multiple of 16 and at least 64; the bytes need no alignment. Undefined where it cannot be done.
uint32_t roost_crc32_fold(uint32_t state, const void *bytes, size_t count);

/// Whether two areas of `count` bytes are the same.
int roost_same_bytes(const void *one, const void *other, size_t count);

#endif
