/*
 * universalwaitlib.c - the waiting of universallib.h.
 */
#include <errno.h>
#include <string.h>

#include "clock.h"
#include "copylib.h"
#include "interrupt.h"
#include "kernel.h"
#include "lib.h"
#include "universallib.h"

#define WAIT "curio.wait"
#define LOOK                                                                                       \
    0.1 /* seconds: a thread that blocks looks that often whether a signal has set a hook */

void wait_end(struct wait *wait) {
    struct universal *u = wait->u;
    struct waiter *w = wait->w;
    letter_unref(wait->letter);
    *wait = (struct wait){NULL, NULL, NULL};
    if (w) {
        w->sleeper = NULL;
        universal_leave(u, w);
        waiter_unref(w);
    }
    if (u)
        shared_unref((struct shared *)u);
}

static int wait_gc(lua_State *L) {
    wait_end(lua_touserdata(L, 1));
    return 0;
}

struct wait *wait_new(lua_State *L, struct universal *u) {
    struct wait *wait = lua_newuserdatauv(L, sizeof *wait, 1);
    *wait = (struct wait){NULL, NULL, NULL};
    if (luaL_newmetatable(L, WAIT)) {
        lua_pushcfunction(L, wait_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    wait->u = u;
    shared_ref((struct shared *)u);
    return wait;
}

static int result_of(const struct waiter *w) {
    return w && w->state == WAITER_CLOSED ? -ESHUTDOWN : 0;
}

void wait_take_back(struct wait *wait) {
    if (wait->w && wait->w->state != WAITER_GRANTED)
        copy_undo(&wait->w->item);
}

/* ---- tasks that wait ---- */

static void undo(struct task *t) {
    struct wait *wait = t->on;
    struct waiter *w = wait->w;
    t->kernel->external--;
    if (!w) /* the box was collected first, as happens when a state is closed */
        return;
    w->sleeper = NULL;
    if (!w->told)
        universal_leave(wait->u, w);
}

/* In the kernel's thread; drops the reference of who told. */
static void deliver(struct wake_node *node) {
    struct waiter *w = container_of(node, struct waiter, node);
    if (w->sleeper) {
        w->told = true;
        task_wake(w->sleeper, WAKE_OK);
    }
    waiter_unref(w);
}

static bool tell(struct waiter *w) {
    const struct kernel *k = kernel_current;
    struct wake *wake = w->wake;
    if (k && k->wake == wake) {
        deliver(&w->node);
        return true;
    }
    wake_ref(wake); /* once it is posted, w may be gone, and its reference with it */
    bool posted = wake_post(wake, &w->node);
    wake_unref(wake);
    return posted;
}

static int woken(lua_State *L, int status, lua_KContext ctx) {
    (void)status;
    const struct waiting *verb = (const struct waiting *)ctx;
    struct wait *wait = lua_touserdata(L, -1);
    const struct kernel *k = kernel_current;
    bool granted = wait->w && wait->w->state == WAITER_GRANTED;
    if (!granted || !verb->completes || !k || k->top != L || k->current->flags & T_THROW) {
        if (k && k->top == L && k->current->wake != WAKE_OK) {
            wait_take_back(wait);
            wait_end(wait);
        }
        task_woken(L);
    }
    return verb->finish(L, wait, result_of(wait->w));
}

static int sleep_task(lua_State *L, struct wait *wait, const struct waiting *verb) {
    struct task *t = kernel_current->current;
    wait->w->sleeper = t;
    t->kernel->external++;
    task_sleep(t, verb->state, undo, wait, CLOCK_NEVER);
    return lua_yieldk(L, 0, (lua_KContext)verb, woken);
}

/* ---- threads that wait ---- */

/* The hook of a signal's handler runs as soon as any Lua code does; it may raise. */
static int run_hook(lua_State *L) {
    if (lua_gethook(L) && luaL_loadstring(L, "local _") == LUA_OK)
        lua_call(L, 0, 0);
    return 0;
}

static int raise_interrupt(lua_State *L) {
    interrupt_raise(L);
    return 0;
}

/* Calls what may raise; if it does the waiting is over. */
static void look(lua_State *L, struct wait *wait, lua_CFunction f) {
    lua_pushcfunction(L, f);
    if (lua_pcall(L, 0, 0, 0) == LUA_OK)
        return;
    universal_leave(wait->u, wait->w);
    wait_take_back(wait);
    wait_end(wait);
    lua_error(L);
}

static int block_thread(lua_State *L, struct wait *wait, const struct waiting *verb) {
    int err;
    while ((err = universal_block(wait->u, wait->w, clock_after(clock_now(), LOOK))) < 0)
        look(L, wait, err == -EINTR ? raise_interrupt : run_hook);
    return verb->finish(L, wait, result_of(wait->w));
}

/* ---- verbs ---- */

int wait_for(lua_State *L, struct universal *u, const struct waiting *verb) {
    bool in_task = kernel_current != NULL;
    struct wait *wait = wait_new(L, u);
    wait->w = waiter_new(in_task ? kernel_current->wake : NULL, in_task ? tell : NULL);
    if (!wait->w)
        return luaL_error(L, "not enough memory");
    wait->w->node.run = deliver;
    int result = verb->enlist(L, wait);
    if (result != -EINPROGRESS)
        return verb->finish(L, wait, result);
    return in_task ? sleep_task(L, wait, verb) : block_thread(L, wait, verb);
}

int wait_run(lua_State *L, const struct verb *verb) {
    return kernel_current ? block_run(L, verb) : verb->attempt(L, NULL);
}

int wait_finish_nothing(lua_State *L, struct wait *wait, int result) {
    (void)L;
    (void)result;
    wait_end(wait);
    return 0;
}
