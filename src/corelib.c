/*
 * corelib.c - luaopen_curio_core: puts the parts together.
 */
#include "lib.h"

/* Copies the functions of the table on top into the one below it. */
static void merge(lua_State *L) {
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -5);
    }
    lua_pop(L, 1);
}

__attribute__((visibility("default"))) int luaopen_curio_core(lua_State *L) {
    luaL_checkversion(L);
    lua_createtable(L, 0, 32);
    open_kernellib(L);
    merge(L);
    open_tasklib(L);
    merge(L);
    open_timelib(L);
    merge(L);
    open_colib(L);
    merge(L);
    open_errlib(L);
    lua_setfield(L, -2, "errors");
    open_arglib(L);
    lua_setfield(L, -2, "args");
    open_grouplib(L);
    lua_setfield(L, -2, "group");
    open_schedlib(L);
    lua_setfield(L, -2, "sched");
    open_queuelib(L);
    lua_setfield(L, -2, "queue");
    open_testlib(L);
    lua_setfield(L, -2, "testing");
    open_channellib(L);
    lua_setfield(L, -2, "channel");
    open_editlib(L);
    lua_setfield(L, -2, "edit");
    open_monitorlib(L);
    lua_setfield(L, -2, "monitor");
    open_tracelib(L);
    lua_setfield(L, -2, "trace");
    open_traplib(L);
    lua_setfield(L, -2, "traps");
    open_interoplib(L);
    lua_setfield(L, -2, "interop");
    open_luvlib(L);
    lua_setfield(L, -2, "luv");
    open_copylib(L);
    lua_setfield(L, -2, "copy");
    open_threadlib(L);
    lua_setfield(L, -2, "thread");
    open_workerlib(L);
    lua_setfield(L, -2, "worker");
    open_standinlib(L);
    lua_setfield(L, -2, "standin");
    open_universallib(L);
    lua_setfield(L, -2, "universal");
    open_socketlib(L);
    lua_setfield(L, -2, "socket");
    open_filelib(L);
    lua_setfield(L, -2, "file");
    open_resolvelib(L);
    lua_setfield(L, -2, "resolve");
    open_streamlib(L);
    lua_setfield(L, -2, "stream");
    open_siglib(L);
    lua_setfield(L, -2, "signal");
    open_proclib(L);
    open_ptylib(L);
    lua_setfield(L, -2, "terminal");
    open_idlib(L);
    lua_setfield(L, -2, "ids");
    lua_setfield(L, -2, "process");
    open_tlslib(L);
    lua_setfield(L, -2, "tls");
    return 1;
}
