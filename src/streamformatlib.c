/*
 * streamformatlib.c - what can be read from a stream: the formats of Lua's files, and what network
 * protocols need besides.
 *
 * Each looks at the input from the front, takes what it wants or asks for more.
 */
#include <locale.h>
#include <stdint.h>
#include <string.h>

#include "lib.h"
#include "scan.h"
#include "streamlib.h"

#define MOST_ARGUMENTS 250

enum taken { TAKEN_MORE, TAKEN_NONE, TAKEN_ONE };

/* ---- what has arrived and is not a result yet ---- */

static const char *rest(const struct stream *s, size_t *size) {
    *size = buffer_size(&s->in) - s->rd.pos;
    return *size ? buffer_bytes(&s->in) + s->rd.pos : "";
}

static enum taken more(struct stream *s, size_t seen, size_t want) {
    s->rd.seen = seen;
    reading_wants(&s->rd, want);
    return TAKEN_MORE;
}

static enum taken none(lua_State *L) {
    lua_pushnil(L);
    return TAKEN_NONE;
}

/* Bytes [0, n) are the result, `used` are taken. */
static enum taken one(lua_State *L, struct stream *s, size_t n, size_t used) {
    size_t size;
    lua_pushlstring(L, rest(s, &size), n);
    s->rd.pos += used;
    s->rd.seen = 0;
    return TAKEN_ONE;
}

static void commit(struct stream *s) {
    if (s->rd.pos)
        buffer_drop(&s->in, s->rd.pos);
    s->rd.pos = 0;
}

/* ---- lines ---- */

static enum taken take_line(lua_State *L, struct stream *s, bool keep) {
    size_t size, seen = s->rd.seen;
    const char *bytes = rest(s, &size);
    const char *newline = size > seen ? memchr(bytes + seen, '\n', size - seen) : NULL;
    if (newline)
        return one(L, s, (size_t)(newline - bytes) + keep, (size_t)(newline - bytes) + 1);
    if (!s->rd.ended)
        return more(s, size, 1);
    return size ? one(L, s, size, size) : none(L);
}

/* ---- numbers ---- */

static enum taken take_number(lua_State *L, struct stream *s) {
    char text[SCAN_NUMERAL_MAX + 1], point = localeconv()->decimal_point[0];
    size_t size;
    const char *bytes = rest(s, &size);
    ssize_t n = scan_numeral(bytes, size, s->rd.ended, point, text);
    if (n == SCAN_MORE)
        return more(s, 0, 1);
    s->rd.pos += (size_t)n;
    s->rd.seen = 0;
    return lua_stringtonumber(L, text) ? TAKEN_ONE : none(L);
}

/* ---- counts ---- */

/* None at all asks whether the stream has ended, and does not wait for the answer. */
static enum taken take_up_to(lua_State *L, struct stream *s, size_t n) {
    size_t size;
    rest(s, &size);
    if (size || (n == 0 && !s->rd.ended && (s->rd.dry || !s->via)))
        return one(L, s, n < size ? n : size, n < size ? n : size);
    return s->rd.ended ? none(L) : more(s, 0, n < KERNEL_SCRATCH ? n : KERNEL_SCRATCH);
}

static enum taken take_all(lua_State *L, struct stream *s) {
    size_t size;
    rest(s, &size);
    return s->rd.ended ? one(L, s, size, size) : more(s, 0, SIZE_MAX);
}

/* ---- read(format, ...) ---- */

/* 'n' 'l' 'L' 'a', or 0 for a count. Raises if it is none of them. */
static char check_format(lua_State *L, int arg) {
    if (lua_type(L, arg) == LUA_TNUMBER) {
        luaL_argcheck(L, luaL_checkinteger(L, arg) >= 0, arg, "a number of bytes is not negative");
        return 0;
    }
    const char *format = luaL_checkstring(L, arg);
    format += *format == '*';
    luaL_argcheck(L, *format && strchr("nlLa", *format), arg, "invalid format");
    return *format;
}

static enum taken take_format(lua_State *L, struct stream *s, int arg) {
    if (lua_type(L, arg) == LUA_TNUMBER)
        return take_up_to(L, s, (size_t)lua_tointeger(L, arg));
    const char *format = lua_tostring(L, arg);
    switch (format[*format == '*']) {
    case 'n':
        return take_number(L, s);
    case 'a':
        return take_all(L, s);
    default:
        return take_line(L, s, format[*format == '*'] == 'L');
    }
}

static int attempt_formats(lua_State *L, struct stream *s) {
    enum taken taken = TAKEN_ONE;
    while (s->rd.done < s->rd.formats && taken == TAKEN_ONE) {
        taken = take_format(L, s, 2 + s->rd.done);
        if (taken == TAKEN_MORE)
            return READ_MORE;
        s->rd.done++;
    }
    commit(s);
    return s->rd.done;
}

/* A single count gets what a system call gives. */
static int whole_formats(lua_State *L, struct stream *s, const char *bytes, size_t n) {
    if (s->rd.formats != 1 || lua_type(L, 2) != LUA_TNUMBER || (size_t)lua_tointeger(L, 2) < n)
        return READ_MORE;
    lua_pushlstring(L, bytes, n);
    return 1;
}

static int attempt_line(lua_State *L, struct stream *s) {
    if (take_line(L, s, s->rd.keep) == TAKEN_MORE)
        return READ_MORE;
    commit(s);
    return 1;
}

static int whole_line(lua_State *L, struct stream *s, const char *bytes, size_t n) {
    if (memchr(bytes, '\n', n) != bytes + n - 1)
        return READ_MORE;
    lua_pushlstring(L, bytes, n - !s->rd.keep);
    return 1;
}

static const struct read_verb read_formats = {"stream:read", attempt_formats, whole_formats, 0, 0};
static const struct read_verb read_line = {"stream:read", attempt_line, whole_line, 0, 0};
static const struct read_verb loop_formats = {"stream:lines", attempt_formats, whole_formats, 1, 0};
static const struct read_verb loop_line = {"stream:lines", attempt_line, whole_line, 1, 0};

static int check_formats(lua_State *L) {
    int n = lua_gettop(L) - 1;
    luaL_argcheck(L, n <= MOST_ARGUMENTS, MOST_ARGUMENTS + 2, "too many arguments");
    for (int arg = 2; arg <= n + 1; arg++)
        check_format(L, arg);
    luaL_checkstack(L, n + LUA_MINSTACK, "too many arguments");
    return n;
}

/* The next line, if it is there: as fast as can be. */
static int quick_line(lua_State *L, const struct read_verb *verb) {
    struct stream *s = stream_check(L, 1);
    struct task *t = task_enter(L, verb->name);
    lua_settop(L, 1);
    if (s->in.block && !s->reader.task && !s->closed && --t->kernel->io_budget >= 0) {
        const char *bytes = buffer_bytes(&s->in);
        const char *newline = memchr(bytes, '\n', buffer_size(&s->in));
        if (newline) {
            lua_pushlstring(L, bytes, (size_t)(newline - bytes));
            buffer_drop(&s->in, (size_t)(newline - bytes) + 1);
            return 1;
        }
    }
    return stream_read_on(L, t, s, &(struct reading){.verb = verb, .limit = SIZE_MAX});
}

static int m_read(lua_State *L) {
    if (lua_gettop(L) <= 1)
        return quick_line(L, &read_line);
    stream_check(L, 1);
    int n = check_formats(L);
    return stream_read(L, &(struct reading){.verb = &read_formats, .formats = (uint8_t)n});
}

/* ---- lines(format, ...) ---- */

static int next_line(lua_State *L) {
    return quick_line(L, &loop_line);
}

static int next_formats(lua_State *L) {
    stream_check(L, 1);
    lua_settop(L, 1);
    int n = (int)lua_tointeger(L, lua_upvalueindex(1));
    luaL_checkstack(L, 2 * n + LUA_MINSTACK, "too many arguments");
    for (int i = 1; i <= n; i++)
        lua_pushvalue(L, lua_upvalueindex(1 + i));
    return stream_read(L, &(struct reading){.verb = &loop_formats, .formats = (uint8_t)n});
}

static int m_lines(lua_State *L) {
    const struct stream *s = stream_check(L, 1);
    int n = check_formats(L);
    if (s->closed) {
        stream_closed(L, s, "stream:lines");
        return lua_error(L);
    }
    if (n == 0) {
        lua_pushcfunction(L, next_line);
    } else {
        lua_pushinteger(L, n);
        lua_insert(L, 2);
        lua_pushcclosure(L, next_formats, n + 1);
    }
    lua_pushvalue(L, 1);
    return 2;
}

/* ---- readall() ---- */

static int attempt_all(lua_State *L, struct stream *s) {
    if (take_all(L, s) == TAKEN_MORE)
        return READ_MORE;
    commit(s);
    return 1;
}

static const struct read_verb read_all = {"stream:readall", attempt_all, NULL, 0, 0};

static int m_readall(lua_State *L) {
    stream_check(L, 1);
    lua_settop(L, 1);
    return stream_read(L, &(struct reading){.verb = &read_all});
}

/* ---- opening ---- */

static const luaL_Reg methods[] = {
    {"read", m_read}, {"lines", m_lines}, {"readall", m_readall}, {NULL, NULL}};

void stream_add_readers(lua_State *L) {
    luaL_setfuncs(L, methods, 0);
    stream_add_framers(L);
}
