/*
 * copyoutlib.h - writing a message: what the files that do it share.
 *
 * copyoutlib.c walks the values, copywritelib.c writes what is more than a scalar, copyrefuselib.c
 * says what cannot be sent and where it is. A frame is what has begun and not ended: a table, a
 * function, an object with its metatable. Its value stands on the Lua stack, so the path to where
 * the walk is can be told from the frames.
 */
#ifndef CURIO_COPYOUTLIB_H
#define CURIO_COPYOUTLIB_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copylib.h"
#include "pack.h"
#include "seen.h"

#define HELD_MAX 16     /* pairs of a table that is held */
#define HELD_DEPTH 1000 /* levels; deeper ones would take the whole stack */

/* Of the Lua stack, that one frame and the work on it need at most. */
#define COPY_SLOTS (12 + 2 * HELD_MAX)

/* HELD: a small table, whose keys and values stand on the stack above it, pair by pair, so that it
   is gone through but once. */
enum frame_kind { ARRAY, MAP, HELD_ARRAY, HELD_MAP, FUNCTION, OBJECT, CLASS };

/* What is to be written next. Of a map a key, its value; of an object the table, its metatable; of
   a class the parent, its fields. */
enum frame_stage { FIRST, SECOND, THIRD };

struct frame {
    enum frame_kind kind;
    enum frame_stage stage;
    int slot;        /* of its value on the stack */
    lua_Unsigned at; /* the element, field or upvalue that was begun last */
    lua_Unsigned n;  /* how many there are */
    size_t begin;    /* of an extension */
    bool of_error;   /* the fields of an error object: what cannot be sent is left out */
    bool of_class;   /* the fields of a class, without those that every class has */
};

struct out {
    struct pack pack;
    struct seen seen; /* tables and others by number; upvalues by theirs. Plain: 1 on the path */
    struct frame *frames;
    int nframes;
    int frame_room;
    struct attached *list; /* origin: the struct sock; object: not referenced yet */
    size_t nattached;
    uint32_t numbered;
    uint32_t nupvalues;
    bool refs;
    bool names_fresh;
    bool busy;
    const void *globals; /* the table; NULL: nobody has asked yet */
    const struct copy_how *how;
    int keep; /* stack index of the table of sockets that COPY_KEEP asks for, or nil */
    int nth;  /* which of the values is at hand */
};

/* ---- copyrefuselib.c ---- */

/* Raises, with the path to the value at hand. */
_Noreturn void copy_fail(lua_State *L, struct out *o, const char *why);
_Noreturn void copy_no_memory(lua_State *L);

/* The value at index v cannot be sent; it is the one at hand. Where it is a field of an error
   object, nil goes in its place: an error must not be lost because of what it points to. Else
   raises. Always false. */
bool copy_refuse(lua_State *L, struct out *o, int v, const char *what);

/* The same, naming it by its type. */
bool copy_refuse_type(lua_State *L, struct out *o, int v);

/* ---- copyoutlib.c ---- */

/* The value at index v, the top but for what it needs itself, becomes a frame; always true. */
bool copy_begin(lua_State *L, struct out *o, int v, const struct frame *f);

/* The number of a table, function, upvalue or userdata; 0 if it is new. Valid until the next call.
 */
uint32_t *copy_number(lua_State *L, struct out *o, const void *key);

/* ---- copywritelib.c: these write the value at v, on top, and take it off, unless it has become a
   frame: then they return true ---- */

bool copy_write_table(lua_State *L, struct out *o, int v);
bool copy_write_function(lua_State *L, struct out *o, int v);
bool copy_write_userdata(lua_State *L, struct out *o, int v);

void copy_write_globals(lua_State *L, struct out *o, int v);

/* The metatable of an object, which the receiver may know. */
void copy_write_metatable(lua_State *L, struct out *o, int v);

/* The elements or fields of a table, whatever its metatable. */
bool copy_begin_fields(lua_State *L, struct out *o, int v);

/* The fields of a class that not every class has. */
bool copy_begin_class_fields(lua_State *L, struct out *o, int v);

/* With a key and value on top: every class has it. */
bool copy_is_common_field(lua_State *L);

#endif
