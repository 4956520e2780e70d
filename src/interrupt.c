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
#include "monitor.h"
#include "nudge.h"
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

/* In the task that runs: acts on what has come, and raises if that concerns the task itself. */
static void attend(lua_State *L, struct kernel *k) {
    struct task *t = k->current;
    unsigned before = t->flags & T_CANCELLED;
    cancel_principal(L, k);
    kernel_attend(L, k);
    unsigned after = t->flags & T_CANCELLED;
    if (after > before && task_interrupted(t))
        task_raise_in_hook(L, t);
}

static void hook(lua_State *L, lua_Debug *ar) {
    (void)ar;
    struct kernel *k = kernel_current;
    lua_sethook(L, old_hook, old_mask, old_count);
    if (!k)
        interrupt_raise(L);
    else if (k->inner == L)
        attend(L, k);
}

static bool is_wanted(const struct kernel *k) {
    return thread_interrupted() || (k && k->monitor && monitor_command(k->monitor));
}

static bool reach(void) {
    struct kernel *k = kernel_current;
    lua_State *L = k ? k->inner : interrupt_running;
    if (!is_wanted(k))
        return false;
    if (k)
        wake_poke(k->wake);
    if (!L || lua_gethook(L) == hook)
        return true;
    old_hook = lua_gethook(L);
    old_mask = lua_gethookmask(L);
    old_count = lua_gethookcount(L);
    lua_sethook(L, hook, LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
    return true;
}

void interrupt_prepare(void) {
    nudge_set_handler(reach);
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
