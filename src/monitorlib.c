/*
 * monitorlib.c - what lua/curio/monitor.lua needs of the C side: a private place for the socket,
 * the thread that takes commands, and what is seen of a task from outside only.
 */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "addr.h"
#include "clock.h"
#include "group.h"
#include "interrupt.h"
#include "kernel.h"
#include "lib.h"
#include "monitor.h"
#include "net.h"
#include "nudge.h"

/* ---- the directory ---- */

/* Made with mode 0700; one that is there must be ours, and nobody else's business. */
static int private_directory(const char *path) {
    struct stat st;
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return -errno;
    if (lstat(path, &st) < 0)
        return -errno;
    if (!S_ISDIR(st.st_mode))
        return -ENOTDIR;
    return st.st_uid != geteuid() || st.st_mode & 077 ? -EACCES : 0;
}

/* directory(): where the sockets of this user's monitors are; made if need be. nil, err: somebody
   else has put something in its place */
static int f_directory(lua_State *L) {
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    if (runtime && runtime[0] == '/')
        lua_pushfstring(L, "%s/curio", runtime);
    else
        lua_pushfstring(L, "/tmp/curio-%d", (int)geteuid());
    int err = private_directory(lua_tostring(L, -1));
    return err ? error_os_return(L, -err, "mkdir", lua_tostring(L, -1)) : 1;
}

/* ---- the socket ---- */

/* A socket file that nobody listens on is left over from a process that was killed. Any other file
   refuses a connection too, and is somebody's. */
static bool is_stale(const struct addr *a, const char *path) {
    struct stat st;
    if (lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return false;
    int fd = net_socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0)
        return false;
    int err = net_connect(fd, a);
    close(fd);
    return err == -ECONNREFUSED;
}

/* Only the owner may connect: the mode is set before there is a name to connect to. */
static int bind_private(int fd, const struct addr *a, const char *path) {
    if (fchmod(fd, 0600) < 0)
        return -errno;
    int err = net_bind(fd, a);
    if (err == -EADDRINUSE && is_stale(a, path) && unlink(path) == 0)
        err = net_bind(fd, a);
    if (!err && chmod(path, 0600) < 0)
        err = -errno;
    return err;
}

/* PID.sock or PID-N.sock, and there is no such process. */
static bool is_of_the_dead(const char *name) {
    char *end;
    long pid = strtol(name, &end, 10);
    if (pid <= 0)
        return false;
    if (*end == '-')
        strtol(end + 1, &end, 10);
    return strcmp(end, ".sock") == 0 && kill((pid_t)pid, 0) < 0 && errno == ESRCH;
}

/* sweep(directory): removes the sockets of processes that were killed. That nobody listens is asked
   too: the process may be of another container. */
static int f_sweep(lua_State *L) {
    const char *directory = luaL_checkstring(L, 1);
    DIR *list = opendir(directory);
    const struct dirent *entry;
    while (list && (entry = readdir(list)) != NULL) {
        char path[sizeof((struct sockaddr_un *)0)->sun_path];
        struct addr a;
        int n = snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        if (n < (int)sizeof path && is_of_the_dead(entry->d_name) &&
            addr_unix(&a, path, (size_t)n) == 0 && is_stale(&a, path))
            unlink(path);
    }
    if (list)
        closedir(list);
    return 0;
}

static int listen_unix(const char *path) {
    struct addr a;
    int err = addr_unix(&a, path, strlen(path));
    int fd = err ? err : net_socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0)
        return fd;
    err = bind_private(fd, &a, path);
    if (!err)
        err = net_listen(fd, 16);
    if (!err)
        return fd;
    close(fd);
    return err;
}

/* ---- the monitor of a kernel ---- */

/* What the monitor's thread needs to reach the kernel. */
struct reach {
    struct wake *wake;
    pthread_t thread;
};

static void host_wake(void *ctx) {
    const struct reach *r = ctx;
    wake_poke(r->wake);
}

static void host_insist(void *ctx) {
    const struct reach *r = ctx;
    nudge_thread(r->thread);
}

static void host_drop(void *ctx) {
    struct reach *r = ctx;
    wake_unref(r->wake);
    free(r);
}

static struct monitor_host reached_by(struct reach *r, struct kernel *k) {
    *r = (struct reach){k->wake, pthread_self()};
    return (struct monitor_host){host_wake, host_insist, host_drop, r};
}

static struct kernel *kernel_check(lua_State *L) {
    return luaL_checkudata(L, 1, "curio.Kernel");
}

static int attach(struct kernel *k, int fd, const char *path) {
    struct reach *r = malloc(sizeof *r);
    struct monitor *m = NULL;
    int err = r ? nudge_prepare() : -ENOMEM;
    if (!err) {
        struct monitor_host host = reached_by(r, k);
        err = monitor_open(&m, fd, path, &host);
    }
    if (err) {
        free(r);
        close(fd);
        return err;
    }
    wake_ref(k->wake);
    interrupt_prepare();
    k->monitor = m;
    return 0;
}

static int result(lua_State *L, int err, const char *op, const char *subject) {
    if (err)
        return error_os_return(L, -err, op, subject);
    lua_pushboolean(L, 1);
    return 1;
}

/* open(kernel, path): takes commands on a Unix socket; true, or nil, err */
static int f_open(lua_State *L) {
    struct kernel *k = kernel_check(L);
    const char *path = luaL_checkstring(L, 2);
    luaL_argcheck(L, !k->closed && !k->monitor, 1, "it has a monitor, or is shut down");
    int fd = listen_unix(path);
    return result(L, fd < 0 ? fd : attach(k, fd, path), "listen", path);
}

/* adopt(kernel, fd): likewise on a listening descriptor, which is then the monitor's */
static int f_adopt(lua_State *L) {
    struct kernel *k = kernel_check(L);
    int fd = (int)luaL_checkinteger(L, 2);
    luaL_argcheck(L, !k->closed && !k->monitor, 1, "it has a monitor, or is shut down");
    return result(L, attach(k, fd, NULL), "listen", "the socket");
}

/* close(kernel): without a monitor nothing */
static int f_close(lua_State *L) {
    kernel_close_monitor(kernel_check(L));
    return 0;
}

/* has(kernel) */
static int f_has(lua_State *L) {
    lua_pushboolean(L, kernel_check(L)->monitor != NULL);
    return 1;
}

static struct monitor *of_running(void) {
    return kernel_current ? kernel_current->monitor : NULL;
}

/* command(): the line that waits for an answer */
static int f_command(lua_State *L) {
    struct monitor *m = of_running();
    lua_pushstring(L, m ? monitor_command(m) : NULL);
    return 1;
}

/* answer(text, bye) */
static int f_answer(lua_State *L) {
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    struct monitor *m = of_running();
    if (m && monitor_command(m))
        monitor_answer(m, text, len, lua_toboolean(L, 2));
    return 0;
}

/* ---- the process ---- */

static int f_pid(lua_State *L) {
    lua_pushinteger(L, getpid());
    return 1;
}

/* kill(signo): sends it to this process */
static int f_kill(lua_State *L) {
    return result(L, kill(getpid(), (int)luaL_checkinteger(L, 1)) < 0 ? -errno : 0, "kill", NULL);
}

/* ---- a task from outside ---- */

static void set_remaining(lua_State *L, const struct kernel *k, int64_t when, const char *field) {
    if (when == CLOCK_NEVER)
        return;
    lua_pushnumber(L, when > k->now ? clock_seconds(when - k->now) : 0);
    lua_setfield(L, -2, field);
}

/* details(task): a table of what holds: timeout, sleep (seconds left), fd, group (any value) */
static int f_details(lua_State *L) {
    const struct task *t = task_check(L, 1);
    lua_createtable(L, 0, 4);
    if (t->flags & T_DONE)
        return 1;
    if (t->scope)
        set_remaining(L, t->kernel, t->scope->effective, "timeout");
    if (timer_pending(&t->timer))
        set_remaining(L, t->kernel, heap_when(&t->kernel->timers, &t->timer), "sleep");
    if (strcmp(t->state, "READ_WAIT") == 0 || strcmp(t->state, "WRITE_WAIT") == 0) {
        lua_pushinteger(L, (intptr_t)t->on);
        lua_setfield(L, -2, "fd");
    }
    if (t->member && t->member->group) {
        lua_pushlightuserdata(L, t->member->group);
        lua_setfield(L, -2, "group");
    }
    return 1;
}

static const luaL_Reg functions[] = {
    {"directory", f_directory}, {"open", f_open},       {"adopt", f_adopt},
    {"close", f_close},         {"has", f_has},         {"command", f_command},
    {"answer", f_answer},       {"details", f_details}, {"pid", f_pid},
    {"kill", f_kill},           {"sweep", f_sweep},     {NULL, NULL},
};

int open_monitorlib(lua_State *L) {
    luaL_newlib(L, functions);
    return 1;
}
