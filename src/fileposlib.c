/*
 * fileposlib.c - the verbs of a file that neither read nor write: seek truncate flush setvbuf.
 *
 * What the buffers alone can answer is answered at once; the rest is one operation of fsjob.h.
 */
#include <stdio.h>

#include "block.h"
#include "filelib.h"
#include "lib.h"

static int push_true(lua_State *L) {
    lua_pushboolean(L, 1);
    return 1;
}

static int integer_or(lua_State *L, int64_t result, const char *op) {
    if (result < 0)
        return file_failed(L, (int)-result, op);
    lua_pushinteger(L, result);
    return 1;
}

/* [file, whence, offset] */
static int seek_attempt(lua_State *L, struct task *t) {
    int64_t result;
    int n = file_take(L, t, "seek");
    if (n)
        return n;
    struct fsjob *j = file_self(L)->j;
    if (file_result(L, &result))
        return integer_or(L, result, "seek");
    int whence = (int)lua_tointeger(L, 2);
    if (whence != SEEK_END && !fs_unwritten(&j->fs))
        return integer_or(L, fs_seek_near(&j->fs, whence, lua_tointeger(L, 3)), "seek");
    j->whence = whence;
    j->offset = lua_tointeger(L, 3);
    return file_start(L, t, FSJOB_SEEK, "seek");
}

static const struct verb seek_verb = {"file:seek", seek_attempt, NULL};

static int m_seek(lua_State *L) {
    static const char *const names[] = {"set", "cur", "end", NULL};
    static const int whences[] = {SEEK_SET, SEEK_CUR, SEEK_END};
    file_check(L, 1);
    int whence = whences[luaL_checkoption(L, 2, "cur", names)];
    lua_Integer offset = luaL_optinteger(L, 3, 0);
    lua_settop(L, 1);
    lua_pushinteger(L, whence);
    lua_pushinteger(L, offset);
    return block_run(L, &seek_verb);
}

/* [file, size]; -1: here */
static int truncate_attempt(lua_State *L, struct task *t) {
    int64_t result;
    int n = file_take(L, t, "truncate");
    if (n)
        return n;
    if (file_result(L, &result))
        return integer_or(L, result, "truncate");
    file_self(L)->j->offset = lua_tointeger(L, 2);
    return file_start(L, t, FSJOB_TRUNCATE, "truncate");
}

static const struct verb truncate_verb = {"file:truncate", truncate_attempt, NULL};

static int m_truncate(lua_State *L) {
    file_check(L, 1);
    lua_Integer size = luaL_optinteger(L, 2, -1);
    luaL_argcheck(L, size >= 0 || lua_isnoneornil(L, 2), 2, "not a size");
    lua_settop(L, 1);
    lua_pushinteger(L, size);
    return block_run(L, &truncate_verb);
}

static int flush_attempt(lua_State *L, struct task *t) {
    int64_t result;
    int n = file_take(L, t, "flush");
    if (n)
        return n;
    struct fs *fs = &file_self(L)->j->fs;
    if (file_result(L, &result))
        return result < 0 ? file_failed(L, (int)-result, "flush") : push_true(L);
    if (fs_unwritten(fs))
        return file_start(L, t, FSJOB_FLUSH, "flush");
    fs_rewind(fs);
    return push_true(L);
}

static const struct verb flush_verb = {"file:flush", flush_attempt, NULL};
static const struct verb setvbuf_verb = {"file:setvbuf", flush_attempt, NULL};

static int m_flush(lua_State *L) {
    file_check(L, 1);
    lua_settop(L, 1);
    return block_run(L, &flush_verb);
}

#define LIMIT_MOST (16 * 1024 * 1024)

/* What is unwritten is written out first, as the new rule may not let it wait. */
static int m_setvbuf(lua_State *L) {
    static const char *const names[] = {"full", "line", "no", NULL}; /* as enum file_buffering */
    struct file *f = file_check(L, 1);
    luaL_checkstring(L, 2);
    int buffering = luaL_checkoption(L, 2, NULL, names);
    lua_Integer size = luaL_optinteger(L, 3, FS_CHUNK);
    luaL_argcheck(L, size >= 0, 3, "not a size");
    f->buffering = (enum file_buffering)buffering;
    f->limit = size < LIMIT_MOST ? (size_t)size : LIMIT_MOST;
    lua_settop(L, 1);
    return block_run(L, &setvbuf_verb);
}

static const luaL_Reg methods[] = {
    {"seek", m_seek}, {"truncate", m_truncate}, {"flush", m_flush}, {"setvbuf", m_setvbuf},
    {NULL, NULL},
};

void file_add_position(lua_State *L) {
    luaL_setfuncs(L, methods, 0);
}
