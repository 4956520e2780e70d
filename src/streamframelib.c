/*
 * streamframelib.c - reading what protocols are made of: a number of bytes, all up to a delimiter,
 * lines of bounded length.
 *
 * When a limit is passed nothing is taken: what has arrived stays in the buffer, a chunk more than
 * the limit at most, and can be read by other means. Where a frame is cut short by the end of the
 * stream or by an error, the error takes along what there is; a stream that ends between two frames
 * gives nil alone.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "lib.h"
#include "streamlib.h"

/* ---- failing ---- */

/* The stream has ended within a frame. Takes what there is. */
static int cut_short(lua_State *L, struct stream *s, const char *fmt, lua_Integer wanted) {
    size_t size = buffer_size(&s->in);
    if (size == 0) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushnil(L);
    error_new(L, "CurioError", fmt, stream_op(s->rd.verb->name), (lua_Integer)size, wanted);
    if (lua_type(L, -1) == LUA_TTABLE) {
        lua_pushlstring(L, buffer_bytes(&s->in), size);
        lua_setfield(L, -2, "partial");
    }
    buffer_free(&s->in);
    return 2;
}

static int too_long(lua_State *L, const struct stream *s, const char *what) {
    char subject[64];
    snprintf(subject, sizeof subject, "a %s of more than %zu bytes", what, s->rd.limit);
    error_os_return(L, EMSGSIZE, stream_op(s->rd.verb->name), subject);
    if (!s->rd.verb->raises)
        return 2;
    return lua_error(L);
}

/* ---- read_exactly(n) ---- */

static int attempt_exactly(lua_State *L, struct stream *s) {
    size_t size = buffer_size(&s->in), n = s->rd.limit;
    if (size < n && s->rd.ended)
        return cut_short(L, s, "%s: the stream ended after %I of %I bytes", (lua_Integer)n);
    reading_wants(&s->rd, n - size);
    if (size < n)
        return READ_MORE;
    lua_pushlstring(L, n ? buffer_bytes(&s->in) : "", n);
    if (n)
        buffer_drop(&s->in, n);
    return 1;
}

static int whole_exactly(lua_State *L, struct stream *s, const char *bytes, size_t n) {
    if (n != s->rd.limit)
        return READ_MORE;
    lua_pushlstring(L, bytes, n);
    return 1;
}

static const struct read_verb read_exactly = {"stream:read_exactly", attempt_exactly, whole_exactly,
                                              0, 1};

static int m_read_exactly(lua_State *L) {
    stream_check(L, 1);
    lua_Integer n = luaL_checkinteger(L, 2);
    luaL_argcheck(L, n >= 0, 2, "a number of bytes is not negative");
    lua_settop(L, 1);
    return stream_read(L, &(struct reading){.verb = &read_exactly, .limit = (size_t)n});
}

/* ---- read_until(delimiter, {max=, inclusive=}), readline([format], {max=}) ---- */

/* The delimiter stands at 2. What has been searched is not searched again. */
static int attempt_until(lua_State *L, struct stream *s) {
    size_t len, size = buffer_size(&s->in), limit = s->rd.limit;
    const char *delim = lua_tolstring(L, 2, &len);
    ssize_t at = buffer_find(&s->in, s->rd.seen, delim, len);
    if (at >= 0 ? (size_t)at > limit : size > limit && size - limit >= len)
        return too_long(L, s, "frame");
    if (at >= 0) {
        lua_pushlstring(L, buffer_bytes(&s->in), (size_t)at + (s->rd.keep ? len : 0));
        buffer_drop(&s->in, (size_t)at + len);
        return 1;
    }
    if (s->rd.ended)
        return cut_short(L, s, "%s: the stream ended after %I bytes without the delimiter", 0);
    s->rd.seen = size >= len ? size - len + 1 : 0;
    s->rd.want = 1;
    return READ_MORE;
}

/* The last line may lack its newline. */
static int attempt_line(lua_State *L, struct stream *s) {
    size_t size = buffer_size(&s->in);
    if (!s->rd.ended || size > s->rd.limit || buffer_find(&s->in, s->rd.seen, "\n", 1) >= 0)
        return attempt_until(L, s);
    if (size == 0)
        lua_pushnil(L);
    else
        lua_pushlstring(L, buffer_bytes(&s->in), size);
    buffer_free(&s->in);
    return 1;
}

static const struct read_verb read_until = {"stream:read_until", attempt_until, NULL, 0, 1};
static const struct read_verb read_line = {"stream:readline", attempt_line, NULL, 0, 0};

static size_t check_limit(lua_State *L, int idx, const char *verb) {
    lua_Integer max = args_int(L, idx, verb, "max", LUA_MAXINTEGER);
    if (max == LUA_MAXINTEGER)
        return SIZE_MAX;
    if (max < 0)
        luaL_error(L, "%s: option 'max' must not be negative", verb);
    return (size_t)max;
}

static int m_read_until(lua_State *L) {
    static const char *const known[] = {"max", "inclusive", NULL};
    const char *verb = read_until.name;
    size_t len;
    stream_check(L, 1);
    luaL_checklstring(L, 2, &len);
    luaL_argcheck(L, len > 0, 2, "the delimiter is empty");
    args_options(L, 3, verb, known);
    struct reading what = {.verb = &read_until};
    what.keep = args_bool(L, 3, verb, "inclusive", false);
    what.limit = check_limit(L, 3, verb);
    lua_settop(L, 2);
    return stream_read(L, &what);
}

/* "l" or "L", by default the first: is the newline wanted? */
static bool check_keep(lua_State *L, int arg) {
    const char *format = luaL_optstring(L, arg, "l");
    format += *format == '*';
    luaL_argcheck(L, *format == 'l' || *format == 'L', arg, "neither \"l\" nor \"L\"");
    return *format == 'L';
}

static const char *const line_options[] = {"max", NULL};

static int m_readline(lua_State *L) {
    stream_check(L, 1);
    if (lua_type(L, 2) == LUA_TTABLE) {
        lua_pushnil(L);
        lua_insert(L, 2);
    }
    args_options(L, 3, read_line.name, line_options);
    struct reading what = {.verb = &read_line};
    what.keep = check_keep(L, 2);
    what.limit = check_limit(L, 3, read_line.name);
    lua_settop(L, 1);
    lua_pushliteral(L, "\n");
    return stream_read(L, &what);
}

/* ---- readlines([format]) ---- */

static int attempt_lines(lua_State *L, struct stream *s) {
    s->rd.want = UINT32_MAX;
    if (!s->rd.ended)
        return READ_MORE;
    lua_newtable(L);
    size_t pos = 0, size = buffer_size(&s->in);
    for (lua_Integer i = 1; pos < size; i++) {
        ssize_t at = buffer_find(&s->in, pos, "\n", 1);
        size_t end = at >= 0 ? (size_t)at : size;
        size_t next = at >= 0 ? end + 1 : size;
        lua_pushlstring(L, buffer_bytes(&s->in) + pos, (s->rd.keep ? next : end) - pos);
        lua_rawseti(L, -2, i);
        pos = next;
    }
    buffer_free(&s->in);
    return 1;
}

static const struct read_verb read_lines = {"stream:readlines", attempt_lines, NULL, 0, 0};

static int m_readlines(lua_State *L) {
    stream_check(L, 1);
    struct reading what = {.verb = &read_lines, .keep = check_keep(L, 2)};
    lua_settop(L, 1);
    return stream_read(L, &what);
}

/* ---- opening ---- */

static const luaL_Reg methods[] = {{"read_exactly", m_read_exactly},
                                   {"read_until", m_read_until},
                                   {"readline", m_readline},
                                   {"readlines", m_readlines},
                                   {NULL, NULL}};

void stream_add_framers(lua_State *L) {
    luaL_setfuncs(L, methods, 0);
}
