/*
 * sig.c - the two signals a kernel looks after itself, and who waits for others.
 *
 * The handlers touch only flags, the wake descriptor and, like the standalone interpreter's, the
 * debug hook of the running coroutine, which is made to be set from a handler.
 */
#include "sig.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <unistd.h>

#ifdef __linux__
#include <dlfcn.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#endif

#include "inspect.h"
#include "kernel.h"
#include "lib.h"
#include "sigtake.h"

static struct kernel *_Atomic watched; /* the kernel of the main thread while it runs */
static volatile sig_atomic_t interrupts, dumps;
static struct sigtaker of_int, of_quit;
static void (*_Atomic last_act)(void);

static lua_Hook old_hook; /* of the coroutine that was interrupted */
static int old_mask, old_count;

static bool in_main_thread(void) {
#ifdef __linux__
    return syscall(SYS_gettid) == getpid();
#else
    return pthread_main_np();
#endif
}

static void interrupt_principal(lua_State *L, struct kernel *k) {
    struct task *t = k->principal;
    if (!t || k->signalled)
        return;
    k->signalled = true;
    error_new(L, "Interrupted", "interrupted by SIGINT");
    task_cancel(L, t);
}

/* Runs in the task that was running when the signal came. */
static void hook(lua_State *L, lua_Debug *ar) {
    (void)ar;
    struct kernel *k = watched;
    lua_sethook(L, old_hook, old_mask, old_count);
    if (!k || k->inner != L)
        return;
    if (dumps) {
        dumps = 0;
        inspect_dump(L, k);
    }
    if (!interrupts)
        return;
    interrupt_principal(L, k);
    if (k->current == k->principal && task_interrupted(k->current))
        task_raise_in_time(L, k->current);
}

static void reach(struct kernel *k) {
    lua_State *L = k->inner;
    wake_poke(k->wake);
    if (!L || lua_gethook(L) == hook)
        return;
    old_hook = lua_gethook(L);
    old_mask = lua_gethookmask(L);
    old_count = lua_gethookcount(L);
    lua_sethook(L, hook, LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

static void on_interrupt(int signo) {
    struct kernel *k = watched;
    if (!k || interrupts) { /* the second one within the clean-up */
        void (*act)(void) = last_act;
        if (act)
            act();
        signal(signo, SIG_DFL);
        raise(signo);
        return;
    }
    interrupts = 1;
    reach(k);
}

static void on_quit(int signo) {
    struct kernel *k = watched;
    (void)signo;
    if (!k)
        return;
    dumps = 1;
    reach(k);
}

/* Is it a handler of the interpreter itself, such as the one of the lua program? Those in libraries
   are the program's own choice and stay. */
static bool is_interpreters(void (*handler)(int)) {
#ifdef __linux__
    Dl_info here, program;
    return dladdr((void *)(intptr_t)handler, &here) &&
           dladdr((void *)getauxval(AT_PHDR), &program) && here.dli_fbase == program.dli_fbase;
#else
    (void)handler;
    return true;
#endif
}

static void take(struct sigtaker *taker, int signo, void (*handler)(int)) {
    struct sigaction old;
    if (sigtake_before(signo, &old) < 0 || old.sa_handler == SIG_IGN)
        return;
    if (old.sa_handler == SIG_DFL || is_interpreters(old.sa_handler))
        sigtake_enter(taker, signo, SIGTAKE_CALL, handler);
}

void sig_at_second_interrupt(void (*act)(void)) {
    last_act = act;
}

void sig_enter(struct kernel *k, bool dump) {
    if (watched || !in_main_thread())
        return;
    interrupts = dumps = 0;
    watched = k;
    take(&of_int, SIGINT, on_interrupt);
    if (dump)
        take(&of_quit, SIGQUIT, on_quit);
}

void sig_leave(struct kernel *k) {
    if (watched != k)
        return;
    sigtake_leave(&of_int);
    sigtake_leave(&of_quit);
    watched = NULL;
}

void sig_rearm(struct kernel *k) {
    k->signalled = false;
    if (k == watched)
        interrupts = 0;
}

/* The principal may have accepted the interruption. */
static void rearm(struct kernel *k) {
    if (k->signalled && k->principal && !(k->principal->flags & T_CANCELLED))
        sig_rearm(k);
}

/* ---- those that tasks wait for ---- */

int sig_wait(struct kernel *k, struct sig_waiter *w) {
    if (!k->poke)
        k->poke = sigtake_poke_add(k->wake);
    if (!k->poke)
        return -ENOMEM;
    list_add_tail(&k->sig_waiters, &w->link);
    return 0;
}

void sig_forget(struct kernel *k) {
    if (k->poke)
        sigtake_poke_del(k->poke);
    k->poke = NULL;
}

static void tell_waiters(struct kernel *k) {
    for (struct list *node = k->sig_waiters.next, *next; node != &k->sig_waiters; node = next) {
        struct sig_waiter *w = container_of(node, struct sig_waiter, link);
        next = node->next; /* it may leave the list */
        w->look(w);
    }
}

void sig_check(struct kernel *k) {
    tell_waiters(k);
    if (k != watched)
        return;
    if (dumps) {
        dumps = 0;
        inspect_dump(k->L, k);
    }
    if (interrupts)
        interrupt_principal(k->L, k);
    if (!k->stopping)
        rearm(k);
}
