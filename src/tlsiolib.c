/*
 * tlsiolib.c - the verbs of a TLS socket that block: recv chunks send sendall shutdown, the
 * handshake and the end; and TLS as a transport of streams.
 *
 * Attempts in the sense of block.h. Reading waits for reading only, and writing for writing only;
 * the handshake waits for what the engine says. Who reads or writes before the handshake is over
 * does that first, in the Lua layer, since a server's callback may have a say in it.
 */
#include <errno.h>
#include <string.h>

#include "block.h"
#include "lib.h"
#include "net.h"
#include "tlslib.h"
#include "transport.h"

#define RECV_DEFAULT 65536

static char handshake_key; /* registry: do_handshake, of the Lua layer */

static struct tlsock *self(lua_State *L) {
    return lua_touserdata(L, 1);
}

static int push_true(lua_State *L) {
    lua_pushboolean(L, 1);
    return 1;
}

static int closed(lua_State *L, const char *op) {
    return error_closed_return(L, op, "TLS socket");
}

/* ---- waiting ---- */

/* A writer who is taken away while a part of its data is on its way leaves the stream broken. Who
   is woken by the loop, or by closing, is not registered there any more. */
static void undo_write(struct task *t) {
    struct tlsock *s = t->on;
    const struct io *io = &s->sock->io;
    const struct fdent *e = io->fd >= 0 ? loop_entry(&t->kernel->loop, io) : NULL;
    if (!e || e->waiter[LOOP_WRITE] != t)
        return;
    loop_forget(&t->kernel->loop, io->fd, LOOP_WRITE);
    if (s->tls.taken)
        tls_break(&s->tls);
}

static bool waits_to_write(const struct tlsock *s, struct task *t) {
    const struct fdent *e = loop_entry(&t->kernel->loop, &s->sock->io);
    return e && e->waiter[LOOP_WRITE] == t;
}

static int wait_for(struct tlsock *s, lua_State *L, struct task *t, enum loop_dir dir) {
    int n = block_wait(L, t, &s->sock->io, dir);
    if (n == BLOCK_PARKED && dir == LOOP_WRITE && waits_to_write(s, t)) {
        t->undo = undo_write;
        t->on = s;
    }
    return n;
}

/* ---- the handshake comes first ---- */

static const struct verb chunk_verb;

/* A loop cannot look at an error behind the nil, so errors are raised; only closing ends it. */
static int chunk_failed(lua_State *L) {
    if (!error_is(L, -1, "ClosedError"))
        return lua_error(L);
    lua_pushnil(L);
    return 1;
}

static int after_handshake(lua_State *L, int status, lua_KContext ctx) {
    const struct verb *verb = (const struct verb *)ctx;
    (void)status;
    if (!lua_toboolean(L, -2))
        return verb == &chunk_verb ? chunk_failed(L) : 2;
    lua_pop(L, 2);
    return block_run(L, verb);
}

static int run(lua_State *L, const struct verb *verb) {
    const struct tlsock *s = self(L);
    if (s->tls.connected || !s->tls.ssl)
        return block_run(L, verb);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &handshake_key);
    lua_pushvalue(L, 1);
    lua_callk(L, 1, 2, (lua_KContext)verb, after_handshake);
    return after_handshake(L, LUA_OK, (lua_KContext)verb);
}

/* ---- recv(max), chunks(max) ---- */

static bool worth_trying(const struct tlsock *s, const struct loop *loop) {
    const struct fdent *e = loop_entry(loop, &s->sock->io);
    return tls_pending(&s->tls) || (e && e->flags & (IO_READABLE | IO_ALWAYS));
}

static int recv_attempt(lua_State *L, struct task *t) {
    struct tlsock *s = self(L);
    struct kernel *k = t->kernel;
    if (!s->tls.ssl)
        return closed(L, "recv");
    if (!worth_trying(s, &k->loop))
        return wait_for(s, L, t, LOOP_READ);
    lua_Integer max = lua_tointeger(L, 2);
    tlsock_lend(s, t->kernel);
    ssize_t n = tls_read(&s->tls, k->scratch, max < KERNEL_SCRATCH ? (size_t)max : KERNEL_SCRATCH);
    if (n == -EAGAIN)
        return wait_for(s, L, t, LOOP_READ);
    if (n < 0)
        return tlsock_failed(L, 1, (int)n, "recv");
    if (n == 0)
        lua_pushnil(L);
    else
        lua_pushlstring(L, k->scratch, (size_t)n);
    return 1;
}

static int recv_nothing(lua_State *L, struct task *t) {
    (void)t;
    if (!self(L)->tls.ssl)
        return closed(L, "recv");
    lua_pushliteral(L, "");
    return 1;
}

static const struct verb recv_verb = {"socket:recv", recv_attempt, NULL};
static const struct verb recv_nothing_verb = {"socket:recv", recv_nothing, NULL};

static lua_Integer check_size(lua_State *L, int arg, lua_Integer least) {
    lua_Integer max = luaL_optinteger(L, arg, RECV_DEFAULT);
    if (max < least)
        luaL_argerror(L, arg,
                      lua_pushfstring(L, "the size must be %I or more, not %I", least, max));
    return max;
}

static void check_flags(lua_State *L, int arg) {
    luaL_argcheck(L, luaL_optinteger(L, arg, 0) == 0, arg, "TLS knows no flags");
}

/* Who has a plain socket only; over something else the Lua layer has its own verbs. */
static void check_verb(lua_State *L) {
    const struct tlsock *s = tlsock_check(L, 1);
    if (!s->sock && s->tls.ssl)
        luaL_argerror(L, 1, "not over a socket");
}

static int m_recv(lua_State *L) {
    check_verb(L);
    lua_Integer max = check_size(L, 2, 0);
    check_flags(L, 3);
    lua_settop(L, 1);
    lua_pushinteger(L, max);
    return run(L, max ? &recv_verb : &recv_nothing_verb);
}

static int chunk_attempt(lua_State *L, struct task *t) {
    int n = recv_attempt(L, t);
    return n == 2 ? chunk_failed(L) : n;
}

static const struct verb chunk_verb = {"socket:chunks", chunk_attempt, NULL};

static int chunks_next(lua_State *L) {
    check_verb(L);
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    return run(L, &chunk_verb);
}

static int m_chunks(lua_State *L) {
    check_verb(L);
    if (!tlsock_open(L, 1, "chunks"))
        return lua_error(L);
    lua_pushinteger(L, check_size(L, 2, 1));
    lua_pushcclosure(L, chunks_next, 1);
    lua_pushvalue(L, 1);
    return 2;
}

/* ---- send(data), sendall(data) ---- */

/* Is a part of somebody else's write on its way? Its writer may have been woken, but not have run.
 */
static bool others_write(const struct tlsock *s, const void *data) {
    return s->tls.taken && s->taken_of != data;
}

static int writer_busy(lua_State *L) {
    error_new(L, "WriteResourceBusy", "another task is writing to the TLS socket");
    return lua_error(L);
}

static ssize_t write_some(struct tlsock *s, struct task *t, const char *data, size_t len) {
    tlsock_lend(s, t->kernel);
    ssize_t n = tls_write(&s->tls, data, len);
    s->taken_of = data;
    return n;
}

/* The last: bytes sent so far. */
enum { SEND_DATA = 2, SEND_DONE };

static void set_bytes_sent(lua_State *L, lua_Integer done) {
    if (lua_type(L, -1) != LUA_TTABLE)
        return;
    lua_pushinteger(L, done);
    lua_setfield(L, -2, "bytes_sent");
}

static int send_attempt(lua_State *L, struct task *t) {
    struct tlsock *s = self(L);
    size_t len;
    const char *data = lua_tolstring(L, SEND_DATA, &len);
    if (!s->tls.ssl)
        return closed(L, "send");
    if (others_write(s, data))
        return writer_busy(L);
    ssize_t n = write_some(s, t, data, len);
    if (n == -EAGAIN)
        return wait_for(s, L, t, LOOP_WRITE);
    if (n < 0)
        return tlsock_failed(L, 1, (int)n, "send");
    lua_pushinteger(L, n);
    return 1;
}

static int sendall_failed(lua_State *L, int code, size_t done) {
    if (code)
        tlsock_failed(L, 1, code, "sendall");
    else
        closed(L, "sendall");
    set_bytes_sent(L, (lua_Integer)done);
    return 2;
}

static int sendall_attempt(lua_State *L, struct task *t) {
    struct tlsock *s = self(L);
    size_t len, done = (size_t)lua_tointeger(L, SEND_DONE);
    const char *data = lua_tolstring(L, SEND_DATA, &len);
    if (!s->tls.ssl)
        return sendall_failed(L, 0, done);
    while (done < len) {
        if (others_write(s, data + done))
            return writer_busy(L);
        ssize_t n = write_some(s, t, data + done, len - done);
        if (n == -EAGAIN)
            return wait_for(s, L, t, LOOP_WRITE);
        if (n < 0)
            return sendall_failed(L, (int)n, done);
        done += (size_t)n;
        if (done == len)
            break;
        lua_pushinteger(L, (lua_Integer)done);
        lua_replace(L, SEND_DONE);
        if (--t->kernel->io_budget < 0) {
            task_give_way(t);
            return BLOCK_PARKED;
        }
    }
    return push_true(L);
}

static void sendall_interrupted(lua_State *L, struct task *t) {
    (void)t;
    set_bytes_sent(L, lua_tointeger(L, SEND_DONE));
}

static const struct verb send_verb = {"socket:send", send_attempt, NULL};
static const struct verb sendall_verb = {"socket:sendall", sendall_attempt, sendall_interrupted};

static int run_send(lua_State *L, const struct verb *verb) {
    check_verb(L);
    luaL_checklstring(L, SEND_DATA, NULL);
    check_flags(L, 3);
    lua_settop(L, SEND_DATA);
    lua_pushinteger(L, 0);
    return run(L, verb);
}

static int m_send(lua_State *L) {
    return run_send(L, &send_verb);
}

static int m_sendall(lua_State *L) {
    return run_send(L, &sendall_verb);
}

/* ---- the handshake; the Lua layer goes round it ---- */

static int handshake_attempt(lua_State *L, struct task *t) {
    struct tlsock *s = self(L);
    if (!s->tls.ssl)
        return closed(L, "do_handshake");
    if (s->tls.connected)
        return push_true(L);
    tlsock_lend(s, t->kernel);
    int code = tls_handshake(&s->tls);
    if (code == -EAGAIN)
        return wait_for(s, L, t, s->tls.want);
    if (code == TLS_ASK_NAME)
        return tlsock_push_asked(L, s);
    return code < 0 ? tlsock_failed(L, 1, code, "do_handshake") : push_true(L);
}

static const struct verb handshake_verb = {"socket:do_handshake", handshake_attempt, NULL};

/* true; or "servername" and the name that was asked for, then answer and again; or nil, err */
static int m_handshake(lua_State *L) {
    check_verb(L);
    lua_settop(L, 1);
    return block_run(L, &handshake_verb);
}

/* ---- shutdown("rd" | "wr" | "rdwr"), and what unwrap begins with ---- */

static int say_end(lua_State *L, struct task *t) {
    struct tlsock *s = self(L);
    if (!s->tls.ssl)
        return closed(L, "shutdown");
    if (s->tls.taken)
        return writer_busy(L);
    tlsock_lend(s, t->kernel);
    int code = tls_shut(&s->tls);
    if (code == -EAGAIN)
        return wait_for(s, L, t, LOOP_WRITE);
    return code < 0 ? tlsock_failed(L, 1, code, "shutdown") : 0;
}

static int shutdown_attempt(lua_State *L, struct task *t) {
    int how = (int)lua_tointeger(L, 2);
    int n = how == SHUT_RD ? 0 : say_end(L, t);
    if (n != 0)
        return n;
    const struct tlsock *s = self(L);
    if (!s->tls.ssl)
        return closed(L, "shutdown");
    int err = net_shutdown(s->sock->io.fd, how);
    return err < 0 ? tlsock_failed(L, 1, err, "shutdown") : push_true(L);
}

static const struct verb shutdown_verb = {"socket:shutdown", shutdown_attempt, NULL};

static int m_shutdown(lua_State *L) {
    check_verb(L);
    int how = socket_check_how(L, 2);
    lua_settop(L, 1);
    lua_pushinteger(L, how);
    return run(L, &shutdown_verb);
}

static int finish_attempt(lua_State *L, struct task *t) {
    if (!self(L)->tls.ssl)
        return closed(L, "unwrap");
    int n = say_end(L, t);
    if (n)
        return n;
    struct tlsock *s = self(L);
    tlsock_lend(s, t->kernel);
    int code = tls_await_end(&s->tls);
    if (code == -EAGAIN)
        return wait_for(s, L, t, LOOP_READ);
    return code < 0 ? tlsock_failed(L, 1, code, "unwrap") : push_true(L);
}

static const struct verb finish_verb = {"socket:unwrap", finish_attempt, NULL};

/* Says the end and waits for the peer's. */
static int m_finish(lua_State *L) {
    check_verb(L);
    lua_settop(L, 1);
    return block_run(L, &finish_verb);
}

/* ---- the transport ---- */

static ssize_t transport_read(void *box, struct task *t, char *buf, size_t room) {
    struct tlsock *s = box;
    if (!s->tls.ssl)
        return -ESHUTDOWN;
    if (!worth_trying(s, &t->kernel->loop))
        return -EAGAIN;
    tlsock_lend(s, t->kernel);
    return tls_read(&s->tls, buf, room);
}

/* Small pieces go out as one record. */
static ssize_t transport_write(void *box, struct task *t, const struct iovec *pieces, int n) {
    struct tlsock *s = box;
    size_t len = 0;
    char *joined = t->kernel->scratch;
    if (!s->tls.ssl)
        return -ESHUTDOWN;
    if (others_write(s, NULL))
        return -EBUSY;
    s->taken_of = NULL;
    tlsock_lend(s, t->kernel);
    if (n == 1 || pieces[0].iov_len >= KERNEL_SCRATCH)
        return tls_write(&s->tls, pieces[0].iov_base, pieces[0].iov_len);
    for (int i = 0; i < n && len + pieces[i].iov_len <= KERNEL_SCRATCH; i++) {
        memcpy(joined + len, pieces[i].iov_base, pieces[i].iov_len);
        len += pieces[i].iov_len;
    }
    return tls_write(&s->tls, joined, len);
}

static int transport_wait(void *box, lua_State *L, struct task *t, enum loop_dir dir) {
    return wait_for(box, L, t, dir);
}

static int transport_failed(void *box, lua_State *L, int err, const char *op) {
    struct tlsock *s = box;
    if (err == -ESHUTDOWN)
        return closed(L, op);
    return tls_failed(L, &s->tls.error, err, op, NULL);
}

static const struct transport transport = {"TLS socket", transport_read, transport_write,
                                           transport_wait, transport_failed};

void tls_add_transport(lua_State *L) {
    lua_pushlightuserdata(L, (void *)&transport);
    lua_setfield(L, -2, TRANSPORT_KEY);
}

/* ---- opening ---- */

/* _use(do_handshake): the Lua layer's */
static int f_use(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &handshake_key);
    return 0;
}

static const luaL_Reg methods[] = {
    {"recv", m_recv},       {"chunks", m_chunks},     {"send", m_send},
    {"sendall", m_sendall}, {"shutdown", m_shutdown}, {"_handshake", m_handshake},
    {"_finish", m_finish},  {"_use", f_use},          {NULL, NULL},
};

void tls_add_verbs(lua_State *L) {
    luaL_setfuncs(L, methods, 0);
}
