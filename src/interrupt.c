/*
 * interrupt.c - the hook of interrupt.h.
 *
 * The flag stands in thread.c and is taken by whoever raises, so that it is raised once. The
 * signal's handler touches nothing but the wake descriptor and, like the standalone interpreter's,
 * the hook of a coroutine of its own thread.
 */
#include "interrupt.h"

#include "kernel.h"
#include "lib.h"
#include "thread.h"

#define TLS __thread __attribute__((tls_model("initial-exec")))

__thread lua_State *volatile interrupt_running __attribute__((tls_model("initial-exec")));

static TLS lua_Hook old_hook; /* of the coroutine that was interrupted */
static TLS int old_mask, old_count;

static void push_error(lua_State *L) {
    error_new(L, "TaskCancelled", "cancelled: the thread was told to end");
}

static struct task *whom_to_tell(const struct kernel *k) {
    struct task *t = k->principal;
    return k->stopping || !t || t->flags & (T_DONE | T_CANCELLED) ? NULL : t;
}

static void cancel_principal(lua_State *L, struct kernel *k) {
    struct task *t = whom_to_tell(k);
    if (!t || !thread_take_interrupt())
        return;
    push_error(L);
    task_cancel(L, t);
}

static void hook(lua_State *L, lua_Debug *ar) {
    (void)ar;
    struct kernel *k = kernel_current;
    lua_sethook(L, old_hook, old_mask, old_count);
    if (!k) {
        interrupt_raise(L);
        return;
    }
    if (k->inner != L)
        return;
    cancel_principal(L, k);
    if (k->current == k->principal && task_interrupted(k->current))
        task_raise_interrupt(L, k->current);
}

static void reach(void) {
    struct kernel *k = kernel_current;
    lua_State *L = k ? k->inner : interrupt_running;
    if (k)
        wake_poke(k->wake);
    if (!L || lua_gethook(L) == hook)
        return;
    old_hook = lua_gethook(L);
    old_mask = lua_gethookmask(L);
    old_count = lua_gethookcount(L);
    lua_sethook(L, hook, LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

void interrupt_prepare(void) {
    thread_set_reach(reach);
}

/* The signal may have come before there was anything to hook. */
void interrupt_arm(lua_State *L) {
    lua_State *before = interrupt_running;
    interrupt_running = L;
    if (!L && before && lua_gethook(before) == hook)
        lua_sethook(before, old_hook, old_mask, old_count);
    if (L && thread_interrupted())
        reach();
}

void interrupt_resume(void) {
    if (thread_interrupted())
        reach();
}

void interrupt_raise(lua_State *L) {
    if (!thread_take_interrupt())
        return;
    push_error(L);
    lua_error(L);
}

void interrupt_check(struct kernel *k) {
    if (thread_interrupted())
        cancel_principal(k->L, k);
}
