/*
 * testlib.c - core.testing: what curio.testing and curio.debug must ask the system and the kernel.
 */
#include <dirent.h>
#include <stdlib.h>

#include "clock.h"
#include "kernel.h"
#include "lib.h"
#include "pool.h"
#include "thread.h"

#define NS_PER_S 1000000000

static const char WAIT_ALL_BLOCKED[] = "WAIT_ALL_BLOCKED";
static const char VERB[] = "testing.wait_all_blocked";

/* ---- wait_all_blocked ---- */

/* Those that wait for the same thing stand in the ready queue, but do not count. */
static bool others_ready(const struct kernel *k) {
    for (struct list *n = k->ready.next; n != &k->ready; n = n->next)
        if (n != &k->cycle_end && container_of(n, struct task, link)->state != WAIT_ALL_BLOCKED)
            return true;
    return false;
}

static int look_around(lua_State *L, int status, lua_KContext ctx);

/* To the end of the ready queue; the kernel is to look outside before this task runs again. */
static int step_back(lua_State *L, struct task *t) {
    t->kernel->run_budget = 0;
    task_give_way(t);
    t->state = WAIT_ALL_BLOCKED;
    return lua_yieldk(L, 0, 0, look_around);
}

static int look_around(lua_State *L, int status, lua_KContext ctx) {
    (void)status;
    (void)ctx;
    struct task *t = task_woken(L);
    return others_ready(t->kernel) ? step_back(L, task_enter(L, VERB)) : 0;
}

/* wait_all_blocked(): until no other task is ready and nothing outside has happened; blocks */
static int f_wait_all_blocked(lua_State *L) {
    return step_back(L, task_enter(L, VERB));
}

/* ---- what a process has ---- */

/* Calls fn with each number that names an entry of the directory. False: there is no such
 * directory. */
static bool each_number(const char *path, void (*fn)(void *ctx, long n), void *ctx) {
    DIR *dir = opendir(path);
    if (!dir)
        return false;
    int own = dirfd(dir);
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        char *end;
        long n = strtol(e->d_name, &end, 10);
        if (end != e->d_name && !*end && n != own)
            fn(ctx, n);
    }
    closedir(dir);
    return true;
}

static void count_number(void *ctx, long n) {
    (void)n;
    ++*(lua_Integer *)ctx;
}

struct numbers {
    long *list;
    lua_Integer count;
    lua_Integer room;
};

static void add_number(void *ctx, long n) {
    struct numbers *all = ctx;
    if (all->count < all->room)
        all->list[all->count++] = n;
}

/* descriptors(): a set of the open ones, {[fd] = true}; nil where the system does not tell */
static int f_descriptors(lua_State *L) {
    struct numbers all = {0};
    if (!each_number("/proc/self/fd", count_number, &all.room))
        return 0;
    all.list = lua_newuserdatauv(L, ((size_t)all.room + 1) * sizeof(long), 0);
    lua_createtable(L, 0, (int)all.room);
    each_number("/proc/self/fd", add_number, &all); /* raises nothing while it is open */
    for (lua_Integer i = 0; i < all.count; i++) {
        lua_pushboolean(L, 1);
        lua_rawseti(L, -2, all.list[i]);
    }
    return 1;
}

/* threads(): how many there are, those left out that wait for work or have been told to end; nil
   where the system does not tell */
static int f_threads(lua_State *L) {
    lua_Integer count = 0;
    int threads, idle, queued, busy;
    if (!each_number("/proc/self/task", count_number, &count))
        return 0;
    pool_counts(&threads, &idle, &queued);
    count -= idle;
    thread_counts(&threads, &busy);
    lua_pushinteger(L, count - (threads - busy));
    return 1;
}

/* ---- how a kernel runs ---- */

static struct kernel *kernel_check(lua_State *L) {
    return luaL_checkudata(L, 1, "curio.Kernel");
}

/* observe(kernel, flag): whether it calls the hooks created, running, suspended and terminated */
static int f_observe(lua_State *L) {
    struct kernel *k = kernel_check(L);
    if (lua_toboolean(L, 2))
        k->observed |= OBSERVED_BY_LUA;
    else
        k->observed &= (uint8_t)~OBSERVED_BY_LUA;
    return 0;
}

/* jump(kernel, flag): a virtual clock from now on, or the real one; whether it was virtual */
static int f_jump(lua_State *L) {
    struct kernel *k = kernel_check(L);
    lua_pushboolean(L, k->jumping);
    k->jumping = lua_toboolean(L, 2);
    if (k->jumping) /* from a whole second on, so that sums of seconds come out even */
        k->now = (clock_now() / NS_PER_S + 1) * NS_PER_S;
    return 1;
}

/* shuffle(kernel, seed): ready tasks run in random order; with nil first in, first out */
static int f_shuffle(lua_State *L) {
    struct kernel *k = kernel_check(L);
    k->shuffle = 0;
    if (!lua_isnoneornil(L, 2))
        k->shuffle = (uint64_t)luaL_checkinteger(L, 2) * 0x9e3779b97f4a7c15u | 1;
    return 0;
}

/* clock(): the system's monotonic clock, also where the kernel's is virtual */
static int f_clock(lua_State *L) {
    lua_pushnumber(L, clock_seconds(clock_now()));
    return 1;
}

static const luaL_Reg functions[] = {
    {"wait_all_blocked", f_wait_all_blocked},
    {"descriptors", f_descriptors},
    {"threads", f_threads},
    {"observe", f_observe},
    {"jump", f_jump},
    {"shuffle", f_shuffle},
    {"clock", f_clock},
    {NULL, NULL},
};

int open_testlib(lua_State *L) {
    luaL_newlib(L, functions);
    return 1;
}
