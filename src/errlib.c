/*
 * errlib.c - error objects as C makes them.
 *
 * The classes themselves are Lua's (lua/curio/errors.lua), which hands them over once; an instance
 * is a table whose metatable is its class, and a class knows its parent. Until then, and should the
 * class be unknown, the message alone stands for the error.
 */
#include <stdarg.h>
#include <string.h>

#include "errcode.h"
#include "lib.h"

static char classes_key;

/* [-0, +1, -] nil when there is none */
static void push_class(lua_State *L, const char *name) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &classes_key) == LUA_TTABLE) {
        lua_getfield(L, -1, name);
        lua_remove(L, -2);
    }
}

void error_new(lua_State *L, const char *class_name, const char *fmt, ...) {
    va_list args;
    luaL_checkstack(L, 5, "error");
    va_start(args, fmt);
    lua_pushvfstring(L, fmt, args);
    va_end(args);
    push_class(L, class_name);
    if (lua_type(L, -1) != LUA_TTABLE) {
        lua_pop(L, 1);
        return;
    }
    lua_createtable(L, 0, 4);
    lua_insert(L, -2);
    lua_setmetatable(L, -2);
    lua_insert(L, -2);
    lua_setfield(L, -2, "message");
}

/* With a class or nil on top; pops it. Walks up the metatables of the value at idx. */
static bool descends(lua_State *L, int idx) {
    int class_idx = lua_gettop(L);
    bool found = false;
    if (lua_type(L, class_idx) == LUA_TTABLE && lua_type(L, idx) == LUA_TTABLE &&
        lua_getmetatable(L, idx)) {
        while (lua_type(L, -1) == LUA_TTABLE && !(found = lua_rawequal(L, -1, class_idx))) {
            lua_pushliteral(L, "parent");
            lua_rawget(L, -2);
            lua_remove(L, -2);
        }
    }
    lua_settop(L, class_idx - 1);
    return found;
}

bool error_is(lua_State *L, int idx, const char *class_name) {
    idx = lua_absindex(L, idx);
    if (lua_type(L, idx) != LUA_TTABLE || !lua_checkstack(L, 5))
        return false;
    push_class(L, class_name);
    return descends(L, idx);
}

bool error_isa(lua_State *L, int idx, int class_idx) {
    idx = lua_absindex(L, idx);
    luaL_checkstack(L, 5, "error");
    lua_pushvalue(L, class_idx);
    return descends(L, idx);
}

bool error_is_class(lua_State *L, int idx) {
    int top = lua_gettop(L);
    idx = lua_absindex(L, idx);
    if (lua_type(L, idx) != LUA_TTABLE || !lua_checkstack(L, 5) || !lua_getmetatable(L, idx))
        return false;
    push_class(L, "CurioError");
    bool is =
        lua_type(L, -1) == LUA_TTABLE && lua_getmetatable(L, -1) && lua_rawequal(L, -1, top + 1);
    lua_settop(L, top);
    return is;
}

static int to_text(lua_State *L) {
    luaL_tolstring(L, 1, NULL);
    return 1;
}

const char *error_text(lua_State *L, int idx) {
    idx = lua_absindex(L, idx);
    luaL_checkstack(L, 3, "error");
    lua_pushcfunction(L, to_text);
    lua_pushvalue(L, idx);
    if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
        lua_pop(L, 1);
        lua_pushfstring(L, "(%s: %p, whose __tostring fails)", luaL_typename(L, idx),
                        lua_topointer(L, idx));
    }
    return lua_tostring(L, -1);
}

void error_os(lua_State *L, int err, const char *op, const char *subject) {
    char text[128];
    errcode_message(err, text, sizeof text);
    const char *code = errcode_name(err);
    if (subject)
        error_new(L, "OSError", "%s %s: %s (%s)", op, subject, text, code);
    else
        error_new(L, "OSError", "%s: %s (%s)", op, text, code);
    if (lua_type(L, -1) != LUA_TTABLE)
        return;
    lua_pushstring(L, code);
    lua_setfield(L, -2, "code");
    lua_pushinteger(L, err);
    lua_setfield(L, -2, "errno");
    lua_pushstring(L, op);
    lua_setfield(L, -2, "op");
    lua_pushstring(L, subject);
    lua_setfield(L, -2, "subject");
}

int error_os_return(lua_State *L, int err, const char *op, const char *subject) {
    lua_pushnil(L);
    error_os(L, err, op, subject);
    return 2;
}

int error_closed_return(lua_State *L, const char *op, const char *what) {
    lua_pushnil(L);
    error_new(L, "ClosedError", "%s: the %s is closed", op, what);
    return 2;
}

/* ---- core.errors ---- */

/* register(classes): name -> class */
static int f_register(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &classes_key);
    return 0;
}

/* is(value, class, ...): is the value an instance of one of the classes? */
static int f_is(lua_State *L) {
    int n = lua_gettop(L);
    luaL_checkany(L, 1);
    for (int i = 2; i <= n; i++)
        luaL_argexpected(L, lua_type(L, i) == LUA_TTABLE, i, "error class");
    bool found = false;
    for (int i = 2; i <= n && !found; i++)
        found = error_isa(L, 1, i);
    lua_pushboolean(L, found);
    return 1;
}

/* os(errno, op, subject): an OSError */
static int f_os(lua_State *L) {
    error_os(L, (int)luaL_checkinteger(L, 1), luaL_checkstring(L, 2), luaL_optstring(L, 3, NULL));
    return 1;
}

/* text(value): as tostring, whatever its __tostring may do */
static int f_text(lua_State *L) {
    luaL_checkany(L, 1);
    error_text(L, 1);
    return 1;
}

static const luaL_Reg functions[] = {
    {"text", f_text}, {"register", f_register}, {"is", f_is}, {"os", f_os}, {NULL, NULL},
};

int open_errlib(lua_State *L) {
    luaL_newlib(L, functions);
    return 1;
}
