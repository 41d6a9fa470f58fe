#include "CRoostLinux.h"

#include <errno.h>
#include <sys/epoll.h>

int roost_epoll_make(void) {
    int result = epoll_create1(EPOLL_CLOEXEC);
    return result < 0 ? -errno : result;
}

int roost_epoll_add(int epoll, int descriptor) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = descriptor};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0 ? 0 : -errno;
}

int roost_epoll_remove(int epoll, int descriptor) {
    struct epoll_event event = {0};
    return epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, &event) == 0 ? 0 : -errno;
}

int roost_epoll_wait(int epoll, int *descriptors, int count) {
    struct epoll_event events[64];
    int found = epoll_wait(epoll, events, count < 64 ? count : 64, -1);
    if (found < 0) return -errno;
    for (int index = 0; index < found; index++) descriptors[index] = events[index].data.fd;
    return found;
}
