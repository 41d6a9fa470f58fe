#include "CRoostLinux.h"

#include <malloc.h>

void roost_limit_arenas(int count) {
#ifdef M_ARENA_MAX
    mallopt(M_ARENA_MAX, count);
#else
    (void)count;
#endif
}
