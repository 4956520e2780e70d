/*
 * filewritelib.c - the verb of a file that writes.
 *
 * A write puts its values into the buffer as one; when they do not fit any more all is written out.
 * What a failed or interrupted one has in the buffer is taken back, unless the system is at work on
 * it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "block.h"
#include "filelib.h"
#include "lib.h"

/* [file, values..., turn] */
enum { NUMERAL_MOST = 64 };

static size_t numeral(lua_State *L, int arg, char text[NUMERAL_MOST]) {
    int n =
        lua_isinteger(L, arg)
            ? snprintf(text, NUMERAL_MOST, LUA_INTEGER_FMT, (LUAI_UACINT)lua_tointeger(L, arg))
            : snprintf(text, NUMERAL_MOST, LUA_NUMBER_FMT, (LUAI_UACNUMBER)lua_tonumber(L, arg));
    return (size_t)n;
}

/* Room enough for all of them; 0: there is nothing to write. */
static size_t most_needed(lua_State *L, int last) {
    size_t sum = 0;
    for (int arg = 2; arg <= last; arg++)
        sum += lua_type(L, arg) == LUA_TSTRING ? lua_rawlen(L, arg) : NUMERAL_MOST;
    return sum;
}

/* Numbers as Lua's files write them. True if a line ends in it. */
static bool append(lua_State *L, struct fs *fs, int last) {
    char text[NUMERAL_MOST];
    bool newline = false;
    for (int arg = 2; arg <= last; arg++) {
        size_t len;
        const char *data = text;
        if (lua_type(L, arg) == LUA_TSTRING)
            data = lua_tolstring(L, arg, &len);
        else
            len = numeral(L, arg, text);
        newline = newline || memchr(data, '\n', len);
        fs_append(fs, data, len);
    }
    return newline;
}

static bool may_wait(const struct file *f, bool newline) {
    return fs_unwritten(&f->j->fs) <= f->limit && f->buffering != FILE_NONE &&
           !(f->buffering == FILE_LINE && newline);
}

/* With nil and the error on top. */
static int tell_written(lua_State *L, lua_Integer n) {
    if (lua_type(L, -1) == LUA_TTABLE) {
        lua_pushinteger(L, n);
        lua_setfield(L, -2, "bytes_written");
    }
    return 2;
}

static int push_self(lua_State *L) {
    lua_pushvalue(L, 1);
    return 1;
}

/* What of it has not been written goes no further. */
static int write_failed(lua_State *L, size_t added, int err) {
    struct fs *fs = &file_self(L)->j->fs;
    size_t left = fs_unwritten(fs) < added ? fs_unwritten(fs) : added;
    fs_withdraw(fs, left);
    file_failed(L, err, "write");
    return tell_written(L, (lua_Integer)(added - left));
}

static int write_begin(lua_State *L, struct task *t, int last, size_t room) {
    struct file *f = file_self(L);
    struct fs *fs = &f->j->fs;
    fs_rewind(fs);
    if (fs_make_room(fs, room) < 0)
        return luaL_error(L, "not enough memory");
    size_t before = fs_unwritten(fs);
    bool newline = append(L, fs, last);
    size_t size = fs_unwritten(fs) - before;
    if (may_wait(f, newline))
        return push_self(L);
    int n = file_start(L, t, FSJOB_FLUSH, "write");
    if (n != BLOCK_PARKED) {
        fs_withdraw(fs, size);
        return tell_written(L, 0);
    }
    file_turn(L)->added = size;
    return n;
}

/* The file was closed while the writer slept. */
static int write_closed(lua_State *L, const struct turn *turn) {
    lua_Integer n = !turn ? 0 : turn->asked ? (lua_Integer)turn->added : turn->taken;
    error_closed_return(L, "write", "file");
    return tell_written(L, n);
}

static int write_attempt(lua_State *L, struct task *t) {
    struct file *f = file_self(L);
    struct turn *turn = file_turn(L);
    int64_t result;
    if (!f->j)
        return write_closed(L, turn);
    int last = lua_gettop(L) - (turn != NULL);
    size_t room = most_needed(L, last);
    if (!room)
        return push_self(L);
    if (!(f->j->fs.flags & FS_WRITES))
        return file_failed(L, EBADF, "write");
    int n = file_take(L, t, "write");
    if (n)
        return n;
    if (!file_result(L, &result))
        return write_begin(L, t, last, room);
    if (result < 0)
        return write_failed(L, file_turn(L)->added, (int)-result);
    fs_trim(&f->j->fs);
    return push_self(L);
}

static void write_interrupted(lua_State *L, struct task *t) {
    (void)t;
    int err = lua_gettop(L);
    const struct turn *turn = err > 2 ? lua_touserdata(L, err - 1) : NULL;
    lua_pushinteger(L, turn ? turn->taken : 0);
    lua_setfield(L, err, "bytes_written");
}

static const struct verb write_verb = {"file:write", write_attempt, write_interrupted};

static int m_write(lua_State *L) {
    file_check(L, 1);
    for (int arg = lua_gettop(L); arg > 1; arg--)
        if (lua_type(L, arg) != LUA_TNUMBER)
            luaL_checkstring(L, arg);
    return block_run(L, &write_verb);
}

void file_add_writes(lua_State *L) {
    lua_pushcfunction(L, m_write);
    lua_setfield(L, -2, "write");
}
