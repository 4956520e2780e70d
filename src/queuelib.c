/*
 * queuelib.c - queues between the tasks of one kernel: curio.Queue and curio.LifoQueue.
 *
 * An item goes straight to the getter that has waited longest; and when an item is got, that of the
 * putter that has waited longest takes the place. So getters sleep only while the queue is empty,
 * putters only while it is full, the order of puts is that of gets, and a putter that is cancelled
 * takes its item with it. What lua/curio/queue.lua does for priority queues on the public traps is
 * done here in C, since programs live on it: it is three to four times as fast.
 */
#include "block.h"
#include "kernel.h"
#include "lib.h"
#include "waitlist.h"

#define INSIDE 128 /* a queue for at most so many keeps its items in its user values */
#define FIRST_ROOM 16
#define KEEP_ROOM 1024 /* an empty queue gives more than this back */

static const char queue_magic;

/* The items stand in a ring: the object's user values, or the array part of a table, which then is
   the only user value. */
struct queue {
    const char *magic; /* &queue_magic, in queues only */
    struct waitlist getters;
    struct waitlist putters;
    struct waitlist joiners;
    lua_Integer maxsize; /* LUA_MAXINTEGER: no limit */
    lua_Integer count;
    lua_Integer unfinished; /* items put and not yet told to be done */
    lua_Unsigned head;      /* of the first item; counts up for ever */
    lua_Unsigned room;      /* of the ring: 0, or a power of two */
    bool inside;            /* the ring is the user values */
    bool lifo;
    bool closed;
};

/* Stacks: what a verb is called with, and one more for a putter asleep. */
enum { SELF = 1, ITEM = 2, GET_TOP = 1, PUT_TOP = 2, PUT_ASLEEP_TOP = 3 };

/* Quicker than luaL_checkudata, and this is what a queue spends its time with. */
static inline struct queue *queue_check(lua_State *L) {
    struct queue *q = lua_touserdata(L, SELF);
    if (!q || lua_rawlen(L, SELF) != sizeof *q || q->magic != &queue_magic)
        luaL_typeerror(L, SELF, "curio.Queue");
    return q;
}

static inline void set_top(lua_State *L, int n) {
    if (lua_gettop(L) != n)
        lua_settop(L, n);
}

static int new_queue(lua_State *L, bool lifo) {
    lua_Integer maxsize = luaL_optinteger(L, 1, 0);
    luaL_argcheck(L, maxsize >= 0, 1, "maxsize must not be negative");
    bool inside = maxsize > 0 && maxsize <= INSIDE;
    int room = inside ? 1 : 0;
    while (room < maxsize && inside)
        room *= 2;
    struct queue *q = lua_newuserdatauv(L, sizeof *q, inside ? room : 1);
    *q = (struct queue){
        .magic = &queue_magic,
        .maxsize = maxsize ? maxsize : LUA_MAXINTEGER,
        .room = (lua_Unsigned)room,
        .inside = inside,
        .lifo = lifo,
    };
    waitlist_init(&q->getters);
    waitlist_init(&q->putters);
    waitlist_init(&q->joiners);
    luaL_setmetatable(L, "curio.Queue");
    return 1;
}

/* fifo([maxsize]) */
static int f_fifo(lua_State *L) {
    return new_queue(L, false);
}

/* lifo([maxsize]) */
static int f_lifo(lua_State *L) {
    return new_queue(L, true);
}

/* ---- the ring ---- */

static int place(const struct queue *q, lua_Unsigned i) {
    return (int)(i & (q->room - 1)) + 1;
}

/* [-0, +0, m] */
static void grow(lua_State *L, struct queue *q) {
    lua_Unsigned room = q->room ? q->room * 2 : FIRST_ROOM;
    luaL_argcheck(L, room <= INT32_MAX, SELF, "too many items");
    lua_createtable(L, (int)room, 0);
    lua_getiuservalue(L, SELF, 1);
    for (lua_Integer i = 0; i < q->count; i++) {
        lua_rawgeti(L, -1, place(q, q->head + (lua_Unsigned)i));
        lua_rawseti(L, -3, i + 1);
    }
    lua_pop(L, 1);
    lua_setiuservalue(L, SELF, 1);
    q->room = room;
    q->head = 0;
}

/* Stores the value on top. Raises only if the ring is full. [-1, +x, m] */
static void push(lua_State *L, struct queue *q) {
    if ((lua_Unsigned)q->count == q->room)
        grow(L, q);
    int at = place(q, q->head + (lua_Unsigned)q->count);
    if (q->inside) {
        lua_setiuservalue(L, SELF, at);
    } else {
        lua_getiuservalue(L, SELF, 1);
        lua_pushvalue(L, -2);
        lua_rawseti(L, -2, at);
    }
    q->count++;
}

/* Leaves the item on top. [-0, +x, -] */
static void pop(lua_State *L, struct queue *q) {
    int at = place(q, q->lifo ? q->head + (lua_Unsigned)q->count - 1 : q->head);
    if (q->inside) {
        lua_getiuservalue(L, SELF, at);
        lua_pushnil(L);
        lua_setiuservalue(L, SELF, at);
    } else {
        lua_getiuservalue(L, SELF, 1);
        lua_rawgeti(L, -1, at);
        lua_pushnil(L);
        lua_rawseti(L, -3, at);
    }
    q->count--;
    if (!q->lifo)
        q->head++;
}

static void give_room_back(lua_State *L, struct queue *q) {
    lua_pushnil(L);
    lua_setiuservalue(L, SELF, 1);
    q->room = 0;
}

/* ---- putting and getting ---- */

static bool is_full(const struct queue *q) {
    return q->count >= q->maxsize;
}

/* The item at index ITEM, the top, finds its getter, or its place. There is room. [-1, +x, m] */
static void give(lua_State *L, struct queue *q) {
    struct task *getter = waitlist_first(&q->getters);
    if (getter) {
        waitlist_hand(L, getter, ITEM, 1);
        task_wake(getter, WAKE_OK);
    } else {
        push(L, q);
    }
    q->unfinished++;
}

/* The item of the first putter asleep takes the place of one that was got. [-0, +0, -] */
static void move_up(lua_State *L, struct queue *q, struct task *putter) {
    int top = lua_gettop(L);
    waitlist_push_offer(L, putter, ITEM);
    push(L, q); /* has room, so it cannot raise */
    lua_settop(L, top);
    q->unfinished++;
    task_wake(putter, WAKE_OK);
}

/* Leaves an item on top; there is one. [-0, +x, -] */
static void take(lua_State *L, struct queue *q) {
    pop(L, q);
    struct task *putter = waitlist_first(&q->putters);
    if (putter) {
        move_up(L, q, putter);
    } else if (q->count == 0 && q->room > KEEP_ROOM) {
        give_room_back(L, q);
    }
}

static void push_closed(lua_State *L, const char *verb) {
    error_new(L, "QueueClosed", "%s: the queue is closed", verb);
}

static int raise_closed(lua_State *L, const char *verb) {
    push_closed(L, verb);
    return lua_error(L);
}

/* [queue, item], when asleep [queue, item, mark], when woken by close [queue, item, mark, error] */
static int put_attempt(lua_State *L, struct task *t) {
    struct queue *q = lua_touserdata(L, SELF);
    int top = lua_gettop(L);
    if (top >= PUT_ASLEEP_TOP) /* a getter has taken the item from here, or the queue is closed */
        return top == PUT_ASLEEP_TOP ? 0 : lua_error(L);
    if (q->closed)
        return raise_closed(L, "queue:put");
    if (!is_full(q)) {
        give(L, q);
        return 0;
    }
    lua_pushboolean(L, 1);
    waitlist_sleep(&q->putters, t, "QUEUE_PUT");
    return BLOCK_PARKED;
}

static const struct verb put_verb = {"queue:put", put_attempt, NULL};

/* put(item): waits while the queue is full; blocks */
static int m_put(lua_State *L) {
    struct queue *q = queue_check(L);
    set_top(L, PUT_TOP);
    struct task *t = task_enter(L, put_verb.name);
    if (task_spent(t))
        return block_later(L, t, &put_verb);
    if (q->closed || is_full(q))
        return block_now(L, t, &put_verb);
    give(L, q);
    return 0;
}

/* [queue], when woken [queue, item], or by close [queue, nil, error] */
static int get_attempt(lua_State *L, struct task *t) {
    struct queue *q = lua_touserdata(L, SELF);
    int top = lua_gettop(L);
    if (top > GET_TOP)
        return top - GET_TOP;
    if (q->count) {
        take(L, q);
        return 1;
    }
    if (q->closed) {
        lua_pushnil(L);
        push_closed(L, "queue:get");
        return 2;
    }
    waitlist_sleep(&q->getters, t, "QUEUE_GET");
    return BLOCK_PARKED;
}

static const struct verb get_verb = {"queue:get", get_attempt, NULL};

/* get(): the next item; nil and QueueClosed when the queue is closed and drained; blocks */
static int m_get(lua_State *L) {
    struct queue *q = queue_check(L);
    set_top(L, GET_TOP);
    struct task *t = task_enter(L, get_verb.name);
    if (task_spent(t))
        return block_later(L, t, &get_verb);
    if (!q->count)
        return block_now(L, t, &get_verb);
    take(L, q);
    return 1;
}

/* try_put(item): false if there is no room */
static int m_try_put(lua_State *L) {
    struct queue *q = queue_check(L);
    lua_settop(L, PUT_TOP);
    if (q->closed)
        return raise_closed(L, "queue:try_put");
    bool room = !is_full(q);
    if (room)
        give(L, q);
    lua_pushboolean(L, room);
    return 1;
}

/* try_get(): true and an item, or false */
static int m_try_get(lua_State *L) {
    struct queue *q = queue_check(L);
    lua_settop(L, GET_TOP);
    bool any = q->count > 0;
    if (any)
        take(L, q);
    lua_pushboolean(L, any);
    lua_insert(L, any ? -2 : -1);
    return any ? 2 : 1;
}

/* ---- iterating and closing ---- */

static int next_attempt(lua_State *L, struct task *t) {
    int n = get_attempt(L, t);
    if (n == 1 && lua_isnil(L, -1))
        return luaL_error(L, "queue:iter: an item is nil, which would end the loop; use queue:get");
    return n;
}

static const struct verb next_verb = {"queue:iter", next_attempt, NULL};

static int next_item(lua_State *L) {
    queue_check(L);
    lua_settop(L, GET_TOP);
    return block_run(L, &next_verb);
}

/* iter(): for item in q:iter() do; ends when the queue is closed and drained */
static int m_iter(lua_State *L) {
    queue_check(L);
    lua_pushcfunction(L, next_item);
    lua_pushvalue(L, SELF);
    return 2;
}

/* Wakes all sleepers with the n values on top. */
static void wake_all(lua_State *L, struct waitlist *s, int n) {
    int first = lua_gettop(L) - n + 1;
    for (struct task *t; (t = waitlist_first(s)) != NULL;) {
        if (n)
            waitlist_hand(L, t, first, n);
        task_wake(t, WAKE_OK);
    }
}

/* close(): from now on put raises, also where it sleeps, and get gives what is left, then nil */
static int m_close(lua_State *L) {
    struct queue *q = queue_check(L);
    q->closed = true;
    if (q->putters.count) {
        push_closed(L, "queue:put");
        wake_all(L, &q->putters, 1);
    }
    if (q->getters.count) {
        lua_pushnil(L);
        push_closed(L, "queue:get");
        wake_all(L, &q->getters, 2);
    }
    return 0;
}

/* ---- items that have been dealt with ---- */

static int m_task_done(lua_State *L) {
    struct queue *q = queue_check(L);
    if (!q->unfinished)
        return luaL_error(L, "queue:task_done: called more often than items were put");
    if (--q->unfinished == 0)
        wake_all(L, &q->joiners, 0);
    return 0;
}

/* [queue], when asleep [queue, mark] */
static int join_attempt(lua_State *L, struct task *t) {
    struct queue *q = lua_touserdata(L, SELF);
    if (lua_gettop(L) > GET_TOP || !q->unfinished)
        return 0;
    lua_pushboolean(L, 1);
    waitlist_sleep(&q->joiners, t, "QUEUE_JOIN");
    return BLOCK_PARKED;
}

static const struct verb join_verb = {"queue:join", join_attempt, NULL};

/* join(): waits until all items that were put have been dealt with; blocks */
static int m_join(lua_State *L) {
    queue_check(L);
    lua_settop(L, GET_TOP);
    return block_run(L, &join_verb);
}

/* ---- looking at it ---- */

static int m_size(lua_State *L) {
    lua_pushinteger(L, queue_check(L)->count);
    return 1;
}

static int m_empty(lua_State *L) {
    lua_pushboolean(L, queue_check(L)->count == 0);
    return 1;
}

static int m_full(lua_State *L) {
    lua_pushboolean(L, is_full(queue_check(L)));
    return 1;
}

static int mm_tostring(lua_State *L) {
    struct queue *q = queue_check(L);
    lua_pushfstring(L, "%s(%I items, %I getting, %I putting%s)", q->lifo ? "LifoQueue" : "Queue",
                    (LUAI_UACINT)q->count, (LUAI_UACINT)q->getters.count,
                    (LUAI_UACINT)q->putters.count, q->closed ? ", closed" : "");
    return 1;
}

static const luaL_Reg methods[] = {
    {"put", m_put},   {"get", m_get},     {"try_put", m_try_put},     {"try_get", m_try_get},
    {"iter", m_iter}, {"close", m_close}, {"task_done", m_task_done}, {"join", m_join},
    {"size", m_size}, {"empty", m_empty}, {"full", m_full},           {NULL, NULL},
};

static const luaL_Reg metamethods[] = {
    {"__close", m_close},
    {"__tostring", mm_tostring},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"fifo", f_fifo},
    {"lifo", f_lifo},
    {NULL, NULL},
};

int open_queuelib(lua_State *L) {
    luaL_newmetatable(L, "curio.Queue");
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    luaL_setfuncs(L, metamethods, 0);
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
