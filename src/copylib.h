/*
 * copylib.h - Lua values into a message, and out of it in another Lua state or process.
 *
 * What crosses: nil, booleans, numbers, strings; tables, with their metatables, cycles and shared
 * parts; Lua functions with their upvalues, shared ones staying shared; error objects and classes;
 * addresses; sockets, which move; Universal objects, which are shared. Loaded modules, and
 * functions found in one, go by name; the table of globals becomes the receiver's. Anything else is
 * refused, naming the path to it: "args[2].callbacks[1]: cannot send a coroutine".
 *
 *     struct message m;                  (in a box that drops it when collected)
 *     message_init(&m);
 *     copy_out(L, first, n, &(struct copy_how){.root = "args"}, &m);    the sender
 *     n = copy_in(L, &m, &(struct copy_how){0});                        the receiver
 *     message_drop(&m);                                                 in any case
 *
 * Writing is all or nothing: where it raises, no socket has been moved and the message is still
 * empty. Neither function yields; both may raise, also for want of memory.
 */
#ifndef CURIO_COPYLIB_H
#define CURIO_COPYLIB_H

#include <lua.h>

#include "message.h"

enum {
    COPY_ONE = 1,    /* one value, which `root` names by itself: "item" and not "item[1]" */
    COPY_REMOTE = 2, /* for another process: refuses Universal objects */
    COPY_PLAIN = 4,  /* one value as MessagePack for any language: refuses what others cannot know;
                        shared parts are repeated, cycles refused */
    COPY_KEEP = 16,  /* leaves on the stack what copy_undo needs alive: a table, or nil */
    COPY_STAY = 8    /* refuses sockets: the message is read more than once */
};

struct copy_how {
    const char *root;  /* what messages call the values: "args", "results"; NULL: "values" */
    const char *first; /* what they call the first value, if it is not one of these; or NULL */
    unsigned flags;
    /* Writing: asked about what could not be sent otherwise (userdata, and tables whose metatable
       is named "curio.…"). A number by which the receiver will know a stand-in for the value at
       idx, or 0: refused. May raise. NULL: all are refused. [-0, +0, v] */
    lua_Integer (*proxy_out)(lua_State *L, int idx, void *ctx);
    /* Reading: pushes the stand-in. NULL: such a message is corrupt. [-0, +1, v] */
    void (*proxy_in)(lua_State *L, lua_Integer number, void *ctx);
    void *ctx;
};

/* Pushes a box with an empty message in it, dropped when it is collected. [-0, +1, m] */
struct message *copy_new_message(lua_State *L);

/* Writes copies of the n values from stack index `first` on into the empty message m; sockets among
   them are then detached. [-0, +0, v], with COPY_KEEP [-0, +1, v] */
void copy_out(lua_State *L, int first, int n, const struct copy_how *how, struct message *m);

/* Pushes the values and returns how many. Sockets are taken out of the message; apart from that it
   can be read again. Only flags COPY_REMOTE and COPY_PLAIN matter, and must be the writer's. A
   corrupt message raises a CurioError. [-0, +n, v] */
int copy_in(lua_State *L, struct message *m, const struct copy_how *how);

/* For a message that could not be handed on, in the state that wrote it and while the values still
   exist: gives moved sockets back to the objects they came from. Then message_drop as ever. */
void copy_undo(struct message *m);

#endif
