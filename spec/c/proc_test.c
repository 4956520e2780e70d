/*
 * proc_test: children started, reaped and signalled; their descriptors in every permutation; errors
 * with the right step; nothing left behind.
 */
#include "check.h"
#include "proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* One at a time. */
static struct proc_order order_of(char **argv) {
    static char *files[2];
    files[0] = argv[0];
    return (struct proc_order){
        .files = files,
        .argv = argv,
        .envp = environ,
        .stdio = {-1, -1, -1},
        .umask = -1,
        .terminal = -1,
        .ngroups = -1,
    };
}

static int open_fds(void) {
    int n = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n;
}

/* Its status, once it has ended. */
static int status_of(struct proc *child) {
    int status = -1000, got;
    while ((got = proc_reap(child, &status)) == 0) {
        struct pollfd fd = {.fd = child->pidfd, .events = POLLIN};
        poll(&fd, child->pidfd >= 0, child->pidfd >= 0 ? 10000 : 1);
    }
    if (child->pidfd >= 0)
        close(child->pidfd);
    return got < 0 ? got : status;
}

static int run(const struct proc_order *order) {
    struct proc child;
    enum proc_step step;
    int err = proc_start(order, &child, &step);
    return err ? err : status_of(&child);
}

static int run_shell(const char *script) {
    char *argv[] = {"/bin/sh", "-c", (char *)script, NULL};
    struct proc_order order = order_of(argv);
    return run(&order);
}

static void test_status(void) {
    char *argv[] = {"/bin/sleep", "100", NULL};
    struct proc child;
    enum proc_step step;
    int status;
    CHECK("an exit status", run_shell("exit 7") == 7);
    CHECK("a signal is negative", run_shell("kill -TERM $$") == -SIGTERM);
    struct proc_order order = order_of(argv);
    CHECK("it starts", proc_start(&order, &child, &step) == 0);
    CHECK("it still runs", proc_reap(&child, &status) == 0);
    CHECK("it can be killed", proc_signal(&child, SIGKILL, false) == 0);
    CHECK("and tells so", status_of(&child) == -SIGKILL);
}

static void test_without_pidfd(void) {
    char *argv[] = {"/bin/sleep", "100", NULL};
    struct proc_order order = order_of(argv);
    struct proc child;
    enum proc_step step;
    proc_pretend_old(true);
    CHECK("it starts", proc_start(&order, &child, &step) == 0 && child.pidfd < 0);
    CHECK("it can be killed", proc_signal(&child, SIGKILL, false) == 0);
    CHECK("and tells so", status_of(&child) == -SIGKILL);
    proc_pretend_old(false);
}

static int fails(struct proc_order order, enum proc_step *step) {
    struct proc child = {0, -2};
    int err = proc_start(&order, &child, step);
    return child.pidfd >= 0 ? 1 : err;
}

static void test_errors(void) {
    enum proc_step step;
    char *nothing[] = {"/no/such/program", NULL}, *plain[] = {"/etc/passwd", NULL};
    char *yes[] = {"/bin/true", NULL};
    struct proc_order order = order_of(nothing);
    CHECK("no program", fails(order, &step) == -ENOENT && step == PROC_EXEC);
    order = order_of(plain);
    CHECK("no permission", fails(order, &step) == -EACCES && step == PROC_EXEC);
    order = order_of(yes);
    order.cwd = "/no/such/place";
    CHECK("no directory", fails(order, &step) == -ENOENT && step == PROC_CWD);
    order = order_of(yes);
    order.stdio[1] = 999;
    CHECK("no descriptor", fails(order, &step) == -EBADF && step == PROC_STDIO);
    order = order_of(yes);
    order.pass_fds = (int[]){999};
    order.npass = 1;
    CHECK("none to pass", fails(order, &step) == -EBADF && step == PROC_PASS);
    order = order_of(yes);
    order.terminal = 0;
    order.stdio[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CHECK("no terminal", fails(order, &step) == -ENOTTY && step == PROC_TERMINAL);
    close(order.stdio[0]);
    order = order_of(yes);
    order.limits = &(struct proc_limit){RLIMIT_CORE, {2, 1}};
    order.nlimits = 1;
    CHECK("no such limit", fails(order, &step) == -EINVAL && step == PROC_LIMIT);
}

/* With `user` or `group` the report comes another way. */
static void test_users(void) {
    enum proc_step step;
    char *nothing[] = {"/no/such/program", NULL}, *id[] = {"/bin/sh", "-c", "exit $(id -u)", NULL};
    struct proc_order order = order_of(nothing);
    order.set_uid = true;
    order.uid = getuid();
    CHECK("no program", fails(order, &step) == -ENOENT && step == PROC_EXEC);
    order = order_of(id);
    order.set_uid = true;
    order.uid = 42;
    if (getuid() == 0)
        CHECK("another user", run(&order) == 42);
    else
        CHECK("not permitted", fails(order, &step) == -EPERM && step == PROC_USER);
    CHECK("the parent stays who it is", getuid() != 42);
}

/* Three files, whose names are their contents, as 0, 1 and 2 of the parent in any order; the child
   gets each of them where it wants it. Descriptors 0 to 2 of this process are put back. */
static int permute(const int stdio[3]) {
    char script[] = "test \"$(readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2 | tr '\\n' ,)\" "
                    "= $0,$1,$2,";
    char *argv[] = {"/bin/sh", "-c", script, NULL, NULL, NULL, NULL};
    static char *paths[] = {"/dev/null", "/dev/zero", "/dev/full"};
    int saved[3];
    for (int i = 0; i < 3; i++)
        saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
    for (int i = 0; i < 3; i++) {
        int fd = open(paths[i], O_RDWR | O_CLOEXEC);
        dup3(fd, i, O_CLOEXEC);
        close(fd);
    }
    struct proc_order order = order_of(argv);
    for (int i = 0; i < 3; i++) {
        order.stdio[i] = stdio[i];
        argv[3 + i] = paths[stdio[i]];
    }
    int status = run(&order);
    for (int i = 0; i < 3; i++) {
        dup2(saved[i], i);
        close(saved[i]);
    }
    return status;
}

static void test_permutations(void) {
    int bad = 0;
    for (int n = 0; n < 27; n++)
        bad += permute((int[]){n % 3, n / 3 % 3, n / 9}) != 0;
    CHECK("each of 27", bad == 0);
}

static void test_inheritance(void) {
    int leaked = open("/dev/null", O_RDONLY), passed = open("/dev/null", O_RDONLY | O_CLOEXEC);
    char script[128];
    snprintf(script, sizeof script, "test ! -e /proc/$$/fd/%d && test -e /proc/$$/fd/%d", leaked,
             passed);
    char *argv[] = {"/bin/sh", "-c", script, NULL};
    struct proc_order order = order_of(argv);
    order.pass_fds = &passed;
    order.npass = 1;
    CHECK("only what is passed", run(&order) == 0);
    proc_pretend_old(true);
    CHECK("on older systems too", run(&order) == 0);
    proc_pretend_old(false);
    CHECK("ours stay as they were", fcntl(leaked, F_GETFD) == 0);
    CHECK("and those passed too", fcntl(passed, F_GETFD) == FD_CLOEXEC);
    close(leaked);
    close(passed);
}

static void handler(int signo) {
    (void)signo;
}

/* Blocked, caught and ignored here: none of it there. */
static void test_signals(void) {
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, &old);
    signal(SIGUSR2, handler);
    signal(SIGPIPE, SIG_IGN);
    CHECK("not blocked", run_shell("kill -USR1 $$; exit 1") == -SIGUSR1);
    CHECK("not caught", run_shell("kill -USR2 $$; exit 1") == -SIGUSR2);
    CHECK("not ignored", run_shell("kill -PIPE $$; exit 1") == -SIGPIPE);
    signal(SIGUSR2, SIG_IGN);
    CHECK("ignored by the program's own wish", run_shell("kill -USR2 $$; exit 1") == 1);
    char *argv[] = {"/bin/sh", "-c", "kill -USR2 $$; exit 1", NULL};
    struct proc_order order = order_of(argv);
    order.heed[0] = UINT64_C(1) << SIGUSR2;
    CHECK("heeded where asked", run(&order) == -SIGUSR2);
    sigset_t now;
    pthread_sigmask(SIG_SETMASK, &old, &now);
    CHECK("our mask is as it was", sigismember(&now, SIGUSR1) && !sigismember(&now, SIGUSR2));
    signal(SIGUSR2, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
}

static void test_files(void) {
    char **files = proc_files("ls", "/a::/b/");
    CHECK("each place", !strcmp(files[0], "/a/ls") && !strcmp(files[1], "ls") &&
                            !strcmp(files[2], "/b//ls") && !files[3]);
    free(files);
    files = proc_files("./ls", "/a:/b");
    CHECK("a path is taken as it is", !strcmp(files[0], "./ls") && !files[1]);
    free(files);
    files = proc_files("ls", NULL);
    CHECK("a path by default", !strcmp(files[0], "/bin/ls"));
    free(files);
    files = proc_files("", "/a:/b");
    CHECK("no name", !*files[0] && !files[1]);
    free(files);
}

static void test_disowned(void) {
    char *argv[] = {"/bin/sleep", "0.05", NULL};
    struct proc_order order = order_of(argv);
    struct proc child;
    enum proc_step step;
    for (int i = 0; i < 20; i++) {
        proc_pretend_old(i % 2);
        if (proc_start(&order, &child, &step) == 0)
            proc_disown(&child);
    }
    proc_pretend_old(false);
    CHECK("all are reaped", WAIT_FOR(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD));
}

static void test_terminal(void) {
    int master, slave;
    CHECK("one can be had", proc_terminal(&master, &slave) == 0);
    char *argv[] = {"/bin/sh", "-c", "test -t 0 && : </dev/tty", NULL};
    struct proc_order order = order_of(argv);
    order.stdio[0] = slave;
    order.session = true;
    order.terminal = 0;
    CHECK("and controls the child", run(&order) == 0);
    close(master);
    close(slave);
}

int main(void) {
    int before = open_fds();
    test_status();
    test_without_pidfd();
    test_errors();
    test_users();
    test_permutations();
    test_inheritance();
    test_signals();
    test_files();
    test_terminal();
    test_disowned();
    CHECK("no descriptor is left", WAIT_FOR(open_fds() == before));
    CHECK("no child is left", waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
    return check_end();
}
