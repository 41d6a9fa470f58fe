#define _GNU_SOURCE
#include "CRoostLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

enum { DESCRIPTOR_MAX = 256 };

struct failure {
    int error;
    int step;
};

static const char *const steps[] = {
    "fork", "setsid", "chdir", "dup2", "setgroups", "setgid", "setuid", "execve",
};
enum { STEP_FORK, STEP_SETSID, STEP_CHDIR, STEP_DUP2, STEP_SETGROUPS, STEP_SETGID, STEP_SETUID, STEP_EXECVE };

static void fail(int report, int step) {
    struct failure failure = {errno, step};
    ssize_t ignored = write(report, &failure, sizeof failure);
    (void)ignored;
    _exit(127);
}

static void reset_signals(void) {
    for (int number = 1; number < NSIG; number++) {
        if (number != SIGKILL && number != SIGSTOP) signal(number, SIG_DFL);
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

// Sees to it that no descriptor from `first` on survives execve.
static void mark_close_on_exec(int first) {
    if (syscall(SYS_close_range, (unsigned)first, ~0U, CLOSE_RANGE_CLOEXEC) == 0) return;
    // Linux before 5.11 does not know the flag.
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return;
    for (int fd = first; (rlim_t)fd < limit.rlim_cur; fd++) fcntl(fd, F_SETFD, FD_CLOEXEC);
}

// Only async-signal-safe calls: other threads of the parent may have held locks at the fork.
static void child(const struct roost_spawn_request *request, int report) {
    reset_signals();
    if (setsid() < 0) fail(report, STEP_SETSID);
    if (request->directory && chdir(request->directory) < 0) fail(report, STEP_CHDIR);
    // First out of the way of the numbers that are wanted, then into place.
    int moved[DESCRIPTOR_MAX];
    int floor = (int)request->descriptor_count + 1;
    report = fcntl(report, F_DUPFD_CLOEXEC, floor);
    if (report < 0) _exit(127);
    for (size_t i = 0; i < request->descriptor_count; i++) {
        moved[i] = fcntl(request->descriptors[i], F_DUPFD_CLOEXEC, floor);
        if (moved[i] < 0) fail(report, STEP_DUP2);
    }
    for (size_t i = 0; i < request->descriptor_count; i++) {
        if (dup2(moved[i], (int)i) < 0) fail(report, STEP_DUP2);
    }
    mark_close_on_exec((int)request->descriptor_count);
    if (request->drop_privileges) {
        if (setgroups(request->group_count, request->groups) < 0) fail(report, STEP_SETGROUPS);
        if (setresgid(request->gid, request->gid, request->gid) < 0) fail(report, STEP_SETGID);
        if (setresuid(request->uid, request->uid, request->uid) < 0) fail(report, STEP_SETUID);
    }
    umask(0077);
    execve(request->path, request->argv, request->envp);
    fail(report, STEP_EXECVE);
}

int roost_spawn(const struct roost_spawn_request *request, pid_t *pid, int *pidfd, const char **step) {
    *step = steps[STEP_FORK];
    if (request->descriptor_count > DESCRIPTOR_MAX) return -EMFILE;
    int report[2];
    if (pipe2(report, O_CLOEXEC) < 0) return -errno;
    // Signals stay blocked until the child has default handlers, so that none of ours runs in it.
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pid_t child_pid = fork();
    if (child_pid == 0) {
        close(report[0]);
        child(request, report[1]);
    }
    int fork_error = errno;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    close(report[1]);
    if (child_pid < 0) {
        close(report[0]);
        return -fork_error;
    }
    struct failure failure;
    ssize_t count;
    do {
        count = read(report[0], &failure, sizeof failure);
    } while (count < 0 && errno == EINTR);
    close(report[0]);
    if (count == sizeof failure) {
        while (waitpid(child_pid, NULL, 0) < 0 && errno == EINTR) {}
        *step = steps[failure.step];
        return -failure.error;
    }
    int fd = roost_pidfd_open(child_pid);
    if (fd < 0) {
        *step = "pidfd_open";
        kill(child_pid, SIGKILL);
        while (waitpid(child_pid, NULL, 0) < 0 && errno == EINTR) {}
        return fd;
    }
    *pid = child_pid;
    *pidfd = fd;
    return 0;
}

int roost_pidfd_open(pid_t pid) {
    long fd = syscall(SYS_pidfd_open, pid, 0);
    return fd < 0 ? -errno : (int)fd;
}

int roost_pidfd_signal(int pidfd, int number) {
    return syscall(SYS_pidfd_send_signal, pidfd, number, NULL, 0) < 0 ? -errno : 0;
}

int roost_pidfd_reap(int pidfd, int *code, int *status) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    if (waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG) < 0) return -errno;
    if (info.si_pid == 0) return 0;
    *code = info.si_code;
    *status = info.si_status;
    return 1;
}

int roost_access_as(const char *path, int mode, uid_t uid, gid_t gid, const gid_t *groups, size_t group_count) {
    pid_t pid = fork();
    if (pid < 0) return -errno;
    if (pid == 0) {
        if (setgroups(group_count, groups) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0
            || faccessat(AT_FDCWD, path, mode, AT_EACCESS) < 0) {
            _exit(errno & 0xFF);
        }
        _exit(0);
    }
    int status;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) return -errno;
    }
    return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

mode_t roost_umask(mode_t mask) { return umask(mask); }

int roost_pipe(int descriptors[2]) { return pipe2(descriptors, O_CLOEXEC) < 0 ? -errno : 0; }
