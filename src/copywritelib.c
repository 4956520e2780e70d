/*
 * copywritelib.c - how tables, functions and userdata stand in a message.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "addrlib.h"
#include "classlib.h"
#include "copyformat.h"
#include "copyoutlib.h"
#include "lib.h"
#include "namelib.h"
#include "sharedlib.h"
#include "socketlib.h"

static uint32_t network(uint32_t v) {
    return htobe32(v);
}

static bool write_ext(lua_State *L, struct out *o, int v, enum copy_ext type, const void *data,
                      size_t size) {
    pack_ext(&o->pack, (int8_t)type, data, size);
    lua_settop(L, v - 1);
    return false;
}

static bool write_ref(lua_State *L, struct out *o, int v, uint32_t number) {
    number = network(number);
    o->refs = true;
    return write_ext(L, o, v, EXT_REF, &number, sizeof number);
}

/* With the name on top. */
static bool write_name(lua_State *L, struct out *o, int v) {
    size_t size;
    const char *name = lua_tolstring(L, -1, &size);
    return write_ext(L, o, v, EXT_NAME, name, size);
}

static void refresh_names(lua_State *L, struct out *o) {
    if (!o->names_fresh)
        name_refresh(L);
    o->names_fresh = true;
}

/* ---- tables ---- */

struct shape {
    lua_Unsigned n;
    bool sequence;  /* the keys are 1 to n */
    bool functions; /* there are functions among the values */
    bool held;      /* keys and values stand on the stack */
};

/* With a key and value on top. */
static inline void look_at_pair(lua_State *L, struct shape *s) {
    s->n++;
    if (lua_type(L, -1) == LUA_TFUNCTION)
        s->functions = true;
    if (s->sequence)
        s->sequence = lua_isinteger(L, -2) && lua_tointeger(L, -2) == (lua_Integer)s->n;
}

/* Pushes the pairs of a small table. False, nothing pushed: it is larger. */
static bool hold(lua_State *L, int v, struct shape *s) {
    lua_pushnil(L);
    while (lua_next(L, v)) {
        if (s->n == HELD_MAX) {
            lua_settop(L, v);
            return false;
        }
        look_at_pair(L, s);
        lua_pushvalue(L, -2);
    }
    return true;
}

/* The table is on top. */
static struct shape look_at(lua_State *L, const struct out *o, int v) {
    struct shape s = {.sequence = true};
    s.held = o->nframes < HELD_DEPTH && lua_rawlen(L, v) <= HELD_MAX && hold(L, v, &s);
    if (s.held)
        return s;
    s = (struct shape){.sequence = true};
    lua_pushnil(L);
    for (; lua_next(L, v); lua_pop(L, 1))
        look_at_pair(L, &s);
    return s;
}

/* The table's elements or fields, whatever its metatable. */
static bool begin_table(lua_State *L, struct out *o, int v, struct shape s) {
    struct frame f = {.kind = s.sequence && s.n ? ARRAY : MAP, .n = s.n};
    if (o->how->flags & COPY_PLAIN && !s.n)
        f.kind = ARRAY;
    if (f.kind == ARRAY)
        pack_array(&o->pack, s.n);
    else
        pack_map(&o->pack, s.n);
    if (s.held)
        f.kind = f.kind == ARRAY ? HELD_ARRAY : HELD_MAP;
    copy_begin(L, o, v, &f);
    if (f.kind == MAP)
        lua_pushnil(L);
    return true;
}

bool copy_begin_fields(lua_State *L, struct out *o, int v) {
    return begin_table(L, o, v, look_at(L, o, v));
}

/* A module, or what looks like one. */
static bool has_name(lua_State *L, struct out *o, int v) {
    refresh_names(L, o);
    return name_push(L, v);
}

static bool is_kernel_object(lua_State *L, int v) {
    if (luaL_getmetafield(L, v, "__name") == LUA_TNIL)
        return false;
    const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    bool yes = !strncmp(name, "curio.", 6);
    lua_pop(L, 1);
    return yes;
}

static bool is_address(lua_State *L, int v) {
    bool yes = false;
    if (lua_getmetatable(L, v)) {
        addrlib_push_metatable(L);
        yes = lua_rawequal(L, -1, -2);
        lua_pop(L, 2);
    }
    return yes;
}

/* What the receiver may have a stand-in for. */
static bool write_foreign(lua_State *L, struct out *o, int v, uint32_t *number) {
    lua_Integer id = o->how->proxy_out ? o->how->proxy_out(L, v, o->how->ctx) : 0;
    if (!id)
        return copy_refuse_type(L, o, v);
    *number = ++o->numbered;
    uint64_t bits = htobe64((uint64_t)id);
    return write_ext(L, o, v, EXT_PROXY, &bits, sizeof bits);
}

/* An error class: the receiver has it already, by name or by key, or makes one. */
static bool write_class(lua_State *L, struct out *o, int v, uint32_t *number) {
    refresh_names(L, o);
    *number = ++o->numbered;
    if (name_push_table(L, v))
        return write_name(L, o, v);
    struct frame f = {.kind = CLASS, .begin = pack_ext_begin(&o->pack, EXT_CLASS)};
    size_t size;
    const char *text = class_push_key(L, v, &size);
    pack_str(&o->pack, text, size);
    lua_getfield(L, v, "name");
    text = lua_tolstring(L, -1, &size);
    pack_str(&o->pack, text ? text : "", text ? size : 0);
    lua_settop(L, v);
    return copy_begin(L, o, v, &f);
}

/* The table in it is what is numbered. */
static bool write_object(lua_State *L, struct out *o, int v) {
    if (luaL_getmetafield(L, v, "__gc") != LUA_TNIL)
        return copy_refuse(L, o, v, "a table with a finaliser (__gc)");
    struct frame f = {.kind = OBJECT, .begin = pack_ext_begin(&o->pack, EXT_OBJECT)};
    f.of_error = error_is(L, v, "CurioError");
    return copy_begin(L, o, v, &f);
}

static bool write_with_metatable(lua_State *L, struct out *o, int v, uint32_t *number) {
    if (error_is_class(L, v))
        return write_class(L, o, v, number);
    if (has_name(L, o, v)) {
        *number = ++o->numbered;
        return write_name(L, o, v);
    }
    if (!is_address(L, v) && is_kernel_object(L, v))
        return write_foreign(L, o, v, number);
    return write_object(L, o, v);
}

void copy_write_globals(lua_State *L, struct out *o, int v) {
    write_ext(L, o, v, EXT_GLOBALS, NULL, 0);
}

/* For any language there are no metatables, and what stands in two places is two. */
static bool write_plain_table(lua_State *L, struct out *o, int v) {
    if (!is_address(L, v) && is_kernel_object(L, v))
        return copy_refuse_type(L, o, v);
    uint32_t *number = copy_number(L, o, lua_topointer(L, v));
    if (*number)
        return copy_refuse(L, o, v, "a table that contains itself");
    *number = 1;
    return begin_table(L, o, v, look_at(L, o, v));
}

static void find_globals(lua_State *L, struct out *o) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    o->globals = lua_topointer(L, -1);
    lua_pop(L, 1);
}

bool copy_write_table(lua_State *L, struct out *o, int v) {
    const void *key = lua_topointer(L, v);
    if (o->how->flags & COPY_PLAIN)
        return write_plain_table(L, o, v);
    if (!o->globals)
        find_globals(L, o);
    if (key == o->globals)
        return write_ext(L, o, v, EXT_GLOBALS, NULL, 0);
    uint32_t *number = copy_number(L, o, key);
    if (*number)
        return write_ref(L, o, v, *number);
    if (lua_getmetatable(L, v)) {
        lua_pop(L, 1);
        return write_with_metatable(L, o, v, number);
    }
    struct shape s = look_at(L, o, v);
    *number = ++o->numbered;
    if (s.functions && has_name(L, o, v))
        return write_name(L, o, v);
    return begin_table(L, o, v, s);
}

/* ---- functions ---- */

static char codes_key; /* registry: function -> what write_code writes of it */

static int append(lua_State *L, const void *data, size_t size, void *ctx) {
    struct pack *p = ctx;
    (void)L;
    pack_raw(p, data, size);
    return p->err;
}

/* The checksum, and as first item the bytecode; kept for the next time. */
static void write_code(lua_State *L, struct pack *p, int v) {
    uint64_t checksum = 0;
    size_t at = p->size;
    pack_raw(p, &checksum, sizeof checksum);
    size_t code = pack_str_begin(p);
    lua_pushvalue(L, v);
    lua_dump(L, append, p, 0);
    lua_pop(L, 1);
    pack_str_end(p, code);
    if (p->err)
        return;
    checksum = htobe64(copy_checksum(p->data + code, p->size - code));
    memcpy(p->data + at, &checksum, sizeof checksum);
    weak_push(L, &codes_key, "k");
    lua_pushvalue(L, v);
    lua_pushlstring(L, p->data + at, p->size - at);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

/* Pushes what write_code wrote of it; false, nothing pushed: it has not yet. */
static bool push_code(lua_State *L, int v) {
    luaL_checkstack(L, 4, "copy");
    weak_push(L, &codes_key, "k");
    lua_pushvalue(L, v);
    bool found = lua_rawget(L, -2) == LUA_TSTRING;
    lua_remove(L, -2);
    if (!found)
        lua_pop(L, 1);
    return found;
}

static int count_upvalues(lua_State *L, int v) {
    lua_Debug ar;
    lua_pushvalue(L, v);
    lua_getinfo(L, ">u", &ar);
    return ar.nups;
}

/* With its code on top if it has been sent before. */
static bool begin_function(lua_State *L, struct out *o, int v, bool again) {
    int n = count_upvalues(L, v);
    struct frame f = {.kind = FUNCTION, .n = (lua_Unsigned)n};
    f.begin = pack_ext_begin(&o->pack, EXT_FUNCTION);
    if (again) {
        pack_raw(&o->pack, lua_tostring(L, -1), lua_rawlen(L, -1));
        lua_pop(L, 1);
    } else {
        write_code(L, &o->pack, v);
    }
    pack_int(&o->pack, n);
    return copy_begin(L, o, v, &f);
}

/* Whether it is sent by name is settled the first time: to look for modules that have been loaded
   since is most of the work. */
bool copy_write_function(lua_State *L, struct out *o, int v) {
    if (o->how->flags & COPY_PLAIN)
        return copy_refuse_type(L, o, v);
    uint32_t *number = copy_number(L, o, lua_topointer(L, v));
    if (*number)
        return write_ref(L, o, v, *number);
    bool again = push_code(L, v);
    bool named = !again && has_name(L, o, v);
    if (!again && !named && lua_iscfunction(L, v))
        return copy_refuse(L, o, v,
                           lua_getupvalue(L, v, 1) ? "a C function with upvalues"
                                                   : "a C function that is in no loaded module");
    *number = ++o->numbered;
    return named ? write_name(L, o, v) : begin_function(L, o, v, again);
}

/* ---- userdata ---- */

static uint32_t attach(lua_State *L, struct out *o, struct attached a) {
    struct attached *list = realloc(o->list, (o->nattached + 1) * sizeof *list);
    if (list) {
        list[o->nattached] = a;
        o->list = list;
        return (uint32_t)o->nattached++;
    }
    copy_no_memory(L);
}

static void keep(lua_State *L, struct out *o, int v) {
    if (lua_isnil(L, o->keep)) {
        lua_newtable(L);
        lua_replace(L, o->keep);
    }
    lua_pushvalue(L, v);
    lua_rawseti(L, o->keep, (lua_Integer)o->nattached + 1);
}

static bool write_socket(lua_State *L, struct out *o, int v, struct sock *s, uint32_t *number) {
    if (o->how->flags & (COPY_PLAIN | COPY_STAY))
        return copy_refuse(L, o, v,
                           o->how->flags & COPY_PLAIN
                               ? "a socket"
                               : "a socket where it may be received more than once");
    if (s->io.fd < 0)
        return copy_refuse(L, o, v, "a closed socket");
    *number = ++o->numbered;
    if (o->how->flags & COPY_KEEP)
        keep(L, o, v);
    uint32_t data[4] = {attach(L, o, (struct attached){.fd = -1, .origin = s}), (uint32_t)s->family,
                        (uint32_t)s->type, (uint32_t)s->proto};
    for (int i = 0; i < 4; i++)
        data[i] = network(data[i]);
    return write_ext(L, o, v, EXT_SOCKET, data, sizeof data);
}

static bool write_shared(lua_State *L, struct out *o, int v, struct shared *s, uint32_t *number) {
    if (o->how->flags & COPY_REMOTE)
        return copy_refuse(L, o, v, lua_pushfstring(L, "a %s to another process", s->kind));
    if (o->how->flags & COPY_PLAIN)
        return copy_refuse_type(L, o, v);
    *number = ++o->numbered;
    uint32_t at = network(attach(L, o, (struct attached){.fd = -1, .object = s}));
    return write_ext(L, o, v, EXT_SHARED, &at, sizeof at);
}

bool copy_write_userdata(lua_State *L, struct out *o, int v) {
    const luaL_Stream *file = luaL_testudata(L, v, LUA_FILEHANDLE);
    if (file)
        return copy_refuse(L, o, v, file->closef ? "an open file" : "a closed file");
    uint32_t *number = copy_number(L, o, lua_touserdata(L, v));
    if (*number)
        return write_ref(L, o, v, *number);
    struct sock *s = socket_test(L, v);
    if (s)
        return write_socket(L, o, v, s, number);
    struct shared *object = shared_test(L, v);
    if (object)
        return write_shared(L, o, v, object, number);
    return write_foreign(L, o, v, number);
}

/* ---- objects and classes ---- */

void copy_write_metatable(lua_State *L, struct out *o, int v) {
    addrlib_push_metatable(L);
    bool address = lua_rawequal(L, -1, v);
    lua_pop(L, 1);
    if (address) {
        write_ext(L, o, v, EXT_ADDRESS, NULL, 0);
        return;
    }
    uint32_t *number = copy_number(L, o, lua_topointer(L, v));
    if (!*number && !error_is_class(L, v) && name_push_table(L, v)) {
        *number = ++o->numbered;
        write_name(L, o, v);
        return;
    }
    copy_write_table(L, o, v);
}

bool copy_is_common_field(lua_State *L) {
    static const char *const names[] = {"name", "parent", "new", "__index", "__tostring", NULL};
    const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
    for (int i = 0; names[i]; i++)
        if (!strcmp(key, names[i]))
            return true;
    return false;
}

static lua_Unsigned count_own_fields(lua_State *L, int v) {
    lua_Unsigned n = 0;
    lua_pushnil(L);
    for (; lua_next(L, v); lua_pop(L, 1))
        n += !copy_is_common_field(L);
    return n;
}

bool copy_begin_class_fields(lua_State *L, struct out *o, int v) {
    struct frame f = {.kind = MAP, .of_class = true, .n = count_own_fields(L, v)};
    pack_map(&o->pack, f.n);
    copy_begin(L, o, v, &f);
    lua_pushnil(L);
    return true;
}
