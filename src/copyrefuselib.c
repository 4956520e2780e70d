/*
 * copyrefuselib.c - what cannot be sent: says what, and the path to it.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "copyoutlib.h"
#include "lib.h"

#define PATH_END 8 /* steps of a long path that are shown of either end */

static bool is_identifier(const char *text) {
    if (!isalpha((unsigned char)*text) && *text != '_')
        return false;
    while (isalnum((unsigned char)*text) || *text == '_')
        text++;
    return !*text;
}

/* [-0, +1, m] */
static void push_key(lua_State *L, int idx) {
    if (lua_type(L, idx) == LUA_TSTRING) {
        const char *key = lua_tostring(L, idx);
        if (is_identifier(key) && strlen(key) == lua_rawlen(L, idx))
            lua_pushfstring(L, ".%s", key);
        else
            lua_pushfstring(L, "['%s']", key);
    } else if (lua_type(L, idx) == LUA_TNUMBER || lua_type(L, idx) == LUA_TBOOLEAN) {
        lua_pushfstring(L, "[%s]", luaL_tolstring(L, idx, NULL));
        lua_remove(L, -2);
    } else {
        lua_pushfstring(L, "[%s]", luaL_typename(L, idx));
    }
}

/* How the path goes on from the value of that frame. [-0, +1, m] */
static void push_step(lua_State *L, const struct frame *f) {
    if (f->kind == ARRAY || f->kind == HELD_ARRAY) {
        lua_pushfstring(L, "[%I]", (LUAI_UACINT)f->at);
    } else if (f->kind == MAP || f->kind == HELD_MAP) {
        push_key(L, f->kind == MAP ? f->slot + 1 : f->slot + 2 * (int)f->at - 1);
        if (f->stage == SECOND) {
            lua_pushliteral(L, " (the key)");
            lua_concat(L, 2);
        }
    } else if (f->kind == FUNCTION) {
        const char *name = lua_getupvalue(L, f->slot, (int)f->at);
        lua_pop(L, 1);
        lua_pushfstring(L, "<upvalue %s>", name);
    } else {
        bool parent = f->kind == CLASS && f->stage == SECOND;
        bool meta = f->kind == OBJECT && f->stage == THIRD;
        lua_pushstring(L, parent ? ".parent" : meta ? "<metatable>" : "");
    }
}

/* Of long paths both ends. [-0, +1, m] */
static void push_path(lua_State *L, const struct out *o) {
    const char *root = o->how->root ? o->how->root : "values";
    luaL_checkstack(L, COPY_SLOTS, "path");
    if (o->how->flags & COPY_ONE)
        lua_pushstring(L, root);
    else if (o->how->first && o->nth == 1)
        lua_pushstring(L, o->how->first);
    else
        lua_pushfstring(L, "%s[%d]", root, o->nth - (o->how->first ? 1 : 0));
    for (int i = 0; i < o->nframes; i++) {
        if (i == PATH_END && o->nframes > 2 * PATH_END) {
            lua_pushliteral(L, "...");
            lua_concat(L, 2);
            i = o->nframes - PATH_END;
        }
        push_step(L, &o->frames[i]);
        lua_concat(L, 2);
    }
}

_Noreturn void copy_fail(lua_State *L, struct out *o, const char *why) {
    push_path(L, o);
    pack_term(&o->pack); /* may be large, and the collector does not know */
    error_new(L, "CurioError", "%s: %s", lua_tostring(L, -1), why);
    lua_error(L);
    abort(); /* not reached */
}

_Noreturn void copy_no_memory(lua_State *L) {
    luaL_error(L, "not enough memory");
    abort(); /* not reached */
}

/* The value at index v cannot be sent. Where it is a field of an error object, nil goes in its
   place: an error must not be lost because of what it points to. Else raises. */
bool copy_refuse(lua_State *L, struct out *o, int v, const char *what) {
    const struct frame *f = o->nframes ? &o->frames[o->nframes - 1] : NULL;
    if (!f || !f->of_error || f->stage != FIRST)
        copy_fail(L, o, lua_pushfstring(L, "cannot send %s", what));
    pack_nil(&o->pack);
    lua_settop(L, v - 1);
    return false;
}

/* The same, naming it by its type. */
bool copy_refuse_type(lua_State *L, struct out *o, int v) {
    int type = lua_type(L, v);
    if (type == LUA_TTHREAD)
        return copy_refuse(L, o, v, "a coroutine");
    if (type == LUA_TLIGHTUSERDATA)
        return copy_refuse(L, o, v, "a light userdata");
    if (luaL_getmetafield(L, v, "__name") == LUA_TSTRING)
        return copy_refuse(L, o, v, lua_pushfstring(L, "a %s", lua_tostring(L, -1)));
    return copy_refuse(L, o, v, lua_pushfstring(L, "a %s", luaL_typename(L, v)));
}
