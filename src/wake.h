/*
 * wake.h - how other threads and signal handlers reach a kernel.
 *
 * A lock-free stack of nodes plus one descriptor that the kernel polls. Posting onto an empty stack
 * writes the descriptor, so a burst costs one system call. The struct is reference counted: each
 * thread that may still post holds a reference, and posting to a closed queue says so instead of
 * losing the node.
 */
#ifndef CURIO_WAKE_H
#define CURIO_WAKE_H

#include <stdbool.h>

struct wake_node {
    struct wake_node *next;
    void (*run)(struct wake_node *); /* called in the kernel's thread */
};

struct wake;

/* A new queue with one reference, or NULL and errno. */
struct wake *wake_new(void);
void wake_ref(struct wake *w);
void wake_unref(struct wake *w);

/* The descriptor to poll for reading. */
int wake_fd(const struct wake *w);

/* From any thread. False when the queue is closed: the node is still the caller's. */
bool wake_post(struct wake *w, struct wake_node *node);

/* Only make the kernel look: async-signal-safe. */
void wake_poke(struct wake *w);

/* From the kernel's thread: runs every posted node, oldest first. */
void wake_drain(struct wake *w);

/* From the kernel's thread: runs what is there, then refuses further nodes. */
void wake_close(struct wake *w);

#endif
