// What is done to many bytes at once, and what the formats, which import no C library, cannot say in Swift: comparing
// them, and the CRC-32 of IEEE 802.3. The state of a CRC-32 is the checksum without its final xor.
#ifndef CROOSTBYTES_H
#define CROOSTBYTES_H

#include <stddef.h>
#include <stdint.h>

/// Adds bytes to the state of a CRC-32, in the way that is the fastest here.
uint32_t roost_crc32(uint32_t state, const void *bytes, size_t count);

/// Adds bytes to the state of a CRC-32 as if the four at `field`, which lie within them, were zero.
uint32_t roost_crc32_zeroing(uint32_t state, const void *bytes, size_t count, size_t field);

/// The same as ``roost_crc32`` by tables, eight bytes at a time.
uint32_t roost_crc32_by_table(uint32_t state, const void *bytes, size_t count);

/// Whether this processor can do ``roost_crc32_fold``; always the same answer.
int roost_crc32_can_fold(void);

/// The same as ``roost_crc32`` by the processor's carry-less multiplication.
///
/// `count` is a multiple of 16 and not 0; the bytes need no alignment. Undefined where it cannot be done.
uint32_t roost_crc32_fold(uint32_t state, const void *bytes, size_t count);

/// Whether two areas of `count` bytes are the same.
int roost_same_bytes(const void *one, const void *other, size_t count);

#endif
