/*
 * namelib.c - the names of namelib.h.
 *
 * The registry has two tables, value -> name, with weak keys: one for modules and functions, one
 * for tables that are fields. Of several names the shortest is kept, of those the first in the
 * alphabet, so that the choice does not depend on the order in which tables are walked.
 */
#include "namelib.h"

#include <string.h>

#include "lib.h"

enum { VALUES = 1, TABLES, COUNT }; /* places in the table under names_key */
#define DEPTH_MAX 2                 /* fields of fields */

static char names_key;

/* Functions of Lua that the globals of every state have, whoever may have written them anew. */
static const char *const standard[] = {
    "assert",   "collectgarbage", "dofile",  "error",  "getmetatable", "ipairs",   "load",
    "loadfile", "next",           "pairs",   "pcall",  "print",        "rawequal", "rawget",
    "rawlen",   "rawset",         "require", "select", "setmetatable", "tonumber", "tostring",
    "type",     "warn",           "xpcall",  NULL};

static bool is_standard(const char *name) {
    for (int i = 0; standard[i]; i++)
        if (!strcmp(standard[i], name))
            return true;
    return false;
}

/* ---- making the tables ---- */

static bool is_better(lua_State *L, int name, int than) {
    size_t a = lua_rawlen(L, name), b = lua_rawlen(L, than);
    return a != b ? a < b : memcmp(lua_tostring(L, name), lua_tostring(L, than), a) < 0;
}

/* With the value and its name on top; names is one of the two tables. [-0, +0, m] */
static void note(lua_State *L, int names) {
    int name = lua_gettop(L);
    lua_pushvalue(L, name - 1);
    if (lua_rawget(L, names) != LUA_TSTRING || is_better(L, name, -1)) {
        lua_pushvalue(L, name - 1);
        lua_pushvalue(L, name);
        lua_rawset(L, names);
    }
    lua_settop(L, name);
}

/* Pushes prefix NUL key. */
static void push_field_name(lua_State *L, int prefix, int key) {
    prefix = lua_absindex(L, prefix);
    key = lua_absindex(L, key);
    lua_pushvalue(L, prefix);
    lua_pushlstring(L, "", 1);
    lua_pushvalue(L, key);
    lua_concat(L, 3);
}

static void scan(lua_State *L, int names, int table, int prefix, int depth);

/* With a field's key and value on top. [-0, +0, m] */
static void scan_field(lua_State *L, int names, int prefix, int depth) {
    int type = lua_type(L, -1);
    if (lua_type(L, -2) != LUA_TSTRING || (type != LUA_TFUNCTION && type != LUA_TTABLE))
        return;
    push_field_name(L, prefix, -2);
    note(L, names + (type == LUA_TTABLE ? TABLES : VALUES));
    int name = lua_gettop(L);
    if (type == LUA_TTABLE && depth < DEPTH_MAX)
        scan(L, names, name - 1, name, depth + 1);
    lua_settop(L, name - 1);
}

static void scan(lua_State *L, int names, int table, int prefix, int depth) {
    luaL_checkstack(L, 10, "names");
    lua_pushnil(L);
    while (lua_next(L, table)) {
        scan_field(L, names, prefix, depth);
        lua_pop(L, 1);
    }
}

/* Of the globals only what every state has. */
static void scan_globals(lua_State *L, int names, int table, int prefix) {
    lua_pushnil(L);
    while (lua_next(L, table)) {
        bool known = lua_type(L, -2) == LUA_TSTRING && lua_type(L, -1) == LUA_TFUNCTION &&
                     (lua_iscfunction(L, -1) || is_standard(lua_tostring(L, -2)));
        if (known)
            scan_field(L, names, prefix, DEPTH_MAX);
        lua_pop(L, 1);
    }
}

/* With a module's name and value on top. [-0, +0, m] */
static void scan_module(lua_State *L, int names) {
    int type = lua_type(L, -1), value = lua_gettop(L);
    if (lua_type(L, -2) != LUA_TSTRING || (type != LUA_TFUNCTION && type != LUA_TTABLE))
        return;
    lua_pushvalue(L, value - 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    bool globals = lua_rawequal(L, value, -1);
    lua_pop(L, 1);
    if (!globals)
        note(L, names + VALUES);
    if (globals)
        scan_globals(L, names, value, value + 1);
    else if (type == LUA_TTABLE)
        scan(L, names, value, value + 1, 1);
    lua_settop(L, value);
}

static void push_loaded(lua_State *L) {
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
}

static lua_Integer count_modules(lua_State *L) {
    lua_Integer n = 0;
    push_loaded(L);
    lua_pushnil(L);
    for (; lua_next(L, -2); lua_pop(L, 1))
        n++;
    lua_pop(L, 1);
    return n;
}

/* [-0, +0, m] */
static void make(lua_State *L) {
    int top = lua_gettop(L);
    luaL_checkstack(L, 16, "names");
    int names = top + 1; /* names + VALUES and names + TABLES are the tables */
    push_loaded(L);
    weak_new(L, "k");
    weak_new(L, "k");
    lua_pushnil(L);
    while (lua_next(L, top + 1)) {
        scan_module(L, names);
        lua_pop(L, 1);
    }
    lua_createtable(L, COUNT, 0);
    lua_insert(L, top + 2);
    lua_rawseti(L, top + 2, TABLES);
    lua_rawseti(L, top + 2, VALUES);
    lua_pushinteger(L, count_modules(L));
    lua_rawseti(L, top + 2, COUNT);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &names_key);
    lua_settop(L, top);
}

/* ---- looking up ---- */

void name_refresh(lua_State *L) {
    luaL_checkstack(L, 6, "names");
    lua_Integer n = -1;
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &names_key) == LUA_TTABLE) {
        lua_rawgeti(L, -1, COUNT);
        n = lua_tointeger(L, -1);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    if (n != count_modules(L))
        make(L);
}

/* The field at the beginning of the name. Where the next one begins; NULL: it was the last. */
static const char *push_part(lua_State *L, const char *name, const char *end) {
    const char *nul = memchr(name, '\0', (size_t)(end - name));
    lua_pushlstring(L, name, (size_t)((nul ? nul : end) - name));
    return nul ? nul + 1 : NULL;
}

/* Pushes what the name stands for now, without calling anything; may be nil. [-0, +1, m] */
static void push_raw(lua_State *L, const char *name, size_t size) {
    push_loaded(L);
    for (const char *at = name; at; lua_remove(L, -2)) {
        at = push_part(L, at, name + size);
        if (lua_type(L, -2) == LUA_TTABLE)
            lua_rawget(L, -2);
    }
}

/* [-0, +0|1, m] */
static bool look_up(lua_State *L, int idx, int which) {
    luaL_checkstack(L, 6, "names");
    idx = lua_absindex(L, idx);
    int top = lua_gettop(L);
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &names_key) == LUA_TTABLE) {
        lua_rawgeti(L, -1, which);
        lua_pushvalue(L, idx);
        if (lua_rawget(L, -2) == LUA_TSTRING) {
            size_t size;
            const char *name = lua_tolstring(L, -1, &size);
            push_raw(L, name, size);
            if (lua_rawequal(L, -1, idx)) {
                lua_pop(L, 1);
                lua_replace(L, top + 1);
                lua_settop(L, top + 1);
                return true;
            }
        }
    }
    lua_settop(L, top);
    return false;
}

bool name_push(lua_State *L, int idx) {
    return look_up(L, idx, VALUES);
}

bool name_push_table(lua_State *L, int idx) {
    return look_up(L, idx, TABLES) || look_up(L, idx, VALUES);
}

/* ---- finding ---- */

/* With the module's name on top, leaves the module instead. [-1, +1, v] */
static void load_module(lua_State *L) {
    push_loaded(L);
    lua_pushvalue(L, -2);
    if (lua_rawget(L, -2) == LUA_TNIL) {
        lua_getglobal(L, "require");
        lua_pushvalue(L, -4);
        lua_call(L, 1, 1);
        lua_replace(L, -2);
    }
    lua_replace(L, -3);
    lua_pop(L, 1);
}

/* [-0, +1, m] */
static void push_dotted(lua_State *L, const char *name, size_t size) {
    luaL_Buffer b;
    char *text = luaL_buffinitsize(L, &b, size);
    for (size_t i = 0; i < size; i++)
        text[i] = (char)(name[i] ? name[i] : '.');
    luaL_pushresultsize(&b, size);
}

static int not_found(lua_State *L, const char *name, size_t size) {
    push_dotted(L, name, size);
    error_new(L, "CurioError", "a value that was sent by name is not in this Lua state: %s",
              lua_tostring(L, -1));
    return lua_error(L);
}

void name_find(lua_State *L, const char *name, size_t size) {
    luaL_checkstack(L, 8, "names");
    const char *at = push_part(L, name, name + size);
    load_module(L);
    while (at) {
        if (lua_type(L, -1) != LUA_TTABLE)
            not_found(L, name, size);
        at = push_part(L, at, name + size);
        lua_gettable(L, -2);
        lua_remove(L, -2);
    }
    if (lua_isnil(L, -1))
        not_found(L, name, size);
}
