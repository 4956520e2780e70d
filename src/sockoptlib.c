/*
 * sockoptlib.c - socket options and the constants of sockets, under their C names.
 *
 * An option's value is a number, a boolean, or for those that are structs the bytes of one, as made
 * by string.pack. Constants that a system has not are absent.
 */
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "lib.h"
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

/* setsockopt(level, option, value) */
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
    default:
        return luaL_typeerror(L, 4, "integer, boolean or string");
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

/* ---- constants ---- */

struct constant {
    const char *name;
    lua_Integer value;
};

#define C(name)                                                                                    \
    { #name, name }

static const struct constant constants[] = {
    C(AF_UNSPEC),
    C(AF_INET),
    C(AF_INET6),
    C(AF_UNIX),
    C(SOCK_STREAM),
    C(SOCK_DGRAM),
    C(SOCK_RAW),
    C(SOCK_SEQPACKET),
    C(ETIMEDOUT), /* for errors that the Lua layer makes */
    C(SHUT_RD),
    C(SHUT_WR),
    C(SHUT_RDWR),
    C(SOMAXCONN),
    C(SOL_SOCKET),
    C(SO_ACCEPTCONN),
    C(SO_BROADCAST),
    C(SO_DEBUG),
    C(SO_DONTROUTE),
    C(SO_ERROR),
    C(SO_KEEPALIVE),
    C(SO_LINGER),
    C(SO_OOBINLINE),
    C(SO_RCVBUF),
    C(SO_RCVLOWAT),
    C(SO_RCVTIMEO),
    C(SO_REUSEADDR),
    C(SO_SNDBUF),
    C(SO_SNDLOWAT),
    C(SO_SNDTIMEO),
    C(SO_TYPE),
    C(IPPROTO_IP),
    C(IPPROTO_IPV6),
    C(IPPROTO_ICMP),
    C(IPPROTO_RAW),
    C(IPPROTO_TCP),
    C(IPPROTO_UDP),
    C(IP_MULTICAST_IF),
    C(IP_MULTICAST_LOOP),
    C(IP_MULTICAST_TTL),
    C(IP_ADD_MEMBERSHIP),
    C(IP_DROP_MEMBERSHIP),
    C(IP_TOS),
    C(IP_TTL),
    C(IPV6_JOIN_GROUP),
    C(IPV6_LEAVE_GROUP),
    C(IPV6_MULTICAST_HOPS),
    C(IPV6_MULTICAST_IF),
    C(IPV6_MULTICAST_LOOP),
    C(IPV6_UNICAST_HOPS),
    C(IPV6_V6ONLY),
    C(TCP_NODELAY),
    C(TCP_MAXSEG),
    C(MSG_CTRUNC),
    C(MSG_DONTROUTE),
    C(MSG_OOB),
    C(MSG_PEEK),
    C(MSG_TRUNC),
    C(MSG_WAITALL),
    C(AI_ADDRCONFIG),
    C(AI_ALL),
    C(AI_CANONNAME),
    C(AI_NUMERICHOST),
    C(AI_NUMERICSERV),
    C(AI_PASSIVE),
    C(AI_V4MAPPED),
    C(NI_DGRAM),
    C(NI_NAMEREQD),
    C(NI_NOFQDN),
    C(NI_NUMERICHOST),
    C(NI_NUMERICSERV),
#ifdef AF_NETLINK
    C(AF_NETLINK),
#endif
#ifdef AF_PACKET
    C(AF_PACKET),
#endif
#ifdef AF_VSOCK
    C(AF_VSOCK),
#endif
#ifdef SOCK_CLOEXEC
    C(SOCK_CLOEXEC),
    C(SOCK_NONBLOCK),
#endif
#ifdef SO_BINDTODEVICE
    C(SO_BINDTODEVICE),
#endif
#ifdef SO_DOMAIN
    C(SO_DOMAIN),
#endif
#ifdef SO_INCOMING_CPU
    C(SO_INCOMING_CPU),
#endif
#ifdef SO_MARK
    C(SO_MARK),
#endif
#ifdef SO_PASSCRED
    C(SO_PASSCRED),
#endif
#ifdef SO_PEERCRED
    C(SO_PEERCRED),
#endif
#ifdef SO_PRIORITY
    C(SO_PRIORITY),
#endif
#ifdef SO_PROTOCOL
    C(SO_PROTOCOL),
#endif
#ifdef SO_REUSEPORT
    C(SO_REUSEPORT),
#endif
#ifdef SO_NOSIGPIPE
    C(SO_NOSIGPIPE),
#endif
#ifdef IPPROTO_ICMPV6
    C(IPPROTO_ICMPV6),
#endif
#ifdef IP_FREEBIND
    C(IP_FREEBIND),
#endif
#ifdef IP_TRANSPARENT
    C(IP_TRANSPARENT),
#endif
#ifdef IPV6_TCLASS
    C(IPV6_TCLASS),
#endif
#ifdef TCP_CONGESTION
    C(TCP_CONGESTION),
#endif
#ifdef TCP_CORK
    C(TCP_CORK),
#endif
#ifdef TCP_NOPUSH
    C(TCP_NOPUSH),
#endif
#ifdef TCP_DEFER_ACCEPT
    C(TCP_DEFER_ACCEPT),
#endif
#ifdef TCP_FASTOPEN
    C(TCP_FASTOPEN),
#endif
#ifdef TCP_INFO
    C(TCP_INFO),
#endif
#ifdef TCP_KEEPCNT
    C(TCP_KEEPCNT),
    C(TCP_KEEPINTVL),
#endif
#ifdef TCP_KEEPIDLE
    C(TCP_KEEPIDLE),
#endif
#ifdef TCP_NOTSENT_LOWAT
    C(TCP_NOTSENT_LOWAT),
#endif
#ifdef TCP_QUICKACK
    C(TCP_QUICKACK),
#endif
#ifdef TCP_SYNCNT
    C(TCP_SYNCNT),
#endif
#ifdef TCP_USER_TIMEOUT
    C(TCP_USER_TIMEOUT),
#endif
#ifdef MSG_DONTWAIT
    C(MSG_DONTWAIT),
#endif
#ifdef MSG_EOR
    C(MSG_EOR),
#endif
#ifdef MSG_ERRQUEUE
    C(MSG_ERRQUEUE),
#endif
#ifdef MSG_MORE
    C(MSG_MORE),
#endif
#ifdef MSG_NOSIGNAL
    C(MSG_NOSIGNAL),
#endif
};

void socket_add_constants(lua_State *L) {
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++) {
        lua_pushinteger(L, constants[i].value);
        lua_setfield(L, -2, constants[i].name);
    }
}
