/*
 * Values from another Lua state or process: a corrupt message is an error, never a crash. Bytecode
 * is guarded by a checksum, which the fuzzer does not find.
 *
 * Sources: all, with Lua
 */
#include "fuzz.h"

#include <lauxlib.h>
#include <lualib.h>

#include "copylib.h"

int luaopen_curio_core(lua_State *L);

/* [data] */
static int read(lua_State *L) {
    size_t size;
    const char *data = lua_tolstring(L, 1, &size);
    struct copy_how how = {.flags = size % 2 ? COPY_REMOTE : COPY_PLAIN};
    struct message *m = copy_new_message(L);
    if (message_set(m, data, size) == 0)
        copy_in(L, m, &how);
    return 0;
}

static lua_State *L;

static void open_state(void) {
    L = luaL_newstate();
    luaL_openlibs(L);
    luaL_requiref(L, "curio.core", luaopen_curio_core, 0);
    lua_settop(L, 0);
    MUST(!luaL_dostring(L, "package.path = 'lua/?.lua;lua/?/init.lua' return require 'curio'"));
    MUST(lua_istable(L, 1));
    lua_settop(L, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static unsigned runs;
    if (!L)
        open_state();
    lua_pushcfunction(L, read);
    lua_pushlstring(L, (const char *)data, size);
    lua_pcall(L, 1, 0, 0);
    lua_settop(L, 0);
    if (++runs % 64 == 0)
        lua_gc(L, LUA_GCCOLLECT);
    return 0;
}
