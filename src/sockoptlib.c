/*
 * sockoptlib.c - socket options.
 *
 * An option's value is a number, a boolean, or for those that are structs the bytes of one, as made
 * by string.pack. The structs that nobody wants to pack by hand can be given as tables: memberships
 * in multicast groups, and SO_LINGER.
 */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "lib.h"
#include "mcast.h"
#include "net.h"
#include "socketlib.h"

#define OPTION_MAX 1024 /* bytes; longer ones do not exist */

static int check_int(lua_State *L, int arg, const char *what) {
    lua_Integer n = luaL_checkinteger(L, arg);
    luaL_argcheck(L, n >= INT_MIN && n <= INT_MAX, arg, what);
    return (int)n;
}

static int option_failed(lua_State *L, const struct sock *s, int err, const char *op) {
    lua_pushfstring(L, "fd %d, level %d, option %d", s->io.fd, (int)lua_tointeger(L, 2),
                    (int)lua_tointeger(L, 3));
    return error_os_return(L, err, op, lua_tostring(L, -1));
}

/* ---- values that are tables ---- */

/* The text at that place of the table at 4; an interface may be a number. "" where there is none.
   [-0, +1, m] */
static const char *text_at(lua_State *L, int place, const char *what) {
    int type = lua_rawgeti(L, 4, place);
    if (type == LUA_TNIL) {
        lua_pushliteral(L, "");
        lua_replace(L, -2);
    } else if (type != LUA_TSTRING && !lua_isinteger(L, -1)) {
        luaL_argerror(
            L, 4, lua_pushfstring(L, "%s must be a string, not a %s", what, luaL_typename(L, -1)));
    }
    size_t len;
    const char *text = lua_tolstring(L, -1, &len);
    luaL_argcheck(L, strlen(text) == len, 4, "a text with a NUL byte");
    return text;
}

/* {on, seconds} */
static int set_linger(lua_State *L, int fd) {
    struct linger value;
    lua_rawgeti(L, 4, 1);
    value.l_onoff = lua_isinteger(L, -1) ? lua_tointeger(L, -1) != 0 : lua_toboolean(L, -1);
    lua_rawgeti(L, 4, 2);
    lua_Integer seconds = luaL_optinteger(L, -1, 0);
    luaL_argcheck(L, seconds >= 0 && seconds <= INT_MAX, 4, "the seconds must fit a C int");
    value.l_linger = (int)seconds;
    return net_setopt(fd, SOL_SOCKET, SO_LINGER, &value, sizeof value);
}

static int set_bytes(int fd, int level, int option, const char *bytes, int len) {
    return len < 0 ? len : net_setopt(fd, level, option, bytes, (socklen_t)len);
}

/* {group [, interface]}, {group, source [, interface]}, {interface} */
static int set_multicast4(lua_State *L, int fd, int option) {
    char buf[MCAST_SIZE];
    int len = 0;
    const char *first = text_at(L, 1, "the first"), *second = text_at(L, 2, "the second");
    switch (option) {
    case IP_ADD_MEMBERSHIP:
    case IP_DROP_MEMBERSHIP:
        len = mcast_member4(buf, first, second);
        break;
    case IP_MULTICAST_IF:
        len = mcast_interface4(buf, first);
        break;
#ifdef IP_ADD_SOURCE_MEMBERSHIP
    case IP_ADD_SOURCE_MEMBERSHIP:
    case IP_DROP_SOURCE_MEMBERSHIP:
    case IP_BLOCK_SOURCE:
    case IP_UNBLOCK_SOURCE:
        len = mcast_source4(buf, first, second, text_at(L, 3, "the interface"));
        break;
#endif
    default:
        luaL_argerror(L, 4, "this option takes no table");
    }
    return set_bytes(fd, IPPROTO_IP, option, buf, len);
}

/* {group [, interface]}, {interface} */
static int set_multicast6(lua_State *L, int fd, int option) {
    char buf[MCAST_SIZE];
    int len = 0;
    const char *first = text_at(L, 1, "the first"), *second = text_at(L, 2, "the interface");
    if (option == IPV6_JOIN_GROUP || option == IPV6_LEAVE_GROUP)
        len = mcast_member6(buf, first, second);
    else if (option == IPV6_MULTICAST_IF)
        len = mcast_interface6(buf, first);
    else
        luaL_argerror(L, 4, "this option takes no table");
    return set_bytes(fd, IPPROTO_IPV6, option, buf, len);
}

static int set_table(lua_State *L, int fd, int level, int option) {
    if (level == IPPROTO_IP)
        return set_multicast4(L, fd, option);
    if (level == IPPROTO_IPV6)
        return set_multicast6(L, fd, option);
    luaL_argcheck(L, level == SOL_SOCKET && option == SO_LINGER, 4, "this option takes no table");
    return set_linger(L, fd);
}

/* ---- setsockopt(level, option, value), getsockopt(level, option, size) ---- */

static int set_option(lua_State *L, int fd, int level, int option) {
    size_t len;
    const char *bytes;
    switch (lua_type(L, 4)) {
    case LUA_TBOOLEAN:
        return net_setopt_int(fd, level, option, lua_toboolean(L, 4));
    case LUA_TSTRING:
        bytes = lua_tolstring(L, 4, &len);
        luaL_argcheck(L, len <= OPTION_MAX, 4, "too long");
        return net_setopt(fd, level, option, bytes, (socklen_t)len);
    case LUA_TNUMBER:
        return net_setopt_int(fd, level, option, check_int(L, 4, "the value must fit a C int"));
    case LUA_TTABLE:
        return set_table(L, fd, level, option);
    default:
        return luaL_typeerror(L, 4, "integer, boolean, string or table");
    }
}

static int m_setsockopt(lua_State *L) {
    int level = check_int(L, 2, "no such level"), option = check_int(L, 3, "no such option");
    const struct sock *s = socket_open(L, 1, "setsockopt");
    if (!s)
        return 2;
    int err = set_option(L, s->io.fd, level, option);
    if (err < 0)
        return option_failed(L, s, -err, "setsockopt");
    lua_pushboolean(L, 1);
    return 1;
}

static int get_bytes(lua_State *L, const struct sock *s, int level, int option, lua_Integer size) {
    char bytes[OPTION_MAX];
    socklen_t len = (socklen_t)size;
    int err = net_getopt(s->io.fd, level, option, bytes, &len);
    if (err < 0)
        return option_failed(L, s, -err, "getsockopt");
    lua_pushlstring(L, bytes, len);
    return 1;
}

static int get_number(lua_State *L, const struct sock *s, int level, int option) {
    int value;
    int err = net_getopt_int(s->io.fd, level, option, &value);
    if (err < 0)
        return option_failed(L, s, -err, "getsockopt");
    lua_pushinteger(L, value);
    return 1;
}

/* getsockopt(level, option [, size]): with a size the bytes, else a number. */
static int m_getsockopt(lua_State *L) {
    int level = check_int(L, 2, "no such level"), option = check_int(L, 3, "no such option");
    lua_Integer size = luaL_optinteger(L, 4, 0);
    luaL_argcheck(L, size >= 0 && size <= OPTION_MAX, 4, "the size must be 1 to 1024");
    const struct sock *s = socket_open(L, 1, "getsockopt");
    if (!s)
        return 2;
    return size ? get_bytes(L, s, level, option, size) : get_number(L, s, level, option);
}

static const luaL_Reg methods[] = {
    {"setsockopt", m_setsockopt}, {"getsockopt", m_getsockopt}, {NULL, NULL}};

void socket_add_options(lua_State *L) {
    luaL_setfuncs(L, methods, 0);
}
