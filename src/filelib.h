/*
 * filelib.h - the Lua object "curio.file", shared by the files that give it methods.
 *
 * A file is a box that holds an open fsjob or none. Most reads and writes are a matter of its
 * buffers and are over at once. One that needs an operation of the system becomes the file's user
 * until it has ended; who comes meanwhile queues. Its turn is a to-be-closed userdata on its own
 * stack, so that the next is let in whatever ends it.
 */
#ifndef CURIO_FILELIB_H
#define CURIO_FILELIB_H

#include <lua.h>

#include "fsjob.h"
#include "list.h"
#include "task.h"

struct turn;

enum file_buffering { FILE_FULL, FILE_LINE, FILE_NONE };

struct file {
    struct fsjob *j;   /* NULL: closed */
    struct turn *user; /* NULL: nobody needs more than the buffers */
    struct list queue; /* turns that wait, first come first */
    enum file_buffering buffering;
    size_t limit;    /* bytes kept before they are written out */
    const void *tag; /* as struct sock has one */
};

/* Of a verb that could not end at once. */
struct turn {
    struct list link;  /* in the queue */
    struct file *file; /* kept alive by the same stack; NULL: the turn is over */
    struct task *task; /* asleep; NULL: not */
    struct fsjob *j;   /* listened to; or, of close, owned */
    bool asked;        /* its own operation has been started, and its result not been taken */
    bool owns;         /* close, and aopen until it succeeds: leaves j in the end */
    size_t added;      /* bytes a write has put into the buffer */
    lua_Integer taken; /* of these, what the file will see though the writer was interrupted */
};

/* Argument check: any file; and one for attempts, where it has been checked. */
struct file *file_check(lua_State *L, int arg);
static inline struct file *file_self(lua_State *L) {
    return lua_touserdata(L, 1);
}

/* The turn of the running verb, on top of its stack; NULL: it has none yet. */
struct turn *file_turn(lua_State *L);

/* In an attempt: 0 when the file is the running task's and idle. Else to be returned: BLOCK_PARKED,
   or the results of a closed file. */
int file_take(lua_State *L, struct task *t, const char *op);

/* May what has been read ahead be consumed at once? Also while a reader that was interrupted has
   left an operation that goes on reading. */
static inline bool file_readable(const struct file *f) {
    return f->j && !f->user && (f->j->state == FSJOB_IDLE || f->j->op == FSJOB_FILL);
}

/* After file_take: starts an operation and parks. What it returns is to be returned. */
int file_start(lua_State *L, struct task *t, enum fsjob_op op, const char *name);

/* After file_take: true once, when the operation that this verb started has ended. */
bool file_result(lua_State *L, int64_t *result);

/* Pushes nil and an OSError about the file; returns 2. */
int file_failed(lua_State *L, int err, const char *op);

/* The other files' shares: what they add to the table on top. [-0, +0, m] */
void file_add_reads(lua_State *L);    /* filereadlib.c */
void file_add_writes(lua_State *L);   /* filewritelib.c */
void file_add_position(lua_State *L); /* fileposlib.c */

#endif
