/*
 * Streams, against Lua's own files: the input is a list of reads, the size of the pieces in which
 * bytes arrive, and the bytes. Both must give the same results and leave the same behind; what
 * files do not have is compared with string.find.
 *
 * Sources: all, with Lua
 */
#include "fuzz.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>

int luaopen_curio_core(lua_State *L);

static const char script[] =
    "package.path = 'lua/?.lua;lua/?/init.lua'\n"
    "local curio = require 'curio'\n"
    "local formats = { { 'l' }, { 'L' }, { 'n' }, { 'a' }, { 'n', 'l' }, { 'L', 'n' },\n"
    "  { 'n', 'n', 'n' }, { 0 }, { 0, 'l' } }\n"
    "local open = ...\n"
    "local function same(a, b)\n"
    "  assert(a.n == b.n)\n"
    "  for i = 1, a.n do\n"
    "    assert(a[i] == b[i] and math.type(a[i]) == math.type(b[i]))\n"
    "  end\n"
    "end\n"
    "local function bounded(file, stream, text, delim, max, line)\n"
    "  local at = file:seek()\n"
    "  local i, j = text:find(delim, at + 1, true)\n"
    "  local left = (i or #text + 1) - 1 - at\n"
    "  local got, err\n"
    "  if line then\n"
    "    got, err = stream:readline { max = max }\n"
    "  else\n"
    "    got, err = stream:read_until(delim, { max = max })\n"
    "  end\n"
    "  if left > max and (i or left - max >= #delim) then\n"
    "    assert(not got and err.code == 'EMSGSIZE')\n"
    "  elseif i then\n"
    "    assert(got == text:sub(at + 1, i - 1))\n"
    "    file:seek('set', j)\n"
    "  else\n"
    "    if left == 0 then\n"
    "      assert(not got and not err)\n"
    "    else\n"
    "      assert((line and got or err.partial) == text:sub(at + 1))\n"
    "    end\n"
    "    file:seek('end')\n"
    "  end\n"
    "end\n"
    "local function exactly(file, stream, text, n)\n"
    "  local at = file:seek()\n"
    "  local got, err = stream:read_exactly(n)\n"
    "  local wanted = text:sub(at + 1, at + n)\n"
    "  assert((got or err and err.partial or '') == wanted and (not got or #wanted == n))\n"
    "  file:seek('set', at + #wanted)\n"
    "end\n"
    "local function try(data)\n"
    "  local k = (data:byte(1) or 0) % 16\n"
    "  local cut = (data:byte(k + 2) or 0) % 9 + 1\n"
    "  local text, pos = data:sub(k + 3), 1\n"
    "  local stream = curio.io.SocketStream { send = print, recv = function(_, n)\n"
    "    local part = text:sub(pos, pos + math.min(n, cut) - 1)\n"
    "    pos = pos + #part\n"
    "    return part ~= '' and part or nil\n"
    "  end }\n"
    "  local file <close> = open(text)\n"
    "  for _, op in ipairs { data:byte(2, k + 1) } do\n"
    "    local arg = op // 16\n"
    "    if op % 16 < 9 then\n"
    "      local asked = formats[op % 16 + 1]\n"
    "      same(table.pack(file:read(table.unpack(asked))),\n"
    "        table.pack(stream:read(table.unpack(asked))))\n"
    "    elseif op % 16 < 11 then\n"
    "      bounded(file, stream, text, '\\n', arg, true)\n"
    "    elseif op % 16 < 14 then\n"
    "      bounded(file, stream, text, arg % 2 == 0 and ';' or '\\r\\n', arg)\n"
    "    else\n"
    "      exactly(file, stream, text, arg)\n"
    "    end\n"
    "  end\n"
    "  assert(file:read 'a' == stream:readall())\n"
    "end\n"
    "return function(data)\n"
    "  curio.run(try, data)\n"
    "end\n";

static lua_State *L;

static int close_file(lua_State *state) {
    const luaL_Stream *file = luaL_checkudata(state, 1, LUA_FILEHANDLE);
    return luaL_fileresult(state, fclose(file->f) == 0, NULL);
}

/* A Lua file of the bytes at 1, which stay where they are. */
static int open_file(lua_State *state) {
    size_t size;
    const char *text = luaL_checklstring(state, 1, &size);
    luaL_Stream *file = lua_newuserdatauv(state, sizeof *file, 1);
    file->closef = NULL;
    luaL_setmetatable(state, LUA_FILEHANDLE);
    lua_pushvalue(state, 1);
    lua_setiuservalue(state, -2, 1);
    file->f = size ? fmemopen((char *)text, size, "r") : fopen("/dev/null", "r");
    MUST(file->f);
    file->closef = close_file;
    return 1;
}

static void open_state(void) {
    L = luaL_newstate();
    luaL_openlibs(L);
    luaL_requiref(L, "curio.core", luaopen_curio_core, 0);
    lua_settop(L, 0);
    MUST(luaL_loadstring(L, script) == LUA_OK);
    lua_pushcfunction(L, open_file);
    MUST(lua_pcall(L, 1, 1, 0) == LUA_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static unsigned runs;
    if (!L)
        open_state();
    lua_pushvalue(L, 1);
    lua_pushlstring(L, (const char *)data, size);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
        fprintf(stderr, "%s\n", luaL_tolstring(L, -1, NULL));
        MUST(0);
    }
    lua_settop(L, 1);
    if (++runs % 64 == 0)
        lua_gc(L, LUA_GCCOLLECT);
    return 0;
}
