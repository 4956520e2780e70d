/*
 * group.h - what the kernel must do for task groups at once, when a member ends.
 *
 * Policies (whom to wait for, what to raise) are Lua's business, in lua/curio/group.lua. Here
 * stands what may not wait and may not fail for want of memory: members that ended are queued in
 * the order of their ends, and the first failure cancels the others.
 */
#ifndef CURIO_GROUP_H
#define CURIO_GROUP_H

#include <lua.h>
#include <stdbool.h>

#include "list.h"

struct task;
struct scope;

struct group {
    struct list running; /* members, oldest first */
    struct list daemons; /* running daemonic members */
    struct list
        finished;        /* members that ended and were not taken yet, in the order of their ends */
    struct list waiters; /* tasks that wait for a member to end */
    struct list starters; /* tasks that wait for a free place (limit) */
    struct scope *scope;  /* of the body of curio.group; NULL: none, or left */
    unsigned nrunning;    /* without daemons */
    unsigned ndaemons;
    unsigned reserved; /* starters that were given a place and have not added their member yet */
    unsigned nfailed;  /* finished members, not taken, that failed other than by an order to end */
    bool
        collect; /* errors="collect", or the program takes members itself: a failure harms nobody */
};

struct member {
    struct list link;
    struct task *task;
    struct group *group;
    bool daemon;
    bool neutral; /* cancelled by the program: counts for nothing */
    bool failed;
};

/* A member has ended; `order`: by a cancellation. L is the kernel's state. */
void group_member_ended(lua_State *L, struct task *t, bool order);

/* Acts on a failure: the others are cancelled, and the body if the group has one. [-0, +0, m] */
void group_fail(lua_State *L, struct group *g);

void group_wake_all(struct list *waiters);

/* The member no longer counts, its group forgets it. [-0, +0, -] */
void group_detach(lua_State *L, struct task *t);

/* Cancels members with the error on top of L, newest first. [-0, +0, m] */
void group_cancel(lua_State *L, struct list *members);

/* The table that keeps members alive: lightuserdata -> task. [-0, +1, -] */
void group_push_members(lua_State *L, const struct group *g);

#endif
