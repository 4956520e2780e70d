/*
 * universalqueuelib.c - the methods of UniversalQueue.
 *
 * An item is copied into a message when it is put and out of it when it is got, outside the queue's
 * lock.
 */
#include <errno.h>

#include "copylib.h"
#include "lib.h"
#include "universallib.h"

static char inbox_key; /* registry: a message for items that are being read */

static int no_memory(lua_State *L) {
    return luaL_error(L, "not enough memory");
}

/* ---- items ---- */

static const struct copy_how reading = {0};

/* Pushes a box with an empty message; what is read from it is copied once it is there. A box whose
   item could not be copied is left to the collector. */
static struct message *inbox(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &inbox_key);
    struct message *m = lua_touserdata(L, -1);
    if (m && !m->size)
        return m;
    lua_pop(L, 1);
    m = copy_new_message(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &inbox_key);
    return m;
}

/* Pushes the item; 1. */
static int read_item(lua_State *L, struct message *m) {
    int n = copy_in(L, m, &reading);
    message_drop(m);
    return n;
}

static void push_closed(lua_State *L, const char *verb) {
    error_new(L, "QueueClosed", "%s: the queue is closed", verb);
}

static int raise_closed(lua_State *L, const char *verb) {
    push_closed(L, verb);
    return lua_error(L);
}

/* ---- verbs ---- */

static struct universal *queue_check(lua_State *L) {
    return shared_check(L, SELF, UNIVERSAL_QUEUE);
}

static int get_failed(lua_State *L, int result) {
    if (result != -ESHUTDOWN)
        return no_memory(L);
    lua_pushnil(L);
    push_closed(L, "queue:get");
    return 2;
}

static int get_enlist(lua_State *L, struct wait *wait) {
    (void)L;
    return queue_get(wait->u, &wait->w->item, wait->w);
}

static int get_finish(lua_State *L, struct wait *wait, int result) {
    if (result < 0) {
        wait_end(wait);
        return get_failed(L, result);
    }
    queue_take(wait->u, wait->w);
    int n = read_item(L, &wait->w->item);
    wait_end(wait);
    return n;
}

static int get(lua_State *L, const struct waiting *waiting) {
    struct universal *u = wait_self(L);
    struct message *m = inbox(L);
    int result = queue_get(u, m, NULL);
    if (result == 0)
        return read_item(L, m);
    if (result == -EAGAIN)
        return wait_for(L, u, waiting);
    return get_failed(L, result);
}

static int get_attempt(lua_State *L, struct task *t) {
    static const struct waiting waiting = {"queue:get", "QUEUE_GET", get_enlist, get_finish, false};
    (void)t;
    return get(L, &waiting);
}

static const struct verb get_verb = {"queue:get", get_attempt, NULL};

/* get(): the next item; nil and QueueClosed when the queue is closed and drained; blocks */
static int m_get(lua_State *L) {
    queue_check(L);
    lua_settop(L, SELF);
    return wait_run(L, &get_verb);
}

/* try_get(): true and an item, or false */
static int m_try_get(lua_State *L) {
    struct universal *u = queue_check(L);
    struct message *m = inbox(L);
    int result = queue_get(u, m, NULL);
    lua_pushboolean(L, result == 0);
    return result == 0 ? 1 + read_item(L, m) : 1;
}

static int put_failed(lua_State *L, const char *verb, int result) {
    return result == -ESHUTDOWN ? raise_closed(L, verb) : no_memory(L);
}

/* Without waiting: 0, or a negative errno, and then nothing has been sent. May raise. */
static int put_now(lua_State *L, struct universal *u) {
    static const struct copy_how how = {.root = "item", .flags = COPY_ONE};
    struct message m;
    message_init(&m);
    copy_out(L, ITEM, 1, &how, &m);
    int result = queue_put(u, &m, NULL);
    if (result < 0) {
        copy_undo(&m);
        message_drop(&m);
    }
    return result;
}

/* The sockets in the item are kept alive: they may have to be given back. */
static int put_enlist(lua_State *L, struct wait *wait) {
    static const struct copy_how how = {.root = "item", .flags = COPY_ONE | COPY_KEEP};
    int box = lua_gettop(L);
    copy_out(L, ITEM, 1, &how, &wait->w->item);
    lua_setiuservalue(L, box, 1);
    return queue_put(wait->u, &wait->w->item, wait->w);
}

static int put_finish(lua_State *L, struct wait *wait, int result) {
    if (result < 0)
        wait_take_back(wait);
    wait_end(wait);
    return result < 0 ? put_failed(L, "queue:put", result) : 0;
}

static int put_attempt(lua_State *L, struct task *t) {
    static const struct waiting waiting = {"queue:put", "QUEUE_PUT", put_enlist, put_finish, true};
    (void)t;
    struct universal *u = wait_self(L);
    int result = queue_is_full(u) ? -EAGAIN : put_now(L, u);
    if (result == -EAGAIN)
        return wait_for(L, u, &waiting);
    return result < 0 ? put_failed(L, "queue:put", result) : 0;
}

static const struct verb put_verb = {"queue:put", put_attempt, NULL};

/* put(item): waits while the queue is full; blocks */
static int m_put(lua_State *L) {
    queue_check(L);
    lua_settop(L, ITEM);
    return wait_run(L, &put_verb);
}

/* try_put(item): false if there is no room */
static int m_try_put(lua_State *L) {
    struct universal *u = queue_check(L);
    lua_settop(L, ITEM);
    int result = queue_is_full(u) ? -EAGAIN : put_now(L, u);
    if (result < 0 && result != -EAGAIN)
        return put_failed(L, "queue:try_put", result);
    lua_pushboolean(L, result == 0);
    return 1;
}

static int check_not_nil(lua_State *L, int n) {
    if (n == 1 && lua_isnil(L, -1))
        return luaL_error(L, "queue:iter: an item is nil, which would end the loop; use queue:get");
    return n;
}

static int next_finish(lua_State *L, struct wait *wait, int result) {
    return check_not_nil(L, get_finish(L, wait, result));
}

static int next_attempt(lua_State *L, struct task *t) {
    static const struct waiting waiting = {"queue:iter", "QUEUE_GET", get_enlist, next_finish,
                                           false};
    (void)t;
    return check_not_nil(L, get(L, &waiting));
}

static const struct verb next_verb = {"queue:iter", next_attempt, NULL};

static int next_item(lua_State *L) {
    queue_check(L);
    lua_settop(L, SELF);
    return wait_run(L, &next_verb);
}

/* iter(): for item in q:iter() do; ends when the queue is closed and drained */
static int m_iter(lua_State *L) {
    queue_check(L);
    lua_pushcfunction(L, next_item);
    lua_pushvalue(L, SELF);
    return 2;
}

static int join_enlist(lua_State *L, struct wait *wait) {
    (void)L;
    return queue_join(wait->u, wait->w);
}

static int join_attempt(lua_State *L, struct task *t) {
    static const struct waiting waiting = {"queue:join", "QUEUE_JOIN", join_enlist,
                                           wait_finish_nothing, false};
    (void)t;
    struct universal *u = wait_self(L);
    return queue_join(u, NULL) == 0 ? 0 : wait_for(L, u, &waiting);
}

static const struct verb join_verb = {"queue:join", join_attempt, NULL};

/* join(): waits until all items that were put have been dealt with; blocks */
static int m_join(lua_State *L) {
    queue_check(L);
    lua_settop(L, SELF);
    return wait_run(L, &join_verb);
}

static int m_task_done(lua_State *L) {
    if (queue_task_done(queue_check(L)) < 0)
        return luaL_error(L, "queue:task_done: called more often than items were put");
    return 0;
}

/* close(): from now on put raises, also where it waits, and get gives what is left, then nil */
static int m_close(lua_State *L) {
    queue_close(queue_check(L));
    return 0;
}

static int m_size(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)queue_look(queue_check(L)).count);
    return 1;
}

static int m_empty(lua_State *L) {
    lua_pushboolean(L, queue_look(queue_check(L)).count == 0);
    return 1;
}

static int m_full(lua_State *L) {
    lua_pushboolean(L, queue_look(queue_check(L)).full);
    return 1;
}

/* fileno(): a descriptor that is readable while the queue has items */
static int m_fileno(lua_State *L) {
    int fd = queue_fd(queue_check(L));
    if (fd < 0)
        return luaL_error(L, "queue:fileno: the queue was made without withfd=true");
    lua_pushinteger(L, fd);
    return 1;
}

static int queue_tostring(lua_State *L) {
    struct queue_look look = queue_look(queue_check(L));
    lua_pushfstring(L, "UniversalQueue(%I items, %I getting, %I putting%s)",
                    (LUAI_UACINT)look.count, (LUAI_UACINT)look.getting, (LUAI_UACINT)look.putting,
                    look.closed ? ", closed" : "");
    return 1;
}

static const luaL_Reg queue_methods[] = {
    {"put", m_put},   {"get", m_get},     {"try_put", m_try_put},     {"try_get", m_try_get},
    {"iter", m_iter}, {"close", m_close}, {"task_done", m_task_done}, {"join", m_join},
    {"size", m_size}, {"empty", m_empty}, {"full", m_full},           {"fileno", m_fileno},
    {NULL, NULL},
};

/* queue{maxsize=, withfd=} */
int universal_new_queue(lua_State *L) {
    static const char *const known[] = {"maxsize", "withfd", NULL};
    const char *verb = "curio.UniversalQueue";
    lua_settop(L, 1);
    args_options(L, 1, verb, known);
    lua_Integer maxsize = args_int(L, 1, verb, "maxsize", 0);
    luaL_argcheck(L, maxsize >= 0, 1, "maxsize must not be negative");
    bool with_fd = args_bool(L, 1, verb, "withfd", false);
    struct shared **box = shared_new(L, UNIVERSAL_QUEUE);
    return universal_push_new(L, UNIVERSAL_QUEUE, queue_new((size_t)maxsize, with_fd), box);
}

void universal_open_queue(lua_State *L) {
    static const luaL_Reg metamethods[] = {
        {"__close", m_close}, {"__tostring", queue_tostring}, {NULL, NULL}};
    universal_new_kind(L, UNIVERSAL_QUEUE, queue_methods, metamethods);
}
