/*
 * state.h - Lua states for threads: made like the one of the program that runs, each used by its
 * own thread only.
 */
#ifndef CURIO_STATE_H
#define CURIO_STATE_H

#include <lua.h>
#include <stdatomic.h>
#include <stddef.h>

/* The curio program has an allocator, libraries and a require of its own, and so have its states.
   Without a maker they are as those of luaL_newstate with the standard libraries. */
struct state_maker {
    lua_State *(*open)(void);    /* without libraries; NULL without memory */
    void (*equip)(lua_State *L); /* may raise */
    void (*close)(lua_State *L);
};
void state_set_maker(const struct state_maker *maker);

/* Where a state finds modules: package.path and package.cpath. Shared by who made it and the jobs
   it started. */
struct state_paths {
    atomic_int refs;
    const char *path, *cpath; /* in the same block */
};

/* Those of L. [-0, +0, m] NULL without memory. */
struct state_paths *state_paths_of(lua_State *L);

/* A new state with curio in it. NULL, and why is filled. Blocks, for it reads modules. */
lua_State *state_open(const struct state_paths *paths, char *why, size_t size);
void state_close(lua_State *L);

void state_paths_ref(struct state_paths *p);
void state_paths_unref(struct state_paths *p);

/* [-0, +0, v] */
void state_require(lua_State *L, const char *module);

/* [-0, +0, m] */
void state_use_paths(lua_State *L, const struct state_paths *paths);

#endif
