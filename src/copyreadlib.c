/*
 * copyreadlib.c - what MessagePack lacks and is an extension: references, functions, objects,
 * classes, names, sockets, shared objects, stand-ins.
 */
#include <endian.h>
#include <string.h>

#include "addrlib.h"
#include "classlib.h"
#include "copyformat.h"
#include "copyinlib.h"
#include "lib.h"
#include "namelib.h"
#include "net.h"
#include "sharedlib.h"
#include "socketlib.h"

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

static bool read_ref(lua_State *L, const struct in *in, const struct item *item) {
    if (item->size != 4 || !in->refs)
        copy_in_corrupt(L, "a reference without a target");
    if (lua_rawgeti(L, in->base + NUMBERED, take32(item->data)) == LUA_TNIL)
        copy_in_corrupt(L, "a reference without a target");
    return false;
}

/* Goes back into the extension just read. */
static void enter(struct in *in, const struct item *item, size_t skip) {
    in->bytes.at = item->data + skip;
}

/* ---- functions ---- */

static const char *view(lua_State *L, void *ctx, size_t *size) {
    struct item *code = ctx;
    (void)L;
    *size = code->size;
    code->size = 0;
    return code->data;
}

static uint32_t read_count(lua_State *L, struct in *in) {
    struct item item;
    copy_in_next(L, in, &item);
    if (item.type != PACK_INT || item.as.i < 0 || item.as.i > UINT32_MAX)
        copy_in_corrupt(L, "a number is expected");
    return (uint32_t)item.as.i;
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
        copy_in_corrupt(L, "a function without code");
    enter(in, item, 8);
    copy_in_next(L, in, &code);
    if (code.type != PACK_STR || copy_checksum(code.data, code.size) != take64(item->data))
        copy_in_corrupt(L, "a function whose code is damaged");
    if (lua_load(L, view, &code, "=(received)", "b") != LUA_OK)
        lua_error(L);
    copy_in_number(L, in);
    prepare_upvalues(L, in);
    uint32_t n = read_count(L, in);
    lua_Debug ar;
    lua_pushvalue(L, -1);
    lua_getinfo(L, ">u", &ar);
    if (n != ar.nups)
        copy_in_corrupt(L, "a function with other upvalues than its code");
    copy_in_begin(L, in, FUNCTION, lua_gettop(L), n)->end = end;
    return true;
}

static void join_upvalue(lua_State *L, const struct in *in, const struct frame *f, uint32_t which) {
    lua_rawgeti(L, in->base + UPVALUES, 2 * (lua_Integer)which);
    lua_rawgeti(L, in->base + UPVALUES, 2 * (lua_Integer)which + 1);
    lua_upvaluejoin(L, f->slot, (int)f->at, -2, (int)lua_tointeger(L, -1));
    lua_pop(L, 2);
}

static void note_upvalue(lua_State *L, struct in *in, const struct frame *f, uint32_t which) {
    in->nupvalues = which;
    lua_pushvalue(L, f->slot);
    lua_rawseti(L, in->base + UPVALUES, 2 * (lua_Integer)which);
    lua_pushinteger(L, f->at);
    lua_rawseti(L, in->base + UPVALUES, 2 * (lua_Integer)which + 1);
}

/* An upvalue is an earlier one of the message, or new: then its value follows. */
static bool read_upvalues(lua_State *L, struct in *in, struct frame *f) {
    while (f->at < f->n) {
        uint32_t which = read_count(L, in);
        if (!which || which > in->nupvalues + 1)
            copy_in_corrupt(L, "an upvalue that is none");
        f->at++;
        in->promised--;
        if (which <= in->nupvalues) {
            join_upvalue(L, in, f, which);
            continue;
        }
        note_upvalue(L, in, f, which);
        if (copy_in_item(L, in))
            return false;
        copy_in_add_part(L, f);
    }
    return true;
}

/* ---- objects and classes ---- */

static bool read_name(lua_State *L, struct in *in, const struct item *item) {
    name_find(L, item->data, item->size);
    copy_in_number(L, in);
    return false;
}

/* A table will come in its place. */
static bool read_object(lua_State *L, struct in *in, const struct item *item) {
    const char *end = in->bytes.at;
    enter(in, item, 0);
    lua_pushnil(L);
    copy_in_begin(L, in, OBJECT, lua_gettop(L), 2)->end = end;
    return true;
}

static void push_text(lua_State *L, struct in *in) {
    struct item item;
    copy_in_next(L, in, &item);
    if (item.type != PACK_STR)
        copy_in_corrupt(L, "a text is expected");
    lua_pushlstring(L, item.data, item.size);
}

/* Its key, name and, when they have come, parent and fields stand from the frame's slot on. */
static bool read_class(lua_State *L, struct in *in, const struct item *item) {
    const char *end = in->bytes.at;
    enter(in, item, 0);
    uint32_t mine = ++in->numbered;
    push_text(L, in);
    push_text(L, in);
    struct frame *f = copy_in_begin(L, in, CLASS, lua_gettop(L) - 1, 2);
    f->number = mine;
    f->end = end;
    return true;
}

void copy_in_finish_class(lua_State *L, struct in *in, const struct frame *f) {
    class_make(L, f->slot);
    if (!in->refs)
        return;
    lua_pushvalue(L, -1);
    lua_rawseti(L, in->base + NUMBERED, f->number);
}

static void add_part_of_object(lua_State *L, const struct frame *f) {
    if (lua_type(L, -1) != LUA_TTABLE)
        copy_in_corrupt(L, "an object without a table");
    if (f->at == 1)
        lua_replace(L, f->slot);
    else
        lua_setmetatable(L, f->slot);
}

void copy_in_add_part(lua_State *L, struct frame *f) {
    if (f->kind == FUNCTION)
        lua_setupvalue(L, f->slot, (int)f->at);
    else if (f->kind == OBJECT)
        add_part_of_object(L, f);
}

bool copy_in_parts(lua_State *L, struct in *in, struct frame *f) {
    if (f->kind == FUNCTION)
        return read_upvalues(L, in, f);
    while (f->at < f->n) {
        f->at++;
        in->promised--;
        if (copy_in_item(L, in))
            return false;
        copy_in_add_part(L, f);
    }
    return true;
}

/* ---- what is attached, and stand-ins ---- */

/* The place in the list of what is attached. */
static struct attached *attached_at(lua_State *L, struct in *in, uint32_t i) {
    if (i >= in->m->nattached)
        copy_in_corrupt(L, "something that should be attached is not");
    return &in->m->list[i];
}

static bool read_socket(lua_State *L, struct in *in, const struct item *item) {
    int family, type, proto;
    if (item->size != 16)
        copy_in_corrupt(L, "a malformed socket");
    struct attached *a = attached_at(L, in, take32(item->data));
    if (a->object || a->fd < 0)
        copy_in_corrupt(L, "a socket that has been received before");
    if (net_info(a->fd, &family, &type, &proto) < 0 || (uint32_t)family != take32(item->data + 4))
        copy_in_corrupt(L, "a socket whose descriptor is none");
    struct sock *s = socket_new(L, family, type, (int)take32(item->data + 12));
    if (in->how->flags & COPY_REMOTE) {
        net_nonblock(a->fd, 1);
        net_cloexec(a->fd);
    }
    socket_fill(s, a->fd);
    a->fd = -1;
    copy_in_number(L, in);
    return false;
}

static bool read_shared(lua_State *L, struct in *in, const struct item *item) {
    if (item->size != 4)
        copy_in_corrupt(L, "a malformed Universal object");
    const struct attached *a = attached_at(L, in, take32(item->data));
    if (!a->object)
        copy_in_corrupt(L, "a Universal object that is none");
    shared_push(L, a->object);
    copy_in_number(L, in);
    return false;
}

static bool read_proxy(lua_State *L, struct in *in, const struct item *item) {
    if (item->size != 8 || !in->how->proxy_in)
        copy_in_corrupt(L, "a proxy that is not expected");
    in->how->proxy_in(L, (lua_Integer)take64(item->data), in->how->ctx);
    copy_in_number(L, in);
    return false;
}

bool copy_in_ext(lua_State *L, struct in *in, const struct item *item) {
    if (in->how->flags & COPY_PLAIN)
        copy_in_corrupt(L, "an extension of MessagePack");
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
        copy_in_corrupt(L, "no such extension");
    }
}
