/*
 * siglib.c - what listens to signals: the queues and events of curio.signal, and ignoring.
 *
 * A listener remembers for each of its signals how many it has seen; whatever came since is its
 * news. So nothing is queued in a handler, a burst is counted, and each of several listeners gets
 * all. It takes its signals when it is made and leaves them when it is closed or collected; kernels
 * come into it only while a task waits.
 */
#include <errno.h>
#include <stdio.h>

#include "block.h"
#include "clock.h"
#include "lib.h"
#include "sig.h"
#include "sigtake.h"

#define QUEUE "curio.SignalQueue"
#define EVENT "curio.SignalEvent"
#define IGNORER "curio.signal.ignore"

struct watched {
    struct sigtaker taker;
    uint32_t seen;    /* of sigtake_count */
    uint32_t pending; /* come and not got yet */
};

struct listener {
    struct sig_waiter waiter; /* of a kernel, while tasks sleep */
    struct list sleepers;
    unsigned nsleepers;
    bool is_event;
    bool is_set; /* an event */
    bool closed;
    int n;
    int norder; /* a queue: signals pending, by index, in the order in which they came */
    int *order;
    struct watched watched[];
};

/* ---- news ---- */

/* Those found by one look are ordered by when each came last. */
static void add_in_order(struct listener *l, int first, int index) {
    uint64_t stamp = sigtake_stamp(l->watched[index].taker.signo);
    int at = l->norder++;
    for (; at > first; at--) {
        if (sigtake_stamp(l->watched[l->order[at - 1]].taker.signo) < stamp)
            break;
        l->order[at] = l->order[at - 1];
    }
    l->order[at] = index;
}

static void look_for_news(struct listener *l) {
    int first = l->norder;
    for (int i = 0; i < l->n; i++) {
        struct watched *w = &l->watched[i];
        uint32_t count = sigtake_count(w->taker.signo), news = count - w->seen;
        w->seen = count;
        if (!news)
            continue;
        if (l->is_event)
            l->is_set = true;
        else if (!w->pending)
            add_in_order(l, first, i);
        w->pending += l->is_event ? 0 : news;
    }
}

/* Of several kinds pending each has its turn. */
static int take_first(struct listener *l) {
    int index = l->order[0];
    struct watched *w = &l->watched[index];
    l->norder--;
    for (int i = 0; i < l->norder; i++)
        l->order[i] = l->order[i + 1];
    if (--w->pending)
        l->order[l->norder++] = index;
    return w->taker.signo;
}

static uint64_t pending(const struct listener *l) {
    uint64_t sum = 0;
    for (int i = 0; i < l->norder; i++)
        sum += l->watched[l->order[i]].pending;
    return sum;
}

/* ---- sleepers ---- */

static void wake_sleepers(struct listener *l, uint64_t n) {
    while (n-- && l->nsleepers)
        task_wake(container_of(l->sleepers.next, struct task, link), WAKE_OK);
}

static void look(struct sig_waiter *waiter) {
    struct listener *l = container_of(waiter, struct listener, waiter);
    look_for_news(l);
    wake_sleepers(l, l->is_event ? (l->is_set ? UINT64_MAX : 0) : pending(l));
}

static void undo(struct task *t) {
    struct listener *l = t->on;
    list_del(&t->link);
    t->kernel->external--;
    if (!--l->nsleepers)
        list_del(&l->waiter.link);
}

/* What comes while we go to sleep is told by look. */
static int fall_asleep(lua_State *L, struct task *t, struct listener *l) {
    int err = l->nsleepers ? 0 : sig_wait(t->kernel, &l->waiter);
    if (err < 0)
        return error_os_return(L, -err, "wait for a signal", NULL);
    list_add_tail(&l->sleepers, &t->link);
    l->nsleepers++;
    t->kernel->external++;
    task_sleep(t, "SIGNAL_WAIT", undo, l, CLOCK_NEVER);
    look(&l->waiter);
    return BLOCK_PARKED;
}

/* ---- queues ---- */

static int get_attempt(lua_State *L, struct task *t) {
    struct listener *l = lua_touserdata(L, 1);
    if (l->closed)
        return error_closed_return(L, "get", "signal queue");
    look_for_news(l);
    if (!l->norder)
        return fall_asleep(L, t, l);
    lua_pushinteger(L, take_first(l));
    return 1;
}

static const struct verb get_verb = {"signalqueue:get", get_attempt, NULL};

/* get(): the number of a signal that has come; blocks. Also __call, for `for signo in queue do` */
static int m_get(lua_State *L) {
    luaL_checkudata(L, 1, QUEUE);
    lua_settop(L, 1);
    return block_run(L, &get_verb);
}

/* iter(): for `for signo in queue:iter() do` */
static int m_iter(lua_State *L) {
    luaL_checkudata(L, 1, QUEUE);
    lua_settop(L, 1);
    return 1;
}

/* ---- events ---- */

static int wait_attempt(lua_State *L, struct task *t) {
    struct listener *l = lua_touserdata(L, 1);
    if (l->closed)
        return error_closed_return(L, "wait", "signal event");
    look_for_news(l);
    if (!l->is_set)
        return fall_asleep(L, t, l);
    lua_pushboolean(L, 1);
    return 1;
}

static const struct verb wait_verb = {"signalevent:wait", wait_attempt, NULL};

static int m_wait(lua_State *L) {
    luaL_checkudata(L, 1, EVENT);
    lua_settop(L, 1);
    return block_run(L, &wait_verb);
}

static int m_is_set(lua_State *L) {
    struct listener *l = luaL_checkudata(L, 1, EVENT);
    if (!l->closed)
        look_for_news(l);
    lua_pushboolean(L, l->is_set);
    return 1;
}

static int m_clear(lua_State *L) {
    struct listener *l = luaL_checkudata(L, 1, EVENT);
    if (!l->closed)
        look_for_news(l);
    l->is_set = false;
    return 0;
}

/* ---- closing ---- */

static void close_listener(struct listener *l) {
    if (l->closed)
        return;
    l->closed = true;
    for (int i = l->n; i > 0; i--)
        sigtake_leave(&l->watched[i - 1].taker);
    wake_sleepers(l, UINT64_MAX);
}

static struct listener *check_any(lua_State *L) {
    void *l = luaL_testudata(L, 1, QUEUE);
    if (!l)
        l = luaL_testudata(L, 1, EVENT);
    return l ? l : luaL_checkudata(L, 1, IGNORER);
}

static int m_close(lua_State *L) {
    close_listener(check_any(L));
    lua_pushboolean(L, 1);
    return 1;
}

static int mm_gc(lua_State *L) {
    close_listener(check_any(L));
    return 0;
}

static int mm_tostring(lua_State *L) {
    const struct listener *l = check_any(L);
    luaL_getmetafield(L, 1, "__name");
    lua_pushliteral(L, "(");
    for (int i = 0; i < l->n && !l->closed; i++)
        lua_pushfstring(L, i ? ", %d" : "%d", l->watched[i].taker.signo);
    lua_pushstring(L, l->closed ? "closed)" : ")");
    lua_concat(L, lua_gettop(L) - 1);
    return 1;
}

/* ---- making ---- */

static bool is_fault(int signo) {
    return signo == SIGSEGV || signo == SIGBUS || signo == SIGFPE || signo == SIGILL;
}

static int check_signal(lua_State *L, int arg) {
    lua_Integer signo = luaL_checkinteger(L, arg);
    if (signo < 1 || signo >= _NSIG || signo >= SIGTAKE_MAX)
        luaL_argerror(L, arg, lua_pushfstring(L, "no such signal: %I", signo));
    if (signo == SIGKILL || signo == SIGSTOP)
        luaL_argerror(L, arg,
                      lua_pushfstring(L, "%s can be neither caught nor ignored",
                                      signo == SIGKILL ? "SIGKILL" : "SIGSTOP"));
    if (is_fault((int)signo))
        luaL_argerror(
            L, arg,
            lua_pushfstring(L, "signal %d tells of a fault that would come again", (int)signo));
    return (int)signo;
}

static bool has(const struct listener *l, int signo) {
    for (int i = 0; i < l->n; i++)
        if (l->watched[i].taker.signo == signo)
            return true;
    return false;
}

static struct listener *new_listener(lua_State *L, int n, const char *kind) {
    size_t size = sizeof(struct listener) + (size_t)n * (sizeof(struct watched) + sizeof(int));
    struct listener *l = lua_newuserdatauv(L, size, 0);
    *l = (struct listener){.order = (int *)&l->watched[n]};
    list_init(&l->sleepers);
    list_init(&l->waiter.link);
    l->waiter.look = look;
    luaL_setmetatable(L, kind);
    return l;
}

static int make(lua_State *L, const char *kind, enum sigtake_kind how) {
    int n = lua_gettop(L);
    luaL_argcheck(L, n > 0, 1, "a signal is expected");
    for (int i = 1; i <= n; i++)
        check_signal(L, i);
    struct listener *l = new_listener(L, n, kind);
    for (int i = 1; i <= n; i++) {
        int signo = (int)lua_tointeger(L, i);
        struct watched *w = &l->watched[l->n];
        if (has(l, signo))
            continue;
        *w = (struct watched){.seen = sigtake_count(signo)};
        int err = sigtake_enter(&w->taker, signo, how, NULL);
        if (err < 0) {
            char subject[32];
            snprintf(subject, sizeof subject, "signal %d", signo);
            close_listener(l);
            return error_os_return(L, -err, "sigaction", subject);
        }
        l->n++;
    }
    return 1;
}

/* SignalQueue(signo, ...) */
static int f_queue(lua_State *L) {
    return make(L, QUEUE, SIGTAKE_COUNT);
}

/* SignalEvent(signo, ...) */
static int f_event(lua_State *L) {
    int results = make(L, EVENT, SIGTAKE_COUNT);
    if (results == 1)
        ((struct listener *)lua_touserdata(L, -1))->is_event = true;
    return results;
}

/* ignore(signo, ...) */
static int f_ignore(lua_State *L) {
    return make(L, IGNORER, SIGTAKE_IGNORE);
}

/* ---- opening ---- */

#define S(name)                                                                                    \
    { #name, name }

static const struct {
    const char *name;
    int value;
} constants[] = {
    S(SIGABRT),   S(SIGALRM), S(SIGBUS),  S(SIGCHLD), S(SIGCONT), S(SIGFPE),    S(SIGHUP),
    S(SIGILL),    S(SIGINT),  S(SIGKILL), S(SIGPIPE), S(SIGPROF), S(SIGQUIT),   S(SIGSEGV),
    S(SIGSTOP),   S(SIGSYS),  S(SIGTERM), S(SIGTRAP), S(SIGTSTP), S(SIGTTIN),   S(SIGTTOU),
    S(SIGURG),    S(SIGUSR1), S(SIGUSR2), S(SIGXCPU), S(SIGXFSZ), S(SIGVTALRM), S(SIGWINCH),
#ifdef SIGIO
    S(SIGIO),
#endif
#ifdef SIGPWR
    S(SIGPWR),
#endif
#ifdef SIGSTKFLT
    S(SIGSTKFLT),
#endif
};

static const luaL_Reg queue_methods[] = {
    {"get", m_get}, {"iter", m_iter}, {"close", m_close}, {NULL, NULL}};

static const luaL_Reg event_methods[] = {
    {"wait", m_wait}, {"is_set", m_is_set}, {"clear", m_clear}, {"close", m_close}, {NULL, NULL}};

static const luaL_Reg ignorer_methods[] = {{"close", m_close}, {NULL, NULL}};

static const luaL_Reg metamethods[] = {
    {"__close", mm_gc}, {"__gc", mm_gc}, {"__tostring", mm_tostring}, {NULL, NULL}};

static const luaL_Reg functions[] = {
    {"SignalQueue", f_queue}, {"SignalEvent", f_event}, {"ignore", f_ignore}, {NULL, NULL}};

static void new_class(lua_State *L, const char *name, const luaL_Reg *methods) {
    luaL_newmetatable(L, name);
    luaL_setfuncs(L, metamethods, 0);
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
}

int open_siglib(lua_State *L) {
    new_class(L, QUEUE, queue_methods);
    lua_pushcfunction(L, m_get);
    lua_setfield(L, -2, "__call");
    new_class(L, EVENT, event_methods);
    new_class(L, IGNORER, ignorer_methods);
    lua_pop(L, 3);
    luaL_newlib(L, functions);
    for (size_t i = 0; i < sizeof constants / sizeof constants[0]; i++) {
        lua_pushinteger(L, constants[i].value);
        lua_setfield(L, -2, constants[i].name);
    }
#ifdef SIGRTMIN
    lua_pushinteger(L, SIGRTMIN);
    lua_setfield(L, -2, "SIGRTMIN");
    lua_pushinteger(L, SIGRTMAX);
    lua_setfield(L, -2, "SIGRTMAX");
#endif
    return 1;
}
