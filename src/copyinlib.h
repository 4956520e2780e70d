/*
 * copyinlib.h - reading a message: what the files that do it share.
 *
 * copyinlib.c goes through the items and makes tables of them, copyreadlib.c reads the extensions:
 * functions, objects, classes, sockets. What has begun and is not complete is a frame, its value on
 * the Lua stack. Nothing that the bytes say is believed; what is wrong raises.
 */
#ifndef CURIO_COPYINLIB_H
#define CURIO_COPYINLIB_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copylib.h"
#include "pack.h"

enum frame_kind { ARRAY, MAP_KEY, MAP_VALUE, FUNCTION, OBJECT, CLASS };

struct frame {
    enum frame_kind kind;
    int slot;        /* of the table or function on the stack */
    uint32_t at;     /* elements, fields, upvalues or parts that have begun */
    uint32_t n;      /* how many there will be */
    uint32_t number; /* of a class, which cannot be made before it is complete */
    const char *end; /* of an extension */
};

#define FRAMES_INSIDE 16

struct in {
    struct unpack bytes;
    struct message *m;
    const struct copy_how *how;
    struct texts *texts;  /* NULL: the message is too small for that to pay */
    struct frame *frames; /* `inside`, or a userdata in the slot FRAMES */
    int nframes, frame_room;
    uint64_t promised; /* items that the open frames still expect; each takes a byte at least */
    uint32_t numbered;
    uint32_t nupvalues;
    int base;  /* below the own slots */
    bool refs; /* what is numbered has to be kept */
    struct frame inside[FRAMES_INSIDE];
};

/* The own slots: above these stand the texts, if there are any. */
enum { FRAMES = 1, NUMBERED, UPVALUES, OWN_SLOTS = UPVALUES };

/* ---- copyinlib.c ---- */

_Noreturn void copy_in_corrupt(lua_State *L, const char *why);

void copy_in_next(lua_State *L, struct in *in, struct item *item);

/* Something begins that has so many parts; its value is, or will be, at that slot. Frames that
   were looked at before may have moved. */
struct frame *copy_in_begin(lua_State *L, struct in *in, enum frame_kind kind, int slot,
                            uint32_t parts);

/* Pushes a value: then false. True: it is a frame. */
bool copy_in_item(lua_State *L, struct in *in);

/* What is numbered next; kept where it can be referred to. The value is on top. */
void copy_in_number(lua_State *L, struct in *in);

/* ---- copyreadlib.c ---- */

/* As copy_in_item, of an extension. */
bool copy_in_ext(lua_State *L, struct in *in, const struct item *item);

/* Goes on with what copy_in_ext has begun. True: it has come to its end; false: a part of it is now
   the innermost frame. */
bool copy_in_parts(lua_State *L, struct in *in, struct frame *f);

/* A part is complete and on top. */
void copy_in_add_part(lua_State *L, struct frame *f);

/* All parts of a class have come: leaves the class in its slot, on top. */
void copy_in_finish_class(lua_State *L, struct in *in, const struct frame *f);

#endif
