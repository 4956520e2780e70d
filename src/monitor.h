/*
 * monitor.h - a thread that takes commands for a kernel from a socket, line by line.
 *
 * The thread only talks: what a command means is the kernel's business, which is asked to look and
 * answers in its own thread. So the monitor takes connections and tells that a kernel is busy even
 * while that never looks. Peers cannot hold it up: a line has a greatest length, connections a
 * greatest number (the one that was silent longest makes room), and what a peer does not read keeps
 * only that peer waiting.
 */
#ifndef CURIO_MONITOR_H
#define CURIO_MONITOR_H

#include <stdbool.h>
#include <stddef.h>

struct monitor;

/* Called in the monitor's thread. */
struct monitor_host {
    void (*wake)(void *ctx);   /* a command waits: have the kernel look */
    void (*insist)(void *ctx); /* it still waits: interrupt what runs; called again and again */
    void (*drop)(void *ctx);   /* in the end, in the kernel's thread: frees ctx */
    void *ctx;
};

/* Takes over a listening descriptor. `path`, if not NULL, is removed in the end. 0 or a negative
   errno; then the descriptor is the caller's still. */
int monitor_open(struct monitor **result, int fd, const char *path,
                 const struct monitor_host *host);

/* Kernel's thread: the command that waits for an answer, valid until that; NULL: none. */
const char *monitor_command(struct monitor *m);

/* Kernel's thread: answers it; the text is copied. With `bye` the connection ends then. */
void monitor_answer(struct monitor *m, const char *text, size_t len, bool bye);

/* Kernel's thread: how many were answered so far. The next command may come at once. */
unsigned monitor_answers(const struct monitor *m);

/* Kernel's thread. Waits for the monitor's thread. */
void monitor_close(struct monitor *m);

#endif
