/*
 * lib.h - what the bindings (*lib.c) share: error objects, options, the keyword-call form.
 *
 * Misuse raises, failure returns nil and an error object, cancellation is raised by the kernel
 * alone.
 */
#ifndef CURIO_LIB_H
#define CURIO_LIB_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>

#if LUA_VERSION_NUM != 504
#error "curio needs Lua 5.4"
#endif

/* --- errlib.c --- */

/* Pushes a new error object of a class of curio.errors; the message is formatted as by
   lua_pushfstring. [-0, +1, m] */
void error_new(lua_State *L, const char *class_name, const char *fmt, ...);

/* Is the value at idx an error object of that class or a subclass? Any value may be asked.
   [-0, +0, -] */
bool error_is(lua_State *L, int idx, const char *class_name);

/* The same with the class itself at class_idx. */
bool error_isa(lua_State *L, int idx, int class_idx);

/* Is it one of the classes themselves? [-0, +0, -] */
bool error_is_class(lua_State *L, int idx);

/* Pushes the value as text, as tostring does, whatever its __tostring may do. [-0, +1, m] */
const char *error_text(lua_State *L, int idx);

/* Pushes an OSError: err is a positive errno, op the call ("connect"), subject what it was tried on
   ("127.0.0.1:80") or NULL. [-0, +1, m] */
void error_os(lua_State *L, int err, const char *op, const char *subject);

/* Pushes nil and an OSError; returns 2, for `return`. */
int error_os_return(lua_State *L, int err, const char *op, const char *subject);

/* Pushes nil and a ClosedError saying that op was tried on a closed what; returns 2. */
int error_closed_return(lua_State *L, const char *op, const char *what);

/* --- arglib.c --- */

/* The keyword-call form of SPEC 2. With f(fn, ...) the stack from idx on is [fn, args...]; with
   f{fn, args..., key = v} it is one plain table, whose keys are checked against `known` (ended by
   NULL). Afterwards the stack from idx on is [options or nil, fn, args...] in both forms; raises if
   fn cannot be called. `lead` positional arguments stand before fn (the seconds of a timeout). */
void args_call(lua_State *L, int idx, const char *verb, const char *const known[], int lead);

/* Can the value be called: a function, or anything with __call? [-0, +0, -] */
bool args_callable(lua_State *L, int idx);

/* Checks the options table at idx (nil or none: no options; anything else raises) against the known
   names; an unknown one raises and lists them. True when there is a table. */
bool args_options(lua_State *L, int idx, const char *verb, const char *const known[]);

/* Option getters for the table at idx; an absent option, or no table, gives the default. A wrong
   type raises, naming verb and option. */
bool args_bool(lua_State *L, int idx, const char *verb, const char *name, bool def);
double args_seconds(lua_State *L, int idx, const char *verb, const char *name, double def);
lua_Integer args_int(lua_State *L, int idx, const char *verb, const char *name, lua_Integer def);

/* A number of seconds at a stack index: raises on NaN and on what is not a number. */
double args_check_seconds(lua_State *L, int idx);

/* The descriptor of the value at idx: a number, a Lua file, or what has a fileno method or a
   __fileno metamethod. -1 when it has none, being closed perhaps. The first form raises then; with
   both, what fileno raises goes through. [-0, +0, e] */
int args_fileno(lua_State *L, int idx);
int args_to_fileno(lua_State *L, int idx);

/* --- weaklib.c --- */

/* Pushes a new table with that __mode. [-0, +1, m] */
void weak_new(lua_State *L, const char *mode);

/* Pushes the one of the registry at that address; makes it first, if there is none.
   [-0, +1, m] */
void weak_push(lua_State *L, const void *key, const char *mode);

/* --- openers of the parts of curio.core; each leaves one table or function on the stack --- */

int open_errlib(lua_State *L);
int open_arglib(lua_State *L);
int open_kernellib(lua_State *L);
int open_tasklib(lua_State *L);
int open_timelib(lua_State *L);
int open_grouplib(lua_State *L);
int open_schedlib(lua_State *L);
int open_colib(lua_State *L);
int open_addrlib(lua_State *L);
int open_socketlib(lua_State *L);
int open_filelib(lua_State *L);
int open_resolvelib(lua_State *L);
int open_streamlib(lua_State *L);
int open_queuelib(lua_State *L);
int open_testlib(lua_State *L);
int open_channellib(lua_State *L);
int open_editlib(lua_State *L);
int open_monitorlib(lua_State *L);
int open_tracelib(lua_State *L);
int open_traplib(lua_State *L);
int open_interoplib(lua_State *L);
int open_luvlib(lua_State *L);
int open_copylib(lua_State *L);
int open_universallib(lua_State *L);
int open_siglib(lua_State *L);
int open_proclib(lua_State *L);
int open_ptylib(lua_State *L);
int open_idlib(lua_State *L);
int open_threadlib(lua_State *L);
int open_workerlib(lua_State *L);
int open_standinlib(lua_State *L);
int open_tlslib(lua_State *L);

#endif
