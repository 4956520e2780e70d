/*
 * message.h - values on their way from one Lua state to another: bytes, and what goes with them.
 *
 * A message owns its bytes, the descriptors attached to it (sockets that move) and a reference to
 * each shared object that it names. It is written and read by copylib.h; this is the plain C that
 * holds it meanwhile, in whatever thread. A message that is never read is dropped, which closes
 * what it carried. To another process go the bytes and, beside them, the descriptors in their
 * order.
 */
#ifndef CURIO_MESSAGE_H
#define CURIO_MESSAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* What several Lua states hold together (a UniversalQueue); the head of such a struct. */
struct shared {
    atomic_int refs;
    struct shared *next;           /* while it is dying */
    const char *kind;              /* the name of its metatable */
    void (*free)(struct shared *); /* in the thread that drops the last reference */
};

void shared_ref(struct shared *s);
void shared_unref(struct shared *s);

/* Either a descriptor or a shared object. */
struct attached {
    int fd;                /* -1: none, or taken out already */
    void *origin;          /* whom the sender took it from; the sender's business */
    struct shared *object; /* NULL: a descriptor */
    bool weak;             /* the object is not referenced; see message_weaken */
};

#define MESSAGE_SMALL 48 /* that many bytes need no block of their own */

struct message {
    size_t size;
    char *block;           /* malloc'ed; NULL: the bytes are in `small` */
    struct attached *list; /* malloc'ed; NULL: none */
    size_t nattached;
    char small[MESSAGE_SMALL];
};

/* Makes an empty one; also what remains of one that was moved or dropped. */
void message_init(struct message *m);

/* An empty message gets a copy of the bytes. 0 or -ENOMEM. */
int message_set(struct message *m, const void *data, size_t size);

/* An empty message gets the malloc'ed block. */
void message_adopt(struct message *m, char *block, size_t size);

/* The receiver's side of another process: adds a descriptor that came with the bytes, in order. 0
   or -ENOMEM; then it is still the caller's. */
int message_attach(struct message *m, int fd);

static inline const char *message_data(const struct message *m) {
    return m->block ? m->block : m->small;
}

/* The message is about to be kept by the object itself: what it holds of that does not count, or
   neither would ever be freed. Undone before it is given away. Somebody must hold the object. */
void message_weaken(struct message *m, struct shared *keeper);
void message_strengthen(struct message *m);

/* Writes the descriptors into fds, room for max of them; returns how many there are. They remain
   the message's. */
size_t message_fds(const struct message *m, int *fds, size_t max);

/* `to` is overwritten; `from` is empty afterwards. */
void message_move(struct message *to, struct message *from);

/* Frees and closes all it holds. Idempotent. */
void message_drop(struct message *m);

#endif
