/*
 * trace.h - a kernel's time line, written as trace events that Perfetto opens.
 *
 * The Chrome trace-event format: a JSON array of events, times in microseconds. Each task is a
 * track, and so is the kernel (0). On them stand slices: "run", and while a task sleeps what it
 * waits for; of the kernel "look" (for descriptors and timers) and "idle", between two of its runs
 * "outside". A wake-up is a flow from the slice of who woke to the next run of who was woken. One
 * moment ends one slice and begins the next, so that run, look and idle add up to the time the
 * kernel ran, without a gap.
 *
 * Events are gathered in memory and written in large pieces, by the kernel's thread, which may
 * block for a moment on a slow disk. The file is a whole JSON document each time the kernel's run
 * has ended, and at the end of the process.
 */
#ifndef CURIO_TRACE_H
#define CURIO_TRACE_H

#include <stdbool.h>
#include <stdint.h>

struct trace;

/* A new trace with one reference, whose file is made empty; NULL and errno. */
struct trace *trace_open(const char *path);
void trace_ref(struct trace *tr);
void trace_unref(struct trace *tr);

/* Writes out all there is. 0, or the first error there was, as a negative errno. */
int trace_flush(struct trace *tr);

/* A kernel begins to run, as process number `pid` of the file, ends its run: time passes between
   the two only. `runner` is the task that runs already, 0: none. */
void trace_begin(struct trace *tr, uint32_t pid, uint64_t runner);
void trace_end(struct trace *tr);

/* A number for a further kernel in this file; its tracks are named. */
uint32_t trace_process(struct trace *tr);

/* The slot is a small number that no other live task has; names are copied. */
void trace_named(struct trace *tr, uint64_t id, const char *name);
void trace_created(struct trace *tr, uint32_t slot, uint64_t id, const char *name);
void trace_running(struct trace *tr, uint32_t slot, uint64_t id);
/* state: what it waits for; must stay where it is until the task is woken. NULL: nothing. */
void trace_suspended(struct trace *tr, uint32_t slot, const char *state);
/* By the task that runs, or if none does by the kernel. */
void trace_woken(struct trace *tr, uint32_t slot, uint64_t id);

/* The kernel looks for events, or with `idle` waits for them. */
void trace_looking(struct trace *tr, bool idle);

#endif
