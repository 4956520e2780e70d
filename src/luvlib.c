/*
 * luvlib.c - what the bridge to luv needs below Lua: to sleep until libuv's loop has something to
 * do, and to have the errors of luv's callbacks.
 *
 * luv.so is there when this is needed, so its functions and libuv's are looked up in it, and no
 * header is used. A task sleeps on libuv's backend descriptor and timeout. libuv takes new handles
 * into its descriptor only when it runs, and knows the time only as of then; so while a task sleeps
 * the loop is a guest of the kernel (kernel.h): handles that other tasks start wake the sleeper,
 * and the loop's time is the kernel's. luv calls back on the coroutine that loaded it, which may be
 * long gone: it is given one of ours, and what it calls is moved to the coroutine that runs the
 * step.
 */
#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include "block.h"
#include "clock.h"
#include "kernel.h"
#include "lib.h"

#define NEVER UINT64_MAX

typedef int luv_pcall(lua_State *L, int nargs, int nresults, int flags);

struct functions {
    int (*uv_backend_fd)(const void *loop);
    int (*uv_backend_timeout)(const void *loop); /* ms; -1: none */
    int (*uv_loop_alive)(const void *loop);
    uint64_t (*uv_now)(const void *loop); /* ms */
    void (*uv_update_time)(void *loop);
    void *(*luv_loop)(lua_State *L);
    void (*luv_set_loop)(lua_State *L, void *loop); /* and who is called back */
    void (*luv_set_callback)(lua_State *L, luv_pcall *call);
    luv_pcall *luv_cfpcall; /* its default: prints the error and ends the process */
};

static const char *const names[] = {
    "uv_backend_fd", "uv_backend_timeout", "uv_loop_alive",    "uv_now",      "uv_update_time",
    "luv_loop",      "luv_set_loop",       "luv_set_callback", "luv_cfpcall",
};
_Static_assert(sizeof names == sizeof(struct functions), "one name for each entry");

struct bridge {
    struct guest guest;
    struct functions f;
    lua_State *stack;    /* on which luv calls back; a user value keeps it */
    lua_State *stepping; /* runs a step; NULL: nobody does */
    struct task *sleeper;
    uint64_t due;  /* in the loop's time, when the sleeper's own timer goes off */
    int fd;        /* that it sleeps on; -1: none, the loop being dead */
    bool alive;    /* was the loop when it went to sleep? */
    uint64_t made; /* calls back, in all */
};

enum { UV_RUN = 1, UV_FAILED, UV_STACK };

static const char bridge_key; /* registry: the bridge of this state */

static struct bridge *bridge_check(lua_State *L) {
    return luaL_checkudata(L, 1, "curio.luv");
}

static struct bridge *bridge_of(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &bridge_key);
    struct bridge *b = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return b;
}

/* Asked each time: the program may have closed it, and then there is none. */
static void *loop_of(const struct bridge *b) {
    return b->f.luv_loop(b->stack);
}

/* ---- calling back ---- */

static int add_traceback(lua_State *L) {
    const char *message = lua_tostring(L, 1);
    if (message)
        luaL_traceback(L, L, message, 1);
    return 1;
}

/* The error is on top. [-1, +0, -] */
static void tell_failure(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &bridge_key);
    lua_getiuservalue(L, -1, UV_FAILED);
    lua_replace(L, -2);
    lua_insert(L, -2);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
        const char *message = lua_tostring(L, -1);
        lua_writestringerror("curio: a callback of luv failed: %s\n", message ? message : "?");
        lua_pop(L, 1);
    }
}

/* Calls the function below the nargs values on top of L. The number of results, or a negative
   status. [-(nargs + 1), +results, -] */
static int call_guarded(lua_State *L, int nargs, int nresults) {
    int base = lua_gettop(L) - nargs;
    lua_pushcfunction(L, add_traceback);
    lua_insert(L, base);
    int status = lua_pcall(L, nargs, nresults, base);
    lua_remove(L, base);
    if (status == LUA_OK)
        return lua_gettop(L) - base + 1;
    tell_failure(L);
    return -status;
}

/* In luv's place. Outside of our steps all is as ever. */
static int call_back(lua_State *L, int nargs, int nresults, int flags) {
    struct bridge *b = bridge_of(L);
    lua_State *co = b->stepping && L == b->stack ? b->stepping : L;
    b->made++;
    if (!b->stepping || !lua_checkstack(co, nargs + LUA_MINSTACK))
        return b->f.luv_cfpcall(L, nargs, nresults, flags);
    if (co == L)
        return call_guarded(L, nargs, nresults);
    lua_xmove(L, co, nargs + 1);
    int n = call_guarded(co, nargs, nresults);
    if (n > 0 && lua_checkstack(L, n))
        lua_xmove(co, L, n);
    return n;
}

/* step(): has the loop do what can be done at once. What callbacks raise is told; returns whether
   the loop is alive */
static int m_step(lua_State *L) {
    struct bridge *b = bridge_check(L);
    if (b->stepping)
        return luaL_error(L, "luv.run: libuv's loop cannot be run by one of its callbacks");
    lua_getiuservalue(L, 1, UV_RUN);
    lua_pushliteral(L, "nowait");
    b->stepping = L;
    int status = lua_pcall(L, 1, 1, 0);
    b->stepping = NULL;
    return status == LUA_OK ? 1 : lua_error(L);
}

/* ---- sleeping ---- */

static uint64_t due(const struct bridge *b, const void *loop) {
    int timeout = b->f.uv_backend_timeout(loop);
    return timeout < 0 ? NEVER : b->f.uv_now(loop) + (uint64_t)timeout;
}

static void ask(struct guest *g) {
    struct bridge *b = container_of(g, struct bridge, guest);
    const void *loop = loop_of(b);
    bool alive = loop && b->f.uv_loop_alive(loop);
    if (alive != b->alive || (alive && due(b, loop) < b->due))
        task_wake(b->sleeper, WAKE_OK);
}

static void tell(struct guest *g) {
    struct bridge *b = container_of(g, struct bridge, guest);
    void *loop = loop_of(b);
    if (loop)
        b->f.uv_update_time(loop);
}

static void undo(struct task *t) {
    struct bridge *b = t->on;
    list_del(&b->guest.link);
    if (b->fd >= 0)
        loop_forget(&t->kernel->loop, b->fd, LOOP_READ);
}

static int slept(lua_State *L, int status, lua_KContext ctx) {
    (void)status;
    (void)ctx;
    task_woken(L);
    return 0;
}

static int64_t after(int timeout) {
    return timeout < 0 ? CLOCK_NEVER : clock_after(clock_now(), timeout / 1e3);
}

/* Is nobody parked, since there is something to do at once? Raises what cannot be waited for. */
static bool wait_on(lua_State *L, struct bridge *b, struct task *t, const void *loop) {
    int fd = b->f.uv_backend_fd(loop);
    int err = loop_wait_foreign(&t->kernel->loop, fd, LOOP_READ, t);
    if (err < 0)
        luaL_error(L, "luv.run: cannot wait for libuv's descriptor: %s", strerror(-err));
    b->fd = err ? -1 : fd;
    return err;
}

/* sleep(): until the loop may have something to do, or is alive where it was dead; blocks */
static int m_sleep(lua_State *L) {
    struct bridge *b = bridge_check(L);
    struct task *t = task_enter(L, "luv.run");
    void *loop = loop_of(b);
    if (t->kernel->jumping)
        return luaL_error(L,
                          "luv.run: libuv's timers go by the real clock, the kernel's is virtual");
    if (!list_empty(&b->guest.link)) /* of a kernel that does not run now */
        task_wake(b->sleeper, WAKE_OK);
    tell(&b->guest);
    b->alive = loop && b->f.uv_loop_alive(loop);
    b->fd = -1;
    int timeout = b->alive ? b->f.uv_backend_timeout(loop) : -1;
    if (timeout == 0 || (b->alive && wait_on(L, b, t, loop))) {
        task_give_way(t);
        return lua_yieldk(L, 0, 0, slept);
    }
    b->due = b->alive ? due(b, loop) : NEVER;
    b->sleeper = t;
    list_add_tail(&t->kernel->guests, &b->guest.link);
    task_sleep(t, "LUV_WAIT", undo, b, after(timeout));
    return lua_yieldk(L, 0, 0, slept);
}

/* wake(): ends the sleep of whoever sleeps */
static int m_wake(lua_State *L) {
    const struct bridge *b = bridge_check(L);
    if (!list_empty(&b->guest.link))
        task_wake(b->sleeper, WAKE_OK);
    return 0;
}

/* alive(): has the loop anything that it must run for? */
static int m_alive(lua_State *L) {
    const struct bridge *b = bridge_check(L);
    const void *loop = loop_of(b);
    lua_pushboolean(L, loop && b->f.uv_loop_alive(loop));
    return 1;
}

/* calls(): how many callbacks there were */
static int m_calls(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)bridge_check(L)->made);
    return 1;
}

/* ---- opening ---- */

/* The first name that is missing; NULL: none is. */
static const char *look_up(struct functions *f, void *library) {
    void **entry = (void **)f;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        entry[i] = dlsym(library ? library : RTLD_DEFAULT, names[i]);
        if (!entry[i])
            return names[i];
    }
    return NULL;
}

/* Lua has the library open, and keeps it so. */
static const char *look_up_beside(struct functions *f, lua_CFunction run) {
    Dl_info info;
    void *library = NULL;
    if (dladdr(*(void **)&run, &info) && info.dli_fname)
        library = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
    const char *missing = look_up(f, library);
    if (library)
        dlclose(library);
    return missing;
}

static struct bridge *bridge_new(lua_State *L) {
    struct bridge *b = lua_newuserdatauv(L, sizeof *b, UV_STACK);
    memset(b, 0, sizeof *b);
    list_init(&b->guest.link);
    b->guest.ask = ask;
    b->guest.tell = tell;
    b->stack = lua_newthread(L);
    lua_setiuservalue(L, -2, UV_STACK);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, UV_RUN);
    lua_pushvalue(L, 2);
    lua_setiuservalue(L, -2, UV_FAILED);
    luaL_setmetatable(L, "curio.luv");
    return b;
}

/* open(run, failed): the bridge of this state; run is luv's, failed(err) is told what its callbacks
   raise */
static int f_open(lua_State *L) {
    lua_CFunction run = lua_tocfunction(L, 1);
    luaL_argexpected(L, run, 1, "luv's function run");
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    struct bridge *b = bridge_new(L);
    const char *missing = look_up_beside(&b->f, run);
    if (missing)
        return luaL_error(L, "curio.interop.luv: this luv has no function %s", missing);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &bridge_key);
    b->f.luv_set_loop(b->stack, b->f.luv_loop(L));
    b->f.luv_set_callback(L, call_back);
    return 1;
}

static const luaL_Reg methods[] = {
    {"step", m_step},   {"sleep", m_sleep}, {"wake", m_wake},
    {"alive", m_alive}, {"calls", m_calls}, {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"open", f_open},
    {NULL, NULL},
};

int open_luvlib(lua_State *L) {
    luaL_newmetatable(L, "curio.luv");
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
