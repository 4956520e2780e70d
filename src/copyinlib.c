/*
 * copyinlib.c - copy_in: the values of a message into a Lua state.
 *
 * The bytes may come from anywhere, so nothing in them is believed: every length is checked against
 * what is left, the elements that the open tables still expect never exceed the bytes that are
 * left (which bounds what is allocated), references must name what has begun, bytecode must have
 * its checksum. There is no recursion: what has begun and is not complete is a frame, its value on
 * the Lua stack.
 */
#include "copyinlib.h"

#include <endian.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "copyformat.h"
#include "lib.h"

#define SLOTS 12

_Noreturn void copy_in_corrupt(lua_State *L, const char *why) {
    error_new(L, "CurioError", "corrupt message: %s", why);
    lua_error(L);
    abort(); /* not reached */
}

/* ---- frames ---- */

static void grow(lua_State *L, struct in *in) {
    int room = in->frame_room * 2;
    struct frame *frames = lua_newuserdatauv(L, (size_t)room * sizeof *frames, 0);
    memcpy(frames, in->frames, (size_t)in->nframes * sizeof *frames);
    lua_replace(L, in->base + FRAMES);
    in->frames = frames;
    in->frame_room = room;
}

static struct frame *begin(lua_State *L, struct in *in, enum frame_kind kind, int slot, uint32_t n,
                           uint64_t items) {
    if (in->nframes >= COPY_DEPTH_MAX)
        copy_in_corrupt(L, "too deep");
    if (unpack_left(&in->bytes) < items || unpack_left(&in->bytes) - items < in->promised)
        copy_in_corrupt(L, "it is cut short");
    luaL_checkstack(L, SLOTS, "values too deep");
    if (in->nframes == in->frame_room)
        grow(L, in);
    struct frame *f = &in->frames[in->nframes++];
    in->promised += items;
    *f = (struct frame){.kind = kind, .slot = slot, .n = n};
    return f;
}

struct frame *copy_in_begin(lua_State *L, struct in *in, enum frame_kind kind, int slot,
                            uint32_t parts) {
    return begin(L, in, kind, slot, parts, parts);
}

static inline void number(lua_State *L, struct in *in) {
    in->numbered++;
    if (!in->refs)
        return;
    lua_pushvalue(L, -1);
    lua_rawseti(L, in->base + NUMBERED, in->numbered);
}

void copy_in_number(lua_State *L, struct in *in) {
    number(L, in);
}

static inline void next(lua_State *L, struct in *in, struct item *item) {
    if (unpack_next(&in->bytes, item) < 0)
        copy_in_corrupt(L, in->bytes.at >= in->bytes.end ? "it is cut short" : "no such item");
}

void copy_in_next(lua_State *L, struct in *in, struct item *item) {
    next(L, in, item);
}

/* ---- strings ---- */

#define TEXT_MAX 16 /* bytes */
#define TEXTS_LOG2 6
#define TEXTS (1 << TEXTS_LOG2)
#define TEXTS_PAY 512 /* bytes of a message from which on */

/* Short strings that have come before, by their bytes; text i is in slot i behind the own ones. So
   a key that all records have is not looked for each time among all the strings of the state. */
struct texts {
    struct text {
        uint64_t first, second; /* the bytes, then zeros */
        size_t size;            /* plus 1; 0: there is none */
    } at[TEXTS];
};

static inline uint64_t bytes_of(const char *data, size_t n) {
    uint64_t v;
    memcpy(&v, data, sizeof v);
    v = le64toh(v);
    return n < sizeof v ? v & ((UINT64_C(1) << 8 * n) - 1) : v;
}

static inline unsigned place_of(const struct text *t) {
    uint64_t mixed = t->first ^ (t->second + t->size) * UINT64_C(0xff51afd7ed558ccd);
    return (unsigned)(mixed * UINT64_C(0x9e3779b97f4a7c15) >> (64 - TEXTS_LOG2));
}

/* A key takes the place of another text, any other string only one that is empty. */
static void push_text(lua_State *L, struct in *in, const struct item *item, bool key) {
    size_t size = item->size;
    if (in->bytes.end - item->data < TEXT_MAX) { /* bytes_of looks at that many */
        lua_pushlstring(L, item->data, size);
        return;
    }
    struct text t = {bytes_of(item->data, size), 0, size + 1};
    if (size > 8)
        t.second = bytes_of(item->data + 8, size - 8);
    unsigned i = place_of(&t);
    struct text *known = &in->texts->at[i];
    int slot = in->base + OWN_SLOTS + 1 + (int)i;
    if (known->first == t.first && known->second == t.second && known->size == t.size) {
        lua_pushvalue(L, slot);
        return;
    }
    lua_pushlstring(L, item->data, size);
    if (known->size && !key)
        return;
    lua_copy(L, -1, slot);
    *known = t;
}

/* ---- any item: pushes its value, or what is known of it; true: it is a frame ---- */

static bool read_array(lua_State *L, struct in *in, uint32_t n) {
    begin(L, in, ARRAY, lua_gettop(L) + 1, n, n);
    lua_createtable(L, n <= INT_MAX ? (int)n : INT_MAX, 0);
    number(L, in);
    return true;
}

static bool read_map(lua_State *L, struct in *in, uint32_t n) {
    begin(L, in, MAP_KEY, lua_gettop(L) + 1, n, (uint64_t)n * 2);
    lua_createtable(L, 0, n <= INT_MAX ? (int)n : INT_MAX);
    number(L, in);
    return true;
}

/* Without `in` no texts. False, nothing pushed: it is more than a scalar. */
static inline bool push_scalar(lua_State *L, struct in *in, const struct item *item, bool key) {
    switch (item->type) {
    case PACK_NIL:
        lua_pushnil(L);
        return true;
    case PACK_BOOL:
        lua_pushboolean(L, item->as.b);
        return true;
    case PACK_INT:
        lua_pushinteger(L, item->as.i);
        return true;
    case PACK_UINT:
        lua_pushnumber(L, (lua_Number)item->as.u);
        return true;
    case PACK_FLOAT:
        lua_pushnumber(L, item->as.f);
        return true;
    case PACK_STR:
    case PACK_BIN:
        if (in && in->texts && item->size <= TEXT_MAX)
            push_text(L, in, item, key);
        else
            lua_pushlstring(L, item->data, item->size);
        return true;
    default:
        return false;
    }
}

static inline bool read_item(lua_State *L, struct in *in, bool key) {
    struct item item;
    next(L, in, &item);
    if (push_scalar(L, in, &item, key))
        return false;
    if (item.type == PACK_ARRAY)
        return read_array(L, in, item.as.n);
    if (item.type == PACK_MAP)
        return read_map(L, in, item.as.n);
    return copy_in_ext(L, in, &item);
}

bool copy_in_item(lua_State *L, struct in *in) {
    return read_item(L, in, false);
}

/* ---- going on in the innermost frame; true: it is complete, false: there is one in it ---- */

static void check_key(lua_State *L) {
    int type = lua_type(L, -1);
    if (type == LUA_TNIL || (type == LUA_TNUMBER && isnan(lua_tonumber(L, -1))))
        copy_in_corrupt(L, "a key that cannot be one");
}

static bool read_elements(lua_State *L, struct in *in, struct frame *f) {
    while (f->at < f->n) {
        f->at++;
        in->promised--;
        if (read_item(L, in, false))
            return false;
        lua_rawseti(L, f->slot, f->at);
    }
    return true;
}

static bool read_fields(lua_State *L, struct in *in, struct frame *f) {
    while (f->kind == MAP_VALUE || f->at < f->n) {
        if (f->kind == MAP_KEY) {
            f->at++;
            in->promised--;
            if (read_item(L, in, true))
                return false;
            check_key(L);
            f->kind = MAP_VALUE;
        }
        in->promised--;
        if (read_item(L, in, false))
            return false;
        lua_rawset(L, f->slot);
        f->kind = MAP_KEY;
    }
    return true;
}

static bool go_on(lua_State *L, struct in *in, struct frame *f) {
    if (f->kind == ARRAY)
        return read_elements(L, in, f);
    if (f->kind == MAP_KEY || f->kind == MAP_VALUE)
        return read_fields(L, in, f);
    return copy_in_parts(L, in, f);
}

/* A value that was a frame is complete and on top. */
static void add(lua_State *L, struct frame *f) {
    switch (f->kind) {
    case ARRAY:
        lua_rawseti(L, f->slot, f->at);
        break;
    case MAP_KEY:
        check_key(L);
        f->kind = MAP_VALUE;
        break;
    case MAP_VALUE:
        lua_rawset(L, f->slot);
        f->kind = MAP_KEY;
        break;
    default:
        copy_in_add_part(L, f);
        break;
    }
}

/* The frame's value becomes the one on top. */
static void end(lua_State *L, struct in *in) {
    const struct frame *f = &in->frames[--in->nframes];
    if (f->end && in->bytes.at != f->end)
        copy_in_corrupt(L, "an extension of another length than it says");
    if (f->kind == CLASS)
        copy_in_finish_class(L, in, f);
}

/* Pushes one value. */
static void read_value(lua_State *L, struct in *in) {
    if (!read_item(L, in, false))
        return;
    while (in->nframes) {
        if (!go_on(L, in, &in->frames[in->nframes - 1]))
            continue;
        end(L, in);
        if (in->nframes)
            add(L, &in->frames[in->nframes - 1]);
    }
}

/* ---- the whole ---- */

static void read_head(lua_State *L, struct in *in) {
    if (!unpack_left(&in->bytes) || (*in->bytes.at & ~MESSAGE_REFS) != MESSAGE_VERSION)
        copy_in_corrupt(L, "it does not begin as one");
    in->refs = *in->bytes.at++ & MESSAGE_REFS;
}

static int read_values(lua_State *L, struct in *in) {
    int n = 0;
    while (unpack_left(&in->bytes)) {
        luaL_checkstack(L, SLOTS, "too many values");
        read_value(L, in);
        n++;
    }
    return n;
}

static int read_plain(lua_State *L, struct in *in) {
    read_value(L, in);
    if (unpack_left(&in->bytes))
        copy_in_corrupt(L, "bytes are left over");
    return 1;
}

static int read_all(lua_State *L, struct in *in) {
    bool plain = in->how->flags & COPY_PLAIN;
    if (!plain)
        read_head(L, in);
    if (in->refs) {
        lua_newtable(L);
        lua_replace(L, in->base + NUMBERED);
    }
    int n = plain ? read_plain(L, in) : read_values(L, in);
    lua_rotate(L, in->base + 1, n);
    lua_settop(L, in->base + n);
    return n;
}

static int read_message(lua_State *L, struct message *m, const struct copy_how *how) {
    struct texts texts;
    struct in in = {.m = m, .how = how, .base = lua_gettop(L), .frame_room = FRAMES_INSIDE};
    in.bytes = (struct unpack){message_data(m), message_data(m) + m->size};
    in.frames = in.inside;
    lua_settop(L, in.base + OWN_SLOTS);
    if (m->size >= TEXTS_PAY) {
        luaL_checkstack(L, TEXTS + SLOTS, "copy");
        lua_settop(L, in.base + OWN_SLOTS + TEXTS);
        memset(&texts, 0, sizeof texts);
        in.texts = &texts;
    }
    return read_all(L, &in);
}

/* One scalar, as most items of queues are, needs none of that. */
static bool read_scalar(lua_State *L, const struct message *m) {
    const char *data = message_data(m);
    struct unpack bytes = {data + 1, data + m->size};
    struct item item;
    return m->size > 1 && *data == MESSAGE_VERSION && unpack_next(&bytes, &item) == 0 &&
           !unpack_left(&bytes) && push_scalar(L, NULL, &item, false);
}

int copy_in(lua_State *L, struct message *m, const struct copy_how *how) {
    luaL_checkstack(L, SLOTS, "copy");
    if (!(how->flags & COPY_PLAIN) && read_scalar(L, m))
        return 1;
    return read_message(L, m, how);
}
