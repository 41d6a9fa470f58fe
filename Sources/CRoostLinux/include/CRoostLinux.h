// Linux calls that Swift cannot make itself: fork with privilege drop, pidfds, tap devices, some of files.
// Every function that can fail returns a negative errno value; none allocates memory that the caller must free.
#ifndef CROOSTLINUX_H
#define CROOSTLINUX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// What a new process is to be. All pointers are borrowed for the duration of the call.
struct roost_spawn_request {
    const char *path;              ///< absolute path of the program
    char *const *argv;             ///< NULL-terminated
    char *const *envp;             ///< NULL-terminated
    const char *directory;         ///< working directory, entered before privileges are dropped
    const int *descriptors;        ///< descriptors to pass on; descriptors[i] becomes descriptor i
    size_t descriptor_count;       ///< at most 256
    int drop_privileges;           ///< whether to change to the ids below
    uid_t uid;
    gid_t gid;
    const gid_t *groups;
    size_t group_count;
};

/// Starts a process in a session of its own with default signal handling and no other descriptors.
///
/// On success stores the process id and a pidfd (close-on-exec) and returns 0. On failure no process is left; `step`
/// names the call that failed.
int roost_spawn(const struct roost_spawn_request *request, pid_t *pid, int *pidfd, const char **step);

/// Opens a pidfd (close-on-exec) for a process; returns it or -errno.
int roost_pidfd_open(pid_t pid);

/// Sends a signal through a pidfd; returns 0 or -errno.
int roost_pidfd_signal(int pidfd, int signal);

/// Reaps a child through its pidfd without blocking.
///
/// Returns 1 when it has ended (`code` is CLD_EXITED, CLD_KILLED or CLD_DUMPED, `status` the exit code or signal), 0 when
/// it runs, -ECHILD when the process is not a child of the caller.
int roost_pidfd_reap(int pidfd, int *code, int *status);

/// Whether a user could use a path, asked of the kernel by a short-lived child with that user's ids.
///
/// `mode` is R_OK | W_OK | X_OK. Returns 0 when it could, -errno when not.
int roost_access_as(const char *path, int mode, uid_t uid, gid_t gid, const gid_t *groups, size_t group_count);

/// Opens a new tap device whose name is a pattern such as "rt%d"; stores the chosen name (at least 16 bytes).
///
/// The device lives as long as a descriptor is open. Returns the descriptor (close-on-exec) or -errno.
int roost_tap_open(const char *pattern, char *name);

/// Makes an interface a port of a bridge and brings it up; returns 0 or -errno.
int roost_bridge_attach(const char *bridge, const char *interface);

/// Makes a pipe whose two descriptors are close-on-exec; returns 0 or -errno.
int roost_pipe(int descriptors[2]);

/// Sets the caller's file mode creation mask; returns the old one.
mode_t roost_umask(mode_t mask);

/// Renames a file to a name that must be new; returns 0, -EEXIST when it is not, or another -errno.
int roost_rename_new(const char *path, const char *target);

/// Begins to write a file's changed pages to the device, without waiting and without promising anything.
void roost_start_writing(int descriptor);

/// Stores a regular file's size in bytes; returns 0, -EINVAL for anything else, or another -errno.
///
/// Asks for the size alone. Whoever asks for the times makes the kernel (from Linux 6.13 on) take the next write's to the
/// nanosecond, and with it change the inode, which a sync then has to write too.
int roost_file_size(int descriptor, uint64_t *size);

/// Limits the number of areas from which the C library's allocator serves its threads.
void roost_limit_arenas(int count);

/// Makes a descriptor that waits for others (epoll(7)); a negative errno on failure, here and below.
int roost_epoll_make(void);

/// Waits for a descriptor to be readable from now on.
int roost_epoll_add(int epoll, int descriptor);

/// Lets go of a descriptor, before it is closed.
int roost_epoll_remove(int epoll, int descriptor);

/// Waits until some can be read, and gives up to `count` of them, at most 64; returns how many.
int roost_epoll_wait(int epoll, int *descriptors, int count);

#endif
