/*
 * filelib.c - files: the object, whose turn it is, opening and closing.
 *
 * Closing empties the box first, so everybody else finds it closed, and then does what is left to
 * do as the last user: waits for the operation under way, writes out, closes. Interrupted, it
 * leaves that to a thread of the pool; the garbage collector does the same.
 */
#include "filelib.h"

#include <errno.h>
#include <string.h>

#include "block.h"
#include "clock.h"
#include "lib.h"

#define NAME "curio.file"
#define TURN "curio.file turn"

static const char file_tag;

struct file *file_check(lua_State *L, int arg) {
    struct file *f = lua_touserdata(L, arg);
    if (f && lua_rawlen(L, arg) == sizeof *f && f->tag == &file_tag)
        return f;
    luaL_typeerror(L, arg, NAME);
    return NULL;
}

int file_failed(lua_State *L, int err, const char *op) {
    lua_getiuservalue(L, 1, 1);
    const char *path = lua_tostring(L, -1);
    return error_os_return(L, err, op, path);
}

/* ---- turns ---- */

struct turn *file_turn(lua_State *L) {
    int top = lua_gettop(L);
    return top > 1 && lua_type(L, top) == LUA_TUSERDATA ? lua_touserdata(L, top) : NULL;
}

/* Pushes one, closed in the end. [-0, +1, m] */
static struct turn *turn_new(lua_State *L, struct file *f) {
    luaL_checkstack(L, 4, NAME);
    struct turn *turn = lua_newuserdatauv(L, sizeof *turn, 0);
    memset(turn, 0, sizeof *turn);
    list_init(&turn->link);
    luaL_setmetatable(L, TURN);
    lua_toclose(L, -1);
    turn->file = f;
    return turn;
}

static void let_next_in(struct file *f) {
    struct list *link = list_pop(&f->queue);
    if (!link)
        return;
    f->user = container_of(link, struct turn, link);
    task_wake(f->user->task, WAKE_OK);
}

/* Idempotent. True: nobody uses the file any more. */
static bool end_turn(struct turn *turn) {
    struct file *f = turn->file;
    if (!f)
        return false;
    turn->file = NULL;
    if (turn->owns) {
        if (f->j == turn->j)
            f->j = NULL;
        fsjob_leave(turn->j);
    }
    if (f->user != turn)
        return false;
    f->user = NULL;
    return true;
}

static int turn_close(lua_State *L) {
    struct turn *turn = lua_touserdata(L, 1);
    struct file *f = turn->file;
    if (end_turn(turn))
        let_next_in(f);
    return 0;
}

/* Collected in its sleep, and its kernel with it: there is nobody to wake. */
static int turn_gc(lua_State *L) {
    struct turn *turn = lua_touserdata(L, 1);
    if (turn->file && turn->task && turn->j)
        fsjob_unlisten(turn->j);
    list_del(&turn->link);
    end_turn(turn);
    return 0;
}

/* ---- sleeping ---- */

static void leave_queue(struct task *t) {
    struct turn *turn = t->on;
    list_del(&turn->link);
    turn->task = NULL;
}

static int queue_up(struct task *t, struct turn *turn) {
    turn->task = t;
    list_add_tail(&turn->file->queue, &turn->link);
    task_sleep(t, "FILE_WAIT", leave_queue, turn, CLOCK_NEVER);
    return BLOCK_PARKED;
}

/* Of an interrupted verb: an operation not yet begun is called off, and with it what a write had
   put into the buffer; else it goes on by itself. */
static void call_off(struct turn *turn) {
    fsjob_unlisten(turn->j);
    if (!turn->asked)
        return;
    if (fsjob_cancel(turn->j))
        fs_withdraw(&turn->j->fs, turn->added);
    else
        turn->taken = (lua_Integer)turn->added;
}

static void stop_waiting(struct task *t) {
    struct turn *turn = t->on;
    t->kernel->external--;
    turn->task = NULL;
    if (turn->j->waiter == turn)
        call_off(turn);
    if (!turn->owns)
        turn->j = NULL; /* who closes the file may be quicker than we */
}

static void deliver(struct wake_node *node) {
    struct turn *turn = fsjob_delivered(node);
    if (turn)
        task_wake(turn->task, WAKE_OK);
}

static int wait_for_end(struct task *t, struct turn *turn, struct fsjob *j) {
    turn->task = t;
    turn->j = j;
    fsjob_listen(j, t->kernel->wake, turn);
    t->kernel->external++;
    task_sleep(t, "FILE_WAIT", stop_waiting, turn, CLOCK_NEVER);
    return BLOCK_PARKED;
}

int file_take(lua_State *L, struct task *t, const char *op) {
    struct file *f = file_self(L);
    if (!f->j)
        return error_closed_return(L, op, "file");
    struct turn *turn = file_turn(L);
    if (!turn) {
        if (!f->user && !fsjob_busy(f->j))
            return 0;
        turn = turn_new(L, f);
        if (!f->user)
            f->user = turn;
    }
    if (f->user != turn)
        return queue_up(t, turn);
    return fsjob_busy(f->j) ? wait_for_end(t, turn, f->j) : 0;
}

static int start(lua_State *L, struct task *t, struct turn *turn, struct fsjob *j, enum fsjob_op op,
                 const char *name) {
    int err = fsjob_start(j, op);
    if (err)
        return file_failed(L, -err, name);
    turn->asked = true;
    return wait_for_end(t, turn, j);
}

int file_start(lua_State *L, struct task *t, enum fsjob_op op, const char *name) {
    struct file *f = file_self(L);
    struct turn *turn = file_turn(L);
    if (!turn)
        turn = turn_new(L, f);
    f->user = turn;
    return start(L, t, turn, f->j, op, name);
}

bool file_result(lua_State *L, int64_t *result) {
    struct turn *turn = file_turn(L);
    if (!turn || !turn->asked)
        return false;
    turn->asked = false;
    *result = file_self(L)->j->result;
    return true;
}

/* ---- aopen(path, mode) ---- */

enum { OPEN_BOX = 1, OPEN_MODE };

static struct file *push_box(lua_State *L, int path) {
    struct file *f = lua_newuserdatauv(L, sizeof *f, 1);
    memset(f, 0, sizeof *f);
    list_init(&f->queue);
    f->limit = FS_CHUNK;
    f->tag = &file_tag;
    lua_pushvalue(L, path);
    lua_setiuservalue(L, -2, 1);
    luaL_setmetatable(L, NAME);
    return f;
}

static int open_begin(lua_State *L, struct task *t, struct file *f) {
    lua_getiuservalue(L, 1, 1);
    size_t len;
    const char *path = lua_tolstring(L, -1, &len);
    if (strlen(path) != len)
        return error_os_return(L, EINVAL, "open", path);
    struct fsjob *j = fsjob_new(path, fs_flags(lua_tostring(L, OPEN_MODE)), deliver);
    lua_pop(L, 1);
    if (!j)
        return luaL_error(L, "not enough memory");
    f->j = j; /* from here on it is the collector's */
    struct turn *turn = turn_new(L, f);
    turn->j = j;
    turn->owns = true;
    f->user = turn;
    return start(L, t, turn, j, FSJOB_OPEN, "open");
}

static int open_attempt(lua_State *L, struct task *t) {
    struct file *f = file_self(L);
    struct turn *turn = file_turn(L);
    if (!turn)
        return open_begin(L, t, f);
    if (fsjob_busy(f->j))
        return wait_for_end(t, turn, f->j);
    if (f->j->result < 0)
        return file_failed(L, (int)-f->j->result, "open");
    turn->owns = false;
    lua_pushvalue(L, OPEN_BOX);
    return 1;
}

static const struct verb open_verb = {"curio.aopen", open_attempt, NULL};

static int f_open(lua_State *L) {
    luaL_checkstring(L, 1);
    const char *mode = luaL_optstring(L, 2, "r");
    luaL_argcheck(L, fs_flags(mode) >= 0, 2, "invalid mode");
    lua_settop(L, 2);
    lua_pushstring(L, mode);
    lua_replace(L, 2);
    push_box(L, 1);
    lua_replace(L, OPEN_BOX);
    return block_run(L, &open_verb);
}

/* ---- close ---- */

static int push_true(lua_State *L) {
    lua_pushboolean(L, 1);
    return 1;
}

/* Those asleep in a verb find the file closed. */
static void wake_all(struct file *f) {
    struct turn *user = f->user;
    f->user = NULL;
    if (user && user->task)
        task_wake(user->task, WAKE_OK);
    while (!list_empty(&f->queue))
        task_wake(container_of(f->queue.next, struct turn, link)->task, WAKE_OK);
}

static int close_begin(lua_State *L, struct file *f) {
    struct turn *turn = turn_new(L, f);
    turn->j = f->j;
    turn->owns = true;
    f->j = NULL;
    wake_all(f);
    return 0;
}

static int close_ended(lua_State *L, struct turn *turn) {
    int64_t result = turn->j->result;
    turn->owns = false;
    fsjob_leave(turn->j);
    turn->j = NULL;
    return result < 0 ? file_failed(L, (int)-result, "close") : push_true(L);
}

static int close_attempt(lua_State *L, struct task *t) {
    struct file *f = file_self(L);
    if (!file_turn(L)) {
        if (!f->j)
            return push_true(L);
        close_begin(L, f);
    }
    struct turn *turn = file_turn(L);
    if (fsjob_busy(turn->j))
        return wait_for_end(t, turn, turn->j);
    if (turn->asked)
        return close_ended(L, turn);
    return start(L, t, turn, turn->j, FSJOB_CLOSE, "close");
}

static const struct verb close_verb = {"file:close", close_attempt, NULL};

static int m_close(lua_State *L) {
    file_check(L, 1);
    lua_settop(L, 1);
    return block_run(L, &close_verb);
}

/* Closes without waiting for it; also __gc. */
static int m_leave(lua_State *L) {
    struct file *f = file_check(L, 1);
    struct fsjob *j = f->j;
    f->j = NULL;
    if (!j)
        return 0;
    wake_all(f);
    fsjob_leave(j);
    return 0;
}

static int mm_gc(lua_State *L) {
    m_leave(L);
    file_check(L, 1)->tag = NULL;
    return 0;
}

/* ---- what never blocks ---- */

/* Who asks is likely to hand the descriptor on, from C, where nothing may block: so what a regular
   file has in its buffers goes out here and now, which is a copy to the system's cache; of other
   files flush has to be called first. */
static int m_fileno(lua_State *L) {
    struct file *f = file_check(L, 1);
    if (!f->j)
        return error_closed_return(L, "fileno", "file");
    struct fs *fs = &f->j->fs;
    if (!f->user && !fsjob_busy(f->j)) {
        int err = fs->regular ? fs_flush(fs) : 0;
        if (err < 0)
            return file_failed(L, -err, "fileno");
        fs_rewind(fs);
    }
    lua_pushinteger(L, fs->fd);
    return 1;
}

static int mm_tostring(lua_State *L) {
    const struct file *f = file_check(L, 1);
    if (!f->j) {
        lua_pushliteral(L, NAME " (closed)");
        return 1;
    }
    lua_getiuservalue(L, 1, 1);
    lua_pushfstring(L, NAME " (%s)", lua_tostring(L, -1));
    return 1;
}

/* ---- opening ---- */

static const luaL_Reg methods[] = {{"close", m_close}, {"fileno", m_fileno}, {NULL, NULL}};

static const luaL_Reg metamethods[] = {{"__tostring", mm_tostring}, {"__gc", mm_gc}, {NULL, NULL}};

static const luaL_Reg turn_metamethods[] = {
    {"__close", turn_close}, {"__gc", turn_gc}, {NULL, NULL}};

static const luaL_Reg functions[] = {{"open", f_open}, {"leave", m_leave}, {NULL, NULL}};

/* Leaves functions; in .metatable the metatable of files, to which the Lua layer adds __close. */
int open_filelib(lua_State *L) {
    luaL_newmetatable(L, TURN);
    luaL_setfuncs(L, turn_metamethods, 0);
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    luaL_newmetatable(L, NAME);
    luaL_setfuncs(L, metamethods, 0);
    luaL_newlib(L, methods);
    file_add_position(L);
    file_add_reads(L);
    file_add_writes(L);
    lua_setfield(L, -2, "__index");
    lua_setfield(L, -2, "metatable");
    return 1;
}
