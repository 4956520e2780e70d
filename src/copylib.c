/*
 * copylib.c - copying as Lua sees it: core.copy.
 *
 * A message that Lua code has to do with stands in a box, which drops it whatever happens.
 */
#include "copylib.h"

#include "lib.h"

#define BOX "curio.message"

static int mm_gc(lua_State *L) {
    message_drop(lua_touserdata(L, 1));
    return 0;
}

struct message *copy_new_message(lua_State *L) {
    struct message *m = lua_newuserdatauv(L, sizeof *m, 0);
    message_init(m);
    if (luaL_newmetatable(L, BOX)) {
        lua_pushcfunction(L, mm_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return m;
}

/* copy(...): the values as another Lua state would get them */
static int f_copy(lua_State *L) {
    static const struct copy_how how = {.root = "values"};
    int n = lua_gettop(L);
    struct message *m = copy_new_message(L);
    copy_out(L, 1, n, &how, m);
    n = copy_in(L, m, &how);
    message_drop(m);
    return n;
}

static int write_string(lua_State *L, int n, const struct copy_how *how) {
    struct message *m = copy_new_message(L);
    copy_out(L, 1, n, how, m);
    lua_pushlstring(L, message_data(m), m->size);
    message_drop(m);
    return 1;
}

static int read_string(lua_State *L, const struct copy_how *how) {
    size_t size;
    const char *data = luaL_checklstring(L, 1, &size);
    struct message *m = copy_new_message(L);
    if (message_set(m, data, size) < 0)
        return luaL_error(L, "not enough memory");
    int n = copy_in(L, m, how);
    message_drop(m);
    return n;
}

/* pack(...): as they would go to another process; without descriptors */
static int f_pack(lua_State *L) {
    static const struct copy_how how = {.root = "values", .flags = COPY_REMOTE | COPY_STAY};
    return write_string(L, lua_gettop(L), &how);
}

/* unpack(bytes): the values */
static int f_unpack(lua_State *L) {
    static const struct copy_how how = {.flags = COPY_REMOTE};
    return read_string(L, &how);
}

/* encode(value): MessagePack that any language can read */
static int f_encode(lua_State *L) {
    static const struct copy_how how = {.root = "value", .flags = COPY_PLAIN | COPY_ONE};
    lua_settop(L, 1);
    return write_string(L, 1, &how);
}

/* decode(bytes): the value */
static int f_decode(lua_State *L) {
    static const struct copy_how how = {.flags = COPY_PLAIN};
    return read_string(L, &how);
}

static const luaL_Reg functions[] = {
    {"copy", f_copy},     {"pack", f_pack},     {"unpack", f_unpack},
    {"encode", f_encode}, {"decode", f_decode}, {NULL, NULL},
};

int open_copylib(lua_State *L) {
    luaL_newlib(L, functions);
    return 1;
}
