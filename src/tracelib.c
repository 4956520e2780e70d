/*
 * tracelib.c - the object "curio.trace": a file that kernels write their time lines to.
 */
#include <errno.h>
#include <string.h>

#include "kernel.h"
#include "lib.h"
#include "trace.h"

#define NAME "curio.trace"

struct box {
    struct trace *trace; /* NULL: closed */
};

static struct kernel *kernel_check(lua_State *L) {
    return luaL_checkudata(L, 2, "curio.Kernel");
}

/* open(path): a new file; nil, err */
static int f_open(lua_State *L) {
    size_t len;
    const char *path = luaL_checklstring(L, 1, &len);
    luaL_argcheck(L, strlen(path) == len, 1, "the path has a zero byte");
    struct box *box = lua_newuserdatauv(L, sizeof *box, 0);
    box->trace = NULL;
    luaL_setmetatable(L, NAME);
    box->trace = trace_open(path);
    return box->trace ? 1 : error_os_return(L, errno, "open", path);
}

static void detach(struct kernel *k) {
    kernel_trace_end(k);
    if (k->trace)
        trace_unref(k->trace);
    k->trace = NULL;
}

static void name_all(lua_State *L, struct kernel *k) {
    for (uint32_t slot = 1; slot <= k->nslots; slot++) {
        struct task *t = slot_task(k->slots[slot]);
        if (!t)
            continue;
        task_push(L, t);
        trace_named(k->trace, t->id, task_push_name(L, t, -1));
        lua_pop(L, 2);
    }
}

/* trace:attach(kernel): from now on it writes here, and to no other trace */
static int m_attach(lua_State *L) {
    const struct box *box = luaL_checkudata(L, 1, NAME);
    struct kernel *k = kernel_check(L);
    luaL_argcheck(L, box->trace, 1, "the trace is closed");
    detach(k);
    trace_ref(box->trace);
    k->trace = box->trace;
    k->trace_pid = trace_process(k->trace);
    if (kernel_current == k) {
        kernel_trace_begin(k);
        name_all(L, k);
    }
    return 0;
}

/* trace:detach(kernel) */
static int m_detach(lua_State *L) {
    const struct box *box = luaL_checkudata(L, 1, NAME);
    struct kernel *k = kernel_check(L);
    if (k->trace == box->trace)
        detach(k);
    return 0;
}

/* trace:flush(): true, or nil and what writing failed with */
static int m_flush(lua_State *L) {
    const struct box *box = luaL_checkudata(L, 1, NAME);
    int err = box->trace ? trace_flush(box->trace) : 0;
    if (err)
        return error_os_return(L, -err, "write", "the trace");
    lua_pushboolean(L, 1);
    return 1;
}

static int mm_gc(lua_State *L) {
    struct box *box = luaL_checkudata(L, 1, NAME);
    if (box->trace)
        trace_unref(box->trace);
    box->trace = NULL;
    return 0;
}

static const luaL_Reg methods[] = {
    {"attach", m_attach},
    {"detach", m_detach},
    {"flush", m_flush},
    {NULL, NULL},
};

static const luaL_Reg metamethods[] = {
    {"__gc", mm_gc},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"open", f_open},
    {NULL, NULL},
};

int open_tracelib(lua_State *L) {
    luaL_newmetatable(L, NAME);
    luaL_setfuncs(L, metamethods, 0);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
