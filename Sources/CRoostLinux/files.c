#define _GNU_SOURCE
#include "CRoostLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int roost_rename_new(const char *path, const char *target) {
    if (renameat2(AT_FDCWD, path, AT_FDCWD, target, RENAME_NOREPLACE) == 0) return 0;
    if (errno != EINVAL && errno != ENOSYS) return -errno;
    // Some file systems cannot do that; a second name is refused just as reliably when it exists.
    if (link(path, target) < 0) return -errno;
    unlink(path);
    return 0;
}

void roost_start_writing(int descriptor) {
    int ignored = sync_file_range(descriptor, 0, 0, SYNC_FILE_RANGE_WRITE);
    (void)ignored;
}

int roost_file_size(int descriptor, uint64_t *size) {
    struct statx status;
    if (statx(descriptor, "", AT_EMPTY_PATH, STATX_TYPE | STATX_SIZE, &status) != 0) return -errno;
    if (!S_ISREG(status.stx_mode)) return -EINVAL;
    *size = status.stx_size;
    return 0;
}
