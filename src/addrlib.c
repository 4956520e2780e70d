/*
 * addrlib.c - the address tables of addrlib.h.
 *
 * Everything but host, port, flow label and scope is worked out when it is asked for. The family
 * shows in the table's shape: without a port it is a path, and only IPv6 has colons in its host.
 * Tables are the users' to make and to change, so each reading checks again.
 */
#include "addrlib.h"

#include <errno.h>
#include <string.h>

#include "lib.h"

enum { HOST = 1, PORT, FLOWINFO, SCOPEID }; /* places in the table; a path stands at HOST */

static char address_key; /* registry: the metatable */

/* ---- what users give ---- */

/* An address as it was written. The text belongs to the Lua value it was read from. */
struct given {
    const char *text;
    size_t len;
    lua_Integer port; /* NO_PORT: it is a path */
    lua_Integer flowinfo;
    lua_Integer scopeid;
};

#define NO_PORT (-1)

/* Raises; the value at hand is on top. */
static int refuse(lua_State *L, int arg, const char *what) {
    const char *value = luaL_tolstring(L, -1, NULL);
    return luaL_argerror(L, arg, lua_pushfstring(L, "%s, not %s", what, value));
}

/* With the value on top. [-1, +0, v] */
static lua_Integer take_number(lua_State *L, int arg, lua_Integer max, const char *what) {
    int exact;
    lua_Integer n = lua_tointegerx(L, -1, &exact);
    if (!exact || n < 0 || n > max)
        refuse(L, arg, what);
    lua_pop(L, 1);
    return n;
}

static void read_text(lua_State *L, int arg, struct given *g, const char *what) {
    if (lua_type(L, -1) != LUA_TSTRING)
        refuse(L, arg, what);
    g->text = lua_tolstring(L, -1, &g->len);
    lua_pop(L, 1);
}

static lua_Integer read_extra(lua_State *L, int idx, int place, const char *what) {
    if (lua_rawgeti(L, idx, place) != LUA_TNIL)
        return take_number(L, idx, UINT32_MAX, what);
    lua_pop(L, 1);
    return 0;
}

static bool is_path(lua_State *L, int family) {
    return family == AF_UNIX || (family == AF_UNSPEC && lua_isnil(L, -1));
}

static void read_table(lua_State *L, int idx, int family, struct given *g) {
    lua_rawgeti(L, idx, PORT);
    bool path = is_path(L, family);
    if (path && !lua_isnil(L, -1))
        refuse(L, idx, "a Unix address is {path}: it has no port");
    if (path)
        lua_pop(L, 1);
    else
        g->port = take_number(L, idx, 65535, "the port of {host, port} must be 0 to 65535");
    lua_rawgeti(L, idx, HOST);
    read_text(L, idx, g, path ? "the path must be a string" : "the host must be a string");
    g->flowinfo = read_extra(L, idx, FLOWINFO, "the flow label must be a number");
    g->scopeid = read_extra(L, idx, SCOPEID, "the scope must be a number");
}

static void read_values(lua_State *L, int idx, int family, struct given *g) {
    if (lua_isnone(L, idx))
        luaL_argerror(L, idx, "an address expected, got no value");
    if (lua_isnone(L, idx + 1))
        lua_pushnil(L);
    else
        lua_pushvalue(L, idx + 1);
    bool path = is_path(L, family);
    if (path && !lua_isnil(L, -1))
        refuse(L, idx + 1, "a Unix address is a path alone: it has no port");
    lua_pushvalue(L, idx);
    read_text(L, idx, g, path ? "the path must be a string" : "the host must be a string");
    if (path)
        lua_pop(L, 1);
    else
        g->port = take_number(L, idx + 1, 65535, "the port must be 0 to 65535");
}

static struct given read_address(lua_State *L, int idx, int family) {
    struct given g = {.port = NO_PORT};
    if (lua_istable(L, idx))
        read_table(L, idx, family, &g);
    else
        read_values(L, idx, family, &g);
    return g;
}

static int convert(const struct given *g, int family, struct addr *a) {
    if (g->port == NO_PORT)
        return addr_unix(a, g->text, g->len);
    int result = addr_inet(a, g->text, g->len, (int)g->port, family);
    if (result == 0 && addr_family(a) == AF_INET6) {
        a->u.in6.sin6_flowinfo = htonl((uint32_t)g->flowinfo);
        if (!a->u.in6.sin6_scope_id)
            a->u.in6.sin6_scope_id = (uint32_t)g->scopeid;
    }
    return result;
}

int addrlib_check(lua_State *L, int idx, int family, struct addr *a) {
    if (family != AF_INET && family != AF_INET6 && family != AF_UNIX && family != AF_UNSPEC)
        luaL_error(L, "addresses of family %d are not supported", family);
    struct given g = read_address(L, idx, family);
    return convert(&g, family, a);
}

void addrlib_push_name(lua_State *L, int idx) {
    struct given g = read_address(L, idx, AF_INET);
    lua_pushlstring(L, g.text, g.len);
    lua_pushinteger(L, g.port);
}

/* ---- what the system returns ---- */

static void push_inet(lua_State *L, const struct addr *a, int n) {
    char host[ADDR_HOST_MAX];
    int len = addr_host(a, host, sizeof host);
    lua_createtable(L, n, 0);
    lua_pushlstring(L, host, len > 0 ? (size_t)len : 0);
    lua_rawseti(L, -2, HOST);
    lua_pushinteger(L, addr_port(a));
    lua_rawseti(L, -2, PORT);
}

static void push_inet6(lua_State *L, const struct addr *a) {
    bool extras = a->u.in6.sin6_flowinfo || a->u.in6.sin6_scope_id;
    push_inet(L, a, extras ? SCOPEID : PORT);
    if (!extras)
        return;
    lua_pushinteger(L, ntohl(a->u.in6.sin6_flowinfo));
    lua_rawseti(L, -2, FLOWINFO);
    lua_pushinteger(L, a->u.in6.sin6_scope_id);
    lua_rawseti(L, -2, SCOPEID);
}

static void push_unix(lua_State *L, const struct addr *a) {
    const char *path = "";
    size_t len = 0;
    addr_path(a, &path, &len);
    lua_createtable(L, 1, 0);
    lua_pushlstring(L, path, len);
    lua_rawseti(L, -2, HOST);
}

/* Of families we cannot read: their text and number are all there is. */
static void push_other(lua_State *L, const struct addr *a) {
    char text[ADDR_TEXT_MAX];
    size_t len = addr_format(a, text, sizeof text);
    lua_createtable(L, 1, 1);
    lua_pushlstring(L, text, len);
    lua_rawseti(L, -2, HOST);
    lua_pushinteger(L, addr_family(a));
    lua_setfield(L, -2, "family");
}

void addrlib_push_metatable(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &address_key);
}

void addrlib_push(lua_State *L, const struct addr *a) {
    switch (addr_family(a)) {
    case AF_INET:
        push_inet(L, a, PORT);
        break;
    case AF_INET6:
        push_inet6(L, a);
        break;
    case AF_UNIX:
    case AF_UNSPEC: /* some systems give no address at all to an unnamed socket */
        push_unix(L, a);
        break;
    default:
        push_other(L, a);
    }
    lua_rawgetp(L, LUA_REGISTRYINDEX, &address_key);
    lua_setmetatable(L, -2);
}

/* ---- metamethods ---- */

/* False when the table at idx has not the form of an address. Never raises. [-0, +0, -] */
static bool parse(lua_State *L, int idx, struct addr *a) {
    struct given g = {.port = NO_PORT};
    bool port = lua_rawgeti(L, idx, PORT) != LUA_TNIL;
    bool good = !port || lua_isinteger(L, -1);
    if (port)
        g.port = lua_tointeger(L, -1);
    good = good && (!port || (g.port >= 0 && g.port <= 65535));
    good = lua_rawgeti(L, idx, HOST) == LUA_TSTRING && good;
    g.text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &g.len) : "";
    lua_rawgeti(L, idx, FLOWINFO);
    g.flowinfo = lua_tointeger(L, -1);
    lua_rawgeti(L, idx, SCOPEID);
    g.scopeid = lua_tointeger(L, -1);
    lua_pop(L, 4);
    return good && convert(&g, AF_UNSPEC, a) == 0;
}

static int family_at(lua_State *L, int idx) {
    size_t len;
    int port = lua_rawgeti(L, idx, PORT);
    lua_rawgeti(L, idx, HOST);
    const char *host = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : NULL;
    int family = port == LUA_TNIL ? AF_UNIX : host && memchr(host, ':', len) ? AF_INET6 : AF_INET;
    lua_pop(L, 2);
    return family;
}

/* The element at that place if the address is of that family, or else nil. */
static int element(lua_State *L, bool there, int place) {
    if (there)
        lua_rawgeti(L, 1, place);
    else
        lua_pushnil(L);
    return 1;
}

static int extra(lua_State *L, int family, int place) {
    element(L, family == AF_INET6, place);
    if (family == AF_INET6 && lua_isnil(L, -1))
        lua_pushinteger(L, 0);
    return 1;
}

static int mm_index(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    int family = family_at(L, 1);
    if (!strcmp(key, "host"))
        return element(L, family != AF_UNIX, HOST);
    if (!strcmp(key, "port"))
        return element(L, family != AF_UNIX, PORT);
    if (!strcmp(key, "path"))
        return element(L, family == AF_UNIX, HOST);
    if (!strcmp(key, "flowinfo"))
        return extra(L, family, FLOWINFO);
    if (!strcmp(key, "scopeid"))
        return extra(L, family, SCOPEID);
    if (strcmp(key, "family") != 0)
        return 0;
    lua_pushinteger(L, family);
    return 1;
}

static int mm_tostring(lua_State *L) {
    struct addr a;
    char text[ADDR_TEXT_MAX];
    luaL_checktype(L, 1, LUA_TTABLE);
    if (parse(L, 1, &a))
        lua_pushlstring(L, text, addr_format(&a, text, sizeof text));
    else if (lua_rawgeti(L, 1, HOST) != LUA_TSTRING)
        lua_pushliteral(L, "curio.address (malformed)");
    return 1;
}

static int mm_eq(lua_State *L) {
    struct addr a, b;
    lua_pushboolean(L, lua_istable(L, 1) && lua_istable(L, 2) && parse(L, 1, &a) &&
                           parse(L, 2, &b) && addr_equal(&a, &b));
    return 1;
}

static const luaL_Reg metamethods[] = {
    {"__index", mm_index}, {"__tostring", mm_tostring}, {"__eq", mm_eq}, {NULL, NULL}};

/* Leaves the metatable, by which the Lua layer knows an address. */
int open_addrlib(lua_State *L) {
    luaL_newlib(L, metamethods);
    lua_pushliteral(L, "curio.address");
    lua_setfield(L, -2, "__name");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &address_key);
    return 1;
}
