/*
 * interoplib.c - what bridges to other libraries ask and no part of curio has: whether a
 * descriptor is ready at this moment, the time of day, a datagram socket that is to have no peer
 * any more, the system's word for an error number, and that SIGPIPE ends no process. None of it
 * blocks, but for the wait on behalf of a foreign loop: for its descriptor or its next timer,
 * whatever comes first.
 */
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "block.h"
#include "clock.h"
#include "errcode.h"
#include "lib.h"

/* ready(fd): can it be read, can it be written, without waiting? Yes twice for what is broken, so
   that the verb which follows tells why. */
static int f_ready(lua_State *L) {
    struct pollfd p = {.fd = args_fileno(L, 1), .events = POLLIN | POLLOUT};
    int n;
    do
        n = poll(&p, 1, 0);
    while (n < 0 && errno == EINTR);
    bool broken = n < 0 || p.revents & (POLLERR | POLLHUP | POLLNVAL);
    lua_pushboolean(L, broken || p.revents & POLLIN);
    lua_pushboolean(L, broken || p.revents & POLLOUT);
    return 2;
}

/* disconnect(fd): connect(2) of AF_UNSPEC; any peer may send again */
static int f_disconnect(lua_State *L) {
    int fd = args_fileno(L, 1);
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    if (connect(fd, &nobody, sizeof nobody) < 0)
        return error_os_return(L, errno, "disconnect", NULL);
    lua_pushboolean(L, 1);
    return 1;
}

/* realtime(): seconds since 1970, with their fraction */
static int f_realtime(lua_State *L) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    lua_pushnumber(L, (lua_Number)now.tv_sec + (lua_Number)now.tv_nsec / 1e9);
    return 1;
}

/* describe(errno): "ECONNREFUSED", "Connection refused" */
static int f_describe(lua_State *L) {
    char text[128];
    int err = (int)luaL_checkinteger(L, 1);
    errcode_message(err, text, sizeof text);
    lua_pushstring(L, errcode_name(err));
    lua_pushstring(L, text);
    return 2;
}

/* ignore_sigpipe(): for libraries that write to sockets as to files; as LuaSocket does it. A
   handler that there is stays */
static int f_ignore_sigpipe(lua_State *L) {
    struct sigaction now;
    (void)L;
    if (!sigaction(SIGPIPE, NULL, &now) && now.sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
    return 0;
}

/* ---- the wait for a foreign loop ---- */

static int loop_woken(lua_State *L, int status, lua_KContext ctx) {
    (void)status;
    (void)ctx;
    task_woken(L);
    lua_pushboolean(L, 1);
    return 1;
}

/* wait(fd, [seconds, verb]): until fd can be read or the time is up, no matter which: the loop is
   stepped then. Not a deadline of the task's, so that the loop's timers go on where cancellation is
   held back. true; or nil and an OSError */
static int f_wait(lua_State *L) {
    int fd = args_fileno(L, 1);
    double seconds = lua_isnoneornil(L, 2) ? HUGE_VAL : args_check_seconds(L, 2);
    const char *verb = luaL_optstring(L, 3, "interop.wait");
    struct task *t = task_enter(L, verb);
    if (t->kernel->jumping)
        return luaL_error(L, "%s: the loop's timers go by the real clock, the kernel's is virtual",
                          verb);
    int64_t wake_at = clock_after(kernel_now(t->kernel), seconds);
    int n = block_wait_foreign(L, t, fd, LOOP_READ, wake_at);
    return n != BLOCK_PARKED ? n : lua_yieldk(L, 0, 0, loop_woken);
}

static const luaL_Reg functions[] = {
    {"wait", f_wait},
    {"ready", f_ready},
    {"disconnect", f_disconnect},
    {"realtime", f_realtime},
    {"describe", f_describe},
    {"ignore_sigpipe", f_ignore_sigpipe},
    {NULL, NULL},
};

int open_interoplib(lua_State *L) {
    luaL_newlib(L, functions);
    return 1;
}
