/*
 * interoplib.c - what bridges to other libraries ask of the system and no part of curio has:
 * whether a descriptor is ready at this moment, the time of day, a datagram socket that is to have
 * no peer any more, and the system's word for an error number. None of it blocks.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

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

static const luaL_Reg functions[] = {
    {"ready", f_ready},
    {"disconnect", f_disconnect},
    {"realtime", f_realtime},
    {"describe", f_describe},
    {NULL, NULL},
};

int open_interoplib(lua_State *L) {
    luaL_newlib(L, functions);
    return 1;
}
