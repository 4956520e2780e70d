/*
 * traplib.c - the traps that no other part has: waiting on descriptors that are not curio's own,
 * and the cancellation point that need not sleep.
 */
#include <errno.h>

#include "block.h"
#include "clock.h"
#include "lib.h"

/* [fd, waited]: the second attempt only says that the wait is over. */
static int wait_attempt(lua_State *L, struct task *t, enum loop_dir dir) {
    if (lua_toboolean(L, 2)) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushboolean(L, 1);
    lua_replace(L, 2);
    return block_wait_foreign(L, t, (int)lua_tointeger(L, 1), dir, CLOCK_NEVER);
}

static int read_attempt(lua_State *L, struct task *t) {
    return wait_attempt(L, t, LOOP_READ);
}

static int write_attempt(lua_State *L, struct task *t) {
    return wait_attempt(L, t, LOOP_WRITE);
}

static const struct verb read_verb = {"traps.read_wait", read_attempt, NULL};
static const struct verb write_verb = {"traps.write_wait", write_attempt, NULL};

static int wait_on(lua_State *L, const struct verb *verb) {
    int fd = args_fileno(L, 1);
    lua_settop(L, 0);
    lua_pushinteger(L, fd);
    lua_pushboolean(L, 0);
    return block_run(L, verb);
}

static int f_read_wait(lua_State *L) {
    return wait_on(L, &read_verb);
}

static int f_write_wait(lua_State *L) {
    return wait_on(L, &write_verb);
}

/* io_release(fd): forget the descriptor before it is closed; wakes who waits on it */
static int f_io_release(lua_State *L) {
    block_release(args_fileno(L, 1), false);
    return 0;
}

static void push_waiter(lua_State *L, struct kernel *k, int fd, enum loop_dir dir) {
    struct task *t = k && fd < k->loop.nents ? loop_waiter(&k->loop.ents[fd], dir) : NULL;
    if (t)
        task_push(L, t);
    else
        lua_pushnil(L);
}

/* io_waiting(fd): the tasks that wait to read and to write, or nil */
static int f_io_waiting(lua_State *L) {
    int fd = args_fileno(L, 1);
    push_waiter(L, kernel_current, fd, LOOP_READ);
    push_waiter(L, kernel_current, fd, LOOP_WRITE);
    return 2;
}

/* ---- the running task ---- */

static int push_id(lua_State *L, const struct task *t) {
    lua_pushinteger(L, (lua_Integer)t->id);
    return 1;
}

static int checked(lua_State *L, int status, lua_KContext ctx) {
    (void)status;
    (void)ctx;
    return push_id(L, task_woken(L));
}

/* checkpoint(verb): what a blocking verb that may not have to wait begins with. Raises what is
   pending and lets others run when the budget is used up; the running task's id */
static int f_checkpoint(lua_State *L) {
    const char *verb = lua_type(L, 1) == LUA_TSTRING ? lua_tostring(L, 1) : "traps.checkpoint";
    struct task *t = task_enter(L, verb);
    if (!task_spent(t))
        return push_id(L, t);
    task_give_way(t);
    return lua_yieldk(L, 0, 0, checked);
}

static struct task *running(void) {
    return kernel_current ? kernel_current->current : NULL;
}

/* get_current(): the running task, nil where none runs */
static int f_get_current(lua_State *L) {
    struct task *t = running();
    if (!t)
        return 0;
    task_push(L, t);
    return 1;
}

/* get_id(): the running task's id, nil where none runs */
static int f_get_id(lua_State *L) {
    struct task *t = running();
    return t ? push_id(L, t) : 0;
}

/* get_kernel(): the kernel that runs in this thread, nil where none does */
static int f_get_kernel(lua_State *L) {
    if (!kernel_current)
        return 0;
    kernel_push_running(L);
    return 1;
}

static const luaL_Reg functions[] = {
    {"get_kernel", f_get_kernel}, {"checkpoint", f_checkpoint}, {"get_current", f_get_current},
    {"get_id", f_get_id},         {"read_wait", f_read_wait},   {"write_wait", f_write_wait},
    {"io_release", f_io_release}, {"io_waiting", f_io_waiting}, {NULL, NULL},
};

int open_traplib(lua_State *L) {
    luaL_newlib(L, functions);
    return 1;
}
