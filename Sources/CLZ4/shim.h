// LZ4 of Debian's liblz4-dev: compression that costs less time than a disk.
#include <lz4.h>
