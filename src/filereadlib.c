/*
 * filereadlib.c - the verbs of a file that read.
 *
 * A read evaluates its formats over what has been read ahead and consumes it only when all of them
 * are satisfied; until then it asks for more and begins again. So an interrupted one has consumed
 * nothing.
 */
#include <errno.h>
#include <locale.h>
#include <string.h>

#include "block.h"
#include "filelib.h"
#include "lib.h"
#include "scan.h"

/* ---- reading ---- */

/* What a read looks at. */
struct view {
    const char *data;
    size_t len;
    size_t at;  /* what lies before has been taken */
    bool ended; /* nothing will come behind it */
    size_t
        want; /* so many bytes more are needed, if they are not SIZE_MAX: to the end of the file */
};

enum { TAKEN, FAILED, NEEDED };

static int need(struct view *v, size_t want) {
    v->want = want;
    return NEEDED;
}

static int take_bytes(lua_State *L, struct view *v, size_t n, size_t drop) {
    lua_pushlstring(L, v->data + v->at, n);
    v->at += n + drop;
    return TAKEN;
}

static int take_line(lua_State *L, struct view *v, bool keep) {
    const char *from = v->data + v->at;
    size_t len = v->len - v->at;
    const char *newline = len ? memchr(from, '\n', len) : NULL;
    if (newline)
        return take_bytes(L, v, (size_t)(newline - from) + keep, !keep);
    if (!v->ended)
        return need(v, 1);
    return len ? take_bytes(L, v, len, 0) : FAILED;
}

static int take_count(lua_State *L, struct view *v, size_t n) {
    size_t len = v->len - v->at;
    if (len < n && !v->ended)
        return need(v, n - len);
    if (!len && v->ended)
        return FAILED;
    return take_bytes(L, v, n < len ? n : len, 0);
}

/* Nothing is asked for: only whether there would be anything. */
static int take_none(lua_State *L, struct view *v) {
    if (v->at == v->len)
        return v->ended ? FAILED : need(v, 1);
    return take_bytes(L, v, 0, 0);
}

static int take_all(lua_State *L, struct view *v) {
    return v->ended ? take_bytes(L, v, v->len - v->at, 0) : need(v, SIZE_MAX);
}

static int take_number(lua_State *L, struct view *v) {
    char text[SCAN_NUMERAL_MAX + 1];
    char point = localeconv()->decimal_point[0];
    ssize_t n = scan_numeral(v->data + v->at, v->len - v->at, v->ended, point, text);
    if (n == SCAN_MORE)
        return need(v, 1);
    v->at += (size_t)n;
    return lua_stringtonumber(L, text) ? TAKEN : FAILED;
}

static char format_letter(lua_State *L, int arg) {
    const char *format = luaL_checkstring(L, arg);
    return format[*format == '*'];
}

static int take_format(lua_State *L, struct view *v, int arg) {
    if (lua_type(L, arg) == LUA_TNUMBER) {
        size_t n = (size_t)lua_tointeger(L, arg);
        return n ? take_count(L, v, n) : take_none(L, v);
    }
    char letter = format_letter(L, arg);
    if (letter == 'l' || letter == 'L')
        return take_line(L, v, letter == 'L');
    return letter == 'n' ? take_number(L, v) : take_all(L, v);
}

/* With `last` the index of the last format; the results so far on top. */
static int take_formats(lua_State *L, struct view *v, int last) {
    luaL_checkstack(L, last + 4, "too many formats");
    if (last == 1)
        return take_line(L, v, false);
    for (int arg = 2; arg <= last; arg++) {
        int outcome = take_format(L, v, arg);
        if (outcome != TAKEN)
            return outcome;
    }
    return TAKEN;
}

static int take_lines(lua_State *L, struct view *v, int last) {
    bool keep = *lua_tostring(L, last) == 'L';
    if (!v->ended)
        return need(v, SIZE_MAX);
    lua_newtable(L);
    for (lua_Integer i = 1; take_line(L, v, keep) == TAKEN; i++)
        lua_rawseti(L, -2, i);
    return TAKEN;
}

static int take_exactly(lua_State *L, struct view *v, int last) {
    size_t n = (size_t)lua_tointeger(L, last), len = v->len - v->at;
    if (len >= n)
        return take_bytes(L, v, n, 0);
    if (!v->ended)
        return need(v, n - len);
    if (!len)
        return FAILED;
    lua_pushnil(L);
    error_new(L, "CurioError", "read_exactly: the file ended after %I of %I bytes",
              (LUAI_UACINT)len, (LUAI_UACINT)n);
    take_bytes(L, v, len, 0);
    if (lua_type(L, -2) == LUA_TTABLE)
        lua_setfield(L, -2, "partial");
    else
        lua_pop(L, 1);
    return TAKEN;
}

typedef int take_fn(lua_State *L, struct view *v, int last);

/* Room for what is wanted; for more than is known to come only step by step. */
static size_t room_for(const struct view *v) {
    const size_t most = 1024 * 1024;
    size_t step = v->want == SIZE_MAX || v->len > most ? v->len : most;
    return v->want < step ? v->want : step;
}

static int ask_for_more(lua_State *L, struct task *t, const struct view *v) {
    struct file *f = file_self(L);
    if (fs_reserve(&f->j->fs, room_for(v)) < 0)
        return luaL_error(L, "not enough memory");
    f->j->want = v->want;
    return file_start(L, t, FSJOB_FILL, "read");
}

/* The number of results, or -1 and in v->want how much is missing. Consumes. */
static int evaluate(lua_State *L, struct view *v, take_fn *take, int last) {
    struct fs *fs = &file_self(L)->j->fs;
    int top = lua_gettop(L);
    v->len = fs_unread(fs, &v->data);
    v->at = 0;
    int outcome = take(L, v, last);
    if (outcome == NEEDED) {
        lua_settop(L, top);
        return -1;
    }
    fs_consume(fs, v->at);
    if (outcome == FAILED)
        lua_pushnil(L);
    return lua_gettop(L) - top;
}

/* Turn and operations aside, which attempts that find all in the buffer need not know of. */
static int read_on(lua_State *L, struct task *t, take_fn *take) {
    int64_t result;
    struct view v = {.ended = false};
    int n = file_take(L, t, "read");
    if (n)
        return n;
    struct file *f = file_self(L);
    bool asked = file_result(L, &result);
    if (asked && result < 0)
        return file_failed(L, (int)-result, "read");
    v.ended = asked && f->j->fs.ended;
    n = evaluate(L, &v, take, lua_gettop(L) - (file_turn(L) != NULL));
    if (n < 0)
        return ask_for_more(L, t, &v);
    fs_trim(&f->j->fs);
    return n;
}

static int attempt(lua_State *L, struct task *t, take_fn *take) {
    struct file *f = file_self(L);
    struct view v = {.ended = false};
    if (f->j && !(f->j->fs.flags & FS_READS))
        return file_failed(L, EBADF, "read");
    if (file_readable(f)) {
        int n = evaluate(L, &v, take, lua_gettop(L) - (file_turn(L) != NULL));
        if (n >= 0)
            return n;
    }
    return read_on(L, t, take);
}

static int read_attempt(lua_State *L, struct task *t) {
    return attempt(L, t, take_formats);
}

static int exactly_attempt(lua_State *L, struct task *t) {
    return attempt(L, t, take_exactly);
}

static int readlines_attempt(lua_State *L, struct task *t) {
    return attempt(L, t, take_lines);
}

static const struct verb read_verb = {"file:read", read_attempt, NULL};
static const struct verb readall_verb = {"file:readall", read_attempt, NULL};
static const struct verb readline_verb = {"file:readline", read_attempt, NULL};
static const struct verb exactly_verb = {"file:read_exactly", exactly_attempt, NULL};
static const struct verb readlines_verb = {"file:readlines", readlines_attempt, NULL};

static void check_formats(lua_State *L) {
    for (int arg = lua_gettop(L); arg > 1; arg--) {
        if (lua_type(L, arg) == LUA_TNUMBER) {
            luaL_argcheck(L, luaL_checkinteger(L, arg) >= 0, arg, "a negative number of bytes");
            continue;
        }
        char letter = format_letter(L, arg);
        luaL_argcheck(L, letter && strchr("nlLa", letter), arg, "invalid format");
    }
}

static int m_read(lua_State *L) {
    file_check(L, 1);
    check_formats(L);
    return block_run(L, &read_verb);
}

static int m_readall(lua_State *L) {
    file_check(L, 1);
    lua_settop(L, 1);
    lua_pushliteral(L, "a");
    return block_run(L, &readall_verb);
}

/* A line's format in place of the arguments. */
static void check_line_format(lua_State *L) {
    static const char *const formats[] = {"l", "L", "*l", "*L", NULL};
    file_check(L, 1);
    int i = luaL_checkoption(L, 2, "l", formats);
    lua_settop(L, 1);
    lua_pushstring(L, i % 2 ? "L" : "l");
}

static int m_readline(lua_State *L) {
    check_line_format(L);
    return block_run(L, &readline_verb);
}

static int m_readlines(lua_State *L) {
    check_line_format(L);
    return block_run(L, &readlines_verb);
}

static int m_read_exactly(lua_State *L) {
    file_check(L, 1);
    luaL_argcheck(L, luaL_checkinteger(L, 2) >= 0, 2, "a negative number of bytes");
    lua_settop(L, 2);
    return block_run(L, &exactly_verb);
}

/* ---- lines(...) ---- */

#define FORMATS_MOST 250 /* as in Lua's own library: they become upvalues */

/* A loop cannot look at an error behind the nil: it is raised. */
static int line_attempt(lua_State *L, struct task *t) {
    int n = read_attempt(L, t);
    if (n == 2 && lua_isnil(L, -2) && lua_type(L, -1) == LUA_TTABLE)
        return lua_error(L);
    return n;
}

static const struct verb line_verb = {"file:lines", line_attempt, NULL};

static int lines_next(lua_State *L) {
    int n = (int)lua_tointeger(L, lua_upvalueindex(1));
    lua_settop(L, 0);
    luaL_checkstack(L, n + 4, "too many formats");
    for (int i = 0; i <= n; i++)
        lua_pushvalue(L, lua_upvalueindex(2 + i));
    return block_run(L, &line_verb);
}

static int m_lines(lua_State *L) {
    int n = lua_gettop(L) - 1;
    file_check(L, 1);
    luaL_argcheck(L, n <= FORMATS_MOST, FORMATS_MOST + 2, "too many arguments");
    check_formats(L);
    lua_pushinteger(L, n);
    lua_insert(L, 1);
    lua_pushcclosure(L, lines_next, n + 2);
    return 1;
}

/* ---- opening ---- */

static const luaL_Reg methods[] = {
    {"read", m_read},
    {"lines", m_lines},
    {"readall", m_readall},
    {"readline", m_readline},
    {"readlines", m_readlines},
    {"read_exactly", m_read_exactly},
    {NULL, NULL},
};

void file_add_reads(lua_State *L) {
    luaL_setfuncs(L, methods, 0);
}
