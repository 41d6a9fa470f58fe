#include "CRoostBytes.h"

#include <string.h>

int roost_same_bytes(const void *one, const void *other, size_t count) { return memcmp(one, other, count) == 0; }
