/*
 * state.c - making and closing the states of threads; see state.h.
 */
#include "state.h"

#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib.h"

int luaopen_curio_core(lua_State *L);

static lua_State *plain_open(void) {
    return luaL_newstate();
}

static void plain_equip(lua_State *L) {
    luaL_openlibs(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_curio_core);
    lua_setfield(L, -2, "curio.core");
    lua_pop(L, 1);
}

static const struct state_maker plain = {plain_open, plain_equip, lua_close};
static const struct state_maker *maker = &plain;

void state_set_maker(const struct state_maker *m) {
    maker = m;
}

/* ---- paths ---- */

static const char *field(lua_State *L, const char *name) {
    lua_getfield(L, -1, name);
    lua_insert(L, -2);
    return lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
}

static void push_package(lua_State *L) {
    luaL_checkstack(L, 4, "paths");
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_getfield(L, -1, LUA_LOADLIBNAME);
    lua_remove(L, -2);
    if (!lua_istable(L, -1))
        luaL_error(L, "the package library is missing");
}

struct state_paths *state_paths_of(lua_State *L) {
    push_package(L);
    const char *path = field(L, "path"), *cpath = field(L, "cpath");
    size_t n = strlen(path) + 1, cn = strlen(cpath) + 1;
    struct state_paths *p = malloc(sizeof *p + n + cn);
    if (p) {
        char *text = (char *)(p + 1);
        atomic_init(&p->refs, 1);
        p->path = memcpy(text, path, n);
        p->cpath = memcpy(text + n, cpath, cn);
    }
    lua_pop(L, 3);
    return p;
}

void state_paths_ref(struct state_paths *p) {
    atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
}

void state_paths_unref(struct state_paths *p) {
    if (p && atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) == 1)
        free(p);
}

void state_use_paths(lua_State *L, const struct state_paths *paths) {
    push_package(L);
    lua_pushstring(L, paths->path);
    lua_setfield(L, -2, "path");
    lua_pushstring(L, paths->cpath);
    lua_setfield(L, -2, "cpath");
    lua_pop(L, 1);
}

/* ---- os.exit ---- */

/* Ends the process at once. Not by exit(), whose handlers (those of OpenSSL, say) take apart what
   other threads are using. */
static int f_exit(lua_State *L) {
    int code = lua_isboolean(L, 1) ? (lua_toboolean(L, 1) ? EXIT_SUCCESS : EXIT_FAILURE)
                                   : (int)luaL_optinteger(L, 1, EXIT_SUCCESS);
    fflush(stdout);
    fflush(stderr);
    _exit(code);
    return 0;
}

/* ---- states ---- */

void state_require(lua_State *L, const char *module) {
    lua_getglobal(L, "require");
    lua_pushstring(L, module);
    lua_call(L, 1, 0);
}

/* [paths] */
static int equip(lua_State *L) {
    const struct state_paths *paths = lua_touserdata(L, 1);
    maker->equip(L);
    state_use_paths(L, paths);
    state_require(L, "curio.report"); /* error classes, hooks */
    lua_getglobal(L, "os");
    lua_pushcfunction(L, f_exit);
    lua_setfield(L, -2, "exit");
    return 0;
}

lua_State *state_open(const struct state_paths *paths, char *why, size_t size) {
    lua_State *L = maker->open();
    if (!L) {
        snprintf(why, size, "not enough memory");
        return NULL;
    }
    lua_pushcfunction(L, equip);
    lua_pushlightuserdata(L, (void *)paths);
    if (lua_pcall(L, 1, 0, 0) == LUA_OK)
        return L;
    const char *msg = lua_tostring(L, -1);
    snprintf(why, size, "%s", msg ? msg : "an error that is not a string");
    state_close(L);
    return NULL;
}

void state_close(lua_State *L) {
    maker->close(L);
}
