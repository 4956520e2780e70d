/*
 * copyinlib.c - copy_in: the values of a message into a Lua state.
 *
 * The bytes may come from anywhere, so nothing in them is believed: every length is checked against
 * what is left, the elements that the open tables still expect never exceed the bytes that are
 * left (which bounds what is allocated), references must name what has begun, bytecode must have
 * its checksum. There is no recursion: what has begun and is not complete is a frame, its value on
 * the Lua stack.
 */
#include <endian.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "addrlib.h"
#include "classlib.h"
#include "copyformat.h"
#include "copylib.h"
#include "lib.h"
#include "namelib.h"
#include "net.h"
#include "pack.h"
#include "sharedlib.h"
#include "socketlib.h"

#define SLOTS 12
#define FRAMES_INSIDE 16

enum frame_kind { ARRAY, MAP_KEY, MAP_VALUE, FUNCTION, OBJECT, CLASS };

struct frame {
    enum frame_kind kind;
    int slot;        /* of the table or function on the stack */
    uint32_t at;     /* elements, fields, upvalues or parts that are complete */
    uint32_t n;      /* how many there will be */
    uint32_t number; /* of a class, which cannot be made before it is complete */
    const char *end; /* of an extension */
};

struct in {
    struct unpack bytes;
    struct message *m;
    const struct copy_how *how;
    struct frame *frames; /* `inside`, or a userdata in the slot FRAMES */
    int nframes, frame_room;
    uint64_t promised; /* items that the open frames still expect; each takes a byte at least */
    uint32_t numbered;
    uint32_t nupvalues;
    int base;  /* below the slots FRAMES, NUMBERED and UPVALUES */
    bool refs; /* what is numbered has to be kept */
    struct frame inside[FRAMES_INSIDE];
};

enum { FRAMES = 1, NUMBERED, UPVALUES, OWN_SLOTS = UPVALUES };

uint64_t copy_checksum(const char *data, size_t size) {
    uint64_t sum = size * UINT64_C(0x9e3779b97f4a7c15), word = 0;
    for (size_t i = 0; i < size; i += sizeof word) {
        size_t n = size - i < sizeof word ? size - i : sizeof word;
        word = 0;
        memcpy(&word, data + i, n);
        sum = (sum ^ word) * UINT64_C(0xff51afd7ed558ccd);
        sum ^= sum >> 32;
    }
    return sum;
}

static _Noreturn void corrupt(lua_State *L, const char *why) {
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

/* The value at that slot is what is incomplete. */
static struct frame *begin(lua_State *L, struct in *in, enum frame_kind kind, int slot,
                           uint64_t items) {
    if (in->nframes >= COPY_DEPTH_MAX)
        corrupt(L, "too deep");
    if (unpack_left(&in->bytes) < items || unpack_left(&in->bytes) - items < in->promised)
        corrupt(L, "it is cut short");
    luaL_checkstack(L, SLOTS, "values too deep");
    if (in->nframes == in->frame_room)
        grow(L, in);
    struct frame *f = &in->frames[in->nframes++];
    in->promised += items;
    *f = (struct frame){.kind = kind, .slot = slot};
    return f;
}

/* What is numbered next; where it can be referred to. The value is on top. */
static void number(lua_State *L, struct in *in) {
    in->numbered++;
    if (!in->refs)
        return;
    lua_pushvalue(L, -1);
    lua_rawseti(L, in->base + NUMBERED, in->numbered);
}

static void next(lua_State *L, struct in *in, struct item *item) {
    if (unpack_next(&in->bytes, item) < 0)
        corrupt(L, in->bytes.at >= in->bytes.end ? "it is cut short" : "no such item");
}

static uint32_t take32(const char *data) {
    uint32_t v;
    memcpy(&v, data, sizeof v);
    return be32toh(v);
}

static uint64_t take64(const char *data) {
    uint64_t v;
    memcpy(&v, data, sizeof v);
    return be64toh(v);
}

/* ---- extensions; those that return true are incomplete, a frame ---- */

static bool read_ref(lua_State *L, struct in *in, const struct item *item) {
    if (item->size != 4 || !in->refs)
        corrupt(L, "a reference without a target");
    if (lua_rawgeti(L, in->base + NUMBERED, take32(item->data)) == LUA_TNIL)
        corrupt(L, "a reference without a target");
    return false;
}

static const char *view(lua_State *L, void *ctx, size_t *size) {
    struct item *code = ctx;
    (void)L;
    *size = code->size;
    code->size = 0;
    return code->data;
}

static uint32_t read_count(lua_State *L, struct in *in) {
    struct item item;
    next(L, in, &item);
    if (item.type != PACK_INT || item.as.i < 0 || item.as.i > UINT32_MAX)
        corrupt(L, "a number is expected");
    return (uint32_t)item.as.i;
}

/* Goes back into the extension just read. */
static void enter(struct in *in, const struct item *item, size_t skip) {
    in->bytes.at = item->data + skip;
}

/* Upvalue k of the message is that of the function at 2k, with the number at 2k + 1. */
static void prepare_upvalues(lua_State *L, const struct in *in) {
    if (!lua_isnil(L, in->base + UPVALUES))
        return;
    lua_newtable(L);
    lua_replace(L, in->base + UPVALUES);
}

static bool read_function(lua_State *L, struct in *in, const struct item *item) {
    struct item code;
    const char *end = in->bytes.at;
    if (item->size < 8)
        corrupt(L, "a function without code");
    enter(in, item, 8);
    next(L, in, &code);
    if (code.type != PACK_STR || copy_checksum(code.data, code.size) != take64(item->data))
        corrupt(L, "a function whose code is damaged");
    if (lua_load(L, view, &code, "=(received)", "b") != LUA_OK)
        lua_error(L);
    number(L, in);
    prepare_upvalues(L, in);
    uint32_t n = read_count(L, in);
    lua_Debug ar;
    lua_pushvalue(L, -1);
    lua_getinfo(L, ">u", &ar);
    if (n != ar.nups)
        corrupt(L, "a function with other upvalues than its code");
    struct frame *f = begin(L, in, FUNCTION, lua_gettop(L), n);
    f->n = n;
    f->end = end;
    return true;
}

static bool read_name(lua_State *L, struct in *in, const struct item *item) {
    name_find(L, item->data, item->size);
    number(L, in);
    return false;
}

/* A table will come in its place. */
static bool read_object(lua_State *L, struct in *in, const struct item *item) {
    const char *end = in->bytes.at;
    enter(in, item, 0);
    lua_pushnil(L);
    struct frame *f = begin(L, in, OBJECT, lua_gettop(L), 2);
    f->n = 2;
    f->end = end;
    return true;
}

static void push_text(lua_State *L, struct in *in) {
    struct item item;
    next(L, in, &item);
    if (item.type != PACK_STR)
        corrupt(L, "a text is expected");
    lua_pushlstring(L, item.data, item.size);
}

/* Its key, name and, when they have come, parent and fields stand from the frame's slot on. */
static bool read_class(lua_State *L, struct in *in, const struct item *item) {
    const char *end = in->bytes.at;
    enter(in, item, 0);
    uint32_t mine = ++in->numbered;
    push_text(L, in);
    push_text(L, in);
    struct frame *f = begin(L, in, CLASS, lua_gettop(L) - 1, 2);
    f->n = 2;
    f->number = mine;
    f->end = end;
    return true;
}

/* The place in the list of what is attached. */
static struct attached *attached_at(lua_State *L, struct in *in, uint32_t i) {
    if (i >= in->m->nattached)
        corrupt(L, "something that should be attached is not");
    return &in->m->list[i];
}

static bool read_socket(lua_State *L, struct in *in, const struct item *item) {
    int family, type, proto;
    if (item->size != 16)
        corrupt(L, "a malformed socket");
    struct attached *a = attached_at(L, in, take32(item->data));
    if (a->object || a->fd < 0)
        corrupt(L, "a socket that has been received before");
    if (net_info(a->fd, &family, &type, &proto) < 0 || (uint32_t)family != take32(item->data + 4))
        corrupt(L, "a socket whose descriptor is none");
    struct sock *s = socket_new(L, family, type, (int)take32(item->data + 12));
    if (in->how->flags & COPY_REMOTE) {
        net_nonblock(a->fd, 1);
        net_cloexec(a->fd);
    }
    socket_fill(s, a->fd);
    a->fd = -1;
    number(L, in);
    return false;
}

static bool read_shared(lua_State *L, struct in *in, const struct item *item) {
    if (item->size != 4)
        corrupt(L, "a malformed Universal object");
    const struct attached *a = attached_at(L, in, take32(item->data));
    if (!a->object)
        corrupt(L, "a Universal object that is none");
    shared_push(L, a->object);
    number(L, in);
    return false;
}

static bool read_proxy(lua_State *L, struct in *in, const struct item *item) {
    if (item->size != 8 || !in->how->proxy_in)
        corrupt(L, "a proxy that is not expected");
    in->how->proxy_in(L, (lua_Integer)take64(item->data), in->how->ctx);
    number(L, in);
    return false;
}

static bool read_ext(lua_State *L, struct in *in, const struct item *item) {
    if (in->how->flags & COPY_PLAIN)
        corrupt(L, "an extension of MessagePack");
    switch (item->ext) {
    case EXT_REF:
        return read_ref(L, in, item);
    case EXT_FUNCTION:
        return read_function(L, in, item);
    case EXT_NAME:
        return read_name(L, in, item);
    case EXT_GLOBALS:
        lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
        return false;
    case EXT_OBJECT:
        return read_object(L, in, item);
    case EXT_ADDRESS:
        addrlib_push_metatable(L);
        return false;
    case EXT_CLASS:
        return read_class(L, in, item);
    case EXT_SOCKET:
        return read_socket(L, in, item);
    case EXT_SHARED:
        return read_shared(L, in, item);
    case EXT_PROXY:
        return read_proxy(L, in, item);
    default:
        corrupt(L, "no such extension");
    }
}

/* ---- any item: pushes its value, or what is known of it; true: it is a frame ---- */

static bool read_array(lua_State *L, struct in *in, uint32_t n) {
    begin(L, in, ARRAY, lua_gettop(L) + 1, n)->n = n;
    lua_createtable(L, n <= INT_MAX ? (int)n : INT_MAX, 0);
    number(L, in);
    return true;
}

static bool read_map(lua_State *L, struct in *in, uint32_t n) {
    begin(L, in, MAP_KEY, lua_gettop(L) + 1, (uint64_t)n * 2)->n = n;
    lua_createtable(L, 0, n <= INT_MAX ? (int)n : INT_MAX);
    number(L, in);
    return true;
}

/* False, nothing pushed: it is more than a scalar. */
static bool push_scalar(lua_State *L, const struct item *item) {
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
        lua_pushlstring(L, item->data, item->size);
        return true;
    default:
        return false;
    }
}

static bool read_item(lua_State *L, struct in *in) {
    struct item item;
    next(L, in, &item);
    if (in->nframes)
        in->promised--;
    if (push_scalar(L, &item))
        return false;
    if (item.type == PACK_ARRAY)
        return read_array(L, in, item.as.n);
    if (item.type == PACK_MAP)
        return read_map(L, in, item.as.n);
    return read_ext(L, in, &item);
}

/* ---- a value is complete and on top: where it belongs ---- */

static void check_key(lua_State *L) {
    if (lua_isnil(L, -1) || (lua_type(L, -1) == LUA_TNUMBER && isnan(lua_tonumber(L, -1))))
        corrupt(L, "a key that cannot be one");
}

/* The upvalue that is next is an earlier one of the message, or new: then true, and its value
   follows. */
static bool next_upvalue(lua_State *L, struct in *in, struct frame *f) {
    uint32_t which = read_count(L, in);
    if (!which || which > in->nupvalues + 1)
        corrupt(L, "an upvalue that is none");
    if (which > in->nupvalues) {
        in->nupvalues = which;
        lua_pushvalue(L, f->slot);
        lua_rawseti(L, in->base + UPVALUES, 2 * (lua_Integer)which);
        lua_pushinteger(L, f->at + 1);
        lua_rawseti(L, in->base + UPVALUES, 2 * (lua_Integer)which + 1);
        return true;
    }
    lua_rawgeti(L, in->base + UPVALUES, 2 * (lua_Integer)which);
    lua_rawgeti(L, in->base + UPVALUES, 2 * (lua_Integer)which + 1);
    lua_upvaluejoin(L, f->slot, (int)++f->at, -2, (int)lua_tointeger(L, -1));
    lua_pop(L, 2);
    in->promised--;
    return false;
}

/* Up to the next upvalue whose value has to be read, or the end. */
static void skip_known_upvalues(lua_State *L, struct in *in, struct frame *f) {
    while (f->at < f->n && !next_upvalue(L, in, f))
        ;
}

static void add_part_of_object(lua_State *L, struct frame *f) {
    if (lua_type(L, -1) != LUA_TTABLE)
        corrupt(L, "an object without a table");
    if (f->at == 0)
        lua_replace(L, f->slot);
    else
        lua_setmetatable(L, f->slot);
}

static void add(lua_State *L, struct in *in, struct frame *f) {
    switch (f->kind) {
    case ARRAY:
        lua_rawseti(L, f->slot, ++f->at);
        break;
    case MAP_KEY:
        check_key(L);
        f->kind = MAP_VALUE;
        break;
    case MAP_VALUE:
        lua_rawset(L, f->slot);
        f->kind = MAP_KEY;
        f->at++;
        break;
    case FUNCTION:
        lua_setupvalue(L, f->slot, (int)++f->at);
        skip_known_upvalues(L, in, f);
        break;
    case OBJECT:
        add_part_of_object(L, f);
        f->at++;
        break;
    case CLASS:
        f->at++;
        break;
    }
}

/* With key, name, parent and fields from the frame's slot on: leaves the class there. */
static void finish_class(lua_State *L, struct in *in, const struct frame *f) {
    class_make(L, f->slot);
    if (in->refs) {
        lua_pushvalue(L, -1);
        lua_rawseti(L, in->base + NUMBERED, f->number);
    }
}

/* The frame's value is complete and becomes the one on top. */
static void end(lua_State *L, struct in *in) {
    const struct frame *f = &in->frames[--in->nframes];
    if (f->end && in->bytes.at != f->end)
        corrupt(L, "an extension of another length than it says");
    if (f->kind == CLASS)
        finish_class(L, in, f);
}

static bool is_complete(const struct frame *f) {
    return f->at == f->n && f->kind != MAP_VALUE;
}

/* Pushes one value. */
static void read_value(lua_State *L, struct in *in) {
    bool framed = read_item(L, in);
    for (;;) {
        if (framed && in->frames[in->nframes - 1].kind == FUNCTION)
            skip_known_upvalues(L, in, &in->frames[in->nframes - 1]);
        if (!framed && in->nframes)
            add(L, in, &in->frames[in->nframes - 1]);
        while (in->nframes && is_complete(&in->frames[in->nframes - 1])) {
            end(L, in);
            if (in->nframes)
                add(L, in, &in->frames[in->nframes - 1]);
        }
        if (!in->nframes)
            return;
        framed = read_item(L, in);
    }
}

/* ---- the whole ---- */

static void read_head(lua_State *L, struct in *in) {
    if (!unpack_left(&in->bytes) || (*in->bytes.at & ~MESSAGE_REFS) != MESSAGE_VERSION)
        corrupt(L, "it does not begin as one");
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
        corrupt(L, "bytes are left over");
    return 1;
}

/* Removes the own slots below the n values on top. */
static void leave_values(lua_State *L, const struct in *in, int n) {
    lua_rotate(L, in->base + 1, n);
    lua_settop(L, in->base + n);
}

static int read_message(lua_State *L, struct message *m, const struct copy_how *how) {
    struct in in = {.m = m, .how = how, .base = lua_gettop(L), .frame_room = FRAMES_INSIDE};
    in.bytes = (struct unpack){message_data(m), message_data(m) + m->size};
    in.frames = in.inside;
    bool plain = how->flags & COPY_PLAIN;
    if (!plain)
        read_head(L, &in);
    lua_settop(L, in.base + OWN_SLOTS);
    if (in.refs) {
        lua_newtable(L);
        lua_replace(L, in.base + NUMBERED);
    }
    int n = plain ? read_plain(L, &in) : read_values(L, &in);
    leave_values(L, &in, n);
    return n;
}

/* One scalar, as most items of queues are, needs none of that. */
static bool read_scalar(lua_State *L, const struct message *m) {
    const char *data = message_data(m);
    struct unpack bytes = {data + 1, data + m->size};
    struct item item;
    return m->size > 1 && *data == MESSAGE_VERSION && unpack_next(&bytes, &item) == 0 &&
           !unpack_left(&bytes) && push_scalar(L, &item);
}

int copy_in(lua_State *L, struct message *m, const struct copy_how *how) {
    luaL_checkstack(L, SLOTS, "copy");
    if (!(how->flags & COPY_PLAIN) && read_scalar(L, m))
        return 1;
    return read_message(L, m, how);
}
