/*
 * arglib.c - the keyword-call form, options tables, and what stands for a descriptor.
 *
 * An option that nobody knows is a mistake that must not pass silently, so both are checked against
 * a list of names. The lists are short: they are searched in turn.
 */
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "inspect.h"
#include "lib.h"

/* Raises, with the place in the user's code: the options may have come through Lua code of ours. */
static int args_error(lua_State *L, const char *fmt, ...) {
    va_list args;
    inspect_push_place(L);
    va_start(args, fmt);
    lua_pushvfstring(L, fmt, args);
    va_end(args);
    lua_concat(L, 2);
    return lua_error(L);
}

bool args_callable(lua_State *L, int idx) {
    if (lua_type(L, idx) == LUA_TFUNCTION)
        return true;
    if (!luaL_getmetafield(L, idx, "__call"))
        return false;
    lua_pop(L, 1);
    return true;
}

static bool is_known(const char *name, const char *const known[]) {
    for (int i = 0; known[i]; i++)
        if (!strcmp(known[i], name))
            return true;
    return false;
}

static int unknown(lua_State *L, const char *verb, const char *name, const char *const known[]) {
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (int i = 0; known[i]; i++) {
        if (i)
            luaL_addstring(&b, ", ");
        luaL_addstring(&b, known[i]);
    }
    luaL_pushresult(&b);
    const char *list = lua_tostring(L, -1);
    return args_error(L, "%s: unknown option '%s' (known: %s)", verb, name, *list ? list : "none");
}

/* With a key and its value on top. Returns the key if it is a positional one, else 0. */
static lua_Integer check_key(lua_State *L, const char *verb, const char *const known[],
                             bool positional) {
    if (positional && lua_isinteger(L, -2) && lua_tointeger(L, -2) > 0)
        return lua_tointeger(L, -2);
    if (lua_type(L, -2) != LUA_TSTRING)
        args_error(L, "%s: an option's name must be a string, not %s", verb, error_text(L, -2));
    const char *name = lua_tostring(L, -2);
    if (!is_known(name, known))
        unknown(L, verb, name, known);
    return 0;
}

/* Checks all keys; returns the highest positional one, which may stand after holes. */
static lua_Integer check_keys(lua_State *L, int idx, const char *verb, const char *const known[],
                              bool positional) {
    lua_Integer highest = 0;
    lua_pushnil(L);
    while (lua_next(L, idx)) {
        lua_Integer i = check_key(L, verb, known, positional);
        if (i > highest)
            highest = i;
        lua_pop(L, 1);
    }
    return highest;
}

static void unpack(lua_State *L, int idx, const char *verb, const char *const known[]) {
    lua_Integer n = check_keys(L, idx, verb, known, true);
    if (n > 200)
        args_error(L, "%s: too many arguments (%I)", verb, n);
    lua_settop(L, idx);
    luaL_checkstack(L, (int)n + 2, verb);
    for (lua_Integer i = 1; i <= n; i++)
        lua_rawgeti(L, idx, i);
}

void args_call(lua_State *L, int idx, const char *verb, const char *const known[], int lead) {
    luaL_checkstack(L, 4, verb);
    if (lua_type(L, idx) == LUA_TTABLE && !args_callable(L, idx)) {
        unpack(L, idx, verb, known);
    } else {
        lua_pushnil(L);
        lua_insert(L, idx);
    }
    int fn = idx + 1 + lead;
    if (lua_gettop(L) < fn)
        lua_settop(L, fn);
    if (!args_callable(L, fn))
        args_error(L, "%s: a function is expected, got %s", verb, luaL_typename(L, fn));
}

bool args_options(lua_State *L, int idx, const char *verb, const char *const known[]) {
    if (lua_isnoneornil(L, idx))
        return false;
    if (lua_type(L, idx) != LUA_TTABLE)
        args_error(L, "%s: a table of options is expected, got %s", verb, luaL_typename(L, idx));
    luaL_checkstack(L, 4, verb);
    check_keys(L, lua_absindex(L, idx), verb, known, false);
    return true;
}

/* Pushes the option; false (and nothing pushed) when it is absent. */
static bool option(lua_State *L, int idx, const char *name) {
    if (lua_type(L, idx) != LUA_TTABLE)
        return false;
    if (lua_getfield(L, idx, name) != LUA_TNIL)
        return true;
    lua_pop(L, 1);
    return false;
}

static int wrong(lua_State *L, const char *verb, const char *name, const char *expected) {
    const char *got = error_text(L, -1);
    return args_error(L, "%s: option '%s' must be %s, got %s", verb, name, expected, got);
}

bool args_bool(lua_State *L, int idx, const char *verb, const char *name, bool def) {
    if (!option(L, idx, name))
        return def;
    if (lua_type(L, -1) != LUA_TBOOLEAN)
        wrong(L, verb, name, "true or false");
    bool value = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

double args_seconds(lua_State *L, int idx, const char *verb, const char *name, double def) {
    if (!option(L, idx, name))
        return def;
    if (lua_type(L, -1) != LUA_TNUMBER || isnan(lua_tonumber(L, -1)))
        wrong(L, verb, name, "a number of seconds");
    double value = lua_tonumber(L, -1);
    lua_pop(L, 1);
    return value;
}

lua_Integer args_int(lua_State *L, int idx, const char *verb, const char *name, lua_Integer def) {
    if (!option(L, idx, name))
        return def;
    if (!lua_isinteger(L, -1))
        wrong(L, verb, name, "an integer");
    lua_Integer value = lua_tointeger(L, -1);
    lua_pop(L, 1);
    return value;
}

double args_check_seconds(lua_State *L, int idx) {
    if (lua_type(L, idx) != LUA_TNUMBER)
        luaL_typeerror(L, idx, "number of seconds");
    double s = lua_tonumber(L, idx);
    luaL_argcheck(L, !isnan(s), idx, "not a number of seconds (nan)");
    return s;
}

/* ---- descriptors ---- */

/* Pushes what the object says its descriptor is; false (and nothing pushed) if it cannot say. */
static bool ask_fileno(lua_State *L, int idx) {
    if (luaL_callmeta(L, idx, "__fileno"))
        return true;
    bool indexed = lua_istable(L, idx);
    if (!indexed && luaL_getmetafield(L, idx, "__index")) {
        lua_pop(L, 1);
        indexed = lua_isuserdata(L, idx);
    }
    if (!indexed)
        return false;
    lua_pushvalue(L, idx);
    if (lua_getfield(L, -1, "fileno") == LUA_TNIL) {
        lua_pop(L, 2);
        return false;
    }
    lua_insert(L, -2);
    lua_call(L, 1, 1);
    return true;
}

static int in_range(lua_Integer fd) {
    return fd >= 0 && fd <= INT_MAX ? (int)fd : -1;
}

int args_to_fileno(lua_State *L, int idx) {
    if (lua_isinteger(L, idx))
        return in_range(lua_tointeger(L, idx));
    luaL_Stream *file = luaL_testudata(L, idx, LUA_FILEHANDLE);
    if (file)
        return file->closef ? fileno(file->f) : -1;
    if (!ask_fileno(L, lua_absindex(L, idx)))
        return -1;
    int fd = lua_isinteger(L, -1) ? in_range(lua_tointeger(L, -1)) : -1;
    lua_pop(L, 1);
    return fd;
}

int args_fileno(lua_State *L, int idx) {
    int fd = args_to_fileno(L, idx);
    if (fd >= 0)
        return fd;
    if (lua_isnumber(L, idx))
        return luaL_argerror(L, idx, "not a descriptor");
    luaL_argexpected(L, lua_istable(L, idx) || lua_isuserdata(L, idx), idx,
                     "descriptor or object with fileno");
    return luaL_argerror(L, idx, "its fileno is not a descriptor (closed?)");
}

/* ---- core.args ---- */

#define KNOWN_MAX 32

/* Reads the list of names at idx into known. */
static void read_known(lua_State *L, int idx, const char *known[]) {
    luaL_checktype(L, idx, LUA_TTABLE);
    lua_Integer n = luaL_len(L, idx);
    luaL_argcheck(L, n < KNOWN_MAX, idx, "too many names");
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, idx, i);
        known[i - 1] = luaL_checkstring(L, -1); /* kept alive by the list */
        lua_pop(L, 1);
    }
    known[n] = NULL;
}

/* options(opts, verb, names): opts checked, or an empty table */
static int f_options(lua_State *L) {
    const char *known[KNOWN_MAX];
    const char *verb = luaL_checkstring(L, 2);
    read_known(L, 3, known);
    if (args_options(L, 1, verb, known))
        lua_pushvalue(L, 1);
    else
        lua_createtable(L, 0, 0);
    return 1;
}

/* call(verb, names, lead, ...): options or nil, then the lead, the function and its arguments */
static int f_call(lua_State *L) {
    const char *known[KNOWN_MAX];
    const char *verb = luaL_checkstring(L, 1);
    read_known(L, 2, known);
    int lead = (int)luaL_checkinteger(L, 3);
    if (lua_gettop(L) < 4)
        lua_settop(L, 4);
    args_call(L, 4, verb, known, lead);
    return lua_gettop(L) - 3;
}

static int f_callable(lua_State *L) {
    luaL_checkany(L, 1);
    lua_pushboolean(L, args_callable(L, 1));
    return 1;
}

static int f_fileno(lua_State *L) {
    lua_pushinteger(L, args_fileno(L, 1));
    return 1;
}

/* misuse(message): raises it, with the place in the user's code */
static int f_misuse(lua_State *L) {
    return args_error(L, "%s", luaL_checkstring(L, 1));
}

static const luaL_Reg functions[] = {
    {"fileno", f_fileno},     {"options", f_options}, {"call", f_call},
    {"callable", f_callable}, {"misuse", f_misuse},   {NULL, NULL},
};

int open_arglib(lua_State *L) {
    luaL_newlib(L, functions);
    return 1;
}
