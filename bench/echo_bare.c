/*
 * echo_bare -- the least that an echo server written in Lua can cost.
 *
 * A bare coroutine of stock Lua for each connection, resumed by an epoll loop in C. Its recv and
 * send are two C functions with nothing around them: no tasks, no cancellation, no time limits, no
 * check of an argument, no fairness, and what a peer does not take at once is lost. What it stays
 * behind the plain C server is the price of Lua: a call, a string and a resume a message. What
 * curio stays behind it is the price of curio.
 *
 *     echo_bare [PORT]        prints "listening 127.0.0.1 PORT"; ends on SIGTERM or SIGINT
 */
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "listener.h"

/* The same lines as in echo.lua. */
static const char body[] = "local client = ...\n"
                           "while true do\n"
                           "  local data = client:recv(100000)\n"
                           "  if not data then\n"
                           "    break\n"
                           "  end\n"
                           "  client:sendall(data)\n"
                           "end\n";

struct conn {
    lua_State *L; /* kept alive by the table at KEPT */
    int fd;
    bool readable;
};

enum { BODY = 1, KEPT }; /* on the main coroutine's stack */

static struct conn *conns; /* by descriptor */
static char buffer[READ_SIZE];

/* ---- the two verbs ---- */

static struct conn *self(lua_State *L) {
    return *(struct conn **)lua_touserdata(L, 1);
}

static int recv_again(lua_State *L, int status, lua_KContext ctx);

static int m_recv(lua_State *L) {
    struct conn *c = self(L);
    if (!c->readable)
        return lua_yieldk(L, 0, 0, recv_again);
    ssize_t n = recv(c->fd, buffer, sizeof buffer, 0);
    if (n < 0 && errno == EAGAIN) {
        c->readable = false;
        return lua_yieldk(L, 0, 0, recv_again);
    }
    if (n <= 0)
        return 0;
    c->readable = (size_t)n == sizeof buffer;
    lua_pushlstring(L, buffer, (size_t)n);
    return 1;
}

static int recv_again(lua_State *L, int status, lua_KContext ctx) {
    (void)status;
    (void)ctx;
    return m_recv(L);
}

static int m_sendall(lua_State *L) {
    size_t len;
    const char *data = lua_tolstring(L, 2, &len);
    lua_pushboolean(L, send(self(L)->fd, data, len, MSG_NOSIGNAL) == (ssize_t)len);
    return 1;
}

/* ---- the loop ---- */

static lua_State *new_state(void) {
    static const luaL_Reg verbs[] = {{"recv", m_recv}, {"sendall", m_sendall}, {NULL, NULL}};
    lua_State *L = luaL_newstate();
    if (!L || luaL_loadstring(L, body) != LUA_OK)
        die("Lua");
    lua_gc(L, LUA_GCGEN, 100, 200); /* as the program curio has it */
    lua_newtable(L);
    luaL_newmetatable(L, "socket");
    luaL_newlib(L, verbs);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    return L;
}

static void conn_resume(lua_State *L, struct conn *c, int nargs) {
    int nresults;
    if (lua_resume(c->L, L, nargs, &nresults) == LUA_YIELD)
        return;
    close(c->fd);
    lua_pushnil(L);
    lua_rawseti(L, KEPT, c->fd);
}

static void conn_open(lua_State *L, int epfd, int fd) {
    struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.fd = fd};
    struct conn *c = &conns[fd];
    if (epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) < 0)
        die("epoll_ctl");
    *c = (struct conn){lua_newthread(L), fd, false};
    lua_rawseti(L, KEPT, fd);
    lua_pushvalue(L, BODY);
    *(struct conn **)lua_newuserdatauv(L, sizeof c, 0) = c;
    luaL_setmetatable(L, "socket");
    lua_xmove(L, c->L, 2);
    conn_resume(L, c, 1);
}

static void accept_all(lua_State *L, int epfd, int listen_fd) {
    int fd;
    while ((fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
        conn_open(L, epfd, fd);
    if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
        die("accept4");
}

static void serve(lua_State *L, int epfd, int listen_fd) {
    struct epoll_event events[EVENTS];
    while (!stopping) {
        int n = epoll_wait(epfd, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listen_fd) {
                accept_all(L, epfd, listen_fd);
            } else {
                conns[fd].readable = true;
                conn_resume(L, &conns[fd], 0);
            }
        }
    }
}

int main(int argc, char **argv) {
    int port = argc > 1 ? atoi(argv[1]) : 0;
    if (argc > 2 || port < 0 || port > 65535) {
        fprintf(stderr, "usage: echo_bare [PORT]\n");
        return 2;
    }
    stop_on_signals();
    conns = table_by_descriptor(sizeof *conns);
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    int listen_fd = listen_on(port);
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = listen_fd};
    if (epfd < 0 || epoll_ctl(epfd, EPOLL_CTL_ADD, listen_fd, &ev) < 0)
        die("epoll");
    serve(new_state(), epfd, listen_fd);
    return 0; /* connections still open end with the process */
}
