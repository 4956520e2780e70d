/*
 * group.c - members of task groups, as the kernel sees them end.
 */
#include "group.h"

#include <stdlib.h>

#include "kernel.h"
#include "lib.h"

void group_wake_all(struct list *waiters) {
    while (!list_empty(waiters))
        task_wake(container_of(waiters->next, struct task, link), WAKE_OK);
}

void group_cancel(lua_State *L, struct list *members) {
    for (struct list *n = members->prev; n != members; n = n->prev) {
        lua_pushvalue(L, -1);
        task_cancel(L, container_of(n, struct member, link)->task);
    }
}

void group_push_members(lua_State *L, const struct group *g) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, g);
}

void group_fail(lua_State *L, struct group *g) {
    error_new(L, "TaskCancelled", "cancelled: a member of the group failed");
    group_cancel(L, &g->running);
    lua_pop(L, 1);
    group_wake_all(&g->starters);
    if (g->scope)
        task_expire_scope(g->scope);
}

/* A place has become free for the first of those that wait to start a member. */
static void give_place(struct group *g) {
    if (list_empty(&g->starters))
        return;
    g->reserved++;
    task_wake(container_of(g->starters.next, struct task, link), WAKE_OK);
}

void group_member_ended(lua_State *L, struct task *t, bool order) {
    struct member *m = t->member;
    struct group *g = m->group;
    list_del(&m->link);
    *(m->daemon ? &g->ndaemons : &g->nrunning) -= 1;
    m->failed = t->flags & T_FAILED && !order && !m->daemon;
    bool counts = !m->daemon && !m->neutral && !task_joined(t);
    if (counts)
        list_add_tail(&g->finished, &m->link);
    give_place(g);
    bool first = counts && m->failed && g->nfailed++ == 0;
    if (!counts) {
        m->failed = false;
        group_detach(L, t);
    }
    group_wake_all(&g->waiters);
    if (first && !g->collect)
        group_fail(L, g);
}

void group_detach(lua_State *L, struct task *t) {
    struct member *m = t->member;
    struct group *g = m->group;
    list_del(&m->link);
    if (t->flags & T_DONE) {
        g->nfailed -= m->failed;
    } else {
        *(m->daemon ? &g->ndaemons : &g->nrunning) -= 1;
    }
    group_push_members(L, g);
    lua_pushnil(L);
    lua_rawsetp(L, -2, t);
    lua_pop(L, 1);
    t->member = NULL;
    free(m);
}
