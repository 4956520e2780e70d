/*
 * universallib.c - UniversalEvent and UniversalResult, and what opens all three.
 */
#include "universallib.h"

#include <errno.h>
#include <string.h>

#include "copylib.h"
#include "lib.h"

static int no_memory(lua_State *L) {
    return luaL_error(L, "not enough memory");
}

int universal_push_new(lua_State *L, const char *kind, struct universal *u, struct shared **box) {
    if (!u)
        return luaL_error(L, "%s: %s", kind, strerror(errno));
    shared_fill(L, box, (struct shared *)u);
    return 1;
}

void universal_new_kind(lua_State *L, const char *kind, const luaL_Reg *methods,
                        const luaL_Reg *metamethods) {
    shared_new_metatable(L, kind);
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
    luaL_setfuncs(L, metamethods, 0);
    lua_pop(L, 1);
}

/* ---- UniversalEvent ---- */

static struct universal *event_check(lua_State *L) {
    return shared_check(L, SELF, UNIVERSAL_EVENT);
}

static int wait_enlist(lua_State *L, struct wait *wait) {
    (void)L;
    return event_wait(wait->u, wait->w);
}

static int wait_attempt(lua_State *L, struct task *t) {
    static const struct waiting waiting = {"event:wait", "EVENT_WAIT", wait_enlist,
                                           wait_finish_nothing, false};
    (void)t;
    struct universal *u = wait_self(L);
    return event_wait(u, NULL) == 0 ? 0 : wait_for(L, u, &waiting);
}

static const struct verb wait_verb = {"event:wait", wait_attempt, NULL};

/* wait(): waits until the event is set; blocks */
static int m_wait(lua_State *L) {
    event_check(L);
    lua_settop(L, SELF);
    return wait_run(L, &wait_verb);
}

static int m_set(lua_State *L) {
    event_set(event_check(L));
    return 0;
}

static int m_clear(lua_State *L) {
    event_clear(event_check(L));
    return 0;
}

static int event_m_is_set(lua_State *L) {
    lua_pushboolean(L, event_is_set(event_check(L)));
    return 1;
}

static int event_tostring(lua_State *L) {
    lua_pushfstring(L, "UniversalEvent(%s)", event_is_set(event_check(L)) ? "set" : "not set");
    return 1;
}

static const luaL_Reg event_methods[] = {
    {"wait", m_wait}, {"set", m_set}, {"clear", m_clear}, {"is_set", event_m_is_set}, {NULL, NULL},
};

static int f_event(lua_State *L) {
    struct shared **box = shared_new(L, UNIVERSAL_EVENT);
    return universal_push_new(L, UNIVERSAL_EVENT, event_new(), box);
}

/* ---- UniversalResult ---- */

static struct universal *result_check(lua_State *L) {
    return shared_check(L, SELF, UNIVERSAL_RESULT);
}

/* With the values from index ITEM to the top; how names them. */
static int set(lua_State *L, struct universal *u, const struct copy_how *how, bool failed) {
    int n = lua_gettop(L) - ITEM + 1;
    struct wait *wait = wait_new(L, u); /* the letter must not be lost if copying fails */
    wait->letter = letter_new(failed);
    if (!wait->letter)
        return no_memory(L);
    copy_out(L, ITEM, n, how, &wait->letter->message);
    struct letter *letter = wait->letter;
    wait->letter = NULL;
    result_set(u, letter);
    wait_end(wait);
    return 0;
}

/* set_value(...) */
static int m_set_value(lua_State *L) {
    static const struct copy_how how = {.root = "values", .flags = COPY_STAY};
    return set(L, result_check(L), &how, false);
}

/* set_exception(error) */
static int m_set_exception(lua_State *L) {
    static const struct copy_how how = {.root = "error", .flags = COPY_STAY | COPY_ONE};
    struct universal *u = result_check(L);
    lua_settop(L, ITEM);
    return set(L, u, &how, true);
}

static int unwrap_enlist(lua_State *L, struct wait *wait) {
    (void)L;
    return result_wait(wait->u, &wait->letter, wait->w);
}

static int unwrap_finish(lua_State *L, struct wait *wait, int result) {
    if (result < 0)
        return no_memory(L);
    if (!wait->letter)
        result_wait(wait->u, &wait->letter, NULL);
    bool failed = wait->letter->failed;
    int n = copy_in(L, &wait->letter->message, &(struct copy_how){0});
    wait_end(wait);
    return failed ? lua_error(L) : n;
}

static int unwrap_attempt(lua_State *L, struct task *t) {
    static const struct waiting waiting = {"result:unwrap", "RESULT_WAIT", unwrap_enlist,
                                           unwrap_finish, false};
    (void)t;
    return wait_for(L, wait_self(L), &waiting);
}

static const struct verb unwrap_verb = {"result:unwrap", unwrap_attempt, NULL};

/* unwrap(): waits for the value; raises the error if that is what came; blocks */
static int m_unwrap(lua_State *L) {
    result_check(L);
    lua_settop(L, SELF);
    return wait_run(L, &unwrap_verb);
}

static int result_m_is_set(lua_State *L) {
    lua_pushboolean(L, result_is_set(result_check(L)));
    return 1;
}

static int result_tostring(lua_State *L) {
    lua_pushfstring(L, "UniversalResult(%s)", result_is_set(result_check(L)) ? "set" : "not set");
    return 1;
}

static const luaL_Reg result_methods[] = {
    {"set_value", m_set_value},
    {"set_exception", m_set_exception},
    {"unwrap", m_unwrap},
    {"is_set", result_m_is_set},
    {NULL, NULL},
};

static int f_result(lua_State *L) {
    struct shared **box = shared_new(L, UNIVERSAL_RESULT);
    return universal_push_new(L, UNIVERSAL_RESULT, result_new(), box);
}

/* ---- opening ---- */

static const luaL_Reg functions[] = {
    {"queue", universal_new_queue}, {"event", f_event}, {"result", f_result}, {NULL, NULL}};

static const luaL_Reg event_metamethods[] = {{"__tostring", event_tostring}, {NULL, NULL}};
static const luaL_Reg result_metamethods[] = {{"__tostring", result_tostring}, {NULL, NULL}};

int open_universallib(lua_State *L) {
    universal_open_queue(L);
    universal_new_kind(L, UNIVERSAL_EVENT, event_methods, event_metamethods);
    universal_new_kind(L, UNIVERSAL_RESULT, result_methods, result_metamethods);
    luaL_newlib(L, functions);
    return 1;
}
