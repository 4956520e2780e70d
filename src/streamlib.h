/*
 * streamlib.h - the Lua object "curio.stream", shared by the files that give it methods.
 *
 * A stream reads and writes through a transport (transport.h): its own descriptor's, or that of the
 * object in its user value (a socket, a TLS connection). An object that has no transport is asked
 * by its methods `recv` and `send`. What has arrived and was not asked for yet waits in the buffer;
 * a read takes nothing out of it before it can give its results, so that one that is cancelled, or
 * fails, has lost nothing. What is written goes out at once: there is no other buffer.
 */
#ifndef CURIO_STREAMLIB_H
#define CURIO_STREAMLIB_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "buffer.h"
#include "fdio.h"
#include "kernel.h"
#include "transport.h"

struct stream;

#define STREAM_CHUNK 65536 /* bytes asked for at once */
#define STREAM_UV_OBJECT 1 /* what it was made of, kept alive; nil: a descriptor */

/* Who is in the middle of reading, or writing: a task, as long as it has not been resumed since it
   went to sleep there. So a claim ends by itself however the task leaves: by an error, a
   cancellation, a forced end. */
struct claim {
    uint32_t task;  /* the lower bits of its id, never 0 then; 0: nobody */
    uint32_t cycle; /* the same of how often */
    uint32_t slot : 31;
    uint32_t lasting : 1; /* holds while the task lives */
};

#define READ_MORE (-1)

/* One kind of read. Both look at the whole input from the front. */
struct read_verb {
    const char *name;
    /* The number of results, pushed, whose bytes have been taken; or READ_MORE. */
    int (*attempt)(lua_State *L, struct stream *s);
    /* May be NULL: the same if these bytes, which are all there are, are just what is wanted. */
    int (*whole)(lua_State *L, struct stream *s, const char *bytes, size_t n);
    bool raises;  /* in a loop: errors are raised, closing ends it */
    bool partial; /* errors take along what there is: err.partial */
};

/* A read that goes on; belongs to who holds the claim. */
struct reading {
    const struct read_verb *verb;
    size_t limit;    /* most bytes; SIZE_MAX: none */
    size_t pos;      /* bytes of the buffer that are results already */
    size_t seen;     /* bytes after these that have been searched in vain */
    uint32_t want;   /* bytes known to be missing; UINT32_MAX: that many or more */
    uint8_t formats; /* how many are to be read */
    uint8_t done;    /* and have been */
    bool keep;       /* the newline, or delimiter, is wanted too */
    bool ended;      /* the end has been seen */
    bool dry;        /* nothing was wanted, and nothing has come yet */
};

static inline void reading_wants(struct reading *rd, size_t n) {
    rd->want = n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

struct stream {
    const void *tag;
    const struct transport *via; /* NULL: by methods */
    void *self;                  /* what that works on */
    struct io io;                /* of a descriptor of our own */
    struct fdio file;
    struct buffer in;
    struct reading rd;
    struct claim reader, writer;
    uint32_t kernel;  /* the serial number of that whose tasks the claims are of */
    uint8_t standard; /* 1, 2, 3: stands for the process's stdin, stdout, stderr; 0: does not */
    bool borrowed;    /* the object is not to be closed with it */
    bool closed;
};

/* The stream at idx; NULL: it is none. */
struct stream *stream_test(lua_State *L, int idx);

/* Argument check. */
struct stream *stream_check(lua_State *L, int arg);

/* Pushes a stream over nothing yet. [-0, +1, m] */
struct stream *stream_new(lua_State *L);

/* The transport of the value at idx; NULL: it has none. */
const struct transport *stream_transport(lua_State *L, int idx);

/* Puts the descriptor in `file` into use. */
void stream_fill_own(struct stream *s);

/* ---- claims ---- */

/* Raises ReadResourceBusy or WriteResourceBusy if another task holds it. [-0, +0, v] */
void stream_may_claim(lua_State *L, struct task *t, const struct stream *s, const struct claim *c,
                      const char *verb);
void stream_claim(struct stream *s, struct claim *c, const struct task *t, bool lasting);

/* Wakes who holds the claim on reading, and sleeps; whatever it waits for. */
void stream_wake_reader(const struct stream *s);

/* The descriptor that bytes can be moved from or to without passing through here; NULL: none. */
const struct io *stream_raw(const struct stream *s);

/* What an error's .op says of the verb "stream:read": "read". */
const char *stream_op(const char *verb);

/* "stdin": of a standard one. */
const char *stream_standard(const struct stream *s);

/* Pushes nil and a ClosedError. */
int stream_closed(lua_State *L, const struct stream *s, const char *verb);

/* ---- reading (streamreadlib.c runs what streamformatlib.c describes) ---- */

/* Reads; the stream stands at 1, and what the verb needs after it. Returns as a C function does. */
int stream_read(lua_State *L, const struct reading *what);

/* The same for who has called task_enter. */
int stream_read_on(lua_State *L, struct task *t, struct stream *s, const struct reading *what);

/* ---- the other files' shares: what they add to the table on top ---- */

void stream_add_makers(lua_State *L);  /* streammakelib.c, functions */
void stream_add_readers(lua_State *L); /* streamformatlib.c */
void stream_add_framers(lua_State *L); /* streamframelib.c */
void stream_add_writers(lua_State *L); /* streamwritelib.c */
void stream_add_copying(lua_State *L); /* streamcopylib.c, functions */

#endif
