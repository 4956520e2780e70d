/*
 * proc.h - child processes: started, signalled, reaped one by one.
 *
 * A child is started by clone(CLONE_VM | CLONE_VFORK): nothing of the parent's memory is copied,
 * whatever its size, and the parent goes on when the child has called exec. Until then the child
 * runs on the parent's memory, so it makes system calls only, and all signals are blocked. What it
 * fails at it writes into that memory. Each child has a pidfd where the system has them: a
 * descriptor that becomes readable when it ends, and that never means another process.
 *
 * Other children of this process, which libraries may have, are never reaped.
 */
#ifndef CURIO_PROC_H
#define CURIO_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

/* What a start may fail at. */
enum proc_step {
    PROC_FORK,
    PROC_SESSION,
    PROC_STDIO,
    PROC_PASS,
    PROC_TERMINAL,
    PROC_LIMIT,
    PROC_GROUP,
    PROC_USER,
    PROC_CWD,
    PROC_EXEC
};

struct proc_limit {
    int resource;
    struct rlimit limit;
};

/* All pointers are the caller's, for the duration of proc_start. */
struct proc_order {
    char *const *files;  /* where the program may be, tried in turn; ended by NULL */
    char *const *argv;   /* ended by NULL */
    char *const *envp;   /* ended by NULL */
    const char *cwd;     /* NULL: the parent's */
    int stdio[3];        /* the parent's descriptors for 0, 1 and 2; -1: as the parent has it */
    const int *pass_fds; /* further ones, under the same numbers; each >= 3, ascending */
    size_t npass;
    const struct proc_limit *limits;
    size_t nlimits;
    int umask;        /* -1: the parent's */
    bool session;     /* as leader of a new session, and so of a new process group */
    int terminal;     /* which of 0, 1, 2 becomes its controlling terminal; -1: none */
    uint64_t heed[2]; /* signals, as bits, that are ignored by us but not to be by the child */
    bool set_uid, set_gid;
    uid_t uid;
    gid_t gid;
    const gid_t *groups; /* supplementary ones */
    int ngroups;         /* -1: the parent's */
};

struct proc {
    pid_t pid;
    int pidfd; /* the caller's to close; -1: the system has none */
};

/* 0, or a negative errno, and what failed. Blocks until the child has called exec. */
int proc_start(const struct proc_order *order, struct proc *child, enum proc_step *failed);

/* 1: it has ended and is reaped; *status is its exit status, or minus the signal that ended it.
   0: it still runs. -ECHILD: somebody else has reaped it. */
int proc_reap(const struct proc *child, int *status);

/* To the child, or to the group that it leads. 0 or a negative errno. Only while unreaped. */
int proc_signal(const struct proc *child, int signo, bool group);

/* The files that a program may be, by the search path, as one block to be freed; NULL: no memory.
   path may be NULL. */
char **proc_files(const char *program, const char *path);

/* A new pseudo-terminal, both descriptors close-on-exec. 0 or a negative errno. */
int proc_terminal(int *master, int *slave);

/* For tests: do without pidfds and close_range, as on older systems. */
void proc_pretend_old(bool old);

/* Nobody will ask for the status of that child any more: it is reaped when it ends, by a thread
   that lives as long as there are such children. Takes the pidfd. */
void proc_disown(const struct proc *child);

#endif
