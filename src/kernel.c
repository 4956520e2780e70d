/*
 * kernel.c - the loop: run what is ready, look outside, wake whom that concerns.
 *
 * The kernel does almost nothing. It holds the ready queue, the timers, the descriptors and the
 * table of tasks; all else (locks, queues, groups, streams, servers) is built on task_sleep and
 * task_wake. It never calls users' code except by resuming a task, and its hooks.
 */
#include "kernel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "inspect.h"
#include "interrupt.h"
#include "lib.h"
#include "monitor.h"
#include "pool.h"
#include "sig.h"
#include "thread.h"
#include "trace.h"

#define RUN_BUDGET 64        /* tasks between two looks outside */
#define SHUTDOWN_WARNING 5.0 /* seconds */
#define PATIENCE 20000000    /* ns that a virtual clock gives others before it jumps */
#define SHUFFLED 64          /* of so many ready tasks the next is picked at random */

__thread struct kernel *kernel_current __attribute__((tls_model("initial-exec")));

static char hooks_key;   /* registry: table of Lua functions, see kernel_hook */
static char running_key; /* registry: the kernel object that runs */

/* ---- making and freeing ---- */

static const void *table_key(const struct kernel *k, enum kernel_table which) {
    return (const char *)k + which;
}

static int kernel_init(struct kernel *k, const char *poller) {
    list_init(&k->ready);
    list_init(&k->sig_waiters);
    list_init(&k->guests);
    heap_init(&k->timers);
    k->warn_at = CLOCK_NEVER;
    k->pid = getpid();
    k->serial = loop_generation();
    k->now = clock_now();
    k->closed = false;
    int err = loop_open(&k->loop, poller);
    if (err)
        return err;
    k->scratch = malloc(KERNEL_SCRATCH);
    k->wake = wake_new();
    if (k->wake)
        pool_ref(); /* idle threads are kept for the next job as long as the kernel lives */
    if (!k->scratch || !k->wake)
        return -ENOMEM;
    return loop_watch(&k->loop, wake_fd(k->wake));
}

struct kernel *kernel_new(lua_State *L, const char *poller) {
    struct kernel *k = lua_newuserdatauv(L, sizeof *k, 0);
    memset(k, 0, sizeof *k);
    k->closed = true;
    luaL_setmetatable(L, "curio.Kernel");
    for (int i = KERNEL_COROUTINES; i <= KERNEL_KEPT; i++) {
        lua_createtable(L, 0, 0);
        lua_rawsetp(L, LUA_REGISTRYINDEX, table_key(k, i));
    }
    luaL_getmetatable(L, "curio.Task");
    k->task_meta = lua_topointer(L, -1);
    k->meta_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    int err = kernel_init(k, poller);
    if (err) {
        kernel_free(k);
        k->closed = true;
        if (err == -EINVAL)
            luaL_error(L, "curio.Kernel: no poller is called '%s'", poller);
        luaL_error(L, "curio.Kernel: cannot open the poller: %s", strerror(-err));
    }
    return k;
}

void kernel_discard(lua_State *L, struct kernel *k) {
    for (int i = KERNEL_COROUTINES; i <= KERNEL_KEPT; i++) {
        lua_pushnil(L);
        lua_rawsetp(L, LUA_REGISTRYINDEX, table_key(k, i));
    }
    luaL_unref(L, LUA_REGISTRYINDEX, k->meta_ref);
    k->meta_ref = LUA_NOREF;
    kernel_free(k);
}

void kernel_free(struct kernel *k) {
    k->closed = true;
    while (k->guests.next && list_pop(&k->guests))
        ;
    sig_forget(k);
    kernel_close_monitor(k);
    if (k->wake) {
        wake_close(k->wake);
        wake_unref(k->wake);
        pool_unref();
    }
    k->wake = NULL;
    if (k->trace)
        trace_unref(k->trace);
    k->trace = NULL;
    loop_close(&k->loop);
    heap_term(&k->timers);
    free(k->scratch);
    free(k->work);
    free(k->slots);
    free(k->idle_slots);
    k->scratch = k->work = NULL;
    k->slots = NULL;
    k->idle_slots = NULL;
    if (k->holds_threads)
        thread_let_go();
    k->holds_threads = false;
}

int64_t kernel_now(struct kernel *k) {
    if (!k->jumping)
        k->now = clock_now();
    return k->now;
}

void kernel_push_running(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &running_key);
}

void kernel_set_running(lua_State *L) {
    lua_rawsetp(L, LUA_REGISTRYINDEX, &running_key);
}

/* ---- the tables ---- */

void kernel_push_table(lua_State *L, const struct kernel *k, enum kernel_table which) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, table_key(k, which));
}

void kernel_keep(lua_State *L, struct kernel *k, const void *key) {
    kernel_push_table(L, k, KERNEL_KEPT);
    lua_insert(L, -2);
    lua_rawsetp(L, -2, key);
    lua_pop(L, 1);
}

int kernel_kept(lua_State *L, struct kernel *k, const void *key) {
    kernel_push_table(L, k, KERNEL_KEPT);
    int type = lua_rawgetp(L, -1, key);
    lua_remove(L, -2);
    return type;
}

void kernel_forget(lua_State *L, struct kernel *k, const void *key) {
    lua_pushnil(L);
    kernel_keep(L, k, key);
}

static int reserve_room(struct kernel *k) {
    if (k->nslots < k->slot_room)
        return 0;
    uint32_t room = k->slot_room ? k->slot_room * 2 : 64;
    struct slot *slots = realloc(k->slots, (room + 1) * sizeof *slots);
    if (!slots)
        return -ENOMEM;
    k->slots = slots;
    uint32_t *idle = realloc(k->idle_slots, room * sizeof *idle);
    if (!idle)
        return -ENOMEM;
    k->idle_slots = idle;
    int err = heap_reserve(&k->timers, room);
    if (!err)
        k->slot_room = room;
    return err;
}

/* Stores the coroutine on top of L in an idle slot that has none, or in a new one. [-1, +0, m] */
static void add_idle(lua_State *L, struct kernel *k) {
    lua_State *co = lua_tothread(L, -1);
    bool fresh = !k->idle || slot_coroutine(k->slots[k->idle_slots[k->idle - 1]]);
    if (fresh && reserve_room(k) < 0)
        luaL_error(L, "not enough memory");
    uint32_t slot = fresh ? k->nslots + 1 : k->idle_slots[k->idle - 1];
    kernel_push_table(L, k, KERNEL_COROUTINES);
    lua_insert(L, -2);
    lua_rawseti(L, -2, slot);
    lua_pop(L, 1);
    k->slots[slot].tagged = (uintptr_t)co | SLOT_IDLE;
    if (fresh) {
        k->nslots++;
        k->idle_slots[k->idle++] = slot;
    }
}

lua_State *kernel_idle_coroutine(lua_State *L, struct kernel *k) {
    for (;;) { /* making one may run a finaliser that takes it */
        lua_State *co = k->idle ? slot_coroutine(k->slots[k->idle_slots[k->idle - 1]]) : NULL;
        if (co)
            return co;
        lua_newthread(L);
        add_idle(L, k);
    }
}

void kernel_give_back(struct kernel *k, uint32_t slot, lua_State *co, bool reuse) {
    if (!reuse || k->idle >= KERNEL_IDLE) {
        co = NULL;
        kernel_push_table(k->L, k, KERNEL_COROUTINES);
        lua_pushboolean(k->L, 0); /* keeps the place in the table's array */
        lua_rawseti(k->L, -2, slot);
        lua_pop(k->L, 1);
    }
    if (co && lua_gethook(co))
        lua_sethook(co, NULL, 0, 0);
    k->slots[slot].tagged = (uintptr_t)co | SLOT_IDLE;
    k->idle_slots[k->idle++] = slot;
    k->live--;
}

/* ---- hooks into the Lua layer ---- */

void kernel_hook(lua_State *L, const char *name, int nargs) {
    if (!lua_checkstack(L, 4)) {
        lua_pop(L, nargs);
        return;
    }
    lua_rawgetp(L, LUA_REGISTRYINDEX, &hooks_key);
    if (lua_type(L, -1) == LUA_TTABLE) {
        lua_getfield(L, -1, name);
        lua_remove(L, -2);
    }
    if (lua_type(L, -1) != LUA_TFUNCTION) {
        lua_pop(L, nargs + 1);
        return;
    }
    lua_insert(L, -nargs - 1);
    if (lua_pcall(L, nargs, 0, 0) != LUA_OK) {
        const char *msg = lua_tostring(L, -1);
        lua_writestringerror("curio: %s\n", msg ? msg : "a hook failed");
        lua_pop(L, 1);
    }
}

void kernel_set_hooks(lua_State *L) {
    lua_rawsetp(L, LUA_REGISTRYINDEX, &hooks_key);
}

void kernel_trace_begin(struct kernel *k) {
    if (!k->trace || k->observed & OBSERVED_BY_TRACE)
        return;
    k->observed |= OBSERVED_BY_TRACE;
    trace_begin(k->trace, k->trace_pid, k->current ? k->current->id : 0);
}

void kernel_trace_end(struct kernel *k) {
    if (!(k->observed & OBSERVED_BY_TRACE))
        return;
    k->observed &= (uint8_t)~OBSERVED_BY_TRACE;
    trace_end(k->trace);
}

void kernel_close_monitor(struct kernel *k) {
    struct monitor *m = k->monitor;
    k->monitor = NULL; /* a handler may look at it */
    if (m)
        monitor_close(m);
}

void kernel_attend(lua_State *L, struct kernel *k) {
    static const char failed[] = "the command failed\n";
    if (!k->monitor || !monitor_command(k->monitor))
        return;
    unsigned before = monitor_answers(k->monitor);
    kernel_hook(L, "monitor", 0);
    if (k->monitor && monitor_answers(k->monitor) == before)
        monitor_answer(k->monitor, failed, sizeof failed - 1, false);
}

/* ---- looking outside ---- */

static void wake_waiter(void *ctx, void *waiter) {
    (void)ctx;
    task_wake(waiter, WAKE_OK);
}

static void fire_timers(struct kernel *k) {
    while (heap_next(&k->timers) <= k->now) {
        int64_t when = heap_next(&k->timers);
        struct timer *timer = heap_pop(&k->timers, k->now);
        struct task *t = container_of(timer, struct task, timer);
        bool counts = t->scope && !t->shields && !(t->flags & T_CANCELLED);
        bool deadline = counts && t->scope->effective <= when;
        task_wake(t, deadline ? WAKE_INTERRUPTED : WAKE_OK);
    }
}

static void run_posted(struct kernel *k) {
    struct fdent *e = &k->loop.ents[wake_fd(k->wake)];
    if (!(e->flags & IO_READABLE))
        return;
    e->flags = 0;
    wake_drain(k->wake);
}

/* Many timers are taken together: each pending one allows for 16 us more of delay, up to 1 ms. So a
   lone short sleep is precise, and 100,000 sleepers do not cost a system call each. */
static int64_t slack(const struct kernel *k) {
    return k->timers.count >= 64 ? 1000000 : (int64_t)(k->timers.count - 1) * 16000;
}

/* When time alone will change something. */
static int64_t next_time(const struct kernel *k) {
    int64_t next = heap_next(&k->timers);
    if (next != CLOCK_NEVER && !k->jumping)
        next += slack(k);
    return k->warn_at < next ? k->warn_at : next;
}

static int64_t time_to_wait(struct kernel *k) {
    int64_t next = next_time(k);
    if (next == CLOCK_NEVER)
        return -1;
    if (k->jumping)
        return k->external ? PATIENCE : 0;
    int64_t now = clock_now();
    return next > now ? next - now : 0;
}

/* Nobody is ready, and nothing has come from outside. */
static void jump(struct kernel *k) {
    int64_t next = next_time(k);
    if (next != CLOCK_NEVER && next > k->now)
        k->now = next;
}

/* Who wakes its task leaves the list. */
static void ask_guests(struct kernel *k) {
    for (struct list *node = k->guests.next, *next; node != &k->guests; node = next) {
        struct guest *g = container_of(node, struct guest, link);
        next = node->next;
        g->ask(g);
    }
}

static void tell_guests(struct kernel *k) {
    for (struct list *node = k->guests.next; node != &k->guests; node = node->next) {
        struct guest *g = container_of(node, struct guest, link);
        g->tell(g);
    }
}

static void look_outside(struct kernel *k, bool wait) {
    if (k->observed & OBSERVED_BY_TRACE)
        trace_looking(k->trace, wait);
    int n = loop_poll(&k->loop, wait ? time_to_wait(k) : 0, wake_waiter, k);
    if (n < 0)
        luaL_error(k->L, "the kernel's poller failed: %s", strerror(-n));
    kernel_now(k);
    k->tick = clock_tick();
    k->run_budget = RUN_BUDGET;
    tell_guests(k);
    run_posted(k);
    if (wait && k->jumping && list_empty(&k->ready))
        jump(k);
    fire_timers(k);
    sig_check(k);
    kernel_attend(k->L, k);
    interrupt_check(k);
}

static bool time_to_look(struct kernel *k) {
    return list_empty(&k->ready) || k->run_budget <= 0 || clock_tick() != k->tick;
}

/* ---- when nothing can happen any more ---- */

static bool stuck(const struct kernel *k) {
    return list_empty(&k->ready) && !k->timers.count && !k->loop.waiting && !k->external;
}

static void push_deadlock(lua_State *L, struct kernel *k) {
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (uint32_t slot = 1; slot <= k->nslots; slot++) {
        struct task *t = slot_task(k->slots[slot]);
        if (!t)
            continue;
        task_push(L, t);
        inspect_push_line(L, t, -1);
        lua_remove(L, -2);
        lua_pushfstring(L, "\n\t%s", lua_tostring(L, -1));
        lua_remove(L, -2);
        luaL_addvalue(&b);
    }
    luaL_pushresult(&b);
    error_new(L, "Deadlock", "nothing can wake any task again:%s", lua_tostring(L, -1));
    lua_remove(L, -2);
}

/* Tasks that are to end but wait for what can never come are ended by force; how many. */
static int close_since(struct kernel *k, uint64_t id) {
    int n = 0;
    for (uint32_t slot = 1; slot <= k->nslots; slot++) {
        struct task *t = slot_task(k->slots[slot]);
        if (!t || t->id <= id || !(t->flags & T_ASLEEP))
            continue;
        n++;
        error_new(k->L, "CurioError", "closed by force: nothing could wake it in the shutdown");
        t->flags |= T_CLOSE;
        task_close(t);
    }
    return n;
}

static void break_deadlock(struct kernel *k) {
    struct task *t = k->principal;
    uint64_t since = k->stopping || !t ? 0 : t->id;
    bool ending = !t || k->stopping || t->flags & T_DONE;
    if (ending && close_since(k, since))
        return;
    if (!t || !(t->flags & T_ASLEEP))
        t = k->main;
    if (!t || !(t->flags & T_ASLEEP))
        luaL_error(k->L, "the kernel has nobody to tell that nothing can happen any more");
    push_deadlock(k->L, k);
    task_throw(k->L, t);
}

/* ---- the loop ---- */

static void warn_slow(struct kernel *k) {
    if (k->now < k->warn_at)
        return;
    k->warn_at = CLOCK_NEVER;
    for (uint32_t slot = 1; slot <= k->nslots; slot++) {
        struct task *t = slot_task(k->slots[slot]);
        if (!t)
            continue;
        task_push(k->L, t);
        kernel_hook(k->L, "slow", 1);
    }
}

static bool wanted(const struct kernel *k, const struct task *until) {
    if (k->exit_asked && !k->stopping)
        return false;
    return until ? !(until->flags & T_DONE) : k->live > 0;
}

static uint64_t next_random(struct kernel *k) {
    k->shuffle ^= k->shuffle << 13;
    k->shuffle ^= k->shuffle >> 7;
    return k->shuffle ^= k->shuffle << 17;
}

/* Any of the first, unlinked; NULL when the list is empty. */
static struct list *pop_any(struct kernel *k) {
    struct list *any = NULL, *node = k->ready.next;
    for (unsigned i = 1; node != &k->ready && i <= SHUFFLED; node = node->next, i++)
        if ((next_random(k) >> 33) % i == 0)
            any = node;
    if (any)
        list_del(any);
    return any;
}

static void run_next(struct kernel *k) {
    struct list *node = k->shuffle ? pop_any(k) : list_pop(&k->ready);
    if (!node)
        return;
    k->run_budget--;
    task_run(container_of(node, struct task, link));
}

static void cycle(struct kernel *k) {
    if (time_to_look(k)) {
        ask_guests(k);
        if (stuck(k)) {
            break_deadlock(k);
            return;
        }
        look_outside(k, list_empty(&k->ready));
        warn_slow(k);
    }
    run_next(k);
}

/* Not those that become ready meanwhile. */
static void run_those_ready(struct kernel *k) {
    struct list *node;
    list_add_tail(&k->ready, &k->cycle_end);
    while ((node = list_pop(&k->ready)) != &k->cycle_end)
        task_run(container_of(node, struct task, link));
}

void kernel_loop(lua_State *L, struct kernel *k, struct task *until, bool once) {
    luaL_checkstack(L, LUA_MINSTACK, "kernel");
    k->L = L;
    if (once) {
        ask_guests(k);
        look_outside(k, false);
        run_those_ready(k);
        return;
    }
    while (wanted(k, until))
        cycle(k);
}

/* ---- shutdown ---- */

static int newest_first(const void *a, const void *b) {
    const struct task *x = *(struct task *const *)a;
    const struct task *y = *(struct task *const *)b;
    return x->id < y->id ? 1 : -1;
}

/* Everybody is asked before anybody is waited for. */
void kernel_cancel_since(struct kernel *k, uint64_t id) {
    lua_State *L = k->L;
    uint64_t newest = k->last_id; /* making room may run a finaliser that spawns */
    struct task **tasks = lua_newuserdatauv(L, (k->live + 1) * sizeof(struct task *), 0);
    size_t n = 0;
    for (uint32_t slot = 1; slot <= k->nslots; slot++) {
        struct task *t = slot_task(k->slots[slot]);
        if (t && t->id > id && t->id <= newest)
            tasks[n++] = t;
    }
    qsort(tasks, n, sizeof tasks[0], newest_first);
    error_new(L, "TaskCancelled", "cancelled: the kernel shuts down");
    lua_pushliteral(L, "shutdown");
    lua_setfield(L, -2, "reason");
    for (size_t i = 0; i < n; i++) {
        lua_pushvalue(L, -1);
        task_cancel(L, tasks[i]);
    }
    lua_pop(L, 2);
}

/* The oldest task that was made before `limit`; it need not be the last to end. */
static struct task *older_than(struct kernel *k, uint64_t limit) {
    for (uint32_t slot = 1; slot <= k->nslots; slot++) {
        struct task *t = slot_task(k->slots[slot]);
        if (t && t->id <= limit)
            return t;
    }
    return NULL;
}

/* Tasks that clean-up code starts may run until those they were started for have ended; then it is
   their turn. */
void kernel_shutdown(lua_State *L, struct kernel *k) {
    k->L = L;
    k->stopping = true;
    k->main = k->principal = NULL;
    k->warn_at = clock_after(kernel_now(k), SHUTDOWN_WARNING);
    while (k->live) {
        uint64_t limit = k->last_id;
        kernel_cancel_since(k, 0);
        struct task *t;
        while ((t = older_than(k, limit)) != NULL) {
            task_push(L, t); /* the loop looks at it after its end */
            kernel_loop(L, k, t, false);
            lua_pop(L, 1);
        }
    }
}
