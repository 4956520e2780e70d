/*
 * copyoutlib.c - copy_out: Lua values into a message.
 *
 * The values are walked depth first without recursion. A frame is what has begun and not ended: a
 * table, a function, an object with its metatable; its value stands on the Lua stack, so that the
 * path to where the walk is can be told from the frames. Only raw accesses are made. What the walk
 * allocates in C belongs to a box that is kept in the registry from one message to the next; the
 * message gets it in the end, when nothing can fail any more, and only then sockets are detached.
 */
#include "copylib.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "block.h"
#include "copyformat.h"
#include "copyoutlib.h"
#include "lib.h"
#include "socketlib.h"

#define BOX "curio.copyout"
#define KEEP_ROOM (64 * 1024)

static char box_key; /* registry: the box that is kept */

/* ---- the box ---- */

static void clear(struct out *o) {
    if (o->pack.room > KEEP_ROOM)
        pack_term(&o->pack);
    pack_clear(&o->pack);
    seen_clear(&o->seen);
    if (o->frame_room > 1024) {
        free(o->frames);
        o->frames = NULL;
        o->frame_room = 0;
    }
    o->nframes = 0;
    free(o->list);
    o->list = NULL;
    o->nattached = 0;
    o->numbered = o->nupvalues = 0;
    o->refs = o->names_fresh = o->busy = false;
}

static int box_gc(lua_State *L) {
    struct out *o = lua_touserdata(L, 1);
    pack_term(&o->pack);
    seen_term(&o->seen);
    free(o->frames);
    free(o->list);
    memset(o, 0, sizeof *o);
    return 0;
}

static struct out *box_new(lua_State *L) {
    struct out *o = lua_newuserdatauv(L, sizeof *o, 0);
    memset(o, 0, sizeof *o);
    if (luaL_newmetatable(L, BOX)) {
        lua_pushcfunction(L, box_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return o;
}

/* Pushes one that is free. A finaliser may copy while a copy is being made, and one that raised has
   been left as it was. [-0, +1, m] */
static struct out *box_take(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &box_key);
    struct out *o = lua_touserdata(L, -1);
    if (!o || o->busy) {
        lua_pop(L, 1);
        o = box_new(L);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &box_key);
    }
    o->busy = true;
    return o;
}

/* ---- frames ---- */

bool copy_begin(lua_State *L, struct out *o, int v, const struct frame *f) {
    if (o->nframes == COPY_DEPTH_MAX || !lua_checkstack(L, COPY_SLOTS))
        copy_fail(L, o, "too deep to be sent");
    if (o->nframes == o->frame_room) {
        int room = o->frame_room ? 2 * o->frame_room : 16;
        struct frame *frames = realloc(o->frames, (size_t)room * sizeof *frames);
        if (!frames)
            copy_no_memory(L);
        o->frames = frames;
        o->frame_room = room;
    }
    o->frames[o->nframes] = *f;
    o->frames[o->nframes++].slot = v;
    return true;
}

uint32_t *copy_number(lua_State *L, struct out *o, const void *key) {
    uint32_t *number = seen_at(&o->seen, key);
    if (!number)
        copy_no_memory(L);
    return number;
}

static void end(lua_State *L, struct out *o) {
    const struct frame *f = &o->frames[--o->nframes];
    if (o->how->flags & COPY_PLAIN)
        *copy_number(L, o, lua_topointer(L, f->slot)) = 0;
    if (f->begin)
        pack_ext_end(&o->pack, f->begin);
    lua_settop(L, f->slot - 1);
}

/* ---- any value ---- */

/* MessagePack tells text from bytes. */
static void write_string(lua_State *L, struct out *o, int idx) {
    size_t size;
    const char *text = lua_tolstring(L, idx, &size);
    if (o->how->flags & COPY_PLAIN && !pack_is_utf8(text, size))
        pack_bin(&o->pack, text, size);
    else
        pack_str(&o->pack, text, size);
    if (size > UINT32_MAX)
        copy_fail(L, o, "a string of 4 GiB or more cannot be sent");
}

static void write_number(lua_State *L, struct out *o, int idx) {
    if (lua_isinteger(L, idx))
        pack_int(&o->pack, lua_tointeger(L, idx));
    else
        pack_float(&o->pack, lua_tonumber(L, idx));
}

/* False: it is none. */
static inline bool write_scalar(lua_State *L, struct out *o, int idx, int type) {
    switch (type) {
    case LUA_TNIL:
        pack_nil(&o->pack);
        return true;
    case LUA_TBOOLEAN:
        pack_bool(&o->pack, lua_toboolean(L, idx));
        return true;
    case LUA_TNUMBER:
        write_number(L, o, idx);
        return true;
    case LUA_TSTRING:
        write_string(L, o, idx);
        return true;
    default:
        return false;
    }
}

/* The value on top: true if it has become a frame. */
static bool write_other(lua_State *L, struct out *o, int type) {
    int v = lua_gettop(L);
    if (type == LUA_TTABLE)
        return copy_write_table(L, o, v);
    if (type == LUA_TFUNCTION)
        return copy_write_function(L, o, v);
    if (type == LUA_TUSERDATA)
        return copy_write_userdata(L, o, v);
    return copy_refuse_type(L, o, v);
}

/* Writes the value on top: true if it has become a frame. */
static bool emit(lua_State *L, struct out *o) {
    int type = lua_type(L, -1);
    if (!write_scalar(L, o, -1, type))
        return write_other(L, o, type);
    lua_pop(L, 1);
    return false;
}

/* The same of one that remains where it is. */
static inline bool emit_at(lua_State *L, struct out *o, int idx) {
    int type = lua_type(L, idx);
    if (write_scalar(L, o, idx, type))
        return false;
    lua_pushvalue(L, idx);
    return write_other(L, o, type);
}

/* ---- going on in the innermost frame ---- */

/* f is not to be used after something has become a frame. */
static void step_array(lua_State *L, struct out *o, struct frame *f) {
    while (f->at < f->n) {
        lua_rawgeti(L, f->slot, (lua_Integer)++f->at);
        if (emit(L, o))
            return;
    }
    end(L, o);
}

/* The elements stand on the stack, each above its key. */
static void step_held_array(lua_State *L, struct out *o, struct frame *f) {
    while (f->at < f->n)
        if (emit_at(L, o, f->slot + 2 * (int)++f->at))
            return;
    end(L, o);
}

/* The fields stand on the stack. */
static void step_held_map(lua_State *L, struct out *o, struct frame *f) {
    for (;;) {
        if (f->stage == FIRST) {
            if (f->at == f->n)
                break;
            f->stage = SECOND;
            if (emit_at(L, o, f->slot + 2 * (int)++f->at - 1))
                return;
        }
        f->stage = FIRST;
        if (emit_at(L, o, f->slot + 2 * (int)f->at))
            return;
    }
    end(L, o);
}

/* True: a key has been written, and the value is on top. */
static bool next_field(lua_State *L, struct out *o, struct frame *f, bool *framed) {
    while (lua_next(L, f->slot)) {
        if (f->of_class && copy_is_common_field(L)) {
            lua_pop(L, 1);
            continue;
        }
        f->at++;
        f->stage = SECOND;
        lua_pushvalue(L, -2);
        *framed = emit(L, o);
        return true;
    }
    return false;
}

static void step_map(lua_State *L, struct out *o, struct frame *f) {
    for (;;) {
        if (f->stage == FIRST) {
            bool framed;
            if (!next_field(L, o, f, &framed))
                break;
            if (framed)
                return;
        }
        f->stage = FIRST;
        if (emit(L, o))
            return;
    }
    if (f->at != f->n)
        copy_fail(L, o, "changed while it was sent");
    end(L, o);
}

/* The upvalue on top, of that name: an environment made by somebody, say a test runner or a
   sandbox, to stand before the globals counts as the globals. */
static bool is_global_environment(lua_State *L, const char *name) {
    if (strcmp(name, "_ENV") != 0 || !lua_getmetatable(L, -1))
        return false;
    lua_pop(L, 1);
    return true;
}

static void step_function(lua_State *L, struct out *o, struct frame *f) {
    while (f->at < f->n) {
        int i = (int)++f->at;
        uint32_t *number = copy_number(L, o, lua_upvalueid(L, f->slot, i));
        bool known = *number > 0;
        if (!known)
            *number = ++o->nupvalues;
        pack_int(&o->pack, *number);
        if (known)
            continue;
        if (is_global_environment(L, lua_getupvalue(L, f->slot, i)))
            copy_write_globals(L, o, lua_gettop(L));
        else if (emit(L, o))
            return;
    }
    end(L, o);
}

static void step_object(lua_State *L, struct out *o, struct frame *f) {
    if (f->stage == FIRST) {
        bool of_error = f->of_error;
        f->stage = SECOND;
        lua_pushvalue(L, f->slot);
        int v = lua_gettop(L);
        *copy_number(L, o, lua_topointer(L, v)) = ++o->numbered;
        copy_begin_fields(L, o, v);
        o->frames[o->nframes - 1].of_error = of_error;
    } else if (f->stage == SECOND) {
        f->stage = THIRD;
        lua_getmetatable(L, f->slot);
        copy_write_metatable(L, o, lua_gettop(L));
    } else {
        end(L, o);
    }
}

static void step_class(lua_State *L, struct out *o, struct frame *f) {
    if (f->stage == FIRST) {
        f->stage = SECOND;
        lua_pushliteral(L, "parent");
        lua_rawget(L, f->slot);
        emit(L, o);
    } else if (f->stage == SECOND) {
        f->stage = THIRD;
        lua_pushvalue(L, f->slot);
        copy_begin_class_fields(L, o, lua_gettop(L));
    } else {
        end(L, o);
    }
}

static void step(lua_State *L, struct out *o) {
    struct frame *f = &o->frames[o->nframes - 1];
    switch (f->kind) {
    case ARRAY:
        step_array(L, o, f);
        break;
    case MAP:
        step_map(L, o, f);
        break;
    case HELD_ARRAY:
        step_held_array(L, o, f);
        break;
    case HELD_MAP:
        step_held_map(L, o, f);
        break;
    case FUNCTION:
        step_function(L, o, f);
        break;
    case OBJECT:
        step_object(L, o, f);
        break;
    case CLASS:
        step_class(L, o, f);
        break;
    }
}

/* ---- the whole ---- */

static void check(lua_State *L, const struct out *o) {
    if (o->pack.err == -EMSGSIZE)
        luaL_error(L, "%s: too large to be sent", o->how->root ? o->how->root : "values");
    if (o->pack.err)
        copy_no_memory(L);
}

static void write_values(lua_State *L, struct out *o, int first, int n) {
    bool plain = o->how->flags & COPY_PLAIN;
    char head = MESSAGE_VERSION;
    if (!plain)
        pack_raw(&o->pack, &head, 1);
    for (o->nth = 1; o->nth <= n; o->nth++) {
        lua_pushvalue(L, first + o->nth - 1);
        if (emit(L, o))
            while (o->nframes)
                step(L, o);
        check(L, o);
    }
    if (!plain && o->refs)
        o->pack.data[0] = MESSAGE_VERSION | MESSAGE_REFS;
}

/* Nothing in here can fail. */
static void hand_over_attached(struct out *o, struct message *m) {
    for (size_t i = 0; i < o->nattached; i++) {
        struct attached *a = &o->list[i];
        struct sock *s = a->origin;
        if (a->object) {
            shared_ref(a->object);
        } else {
            a->fd = s->io.fd;
            s->io.fd = -1;
            block_release(a->fd, false);
        }
    }
    m->list = o->list;
    m->nattached = o->nattached;
    o->list = NULL;
    o->nattached = 0;
}

static void hand_over(lua_State *L, struct out *o, struct message *m) {
    struct pack *p = &o->pack;
    if (p->size <= KEEP_ROOM) {
        if (message_set(m, p->data, p->size) < 0)
            copy_no_memory(L);
    } else {
        char *exact = realloc(p->data, p->size);
        if (exact)
            p->data = exact;
        message_adopt(m, p->data, p->size);
        *p = (struct pack){0};
    }
    hand_over_attached(o, m);
}

void copy_out(lua_State *L, int first, int n, const struct copy_how *how, struct message *m) {
    int top = lua_gettop(L);
    luaL_checkstack(L, COPY_SLOTS, "copy");
    first = lua_absindex(L, first);
    struct out *o = box_take(L);
    o->how = how;
    lua_pushnil(L);
    o->keep = top + 2;
    o->globals = NULL;
    write_values(L, o, first, n);
    hand_over(L, o, m);
    clear(o);
    if (how->flags & COPY_KEEP)
        lua_replace(L, top + 1);
    lua_settop(L, how->flags & COPY_KEEP ? top + 1 : top);
}

void copy_undo(struct message *m) {
    for (size_t i = 0; i < m->nattached; i++) {
        struct attached *a = &m->list[i];
        struct sock *s = a->origin;
        if (!s || a->fd < 0 || s->io.fd >= 0)
            continue;
        socket_fill(s, a->fd);
        a->fd = -1;
    }
}
