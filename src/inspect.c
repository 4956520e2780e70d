/*
 * inspect.c - reading the stacks of sleeping tasks, through nested coroutines.
 */
#include "inspect.h"

#include <stdio.h>
#include <string.h>

#include "kernel.h"
#include "lib.h"

static char own_key; /* registry: the prefix of curio's own chunk names */

void inspect_set_own(lua_State *L) {
    lua_rawsetp(L, LUA_REGISTRYINDEX, &own_key);
}

static bool is_own(lua_State *L, const char *source) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &own_key);
    const char *prefix = lua_tostring(L, -1);
    bool own = prefix && !strncmp(source, prefix, strlen(prefix));
    lua_pop(L, 1);
    return own;
}

void inspect_push_place(lua_State *L) {
    lua_Debug ar;
    luaL_checkstack(L, 3, "place");
    for (int level = 1; lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "Sl", &ar);
        if (ar.currentline < 0 || is_own(L, ar.source))
            continue;
        lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
        return;
    }
    lua_pushliteral(L, "");
}

/* One coroutine of a task, and the next outer one. */
struct walk {
    struct task *task;
    lua_State *L;
};

static lua_State *outer_of(const struct walk *w) {
    lua_State *outer = w->task->L;
    if (outer == w->L)
        return NULL;
    for (;;) {
        lua_State *inner = task_resumed_by(w->task, outer);
        if (!inner || inner == w->L)
            return outer;
        outer = inner;
    }
}

typedef bool frame_fn(lua_State *L, lua_Debug *ar, void *ctx);

/* Calls fn for the Lua frames of the user's code, innermost first, until it returns true. */
static bool each_frame(lua_State *L, struct task *t, frame_fn *fn, void *ctx, lua_Debug *ar) {
    if (!t->L)
        return false;
    struct walk w = {t, task_innermost(t)};
    while (w.L) {
        for (int level = 0; lua_getstack(w.L, level, ar); level++) {
            lua_getinfo(w.L, "Sl", ar);
            if (ar->currentline < 0 || is_own(L, ar->source))
                continue;
            lua_getinfo(w.L, "n", ar);
            if (fn(L, ar, ctx))
                return true;
        }
        w.L = outer_of(&w);
    }
    return false;
}

static bool take_first(lua_State *L, lua_Debug *ar, void *ctx) {
    (void)L;
    (void)ar;
    (void)ctx;
    return true;
}

/* A task that has not begun stands at its function. */
static bool where_defined(lua_State *L, struct task *t, lua_Debug *ar) {
    if (!t->L || t->flags & T_STARTED)
        return false;
    task_push(L, t);
    bool found = false;
    if (lua_getiuservalue(L, -1, TASK_UV_NAME) == LUA_TFUNCTION) {
        lua_pushvalue(L, -1);
        lua_getinfo(L, ">S", ar);
        ar->currentline = ar->linedefined;
        found = ar->linedefined > 0;
    }
    lua_pop(L, 2);
    return found;
}

bool inspect_where(lua_State *L, struct task *t, lua_Debug *ar) {
    luaL_checkstack(L, 4, "where");
    return where_defined(L, t, ar) || each_frame(L, t, take_first, NULL, ar);
}

void inspect_push_line(lua_State *L, struct task *t, int object) {
    lua_Debug ar;
    luaL_checkstack(L, 6, "task");
    object = lua_absindex(L, object);
    const char *name = task_push_name(L, t, object);
    const char *id = lua_pushfstring(L, "%I", (LUAI_UACINT)t->id);
    if (inspect_where(L, t, &ar))
        lua_pushfstring(L, "Task(id=%s, name=%s, state=%s) at %s:%d", id, name, t->state,
                        ar.short_src, ar.currentline);
    else
        lua_pushfstring(L, "Task(id=%s, name=%s, state=%s)", id, name, t->state);
    lua_replace(L, -3);
    lua_pop(L, 1);
}

#define MAX_FRAMES 40 /* of a traceback; deep recursions are cut there */

static bool add_frame(lua_State *L, lua_Debug *ar, void *ctx) {
    int *left = ctx;
    if (--*left < 0) {
        lua_pushfstring(L, "%s\n\t...", lua_tostring(L, -1));
        lua_remove(L, -2);
        return true;
    }
    if (ar->name)
        lua_pushfstring(L, "%s\n\t%s:%d: in %s '%s'", lua_tostring(L, -1), ar->short_src,
                        ar->currentline, *ar->namewhat ? ar->namewhat : "function", ar->name);
    else if (*ar->what == 'm')
        lua_pushfstring(L, "%s\n\t%s:%d: in main chunk", lua_tostring(L, -1), ar->short_src,
                        ar->currentline);
    else
        lua_pushfstring(L, "%s\n\t%s:%d: in function <%s:%d>", lua_tostring(L, -1), ar->short_src,
                        ar->currentline, ar->short_src, ar->linedefined);
    lua_remove(L, -2);
    return false;
}

void inspect_push_traceback(lua_State *L, struct task *t, int object) {
    lua_Debug ar;
    luaL_checkstack(L, 8, "traceback");
    inspect_push_line(L, t, object);
    int left = MAX_FRAMES;
    if (!each_frame(L, t, add_frame, &left, &ar) && !t->L) {
        lua_pushfstring(L, "%s\n\t(no stack: the task has terminated)", lua_tostring(L, -1));
        lua_remove(L, -2);
    }
}

void inspect_dump(lua_State *L, struct kernel *k) {
    luaL_checkstack(L, 4, "dump");
    fprintf(stderr, "curio: %u tasks\n", k->live);
    for (uint32_t slot = 1; slot <= k->nslots; slot++) {
        struct task *t = slot_task(k->slots[slot]);
        if (!t)
            continue;
        task_push(L, t);
        inspect_push_traceback(L, t, -1);
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        lua_pop(L, 2);
    }
    fflush(stderr);
}
