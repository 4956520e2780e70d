/*
 * block.c - the loop of block.h, spread over a C function and its continuation.
 */
#include "block.h"

#include <errno.h>
#include <stdio.h>

#include "clock.h"
#include "lib.h"

static void tell(lua_State *L, struct task *t, const struct verb *verb) {
    task_push_interrupt(L, t);
    if (lua_type(L, -1) == LUA_TTABLE)
        verb->interrupted(L, t);
    lua_pop(L, 1);
}

int block_go_on(lua_State *L, int status, lua_KContext ctx) {
    (void)status;
    const struct verb *verb = (const struct verb *)ctx;
    struct kernel *k = kernel_current;
    if (verb->interrupted && k && k->top == L && k->current->wake != WAKE_OK &&
        task_interrupted(k->current))
        tell(L, k->current, verb);
    return block_now(L, task_woken(L), verb);
}

int block_later(lua_State *L, struct task *t, const struct verb *verb) {
    task_give_way(t);
    return lua_yieldk(L, 0, (lua_KContext)verb, block_go_on);
}

/* A cancellation is one object, however often it is raised: what it says of the call before this
   one must not stay. And nobody holds the kernel by operations that never have to wait. */
int block_run_checked(lua_State *L, const struct verb *verb) {
    struct task *pending = verb->interrupted ? task_pending(L) : NULL;
    if (pending)
        tell(L, pending, verb);
    struct task *t = task_enter(L, verb->name);
    return task_spent(t) ? block_later(L, t, verb) : block_now(L, t, verb);
}

/* ---- waiting on descriptors ---- */

static void forget_reader(struct task *t) {
    loop_forget(&t->kernel->loop, (int)(intptr_t)t->on, LOOP_READ);
}

static void forget_writer(struct task *t) {
    loop_forget(&t->kernel->loop, (int)(intptr_t)t->on, LOOP_WRITE);
}

static void sleep_on(struct task *t, int fd, enum loop_dir dir, int64_t wake_at) {
    bool reading = dir == LOOP_READ;
    task_sleep(t, reading ? "READ_WAIT" : "WRITE_WAIT", reading ? forget_reader : forget_writer,
               (void *)(intptr_t)fd, wake_at);
}

static int refused(lua_State *L, struct task *t, int err, int fd, enum loop_dir dir) {
    if (err == 1) { /* always ready: only give way */
        task_give_way(t);
        return BLOCK_PARKED;
    }
    if (err == -EBUSY) {
        error_new(L, dir == LOOP_READ ? "ReadResourceBusy" : "WriteResourceBusy",
                  "another task is waiting to %s descriptor %d",
                  dir == LOOP_READ ? "read from" : "write to", fd);
        return lua_error(L);
    }
    char subject[32];
    snprintf(subject, sizeof subject, "fd %d", fd);
    lua_pushnil(L);
    error_os(L, -err, "poll", subject);
    return 2;
}

int block_wait(lua_State *L, struct task *t, const struct io *io, enum loop_dir dir) {
    int err = loop_wait(&t->kernel->loop, io, dir, t);
    if (err)
        return refused(L, t, err, io->fd, dir);
    sleep_on(t, io->fd, dir, CLOCK_NEVER);
    return BLOCK_PARKED;
}

int block_again(lua_State *L, struct task *t, const struct io *io, enum loop_dir dir) {
    loop_blocked(&t->kernel->loop, io, dir);
    return block_wait(L, t, io, dir);
}

int block_wait_foreign(lua_State *L, struct task *t, int fd, enum loop_dir dir, int64_t wake_at) {
    int err = loop_wait_foreign(&t->kernel->loop, fd, dir, t);
    if (err)
        return refused(L, t, err, fd, dir);
    sleep_on(t, fd, dir, wake_at);
    return BLOCK_PARKED;
}

void block_release(int fd, bool closing) {
    struct kernel *k = kernel_current;
    void *waiters[2];
    if (!k)
        return;
    loop_release(&k->loop, fd, closing, waiters);
    for (int i = 0; i < 2; i++)
        if (waiters[i])
            task_wake(waiters[i], WAKE_OK);
}
