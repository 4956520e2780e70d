/*
 * grouplib.c - the core of task groups as lua/curio/group.lua uses it; see group.h.
 */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "group.h"
#include "kernel.h"
#include "lib.h"

static struct group *group_check(lua_State *L) {
    return luaL_checkudata(L, 1, "curio.group");
}

/* new(collect): a core for a new group */
static int f_new(lua_State *L) {
    struct group *g = lua_newuserdatauv(L, sizeof *g, 0);
    memset(g, 0, sizeof *g);
    list_init(&g->running);
    list_init(&g->daemons);
    list_init(&g->finished);
    list_init(&g->waiters);
    list_init(&g->starters);
    g->collect = lua_toboolean(L, 1);
    luaL_setmetatable(L, "curio.group");
    lua_createtable(L, 0, 0);
    lua_rawsetp(L, LUA_REGISTRYINDEX, g);
    return 1;
}

/* Members go on without the group, or are forgotten. */
static void orphan(struct list *members) {
    for (struct list *next, *n = members->next; n != members; n = next) {
        struct member *m = container_of(n, struct member, link);
        next = n->next;
        m->task->member = NULL;
        free(m);
    }
    list_init(members);
}

static int mm_gc(lua_State *L) {
    struct group *g = group_check(L);
    orphan(&g->running);
    orphan(&g->daemons);
    orphan(&g->finished);
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, g);
    return 0;
}

/* add(task): false if it is a member of some group already */
static int m_add(lua_State *L) {
    struct group *g = group_check(L);
    struct task *t = task_check(L, 2);
    if (t->member) {
        lua_pushboolean(L, 0);
        return 1;
    }
    if (!(t->flags & T_DONE) && kernel_current && t->kernel != kernel_current)
        return luaL_error(L, "group:add_task: the task belongs to another kernel");
    if (t->flags & T_DONE && t->flags & (T_DAEMON | T_ORDERED)) { /* counts for nothing */
        lua_pushboolean(L, 1);
        return 1;
    }
    group_push_members(L, g);
    lua_pushvalue(L, 2);
    lua_rawsetp(L, -2, t); /* what can raise comes first */
    struct member *m = calloc(1, sizeof *m);
    if (!m)
        return luaL_error(L, "not enough memory");
    list_init(&m->link);
    m->task = t;
    m->daemon = t->flags & T_DAEMON;
    m->group = g;
    t->member = m;
    if (t->flags & T_DONE) {
        m->failed = t->flags & T_FAILED;
        list_add_tail(&g->finished, &m->link);
        g->nfailed += m->failed;
        if (m->failed && !g->collect)
            group_fail(L, g);
    } else {
        list_add_tail(m->daemon ? &g->daemons : &g->running, &m->link);
        *(m->daemon ? &g->ndaemons : &g->nrunning) += 1;
    }
    lua_pushboolean(L, 1);
    return 1;
}

/* take(): the first finished member, out of the group; nil if there is none */
static int m_take(lua_State *L) {
    struct group *g = group_check(L);
    if (list_empty(&g->finished))
        return 0;
    struct task *t = container_of(g->finished.next, struct member, link)->task;
    group_push_members(L, g);
    lua_rawgetp(L, -1, t);
    group_detach(L, t);
    return 1;
}

static int sleep_in(lua_State *L, struct group *g, struct task *self, lua_KFunction woken) {
    task_sleep(self, "GROUP_WAIT", task_unlink, NULL, CLOCK_NEVER);
    list_add_tail(&g->waiters, &self->link);
    return lua_yieldk(L, 0, (lua_KContext)g, woken);
}

static int wait_woken(lua_State *L, int status, lua_KContext ctx);

static int wait_in(lua_State *L, struct group *g, struct task *self) {
    if (!list_empty(&g->finished) || !g->nrunning)
        return 0;
    return sleep_in(L, g, self, wait_woken);
}

static int wait_woken(lua_State *L, int status, lua_KContext ctx) {
    (void)status;
    return wait_in(L, (struct group *)ctx, task_woken(L));
}

/* has_current(): is the running task a member? */
static int m_has_current(lua_State *L) {
    const struct group *g = group_check(L);
    const struct task *self = kernel_current ? kernel_current->current : NULL;
    lua_pushboolean(L, self && self->member && self->member->group == g);
    return 1;
}

/* wait(): blocks until a member has finished and can be taken, or none runs */
static int m_wait(lua_State *L) {
    struct group *g = group_check(L);
    return wait_in(L, g, task_enter(L, "group:join"));
}

static int drain_woken(lua_State *L, int status, lua_KContext ctx);

static int drain(lua_State *L, struct group *g, struct task *self) {
    if (!g->nrunning && !(lua_toboolean(L, 2) && g->ndaemons))
        return 0;
    return sleep_in(L, g, self, drain_woken);
}

static int drain_woken(lua_State *L, int status, lua_KContext ctx) {
    (void)status;
    return drain(L, (struct group *)ctx, task_woken(L));
}

/* drain(daemons): blocks until no member runs, with `daemons` no daemon either */
static int m_drain(lua_State *L) {
    struct group *g = group_check(L);
    lua_settop(L, 2);
    return drain(L, g, task_enter(L, "group:join"));
}

static int place_given(lua_State *L, int status, lua_KContext ctx) {
    struct group *g = (struct group *)ctx;
    (void)status;
    task_woken(L);
    if (g->reserved)
        g->reserved--;
    return 0;
}

/* wait_place(limit): blocks until fewer than limit members run, first come first served; the caller
   adds a member at once, or finds the group closed */
static int m_wait_place(lua_State *L) {
    struct group *g = group_check(L);
    lua_Integer limit = luaL_checkinteger(L, 2);
    struct task *self = task_enter(L, "group:spawn");
    if ((lua_Integer)g->nrunning + g->ndaemons + g->reserved < limit)
        return 0;
    task_sleep(self, "GROUP_LIMIT", task_unlink, NULL, CLOCK_NEVER);
    list_add_tail(&g->starters, &self->link);
    return lua_yieldk(L, 0, (lua_KContext)g, place_given);
}

/* refuse_starters(): those that wait for a place wake without one */
static int m_refuse_starters(lua_State *L) {
    group_wake_all(&group_check(L)->starters);
    return 0;
}

static int m_count(lua_State *L) {
    struct group *g = group_check(L);
    lua_pushinteger(L, g->nrunning);
    lua_pushinteger(L, g->ndaemons);
    lua_pushinteger(L, g->nfailed);
    return 3;
}

/* neutral(task, flag): whether the member counts for nothing */
static int m_neutral(lua_State *L) {
    struct task *t = task_check(L, 2);
    if (t->member)
        t->member->neutral = lua_toboolean(L, 3);
    return 0;
}

/* cancel(daemons, neutral): asks the members that run to end, newest first; does not wait */
static int m_cancel(lua_State *L) {
    struct group *g = group_check(L);
    bool daemons = lua_toboolean(L, 2);
    if (lua_toboolean(L, 3))
        for (struct list *n = g->running.next; n != &g->running; n = n->next)
            container_of(n, struct member, link)->neutral = true;
    error_new(L, "TaskCancelled", "cancelled: the group needs no further results");
    group_cancel(L, daemons ? &g->daemons : &g->running);
    return 0;
}

/* collect(): from now on a failure harms nobody until it is joined */
static int m_collect(lua_State *L) {
    group_check(L)->collect = true;
    return 0;
}

static void push_list(lua_State *L, struct group *g, struct list *list, int into, lua_Integer *n) {
    group_push_members(L, g);
    for (struct list *at = list->next; at != list; at = at->next) {
        lua_rawgetp(L, -1, container_of(at, struct member, link)->task);
        lua_rawseti(L, into, ++*n);
    }
    lua_pop(L, 1);
}

/* members(): a list of those that run and those that have finished, daemons left out */
static int m_members(lua_State *L) {
    struct group *g = group_check(L);
    lua_Integer n = 0;
    lua_settop(L, 1);
    lua_createtable(L, 0, 0);
    push_list(L, g, &g->running, 2, &n);
    push_list(L, g, &g->finished, 2, &n);
    return 1;
}

/* enter_body(): the running task's body stops when a member fails */
static int m_enter_body(lua_State *L) {
    struct group *g = group_check(L);
    struct task *t = task_enter(L, "curio.group");
    g->scope = task_enter_scope(t, L, SCOPE_GROUP, CLOCK_NEVER);
    if (!g->scope)
        return luaL_error(L, "not enough memory");
    g->scope->handle = &g->scope;
    return 0;
}

/* leave_body(): whether a member's failure had stopped it */
static int m_leave_body(lua_State *L) {
    struct group *g = group_check(L);
    struct scope *s = g->scope;
    if (!s)
        return 0;
    lua_pushboolean(L, s->expired);
    s->handle = NULL;
    g->scope = NULL;
    if (s->task) /* else the coroutine that has taken it along frees it */
        task_leave_scope(L, s->task, s);
    return 1;
}

static const luaL_Reg methods[] = {
    {"add", m_add},
    {"take", m_take},
    {"has_current", m_has_current},
    {"wait", m_wait},
    {"drain", m_drain},
    {"neutral", m_neutral},
    {"wait_place", m_wait_place},
    {"refuse_starters", m_refuse_starters},
    {"count", m_count},
    {"cancel", m_cancel},
    {"collect", m_collect},
    {"members", m_members},
    {"enter_body", m_enter_body},
    {"leave_body", m_leave_body},
    {NULL, NULL},
};

int open_grouplib(lua_State *L) {
    luaL_newmetatable(L, "curio.group");
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, mm_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    lua_pushcfunction(L, f_new);
    return 1;
}
