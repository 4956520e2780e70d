/*
 * proc.c - starting children; see proc.h.
 *
 * What runs in the child between clone and exec makes raw system calls only. The C library's
 * wrappers would do more than is good in a process that shares its parent's memory: those of
 * setuid tell all threads of the parent, those of sanitizers note things in tables that are the
 * parent's.
 */
#include "proc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sched.h>

#define CHILD_STACK ((size_t)32 * 1024)
#define KERNEL_SIGSET ((_NSIG - 1) / 8) /* bytes of the system's own signal set */

#if defined(__clang__) || defined(__GNUC__)
#define IN_CHILD __attribute__((no_sanitize("address", "undefined", "thread")))
#else
#define IN_CHILD
#endif

#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x1000
#endif
#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC 4
#endif

/* ThreadSanitizer has a clone of its own, which takes the child for a fork with its own memory and
   leaves the parent's thread unwatched. */
#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif
#ifdef UNDER_TSAN
int __clone(int (*fn)(void *), void *stack, int flags, void *arg, ...);
#define clone __clone
#endif

/* Under valgrind clone never shares the memory. */
#ifdef CURIO_CLONE_COPIES
enum { CLONE_COPIES = true };
#else
enum { CLONE_COPIES = false };
#endif

struct report {
    volatile int err; /* positive errno; 0: the program runs */
    volatile int step;
};

struct birth {
    const struct proc_order *order;
    struct report *report;
};

static atomic_bool pretend_old;

void proc_pretend_old(bool old) {
    atomic_store(&pretend_old, old);
}

/* ---- in the child ---- */

IN_CHILD static int fail(struct report *report, enum proc_step step) {
    report->step = (int)step;
    report->err = errno;
    return -1;
}

/* A handler would run in the parent's memory. What was ignored before we came stays so, but for
   SIGPIPE, which interpreters ignore for themselves. */
IN_CHILD static bool keeps(const struct proc_order *o, int signo, uintptr_t handler) {
    if (handler == (uintptr_t)SIG_DFL)
        return true;
    bool ours = signo == SIGPIPE || (signo < 128 && o->heed[signo / 64] >> signo % 64 & 1);
    return handler == (uintptr_t)SIG_IGN && !ours;
}

IN_CHILD static void reset_handlers(const struct proc_order *o) {
    uintptr_t now[16], reset[16] = {0}; /* more than a struct sigaction of any system */
    for (int signo = 1; signo < _NSIG; signo++) {
        now[0] = 0;
        if (syscall(SYS_rt_sigaction, signo, NULL, now, KERNEL_SIGSET) < 0)
            continue;
        if (!keeps(o, signo, now[0]))
            syscall(SYS_rt_sigaction, signo, reset, NULL, KERNEL_SIGSET);
    }
}

IN_CHILD static void unblock_signals(void) {
    uintptr_t none[16] = {0};
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, none, NULL, KERNEL_SIGSET);
}

/* One of ours may be non-blocking, which programs do not expect of what they begin with. */
IN_CHILD static int make_blocking(int fd) {
    long flags = syscall(SYS_fcntl, fd, F_GETFL);
    if (flags < 0)
        return -1;
    return flags & O_NONBLOCK ? (int)syscall(SYS_fcntl, fd, F_SETFL, flags & ~O_NONBLOCK) : 0;
}

/* In any permutation: what stands in the way of others is moved first. */
IN_CHILD static int place_stdio(const int stdio[3]) {
    int from[3];
    for (int i = 0; i < 3; i++) {
        from[i] = stdio[i];
        if (from[i] >= 0 && from[i] < 3 && from[i] != i)
            from[i] = (int)syscall(SYS_fcntl, from[i], F_DUPFD_CLOEXEC, 3);
        if (stdio[i] >= 0 && from[i] < 0)
            return -1;
    }
    for (int i = 0; i < 3; i++) {
        if (from[i] < 0)
            continue;
        if (syscall(from[i] == i ? SYS_fcntl : SYS_dup3, from[i], from[i] == i ? F_SETFD : i, 0) <
            0)
            return -1;
        if (make_blocking(i) < 0)
            return -1;
    }
    return 0;
}

struct dirent64 {
    uint64_t inode;
    int64_t offset;
    unsigned short length;
    unsigned char type;
    char name[];
};

IN_CHILD static int number_of(const char *name) {
    int n = 0;
    for (; *name >= '0' && *name <= '9'; name++)
        n = n * 10 + (*name - '0');
    return *name ? -1 : n;
}

/* For systems without close_range: each descriptor from first to last that is open. */
IN_CHILD static void seal_listed(int first, int last) {
    char buf[1024] __attribute__((aligned(8)));
    int dir = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY);
    if (dir < 0) {
        for (int fd = first; fd <= last && fd < 65536; fd++)
            syscall(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC);
        return;
    }
    long n;
    while ((n = syscall(SYS_getdents64, dir, buf, sizeof buf)) > 0) {
        for (long at = 0; at < n;) {
            const struct dirent64 *entry = (const struct dirent64 *)(buf + at);
            int fd = number_of(entry->name);
            if (fd >= first && fd <= last)
                syscall(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC);
            at += entry->length;
        }
    }
    syscall(SYS_close, dir);
}

IN_CHILD static void seal(int first, int last) {
    if (first > last)
        return;
#ifdef SYS_close_range
    if (!atomic_load(&pretend_old) && !syscall(SYS_close_range, first, last, CLOSE_RANGE_CLOEXEC))
        return;
#endif
    seal_listed(first, last);
}

/* All from 3 on end with exec, but those to be passed. */
IN_CHILD static int place_others(const int *pass, size_t n) {
    int next = 3;
    for (size_t i = 0; i < n; i++) {
        seal(next, pass[i] - 1);
        if (syscall(SYS_fcntl, pass[i], F_SETFD, 0) < 0)
            return -1;
        next = pass[i] + 1;
    }
    seal(next, INT32_MAX);
    return 0;
}

#ifdef SYS_setresuid32 /* where the plain calls have 16 bits */
enum { SET_GROUPS = SYS_setgroups32, SET_GID = SYS_setresgid32, SET_UID = SYS_setresuid32 };
#else
enum { SET_GROUPS = SYS_setgroups, SET_GID = SYS_setresgid, SET_UID = SYS_setresuid };
#endif

IN_CHILD static int become(const struct proc_order *o, struct report *report) {
    if (o->ngroups >= 0 && syscall(SET_GROUPS, o->ngroups, o->groups) < 0)
        return fail(report, PROC_GROUP);
    if (o->set_gid && syscall(SET_GID, o->gid, o->gid, o->gid) < 0)
        return fail(report, PROC_GROUP);
    if (o->set_uid && syscall(SET_UID, o->uid, o->uid, o->uid) < 0)
        return fail(report, PROC_USER);
    return 0;
}

IN_CHILD static int prepare(const struct proc_order *o, struct report *report) {
    if (o->session && syscall(SYS_setsid) < 0)
        return fail(report, PROC_SESSION);
    if (place_stdio(o->stdio) < 0)
        return fail(report, PROC_STDIO);
    if (place_others(o->pass_fds, o->npass) < 0)
        return fail(report, PROC_PASS);
    if (o->terminal >= 0 && syscall(SYS_ioctl, o->terminal, TIOCSCTTY, 0) < 0)
        return fail(report, PROC_TERMINAL);
    if (o->umask >= 0)
        syscall(SYS_umask, o->umask);
    for (size_t i = 0; i < o->nlimits; i++)
        if (setrlimit((__rlimit_resource_t)o->limits[i].resource, &o->limits[i].limit) < 0)
            return fail(report, PROC_LIMIT);
    if (become(o, report) < 0)
        return -1;
    if (o->cwd && syscall(SYS_chdir, o->cwd) < 0)
        return fail(report, PROC_CWD);
    return 0;
}

/* Of several places where the program might be, one that may not be run counts more than those
   where there is nothing. */
IN_CHILD static void run_program(const struct proc_order *o, struct report *report) {
    int err = ENOENT;
    for (char *const *file = o->files; *file; file++) {
        syscall(SYS_execve, *file, o->argv, o->envp);
        if (errno == EACCES)
            err = EACCES;
        else if (errno != ENOENT && errno != ENOTDIR) {
            err = errno;
            break;
        } else if (err != EACCES)
            err = errno;
    }
    errno = err;
    fail(report, PROC_EXEC);
}

IN_CHILD static int child_main(void *arg) {
    const struct birth *birth = arg;
    reset_handlers(birth->order);
    if (prepare(birth->order, birth->report) == 0) {
        unblock_signals();
        run_program(birth->order, birth->report);
    }
    syscall(SYS_exit_group, 127);
    return 127;
}

/* ---- in the parent ---- */

/* With what another user may change the child must not share the memory of its parent: the system
   would mark that as not to be looked into, and a process of that user could reach it. */
static bool changes_user(const struct proc_order *o) {
    return o->set_uid || o->set_gid || o->ngroups >= 0;
}

static int clone_child(struct birth *birth, bool share, struct proc *child) {
    char stack[CHILD_STACK] __attribute__((aligned(16)));
    uintptr_t all[16], old[16];
    int flags = CLONE_VFORK | CLONE_PIDFD | SIGCHLD | (share ? CLONE_VM : 0);
    child->pidfd = -1;
    memset(all, 0xff, sizeof all);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, all, old, KERNEL_SIGSET);
    int pid = clone(child_main, stack + sizeof stack, flags, birth, &child->pidfd, NULL, NULL);
    int err = pid < 0 ? -errno : 0;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, old, NULL, KERNEL_SIGSET);
    child->pid = pid;
    return err;
}

static void reap_failed(struct proc *child) {
    while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    if (child->pidfd >= 0)
        close(child->pidfd);
    child->pidfd = -1;
}

/* Children of a process that ignores SIGCHLD leave no status. Its default does nothing either, and
   they do. */
static void want_status(void) {
    struct sigaction sa;
    if (sigaction(SIGCHLD, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN)
        signal(SIGCHLD, SIG_DFL);
}

static void drop_pidfd(struct proc *child) {
    if (child->pidfd >= 0 && atomic_load(&pretend_old)) {
        close(child->pidfd);
        child->pidfd = -1;
    }
}

int proc_start(const struct proc_order *order, struct proc *child, enum proc_step *failed) {
    struct report here = {0, 0}, *report = &here;
    bool share = !CLONE_COPIES && !changes_user(order);
    *failed = PROC_FORK;
    if (!share)
        report = mmap(NULL, sizeof here, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (report == MAP_FAILED)
        return -errno;
    want_status();
    struct birth birth = {order, report};
    int err = clone_child(&birth, share, child);
    if (!err && report->err) {
        err = -report->err;
        *failed = (enum proc_step)report->step;
        reap_failed(child);
    }
    if (!share)
        munmap(report, sizeof here);
    if (!err)
        drop_pidfd(child);
    return err;
}

/* ---- afterwards ---- */

int proc_reap(const struct proc *child, int *status) {
    siginfo_t info;
    int done;
    info.si_pid = 0;
    do
        done = child->pidfd >= 0
                   ? waitid((idtype_t)P_PIDFD, (id_t)child->pidfd, &info, WEXITED | WNOHANG)
                   : waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG);
    while (done < 0 && errno == EINTR);
    if (done < 0)
        return -errno;
    if (!info.si_pid)
        return 0;
    *status = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
    return 1;
}

/* By its number: a child that nobody has waited for keeps it. Where a filter of system calls knows
   the call no more than valgrind does, there is no other way. */
int proc_signal(const struct proc *child, int signo, bool group) {
    int done = -1;
    errno = ENOSYS;
    if (!group && child->pidfd >= 0)
        done = (int)syscall(SYS_pidfd_send_signal, child->pidfd, signo, NULL, 0);
    if (done < 0 && errno == ENOSYS)
        done = kill(group ? -child->pid : child->pid, signo);
    return done < 0 ? -errno : 0;
}

/* ---- the program's file ---- */

static size_t count_places(const char *path) {
    size_t n = 1;
    for (; *path; path++)
        n += *path == ':';
    return n;
}

char **proc_files(const char *program, const char *path) {
    bool plain = !strchr(program, '/') && *program;
    if (!plain)
        path = "";
    else if (!path)
        path = "/bin:/usr/bin";
    size_t n = count_places(path), size = strlen(program) + 2;
    char **files = malloc((n + 1) * sizeof *files + strlen(path) + n * size);
    if (!files)
        return NULL;
    char *at = (char *)(files + n + 1);
    for (size_t i = 0; i < n; i++) {
        size_t len = strcspn(path, ":");
        files[i] = at;
        memcpy(at, path, len);
        at += len;
        if (len)
            *at++ = '/';
        memcpy(at, program, size - 1);
        at += size - 1;
        path += len + (path[len] == ':');
    }
    files[n] = NULL;
    return files;
}

/* ---- terminals ---- */

int proc_terminal(int *master, int *slave) {
    char name[64];
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    *slave = -1;
    *master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (*master < 0)
        return -errno;
    int failed =
        grantpt(*master) < 0 || unlockpt(*master) < 0 || ptsname_r(*master, name, sizeof name) != 0;
    if (!failed)
        *slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (*slave < 0) {
        int err = -errno;
        close(*master);
        *master = -1;
        return err;
    }
    ioctl(*slave, TIOCSWINSZ, &size);
    return 0;
}
