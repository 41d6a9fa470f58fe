#define _GNU_SOURCE
#include "CRoostLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

int roost_tap_open(const char *pattern, char *name) {
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (fd < 0) return -errno;
    struct ifreq request;
    memset(&request, 0, sizeof request);
    request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    strncpy(request.ifr_name, pattern, IFNAMSIZ - 1);
    if (ioctl(fd, TUNSETIFF, &request) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    memcpy(name, request.ifr_name, IFNAMSIZ);
    return fd;
}

int roost_bridge_attach(const char *bridge, const char *interface) {
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    int result = 0;
    struct ifreq request;
    memset(&request, 0, sizeof request);
    request.ifr_ifindex = (int)if_nametoindex(interface);
    strncpy(request.ifr_name, bridge, IFNAMSIZ - 1);
    if (request.ifr_ifindex == 0 || ioctl(fd, SIOCBRADDIF, &request) < 0) {
        result = -errno;
    } else {
        memset(&request, 0, sizeof request);
        strncpy(request.ifr_name, interface, IFNAMSIZ - 1);
        if (ioctl(fd, SIOCGIFFLAGS, &request) < 0) {
            result = -errno;
        } else {
            request.ifr_flags |= IFF_UP;
            if (ioctl(fd, SIOCSIFFLAGS, &request) < 0) result = -errno;
        }
    }
    close(fd);
    return result;
}
