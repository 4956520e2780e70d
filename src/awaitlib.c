/*
 * awaitlib.c - AWAIT: a thread asks the one who waits for it, who runs what it asks for.
 *
 * The request and the answer are messages of the job. Their way: the thread fills the request and
 * parks (TALK_ASKED); its task, which sleeps in job:next, wakes and takes it up (TALK_SERVED), runs
 * it, and gives an answer (TALK_ANSWERED); the thread goes on. A thread that is interrupted takes
 * back what nobody has taken up; else it waits for the answer, for the task is told to end as well.
 */
#include <errno.h>

#include "block.h"
#include "clock.h"
#include "lib.h"
#include "standinlib.h"
#include "threadlib.h"

/* ---- serving AWAIT, in the kernel ---- */

static bool anything(const struct luajob *j) {
    return j->job.state == THREAD_JOB_ENDED || j->talk == TALK_ASKED || j->left;
}

static int next_attempt(lua_State *L, struct task *t) {
    struct jobbox *b = lua_touserdata(L, 1);
    struct luajob *j = b->j;
    if (jobbox_sleep(L, t, b, anything, "THREAD_WAIT"))
        return BLOCK_PARKED;
    thread_lock();
    bool asks = j->talk == TALK_ASKED;
    bool left = !asks && j->job.state != THREAD_JOB_ENDED;
    if (asks)
        j->talk = TALK_SERVED;
    thread_unlock();
    if (left)
        return 0;
    lua_pushboolean(L, asks);
    return 1;
}

static const struct verb next_verb = {"thread:serve", next_attempt, NULL};

/* job:next(): blocks until the thread asks for something (true), has ended (false), or shall not be
   waited for any more (nothing) */
static int m_next(lua_State *L) {
    jobbox_check(L);
    lua_settop(L, 1);
    return block_run(L, &next_verb);
}

/* job:leave(): who sleeps in next wakes */
static int m_leave(lua_State *L) {
    struct jobbox *b = jobbox_any(L);
    thread_lock();
    if (b->j && b->j->job.state == THREAD_JOB_RUNNING) {
        b->j->left = true;
        thread_announce(&b->j->job);
    }
    thread_unlock();
    return 0;
}

/* job:request(): what it asks for */
static int m_request(lua_State *L) {
    struct luajob *j = jobbox_check(L)->j;
    int n = copy_in(L, &j->request, standin_owners_how(j, NULL, NULL));
    message_drop(&j->request);
    return n;
}

/* job:answer(...): true and results, or false and an error */
static int m_answer(lua_State *L) {
    struct luajob *j = jobbox_check(L)->j;
    copy_out(L, 2, lua_gettop(L) - 1, standin_owners_how(j, "ok", "results"), &j->answer);
    thread_lock();
    j->talk = TALK_ANSWERED;
    if (j->asker)
        thread_unpark(j->asker);
    thread_unlock();
    return 0;
}

/* ---- AWAIT, in the thread ---- */

/* Withdraws what nobody has taken up. */
static bool withdraw(struct luajob *j) {
    bool unheard = j->talk == TALK_ASKED;
    if (unheard)
        j->talk = TALK_QUIET;
    return unheard;
}

/* Parks until there is an answer; false: there will be none. An interruption waits for the answer,
   for who was asked may be at work already. */
static bool await_answer(struct luajob *j, bool *told) {
    bool over = false, answered = false;
    while (!over && !answered) {
        if (thread_park(CLOCK_NEVER) == -EINTR && thread_take_interrupt())
            *told = true;
        thread_lock();
        answered = j->talk == TALK_ANSWERED;
        over = j->deserted || (*told && withdraw(j));
        thread_unlock();
    }
    thread_lock();
    j->asker = NULL;
    j->talk = TALK_QUIET;
    thread_unlock();
    return answered;
}

static void ask(struct luajob *j) {
    thread_lock();
    j->asker = thread_self();
    j->talk = TALK_ASKED;
    thread_announce(&j->job);
    thread_unlock();
}

static int raise_cancelled(lua_State *L, const char *why) {
    error_new(L, "TaskCancelled", "cancelled: %s", why);
    return lua_error(L);
}

/* await(fn, ...): true and results, or false and the error */
static int f_await(lua_State *L) {
    struct luajob *j = luajob_current();
    if (!j || !j->async || kernel_current) {
        error_new(L, "AsyncOnlyError", "AWAIT: %s",
                  kernel_current ? "a kernel runs here, call the function itself"
                                 : "only a thread made by spawn_thread can ask its kernel");
        return lua_error(L);
    }
    thread_lock();
    bool deserted = j->deserted;
    thread_unlock();
    if (deserted)
        return raise_cancelled(L, "the kernel does not listen to this thread any more");
    bool told = false;
    copy_out(L, 1, lua_gettop(L), standin_threads_how(j, "fn", "args"), &j->request);
    ask(j);
    bool answered = await_answer(j, &told);
    message_drop(&j->request);
    if (told || !answered) {
        message_drop(&j->answer);
        return raise_cancelled(L, "the thread was told to end");
    }
    int n = copy_in(L, &j->answer, standin_threads_how(j, NULL, NULL));
    message_drop(&j->answer);
    return n;
}

/* is_async(): may AWAIT be used here? */
static int f_is_async(lua_State *L) {
    struct luajob *j = luajob_current();
    lua_pushboolean(L, j && j->async && !kernel_current);
    return 1;
}

/* ---- */

static const luaL_Reg methods[] = {{"next", m_next},
                                   {"request", m_request},
                                   {"answer", m_answer},
                                   {"leave", m_leave},
                                   {NULL, NULL}};

static const luaL_Reg functions[] = {{"await", f_await}, {"is_async", f_is_async}, {NULL, NULL}};

void awaitlib_methods(lua_State *L) {
    luaL_setfuncs(L, methods, 0);
}

void awaitlib_functions(lua_State *L) {
    luaL_setfuncs(L, functions, 0);
}
